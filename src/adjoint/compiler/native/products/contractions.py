"""Contractions as forms of matrix products: which letters count rows, columns, sums, products."""

from __future__ import annotations

import functools
import math
from dataclasses import replace

from ....ops.contract import letters_of
from ..llvm import machine
from .form import SHORT, Form, swapped


def form_of(o, apart=(), steps=None) -> tuple[Form, bool] | None:
    """A contraction as matrix products, and whether its operands change places; or None.

    The letters `apart` are counted outside: it is the product of one index of them. `steps`
    says of views how they lie.
    """
    kinds = tuple(v.spec.dtype.str[1:] for v in o.inputs)
    made = o.outputs[0].spec.dtype.str[1:]
    if not {*kinds} <= {"f4": {"f4", *SHORT}, "f8": {"f8"}}.get(made, set()):
        return None
    shapes = tuple(tuple(v.spec.shape) for v in o.inputs)
    views = _views(o, steps)
    by = instructions(kinds)
    return _form_of(o.params["spec"], shapes, kinds, made, frozenset(apart), views, by)


def instructions(kinds) -> str:
    """What this processor may multiply pairs of numbers of both operands with."""
    if kinds == ("f4", "f4"):
        return "thirds" if machine.pairs() == "tiles" else ""
    return machine.pairs() if kinds == ("V2", "V2") else ""


@functools.lru_cache(1024)  # a network has few, each many times
def _form_of(spec, shapes, kinds, made, apart, views, by):
    left, right, out = letters_of(spec)
    size = dict(zip(left + right, shapes[0] + shapes[1], strict=True))
    names = _steps(spec, size, views)
    size |= dict.fromkeys(apart, 1)
    wide = [c for c in out if size[c] != 1]
    swap = bool(wide) and wide[-1] in left and wide[-1] not in right
    kinds = tuple(x if x in SHORT else "" for x in (kinds[::-1] if swap else kinds))
    order = (names[i] for i in ((1, 0, 2) if swap else (0, 1, 2)))
    form = replace(_form(*order, size, int(made[1:])), kinds=kinds, by=by)
    if form.n == 1 and form.c == 1 and form.m > 1:
        return swapped(form), not swap
    return form, swap


def in_thirds(o) -> bool:
    """Whether a contraction of float32, all of it at once, is multiplied in thirds."""
    found = form_of(o)
    return found is not None and found[0].in_thirds


def sizes_of(o) -> dict:
    """How large each letter of a contraction is."""
    left, right, _ = letters_of(o.params["spec"])
    shapes = [v.spec.shape for v in o.inputs]
    return dict(zip(left + right, shapes[0] + shapes[1], strict=True))


def steps_of(o, steps=None) -> list[_Steps]:
    """The steps of both operands and of the result."""
    return _steps(o.params["spec"], sizes_of(o), _views(o, steps))


def _views(o, steps) -> tuple:
    """The steps of the dims of those that are views."""
    return tuple(steps(v) if steps else None for v in (*o.inputs, *o.outputs))


def _steps(spec, size, views):
    return [_Steps(c, size, x) for c, x in zip(letters_of(spec), views, strict=True)]


class _Steps(dict):
    """The steps of an operand's letters, from the last on; 0 for those that it lacks."""

    def __init__(self, letters, size, steps=None):
        step = 1
        for i, c in reversed(list(enumerate(letters))):
            self[c] = step if steps is None else steps[i]
            step *= size[c]

    def __missing__(self, c):
        return 0


_NONE = 1, 0, 0, 0


def _form(x, y, z, size, item) -> Form:
    """One dim of rows, one of columns, one of the sum; what is left goes around them.

    A dim is (size, steps in x, y and z).
    """
    rows, columns, batch = [], [], []
    for c in reversed(z):  # the dict holds letters from the last on
        if size[c] != 1:
            place = (batch if c in y else rows) if c in x else columns
            place.append(c)
    summed = [c for c in dict.fromkeys([*reversed(x), *reversed(y)]) if c not in z]
    inner = [c for c in summed if size[c] != 1]
    rows, columns, batch, inner = (
        _joined([(size[c], x[c], y[c], z[c]) for c in letters])
        for letters in (rows, columns, batch, inner)
    )
    m, x_m, _, z_m = _taken(rows, lambda d: d[0])  # the longest
    column = _taken(columns, lambda d: d[3] == 1)  # one that lies side by side in z
    if column[0] != 1 and column[3] != 1:
        columns, column = [*columns, column], _NONE
    n, _, y_n, _ = column
    k, x_k, y_k, _ = _taken(inner, lambda d: (d[1] > 0 and d[2] > 0, d[0]))
    sums = tuple((s, sx, sy) for s, sx, sy, _ in inner)
    empty = not k * math.prod(s for s, _, _ in sums)
    return Form(
        m=m,
        n=n,
        k=0 if empty else k,
        a=(x_m, x_k),
        b=(y_k, y_n if n != 1 else 1),
        c=z_m if m != 1 else 1,
        batch=(*batch, *rows, *columns),
        sums=() if empty else sums,
        item=item,
    )


def _taken(dims, key):
    """The dim of the largest key, taken out; one of size 1 if there is none."""
    if not dims:
        return _NONE
    best = max(range(len(dims)), key=lambda i: (key(dims[i]), i))
    return dims.pop(best)


def _joined(dims):
    """Neighbours that count on in all operands as one dim."""
    out: list = []
    for d in dims:
        n = d[0]
        if out and all(s == t * n for s, t in zip(out[-1][1:], d[1:], strict=True)):
            out[-1] = (out[-1][0] * n, *d[1:])
        else:
            out.append(d)
    return out
