"""The same from Python: a path, a NumPy array or a tensor; the result comes back in kind.

python examples/python_api.py [FOLDER]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from damage import PICTURES, add_noise, read_rgb

from moce_cli import Restorer

out = Path(sys.argv[1] if len(sys.argv) > 1 else "out")
out.mkdir(parents=True, exist_ok=True)

restorer = Restorer.from_pretrained("photo-xs")

# a path gives a Pillow image
result = restorer.restore(PICTURES / "chelsea_jpeg15.jpg")
result.picture.save(out / "chelsea.png")

# an array gives an array of its type
clean = read_rgb(PICTURES / "clean" / "astronaut.png")
noisy = add_noise(clean, 25, np.random.default_rng(0))
result = restorer.restore(noisy)
error = [
    float(np.sqrt(np.mean((picture.astype(float) - clean) ** 2)))
    for picture in (noisy, result.picture)
]
print(f"root mean square error: {error[0]:.1f} levels before, {error[1]:.1f} after")

# and what was done to it
report = result.report
print(f"{report.tiles} tiles, experts {report.experts}, {report.seconds:.2f} s")
print(f"{report.macs.saved_of_network:.1%} of the network's work was skipped")
