"""Pictures larger than memory: PNG, JPEG and TIFF read and written some rows at a time.

Memory follows width x rows, never height x width. Pixels are as `pictures.read` gives them, upright
and in the file's own encoding, and a file that is written holds what `pictures.write` would put
into it. libvips decodes (the extra `large`); the writers are those of `pictures`, given rows.
"""

from __future__ import annotations

from moce_cli.pictures.large.facts import BandFacts
from moce_cli.pictures.large.reader import BandReader, open_bands, why_not_bands
from moce_cli.pictures.large.vips import library
from moce_cli.pictures.large.writer import BandWriter, disk_bytes, why_not_written

__all__ = [
    "BandFacts",
    "BandReader",
    "BandWriter",
    "disk_bytes",
    "library",
    "open_bands",
    "why_not_bands",
    "why_not_written",
]
