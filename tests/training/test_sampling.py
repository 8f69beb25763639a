"""Batches follow from the step alone, hold what the recipe says, and lose nothing on the way."""

import itertools

import numpy as np
import pytest
import torch
from test_testsets import listing
from training_pictures import RECIPE, folder_of, picture, save

from moce_cli.degradations import KINDS, Step
from moce_cli.errors import InputError
from moce_cli.training import crops, looks, sampling
from moce_cli.training.checks import DatasetError, RecipeError
from moce_cli.training.crops import truncated_noise
from moce_cli.training.rate import measure_rate
from moce_cli.training.recipe import load_recipe
from moce_cli.training.sampling import Sampler, finish, loader
from moce_cli.training.testsets import TestSets

CPU = torch.device("cpu")
NOISE = "[[damage]]\nshare = 1\nkinds = { noise = 25 }\n\n"
NOTHING = "[[damage]]\nshare = 1\nkinds = {}\n\n"
DAMAGE = RECIPE[RECIPE.index("[[damage]]") : RECIPE.index("[[stage]]")]


@pytest.fixture
def make(tmp_path):
    folder_of(tmp_path / "clean", 5)

    def make(text=RECIPE, **options):
        (tmp_path / "recipe.toml").write_text(text, encoding="utf-8")
        return Sampler(load_recipe(tmp_path / "recipe.toml"), **options)

    return make


def same(a, b):
    tensors = ("clean", "degraded", "pending", "wide", "labels")
    return (
        all(torch.equal(getattr(a, name), getattr(b, name)) for name in tensors)
        and a.plans == b.plans
        and a.seed == b.seed
    )


def test_a_batch_follows_from_the_step_alone(make):
    one, other = make(), make()
    forwards = [one.batch(step) for step in range(8)]
    backwards = [other.batch(step) for step in reversed(range(8))][::-1]
    assert all(same(a, b) for a, b in zip(forwards, backwards, strict=True))
    assert not any(torch.equal(a.clean, b.clean) for a, b in itertools.pairwise(forwards))


def test_another_seed_gives_other_batches(make):
    a, b = make().batch(0), make(RECIPE.replace("seed = 3", "seed = 4")).batch(0)
    assert not torch.equal(a.clean, b.clean)
    assert a.seed != b.seed


def test_the_global_random_states_are_left_alone(make):
    sampler = make()
    torch.manual_seed(5)
    np.random.seed(5)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    for batch in loader(sampler, 0, 3, 1):
        finish(batch, CPU)
    finish(sampler.batch(0), CPU)
    assert torch.equal(before[0], torch.get_rng_state())
    assert (before[1] == np.random.get_state()[1]).all()


def test_several_processes_share_out_what_one_would_get(make):
    whole = make().batch(2)
    parts = [make(rank=rank, world_size=4).batch(2) for rank in range(4)]
    assert torch.equal(torch.cat([part.clean for part in parts]), whole.clean)
    assert tuple(plan for part in parts for plan in part.plans) == whole.plans
    assert torch.equal(torch.cat([part.labels for part in parts]), whole.labels)
    assert len({part.seed for part in parts}) == 4
    crops_seen = {row.numpy().tobytes() for row in whole.clean}
    assert len(crops_seen) == len(whole.clean)


def test_a_batch_that_cannot_be_shared_out_is_refused(make):
    with pytest.raises(RecipeError, match="8 crops can't be shared out evenly among 3 processes"):
        make(world_size=3)


def test_stages_follow_the_budget_or_the_loop(make):
    sampler = make()
    assert [sampler.batch(step).clean.shape for step in (0, 4, 5, 9)] == [
        (8, 3, 32, 32),
        (8, 3, 32, 32),
        (4, 3, 48, 48),
        (4, 3, 48, 48),
    ]
    sampler.set_stage(1)
    assert sampler.batch(0).clean.shape == (4, 3, 48, 48)
    with pytest.raises(RecipeError, match="there is no stage 2, only 2"):
        sampler.set_stage(2)


@pytest.mark.parametrize("on_device", [False, True])
@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_nothing(make, workers, on_device):
    sampler = make(on_device=on_device)
    found = list(loader(sampler, 3, 9, workers))
    assert len(found) == 6
    assert all(same(a, sampler.batch(step)) for step, a in enumerate(found, 3))


def test_a_loader_may_run_on_and_on(make):
    batches = loader(make(), 7, None, 1)
    assert [len(next(batches).clean) for _ in range(12)] == [4] * 12
    assert list(loader(make(), 7, 7, 1)) == []


def test_an_error_in_a_worker_is_told_as_it_is(make, tmp_path):
    sampler = make(RECIPE.replace('["clean"]', '["clean"]\nmemory_gb = 0'))
    for path in (tmp_path / "clean").iterdir():
        path.write_text("gone bad")
    with pytest.raises(InputError, match=r"clean/\d.png: this is no picture") as caught:
        next(loader(sampler, 0, None, 1))
    assert "Traceback" not in caught.value.message


