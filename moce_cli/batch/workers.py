"""Several devices: a process each, fed picture by picture; what one leaves when it dies goes on."""

from __future__ import annotations

import logging
import multiprocessing
import multiprocessing.connection
import os
import queue
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING

from moce_cli.batch.desk import Desk, Done, Settings
from moce_cli.batch.jobs import Job
from moce_cli.batch.journal import Journal, Work, read_book
from moce_cli.batch.pipeline import AHEAD, POLL_SECONDS, Began, Event, Pipeline, Stop
from moce_cli.batch.resume import Resume
from moce_cli.batch.staging import Staging
from moce_cli.errors import DeviceError, MoceError

if TYPE_CHECKING:
    from moce_cli.restoration import Restorer

log = logging.getLogger(__name__)

WINDOW = AHEAD + 2
"""Pictures that a worker holds, at most."""
MOST_DEATHS = 3
"""A device whose workers die so often gets no more."""
_STOP = "stop"

Maker = Callable[[], "Restorer"]
"""Makes a restorer on its device; goes to another process."""


@dataclass(frozen=True, slots=True)
class _Recipe:
    """A desk that can be sent to another process."""

    settings: Settings
    tag: str
    work: Work
    journal: Path | None


@dataclass(slots=True)
class _Worker:
    make: Maker
    process: BaseProcess
    line: Connection
    held: dict[str, Job] = field(default_factory=dict[str, Job])
    current: Job | None = None
    """What its network is at."""
    deaths: int = 0
    ending: bool = False


