"""Rows through models: what is counted, and what the tables say of it."""

import csv
import io
import json
import math

import numpy as np
import pytest
from eval_files import clean_folder, noise, pair_folder, restorer

from moce_cli.errors import InputError
from moce_cli.evaluation import find_rows, opencv, suite_rows
from moce_cli.evaluation.datasets import Row, RowError, Sample, unit
from moce_cli.evaluation.metrics import Scores, measure
from moce_cli.evaluation.page import page
from moce_cli.evaluation.score import INPUT, SEEN_DB, _Record, score_row
from moce_cli.evaluation.tables import Table, score_csv, score_objects, score_table
from moce_cli.psnr import psnr


@pytest.fixture(scope="module")
def row(tmp_path_factory):
    return suite_rows(clean_folder(tmp_path_factory.mktemp("clean"), 3), ["noise 25"])[0]


def test_a_model_that_does_nothing_scores_what_the_input_scores(row):
    seen = []
    result = score_row(row, [("idle", restorer(identity=True))], progress=seen.append)
    before, after = result.ways
    assert (before.way, after.way) == (INPUT, "idle")
    assert after.scores == before.scores
    assert after.gain == 0
    assert after.gain_error == 0
    assert before.gain is None
    assert seen == [s.name for s in row.samples]
    expected = [psnr(*map(unit, s.load())) for s in row.samples]
    assert before.scores.psnr == pytest.approx(np.mean(expected))
    assert before.psnr_error == pytest.approx(np.std(expected, ddof=1) / math.sqrt(3))
    assert before.least_psnr == pytest.approx(min(expected))
    assert result.megapixels == pytest.approx(3 * 48 * 64 / 1e6)


def test_harmed_are_pictures_made_worse_to_an_eye(row):
    idle, random = restorer(identity=True), restorer()
    kept, changed = score_row(row, [("idle", idle), ("random", random)]).ways[1:]
    assert kept.harmed == 0
    before = [scores.psnr for _, scores in kept.pictures]
    worse = [
        after.psnr < b and after.psnr < SEEN_DB
        for (_, after), b in zip(changed.pictures, before, strict=True)
    ]
    assert changed.harmed == sum(worse) > 0


def test_of_undamaged_pictures_those_are_harmed_that_changed_visibly(tmp_path):
    clean = suite_rows(clean_folder(tmp_path, 2), ["undamaged"])[0]
    ways = score_row(clean, [("random", restorer()), ("idle", restorer(identity=True))]).ways
    assert [way.harmed for way in ways] == [0, 2, 0]
    slight = _Record("slight", "model", pictures=[("a", scored(40.1)), ("b", scored(39.9))])
    equal = _Record(INPUT, "input", pictures=[("a", scored(math.inf)), ("b", scored(math.inf))])
    assert slight.result(equal, 1.0).harmed == 1


def scored(psnr):
    return Scores(psnr, 1.0, 1.0)


def test_eight_bits_or_floats(row):
    model = restorer()
    degraded, clean = row.samples[0].load()
    as_saved = measure(unit(model.restore(degraded).picture), unit(clean))
    floats = measure(model.restore(unit(degraded)).picture, unit(clean))
    assert as_saved.psnr != floats.psnr
    for quantised, expected in ((None, as_saved), (True, as_saved), (False, floats)):
        result = score_row(row, [("m", model)], quantised=quantised)
        assert result.ways[1].pictures[0][1] == expected
        assert result.quantised is (quantised is not False)
    assert "floats" in result.protocol
    paper = Row("b", "r", row.samples, quantised=False)
    assert score_row(paper, [("m", model)]).ways[1].pictures[0][1] == floats


def test_models_filters_and_shares(row):
    model = restorer()
    median = [way for way in opencv.ways() if way.name in ("median", "Gaussian")]
    tuned = opencv.tune(row, median)
    result = score_row(row, [("m", model), ("n", restorer(identity=True))], tuned, show=2)
    assert [way.kind for way in result.ways] == ["input", "model", "model", "opencv", "opencv"]
    assert result.best_filter.scores.psnr == max(w.scores.psnr for w in result.ways[3:])
    assert result.best_filter.parameters in [f.describe() for f in tuned]
    way = result.ways[1]
    assert sum(way.experts.values()) == pytest.approx(1)
    fired = model.restore(row.samples[0].load()[0]).report
    assert 0 < way.saved_of_network == pytest.approx(fired.macs.saved_of_network, abs=0.2)
    assert [shown.name for shown in result.shown] == [row.samples[0].name, row.samples[1].name]
    shown = result.shown[0]
    assert np.array_equal(shown.restored, model.restore(shown.degraded).picture)
    assert shown.scores == (result.ways[0].pictures[0][1], way.pictures[0][1])


def test_a_sample_that_cannot_be_read_is_left_out_for_all_and_told(row):
    def broken():
        raise InputError("b.png is damaged")

    mixed = Row("d", "r", (Sample("b.png", "b", broken), *row.samples))
    result = score_row(mixed, [("idle", restorer(identity=True))])
    assert [(name, error.message) for name, error in result.failed] == [
        ("b.png", "b.png is damaged")
    ]
    assert all(len(way.pictures) == 3 for way in result.ways)
    assert score_objects(result)[0]["failed"][0]["exit_code"] == 3
    assert score_table([result]).notes[-1] == "1 sample could not be scored: left out"
    assert "<p>3 samples in 1 row. " in page([result], "t")
    with pytest.raises(RowError, match=r"b.png is damaged") as told:
        score_row(Row("d", "r", mixed.samples[:1]), [("idle", restorer(identity=True))])
    lost = told.value
    assert lost.exit_code == InputError.exit_code
    assert [name for name, _ in lost.failed] == ["b.png"]
    assert lost.told == "d, r is left out: 0 of 1 samples could be scored"
    assert score_table([result], [lost]).notes[-1] == lost.told
    assert lost.told in page([result], "t", [lost])
    with pytest.raises(RowError, match="r has no pictures"):
        score_row(Row("d", "r", ()), [("idle", restorer(identity=True))])


