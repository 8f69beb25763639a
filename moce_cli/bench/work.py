"""What a contender's process does: make the picture, restore it, tell the time and the memory."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from moce_cli import runtime
from moce_cli.bench import plain
from moce_cli.bench.floor import synchronise
from moce_cli.bench.profiling import Operation, profiled
from moce_cli.checkpoints import build, load_model
from moce_cli.errors import DeviceError, MoceError
from moce_cli.network import MoCEIRConfig
from moce_cli.network.cost import forward_cost
from moce_cli.network.padding import pad_by_reflection
from moce_cli.pictures import read, to_depth
from moce_cli.psnr import MOST_DB, psnr
from moce_cli.restoration import Report, Restorer
from moce_cli.restoration.backoff import is_out_of_memory

if TYPE_CHECKING:
    from moce_cli.bench.contender import Case

Bytes = npt.NDArray[np.uint8]
Made = TypeVar("Made")

NOISE = 25
"""Of the picture that is restored: Gaussian, sigma in steps of 8 bits."""
_STRIP = 64
"""Rows at a time of what is not measured, so that the peak is the restoration's."""


def _drawn_strips(height: int, width: int) -> Iterator[Bytes]:
    x = np.arange(width, dtype=np.float32)
    for top in range(0, height, _STRIP):
        y = np.arange(top, min(top + _STRIP, height), dtype=np.float32)[:, None]
        edges = np.sign(np.sin(x / 61) * np.sin(y / 47))
        strip = np.empty((len(y), width, 3), np.uint8)
        for channel, (a, b) in enumerate(((37, 53), (11, 29), (5, 71))):
            wave = np.sin(x / a + np.sin(y / b))
            values = 0.5 + 0.25 * edges * wave + 0.1 * wave
            strip[:, :, channel] = (values.clip(0, 1) * 255).round()
        yield strip


def drawn_picture(height: int, width: int) -> Bytes:
    """A clean picture `(H, W, 3)` with flat areas, edges and texture, always the same."""
    return _together(_drawn_strips(height, width), (height, width, 3))


def noisy_strips(height: int, width: int) -> Iterator[Bytes]:
    """The same with noise, from top to bottom, some rows at a time."""
    return _with_noise(_drawn_strips(height, width))


def _together(strips: Iterator[Bytes], shape: tuple[int, ...]) -> Bytes:
    whole, top = np.empty(shape, np.uint8), 0
    for strip in strips:
        whole[top : top + len(strip)] = strip
        top += len(strip)
    return whole


def _with_noise(strips: Iterator[Bytes]) -> Iterator[Bytes]:
    rng = np.random.default_rng(0)
    for strip in strips:
        noise = rng.standard_normal(strip.shape, dtype=np.float32) * NOISE
        yield (strip + noise).clip(0, 255).round().astype(np.uint8)


def clean_picture(case: Case) -> Bytes:
    """`(H, W, 3)`: the case's own picture, mirrored to the size, or a drawn one.

    Raises:
        InputError: its picture cannot be read.
    """
    if case.picture is None:
        return drawn_picture(case.height, case.width)
    pixels = to_depth(read(case.picture).pixels, 8)
    down, right = case.height - pixels.shape[0], case.width - pixels.shape[1]
    padded = np.pad(pixels, ((0, max(down, 0)), (0, max(right, 0)), (0, 0)), mode="symmetric")
    shape = (case.height, case.width, 3)
    return np.ascontiguousarray(np.broadcast_to(padded[: case.height, : case.width], shape))


def with_noise(clean: Bytes) -> Bytes:
    """The same noise every time."""
    strips = (clean[top : top + _STRIP] for top in range(0, len(clean), _STRIP))
    return _together(_with_noise(strips), clean.shape)


class DoesNotFitError(DeviceError):
    """A contender ran out of memory."""


