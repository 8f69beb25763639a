"""A picture as the bytes of a file, and a sentence for each thing the format can't hold."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
from PIL import Image

from moce_cli.errors import OutputError
from moce_cli.pictures import exif as exif_block
from moce_cli.pictures import png_write, tiff_write
from moce_cli.pictures.formats import FORMATS, Format
from moce_cli.pictures.ifd import DamagedError
from moce_cli.pictures.picture import Picture, Source, to_depth

DEFAULT_QUALITY = 95
# The luminance table of quality 90 sums to this; a source's tables are kept if they are as fine.
FINE_LUMINANCE_SUM = 736
MAX_DPI = 65535  # what JPEG can state
MARKER_BYTES = 65533  # of data in one JPEG segment
_XMP_BYTES = MARKER_BYTES - 29  # behind its identifier
_NAMES = {
    "icc": "colour profile",
    "exif": "EXIF data",
    "xmp": "XMP data",
    "iptc": "IPTC data",
    "dpi": "resolution",
}


def encode(picture: Picture, name: str, quality: int | None) -> tuple[bytes, tuple[str, ...]]:
    """The file's bytes, and what the format could not hold.

    Args:
        picture: to write.
        name: a key of `FORMATS`.
        quality: 1 to 100; see `write`.

    Raises:
        OutputError: the picture is too large for the format.
    """
    known = FORMATS[name]
    if max(picture.height, picture.width) > known.max_side:
        raise OutputError(
            f"{name} holds sides up to {known.max_side} pixels; this picture is "
            f"{picture.width} x {picture.height}",
            hint="PNG and TIFF hold it",
        )
    fitted, notes = _fit(picture, known)
    if name == "PNG":
        return png_write.encode(fitted), notes
    if name == "TIFF":
        return tiff_write.encode(fitted), notes
    return _by_pillow(fitted, name, quality), notes


def _fit(picture: Picture, known: Format) -> tuple[Picture, tuple[str, ...]]:
    """What of the picture the format can hold."""
    notes: list[str] = []
    pixels, alpha = picture.pixels, picture.alpha
    if picture.depth not in known.depths:
        notes.append(f"{known.name} holds 8 bits: 16-bit values were rounded")
        pixels = to_depth(pixels, 8)
        alpha = None if alpha is None else to_depth(alpha, 8)
    if alpha is not None and not known.alpha:
        notes.append(f"{known.name} holds no alpha: the picture was laid on white")
        weight = alpha.astype(np.uint32)[:, :, None]
        mixed = pixels * weight + 255 * (255 - weight)
        pixels, alpha = ((mixed + 127) // 255).astype(np.uint8), None
    if pixels.shape[2] == 1 and not known.grey:
        notes.append(f"{known.name} holds no grey: it was stored as RGB")
    source, more = _fit_metadata(picture, known)
    return Picture(pixels, alpha, source), (*notes, *more)


def _fit_metadata(picture: Picture, known: Format) -> tuple[Source, list[str]]:
    notes: list[str] = []
    source = picture.source
    if source.dpi and not all(1 <= dots <= MAX_DPI for dots in source.dpi):
        notes.append(f"a resolution of {source.dpi} dots per inch is none: it was dropped")
        source = replace(source, dpi=None)
    if source.exif:
        try:
            block = exif_block.upright(source.exif, height=picture.height, width=picture.width)
        except DamagedError as error:
            block = None
            notes.append(f"the EXIF data was dropped: {error}")
        source = replace(source, exif=block)
    for field, told in _NAMES.items():
        if getattr(source, field) and field not in known.holds:
            if field != "dpi" or not exif_block.states_dpi(source.exif):
                notes.append(f"{known.name} holds no {told}: it was dropped")
            source = replace(source, **{field: None})
    if known.name == "JPEG":
        for field, most in (("exif", MARKER_BYTES - 6), ("xmp", _XMP_BYTES), ("iptc", 65000)):
            data = getattr(source, field)
            if data and len(data) > most:
                told = _NAMES[field]
                notes.append(f"JPEG holds {told} of up to {most} bytes: {len(data)} were dropped")
                source = replace(source, **{field: None})
    if "text" not in known.holds:
        kept = [t for t in source.text if known.name == "JPEG" and t[0].lower() == "comment"][:1]
        dropped = [keyword for keyword, _ in source.text if keyword not in [k for k, _ in kept]]
        if dropped:
            listed = ", ".join(repr(keyword) for keyword in dropped)
            notes.append(f"{known.name} holds no text named {listed}: it was dropped")
        source = replace(source, text=tuple(kept))
    if source.png_chunks and "png_chunks" not in known.holds:
        if not source.icc and any(n in (b"gAMA", b"cICP") for n, _ in source.png_chunks):
            notes.append(f"{known.name} can't say how a PNG's colours are encoded: dropped")
        source = replace(source, png_chunks=())
    return source, notes


def _by_pillow(picture: Picture, name: str, quality: int | None) -> bytes:
    source = picture.source
    samples = picture.pixels
    if picture.alpha is not None:
        if samples.shape[2] == 1:
            samples = np.repeat(samples, 3, axis=2)
        samples = np.concatenate([samples, picture.alpha[:, :, None]], axis=2)
    image = Image.fromarray(samples[:, :, 0] if samples.shape[2] == 1 else samples)
    out = io.BytesIO()
    dpi = None if source.dpi is None else (source.dpi[1], source.dpi[0])
    if name == "BMP":
        image.save(out, "BMP", dpi=dpi or (0, 0))  # else Pillow states 96
    elif name == "WebP":
        lossless = quality is None and not source.lossy
        image.save(
            out,
            "WEBP",
            lossless=lossless,
            quality=75 if lossless else quality or DEFAULT_QUALITY,
            exact=True,  # colours under full transparency stay
            icc_profile=source.icc,
            exif=source.exif or b"",
            xmp=source.xmp or b"",
        )
    else:
        options: dict[str, object] = {}
        if quality is None and _fine(source):
            options["qtables"] = [list(table) for table in source.quantisation]
            options["subsampling"] = source.subsampling or 0
        else:
            options["quality"] = quality or DEFAULT_QUALITY
            options["subsampling"] = 0
        if dpi:
            options["dpi"] = dpi
        if source.text:  # `_fit_metadata` has left a comment
            options["comment"] = source.text[0][1].encode("utf-8")[:MARKER_BYTES]
        if source.iptc:
            options["extra"] = _photoshop(source.iptc)
        image.save(
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


def _photoshop(iptc: bytes) -> bytes:
    """An APP13 segment that holds IPTC records as Photoshop's resource 0x0404."""
    body = b"Photoshop 3.0\x008BIM\x04\x04\0\0" + len(iptc).to_bytes(4, "big") + iptc
    body += b"\0" * (len(iptc) % 2)
    return b"\xff\xed" + (len(body) + 2).to_bytes(2, "big") + body
