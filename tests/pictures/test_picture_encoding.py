"""What samples stand for: against Little CMS and against the standards' own numbers."""

import io
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from picture_files import noise, srgb_icc
from picture_profiles import CURVES, TO_XYZ, curve_tag, grey_icc, icc_of, rgb_icc, srgb_encode
from PIL import Image, ImageCms

from moce_cli.pictures import Picture, Source, encoding_of
from moce_cli.pictures.profile import read_profile

WIDE = ["Display P3", "Adobe RGB", "ProPhoto", "linear"]


def picture(channels=3, dtype=np.uint8, **source):
    pixels = np.zeros((2, 2, channels), dtype)
    return Picture(pixels, None, Source(**source))


@pytest.mark.parametrize("name", WIDE)
def test_little_cms_agrees_where_srgb_reaches(name):
    encoding, note = encoding_of(picture(icc=rgb_icc(name)))
    assert note is None
    assert encoding.name == name
    values = noise(64, 64, 3)
    source = ImageCms.ImageCmsProfile(io.BytesIO(rgb_icc(name)))
    target = ImageCms.createProfile("sRGB")
    intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
    seen = ImageCms.profileToProfile(Image.fromarray(values), source, target, intent)
    ours = encoding.to_srgb(values / 255)
    inside = ((ours > 0.01) & (ours < 0.99)).all(axis=2)
    assert inside.mean() > 0.1
    assert np.abs(np.asarray(seen)[inside] / 255 - ours[inside]).max() < 1.5 / 255


@pytest.mark.parametrize("name", WIDE)
def test_there_and_back_is_the_same_also_outside_srgb(name):
    encoding, _ = encoding_of(picture(icc=rgb_icc(name)))
    values = noise(64, 64, 3, np.uint16).astype(np.float32) / 65535
    back = encoding.from_srgb(encoding.to_srgb(values))
    assert np.abs(back - values).max() < 2e-3
    if name != "linear":
        assert encoding.to_srgb(np.array([[0.0, 1.0, 0.0]])).min() < -0.1, "green lies outside"


@pytest.mark.parametrize("name", list(CURVES))
def test_grey_stays_grey_and_white_white(name):
    found = read_profile(rgb_icc(name))
    grey = np.linspace(0, 1, 9, dtype=np.float32)[:, None].repeat(3, axis=1)
    seen = found.to_srgb(grey)
    assert np.ptp(seen, axis=1).max() < 4e-3
    np.testing.assert_allclose(seen[[0, -1]], [[0] * 3, [1] * 3], atol=2e-3)


def test_srgb_needs_no_conversion():
    for icc in (srgb_icc(), rgb_icc("sRGB"), None):
        assert encoding_of(picture(icc=icc)) == (None, None)


@pytest.mark.parametrize("kind", [2.2, 1.8, "linear", "table"])
def test_grey_profiles(kind):
    encoding, note = encoding_of(picture(1, icc=grey_icc(kind)))
    assert note is None
    values = np.linspace(0, 1, 33, dtype=np.float32)[:, None]
    exponent = {"linear": 1.0, "table": 1.8}.get(kind, kind)
    wanted = srgb_encode(values.astype(np.float64) ** exponent)
    np.testing.assert_allclose(encoding.to_srgb(values), wanted, atol=2e-3)
    np.testing.assert_allclose(encoding.from_srgb(encoding.to_srgb(values)), values, atol=1e-3)


def test_a_profile_of_other_channels_is_not_used():
    assert "does not fit" in encoding_of(picture(1, icc=rgb_icc("Adobe RGB")))[1]
    assert "does not fit" in encoding_of(picture(3, icc=grey_icc()))[1]


def test_a_profile_of_tables_is_said():
    encoding, note = encoding_of(picture(icc=icc_of({b"A2B0": b"mft2" + bytes(60)})))
    assert encoding is None
    assert "no curve and matrix" in note


@given(st.lists(st.tuples(st.integers(0, 700), st.integers(0, 255)), max_size=8))
def test_a_damaged_profile_is_none_or_one(changes):
    icc = bytearray(rgb_icc("Display P3"))
    for place, value in changes:
        icc[place % len(icc)] = value
    found = read_profile(bytes(icc))
    if found is not None:
        assert np.isfinite(found.to_srgb(np.array([[0.0, 0.5, 1.0]]))).all()


@given(st.binary(max_size=300))
def test_noise_is_no_profile(data):
    assert read_profile(data) is None


def png_gamma(gamma, primaries=None):
    chunks = [(b"gAMA", struct.pack(">I", round(gamma * 100000)))]
    if primaries:
        chunks.append((b"cHRM", struct.pack(">8I", *[round(v * 100000) for v in primaries])))
    return tuple(chunks)


