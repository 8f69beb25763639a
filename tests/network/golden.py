"""Weights rebuilt from their names, and the answers of the authors' network."""

import math
import zlib
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file

from moce_cli.checkpoints.official import from_official, to_official
from moce_cli.network import PRESETS, MoCEIR, MoCEIRConfig

FOLDER = Path(__file__).parent.parent / "data" / "golden"
TINY = MoCEIRConfig(
    width=16,
    encoder_blocks=(1, 1, 1),
    latent_blocks=2,
    decoder_blocks=(1, 1, 1),
    refinement_blocks=1,
)
CONFIGS = {
    "tiny_64": TINY,
    "tiny_top2_72x56": replace(TINY, top_k=2),
    "moce_ir_s_96x64": PRESETS["moce_ir_s"],
    "moce_ir_64": PRESETS["moce_ir"],
}


def tensor_of(key, shape):
    """The tensor that stands for an official key."""
    n = torch.randn(shape, generator=torch.Generator().manual_seed(zlib.crc32(key.encode())))
    if key.endswith("temperature"):
        return 1 + 0.1 * n
    if len(shape) == 1:
        return 1 + 0.1 * n if key.endswith(".body.weight") else 0.05 * n
    return n / math.sqrt(math.prod(shape[1:]))


def golden_network(config, prefix="net."):
    """A network with the golden weights, loaded through their official form."""
    network = MoCEIR(config).eval()
    state = to_official(network.state_dict(), config)
    for key, value in state.items():
        if not key.endswith("routing.complexity"):
            state[key] = tensor_of(key, value.shape)
    network.load_state_dict(from_official({prefix + k: v for k, v in state.items()}, config))
    return network


def golden_file(name):
    """The tensors of a golden file."""
    return load_file(FOLDER / f"{name}.safetensors")
