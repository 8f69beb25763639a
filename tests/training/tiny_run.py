"""A recipe that trains in moments."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from moce_cli.training.loop import Trainer
from moce_cli.training.options import Options
from moce_cli.training.recipe import load_recipe

RECIPE = """
name = "tiny"
summary = "for tests"
licence = "CC0-1.0"
credits = "pictures made by a test"
seed = 3

[network]
width = 8
encoder_blocks = [1, 1, 1]
latent_blocks = 1
decoder_blocks = [1, 1, 1]
refinement_blocks = 1
expert_ffn = true
{network}

[data]
clean = ["clean"]

[[damage]]
share = 0.5
kinds = {{ noise = [10, 50] }}

[[damage]]
share = 0.5
kinds = {{ jpeg = [20, 60] }}

[[stage]]
crop = 32
batch = 4
share = 0.5

[[stage]]
crop = 40
batch = 2
share = 0.5

[optimiser]
learning_rate = 1e-3
warmup_steps = 2
ema = 0.9

[loss]
router_gradient = "compare"
cost_weight = 0.01
degradation_weight = 0.01
expert_dropout = 0.1
{loss}

[budget]
steps = {steps}

[validation]
folders = ["held_back"]
rows = ["noise 25", "undamaged"]
pictures = 2
crop = 40
every_steps = 5
"""
HELD_BACK = 11
"""The first of the pictures that are measured; none looks like one that is trained on."""


def write_pictures(folder: Path, count: int = 3, side: int = 72, first: int = 0):
    """Smooth colour fields, each its own, numbered from `first`."""
    folder.mkdir(parents=True, exist_ok=True)
    y, x = np.mgrid[0:side, 0:side] / side
    for i in range(first, first + count):
        waves = [np.sin((3 + i) * x + k) * np.cos((2 + i) * y - k) for k in range(3)]
        pixels = np.stack(waves, axis=2) * 100 + 127
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{i}.png")


def write_recipe(folder: Path, steps: int = 12, network: str = "", loss: str = "") -> Path:
    """The recipe and its pictures."""
    write_pictures(folder / "clean")
    write_pictures(folder / "held_back", count=2, first=HELD_BACK)
    path = folder / "tiny.toml"
    path.write_text(RECIPE.format(steps=steps, network=network, loss=loss), encoding="utf-8")
    return path


def trainer(folder: Path, *, steps: int = 12, name: str = "out", watch=None, stop=None, **options):
    """A run that writes `folder/NAME.safetensors`."""
    recipe = load_recipe(write_recipe(folder, steps))
    chosen = Options(folder / f"{name}.safetensors", torch.device("cpu"), **options)
    return Trainer(recipe, chosen, watch=watch, stop=stop)
