"""Restore damaged pictures with complexity experts."""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.1.0"

__all__ = ["MoceError", "Restorer", "Result", "__version__"]

if TYPE_CHECKING:
    from moce_cli.errors import MoceError
    from moce_cli.restoration import Restorer, Result


def __getattr__(name: str) -> object:
    """Import the public names when they are first used: torch takes a second or more."""
    if name == "MoceError":
        from moce_cli.errors import MoceError

        return MoceError
    if name in ("Restorer", "Result"):
        from moce_cli import restoration

        return getattr(restoration, name)
    raise AttributeError(f"module 'moce_cli' has no attribute {name!r}")
