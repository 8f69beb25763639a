"""Blur: each point of light spread by a kernel that sums to 1.

Light is spread before it is measured, so kernels act on linear light: a lamp's edge spreads
farther than encoded values would let it.
Convention: kernels are (K, K), K odd, the origin in the middle; borders are reflected.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from moce_cli.degradations.light import to_encoded, to_linear
from moce_cli.degradations.spectrum import convolve
from moce_cli.degradations.step import Step, Value
from moce_cli.errors import InputError, UsageError

Kernel = npt.NDArray[np.float32]
_FINE = 8  # samples a pixel and direction where a disc's edge is measured
_PATH_POINTS = 48


def draw_blur(strength: float, rng: np.random.Generator) -> dict[str, Value]:
    """A Gaussian; half of them narrower in one direction.

    Source: Pentland, "A New Sense for Depth of Field" (PAMI 1987), for a Gaussian in place of an
    optical system's point spread function.
    """
    narrow = rng.uniform(0.4, 1.0) if rng.random() < 0.5 else 1.0
    return {"narrow": round(float(narrow), 4), "angle": round(float(rng.uniform(0, 180)), 2)}


def draw_defocus(strength: float, rng: np.random.Generator) -> dict[str, Value]:
    """A disc, its rim up to a pixel soft."""
    return {"soft": round(float(rng.uniform(0.0, 0.5)), 4)}


def draw_shake(strength: float, rng: np.random.Generator) -> dict[str, Value]:
    """The path of a point while the shutter is open: a random walk with inertia.

    The hand pushes at random, muscles pull back, now and then there is a jerk.

    Source: Boracchi and Foi, "Modeling the Performance of Image Restoration from Motion Blur"
    (TIP 2012), for the ingredients.
    """
    inertia, pull = rng.uniform(0.6, 0.97), rng.uniform(0.0, 0.05)
    jerk = rng.uniform(0.0, 0.06)
    place, speed = np.zeros(2), rng.normal(0, 1, 2)
    path: list[npt.NDArray[np.float64]] = []
    for _ in range(_PATH_POINTS):
        path.append(place)
        push = rng.normal(0, 1, 2) * (6.0 if rng.random() < jerk else 1.0)
        speed = inertia * speed + (1 - inertia) * 2 * push - pull * place
        place = place + speed
    points = np.stack(path)
    spread = np.linalg.norm(points[:, None] - points[None], axis=2).max()
    points = (points - points.mean(axis=0)) / max(float(spread), 1e-9)
    return {"path": [[round(float(v), 4) for v in point] for point in points]}


def gaussian(sigma: float, narrow: float, angle: float) -> Kernel:
    """A Gaussian of `sigma` along `angle` degrees and `narrow * sigma` across."""
    reach = max(1, math.ceil(3.5 * sigma))
    if sigma < 0.05:
        return _delta()
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.float64)
    turn = math.radians(angle)
    along, across = (
        x * math.cos(turn) + y * math.sin(turn),
        y * math.cos(turn) - x * math.sin(turn),
    )
    thin = max(narrow * sigma, 0.05)
    return _whole(np.exp(-0.5 * ((along / sigma) ** 2 + (across / thin) ** 2)))


def disc(radius: float, soft: float) -> Kernel:
    """A disc, each pixel weighed by how much of it is covered."""
    if radius <= 0:
        return _delta()
    reach = max(1, math.ceil(radius + soft))
    fine = (np.arange(-reach * _FINE - _FINE // 2, reach * _FINE + _FINE // 2) + 0.5) / _FINE
    far = np.hypot(fine[:, None], fine[None, :])
    edge = max(min(soft, radius / 2), 0.5 / _FINE)
    covered = np.clip((radius - far) / (2 * edge) + 0.5, 0.0, 1.0)
    side = 2 * reach + 1
    return _whole(covered.reshape(side, _FINE, side, _FINE).mean(axis=(1, 3)))


def trail(path: npt.NDArray[np.float64], extent: float) -> Kernel:
    """The time that a point spends at each pixel of its path, centred at its mean.

    Args:
        path: (N, 2), down and across, its two farthest points 1 apart.
        extent: that distance in pixels.
    """
    points = path * extent
    steps = max(2, math.ceil(2 * extent / len(points)) + 1)
    share = np.arange(steps) / steps
    fine = points[:-1, None] + (points[1:] - points[:-1])[:, None] * share[None, :, None]
    fine = fine.reshape(-1, 2)
    fine = fine - fine.mean(axis=0)
    reach = math.ceil(float(np.abs(fine).max())) + 1
    side = 2 * reach + 1
    corner = np.floor(fine)
    part = fine - corner
    kernel = np.zeros(side * side)
    for down in (0, 1):
        for across in (0, 1):
            place = (corner + np.array([down, across]) + reach).astype(np.int64)
            weight = np.abs(1 - down - part[:, 0]) * np.abs(1 - across - part[:, 1])
            kernel += np.bincount(place[:, 0] * side + place[:, 1], weight, side * side)
    return _whole(kernel.reshape(side, side))


def scaled(kernel: Kernel, times: float) -> Kernel:
    """A kernel drawn `times` as large; 1 leaves it, 0 makes it a point.

    Its mean comes to lie in the middle, to the nearest pixel: a blurred picture stays in place.
    """
    height, width = kernel.shape
    y, x = np.mgrid[:height, :width].astype(np.float64)
    weight = kernel.astype(np.float64).ravel()
    middle = np.array([(y.ravel() * weight).sum(), (x.ravel() * weight).sum()]) / weight.sum()
    middle = np.rint(middle)
    fine = (np.arange(4) + 0.5) / 4 - 0.5  # each pixel as 4 x 4 points
    points = np.stack([y.ravel() - middle[0], x.ravel() - middle[1]], axis=1)
    inner = np.stack(np.meshgrid(fine, fine, indexing="ij"), axis=-1).reshape(-1, 2)
    spread = ((points[:, None] + inner[None]) * times).reshape(-1, 2)
    heavy = np.repeat(weight / 16, 16)
    used = heavy > 0
    spread, heavy = spread[used], heavy[used]
    reach = math.ceil(float(np.abs(spread).max())) + 1
    side = 2 * reach + 1
    place = np.rint(spread).astype(np.int64) + reach
    laid = np.bincount(place[:, 0] * side + place[:, 1], heavy, side * side).astype(np.float64)
    return _whole(laid.reshape(side, side))


@lru_cache(maxsize=256)
def measured(path: str) -> Kernel:
    """A kernel from a .npy file, made to sum to 1.

    Raises:
        InputError: it can't be read, or is no kernel.
    """
    try:
        kernel = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"the kernel {path} can't be read: {error}") from error
    if kernel.ndim != 2 or min(kernel.shape) < 1 or not np.issubdtype(kernel.dtype, np.number):
        raise InputError(f"{path} holds {kernel.dtype} of shape {kernel.shape}, which is no kernel")
    kernel = kernel.astype(np.float64)
    if not np.isfinite(kernel).all() or kernel.min() < 0 or kernel.sum() <= 0:
        raise InputError(f"{path} is no kernel: its values must be 0 or more, and finite")
    return (kernel / kernel.sum()).astype(np.float32)


def kernel_files(folder: Path) -> list[Path]:
    """The kernels of a folder, or a file alone, in sorted order.

    Raises:
        InputError: there are none.
    """
    if not folder.exists():
        raise InputError(f"{folder} is not there", "name a folder of kernels (*.npy)")
    found = sorted(folder.glob("*.npy")) if folder.is_dir() else [folder]
    if not found or not found[0].is_file():
        raise InputError(f"{folder} holds no kernels", "it is searched for *.npy")
    return found


def draw_kernel(rng: np.random.Generator, folder: Path | None) -> dict[str, Value]:
    """One of the measured kernels, turned or mirrored.

    Source: whoever measured them; Levin et al., "Understanding and Evaluating Blind Deconvolution
    Algorithms" (CVPR 2009), did so for a camera's shake.

    Raises:
        UsageError: no folder was given.
    """
    if folder is None:
        raise UsageError(
            "measured kernels are read from a folder, and none was given", "add --kernels FOLDER"
        )
    files = kernel_files(folder)
    chosen = files[int(rng.integers(len(files)))]
    measured(str(chosen))
    return {"file": str(chosen), "turns": int(rng.integers(4)), "mirrored": int(rng.integers(2))}


def kernel_of(step: Step) -> Kernel:
    """The kernel (K, K) of a step of blur, defocus, shake or kernel; it sums to 1."""
    return _MAKERS[step.kind](step)


def _of_gaussian(step: Step) -> Kernel:
    return gaussian(step.strength, step.number("narrow"), step.number("angle"))


def _of_disc(step: Step) -> Kernel:
    return disc(step.strength, step.number("soft"))


def _of_shake(step: Step) -> Kernel:
    return trail(step.points("path"), step.strength)


def _of_file(step: Step) -> Kernel:
    kernel = np.rot90(measured(step.word("file")), int(step.number("turns")))
    return scaled(kernel[:, ::-1] if step.number("mirrored") else kernel, step.strength)


_MAKERS: dict[str, Callable[[Step], Kernel]] = {
    "blur": _of_gaussian,
    "defocus": _of_disc,
    "shake": _of_shake,
    "kernel": _of_file,
}


def _delta() -> Kernel:
    kernel = np.zeros((3, 3), np.float32)
    kernel[1, 1] = 1
    return kernel


def _whole(kernel: npt.NDArray[np.float64]) -> Kernel:
    return (kernel / kernel.sum()).astype(np.float32)


def spread(pictures: Tensor, steps: Sequence[Step], generator: torch.Generator) -> Tensor:
    """Pictures `(B, 3, H, W)`, each blurred by its step's kernel; nothing is drawn."""
    kernels = [kernel_of(step) for step in steps]
    side = max(len(kernel) for kernel in kernels)
    stack = np.zeros((len(kernels), side, side), np.float32)
    for row, kernel in zip(stack, kernels, strict=True):
        rim = (side - len(kernel)) // 2
        row[rim : rim + len(kernel), rim : rim + len(kernel)] = kernel
    light = convolve(to_linear(pictures), torch.from_numpy(stack).to(pictures))
    return to_encoded(light)
