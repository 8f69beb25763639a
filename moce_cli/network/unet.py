"""The whole network: an encoder, a latent, a decoder of MoCE blocks, a refinement."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from moce_cli.errors import ConfigError
from moce_cli.network.config import MoCEIRConfig
from moce_cli.network.layers import Downsample, EncoderBlock, Upsample
from moce_cli.network.mixture import MoCEBlock
from moce_cli.network.padding import pad_by_reflection
from moce_cli.network.precision import lower
from moce_cli.network.primitives import Conv2d, Linear, add, depthwise
from moce_cli.network.router import BlockRouting, Router, Routing, decide
from moce_cli.network.scene import SCENE_SIZE, SceneEmbedding, block_means, scene_of

Given = TypeVar("Given")
Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class Restoration:
    """A forward pass with its routing."""

    restored: Tensor
    """`(B, 3, H, W)`, not clamped."""
    routing: tuple[BlockRouting, ...]
    """One decision per MoCE block in the order in which they ran."""
    frequency: Tensor
    """`(B, 8C)`, the frequency embedding; empty where the routing was given."""


@dataclass(frozen=True, slots=True)
class _Question:
    """Which experts? What a block's router is given."""

    router: Router
    features: Tensor
    frequency: Tensor


_Run = Generator[_Question, BlockRouting, "Restoration"]


class Each(Protocol):
    """Does a step for each of several, as `map` does."""

    def __call__(self, step: Callable[[Given], Made], items: Sequence[Given], /) -> Iterable[Made]:
        """What the step makes of each, in order."""
        ...


