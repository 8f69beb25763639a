"""A person's other choices: OpenCV's filters, each tuned on the files it is judged on."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from moce_cli.errors import MoceError
from moce_cli.evaluation.datasets import Row, RowError, unit
from moce_cli.evaluation.dehaze import dehaze
from moce_cli.evaluation.tuning import Axis, Parameters, search
from moce_cli.folders import middle
from moce_cli.pictures import to_depth
from moce_cli.pictures.opencv import opencv
from moce_cli.psnr import MOST_DB, psnr

Array = npt.NDArray[Any]

TUNING_SIDE = 192
TUNING_PICTURES = 8
NOTHING = "nothing better than the input"
"""What a filter's parameters are where no setting helps."""


@dataclass(frozen=True, slots=True)
class Way:
    """A filter and what may be chosen of it."""

    name: str
    axes: tuple[Axis, ...]
    run: Callable[[Array, Parameters], Array] = field(repr=False)
    """`(H, W, 3)` uint8 to the same."""
    of_size: bool = False
    """Its parameters are shares of the picture's size: it is tuned on whole pictures, reduced."""


@dataclass(frozen=True, slots=True)
class Tuned:
    """A filter with the parameters that were best."""

    way: Way
    parameters: Parameters | None
    """None where no setting was better than the input: then the picture is left as it is."""
    tuned_on: str
    """Which parts of which files, for the reader."""

    def __call__(self, picture: Array) -> Array:
        """Filter `(H, W, 3)` uint8."""
        return picture if self.parameters is None else self.way.run(picture, self.parameters)

    def describe(self) -> str:
        """The parameters in a few words."""
        if self.parameters is None:
            return NOTHING
        return ", ".join(f"{name} {value:.3g}" for name, value in self.parameters.items())


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


def _dehaze(picture: Array, p: Parameters) -> Array:
    share = p["patch share"] * min(picture.shape[:2])
    return dehaze(picture, omega=p["omega"], patch=max(3, 2 * int(share / 2) + 1))


def ways() -> tuple[Way, ...]:
    """All filters with what may be chosen of them.

    Raises:
        MoceError: OpenCV can't be loaded.
    """
    cv2 = opencv()
    strengths = (1.0, 4.0, 16.0, 64.0)
    return (
        Way(
            "non-local means",
            (Axis("h", strengths, 0.25, 256), Axis("hColor", strengths, 0.25, 256)),
            lambda x, p: _non_local_means(cv2, x, p),
        ),
        Way(
            "bilateral",
            (
                Axis("sigmaColor", (4, 16, 64, 256), 1, 1024),
                Axis("sigmaSpace", (1, 2, 4), 0.5, 16),
            ),
            lambda x, p: cv2.bilateralFilter(x, 0, p["sigmaColor"], p["sigmaSpace"]),
        ),
        Way(
            "median",
            (Axis("ksize", (3, 5, 7, 9), 3, 99, step=2, whole=True),),
            lambda x, p: cv2.medianBlur(x, int(p["ksize"])),
        ),
        Way(
            "Gaussian",
            (Axis("sigma", (0.2, 0.4, 0.8, 1.6, 3.2), 0.1, 64),),
            lambda x, p: cv2.GaussianBlur(x, (0, 0), p["sigma"]),
        ),
        Way(
            "unsharp masking",
            (
                Axis("sigma", (0.5, 1, 2, 4), 0.2, 64),
                Axis("amount", (0.125, 0.5, 2), 1 / 64, 64),
            ),
            lambda x, p: _unsharp(cv2, x, p),
        ),
        Way(
            "CLAHE",
            (
                Axis("clip", (1, 4, 16), 0.25, 256),
                Axis("tiles", (1, 2, 4, 8), 1, 32, step=1, whole=True),
            ),
            lambda x, p: _equalise(cv2, x, p),
            of_size=True,
        ),
        Way(
            "dark channel",
            (
                Axis("omega", (0.1, 0.3, 0.5, 0.7, 0.85, 0.95), 0.02, 1, step=1.4),
                Axis("patch share", (0.02, 0.04, 0.08, 0.16), 0.005, 0.5),
            ),
            _dehaze,
            of_size=True,
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
        side: of the middles, and longest side of the reduced pictures, that are tried, in pixels.
        pictures: how many of the row's are tried, spread evenly; where none of them can be read,
            the first other one that can.
        progress: called after every filter.

    Raises:
        RowError: no sample can be read.
    """
    middles: list[tuple[Array, Array]] = []
    wholes: list[tuple[Array, Array]] = []
    failed: list[tuple[str, MoceError]] = []
    spread = row.limited(pictures).samples
    others = (sample for sample in row.samples if sample not in spread)
    for at, sample in enumerate(itertools.chain(spread, others)):
        if middles and at >= len(spread):
            break
        try:
            degraded, clean = (to_depth(picture, 8) for picture in sample.load())
        except MoceError as error:
            failed.append((sample.name, error))  # told when the row is scored
            continue
        middles.append((middle(degraded, side), unit(middle(clean, side))))
        wholes.append((_reduced(degraded, side), unit(_reduced(clean, side))))
    if not middles:
        raise RowError(row, failed)
    of = f"{len(middles)} of {len(row.samples)} pictures"
    seen = min(side, max(max(clean.shape[:2]) for _, clean in middles))
    tuned: list[Tuned] = []
    for way in choices:
        pairs = wholes if way.of_size else middles
        what = (
            f"{of}, whole, reduced to {side} px" if way.of_size else f"the middle {seen} px of {of}"
        )
        parameters, best = search(
            way.axes, lambda p, w=way, on=pairs: _mean_psnr(on, lambda x: w.run(x, p))
        )
        helps = best > _mean_psnr(pairs, lambda x: x)
        tuned.append(Tuned(way, parameters if helps else None, what))
        if progress:
            progress()
    return tuned


def _mean_psnr(pairs: Sequence[tuple[Array, Array]], run: Callable[[Array], Array]) -> float:
    made = ((run(a), b) for a, b in pairs)
    # a picture that comes back as it was must not outweigh the others
    return sum(min(psnr(unit(a), b), MOST_DB) for a, b in made) / len(pairs)


def _reduced(picture: Array, side: int) -> Array:
    """With a longest side of at most `side`."""
    height, width = picture.shape[:2]
    share = side / max(height, width)
    if share >= 1:
        return picture
    size = (max(1, round(width * share)), max(1, round(height * share)))
    cv2 = cast("Any", opencv())
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


def use_threads(threads: int) -> None:
    """How many threads OpenCV takes in this process."""
    cast("Any", opencv()).setNumThreads(threads)
