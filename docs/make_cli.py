"""Write docs/cli.md, the manual of the command line, from the app itself.

python docs/make_cli.py
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from moce_cli.cli.app import app
from moce_cli.cli.degrade_kinds import HEADERS
from moce_cli.degradations import KINDS

Command = Option = Any
"""Typer's own classes are not public."""

TARGET = Path(__file__).parent / "cli.md"
HEAD = """# The command line

Written by `python docs/make_cli.py` from the commands' own help: change it there.

Results go to stdout, progress and messages to stderr. Exit codes: 0 all done; 1 some of several
inputs failed; 2 the command line is wrong; 3 an input; 4 weights; 5 the device; 6 an output; 130
interrupted.

"""
KINDS_HEAD = """
## Kinds of damage

What `moce degrade --kinds` lists: the unit and the limits of each kind's strength, what `--mix` and
"usual" in a recipe draw from, its model, and where that comes from.

"""
COMPLETION = """
## Completion

`moce --install-completion` completes commands, options, models and files in bash, zsh, fish and
PowerShell, from the next shell on; `moce --show-completion` prints the script instead.
"""


def manual() -> str:
    """The whole manual in Markdown."""
    root = typer.main.get_command(app)
    told = list(_commands(root, "moce"))
    links = "".join(
        f"- [`{name}`](#{name.replace(' ', '-')}): {_first_sentence(command.help)}\n"
        for name, command in told[1:]
    )
    sections = "\n".join(_section(name, command) for name, command in told)
    return f"{HEAD}{links}\n{sections}{KINDS_HEAD}{_kinds()}{COMPLETION}"


def _kinds() -> str:
    lines = [HEADERS, ("---",) * len(HEADERS), *(kind.words for kind in KINDS.values())]
    return "".join(f"| {' | '.join(map(_cell, line))} |\n" for line in lines)


def _commands(command: Command, name: str) -> Iterator[tuple[str, Command]]:
    """A command and all below it; aliases and hidden ones left out."""
    yield name, command
    for child, below in getattr(command, "commands", {}).items():
        if not below.hidden:
            yield from _commands(below, f"{name} {child}")


def _section(name: str, command: Command) -> str:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and not p.hidden]
    words = [_argument(a) if a.required else f"[{_argument(a)}]" for a in arguments]
    usage = [name, "[OPTIONS]", *words]
    if hasattr(command, "commands"):
        usage.append("COMMAND ...")
    parts = [f"## {name}\n", f"{_plain(command.help)}\n", f"```text\n{' '.join(usage)}\n```\n"]
    if arguments:
        rows = "".join(f"| `{_argument(a)}` | {_cell(a.help)} |\n" for a in arguments)
        parts.append(f"| argument | |\n|---|---|\n{rows}")
    panels: dict[str, str] = {}
    for option in options:
        panel = option.rich_help_panel or "General"
        panels[panel] = panels.get(panel, "") + _row(option)
    parts += [f"| {panel} | | default |\n|---|---|---|\n{rows}" for panel, rows in panels.items()]
    parts += _examples(command.epilog or "")
    return "\n".join(parts)


def _argument(argument: Option) -> str:
    name = argument.metavar or argument.name.upper()
    return f"{name}..." if argument.nargs == -1 else name


def _row(option: Option) -> str:
    names = _cell(", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts)))
    if not (option.is_flag or option.count):
        names = f"{names[:-1]} {_cell(_value(option))}`"
    default = option.default
    if isinstance(default, list | tuple):
        default = " ".join(map(str, default))
    hidden = option.is_flag or option.count or option.show_default is False
    shown = "" if hidden or default in (None, "") else f"`{default}`"
    return f"| {names} | {_cell(option.help)} | {shown} |\n"


def _value(option: Option) -> str:
    """What an option takes: as it says itself, a range, or its own name."""
    low, high = (
        getattr(option if hasattr(option, end) else option.type, end, None)
        for end in ("min", "max")
    )
    if option.metavar:
        return option.metavar
    if low is None and high is None:
        return option.opts[0].lstrip("-").upper().replace("-", "_")
    bounds = (f"{low:g}" if low is not None else "", f"{high:g}" if high is not None else "")
    return f"{bounds[0]}..{bounds[1]}"


def _examples(epilog: str) -> list[str]:
    """Commands in a block, words around them as they are."""
    parts: list[str] = []
    commands: list[str] = []
    for line in filter(None, epilog.splitlines()):
        if line.startswith("  "):
            commands.append(line.strip())
            continue
        if commands:
            parts.append("```sh\n" + "\n".join(commands) + "\n```\n")
            commands = []
        parts.append(_plain(line) + "\n")
    if commands:
        parts.append("```sh\n" + "\n".join(commands) + "\n```\n")
    return parts


def _first_sentence(text: str) -> str:
    return re.split(r"(?<=[.])\s", _plain(text))[0]


def _cell(text: str | None) -> str:
    return _plain(text or "").replace("\n", " ").replace("|", "\\|").replace("<", "&lt;")


def _plain(text: str) -> str:
    """Without rich's own marks."""
    return text.replace("\\[", "[").strip()


if __name__ == "__main__":
    TARGET.write_text(manual(), encoding="utf-8")
