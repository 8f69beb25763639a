"""`moce compare` and `moce info --map`, by exit code, stdout, stderr and files."""

import json
import os

import numpy as np
import pytest
from PIL import Image
from sentences import assert_sentence


@pytest.fixture
def pair(picture, tmp_path):
    """A picture, and the same a level darker, as JPEG."""
    before = picture(tmp_path / "before.png", 60, 80, dpi=(300, 300))
    with Image.open(before) as image:
        Image.fromarray(np.asarray(image) // 2).save(tmp_path / "after.jpg")
    return before, tmp_path / "after.jpg"


def test_without_an_output_a_table_tells_what_was_kept(moce, pair):
    shown = moce("compare", *pair)
    assert shown.exit_code == 0, shown.output
    rows = {line.split()[0]: line for line in shown.stdout.splitlines() if line.split()}
    assert rows["format"].split() == ["format", "PNG", "changed", "JPEG"]
    assert rows["resolution"].split()[-1] == "lost"
    assert rows["size"].split()[-1] == "kept"
    assert "after.jpg: differs by" in shown.stdout


def test_the_same_file_twice_is_equal(moce, pair):
    assert "every pixel is equal" in moce("compare", pair[0], pair[0]).stdout


def test_json_tells_the_same(moce, pair, tmp_path):
    result = moce("compare", *pair, "--json", "-o", tmp_path / "look.html")
    row = json.loads(result.stdout)
    assert row["output"] == str(tmp_path / "look.html")
    assert (row["before"]["height"], row["before"]["width"]) == (60, 80)
    (after,) = row["after"]
    assert after["lost"] == ["resolution"]
    assert after["changed"] == ["format"]
    assert 50 < after["difference"]["mean"] < 80
    assert "experts" not in row


def test_a_page_with_the_map_of_experts(moce, pair, model_file, tmp_path):
    target = tmp_path / "new" / "look.html"
    words = (
        "compare",
        *pair,
        pair[0],
        "-o",
        target,
        "--experts",
        "--model",
        model_file,
        "--threads",
        1,
    )
    result = moce(*words, "--tile", 32, "--json")
    assert result.exit_code == 0, result.output
    text = target.read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    assert text.count("data:image/webp;base64,") == 3
    experts = json.loads(result.stdout)["experts"]
    assert text.count("<g data-experts=") == len(experts["tile_experts"]) > 4
    assert [p.name for p in target.parent.iterdir()] == ["look.html"], "no part of a file stays"
    forced = moce(*words, "--overwrite", "--routing", "2", "-q")
    assert (forced.exit_code, forced.output) == (0, "")
    assert "expert 2 was forced" in target.read_text(encoding="utf-8")


def test_the_map_in_the_terminal(moce, pair, model_file):
    words = ("compare", *pair, "--experts", "--model", model_file, "--tile", 32, "--threads", 1)
    shown = moce(*words)
    assert shown.exit_code == 0, shown.output
    grid = [line for line in shown.stdout.splitlines() if set(line) <= set("0123 ") and line]
    assert len(grid) >= 2
    assert len({len(line) for line in grid}) == 1


def test_a_picture_side_by_side(moce, pair, tmp_path):
    for name in ("look.png", "look.jpg"):
        result = moce("compare", *pair, "-o", tmp_path / name)
        assert result.exit_code == 0, result.output
        assert result.stdout == ""
        with Image.open(tmp_path / name) as image:
            assert image.width > 2 * 80
            assert image.height > 60


def test_a_page_on_a_pipe(moce, pair):
    result = moce("compare", *pair, "-o", "-")
    assert result.exit_code == 0
    assert result.stdout_bytes.startswith(b"<!doctype html>")
    assert result.stdout_bytes.endswith(b"</html>\n")
    assert_sentence(moce("compare", *pair, "-o", "-", "--json"), 2, "--json")


def test_loss_makes_the_page_smaller(moce, pair, tmp_path):
    for quality in (None, 50):
        options = ("--quality", quality) if quality else ()
        assert moce("compare", *pair, "-o", tmp_path / f"{quality}.html", *options).exit_code == 0
    sizes = [(tmp_path / f"{quality}.html").stat().st_size for quality in (None, 50)]
    assert sizes[1] < sizes[0]


def test_outputs_are_checked_before_anything_is_read(moce, pair, tmp_path):
    there = tmp_path / "look.html"
    there.write_text("mine")
    missing = tmp_path / "no.png"
    assert_sentence(moce("compare", pair[0], missing, "-o", there), 6, "look.html", "--overwrite")
    assert_sentence(moce("compare", pair[0], missing, "-o", tmp_path / "a.pdf"), 6, "a.pdf")
    assert_sentence(moce("compare", pair[0], missing, "-o", tmp_path / "look"), 6, ".html")
    assert_sentence(moce("compare", pair[0], missing, "-o", there / "x.html"), 6, "cannot be made")
    assert_sentence(moce("compare", pair[0], missing, "-o", "."), 6, ". is neither")
    for word in pair:
        refused = moce("compare", *pair, "-o", word, "--overwrite")
        assert_sentence(refused, 2, "is an input")
    assert there.read_text() == "mine"
    assert moce("compare", *pair, "-o", there, "--overwrite").exit_code == 0
    assert there.read_text(encoding="utf-8") != "mine"


def test_bad_inputs_are_sentences(moce, pair, picture, tmp_path):
    assert_sentence(moce("compare", pair[0], tmp_path / "no.png"), 3, "no.png")
    assert_sentence(moce("compare", pair[0], tmp_path), 3, "is a folder")
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"x" * 40)
    assert_sentence(moce("compare", tmp_path / "bad.png", pair[0]), 3, "bad.png")
    turned = picture(tmp_path / "turned.png", 80, 60)
    assert_sentence(moce("compare", pair[0], turned), 3, "turned.png", "not of one shape")
    assert_sentence(moce("compare", *pair, "--max-pixels", "100"), 3, "before.png")
    assert moce("compare", pair[0]).exit_code == 2
    assert moce("compare").exit_code == 2


