"""What is written is what was given: samples, orientation, metadata, judged by other readers."""

import io
import itertools
import struct

import cv2
import numpy as np
import pytest
import tifffile
from picture_files import (
    encoded,
    exif_of,
    noise,
    png_chunks,
    smooth,
    srgb_icc,
    xmp_of,
)
from PIL import Image

from moce_cli.pictures import Picture, Source, read, write

LOSSLESS = [("PNG", 8), ("PNG", 16), ("TIFF", 8), ("TIFF", 16), ("WebP", 8), ("BMP", 8)]
MODES = list(itertools.product((1, 3), (False, True)))
DPI = (150.0, 300.0)


def picture_of(channels=3, alpha=False, dtype=np.uint8, height=23, width=17, **source):
    samples = noise(height, width, channels + 1, dtype)
    return Picture(
        samples[:, :, :channels], samples[:, :, channels] if alpha else None, Source(**source)
    )


def written(picture, kind, **options):
    out = io.BytesIO()
    notes = write(picture, out, format=kind, **options)
    return out.getvalue(), notes


def full_source(**changes):
    facts = {
        "icc": srgb_icc(),
        "exif": exif_of(height=23, width=17),
        "xmp": xmp_of(),
        "iptc": b"\x1c\x02\x05\0\x05title",
        "dpi": DPI,
        "text": (("Comment", "grüße"), ("Author", "日本")),
    }
    return facts | changes


@pytest.mark.parametrize(("kind", "depth"), LOSSLESS)
@pytest.mark.parametrize(("channels", "alpha"), MODES)
@pytest.mark.parametrize("size", [(23, 17), (1, 1), (1, 40), (300, 500)])
def test_lossless_formats_return_every_bit(kind, depth, channels, alpha, size):
    dtype = np.uint8 if depth == 8 else np.uint16
    given = picture_of(channels, alpha, dtype, *size)
    data, notes = written(given, kind)
    found = read(io.BytesIO(data))
    if kind == "BMP" and alpha:
        assert notes == ("BMP holds no alpha: the picture was laid on white",)
        return
    pixels = given.pixels
    if kind == "WebP" and channels == 1:
        assert notes == ("WebP holds no grey: it was stored as RGB",)
        pixels = pixels.repeat(3, axis=2)
    else:
        assert notes == ()
    assert found.pixels.dtype == dtype
    np.testing.assert_array_equal(found.pixels, pixels)
    assert (found.alpha is None) == (not alpha)
    if alpha:
        np.testing.assert_array_equal(found.alpha, given.alpha)


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize(("channels", "alpha"), MODES)
@pytest.mark.parametrize("exif", [None, exif_of(order="<"), exif_of(order=">")])
def test_independent_readers_agree(depth, channels, alpha, exif):
    given = picture_of(channels, alpha, np.uint8 if depth == 8 else np.uint16, 300, 500, exif=exif)
    samples = np.dstack([given.pixels, given.alpha]) if alpha else given.pixels
    tiff, _ = written(given, "TIFF")
    with tifffile.TiffFile(io.BytesIO(tiff)) as file:
        page = file.pages[0]
        np.testing.assert_array_equal(page.asarray().reshape(samples.shape), samples)
        assert page.bitspersample == depth
        assert page.tags["Orientation"].value == 1
    png, _ = written(given, "PNG")
    header = png_chunks(png)[0][1]
    assert struct.unpack(">IIBB", header[:10]) == (
        *(500, 300, depth),
        {(1, False): 0, (3, False): 2, (1, True): 4, (3, True): 6}[channels, alpha],
    )
    seen = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)
    if channels == 3:
        np.testing.assert_array_equal(seen[:, :, 2::-1], given.pixels)
    else:
        np.testing.assert_array_equal(seen.reshape(300, 500, -1)[:, :, 0], given.pixels[:, :, 0])
    if alpha:
        np.testing.assert_array_equal(seen[:, :, 3], given.alpha)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("alpha", [False, True])
def test_jpeg_is_close_and_grey_stays_grey(channels, alpha):
    pixels = smooth(40, 60, channels)
    given = Picture(pixels, np.full((40, 60), 255, np.uint8) if alpha else None)
    found = read(io.BytesIO(written(given, "JPEG")[0]))
    assert found.channels == channels
    assert np.abs(found.pixels.astype(int) - pixels).max() <= 4


def test_alpha_that_a_format_lacks_is_laid_on_white():
    pixels = np.zeros((8, 8, 3), np.uint16)
    alpha = np.full((8, 8), 65535, np.uint16)
    alpha[:, :4] = 0
    data, notes = written(Picture(pixels, alpha), "BMP")
    found = read(io.BytesIO(data)).pixels
    assert (found[:, :4] == 255).all()
    assert (found[:, 4:] == 0).all()
    assert len(notes) == 2


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WebP", "TIFF", "BMP"])
def test_each_format_holds_or_names_every_kind_of_metadata(kind):
    given = picture_of(**full_source())
    data, notes = written(given, kind)
    found = read(io.BytesIO(data)).source
    said = " ".join(notes)
    for field, told in (
        ("icc", "colour profile"),
        ("exif", "EXIF data"),
        ("xmp", "XMP data"),
        ("iptc", "IPTC data"),
    ):
        if told in said:
            assert getattr(found, field) is None
        else:
            assert getattr(found, field) is not None, field
            if (kind, field) != ("TIFF", "exif"):  # its tables were moved: see the next test
                assert getattr(found, field) == getattr(given.source, field), field
    if kind == "WebP":
        assert "resolution" not in said  # EXIF states it
    else:
        assert found.dpi == pytest.approx(DPI, abs=0.02)
    for keyword, text in given.source.text:
        assert ((keyword, text) in found.text) != (f"'{keyword}'" in said)
    assert kind != "PNG" or notes == ()


