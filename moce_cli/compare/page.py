"""The page that compares pictures: one HTML file that opens anywhere."""

from __future__ import annotations

import io
from collections.abc import Sequence
from importlib import resources

import numpy as np
from PIL import Image

from moce_cli.compare.comparison import Compared, as_srgb, by_property, same_encoding
from moce_cli.compare.experts import ExpertMap
from moce_cli.compare.properties import Fate
from moce_cli.pages import COLOURS, data_uri, document, text
from moce_cli.pictures import Picture, Source, to_depth, write

_WEBP_SIDE = 16383
_EFFORT = 40
"""Of lossless WebP, 0 to 100: more takes twice the time for a few per cent."""
_GAINS = (1, 2, 4, 8, 16, 32)


def look_page(
    compared: Sequence[Compared], experts: ExpertMap | None = None, *, quality: int | None = None
) -> str:
    """The whole page.

    Args:
        compared: from `compare`.
        experts: who worked where on the first picture.
        quality: 1 to 100 stores the pictures with loss; None without.
    """
    names = " and ".join(
        (c.label for c in compared)
        if len(compared) == 2
        else (compared[0].label, f"{len(compared) - 1} others")
    )
    script, style = (
        resources.files("moce_cli.compare").joinpath(f"look.{kind}").read_text(encoding="utf-8")
        for kind in ("js", "css")
    )
    body = (
        f'<header><div class="bar"><h1>{text(names)}</h1>{_picks(compared)}</div>'
        f"{_bar(experts)}</header><main>"
        f"{_stage(compared, experts, quality)}"
        f'<div class="told"><p id="readout"></p>{_legend(experts)}{_notes(compared, quality)}'
        f"{_table(compared)}</div></main>"
    )
    return document(names, body, style=style, script=script)


def _bar(experts: ExpertMap | None) -> str:
    modes = (
        ("slide", "Slide", "S", "a border to move between the two"),
        ("flicker", "Flicker", "F", "one after the other; again, or the space bar, by hand"),
        ("difference", "Difference", "D", "what is black is equal"),
        ("first", "Left", "A", "the left picture alone"),
        ("second", "Right", "B", "the right picture alone"),
    )
    buttons = "".join(
        f'<button data-mode="{mode}" aria-pressed="false" title="{title} ({key})">{name}</button>'
        for mode, name, key, title in modes
    )
    zooms = (("0.5", "−", "smaller (-)"), ("fit", "Fit", "fit: all of it (0)"))  # noqa: RUF001 -- a minus sign is meant
    zooms += (("1", "1:1", "1:1, a pixel for a pixel (1)"), ("2", "+", "larger (+)"))
    zoom = "".join(
        f'<button data-zoom="{value}" title="{title}" aria-label="{title}">{name}</button>'
        for value, name, title in zooms
    )
    gains = "".join(
        f'<option value="{g}"{" selected" if g == 4 else ""}>x {g}</option>' for g in _GAINS
    )
    return (
        f'<div class="bar"><div class="joined" role="group" aria-label="How to look">{buttons}'
        f'</div><div class="joined" role="group" aria-label="Zoom">{zoom}</div>'
        f'<output id="zoom" aria-label="Zoom"></output>{_block_choice(experts)}'
        f'<div id="gain" hidden><label>Amplified <select id="by">{gains}</select>'
        "</label></div></div>"
    )


def _picks(compared: Sequence[Compared]) -> str:
    """Which two of several are on the stage."""
    if len(compared) == 2:
        return ""
    picks = "".join(
        f'<label>{side} <select id="pick-{key}">{_options(compared, chosen)}</select></label>'
        for side, key, chosen in (("Left", "a", 0), ("Right", "b", 1))
    )
    return f"<div>{picks}</div>"


def _options(compared: Sequence[Compared], chosen: int) -> str:
    return "".join(
        f'<option value="{i}"{" selected" if i == chosen else ""}>{text(c.label)}</option>'
        for i, c in enumerate(compared)
    )


