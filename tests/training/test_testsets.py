"""No picture of the field's test sets gets into training."""

import csv
import hashlib
import io
from collections import Counter
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from training_pictures import picture

from moce_cli.training.looks import difference_hashes, look_at
from moce_cli.training.testsets import NEAR, TestSets

AT_HAND = Path(__file__).parents[3] / "shared" / "data" / "TESTSETS.csv"
"""Beside the repository, where somebody has it; the packed list is a copy."""


def plain_hash(rgb):
    """The definition, bit by bit."""
    grey = Image.fromarray(rgb).convert("L")
    across = grey.resize((9, 8), Image.Resampling.LANCZOS)
    down = grey.resize((8, 9), Image.Resampling.LANCZOS)
    bits = ""
    for y in range(8):
        for x in range(1, 9):
            bits += "1" if across.getpixel((x, y)) > across.getpixel((x - 1, y)) else "0"
    for y in range(1, 9):
        for x in range(8):
            bits += "1" if down.getpixel((x, y)) > down.getpixel((x, y - 1)) else "0"
    return f"{int(bits, 2):032x}"


def listing(*pictures):
    rows = [
        f"made,{i},{p.shape[0]},{p.shape[1]},{hashlib.sha256(p.tobytes()).hexdigest()},{plain_hash(p)}"
        for i, p in enumerate(pictures)
    ]
    return "\n".join(["set,name,height,width,pixels_sha256,dhash128", *rows])


LISTED = [picture(seed, 240, 320) for seed in range(4)]
SETS = TestSets(listing(*LISTED))


def through_jpeg(rgb, quality):
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def resized(rgb, width, height):
    return np.asarray(Image.fromarray(rgb).resize((width, height), Image.Resampling.BICUBIC))


CHANGES = {
    "half as large": lambda rgb: resized(rgb, 160, 120),
    "larger": lambda rgb: resized(rgb, 500, 375),
    "compressed": lambda rgb: through_jpeg(rgb, 30),
    "cut by 3 px": lambda rgb: rgb[3:-3, 3:-3],
    "one row less": lambda rgb: rgb[1:],
    "darker": lambda rgb: (rgb * 0.6).astype(np.uint8),
    "mirrored": lambda rgb: rgb[:, ::-1],
    "upside down": lambda rgb: rgb[::-1],
    "lying": lambda rgb: np.rot90(rgb),
    "lying and mirrored": lambda rgb: np.rot90(rgb, 3)[:, ::-1],
}


@pytest.mark.parametrize("seed", range(5))
def test_the_hash_is_the_one_defined(seed):
    rgb = picture(seed, 77, 130)
    words = difference_hashes(rgb)[0]
    assert "".join(f"{int(word):016x}" for word in words) == plain_hash(rgb)


def test_the_same_bytes_are_refused_by_name():
    for number, rgb in enumerate(LISTED):
        assert SETS.refuse(look_at(rgb)) == f"it is the test picture made/{number}"


@pytest.mark.parametrize("change", CHANGES)
def test_what_looks_the_same_is_refused_by_name(change):
    for number, rgb in enumerate(LISTED):
        changed = np.ascontiguousarray(CHANGES[change](rgb))
        assert SETS.refuse(look_at(changed)) == f"it looks like the test picture made/{number}"


def test_other_pictures_are_taken():
    assert not [seed for seed in range(100, 140) if SETS.refuse(look_at(picture(seed, 240, 320)))]


def test_nothing_of_the_listed_sets_is_near_by_chance():
    # a grey gradient and noise are as near as anything to any hash
    rng = np.random.default_rng(0)
    known = TestSets()
    for seed in range(20):
        assert known.distances(look_at(picture(seed, 120, 160))).min() > NEAR
        noise = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
        assert known.distances(look_at(noise)).min() > NEAR


def test_the_same_bytes_are_refused_whatever_their_hash():
    """The exact hash is a guard of its own: an entry whose other hash is wrong still holds."""
    rgb = LISTED[0]
    right = plain_hash(rgb)
    wrong = f"{int(right, 16) ^ int('5a' * 16, 16):032x}"
    sets = TestSets(listing(rgb).replace(right, wrong))
    assert sets.distances(look_at(rgb)).min() > NEAR
    assert sets.refuse(look_at(rgb)) == "it is the test picture made/0"
    changed = rgb.copy()
    changed[0, 0, 0] ^= 1
    assert sets.refuse(look_at(changed)) is None
    assert sets.refuse(look_at(np.ascontiguousarray(rgb.reshape(320, 240, 3)))) is None


def test_the_packed_list_is_that_of_the_field():
    table = files("moce_cli.training").joinpath("testsets.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(io.StringIO(table)))
    sets = Counter(row["set"] for row in rows)
    assert {"Kodak24", "McMaster", "Urban100", "Rain100L", "SOTS", "LOL-v1"} <= set(sets)
    assert sets["CBSD68"] == 68
    assert TestSets().names == [f"{row['set']}/{row['name']}" for row in rows]
    assert len(rows) == 238


@pytest.mark.skipif(not AT_HAND.is_file(), reason=f"{AT_HAND} is not at hand")
def test_every_test_picture_at_hand_is_packed():
    packed = files("moce_cli.training").joinpath("testsets.csv").read_bytes()
    assert packed == AT_HAND.read_bytes()
