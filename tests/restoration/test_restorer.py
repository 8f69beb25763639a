"""Laws of restoring one picture."""

import threading

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import SMALL, checkpoint, restorer
from PIL import Image

from moce_cli import Restorer
from moce_cli.errors import DeviceError, InputError, MoceError, UsageError
from moce_cli.network import MoCEIR
from moce_cli.network.cost import forward_cost
from moce_cli.pictures.large import open_bands
from moce_cli.restoration import engine as engine_module
from moce_cli.restoration.bands import BandView
from moce_cli.restoration.plan import (
    Plan,
    at_once,
    make_plan,
    network_bytes,
    sample_size,
    workers_for,
)
from moce_cli.restoration.selfcheck import TOLERANCE, convolution_is_right, golden_error
from moce_cli.tiling import sample_tiles


def noise(height, width, channels=3, dtype=np.uint8, seed=0):
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        return rng.random((height, width, channels)).astype(dtype)
    return rng.integers(0, np.iinfo(dtype).max + 1, (height, width, channels)).astype(dtype)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 90),
    st.integers(1, 90),
    st.sampled_from([np.uint8, np.uint16, np.float32]),
    st.sampled_from([1, 3]),
    st.sampled_from(["image", "tile", "2"]),
)
def test_a_network_that_adds_nothing_returns_the_picture(height, width, dtype, channels, routing):
    picture = noise(height, width, channels, dtype)
    same = restorer(identity=True, tile=32, overlap=8, routing=routing)
    restored = same.restore(picture).picture
    assert restored.dtype == picture.dtype
    assert restored.shape == picture.shape
    tolerance = 1e-6 if np.dtype(dtype).kind == "f" else 0
    np.testing.assert_allclose(restored, picture, atol=tolerance)


@pytest.mark.parametrize("routing", ["image", "tile", "0"])
def test_the_same_input_twice_is_the_same_output_bit_for_bit(routing):
    picture = noise(100, 120)
    first, second = (
        restorer(tile=64, overlap=16, routing=routing).restore(picture) for _ in range(2)
    )
    assert np.array_equal(first.picture, second.picture)
    rows = [r.report.to_dict() for r in (first, second)]
    for row in rows:
        del row["seconds"]
    assert rows[0] == rows[1]


def test_a_single_tile_is_the_network_itself():
    picture = noise(40, 48, dtype=np.float32)
    network = MoCEIR(SMALL).eval()
    network.load_state_dict(checkpoint().state)
    with torch.inference_mode():
        x = torch.from_numpy(picture).permute(2, 0, 1)[None]
        expected = network(x)[0].permute(1, 2, 0).clamp(0, 1).numpy()
    restored = restorer(tile=0).restore(picture)
    np.testing.assert_allclose(restored.picture, expected, atol=1e-5)
    assert restored.report.tiles == 1
    assert restored.report.seam == 1


def test_the_batch_of_tiles_does_not_change_the_picture():
    picture = noise(120, 120)
    one, four = (
        restorer(tile=64, overlap=16, routing="tile", batch=n).restore(picture) for n in (1, 4)
    )
    assert four.report.plan.batch == 4
    assert np.abs(one.picture.astype(int) - four.picture.astype(int)).max() <= 1


def test_two_restorers_keep_their_threads():
    one, two = (Restorer(checkpoint(), device="cpu", precision="fp32", threads=n) for n in (1, 2))
    for made, threads in ((one, 1), (two, 2), (one, 1)):
        made.restore(noise(20, 20))
        assert torch.get_num_threads() == threads


@pytest.mark.parametrize("device", ["cpu", "cuda", "mps"])
def test_several_tiles_are_asked_on_every_device(device, monkeypatch):
    monkeypatch.setattr("moce_cli.restoration.plan.device_memory_bytes", lambda _: 2**36)
    options = {"tile": None, "overlap": None, "threads": 2, "precision": "fp32", "batch": None}
    plan = make_plan(SMALL, torch.device(device), height=4000, width=6000, **options)
    grid = plan.grid(4000, 6000)
    assert len(sample_tiles(grid, sample_size(plan.batch, plan.tile**2))) >= 2


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


