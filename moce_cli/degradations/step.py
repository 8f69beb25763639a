"""One degradation, drawn: its kind and every number that makes it what it is."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from moce_cli.errors import UsageError

Value = float | int | str | list[float] | list[list[float]]

ORDER = (
    "haze",
    "rain",
    "snow",
    "blur",
    "defocus",
    "shake",
    "kernel",
    "low",
    "sensor",
    "noise",
    "jpeg",
    "webp",
)
"""The kinds as light meets them: scene, lens, sensor, file."""


@dataclass(frozen=True, slots=True)
class Step:
    """A degradation with all that was drawn for it; noise fields and positions come later.

    Attributes:
        kind: one of `ORDER`.
        parameters: numbers, words and lists of numbers, as JSON holds them; "strength" among them.

    Raises:
        UsageError: an unknown kind, or a number that is none.
    """

    kind: str
    parameters: Mapping[str, Value]

    def __post_init__(self) -> None:
        """Check the kind and the numbers."""
        check_kind(self.kind)
        try:
            json.dumps(dict(self.parameters), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise UsageError(f"the parameters of {self.kind} are no plain data: {error}") from error

    @property
    def strength(self) -> float:
        """What a person would ask for to get this step."""
        return self.number("strength")

    def to_dict(self) -> dict[str, object]:
        """The step as JSON holds it."""
        return {"kind": self.kind, **self.parameters}

    def number(self, name: str) -> float:
        """A parameter that is a number."""
        value = self._get(name)
        if isinstance(value, int | float) and math.isfinite(value):
            return float(value)
        raise UsageError(f"{name} of {self.kind} is {value!r}, which is no number")

    def word(self, name: str) -> str:
        """A parameter that is a word."""
        return str(self._get(name))

    def numbers(self, name: str) -> list[float]:
        """A parameter that is a list of numbers."""
        value = self._get(name)
        if isinstance(value, list) and all(isinstance(v, int | float) for v in value):
            return [float(v) for v in value if not isinstance(v, list)]
        raise UsageError(f"{name} of {self.kind} is {value!r}, which is no list of numbers")

    def points(self, name: str) -> npt.NDArray[np.float64]:
        """A parameter that is a list of pairs, `(N, 2)`, N at least 2."""
        value = self._get(name)
        try:
            points = np.asarray(value, dtype=np.float64)
        except (TypeError, ValueError):
            points = None
        if points is None or points.shape[1:] != (2,) or len(points) < 2:
            raise UsageError(f"{name} of {self.kind} is no list of points")
        return points

    def _get(self, name: str) -> Value:
        try:
            return self.parameters[name]
        except KeyError:
            raise UsageError(f"a step of {self.kind} needs {name!r}, and has none") from None


Plan = tuple[Step, ...]
"""What befalls a picture, in physical order; () leaves it as it is."""


def check_kind(kind: str) -> None:
    """Refuse a name that is no kind.

    Raises:
        UsageError: it is none.
    """
    if kind not in ORDER:
        raise UsageError(f"{kind!r} is no degradation", f"these are: {', '.join(ORDER)}")


def columns(steps: Sequence[Step], names: Sequence[str], like: Tensor) -> tuple[Tensor, ...]:
    """Parameters of a batch, each `(B, 1, 1, 1)`, on the pictures' device in one transfer."""
    table = torch.tensor([[step.number(name) for step in steps] for name in names])
    return table.to(like.device, like.dtype)[:, :, None, None, None].unbind(0)


def lists(steps: Sequence[Step], names: Sequence[str], like: Tensor) -> tuple[Tensor, ...]:
    """Parameters that are lists of one length n, each `(B, n, 1, 1)`."""
    table = torch.tensor([[step.numbers(name) for step in steps] for name in names])
    return table.to(like.device, like.dtype)[:, :, :, None, None].unbind(0)
