"""AVIF: grey stays grey, and what it can't keep is said."""

import io

import numpy as np
import pytest
from picture_files import exif_of, smooth
from PIL import Image

from moce_cli.pictures import Picture, Source, Storage, exif, probe, read, to_depth, write


def stored(given, **options):
    out = io.BytesIO()
    notes = write(given, out, format="AVIF", **options)
    return out.getvalue(), " ".join(notes)


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("clear", [False, True])
def test_grey_stays_grey(depth, clear):
    grey = to_depth(smooth(24, 40, 1), depth)
    alpha = to_depth(smooth(24, 40)[:, :, 1], depth) if clear else None
    data, notes = stored(Picture(grey, alpha))
    found = read(io.BytesIO(data))
    named = depth == 16 and clear  # OpenCV writes that as colours
    assert found.channels == (3 if named else 1)
    assert ("no grey with alpha" in notes) == named
    assert probe(io.BytesIO(data)).mode.startswith("RGB" if named else "grey")
    assert (found.alpha is not None) == clear
    most = np.iinfo(grey.dtype).max
    assert np.abs(found.pixels.astype(float) - grey).mean() < most / 100
    with Image.open(io.BytesIO(data)) as seen:
        assert seen.mode == {False: "RGB" if named else "L", True: "RGBA"}[clear]


def test_grey_colours_in_a_file_of_colours_are_colours():
    given = Picture(smooth(24, 40, 1).repeat(3, axis=2))
    assert read(io.BytesIO(stored(given)[0])).channels == 3


@pytest.mark.parametrize(
    ("source", "options", "named"),
    [
        (Source(), {}, True),
        (Source(format="AVIF", depth=12), {}, False),  # it was so before
        (Source(format="AVIF", depth=12), {"subsampling": "444"}, True),
        (Source(), {"subsampling": "420"}, False),
        (Source(), {"quality": 100}, False),
    ],
)
def test_halved_colour_detail_is_named(source, options, named):
    given = Picture(to_depth(smooth(24, 40), 16), None, source)
    data, notes = stored(given, storage=Storage(**options))
    assert ("4:2:0" in notes) == named
    flags = data[data.index(b"av1C") + 6]
    assert flags >> 2 & 3 == (0 if options.get("quality") == 100 else 3)


@pytest.mark.parametrize("depth", [8, 16])
def test_a_makers_note_stays_where_it_was(depth):
    """Its inner offsets count from the block's start."""
    block = exif_of(note=b"note with offsets")
    data, notes = stored(Picture(to_depth(smooth(24, 40), depth), None, Source(exif=block)))
    start = data.index(b"Moceflex") - block.index(b"Moceflex")
    assert data[start : start + 4] == block[:4]
    assert data.index(b"note with offsets") - start == block.index(b"note with offsets")
    assert "EXIF" not in notes


@pytest.mark.parametrize("kind", ["AVIF", "WebP"])
@pytest.mark.parametrize("block", [None, exif_of(), exif_of(order=">")])
def test_a_resolution_is_stated_by_exif_where_nothing_else_can(kind, block):
    out = io.BytesIO()
    given = Picture(smooth(24, 40), None, Source(exif=block, dpi=(200.0, 100.5)))
    assert write(given, out, format=kind) == ()
    found = Image.Exif()
    found.load(read(io.BytesIO(out.getvalue())).source.exif)
    assert (found[283], found[282], found[296]) == (200, 100.5, 2)
    if block:
        assert found[0x010F] == "Moceflex"
        assert found.get_ifd(0x8769)[0x927C] == b"MakerNote 1234"
        assert tuple(found.get_ifd(0x8825)[2]) == (48, 51, 30)


def test_taking_the_orientation_out_moves_nothing():
    for order in "<>":
        block = exif_of(6, order=order)
        bare = exif.without_orientation(block)
        assert len(bare) == len(block)
        assert exif.facts(bare) == exif.facts(block)
        assert exif.orientation(bare, None) == 1
        assert bare.index(b"MakerNote") == block.index(b"MakerNote")
