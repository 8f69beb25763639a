"""`moce degrade --kinds`: what each kind of damage is, and where its model comes from."""

import json
import os
import subprocess
import sys
from pathlib import Path

from moce_cli.degradations import KINDS

ROOT = Path(__file__).parents[2]


def test_every_kind_is_listed_with_strength_model_and_source():
    """In a process of its own: the console keeps the width that it first saw."""
    command = [sys.executable, "-m", "moce_cli", "degrade", "--kinds"]
    wide = os.environ | {"COLUMNS": "400"}
    seen = subprocess.run(command, env=wide, capture_output=True, text=True, check=True)
    head, *lines = seen.stdout.splitlines()
    assert head.split() == ["kind", "strength", "usual", "model", "source"]
    for line, kind in zip(lines, KINDS.values(), strict=True):
        assert line.startswith(kind.name)
        assert all(words in line for words in kind.words)
        assert f"{kind.unit}, {kind.limits[0]:g} to {kind.limits[1]:g}" in line


def test_the_list_as_json(moce):
    rows = [json.loads(line) for line in moce("degrade", "--kinds", "--json").stdout.splitlines()]
    assert [row["kind"] for row in rows] == list(KINDS)
    for row, kind in zip(rows, KINDS.values(), strict=True):
        assert tuple(row["limits"]) == kind.limits
        assert (row["unit"], row["model"], row["source"]) == (kind.unit, kind.summary, kind.source)


def test_a_source_names_a_work_and_its_year_or_a_standard():
    for kind in KINDS.values():
        known = any(word in kind.source for word in ("IEC ", "ITU-T ", "RFC "))
        assert known or any(f" {year}" in kind.source for year in range(1980, 2030)), kind.name


def test_the_manual_has_the_same_list():
    text = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    section = text.split("## Kinds of damage\n")[1].split("\n## ")[0]
    for kind in KINDS.values():
        assert f"| {' | '.join(kind.words)} |" in section


def test_no_picture_and_no_list_is_refused(moce):
    seen = moce("degrade", "--noise", 5)
    assert seen.exit_code == 2
    assert "no picture was named" in seen.stderr
