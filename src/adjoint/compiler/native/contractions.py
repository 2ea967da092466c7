"""Contractions as forms of matrix products: which letters count rows, columns, sums, products."""

from __future__ import annotations

import functools
import math

from ...ops.contract import letters_of
from .form import Form, swapped


def form_of(o, apart=(), steps=None) -> tuple[Form, bool] | None:
    """A contraction as matrix products, and whether its operands change places; or None.

    The letters `apart` are counted outside: it is the product of one index of them. `steps`
    says of views how they lie.
    """
    dtype = o.outputs[0].spec.dtype
    if dtype.str[1:] not in ("f4", "f8"):
        return None
    shapes = tuple(tuple(v.spec.shape) for v in o.inputs)
    views = _views(o, steps)
    return _form_of(o.params["spec"], shapes, dtype.itemsize, frozenset(apart), views)


@functools.lru_cache(1024)  # a network has few, each many times
def _form_of(spec, shapes, item, apart, views):
    left, right, out = letters_of(spec)
    size = dict(zip(left + right, shapes[0] + shapes[1], strict=True))
    names = _steps(spec, size, views)
    size |= dict.fromkeys(apart, 1)
    wide = [c for c in out if size[c] != 1]
    swap = bool(wide) and wide[-1] in left and wide[-1] not in right
    form = _form(*(names[i] for i in ((1, 0, 2) if swap else (0, 1, 2))), size, item)
    if form.n == 1 and form.c == 1 and form.m > 1:
        return swapped(form), not swap
    return form, swap


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


def _form(x, y, z, size, item) -> Form:
    order = reversed(z)  # the dict holds letters from the last on
    rows, columns, batch = [], [], []
    for c in order:
        if size[c] != 1:
            place = (batch if c in y else rows) if c in x else columns
            place.append(c)
    inner = [c for c in dict.fromkeys([*reversed(x), *reversed(y)]) if c not in z]
    joined = [
        _joined([(size[c], x[c], y[c], z[c]) for c in letters])
        for letters in (rows, columns, batch, [c for c in inner if size[c] != 1])
    ]
    rows, columns, batch, inner = joined
    m = _taken(rows, lambda d: d[0])
    n = _taken(columns, lambda d: d[3] == 1)
    if n[0] != 1 and n[3] != 1:
        columns, n = [*columns, n], (1, 0, 0, 0)
    k = _taken(inner, lambda d: (d[1] > 0 and d[2] > 0, d[0]))
    dims = [*batch, *rows, *columns]
    sums = tuple((s, sx, sy) for s, sx, sy, _ in inner)
    total = k[0] * math.prod(s[0] for s in sums)
    return Form(
        m=m[0],
        n=n[0],
        k=k[0] if total else 0,
        a=(m[1], k[1]),
        b=(k[2], n[2] if n[0] != 1 else 1),
        c=m[3] if m[0] != 1 else 1,
        batch=tuple(dims),
        sums=sums if total else (),
        item=item,
    )


def _taken(dims, key):
    """The dim of the largest key, taken out; one of size 1 if there is none."""
    if not dims:
        return 1, 0, 0, 0
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
