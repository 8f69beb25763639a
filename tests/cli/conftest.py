"""What the tests of the command line share."""

import io
import sys

import numpy as np
import pytest
from networks import checkpoint
from PIL import Image
from typer.testing import CliRunner


@pytest.fixture(scope="session")
def model_file(tmp_path_factory):
    """A small network with random weights, as a file."""
    from moce_cli.checkpoints import save

    made = checkpoint()
    path = tmp_path_factory.mktemp("model") / "small.safetensors"
    save(path, made.state, made.config, made.card)
    return path


@pytest.fixture
def moce(model_file, monkeypatch, tmp_path_factory):
    """Run `moce` in this process; restore and info get the small model unless told otherwise."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("MOCE_HOME", str(tmp_path_factory.mktemp("home", numbered=True)))

    def run(*arguments, stdin=None):
        from moce_cli.cli.app import app

        words = [str(a) for a in arguments]
        if words[0] in ("restore", "info") and "--model" not in words:
            words += ["--model", str(model_file)]
        return CliRunner().invoke(app, words, input=stdin)

    return run


@pytest.fixture
def picture():
    """Make a picture file: noise, so that nothing is flat."""

    def make(path, height=24, width=32, seed=0, **options):
        rng = np.random.default_rng(seed)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8)).save(path, **options)
        return path

    return make


def tree(folder):
    """All below a folder: contents of files, targets of links, None for folders."""
    found = {}
    for path in folder.rglob("*"):
        is_file = path.is_file()
        what = path.readlink() if path.is_symlink() else path.read_bytes() if is_file else None
        found[str(path.relative_to(folder))] = what
    return found


@pytest.fixture
def refused(moce, tmp_path):
    """Run a command that has to refuse; the sentence it said."""

    def run(code, *words):
        before = tree(tmp_path)
        result = moce(*words)
        assert result.exit_code == code, result.output
        assert result.stdout == ""
        first, *hints = result.stderr.strip().splitlines()
        assert first.startswith("error: ")
        assert all(line.startswith("try: ") for line in hints)
        assert "unexpected" not in first
        assert tree(tmp_path) == before
        return result.stderr

    return run


def png_bytes(height=16, width=20):
    """A PNG in memory."""
    buffer = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


sys.modules.setdefault("cli_support", sys.modules[__name__])
