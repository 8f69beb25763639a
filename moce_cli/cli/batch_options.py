"""Options of `moce restore` that concern many pictures."""

from __future__ import annotations

from typing import Annotated

import typer

PANEL = "Batch"

FilesFrom = Annotated[
    str | None,
    typer.Option(
        metavar="LIST",
        help="A file of names, one a line or ended by zero bytes; - is standard input.",
        rich_help_panel=PANEL,
    ),
]
Include = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PATTERN",
        help="Of a folder only what matches, by name or path; may be given again.",
        rich_help_panel=PANEL,
    ),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PATTERN", help="Leave out files and folders that match.", rich_help_panel=PANEL
    ),
]
Recursive = Annotated[
    bool, typer.Option("--recursive/--no-recursive", help="Folders too.", rich_help_panel=PANEL)
]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Leave out what the journal beside the outputs says is done, and still is.",
        rich_help_panel=PANEL,
    ),
]
RetryFailed = Annotated[
    bool,
    typer.Option(
        "--retry-failed",
        help="Resume, and try again pictures that failed by their own fault.",
        rich_help_panel=PANEL,
    ),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run", help="Tell what would be done; write nothing.", rich_help_panel=PANEL
    ),
]
FailFast = Annotated[
    bool, typer.Option("--fail-fast", help="Stop at the first failure.", rich_help_panel=PANEL)
]
ShardOption = Annotated[
    str | None,
    typer.Option(
        "--shard",
        metavar="I/N",
        help="Do the I-th of N shares, the same on every machine.",
        rich_help_panel=PANEL,
    ),
]
JournalFile = Annotated[
    str | None,
    typer.Option(
        "--journal",
        metavar="FILE",
        help="Keep the journal here; else .moce-journal.jsonl beside the outputs of a batch.",
        rich_help_panel=PANEL,
    ),
]
Preserve = Annotated[
    bool,
    typer.Option(
        "--preserve", "-p", help="Keep the files' times and permissions.", rich_help_panel="Output"
    ),
]
Watch = Annotated[
    bool,
    typer.Option(
        "--watch",
        help="Go on with what appears in the folder, once it is whole; until Ctrl-C.",
        rich_help_panel=PANEL,
    ),
]
Engine = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="What runs the batch on several machines: ray.",
        rich_help_panel=PANEL,
    ),
]
Address = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        help="Of the Ray cluster, or auto for the one that this machine is in; else one of its own "
        "on this machine.",
        rich_help_panel=PANEL,
    ),
]
WorkerCount = Annotated[
    int | None,
    typer.Option(
        "--workers",
        min=1,
        help="Of the engine; else one for each GPU, or as many as its cores allow.",
        rich_help_panel=PANEL,
    ),
]
