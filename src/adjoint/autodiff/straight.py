"""The straight path: a common operation on arrays, in one Python frame.

What `bind` and the tape do in six, for the common case alone: arrays of the base tape, of one
dtype, NumPy below. For all else, and every error, it answers None and the caller goes the
general way. The record, the node and the numbers are the same.
"""

from __future__ import annotations

import sys

import numpy as np

from ..core.bind import NUMPY, Box, bind, floor, quiet
from ..core.shape import Spec
from ..errors import ours, scope, user_site
from .keeping import pack_result, save
from .modes import inferring, packing, recording
from .node import UNREAD1, UNREAD2, Node, Unread
from .tape import BASE, at_hand
from .versions import versioned
from .views import shares

_NONE: dict = {}
_new, _ndarray, _frame = object.__new__, np.ndarray, sys._getframe


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
            straight = x.plain or at_hand(x)
            value = x.value
            straight = straight and value.dtype.kind in kinds
        except AttributeError:
            return None
        if not straight or floor.get() is not NUMPY:
            return None
        try:
            if reads and params:
                y = quiet.run(eager, value, **params)
            else:
                y = quiet.run(eager, value)
        except (TypeError, ValueError):
            return None
        result = _new(Box.face)
        result.value = y if type(y) is _ndarray else np.asarray(y)
        result.plain = True
        if tracks and x.node is not None and recording.get():
            frame = _frame(2)
            code = frame.f_code
            at = code, frame.f_lasti, scope.get()
            site = user_site(3) if ours[code.co_filename] else at
            result.node = node = Node(prim, params, (x.node,), need, UNREAD1, site)
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
    floats = "f" if "f" in kinds else ""
    both, left, right = (prim.plan(p) for p in ((1, 1), (1, None), (None, 1)))

    def run(x1, x2):
        p1 = p2 = v1 = v2 = None
        number = True
        try:
            kind1, kind2 = type(x1), type(x2)
            if kind2 is float or kind2 is int:
                if not (x1.plain or at_hand(x1)):
                    return None
                a, p1, v1 = x1.value, x1.node, x1.version
                if a.dtype.kind not in floats:
                    return None
                b = x2 = np.array(x2, a.dtype)
            elif kind1 is float or kind1 is int:
                if not (x2.plain or at_hand(x2)):
                    return None
                b, p2, v2 = x2.value, x2.node, x2.version
                if b.dtype.kind not in floats:
                    return None
                a = x1 = np.array(x1, b.dtype)
            else:
                number = False
                if not (x1.plain or at_hand(x1)) or not (x2.plain or at_hand(x2)):
                    return None
                a, p1, v1 = x1.value, x1.node, x1.version
                b, p2, v2 = x2.value, x2.node, x2.version
                d = a.dtype
                if d is not b.dtype or d.kind not in kinds:
                    return None
            if floor.get() is not NUMPY:
                return None
            y = quiet.run(eager, a, b)
        except (AttributeError, OverflowError, ValueError, TypeError):
            return None
        result = _new(Box.face)
        result.value = y if type(y) is _ndarray else np.asarray(y)
        result.plain = True
        if (p1 is not None or p2 is not None) and tracks and recording.get():
            need, keeps = left if p2 is None else right if p1 is None else both
            frame = _frame(2)
            code = frame.f_code
            at = code, frame.f_lasti, scope.get()
            site = user_site(3) if ours[code.co_filename] else at
            result.node = node = Node(prim, _NONE, (p1, p2), need, UNREAD2, site)
            if (
                v1 is v2 is None
                and (number or a.shape == b.shape)
                and not packing.get()
            ):
                if keeps is not None:
                    node.saved = (x1 if keeps[0] else None, x2 if keeps[1] else None)
            else:
                node.saved = _kept(node, keeps or (False, False), (x1, x2), y.shape)
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
            if floor.get() is not NUMPY:
                return None
            y = quiet.run(np.matmul, a, b.T if turned else b)
        except (AttributeError, ValueError):
            return None
        result = _new(Box.face)
        result.value = y if type(y) is _ndarray else np.asarray(y)
        result.plain = True
        p1, p2 = x1.node, x2.node
        if (p1 is not None or p2 is not None) and recording.get():
            need, keeps = left if p2 is None else right if p1 is None else both
            site = _site(_frame(2))
            result.node = node = Node(prim, params, (p1, p2), need, (), site)
            node.saved = tuple(
                save(node, i, x) if keeps[i] else Spec(x.value.shape, x.value.dtype)
                for i, x in enumerate((x1, x2))
            )
        elif inferring.get():
            result.inference, result.plain = True, False
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


def _kept(node, keeps, xs, shape):
    """What the reverse rule reads of each input: itself, or its shape if not y's."""
    saved = []
    for i, x in enumerate(xs):
        if keeps[i]:
            saved.append(save(node, i, x) if isinstance(x, Box) else x)
        elif node.parents[i] is None or x.value.shape == shape:
            saved.append(None)
        else:
            saved.append(Spec(x.value.shape, x.value.dtype))
    return saved


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
        site = _site(_frame(depth))
        result.node = Node(prim, params, (x.node,), (True,), Unread((spec,)), site)
    elif x.inference:
        result.inference = True
    return result


def picked(prim, x, index, dim):
    """`prim` (index) of `x` at the integer tensor `index`, both of them `seen`."""
    value = x.value
    result = _new(Box.face)
    y = quiet.run(prim.eager, value, index.value, dim=dim)
    result.value = y if type(y) is _ndarray else np.asarray(y)
    result.plain = True
    if x.node is not None and recording.get():
        params, spec = {"dim": dim}, Spec(value.shape, value.dtype)
        node = Node(prim, params, (x.node, None), (True, False), (), _site(_frame(2)))
        node.saved = (spec, save(node, 1, index))
        result.node = node
    elif inferring.get():
        result.inference, result.plain = True, False
    return result


def _site(frame):
    """Where the user called, who most often is the caller of our caller."""
    code = frame.f_code
    at = code, frame.f_lasti, scope.get()
    return user_site(3) if ours[code.co_filename] else at
