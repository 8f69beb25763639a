"""Runs jobs one after the other: a bad one is reported, the rest goes on."""

from __future__ import annotations

import io
import logging
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from moce_cli.batch.jobs import Job
from moce_cli.errors import DeviceError, InputError, MoceError, OutputError
from moce_cli.pictures import Picture, probe, read, write

if TYPE_CHECKING:
    from moce_cli.restoration import Report, Restorer
    from moce_cli.restoration.engine import Progress

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a job."""

    job: Job
    report: Report | None = None
    error: MoceError | None = None
    warnings: tuple[str, ...] = ()
    """What could not be kept."""
    seconds: float = 0.0
    """Reading and writing included."""

    @property
    def skipped(self) -> bool:
        """The output was there already."""
        return self.report is None and self.error is None


@dataclass(frozen=True, slots=True)
class Settings:
    """How each picture is done."""

    strength: float = 1.0
    max_pixels: int = 1_000_000_000
    overwrite: bool = False
    quality: int | None = None
    max_seam: float | None = None


def run_jobs(
    jobs: Sequence[Job],
    restorer: Restorer,
    settings: Settings,
    progress: Progress | None = None,
) -> Iterator[Done]:
    """Restore each picture and write it.

    Args:
        jobs: as planned.
        restorer: that does the work.
        settings: of each picture.
        progress: called with tiles done and tiles in all of the picture at hand.
    """
    for job in jobs:
        begun = time.perf_counter()
        if job.exists:
            yield Done(job)
            continue
        try:
            report, warnings = _run(job, restorer, settings, progress)
        except BrokenPipeError:
            raise  # nobody listens any more
        except MoceError as error:
            yield Done(job, error=error, seconds=time.perf_counter() - begun)
        except MemoryError:
            error = DeviceError(f"{job.name}: out of memory", "use a smaller --tile")
            yield Done(job, error=error, seconds=time.perf_counter() - begun)
        except Exception as error:
            # no picture may end a batch, whatever it does to the code
            log.debug("%s", job.name, exc_info=True)
            reason = f"unexpected {type(error).__name__}: {error}".splitlines()[0]
            failure = MoceError(f"{job.name}: {reason}", "run it alone with -v -v, and report it")
            yield Done(job, error=failure, seconds=time.perf_counter() - begun)
        else:
            yield Done(job, report=report, warnings=warnings, seconds=time.perf_counter() - begun)


def open_picture(source: Path | None, max_pixels: int) -> Picture:
    """Read a picture that is known to fit; None is standard input.

    Raises:
        InputError: it cannot be read.
        DeviceError: it is larger than memory.
    """
    from moce_cli.restoration.plan import check_fits

    if source is None:
        if sys.stdin is None:  # pyright: ignore[reportUnnecessaryComparison] -- closed
            raise InputError("standard input is closed")
        return read(sys.stdin.buffer, max_pixels=max_pixels, name="standard input")
    header = probe(source, max_pixels=max_pixels)
    check_fits(str(source), header.height, header.width, header.depth)
    return read(source, max_pixels=max_pixels)


def _run(
    job: Job, restorer: Restorer, settings: Settings, progress: Progress | None
) -> tuple[Report, tuple[str, ...]]:
    picture = open_picture(job.source, settings.max_pixels)
    result = restorer.restore(picture, strength=settings.strength, progress=progress)
    report = result.report
    if settings.max_seam is not None and report.seam > settings.max_seam:
        raise MoceError(
            f"tile borders show in {job.name}: a seam score of {report.seam:.3f}, "
            f"--max-seam is {settings.max_seam:g}",
            "use a larger --overlap or --tile",
        )
    if job.target is None:
        if sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison] -- closed
            raise OutputError("standard output is closed")
        buffer = io.BytesIO()
        lost = write(
            result.picture,
            buffer,
            format=job.format or picture.source.format,
            quality=settings.quality,
        )
        try:
            sys.stdout.buffer.write(buffer.getbuffer())
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OutputError(f"standard output cannot be written: {error.strerror}") from error
    else:
        lost = write(
            result.picture,
            job.target,
            format=job.format,
            quality=settings.quality,
            overwrite=settings.overwrite,
        )
    return report, (*report.notes, *lost)
