"""Do experts matter, and what makes a router learn? Train variants for equal time and compare.

    python examples/compare_experts.py PICTURES --validation HELD_BACK -o FOLDER --minutes 12

Equal time is processor time, taken from a few steps of each, so that other work on the machine
does not count. Every variant begins from weights drawn by the seed; with `--warm-start` only the
decoder's blocks are new, where the experts are, and all else is that of trained weights: no variant
is ahead, and all get somewhere. With one seed all see the same crops of the damage of
`examples/recipes/photo-xs.toml`. Then the middles of the held-back pictures are damaged by fixed
rows of the suite and restored with the router's choice, and with each expert forced. With
`--seeds 2` all is done twice and the means are compared. A variant whose weights are already in
FOLDER is not trained again; `--variants compare,dropout,spread` leaves the others out.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

import equal_time
import numpy as np
import torch
from equal_time import drawn, first_weights

from moce_cli.checkpoints import Checkpoint, build, load
from moce_cli.network import PRESETS, MoCEIR, MoCEIRConfig, force
from moce_cli.network.cost import forward_cost
from moce_cli.psnr import batch_psnr
from moce_cli.training.recipe import load_recipe, with_data
from moce_cli.training.settings import Loss, Stage, Validation
from moce_cli.training.validate import CLEAN_AS_CAN_BE, FixedSet, fixed_set

ROWS = (
    "undamaged",
    "noise 15",
    "noise 50",
    "sensor 6400",
    "jpeg 20",
    "defocus 2.5",
    "haze 0.6",
    "rain 0.6",
    "low 3",
    "low 3+sensor 3200+jpeg 70",
)
RECIPE = Path(__file__).parent / "recipes" / "photo-xs.toml"


@dataclass(frozen=True)
class Variant:
    """One answer to the question."""

    what: str
    network: MoCEIRConfig
    loss: Loss


def variants(base: MoCEIRConfig) -> dict[str, Variant]:
    """What is compared, by name; `base` is the paper's form."""
    paper = Loss(balance_weight=0.01, complexity_bias=True, router_gradient="none", knee=1.0)
    ours = replace(paper, router_gradient="compare", cost_weight=0.005)
    wide = replace(base, expert_ffn=True)
    # the mean rank of four experts that run in inverse proportion to their size
    equal = replace(wide, rank_divisors=(4,) * 4, expert_windows=(16,) * 4)
    # ranks 16 to 1 instead of 8 to 1: of all wider spreads the nearest in mean rank, 0.45 of the
    # level's width instead of 0.47
    spread = replace(wide, rank_divisors=(16, 4, 2, 1))
    single = replace(wide, num_experts=1, rank_divisors=(4,), expert_windows=(16,))
    return {
        "paper": Variant("the paper's block and auxiliary loss", base, paper),
        "auxiliary": Variant("experts with a feed-forward, auxiliary loss alone", wide, paper),
        "compare": Variant("the same, the router learns by comparison", wide, ours),
        "gate": Variant(
            "the same, the router learns by the gate", wide, replace(ours, router_gradient="gate")
        ),
        "no bias": Variant(
            "by comparison, no bias to cheap experts",
            wide,
            replace(ours, complexity_bias=False, cost_weight=0.0),
        ),
        "told": Variant(
            "by comparison, and told the damage while training",
            wide,
            replace(ours, degradation_weight=0.01),
        ),
        "dropout": Variant(
            "by comparison, an expert left out of a tenth of the choices",
            wide,
            replace(ours, expert_dropout=0.1),
        ),
        "equal": Variant("by comparison, four equal experts", equal, ours),
        "spread": Variant("by comparison, the least expert at half its rank", spread, ours),
        "single": Variant("no choice: one expert of the mean cost", single, ours),
    }


def names(text: str) -> list[str]:
    """Names of variants, as they stand between commas; one of them has a space."""
    return [name.strip() for name in text.split(",")]


def begin(source: Checkpoint | None, target: MoCEIRConfig, path: Path, seed: int) -> None:
    """Write first weights, drawn by the seed; with a source, all outside the decoder is its."""
    state = drawn(target, seed)
    if source is not None:
        kept = {k: v.float() for k, v in source.state.items() if not k.startswith("decoder.")}
        assert all(state[name].shape == value.shape for name, value in kept.items())
        state |= kept
    first_weights(path, target, state)


