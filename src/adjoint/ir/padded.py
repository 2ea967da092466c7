"""Padded: a program for so many examples, made into one for any number up to that.

All values keep their shapes; the places beyond the examples that are there hold what nobody
reads. Operations that treat examples alike need no change. Where examples meet, in sums,
products and extremes over them, the places beyond are given what changes nothing.
"""

from __future__ import annotations

import math

import numpy as np

from ..core.primitive import op
from ..core.shape import Spec
from .examples import Rules
from .graph import Const, Graph
from .rewrite import Rewriter
from .sizes import Sizes, Unlike, where_of
from .tracer import Tracer

_INT = np.dtype("int64")


def padded(sizes: Sizes) -> Graph:
    """The program for up to `sizes.n` examples.

    Its last inputs are how many there are, and the constants that `sizes.values` tells.
    """
    return _Padding(sizes).whole()


class _Padding:
    """Writes one program; `outer` is that around the body of a loop."""

    def __init__(self, sizes: Sizes, name: str = ""):
        self.sizes = sizes
        self.level = Rewriter(name or sizes.graph.name)
        self.env: dict = {}
        self.tags: dict = {}  # value -> its Tag, or None
        self.masks: dict = {}  # (Tag, how many dims) -> which places are there
        self.extras: list = []  # (what it stands for, variable): the count, constants

    def whole(self) -> Graph:
        """The program, the count and all constants that differ among its inputs."""
        graph = self.level.graph
        self._inputs(self.sizes.graph)
        for key in ("count", *range(len(self.sizes.given))):
            self._extra(key)
        self._body(self.sizes.graph)
        return graph

    def _inputs(self, graph):
        for v in graph.inputs:
            self.env[v] = Tracer(self.level, self.level.graph.add_input(v.name, v.spec))

    def _body(self, graph):
        for o in graph.operations:
            self.level.follow(o)
            xs = [self._read(o, i, v) for i, v in enumerate(o.inputs)]
            ys = self._written(o, xs)
            ys = ys if o.prim.outputs != 1 else (ys,)
            self.env.update(zip(o.outputs, ys, strict=True))
        self._need_first(graph.outputs, "a result")
        ends = [self._read(graph, i, v) for i, v in enumerate(graph.outputs)]
        self.level.graph.outputs = [x.var for x in ends]

    def _tag(self, v):
        return self.tags[v] if v in self.tags else self.sizes.tag(v)

    def _need_first(self, values, what):
        """The places that are there must be the first ones."""
        tags = map(self._tag, values)
        if any(t and t.groups > 1 for t in tags):
            raise Unlike(f"{what} has its examples in groups")

    def _read(self, reader, i, v):
        """What an operation reads: a constant that differs is an input."""
        if not isinstance(v, Const):
            return self.env[v]
        k = self.sizes.place.get((reader, i))
        return self._extra(k) if k is not None else self.level.constant(v.value)

    def _extra(self, key):
        """The input that is the count, or the constant of a number."""
        for known, x in self.extras:
            if known == key:
                return x
        spec = Spec((), _INT) if key == "count" else self.sizes.given[key][0].spec
        name = "count" if key == "count" else f"k{key + 1}"
        x = Tracer(self.level, self.level.graph.add_input(name, spec))
        self.extras.append((key, x))
        return x

    def _written(self, o, xs):
        """The operation; where examples meet, of those that are there."""
        if o.bodies():
            return self._with_parts(o, xs, dict(o.params))
        if not any(self._tag(v) for v in (*o.inputs, *o.outputs)):
            return o.prim(*xs, **o.params)
        rules = Rules(o, self.sizes, self._tag)
        self.tags.update((v, rules.result(v)) for v in o.outputs)
        met = [(i, t) for i, t in rules.tags if t.dim in rules.joined(i)]
        if not met:
            return o.prim(*xs, **o.params)
        # A product with nothing is nothing: of two factors the smaller one will do.
        i, tag = min(met, key=lambda pair: self._weight(o.inputs[pair[0]]))
        xs = list(xs)
        xs[i] = self._masked(xs[i], tag, rules.neutral(xs[i].dtype))
        return self._mean(o, *xs) if o.prim.name == "mean" else o.prim(*xs, **o.params)

    def _weight(self, v):
        return v.spec.size, v in self.sizes.graph.inputs

    def _masked(self, x, tag, other):
        """x with a number in the places beyond."""
        key = tag, len(x.shape)
        if key not in self.masks:
            shape = [1] * len(x.shape)
            shape[tag.dim] = size = x.shape[tag.dim]
            example = np.arange(size) // tag.times % self.sizes.n
            places = self.level.constant(example.reshape(shape))
            self.masks[key] = op.lt(places, self._extra("count"))
        return op.where(self.masks[key], x, self.level.constant(other))

    def _mean(self, o, x):
        """A mean is a sum, of as many as there are."""
        others = math.prod(x.shape[d] for d in o.params["dim"]) // self.sizes.n
        count = op.mul(self._extra("count"), np.array(others))
        return op.div(op.sum(x, **o.params), op.cast(count, dtype=x.dtype))

    # ------------------------------------------------------------ bodies

    def _with_parts(self, o, xs, params):
        """A loop or branch: what its programs need besides comes from outside."""
        self._need_first(o.inputs, "what a loop works on")
        if o.prim.name == "scan":
            k, m = params["carries"], params["mapped"]
            tags = [self._tag(v) for v in o.inputs[k : k + m]]
            if any(t and t.dim == 0 for t in tags):
                raise Unlike(f"scan: it goes through the examples{where_of(o)}")
        for name, end in _ends(o):
            inner = _Padding(self.sizes, params[name].name)
            inner._inputs(params[name])
            inner._body(params[name])
            extras = [self._extra(key) for key, _ in inner.extras]
            xs = [*xs[:end], *extras, *xs[end:]] if end else [*xs, *extras]
            if end:
                params["split"] += len(extras)
            params[name] = inner.level.graph
        return o.prim(*xs, **params)


def _ends(o):
    """(param, where its values from outside end among the inputs; None at the end of all)."""
    p = o.params
    if o.prim.name == "branch":
        return [("no", None), ("yes", 1 + p["operands"] + p["split"])]
    if o.prim.name == "repeat_while":
        return [("body", None), ("test", p["carries"] + p["split"])]
    if o.prim.name == "scan":
        return [("body", None)]
    raise Unlike(f"{o.prim.name}: its program is called from outside{where_of(o)}")


__all__ = ["padded"]
