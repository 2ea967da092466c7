"""Regions: the kind of loop nest that an operation becomes, unless it is done by its readers."""

from __future__ import annotations

import math

import numpy as np

from ...core.primitive import Elementwise
from ...ir.dims import carried
from ...ir.graph import LOOPS, Operation
from ...ir.positions import BY_VALUES, shuffles
from ...ops.random import Draw
from .cost import CONVOLUTIONS, ORDERED

_MOVES = (
    "bits expand permute slice select flip cast contiguous stop_gradient reshape real"
)
_SAME = frozenset(
    {"cast", "bits", "contiguous", "stop_gradient", "real", "expand", "bounded"}
)
VIEWS = frozenset({"view_as_real", "view_as_complex"})
PLACED = frozenset({"stack", "cat", "unslice", "undiagonal", "overwrite", "roll"})
_MAKES = "diagonal tril triu ones_like zeros_like put pick frames as_strided"
SEEN = frozenset(_MOVES.split()) - {"bits", "cast", "real"}
FREE = frozenset([*_MOVES.split(), *_MAKES.split()]) - {"cast"}  # done anew by readers
_SPACES = frozenset({"unslice", "undiagonal"})  # zeros around or beside an input
INDEXED = FREE | _SPACES | {"cast", "index", "searchsorted", "bounded"}
TABLES = frozenset({"pick", "index", "searchsorted", "as_strided"})  # read anywhere
LOOKING = TABLES | {"put", "frames", "bounded"}  # read memory in their own ways
_OTHERWISE = _SPACES | LOOKING - {"bounded"}
ARITHMETIC = frozenset(
    ["add", "sub", "mul", "neg", "abs", "where", "eq", "ne", "lt", "le", "gt", "ge"]
)
SIMPLE = ARITHMETIC | FREE | {"undiagonal"}
SCATTERED = frozenset({"unindex", "index_put", "index_reduce"})
GATHERED = frozenset({"overlap_add", "strided_add"})
_LINEAR = {"recurrence", "recurrence_of_parts", "logcumsumexp"}
RUNNING = _LINEAR | {"cumsum", "cumprod", "cummax_index", "cummin_index"}
_FLOATS, _WHOLE = {"f4", "f8", "f2", "V2"}, {"b1", "u1", "i1", "i2", "i4", "i8"}
_LANES = frozenset(_FLOATS | _WHOLE)  # what registers hold
_BOOL = np.dtype(bool)
REDUCTIONS = frozenset({"sum", "mean", "prod", "amax", "amin"})


def inline(o: Operation) -> bool:
    """Whether an operation can be computed where it is read."""
    p = o.prim
    if p.name == "put" and o.inputs[0].spec.shape[-1] != 1:
        return False
    if p.name == "searchsorted" and not _searchable(o):
        return False
    if p.name == "bits" and not _same_bits(o):
        return False
    if shuffles(o):
        return False
    if p.name in VIEWS:
        return True
    dtypes = [v.spec.dtype for v in (*o.inputs, *o.outputs)]
    if not all(d.str[1:] in _LANES for d in dtypes):
        return False
    if p.name in _SPACES:
        return spaced(o)
    return p.name in INDEXED or isinstance(p, Draw) or lowered(o)


def shows(o) -> bool:
    """Whether the result is what lies in the memory of the input."""
    reshaped = o.prim.name == "reshape" and not _only_ones(o)
    return reshaped or o.prim.name in VIEWS


def spaced(o) -> bool:
    """Whether zeros are put around an input where it is read: half of it is there."""
    if o.prim.name not in _SPACES:
        return False
    x, y = o.inputs[0].spec, o.outputs[0].spec
    if not x.size or y.dtype.str[1:] not in _LANES:
        return False
    if o.prim.name == "undiagonal":
        return True
    steps = [k[2] for k in o.params["key"] if isinstance(k, tuple)]
    return 2 * x.size >= y.size and set(steps) <= {1}


