"""The options of `moce restore` that say where, how strongly, and how a result is stored."""

import json

import numpy as np
import pytest
from PIL import Image, JpegImagePlugin


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.fixture
def restored(moce, picture, tmp_path):
    """Restore a picture of noise with further words: what went in and what came out."""
    source = picture(tmp_path / "a.png", height=96, width=96)

    def run(*words, name="b.png"):
        done = moce("restore", source, "-o", tmp_path / name, "--overwrite", "--json", *words)
        assert done.exit_code == 0, done.stderr
        return pixels(source), pixels(tmp_path / name), json.loads(done.stdout)

    return run


def test_a_region_alone_is_restored(restored):
    before, after, _ = restored("--region", "8,16,24,32")
    inside = np.zeros(before.shape[:2], bool)
    inside[8:32, 16:48] = True
    np.testing.assert_array_equal(after[~inside], before[~inside])
    assert (after[inside] != before[inside]).any()


def test_a_mask_keeps_what_is_black(restored, tmp_path):
    mask = np.zeros((96, 96), np.uint8)
    mask[40:, :50] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    before, after, _ = restored("--mask", tmp_path / "mask.png")
    np.testing.assert_array_equal(after[mask == 0], before[mask == 0])
    assert (after[mask > 0] != before[mask > 0]).any()


def test_mask_and_region_meet(restored, tmp_path):
    Image.fromarray(np.full((96, 96), 255, np.uint8)).save(tmp_path / "mask.png")
    words = ("--region", "0,0,10,10")
    _, both, _ = restored("--mask", tmp_path / "mask.png", *words)
    _, region, _ = restored(*words)
    np.testing.assert_array_equal(both, region)


def test_no_strength_is_no_change_and_half_lies_between(restored):
    before, none, _ = restored("--strength", "0")
    np.testing.assert_array_equal(none, before)
    _, whole, _ = restored()
    _, half, _ = restored("--strength", "0.5")
    middle = (before.astype(float) + whole) / 2
    assert np.abs(half - middle).max() <= 1


def test_an_ensemble_is_another_result(restored):
    """That it is the mean of eight, tests/restoration/test_canvas.py shows."""
    _, one, _ = restored()
    _, eight, _ = restored("--ensemble")
    assert (one != eight).any()
    assert np.abs(one.astype(float) - eight).mean() < 60


def test_quality_and_subsampling_are_used(restored, tmp_path):
    sizes = []
    for quality in (30, 60, 95):
        restored("--quality", quality, name="b.jpg")
        sizes.append((tmp_path / "b.jpg").stat().st_size)
    assert sizes == sorted(set(sizes))
    for words, wanted in (((), 0), (("--subsampling", "422"), 1), (("--subsampling", "4:2:0"), 2)):
        restored(*words, name="b.jpg")
        with Image.open(tmp_path / "b.jpg") as image:
            assert JpegImagePlugin.get_sampling(image) == wanted


def test_a_jpegs_own_tables_by_default_where_fine_and_on_request_where_coarse(
    moce, picture, tmp_path
):
    for quality, words, same in ((95, (), True), (60, (), False), (60, ("source",), True)):
        source = picture(tmp_path / "a.jpg", quality=quality, subsampling=2)
        target = tmp_path / "b.jpg"
        options = ("--quality", *words) if words else ()
        done = moce("restore", source, "-o", target, "--overwrite", *options)
        assert done.exit_code == 0
        with Image.open(source) as before, Image.open(target) as after:
            assert (before.quantization == after.quantization) == same
            assert JpegImagePlugin.get_sampling(after) == (2 if same else 0)


def test_png_compression_changes_the_size_alone(restored, tmp_path):
    _, quick, _ = restored("--png-compression", "0")
    large = (tmp_path / "b.png").stat().st_size
    _, small, _ = restored("--png-compression", "9")
    np.testing.assert_array_equal(quick, small)
    assert (tmp_path / "b.png").stat().st_size < large


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("--region", "1,2,3"), 2, "'1,2,3' is no region"),
        (("--region", "0,0,0,5"), 2, "0,0,0,5"),
        (("--region", "90,0,10,10"), 3, "lies outside the picture, which is 96 x 96"),
        (("--mask", "none.png"), 3, "none.png"),
        (("--mask", "small.png"), 3, "8 x 8"),
        (("--mask", "black.png"), 3, "keeps all of the picture"),
        (("--quality", "101"), 2, "101"),
        (("--quality", "best"), 2, "'best' is no quality"),
        (("--subsampling", "411"), 2, "'411'"),
        (("--format", "psd"), 2, "'psd'"),
    ],
)
def test_what_is_not_possible_is_a_sentence(moce, picture, tmp_path, words, code, told):
    source = picture(tmp_path / "a.png", height=96, width=96)
    for name, side in (("small.png", 8), ("black.png", 96)):
        Image.fromarray(np.zeros((side, side), np.uint8)).save(tmp_path / name)
    words = [tmp_path / w if w.endswith(".png") else w for w in words]
    done = moce("restore", source, "-o", tmp_path / "b.png", *words)
    assert done.exit_code == code, done.stderr
    assert told in done.stderr.replace("\n", " ")
    assert not (tmp_path / "b.png").exists()