def test_mixtures_are_in_proportion_in_every_batch(make):
    sampler = make()
    for step in range(5):
        kinds = [tuple(s.kind for s in plan) for plan in sampler.batch(step).plans]
        assert sorted(kinds) == [()] * 2 + [("low", "jpeg")] * 2 + [("noise",)] * 4


def test_a_kind_comes_as_often_as_its_probability(make):
    mixed = (
        "[[damage]]\nshare = 1\nkinds = { noise = { range = 9, probability = 0.3 }, low = 1 }\n\n"
    )
    sampler = make(RECIPE.replace(DAMAGE, mixed))
    plans = [plan for step in range(5) for plan in sampler.batch(step).plans]
    plans += [plan for step in range(5, 60) for plan in sampler.batch(step).plans]
    noisy = np.mean([any(step.kind == "noise" for step in plan) for plan in plans])
    assert len(plans) == 260
    assert abs(noisy - 0.3) < 4 * (0.3 * 0.7 / 260) ** 0.5
    assert all(any(step.kind == "low" for step in plan) for plan in plans)


def test_undamaged_rows_are_the_clean_ones(make):
    sampler = make()
    for step in range(4):
        batch = sampler.batch(step)
        degraded, clean = finish(batch, CPU)
        for row, plan in enumerate(batch.plans):
            assert torch.equal(degraded[row], clean[row]) == (plan == ())


def test_finishing_gives_floats_of_the_bytes(make):
    batch = make().batch(0)
    degraded, clean = finish(batch, CPU)
    assert degraded.dtype == clean.dtype == torch.float32
    assert torch.equal((clean * 255).round().byte(), batch.clean)
    assert torch.equal((degraded * 255).round().byte(), batch.degraded)


def test_what_is_arithmetic_may_wait_for_the_device(make):
    here, later = make(), make(on_device=True)
    batch = later.batch(0)
    expected = [plan != () and plan[-1].kind != "jpeg" for plan in batch.plans]
    assert batch.pending.tolist() == expected
    assert len(batch.wide) == sum(expected) == 4
    assert batch.wide.shape[-1] == 32 + 16
    assert torch.equal(batch.wide[..., 8:-8, 8:-8], batch.clean[batch.pending])
    assert torch.equal(batch.degraded[batch.pending], batch.clean[batch.pending])
    degraded, clean = finish(batch, CPU)
    again, _ = finish(batch, CPU)
    assert torch.equal(degraded, again)
    other, _ = finish(here.batch(0), CPU)
    for row, plan in enumerate(batch.plans):
        if plan and plan[0].kind == "noise":  # another field of the same strength
            sigma = plan[0].strength / 255
            for noisy in (degraded[row], other[row]):
                assert float((noisy - clean[row]).std()) == pytest.approx(sigma, rel=0.15)
        elif plan:  # a codec's work is done already
            assert torch.equal((degraded[row] * 255).round().byte(), batch.degraded[row])
            assert not torch.equal(degraded[row], clean[row])


def test_a_blur_sees_what_surrounds_the_crop(tmp_path):
    """A ramp stays a ramp under a blur, but not where its border is made up."""
    ramp = np.broadcast_to(np.arange(96, dtype=np.uint8)[:, None, None] * 2 + 20, (96, 96, 3))
    save(tmp_path / "clean/ramp.png", ramp)
    blurred = RECIPE.replace(DAMAGE, "[[damage]]\nshare = 1\nkinds = { blur = 1.5 }\n\n")
    (tmp_path / "recipe.toml").write_text(blurred)
    for on_device in (False, True):
        sampler = Sampler(load_recipe(tmp_path / "recipe.toml"), on_device=on_device)
        degraded, clean = finish(sampler.batch(0), CPU)
        # in linear light a ramp bends a little, evenly
        assert float((degraded - clean).abs().max()) < 2.1 / 255


def test_a_codec_s_grid_falls_anywhere(make, monkeypatch):
    seen = []
    original = crops.Crop

    def crop(*args, **more):
        made = original(*args, **more)
        seen.append((made.top % 8, made.left % 8, bool(made.plan)))
        return made

    monkeypatch.setattr(crops, "Crop", crop)
    jpeg = "[[damage]]\nshare = 0.9\nkinds = { jpeg = 50 }\n[[damage]]\nshare = 0.1\nkinds = {}\n\n"
    sampler = make(RECIPE.replace(DAMAGE, jpeg))
    sampler.set_stage(0)
    for step in range(60):
        sampler.batch(step)
    assert len({place[:2] for place in seen if place[2]}) == 64
    assert {place[:2] for place in seen if not place[2]} == {(0, 0)}


