"""Bands of a file put together, and held against `read`."""

import numpy as np
import pytest

from moce_cli.pictures import probe, read
from moce_cli.pictures.large import open_bands, why_not_bands

pytest.importorskip("pyvips")


def put_together(reader, step=7):
    parts = [
        reader.rows(top, min(top + step, reader.height)) for top in range(0, reader.height, step)
    ]
    alphas = [alpha for _, alpha in parts if alpha is not None]
    assert len(alphas) in (0, len(parts))
    return np.concatenate([pixels for pixels, _ in parts]), (
        np.concatenate(alphas) if alphas else None
    )


def check_like_read(data, path, step=7):
    path.write_bytes(data)
    wanted = read(path, whole=True)
    assert why_not_bands(probe(path)) is None
    with open_bands(path) as reader:
        assert reader.header == probe(path)
        assert reader.source == wanted.source
        assert (reader.height, reader.width) == (wanted.height, wanted.width)
        assert (reader.channels, reader.dtype) == (wanted.channels, wanted.pixels.dtype)
        assert reader.has_alpha == (wanted.alpha is not None)
        for again in (step, 2 * step):  # two passes
            pixels, alpha = put_together(reader, again)
            assert pixels.dtype == wanted.pixels.dtype
            np.testing.assert_array_equal(pixels, wanted.pixels)
            if reader.has_alpha:
                np.testing.assert_array_equal(alpha, wanted.alpha)
