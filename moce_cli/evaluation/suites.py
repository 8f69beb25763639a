"""Damage made on the fly from clean pictures, with fixed seeds; and which rows a person means."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from moce_cli.degradations import KERNEL_ROW, SUITE, degrade, suite_plan
from moce_cli.degradations.lens import kernel_files, measured
from moce_cli.errors import InputError, UsageError
from moce_cli.evaluation.benchmarks import benchmarks_wanted, find_benchmarks
from moce_cli.evaluation.datasets import (
    Array,
    Pair,
    Row,
    Sample,
    files_in,
    pair_row,
)
from moce_cli.folders import pair_by_stem, read_rgb
from moce_cli.pictures import to_depth

ALL = "all"
KEPT_BYTES = 512 * 2**20
_MOST_FILES = 2**24  # in a folder, before seeds would meet
_PAIR = ("degraded", "clean")


class Shelf:
    """Decoded pictures, kept for the next row as long as there is room."""

    def __init__(self, room_bytes: int = KEPT_BYTES) -> None:
        self._room = room_bytes
        self._kept: dict[Path, Array] = {}

    def read(self, path: Path) -> Array:
        """A picture as `(H, W, 3)` uint8.

        Raises:
            InputError: it cannot be read.
        """
        if path in self._kept:
            return self._kept[path]
        picture = to_depth(read_rgb(path), 8)
        if picture.nbytes <= self._room:
            self._room -= picture.nbytes
            self._kept[path] = picture
        return picture


def sample_seed(seed: int, index: int) -> int:
    """The seed of a picture's damage: its own, whichever other pictures are asked for."""
    return seed * _MOST_FILES + index


def damage(clean: Array, row: str, seed: int, kernels: Path | None = None) -> Array:
    """A clean picture, damaged as a row of the suite says.

    Args:
        clean: `(H, W, 3)` uint8.
        row: a key of `SUITE`, or `KERNEL_ROW`.
        seed: decides what is drawn, and the noise; any whole number from 0 on.
        kernels: a folder of measured ones, for `KERNEL_ROW`.

    Returns:
        `(H, W, 3)` uint8, the same on every machine up to float rounding.
    """
    plan = suite_plan(row, seed, kernels)
    if not plan:
        return clean
    tensor = torch.from_numpy(np.ascontiguousarray(clean)).permute(2, 0, 1)[None].float() / 255
    made = degrade(tensor, [plan], _generator(seed), quantise=True)
    return (made[0].permute(1, 2, 0) * 255).round().clamp(0, 255).to(torch.uint8).numpy()


def _generator(seed: int) -> torch.Generator:
    """What draws the noise; torch takes 64 bits, and a larger seed is mixed down to them."""
    if seed >= 2**64:
        seed = int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0])
    return torch.Generator().manual_seed(seed)


def _load(shelf: Shelf, path: Path, row: str, seed: int, kernels: Path | None) -> Pair:
    clean = shelf.read(path)
    return damage(clean, row, seed, kernels), clean


def suite_names(wanted: Sequence[str], *, kernels: bool = False) -> list[str]:
    """The suite's rows that were asked for, in its order.

    Args:
        wanted: names, several of them with commas, or `all`; none is the row of kernels alone.
        kernels: whether there are measured ones; then that row stands at the end.

    Raises:
        UsageError: one is not known.
    """
    words = [word.strip() for text in wanted for word in text.split(",")]
    known = [*SUITE, KERNEL_ROW] if kernels else [*SUITE]
    for word in words:
        if word == KERNEL_ROW and not kernels:
            raise UsageError(f"{word!r} needs measured kernels", "add --kernels FOLDER")
        if word != ALL and word not in known:
            raise UsageError(
                f"{word!r} is no row of the suite", f"use {ALL} or some of {', '.join(known)}"
            )
    words = words or [KERNEL_ROW]
    return [name for name in known if ALL in words or name in words]


def suite_rows(
    folder: Path, names: Sequence[str], seed: int = 0, kernels: Path | None = None
) -> list[Row]:
    """Rows of damage, made of every picture below a folder.

    Args:
        folder: of clean pictures.
        names: of the suite, or `KERNEL_ROW`.
        seed: of the damage.
        kernels: a folder of measured ones, for that row.

    Raises:
        InputError: there are none, or a kernel can't be read.
    """
    of_kernels = ""
    if kernels is not None and KERNEL_ROW in names:
        found = kernel_files(kernels)
        for path in found:
            measured(str(path))  # refused before anything is scored
        of_kernels = f" and measured kernels, {len(found)} of {kernels.absolute().name}"
    files, shelf = files_in(folder, below=True), Shelf()
    called = [str(path.relative_to(folder)) for path in files]
    return [
        Row(
            folder.name or str(folder),
            name,
            tuple(
                Sample(
                    called[i],
                    str(path.resolve()),
                    functools.partial(_load, shelf, path, name, sample_seed(seed, i), kernels),
                )
                for i, path in enumerate(files)
            ),
            protocol=f"made on the fly with seed {seed}{of_kernels if name == KERNEL_ROW else ''}"
            "; the 8-bit output is scored",
        )
        for name in names
    ]


def find_rows(
    folder: Path, suite: Sequence[str] = (), seed: int = 0, kernels: Path | None = None
) -> list[Row]:
    """The rows that a folder stands for: a suite, a pair of folders, or benchmarks.

    Args:
        folder: clean pictures if a suite is asked for; else one that holds `degraded` and
            `clean`, or a data root (or a part of it) with benchmarks.
        suite: names of its rows, or `all`.
        seed: of the suite.
        kernels: a folder of measured ones: a row of the suite more, or the only one.

    Raises:
        UsageError: an unknown row.
        InputError: the folder is not there, or none of these.
    """
    if not folder.is_dir():
        what = "is no folder" if folder.exists() else "is not there"
        raise InputError(f"{folder} {what}", "name a folder of pictures or of benchmarks")
    if suite or kernels is not None:
        names = suite_names(suite, kernels=kernels is not None)
        return suite_rows(folder, names, seed, kernels)
    degraded, clean = (folder / part for part in _PAIR)
    if degraded.is_dir() and clean.is_dir():
        pairs = pair_by_stem(files_in(degraded), files_in(clean))
        name = folder.absolute().name
        return [pair_row(name, name, pairs, protocol="pairs of files; the output as it is saved")]
    if rows := find_benchmarks(folder):
        return rows
    raise InputError(
        f"{folder} holds no pair of folders degraded and clean, and no benchmark; looked for "
        + "; ".join(benchmarks_wanted()),
        "add --suite all to damage the clean pictures in it on the fly",
    )
