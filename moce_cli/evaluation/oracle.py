"""Do the experts matter, and does the router know? Its choice against every other way to choose."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch

from moce_cli.checkpoints import Checkpoint, build
from moce_cli.errors import InputError, MoceError
from moce_cli.evaluation.datasets import Row
from moce_cli.evaluation.information import RoutingInformation, routing_information
from moce_cli.evaluation.passes import Case, Choice, Doubles, Ints, Outcome, Passes
from moce_cli.evaluation.statistics import (
    clustered,
    mean_and_error,
    rank_correlation,
    z_score,
)
from moce_cli.pictures import to_depth
from moce_cli.psnr import mean_psnr, psnr
from moce_cli.runtime import Precision, torch_dtype

ROUTER = "router"
BEST_FORCED = "best forced for each picture"
RANDOM = "random for each block"
MOST_FREQUENT = "most frequent of each block"
SWAPPED = "swapped between damages"
SIDE = 128
"""Pixels of the middles: a whole one goes through the network in one piece."""
DRAWS = 3
"""Seeded draws of what is random; their mean is taken."""


@dataclass(frozen=True, slots=True)
class Rival:
    """Another way to choose, over all rows."""

    name: str
    psnr: float
    """Mean over pictures of their mean over rows, as is all below."""
    macs: float
    """Multiply-accumulates per pixel."""
    gain: float
    """The router's PSNR less this one's."""
    error: float | None
    """Standard error of the gain over pictures; None for one picture."""
    z: float | None
    """Gain over error."""
    damaged: tuple[float, float | None] | None = None
    """Gain and error over the rows that are damaged alone, where others are not."""


@dataclass(frozen=True, slots=True)
class RowOracle:
    """One row of damage."""

    dataset: str
    row: str
    pictures: int
    input_psnr: float
    psnr: dict[str, float]
    """Mean over pictures, for the router and every rival."""
    gain: dict[str, tuple[float, float | None]]
    """The router's PSNR less each rival's, and its standard error over pictures."""
    macs: dict[str, float]
    """Per pixel, as psnr."""
    experts: tuple[float, ...]
    """The share of the router's decisions that fell to each expert."""

    @property
    def damaged(self) -> bool:
        """Whether any input differs from its clean picture."""
        return not math.isinf(self.input_psnr)


@dataclass(frozen=True, slots=True)
class OracleReport:
    """Everything that `--oracle` finds out about a model."""

    model: str
    side: int
    seed: int
    precision: str
    device: str
    pictures: int
    router_psnr: float
    router_macs: float
    rivals: tuple[Rival, ...]
    rows: tuple[RowOracle, ...]
    information: RoutingInformation
    cost_correlation: float | None
    """Rank correlation over rows between the input's PSNR and what the router spends: negative
    where easy damage goes to cheap experts. None for fewer than three rows, or a constant cost."""
    macs_range: tuple[float, float]
    """Per pixel, with the cheapest and with the most expensive expert everywhere."""
    failed: tuple[tuple[str, MoceError], ...] = field(default=())

    @property
    def largest_expert(self) -> Rival:
        """The rival that always runs the most expensive expert; of equals, the last."""
        forced = [rival for rival in self.rivals if rival.name.startswith("expert ")]
        return max(reversed(forced), key=lambda rival: rival.macs)


def gather(
    rows: Sequence[Row], progress: Callable[[int], None] | None = None
) -> tuple[list[Case], Doubles, list[tuple[str, MoceError]]]:
    """Every sample of every (cropped) row as a case, its input's PSNR, and what failed.

    Raises:
        InputError: no sample could be read.
    """
    pictures: dict[str, int] = {}
    cases: list[Case] = []
    inputs: list[float] = []
    failed: list[tuple[str, MoceError]] = []
    for index, row in enumerate(rows):
        for sample in row.samples:
            try:
                degraded, clean = (to_depth(picture, 8) for picture in sample.load())
            except MoceError as error:
                failed.append((sample.name, error))
            else:
                picture = pictures.setdefault(sample.picture, len(pictures))
                cases.append(Case(index, picture, degraded, clean))
                inputs.append(psnr(degraded, clean))
            if progress:
                progress(1)
    if not cases:
        raise failed[0][1] if failed else InputError("there are no pictures to measure on")
    return cases, np.asarray(inputs), failed


def passes_needed(num_experts: int, rows: int) -> int:
    """How often every case goes through the network."""
    return 1 + num_experts + 1 + DRAWS + (DRAWS if rows > 1 else 0)


