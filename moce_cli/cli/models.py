"""`moce models`: which weights there are, and how they come and go.

Nothing here may import torch or the hub's client before a command needs it: `ls` is instant.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from moce_cli.checkpoints import catalogue, hub
from moce_cli.checkpoints.catalogue import SUFFIX
from moce_cli.checkpoints.entry import Entry
from moce_cli.checkpoints.pulls import Pull, find_pull, forget_pull
from moce_cli.checkpoints.resolution import describe, parse_hub_name, resolve
from moce_cli.cli import options
from moce_cli.cli.console import configure, console
from moce_cli.cli.models_examples import EPILOGS
from moce_cli.errors import UsageError, WeightsError
from moce_cli.wording import counted

models_app = typer.Typer(
    help="List, fetch, check and convert weights.",
    epilog=EPILOGS[""],
    no_args_is_help=True,
    rich_markup_mode="rich",
)

_Dtype = Literal["fp32", "fp16", "bf16"]
_Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")]
_Output = Annotated[Path, typer.Option("--output", "-o", help="The file to write, or a folder.")]


@models_app.command("ls", epilog=EPILOGS["ls"])
def list_models(as_json: options.Json = False, quiet: options.Quiet = False) -> None:
    """List the known models and where they are."""
    configure(quiet=quiet)
    known = catalogue.entries()
    if as_json:
        for entry in known:
            console.json(_values(entry))
        return
    rows = [("NAME", "STATE", "ARCHITECTURE", "SIZE", "SUMMARY")]
    rows += [
        (
            entry.name + (" *" if entry.name == catalogue.DEFAULT_MODEL else ""),
            "damaged" if entry.problem else _STATES[entry.kind],
            entry.architecture or "",
            f"{entry.size_bytes / 1e6:.1f} MB" if entry.size_bytes else "",
            entry.problem or entry.summary,
        )
        for entry in known
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=False))
        console.result(f"{'  '.join(cells)}  {row[4]}".rstrip())
    if any(entry.name == catalogue.DEFAULT_MODEL for entry in known):
        console.say("* the default")
    else:
        console.say(f"the default model, {catalogue.DEFAULT_MODEL}, is not on this machine")


_STATES = {
    "shipped": "ready",
    "imported": "imported",
    "pulled": "pulled",
    "hub": "to pull",
    "convert": "to convert",
}


@models_app.command(epilog=EPILOGS["show"])
def show(name: options.ModelName, as_json: options.Json = False) -> None:
    """Show a model's card: what it removes, what it was trained on, its licence."""
    entry = describe(name)
    if as_json:
        console.json(_values(entry))
        return
    values = entry.to_dict()
    if entry.card is not None:
        card = entry.card.to_dict()
        values |= {**card, **entry.card.facts, "name": entry.name, "card": None, "facts": None}
    for key, value in values.items():
        if value is not None and value != "":
            text = ", ".join(map(str, value)) if isinstance(value, list) else value
            text = json.dumps(text, ensure_ascii=False) if isinstance(text, dict) else text
            console.result(f"{key.replace('_', ' ') + ':':<16} {text}")


@models_app.command(epilog=EPILOGS["path"])
def path(name: options.ModelName) -> None:
    """Print where a model's file is."""
    console.result(str(catalogue.file_of(describe(name))))


@models_app.command(epilog=EPILOGS["pull"])
def pull(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="A name from `moce models ls`, or org/repo\\[@revision]."
        ),
    ],
    sha256: Annotated[str | None, typer.Option(help="What the file must have.")] = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
) -> None:
    """Fetch a model from a hub into its client's cache and check it."""
    configure(quiet=quiet, verbosity=verbose)
    entry = catalogue.find(name)
    if entry is not None and entry.kind not in ("hub", "pulled"):
        where = catalogue.file_of(entry)
        console.say(f"{name} is on this machine already")
        console.result(str(where))
        return
    if entry is not None and entry.kind == "hub":
        repo, revision, sha256 = entry.source, entry.revision, sha256 or entry.sha256
    else:
        repo, revision = _hub_name(name)
    pulled = hub.pull(repo, revision, sha256, show_progress=not quiet)
    if as_json:
        console.json({"name": pulled.name, **asdict(pulled)})
        return
    console.say(f"pulled {pulled.name} at {pulled.commit[:12]}; use it with --model {pulled.name}")
    console.result(pulled.path)


