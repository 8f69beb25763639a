"""Bands of a file, put together, are what `read` gives of it."""

import struct
import subprocess
import sys
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
from banded import check_like_read
from picture_files import (
    encoded,
    exif_of,
    noise,
    png_file,
    png_of,
    smooth,
    srgb_icc,
    stored_for,
    tiff_of,
    xmp_of,
)
from PIL import Image

from moce_cli.errors import InputError, UsageError
from moce_cli.pictures import probe
from moce_cli.pictures.large import open_bands, spool, why_not_bands

pytest.importorskip("pyvips")

LAYOUTS = {
    "plain": {"rowsperstrip": 8},
    "one strip": {"rowsperstrip": 40},
    "Deflate": {"rowsperstrip": 8, "compression": "zlib", "predictor": True},
    "LZW": {"rowsperstrip": 8, "compression": "lzw"},
    "PackBits": {"rowsperstrip": 8, "compression": "packbits"},
    "big endian": {"rowsperstrip": 8, "compression": "zlib", "predictor": True, "byteorder": ">"},
    "tiled": {"tile": (16, 32)},
    "BigTIFF": {"tile": (32, 16), "compression": "zlib", "bigtiff": True},
}


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_png(channels, dtype, tmp_path):
    check_like_read(png_of(noise(40, 33, channels, dtype)), tmp_path / "a.png")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
def test_png_with_a_transparent_colour(channels, dtype, tmp_path):
    pixels = noise(40, 33, channels, dtype) // np.iinfo(dtype).max * 3
    key = struct.pack(f">{channels}H", *[3] * channels)
    check_like_read(png_of(pixels, extra=[(b"tRNS", key)]), tmp_path / "a.png")


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_png_of_few_bits(depth, tmp_path):
    bits = noise(40, 33, depth) & 1
    rows = np.packbits(bits.reshape(40, -1), axis=1)
    packed = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    header = struct.pack(">IIBBBBB", 33, 40, depth, 0, 0, 0, 0)
    data = png_file([(b"IHDR", header), (b"IDAT", packed), (b"IEND", b"")])
    check_like_read(data, tmp_path / "a.png")


@pytest.mark.parametrize("options", [{"quality": 90}, {"subsampling": 2}, {"subsampling": 1}])
@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg(channels, options, tmp_path):
    image = Image.fromarray(noise(80, 63, channels).squeeze())
    data = encoded(image, "JPEG", comment=b"hello", icc_profile=srgb_icc(), **options)
    check_like_read(data, tmp_path / "a.jpg", 17)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_tiff(channels, dtype, layout, tmp_path):
    samples = noise(40, 33, channels, np.uint8 if dtype == np.uint8 else np.uint16)
    if dtype == np.float32:
        samples = (samples / 40000).astype(np.float32)
    data = tiff_of(
        samples,
        photometric="minisblack" if channels == 1 else "rgb",
        extrasamples=["unassalpha"] if channels == 4 else None,
        **LAYOUTS[layout],
    )
    check_like_read(data, tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("samples", "options"),
    [
        (noise(40, 33, 5), {"photometric": "rgb", "extrasamples": ["unassalpha", "unspecified"]}),
        (noise(40, 33, 2), {"extrasamples": ["unassalpha"], "planarconfig": "contig"}),
        (noise(40, 33, 1), {"photometric": "miniswhite"}),
        (noise(40, 33, 1, np.uint16), {"photometric": "miniswhite"}),
        (noise(40, 33, 1).astype(np.float16) / 300, {"photometric": "minisblack"}),
        (np.moveaxis(noise(40, 33), 2, 0), {"photometric": "rgb", "planarconfig": "separate"}),
    ],
    ids=["further channels", "grey, alpha", "from white", "from white, 16", "half", "planes"],
)
def test_unusual_tiff(samples, options, tmp_path):
    data = tiff_of(samples, **{"photometric": "minisblack", "rowsperstrip": 8} | options)
    check_like_read(data, tmp_path / "a.tif")


@pytest.mark.parametrize("layout", ["Deflate", "tiled", "BigTIFF"])
def test_a_tiff_of_unusual_metadata(layout, tmp_path):
    odd = [(271, 2, 4, b"Make", True), (65123, 7, 3, b"abc", True)]  # no null at its end
    data = tiff_of(smooth(40, 33), photometric="rgb", extratags=odd, **LAYOUTS[layout])
    check_like_read(data, tmp_path / "a.tif")


def test_jpeg_in_tiles_of_a_tiff(tmp_path):
    data = tiff_of(smooth(64, 64), photometric="ycbcr", compression="jpeg", tile=(32, 32))
    check_like_read(data, tmp_path / "a.tif")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("channels", [1, 4])
