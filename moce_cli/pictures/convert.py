"""Between `Picture` and Pillow's images."""

from __future__ import annotations

import io
import logging
from dataclasses import replace

import numpy as np
from PIL import Image

from moce_cli.errors import InputError
from moce_cli.pictures import decode, exif
from moce_cli.pictures.assemble import upright_source
from moce_cli.pictures.fitting import whole_numbers
from moce_cli.pictures.guard import pillow_guard
from moce_cli.pictures.ifd import Directories
from moce_cli.pictures.picture import Header, Picture, Source, to_depth

_log = logging.getLogger(__name__)


def from_pillow(image: Image.Image) -> Picture:
    """A picture from Pillow's image, stood upright, with the metadata in its `info`.

    Raises:
        InputError: samples of 32 bits or floats, or an image that can't be decoded.
    """
    info = image.info
    block = info.get("exif")
    with pillow_guard():
        try:
            image.load()  # Pillow turns a TIFF upright here, and resets its tag
            if not block and (tags := image.getexif()):
                block = tags.tobytes()
            if block and image.format == "TIFF":
                tables = Directories(io.BytesIO(exif.bare(block)))
                block = exif.from_tiff(tables, tables.read(tables.first)[0])
            found = decode.samples(image, info.get("icc_profile"))
        except decode.UnsupportedError as error:
            raise InputError(
                f"the image holds {error}, which are not supported yet",
                hint="convert it to 8 or 16 bits",
            ) from error
        except InputError:
            raise
        except Exception as error:  # a lazy image from a damaged file
            raise InputError(f"the image can't be decoded: {error}") from error
    packet = info.get("xmp")
    source = Source(
        depth=found.pixels.dtype.itemsize * 8,
        mode=decode.mode_name(image),
        icc=found.icc,
        exif=exif.bare(block) if isinstance(block, bytes) and block else None,
        xmp=packet if isinstance(packet, bytes) and packet else None,
    )
    turn = exif.orientation(source.exif, source.xmp)
    pixels = decode.upright(found.pixels, turn)
    alpha = None if found.alpha is None else decode.upright(found.alpha, turn)
    header = Header(pixels.shape[0], pixels.shape[1], "", source.depth, source.mode)
    return Picture(pixels, alpha, upright_source(source, turn, header, list(found.notes)))


def to_pillow(picture: Picture) -> Image.Image:
    """Pillow's image, with profile, EXIF and XMP in its `info`.

    Pillow has no 16-bit colour: RGB, and grey with alpha, are rounded to 8 bits (the log says
    so); 16-bit grey becomes "I;16".
    """
    if picture.depth == 32:
        notes: list[str] = []
        picture = whole_numbers(picture, 8, "floating-point samples became 8-bit ones", notes)
        _log.info(notes[0])
    if picture.depth == 16 and (picture.channels == 3 or picture.alpha is not None):
        _log.info("Pillow holds no 16-bit colour: values were rounded to 8 bits")
        picture = replace(
            picture,
            pixels=to_depth(picture.pixels, 8),
            alpha=None if picture.alpha is None else to_depth(picture.alpha, 8),
        )
    samples = picture.pixels
    if picture.alpha is not None:
        samples = np.concatenate([samples, picture.alpha[:, :, None]], axis=2)
    image = Image.fromarray(samples[:, :, 0] if samples.shape[2] == 1 else samples)
    source = picture.source
    if source.icc:
        image.info["icc_profile"] = source.icc
    if source.exif:
        image.info["exif"] = exif.PREFIX + source.exif
    if source.xmp:
        image.info["xmp"] = source.xmp
    if source.dpi:
        image.info["dpi"] = (source.dpi[1], source.dpi[0])
    return image