class Work(ABC):
    """What both ways have in common: the picture, the clock and the memory."""

    precision: str
    macs = picture_macs = 0
    plan: dict[str, int | str | bool]

    def __init__(self, case: Case) -> None:
        self.device = runtime.choose_device(case.device)
        self.threads = case.threads or runtime.usable_cores()
        self.clean = clean_picture(case)
        self.noisy = with_noise(self.clean)
        self.result = self.noisy
        self.plan = {}
        begun = time.perf_counter()
        self.load(case)
        self.load_seconds = time.perf_counter() - begun
        self.idle_bytes = runtime.peak_memory_bytes()

    @abstractmethod
    def load(self, case: Case) -> None:
        """Read the weights, build the network."""

    @abstractmethod
    def restore(self) -> None:
        """From `noisy` to `result`; sets the multiply-accumulates, `precision` and `plan`."""

    def run(self, threads: int | None) -> float:
        """Seconds of one restoration."""
        self.threads = threads or self.threads
        torch.set_num_threads(self.threads)
        begun = time.perf_counter()
        self.restore()
        synchronise(self.device)
        return time.perf_counter() - begun

    def profile(self) -> tuple[Operation, ...]:
        """The operations of one restoration that took most."""
        return profiled(lambda: self.run(None), self.device, self.threads)

    def facts(self) -> dict[str, Any]:
        """The fields of `Facts`."""
        on_cuda = self.device.type == "cuda"
        return {
            "load_seconds": self.load_seconds,
            "idle_bytes": self.idle_bytes,
            "peak_bytes": runtime.peak_memory_bytes(),
            "device_peak_bytes": torch.cuda.max_memory_reserved(self.device) if on_cuda else 0,
            "macs": self.macs,
            "picture_macs": self.picture_macs,
            "threads": self.threads,
            "precision": self.precision,
            "psnr": min(psnr(self.result, self.clean), MOST_DB),
            "plan": self.plan,
        }


class Tiled(Work):
    """As `moce restore` does it, files aside."""

    def load(self, case: Case) -> None:
        """A restorer as the case asks for."""
        checkpoint = load_model(case.model)
        self.config = checkpoint.config
        self.restorer = Restorer(
            checkpoint,
            name=case.model,
            device=case.device,
            precision=case.precision,
            tile=case.tile,
            overlap=case.overlap,
            batch=case.batch,
            threads=self.threads,
        )

    def restore(self) -> None:
        """Once."""
        restored = self.restorer.restore(self.noisy)
        self.result, report = restored.picture, restored.report
        self.macs, self.precision, self.plan = (
            report.macs.run,
            report.precision,
            report.plan.to_dict(),
        )
        self.picture_macs = _picture_macs(self.config, report)


def _picture_macs(config: MoCEIRConfig, report: Report) -> int:
    """Of the picture in one piece."""
    cost = forward_cost(config, report.height, report.width)
    if config.top_k == 1:
        return cost.run([(block.expert,) for block in report.blocks])
    return round(cost.all_experts * report.macs.run / report.macs.all_experts)


class Plain(Work):
    """The plain network on the whole picture in float32, and nothing clever."""

    def load(self, case: Case) -> None:
        """The same weights; on CUDA without TF32, which is no float32."""
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        self.precision = "fp32"
        self.network = build(load_model(case.model)).requires_grad_(False).to(self.device)

    @torch.inference_mode()
    def restore(self) -> None:
        """Once."""
        height, width = self.noisy.shape[:2]
        multiple = self.network.config.downscale
        padded = (-(-side // multiple) * multiple for side in (height, width))
        x = torch.from_numpy(self.noisy).to(self.device).permute(2, 0, 1)[None].float() / 255
        y, chosen = plain.forward(self.network, pad_by_reflection(x, *padded), whole=x)
        rounded = (y[0, :, :height, :width].clamp(0, 1) * 255).round().byte()
        self.result = rounded.permute(1, 2, 0).cpu().numpy()
        self.macs = forward_cost(self.network.config, height, width).run(chosen)
        self.picture_macs = self.macs


def serve(case: Case, connection: Connection) -> None:
    """Answer questions until the other side hangs up; an error is an answer."""
    work = _attempt(case, lambda: Plain(case) if case.plain else Tiled(case))
    while True:
        try:
            what, threads = connection.recv()
        except (EOFError, OSError, KeyboardInterrupt):
            return
        connection.send(_answer(case, work, what, threads) if isinstance(work, Work) else work)


def _answer(case: Case, work: Work, what: str, threads: int | None) -> object:
    questions: dict[str, Callable[[], object]] = {
        "run": lambda: work.run(threads),
        "facts": work.facts,
        "picture": lambda: work.result,
        "profile": work.profile,
    }
    return _attempt(case, questions[what])


def _attempt(case: Case, step: Callable[[], Made]) -> Made | MoceError:
    try:
        return step()
    except MoceError as error:
        return error
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not is_out_of_memory(error):
            raise
        way = "the plain network" if case.plain else case.model
        return DoesNotFitError(
            f"{way} does not fit at {case.width} x {case.height}: out of memory",
            "use a smaller --size",
        )
