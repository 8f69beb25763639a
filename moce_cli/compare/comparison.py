"""Pictures of one thing side by side: what each shows, says, and where they differ."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

from moce_cli.compare.properties import Fate, fates, properties
from moce_cli.errors import InputError
from moce_cli.pictures import (
    MAX_PIXELS,
    Encoding,
    Picture,
    encoding_of,
    probe,
    read,
    to_depth,
)
from moce_cli.pictures.colour import srgb_profile
from moce_cli.pictures.memory import check_fits

Array = npt.NDArray[Any]

_SHAPE_SLACK = 0.01
"""By how much the proportions of two pictures of one thing may differ."""
_BAND_BYTES = 32 * 2**20


@dataclass(frozen=True, slots=True)
class Difference:
    """How far two pictures of one size are apart."""

    mean: float
    """Absolute, over pixels and channels, of 255."""
    largest: float
    """The same, of the worst sample."""
    pixels: float
    """Share of the pixels that are not equal."""

    @property
    def is_none(self) -> bool:
        """Every pixel is equal."""
        return self.pixels == 0


@dataclass(frozen=True, slots=True)
class Compared:
    """One of the pictures."""

    path: Path
    label: str
    """Its name, with as many folders as it takes to tell it from the others."""
    picture: Picture
    described: str
    """Size, depth and format in a line."""
    fates: tuple[Fate, ...]
    """What became of the first picture's properties; all "kept" in the first itself."""
    difference: Difference | None
    """To the first picture; None for the first itself, and where sizes differ."""

    def named(self, status: str) -> tuple[str, ...]:
        """The properties with this fate."""
        return tuple(fate.name for fate in self.fates if fate.status == status)


def compare(paths: Sequence[Path], *, max_pixels: int = MAX_PIXELS) -> tuple[Compared, ...]:
    """Read pictures and compare each with the first.

    Args:
        paths: the picture before, then others of the same thing; two or more.
        max_pixels: a file that states more is refused before anything is decoded.

    Raises:
        InputError: one cannot be read, or has other proportions than the first.
        DeviceError: they are larger than memory.
    """
    compared: list[Compared] = []
    first_properties = None
    for path, label in zip(paths, labels(paths), strict=True):
        header = probe(path, max_pixels=max_pixels)
        check_fits(
            str(path), header.height, header.width, header.depth, "cut the picture into parts"
        )
        picture = read(path, max_pixels=max_pixels)
        first = compared[0].picture if compared else picture
        if not _same_shape(picture, first):
            raise InputError(
                f"{path} has {picture.width} x {picture.height} pixels and {paths[0]} "
                f"{first.width} x {first.height}: they are not of one shape",
                "compare pictures of the same thing, uncropped",
            )
        said = properties(picture, header)
        first_properties = first_properties or said
        same_size = picture.pixels.shape[:2] == first.pixels.shape[:2]
        compared.append(
            Compared(
                path,
                label,
                picture,
                f"{header.width} x {header.height}, {header.depth} bit {header.mode}, "
                f"{header.format}",
                fates(first_properties, said),
                difference(first, picture) if compared and same_size else None,
            )
        )
    return tuple(compared)


def by_property(
    compared: Sequence[Compared],
) -> list[tuple[str, list[tuple[str, list[Fate | None]]]]]:
    """Groups of properties; in each, names with the fate in every picture that knows of it."""
    fates = [{(f.group, f.name): f for f in c.fates} for c in compared]
    groups: dict[str, list[tuple[str, list[Fate | None]]]] = {}
    for key in dict.fromkeys(key for of in fates for key in of):
        groups.setdefault(key[0], []).append((key[1], [of.get(key) for of in fates]))
    return list(groups.items())


def labels(paths: Sequence[Path]) -> tuple[str, ...]:
    """The shortest ends of the paths that tell them apart.

    The same path twice gets a number.
    """
    absolute = [path.absolute().parts[1:] for path in paths]
    told: list[str] = []
    for index, parts in enumerate(absolute):
        others = [other for i, other in enumerate(absolute) if i != index and other != parts]
        size = 1
        while size < len(parts) and any(o[-size:] == parts[-size:] for o in others):
            size += 1
        name = "/".join(parts[-size:])
        again = absolute[:index].count(parts)
        told.append(f"{name} ({again + 1})" if again else name)
    return tuple(told)


