"""Pictures to draw from: found, decoded to 8-bit RGB, looked through once, kept in memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from moce_cli.errors import InputError
from moce_cli.folders import middle, pictures_in, read_rgb
from moce_cli.pictures import to_depth
from moce_cli.runtime import usable_cores
from moce_cli.training.checks import DatasetError
from moce_cli.training.looks import RGB, Look, Looks

RECENT_BYTES = 256 * 2**20
"""Of pictures that did not fit into the budget, kept by each process that draws."""
_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A picture that is not drawn from, and why."""

    path: Path
    why: str


def find_pictures(folders: Sequence[Path], option: str = "--data") -> list[Path]:
    """Every picture below the folders, in sorted order, each once; hidden ones are left alone.

    Args:
        folders: searched with all below them.
        option: of `moce train`, with which others can be named.

    Raises:
        InputError: a folder is not there, cannot be read, or holds no pictures.
    """
    found: dict[Path, Path] = {}
    for folder in folders:
        if not folder.is_dir():
            told = f"the folder {folder} is not there"
            if folder.exists():
                told = f"{folder} is a file, a folder is needed"
            raise DatasetError(told, f"name a folder of pictures with {option}")
        for path in pictures_in(folder):
            found.setdefault(path.resolve(), path)
    return list(found.values())


def decode_rgb(path: Path, name: str | None = None) -> RGB:
    """A picture's pixels, `(H, W, 3)` uint8, upright; grey becomes RGB, alpha is left out.

    Args:
        path: the file.
        name: what to call it in messages; by default the path.

    Raises:
        InputError: it cannot be read.
    """
    return to_depth(read_rgb(path, name=name), 8)


class Pictures:
    """Pictures by number, decoded when they are asked for or kept from when they were checked.

    What fits into the budget stays decoded, and is shared with processes that are forked; of the
    rest, each process keeps those asked for last. A pickled copy keeps none.

    Args:
        paths: the files.
        budget_bytes: of decoded pictures that may stay.

    Attributes:
        paths: the files that are drawn from.
        left_out: those that are not.
        sizes: height and width of those checked.
    """

    def __init__(self, paths: Iterable[Path], budget_bytes: int = 4 * 2**30) -> None:
        self.paths = list(paths)
        self.left_out: list[LeftOut] = []
        self.sizes: dict[Path, tuple[int, int]] = {}
        self._budget = budget_bytes
        self._kept: dict[Path, RGB] = {}
        self._recent: OrderedDict[Path, RGB] = OrderedDict()
        self._recent_bytes = 0

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> RGB:
        """One picture, `(H, W, 3)` uint8; not to be written to.

        Raises:
            InputError: it can no longer be read.
        """
        path = self.paths[number]
        if path in self._kept:
            return self._kept[path]
        if path in self._recent:
            self._recent.move_to_end(path)
            return self._recent[path]
        rgb = decode_rgb(path)
        self._recent[path] = rgb
        self._recent_bytes += rgb.nbytes
        while self._recent_bytes > RECENT_BYTES and len(self._recent) > 1:
            self._recent_bytes -= self._recent.popitem(last=False)[1].nbytes
        return rgb

    def __getstate__(self) -> Mapping[str, object]:
        """Everything but the decoded pictures."""
        return vars(self) | {"_kept": {}, "_recent": OrderedDict(), "_recent_bytes": 0}

    def check(self, refuse: Callable[[Look], str | None]) -> None:
        """Look at every picture; leave out those unreadable or refused, keep what fits decoded.

        What was looked at in an earlier run, and is not to be kept, is not decoded again.

        Args:
            refuse: says why a picture is not to be drawn from, or None.

        Raises:
            InputError: a picture that was seen in an earlier run can no longer be read.
        """

        def look(looks: Looks, path: Path) -> tuple[Look, RGB | None] | str:
            try:
                seen, rgb = looks.of(path, lambda path: decode_rgb(path, "it"))
            except InputError as error:
                return error.message.removeprefix("it: ")
            return refuse(seen) or (seen, rgb)

        def pixels(path: Path, rgb: RGB | None) -> RGB:
            rgb = decode_rgb(path) if rgb is None else rgb
            rgb.flags.writeable = False
            return rgb

        good: list[Path] = []
        room = self._budget
        with Looks() as looks, ThreadPoolExecutor(usable_cores()) as threads:
            for start in range(0, len(self.paths), _AT_ONCE):
                some = self.paths[start : start + _AT_ONCE]
                fits: dict[Path, RGB | None] = {}
                for path, found in zip(some, threads.map(partial(look, looks), some), strict=True):
                    if isinstance(found, str):
                        self.left_out.append(LeftOut(path, found))
                        continue
                    seen, rgb = found
                    good.append(path)
                    self.sizes[path] = (seen.height, seen.width)
                    if seen.nbytes <= room:
                        room -= seen.nbytes
                        fits[path] = rgb
                self._kept.update(zip(fits, threads.map(pixels, fits, fits.values()), strict=True))
        self.paths = good


def too_small(height: int, width: int, smallest: int) -> str | None:
    """Why a picture is too small to draw from, or None."""
    if min(height, width) < smallest:
        return f"its {width} x {height} px are too few: both sides need {smallest} px"
    return None


def explain_empty(
    what: str, left_out: Sequence[LeftOut], purpose: str = "train on"
) -> DatasetError:
    """The error for a source of which nothing is left."""
    first, count = left_out[0], len(left_out)
    told = "1 was left out," if count == 1 else f"{count} were left out, the first is"
    return DatasetError(f"{what} leaves no picture to {purpose}: {told} {first.path}: {first.why}")


def middles(folders: Sequence[Path], count: int, crop: int) -> list[tuple[str, RGB]]:
    """The middles of pictures spread evenly over the sorted list, for validation.

    The list is cut into `count` even runs, and of each the picture in its middle is taken, or the
    nearest to it that is readable and large enough. Where a run has none, others have to do.

    Returns:
        name and `(crop, crop, 3)` uint8 of each, at most `count`, in sorted order.

    Raises:
        InputError: a folder is not there, or no picture is readable and large enough.
    """
    paths = find_pictures(folders, "--validation")
    found: dict[int, RGB] = {}
    left_out: dict[int, LeftOut] = {}

    def take(number: int) -> bool:
        try:
            rgb = decode_rgb(paths[number], "it")
        except InputError as error:
            left_out[number] = LeftOut(paths[number], error.message.removeprefix("it: "))
            return False
        if why := too_small(rgb.shape[0], rgb.shape[1], crop):
            left_out[number] = LeftOut(paths[number], why)
            return False
        found[number] = middle(rgb, crop)
        return True

    for run in range(count):
        first, end = (place * len(paths) // count for place in (run, run + 1))
        outward = sorted(range(first, end), key=lambda n: abs(2 * n - (first + end - 1)))
        any(take(number) for number in outward)
    for number in range(len(paths)):
        if len(found) < count and number not in found and number not in left_out:
            take(number)
    if not found:
        lost = [left_out[n] for n in sorted(left_out)]
        raise explain_empty("the validation folder", lost, "measure")
    return [(paths[number].stem, found[number]) for number in sorted(found)]
