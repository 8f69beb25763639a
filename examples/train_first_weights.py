"""Train a small denoiser and deblocker on a folder of pictures, on a CPU, within a time budget.

    python examples/train_first_weights.py PICTURES -o photo-xs.safetensors --minutes 130

Damage: Gaussian noise (sigma 0 to 50), JPEG (quality 20 to 95), or both; its kind and strength are
not told to the network. The state is kept beside the output every five minutes; the same command
goes on from there.
"""

from __future__ import annotations

import argparse
import copy
import json
import logging
import math
import time
from pathlib import Path

import numpy as np
import torch
from damage import add_noise, read_rgb, through_jpeg

from moce_cli.checkpoints import ModelCard
from moce_cli.checkpoints import save as save_weights
from moce_cli.checkpoints.catalogue import record_checksum
from moce_cli.checkpoints.official import relative_complexity
from moce_cli.network import PRESETS, MoCEIR
from moce_cli.network.layers import (
    CrossAttention,
    EncoderBlock,
    GatedFeedForward,
    TransposedAttention,
)
from moce_cli.psnr import psnr
from moce_cli.training.losses import balance_loss, restoration_loss

log = logging.getLogger("train")
EXTENSIONS = {".png", ".jpg", ".jpeg", ".webp"}
CHECKPOINT_SECONDS = 300
CREDIT = (
    "285 pictures: 206 of CID22 (Cloudinary, CC BY-SA 4.0), 26 of CLIC 2025 (Unsplash licence), "
    "53 free wallpaper photographs under free licences"
)


def load_pictures(folder: Path, smallest: int) -> list[np.ndarray]:
    """Every picture below a folder, `(H, W, 3)` uint8."""
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in EXTENSIONS)
    pictures = [read_rgb(p) for p in paths]
    return [p for p in pictures if min(p.shape[:2]) >= smallest]


