"""Page: text, tables, code and figures in one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from ..files import write_text

STYLE = """
body { font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif;
  max-width: 52rem; margin: 2.5rem auto; padding: 0 1.2rem; color: #222; background: #fff }
h1 { font-size: 1.7rem; margin-bottom: .2rem } h2 { margin-top: 2.2rem; font-size: 1.25rem }
figure { margin: 1rem 0 } figcaption { color: #666; font-size: .9rem }
svg { max-width: 100%; height: auto }
pre { background: #f5f5f7; padding: .8rem 1rem; border-radius: 6px; overflow-x: auto;
  font-size: .85rem; line-height: 1.4 }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
td, th { padding: .15rem .8rem; text-align: right; border-bottom: 1px solid #e5e5e5 }
"""


class Page:
    """A page that grows from top to bottom; every method returns the page.

    >>> page = plot.Page("Results").text("It went <well>.")
    >>> "It went &lt;well&gt;." in str(page)
    True
    """

    def __init__(self, title: str):
        self.title = title
        self.parts: list[str] = [f"<h1>{escape(title)}</h1>"]

    def heading(self, words: str) -> Page:
        """Begin a part."""
        return self._add(f"<h2>{escape(words)}</h2>")

    def text(self, words: str) -> Page:
        """A paragraph."""
        return self._add(f"<p>{escape(words)}</p>")

    def code(self, words: str) -> Page:
        """Text as it is, line by line."""
        return self._add(f"<pre>{escape(str(words))}</pre>")

    def figure(self, figure, caption: str = "") -> Page:
        """A figure, or whatever prints as SVG."""
        below = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
        return self._add(f"<figure>{figure}{below}</figure>")

    def table(self, rows, columns: Sequence[str] | None = None) -> Page:
        """Rows that are mappings or sequences; numbers in four digits."""
        return self._add(table(rows, columns))

    def _add(self, part):
        self.parts.append(part)
        return self

    def __str__(self):
        body = "\n".join(self.parts)
        return (
            '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>{escape(self.title)}</title>\n<style>{STYLE}</style></head>\n"
            f"<body>\n{body}\n</body></html>\n"
        )

    def _repr_html_(self):
        return "\n".join(self.parts)

    def save(self, path) -> Path:
        """Write the HTML file."""
        return write_text(path, str(self))


def table(rows, columns: Sequence[str] | None = None) -> str:
    """An HTML table.

    >>> from adjoint.plot.page import table
    >>> table([{"a": 1, "b": 0.25}])
    '<table><tr><th>a</th><th>b</th></tr>\\n<tr><td>1</td><td>0.25</td></tr></table>'
    """
    rows = list(rows)
    if columns is None and rows and isinstance(rows[0], Mapping):
        columns = list(dict.fromkeys(k for row in rows for k in row))
    lines = [_row("th", columns)] if columns is not None else []
    for row in rows:
        cells = (
            [row.get(c, "") for c in columns or ()] if isinstance(row, Mapping) else row
        )
        lines.append(_row("td", cells))
    return "<table>" + "\n".join(lines) + "</table>"


def _row(kind, cells):
    shown = (f"{c:.4g}" if isinstance(c, float) else str(c) for c in cells)
    return "<tr>" + "".join(f"<{kind}>{escape(c)}</{kind}>" for c in shown) + "</tr>"
