"""Noise is what it says, darkness is in stops, and files are the encoder's own."""

import io

import numpy as np
import pytest
import torch
from degradation_samples import grey, run, scene, step
from PIL import Image

from moce_cli.degradations import SensorNoise, Step
from moce_cli.degradations.light import to_encoded, to_linear
from moce_cli.degradations.sensor import sensor
from moce_cli.errors import UsageError

PLAIN_LOW = {"cast": [1.0, 1.0, 1.0], "gamma": 1.0}
CAMERA = {
    "full_well": 20000.0,
    "read": 2.0,
    "gains": [1.0, 1.0, 1.0],
    "pattern": "white",
    "phase": 0,
    "shared": 0.0,
    "chroma": 0.0,
    "grain": 0.0,
}


def camera(iso, **changes):
    return Step("sensor", {"strength": iso, **CAMERA, **changes})


def linear_noise(value, *plan):
    """What is added to linear light in a flat field of this linear light."""
    clean = to_encoded(torch.full((1, 3, 256, 256), value))
    return to_linear(run(clean, *plan, quantise=False)) - to_linear(clean)


def correlation(a, b):
    return float((a * b).mean() / (a.square().mean() * b.square().mean()).sqrt())


@pytest.mark.parametrize("sigma", [5.0, 25.0, 40.0])
def test_noise_has_its_sigma_and_is_white(sigma):
    noise = run(grey(0.5), step("noise", sigma), quantise=False) - 0.5
    assert noise.std().item() * 255 == pytest.approx(sigma, rel=0.01)
    assert abs(noise.mean().item()) * 255 < sigma / 100
    assert abs(correlation(noise[..., 1:], noise[..., :-1])) < 0.01
    assert abs(correlation(noise[:, 0], noise[:, 1])) < 0.01


def test_each_sample_has_its_own_sigma():
    from moce_cli.degradations import degrade

    plans = [(step("noise", s),) for s in (2.0, 10.0, 50.0)]
    made = degrade(grey(0.5, 3), plans, torch.Generator().manual_seed(0), quantise=False)
    assert (made.std((1, 2, 3)) * 255).tolist() == pytest.approx([2, 10, 50], rel=0.02)


@pytest.mark.parametrize("quantise", [True, False])
def test_truncated_noise_is_cut_down_to_whole_levels(quantise):
    from moce_cli.degradations import degrade

    clean = grey(128 / 255, 2)
    plans = [(Step("noise", {"strength": 10.0, "truncate": yes}),) for yes in (True, False)]
    made, _ = degrade(clean, plans, torch.Generator().manual_seed(0), quantise=quantise) * 255
    field = torch.randn(2, 3, 256, 256, generator=torch.Generator().manual_seed(0))[0]
    wanted = (128 + 10 * field).floor()
    assert (made.round() - made).abs().max() < 1e-3
    assert (made.round() == wanted).float().mean() > 0.999
    assert made.mean().item() == pytest.approx(127.5, abs=0.1)
    _, rounded = degrade(clean, plans, torch.Generator().manual_seed(0)) * 255
    assert rounded.mean().item() == pytest.approx(128, abs=0.1)


def test_truncating_leaves_whole_levels():
    levels = (torch.arange(256) / 255).expand(1, 3, 1, 256)
    assert torch.equal(run(levels, Step("noise", {"strength": 0.0, "truncate": True})), levels)


def test_noise_is_truncated_only_where_that_is_asked_for():
    from moce_cli.degradations import SUITE, mix, suite_plan

    rng = np.random.default_rng(0)
    drawn = [mix({"noise": 25.0}, rng, truncation=0.5)[0].to_dict() for _ in range(400)]
    assert sum("truncate" in one for one in drawn) == pytest.approx(200, abs=40)
    assert all("truncate" in s.parameters for s in mix(["noise"], rng, truncation=1.0))
    never = [s for row in SUITE for seed in range(8) for s in suite_plan(row, seed)]
    never += [s for _ in range(20) for s in mix(["noise"], rng)]
    assert not any("truncate" in s.parameters for s in never)


