"""Animations and pages: every frame, its time, and what each format does with them."""

import io
import struct
import zlib

import numpy as np
import pytest
import tifffile
from picture_files import encoded, exif_of, noise, png_chunks, png_file, smooth, srgb_icc
from PIL import Image

from moce_cli.errors import InputError
from moce_cli.pictures import Picture, Source, probe, read, to_depth, write

TIMES = [40, 70, 130]


def animation(depth=8, alpha=False, loops=3, channels=3):
    dtype = np.uint8 if depth == 8 else np.uint16
    frames = []
    for index, time in enumerate(TIMES):
        pixels = noise(20, 26, channels, dtype, seed=index)
        clear = noise(20, 26, 1, dtype, seed=9 + index)[:, :, 0] if alpha else None
        frames.append(Picture(pixels, clear, Source(duration_ms=time, loops=loops, icc=srgb_icc())))
    return Picture(frames[0].pixels, frames[0].alpha, frames[0].source, tuple(frames[1:]))


def written(picture, kind, **options):
    out = io.BytesIO()
    notes = write(picture, out, format=kind, **options)
    return out.getvalue(), notes


def frames_of(picture):
    return [picture, *picture.further]


@pytest.mark.parametrize(("kind", "depth"), [("PNG", 8), ("PNG", 16), ("WebP", 8)])
@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("loops", [0, 1, 3])
def test_lossless_animations_return_every_bit_and_every_time(kind, depth, alpha, loops):
    given = animation(depth, alpha, loops)
    data, notes = written(given, kind)
    assert notes == (() if depth == 8 else ("PNG holds 8 bits: 16-bit values were rounded",))
    found = read(io.BytesIO(data), whole=True)
    assert [f.source.duration_ms for f in frames_of(found)] == TIMES
    assert found.source.loops == loops
    assert found.source.icc == given.source.icc
    assert probe(io.BytesIO(data)).frames == 3
    for frame, wanted in zip(frames_of(found), frames_of(given), strict=True):
        seen = frame.pixels == to_depth(wanted.pixels, 8)
        if alpha:
            np.testing.assert_array_equal(frame.alpha, to_depth(wanted.alpha, 8))
            seen |= frame.alpha[:, :, None] == 0
        assert seen.all()


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "AVIF"])
def test_frames_are_those_that_pillow_shows(kind):
    images = [Image.fromarray(smooth(24, 30)[::step].copy()) for step in (1, -1)]
    images.append(Image.fromarray(smooth(24, 30)[:, ::-1].copy()))
    data = encoded(images[0], kind, save_all=True, append_images=images[1:], duration=TIMES)
    found = read(io.BytesIO(data), whole=True)
    assert [f.source.duration_ms for f in frames_of(found)] == TIMES
    with Image.open(io.BytesIO(data)) as expected:
        for index, frame in enumerate(frames_of(found)):
            expected.seek(index)
            np.testing.assert_array_equal(frame.pixels, np.asarray(expected.convert("RGB")))


@pytest.mark.parametrize("kind", ["GIF", "AVIF"])
def test_lossy_animations_come_close_and_keep_their_time(kind):
    frames = [
        Picture(smooth(32, 48)[::s], None, Source(duration_ms=t)) for s, t in [(1, 50), (-1, 80)]
    ]
    given = Picture(frames[0].pixels, None, Source(duration_ms=50, loops=0), (frames[1],))
    data, _ = written(given, kind)
    found = read(io.BytesIO(data), whole=True)
    assert [f.source.duration_ms for f in frames_of(found)] == [50, 80]
    for frame, wanted in zip(frames_of(found), frames_of(given), strict=True):
        assert np.abs(frame.pixels.astype(int) - wanted.pixels).mean() < 6


@pytest.mark.parametrize("transparent", [False, True])
def test_gif_keeps_few_colours_exactly(transparent):
    colours = noise(1, 200, 3)[0]
    pixels = colours[noise(30, 40, 1)[:, :, 0] % 200]
    alpha = noise(30, 40, 1, seed=2)[:, :, 0] // 128 * 255 if transparent else None
    data, notes = written(Picture(pixels, alpha), "GIF")
    assert notes == ()
    found = read(io.BytesIO(data))
    seen = np.ones((30, 40), bool) if alpha is None else alpha > 0
    np.testing.assert_array_equal(found.pixels[seen], pixels[seen])
    if transparent:
        np.testing.assert_array_equal(found.alpha, alpha)


def test_gif_says_what_it_mixes():
    given = Picture(noise(30, 40), np.full((30, 40), 99, np.uint8))
    notes = written(given, "GIF")[1]
    assert any("256 colours" in note for note in notes)
    assert any("half transparency" in note for note in notes)


@pytest.mark.parametrize("kind", ["JPEG", "BMP", "TIFF"])
def test_what_holds_no_animation_says_so(kind):
    data, notes = written(animation(), kind)
    assert any("first of 3" in note for note in notes)
    assert probe(io.BytesIO(data)).frames == 1


def test_the_first_frame_alone_unless_asked():
    data, _ = written(animation(), "PNG")
    found = read(io.BytesIO(data))
    assert found.further == ()
    assert "the first of 3" in found.source.notes[0]


