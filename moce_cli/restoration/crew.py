"""Several tiles at once: on a CPU each core has one of its own, and nobody waits at barriers."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import Self, TypeVar

import torch

Given = TypeVar("Given")
Started = TypeVar("Started")
Made = TypeVar("Made")

_AHEAD = 3
"""Tiles that wait or are done for each that is computed, at most."""


class Crew:
    """Threads that compute, each with a share of the cores; with one worker, the caller's own.

    Args:
        workers: how many.
        threads: that they share.
        ahead: of one worker, how many are started before the first is waited for.
    """

    def __init__(self, workers: int, threads: int, ahead: int = 0) -> None:
        self.workers, self._ahead = workers, ahead
        self._threads, self._share = threads, max(1, threads // workers)
        self._pool = ThreadPoolExecutor(workers, "moce-tile") if workers > 1 else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Wait for what is being computed; what has not begun is left."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            torch.set_num_threads(self._threads)

    def map(self, step: Callable[[Given], Made], items: Iterable[Given]) -> list[Made]:
        """As the built-in `map`, at once."""
        if self._pool is None:
            with torch.inference_mode():
                return [step(item) for item in items]
        futures = [self._submit(step, item) for item in items]
        wait(futures)  # when one has failed, none is at work any more
        return [future.result() for future in futures]

    def stream(
        self,
        start: Callable[[Given], Started],
        land: Callable[[Started], Made],
        items: Iterable[Given],
    ) -> Iterator[Made]:
        """What lands, in order; a few are started ahead of those that are asked for."""
        if self._pool is None:
            started: deque[Started] = deque()
            for item in items:
                with torch.inference_mode():
                    started.append(start(item))
                if len(started) > self._ahead:
                    yield land(started.popleft())
            yield from map(land, started)
            return
        waiting: deque[Future[Made]] = deque()
        for item in items:
            waiting.append(self._submit(lambda given: land(start(given)), item))
            if len(waiting) >= _AHEAD * self.workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    def _submit(self, step: Callable[[Given], Made], item: Given) -> Future[Made]:
        assert self._pool is not None
        return self._pool.submit(self._work, step, item)

    def _work(self, step: Callable[[Given], Made], item: Given) -> Made:
        torch.set_num_threads(self._share)  # each thread has its own number
        with torch.inference_mode():
            return step(item)
