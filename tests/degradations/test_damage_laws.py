"""What holds for every kind of degradation."""

import json
import pickle

import numpy as np
import pytest
import torch
from degradation_samples import ALL, STRONGER, WEAKEST, distance, run, scene, step, write_kernels

from moce_cli.degradations import KINDS, Step, degrade, draw, mix, needs_codec
from moce_cli.errors import InputError, UsageError


@pytest.fixture(scope="module")
def kernels(tmp_path_factory):
    return write_kernels(tmp_path_factory.mktemp("kernels"))


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 2), (33, 20)])
def test_size_and_range_stay_at_every_strength(kind, size, kernels):
    clean = scene(3, *size)
    for strength in (KINDS[kind].limits[0], None, KINDS[kind].limits[1]):
        plans = [(step(kind, strength, seed, kernels=kernels),) for seed in range(3)]
        made = degrade(clean, plans, torch.Generator().manual_seed(1))
        assert (made.shape, made.dtype, made.device) == (clean.shape, torch.float32, clean.device)
        assert made.isfinite().all()
        assert 0 <= made.min() <= made.max() <= 1
        assert torch.equal((made * 255).round() / 255, made), "not rounded to 8 bits"


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_black_and_white_stay_finite(kind, value, kernels):
    clean = torch.full((2, 3, 16, 16), value)
    made = run(clean, step(kind, KINDS[kind].limits[1], kernels=kernels), quantise=False)
    assert made.isfinite().all()
    assert 0 <= made.min() <= made.max() <= 1


@pytest.mark.parametrize("kind", sorted(WEAKEST))
def test_the_weakest_leaves_the_picture(kind, kernels):
    clean = scene(2)
    for seed in range(4):
        assert torch.equal(run(clean, step(kind, WEAKEST[kind], seed, kernels=kernels)), clean)


@pytest.mark.parametrize("kind", ["sensor", "jpeg", "webp"])
def test_what_has_no_zero_is_faint_at_its_weakest(kind):
    clean = scene(2)
    weakest = KINDS[kind].limits[1 if KINDS[kind].descending else 0]
    assert distance(run(clean, step(kind, weakest)), clean) < 0.05


@pytest.mark.parametrize("kind", ALL)
def test_stronger_is_farther_from_clean(kind, kernels):
    clean = scene(4, 96, 96)
    found = []
    for strength in STRONGER[kind]:
        plans = [(step(kind, strength, seed, kernels=kernels),) for seed in range(4)]
        found.append(distance(degrade(clean, plans, torch.Generator().manual_seed(0)), clean))
    assert found[0] < found[1] < found[2]
    assert found[0] > 0
    severities = [KINDS[kind].severity(s) for s in STRONGER[kind]]
    assert severities == sorted(severities)
    assert 0 < severities[0] < severities[-1] <= 1


@pytest.mark.parametrize("kind", ALL)
def test_the_same_state_gives_the_same_picture(kind, kernels):
    clean = scene(9, 128, 128)  # more than go through at once
    plans = [(step(kind, seed=seed, kernels=kernels),) for seed in range(9)]
    again = [(step(kind, seed=seed, kernels=kernels),) for seed in range(9)]
    assert [p[0].to_dict() for p in plans] == [p[0].to_dict() for p in again]
    first = degrade(clean, plans, torch.Generator().manual_seed(5))
    assert torch.equal(first, degrade(clean, again, torch.Generator().manual_seed(5)))
    if kind in ("noise", "sensor", "rain", "snow"):
        assert not torch.equal(first, degrade(clean, plans, torch.Generator().manual_seed(6)))


@pytest.mark.parametrize("kind", ["haze", "rain", "snow", "low", "sensor", "noise"])
def test_a_sample_is_hit_as_hard_in_a_batch_as_alone(kind):
    clean = scene(1, 128, 128).expand(6, -1, -1, -1)
    weak, strong = STRONGER[kind][0], STRONGER[kind][2]
    plans = [(step(kind, strong if i % 2 else weak, 3, **_scene(kind)),) for i in range(6)]
    batch = degrade(clean, plans, torch.Generator().manual_seed(0))
    for i in range(6):
        alone = degrade(clean[i : i + 1], plans[i : i + 1], torch.Generator().manual_seed(i))
        together = distance(batch[i], clean[i])
        assert together == pytest.approx(distance(alone[0], clean[i]), rel=0.15)


