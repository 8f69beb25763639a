"""JPEG written, with every kind of metadata that it holds."""

from __future__ import annotations

import io

from PIL import Image

from moce_cli.pictures import exif as exif_block
from moce_cli.pictures import iptc
from moce_cli.pictures.picture import Picture, Pixels, Source
from moce_cli.pictures.storage import SUBSAMPLINGS, Storage

DEFAULT_QUALITY = 95
# The luminance table of quality 90 sums to this; a source's tables are kept if they are as fine.
FINE_LUMINANCE_SUM = 736


def encode(picture: Picture, storage: Storage) -> bytes:
    """The picture, grey or RGB, 8-bit, without alpha, as a JPEG."""
    return compress(picture.pixels, picture.source, storage)


def compress(pixels: Pixels, source: Source, storage: Storage, *, restart_rows: int = 0) -> bytes:
    """Pixels, (H, W, 1 or 3) uint8, as a JPEG.

    Args:
        pixels: to compress.
        source: the metadata, and a JPEG source's tables.
        storage: see `write`.
        restart_rows: rows of blocks after which coding starts anew; 0: never.
    """
    out = io.BytesIO()
    options: dict[str, object] = {}
    wanted = storage.quality == "source" or (storage.quality is None and _fine(source))
    if wanted and source.quantisation:
        options["qtables"] = [list(table) for table in source.quantisation]
        options["subsampling"] = source.subsampling or 0
    else:
        options["quality"] = storage.number(DEFAULT_QUALITY)
        options["subsampling"] = 0
    if storage.subsampling:
        options["subsampling"] = SUBSAMPLINGS[storage.subsampling]
    if source.dpi:
        options["dpi"] = source.dpi[::-1]
    if restart_rows:
        options["restart_marker_rows"] = restart_rows
    extra = iptc.segment(source.iptc) if source.iptc else b""
    for _, text in source.text:  # `fit` has left comments alone
        comment = text.encode("utf-8")
        extra += b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment
    if extra:
        options["extra"] = extra
    Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(
        out,
        "JPEG",
        icc_profile=source.icc,
        exif=exif_block.PREFIX + source.exif if source.exif else b"",
        xmp=source.xmp or b"",
        **options,
    )
    return out.getvalue()


def _fine(source: Source) -> bool:
    """The source's own JPEG tables do not throw away what was restored."""
    tables = source.quantisation
    return bool(tables) and sum(tables[0]) <= FINE_LUMINANCE_SUM
