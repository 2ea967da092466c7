"""Elements: values at an index, from memory or computed where they are read."""

from __future__ import annotations

import math
from contextlib import contextmanager

import numpy as np

from ....core.dtype import is_inexact
from ....core.primitive import Elementwise
from ....ir.graph import Const
from ....ir.positions import divides
from ..arithmetic.kinds import INT64, element
from ..arithmetic.lanes import Lanes
from ..llvm import text as ir
from ..llvm.types import I32, I64
from .affine import ZERO, Affine, broadcast, keyed, on_diagonal
from .failures import BY_ZERO
from .storage import Storage

LONG = 40  # instructions
_SHORT: set = set()  # operations found to take fewer


def _absent(dtype: np.dtype):
    """What is read where there is nothing: NaN, or 0 where there is no NaN."""
    kind = element(dtype)
    if not is_inexact(dtype):
        return kind(0)
    if not isinstance(kind, ir.IntType):
        return kind(math.nan)
    return kind(int.from_bytes(np.array(math.nan, dtype).tobytes(), "little"))


class Elements(Storage):
    """Values at an index, in all lanes."""

    def __init__(self, builder: ir.IRBuilder, schedule, pointers: dict):
        super().__init__(builder, schedule, pointers)
        self.products: dict = {}  # id of a product in registers -> (it, its factors)
        self.fixed: dict = {}  # values that a row has one of, in a register
        self.renewed: dict = {}  # kernel -> what it reads and puts results in place of

    def value(self, v, index):
        """v at an index, from memory or computed here; a dim of one element has one place."""
        index = broadcast(v, index)
        key = v, tuple(i.key() for i in index)
        if key not in self.known:
            self.known[key] = self._value(v, index)
        return self.known[key]

    def _value(self, v, index):
        if isinstance(v, Const) and v not in self.schedule.stored:
            x = v.value.reshape(()) if v.value.size == 1 else 0
            return self.constant(x, v.spec.dtype)
        fixed = self.fixed.get(self.schedule.root(v))
        if fixed is not None:
            return self.lanes.splat(fixed)
        if v in self.schedule.stored or v in self.schedule.alias:
            return self.load(v, index)
        return self.compute(self.schedule.maker[v], index)

    def compute(self, o, index):
        """One element (or lane) of the result of an operation."""
        if isinstance(o.prim, Elementwise):
            xs = [self.value(x, broadcast(x, index)) for x in o.inputs]
            return self._lowered(o, xs)
        return getattr(self, f"_{o.prim.name}")(o, index)

    def _lowered(self, o, xs):
        """The record's own lowering; whole numbers beside floats are floats first."""
        kinds = [v.spec.dtype for v in o.inputs]
        floats = [d for d in kinds if d.kind == "f"]
        if floats and any(d.kind in "iu" for d in kinds):
            xs = [
                self.lanes.cast(x, element(floats[0])) if d.kind in "iu" else x
                for x, d in zip(xs, kinds, strict=True)
            ]
        if divides(o):
            self._watch_zero(o, xs[1])
        if o.prim.name in ("add", "sub") and o.outputs[0].spec.dtype.kind == "f":
            return self._sum_of_two(o, xs)
        alone = self.lanes.width == 1
        y = self._alone(o, xs) if alone else o.prim.lower(self.lanes, *xs, **o.params)
        if o.prim.name == "mul":
            self.products[id(y)] = y, xs
        return y

    def _sum_of_two(self, o, xs):
        """x + y or x - y; a product in it that has no memory is not rounded on its own.

        The program alone says which, not LLVM, which looks at one loop: readers that do the
        same again get the same bits, and a largest element is equal to itself.
        """
        pairs = zip(o.inputs, reversed(o.inputs), xs, strict=True)
        factors = [
            self.products[id(x)][1] if self.schedule.is_product(v, w) else None
            for v, w, x in pairs
        ]
        minus = self.lanes.neg if o.prim.name == "sub" else lambda x: x
        if factors[0]:
            return self.lanes.mul_add(*factors[0], minus(xs[1]))
        if factors[1]:
            x, y = factors[1]
            return self.lanes.mul_add(minus(x), y, xs[0])
        return self.lanes.rounded(o.prim.name, *xs)

    def _watch_zero(self, o, x):
        """Whole numbers divided by zero are told."""
        if self.looks((o.inputs[1], "zero")):
            none = self.lanes.compare("==", x, 0)
            self.tell(BY_ZERO, none, self.lanes.cast(x, INT64), (0, 0), o.prim.name)

    def _alone(self, o, xs):
        """Of one number: what takes many instructions is a function of the module.

        An optimizer raises its decays to the number of steps once for each parameter.
        """
        kind = o.prim.name, repr(o.params), *(v.spec.dtype.str for v in o.inputs)
        if kind in _SHORT:
            return o.prim.lower(self.lanes, *xs, **o.params)
        given = [x for x in xs if not isinstance(x, ir.Constant)]
        known = [str(x) for x in xs if isinstance(x, ir.Constant)]
        name = " ".join(["adjoint", *kind, *known])
        f = self.b.module.globals.get(name)
        if f is None:
            to = element(o.outputs[0].spec.dtype)
            kinds = [x.type for x in given]
            f = self.b.module.internal(name, to, kinds, "nounwind")
            self._write_alone(f, o, xs)
            if sum(len(b.instructions) for b in f.blocks) < LONG:
                del self.b.module.globals[name]
                _SHORT.add(kind)
                return o.prim.lower(self.lanes, *xs, **o.params)
        return self.b.call(f, given)

    def _write_alone(self, f, o, xs):
        args = iter(f.args)
        xs = [x if isinstance(x, ir.Constant) else next(args) for x in xs]
        b = ir.IRBuilder(f.append_basic_block())
        b.ret(o.prim.lower(Lanes(b, 1), *xs, **o.params))

    @contextmanager
    def single(self):
        """Inside, one element is computed, whatever the lanes."""
        before = self.inner, self.lanes, self.known
        self.inner, self.lanes, self.known = None, Lanes(self.b, 1), {}
        yield
        self.inner, self.lanes, self.known = before

    # ------------------------------------------------------------ operations

    def _cast(self, o, index):
        x = self.value(o.inputs[0], index)
        return self.lanes.cast(x, element(o.outputs[0].spec.dtype))

    def _bits(self, o, index):
        x, kind = self.value(o.inputs[0], index), element(o.outputs[0].spec.dtype)
        return self.b.bitcast(x, self.lanes.vector(kind))

    def _contiguous(self, o, index):
        return self.value(o.inputs[0], index)

    _stop_gradient = _real = _contiguous

    def constant(self, x, dtype):
        """A number in all lanes; of two bytes that LLVM has no type for, its bits."""
        x = np.asarray(x).astype(dtype)
        x = x.view(np.uint16) if dtype.kind == "V" else x
        return self.lanes.number(x.item(), self.lanes.vector(element(dtype)))

    def _ones_like(self, o, index):
        return self.constant(1, o.outputs[0].spec.dtype)

    def _zeros_like(self, o, index):
        return self.constant(0, o.outputs[0].spec.dtype)

    def _expand(self, o, index):
        return self.value(o.inputs[0], broadcast(o.inputs[0], index))

    def _permute(self, o, index):
        out = [ZERO] * len(index)
        for i, d in zip(index, o.params["dims"], strict=True):
            out[d] = i
        return self.value(o.inputs[0], tuple(out))

    def _reshape(self, o, index):
        kept = [
            i for i, n in zip(index, o.outputs[0].spec.shape, strict=True) if n != 1
        ]
        kept = iter(kept)
        shape = o.inputs[0].spec.shape
        return self.value(
            o.inputs[0], tuple(ZERO if n == 1 else next(kept) for n in shape)
        )

    def _select(self, o, index):
        d = o.params["dim"]
        at = Affine(const=o.params["index"])
        return self.value(o.inputs[0], (*index[:d], at, *index[d:]))

    def _slice(self, o, index):
        return self.value(o.inputs[0], keyed(o.params["key"], index))

    def _flip(self, o, index):
        shape = o.outputs[0].spec.shape
        out = [
            i.times(-1) + Affine(const=n - 1) if d in o.params["dims"] else i
            for d, (i, n) in enumerate(zip(index, shape, strict=True))
        ]
        return self.value(o.inputs[0], tuple(out))

    def _diagonal(self, o, index):
        x = o.inputs[0]
        return self.value(x, on_diagonal(o.params, len(x.spec.shape), index))

    def _tril(self, o, index, sign="<="):
        row, column = self.lane_numbers(index[-2]), self.lane_numbers(index[-1])
        inside = self.lanes.compare(sign, self.b.sub(column, row), o.params["diagonal"])
        return self.lanes.select(inside, self.value(o.inputs[0], index), 0)

    def _triu(self, o, index):
        return self._tril(o, index, ">=")

    def _put(self, o, index):
        g, places = o.inputs
        x = self.value(g, (*index[:-1], ZERO))
        k = self.value(places, (*index[:-1], ZERO))
        here = self.lanes.compare("==", self.lane_numbers(index[-1]), k)
        return self.lanes.select(here, x, 0)

    def _pick(self, o, index):
        x, places = o.inputs
        n, c, _ = index
        at = self.value(places, broadcast(places, index))
        p, step = self.address(x, (n, c, ZERO))
        if self.lanes.width == 1:
            return self._picked(x.spec, p, at)

        def one(k):
            place = self.b.extract_element(at, I32(k))
            return self._picked(x.spec, self.b.gep(p, [I64(k * step)]), place)

        return self.lane_by_lane(element(x.spec.dtype), one)

    def _picked(self, spec, p, place):
        """Element `place` of a plane at `p`; absent where the plane has no such place."""
        size = spec.shape[2]
        if not size:
            return _absent(spec.dtype)
        inside = self.b.icmp_unsigned("<", place, place.type(size))
        place = self.b.select(inside, place, place.type(0))
        one = self.b.load(self.b.gep(p, [place]))
        if spec.dtype.kind == "b":
            one = self.b.icmp_unsigned("!=", one, one.type(0))
        return self.b.select(inside, one, _absent(spec.dtype))
