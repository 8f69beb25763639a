"""Checks of a recipe's values, each failing with a sentence that names key, value and range."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, fields
from typing import Any, TypeVar

from moce_cli.errors import InputError, UsageError


class RecipeError(UsageError):
    """A recipe that does not make sense."""


class DatasetError(InputError):
    """Pictures to train on that are not there, or are none."""


def check_whole(key: str, value: object, low: int, high: int | None = None) -> None:
    """Refuse what is no whole number in the range."""
    # a TOML file may hold anything, and True is an int to Python
    if type(value) is not int or value < low or (high is not None and value > high):
        span = f"from {low} on" if high is None else f"from {low} to {high}"
        raise RecipeError(f"{key} is {_seen(value)}, it needs a whole number {span}")


def check_number(
    key: str, value: object, low: float, high: float = math.inf, *, above: bool = False
) -> None:
    """Refuse what is no finite number in the range; with `above` the low end is excluded."""
    if type(value) in (int, float):
        number = float(value)  # pyright: ignore[reportArgumentType] -- an int or a float, see above
        inside = low < number if above else low <= number
        if inside and number <= high and math.isfinite(number):
            return
    span = f"above {low:g}" if above else f"from {low:g}"
    span += f" {'up ' if above else ''}to {high:g}" if high < math.inf else "" if above else " on"
    raise RecipeError(f"{key} is {_seen(value)}, it needs a number {span}")


def check_flag(key: str, value: object) -> None:
    """Refuse what is neither true nor false."""
    if type(value) is not bool:
        raise RecipeError(f"{key} is {_seen(value)}, it needs true or false")


def check_text(key: str, value: object) -> None:
    """Refuse what is no text, or none to speak of."""
    if not isinstance(value, str) or not value.strip():
        raise RecipeError(f"{key} is {_seen(value)}, it needs a text")


def check_choice(key: str, value: object, allowed: Iterable[str]) -> None:
    """Refuse what is not one of the allowed words."""
    words = list(allowed)
    if value not in words:
        raise RecipeError(f"{key} is {_seen(value)}, it needs one of {', '.join(words)}")


def check_list(key: str, value: object, holds: str, length: int | None = None) -> None:
    """Refuse what is no list, or an empty one, or one of another length."""
    right = isinstance(value, tuple) and (len(value) == length if length else len(value) > 0)
    if not right:
        raise RecipeError(f"{key} is {_seen(value)}, it needs a list of {holds}")


def check_shares(key: str, shares: Iterable[float]) -> None:
    """Refuse shares that do not sum to one."""
    total = math.fsum(shares)
    if abs(total - 1) > 1e-6:
        raise RecipeError(f"the {key} sum to {total:g}, they need to sum to 1")


T = TypeVar("T")


def from_table(made: type[T], values: Mapping[str, Any], where: str) -> T:
    """A dataclass from a TOML table: no unknown key, none missing, lists as tuples.

    Args:
        made: a dataclass that checks itself.
        values: keys are the dataclass's fields.
        where: how messages call the table, such as "[loss]".

    Raises:
        RecipeError: a key or a value does not fit.
    """
    known = {f.name: f for f in fields(made)}  # pyright: ignore[reportArgumentType] -- a dataclass
    check_keys(values, known, where)
    for name, field in known.items():
        if name not in values and field.default is MISSING and field.default_factory is MISSING:
            raise RecipeError(f"{where} lacks {name!r}")
    plain = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    with located(where):
        return made(**plain)


def check_keys(values: Mapping[str, Any], known: Iterable[str], where: str) -> None:
    """Refuse a table with a key that means nothing."""
    allowed = list(known)
    if unknown := [key for key in values if key not in allowed]:
        raise RecipeError(
            f"{where} has the unknown key {unknown[0]!r}; it takes {', '.join(allowed)}"
        )


@contextmanager
def located(where: str) -> Generator[None, None, None]:
    """Within it, every `RecipeError` begins with where it happened."""
    try:
        yield
    except RecipeError as error:
        raise RecipeError(f"{where} {error.message}", error.hint) from error


def _seen(value: object) -> str:
    """A value as a recipe's author wrote it, nearly."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return repr([*value])
    return repr(value)
