"""Reading, the network and writing at the same time, in order, within a bound of memory."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, TypeVar

from moce_cli import runtime
from moce_cli.batch import bands, loading, run
from moce_cli.batch.desk import Desk, Done, Settings, failed
from moce_cli.batch.jobs import Job
from moce_cli.batch.loading import Loaded
from moce_cli.batch.remote import url_of
from moce_cli.batch.run import Restored
from moce_cli.errors import MoceError
from moce_cli.pictures import probe
from moce_cli.pictures.memory import picture_bytes

if TYPE_CHECKING:
    from moce_cli.restoration import Restorer

log = logging.getLogger(__name__)

Result = TypeVar("Result")

AHEAD = 4
"""Pictures that wait between two steps, at most."""
WORKERS = 4
"""Threads that read, and as many that write, at most."""
MEMORY_SHARE = 0.25
"""Of the memory, for all pictures under way; one alone may take more."""
POLL_SECONDS = 0.2


class Stop(Protocol):
    """Whether someone has asked to stop."""

    def is_set(self) -> bool:
        """They have."""
        ...

    def set(self) -> None:
        """Ask."""
        ...


@dataclass(frozen=True, slots=True)
class Began:
    """The network has begun with a picture."""

    job: Job


@dataclass(frozen=True, slots=True)
class Tiles:
    """Some of its tiles are done."""

    done: int
    total: int


Event = Began | Tiles | Done


class _Budget:
    """Memory for pictures under way, given first come, first served."""

    def __init__(self, total_bytes: int) -> None:
        self._total = total_bytes
        self._taken = 0
        self._turn = threading.Lock()
        self._change = threading.Condition()

    def take(self, size: int, stop: Stop) -> bool:
        """Wait until there is room, or nothing else under way; False where all stops."""
        with self._turn, self._change:
            while self._taken and self._taken + size > self._total:
                if stop.is_set():
                    return False
                self._change.wait(POLL_SECONDS)
            self._taken += size
            return True

    def give(self, size: int) -> None:
        with self._change:
            self._taken -= size
            self._change.notify_all()


class Pipeline:
    """Runs jobs through three steps: threads read, one thread restores, threads write.

    Results come in the order of the jobs. Once `stop` is set the picture at hand ends after its
    tile, those that are restored already are written, and nothing else is begun.

    Args:
        restorer: that does the work.
        desk: where results go.
        stop: asks to stop.
        memory_bytes: for pictures under way; by default a share of the machine's.
    """

    def __init__(
        self, restorer: Restorer, desk: Desk, stop: Stop, *, memory_bytes: int | None = None
    ) -> None:
        self._restorer, self._desk, self._stop = restorer, desk, stop
        self._events: queue.SimpleQueue[Event | BaseException | None] = queue.SimpleQueue()
        self._loads: queue.Queue[tuple[Job, int, Future[Loaded | Done]] | None]
        self._saves: queue.Queue[tuple[int, Future[Done]] | None]
        self._loads, self._saves = queue.Queue(AHEAD), queue.Queue(AHEAD)
        self._budget = _Budget(memory_bytes or int(runtime.memory_bytes() * MEMORY_SHARE))
        workers = max(1, min(WORKERS, restorer.threads))
        self._readers = ThreadPoolExecutor(workers, "moce-read")
        self._writers = ThreadPoolExecutor(workers, "moce-write")
        self.busy_seconds = 0.0
        """How long the network ran."""
        self.wall_seconds = 0.0
        """From the first picture into the network to the last one out of it."""

    def run(self, jobs: Iterable[Job]) -> Iterator[Event]:
        """Do all jobs; what happens comes as it happens, in the thread that asks for it.

        Args:
            jobs: also endless ones; asked for one by one, in a thread of the pipeline.
        """
        steps = (lambda: self._feed(jobs), self._restore, self._collect)
        threads = [threading.Thread(target=self._guarded, args=(step,)) for step in steps]
        for thread in threads:
            thread.start()
        left = len(threads)
        try:
            while left:
                try:
                    event = self._events.get(timeout=POLL_SECONDS)  # so that signals are seen
                except queue.Empty:
                    continue
                if isinstance(event, BaseException):
                    raise event
                if event is None:
                    left -= 1
                else:
                    yield event
        finally:
            if left:
                self._stop.set()
            for thread in threads:
                thread.join()
            self._readers.shutdown()
            self._writers.shutdown()

    def _guarded(self, step: Callable[[], None]) -> None:
        """A step that breaks stops the others, and is told."""
        try:
            step()
        except BaseException as error:
            self._stop.set()
            self._events.put(error)
        self._events.put(None)

    def _feed(self, jobs: Iterable[Job]) -> None:
        try:
            for job in jobs:
                if self._stop.is_set():
                    return
                if job.skip:
                    ended: Future[Loaded | Done] = Future()
                    ended.set_result(Done(job, error=_earlier(job)))
                    self._loads.put((job, 0, ended))
                    continue
                size = _size_bytes(job, self._desk.settings)
                if not self._budget.take(size, self._stop):
                    return
                coming = self._readers.submit(_attempt, job, loading.load, job, self._desk)
                self._loads.put((job, size, coming))
        finally:
            self._loads.put(None)

    def _restore(self) -> None:
        """Goes on to the end of its queue whatever happens, so that nobody waits for ever."""
        broken: BaseException | None = None
        begun = 0.0
        while (item := self._loads.get()) is not None:
            job, size, load = item
            try:
                loaded = load.result()
                if isinstance(loaded, Loaded) and not self._stop.is_set():
                    self._events.put(Began(job))
                    began = time.perf_counter()
                    begun = begun or began
                    made = _attempt(job, self._through, loaded)
                    ended = time.perf_counter()
                    self.busy_seconds += ended - began
                    self.wall_seconds = ended - begun
                    if isinstance(made, Done):
                        # no stamp: it is not what was read that failed
                        stamp = loaded.stamp if loaded.unchanged else None
                        self._saves.put((size, _ready(replace(made, stamp=stamp))))
                    else:
                        save = self._writers.submit(_attempt, job, run.save, made, self._desk)
                        self._saves.put((size, save))
                    continue
                if isinstance(loaded, Done):
                    self._saves.put((size, _ready(loaded)))
                    continue
                loaded.close()
            except KeyboardInterrupt:
                pass  # raised by ourselves, after a tile
            except BaseException as error:
                broken = error
                self._stop.set()
            self._budget.give(size)
        self._saves.put(None)
        if broken is not None:
            raise broken

    def _through(self, loaded: Loaded) -> Restored:
        def progress(done: int, total: int) -> None:
            if self._stop.is_set() and done < total:
                raise KeyboardInterrupt  # after the tile
            self._events.put(Tiles(done, total))

        return run.restore(loaded, self._restorer, self._desk, progress)

    def _collect(self) -> None:
        broken: BaseException | None = None
        while (item := self._saves.get()) is not None:
            size, save = item
            try:
                done = save.result()
                if done.error is not None and not done.job.skip:
                    self._note(done)
                self._events.put(self._told(done))
            except BaseException as error:
                broken = error
                self._stop.set()
            finally:
                self._budget.give(size)
        if broken is not None:
            raise broken

    def _told(self, done: Done) -> Done:
        if done.job.skip or not self.wall_seconds:
            return done
        return replace(done, network_busy=min(1.0, self.busy_seconds / self.wall_seconds))

    def _note(self, done: Done) -> None:
        try:
            self._desk.note(done)
        except MoceError as error:  # the picture's own error is told already
            log.warning(error.message)


def _attempt(job: Job, step: Callable[..., Result], *arguments: object) -> Result | Done:
    begun = time.perf_counter()
    try:
        return step(*arguments)
    except BrokenPipeError:
        raise  # nobody listens any more
    except Exception as error:
        return failed(job, error, time.perf_counter() - begun)


def _ready(done: Done) -> Future[Done]:
    future: Future[Done] = Future()
    future.set_result(done)
    return future


def _earlier(job: Job) -> MoceError | None:
    return job.earlier.failure() if job.skip == "failed" and job.earlier else None


def _size_bytes(job: Job, settings: Settings) -> int:
    """What a picture takes while it is under way; 0 where that can't be told."""
    if job.source is None:
        return 0
    try:
        header = probe(job.source, max_pixels=settings.max_pixels)
        in_bands = url_of(job.source) is None and bands.in_bands(job, job.source, settings)
    except MoceError:
        return 0  # said when its turn comes
    height = min(header.height, bands.MEMORY_ROWS) if in_bands else header.height
    return picture_bytes(height, header.width, header.depth)