class Workers:
    """Runs jobs in one process for each device; results come as they are made.

    A worker that dies is replaced, and what it held is done by whoever is free; a picture whose
    worker died twice fails.

    Args:
        makers: one for each device.
        desk: where results go; workers write to its journal too.
        stop: asks to stop.
    """

    def __init__(self, makers: Sequence[Maker], desk: Desk, stop: Stop) -> None:
        self._makers, self._desk, self._stop = makers, desk, stop
        self._waiting: deque[Job] = deque()
        self._coming: queue.Queue[Job | None] = queue.Queue(WINDOW)
        self._exhausted = False
        self._broken: BaseException | None = None
        self._guilty: dict[str, int] = {}
        self._workers: list[_Worker] = []

    def run(self, jobs: Iterable[Job]) -> Iterator[Event]:
        """Do all jobs.

        Args:
            jobs: asked for one by one, in a thread.

        Raises:
            MoceError: a device cannot be used.
        """
        self._workers = [self._start(make) for make in self._makers]
        feeder = threading.Thread(target=self._feed, args=(jobs,), daemon=True)
        feeder.start()
        try:
            while self._workers:
                if self._broken is not None:
                    raise self._broken
                yield from self._hand_out()
                lines = [worker.line for worker in self._workers]
                for line in multiprocessing.connection.wait(lines, POLL_SECONDS):
                    worker = next(w for w in self._workers if w.line is line)
                    yield from self._listen(worker)
            if self._waiting and not self._stop.is_set():
                raise DeviceError("all workers died", "run again with -v and one --device")
        finally:
            self._stop.set()
            self._end()

    def _feed(self, jobs: Iterable[Job]) -> None:
        try:
            for job in jobs:
                while not self._stop.is_set():
                    try:
                        self._coming.put(job, timeout=POLL_SECONDS)
                        break
                    except queue.Full:
                        continue
                if self._stop.is_set():
                    return
        except BaseException as error:  # told by the thread that listens
            self._broken = error
        finally:
            self._exhausted = True

    def _start(self, make: Maker) -> _Worker:
        context = multiprocessing.get_context("spawn")  # torch and forks do not go together
        ours, theirs = context.Pipe()
        desk = self._desk
        journal = desk.journal.path if desk.journal else None
        recipe = _Recipe(desk.settings, desk.staging.tag, desk.work, journal)
        process = context.Process(target=_serve, args=(theirs, make, recipe), daemon=True)
        process.start()
        theirs.close()
        return _Worker(make, process, ours)

    def _next(self) -> Job | None:
        if self._waiting:
            return self._waiting.popleft()
        try:
            return self._coming.get_nowait()
        except queue.Empty:
            return None

    def _hand_out(self) -> Iterator[Event]:
        """Give each worker what it has room for, evenly; skipped jobs need none."""
        for room in range(WINDOW):
            for worker in self._workers:
                if worker.ending or len(worker.held) > room or self._stop.is_set():
                    continue
                while (job := self._next()) is not None and job.skip:
                    earlier = (
                        job.earlier.failure() if job.skip == "failed" and job.earlier else None
                    )
                    yield Done(job, error=earlier)
                if job is None:
                    break
                worker.held[str(job.target)] = job
                self._say(worker, job)
        over = self._exhausted and self._coming.empty() and not self._waiting
        if self._stop.is_set() or (over and not any(w.held for w in self._workers)):
            for worker in self._workers:
                if not worker.ending:
                    worker.ending = True
                    self._say(worker, _STOP if self._stop.is_set() else None)

    def _say(self, worker: _Worker, what: object) -> None:
        try:
            worker.line.send(what)
        except OSError:
            log.debug("a worker is gone")  # as listening to it will tell

    def _listen(self, worker: _Worker) -> Iterator[Event]:
        try:
            event = worker.line.recv()
        except (EOFError, OSError):
            yield from self._bury(worker)
            return
        if isinstance(event, BaseException):
            raise event
        if isinstance(event, Began):
            worker.current = event.job
        elif isinstance(event, Done):
            worker.held.pop(str(event.job.target), None)
            if worker.current == event.job:
                worker.current = None
        yield event

    def _bury(self, worker: _Worker) -> Iterator[Event]:
        """Hand on what a dead worker held, unless it was ready; replace it."""
        worker.process.join()
        self._workers.remove(worker)
        held = list(worker.held.values())
        folders = {job.target.parent for job in held if job.target}
        self._desk.staging.sweep(folders, worker.process.pid)
        if not held and worker.ending:
            return
        log.warning(
            "a worker ended with code %s; its %d pictures are done by another",
            worker.process.exitcode,
            len(held),
        )
        if self._desk.journal is not None:
            resume = Resume(read_book(self._desk.journal.path), self._desk.work)
            held = list(resume.settle(held))
        suspect = worker.current or (held[0] if held else None)
        for job in held:
            name = str(job.target)
            if suspect is not None and str(suspect.target) == name and not job.skip:
                self._guilty[name] = self._guilty.get(name, 0) + 1
            if self._guilty.get(name, 0) > 1:
                error = DeviceError(f"{job.name}: its worker died twice", "use a smaller --tile")
                done = Done(job, error=error)
                self._desk.note(done)
                yield done
            elif job.skip == "failed":
                yield Done(replace(job, skip=""), error=job.earlier and job.earlier.failure())
            elif job.skip:
                yield Done(job)
            elif not self._stop.is_set():
                self._waiting.append(job)
        if worker.deaths + 1 < MOST_DEATHS and not self._stop.is_set():
            heir = self._start(worker.make)
            heir.deaths = worker.deaths + 1
            self._workers.append(heir)

    def _end(self) -> None:
        for worker in self._workers:
            self._say(worker, _STOP)
        until = time.monotonic() + 60
        for worker in self._workers:
            worker.process.join(max(0.1, until - time.monotonic()))
            if worker.process.is_alive():
                worker.process.kill()


def _serve(line: Connection, make: Maker, recipe: _Recipe) -> None:
    """A worker's life; it ends when its parent says so, or is no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all: the parent passes it on
    threading.Thread(target=_die_with_parent, daemon=True).start()
    stop = threading.Event()
    staging = Staging(recipe.tag)
    journal = Journal(recipe.journal, alone=False) if recipe.journal else None

    def jobs() -> Iterator[Job]:
        while True:
            try:
                said = line.recv()
            except (EOFError, OSError):
                said = _STOP
            if said == _STOP:
                stop.set()
            if not isinstance(said, Job):
                return
            yield said

    try:
        desk = Desk(recipe.settings, staging, recipe.work, journal)
        for event in Pipeline(make(), desk, stop).run(jobs()):
            line.send(event)
    except BrokenPipeError:
        pass  # the parent has gone
    except MoceError as error:
        line.send(error)
    finally:
        staging.close()
        line.close()


def _die_with_parent() -> None:
    """End at once with a parent that was killed: the run that goes on must meet nobody at work."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)