def test_a_whole_picture_that_runs_out_of_memory_is_cut_with_one_routing(monkeypatch):
    run = engine_module.Engine.run

    def failing(self, seen, pinned, **options):
        if len(seen[0]) * len(seen) > 400:
            raise torch.OutOfMemoryError
        return run(self, seen, pinned, **options)

    monkeypatch.setattr(engine_module.Engine, "run", failing)
    calls = []
    report = (
        restorer(tile=0).restore(noise(420, 300), progress=lambda *done: calls.append(done)).report
    )
    assert report.tiles > 1
    assert report.plan.overlap > 0
    assert sum(report.experts.values()) == len(report.blocks), "one decision for all tiles"
    assert report.seam != 1.0, "the new borders are looked at"
    assert calls[-1][0] == calls[-1][1] == report.tiles


def test_image_routing_is_one_decision_and_tile_routing_one_for_each():
    picture = noise(128, 128)
    picture[:, 64:] //= 8  # a half that looks different to the routers
    image = restorer(tile=64, overlap=16).restore(picture).report
    tile = restorer(tile=64, overlap=16, routing="tile").restore(picture).report
    assert sum(image.experts.values()) == len(image.blocks) == 3
    assert sum(tile.experts.values()) == 3 * tile.tiles
    assert len(tile.tile_experts) == tile.tiles
    assert "tile_experts" not in image.to_dict()


@pytest.mark.parametrize("expert", range(4))
def test_a_forced_expert_is_the_only_one(expert):
    report = restorer(tile=32, overlap=8, routing=str(expert)).restore(noise(70, 70)).report
    assert {e: n for e, n in report.experts.items() if n} == {expert: 3}
    assert all(b.expert == expert and b.gate == 1 for b in report.blocks)


def test_pinned_tiles_never_call_another_expert():
    picture, called = noise(130, 130), []
    pinned = restorer(tile=32, overlap=8)
    pinned.restore(noise(16, 16))  # builds the engine
    network = pinned._passage.engine("fp32").network
    for blocks in network.decoder:
        for block in blocks:
            for e, expert in enumerate(block.mixture.experts):
                expert.register_forward_hook(lambda *_, e=e, b=block: called.append((id(b), e)))
    report = pinned.restore(picture).report
    assert len(set(called)) == len(report.blocks)


def test_the_report_counts_every_tile_once():
    report = restorer(tile=64, overlap=16).restore(noise(150, 200)).report
    cost = forward_cost(SMALL, *report.tile_size)
    assert report.tiles > 4
    assert report.macs.run == report.tiles * cost.run([(b.expert,) for b in report.blocks])
    assert report.macs.all_experts == report.tiles * cost.all_experts
    saved = 1 - report.macs.run / report.macs.all_experts
    assert report.macs.saved_of_network == pytest.approx(saved, abs=1e-5)
    assert report.macs.saved_of_experts > report.macs.saved_of_network > 0


def test_a_tile_that_was_asked_for_its_routing_does_not_run_again(monkeypatch):
    monkeypatch.setattr("moce_cli.restoration.engine.sample_size", lambda *_: 3)
    run, seen = engine_module.Engine.run, []

    def counting(self, tiles, pinned, **options):
        seen.append([tile.tobytes() for tile in tiles])
        return run(self, tiles, pinned, **options)

    monkeypatch.setattr(engine_module.Engine, "run", counting)
    result = restorer(tile=64, overlap=16).restore(noise(150, 200))
    tiles = [tile for some in seen for tile in some]
    assert 1 < len(seen[0]) <= 3
    assert len(tiles) == len(set(tiles)) == result.report.tiles


def test_the_report_is_plain_json():
    import json

    row = restorer().restore(noise(20, 30)).report.to_dict()
    assert json.loads(json.dumps(row, allow_nan=False))["height"] == 20
    promised = (
        "model device precision height width tile_size tiles seconds seam blocks experts macs plan"
    )
    assert set(promised.split()) <= set(row)
    assert set(row["blocks"][0]) == {"block", "level", "expert", "gate", "logits"}
    assert set(row["macs"]) == {"run", "all_experts", "saved_of_experts", "saved_of_network"}
    assert set(row["plan"]) == {"tile", "overlap", "batch", "threads", "precision", "compiled"}


