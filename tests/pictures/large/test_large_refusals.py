"""What can't be read in bands is refused before, and a damaged file is told as one."""

import io
import struct
import sys
import zlib

import numpy as np
import pytest
import tifffile
from banded import check_like_read, put_together
from picture_files import (
    cmyk_icc,
    encoded,
    exif_of,
    noise,
    png_file,
    png_of,
    smooth,
    tiff_of,
)
from PIL import Image

from moce_cli.errors import InputError
from moce_cli.pictures import Picture, Source, probe, read, write
from moce_cli.pictures.extras import PACKAGES
from moce_cli.pictures.large import described, open_bands, spool, vips, why_not_bands

pytest.importorskip("pyvips")


def pages():
    out = io.BytesIO()
    write(Picture(noise(9, 8), None, Source(), (Picture(noise(5, 6)),)), out, format="TIFF")
    return out.getvalue()


def test_a_disk_that_fails(tmp_path, monkeypatch, capfd):
    path = tmp_path / "a.tif"
    path.write_bytes(tiff_of(noise(40, 33), photometric="rgb", rowsperstrip=8))

    def fail(*_):
        raise OSError(5, "Input/output error")

    with open_bands(path) as reader:
        reader.rows(0, 8)
        monkeypatch.setattr(described.Described, "_part", fail)
        with pytest.raises(InputError, match=str(path)):
            reader.rows(8, 40)
    assert capfd.readouterr() == ("", "")


REFUSED = {
    "is none of PNG, JPEG, TIFF": encoded(Image.fromarray(noise(9, 8)), "WEBP"),
    "2 pages or frames": pages(),
    "palette samples": encoded(Image.fromarray(noise(9, 8)).quantize(8), "PNG"),
    "CMYK samples": encoded(
        Image.fromarray(noise(9, 8, 4), "CMYK"), "JPEG", icc_profile=cmyk_icc()
    ),
    "Lab samples": encoded(Image.fromarray(noise(9, 8), "LAB"), "TIFF"),
    "progressive": encoded(Image.fromarray(smooth(9, 8)), "JPEG", progressive=True),
    "compression 4": encoded(
        Image.fromarray(noise(9, 8, 1)[:, :, 0] > 99), "TIFF", compression="group4"
    ),
    "multiplied by alpha": tiff_of(noise(9, 8, 4), photometric="rgb", extrasamples=["assocalpha"]),
    "samples of 64 bits": tiff_of(noise(9, 8) / 255, photometric="rgb"),
    "count from white": tiff_of(noise(9, 8, 1) / np.float32(255), photometric="miniswhite"),
    "tiles of its own": tiff_of(
        np.moveaxis(noise(32, 32), 2, 0), photometric="rgb", planarconfig="separate", tile=(16, 16)
    ),
    "interlaced": png_file(
        [
            (b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 1)),
            (b"IDAT", zlib.compress(b"\0\0")),
            (b"IEND", b""),
        ]
    ),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_can_not_be_divided_is_said_before(reason, tmp_path):
    path = tmp_path / "a"
    path.write_bytes(REFUSED[reason])
    assert reason in why_not_bands(probe(path))
    with pytest.raises(InputError, match=f"can't be read in bands: .*{reason}"):
        open_bands(path)
    assert read(path).height  # it can be read whole


def test_one_large_packed_strip_is_refused(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, noise(2400, 2400), photometric="rgb", compression="zlib", rowsperstrip=2400
    )
    assert "packed into one strip" in why_not_bands(probe(path))


