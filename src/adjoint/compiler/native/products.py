"""Matrix products: which blocks of C, with which panels of B, tiles are put together to.

A form says what is multiplied, known before any code is written: how many independent tasks
there are and what memory a worker needs. No task shares a sum with another.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

from llvmlite import ir

from ...ops.contract import letters_of
from .machine import cache, vector_bits
from .matmul import DEPTH, VECTORS, tile_rows
from .panels import Panels
from .vectors import I64, least, loop, strides

# Operations of a task at least, and tasks of a product at the most.
TASK, TASKS = 2**18, 48
# What a number costs to be copied or fetched, turned, or picked, in products of two numbers.
PACKED = 4.0, 12.0, 32.0
LONG = 2**12  # numbers of a row whose products are summed at a time, over lanes
DOTS = 4  # rows of A up to which B's columns are not turned
FEW, MANY = 16, 128  # rows of A up to which B may be read where it lies
FAR, APART = (
    2**12,
    2**9,
)  # bytes between rows of B, columns of A from which on both are packed


@dataclass(frozen=True)
class Form:
    """C = A B with all sizes and steps: c[i, j] = Σ a[i, k] b[k, j], perhaps many times.

    `a` are the steps of A's rows and columns, `b` those of B's; C's columns lie side by side,
    its rows `c` apart. `batch` counts products, (size, steps in A, B and C); `sums` are further
    dims that are summed, (size, steps in A and B).
    """

    m: int
    n: int
    k: int
    a: tuple[int, int]
    b: tuple[int, int]
    c: int
    batch: tuple[tuple[int, int, int, int], ...]
    sums: tuple[tuple[int, int, int], ...]
    item: int

    @property
    def name(self) -> str:
        """All that the code depends on."""
        dims = ("_".join(map(str, d)) for d in (*self.batch, *self.sums))
        numbers = (self.m, self.n, self.k, *self.a, *self.b, self.c, self.item)
        return ".".join([*map(str, numbers), *dims])

    @property
    def lanes(self) -> int:
        return vector_bits() // 8 // self.item

    @property
    def kind(self) -> str:
        """dots: sums over lanes; beside: B is read where it lies; panels: it is packed."""
        if self.m <= DOTS and self.a[1] == 1 == self.b[0] and self.k >= self.lanes:
            return "dots"
        if self.k == 0 or (self.b[1] == 1 and self._near()):
            return "beside"
        return "panels"

    def _near(self) -> bool:
        """Whether B's rows are as good as a panel: few read them, or they lie close together."""
        return self.m <= FEW or (self.m <= MANY and self.b[0] * self.item < FAR)

    @functools.cached_property
    def tile(self) -> tuple[int, int]:
        """Rows of a tile, and its vectors of columns."""
        most = tile_rows()
        if self.kind == "dots":
            return 1, 1
        if self.kind == "beside" and self.m < most:
            few = max(VECTORS, min(most * VECTORS // self.m, 16))
            return self.m, min(few, -(-self.n // self.lanes))
        return min(self.m, most), VECTORS

    @property
    def width(self) -> int:
        """Columns of a tile."""
        return self.tile[1] * self.lanes

    @property
    def depth(self) -> int:
        """How much of k goes into a tile at a time."""
        most = LONG if self.kind == "dots" else DEPTH
        parts = max(1, -(-self.k // most))
        return max(4, -(-self.k // parts // 4) * 4)

    @property
    def slivers(self) -> bool:
        """Whether A is packed: its rows' numbers lie far apart, and are read often."""
        far = self.a[0] == 1 and self.a[1] * self.item >= APART
        return far and self.kind == "panels" and self.n > self.width and self.m > 1

    @property
    def rows(self) -> int:
        """Rows of A that stay in a quarter of the second cache level."""
        rows = cache(2) // 4 // (self.depth * self.item)
        return max(self.tile[0], rows // self.tile[0] * self.tile[0])

    @property
    def block(self) -> int:
        """Rows that are gone through together: those that are packed, or all."""
        return self.rows if self.slivers else self.m

    @property
    def narrow(self) -> bool:
        """Whether all rows stay in the cache: then a panel is used at once."""
        return self.m <= self.rows

    @property
    def strip(self) -> int:
        """Columns that are gone through together, their panels packed before."""
        panels = -(-self.n // self.width)
        if self.narrow or self.kind != "panels":
            return panels * self.width
        fitting = cache(2) // 2 // (self.depth * self.item * self.width)
        parts = -(-panels // max(1, fitting))
        return -(-panels // parts) * self.width

    @property
    def packed(self) -> int:
        """Columns in packed panels at a time."""
        return self.width if self.narrow else self.strip

    @property
    def room(self) -> int:
        """Elements of a packed sliver; so many that slivers do not meet in the cache."""
        return self.depth * self.tile[0] + 16

    @property
    def bytes(self) -> int:
        """What a worker needs beside the operands."""
        if self.kind != "panels" or 0 in (self.m, self.n, self.k):
            return 0
        return self.item * (self.packed * self.depth + self._a_room())

    def _a_room(self) -> int:
        blocks = -(-min(self.rows, self.m) // self.tile[0])
        return blocks * self.room if self.slivers else 0

    @functools.cached_property
    def grid(self) -> tuple[int, int, int, int]:
        """(parts of the rows, of the columns, rows and columns of a part) of one product."""
        return min(self._grids(), key=self._loss)

    def _grids(self):
        """Those of which each task is worth being one; where a core's cache does not hold B,
        as few columns as can be, so that no part of B is packed often."""
        flop = 2 * self.m * self.n * max(1, self.k) * math.prod(s[0] for s in self.sums)
        wanted = max(1, min(TASKS, flop // TASK))
        panels, tiles = -(-self.n // self.width), -(-self.m // self.tile[0])
        large = self.k * self.n * self.item > cache(2)
        for columns in range(-(-panels // wanted), panels + 1):
            across = -(-panels // columns)
            most = wanted // across
            downs = [max(1, min(most, tiles // 8))] if large else range(1, most + 1)
            for rows in {-(-tiles // d) for d in downs}:
                down = -(-tiles // rows)
                yield down, across, rows * self.tile[0], columns * self.width
            if large:
                return

    def _loss(self, grid) -> float:
        """What tasks lose, as a part of the work: each packs, or fetches, what it reads; some
        threads wait for the last ones."""
        down, across, rows, columns = grid
        number = down * across * math.prod(s[0] for s in self.batch)
        a = PACKED[1 if self.slivers else 0] * self.m * across
        way = (
            0 if self.kind != "panels" or self.b[1] == 1 else 1 if self.b[0] == 1 else 2
        )
        b = PACKED[way] * self.n * down / 2  # a thread packs once for a few tasks
        rows, columns = min(rows, self.m), min(columns, self.n)
        uneven = down * rows * across * columns / (self.m * self.n) - 1
        waits = sum(-number % cores for cores in (4, 8)) / (2 * number)
        return (a + b) / (self.m * self.n) + 1 / number + (uneven + waits) / 2

    @property
    def tasks(self) -> int:
        """Parts of the result that can be computed in any order, or at once."""
        if 0 in (self.m, self.n):
            return 0
        down, across, *_ = self.grid
        return down * across * math.prod(s[0] for s in self.batch)


class Product(Panels):
    """The code of a form: call(a, b, c, scratch, first task, last task), the last not done."""

    def __init__(self, module, scalar, form: Form):
        super().__init__(module, scalar)
        self.form = form
        name = f"product.{form.name}"
        found = module.globals.get(name)
        self.call = found or self._tasks(name)

    def _offset(self, b, p, *terms):
        """p plus numbers times steps."""
        for number, step in terms:
            p = b.gep(p, [b.mul(number, I64(step))]) if step else p
        return p

    # ------------------------------------------------------------ tasks

    def _tasks(self, name):
        form, p = self.form, self.scalar.as_pointer()
        block = self._block(f"{name}.block")
        f, b = self.function(name, p, p, p, p, I64, I64)
        *places, scratch, first, last = f.args
        down, across, *_ = form.grid
        tiles = I64(down * across)
        with _until(b, first, last) as (t, done):
            number = b.udiv(t, tiles)
            start = b.mul(number, tiles)
            end = least(b, b.sub(last, start), tiles)
            here = self._of_batch(b, places, number)
            self._some(b, block, [*here, scratch], b.sub(t, start), end)
            done(b.add(start, end))
        b.ret_void()
        return f

    def band(self):
        """The function of a part of one product: (a, b, c, scratch, m0, m1, n1, k1, at first).

        c[m0:m1, :n1] is a[m0:m1, :k1] b[:k1, :n1], added to what is there if not at first.
        Rows begin and end with tiles and columns with vectors, or with the product.
        """
        p, name = self.scalar.as_pointer(), f"product.{self.form.name}.band"
        found = self.module.globals.get(name)
        if found:
            return found
        f, b = self.function(name, p, p, p, p, *[I64] * 4, ir.IntType(1))
        a, right, c, scratch, m0, m1, n1, k1, first = f.args
        with loop(b, 0, n1, self.form.strip) as j0:
            j1 = least(b, b.add(j0, I64(self.form.strip)), n1)
            part = _Part(self, b, a, right, c, scratch, (m0, m1, j0, j1))
            part.depth, part.begins = k1, first
            part.summed((), [])
        b.ret_void()
        return f

    def _of_batch(self, b, places, number):
        for size, *steps in reversed(self.form.batch):
            i = b.urem(number, I64(size))
            number = b.udiv(number, I64(size))
            places = [
                self._offset(b, p, (i, step))
                for p, step in zip(places, steps, strict=True)
            ]
        return places

    def _some(self, b, block, places, first, last):
        """Tasks of one product, those that share columns together."""
        form = self.form
        down, _, rows, columns = form.grid
        with _until(b, first, last) as (t, done):
            j, i = b.udiv(t, I64(down)), b.urem(t, I64(down))
            left = b.sub(last, t)
            strips = b.udiv(left, I64(down))
            whole = b.and_(
                b.icmp_signed("==", i, I64(0)), b.icmp_signed(">", strips, I64(0))
            )
            strips = b.select(whole, strips, I64(1))
            some = least(b, b.sub(I64(down), i), left)
            n0, n1 = (b.mul(x, I64(columns)) for x in (j, b.add(j, strips)))
            m0, m1 = (b.mul(x, I64(rows)) for x in (i, b.add(i, some)))
            m1, n1 = least(b, m1, I64(form.m)), least(b, n1, I64(form.n))
            b.call(block, [*places, m0, m1, n0, n1])
            done(b.add(t, b.mul(some, strips)))

    # ------------------------------------------------------------ a block of C

    def _block(self, name):
        """c[m0:m1, n0:n1] = a[m0:m1] b[:, n0:n1]: (a, b, c, scratch, m0, m1, n0, n1)."""
        form, p = self.form, self.scalar.as_pointer()
        f, b = self.function(name, p, p, p, p, *[I64] * 4)
        a, right, c, scratch, m0, m1, n0, n1 = f.args
        with loop(b, n0, n1, form.strip) as j0:
            j1 = least(b, b.add(j0, I64(form.strip)), n1)
            part = _Part(self, b, a, right, c, scratch, (m0, m1, j0, j1))
            part.summed(form.sums, [])
        b.ret_void()
        return f


class _Part:
    """Some columns of a block, for some of k at a time."""

    def __init__(self, product, b, a, right, c, scratch, bounds):
        self.p, self.form, self.b = product, product.form, b
        self.a, self.right, self.c, self.scratch = a, right, c, scratch
        self.m0, self.m1, self.j0, self.j1 = bounds
        self.depth = None  # how much of k there is, if that is known when it runs
        self.begins = ir.IntType(1)(1)
        form = self.form
        self.left = form.n % form.width
        full = b.sub(self.j1, self.j0)
        self.full = b.sub(full, b.urem(full, I64(form.width)))

    def summed(self, dims, before):
        """Loops over the dims that k does not count, and in them over k."""
        form, b = self.form, self.b
        if dims:
            (size, *_), *rest = dims
            with loop(b, 0, size, 1) as i:
                self.summed(rest, [*before, i])
            return
        a, right, first = self.a, self.right, self.begins
        for i, (_, sa, sb) in zip(before, form.sums, strict=True):
            a, right = self.p._offset(b, a, (i, sa)), self.p._offset(b, right, (i, sb))
            first = b.and_(first, b.icmp_signed("==", i, I64(0)))
        depth = I64(max(form.k, 1)) if self.depth is None else self.depth
        with loop(b, 0, depth, form.depth) as k0:
            end = I64(form.k) if self.depth is None else self.depth
            self.count = least(b, b.sub(end, k0), I64(form.depth))
            self.first = b.and_(first, b.icmp_signed("==", k0, I64(0)))
            self.ak = self.p._offset(b, a, (k0, form.a[1]))
            self.bk = self.p._offset(b, right, (k0, form.b[0]))
            getattr(self, f"_{form.kind}")()

    def _columns(self, body):
        """body(first column in the strip, vectors, lanes of the last) for all panels."""
        form, b = self.form, self.b
        vectors, w = form.tile[1], form.lanes

        def panel(j, _):
            body(j, vectors, w)
            return ()

        if form.n >= form.width:
            strides(b, I64(0), self.full, form.width, (), panel)
        if self.depth is not None:
            self._some_vectors(body)
        if self.left:
            with b.if_then(b.icmp_signed("==", self.j1, I64(form.n))):
                body(self.full, -(-self.left // w), (self.left - 1) % w + 1)

    def _some_vectors(self, body):
        """The last panel of a band that ends before the product does."""
        form, b = self.form, self.b
        inside = b.icmp_signed("<", self.j1, I64(form.n))
        rest = b.sub(b.sub(self.j1, self.j0), self.full)
        for vectors in range(1, form.tile[1]):
            here = b.icmp_signed("==", rest, I64(vectors * form.lanes))
            with b.if_then(b.and_(inside, here)):
                body(self.full, vectors, form.lanes)

    def _rows(self, i0, i1, body):
        """body(first row, rows) for all tiles."""
        form, b = self.form, self.b
        rows = form.tile[0]
        size = b.sub(i1, i0)
        whole = b.add(i0, b.sub(size, b.urem(size, I64(rows))))

        def tile(i, _):
            body(i, rows)
            return ()

        strides(b, i0, whole, rows, (), tile)
        if form.m % rows:
            with b.if_then(b.icmp_signed("==", i1, I64(form.m))):
                body(whole, form.m % rows)

    def _to(self, i, j):
        """Where the result of row i and column j of the strip is."""
        column = self.b.add(self.j0, j)
        return self.p._offset(self.b, self.c, (i, self.form.c), (column, 1))

    # ------------------------------------------------------------ three ways

    def _dots(self):
        form, b = self.form, self.b

        def panel(j, _, lanes):
            column = b.add(self.j0, j)

            def tile(i, _):
                args = [
                    self.p._offset(b, self.ak, (i, form.a[0])),
                    self.p._offset(b, self.bk, (column, form.b[1])),
                    self._to(i, j),
                    *(self.count, self.first, I64(form.b[1])),
                ]
                b.call(self.p.dots(lanes), args)

            self._rows(self.m0, self.m1, tile)

        self._columns(panel)

    def _beside(self):
        form, b = self.form, self.b

        def panel(j, vectors, lanes):
            right = self.p._offset(b, self.bk, (b.add(self.j0, j), 1))

            def tile(i, rows):
                steps = [*form.a, form.c, lanes, form.b[0]]
                a = self.p._offset(b, self.ak, (i, form.a[0]))
                args = [a, right, self._to(i, j), self.count, self.first]
                kernel = self.p.kernel_beside(rows, vectors)
                b.call(kernel, [*args, *map(I64, steps)])

            self._rows(self.m0, self.m1, tile)

        self._columns(panel)

    def _panels(self):
        """Few rows: a panel is packed and used by all of them, then the next.

        Many: panels for half of the second cache level, then a tile's rows meet all of them.
        """
        form, b = self.form, self.b
        if form.narrow:
            slivers = self._slivers(self.m0, self.m1) if form.slivers else None
            self._columns(lambda *panel: self._down(slivers, *panel))
            return
        self._columns(lambda j, *size: self._pack(j, j, *size))
        with loop(b, self.m0, self.m1, form.block) as i0:
            i1 = least(b, b.add(i0, I64(form.block)), self.m1)
            slivers = self._slivers(i0, i1) if form.slivers else None
            self._rows(i0, i1, lambda *tile: self._across(i0, slivers, *tile))

    def _down(self, slivers, j, vectors, lanes):
        """A panel and all rows."""
        self._pack(j, I64(0), vectors, lanes)

        def tile(i, rows):
            left = self._left(self.m0, i, slivers)
            self._tile(left, self.scratch, (i, rows), (j, vectors, lanes))

        self._rows(self.m0, self.m1, tile)

    def _across(self, i0, slivers, i, rows):
        """A tile's rows and all panels."""
        left = self._left(i0, i, slivers)

        def panel(j, vectors, lanes):
            right = self.p._offset(self.b, self.scratch, (j, self.form.depth))
            self._tile(left, right, (i, rows), (j, vectors, lanes))

        self._columns(panel)

    def _tile(self, left, right, across, down):
        (a, steps), (i, rows), (j, vectors, lanes) = left, across, down
        args = [a, right, self._to(i, j), self.count, self.first]
        steps = [I64(x) for x in (*steps, self.form.c, lanes)]
        self.b.call(self.p.kernel(rows, vectors), [*args, *steps])

    def _left(self, i0, i, slivers):
        """Where row i of A starts, and its steps."""
        form, b = self.form, self.b
        if slivers is None:
            return self.p._offset(b, self.ak, (i, form.a[0])), form.a
        number = b.udiv(b.sub(i, i0), I64(form.tile[0]))
        return self.p._offset(b, slivers, (number, form.room)), (1, form.tile[0])

    def _pack(self, j, at, vectors, lanes):
        """The columns from j on to the panel at a place."""
        form, b = self.form, self.b
        of = self.p._offset(b, self.bk, (b.add(self.j0, j), form.b[1]))
        to = self.p._offset(b, self.scratch, (at, form.depth))
        if form.b[0] == 1 != form.b[1]:
            column, rest = I64(form.b[1]), I64(lanes)
            self.p.turn(b, of, to, self.count, column, vectors, rest)
            return
        if form.b[1] == 1:
            f, steps = self.p.copied(vectors), form.b[:1]
        else:
            f, steps = self.p.picked(vectors), form.b
        b.call(f, [of, to, self.count, *map(I64, steps), I64(lanes)])

    def _slivers(self, i0, i1):
        """Rows of A."""
        form, b = self.form, self.b
        rows = form.tile[0]
        packed = self.p._offset(b, self.scratch, (I64(form.packed), form.depth))
        size = b.sub(i1, i0)
        whole = b.udiv(size, I64(rows))
        source = self.p._offset(b, self.ak, (i0, 1))

        def some(s, _):
            of = self.p._offset(b, source, (s, rows))
            to = self.p._offset(b, packed, (s, form.room))
            many = least(b, b.sub(whole, s), I64(8))
            args = [of, to, self.count, I64(form.a[1]), many, I64(form.room)]
            b.call(self.p.slivers(rows), args)
            return ()

        strides(b, I64(0), whole, 8, (), some)
        rest = form.m % rows
        if rest:
            with b.if_then(b.icmp_signed("==", i1, I64(form.m))):
                self._last_sliver(source, packed, whole, rest)
        return packed

    def _last_sliver(self, source, packed, whole, rest):
        form, b = self.form, self.b
        of = self.p._offset(b, source, (whole, form.tile[0]))
        to = self.p._offset(b, packed, (whole, form.room))
        with loop(b, 0, self.count, 1) as k:
            column = self.p._offset(b, of, (k, form.a[1]))
            row = self.p._offset(b, to, (k, form.tile[0]))
            for i in range(rest):
                b.store(b.load(b.gep(column, [I64(i)])), b.gep(row, [I64(i)]))


class _until:
    """while t < last, of which `done` says where it goes on."""

    def __init__(self, b, first, last):
        self.b, self.first, self.last = b, first, last

    def __enter__(self):
        b = self.b
        before = b.block
        self.head, body, self.end = (
            b.append_basic_block(x) for x in ("next", "task", "done")
        )
        b.branch(self.head)
        b.position_at_end(self.head)
        self.t = b.phi(I64)
        self.t.add_incoming(self.first, before)
        b.cbranch(b.icmp_signed("<", self.t, self.last), body, self.end)
        b.position_at_end(body)
        return self.t, self._done

    def _done(self, t):
        self.t.add_incoming(t, self.b.block)
        self.b.branch(self.head)

    def __exit__(self, *_):
        self.b.position_at_end(self.end)


# ------------------------------------------------------------ forms of contractions


def form_of(o, apart=(), steps=None) -> tuple[Form, bool] | None:
    """A contraction as matrix products, and whether its operands change places; or None.

    The letters `apart` are counted outside: it is the product of one index of them. `steps`
    says of views how they lie.
    """
    left, right, out = letters_of(o.params["spec"])
    dtype = o.outputs[0].spec.dtype
    if dtype.str[1:] not in ("f4", "f8"):
        return None
    size, names = sizes_of(o), steps_of(o, steps)
    size |= dict.fromkeys(apart, 1)
    wide = [c for c in out if size[c] != 1]
    swap = bool(wide) and wide[-1] in left and wide[-1] not in right
    form = _form(*(names[i] for i in ((1, 0, 2) if swap else (0, 1, 2))), size, dtype)
    if form.n == 1 and form.c == 1 and form.m > 1:
        return swapped(form), not swap
    return form, swap


def sizes_of(o) -> dict:
    """How large each letter of a contraction is."""
    left, right, _ = letters_of(o.params["spec"])
    shapes = [v.spec.shape for v in o.inputs]
    return dict(zip(left + right, shapes[0] + shapes[1], strict=True))


def steps_of(o, steps=None) -> list[_Steps]:
    """The steps of both operands and of the result."""
    values = zip(letters_of(o.params["spec"]), (*o.inputs, *o.outputs), strict=True)
    size = sizes_of(o)
    return [_Steps(c, size, steps(v) if steps else None) for c, v in values]


class _Steps(dict):
    """The steps of an operand's letters, from the last on; 0 for those that it lacks."""

    def __init__(self, letters, size, steps=None):
        step = 1
        for i, c in reversed(list(enumerate(letters))):
            self[c] = step if steps is None else steps[i]
            step *= size[c]

    def __missing__(self, c):
        return 0


def _form(x, y, z, size, dtype) -> Form:
    order = reversed(z)  # the dict holds letters from the last on
    rows, columns, batch = [], [], []
    for c in order:
        if size[c] != 1:
            place = (batch if c in y else rows) if c in x else columns
            place.append(c)
    inner = [c for c in dict.fromkeys([*reversed(x), *reversed(y)]) if c not in z]
    joined = [
        _joined([(size[c], x[c], y[c], z[c]) for c in letters])
        for letters in (rows, columns, batch, [c for c in inner if size[c] != 1])
    ]
    rows, columns, batch, inner = joined
    m = _taken(rows, lambda d: d[0])
    n = _taken(columns, lambda d: d[3] == 1)
    if n[0] != 1 and n[3] != 1:
        columns, n = [*columns, n], (1, 0, 0, 0)
    k = _taken(inner, lambda d: (d[1] > 0 and d[2] > 0, d[0]))
    dims = [*batch, *rows, *columns]
    sums = tuple((s, sx, sy) for s, sx, sy, _ in inner)
    total = k[0] * math.prod(s[0] for s in sums)
    return Form(
        m=m[0],
        n=n[0],
        k=k[0] if total else 0,
        a=(m[1], k[1]),
        b=(k[2], n[2] if n[0] != 1 else 1),
        c=m[3] if m[0] != 1 else 1,
        batch=tuple(dims),
        sums=sums if total else (),
        item=dtype.itemsize,
    )


def _taken(dims, key):
    """The dim of the largest key, taken out; one of size 1 if there is none."""
    if not dims:
        return 1, 0, 0, 0
    best = max(range(len(dims)), key=lambda i: (key(dims[i]), i))
    return dims.pop(best)


def _joined(dims):
    """Neighbours that count on in all operands as one dim."""
    out: list = []
    for d in dims:
        n = d[0]
        if out and all(s == t * n for s, t in zip(out[-1][1:], d[1:], strict=True)):
            out[-1] = (out[-1][0] * n, *d[1:])
        else:
            out.append(d)
    return out


def swapped(f: Form) -> Form:
    """A column as a row."""
    batch = tuple((n, sb, sa, sc) for n, sa, sb, sc in f.batch)
    sums = tuple((n, sb, sa) for n, sa, sb in f.sums)
    a, b = (0, f.b[0]), (f.a[1], f.a[0])
    return Form(1, f.m, f.k, a, b, 1, batch, sums, f.item)
