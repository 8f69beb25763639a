"""What the tests of comparisons share."""

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def photo(tmp_path):
    """Write a picture, noise unless pixels are given, and return its path."""

    def make(name, pixels=None, *, height=60, width=80, seed=0, **options):
        if pixels is None:
            rng = np.random.default_rng(seed)
            pixels = rng.integers(0, 256, (height, width, 3), np.uint8)
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.asarray(pixels)).save(path, **options)
        return path

    return make
