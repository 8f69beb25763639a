"""Make the README's picture: the upper left half damaged, the lower right half restored.

python examples/before_after.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from damage import PICTURES, read_rgb
from PIL import Image

from moce_cli import Restorer

damaged = read_rgb(PICTURES / "coffee_noise25.png")
restored = Restorer.from_pretrained("photo-xs").restore(damaged).picture
height, width = damaged.shape[:2]
# a line through the middle that leans to the left
edge = (width * (0.62 - 0.24 * np.arange(height) / height)).astype(int)[:, None]
columns = np.arange(width)[None]
picture = np.where((columns < edge)[..., None], damaged, restored)
picture[np.abs(columns - edge) < 1] = 255
Image.fromarray(picture).save(Path(__file__).parent / "before_after.png", optimize=True)
