"""Slices: kernels that run together, one after the other for each slice of their values."""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

from ...ops.contract import letters_of
from ..schedule.together import MANY
from .arithmetic.kinds import element
from .kernels.affine import padded
from .kernels.nests import lined
from .llvm import text as ir
from .llvm.flow import least, loop
from .llvm.types import BIT, I64
from .products.contractions import form_of, steps_of
from .products.packed import Packed, packable, room
from .products.tasks import Product
from .sharing import ROOM, apart

MOST = 16  # parts of a slice


def parts(s, k) -> int:
    """In how many places of their own blocks can add up, for threads to share them; 0: in none."""
    if not k.undivided or math.prod(k.sizes) >= MANY or k.band.ends:
        return 0
    made = [o.outputs[0] for o in (*k.sums, *k.totals)]
    if any(s.root(v) is not v or v in s.views for v in made):
        return 0
    most = ROOM // sum(apart(v.spec.bytes) for v in made)
    found = min(MOST, most, k.band.blocks)
    return found if found > 1 else 0


def own_sums(k, _):
    """(operation, places) of what parts sum up on their own."""
    return [(o, k.parts) for o in (*k.sums, *k.totals)] if k.parts else []


def panels(s, k) -> int:
    """Bytes that a worker needs for the products of a group."""
    products = [m for m in k.members if m.kind == "contract"]
    forms = [form_of(m.roots[0], k.axes[m], s.steps) for m in products]
    return max([0, *(f[0].bytes for f in forms if f)]) + _ready(s, k)[1]


def _ready(s, k):
    """(products whose right operand is packed once for all blocks -> where, bytes of that)."""
    found, size = {}, 0
    for m in k.members if k.band else ():
        if m.kind != "contract" or m in k.band.sums:
            continue
        (o,) = m.roots
        form, swap = form_of(o, k.axes[m], s.steps)
        right = s.root(o.inputs[0 if swap else 1])
        same = k.band.rows[m] not in letters_of(o.params["spec"])[0 if swap else 1]
        if packable(form) and same and s.kernel_of.get(right) is not k:
            found[m] = size
            size += room(form)
    return found, size


