"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

Model = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        help="A name from `moce models ls`, a file, org/repo[@revision], or preset:NAME.",
        rich_help_panel="Model",
    ),
]
Device = Annotated[
    str,
    typer.Option(help="auto, cpu, cuda, cuda:N or mps.", rich_help_panel="Machine"),
]
Precision = Annotated[
    str,
    typer.Option(help="auto, fp32, bf16 or fp16.", rich_help_panel="Machine"),
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
