"""The map of experts, asked for and shown in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moce_cli.cli.console import console

if TYPE_CHECKING:
    from rich.text import Text

    from moce_cli.compare import ExpertMap
    from moce_cli.pictures import Picture
    from moce_cli.restoration import Report

WIDEST = 100
"""Characters that a map takes at most."""
_TALLEST = 40


def find_experts(
    name: str,
    picture: Picture,
    *,
    model: str,
    routing: str,
    device: str,
    precision: str,
    threads: int | None,
    tile: str,
    overlap: int | None,
    batch: int | None,
    hidden: bool,
) -> tuple[Report, ExpertMap | None]:
    """Restore a picture to find out who works where.

    Args:
        name: of the picture, for the progress bar.
        picture: as read.
        model: and what follows, as given on the command line.
        routing: likewise.
        device: likewise.
        precision: likewise.
        threads: likewise.
        tile: likewise.
        overlap: likewise.
        batch: likewise.
        hidden: show no progress.

    Returns:
        the report, and the map; None where the tiles changed on the way.

    Raises:
        MoceError: as `Restorer.restore`.
    """
    from moce_cli.checkpoints import load_model
    from moce_cli.cli.progress import BatchProgress
    from moce_cli.compare import expert_map
    from moce_cli.restoration import Restorer
    from moce_cli.restoration.plan import parse_tile
    from moce_cli.runtime import choose_device, use_threads

    choose_device(device)  # before the weights are read: it is the cheaper mistake
    use_threads(threads)
    checkpoint = load_model(model)
    restorer = Restorer(
        checkpoint,
        name=model,
        device=device,
        precision=precision,
        tile=parse_tile(tile),
        overlap=overlap,
        batch=batch,
        routing=routing,
        threads=threads,
    )
    pixels = picture.height * picture.width
    with BatchProgress(console, 1, pixels, hidden=hidden) as progress:
        progress.start_file(name, pixels)
        report = restorer.restore(picture, progress=progress.tile).report
    return report, expert_map(report, checkpoint.config)


def must_have(experts: ExpertMap | None) -> ExpertMap:
    """The map, where one was asked for.

    Raises:
        DeviceError: there is none.
    """
    from moce_cli.errors import DeviceError

    if experts is None:
        raise DeviceError(
            "memory ran out and the tiles changed on the way: there is no map",
            "use a smaller --tile",
        )
    return experts


def show_map(experts: ExpertMap, picture: Picture) -> None:
    """Print who works where, with the legend; numbers alone where there is no colour.

    Args:
        experts: of the picture.
        picture: shines through the colours.
    """
    from moce_cli.pages import COLOURS

    console.result(f"the expert that most blocks took ({experts.decided}):")
    width = min(WIDEST, console.out.width)
    if console.out.color_system is None or console.out.no_color:
        lines = number_lines(experts, width)
    else:
        lines = colour_lines(experts, picture, width)
    for line in lines:
        console.out.print(line, soft_wrap=True)
    for expert, told in enumerate(experts.legend()):
        colour = COLOURS[expert % len(COLOURS)]
        console.out.print(f"[#111111 on {colour}] {expert} [/] {told}", soft_wrap=True)


def number_lines(experts: ExpertMap, width: int) -> list[str]:
    """A number for each cell; for some of them, where more would not fit.

    Args:
        experts: of the picture.
        width: characters that a line may have.
    """
    chosen = experts.experts()
    rows, columns = min(experts.rows, _TALLEST), min(experts.columns, (width + 1) // 2)
    down, across = experts.places(rows, columns)
    if (rows, columns) == (experts.rows, experts.columns):  # cells may be of unequal sizes
        down, across = list(range(rows)), list(range(columns))
    return [" ".join(str(chosen[y * experts.columns + x]) for x in across) for y in down]


def colour_lines(experts: ExpertMap, picture: Picture, width: int) -> list[Text]:
    """The picture in its experts' colours, each cell's number in its middle.

    Args:
        experts: of the picture.
        picture: shines through the colours.
        width: characters that a line may have.
    """
    from rich.style import Style
    from rich.text import Text

    from moce_cli.compare.drawing import coarse

    # a character is about twice as high as it is wide
    columns = min(width, max(1, round(_TALLEST * 2 * picture.width / picture.height)))
    rows = max(1, round(columns * picture.height / picture.width / 2))
    colours: list[list[list[int]]] = coarse(experts, picture, rows, columns).tolist()
    chosen = experts.experts()
    down, across = experts.places(rows, columns)
    middles = [
        {places[len(places) // 2] for places in _together(cells)} for cells in (down, across)
    ]
    lines: list[Text] = []
    for y in range(rows):
        line = Text()
        for x in range(columns):
            expert = chosen[down[y] * experts.columns + across[x]]
            r, g, b = colours[y][x]
            ink = "#000000" if r + 2 * g + b > 440 else "#ffffff"
            told = str(expert) if y in middles[0] and x in middles[1] else " "
            line.append(told, Style(color=ink, bgcolor=f"#{r:02x}{g:02x}{b:02x}", bold=True))
        lines.append(line)
    return lines


def _together(cells: list[int]) -> list[list[int]]:
    """Places by the cell that they lie in."""
    found: dict[int, list[int]] = {}
    for place, cell in enumerate(cells):
        found.setdefault(cell, []).append(place)
    return list(found.values())
