"""Small pictures with enough in them to tell them apart, and miniatures of the standard sets."""

import numpy as np
from PIL import Image

from moce_cli.folders import COMPOSITES


def picture(seed, height=96, width=112):
    """`(H, W, 3)` uint8: a few waves, none like another's."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / 64
    waves = [
        np.sin(2 * np.pi * (rng.uniform(-1, 1) * x + rng.uniform(-1, 1) * y) + rng.uniform(0, 6))
        for _ in range(9)
    ]
    return (
        (127 + 40 * np.stack(waves).reshape(3, 3, height, width).sum(0))
        .clip(20, 235)
        .astype(np.uint8)
        .transpose(1, 2, 0)
    )


def save(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(pixels)).save(path, **options)
    return path


def folder_of(path, count=4, height=96, width=112):
    """A folder of clean pictures."""
    for seed in range(count):
        save(path / f"{seed}.png", picture(seed, height, width))
    return path


def standard_sets(root, side=144):
    """Every standard set in miniature; what is damaged is darker by 10, so that pairs show."""

    def pair(degraded, clean, seed):
        pixels = picture(seed, side, side + 8)
        save(root / clean, pixels)
        save(root / degraded, pixels - 10)

    for seed in range(2):
        save(root / f"denoising/BSD400/{seed}.jpg", picture(seed, side, side), quality=95)
        save(root / f"denoising/WaterlooED/{seed}.bmp", picture(10 + seed, side, side))
        # paired by their order: the names differ
        pair(
            f"deraining/RainTrainL/rainy/rain-{seed}.png",
            f"deraining/RainTrainL/gt/norain-{seed}.png",
            20 + seed,
        )
        for side_name in ("input", "target"):
            pixels = picture(40 + seed, side, side + 8) - (10 if side_name == "input" else 0)
            save(root / f"deblurring/GoPro/crop/train/{side_name}_crops/{seed}.png", pixels)
        pair(f"llie/LOLv1/Train/input/{seed}.png", f"llie/LOLv1/Train/target/{seed}.png", 50 + seed)
        for name in COMPOSITES:
            pair(f"cdd11/train/{name}/{seed}.png", f"cdd11/train/clear/{seed}.png", 60 + seed)
        pixels = picture(30 + seed, side, side + 8)
        save(root / f"dehazing/RESIDE/clear/{seed:04}.jpg", pixels, quality=100, subsampling=0)
        for part in range(1, 5):
            hazy = root / f"dehazing/RESIDE/part{part}/{seed:04}_{part / 10}_0.1.jpg"
            save(hazy, pixels - 10, quality=100, subsampling=0)
    return root


RECIPE = """
name = "test"
summary = "For tests."
licence = "CC0-1.0"
credits = "Waves."
seed = 3

[network]
preset = "moce_ir_xs"

[data]
clean = ["clean"]

[[damage]]
share = 0.25
kinds = {}

[[damage]]
share = 0.5
kinds = { noise = [5, 50] }

[[damage]]
share = 0.25
kinds = { low = "usual", jpeg = { range = [20, 60], probability = 1.0 } }

[[stage]]
crop = 32
batch = 8
share = 0.5

[[stage]]
crop = 48
batch = 4
share = 0.5

[budget]
steps = 10
"""
