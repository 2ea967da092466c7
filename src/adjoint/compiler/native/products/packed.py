"""Packed: products whose right operand is packed once, for one block of rows after another."""

from __future__ import annotations

from ..llvm.types import I64
from .blocks import Block
from .form import Form
from .tasks import Product


def packable(form: Form) -> bool:
    """Whether all of B fits into panels at once, of which tiles take all of k."""
    alone = not (form.batch or form.sums) and 0 < form.k <= form.depth
    if form.kind == "pairs":
        return alone and form.n <= form.fitting
    plain = not (form.slivers or any(form.kinds))
    return alone and plain and form.kind == "panels"


def room(form: Form) -> int:
    """Bytes of all panels, whole lines."""
    if form.kind == "pairs":
        return 4 * form.rooms_across.panels
    return -(-form.n // form.width) * form.width * form.depth * form.item


class Packed(Product):
    """The code of such a product."""

    def fill(self):
        """(b, panels, scratch): all of B to its panels."""
        form, p = self.form, self.scalar.as_pointer()
        name = f"product.{form.name}.fill"
        if found := self.module.globals.get(name):
            return found
        f, b = self.apart(name, self.operands[1], p, p)
        right, panels, scratch = f.args
        bounds, pairs = (I64(0), I64(0), I64(0), I64(form.n)), form.kind == "pairs"
        room = scratch if pairs else panels
        places = right, right, right, room  # it is only packed
        part = Block(self, b, places, bounds, panels=panels)
        part = part.at_once(I64(form.k))
        if pairs:
            part.pair_panels()
        else:
            part._columns(lambda j, *size: part._pack(j, j, *size))
        b.ret_void()
        return f

    def rows(self):
        """(a, panels, c, scratch, m0, m1, n1, k1): c[m0:m1, :n1] = a[m0:m1, :k1] b[:k1, :n1]."""
        form, p = self.form, self.scalar.as_pointer()
        name = f"product.{form.name}.rows"
        if found := self.module.globals.get(name):
            return found
        f, b = self.apart(name, self.operands[0], p, p, p, *[I64] * 4)
        a, panels, c, scratch, m0, m1, n1, k1 = f.args
        places, bounds = (a, panels, c, scratch), (m0, m1, I64(0), n1)
        part = Block(self, b, places, bounds, panels=panels, depth=k1).at_once(k1)
        if form.kind == "pairs":
            part.pair_tiles()
        else:
            part._columns(lambda *panel: self._panel(part, panels, m0, m1, *panel))
        b.ret_void()
        return f

    def _panel(self, part, panels, m0, m1, j, vectors, lanes):
        """A panel, or its first vectors, and all rows; the last one may be narrower."""
        form, b = self.form, part.b
        right = self._offset(b, panels, (j, form.depth))
        last = -(-(form.n % form.width) // form.lanes) * form.lanes
        inside = b.icmp_signed("<", j, I64(form.n // form.width * form.width))
        width = b.select(inside, I64(form.width), I64(last))

        def tile(i, rows):
            at = self._offset(b, a, (i, form.a[0]))
            args = [at, right, part._to(i, j), part.count, part.first]
            steps = [I64(x) for x in (*form.a, form.c, lanes)]
            if vectors == form.tile[1]:
                b.call(self.kernel(rows, vectors), [*args, *steps])
            else:
                kernel = self.kernel_beside(rows, vectors, whole=lanes == form.lanes)
                b.call(kernel, [*args, *steps, width])

        a = part.ak
        part._rows(m0, m1, tile)
