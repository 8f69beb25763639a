"""Damage a picture, to try the tool or to measure it: noise, JPEG, or one after the other.

    python examples/damage.py examples/pictures/clean/coffee.png -o noisy.png --noise 25
    python examples/damage.py examples/pictures/clean/chelsea.png -o small.jpg --jpeg 15

Without arguments it makes again what lies in examples/pictures.
"""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]
PICTURES = Path(__file__).parent / "pictures"


def read_rgb(path: Path) -> Pixels:
    """A picture as `(H, W, 3)`."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def add_noise(picture: Pixels, sigma: float, rng: np.random.Generator) -> Pixels:
    """Gaussian noise of a standard deviation in 8-bit levels, rounded and clipped."""
    noisy = picture + rng.standard_normal(picture.shape, dtype=np.float32) * sigma
    return noisy.round().clip(0, 255).astype(np.uint8)


def encode_jpeg(picture: Pixels, quality: int, subsampling: int = 2) -> bytes:
    """A JPEG file; subsampling 0 is 4:4:4, 2 is 4:2:0."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality, subsampling=subsampling)
    return buffer.getvalue()


def through_jpeg(picture: Pixels, quality: int, subsampling: int = 2) -> Pixels:
    """What a JPEG file leaves of a picture."""
    return np.asarray(Image.open(io.BytesIO(encode_jpeg(picture, quality, subsampling))))


def damage(source: Path, target: Path, noise: float, jpeg: int | None, seed: int) -> None:
    """Write a damaged copy; with `jpeg` its pixels have been through that quality."""
    picture = read_rgb(source)
    if noise:
        picture = add_noise(picture, noise, np.random.default_rng(seed))
    if jpeg is not None and target.suffix.lower() in (".jpg", ".jpeg"):
        target.write_bytes(encode_jpeg(picture, jpeg))
        return
    if jpeg is not None:
        picture = through_jpeg(picture, jpeg)
    Image.fromarray(picture).save(target)


def degrade(source: str, target: str, *damage: str) -> None:
    """The same by `moce degrade`, for what is more than noise."""
    command = [sys.executable, "-m", "moce_cli", "degrade", str(PICTURES / "clean" / source)]
    command += [*damage, "--seed", "3", "-o", str(PICTURES / target), "--overwrite", "--quiet"]
    subprocess.run(command, check=True)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path, nargs="?")
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--noise", type=float, default=0.0, help="sigma in 8-bit levels")
    parser.add_argument("--jpeg", type=int, default=None, help="quality")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if args.source is None:
        damage(PICTURES / "clean/coffee.png", PICTURES / "coffee_noise25.png", 25, None, 0)
        damage(PICTURES / "clean/astronaut.png", PICTURES / "astronaut_noise50.png", 50, None, 0)
        damage(PICTURES / "clean/chelsea.png", PICTURES / "chelsea_jpeg15.jpg", 0, 15, 0)
        degrade("chelsea.png", "chelsea_snow.png", "--snow", "0.5")
        degrade("astronaut.png", "astronaut_dark.png", "--low", "3")
    elif args.output is None:
        parser.error("say where to with -o")
    else:
        damage(args.source, args.output, args.noise, args.jpeg, args.seed)


if __name__ == "__main__":
    main()
