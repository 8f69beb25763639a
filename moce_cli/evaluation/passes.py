"""Forward passes whose routing is known, or prescribed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from moce_cli.errors import MoceError
from moce_cli.network import BlockRouting, MoCEIR
from moce_cli.network.cost import forward_cost
from moce_cli.psnr import batch_psnr, capped

Array = npt.NDArray[Any]
Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Case:
    """A degraded part of a picture, whole as it goes through the network."""

    row: int
    picture: int
    degraded: Array = field(repr=False)
    """`(H, W, 3)` uint8."""
    clean: Array = field(repr=False)


@dataclass(frozen=True, slots=True)
class Choice:
    """Which experts run, for every case and block."""

    experts: Ints
    """`(N, blocks, k)`, the first has the largest gate."""
    gates: Doubles
    """As experts."""

    def of(self, cases: Ints) -> Choice:
        """The choices of other cases, in their order."""
        return Choice(self.experts[cases], self.gates[cases])

    def replaced(self, experts: Ints) -> Choice:
        """Other experts `(N or 1, blocks or 1, k or 1)`, with the gates that these had.

        An expert was trained under the gates that the router gives to what it chooses: a rival
        is not to lose by a gate that no expert knows.
        """
        k = experts.shape[-1]
        gates = self.gates if k == self.gates.shape[-1] else self.gates.sum(-1, keepdims=True)
        return Choice(np.broadcast_to(experts, (*gates.shape[:-1], k)).astype(np.int64), gates)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a choice came to, per case."""

    psnr: Doubles
    """`(N,)`, dB of the output clamped to [0, 1], at most `MOST_DB`."""
    macs: Doubles
    """`(N,)`, multiply-accumulates per pixel."""


class Passes:
    """A network on a device, and the cases that go through it.

    Args:
        network: ready to run, on the device.
        device: that computes.
        cases: at least one; those of one size run in batches.
        batch: how many at once.
        tick: called with the number of cases that a batch finished.
    """

    def __init__(
        self,
        network: MoCEIR,
        device: torch.device,
        cases: Sequence[Case],
        *,
        batch: int = 8,
        tick: Callable[[int], None] | None = None,
    ) -> None:
        self._network, self._device, self._cases = network, device, cases
        self._tick = tick
        sizes: dict[tuple[int, ...], list[int]] = {}
        for index, case in enumerate(cases):
            sizes.setdefault(case.clean.shape, []).append(index)
        self._batches = [
            indices[at : at + batch]
            for indices in sizes.values()
            for at in range(0, len(indices), batch)
        ]

    def routed(self) -> tuple[Choice, Outcome]:
        """Let the routers choose."""
        shape: tuple[int, ...] | None = None
        experts = np.empty(0, np.int64)
        gates = np.empty(0)
        outcome = self._empty()
        for indices in self._batches:
            routing = self._run(indices, None, outcome)
            for block, decision in enumerate(routing):
                if shape is None:
                    shape = (len(self._cases), len(routing), decision.experts.shape[1])
                    experts, gates = np.empty(shape, np.int64), np.empty(shape)
                experts[indices, block] = decision.experts.cpu().numpy()
                gates[indices, block] = decision.gates.float().cpu().numpy()
        return Choice(experts, gates), outcome

    def chosen(self, choice: Choice) -> Outcome:
        """Prescribe the choice."""
        outcome = self._empty()
        for indices in self._batches:
            self._run(indices, choice.of(np.asarray(indices)), outcome)
        return outcome

    def _empty(self) -> Outcome:
        return Outcome(np.empty(len(self._cases)), np.empty(len(self._cases)))

    @torch.inference_mode()
    def _run(
        self, indices: list[int], choice: Choice | None, outcome: Outcome
    ) -> Sequence[BlockRouting]:
        degraded = self._tensor([self._cases[i].degraded for i in indices])
        clean = self._tensor([self._cases[i].clean for i in indices])
        prescribed = None if choice is None else self._routing(choice)
        result = self._network.restore(degraded, prescribed)
        found = batch_psnr(result.restored.clamp(0, 1), clean)
        if np.isnan(found).any():
            raise MoceError("the network's output is not finite", "try --precision fp32")
        outcome.psnr[indices] = capped(found)
        height, width = degraded.shape[-2:]
        cost = forward_cost(self._network.config, height, width)
        for at, index in enumerate(indices):
            ran = [block.chosen[at] for block in result.routing]
            outcome.macs[index] = cost.run(ran) / (height * width)
        if self._tick:
            self._tick(len(indices))
        return result.routing

    def _tensor(self, pictures: Sequence[Array]) -> torch.Tensor:
        """`(B, 3, H, W)` float32 in [0, 1] on the device."""
        stacked = torch.from_numpy(np.stack(pictures)).to(self._device)
        return stacked.permute(0, 3, 1, 2).float() / 255

    def _routing(self, choice: Choice) -> list[BlockRouting]:
        """One decision per block, each for a whole batch."""
        batch, blocks, _ = choice.experts.shape
        logits = torch.zeros(batch, self._network.config.num_experts)
        routing: list[BlockRouting] = []
        for block in range(blocks):
            experts = choice.experts[:, block]
            gates = torch.from_numpy(choice.gates[:, block].astype(np.float32))
            chosen = tuple(tuple(int(e) for e in row) for row in experts)
            ids = torch.from_numpy(np.ascontiguousarray(experts))
            routing.append(BlockRouting(logits, logits, ids, gates, chosen))
        return routing
