"""`moce restore` and `moce info`, by exit code, stdout and stderr."""

import io
import json
import os
import zlib

import numpy as np
import pytest
from PIL import Image

from moce_cli import __version__


def assert_sentence(result, code, *words):
    """One clear sentence on stderr, nothing on stdout, no traceback, the promised code."""
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    lines = result.stderr.strip().splitlines()
    assert lines[0].startswith("error: ")
    assert all(line.startswith("try: ") for line in lines[1:])
    assert len(lines) <= 2
    assert "unexpected" not in result.stderr
    for word in words:
        assert str(word) in result.stderr


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


def test_an_input_is_never_an_output(moce, picture, tmp_path):
    source = picture(tmp_path / "a.png")
    before = source.read_bytes()
    for options in ((), ("--overwrite",)):
        assert moce("restore", source, "-o", source, *options).exit_code == 2
    assert moce("restore", tmp_path, "-o", tmp_path, "--overwrite").exit_code == 2
    assert source.read_bytes() == before


def make_bomb():
    """A PNG that says it holds 40,000 x 40,000 pixels."""

    def chunk(kind, data):
        return (
            len(data).to_bytes(4, "big") + kind + data
            + zlib.crc32(kind + data).to_bytes(4, "big")
        )  # fmt: skip

    side = (40_000).to_bytes(4, "big")
    header = chunk(b"IHDR", side + side + bytes([8, 2, 0, 0, 0]))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(100)))


BAD_INPUTS = {
    "a text file": ("text.jpg", b"this is no picture at all, only text\n"),
    "an empty file": ("empty.png", b""),
    "a bomb": ("bomb.png", make_bomb()),
}


@pytest.mark.parametrize("kind", BAD_INPUTS)
@pytest.mark.parametrize("command", ["restore", "info"])
def test_a_bad_input_is_a_sentence(moce, tmp_path, kind, command):
    name, data = BAD_INPUTS[kind]
    (tmp_path / name).write_bytes(data)
    assert_sentence(moce(command, tmp_path / name), 3, name)
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_a_truncated_picture_is_a_sentence(moce, picture, tmp_path):
    for name in ("a.png", "a.jpg", "a.webp", "a.tif", "a.bmp"):
        source = picture(tmp_path / name, 64, 64)
        source.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
        assert_sentence(moce("restore", source, "-o", tmp_path / "out.png"), 3, name)
    assert not (tmp_path / "out.png").exists()


def test_what_is_not_there_or_holds_nothing(moce, tmp_path):
    assert_sentence(moce("restore", tmp_path / "no.png"), 3, "no.png")
    assert_sentence(moce("info", tmp_path / "no.png"), 3, "no.png")
    (tmp_path / "empty").mkdir()
    assert_sentence(moce("restore", tmp_path / "empty", "-o", tmp_path / "o"), 3, "no pictures")


def test_a_smaller_limit_of_pixels(moce, picture, tmp_path):
    source = picture(tmp_path / "a.png", 40, 40)
    assert_sentence(moce("restore", source, "--max-pixels", "1e3"), 3, "--max-pixels")
    assert moce("restore", source, "--max-pixels", "1600").exit_code == 0
    assert_sentence(moce("restore", source, "--max-pixels", "many"), 2, "many")


def test_a_picture_larger_than_memory_is_refused_before_it_is_read(
    moce, picture, tmp_path, monkeypatch
):
    source = picture(tmp_path / "a.png", 40, 40)
    monkeypatch.setattr("moce_cli.pictures.memory.picture_bytes", lambda *_: 2**60)
    for words in (("restore", "--bands", "never"), ("info",)):
        assert_sentence(moce(*words, source), 5, "needs", "may be used")
    pytest.importorskip("pyvips")
    assert moce("restore", source).exit_code == 0, "in bands it fits"


def test_an_output_that_cannot_be_written(moce, picture, tmp_path):
    source = picture(tmp_path / "a.png")
    assert_sentence(moce("restore", source, "-o", tmp_path / "a.docx"), 6, ".docx")
    (tmp_path / "file").write_text("")
    result = moce("restore", source, "-o", tmp_path / "file" / "b.png")
    assert_sentence(result, 6, "file")
    folder = tmp_path / "folder.png"
    folder.mkdir()
    assert moce("restore", source, "-o", folder).exit_code == 0, "a folder that is there is one"
    assert (folder / "a.png").exists()


def test_an_output_folder_without_permission(moce, picture, model_file, tmp_path):
    source = picture(tmp_path / "a.png")
    locked = tmp_path / "locked"
    locked.mkdir()
    assert moce("restore", source, "-o", tmp_path / "warm.png").exit_code == 0
    if os.geteuid() == 0:  # root may write anywhere: step down for the call
        for folder in (tmp_path, *tmp_path.parents[:3], model_file.parent):
            folder.chmod(0o755)
        locked.chmod(0o555)
        os.seteuid(65534)
    else:
        locked.chmod(0o555)
    try:
        assert_sentence(moce("restore", source, "-o", locked / "b.png"), 6, "permission denied")
        assert_sentence(
            moce("restore", source, "-o", locked / "c" / "b.png"), 6, "ermission denied"
        )
    finally:
        if os.getuid() == 0:
            os.seteuid(0)
        locked.chmod(0o755)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("photo-xxs", ["photo-xxs"]),
        ("missing/file.safetensors", ["missing/file.safetensors"]),
        ("preset:moce_ir_xl", ["moce_ir_xl"]),
    ],
)
def test_a_model_that_is_not_there(moce, picture, tmp_path, model, words):
    assert_sentence(moce("restore", picture(tmp_path / "a.png"), "--model", model), 4, *words)


