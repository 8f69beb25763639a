"""From a file that was examined to a picture: decoded, turned upright, with all its frames."""

from __future__ import annotations

from dataclasses import replace
from typing import BinaryIO

import numpy as np
from PIL import Image

from moce_cli.pictures import avif, decode, exif, png
from moce_cli.pictures.decode import Samples
from moce_cli.pictures.examine import Facts, page
from moce_cli.pictures.fitting import whole_numbers
from moce_cli.pictures.frames import alike, check_frames, frames, plays
from moce_cli.pictures.ifd import DamagedError
from moce_cli.pictures.picture import Header, Picture, Pixels, Source
from moce_cli.pictures.tiff_pixels import decode_wide
from moce_cli.wording import counted


def pixels_of(file: BinaryIO, facts: Facts, *, max_pixels: int, whole: bool) -> Picture:
    """Decode a file.

    Args:
        file: seekable.
        facts: what `examine` found in it.
        max_pixels: the most of all frames together.
        whole: see `read`.

    Raises:
        Exception: of many kinds; see `examine`.
    """
    if facts.frames > 1 and whole:
        if facts.tiff is not None:
            return _pages(file, facts, max_pixels)
        check_frames(facts.frames, facts.height, facts.width, max_pixels)
        return _animation(file, facts)
    notes: list[str] = []
    if facts.frames > 1:
        notes.append(f"the first of {facts.frames} pages or frames was taken")
    picture = _upright(_decoded(file, facts), facts, notes)
    return picture if whole or picture.depth != 32 else _sixteen(picture)


def _sixteen(picture: Picture) -> Picture:
    notes: list[str] = []
    done = whole_numbers(picture, 16, "its floating-point samples became 16-bit ones", notes)
    return replace(done, source=replace(done.source, notes=(*done.source.notes, *notes)))


def _decoded(file: BinaryIO, facts: Facts) -> Samples:
    """The samples as stored."""
    icc = facts.source.icc
    if facts.png is not None:
        return png.decode(file, facts.png, icc)
    if facts.tiff is not None:
        facts.tiff.check_supported()
        if facts.tiff.is_ours:
            return decode_wide(file, facts.tiff, icc)
        file.seek(0)
        with Image.open(file, formats=["TIFF"]) as image:
            image.seek(facts.tiff.index)
            found = decode.samples(image, icc)
        if facts.tiff.depth == 12:
            found = replace(found, pixels=found.pixels << 4 | found.pixels >> 8)
        return found
    if facts.further is not None:
        return facts.further.decode()
    if facts.source.format == "AVIF" and facts.source.depth > 8:
        deep = avif.decode_deep(file, facts.source.depth, icc)
        if deep is not None:
            return deep
    assert facts.image is not None
    found = decode.samples(facts.image, icc)
    if facts.source.mode.startswith("grey") and _same_channels(found.pixels):
        found = replace(found, pixels=found.pixels[:, :, :1].copy())  # grey with alpha in an AVIF
    if facts.source.depth > 8:
        note = f"{facts.source.depth}-bit samples were read with 8"
        found = replace(found, notes=(*found.notes, note))
    return found


def _same_channels(pixels: Pixels) -> bool:
    return bool((pixels == pixels[:, :, :1]).all())


def _upright(found: Samples, facts: Facts, notes: list[str]) -> Picture:
    """A picture of decoded samples."""
    turned_by_pillow = facts.tiff is not None and not facts.tiff.is_ours
    turn = 1 if turned_by_pillow else facts.orientation
    pixels = decode.upright(found.pixels, turn)
    alpha = None if found.alpha is None else decode.upright(found.alpha, turn)
    header = facts.header
    if pixels.shape[:2] != (header.height, header.width):
        raise DamagedError(f"its pixels are {pixels.shape[:2]}, not as its header says")
    notes = [*found.notes, *notes]
    notes += depth_notes(header)
    if pixels.dtype.kind == "f" and float(np.mean(pixels > 1)) > 0.5:
        notes.append("most of it is brighter than white (1.0): was it stored in another range?")
    source = replace(facts.source, icc=found.icc)
    return Picture(pixels, alpha, upright_source(source, facts.orientation, header, notes))


def _pages(file: BinaryIO, facts: Facts, max_pixels: int) -> Picture:
    """All pages of a TIFF, each with what it says of itself."""
    assert facts.tiff is not None
    every = [facts] + [page(facts.tiff.page(n)) for n in range(1, facts.frames)]
    largest = max(f.height for f in every), max(f.width for f in every)
    check_frames(1, sum(f.height * f.width for f in every), 1, max_pixels)
    check_frames(1, *largest, max_pixels)
    left = facts.tiff.skipped
    some = counted(left, "preview or mask was", "previews or masks were")
    said = [f"{some} left out"] if left else []
    first, *further = [
        _upright(_decoded(file, one), one, [] if index else said) for index, one in enumerate(every)
    ]
    return replace(first, further=tuple(further))


def _animation(file: BinaryIO, facts: Facts) -> Picture:
    """All frames of a GIF, WebP, PNG or AVIF, each as it is seen, with its time."""
    kind = facts.source.format
    found = alike(list(frames(file, kind, facts.frames, facts.source.icc)))
    notes: list[str] = []
    if facts.source.depth > 8:
        notes.append(f"frames of {facts.source.depth} bits were read with 8")
    file.seek(0)
    with Image.open(file, formats=[kind]) as image:
        loops = plays(image, kind)
    pictures: list[Picture] = []
    for frame in found:
        timed = replace(facts.source, duration_ms=frame.duration_ms, loops=loops)
        pictures.append(_upright(frame.samples, replace(facts, source=timed), notes))
    return replace(pictures[0], further=tuple(pictures[1:]))


def depth_notes(header: Header) -> list[str]:
    """What became of samples of less than 8 bits."""
    if header.mode.startswith("palette") and header.format != "GIF":
        return ["the palette's colours became RGB"]
    return [f"its {header.depth}-bit samples became 8-bit ones"] if header.depth < 8 else []


def upright_source(source: Source, orientation: int, header: Header, notes: list[str]) -> Source:
    """The metadata for a picture that has been turned upright, and `notes` after its own."""
    turned = orientation >= 5
    block = source.exif
    if block is not None:
        try:
            block = exif.upright(block, height=header.height, width=header.width, transposed=turned)
        except DamagedError as error:
            block = None
            notes.append(f"the EXIF data was left out: {error}")
    return replace(
        source,
        exif=block,
        xmp=exif.upright_xmp(source.xmp) if source.xmp else None,
        dpi=source.dpi[::-1] if turned and source.dpi else source.dpi,
        notes=(*source.notes, *notes),
    )
