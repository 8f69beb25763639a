"""Options of `moce restore` that concern what is in a picture, and how it is stored."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from moce_cli.pictures import Storage

PANEL = "Picture"
STORAGE = "Output"

RegionText = Annotated[
    str | None,
    typer.Option(
        "--region",
        metavar="TOP,LEFT,HEIGHT,WIDTH",
        help="Restore only this rectangle, in pixels of the upright picture.",
        rich_help_panel=PANEL,
    ),
]
MaskFile = Annotated[
    Path | None,
    typer.Option(
        "--mask",
        metavar="FILE",
        help="Restore only where this picture, of the same size, is white.",
        rich_help_panel=PANEL,
    ),
]
Ensemble = Annotated[
    bool,
    typer.Option(
        "--ensemble",
        help="The mean over eight flips and rotations: a little better, eight times the time.",
        rich_help_panel=PANEL,
    ),
]
BandsText = Annotated[
    str,
    typer.Option(
        "--bands",
        metavar="auto|always|never",
        help="Never hold a PNG, JPEG or TIFF whole in memory; auto: from 50 megapixels on, "
        "or what memory can't hold.",
        rich_help_panel="Machine",
    ),
]
Quality = Annotated[
    str | None,
    typer.Option(
        metavar="1..100|source",
        help="Of JPEG, WebP and AVIF; source: as coarse as the JPEG that is read.",
        rich_help_panel=STORAGE,
    ),
]
Subsampling = Annotated[
    str | None,
    typer.Option(
        metavar="444|422|420", help="Colour detail of JPEG and AVIF.", rich_help_panel=STORAGE
    ),
]
PngCompression = Annotated[
    int | None,
    typer.Option(min=0, max=9, help="0 is quick, 9 small.", rich_help_panel=STORAGE),
]
StripMetadata = Annotated[
    bool,
    typer.Option(
        "--strip-metadata",
        help="Leave out EXIF, GPS, XMP, IPTC and comments; the colour profile stays.",
        rich_help_panel=STORAGE,
    ),
]


def storage(
    quality: str | None, subsampling: str | None, png_compression: int | None, *, strip: bool
) -> Storage:
    """How results are stored.

    Raises:
        UsageError: a value out of range.
    """
    from moce_cli.errors import UsageError
    from moce_cli.pictures import Storage

    number = int(quality) if quality and quality.isdecimal() and quality.isascii() else None
    if quality is not None and number is None and quality != "source":
        raise UsageError(f"{quality!r} is no quality", "--quality takes 1 to 100, or source")
    chosen = number if number is not None else "source" if quality else None
    if subsampling is not None:
        subsampling = subsampling.replace(":", "")
    return Storage(chosen, subsampling, png_compression, strip)