def test_weights_that_are_cut_short_or_of_another_architecture(moce, picture, model_file, tmp_path):
    from safetensors.torch import load_file, save_file

    source = picture(tmp_path / "a.png")
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(model_file.read_bytes()[:-1000])
    assert_sentence(moce("restore", source, "--model", cut), 4, "cut.safetensors")
    other = tmp_path / "other.safetensors"
    save_file({"conv1.weight": load_file(model_file)["embed.weight"]}, other)
    assert_sentence(moce("restore", source, "--model", other), 4, "other.safetensors")


def test_a_device_that_is_not_there(moce, picture, tmp_path):
    source = picture(tmp_path / "a.png")
    assert_sentence(moce("restore", source, "--device", "cuda:7"), 5, "cuda:7", "cpu")
    assert_sentence(moce("restore", source, "--device", "gpu"), 2, "gpu")


@pytest.mark.parametrize(
    "options",
    [
        ("--tile", "\u00b2"),
        ("--batch", "0"),
        ("--max-seam", "-1"),
        ("--threads", "5000"),
        ("--tile", "50"),
        ("--tile", "big"),
        ("--tile", "64", "--overlap", "60"),
        ("--routing", "9"),
        ("--precision", "int8"),
        ("--format", "docx"),
        ("--strength", "2"),
        ("--quality", "0"),
        ("--overwrite", "--skip-existing"),
        ("--threads", "0"),
        ("--nonsense",),
        ("--json", "-o", "-"),
    ],
)
def test_a_wrong_command_line(moce, picture, tmp_path, options):
    result = moce("restore", picture(tmp_path / "a.png"), *options)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_a_pipe_needs_to_know_where_to(moce):
    assert_sentence(moce("restore", "-"), 2, "-o")


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


def test_empty_names_are_refused(moce, picture, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where "" would be this folder
    picture(tmp_path / "a.png")
    assert_sentence(moce("restore", "", "-o", "out"), 2, "empty name")
    assert_sentence(moce("restore", "a.png", "-o", ""), 2, "empty name")
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_a_name_that_is_too_long(moce, picture, tmp_path):
    assert_sentence(moce("restore", tmp_path / ("a" * 300 + ".png")), 3, "too long")
    result = moce("restore", picture(tmp_path / "a.png"), "-o", tmp_path / ("b" * 300 + ".png"))
    assert result.exit_code in (3, 6)
    assert "too long" in result.stderr


def test_with_a_format_a_name_without_extension_is_a_file(moce, picture, tmp_path):
    source = picture(tmp_path / "a.png")
    assert moce("restore", source, "-o", tmp_path / "clean", "--format", "png").exit_code == 0
    assert (tmp_path / "clean").is_file()


def test_no_exception_ends_a_batch(moce, picture, tmp_path, monkeypatch):
    from moce_cli.restoration.flight import Runway

    sources = [picture(tmp_path / f"{i}.png", seed=i) for i in range(4)]
    start, calls = Runway.start, iter([None, MemoryError(), ValueError("odd"), None])

    def failing(self, *arguments, **options):
        if (error := next(calls)) is not None:
            raise error
        return start(self, *arguments, **options)

    monkeypatch.setattr(Runway, "start", failing)
    result = moce("restore", *sources, "-o", tmp_path / "out", "--json")
    assert result.exit_code == 1
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [row["status"] for row in rows] == ["restored", "failed", "failed", "restored"]
    assert rows[1]["error"]["exit_code"] == 5
    assert "ValueError: odd" in rows[2]["error"]["message"]


@pytest.mark.parametrize(
    "name", ["[/x].png", ":warning:.png", "a\nb.png", "\x1b[2J.png", "写真.png"]
)
def test_odd_names_are_shown_as_they_are(moce, picture, tmp_path, name, monkeypatch):
    from moce_cli.cli import console as console_module
    from moce_cli.cli import progress

    source = picture(tmp_path / name)
    result = moce("restore", source, source.with_name("no.png"), "-o", tmp_path / "out")
    assert result.exit_code == 3, "one is not there"
    result = moce("restore", source, "-o", tmp_path / "out", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["input"] == str(source)
    shown = name.replace("\n", "\\n").replace("\x1b", "\\x1b")
    assert shown in result.stderr
    assert len(result.stderr.splitlines()) == 1
    # and on a terminal, where the bars show it
    from rich.console import Console as RichConsole

    terminal = RichConsole(file=io.StringIO(), force_terminal=True, width=200)
    monkeypatch.setattr(terminal.file, "isatty", lambda: True, raising=False)
    shown_on = console_module.Console(err=terminal)
    with progress.BatchProgress(shown_on, 1, 10, hidden=False) as bars:
        bars.start_file(str(source), 10)
        bars.tile(1, 2)
    assert shown in terminal.file.getvalue()
    assert "file 1/1" not in terminal.file.getvalue(), "one picture, one bar"


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
