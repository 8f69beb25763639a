"""Would one expert, trained on for as long, do what four and a router do?

    python examples/compare_one_expert.py weights/photo-xs.safetensors PICTURES \
        --validation HELD_BACK -o FOLDER --minutes 15

`compare_experts.py` begins from new experts, which no session trains for long. This begins from
trained weights: once they go on as they are, by the recipe's loss, and once for each expert with
that expert alone in every block, the others and the router taken out. All train for equal processor
time on the same crops of the damage of `examples/recipes/photo-xs.toml`. Before and after, the
middles of the held-back pictures, damaged by fixed rows of the suite, are restored. What one expert
alone did not need to learn with the others for, it catches up here or not at all.

`--experts 1,3` takes those alone; weights already in FOLDER are not trained again.
"""

from __future__ import annotations

import argparse
import re
from dataclasses import replace
from pathlib import Path

import equal_time
import numpy as np
import torch
from compare_experts import RECIPE, ROWS, scores
from equal_time import first_weights

from moce_cli.checkpoints import Checkpoint, build, load
from moce_cli.training.recipe import load_recipe, with_data
from moce_cli.training.settings import Loss, Stage, Validation
from moce_cli.training.validate import FixedSet, fixed_set

ROUTER = "router"
EXPERT = re.compile(r"(?<=\.experts\.)\d+(?=\.)")


def alone(source: Checkpoint, expert: int) -> Checkpoint:
    """The weights with one expert in every block, which then has no choice."""
    config = source.config
    last = config.num_experts - 1
    divisors = config.rank_divisors or tuple(2 ** (last - e) for e in range(config.num_experts))
    single = replace(
        config,
        num_experts=1,
        rank_divisors=(divisors[expert],),
        expert_windows=(config.expert_window(expert),),
    )
    state: dict[str, torch.Tensor] = {}
    for name, value in source.state.items():
        of = EXPERT.search(name)
        if of is None:
            router = ".router." in name and value.shape[0] == config.num_experts
            state[name] = value[expert : expert + 1] if router else value
        elif int(of[0]) == expert:
            state[EXPERT.sub("0", name)] = value
    return replace(source, config=single, state=state)


def train(name: str, source: Checkpoint, loss: Loss, args: argparse.Namespace) -> Checkpoint:
    """Train weights on, unless it was done before."""
    output: Path = args.output / f"{name.replace(' ', '-')}.safetensors"
    if not output.exists():
        first = output.with_name(f"first-{output.name}")
        state = {key: value.float() for key, value in source.state.items()}
        first_weights(first, source.config, state)
        recipe = replace(
            with_data(load_recipe(RECIPE), [args.pictures]),
            network=source.config,
            loss=loss,
            stages=(Stage(args.train_crop, args.batch, 1.0),),
        )
        equal_time.train(recipe, output, first, args.minutes, rate=args.rate)
    return load(output)


def table(checkpoint: Checkpoint, fixed: FixedSet) -> tuple[np.ndarray, float]:
    """PSNR `(rows, pictures)` and the mean GMAC."""
    psnr, cost = scores(build(checkpoint), fixed)
    return psnr, float(cost.mean())


def main() -> None:
    """Train what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--validation", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=15, help="of processor time each")
    parser.add_argument("--rate", type=float, default=2e-4, help="the highest learning rate")
    parser.add_argument("--train-crop", type=int, default=96)
    parser.add_argument("--batch", type=int, default=6)
    parser.add_argument("--crop", type=int, default=128, help="of the held-back pictures")
    parser.add_argument("--held-back", type=int, default=56)
    parser.add_argument("--experts", help="which, such as 1,3; else all")
    parser.add_argument("--no-router", action="store_true", help="train the experts alone")
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.output.mkdir(parents=True, exist_ok=True)
    source = load(args.weights)
    count = source.config.num_experts
    experts = [int(e) for e in args.experts.split(",")] if args.experts else range(count)
    if wrong := [e for e in experts if not 0 <= e < count]:
        parser.error(f"there is no expert {wrong[0]}: they are 0 to {count - 1}")
    loss = load_recipe(RECIPE).loss
    single = replace(loss, router_gradient="none", cost_weight=0.0, balance_weight=0.0)
    begun = {} if args.no_router else {ROUTER: (source, loss)}
    begun |= {f"expert {e}": (alone(source, e), single) for e in experts}
    ended = {name: train(name, *given, args) for name, given in begun.items()}
    if args.no_router:
        return
    fixed = fixed_set(
        Validation((args.validation,), ROWS, args.held_back, args.crop, every_steps=1)
    )
    rows: dict[str, tuple[np.ndarray, np.ndarray, float]] = {}
    for name in begun:
        before, _ = table(begun[name][0], fixed)
        after, cost = table(ended[name], fixed)
        rows[name] = before, after, cost
        by_row = "  ".join(f"{value:.2f}" for value in after.mean(1))
        print(f"{name}: {by_row}", flush=True)
    print("PSNR before and after; after, against the router, and standard error over pictures")
    _, reference, _ = rows[ROUTER]
    for name, (before, after, cost) in rows.items():
        by_picture = (after - reference).mean(0)
        error = by_picture.std(ddof=1) / len(by_picture) ** 0.5
        print(
            f"{name:10s} {before.mean():.3f} -> {after.mean():.3f} dB  {by_picture.mean():+.3f} "
            f"+- {error:.3f} dB, {cost:.3f} GMAC at {args.crop} x {args.crop}"
        )


if __name__ == "__main__":
    main()
