"""`moce degrade`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from moce_cli.cli import options
from moce_cli.cli.console import configure, console
from moce_cli.cli.degrade_kinds import kinds_named, kinds_wanted, list_kinds
from moce_cli.cli.degrade_write import write_degraded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moce_cli.batch import Job
    from moce_cli.degradations import SensorNoise
    from moce_cli.errors import MoceError

EPILOG = """Examples:

  moce degrade clean.png --noise 25 --jpeg 40 -o bad.png

  moce degrade clean.png --mix low,haze,rain --seed 3

  moce degrade photos/ --rain 0.6 -o rainy/

  moce degrade --kinds

Whatever the order of the options, scene comes before lens, lens before sensor, sensor before file.
"""
MARK = ".degraded"
"""Goes before the extension where no output is named."""
SCENE, LENS, SENSOR, FILE = "Scene", "Lens", "Sensor", "File"


def _number(low: float, high: float, text: str, panel: str) -> object:
    """A strength; the check is ours, so that NaN is refused as well and both ends are said."""

    def check(value: float | None) -> float | None:
        if value is None or low <= value <= high:
            return value
        raise typer.BadParameter(f"{value:g} is not a number from {low:g} to {high:g}")

    span = f"FLOAT [{low:g}<=x<={high:g}]"
    return typer.Option(callback=check, metavar=span, help=text, rich_help_panel=panel)


def degrade(
    inputs: Annotated[
        list[str] | None, typer.Argument(metavar="INPUT", help="Files, folders, or - for a pipe.")
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            help="A file, a folder, or - for a pipe; else NAME.degraded.EXT beside the input.",
            rich_help_panel="Output",
        ),
    ] = None,
    haze: Annotated[float | None, _number(0, 1, "Light lost at the horizon.", SCENE)] = None,
    rain: Annotated[float | None, _number(0, 1, "1 is a downpour.", SCENE)] = None,
    snow: Annotated[float | None, _number(0, 1, "1 is a snowstorm.", SCENE)] = None,
    blur: Annotated[float | None, _number(0, 20, "Sigma in pixels.", LENS)] = None,
    defocus: Annotated[float | None, _number(0, 40, "Radius in pixels.", LENS)] = None,
    shake: Annotated[
        float | None, _number(0, 100, "Extent of the hand's movement, px.", LENS)
    ] = None,
    kernel: Annotated[float | None, _number(0, 3, "Size of a measured one.", LENS)] = None,
    kernels: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Measured kernels (.npy); alone it means --kernel 1.",
            rich_help_panel=LENS,
        ),
    ] = None,
    low: Annotated[float | None, _number(0, 6, "Stops darker.", SENSOR)] = None,
    sensor: Annotated[float | None, _number(100, 25600, "ISO number.", SENSOR)] = None,
    sensor_noise: Annotated[
        str | None, typer.Option(help="white or coloured; else either.", rich_help_panel=SENSOR)
    ] = None,
    after_gamma: Annotated[
        bool,
        typer.Option(
            "--after-gamma",
            help="Sensor noise on encoded values, not on light.",
            rich_help_panel=SENSOR,
        ),
    ] = False,
    noise: Annotated[float | None, _number(0, 100, "White noise, sigma of 255.", SENSOR)] = None,
    jpeg: Annotated[float | None, _number(1, 100, "Quality of a JPEG file.", FILE)] = None,
    webp: Annotated[float | None, _number(1, 100, "Quality of a WebP file.", FILE)] = None,
    mix: Annotated[
        str | None,
        typer.Option(
            metavar="KIND,...",
            help="Kinds whose strengths are drawn from what is usual.",
            rich_help_panel="Chance",
        ),
    ] = None,
    kinds: Annotated[
        bool,
        typer.Option(
            "--kinds",
            help="Only list the kinds: strength, model, source.",
            rich_help_panel="Chance",
        ),
    ] = False,
    seed: Annotated[
        int,
        typer.Option(min=0, help="Another seed draws other damage.", rich_help_panel="Chance"),
    ] = 0,
    format: options.Format = None,
    quality: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=100,
            help="Of the JPEG, WebP or AVIF that is written.",
            rich_help_panel="Output",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace outputs.", rich_help_panel="Output")
    ] = False,
    max_pixels: options.MaxPixels = options.DEFAULT_MAX_PIXELS,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
) -> None:
    """Damage pictures as weather, lens, sensor and file do: to try the tool, or to test it."""
    configure(quiet=quiet, verbosity=verbose)
    if kinds:
        list_kinds(as_json=as_json)
        return
    from moce_cli.batch import STANDARD, make_folders
    from moce_cli.degradations import KINDS, SensorNoise, chances
    from moce_cli.degradations import mix as mixed
    from moce_cli.errors import MoceError, OutputExistsError, UsageError

    if as_json and output == STANDARD:
        raise UsageError("--json and -o - both write to stdout", "drop --json or name a file")
    if not inputs:
        raise UsageError("no picture was named", "name files, a folder, or - for a pipe")
    named = kinds_named(mix)
    if kernels is not None and kernel is None and "kernel" not in named:
        kernel = 1.0
    numbers = (haze, rain, snow, blur, defocus, shake, kernel, low, sensor, noise, jpeg, webp)
    asked = dict(zip(KINDS, numbers, strict=True))
    strengths = kinds_wanted(asked, named)
    camera = SensorNoise(sensor_noise, after_gamma)
    if camera != SensorNoise() and "sensor" not in strengths:
        option = "--after-gamma" if after_gamma else "--sensor-noise"
        raise UsageError(f"{option} says which noise of a sensor", "add --sensor 1600")
    mixed(strengths, chances(seed, 0)[0], kernels=kernels)  # refused before anything is read
    most = options.parse_max_pixels(max_pixels)
    try:
        jobs = _plan(inputs, output, format, overwrite=overwrite)
    except OutputExistsError as error:
        raise OutputExistsError(error.message, "add --overwrite, or name another output") from error
    make_folders(jobs)
    failed = 0
    for index, job in enumerate(jobs):
        try:
            row, notes = _run(
                job,
                strengths,
                (seed, index),
                kernels=kernels,
                camera=camera,
                max_pixels=most,
                quality=quality,
                overwrite=overwrite,
            )
        except MoceError as error:
            if as_json:
                console.json(_failure(job, error))
            if len(jobs) == 1:
                raise
            failed += 1
            console.say(f"{job.name}: failed")
            console.error(error)
            continue
        if as_json:
            console.json(row)
        for note in notes:
            console.warn(f"{job.name}: {note}")
    if failed:
        console.say(f"{len(jobs) - failed} of {len(jobs)} pictures done, {failed} failed")
        raise typer.Exit(1)


def _plan(
    inputs: list[str], output: str | None, format: str | None, *, overwrite: bool
) -> list[Job]:
    """Which files become which.

    Raises:
        UsageError, InputError, OutputError: as `plan_jobs`.
    """
    from moce_cli.batch import STANDARD, plan_jobs
    from moce_cli.errors import UsageError
    from moce_cli.pictures import EXTENSIONS, FORMATS, format_named

    if output is not None or STANDARD in inputs:
        return plan_jobs(inputs, output, format=format, overwrite=overwrite)
    wanted = FORMATS[format_named(format)] if format is not None else None
    jobs: list[Job] = []
    for name in dict.fromkeys(inputs):
        path = Path(name)
        if path.is_dir():
            raise UsageError(f"where should the pictures of {path} go?", "name a folder with -o")
        known = EXTENSIONS.get(path.suffix.lower())
        suffix = path.suffix if known is not None and known.writable else ".png"
        if wanted is not None and wanted is not known:
            suffix = wanted.extensions[0]
        target = path.with_name(f"{path.stem}{MARK}{suffix}") if path.name else path
        jobs += plan_jobs([name], str(target), format=format, overwrite=overwrite)
    if len({job.target for job in jobs}) < len(jobs):
        raise UsageError("two pictures would become one file", "name a folder with -o")
    return jobs


def _run(
    job: Job,
    strengths: Mapping[str, float | None],
    seed: tuple[int, int],
    *,
    kernels: Path | None,
    camera: SensorNoise,
    max_pixels: int,
    quality: int | None,
    overwrite: bool,
) -> tuple[dict[str, object], tuple[str, ...]]:
    """Read, degrade and write one picture; its JSON row and what to tell."""
    from moce_cli.batch import open_picture
    from moce_cli.degradations import chances, colourless, degrade_picture, mix

    clean = open_picture(job.source, max_pixels)
    rng, generator = chances(*seed)
    extent = float(max(clean.height, clean.width))
    plan = mix(strengths, rng, extent=extent, kernels=kernels, sensor_noise=camera)
    if clean.channels == 1:
        plan = colourless(plan)
    notes = write_degraded(
        job,
        degrade_picture(clean, plan, generator),
        plan,
        seed,
        quality=quality,
        overwrite=overwrite,
    )
    done = ", ".join(f"{step.kind} {step.strength:g}" for step in plan)
    console.say(f"{job.name} -> {job.target or 'standard output'}: {done}")
    row: dict[str, object] = {
        "input": str(job.source or "-"),
        "output": str(job.target or "-"),
        "status": "degraded",
        "height": clean.height,
        "width": clean.width,
        "seed": seed[0],
        "picture": seed[1],
        "degradations": [step.to_dict() for step in plan],
        "notes": list(notes),
    }
    return row, notes


def _failure(job: Job, error: MoceError) -> dict[str, object]:
    return {
        "input": str(job.source or "-"),
        "output": None,
        "status": "failed",
        "error": {"message": error.message, "hint": error.hint, "exit_code": error.exit_code},
    }
