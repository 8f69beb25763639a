"""`moce restore`."""

from __future__ import annotations

from typing import Annotated

import typer

from moce_cli.checkpoints.catalogue import DEFAULT_MODEL
from moce_cli.cli import batch_options, options, picture_options
from moce_cli.cli.console import configure
from moce_cli.cli.importing import importing

EPILOG = """Examples:

  moce restore rainy.jpg -o clean.png

  moce restore photos/ -o restored/

  moce restore photos/ -o restored/ --resume

  find . -name '*.jpg' -print0 | moce restore --files-from - -o 'out/{parent}/{stem}{ext}'

  moce restore s3://bucket/photos -o s3://bucket/restored --engine ray --address auto

  cat a.png | moce restore - -o - > b.png
"""


def restore(
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="INPUT",
            help="Files, folders, URLs (s3://bucket/photos), patterns in quotes, or - for a pipe.",
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            help="A file, a folder, a template such as 'out/{parent}/{stem}_clean{ext}', or - for "
            "a pipe; else NAME.restored.EXT beside the input.",
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
    region: picture_options.RegionText = None,
    mask: picture_options.MaskFile = None,
    ensemble: picture_options.Ensemble = False,
    format: options.Format = None,
    quality: picture_options.Quality = None,
    subsampling: picture_options.Subsampling = None,
    png_compression: picture_options.PngCompression = None,
    strip_metadata: picture_options.StripMetadata = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace outputs.", rich_help_panel="Output")
    ] = False,
    skip_existing: Annotated[
        bool,
        typer.Option(
            "--skip-existing", help="Leave outputs that are there.", rich_help_panel="Output"
        ),
    ] = False,
    preserve: batch_options.Preserve = False,
    files_from: batch_options.FilesFrom = None,
    include: batch_options.Include = None,
    exclude: batch_options.Exclude = None,
    recursive: batch_options.Recursive = True,
    resume: batch_options.Resume = False,
    retry_failed: batch_options.RetryFailed = False,
    shard: batch_options.ShardOption = None,
    journal: batch_options.JournalFile = None,
    fail_fast: batch_options.FailFast = False,
    dry_run: batch_options.DryRun = False,
    watch: batch_options.Watch = False,
    engine: batch_options.Engine = None,
    address: batch_options.Address = None,
    workers: batch_options.WorkerCount = None,
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
    bands: picture_options.BandsText = "auto",
    max_pixels: options.MaxPixels = options.DEFAULT_MAX_PIXELS,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
) -> None:
    """Restore pictures: a file, several, a folder with all below it, or a pipe."""
    configure(quiet=quiet, verbosity=verbose)
    with importing():
        from moce_cli.batch import Request, Settings, Shard, Wanted, parse_bands
        from moce_cli.cli import restore_run
        from moce_cli.cli.machine import ClusterOptions, Machine
        from moce_cli.errors import UsageError
        from moce_cli.restoration.where import Mask, Region

    if as_json and output == "-":
        raise UsageError("--json and -o - both write to stdout", "drop --json or name a file")
    request = Request(
        Wanted(
            tuple(inputs or ()),
            restore_run.listed(files_from, inputs or []),
            tuple(include or ()),
            tuple(exclude or ()),
            recursive=recursive,
        ),
        output,
        format=format,
        overwrite=overwrite,
        skip_existing=skip_existing,
        resume=resume,
        retry_failed=retry_failed,
        shard=Shard.parse(shard) if shard is not None else None,
        journal=journal,
        watch=watch,
    )
    settings = Settings(
        strength=strength,
        max_pixels=options.parse_max_pixels(max_pixels),
        storage=picture_options.storage(
            quality, subsampling, png_compression, strip=strip_metadata
        ),
        region=Region.parse(region) if region is not None else None,
        mask=Mask.read(mask) if mask is not None else None,
        ensemble=ensemble,
        max_seam=max_seam,
        preserve=preserve,
        bands=parse_bands(bands),
    )
    machine = Machine(
        model,
        device,
        precision,
        threads,
        tile=tile,
        overlap=overlap,
        batch=batch,
        routing=routing,
        cluster=ClusterOptions.parse(engine, address, workers),
    )
    manner = restore_run.Manner(as_json=as_json, quiet=quiet, fail_fast=fail_fast, dry_run=dry_run)
    restore_run.run(request, settings, machine, manner)
