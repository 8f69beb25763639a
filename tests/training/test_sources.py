"""Pictures are found, decoded, looked through and kept, and what is left out is named."""

import os
import pickle

import numpy as np
import pytest
from PIL import Image
from training_pictures import folder_of, picture, save

from moce_cli.errors import InputError
from moce_cli.training.checks import DatasetError
from moce_cli.training.sources import (
    LeftOut,
    Pictures,
    decode_rgb,
    explain_empty,
    find_pictures,
    middles,
    too_small,
)


def anything(seen):
    return None


def test_pictures_are_found_below_folders_in_order_and_once(tmp_path):
    for name in ("b/2.png", "a/1.png", "b/c/3.png", ".hidden/4.png", "b/.5.png"):
        save(tmp_path / name, picture(0, 8, 8))
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "b/again.png").symlink_to(tmp_path / "a/1.png")
    wanted = [tmp_path / name for name in ("a/1.png", "b/2.png", "b/c/3.png")]
    assert find_pictures([tmp_path]) == wanted
    assert find_pictures([tmp_path / "b/c", tmp_path]) == [wanted[2], *wanted[:2]]


def test_folders_without_pictures_are_refused(tmp_path):
    with pytest.raises(DatasetError, match="is not there") as caught:
        find_pictures([tmp_path / "none"])
    assert caught.value.exit_code == 3
    assert "--data" in caught.value.hint
    one = save(tmp_path / "one.png", picture(0, 8, 8))
    with pytest.raises(DatasetError) as caught:
        find_pictures([one])
    assert caught.value.message == f"{one} is a file, a folder is needed"
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty holds no pictures"):
        find_pictures([tmp_path, tmp_path / "empty"])


def test_folders_that_cannot_be_entered_are_refused(tmp_path, monkeypatch):
    folder_of(tmp_path / "locked", 1)
    opened = os.scandir

    def scandir(path):
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(InputError, match="locked cannot be read: permission denied"):
        find_pictures([tmp_path])


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P", "I;16"])
def test_every_mode_becomes_rgb(tmp_path, mode):
    rgb = picture(1, 20, 30)
    grey = rgb[..., 0]
    if mode == "I;16":
        image = Image.fromarray(grey.astype(np.uint16) * 257)
    elif mode == "P":
        image = Image.fromarray(grey).convert("P")
    elif mode == "RGBA":
        image = Image.fromarray(np.dstack([rgb, grey]))
    else:
        image = Image.fromarray(rgb).convert(mode)
    image.save(tmp_path / "x.png")
    found = decode_rgb(tmp_path / "x.png")
    wanted = {
        "RGB": rgb,
        "RGBA": rgb,
        "L": np.asarray(Image.fromarray(rgb).convert("L"))[..., None],
    }
    assert found.shape == (20, 30, 3)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(
        found, np.broadcast_to(wanted.get(mode, grey[..., None]), (20, 30, 3))
    )


def test_what_cannot_be_drawn_from_is_left_out_and_named(tmp_path):
    folder = folder_of(tmp_path, 2)
    (folder / "cut.png").write_bytes((folder / "0.png").read_bytes()[:900])
    (folder / "text.png").write_text("no picture at all")
    save(folder / "small.png", picture(5, 40, 90))
    found = Pictures(find_pictures([folder]))
    found.check(lambda seen: too_small(seen.height, seen.width, 48))
    assert [path.name for path in found.paths] == ["0.png", "1.png"]
    whys = {one.path.name: one.why for one in found.left_out}
    assert set(whys) == {"cut.png", "text.png", "small.png"}
    assert whys["small.png"] == "its 90 x 40 px are too few: both sides need 48 px"
    assert whys["cut.png"] == "it is damaged: it is cut short"
    assert whys["text.png"].startswith("this is no picture of a kind that is read")


@pytest.mark.parametrize("kept", [0, 1, 3, 4])
def test_a_budget_bounds_memory_and_changes_no_picture(tmp_path, kept, monkeypatch):
    folder_of(tmp_path, 4)
    size = 96 * 112 * 3
    monkeypatch.setattr("moce_cli.training.sources.RECENT_BYTES", size)
    found = Pictures(find_pictures([tmp_path]), budget_bytes=kept * size + size // 2)
    found.check(anything)
    decoded = []
    original = decode_rgb
    monkeypatch.setattr(
        "moce_cli.training.sources.decode_rgb", lambda path: decoded.append(path) or original(path)
    )
    for number in (0, 1, 2, 3, 3, 0):
        np.testing.assert_array_equal(found[number], picture(number))
    # asked for twice in a row, a picture is decoded once; one that did not fit is not held for long
    assert len(decoded) == {0: 5, 1: 3, 3: 1, 4: 0}[kept]


def test_a_pickled_copy_holds_no_pixels(tmp_path):
    folder_of(tmp_path, 3)
    found = Pictures(find_pictures([tmp_path]))
    found.check(anything)
    written = pickle.dumps(found)
    assert len(written) < 96 * 112 * 3
    np.testing.assert_array_equal(pickle.loads(written)[2], found[2])


def test_kept_pictures_cannot_be_written_to(tmp_path):
    folder_of(tmp_path, 1)
    found = Pictures(find_pictures([tmp_path]))
    found.check(anything)
    with pytest.raises(ValueError, match="read-only"):
        found[0][0, 0, 0] = 1


@pytest.mark.parametrize("count", [1, 2, 3, 5, 9, 10, 20])
def test_middles_are_spread_evenly_over_the_list(tmp_path, count):
    folder_of(tmp_path, 10)
    found = middles([tmp_path], count, 64)
    gaps = np.diff([int(name) for name, _ in found])
    assert len(found) == min(count, 10)
    assert len(gaps) == 0 or gaps.max() - gaps.min() <= 1
    np.testing.assert_array_equal(found[0][1], picture(int(found[0][0]))[16:80, 24:88])
    edges = int(found[0][0]), 9 - int(found[-1][0])
    assert abs(edges[0] - edges[1]) <= 1


def test_middles_that_cannot_be_used_are_replaced(tmp_path):
    folder_of(tmp_path, 8)
    for number in (0, 1, 2, 3):  # the first run of two has none
        save(tmp_path / f"{number}.png", picture(9, 40, 40))
    (tmp_path / "6.png").write_text("no picture")
    assert [name for name, _ in middles([tmp_path], 2, 64)] == ["4", "5"]
    assert [name for name, _ in middles([tmp_path], 8, 64)] == ["4", "5", "7"]
    with pytest.raises(DatasetError) as caught:
        middles([tmp_path], 2, 200)
    assert caught.value.message == (
        f"the validation folder leaves no picture to measure: 8 were left out, the first is "
        f"{tmp_path / '0.png'}: its 40 x 40 px are too few: both sides need 200 px"
    )
    with pytest.raises(DatasetError, match="is not there") as caught:
        middles([tmp_path / "none"], 2, 64)
    assert "--validation" in caught.value.hint


def test_one_picture_that_is_left_out_is_told_of_in_the_singular(tmp_path):
    path = save(tmp_path / "small.png", picture(0, 30, 20))
    why = "its 20 x 30 px are too few: both sides need 64 px"
    with pytest.raises(DatasetError) as caught:
        middles([tmp_path], 2, 64)
    assert caught.value.message == (
        f"the validation folder leaves no picture to measure: 1 was left out, {path}: {why}"
    )
    assert explain_empty("clean", [LeftOut(path, why)]).message == (
        f"clean leaves no picture to train on: 1 was left out, {path}: {why}"
    )
