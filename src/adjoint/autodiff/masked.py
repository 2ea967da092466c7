"""Masked: x[mask] while the mask has no numbers, so that nobody knows how many places it has.

What is done to it element by element is done to all of x, with ones where the mask does not
hold; written back under the same mask it is a choice between the two. All else is an error.
"""

from __future__ import annotations

import math

import numpy as np

from ..core.bind import Box, bind, dtype_of
from ..core.level import Level
from ..core.primitive import Elementwise, op
from ..errors import TraceError


class UnknownShapeError(TraceError, AttributeError):
    """What is asked for depends on how often the mask holds."""


class Places(Box):
    """What lies under a tensor x[mask]: of its shape only the rank is known."""

    def __init__(self, whole, rank: int, error):
        self.__dict__.update(whole=whole, ndim=rank, error=error)
        self.__dict__["dtype"] = dtype_of(whole)

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        raise self.error.with_traceback(None)


class Masked(Level):
    """The places that one mask chooses, of tensors that begin with its shape."""

    depth = math.inf  # nothing below knows of it

    def __init__(self, mask):
        self.key, self.mask = _key(mask), mask
        self.rank = len(mask.shape)
        self.error = UnknownShapeError(
            "the shape of this result depends on the values of a mask, which are not there "
            "inside a trace or vmap",
            hint="where(mask, a, b) keeps the shape; x[mask] = number works too, and so does "
            "x[mask] = y[mask] with what is done element by element",
        )

    def taken(self, x):
        """x[mask]."""
        mask = self.over(x)
        return self._around(op.where(mask, x, op.ones_like(x)))

    def over(self, x):
        """The mask with dims of size 1 after its own, as `x` has dims after them."""
        tail = (1,) * (len(x.shape) - self.rank)
        mask = self.mask
        return op.reshape(mask, shape=(*mask.shape, *tail)) if tail else mask

    def process(self, prim, args, params):
        each = isinstance(prim, Elementwise) or prim in (op.cast, op.contiguous)
        ranks = {x.value.ndim for x in args if self._has(x)}
        others = [x for x in args if not self._has(x)]
        if not each or len(ranks) > 1 or not all(_fits(x, *ranks) for x in others):
            raise self.error.with_traceback(None)
        return self._around(bind(prim, *map(self._under, args), **params))

    def _has(self, x) -> bool:
        """Whether it is of the same places, by whatever tensor the mask was told."""
        level = x.level if isinstance(x, Box) else None
        return isinstance(level, Masked) and level.key == self.key

    def _under(self, x):
        return x.value.whole if self._has(x) else x

    def _around(self, whole):
        rank = len(whole.shape) - self.rank + 1
        return self.wrap(Places(whole, rank, self.error))

    def wrap(self, value):
        """A tensor of these places."""
        out = object.__new__(Box.face)
        out.level, out.value = self, value
        return out

    def cut(self, x, f):
        """f of all of x, as a tensor of the same places."""
        return self._around(f(x.value.whole))

    def written(self, x, mask):
        """What x[mask] = this writes where the mask holds, for all of x."""
        if _key(mask) != self.key:
            raise self.error.with_traceback(None)
        return x.value.whole

    def become(self, x, new):
        """x ← new, a tensor like it: what is written to it is written nowhere else."""
        if self._has(new) and new.value.ndim == x.value.ndim:
            new = new.value.whole
        elif not _fits(new, 1):
            raise self.error.with_traceback(None)
        old = x.value.whole
        if dtype_of(new) != dtype_of(old):
            new = op.cast(new, dtype=dtype_of(old))
        if tuple(new.shape) != tuple(old.shape):
            new = op.expand(new, shape=tuple(old.shape))
        x.value = Places(new, x.value.ndim, self.error)
        return x


def _fits(x, rank) -> bool:
    """Whether something meets each of the chosen places alike, whatever their number."""
    shape = tuple(x.shape) if hasattr(x, "shape") else ()
    return len(shape) < rank or (len(shape) == rank and shape[0] == 1)


def _key(mask):
    """What tells whether two masks are one: the value in a program, or the numbers below vmap."""
    dims = []
    while isinstance(mask, Box) and hasattr(mask, "value"):
        dims.append(mask.__dict__.get("batch_dim"))
        mask = mask.value
    numbers = isinstance(mask, np.ndarray)
    return *dims, (mask.shape, mask.tobytes()) if numbers else mask.var
