"""The words that the threads of a crew share, and what code does with them: read, write, wait."""

from __future__ import annotations

import platform
import time
from contextlib import contextmanager

from ....core.threads import MOST
from ..llvm import clock
from ..llvm import text as ir
from ..llvm.types import I32, I64, POINTER, VOID

LINE = 16  # words of two cache lines: what different threads write lies apart
# Nanoseconds that a thread waits awake: between steps Python takes 60,000, and on a busy machine
# who sleeps gets its core back late.
SPIN = 300_000
MOMENT = 5_000_000  # nanoseconds between two looks of a caller that sleeps
PAUSES = 32  # between two looks at the clock
# What the words are: those that different threads write begin lines of their own. After its
# number comes what a job is, after "alone" the account that decides whether there is help.
_LINES = "lock number done waiting sleeping limit alone mutex bell answered finished"
JOB = "job", "context", "chunks", "threads", "bytes", "floats"
_ACCOUNT = (
    "work time span last held period patience lap laps bound goal rest skipped long"
)
PLACES = {name: LINE * i for i, name in enumerate(_LINES.split())}
PLACES |= {name: PLACES["number"] + i for i, name in enumerate(JOB, 1)}
PLACES |= {name: PLACES["alone"] + i for i, name in enumerate(_ACCOUNT.split(), 1)}
PLACES["started"] = PLACES["limit"] + 1
TICKETS = LINE * len(_LINES.split())  # of each thread, in lines of their own
ALIVE = TICKETS + LINE * MOST
WORDS = ALIVE + MOST
# A ticket is a job's number, the end of a range of its chunks, and the next one, in 32, 16 and
# 16 bits: who takes the next chunk knows thereby that the job is not over, and that what was
# read of it before belongs to it.
NUMBER, HALF = 2**32, 2**16
_MACHINE = platform.machine().lower()
_X86S, _ARMS = ("x86_64", "amd64"), ("aarch64", "arm64")
_REST = dict.fromkeys(_X86S, ("llvm.x86.sse2.pause", ()))
_REST |= dict.fromkeys(_ARMS, ("llvm.aarch64.isb", (15,)))


