"""What was measured of a case, and what follows from it."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass

from moce_cli.bench.contender import Case, Facts
from moce_cli.bench.floor import Floor
from moce_cli.bench.profiling import Operation


@dataclass(frozen=True, slots=True)
class Measured:
    """A contender's runs."""

    seconds: tuple[float, ...]
    facts: Facts

    @property
    def median(self) -> float:
        """Seconds."""
        return statistics.median(self.seconds)

    def to_dict(self) -> dict[str, object]:
        """As plain JSON values."""
        return {"seconds": self.seconds, "median": self.median, **asdict(self.facts)}


@dataclass(frozen=True, slots=True)
class Row:
    """A case, and the plain network beside it where it was asked for."""

    case: Case
    ours: Measured
    plain: Measured | None
    why_no_plain: str | None
    """Where it was asked for and does not fit."""
    floor: Floor | None
    plain_case: Case | None = None
    """What the plain network did in place of a case that it does not fit: a smaller one."""
    psnr_from_float32: float | None = None
    """Of our 8-bit output against the plain network's, dB; None where there is none of the size."""
    profile: tuple[Operation, ...] = ()
    """The operations that took most on our way, if it was asked for."""

    @property
    def plain_seconds(self) -> tuple[float, ...]:
        """Of the plain network's runs, scaled by megapixels where it did a smaller case."""
        if self.plain is None:
            return ()
        done = self.plain_case or self.case
        return tuple(s * self.case.megapixels / done.megapixels for s in self.plain.seconds)

    @property
    def scaled_from(self) -> tuple[int, int] | None:
        """Height and width of the smaller case."""
        return (self.plain_case.height, self.plain_case.width) if self.plain_case else None

    @property
    def speedup(self) -> float | None:
        """How often ours runs while the plain network runs once: the median over pairs."""
        if self.plain is None:
            return None
        pairs = zip(self.plain_seconds, self.ours.seconds, strict=True)
        return statistics.median(plain / ours for plain, ours in pairs)

    @property
    def memory_share(self) -> float | None:
        """Our process's peak memory over the plain one's, on the device that computes."""
        if self.plain is None or self.plain_case is not None:
            return None
        ours, plain = self.ours.facts, self.plain.facts
        if plain.device_peak_bytes:
            return ours.device_peak_bytes / plain.device_peak_bytes
        return ours.peak_bytes / plain.peak_bytes

    @property
    def psnr_gained(self) -> float | None:
        """Our PSNR against the clean picture less the plain network's, for trained weights."""
        if self.plain is None or self.plain_case is not None or not self.case.trained:
            return None
        return self.ours.facts.psnr - self.plain.facts.psnr

    @property
    def floor_share_picture(self) -> float | None:
        """Of the machine's speed at large products, what the picture's own arithmetic reaches."""
        return self._floor_share(self.ours.facts.picture_macs)

    @property
    def floor_share_all_work(self) -> float | None:
        """The same with what tiles do twice, and what is done to choose the experts."""
        return self._floor_share(self.ours.facts.macs)

    def _floor_share(self, macs: int) -> float | None:
        return None if self.floor is None else 2 * macs / self.ours.median / self.floor.flops

    def to_dict(self) -> dict[str, object]:
        """As plain JSON values; `plain` holds the runs as they were, `plain_scaled` as counted."""
        case = {k: None if v is None else str(v) for k, v in asdict(self.case).items()}
        scaled = None
        if self.scaled_from:
            seconds, (height, width) = self.plain_seconds, self.scaled_from
            scaled = {"from_height": height, "from_width": width}
            scaled |= {"seconds": seconds, "median": statistics.median(seconds)}
        return {
            "kind": "row",
            "model": self.case.model,
            "height": self.case.height,
            "width": self.case.width,
            "case": case,
            "ours": self.ours.to_dict(),
            "seconds_per_megapixel": self.ours.median / self.case.megapixels,
            "floor_share_picture": self.floor_share_picture,
            "floor_share_all_work": self.floor_share_all_work,
            "plain": None if self.plain is None else self.plain.to_dict(),
            "plain_scaled": scaled,
            "why_no_plain": self.why_no_plain,
            "speedup": self.speedup,
            "memory_share": self.memory_share,
            "psnr_from_float32": self.psnr_from_float32,
            "psnr_gained": self.psnr_gained,
            "profile": [operation.to_dict() for operation in self.profile] or None,
        }