@models_app.command(epilog=EPILOGS["verify"])
def verify(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="By default all that are here.")
    ] = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Read models whole and compare them with the SHA-256 recorded for them."""
    configure(quiet=quiet)
    if names:
        chosen = [describe(name) for name in names]
    else:
        chosen = [entry for entry in catalogue.entries() if entry.kind not in ("hub", "convert")]
    if not chosen:
        console.say("no model is on this machine")
    failures: list[WeightsError] = []
    for entry in chosen:
        problem = None
        try:
            catalogue.verify(entry)
        except WeightsError as error:
            failures.append(error)
            problem = error.message
        if as_json:
            console.json({"name": entry.name, "ok": problem is None, "problem": problem})
        else:
            console.result(f"{'bad' if problem else 'ok':<4} {entry.name}")
    if len(failures) == 1:
        raise failures[0]
    if failures:
        for failure in failures:
            console.warn(failure.message)
        raise WeightsError(f"{len(failures)} of {len(chosen)} models are not as recorded")


@models_app.command("rm", epilog=EPILOGS["rm"])
def remove(name: options.ModelName, quiet: options.Quiet = False) -> None:
    """Delete an imported or pulled model from this machine."""
    configure(quiet=quiet)
    entry = catalogue.find(name)
    if entry is not None and entry.kind == "imported":
        for file in catalogue.remove_imported(entry):
            console.say(f"deleted {file}")
        return
    if entry is not None and entry.kind in ("shipped", "convert"):
        reason = "ships with the package" if entry.kind == "shipped" else "is not on this machine"
        raise WeightsError(f"{name} {reason}: there is nothing to delete")
    if entry is not None and entry.kind == "hub":
        repo, revision = entry.source, entry.revision
    else:
        repo, revision = _hub_name(name)
    was_there = hub.remove(find_pull(name) or Pull(repo, revision, "", "", ""))
    forget_pull(name)
    if not was_there:
        raise WeightsError(f"{name} is not on this machine: there is nothing to delete")
    console.say(f"deleted {name}")


@models_app.command(epilog=EPILOGS["convert"])
def convert(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The authors' .ckpt file.")],
    output: _Output,
    preset: Annotated[
        str | None,
        typer.Option(help="moce_ir_s or moce_ir; by default what the tensors show."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="What the model is called.")] = None,
    licence: Annotated[
        str | None, typer.Option(help="What the weights are under, if not the authors' licence.")
    ] = None,
    dtype: Annotated[_Dtype, typer.Option(help="Numbers in the file.")] = "fp32",
    overwrite: _Overwrite = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
) -> None:
    """Turn a checkpoint of the authors' into a weights file; nothing in it is run."""
    configure(quiet=quiet, verbosity=verbose)
    import torch

    from moce_cli.checkpoints import conversion

    target = _target(output, name or file.stem)
    done = conversion.convert(
        file,
        target,
        preset,
        name=name,
        licence=licence or catalogue.OFFICIAL_LICENCE,
        dtype={"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[dtype],
        overwrite=overwrite,
    )
    console.say(f"converted {file}: {done.preset or 'an architecture without a name'}")
    if done.ignored:
        entries = counted(done.ignored, "entry", "entries")
        console.say(f"left out {entries} of its state outside the network")
    console.say(f"licence: {done.card.licence}")
    console.result(str(done.path))


@models_app.command(epilog=EPILOGS["export"])
def export(
    name: options.ModelName,
    output: _Output,
    overwrite: _Overwrite = False,
    quiet: options.Quiet = False,
) -> None:
    """Copy a model's file out, with its SHA-256 beside it, for a machine without network."""
    configure(quiet=quiet)
    target = _target(output, name)
    catalogue.export_file(describe(name), target, overwrite=overwrite)
    console.say(f"on the other machine: moce models import {target.name}")
    console.result(str(target))


@models_app.command("import", epilog=EPILOGS["import"])
def import_model(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A weights file.")],
    name: Annotated[str | None, typer.Option(help="What to call it.")] = None,
    overwrite: _Overwrite = False,
    quiet: options.Quiet = False,
) -> None:
    """Add a weights file to the models of this machine."""
    configure(quiet=quiet)
    entry = catalogue.import_file(file, name, overwrite=overwrite)
    console.say(f"imported {entry.name}; use it with --model {entry.name}")
    console.result(str(entry.path))


@models_app.command(epilog=EPILOGS["push"])
def push(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A known model, or a weights file.")],
    repo: Annotated[str, typer.Argument(metavar="ORG/REPO", help="The hub's repository.")],
    private: Annotated[bool, typer.Option("--private", help="Make a new one private.")] = False,
    overwrite: _Overwrite = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
) -> None:
    """Publish a model on a hub with its card; the token is the hub client's (hf auth login)."""
    configure(quiet=quiet, verbosity=verbose)
    if (parsed := parse_hub_name(repo)) is None or parsed[1] is not None:
        raise UsageError(f"{repo!r} is no repository to push to", hint="ORG/REPO, nothing more")
    address = hub.push(
        catalogue.file_of(describe(name)),
        repo,
        private=private,
        overwrite=overwrite,
        show_progress=not quiet,
    )
    console.result(address)


def _hub_name(name: str) -> tuple[str, str | None]:
    parsed = parse_hub_name(name)
    if parsed is None:
        resolve(name, fetch=False)  # an unknown name has its own sentence
        raise UsageError(f"{name!r} is no repository of a hub", hint="org/repo[@revision]")
    return parsed


def _target(output: Path, name: str) -> Path:
    return output / (name.replace("/", "--") + SUFFIX) if output.is_dir() else output


def _values(entry: Entry) -> dict[str, object]:
    return {**entry.to_dict(), "default": entry.name == catalogue.DEFAULT_MODEL}
