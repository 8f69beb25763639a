"""Pillow's images as arrays of samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from moce_cli.pictures.colour import to_srgb
from moce_cli.pictures.picture import Pixels

_SIXTEEN = ("I;16", "I;16L", "I;16B", "I;16N")
_NAMES = {
    "1": "grey",
    "L": "grey",
    "LA": "grey+alpha",
    "La": "grey+alpha",
    "RGBX": "RGB",
    "RGBA": "RGB+alpha",
    "RGBa": "RGB+alpha",
    "P": "palette",
    "PA": "palette+alpha",
    "LAB": "Lab",
    "I": "integer",
    "F": "float",
    **dict.fromkeys(_SIXTEEN, "grey"),
}


class UnsupportedError(ValueError):
    """Samples of a kind that is not read; the message ends a sentence after "holds"."""


@dataclass(frozen=True, slots=True)
class Samples:
    """What decoding gives.

    Attributes:
        pixels: (H, W, 1 or 3).
        alpha: (H, W), or None.
        icc: the profile that describes the pixels now.
        notes: what could not be kept.
    """

    pixels: Pixels
    alpha: Pixels | None = None
    icc: bytes | None = None
    notes: tuple[str, ...] = ()


def mode_name(image: Image.Image) -> str:
    """The image's mode in words; see `Source.mode`."""
    name = _NAMES.get(image.mode, image.mode)
    return name + "+alpha" if name == "palette" and image.has_transparency_data else name


def samples(image: Image.Image, icc: bytes | None) -> Samples:
    """Decode an image, whatever its mode.

    Args:
        image: from Pillow; its orientation is left as it is.
        icc: its profile.

    Raises:
        UnsupportedError: 32-bit integers or floats.
    """
    if image.mode in _SIXTEEN:
        pixels = np.asarray(image).astype(np.uint16)
        return Samples(pixels[:, :, None], icc=icc)
    if image.mode in ("I", "F"):
        kind = "32-bit or signed integer" if image.mode == "I" else "floating-point"
        raise UnsupportedError(f"{kind} samples")
    notes: tuple[str, ...] = ()
    if image.mode in ("CMYK", "LAB"):
        image, icc, note = to_srgb(image, icc)
        notes = (note,)
    array = np.asarray(image.convert(_plain_mode(image)))
    if array.ndim == 2:
        return Samples(array[:, :, None].copy(), icc=icc, notes=notes)
    if array.shape[2] == 3:
        return Samples(array.copy(), icc=icc, notes=notes)
    return Samples(array[:, :, :-1].copy(), array[:, :, -1].copy(), icc, notes)


def _plain_mode(image: Image.Image) -> str:
    """The one of L, LA, RGB, RGBA that loses nothing."""
    if image.mode in ("1", "L"):
        return "LA" if image.has_transparency_data else "L"
    if image.mode in ("LA", "La"):
        return "LA"
    return "RGBA" if image.has_transparency_data or image.mode == "RGBa" else "RGB"


def upright(array: Pixels, orientation: int) -> Pixels:
    """Turn stored rows and columns into an upright picture, (H, W) or (H, W, C).

    Source: EXIF 2.32, tag 0x0112; as Pillow's ImageOps.exif_transpose.
    """
    if orientation >= 5:
        array = array.swapaxes(0, 1)  # 5: mirrored along the main diagonal
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    return np.ascontiguousarray(array)
