"""Asking: lines of memory that tiles ask for, each for its share, before others need them.

Beyond the second level of caches a line takes hundreds of cycles, and few can be on their way
at once. So those of the next panel, or of the next rows, are asked for one a round while tiles
multiply what is there.
"""

from __future__ import annotations

from typing import NamedTuple

from ..llvm import text as ir
from ..llvm.types import I64
from ..sharing import LINE
from .matmul import DEPTH, Asking


class Lines(NamedTuple):
    """2**inner lines that lie `near` apart, then as many `far` from them: `total` of all."""

    place: ir.Value
    near: int
    far: int
    inner: int
    total: ir.Value

    def share(self, b, tile, tiles) -> Asking:
        """What this one of so many tiles asks for."""
        ends = tile, b.add(tile, I64(1))
        first, last = (b.udiv(b.mul(self.total, t), tiles) for t in ends)
        steps = map(I64, (self.near, self.far, self.inner))
        return Asking(self.place, *steps, first, last)


def next_panel(block, j) -> Lines | None:
    """Of B after the panel at column j: beside it, or where the next part of k begins."""
    form, b = block.form, block.b
    if not form.asks or 1 not in form.b:
        return None
    after = b.add(j, I64(form.width))
    inside = b.icmp_signed("<", after, b.sub(block.j1, block.j0))
    at = b.add(block.j0, b.select(inside, after, I64(0)))
    start = b.select(inside, block.bk, _below(block, block.bk, form.b[0]))
    place = block.offset(start, (at, form.b[1]))
    line = LINE // form.item
    if form.b[1] == 1:
        steps, inner, outer = (line, form.b[0]), form.width // line, block.count
    else:
        steps, inner, outer = (form.b[1], line), form.width, _lines(block)
    return _lines_of(block, place, steps, inner, outer, inside)


def next_rows(block, i) -> Lines | None:
    """Of A after the tile at row i, if it is not packed: below, or in the next part of k."""
    form, b = block.form, block.b
    if not form.asks or form.slivers or form.a[1] != 1:
        return None
    after = b.add(i, I64(form.tile[0]))
    inside = b.icmp_signed("<", after, block.m1)
    at = b.select(inside, after, block.m0)
    start = b.select(inside, block.ak, _below(block, block.ak, form.a[1]))
    place = block.offset(start, (at, form.a[0]))
    steps = form.a[0], LINE // form.item
    return _lines_of(block, place, steps, form.tile[0], _lines(block), inside)


def next_columns(block, i) -> Lines:
    """Of A's columns what is packed while the group after that at row i is multiplied: two
    groups on, or where the next part of k begins.
    """
    form, b = block.form, block.b
    after = b.add(i, I64(2 * form.group))
    inside = b.icmp_signed("<", after, block.m1)
    again = b.sub(after, b.sub(block.m1, block.m0))
    start = b.select(inside, block.ak, _below(block, block.ak, form.a[1]))
    place = block.offset(start, (b.select(inside, after, again), 1))
    total = b.select(b.or_(inside, block.more), block.count, I64(0))
    return Lines(place, form.a[1], 0, DEPTH.bit_length(), total)


def _below(block, place, step):
    """Where the next part of k begins."""
    return block.offset(place, (block.count, step))


def _lines(block):
    """How many lines k's numbers of one row or column may lie in."""
    b, line = block.b, LINE // block.form.item
    return b.add(b.udiv(block.count, I64(line)), I64(1))


def _lines_of(block, place, steps, inner, outer, inside) -> Lines:
    """None where nothing comes after."""
    b, inner = block.b, max(0, inner - 1).bit_length()
    total = b.select(b.or_(inside, block.more), b.shl(outer, I64(inner)), I64(0))
    return Lines(place, *steps, inner, total)
