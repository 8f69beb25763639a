"""Options that several commands share."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated

import typer


def one_of(*words: str) -> Callable[[str], list[str]]:
    """For shell completion: the words that begin as what was typed."""

    def complete(incomplete: str) -> list[str]:
        return [word for word in words if word.startswith(incomplete)]

    return complete


def known_models(incomplete: str) -> list[str]:
    """For shell completion: names of models on this machine; the shell adds files."""
    from moce_cli.checkpoints.catalogue import entries

    there = (entry.name for entry in entries() if entry.kind != "convert")
    return [name for name in there if name.startswith(incomplete)]


def writable_formats(incomplete: str) -> list[str]:
    """For shell completion: formats that can be written."""
    from moce_cli.pictures.formats import FORMATS

    names = (known.name.lower() for known in FORMATS.values() if known.writable)
    return [name for name in names if name.startswith(incomplete)]


Model = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        help="A name from `moce models ls`, a file, org/repo\\[@revision], or preset:NAME.",
        rich_help_panel="Model",
        autocompletion=known_models,
    ),
]
Models = Annotated[
    list[str],
    typer.Option(
        "--model",
        "-m",
        help="A name from `moce models ls`, a file, org/repo\\[@revision], or preset:NAME; "
        "may be given several times.",
        rich_help_panel="Model",
        autocompletion=known_models,
    ),
]
ModelName = Annotated[
    str,
    typer.Argument(
        metavar="NAME", help="A name from `moce models ls`.", autocompletion=known_models
    ),
]
Device = Annotated[
    str,
    typer.Option(
        help="auto, cpu, cuda, cuda:N or mps.",
        rich_help_panel="Machine",
        autocompletion=one_of("auto", "cpu", "cuda", "mps"),
    ),
]
Precision = Annotated[
    str,
    typer.Option(
        help="auto, fp32, bf16 or fp16.",
        rich_help_panel="Machine",
        autocompletion=one_of("auto", "fp32", "bf16", "fp16"),
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        min=1, help="CPU threads; all that may be used by default.", rich_help_panel="Machine"
    ),
]
TileSize = Annotated[
    str,
    typer.Option(
        "--tile",
        help="Longest side of a tile: auto, a multiple of 8, or 0 for the whole picture.",
        rich_help_panel="Tiles",
        autocompletion=one_of("auto", "0", "128", "256", "512"),
    ),
]
Overlap = Annotated[
    int | None,
    typer.Option(min=0, help="Pixels that neighbouring tiles share.", rich_help_panel="Tiles"),
]
Batch = Annotated[
    int | None,
    typer.Option(min=1, help="Tiles that go through the network at once.", rich_help_panel="Tiles"),
]
Routing = Annotated[
    str,
    typer.Option(
        help="image: experts chosen once for the picture; tile: for each tile; 0 to 3: forced.",
        rich_help_panel="Model",
        autocompletion=one_of("image", "tile", "0", "1", "2", "3"),
    ),
]
Format = Annotated[
    str | None,
    typer.Option(
        help="png, jpeg, webp, avif, tiff, gif, bmp or exr, whatever the extension.",
        rich_help_panel="Output",
        autocompletion=writable_formats,
    ),
]
MaxPixels = Annotated[
    str,
    typer.Option(help="Larger files are refused as not being pictures.", rich_help_panel="Picture"),
]
Json = Annotated[
    bool, typer.Option("--json", help="One JSON object a line on stdout.", rich_help_panel="Output")
]
Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet", "-q", help="Say nothing but warnings and errors.", rich_help_panel="Output"
    ),
]
Verbose = Annotated[
    int,
    typer.Option("--verbose", "-v", count=True, help="Say more.", rich_help_panel="Output"),
]

DEFAULT_MAX_PIXELS = "1e9"


def examples(*commands: str, more: str = "") -> str:
    """What stands below a command's help.

    Args:
        commands: as a person would type them.
        more: a paragraph after them.
    """
    # rich breaks lines at empty ones alone
    return "\n\n".join(("Examples:", *(f"  {command}" for command in commands), more)).rstrip()


def flowing(docstring: str | None) -> str:
    """A docstring for a terminal of any width: each paragraph in one line."""
    paragraphs = inspect.cleandoc(docstring or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def parse_max_pixels(text: str) -> int:
    """A number of pixels, such as 1e9.

    Raises:
        UsageError: no positive number.
    """
    from moce_cli.errors import UsageError

    try:
        value = int(float(text))
    except (ValueError, OverflowError):
        value = 0
    if value < 1:
        raise UsageError(f"{text!r} is no number of pixels", "--max-pixels takes 1 or more")
    return value
