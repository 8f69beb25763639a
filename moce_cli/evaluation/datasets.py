"""What is evaluated on: rows of samples, each a degraded picture and its clean one."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from moce_cli.errors import InputError, MoceError
from moce_cli.folders import middle, pictures_in, read_rgb

Array = npt.NDArray[Any]
Pair = tuple[Array, Array]
"""Degraded and clean, each `(H, W, 3)`, uint8 or uint16, of one size."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One picture in one state of damage; nothing is read before `load`."""

    name: str
    picture: str
    """The clean picture it was made from, a file's resolved path: rows that share it are not
    independent."""
    load: Callable[[], Pair] = field(repr=False)
    """Reads or makes the pair; raises InputError."""


@dataclass(frozen=True, slots=True)
class Row:
    """Samples that are averaged: a line of the table."""

    dataset: str
    name: str
    samples: tuple[Sample, ...] = field(repr=False)
    quantised: bool = True
    """Whether the 8-bit (16-bit) result that a user gets is scored, or the floats before it."""
    paper: bool = False
    """Whether it is scored by the paper's protocol: whole pictures in fp32, unless asked for."""
    protocol: str = ""
    """How the samples came about, in a sentence."""

    def limited(self, limit: int | None) -> Row:
        """With that many samples at most, spread evenly; each stays as it is in the whole row."""
        total = len(self.samples)
        if limit is None or limit >= total:
            return self
        kept = tuple(self.samples[i * total // limit] for i in range(limit))
        return replace(self, samples=kept)

    def cropped(self, side: int | None) -> Row:
        """With the middle of every pair alone."""
        if side is None:
            return self
        kept = tuple(replace(s, load=functools.partial(_middles, s, side)) for s in self.samples)
        return replace(self, samples=kept)


class RowError(MoceError):
    """Not one sample of a row could be measured: what the first one said, with its exit code.

    Args:
        row: that is left out.
        failed: its samples' names, and why each failed; none where the row has none.
    """

    def __init__(self, row: Row, failed: Sequence[tuple[str, MoceError]]) -> None:
        self.row = row
        self.failed = tuple(failed) or ((row.name, MoceError(f"{row.name} has no pictures")),)
        first = self.failed[0][1]
        super().__init__(first.message, first.hint)
        self.exit_code = first.exit_code

    @property
    def told(self) -> str:
        """Which row is left out, and how many samples that are; without the reason."""
        return (
            f"{self.row.dataset}, {self.row.name} is left out: 0 of {len(self.row.samples)} "
            "samples could be scored"
        )


def _middles(sample: Sample, side: int) -> Pair:
    degraded, clean = sample.load()
    return middle(degraded, side), middle(clean, side)


def unit(picture: Array) -> Array:
    """Samples as floats in [0, 1]."""
    if picture.dtype.kind == "f":
        return picture
    return picture.astype(np.float32) / np.float32(np.iinfo(picture.dtype).max)


def read_pair(degraded: Path, clean: Path, multiple: int = 1) -> Pair:
    """Two files, cropped to the middle multiple of `multiple`.

    Raises:
        InputError: one cannot be read, or their sizes differ.
    """
    a, b = read_rgb(degraded), read_rgb(clean)
    if a.shape != b.shape:
        raise InputError(
            f"{degraded} has {a.shape[1]} x {a.shape[0]} pixels, its clean picture {clean} "
            f"{b.shape[1]} x {b.shape[0]}"
        )
    return crop_to_multiple(a, multiple), crop_to_multiple(b, multiple)


def crop_to_multiple(picture: Array, multiple: int) -> Array:
    """Cut the rest of a division off, half of it (rounded down) at the top and the left.

    Raises:
        InputError: nothing would be left.
    """
    height, width = picture.shape[:2]
    if min(height, width) < multiple:
        raise InputError(f"a picture of {width} x {height} cannot be cropped to {multiple} px")
    top, left = height % multiple // 2, width % multiple // 2
    height, width = height - height % multiple, width - width % multiple
    return np.ascontiguousarray(picture[top : top + height, left : left + width])


def files_in(folder: Path, *, below: bool = False) -> list[Path]:
    """Pictures in a folder, sorted by their paths, which seeds follow; with `below`, in its tree.

    Raises:
        InputError: the folder can't be read, or holds no picture.
    """
    return sorted(pictures_in(folder, below=below), key=str)


def pair_row(dataset: str, name: str, pairs: Sequence[tuple[Path, Path]], **options: Any) -> Row:  # noqa: ANN401 -- of Row
    """A row of two files each, cropped to no multiple."""
    samples = tuple(
        Sample(d.name, str(c.resolve()), functools.partial(read_pair, d, c)) for d, c in pairs
    )
    return Row(dataset, name, samples, **options)
