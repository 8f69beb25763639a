"""How many crops a second the degradations make, kind by kind and for a mix as in training.

    python examples/measure_degradations.py
    python examples/measure_degradations.py --device cuda --batch 64 --workers 15

Arithmetic kinds run on the device in one process. With workers, the codecs and the mix run in as
many processes; on a GPU the part of the mix that needs no codec stays on the device.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch

from moce_cli.degradations import KINDS, Plan, degrade, draw, mix, needs_codec

MIX: tuple[tuple[float, tuple[str, ...]], ...] = (
    (0.10, ()),
    (0.18, ("noise",)),
    (0.10, ("sensor",)),
    (0.08, ("jpeg",)),
    (0.03, ("webp",)),
    (0.07, ("blur",)),
    (0.04, ("defocus",)),
    (0.04, ("shake",)),
    (0.06, ("haze",)),
    (0.07, ("rain",)),
    (0.04, ("snow",)),
    (0.05, ("low",)),
    (0.05, ("low", "sensor", "jpeg")),
    (0.03, ("haze", "rain")),
    (0.03, ("blur", "noise", "jpeg")),
    (0.03, ("rain", "low", "noise")),
)
"""Shares of a batch and what befalls them."""


def crops(count: int, side: int, device: torch.device) -> torch.Tensor:
    """Something to degrade; only its size matters."""
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, 3, side, side, generator=generator).to(device)


def training_plans(count: int, rng: np.random.Generator) -> list[Plan]:
    """Plans for a batch, drawn from `MIX`."""
    shares = [share for share, _ in MIX]
    return [mix(MIX[i][1], rng) for i in rng.choice(len(MIX), count, p=shares)]


def rate(work: Callable[[], int], device: torch.device, seconds: float) -> float:
    """Crops a second, after one round to warm up."""
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    begun, done = time.perf_counter(), 0
    while time.perf_counter() - begun < seconds:
        done += work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
    return done / (time.perf_counter() - begun)


def one_process(
    clean: torch.Tensor, plans_of: Callable[[np.random.Generator], Sequence[Plan]], seconds: float
) -> float:
    """Crops a second with drawing included, on the crops' device."""
    rng = np.random.default_rng(0)
    generator = torch.Generator(clean.device).manual_seed(0)

    def work() -> int:
        plans = plans_of(rng)
        degrade(clean[: len(plans)], plans, generator)
        return len(plans)

    return rate(work, clean.device, seconds)


def in_worker(seed: int, count: int, side: int, kinds: tuple[str, ...] | None) -> int:
    """One batch of one process; None is the mix."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(seed)
    plans = training_plans(count, rng) if kinds is None else [mix(kinds, rng) for _ in range(count)]
    clean = crops(count, side, torch.device("cpu"))
    degrade(clean, plans, torch.Generator().manual_seed(seed))
    return count


def many_processes(
    pool: ProcessPoolExecutor, workers: int, count: int, side: int, kinds: tuple[str, ...] | None
) -> float:
    """Crops a second over all workers, on the CPU."""
    list(pool.map(in_worker, range(workers), *([v] * workers for v in (count, side, kinds))))
    jobs = 6 * workers
    begun = time.perf_counter()
    done = sum(pool.map(in_worker, range(jobs), *([v] * jobs for v in (count, side, kinds))))
    return done / (time.perf_counter() - begun)


def main() -> None:
    """Read the command line and print the rates."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--crop", type=int, default=128)
    parser.add_argument("--seconds", type=float, default=1.0, help="for each line")
    parser.add_argument("--workers", type=int, default=0, help="processes for the codecs")
    parser.add_argument("--kernels", type=Path, help="a folder, to measure that kind as well")
    args = parser.parse_args()
    device = torch.device(args.device)
    torch.set_num_threads(1)
    clean = crops(args.batch, args.crop, device)
    print(
        f"{args.crop} x {args.crop} crops a second, batches of {args.batch}, one process, {device}"
    )
    for kind in KINDS:
        if kind == "kernel" and args.kernels is None:
            continue

        def plans_of(rng: np.random.Generator, kind: str = kind) -> list[Plan]:
            return [(draw(kind, rng, kernels=args.kernels),) for _ in range(args.batch)]

        print(f"  {kind:14} {one_process(clean, plans_of, args.seconds):8.0f}", flush=True)
    mixed = one_process(clean, lambda rng: training_plans(args.batch, rng), args.seconds)
    print(f"  {'training mix':14} {mixed:8.0f}")

    def arithmetic(rng: np.random.Generator) -> list[Plan]:
        plans = [plan for plan in training_plans(2 * args.batch, rng) if not needs_codec(plan)]
        return plans[: args.batch]

    print(f"  {'without codecs':14} {one_process(clean, arithmetic, args.seconds):8.0f}")
    if args.workers:
        print(f"{args.workers} processes on the CPU")
        with ProcessPoolExecutor(args.workers) as pool:
            for name, kinds in (("jpeg", ("jpeg",)), ("webp", ("webp",)), ("training mix", None)):
                found = many_processes(pool, args.workers, args.batch, args.crop, kinds)
                print(f"  {name:14} {found:8.0f}", flush=True)


if __name__ == "__main__":
    main()