def _scene(kind):
    return {"extent": 128.0} if kind in ("haze", "rain", "snow") else {}


@pytest.mark.parametrize("kind", ["blur", "defocus", "shake", "kernel", "jpeg", "webp"])
def test_what_draws_no_field_gives_the_same_in_a_batch_as_alone(kind, kernels):
    clean = scene(6)
    plans = [(step(kind, seed=i, kernels=kernels),) for i in range(6)]
    batch = degrade(clean, plans, torch.Generator(), quantise=False)
    for i in range(6):
        alone = degrade(clean[i : i + 1], plans[i : i + 1], torch.Generator(), quantise=False)
        assert torch.allclose(batch[i], alone[0], atol=2e-5)


def test_each_picture_gets_its_own_plan():
    clean = scene(3)
    plans = [(), (step("low", 3.0),), (step("noise", 20.0), step("jpeg", 50.0))]
    made = degrade(clean, plans, torch.Generator().manual_seed(0))
    assert torch.equal(made[0], clean[0])
    assert made[1].mean() < 0.6 * clean[1].mean()
    assert made[2].mean() == pytest.approx(clean[2].mean().item(), abs=0.02)
    assert not torch.equal(made[2], clean[2])


def test_the_input_is_left_alone():
    clean = scene(2)
    kept = clean.clone()
    for kind in ("haze", "noise", "blur", "jpeg"):
        run(clean, step(kind))
    assert torch.equal(clean, kept)


def test_physical_order_whatever_order_is_given():
    names = ["jpeg", "noise", "low", "blur", "rain", "haze"]
    plan = mix(names, np.random.default_rng(0))
    assert [s.kind for s in plan] == ["haze", "rain", "blur", "low", "noise", "jpeg"]
    strengths = {"jpeg": 50.0, "low": 2.0, "rain": (0.2, 0.4)}
    drawn = mix(strengths, np.random.default_rng(0))
    assert [s.kind for s in drawn] == ["rain", "low", "jpeg"]
    assert 0.2 <= drawn[0].strength <= 0.4
    backwards = dict(reversed(strengths.items()))
    assert [s.to_dict() for s in mix(backwards, np.random.default_rng(0))] == [
        s.to_dict() for s in drawn
    ]
    clean = scene(1)
    assert torch.equal(run(clean, *plan), run(clean, *reversed(plan)))
    assert [kind.stage for kind in KINDS.values()] == sorted(k.stage for k in KINDS.values())


def test_a_kind_may_come_twice():
    clean = scene(1)
    once = run(clean, step("jpeg", 30.0))
    twice = run(clean, step("jpeg", 30.0), step("jpeg", 10.0))
    assert torch.equal(twice, run(once, step("jpeg", 10.0)))


def test_only_files_need_a_codec():
    assert not needs_codec(())
    assert not needs_codec((step("haze"), step("noise")))
    assert needs_codec((step("noise"), step("webp")))
    assert [k for k in ALL if KINDS[k].codec] == ["jpeg", "webp"]


@pytest.mark.parametrize("kind", ALL)
def test_steps_are_plain_data(kind, kernels):
    for seed in range(5):
        drawn = step(kind, seed=seed, kernels=kernels)
        assert json.loads(json.dumps(drawn.to_dict())) == drawn.to_dict()
        assert pickle.loads(pickle.dumps(drawn)).to_dict() == drawn.to_dict()
        low, high = KINDS[kind].usual
        assert low <= drawn.strength <= high
        bottom, top = KINDS[kind].limits
        assert bottom <= low < high <= top


