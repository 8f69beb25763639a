"""The field's benchmarks, recognised by their layout and read by the paper's protocol.

Source: MoCE-IR (CVPR 2025), its evaluation. The layouts are those of the authors' data root.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from moce_cli.errors import InputError
from moce_cli.evaluation.datasets import Pair, Row, Sample, crop_to_multiple, files_in, read_pair
from moce_cli.folders import COMPOSITES, pair_by_stem, pair_in_order, read_rgb
from moce_cli.pictures import probe

MULTIPLE = 16
"""All but CDD-11 are cropped to multiples of this."""
SIGMAS = (15, 25, 50)
_FLOATS = "output clamped to [0, 1], not quantised"


@dataclass(frozen=True, slots=True)
class Benchmark:
    """Where a benchmark lies below a data root, and how its rows are made."""

    name: str
    folder: str
    parts: tuple[str, ...]
    """Folders that must be in it; for CDD-11, `clear` and at least one mixture."""
    rows: Callable[[Path], list[Row]] = field(repr=False)

    def find(self, root: Path) -> Path | None:
        """The benchmark's folder, if it lies in the root, which may be a part of its path."""
        steps = PurePosixPath(self.folder).parts
        names, last = root.absolute().parts, root.absolute().name
        for given in range(len(steps) + 1):
            if given:
                exact = names[-given:] == steps[:given]
                # a benchmark's own folder may lie anywhere, but many folders are called test
                alone = last == steps[given - 1] and last.lower() != "test"
                if not (exact or alone):
                    continue
            if (folder := root.joinpath(*steps[given:])).is_dir():
                return folder
        return None

    def wanted(self) -> str:
        """What is looked for."""
        inside = ",".join(self.parts)
        return f"{self.folder}/" + (f"{{{inside}}}" if "," in inside else inside)


def find_benchmarks(root: Path) -> list[Row]:
    """The rows of every benchmark that lies under a data root.

    Raises:
        InputError: a benchmark lacks a part, or its files do not fit each other.
    """
    rows: list[Row] = []
    for benchmark in BENCHMARKS:
        if (folder := benchmark.find(root)) is None:
            continue
        for part in benchmark.parts:
            if not (folder / part).is_dir():
                raise InputError(
                    f"{benchmark.name} in {folder} lacks the folder {part}",
                    f"it must lie as {benchmark.wanted()}",
                )
        rows += benchmark.rows(folder)
    return rows


