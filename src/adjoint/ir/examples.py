"""Examples: where they are among the places of a value, and in which operations they meet."""

from __future__ import annotations

import math

import numpy as np

from ..ops.random import Draw
from .dims import carried, counted
from .graph import Const, frozen
from .sizes import Sizes, Tag, Unlike, plain, where_of


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
        meet = {t[1:] for i, t in self.tags if t.dim in self.joined(i)}
        ways = {(times, groups) for times, groups in meet if groups}
        if not self._keeps() or (meet and self.name not in _NEUTRAL) or len(ways) > 1:
            raise Unlike(f"{self.name} does not treat examples alike{where_of(o)}")

    def joined(self, i) -> set[int]:
        """The dims of input i along which a result depends on more than its own place."""
        count = len(self.o.inputs[i].spec.shape)
        rule = getattr(self, f"_{self.name}", None)
        if rule is not None:
            return set(rule(i, range(count)))
        return {d for d in range(count) if not isinstance(carried(self.o, i, d), int)}

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

    def _reshape(self, i, dims):
        return ()  # it tears examples apart or it does not

    def _expand(self, i, dims):
        return ()

    def _slice(self, i, dims):
        """A part that is the same for all sizes is of the first examples."""
        if "key" not in self.moving:
            return ()
        return [d for d in dims if carried(self.o, i, d) is None]

    def _select(self, i, dims):
        return ()

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
        return counted(v.value) if tag and isinstance(v, Const) else None


_NEUTRAL = {
    **dict.fromkeys(["sum", "mean", "contract", "conv_weight", "unindex"], 0),
    "prod": 1,
    "amax": -math.inf,
    "amin": math.inf,
}
_SHAPES = {  # params that follow the shape
    "expand": {"shape"},
    "unindex": {"shape"},
    "undiagonal": {"shape"},
    "slice": {"key"},
    "unslice": {"key", "shape"},
}


__all__ = ["Rules"]
