"""Make the README's picture: of each example the left half damaged, the right half restored.

python examples/before_after.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from damage import PICTURES, Pixels, read_rgb
from PIL import Image

from moce_cli import Restorer

NAMES = ("coffee_noise25.png", "chelsea_snow.png", "astronaut_dark.png")
HEIGHT, GAP = 300, 6


def halves(damaged: Pixels, restored: Pixels) -> Image.Image:
    """Both beside a line through the middle that leans to the left, at the panel's height."""
    height, width = damaged.shape[:2]
    edge = (width * (0.58 - 0.16 * np.arange(height) / height)).astype(int)[:, None]
    columns = np.arange(width)[None]
    picture = np.where((columns < edge)[..., None], damaged, restored)
    picture[np.abs(columns - edge) < 1] = 255
    image = Image.fromarray(picture)
    return image.resize((width * HEIGHT // height, HEIGHT), Image.Resampling.LANCZOS)


restorer = Restorer.from_pretrained("photo-xs")
panels: list[Image.Image] = []
for name in NAMES:
    seen = read_rgb(PICTURES / name)
    panels.append(halves(seen, restorer.restore(seen).picture))
sheet = Image.new("RGB", (sum(p.width + GAP for p in panels) - GAP, HEIGHT), "white")
left = 0
for panel in panels:
    sheet.paste(panel, (left, 0))
    left += panel.width + GAP
sheet.save(Path(__file__).parent / "before_after.png", optimize=True)
