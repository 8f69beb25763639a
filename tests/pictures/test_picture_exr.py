"""What an EXR says beside its pixels."""

import io
import struct

import numpy as np
import pytest
from picture_files import smooth

from moce_cli.pictures import Picture, Source, encoding_of, read, write

pytest.importorskip("OpenEXR")
POINTS = (0.3127, 0.3290, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046)  # white first: BT.2020
CHUNKS = (
    (b"gAMA", struct.pack(">I", 100_000)),
    (b"cHRM", struct.pack(">8I", *(round(p * 100_000) for p in POINTS))),
)


def stored(**source):
    light = smooth(24, 40) / np.float32(200)
    out = io.BytesIO()
    notes = write(Picture(light, None, Source(**source)), out, format="EXR")
    return read(io.BytesIO(out.getvalue()), whole=True), light, notes


def test_primaries_stay_and_no_bit_of_light_changes():
    found, light, notes = stored(png_chunks=CHUNKS)
    assert notes == ()
    assert found.source.png_chunks == CHUNKS
    np.testing.assert_array_equal(found.pixels, light)


def test_primaries_go_into_a_profile_of_a_float_tiff():
    found, light, _ = stored(png_chunks=CHUNKS)
    out = io.BytesIO()
    assert write(found, out, format="TIFF") == ()
    again = read(io.BytesIO(out.getvalue()), whole=True)
    np.testing.assert_array_equal(again.pixels, light)
    wanted = encoding_of(found)[0].matrix
    np.testing.assert_allclose(encoding_of(again)[0].matrix, wanted, atol=1e-3)


@pytest.mark.parametrize("dpi", [(300.0, 300.0), (150.0, 300.0)])
def test_resolution_and_texts_stay(dpi):
    texts = (("Comment", "grüße"), ("capDate", "2020:01:02 03:04:05"), ("owner", "Ada"))
    found, _, notes = stored(dpi=dpi, text=texts)
    assert notes == ()
    assert found.source.dpi == pytest.approx(dpi)
    assert sorted(found.source.text) == sorted(texts)


@pytest.mark.parametrize("keyword", ["xDensity", "channels", "", "k" * 32, "größe", "isoSpeed"])
def test_texts_that_have_no_name_there_are_named(keyword):
    found, _, notes = stored(text=((keyword, "one"), ("fine", "two"), ("fine", "three")))
    assert repr(keyword) in notes[0]
    assert "'fine'" in notes[0]
    assert found.source.text == (("fine", "two"),)
