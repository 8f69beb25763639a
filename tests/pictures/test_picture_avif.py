"""AVIF: grey stays grey, and what it can't keep is said."""

import io

import numpy as np
import pytest
from picture_files import smooth
from PIL import Image

from moce_cli.pictures import Picture, Source, Storage, probe, read, to_depth, write


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
