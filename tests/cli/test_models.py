"""`moce models`, by exit code, stdout and stderr (pull and push: tests/checkpoints)."""

import json
import os
import shutil
import subprocess
import sys
import time

import pytest
import torch
from sentences import assert_sentence

from moce_cli.checkpoints import catalogue, load, to_official
from moce_cli.checkpoints.resolution import random_state
from moce_cli.network import PRESETS


@pytest.fixture(autouse=True)
def shipped(tmp_path, monkeypatch, model_file):
    """A package that ships one model."""
    folder = tmp_path / "shipped"
    folder.mkdir()
    monkeypatch.setenv("MOCE_WEIGHTS", str(folder))
    monkeypatch.chdir(tmp_path)
    path = folder / "photo-xs.safetensors"
    shutil.copy(model_file, path)
    catalogue.record_checksum(path)
    return path


def damage(path):
    data = bytearray(path.read_bytes())
    data[-4] ^= 1
    path.write_bytes(data)


def test_ls_is_a_table_of_all(moce):
    result = moce("models", "ls")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].split()[:3] == ["NAME", "STATE", "ARCHITECTURE"]
    assert lines[1].startswith("photo-xs * ")
    assert "ready" in lines[1]
    assert sum("to convert" in line for line in lines) == 5
    assert "* the default" in result.stderr
    assert moce("models", "ls", "-q").stderr == ""


def test_ls_json_is_an_object_a_line(moce, shipped):
    result = moce("models", "ls", "--json")
    entries = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.stderr == ""
    assert entries[0]["name"] == "photo-xs"
    assert entries[0]["default"] is True
    assert entries[0]["path"] == str(shipped)
    keys = {"name", "kind", "summary", "source", "revision", "sha256", "licence", "architecture"}
    assert all(keys <= set(entry) for entry in entries)


def test_ls_tells_of_a_damaged_file_and_of_none(moce, shipped):
    shipped.write_bytes(shipped.read_bytes()[:500])
    result = moce("models", "ls")
    assert result.exit_code == 0
    assert "damaged" in result.stdout.splitlines()[1]
    shipped.unlink()
    catalogue.checksum_file(shipped).unlink()
    result = moce("models", "ls")
    assert result.exit_code == 0
    assert "photo-xs, is not on this machine" in result.stderr


def test_ls_is_instant():
    code = (
        "import sys; sys.argv = ['moce', 'models', 'ls']\n"
        "from moce_cli.cli.app import main\n"
        "try: main()\n"
        "finally: print([m for m in ('torch', 'huggingface_hub') if m in sys.modules])"
    )
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            cwd=catalogue.shipped_folder().parent,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )
        seconds.append(time.perf_counter() - start)
        assert done.stdout.splitlines()[-1] == "[]"
    assert min(seconds) < 2  # 0.25 s on an idle machine; this one may be busy


def test_show_is_the_card(moce, model_file):
    card = load(model_file).card
    result = moce("models", "show", "photo-xs")
    assert result.exit_code == 0, result.output
    for text in (card.summary, card.licence, card.version, card.training_data, "sha256"):
        assert text in result.stdout
    values = json.loads(moce("models", "show", "photo-xs", "--json").stdout)
    assert values["card"] == card.to_dict()
    assert card.summary in moce("models", "show", model_file).stdout
    result = moce("models", "show", "moce-ir-5task")
    assert "https://github.com/eduardzamfir/MoCE-IR" in result.stdout
    assert "non-commercial" in result.stdout


@pytest.mark.parametrize("command", ["show", "path", "verify", "rm"])
def test_an_unknown_name_is_a_sentence(moce, command):
    result = moce("models", command, "foto-xs")
    assert_sentence(result, 4, "there is no model 'foto-xs'", "did you mean photo-xs?")


def test_path_is_a_path(moce, shipped):
    assert moce("models", "path", "photo-xs").stdout == f"{shipped}\n"
    assert_sentence(moce("models", "path", "moce-ir-3task"), 4, "neither ships nor downloads")
    assert_sentence(moce("models", "path", "preset:moce_ir_xs"), 4, "has no file")


def test_verify_tells_good_from_bad(moce, shipped):
    result = moce("models", "verify")
    assert (result.exit_code, result.stdout) == (0, "ok   photo-xs\n")
    damage(shipped)
    for names in ((), ("photo-xs",)):
        result = moce("models", "verify", *names)
        assert (result.exit_code, result.stdout) == (4, "bad  photo-xs\n")
        assert "SHA-256" in result.stderr
    (line,) = moce("models", "verify", "--json").stdout.splitlines()
    assert json.loads(line)["ok"] is False


def test_verify_goes_on_after_a_bad_one(moce, shipped, model_file):
    assert moce("models", "import", model_file, "--name", "mine").exit_code == 0
    assert moce("models", "import", model_file, "--name", "other").exit_code == 0
    damage(shipped)
    damage(catalogue.imported_folder() / "mine.safetensors")
    result = moce("models", "verify")
    assert result.exit_code == 4
    assert result.stdout.splitlines() == ["bad  photo-xs", "bad  mine", "ok   other"]
    assert "2 of 3 models" in result.stderr