class Words:
    """Writes a module in which functions work on words that all threads see."""

    def __init__(self):
        self.module = ir.Module("adjoint.crew")
        kind = ir.ArrayType(I64, WORDS)
        self.words = ir.GlobalVariable(self.module, kind, "crew")
        self.words.initializer = ir.Constant(kind, None)
        self.words.align = 128
        self.now = self._clock("now", time.CLOCK_MONOTONIC)
        self.spent = self._clock("spent", time.CLOCK_THREAD_CPUTIME_ID)

    # ------------------------------------------------------------ words

    def place(self, name, offset=None):
        """Where a word lies."""
        i = I64(PLACES[name]) if isinstance(name, str) else name
        p = self.b.gep(self.words, [I64(0), i])
        return p if offset is None else self.b.gep(p, [offset])

    def get(self, name):
        return self.b.load_atomic(self.place(name), "seq_cst", 8)

    def put(self, name, x, order="seq_cst"):
        x = I64(x) if isinstance(x, int) else x
        self.b.store_atomic(x, self.place(name), order, 8)

    def add(self, name, n):
        """Add to a word; what it was before."""
        n = I64(n) if isinstance(n, int) else n
        return self.b.atomic_rmw("add", self.place(name), n, "seq_cst")

    def swap(self, place, old, new):
        """Whether the word was `old`, and is `new` now."""
        found = self.b.cmpxchg(place, old, new, "seq_cst", "seq_cst")
        return self.b.extract_value(found, 1)

    # ------------------------------------------------------------ calls and loops

    def call(self, name, result, *args):
        """A function of the C library."""
        f = self.module.declared(name, result, [x.type for x in args])
        return self.b.call(f, args)

    def pthread(self, what, *names):
        """A function of POSIX's threads on some of our words."""
        places = [self.b.bitcast(self.place(n), POINTER) for n in names]
        return self.call(f"pthread_{what}", I32, *places)

    def ring(self, bell, mutex):
        """Wake those that wait for a change made before."""
        self.pthread("mutex_lock", mutex)
        self.pthread("mutex_unlock", mutex)
        self.pthread("cond_broadcast", bell)

    def function(self, name, result, *args, linkage="internal"):
        f = ir.Function(self.module, ir.FunctionType(result, args), name)
        f.linkage = linkage
        f.mark("nounwind")
        self.b = ir.IRBuilder(f.append_basic_block())
        return f

    @contextmanager
    def count(self, start, stop):
        """for i in range(start, stop)"""
        b = self.b
        head, body, done = (b.append_basic_block(n) for n in ("for", "do", "done"))
        before = b.block
        b.branch(head)
        b.position_at_end(head)
        i = b.phi(I64)
        i.add_incoming(start, before)
        b.cbranch(b.icmp_unsigned("<", i, stop), body, done)
        b.position_at_end(body)
        yield i
        i.add_incoming(b.add(i, I64(1)), b.block)
        b.branch(head)
        b.position_at_end(done)

    @contextmanager
    def forever(self):
        """A loop, and the block after it."""
        b = self.b
        head, after = b.append_basic_block("again"), b.append_basic_block("after")
        b.branch(head)
        b.position_at_end(head)
        yield after
        if not b.block.is_terminated:
            b.branch(head)
        b.position_at_end(after)

    def leave(self, condition, block):
        """Go there if it holds."""
        go = self.b.append_basic_block("go")
        self.b.cbranch(condition, block, go)
        self.b.position_at_end(go)

    def unless(self, condition):
        return self.b.if_then(self.b.not_(condition))

    def spin(self, ready):
        """Wait awake, but not for long, until ready()."""
        b = self.b
        with b.goto_entry_block():
            n, start = b.alloca(I64), b.alloca(I64)
        b.store(I64(0), n)
        with self.forever() as after:
            self.leave(ready(), after)
            rest, args = _REST.get(_MACHINE, ("", ()))
            if rest:
                self.call(rest, VOID, *map(I32, args))
            i = b.add(b.load(n), I64(1))
            b.store(i, n)
            with b.if_then(b.icmp_unsigned("==", b.urem(i, I64(PAUSES)), I64(0))):
                now = self.now()
                with b.if_then(b.icmp_unsigned("==", i, I64(PAUSES))):
                    b.store(now, start)
                spent = b.sub(now, b.load(start))
                self.leave(b.icmp_signed(">", spent, I64(SPIN)), after)

    def sleep(self, mutex, bell, asleep, ready, until=None):
        """Wait asleep until ready(); `asleep` counts those that do.

        With `until`, a time, look again now and then: a wake-up may have been lost, as in
        glibc before 2.41.
        """
        self.pthread("mutex_lock", mutex)
        self.add(asleep, 1)
        with self.forever() as after:
            self.leave(ready(), after)
            if until is None:
                self.pthread("cond_wait", bell, mutex)
            else:
                places = [self.b.bitcast(self.place(n), POINTER) for n in (bell, mutex)]
                self.call("pthread_cond_timedwait", I32, *places, until())
        self.add(asleep, -1)
        self.pthread("mutex_unlock", mutex)

    # ------------------------------------------------------------ how numbers are rounded

    def floats(self):
        """The register that says how floats are computed here, denormal ones among them."""
        if _MACHINE in _ARMS:
            return self.call("llvm.aarch64.get.fpcr", I64)
        if _MACHINE not in _X86S:
            return I64(0)
        with self.b.goto_entry_block():
            p = self.b.alloca(I32)
        self.call("llvm.x86.sse.stmxcsr", VOID, self.b.bitcast(p, POINTER))
        return self.b.zext(self.b.load(p), I64)

    def use_floats(self, x):
        """Compute with them as another thread does."""
        if _MACHINE in _ARMS:
            self.call("llvm.aarch64.set.fpcr", VOID, x)
        if _MACHINE in _X86S:
            with self.b.goto_entry_block():
                p = self.b.alloca(I32)
            self.b.store(self.b.trunc(x, I32), p)
            self.call("llvm.x86.sse.ldmxcsr", VOID, self.b.bitcast(p, POINTER))

    # ------------------------------------------------------------ clocks

    def _clock(self, name, number):
        """Nanoseconds of a clock."""
        f = self.function(name, I64)
        self.b.ret(clock.nanoseconds(self.b, number))
        return lambda: self.b.call(f, [])

    def _soon(self):
        """The time of day in a moment."""
        b = self.b
        place = clock.read(b, time.CLOCK_REALTIME)
        part = b.gep(place, [I64(1)])
        later = b.add(b.load(part), I64(MOMENT))
        over = b.icmp_unsigned(">=", later, I64(clock.SECOND))
        with b.if_then(over):
            b.store(b.add(b.load(place), I64(1)), place)
        b.store(b.select(over, b.sub(later, I64(clock.SECOND)), later), part)
        return place
