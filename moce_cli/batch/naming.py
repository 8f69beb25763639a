"""What pictures become: a file, a folder with their tree, a template, or a name beside them."""

from __future__ import annotations

import os
import string
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from moce_cli.batch.finding import MARK, Found
from moce_cli.batch.remote import exists, url_of
from moce_cli.batch.remote import is_folder as is_folder_at
from moce_cli.errors import OutputError, OutputExistsError, UsageError
from moce_cli.pictures import EXTENSIONS, FORMATS, format_for

FIELDS = ("parent", "stem", "ext", "name")
"""Of a template: the folders below the input, the name without its extension, the extension (of
what is written, with its dot), and the name as it is."""


@dataclass(frozen=True, slots=True)
class Naming:
    """From a picture to the place of its result.

    Attributes:
        kind: beside the picture, the one file, a folder, or a template.
        output: as it was given.
        format: what to write; None follows the name.

    Raises:
        UsageError: a template with a field that is not known.
    """

    kind: Literal["beside", "file", "folder", "template"]
    output: str = ""
    format: str | None = None

    def __post_init__(self) -> None:
        """Check the template."""
        if self.kind == "template":
            _pieces(self.output)

    @property
    def root(self) -> Path | None:
        """The folder that results stay in; None where they go beside their pictures."""
        if self.kind == "template":
            fixed = _pieces(self.output)[0][0]
            return Path(fixed[: fixed.rfind("/") + 1] or ".")
        return {"folder": Path(self.output), "file": Path(self.output).parent}.get(self.kind)

    def target(self, found: Found) -> Path:
        """The result's place.

        Raises:
            UsageError: it would leave its folder.
            OutputError: no format that can be written has its extension.
        """
        if self.kind == "beside":
            return _renamed(found.path, self.format, mark=MARK)
        if self.kind == "folder":
            return _renamed(Path(self.output) / found.below, self.format, mark="")
        target = Path(self.output) if self.kind == "file" else self._filled(found)
        if self.format is None:
            format_for(target)
        return target

    def _filled(self, found: Found) -> Path:
        parent = found.below.parent
        if found.named:  # no folder was searched: its own folder's name tells it from others
            parent = Path(Path(os.path.abspath(found.path)).parent.name)
        values = {
            "parent": parent.as_posix(),
            "stem": found.path.stem,
            "ext": _renamed(found.path, self.format, mark="").suffix,
            "name": found.path.name,
        }
        text = "".join(t + (values[name] if name else "") for t, name in _pieces(self.output))
        target, root = Path(text), self.root
        assert root is not None
        if not target.is_relative_to(root) or ".." in target.relative_to(root).parts:
            raise UsageError(f"{text} leads out of {root}", "use no .. after the first field")
        return target


def _pieces(template: str) -> list[tuple[str, str | None]]:
    """Text, and the field after it."""
    known = "the fields are " + ", ".join(f"{{{name}}}" for name in FIELDS)
    try:
        pieces = list(string.Formatter().parse(template))
    except ValueError as error:
        raise UsageError(
            f"{template!r} is no template: {error}", f"{known}; write {{{{ for a brace"
        ) from error
    for _, name, form, conversion in pieces:
        if name is not None and (name not in FIELDS or form or conversion):
            raise UsageError(f"the field {{{name}}} of {template!r} is not known", known)
    return [(text, name) for text, name, _, _ in pieces]


def is_template(output: str) -> bool:
    """Whether an output has fields to fill; what is there under this very name has none."""
    return ("{" in output or "}" in output) and not os.path.lexists(output)


def choose_naming(inputs: Sequence[str], output: str | None, format: str | None) -> Naming:
    """What an output means: a file, a folder or a template.

    Args:
        inputs: as given.
        output: as given; None for names beside the pictures.
        format: as `format_named` gives it.

    Raises:
        UsageError: inputs and output do not fit each other.
        OutputExistsError: the output is there, and is no folder though it should be.
    """
    if output is None:
        return Naming("beside", format=format)
    if output == "":
        raise UsageError("an empty name is no file and no folder", "is a shell variable unset?")
    if is_template(output):
        return Naming("template", output, format)
    into = Path(output)
    one = len(inputs) == 1 and not is_folder_at(inputs[0])
    if one and not os.path.exists(inputs[0]) and "*" in inputs[0]:
        one = False  # a pattern
    is_folder = (
        not one
        or is_folder_at(output)
        or output.endswith(("/", os.sep))
        or (not into.suffix and format is None)
    )
    if is_folder and exists(into) and not is_folder_at(output):
        if one:
            raise OutputExistsError(f"{output} is there already, and is no folder")
        raise UsageError(f"several pictures cannot go into the one file {output}", "name a folder")
    return Naming("folder" if is_folder else "file", output, format)


def _renamed(path: Path, format: str | None, *, mark: str) -> Path:
    """With the mark, and the extension of a format that can be written."""
    suffix = path.suffix
    known = EXTENSIONS.get(suffix.lower())
    if format is not None and (known is None or known.name != format):
        suffix = FORMATS[format].extensions[0]
    elif format is None and (known is None or not known.writable):
        suffix = ".png"
    return path.with_name(f"{path.stem}{mark}{suffix}")


def check_inside(target: Path, root: Path | None) -> None:
    """Refuse a place that a link moves out of the folder of outputs.

    Raises:
        OutputError: with where it leads.
    """
    if root is None or url_of(target) is not None:  # no links there
        return
    parent, top = os.path.realpath(target.parent), os.path.realpath(root)
    if parent != top and not parent.startswith(top.rstrip(os.sep) + os.sep):
        raise OutputError(
            f"{target} leads out of {root} by a link, to {parent}",
            "remove the link, or name another output",
        )
