"""`moce bench`."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from moce_cli.checkpoints.catalogue import DEFAULT_MODEL
from moce_cli.cli import options
from moce_cli.cli.console import configure, console
from moce_cli.cli.outputs import check_outputs

if TYPE_CHECKING:
    from moce_cli.bench import Case, Floor, Measured, Row, Start

EPILOG = options.examples(
    "moce bench",
    "moce bench --model preset:moce_ir_s --size 1024x1024 --runs 3",
    "moce bench --size 512x512 --tile 128 --tile 256 --tile 0 --baseline none --plot tiles.png",
    "moce bench --size 512x512 --precision bf16 --precision fp32 --picture clean.png",
    "moce bench --files --size 1000x1000 --size 6000x4000 --runs 1",
    more="Every combination of models, sizes, tiles and precisions is a row.",
)


def bench(
    models: options.Models = [DEFAULT_MODEL],  # noqa: B006 -- Typer copies it
    sizes: Annotated[
        list[str],
        typer.Option(
            "--size",
            metavar="WIDTHxHEIGHT",
            help="Of the picture; may be given several times.",
            rich_help_panel="What to measure",
        ),
    ] = ["512x512"],  # noqa: B006 -- Typer copies it
    tiles: Annotated[
        list[str],
        typer.Option(
            "--tile",
            help="Longest side of a tile: auto, a multiple of 8, or 0 for the whole picture; may "
            "be given several times.",
            rich_help_panel="What to measure",
            autocompletion=options.one_of("auto", "0", "128", "256", "512"),
        ),
    ] = ["auto"],  # noqa: B006 -- Typer copies it
    overlap: options.Overlap = None,
    batch: options.Batch = None,
    precisions: Annotated[
        list[str],
        typer.Option(
            "--precision",
            help="auto, fp32, bf16 or fp16; may be given several times.",
            rich_help_panel="What to measure",
            autocompletion=options.one_of("auto", "fp32", "bf16", "fp16"),
        ),
    ] = ["auto"],  # noqa: B006 -- Typer copies it
    picture: Annotated[
        Path | None,
        typer.Option(
            help="A clean picture, mirrored to the sizes, in place of a drawn one; noise of sigma "
            "25 is put on either.",
            rich_help_panel="What to measure",
            show_default=False,
        ),
    ] = None,
    baseline: Annotated[
        str,
        typer.Option(
            help="plain: run the same weights through a straightforward float32 network in turn; "
            "none.",
            rich_help_panel="What to measure",
            autocompletion=options.one_of("plain", "none"),
        ),
    ] = "plain",
    runs: Annotated[
        int,
        typer.Option(
            min=1, help="Runs of each that count, after one.", rich_help_panel="What to measure"
        ),
    ] = 5,
    start: Annotated[
        bool,
        typer.Option(
            "--start",
            help="Also from the start of the process to the file, for each model and size.",
            rich_help_panel="What to measure",
        ),
    ] = False,
    files: Annotated[
        bool,
        typer.Option(
            "--files",
            help="Instead: the whole command on a JPEG of each size, its memory, and what "
            "--dry-run said of it.",
            rich_help_panel="What to measure",
        ),
    ] = False,
    device: options.Device = "auto",
    threads: options.Threads = None,
    plot: Annotated[
        Path | None,
        typer.Option(help="Draw the rows into this PNG file.", rich_help_panel="Output"),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace outputs.", rich_help_panel="Output")
    ] = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
) -> None:
    """Measure speed and memory on this machine, against the plain network."""
    configure(quiet=quiet, verbosity=verbose)
    from moce_cli.errors import UsageError
    from moce_cli.restoration.plan import parse_tile

    if baseline not in ("plain", "none"):
        raise UsageError(f"{baseline!r} is no baseline", "--baseline takes plain or none")
    wanted = [parse_size(size) for size in sizes]
    sides = [parse_tile(tile) for tile in tiles]
    if files and (len(tiles) > 1 or len(precisions) > 1 or picture or plot or start):
        raise UsageError(
            "--files takes one --tile and one --precision, and no --picture, --plot or --start",
            "measure files by a command of their own",
        )
    if plot:
        check_outputs([plot], overwrite=overwrite)

    from moce_cli import bench as measuring
    from moce_cli import runtime
    from moce_cli.checkpoints import load_model

    where = runtime.choose_device(device)
    cores = threads or runtime.usable_cores()
    words = ["--device", device, "--threads", str(cores)]
    if files:
        words += ["--tile", tiles[0], "--precision", precisions[0]]
        for name, number in (("--overlap", overlap), ("--batch", batch)):
            words += [] if number is None else [name, str(number)]
        _measure_files(models, wanted, runs, words, as_json=as_json)
        return
    widths = {model: load_model(model).config.width for model in models}
    floors: dict[str, Floor] = {}
    for name in precisions:
        precision = runtime.choose_precision(name, where)
        if precision not in floors:
            floors[precision] = measuring.measure_floor(where, precision, cores)
            if as_json:
                console.json(floors[precision].to_dict())
    rows: list[Row] = []
    starts: list[tuple[str, Start]] = []
    with console.err.status("", spinner="dots") as status:

        def tick(what: str) -> None:
            status.update(what)

        for model, (height, width), side, name in product(models, wanted, sides, precisions):
            case = measuring.Case(
                model, height, width, device, name, side, overlap, batch, cores, picture
            )
            floor = floors[runtime.choose_precision(name, where)]
            row = measuring.measure(
                case,
                runs=runs,
                baseline=baseline == "plain",
                width=widths[model],
                floor=floor,
                tick=tick,
            )
            rows.append(row)
            if as_json:
                console.json(row.to_dict())
        for model, (height, width) in product(models if start else (), wanted):
            tick(f"{model}, {width} x {height}: from the start to the file")
            seen = measuring.measure_start(
                model, height=height, width=width, runs=runs, options=words
            )
            starts.append((model, seen))
            if as_json:
                console.json({"model": model, **seen.to_dict()})
    if not as_json:
        _show(rows, list(floors.values()), starts)
    if plot and measuring.plot(rows, plot):
        console.say(f"plot: {plot}")


def _measure_files(
    models: list[str],
    sizes: list[tuple[int, int]],
    runs: int,
    words: list[str],
    *,
    as_json: bool,
) -> None:
    from rich.table import Table

    from moce_cli import bench as measuring

    table = Table(box=None, pad_edge=False)
    for head in ("model", "size", "tiles", "s", "s/MP", "MiB", "foretold s", "foretold MiB"):
        left = head == "model"
        table.add_column(head, justify="left" if left else "right", overflow="fold")
    with console.err.status("", spinner="dots") as status:
        for model, (height, width) in product(models, sizes):
            status.update(f"{model}, {width} x {height}: from file to file")
            row = measuring.measure_file(
                model, height=height, width=width, runs=runs, options=words
            )
            if as_json:
                console.json(row.to_dict())
            table.add_row(
                f"{model}{', in bands' * row.in_bands}",
                f"{width} x {height}",
                str(row.tiles),
                f"{row.seconds:.1f}",
                f"{row.seconds_per_megapixel:.2f}",
                f"{row.peak_bytes / 2**20:.0f}",
                f"{row.foretold_seconds:.1f}",
                f"{row.foretold_bytes / 2**20:.0f}",
            )
    if not as_json:
        console.out.print(table)


def parse_size(text: str) -> tuple[int, int]:
    """Height and width of `WIDTHxHEIGHT`.

    Raises:
        UsageError: it is something else.
    """
    from moce_cli.errors import UsageError

    found = re.fullmatch(r"([1-9][0-9]{0,5})x([1-9][0-9]{0,5})", text)
    if found is None:
        raise UsageError(f"{text!r} is no size", "--size takes WIDTHxHEIGHT, such as 1024x768")
    return int(found[2]), int(found[1])


def _show(rows: list[Row], floors: list[Floor], starts: list[tuple[str, Start]]) -> None:
    from rich.table import Table

    for floor in floors:
        console.out.print(
            f"{floor.device}, {floor.threads} threads, {floor.precision}: "
            f"{floor.flops / 1e9:.0f} GFLOP/s in a large product, "
            f"{floor.copy_bytes / 1e9:.1f} GB/s copied",
            soft_wrap=True,
        )
    for row in rows:
        case, plan = row.case, row.ours.facts.plan
        tile = f"tile {plan['tile']}, overlap {plan['overlap']}" if plan["tile"] else "whole"
        console.out.print(f"\n{case.model}, {case.width} x {case.height}, {tile}", soft_wrap=True)
        table = Table(box=None, pad_edge=False)
        for head in ("", "s", "least to most", "s/MP", "MiB", "dB", "of floor"):
            table.add_column(head, justify="right" if head else "left")
        table.add_row(f"moce {row.ours.facts.precision}", *_cells(case, row.ours, row.floor_share))
        if row.plain:
            table.add_row("plain fp32", *_cells(case, row.plain, None))
        console.out.print(table)
        if row.speedup is not None:
            console.out.print(
                f"{row.speedup:.2f} times as fast, {row.memory_share:.2f} of its memory"
            )
        elif row.why_no_plain:
            console.out.print(f"no baseline: {row.why_no_plain}", soft_wrap=True)
    for model, seen in starts:
        console.out.print(
            f"\n{model}, {seen.width} x {seen.height}, start to file: {seen.whole:.2f} s, of which "
            f"{seen.importing:.2f} import torch, {seen.network:.2f} are the network's, "
            f"{seen.rest:.2f} the rest; {seen.ending:.2f} more to the end of the process",
            soft_wrap=True,
        )


def _cells(case: Case, measured: Measured, floor_share: float | None) -> list[str]:
    facts, seconds = measured.facts, measured.seconds
    trained = not case.model.startswith("preset:")  # random weights restore nothing
    return [
        f"{measured.median:.3g}",
        f"{min(seconds):.3g} to {max(seconds):.3g}",
        f"{measured.median / case.megapixels:.3g}",
        f"{(facts.device_peak_bytes or facts.peak_bytes) / 2**20:.0f}",
        f"{facts.psnr:.3f}" if trained else "",
        "" if floor_share is None else f"{floor_share:.0%}",
    ]
