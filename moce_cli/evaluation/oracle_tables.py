"""What `--oracle` found, as tables and JSON objects."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from moce_cli.evaluation.oracle import BEST_FORCED, ROUTER, OracleReport, Rival, RowOracle
from moce_cli.evaluation.statistics import z_score
from moce_cli.evaluation.tables import Table, decibels, number, shares, to_csv

CLEAR = 2.0
"""Standard errors: a difference that is larger is taken for one."""
DAMAGED = "damaged rows alone"
"""A column: an undamaged row, where a router can win much, says nothing of restoring."""


def oracle_tables(report: OracleReport) -> list[Table]:
    """The rivals, the rows, and what the routing tells."""
    return [_rivals(report), _rows(report), _information(report)]


def _macs(per_pixel: float) -> str:
    return f"{per_pixel / 1e3:.2f}"


def _rivals(report: OracleReport) -> Table:
    apart = any(rival.damaged for rival in report.rivals)
    headers = ("way", "dB", "GMAC a megapixel", "router less this dB", "standard error", "z")
    lines: list[tuple[str, ...]] = [
        (ROUTER, f"{report.router_psnr:.3f}", _macs(report.router_macs), *("",) * (3 + apart))
    ]
    for rival in report.rivals:
        error = "" if rival.error is None else f"{rival.error:.4f}"
        z = "" if rival.z is None else f"{rival.z:+.1f}"
        cost = _macs(rival.macs)
        line = (rival.name, f"{rival.psnr:.3f}", cost, f"{rival.gain:+.4f}", error, z)
        lines.append((*line, *((_with_error(*rival.damaged),) if rival.damaged else ())))
    return Table(
        f"Ways to choose experts, {report.model}",
        (*headers, DAMAGED) if apart else headers,
        tuple(lines),
        notes=(
            f"middles of {report.side} px of {report.pictures} "
            f"picture{'s' * (report.pictures != 1)} in {len(report.rows)} "
            f"row{'s' * (len(report.rows) != 1)} of damage, seed {report.seed}, "
            f"{report.precision} on {report.device}; differences are of pictures, "
            "each the mean over its rows; rivals run with the gates that the router gave its own "
            "choice",
            *((_without_the_perfect(report),) if apart else ()),
            _verdict(report),
        ),
    )


def _with_error(gain: float, error: float | None) -> str:
    return f"{gain:+.4f}" + ("" if error is None else f" ± {error:.4f}")


def _without_the_perfect(report: OracleReport) -> str:
    damaged = sum(row.damaged for row in report.rows)
    return (
        f"{DAMAGED}: router less this, and its standard error, over the {damaged} of "
        f"{len(report.rows)} rows whose inputs are not all perfect"
    )


def _verdict(report: OracleReport) -> str:
    fair = [rival for rival in report.rivals if rival.name != BEST_FORCED]
    beaten = sum(_clear(rival.z) for rival in fair)
    apart = [_clear(z_score(*rival.damaged)) for rival in fair if rival.damaged]
    largest = report.largest_expert
    share = report.router_macs / largest.macs
    return (
        f"the router's choice beats {beaten} of {len(fair)} ways without hindsight by more than "
        f"{CLEAR:g} standard errors{f' ({sum(apart)} over the {DAMAGED})' if apart else ''}, "
        f"at {share:.1%} of the cost of always {largest.name}"
    )


def _clear(z: float | None) -> bool:
    return z is not None and z > CLEAR


def _rows(report: OracleReport) -> Table:
    names = list(report.rows[0].psnr)
    several = len({row.dataset for row in report.rows}) > 1
    lines: list[tuple[str, ...]] = []
    for row in report.rows:
        label = f"{row.dataset}, {row.row}" if several else row.row
        lines.append(
            (
                label,
                decibels(row.input_psnr),
                *(f"{row.psnr[name]:.2f}" for name in names),
                _macs(row.macs[ROUTER]),
                shares(dict(enumerate(row.experts))),
            )
        )
    headers = ("damage", "input dB", *names, "GMAC a megapixel", "experts of the router")
    correlation = report.cost_correlation
    told = "not to be had" if correlation is None else f"{correlation:+.2f}"
    low, high = report.macs_range
    return Table(
        f"PSNR by damage, {report.model}",
        headers,
        tuple(lines),
        frozenset({0, len(headers) - 1}),
        (
            f"rank correlation between the input's dB and the router's cost over the rows: {told}; "
            "negative where easy damage goes to cheap experts",
            f"always the cheapest expert costs {_macs(low)} GMAC a megapixel, always the most "
            f"expensive {_macs(high)}",
        ),
    )


def _information(report: OracleReport) -> Table:
    told = report.information
    best = told.best_block
    named = {f"block {i}": block for i, block in enumerate(told.blocks)}
    lines = [
        (
            name + (" (tells most)" if name == f"block {best}" else ""),
            f"{i.bits:.3f}",
            f"{i.shuffled:.3f}",
            f"{i.shuffled_95:.3f}",
            f"{i.beyond_chance:+.3f}",
            f"{i.entropy:.3f}",
        )
        for name, i in {**named, "all blocks together": told.joint}.items()
    ]
    return Table(
        f"What the routing tells about the damage, {report.model}",
        (
            "choice of",
            "bits",
            "shuffled labels",
            "95 % of them below",
            "beyond chance",
            "entropy of the choice",
        ),
        tuple(lines),
        notes=(
            f"mutual information with the row of damage, of which there are "
            f"{told.damage_entropy:.3f} bits to know; labels were "
            + (
                "shuffled within each picture"
                if told.within_pictures
                else "shuffled among all pictures, for none is in two rows"
            ),
        ),
    )


def oracle_objects(report: OracleReport) -> list[dict[str, Any]]:
    """JSON objects: one for the model, one for each rival, one for each row."""
    told = report.information
    model = {
        "kind": "oracle",
        "model": report.model,
        "side": report.side,
        "seed": report.seed,
        "tile": 0,
        "overlap": 0,
        "precision": report.precision,
        "routing": "image",
        "device": report.device,
        "pictures": report.pictures,
        "rows": len(report.rows),
        "rows_damaged": sum(row.damaged for row in report.rows),
        "psnr": number(report.router_psnr),
        "macs_per_pixel": number(report.router_macs),
        "macs_per_pixel_range": [number(value) for value in report.macs_range],
        "cost_correlation": number(report.cost_correlation),
        "damage_entropy": number(told.damage_entropy),
        "information": {
            "within_pictures": told.within_pictures,
            "blocks": [_told(asdict(block), block.beyond_chance) for block in told.blocks],
            "best_block": told.best_block,
            "joint": _told(asdict(told.joint), told.joint.beyond_chance),
        },
        "failed": [{"name": name, "message": error.message} for name, error in report.failed],
    }
    rivals = [
        {
            "kind": "oracle-rival",
            "model": report.model,
            "rival": rival.name,
            "psnr": number(rival.psnr),
            "macs_per_pixel": number(rival.macs),
            "router_gain": number(rival.gain),
            "error": number(rival.error),
            "z": number(rival.z),
            **_damaged(rival),
        }
        for rival in report.rivals
    ]
    return [model, *rivals, *(_row_object(report, row) for row in report.rows)]


def _damaged(rival: Rival | None) -> dict[str, float | None]:
    """The gain over the damaged rows alone; null where that is no other, or of no rival."""
    gain, error = (rival and rival.damaged) or (None, None)
    return {"router_gain_damaged": number(gain), "error_damaged": number(error)}


def _told(values: dict[str, float], beyond_chance: float) -> dict[str, float | None]:
    return {name: number(v) for name, v in {**values, "beyond_chance": beyond_chance}.items()}


def _row_object(report: OracleReport, row: RowOracle) -> dict[str, Any]:
    return {
        "kind": "oracle-row",
        "model": report.model,
        "dataset": row.dataset,
        "damage": row.row,
        "pictures": row.pictures,
        "input_psnr": number(row.input_psnr),
        "input_equal": math.isinf(row.input_psnr),
        "psnr": {name: number(value) for name, value in row.psnr.items()},
        "router_gain": {name: number(mean) for name, (mean, _) in row.gain.items()},
        "error": {name: number(error) for name, (_, error) in row.gain.items()},
        "macs_per_pixel": {name: number(value) for name, value in row.macs.items()},
        "experts": [number(share) for share in row.experts],
    }


def oracle_csv(reports: list[OracleReport]) -> str:
    """A line for each model, row of damage and way to choose.

    The gain over the damaged rows alone is the way's, the same in each of its lines.
    """
    lines: list[dict[str, Any]] = []
    for report in reports:
        rivals = {rival.name: rival for rival in report.rivals}
        for row in report.rows:
            for name, psnr in row.psnr.items():
                gain, error = row.gain.get(name, (None, None))
                lines.append(
                    {
                        "model": report.model,
                        "dataset": row.dataset,
                        "damage": row.row,
                        "pictures": row.pictures,
                        "input_psnr": number(row.input_psnr),
                        "way": name,
                        "psnr": number(psnr),
                        "router_gain": number(gain),
                        "error": number(error),
                        "macs_per_pixel": number(row.macs[name]),
                        **_damaged(rivals.get(name)),
                    }
                )
    return to_csv(lines)
