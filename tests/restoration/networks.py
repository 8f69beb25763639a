"""Restorers whose answer is known or quick."""

import numpy as np
import torch

from moce_cli.checkpoints import Checkpoint, ModelCard
from moce_cli.network import MoCEIR, MoCEIRConfig
from moce_cli.restoration import Restorer

SMALL = MoCEIRConfig(
    width=8,
    encoder_blocks=(1, 1, 1),
    latent_blocks=1,
    decoder_blocks=(1, 1, 1),
    refinement_blocks=1,
)
CARD = ModelCard("test", "1", "for tests", ("noise",), "none", "CC0-1.0")


def checkpoint(config=SMALL, *, identity=False, seed=0):
    """Random weights; with `identity` the network adds nothing to its input."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = MoCEIR(config)
    state = network.state_dict()
    if identity:
        state["output.weight"].zero_()
    else:  # strong enough to see, and routers that are not of one mind
        state["output.weight"].mul_(4)
        for name, value in state.items():
            if "router" in name:
                value.mul_(30)
    return Checkpoint(config=config, state=state, card=CARD, sha256="", dtype=torch.float32)


def restorer(*, identity=False, precision="fp32", device="cpu", **options):
    """A restorer on the CPU."""
    return Restorer(
        checkpoint(identity=identity), device=device, precision=precision, threads=2, **options
    )


def noise(height, width, channels=3, dtype=np.uint8, seed=0):
    """A picture of chance."""
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        return rng.random((height, width, channels)).astype(dtype)
    return rng.integers(0, np.iinfo(dtype).max + 1, (height, width, channels)).astype(dtype)
