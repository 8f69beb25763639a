"""What examples/ and the README say can be done, done."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"


@pytest.fixture
def environment(tmp_path):
    """`moce` on the path, and nothing of this user's."""
    commands = tmp_path / "bin"
    commands.mkdir()
    for name, words in {"moce": "-m moce_cli", "python": ""}.items():
        script = commands / name
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n')
        script.chmod(0o755)
    return os.environ | {
        "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "MOCE_HOME": str(tmp_path / "home"),
        "HF_HUB_OFFLINE": "1",
    }


def run(words, environment, folder):
    seen = subprocess.run(
        words, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert seen.returncode == 0, f"{words}\n{seen.stdout}\n{seen.stderr}"
    return seen


def test_one_picture(environment, tmp_path):
    seen = run(["sh", EXAMPLES / "one_picture.sh", "made"], environment, tmp_path)
    assert "expert" in seen.stdout
    with Image.open(tmp_path / "made" / "coffee.png") as image:
        assert image.size == (600, 400)


def test_a_folder_goes_on_where_it_stopped(environment, tmp_path):
    words = ["sh", EXAMPLES / "folder.sh", "made"]
    run(words, environment, tmp_path)
    made = sorted(p.name for p in (tmp_path / "made" / "pictures").rglob("[!.]*.*"))
    given = [p for p in (EXAMPLES / "pictures").rglob("*.*") if p.suffix in (".png", ".jpg")]
    assert len(made) == len(given) == 8
    rows = (tmp_path / "made" / "report.jsonl").read_text().splitlines()
    assert {json.loads(row)["status"] for row in rows} == {"restored"}
    run(words, environment, tmp_path)
    rows = (tmp_path / "made" / "report.jsonl").read_text().splitlines()
    assert {json.loads(row)["status"] for row in rows} == {"skipped"}


def test_python(environment, tmp_path):
    seen = run([sys.executable, EXAMPLES / "python_api.py", "made"], environment, tmp_path)
    before, after = (
        float(v) for v in re.findall(r"([\d.]+) levels? before, ([\d.]+)", seen.stdout)[0]
    )
    assert after < before / 2
    assert (tmp_path / "made" / "chelsea.png").exists()


def test_the_damaged_pictures_are_what_the_script_makes(environment, tmp_path):
    copied = tmp_path / "examples"
    shutil.copytree(EXAMPLES, copied)
    for path in (copied / "pictures").glob("*_*"):
        path.unlink()
    run([sys.executable, copied / "damage.py"], environment, tmp_path)
    names = sorted(p.name for p in (EXAMPLES / "pictures").glob("*_*"))
    assert names == sorted(p.name for p in (copied / "pictures").glob("*_*"))
    for name in names:
        with (
            Image.open(EXAMPLES / "pictures" / name) as a,
            Image.open(copied / "pictures" / name) as b,
        ):
            difference = np.asarray(a).astype(int) - np.asarray(b)
            assert np.abs(difference).max() <= 1, name  # processors round snow differently


def readme_commands():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for block in re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL):
        for line in block.splitlines():
            if line.startswith(("moce ", "cat ", "python examples/")):
                yield line.partition("  #")[0].strip()


def test_the_readme_shows_commands():
    assert len(list(readme_commands())) >= 8


def test_the_readmes_commands_work_in_order(environment, tmp_path):
    shutil.copytree(EXAMPLES, tmp_path / "examples")
    for line in readme_commands():
        run(["sh", "-c", line], environment, tmp_path)


def test_the_readmes_python_works(environment, tmp_path):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    assert blocks
    shutil.copytree(EXAMPLES, tmp_path / "examples")
    for block in blocks:
        run([sys.executable, "-c", block], environment, tmp_path)


def test_the_readmes_links_lead_somewhere():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        if "://" not in target:
            assert (ROOT / target).exists(), target
