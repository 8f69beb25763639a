"""Folders of pictures to learn from or to measure on: which files, which pairs, and their RGB."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from moce_cli.errors import InputError
from moce_cli.pictures import EXTENSIONS, MAX_PIXELS, read

Array = npt.NDArray[Any]

COMPOSITES = (
    "low",
    "haze",
    "rain",
    "snow",
    "low_haze",
    "low_rain",
    "low_snow",
    "haze_rain",
    "haze_snow",
    "low_haze_rain",
    "low_haze_snow",
)
"""CDD-11's mixtures, as its folders are called."""


def pictures_in(folder: Path, *, below: bool = True) -> list[Path]:
    """A folder's pictures in sorted order, then those of the folders in it; hidden ones left out.

    Args:
        folder: is there.
        below: whether folders in it are searched, too.

    Raises:
        InputError: a folder can't be read, or there are no pictures.
    """
    found = list(_walk(folder, below=below))
    if not found:
        raise InputError(
            f"the folder {folder} holds no pictures",
            "it is searched for " + ", ".join(sorted(EXTENSIONS)),
        )
    return found


def _walk(folder: Path, *, below: bool) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder, onerror=_refuse):
        folders[:] = sorted(name for name in folders if below and not name.startswith("."))
        for name in sorted(files):
            path = Path(parent, name)
            if not name.startswith(".") and path.suffix.lower() in EXTENSIONS:
                yield path


def _refuse(error: OSError) -> None:
    reason = (error.strerror or str(error)).lower()
    raise InputError(f"the folder {error.filename} cannot be read: {reason}") from error


def read_rgb(path: Path, *, max_pixels: int = MAX_PIXELS, name: str | None = None) -> Array:
    """A file as `(H, W, 3)`, upright; grey becomes RGB, alpha is left out.

    Args:
        path: the file.
        max_pixels: that it may have.
        name: what to call it in messages; by default the path.

    Raises:
        InputError: it cannot be read.
    """
    pixels = read(path, max_pixels=max_pixels, name=name).pixels
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels


def middle(picture: Array, side: int) -> Array:
    """The middle `side` x `side` of a picture; a side that is shorter stays whole."""
    height, width = picture.shape[:2]
    top, left = max(0, (height - side) // 2), max(0, (width - side) // 2)
    return np.ascontiguousarray(picture[top : top + side, left : left + side])


def pair_by_stem(
    degraded: Sequence[Path], clean: Sequence[Path], stem: Callable[[str], str] = str
) -> list[tuple[Path, Path]]:
    """Each degraded file with the clean one whose stem is `stem` of its own.

    Raises:
        InputError: one has no partner, or two clean files share a stem.
    """
    partners: dict[str, Path] = {}
    for path in clean:
        if path.stem in partners:
            raise InputError(f"{partners[path.stem]} and {path} have the same name")
        partners[path.stem] = path
    for path in degraded:
        if stem(path.stem) not in partners:
            raise InputError(
                f"{path} has no clean picture {stem(path.stem)!r} in {clean[0].parent}",
                "degraded and clean pictures are paired by their names without the extension",
            )
    return [(path, partners[stem(path.stem)]) for path in degraded]


def pair_in_order(degraded: Sequence[Path], clean: Sequence[Path]) -> list[tuple[Path, Path]]:
    """Degraded and clean files, each in its order.

    Raises:
        InputError: there are not as many of either.
    """
    if len(degraded) != len(clean):
        raise InputError(
            f"{degraded[0].parent} holds {len(degraded)} "
            f"picture{'s' * (len(degraded) != 1)} and {clean[0].parent} "
            f"{len(clean)}: they do not pair",
            "both need as many, in the same order",
        )
    return list(zip(degraded, clean, strict=True))
