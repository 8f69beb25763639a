"""What `moce restore` and `moce degrade` share: the format of a result, and its quality."""

import json

import pytest

from moce_cli.pictures import FORMATS, probe

COMMANDS = [("restore",), ("degrade", "--noise", 5)]
WRITABLE = [known for known in FORMATS.values() if known.writable]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: words[0])
def test_help_names_every_format_and_every_format_is_written(moce, picture, tmp_path, command):
    source = picture(tmp_path / "a.png")
    told = moce(command[0], "--help").stdout
    line = next(line for line in told.splitlines() if " --format " in line)
    for known in WRITABLE:
        name = known.name.lower()
        assert name in line.replace(",", " ").split(), name
        target = tmp_path / f"{name}.out"
        seen = moce(*command, source, "--format", name, "-o", target)
        assert seen.exit_code == 0, seen.output
        assert probe(target).format == known.name


@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: words[0])
@pytest.mark.parametrize("known", WRITABLE, ids=lambda known: known.name)
def test_a_quality_that_is_not_used_is_told(moce, picture, tmp_path, command, known):
    source, target = picture(tmp_path / "a.png"), tmp_path / f"b{known.extensions[0]}"
    seen = moce(*command, source, "--quality", 50, "--json", "-o", target)
    assert seen.exit_code == 0, seen.output
    told = f"{known.name} has no quality: --quality 50 was not used"
    assert (told in json.loads(seen.stdout)["notes"]) == (not known.quality)
    assert (f"a.png: {told}\n" in seen.stderr) == (not known.quality)
    plain = moce(*command, source, "--overwrite", "-o", target)
    assert "--quality" not in plain.stderr
