"""`moce bench --files` and `--start`: the whole command, as it was asked for, run by run."""

import json
import statistics

import pytest
from typer.testing import CliRunner

from moce_cli.bench import FileRow, FileRun, Start, StartRun, files, measure_file, measure_start
from moce_cli.cli.app import app
from moce_cli.errors import MoceError

MODEL = "preset:moce_ir_xs"
WORDS = ("--tile", "64", "--precision", "fp32", "--overlap", "8", "--batch", "2")


def file_run(seconds, peak_bytes=100):
    return FileRun(seconds + 1, seconds, peak_bytes, seconds, 0.5)


def file_row(*runs, count=1, foretold_seconds=2.0):
    return FileRow(MODEL, 1000, 1000, count, 3, False, foretold_seconds, 80, runs)


def test_the_middle_counts_of_time_and_the_largest_of_memory():
    row = file_row(file_run(3.0), file_run(9.0, 160), file_run(4.0), count=2)
    assert (row.seconds, row.seconds_over_foretold) == (4.0, 2.0)
    assert row.seconds_per_megapixel == 2.0
    assert (row.peak_bytes, row.bytes_over_foretold) == (160, 2.0)
    assert file_row(file_run(1.0), foretold_seconds=None).seconds_over_foretold is None


def test_every_run_is_told():
    runs = [file_run(3.0), file_run(9.0)]
    told = json.loads(json.dumps(file_row(*runs).to_dict(), allow_nan=False))
    assert [run["seconds"] for run in told["runs"]] == [3.0, 9.0]
    assert told["seconds"] == 6.0
    parts = [StartRun(float(i), 1.0, 0.5, 0.5, 0.1) for i in range(3)]
    told = Start(8, 8, tuple(parts)).to_dict()
    assert [run["whole"] for run in told["runs"]] == [0.0, 1.0, 2.0]
    assert told["whole"] == 1.0


def test_files_are_measured_with_what_was_foretold():
    row = measure_file("photo-xs", height=300, width=400, runs=1, options=["--tile", "128"])
    assert row.tiles > 1
    assert not row.in_bands
    assert 0 < row.seconds < row.runs[0].whole
    assert row.peak_bytes > 2**27, "torch alone takes more"
    assert 0.5 < 1 / row.bytes_over_foretold < 2
    assert row.to_dict()["seconds_per_megapixel"] == pytest.approx(row.seconds / 0.12)


def test_a_folder_is_measured_from_its_first_file_to_its_last():
    row = measure_file(MODEL, height=40, width=60, runs=2, options=["--threads", "1"], count=3)
    assert (row.count, row.tiles, len(row.runs)) == (3, 3, 2)
    for run in row.runs:
        assert 0 < run.first <= run.seconds == run.whole
        assert 0 < run.network_busy <= 1
    assert row.seconds == statistics.median(run.whole for run in row.runs)


def test_the_network_is_busy_all_along_with_one_picture():
    row = measure_file(MODEL, height=16, width=16, runs=1, options=["--threads", "1"])
    assert row.runs[0].network_busy == 1


def test_files_are_measured_as_it_is_asked_for(monkeypatch):
    asked = []

    def measured(model, *, height, width, runs, options, count):
        asked.append((height, width, runs, count, *options))
        raise MoceError("enough")

    monkeypatch.setattr("moce_cli.bench.measure_file", measured)
    words = ["--files", "--size", "30x20", "--threads", "1", "--count", "7", *WORDS]
    CliRunner().invoke(app, ["bench", *words])
    assert asked == [(20, 30, 5, 7, "--device", "auto", "--threads", "1", *WORDS)]


def test_the_start_is_measured_as_it_is_asked_for(monkeypatch):
    asked = []

    def started(model, *, height, width, runs, options, picture):
        asked.append((height, width, picture, *options))
        return Start(height, width, (StartRun(1.0, 0.5, 0.25, 0.25, 0.1),))

    monkeypatch.setattr("moce_cli.bench.measure_start", started)
    words = ["-m", MODEL, "--size", "30x20", "--threads", "1", "--runs", "1", "--start", *WORDS]
    words += ["--baseline", "none", "--device", "cpu"]
    seen = CliRunner().invoke(app, ["bench", *words, "--tile", "0"])
    assert seen.exit_code == 0, seen.stderr
    expected = ("--device", "cpu", "--threads", "1", *WORDS)
    assert asked[0] == (20, 30, None, *expected)
    assert asked[1][8] == "0", "each tile is a start of its own"
    assert "start to file" in seen.stdout


def test_the_start_falls_into_parts():
    seen = measure_start(MODEL, height=16, width=16, runs=1, options=["--threads", "1"])
    assert (seen.height, seen.width) == (16, 16)
    (run,) = seen.runs
    assert min(run.whole, run.importing, run.network, run.ending) > 0
    assert run.whole == pytest.approx(run.importing + run.network + run.rest)
    with pytest.raises(MoceError, match="there is no model"):
        measure_start("nothing", height=16, width=16, runs=1, options=[])


def test_a_folder_that_cannot_be_planned_is_a_sentence(monkeypatch):
    error = {"message": "it is too large", "hint": None}
    ran = files._Ran(1.0, 1, 1.0, [{"status": "failing", "error": error}])
    monkeypatch.setattr(files, "_run", lambda command: ran)
    with pytest.raises(MoceError, match="it is too large"):
        measure_file(MODEL, height=8, width=8, runs=1, options=[], count=2)


@pytest.mark.slow
@pytest.mark.parametrize(("height", "width"), [(1000, 1000), (2000, 3000)])
def test_what_a_picture_takes_is_foretold_to_a_quarter(height, width):
    """Of its memory; its time depends on who else uses the machine meanwhile."""
    row = measure_file("photo-xs", height=height, width=width, runs=1, options=[])
    assert 0.75 < row.bytes_over_foretold < 1.25
    assert row.seconds_over_foretold is not None
    assert 0.5 < row.seconds_over_foretold < 2
