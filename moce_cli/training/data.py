"""The part of a recipe that says what to draw from: clean pictures and damage, or standard sets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from moce_cli.degradations import KINDS
from moce_cli.training.checks import (
    RecipeError,
    check_choice,
    check_keys,
    check_list,
    check_number,
    check_shares,
    check_whole,
    located,
)
from moce_cli.training.layouts import LAYOUTS


@dataclass(frozen=True, slots=True)
class Ingredient:
    """One kind of damage within a mixture.

    Attributes:
        kind: a key of `degradations.KINDS`.
        low: the weakest drawn, in the kind's unit.
        high: the strongest.
        probability: that a crop of this mixture has it.
        after_gamma: of `sensor`, the chance that its noise lies on encoded values.
    """

    kind: str
    low: float
    high: float
    probability: float = 1.0
    after_gamma: float = 0.0

    def __post_init__(self) -> None:
        check_choice("the kind of damage", self.kind, KINDS)
        kind = KINDS[self.kind]
        for end in (self.low, self.high):
            with located(f"{self.kind}:"):
                check_number(f"a strength ({kind.unit})", end, *kind.limits)
        if self.low > self.high:
            raise RecipeError(
                f"{self.kind}: the range [{self.low:g}, {self.high:g}] runs backwards, "
                "it needs the smaller number first"
            )
        with located(f"{self.kind}:"):
            check_number("probability", self.probability, 0, 1, above=True)
            check_number("after_gamma", self.after_gamma, 0, 1)
            if self.after_gamma and self.kind != "sensor":
                raise RecipeError("takes no after_gamma: only a sensor's noise can lie before it")


@dataclass(frozen=True, slots=True)
class Damage:
    """A mixture of damage, and the share of all crops that get it.

    Attributes:
        share: of the crops.
        kinds: what is mixed; none leaves the crops clean.
    """

    share: float
    kinds: tuple[Ingredient, ...] = ()

    def __post_init__(self) -> None:
        check_number("share", self.share, 0, 1, above=True)
        names = [strength.kind for strength in self.kinds]
        if len(set(names)) != len(names):
            raise RecipeError("names one kind twice")


@dataclass(frozen=True, slots=True)
class SetUse:
    """One of the field's standard sets, and how often an epoch goes through it.

    Attributes:
        name: a key of `layouts.LAYOUTS`.
        repeat: times an epoch.
        sigma: of the noise that is added, in 8-bit levels; for clean sets only.
    """

    name: str
    repeat: int = 1
    sigma: float | None = None

    def __post_init__(self) -> None:
        check_choice("name", self.name, LAYOUTS)
        check_whole("repeat", self.repeat, 1)
        if LAYOUTS[self.name].is_clean:
            if self.sigma is None:
                raise RecipeError(f"{self.name} lacks 'sigma': it holds clean pictures alone")
            check_number("sigma", self.sigma, 0, 255)
        elif self.sigma is not None:
            raise RecipeError(f"{self.name} takes no sigma: its pictures are damaged already")


@dataclass(frozen=True, slots=True)
class Data:
    """What crops are drawn from: either clean pictures and damage, or standard sets.

    Attributes:
        clean: folders of clean pictures, searched with all below them.
        damage: what is done to them.
        kernels: a folder of measured blur kernels (`.npy`), for the kind `kernel`.
        color_jitter: chance that the tones of a clean picture are changed before its damage.
        glints: chance that bright specks are put into a clean picture before its damage.
        root: the folder in which the standard sets lie.
        sets: those drawn from.
        memory_gb: of decoded pictures that may be kept in memory.
    """

    clean: tuple[Path, ...] = ()
    damage: tuple[Damage, ...] = ()
    kernels: Path | None = None
    color_jitter: float = 0.0
    glints: float = 0.0
    root: Path | None = None
    sets: tuple[SetUse, ...] = ()
    memory_gb: float = 4.0

    def __post_init__(self) -> None:
        check_number("memory_gb", self.memory_gb, 0)
        check_number("color_jitter", self.color_jitter, 0, 1)
        check_number("glints", self.glints, 0, 1)
        if bool(self.clean) == bool(self.sets):
            raise RecipeError("needs either clean folders or [[data.set]] tables")
        if self.sets:
            if self.root is None:
                raise RecipeError("lacks 'root', the folder in which the sets lie")
            if self.damage or self.kernels or self.color_jitter or self.glints:
                raise RecipeError(
                    "has standard sets, which take no [[damage]], kernels, color_jitter or glints"
                )
            return
        if self.root is not None:
            raise RecipeError("has a root, but no [[data.set]] table")
        if not self.damage:
            raise RecipeError("has clean folders, but there is no [[damage]] table")
        check_shares("shares of the [[damage]] tables", [d.share for d in self.damage])
        if self.kernels is None and any(s.kind == "kernel" for d in self.damage for s in d.kinds):
            raise RecipeError("lacks 'kernels', the folder of the kernels that the damage names")


def data_from(table: Mapping[str, Any], damage: object, folder: Path) -> Data:
    """Read [data] and [[damage]].

    Args:
        table: the table [data].
        damage: the tables [[damage]].
        folder: what relative folders are relative to.

    Raises:
        RecipeError: a key or a value does not fit.
    """
    keys = ("clean", "kernels", "color_jitter", "glints", "root", "set", "memory_gb")
    check_keys(table, keys, "[data]")
    mixtures = tuple(
        _damage(values, f"[[damage]] number {i}")
        for i, values in enumerate(tables_of(damage, "[[damage]]"), 1)
    )
    sets: list[SetUse] = []
    for i, values in enumerate(tables_of(table.get("set", []), "[[data.set]]"), 1):
        where = f"[[data.set]] number {i}"
        check_keys(values, ("name", "repeat", "sigma"), where)
        if "name" not in values:
            raise RecipeError(f"{where} lacks 'name'")
        with located(where):
            sets.append(SetUse(**values))
    with located("[data]"):
        return Data(
            clean=folders_from("clean", table["clean"], folder) if "clean" in table else (),
            damage=mixtures,
            kernels=_folder("kernels", table.get("kernels"), folder),
            color_jitter=table.get("color_jitter", 0.0),
            glints=table.get("glints", 0.0),
            root=_folder("root", table.get("root"), folder),
            sets=tuple(sets),
            memory_gb=table.get("memory_gb", 4.0),
        )


def folders_from(key: str, value: object, folder: Path) -> tuple[Path, ...]:
    """A list of folders, relative ones below `folder`.

    Raises:
        RecipeError: it is no list of texts.
    """
    plain = tuple(cast("list[object]", value)) if isinstance(value, list) else value
    check_list(key, plain, "folders")
    found = [_folder(key, name, folder) for name in cast("tuple[object, ...]", plain)]
    return tuple(path for path in found if path is not None)


def _folder(key: str, value: object, folder: Path) -> Path | None:
    if value is None:
        return None
    if not isinstance(value, str) or not value:
        raise RecipeError(f"{key} is {value!r}, it needs the name of a folder")
    return folder / Path(value).expanduser()


def tables_of(value: object, where: str) -> list[dict[str, Any]]:
    """The tables of an array of tables.

    Raises:
        RecipeError: it is none.
    """
    if not isinstance(value, list) or not all(isinstance(v, dict) for v in value):
        raise RecipeError(f"{where} is {value!r}, it needs to be tables")
    return cast("list[dict[str, Any]]", value)


def _damage(values: Mapping[str, Any], where: str) -> Damage:
    check_keys(values, ("share", "kinds"), where)
    for key in ("share", "kinds"):
        if key not in values:
            raise RecipeError(f"{where} lacks {key!r}")
    kinds: object = values["kinds"]
    if not isinstance(kinds, dict):
        raise RecipeError(f"{where} kinds is {kinds!r}, it needs a table such as {{ noise = 25 }}")
    with located(where):
        strengths = [_strength(k, v) for k, v in cast("dict[str, object]", kinds).items()]
        return Damage(values["share"], tuple(strengths))


def _strength(kind: str, value: object) -> Ingredient:
    """From `25`, `[0, 50]`, `"usual"`, or `{ range = any of these, probability = 0.5 }`.

    The table of `sensor` may hold `after_gamma`, too.
    """
    check_choice("the kind of damage", kind, KINDS)
    probability: Any = 1.0
    after_gamma: Any = 0.0
    if isinstance(value, dict):
        table = cast("dict[str, Any]", value)
        check_keys(table, ("range", "probability", "after_gamma"), f"{kind}:")
        value, probability = table.get("range", "usual"), table.get("probability", 1.0)
        after_gamma = table.get("after_gamma", 0.0)
    if value == "usual":
        value = list(KINDS[kind].usual)
    ends: list[Any] = cast("list[Any]", value) if isinstance(value, list) else [value, value]
    if len(ends) != 2:
        raise RecipeError(
            f"{kind} is {value!r}, it needs a number, a range [low, high], "
            '"usual", or { range = ..., probability = ... }'
        )
    return Ingredient(kind, ends[0], ends[1], probability, after_gamma)
