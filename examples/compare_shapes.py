"""Which shape learns most in equal time? Train networks of about equal cost and compare.

    python examples/compare_shapes.py PICTURES --validation HELD_BACK -o FOLDER --minutes 6

Each shape begins from weights drawn by one seed and learns noise and JPEG alone, for the same
processor time, taken from a few steps of each. What a network costs is measured too: seconds a
megapixel of its forward pass in float32, one thread, all shapes in turns, medians. Of shapes that
cost the same the one with the higher PSNR is the better; crops of another size or number are
compared in the shape of `photo-xs`. A shape whose weights are already in FOLDER is not trained
again; `--shapes xs,wide` leaves the others out.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, replace
from pathlib import Path

import equal_time
import numpy as np
import torch
from equal_time import drawn, first_weights

from moce_cli.checkpoints import build, load
from moce_cli.network import PRESETS, MoCEIR, MoCEIRConfig
from moce_cli.psnr import batch_psnr
from moce_cli.training.recipe import load_recipe, with_data
from moce_cli.training.settings import Stage, Validation
from moce_cli.training.validate import fixed_set

ROWS = ("noise 15", "noise 25", "noise 50", "jpeg 20")
ALONE = ({"noise"}, {"jpeg"})
"""Damage that is learned."""
RUNS = 7
"""Of each forward pass that is timed."""
RECIPE = Path(__file__).parent / "recipes" / "photo-xs.toml"


@dataclass(frozen=True)
class Shape:
    """A network and the crops that it is trained on."""

    what: str
    network: MoCEIRConfig
    crop: int = 64
    batch: int = 8


def shapes() -> dict[str, Shape]:
    """What is compared, by name."""
    xs = replace(PRESETS["moce_ir_xs"], expert_ffn=True, embed_bias=True)
    few = replace(
        xs,
        encoder_blocks=(1, 1, 1),
        latent_blocks=2,
        decoder_blocks=(1, 1, 1),
        refinement_blocks=1,
    )
    return {
        "xs": Shape("the preset moce_ir_xs", xs),
        "few": Shape("its width, half of the blocks", few),
        "wide": Shape("width 24, half of the blocks", replace(few, width=24)),
        "narrow": Shape(
            "width 8, twice the blocks",
            replace(
                xs,
                width=8,
                encoder_blocks=(4, 4, 6),
                latent_blocks=8,
                decoder_blocks=(4, 4, 2),
                refinement_blocks=4,
            ),
        ),
        "large crops": Shape("moce_ir_xs, 2 crops of 128 px a step", xs, 128, 2),
        "small crops": Shape("moce_ir_xs, 32 crops of 32 px a step", xs, 32, 32),
        "half batch": Shape("moce_ir_xs, 4 crops of 64 px a step", xs, 64, 4),
    }


def train(name: str, shape: Shape, args: argparse.Namespace) -> Path:
    """Train one shape, unless it was before; returns its weights."""
    output: Path = args.output / f"{name.replace(' ', '-')}.safetensors"
    if output.exists():
        return output
    first = output.with_name(f"first-{output.name}")
    first_weights(first, shape.network, drawn(shape.network, 0))
    recipe = with_data(load_recipe(RECIPE), [args.pictures])
    kept = [one for one in recipe.data.damage if {s.kind for s in one.kinds} in ALONE]
    total = sum(one.share for one in kept)
    damage = tuple(replace(one, share=one.share / total) for one in kept)
    recipe = replace(
        recipe,
        network=shape.network,
        data=replace(recipe.data, damage=damage),
        stages=(Stage(shape.crop, shape.batch, 1.0),),
    )
    equal_time.train(recipe, output, first, args.minutes, rate=1e-3)
    return output


@torch.no_grad()
def costs(networks: dict[str, MoCEIR]) -> dict[str, float]:
    """Seconds a megapixel of each, medians over passes that are made in turns."""
    picture = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    taken: dict[str, list[float]] = {name: [] for name in networks}
    for _ in range(RUNS + 1):
        for name, network in networks.items():
            begun = time.process_time()
            network.restore(picture)
            taken[name].append(time.process_time() - begun)
    megapixels = picture[0, 0].numel() / 1e6
    return {name: float(np.median(runs[1:])) / megapixels for name, runs in taken.items()}


@torch.no_grad()
def main() -> None:
    """Train what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--validation", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=6, help="of processor time each")
    parser.add_argument("--held-back", type=int, default=28)
    parser.add_argument("--shapes", help="which, such as xs,wide; else all")
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.output.mkdir(parents=True, exist_ok=True)
    chosen = shapes()
    if args.shapes:
        wanted = [name.strip() for name in args.shapes.split(",")]
        if unknown := [name for name in wanted if name not in chosen]:
            parser.error(f"{unknown[0]!r} is no shape: {', '.join(chosen)} are")
        chosen = {name: chosen[name] for name in wanted}
    with torch.enable_grad():
        made = {name: train(name, shape, args) for name, shape in chosen.items()}
    networks = {name: build(load(path)) for name, path in made.items()}
    seconds = costs(networks)
    fixed = fixed_set(Validation((args.validation,), ROWS, args.held_back, 128, every_steps=1))
    tables: dict[str, np.ndarray] = {}
    for name, network in networks.items():
        rows = [
            [
                batch_psnr(network.restore(x).restored.clamp(0, 1), y)[0]
                for x, y in zip(degraded.split(1), fixed.clean.split(1), strict=True)
            ]
            for degraded in fixed.degraded.values()
        ]
        tables[name] = np.array(rows)
    reference = next(iter(tables))
    print(f"rows: {', '.join(ROWS)}; difference to {reference!r} and its error over pictures")
    for name, table in tables.items():
        difference = (table - tables[reference]).mean(0)
        error = difference.std(ddof=1) / len(difference) ** 0.5
        million = sum(p.numel() for p in networks[name].parameters()) / 1e6
        print(
            f"{name:12s} {seconds[name]:5.2f} s a megapixel, {million:.2f} M parameters; "
            + "  ".join(f"{value:.2f}" for value in table.mean(1))
            + f"; mean {table.mean():.3f}, {difference.mean():+.3f} +- {error:.3f} dB"
            + f"   {chosen[name].what}"
        )


if __name__ == "__main__":
    main()
