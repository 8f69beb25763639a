"""Training for equal processor time, so that variants can be compared on a machine others use."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from moce_cli.checkpoints import ModelCard, save
from moce_cli.network import MoCEIR, MoCEIRConfig
from moce_cli.training.loop import Trainer
from moce_cli.training.options import Options
from moce_cli.training.recipe import Recipe
from moce_cli.training.settings import Budget

CALIBRATION = 20
"""Steps that are timed, the first among them."""


def first_weights(path: Path, config: MoCEIRConfig, state: dict[str, torch.Tensor]) -> None:
    """Write weights that a run is to begin from."""
    card = ModelCard(path.stem, "0", "first weights", ("nothing yet",), "none", "Apache-2.0")
    save(path, state, config, card)


def drawn(config: MoCEIRConfig, seed: int) -> dict[str, torch.Tensor]:
    """The weights that a seed draws."""
    torch.manual_seed(seed)
    return MoCEIR(config).state_dict()


def train(recipe: Recipe, output: Path, first: Path, minutes: float, rate: float) -> None:
    """Train on the CPU for so many minutes of processor time, foretold from a few steps.

    Args:
        recipe: but for its budget, learning rate and validation.
        output: the weights file.
        first: the weights to begin from.
        minutes: of processor time.
        rate: the highest learning rate.
    """
    optimiser = replace(recipe.optimiser, learning_rate=rate, warmup_steps=1, ema=0.98)
    recipe = replace(
        recipe,
        name=output.stem,
        budget=Budget(steps=CALIBRATION),
        optimiser=optimiser,
        validation=None,
    )
    options = Options(
        output=output.with_name(f"calibration-{output.name}"),
        device=torch.device("cpu"),
        warm_start=first,
    )
    spent = Trainer(recipe, options).run().counters.cpu_seconds
    steps = max(1, int(minutes * 60 / (spent / CALIBRATION)))
    recipe = replace(
        recipe,
        budget=Budget(steps=steps),
        optimiser=replace(optimiser, warmup_steps=min(50, steps // 10)),
    )
    counters = Trainer(recipe, replace(options, output=output)).run().counters
    spent = counters.cpu_seconds / 60
    print(f"{output.stem}: {counters.step} steps, {spent:.1f} CPU minutes", flush=True)
