"""Help, its examples, the manual made from it, and shell completion."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from moce_cli.cli.app import app
from moce_cli.cli.options import flowing

ROOT = Path(__file__).parent.parent.parent


def commands(command=None, words=()):
    """Every command, and the words that lead to it."""
    command = command or typer.main.get_command(app)
    yield words, command
    for name, below in getattr(command, "commands", {}).items():
        yield from commands(below, (*words, name))


def examples(command):
    return [line.strip() for line in (command.epilog or "").splitlines() if line.startswith("  ")]


def arguments(example):
    """What follows `moce` in a command line that may have pipes and redirections."""
    words = shlex.split(example)
    if "torchrun" in words:  # which starts it as a module
        return words[words.index("moce_cli") + 1 :]
    words = words[words.index("moce") + 1 :]
    ends = [i for i, word in enumerate(words) if word in ("|", ">", "&&")]
    return words[: min(ends, default=len(words))]


@pytest.mark.parametrize("words", [words for words, _ in commands()], ids=" ".join)
def test_every_command_has_help_with_examples_that_parse(words):
    command = dict(commands())[words]
    assert command.help
    assert examples(command), "an epilog with examples"
    for example in examples(command):
        given = arguments(example)
        if words:
            assert given[: len(words)] == list(words), "an example of this very command"
        leaf, context = typer.main.get_command(app), None
        while hasattr(leaf, "commands"):
            context = leaf.make_context("moce", given[:1], parent=context, resilient_parsing=True)
            leaf, given = leaf.commands[given[0]], given[1:]
        # raises where an option is unknown, a value out of range, or too much is given
        context = leaf.make_context("moce", list(given), parent=context)
        assert context.params


def test_an_example_that_is_wrong_would_be_noticed():
    command = dict(commands())["compare",]
    with pytest.raises(Exception, match="no-such-option"):
        command.make_context("moce", ["a.png", "b.png", "--no-such-option"])


def test_the_help_of_every_option_says_something():
    for words, command in commands():
        for parameter in command.params:
            assert parameter.help, f"{' '.join(words)} {parameter.name}"


def test_help_flows_with_the_terminal():
    for words, command in commands():
        paragraphs = command.help.split("\n\n")
        assert not any("\n" in paragraph for paragraph in paragraphs), " ".join(words)
    assert flowing("Say how\n    much.\n\n    Or not.\n    ") == "Say how much.\n\nOr not."
    assert flowing(None) == ""


def test_brackets_survive_in_help(moce):
    for words in (("restore",), ("models", "pull"), ("eval",)):
        assert "[@revision]" in moce(*words, "--help").stdout


def test_the_manual_is_what_the_app_says():
    seen = subprocess.run(
        [sys.executable, "-c", "import make_cli; print(make_cli.manual(), end='')"],
        cwd=ROOT / "docs",
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    written = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert seen.stdout == written, "run: python docs/make_cli.py"


def test_the_manual_has_every_command_and_option_and_whole_tables():
    text = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## (.*)\n((?:(?!## ).*\n)*)", text, flags=re.M))
    for words, command in commands():
        section = sections[" ".join(("moce", *words))]
        for parameter in command.params:
            if parameter.param_type_name == "option":
                for name in parameter.opts:
                    assert f"`{name}" in section.replace(", -", "`, `-"), name
        for line in section.splitlines():
            if line.startswith("|"):
                cells = re.split(r"(?<!\\)\|", line)
                assert len(cells) in (4, 5), line
        for example in examples(command):
            assert example in section
    for link in re.findall(r"\]\(#([^)]*)\)", text):
        assert link.replace("-", " ") in sections


@pytest.fixture
def shell(tmp_path):
    """`moce` on the path of a home of its own."""
    script = tmp_path / "bin" / "moce"
    script.parent.mkdir()
    # as an installed one: completion goes by the name that it was called by
    script.write_text(f"#!{sys.executable}\nfrom moce_cli.cli.app import main\nmain()\n")
    script.chmod(0o755)
    return os.environ | {
        "PATH": f"{script.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "HOME": str(tmp_path),
        "MOCE_HOME": str(tmp_path / "moce"),
    }


COMPLETE = """
source /dev/stdin <<< "$(moce --show-completion)"
COMP_WORDS=(moce "$@"); COMP_CWORD=$#
_moce_completion moce
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
@pytest.mark.parametrize(
    ("typed", "offered", "not_offered"),
    [
        (("comp",), "compare", "restore"),
        (("models", ""), "verify", "compare"),
        (("restore", "--prec"), "--precision", "--device"),
        (("restore", "a.png", "--device", "c"), "cuda", "mps"),
        (("info", "--routing", "t"), "tile", "image"),
        (("restore", "--model", ""), "photo-xs", "moce-ir-3task"),
        (("models", "show", "pho"), "photo-xs", "moce-ir-3task"),
        (("restore", "--format", "p"), "png", "jpeg"),
    ],
)
def test_bash_completes_commands_options_and_values(shell, typed, offered, not_offered):
    seen = subprocess.run(
        ["bash", "-c", COMPLETE, "bash", *typed],
        env=shell, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    lines = seen.stdout.splitlines()
    assert offered in lines, seen
    assert not_offered not in lines


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
def test_bash_completes_files_where_nothing_else_fits(shell, tmp_path):
    (tmp_path / "photo.png").touch()
    script = COMPLETE + "complete -p moce\n"
    seen = subprocess.run(
        ["bash", "-c", script, "bash", "restore", "pho"],
        env=shell, capture_output=True, text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    assert seen.stdout.splitlines()[0] == "", "nothing of our own"
    assert "-o default" in seen.stdout, "so bash completes files"


def test_completion_imports_nothing_slow():
    code = (
        "import sys\nfrom moce_cli.cli import options\n"
        "assert 'photo-xs' in options.known_models('')\n"
        "assert {'torch', 'cv2', 'huggingface_hub'}.isdisjoint(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
