"""Pictures: from files to pixels and back, with nothing lost in silence.

Convention: height before width, top before left; pixels are (H, W, C), never premultiplied,
standing upright.
"""

from __future__ import annotations

from moce_cli.pictures.convert import from_pillow, to_pillow
from moce_cli.pictures.encoding import Encoding
from moce_cli.pictures.formats import EXTENSIONS, FORMATS, Format, format_for, format_named
from moce_cli.pictures.picture import Header, Picture, Source, to_depth
from moce_cli.pictures.profile import encoding_of
from moce_cli.pictures.reading import MAX_PIXELS, probe, read, spool
from moce_cli.pictures.storage import SUBSAMPLINGS, Storage
from moce_cli.pictures.writing import write

__all__ = [
    "EXTENSIONS",
    "FORMATS",
    "MAX_PIXELS",
    "SUBSAMPLINGS",
    "Encoding",
    "Format",
    "Header",
    "Picture",
    "Source",
    "Storage",
    "encoding_of",
    "format_for",
    "format_named",
    "from_pillow",
    "probe",
    "read",
    "spool",
    "to_depth",
    "to_pillow",
    "write",
]
