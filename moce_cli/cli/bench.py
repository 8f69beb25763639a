"""`moce bench`."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from moce_cli.checkpoints.catalogue import DEFAULT_MODEL
from moce_cli.cli import options
from moce_cli.cli.bench_tables import show, show_files
from moce_cli.cli.console import configure, console
from moce_cli.cli.outputs import check_outputs

if TYPE_CHECKING:
    from moce_cli.bench import FileRow, Floor, Row, Start

EPILOG = options.examples(
    "moce bench",
    "moce bench --model preset:moce_ir_s --size 1024x1024 --runs 3",
    "moce bench --size 512x512 --tile 128 --tile 256 --tile 0 --baseline none --plot tiles.png",
    "moce bench --size 512x512 --precision bf16 --precision fp32 --picture clean.png",
    "moce bench --files --size 1000x1000 --size 6000x4000 --runs 1",
    "moce bench --files --count 200 --size 256x256 --runs 1",
    "moce bench --size 512x512 --baseline none --profile",
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
            help="Also from the start of the process to the file, for each row.",
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
    count: Annotated[
        int,
        typer.Option(
            min=1,
            help="Of --files: a folder of so many pictures of each size.",
            rich_help_panel="What to measure",
        ),
    ] = 1,
    profile: Annotated[
        bool,
        typer.Option(
            "--profile",
            help="Also once more for each row: the operations that take most of our time.",
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
    from moce_cli import runtime
    from moce_cli.errors import UsageError
    from moce_cli.restoration.plan import parse_tile

    if baseline not in ("plain", "none"):
        raise UsageError(f"{baseline!r} is no baseline", "--baseline takes plain or none")
    wanted = [parse_size(size) for size in sizes]
    sides = {tile: parse_tile(tile) for tile in tiles}
    runtime.check_threads(threads)
    if files and (len(tiles) > 1 or len(precisions) > 1 or picture or plot or start or profile):
        raise UsageError(
            "--files takes one --tile and one --precision, and no --picture, --plot, --start or "
            "--profile",
            "measure files by a command of their own",
        )
    if count > 1 and not files:
        raise UsageError(f"--count {count} is of --files", "add --files")
    if plot:
        check_outputs([plot], overwrite=overwrite, inputs=[picture] if picture else [])

    from moce_cli import bench as measuring
    from moce_cli.checkpoints import load_model

    where = runtime.choose_device(device)
    cores = threads or runtime.usable_cores()

    def words(tile: str, precision: str) -> list[str]:
        """As options of `moce restore`."""
        named = {"--device": device, "--threads": cores, "--tile": tile, "--precision": precision}
        named |= {"--overlap": overlap, "--batch": batch}
        return [str(w) for pair in named.items() if pair[1] is not None for w in pair]

    if files:
        _measure_files(models, wanted, runs, count, words(tiles[0], precisions[0]), as_json=as_json)
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
    starts: dict[str, Start] = {}
    combinations = list(product(models, wanted, sides, precisions))
    with console.err.status("", spinner="dots") as status:

        def tick(what: str) -> None:
            status.update(what)

        for model, (height, width), tile, name in combinations:
            case = measuring.Case(
                model, height, width, device, name, sides[tile], overlap, batch, cores, picture
            )
            row = measuring.measure(
                case,
                runs=runs,
                baseline=baseline == "plain",
                width=widths[model],
                floor=floors[runtime.choose_precision(name, where)],
                profile=profile,
                tick=tick,
            )
            rows.append(row)
            if as_json:
                console.json(row.to_dict())
        for model, (height, width), tile, name in combinations if start else ():
            told = f"{model}, {width} x {height}, tile {tile}, precision {name}"
            tick(f"{told}: from the start to the file")
            starts[told] = measuring.measure_start(
                model,
                height=height,
                width=width,
                runs=runs,
                options=words(tile, name),
                picture=picture,
            )
            if as_json:
                given = {"model": model, "tile": tile, "precision": name}
                console.json(given | starts[told].to_dict())
    if not as_json:
        show(rows, list(floors.values()), starts)
    if plot and measuring.plot(rows, plot):
        console.say(f"plot: {plot}")


def _measure_files(
    models: list[str],
    sizes: list[tuple[int, int]],
    runs: int,
    count: int,
    words: list[str],
    *,
    as_json: bool,
) -> None:
    from moce_cli import bench as measuring

    rows: list[FileRow] = []
    with console.err.status("", spinner="dots") as status:
        for model, (height, width) in product(models, sizes):
            status.update(f"{model}, {width} x {height}: from file to file")
            row = measuring.measure_file(
                model, height=height, width=width, runs=runs, options=words, count=count
            )
            rows.append(row)
            if as_json:
                console.json(row.to_dict())
    if not as_json:
        show_files(rows)


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
