"""`moce restore`, `moce info` and `moce doctor`, by exit code, stdout and stderr."""

import json

import numpy as np
import pytest
from PIL import Image
from sentences import assert_sentence

from moce_cli import __version__


def test_one_file_beside_the_input(moce, picture, tmp_path):
    source = picture(tmp_path / "rainy.jpg")
    result = moce("restore", source)
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    made = tmp_path / "rainy.restored.jpg"
    assert "rainy.restored.jpg" in result.stderr
    with Image.open(made) as image:
        assert (image.format, image.size) == ("JPEG", (32, 24))


def test_the_extension_decides_and_format_overrules(moce, picture, tmp_path):
    source = picture(tmp_path / "a.png")
    for name, options, kind in (
        ("b.tif", (), "TIFF"),
        ("c.webp", (), "WEBP"),
        ("d.bmp", (), "BMP"),
        ("e.png", ("--format", "jpeg"), "JPEG"),
    ):
        assert moce("restore", source, "-o", tmp_path / name, *options).exit_code == 0
        with Image.open(tmp_path / name) as image:
            assert image.format == kind


def test_missing_output_folders_are_made(moce, picture, tmp_path):
    source = picture(tmp_path / "a.png")
    assert moce("restore", source, "-o", tmp_path / "x" / "y" / "b.png").exit_code == 0
    assert (tmp_path / "x" / "y" / "b.png").exists()


def test_a_folder_with_its_tree(moce, picture, tmp_path):
    photos = tmp_path / "photos"
    for name in ("a.png", "sub/a.png", "sub/deep/b.jpg", ".hidden/c.png"):
        picture(photos / name)
    (photos / "notes.txt").write_text("no picture")
    result = moce("restore", photos, "-o", tmp_path / "out")
    assert result.exit_code == 0, result.output
    made = sorted(str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("[!.]*.*"))
    assert made == ["a.png", "sub/a.png", "sub/deep/b.jpg"]
    assert "[3/3]" in result.stderr


def test_an_output_folder_inside_the_input_is_not_picked_up(moce, picture, tmp_path):
    picture(tmp_path / "a.png")
    assert moce("restore", tmp_path, "-o", tmp_path / "out").exit_code == 0
    assert moce("restore", tmp_path, "-o", tmp_path / "out", "--overwrite").exit_code == 0
    assert [p.name for p in (tmp_path / "out").glob("[!.]*")] == ["a.png"]


