"""The straight path: a common operation on arrays, with as few calls as can be.

What `bind` and the tape do in six frames, in one, and one for the node; for the common case
alone: arrays of the base tape, of one dtype, NumPy below. For all else, and every error, it
answers None and the caller goes the general way. Record, node and numbers are the same.
"""

from __future__ import annotations

import sys

import numpy as np

from ..core.bind import NUMPY, Box, bind, floor, quiet
from ..core.shape import Spec
from ..errors import ours, scope, user_site
from .casting import casting
from .keeping import pack_result, save
from .modes import inferring, packing, recording
from .node import UNREAD1, UNREAD2, Node, Unread
from .tape import BASE, at_hand
from .versions import versioned
from .views import shares

_NONE: dict = {}
_new, _ndarray, _frame = object.__new__, np.ndarray, sys._getframe
_REFUSED = AttributeError, OverflowError, ValueError, TypeError


def unary(prim, kinds, ufunc=None):
    """run(x, params) -> y or None, for a record of one input; `kinds` go in as they are.

    `ufunc` is what `eager` calls in the end, where the parameters say so beforehand.
    """
    eager, reads = ufunc or prim.eager, ufunc is None
    tracks, saves_y = prim.differentiable, prim.saves_y
    need, keeps = prim.plan((True,))
    pointwise = prim.family == "elementwise"

    def run(x, params=_NONE):
        try:
            if not (x.plain or at_hand(x)):
                return None
            value = x.value
            if value.dtype.kind not in kinds or floor.get() is not NUMPY:
                return None
            if reads and params:
                y = quiet.run(eager, value, **params)
            else:
                y = quiet.run(eager, value)
        except _REFUSED:
            return None
        result = _new(Box.face)
        result.value = y if type(y) is _ndarray else np.asarray(y)
        result.plain = True
        if tracks and x.node is not None and recording.get():
            node = _recorded(result, prim, params, (x.node,), need, UNREAD1)
            if keeps:
                direct = x.version is None and not packing.get()
                node.saved = (x if direct else save(node, 0, x),)
            elif not pointwise:
                node.saved = Unread((Spec(value.shape, value.dtype),))
            if saves_y:
                node.saved_y = result.value
                if packing.get():
                    pack_result(node)
        elif inferring.get():
            result.inference, result.plain = True, False
        return result

    return run


def binary(prim, kinds):
    """run(x1, x2) -> y or None, for a record of two inputs, one of which may be a number."""
    eager, tracks, saves_y = prim.eager, prim.differentiable, prim.saves_y
    both, left, right = [prim.plan(p) for p in ((1, 1), (1, None), (None, 1))]
    before, after = _with_number(prim, kinds, 0), _with_number(prim, kinds, 1)

    def run(x1, x2):
        if (kind := type(x2)) is float or kind is int:
            return after(x1, x2)
        if (kind := type(x1)) is float or kind is int:
            return before(x2, x1)
        try:
            if not (x1.plain or at_hand(x1)) or not (x2.plain or at_hand(x2)):
                return None
            a, b = x1.value, x2.value
            d = a.dtype
            if d is not b.dtype or d.kind not in kinds or floor.get() is not NUMPY:
                return None
            y = quiet.run(eager, a, b)
        except _REFUSED:
            return None
        result = _new(Box.face)
        result.value = y if type(y) is _ndarray else np.asarray(y)
        result.plain = True
        p1, p2 = x1.node, x2.node
        if (p1 is not None or p2 is not None) and tracks and recording.get():
            need, keeps = left if p2 is None else right if p1 is None else both
            node = _recorded(result, prim, _NONE, (p1, p2), need, UNREAD2)
            direct = x1.version is x2.version is None and a.shape == b.shape
            if not direct or packing.get():
                node.saved = _kept(node, keeps, (x1, x2), y.shape)
            elif keeps:
                node.saved = (x1 if keeps[0] else None, x2 if keeps[1] else None)
            if saves_y:
                node.saved_y = result.value
                if packing.get():
                    pack_result(node)
        elif inferring.get():
            result.inference, result.plain = True, False
        return result

    return run


def _with_number(prim, kinds, place):
    """run(x, number) -> y or None: a tensor, and a number that stands at this place."""
    eager, tracks, saves_y = prim.eager, prim.differentiable, prim.saves_y
    floats = "f" if "f" in kinds else ""
    need, keeps = prim.plan((1, None) if place else (None, 1))

    def run(x, number):
        try:
            if not (x.plain or at_hand(x)):
                return None
            value = x.value
            if value.dtype.kind not in floats or floor.get() is not NUMPY:
                return None
            c = quiet.run(np.array, number, value.dtype)
            y = quiet.run(eager, value, c) if place else quiet.run(eager, c, value)
        except _REFUSED:
            return None
        result = _new(Box.face)
        result.value = y if type(y) is _ndarray else np.asarray(y)
        result.plain = True
        parent = x.node
        if parent is not None and tracks and recording.get():
            parents = (parent, None) if place else (None, parent)
            node = _recorded(result, prim, _NONE, parents, need, UNREAD2, 4)
            if keeps:
                read = save(node, 1 - place, x) if keeps[1 - place] else None
                other = c if keeps[place] else None
                node.saved = (read, other) if place else (other, read)
            if saves_y:
                node.saved_y = result.value
                if packing.get():
                    pack_result(node)
        elif inferring.get():
            result.inference, result.plain = True, False
        return result

    return run


