"""Colours that a picture can't keep, CMYK and Lab, turned into RGB."""

from __future__ import annotations

import functools
import io

from PIL import Image, ImageCms

from moce_cli.errors import InputError

_DATE = slice(24, 36)  # of an ICC header: when it was made


@functools.cache
def srgb_profile() -> bytes:
    """An sRGB profile, the same bytes at every call on every day."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[_DATE] = bytes((7, 208, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0))  # 2000-01-01
    return bytes(profile)


def to_srgb(image: Image.Image, icc: bytes | None) -> tuple[Image.Image, bytes | None, str]:
    """A CMYK or Lab image in RGB.

    Returns:
        the image, the profile that now describes it, and a sentence on what was done.

    Raises:
        InputError: no profile says what its inks look like.
    """
    kind = "Lab" if image.mode == "LAB" else image.mode
    if kind == "Lab":
        source: ImageCms.ImageCmsProfile | None = ImageCms.ImageCmsProfile(
            ImageCms.createProfile("LAB")
        )
    else:
        source = _profile(icc, kind)
    if source is not None:
        target = ImageCms.ImageCmsProfile(io.BytesIO(srgb_profile()))
        try:
            converted = ImageCms.profileToProfile(
                image,
                source,
                target,
                renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
                outputMode="RGB",
                flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
            )
        except ImageCms.PyCMSError:
            converted = None
        if converted is not None:
            how = "its profile" if kind == "CMYK" else "their definition"
            return converted, srgb_profile(), f"{kind} colours were turned into sRGB by {how}"
    because = "a profile that is unusable" if icc else "no profile"
    raise InputError(
        f"it holds {kind} colours and {because}, so that nothing says what they look like",
        "give it a profile, or turn it into RGB, in the program that it comes from",
    )


def _profile(icc: bytes | None, kind: str) -> ImageCms.ImageCmsProfile | None:
    if not icc or icc[16:20].decode("latin-1") != kind:
        return None
    try:
        return ImageCms.ImageCmsProfile(io.BytesIO(icc))
    except (OSError, ImageCms.PyCMSError):
        return None
