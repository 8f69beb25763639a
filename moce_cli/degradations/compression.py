"""What files lose: real encoders and decoders, one picture after the other, on the CPU."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from moce_cli.degradations.step import Step, Value
from moce_cli.errors import UsageError

SIDES = {"jpeg": 65500, "webp": 16383}
"""The longest side that each can state."""


def draw_jpeg(strength: float, rng: np.random.Generator) -> dict[str, Value]:
    """Chroma at full or at half size; most JPEG files halve it."""
    return {"chroma": "4:2:0" if rng.random() < 0.7 else "4:4:4"}


def draw_webp(strength: float, rng: np.random.Generator) -> dict[str, Value]:
    """How hard the encoder tries; files in the wild are made with 4."""
    return {"method": int(rng.choice([2, 4]))}


def through_file(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], step: Step) -> bytes:
    """The file that a step of jpeg or webp makes of `(H, W, 3)`.

    Raises:
        UsageError: a side is longer than the format can state.
    """
    height, width = pixels.shape[:2]
    if max(height, width) > SIDES[step.kind]:
        raise UsageError(
            f"{step.kind} holds sides up to {SIDES[step.kind]} pixels; this picture is "
            f"{width} x {height}"
        )
    out = io.BytesIO()
    quality = round(step.strength)
    image = Image.fromarray(pixels)
    if step.kind == "jpeg":
        chroma = 0 if step.word("chroma") == "4:4:4" else 2
        image.save(out, "JPEG", quality=quality, subsampling=chroma)
    else:
        image.save(out, "WEBP", quality=quality, method=int(step.number("method")))
    return out.getvalue()


def compress(pictures: Tensor, steps: Sequence[Step], generator: torch.Generator) -> Tensor:
    """Pictures `(B, 3, H, W)` as they come back from their files; nothing is drawn."""
    pixels = (pictures * 255).round().to("cpu", torch.uint8).permute(0, 2, 3, 1).numpy()
    decoded = np.empty_like(pixels, order="C")
    for place, picture, step in zip(decoded, pixels, steps, strict=True):
        data = through_file(np.ascontiguousarray(picture), step)
        with Image.open(io.BytesIO(data)) as image:
            place[:] = np.asarray(image.convert("RGB"))
    return torch.from_numpy(decoded).to(pictures.device).permute(0, 3, 1, 2).float() / 255
