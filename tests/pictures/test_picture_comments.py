"""Comments, and what a GIF carries beside its pixels."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from picture_files import encoded, smooth, srgb_icc, xmp_of
from PIL import Image

from moce_cli.pictures import Picture, Source, read, write
from moce_cli.pictures.gif_blocks import carried, with_carried

PLAIN = encoded(Image.fromarray(smooth(8, 12)).quantize(16), "GIF")


@pytest.mark.parametrize("texts", [("grüße",), ("one", "two", "three")])
def test_a_jpegs_comments_come_back_one_by_one(texts):
    source = Source(text=tuple(("Comment", text) for text in texts))
    out = io.BytesIO()
    assert write(Picture(smooth(24, 40), None, source), out, format="JPEG") == ()
    assert read(io.BytesIO(out.getvalue())).source.text == source.text


def test_a_comment_too_long_for_jpeg_is_named():
    source = Source(text=(("Comment", "x" * 70_000), ("Comment", "short")))
    out = io.BytesIO()
    notes = write(Picture(smooth(24, 40), None, source), out, format="JPEG")
    assert any("Comment of up to 65533 bytes" in note for note in notes)
    assert read(io.BytesIO(out.getvalue())).source.text == (("Comment", "short"),)


@given(st.binary(max_size=900), st.binary(max_size=900).map(lambda b: b.replace(b"\0", b"x")))
def test_what_a_gif_carries_comes_back(icc, xmp):
    data = with_carried(PLAIN, xmp, icc)
    assert carried(io.BytesIO(data)) == (xmp or None, icc or None)
    with Image.open(io.BytesIO(data)) as seen, Image.open(io.BytesIO(PLAIN)) as before:
        assert np.array_equal(seen.convert("RGB"), before.convert("RGB"))


@given(st.integers(0, 2000), st.integers(0, 255))
def test_a_damaged_gif_carries_something_or_nothing(cut, value):
    data = bytearray(with_carried(PLAIN, xmp_of(), srgb_icc()))
    data[cut % len(data)] = value
    for broken in (bytes(data), bytes(data)[:cut]):
        packet, icc = carried(io.BytesIO(broken))
        assert packet is None or packet in broken
        assert len(icc or b"") <= len(broken)