def _block_choice(experts: ExpertMap | None) -> str:
    if experts is None:
        return ""
    blocks = "".join(
        f'<option value="{block}">{experts.block_name(block)}</option>'
        for block in range(len(experts.levels))
    )
    return (
        '<div><label><input type="checkbox" id="show-experts" title="who worked where (E)">'
        " Experts</label>"
        '<select id="block" aria-label="Block of the network" hidden>'
        f'<option value="-1">what most blocks took</option>{blocks}</select></div>'
    )


def _stage(compared: Sequence[Compared], experts: ExpertMap | None, quality: int | None) -> str:
    first = compared[0].picture
    images = "".join(
        f'<img alt="{text(c.label)}" src="{data_uri(*embedded(c.picture, quality))}">'
        for c in compared
    )
    return (
        f'<div id="stage"><div id="view"><div id="plane" data-width="{first.width}" '
        f'data-height="{first.height}" style="--width:{first.width}px;--height:{first.height}px">'
        f"{images}</div></div>{_overlay(experts)}"
        '<div id="badges" aria-hidden="true"><b></b><b></b></div>'
        '<div id="handle" role="slider" tabindex="0" aria-label="Border between the pictures" '
        'aria-valuemin="0" aria-valuemax="100" aria-valuenow="50"></div></div>'
    )


def _overlay(experts: ExpertMap | None) -> str:
    if experts is None:
        return ""
    height, width = experts.tops[-1], experts.lefts[-1]
    kinds = [experts.experts(), *map(experts.experts, range(len(experts.levels)))]
    cells = ""
    size = min(0.35 * height / experts.rows, 0.35 * width / experts.columns)
    for index, (top, left, bottom, right) in enumerate(experts.boxes()):
        chosen = " ".join(str(kind[index]) for kind in kinds)
        cells += (
            f'<g data-experts="{chosen}"><rect x="{left}" y="{top}" width="{right - left}" '
            f'height="{bottom - top}"/><text x="{(left + right) / 2:g}" '
            f'y="{(top + bottom) / 2:g}"></text></g>'
        )
    colours = " ".join(COLOURS)
    return (
        f'<svg id="experts" hidden width="{width}" height="{height}" font-size="{size:.2f}" '
        f'data-colours="{colours}" role="img" aria-label="which expert worked where">{cells}</svg>'
    )


def _legend(experts: ExpertMap | None) -> str:
    if experts is None:
        return ""
    rows = "".join(
        f'<li><i style="background:{COLOURS[e % len(COLOURS)]}">{e}</i>{text(told)}</li>'
        for e, told in enumerate(experts.legend())
    )
    report = experts.report
    return (
        f'<ul id="legend" hidden>{rows}<li>{text(report.model)}: {text(experts.decided)}; '
        f"{text(experts.saved)}</li></ul>"
    )


def _notes(compared: Sequence[Compared], quality: int | None) -> str:
    first = compared[0].picture
    notes = [
        "<span class='keys'>Drag the border or use <kbd>←</kbd> <kbd>→</kbd>; zoom with the wheel, "
        "a double click or <kbd>+</kbd> <kbd>-</kbd>, then drag the picture or use "
        "<kbd>shift</kbd> with an arrow; <kbd>space</kbd> changes between the two.</span>"
    ]
    for c in compared[1:]:
        if c.difference is None:
            notes.append(
                f"{text(c.label)} is of another size ({c.picture.width} x {c.picture.height}) and "
                f"shown as large as {text(compared[0].label)}."
            )
        elif c.difference.is_none:
            notes.append(f"{text(c.label)} equals {text(compared[0].label)} in every pixel.")
        else:
            notes.append(
                f"{text(c.label)} differs by {c.difference.mean:.2f} of 255 on average, by "
                f"{c.difference.largest:.0f} at most; {c.difference.pixels:.1%} of the pixels do."
            )
    if max(c.picture.depth for c in compared) > 8:
        notes.append("Pictures of 16 bits are shown in 8.")
    if quality is not None:
        notes.append(
            f"They are stored here with loss, at quality {quality}: judge details by the files."
        )
    if not all(same_encoding(c.picture, first) for c in compared[1:]):
        notes.append("Their profiles differ: figures are of what an sRGB screen shows.")
    for c in compared:
        if c.picture.further:
            count = len(c.picture.further) + 1
            notes.append(f"{text(c.label)} has {count} pages or frames; the first is shown.")
    return "".join(f"<p>{note}</p>" for note in notes)


