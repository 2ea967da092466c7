"""Axes: round tick values, linear and logarithmic scales, the frame of a chart."""

from __future__ import annotations

import math

from .svg import FAINT, INK, element, text


def ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """Round values in [low, high]: steps of 1, 2 or 5 times a power of ten.

    >>> from adjoint.plot.axes import ticks
    >>> ticks(0., 1.)
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    raw = (high - low) / wanted
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(size * k for k in (1, 2, 5, 10) if size * k >= raw * 0.7)
    first = math.ceil(low / step - 1e-9)
    count = math.floor(high / step + 1e-9) - first + 1
    return [float(f"{(first + i) * step:.12g}") for i in range(count)]


def decades(low: float, high: float) -> list[float]:
    """Powers of ten in [low, high], also their doubles and fives where these are few."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    digits = (1, 2, 5) if last - first <= 3 else (1,)
    skip = max(1, (last - first) // 6)
    marks = [d * 10.0**e for e in range(first, last + 1, skip) for d in digits]
    return [m for m in marks if low * 0.999999 <= m <= high * 1.000001]


def label(v: float) -> str:
    """A tick's number."""
    return f"{v:.6g}".replace("e-0", "e-").replace("e+0", "e")


class Scale:
    """Data to places: a linear or logarithmic map of [low, high] to [start, end]."""

    def __init__(self, low, high, start, end, log=False):
        self.log, self.start, self.end = log, start, end
        self.low, self.high = _widened(low, high, log)

    def __call__(self, v: float) -> float:
        a, b = self._t(self.low), self._t(self.high)
        return self.start + (self._t(v) - a) / (b - a) * (self.end - self.start)

    def _t(self, v):
        return math.log10(v) if self.log else v

    def ticks(self):
        """Where to mark it."""
        if self.log:
            marks = decades(self.low, self.high)
            return marks if len(marks) > 1 else ticks(self.low, self.high)
        return ticks(self.low, self.high)


def _widened(low, high, log):
    if high > low * (1 + 1e-9) or (low <= 0 and high > low):
        return low, high
    if log:
        return low / 2, high * 2
    pad = abs(low) * 0.1 or 1.0
    return low - pad, high + pad


class Frame:
    """The rectangle of a chart with its scales, grid, ticks and labels."""

    left, right, top, bottom = 58.0, 16.0, 34.0, 46.0

    def __init__(self, width, height, x_range, y_range, *, log=False):
        self.width, self.height = float(width), float(height)
        self.x = Scale(*x_range, self.left, self.width - self.right)
        self.y = Scale(*y_range, self.height - self.bottom, self.top, log)

    def draw(self, title: str, x_label: str, y_label: str) -> list[str]:
        """What lies under the data."""
        middle = (self.top + self.height - self.bottom) / 2
        turned = f"rotate(-90 14 {middle:.1f})"
        center = (self.left + self.width - self.right) / 2
        return [
            text(title, self.left, 20, size=14, font_weight="600"),
            *self._grid(),
            text(x_label, center, self.height - 10, anchor="middle"),
            text(y_label, 14, middle, anchor="middle", transform=turned),
        ]

    def _grid(self):
        low, right = self.height - self.bottom, self.width - self.right
        for v in self.y.ticks():
            y = self.y(v)
            yield element("line", x1=self.left, x2=right, y1=y, y2=y, stroke=FAINT)
            yield text(label(v), self.left - 6, y + 4, anchor="end", size=11)
        for v in self.x.ticks():
            x = self.x(v)
            yield element("line", x1=x, x2=x, y1=low, y2=low + 4, stroke=INK)
            yield text(label(v), x, low + 17, anchor="middle", size=11)
        yield element("line", x1=self.left, x2=right, y1=low, y2=low, stroke=INK)
