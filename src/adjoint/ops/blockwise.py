"""Blocks: functions of float64 blocks small enough for the cache, for any shape and dtype."""

from __future__ import annotations

from functools import wraps

import numpy as np

# Elements: what a call costs beyond them is little, and some fit into L2.
_BLOCK = 1 << 15
_DOUBLE, _SINGLE = np.dtype("float64"), np.dtype("float32")


def blockwise(f, single=None):
    """`f` of flat float64 arrays as an eager rule for every shape and floating dtype.

    `single`, if there is one, computes in float32 what is not float64.
    """

    @wraps(f)
    def eager(*xs, **params):
        shape = np.broadcast_shapes(*(x.shape for x in xs))
        flat = [np.broadcast_to(x, shape).reshape(-1) for x in xs]
        d = next(x.dtype for x in xs if x.dtype.kind in "fV")
        run, work = (single, _SINGLE) if single and d != _DOUBLE else (f, _DOUBLE)
        out = np.empty(flat[0].shape, d)
        for i in range(0, out.size, _BLOCK):
            part = slice(i, i + _BLOCK)
            out[part] = run(*(x[part].astype(work) for x in flat), **params)
        return out.reshape(shape)

    return eager


def rowwise(f, dim, *xs):
    """What `f(*xs, dim, out)` writes into an array like the first of `xs`.

    Where `dim` are the last dims, it does so for some rows at a time, which stay in the cache
    between one operation of NumPy and the next.
    """
    x, first = xs[0], xs[0].ndim - len(dim)
    out = np.empty(x.shape, x.dtype)
    last = first > 0 and dim == tuple(range(first, x.ndim))
    if x.size <= _BLOCK or not last or not all(_lies_by_rows(z, x, first) for z in xs):
        f(*xs, dim, out)
        return out
    rows = [z.reshape(-1, *z.shape[first:]) for z in (*xs, out)]
    step = max(1, _BLOCK * len(rows[0]) // x.size)
    dim = tuple(range(1, 1 + len(dim)))
    for i in range(0, len(rows[0]), step):
        *parts, y = (z[i : i + step] for z in rows)
        f(*parts, dim, y)
    return out


def _lies_by_rows(z, x, first):
    return z.flags.c_contiguous and z.shape[:first] == x.shape[:first]


def same_in_lanes(eager):
    """A lowering of a rule made by `blockwise`: the same formula, as a program writes it."""
    return lambda b, *xs, **params: b.formula(eager.__wrapped__, xs, params)


def repeated(condition, step, *state):
    """step(*state) again and again, for each element as long as condition(*state) holds."""
    if not isinstance(state[0], np.ndarray):
        return state[0].repeated(condition, step, state)  # of a program
    while (here := condition(*state)).any():
        pairs = zip(step(*state), state, strict=True)
        state = tuple(np.where(here, new, old) for new, old in pairs)
    return state


def repeated_alone(condition, step, *state):
    """The first value of `repeated`, where all that is read is in the state.

    It looks only at the elements that go on.
    """
    if not isinstance(state[0], np.ndarray):
        return state[0].repeated(condition, step, state)[0]
    out, places = state[0].copy(), np.arange(len(state[0]))
    while len(places):
        here = condition(*state)
        out[places] = state[0]
        places, state = places[here], [x[here] for x in state]
        state = step(*state)
    return out


def pieces(x, *cases):
    """The function given by (condition, formula) pairs, first match; NaN elsewhere."""
    return pieces_of((x,), *cases)


def pieces_of(xs, *cases):
    """`pieces` of several arguments."""
    x, *others = xs
    if not isinstance(x, np.ndarray):
        return x.pieces(cases, *others)  # of a program
    out = np.full(x.shape, np.nan)
    free = np.full(x.shape, True)
    for condition, formula in cases:
        here = free & condition
        if here.any():
            out[here] = formula(*(z[here] for z in xs))
            free &= ~here
    return out


def poly(x, coefficients):
    """Horner's rule, highest power first."""
    first, *others = coefficients
    if not others:
        return np.full(x.shape, first, x.dtype)
    y = x * first
    y += others[0]
    for c in others[1:]:
        y *= x
        y += c
    return y


def numeric(f, **options):
    """A reference by adaptive quadrature or series in plain Python, element by element."""
    return staticmethod(np.vectorize(f, otypes=[float], **options))
