"""The field's test pictures and a run's validation pictures, so that none is trained on."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from moce_cli.errors import InputError
from moce_cli.runtime import usable_cores
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
            DatasetError: a folder is not there, or holds no pictures.
        """

        def look(path: Path) -> tuple[tuple[int, int, str], NDArray[np.uint64]] | None:
            try:
                rgb = decode_rgb(path)
            except InputError:
                return None
            return _identity(rgb), difference_hashes(rgb)[0]

        paths = find_pictures(folders, "--validation")
        with ThreadPoolExecutor(usable_cores()) as threads:
            seen = list(threads.map(look, paths))
        for path, found in zip(paths, seen, strict=True):
            if found is not None:
                self._told.append(f"a validation picture, {path}")
                self._exact.setdefault(found[0], self._told[-1])
        hashes = [found[1] for found in seen if found is not None]
        self.hashes = np.concatenate([self.hashes, *(word[None] for word in hashes)])

    def refuse(self, rgb: NDArray[np.uint8]) -> str | None:
        """Why a picture may not be trained on, or None.

        Args:
            rgb: `(H, W, 3)`.
        """
        distance = self.distances(rgb)
        nearest = int(distance.argmin())
        if distance[nearest] > NEAR:
            return None
        if told := self._exact.get(_identity(rgb)):
            return f"it is {told}"
        return f"it looks like {self._told[nearest]}"

    def distances(self, rgb: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Bits in which a picture differs from each known one, however it is turned, `(N,)`."""
        turned = difference_hashes(rgb)
        differing = self.hashes[:, None] ^ turned[None]
        return np.bitwise_count(differing).sum(axis=2, dtype=np.int64).min(axis=1)


def _identity(rgb: NDArray[np.uint8]) -> tuple[int, int, str]:
    """Height, width and a digest of the bytes."""
    return rgb.shape[0], rgb.shape[1], hashlib.sha256(rgb.tobytes()).hexdigest()


def difference_hashes(rgb: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """How a picture looks from afar, in the eight ways in which it can lie.

    Grey, reduced to 9 x 8 and 8 x 9; a bit is set where a pixel is brighter than its left, and
    where it is brighter than its upper neighbour: 64 bits of rows, then 64 of columns, the most
    significant first.

    Args:
        rgb: `(H, W, 3)`.

    Returns:
        `(8, 2)`, the picture as it lies first.
    """
    grey = Image.fromarray(rgb).convert("L")
    across, down = (
        np.asarray(grey.resize(size, Image.Resampling.LANCZOS), np.int16)
        for size in ((9, 8), (8, 9))
    )
    hashes = [
        _bits(flip(np.rot90(wide, turn)), flip(np.rot90(tall, turn)))
        for flip in (np.asarray, np.fliplr)
        for turn in range(4)
        for wide, tall in [(across, down) if turn % 2 == 0 else (down, across)]
    ]
    return np.stack(hashes)


def _bits(across: NDArray[np.int16], down: NDArray[np.int16]) -> NDArray[np.uint64]:
    """From greys of 9 x 8 and 8 x 9 (width first), `(2,)`."""
    rows = across[:, 1:] > across[:, :-1]
    columns = down[1:] > down[:-1]
    packed = np.packbits(np.concatenate([rows.ravel(), columns.ravel()]))
    return packed.view(">u8").astype(np.uint64)
