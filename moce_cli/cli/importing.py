"""Importing torch, without a search for garbage in what is only just being made."""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Generator


@contextlib.contextmanager
def importing() -> Generator[None, None, None]:
    """While it lasts, torch may be imported a tenth sooner; nothing happens where it is already.

    A million objects are made that stay to the end. Python's collector would look at them again
    and again, now and later; it is told to leave them alone.
    """
    if "torch" in sys.modules:
        yield
        return
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()
