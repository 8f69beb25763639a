"""How much the routing tells about the damage."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from moce_cli.evaluation.statistics import entropy, mutual_information, shuffled_information

SHUFFLES = 100
"""Beyond it the mean moves in the third digit of its bias alone."""


@dataclass(frozen=True, slots=True)
class Information:
    """What one variable tells about the damage, in bits."""

    bits: float
    """Of the empirical distribution: small samples make it too large."""
    shuffled: float
    """The same with shuffled labels, the mean of several: what is chance."""
    shuffled_95: float
    """Which 95 % of the shuffles stay below."""
    entropy: float
    """Of the variable: it cannot tell more."""

    @property
    def beyond_chance(self) -> float:
        """Bits less what shuffled labels show."""
        return self.bits - self.shuffled


@dataclass(frozen=True, slots=True)
class RoutingInformation:
    """Mutual information between routing and the row of damage."""

    blocks: tuple[Information, ...]
    """Each block's choice."""
    joint: Information
    """All blocks' choices together."""
    damage_entropy: float
    """Of the rows: what there is to know."""
    within_pictures: bool
    """Whether labels were shuffled within each picture, so that what the choice tells about the
    picture alone counts as chance; else among all, for no picture is in two rows."""

    @property
    def best_block(self) -> int:
        """The block that tells most beyond chance."""
        told = [block.beyond_chance for block in self.blocks]
        return told.index(max(told))


def routing_information(
    experts: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int64],
    pictures: npt.NDArray[np.int64],
    seed: int = 0,
) -> RoutingInformation:
    """Measure it.

    Args:
        experts: `(N, blocks, k)`, in descending order of the gate.
        rows: `(N,)`, the damage of each sample.
        pictures: `(N,)`, the clean picture of each sample.
        seed: of the shuffles.
    """
    labels = rows.tolist()
    within = len(set(zip(labels, pictures.tolist(), strict=True))) > len(set(pictures.tolist()))
    groups = pictures if within else np.zeros_like(pictures)

    def tell(choices: npt.NDArray[np.int64]) -> Information:
        variable = [tuple(choice) for choice in choices.reshape(len(choices), -1).tolist()]
        chance = shuffled_information(variable, labels, groups, shuffles=SHUFFLES, seed=seed)
        return Information(
            mutual_information(variable, labels),
            float(chance.mean()),
            float(np.quantile(chance, 0.95)),
            entropy(variable),
        )

    return RoutingInformation(
        tuple(tell(experts[:, block]) for block in range(experts.shape[1])),
        tell(experts),
        entropy(labels),
        within,
    )