def ask_oracle(
    model: str,
    checkpoint: Checkpoint,
    rows: Sequence[Row],
    *,
    device: torch.device,
    precision: Precision = "fp32",
    side: int = SIDE,
    seed: int = 0,
    batch: int = 8,
    gathered: tuple[list[Case], Doubles, list[tuple[str, MoceError]]] | None = None,
    tick: Callable[[int], None] | None = None,
) -> OracleReport:
    """Compare the router's choice with every rival on the middles of all samples.

    Rivals run other experts with the gates that the router gave its own choice.

    Args:
        model: its name, for the report.
        checkpoint: the model.
        rows: of damage, best of the same clean pictures.
        device: that computes.
        precision: of the network.
        side: of the middles, in pixels.
        seed: of what is drawn.
        batch: middles that go through the network at once.
        gathered: what `gather` made of these rows, cropped to `side`.
        tick: called with the number of middles that a batch finished.

    Raises:
        MoceError: no sample could be read, or the output is not finite.
    """
    cases, inputs, failed = gathered or gather([row.cropped(side) for row in rows])
    network = build(checkpoint).eval().requires_grad_(False).to(device)
    network = network.compute_in(torch_dtype(precision))
    passes = Passes(network, device, cases, batch=batch, tick=tick)
    choice, routed = passes.routed()
    num_experts = checkpoint.config.num_experts
    of_row = np.asarray([case.row for case in cases])
    of_picture = np.asarray([case.picture for case in cases])
    outcomes = _rivals(passes, choice, of_row, num_experts, np.random.default_rng(seed))
    macs = [outcomes[f"expert {e}"].macs.mean() for e in range(num_experts)]

    def over_pictures(values: Doubles) -> float:
        return clustered(values, of_picture)[0]

    perfect = [r for r in np.unique(of_row) if np.isposinf(inputs[of_row == r]).all()]
    hurt = ~np.isin(of_row, perfect)
    rivals: list[Rival] = []
    for name, outcome in outcomes.items():
        gains = routed.psnr - outcome.psnr
        gain, error = clustered(gains, of_picture)
        damaged = clustered(gains[hurt], of_picture[hurt]) if perfect and hurt.any() else None
        psnr, cost = over_pictures(outcome.psnr), over_pictures(outcome.macs)
        rivals.append(Rival(name, psnr, cost, gain, error, z_score(gain, error), damaged))
    results = [
        _row(row, of_row == index, inputs, choice, {ROUTER: routed, **outcomes}, num_experts)
        for index, row in enumerate(rows)
        if (of_row == index).any()
    ]
    return OracleReport(
        model,
        side,
        seed,
        precision,
        str(device),
        len(set(of_picture)),
        over_pictures(routed.psnr),
        over_pictures(routed.macs),
        tuple(rivals),
        tuple(results),
        routing_information(choice.experts, of_row, of_picture, seed),
        rank_correlation([r.input_psnr for r in results], [r.macs[ROUTER] for r in results]),
        (float(min(macs)), float(max(macs))),
        tuple(failed),
    )


def _rivals(
    passes: Passes, choice: Choice, of_row: Ints, num_experts: int, rng: np.random.Generator
) -> dict[str, Outcome]:
    count, blocks, k = choice.experts.shape
    outcomes = {
        f"expert {e}": passes.chosen(choice.replaced(np.full((1, 1, 1), e)))
        for e in range(num_experts)
    }
    forced = list(outcomes.values())
    best = np.stack([outcome.psnr for outcome in forced]).argmax(axis=0)
    outcomes[BEST_FORCED] = Outcome(
        np.stack([outcome.psnr for outcome in forced])[best, np.arange(count)],
        np.stack([outcome.macs for outcome in forced])[best, np.arange(count)],
    )
    drawn = [
        rng.permuted(np.broadcast_to(np.arange(num_experts), (count, blocks, num_experts)), axis=-1)
        for _ in range(DRAWS)
    ]
    outcomes[RANDOM] = _mean([passes.chosen(choice.replaced(d[..., :k])) for d in drawn])
    outcomes[MOST_FREQUENT] = passes.chosen(choice.replaced(most_frequent(choice.experts)))
    if len(np.unique(of_row)) > 1:
        partners = [draw_partners(of_row, rng) for _ in range(DRAWS)]
        outcomes[SWAPPED] = _mean([passes.chosen(choice.of(other)) for other in partners])
    return outcomes


def _mean(outcomes: Sequence[Outcome]) -> Outcome:
    first = outcomes[0]  # means of differences, so that equal outcomes have exactly theirs
    psnr = first.psnr + np.mean([outcome.psnr - first.psnr for outcome in outcomes], axis=0)
    return Outcome(psnr, np.mean([outcome.macs for outcome in outcomes], axis=0))


def most_frequent(experts: Ints) -> Ints:
    """The k experts that each block chose most often: `(N, blocks, k)` to `(1, blocks, k)`."""
    k = experts.shape[2]
    chosen: list[list[int]] = []
    for block in range(experts.shape[1]):
        counts = Counter(experts[:, block].ravel().tolist())
        chosen.append(sorted(counts, key=lambda e, counts=counts: (-counts[e], e))[:k])
    return np.asarray(chosen)[None]


def draw_partners(of_row: Ints, rng: np.random.Generator) -> Ints:
    """For every case one of another row, drawn evenly."""
    indices = np.arange(len(of_row))
    return np.asarray([rng.choice(indices[of_row != row]) for row in of_row])


def _row(
    row: Row,
    mine: npt.NDArray[np.bool_],
    inputs: Doubles,
    choice: Choice,
    outcomes: dict[str, Outcome],
    num_experts: int,
) -> RowOracle:
    psnr = {name: float(outcome.psnr[mine].mean()) for name, outcome in outcomes.items()}
    macs = {name: float(outcome.macs[mine].mean()) for name, outcome in outcomes.items()}
    routed = outcomes[ROUTER].psnr[mine]
    gain = {
        name: mean_and_error(routed - outcome.psnr[mine])
        for name, outcome in outcomes.items()
        if name != ROUTER
    }
    decisions = choice.experts[mine].ravel()
    shares = np.bincount(decisions, minlength=num_experts) / decisions.size
    return RowOracle(
        row.dataset,
        row.name,
        int(mine.sum()),
        mean_psnr(inputs[mine].tolist()),
        psnr,
        gain,
        macs,
        tuple(float(share) for share in shares),
    )
