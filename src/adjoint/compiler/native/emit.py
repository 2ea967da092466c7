"""Emit: kernels as loops in one LLVM function."""

from __future__ import annotations

import functools
import math
from contextlib import contextmanager

import numpy as np
from llvmlite import ir

from ...core.dtype import is_inexact
from ...core.primitive import Elementwise
from ...ir.graph import Const
from .kinds import BIT, UINT8
from .lanes import Lanes
from .machine import vector_bits

I64 = ir.IntType(64)
BYTE = ir.IntType(8)
_SCALARS = {"f4": ir.FloatType(), "f8": ir.DoubleType(), "b1": BIT, "u1": UINT8}


def element(dtype: np.dtype):
    """The LLVM type of an element in a register."""
    found = _SCALARS.get(dtype.str[1:])
    return found or ir.IntType(8 * dtype.itemsize)


def stored_element(dtype: np.dtype):
    """And in memory, where a bool takes a byte."""
    return BYTE if dtype.kind == "b" else element(dtype)


def _absent(dtype: np.dtype):
    """What is read where there is nothing: NaN, or 0 where there is no NaN."""
    kind = element(dtype)
    if not is_inexact(dtype):
        return kind(0)
    if not isinstance(kind, ir.IntType):
        return kind(math.nan)
    return kind(int.from_bytes(np.array(math.nan, dtype).tobytes(), "little"))


class Affine:
    """A sum of loop variables with whole coefficients, and a constant."""

    __slots__ = ("const", "terms")

    def __init__(self, terms=None, const=0):
        self.terms, self.const = terms or {}, const

    def __add__(self, other):
        terms = dict(self.terms)
        for loop, c in other.terms.items():
            terms[loop] = terms.get(loop, 0) + c
        return Affine({k: c for k, c in terms.items() if c}, self.const + other.const)

    def times(self, n: int):
        """n of it."""
        return Affine(
            {k: c * n for k, c in self.terms.items() if c * n}, self.const * n
        )

    def key(self):
        """What makes two the same."""
        return tuple(sorted((id(k), c) for k, c in self.terms.items())), self.const


ZERO = Affine()


