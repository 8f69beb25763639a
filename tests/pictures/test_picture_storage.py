"""What a person chooses of how a picture is stored; what must be there after writing."""

import io
from dataclasses import replace

import numpy as np
import pytest
from picture_files import encoded, exif_of, noise, png_chunks, smooth, srgb_icc, xmp_of
from picture_profiles import rgb_icc
from PIL import Image

from moce_cli.errors import OutputError, UsageError
from moce_cli.pictures import (
    FORMATS,
    Picture,
    Source,
    Storage,
    encoding_of,
    read,
    to_depth,
    write,
    writing,
)
from moce_cli.pictures.iptc import found as iptc_found

RECORDS = b"\x1c\x02\x05\0\x05title"
FULL = {
    "exif": exif_of(height=24, width=40),
    "xmp": xmp_of(),
    "iptc": RECORDS,
    "dpi": (150.0, 300.0),
    "text": (("Comment", "grüße"),),
}


def picture(dtype=np.uint8, **source):
    return Picture(to_depth(smooth(24, 40), np.dtype(dtype).itemsize * 8), None, Source(**source))


def written(given, kind, **options):
    out = io.BytesIO()
    notes = write(given, out, format=kind, **options)
    return out.getvalue(), notes


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WebP", "TIFF", "AVIF", "BMP", "GIF"])
def test_stripping_leaves_the_profile_alone(kind):
    given = picture(icc=srgb_icc(), **FULL)
    data, notes = written(given, kind, storage=Storage(strip_metadata=True))
    assert not any("EXIF" in note or "XMP" in note or "text" in note for note in notes)
    found = read(io.BytesIO(data)).source
    assert (found.exif, found.xmp, found.iptc, found.text) == (None, None, None, ())
    assert found.dpi is None
    assert (found.icc == srgb_icc()) == (kind != "BMP")
    for words in (b"Moceflex", b"adobe:ns", b"title", b"gr\xc3\xbc"):
        assert words not in data


@pytest.mark.parametrize("kind", [kind for kind, known in FORMATS.items() if known.writable])
def test_a_quality_is_used_or_said_not_to_be(kind):
    coarse, said = written(picture(), kind, quality=20)
    fine, _ = written(picture(), kind, quality=90)
    unused = f"{kind} has no quality: --quality 20 was not used"
    assert (coarse == fine) == (unused in said)
    assert not any("--quality" in note for note in written(picture(), kind)[1])


def adobe_rgb_exif():
    from test_picture_encoding import exif_with_colour_space

    return exif_with_colour_space(65535)


def test_stripping_what_said_how_colours_are_encoded_leaves_a_profile_that_says_it():
    given = picture(exif=adobe_rgb_exif())
    for strip in (True, False):
        data, _ = written(given, "PNG", storage=Storage(strip_metadata=strip))
        found = read(io.BytesIO(data))
        np.testing.assert_array_equal(found.pixels, given.pixels)
        assert encoding_of(found)[0].name == "Adobe RGB"
        assert (found.source.icc is not None) == strip == (found.source.exif is None)


@pytest.mark.parametrize("kind", ["BMP"])
def test_without_room_for_a_profile_colours_become_srgb(kind):
    given = picture(icc=rgb_icc("Adobe RGB"))
    data, notes = written(given, kind)
    assert any("turned into sRGB" in note for note in notes)
    encoding, _ = encoding_of(given)
    wanted = encoding.to_srgb(given.pixels / np.float32(255)).clip(0, 1) * 255
    found = read(io.BytesIO(data)).pixels
    assert np.abs(found - wanted).mean() < (0.6 if kind == "BMP" else 8)


