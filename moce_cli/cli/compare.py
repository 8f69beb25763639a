"""`moce compare`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from moce_cli.checkpoints.catalogue import DEFAULT_MODEL
from moce_cli.cli import options
from moce_cli.cli.console import configure, console

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moce_cli.compare import Compared, ExpertMap

EPILOG = options.examples(
    "moce compare before.jpg after.png -o look.html",
    "moce compare before.jpg after.png other.png -o look.html --experts",
    "moce compare before.jpg after.png -o look.png",
    "moce compare before.jpg after.png",
)
PAGES = (".html", ".htm")
STANDARD = "-"
_LARGE = 50_000_000
"""Bytes of a file that some would not hand on."""
_FOR_EXPERTS = ("model", "device", "precision", "threads", "tile", "overlap", "batch", "routing")


def compare(
    context: typer.Context,
    before: Annotated[Path, typer.Argument(metavar="BEFORE", help="The picture as it was.")],
    after: Annotated[
        list[Path],
        typer.Argument(metavar="AFTER", help="The same picture, restored one way or another."),
    ],
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            help="A page (.html, or - for a pipe) or a picture (.png, .jpg, ...) side by side; "
            "without it a table.",
            rich_help_panel="Output",
        ),
    ] = None,
    quality: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=100,
            help="Store pictures with loss, for a smaller file.",
            rich_help_panel="Output",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the output.", rich_help_panel="Output")
    ] = False,
    experts: Annotated[
        bool,
        typer.Option(
            "--experts",
            help="Restore BEFORE to show which expert works where.",
            rich_help_panel="Experts",
        ),
    ] = False,
    model: options.Model = DEFAULT_MODEL,
    routing: options.Routing = "tile",
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    threads: options.Threads = None,
    tile: options.TileSize = "auto",
    overlap: options.Overlap = None,
    batch: options.Batch = None,
    max_pixels: options.MaxPixels = options.DEFAULT_MAX_PIXELS,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
) -> None:
    """Show pictures before and after in one page that opens anywhere, or side by side.

    The page has a slider, zoom to the pixels, flicker, difference, the map of experts, and what
    each file kept of the first one's metadata. It needs no network.
    """
    configure(quiet=quiet, verbosity=verbose)
    from moce_cli.errors import UsageError

    if as_json and output == STANDARD:
        raise UsageError("--json and -o - both write to stdout", "drop --json or name a file")
    if quality is not None and output is None:
        raise UsageError("--quality is for a file, and none is written", "add -o look.html")
    if not experts:
        for name in _FOR_EXPERTS:
            source = context.get_parameter_source(name)
            if source is not None and source.name == "COMMANDLINE":
                raise UsageError(f"--{name} is for the map of experts", "add --experts")
    most = options.parse_max_pixels(max_pixels)
    target = None if output in (None, STANDARD) else Path(str(output))
    if target is not None:
        _check(target, [before, *after], overwrite=overwrite, lossy=quality is not None)

    from moce_cli.compare import compare as compare_files

    compared = compare_files([before, *after], max_pixels=most)
    found = None
    if experts:
        from dataclasses import replace

        from moce_cli.cli.experts import find_experts, must_have

        _, found = find_experts(
            str(before),
            replace(compared[0].picture, further=()),
            model=model,
            routing=routing,
            device=device,
            precision=precision,
            threads=threads,
            tile=tile,
            overlap=overlap,
            batch=batch,
            hidden=quiet,
        )
        must_have(found)
    if output == STANDARD:
        from moce_cli.compare import look_page

        _to_stdout(look_page(compared, found, quality=quality).encode())
    elif target is not None:
        _write(target, compared, found, quality)
        size = target.stat().st_size
        more = "; --quality 90 makes it smaller" if size > _LARGE and quality is None else ""
        told = f"{size / 1e6:.1f} MB" if size >= 100_000 else f"{size / 1e3:.1f} kB"
        console.say(f"{target}: {len(compared)} pictures, {told}{more}")
    if as_json:
        console.json(_values(compared, found, target))
    elif output is None:
        _show(compared, found)


def _check(target: Path, inputs: Sequence[Path], *, overwrite: bool, lossy: bool) -> None:
    """Refuse an output that could not be written, before anything is read."""
    from moce_cli.cli.outputs import check_outputs
    from moce_cli.errors import OutputError, UsageError
    from moce_cli.pictures import FORMATS, format_for

    if target.suffix.lower() not in PAGES:
        try:
            format = format_for(target)
        except OutputError as error:
            told = f"{target} is neither a page nor a picture that can be written"
            raise OutputError(told, "end its name in .html or .png") from error
        if lossy and not FORMATS[format].quality:
            raise UsageError(f"{format} is stored without loss", "drop --quality")
    check_outputs([target], overwrite=overwrite, inputs=inputs)


def _write(
    target: Path, compared: Sequence[Compared], experts: ExpertMap | None, quality: int | None
) -> None:
    from moce_cli.checkpoints.atomic import write_text
    from moce_cli.compare import look_page, side_by_side
    from moce_cli.pictures import Picture, write

    if target.suffix.lower() in PAGES:
        write_text(target, look_page(compared, experts, quality=quality))
    else:
        sheet = Picture(side_by_side(compared, experts))
        write(sheet, target, quality=quality, overwrite=True)  # it was checked before


def _to_stdout(data: bytes) -> None:
    from moce_cli.errors import OutputError

    if sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison] -- closed by the caller
        raise OutputError("standard output is closed")
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _values(
    compared: Sequence[Compared], experts: ExpertMap | None, target: Path | None
) -> dict[str, object]:
    """The JSON object."""
    from dataclasses import asdict

    rows: list[dict[str, object]] = []
    for one in compared:
        row: dict[str, object] = {
            "file": str(one.path),
            "height": one.picture.height,
            "width": one.picture.width,
        }
        if one is not compared[0]:
            row["difference"] = asdict(one.difference) if one.difference else None
            row |= {s: list(one.named(s)) for s in ("kept", "changed", "lost", "added")}
        rows.append(row)
    values: dict[str, object] = {
        "before": rows[0],
        "after": rows[1:],
        "output": str(target) if target else None,
    }
    if experts is not None:
        values["experts"] = experts.report.to_dict()
    return values


_STYLES = {"kept": "dim", "changed": "yellow", "lost": "bold red", "added": "cyan"}


def _show(compared: Sequence[Compared], experts: ExpertMap | None) -> None:
    """What was kept and lost, in the terminal."""
    from rich.markup import escape
    from rich.table import Table

    from moce_cli.cli.console import printable
    from moce_cli.compare.comparison import by_property

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("")
    for one in compared:
        table.add_column(escape(printable(one.label)), overflow="fold")
    for group, rows in by_property(compared):
        table.add_section()
        for name, fates in rows:
            cells: list[str] = []
            for index, fate in enumerate(fates):
                if fate is None:
                    cells.append("")
                elif index == 0:
                    cells.append(escape(printable(fate.before or "")))
                else:
                    value = "" if fate.status == "kept" else fate.after or ""
                    style = _STYLES[fate.status]
                    cells.append(f"[{style}]{fate.status}[/] {escape(printable(value))}".rstrip())
            label = name if group in ("Picture", "Other metadata") else f"{group} {name}"
            table.add_row(escape(printable(label)), *cells)
    console.out.print(table)
    for one in compared[1:]:
        console.result(f"{printable(one.label)}: {_difference(one)}")
    if experts is not None:
        from moce_cli.cli.experts import show_map

        show_map(experts, compared[0].picture)


def _difference(one: Compared) -> str:
    found = one.difference
    if found is None:
        return "of another size, so no difference is told"
    if found.is_none:
        return "every pixel is equal"
    return (
        f"differs by {found.mean:.2f} of 255 on average, by {found.largest:.0f} at most, in "
        f"{found.pixels:.1%} of the pixels"
    )
