"""What of a picture a format can hold, and a sentence for each thing that it can't."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import numpy as np

from moce_cli.pictures import exif as exif_block
from moce_cli.pictures import exr
from moce_cli.pictures.colour import srgb_profile
from moce_cli.pictures.encoding import LINEAR_SRGB, Floats
from moce_cli.pictures.formats import Format
from moce_cli.pictures.ifd import DamagedError
from moce_cli.pictures.picture import Picture, Source, to_depth
from moce_cli.pictures.profile import encoding_of
from moce_cli.pictures.profile_write import alike, profile_of

MAX_DPI = 65535  # what JPEG can state
MARKER_BYTES = 65533  # of data in one JPEG segment
CLIPPED = ", and what lies beyond black or white was clipped"
_XMP_BYTES = MARKER_BYTES - 29  # behind its identifier
_NAMES = {
    "icc": "colour profile",
    "exif": "EXIF data",
    "xmp": "XMP data",
    "iptc": "IPTC data",
    "dpi": "resolution",
}


def stripped(picture: Picture) -> Picture:
    """The picture with nothing but its pixels, its timing, and what its colours mean."""
    kept = picture.source
    source = Source(
        format=kept.format,
        depth=kept.depth,
        mode=kept.mode,
        icc=kept.icc,
        png_chunks=kept.png_chunks,
        quantisation=kept.quantisation,
        subsampling=kept.subsampling,
        lossy=kept.lossy,
        duration_ms=kept.duration_ms,
        loops=kept.loops,
        notes=kept.notes,
    )
    further = tuple(stripped(frame) for frame in picture.further)
    return _said(replace(picture, source=source, further=further), picture)


def in_srgb_unless_said(fitted: Picture, before: Picture) -> Picture:
    """Where a picture lost what said how its colours are encoded, its colours in sRGB instead."""
    encoding, _ = encoding_of(before)
    if encoding is None or encoding_of(fitted)[0] is not None:
        return fitted
    values = encoding.to_srgb(to_depth(fitted.pixels, 32))
    return replace(fitted, pixels=to_depth(values, min(fitted.depth, 16)))


def fit(
    picture: Picture, known: Format, *, size: tuple[int, int] | None = None
) -> tuple[Picture, tuple[str, ...]]:
    """The picture as the format holds it, its further frames left alone.

    What says how colours are encoded becomes a profile where the format holds nothing else, and
    where it holds no profile either, colours are turned into sRGB.

    Args:
        picture: to fit.
        known: the format.
        size: (height, width) to state in the metadata; by default the picture's own.
    """
    source, notes = _fit_metadata(picture, known, size or (picture.height, picture.width))
    fitted = replace(picture, source=source)
    if "icc" in known.holds:
        fitted = _said(fitted, picture)
        source = fitted.source
    if picture.depth == 32 and 32 not in known.depths:
        fitted = _whole(fitted, picture, known, notes)
    elif known.linear:
        fitted = _light(fitted, picture, notes)
    else:
        converted = in_srgb_unless_said(fitted, picture)
        if converted is not fitted:
            notes.append("colours were turned into sRGB, since their encoding can't be stated")
        fitted = converted
    if fitted.depth not in known.depths:
        depth = max(known.depths)
        if fitted.depth > depth:
            notes.append(f"{known.name} holds {depth} bits: 16-bit values were rounded")
        pixels = to_depth(fitted.pixels, depth)
        alpha = None if fitted.alpha is None else to_depth(fitted.alpha, depth)
        fitted = replace(fitted, pixels=pixels, alpha=alpha)
    if fitted.alpha is not None and not known.alpha:
        notes.append(f"{known.name} holds no alpha: the picture was laid on white")
        weight = fitted.alpha.astype(np.uint32)[:, :, None]
        mixed = fitted.pixels * weight + 255 * (255 - weight)
        fitted = replace(fitted, pixels=((mixed + 127) // 255).astype(np.uint8), alpha=None)
    if fitted.channels == 1 and not known.grey:
        notes.append(f"{known.name} holds no grey: it was stored as RGB")
        fitted = replace(fitted, pixels=fitted.pixels.repeat(3, axis=2))
    return fitted, tuple(notes)


def whole_numbers(picture: Picture, depth: int, told: str, notes: list[str]) -> Picture:
    """Floats as 16-bit or 8-bit samples in sRGB's encoding; `notes` gets a sentence."""
    encoding, _ = encoding_of(picture)
    values = picture.pixels if encoding is None else encoding.to_srgb(picture.pixels)
    notes.append(told + _clipping(values))
    source = picture.source
    if encoding is not None:
        source = replace(source, icc=None, png_chunks=())
    alpha = None if picture.alpha is None else to_depth(picture.alpha, depth)
    done = replace(picture, pixels=to_depth(values, depth), alpha=alpha, source=source)
    if encoding_of(done)[0] is not None and encoding is not None:  # its EXIF says something else
        done = replace(done, source=replace(source, icc=srgb_profile()))
    return done


