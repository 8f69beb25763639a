"""What was done to a picture: who fired, what it saved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Generic, TypeVar

import torch

from moce_cli.network import MoCEIRConfig, Routing
from moce_cli.network.cost import forward_cost
from moce_cli.restoration.plan import Plan

Kind = TypeVar("Kind")


@dataclass(frozen=True, slots=True)
class BlockReport:
    """One MoCE block's decision for the picture."""

    block: int
    """In the order in which they run."""
    level: int
    """0 is the finest, 2 the coarsest."""
    expert: int
    """The expert that ran; where tiles chose on their own, the one that ran most often."""
    gate: float
    """Its softmax value, the mean over the tiles that ran it; 1 where it was forced."""
    logits: tuple[float, ...]
    """The router's scores, the mean over tiles; zeros where an expert was forced."""


@dataclass(frozen=True, slots=True)
class Macs:
    """Multiply-accumulates for this picture, overlaps and the look at sample tiles included."""

    run: int
    all_experts: int
    """Had every block run all its experts."""
    saved_of_experts: float
    """Share of the experts' work that was skipped."""
    saved_of_network: float
    """The same, as a share of the whole network's work."""


@dataclass(frozen=True, slots=True)
class Report:
    """What `restore` did; `to_dict` is what `--json` prints."""

    model: str
    device: str
    precision: str
    height: int
    width: int
    tile_size: tuple[int, int]
    """Height and width of the tiles as cut; of the last ones, after running out of memory."""
    tiles: int
    """That went through the network."""
    seconds: float
    seam: float
    """Steps across tile borders over steps beside them; 1 is invisible."""
    routing: str
    """`image`, `tile` or the number of the forced expert."""
    blocks: tuple[BlockReport, ...]
    experts: dict[int, int]
    """How often each expert ran, over blocks (and tiles, where they chose on their own)."""
    macs: Macs
    plan: Plan
    notes: tuple[str, ...] = ()
    """What did not go as planned, and what could not be kept."""
    frames: int = 1
    """Pages or frames; tiles, seconds, experts and work are of all, blocks of the first."""
    tile_experts: tuple[tuple[int, ...], ...] = field(default=(), repr=False)
    """With `routing="tile"`: per tile, row by row, the first expert of each block."""

    def to_dict(self) -> dict[str, object]:
        """Plain JSON values."""
        values = asdict(self)
        values["plan"] = self.plan.to_dict()
        values["experts"] = {str(k): v for k, v in self.experts.items()}
        if not self.tile_experts:
            del values["tile_experts"]
        return values


@dataclass(frozen=True, slots=True)
class Result(Generic[Kind]):
    """A restored picture, in the kind it was given, and what was done to it."""

    picture: Kind
    report: Report


def merged(reports: Sequence[Report]) -> Report:
    """One report of a picture's frames."""
    first = reports[0]
    if len(reports) == 1:
        return first
    run = sum(r.macs.run for r in reports)
    of_all = sum(r.macs.all_experts for r in reports)
    saved_by_experts = [r.macs.saved_of_experts for r in reports]
    return replace(
        first,
        frames=len(reports),
        tiles=sum(r.tiles for r in reports),
        seconds=round(sum(r.seconds for r in reports), 4),
        seam=max(r.seam for r in reports),
        experts={e: sum(r.experts[e] for r in reports) for e in first.experts},
        macs=Macs(
            run,
            of_all,
            round(sum(saved_by_experts) / len(reports), 6),
            round((of_all - run) / of_all, 6),
        ),
        notes=tuple(dict.fromkeys(note for r in reports for note in r.notes)),
    )


class Tally:
    """Collects decisions and cost while a picture is restored; each tile runs `turns` times."""

    def __init__(self, config: MoCEIRConfig, turns: int = 1) -> None:
        self._config = config
        self.turns = turns
        self._decisions: list[list[tuple[torch.Tensor, tuple[int, ...], float]]] = [
            [] for _ in config.decoder_block_levels
        ]
        self.tiles = 0
        self._run = self._all = self._experts_run = self._experts_all = 0

    def cost(self, height: int, width: int, routing: Routing, count: int) -> None:
        """Count a batch of tiles."""
        self.tiles += count
        cost = forward_cost(self._config, height, width)
        for i in range(count):
            chosen = [b.chosen[i if len(b.chosen) > 1 else 0] for b in routing]
            run = cost.run(chosen) * self.turns
            self._run += run
            self._all += cost.all_experts * self.turns
            self._experts_run += run - cost.shared * self.turns
            self._experts_all += (cost.all_experts - cost.shared) * self.turns

    def decisions(self, routing: Routing) -> None:
        """Record a decision: one per tile that decided, or the pinned one once."""
        for record, decision in zip(self._decisions, routing, strict=True):
            logits, gates = decision.logits.float().cpu(), decision.gates.float().cpu()
            for i, chosen in enumerate(decision.chosen):
                record.append((logits[i], chosen, float(gates[i, 0])))

    def blocks(self) -> tuple[BlockReport, ...]:
        """Every block's decision."""
        reports: list[BlockReport] = []
        for block, level in enumerate(self._config.decoder_block_levels):
            record = self._decisions[block]
            first = Counter(chosen[0] for _, chosen, _ in record)
            expert = min(first, key=lambda e: (-first[e], e))
            gates = [gate for _, chosen, gate in record if chosen[0] == expert]
            logits = torch.stack([row for row, _, _ in record]).mean(dim=0)
            reports.append(
                BlockReport(
                    block,
                    level,
                    expert,
                    round(sum(gates) / len(gates), 6),
                    tuple(round(v, 6) for v in logits.tolist()),
                )
            )
        return tuple(reports)

    def experts(self) -> dict[int, int]:
        """How often each expert ran."""
        fired = Counter(e for record in self._decisions for _, chosen, _ in record for e in chosen)
        return {e: fired[e] for e in range(self._config.num_experts)}

    def tile_experts(self) -> tuple[tuple[int, ...], ...]:
        """Per decision, the first expert of each block."""
        per_block = [[chosen[0] for _, chosen, _ in record] for record in self._decisions]
        return tuple(zip(*per_block, strict=True))

    def macs(self) -> Macs:
        """The cost so far."""
        saved = self._experts_all - self._experts_run
        return Macs(
            self._run,
            self._all,
            round(saved / self._experts_all, 6),
            round(saved / self._all, 6),
        )
