"""Where text goes: results to stdout, everything else to stderr."""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import dataclass, field
from typing import TextIO

from rich.console import Console as RichConsole
from rich.markup import escape

from moce_cli.errors import MoceError, OutputError


def printable(text: str) -> str:
    """The text in one line: names of files may hold line breaks, escape codes or broken bytes."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _standard_output() -> TextIO:
    if sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison] -- closed by the caller
        raise OutputError("standard output is closed")
    return sys.stdout


@dataclass(slots=True)
class Console:
    """One sink for all output; options of a command set its manner.

    rich decides about colour: none without a terminal, none with `NO_COLOR`.
    """

    quiet: bool = False
    verbosity: int = 0
    out: RichConsole = field(default_factory=lambda: RichConsole(highlight=False, emoji=False))
    err: RichConsole = field(
        default_factory=lambda: RichConsole(stderr=True, highlight=False, emoji=False)
    )

    def result(self, text: str) -> None:
        """A result for a person or a script, as it is, on stdout."""
        _standard_output().write(text + "\n")

    def json(self, value: object) -> None:
        """A result as one JSON object on one line of stdout."""
        stdout = _standard_output()
        stdout.write(json.dumps(value, allow_nan=False) + "\n")
        stdout.flush()

    def say(self, text: str) -> None:
        """What happens, on stderr; silent with `-q`."""
        if not self.quiet:
            self.err.print(printable(text), markup=False, soft_wrap=True)

    def warn(self, text: str) -> None:
        """What the person should know, on stderr, also with `-q`."""
        self.err.print(f"[yellow]warning:[/] {escape(printable(text))}", soft_wrap=True)

    def error(self, error: MoceError) -> None:
        """What went wrong and what to try, on stderr."""
        self.err.print(f"[bold red]error:[/] {escape(printable(error.message))}", soft_wrap=True)
        if error.hint:
            self.err.print(f"[dim]try:[/] {escape(printable(error.hint))}", soft_wrap=True)


console = Console()


def configure(*, quiet: bool = False, verbosity: int = 0) -> None:
    """Set the manner of this run; called first by every command."""
    console.quiet, console.verbosity = quiet, verbosity
    level = {0: logging.WARNING, 1: logging.INFO}.get(verbosity, logging.DEBUG)
    logging.basicConfig(format="%(message)s", force=True)
    # only our own words: libraries log by the chunk
    logging.getLogger("moce_cli").setLevel(logging.ERROR if quiet else level)
