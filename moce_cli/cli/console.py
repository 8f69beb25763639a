"""Where text goes: results to stdout, everything else to stderr."""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import dataclass, field

from rich.console import Console as RichConsole
from rich.markup import escape

from moce_cli.errors import MoceError


@dataclass(slots=True)
class Console:
    """One sink for all output; options of a command set its manner.

    rich decides about colour: none without a terminal, none with `NO_COLOR`.
    """

    quiet: bool = False
    verbosity: int = 0
    out: RichConsole = field(default_factory=lambda: RichConsole(highlight=False))
    err: RichConsole = field(default_factory=lambda: RichConsole(stderr=True, highlight=False))

    def result(self, text: str) -> None:
        """A result for a person or a script, as it is, on stdout."""
        self.out.print(text, markup=False, soft_wrap=True)

    def json(self, value: object) -> None:
        """A result as one JSON object on one line of stdout."""
        sys.stdout.write(json.dumps(value, allow_nan=False) + "\n")
        sys.stdout.flush()

    def say(self, text: str) -> None:
        """What happens, on stderr; silent with `-q`."""
        if not self.quiet:
            self.err.print(text, markup=False, soft_wrap=True)

    def warn(self, text: str) -> None:
        """What the person should know, on stderr, also with `-q`."""
        self.err.print(f"[yellow]warning:[/] {escape(text)}", soft_wrap=True)

    def error(self, error: MoceError) -> None:
        """What went wrong and what to try, on stderr."""
        self.err.print(f"[bold red]error:[/] {escape(error.message)}", soft_wrap=True)
        if error.hint:
            self.err.print(f"[dim]try:[/] {escape(error.hint)}", soft_wrap=True)


console = Console()


def configure(*, quiet: bool = False, verbosity: int = 0) -> None:
    """Set the manner of this run; called first by every command."""
    console.quiet, console.verbosity = quiet, verbosity
    level = {0: logging.WARNING, 1: logging.INFO}.get(verbosity, logging.DEBUG)
    logging.basicConfig(
        level=logging.ERROR if quiet else level, format="%(name)s: %(message)s", force=True
    )
