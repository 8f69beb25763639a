"""What `moce bench` tells a person: a table for each row, and one for files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.table import Table

from moce_cli.cli.console import console

if TYPE_CHECKING:
    from moce_cli.bench import FileRow, Floor, Measured, Operation, Row, Spread, Start

_LONGEST_NAME = 60
"""Of an operation: those of CUDA's kernels are C++ types."""
_PARTS = {
    "whole": "start to file",
    "importing": "importing torch",
    "network": "the network",
    "rest": "the rest",
    "ending": "file to the end",
}


def table(rows: Sequence[Mapping[str, str]]) -> Table:
    """Rows under the heads of the first; a column without a value is left out."""
    shown = Table(box=None, pad_edge=False)
    heads = [head for head in rows[0] if any(row.get(head) for row in rows)]
    for at, head in enumerate(heads):
        shown.add_column(head, justify="right" if at else "left", overflow="fold")
    for row in rows:
        shown.add_row(*(row.get(head, "") for head in heads))
    return shown


def show(rows: Sequence[Row], floors: Sequence[Floor], starts: Mapping[str, Start]) -> None:
    """What was measured of the network, and from the start to the file."""
    for floor in floors:
        console.out.print(
            f"{floor.device}, {floor.threads} threads, {floor.precision}: "
            f"{floor.flops / 1e9:.0f} GFLOP/s in a large product, "
            f"{floor.copy_bytes / 1e9:.1f} GB/s copied",
            soft_wrap=True,
        )
    for row in rows:
        _show_row(row)
    for name, seen in starts.items():
        console.out.print(f"\n{name}", soft_wrap=True)
        console.out.print(
            table([{"": told, **_time(seen.spread(part))} for part, told in _PARTS.items()])
        )


def show_files(rows: Sequence[FileRow]) -> None:
    """What was measured of the whole command."""
    for at, row in enumerate(rows):
        pictures = f", {row.count} pictures" if row.count > 1 else ""
        tiles = f"{row.tiles} tile{'s' if row.tiles > 1 else ''}{', in bands' * row.in_bands}"
        size = f"{row.width} x {row.height}{pictures}, {tiles}"
        console.out.print(f"{chr(10) * (at > 0)}{row.model}, {size}", soft_wrap=True)
        console.out.print(table(_file_cells(row)))


def _show_row(row: Row) -> None:
    case, plan = row.case, row.ours.facts.plan
    tile = f"tile {plan['tile']}, overlap {plan['overlap']}" if plan["tile"] else "whole"
    console.out.print(f"\n{case.model}, {case.width} x {case.height}, {tile}", soft_wrap=True)
    console.out.print(table(_row_cells(row)))
    told: list[str] = []
    if row.speedup is not None:
        told.append(f"{row.speedup:.2f} times as fast")
    if row.memory_share is not None:
        told.append(f"{row.memory_share:.2f} of its memory")
    if told:
        console.out.print(", ".join(told))
    if row.why_no_plain:
        what = "no baseline" if row.plain is None else "baseline scaled"
        console.out.print(f"{what}: {row.why_no_plain}", soft_wrap=True)
    if row.profile:
        console.out.print(table([_operation_cells(operation) for operation in row.profile]))


def _row_cells(row: Row) -> list[dict[str, str]]:
    name = f"moce {row.ours.facts.precision}"
    cells = [_cells(row, name, row.ours, row.ours.seconds)]
    if row.psnr_from_float32 is not None:
        cells[0]["dB from\nfp32"] = f"{row.psnr_from_float32:.1f}"
    if row.psnr_gained is not None:
        cells[0]["dB\ngained"] = f"{row.psnr_gained:+.3f}"
    if row.floor_share_picture is not None:
        cells[0]["of\nfloor"] = f"{row.floor_share_picture:.0%}"
    if row.plain:
        cells.append(_cells(row, "plain fp32", row.plain, row.plain_seconds))
    if row.scaled_from:
        height, width = row.scaled_from
        cells[1] |= {"": f"plain fp32,\nscaled from\n{width} x {height}", "MiB": "", "dB": ""}
        cells[1]["device\nMiB"] = ""
    return cells


def _cells(row: Row, name: str, measured: Measured, seconds: Sequence[float]) -> dict[str, str]:
    from moce_cli.bench import Spread

    facts, spread = measured.facts, Spread.of(seconds)
    return {
        "": name,
        **_time(spread),
        "s/MP": _number(spread.median / row.case.megapixels),
        "MiB": _mebibytes(facts.peak_bytes),
        "device\nMiB": _mebibytes(facts.device_peak_bytes) if facts.device_peak_bytes else "",
        "dB": f"{facts.psnr:.3f}" if row.case.trained else "",
        "dB from\nfp32": "",
        "dB\ngained": "",
        "of\nfloor": "",
    }


def _file_cells(row: FileRow) -> list[dict[str, str]]:
    memory, foretold, over = (
        row.spread("peak_bytes"),
        row.foretold_seconds,
        row.seconds_over_foretold,
    )
    cells = [
        {
            "": "s",
            **_measured(row.spread("seconds")),
            "foretold": "" if foretold is None else _number(foretold),
            "measured /\nforetold": "" if over is None else f"{over:.2f}",
        },
        {
            "": "MiB, the largest",
            "measured": _mebibytes(row.peak_bytes),
            "least\nto most": f"{_mebibytes(memory.least)}-{_mebibytes(memory.most)}",
            "foretold": _mebibytes(row.foretold_bytes),
            "measured /\nforetold": f"{row.bytes_over_foretold:.2f}",
        },
        {"": "s/MP", "measured": _number(row.seconds_per_megapixel)},
    ]
    if row.count > 1:
        busy = row.spread("network_busy")
        cells += [
            {"": "s to the first file", **_measured(row.spread("first"))},
            {
                "": "network busy",
                "measured": f"{busy.median:.0%}",
                "least\nto most": f"{busy.least:.0%}-{busy.most:.0%}",
            },
        ]
    return cells


def _measured(spread: Spread) -> dict[str, str]:
    time = _time(spread)
    return {"measured": time["s"], "least\nto most": time["least\nto most"]}


def _operation_cells(operation: Operation) -> dict[str, str]:
    name = operation.name
    return {
        "operation": name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 3]}...",
        "s": f"{operation.seconds:.3g}",
        "share": f"{operation.share:.1%}",
        "calls": str(operation.calls),
    }


def _time(spread: Spread) -> dict[str, str]:
    # without spaces, as a narrow terminal would break it there
    between = f"{_number(spread.least)}-{_number(spread.most)}"
    return {"s": _number(spread.median), "least\nto most": between}


def _number(value: float) -> str:
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def _mebibytes(count: float) -> str:
    return f"{count / 2**20:.0f}"
