"""Storage: elements from memory and to it, in all lanes."""

from __future__ import annotations

import math
from contextlib import contextmanager
from typing import Any

from ..arithmetic.kinds import stored_element
from ..llvm import text as ir
from ..llvm.machine import cache, vector_bits
from ..llvm.types import BIT, BYTE, I32, I64, POINTER
from ..sharing import LINE
from .affine import ZERO, in_order
from .failing import Failing

PAGE = 2**12


class Flat:
    """A value as its elements in order."""

    def __init__(self, v):
        self.v = v
        self.spec = type(v.spec)((math.prod(v.spec.shape),), v.spec.dtype)

    def __hash__(self):
        return hash(self.v)

    def __eq__(self, other):
        return self.v is other or self.v is getattr(other, "v", None)


class Storage(Failing):
    """Where the values of a schedule lie; buffers are pointers it was given."""

    inside: Any = None  # a mask of the lanes that are there, as `Spaced` has it; or all
    load_inside: Any
    squares: Any = None  # what was turned to be read along rows, as `Squares` has it
    load_turned: Any

    def __init__(self, builder: ir.IRBuilder, schedule, pointers: dict):
        super().__init__(builder)
        self.schedule, self.pointers = schedule, pointers
        self.streamed: set = set()  # large results that nothing reads: past the caches
        self.asks = True  # for what is read a page later
        self.row = ZERO  # which of the rows that are gone through together it is

    @contextmanager
    def turn(self, row):
        """Inside, it is the turn of this one of some rows."""
        self.row = row
        yield
        self.row = ZERO

    def flat(self, v, index):
        """Which of the elements of v, in order, v[index] is."""
        rank = self.schedule.local.get(v, 0)
        shape = v.spec.shape[rank:]
        flat = in_order(index[rank:], shape)
        if v in self.schedule.rows:
            flat = flat + self.row.times(math.prod(shape))
        return flat

    def address(self, v, index):
        """(pointer to the first lane, step between lanes) of v[index]."""
        flat = self.flat(v, index)
        start = self.pointers[self.schedule.root(v)]
        return self.b.gep(start, [self.number(flat)]), flat.terms.get(self.inner, 0)

    def load(self, v, index):
        """v[index] in all lanes that are `inside`."""
        turned = self.load_turned(v, index) if self.squares else None
        if turned is not None:
            return turned
        p, step = self.address(v, index)
        if self.inside is not None:
            return self.load_inside(v, p, step)
        large = v.spec.bytes >= cache(2) and self.lanes.width == self.vectors
        if large and step == 1 and self.asks:
            self._ask(p, v.spec.dtype.itemsize)
        return self.load_from(p, step, v.spec.dtype)

    def _ask(self, p, size):
        """Ask for what is read a page later: processors look ahead no further than a page.

        Of a value as large as the second level of caches little can be there.
        """
        p = self.b.bitcast(p, POINTER)
        for line in range(0, self.vectors * size, LINE):
            self.b.prefetch(self.b.gep(p, [I64(PAGE + line)]))

    def load_from(self, p, step, dtype):
        """What lies from `p` on, `step` elements between lanes."""
        w, kind = self.lanes.width, stored_element(dtype)
        if w == 1 or step == 0:
            x = self.lanes.splat(self.b.load(p))
        elif step == 1:
            x = self.b.load(
                self.b.bitcast(p, ir.VectorType(kind, w).as_pointer()), align=1
            )
        elif step == 2 and w % 2 == 0:
            x = self._every_second(p, ir.VectorType(kind, w))
        else:
            x = self.lane_by_lane(
                kind, lambda k: self.b.load(self.b.gep(p, [I64(k * step)]))
            )
        return self.lanes.compare("!=", x, 0) if dtype.kind == "b" else x

    def lane_by_lane(self, kind, one):
        """A vector whose lane k is one(k)."""
        w = self.lanes.width
        x = ir.Constant(ir.VectorType(kind, w), ir.Undefined)
        for k in range(w):
            x = self.b.insert_element(x, one(k), I32(k))
        return x

    def _every_second(self, p, kind):
        """Elements 0, 2, 4... of two vectors that end where the last of these does."""
        w, places = kind.count, (p, self.b.gep(p, [I64(kind.count - 1)]))
        x, y = (
            self.b.load(self.b.bitcast(q, kind.as_pointer()), align=1) for q in places
        )
        return self._lanes_of(x, y, [*range(0, w, 2), *range(w + 1, 2 * w, 2)])

    def _lanes_of(self, x, y, numbers):
        """A vector of these lanes of x and, counted on, of y."""
        return self.b.shuffle_vector(
            x, y, ir.Constant(ir.VectorType(I32, len(numbers)), numbers)
        )

    def store(self, x, v, index):
        """v[index] = x in all lanes, which lie side by side."""
        if v.spec.dtype.kind == "b":
            x = self.b.zext(x, self.lanes.vector(BYTE))
        p, _ = self.address(v, index)
        if self.lanes.width > 1:
            p = self.b.bitcast(p, x.type.as_pointer())
        if v in self.streamed and self.lanes.width == self.vectors:
            mark = self.b.module.add_metadata([I32(1)])
            aligned = self.b.store(x, p, align=vector_bits() // 8)
            aligned.set_metadata("nontemporal", mark)
        else:
            self.b.store(x, p, align=1)

    def store_to(self, p, step, x, dtype):
        """x from `p` on, `step` elements between lanes."""
        x = self.b.zext(x, self.lanes.vector(BYTE)) if dtype.kind == "b" else x
        if self.lanes.width == 1:
            self.b.store(x, p)
        elif step == 1:
            self.b.store(x, self.b.bitcast(p, x.type.as_pointer()), align=1)
        else:
            for i in range(self.lanes.width):
                one = self.b.extract_element(x, I32(i))
                self.b.store(one, self.b.gep(p, [I64(i * step)]))

    def copy(self, source, target):
        """All of a stored value to the memory of another."""
        self.move(self.pointers[source], self.pointers[target], source)

    def move(self, source, target, v):
        """The memory of a value to another place."""
        name, kinds = "llvm.memcpy.p0.p0.i64", [POINTER, POINTER, I64, BIT]
        f = self.b.module.declared(name, ir.VoidType(), kinds)
        to, of = (self.b.bitcast(p, POINTER) for p in (target, source))
        self.b.call(f, [to, of, I64(v.spec.bytes), BIT(0)])
