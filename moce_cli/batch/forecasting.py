"""What a batch will take, picture by picture, before it begins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moce_cli.batch.bands import in_bands, output_format
from moce_cli.batch.desk import Settings
from moce_cli.batch.jobs import Job
from moce_cli.batch.remote import url_of
from moce_cli.pictures import Header, probe
from moce_cli.pictures.large import disk_bytes, why_not_written

if TYPE_CHECKING:
    from moce_cli.restoration import Forecast, Restorer


def forecast_of(
    job: Job, restorer: Restorer, settings: Settings, *, timed: bool = True
) -> Forecast | None:
    """What a picture will take; None where that can't be told before it is read.

    Raises:
        MoceError: it can't be read, or can't be restored as it is asked for.
    """
    from moce_cli.restoration import Asked
    from moce_cli.restoration.where import How, Wanted, part_seen

    if job.source is None or url_of(job.source) is not None:
        return None
    header = probe(job.source, max_pixels=settings.max_pixels)
    bands = in_bands(job, job.source, settings)
    channels = (1 if header.mode.startswith("grey") else 3) + header.mode.endswith("+alpha")
    kind = output_format(job, header.format)
    held = 8 if header.depth <= 8 else 16 if header.depth <= 16 else 32
    how = How(**settings.manner())
    everything = how.region is None and how.mask is None
    part = wanted = None
    if bands and not everything:
        wanted = Wanted(how, header.height, header.width)
    elif not everything:
        box = part_seen(how.weight(header.height, header.width), header.height, header.width)
        part = box.height, box.width
    asked = Asked(
        header.height,
        header.width,
        channels,
        held // 8,
        header.frames,
        bands,
        _disk_bytes(header, channels, held, kind, in_bands=bands),
        8 if settings.ensemble else 1,
        part,
        wanted,
        0 if how.mask is None else how.mask.nbytes,
    )
    return restorer.forecast(asked, timed=timed)


def _disk_bytes(header: Header, channels: int, depth: int, kind: str, *, in_bands: bool) -> int:
    """The output's, at most; and a temporary file's, where a picture is turned upright in bands."""
    known = kind if why_not_written(kind) is None else "PNG"
    output = disk_bytes(header.height, header.width, channels, depth, known) * header.frames
    turned = in_bands and header.orientation > 2
    return output + (header.height * header.width * channels * depth // 8 if turned else 0)