def difference(first: Picture, other: Picture) -> Difference:
    """How far two pictures of one size are apart, transparency included.

    Samples are compared as stored if both stand for colours in the same way, else as sRGB in 8
    bits.
    """
    a, b = (p.pixels if same_encoding(first, other) else as_srgb(p, None) for p in (first, other))
    if a.shape[2] != b.shape[2]:
        a, b = (np.repeat(c, 3, axis=2) if c.shape[2] == 1 else c for c in (a, b))
    if first.alpha is not None or other.alpha is not None:
        a, b = _with_alpha(a, first), _with_alpha(b, other)
    height, width = a.shape[:2]
    band = max(1, _BAND_BYTES // (width * 16))
    total, largest, unequal = 0.0, 0, 0
    for top in range(0, height, band):
        apart = np.abs(
            to_depth(a[top : top + band], 16).astype(np.int32) - to_depth(b[top : top + band], 16)
        )
        total += float(apart.sum(dtype=np.int64))
        largest = max(largest, int(apart.max()))
        unequal += int((apart.max(axis=2) > 0).sum())
    return Difference(total / a.size / 257, largest / 257, unequal / (height * width))


def _with_alpha(samples: Array, picture: Picture) -> Array:
    opaque = np.full(samples.shape[:2], 255, np.uint8)
    alpha = to_depth(opaque if picture.alpha is None else picture.alpha, samples.itemsize * 8)
    return np.concatenate([samples, alpha[:, :, None]], axis=2)


def as_srgb(picture: Picture, ground: Array | None) -> Array:
    """The picture as an sRGB screen shows it.

    Args:
        picture: of any depth, with or without profile and transparency.
        ground: `(H, W, 3)` uint8 that shines through where it is transparent; None takes no
            notice of transparency.

    Returns:
        `(H, W, 3)` uint8.
    """
    encoding, unusable = encoding_of(picture)
    if encoding is not None:
        shown = _converted(picture.pixels, encoding)
    elif unusable and picture.source.icc:
        shown = _by_tables(picture, picture.source.icc)
    else:
        shown = to_depth(picture.pixels, 8)
    if shown.shape[2] == 1:
        shown = np.repeat(shown, 3, axis=2)
    if picture.alpha is None or ground is None:
        return shown
    weight = to_depth(picture.alpha, 8).astype(np.uint16)[:, :, None]
    return ((shown * weight + ground * (255 - weight) + 127) // 255).astype(np.uint8)


def _converted(pixels: Array, encoding: Encoding) -> Array:
    shown = np.empty(pixels.shape, np.uint8)
    band = max(1, _BAND_BYTES // (pixels.shape[1] * 48))
    for top in range(0, len(pixels), band):
        values = encoding.to_srgb(to_depth(pixels[top : top + band], 32))
        shown[top : top + band] = to_depth(values, 8)
    return shown


def _by_tables(picture: Picture, icc: bytes) -> Array:
    """By a profile that is more than curves and a matrix; one that is damaged is left alone."""
    samples = to_depth(picture.pixels, 8)
    image = Image.fromarray(samples[:, :, 0] if samples.shape[2] == 1 else samples)
    try:
        converted = ImageCms.profileToProfile(
            image,
            ImageCms.ImageCmsProfile(io.BytesIO(icc)),
            ImageCms.ImageCmsProfile(io.BytesIO(srgb_profile())),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
        )
    except (OSError, ImageCms.PyCMSError):
        return samples
    return samples if converted is None else np.asarray(converted)


def same_encoding(a: Picture, b: Picture) -> bool:
    """Whether equal samples are equal colours."""
    kinds = [(p.source.icc, p.source.png_chunks, p.pixels.dtype.kind) for p in (a, b)]
    return kinds[0] == kinds[1]


def _same_shape(a: Picture, b: Picture) -> bool:
    return abs(a.width * b.height / (a.height * b.width) - 1) <= _SHAPE_SLACK