def test_without_the_package(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(png_of(noise(4, 5)))
    vips.vips.cache_clear()
    monkeypatch.setitem(sys.modules, PACKAGES["a picture in bands"][0], None)
    assert "pyvips, which is not installed" in why_not_bands(probe(path))
    with pytest.raises(InputError, match="which is not installed"):
        open_bands(path)


def whole_files():
    picture = Picture(smooth(160, 90), None, Source(exif=exif_of(1), dpi=(72.0, 72.0)))
    for kind in ("PNG", "JPEG", "TIFF"):
        out = io.BytesIO()
        write(picture, out, format=kind)
        yield kind, out.getvalue()
    yield "TIFF plain", tiff_of(smooth(160, 90), photometric="rgb", rowsperstrip=16)
    yield (
        "TIFF tiled",
        tiff_of(smooth(160, 90), photometric="rgb", tile=(32, 32), compression="zlib"),
    )


WHOLE = dict(whole_files())


def read_all(path):
    with open_bands(path) as reader:
        return put_together(reader, 16)


@pytest.mark.parametrize("kind", WHOLE)
def test_cut_short(kind, tmp_path, capfd):
    path, data = tmp_path / "a", WHOLE[kind]
    for cut in np.linspace(0, len(data) - 3, 40, dtype=int):
        path.write_bytes(data[:cut])
        try:
            read(path)
        except InputError:
            with pytest.raises(InputError, match=str(path)):
                read_all(path)
        else:  # what is missing is no pixel
            np.testing.assert_array_equal(read_all(path)[0], read(path).pixels)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", WHOLE)
def test_damaged_anywhere(kind, tmp_path, capfd):
    """Nothing but an error of ours, or a picture; a damaged block is never made up in silence."""
    path, data = tmp_path / "a", bytearray(WHOLE[kind])
    generator = np.random.default_rng(0)
    for at in generator.integers(0, len(data), 60):
        damaged = data.copy()
        damaged[at] ^= int(generator.integers(1, 256))
        path.write_bytes(damaged)
        error = pixels = None
        try:
            pixels, _ = read_all(path)
        except InputError as found:
            error = found
        if error is not None:
            assert error.message.startswith(str(path))
            assert "\n" not in error.message
        else:
            assert pixels.shape[2] in (1, 3)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", ["TIFF", "TIFF tiled"])
def test_a_damaged_strip_or_tile(kind, tmp_path):
    path, data = tmp_path / "a.tif", bytearray(WHOLE[kind])
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        at, length = file.pages[0].dataoffsets[-1], file.pages[0].databytecounts[-1]
    data[at + 5 : at + length] = b"?" * (length - 5)
    path.write_bytes(data)
    with pytest.raises(InputError, match=str(path)):
        read_all(path)


def test_a_jpeg_that_ends_early_though_it_says_so(tmp_path):
    """Other readers make grey rows of it."""
    path, data = tmp_path / "a.jpg", WHOLE["JPEG"]
    path.write_bytes(data[: len(data) // 2] + b"\xff\xd9")
    assert read(path).height == 160
    with pytest.raises(InputError, match=str(path)):
        read_all(path)


def test_what_follows_a_jpeg_does_not_matter(tmp_path):
    first, second = (Image.fromarray(smooth(80, 63)) for _ in range(2))
    data = encoded(first, "MPO", save_all=True, append_images=[second])
    check_like_read(data, tmp_path / "a.jpg")
    check_like_read(WHOLE["JPEG"] + b"trailing" * 100, tmp_path / "b.jpg")


def test_a_wrong_checksum_of_a_png(tmp_path):
    path, data = tmp_path / "a.png", bytearray(WHOLE["PNG"])
    data[-20] ^= 1  # of the last pixels' chunk
    path.write_bytes(data)
    with pytest.raises(InputError):
        read_all(path)


def test_too_many_pixels_and_files_that_are_none(tmp_path):
    path = tmp_path / "a.png"
    with pytest.raises(InputError, match="there is no such file"):
        open_bands(path)
    path.write_bytes(png_of(noise(4, 5)))
    with pytest.raises(InputError, match="20 pixels, more than the 19"):
        open_bands(path, max_pixels=19)
    path.write_bytes(b"text")
    with pytest.raises(InputError, match=r"^it: this is no picture"):
        open_bands(path, name="it")


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_floats_that_are_none(value, tmp_path):
    path, samples = tmp_path / "a.tif", np.zeros((9, 8, 3), np.float32)
    samples[5, 5] = value
    path.write_bytes(tiff_of(samples, photometric="rgb", rowsperstrip=2))
    with open_bands(path) as reader:
        reader.rows(0, 4)
        with pytest.raises(InputError, match="infinite or no numbers"):
            reader.rows(4, 9)


def test_no_disk_to_turn_a_picture_on(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(png_of(noise(80, 50), extra=[(b"eXIf", exif_of(6))]))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(spool.Spool, "_put", full)
    with open_bands(path) as reader, pytest.raises(InputError, match="No space left") as caught:
        reader.rows(0, 10)
    assert "TMPDIR" in caught.value.hint
