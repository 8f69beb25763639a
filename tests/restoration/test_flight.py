"""Tiles on their way: who computes them, how many at once, in which order."""

import threading

import numpy as np
import pytest
import torch
from networks import noise, restorer

from moce_cli.restoration.crew import Crew
from moce_cli.restoration.engine import Engine
from moce_cli.restoration.flight import Flight, NotFiniteError
from moce_cli.restoration.selfcheck import TOLERANCE, golden_error


def test_all_tiles_are_computed_by_the_crew():
    made, names = restorer(tile=64, overlap=16), set()
    network = made._passage.engine("fp32").network
    network.embed.register_forward_hook(
        lambda *_: names.add(threading.current_thread().name.split("_")[0])
    )
    made.restore(noise(200, 100))
    assert names == {"moce-tile"}, "also those that decide which experts run"


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_cuda_agrees_with_the_cpu(precision):
    assert golden_error(torch.device("cuda"), precision) < TOLERANCE[precision]
    picture = noise(200, 300)
    here = restorer(tile=64, overlap=16, routing="1").restore(picture).picture
    made = restorer(tile=64, overlap=16, routing="1", device="cuda", precision=precision)
    there = made.restore(picture).picture
    limit = 1 if precision == "fp32" else 12
    assert np.abs(here.astype(int) - there.astype(int)).max() <= limit


@pytest.mark.parametrize("ahead", [0, 1, 2])
def test_so_many_are_started_before_the_first_is_waited_for(ahead):
    log = []
    with Crew(1, 1, ahead) as crew:
        landed = crew.stream(
            lambda item: log.append(f"start {item}") or item,
            lambda started: log.append(f"land {started}") or started * 10,
            range(5),
        )
        assert list(landed) == [0, 10, 20, 30, 40], "in order"
    most = running = 0
    for line in log:
        running += 1 if line.startswith("start") else -1
        most = max(most, running)
    assert most == ahead + 1
    assert sorted(log) == sorted(f"{what} {i}" for what in ("start", "land") for i in range(5))


def test_flights_ahead_make_the_same_picture(monkeypatch):
    """What lands later is put where it belongs; routing, costs and progress are the same."""
    picture, made = noise(200, 150), []
    for ahead in (0, 2):
        monkeypatch.setattr(Engine, "crew", lambda *_, ahead=ahead: Crew(1, 1, ahead))
        for routing in ("image", "tile", "2"):
            calls = []
            result = restorer(tile=64, overlap=16, routing=routing).restore(
                picture, progress=lambda *done, calls=calls: calls.append(done)
            )
            report = result.report.to_dict()
            del report["seconds"]
            made.append((result.picture.tobytes(), report, calls))
    assert made[:3] == made[3:]


def test_a_flight_lands_with_numbers_only():
    piece = torch.zeros(2, 4, 4, 3)
    landed, routing = Flight([piece], [torch.tensor(True)], []).land()
    assert [tile.shape for tile in landed] == [(4, 4, 3)] * 2
    assert routing == []
    with pytest.raises(NotFiniteError):
        Flight([piece, piece], [torch.tensor(True), torch.tensor(False)], []).land()


@pytest.mark.gpu
def test_cuda_in_flight_is_cuda_one_at_a_time(monkeypatch):
    """Pinned memory is not used again before its copy ended, nor read before it arrived."""
    pictures = [noise(700, 900, seed=seed) for seed in range(4)]
    made = []
    for ahead in (0, 2):
        monkeypatch.setattr(Engine, "crew", lambda *_, ahead=ahead: Crew(1, 2, ahead))
        there = restorer(tile=128, overlap=16, batch=2, device="cuda")
        made.append([there.restore(picture).picture for picture in pictures])
    for one, flying in zip(*made, strict=True):
        np.testing.assert_array_equal(one, flying)
