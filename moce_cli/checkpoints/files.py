"""Weights files: one safetensors file with the architecture and the model card in its metadata."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from moce_cli.checkpoints.atomic import write_whole
from moce_cli.checkpoints.card import ModelCard
from moce_cli.checkpoints.header import FORMAT, Header, TensorInfo, read_header
from moce_cli.errors import ConfigError, WeightsError
from moce_cli.network import PRESETS, MoCEIR, MoCEIRConfig

_DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
_DTYPE_NAMES = {dtype: name for name, dtype in _DTYPES.items()}


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """Weights in memory, checked against their architecture."""

    config: MoCEIRConfig
    state: dict[str, Tensor]
    card: ModelCard
    sha256: str | None
    """Of the file; None for weights that never were one."""
    dtype: torch.dtype


@lru_cache(maxsize=8)
def expected_shapes(config: MoCEIRConfig) -> Mapping[str, tuple[int, ...]]:
    """Every parameter of an architecture with its shape, in the network's order."""
    with torch.device("meta"):
        model = MoCEIR(config)
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def check_tensors(
    tensors: Mapping[str, TensorInfo], config: MoCEIRConfig, where: str = "the state"
) -> None:
    """Compare names, shapes and dtypes with what the architecture demands.

    Raises:
        WeightsError: the first thing that differs, named with what was seen and what is needed.
    """
    blocks = (
        sum(config.encoder_blocks)
        + config.latent_blocks
        + sum(config.decoder_blocks) * config.num_experts
        + config.refinement_blocks
    )
    if blocks > len(tensors):  # before a network of that size is built
        raise WeightsError(
            f"{where} has {len(tensors)} tensors, too few for {blocks} blocks and experts"
        )
    expected = expected_shapes(config)
    if missing := [name for name in expected if name not in tensors]:
        raise WeightsError(
            f"{where} lacks {missing[0]!r}{_and_more(missing)}, which its architecture needs"
        )
    if unexpected := [name for name in tensors if name not in expected]:
        raise WeightsError(
            f"{where} has {unexpected[0]!r}{_and_more(unexpected)}, unknown to its architecture"
        )
    first = next(iter(expected))
    for name, shape in expected.items():
        info = tensors[name]
        if info.shape != shape:
            raise WeightsError(f"{where}: {name!r} has shape {info.shape}, it needs {shape}")
        if info.dtype not in _DTYPES:
            raise WeightsError(
                f"{where}: {name!r} is {info.dtype}, it needs one of {', '.join(_DTYPES)}"
            )
        if info.dtype != tensors[first].dtype:
            raise WeightsError(
                f"{where}: {name!r} is {info.dtype}, but {first!r} is {tensors[first].dtype}; "
                "all need the same"
            )


def check_finite(state: Mapping[str, Tensor], where: str = "the state") -> None:
    """Make sure that every value is a number.

    Raises:
        WeightsError: the first tensor that holds something else.
    """
    # all at once: hundreds of small tensors take far longer one by one
    if state:
        least, most = torch.cat([t.detach().cpu().flatten() for t in state.values()]).aminmax()
        if math.isfinite(float(least)) and math.isfinite(float(most)):
            return
    for name, tensor in state.items():
        if not bool(torch.isfinite(tensor).all()):
            raise WeightsError(f"{where}: {name!r} holds values that are not finite")