def _table(compared: Sequence[Compared]) -> str:
    """Every property of the first picture, and what became of it in each other."""
    head = "".join(f'<th scope="col">{text(c.label)}</th>' for c in compared)
    body = ""
    for group, named in by_property(compared):
        rows = ""
        all_same = True
        for name, (first, *others) in named:
            same = all(f is None or f.status == "kept" for f in others)
            all_same = all_same and same
            told = "" if first is None or first.before is None else text(first.before)
            rows += (
                f"<tr{' class=same' if same else ''}><th scope='row'>{text(name)}</th>"
                f"<td>{told}</td>"
                f"{''.join(map(_cell, others))}</tr>"
            )
        same = " same" if all_same else ""
        head_of = f'<th scope="rowgroup" colspan="{len(compared) + 1}">{group}</th>'
        body += f'<tbody><tr class="group{same}">{head_of}</tr>{rows}</tbody>'
    return (
        f"<h2 id='said'>What the files say</h2><p>{_verdict(compared)}</p><p><label>"
        "<input type='checkbox' id='only'> show only what is not as it was</label></p>"
        "<div class='scroll' role='region' tabindex='0' aria-labelledby='said'>"
        "<table class='facts' id='facts'><thead><tr><th scope='col'>property</th>"
        f"{head}</tr></thead>{body}</table></div>"
    )


def _verdict(compared: Sequence[Compared]) -> str:
    told: list[str] = []
    for c in compared[1:]:
        counts = [
            f"{len(c.named(status))} {status}"
            for status in ("kept", "changed", "lost", "added")
            if c.named(status)
        ]
        told.append(f"{text(c.label)}: {', '.join(counts)}")
    return "; ".join(told)


def _cell(fate: Fate | None) -> str:
    if fate is None:
        return "<td></td>"
    value = "" if fate.after is None or fate.status == "kept" else text(fate.after)
    return f'<td class="{fate.status}"><span class="mark">{fate.status}</span>{value}</td>'


def embedded(picture: Picture, quality: int | None) -> tuple[bytes, str]:
    """The picture as a file that every browser shows, without any metadata but its profile.

    Args:
        picture: of any depth; 16 bits become 8.
        quality: 1 to 100 allows loss.

    Returns:
        the bytes, and their media type.
    """
    icc = picture.source.icc
    # a browser does more with a profile than sRGB can hold
    by_browser = icc is not None and picture.channels == 3 and picture.pixels.dtype.kind != "f"
    pixels = to_depth(picture.pixels, 8) if by_browser else as_srgb(picture, None)
    alpha = None if picture.alpha is None else to_depth(picture.alpha, 8)
    small = Picture(pixels, alpha, Source(icc=icc if by_browser else None))
    buffer = io.BytesIO()
    if quality is not None and alpha is None:
        write(small, buffer, format="JPEG", quality=quality)
        return buffer.getvalue(), "image/jpeg"
    if max(picture.height, picture.width) > _WEBP_SIDE:
        write(small, buffer, format="PNG")
        return buffer.getvalue(), "image/png"
    samples = pixels if alpha is None else np.concatenate([pixels, alpha[:, :, None]], axis=2)
    Image.fromarray(samples).save(
        buffer,
        "WEBP",
        lossless=quality is None,
        quality=quality or _EFFORT,
        exact=True,
        icc_profile=small.source.icc,
    )
    return buffer.getvalue(), "image/webp"