def lowered(o) -> bool:
    """Whether the record writes native code for these dtypes: whole numbers are of one."""
    p = o.prim
    if not isinstance(p, Elementwise) or p.lower is None:
        return False
    numbers = [v.spec.dtype for v in o.inputs[p.decides :]]
    whole = {d for d in numbers if d.kind != "f"}
    alone = len(whole) < 2 and (whole != {_BOOL} or all(d == _BOOL for d in numbers))
    full = all(d.kind in p.lowers and d.str[1:] != "f2" for d in numbers)
    return alone and full


def _sums_rows(o) -> bool:
    """A reduction over the last dims, or all of them that are not one, of some numbers."""
    dims, shape = summed(o), o.inputs[0].spec.shape
    rest = range(dims[0], len(shape)) if dims else ()
    last = all(d in dims or shape[d] == 1 for d in rest)
    return last and 0 not in shape and _reducible(o)


def _reducible(o) -> bool:
    """Floats of one format, sums and products of whole numbers, the extremes of all."""
    x, y = o.inputs[0].spec.dtype, o.outputs[0].spec.dtype
    if not o.params["dim"]:
        return False
    if o.prim.name in ("amax", "amin"):
        return x.str[1:] in _LANES - {"f2", "V2"}
    floats = x == y and x.str[1:] in ("f4", "f8")
    return floats or (o.prim.name != "mean" and x.kind in "bui" and y == "int64")


def is_own(o) -> bool:
    """Whether element n of the result needs element n of each input alone (broadcast: any)."""
    if isinstance(o.prim, Elementwise):
        return True
    return o.prim.name in _SAME or o.prim.name == "reshape"


def _only_ones(o) -> bool:
    """A reshape that adds and drops dims of size 1."""
    return same_but_ones(o.inputs[0].spec.shape, o.outputs[0].spec.shape)


def same_but_ones(a, b) -> bool:
    return [n for n in a if n != 1] == [n for n in b if n != 1]


def _placeable(o) -> bool:
    """Whether every input goes to an affine place of the result."""
    dtypes = {v.spec.dtype for v in (*o.inputs, *o.outputs)}
    views = [p.name for p, _, _ in o.params.get("chain", ())]
    known = len(dtypes) == 1 and all(d.str[1:] in _LANES for d in dtypes)
    return known and set(views) <= {"slice", "select"} and len(views) < 2


def _addable(o) -> bool:
    """Numbers that are added at places counted by int64."""
    y, index = (v.spec.dtype for v in o.inputs)
    return y.str[1:] in _LANES and y.kind in "fiuV" and index == "int64"


def _same_bits(o) -> bool:
    """Numbers of one size, of which one is read for each."""
    x, y = o.inputs[0].spec.dtype, o.outputs[0].spec.dtype
    return x.itemsize == y.itemsize and "b" not in (x.kind, y.kind)


def _searchable(o) -> bool:
    """One row for all, or one for each row; of the numbers that are looked for."""
    rows, x = (v.spec for v in o.inputs)
    return rows.dtype == x.dtype and rows.shape[:-1] in ((), x.shape[:-1])


def _scatters(o) -> bool:
    """Numbers of one type at whole positions."""
    count, y = BY_VALUES[o.prim.name], o.outputs[0].spec.dtype
    values, indices = o.inputs[:count], o.inputs[count:]
    alike = all(v.spec.dtype == y for v in values) and y.str[1:] in _LANES
    return alike and all(v.spec.dtype.kind in "iu" for v in indices)


def _runs(o) -> bool:
    """Numbers that are carried on in the type of the result, or compared."""
    kinds = {v.spec.dtype for v in o.inputs}
    if not all(d.str[1:] in _LANES - {"f2", "V2"} for d in kinds):
        return False
    if o.prim.name in _LINEAR:
        return len(kinds) == 1 and kinds <= {np.dtype("f4"), np.dtype("f8")}
    return True


