"""Ctrl-C and SIGTERM: once, after the tile; twice, at once."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Generator
from types import FrameType

from moce_cli.batch.pipeline import Stop

INTERRUPTED = 130


@contextlib.contextmanager
def interruptible(
    stop: Stop, *, first: Callable[[], None], last: Callable[[], None]
) -> Generator[None, None, None]:
    """Turn the first signal into a wish to stop.

    Args:
        stop: is set.
        first: called at the first signal, to say so.
        last: called at the second, before the process ends: to sweep up.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    pressed = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
        stop.set()
        if not pressed:
            pressed = True
            first()
            return
        last()
        os._exit(INTERRUPTED)

    before = {s: signal.signal(s, handle) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
