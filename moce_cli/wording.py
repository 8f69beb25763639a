"""What messages share: numbers with their nouns."""

from __future__ import annotations


def counted(number: int, one: str, many: str | None = None) -> str:
    """A number and what it counts, such as "1 sample" or "3 samples".

    Args:
        number: how many.
        one: what a single one is called, with whatever agrees with it, such as "channel was".
        many: the same of any other number; `one` and an s without.
    """
    return f"{number} {one if number == 1 else many or one + 's'}"
