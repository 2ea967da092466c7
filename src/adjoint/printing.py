"""How tensors print: aligned columns, PyTorch's number formats, the middle of much left out."""

from __future__ import annotations

import math

import numpy as np

OPTIONS = {
    "precision": 4,
    "threshold": 1000,
    "edgeitems": 3,
    "linewidth": 80,
    "sci_mode": None,
}


def set_printoptions(
    precision=None,
    threshold=None,
    edgeitems=None,
    linewidth=None,
    profile=None,
    sci_mode=None,
) -> None:
    """How many digits, elements and columns a printed tensor shows."""
    profiles = {
        "default": {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80},
        "short": {"precision": 2, "threshold": 1000, "edgeitems": 2, "linewidth": 80},
        "full": {
            "precision": 4,
            "threshold": math.inf,
            "edgeitems": 3,
            "linewidth": 80,
        },
    }
    OPTIONS.update(profiles.get(profile, {}))
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems}
    given["linewidth"] = linewidth
    OPTIONS.update({k: v for k, v in given.items() if v is not None})
    OPTIONS["sci_mode"] = sci_mode


def show_array(value: np.ndarray, indent: int) -> str:
    """The numbers of an array with brackets, continuation lines indented."""
    shown = value if value.size <= OPTIONS["threshold"] else _edges(value)
    return _nested(value, _formatter(shown), indent)


def _edges(value):
    k = OPTIONS["edgeitems"]
    for dim in range(value.ndim):
        if value.shape[dim] > 2 * k:
            ends = np.r_[0:k, value.shape[dim] - k : value.shape[dim]]
            value = value.take(ends, dim)
    return value


def _formatter(shown):
    kind = shown.dtype.kind
    if kind == "b":
        return lambda v: (
            f"{bool(v)!s:>5}" if shown.ndim and not shown.all() else str(bool(v))
        )
    if kind in "iu":
        width = max((len(str(v)) for v in shown.ravel().tolist()), default=1)
        return lambda v: f"{int(v):>{width}}"
    if kind == "c":
        re, im = _real_formatter(shown.real), _real_formatter(np.abs(shown.imag))
        return lambda v: (
            re(v.real)
            + ("-" if np.signbit(v.imag) else "+")
            + im(abs(v.imag)).lstrip()
            + "j"
        )
    return _real_formatter(shown)


def _real_formatter(shown):
    values = np.asarray(shown, np.float64).ravel()
    finite = values[np.isfinite(values) & (values != 0)]
    form = _form(np.abs(finite)) if finite.size else ".0f"
    dot = "." if form == ".0f" else ""  # whole numbers print as `2.`

    def text(v):
        return f"{v:{form}}{dot}" if math.isfinite(v) else str(v)

    width = max((len(text(float(v))) for v in values), default=0)
    return lambda v: f"{text(float(v)):>{width}}"


def _form(sizes) -> str:
    """Whole, fixed or scientific, by the largest and smallest magnitude shown."""
    big, small = float(sizes.max()), float(sizes.min())
    whole = bool((sizes == np.ceil(sizes)).all())
    sci = OPTIONS["sci_mode"]
    if sci is None:
        sci = big / small > 1000.0 or big > 1.0e8 or (small < 1.0e-4 and not whole)
    if sci:
        return f".{OPTIONS['precision']}e"
    return ".0f" if whole else f".{OPTIONS['precision']}f"


def _nested(value, text, indent):
    if value.ndim == 0:
        return text(value[()])
    k = OPTIONS["edgeitems"]
    cut = value.size > OPTIONS["threshold"] and value.shape[0] > 2 * k
    rows = [*value[:k], None, *value[-k:]] if cut else list(value)
    if value.ndim == 1:
        return (
            "["
            + _lines([("..." if r is None else text(r)) for r in rows], indent + 1)
            + "]"
        )
    parts = ["..." if r is None else _nested(r, text, indent + 1) for r in rows]
    gap = "," + "\n" * (value.ndim - 1) + " " * (indent + 1)
    return "[" + gap.join(parts) + "]"


def _lines(words, indent):
    width = max((len(w) for w in words), default=0) + 2
    each = max(1, (OPTIONS["linewidth"] - indent) // max(width, 1))
    lines = [", ".join(words[i : i + each]) for i in range(0, len(words), each)]
    return (",\n" + " " * indent).join(lines)


# ---------------------------------------------------------------- in a line of a program


def number(x) -> str:
    """A number as a person would write it."""
    x = x.item() if hasattr(x, "item") else x
    if isinstance(x, (bool, int)):
        return str(x)
    if isinstance(x, complex):
        return f"{x:.6g}"
    if math.isfinite(x) and x == int(x) and abs(x) < 1e15:
        return str(int(x))
    return f"{x:.6g}"


def short(value) -> str:
    """A value in a line of a program: numbers if few, else shape and range."""
    value = np.asarray(value)
    if value.ndim == 0:
        return number(value)
    if value.size <= 4:
        return "[" + ", ".join(number(x) for x in value.ravel()) + "]"
    if value.dtype.kind == "c":
        return f"{value.dtype.name}{list(value.shape)}"
    return f"{list(value.shape)} in [{number(value.min())}, {number(value.max())}]"
