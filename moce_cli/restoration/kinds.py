"""Arrays and tensors that a person may give, as what the engine works on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from moce_cli.errors import InputError
from moce_cli.restoration.canvas import Array


@dataclass(frozen=True, slots=True, eq=False)
class Worked:
    """An array taken apart.

    Attributes:
        colours: `(H, W, 1 or 3)`, uint8, uint16 or float32: what is restored.
        further: `(H, W, n)`, what is not: alpha, or nothing.
        given: the array itself.
    """

    colours: Array
    further: Array
    given: Array

    @property
    def alpha(self) -> Array | None:
        """`(H, W)`."""
        return self.further[..., 0] if self.further.shape[2] else None

    def back(self, restored: Array) -> Array:
        """The restored colours in the shape and type that were given."""
        joined = np.concatenate((restored.astype(self.given.dtype), self.further), axis=2)
        return joined.reshape(self.given.shape)


def take_apart(array: Array) -> Worked:
    """Check an array and split off what is no colour.

    Raises:
        InputError: it is no picture.
    """
    shape = array.shape
    if len(shape) not in (2, 3) or 0 in shape or (len(shape) == 3 and shape[2] > 4):
        raise InputError(f"an array of shape {shape} is no picture", "give (H, W) or (H, W, C)")
    channels = shape[2] if len(shape) == 3 else 1
    pixels = array.reshape(shape[0], shape[1], channels)
    colour = 1 if channels < 3 else 3
    if array.dtype.kind == "f":
        low, high = float(np.min(pixels)), float(np.max(pixels))
        if not (low >= 0 and high <= 1):
            raise InputError(f"the values reach from {low:g} to {high:g}", "scale them to [0, 1]")
        worked = pixels[..., :colour].astype(np.float32)
    elif array.dtype.name in ("uint8", "uint16"):
        worked = pixels[..., :colour]
    else:
        raise InputError(f"{array.dtype} is no pixel type", "use uint8, uint16 or floats in [0, 1]")
    return Worked(worked, pixels[..., colour:], array)


def array_of(tensor: torch.Tensor) -> Array:
    """A tensor `(C, H, W)` or `(1, C, H, W)` as `(H, W, C)` float32.

    Raises:
        InputError: it is no picture.
    """
    single = tensor[0] if tensor.ndim == 4 and tensor.shape[0] == 1 else tensor
    if single.ndim != 3 or single.shape[0] not in (1, 3) or not tensor.is_floating_point():
        raise InputError(
            f"a {tensor.dtype} tensor of shape {tuple(tensor.shape)} is no picture",
            "give floats in [0, 1], (C, H, W) or (1, C, H, W) with C 1 or 3",
        )
    return single.detach().permute(1, 2, 0).float().cpu().numpy()


def tensor_like(given: torch.Tensor, restored: Array) -> torch.Tensor:
    """The restored `(H, W, C)` in the shape, type and place of the tensor that was given."""
    out = torch.from_numpy(restored).permute(2, 0, 1).reshape(given.shape)
    return out.to(given.device, given.dtype)
