"""The field's test pictures and a run's validation pictures, so that none is trained on."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from moce_cli.errors import InputError
from moce_cli.runtime import usable_cores
from moce_cli.training.looks import Look, Looks
from moce_cli.training.sources import decode_rgb, find_pictures

NEAR = 14
"""Of 128 bits: a picture whose hash differs by so many or fewer is taken for the same.

Measured on 341 photographs: made 4 times smaller, saved as JPEG of quality 10, made noisy, dark or
hazy, or cut by 4 px all around, all stay within 11 bits of themselves (cut by 8 px, within 14);
turned or mirrored, within 13. From the test pictures they are 22 bits or more away, in any turn.
"""


class TestSets:
    """Knows a test picture by its bytes, or by how it looks from afar.

    Args:
        table: CSV with the columns set, name, height, width, pixels_sha256 (of the RGB bytes) and
            dhash128; by default CBSD68, Kodak24, McMaster, Set5, Set14, Urban100, and what is
            known of Rain100, SOTS and LOL.
    """

    __test__ = False  # pytest takes what is called Test... for one

    def __init__(self, table: str | None = None) -> None:
        if table is None:
            table = files("moce_cli.training").joinpath("testsets.csv").read_text(encoding="utf-8")
        rows = list(csv.DictReader(table.splitlines()))
        self.names = [f"{row['set']}/{row['name']}" for row in rows]
        self._told = [f"the test picture {name}" for name in self.names]
        self._exact = {
            (int(row["height"]), int(row["width"]), row["pixels_sha256"]): told
            for row, told in zip(rows, self._told, strict=True)
        }
        words = [[int(row["dhash128"][:16], 16), int(row["dhash128"][16:], 16)] for row in rows]
        self.hashes = np.array(words, np.uint64)

    def hold_back(self, folders: Sequence[Path]) -> None:
        """Refuse these pictures, too: a run measures itself on them.

        Args:
            folders: of validation pictures; those that cannot be read are passed over.

        Raises:
            InputError: a folder is not there, or holds no pictures.
        """

        def look(looks: Looks, path: Path) -> Look | None:
            try:
                return looks.of(path, decode_rgb)[0]
            except InputError:
                return None

        paths = find_pictures(folders, "--validation")
        with Looks() as looks, ThreadPoolExecutor(usable_cores()) as threads:
            seen = list(threads.map(partial(look, looks), paths))
        for path, found in zip(paths, seen, strict=True):
            if found is not None:
                self._told.append(f"a validation picture, {path}")
                self._exact.setdefault(_identity(found), self._told[-1])
        hashes = [found.hashes[0] for found in seen if found is not None]
        self.hashes = np.concatenate([self.hashes, *(word[None] for word in hashes)])

    def refuse(self, seen: Look) -> str | None:
        """Why a picture may not be trained on, or None."""
        if told := self._exact.get(_identity(seen)):
            return f"it is {told}"
        distance = self.distances(seen)
        nearest = int(distance.argmin())
        return f"it looks like {self._told[nearest]}" if distance[nearest] <= NEAR else None

    def distances(self, seen: Look) -> NDArray[np.int64]:
        """Bits in which a picture differs from each known one, however it is turned, `(N,)`."""
        differing = self.hashes[:, None] ^ seen.hashes[None]
        return np.bitwise_count(differing).sum(axis=2, dtype=np.int64).min(axis=1)


def _identity(seen: Look) -> tuple[int, int, str]:
    """What a picture shares with none but its copies."""
    return seen.height, seen.width, seen.digest
