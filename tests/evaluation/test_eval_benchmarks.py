"""Benchmarks in miniature, read back by the paper's protocol; pairs; what is missing is told."""

import numpy as np
import pytest
from eval_files import noise, pair_folder, save

from moce_cli.errors import InputError
from moce_cli.evaluation.benchmarks import BENCHMARKS, find_benchmarks
from moce_cli.evaluation.datasets import Row, Sample, crop_to_multiple, unit
from moce_cli.evaluation.suites import find_rows
from moce_cli.folders import COMPOSITES, middle


def cbsd68(root):
    sizes = [(33, 50), (49, 20), (32, 48)]  # the order of names is not that of making
    for name, size in zip(["b.png", "a.png", "c.png"], sizes, strict=True):
        save(root / "denoising/cBSD68/original_png" / name, noise(*size, seed=size[0]))


def test_noise_is_the_documented_formula_in_one_stream_for_each_sigma(tmp_path):
    cbsd68(tmp_path)
    rows = find_benchmarks(tmp_path)
    assert [(row.dataset, row.name) for row in rows] == [
        ("CBSD68", "noise 15"), ("CBSD68", "noise 25"), ("CBSD68", "noise 50")
    ]  # fmt: skip
    cleans = {
        "a.png": noise(49, 20, seed=49)[0:48, 2:18],
        "b.png": noise(33, 50, seed=33)[0:32, 1:49],
        "c.png": noise(32, 48, seed=32),
    }
    for row, sigma in zip(rows, (15, 25, 50), strict=True):
        assert not row.quantised
        assert [sample.name for sample in row.samples] == sorted(cleans)
        np.random.seed(0)
        for sample in row.samples:
            degraded, clean = sample.load()
            assert np.array_equal(clean, cleans[sample.name])
            made = clean + np.random.randn(*clean.shape) * sigma
            assert np.array_equal(degraded, np.clip(made, 0, 255).astype(np.uint8))


def test_a_files_noise_does_not_depend_on_which_others_were_read(tmp_path):
    cbsd68(tmp_path)
    all_of_it = [sample.load()[0] for sample in find_benchmarks(tmp_path)[1].samples]
    row = find_benchmarks(tmp_path)[1]
    last, first = row.samples[2].load()[0], row.samples[0].load()[0]
    assert np.array_equal(last, all_of_it[2])
    assert np.array_equal(first, all_of_it[0])
    kept = find_benchmarks(tmp_path)[1].limited(2).samples
    assert [sample.name for sample in kept] == ["a.png", "b.png"]
    assert np.array_equal(kept[1].load()[0], all_of_it[1])


def test_rain_pairs_in_order_and_haze_by_the_name_before_the_first_underscore(tmp_path):
    for i in range(3):
        save(tmp_path / f"deraining/Rain100L/rainy/rain-00{i}.png", noise(33, 40, i))
        save(tmp_path / f"deraining/Rain100L/gt/norain-00{i}.png", noise(33, 40, 10 + i))
    for name, clean in (("0001_0.8_0.2.jpg", 1), ("0001_1_0.1.jpg", 1), ("0002_0.9.jpg", 2)):
        save(tmp_path / "dehazing/SOTS/outdoor/hazy" / name, noise(20, 40, clean))
    for i in (1, 2):
        save(tmp_path / f"dehazing/SOTS/outdoor/gt/000{i}.png", noise(20, 40, 20 + i))
    rain, haze = find_benchmarks(tmp_path)
    degraded, clean = rain.samples[1].load()
    assert np.array_equal(degraded, noise(33, 40, 1)[0:32, 4:36])
    assert np.array_equal(clean, noise(33, 40, 11)[0:32, 4:36])
    gt = (tmp_path / "dehazing/SOTS/outdoor/gt").resolve()
    wanted = [str(gt / f"{name}.png") for name in ("0001", "0001", "0002")]
    assert [s.picture for s in haze.samples] == wanted
    assert haze.paper
    assert np.array_equal(haze.samples[2].load()[1], noise(20, 40, 22)[2:18, 4:36])


def test_low_light_is_cropped_to_592_x_400_and_composites_are_not_cropped(tmp_path):
    for part in ("input", "target"):
        save(tmp_path / f"llie/LOLv1/Test/{part}/1.png", noise(400, 600))
        save(tmp_path / f"deblurring/GoPro/test/{part}/1.png", noise(30, 40))
    for part in ("clear", "low", "low_haze_snow"):
        save(tmp_path / f"cdd11/test/{part}/1.png", noise(37, 41, len(part)))
    rows = {(row.dataset, row.name): row for row in find_benchmarks(tmp_path)}
    assert list(rows) == [
        ("GoPro", "blur"), ("LOL-v1", "low light"), ("CDD-11", "low"), ("CDD-11", "low_haze_snow")
    ]  # fmt: skip
    degraded, clean = rows["LOL-v1", "low light"].samples[0].load()
    assert degraded.shape == clean.shape == (400, 592, 3)
    assert np.array_equal(clean, noise(400, 600)[:, 4:596])
    degraded, clean = rows["CDD-11", "low"].samples[0].load()
    assert np.array_equal(degraded, noise(37, 41, 3))
    assert np.array_equal(clean, noise(37, 41, 5))
    assert len(COMPOSITES) == 11


