"""What pages share: a frame that opens anywhere and asks nothing of any network, and colours."""

from __future__ import annotations

import base64
import html

COLOURS = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7", "#999999")
"""One for each expert, told apart by colour-blind people too (Okabe and Ito)."""
STYLE = """
:root { color-scheme: light dark; --back: #fbfbfa; --ink: #1d1d1b; --soft: #6b6b66;
  --line: #dededa; --card: #ffffff; --mark: #0b6bb0; }
@media (prefers-color-scheme: dark) { :root { --back: #16171a; --ink: #e9e9e6; --soft: #9b9b96;
  --line: #33353a; --card: #1e2024; --mark: #7cc0f2; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2.5rem 1.5rem 5rem; max-width: 100rem; background: var(--back);
  color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans",
  sans-serif; }
h1 { font-size: 1.7rem; margin: 0 0 .25rem; letter-spacing: -.01em; }
p, ul { color: var(--soft); max-width: 60rem; margin: .4rem 0; }
ul { padding-left: 1.2rem; }
.scroll { overflow-x: auto; margin: 1.25rem 0; border: 1px solid var(--line); border-radius: 8px;
  background: var(--card); }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums;
  font-size: 13.5px; }
th, td { padding: .4rem .75rem; text-align: right; white-space: nowrap; }
th { font-weight: 600; color: var(--soft); border-bottom: 1px solid var(--line); }
td { border-bottom: 1px solid color-mix(in srgb, var(--line) 55%, transparent); }
tr:last-child td { border-bottom: 0; }
tbody tr:hover { background: color-mix(in srgb, var(--mark) 8%, transparent); }
.text { text-align: left; }
"""

# what a browser may do with the page: show what is in it, and fetch nothing
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


def document(title: str, body: str, *, style: str = "", script: str = "") -> str:
    """A whole page.

    Args:
        title: as plain text.
        body: HTML.
        style: CSS, after the rules that all pages share.
        script: JavaScript, run when the body is there.
    """
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{text(title)}</title><style>{STYLE}{style}</style></head><body>"
        f"{body}<script>{script}</script></body></html>\n"
    )


def text(plain: str) -> str:
    """Plain text as HTML; what is no character of any language is spelt out."""
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in plain)
    return html.escape(shown)


def data_uri(data: bytes, kind: str) -> str:
    """Bytes as an address that holds them.

    Args:
        data: of a file.
        kind: its media type, such as `image/png`.
    """
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
