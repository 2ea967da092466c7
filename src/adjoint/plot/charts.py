"""Charts: curves, points over a field, a matrix as a table of colours, rows of images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from ..core.bind import Box
from ..errors import ArgumentError, ArgumentTypeError, ShapeError
from .axes import Frame
from .png import data_url
from .svg import COLORS, INK, Figure, element, text

MOST = 600  # points that a curve is drawn with


def lines(
    series: Mapping,
    *,
    title: str = "",
    x_label: str = "",
    y_label: str = "",
    log: bool = False,
    width: float = 600,
    height: float = 340,
) -> Figure:
    """Curves: name -> values, or name -> (places, values); `log` for a logarithmic scale.

    Values that are not finite (or not positive, with `log`) leave gaps.

    >>> plot.lines({"loss": [2., 1., 0.5]}, title="training")
    <Figure 'training', 600 by 340>
    """
    curves = {k: _points(k, v, log) for k, v in series.items()}
    x_range, y_range = _ranges([xy for _, xy in curves.values()], log)
    frame = Frame(width, height, x_range, y_range, log=log)
    parts = frame.draw(title, x_label, y_label)
    for i, runs in enumerate(_runs(*c) for c in curves.values()):
        parts += [_curve(frame, run, COLORS[i % len(COLORS)]) for run in runs]
    return Figure(parts + _legend(frame, list(curves)), width, height, title)


def _numbers(x) -> np.ndarray:
    x = x.detach().numpy_of() if isinstance(x, Box) else np.asarray(x)
    if x.dtype.kind in "SUOc":
        raise ArgumentTypeError(f"plots show real numbers, not {x.dtype.name}")
    return x.astype(np.float64).reshape(-1)


def _points(name, given, log):
    """(which are drawn, places and values (2, n)) of one curve."""
    pair = isinstance(given, tuple) and len(given) == 2 and np.ndim(given[1]) > 0
    y = _numbers(given[1] if pair else given)
    x = _numbers(given[0]) if pair else np.arange(1.0, len(y) + 1)
    if len(x) != len(y):
        raise ShapeError(f"lines: {name!r} has {len(x)} places and {len(y)} values")
    seen = np.isfinite(x) & np.isfinite(y)
    return (seen & (y > 0) if log else seen), np.stack([x, y])


def _ranges(curves, log):
    xy = np.concatenate([*curves, np.zeros((2, 0))], 1)
    seen = np.isfinite(xy).all(0)
    if log:
        seen &= xy[1] > 0
    if not seen.any():
        return (0.0, 1.0), ((0.1, 1.0) if log else (0.0, 1.0))
    low, high = xy[:, seen].min(1).tolist(), xy[:, seen].max(1).tolist()
    pad = 0.0 if log else (high[1] - low[1]) * 0.04
    return (low[0], high[0]), (low[1] - pad, high[1] + pad)


def _runs(seen, xy):
    """The stretches without gaps, thinned."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], seen, [0]])))
    return [_thinned(xy[:, a:b]) for a, b in edges.reshape(-1, 2)]