@pytest.mark.parametrize("subsampling", ["444", "422", "420"])
@pytest.mark.parametrize("kind", ["JPEG", "AVIF"])
def test_subsampling_is_used(kind, subsampling):
    given = Picture(noise(64, 64))
    data, _ = written(given, kind, storage=Storage(subsampling=subsampling))
    if kind == "JPEG":
        wanted = {"444": 0, "422": 1, "420": 2}[subsampling]
        assert read(io.BytesIO(data)).source.subsampling == wanted
    full, _ = written(given, kind, storage=Storage(subsampling="444"))
    assert (len(data) < len(full)) == (subsampling != "444")


def test_the_sources_own_quality_on_request():
    data = encoded(Image.fromarray(smooth(40, 60)), "JPEG", quality=30, subsampling=2)
    source = read(io.BytesIO(data))
    again = read(io.BytesIO(written(source, "JPEG", storage=Storage(quality="source"))[0])).source
    assert again.quantisation == source.source.quantisation
    assert again.subsampling == 2
    finer = read(io.BytesIO(written(source, "JPEG")[0])).source
    assert sum(finer.quantisation[0]) < sum(again.quantisation[0])
    other = written(picture(), "JPEG", storage=Storage(quality="source"))[0]
    assert other == written(picture(), "JPEG")[0]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_png_compression_changes_the_size_alone(dtype):
    sizes = []
    given = Picture(to_depth(smooth(200, 200), np.dtype(dtype).itemsize * 8))
    for level in (0, 1, 9):
        data, _ = written(given, "PNG", storage=Storage(png_compression=level))
        np.testing.assert_array_equal(read(io.BytesIO(data)).pixels, given.pixels)
        sizes.append(len(data))
    assert sizes == sorted(set(sizes), reverse=True)


@pytest.mark.parametrize(
    "options",
    [
        {"quality": 0},
        {"quality": 101},
        {"quality": "best"},
        {"subsampling": "411"},
        {"png_compression": 10},
        {"png_compression": -1},
    ],
)
def test_choices_out_of_range(options):
    with pytest.raises(UsageError):
        Storage(**options)


def test_png_keeps_iptc():
    data, notes = written(picture(iptc=RECORDS), "PNG")
    assert notes == ()
    assert read(io.BytesIO(data)).source.iptc == RECORDS
    assert read(io.BytesIO(data)).source.text == ()
    assert b"zTXt" in [name for name, _ in png_chunks(data)]


@pytest.mark.parametrize("data", [b"", b"8BIM", b"8BIM\x04\x04\0\0\xff\xff\xff\xff", b"\0" * 40])
def test_no_iptc(data):
    assert iptc_found(data) is None


def test_iptc_behind_other_resources():
    other = b"8BIM\x03\xed\x05named\0\0\0\x03abc\0"
    block = b"Photoshop 3.0\0" + other + b"8BIM\x04\x04\0\0" + len(RECORDS).to_bytes(4) + RECORDS
    assert iptc_found(block) == RECORDS
    assert iptc_found(RECORDS) == RECORDS


@pytest.mark.parametrize("depth", [8, 10, 12, 16])
@pytest.mark.parametrize("alpha", [False, True])
def test_avif_keeps_what_it_can(depth, alpha):
    dtype = np.uint8 if depth == 8 else np.uint16
    given = Picture(
        to_depth(smooth(64, 96), 8 if depth == 8 else 16),
        noise(64, 96, 1, dtype)[:, :, 0] | dtype(1) if alpha else None,
        Source(icc=srgb_icc(), depth=depth, exif=exif_of(height=64, width=96), xmp=xmp_of()),
    )
    data, notes = written(given, "AVIF", quality=100)
    found = read(io.BytesIO(data))
    assert found.source.depth == {8: 8, 10: 10, 12: 12, 16: 12}[depth]
    assert found.pixels.dtype == dtype
    assert any("12 bits" in note for note in notes) == (depth == 16)
    most = np.iinfo(dtype).max
    error = np.abs(found.pixels.astype(int) - given.pixels).max() / most
    assert error < (0.03 if depth == 8 else 0.003)
    if alpha:
        assert np.abs(found.alpha.astype(int) - given.alpha).max() / most < 0.02
    assert found.source.icc == given.source.icc
    assert found.source.xmp == given.source.xmp
    assert b"Moceflex" in found.source.exif


