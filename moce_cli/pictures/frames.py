"""The pages and frames after a picture's first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO, cast

import numpy as np
from PIL import Image

from moce_cli.errors import InputError
from moce_cli.pictures import decode
from moce_cli.pictures.decode import Samples
from moce_cli.pictures.ifd import DamagedError


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of an animation.

    Attributes:
        samples: its pixels, all of them, whatever the file stored.
        duration_ms: how long it is shown.
    """

    samples: Samples
    duration_ms: float


def check_frames(frames: int, height: int, width: int, max_pixels: int) -> None:
    """Refuse an animation that would not fit.

    Raises:
        InputError: all frames together have too many pixels.
    """
    if frames * height * width > max_pixels:
        raise InputError(
            f"it states {frames} pages or frames of {width} x {height} pixels, together more than "
            f"the {max_pixels} allowed",
            hint="if it is no decompression bomb, raise --max-pixels",
        )


def plays(image: Image.Image, kind: str) -> int:
    """How often an animation is played; 0 for ever."""
    stated = image.info.get("loop")
    if kind == "GIF":  # it counts repeats, and without a count plays once
        return 1 if stated is None else 0 if stated == 0 else int(cast("int", stated)) + 1
    return int(cast("int", stated or 0))


def frames(file: BinaryIO, kind: str, count: int, icc: bytes | None) -> Iterator[Frame]:
    """All frames of an animation, the first included.

    Args:
        file: seekable.
        kind: "PNG", "GIF", "WebP" or "AVIF".
        count: how many.
        icc: the profile of all of them.

    Raises:
        DamagedError: one is missing.
    """
    file.seek(0)
    with Image.open(file, formats=[kind]) as image:
        size = image.size
        still = bool(getattr(image, "default_image", False))  # a PNG's, which is no frame
        for index in range(count):
            try:
                image.seek(index + still)
            except EOFError as error:
                raise DamagedError(f"it holds {index} of {count} frames") from error
            if image.size != size:
                raise DamagedError(f"its frame {index + 1} reaches beyond the first")
            found = decode.samples(image, icc)
            yield Frame(found, float(cast("float", image.info.get("duration") or 0)))


def alike(found: list[Frame]) -> list[Frame]:
    """The frames, each with the channels, and the alpha, that any of them has."""
    channels = max(frame.samples.pixels.shape[2] for frame in found)
    clear = any(frame.samples.alpha is not None for frame in found)
    done: list[Frame] = []
    for frame in found:
        pixels, alpha = frame.samples.pixels, frame.samples.alpha
        if pixels.shape[2] < channels:
            pixels = pixels.repeat(channels, axis=2)
        if clear and alpha is None:
            alpha = np.full(pixels.shape[:2], np.iinfo(pixels.dtype).max, pixels.dtype)
        samples = replace(frame.samples, pixels=pixels, alpha=alpha)
        done.append(replace(frame, samples=samples))
    return done
