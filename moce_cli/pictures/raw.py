"""A camera's raw file, made into a picture by LibRaw with the camera's white balance.

The result is 16-bit sRGB, not brightened: highlights are kept, and a dark exposure stays dark.
Source: DNG 1.7; LibRaw's documentation of its output parameters.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, BinaryIO

import numpy as np

from moce_cli.pictures import exif
from moce_cli.pictures.decode import Samples
from moce_cli.pictures.extras import needed
from moce_cli.pictures.ifd import DamagedError, Directories
from moce_cli.pictures.picture import Source
from moce_cli.pictures.tiff import IPTC, XMP

_MAKE, _SUB_TABLES, _DNG_VERSION, _SUBFILE = 271, 330, 50706, 254
_LAST_STANDARD = 50000  # DNG's own tags, and other makers', lie above
_SENSOR = frozenset({33421, 33422, 37398, 37399})
_NOTE = "developed from the camera's raw data with its white balance"


@dataclass(frozen=True, slots=True)
class Raw:
    """A file that was opened, not developed."""

    height: int
    width: int
    source: Source
    file: BinaryIO

    def decode(self) -> Samples:
        """Develop it."""
        with _opened(self.file) as opened:
            rawpy = needed("RAW")
            pixels: Any = opened.postprocess(
                use_camera_wb=True,
                no_auto_bright=True,
                output_bps=16,
                output_color=rawpy.ColorSpace.sRGB,
                gamma=(2.4, 12.92),
            )
        return Samples(np.ascontiguousarray(pixels), notes=(_NOTE,))


def is_raw(file: BinaryIO) -> bool:
    """Whether a TIFF is a camera's raw file: DNG, NEF, ARW, CR2, PEF and their like."""
    try:
        tables = Directories(file)
        tags, _ = tables.read(tables.first)
    except DamagedError:
        return False
    finally:
        file.seek(0)
    head = file.read(12)
    file.seek(0)
    if _DNG_VERSION in tags or head[8:10] == b"CR":
        return True
    subfile = tags.get(_SUBFILE)
    preview = subfile is not None and (*subfile.integers(tables.order), 0)[0] & 1
    return bool(preview) and _SUB_TABLES in tags and _MAKE in tags


def open_raw(file: BinaryIO) -> Raw:
    """Read a file's header.

    Raises:
        InputError: rawpy is not installed.
        Exception: of several kinds, when the file is damaged.
    """
    with _opened(file) as opened:
        sizes = opened.sizes
        height, width = sizes.iheight, sizes.iwidth
        if sizes.flip in (5, 6):
            height, width = width, height
    return Raw(height, width, _source(file), file)


def _opened(file: BinaryIO) -> Any:  # noqa: ANN401 -- the package has no types
    rawpy = needed("RAW")
    file.seek(0)
    return rawpy.imread(file)


def _source(file: BinaryIO) -> Source:
    """What a raw file that is built like a TIFF says, without what describes its sensor."""
    plain = Source(format="RAW", depth=16, mode="RGB")
    try:
        tables = Directories(file)
        tags, _ = tables.read(tables.first)
        kept = {n: e for n, e in tags.items() if n < _LAST_STANDARD and n not in _SENSOR}
        block = exif.from_tiff(tables, kept)
    except DamagedError:
        return replace(plain, notes=("the EXIF data of such a raw file can't be read",))
    packet, records = (tags[n].data if n in tags else b"" for n in (XMP, IPTC))
    return replace(plain, exif=block, xmp=packet or None, iptc=records or None)