_BLAS = frozenset(map(np.dtype, ("float32", "float64", "complex64", "complex128")))


def product(prim, forms, turned=False):
    """run(x1, x2) -> y or None: products of arrays that lie in memory as BLAS reads them.

    `forms` has the parameters of `prim` by the ranks of both; with `turned` the second is
    transposed.
    """
    both, left, right = (prim.plan(p) for p in ((1, 1), (1, None), (None, 1)))

    def run(x1, x2):
        try:
            if not (x1.plain or at_hand(x1)) or not (x2.plain or at_hand(x2)):
                return None
            a, b = x1.value, x2.value
            params = forms.get((a.ndim, b.ndim))
            if params is None:
                return None
            if a.dtype is not b.dtype or a.dtype not in _BLAS:
                return None
            if not (a.flags.c_contiguous and b.flags.c_contiguous):
                return None
            if floor.get() is not NUMPY or casting.get() is not None:
                return None
            y = quiet.run(np.matmul, a, b.T if turned else b)
        except (AttributeError, ValueError):
            return None
        result, p1, p2 = _made(y), x1.node, x2.node
        if (p1 is not None or p2 is not None) and recording.get():
            need, keeps = left if p2 is None else right if p1 is None else both
            node = _recorded(result, prim, params, (p1, p2), need, ())
            node.saved = tuple(
                save(node, i, x) if keeps[i] else Spec(x.value.shape, x.value.dtype)
                for i, x in enumerate((x1, x2))
            )
        return result

    return run


def viewed(prim, x, **params):
    """`prim` of `x`: where the array is at hand and the result shows its memory, straight."""
    try:
        if seen(x):
            y = prim.eager(x.value, **params)
            if shares(y, x.value):
                return shown(prim, params, x, y, 3)
    except (AttributeError, ValueError, TypeError):
        pass  # the general way says what is wrong
    return bind(prim, x, **params)


def reshaped(prim, x, shape):
    """The view of `x` in another shape, in which NumPy works out a -1; None: ask elsewhere."""
    try:
        if not seen(x):
            return None
        value = x.value
        y = value.reshape(shape)
        if not shares(y, value) or min(shape, default=0) < -1:
            return None
    except (AttributeError, ValueError, TypeError):
        return None
    return shown(prim, {"shape": y.shape}, x, y, 3)


def seen(x) -> bool:
    """Whether `x` is an array of the base tape in its place, with NumPy below."""
    own = x.__dict__
    if type(own.get("value")) is not _ndarray or x.level is not BASE:
        return False
    base = x.base
    return (base is None or x.seen == base.writes) and floor.get() is NUMPY


def shown(prim, params, x, y, depth=2):
    """The tensor around `y`, the view of `x` (which is `seen`) that `prim` gives.

    The user called the function `depth` frames up.
    """
    result = _new(Box.face)
    result.value = y
    result.version = x.version or versioned(x)
    base = x.base
    if base is None:
        base, chain = x, ()
    else:
        chain = x.chain
    result.base, result.seen = base, base.writes
    result.chain = (*chain, (prim, params, None))
    if x.node is not None and recording.get():
        spec = Spec(x.value.shape, x.value.dtype)
        unread = Unread((spec,))
        _recorded(result, prim, params, (x.node,), (True,), unread, depth + 1)
    elif x.inference:
        result.inference = True
    return result


def picked(prim, x, index, dim):
    """`prim` (index) of `x` at the integer tensor `index`, both of them `seen`."""
    value, params = x.value, {"dim": dim}
    result = _made(quiet.run(prim.eager, value, index.value, **params))
    if x.node is not None and recording.get():
        parents, need = (x.node, None), (True, False)
        node = _recorded(result, prim, params, parents, need, ())
        node.saved = (Spec(value.shape, value.dtype), save(node, 1, index))
    return result


# ---------------------------------------------------------------- results


def _made(y):
    """The tensor around what an operation of NumPy's gave."""
    result = _new(Box.face)
    result.value = y if type(y) is _ndarray else np.asarray(y)
    if inferring.get() and not recording.get():
        result.inference = True
    else:
        result.plain = True
    return result


def _recorded(result, prim, params, parents, need, saved, depth=3):
    """The node of `result`. The user, most often, called what is `depth` frames up."""
    frame = _frame(depth)
    code = frame.f_code
    at = code, frame.f_lasti, scope.get()
    site = user_site(depth) if ours[code.co_filename] else at
    result.node = node = Node(prim, params, parents, need, saved, site)
    return node


def _kept(node, keeps, xs, shape):
    """What the rule of `node` reads of each input: itself, or its shape if not y's."""
    saved = []
    for i, x in enumerate(xs):
        if keeps and keeps[i]:
            saved.append(save(node, i, x) if isinstance(x, Box) else x)
        elif node.parents[i] is None or x.value.shape == shape:
            saved.append(None)
        else:
            saved.append(Spec(x.value.shape, x.value.dtype))
    return saved
