"""`moce train`."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from moce_cli.cli import options
from moce_cli.cli.console import configure, console
from moce_cli.cli.train_run import Bar, Stop

if TYPE_CHECKING:
    from moce_cli.training.options import Ending
    from moce_cli.training.sampling import Sampler

INTERRUPTED = 130

EPILOG = """Examples:

  moce train examples/recipes/photo-xs.toml --data photos/ --minutes 60

  moce train examples/recipes/photo-xs.toml --data photos/ --resume

  moce train recipe.toml --warm-start photo-xs.safetensors -o better.safetensors

  torchrun --nproc-per-node 4 -m moce_cli train recipe.toml
"""


def train(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="A recipe in TOML.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="The weights file; else NAME.safetensors, by the recipe's name."
        ),
    ] = None,
    data: Annotated[
        list[Path] | None,
        typer.Option(help="Folder of pictures, in place of the recipe's; may be repeated."),
    ] = None,
    validation: Annotated[
        list[Path] | None,
        typer.Option(help="Folder of held-back pictures, in place of the recipe's."),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            min=1, help="Stop after so many steps in all, those before --resume among them."
        ),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(help="Stop after so many minutes in all, those before --resume among them."),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on from the state beside the output; --steps and --minutes are given again.",
        ),
    ] = False,
    warm_start: Annotated[
        Path | None,
        typer.Option(
            help="Begin from a weights file and its step count; a part of one will do, and so will "
            "a smaller network's, which is made as wide and deep as the recipe's without changing "
            "what it answers.",
        ),
    ] = None,
    half: Annotated[bool, typer.Option("--half", help="Write 16-bit weights.")] = False,
    parts: Annotated[
        bool, typer.Option("--parts", help="Write the weights in parts under 16 MB as well.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Begin anew, over what is there.")
    ] = False,
    measure_data: Annotated[
        float | None,
        typer.Option(help="Only measure, for so many seconds, how fast batches are made."),
    ] = None,
    device: options.Device = "auto",
    precision: Annotated[
        str,
        typer.Option(
            help="auto, fp32 or bf16.",
            rich_help_panel="Machine",
            autocompletion=options.one_of("auto", "fp32", "bf16"),
        ),
    ] = "auto",
    threads: options.Threads = None,
    workers: Annotated[
        int | None,
        typer.Option(min=0, help="Processes that prepare batches.", rich_help_panel="Machine"),
    ] = None,
    compile: Annotated[
        bool | None,
        typer.Option(
            "--compile/--no-compile",
            help="Compile the blocks first; by default where it pays.",
            rich_help_panel="Machine",
        ),
    ] = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
) -> None:
    """Train or fine-tune weights by a recipe.

    It stops when the budget is spent, or at Ctrl-C, and leaves a usable weights file, the state to
    go on from, a record in JSON lines and a plot.
    """
    configure(quiet=quiet, verbosity=verbose)
    from moce_cli.errors import OutputExistsError, UsageError
    from moce_cli.training.recipe import load_recipe, with_data, with_validation
    from moce_cli.training.schedule import limited
    from moce_cli.training.state import state_path

    if resume and warm_start is not None:
        raise UsageError("--resume and --warm-start exclude each other", "give one of them")
    if resume and overwrite:
        raise UsageError("--resume and --overwrite exclude each other", "give one of them")
    if measure_data is not None and not 0 < measure_data < math.inf:
        raise UsageError(
            f"--measure-data is {measure_data:g}, it needs a number of seconds above 0",
            "--measure-data 10 will do",
        )
    chosen = load_recipe(recipe)
    chosen = with_data(chosen, data or [])
    if validation:
        chosen = with_validation(chosen, validation)
    chosen = limited(chosen, steps=steps, minutes=minutes)
    target = output or Path(f"{chosen.name}.safetensors")
    if target.suffix != ".safetensors":
        raise UsageError(f"{target} is no weights file", "end its name in .safetensors")
    for path in (target, state_path(target), *_beside(target)):
        if path.exists() and not (resume or overwrite or measure_data is not None):
            raise OutputExistsError(
                f"{path} exists", "to go on: --resume; to begin anew: --overwrite"
            )

    from moce_cli import runtime

    wanted = runtime.choose_device(device)
    from moce_cli.training.distributed import joined

    with joined(wanted.type) as place:
        import torch

        if wanted.type == "cuda" and not place.is_alone:
            wanted = torch.device("cuda", place.local_rank)
        if threads or "OMP_NUM_THREADS" not in os.environ:
            here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
            torch.set_num_threads(threads or max(1, runtime.usable_cores() // here))
        from moce_cli.training import compiling
        from moce_cli.training.loop import Trainer, TrainingError
        from moce_cli.training.options import Options, training_precision

        budget = chosen.budget
        settings = Options(
            output=target,
            device=wanted,
            precision=training_precision(precision, wanted),
            workers=_workers(workers, wanted.type),
            compiled=compiling.pays(wanted, budget.minutes, budget.steps)
            if compile is None
            else compile,
            resume=resume,
            warm_start=warm_start,
            half=half,
            in_parts=parts,
        )
        stop = Stop()
        with Bar(chosen, hidden=quiet or not place.is_first) as bar:
            trainer = Trainer(chosen, settings, place, watch=bar.update, stop=stop.asked)
            if place.is_first:
                _say_what_was_left_out(trainer.sampler)
            try:
                with stop.listening():
                    if measure_data is not None:
                        _measure(trainer, measure_data, stop, as_json=as_json)
                        return
                    ending = trainer.run()
            except TrainingError:
                if place.is_first:
                    _draw(target)
                raise
    if place.is_first:
        _conclude(ending, as_json=as_json)
    if ending.stopped:
        console.warn("interrupted; the weights and the state are kept: go on with --resume")
        raise typer.Exit(INTERRUPTED)


def _workers(wanted: int | None, device_type: str) -> int:
    """Processes that prepare a process's batches.

    One beside a CPU that trains alone and none where several do, as each has a core; beside GPUs
    all cores but theirs, shared out.
    """
    from moce_cli.runtime import usable_cores

    if wanted is not None:
        return wanted
    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if device_type == "cpu":
        return 1 if here == 1 else 0
    return max(1, usable_cores() // here - 1)


def _say_what_was_left_out(sampler: Sampler) -> None:
    for one in sampler.left_out:
        console.warn(f"{one.path} is left out: {one.why}")


def _measure(trainer: Any, seconds: float, stop: Stop, *, as_json: bool) -> None:  # noqa: ANN401 -- a Trainer; torch is late
    from moce_cli.training.rate import measure_rate

    settings = trainer.options
    rate = measure_rate(
        trainer.sampler, settings.device, settings.workers, seconds, stop=stop.asked
    )
    if as_json:
        console.json({"crops_per_second": round(rate, 2), "workers": settings.workers})
    else:
        console.result(f"{rate:.0f} crops a second")
    if stop.asked():
        raise typer.Exit(INTERRUPTED)


def _beside(output: Path) -> tuple[Path, Path, Path]:
    """The record, the plot and the checksum of some weights."""
    stem = output.name.removesuffix(".safetensors")
    record, plot = (output.with_name(stem + end) for end in (".jsonl", ".png"))
    return record, plot, output.with_name(output.name + ".sha256")


def _draw(output: Path) -> tuple[Path, Path | None]:
    """The record beside the weights, and the plot of it if one was drawn."""
    from moce_cli.errors import OutputError
    from moce_cli.training.record import plot

    record, picture, _ = _beside(output)
    try:
        return record, picture if plot(record, picture) else None
    except OutputError as error:
        console.warn(f"no plot: {error.message}")
        return record, None


def _conclude(ending: Ending, *, as_json: bool) -> None:
    counters = ending.counters
    record, picture = _draw(ending.output)
    if as_json:
        console.json(
            {
                "output": str(ending.output),
                "steps": counters.step,
                "seconds": counters.seconds,
                "cpu_seconds": counters.cpu_seconds,
                "skipped_steps": counters.skipped,
                "stopped": ending.stopped,
                "psnr": dict(ending.psnr),
                "record": str(record),
                "plot": None if picture is None else str(picture),
                "parts": [str(part) for part in ending.parts],
            }
        )
        return
    console.say(
        f"{ending.output}: {counters.step} steps in {counters.seconds / 60:.1f} minutes "
        f"({counters.cpu_seconds / 3600:.2f} CPU hours)"
    )
    for row, value in ending.psnr.items():
        console.result(f"{value:6.2f} dB  {row}")
