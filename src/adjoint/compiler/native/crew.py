"""Crew: threads that help a program, as machine code that knows no Python.

`parallel` publishes a job, a function and how many chunks it has, takes chunks itself, and
returns when all are done. Each thread begins with its own range of chunks and goes on with
those of others, so a thread that has no core costs nothing; one that lost its core within a
chunk makes the caller work alone for a time. Whoever waits spins shortly, then sleeps.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import signal
import threading
import time
from contextlib import contextmanager

from ...core.threads import MOST, threads
from .. import cache
from . import llvm_ir as ir
from .digest import surroundings
from .machine import Library, machine_code
from .sharing import CHUNKS, PARALLEL

I64, I32, BIT, BYTE = (ir.IntType(n) for n in (64, 32, 1, 8))
POINTER, VOID = BYTE.as_pointer(), ir.VoidType()
LINE = 16  # words of two cache lines: what different threads write lies apart
SPIN = 100_000  # nanoseconds that a thread waits awake: Python takes 60 between steps
# Whether help is worth its cost is seen from how much work is done in how much time. An
# undisturbed caller alone does 1; on a busy machine threads that lost their cores, or took the
# caller's, can make it slower than it is alone: then both ways are tried, the better one is kept.
WINDOW = 20_000_000  # nanoseconds of jobs that are judged together
SHORTEST, LONGEST = 50_000_000, 2_000_000_000  # nanoseconds until both are tried again
TRIED, KEPT = 1, 2  # working alone
ONE, ENOUGH = 1024, 1100  # the rate 1, and one that is good enough
# Threads that share work take longer for it than one: what they read lies in caches of other
# cores. LeNet, MNIST and a neural ODE take 1.2 times as much of all cores' time.
SHARED = 5, 4  # time that counts as work of four fifths of it
MOMENT = 5_000_000  # nanoseconds between two looks of a caller that sleeps
PAUSES = 32  # between two looks at the clock
# Asking how long a thread has worked takes longer than a clock: after a job of fewer nanoseconds
# so many are passed over, by chance up to SKIPPED, until one takes longer: their time counts, and
# as much work as in the next one judged.
BRIEF, SKIPPED = 100_000, 15
# A ticket is a job's number, the end of a range of its chunks, and the next one, in 32, 16 and
# 16 bits: who takes the next chunk knows thereby that the job is not over, and that what was
# read of it before belongs to it.
JOB, HALF = 2**32, 2**16
_PLACES = "lock number done waiting sleeping limit alone mutex bell answered finished"
PLACES = {name: LINE * i for i, name in enumerate(_PLACES.split())}
_JOB = ("job", "context", "chunks", "threads", "bytes", "floats")
PLACES |= {name: 1 + i for i, name in enumerate(_JOB)}
for _name in _JOB:
    PLACES[_name] += PLACES["number"]
PLACES["started"] = PLACES["limit"] + 1
_ACCOUNT = "work", "time", "held", "period", "together", "rest", "skipped"
for _i, _name in enumerate(_ACCOUNT):
    PLACES[_name] = PLACES["alone"] + 1 + _i
TICKETS = LINE * len(_PLACES.split())
ALIVE = TICKETS + LINE * MOST
WORDS = ALIVE + MOST
_MACHINE = platform.machine().lower()
_X86S, _ARMS = ("x86_64", "amd64"), ("aarch64", "arm64")
_REST = dict.fromkeys(_X86S, ("llvm.x86.sse2.pause", ()))
_REST |= dict.fromkeys(_ARMS, ("llvm.aarch64.isb", (15,)))


class Code:
    """Writes the module: `parallel`, `resize`, and what the threads do."""

    def __init__(self):
        self.module = ir.Module("adjoint.crew")
        kind = ir.ArrayType(I64, WORDS)
        self.words = ir.GlobalVariable(self.module, kind, "crew")
        self.words.initializer = ir.Constant(kind, None)
        self.words.align = 128
        self.now = self._clock("now", time.CLOCK_MONOTONIC)
        self.spent = self._clock("spent", time.CLOCK_THREAD_CPUTIME_ID)
        self._judge()
        self._work()
        self._worker()
        self._start()
        self._parallel()
        self._resize()

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
        f = self.module.globals.get(name)
        kind = ir.FunctionType(result, [x.type for x in args])
        f = f or ir.Function(self.module, kind, name)
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

    # ------------------------------------------------------------ functions

    def _clock(self, name, number):
        """Nanoseconds of a clock."""
        f = self.function(name, I64)
        time_, b = self.b.alloca(I64, 2), self.b
        self.call("clock_gettime", I32, I32(number), time_)
        seconds = b.mul(b.load(time_), I64(10**9))
        b.ret(b.add(seconds, b.load(b.gep(time_, [I64(1)]))))
        return lambda: self.b.call(f, [])

    def _work(self):
        """Chunks of a job, one's own first, until none is left; how many were done."""
        kinds = [I64, I64, CHUNKS.as_pointer(), POINTER, I64, I64, POINTER]
        f = self.work = self.function("work", I64, *kinds)
        own, number, job, context, chunks, count, room = f.args
        b = self.b
        made, here = b.alloca(I64), b.alloca(I64)
        b.store(I64(0), made)
        with self.count(I64(0), count) as v:
            q = b.urem(b.add(own, v), count)
            ticket = self.place(b.add(I64(TICKETS), b.mul(q, I64(LINE))))
            b.store(I64(0), here)
            with self.forever() as after:
                t = b.load_atomic(ticket, "seq_cst", 8)
                i = b.and_(t, I64(HALF - 1))
                end = b.and_(b.udiv(t, I64(HALF)), I64(HALF - 1))
                other = b.icmp_unsigned("!=", b.udiv(t, I64(JOB)), number)
                over = b.icmp_unsigned(">=", i, end)
                self.leave(b.or_(other, over), after)
                many = self._some(b.sub(end, i), v)
                with b.if_then(self.swap(ticket, t, b.add(t, many))):
                    b.call(job, [context, i, b.add(i, many), room])
                    b.store(b.add(b.load(here), many), here)
            with b.if_then(b.icmp_unsigned("!=", b.load(here), I64(0))):
                b.store(b.add(b.load(made), b.load(here)), made)
                self._report(b.load(here), chunks)
        b.ret(b.load(made))

    def _some(self, left, others):
        """How many chunks to take of a range: three quarters of one's own, but not two of two;
        half, rounded up, of what is another's.
        """
        b = self.b
        last = b.zext(b.icmp_unsigned(">", left, I64(1)), I64)
        kept = b.udiv(left, I64(4))
        kept = b.select(b.icmp_unsigned(">", kept, last), kept, last)
        half = b.udiv(left, I64(2))
        mine = b.icmp_unsigned("==", others, I64(0))
        return b.sub(left, b.select(mine, kept, half))

    def _report(self, many, chunks):
        """So many more are done: once for each range, for all threads write this word."""
        b = self.b
        ready = b.icmp_unsigned("==", b.add(self.add("done", many), many), chunks)
        waits = b.icmp_unsigned("!=", self.get("waiting"), I64(0))
        with b.if_then(b.and_(ready, waits)):
            self.ring("finished", "answered")

    def _worker(self):
        """What a thread of the crew does, its number as a pointer, until there are fewer."""
        f = self.worker = self.function("worker", POINTER, POINTER)
        b = self.b
        own = b.ptrtoint(f.args[0], I64)
        seen, room, size = b.alloca(I64), b.alloca(POINTER), b.alloca(I64)
        b.store(I64(0), seen)
        b.store(POINTER(None), room)
        b.store(I64(0), size)
        with self.forever() as after:
            b = self.b

            def news():
                return b.icmp_unsigned("!=", self.get("number"), b.load(seen))

            def extra():
                return b.icmp_unsigned(">=", own, self.get("limit"))

            self.spin(news)
            with self.unless(news()):
                self.sleep("mutex", "bell", "sleeping", lambda: b.or_(news(), extra()))
            with b.if_then(extra()):
                self._end(own, after)
            b.store(self.get("number"), seen)
            with b.if_then(b.icmp_unsigned("<", own, self.get("threads"))):
                self._join(own, b.load(seen), room, size)
        self.call("free", VOID, b.load(room))
        b.ret(POINTER(None))

    def _end(self, own, after):
        """Stop, if there are too many still."""
        b = self.b
        self.pthread("mutex_lock", "mutex")
        extra = b.icmp_unsigned(">=", own, self.get("limit"))
        with b.if_then(extra):
            self.put(b.add(I64(ALIVE), own), 0)
            self.add("started", -1)
        self.pthread("mutex_unlock", "mutex")
        self.leave(extra, after)

    def _join(self, own, number, room, size):
        """Take part in the job of this number, in a room of one's own."""
        b = self.b
        job, context, chunks, count, need = (
            self.get(n) for n in ("job", "context", "chunks", "threads", "bytes")
        )
        with b.if_then(b.icmp_unsigned(">", need, b.load(size))):
            self.call("free", VOID, b.load(room))
            whole = b.and_(b.add(need, I64(127)), I64(-128))  # as macOS wants it
            found = self.call("aligned_alloc", POINTER, I64(128), whole)
            b.store(found, room)
            missing = b.icmp_unsigned("==", found, POINTER(None))
            b.store(b.select(missing, I64(0), need), size)
        with b.if_then(b.icmp_unsigned("<=", need, b.load(size))):
            job = b.inttoptr(job, CHUNKS.as_pointer())
            context = b.inttoptr(context, POINTER)
            args = [own, number, job, context, chunks, count, b.load(room)]
            self.use_floats(self.get("floats"))
            b.call(self.work, args)

    def _start(self):
        """Start the threads that are not there; signals are for those of Python."""
        self.start = self.function("start", VOID)
        b = self.b
        masks = [b.bitcast(b.alloca(I64, 16), POINTER) for _ in range(2)]
        thread = b.alloca(I64)
        self.call("sigfillset", I32, masks[0])
        self._mask(*masks)
        self.pthread("mutex_lock", "mutex")
        with self.count(I64(1), self.get("limit")) as i:
            alive = b.add(I64(ALIVE), i)
            with b.if_then(b.icmp_unsigned("==", self.get(alive), I64(0))):
                args = thread, POINTER(None), self.worker, b.inttoptr(i, POINTER)
                failed = self.call("pthread_create", I32, *args)
                good = b.icmp_unsigned("==", failed, I32(0))
                with b.if_else(good) as (yes, no):
                    with yes:
                        self.put(alive, 1)
                        self.add("started", 1)
                        self.call("pthread_detach", I32, b.load(thread))
                    with no:
                        self.put("limit", i)
        self.pthread("mutex_unlock", "mutex")
        self._mask(masks[1], masks[0])
        b.ret_void()

    def _mask(self, new, old):
        how = I32(signal.SIG_SETMASK)
        self.call("pthread_sigmask", I32, how, new, old)

    def _parallel(self):
        """Do all chunks of a job, in threads if they are there; `room` is the caller's."""
        f = self.function("parallel", VOID, *PARALLEL.args, linkage="external")
        job, context, chunks, room = f.args[:4]
        b = self.b
        limit = self.get("limit")
        few = b.icmp_unsigned("<", chunks, limit)
        count = b.select(few, chunks, limit)
        names = "alone", "judged", "taken", "together", "go"
        alone, judged, taken, together, go = map(b.append_basic_block, names)
        b.cbranch(b.icmp_unsigned("<=", count, I64(1)), alone, go)
        b.position_at_end(go)
        start = self.now()
        state = self.get("alone")
        kept = b.icmp_unsigned("==", state, I64(KEPT))
        early = b.icmp_signed("<", start, self.get("held"))
        self.leave(b.and_(kept, early), alone)
        b.cbranch(self.swap(self.place("lock"), I64(0), I64(1)), taken, alone)
        b.position_at_end(alone)
        b.call(job, [context, I64(0), chunks, room])
        b.ret_void()
        b.position_at_end(taken)
        with b.if_then(kept):  # for long enough
            self.put("alone", 0)
        b.cbranch(b.icmp_unsigned("==", state, I64(TRIED)), judged, together)
        b.position_at_end(judged)
        spent = self.spent()
        b.call(job, [context, I64(0), chunks, room])
        self._account(b.sub(self.spent(), spent), start, True)
        self.put("lock", 0, "release")
        b.ret_void()
        b.position_at_end(together)
        with b.if_then(b.icmp_unsigned("<", self.get("started"), b.sub(limit, I64(1)))):
            b.call(self.start, [])
        rest = self.get("rest")
        with b.if_else(b.icmp_unsigned("!=", rest, I64(0))) as (passed, looked_at):
            with passed:
                self._do(*f.args, count)
                self._wait(chunks)
                took = b.sub(self.now(), start)
                self.put("time", b.add(self.get("time"), took), "monotonic")
                long = b.icmp_signed(">", took, I64(BRIEF))
                rest = b.select(long, I64(0), b.sub(rest, I64(1)))
                self.put("rest", rest, "monotonic")
            with looked_at:
                spent = self.spent()
                made = self._do(*f.args, count)
                spent = b.sub(self.spent(), spent)
                self._wait(chunks)
                own = b.select(b.icmp_unsigned("==", made, I64(0)), I64(1), made)
                self._account(b.udiv(b.mul(spent, chunks), own), start, False)
        self.put("lock", 0, "release")
        b.ret_void()

    def _do(self, job, context, chunks, room, need, count):
        """Begin a job and take part; how many chunks the caller did."""
        number = self._publish(job, context, chunks, count, need)
        args = [I64(0), number, job, context, chunks, count, room]
        return self.b.call(self.work, args)

    def _publish(self, job, context, chunks, count, need):
        """Make it known, the number last; its number."""
        b = self.b
        number = b.and_(b.add(self.get("number"), I64(1)), I64(JOB // 2 - 1))
        self.put("done", 0, "release")
        pointers = b.ptrtoint(job, I64), b.ptrtoint(context, I64)
        values = *pointers, chunks, count, need, self.floats()
        for name, x in zip(_JOB, values, strict=True):
            self.put(name, x, "release")
        with self.count(I64(0), count) as q:
            ends = q, b.add(q, I64(1))
            first, end = (b.udiv(b.mul(x, chunks), count) for x in ends)
            ticket = b.or_(b.mul(number, I64(JOB)), b.mul(end, I64(HALF)))
            ticket = b.or_(ticket, first)
            place = b.add(I64(TICKETS), b.mul(q, I64(LINE)))
            self.put(place, ticket, "release")
        self.put("number", number)  # before it is seen who sleeps
        with b.if_then(b.icmp_unsigned("!=", self.get("sleeping"), I64(0))):
            self.ring("bell", "mutex")
        return number

    def _wait(self, chunks):
        """Until all is done."""
        b = self.b

        def ready():
            return b.icmp_unsigned("==", self.get("done"), chunks)

        self.spin(ready)
        with self.unless(ready()):
            self.sleep("answered", "finished", "waiting", ready, self._soon)

    def _account(self, work, start, alone: bool):
        """A job that began at `start` is done: so much work, by the threads' own time."""
        b, now = self.b, self.now()
        took = b.sub(now, start)
        if not alone:
            whole, part = SHARED
            work = b.udiv(b.mul(work, I64(part)), I64(whole))
            count = b.add(self.get("skipped"), I64(1))
            brief = b.icmp_signed("<", took, I64(BRIEF))
            chance = b.and_(b.lshr(now, I64(4)), I64(SKIPPED))
            for name in ("rest", "skipped"):
                self.put(name, b.select(brief, chance, I64(0)))
            work = b.mul(work, count)
        b.call(self.judge, [work, took, now, BIT(alone)])

    def _judge(self):
        """Keep the account of work and time; now and then draw conclusions."""
        f = self.function("judge", VOID, I64, I64, I64, BIT, linkage="external")
        self.judge, b = f, self.b
        work, took, now, alone = f.args
        work = b.add(self.get("work"), work)
        time_ = b.add(self.get("time"), took)
        self.put("work", work)
        self.put("time", time_)
        over = b.icmp_signed(">", time_, I64(WINDOW))
        late = b.icmp_signed(">=", now, self.get("held"))
        with b.if_then(b.and_(over, late), likely=False):
            rate = b.udiv(b.mul(work, I64(ONE)), time_)
            self.put("work", 0)
            self.put("time", 0)
            with b.if_else(alone) as (by_one, by_all):
                with by_one:
                    self._alone(rate, now)
                with by_all:
                    self._together(rate)
        b.ret_void()

    def _together(self, rate):
        """If help brought little, see how it is without."""
        b = self.b
        with b.if_else(b.icmp_unsigned(">", rate, I64(ENOUGH))) as (good, bad):
            with good:
                self.put("period", SHORTEST)
            with bad:
                self.put("together", rate)
                self.put("alone", TRIED)

    def _alone(self, rate, now):
        """Go on in the better way, longer each time; then with help again."""
        b, period = self.b, self.get("period")
        better = b.icmp_unsigned(">", rate, self.get("together"))
        self.put("alone", b.select(better, I64(KEPT), I64(0)))
        self.put("held", b.add(now, period))
        longer = b.mul(period, I64(2))
        short = b.icmp_unsigned("<", longer, I64(LONGEST))
        self.put("period", b.select(short, longer, I64(LONGEST)))

    def _soon(self):
        """The time of day in a moment."""
        b = self.b
        with b.goto_entry_block():
            time_ = b.alloca(I64, 2)
        self.call("clock_gettime", I32, I32(time.CLOCK_REALTIME), time_)
        part = b.gep(time_, [I64(1)])
        later = b.add(b.load(part), I64(MOMENT))
        over = b.icmp_unsigned(">=", later, I64(10**9))
        with b.if_then(over):
            b.store(b.add(b.load(time_), I64(1)), time_)
        b.store(b.select(over, b.sub(later, I64(10**9)), later), part)
        return time_

    def _resize(self):
        """From now on there are at most so many threads."""
        f = self.function("resize", VOID, I64, linkage="external")
        self.pthread("mutex_lock", "mutex")
        self.put("limit", f.args[0])
        self.pthread("mutex_unlock", "mutex")
        self.pthread("cond_broadcast", "bell")
        self.b.ret_void()


class Crew:
    """The threads of this process, which are started when the first job wants them."""

    def __init__(self):
        self.library = Library(_code())
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self))  # the threads never end
        self.words = (ctypes.c_int64 * WORDS).from_address(self.library.data("crew"))
        self.parallel = self.library.address("parallel")
        self._resize = ctypes.CFUNCTYPE(None, ctypes.c_int64)(
            self.library.address("resize")
        )
        self._begin()
        os.register_at_fork(after_in_child=self._begin)
        threads.told.append(self._resize)

    def _begin(self):
        """No thread is there: at first, and in the child of a fork."""
        number = self.words[PLACES["number"]]
        ctypes.memset(self.words, 0, ctypes.sizeof(self.words))
        self.words[PLACES["number"]] = number
        self.words[PLACES["period"]] = SHORTEST
        libc = ctypes.CDLL(None)
        for kind, names in (
            ("mutex", ("mutex", "answered")),
            ("cond", ("bell", "finished")),
        ):
            for name in names:
                place = ctypes.addressof(self.words) + 8 * PLACES[name]
                getattr(libc, f"pthread_{kind}_init")(ctypes.c_void_p(place), None)
        self._resize(min(threads.count, MOST))


def _code() -> bytes:
    """The machine code, from disk if it was compiled before."""
    key = hashlib.sha256(b"crew" + surroundings().encode()).hexdigest()
    found = cache.load(key)
    if found is not None:
        return found[1]
    code = machine_code(str(Code().module), effort=0)
    cache.save(key, {"name": "crew"}, code)
    return code


_lock = threading.Lock()
_crews: list = []
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_lock.acquire,
        after_in_parent=_lock.release,
        after_in_child=_lock.release,
    )


def crew() -> Crew:
    """The crew of this process."""
    with _lock:
        if not _crews:
            _crews.append(Crew())
        return _crews[0]