def test_sensor_noise_has_a_variance_linear_in_light():
    """Light L of white electrons has a variance of L * white + read ** 2."""
    white = 20000 * 100 / 3200
    for light in (0.1, 0.2, 0.4, 0.6):
        noise = linear_noise(light, camera(3200.0)) * white
        assert noise.var().item() == pytest.approx(light * white + 4, rel=0.03)
        assert abs(noise.mean().item()) < 0.15
        skew = noise.pow(3).mean().item()
        assert skew == pytest.approx(light * white, rel=0.5), "photons lean to the bright side"


@pytest.mark.parametrize("electrons", [0.0, 0.5, 2.0, 20.0])
@pytest.mark.parametrize("read", [1.0, 3.0])
def test_few_electrons_have_mean_variance_and_skew_to_within_a_hundredth(electrons, read):
    step = camera(12800.0, read=read, encoded=True)  # after gamma nothing is clipped
    white = CAMERA["full_well"] * 100 / 12800
    clean = torch.full((1, 3, 1024, 1024), electrons / white)
    noise = (sensor(clean, [step], torch.Generator().manual_seed(0)) - clean) * white
    variance = electrons + read**2
    assert noise.mean().item() == pytest.approx(0, abs=0.005)
    assert 0.995 < noise.var().item() / variance < 1.01
    if electrons == 2 and read == 1:
        assert noise.var().item() / variance == pytest.approx(1 + 4 / 27 / 18, abs=0.002)
    third = noise.double().pow(3).mean().item()
    assert third == pytest.approx(electrons, abs=0.01 * electrons + 0.02 * variance**1.5)


def test_reading_adds_the_square_of_its_noise():
    white = 20000 * 100 / 3200
    clean = torch.full((1, 3, 256, 256), 0.2)  # bright enough that nothing is clipped
    loud = to_linear(run(to_encoded(clean), camera(3200.0, read=20.0), quantise=False)) * white
    assert loud.var().item() == pytest.approx(0.2 * white + 400, rel=0.03)


def test_gains_make_their_channels_noisier():
    noise = linear_noise(0.3, camera(1600.0, gains=[2.0, 1.0, 1.5])).var((0, 2, 3))
    assert (noise / noise[1]).tolist() == pytest.approx([2.0, 1.0, 1.5], rel=0.05)


def test_each_doubling_of_iso_doubles_the_variance():
    noises = [linear_noise(0.4, camera(iso)).var().item() for iso in (800.0, 1600.0, 3200.0)]
    assert noises[1] / noises[0] == pytest.approx(2, rel=0.05)
    assert noises[2] / noises[1] == pytest.approx(2, rel=0.05)


def test_sensor_noise_grows_in_the_dark():
    spread = []
    for value in (0.15, 0.4, 0.8):
        spread.append((run(grey(value), camera(1600.0), quantise=False) - value).std().item())
    assert spread[0] > spread[1] > spread[2]


def test_a_dark_exposure_drowns_in_the_same_noise():
    """Three stops less light, seen again at its old brightness, is far noisier."""

    def signal_to_noise(*plan):
        seen = to_linear(run(grey(0.6), *plan, quantise=False))
        return (seen.mean() / seen.std()).item()

    dark = Step("low", {"strength": 3.0, **PLAIN_LOW})
    assert signal_to_noise(dark, camera(1600.0)) < 0.4 * signal_to_noise(camera(1600.0))


def test_demosaicing_spreads_noise_and_leaves_the_picture():
    clean = scene(1, 40, 41)
    quiet = run(clean, camera(100.0, pattern="bayer", full_well=1e12, read=0.0), quantise=False)
    assert torch.allclose(quiet, clean, atol=1e-4), "the signal is not touched"
    white = linear_noise(0.3, camera(800.0))
    bayer = linear_noise(0.3, camera(800.0, pattern="bayer"))
    assert abs(correlation(white[..., 1:], white[..., :-1])) < 0.02
    assert 0.3 < correlation(bayer[:, 1, :, 1:], bayer[:, 1, :, :-1]) < 0.5
    assert abs(correlation(bayer[:, 0], bayer[:, 1])) < 0.03, "each channel alone"
    shared = linear_noise(0.3, camera(800.0, pattern="bayer", shared=1.0))
    assert correlation(shared[:, 0], shared[:, 1]) > 0.3
    smooth = linear_noise(0.3, camera(800.0, pattern="bayer", shared=1.0, chroma=1.5))
    assert correlation(smooth[:, 0], smooth[:, 1]) > 0.7
    assert (smooth[:, 0] - smooth[:, 1]).std() < 0.6 * (shared[:, 0] - shared[:, 1]).std()