class FrequencyEmbedding(nn.Module):
    """A picture's damage as a vector: what a high-pass filter leaves of the latent, averaged."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.high_pass = depthwise(channels, 3, bias=False)
        self.mlp = nn.Sequential(
            Linear(channels, 2 * channels), nn.GELU(), Linear(2 * channels, channels)
        )
        with torch.no_grad():
            self.high_pass.weight.fill_(-1.0)
            self.high_pass.weight[:, :, 1, 1] = 8.0

    def forward(self, latent: Tensor) -> Tensor:
        """`(B, H, W, C)` to `(B, C)`."""
        high = F.gelu(self.high_pass(latent))
        return self.mlp(high.mean(dim=(1, 2)))


class MoCEIR(nn.Module):
    """Mixture-of-complexity-experts image restoration.

    Source: Zamfir et al., *Complexity Experts are Task-Discriminative Learners for Any Image
    Restoration*, CVPR 2025.
    Differs: deterministic at inference; each sample of a batch runs its own experts; any height
    and width; no filter is rebuilt, all come from the weights.
    """

    def __init__(self, config: MoCEIRConfig) -> None:
        super().__init__()
        self.config = config
        width, heads, expansion = config.level_width, config.heads, config.ffn_expansion

        def blocks(level: int, count: int) -> nn.Sequential:
            return nn.Sequential(
                *(EncoderBlock(width(level), heads[level], expansion) for _ in range(count))
            )

        pixel_channels = 3 * config.unshuffle**2
        self.embed = Conv2d(pixel_channels, width(0), 3, bias=config.embed_bias)
        self.scene = SceneEmbedding(config.scene_widths) if config.scene else None
        self.encoder = nn.ModuleList(blocks(i, n) for i, n in enumerate(config.encoder_blocks))
        self.down = nn.ModuleList(Downsample(width(i)) for i in range(3))
        self.latent = blocks(3, config.latent_blocks)
        self.frequency = FrequencyEmbedding(width(3))
        coarse_to_fine = tuple(reversed(range(3)))
        self.up = nn.ModuleList(Upsample(width(i + 1)) for i in coarse_to_fine)
        self.fuse = nn.ModuleList(
            Linear(width(i + 1), width(i), bias=False) for i in coarse_to_fine
        )
        self.decoder = nn.ModuleList(
            nn.ModuleList(MoCEBlock(config, i) for _ in range(n))
            for i, n in zip(coarse_to_fine, config.decoder_blocks, strict=True)
        )
        self.refinement = blocks(0, config.refinement_blocks)
        self.output = Conv2d(width(0), pixel_channels, 3, bias=False)

    def compute_in(self, dtype: torch.dtype) -> MoCEIR:
        """Let products and convolutions run in a lower precision, see `lower`; returns itself."""
        lower(self, dtype)
        return self

    def forward(self, degraded: Tensor) -> Tensor:
        """Restore a batch.

        Args:
            degraded: `(B, 3, H, W)`, RGB in [0, 1], any H and W from 1 on.

        Returns:
            `(B, 3, H, W)`, not clamped.

        Raises:
            ConfigError: the input's shape is another one.
        """
        return self.restore(degraded).restored

    def restore(
        self, degraded: Tensor, routing: Routing | None = None, scene: Tensor | None = None
    ) -> Restoration:
        """Restore a batch and tell which experts ran.

        Args:
            degraded: `(B, 3, H, W)`, RGB in [0, 1], any H and W from 1 on.
            routing: decisions from outside, one per MoCE block, each for a batch of B or of one.
                The routers do not run then.
            scene: `(B, SCENE_SIZE)` or `(1, SCENE_SIZE)`, of the pictures that the input is a piece
                of, see `scene_of`; None takes each for a whole picture. Only a network with `scene`
                looks at it.

        Returns:
            the restored batch, not clamped, and the decisions.

        Raises:
            ConfigError: the input's shape or the routing's length does not fit.
        """
        if degraded.ndim != 4 or degraded.shape[1] != 3 or 0 in degraded.shape:
            raise ConfigError(
                f"the network takes (B, 3, H, W) with nothing empty, not {tuple(degraded.shape)}"
            )
        num_blocks = sum(self.config.decoder_blocks)
        if routing is not None and len(routing) != num_blocks:
            raise ConfigError(f"the routing has {len(routing)} blocks, the network {num_blocks}")
        for block in routing or ():
            if len(block.chosen) not in (1, len(degraded)):
                raise ConfigError(
                    f"the routing is for a batch of {len(block.chosen)}, the input is "
                    f"one of {len(degraded)}"
                )
        if scene is not None and (
            scene.ndim != 2 or scene.shape[1] != SCENE_SIZE or len(scene) not in (1, len(degraded))
        ):
            raise ConfigError(
                f"a scene of shape {tuple(scene.shape)} does not fit a batch of {len(degraded)}: "
                f"it needs (B, {SCENE_SIZE})"
            )
        run = self._stages(degraded, routing, scene)
        try:
            question = next(run)
            while True:
                question = run.send(question.router(question.features, question.frequency))
        except StopIteration as end:
            return end.value

    def restore_together(
        self, batches: Sequence[Tensor], each: Each = map, scene: Tensor | None = None
    ) -> list[Restoration]:
        """Restore batches with one decision for all of them, block by block; for inference.

        Each decision is that of the mean of all logits. The batches go through the network one
        after the other up to each decision, so that only one of them needs all its memory at a
        time.

        Args:
            batches: each as for `restore`.
            each: does a step for each of several, as `map` does; may do some at once.
            scene: `(1, SCENE_SIZE)`, of the picture they are pieces of; see `restore`.

        Returns:
            for each batch what `restore` returns, all with the same decisions.
        """
        runs = [self._stages(batch, None, scene) for batch in batches]
        decision: BlockRouting | None = None

        def on(run: _Run) -> _Question | Restoration:
            try:
                return next(run) if decision is None else run.send(decision)
            except StopIteration as end:
                return end.value

        while True:
            told = list(each(on, runs))
            questions = [one for one in told if isinstance(one, _Question)]
            if not questions:
                return [one for one in told if isinstance(one, Restoration)]
            router = questions[0].router
            logits = torch.cat([router.logits(q.features, q.frequency) for q in questions])
            decision = decide(logits.mean(dim=0, keepdim=True), router.top_k)
            told.clear()
            questions.clear()

    def _stages(self, degraded: Tensor, routing: Routing | None, scene: Tensor | None) -> _Run:
        """Asks for the decision of each block, unless `routing` has it."""
        told = self._told(degraded, scene)
        h, w = degraded.shape[-2:]
        multiple, squares = self.config.downscale, self.config.unshuffle
        padded_h, padded_w = (-(-side // multiple) * multiple for side in (h, w))
        padded = pad_by_reflection(degraded, padded_h, padded_w)

        if squares > 1:
            padded = F.pixel_unshuffle(padded, squares)
        with torch.autocast(degraded.device.type, enabled=False):  # both ends keep their precision
            x = self.embed(padded.permute(0, 2, 3, 1).contiguous())
        stream = x.dtype  # of what the blocks add to; they compute in their own
        x = told(x)
        skips: list[Tensor] = []
        for blocks, down in zip(self.encoder, self.down, strict=True):
            x = blocks(x)
            skips.append(x)
            x = told(down(x).to(stream))
        x = self.latent(x)
        # a pinned routing needs no embedding: it is there for the routers alone
        frequency = self.frequency(x) if routing is None else x.new_empty(0)
        decisions: list[BlockRouting] = []
        for up, fuse, blocks in zip(self.up, self.fuse, self.decoder, strict=True):
            x = up(x)
            x = told(fuse(torch.cat((x, skips.pop().to(x.dtype)), dim=-1)).to(stream))
            for block in blocks:  # pyright: ignore[reportGeneralTypeIssues] -- a ModuleList
                n, shared = block.ask(x)
                if routing is None:
                    decision = yield _Question(block.mixture.router, n, frequency)
                else:
                    decision = routing[len(decisions)]
                x = block.answer(x, n, shared, decision)
                decisions.append(decision)
        x = self.refinement(x)
        with torch.autocast(degraded.device.type, enabled=False):
            x = self.output(x).permute(0, 3, 1, 2)
        if squares > 1:
            x = F.pixel_shuffle(x, squares)
        return Restoration(
            degraded + x[..., :h, :w].to(degraded.dtype), tuple(decisions), frequency
        )

    def _told(self, degraded: Tensor, scene: Tensor | None) -> Callable[[Tensor], Tensor]:
        """Adds to features what is known of the scene; called at one place after the other."""
        if self.scene is None:
            return lambda x: x
        with torch.autocast(degraded.device.type, enabled=False):
            whole = scene_of(block_means(degraded.float())) if scene is None else scene
            hints = iter(self.scene(whole.to(degraded.device)))
        return lambda x: add(x, next(hints).to(x.dtype))
