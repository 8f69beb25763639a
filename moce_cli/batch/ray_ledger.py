"""What the workers of a cluster report to: one ledger, on the machine that keeps the journal."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from moce_cli.batch.desk import Done
from moce_cli.batch.journal import Entry, Journal
from moce_cli.errors import MoceError

MOST_TRIES = 2
"""A picture whose worker died so often fails."""


@dataclass(slots=True)
class Past:
    """What earlier workers did of a portion."""

    noted: dict[str, Entry] = field(default_factory=dict[str, Entry])
    """Lines, which come before their results, by the output they name."""
    made: dict[str, Done] = field(default_factory=dict[str, Done])
    """By target: its result is in its place, or it failed."""
    guilty: frozenset[str] = frozenset()
    """Targets at which workers died too often."""


@dataclass(slots=True)
class _Portion:
    names: list[str]
    past: Past = field(default_factory=Past)
    current: str | None = None
    deaths: dict[str, int] = field(default_factory=dict[str, int])


class Ledger:
    """Keeps the journal, and what is under way; becomes an actor that everyone calls.

    Args:
        journal: that the run keeps; None for none.
    """

    def __init__(self, journal: Path | None) -> None:
        self._journal = Journal(journal, alone=False) if journal is not None else None
        self._portions: dict[int, _Portion] = {}
        self._stopping = False
        self._deaths = 0

    def begin(self, number: int, names: list[str]) -> Past:
        """A worker takes a portion, for the first time or after another died at it."""
        before = self._portions.get(number)
        portion = self._portions[number] = before or _Portion(names)
        if before is not None:
            self._deaths += 1
            left = [name for name in names if name not in portion.past.made]
            suspect = portion.current or (left[0] if left else None)
            if suspect is not None:
                portion.deaths[suspect] = portion.deaths.get(suspect, 0) + 1
            portion.current = None
            portion.past.guilty = frozenset(
                name for name, deaths in portion.deaths.items() if deaths >= MOST_TRIES
            )
        return portion.past

    def at(self, number: int, name: str) -> None:
        """The network has begun with a picture."""
        self._portions[number].current = name

    def note(self, number: int, entry: Entry) -> MoceError | None:
        """Write a line of the journal; the error where that fails."""
        if self._journal is not None:
            try:
                self._journal.add(entry)
            except MoceError as error:
                return error
        self._portions[number].past.noted[entry.output] = entry
        return None

    def made(self, number: int, name: str, done: Done) -> None:
        """A picture has come to its end."""
        portion = self._portions[number]
        portion.past.made[name] = done
        if portion.current == name:
            portion.current = None

    def forget(self, number: int) -> None:
        """All rows of a portion have arrived; its lines are kept, should it be done again."""
        if number in self._portions:
            self._portions[number].past.made.clear()

    def deaths(self) -> int:
        """How often a worker died at a portion."""
        return self._deaths

    def stop(self) -> None:
        """Nothing more is to be begun."""
        self._stopping = True

    def stopping(self) -> bool:
        """Whether that has been said."""
        return self._stopping
