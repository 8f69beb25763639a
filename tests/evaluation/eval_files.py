"""Small folders to evaluate on."""

import numpy as np
from networks import checkpoint
from PIL import Image

from moce_cli.restoration import Restorer


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def noise(height=40, width=52, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def smooth(height=48, width=64, seed=0):
    """Something like a photograph: slow changes, an edge, a little texture."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / 16
    phases = rng.random((3, 2)) * 6
    waves = np.stack([np.sin(x + a) * np.cos(y + b) for a, b in phases], axis=2)
    picture = 0.5 + 0.3 * waves + 0.05 * rng.standard_normal(waves.shape)
    picture[:, width // 2 :] *= 0.6
    return (picture.clip(0, 1) * 255).astype(np.uint8)


def pair_folder(root, count=3, height=40, width=52):
    """`degraded/` and `clean/`: the degraded ones are a level darker."""
    for i in range(count):
        clean = noise(height, width, i)
        save(root / "clean" / f"{i}.png", clean)
        save(root / "degraded" / f"{i}.png", np.where(clean > 0, clean - 1, clean).astype(np.uint8))
    return root


def clean_folder(root, count=3, height=48, width=64):
    for i in range(count):
        save(root / f"{i:02}.png", smooth(height, width, i))
    return root


def restorer(*, identity=False, **options):
    """A small model on one thread."""
    return Restorer(
        checkpoint(identity=identity), device="cpu", precision="fp32", threads=1, **options
    )
