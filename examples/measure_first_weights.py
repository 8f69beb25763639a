"""Measure a model on clean pictures that are damaged here, with fixed seeds.

    python examples/measure_first_weights.py quality PICTURES
    python examples/measure_first_weights.py opencv PICTURES
    python examples/measure_first_weights.py tiles PICTURES
    python examples/measure_first_weights.py precision PICTURES
    python examples/measure_first_weights.py experts PICTURES

`quality` is PSNR at several strengths, of the middles of all pictures or, with `--whole`, all of
them; `opencv` puts OpenCV's filters beside it at noise 25, each with the parameters that are best
on the same files; `tiles` is quality and speed over tile and overlap; `precision` is bfloat16
against float32; `experts` forces each expert in turn. PSNR is of RGB in 8 bit, averaged over
pictures.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np
from damage import Pixels, add_noise, read_rgb, through_jpeg

from moce_cli import Restorer
from moce_cli.psnr import psnr

EXTENSIONS = {".png", ".jpg", ".jpeg", ".webp"}
Filter = Callable[[Pixels], Pixels]
OVERLAPS = (0, 8, 16, 32, 48)


def load(folder: Path) -> list[Pixels]:
    """Every picture below a folder, in sorted order."""
    return [read_rgb(p) for p in sorted(folder.rglob("*")) if p.suffix.lower() in EXTENSIONS]


def centre(picture: Pixels, side: int = 256) -> Pixels:
    """The middle of a picture."""
    top, left = ((length - side) // 2 for length in picture.shape[:2])
    return np.ascontiguousarray(picture[top : top + side, left : left + side])


def noisy(pictures: Iterable[Pixels], sigma: float) -> list[Pixels]:
    """Each with noise from its own seed."""
    return [add_noise(p, sigma, np.random.default_rng(i)) for i, p in enumerate(pictures)]


def mean_psnr(results: Iterable[Pixels], clean: Iterable[Pixels]) -> float:
    """Averaged over pictures; an equal one counts 60 dB."""
    return float(np.mean([min(psnr(a, b), 60.0) for a, b in zip(results, clean, strict=True)]))


def quality(
    model: str, clean: list[Pixels], facts: Path | None = None, only: str | None = None
) -> None:
    """PSNR of input and output at several strengths; `facts` takes the table as JSON."""
    rows: dict[str, str] = {}
    restorer = Restorer.from_pretrained(model)
    kinds: dict[str, list[Pixels]] = {f"noise {s}": noisy(clean, s) for s in (15, 25, 50)}
    kinds |= {f"JPEG {q}": [through_jpeg(p, q) for p in clean] for q in (20, 40, 80)}
    kinds["noise 15, JPEG 60"] = [through_jpeg(p, 60) for p in noisy(clean, 15)]
    kinds["undamaged"] = clean
    megapixels = sum(p.shape[0] * p.shape[1] for p in clean) / 1e6
    print(f"{len(clean)} pictures, {megapixels:.1f} megapixels, {model} in {restorer.precision}")
    kinds = {kind: degraded for kind, degraded in kinds.items() if only in (None, kind)}
    print("| damage | input dB | restored dB | gain |\n|---|---|---|---|")
    for kind, degraded in kinds.items():
        before = mean_psnr(degraded, clean)
        after = mean_psnr([restorer.restore(p).picture for p in degraded], clean)
        gain = "" if kind == "undamaged" else f"{after - before:+.2f}"
        shown = "equal" if kind == "undamaged" else f"{before:.2f}"
        print(f"| {kind} | {shown} | {after:.2f} | {gain} |", flush=True)
        rows[kind] = f"{after:.2f} dB, input {shown}"
    if facts:
        table = {"psnr": rows, "psnr_of": f"{len(clean)} held-back pictures, their middles"}
        facts.write_text(json.dumps(table, indent=1), encoding="utf-8")


def opencv_filters() -> dict[str, dict[str, Filter]]:
    """OpenCV's denoisers over a range of parameters each."""
    means = {
        f"h={h}, hColor={c}": lambda p, h=h, c=c: cv2.fastNlMeansDenoisingColored(
            p, None, h, c, 7, 21
        )
        for h in (8, 11, 14, 18, 22)
        for c in (10, 18, 26)
    }
    bilateral = {
        f"d={d}, sigmaColor={c}, sigmaSpace={s}": lambda p, d=d, c=c, s=s: cv2.bilateralFilter(
            p, d, c, s
        )
        for d in (5, 7, 9)
        for c in (85, 110, 140)
        for s in (1.5, 3, 6)
    }
    median = {f"ksize={k}": lambda p, k=k: cv2.medianBlur(p, k) for k in (3, 5, 7)}
    gaussian = {
        f"sigma={s}": lambda p, s=s: cv2.GaussianBlur(p, (0, 0), s)
        for s in (0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.3, 1.6)
    }
    return {
        "non-local means": means,
        "bilateral": bilateral,
        "median": median,
        "Gaussian": gaussian,
    }


def opencv(model: str, clean: list[Pixels]) -> None:
    """Noise 25: the model beside OpenCV's filters, tuned on the same files' middles."""
    crops = [centre(p) for p in clean]
    degraded, degraded_crops = noisy(clean, 25), noisy(crops, 25)
    print("| way | parameters | restored dB |\n|---|---|---|")
    print(f"| input | | {mean_psnr(degraded, clean):.2f} |")
    for name, variants in opencv_filters().items():
        scores = {
            parameters: mean_psnr(map(run, degraded_crops), crops)
            for parameters, run in variants.items()
        }
        best = max(scores, key=lambda key: scores[key])
        score = mean_psnr(map(variants[best], degraded), clean)
        print(f"| {name} | {best} | {score:.2f} |", flush=True)
    restorer = Restorer.from_pretrained(model)
    score = mean_psnr((restorer.restore(p).picture for p in degraded), clean)
    print(f"| {model} | | {score:.2f} |")


