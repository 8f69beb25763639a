"""A filter's parameters, searched for from coarse to fine, past the edges of where it began."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Parameters = Mapping[str, float]
Score = Callable[[Parameters], float]

MOST_TRIALS = 120
"""A bound on the cost; the search ends where it stands."""
_LEAST_BETTER = 1e-9


@dataclass(frozen=True, slots=True)
class Axis:
    """One parameter: what is tried first, and how it goes on from there."""

    name: str
    coarse: tuple[float, ...]
    low: float
    """A closed edge: less makes no sense, or changes nothing."""
    high: float
    """A closed edge: more makes no sense, or costs too much."""
    step: float = 2.0
    """The ratio of neighbours; their difference where `whole`."""
    whole: bool = False
    """Whole numbers, which are not refined below their step."""

    def moved(self, value: float, by: int, level: int) -> float:
        """A neighbour, `by` steps of refinement `level` away, within the edges."""
        if self.whole:
            there = value + by * self.step
        else:
            there = round(value * self.step ** (by / 2**level), 6)
        return min(max(there, self.low), self.high)


def search(axes: tuple[Axis, ...], score: Score, levels: int = 2) -> tuple[Parameters, float]:
    """The parameters of the highest score.

    The coarse grid first; from its best on in single steps of one parameter as long as one
    helps, also out of the grid; then with the square root of the step.

    Args:
        axes: one for each parameter.
        score: of parameters, higher is better.
        levels: how many step sizes.
    """
    known: dict[tuple[float, ...], float] = {}

    def at(point: tuple[float, ...]) -> float:
        if point not in known:
            known[point] = score(named(point))
        return known[point]

    def named(point: tuple[float, ...]) -> Parameters:
        return {axis.name: value for axis, value in zip(axes, point, strict=True)}

    best = max(itertools.product(*(axis.coarse for axis in axes)), key=at)
    for level in range(levels):
        while len(known) < MOST_TRIALS:
            around = [
                (*best[:i], axis.moved(best[i], by, level), *best[i + 1 :])
                for i, axis in enumerate(axes)
                for by in (-1, 1)
            ]
            better = max(around, key=at)
            if at(better) <= at(best) + _LEAST_BETTER:
                break
            best = better
    return named(best), at(best)
