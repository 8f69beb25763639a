"""A person's other choices: OpenCV's filters, each tuned on the files it is judged on."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from moce_cli.errors import InputError, MoceError
from moce_cli.evaluation.datasets import Row, middle, unit
from moce_cli.evaluation.dehaze import dehaze
from moce_cli.evaluation.metrics import psnr
from moce_cli.pictures import to_depth
from moce_cli.pictures.opencv import opencv

Array = npt.NDArray[Any]
Parameters = Mapping[str, float]

TUNING_SIDE = 192
TUNING_PICTURES = 8


@dataclass(frozen=True, slots=True)
class Way:
    """A filter and the parameters that are tried."""

    name: str
    grid: tuple[Parameters, ...]
    run: Callable[[Array, Parameters], Array] = field(repr=False)
    """`(H, W, 3)` uint8 to the same."""


@dataclass(frozen=True, slots=True)
class Tuned:
    """A filter with the parameters that were best."""

    way: Way
    parameters: Parameters
    tuned_on: str
    """Which parts of which files, for the reader."""

    def __call__(self, picture: Array) -> Array:
        """Filter `(H, W, 3)` uint8."""
        return self.way.run(picture, self.parameters)

    def describe(self) -> str:
        """The parameters in a few words."""
        return ", ".join(f"{name} {value:g}" for name, value in self.parameters.items())


def _grid(**values: Sequence[float]) -> tuple[Parameters, ...]:
    return tuple(
        dict(zip(values, choice, strict=True)) for choice in itertools.product(*values.values())
    )


def _non_local_means(cv2: ModuleType, picture: Array, p: Parameters) -> Array:
    return cv2.fastNlMeansDenoisingColored(picture, None, p["h"], p["hColor"], 7, 21)


def _equalise(cv2: ModuleType, picture: Array, p: Parameters) -> Array:
    """CLAHE of the lightness, so that colours stay."""
    side = int(p["tiles"])
    lab = cv2.cvtColor(picture, cv2.COLOR_RGB2LAB)
    clahe = cv2.createCLAHE(clipLimit=p["clip"], tileGridSize=(side, side))
    lab[..., 0] = clahe.apply(np.ascontiguousarray(lab[..., 0]))
    return cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)


def _unsharp(cv2: ModuleType, picture: Array, p: Parameters) -> Array:
    soft = cv2.GaussianBlur(picture, (0, 0), p["sigma"])
    return cv2.addWeighted(picture, 1 + p["amount"], soft, -p["amount"], 0)


def ways() -> tuple[Way, ...]:
    """All filters with their grids.

    Raises:
        MoceError: OpenCV can't be loaded.
    """
    cv2 = opencv()
    return (
        Way(
            "non-local means",
            _grid(h=(3, 6, 9, 12, 16, 21, 27, 35), hColor=(8, 16, 28)),
            lambda x, p: _non_local_means(cv2, x, p),
        ),
        Way(
            "bilateral",
            _grid(sigmaColor=(10, 20, 40, 80, 120, 180), sigmaSpace=(1.5, 3, 6)),
            lambda x, p: cv2.bilateralFilter(x, 0, p["sigmaColor"], p["sigmaSpace"]),
        ),
        Way("median", _grid(ksize=(3, 5, 7, 9)), lambda x, p: cv2.medianBlur(x, int(p["ksize"]))),
        Way(
            "Gaussian",
            _grid(sigma=(0.4, 0.5, 0.6, 0.8, 1.0, 1.3, 1.6, 2.0, 2.6, 3.4)),
            lambda x, p: cv2.GaussianBlur(x, (0, 0), p["sigma"]),
        ),
        Way(
            "unsharp masking",
            _grid(sigma=(0.8, 1.5, 2.5, 4), amount=(0.15, 0.3, 0.6, 1, 2, 4)),
            lambda x, p: _unsharp(cv2, x, p),
        ),
        Way(
            "CLAHE",
            _grid(clip=(1, 2, 4, 8, 16, 40), tiles=(1, 2, 4, 8)),
            lambda x, p: _equalise(cv2, x, p),
        ),
        Way(
            "dark channel",
            _grid(omega=(0.1, 0.3, 0.5, 0.7, 0.85, 0.95), patch=(7, 15)),
            lambda x, p: dehaze(x, omega=p["omega"], patch=int(p["patch"])),
        ),
    )


def tune(
    row: Row,
    choices: Sequence[Way],
    *,
    side: int = TUNING_SIDE,
    pictures: int = TUNING_PICTURES,
    progress: Callable[[], None] | None = None,
) -> list[Tuned]:
    """Find each filter's best parameters for a row, by mean PSNR.

    Args:
        row: the very samples that will be compared.
        choices: filters.
        side: of the middles that are tried, in pixels.
        pictures: how many of the row's are tried, spread evenly.
        progress: called after every filter.

    Raises:
        InputError: no sample can be read.
    """
    pairs: list[tuple[Array, Array]] = []
    failure: MoceError = InputError(f"{row.name} has no pictures")
    for sample in row.limited(pictures).samples:
        try:
            degraded, clean = sample.load()
        except MoceError as error:
            failure = error  # told when the row is scored
            continue
        pairs.append((to_depth(middle(degraded, side), 8), unit(middle(clean, side))))
    if not pairs:
        raise failure
    side = min(side, max(max(clean.shape) for _, clean in pairs))
    what = f"the middle {side} px of {len(pairs)} of {len(row.samples)} pictures"
    tuned: list[Tuned] = []
    for way in choices:

        def score(parameters: Parameters, way: Way = way) -> float:
            # a picture that comes back as it was must not outweigh the others
            dbs = (min(psnr(unit(way.run(a, parameters)), b), 100.0) for a, b in pairs)
            return sum(dbs) / len(pairs)

        tuned.append(Tuned(way, max(way.grid, key=score), what))
        if progress:
            progress()
    return tuned


def use_threads(threads: int) -> None:
    """How many threads OpenCV takes in this process."""
    cast("Any", opencv()).setNumThreads(threads)
