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

EPILOG = options.examples(
    "moce info rainy.jpg",
    "moce info rainy.jpg --map experts.png",
    "moce info rainy.jpg --routing tile --tile 128",
    more="With --map each tile chooses its own experts, unless --routing says otherwise.",
)


def info(
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="A picture, or - for a pipe.")],
    model: options.Model = DEFAULT_MODEL,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    threads: options.Threads = None,
    tile: options.TileSize = "auto",
    overlap: options.Overlap = None,
    batch: options.Batch = None,
    routing: Annotated[
        str | None,
        typer.Option(
            help="image: experts chosen once for the picture; tile: for each tile; 0 to 3: forced. "
            "By default image, with --map tile.",
            rich_help_panel="Model",
            show_default=False,
            autocompletion=options.one_of("image", "tile", "0", "1", "2", "3"),
        ),
    ] = None,
    map_file: Annotated[
        Path | None,
        typer.Option(
            "--map",
            help="Draw which expert worked where into this picture (.png, .jpg, ...).",
            rich_help_panel="Output",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the map.", rich_help_panel="Output")
    ] = False,
    max_pixels: options.MaxPixels = options.DEFAULT_MAX_PIXELS,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
) -> None:
    """Tell which experts fire for a picture, block by block, and what that saves.

    The picture is restored to find out, and not written. Where tiles choose, the map of experts is
    shown as well.
    """
    configure(quiet=quiet, verbosity=verbose)
    from moce_cli.batch import STANDARD, open_picture

    if map_file is not None:
        from moce_cli.cli.outputs import check_outputs
        from moce_cli.errors import OutputError
        from moce_cli.pictures import format_for

        try:
            format_for(map_file)
        except OutputError as error:
            told = f"{map_file.name} is no picture that can be written"
            raise OutputError(told, "end the name of --map in .png") from error
        read = [] if image == STANDARD else [Path(image)]
        check_outputs([map_file], overwrite=overwrite, inputs=read)
    source = None if image == STANDARD else Path(image)
    picture = open_picture(source, options.parse_max_pixels(max_pixels))

    from moce_cli.cli.experts import find_experts, must_have, show_map

    report, found = find_experts(
        image,
        picture,
        model=model,
        routing=routing or ("image" if map_file is None else "tile"),
        device=device,
        precision=precision,
        threads=threads,
        tile=tile,
        overlap=overlap,
        batch=batch,
        hidden=quiet,
    )
    if map_file is not None:
        from moce_cli.compare import map_sheet
        from moce_cli.pictures import Picture, write

        name = "standard input" if source is None else source.name
        write(Picture(map_sheet(must_have(found), picture, name)), map_file, overwrite=True)
    if as_json:
        written = {} if map_file is None else {"map": str(map_file)}
        console.json({"input": image, "output": None, **written, **report.to_dict()})
        return
    _show(image, report)
    if found is not None and report.tile_experts:
        show_map(found, picture)
    if map_file is not None:
        console.say(f"the map of experts: {map_file}")


def _show(image: str, report: Report) -> None:
    from rich.table import Table

    from moce_cli.compare.experts import LEVELS

    height, width = report.tile_size
    console.result(
        f"{image}: {report.width} x {report.height}, {report.model} on {report.device} in "
        f"{report.precision}, {report.seconds:.2f} s"
    )
    tiles, seam = "1 tile", ""
    if report.tiles > 1:
        tiles, seam = f"{report.tiles} tiles", f", seam score {report.seam:.3f}"
    console.result(f"{tiles} of {width} x {height}, routing by {report.routing}{seam}")
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
        f"{macs.run / 1e9:.2f} GMAC of {macs.all_experts / 1e9:.2f} with all experts\n"
        f"skipping saved {macs.saved_of_experts:.1%} of the experts' work, "
        f"{macs.saved_of_network:.1%} of the network's"
    )
    for note in report.notes:
        console.warn(note)
