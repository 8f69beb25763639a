"""The rows of the suite, and pictures as files hold them."""

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


def test_what_a_row_draws_does_not_change():
    """Tables in model cards rest on these numbers."""
    (drawn,) = suite_plan("haze 0.6", 0)
    again = dict(drawn.parameters)
    assert again["extent"] == 512.0
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
