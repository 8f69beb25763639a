"""What stands beside the weights in a hub repository: `config.json` and the card as a page."""

from __future__ import annotations

import json

from moce_cli.checkpoints.header import Header

HUB_LICENCES = ("apache-2.0", "mit", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-sa-4.0")
"""Licences that the hub knows by an identifier, among those that weights come under."""


def config_json(header: Header) -> bytes:
    """The architecture and the card."""
    values = {
        "library_name": "moce",
        "model_type": "moce_ir",
        "preset": header.preset,
        "architecture": header.architecture,
        "card": header.card.to_dict(),
    }
    return (json.dumps(values, indent=2, ensure_ascii=False) + "\n").encode()


def readme(header: Header, repo: str) -> bytes:
    """The model card as Markdown with the hub's front matter."""
    card = header.card
    licence = card.licence.lower().replace(" ", "-")
    lines = ["---", "library_name: moce", "pipeline_tag: image-to-image", "tags:"]
    lines += ["- image-restoration", "- moce-ir"]
    if licence in HUB_LICENCES:
        lines += [f"license: {licence}"]
    else:  # a JSON string is a YAML string
        lines += ["license: other", f"license_name: {json.dumps(card.licence)}"]
    lines += ["---", "", f"# {card.name}", "", card.summary, ""]
    rows = [
        ("Version", card.version),
        ("Removes", "; ".join(card.degradations)),
        ("Training data", card.training_data),
        ("Licence", card.licence),
        ("Architecture", header.preset or json.dumps(header.architecture)),
        ("Parameters", f"{header.parameters:,} ({header.dtype})"),
    ]
    rows += [
        (key, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
        for key, value in card.facts.items()
    ]
    lines += ["| | |", "|---|---|"]
    lines += [f"| {_cell(key)} | {_cell(value)} |" for key, value in rows]
    lines += ["", "```", f"moce restore picture.jpg --model {repo}", "```", ""]
    return "\n".join(lines).encode()


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
