"""The flow of `moce restore`: plan, run, tell."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import threading
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from moce_cli.cli.console import console
from moce_cli.cli.machine import Machine
from moce_cli.cli.restore_plan import announce, tell_plan
from moce_cli.cli.restore_tell import Summary, line, row

if TYPE_CHECKING:
    from moce_cli.batch import Desk, Event, Job, Request, Settings, Stop, Work

MOST_PROBED = 2000
"""Pictures whose sizes are asked for before a batch begins, to show the time that is left."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How it is told, and when it ends."""

    as_json: bool
    quiet: bool
    fail_fast: bool
    dry_run: bool


def listed(files_from: str | None, inputs: list[str]) -> tuple[str, ...]:
    """The names of `--files-from`.

    Raises:
        InputError: the list cannot be read, or names nothing.
        UsageError: standard input would be read twice.
    """
    from moce_cli.batch import read_list
    from moce_cli.errors import InputError, UsageError

    if files_from is None:
        return ()
    if files_from == "-" and "-" in inputs:
        raise UsageError("standard input cannot be both a list and a picture", "name a file")
    try:
        data = sys.stdin.buffer.read() if files_from == "-" else Path(files_from).read_bytes()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(f"the list {files_from} cannot be read: {reason}") from error
    if not (names := read_list(data)):
        raise InputError(f"the list {files_from} names no pictures")
    return names


def run(request: Request, settings: Settings, machine: Machine, manner: Manner) -> None:
    """Do what was asked for.

    Raises:
        MoceError: it cannot begin; or the only picture failed.
        typer.Exit: some of several failed.
        KeyboardInterrupt: it was stopped.
    """
    from moce_cli.batch import Work, bring
    from moce_cli.errors import UsageError

    if machine.cluster is not None and request.watch:
        raise UsageError("--watch and --engine ray exclude each other", "drop one of them")
    path = request.journal_path
    there = request.journal_place
    if there is not None and there != path and request.resumes:
        bring(there)
    kept = path is not None and (request.resumes or not manner.dry_run)
    sha256 = machine.weights_sha256() if kept else None
    work = Work(machine.model, sha256, settings.facts() | machine.facts())
    jobs = [] if request.watch else request.jobs(work)
    if manner.dry_run:
        tell_plan(jobs or request.jobs(work), machine, settings, as_json=manner.as_json)
        return
    if len(jobs) == 1:
        _check_readable(jobs[0], settings.max_pixels)  # a bad file needs no network to be refused
    summary, stop = Summary(len(jobs)), threading.Event()
    fate = _Fate()
    with _desk(request, settings, work, jobs) as desk, _signals(stop, desk, fate):
        busy = _all(request, machine, manner, jobs, desk, summary, stop)
    alone = len(jobs) == 1
    if not alone and (len(jobs) or summary.restored or summary.failures):
        summary.tell(console, busy)
    if fate.interrupted and (summary.left or request.watch):
        raise KeyboardInterrupt
    if summary.failures and alone:
        assert summary.failures[0].error is not None
        raise summary.failures[0].error
    if summary.failures:
        raise typer.Exit(1)


@dataclass(slots=True)
class _Fate:
    interrupted: bool = False


@contextlib.contextmanager
def _desk(
    request: Request, settings: Settings, work: Work, jobs: list[Job]
) -> Generator[Desk, None, None]:
    """Journal and staging, open while the batch runs; what a killed run left is swept away."""
    from moce_cli.batch import CopiedJournal, Desk, Journal, Staging, make_folders

    path = request.journal_path
    if path is None or len(jobs) == 1:
        make_folders(jobs)  # of a batch each as it is needed: one that fails is not the end
    there = request.journal_place
    if path is None or there is None:
        journal = None
    else:
        journal = Journal(path) if path == there else CopiedJournal(there, path)
    staging = Staging.of_journal(path) if path is not None else Staging()
    if path is not None:
        staging.sweep(
            {path.parent, Path(tempfile.gettempdir())}
            | {job.target.parent for job in jobs if job.target}
        )
    try:
        yield Desk(settings, staging, work, journal)
    finally:
        staging.close()
        if journal is not None:
            journal.close()