def tiles(model: str, clean: list[Pixels], plot: Path | None = None) -> None:
    """Noise 25: PSNR, difference from the whole picture, seam and speed over tile and overlap."""
    largest = [centre(p, 640) for p in sorted(clean, key=lambda p: -min(p.shape[:2]))[:4]]
    degraded = noisy(largest, 25)
    megapixels = sum(p.shape[0] * p.shape[1] for p in largest) / 1e6
    choices = [(0, 0)]
    choices += [(tile, overlap) for tile in (96, 128, 192, 256, 288, 384) for overlap in OVERLAPS]
    print(f"{len(largest)} pictures, {megapixels:.1f} megapixels")
    print("| tile | overlap | restored dB | as the whole dB | worst seam | s per megapixel |")
    print("|---|---|---|---|---|---|")
    whole: list[Pixels] = []
    found: dict[tuple[int, int], tuple[float, float]] = {}
    for tile, overlap in choices:
        restorer = Restorer.from_pretrained(model, tile=tile, overlap=overlap)
        restorer.restore(degraded[0][:64, :64])
        begun = time.perf_counter()
        results = [restorer.restore(p) for p in degraded]
        seconds = (time.perf_counter() - begun) / megapixels
        restored = [r.picture for r in results]
        whole = whole or restored
        score, alike = mean_psnr(restored, largest), mean_psnr(restored, whole)
        seam = max(r.report.seam for r in results)
        found[tile, overlap] = score, seconds
        print(
            f"| {tile or 'whole'} | {overlap} | {score:.3f} | {alike:.1f} | {seam:.3f} | "
            f"{seconds:.2f} |",
            flush=True,
        )
    if plot:
        draw(found, plot)


def draw(found: dict[tuple[int, int], tuple[float, float]], target: Path) -> None:
    """Quality over time, a line for each tile, a point for each overlap."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for marker, tile in zip("osD^vP", sorted({tile for tile, _ in found if tile}), strict=True):
        line = [(*found[tile, o], o) for o in OVERLAPS]
        axes.plot(
            [s for _, s, _ in line], [d for d, _, _ in line], f"{marker}-", label=f"{tile} px"
        )
        for score, taken, overlap in line:
            axes.annotate(str(overlap), (taken, score), fontsize=7, xytext=(3, 3),
                          textcoords="offset points")  # fmt: skip
    axes.axhline(found[0, 0][0], color="grey", linestyle="--", label="whole picture")
    axes.set(
        xlabel="seconds a megapixel",
        ylabel="PSNR, noise 25 restored (dB)",
        title="Tiles: a point for each overlap",
        xscale="log",
    )
    axes.legend(title="tile", fontsize=8)
    figure.savefig(target, dpi=120)


def precision(model: str, clean: list[Pixels]) -> None:
    """Noise 25 and no damage: each precision, its PSNR and speed."""
    crops = [centre(p) for p in clean]
    megapixels = len(crops) * crops[0].shape[0] * crops[0].shape[1] / 1e6
    for name, degraded in (("noise 25", noisy(crops, 25)), ("undamaged", crops)):
        for choice in ("fp32", "bf16"):
            restorer = Restorer.from_pretrained(model, precision=choice)
            restorer.restore(degraded[0])
            begun = time.perf_counter()
            score = mean_psnr((restorer.restore(p).picture for p in degraded), crops)
            seconds = (time.perf_counter() - begun) / megapixels
            print(f"{name} {choice}: {score:.3f} dB, {seconds:.2f} s per megapixel", flush=True)


def experts(model: str, clean: list[Pixels]) -> None:
    """The router's choice beside each expert forced everywhere, and who was chosen."""
    crops = [centre(p) for p in clean]
    kinds = {"noise 25": noisy(crops, 25), "JPEG 40": [through_jpeg(p, 40) for p in crops]}
    print("| routing | " + " | ".join(kinds) + " | chosen |\n|---|---|---|---|")
    for routing in ("image", "0", "1", "2", "3"):
        restorer = Restorer.from_pretrained(model, routing=routing)
        chosen: Counter[int] = Counter()
        cells: list[str] = []
        for degraded in kinds.values():
            results = [restorer.restore(p) for p in degraded]
            cells.append(f"{mean_psnr((r.picture for r in results), crops):.3f}")
            for result in results:
                chosen.update(result.report.experts)
        share = ", ".join(f"{e}: {n / chosen.total():.0%}" for e, n in sorted(chosen.items()))
        print(f"| {routing} | {' | '.join(cells)} | {share} |", flush=True)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("quality", "opencv", "tiles", "precision", "experts"))
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--model", default="photo-xs")
    parser.add_argument("--whole", action="store_true", help="quality of whole pictures")
    parser.add_argument("--only", help="one kind of damage, such as 'noise 25'")
    parser.add_argument("--facts", type=Path, help="write what quality finds as JSON")
    parser.add_argument("--plot", type=Path, help="draw what tiles finds into this PNG")
    args = parser.parse_args()
    clean = load(args.pictures)
    if args.what == "quality":
        parts = clean if args.whole else [centre(p) for p in clean]
        quality(args.model, parts, args.facts, args.only)
    elif args.what == "tiles":
        tiles(args.model, clean, args.plot)
    else:
        measure = {"opencv": opencv, "precision": precision, "experts": experts}
        measure[args.what](args.model, clean)


if __name__ == "__main__":
    main()
