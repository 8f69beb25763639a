"""Laws of restoring one picture."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import SMALL, checkpoint, noise, restorer
from PIL import Image

from moce_cli import Restorer
from moce_cli.errors import InputError, UsageError
from moce_cli.network import MoCEIR
from moce_cli.network.cost import forward_cost
from moce_cli.pictures.large import open_bands
from moce_cli.restoration.bands import BandView
from moce_cli.restoration.flight import Runway


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
    start, seen = Runway.start, []

    def counting(self, tiles, pinned, *given, **options):
        seen.append([tile.tobytes() for tile in tiles])
        return start(self, tiles, pinned, *given, **options)

    monkeypatch.setattr(Runway, "start", counting)
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
