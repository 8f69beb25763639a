"""Pictures elsewhere: names such as s3://bucket/photos, by way of a local file and fsspec.

A name elsewhere travels as a `Path`, like any other, which holds one slash of its two; `url_of`
tells it from a local one and gives it back whole.
"""

from __future__ import annotations

import functools
import logging
import os
import re
import secrets
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from moce_cli.checkpoints.header import sha256_of
from moce_cli.errors import InputError, MoceError, OutputError, OutputExistsError, UsageError

log = logging.getLogger(__name__)

_NAME = re.compile(r"([a-z][a-z0-9+.-]+):/+(.*)", re.DOTALL)
_ROOTED = ("file", "local")
"""Protocols without a host."""
_WHOLE = ("abfs", "abfss", "adl", "az", "gcs", "gs", "hf", "oci", "oss", "s3", "s3a")
"""Stores where nothing is seen of a file before it is whole; elsewhere it is renamed."""
_TIMES = ("mtime", "LastModified", "last_modified", "updated", "modified", "created")
"""What stores call the time of a change."""
LISTED_SECONDS = 30
"""For so long a folder's listing is taken for true while a batch is planned."""
UPLOAD_SECONDS = 900
"""A store's time of a result is so much later than its line in the journal, at most."""


@dataclass(frozen=True, slots=True)
class Look:
    """What a store says of a file."""

    size_bytes: int
    mtime_ns: int
    """0 where it doesn't say."""


def url_of(name: str | Path) -> str | None:
    """The URL, or None for a local name; a local folder that looks like a protocol is local."""
    text = name if isinstance(name, str) else name.as_posix()
    match = _NAME.match(text)
    if match is None or os.path.lexists(f"{match[1]}:"):
        return None
    return f"{match[1]}:{'///' if match[1] in _ROOTED else '//'}{match[2]}"


def shown(path: Path) -> str:
    """A name as a person writes it."""
    return url_of(path) or str(path)


def _connect(url: str) -> tuple[Any, str]:
    """A file system, and what it calls the place.

    Raises:
        UsageError: it is not known, or its package is not installed.
    """
    protocol = url.partition(":")[0]
    try:
        import fsspec.core
    except ImportError as error:
        raise UsageError(
            f"{protocol}:// needs the package fsspec, which is not installed", "pip install fsspec"
        ) from error
    try:
        return fsspec.core.url_to_fs(url)
    except ImportError as error:
        cause = error if error.name else error.__cause__
        package = (getattr(cause, "name", None) or f"for {protocol}").partition(".")[0]
        raise UsageError(
            f"{protocol}:// needs the package {package}, which is not installed",
            f"pip install {package}",
        ) from error
    except ValueError as error:
        raise UsageError(f"{protocol}:// is no protocol that fsspec knows", None) from error
    except Exception as error:
        raise InputError(f"{url} cannot be reached: {reason(error)}") from error


def reason(error: BaseException) -> str:
    """In a few words."""
    text = (getattr(error, "strerror", None) or str(error) or type(error).__name__).splitlines()[0]
    return text[:1].lower() + text[1:]


