"""`moce eval`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from moce_cli.checkpoints.catalogue import DEFAULT_MODEL
from moce_cli.cli import options
from moce_cli.cli.console import configure
from moce_cli.cli.outputs import check_outputs

FILTERS = "opencv"

EPILOG = options.examples(
    "moce eval pairs/ --page report.html",
    "moce eval photos/ --suite all --compare opencv",
    "moce eval photos/ --suite 'noise 25,jpeg 20' --model photo-xs --csv table.csv",
    "moce eval photos/ --suite all --oracle",
    more="pairs/ holds degraded/ and clean/, with files of the same names.",
)


def evaluate(
    datasets: Annotated[
        list[Path],
        typer.Argument(
            metavar="DATASET",
            help="A folder with degraded/ and clean/, a root of benchmarks, or with --suite a "
            "folder of clean pictures.",
            show_default=False,
        ),
    ],
    models: options.Models = [DEFAULT_MODEL],  # noqa: B006 -- Typer copies it
    suite: Annotated[
        list[str] | None,
        typer.Option(
            help="Damage clean pictures on the fly: all, or rows such as 'noise 25,jpeg 20'.",
            rich_help_panel="Data",
            show_default=False,
        ),
    ] = None,
    kernels: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Measured blur kernels (.npy): the suite's row 'kernel 1', or that row alone.",
            rich_help_panel="Data",
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, help="Of the suite's damage.", rich_help_panel="Data")
    ] = 0,
    crop: Annotated[
        int | None,
        typer.Option(
            min=8,
            help="Score the middles of this many pixels alone (with --oracle: 128).",
            rich_help_panel="Data",
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="At most so many pictures a row, spread evenly over it.",
            rich_help_panel="Data",
        ),
    ] = None,
    compare: Annotated[
        str | None,
        typer.Option(
            help="opencv: put OpenCV's filters beside it, each tuned on the same pictures.",
            rich_help_panel="What to measure",
        ),
    ] = None,
    oracle: Annotated[
        bool,
        typer.Option(
            "--oracle",
            help="Compare the router's choice of experts with every other, instead of scoring.",
            rich_help_panel="What to measure",
        ),
    ] = False,
    quantise: Annotated[
        bool | None,
        typer.Option(
            help="Score the 8-bit output, or floats; by default floats on the benchmarks (the "
            "paper's protocol) and 8 bits elsewhere.",
            rich_help_panel="What to measure",
            show_default=False,
        ),
    ] = None,
    as_json: options.Json = False,
    csv: Annotated[
        Path | None,
        typer.Option("--csv", help="Write a table to this file.", rich_help_panel="Output"),
    ] = None,
    markdown: Annotated[
        bool,
        typer.Option(
            "--markdown", help="Print Markdown, as for a model card.", rich_help_panel="Output"
        ),
    ] = False,
    page: Annotated[
        Path | None,
        typer.Option(
            help="Write a page with pictures to this HTML file.", rich_help_panel="Output"
        ),
    ] = None,
    page_pictures: Annotated[
        int | None,
        typer.Option(
            min=1, help="Pictures of each row on the page; else 2.", rich_help_panel="Output"
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace outputs.", rich_help_panel="Output")
    ] = False,
    device: options.Device = "auto",
    precision: Annotated[
        str | None,
        typer.Option(
            help="auto, fp32, bf16 or fp16; by default fp32 on the benchmarks (the paper's "
            "protocol) and auto elsewhere.",
            rich_help_panel="Machine",
            show_default=False,
        ),
    ] = None,
    threads: options.Threads = None,
    tile: Annotated[
        str | None,
        typer.Option(
            help="Longest side of a tile: auto, a multiple of 8, or 0 for the whole picture; by "
            "default 0 on the benchmarks (the paper's protocol) and auto elsewhere.",
            rich_help_panel="Tiles",
            show_default=False,
        ),
    ] = None,
    overlap: options.Overlap = None,
    batch: options.Batch = None,
    routing: options.Routing = "image",
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
) -> None:
    """Measure models: PSNR and SSIM on pairs, benchmarks, or damage made on the fly."""
    configure(quiet=quiet, verbosity=verbose)
    from moce_cli.errors import UsageError

    if compare not in (None, FILTERS):
        raise UsageError(f"{compare!r} is nothing to compare with", f"--compare takes {FILTERS}")
    if as_json and markdown:
        raise UsageError("--json and --markdown both write to stdout", "drop one of them")
    for option, given in (
        ("--compare", compare),
        ("--page", page),
        ("--page-pictures", page_pictures),
        ("--quantise", quantise),
    ):
        if oracle and given is not None:
            raise UsageError(f"--oracle and {option} exclude each other", "run them one by one")
    if oracle and (routing != "image" or tile is not None or overlap is not None):
        raise UsageError(
            "--oracle takes whole middles and prescribes the routing itself",
            "drop --routing, --tile and --overlap",
        )
    if page_pictures is not None and page is None:
        raise UsageError("--page-pictures is for a page, and none is written", "add --page FILE")
    if len(set(models)) < len(models):
        raise UsageError("a model is named twice", "name each --model once")
    check_outputs([path for path in (csv, page) if path], overwrite=overwrite)

    from moce_cli import runtime
    from moce_cli.checkpoints import load_model
    from moce_cli.cli.eval_run import labels, run_oracle, run_scores
    from moce_cli.evaluation import find_rows
    from moce_cli.restoration import Restorer
    from moce_cli.restoration.plan import parse_tile

    runtime.choose_device(device)  # before the weights are read: it is the cheaper mistake
    runtime.use_threads(threads)
    rows = [row for folder in datasets for row in find_rows(folder, suite or (), seed, kernels)]
    rows = [row.limited(limit).cropped(None if oracle else crop) for row in rows]
    checkpoints = {name: load_model(name) for name in models}
    called = labels(checkpoints)
    if oracle:
        run_oracle(
            {called[name]: checkpoint for name, checkpoint in checkpoints.items()},
            rows,
            device=device,
            precision=precision or ("fp32" if any(row.paper for row in rows) else "auto"),
            threads=threads,
            side=crop,
            seed=seed,
            batch=batch,
            as_json=as_json,
            markdown=markdown,
            csv=csv,
        )
        return

    def restorers(paper: bool) -> list[tuple[str, Restorer]]:
        """Every model, set up for the paper's protocol or for everyday use."""
        return [
            (
                called[name],
                Restorer(
                    checkpoint,
                    name=name,
                    device=device,
                    precision=precision or ("fp32" if paper else "auto"),
                    tile=parse_tile(tile or ("0" if paper else "auto")),
                    overlap=overlap,
                    batch=batch,
                    routing=routing,
                    threads=threads,
                ),
            )
            for name, checkpoint in checkpoints.items()
        ]

    run_scores(
        rows,
        {paper: restorers(paper) for paper in {row.paper for row in rows}},
        compare=compare is not None,
        quantise=quantise,
        threads=threads,
        as_json=as_json,
        markdown=markdown,
        csv=csv,
        page=page,
        page_pictures=2 if page_pictures is None else page_pictures,
    )