def save(
    path: str | os.PathLike[str],
    state: Mapping[str, Tensor],
    config: MoCEIRConfig,
    card: ModelCard,
    *,
    dtype: torch.dtype = torch.float32,
    overwrite: bool = True,
) -> None:
    """Write a weights file, beside its place first and renamed when complete.

    Args:
        path: where to; missing folders are made.
        state: every parameter of the architecture, under our names, in one dtype.
        config: the architecture.
        card: the model card's facts.
        dtype: what the file holds: float32, float16 or bfloat16.
        overwrite: whether a file may be there already.

    Raises:
        WeightsError: the state does not fit the architecture, or a value does not fit the dtype.
        OutputError: the file can't be written, or is there already.
    """
    if dtype not in _DTYPE_NAMES:
        raise WeightsError(f"weights are not written as {dtype}, only as {', '.join(_DTYPES)}")
    infos = {name: _info(tensor) for name, tensor in state.items()}
    check_tensors(infos, config)
    tensors = {n: t.detach().to("cpu", dtype).contiguous().clone() for n, t in state.items()}
    check_finite(tensors, f"the state as {_DTYPE_NAMES[dtype]}")
    metadata = {
        "format": "pt",
        "moce_format": FORMAT,
        "architecture": json.dumps(config.to_dict()),
        "card": json.dumps(card.to_dict(), ensure_ascii=False),
    }
    if (name := preset_name(config)) is not None:
        metadata["preset"] = name
    data = _ordered(safetensors.torch.save(tensors, metadata))
    write_whole(Path(path), lambda part: part.write_bytes(data), overwrite=overwrite)


def _ordered(data: bytes) -> bytes:
    """The same file with its header in order: the library's differs from run to run."""
    length = int.from_bytes(data[:8], "little")
    head = json.dumps(json.loads(data[8 : 8 + length]), sort_keys=True, ensure_ascii=False)
    raw = head.encode()
    raw += b" " * (-len(raw) % 8)  # the numbers after it stay aligned
    return len(raw).to_bytes(8, "little") + raw + data[8 + length :]


def load(path: str | os.PathLike[str]) -> Checkpoint:
    """Read a weights file and check it.

    Raises:
        WeightsError: the file is missing, damaged, not ours, or its tensors don't fit what it
            says of itself; the message names the first thing that is wrong.
        ConfigError: its architecture does not fit together.
    """
    path = Path(path)
    header = read_header(path)
    config = config_of(header, path)
    check_tensors(header.tensors, config, str(path))  # the file can be no larger than that
    try:
        data = path.read_bytes()
        state = safetensors.torch.load(data)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}") from error
    except (SafetensorError, ValueError) as error:
        raise WeightsError(f"{path} is damaged: {error}") from error
    check_finite(state, str(path))
    return Checkpoint(
        config, state, header.card, hashlib.sha256(data).hexdigest(), _DTYPES[header.dtype]
    )


def build(checkpoint: Checkpoint) -> MoCEIR:
    """The network with these weights: float32, on the CPU, in evaluation mode.

    Raises:
        WeightsError: the state does not fit the architecture.
    """
    infos = {name: _info(tensor) for name, tensor in checkpoint.state.items()}
    check_tensors(infos, checkpoint.config, "the checkpoint")
    with torch.device("meta"):  # no time for values that are replaced at once
        model = MoCEIR(checkpoint.config)
    state = {
        name: tensor.detach().to("cpu", torch.float32, copy=True)
        for name, tensor in checkpoint.state.items()
    }
    model.load_state_dict(state, assign=True)
    return model.eval()


def preset_name(config: MoCEIRConfig) -> str | None:
    """What the architecture is called, if it has a name."""
    return next((name for name, preset in PRESETS.items() if preset == config), None)


def config_of(header: Header, path: Path) -> MoCEIRConfig:
    """The architecture a header states.

    Raises:
        ConfigError: it does not fit together; the message names the file.
    """
    try:
        return MoCEIRConfig.from_dict(header.architecture)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error.message}", hint=error.hint) from error
    except (ValueError, OverflowError) as error:
        raise ConfigError(f"{path}: its architecture has absurd numbers") from error


def _info(tensor: Tensor) -> TensorInfo:
    return TensorInfo(_DTYPE_NAMES.get(tensor.dtype, str(tensor.dtype)), tuple(tensor.shape))


def _and_more(names: list[str]) -> str:
    return f" and {len(names) - 1} more" if len(names) > 1 else ""
