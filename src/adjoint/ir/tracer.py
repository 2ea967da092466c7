"""Traced values: a shape and a dtype, and the level that writes their operations down."""

from __future__ import annotations

from contextlib import contextmanager
from itertools import count

import numpy as np

from ..core.bind import Box, at_bottom, depth
from ..core.dtype import is_inexact
from ..core.level import Floor
from ..core.primitive import op
from ..errors import TraceError, differentiating, user_site
from .graph import Const, Graph
from .laying import Strides
from .positions import tied


class Stateful(TraceError):
    """A part of a program would change what lies outside."""


_orders = count(1)


def next_number() -> int:
    """A number above those of all values so far."""
    return next(_orders)


class Follower:
    """What writes a program so that derivatives go in it as they go on the tape above.

    What `detach` cut off, or was made under `no_grad`, is x to all that reads it, but passes no
    derivative; what was written in place unseen by the tape passes it where x has its place.
    """

    graph: Graph
    fixed: set  # variables that depend on nothing with a derivative

    def is_fixed(self, var) -> bool:
        """Whether no derivative passes it anyway."""
        return var in self.fixed or isinstance(var, Const)

    def passing(self, var, node, left):
        """The variable of a value whose place is `node`; `left` has places that it left."""
        at, whole = (None, False) if node is None else left.get(node, (var, False))
        if at is var or not is_inexact(var.spec.dtype):
            return var
        if at is None and self.is_fixed(var):
            return var
        inputs = [var] if at is None else [var, at]
        (out,) = self.graph.add(op.unrecorded, inputs, {"whole": whole})
        if at is None:
            self.fixed.add(out)
        return out


class TraceLevel(Floor):
    """The interpreter that writes operations down."""

    depth = 0

    def __init__(self, name: str):
        self.graph = Graph(name)
        self.sections = 0  # that are written down, in which no state may change
        self.begun = 0  # the number of the next value when the innermost part began
        # Places in a graph -> the variable there, and whether with its tangent; None: none.
        self.left: dict = {}

    closed = False  # the program is finished
    strides: Strides | None = None

    def lies(self, value):
        if self.strides is None:
            self.strides = Strides(self.graph, self.lies_outside)
        return self.strides.of(value.var)

    def trims(self, graph) -> None:
        # On the way back nothing is refused that was not before.
        if not differentiating():
            graph.outputs = tied(graph, graph.outputs)

    def lies_outside(self, var):
        """The same of an input."""

    def process(self, prim, args, params):
        if self.closed:
            raise TraceError(
                f"{prim.name}: a value of the finished program {self.graph.name!r} was used",
                hint="return it from the function; what it keeps aside has no numbers",
            )
        inputs = [self.var(x) for x in args]
        outputs = self.graph.add(prim, inputs, params, user_site())
        boxes = tuple(Tracer(self, v) for v in outputs)
        return boxes if prim.outputs != 1 else boxes[0]

    # ------------------------------------------------------------ parts

    @contextmanager
    def apart(self):
        """Inside, what changes anything from outside raises `Stateful`."""
        before = self.begun, self.within
        self.sections, self.begun = self.sections + 1, next_number()
        self.within = depth()
        try:
            yield
        finally:
            self.sections, (self.begun, self.within) = self.sections - 1, before

    def changes(self, x) -> None:
        y = at_bottom(x if x.base is None else x.base)
        if isinstance(y, Tracer):
            outside = y.order < self.begun
        else:
            outside = self.sections and x.level.depth > Box.level.depth
        if outside:
            raise from_outside(x)

    def leaves(self, x, whole: bool) -> None:
        if x.level.ground and x.node is not None:
            y = at_bottom(x)
            if isinstance(y, Tracer):
                self.left.setdefault(x.node, (y.var, whole))

    def begins(self, x) -> None:
        if x.level.ground:
            self.left[x.node] = None, False

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
    detached = False

    def __init__(self, level, var):
        self.level, self.var, self.order = level, var, next_number()

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


def from_outside(x) -> Stateful:
    """The error for a write to what the body of a branch or loop has from outside."""
    return Stateful(
        f"a tensor of shape {tuple(x.shape)} is written in place in the body of a branch or "
        "loop, which has it from outside",
        hint="write x = x + 1 for x += 1, or write to x.clone(), and return what is new",
    )


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
