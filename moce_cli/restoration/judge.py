"""Is what the network made a picture of what it was given?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float32]

FLAT_SPREAD = 0.5
"""An input whose values span less than this may rightly become flat."""
MOST_SHIFT = 0.6
"""Light restored to a dark picture moves its mean by up to half of white."""
DARKENED, LEAST_MEAN = 0.1, 0.05
"""Nothing that is not itself nearly black loses nine tenths of its light."""
WHITENED, MOST_MEAN = 0.98, 0.8


@dataclass(slots=True)
class Judge:
    """Compares what goes in with what comes out, rows by rows.

    The rule: an output is refused if it has one value everywhere though the input's span more
    than half of the range; if the means differ by more than 0.6 of white; if it keeps less than a
    tenth of the light of an input whose mean is above 0.05; or if its mean is above 0.98 and the
    input's below 0.8. Strength and masks come after it.
    """

    count: int = 0
    seen_sum: float = 0.0
    made_sum: float = 0.0
    seen_low: float = 1.0
    seen_high: float = 0.0
    made_low: float = 1.0
    made_high: float = 0.0

    def add(self, seen: Float, made: Float) -> None:
        """Look at values in [0, 1], of any and the same shape."""
        if seen.size == 0:
            return
        self.count += seen.size
        self.seen_sum += float(seen.sum(dtype=np.float64))
        self.made_sum += float(made.sum(dtype=np.float64))
        self.seen_low, self.seen_high = (
            min(self.seen_low, float(seen.min())),
            max(self.seen_high, float(seen.max())),
        )
        self.made_low, self.made_high = (
            min(self.made_low, float(made.min())),
            max(self.made_high, float(made.max())),
        )

    @property
    def complaint(self) -> str | None:
        """What is wrong with the output, or None."""
        if not self.count:
            return None
        seen, made = self.seen_sum / self.count, self.made_sum / self.count
        if self.made_low == self.made_high and self.seen_high - self.seen_low > FLAT_SPREAD:
            return f"everything became {made:.3f}"
        if (
            abs(seen - made) > MOST_SHIFT
            or (seen > LEAST_MEAN and made < DARKENED * seen)
            or (made > WHITENED and seen < MOST_MEAN)
        ):
            return f"the mean went from {seen:.3f} to {made:.3f}"
        return None