class NoiseStream:
    """One seeded stream of noise that runs through a benchmark's files in their order.

    A file's noise is the same whether or not those before it were read: their share is skipped.
    """

    def __init__(self, files: Sequence[Path], seed: int = 0) -> None:
        self._files = files
        self._random = np.random.RandomState(seed)
        self._states = [self._random.get_state()]

    def __call__(self, index: int, shape: tuple[int, ...]) -> np.ndarray:
        """Normal noise for a file, `(H, W, 3)` float64."""
        while len(self._states) <= index:
            header = probe(self._files[len(self._states) - 1])
            sides = (side // MULTIPLE * MULTIPLE for side in (header.height, header.width))
            self._draw(len(self._states) - 1, (*sides, 3))
        return self._draw(index, shape)

    def _draw(self, index: int, shape: tuple[int, ...]) -> np.ndarray:
        self._random.set_state(self._states[index])
        noise = self._random.randn(*shape)
        if index + 1 == len(self._states):
            self._states.append(self._random.get_state())
        return noise


def _noisy(path: Path, index: int, sigma: float, stream: NoiseStream) -> Pair:
    clean = crop_to_multiple(_eight_bit(path), MULTIPLE)
    noisy = clean + stream(index, clean.shape) * sigma
    return noisy.clip(0, 255).astype(np.uint8), clean  # truncated, not rounded


def _eight_bit(path: Path) -> np.ndarray:
    picture = read_rgb(path)
    if picture.dtype != np.uint8:
        raise InputError(f"{path} has 16 bits, the benchmark's pictures have 8")
    return picture


def _cbsd68(folder: Path) -> list[Row]:
    files = files_in(folder / "original_png")
    rows: list[Row] = []
    for sigma in SIGMAS:
        stream = NoiseStream(files)
        samples = tuple(
            Sample(
                path.name, str(path.resolve()), functools.partial(_noisy, path, i, sigma, stream)
            )
            for i, path in enumerate(files)
        )
        protocol = (
            f"middles of multiples of {MULTIPLE}, seed 0 for each sigma, files sorted, noise "
            f"clipped and truncated to 8 bits; {_FLOATS}"
        )
        rows.append(_by_the_paper("CBSD68", f"noise {sigma}", samples, protocol))
    return rows


def _by_the_paper(dataset: str, name: str, samples: tuple[Sample, ...], protocol: str) -> Row:
    return Row(dataset, name, samples, quantised=False, paper=True, protocol=protocol)


def _paired(
    dataset: str,
    name: str,
    pairs: Sequence[tuple[Path, Path]],
    multiple: int = MULTIPLE,
) -> Row:
    samples = tuple(
        Sample(d.name, str(c.resolve()), functools.partial(read_pair, d, c, multiple))
        for d, c in pairs
    )
    crop = f"middles of multiples of {multiple}" if multiple > 1 else "no crop"
    return _by_the_paper(dataset, name, samples, f"{crop}; {_FLOATS}")


def _in_order(degraded: Sequence[Path], clean: Sequence[Path]) -> list[tuple[Path, Path]]:
    """By name where the names are the same, else in sorted order."""
    if {p.stem for p in degraded} <= {p.stem for p in clean}:
        return pair_by_stem(degraded, clean)
    return pair_in_order(degraded, clean)


def _two_folders(dataset: str, name: str, degraded: str, clean: str) -> Callable[[Path], list[Row]]:
    def rows(folder: Path) -> list[Row]:
        pairs = _in_order(files_in(folder / degraded), files_in(folder / clean))
        return [_paired(dataset, name, pairs)]

    return rows


def _sots(folder: Path) -> list[Row]:
    pairs = pair_by_stem(
        files_in(folder / "hazy"), files_in(folder / "gt"), lambda stem: stem.split("_")[0]
    )
    return [_paired("SOTS outdoor", "haze", pairs)]


def _cdd11(folder: Path) -> list[Row]:
    clean = files_in(folder / "clear")
    there = [name for name in COMPOSITES if (folder / name).is_dir()]
    if not there:
        raise InputError(
            f"CDD-11 in {folder} lacks every mixture",
            f"it must hold {', '.join(COMPOSITES)}, or some of them",
        )
    return [
        _paired("CDD-11", name, pair_by_stem(files_in(folder / name), clean), 1) for name in there
    ]


BENCHMARKS = (
    Benchmark("CBSD68", "denoising/cBSD68", ("original_png",), _cbsd68),
    Benchmark(
        "Rain100L",
        "deraining/Rain100L",
        ("rainy", "gt"),
        _two_folders("Rain100L", "rain", "rainy", "gt"),
    ),
    Benchmark("SOTS outdoor", "dehazing/SOTS/outdoor", ("hazy", "gt"), _sots),
    Benchmark(
        "GoPro",
        "deblurring/GoPro/test",
        ("input", "target"),
        _two_folders("GoPro", "blur", "input", "target"),
    ),
    Benchmark(
        "LOL-v1",
        "llie/LOLv1/Test",
        ("input", "target"),
        _two_folders("LOL-v1", "low light", "input", "target"),
    ),
    Benchmark("CDD-11", "cdd11/test", ("clear",), _cdd11),
)


def benchmarks_wanted() -> Iterator[str]:
    """What is looked for under a data root, one line a benchmark."""
    yield from (f"{benchmark.name}: {benchmark.wanted()}" for benchmark in BENCHMARKS)
