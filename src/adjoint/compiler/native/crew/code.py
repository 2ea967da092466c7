"""The machine code of a crew: how a job is published, taken part in, and waited for."""

from __future__ import annotations

import signal

from ..llvm.types import I32, I64, POINTER, VOID
from ..sharing import CHUNKS, PARALLEL
from .balance import BRIEF, KEPT, TRIED, Balance
from .words import ALIVE, JOB, LINE, TICKETS

# A ticket is a job's number, the end of a range of its chunks, and the next one, in 32, 16 and
# 16 bits: who takes the next chunk knows thereby that the job is not over, and that what was
# read of it before belongs to it.
NUMBER, HALF = 2**32, 2**16


class Code(Balance):
    """Writes the module: `parallel`, `resize`, and what the threads do."""

    def __init__(self):
        super().__init__()
        self._judge()
        self._work()
        self._worker()
        self._start()
        self._parallel()
        self._resize()

    # ------------------------------------------------------------ what a thread does

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
                other = b.icmp_unsigned("!=", b.udiv(t, I64(NUMBER)), number)
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

    # ------------------------------------------------------------ what a caller does

    def _parallel(self):
        """Do all chunks of a job, in threads if they are there; `room` is the caller's."""
        f = self.function("parallel", VOID, *PARALLEL.args, linkage="external")
        job, context, chunks, room, _ = f.args
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
        self._by_one(job, [context, I64(0), chunks, room], start)
        b.position_at_end(together)
        self._by_all(f.args, (limit, count), start)

    def _by_one(self, job, args, start):
        """All of a job by the caller, to see how long it takes so."""
        spent = self.spent()
        self.b.call(job, args)
        self.account(self.b.sub(self.spent(), spent), start, True)
        self._leave_job()

    def _by_all(self, args, counts, start):
        """A job by threads, which are started if they are not there."""
        b, (limit, count) = self.b, counts
        with b.if_then(b.icmp_unsigned("<", self.get("started"), b.sub(limit, I64(1)))):
            b.call(self.start, [])
        rest = self.get("rest")
        with b.if_else(b.icmp_unsigned("!=", rest, I64(0))) as (passed, looked_at):
            with passed:
                self._passed_over(args, count, start, rest)
            with looked_at:
                self._looked_at(args, count, start)
        self._leave_job()

    def _passed_over(self, args, count, start, rest):
        """Do a job whose time alone counts: that of the next few, or until one is long."""
        b = self.b
        self._do(*args, count)
        self._wait(args[2])
        took = b.sub(self.now(), start)
        self.put("time", b.add(self.get("time"), took), "monotonic")
        long = b.icmp_signed(">", took, I64(BRIEF))
        rest = b.select(long, I64(0), b.sub(rest, I64(1)))
        self.put("rest", rest, "monotonic")

    def _looked_at(self, args, count, start):
        """Do a job, and account for the work of all threads by what the caller's part took."""
        b, chunks = self.b, args[2]
        spent = self.spent()
        made = self._do(*args, count)
        spent = b.sub(self.spent(), spent)
        self._wait(chunks)
        own = b.select(b.icmp_unsigned("==", made, I64(0)), I64(1), made)
        self.account(b.udiv(b.mul(spent, chunks), own), start, False)

    def _leave_job(self):
        self.put("lock", 0, "release")
        self.b.ret_void()

    def _do(self, job, context, chunks, room, need, count):
        """Begin a job and take part; how many chunks the caller did."""
        number = self._publish(job, context, chunks, count, need)
        args = [I64(0), number, job, context, chunks, count, room]
        return self.b.call(self.work, args)

    def _publish(self, job, context, chunks, count, need):
        """Make it known, the number last; its number."""
        b = self.b
        number = b.and_(b.add(self.get("number"), I64(1)), I64(NUMBER // 2 - 1))
        self.put("done", 0, "release")
        pointers = b.ptrtoint(job, I64), b.ptrtoint(context, I64)
        values = *pointers, chunks, count, need, self.floats()
        for name, x in zip(JOB, values, strict=True):
            self.put(name, x, "release")
        with self.count(I64(0), count) as q:
            ends = q, b.add(q, I64(1))
            first, end = (b.udiv(b.mul(x, chunks), count) for x in ends)
            ticket = b.or_(b.mul(number, I64(NUMBER)), b.mul(end, I64(HALF)))
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

    def _resize(self):
        """From now on there are at most so many threads."""
        f = self.function("resize", VOID, I64, linkage="external")
        self.pthread("mutex_lock", "mutex")
        self.put("limit", f.args[0])
        self.pthread("mutex_unlock", "mutex")
        self.pthread("cond_broadcast", "bell")
        self.b.ret_void()
