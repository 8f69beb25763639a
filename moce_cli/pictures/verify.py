"""What was written, read again and compared with what should be there."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import numpy as np

from moce_cli.errors import InputError, OutputError
from moce_cli.pictures import exif
from moce_cli.pictures.encode import MOST_PLAYS, Encoded
from moce_cli.pictures.ifd import DamagedError
from moce_cli.pictures.picture import Picture, Pixels, Source
from moce_cli.pictures.reading import read

MOST_LOSS = 0.1
"""Share of full scale that a lossy format may change the means of blocks."""
BLOCK = 16
"""Rows and columns of a block."""
_OTHER_MEANS = ("Raw profile type ", "XML:com.adobe.xmp")  # texts that PNG means otherwise
_DOTS = 0.51  # JPEG counts whole ones
_SECONDS = 0.02  # by which a format may round a frame's time


def verify(written: Path | BinaryIO, encoded: Encoded) -> None:
    """Read a file again: size, depth, channels, alpha, pixels, frames, timing and metadata.

    Raises:
        OutputError: it is not what was given.
    """
    stated = sum(frame.height * frame.width for frame in encoded.frames)
    try:
        found = read(written, max_pixels=stated, whole=True, name="it")
    except InputError as error:
        raise OutputError(f"what was written can't be read again: {error.message}") from error
    wanted = encoded.frames[0]
    if (found.height, found.width) != (wanted.height, wanted.width):
        raise OutputError(
            f"what was written is {found.width} x {found.height}, not "
            f"{wanted.width} x {wanted.height}"
        )
    frames = (found, *found.further)
    if len(frames) == len(encoded.frames):
        for given, seen in zip(encoded.frames, frames, strict=True):
            # an animation need not keep colours that are never seen, nor what is lossy
            hidden = encoded.lossless and len(frames) == 1
            _compare(given, seen, lossless=encoded.lossless, hidden=hidden)
    elif encoded.lossless or len(frames) > len(encoded.frames):
        raise OutputError(f"{len(frames)} of {len(encoded.frames)} frames were written")
    _compare_timing(encoded.frames, frames)
    compare_metadata(wanted.source, found.source)


def _compare(given: Picture, seen: Picture, *, lossless: bool, hidden: bool) -> None:
    if seen.depth != given.depth:
        raise OutputError(f"what was written has {seen.depth} bits, not {given.depth}")
    if lossless and seen.channels != given.channels:
        raise OutputError(f"what was written has {seen.channels} channels, not {given.channels}")
    if given.alpha is not None and seen.alpha is None:
        most = 1 if given.alpha.dtype.kind == "f" else np.iinfo(given.alpha.dtype).max
        if (given.alpha != most).any():
            raise OutputError("what was written has no alpha")
    if given.alpha is not None and seen.alpha is not None:
        _compare_samples(given.alpha[:, :, None], seen.alpha[:, :, None], lossless=lossless)
    pixels = given.pixels, seen.pixels
    if not hidden and given.alpha is not None:
        pixels = (
            given.pixels * (given.alpha > 0)[:, :, None],
            (seen.pixels * (given.alpha > 0)[:, :, None]),
        )
    _compare_samples(*pixels, lossless=lossless)


def _compare_samples(given: Pixels, seen: Pixels, *, lossless: bool) -> None:
    if lossless:
        if not np.array_equal(given, seen):
            raise OutputError("what was written differs from the picture")
        return
    if seen.shape[2] != given.shape[2]:
        seen = seen.mean(axis=2, keepdims=True)
    scale = 1.0 if given.dtype.kind == "f" else float(np.iinfo(given.dtype).max)
    check_loss(float(np.mean(np.abs(coarse(given) - coarse(seen)))) / scale)


def check_loss(loss: float) -> None:
    """Refuse what no coding with loss does.

    Args:
        loss: share of full scale by which the means of blocks differ.

    Raises:
        OutputError: it is too much.
    """
    if loss > MOST_LOSS:
        raise OutputError(f"what was written differs from the picture by {loss:.2g} of full scale")


def coarse(samples: Pixels) -> Pixels:
    """The means of blocks, which coding with loss keeps; what is less than a block is left out.

    Args:
        samples: (H, W, C).

    Returns:
        (H // 16, W // 16, C) float32; of a picture smaller than a block the one mean.
    """
    height, width, channels = samples.shape
    rows, columns = min(BLOCK, height), min(BLOCK, width)
    cut = samples[: height // rows * rows, : width // columns * columns]
    blocks = cut.reshape(height // rows, rows, width // columns, columns, channels)
    return blocks.mean(axis=(1, 3), dtype=np.float32)


def _compare_timing(given: tuple[Picture, ...], seen: tuple[Picture, ...]) -> None:
    if given[0].source.duration_ms is None or len(given) == 1:
        return
    wanted = sum(frame.source.duration_ms or 0 for frame in given)
    total = sum(frame.source.duration_ms or 0 for frame in seen)
    if len(seen) > 1 and seen[0].source.format != "AVIF":  # which plays for ever
        plays, again = (min(f[0].source.loops or 0, MOST_PLAYS) for f in (given, seen))
        if plays != again:
            raise OutputError(f"what was written plays {again} times, not {plays}: 0 is for ever")
    if len(seen) > 1 and abs(wanted - total) > 1000 * _SECONDS:
        raise OutputError(f"what was written lasts {total:.0f} ms, not {wanted:.0f}")


def compare_metadata(given: Source, seen: Source) -> None:
    """Compare what came with a picture with what was read again.

    Raises:
        OutputError: something of it is not there.
    """
    for field, told in (("icc", "colour profile"), ("xmp", "XMP data"), ("iptc", "IPTC data")):
        if getattr(given, field) and getattr(given, field) != getattr(seen, field):
            raise OutputError(f"the {told} was not written as it is")
    if given.exif and given.exif != seen.exif:
        _compare_exif(given.exif, seen.exif)
    if given.dpi:
        dots = seen.dpi or (0.0, 0.0)
        if not all(abs(a - b) <= _DOTS for a, b in zip(given.dpi, dots, strict=True)):
            raise OutputError(f"what was written has {dots} dots per inch, not {given.dpi}")
    texts = "\n".join(text for _, text in seen.text)
    for keyword, text in given.text:
        if text.rstrip("\0") not in texts and not keyword.startswith(_OTHER_MEANS):
            raise OutputError(f"the text named {keyword!r} was not written as it is")


def _same(value: bytes, other: bytes) -> bool:
    """A damaged block's value may cover the block's header, whose offset is written anew."""
    if len(value) != len(other):
        return False
    return sum(a != b for a, b in zip(value, other, strict=True)) <= (4 if len(value) > 8 else 0)


def _compare_exif(given: bytes, seen: bytes | None) -> None:
    try:
        wanted = exif.facts(given)
    except DamagedError:
        return  # no tag of it can be carried
    found = exif.facts(seen) if seen else {}
    in_order = seen is not None and given[:2] == seen[:2]
    for at, value in wanted.items():
        if at not in found or (in_order and not _same(value, found[at])):
            raise OutputError(f"the EXIF data was not written as it is: tag {at[1]:#06x}")
