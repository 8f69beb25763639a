"""Results as one HTML file that opens anywhere: tables and pictures, nothing from outside."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy.typing as npt
from PIL import Image

from moce_cli.evaluation.datasets import RowError
from moce_cli.evaluation.maps import (
    ERROR_SCALE,
    draw_experts,
    error_map,
    tile_experts,
    to_8_bit,
)
from moce_cli.evaluation.score import SHOWN_SIDE, RowResult, Shown
from moce_cli.evaluation.tables import Table, in_decibels, score_table, similarity
from moce_cli.folders import middle
from moce_cli.pages import COLOURS, data_uri, document, text

Array = npt.NDArray[Any]

_QUALITY = 95

_STYLE = """
h2 { font-size: 1.15rem; margin: 2.75rem 0 .5rem; padding-top: 1rem;
  border-top: 1px solid var(--line); }
h2 small { font-weight: 400; color: var(--soft); margin-left: .5rem; }
td a { color: inherit; text-decoration-color: var(--line); text-underline-offset: 3px; }
.sample { margin: 1.1rem 0 1.6rem; }
.sample > b { font-weight: 500; font-size: 13px; color: var(--soft); overflow-wrap: anywhere; }
.pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(13.5rem, 1fr));
  gap: .75rem; margin-top: .4rem; }
figure { margin: 0; max-width: 24rem; }
figure img { display: block; width: 100%; border-radius: 5px; cursor: zoom-in; }
figcaption { font-size: 12.5px; color: var(--soft); margin-top: .3rem; }
.experts { display: flex; flex-wrap: wrap; gap: 3px; }
.experts span { width: 1.7rem; height: 1.7rem; border-radius: 4px; color: #111; font-size: 13px;
  display: grid; place-items: center; }
dialog { border: 0; padding: 0; background: transparent; max-width: 96vw; }
dialog::backdrop { background: rgb(0 0 0 / .82); }
dialog img { display: block; height: min(84vh, 84vw); image-rendering: pixelated; }
dialog p { color: #ddd; text-align: center; max-width: none; }
"""

_SCRIPT = """
const box = document.querySelector('dialog'), shown = box.querySelector('img');
let figures = [], at = 0;
function show(i) {
  at = (i + figures.length) % figures.length;
  shown.src = figures[at].querySelector('img').src;
  box.querySelector('p').textContent = figures[at].querySelector('figcaption').textContent;
}
document.addEventListener('click', e => {
  if (box.open) { box.close(); return; }
  const figure = e.target.tagName === 'IMG' && e.target.closest('figure');
  if (!figure) return;
  figures = [...figure.parentElement.querySelectorAll('figure')].filter(f =>
    f.querySelector('img'));
  show(figures.indexOf(figure));
  box.showModal();
});
document.addEventListener('keydown', e => {
  if (box.open && e.key === 'ArrowRight') show(at + 1);
  if (box.open && e.key === 'ArrowLeft') show(at - 1);
});
"""


def page(results: Sequence[RowResult], title: str, lost: Sequence[RowError] = ()) -> str:
    """The whole page.

    Args:
        results: rows with what they show.
        title: of the page.
        lost: rows that could not be scored.
    """
    table = score_table(results, lost)
    sections = "".join(_section(i, result) for i, result in enumerate(results) if result.shown)
    count = sum(len(result.ways[0].pictures) for result in results)
    body = (
        f"<h1>{text(title)}</h1><p>{count} sample{'s' * (count != 1)} in {len(results)} "
        f"row{'s' * (len(results) != 1)}. "
        "Click a picture to enlarge it; the arrow keys go from one to the next.</p>"
        f"{_table(table, results)}{sections}<dialog><img alt=''><p></p></dialog>"
    )
    return document(title, body, style=_STYLE, script=_SCRIPT)


def _table(table: Table, results: Sequence[RowResult]) -> str:
    def cell(tag: str, column: int, content: str) -> str:
        kind = ' class="text"' if column in table.text_columns else ""
        return f"<{tag}{kind}>{content}</{tag}>"

    damage = table.headers.index("damage")
    head = "".join(cell("th", i, text(h)) for i, h in enumerate(table.headers))
    body = ""
    for number, row in enumerate(table.rows):
        cells = [text(content) for content in row]
        if number < len(results) and results[number].shown:
            cells[damage] = f'<a href="#row{number}">{cells[damage]}</a>'
        body += "<tr>" + "".join(cell("td", i, c) for i, c in enumerate(cells)) + "</tr>"
    notes = "".join(f"<li>{text(note)}</li>" for note in table.notes)
    return (
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
        f"</div><ul>{notes}<li>pictures below: the middle {SHOWN_SIDE} px, stored as JPEG for this "
        f"page (figures are of the originals); error maps reach their brightest at "
        f"{ERROR_SCALE:.0%} of the range</li></ul>"
    )


def _section(number: int, result: RowResult) -> str:
    before, model = result.ways[0], result.of_kind("model")[0]
    return (
        f'<h2 id="row{number}">{text(result.row)}<small>{text(result.dataset)}: '
        f"{in_decibels(before.scores.psnr)} to {in_decibels(model.scores.psnr)} with "
        f"{text(model.way)}</small></h2>" + "".join(_sample(shown) for shown in result.shown)
    )


def _sample(shown: Shown) -> str:
    before, after = shown.scores
    figures = (
        _figure(shown.degraded, f"degraded, {in_decibels(before.psnr)}"),
        _figure(
            shown.restored,
            f"restored, {in_decibels(after.psnr)}, SSIM {similarity(after.ssim_gaussian)}",
        ),
        _figure(shown.clean, "clean"),
        _figure(error_map(shown.restored, shown.clean), "error that is left"),
        _experts(shown),
    )
    return (
        f'<div class="sample"><b>{text(shown.name)}</b>'
        f'<div class="pictures">{"".join(figures)}</div></div>'
    )


def _experts(shown: Shown) -> str:
    """The map of tiles, or the one decision for the whole picture."""
    report = shown.report
    experts = tile_experts(report)
    if experts is not None:
        drawn = draw_experts(middle(experts, SHOWN_SIDE), shown.clean)
        return _figure(drawn, "experts by tile: the one that most blocks took")
    cells = "".join(
        f'<span style="background:{COLOURS[b.expert % len(COLOURS)]}" title="block {b.block}">'
        f"{b.expert}</span>"
        for b in report.blocks
    )
    said = (
        "experts, block by block: one decision for the whole picture"
        if report.routing == "image"
        else f"experts, block by block, with routing {text(report.routing)}"
    )
    return f'<figure><div class="experts">{cells}</div><figcaption>{said}</figcaption></figure>'


def _figure(picture: Array, caption: str) -> str:
    buffer = io.BytesIO()
    Image.fromarray(to_8_bit(picture)).save(buffer, "JPEG", quality=_QUALITY, subsampling=0)
    return (
        f'<figure><img alt="{text(caption)}" src="{data_uri(buffer.getvalue(), "image/jpeg")}">'
        f"<figcaption>{text(caption)}</figcaption></figure>"
    )
