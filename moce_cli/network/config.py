"""The shape of a network, as data that checks itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

from moce_cli.errors import ConfigError

DOWNSCALE = 8
"""Three halvings from the embedding to the latent."""

UNSHUFFLES = (1, 2, 4)

MOST_EXPERTS = 8


@dataclass(frozen=True, slots=True)
class MoCEIRConfig:
    """Architecture of one MoCE-IR network.

    Block counts follow the data's way: the encoder from fine to coarse, the decoder from coarse to
    fine. Heads are listed from the finest level to the latent.

    Raises:
        ConfigError: a value is out of range or values do not fit each other.

    Source: MoCE-IR (CVPR 2025), section 4 and its supplement.
    """

    width: int
    encoder_blocks: tuple[int, int, int]
    latent_blocks: int
    decoder_blocks: tuple[int, int, int]
    refinement_blocks: int
    heads: tuple[int, int, int, int] = (1, 2, 4, 8)
    num_experts: int = 4
    top_k: int = 1
    ffn_expansion: int = 2
    unshuffle: int = 1
    """Side of the squares of pixels that become channels before the embedding; 1 is the paper's."""
    embed_bias: bool = False
    """Whether the embedding has a bias. Without one, as in the paper, the first layer norm divides
    a picture's brightness out, and no block can see how dark it is."""
    expert_ffn: bool = False
    """Whether each expert brings the block's feed-forward as well, as wide as its rank allows."""
    scene: bool = False
    """Whether the network is told of the whole picture that its input is a piece of; see
    `network.scene`."""
    rank_divisors: tuple[int, ...] = ()
    """The level's width over each expert's rank; empty is the paper's, each half the last."""
    expert_windows: tuple[int, ...] = ()
    """Side of each expert's FFT window in feature pixels; empty is the paper's, 4, 8, 16, ..."""

    def __post_init__(self) -> None:
        counts = {
            "width": (self.width,),
            "encoder_blocks": self.encoder_blocks,
            "latent_blocks": (self.latent_blocks,),
            "decoder_blocks": self.decoder_blocks,
            "refinement_blocks": (self.refinement_blocks,),
            "heads": self.heads,
            "num_experts": (self.num_experts,),
            "top_k": (self.top_k,),
            "ffn_expansion": (self.ffn_expansion,),
            "unshuffle": (self.unshuffle,),
            "rank_divisors": self.rank_divisors,
            "expert_windows": self.expert_windows,
        }
        lengths = {"encoder_blocks": 3, "decoder_blocks": 3, "heads": 4}
        for name in ("rank_divisors", "expert_windows"):
            lengths[name] = self.num_experts if counts[name] else 0
        for name, values in counts.items():
            if len(values) != lengths.get(name, 1):
                raise ConfigError(f"{name} has {len(values)} entries, it needs {lengths[name]}")
            for value in values:
                # files may hold anything, and True is an int to Python
                if type(value) is not int or value < 1:
                    raise ConfigError(f"{name} holds {value!r}, it needs whole numbers from 1 on")
        for name in ("embed_bias", "expert_ffn", "scene"):
            if type(getattr(self, name)) is not bool:
                raise ConfigError(f"{name} holds {getattr(self, name)!r}, it needs true or false")
        if self.unshuffle not in UNSHUFFLES:
            raise ConfigError(f"unshuffle is {self.unshuffle}, it needs one of {UNSHUFFLES}")
        if self.num_experts > MOST_EXPERTS:
            raise ConfigError(
                f"num_experts is at most {MOST_EXPERTS}: each halves the last one's rank"
            )
        if self.top_k > self.num_experts:
            raise ConfigError(
                f"top_k is {self.top_k}, but there are only {self.num_experts} experts"
            )
        if self.rank_divisors:
            if any(self.width % divisor for divisor in self.rank_divisors):
                raise ConfigError(
                    f"rank_divisors {self.rank_divisors} do not all divide a width of {self.width}"
                )
        elif self.width % 2 ** (self.num_experts - 1):
            raise ConfigError(
                f"width is {self.width}, it needs a multiple of {2 ** (self.num_experts - 1)} "
                f"so that {self.num_experts} experts can halve their rank"
            )
        if self.expert_ffn and self.top_k > 1:
            raise ConfigError(f"expert_ffn needs a top_k of 1, not {self.top_k}")
        for level, heads in enumerate(self.heads):
            if self.level_width(level) % heads:
                raise ConfigError(
                    f"{heads} heads do not divide the {self.level_width(level)} channels "
                    f"of level {level}"
                )

    @property
    def beyond_paper(self) -> tuple[str, ...]:
        """Fields that have another value than in the paper's networks."""
        ours = (
            "unshuffle",
            "embed_bias",
            "expert_ffn",
            "scene",
            "rank_divisors",
            "expert_windows",
        )
        paper = {field.name: field.default for field in fields(self)}
        return tuple(name for name in ours if getattr(self, name) != paper[name])

    def level_width(self, level: int) -> int:
        """Channels at a level: 0 is the finest, 3 the latent."""
        return self.width * 2**level

    @property
    def downscale(self) -> int:
        """The network's working height and width are multiples of this."""
        return DOWNSCALE * self.unshuffle

    def expert_rank(self, level: int, expert_id: int) -> int:
        """Inner width of an expert: the highest expert has the level's full width."""
        halvings = self.num_experts - 1 - expert_id
        divisor = self.rank_divisors[expert_id] if self.rank_divisors else 2**halvings
        return self.level_width(level) // divisor

    def expert_window(self, expert_id: int) -> int:
        """Side of an expert's FFT window in feature pixels."""
        return self.expert_windows[expert_id] if self.expert_windows else 4 * 2**expert_id

    @property
    def decoder_block_levels(self) -> tuple[int, ...]:
        """The level of every MoCE block in the order in which they run."""
        levels = reversed(range(3))
        return tuple(
            level
            for level, count in zip(levels, self.decoder_blocks, strict=True)
            for _ in range(count)
        )

    @property
    def scene_widths(self) -> tuple[int, ...]:
        """Channels at each place where the scene is told: four levels down, three up."""
        return tuple(self.level_width(level) for level in (0, 1, 2, 3, 2, 1, 0))

    def to_dict(self) -> dict[str, int | list[int]]:
        """The configuration as plain JSON values."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> MoCEIRConfig:
        """Inverse of `to_dict`.

        Raises:
            ConfigError: a key is unknown or missing, or a value does not fit.
        """
        known = {field.name for field in fields(cls)}
        required = {
            "width",
            "encoder_blocks",
            "latent_blocks",
            "decoder_blocks",
            "refinement_blocks",
        }
        if unknown := sorted(set(values) - known):
            raise ConfigError(f"unknown architecture key {unknown[0]!r}")
        if missing := sorted(required - set(values)):
            raise ConfigError(f"the architecture lacks {missing[0]!r}")
        plain = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        try:
            return cls(**plain)  # pyright: ignore[reportArgumentType] -- checked by __post_init__
        except TypeError as error:
            raise ConfigError(f"the architecture does not read as numbers: {error}") from error


PRESETS: dict[str, MoCEIRConfig] = {
    "moce_ir_xs": MoCEIRConfig(
        width=16,
        encoder_blocks=(2, 2, 3),
        latent_blocks=4,
        decoder_blocks=(2, 2, 1),
        refinement_blocks=2,
    ),
    "moce_ir_s": MoCEIRConfig(
        width=32,
        encoder_blocks=(4, 6, 6),
        latent_blocks=8,
        decoder_blocks=(4, 4, 2),
        refinement_blocks=4,
    ),
    "moce_ir": MoCEIRConfig(
        width=48,
        encoder_blocks=(4, 6, 6),
        latent_blocks=8,
        decoder_blocks=(4, 4, 2),
        refinement_blocks=4,
    ),
}
"""Architectures by name: two of the paper's, and `moce_ir_xs`, ours for CPUs."""
