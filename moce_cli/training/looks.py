"""What a picture is like without its pixels, kept from one run to the next.

A large set is decoded once to be looked through: for its sizes, and for test pictures in it. What
was seen is kept in the user's folder, in one file for each folder of pictures, never beside them.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from moce_cli.checkpoints.atomic import write_text
from moce_cli.checkpoints.entry import home
from moce_cli.errors import OutputError

RGB = NDArray[np.uint8]
Hashes = NDArray[np.uint64]
FRESH_NANOSECONDS = 2 * 10**9
"""A file that changed so lately may change again and keep its time: some disks' are coarse."""
_FORMAT = 1
"""Goes up when the same pixels would be told of otherwise."""

Stamp = tuple[int, int]
"""Bytes and time of a file's last change, in nanoseconds."""


@dataclass(frozen=True, slots=True)
class Look:
    """What is known of a picture.

    Attributes:
        height: in pixels.
        width: in pixels.
        digest: SHA-256 of the RGB bytes.
        hashes: `(8, 2)`, see `difference_hashes`.
    """

    height: int
    width: int
    digest: str
    hashes: Hashes

    @property
    def nbytes(self) -> int:
        """Of the decoded picture."""
        return self.height * self.width * 3


def look_at(rgb: RGB) -> Look:
    """Look at a picture `(H, W, 3)`."""
    digest = hashlib.sha256(rgb.tobytes()).hexdigest()
    return Look(rgb.shape[0], rgb.shape[1], digest, difference_hashes(rgb))


def difference_hashes(rgb: RGB) -> Hashes:
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


def _bits(across: NDArray[np.int16], down: NDArray[np.int16]) -> Hashes:
    """From greys of 9 x 8 and 8 x 9 (width first), `(2,)`."""
    rows = across[:, 1:] > across[:, :-1]
    columns = down[1:] > down[:-1]
    packed = np.packbits(np.concatenate([rows.ravel(), columns.ravel()]))
    return packed.view(">u8").astype(np.uint64)


class Looks:
    """Looks of files: from earlier runs where a file has kept its size and its time, else new.

    What was kept and is damaged counts as nothing; where nothing can be kept, nothing is. At the
    end of a `with` what is new is written down, also when the scan was broken off.
    """

    def __init__(self) -> None:
        self._home = home() / "looks"
        self._known: dict[Path, dict[str, tuple[Stamp, Look]]] = {}
        self._new: set[Path] = set()
        self._lock = threading.Lock()

    def __enter__(self) -> Looks:
        return self

    def __exit__(self, *error: object) -> None:
        self.keep()

    def of(self, path: Path, decode: Callable[[Path], RGB]) -> tuple[Look, RGB | None]:
        """The look of a file, and its pixels if they were needed for it.

        Args:
            path: the file; threads may ask for several at once.
            decode: gives its pixels.

        Raises:
            InputError: what `decode` raises.
        """
        stamp, folder = _stamp(path), path.parent.resolve()
        with self._lock:
            if folder not in self._known:
                self._known[folder] = self._kept(folder)
            found = self._known[folder].get(path.name)
        if found is not None and found[0] == stamp:
            return found[1], None
        rgb = decode(path)
        seen = look_at(rgb)
        if stamp is not None and time.time_ns() - stamp[1] > FRESH_NANOSECONDS:
            with self._lock:
                self._known[folder][path.name] = (stamp, seen)
                self._new.add(folder)
        return seen, rgb

    def keep(self) -> None:
        """Write down what is new, without files that are gone."""
        for folder in sorted(self._new):
            try:
                there = set(os.listdir(folder))
                looks = self._kept(folder) | self._known[folder]  # others may have written as well
                rows = {name: _row(*looks[name]) for name in sorted(looks.keys() & there)}
                body = json.dumps({"format": _FORMAT, "looks": rows})
                write_text(self._file(folder), f"{_checksum(body)}\n{body}\n")
            except (OSError, OutputError):  # the next run looks again
                continue
        self._new.clear()

    def _file(self, folder: Path) -> Path:
        return self._home / f"{hashlib.sha256(os.fsencode(folder)).hexdigest()[:32]}.json"

    def _kept(self, folder: Path) -> dict[str, tuple[Stamp, Look]]:
        """What earlier runs kept of a folder; nothing if it is damaged or of another format."""
        try:
            checksum, body = self._file(folder).read_text(encoding="utf-8").splitlines()
            if checksum != _checksum(body):
                return {}
            content = json.loads(body)
            if content["format"] != _FORMAT:
                return {}
            return {name: _from_row(row) for name, row in content["looks"].items()}
        except (OSError, ValueError, KeyError, TypeError):
            return {}


def _stamp(path: Path) -> Stamp | None:
    """A file's size and time; None if it can't be opened, which decoding will explain."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def _checksum(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()


def _row(stamp: Stamp, seen: Look) -> list[Any]:
    return [*stamp, seen.height, seen.width, seen.digest, seen.hashes.astype(">u8").tobytes().hex()]


def _from_row(row: list[Any]) -> tuple[Stamp, Look]:
    size_bytes, changed, height, width, digest, hashes = row
    words = np.frombuffer(bytes.fromhex(hashes), ">u8").astype(np.uint64).reshape(8, 2)
    return (size_bytes, changed), Look(height, width, digest, words)
