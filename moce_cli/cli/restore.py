"""`moce restore`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from moce_cli.checkpoints.catalogue import DEFAULT_MODEL
from moce_cli.cli import options
from moce_cli.cli.console import configure, console

if TYPE_CHECKING:
    from moce_cli.batch import Done, Job

EPILOG = """Examples:

  moce restore rainy.jpg -o clean.png

  moce restore photos/ -o restored/

  cat a.png | moce restore - -o - > b.png
"""


def restore(
    inputs: Annotated[
        list[str], typer.Argument(metavar="INPUT...", help="Files, folders, or - for a pipe.")
    ],
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            help="A file, a folder, or - for a pipe; else NAME.restored.EXT beside the input.",
            rich_help_panel="Output",
        ),
    ] = None,
    model: options.Model = DEFAULT_MODEL,
    strength: Annotated[
        float,
        typer.Option(
            min=0.0, max=1.0, help="1 is the result, 0 the input.", rich_help_panel="Picture"
        ),
    ] = 1.0,
    format: Annotated[
        str | None,
        typer.Option(
            help="png, jpeg, webp, tiff or bmp, whatever the extension.", rich_help_panel="Output"
        ),
    ] = None,
    quality: Annotated[
        int | None,
        typer.Option(min=1, max=100, help="Of JPEG and WebP.", rich_help_panel="Output"),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace outputs.", rich_help_panel="Output")
    ] = False,
    skip_existing: Annotated[
        bool,
        typer.Option(
            "--skip-existing", help="Leave outputs that are there.", rich_help_panel="Output"
        ),
    ] = False,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    threads: options.Threads = None,
    tile: options.TileSize = "auto",
    overlap: options.Overlap = None,
    batch: options.Batch = None,
    routing: options.Routing = "image",
    max_seam: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            help="Fail a picture whose tile borders score worse; 1 is invisible.",
            rich_help_panel="Tiles",
        ),
    ] = None,
    max_pixels: options.MaxPixels = options.DEFAULT_MAX_PIXELS,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
) -> None:
    """Restore pictures: a file, several, a folder with all below it, or a pipe."""
    configure(quiet=quiet, verbosity=verbose)
    from moce_cli.batch import STANDARD, Settings, make_folders, plan_jobs, run_jobs
    from moce_cli.errors import UsageError

    if overwrite and skip_existing:
        raise UsageError("--overwrite and --skip-existing exclude each other", "drop one of them")
    if as_json and output == STANDARD:
        raise UsageError("--json and -o - both write to stdout", "drop --json or name a file")
    settings = Settings(
        strength=strength,
        max_pixels=options.parse_max_pixels(max_pixels),
        overwrite=overwrite,
        quality=quality,
        max_seam=max_seam,
    )
    jobs = plan_jobs(
        inputs, output, format=format, overwrite=overwrite, skip_existing=skip_existing
    )
    if len(jobs) == 1:
        _check_readable(jobs[0], settings.max_pixels)  # a bad file needs no network to be refused
    make_folders(jobs)

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
    sizes = [_pixels(job, settings.max_pixels) for job in jobs]
    failed: list[Done] = []
    with BatchProgress(console, len(jobs), sum(sizes), hidden=quiet) as progress:
        progress.start_file(jobs[0].name, sizes[0])
        for index, done in enumerate(run_jobs(jobs, restorer, settings, progress.tile)):
            if as_json:
                console.json(_row(done))
            alone = done.error is not None and len(jobs) == 1  # then the error itself says it all
            experts = done.report.experts if done.report else None
            progress.end_file("" if alone else _line(done), experts)
            for warning in done.warnings:
                console.warn(f"{done.job.name}: {warning}")
            if done.error:
                failed.append(done)
                if len(jobs) > 1:
                    console.error(done.error)
            if index + 1 < len(jobs):
                progress.start_file(jobs[index + 1].name, sizes[index + 1])
    if not failed:
        return
    if len(jobs) == 1:
        assert failed[0].error is not None
        raise failed[0].error
    console.say(f"{len(jobs) - len(failed)} of {len(jobs)} pictures done, {len(failed)} failed")
    raise typer.Exit(1)


def _check_readable(job: Job, max_pixels: int) -> None:
    from moce_cli.pictures import probe

    if job.source is not None and not job.exists:
        probe(job.source, max_pixels=max_pixels)


def _pixels(job: Job, max_pixels: int) -> int:
    """How much work a job is; 0 where that can't be told."""
    from moce_cli.errors import MoceError
    from moce_cli.pictures import probe

    if job.source is None or job.exists:
        return 0
    try:
        size = probe(job.source, max_pixels=max_pixels)
    except MoceError:
        return 0  # said when its turn comes
    return size.height * size.width


def _row(done: Done) -> dict[str, object]:
    """The JSON object of a picture."""
    row: dict[str, object] = {
        "input": str(done.job.source or "-"),
        "output": str(done.job.target or "-"),
        "status": "failed" if done.error else "skipped" if done.skipped else "restored",
    }
    if done.error:
        row["output"] = None
        row["error"] = {
            "message": done.error.message,
            "hint": done.error.hint,
            "exit_code": done.error.exit_code,
        }
    if done.report:
        row |= done.report.to_dict()
        row["notes"] = list(done.warnings)
        row["seconds_with_files"] = round(done.seconds, 4)
    return row


def _line(done: Done) -> str:
    """A picture in a line."""
    from moce_cli.cli.progress import fired

    name = done.job.name
    if done.error:
        return f"{name}: failed"
    target = str(done.job.target) if done.job.target else "standard output"
    if done.report is None:
        return f"{name}: skipped, {Path(target).name} is there"
    report = done.report
    megapixels = report.height * report.width / 1e6
    seam = f", seam {report.seam:.3f}" if report.tiles > 1 else ""
    return (
        f"{name} -> {target}: {report.width} x {report.height} in {done.seconds:.1f} s "
        f"({megapixels / max(done.seconds, 1e-9):.2f} MP/s), experts {fired(report.experts)}{seam}"
    )