def test_a_part_of_the_root_will_do(tmp_path):
    cbsd68(tmp_path)
    for below in ("denoising", "denoising/cBSD68"):
        assert len(find_benchmarks(tmp_path / below)) == 3
    moved = tmp_path / "elsewhere" / "cBSD68"
    moved.parent.mkdir()
    (tmp_path / "denoising" / "cBSD68").rename(moved)
    assert len(find_benchmarks(moved)) == 3
    for part in ("input", "target"):  # any folder may be called test
        save(tmp_path / f"test/{part}/1.png", noise())
    assert find_benchmarks(tmp_path / "test") == []


def test_what_is_missing_is_told(tmp_path):
    save(tmp_path / "deraining/Rain100L/rainy/1.png", noise())
    with pytest.raises(InputError, match=r"Rain100L in .* lacks the folder gt") as told:
        find_rows(tmp_path)
    assert "deraining/Rain100L/{rainy,gt}" in told.value.hint
    (tmp_path / "deraining/Rain100L/gt").mkdir()
    with pytest.raises(InputError, match="holds no pictures"):
        find_rows(tmp_path)
    save(tmp_path / "deraining/Rain100L/gt/x1.png", noise())
    save(tmp_path / "deraining/Rain100L/gt/x2.png", noise())
    with pytest.raises(InputError, match=r"holds 1 picture and .* 2: they do"):
        find_rows(tmp_path)


def test_an_unknown_folder_names_every_layout(tmp_path):
    save(tmp_path / "a.png", noise())
    with pytest.raises(InputError) as told:
        find_rows(tmp_path)
    for benchmark in BENCHMARKS:
        assert benchmark.folder in told.value.message
    assert "degraded and clean" in told.value.message
    assert "--suite" in told.value.hint
    with pytest.raises(InputError, match="is not there"):
        find_rows(tmp_path / "nowhere")
    with pytest.raises(InputError, match="is no folder"):
        find_rows(tmp_path / "a.png")


def test_a_folder_pair_goes_by_stems(tmp_path):
    pair_folder(tmp_path / "mine", 2)
    save(tmp_path / "mine/clean/spare.png", noise())
    (row,) = find_rows(tmp_path / "mine")
    assert (row.name, len(row.samples), row.quantised) == ("mine", 2, True)
    degraded, clean = row.samples[1].load()
    assert np.array_equal(clean, noise(40, 52, 1))
    assert int(np.max(clean.astype(int) - degraded)) == 1
    save(tmp_path / "mine/degraded/alone.png", noise())
    with pytest.raises(InputError, match=r"alone.png has no clean picture 'alone'"):
        find_rows(tmp_path / "mine")


def test_pairs_of_other_sizes_are_refused_when_they_are_read(tmp_path):
    save(tmp_path / "clean/a.png", noise(20, 30))
    save(tmp_path / "degraded/a.png", noise(30, 20))
    (row,) = find_rows(tmp_path)
    with pytest.raises(InputError, match=r"20 x 30 pixels, .* 30 x 20"):
        row.samples[0].load()


def test_grey_and_16_bit_pictures_are_read(tmp_path):
    save(tmp_path / "clean/a.png", noise()[:, :, 0])
    save(tmp_path / "degraded/a.png", noise(seed=1)[:, :, 0].astype(np.uint16) * 257)
    degraded, clean = find_rows(tmp_path)[0].samples[0].load()
    assert degraded.shape == clean.shape == (40, 52, 3)
    assert degraded.dtype == np.uint16
    assert unit(degraded)[3, 4, 0] == pytest.approx(noise(seed=1)[3, 4, 0] / 255)


def test_middles_and_limits():
    picture = noise(21, 30)
    assert np.array_equal(middle(picture, 8), picture[6:14, 11:19])
    assert np.array_equal(middle(picture, 24), picture[:, 3:27])
    assert crop_to_multiple(picture, 1).shape == picture.shape
    with pytest.raises(InputError, match="cannot be cropped"):
        crop_to_multiple(picture[:9], 16)
    row = Row("d", "r", tuple(Sample(str(i), str(i), lambda: (picture, picture)) for i in range(9)))
    assert [s.name for s in row.limited(3).samples] == ["0", "3", "6"]
    assert row.limited(9) is row.limited(None) is row
    assert row.cropped(8).samples[0].load()[1].shape == (8, 8, 3)
