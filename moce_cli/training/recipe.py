"""What a training run is, read from a TOML file.

    name = "photo-xs"
    summary = "..."
    licence = "Apache-2.0"
    credits = "..."
    seed = 0
    [network]          preset, and fields of `MoCEIRConfig` that differ from it
    [data]             clean = [folders], kernels = folder, color_jitter = chance, glints = chance;
                       or root = folder and [[data.set]]
    [[damage]]         share, kinds = { noise = [0, 50], jpeg = "usual", low = 2,
                                        blur = { range = [0.5, 2], probability = 0.5 } }
    [[stage]]          crop, batch, share
    [optimiser] [loss] [budget] [validation]

Unknown keys are refused, every value is checked. Relative folders are relative to the file.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from moce_cli.degradations import SUITE
from moce_cli.errors import ConfigError
from moce_cli.network import PRESETS, MoCEIRConfig
from moce_cli.training.checks import (
    DatasetError,
    RecipeError,
    check_choice,
    check_keys,
    check_list,
    check_shares,
    check_text,
    check_whole,
    from_table,
    located,
)
from moce_cli.training.data import (
    Damage,
    Data,
    Ingredient,
    SetUse,
    data_from,
    folders_from,
    tables_of,
)
from moce_cli.training.settings import (
    ROUTER_GRADIENTS,
    Budget,
    Loss,
    Optimiser,
    Stage,
    Validation,
)

__all__ = [
    "ROUTER_GRADIENTS",
    "Budget",
    "Damage",
    "Data",
    "DatasetError",
    "Ingredient",
    "Loss",
    "Optimiser",
    "Recipe",
    "RecipeError",
    "SetUse",
    "Stage",
    "Validation",
    "load_recipe",
    "with_data",
    "with_validation",
]

_KEYS = (
    "name",
    "summary",
    "licence",
    "credits",
    "seed",
    "network",
    "data",
    "damage",
    "stage",
    "optimiser",
    "loss",
    "budget",
    "validation",
)


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that decides what a training run makes, beside the pictures themselves.

    Attributes:
        name: of the weights: small letters, digits, `-`, `_` and `.`.
        summary: what the weights are for, in a sentence.
        licence: of the weights.
        credits: whose pictures are trained on.
        network: the architecture.
        data: what is drawn from.
        stages: from the first to the last; their shares sum to one.
        optimiser: AdamW and its schedule.
        loss: what is minimised.
        budget: when to stop.
        validation: what is measured along the way; or nothing.
        seed: of everything that is drawn.

    Raises:
        RecipeError: values do not fit.
    """

    name: str
    summary: str
    licence: str
    credits: str
    network: MoCEIRConfig
    data: Data
    stages: tuple[Stage, ...]
    optimiser: Optimiser
    loss: Loss
    budget: Budget
    validation: Validation | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for key in ("name", "summary", "licence", "credits"):
            check_text(key, getattr(self, key))
        if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", self.name):
            raise RecipeError(
                f"name is {self.name!r}, it needs small letters, digits, '-', '_' and '.'"
            )
        check_whole("seed", self.seed, 0, 2**32 - 1)
        check_list("stages", self.stages, "stages")
        check_shares("shares of the [[stage]] tables", [s.share for s in self.stages])
        steps, warmup = self.budget.steps, self.optimiser.warmup_steps
        if steps is not None and warmup > steps:
            raise RecipeError(f"warmup_steps is {warmup}, it needs at most the budget's {steps}")

    @property
    def largest_crop(self) -> int:
        """Side of the largest crop of any stage."""
        return max(stage.crop for stage in self.stages)

    def stage_at(self, step: int) -> int:
        """Number of the stage in which a step lies, by the budget's steps.

        Without a budget of steps it is the first: time alone decides, and only the loop knows it.
        """
        if self.budget.steps is None:
            return 0
        return self.stage_at_progress(step / self.budget.steps)

    def stage_at_progress(self, progress: float) -> int:
        """Number of the stage in which a point of the run lies, 0 at its start and 1 at its end."""
        end = 0.0
        for number, stage in enumerate(self.stages):
            end += stage.share
            if progress < end - 1e-9:
                return number
        return len(self.stages) - 1