def test_strength_mixes_input_and_result():
    picture = noise(60, 60, dtype=np.float32)
    made = restorer(tile=32, overlap=8)
    full, half, none = (made.restore(picture, strength=s).picture for s in (1.0, 0.5, 0.0))
    assert np.array_equal(none, picture)
    unclipped = (full > 0) & (full < 1)
    np.testing.assert_allclose(half[unclipped], ((full + picture) / 2)[unclipped], atol=1e-6)
    with pytest.raises(UsageError, match=r"strength of 1\.5"):
        made.restore(picture, strength=1.5)


def test_each_kind_comes_back_as_it_was_given(tmp_path):
    made = restorer()
    array = noise(24, 30)
    Image.fromarray(array).save(tmp_path / "a.png")
    expected = made.restore(array).picture
    for source in (tmp_path / "a.png", str(tmp_path / "a.png"), Image.fromarray(array)):
        image = made.restore(source).picture
        assert isinstance(image, Image.Image)
        assert np.array_equal(np.asarray(image), expected)
    tensor = torch.from_numpy(array).permute(2, 0, 1) / 255
    for one in (tensor, tensor[None], tensor.double()):
        seen = made.restore(one).picture
        assert seen.shape == one.shape
        assert seen.dtype == one.dtype
        close = torch.from_numpy(expected).permute(2, 0, 1).double() / 255
        assert (seen.reshape(close.shape).double() - close).abs().max() < 0.51 / 255
    for shape in ((24, 30), (24, 30, 1), (24, 30, 2), (24, 30, 4)):
        before = noise(24, 30, 4)[..., : shape[2] if len(shape) == 3 else 1].reshape(shape)
        seen = made.restore(before).picture
        assert seen.shape == shape
        if len(shape) == 3 and shape[2] in (2, 4):
            assert np.array_equal(seen[..., -1], before[..., -1]), "alpha is not touched"


def test_grey_is_the_mean_of_three_equal_channels():
    grey = noise(32, 40, 1)
    made = restorer()
    colour = made.restore(np.repeat(grey, 3, axis=2).astype(np.float32) / 255).picture
    restored = made.restore(grey).picture
    # the mean is taken before clipping
    inside = ((colour > 0) & (colour < 1)).all(axis=2, keepdims=True)
    expected = colour.mean(axis=2, keepdims=True) * 255
    assert np.abs(restored - expected)[inside].max() < 0.51


@pytest.mark.parametrize(
    ("picture", "sentence"),
    [
        (np.zeros((4, 4, 5), np.uint8), r"shape \(4, 4, 5\)"),
        (np.zeros((0, 4, 3), np.uint8), r"shape \(0, 4, 3\)"),
        (np.zeros((4, 4, 3), np.int32), "int32 is no pixel type"),
        (np.full((4, 4, 3), 2.0), "reach from 2 to 2"),
        (np.full((4, 4, 3), np.nan), "reach from nan to nan"),
        (torch.zeros(2, 3, 4, 4), "tensor of shape"),
        (torch.zeros(3, 4, 4, dtype=torch.uint8), "uint8 tensor"),
        (b"bytes", "cannot restore a bytes"),
    ],
)
def test_what_is_no_picture_is_refused(picture, sentence):
    with pytest.raises(InputError, match=sentence):
        restorer().restore(picture)