def test_each_picture_comes_once_in_an_epoch_and_lies_in_eight_ways(tmp_path):
    """Pictures told apart by their blue, turns by red and green ramps."""
    for number in range(16):
        ramp = np.zeros((64, 64, 3), np.uint8)
        ramp[..., 0] = np.arange(64)[:, None]
        ramp[..., 1] = np.arange(64)[None]
        ramp[..., 2] = number
        save(tmp_path / f"clean/{number}.png", ramp)
    (tmp_path / "recipe.toml").write_text(RECIPE.replace(DAMAGE, NOTHING))
    sampler = Sampler(load_recipe(tmp_path / "recipe.toml"))
    sampler.set_stage(0)
    turns, orders = [], []
    for epoch in range(20):
        rows = torch.cat([sampler.batch(2 * epoch).clean, sampler.batch(2 * epoch + 1).clean]).int()
        order = rows[:, 2, 0, 0].tolist()
        assert sorted(order) == list(range(16))
        orders.append(tuple(order))
        down, right = rows[..., -1, 0] - rows[..., 0, 0], rows[..., 0, -1] - rows[..., 0, 0]
        turns += [
            (*d[:2].sign().tolist(), *r[:2].sign().tolist())
            for d, r in zip(down, right, strict=True)
        ]
    assert len(set(orders)) == 20
    counts = {turn: turns.count(turn) for turn in turns}
    assert len(counts) == 8
    assert (1, 0, 0, 1) in counts  # upright and unflipped
    assert min(counts.values()) > 15


