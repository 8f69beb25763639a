"""A person's other choices: each does what it is for, and is tuned by what is measured."""

import numpy as np
import pytest
from eval_files import smooth

from moce_cli.errors import InputError
from moce_cli.evaluation import opencv
from moce_cli.evaluation.datasets import Row, Sample, unit
from moce_cli.evaluation.dehaze import dark_channel, dehaze, guided_filter
from moce_cli.evaluation.metrics import psnr


def row_of(damage, count=2, **options):
    def pair(seed):
        clean = smooth(seed=seed)
        return damage(clean, np.random.default_rng(seed)), clean

    samples = (Sample(str(i), str(i), lambda i=i: pair(i)) for i in range(count))
    return Row("d", "r", tuple(samples), **options)


def noisy(clean, rng, sigma=25):
    return (clean + sigma * rng.standard_normal(clean.shape)).clip(0, 255).astype(np.uint8)


def hazy(clean, rng):
    return (0.5 * clean + 0.5 * 235).round().astype(np.uint8)


def mean_psnr(row, run=lambda x: x):
    pairs = [sample.load() for sample in row.samples]
    return np.mean([psnr(unit(run(a)), unit(b)) for a, b in pairs])


def test_every_way_keeps_shape_and_type_with_all_its_parameters():
    names = [way.name for way in opencv.ways()]
    assert len(set(names)) == len(names)
    asked = ("non-local means", "dark channel", "CLAHE", "unsharp masking", "median")
    assert set(asked) < set(names)
    tiny = smooth(24, 20)
    for way in opencv.ways():
        for parameters in way.grid:
            made = way.run(tiny, parameters)
            assert (made.shape, made.dtype) == (tiny.shape, np.uint8), (way.name, parameters)
        assert np.array_equal(tiny, smooth(24, 20))  # none writes into its input


def test_tuning_takes_the_best_parameters_of_the_grid():
    row = row_of(noisy)
    ways = {way.name: way for way in opencv.ways()}
    steps = []
    chosen = [ways["Gaussian"], ways["median"]]
    tuned = opencv.tune(row, chosen, side=500, progress=lambda: steps.append(1))
    assert len(steps) == 2
    for best in tuned:
        scores = [mean_psnr(row, lambda x, p=p, w=best.way: w.run(x, p)) for p in best.way.grid]
        assert mean_psnr(row, best) == pytest.approx(max(scores))
        assert mean_psnr(row, best) > mean_psnr(row) + 3
        assert best.tuned_on == "the middle 64 px of 2 of 2 pictures"
    assert tuned[1].describe() == f"ksize {tuned[1].parameters['ksize']}"


def test_tuning_takes_the_very_files_and_goes_round_those_that_cannot_be_read():
    def broken():
        raise InputError("this one is broken")

    good = row_of(noisy, 3)
    row = Row("d", "r", (*good.samples[:2], Sample("x", "x", broken)))
    median = [way for way in opencv.ways() if way.name == "median"]
    tuned = opencv.tune(row, median, side=32)
    assert tuned[0].tuned_on == "the middle 32 px of 2 of 3 pictures"
    with pytest.raises(InputError, match="this one is broken"):
        opencv.tune(Row("d", "r", row.samples[2:]), median)


def test_the_dark_channel_finds_and_takes_away_haze():
    clean = smooth(96, 128)
    clean[::7, ::5] = 0  # the prior: everywhere something is dark
    haze = hazy(clean, None)
    clear = dehaze(haze, omega=0.95, patch=7)
    before, after = (psnr(unit(x), unit(clean)) for x in (haze, clear))
    assert after > before + 4
    assert np.abs(dehaze(haze, omega=0.0, patch=7).astype(int) - haze).max() <= 1
    assert dark_channel(unit(haze), 7).mean() > dark_channel(unit(clean), 7).mean() + 0.3
    black = np.zeros((20, 20, 3), np.uint8)
    assert np.array_equal(dehaze(black, omega=0.95, patch=7), black)
    row = row_of(hazy)
    best = opencv.tune(row, [way for way in opencv.ways() if way.name == "dark channel"])[0]
    assert mean_psnr(row, best) > mean_psnr(row)


def test_the_guided_filter_keeps_edges_of_its_guide_and_smooths_the_rest():
    guide = np.zeros((40, 40), np.float32)
    guide[:, 20:] = 1
    values = guide + 0.2 * np.random.default_rng(0).standard_normal(guide.shape)
    smoothed = guided_filter(guide, values, radius=8)
    assert abs(float(smoothed[:, 22:].mean()) - 1) < 0.05
    assert float(smoothed[5:-5, 24:-5].std()) < 0.06
    assert float((smoothed[:, 21] - smoothed[:, 18]).mean()) > 0.8
    flat = np.full((20, 20), 0.3, np.float32)
    assert np.allclose(guided_filter(np.full_like(flat, 0.5), flat, 4), flat, atol=1e-4)
