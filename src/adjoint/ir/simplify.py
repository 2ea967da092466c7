"""Simplify: a program in fewer operations, by a table of rules.

A rule looks at one operation and at what made its inputs, and gives a value that is the same
for all numbers, NaN, infinities and signs of zeros among them. Equal operations are one, what
is known is computed once and for all, and what no result needs is left out.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..core.primitive import Elementwise, op, spec_of
from ..errors import ArgumentError
from ..ops.contract import among, letters_of
from .copies import product_of_copies, summed_copies
from .diagonals import by_diagonal, diagonal
from .graph import LOOPS, Const, Graph
from .picking import picked, sum_of_put
from .rewrite import Rewriter
from .tracer import Tracer


class Rule(NamedTuple):
    """If `of` finds what it stands for in an operation of this primitive, the simpler value."""

    prim: str
    text: str
    of: Callable

    @property
    def name(self) -> str:
        return f"{self.prim}: {self.text}"


class Match:
    """One operation about to be written, and how its inputs were made."""

    def __init__(self, level, xs, params):
        self.level, self.xs, self.params = level, xs, params
        self.x = xs[0] if xs else None

    def __getattr__(self, name):
        return self.params[name]

    def inputs(self, x, name):
        """The inputs of `x` if it is a result of this primitive, else ()."""
        o = self.level.maker.get(x.var)
        return o[1] if o is not None and o[0].name == name else ()

    def made(self, x, name):
        """The params of `x` if it is a result of this primitive, else None."""
        o = self.level.maker.get(x.var)
        return o[2] if o is not None and o[0].name == name else None

    def number(self, x):
        """The number that all elements of `x` are, if that is known; else None."""
        return self.level.number(x.var)

    def is_number(self, x, value) -> bool:
        found = self.number(x)
        return found is not None and found == value and not _negative_zero(found)

    def shape(self):
        """The shape of the result of broadcasting the inputs."""
        return np.broadcast_shapes(*(x.shape for x in self.xs))

    def alone(self, x):
        """`x` as the result, where the other inputs only stretch it."""
        shape = self.shape()
        if any(y.dtype != x.dtype for y in self.xs):
            return None
        return x if x.shape == shape else op.expand(x, shape=shape)


def _negative_zero(x) -> bool:
    return isinstance(x, float) and x == 0 and math.copysign(1, x) < 0


# ---------------------------------------------------------------- what rules do


def _beside(m, value, side):
    """The other input, if that on this side (0, 1) is this number."""
    return m.alone(m.xs[1 - side]) if m.is_number(m.xs[side], value) else None


def _plus_nothing(m, side):
    """x + (-0.0) is x; of whole numbers x + 0 too. (-0.0 + 0.0 is 0.0.)"""
    n = m.number(m.xs[side])
    if n is None or n != 0 or (isinstance(n, float) and not _negative_zero(n)):
        return None
    return m.alone(m.xs[1 - side])


def _unnegated(m, side, prim):
    """a ± (-b) as a ∓ b."""
    found = m.inputs(m.xs[side], "neg")
    if not found or m.xs[0].dtype != m.xs[1].dtype or m.x.dtype.kind == "b":
        return None
    return prim(m.xs[1 - side], found[0])


def _two_signs(m):
    a, b = (m.inputs(x, "neg") for x in m.xs)
    return op.mul(a[0], b[0]) if a and b else None


def _of_spec(m, x, **spec):
    """`x`, if it is already what the operation would make of it."""
    return x if all(getattr(x, k) == v for k, v in spec.items()) else None


def _twice(m, prim, **params):
    """The same operation on what its input was made of."""
    found = m.inputs(m.x, prim.name)
    return prim(found[0], **params) if found else None


def _permuted_twice(m):
    inner = m.made(m.x, "permute")
    if inner is None:
        return None
    dims = tuple(inner["dims"][d] for d in m.dims)
    return op.permute(m.inputs(m.x, "permute")[0], dims=dims)


def _all_of_it(m):
    """A slice of everything."""
    sizes = m.x.shape
    whole = len(m.key) == len(sizes) and all(
        isinstance(k, tuple) and k == (0, n, 1)
        for k, n in zip(m.key, sizes, strict=False)
    )
    return m.x if whole else None


def _back_in_place(m):
    """The part of zeros around x that is x."""
    inner = m.made(m.x, "unslice")
    same = inner is not None and tuple(inner["key"]) == tuple(m.key)
    return m.inputs(m.x, "unslice")[0] if same else None


def _first_of_where(m):
    """A choice that is known, or between equals."""
    if m.xs[1].var is m.xs[2].var:
        chosen = m.xs[1]
    else:
        known = m.number(m.x)
        if known is None:
            return None
        chosen = m.xs[1] if known else m.xs[2]
    if m.xs[1].dtype != m.xs[2].dtype:
        return None
    shape = m.shape()
    return chosen if chosen.shape == shape else op.expand(chosen, shape=shape)


def _of_elements(m):
    """A contraction whose second operand has no letter of its own: products, summed."""
    left, right, out = letters_of(m.spec)
    if m.x.dtype.kind != "f" or m.x.dtype.itemsize < 4:
        return None
    if not set(left) - set(out) and not set(right) - set(out):
        return op.mul(
            *(among(x, s, out) for x, s in zip(m.xs, (left, right), strict=True))
        )
    pairs = ((left, right), (right, left))
    for x, (large, small) in enumerate(pairs):
        summed = [c for c in large if c not in out]
        n = len(summed)
        ends = list(large[:n]), list(large[len(large) - n :])
        if set(small) <= set(large) and summed in ends and _kept(large, out) == out:
            terms = op.mul(m.xs[x], among(m.xs[1 - x], small, large))
            return op.sum(terms, dim=tuple(map(large.index, summed)), keepdim=False)
    return None


def _kept(letters, out):
    return "".join(c for c in letters if c in out)


def _of_nothing(m, prim):
    """What sums up products, where there are none: zeros."""
    if 0 not in (*m.xs[0].shape, *m.xs[1].shape):
        return None
    return _filled(m, 0, prim.infer(*map(spec_of, m.xs), **m.params))


def _filled(m, number, like):
    """As many elements as `like` has, all of them one number: it itself is not needed."""
    number = m.level.constant(np.array(number, like.dtype))
    return op.expand(number, shape=like.shape)


def _constant_as(m, shape):
    """A constant of one element in this shape, if there is one and it is not so already."""
    v = m.x.var
    if not isinstance(v, Const) or v.spec.size != 1 or v.spec.shape == shape:
        return None
    return m.level.constant(v.value.reshape(shape))


def _stretched_number(m):
    """Copies of a number: it is written as such."""
    x = _constant_as(m, ())
    return None if x is None else op.expand(x, shape=m.params["shape"])


RULES = (
    *(
        Rule(name, "of nothing = 0", lambda m, name=name: _of_nothing(m, getattr(op, name)))
        for name in ("contract", "conv", "conv_data", "conv_weight")
    ),
    Rule("contract", "a matrix times a vector is a sum", _of_elements),
    Rule("contract", "of copies of a row, copies", product_of_copies),
    Rule("contract", "diag(d) M = d M, row by row", by_diagonal),
    Rule("pow_scalar", "x¹ = x", lambda m: m.x if m.exponent == 1 else None),
    Rule("pow_scalar", "x⁰ = 1", lambda m: op.ones_like(m.x) if m.exponent == 0 else None),
    Rule("mul", "x 1 = x", lambda m: _beside(m, 1, 1)),
    Rule("mul", "1 x = x", lambda m: _beside(m, 1, 0)),
    Rule("mul", "(-a)(-b) = a b", _two_signs),
    Rule("div", "x / 1 = x", lambda m: _beside(m, 1, 1)),
    Rule("add", "x + (-0) = x", lambda m: _plus_nothing(m, 1)),
    Rule("add", "(-0) + x = x", lambda m: _plus_nothing(m, 0)),
    Rule("add", "a + (-b) = a - b", lambda m: _unnegated(m, 1, op.sub)),
    Rule("add", "(-a) + b = b - a", lambda m: _unnegated(m, 0, op.sub)),
    Rule("sub", "x - 0 = x", lambda m: _beside(m, 0, 1)),
    Rule("sub", "a - (-b) = a + b", lambda m: _unnegated(m, 1, lambda a, b: op.add(a, b))),
    Rule("neg", "-(-x) = x", lambda m: (m.inputs(m.x, "neg") or (None,))[0]),
    Rule("guard", "x where x is 0 = x", lambda m: m.x if m.x.var is m.xs[1].var else None),
    Rule("where", "a choice that is known", _first_of_where),
    Rule("stop_gradient", "x", lambda m: m.x),
    Rule("contiguous", "x", lambda m: m.x),
    Rule("cast", "to its own dtype", lambda m: _of_spec(m, m.x, dtype=m.dtype)),
    Rule("expand", "to its own shape", lambda m: _of_spec(m, m.x, shape=tuple(m.params["shape"]))),
    Rule("expand", "of a number", _stretched_number),
    Rule("expand", "twice", lambda m: _twice(m, op.expand, shape=m.params["shape"])),
    Rule("reshape", "to its own shape", lambda m: _of_spec(m, m.x, shape=tuple(m.params["shape"]))),
    Rule("reshape", "of a number", lambda m: _constant_as(m, tuple(m.params["shape"]))),
    Rule("reshape", "twice", lambda m: _twice(m, op.reshape, shape=m.params["shape"])),
    Rule("permute", "no dim", lambda m: m.x if tuple(m.dims) == tuple(range(m.x.ndim)) else None),
    Rule("permute", "twice", _permuted_twice),
    Rule("slice", "all of it", _all_of_it),
    Rule("slice", "what was put there", _back_in_place),
    Rule("sum", "of 2ⁿ equal ones", summed_copies),
    Rule("ones_like", "a number", lambda m: _filled(m, 1, m.x)),
    Rule("zeros_like", "a number", lambda m: _filled(m, 0, m.x)),
    Rule("sum", "of rows with one number", sum_of_put),
    Rule("pick", "f(a, b) at i = f(a at i, b at i)", picked),
)  # fmt: skip
_BY_PRIM: dict = {}
for _rule in RULES:
    _BY_PRIM.setdefault(_rule.prim, []).append(_rule)
_SPREADS = frozenset(["expand", "reshape", "permute", "slice", "flip", "contiguous"])


class Simplifier(Rewriter):
    """Writes a program, each operation as simple as the rules make it."""

    def __init__(self, name: str):
        super().__init__(name)
        self.maker: dict = {}  # result -> (primitive, inputs, params)
        self.numbers: dict = {}  # result -> the number that all its elements are
        self.diagonals: dict = {}  # result -> what stands on its diagonal
        self.used: Counter = Counter()  # names of rules

    def process(self, prim, args, params):
        xs = [x if isinstance(x, Tracer) else Tracer(self, self.var(x)) for x in args]
        y = self._simpler(prim, xs, params)
        if y is not None:
            return y
        y = super().process(prim, xs, params)
        if prim.outputs != 1:
            return tuple(self._known_if_empty(v, prim) for v in y)
        self.maker[y.var] = prim, xs, params
        self._see_diagonal(y, prim, xs, params)
        return self._known_if_empty(y, prim)

    def _known_if_empty(self, y, prim):
        """A result; if it has no elements, a constant: nothing is left to compute."""
        if y.var.spec.size or prim.calls_back:
            return y
        self.used["what has no elements is known"] += 1
        return self.constant(np.empty(y.shape, y.dtype))

    def _see_diagonal(self, y, prim, xs, params):
        found = diagonal(prim, xs, params, self.diagonals, self._is_zero)
        if found is not None:
            self.diagonals[y.var] = found

    def _is_zero(self, x) -> bool:
        return self.number(x.var) == 0

    def _simpler(self, prim, xs, params):
        for rule in _BY_PRIM.get(prim.name, ()):
            y = rule.of(Match(self, xs, params))
            if y is not None:
                self._check(rule, y, prim, xs, params)
                self.used[rule.name] += 1
                return y
        if isinstance(prim, Elementwise):
            y = self._plain_numbers(prim, xs, params)
            return self._computed(prim, xs, params) if y is None else y
        return None

    def _check(self, rule, y, prim, xs, params):
        """The verifier of rules: what they give is of the shape and dtype that was."""
        spec = prim.infer(*(x.var.spec for x in xs), **params)
        if y.var.spec != spec:
            raise ArgumentError(f"rule {rule.name!r} made {y.var.spec} of {spec}")

    def _computed(self, prim, xs, params):
        """What an operation gives for numbers that are all known."""
        if not all(isinstance(x.var, Const) and x.var.spec.size == 1 for x in xs):
            return None
        shape = np.broadcast_shapes(*(x.shape for x in xs))
        with np.errstate(all="ignore"):
            value = prim.eager(*(x.var.value.reshape(()) for x in xs), **params)
        self.used["known numbers are computed"] += 1
        y = Tracer(self, self.graph.const(np.asarray(value)))
        return op.expand(y, shape=shape) if shape else y

    def _plain_numbers(self, prim, xs, params):
        """An input whose elements are all one number is that number."""
        shape = np.broadcast_shapes(*(x.shape for x in xs))
        numbers = [self._number_in(x) for x in xs]
        if all(n is None for n in numbers):
            return None
        plain = [
            x if n is None else self.constant(np.array(n, x.dtype))
            for x, n in zip(xs, numbers, strict=True)
        ]
        y = prim(*plain, **params)
        self.used["numbers are not stretched"] += 1
        return y if y.shape == shape else op.expand(y, shape=shape)

    def _number_in(self, x):
        """The number that all its elements are, if it is not written as such already."""
        written = x.shape == () and isinstance(x.var, Const)
        return None if written else self.number(x.var)

    def constant(self, value):
        return Tracer(self, self.graph.const(value))

    def number(self, v):
        """The number that all elements of a value are, or None."""
        if v not in self.numbers:
            self.numbers[v] = self._number(v)
        return self.numbers[v]

    def _number(self, v):
        if isinstance(v, Const):
            if v.spec.size == 1:
                return v.value.reshape(()).item()
            return None
        made = self.maker.get(v)
        if made is None or v.spec.size == 0:
            return None
        return self.number(made[1][0].var) if made[0].name in _SPREADS else None


def _diagonal(level, value):
    """A constant; of ones on a diagonal what says so, which needs no memory."""
    x = Tracer(level, level.graph.const(value))
    if value.ndim != 2 or not min(value.shape) > 1 or not value[0].any():
        return x
    offset = int(np.argmax(value[0] != 0))
    if not np.array_equal(value, np.eye(*value.shape, k=offset, dtype=value.dtype)):
        return x
    count = min(value.shape[0], value.shape[1] - offset)
    ones = op.expand(level.constant(np.ones((), value.dtype)), shape=(count,))
    place = {"offset": offset, "dim1": 0, "dim2": 1}
    return op.undiagonal(ones, shape=value.shape, **place)


def simplified(graph: Graph, used: Counter | None = None) -> Graph:
    """The program, and the programs of its loops and branches, simplified.

    `used` counts the rules that were used.
    """
    level = Simplifier(graph.name)
    env: dict = {}
    for v in graph.inputs:
        env[v] = Tracer(level, level.graph.add_input(v.name, v.spec))
    for c in graph.consts:
        env[c] = _diagonal(level, c.value)
    for o in graph.operations:
        level.follow(o)
        params = o.params
        if o.prim.name in LOOPS:
            params = {
                k: simplified(p, level.used) if isinstance(p, Graph) else p
                for k, p in params.items()
            }
        ys = o.prim(*(env[v] for v in o.inputs), **params)
        for v, y in zip(o.outputs, ys if o.prim.outputs != 1 else (ys,), strict=True):
            env[v] = y
    level.graph.outputs = [env[v].var for v in graph.outputs]
    if used is not None:
        used.update(level.used)
    return level.graph.without_dead()


__all__ = ["RULES", "Rule", "simplified"]
