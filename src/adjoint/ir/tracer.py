"""Traced values: a shape and a dtype, and the level that writes their operations down."""

from __future__ import annotations

import numpy as np

from ..core.bind import Box, Level
from ..core.primitive import op
from ..errors import TraceError, user_site
from .graph import Graph


def in_backward(site):
    """The site of an operation as that of its derivative; None for none."""
    return site and (*site[:2], f"{site[2]}, backward" if site[2] else "backward")


class TraceLevel(Level):
    """The interpreter that writes operations down."""

    depth = 0

    def __init__(self, name: str):
        self.graph = Graph(name)

    closed = False  # the program is finished
    walking: tuple | None = None  # the site of what is differentiated just now

    def process(self, prim, args, params):
        if self.closed:
            raise TraceError(
                f"{prim.name}: a value of the finished program {self.graph.name!r} was used",
                hint="return it from the function; what it keeps aside has no numbers",
            )
        inputs = [self.var(x) for x in args]
        outputs = self.graph.add(prim, inputs, params, self.walking or user_site())
        boxes = tuple(Tracer(self, v) for v in outputs)
        return boxes if prim.outputs != 1 else boxes[0]

    def walks(self, site) -> None:
        self.walking = in_backward(site)

    def var(self, x):
        """The variable of a traced value; any other value is a constant."""
        if isinstance(x, Tracer):
            if x.level is not self:
                raise TraceError("a value of one trace was used in another")
            return x.var
        return self.graph.const(np.asarray(x))


class Tracer(Box):
    """A value of the program being written: a shape and a dtype, no numbers yet."""

    base = node = tangent = None

    def __init__(self, level, var):
        self.level, self.var = level, var

    shape = property(lambda self: self.var.spec.shape)
    dtype = property(lambda self: self.var.spec.dtype)
    ndim = property(lambda self: len(self.var.spec.shape))

    def sync(self):
        """A traced value is never a view."""

    def __repr__(self):
        return f"Traced({self.var})"

    def __bool__(self):
        raise TraceError(
            "Python cannot branch on a traced value: it has no number yet",
            hint="where(condition, a, b) computes both and selects",
        )

    __hash__ = object.__hash__

    def __neg__(self):
        return op.neg(self)


def _operator(name: str) -> None:
    prim = getattr(op, name)
    setattr(Tracer, _DUNDERS[name].format(""), lambda a, b: prim(*_beside(a, b)))
    if name in _REFLECTED:
        setattr(
            Tracer, _DUNDERS[name].format("r"), lambda a, b: prim(*_beside(a, b)[::-1])
        )


def _beside(x, y):
    """A traced value and what it meets, in one dtype: numbers take the value's."""
    if isinstance(y, Box):
        return x, y
    if isinstance(y, complex) and x.dtype.kind != "c":
        wide = np.result_type(x.dtype, np.complex64)
        return op.cast(x, dtype=wide), np.asarray(y, wide)
    return x, np.asarray(y, x.dtype)


_REFLECTED = ("add", "sub", "mul", "div", "pow")
_DUNDERS = {
    "add": "__{}add__",
    "sub": "__{}sub__",
    "mul": "__{}mul__",
    "div": "__{}truediv__",
    "pow": "__{}pow__",
    "eq": "__{}eq__",
    "ne": "__{}ne__",
    "lt": "__{}lt__",
    "le": "__{}le__",
    "gt": "__{}gt__",
    "ge": "__{}ge__",
}
for _name in _DUNDERS:
    _operator(_name)
