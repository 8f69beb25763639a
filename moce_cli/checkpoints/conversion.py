"""The authors' training checkpoints as weights files of ours."""

from __future__ import annotations

import argparse
import logging
import pickle
import re
import warnings
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, cast

import torch
from torch import Tensor

from moce_cli.checkpoints.architecture import OFFICIAL_PREFIX, infer_config_official
from moce_cli.checkpoints.card import Fact, ModelCard
from moce_cli.checkpoints.catalogue import CONVERTIBLE, OFFICIAL_LICENCE, OFFICIAL_LINK
from moce_cli.checkpoints.files import preset_name, save
from moce_cli.checkpoints.header import sha256_of
from moce_cli.checkpoints.official import from_official
from moce_cli.errors import ConfigError, WeightsError
from moce_cli.network import PRESETS, MoCEIRConfig
from moce_cli.network.cost import relative_complexity

log = logging.getLogger(__name__)

_COMPLEXITY = re.compile(r"dec\.(\d+)\.2\.layers\.\d+\.adapter\.routing\.complexity")
_REFUSED_GLOBAL = re.compile(r"GLOBAL (\S+)")


def _stand_in(module: str, name: str, base: type) -> Callable[..., object]:
    """A harmless class that a pickle may know under another class's name."""
    return type(name, (base,), {"__module__": module})


_HARMLESS: list[Callable[..., object] | tuple[Callable[..., object], str]] = [
    # hyper-parameters; nothing of them is used, and paths of another system cannot be made here
    argparse.Namespace,
    *(
        _stand_in(module, name, base)
        for module in ("pathlib", "pathlib._local")
        for name, base in (
            ("PosixPath", PurePosixPath),
            ("PurePosixPath", PurePosixPath),
            ("WindowsPath", PureWindowsPath),
            ("PureWindowsPath", PureWindowsPath),
        )
    ),
]


@dataclass(frozen=True, slots=True)
class Conversion:
    """What came out of a checkpoint."""

    path: Path
    config: MoCEIRConfig
    preset: str | None
    """The architecture's name, where it has one."""
    card: ModelCard
    ignored: int
    """How many entries of the checkpoint's state were not the network's."""


def convert(
    source: Path,
    target: Path,
    preset: str | None = None,
    *,
    name: str | None = None,
    licence: str = OFFICIAL_LICENCE,
    dtype: torch.dtype = torch.float32,
    overwrite: bool = False,
) -> Conversion:
    """Turn a Lightning checkpoint of the authors' network into a weights file.

    The checkpoint is a pickle; it is read without running anything that it holds.

    Args:
        source: the `.ckpt` file.
        target: the weights file.
        preset: the architecture it must have; by default it is read off the tensors.
        name: what the model is called; by default as the target.
        licence: what the weights are under.
        dtype: what the weights file holds.
        overwrite: whether the target may be replaced.

    Raises:
        WeightsError: the checkpoint is missing, damaged, refused, or of another architecture.
        OutputError: the target can't be written, or is there already.
    """
    if preset is not None and preset not in PRESETS:
        raise WeightsError(f"there is no preset {preset!r}, only {', '.join(PRESETS)}")
    contents = _read_pickle(source)
    official, ignored = _network_state(contents, source)
    try:
        config = infer_config_official(official)
    except ConfigError as error:
        raise WeightsError(f"{source}: {error.message}", hint=error.hint) from error
    fitting = preset_name(config)
    if preset is not None and preset != fitting:
        raise WeightsError(
            f"{source} is not of the architecture {preset}, but {fitting or 'of none with a name'}",
            hint=f"--preset {fitting}" if fitting else "leave --preset away",
        )
    _check_complexity(official, config, source)
    state = from_official(official, config)
    card = _card(name or target.stem, source, contents, fitting, licence)
    try:
        save(target, state, config, card, dtype=dtype, overwrite=overwrite)
    except WeightsError as error:
        raise WeightsError(f"{source}: {error.message}", hint=error.hint) from error
    return Conversion(target, config, fitting, card, ignored)


