"""Too little memory, values that are no numbers, pictures that are none, wrong machines."""

import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from networks import checkpoint, noise, restorer

from moce_cli import Restorer
from moce_cli.errors import DeviceError, MoceError
from moce_cli.network import circular
from moce_cli.restoration import selfcheck
from moce_cli.restoration.flight import NotFiniteError, Runway
from moce_cli.restoration.selfcheck import TOLERANCE, convolution_is_right, golden_error


def test_a_whole_picture_that_runs_out_of_memory_is_cut_with_one_routing(monkeypatch):
    start = Runway.start

    def failing(self, seen, pinned, *given, **options):
        if len(seen[0]) * len(seen) > 400:
            raise torch.OutOfMemoryError
        return start(self, seen, pinned, *given, **options)

    monkeypatch.setattr(Runway, "start", failing)
    calls = []
    report = (
        restorer(tile=0).restore(noise(420, 300), progress=lambda *done: calls.append(done)).report
    )
    assert report.tiles > 1
    assert report.plan.overlap > 0
    assert sum(report.experts.values()) == len(report.blocks), "one decision for all tiles"
    assert report.seam != 1.0, "the new borders are looked at"
    assert calls[-1][0] == calls[-1][1] == report.tiles


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError(),
        RuntimeError("MPS backend out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
    ],
)
@pytest.mark.parametrize("rows", [64, 3])  # 3 at once: some lie wholly above what is finished
def test_out_of_memory_halves_the_tile_and_keeps_what_is_finished(monkeypatch, error, rows):
    monkeypatch.setattr("moce_cli.restoration.engine._ROWS_AT_ONCE", rows)
    monkeypatch.setattr("moce_cli.restoration.engine.sample_size", lambda *_: 1)
    picture = noise(200, 100)
    start, sizes = Runway.start, []

    def failing(self, tiles, pinned, *given, **options):
        sizes.append(len(tiles[0]))
        if len(sizes) == 4:  # in the second row of tiles
            raise error
        return start(self, tiles, pinned, *given, **options)

    monkeypatch.setattr(Runway, "start", failing)
    made = Restorer(
        checkpoint(identity=True), device="cpu", precision="fp32", threads=1, tile=64, overlap=16
    )
    result = made.restore(picture)
    assert np.array_equal(result.picture, picture)
    assert max(sizes[:4]) == 64
    assert max(sizes[sizes.index(32) :]) <= 32  # a tile that was under way may still end
    assert result.report.plan.tile == 32
    assert "out of memory" in result.report.notes[0]
    # not begun again: fewer small tiles than the whole picture needs
    assert len(sizes) - 4 < len(result.report.plan.grid(200, 100))


def test_other_errors_are_not_taken_for_it(monkeypatch):
    def failing(*_, **__):
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(Runway, "start", failing)
    for picture in (noise(20, 20), noise(300, 300)):
        with pytest.raises(RuntimeError, match="shapes do not match"):
            restorer().restore(picture)


def test_out_of_memory_while_pinning_asks_fewer_and_then_smaller_tiles(monkeypatch):
    start, asked = Runway.start, []

    def failing(self, tiles, pinned, *given, **options):
        asked.append((len(tiles), len(tiles[0])))
        if len(tiles[0]) > 32 or len(tiles) > 1:
            raise torch.OutOfMemoryError
        return start(self, tiles, pinned, *given, **options)

    monkeypatch.setattr(Runway, "start", failing)
    picture = noise(150, 150)
    result = restorer(identity=True, tile=64, overlap=16).restore(picture)
    assert np.array_equal(result.picture, picture)
    assert result.report.plan.tile == 32
    assert asked[0][0] > 1
    assert asked == sorted(asked, key=lambda a: -a[1])
    assert "tiles were asked which experts run" in result.report.notes[0]


def test_out_of_memory_at_the_smallest_tile_is_an_error(monkeypatch):
    def failing(*_, **__):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(Runway, "start", failing)
    with pytest.raises(DeviceError, match="the smallest is 32"):
        restorer(routing="1").restore(noise(300, 300))


def test_not_finite_is_done_again_in_float32_and_then_an_error(monkeypatch):
    start = Runway.start

    def failing(self, *arguments, **options):
        if any(p.dtype != torch.float32 for p in self._network.parameters()):
            raise NotFiniteError
        return start(self, *arguments, **options)

    monkeypatch.setattr(Runway, "start", failing)
    picture = noise(20, 20)
    result = restorer(precision="bf16").restore(picture)
    assert result.report.precision == "fp32"
    assert "fp32" in result.report.notes[0]
    assert np.array_equal(result.picture, restorer().restore(picture).picture)

    broken = checkpoint()
    broken.state["output.weight"].fill_(float("nan"))
    with pytest.raises(MoceError, match="made no picture"):
        Restorer(broken, device="cpu", precision="fp32").restore(picture)


def test_a_flat_output_of_a_picture_is_not_believed(monkeypatch):
    start = Runway.start

    def black(self, *arguments, **options):
        flight = start(self, *arguments, **options)
        return replace(flight, pieces=[piece * 0 for piece in flight.pieces])

    monkeypatch.setattr(Runway, "start", black)
    with pytest.raises(MoceError, match="made no picture"):
        restorer().restore(noise(40, 40))
    flat = np.full((40, 40, 3), 3, np.uint8)
    assert not restorer().restore(flat).picture.any(), "a flat picture may become flat"


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_the_golden_tile_is_right_here(precision):
    device = torch.device("cpu")
    assert golden_error(device, precision) < TOLERANCE[precision]
    assert convolution_is_right(device)


def test_the_golden_tile_notices_a_wrong_number(monkeypatch):
    from moce_cli.network import experts

    right = experts.windowed_circular_convolution
    monkeypatch.setattr(
        experts, "windowed_circular_convolution", lambda a, b, w: right(a, b, w).roll(1, 2)
    )
    assert golden_error(torch.device("cpu"), "fp32") > TOLERANCE["fp32"]


def test_out_of_memory_ends_the_crew_before_the_tile_is_halved(monkeypatch):
    monkeypatch.setattr("moce_cli.restoration.engine.sample_size", lambda *_: 1)
    start, lock, running = Runway.start, threading.Lock(), []

    def crowded(self, tiles, pinned, *given, **options):
        with lock:
            if running:
                raise torch.OutOfMemoryError
            running.append(len(tiles))
        time.sleep(0.05)  # the other thread comes meanwhile
        try:
            return start(self, tiles, pinned, *given, **options)
        finally:
            with lock:
                running.pop()

    monkeypatch.setattr(Runway, "start", crowded)
    picture = noise(200, 100)
    result = restorer(identity=True, tile=64, overlap=16).restore(picture)
    assert np.array_equal(result.picture, picture)
    assert result.report.plan.tile == 64
    assert result.report.notes == ("out of memory on cpu: went on with one tile at a time",)


def test_a_wrong_fft_is_told_of_every_time(monkeypatch):
    device = torch.device("meta")  # of which nothing is computed
    monkeypatch.setattr(selfcheck, "golden_error", lambda *_: 0.0)
    monkeypatch.setattr(selfcheck, "convolution_is_right", lambda _: False)
    monkeypatch.setattr(circular, "_elsewhere", {})
    first, second = (selfcheck.prepare(device, "fp32") for _ in range(2))
    assert first == second == ("the FFT of meta is wrong here: that operation runs on the CPU",)