def test_orientations(orientation, channels, tmp_path, monkeypatch):
    monkeypatch.setattr(spool.tempfile, "tempdir", str(tmp_path))
    upright = noise(150, 99, channels, np.uint16)
    extra = [(b"eXIf", exif_of(orientation)), (b"iTXt", xmp_of(orientation))]
    data = png_of(stored_for(upright, orientation), extra=extra[:1])
    path = tmp_path / "a.png"
    check_like_read(data, path, 31)
    with open_bands(path) as reader:
        pixels, _ = reader.rows(100, 149)
        np.testing.assert_array_equal(pixels[:, :, 0], upright[100:149, :, 0])
        least = upright.nbytes if orientation > 2 else 0
        assert least <= reader.disk_bytes <= 3 * least
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_rows_may_be_skipped_and_asked_for_again_and_by_another_thread(tmp_path):
    path, pixels = tmp_path / "a[page=1].png", noise(400, 30)
    path.write_bytes(png_of(pixels))
    found = []
    with open_bands(path) as reader:
        for top, bottom in ((0, 1), (1, 9), (100, 300), (399, 400), (50, 400), (0, 400)):
            np.testing.assert_array_equal(reader.rows(top, bottom)[0], pixels[top:bottom])
        reader.rows(0, 200)
        other = threading.Thread(target=lambda: found.append(reader.rows(200, 400)[0]))
        other.start()
        other.join()
        np.testing.assert_array_equal(found[0], pixels[200:])
        for wrong in ((0, 0), (5, 401), (-1, 3), (7, 6)):
            with pytest.raises(UsageError, match="none of 400"):
                reader.rows(*wrong)


def tiff_of_bits(*bits, height=4, width=6):
    """A plain grey or RGB TIFF of samples of other sizes, all zero."""
    data = bytes(height * -(-width * sum(bits) // 8))
    stated = struct.pack(f"<{len(bits)}H", *bits)
    at = 8 + len(data) + len(data) % 2
    entries = [
        (256, 3, 1, width),
        (257, 3, 1, height),
        (258, 3, len(bits), bits[0] if len(bits) == 1 else at),
        (259, 3, 1, 1),
        (262, 3, 1, 1 if len(bits) == 1 else 2),
        (273, 4, 1, 8),
        (277, 3, 1, len(bits)),
        (278, 3, 1, height),
        (279, 4, 1, len(data)),
    ]
    table = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    start = at + len(stated) + len(stated) % 2
    body = data.ljust(at - 8, b"\0") + stated.ljust(start - at, b"\0")
    head = b"II*\0" + struct.pack("<I", start)
    return head + body + struct.pack("<H", len(entries)) + table + bytes(4)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_tiff_of_few_bits(bits, tmp_path):
    check_like_read(tiff_of_bits(bits), tmp_path / "a.tif", 3)


@pytest.mark.parametrize("bits", [(12,), (8, 16, 8)])
def test_tiff_of_other_bits(bits, tmp_path):
    path = tmp_path / "a.tif"
    path.write_bytes(tiff_of_bits(*bits))
    told = ", ".join(map(str, dict.fromkeys(bits)))
    assert why_not_bands(probe(path)) == f"it holds samples of {told} bits"
    with pytest.raises(InputError, match="can't be read in bands"):
        open_bands(path)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs Linux")
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_the_file_is_not_mapped_into_memory(kind, tmp_path):
    """Else memory would follow the file's size."""
    path = tmp_path / "mapped"
    Image.fromarray(noise(300, 200)).save(path, kind)
    with open_bands(path) as reader:
        reader.rows(0, 200)
        assert str(path) not in Path("/proc/self/maps").read_text(encoding="utf-8")


def test_turning_a_picture_can_be_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(spool.tempfile, "tempdir", str(tmp_path))
    path, calls = tmp_path / "a.png", []
    path.write_bytes(png_of(noise(500, 50), extra=[(b"eXIf", exif_of(6))]))

    def asked():
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt

    with open_bands(path) as reader:
        reader.while_turning = asked
        with pytest.raises(KeyboardInterrupt):
            reader.rows(0, 10)
        assert len(calls) == 3, "not at the end only"
        assert len(reader.rows(0, 10)[0]) == 10, "it may be asked again"


def test_a_pipe_and_nothing_loaded_before_it_is_needed(tmp_path):
    command = "import sys, moce_cli.pictures.large; print('pyvips' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, check=True)
    assert done.stdout.strip() == b"False"
