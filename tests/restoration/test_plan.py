"""What is chosen before a picture is restored, and how much memory it may take."""

from dataclasses import replace

import pytest
import torch
from networks import SMALL, checkpoint, noise, restorer

from moce_cli import Restorer
from moce_cli.errors import DeviceError, UsageError
from moce_cli.restoration.plan import (
    Plan,
    at_once,
    make_plan,
    network_bytes,
    sample_size,
    workers_for,
)
from moce_cli.tiling import sample_tiles


@pytest.mark.parametrize("device", ["cpu", "cuda", "mps"])
def test_several_tiles_are_asked_on_every_device(device, monkeypatch):
    monkeypatch.setattr("moce_cli.restoration.plan.device_memory_bytes", lambda _: 2**36)
    options = {"tile": None, "overlap": None, "threads": 2, "precision": "fp32", "batch": None}
    plan = make_plan(SMALL, torch.device(device), height=4000, width=6000, **options)
    grid = plan.grid(4000, 6000)
    assert len(sample_tiles(grid, sample_size(plan.batch, plan.tile**2))) >= 2


@pytest.mark.parametrize("device", ["cpu", "cuda", "mps"])
def test_who_is_told_of_the_whole_picture_sees_more_of_it_at_once(device, monkeypatch):
    monkeypatch.setattr("moce_cli.restoration.plan.device_memory_bytes", lambda _: 2**36)
    told, given = replace(SMALL, scene=True), {"threads": 2, "precision": "fp32"}

    def side(config, height, width, routing="image"):
        chosen = dict.fromkeys(("tile", "overlap", "batch"))
        size = {"height": height, "width": width, "routing": routing}
        return make_plan(config, torch.device(device), **size, **chosen, **given).tile

    for height, width in ((1, 1), (300, 500), (4000, 6000)):
        assert side(told, height, width) >= 448
        assert side(told, height, width) >= side(SMALL, height, width)
    if device == "cpu":  # each tile is to choose: no one tile for the whole picture
        assert side(told, 1000, 1000, "tile") == side(SMALL, 1000, 1000) < 300


def test_the_memory_needed_grows_with_the_tile():
    peaks = [needed(1, side) for side in (256, 288, 320, 512, 1024)]
    assert peaks == sorted(peaks)


def needed(batch, side, workers=2):
    """Of a sample of tiles in float32."""
    waiting, running = at_once(batch, workers, side, side, 1000)
    return network_bytes(SMALL, side, side, "fp32", waiting=waiting, running=running)


def workers(threads, side, tiles=1000):
    plan = Plan(side, 16, 1, threads, "fp32")
    cpu = torch.device("cpu")
    return workers_for(SMALL, plan, cpu, height=side, width=side, tiles=tiles)


def test_several_tiles_at_once_leave_few_threads_idle(monkeypatch):
    monkeypatch.setattr("moce_cli.restoration.plan.device_memory_bytes", lambda _: 2**40)
    found = {threads: workers(threads, 64) for threads in range(1, 65)}
    assert all(n * (threads // n) >= 0.8 * threads for threads, n in found.items())
    assert [found[n] for n in (1, 2, 3, 4, 6, 7, 16, 64)] == [1, 2, 3, 4, 3, 3, 4, 4]
    assert workers(4, 64, tiles=1) == 1


def test_fewer_tiles_at_once_where_memory_is_small(monkeypatch):
    """A tile that was asked for is not refused for the sake of several at once."""
    for memory, expected in ((2**30, 4), (2**28, 2), (2**27, 1)):
        monkeypatch.setattr("moce_cli.restoration.plan.device_memory_bytes", lambda _, m=memory: m)
        assert workers(4, 256) == expected
        made = Restorer(checkpoint(), device="cpu", precision="fp32", tile=256, threads=4)
        assert made.plan_for(2000, 2000).tile == 256


def test_a_tile_that_cannot_fit_is_refused_before_it_runs(monkeypatch):
    monkeypatch.setattr("moce_cli.restoration.plan.device_memory_bytes", lambda _: 2**28)
    with pytest.raises(DeviceError, match=r"--tile 0 needs \d+ MiB"):
        restorer(tile=0).restore(noise(1000, 1000))
    assert restorer(tile=128).plan_for(1000, 1000).tile == 128


def test_the_plan_depends_on_memory_that_may_be_used(monkeypatch):
    device = torch.device("cpu")
    options = {
        "tile": None,
        "overlap": None,
        "batch": None,
        "threads": 2,
        "precision": "fp32",
    }
    seen = []
    for memory in (2**40, 2**27, 2**26):
        monkeypatch.setattr("moce_cli.restoration.plan.device_memory_bytes", lambda _, m=memory: m)
        plan = make_plan(SMALL, device, height=4000, width=6000, **options)
        assert needed(plan.batch, plan.tile, workers(2, plan.tile)) <= memory / 2
        seen.append(plan.tile)
    assert seen[0] > seen[2]
    monkeypatch.setattr("moce_cli.restoration.plan.device_memory_bytes", lambda _: 1000)
    with pytest.raises(DeviceError, match="the smallest tile needs"):
        make_plan(SMALL, device, height=4000, width=6000, **options)


@pytest.mark.parametrize("overlap", [0, 40, 96])
def test_a_tile_halved_for_memory_still_holds_the_overlap_that_was_asked_for(monkeypatch, overlap):
    given = {"tile": None, "batch": None, "threads": 1, "precision": "fp32"}
    refused = []
    for memory in (2**29, 2**28, 2**27, 2**26, 2**25):
        monkeypatch.setattr("moce_cli.restoration.plan.device_memory_bytes", lambda _, m=memory: m)
        try:
            plan = make_plan(
                SMALL, torch.device("cpu"), height=4000, width=6000, overlap=overlap, **given
            )
        except DeviceError as error:
            refused.append(error.message)
        else:
            assert plan.overlap == overlap <= plan.tile // 2
    assert len(refused) < 5
    assert all(("for --overlap 96" in message) == (overlap == 96) for message in refused)


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ({"routing": "4"}, UsageError, "'4' is no routing"),
        ({"routing": "all"}, UsageError, "'all' is no routing"),
        ({"tile": 50}, UsageError, "tile of 50 px"),
        ({"tile": 64, "overlap": 40}, UsageError, "overlap of 40 px"),
        ({"precision": "int8"}, UsageError, "'int8' is no precision"),
        ({"device": "tpu"}, UsageError, "'tpu' is no device"),
        ({"device": "cuda:99"}, DeviceError, "this machine has"),
    ],
)
def test_options_that_cannot_work_are_refused_at_once(options, error, sentence):
    with pytest.raises(error, match=sentence):
        restorer(**options)