def test_png_gamma_and_primaries_are_adobe_rgb():
    primaries = (0.3127, 0.329, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)
    by_chunks, _ = encoding_of(picture(png_chunks=png_gamma(256 / 563, primaries)))
    by_profile, _ = encoding_of(picture(icc=rgb_icc("Adobe RGB")))
    values = noise(16, 16, 3).astype(np.float32) / 255
    difference = by_chunks.to_srgb(values) - by_profile.to_srgb(values)
    assert np.abs(difference).max() < 5e-3


def test_png_of_linear_light_and_of_srgb():
    linear, _ = encoding_of(picture(png_chunks=png_gamma(1.0)))
    assert linear.to_srgb(np.full((1, 3), 0.5))[0, 0] == pytest.approx(0.735, abs=2e-3)
    assert encoding_of(picture(png_chunks=png_gamma(0.45455))) == (None, None)
    assert encoding_of(picture(png_chunks=((b"sRGB", b"\0"), *png_gamma(1.0)))) == (None, None)
    for bad in (0.0, 40000.0):
        assert encoding_of(picture(png_chunks=png_gamma(bad)))[0] is None


def test_png_cicp_comes_before_a_profile():
    chunk = (b"cICP", bytes([12, 13, 0, 1]))
    found, _ = encoding_of(picture(png_chunks=(chunk,), icc=rgb_icc("Adobe RGB")))
    wanted, _ = encoding_of(picture(icc=rgb_icc("Display P3")))
    values = noise(16, 16, 3).astype(np.float32) / 255
    assert np.abs(found.to_srgb(values) - wanted.to_srgb(values)).max() < 4e-3
    assert "cICP" in encoding_of(picture(png_chunks=((b"cICP", bytes([9, 16, 0, 1])),)))[1]


def exif_with_colour_space(value, interoperability=b"R03\0"):
    def long(v):
        return struct.pack("<I", v)

    head = b"II*\0" + long(8)
    main = struct.pack("<HHHII", 1, 0x8769, 4, 1, 26) + long(0)
    details = struct.pack("<HHHIHH", 2, 0xA001, 3, 1, value, 0)
    details += struct.pack("<HHII", 0xA005, 4, 1, 56) + long(0)
    further = struct.pack("<HHHI4s", 1, 1, 2, 4, interoperability) + long(0)
    return head + main + details + further


def test_a_camera_says_adobe_rgb_without_a_profile():
    found, _ = encoding_of(picture(exif=exif_with_colour_space(65535)))
    assert found.name == "Adobe RGB"
    wanted, _ = encoding_of(picture(icc=rgb_icc("Adobe RGB")))
    values = noise(16, 16, 3).astype(np.float32) / 255
    assert np.abs(found.to_srgb(values) - wanted.to_srgb(values)).max() < 4e-3
    assert encoding_of(picture(exif=exif_with_colour_space(1)))[0] is None
    assert encoding_of(picture(exif=exif_with_colour_space(65535, b"R98\0")))[0] is None
    assert encoding_of(picture(exif=b"II*\0"))[0] is None


def test_floats_are_light_unless_a_profile_says_otherwise():
    found, _ = encoding_of(picture(dtype=np.float32))
    assert found.to_srgb(np.full((1, 3), 0.5))[0, 0] == pytest.approx(0.735, abs=2e-3)
    grey, _ = encoding_of(picture(1, np.float32))
    bright = np.array([[4.0], [-0.5]], np.float32)
    np.testing.assert_allclose(grey.from_srgb(grey.to_srgb(bright)), bright, rtol=1e-4)
    assert encoding_of(picture(dtype=np.float32, icc=srgb_icc())) == (None, None)


def test_the_published_matrices_are_what_primaries_give():
    from moce_cli.pictures.encoding import PRIMARIES, SRGB_TO_XYZ, from_primaries

    for name in ("Display P3", "Adobe RGB", "sRGB"):
        made = SRGB_TO_XYZ @ from_primaries(*PRIMARIES[name])
        np.testing.assert_allclose(made, TO_XYZ[name], atol=3e-4)


def test_curves_that_fall_or_stand_still_are_no_curves():
    for table in ([65535, 0], [5, 5], [0, 9, 3, 65535]):
        body = b"curv\0\0\0\0" + struct.pack(f">I{len(table)}H", len(table), *table)
        assert read_profile(icc_of({b"kTRC": body}, space=b"GRAY")) is None
    assert read_profile(icc_of({b"kTRC": curve_tag(1.0)}, space=b"GRAY")) is not None
