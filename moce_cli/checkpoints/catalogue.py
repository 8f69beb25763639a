"""Which models are known, and where their files are. Needs neither torch nor the hub's client.

A model's file has a companion `NAME.safetensors.sha256` as `sha256sum` writes it, which tells
damage; `record_checksum` makes it, and so does `sha256sum photo-xs.safetensors > ...`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from moce_cli.checkpoints.atomic import copy_whole, write_text
from moce_cli.checkpoints.card import check_name
from moce_cli.checkpoints.entry import Entry, Kind, describe_file, home
from moce_cli.checkpoints.header import sha256_of
from moce_cli.checkpoints.pulls import find_pull, pulled_entries
from moce_cli.errors import OutputError, OutputExistsError, WeightsError

DEFAULT_MODEL = "photo-xs"
SUFFIX = ".safetensors"
OFFICIAL_LINK = "https://github.com/eduardzamfir/MoCE-IR"
OFFICIAL_LICENCE = "CC BY-NC-SA 4.0 (non-commercial), by later copies of the authors' README"


def _official(name: str, tasks: str, preset: str) -> Entry:
    return Entry(name, "convert", tasks, OFFICIAL_LINK, OFFICIAL_LICENCE, preset)


CONVERTIBLE = (
    _official("moce-ir-3task-s", "the paper's: haze, rain, noise", "moce_ir_s"),
    _official("moce-ir-3task", "the paper's: haze, rain, noise", "moce_ir"),
    _official("moce-ir-5task-s", "the paper's: haze, rain, noise, blur, low light", "moce_ir_s"),
    _official("moce-ir-5task", "the paper's: haze, rain, noise, blur, low light", "moce_ir"),
    _official("moce-ir-cdd11-s", "the paper's: low light, haze, rain, snow, mixed", "moce_ir_s"),
)
"""The authors' checkpoints: never shipped, never downloaded, converted by who has them."""

HUB: tuple[Entry, ...] = ()
"""Models of ours on the hub, each with its repository, revision and SHA-256. None is there yet."""


def shipped_folder() -> Path:
    """Where the weights of this installation are; `MOCE_WEIGHTS` names another folder."""
    if given := os.environ.get("MOCE_WEIGHTS"):
        return Path(given).expanduser()
    package = Path(__file__).resolve().parents[1]
    inside = package / "weights"  # in a wheel; in a checkout they are beside the package
    return inside if inside.is_dir() else package.parent / "weights"


def imported_folder() -> Path:
    """Where `import_file` puts models."""
    return home() / "models"


def entries() -> tuple[Entry, ...]:
    """Every known model: shipped, imported, pulled, on the hub, to convert; a name only once."""
    known: dict[str, Entry] = {}
    for entry in (
        *_folder_entries(shipped_folder(), "shipped"),
        *_folder_entries(imported_folder(), "imported"),
        *(_hub_entry(entry) for entry in HUB),
        *pulled_entries(),
        *CONVERTIBLE,
    ):
        known.setdefault(entry.name, entry)
    return tuple(known.values())


def _hub_entry(entry: Entry) -> Entry:
    """A model of ours on the hub, with its file if it was pulled."""
    pulled = find_pull(f"{entry.source}@{entry.revision}" if entry.revision else entry.source)
    return describe_file(Path(pulled.path), entry) if pulled else entry


def find(name: str) -> Entry | None:
    """The model of that name, if it is known."""
    return next((entry for entry in entries() if entry.name == name), None)


def _folder_entries(folder: Path, kind: Kind) -> Iterator[Entry]:
    try:
        names = os.listdir(folder)
    except OSError:  # not there, or not ours to read: the other models still are
        return
    files = {name.removesuffix(".sha256") for name in names if SUFFIX in name}
    for file in sorted(files):
        if not file.endswith(SUFFIX) or file.startswith("."):
            continue
        path = folder / file
        entry = Entry(path.stem, kind, "", str(path), "", sha256=recorded_checksum(path))
        yield describe_file(path, entry)


def checksum_file(path: Path) -> Path:
    """The companion that records a file's SHA-256."""
    return path.with_name(path.name + ".sha256")


def recorded_checksum(path: Path) -> str | None:
    """The SHA-256 that the companion records, if there is one."""
    try:
        words = checksum_file(path).read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError):
        return None
    return words[0].lower() if words else None


def record_checksum(path: Path) -> str:
    """Write the companion of a file that is known to be whole; returns the SHA-256.

    Raises:
        OutputError: it can't be written.
    """
    digest = sha256_of(path)
    write_text(checksum_file(path), f"{digest}  {path.name}\n")
    return digest


