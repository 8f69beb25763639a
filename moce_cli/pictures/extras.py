"""Formats that need a package which is not always installed."""

from __future__ import annotations

import importlib
import os
from types import ModuleType

from moce_cli.errors import InputError, MoceError, OutputError

# format: the module, its package, our extra
PACKAGES = {
    "HEIC": ("pi_heif", "pi-heif", "heif"),
    "RAW": ("rawpy", "rawpy", "raw"),
    "EXR": ("OpenEXR", "OpenEXR", "exr"),
    "JXL": ("imagecodecs", "imagecodecs", "jxl"),
    "a picture in bands": ("pyvips", "pyvips", "large"),
}


def needed(kind: str, *, writing: bool = False) -> ModuleType:
    """The module that reads a format.

    Args:
        kind: a key of `PACKAGES`.
        writing: what is missing then is the output's fault.

    Raises:
        InputError: it is not installed.
        OutputError: likewise, when writing.
    """
    module, package, extra = PACKAGES[kind]
    try:
        found = importlib.import_module(module)
        if module == "pyvips" and "VIPSHOME" not in os.environ:
            # libvips sets it while it starts; another libvips, in a child, would look there too
            os.unsetenv("VIPSHOME")
        return found
    except (ImportError, OSError) as error:  # the latter: pyvips without its library
        wrong: type[MoceError] = OutputError if writing else InputError
        verb = "written" if writing else "read"
        raise wrong(
            f"{kind} is {verb} by the package {package}, which is not installed",
            hint=f"pip install 'moce-cli[{extra}]'",
        ) from error
