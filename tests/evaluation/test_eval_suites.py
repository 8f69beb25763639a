"""Suites: the same damage again, whoever else is asked for."""

import numpy as np
import pytest
import torch
from eval_files import clean_folder, save, smooth

from moce_cli.degradations import KERNEL_ROW, SUITE
from moce_cli.errors import InputError, UsageError
from moce_cli.evaluation import suites
from moce_cli.evaluation.suites import Shelf, find_rows, sample_seed, suite_names, suite_rows


def test_rows_are_reproducible_and_each_picture_has_its_own_noise(tmp_path):
    folder = clean_folder(tmp_path / "pictures", 3)
    first = suite_rows(folder, ["noise 25", "rain 0.6"])
    again = suite_rows(folder, ["rain 0.6"])
    assert [(row.dataset, row.name) for row in first] == [
        ("pictures", "noise 25"), ("pictures", "rain 0.6")
    ]  # fmt: skip
    for a, b in zip(first[1].samples, again[0].samples, strict=True):
        assert np.array_equal(a.load()[0], b.load()[0])
    noise = [np.subtract(*(x.astype(int) for x in s.load())) for s in first[0].samples]
    assert not np.array_equal(noise[0], noise[1])
    assert 20 < noise[0].std() < 26
    other = suite_rows(folder, ["rain 0.6"], seed=1)
    assert not np.array_equal(other[0].samples[0].load()[0], again[0].samples[0].load()[0])


@pytest.mark.parametrize("row", ["noise 50", "sensor 6400", "rain 0.6"])
def test_any_whole_number_from_0_on_is_a_seed(row):
    clean = smooth(24, 32)
    seeds = [0, 2**40 - 1, 2**40, 9999999999999, 10**100]
    made = [suites.damage(clean, row, sample_seed(seed, 3)) for seed in seeds]
    for i, one in enumerate(made):
        assert np.array_equal(one, suites.damage(clean, row, sample_seed(seeds[i], 3)))
        assert not any(np.array_equal(one, other) for other in made[:i])


@pytest.mark.parametrize("seed", [0, 5, 2**24 + 7, 2**32 - 1, 2**63, 2**64 - 1])
def test_a_seed_that_torch_takes_is_torchs_own(seed):
    clean = smooth(24, 32)
    noise = torch.randn(1, 3, 24, 32, generator=torch.Generator().manual_seed(seed))
    wanted = clean + 50 * noise[0].permute(1, 2, 0).numpy()
    made = suites.damage(clean, "noise 50", seed)
    assert np.abs(made - wanted.clip(0, 255)).max() < 0.501


def test_a_limited_row_holds_the_same_damage(tmp_path):
    folder = clean_folder(tmp_path, 4)
    (row,) = suite_rows(folder, ["noise 50"])
    for sample in row.limited(2).samples:
        whole = next(s for s in row.samples if s.name == sample.name)
        assert np.array_equal(sample.load()[0], whole.load()[0])


def test_every_row_of_the_suite_can_be_made(tmp_path):
    folder = clean_folder(tmp_path, 1)
    for row in suite_rows(folder, suite_names(["all"])):
        degraded, clean = row.samples[0].load()
        assert degraded.shape == clean.shape
        assert degraded.dtype == np.uint8
        assert np.array_equal(degraded, clean) == (row.name == "undamaged")


def test_names():
    assert suite_names(["all"]) == list(SUITE)
    assert suite_names(["jpeg 20, noise 25", "undamaged"]) == ["undamaged", "noise 25", "jpeg 20"]
    with pytest.raises(UsageError, match="'noise 24' is no row") as told:
        suite_names(["noise 24"])
    assert "noise 25" in told.value.hint


@pytest.fixture
def kernels(tmp_path):
    """A bar that lies, and one pixel alone."""
    folder = tmp_path / "kernels"
    folder.mkdir()
    np.save(folder / "bar.npy", np.ones((1, 9)))
    np.save(folder / "point.npy", np.eye(3)[1:2].T)
    return folder


def test_measured_kernels_are_a_row_of_their_own(tmp_path, kernels):
    folder = clean_folder(tmp_path / "pictures", 6)
    (row,) = find_rows(folder, kernels=kernels)
    assert row.name == KERNEL_ROW
    assert row.protocol.startswith(
        "made on the fly with seed 0 and measured kernels, 2 of kernels;"
    )
    blurred = []
    for sample in row.samples:
        degraded, clean = sample.load()
        assert np.array_equal(degraded, sample.load()[0])
        blurred.append(not np.array_equal(degraded, clean))
        # light is moved, not made
        assert degraded.mean() == pytest.approx(clean.mean(), abs=3)
    assert {True, False} == set(blurred)
    again = clean_folder(tmp_path / "elsewhere", 6)
    moved = kernels.rename(tmp_path / "moved")
    (other,) = find_rows(again, kernels=moved)
    assert [not np.array_equal(*s.load()) for s in other.samples] == blurred


def test_kernels_stand_behind_the_suite_and_change_none_of_it(tmp_path, kernels):
    folder = clean_folder(tmp_path / "pictures", 1)
    rows = find_rows(folder, ["all"], kernels=kernels)
    assert [row.name for row in rows] == [*SUITE, KERNEL_ROW]
    for row, plain in zip(rows, find_rows(folder, ["all"]), strict=False):
        assert row.protocol == plain.protocol
        assert np.array_equal(row.samples[0].load()[0], plain.samples[0].load()[0])
    assert suite_names(["noise 25", KERNEL_ROW], kernels=True) == ["noise 25", KERNEL_ROW]
    assert [row.name for row in find_rows(folder, ["noise 25"], kernels=kernels)] == ["noise 25"]


def test_kernels_that_are_none_are_refused_before_anything_is_scored(tmp_path, kernels):
    folder = clean_folder(tmp_path / "pictures", 1)
    with pytest.raises(UsageError, match="'kernel 1' needs measured kernels") as told:
        find_rows(folder, [KERNEL_ROW])
    assert "--kernels" in told.value.hint
    np.save(kernels / "worse.npy", -np.ones((3, 3)))
    with pytest.raises(InputError, match=r"worse\.npy is no kernel"):
        find_rows(folder, kernels=kernels)
    with pytest.raises(InputError, match="holds no kernels"):
        find_rows(folder, kernels=folder)


def test_pictures_below_are_found_and_none_is_an_error(tmp_path):
    save(tmp_path / "sub" / "deep" / "a.png", np.zeros((9, 9, 3), np.uint8))
    (row,) = find_rows(tmp_path, ["undamaged"])
    assert [s.name for s in row.samples] == ["sub/deep/a.png"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no pictures"):
        find_rows(tmp_path / "empty", ["undamaged"])


def test_the_shelf_keeps_what_fits(tmp_path, monkeypatch):
    paths = [save(tmp_path / f"{i}.png", np.full((10, 10, 3), i, np.uint8)) for i in range(2)]
    reads = []
    real = suites.read_rgb
    monkeypatch.setattr(suites, "read_rgb", lambda path: reads.append(path.name) or real(path))
    shelf = Shelf(room_bytes=300)  # for one of them
    for _ in range(2):
        assert [int(shelf.read(path).max()) for path in paths] == [0, 1]
    assert reads == ["0.png", "1.png", "1.png"]
