"""Matrix products: the tasks of a form, for one thread or for some of them."""

from __future__ import annotations

import functools

from ..arithmetic.kinds import BFLOAT, HALF
from ..llvm.flow import least, loop
from ..llvm.types import BIT, I64
from .blocks import Block
from .form import Form
from .paired import Paired

_SHORT = {"V2": BFLOAT, "f2": HALF}


class Product(Paired):
    """The code of a form: call(a, b, c, scratch, first task, last task, again).

    The last task is not done. `again` says that scratch is as a call for other tasks has left it.
    """

    def __init__(self, module, scalar, form: Form):
        super().__init__(module, scalar)
        self.form, self.name = form, f"product.{form.name}"
        self.kinds = tuple(_SHORT.get(kind, scalar) for kind in form.kinds)

    @functools.cached_property
    def call(self):
        """The function of some tasks."""
        return self.module.globals.get(self.name) or self._tasks(self.name)

    @functools.cached_property
    def block(self):
        """The function of a block of C, of which there may be all."""
        name = f"{self.name}.block"
        return self.module.globals.get(name) or self._block(name)

    def whole(self, b, places, scratch) -> None:
        """All tasks by one thread: those of one product are one block, its bounds known."""
        form = self.form
        scratch = b.bitcast(scratch, self.scalar.as_pointer())
        bounds = (0, form.tasks) if form.batch else (0, form.m, 0, form.n)
        f = self.call if form.batch else self.block
        f.alone = True
        b.call(f, [*places, scratch, *map(I64, bounds), BIT(0)])

    def _offset(self, b, p, *terms):
        """p plus numbers times steps."""
        for number, step in terms:
            p = b.gep(p, [b.mul(number, I64(step))]) if step else p
        return p

    # ------------------------------------------------------------ tasks

    def _tasks(self, name):
        form, p = self.form, self.scalar.as_pointer()
        f, b = self.apart(name, *self.operands, p, p, I64, I64, BIT)
        *places, scratch, first, last, again = f.args
        tiles = I64(form.grid.down * form.grid.across)
        with _until(b, first, last) as (t, done):
            number = b.udiv(t, tiles)
            start = b.mul(number, tiles)
            end = least(b, b.sub(last, start), tiles)
            here = self._of_batch(b, places, number)
            some = b.sub(t, start), end, again
            self._some(b, self.block, [*here, scratch], *some)
            done(b.add(start, end))
        b.ret_void()
        return f

    def band(self):
        """The function of a part of one product: (a, b, c, scratch, m0, m1, n0, n1, k1, at first).

        c[m0:m1, n0:n1] is a[m0:m1, :k1] b[:k1, n0:n1], added to what is there if not at first.
        Rows begin and end with tiles and columns with vectors, or with the product.
        """
        p, name = self.scalar.as_pointer(), f"product.{self.form.name}.band"
        found = self.module.globals.get(name)
        if found:
            return found
        kinds = *self.operands, p, p, *[I64] * 5, BIT
        f, b = self.apart(name, *kinds)
        *places, m0, m1, n0, n1, k1, first = f.args
        with loop(b, n0, n1, self.form.strip) as j0:
            j1 = least(b, b.add(j0, I64(self.form.strip)), n1)
            bounds = m0, m1, j0, j1
            Block(self, b, places, bounds, depth=k1, begins=first).summed((), [])
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

    def _some(self, b, block, places, first, last, again):
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
            b.call(block, [*places, m0, m1, n0, n1, again])
            done(b.add(t, b.mul(some, strips)))

    # ------------------------------------------------------------ a block of C

    def _block(self, name):
        """c[m0:m1, n0:n1] = a[m0:m1] b[:, n0:n1]: (a, b, c, scratch, m0, m1, n0, n1, again)."""
        form, p = self.form, self.scalar.as_pointer()
        f, b = self.function(name, *self.operands, p, p, *[I64] * 4, BIT)
        *places, m0, m1, n0, n1, again = f.args
        again = again if form.stays(form.grid) else None
        with loop(b, n0, n1, form.strip) as j0:
            j1 = least(b, b.add(j0, I64(form.strip)), n1)
            bounds = m0, m1, j0, j1
            Block(self, b, places, bounds, again=again).summed(form.sums, [])
        b.ret_void()
        return f


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
