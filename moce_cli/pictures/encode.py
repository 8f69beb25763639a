"""A picture as the bytes of a file, and a sentence for each thing the format can't hold."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from moce_cli.errors import OutputError
from moce_cli.pictures import avif, exr, jpeg_write, png_write, tiff_write
from moce_cli.pictures import exif as exif_block
from moce_cli.pictures.fitting import fit_frames, stripped
from moce_cli.pictures.formats import FORMATS, Format
from moce_cli.pictures.gif_write import encode as encode_gif
from moce_cli.pictures.jpeg_write import DEFAULT_QUALITY
from moce_cli.pictures.picture import Picture, to_depth
from moce_cli.pictures.storage import Storage

MOST_PLAYS = 65535  # of a WebP; a GIF counts as many repeats
AVIF_QUALITY = 90
_AVIF_SUBSAMPLINGS = {"444": "4:4:4", "422": "4:2:2", "420": "4:2:0"}
Frames = tuple[Picture, ...]
LOSSLESS = ("PNG", "TIFF", "BMP", "EXR")


@dataclass(frozen=True, slots=True)
class Encoded:
    """A file's bytes.

    Attributes:
        data: the bytes.
        notes: a sentence for each thing that the format could not hold or use.
        frames: what the file holds, as it should be read again.
        lossless: whether to the last bit.
    """

    data: bytes
    notes: tuple[str, ...]
    frames: tuple[Picture, ...]
    lossless: bool


def encode(picture: Picture, name: str, storage: Storage) -> Encoded:
    """The picture, with its further frames, as a file.

    Args:
        picture: to write.
        name: a key of `FORMATS`.
        storage: see `write`.

    Raises:
        OutputError: the picture is too large for the format.
    """
    known = FORMATS[name]
    for frame in (picture, *picture.further):
        check_sides(frame.height, frame.width, known)
    if storage.strip_metadata:
        picture = stripped(picture)
    frames, notes = fit_frames(picture, known)
    notes = (*notes, *storage.unused(known))
    first = frames[0]
    lossless = name in LOSSLESS
    if name == "PNG":
        data = png_write.encode(frames, storage.png_compression)
    elif name == "TIFF":
        data = tiff_write.encode(frames)
    elif name == "EXR":
        data = exr.encode(first)
        lossless = first.alpha is None  # colours are multiplied by alpha there
    elif name == "GIF":
        data, frames, more = encode_gif(frames)
        notes = (*notes, *more)
    elif name == "BMP":
        out, dpi = io.BytesIO(), (first.source.dpi or (0, 0))[::-1]  # else Pillow states 96
        _image(first).save(out, "BMP", dpi=dpi)
        data = out.getvalue()
    elif name == "WebP":
        lossless = storage.quality is None and not first.source.lossy
        data = _webp(frames, storage, lossless=lossless)
    elif name == "AVIF":
        data, frames, more = _avif(frames, storage)
        notes = (*notes, *more)
    else:
        data = jpeg_write.encode(first, storage)
    return Encoded(data, tuple(dict.fromkeys(notes)), frames, lossless)


def check_sides(height: int, width: int, known: Format) -> None:
    """Refuse a picture whose sides a format can't state.

    Raises:
        OutputError: with what it holds.
    """
    if max(height, width) > known.max_side:
        raise OutputError(
            f"{known.name} holds sides up to {known.max_side} pixels; this picture is "
            f"{width} x {height}",
            hint="PNG and TIFF hold it",
        )


def _image(picture: Picture) -> Image.Image:
    """For Pillow; grey with alpha as RGBA, which all formats know that know alpha."""
    samples = picture.pixels
    if picture.alpha is not None:
        if samples.shape[2] == 1:
            samples = np.repeat(samples, 3, axis=2)
        samples = np.concatenate([samples, picture.alpha[:, :, None]], axis=2)
    return Image.fromarray(samples[:, :, 0] if samples.shape[2] == 1 else samples)


def timing(frames: Frames) -> list[int]:
    """How long each frame is shown, in whole milliseconds that do not drift."""
    ends = np.cumsum([frame.source.duration_ms or 0 for frame in frames]).round().astype(int)
    return np.diff(ends, prepend=0).tolist()


def _webp(frames: Frames, storage: Storage, *, lossless: bool) -> bytes:
    out, first = io.BytesIO(), frames[0]
    source = first.source
    options: dict[str, object] = {}
    if len(frames) > 1:
        options = {
            "save_all": True,
            "append_images": [_image(frame) for frame in frames[1:]],
            "duration": timing(frames),
            "loop": min(source.loops or 0, MOST_PLAYS),
        }
    _image(first).save(
        out,
        "WEBP",
        lossless=lossless,
        quality=75 if lossless else storage.number(DEFAULT_QUALITY),
        exact=True,  # colours under full transparency stay
        icc_profile=source.icc,
        exif=source.exif or b"",
        xmp=source.xmp or b"",
        **options,
    )
    return out.getvalue()


def _avif(frames: Frames, storage: Storage) -> tuple[bytes, Frames, tuple[str, ...]]:
    """With 10 or 12 bits where there is one deep frame, else with 8."""
    notes: tuple[str, ...] = ()
    quality = storage.number(AVIF_QUALITY)
    if frames[0].depth == 16:
        data = avif.encode_deep(frames[0], quality) if len(frames) == 1 else None
        if data is not None:
            return data, frames, avif.lost_deep(frames[0], quality, storage.subsampling)
        notes = ("AVIF was stored with 8 bits: 16-bit values were rounded",)
        frames = tuple(
            replace(
                frame,
                pixels=to_depth(frame.pixels, 8),
                alpha=None if frame.alpha is None else to_depth(frame.alpha, 8),
            )
            for frame in frames
        )
    out, first = io.BytesIO(), frames[0]
    source = first.source
    grey = all(frame.channels == 1 for frame in frames)
    options: dict[str, object] = {}
    if len(frames) > 1:
        more = [_image(frame) for frame in frames[1:]]
        options = {"save_all": True, "append_images": more, "duration": timing(frames)}
    _image(first).save(
        out,
        "AVIF",
        quality=quality,
        subsampling="4:0:0" if grey else _AVIF_SUBSAMPLINGS[storage.subsampling or "444"],
        max_threads=1,  # else the bytes depend on the machine
        icc_profile=source.icc,
        # with an orientation Pillow would write all of it anew, and makers' notes elsewhere
        exif=exif_block.without_orientation(source.exif) if source.exif else b"",
        xmp=source.xmp or b"",
        **options,
    )
    return out.getvalue(), frames, notes