def _read_pickle(path: Path) -> Mapping[str, Any]:
    if path.is_dir():
        raise WeightsError(f"{path} is a folder, not a checkpoint")
    with torch.serialization.safe_globals(_HARMLESS), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what torch thinks of the file, our own sentence says
        try:
            contents = torch.load(
                path,
                map_location="cpu",
                weights_only=True,
                mmap=zipfile.is_zipfile(path),  # the optimiser's state, twice as large, is not read
            )
        except FileNotFoundError as error:
            raise WeightsError(f"there is no checkpoint {path}") from error
        except OSError as error:
            raise WeightsError(f"{path} cannot be read: {error.strerror or error}") from error
        except pickle.UnpicklingError as error:
            raise _refusal(path, error) from error
        except Exception as error:  # damaged pickles and archives raise whatever they hit
            raise WeightsError(
                f"{path} is no checkpoint that can be read, or a damaged one "
                f"({type(error).__name__})",
                hint="fetch it again",
            ) from error
    if not isinstance(contents, Mapping):
        raise WeightsError(f"{path} holds a {type(contents).__name__}, not a training checkpoint")
    return cast("Mapping[str, Any]", contents)


def _refusal(path: Path, error: pickle.UnpicklingError) -> WeightsError:
    """Which names the pickle wanted that a checkpoint has no business with."""
    try:
        names = sorted(torch.serialization.get_unsafe_globals_in_checkpoint(str(path)))
    except Exception:  # not of the newer file format, or damaged: what was reported must do
        names = _REFUSED_GLOBAL.findall(str(error))[:1]
    if not names:
        return WeightsError(
            f"{path} is no checkpoint that can be read, or a damaged one", hint="fetch it again"
        )
    return WeightsError(
        f"{path} was refused: it asks for {', '.join(names)}, which could run code; nothing ran",
        hint="if it is yours, save its state_dict alone with the program that wrote it",
    )


def _network_state(contents: Mapping[str, Any], path: Path) -> tuple[dict[str, Tensor], int]:
    """The network's tensors under the official names without prefix; how many others there are."""
    state = contents.get("state_dict", contents)
    if not isinstance(state, Mapping):
        raise WeightsError(f"{path}: its 'state_dict' is no dictionary")
    entries = cast("Mapping[object, object]", state)
    prefix = OFFICIAL_PREFIX
    if not any(isinstance(key, str) and key.startswith(prefix) for key in entries):
        prefix = ""  # the network's own state, saved alone
    official: dict[str, Tensor] = {}
    for key, value in entries.items():
        if not isinstance(key, str) or not key.startswith(prefix):
            continue
        if isinstance(value, Tensor):
            official[key.removeprefix(prefix)] = value
        elif prefix:
            raise WeightsError(f"{path}: {key!r} is a {type(value).__name__}, not a tensor")
    return official, len(entries) - len(official)


def _check_complexity(state: Mapping[str, Tensor], config: MoCEIRConfig, path: Path) -> None:
    """Compare the experts' relative complexities: they follow from the architecture."""
    for key, value in state.items():
        if (match := _COMPLEXITY.fullmatch(key)) is None:
            continue
        expected = torch.tensor(relative_complexity(config, level=2 - int(match[1])))
        if value.shape != expected.shape:
            raise WeightsError(
                f"{path}: {key!r} has shape {tuple(value.shape)}, it needs {tuple(expected.shape)}"
            )
        if not torch.allclose(value.float(), expected, rtol=1e-3):
            log.warning("%s: %r is %s, expected %s", path, key, value.tolist(), expected.tolist())


def _card(
    name: str, source: Path, contents: Mapping[str, Any], preset: str | None, licence: str
) -> ModelCard:
    listed = next((entry for entry in CONVERTIBLE if entry.name == name), None)
    tasks = listed.summary if listed else "whatever the checkpoint was trained for"
    facts: dict[str, Fact] = {
        "converted_from": source.name,
        "converted_from_sha256": sha256_of(source),
        "link": OFFICIAL_LINK,
    }
    for key in ("epoch", "global_step"):
        if isinstance(value := contents.get(key), int):
            facts[key] = value
    return ModelCard(
        name=name,
        version="converted",
        summary=f"Converted from the authors' format ({preset or 'an architecture of its own'}).",
        degradations=(tasks,),
        training_data="see the link; the checkpoint does not tell",
        licence=licence,
        facts=facts,
    )
