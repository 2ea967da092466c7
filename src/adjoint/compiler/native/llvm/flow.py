"""Flow: loops and choices at a builder's place, written as Python's own."""

from __future__ import annotations

from contextlib import contextmanager

from .types import I64


def repeat(b, start, stop, step, acc, body):
    """body(k, acc) for k in range(start, stop), `step` of them at a time, perhaps never."""

    def some(k, acc):
        for u in range(step):
            acc = body(b.add(k, I64(u)), acc)
        return acc

    return strides(b, start, stop, step, acc, some)


def strides(b, start, stop, step, acc, body):
    """body(k, acc) for k in range(start, stop, step), perhaps never."""
    before = b.block
    head, done = b.append_basic_block("k"), b.append_basic_block("end")
    b.cbranch(b.icmp_signed("<", start, stop), head, done)
    b.position_at_end(head)
    i = b.phi(I64)
    i.add_incoming(start, before)
    phis = [b.phi(x.type) for x in acc]
    for phi, x in zip(phis, acc, strict=True):
        phi.add_incoming(x, before)
    now = body(i, phis)
    j = b.add(i, I64(step))
    i.add_incoming(j, b.block)
    for phi, x in zip(phis, now, strict=True):
        phi.add_incoming(x, b.block)
    after = b.block
    b.cbranch(b.icmp_signed("<", j, stop), head, done)
    b.position_at_end(done)
    pairs = zip(acc, now, strict=True)
    return [either(b, x, before, y, after) for x, y in pairs]


def either(b, x, first, y, second):
    """x for who comes from the first block, y from the second."""
    phi = b.phi(x.type)
    phi.add_incoming(x, first)
    phi.add_incoming(y, second)
    return phi


def least(b, x, y):
    """The smaller of two numbers."""
    return b.select(b.icmp_signed("<", x, y), x, y)


def most(b, x, y):
    """The larger of two numbers."""
    return b.select(b.icmp_signed(">", x, y), x, y)


@contextmanager
def loop(b, start, stop, step):
    """for i in range(start, stop, step), which runs at least once."""
    start, stop = (I64(x) if isinstance(x, int) else x for x in (start, stop))
    before = b.block
    head, done = b.append_basic_block("loop"), b.append_basic_block("done")
    b.branch(head)
    b.position_at_end(head)
    i = b.phi(I64)
    i.add_incoming(start, before)
    yield i
    j = b.add(i, I64(step))
    i.add_incoming(j, b.block)
    b.cbranch(b.icmp_signed("<", j, stop), head, done)
    b.position_at_end(done)


def split(b, count, size, body):
    """body(start, its size) for `count` in parts of `size`, the rest a smaller one."""
    whole = count // size * size
    if whole:
        with loop(b, 0, whole, size) as i:
            body(i, size)
    if count > whole:
        body(I64(whole), count - whole)


def split_between(b, first, last, count, size, body):
    """What `split` does, from `first` to `last`: they are multiples of the size, or the end."""
    whole = count // size * size
    if whole:
        end = least(b, last, I64(whole))
        with b.if_then(b.icmp_signed("<", first, end)), loop(b, first, end, size) as i:
            body(i, size)
    if count > whole:
        with b.if_then(b.icmp_signed(">", last, I64(whole))):
            body(I64(whole), count - whole)