def test_export_import_rm(moce, tmp_path, shipped):
    target = tmp_path / "stick" / "w.safetensors"
    result = moce("models", "export", "photo-xs", "-o", target)
    assert (result.exit_code, result.stdout) == (0, f"{target}\n")
    assert target.read_bytes() == shipped.read_bytes()
    assert_sentence(moce("models", "export", "photo-xs", "-o", target), 6, "exists", "--overwrite")
    assert moce("models", "export", "photo-xs", "-o", target, "--overwrite").exit_code == 0
    (tmp_path / "folder").mkdir()
    result = moce("models", "export", "photo-xs", "-o", tmp_path / "folder")
    assert result.stdout.strip() == str(tmp_path / "folder" / "photo-xs.safetensors")

    result = moce("models", "import", target, "--name", "mine")
    assert result.exit_code == 0, result.output
    imported = result.stdout.strip()
    assert moce("models", "path", "mine").stdout.strip() == imported
    again = moce("models", "import", target, "--name", "mine")
    assert_sentence(again, 6, "'mine' already", "--overwrite")
    assert moce("models", "import", target, "--name", "mine", "--overwrite").exit_code == 0

    result = moce("models", "rm", "mine")
    assert (result.exit_code, result.stdout) == (0, "")
    assert_sentence(moce("models", "path", "mine"), 4, "no model 'mine'")
    assert_sentence(moce("models", "rm", "photo-xs"), 4, "ships with the package")
    assert_sentence(moce("models", "rm", "moce-ir-3task"), 4, "nothing to delete")


def test_import_refuses_what_it_cannot_use(moce, tmp_path, shipped):
    (tmp_path / "text.safetensors").write_text("hello there")
    assert_sentence(moce("models", "import", "text.safetensors"), 4, "no safetensors file")
    assert_sentence(moce("models", "import", "nothing.safetensors"), 4, "there is no weights file")
    result = moce("models", "import", shipped, "--name", "photo-xs")
    assert_sentence(result, 4, "moce's own", "--name")
    assert_sentence(moce("models", "import", shipped, "--name", "a/b"), 4, "cannot be a model's")


def test_convert(moce, tmp_path):
    official = to_official(random_state(PRESETS["moce_ir_xs"]))
    state = {f"net.{key}": value for key, value in official.items()}
    torch.save({"state_dict": state | {"loss.w": torch.ones(1)}}, tmp_path / "last.ckpt")
    words = ("models", "convert", "last.ckpt", "-o", "out.safetensors")
    result = moce(*words, "--preset", "moce_ir")
    assert_sentence(result, 4, "not of the architecture moce_ir, but moce_ir_xs")
    result = moce(*words, "--preset", "moce_ir_xs", "--name", "mine", "--dtype", "fp16")
    assert (result.exit_code, result.stdout) == (0, "out.safetensors\n"), result.output
    assert "left out 1 entry" in result.stderr
    assert "non-commercial" in result.stderr
    checkpoint = load("out.safetensors")
    assert (checkpoint.card.name, checkpoint.dtype) == ("mine", torch.float16)
    assert_sentence(moce(*words), 6, "exists", "--overwrite")
    assert moce(*words, "--overwrite", "-q").stderr == ""
    assert moce("models", "import", "out.safetensors").exit_code == 0


def test_a_malicious_pickle_does_not_run(moce, tmp_path):
    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'mark'}",)

    torch.save({"state_dict": {"net.x": Evil()}}, tmp_path / "evil.ckpt")
    result = moce("models", "convert", "evil.ckpt", "-o", "out.safetensors")
    assert_sentence(result, 4, "was refused: it asks for", "system", "nothing ran")
    assert not (tmp_path / "mark").exists()
    assert not (tmp_path / "out.safetensors").exists()


def test_pulling_what_is_here_asks_nobody(moce, shipped):
    result = moce("models", "pull", "photo-xs")
    assert (result.exit_code, result.stdout.strip()) == (0, str(shipped))
    assert_sentence(moce("models", "pull", "moce-ir-5task"), 4, "neither ships nor downloads")
    assert_sentence(moce("models", "pull", "foto-xs"), 4, "there is no model 'foto-xs'")


@pytest.mark.parametrize(
    "words",
    [
        ("pull", "preset:moce_ir_xs"),
        ("push", "photo-xs", "no-repository"),
        ("push", "photo-xs", "org/repo@v1"),
        ("convert", "x.ckpt"),
        ("convert", "x.ckpt", "-o", "y", "--dtype", "int8"),
        ("nonsense",),
    ],
)
def test_a_wrong_command_line(moce, words):
    result = moce("models", *words)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr


def test_every_command_has_help(moce):
    names = ["ls", "show", "pull", "verify", "rm", "path", "convert", "export", "import", "push"]
    page = moce("models", "--help").stdout
    assert all(f" {name} " in page for name in names)
    for name in names:
        result = moce("models", name, "--help")
        assert result.exit_code == 0, result.output