def test_ratios_are_drawn_evenly():
    rng = np.random.default_rng(0)
    found = [draw("sensor", rng, (100.0, 25600.0)).strength for _ in range(400)]
    assert np.median(found) == pytest.approx(1600, rel=0.25)
    qualities = {draw("jpeg", rng, (10.0, 13.0)).strength for _ in range(100)}
    assert qualities == {10.0, 11.0, 12.0, 13.0}


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda: step("fog"), ("'fog'", "no degradation")),
        (lambda: step("noise", 101.0), ("noise 101", "0 to 100")),
        (lambda: step("noise", float("nan")), ("noise nan",)),
        (lambda: step("jpeg", 0.0), ("jpeg 0", "1 to 100")),
        (lambda: step("haze", (0.1, 1.5)), ("haze 1.5",)),
        (lambda: step("haze", (0.5, 0.1)), ("from 0.5 to 0.1",)),
        (lambda: mix(["rain", "fog"], np.random.default_rng(0)), ("'fog'",)),
        (lambda: mix(["rain", "rain"], np.random.default_rng(0)), ("twice",)),
        (lambda: step("kernel"), ("folder",)),
        (lambda: Step("fog", {}), ("'fog'",)),
        (lambda: Step("noise", {"strength": float("inf")}), ("noise",)),
        (lambda: run(scene(), Step("haze", {"strength": 0.5})), ("haze", "needs")),
        (lambda: run(scene(), Step("noise", {"strength": "much"})), ("'much'", "no number")),
        (lambda: run(scene(), Step("noise", {"strength": 900.0})), ("noise 900", "0 to 100")),
        (lambda: run(scene(), Step("shake", {"strength": 3, "path": [[0, 0]]})), ("points",)),
        (lambda: run(torch.zeros(1, 1, 4, 4)), ("(1, 1, 4, 4)",)),
        (lambda: run(torch.zeros(1, 3, 4, 4, dtype=torch.uint8)), ("uint8",)),
        (lambda: degrade(scene(2), [()], torch.Generator()), ("1 plans", "2 pictures")),
        (lambda: run(torch.zeros(1, 3, 1, 16384), step("webp", 50.0)), ("16383", "16384")),
    ],
)
def test_what_makes_no_sense_is_one_sentence(act, words):
    with pytest.raises(UsageError) as caught:
        act()
    assert caught.value.exit_code == 2
    message = caught.value.message
    assert "\n" not in message
    assert not message.endswith(".")
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("flat.npy", np.ones(5)),
        ("none.npy", np.zeros((3, 3))),
        ("less.npy", -np.ones((3, 3))),
        ("nan.npy", np.full((3, 3), np.nan)),
        ("words.npy", np.array([["a"]])),
    ],
)
def test_a_file_that_is_no_kernel_is_refused(name, value, tmp_path):
    np.save(tmp_path / name, value)
    with pytest.raises(InputError, match=name):
        step("kernel", kernels=tmp_path / name)


def test_kernels_that_are_not_there(tmp_path):
    (tmp_path / "broken.npy").write_bytes(b"no array")
    with pytest.raises(InputError, match=r"broken\.npy"):
        step("kernel", kernels=tmp_path)
    with pytest.raises(InputError) as caught:
        step("kernel", kernels=tmp_path / "nowhere")
    assert caught.value.message == f"{tmp_path / 'nowhere'} is not there"
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty holds no kernels"):
        step("kernel", kernels=tmp_path / "empty")


@pytest.mark.gpu
@pytest.mark.parametrize("kind", ALL)
def test_a_gpu_agrees_and_repeats(kind, kernels):
    clean = scene(8, 128, 128)
    plans = [(step(kind, seed=i, kernels=kernels),) for i in range(8)]
    here = degrade(clean, plans, torch.Generator().manual_seed(0), quantise=False)
    there = degrade(
        clean.cuda(), plans, torch.Generator().manual_seed(0), quantise=False
    )  # drawn on the CPU, computed on the GPU
    assert there.is_cuda
    if kind in ("blur", "defocus", "shake", "kernel", "low", "jpeg", "webp"):
        assert torch.allclose(here, there.cpu(), atol=1e-3)
    twice = [degrade(clean.cuda(), plans, torch.Generator("cuda").manual_seed(0)) for _ in range(2)]
    assert torch.equal(*twice)
    assert distance(twice[0].cpu(), clean) == pytest.approx(distance(here, clean), rel=0.3)
