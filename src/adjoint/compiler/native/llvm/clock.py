"""Clock: the time as code reads it."""

from __future__ import annotations

from .types import I32, I64

SECOND = 10**9  # nanoseconds


def read(b, clock: int):
    """Where the seconds of one of the system's clocks lie, and its nanoseconds behind them."""
    with b.goto_entry_block():
        place = b.alloca(I64, 2)
    f = b.module.declared("clock_gettime", I32, [I32, I64.as_pointer()])
    b.call(f, [I32(clock), place])
    return place


def nanoseconds(b, clock: int):
    """The time by one of the system's clocks."""
    place = read(b, clock)
    seconds = b.mul(b.load(place), I64(SECOND))
    return b.add(seconds, b.load(b.gep(place, [I64(1)])))