def test_an_undamaged_row_and_the_average_without_it(tmp_path):
    rows = suite_rows(clean_folder(tmp_path, 2), ["undamaged", "noise 15", "noise 50"])
    model = restorer(identity=True)
    results = [score_row(row, [("idle", model)]) for row in rows]
    assert results[0].ways[1].scores.psnr == math.inf
    assert results[0].ways[1].gain is None
    table = score_table(results)
    assert table.rows[0][table.headers.index("input dB")] == "equal"
    average = table.rows[-1]
    assert average[0] == "average of 2 damaged"
    expected = np.mean([r.ways[0].scores.psnr for r in results[1:]])
    assert average[table.headers.index("dB")] == f"{expected:.2f}"
    line = score_objects(results[0])[1]
    assert (line["psnr"], line["psnr_equal"]) == (None, True)


def test_json_and_csv_parse_back(row):
    tuned = opencv.tune(row, opencv.ways()[2:4])
    results = [score_row(row, [("a|b, 'c'", restorer())], tuned)]
    objects = [json.loads(json.dumps(o, allow_nan=False)) for o in score_objects(results[0])]
    lines = list(csv.DictReader(io.StringIO(score_csv(results))))
    assert len(objects) == len(lines) == 4
    for json_line, csv_line, way in zip(objects, lines, results[0].ways, strict=True):
        assert json_line["way"] == csv_line["way"] == way.way
        assert json_line["psnr"] == float(csv_line["psnr"]) == pytest.approx(way.scores.psnr)
        assert json_line["ssim_gaussian"] == pytest.approx(way.scores.ssim_gaussian, abs=1e-6)
        assert [s["name"] for s in json_line["scores"]] == [s.name for s in row.samples]
        assert csv_line["lpips"] == ""
    assert {int(e): s for e, s in objects[1]["experts"].items()} == pytest.approx(
        results[0].ways[1].experts, abs=1e-6
    )


def test_pictures_too_small_for_a_window_have_no_ssim_but_a_psnr(tmp_path):
    pair_folder(tmp_path, 2, 6, 9)
    result = score_row(find_rows(tmp_path)[0], [("idle", restorer(identity=True))])
    assert math.isnan(result.ways[1].scores.ssim_uniform)
    assert result.ways[1].scores.psnr > 40
    assert score_objects(result)[1]["ssim_uniform"] is None


def test_a_table_as_text_and_as_markdown():
    table = Table("T", ("name", "a long header"), (("x|y", "1.5"), ("z", "-20.25")), notes=("n",))
    head, body = table.to_text()
    assert head == ["      a long", "name  header"]
    assert body == ["x|y      1.5", "z     -20.25"]
    lines = table.to_markdown().splitlines()
    assert lines[2:5] == ["| name | a long header |", "| :-- | --: |", r"| x\|y | 1.5 |"]
    assert lines[-1] == "- n"


def test_sixteen_bit_pairs_are_scored_at_their_depth():
    clean = noise().astype(np.uint16) * 257
    degraded = np.clip(clean.astype(int) + 100, 0, 65535).astype(np.uint16)
    row = Row("d", "r", (Sample("a", "a", lambda: (degraded, clean)),))
    tuned = opencv.tune(row, [way for way in opencv.ways() if way.name == "median"])
    result = score_row(row, [("idle", restorer(identity=True))], tuned)
    assert 55 < result.ways[1].scores.psnr < 57  # 100 of 65535; in 8 bits nothing would differ


def test_one_equal_picture_does_not_make_a_row_equal():
    clean, dark = noise(), noise() // 2
    samples = tuple(Sample(n, n, lambda d=d: (d, clean)) for n, d in (("a", clean), ("b", dark)))
    result = score_row(Row("d", "r", samples), [("idle", restorer(identity=True))])
    expected = (100 + psnr(unit(dark), unit(clean))) / 2
    for way in result.ways:
        assert way.scores.psnr == pytest.approx(expected)
        assert math.isfinite(way.psnr_error)
    assert result.ways[1].gain == 0
    (_, line) = score_objects(result)
    assert (line["psnr_equal"], line["psnr_cap"]) == (False, 100)
    assert [s["psnr_equal"] for s in line["scores"]] == [True, False]
    assert "100 dB" in score_table([result]).notes[0]


def test_the_protocol_and_json_name_how_a_model_was_run(row):
    model = restorer(tile=32, overlap=8, routing="tile")
    result = score_row(row, [("m", model)])
    assert result.protocol.endswith("tile 32, overlap 8, fp32, routing tile, on cpu")
    before, line = score_objects(result)
    keys = ("tile", "overlap", "precision", "routing", "device")
    assert [line[key] for key in keys] == [32, 8, "fp32", "tile", "cpu"]
    assert {before[key] for key in keys} == {None}
