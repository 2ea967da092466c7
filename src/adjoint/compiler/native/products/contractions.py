"""Contractions as forms of matrix products: which letters count rows, columns, sums, products."""

from __future__ import annotations

import functools
import math
from dataclasses import replace
from typing import NamedTuple

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


class _Dim(NamedTuple):
    """Letters that count on together: how many, and their steps in x, y and z."""

    size: int
    x: int
    y: int
    z: int


_NONE = _Dim(1, 0, 0, 0)


def _form(x, y, z, size, item) -> Form:
    """One dim of rows, one of columns, one of the sum; what is left goes around them."""
    rows, columns, batch, inner = (
        _joined([_Dim(size[c], x[c], y[c], z[c]) for c in letters if size[c] != 1])
        for letters in _parts(x, y, z)
    )
    row = _taken(rows, lambda d: d.size)  # the longest
    column = _taken(columns, lambda d: d.z == 1)  # one that lies side by side in z
    if column.size != 1 and column.z != 1:
        columns, column = [*columns, column], _NONE
    summed = _taken(inner, lambda d: (d.x > 0 and d.y > 0, d.size))
    empty = not summed.size * math.prod(d.size for d in inner)
    return Form(
        m=row.size,
        n=column.size,
        k=0 if empty else summed.size,
        a=(row.x, summed.x),
        b=(summed.y, column.y if column.size != 1 else 1),
        c=row.z if row.size != 1 else 1,
        batch=tuple(map(tuple, (*batch, *rows, *columns))),
        sums=() if empty else tuple((d.size, d.x, d.y) for d in inner),
        item=item,
    )


def _parts(x, y, z):
    """The letters of rows, of columns, of products and of sums, the outermost first."""
    out = [*reversed(z)]  # the dicts hold letters from the last on
    rows = [c for c in out if c in x and c not in y]
    columns = [c for c in out if c not in x]
    batch = [c for c in out if c in x and c in y]
    summed = dict.fromkeys([*reversed(x), *reversed(y)])
    return rows, columns, batch, [c for c in summed if c not in z]


def _taken(dims, key) -> _Dim:
    """The dim of the largest key, taken out; one of size 1 if there is none."""
    if not dims:
        return _NONE
    best = max(range(len(dims)), key=lambda i: (key(dims[i]), i))
    return dims.pop(best)


def _joined(dims) -> list[_Dim]:
    """Neighbours that count on in all operands as one dim."""
    out: list = []
    for d in dims:
        steps = zip(out[-1][1:], d[1:], strict=True) if out else ()
        if out and all(s == t * d.size for s, t in steps):
            out[-1] = d._replace(size=out[-1].size * d.size)
        else:
            out.append(d)
    return out