def test_progress_reaches_the_end():
    calls = []
    restorer(tile=32, overlap=8).restore(noise(100, 90), progress=lambda a, b: calls.append((a, b)))
    assert calls == sorted(calls)
    assert calls[-1][0] == calls[-1][1]


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError(),
        RuntimeError("MPS backend out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_out_of_memory_halves_the_tile_and_keeps_what_is_finished(monkeypatch, error):
    monkeypatch.setattr("moce_cli.restoration.engine.sample_size", lambda *_: 1)
    picture = noise(200, 100)
    run, sizes = engine_module.Engine.run, []

    def failing(self, tiles, pinned, **options):
        sizes.append(len(tiles[0]))
        if len(sizes) == 4:  # in the second row of tiles
            raise error
        return run(self, tiles, pinned, **options)

    monkeypatch.setattr(engine_module.Engine, "run", failing)
    made = restorer(identity=True, tile=64, overlap=16)
    result = made.restore(picture)
    assert np.array_equal(result.picture, picture)
    assert max(sizes[:4]) == 64
    assert max(sizes[sizes.index(32) :]) <= 32  # a tile that was under way may still end
    assert result.report.plan.tile == 32
    assert "out of memory" in result.report.notes[0]
    # not begun again: fewer small tiles than the whole picture needs
    assert len(sizes) - 4 < len(result.report.plan.grid(200, 100))


def test_all_tiles_are_computed_by_the_crew():
    made, names = restorer(tile=64, overlap=16), set()
    network = made._passage.engine("fp32").network
    network.embed.register_forward_hook(
        lambda *_: names.add(threading.current_thread().name.split("_")[0])
    )
    made.restore(noise(200, 100))
    assert names == {"moce-tile"}, "also those that decide which experts run"


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("shape", [(1500, 60), (1500, 200)])
def test_a_file_is_read_twice_at_most(tmp_path, monkeypatch, threads, shape):
    """Though tiles are computed ahead of rows that need none."""
    pytest.importorskip("pyvips")
    pixels, mask, passes = noise(*shape), np.zeros(shape, np.uint8), []
    mask[::200, :30] = mask[700:900] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    restart = BandView._restart

    def noted(self, top):
        passes.append(top)
        restart(self, top)

    monkeypatch.setattr(BandView, "_restart", noted)
    for given_mask in (None, mask):
        passes.clear()
        made = Restorer(
            checkpoint(), device="cpu", precision="fp32", tile=64, overlap=8, threads=threads
        )
        with open_bands(tmp_path / "a.png") as reader:
            made.restore_bands(reader, NoFile, mask=given_mask)
        assert len(passes) <= 2


class NoFile:
    """Takes rows."""

    def write(self, pixels, alpha):
        pass


def test_other_errors_are_not_taken_for_it(monkeypatch):
    def failing(*_, **__):
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(engine_module.Engine, "run", failing)
    for picture in (noise(20, 20), noise(300, 300)):
        with pytest.raises(RuntimeError, match="shapes do not match"):
            restorer().restore(picture)


def test_out_of_memory_while_pinning_asks_fewer_and_then_smaller_tiles(monkeypatch):
    run, asked = engine_module.Engine.run, []

    def failing(self, tiles, pinned, **options):
        asked.append((len(tiles), len(tiles[0])))
        if len(tiles[0]) > 32 or len(tiles) > 1:
            raise torch.OutOfMemoryError
        return run(self, tiles, pinned, **options)

    monkeypatch.setattr(engine_module.Engine, "run", failing)
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

    monkeypatch.setattr(engine_module.Engine, "run", failing)
    with pytest.raises(DeviceError, match="the smallest is 32"):
        restorer(routing="1").restore(noise(300, 300))


def test_not_finite_is_done_again_in_float32_and_then_an_error(monkeypatch):
    run = engine_module.Engine.run

    def failing(self, *arguments, **options):
        if any(p.dtype != torch.float32 for p in self.network.parameters()):
            raise engine_module.NotFiniteError
        return run(self, *arguments, **options)

    monkeypatch.setattr(engine_module.Engine, "run", failing)
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
    run = engine_module.Engine.run

    def black(self, *arguments, **options):
        pixels, routing = run(self, *arguments, **options)
        return [tile * 0 for tile in pixels], routing

    monkeypatch.setattr(engine_module.Engine, "run", black)
    with pytest.raises(MoceError, match="made no picture"):
        restorer().restore(noise(40, 40))
    flat = np.full((40, 40, 3), 3, np.uint8)
    assert not restorer().restore(flat).picture.any(), "a flat picture may become flat"


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