def _clipping(values: Floats) -> str:
    outside = bool((values < -1e-3).any() or (values > 1 + 1e-3).any())
    return CLIPPED if outside else ""


def _said(fitted: Picture, picture: Picture) -> Picture:
    """With a profile, if what said how the picture's colours are encoded is not there any more."""
    encoding, _ = encoding_of(picture)
    if encoding is None or alike(encoding, encoding_of(fitted)[0], grey=picture.channels == 1):
        return fitted
    return replace(fitted, source=replace(fitted.source, icc=profile_of(encoding)))


def _whole(fitted: Picture, picture: Picture, known: Format, notes: list[str]) -> Picture:
    """Floats as whole numbers: in sRGB, or in a wider space of their own if a profile says so."""
    depth = max(known.depths)
    told = f"{known.name} holds no floating-point samples: stored in sRGB with {depth} bits"
    encoding, _ = encoding_of(picture)
    wide = encoding is not None and encoding.is_wide and picture.channels == 3
    if encoding is None or not wide or "icc" not in known.holds:
        done = whole_numbers(picture, depth, told, notes)
        kept = done.source.icc if encoding is not None else fitted.source.icc
        return replace(done, source=replace(fitted.source, icc=kept, png_chunks=()))
    target = encoding.bent()
    values = picture.pixels if target is encoding else target.from_light(picture.pixels)
    icc = fitted.source.icc if target is encoding else None
    source = replace(fitted.source, icc=icc or profile_of(target), png_chunks=())
    whole = replace(picture, pixels=values, source=source)
    told = told.replace("in sRGB", f"in the colours of {encoding.name}")
    notes.append(told + _clipping(values))
    alpha = None if picture.alpha is None else to_depth(picture.alpha, depth)
    return replace(whole, pixels=to_depth(values, depth), alpha=alpha)


def _light(fitted: Picture, picture: Picture, notes: list[str]) -> Picture:
    """Samples as linear light in sRGB's primaries."""
    encoding, _ = encoding_of(picture)
    values = to_depth(picture.pixels, 32)
    stated = picture.source.png_chunks
    own = {name for name, _ in stated} == {b"gAMA", b"cHRM"} and not picture.source.icc
    if own and encoding is not None and encoding.is_linear:
        fitted = replace(fitted, source=replace(fitted.source, png_chunks=stated))
    elif encoding is None or encoding.name != LINEAR_SRGB.name:
        seen = values if encoding is None else encoding.to_srgb(values)
        values = LINEAR_SRGB.from_srgb(seen)
        notes.append("colours were turned into linear light")
    alpha = None if fitted.alpha is None else to_depth(fitted.alpha, 32)
    return replace(fitted, pixels=values, alpha=alpha)


