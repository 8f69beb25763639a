"""The MoCE-IR network; needs torch and nothing else."""

from moce_cli.network.config import DOWNSCALE, PRESETS, MoCEIRConfig
from moce_cli.network.router import BlockRouting, Routing, decide, force
from moce_cli.network.scene import SCENE_SIZE, block_means, scene_of
from moce_cli.network.unet import Each, MoCEIR, Restoration

__all__ = [
    "DOWNSCALE",
    "PRESETS",
    "SCENE_SIZE",
    "BlockRouting",
    "Each",
    "MoCEIR",
    "MoCEIRConfig",
    "Restoration",
    "Routing",
    "block_means",
    "decide",
    "force",
    "scene_of",
]