def load_recipe(path: Path) -> Recipe:
    """Read a recipe; folders with pictures are not looked at yet.

    Raises:
        RecipeError: it is not there, is no TOML, or a key or a value does not fit; the message
            names the file, the key, the value and what is allowed.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RecipeError(f"{path}: there is no such recipe") from error
    except OSError as error:
        raise RecipeError(f"{path} can't be read: {(error.strerror or '').lower()}") from error
    except ValueError as error:  # TOML's own, and text that is no UTF-8
        reason = str(error)
        raise RecipeError(f"{path} is no TOML: {reason[:1].lower()}{reason[1:]}") from error
    with located(f"{path}:"):
        return recipe_from(table, path.parent)


def recipe_from(table: Mapping[str, Any], folder: Path) -> Recipe:
    """A recipe from its table.

    Args:
        table: as TOML gives it.
        folder: what relative folders are relative to.

    Raises:
        RecipeError: a key or a value does not fit.
    """
    check_keys(table, _KEYS, "the recipe")
    needed = ("name", "summary", "licence", "credits", "network", "data", "stage", "budget")
    for key in needed:
        if key not in table:
            raise RecipeError(f"the recipe lacks {key!r}")
    return Recipe(
        name=table["name"],
        summary=table["summary"],
        licence=table["licence"],
        credits=table["credits"],
        network=_network(_table(table, "network")),
        data=data_from(_table(table, "data"), table.get("damage", []), folder),
        stages=tuple(
            from_table(Stage, values, f"[[stage]] number {i}")
            for i, values in enumerate(tables_of(table["stage"], "[[stage]]"), 1)
        ),
        optimiser=from_table(Optimiser, _table(table, "optimiser"), "[optimiser]"),
        loss=from_table(Loss, _table(table, "loss"), "[loss]"),
        budget=from_table(Budget, _table(table, "budget"), "[budget]"),
        validation=_validation(table, folder),
        seed=table.get("seed", 0),
    )


def with_data(recipe: Recipe, folders: Sequence[Path]) -> Recipe:
    """The same recipe with other pictures: clean folders, or the root of the standard sets.

    Raises:
        RecipeError: the recipe reads standard sets, and there is not one folder.
    """
    if not folders:
        return recipe
    if not recipe.data.sets:
        return replace(recipe, data=replace(recipe.data, clean=tuple(folders)))
    if len(folders) != 1:
        raise RecipeError(
            f"{len(folders)} folders were given, but {recipe.name} reads standard sets below one",
            "give --data once, with the folder in which the sets lie",
        )
    return replace(recipe, data=replace(recipe.data, root=folders[0]))


def with_validation(recipe: Recipe, folders: Sequence[Path]) -> Recipe:
    """The same recipe with other validation pictures; without folders, with none.

    A recipe that does not say what to measure gets every row of the suite, every ten minutes.
    """
    if not folders:
        return replace(recipe, validation=None)
    if recipe.validation is None:
        wanted = Validation(tuple(folders), tuple(SUITE), every_seconds=600)
    else:
        wanted = replace(recipe.validation, folders=tuple(folders))
    return replace(recipe, validation=wanted)


def _table(table: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = table.get(key, {})
    if not isinstance(value, dict):
        raise RecipeError(f"{key} is {value!r}, it needs to be the table [{key}]")
    return cast("dict[str, Any]", value)


def _network(values: dict[str, Any]) -> MoCEIRConfig:
    changes = dict(values)
    base: dict[str, Any] = {}
    if "preset" in changes:
        preset = changes.pop("preset")
        with located("[network]"):
            check_choice("preset", preset, PRESETS)
        base = dict(PRESETS[preset].to_dict())
    try:
        return MoCEIRConfig.from_dict(base | changes)
    except ConfigError as error:
        raise RecipeError(f"[network] does not fit: {error.message}", error.hint) from error


def _validation(table: Mapping[str, Any], folder: Path) -> Validation | None:
    if "validation" not in table:
        return None
    values = dict(_table(table, "validation"))
    if "folders" in values:
        with located("[validation]"):
            values["folders"] = folders_from("folders", values["folders"], folder)
    return from_table(Validation, values, "[validation]")