def test_avif_stands_upright():
    upright = smooth(32, 48)
    sideways = np.ascontiguousarray(np.rot90(upright))
    data = encoded(Image.fromarray(sideways), "AVIF", quality=95, exif=b"Exif\0\0" + exif_of(6))
    found = read(io.BytesIO(data))
    assert found.pixels.shape == (32, 48, 3)
    assert np.abs(found.pixels.astype(int) - upright).max() < 12
    again = read(io.BytesIO(written(found, "AVIF")[0]))
    assert again.pixels.shape == (32, 48, 3)


def test_the_colours_that_avif_states_are_kept_or_turned():
    data = bytearray(encoded(Image.fromarray(smooth(32, 48)), "AVIF", quality=100))
    at = data.index(b"colrnclx") + 8
    data[at : at + 4] = bytes((0, 12, 0, 13))  # Display P3
    found = read(io.BytesIO(bytes(data)))
    assert found.source.png_chunks == ((b"cICP", bytes((12, 13, 0, 1))),)
    encoding, _ = encoding_of(found)
    assert encoding.name == "Display P3"
    png = read(io.BytesIO(written(found, "PNG")[0]))
    np.testing.assert_array_equal(png.pixels, found.pixels)
    assert encoding_of(png)[0].name == "Display P3"
    jpeg, notes = written(found, "JPEG")
    assert notes == ()
    assert np.abs(read(io.BytesIO(jpeg)).pixels.astype(float) - found.pixels).mean() < 2
    assert encoding_of(read(io.BytesIO(jpeg)))[0].name == "Display P3"
    bmp, notes = written(found, "BMP")
    assert any("turned into sRGB" in note for note in notes)
    wanted = encoding.to_srgb(found.pixels / np.float32(255)).clip(0, 1) * 255
    np.testing.assert_array_equal(read(io.BytesIO(bmp)).pixels, wanted.round())


def change_pixels(encoded_file):
    wrong = [replace(f, pixels=255 - f.pixels) for f in encoded_file.frames]
    return replace(encoded_file, frames=tuple(wrong))


def change_source(**changes):
    def change(encoded_file):
        first = encoded_file.frames[0]
        first = replace(first, source=replace(first.source, **changes))
        return replace(encoded_file, frames=(first, *encoded_file.frames[1:]))

    return change


def add_alpha(encoded_file):
    first = encoded_file.frames[0]
    first = replace(first, alpha=np.zeros(first.pixels.shape[:2], np.uint8))
    return replace(encoded_file, frames=(first,))


def deepen(encoded_file):
    first = encoded_file.frames[0]
    return replace(encoded_file, frames=(replace(first, pixels=to_depth(first.pixels, 16)),))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WebP", "TIFF", "AVIF"])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (change_pixels, "differs from the picture"),
        (change_source(icc=b"another"), "colour profile"),
        (change_source(xmp=b"another"), "XMP"),
        (change_source(exif=exif_of(note=b"of another")), "EXIF"),
        (change_source(dpi=(33.0, 44.0)), "dots per inch"),
        (change_source(text=(("Comment", "another"),)), "the text named 'Comment'"),
        (add_alpha, "no alpha"),
        (deepen, "8 bits, not 16"),
    ],
)
def test_what_is_not_as_it_should_be_is_noticed(tmp_path, monkeypatch, kind, change, words):
    """The encoder is made to promise other than what it wrote."""
    encode = writing.encode
    monkeypatch.setattr(writing, "encode", lambda *arguments: change(encode(*arguments)))
    target = tmp_path / "a"
    with pytest.raises(OutputError, match=words) as caught:
        write(picture(icc=srgb_icc(), exif=exif_of()), target, format=kind)
    assert caught.value.exit_code == 6
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(OutputError, match=words):
        write(picture(icc=srgb_icc()), io.BytesIO(), format=kind)
