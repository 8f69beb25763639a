"""`moce doctor`."""

from __future__ import annotations

import platform
from dataclasses import replace
from typing import TYPE_CHECKING

from moce_cli.cli import options
from moce_cli.cli.console import configure, console

if TYPE_CHECKING:
    from moce_cli.runtime import Precision

EPILOG = options.examples("moce doctor", "moce doctor --device cpu --precision fp32 --json")


def doctor(
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
) -> None:
    """Tell what will be used on this machine and why, and check its numbers."""
    configure(quiet=quiet, verbosity=verbose)
    import torch

    from moce_cli import __version__, runtime
    from moce_cli.checkpoints import load_model
    from moce_cli.checkpoints.catalogue import DEFAULT_MODEL
    from moce_cli.errors import DeviceError
    from moce_cli.network import PRESETS
    from moce_cli.pictures.large import library
    from moce_cli.restoration import selfcheck
    from moce_cli.restoration.plan import make_plan, why_not_compiled

    there = runtime.available_devices()
    chosen = runtime.choose_device(device)
    used = runtime.choose_precision(precision, chosen)
    fft_right = selfcheck.convolution_is_right(chosen)
    checked: tuple[Precision, ...] = (used,) if used == "fp32" else (used, "fp32")
    errors: dict[str, float] = {}
    right: dict[str, bool] = {}
    for p in checked:
        errors[p] = selfcheck.golden_error(chosen, p)
        right[p] = errors[p] <= selfcheck.TOLERANCE[p]
    plan = make_plan(
        replace(PRESETS["moce_ir_xs"], scene=True),  # what the default model is
        chosen,
        height=4000,
        width=6000,
        tile=None,
        overlap=None,
        batch=None,
        threads=runtime.usable_cores(),
        precision=used,
    )
    facts: dict[str, object] = {
        "moce": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "system": f"{platform.system()} {platform.machine()}",
        "devices": there,
        "device": str(chosen),
        "device_reason": _device_reason(device, there),
        "precision": used,
        "precision_reason": _precision_reason(precision, str(chosen), used),
        "threads": runtime.usable_cores(),
        "memory_bytes": runtime.memory_bytes(),
        "plan": plan.to_dict(),
        "compiled_reason": why_not_compiled(chosen),
        "bands": library(),
        "opencv": _opencv(),
        "model": _model(DEFAULT_MODEL),
        "golden_error": {p: round(e, 6) for p, e in errors.items()},
        "golden_right": right,
        "fft_right": fft_right,
    }
    if as_json:
        console.json(facts)
    else:
        _show(facts, errors, right)
    if not all(right.values()):
        raise DeviceError(f"{chosen} computes wrong numbers", "use --device cpu")
    load_model(DEFAULT_MODEL)


def _device_reason(wanted: str, there: list[str]) -> str:
    if wanted != "auto":
        return "asked for"
    if there[0].startswith("cuda"):
        return "the first CUDA device"
    if there[0] == "mps":
        return "Apple's GPU"
    import torch

    built = "has CUDA" if torch.version.cuda else "has no CUDA"
    return f"no GPU was found (this build of torch {built})"


def _precision_reason(wanted: str, device: str, used: str) -> str:
    if wanted != "auto":
        return "asked for"
    if used == "bf16":
        return f"this {device.partition(':')[0].upper()} multiplies bfloat16 natively"
    if used == "fp16":
        return "this card multiplies float16 natively, but not bfloat16"
    return "this device has no fast lower precision that is right"


def _opencv() -> str:
    """OpenCV's version, or why it is not there."""
    try:
        import cv2
    except ImportError as error:
        return f"not usable ({error}); pip install opencv-python-headless"
    return cv2.__version__


def _model(name: str) -> str:
    """Whether the default weights are there and whole."""
    from moce_cli.checkpoints import load_model
    from moce_cli.errors import MoceError

    try:
        load_model(name)
    except MoceError as error:
        return f"{name}: {error.message}"
    return f"{name}: whole"


def _show(facts: dict[str, object], errors: dict[str, float], right: dict[str, bool]) -> None:
    from rich.table import Table

    memory = facts["memory_bytes"]
    assert isinstance(memory, int)
    plan = facts["plan"]
    assert isinstance(plan, dict)
    devices = facts["devices"]
    assert isinstance(devices, list)
    rows = {
        "moce": f"{facts['moce']} (Python {facts['python']}, torch {facts['torch']})",
        "system": facts["system"],
        "devices": ", ".join(devices),
        "device": f"{facts['device']}: {facts['device_reason']}",
        "precision": f"{facts['precision']}: {facts['precision_reason']}",
        "threads": facts["threads"],
        "memory": f"{memory / 2**30:.1f} GiB may be used",
        "plan": ", ".join(f"{k} {v}" for k, v in plan.items()) + " (at 24 megapixels)",
        "compiled": f"no: {facts['compiled_reason']}",
        "bands": facts["bands"],
        "OpenCV": facts["opencv"],
        "model": facts["model"],
    }
    for p, error in errors.items():
        verdict = "right" if right[p] else "WRONG"
        rows[f"golden tile {p}"] = f"{verdict}, error {error:.2g} of its standard deviation"
    rows["FFT"] = "right" if facts["fft_right"] else "WRONG: that operation runs on the CPU"
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in rows.items():
        table.add_row(name, str(value))
    console.out.print(table)