def _ordered(o) -> bool:
    """Numbers of one size, of which 32 bits can tell the places."""
    x = o.inputs[0].spec
    held = x.dtype.str[1:] in _LANES - {"f2", "V2"}
    return held and 0 < x.shape[o.params["dim"]] < 2**31


def _convolves(o) -> bool:
    """Floats, and some of them."""
    values = [*o.inputs, *o.outputs]
    return _filled(o) and all(v.spec.dtype.str[1:] in ("f4", "f8") for v in values)


def _filled(o) -> bool:
    """Whether there are numbers in all that is read and made."""
    return not any(0 in v.spec.shape for v in (*o.inputs, *o.outputs))


def _held(o) -> bool:
    """Numbers that registers hold."""
    return o.inputs[0].spec.dtype.str[1:] in _LANES


def sums_columns(o, kind) -> bool:
    """A reduction over the first dims, which a loop over rows can do on its way."""
    if kind != "reduce" or 0 in o.inputs[0].spec.shape:
        return False
    return summed(o) == tuple(range(len(o.params["dim"])))


def summed(o) -> tuple[int, ...]:
    """The dims that a reduction goes over, in order."""
    return tuple(sorted(o.params["dim"]))


def space_of(o, kind) -> tuple[int, ...]:
    """The dims that the loops of an operation count."""
    return tuple((o.inputs if kind in ("rows", "reduce") else o.outputs)[0].spec.shape)


def is_row(shape, space, rank) -> bool:
    """One element a row: the first dims of the space, perhaps with ones for the others."""
    rest = shape[rank:]
    short = math.prod(space[rank:]) != 1
    return short and shape[:rank] == space[:rank] and all(n == 1 for n in rest)


def through(p, i, index):
    """Which dims of the space count those of input i, if `index` count those of the result.

    None has one place; "any" is read at several, or in a way of its own.
    """
    shape = p.inputs[i].spec.shape
    if p.prim.name == "unslice":
        return _unsliced(p, index)
    if p.prim.name in _OTHERWISE:
        return ("any",) * len(shape)
    found = ((carried(p, i, d), n) for d, n in enumerate(shape))
    return tuple(
        None if n == 1 else index[d] if isinstance(d, int) else "any" for d, n in found
    )


def _unsliced(p, index):
    """Which dims count those of a slice that is put into zeros: those of which it has all."""
    (y,), out, rest = p.outputs, [], list(index)
    for part in p.params["key"]:
        n = y.spec.shape[len(index) - len(rest)] if rest else 0
        d = rest.pop(0) if part is not None else None
        if part is None or isinstance(part, tuple):
            out.append(d if part is None or part == (0, n, 1) else "any")
    found = zip((*out, *rest), p.inputs[0].spec.shape, strict=True)
    return tuple(None if n == 1 else d for d, n in found)


def kind_of(o) -> str:
    """The kind of its own loop nest; a map, too, where nobody computes it on the way."""
    if inline(o):
        return "map"
    kinds = _KINDS.get(o.prim.name, ())
    return next((kind for kind, fits in kinds if fits(o)), "call")


# Operation -> (kind, for which of them) in order; NumPy is called for the others.
_KINDS = {
    name: kinds
    for names, *kinds in (
        (REDUCTIONS, ("rows", _sums_rows), ("reduce", _reducible)),
        (CONVOLUTIONS, ("conv", _convolves)),
        (ORDERED, ("order", _ordered)),
        (PLACED, ("place", _placeable)),
        (SCATTERED, ("scatter", _scatters)),
        (RUNNING, ("run", _runs)),
        (GATHERED, ("gather", _held)),
        (LOOPS, ("loop", lambda o: True)),
        (["contract"], ("contract", _filled)),
        (["put"], ("put", _addable)),
        (["index"], ("shuffle", shuffles)),
    )
    for name in names
}
