"""Bands of a file, put together, are what `read` gives of it."""

import io
import struct
import subprocess
import sys
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from picture_files import (
    cmyk_icc,
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
from moce_cli.pictures import Picture, Source, probe, read, write
from moce_cli.pictures.extras import PACKAGES
from moce_cli.pictures.large import described, open_bands, spool, vips, why_not_bands

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


def put_together(reader, step=7):
    parts = [
        reader.rows(top, min(top + step, reader.height)) for top in range(0, reader.height, step)
    ]
    alphas = [alpha for _, alpha in parts if alpha is not None]
    assert len(alphas) in (0, len(parts))
    return np.concatenate([pixels for pixels, _ in parts]), (
        np.concatenate(alphas) if alphas else None
    )


def check_like_read(data, path, step=7):
    path.write_bytes(data)
    wanted = read(path, whole=True)
    assert why_not_bands(probe(path)) is None
    with open_bands(path) as reader:
        assert reader.header == probe(path)
        assert reader.source == wanted.source
        assert (reader.height, reader.width) == (wanted.height, wanted.width)
        assert (reader.channels, reader.dtype) == (wanted.channels, wanted.pixels.dtype)
        assert reader.has_alpha == (wanted.alpha is not None)
        for again in (step, 2 * step):  # two passes
            pixels, alpha = put_together(reader, again)
            assert pixels.dtype == wanted.pixels.dtype
            np.testing.assert_array_equal(pixels, wanted.pixels)
            if reader.has_alpha:
                np.testing.assert_array_equal(alpha, wanted.alpha)


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


def pages():
    out = io.BytesIO()
    write(Picture(noise(9, 8), None, Source(), (Picture(noise(5, 6)),)), out, format="TIFF")
    return out.getvalue()


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