@pytest.mark.parametrize("stage", [0, 1])
@pytest.mark.parametrize("count", [5, 16])
def test_while_a_stage_lasts_each_picture_comes_as_often_as_any(tmp_path, stage, count):
    for number in range(count):
        save(tmp_path / f"clean/{number}.png", np.full((64, 64, 3), number, np.uint8))
    (tmp_path / "recipe.toml").write_text(RECIPE.replace(DAMAGE, NOTHING))
    sampler = Sampler(load_recipe(tmp_path / "recipe.toml"))
    sampler.set_stage(stage)
    batch = (8, 4)[stage]
    steps = 3 * count
    drawn = torch.cat([sampler.batch(step).clean[:, 0, 0, 0] for step in range(steps)]).tolist()
    epochs = [drawn[at : at + count] for at in range(0, steps * batch, count)]
    assert len(epochs) == 3 * batch
    assert all(sorted(epoch) == list(range(count)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1
    # from wherever the stage begins, none comes twice more or less than another
    for first in range(7):
        some = drawn[first * batch :][: 5 * batch]
        counts = [some.count(number) for number in range(count)]
        assert max(counts) - min(counts) <= 2


def test_two_stages_go_through_the_pictures_in_orders_of_their_own(make):
    text = RECIPE.replace("crop = 48\nbatch = 4", "crop = 32\nbatch = 8")
    sampler = make(text.replace(DAMAGE, NOTHING))
    assert not torch.equal(sampler.batch_in(0, 0).clean, sampler.batch_in(0, 1).clean)


def test_labels_are_severities(make):
    batch = make().batch(0)
    for plan, row in zip(batch.plans, batch.labels, strict=True):
        wanted = dict.fromkeys(KINDS, 0.0)
        for step in plan:
            assert isinstance(step, Step)
            wanted[step.kind] = KINDS[step.kind].severity(step.strength)
        assert row.tolist() == pytest.approx(list(wanted.values()))
        assert (row > 0).sum() == len(plan)
        assert 0 <= row.min() <= row.max() <= 1


def test_the_field_s_noise_is_cut_down_to_whole_levels():
    clean = np.full((256, 256, 3), 128, np.uint8)
    rng = np.random.default_rng(0)
    noisy = truncated_noise(clean, 25, rng)
    drawn = np.random.default_rng(0).standard_normal(clean.shape, dtype=np.float32)
    np.testing.assert_array_equal(noisy, np.clip(clean + drawn * 25, 0, 255).astype(np.uint8))
    assert noisy.mean() == pytest.approx(127.5, abs=0.2)
    assert noisy.std() == pytest.approx(25, rel=0.01)


def test_test_pictures_are_refused_and_named(make, tmp_path, monkeypatch):
    listed = [picture(2), picture(77, 200, 240)]
    save(tmp_path / "clean/near.jpg", listed[1][2:-2, 2:-2], quality=70)
    monkeypatch.setattr(sampling, "TestSets", lambda: TestSets(listing(*listed)))
    sampler = make()
    assert {(one.path.name, one.why) for one in sampler.left_out} == {
        ("2.png", "it is the test picture made/0"),
        ("near.jpg", "it looks like the test picture made/1"),
    }
    assert len(sampler.source) == 4


VALIDATION = '\n[validation]\nfolders = ["held"]\nrows = ["noise 25"]\nevery_steps = 5\n'


def test_validation_pictures_are_not_trained_on(make, tmp_path):
    held = save(tmp_path / "held/x.png", picture(1))
    larger = picture(77, 200, 240)
    other = save(tmp_path / "held/deep/y.png", larger)
    (tmp_path / "held/broken.png").write_text("no picture")
    save(tmp_path / "clean/near.jpg", larger[2:-2, 2:-2], quality=70)
    save(tmp_path / "clean/turned.png", np.rot90(picture(1)))
    assert len(make().source) == 7
    sampler = make(RECIPE + VALIDATION)
    assert {(one.path.name, one.why) for one in sampler.left_out} == {
        ("1.png", f"it is a validation picture, {held}"),
        ("turned.png", f"it looks like a validation picture, {held}"),
        ("near.jpg", f"it looks like a validation picture, {other}"),
    }
    assert len(sampler.source) == 4


def test_no_picture_is_hashed_twice_for_the_sake_of_validation(make, tmp_path, monkeypatch):
    folder_of(tmp_path / "held", 3)
    hashed = []
    whole = looks.difference_hashes
    monkeypatch.setattr(
        looks, "difference_hashes", lambda rgb: hashed.append(rgb.shape) or whole(rgb)
    )
    make(RECIPE + VALIDATION)
    assert len(hashed) == 5 + 3


def test_a_recipe_that_measures_what_it_trains_on_is_refused(make, tmp_path):
    folder_of(tmp_path / "held", 5)
    with pytest.raises(DatasetError, match=r"5 were left out, .* it is a validation picture"):
        make(RECIPE + VALIDATION)
    with pytest.raises(DatasetError, match="none is not there") as caught:
        make(RECIPE + VALIDATION.replace("held", "none"))
    assert "--validation" in caught.value.hint


def test_half_of_the_noise_is_truncated(make):
    sampler = make(RECIPE.replace(DAMAGE, NOISE))
    sampler.set_stage(0)
    plans = [plan for step in range(60) for plan in sampler.batch(step).plans]
    cut = [plan[0].parameters.get("truncate", False) for plan in plans]
    assert abs(np.mean(cut) - 0.5) < 4 * 0.5 / len(cut) ** 0.5


def test_a_sensors_noise_lies_after_gamma_as_often_as_asked(make):
    def drawn(kinds):
        damage = f"[[damage]]\nshare = 1\nkinds = {{ {kinds} }}\n\n"
        sampler = make(RECIPE.replace(DAMAGE, damage))
        sampler.set_stage(0)
        plans = [plan for step in range(40) for plan in sampler.batch(step).plans]
        return [step for plan in plans for step in plan if step.kind == "sensor"]

    steps = drawn("sensor = { range = 1600, after_gamma = 0.3 }, noise = 5")
    after = [step.parameters.get("encoded", False) for step in steps]
    assert abs(np.mean(after) - 0.3) < 4 * 0.5 / len(after) ** 0.5
    never = drawn("sensor = { range = 1600, after_gamma = 0 }")
    assert [s.to_dict() for s in never] == [s.to_dict() for s in drawn("sensor = 1600")]
    assert not any("encoded" in step.parameters for step in never)


def test_a_folder_of_which_nothing_is_left_is_refused(make, tmp_path):
    with pytest.raises(DatasetError, match=r"clean leaves no picture to train on: 5 were left out"):
        make(RECIPE.replace("crop = 48", "crop = 128"))
    with pytest.raises(DatasetError, match="none is not there"):
        make(RECIPE.replace('["clean"]', '["none"]'))


def test_measured_kernels_are_read_from_their_folder(make, tmp_path):
    (tmp_path / "kernels").mkdir()
    np.save(tmp_path / "kernels/line.npy", np.full((1, 9), 1 / 9))
    text = RECIPE.replace('["clean"]', '["clean"]\nkernels = "kernels"')
    text = text.replace(DAMAGE, "[[damage]]\nshare = 1\nkinds = { kernel = 1 }\n\n")
    batch = make(text).batch(0)
    assert {plan[0].kind for plan in batch.plans} == {"kernel"}
    assert not torch.equal(batch.clean, batch.degraded)


def test_a_rate_is_crops_a_second(make):
    sampler = make(RECIPE.replace(DAMAGE, NOISE))
    assert measure_rate(sampler, CPU, 0, 0.2) > 10


def test_measuring_a_rate_ends_when_it_is_asked_to(make):
    sampler = make(RECIPE.replace(DAMAGE, NOISE))
    asked = iter([False, True])
    assert measure_rate(sampler, CPU, 0, 600, stop=lambda: next(asked)) > 0
