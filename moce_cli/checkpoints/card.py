"""A model card's facts: what a weights file says of itself."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import cast

from moce_cli.errors import WeightsError

Fact = str | int | float | bool | list["Fact"] | dict[str, "Fact"] | None
"""A plain JSON value."""

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9])?")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # a card is printed on terminals


def check_name(name: str) -> str:
    """The name, if it can be a model's: it becomes a file name on every system.

    Raises:
        WeightsError: it cannot.
    """
    if not _NAME.fullmatch(name):
        raise WeightsError(
            f"{name!r} cannot be a model's name: letters, digits, '.', '_' and '-', "
            "at most 96, a letter or digit at either end"
        )
    return name


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What a person must know before using a model.

    Raises:
        WeightsError: a value is empty, of the wrong kind, or can't be printed or written as JSON.
    """

    name: str
    version: str
    summary: str
    degradations: tuple[str, ...]
    """What it was trained to remove, such as `"Gaussian noise, sigma 0 to 50"`."""
    training_data: str
    licence: str
    facts: Mapping[str, Fact] = field(default_factory=dict[str, Fact])
    """Anything more worth knowing: steps, scores, limits."""

    def __post_init__(self) -> None:
        for key in ("name", "version", "summary", "training_data", "licence"):
            _check_text(key, getattr(self, key))
        if not isinstance(self.degradations, tuple) or not self.degradations:  # pyright: ignore[reportUnnecessaryIsInstance] -- files may hold anything
            raise WeightsError(
                f"the card's degradations are {self.degradations!r}, it needs at least one"
            )
        for text in self.degradations:
            _check_text("degradations", text)
        check_name(self.name)
        try:
            text = json.dumps(dict(self.facts), allow_nan=False, ensure_ascii=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise WeightsError(f"the card's further facts are no JSON object: {error}") from error
        if _CONTROL.search(text) or re.search(r"\\u00[01]", text):
            raise WeightsError("the card's further facts hold control characters")

    def to_dict(self) -> dict[str, Fact]:
        """The card as plain JSON values."""
        values: dict[str, Fact] = {f.name: getattr(self, f.name) for f in fields(self)}
        values["degradations"] = list(self.degradations)
        values["facts"] = dict(self.facts)
        return values

    @classmethod
    def from_dict(cls, values: object) -> ModelCard:
        """Inverse of `to_dict`.

        Raises:
            WeightsError: a key is unknown or missing, or a value does not fit.
        """
        if not isinstance(values, dict):
            raise WeightsError("the model card is no JSON object")
        given = dict(cast("dict[str, object]", values))
        known = {f.name for f in fields(cls)}
        if unknown := sorted(set(given) - known):
            raise WeightsError(f"the model card has an unknown key {unknown[0]!r}")
        if missing := sorted(known - {"facts"} - set(given)):
            raise WeightsError(f"the model card lacks {missing[0]!r}")
        degradations = given["degradations"]
        if isinstance(degradations, list):
            given["degradations"] = tuple(cast("list[object]", degradations))
        if not isinstance(given.get("facts", {}), dict):
            raise WeightsError("the model card's facts are no JSON object")
        return cls(**given)  # pyright: ignore[reportArgumentType] -- __post_init__ checks every value


def _check_text(key: str, value: object) -> None:
    if not isinstance(value, str) or not value.strip():
        raise WeightsError(f"the card's {key} is {value!r}, it needs a text")
    if _CONTROL.search(value):
        raise WeightsError(f"the card's {key} holds control characters: {value!r}")