class Emitter:
    """The body of one function; buffers are pointers it was given."""

    def __init__(self, builder: ir.IRBuilder, schedule, pointers: dict):
        self.b, self.schedule, self.pointers = builder, schedule, pointers
        self.at: dict = {}  # loop -> its LLVM value
        self.inner = None  # the loop whose lanes are computed together
        self.lanes = Lanes(builder, 1)
        self.known: dict = {}
        self.fixed: dict = {}  # values that a row has one of, in a register
        self.streamed: set = set()  # large results that nothing reads: past the caches
        self.renewed: set = set()  # inputs in whose memory an output is computed
        self.vectors = vector_bits() // 32

    # ------------------------------------------------------------ loops

    @contextmanager
    def loop(self, start: int, stop: int, step: int = 1):
        """for i in range(start, stop, step), which runs at least once."""
        b, mark = self.b, object()
        if start + step >= stop:
            yield from self._once(mark, start)
            return
        before = b.block
        head, done = b.append_basic_block("loop"), b.append_basic_block("done")
        b.branch(head)
        b.position_at_end(head)
        i = b.phi(I64)
        i.add_incoming(I64(start), before)
        self.at[mark] = i
        carried: list = []

        def carry(*values):
            for v in values:
                phi = b.phi(v.type)
                phi.add_incoming(v, before)
                carried.append([phi, None])
            return [c[0] for c in carried]

        mark_state = _Loop(mark, carry, carried)
        self.known = {}
        yield mark_state
        j = b.add(i, I64(step))
        i.add_incoming(j, b.block)
        for phi, after in carried:
            phi.add_incoming(after, b.block)
        mark_state.results = [after for _, after in carried]
        b.cbranch(b.icmp_signed("<", j, I64(stop)), head, done)
        b.position_at_end(done)
        self.known = {}

    def _once(self, mark, start):
        self.at[mark] = I64(start)
        carried: list = []

        def carry(*values):
            carried.extend([v, None] for v in values)
            return values

        state = _Loop(mark, carry, carried)
        yield state
        state.results = [after for _, after in carried]

    @contextmanager
    def across(self, loop, width: int):
        """Inside, `width` lanes of `loop` are computed together."""
        before = self.inner, self.lanes
        self.inner, self.lanes = loop, Lanes(self.b, width)
        self.known = {}
        yield
        self.inner, self.lanes = before
        self.known = {}

    def number(self, index: Affine):
        """The LLVM value of an index."""
        parts = [
            self.at[loop] if c == 1 else self.b.mul(self.at[loop], I64(c))
            for loop, c in index.terms.items()
        ]
        if index.const or not parts:
            parts.append(I64(index.const))
        return functools.reduce(self.b.add, parts)

    def lane_numbers(self, index: Affine):
        """The index in each lane, as a vector of integers."""
        base, w = self.number(index), self.lanes.width
        c = index.terms.get(self.inner, 0)
        if w == 1:
            return base
        steps = ir.Constant(ir.VectorType(I64, w), [c * k for k in range(w)])
        return self.b.add(self.splat(base), steps)

    def splat(self, x):
        """One number in all lanes."""
        w = self.lanes.width
        if w == 1:
            return x
        kind = ir.VectorType(x.type, w)
        first = self.b.insert_element(
            ir.Constant(kind, ir.Undefined), x, ir.IntType(32)(0)
        )
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), w), [0] * w)
        return self.b.shuffle_vector(first, ir.Constant(kind, ir.Undefined), zeros)

    # ------------------------------------------------------------ memory

    def address(self, v, index):
        """(pointer to the first lane, step between lanes) of v[index]."""
        flat = ZERO
        stride = 1
        rank = self.schedule.local.get(v, 0)
        shape, index = v.spec.shape[rank:], index[rank:]
        for n, i in zip(reversed(shape), reversed(index), strict=True):
            flat = flat + i.times(stride)
            stride *= n
        step = flat.terms.get(self.inner, 0)
        return self.b.gep(
            self.pointers[self.schedule.root(v)], [self.number(flat)]
        ), step

    def load(self, v, index):
        """v[index] in all lanes."""
        p, step = self.address(v, index)
        w, kind = self.lanes.width, stored_element(v.spec.dtype)
        if w == 1 or step == 0:
            x = self.b.load(p)
            x = self.splat(x)
        elif step == 1:
            x = self.b.load(
                self.b.bitcast(p, ir.VectorType(kind, w).as_pointer()), align=1
            )
        elif step == 2 and w % 2 == 0:
            x = self._every_second(p, ir.VectorType(kind, w))
        else:
            x = ir.Constant(ir.VectorType(kind, w), ir.Undefined)
            for k in range(w):
                one = self.b.load(self.b.gep(p, [I64(k * step)]))
                x = self.b.insert_element(x, one, ir.IntType(32)(k))
        return self.lanes.compare("!=", x, 0) if v.spec.dtype.kind == "b" else x

    def _every_second(self, p, kind):
        """Elements 0, 2, 4... of two vectors that end where the last of these does."""
        w, places = kind.count, (p, self.b.gep(p, [I64(kind.count - 1)]))
        x, y = (
            self.b.load(self.b.bitcast(q, kind.as_pointer()), align=1) for q in places
        )
        return self._lanes_of(x, y, [*range(0, w, 2), *range(w + 1, 2 * w, 2)])

    def store(self, x, v, index):
        """v[index] = x in all lanes, which lie side by side."""
        if v.spec.dtype.kind == "b":
            x = self.b.zext(x, self.lanes.vector(BYTE))
        p, _ = self.address(v, index)
        if self.lanes.width > 1:
            p = self.b.bitcast(p, x.type.as_pointer())
        if v in self.streamed and self.lanes.width == self.vectors:
            mark = self.b.module.add_metadata([ir.IntType(32)(1)])
            aligned = self.b.store(x, p, align=vector_bits() // 8)
            aligned.set_metadata("nontemporal", mark)
        else:
            self.b.store(x, p, align=1)

    # ------------------------------------------------------------ values

    def value(self, v, index):
        """v at an index, from memory or computed here."""
        key = v, tuple(i.key() for i in index)
        if key not in self.known:
            self.known[key] = self._value(v, index)
        return self.known[key]

    def _value(self, v, index):
        if isinstance(v, Const) and v not in self.schedule.stored:
            x = v.value.reshape(()).item() if v.value.size == 1 else 0
            return self.lanes.number(
                _plain(x), self.lanes.vector(element(v.spec.dtype))
            )
        fixed = self.fixed.get(self.schedule.root(v))
        if fixed is not None:
            return self.splat(fixed)
        if v in self.schedule.stored or v in self.schedule.alias:
            return self.load(v, index)
        return self.compute(self.schedule.maker[v], index)

    def compute(self, o, index):
        """One element (or lane) of the result of an operation."""
        if isinstance(o.prim, Elementwise):
            xs = [self.value(x, _broadcast(x, index)) for x in o.inputs]
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
        return o.prim.lower(self.lanes, *xs, **o.params)

    def _cast(self, o, index):
        x = self.value(o.inputs[0], index)
        return self.lanes.cast(x, element(o.outputs[0].spec.dtype))

    def _contiguous(self, o, index):
        return self.value(o.inputs[0], index)

    _stop_gradient = _real = _contiguous

    def _ones_like(self, o, index):
        return self.lanes.number(1, self.lanes.vector(element(o.outputs[0].spec.dtype)))

    def _zeros_like(self, o, index):
        return self.lanes.number(0, self.lanes.vector(element(o.outputs[0].spec.dtype)))

    def _expand(self, o, index):
        return self.value(o.inputs[0], _broadcast(o.inputs[0], index))

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
        return self.value(o.inputs[0], _keyed(o.params["key"], index))

    def _flip(self, o, index):
        shape = o.outputs[0].spec.shape
        out = [
            i.times(-1) + Affine(const=n - 1) if d in o.params["dims"] else i
            for d, (i, n) in enumerate(zip(index, shape, strict=True))
        ]
        return self.value(o.inputs[0], tuple(out))

    def _diagonal(self, o, index):
        x = o.inputs[0]
        return self.value(x, _on_diagonal(o.params, len(x.spec.shape), index))

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
        at = self.value(places, _broadcast(places, index))
        w = self.lanes.width
        p, step = self.address(x, (n, c, ZERO))
        if w == 1:
            return self._picked(x.spec, p, at)
        out = ir.Constant(ir.VectorType(element(x.spec.dtype), w), ir.Undefined)
        for k in range(w):
            place = self.b.extract_element(at, ir.IntType(32)(k))
            here = self.b.gep(p, [I64(k * step)])
            one = self._picked(x.spec, here, place)
            out = self.b.insert_element(out, one, ir.IntType(32)(k))
        return out

    def _picked(self, spec, p, place):
        """Element `place` of a plane at `p`; absent where the plane has no such place."""
        size = spec.shape[2]
        if not size:
            return _absent(spec.dtype)
        inside = self.b.icmp_unsigned("<", place, place.type(size))
        place = self.b.select(inside, place, place.type(0))
        one = self.b.load(self.b.gep(p, [place]))
        return self.b.select(inside, one, _absent(spec.dtype))

    def copy(self, source, target):
        """All of a stored value to the memory of another."""
        self.move(self.pointers[source], self.pointers[target], source)

    def move(self, source, target, v):
        """The memory of a value to another place."""
        name, byte = "llvm.memcpy.p0.p0.i64", BYTE.as_pointer()
        f = self.b.module.globals.get(name)
        if f is None:
            kind = ir.FunctionType(ir.VoidType(), [byte, byte, I64, ir.IntType(1)])
            f = ir.Function(self.b.module, kind, name)
        n = v.spec.bytes
        to, of = (self.b.bitcast(p, byte) for p in (target, source))
        self.b.call(f, [to, of, I64(n), ir.IntType(1)(0)])

    # ------------------------------------------------------------ kernels

    def kernel(self, k):
        """One kernel."""
        getattr(self, f"_emit_{k.kind}")(k)

    def _emit_map(self, k):
        space = k.space
        flat = math.prod(space)
        if flat == 0:
            return
        if self._collapses(k):
            self._over((flat,), lambda index: self._store_roots(k, index))
        else:
            self._over(space, lambda index: self._store_roots(k, index))

    def _store_roots(self, k, index):
        for v in self.renewed.intersection(k.reads):
            # Its memory is about to be written: read it first.
            if len(index) == len(k.space):
                self.value(v, _broadcast(v, index))
            else:
                self._flat_value(v, index[0])
        for o in k.roots:
            v = o.outputs[0]
            if len(index) == len(k.space):
                at, shape = index, v.spec.shape
            else:
                at, shape = index, None
            x = self.compute(o, at) if shape is not None else self._flat(o, at[0])
            self.known[v, tuple(i.key() for i in at)] = x
            if shape is not None:
                self.store(x, v, at)
            else:
                self._store_flat(x, v, at[0])

    def _collapses(self, k) -> bool:
        """Every value has the shape of the space, or one element: a single loop does."""
        for o in k.roots:
            todo = [o]
            while todo:
                p = todo.pop()
                if not isinstance(p.prim, Elementwise) and p.prim.name not in (
                    "cast",
                    "contiguous",
                    "stop_gradient",
                    "ones_like",
                    "zeros_like",
                    "real",
                    "reshape",
                    "expand",
                ):
                    return False
                for x in p.inputs:
                    size = math.prod(x.spec.shape)
                    if size not in (1, math.prod(k.space)):
                        return False
                    known = x in self.schedule.stored or x in self.schedule.alias
                    if not known and not isinstance(x, Const):
                        todo.append(self.schedule.maker[x])
        return len(k.space) > 1

    def _flat(self, o, i):
        """An operation at place i of its elements in order."""
        key = o.outputs[0], (i.key(),)
        if key in self.known:
            return self.known[key]
        if isinstance(o.prim, Elementwise):
            xs = [self._flat_value(x, i) for x in o.inputs]
            out = self._lowered(o, xs)
        elif o.prim.name == "cast":
            x = self._flat_value(o.inputs[0], i)
            out = self.lanes.cast(x, element(o.outputs[0].spec.dtype))
        elif o.prim.name in ("ones_like", "zeros_like"):
            out = getattr(self, f"_{o.prim.name}")(o, None)
        else:
            out = self._flat_value(o.inputs[0], i)
        self.known[key] = out
        return out

    def _flat_value(self, v, i):
        i = ZERO if math.prod(v.spec.shape) == 1 else i
        key = v, (i.key(),)
        if key in self.known:
            return self.known[key]
        if (
            v in self.schedule.stored
            or v in self.schedule.alias
            or isinstance(v, Const)
        ):
            flat = _Flat(v)
            x = (
                self._value(v, ())
                if isinstance(v, Const) and v not in self.schedule.stored
                else self.load(flat, (i,))
            )
            self.known[key] = x
            return x
        return self._flat(self.schedule.maker[v], i)

    def _store_flat(self, x, v, i):
        self.store(x, _Flat(v), (i,))

    def _over(self, space, body):
        """Run body(index) for all of the space, the last dim in lanes."""
        if not space:
            with self.loop(0, 1):
                body(())
            return
        *outer, n = space

        def inner(index):
            for i in self.strips(n):
                body((*index, i))

        self._nest(outer, (), inner)

    def strips(self, n: int):
        """Indices of a dim in lanes: a loop over full vectors, then one vector of the rest."""
        full = n // self.vectors * self.vectors
        for start, stop, w in ((0, full, self.vectors), (full, n, n - full)):
            if start < stop:
                with self.loop(start, stop, w) as i, self.across(i.mark, w):
                    yield Affine({i.mark: 1})

    def _nest(self, sizes, index, body):
        if not sizes:
            body(index)
            return
        with self.loop(0, sizes[0]) as i:
            self._nest(sizes[1:], (*index, Affine({i.mark: 1})), body)

    # ------------------------------------------------------------ places

    def _emit_place(self, k):
        """Every input goes to its place in the result."""
        (o,) = k.roots
        y, write = o.outputs[0], getattr(self, f"_place_{o.prim.name}")
        for x, shape, of, to in write(o):
            if 0 in shape:
                continue

            def go(index, x=x, of=of, to=to):
                value = self.lanes.number(0, self.lanes.vector(element(y.spec.dtype)))
                value = value if x is None else self.value(x, of(index))
                self._scatter(value, y, to(index))

            self._over(shape, go)

    def _scatter(self, x, v, index):
        """v[index] = x in all lanes, wherever they lie."""
        p, step = self.address(v, index)
        if self.lanes.width == 1 or step == 1:
            self.store(x, v, index)
            return
        x = self.b.zext(x, self.lanes.vector(BYTE)) if v.spec.dtype.kind == "b" else x
        for i in range(self.lanes.width):
            one = self.b.extract_element(x, ir.IntType(32)(i))
            self.b.store(one, self.b.gep(p, [I64(i * step)]))

    def _place_stack(self, o):
        d = o.params["dim"]
        for i, x in enumerate(o.inputs):
            at = (Affine(const=i),)
            yield (
                x,
                x.spec.shape,
                _all,
                lambda index, at=at: (*index[:d], *at, *index[d:]),
            )

    def _place_cat(self, o):
        d, start = o.params["dim"], 0
        for x in o.inputs:
            yield x, x.spec.shape, _all, _shifted(d, start)
            start += x.spec.shape[d]

    def _place_roll(self, o):
        """The two parts of each rolled dim change places."""
        (x,), p = o.inputs, o.params
        moves = list(zip(p["shifts"], p["dims"], strict=True))

        def split(shape, of, to, rest):
            if not rest:
                yield x, tuple(shape), of, to
                return
            (s, d), n = rest[0], x.spec.shape[rest[0][1]]
            s = s % n if n else 0
            for size, start, end in ((n - s, 0, s), (s, n - s, 0)):
                sizes = [*shape[:d], size, *shape[d + 1 :]]
                yield from split(
                    sizes,
                    _then(of, _shifted(d, start)),
                    _then(to, _shifted(d, end)),
                    rest[1:],
                )

        yield from split(list(x.spec.shape), _all, _all, moves)

    def _place_unslice(self, o):
        (x,), key = o.inputs, o.params["key"]
        yield None, o.outputs[0].spec.shape, _all, _all
        yield x, x.spec.shape, _all, lambda index: _keyed(key, index)

    def _place_undiagonal(self, o):
        (x,), y = o.inputs, o.outputs[0]
        yield None, y.spec.shape, _all, _all
        dims = len(y.spec.shape)
        yield x, x.spec.shape, _all, lambda i: _on_diagonal(o.params, dims, i)

    def _place_overwrite(self, o):
        x, new = o.inputs
        yield x, x.spec.shape, _all, _all
        ((prim, params, _),) = o.params["chain"] or ((None, {}, None),)

        def to(index):
            if prim is None:
                return index
            if prim.name == "slice":
                return _keyed(params["key"], index)
            d = params["dim"]
            return (*index[:d], Affine(const=params["index"]), *index[d:])

        yield new, new.spec.shape, _all, to

    def _emit_put(self, k):
        """Zeros, to which each element is added at its place, one after the other."""
        (o,) = k.roots
        (x, places), y = o.inputs, o.outputs[0]
        kind, size = element(y.spec.dtype), y.spec.shape[-1]
        zero = self.lanes.number

        self._over(
            y.spec.shape,
            lambda index: self.store(zero(0, self.lanes.vector(kind)), y, index),
        )

        def go(index):
            place = self.value(places, _broadcast(places, index))
            with self.b.if_then(self.b.icmp_unsigned("<", place, I64(size))):
                p, _ = self.address(y, (*index[:-1], ZERO))
                p = self.b.gep(p, [place])
                self.b.store(self.lanes.add(self.b.load(p), self.load(x, index)), p)

        if 0 not in (*x.spec.shape, size):
            self._nest(x.spec.shape, (), go)

    # ------------------------------------------------------------ rows

    def _emit_rows(self, k):
        """Row by row, each in passes; what a pass sums up is there for the next."""
        top = max(k.levels.values())
        passes = [[o for o in k.roots if k.levels[o] == p] for p in range(top + 1)]
        names = {o: self._role(k, o) for o in k.roots}

        columns = [o for o in k.roots if names[o] == "column"]
        for o in columns:
            start = _HOW[o.prim.name].start
            self._each_column(k, o, lambda x, s=start: self.lanes.number(s, x))

        def row(outer):
            self.fixed = {}
            for items in passes:
                self._pass(k, outer, [o for o in items if names[o] != "row"], names)
                for o in items:
                    if names[o] == "row":
                        self._single(k, o, outer)
            self.fixed = {}

        self._nest(k.space[: k.rank], (), row)
        n = math.prod(k.space[: k.rank])
        for o in columns:
            if o.prim.name == "mean":
                self._each_column(k, o, lambda x: _HOW["mean"].finish(self.lanes, x, n))

    def _each_column(self, k, o, f):
        """Change every element of the sums of columns."""
        y = o.outputs[0]

        def go(index):
            at = self._column(y, index)
            self.store(f(self.load(y, at)), y, at)

        self._over(k.space[k.rank :], go)

    def _column(self, y, inner):
        """The index of a column's sum."""
        return (*(ZERO,) * (len(y.spec.shape) - len(inner)), *inner)

    def _role(self, k, o) -> str:
        """sum: of each row; column: of each column; row: one element a row; all: every one."""
        if o.prim.name in _HOW:
            return "column" if 0 in o.params["dim"] and k.rank else "sum"
        shape = tuple(o.outputs[0].spec.shape)
        return "all" if shape == k.space else "row"

    def _single(self, k, o, outer):
        """A value that each row has one of."""
        v = o.outputs[0]
        at = (*outer, *(ZERO,) * (len(v.spec.shape) - k.rank))
        x = self.compute(o, at)
        self.fixed[v] = x
        self.store(x, v, at)

    def _pass(self, k, outer, items, names):
        """One loop over a row: elements are computed and stored, sums are summed."""
        if not items:
            return
        sums = [o for o in items if names[o] == "sum"]
        kinds = [element(o.outputs[0].spec.dtype) for o in sums]
        sizes = k.space[k.rank :]
        spans = self._spans(sizes[-1])
        starts = [
            [self._start(o, kind, step) for o, kind in zip(sums, kinds, strict=True)]
            for _, _, step in spans
        ]

        def strip(i, index, accs):
            after = []
            for o in items:
                v = o.outputs[0]
                if names[o] == "column":
                    self._add_to_column(k, o, index)
                elif names[o] == "sum":
                    x = self.value(o.inputs[0], index)
                    j = len(after)
                    how = _HOW[o.prim.name]
                    after.append(
                        how.join(self.lanes, accs[j], self.lanes.cast(x, kinds[j]))
                    )
                else:
                    x = self.compute(o, index)
                    self.known[v, tuple(a.key() for a in index)] = x
                    self.store(x, v, index)
            return after

        totals = self._summed(sizes, spans, starts, outer, strip)
        for j, o in enumerate(sums):
            how, v = _HOW[o.prim.name], o.outputs[0]
            parts = [self._fold(acc[j], how) for acc in totals]
            total = functools.reduce(lambda a, b: how.join(self.lanes, a, b), parts)
            total = how.finish(self.lanes, total, math.prod(k.space[k.rank :]))
            self.fixed[v] = total
            self.store(total, v, (*outer, *(ZERO,) * (len(v.spec.shape) - k.rank)))

    def _spans(self, n):
        """(start, stop, lanes) of the full vectors of a dim and of the rest."""
        w = self.vectors
        full, rest = n // w * w, n % w
        return [(0, full, w)] * bool(full) + [(full, n, rest)] * bool(rest)

    def _summed(self, sizes, spans, accs, index, strip):
        """What strip(loop, index, acc) makes of each span's acc over `sizes`, the last in lanes."""
        if len(sizes) == 1:
            return [
                self._summed_span(*pair, index, strip)
                for pair in zip(spans, accs, strict=True)
            ]
        with self.loop(0, sizes[0]) as i:
            phis = iter(i.carry(*(x for acc in accs for x in acc)))
            accs = [[next(phis) for _ in acc] for acc in accs]
            at = (*index, Affine({i.mark: 1}))
            after = self._summed(sizes[1:], spans, accs, at, strip)
            i.next(*(x for acc in after for x in acc))
        results = iter(i.results)
        return [[next(results) for _ in acc] for acc in after]

    def _summed_span(self, span, acc, index, strip):
        start, stop, step = span
        with self.loop(start, stop, step) as i:
            phis = i.carry(*acc)
            with self.across(i.mark, step):
                i.next(*strip(i, (*index, Affine({i.mark: 1})), phis))
        return list(i.results)

    def _add_to_column(self, k, o, index):
        y, how = o.outputs[0], _HOW[o.prim.name]
        x = self.lanes.cast(self.value(o.inputs[0], index), element(y.spec.dtype))
        at = self._column(y, index[k.rank :])
        self.store(how.join(self.lanes, self.load(y, at), x), y, at)

    def _start(self, o, kind, width):
        start = _HOW[o.prim.name].start
        if width == 1:
            return ir.Constant(kind, start)
        return ir.Constant(ir.VectorType(kind, width), [start] * width)

    # ------------------------------------------------------------ reductions

    def _index(self, shape, kept, outer, dims, inner):
        index = [ZERO] * len(shape)
        for d, i in zip(kept, outer, strict=True):
            index[d] = i
        for d, i in zip(dims, inner, strict=True):
            index[d] = i
        return tuple(index)

    def _out_index(self, o, shape, dims, outer):
        if not o.params["keepdim"]:
            return tuple(outer)
        outer = iter(outer)
        return tuple(ZERO if d in dims else next(outer) for d in range(len(shape)))

    def _emit_reduce(self, k):
        """Over dims that are not the last, or over no elements at all."""
        (o,) = k.roots
        x, y = o.inputs[0], o.outputs[0]
        dims, shape = o.params["dim"], x.spec.shape
        kept = [d for d in range(len(shape)) if d not in dims]
        if 0 not in shape and len(shape) - 1 not in dims:
            self._reduce_columns(o, x, y, dims, kept)
        elif 0 in shape:
            self._reduce_nothing(o, y, dims, kept)
        else:
            self._reduce_lanes(o, x, y, sorted(dims), kept)

    def _reduce_nothing(self, o, y, dims, kept):
        """Over no elements, of perhaps no results."""
        shape, how = o.inputs[0].spec.shape, _HOW[o.prim.name]
        sizes, n = [shape[d] for d in kept], math.prod(shape[d] for d in dims)

        def row(outer):
            total = self.lanes.number(how.start, element(y.spec.dtype))
            total = how.finish(self.lanes, total, n)
            self.store(total, y, self._out_index(o, shape, dims, outer))

        if 0 not in sizes:
            self._nest(sizes, (), row)

    def _reduce_lanes(self, o, x, y, dims, kept):
        """The last dim among others: its lanes are summed when all else is."""
        shape, kind, how = x.spec.shape, element(y.spec.dtype), _HOW[o.prim.name]
        sizes = [shape[d] for d in dims]
        spans = self._spans(sizes[-1])

        def row(outer):
            def strip(_, index, accs):
                v = self.value(x, self._index(shape, kept, outer, dims, index))
                return [how.join(self.lanes, accs[0], self.lanes.cast(v, kind))]

            starts = [[self._start(o, kind, step)] for _, _, step in spans]
            accs = self._summed(sizes, spans, starts, (), strip)
            parts = [self._fold(acc[0], how) for acc in accs]
            total = functools.reduce(lambda a, b: how.join(self.lanes, a, b), parts)
            total = how.finish(self.lanes, total, math.prod(sizes))
            self.store(total, y, self._out_index(o, shape, dims, outer))

        self._nest([shape[d] for d in kept], (), row)

    def _fold(self, x, how):
        """The lanes of a vector joined as a tree."""
        if not isinstance(x.type, ir.VectorType):
            return x
        w = x.type.count
        top = 1 << (w - 1).bit_length()
        if top > w:
            start = ir.Constant(x.type, [how.start] * w)
            x = self._lanes_of(x, start, [*range(top)])
        while top > 1:
            top //= 2
            low = self._lanes_of(x, x, [*range(top)])
            high = self._lanes_of(x, x, [*range(top, 2 * top)])
            x = how.join(Lanes(self.b, top), low, high)
        return self.b.extract_element(x, ir.IntType(32)(0))

    def _lanes_of(self, x, y, numbers):
        """A vector of these lanes of x and, counted on, of y."""
        i32 = ir.IntType(32)
        return self.b.shuffle_vector(
            x, y, ir.Constant(ir.VectorType(i32, len(numbers)), numbers)
        )

    def _reduce_columns(self, o, x, y, dims, kept):
        shape, kind, how = x.spec.shape, element(y.spec.dtype), _HOW[o.prim.name]
        sizes = [shape[d] for d in dims]
        *outer_sizes, n = [shape[d] for d in kept]

        def columns(outer):
            start = self.lanes.number(how.start, self.lanes.vector(kind))

            def nest(sizes, acc, index):
                if not sizes:
                    v = self.value(x, self._index(shape, kept, outer, dims, index))
                    return how.join(self.lanes, acc, self.lanes.cast(v, kind))
                with self.loop(0, sizes[0]) as i:
                    (phi,) = i.carry(acc)
                    i.next(nest(sizes[1:], phi, (*index, Affine({i.mark: 1}))))
                return i.results[0]

            total = nest(sizes, start, ()) if math.prod(sizes) else start
            total = how.finish(self.lanes, total, math.prod(sizes))
            self.store(total, y, self._out_index(o, shape, dims, outer))

        def inner(index):
            for i in self.strips(n):
                columns((*index, i))

        self._nest(outer_sizes, (), inner)


def _all(index):
    return index


def _then(f, g):
    return lambda index: g(f(index))


def _shifted(d, start):
    """An index with `start` added in dim d."""
    return lambda index: (*index[:d], index[d] + Affine(const=start), *index[d + 1 :])


def _on_diagonal(params, count, index):
    """Where in x, of `count` dims, the element of its diagonal with this index lies."""
    *rest, i = index
    below, above = max(-params["offset"], 0), max(params["offset"], 0)
    ends = {
        params["dim1"]: i + Affine(const=below),
        params["dim2"]: i + Affine(const=above),
    }
    rest = iter(rest)
    return tuple(ends[d] if d in ends else next(rest) for d in range(count))


def _keyed(key, index):
    """Where in x the element of x[key] with this index lies."""
    index, out = iter(index), []
    for k in key:
        if k is None:
            next(index)
        elif isinstance(k, tuple):
            out.append(next(index).times(k[2]) + Affine(const=k[0]))
        else:
            out.append(Affine(const=k))
    return (*out, *index)


class _Loop:
    def __init__(self, mark, carry, carried):
        self.mark, self.carry, self.carried = mark, carry, carried
        self.results: list = []

    def next(self, *values):
        """What the carried values are in the next round."""
        for entry, v in zip(self.carried, values, strict=True):
            entry[1] = v


class _Flat:
    """A value as its elements in order."""

    def __init__(self, v):
        self.v = v
        self.spec = type(v.spec)((math.prod(v.spec.shape),), v.spec.dtype)

    def __hash__(self):
        return hash(self.v)

    def __eq__(self, other):
        return self.v is other or self.v is getattr(other, "v", None)


class _How:
    def __init__(self, start, join, finish=None):
        self.start, self.join = start, join
        self.finish = finish or (lambda b, x, n: x)


_HOW = {
    "sum": _How(0, lambda b, x, y: b.add(x, y)),
    "mean": _How(
        0,
        lambda b, x, y: b.add(x, y),
        lambda b, x, n: b.mul(x, 1.0 / n if n else math.nan),
    ),
    "amax": _How(-math.inf, lambda b, x, y: b.maximum(x, y)),
    "amin": _How(math.inf, lambda b, x, y: b.minimum(x, y)),
}


def _plain(x):
    return int(x) if isinstance(x, bool) else x


def _broadcast(v, index):
    """The index of a value that was broadcast to the index's dims."""
    shape = v.spec.shape
    tail = index[len(index) - len(shape) :] if shape else ()
    return tuple(ZERO if n == 1 else i for n, i in zip(shape, tail, strict=True))