def train(
    name: str, variant: Variant, seed: int, args: argparse.Namespace, source: Checkpoint | None
) -> Path:
    """Train one variant, unless it was before; returns its weights."""
    output = args.output / f"{name.replace(' ', '-')}-{seed}.safetensors"
    if output.exists():
        return output
    first = output.with_name(f"first-{output.name}")
    begin(source, variant.network, first, seed)
    recipe = with_data(load_recipe(RECIPE), [args.pictures])
    recipe = replace(
        recipe,
        seed=seed,
        network=variant.network,
        loss=variant.loss,
        stages=(Stage(64, 8, 1.0),),
    )
    equal_time.train(recipe, output, first, args.minutes, rate=5e-4)
    return output


@torch.no_grad()
def scores(
    network: MoCEIR, fixed: FixedSet, expert: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """PSNR and GMAC, each `(rows, pictures)`; with an expert it is forced everywhere."""
    config = network.config
    blocks = sum(config.decoder_blocks)
    routing = None if expert is None else [force(expert, config.num_experts)] * blocks
    cost = forward_cost(config, *fixed.clean.shape[-2:])
    table = np.zeros((2, len(fixed.degraded), len(fixed.clean)))
    for i, degraded in enumerate(fixed.degraded.values()):
        for j, (x, y) in enumerate(zip(degraded.split(1), fixed.clean.split(1), strict=True)):
            result = network.restore(x, routing)
            table[0, i, j] = min(batch_psnr(result.restored.clamp(0, 1), y)[0], CLEAN_AS_CAN_BE)
            table[1, i, j] = cost.run([b.chosen[0] for b in result.routing]) / 1e9
    return table[0], table[1]


def main() -> None:
    """Train what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--validation", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--warm-start", type=Path, help="weights of all but the decoder")
    parser.add_argument("--seeds", type=int, default=1, help="how many times all is done")
    parser.add_argument("--minutes", type=float, default=12, help="of processor time each")
    parser.add_argument("--crop", type=int, default=128)
    parser.add_argument("--held-back", type=int, default=16)
    parser.add_argument("--variants", type=names, help="which, such as compare,told; else all")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    args.output.mkdir(parents=True, exist_ok=True)
    source = load(args.warm_start) if args.warm_start else None
    # without a bias in the embedding no variant would learn darkness
    base = replace(PRESETS["moce_ir_xs"], embed_bias=True)
    chosen = variants(replace(source.config, expert_ffn=False) if source else base)
    if args.variants:
        if unknown := [name for name in args.variants if name not in chosen]:
            parser.error(f"{unknown[0]!r} is no variant: {', '.join(chosen)} are")
        chosen = {name: chosen[name] for name in args.variants}
    made = {
        (name, seed): train(name, variant, seed, args, source)
        for seed in range(args.seeds)
        for name, variant in chosen.items()
    }
    fixed = fixed_set(
        Validation((args.validation,), ROWS, args.held_back, args.crop, every_steps=1)
    )
    tables: dict[str, list[np.ndarray]] = {name: [] for name in chosen}
    for (name, seed), path in made.items():
        network = build(load(path))
        own, cost = scores(network, fixed)
        forced = {e: scores(network, fixed, e)[0].mean() for e in range(network.config.num_experts)}
        tables[name].append(own)
        best = max(forced, key=lambda e: forced[e])
        rows = "  ".join(f"{value:.2f}" for value in own.mean(1))
        print(f"{name}, seed {seed}: {rows}", flush=True)
        print(
            f"    mean {own.mean():.3f} dB at {cost.mean():.3f} GMAC (by row "
            f"{cost.mean(1).min():.3f} to {cost.mean(1).max():.3f}); forced "
            + "  ".join(f"{e}: {value:.3f}" for e, value in forced.items())
            + f"; router less best forced {own.mean() - forced[best]:+.3f}",
            flush=True,
        )
    reference = "compare" if "compare" in tables else next(iter(tables))
    print(f"difference to {reference!r}, mean over rows, and standard error over pictures")
    for name, own in tables.items():
        each = [mine - theirs for mine, theirs in zip(own, tables[reference], strict=True)]
        by_picture = np.mean(each, axis=0).mean(0)
        error = by_picture.std(ddof=1) / len(by_picture) ** 0.5
        seeds = "  ".join(f"{difference.mean():+.3f}" for difference in each)
        print(
            f"{name:10s} {np.mean(own):.3f} dB {by_picture.mean():+.3f} +- {error:.3f} dB "
            f"(by seed {seeds})   {chosen[name].what}"
        )


if __name__ == "__main__":
    main()
