"""Rows through models and filters: what each makes of the same samples."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from moce_cli.errors import MoceError
from moce_cli.evaluation.datasets import Array, Row, RowError, unit
from moce_cli.evaluation.metrics import Lpips, Scores, measure
from moce_cli.evaluation.opencv import Tuned
from moce_cli.evaluation.statistics import mean_and_error
from moce_cli.folders import middle
from moce_cli.pictures import to_depth
from moce_cli.psnr import capped, mean_psnr
from moce_cli.restoration import Report, Restorer

Kind = Literal["input", "model", "opencv"]
SHOWN_SIDE = 288
"""Pixels of the middles that a result keeps for the page."""
SEEN_DB = 40.0
"""Below this PSNR a difference may be seen; what lies above is no harm, whatever it was before."""
INPUT = "input"
"""The way that does nothing: every other is compared with it."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How a model was run."""

    tile: int
    """Longest side; 0 is the whole picture."""
    overlap: int
    precision: str
    routing: str
    device: str

    def describe(self) -> str:
        """In a few words."""
        tile = f"tile {self.tile}" + (" (whole pictures)" if self.tile == 0 else "")
        return (
            f"{tile}, overlap {self.overlap}, {self.precision}, routing {self.routing}, "
            f"on {self.device}"
        )


@dataclass(frozen=True, slots=True)
class WayResult:
    """What one way made of a row."""

    way: str
    """`input`, a model's name, or a filter's."""
    kind: Kind
    scores: Scores
    """Means over pictures."""
    psnr_error: float | None
    """Standard error of the mean PSNR over pictures; None where there is none."""
    gain: float | None
    """Mean PSNR less the input's, pictures capped; None where every input is perfect."""
    gain_error: float | None
    """Standard error of the gain, pictures paired."""
    seconds_per_megapixel: float
    pictures: tuple[tuple[str, Scores], ...] = field(repr=False)
    parameters: str = ""
    tuned_on: str = ""
    experts: dict[int, float] = field(default_factory=dict[int, float])
    """A model's: the share of decisions that fell to each expert."""
    saved_of_network: float | None = None
    """A model's: work of experts that was skipped, as a share of the network's."""
    settings: tuple[Settings, ...] = ()
    """A model's: every one that was met, the most frequent first."""
    least_psnr: float = math.nan
    """Of the worst picture."""
    harmed: int = 0
    """Pictures that came out worse than they went in, and below `SEEN_DB`."""


@dataclass(frozen=True, slots=True)
class Shown:
    """The middles of one sample's pictures, for the page."""

    name: str
    degraded: Array
    clean: Array
    restored: Array
    """By the first model; `(H, W, 3)`, uint8, uint16 or floats in [0, 1], as the others."""
    report: Report
    """Of the whole picture."""
    scores: tuple[Scores, Scores]
    """Of the input and of the restored picture."""


@dataclass(frozen=True, slots=True)
class RowResult:
    """A line of the table."""

    dataset: str
    row: str
    protocol: str
    quantised: bool
    megapixels: float
    ways: tuple[WayResult, ...]
    failed: tuple[tuple[str, MoceError], ...] = ()
    """Samples that could not be scored, and why."""
    shown: tuple[Shown, ...] = field(default=(), repr=False)

    def of_kind(self, kind: Kind) -> list[WayResult]:
        """The ways of a kind."""
        return [way for way in self.ways if way.kind == kind]

    @property
    def best_filter(self) -> WayResult | None:
        """The filter with the highest mean PSNR, if filters were compared."""
        return max(self.of_kind("opencv"), key=lambda way: way.scores.psnr, default=None)


@dataclass(slots=True)
class _Record:
    """What a way collects while a row is scored."""

    way: str
    kind: Kind
    filter: Tuned | None = None
    seconds: float = 0.0
    pictures: list[tuple[str, Scores]] = field(default_factory=list[tuple[str, Scores]])
    experts: Counter[int] = field(default_factory=Counter[int])
    settings: Counter[Settings] = field(default_factory=Counter[Settings])
    saved: list[float] = field(default_factory=list[float])

    def result(self, baseline: _Record, megapixels: float) -> WayResult:
        psnrs = [scores.psnr for _, scores in self.pictures]
        before = [scores.psnr for _, scores in baseline.pictures]
        gain, gain_error = None, None
        if self is not baseline and not all(map(math.isinf, before)):
            gain, gain_error = mean_and_error(capped(psnrs) - capped(before))
        decisions = self.experts.total()
        return WayResult(
            self.way,
            self.kind,
            mean_scores([scores for _, scores in self.pictures]),
            None if all(map(math.isinf, psnrs)) else mean_and_error(capped(psnrs))[1],
            gain,
            gain_error,
            self.seconds / megapixels,
            tuple(self.pictures),
            parameters=self.filter.describe() if self.filter else "",
            tuned_on=self.filter.tuned_on if self.filter else "",
            experts={e: n / decisions for e, n in sorted(self.experts.items())},
            saved_of_network=float(np.mean(self.saved)) if self.saved else None,
            settings=tuple(settings for settings, _ in self.settings.most_common()),
            least_psnr=min(psnrs),
            harmed=sum(after < min(b, SEEN_DB) for after, b in zip(psnrs, before, strict=True)),
        )


