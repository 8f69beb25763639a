"""The orientation is applied once, and every tag that tells of it reset."""

import io
import struct
import zlib

import numpy as np
import pytest
import tifffile
from picture_files import encoded, exif_of, noise, smooth, stored_for, xmp_of
from PIL import Image

from moce_cli.pictures import Picture, probe, read, write


def written(picture, kind):
    out = io.BytesIO()
    write(picture, out, format=kind)
    return out.getvalue()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "PNG 16", "JPEG", "WebP", "TIFF", "TIFF 16"])
def test_orientation_is_applied_once_and_reset(orientation, kind):
    deep = kind.endswith("16")
    kind = kind.split()[0]
    upright = smooth(24, 40)
    upright[:5, :9] = 255  # no symmetry
    if deep:
        upright = upright.astype(np.uint16) * 257
    exif = exif_of(orientation, thumbnail=b"\xff\xd8 stale \xff\xd9")
    stored = stored_for(upright, orientation)
    if kind == "TIFF":
        out = io.BytesIO()
        extra = [(274, "H", 1, orientation, True)]
        tifffile.imwrite(out, stored, photometric="rgb", extratags=extra, metadata=None)
        data = out.getvalue()
    elif deep:
        data = written(Picture(stored), kind)
        data = data[:33] + _chunk(b"eXIf", exif) + data[33:]
    else:
        lossless = {"lossless": True} if kind == "WebP" else {}
        if kind == "JPEG":
            lossless = {"quality": 100, "subsampling": 0}
        data = encoded(Image.fromarray(stored), kind, exif=b"Exif\0\0" + exif, **lossless)
    header = probe(io.BytesIO(data))
    assert (header.height, header.width, header.orientation) == (24, 40, orientation)
    found = read(io.BytesIO(data))
    error = np.abs(found.pixels.astype(int) - upright)
    assert error.max() <= (24 if kind == "JPEG" else 0)
    for target in ("PNG", "TIFF", "JPEG", "WebP"):
        again = written(found, target)
        tags = Image.open(io.BytesIO(again)).getexif()
        assert tags.get(0x0112, 1) == 1
        assert b"stale" not in again
        if kind != "TIFF":
            sizes = tags.get_ifd(0x8769)
            assert (sizes[0xA002], sizes[0xA003]) == (40, 24)
        second = read(io.BytesIO(again))
        assert second.pixels.shape == (24, 40, 3)


def _chunk(name, body):
    return struct.pack(">I4s", len(body), name) + body + struct.pack(">I", zlib.crc32(name + body))


def test_orientation_told_by_xmp_alone_is_applied_and_reset():
    upright = noise(6, 9)
    data = encoded(Image.fromarray(stored_for(upright, 6)), "WEBP", lossless=True, xmp=xmp_of(6))
    found = read(io.BytesIO(data))
    np.testing.assert_array_equal(found.pixels, upright)
    assert found.source.xmp == xmp_of(1)


def test_exif_overrules_xmp_about_orientation():
    upright = noise(6, 9)
    exif = b"Exif\0\0" + exif_of(3)
    image = Image.fromarray(stored_for(upright, 3))
    found = read(io.BytesIO(encoded(image, "WEBP", lossless=True, exif=exif, xmp=xmp_of(6))))
    np.testing.assert_array_equal(found.pixels, upright)
    assert found.source.xmp == xmp_of(1)


def test_resolution_turns_with_the_picture():
    exif = b"Exif\0\0" + exif_of(6)
    data = encoded(Image.fromarray(smooth(8, 12)), "JPEG", dpi=(300, 150), exif=exif)
    found = read(io.BytesIO(data)).source
    assert found.dpi == (300.0, 150.0)
    tags = Image.Exif()
    tags.load(found.exif)
    assert (tags[0x011A], tags[0x011B]) == (150, 300)