def _look(info: Mapping[str, Any]) -> Look:
    when = next((info[key] for key in _TIMES if info.get(key)), 0)
    if isinstance(when, str):
        try:
            when = datetime.fromisoformat(when)
        except ValueError:
            when = 0
    if isinstance(when, datetime):
        when = (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    # microseconds: some say it as a float, and round
    return Look(int(info.get("size") or 0), round(float(when) * 1e6) * 1000)


@functools.lru_cache(maxsize=256)
def _listing(folder: str, tick: int) -> dict[str, Look]:
    system, path = _connect(folder)
    try:
        found = system.ls(path, detail=True)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except Exception as error:
        raise InputError(f"{folder} cannot be listed: {reason(error)}") from error
    return {str(f["name"]).rstrip("/").rpartition("/")[2]: _look(f) for f in found}


def look(path: Path) -> Look | None:
    """What is there, by a listing of its folder that may be some seconds old; None for nothing."""
    url = url_of(path)
    assert url is not None
    tick = int(time.monotonic() // LISTED_SECONDS)
    return _listing(url.rpartition("/")[0], tick).get(url.rpartition("/")[2])


def exists(path: Path) -> bool:
    """Whether a name is taken, here or elsewhere."""
    return os.path.lexists(path) if url_of(path) is None else look(path) is not None


def is_folder(name: str | Path) -> bool:
    """Whether a name is a folder, here or elsewhere."""
    url = url_of(name)
    if url is None:
        return os.path.isdir(name)
    system, path = _connect(url)
    try:
        return bool(system.isdir(path))
    except Exception as error:
        raise InputError(f"{url} cannot be reached: {reason(error)}") from error


def walk(name: str) -> Iterator[tuple[Path, Path]]:
    """All files of a folder or pattern in sorted order, and what they are below it.

    Raises:
        InputError: it is not there, or cannot be listed.
    """
    url = url_of(name)
    assert url is not None
    base = re.split(r"/[^/]*[*?\[]", url, maxsplit=1)[0]
    system, top = _connect(base)
    try:
        if base != url:
            found = [str(n) for n in system.glob(_connect(url)[1]) if not system.isdir(n)]
        else:
            found = [str(n) for n in system.find(top)]
    except Exception as error:
        raise InputError(f"{url} cannot be listed: {reason(error)}") from error
    for place in sorted(found):
        below = place.removeprefix(top.rstrip("/")).lstrip("/")
        if below != PurePosixPath(below).as_posix() or ".." in below.split("/"):
            log.warning("%s/%s is no name for a file, and is left out", base, below)
            continue
        yield Path(base) / below, Path(below)


def spool(path: Path) -> Path:
    """Stands for it here, beside what is fetched and what is to be sent."""
    return Path(tempfile.gettempdir()) / path.name


def fetch(path: Path, part: Path) -> Look:
    """Copy a file here.

    Returns:
        What the store says of it.

    Raises:
        InputError: it is not there, cannot be fetched, or changes meanwhile.
    """
    url = url_of(path)
    assert url is not None
    system, place = _connect(url)
    try:
        before = _look(system.info(place))
        system.get_file(place, str(part))
        system.invalidate_cache()
        after = _look(system.info(place))
    except MoceError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"{url} is not there") from error
    except Exception as error:
        raise InputError(f"{url} cannot be fetched: {reason(error)}") from error
    if before != after:
        raise InputError(f"{url} changed while it was read", "run again when it is whole")
    return before


def fits(
    path: Path, size_bytes: int, mtime_ns: int, sha256: str, *, slack_seconds: float = 0
) -> bool:
    """Whether a file is still the one with these marks: by size and time, or else by its bytes.

    Args:
        path: of the file.
        size_bytes: it had.
        mtime_ns: likewise; 0 where nobody knew.
        sha256: likewise.
        slack_seconds: its time may be so much later.
    """
    try:
        there = look(path)
        if there is None or there.size_bytes != size_bytes:
            return False
        # times are of the journal's machine and of the store: half a minute apart is no change
        early = min(slack_seconds, 30)
        later = (there.mtime_ns - mtime_ns) / 1e9
        if mtime_ns and there.mtime_ns and -early <= later <= slack_seconds:
            return True
        with tempfile.TemporaryDirectory(prefix="moce-") as folder:
            part = Path(folder) / "part"
            fetch(path, part)
            return sha256_of(part) == sha256
    except (MoceError, OSError):
        return False


def put(part: Path, path: Path, *, replace: bool) -> None:
    """Bring a complete file to its place; nobody sees a part of it under its name.

    Raises:
        OutputExistsError: something is there and may not be replaced.
        OutputError: it cannot be brought there.
    """
    url = url_of(path)
    assert url is not None
    system, place = _connect(url)
    folder, _, name = place.rpartition("/")
    beside = f"{folder}/.moce-{secrets.token_hex(4)}-{name}"
    try:
        system.invalidate_cache()
        if not replace and system.exists(place):
            raise OutputExistsError(f"{url} is there already", "add --overwrite to replace it")
        if url.partition(":")[0] in _WHOLE:
            system.put_file(str(part), place)
            return
        system.makedirs(folder, exist_ok=True)
        try:
            system.put_file(str(part), beside)
            system.mv(beside, place)
        except BaseException:
            if system.exists(beside):
                system.rm_file(beside)
            raise
    except MoceError:
        raise
    except Exception as error:
        raise OutputError(f"{url} cannot be written: {reason(error)}") from error