def test_no_option_is_taken_and_not_used(moce, pair):
    assert_sentence(moce("compare", *pair, "--model", "photo-xs"), 2, "--model", "--experts")
    assert_sentence(moce("compare", *pair, "--tile", 64), 2, "--tile", "--experts")
    assert_sentence(moce("compare", *pair, "--quality", 80), 2, "--quality", "-o")
    assert_sentence(moce("compare", *pair, "--quality", 80, "-o", "a.png"), 2, "without loss")
    assert_sentence(
        moce("compare", *pair, "--experts", "--model", "no-such-model"), 4, "no-such-model"
    )


@pytest.mark.skipif(os.name == "nt", reason="names there are text")
def test_names_of_any_bytes(moce, pair, tmp_path):
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/\xff<b>[red]\n.png")
    pair[0].rename(odd)
    shown = moce("compare", odd, pair[1], "-o", tmp_path / "look.html")
    assert shown.exit_code == 0, shown.output
    text = (tmp_path / "look.html").read_text(encoding="utf-8")
    assert "\\udcff&lt;b&gt;[red]\\n.png" in text
    assert "[red]" in moce("compare", odd, pair[1]).stdout
    assert moce("compare", odd, pair[1], "-o", tmp_path / "look.png").exit_code == 0


def test_info_draws_a_map(moce, picture, tmp_path):
    source = picture(tmp_path / "a.png", 60, 80)
    target = tmp_path / "maps" / "experts.png"
    shown = moce("info", source, "--threads", 1, "--map", target, "--tile", 32)
    assert shown.exit_code == 0, shown.output
    assert "routing by tile" in shown.stdout
    assert "of the decisions" in shown.stdout
    with Image.open(target) as image:
        assert min(image.size) > 300
    row = json.loads(
        moce(
            "info", source, "--threads", 1, "--map", target, "--tile", 32, "--overwrite", "--json"
        ).stdout
    )
    assert row["map"] == str(target)
    assert row["routing"] == "tile"
    assert len(row["tile_experts"]) > 4


def test_info_maps_another_routing_if_asked(moce, picture, tmp_path):
    source = picture(tmp_path / "a.png", 60, 80)
    options = ("--threads", 1, "--tile", 32, "--map", tmp_path / "m.png", "--routing", "image")
    shown = moce("info", source, *options)
    assert shown.exit_code == 0, shown.output
    assert "routing by image" in shown.stdout
    assert (tmp_path / "m.png").exists()


def test_info_shows_the_map_where_tiles_chose_and_only_there(moce, picture, tmp_path):
    source = picture(tmp_path / "a.png", 60, 80)
    words = ("info", source, "--threads", 1, "--tile", 32)
    assert "of the decisions" not in moce(*words).stdout
    row = json.loads(moce(*words, "--routing", "tile", "--json").stdout)
    shown = moce(*words, "--routing", "tile").stdout.splitlines()
    grid = [line.split() for line in shown if line and set(line) <= set("0123 ")]
    told = [int(number) for line in grid for number in line]
    most = [min(set(t), key=lambda e, t=t: (-t.count(e), e)) for t in row["tile_experts"]]
    assert told == most


def test_info_refuses_a_map_it_could_not_write(moce, picture, tmp_path):
    source = picture(tmp_path / "a.png")
    (tmp_path / "m.png").write_text("mine")
    assert_sentence(moce("info", source, "--map", tmp_path / "m.png"), 6, "--overwrite")
    refused = moce("info", source, "--map", tmp_path / "m.pdf")
    assert_sentence(refused, 6, "m.pdf", "--map")
    assert "--format" not in refused.stderr, "an option that info does not have"
    assert_sentence(moce("info", source, "--map", source, "--overwrite"), 2, "is an input")
    assert (tmp_path / "m.png").read_text() == "mine"