def _thinned(xy):
    """At most `MOST` points: the lowest and highest of each piece, in order."""
    n = xy.shape[1]
    if n <= MOST:
        return xy
    pieces = np.array_split(np.arange(n), MOST // 2)
    ends = [(p[xy[1, p].argmin()], p[xy[1, p].argmax()]) for p in pieces]
    return xy[:, np.unique([0, *(i for pair in ends for i in pair), n - 1])]


def _curve(frame, xy, color):
    places = [(frame.x(x), frame.y(y)) for x, y in xy.T.tolist()]
    if len(places) == 1:
        return element("circle", cx=places[0][0], cy=places[0][1], r=3, fill=color)
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    return element(
        "polyline",
        points=path,
        fill="none",
        stroke=color,
        stroke_width=1.8,
        stroke_linejoin="round",
    )


def _legend(frame, names):
    if not names:
        return []
    widths = [7 * len(str(n)) + 30 for n in names]
    x = frame.width - frame.right - sum(widths)
    parts = []
    for i, (name, w) in enumerate(zip(names, widths, strict=True)):
        color = COLORS[i % len(COLORS)]
        parts.append(element("rect", x=x, y=11, width=14, height=4, fill=color, rx=2))
        parts.append(text(name, x + 19, 17))
        x += w
    return parts


# ---------------------------------------------------------------- points


def scatter(
    groups: Mapping,
    *,
    field=None,
    extent: Sequence[float] | None = None,
    title: str = "",
    x_label: str = "",
    y_label: str = "",
    width: float = 460,
    height: float = 460,
) -> Figure:
    """Points: name -> (x, y). `field` colours the plane behind them.

    `field` is a matrix of group numbers (first row lowest) over `extent`
    (left, right, bottom, top).

    >>> plot.scatter({"a": ([0., 1.], [1., 0.])})
    <Figure 460 by 460>
    """
    xys = {k: np.stack([_numbers(x), _numbers(y)]) for k, (x, y) in groups.items()}
    if field is not None and extent is None:
        raise ArgumentError("scatter: a field needs its extent")
    x_range, y_range = _ranges(list(xys.values()), False)
    if extent is not None:
        x_range, y_range = tuple(extent[:2]), tuple(extent[2:])
    frame = Frame(width, height, x_range, y_range)
    parts = [] if field is None else [_field(frame, field)]
    parts += frame.draw(title, x_label, y_label)
    for i, xy in enumerate(xys.values()):
        parts += [_dot(frame, x, y, COLORS[i % len(COLORS)]) for x, y in xy.T.tolist()]
    return Figure(parts + _legend(frame, list(xys)), width, height, title)


def _dot(frame, x, y, color):
    if not math.isfinite(x + y):
        return ""
    return element(
        "circle",
        cx=frame.x(x),
        cy=frame.y(y),
        r=3,
        fill=color,
        stroke="#ffffff",
        stroke_width=0.6,
    )


def _field(frame, field):
    group = np.asarray(_numbers(field)).reshape(np.shape(field)).astype(int)
    color = np.array([_rgb(c) for c in COLORS])[group % len(COLORS)]
    return element(
        "image",
        href=data_url((color[::-1] * 0.3 + 0.7 * 255).astype(np.uint8)),
        x=frame.x.start,
        y=frame.y.end,
        width=frame.x.end - frame.x.start,
        height=frame.y.start - frame.y.end,
        preserveAspectRatio="none",
    )


def _rgb(color):
    return [int(color[i : i + 2], 16) for i in (1, 3, 5)]


# ---------------------------------------------------------------- tables of colours


def matrix(
    counts,
    labels: Sequence | None = None,
    *,
    title: str = "",
    x_label: str = "predicted",
    y_label: str = "true",
    cell: float = 38,
) -> Figure:
    """A confusion matrix: each cell's number, coloured by its part of the row.

    >>> plot.matrix([[5, 1], [0, 4]], ["cat", "dog"]).title
    ''
    """
    counts = np.asarray(_numbers(counts)).reshape(np.shape(counts))
    if counts.ndim != 2 or (labels is not None and len(labels) != len(counts)):
        raise ShapeError(
            f"matrix: expected a matrix and a label a row, got {counts.shape}"
        )
    rows, columns = len(counts), counts.size // max(1, len(counts))
    names = [str(n) for n in (range(rows) if labels is None else labels)]
    left = 44.0 + 7 * max((len(n) for n in names), default=0)
    width, height = left + columns * cell + 16, 64 + rows * cell + 16
    known = np.where(np.isfinite(counts), counts, 0.0)
    part = known / np.maximum(known.sum(1, keepdims=True), 1e-300)
    parts = [
        _cell(counts[i, j], part[i, j], left + j * cell, 64 + i * cell, cell)
        for i in range(rows)
        for j in range(columns)
    ]
    parts += _matrix_labels(names, columns, left, cell, (title, x_label, y_label))
    return Figure(parts, max(width, left + 8 * len(title)), height, title)


def _cell(value, part, x, y, size):
    part = min(max(float(part), 0.0), 1.0)
    r, g, b = (round(255 + (c - 255) * part**0.6) for c in _rgb(COLORS[0]))
    ink = "#ffffff" if part > 0.45 else INK if value else "#999999"
    box = {"x": x, "y": y, "width": size - 1, "height": size - 1, "rx": 2}
    whole = math.isfinite(value) and value == int(value)
    shown = str(int(value)) if whole else f"{value:.3g}"
    return element("rect", fill=f"#{r:02x}{g:02x}{b:02x}", **box) + text(
        shown, x + size / 2, y + size / 2 + 4, anchor="middle", color=ink
    )


def _matrix_labels(names, columns, left, cell, words):
    title, x_label, y_label = words
    middle = 64 + len(names) * cell / 2
    parts = [
        text(title, 14, 20, size=14, font_weight="600"),
        text(x_label, left + columns * cell / 2, 40, anchor="middle"),
        text(
            y_label,
            14,
            middle,
            anchor="middle",
            transform=f"rotate(-90 14 {middle:.1f})",
        ),
    ]
    for i, name in enumerate(names):
        parts.append(
            text(name, left - 8, 64 + i * cell + cell / 2 + 4, anchor="end", size=11)
        )
    for j in range(columns):
        name = names[j] if j < len(names) else j
        parts.append(
            text(name, left + j * cell + cell / 2, 58, anchor="middle", size=11)
        )
    return parts


def images(
    arrays,
    captions: Sequence | None = None,
    *,
    columns: int = 8,
    size: float = 64,
    title: str = "",
) -> Figure:
    """Small images in rows, each with a caption; floats are in [0, 1].

    >>> plot.images([zeros(8, 8), ones(8, 8)], ["black", "white"])
    <Figure 168 by 126>
    """
    pictures = list(arrays)
    words = [""] * len(pictures) if captions is None else list(captions)
    if len(words) != len(pictures):
        raise ShapeError(f"images: {len(pictures)} images and {len(words)} captions")
    columns = max(1, min(columns, len(pictures)))
    parts = [text(title, 12, 20, size=14, font_weight="600")]
    for i, (picture, caption) in enumerate(zip(pictures, words, strict=True)):
        x, y = 12 + i % columns * (size + 16), 32 + i // columns * (size + 30)
        place = {"x": float(x), "y": float(y), "width": size, "height": size}
        style = "image-rendering:pixelated"
        parts.append(element("image", href=data_url(picture), style=style, **place))
        parts.append(
            text(caption, x + size / 2, y + size + 15, anchor="middle", size=11)
        )
    rows = -(-len(pictures) // columns)
    return Figure(parts, 8 + columns * (size + 16), 32 + rows * (size + 30), title)
