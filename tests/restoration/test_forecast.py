"""What is foretold: it grows with what is asked for, and the plan decides it."""

import dataclasses

import pytest
import torch
from networks import SMALL, restorer

from moce_cli.restoration import Asked
from moce_cli.restoration.flight import NotFiniteError
from moce_cli.restoration.forecast import forecast
from moce_cli.restoration.plan import make_plan


def foretold(asked, seconds=None):
    plan = make_plan(
        SMALL, torch.device("cpu"), height=asked.height, width=asked.width, tile=64, overlap=8,
        batch=None, threads=2, precision="fp32",
    )  # fmt: skip
    cpu = torch.device("cpu")
    return forecast(SMALL, plan, asked, idle_bytes=2**28, device=cpu, seconds_a_tile=seconds)


def test_memory_in_bands_follows_the_width():
    asked = Asked(1000, 800, in_bands=True)
    taller = dataclasses.replace(asked, height=50_000)
    wider = dataclasses.replace(asked, width=8000)
    assert foretold(taller).host_bytes == foretold(asked).host_bytes
    assert foretold(wider).host_bytes > foretold(asked).host_bytes
    held = dataclasses.replace(taller, in_bands=False)
    assert foretold(held).host_bytes > foretold(taller).host_bytes + 2 * held.raw_bytes


def test_deeper_more_frames_and_an_ensemble_take_more():
    asked = Asked(1000, 800)
    deeper = dataclasses.replace(asked, sample_bytes=2)
    frames = dataclasses.replace(asked, frames=3)
    turned = dataclasses.replace(asked, turns=8)
    assert foretold(deeper).host_bytes > foretold(asked).host_bytes
    assert foretold(frames).host_bytes > foretold(asked).host_bytes
    assert foretold(frames).tiles == 3 * foretold(asked).tiles
    assert foretold(turned, 0.5).seconds == pytest.approx(8 * foretold(asked, 0.5).seconds, abs=0.5)
    assert foretold(asked).seconds is None


def test_a_restorer_tries_a_tile_once_for_each_size():
    made = restorer(tile=64, overlap=8)
    first = made.forecast(Asked(200, 300))
    assert first.seconds > 0
    assert first.tiles == len(made.plan_for(200, 300).grid(200, 300))
    assert made.forecast(Asked(200, 300)).seconds == first.seconds
    assert made.forecast(Asked(50, 50), timed=False).seconds is None


@pytest.mark.parametrize("error", [NotFiniteError, torch.OutOfMemoryError])
def test_a_tile_that_comes_to_nothing_has_no_time(error, monkeypatch):
    def failing(*_, **__):
        raise error

    monkeypatch.setattr("moce_cli.restoration.flight.Runway.start", failing)
    told = restorer(tile=64, overlap=8).forecast(Asked(200, 300))
    assert (told.seconds, told.tiles) == (None, 24)
