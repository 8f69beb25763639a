"""Does this device compute what it should? A network whose answer is known."""

from __future__ import annotations

import logging
import zlib
from typing import TYPE_CHECKING

import torch

from moce_cli.errors import DeviceError
from moce_cli.network import MoCEIR, MoCEIRConfig, force
from moce_cli.network.circular import (
    circular_convolution_on,
    other_place,
    windowed_circular_convolution,
)
from moce_cli.runtime import Precision, torch_dtype, whole_float32

if TYPE_CHECKING:
    from collections.abc import Sequence

log = logging.getLogger(__name__)

_MOVED = "the FFT of %s is wrong here: that operation runs on the CPU"

TINY = MoCEIRConfig(
    width=16,
    encoder_blocks=(1, 1, 1),
    latent_blocks=1,
    decoder_blocks=(1, 1, 2),
    refinement_blocks=1,
)
SIDE = 40
"""No multiple of any FFT window but the smaller two, so that windows are padded."""
GOLDEN = (
    -0.058200,
    1.421868,
    1.384148,
    2.197787,
    -0.606579,
    1.819350,
    1.578267,
    1.572236,
    0.896068,
    1.270461,
    0.958253,
    0.021848,
    0.303641,
    1.330162,
    0.482362,
    2.423971,
)
"""Pixels of the answer in float32 on a CPU, as `python -m` this module prints them."""
TOLERANCE: dict[Precision, float] = {"fp32": 2e-3, "fp16": 0.02, "bf16": 0.15}
"""Error allowed, as a share of the answer's standard deviation: twice what rounding does."""


def _wave(shape: Sequence[int], seed: int) -> torch.Tensor:
    """Numbers that depend on no random generator: a wave through the phase of a hash."""
    count = int(torch.tensor(shape).prod())
    steps = torch.arange(count, dtype=torch.float64)
    return torch.sin(steps * 12.9898 + seed % 1000 + (steps * steps) % 7.31).reshape(*shape).float()


def golden_network() -> MoCEIR:
    """A small network whose weights follow from their names."""
    network = MoCEIR(TINY)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            wave = _wave(parameter.shape, zlib.crc32(name.encode()))
            if name.endswith("temperature"):
                parameter.copy_(8 + wave)  # sharp attention: what the experts do must show
            elif parameter.ndim == 1:
                parameter.copy_(wave * 0.05 + (1.0 if "norm.weight" in name else 0.0))
            else:
                parameter.copy_(wave * (2 / parameter[0].numel()) ** 0.5)
    return network.eval()


def golden_pixels(device: torch.device, precision: Precision) -> list[float]:
    """Sixteen pixels of the answer, every expert having run once."""
    network = golden_network().to(device).compute_in(torch_dtype(precision))
    degraded = (_wave((1, 3, SIDE, SIDE), 1) * 0.5 + 0.5).to(device)
    routing = [force(e, TINY.num_experts) for e in range(4)]
    with torch.inference_mode(), whole_float32(device):
        restored = network.restore(degraded, routing).restored
    return restored.flatten().float().cpu()[:: restored.numel() // 16][:16].tolist()


def golden_error(device: torch.device, precision: Precision) -> float:
    """The root mean square error on a device, as a share of the answer's standard deviation."""
    expected = torch.tensor(GOLDEN)
    error = torch.tensor(golden_pixels(device, precision)) - expected
    return float(error.square().mean().sqrt() / expected.std())


def convolution_is_right(device: torch.device) -> bool:
    """Whether the device's FFT agrees with the CPU's at every window."""
    a, b = _wave((1, 40, 24, 3), 2), _wave((1, 40, 24, 3), 3)
    for window in (4, 8, 16, 32):
        expected = windowed_circular_convolution(a, b, window)
        seen = windowed_circular_convolution(a.to(device), b.to(device), window).cpu()
        if not torch.allclose(seen, expected, atol=1e-3 * float(expected.std())):
            return False
    return True


def prepare(device: torch.device, precision: Precision) -> tuple[str, ...]:
    """Before a device's first use: where its FFT is wrong, that operation goes to the CPU.

    Returns:
        sentences about what is not as one would expect.

    Raises:
        DeviceError: the device computes wrong numbers all the same.
    """
    if device.type == "cpu":
        slow = "float16 is slow on a CPU: --precision bf16 or fp32 is many times faster"
        return (slow,) if precision == "fp16" else ()
    notes: tuple[str, ...] = ()
    if other_place(device.type) is None and not convolution_is_right(device):
        circular_convolution_on(device.type, "cpu")
        log.warning(_MOVED, device)
    if other_place(device.type) is not None:
        notes = (_MOVED % device,)
    if not golden_error(device, precision) <= TOLERANCE[precision]:
        raise DeviceError(
            f"{device} computes wrong numbers in {precision}",
            "use --precision fp32 or --device cpu; `moce doctor` shows by how much",
        )
    return notes


if __name__ == "__main__":
    pixels = golden_pixels(torch.device("cpu"), "fp32")
    print("\n".join(f"    {value:.6f}," for value in pixels))  # noqa: T201 -- a maintainer's tool