def pages(bits=8):
    dtype = np.uint8 if bits == 8 else np.uint16
    first = Picture(noise(20, 26, 3, dtype), None, Source(exif=exif_of(), dpi=(72.0, 96.0)))
    second = Picture(noise(31, 11, 1, dtype), None, Source(icc=None, dpi=(300.0, 300.0)))
    third = Picture(noise(8, 9, 4, dtype)[:, :, :3], noise(8, 9, 1, dtype)[:, :, 0], Source())
    return Picture(first.pixels, None, first.source, (second, third))


@pytest.mark.parametrize("bits", [8, 16])
def test_pages_return_every_bit_of_every_size(bits):
    given = pages(bits)
    data, notes = written(given, "TIFF")
    assert notes == ()
    found = read(io.BytesIO(data), whole=True)
    for page, wanted in zip(frames_of(found), frames_of(given), strict=True):
        np.testing.assert_array_equal(page.pixels, wanted.pixels)
        assert page.source.dpi == wanted.source.dpi
        assert page.source.duration_ms is None
    np.testing.assert_array_equal(found.further[1].alpha, given.further[1].alpha)
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        assert len(file.pages) == 3
        for page, wanted in zip(file.pages, frames_of(given), strict=True):
            shown = page.asarray().reshape(*wanted.pixels.shape[:2], -1)
            np.testing.assert_array_equal(shown[:, :, : wanted.channels], wanted.pixels)
        assert file.pages[0].tags["Make"].value == "Moceflex"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WebP", "GIF", "AVIF"])
def test_pages_are_no_animation(kind):
    notes = written(pages(), kind)[1]
    assert any("no pages: the first of 3" in note for note in notes)


def test_previews_and_masks_are_no_pages():
    out = io.BytesIO()
    with tifffile.TiffWriter(out) as file:
        file.write(noise(20, 26), photometric="rgb", metadata=None)
        file.write(noise(10, 13), photometric="rgb", subfiletype=1, metadata=None)
        file.write(noise(20, 26, seed=4), photometric="rgb", metadata=None)
    found = read(io.BytesIO(out.getvalue()), whole=True)
    assert len(found.further) == 1
    np.testing.assert_array_equal(found.further[0].pixels, noise(20, 26, seed=4))
    assert any(note == "1 preview or mask was left out" for note in found.source.notes)


def test_each_page_has_its_own_orientation():
    out = io.BytesIO()
    with tifffile.TiffWriter(out) as file:
        for turn in (1, 6):
            tag = (274, 3, 1, turn, True)
            file.write(noise(20, 26), photometric="rgb", metadata=None, extratags=[tag])
    found = read(io.BytesIO(out.getvalue()), whole=True)
    np.testing.assert_array_equal(found.pixels, noise(20, 26))
    np.testing.assert_array_equal(found.further[0].pixels, np.rot90(noise(20, 26), -1))


def test_all_frames_together_count_as_pixels():
    data, _ = written(animation(), "PNG")
    assert read(io.BytesIO(data), whole=True, max_pixels=3 * 20 * 26).further
    with pytest.raises(InputError, match="3 pages or frames") as caught:
        read(io.BytesIO(data), whole=True, max_pixels=3 * 20 * 26 - 1)
    assert "--max-pixels" in caught.value.hint
    tiff, _ = written(pages(), "TIFF")
    with pytest.raises(InputError, match="more than"):
        read(io.BytesIO(tiff), whole=True, max_pixels=20 * 26 + 31 * 11)


def test_more_frames_stated_than_there_are():
    chunks = png_chunks(written(animation(), "PNG")[0])
    chunks = [(n, struct.pack(">II", 9, 0) if n == b"acTL" else d) for n, d in chunks]
    with pytest.raises(InputError):
        read(io.BytesIO(png_file(chunks)), whole=True)
    huge = [(n, struct.pack(">II", 2**31 - 1, 0) if n == b"acTL" else d) for n, d in chunks]
    with pytest.raises(InputError, match="together more than"):
        read(io.BytesIO(png_file(huge)), whole=True)


def test_a_pngs_still_that_is_no_frame_is_left_out():
    frames = [Image.fromarray(noise(20, 26, seed=s)) for s in range(3)]
    data = encoded(
        frames[0], "PNG", save_all=True, append_images=frames[1:], default_image=True, duration=50
    )
    found = read(io.BytesIO(data), whole=True)
    assert len(frames_of(found)) == 2
    np.testing.assert_array_equal(found.pixels, noise(20, 26, seed=1))


def test_an_animated_pngs_chunks_are_in_order():
    chunks = png_chunks(written(animation(), "PNG")[0])
    names = [name for name, _ in chunks]
    assert names.index(b"acTL") < names.index(b"fcTL") < names.index(b"IDAT") < names.index(b"fdAT")
    numbers = [struct.unpack(">I", d[:4])[0] for n, d in chunks if n in (b"fcTL", b"fdAT")]
    assert numbers == list(range(len(numbers)))
    body = b"".join(d[4:] for n, d in chunks if n == b"fdAT")
    assert zlib.decompressobj().decompress(body)