@pytest.mark.parametrize("phase", range(4))
def test_measured_sites_keep_their_noise(phase):
    """At a channel's own sites bilinear demosaicing changes nothing: the variance is whole."""
    noise = linear_noise(0.3, camera(800.0, pattern="bayer", phase=phase))
    variance = torch.stack(
        [noise[0, :, i::2, j::2].var((1, 2)) for i in (0, 1) for j in (0, 1)]
    )  # (site, channel)
    whole = linear_noise(0.3, camera(800.0)).var()
    down, across = divmod(phase, 2)
    red = [(i + down) % 2 == 0 and (j + across) % 2 == 0 for i in (0, 1) for j in (0, 1)].index(
        True
    )
    assert variance[red, 0].item() == pytest.approx(whole.item(), rel=0.05)
    assert variance[3 - red, 2].item() == pytest.approx(whole.item(), rel=0.05)
    assert variance[3 - red, 0].item() == pytest.approx(whole.item() / 4, rel=0.1)
    assert variance[red, 1].item() == pytest.approx(whole.item() / 4, rel=0.1)


def test_grain_is_coarser_and_as_strong():
    fine = linear_noise(0.3, camera(800.0, pattern="bayer"))
    coarse = linear_noise(0.3, camera(800.0, pattern="bayer", grain=0.6))
    assert correlation(coarse[..., 1:], coarse[..., :-1]) > 0.1 + correlation(
        fine[..., 1:], fine[..., :-1]
    )
    assert coarse.std().item() == pytest.approx(fine.std().item(), rel=0.03)


def encoded_noise(value, **changes):
    """What is added to encoded values in a flat field of this one, after gamma."""
    return run(grey(value), camera(3200.0, encoded=True, **changes), quantise=False) - value


@pytest.mark.parametrize("colour", ["white", "coloured"])
def test_after_gamma_the_variance_is_linear_in_encoded_values(colour):
    """Channels are white-balanced, and a mosaic's mean of two noises varies half as much."""
    white = 20000 * 100 / 3200
    changes = {"pattern": "bayer", "shared": 1.0, "chroma": 1.0} if colour == "coloured" else {}
    found = [encoded_noise(value, **changes) for value in (0.2, 0.4, 0.6)]
    variances = [noise[:, 1].var().item() * white**2 for noise in found]
    share = 1.0 if colour == "white" else (1 + 0.25) / 2  # green: half the sites, means of four
    for value, variance in zip((0.2, 0.4, 0.6), variances, strict=True):
        assert variance == pytest.approx(share * (value * white + 4), rel=0.03)
    assert all(abs(noise.mean().item()) * white < 0.2 for noise in found)


def test_after_gamma_white_noise_is_white_and_coloured_noise_is_not():
    white = encoded_noise(0.4)
    assert abs(correlation(white[..., 1:], white[..., :-1])) < 0.01
    assert abs(correlation(white[:, 0], white[:, 1])) < 0.01
    coloured = encoded_noise(0.4, pattern="bayer", shared=1.0, chroma=1.5)
    assert correlation(coloured[:, 1, :, 1:], coloured[:, 1, :, :-1]) > 0.3
    assert correlation(coloured[:, 0], coloured[:, 1]) > 0.7
    assert correlation(coloured[:, 2], coloured[:, 1]) > 0.7


def test_before_gamma_noise_is_strongest_in_the_dark_and_after_it_in_the_light():
    spread = {}
    for name, changes in (("before", {}), ("after", {"encoded": True})):
        made = [run(grey(v), camera(1600.0, **changes), quantise=False) - v for v in (0.2, 0.7)]
        spread[name] = [noise.std().item() for noise in made]
    assert spread["before"][0] > spread["before"][1]
    assert spread["after"][0] < 0.6 * spread["after"][1]  # sqrt(0.2 / 0.7) = 0.53


