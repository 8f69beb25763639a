"""The head of a weights file, read without torch: names, shapes, dtypes, metadata.

Format: a safetensors file whose metadata hold `moce_format` (a number), `architecture` and `card`
(JSON), and `preset`, the architecture's name where it has one.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from moce_cli.checkpoints.card import ModelCard
from moce_cli.errors import ConfigError, WeightsError

FORMAT = "1"
"""What `moce_format` says in files of this version."""
ELEMENT_BYTES = {"F32": 4, "F16": 2, "BF16": 2}
"""The number formats of our files, by safetensors name."""
_LARGEST_HEADER_BYTES = 16 * 2**20
_WORD = re.compile(r"[A-Za-z0-9_]{1,40}")  # what a file says is printed on terminals
_LARGEST_NUMBER = 2**16  # no sane architecture holds more of anything


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One tensor as the header states it."""

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Header:
    """What a weights file says of itself, checked as far as that goes without the tensors."""

    tensors: dict[str, TensorInfo]
    architecture: dict[str, object]
    preset: str | None
    card: ModelCard
    size_bytes: int

    @property
    def dtype(self) -> str:
        """The number format of all tensors, by safetensors name."""
        return next(iter(self.tensors.values())).dtype

    @property
    def parameters(self) -> int:
        """How many numbers the file holds."""
        return sum(math.prod(info.shape) for info in self.tensors.values())


def sha256_of(path: Path) -> str:
    """The file's SHA-256 as 64 lower-case digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_header(path: Path) -> Header:
    """Read and check the head of a weights file.

    Raises:
        WeightsError: the file is missing, unreadable, cut short, no safetensors, or not ours.
        ConfigError: it states no architecture.
    """
    try:
        if path.is_dir():
            raise WeightsError(f"{path} is a folder, not a weights file")
        with path.open("rb") as file:
            size = path.stat().st_size
            length = int.from_bytes(file.read(8), "little")
            if size == 0:
                raise WeightsError(f"{path} is empty")
            if size < 8 or length > _LARGEST_HEADER_BYTES:
                raise WeightsError(f"{path} is no safetensors file", hint=_not_ours(path))
            raw = file.read(length)
    except FileNotFoundError as error:
        raise WeightsError(
            f"there is no weights file {path}", hint="list the known models: moce models ls"
        ) from error
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}") from error
    if len(raw) < length:
        raise WeightsError(
            f"{path} is cut short: its header needs {length + 8:,} bytes, the file has {size:,}",
            hint="fetch or copy it again",
        )
    tensors, metadata, data_bytes = _parse(raw, path)
    if size != 8 + length + data_bytes:
        state = "cut short" if size < 8 + length + data_bytes else "longer than its contents"
        raise WeightsError(
            f"{path} is {state}: it should have {8 + length + data_bytes:,} bytes and has {size:,}",
            hint="fetch or copy it again",
        )
    version = metadata.get("moce_format")
    if version is None:
        raise WeightsError(
            f"{path} is a safetensors file, but not one of moce's: its metadata lack 'moce_format'",
            hint="the authors' .ckpt files become one by: moce models convert FILE --preset NAME",
        )
    if version != FORMAT:
        raise WeightsError(
            f"{path} has format {version!r}, this version reads {FORMAT!r}", hint="update moce"
        )
    if not tensors:
        raise WeightsError(f"{path} holds no tensors")
    return Header(
        tensors,
        _architecture(metadata, path),
        preset if _WORD.fullmatch(preset := metadata.get("preset", "")) else None,
        _in_file(path, metadata),
        size,
    )


def _parse(raw: bytes, path: Path) -> tuple[dict[str, TensorInfo], dict[str, str], int]:
    damaged = WeightsError(f"{path} is no safetensors file, or a damaged one", hint=_not_ours(path))
    try:
        table = json.loads(raw)
        metadata = table.pop("__metadata__", {})
        tensors: dict[str, TensorInfo] = {}
        data_bytes = 0
        for name, entry in table.items():
            dtype = entry["dtype"]
            if not _WORD.fullmatch(dtype):
                raise damaged
            tensors[name] = TensorInfo(dtype, tuple(int(n) for n in entry["shape"]))
            data_bytes = max(data_bytes, int(entry["data_offsets"][1]))
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
        raise damaged from error
    if not isinstance(metadata, dict):
        raise damaged
    given = cast("dict[object, object]", metadata)
    return tensors, {str(key): str(value) for key, value in given.items()}, data_bytes


def _architecture(metadata: dict[str, str], path: Path) -> dict[str, object]:
    try:
        values = json.loads(metadata["architecture"])
    except (KeyError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path} states no architecture that can be read") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: its architecture is no JSON object")
    architecture = cast("dict[str, object]", values)
    for key, value in architecture.items():
        for number in cast("list[object]", value) if isinstance(value, list) else [value]:
            if isinstance(number, int) and number > _LARGEST_NUMBER:
                raise ConfigError(f"{path}: its architecture has {key!r} {number}, which is absurd")
    return architecture


def _in_file(path: Path, metadata: dict[str, str]) -> ModelCard:
    try:
        return ModelCard.from_dict(json.loads(metadata["card"]))
    except (KeyError, ValueError, RecursionError) as error:
        raise WeightsError(f"{path} holds no model card that can be read") from error
    except WeightsError as error:
        raise WeightsError(f"{path}: {error.message}", hint=error.hint) from error


def _not_ours(path: Path) -> str | None:
    if path.suffix.lower() in (".ckpt", ".pt", ".pth", ".bin"):
        return (
            f"convert a training checkpoint first: moce models convert {path} --preset NAME -o FILE"
        )
    return None
