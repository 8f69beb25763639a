"""To Pillow's images and back."""

import io

import numpy as np
import pytest
from picture_files import encoded, exif_of, noise, smooth, srgb_icc, stored_for, xmp_of
from PIL import Image, ImageCms

from moce_cli.errors import InputError
from moce_cli.pictures import Picture, Source, from_pillow, read, to_depth, to_pillow
from moce_cli.pictures.colour import srgb_profile


def test_depths_round_to_the_nearest_and_return():
    every = np.arange(65536, dtype=np.uint16)
    np.testing.assert_array_equal(to_depth(every, 8), np.round(every / 257).astype(np.uint8))
    small = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(to_depth(to_depth(small, 16), 8), small)
    assert to_depth(small, 16)[[0, 255]].tolist() == [0, 65535]
    assert to_depth(every, 16) is every


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("alpha", [False, True])
def test_8_bit_there_and_back(channels, alpha):
    given = Picture(noise(6, 7, channels), noise(6, 7, 1)[:, :, 0] if alpha else None)
    image = to_pillow(given)
    assert image.mode == {1: "L", 3: "RGB"}[channels] + "A" * alpha
    found = from_pillow(image)
    np.testing.assert_array_equal(found.pixels, given.pixels)
    assert (found.alpha is None) == (not alpha)
    if alpha:
        np.testing.assert_array_equal(found.alpha, given.alpha)


def test_16_bit_grey_there_and_back():
    given = Picture(noise(6, 7, 1, np.uint16))
    image = to_pillow(given)
    assert image.mode == "I;16"
    np.testing.assert_array_equal(from_pillow(image).pixels, given.pixels)


def test_16_bit_colour_is_rounded():
    given = Picture(noise(6, 7, 3, np.uint16), noise(6, 7, 1, np.uint16)[:, :, 0])
    found = np.asarray(to_pillow(given))
    np.testing.assert_array_equal(found[:, :, :3], np.round(given.pixels / 257))
    np.testing.assert_array_equal(found[:, :, 3], np.round(given.alpha / 257))


def test_metadata_goes_along():
    source = Source(icc=srgb_icc(), exif=exif_of(height=6, width=7), xmp=xmp_of(), dpi=(72.0, 96.0))
    image = to_pillow(Picture(noise(6, 7), None, source))
    found = from_pillow(image).source
    assert (found.icc, found.exif, found.xmp) == (source.icc, source.exif, source.xmp)
    saved = read(io.BytesIO(encoded(image, "PNG", exif=image.info["exif"])))
    assert saved.source.exif == source.exif


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("loaded", [False, True])
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_orientation_is_applied_once(orientation, loaded, kind):
    upright = noise(6, 9)
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(
        Image.fromarray(stored_for(upright, orientation)),
        kind,
        exif=b"Exif\0\0" + exif_of(orientation),
        **options,
    )
    image = Image.open(io.BytesIO(data))
    if loaded:
        image.load()
    found = from_pillow(image)
    np.testing.assert_array_equal(found.pixels, upright)
    again = from_pillow(to_pillow(found))
    np.testing.assert_array_equal(again.pixels, upright)
    tags = Image.Exif()
    tags.load(found.source.exif)
    assert tags.get(0x0112, 1) == 1
    assert tags[0x010F] == "Moceflex"
    assert 273 not in tags  # a TIFF's strips


@pytest.mark.parametrize("mode", ["1", "L", "P", "PA", "LA", "YCbCr", "HSV", "RGBX", "La"])
def test_every_mode_gives_grey_or_rgb(mode):
    base = Image.fromarray(smooth(16, 16))
    image = (base.convert("LA") if mode == "La" else base).convert(mode)
    found = from_pillow(image)
    if mode == "La":
        image = image.convert("LA")
    wanted = np.asarray(image.convert("L" if mode in ("1", "L", "LA", "La") else "RGB"))
    np.testing.assert_array_equal(found.pixels.squeeze(), wanted)
    assert (found.alpha is not None) == (mode in ("PA", "LA", "La"))


def test_lab_comes_close():
    base = Image.fromarray(smooth(16, 16))
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    image = ImageCms.profileToProfile(base, srgb, lab, outputMode="LAB")
    found = from_pillow(image)
    assert np.abs(found.pixels.astype(int) - np.asarray(base)).max() <= 12  # 8-bit Lab is coarse
    assert found.source.icc is not None


def test_inks_without_a_profile_are_refused():
    with pytest.raises(InputError, match="nothing says what they look like"):
        from_pillow(Image.fromarray(smooth(16, 16)).convert("CMYK"))


@pytest.mark.parametrize("mode", ["I", "F"])
def test_wide_samples_are_refused(mode):
    with pytest.raises(InputError, match="not supported yet"):
        from_pillow(Image.new(mode, (4, 4)))


def test_a_lazy_image_of_a_damaged_file():
    data = encoded(Image.fromarray(noise(40, 40)), "JPEG")
    with pytest.raises(InputError, match="can't be decoded"):
        from_pillow(Image.open(io.BytesIO(data[:700])))


def test_the_srgb_profile_does_not_tell_the_time():
    (year,) = np.frombuffer(srgb_profile()[24:26], ">u2")
    assert year == 2000
    assert ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(srgb_profile())))