def check_sha256(seen: str, expected: str | None, path: Path, hint: str | None = None) -> None:
    """Compare a file's SHA-256 with the recorded one, if there is one.

    Raises:
        WeightsError: they differ.
    """
    if expected is not None and seen != expected:
        raise WeightsError(
            f"{path} is damaged or another file: its SHA-256 is {seen}, recorded is {expected}",
            hint=hint,
        )


def verify(entry: Entry) -> str:
    """Read the whole file and compare it with the recorded SHA-256; returns the SHA-256.

    Raises:
        WeightsError: there is no file here, nothing is recorded, or they differ.
    """
    path = file_of(entry)
    if entry.sha256 is None:
        raise WeightsError(
            f"{path}: no SHA-256 is recorded for it",
            hint=f"if the file is known to be whole, write one into {checksum_file(path)}",
        )
    try:
        digest = sha256_of(path)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}") from error
    check_sha256(digest, entry.sha256, path, hint=_remedy(entry))
    return digest


def file_of(entry: Entry) -> Path:
    """The entry's file on this machine.

    Raises:
        WeightsError: it is not here, or it can't be used; the hint says how to get it.
    """
    if entry.kind == "convert":
        raise WeightsError(
            f"{entry.name} is the authors' and under {entry.licence}: "
            "moce neither ships nor downloads it",
            hint=f"fetch the .ckpt by the link at {entry.source}, then: moce models convert FILE "
            f"--preset {entry.architecture} -o {entry.name}{SUFFIX} "
            f"&& moce models import {entry.name}{SUFFIX}",
        )
    if entry.problem is not None:
        raise WeightsError(f"{entry.name} can't be used: {entry.problem}", hint=_remedy(entry))
    if entry.path is None:
        raise WeightsError(f"{entry.name} is not on this machine", hint=_remedy(entry))
    return entry.path


def _remedy(entry: Entry) -> str:
    match entry.kind:
        case "shipped":
            return "install the package again"
        case "imported":
            return f"import it again: moce models import FILE --name {entry.name} --overwrite"
        case _:
            return f"fetch it again: moce models pull {entry.name}"


def import_file(source: Path, name: str | None = None, *, overwrite: bool = False) -> Entry:
    """Copy a weights file into the user's own folder and record its SHA-256.

    Args:
        source: a file that `load` accepts; if it has a companion, it must fit.
        name: what to call it; by default what its card says.
        overwrite: whether an imported model of that name may be replaced.

    Raises:
        WeightsError: the file can't be used, or the name belongs to a model of ours.
        OutputExistsError: an imported model of that name is there.
        OutputError: the folder can't be written.
    """
    from moce_cli.checkpoints.files import load

    checkpoint = load(source)  # whole: a file that can't be used is no model
    assert checkpoint.sha256 is not None
    check_sha256(
        checkpoint.sha256, recorded_checksum(source), source, hint="export or copy it again"
    )
    name = check_name(name or checkpoint.card.name)
    known = find(name)
    if known is not None and known.kind in ("shipped", "hub"):
        raise WeightsError(
            f"{name!r} is the name of a model of moce's own", hint="choose another with --name"
        )
    target = imported_folder() / (name + SUFFIX)
    if target.exists() and not overwrite:
        raise OutputExistsError(
            f"there is an imported model {name!r} already: {target}",
            hint="to replace it: --overwrite; to keep both: --name",
        )
    checksum_file(target).unlink(missing_ok=True)  # never a new file under an old checksum
    copy_whole(source, target, overwrite=overwrite)
    digest = record_checksum(target)
    return describe_file(target, Entry(name, "imported", "", str(target), "", sha256=digest))


def export_file(entry: Entry, target: Path, *, overwrite: bool = False) -> None:
    """Copy a model's file out, with its companion, after making sure that it is whole.

    Raises:
        WeightsError: the file is not here or damaged.
        OutputExistsError: the target is there.
        OutputError: the target can't be written.
    """
    path = file_of(entry)
    if entry.sha256 is not None:
        verify(entry)
    copy_whole(path, target, overwrite=overwrite)
    record_checksum(target)


def remove_imported(entry: Entry) -> tuple[Path, ...]:
    """Delete an imported model; returns the deleted files.

    Raises:
        OutputError: a file can't be deleted.
    """
    path = imported_folder() / (entry.name + SUFFIX)
    gone = tuple(file for file in (path, checksum_file(path)) if file.exists())
    try:
        for file in gone:
            file.unlink()
    except OSError as error:
        raise OutputError(f"{path} cannot be deleted: {error.strerror or error}") from error
    return gone
