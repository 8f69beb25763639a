"""One picture in three steps: read, restored, written. What goes wrong becomes its own sentence."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
import stat
import sys
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from moce_cli.batch import remote
from moce_cli.batch.desk import Desk, Done, Settings, failed
from moce_cli.batch.jobs import Job
from moce_cli.batch.journal import Stamp
from moce_cli.batch.naming import check_inside
from moce_cli.batch.remote import shown, url_of
from moce_cli.batch.staging import place
from moce_cli.errors import InputError, MoceError, OutputError
from moce_cli.pictures import Picture, format_for, probe, read, write
from moce_cli.pictures.memory import check_fits

if TYPE_CHECKING:
    from moce_cli.restoration import Report, Restorer
    from moce_cli.restoration.engine import Progress


@dataclass(frozen=True, slots=True)
class Loaded:
    """A picture that was read."""

    job: Job
    picture: Picture
    stamp: Stamp | None
    """Of the file, where a journal is kept."""
    seconds: float


@dataclass(frozen=True, slots=True)
class Restored:
    """A picture that went through the network."""

    job: Job
    picture: Picture
    report: Report
    stamp: Stamp | None
    seconds: float


def open_picture(source: Path | None, max_pixels: int, *, whole: bool = False) -> Picture:
    """Read a picture that is known to fit; None is standard input; `whole` is as for `read`.

    Raises:
        InputError: it cannot be read.
        DeviceError: it is larger than memory.
    """
    if source is None:
        if sys.stdin is None:  # pyright: ignore[reportUnnecessaryComparison] -- closed
            raise InputError("standard input is closed")
        pipe = sys.stdin.buffer
        return read(pipe, max_pixels=max_pixels, name="standard input", whole=whole)
    header = probe(source, max_pixels=max_pixels)
    rows = header.height * (header.frames if whole else 1)
    check_fits(str(source), rows, header.width, header.depth)
    return read(source, max_pixels=max_pixels, whole=whole)


def load(job: Job, desk: Desk) -> Loaded | Done:
    """The first step; a picture that can't be read is done, with the stamp of what was there."""
    if job.source is not None and url_of(job.source) is not None:
        return _load_from_elsewhere(job, job.source, desk)
    begun = time.perf_counter()
    stamp = None
    if desk.journal is not None and job.source is not None:
        with contextlib.suppress(OSError):  # reading says it better
            if stat.S_ISREG(job.source.stat().st_mode):
                stamp = Stamp.of(job.source)
    try:
        picture = open_picture(job.source, desk.settings.max_pixels, whole=True)
    except Exception as error:
        made: Picture | Exception = error
    else:
        made = picture
    if stamp is not None and job.source is not None and not _same(job.source, stamp):
        # no stamp: it is not this file that failed, and the next run tries again
        made = InputError(f"{job.name} changed while it was read", "run again when it is whole")
        stamp = None
    seconds = time.perf_counter() - begun
    if isinstance(made, Exception):
        return dataclasses.replace(failed(job, made, seconds), stamp=stamp)
    return Loaded(job, made, stamp, seconds)


def _load_from_elsewhere(job: Job, source: Path, desk: Desk) -> Loaded | Done:
    begun = time.perf_counter()
    part = desk.staging.file(remote.spool(source))
    try:
        look = remote.fetch(source, part)
        seconds = time.perf_counter() - begun
        loaded = load(dataclasses.replace(job, source=part), desk)
    finally:
        part.unlink(missing_ok=True)
    stamp = loaded.stamp and Stamp(look.size_bytes, look.mtime_ns, loaded.stamp.sha256)
    seconds += loaded.seconds
    made = dataclasses.replace(loaded, job=job, stamp=stamp, seconds=seconds)
    if isinstance(made, Done) and made.error is not None:
        made.error.message = made.error.message.replace(str(part), job.name)
    return made


def _same(path: Path, stamp: Stamp) -> bool:
    try:
        found = path.stat()
    except OSError:
        return False
    return (found.st_size, found.st_mtime_ns) == (stamp.size_bytes, stamp.mtime_ns)


def restore(
    loaded: Loaded, restorer: Restorer, settings: Settings, progress: Progress | None
) -> Restored:
    """The second step.

    Raises:
        MoceError: it came to nothing, or its tiles show.
    """
    begun = time.perf_counter()
    result = restorer.restore(
        loaded.picture,
        strength=settings.strength,
        region=settings.region,
        mask=None if settings.mask is None else settings.mask.pixels,
        ensemble=settings.ensemble,
        progress=progress,
    )
    report = result.report
    if settings.max_seam is not None and report.seam > settings.max_seam:
        raise MoceError(
            f"tile borders show in {loaded.job.name}: a seam score of {report.seam:.3f}, "
            f"--max-seam is {settings.max_seam:g}",
            "use a larger --overlap or --tile",
        )
    seconds = loaded.seconds + time.perf_counter() - begun
    return Restored(loaded.job, result.picture, report, loaded.stamp, seconds)


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
    with _about(target):
        if here:
            check_inside(target, job.root)
            target.parent.mkdir(parents=True, exist_ok=True)
        part = desk.staging.file(target if here else remote.spool(target))
        try:
            lost = write(
                picture, part, format=job.format or format_for(target), storage=settings.storage
            )
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
        except OutputError as error:  # said of a name that nobody has seen
            message = error.message.replace(str(part), shown(target))
            message = message.replace(str(part.parent), shown(target.parent))
            raise type(error)(message, error.hint) from error
        finally:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
    return done


@contextlib.contextmanager
def _about(target: Path) -> Generator[None, None, None]:
    try:
        yield
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise OutputError(f"{shown(target)} can't be written: {reason}") from error


def _preserve(source: Path, part: Path) -> None:
    found = source.stat()
    part.chmod(stat.S_IMODE(found.st_mode))
    os.utime(part, ns=(found.st_atime_ns, found.st_mtime_ns))


def _to_standard_output(picture: Picture, job: Job, settings: Settings) -> tuple[str, ...]:
    if sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison] -- closed
        raise OutputError("standard output is closed")
    buffer = io.BytesIO()
    lost = write(
        picture, buffer, format=job.format or picture.source.format, storage=settings.storage
    )
    try:
        sys.stdout.buffer.write(buffer.getbuffer())
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"standard output cannot be written: {error.strerror}") from error
    return lost
