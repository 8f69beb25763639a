"""Profiles that are made for what a format can't say otherwise."""

import io
import struct

import numpy as np
import pytest
from picture_files import smooth
from picture_profiles import rgb_icc
from PIL import Image, ImageCms

from moce_cli.pictures import Picture, Source, encoding_of, read, write
from moce_cli.pictures.encoding import (
    LINEAR,
    PRIMARIES,
    SRGB_CURVE,
    Curve,
    Encoding,
    from_primaries,
    gamma,
)
from moce_cli.pictures.profile import read_profile
from moce_cli.pictures.profile_write import alike, profile_of

CURVES = {
    "light": LINEAR,
    "power": gamma(2.2),
    "sRGB": SRGB_CURVE,
    "table": Curve(table=np.linspace(0, 1, 512) ** 1.8),
}
WIDE = sorted(PRIMARIES)


def encoding(primaries, curve):
    return Encoding(primaries, (CURVES[curve],), from_primaries(*PRIMARIES[primaries]))


@pytest.mark.parametrize("primaries", WIDE)
@pytest.mark.parametrize("curve", CURVES)
def test_a_made_profile_says_the_same(primaries, curve):
    made = encoding(primaries, curve)
    found = read_profile(profile_of(made))
    assert found.name == primaries
    assert alike(found, made, grey=False)
    assert found.is_srgb == ((primaries, curve) == ("sRGB", "sRGB"))


@pytest.mark.parametrize("primaries", WIDE)
@pytest.mark.parametrize("curve", CURVES)
def test_little_cms_reads_a_made_profile_alike(primaries, curve):
    made = encoding(primaries, curve)
    patches = (smooth(24, 40) // 4 + 96).astype(np.uint8)  # within sRGB
    profile = ImageCms.ImageCmsProfile(io.BytesIO(profile_of(made)))
    seen = ImageCms.profileToProfile(
        Image.fromarray(patches), profile, ImageCms.createProfile("sRGB")
    )
    wanted = made.to_srgb(patches / np.float32(255)).clip(0, 1) * 255
    assert np.abs(np.asarray(seen) - wanted).max() <= 1.6


def test_a_grey_profile_says_the_same():
    made = Encoding("grey", (gamma(1.8),))
    assert alike(read_profile(profile_of(made)), made, grey=True)


def there(picture, kind):
    out = io.BytesIO()
    notes = write(picture, out, format=kind)
    return read(io.BytesIO(out.getvalue()), whole=True), notes


@pytest.mark.parametrize("kind", ["JPEG", "TIFF", "WebP", "AVIF", "PNG", "GIF"])
def test_colours_outside_srgb_survive_where_a_file_named_them_without_a_profile(kind):
    cicp = ((b"cICP", bytes((12, 13, 0, 1))),)
    given = Picture(smooth(24, 40), None, Source(png_chunks=cicp))
    found, notes = there(given, kind)
    assert not any("sRGB" in note for note in notes)
    assert encoding_of(found)[0].name == "Display P3"
    bound = {"JPEG": 3, "AVIF": 3, "GIF": 12}.get(kind, 0)
    assert np.abs(found.pixels.astype(float) - given.pixels).mean() <= bound


@pytest.mark.parametrize(("kind", "step"), [("TIFF", 1e-5), ("PNG", 2e-5), ("JPEG", 1e-2)])
@pytest.mark.parametrize("said", ["chunks", "profile"])
def test_light_of_wide_colours_is_not_clipped(kind, step, said):
    """The purest red of BT.2020, and others, as floats: their colours are what they were."""
    light = np.repeat(np.eye(3, dtype=np.float32)[None], 24, axis=0).repeat(8, axis=1)
    points = [v for p in (PRIMARIES["BT.2020"][3], *PRIMARIES["BT.2020"][:3]) for v in p]
    chunks = (
        (b"gAMA", struct.pack(">I", 100_000)),
        (b"cHRM", struct.pack(">8I", *(round(p * 100_000) for p in points))),
    )
    wide = encoding("BT.2020", "light")
    source = Source(png_chunks=chunks) if said == "chunks" else Source(icc=profile_of(wide))
    found, notes = there(Picture(light, None, source), kind)
    assert not any("clipped" in note for note in notes)
    assert ("floating-point" in " ".join(notes)) == (kind != "TIFF")
    values = found.pixels.astype(np.float32)
    if values.max() > 1:
        values /= np.iinfo(found.pixels.dtype).max
    seen = encoding_of(found)[0].to_srgb(values)
    np.testing.assert_allclose(seen[:, ::4], wide.to_srgb(light)[:, ::4], atol=20 * step)


def test_floats_with_a_profile_of_their_own_keep_it_as_whole_numbers():
    given = Picture(smooth(24, 40) / np.float32(255), None, Source(icc=rgb_icc("ProPhoto")))
    found, _ = there(given, "PNG")
    assert found.source.icc == given.source.icc
    np.testing.assert_array_equal(found.pixels, smooth(24, 40).astype(np.uint16) * 257)


def test_who_reads_floats_as_whole_numbers_reads_one_encoding():
    """Chunks that spoke of light must not be applied to sRGB."""
    out = io.BytesIO()
    light = Picture(np.full((8, 8, 3), 0.5, np.float32), None, Source())
    write(light, out, format="TIFF")
    found = read(io.BytesIO(out.getvalue()))
    assert encoding_of(found)[0] is None
    assert abs(int(found.pixels[0, 0, 0]) - 48190) < 10  # 0.7354 of white


def test_a_colour_encoding_that_is_not_known_is_named_where_it_is_lost():
    pq = ((b"cICP", bytes((9, 16, 0, 1))),)
    given = Picture(smooth(24, 40), None, Source(png_chunks=pq))
    assert there(given, "PNG")[1] == ()
    assert "cICP" in " ".join(there(given, "JPEG")[1])
