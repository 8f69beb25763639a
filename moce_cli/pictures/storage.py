"""How a picture is stored, where a format leaves a choice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from moce_cli.errors import UsageError
from moce_cli.pictures.formats import Format

SUBSAMPLINGS = {"444": 0, "422": 1, "420": 2}
"""By the names people use, as `Source.subsampling` counts them."""


@dataclass(frozen=True, slots=True)
class Storage:
    """Choices of a format.

    Attributes:
        quality: 1 to 100 for JPEG, WebP and AVIF; "source" takes a JPEG source's own tables and
            chroma, however coarse; None decides by the source: see `write`.
        subsampling: "444", "422" or "420", a JPEG's and AVIF's chroma; None decides by the source.
        png_compression: 0 (quick) to 9 (small).
        strip_metadata: leave out everything but the colour profile.

    Raises:
        UsageError: a value out of range.
    """

    quality: int | Literal["source"] | None = None
    subsampling: str | None = None
    png_compression: int | None = None
    strip_metadata: bool = False

    def number(self, default: int) -> int:
        """The quality as a number."""
        return self.quality if isinstance(self.quality, int) else default

    def unused(self, known: Format) -> tuple[str, ...]:
        """A sentence if a quality was asked for, and the format has none."""
        if self.quality is None or known.quality:
            return ()
        return (f"{known.name} has no quality: --quality {self.quality} was not used",)

    def __post_init__(self) -> None:
        """Check the values."""
        if isinstance(self.quality, int) and not 1 <= self.quality <= 100:
            raise UsageError(f"a quality of {self.quality} is out of range: 1 to 100")
        if isinstance(self.quality, str) and self.quality != "source":
            raise UsageError(f"a quality of {self.quality!r} is none: 1 to 100, or source")
        if self.subsampling is not None and self.subsampling not in SUBSAMPLINGS:
            raise UsageError(
                f"a subsampling of {self.subsampling!r} is none: {', '.join(SUBSAMPLINGS)}"
            )
        if self.png_compression is not None and not 0 <= self.png_compression <= 9:
            raise UsageError(f"a compression of {self.png_compression} is out of range: 0 to 9")