def test_samples_before_and_after_gamma_share_a_batch():
    from moce_cli.degradations import degrade

    steps = [camera(1600.0), camera(1600.0, encoded=True)]
    clean = grey(0.5, 2, 32, 32)
    both = degrade(clean, [(s,) for s in steps], torch.Generator().manual_seed(0), quantise=False)
    for row, one in enumerate(steps):
        plans = [(one,), (one,)]
        alike = degrade(clean, plans, torch.Generator().manual_seed(0), quantise=False)
        assert torch.equal(both[row], alike[row])


def test_the_colour_of_noise_is_drawn_as_asked():
    def drawn(**asked):
        return [step("sensor", 1600.0, seed, **asked).parameters for seed in range(60)]

    for after in (False, True):
        for one in drawn(sensor_noise=SensorNoise("white", after)):
            assert (one["pattern"], one["gains"]) == ("white", [1.0, 1.0, 1.0])
            assert one["shared"] == one["chroma"] == one["grain"] == 0
            assert one.get("encoded", False) == after
        for one in drawn(sensor_noise=SensorNoise("coloured", after)):
            noise = linear_noise(0.3, Step("sensor", {**one, "encoded": False}))
            assert one["pattern"] == "bayer"
            assert correlation(noise[:, 0], noise[:, 1]) > 0.1
            assert one.get("encoded", False) == after
    assert {one["pattern"] for one in drawn()} == {"white", "bayer"}
    assert drawn(sensor_noise=SensorNoise()) == drawn()
    assert not any("encoded" in one for one in drawn())
    with pytest.raises(UsageError, match="'pink' is no colour"):
        SensorNoise("pink")


@pytest.mark.parametrize("stops", [0.5, 1.0, 3.0])
def test_a_stop_halves_linear_light(stops):
    clean = scene(1)
    dark = run(clean, Step("low", {"strength": stops, **PLAIN_LOW}), quantise=False)
    assert torch.allclose(to_linear(dark), to_linear(clean) / 2**stops, atol=1e-5)


def test_a_cast_keeps_the_luminance_and_gamma_middle_grey():
    value = to_encoded(torch.tensor(0.18)).item()
    luma = torch.tensor([0.2126, 0.7152, 0.0722])
    for seed in range(6):
        drawn = step("low", 2.0, seed)
        seen = to_linear(run(grey(value, 1, 4, 4), drawn, quantise=False))[0, :, 0, 0]
        assert (seen @ luma).item() == pytest.approx(0.18 / 4, rel=0.01)
        assert seen.std() > 0


@pytest.mark.parametrize("quality", [5, 40, 95])
@pytest.mark.parametrize("chroma", ["4:2:0", "4:4:4"])
def test_jpeg_is_pillows_own(quality, chroma):
    clean = scene(2, 37, 50)
    made = run(clean, Step("jpeg", {"strength": float(quality), "chroma": chroma}))
    for picture, found in zip(clean, made, strict=True):
        pixels = (picture.permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
        buffer = io.BytesIO()
        subsampling = 2 if chroma == "4:2:0" else 0
        Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, subsampling=subsampling)
        wanted = np.asarray(Image.open(buffer))
        assert np.array_equal((found.permute(1, 2, 0) * 255).round().numpy(), wanted)


def test_webp_is_pillows_own():
    clean = scene(1, 33, 47)
    made = run(clean, Step("webp", {"strength": 30.0, "method": 4}))
    pixels = (clean[0].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "WEBP", quality=30, method=4)
    wanted = np.asarray(Image.open(buffer).convert("RGB"))
    assert np.array_equal((made[0].permute(1, 2, 0) * 255).round().numpy(), wanted)


def test_a_file_holds_eight_bits_whatever_is_asked():
    made = run(grey(0.5, 1, 16, 16), step("noise", 3.0), step("jpeg", 95.0), quantise=False)
    assert torch.allclose(made * 255, (made * 255).round(), atol=1e-4)
