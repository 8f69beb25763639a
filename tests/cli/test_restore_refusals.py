"""Bad input to `moce restore`: one sentence, the promised exit code, and nothing is lost."""

import io
import json
import os
import zlib

import pytest
from sentences import assert_sentence


def test_an_input_is_never_an_output(moce, picture, tmp_path):
    source = picture(tmp_path / "a.png")
    before = source.read_bytes()
    for options in ((), ("--overwrite",)):
        assert moce("restore", source, "-o", source, *options).exit_code == 2
    assert moce("restore", tmp_path, "-o", tmp_path, "--overwrite").exit_code == 2
    assert source.read_bytes() == before


@pytest.mark.parametrize("journal", ["in/a.png", "out/a.png", "link"])
def test_a_journal_is_no_picture_of_the_run(moce, picture, tmp_path, journal):
    source = picture(tmp_path / "in" / "a.png")
    before = source.read_bytes()
    (tmp_path / "link").symlink_to("in")
    place = tmp_path / ("link/a.png" if journal == "link" else journal)
    words = ("restore", tmp_path / "in", "-o", tmp_path / "out", "--journal", place)
    assert_sentence(moce(*words), 2, "cannot be its journal", "another --journal")
    assert source.read_bytes() == before
    assert not (tmp_path / "out").exists()


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