def sample(
    pictures: list[np.ndarray], crop: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """One degraded and clean crop, `(crop, crop, 3)` uint8."""
    picture = pictures[rng.integers(len(pictures))]
    margin = crop + 8  # so that the JPEG grid falls anywhere in the crop
    top, left = (rng.integers(side - margin + 1) for side in picture.shape[:2])
    clean = picture[top : top + margin, left : left + margin]
    clean = np.rot90(clean, rng.integers(4))
    clean = np.ascontiguousarray(clean[:, ::-1] if rng.random() < 0.5 else clean)
    kind = rng.random()
    degraded = clean
    if kind < 0.7:
        sigma = rng.uniform(0, 50) if kind < 0.55 else rng.uniform(0, 25)
        degraded = add_noise(degraded, sigma, rng)
    if kind >= 0.55:
        degraded = through_jpeg(degraded, int(rng.integers(20, 96)), int(rng.choice([0, 2])))
    top, left = rng.integers(9, size=2)
    window = slice(top, top + crop), slice(left, left + crop)
    return degraded[window], clean[window]


def batch(
    pictures: list[np.ndarray], size: int, crop: int, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Degraded and clean, `(B, 3, crop, crop)` float32 in [0, 1]."""
    pairs = [sample(pictures, crop, rng) for _ in range(size)]
    return tuple(
        torch.from_numpy(np.stack(side)).permute(0, 3, 1, 2).float() / 255
        for side in zip(*pairs, strict=True)
    )


@torch.no_grad()
def validate(model: MoCEIR, pictures: list[np.ndarray]) -> dict[str, float]:
    """Mean PSNR of a few fixed crops at noise 25 and JPEG 40."""
    model.eval()
    scores: dict[str, list[float]] = {"noise25": [], "jpeg40": []}
    for seed, picture in enumerate(pictures[:12]):
        clean = np.ascontiguousarray(picture[:192, :192])
        for name, degraded in (
            ("noise25", add_noise(clean, 25, np.random.default_rng(seed))),
            ("jpeg40", through_jpeg(clean, 40)),
        ):
            x = torch.from_numpy(degraded.copy()).permute(2, 0, 1)[None].float() / 255
            restored = model(x)[0].permute(1, 2, 0).clamp(0, 1).numpy()
            scores[name].append(psnr(restored, clean))
    return {name: float(np.mean(values)) for name, values in scores.items()}


def main() -> None:
    """Train until the budget is spent and write the averaged weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--validation", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=130)
    parser.add_argument("--crop", type=int, default=96)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--preset", default="moce_ir_xs")
    parser.add_argument("--facts", type=Path, help="JSON to add to the model card")
    parser.add_argument("--half", action="store_true", help="write 16-bit weights")
    parser.add_argument("--no-compile", action="store_true")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")

    torch.manual_seed(0)
    config = PRESETS[args.preset]
    model = MoCEIR(config)
    average = copy.deepcopy(model).requires_grad_(False)
    optimiser = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=1e-4, fused=True)
    complexities = [relative_complexity(config, level) for level in config.decoder_block_levels]
    state_path = args.output.with_suffix(".state.pt")
    step, elapsed, cpu_seconds = 0, 0.0, 0.0
    if state_path.exists():
        state = torch.load(state_path, weights_only=True)
        model.load_state_dict(state["model"])
        average.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
        step, elapsed, cpu_seconds = state["step"], state["elapsed"], state["cpu_seconds"]
    rng = np.random.default_rng(step)
    pictures = load_pictures(args.pictures, args.crop + 8)
    held_back = load_pictures(args.validation, 192)
    log.info("%d pictures, %d held back, from step %d", len(pictures), len(held_back), step)
    if not args.no_compile:
        for module in model.modules():
            if isinstance(
                module, EncoderBlock | CrossAttention | GatedFeedForward | TransposedAttention
            ):
                module.compile(dynamic=False)

    budget, begun = args.minutes * 60, time.monotonic() - elapsed
    cpu_begun = time.process_time() - cpu_seconds
    saved = time.monotonic()
    losses: list[float] = []

    def save() -> None:
        state = {
            "model": {k.replace("_orig_mod.", ""): v for k, v in model.state_dict().items()},
            "average": average.state_dict(),
            "optimiser": optimiser.state_dict(),
            "step": step,
            "elapsed": time.monotonic() - begun,
            "cpu_seconds": time.process_time() - cpu_begun,
        }
        torch.save(state, state_path.with_suffix(".tmp"))
        state_path.with_suffix(".tmp").replace(state_path)
        facts = {
            "steps": step,
            "crops": f"{args.batch} of {args.crop} x {args.crop} px a step",
            "hours": round(state["elapsed"] / 3600, 2),
            "cpu_hours": round(state["cpu_seconds"] / 3600, 2),
            "machine": "two CPU cores, bfloat16 autocast",
            "limits": (
                "knows noise of one variance everywhere and JPEG of 8 bits; knows no rain, haze, "
                "blur or low light, and no camera's own noise; fine texture under strong noise is "
                "smoothed"
            ),
        }
        if args.facts:
            facts |= json.loads(args.facts.read_text(encoding="utf-8"))
        card = ModelCard(
            name=args.output.stem,
            version="1",
            summary="Removes Gaussian noise and JPEG artefacts; small enough for a CPU.",
            degradations=(
                "Gaussian noise, sigma 0 to 50 of 255",
                "JPEG compression, quality 20 to 95",
                "noise up to sigma 25, then JPEG",
            ),
            training_data=CREDIT,
            licence="Apache-2.0",
            facts=facts,
        )
        dtype = torch.float16 if args.half else torch.float32
        save_weights(args.output, average.state_dict(), config, card, dtype=dtype, overwrite=True)
        record_checksum(args.output)

    while (spent := time.monotonic() - begun) < budget:
        progress = spent / budget
        rate = (
            args.lr
            * min(1, (step + 1) / 200)
            * (0.01 + 0.99 * (1 + math.cos(math.pi * progress)) / 2)
        )
        for group in optimiser.param_groups:
            group["lr"] = rate
        degraded, clean = batch(pictures, args.batch, args.crop, rng)
        model.train()
        with torch.autocast("cpu", torch.bfloat16):
            result = model.restore(degraded)
        loss = restoration_loss(result.restored.float(), clean)
        (loss + 0.01 * balance_loss(result.routing, complexities)).backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        if torch.isfinite(norm):
            optimiser.step()
        optimiser.zero_grad()
        decay = min(0.999, (step + 1) / (step + 10))
        with torch.no_grad():
            torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - decay)
        step += 1
        losses.append(loss.item())
        if step % 100 == 0 or step == 5:
            log.info(
                "step %d  loss %.4f  lr %.1e  %.0f s", step, np.mean(losses[-100:]), rate, spent
            )
        if time.monotonic() - saved > CHECKPOINT_SECONDS:
            saved = time.monotonic()
            save()
            log.info("step %d  validation %s", step, validate(average, held_back))
    save()
    log.info("step %d  validation %s", step, validate(average, held_back))
    log.info("%.0f s of CPU time", time.process_time() - cpu_begun)


if __name__ == "__main__":
    main()
