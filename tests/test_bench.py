"""`moce bench`: rows that add up, a plain network that is the same network, memory of its own."""

import json
import statistics

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from moce_cli.bench import Case, Floor, Measured, Row, measure, plot
from moce_cli.bench.contender import Contender, Facts
from moce_cli.bench.work import Plain, Tiled, clean_picture, drawn_picture, noisy_strips, with_noise
from moce_cli.cli.app import app
from moce_cli.errors import InputError, MoceError

MODEL = "preset:moce_ir_xs"


def facts(**changed):
    usual = {"load_seconds": 0.1, "idle_bytes": 10, "peak_bytes": 100, "device_peak_bytes": 0}
    usual |= {"macs": 500, "picture_macs": 400, "threads": 1, "precision": "fp32", "psnr": 30.0}
    return Facts(**(usual | changed))


def row(ours=(1.0, 1.0, 2.0), plain=(4.0, 8.0, 6.0), **changed):
    rival = Measured(plain, facts(peak_bytes=400))
    floor = Floor("cpu", "fp32", 1, flops=2000.0, copy_bytes=1.0)
    return Row(Case(MODEL, 8, 8), Measured(ours, facts(**changed)), rival, None, floor)


def test_the_gain_is_taken_pair_by_pair():
    assert row().speedup == 4.0  # of 4, 8 and 3; the medians alone would give 6
    assert row().memory_share == 0.25


def test_work_that_tiles_do_twice_is_told_apart():
    assert row().floor_share_all_work == pytest.approx(2 * 500 / 1.0 / 2000)
    assert row().floor_share_picture == pytest.approx(2 * 400 / 1.0 / 2000)
    case = Case("photo-xs", 70, 90, device="cpu", precision="fp32", tile=64, threads=1)
    tiled = Tiled(case)
    tiled.run(None)
    assert 0 < tiled.picture_macs < tiled.macs


def test_the_memory_of_the_device_counts_where_there_is_one():
    ours = Measured((1.0,), facts(device_peak_bytes=30))
    plain = Measured((1.0,), facts(device_peak_bytes=60))
    assert Row(Case(MODEL, 8, 8), ours, plain, None, None).memory_share == 0.5


def test_both_ways_restore_the_same_picture():
    case = Case("photo-xs", 61, 83, device="cpu", precision="fp32", tile=0, threads=1)
    tiled, plain = Tiled(case), Plain(case)
    for work in (tiled, plain):
        assert work.run(None) > 0
    # the last step of 8 bits may round the other way
    difference = np.abs(tiled.result.astype(int) - plain.result)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.001
    assert tiled.facts()["macs"] == plain.facts()["macs"] > 0
    assert tiled.picture_macs == plain.picture_macs == tiled.macs
    assert tiled.facts()["psnr"] > 22  # the noise alone leaves 20.5


def test_the_picture_is_always_the_same_and_has_the_size():
    for height, width in ((1, 1), (70, 33)):
        clean = drawn_picture(height, width)
        assert clean.shape == (height, width, 3)
        assert np.array_equal(with_noise(clean), with_noise(drawn_picture(height, width)))
    assert np.array_equal(drawn_picture(200, 60)[:70], drawn_picture(70, 60))


def test_a_picture_of_ones_own_is_mirrored_or_cut(tmp_path):
    from PIL import Image

    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    Image.fromarray(grey).save(tmp_path / "a.png")
    seen = clean_picture(Case(MODEL, 5, 3, picture=tmp_path / "a.png"))
    assert np.array_equal(seen[:, :, 1], grey[[0, 1, 2, 2, 1], :3])
    with pytest.raises(InputError):
        clean_picture(Case(MODEL, 5, 3, picture=tmp_path / "b.png"))


