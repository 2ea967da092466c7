"""How tensors print: aligned columns, PyTorch's number formats, the middle of much left out."""

from __future__ import annotations

import math
from contextlib import contextmanager

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
    if value.size == 0:
        return "[]"
    cut = value.size > OPTIONS["threshold"]
    return _nested(value, _words(_ends(value) if cut else value), indent, cut)


def with_suffixes(text: str, suffixes: list[str], indent: int) -> str:
    """`text` and, after commas, the suffixes: on a line of their own where one gets long."""
    column = len(text) - text.rfind("\n") + 1
    for suffix in suffixes:
        if column + len(suffix) + 2 > OPTIONS["linewidth"]:
            text += ",\n" + " " * indent + suffix
            column = indent + len(suffix)
        else:
            text += ", " + suffix
            column += len(suffix) + 2
    return text


def _ends(value):
    """What is shown of a long array: the ends of each dim."""
    k = OPTIONS["edgeitems"]
    for dim in range(value.ndim):
        if value.shape[dim] > 2 * k:
            ends = np.r_[0:k, value.shape[dim] - k : value.shape[dim]]
            value = value.take(ends, dim)
    return value


class _Words:
    """Numbers as words of one width; `width` is that of the widest, as lines count it."""

    def __init__(self, text, shown):
        self.text = text
        self.width = max((len(text(v)) for v in shown), default=1)

    def __call__(self, v) -> str:
        return self.text(v).rjust(self.width)


class _ComplexWords:
    """Real and imaginary parts, each of one width."""

    def __init__(self, shown):
        self.real, self.imag = _real_words(shown.real), _real_words(shown.imag)
        self.width = self.real.width + self.imag.width + 1

    def __call__(self, v) -> str:
        imag = self.imag(v.imag).lstrip()
        return self.real(v.real) + ("" if imag[0] in "+-" else "+") + imag + "j"


def _words(shown):
    kind = shown.dtype.kind
    if kind == "c":
        return _ComplexWords(shown)
    if kind in "biu":
        return _Words(str, shown.ravel().tolist())
    return _real_words(shown)


def _real_words(shown):
    """Zeros, NaN and infinities do not count for form and width."""
    values = np.asarray(shown, np.float64).ravel()
    values = values[np.isfinite(values) & (values != 0)]
    form = _form(values) if values.size else ".0f"
    dot = "." if form == ".0f" else ""  # whole numbers print as `2.`

    def text(v):
        v = float(v)
        return f"{v:{form}}" + (dot if math.isfinite(v) else "")

    return _Words(text, values)


def _form(values) -> str:
    """Whole, fixed or scientific, by the largest and smallest magnitude."""
    sizes, sci = np.abs(values), OPTIONS["sci_mode"]
    big, small = float(sizes.max()), float(sizes.min())
    if sci is None:
        sci = big / small > 1000.0 or big > 1.0e8 or small < 1.0e-4
    if sci:
        return f".{OPTIONS['precision']}e"
    whole = bool((values == np.ceil(values)).all())
    return ".0f" if whole else f".{OPTIONS['precision']}f"


def _nested(value, words, indent, cut):
    if value.ndim == 0:
        return words(value[()])
    k = OPTIONS["edgeitems"]
    cut_here = cut and value.shape[0] > 2 * k
    parts = [*value[:k], *value[value.shape[0] - k :]] if cut_here else list(value)
    if value.ndim == 1:
        parts = [words(v) for v in parts]
    else:
        parts = [_nested(v, words, indent + 1, cut) for v in parts]
    if cut_here:
        parts.insert(k, " ..." if value.ndim == 1 and k else "...")
    if value.ndim == 1:
        return f"[{_lines(parts, words.width + 2, indent + 1)}]"
    gap = "," + "\n" * (value.ndim - 1) + " " * (indent + 1)
    return f"[{gap.join(parts)}]"


def _lines(parts, width, indent):
    each = max(1, (OPTIONS["linewidth"] - indent + 1) // width)
    lines = [", ".join(parts[i : i + each]) for i in range(0, len(parts), each)]
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


# ---------------------------------------------------------------- what functions say

_quiet: list = []  # what runs functions only to see how long they take


@contextmanager
def quietly():
    """Inside, functions print nothing."""
    _quiet.append(True)
    try:
        yield
    finally:
        _quiet.pop()


def say(text: str) -> None:
    """Print what a function says when it runs."""
    if not _quiet:
        print(text, flush=True)
