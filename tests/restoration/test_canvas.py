"""Laws of what the network sees, and of what becomes of its answer."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from networks import restorer

from moce_cli.errors import InputError, MoceError, UsageError
from moce_cli.network import force
from moce_cli.pictures import Picture, Source, encoding_of
from moce_cli.restoration import How, Region
from moce_cli.restoration.flight import Runway
from moce_cli.restoration.hidden import carried_on
from moce_cli.restoration.judge import Judge

sys.path.insert(0, str(Path(__file__).parent.parent / "pictures"))
from picture_profiles import grey_icc, rgb_icc

WIDE = ["Display P3", "Adobe RGB", "ProPhoto", "linear"]


def noise(height, width, channels=3, dtype=np.uint8, seed=0):
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        return (rng.random((height, width, channels)) * 3 - 0.5).astype(dtype)
    return rng.integers(0, np.iinfo(dtype).max + 1, (height, width, channels)).astype(dtype)


@pytest.mark.parametrize("name", WIDE)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_an_idle_network_changes_no_bit_whatever_the_profile(name, dtype):
    given = Picture(noise(40, 70, dtype=dtype), None, Source(icc=rgb_icc(name)))
    result = restorer(identity=True, tile=32, overlap=8).restore(given)
    if dtype == np.float32:
        np.testing.assert_allclose(result.picture.pixels, given.pixels, atol=2e-5)
    else:
        np.testing.assert_array_equal(result.picture.pixels, given.pixels)
    assert result.picture.source.icc == given.source.icc


def test_an_idle_network_changes_no_bit_of_grey_with_a_profile():
    given = Picture(noise(40, 70, 1, np.uint16), None, Source(icc=grey_icc()))
    result = restorer(identity=True).restore(given).picture
    np.testing.assert_array_equal(result.pixels, given.pixels)
    floats = Picture(noise(40, 70, 1, np.float32))
    kept = restorer(identity=True).restore(floats).picture.pixels
    np.testing.assert_allclose(kept, floats.pixels, atol=1e-6)


@pytest.mark.parametrize("name", WIDE)
def test_the_network_sees_the_same_colours_whatever_the_profile(name):
    """A picture inside sRGB, stored in two ways, is restored alike."""
    made = restorer(tile=0)
    plain = (noise(24, 32) // 4 + 96).astype(np.uint8)
    encoding, _ = encoding_of(Picture(plain, None, Source(icc=rgb_icc(name))))
    stored = encoding.from_srgb(plain.astype(np.float32) / 255)
    given = Picture((stored * 65535).round().astype(np.uint16), None, Source(icc=rgb_icc(name)))
    wanted = made.restore(plain).picture / 255
    found = encoding.to_srgb(made.restore(given).picture.pixels.astype(np.float32) / 65535)
    assert np.abs(wanted - plain / 255).max() > 0.01, "the network does something"
    inside = (wanted > 0.02) & (wanted < 0.98)
    assert np.abs(found - wanted)[inside].max() < 1.5 / 255


def test_light_above_white_is_kept():
    light = np.full((16, 16, 3), 0.2, np.float32)
    light[4:8, 4:8] = 40.0
    given = Picture(light, None, Source())
    made = restorer(tile=0).restore(given).picture.pixels
    assert made.dtype == np.float32
    assert (made[4:8, 4:8] > 5).all()
    assert np.isfinite(made).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("icc", [None, rgb_icc("Adobe RGB")])
def test_what_alpha_hides_neither_counts_nor_changes(dtype, icc):
    pixels = noise(48, 60, dtype=dtype)
    alpha = np.full((48, 60), 1 if dtype == np.float32 else np.iinfo(dtype).max, dtype)
    alpha[10:30, 20:50] = 0
    alpha[30:33, 20:50] //= 2
    other = pixels.copy()
    other[alpha == 0] = noise(48, 60, dtype=dtype, seed=5)[alpha == 0]
    made = restorer(tile=32, overlap=8)
    first, second = (
        made.restore(Picture(p, alpha, Source(icc=icc))).picture for p in (pixels, other)
    )
    seen = alpha > 0
    np.testing.assert_array_equal(first.pixels[seen], second.pixels[seen])
    np.testing.assert_array_equal(first.pixels[~seen], pixels[~seen])
    np.testing.assert_array_equal(first.alpha, alpha)
    assert not np.array_equal(first.pixels[seen], pixels[seen])


def test_alpha_of_arrays_counts_as_well():
    array = noise(40, 40, 4)
    array[:20, :, 3] = 0
    other = array.copy()
    other[:20, :, :3] = 7
    made = restorer(tile=0)
    first, second = made.restore(array).picture, made.restore(other).picture
    np.testing.assert_array_equal(first[20:], second[20:])
    np.testing.assert_array_equal(second[:20], other[:20])


def test_visible_colours_are_carried_on_under_what_is_hidden():
    pixels = np.zeros((37, 53, 3), np.uint8)
    alpha = np.zeros((37, 53), np.uint8)
    pixels[10:20, 10:20], alpha[10:20, 10:20] = (200, 100, 50), 255
    carried = carried_on(pixels, alpha)
    assert (carried == (200, 100, 50)).all()
    alpha[:] = 0
    assert carried_on(pixels, alpha) is pixels
    alpha[:] = 1
    assert carried_on(pixels, alpha) is pixels


def test_carrying_on_in_bands_is_the_same(monkeypatch):
    pixels = noise(70, 30)
    alpha = noise(70, 30, 1, seed=3)[..., 0] // 128 * 255
    whole = carried_on(pixels, alpha)
    monkeypatch.setattr("moce_cli.restoration.hidden._BAND", 8)
    np.testing.assert_array_equal(carried_on(pixels, alpha), whole)
    np.testing.assert_array_equal(whole[alpha > 0], pixels[alpha > 0])


@pytest.mark.parametrize("routing", ["image", "tile", "1"])
def test_a_mask_keeps_every_bit_of_the_rest_and_skips_its_tiles(routing):
    picture = noise(200, 260, dtype=np.uint16)
    mask = np.zeros((200, 260), np.uint8)
    mask[20:60, 30:70] = 255
    mask[150:190, 200:250] = 128
    made = restorer(tile=64, overlap=16, routing=routing)
    result = made.restore(picture, mask=mask)
    whole = made.restore(picture)
    np.testing.assert_array_equal(result.picture[mask == 0], picture[mask == 0])
    changed = (result.picture != picture).any(axis=2)
    assert changed[mask > 0].mean() > 0.9
    assert result.report.tiles < whole.report.tiles / 1.5


def test_a_region_is_a_mask_that_is_white_inside():
    picture = noise(120, 140)
    region = Region(top=33, left=41, height=20, width=50)
    mask = np.zeros((120, 140), bool)
    mask[33:53, 41:91] = True
    made = restorer(tile=64, overlap=16)
    by_region = made.restore(picture, region=region)
    np.testing.assert_array_equal(by_region.picture, made.restore(picture, mask=mask).picture)
    np.testing.assert_array_equal(by_region.picture[~mask], picture[~mask])
    assert by_region.report.height, by_region.report.width == (120, 140)
    both = made.restore(picture, region=region, mask=np.full((120, 140), 1.0)).picture
    np.testing.assert_array_equal(both, by_region.picture)


def test_half_a_mask_is_half_the_strength():
    picture = noise(40, 40).astype(np.float32) / 255
    made = restorer(tile=0)
    half = made.restore(picture, mask=np.full((40, 40), 0.5)).picture
    np.testing.assert_allclose(half, made.restore(picture, strength=0.5).picture, atol=1e-6)


@pytest.mark.parametrize(
    ("how", "error", "words"),
    [
        ({"mask": np.zeros((40, 40), np.uint8)}, InputError, "keeps all"),
        ({"mask": np.zeros((40, 41), np.uint8)}, InputError, "41 x 40"),
        ({"mask": np.zeros((40, 40, 3), np.uint8)}, InputError, "no mask"),
        ({"mask": np.full((40, 40), 2.0)}, InputError, "2 to 2"),
        ({"mask": np.full((40, 40), np.nan)}, InputError, "nan"),
        ({"region": Region(0, 0, 41, 4)}, InputError, "outside"),
        ({"strength": 1.5}, UsageError, "1.5"),
    ],
)
def test_what_does_not_fit_is_refused(how, error, words):
    with pytest.raises(error, match=words):
        restorer().restore(noise(40, 40), **how)


@pytest.mark.parametrize("text", ["", "1,2,3", "1,2,3,0", "-1,2,3,4", "a,b,c,d", "1,2,3,4,5"])
def test_no_region(text):
    with pytest.raises(UsageError, match="region") as caught:
        Region.parse(text)
    assert "TOP,LEFT" in caught.value.hint


def test_a_region_reads_as_it_is_written():
    assert Region.parse("1, 2,3,4") == Region(top=1, left=2, height=3, width=4)
    assert str(Region(1, 2, 3, 4)) == "1,2,3,4"
    assert How(region=Region(0, 1, 1, 1)).weight(2, 2).tolist() == [[0, 1], [0, 0]]


@pytest.mark.parametrize("routing", ["image", "tile", "0"])
def test_an_ensemble_does_not_care_how_the_picture_is_turned(routing):
    picture = noise(24, 40).astype(np.float32) / 255
    made = restorer(tile=0, routing="0" if routing == "0" else routing)
    whole = made.restore(picture, ensemble=True)
    if routing == "0":  # else a turned picture may choose other experts
        turned = made.restore(np.ascontiguousarray(np.rot90(picture)), ensemble=True).picture
        np.testing.assert_allclose(np.rot90(turned, -1), whole.picture, atol=2e-5)
        flipped = made.restore(np.ascontiguousarray(picture[:, ::-1]), ensemble=True).picture
        np.testing.assert_allclose(flipped[:, ::-1], whole.picture, atol=2e-5)
    once = made.restore(picture)
    assert np.abs(once.picture - whole.picture).max() > 1e-4
    assert whole.report.macs.run == 8 * once.report.macs.run
    assert whole.report.experts == once.report.experts
    assert whole.report.tiles == once.report.tiles


def test_an_ensemble_is_the_mean_of_eight():
    picture = noise(24, 40).astype(np.float32) / 255
    made = restorer(tile=0, routing="1")
    found = made.restore(picture, ensemble=True).picture
    network, routing = made._passage.engine("fp32").network, [force(1, 4)] * 3
    total = np.zeros_like(picture)
    for quarter in range(4):
        for flip in (False, True):
            turned = np.rot90(picture[:, ::-1] if flip else picture, quarter).copy()
            with torch.inference_mode():
                batch = torch.from_numpy(turned).permute(2, 0, 1)[None]
                answer = network.restore(batch, routing).restored[0].permute(1, 2, 0).numpy()
            back = np.rot90(answer, -quarter)
            total += back[:, ::-1] if flip else back
    np.testing.assert_allclose(found, (total / 8).clip(0, 1), atol=1e-5)


def test_frames_are_restored_one_by_one_and_counted():
    frames = [Picture(noise(24, 32, seed=s), None, Source(duration_ms=40)) for s in range(3)]
    given = Picture(frames[0].pixels, None, frames[0].source, (frames[1], frames[2]))
    made = restorer(tile=0)
    calls = []
    result = made.restore(given, progress=lambda *done: calls.append(done))
    assert len(result.picture.further) == 2
    for found, frame in zip((result.picture, *result.picture.further), frames, strict=True):
        np.testing.assert_array_equal(found.pixels, made.restore(frame).picture.pixels)
        assert found.source.duration_ms == 40
    alone = made.restore(frames[0]).report
    assert result.report.frames == 3
    assert result.report.tiles == 3 * alone.tiles
    assert result.report.macs.run > alone.macs.run
    assert calls[-1] == (3, 3)


def judged(seen, made):
    judge = Judge()
    for value in seen:
        judge.add(np.float32([value]), np.float32([made(value)]))
    return judge.complaint


def test_the_rule_for_what_is_no_picture():
    ramp = np.linspace(0, 1, 50)
    assert judged(ramp, lambda v: v) is None
    assert judged(ramp * 0.08, lambda v: v * 11) is None, "a dark picture may become light"
    assert judged(0.6 + ramp * 0.4, lambda v: v / 3) is None, "a hazy one dark"
    assert "everything became" in judged(ramp, lambda v: 0.5)
    assert "from 0.500 to 0.001" in judged(ramp, lambda v: v * 1e-3)
    assert "mean" in judged(ramp, lambda v: 0.981 + v / 60)
    assert "mean" in judged(0.3 + ramp * 0.01, lambda v: 0.95 + v / 100)
    assert judged(ramp * 0.01, lambda v: 0.0) is None, "nearly black may become black"
    assert Judge().complaint is None


def test_a_wrong_mean_is_done_again_in_float32_and_then_an_error(monkeypatch):
    start = Runway.start
    wrong = {"bf16": True, "fp32": False}

    def darkened(self, *arguments, **options):
        flight = start(self, *arguments, **options)
        half = any(p.dtype == torch.bfloat16 for p in self._network.parameters())
        factor = 0.01 if wrong["bf16" if half else "fp32"] else 1
        return replace(flight, pieces=[piece * factor for piece in flight.pieces])

    monkeypatch.setattr(Runway, "start", darkened)
    picture = noise(40, 40)
    result = restorer(precision="bf16", identity=True).restore(picture)
    np.testing.assert_array_equal(result.picture, picture)
    assert result.report.precision == "fp32"
    assert "the mean went from" in result.report.notes[0]
    wrong["fp32"] = True
    with pytest.raises(MoceError, match="made no picture") as caught:
        restorer(precision="bf16", identity=True).restore(picture, strength=0.1)
    assert caught.value.exit_code == 1
