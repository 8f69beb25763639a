"""Pictures and plans that several tests of the degradations use."""

import numpy as np
import torch

from moce_cli.degradations import KINDS, degrade, draw


def write_kernels(folder):
    """Two small kernels as files: a corner with unequal arms and a soft blob."""
    folder.mkdir(parents=True, exist_ok=True)
    corner = np.zeros((7, 7), np.float32)
    corner[1, 1:6] = 1
    corner[1:4, 1] = 1
    np.save(folder / "a.npy", corner / corner.sum())
    blob = np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]).astype(np.float32)
    np.save(folder / "b.npy", blob)  # does not sum to 1: reading mends it
    return folder


def scene(batch=1, height=64, width=64, seed=0):
    """Smooth patches with edges and a little texture, rounded to 8 bits."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(batch, 3, 5, 5, generator=generator)
    size = (height, width)
    smooth = torch.nn.functional.interpolate(coarse, size, mode="bilinear", align_corners=False)
    edges = (torch.nn.functional.interpolate(coarse.flip(1), size) > 0.6) * 0.25
    texture = 0.1 * torch.rand(batch, 3, height, width, generator=generator)
    return ((smooth * 0.6 + edges + texture).clamp(0, 1) * 255).round() / 255


def grey(value, batch=1, height=256, width=256):
    """One value everywhere."""
    return torch.full((batch, 3, height, width), value)


def step(kind, strength=None, seed=0, **options):
    return draw(kind, np.random.default_rng(seed), strength, **options)


def run(pictures, *plan, seed=0, **options):
    """The same plan for every picture."""
    generator = torch.Generator().manual_seed(seed)
    return degrade(pictures, [tuple(plan)] * len(pictures), generator, **options)


def distance(a, b):
    return float((a - b).square().mean().sqrt())


ALL = tuple(KINDS)
WEAKEST = {
    "haze": 0,
    "rain": 0,
    "snow": 0,
    "blur": 0,
    "defocus": 0,
    "shake": 0,
    "kernel": 0,
    "low": 0,
    "noise": 0,
}
STRONGER = {
    "haze": (0.2, 0.5, 0.8),
    "rain": (0.2, 0.5, 1.0),
    "snow": (0.2, 0.5, 1.0),
    "blur": (0.6, 1.2, 3.0),
    "defocus": (1.0, 2.5, 6.0),
    "shake": (4.0, 12.0, 30.0),
    "kernel": (0.4, 0.8, 1.6),
    "low": (0.5, 1.5, 3.0),
    "sensor": (400.0, 1600.0, 12800.0),
    "noise": (5.0, 20.0, 50.0),
    "jpeg": (80.0, 40.0, 10.0),
    "webp": (80.0, 40.0, 5.0),
}
