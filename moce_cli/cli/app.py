"""The Typer app, and the one boundary where errors become sentences and exit codes."""

from __future__ import annotations

import errno
import gc
import io
import os
import sys
from typing import Annotated, Any, cast

import typer
from typer.core import TyperGroup

from moce_cli import __version__
from moce_cli.cli import bench, compare, degrade, doctor, info, models, options, restore, train
from moce_cli.cli.console import console
from moce_cli.cli.eval import EPILOG as EVAL_EPILOG
from moce_cli.cli.eval import evaluate
from moce_cli.errors import MoceError, OutputError

INTERRUPTED = 130


class MoceGroup(TyperGroup):
    """Runs a command; what it raises becomes one sentence and the promised exit code."""

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 -- Typer carries its own context class
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except MoceError as error:
            console.error(error)
            raise typer.Exit(error.exit_code) from error
        except KeyboardInterrupt:
            console.warn("interrupted; what was finished is kept")
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            # the reader of our stdout has gone: nothing is left to say to it
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(1) from None
        except OSError as error:
            if error.errno != errno.ENOSPC:
                return _unexpected(error)
            console.error(OutputError("the disk is full", "free some space and run again"))
            raise typer.Exit(OutputError.exit_code) from error
        except Exception as error:
            if type(error).__module__.startswith(("typer.", "click.")):
                raise  # usage errors and exits are Typer's own to print
            return _unexpected(error)


def _unexpected(error: Exception) -> None:
    if console.verbosity:
        console.err.print_exception()
    text = f"{type(error).__name__}: {error}".splitlines()[0]
    console.error(MoceError(f"unexpected {text}", "run again with -v and report what it prints"))
    raise typer.Exit(1) from error


EPILOG = options.examples(
    "moce restore rainy.jpg -o clean.png",
    "moce compare rainy.jpg clean.png -o look.html",
    more="Each command's --help has more.",
)

app = typer.Typer(
    cls=MoceGroup,
    name="moce",
    help="Restore damaged pictures, with experts that run only when they are needed.",
    epilog=EPILOG,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("restore", epilog=restore.EPILOG)(restore.restore)
app.command("info", epilog=info.EPILOG)(info.info)
app.command("compare", epilog=compare.EPILOG)(compare.compare)
app.command("degrade", epilog=degrade.EPILOG)(degrade.degrade)
app.command("train", epilog=train.EPILOG)(train.train)
app.command("eval", epilog=EVAL_EPILOG)(evaluate)
app.command("bench", epilog=bench.EPILOG)(bench.bench)
app.add_typer(models.models_app, name="models")
app.command("doctor", epilog=doctor.EPILOG)(doctor.doctor)
for _command in (*app.registered_commands, *models.models_app.registered_commands):
    _command.help = options.flowing(_command.callback.__doc__)


def _version(wanted: bool) -> None:
    if wanted:
        console.result(f"moce {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Restore damaged pictures."""


def main() -> None:
    """Entry point of the `moce` command."""
    if "OMP_WAIT_POLICY" not in os.environ:
        # threads that spin for long while they wait stop each other on a busy machine
        os.environ.setdefault("GOMP_SPINCOUNT", "3000")
    if sys.stderr is None:  # pyright: ignore[reportUnnecessaryComparison] -- closed by the caller
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 -- open to the end
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # file names may be any bytes
    code: object = 0
    stdout: io.TextIOBase | None = cast("io.TextIOBase | None", sys.stdout)
    try:
        try:
            app()
        except SystemExit as ending:
            code = ending.code
        if stdout is not None:
            stdout.flush()
    except OSError as error:  # of standard output: the commands' own are told by the group
        if not isinstance(error, BrokenPipeError):
            console.error(OutputError(f"standard output cannot be written: {error.strerror}"))
            code = OutputError.exit_code
        # what is left in the buffer must not be tried again at the very end
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    gc.freeze()  # all is closed: a last search for garbage through all of torch takes 0.3 s
    sys.exit(code if isinstance(code, int) else 1)
