"""`moce eval`, by exit code, stdout, stderr and files."""

import csv
import json

import numpy as np
import pytest
from PIL import Image
from sentences import assert_sentence


@pytest.fixture
def pairs(tmp_path, picture):
    """`degraded/` and `clean/`, three pictures of 24 x 32."""
    root = tmp_path / "pairs"
    for i in range(3):
        picture(root / "clean" / f"{i}.png", seed=i)
        with Image.open(root / "clean" / f"{i}.png") as image:
            darker = np.asarray(image) // 2
        (root / "degraded").mkdir(exist_ok=True)
        Image.fromarray(darker).save(root / "degraded" / f"{i}.png")
    return root


@pytest.fixture
def evaluate(moce, model_file):
    """Run `moce eval` with the small model."""

    def run(*words):
        return moce("eval", "--model", model_file, "--device", "cpu", "--threads", 1, *words)

    return run


def test_a_folder_pair_as_a_table(evaluate, pairs):
    result = evaluate(pairs)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "PSNR and SSIM"
    assert any(line.startswith("pairs") and " 3 " in line for line in lines)
    assert "SSIM" in result.stdout
    assert "pairs, pairs: input" in result.stderr
    assert evaluate(pairs, "-q").stderr == ""


def test_json_is_one_object_a_way_and_agrees_with_csv(evaluate, pairs, tmp_path):
    result = evaluate(pairs, "--json", "--csv", tmp_path / "new" / "t.csv")
    assert result.exit_code == 0, result.output
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [row["way_kind"] for row in rows] == ["input", "model"]
    with (tmp_path / "new" / "t.csv").open(encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert [float(line["psnr"]) for line in table] == [row["psnr"] for row in rows]
    assert rows[0]["pictures"] == len(rows[0]["scores"]) == 3


def test_a_suite_with_crop_and_limit(evaluate, picture, tmp_path):
    for i in range(4):
        picture(tmp_path / "photos" / f"{i}.png", 48, 40, seed=i)
    words = (tmp_path / "photos", "--suite", "noise 25,undamaged", "--crop", 24, "--limit", 2)
    result = evaluate(*words, "--json")
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [row["damage"] for row in rows] == ["undamaged", "undamaged", "noise 25", "noise 25"]
    assert rows[0]["megapixels"] == pytest.approx(2 * 24 * 24 / 1e6)
    assert [s["name"] for s in rows[0]["scores"]] == ["0.png", "2.png"]
    assert rows[0]["psnr_equal"] is True
    assert 18 < rows[2]["psnr"] < 24
    assert evaluate(*words, "--json").stdout.count('"scores"') == 4
    again = [json.loads(line) for line in evaluate(*words, "--json").stdout.splitlines()]
    assert [row["psnr"] for row in again] == [row["psnr"] for row in rows]
    other = [
        json.loads(line) for line in evaluate(*words, "--json", "--seed", 1).stdout.splitlines()
    ]
    assert other[2]["psnr"] != rows[2]["psnr"]


def test_several_models_filters_markdown_and_a_page(evaluate, pairs, tmp_path):
    target = tmp_path / "report.html"
    result = evaluate(
        pairs, "-m", "preset:moce_ir_xs", "--compare", "opencv", "--markdown", "--page", target,
        "--page-pictures", 1, "--routing", "tile",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    header = next(line for line in result.stdout.splitlines() if line.startswith("| damage"))
    assert "preset:moce_ir_xs gain" in header
    assert "best filter" in header
    assert "non-local means" in result.stdout
    text = target.read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    assert text.count('<img alt="') == 5


def test_pictures_of_a_page_need_a_page(evaluate, pairs):
    assert_sentence(evaluate(pairs, "--page-pictures", 3), 2, "--page-pictures", "--page FILE")
    result = evaluate(pairs, "--page-pictures", 3, "--oracle")
    assert_sentence(result, 2, "--oracle and --page-pictures exclude each other")


def test_existing_outputs_are_refused_before_anything_runs(evaluate, pairs, tmp_path):
    there = tmp_path / "t.csv"
    there.write_text("mine")
    assert_sentence(evaluate(pairs, "--csv", there), 6, "t.csv", "--overwrite")
    assert_sentence(evaluate(pairs, "--page", tmp_path), 6, "is a folder")
    assert_sentence(evaluate(pairs, "--page", there / "x.html"), 6, "cannot be made")
    assert there.read_text() == "mine"
    assert evaluate(pairs, "--csv", there, "--overwrite").exit_code == 0
    assert there.read_text().startswith("dataset,")


def test_a_bad_picture_is_told_and_left_out(evaluate, pairs):
    (pairs / "degraded" / "1.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    result = evaluate(pairs, "--json")
    assert result.exit_code == 1
    assert "1.png is left out" in result.stderr
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [row["pictures"] for row in rows] == [2, 2]
    assert rows[0]["failed"][0]["name"] == "1.png"


@pytest.fixture
def unequal(tmp_path, picture):
    """A pair of two sizes."""
    picture(tmp_path / "unequal" / "clean" / "0.png", 24, 32)
    picture(tmp_path / "unequal" / "degraded" / "0.png", 24, 40)
    return tmp_path / "unequal"


@pytest.mark.parametrize("filters", [(), ("--compare", "opencv")])
def test_a_row_that_fails_is_told_and_the_others_are_scored(
    evaluate, pairs, unequal, tmp_path, filters
):
    target, table = tmp_path / "page.html", tmp_path / "t.csv"
    words = (unequal, pairs, *filters, "--csv", table, "--page", target, "--overwrite")
    result = evaluate(*words)
    assert result.exit_code == 1
    told = "unequal, unequal is left out: 0 of 1 samples could be scored"
    (warning,) = [line for line in result.stderr.splitlines() if line.startswith("warning: ")]
    assert warning.startswith(f"warning: {told}; the first: ")
    assert "40 x 24" in warning
    assert "1 sample could not be measured: left out of the figures" in result.stderr
    assert any(line.startswith("pairs") and " 3 " in line for line in result.stdout.splitlines())
    assert f"- {told}\n" in result.stdout
    assert told in target.read_text(encoding="utf-8")
    with table.open(encoding="utf-8") as file:
        assert {line["dataset"] for line in csv.DictReader(file)} == {"pairs"}
    result = evaluate(pairs, unequal, *filters, "--json")
    assert result.exit_code == 1
    *scores, lost = [json.loads(line) for line in result.stdout.splitlines()]
    assert {row["dataset"] for row in scores} == {"pairs"}
    (failure,) = lost.pop("failed")
    assert lost == {
        "kind": "failed-row",
        "dataset": "unequal",
        "damage": "unequal",
        "samples": 1,
    }
    assert (failure["name"], failure["exit_code"]) == ("0.png", 3)
    assert "40 x 24" in failure["message"]


def test_where_every_row_fails_the_first_failure_ends_it(evaluate, pairs, unequal):
    for path in (pairs / "clean").iterdir():
        path.write_bytes(b"no")
    result = evaluate(unequal, pairs, "--json")
    assert result.exit_code == 3
    lost = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(row["kind"], len(row["failed"])) for row in lost] == [
        ("failed-row", 1), ("failed-row", 3)
    ]  # fmt: skip
    warnings, errors = result.stderr.splitlines()[:2], result.stderr.splitlines()[2:]
    assert all("is left out" in line for line in warnings)
    assert errors[0].startswith("error: ")
    assert "40 x 24" in errors[0]


def test_any_whole_number_is_a_seed(evaluate, picture, tmp_path):
    picture(tmp_path / "photos" / "a.png", 24, 32)
    words = (tmp_path / "photos", "--suite", "noise 25,jpeg 20", "--seed", 9999999999999)
    assert evaluate(*words).exit_code == 0
    assert evaluate(*words, "--oracle", "--crop", 16).exit_code == 0


def test_two_outputs_are_two_files(evaluate, pairs, tmp_path):
    (tmp_path / "here").symlink_to(tmp_path)
    for name in ("x", "here/x", "../" + tmp_path.name + "/x"):
        words = ("--csv", tmp_path / "x", "--page", tmp_path / name, "--overwrite")
        assert_sentence(evaluate(pairs, *words), 2, "would become one file", "name two files")
    assert not (tmp_path / "x").exists()


def test_bad_inputs_are_sentences(evaluate, pairs, tmp_path, picture):
    assert_sentence(evaluate(tmp_path / "nowhere"), 3, "nowhere is not there")
    picture(tmp_path / "photos" / "a.png")
    assert_sentence(evaluate(tmp_path / "photos"), 3, "no benchmark", "--suite all")
    (tmp_path / "empty").mkdir()
    assert_sentence(evaluate(tmp_path / "empty", "--suite", "all"), 3, "holds no pictures")
    assert_sentence(evaluate(tmp_path / "photos", "--suite", "fog 3"), 2, "'fog 3'", "noise 25")
    for part in ("clean", "degraded"):
        (pairs / part / "0.png").write_bytes(b"no")
        (pairs / part / "1.png").write_bytes(b"no")
        (pairs / part / "2.png").write_bytes(b"no")
    assert_sentence(evaluate(pairs), 3, "0.png")


def test_options_that_do_not_go_together(evaluate, pairs, tmp_path, moce):
    assert_sentence(evaluate(pairs, "--compare", "gimp"), 2, "'gimp'", "opencv")
    assert_sentence(evaluate(pairs, "--json", "--markdown"), 2, "--markdown")
    assert_sentence(evaluate(pairs, "--oracle", "--compare", "opencv"), 2, "--compare")
    assert_sentence(evaluate(pairs, "--oracle", "--page", tmp_path / "p.html"), 2, "--page")
    assert_sentence(evaluate(pairs, "--oracle", "--routing", "tile"), 2, "--routing")
    assert_sentence(moce("eval", pairs, "-m", "a", "-m", "a"), 2, "twice")
    assert_sentence(evaluate(pairs, "--precision", "fp8"), 2, "fp8")
    assert_sentence(moce("eval", pairs, "-m", "no-such-model"), 4, "no-such-model")
    assert evaluate(pairs, "--crop", 2).exit_code == 2
    assert evaluate(pairs, "--limit", 0).exit_code == 2
    assert moce("eval").exit_code == 2


def test_the_oracle(evaluate, picture, tmp_path):
    for i in range(2):
        picture(tmp_path / "photos" / f"{i}.png", 48, 40, seed=i)
    words = (tmp_path / "photos", "--suite", "undamaged,noise 50", "--oracle", "--crop", 24)
    result = evaluate(*words, "--csv", tmp_path / "o.csv")
    assert result.exit_code == 0, result.output
    assert "Ways to choose experts" in result.stdout
    assert "swapped between damages" in result.stdout
    assert "What the routing tells about the damage" in result.stdout
    assert len((tmp_path / "o.csv").read_text().splitlines()) == 1 + 2 * 9
    rows = [json.loads(line) for line in evaluate(*words, "--json").stdout.splitlines()]
    assert [row["kind"] for row in rows] == ["oracle"] + ["oracle-rival"] * 8 + ["oracle-row"] * 2
    assert rows[0]["side"] == 24
    assert "**PSNR by damage" in evaluate(*words, "--markdown").stdout


def test_benchmarks_are_run_by_the_papers_protocol_unless_asked_for(evaluate, picture, tmp_path):
    for part in ("input", "target"):
        picture(tmp_path / "llie/LOLv1/Test" / part / "1.png", 272, 288, seed=len(part))

    def ran(*words):
        row = json.loads(evaluate(tmp_path, "--json", *words).stdout.splitlines()[1])
        assert f"tile {row['tile']}" in row["protocol"]
        assert f"{row['precision']}, routing {row['routing']}, on cpu" in row["protocol"]
        return row["tile"], row["precision"]

    assert ran() == (0, "fp32")
    assert ran("--tile", "128")[0] == 128
    assert ran("--tile", "auto")[0] == 288  # the one that covers it with least work
    assert ran("--precision", "bf16") == (0, "bf16")


def test_a_file_goes_by_its_card_in_tables_and_twice_by_its_stem(evaluate, model_file, pairs):
    second = model_file.with_name("second.safetensors")
    second.write_bytes(model_file.read_bytes())
    alone = evaluate(pairs, "--markdown").stdout
    assert str(model_file) not in alone
    header = next(
        line
        for line in evaluate(pairs, "-m", second, "--markdown").stdout.splitlines()
        if line.startswith("| damage")
    )
    assert "| second gain |" in header
    assert f"| {model_file.stem} gain |" in header
    assert str(second.parent) not in header


def test_measured_kernels_are_a_row(evaluate, picture, tmp_path):
    picture(tmp_path / "photos" / "a.png", 40, 48)
    (tmp_path / "kernels").mkdir()
    np.save(tmp_path / "kernels" / "bar.npy", np.ones((1, 7)))
    result = evaluate(tmp_path / "photos", "--kernels", tmp_path / "kernels", "--json")
    assert result.exit_code == 0, result.output
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert {row["damage"] for row in rows} == {"kernel 1"}
    assert "measured kernels, 1 of kernels" in rows[0]["protocol"]
    both = ("--suite", "undamaged,kernel 1", "--kernels", tmp_path / "kernels", "--json")
    rows = [json.loads(s) for s in evaluate(tmp_path / "photos", *both).stdout.splitlines()]
    assert [row["damage"] for row in rows[::2]] == ["undamaged", "kernel 1"]
    assert "(1 picture)\n" in evaluate(tmp_path / "photos", "--suite", "undamaged").stderr
    alone = evaluate(tmp_path / "photos", "--suite", "kernel 1")
    assert_sentence(alone, 2, "'kernel 1' needs measured kernels", "--kernels")
    assert_sentence(
        evaluate(tmp_path / "photos", "--kernels", tmp_path / "no"), 3, "no is not there"
    )