def mean_scores(scores: Sequence[Scores]) -> Scores:
    """Each measure's mean; pictures that are too small for a measure do not count in it."""

    def mean(values: Iterable[float]) -> float:
        kept = [value for value in values if not math.isnan(value)]
        return float(np.mean(kept)) if kept else math.nan

    lpips = [s.lpips for s in scores if s.lpips is not None]
    return Scores(
        mean_psnr(s.psnr for s in scores),
        mean(s.ssim_gaussian for s in scores),
        mean(s.ssim_uniform for s in scores),
        mean(lpips) if lpips else None,
    )


def score_row(
    row: Row,
    models: Sequence[tuple[str, Restorer]],
    filters: Sequence[Tuned] = (),
    *,
    quantised: bool | None = None,
    lpips: Lpips | None = None,
    show: int = 0,
    progress: Callable[[str], None] | None = None,
) -> RowResult:
    """Score the input, every model and every filter on the same samples.

    Args:
        row: what to score on; a sample that cannot be read or restored is left out for all ways,
            and told in the result.
        models: names and restorers.
        filters: already tuned on this row.
        quantised: score 8-bit results (those of a 16-bit file have 16) or floats in [0, 1];
            None follows the row.
        lpips: a measure more.
        show: how many samples' pictures to keep, spread evenly.
        progress: called after every sample with its name.

    Raises:
        RowError: not one sample could be scored.
    """
    quantised = row.quantised if quantised is None else quantised
    baseline = _Record(INPUT, "input")
    of_models = [_Record(name, "model") for name, _ in models]
    of_filters = [_Record(f.way.name, "opencv", f) for f in filters]
    failed: list[tuple[str, MoceError]] = []
    shown: list[Shown] = []
    to_show = {id(sample) for sample in (row.limited(show).samples if show else ())}
    pixels = 0
    for sample in row.samples:
        try:
            degraded, clean = sample.load()
            made = [_restored(restorer, degraded, quantised) for _, restorer in models]
        except MoceError as error:
            failed.append((sample.name, error))
            if progress:
                progress(sample.name)
            continue
        pixels += clean.shape[0] * clean.shape[1]
        reference = unit(clean)
        before = measure(unit(degraded), reference, lpips)
        baseline.pictures.append((sample.name, before))
        for record, (restored, report) in zip(of_models, made, strict=True):
            record.pictures.append((sample.name, measure(unit(restored), reference, lpips)))
            record.seconds += report.seconds
            record.experts.update(report.experts)
            plan = report.plan
            settings = (plan.tile, plan.overlap, report.precision, report.routing, report.device)
            record.settings[Settings(*settings)] += 1
            record.saved.append(report.macs.saved_of_network)
        eight_bit = to_depth(degraded, 8)
        for record, tuned in zip(of_filters, filters, strict=True):
            begun = time.perf_counter()
            filtered = tuned(eight_bit)
            record.seconds += time.perf_counter() - begun
            record.pictures.append((sample.name, measure(unit(filtered), reference, lpips)))
        if id(sample) in to_show and made:
            after = of_models[0].pictures[-1][1]
            restored, report = made[0]
            a, b, c = (middle(picture, SHOWN_SIDE) for picture in (degraded, clean, restored))
            shown.append(Shown(sample.name, a, b, c, report, (before, after)))
        if progress:
            progress(sample.name)
    if not baseline.pictures:
        raise RowError(row, failed)
    records = (baseline, *of_models, *of_filters)
    protocol = row.protocol if quantised == row.quantised else _other_output(row, quantised)
    met = dict.fromkeys(s.describe() for record in of_models for s in record.settings)
    return RowResult(
        row.dataset,
        row.name,
        "; ".join(filter(None, (protocol, " or ".join(met)))),
        quantised,
        pixels / 1e6,
        tuple(record.result(baseline, pixels / 1e6) for record in records),
        tuple(failed),
        tuple(shown),
    )


def _other_output(row: Row, quantised: bool) -> str:
    said = "the 8-bit output" if quantised else "the output as floats in [0, 1]"
    return f"{row.protocol.split(';')[0]}; asked for: {said}"


def _restored(restorer: Restorer, degraded: Array, quantised: bool) -> tuple[Array, Report]:
    result = restorer.restore(degraded if quantised else unit(degraded))
    return result.picture, result.report
