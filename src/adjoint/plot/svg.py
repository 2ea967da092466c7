"""SVG as text: elements, and the Figure that notebooks show and files keep."""

from __future__ import annotations

from html import escape
from pathlib import Path

from ..files import write_text

FONT = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"
INK, FAINT, PAPER = "#222222", "#dddddd", "#ffffff"
# Okabe and Ito, 2008: told apart with any kind of colour vision.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")


def element(name: str, *children: str, **attributes) -> str:
    """One element; `_` in an attribute's name stands for `-`.

    >>> from adjoint.plot.svg import element
    >>> element("text", "a &lt; b", text_anchor="end", x=1.50)
    '<text text-anchor="end" x="1.5">a &lt; b</text>'
    """
    given = {k: v for k, v in attributes.items() if v is not None}
    head = "".join(
        f' {k.replace("_", "-")}="{escape(show(v))}"' for k, v in given.items()
    )
    body = "".join(children)
    return f"<{name}{head}>{body}</{name}>" if body else f"<{name}{head}/>"


def show(v) -> str:
    """A number in at most two decimals, anything else as it is."""
    if isinstance(v, float):
        return f"{v:.2f}".rstrip("0").rstrip(".")
    return str(v)


def text(words, x, y, *, anchor="start", size=12, color=INK, **more) -> str:
    """A line of text, escaped."""
    return element(
        "text",
        escape(str(words)),
        x=float(x),
        y=float(y),
        text_anchor=anchor,
        font_size=size,
        fill=color,
        **more,
    )


class Figure:
    """A drawing: shown by notebooks, printed and saved as SVG.

    >>> fig = plot.lines({"loss": [3., 2., 1.]})
    >>> str(fig)[:4]
    '<svg'
    """

    def __init__(self, parts, width: float, height: float, title: str = ""):
        self.width, self.height, self.title = float(width), float(height), title
        self.parts = list(parts)

    def __str__(self):
        paper = element("rect", width=self.width, height=self.height, fill=PAPER, rx=4)
        label = element("title", escape(self.title)) if self.title else ""
        return element(
            "svg",
            label,
            paper,
            *self.parts,
            xmlns="http://www.w3.org/2000/svg",
            width=self.width,
            height=self.height,
            viewBox=f"0 0 {show(self.width)} {show(self.height)}",
            font_family=FONT,
            role="img",
        )

    _repr_svg_ = __str__

    def __repr__(self):
        size = f"{show(self.width)} by {show(self.height)}"
        return f"<Figure {self.title!r}, {size}>" if self.title else f"<Figure {size}>"

    def save(self, path) -> Path:
        """Write the SVG file."""
        return write_text(path, f"{self}\n")