class Slices:
    """The code of a group; `room` is the worker's own, in which panels come first."""

    def __init__(self, e, k, room):
        self.e, self.k, self.room = e, k, room
        self.s, self.b = e.schedule, e.b
        self.own = {v: e.pointers[v] for v in k.made if v in self.s.local}
        self.ready, self.top = _ready(e.schedule, k)

    def tasks(self, first, last, done):
        """All slices of a range that is not empty, or blocks of them.

        So many chunks were done before with panels that are where they were.
        """
        b, band = self.b, self.k.band
        self.e.begin(self.k)
        if band and band.ends:
            module = b.module
            self.ends = module.table(module.get_unique_name("ends"), band.ends)
        with loop(b, first, last, 1) as t:
            if band is None:
                self._members(self._index(t))
            elif self.k.undivided:
                index = self._index(t)
                self._fill(index)
                self._blocks(index, I64(0), I64(band.blocks))
            else:
                some = self.k.parts or band.blocks
                index, number = self._index(b.udiv(t, I64(some))), b.urem(t, I64(some))
                with b.if_then(self._begins(t, first, number, done)):
                    self._fill(index)
                if self.k.parts:
                    self._part(index, number)
                else:
                    self._block(index, number, BIT(1))

    def _begins(self, t, first, number, done):
        """Whether panels of the slice are not there: of the only one, at the first block done."""
        b = self.b
        starts = b.icmp_signed("==", t, first)
        if math.prod(self.k.sizes) == 1:
            return b.and_(starts, b.icmp_unsigned("==", done, I64(0)))
        return b.or_(b.icmp_signed("==", number, I64(0)), starts)

    def _part(self, index, number):
        """Some blocks of a slice, which add up in a place of their own."""
        b, k, homes = self.b, self.k, dict(self.e.pointers)
        for o in k.sums:
            self.e.pointers[o.outputs[0]] = self.e.own(o, number)
        ends = (b.mul(n, I64(k.band.blocks)) for n in (number, b.add(number, I64(1))))
        self._blocks(index, *(b.udiv(n, I64(k.parts)) for n in ends), number)
        self.e.pointers.update(homes)

    def _blocks(self, index, start, stop, part=None):
        """Blocks of a slice, one after the other, which add up."""
        for o in self.k.totals:
            self.e.open(o, part)
        with loop(self.b, start, stop, 1) as i:
            self._block(index, i, self.b.icmp_signed("==", i, start))

    def _index(self, t):
        """The places along all axes of a slice with this number."""
        b, out = self.b, []
        for n in reversed(self.k.sizes):
            out.append(b.urem(t, I64(n)))
            t = b.udiv(t, I64(n))
        return tuple(reversed(out))

    def _block(self, index, number, first):
        """Rows of a slice, the last ones first; what is inside has memory for them alone.

        With the first one sums begin.
        """
        b, band = self.b, self.k.band
        i = b.sub(I64(band.blocks - 1), number)
        start = b.mul(i, I64(band.block))
        stop = least(b, b.add(start, I64(band.block)), I64(band.height))
        end = b.load(b.gep(self.ends, [I64(0), i])) if band.ends else None
        for v, p in self.own.items():
            if v in self.k.inside:
                row = math.prod(v.spec.shape[self.s.local[v] :]) // band.height
                self.e.pointers[v] = b.gep(p, [b.mul(start, I64(-row))])
        self._members(index, _Rows(start, stop, end, first))

    def _members(self, index, rows=None):
        for m in self.k.members:
            self.e.known = {}
            write = self._product if m.kind == "contract" else self._loops
            write(m, index, rows)

    # ------------------------------------------------------------ loops

    def _loops(self, m, index, rows):
        """A map or rows: of the dims that count slices, one place."""
        e, b, band = self.e, self.b, self.k.band
        space = lined(m.space) if m.kind == "map" or not m.rank else m.space
        spans: list = [None] * len(space)
        for d, i in zip(self.k.axes[m], index, strict=True):
            spans[d] = i, b.add(i, I64(1))
        if rows:
            ends = rows.start, rows.stop
            in_lanes = band.rows[m] == len(space) - 1
            spans[band.rows[m]] = self._vectors(ends) if in_lanes else ends
        if rows and rows.end is not None and m in band.columns:
            spans[-1] = self._vectors((I64(0), rows.end))
        if m.kind == "map":
            rank = len(m.space)
            e.over(space, lambda at: e._store_roots(m, padded(at, rank)), spans)
        elif m.rank:
            inner = tuple(spans[m.rank :])
            e._rows(m, spans[: m.rank], inner if any(inner) else ())
        else:
            e.add_all(m, spans)

    def _vectors(self, ends):
        """The vectors between two places of a dim; the rest of it belongs to the last ones."""
        return tuple(self.b.udiv(x, I64(self.e.vectors)) for x in ends)

    # ------------------------------------------------------------ products

    def _product(self, m, index, rows):
        p = _Places(self, m, index)
        if rows is None:
            product = Product(self.b.module, p.scalar, p.form)
            product.whole(self.b, p.places, self._scratch(p))
            return
        bounds = self._bounds(m, p.form, p.left, p.out, rows)
        if m in self.ready:
            x, _, z = p.places
            product = Packed(self.b.module, p.scalar, p.form)
            m0, m1, _, n1, k1, _ = bounds
            places = x, self._panels(m, p), z, self._scratch(p)
            self.b.call(product.rows(), [*places, m0, m1, n1, k1])
            return
        role, places = self.k.band.rows[m], list(p.places)
        if role not in p.out:  # only a part of the sum is here
            for i in (0, 1):
                places[i] = self._offset(places[i], rows.start, p.steps[i][role])
        product = Product(self.b.module, p.scalar, p.form)
        self.b.call(product.band(), [*places, self._scratch(p), *bounds])

    def _scratch(self, p):
        """Where panels go that are packed for one product."""
        return self._within(self.top, p)

    def _panels(self, m, p):
        """Where the panels of a product are that are packed for all blocks."""
        return self._within(self.ready[m], p)

    def _within(self, offset, p):
        place = self.b.gep(self.room, [I64(offset)])
        return self.b.bitcast(place, p.scalar.as_pointer())

    def _fill(self, index):
        """Pack what all blocks of a slice read."""
        for m in self.ready:
            p = _Places(self, m, index)
            product = Packed(self.b.module, p.scalar, p.form)
            places = p.places[1], self._panels(m, p), self._scratch(p)
            self.b.call(product.fill(), places)

    def _bounds(self, m, form, left, out, rows):
        """(m0, m1, n0, n1, k1, whether at first) of a product of a block."""
        band, starts = self.k.band, {"m": I64(0), "n": I64(0)}
        ends = {"m": I64(form.m), "n": I64(form.n), "k": I64(form.k)}
        first, role = BIT(1), band.rows[m]
        if role in out:
            c = "m" if role in left else "n"
            starts[c], ends[c] = rows.start, rows.stop
        else:
            ends["k"], first = self.b.sub(rows.stop, rows.start), rows.first
        if rows.end is not None and m in band.columns:
            c = band.columns[m]
            ends["k" if c not in out else "m" if c in left else "n"] = rows.end
        both = ((starts[c], ends[c]) for c in "mn")
        return *itertools.chain(*both), ends["k"], first

    def _place(self, v, steps, axes):
        """Where the slice of an operand begins."""
        root = self.s.root(v)
        p = self.e.pointers[root]
        if root in self.s.local:
            return p
        if v in self.s.views:
            p = self.b.gep(p, [I64(self.s.views[v].offset)])
        for c, i in axes.items():
            p = self._offset(p, i, steps[c])
        return p

    def _offset(self, p, i, step):
        b = self.b
        return b.gep(p, [b.mul(i, I64(step))]) if step else p


class _Places:
    """A product of one slice: its form, and where operands and result begin, in their order."""

    def __init__(self, of, m, index):
        (o,) = m.roots
        axes = dict(zip(of.k.axes[m], index, strict=True))
        self.form, swap = form_of(o, axes, of.s.steps)
        self.scalar = element(o.outputs[0].spec.dtype)
        order = (1, 0, 2) if swap else (0, 1, 2)
        letters = letters_of(o.params["spec"])
        self.left, self.out = letters[order[0]], letters[2]
        steps, values = steps_of(o, of.s.steps), (*o.inputs, *o.outputs)
        self.steps = [steps[i] for i in order]
        self.places = [of._place(values[i], steps[i], axes) for i in order]


class _Rows(NamedTuple):
    """Rows of a block, the end of their columns, and whether sums begin with it."""

    start: ir.Value
    stop: ir.Value
    end: ir.Value | None
    first: ir.Value
