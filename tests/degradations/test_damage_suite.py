"""The rows of the suite, and pictures as files hold them."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from degradation_samples import distance, run, scene, step

from moce_cli.degradations import (
    KINDS,
    SUITE,
    Step,
    colourless,
    degrade,
    degrade_picture,
    suite_plan,
)
from moce_cli.errors import UsageError
from moce_cli.pictures import Picture

ASKED_FOR = (
    "undamaged",
    "noise 15",
    "noise 25",
    "noise 50",
    "sensor 1600",
    "sensor 6400",
    "jpeg 20",
    "jpeg 40",
    "webp 30",
    "blur 1.5",
    "defocus 2.5",
    "shake 12",
    "haze 0.6",
    "rain 0.6",
    "low 3",
    "snow 0.5",
    "low 3+sensor 3200+jpeg 70",
    "haze 0.5+rain 0.5",
    "haze 0.4+snow 0.4",
    "blur 1+noise 15+jpeg 60",
    "rain 0.5+low 2+noise 10",
)


def test_the_rows_are_there():
    assert set(ASKED_FOR) <= set(SUITE)
    assert sum("+" in name for name in SUITE) >= 5
    assert suite_plan("undamaged", 3) == ()


@pytest.mark.parametrize("name", ASKED_FOR)
def test_a_row_is_the_same_each_time_and_another_for_each_picture(name):
    plans = [[s.to_dict() for s in suite_plan(name, seed)] for seed in (0, 0, 1)]
    assert plans[0] == plans[1]
    told = "+".join(f"{s.kind} {s.strength:g}" for s in suite_plan(name, 0))
    assert told == ("" if name == "undamaged" else name)
    clean = scene(1)
    made = [
        degrade(clean, [suite_plan(name, 0)], torch.Generator().manual_seed(0)) for _ in range(2)
    ]
    assert torch.equal(*made)
    assert (distance(made[0], clean) > 0) == (name != "undamaged")


def test_pictures_draw_different_damage():
    haze = [s.to_dict() for seed in range(2) for s in suite_plan("haze 0.6", seed)]
    assert haze[0] != haze[1]


# of the second picture's plan the start of its SHA-256, and how far it leads from clean in levels
PINNED = {
    "undamaged": ("4f53cda18c2baa0c", 0.0),
    "noise 15": ("0433baa48b014df8", 15.04),
    "noise 25": ("1befcc26aca3020f", 24.88),
    "noise 50": ("abc53a5b8e59a896", 47.42),
    "sensor 1600": ("89c658bd89826f9b", 5.32),
    "sensor 6400": ("5149f124ec533813", 11.33),
    "jpeg 20": ("b968b2e598231128", 12.16),
    "jpeg 40": ("ef39d2f96081e6b6", 10.76),
    "webp 30": ("afddbfdb54f9eb42", 10.97),
    "blur 1.5": ("919fc61e618c411e", 10.58),
    "defocus 2.5": ("9745019f77efbb7c", 10.66),
    "shake 12": ("3582145e93a5d1e0", 14.19),
    "haze 0.6": ("ff60db42376655df", 81.66),
    "rain 0.6": ("a01d661356115c30", 37.55),
    "snow 0.5": ("67fb2b851fc47997", 27.28),
    "low 3": ("3786d5063154b339", 80.39),
    "low 3+sensor 3200+jpeg 70": ("e9a4350836d0868a", 80.97),
    "haze 0.5+rain 0.5": ("cb319059e0c99b31", 66.75),
    "haze 0.4+snow 0.4": ("67f726dd51268f04", 33.89),
    "blur 1+noise 15+jpeg 60": ("0e8df4a2e827e265", 13.26),
    "rain 0.5+low 2+noise 10": ("7429afab4c3251d8", 57.63),
}


@pytest.mark.parametrize("name", SUITE)
def test_what_a_row_draws_does_not_change(name):
    """Tables in model cards rest on these numbers."""
    plan = suite_plan(name, 1)
    told = json.dumps([step.to_dict() for step in plan])
    clean = scene(1, 96, 80)
    made = degrade(clean, [plan], torch.Generator().manual_seed(1))
    # codecs and float rounding may differ a little from one machine to the next
    assert distance(made, clean) * 255 == pytest.approx(PINNED[name][1], abs=0.1)
    assert hashlib.sha256(told.encode()).hexdigest().startswith(PINNED[name][0])


def test_the_kinds_and_their_order_do_not_change():
    assert list(KINDS) == [
        "haze", "rain", "snow", "blur", "defocus", "shake", "kernel", "low", "sensor", "noise",
        "jpeg", "webp",
    ]  # fmt: skip


def test_an_unknown_row_is_refused():
    with pytest.raises(UsageError, match="'noise 26'"):
        suite_plan("noise 26", 0)


def pixels(height=20, width=30, channels=3, dtype=np.uint8):
    top = np.iinfo(dtype).max
    rng = np.random.default_rng(0)
    return rng.integers(top // 4, top // 2, (height, width, channels)).astype(dtype)


def test_a_picture_as_a_whole_is_the_batch_of_one():
    clean = Picture(pixels())
    plan = (step("haze"), step("noise", 20.0))
    made = degrade_picture(clean, plan, torch.Generator().manual_seed(0))
    batch = torch.from_numpy(clean.pixels).permute(2, 0, 1)[None] / 255
    wanted = run(batch, *plan)[0].permute(1, 2, 0) * 255
    assert np.array_equal(made.pixels, wanted.round().numpy().astype(np.uint8))


def test_sixteen_bits_stay_sixteen():
    clean = Picture(pixels(dtype=np.uint16))
    same = degrade_picture(clean, (), torch.Generator())
    assert np.array_equal(same.pixels, clean.pixels)
    dark = degrade_picture(clean, (step("low", 1.0),), torch.Generator())
    assert dark.depth == 16
    assert len(np.unique(dark.pixels % 257)) > 100, "not 8 bits spread out"


def test_grey_stays_grey_and_keeps_its_noise():
    clean = Picture(np.full((128, 128, 1), 128, np.uint8))
    made = degrade_picture(clean, (step("noise", 20.0),), torch.Generator().manual_seed(0))
    assert made.channels == 1
    assert made.pixels.std() == pytest.approx(20, rel=0.05)


def test_a_grey_picture_gets_no_colour_cast():
    """Each seed draws another cast; what is grey gets darker by the stops and the gamma alone."""
    values = np.linspace(20, 235, 64 * 64).reshape(64, 64, 1).astype(np.uint8)
    for seed in range(4):
        drawn = step("low", 3.0, seed)
        plain = Step("low", {**drawn.parameters, "cast": [1.0, 1.0, 1.0]})
        made, wanted = (
            degrade_picture(Picture(values), (one,), torch.Generator()).pixels
            for one in (drawn, plain)
        )
        assert drawn.numbers("cast") != [1.0, 1.0, 1.0]
        assert np.array_equal(made, wanted)
        assert colourless((drawn, step("noise"))) == (plain, step("noise"))
        colour = Picture(np.repeat(values, 3, axis=2))
        tinted = degrade_picture(colour, (drawn,), torch.Generator()).pixels
        assert not np.array_equal(tinted[..., 0], tinted[..., 2])


def test_alpha_stays():
    alpha = np.arange(600, dtype=np.uint8).reshape(20, 30)
    made = degrade_picture(Picture(pixels(), alpha), (step("rain"),), torch.Generator())
    assert np.array_equal(made.alpha, alpha)


def test_the_benchmark_runs():
    script = Path(__file__).parents[2] / "examples" / "measure_degradations.py"
    words = ["--batch", "2", "--crop", "16", "--seconds", "0.01"]
    seen = subprocess.run(
        [sys.executable, str(script), *words], capture_output=True, text=True, check=True
    )
    rates = dict(line.rsplit(maxsplit=1) for line in seen.stdout.splitlines()[1:])
    names = {name.strip() for name in rates}
    assert names == {*KINDS, "training mix", "without codecs"} - {"kernel"}
    assert all(float(rate) > 0 for rate in rates.values())
