"""Formulas: a rule that a record has in NumPy, written as code for lanes of doubles.

The rule runs once on `Formula`s, on which NumPy's functions write instructions. Where it is
made of pieces, all of them are computed and each lane takes its own.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from ..llvm import text as ir
from . import cipher
from .kinds import DOUBLE

_SIGNS = {
    "less": "<",
    "less_equal": "<=",
    "greater": ">",
    "greater_equal": ">=",
    "equal": "==",
    "not_equal": "!=",
}
_SUMS = {"add": "add", "subtract": "sub"}
_NAMES = {
    "multiply": "mul",
    "divide": "div",
    "negative": "neg",
    "absolute": "abs",
    "bitwise_and": "bit_and",
    "bitwise_or": "bit_or",
    "invert": "bit_not",
    "rint": "round",
}


class Formula(np.lib.mixins.NDArrayOperatorsMixin):
    """A value of a rule, of which each lane has one number, or a mask.

    `inside` has the masks of the pieces that are being written: loops look at no other lanes.
    """

    shape, dtype = (), np.dtype(np.float64)

    def __init__(self, b, x, inside):
        self.b, self.x, self.inside = b, x, inside

    def _of(self, x):
        return Formula(self.b, x, self.inside)

    def _number(self, x):
        """The same as lanes of doubles."""
        return self.b.number(_operand(x), self.b.vector(DOUBLE))

    def __array_ufunc__(self, ufunc, method, *xs, **_):
        if method != "__call__":
            return NotImplemented
        name, xs = ufunc.__name__, [_operand(x) for x in xs]
        return self._of(_written(self.b, name, xs))

    def __array_function__(self, function, types, args, kwargs):
        return getattr(self, f"_{function.__name__}")(*args)

    def _where(self, mask, x, y):
        if not isinstance(mask, Formula):
            return x if mask else y
        return self._of(self.b.select(mask.x, self._number(x), self._number(y)))

    def _clip(self, x, low, high):
        return np.minimum(np.maximum(x, low), high)

    def _round(self, x):
        return np.rint(x)

    def _ones_like(self, x):
        return self._of(self._number(1.0))

    def _zeros_like(self, x):
        return self._of(self._number(0.0))

    # ------------------------------------------------------------ what rules ask for

    def pieces(self, cases, *others):
        """The formula of the first condition that holds; NaN elsewhere."""
        b, y = self.b, self._of(self._number(math.nan))
        free, masks = None, []
        for condition, _ in cases:
            here = condition.x
            masks.append(here if free is None else b.bit_and(free, here))
            rest = b.bit_not(here)
            free = rest if free is None else b.bit_and(free, rest)
        for mask, (_, formula) in zip(masks, cases, strict=True):
            self.inside.append(mask)
            found = formula(self, *others)
            self.inside.pop()
            y = np.where(self._of(mask), found, y)
        return y

    def native(self, name):
        """A function that lanes have themselves, once in the module."""
        y = self.b.shared(f"{name} alone", lambda b, x: getattr(b, name)(x), self.x)
        return self._of(y)

    def pair_of(self, attempt, low, high):
        """Two random numbers of the block that this is; see `core.philox`."""
        xs = [self._number(x) for x in (self, attempt, low, high)]
        return tuple(map(self._of, cipher.pair_of(self.b, *xs)))

    def repeated(self, condition, step, state):
        """step(*state) again and again, in each lane for as long as the condition holds."""

        def going(*now):
            masks = condition(*map(self._of, now)).x, *self.inside
            return functools.reduce(self.b.bit_and, masks)

        def on(*now):
            return [self._number(x) for x in step(*map(self._of, now))]

        found = self.b.repeated(going, on, [self._number(x) for x in state])
        return tuple(map(self._of, found))


def _operand(x):
    """A value of lanes, or a number of Python."""
    return x.x if isinstance(x, Formula) else float(x)


def _written(b, name, xs):
    if name in _SIGNS:
        return b.compare(_SIGNS[name], *xs)
    if name == "power" and not isinstance(xs[1], ir.Value):
        n = xs[1]
        return b.power(xs[0], int(n) if n == int(n) else n)
    if name == "power":
        return b.pow(*b.both(*xs))
    if name in _SUMS:  # rounded as NumPy does, for what cancels
        return b.rounded(_SUMS[name], *xs)
    return getattr(b, _NAMES.get(name, name))(*xs)


def written(b, rule, xs, params):
    """rule(*xs, **params) in lanes of doubles."""
    inside: list = []
    y = rule(*(Formula(b, x, inside) for x in xs), **params)
    return b.number(_operand(y), xs[0])


__all__ = ["Formula", "written"]
