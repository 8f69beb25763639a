"""What `moce bench` shows: columns that say something, in the width of a terminal."""

from dataclasses import replace

import pytest
from rich.console import Console

from moce_cli.bench import Case, FileRow, FileRun, Floor, Measured, Operation, Row
from moce_cli.bench.contender import Facts
from moce_cli.cli import bench_tables

FACTS = Facts(0.1, 10, 300 * 2**20, 0, 500, 400, 2, "bf16", 30.5, {"tile": 64, "overlap": 16})
FLOOR = Floor("cpu", "bf16", 2, 1000.0, 1.0)
CASE = Case("photo-xs", 2048, 2048)
ROW = Row(
    CASE,
    Measured((1.0, 1.5, 2.0), FACTS),
    Measured((5.0, 8.0, 9.0), replace(FACTS, psnr=30.75)),
    None,
    FLOOR,
    psnr_from_float32=47.125,
)


@pytest.fixture
def shown(monkeypatch):
    console = Console(width=80, record=True, highlight=False)
    monkeypatch.setattr(bench_tables.console, "out", console)
    return console


def text(shown, *rows):
    bench_tables.show(rows, [FLOOR], {})
    said = shown.export_text()
    assert all(len(line.rstrip()) <= 80 for line in said.splitlines())
    return said


def test_a_row_beside_the_plain_network(shown):
    said = text(shown, ROW)
    for word in ("1-2", "5-9", "47.1", "-0.250", "53%", "5.00 times as fast"):
        assert word in said
    assert "device" not in said


def test_a_device_with_memory_of_its_own_has_a_column(shown):
    on_device = replace(FACTS, device_peak_bytes=77 * 2**20)
    said = text(shown, replace(ROW, ours=Measured((1.0, 1.5, 2.0), on_device)))
    line = next(line for line in said.splitlines() if line.startswith("moce"))
    assert line.split()[5:7] == ["300", "77"]


def test_a_scaled_row_says_so(shown):
    smaller = replace(CASE, height=1024, width=1024, plain=True)
    row = replace(ROW, plain_case=smaller, why_no_plain="it needs 9 GiB", psnr_from_float32=None)
    said = text(shown, row)
    for word in ("scaled from", "1024 x 1024", "20-36", "baseline scaled: it needs 9 GiB"):
        assert word in said
    assert "of its memory" not in said


def test_random_weights_have_no_quality_but_a_distance_from_float32(shown):
    said = text(shown, replace(ROW, case=replace(CASE, model="preset:moce_ir_xs")))
    assert "47.1" in said
    assert "30.5" not in said
    assert "gained" not in said


def test_operations_follow_their_row(shown):
    kernel = Operation("void at::native::" + "elementwise" * 20, 12, 0.25, 0.5)
    said = text(shown, replace(ROW, profile=(kernel,)))
    assert "50.0%" in said
    assert "..." in said


def test_files_show_what_was_measured_beside_what_was_foretold(shown):
    runs = [FileRun(4.0, s, 300 * 2**20, 1.25, 0.9) for s in (2.0, 3.0)]
    row = FileRow("photo-xs", 1000, 1000, 1, 16, False, 2.0, 200 * 2**20, tuple(runs))
    bench_tables.show_files([row, replace(row, count=3, tiles=48)])
    one, three = shown.export_text().split("\n\n")
    for word in ("1000 x 1000, 16 tiles", "2-3", "1.25", "1.50"):
        assert word in one
    assert "network busy" not in one
    for word in ("3 pictures, 48 tiles", "s to the first file", "90%"):
        assert word in three