def test_several_files_and_a_bad_one(moce, picture, tmp_path):
    good = [picture(tmp_path / f"{i}.png", seed=i) for i in range(2)]
    bad = tmp_path / "bad.png"
    bad.write_bytes(good[0].read_bytes()[:200])
    result = moce("restore", good[0], bad, good[1], "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert sorted(p.name for p in (tmp_path / "out").glob("[!.]*")) == ["0.png", "1.png"]
    assert "2 of 3 pictures done, 1 failed" in result.stderr
    assert "Traceback" not in result.output


def test_json_is_one_object_a_picture(moce, picture, tmp_path):
    sources = [picture(tmp_path / f"{i}.png", seed=i) for i in range(2)]
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    result = moce("restore", *sources, tmp_path / "bad.png", "-o", tmp_path / "out", "--json")
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [row["status"] for row in rows] == ["restored", "restored", "failed"]
    row = rows[0]
    promised = (
        "input output model device precision height width tile_size tiles seconds seam blocks "
        "experts macs plan"
    )
    assert set(promised.split()) <= set(row)
    assert (row["height"], row["width"]) == (24, 32)
    assert row["output"] == str(tmp_path / "out" / "0.png")
    assert rows[2]["output"] is None
    assert rows[2]["error"]["exit_code"] == 3


def test_the_plan_of_json_given_back_gives_the_same_picture(moce, picture, tmp_path):
    source = picture(tmp_path / "a.png", 90, 110)
    row = json.loads(moce("restore", source, "-o", tmp_path / "b.png", "--json").stdout)
    plan = row["plan"]
    again = moce(
        "restore", source, "-o", tmp_path / "c.png", "--tile", plan["tile"], "--overlap",
        plan["overlap"], "--batch", plan["batch"], "--threads", plan["threads"], "--precision",
        plan["precision"], "--json",
    )  # fmt: skip
    assert json.loads(again.stdout)["plan"] == plan
    assert (tmp_path / "b.png").read_bytes() == (tmp_path / "c.png").read_bytes()


def test_a_pipe(moce, picture, tmp_path):
    source = picture(tmp_path / "a.png")
    result = moce("restore", "-", "-o", "-", stdin=source.read_bytes())
    assert result.exit_code == 0, result.stderr
    assert result.stdout_bytes.startswith(b"\x89PNG")
    (tmp_path / "b.png").write_bytes(result.stdout_bytes)
    moce("restore", source, "-o", tmp_path / "c.png")
    with Image.open(tmp_path / "b.png") as b, Image.open(tmp_path / "c.png") as c:
        assert np.array_equal(np.asarray(b), np.asarray(c))
    as_jpeg = moce("restore", "-", "-o", "-", "--format", "jpeg", stdin=source.read_bytes())
    assert as_jpeg.stdout_bytes.startswith(b"\xff\xd8")


def test_existing_outputs(moce, picture, tmp_path):
    source, there = picture(tmp_path / "a.png"), picture(tmp_path / "b.png", seed=1)
    before = there.read_bytes()
    assert_sentence(moce("restore", source, "-o", there), 6, "b.png", "--overwrite")
    assert there.read_bytes() == before
    skipped = moce("restore", source, "-o", there, "--skip-existing", "--json")
    assert skipped.exit_code == 0
    assert json.loads(skipped.stdout)["status"] == "skipped"
    assert there.read_bytes() == before
    assert moce("restore", source, "-o", there, "--overwrite").exit_code == 0
    assert there.read_bytes() != before


def test_a_batch_that_would_meet_an_output_does_not_start(moce, picture, tmp_path):
    photos = tmp_path / "photos"
    for name in ("a.png", "b.png"):
        picture(photos / name)
    picture(tmp_path / "out" / "b.png")
    assert_sentence(moce("restore", photos, "-o", tmp_path / "out"), 6, "b.png", "is there already")
    assert not (tmp_path / "out" / "a.png").exists()


def test_inputs_that_share_an_output_are_found_before_anything_runs(moce, picture, tmp_path):
    one, two = picture(tmp_path / "x" / "a.png"), picture(tmp_path / "y" / "a.png")
    assert_sentence(moce("restore", one, two, "-o", tmp_path / "out"), 2, "both become")
    a, b = picture(tmp_path / "z" / "a.jpg"), picture(tmp_path / "z" / "a.png")
    result = moce("restore", a, b, "--format", "png", "-o", tmp_path / "out")
    assert_sentence(result, 2, "both become")


def test_grey_alpha_depth_and_metadata_come_back(moce, tmp_path):
    rng = np.random.default_rng(0)
    alpha = rng.integers(0, 256, (20, 24, 4), np.uint8)
    Image.fromarray(alpha).save(tmp_path / "alpha.png", dpi=(300, 300))
    Image.fromarray(alpha[..., 0]).save(tmp_path / "grey.png")
    deep = (rng.integers(0, 65536, (20, 24))).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Maker"
    Image.fromarray(alpha[..., :3]).save(tmp_path / "turned.jpg", exif=exif)
    out = tmp_path / "out"
    result = moce(
        "restore", tmp_path / "alpha.png", tmp_path / "grey.png", tmp_path / "deep.png",
        tmp_path / "turned.jpg", "-o", out,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    with Image.open(out / "alpha.png") as image:
        assert np.array_equal(np.asarray(image)[..., 3], alpha[..., 3])
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)
    with Image.open(out / "grey.png") as image:
        assert image.mode == "L"
    with Image.open(out / "deep.png") as image:
        assert image.mode == "I;16"
        assert len(np.unique(np.asarray(image) % 257)) > 1, "more than 8 bits"
    with Image.open(out / "turned.jpg") as image:
        assert image.size == (20, 24), "a quarter turn"
        assert image.getexif().get(0x0112, 1) == 1
        assert image.getexif()[0x010F] == "Maker"


def test_what_cannot_be_kept_is_said(moce, tmp_path):
    Image.new("RGBA", (20, 24), (10, 20, 30, 40)).save(tmp_path / "a.png")
    result = moce("restore", tmp_path / "a.png", "-o", tmp_path / "b.jpg")
    assert result.exit_code == 0
    assert "warning" in result.stderr
    assert "alpha" in result.stderr or "transparency" in result.stderr


def test_a_seam_that_is_too_high_fails_the_file(moce, picture, tmp_path):
    source = picture(tmp_path / "a.png", 100, 100)
    options = ("--tile", "64", "-o", tmp_path / "b.png")
    assert_sentence(moce("restore", source, *options, "--max-seam", "0.1"), 1, "seam score")
    assert not (tmp_path / "b.png").exists()
    assert moce("restore", source, *options, "--max-seam", "3").exit_code == 0


def test_info_as_a_table_and_as_json(moce, picture, tmp_path):
    source = picture(tmp_path / "a.png", 40, 50)
    shown = moce("info", source)
    assert shown.exit_code == 0, shown.output
    for word in ("50 x 40", "block", "expert", "gate", "GMAC", "saved"):
        assert word in shown.stdout
    row = json.loads(moce("info", source, "--json").stdout)
    assert row["output"] is None
    assert len(row["blocks"]) == 3
    assert sum(row["experts"].values()) == 3
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"], "nothing is written"


def test_verbose_tells_what_is_used(moce, picture, tmp_path):
    result = moce("restore", picture(tmp_path / "a.png"), "-v")
    assert result.exit_code == 0
    for word in ("cpu", "threads", "tile"):
        assert word in result.stderr


def test_quiet_says_nothing(moce, picture, tmp_path):
    result = moce("restore", picture(tmp_path / "a.png"), "-q")
    assert (result.exit_code, result.output) == (0, "")


def test_version_and_help(moce):
    assert moce("--version").stdout.strip() == f"moce {__version__}"
    for command in ((), ("restore",), ("info",), ("models",), ("doctor",)):
        result = moce(*command, "--help")
        assert result.exit_code == 0
        assert "Usage" in result.stdout


def test_doctor_finds_this_machine_right(moce):
    facts = json.loads(moce("doctor", "--json", "--device", "cpu").stdout)
    assert facts["device"] == "cpu"
    assert all(facts["golden_right"].values())
    shown = moce("doctor", "--device", "cpu")
    assert shown.exit_code == 0, shown.output
    for word in ("device", "precision", "threads", "compiled", "bands", "golden tile", "right"):
        assert word in shown.stdout


def test_doctor_notices_wrong_numbers(moce, monkeypatch):
    from moce_cli.restoration import selfcheck

    wrong = tuple(v + 0.3 * (-1) ** i for i, v in enumerate(selfcheck.GOLDEN))
    monkeypatch.setattr(selfcheck, "GOLDEN", wrong)
    result = moce("doctor", "--device", "cpu")
    assert result.exit_code == 5
    assert "WRONG" in result.stdout
