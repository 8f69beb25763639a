"""Smaller laws around a run: parts of files, grown weights, the schedule, the losses."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from golden import TINY, golden_network

from moce_cli.errors import InputError
from moce_cli.network import MoCEIR
from moce_cli.network.router import decide, force
from moce_cli.training import schedule
from moce_cli.training.growing import can_grow, grow
from moce_cli.training.losses import (
    balance_loss,
    complexities,
    cost_loss,
    relative_costs,
    restoration_loss,
)
from moce_cli.training.parts import join, split
from moce_cli.training.settings import Budget, Optimiser


@pytest.mark.parametrize("size", [0, 1, 999, 1000, 1001, 3000])
def test_parts_together_are_the_file(tmp_path, size):
    path = tmp_path / "w.safetensors"
    path.write_bytes(bytes(i % 251 for i in range(size)))
    parts = split(path, 1000)
    assert len(parts) == max(1, -(-size // 1000))
    assert all(part.stat().st_size <= 1000 for part in parts)
    for part in parts:
        join(part, tmp_path / "again")
        assert (tmp_path / "again").read_bytes() == path.read_bytes()


def test_a_second_split_leaves_no_part_of_the_first(tmp_path):
    path = tmp_path / "w"
    path.write_bytes(b"x" * 3000)
    split(path, 1000)
    path.write_bytes(b"y" * 1500)
    assert split(path, 1000) == sorted(tmp_path.glob("w.part-*"))


def test_a_missing_part_is_named(tmp_path):
    path = tmp_path / "w"
    path.write_bytes(b"x" * 3000)
    parts = split(path, 1000)
    parts[1].unlink()
    with pytest.raises(InputError, match=r"w\.part-2-of-3-\w+ is missing: 3 parts"):
        join(parts[0], tmp_path / "again")


def test_a_damaged_part_is_noticed(tmp_path):
    path = tmp_path / "w"
    path.write_bytes(b"x" * 3000)
    parts = split(path, 1000)
    parts[2].write_bytes(b"y" * 1000)
    with pytest.raises(InputError, match="the parts of w are damaged"):
        join(parts[0], tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_the_largest_expert_of_a_grown_network_answers_as_before():
    target = replace(TINY, expert_ffn=True, embed_bias=True)
    source = golden_network(TINY)
    assert can_grow(TINY, target)
    assert can_grow(replace(TINY, expert_ffn=True), target)
    assert not can_grow(target, target)
    assert not can_grow(target, TINY)
    assert not can_grow(replace(TINY, latent_blocks=3), target)
    assert not can_grow(replace(TINY, expert_ffn=True), replace(TINY, embed_bias=True))
    grown = MoCEIR(target).eval()
    grown.load_state_dict(grow(source.state_dict(), TINY, target))
    degraded = torch.rand(1, 3, 32, 40)
    with torch.inference_mode():
        routing = [force(3, 4)] * 3
        before = source.restore(degraded, routing).restored
        after = grown.restore(degraded, routing).restored
        torch.testing.assert_close(after, before)
        smaller = grown.restore(degraded, [force(0, 4)] * 3).restored
    assert not torch.equal(smaller, after)


def test_the_rate_warms_up_falls_and_never_ends_at_nothing():
    optimiser = Optimiser(learning_rate=1.0, warmup_steps=10, final_rate=0.1)
    timed = Budget(minutes=1)
    warm = [schedule.learning_rate(optimiser, timed, 0.0, step) for step in range(12)]
    assert warm == sorted(warm)
    assert warm[0] == pytest.approx(1 / 11)
    assert warm[10] == warm[11] == 1.0
    # of ten thousand warm-up steps, a short run has no more than its eighth
    long = Optimiser(learning_rate=1.0, warmup_steps=10_000, final_rate=0.1)
    assert schedule.learning_rate(long, timed, 1 / 16, 30) == pytest.approx(0.5)
    assert schedule.learning_rate(long, timed, 1 / 8, 60) == 1.0
    late = [schedule.learning_rate(optimiser, timed, spent / 100, 1000) for spent in range(101)]
    assert late == sorted(late, reverse=True)
    assert late[-1] == pytest.approx(0.1)


@pytest.mark.parametrize("steps", [9, 80, 1000])
@pytest.mark.parametrize("warmup", [0, 1, 10, 200])
def test_a_run_of_some_steps_rises_to_its_rate_once_and_falls_from_there(steps, warmup):
    optimiser = Optimiser(learning_rate=1.0, warmup_steps=warmup, final_rate=0.1)
    budget = Budget(steps=steps)
    rates = [
        schedule.learning_rate(optimiser, budget, schedule.progress(budget, step, 0.0), step)
        for step in range(steps + 1)
    ]
    top = min(warmup, steps / 8)
    assert rates[: math.ceil(top) + 1] == sorted(rates[: math.ceil(top) + 1])
    assert rates[math.ceil(top) :] == sorted(rates[math.ceil(top) :], reverse=True)
    assert max(rates) == 1.0 or (top % 1 and max(rates) > 0.8)
    assert rates[-1] == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("budget", "step", "seconds", "spent"),
    [
        (Budget(steps=100), 25, 1e9, 0.25),
        (Budget(minutes=2), 10**9, 30, 0.25),
        (Budget(steps=100, minutes=1), 90, 30, 0.9),
        (Budget(steps=100, minutes=1), 10, 30, 0.5),
        (Budget(steps=10), 11, 0, 1.0),
    ],
)
def test_the_resource_that_ends_first_decides(budget, step, seconds, spent):
    assert schedule.progress(budget, step, seconds) == spent


def routing(logits):
    return [decide(torch.tensor(logits), 1)]


def test_cost_is_one_where_all_take_the_largest_and_less_elsewhere():
    costs = relative_costs(TINY)[:1]
    costs = costs / costs.max()
    largest = cost_loss(routing([[0.0, 0, 0, 50]]), costs)
    cheapest = cost_loss(routing([[50.0, 0, 0, 0]]), costs)
    assert largest == pytest.approx(1.0)
    assert cheapest == pytest.approx(float(costs[0, 0]))
    assert cheapest < 0.5


def test_balance_is_least_where_work_is_spread_by_complexity():
    bias, even = (complexities(TINY, bias=b)[:1] for b in (True, False))
    flat = [[0.0, 0.0, 0.0, 0.0]] * 4
    one = [[9.0, 0.0, 0.0, 0.0]] * 4
    assert balance_loss(routing(flat), even) < balance_loss(routing(one), even)
    cheap = [[1.0, 0.5, 0.0, -0.5]] * 4
    dear = [[-0.5, 0.0, 0.5, 1.0]] * 4
    assert balance_loss(routing(cheap), bias) < balance_loss(routing(dear), bias)
    alone = decide(torch.zeros(3, 1), 1)
    assert balance_loss([alone], [torch.ones(1)]) == 0


def test_the_spectrum_counts_in_the_loss():
    clean = torch.zeros(1, 3, 16, 16)
    flat = torch.full_like(clean, 0.1)
    waves = 0.1 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0)).sign()
    assert restoration_loss(flat, clean, 0.0) == pytest.approx(0.1)
    assert restoration_loss(waves, clean, 0.0) == pytest.approx(0.1)
    assert restoration_loss(waves, clean, 0.1) > 1.5 * restoration_loss(flat, clean, 0.1)


def test_with_a_knee_a_picture_counts_half_where_its_damage_is_as_bad():
    clean = torch.zeros(1, 3, 16, 16)

    def loss(damage, knee):
        of = {"degraded": clean + damage, "knee": knee}
        return float(restoration_loss(clean + 0.3, clean, 0.0, **of))

    assert loss(0.0, 0.1) == pytest.approx(0.3)
    assert loss(0.1, 0.1) == pytest.approx(0.15)
    assert loss(0.9, 0.1) == pytest.approx(0.03)
    assert loss(0.9, 0.0) == pytest.approx(0.3)


def test_a_knee_is_of_each_picture_and_what_was_made_worse_counts_in_full():
    clean = torch.zeros(2, 3, 16, 16)
    degraded = torch.stack((clean[0], clean[1] + 0.5))
    restored = (clean + 0.4).requires_grad_()  # both as far off, the first by our doing
    restoration_loss(restored, clean, 0.0, degraded=degraded, knee=0.1).backward()
    harmed, helped = restored.grad.abs().mean(dim=(1, 2, 3))
    assert harmed / helped == pytest.approx(6, rel=1e-3)
    alone = [
        restoration_loss(
            restored[i : i + 1], clean[:1], 0.1, degraded=degraded[i : i + 1], knee=0.1
        )
        for i in range(2)
    ]
    both = restoration_loss(restored, clean, 0.1, degraded=degraded, knee=0.1)
    assert both.item() == pytest.approx(np.mean([one.item() for one in alone]))
