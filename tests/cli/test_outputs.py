"""What a command will write is checked before it begins."""

import os

import pytest
from sentences import assert_sentence

from moce_cli.cli.outputs import check_outputs
from moce_cli.errors import OutputExistsError, UsageError
from moce_cli.wording import counted


def test_an_output_that_is_an_input_is_refused_under_any_of_its_names(tmp_path, monkeypatch):
    source = tmp_path / "a.png"
    source.write_text("mine")
    (tmp_path / "link.png").symlink_to(source)
    os.link(source, tmp_path / "hard.png")
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "link.png", "hard.png", f"../{tmp_path.name}/a.png"):
        with pytest.raises(UsageError, match="is an input"):
            check_outputs([tmp_path / name], overwrite=True, inputs=[source])
    with pytest.raises(OutputExistsError):
        check_outputs([source], overwrite=False)
    check_outputs([source], overwrite=True, inputs=[tmp_path / "absent.png"])


def test_bench_does_not_draw_over_its_picture(moce, picture, tmp_path):
    source = picture(tmp_path / "a.png")
    before = source.read_bytes()
    refused = moce("bench", "--picture", source, "--plot", source, "--overwrite")
    assert_sentence(refused, 2, "is an input")
    assert source.read_bytes() == before


def test_numbers_agree_with_their_nouns():
    assert [counted(n, "sample") for n in (0, 1, 2)] == ["0 samples", "1 sample", "2 samples"]
    assert counted(1, "entry", "entries") == "1 entry"
    assert counted(3, "entry", "entries") == "3 entries"
