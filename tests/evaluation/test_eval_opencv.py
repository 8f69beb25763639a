"""A person's other choices: each does what it is for, and is tuned by what is measured."""

import itertools

import numpy as np
import pytest
from eval_files import smooth

from moce_cli.errors import InputError
from moce_cli.evaluation import opencv
from moce_cli.evaluation.datasets import Row, RowError, Sample, unit
from moce_cli.evaluation.dehaze import dark_channel, dehaze, guided_filter
from moce_cli.evaluation.tuning import MOST_TRIALS, Axis, search
from moce_cli.psnr import psnr


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
        grid = itertools.product(*({*a.coarse, a.low, a.high} for a in way.axes))
        for point in grid:
            parameters = {a.name: v for a, v in zip(way.axes, point, strict=True)}
            if max(point) > 40:  # what the outermost edges cost is not needed here
                continue
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
        (axis,) = best.way.axes
        tried = [{axis.name: value} for value in axis.coarse]
        scores = [mean_psnr(row, lambda x, p=p, w=best.way: w.run(x, p)) for p in tried]
        assert mean_psnr(row, best) >= max(scores) - 1e-9
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
    with pytest.raises(RowError, match="this one is broken") as told:
        opencv.tune(Row("d", "r", row.samples[2:]), median)
    assert told.value.exit_code == InputError.exit_code
    # another is taken where none that was meant can be read
    (best,) = opencv.tune(Row("d", "r", row.samples[::-1]), median, side=32, pictures=1)
    assert best.tuned_on == "the middle 32 px of 1 of 3 pictures"


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


@pytest.mark.parametrize("best", [0.1, 0.6, 5.7, 900.0])
def test_the_search_goes_on_past_the_edges_of_where_it_began(best):
    axes = (Axis("a", (1, 4, 16), 0.01, 1e4), Axis("b", (2, 4), 2, 8, step=1, whole=True))
    tried = []

    def score(p):
        tried.append(p)
        return -abs(np.log2(p["a"] / best)) - abs(p["b"] - 7)

    found, top = search(axes, score)
    assert found["b"] == 7
    assert abs(np.log2(found["a"] / best)) <= 0.25 + 1e-6
    assert top == max(map(score, list(tried)))
    assert len(tried) / 2 <= MOST_TRIALS


def test_medium_and_strong_noise_find_their_non_local_means():
    way = next(way for way in opencv.ways() if way.name == "non-local means")
    for sigma in (25, 70):
        row = row_of(lambda clean, rng, s=sigma: noisy(clean, rng, s), 1)
        (best,) = opencv.tune(row, [way], side=32)
        ((degraded, clean),) = [sample.load() for sample in row.cropped(32).samples]
        assert best.parameters is not None
        for name in ("h", "hColor"):  # going on in either direction does not help
            for ratio in (0.5, 2):
                there = {**best.parameters, name: best.parameters[name] * ratio}
                if 0.25 <= there[name] <= 256:
                    beyond = psnr(unit(way.run(degraded, there)), unit(clean))
                    assert beyond <= psnr(unit(best(degraded)), unit(clean)) + 1e-9


def test_a_filter_may_be_no_better_than_the_input():
    row = row_of(lambda clean, rng: clean)
    for best in opencv.tune(row, [way for way in opencv.ways() if way.name != "bilateral"]):
        assert best.parameters is None
        assert best.describe() == opencv.NOTHING
        picture = smooth()
        assert np.array_equal(best(picture), picture)


def test_filters_of_the_pictures_size_are_tuned_on_whole_pictures():
    row = row_of(hazy)
    chosen = [way for way in opencv.ways() if way.name in ("median", "CLAHE", "dark channel")]
    said = {best.way.name: best.tuned_on for best in opencv.tune(row, chosen, side=32)}
    assert said["median"] == "the middle 32 px of 2 of 2 pictures"
    assert said["CLAHE"] == said["dark channel"] == "2 of 2 pictures, whole, reduced to 32 px"
