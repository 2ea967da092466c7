"""Polling: loops that may run long let Python serve signals, so that Ctrl-C ends them.

Each round takes its price off a budget, a number in a register. When that is used up, after
about a millisecond, a look at the clock tells whether it is time to ask Python, which costs
what taking its lock does. What a signal's handler raises ends the program like any failure.
"""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager

from ..schedule import cost
from .jobs import Jobs
from .kernels.failing import word
from .kernels.failures import INSIDE, INTERRUPTED, RAISED
from .llvm import text as ir
from .llvm.clock import nanoseconds
from .llvm.types import I32, I64, POINTER
from .objects import API

BUDGET = 1_000_000  # nanoseconds, by the price of rounds, until the clock is looked at
PERIOD = 100_000_000  # nanoseconds between two times that Python is asked
POSSIBLE = sys.implementation.name == "cpython" and hasattr(time, "CLOCK_MONOTONIC")


def polled(o) -> bool:
    """Whether an operation is a loop that polls."""
    return POSSIBLE and cost.lasting(o)


class Polling(Jobs):
    """What a writer does with a loop's rounds."""

    budget = None  # (what is left, when Python was asked), of this function

    def poll(self, o, share: int = 1) -> None:
        """At the end of a round of which so many threads each do a part."""
        if not polled(o):
            return
        b = self.b
        left, last = self._budget()
        rest = b.sub(b.load(left), I64(1 + int(cost.round_of(o) / share)))
        b.store(rest, left)
        with b.if_then(b.icmp_signed("<", rest, I64(0)), likely=False):
            b.store(I64(BUDGET), left)
            failed = b.call(_look(b.module), [last])
            self._go_on(b.icmp_unsigned("==", failed, I64(0)))

    def _budget(self):
        if self.budget is None:
            with self.b.goto_entry_block():
                self.budget = left, last = self.b.alloca(I64), self.b.alloca(I64)
                self.b.store(I64(BUDGET), left)
                self.b.store(I64(0), last)
        return self.budget


def _look(module):
    """(when Python was asked) -> whether the program has failed, now or by another thread."""
    name = "look whether to go on"
    f = module.globals.get(name)
    if f is not None:
        return f
    f = module.internal(name, I64, [I64.as_pointer()], "nounwind", "noinline")
    b = ir.IRBuilder(f.append_basic_block())
    failed = word(b)
    (last,), now = f.args, nanoseconds(b, time.CLOCK_MONOTONIC)
    with b.if_then(b.icmp_unsigned("==", b.load(last), I64(0))):
        b.store(now, last)
    late = b.icmp_signed(">", b.sub(now, b.load(last)), I64(PERIOD))
    with b.if_then(late):
        b.store(now, last)
        mine = _api(b, "PyGILState_GetThisThreadState")
        ours = b.icmp_unsigned("!=", mine, POINTER(None))
        with b.if_then(ours), locked(b):  # the crew's threads are none of Python's
            ask(b)
    b.ret(b.load_atomic(failed, "seq_cst", 8))
    return f


@contextmanager
def locked(b):
    """Code that has Python's lock, and is known to be in Python."""
    if not POSSIBLE:  # what is called takes it
        yield
        return
    state = _api(b, "PyGILState_Ensure")
    inside = word(b, INSIDE)
    b.store(_api(b, "PyThread_get_thread_ident"), inside)
    yield
    b.store(I64(0), inside)
    _api(b, "PyGILState_Release", state)


def ask(b) -> None:
    """Have Python serve signals; what a handler raises is kept."""
    if not POSSIBLE:
        return
    with b.if_then(b.icmp_signed("<", _api(b, "PyErr_CheckSignals"), I32(0))):
        places = [word(b, k) for k in range(RAISED, RAISED + 3)]
        pointers = [b.bitcast(p, POINTER.as_pointer()) for p in places]
        _api(b, "PyErr_Fetch", *pointers)
        b.store_atomic(I64(INTERRUPTED), word(b), "seq_cst", 8)


def _api(b, name, *args):
    """A call of Python's C interface."""
    return b.call(b.module.declared(name, *API[name]), args)
