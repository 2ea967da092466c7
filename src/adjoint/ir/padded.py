"""Padded: a program for so many examples, made into one for any number up to that.

All values keep their shapes; the places beyond the examples that are there hold what nobody
reads. Operations that treat examples alike need no change. Where examples meet, in sums,
products and extremes over them, the places beyond are given what changes nothing.
"""

from __future__ import annotations

import math

import numpy as np

from ..core.primitive import Elementwise, op
from ..core.shape import Spec
from ..ops.contract import letters_of
from ..ops.linalg import OfMatrix
from ..ops.random import Draw
from .graph import Const, Graph, frozen
from .rewrite import Rewriter
from .sizes import Sizes, Tag, Unlike, plain, where_of
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
        if any(isinstance(x, Graph) for x in o.params.values()):
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


# ---------------------------------------------------------------- what meets in an operation


class Rules:
    """Of one operation on values that have examples: where these are, and where they meet."""

    def __init__(self, o, sizes: Sizes, tag):
        self.o, self.p, self.name = o, o.params, o.prim.name
        self.sizes, self.tag = sizes, tag
        later = sizes.next[o]
        self.moving = {
            k for k, v in plain(o.params).items() if frozen(v) != frozen(later[k])
        }
        self.tags = [(i, tag(v)) for i, v in enumerate(o.inputs) if tag(v)]
        meet = {t[1:] for i, t in self.tags if t.dim in self.joined(i) and t.groups}
        if not self._keeps() or (meet and self.name not in _NEUTRAL) or len(meet) > 1:
            raise Unlike(f"{self.name} does not treat examples alike{where_of(o)}")

    def joined(self, i) -> set[int]:
        """The dims of input i along which a result depends on more than its own place."""
        count = len(self.o.inputs[i].spec.shape)
        rule = getattr(self, f"_{self.name}", None)
        if self.name in _NONE or isinstance(self.o.prim, Elementwise):
            return set()
        if self.name in _ALONG:
            dims = self.p[_ALONG[self.name]]
            return set(dims) if isinstance(dims, tuple) else {dims}
        if isinstance(self.o.prim, OfMatrix):
            return {count - 2, count - 1}
        return set(range(count) if rule is None else rule(i, range(count)))

    def result(self, v):
        """The Tag of a result."""
        found = self.sizes.tag(v)
        if found is None:
            return None
        if self.name == "reshape":
            return self._reshaped(v, found)
        tags = [t for i, t in self.tags if t.dim not in self.joined(i)]
        if not tags:
            return found._replace(groups=int(self.name != "expand"))
        kinds = {t[1:] for t in tags if t.groups} or {(found.times, 0)}
        times, groups = kinds.pop()
        if kinds or times * (groups or 1) != found.times:
            raise Unlike(f"{self.name}: its operands hold examples in two ways")
        return Tag(found.dim, times, groups)

    def _reshaped(self, v, found):
        """Elements stay in order, and so those of one example that lie together."""
        x = self.o.inputs[0]
        t = self.tag(x)
        inside = math.prod(x.spec.shape[t.dim + 1 :])
        outside = math.prod(v.spec.shape[found.dim + 1 :])
        together = t.times * inside
        if not t.groups and found.times * outside % inside == 0:
            together = found.times * outside  # all places are alike: any order will do
        times = together // outside
        if together % outside or found.times % times:
            raise Unlike(f"reshape tears examples apart{where_of(self.o)}")
        return Tag(found.dim, times, found.times // times)

    def neutral(self, dtype):
        """What changes nothing where examples are joined, as an array of this dtype."""
        x = _NEUTRAL[self.name]
        if dtype.kind in "iu" and math.isinf(x):
            info = np.iinfo(dtype)
            x = info.max if x > 0 else info.min
        return np.array(x > 0 if dtype.kind == "b" else x).astype(dtype)

    def _keeps(self) -> bool:
        """Whether the first places of the result are what they are for fewer examples."""
        moving, y = self.moving, self.o.outputs[0]
        if isinstance(self.o.prim, Draw):
            tag = self.sizes.tag(y)
            return moving <= {"shape"} and math.prod(y.spec.shape[: tag.dim]) == 1
        if self.name == "bounded" and moving:
            return self._counts(self.o.inputs[0]) is not None
        if self.name in ("tril", "triu", "slice", "select") and not moving:
            return all(t.groups < 2 for _, t in self.tags)
        if self.name == "reshape":
            return self.tags != [] and self.sizes.tag(y) is not None
        return moving <= _SHAPES.get(self.name, set())

    # ------------------------------------------------------------ operations

    def _contract(self, i, dims):
        left, right, out = letters_of(self.p["spec"])
        return [d for d, c in enumerate((left, right)[i]) if c not in out]

    def _slice(self, i, dims):
        """A part that is the same for all sizes is of the first examples."""
        return self._cut(self.o.inputs[0].spec.shape) if "key" in self.moving else []

    def _unslice(self, i, dims):
        return self._cut(self.o.outputs[0].spec.shape)

    def _cut(self, shape):
        """Dims of which a key takes a part alone."""
        keys = [k for k in self.p["key"] if k is not None]
        return [
            d
            for d, (k, n) in enumerate(zip(keys, shape, strict=False))
            if k != (0, n, 1)
        ]

    def _index(self, i, dims):
        """Positions lead anywhere, unless they count along: then each meets its own."""
        at, positions = self.p["dim"], self.o.inputs[1:]
        found = [at + j for j, v in enumerate(positions) if self._counts(v) is None]
        return [] if i else found

    def _unindex(self, i, dims):
        at, positions = self.p["dim"], self.o.inputs[1:]
        rank = max(len(v.spec.shape) for v in positions)
        counts = [(self._counts(v), len(v.spec.shape)) for v in positions]
        own = {d + rank - n for d, n in counts if d is not None}
        return [] if i else [at + d for d in range(rank) if d not in own]

    def _counts(self, v):
        """The dim of the examples along which a constant counts them, or None."""
        tag = self.sizes.tag(v)
        return tag.dim if tag and isinstance(v, Const) and _counting(v.value) else None

    def _searchsorted(self, i, dims):
        return [] if i else dims

    def _conv(self, i, dims):
        return dims if i else dims[1:]

    _conv_data = _conv

    def _conv_weight(self, i, dims):
        return dims[:1]

    def _pick(self, i, dims):
        return dims[2:]

    _put = _pick


_NEUTRAL = {
    **dict.fromkeys(["sum", "mean", "contract", "conv_weight", "unindex"], 0),
    "prod": 1,
    "amax": -math.inf,
    "amin": math.inf,
}
_ALIKE = (
    "cast contiguous real imag bits stop_gradient zeros_like ones_like view_as_real "
    "view_as_complex expand permute stack select tril triu reshape bounded undiagonal"
)
_NONE = frozenset(_ALIKE.split())
_DIM = (
    "sum mean prod amax amin cumsum cumprod logcumsumexp recurrence cummax_index "
    "cummin_index cat frames overlap_add argsort topk_index kth_index mode_index"
)
_DIMS = "flip roll fft rfft irfft"
_ALONG = {**dict.fromkeys(_DIM.split(), "dim"), **dict.fromkeys(_DIMS.split(), "dims")}
_SHAPES = {  # params that follow the shape
    "expand": {"shape"},
    "unindex": {"shape"},
    "undiagonal": {"shape"},
    "slice": {"key"},
    "unslice": {"key", "shape"},
}


def _counting(x) -> bool:
    """Whether an array counts 0, 1, 2... along the one dim that it has."""
    wide = [n for n in x.shape if n != 1]
    return len(wide) == 1 and np.array_equal(x.ravel(), np.arange(x.size))


__all__ = ["padded"]
