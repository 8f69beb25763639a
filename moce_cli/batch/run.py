"""The second and third step of a batch: a picture is restored, and written."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from moce_cli.batch import remote
from moce_cli.batch.bands import Written, check_seam, restore_in_bands
from moce_cli.batch.desk import Desk, Done, Settings
from moce_cli.batch.jobs import Job
from moce_cli.batch.journal import Stamp
from moce_cli.batch.loading import Loaded, changed
from moce_cli.batch.naming import check_inside
from moce_cli.batch.remote import shown, url_of
from moce_cli.batch.staging import place
from moce_cli.errors import InputError, OutputError
from moce_cli.pictures import Picture, format_for, write
from moce_cli.pictures.large import BandReader

if TYPE_CHECKING:
    from moce_cli.restoration import Report, Restorer
    from moce_cli.restoration.engine import Progress


@dataclass(frozen=True, slots=True)
class Restored:
    """A picture that went through the network."""

    job: Job
    picture: Picture | Written
    report: Report
    stamp: Stamp | None
    seconds: float


def restore(loaded: Loaded, restorer: Restorer, desk: Desk, progress: Progress | None) -> Restored:
    """The second step; of a picture in bands it is written as well, under another name.

    Raises:
        MoceError: it came to nothing, or its tiles show.
    """
    begun = time.perf_counter()
    job, picture, settings = loaded.job, loaded.picture, desk.settings
    if isinstance(picture, BandReader):
        with picture:
            made, report = _in_bands(loaded, picture, restorer, desk, progress)
    else:
        result = restorer.restore(
            picture,
            **settings.manner(),
            progress=progress,
        )
        made, report = result.picture, result.report
        check_seam(job, report, settings)
    seconds = loaded.seconds + time.perf_counter() - begun
    return Restored(job, made, report, loaded.stamp, seconds)


def _in_bands(
    loaded: Loaded, reader: BandReader, restorer: Restorer, desk: Desk, progress: Progress | None
) -> tuple[Written, Report]:
    job = loaded.job
    part = _part(job, desk)
    with _about(job.target, part):
        try:
            made = restore_in_bands(reader, part, job, restorer, desk.settings, progress)
        except InputError as error:
            if loaded.unchanged:
                raise
            raise changed(job) from error
    if not loaded.unchanged:
        part.unlink(missing_ok=True)
        raise changed(job)
    return made


def _part(job: Job, desk: Desk) -> Path:
    """Where a job's result is written before it is renamed."""
    target = job.target
    with _about(target):
        if target is None:
            return desk.staging.file(Path(tempfile.gettempdir()) / "pipe")
        if url_of(target) is not None:
            return desk.staging.file(remote.spool(target))
        check_inside(target, job.root)
        target.parent.mkdir(parents=True, exist_ok=True)
        return desk.staging.file(target)


def save(restored: Restored, desk: Desk) -> Done:
    """The third step: written, checked, noted, renamed.

    The journal's line comes first. Where no result follows it, the files tell.

    Raises:
        OutputError: it cannot be written.
        BrokenPipeError: nobody reads standard output any more.
    """
    begun = time.perf_counter()
    job, picture, report = restored.job, restored.picture, restored.report
    settings = desk.settings
    if job.target is None:
        lost = _to_standard_output(picture, job, settings)
        seconds = restored.seconds + time.perf_counter() - begun
        return Done(job, report, None, (*report.notes, *lost), seconds)
    target = job.target
    here = url_of(target) is None
    with contextlib.ExitStack() as stack:
        part = picture.part if isinstance(picture, Written) else _part(job, desk)
        stack.enter_context(_about(target, part))
        try:
            if isinstance(picture, Written):
                lost = picture.notes
            else:
                kind = job.format or format_for(target)
                lost = write(picture, part, format=kind, storage=settings.storage)
            if settings.preserve and job.source is not None:
                if here and url_of(job.source) is None:
                    _preserve(job.source, part)
                else:
                    lost = (*lost, "times and permissions are kept of local files alone")
            seconds = restored.seconds + time.perf_counter() - begun
            done = Done(job, report, None, (*report.notes, *lost), seconds)
            if desk.journal is not None:
                desk.note(done, restored.stamp, Stamp.of(part))
            if here:
                place(part, target, replace=job.replace)
            else:
                remote.put(part, target, replace=job.replace)
        finally:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
    return done


@contextlib.contextmanager
def _about(target: Path | None, part: Path | None = None) -> Generator[None, None, None]:
    """What is said of a name that nobody has seen is said of the target."""
    name = "standard output" if target is None else shown(target)
    try:
        yield
    except OutputError as error:
        message = error.message
        if part is not None:
            message = message.replace(str(part), name)
        if part is not None and target is not None:
            message = message.replace(str(part.parent), shown(target.parent))
        raise type(error)(message, error.hint) from error
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise OutputError(f"{name} can't be written: {reason}") from error


def _preserve(source: Path, part: Path) -> None:
    found = source.stat()
    part.chmod(stat.S_IMODE(found.st_mode))
    os.utime(part, ns=(found.st_atime_ns, found.st_mtime_ns))


def _to_standard_output(
    picture: Picture | Written, job: Job, settings: Settings
) -> tuple[str, ...]:
    if sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison] -- closed
        raise OutputError("standard output is closed")
    with contextlib.ExitStack() as stack:
        if isinstance(picture, Written):
            stack.callback(picture.part.unlink, missing_ok=True)
            given: BinaryIO = stack.enter_context(picture.part.open("rb"))
            lost = picture.notes
        else:
            given = io.BytesIO()
            kind = job.format or picture.source.format
            lost = write(picture, given, format=kind, storage=settings.storage)
            given.seek(0)
        try:
            shutil.copyfileobj(given, sys.stdout.buffer, 2**20)
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OutputError(f"standard output cannot be written: {error.strerror}") from error
    return lost