def test_runs_alternate_and_the_plain_network_has_memory_of_its_own():
    held = torch.ones(300 * 2**20, dtype=torch.uint8)  # by this process, not by the contenders
    said = []
    case = Case(MODEL, 64, 64, device="cpu", precision="fp32", threads=1)
    seen = measure(case, runs=2, baseline=True, width=16, tick=said.append)
    assert held.sum() == 300 * 2**20
    assert seen.plain is not None
    assert [len(seen.ours.seconds), len(seen.plain.seconds)] == [2, 2]
    assert ["plain" in line for line in said[-4:]] == [False, True, False, True]
    assert 50 < seen.psnr_from_float32 <= 100, "both are float32"
    assert seen.psnr_gained is None, "random weights restore nothing"
    assert seen.plain.facts.idle_bytes <= seen.plain.facts.peak_bytes < 600 * 2**20
    told = json.loads(json.dumps(seen.to_dict(), allow_nan=False))
    assert told["ours"]["median"] == statistics.median(told["ours"]["seconds"])
    assert told["ours"]["plan"]["threads"] == 1


def test_what_goes_wrong_in_a_contender_is_told_here(tmp_path):
    with Contender(Case("nothing", 8, 8)) as contender, pytest.raises(MoceError, match="nothing"):
        contender.run()


def test_a_contender_that_dies_is_a_sentence():
    with Contender(Case(MODEL, 8, 8, threads=1)) as contender:
        contender.run()
        contender._process.kill()
        with pytest.raises(MoceError, match="ended with code -9"):
            contender.run()


def test_a_picture_too_large_for_the_plain_network_has_no_baseline():
    from moce_cli.bench.pairs import _too_large

    assert _too_large(Case(MODEL, 100, 100, device="cpu"), 16) is None
    assert "GiB" in _too_large(Case(MODEL, 100_000, 100_000, device="cpu"), 16)


def test_the_plot_is_a_picture(tmp_path):
    from PIL import Image

    measured = row(plan={"tile": 64})
    without = Row(measured.case, measured.ours, None, "it is too large", measured.floor)
    assert plot([measured, without], tmp_path / "plot.png")
    with Image.open(tmp_path / "plot.png") as drawn:
        assert drawn.size[0] > 500


def test_the_command(tmp_path):
    words = ["bench", "-m", MODEL, "--size", "48x32", "--runs", "1", "--threads", "1"]
    words += ["--device", "cpu", "--baseline", "none"]
    seen = CliRunner().invoke(app, [*words, "--json", "--precision", "fp32", "--tile", "0"])
    assert seen.exit_code == 0, seen.stderr
    floor, line = map(json.loads, seen.stdout.splitlines())
    assert floor["kind"] == "floor"
    assert floor["flops"] > 1e8
    assert (line["height"], line["width"], line["speedup"]) == (32, 48, None)
    assert 0 < line["floor_share_picture"] <= line["floor_share_all_work"] < 1
    shown = CliRunner().invoke(app, words)
    assert shown.exit_code == 0
    assert "48 x 32" in shown.stdout


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--size", "12"], 2),
        (["--size", "0x5"], 2),
        (["--baseline", "best"], 2),
        (["--tile", "no"], 2),
        (["--precision", "fp8"], 2),
        (["--model", "nothing"], 4),
        (["--picture", "nothing.png"], 3),
        (["--plot", "."], 6),
        (["--files", "--model", "nothing"], 4),
        (["--files", "--tile", "64", "--tile", "128"], 2),
        (["--files", "--plot", "plot.png"], 2),
        (["--files", "--profile"], 2),
        (["--count", "2"], 2),
        (["--threads", "100000"], 2),
        (["--files", "--threads", "100000"], 2),
    ],
)
def test_bad_options(words, code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    seen = CliRunner().invoke(app, ["bench", "--runs", "1", "--size", "8x8", *words])
    assert seen.exit_code == code
    assert seen.stderr.startswith("error: ")


def test_a_picture_in_strips_is_the_same_as_in_one_piece():
    whole = with_noise(drawn_picture(150, 40))
    np.testing.assert_array_equal(np.concatenate(list(noisy_strips(150, 40))), whole)
