"""How `moce degrade` writes a picture: with a record of its damage."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from moce_cli.batch import Job
    from moce_cli.degradations import Plan
    from moce_cli.pictures import Picture


def write_degraded(
    job: Job,
    degraded: Picture,
    plan: Plan,
    seed: tuple[int, int],
    *,
    quality: int | None,
    overwrite: bool,
) -> tuple[str, ...]:
    """Write it with a record of its damage; sentences about what could not be kept."""
    import io
    import sys
    from dataclasses import replace

    from moce_cli.degradations.record import as_json, with_record
    from moce_cli.errors import OutputError
    from moce_cli.pictures import FORMATS, format_for, write

    own = FORMATS.get(degraded.source.format)
    format = own.name if own is not None and own.writable else "PNG"
    if job.format is not None or job.target is not None:
        format = job.format or format_for(str(job.target))
    source = replace(degraded.source, lossy=False)  # so that WebP keeps what was made
    told, notes = with_record(replace(degraded, source=source), as_json(plan, *seed), format)
    notes = (*degraded.source.notes, *notes)
    if format == "JPEG" or (format == "WebP" and quality is not None):
        notes = (*notes, f"{format} compresses once more what was made; PNG keeps it as it is")
    if job.target is not None:
        lost = write(told, job.target, format=format, quality=quality, overwrite=overwrite)
        return (*notes, *lost)
    if sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison] -- closed
        raise OutputError("standard output is closed")
    buffer = io.BytesIO()
    lost = write(told, buffer, format=format, quality=quality)
    try:
        sys.stdout.buffer.write(buffer.getbuffer())
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"standard output cannot be written: {error.strerror}") from error
    return (*notes, *lost)
