"""What was written in bands, read again and compared with what was given."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from moce_cli.errors import InputError, OutputError
from moce_cli.pictures.large.facts import BandFacts, joined
from moce_cli.pictures.large.reader import BandReader, open_bands
from moce_cli.pictures.picture import Pixels
from moce_cli.pictures.verify import check_loss, coarse, compare_metadata


class Check:
    """Remembers of all rows a checksum; of those stored with loss the means of blocks, as bytes.

    The means take a byte for each 256 samples.

    Args:
        facts: of what is written.
        rows: of a group; those of a JPEG are whole blocks.
        lossless: pixels must return as they are.
    """

    def __init__(self, facts: BandFacts, rows: int, *, lossless: bool) -> None:
        self._facts, self._rows, self._lossless = facts, rows, lossless
        self._sum = hashlib.blake2b()
        self._means: list[Pixels] = []

    def written(self, group: Pixels) -> None:
        """The next group of rows, (rows, W, samples)."""
        if self._lossless:
            self._sum.update(group.tobytes())
        else:
            self._means.append(coarse(group).round().astype(np.uint8))

    def read_again(self, path: Path) -> None:
        """Compare.

        Raises:
            OutputError: the file is not what was given.
        """
        facts = self._facts
        try:
            with open_bands(path, max_pixels=facts.height * facts.width, name="it") as found:
                self._compare(found)
        except InputError as error:
            raise OutputError(f"what was written can't be read again: {error.message}") from error
        compare_metadata(facts.source, found.source)

    def _compare(self, found: BandReader) -> None:
        facts = self._facts
        if (found.height, found.width) != (facts.height, facts.width):
            raise OutputError(
                f"what was written is {found.width} x {found.height}, not "
                f"{facts.width} x {facts.height}"
            )
        if found.facts.depth != facts.depth:
            raise OutputError(f"what was written has {found.facts.depth} bits, not {facts.depth}")
        if (found.channels, found.has_alpha) != (facts.channels, facts.has_alpha):
            raise OutputError(
                f"what was written has {found.facts.samples} samples a pixel, not {facts.samples}"
            )
        again, loss, means = hashlib.blake2b(), 0.0, 0
        for index, top in enumerate(range(0, facts.height, self._rows)):
            rows = joined(*found.rows(top, min(top + self._rows, facts.height)))
            if self._lossless:
                again.update(rows.tobytes())
                continue
            differences = np.abs(coarse(rows) - self._means[index])
            loss, means = loss + float(differences.sum()), means + differences.size
        if again.digest() != self._sum.digest():
            raise OutputError("what was written differs from the picture")
        check_loss(loss / max(means, 1) / 255)
