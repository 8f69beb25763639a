"""Pictures that are restored in bands, since they are large: which, from where, to where."""

from __future__ import annotations

import contextlib
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from moce_cli.errors import MoceError, UsageError
from moce_cli.pictures import format_for, format_named, probe
from moce_cli.pictures.large import (
    BandReader,
    BandWriter,
    open_bands,
    why_not_bands,
    why_not_written,
)
from moce_cli.pictures.memory import fits

if TYPE_CHECKING:
    from moce_cli.batch.desk import Settings
    from moce_cli.batch.jobs import Job
    from moce_cli.restoration import Report, Restorer
    from moce_cli.restoration.engine import Progress

Bands = Literal["auto", "always", "never"]
FROM_PIXELS = 50_000_000
"""`auto`: smaller pictures are held in memory, where they fit."""
MEMORY_ROWS = 1024
"""As many rows as a picture in bands has in memory, decoded, at most."""


def parse_bands(text: str) -> Bands:
    """The value of `--bands`.

    Raises:
        UsageError: it is none.
    """
    if text in ("auto", "always", "never"):
        return text
    raise UsageError(f"{text!r} is not known", "--bands takes auto, always or never")


def output_format(job: Job, of_source: str) -> str:
    """The format that a job's result will have, a key of `FORMATS`."""
    if job.format is not None:
        return format_named(job.format)
    return of_source if job.target is None else format_for(job.target)


def in_bands(job: Job, path: Path, settings: Settings, name: str | None = None) -> bool:
    """Whether a picture is to be restored in bands.

    Args:
        job: whose result is asked for.
        path: of the picture.
        settings: say when.
        name: what to call it.

    Raises:
        UsageError: it is always to be so, and can't be.
        InputError: it can't be read.
    """
    if settings.bands == "never":
        return False
    try:
        regular = stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return False  # reading says it better
    if not regular:
        return False
    header = probe(path, max_pixels=settings.max_pixels, name=name)
    small = header.height * header.width < FROM_PIXELS
    if settings.bands == "auto" and small and fits(header.height, header.width, header.depth):
        return False
    reason = why_not_bands(header) or why_not_written(output_format(job, header.format))
    if reason is not None and settings.bands == "always":
        raise UsageError(f"{name or path} can't be restored in bands: {reason}", "use --bands auto")
    return reason is None


def open_in_bands(
    job: Job, path: Path, settings: Settings, name: str | None = None
) -> BandReader | None:
    """Open a picture that is to be restored in bands; None for another."""
    if not in_bands(job, path, settings, name):
        return None
    return open_bands(path, max_pixels=settings.max_pixels, name=name)


@dataclass(frozen=True, slots=True)
class Written:
    """A result that is on disk already, under a name that nobody has seen."""

    part: Path
    format: str
    notes: tuple[str, ...]
    """What the format could not hold."""


def restore_in_bands(
    reader: BandReader,
    part: Path,
    job: Job,
    restorer: Restorer,
    settings: Settings,
    progress: Progress | None,
) -> tuple[Written, Report]:
    """From a file into another, which is checked.

    Args:
        reader: of the picture; closed at the end.
        part: where the result goes, for the time being; gone again if something goes wrong.
        job: whose result it is.
        restorer: that does the work.
        settings: how.
        progress: as for `Restorer.restore`.

    Raises:
        MoceError: it can't be read, restored or written.
    """
    kind = output_format(job, reader.header.format)
    if progress is not None:
        reader.while_turning = lambda: progress(0, 1)  # it may want to stop
    with reader, contextlib.ExitStack() as stack:

        def begin() -> BandWriter:
            stack.pop_all().close()  # what an earlier attempt wrote is removed
            nonlocal writer
            writer = stack.enter_context(
                BandWriter(part, reader, format=kind, storage=settings.storage)
            )
            return writer

        writer: BandWriter | None = None
        report = restorer.restore_bands(
            reader,
            begin,
            **settings.manner(),
            progress=progress,
        )
        assert writer is not None
        check_seam(job, report, settings)
        return Written(part, kind, writer.finish()), report


def check_seam(job: Job, report: Report, settings: Settings) -> None:
    """Refuse a result whose tiles show.

    Raises:
        MoceError: with the score.
    """
    if settings.max_seam is not None and report.seam > settings.max_seam:
        raise MoceError(
            f"tile borders show in {job.name}: a seam score of {report.seam:.3f}, "
            f"--max-seam is {settings.max_seam:g}",
            "use a larger --overlap or --tile",
        )
