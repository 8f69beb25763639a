"""Which kinds of damage `moce degrade` is asked for, and the list of those there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moce_cli.cli.console import console

if TYPE_CHECKING:
    from collections.abc import Mapping

HEADERS = ("kind", "strength", "usual", "model", "source")


def kinds_named(mix: str | None) -> list[str]:
    """The kinds that a mixture names.

    Raises:
        UsageError: a name is empty, or there twice.
    """
    from moce_cli.errors import UsageError

    if mix is None:
        return []
    names = [name.strip() for name in mix.split(",")]
    if "" in names:
        raise UsageError(
            f"--mix {mix!r} has a comma or nothing where a kind should be",
            "write it like --mix haze,rain",
        )
    if twice := [name for name in names if names.count(name) > 1]:
        raise UsageError(f"--mix {mix!r} names {twice[0]} twice", "name each kind once")
    return names


def kinds_wanted(asked: Mapping[str, float | None], named: list[str]) -> dict[str, float | None]:
    """Kinds and strengths; None is drawn. An option overrules the mixture.

    Raises:
        UsageError: nothing was asked for.
    """
    from moce_cli.errors import UsageError

    strengths = dict.fromkeys(named) | {k: v for k, v in asked.items() if v is not None}
    if not strengths:
        raise UsageError("no degradation was asked for", "add --noise 25, or --mix haze,rain")
    return strengths


def list_kinds(*, as_json: bool) -> None:
    """Tell each kind's strength, model and source."""
    from moce_cli.degradations import KINDS

    if as_json:
        for kind in KINDS.values():
            console.json(
                {
                    "kind": kind.name,
                    "stage": kind.stage.name.lower(),
                    "unit": kind.unit,
                    "limits": list(kind.limits),
                    "usual": list(kind.usual),
                    "model": kind.summary,
                    "source": kind.source,
                }
            )
        return
    from rich.table import Table

    table = Table(*HEADERS, box=None, pad_edge=False, header_style="bold")
    for kind in KINDS.values():
        table.add_row(*kind.words)
    console.out.print(table)
