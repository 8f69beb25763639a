"""`moce info`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from moce_cli.checkpoints.catalogue import DEFAULT_MODEL
from moce_cli.cli import options
from moce_cli.cli.console import configure, console

if TYPE_CHECKING:
    from moce_cli.restoration import Report

LEVELS = ("fine", "middle", "coarse")


def info(
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="A picture, or - for a pipe.")],
    model: options.Model = DEFAULT_MODEL,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    threads: options.Threads = None,
    tile: options.TileSize = "auto",
    overlap: options.Overlap = None,
    batch: options.Batch = None,
    routing: options.Routing = "image",
    max_pixels: options.MaxPixels = options.DEFAULT_MAX_PIXELS,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
) -> None:
    """Tell which experts fire for a picture, block by block, and what that saves.

    The picture is restored to find out; nothing is written.
    """
    configure(quiet=quiet, verbosity=verbose)
    from moce_cli.batch import STANDARD, open_picture

    source = None if image == STANDARD else Path(image)
    picture = open_picture(source, options.parse_max_pixels(max_pixels))

    from moce_cli.cli.progress import BatchProgress
    from moce_cli.restoration import Restorer
    from moce_cli.restoration.plan import parse_tile

    restorer = Restorer.from_pretrained(
        model,
        device=device,
        precision=precision,
        tile=parse_tile(tile),
        overlap=overlap,
        batch=batch,
        routing=routing,
        threads=threads,
    )
    pixels = picture.height * picture.width
    with BatchProgress(console, 1, pixels, hidden=quiet) as progress:
        progress.start_file(image, pixels)
        report = restorer.restore(picture, progress=progress.tile).report
    if as_json:
        console.json({"input": image, "output": None, **report.to_dict()})
    else:
        _show(image, report)


def _show(image: str, report: Report) -> None:
    from rich.table import Table

    height, width = report.tile_size
    console.result(
        f"{image}: {report.width} x {report.height}, {report.model} on {report.device} in "
        f"{report.precision}, {report.seconds:.2f} s"
    )
    tiles = "1 tile" if report.tiles == 1 else f"{report.tiles} tiles, seam score {report.seam:.3f}"
    console.result(f"{tiles} of {width} x {height}, routing by {report.routing}")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("block", "level"):
        table.add_column(name)
    table.add_column("expert", justify="right")
    table.add_column("gate", justify="right")
    for e in report.experts:
        table.add_column(f"score {e}", justify="right")
    for block in report.blocks:
        scores = [
            # the mark beside the number, so that colour is not the only sign
            f"[bold cyan]>{v:.3f}[/]" if e == block.expert else f"{v:.3f}"
            for e, v in enumerate(block.logits)
        ]
        table.add_row(
            str(block.block),
            LEVELS[block.level] if block.level < len(LEVELS) else str(block.level),
            f"[bold cyan]{block.expert}[/]",
            f"{block.gate:.3f}",
            *scores,
        )
    console.out.print(table)
    macs = report.macs
    console.result(
        f"{macs.run / 1e9:.2f} GMAC of {macs.all_experts / 1e9:.2f} with all experts: skipping "
        f"saved {macs.saved_of_experts:.1%} of the experts' work, {macs.saved_of_network:.1%} of "
        "the network's"
    )
    for note in report.notes:
        console.warn(note)