def test_tiff_keeps_exif_with_makers_note_and_gps_where_they_were():
    note = b"note with offsets of its own"
    for order in "<>":
        given = picture_of(exif=exif_of(order=order, note=note), dpi=DPI, xmp=xmp_of())
        data, notes = written(given, "TIFF")
        assert notes == ()
        assert data.index(note) == given.source.exif.index(note)
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            tags = file.pages[0].tags
            assert tags["Make"].value == "Moceflex"
            assert tags["ExifTag"].value["MakerNote"] == note
            assert tags["GPSTag"].value["GPSLatitude"] == (48, 1, 51, 1, 30, 1)
            assert tags["XMP"].value == xmp_of()
        again = read(io.BytesIO(data))
        exif = Image.Exif()
        exif.load(again.source.exif)
        assert exif[0x010F] == "Moceflex"
        assert exif.get_ifd(0x8769)[0x927C] == note
        assert tuple(exif.get_ifd(0x8825)[2]) == (48, 51, 30)
        twice, _ = written(again, "TIFF")
        assert read(io.BytesIO(twice)).source.exif == again.source.exif


@pytest.mark.parametrize("quality", [95, 90])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_jpeg_to_jpeg_keeps_fine_tables_and_subsampling(quality, subsampling):
    image = Image.fromarray(smooth(40, 60))
    data = encoded(image, "JPEG", quality=quality, subsampling=subsampling)
    again, _ = written(read(io.BytesIO(data)), "JPEG")
    with Image.open(io.BytesIO(data)) as before, Image.open(io.BytesIO(again)) as after:
        assert after.quantization == before.quantization
    assert read(io.BytesIO(again)).source.subsampling == subsampling


def test_jpeg_to_jpeg_does_not_repeat_coarse_tables():
    data = encoded(Image.fromarray(smooth(40, 60)), "JPEG", quality=30, subsampling=2)
    picture = read(io.BytesIO(data))
    fine = read(io.BytesIO(written(picture, "JPEG")[0])).source
    assert sum(fine.quantisation[0]) < sum(picture.source.quantisation[0]) / 5
    assert fine.subsampling == 0
    asked = read(io.BytesIO(written(picture, "JPEG", quality=30)[0])).source
    assert asked.quantisation == picture.source.quantisation


@pytest.mark.parametrize("lossy", [False, True])
def test_webp_is_lossless_unless_the_source_was_not(lossy):
    given = Picture(noise(20, 20), None, Source(lossy=lossy))
    found = read(io.BytesIO(written(given, "WebP")[0]))
    assert found.source.lossy == lossy
    assert (found.pixels == given.pixels).all() == (not lossy)
    assert read(io.BytesIO(written(given, "WebP", quality=90)[0])).source.lossy


def test_colours_under_full_transparency_stay():
    given = Picture(noise(20, 20), np.zeros((20, 20), np.uint8))
    for kind in ("PNG", "TIFF", "WebP"):
        found = read(io.BytesIO(written(given, kind)[0]))
        np.testing.assert_array_equal(found.pixels, given.pixels)


def test_png_keeps_its_own_words_on_colour_and_others_say_so():
    gamma = (b"gAMA", struct.pack(">I", 100000))
    given = picture_of(png_chunks=(gamma,))
    data, notes = written(given, "PNG")
    assert gamma in png_chunks(data)
    assert notes == ()
    assert read(io.BytesIO(data)).source.png_chunks == (gamma,)
    assert written(given, "TIFF")[1] == ()  # a profile says it
    assert "colours" in " ".join(written(given, "BMP")[1])


@pytest.mark.parametrize("dpi", [(0.2, 72.0), (72.0, 1e12)])
def test_a_resolution_that_is_none_is_named(dpi):
    for kind in ("PNG", "JPEG", "WebP", "TIFF", "BMP"):
        data, notes = written(picture_of(dpi=dpi), kind)
        assert "resolution" in notes[0]
        assert read(io.BytesIO(data)).source.dpi is None


def test_the_same_picture_gives_the_same_bytes():
    for kind in ("PNG", "JPEG", "WebP", "TIFF", "BMP"):
        given = picture_of(**full_source())
        assert written(given, kind) == written(given, kind)


def test_metadata_too_large_for_jpeg_is_named():
    given = picture_of(exif=exif_of(note=b"n" * 70_000), xmp=xmp_of() + b" " * 70_000)
    data, notes = written(given, "JPEG")
    assert len(notes) == 2
    assert all("JPEG holds" in note for note in notes)
    assert read(io.BytesIO(data)).source.exif is None