def _fit_metadata(
    picture: Picture, known: Format, size: tuple[int, int]
) -> tuple[Source, list[str]]:
    notes: list[str] = []
    source = picture.source
    if source.dpi and not all(1 <= dots <= MAX_DPI for dots in source.dpi):
        notes.append(f"a resolution of {source.dpi} dots per inch is none: it was dropped")
        source = replace(source, dpi=None)
    if source.exif:
        try:
            block = exif_block.upright(source.exif, height=size[0], width=size[1])
        except DamagedError as error:
            block = None
            notes.append(f"the EXIF data was dropped: {error}")
        source = replace(source, exif=block)
    if source.dpi and "dpi" not in known.holds and "exif" in known.holds:
        with contextlib.suppress(DamagedError):  # as its EXIF can
            block = exif_block.with_resolution(source.exif, source.dpi)
            source = replace(source, exif=block, dpi=None)
    for field, told in _NAMES.items():
        if getattr(source, field) and field not in known.holds:
            notes.append(f"{known.name} holds no {told}: it was dropped")
            source = replace(source, **{field: None})
    if known.name == "JPEG":
        for field, most in (("exif", MARKER_BYTES - 6), ("xmp", _XMP_BYTES), ("iptc", 65000)):
            data = getattr(source, field)
            if data and len(data) > most:
                told = _NAMES[field]
                notes.append(f"JPEG holds {told} of up to {most} bytes: {len(data)} were dropped")
                source = replace(source, **{field: None})
    if known.name == "EXR":
        kept, dropped = exr.nameable(source.text)
        if dropped:
            listed = ", ".join(repr(keyword) for keyword in dropped)
            notes.append(f"EXR holds no text named {listed}, or no other one: it was dropped")
        source = replace(source, text=kept)
    elif "text" not in known.holds:
        comments = known.name in ("JPEG", "GIF")
        kept = [t for t in source.text if comments and t[0].lower() == "comment"]
        if known.name == "JPEG" and any(len(t[1].encode()) > MARKER_BYTES for t in kept):
            notes.append(f"JPEG holds a Comment of up to {MARKER_BYTES} bytes: one was dropped")
            kept = [t for t in kept if len(t[1].encode()) <= MARKER_BYTES]
        dropped = [keyword for keyword, _ in source.text if keyword.lower() != "comment"]
        dropped += [] if comments else [k for k, _ in source.text if k.lower() == "comment"][:1]
        if dropped:
            listed = ", ".join(repr(keyword) for keyword in dropped)
            notes.append(f"{known.name} holds no text named {listed}: it was dropped")
        source = replace(source, text=tuple(kept))
    if "png_chunks" not in known.holds:
        if b"cICP" in dict(source.png_chunks) and encoding_of(picture)[1]:
            notes.append(f"{known.name} can't state its colour encoding (cICP): it was dropped")
        source = replace(source, png_chunks=())
    return source, notes


def fit_frames(picture: Picture, known: Format) -> tuple[tuple[Picture, ...], tuple[str, ...]]:
    """The picture and as many of its further frames as the format holds, each fitted."""
    notes: list[str] = []
    frames = (picture, *picture.further)
    animated = picture.source.duration_ms is not None
    if len(frames) > 1:
        kind = "frames of an animation" if animated else "pages"
        if kind not in known.several:
            notes.append(f"{known.name} holds no {kind}: the first of {len(frames)} was stored")
            frames = frames[:1]
        elif animated and any(
            (f.height, f.width) != (picture.height, picture.width) for f in frames
        ):
            notes.append(f"frames of several sizes: the first of {len(frames)} was stored")
            frames = frames[:1]
    if len(frames) > 1 and known.name == "AVIF" and picture.source.loops:
        notes.append(f"AVIF plays for ever: {picture.source.loops} times was dropped")
    if len(frames) > 1 and animated and known.depths[0] == 8:
        known = replace(known, depths=(8,))  # of an animation: few programs read more
    fitted: list[Picture] = []
    for frame in frames:
        done, more = fit(replace(frame, further=()), known)
        fitted.append(done)
        notes += more
    return tuple(fitted), tuple(dict.fromkeys(notes))