@contextlib.contextmanager
def _signals(stop: Stop, desk: Desk, fate: _Fate) -> Generator[None, None, None]:
    from moce_cli.batch import interruptible

    def first() -> None:
        fate.interrupted = True
        if not console.quiet:
            with contextlib.suppress(OSError, ValueError):  # the console may be in use just now
                os.write(sys.stderr.fileno(), b"stopping after this tile; again to stop at once\n")

    with interruptible(stop, first=first, last=desk.staging.close):
        yield


def _all(
    request: Request,
    machine: Machine,
    manner: Manner,
    jobs: list[Job],
    desk: Desk,
    summary: Summary,
    stop: Stop,
) -> float | None:
    """Run them, and tell of each; returns the share of the time that the network ran."""
    from moce_cli.batch import Done, Pipeline, Workers

    if not request.watch and all(job.skip for job in jobs):  # the network need not be read
        earlier = (
            Done(job, error=job.earlier.failure() if job.skip == "failed" and job.earlier else None)
            for job in jobs
        )
        _follow(earlier, jobs, summary, manner, desk, stop)
        return None
    todo = _watched(request, desk.work, stop) if request.watch else jobs
    if machine.cluster is not None:
        _follow(machine.on_cluster(desk, stop).run(todo), jobs, summary, manner, desk, stop)
        return None
    machines = machine.each()
    if len(machines) > 1:
        workers = Workers([m.restorer for m in machines], desk, stop)
        _follow(workers.run(todo), jobs, summary, manner, desk, stop)
        return None
    restorer = machine.restorer()
    if len(jobs) == 1 and not manner.quiet:
        announce(jobs[0], restorer, desk.settings)
    pipeline = Pipeline(restorer, desk, stop)
    _follow(pipeline.run(todo), jobs, summary, manner, desk, stop)
    return pipeline.busy_seconds / pipeline.wall_seconds if pipeline.wall_seconds else None


def _follow(
    events: Iterable[Event],
    jobs: list[Job],
    summary: Summary,
    manner: Manner,
    desk: Desk,
    stop: Stop,
) -> None:
    """Show what happens while it happens."""
    from moce_cli.batch import Began, Tiles
    from moce_cli.cli.progress import BatchProgress

    alone = len(jobs) == 1
    with BatchProgress(console, len(jobs), 0, hidden=manner.quiet) as progress:
        sizes = _sizes(jobs, desk.settings.max_pixels, live=progress.live)
        progress.expect(sum(sizes.values()))
        for event in events:
            if isinstance(event, Began):
                progress.start_file(event.job.name, sizes.get(event.job.name, 0))
            elif isinstance(event, Tiles):
                progress.tile(event.done, event.total)
            else:
                summary.add(event)
                if manner.as_json:
                    console.json(row(event))
                # of one picture the error itself says it all
                told = "" if alone and event.error else line(event)
                experts = event.report.experts if event.report else None
                progress.end_file(told, experts, sizes.get(event.job.name, 0))
                for warning in event.warnings:
                    console.warn(f"{event.job.name}: {warning}")
                if event.error and not alone and not event.earlier:
                    console.error(event.error)
                if event.error and not event.earlier and manner.fail_fast:
                    stop.set()


def _watched(request: Request, work: Work, stop: Stop) -> Iterator[Job]:
    from moce_cli.batch import watch

    return watch(lambda: request.jobs(work), stop)


def _check_readable(job: Job, max_pixels: int) -> None:
    from moce_cli.batch.remote import url_of
    from moce_cli.pictures import probe

    if job.source is not None and not job.skip and url_of(job.source) is None:
        probe(job.source, max_pixels=max_pixels)


def _sizes(jobs: list[Job], max_pixels: int, *, live: bool) -> dict[str, int]:
    """How much work each job is, for the bars; 0 where that can't be told."""
    from moce_cli.errors import MoceError
    from moce_cli.pictures import probe

    sizes: dict[str, int] = {}
    if not live or len(jobs) > MOST_PROBED:
        return sizes
    for job in jobs:
        if job.source is not None and not job.skip:
            with contextlib.suppress(MoceError):  # said when its turn comes
                size = probe(job.source, max_pixels=max_pixels)
                sizes[job.name] = size.height * size.width
    return sizes
