"""Large and tiny pictures through the real command."""

import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from moce_cli.runtime import peak_memory_bytes_of

MOST_BYTES = 1.5e9


def restore(source, target, *options):
    """Run `moce restore` and give its peak memory in bytes."""
    process = subprocess.Popen(
        [sys.executable, "-m", "moce_cli", "restore", str(source), "-o", str(target), *options],
        stderr=subprocess.PIPE,
    )
    peak = 0
    while process.poll() is None:  # what is told after its end may be this process's own
        peak = max(peak, peak_memory_bytes_of(process.pid))
        time.sleep(0.02)
    with process.stderr:
        assert process.returncode == 0, process.stderr.read()
    return peak


@pytest.mark.slow
def test_24_megapixels_stay_under_one_and_a_half_gigabytes(tmp_path):
    rows = np.linspace(0, 255, 4000)[:, None, None]
    columns = np.linspace(0, 1, 6000)[None, :, None] * np.array([1.0, 0.7, 0.4])
    noise = np.random.default_rng(0).standard_normal((4000, 6000, 3), np.float32) * 15
    picture = (rows * columns + noise).clip(0, 255).astype(np.uint8)
    Image.fromarray(picture).save(tmp_path / "large.jpg", quality=92)
    peak = restore(tmp_path / "large.jpg", tmp_path / "out.jpg")
    assert 2e8 < peak < MOST_BYTES
    with Image.open(tmp_path / "out.jpg") as image:
        assert image.size == (6000, 4000)
        middle = np.asarray(image.crop((2800, 1800, 3200, 2200))).astype(float)
    clean = (rows * columns)[1800:2200, 2800:3200]
    before = np.abs(picture[1800:2200, 2800:3200] - clean).mean()
    assert np.abs(middle - clean).mean() < before / 2


@pytest.mark.parametrize(("height", "width"), [(1, 1), (5, 7), (3, 65)])
def test_tiny_pictures(tmp_path, height, width):
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    restore(tmp_path / "a.png", tmp_path / "b.png")
    with Image.open(tmp_path / "b.png") as image:
        assert image.size == (width, height)
