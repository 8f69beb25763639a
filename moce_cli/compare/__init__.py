"""Before and after: what pictures show and say, side by side, and who worked where.

Convention: height before width, top before left; what is drawn is `(H, W, 3)` uint8 in sRGB.
"""

from __future__ import annotations

from moce_cli.compare.comparison import Compared, Difference, compare
from moce_cli.compare.drawing import map_sheet, side_by_side
from moce_cli.compare.experts import ExpertMap, expert_map
from moce_cli.compare.page import look_page
from moce_cli.compare.properties import Fate, Property

__all__ = [
    "Compared",
    "Difference",
    "ExpertMap",
    "Fate",
    "Property",
    "compare",
    "expert_map",
    "look_page",
    "map_sheet",
    "side_by_side",
]
