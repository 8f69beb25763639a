"""HEIC, camera raw, OpenEXR and JPEG XL, each by a package that may be missing."""

import contextlib
import io
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from picture_files import exif_of, noise, smooth, xmp_of
from picture_profiles import rgb_icc, srgb_encode

from moce_cli.errors import InputError, OutputError
from moce_cli.pictures import Picture, Source, encoding_of, probe, read, write
from moce_cli.pictures.extras import PACKAGES

HEIC = Path(__file__).parent.parent / "data" / "heic"


def check_cut_short(data):
    for cut in np.linspace(20, len(data) - 8, 12, dtype=int):
        for act in (read, probe):
            with contextlib.suppress(InputError):  # nothing else may come out
                act(io.BytesIO(data[:cut]))
    with pytest.raises(InputError):
        read(io.BytesIO(data[: len(data) // 2]))


@pytest.mark.parametrize(
    ("kind", "start"),
    [
        ("HEIC", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"),
        ("RAW", b"FUJIFILMCCD-RAW 0201"),
        ("EXR", b"\x76\x2f\x31\x01" + bytes(20)),
        ("JXL", b"\xff\x0a" + bytes(20)),
    ],
)
def test_a_missing_package_is_named_with_the_way_to_get_it(kind, start, monkeypatch):
    module, package, extra = PACKAGES[kind]
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=package) as caught:
        read(io.BytesIO(start))
    assert caught.value.hint == f"pip install 'moce-cli[{extra}]'"
    if kind == "EXR":
        with pytest.raises(OutputError, match=package):
            write(Picture(smooth(8, 8)), io.BytesIO(), format="EXR")


def test_no_package_is_loaded_before_it_is_needed():
    modules = [module for module, _, _ in PACKAGES.values()]
    command = f"import sys, moce_cli.pictures; print([m for m in {modules} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, check=True)
    assert done.stdout.strip() == b"[]"


# made from picture_files.smooth(24, 40) by libvips: vips heifsave, quality 90


@pytest.mark.parametrize(("name", "depth"), [("p3_8bit", 8), ("p3_10bit", 10)])
def test_heic_at_its_depth_with_its_profile_and_exif(name, depth):
    pytest.importorskip("pi_heif")
    path = HEIC / f"{name}.heic"
    found = read(path)
    assert probe(path).depth == found.source.depth == depth
    assert found.pixels.dtype == (np.uint8 if depth == 8 else np.uint16)
    values = found.pixels.astype(float) / np.iinfo(found.pixels.dtype).max
    assert np.abs(values - smooth(24, 40) / 255).max() < 0.06
    assert encoding_of(found)[0].name == "Display P3"
    assert b"Moceflex" in found.source.exif
    out = io.BytesIO()
    notes = write(found, out, format="AVIF")
    assert notes == ()
    assert read(io.BytesIO(out.getvalue())).source.depth == depth


def test_heic_cut_short():
    pytest.importorskip("pi_heif")
    check_cut_short((HEIC / "p3_8bit.heic").read_bytes())


def test_a_heic_that_states_too_much():
    pytest.importorskip("pi_heif")
    with pytest.raises(InputError, match="960 pixels, more than the 959"):
        probe(HEIC / "p3_8bit.heic", max_pixels=959)


def dng(height=64, width=96, orientation=1, level=0.25):
    """A DNG of one grey surface, as a camera sees it that needs twice the red."""
    mosaic = np.empty((height, width), np.uint16)
    light = {"r": level / 2, "g": level, "b": level / 1.5}
    for row, column, colour in ((0, 0, "r"), (0, 1, "g"), (1, 0, "g"), (1, 1, "b")):
        mosaic[row::2, column::2] = round(light[colour] * 60000)

    def rational(*values):
        return b"".join(struct.pack("<ii", round(v * 10000), 10000) for v in values)

    matrix = (3.1338561, -1.6168667, -0.4906146, -0.9787684, 1.9161415, 0.0334540)
    matrix += (0.0719453, -0.2289914, 1.4052427)  # XYZ (D50) to linear sRGB: the camera's colours
    tags = [
        (271, 2, None, "Moceflex", True),
        (274, 3, 1, orientation, True),
        (33421, 3, 2, (2, 2), True),
        (33422, 1, 4, bytes((0, 1, 1, 2)), True),
        (50706, 1, 4, bytes((1, 4, 0, 0)), True),
        (50708, 2, None, "Moceflex One", True),
        (50717, 4, 1, 60000, True),
        (50721, 10, 9, rational(*matrix), True),
        (50728, 5, 3, rational(0.5, 1.0, 1 / 1.5), True),
        (50778, 3, 1, 23, True),
    ]
    out = io.BytesIO()
    tifffile.imwrite(out, mosaic, photometric=32803, extratags=tags, metadata=None)
    return out.getvalue()


def test_a_dng_is_developed_with_the_cameras_white_balance():
    pytest.importorskip("rawpy")
    found = read(io.BytesIO(dng()))
    assert found.source.format == "RAW"
    assert found.pixels.dtype == np.uint16
    middle = found.pixels[20:44, 30:66].reshape(-1, 3) / 65535
    assert np.ptp(middle.mean(axis=0)) < 0.01, "grey, since red was doubled"
    brighter = read(io.BytesIO(dng(level=0.5))).pixels[20:44, 30:66] / 65535
    assert middle.mean() == pytest.approx(float(srgb_encode(0.25)), abs=0.03)
    assert brighter.mean() == pytest.approx(float(srgb_encode(0.5)), abs=0.03)
    assert b"Moceflex" in found.source.exif
    assert any("raw data" in note for note in found.source.notes)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_dng_stands_upright(orientation):
    pytest.importorskip("rawpy")
    data = dng(orientation=orientation)
    header = probe(io.BytesIO(data))
    found = read(io.BytesIO(data))
    assert (header.height > header.width) == (orientation > 4)
    assert found.pixels.shape[:2] == (header.height, header.width)
    out = io.BytesIO()
    write(found, out, format="TIFF")
    again = read(io.BytesIO(out.getvalue()))
    assert again.source.format == "TIFF", "what is written is no raw file any more"
    np.testing.assert_array_equal(again.pixels, found.pixels)


def test_a_dng_cut_short():
    pytest.importorskip("rawpy")
    check_cut_short(dng())


def light(height, width, channels, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.random((height, width, channels)) ** 3 * 9).astype(np.float32)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("alpha", [False, True])
def test_exr_keeps_every_bit_of_light(channels, alpha):
    pytest.importorskip("OpenEXR")
    clear = (light(23, 17, 1, seed=3)[:, :, 0] / 9).clip(0, 1) if alpha else None
    given = Picture(light(23, 17, channels), clear)
    out = io.BytesIO()
    assert write(given, out, format="EXR") == ()
    found = read(io.BytesIO(out.getvalue()), whole=True)
    assert found.source.depth == 32
    if alpha:
        np.testing.assert_array_equal(found.alpha, clear)
        np.testing.assert_allclose(found.pixels, given.pixels, rtol=1e-5)
    else:
        np.testing.assert_array_equal(found.pixels, given.pixels)
    assert probe(io.BytesIO(out.getvalue())).mode == found.source.mode


def test_exr_of_halves_and_of_other_primaries(tmp_path):
    module = pytest.importorskip("OpenEXR")
    values = light(12, 14, 3).astype(np.float16)
    p3 = (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, 0.3127, 0.3290)
    header = {"chromaticities": p3, "type": module.scanlineimage}
    with module.File(header, {"RGB": values}) as file:
        file.write(str(tmp_path / "a.exr"))
    found = read(tmp_path / "a.exr", whole=True)
    np.testing.assert_array_equal(found.pixels, values.astype(np.float32))
    encoding, _ = encoding_of(found)
    by_profile, _ = encoding_of(
        Picture(np.zeros((1, 1, 3), np.uint8), None, Source(icc=rgb_icc("Display P3")))
    )
    stored = srgb_encode(values.astype(float)).astype(np.float32)
    np.testing.assert_allclose(
        encoding.to_srgb(found.pixels), by_profile.to_srgb(stored), atol=0.03
    )
    again = tmp_path / "b.exr"
    write(found, again)
    back = read(again, whole=True)
    assert encoding_of(back)[0].to_srgb(back.pixels) == pytest.approx(
        encoding.to_srgb(found.pixels), abs=1e-3
    )


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_whole_numbers_become_light_in_exr(dtype):
    pytest.importorskip("OpenEXR")
    given = Picture(noise(12, 14, 3, dtype))
    out = io.BytesIO()
    notes = write(given, out, format="EXR")
    assert notes == ("colours were turned into linear light",)
    found = read(io.BytesIO(out.getvalue()), whole=True)
    wanted = given.pixels / np.iinfo(dtype).max
    np.testing.assert_allclose(srgb_encode(found.pixels), wanted, atol=1e-5)
    sixteen = read(io.BytesIO(out.getvalue()))
    np.testing.assert_allclose(sixteen.pixels / 65535, wanted, atol=2e-5)


def test_exr_without_colours_and_with_numbers_that_are_none(tmp_path):
    module = pytest.importorskip("OpenEXR")
    depth = {"Z": np.ones((5, 6), np.float32)}
    with module.File({"type": module.scanlineimage}, depth) as file:
        file.write(str(tmp_path / "z.exr"))
    with pytest.raises(InputError, match="channels named Z"):
        read(tmp_path / "z.exr", whole=True)
    values = light(5, 6, 3)
    values[2, 3, 1] = np.nan
    with module.File({"type": module.scanlineimage}, {"RGB": values}) as file:
        file.write(str(tmp_path / "n.exr"))
    with pytest.raises(InputError, match="no numbers"):
        read(tmp_path / "n.exr")


def test_exr_cut_short():
    pytest.importorskip("OpenEXR")
    out = io.BytesIO()
    write(Picture(light(40, 40, 3)), out, format="EXR")
    check_cut_short(out.getvalue())


def test_an_exr_with_damaged_pixels_is_an_error_and_prints_nothing(tmp_path, capfd):
    """Neither black, nor another part in its place, nor words on the way of a picture."""
    module = pytest.importorskip("OpenEXR")
    values = np.tile(np.linspace(0, 1, 30, dtype=np.float32)[:, None], (20, 1, 3))
    kind = {"type": module.scanlineimage, "compression": module.ZIP_COMPRESSION}
    parts = [module.Part(dict(kind), {"RGB": values * n}, f"p{n}") for n in (1, 2)]
    with module.File(parts) as file:
        file.write(str(tmp_path / "a.exr"))
    data = bytearray((tmp_path / "a.exr").read_bytes())
    np.testing.assert_array_equal(read(io.BytesIO(data), whole=True).pixels, values)
    at = data.index(b"x^") + 8  # in the first packed rows
    data[at : at + 30] = bytes(30)
    with pytest.raises(InputError, match="damaged"):
        read(io.BytesIO(data))
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("size", [(24, 40), (256, 256), (7, 1000), (300, 200)])
def test_jpeg_xl_gives_each_sample(channels, dtype, size):
    codecs = pytest.importorskip("imagecodecs")
    array = noise(*size, channels, dtype)
    stored = array[:, :, 0] if channels == 1 else array
    data = codecs.jpegxl_encode(stored, lossless=True)
    header = probe(io.BytesIO(data))
    assert (header.height, header.width) == size
    found = read(io.BytesIO(data))
    np.testing.assert_array_equal(found.pixels, array[:, :, : 1 if channels < 3 else 3])
    if channels % 2 == 0:
        np.testing.assert_array_equal(found.alpha, array[:, :, -1])


def test_a_jpeg_xl_that_moves_gives_its_first_frame_alone():
    codecs = pytest.importorskip("imagecodecs")
    frames = noise(24, 40 * 5, 3).reshape(24, 5, 40, 3).swapaxes(0, 1).copy()
    found = read(io.BytesIO(codecs.jpegxl_encode(frames, lossless=True)), whole=True)
    np.testing.assert_array_equal(found.pixels, frames[0])
    assert any("first of several frames" in note for note in found.source.notes)
    still = read(io.BytesIO(codecs.jpegxl_encode(frames[0], lossless=True)))
    assert not any("several frames" in note for note in still.source.notes)


def box(name, body):
    return struct.pack(">I", len(body) + 8) + name + body


def test_jpeg_xl_in_a_container_with_metadata():
    codecs = pytest.importorskip("imagecodecs")
    stream = codecs.jpegxl_encode(smooth(24, 40), lossless=True)
    data = b"\x00\x00\x00\x0cJXL \r\n\x87\n" + box(b"ftyp", b"jxl \0\0\0\0jxl ")
    data += box(b"Exif", bytes(4) + exif_of()) + box(b"xml ", xmp_of()) + box(b"jxlc", stream)
    found = read(io.BytesIO(data))
    np.testing.assert_array_equal(found.pixels, smooth(24, 40))
    assert b"Moceflex" in found.source.exif
    assert found.source.xmp == xmp_of()
    check_cut_short(data)
    with pytest.raises(InputError):
        read(io.BytesIO(data[:12] + b"\xff\xff\xff\xff" + data[16:]))
