"""What the threads of a crew do: wait for a job, take chunks of it, end when there are too many."""

from __future__ import annotations

import signal

from ..llvm.types import I32, I64, POINTER, VOID
from ..sharing import CHUNKS
from .words import ALIVE, HALF, LINE, NUMBER, TICKETS, Words


class Threads(Words):
    """Writes `work`, in which callers take part as well, `worker`, and `start` of such threads."""

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
                i, end, over = self._read(t, number)
                self.leave(over, after)
                many = self._some(b.sub(end, i), v)
                with b.if_then(self.swap(ticket, t, b.add(t, many))):
                    before = b.add(b.load(made), b.load(here))
                    b.call(job, [context, i, b.add(i, many), room, before])
                    b.store(b.add(b.load(here), many), here)
            with b.if_then(b.icmp_unsigned("!=", b.load(here), I64(0))):
                b.store(b.add(b.load(made), b.load(here)), made)
                self._report(b.load(here), chunks)
        b.ret(b.load(made))

    def _read(self, ticket, number):
        """(next chunk, end of the range, whether that is over or the ticket of another job)."""
        b = self.b
        i = b.and_(ticket, I64(HALF - 1))
        end = b.and_(b.udiv(ticket, I64(HALF)), I64(HALF - 1))
        other = b.icmp_unsigned("!=", b.udiv(ticket, I64(NUMBER)), number)
        over = b.icmp_unsigned(">=", i, end)
        return i, end, b.or_(other, over)

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
            self._await(own, seen)
            with b.if_then(self._extra(own)):
                self._end(own, after)
            b.store(self.get("number"), seen)
            with b.if_then(b.icmp_unsigned("<", own, self.get("threads"))):
                self._join(own, b.load(seen), room, size)
        self.call("free", VOID, b.load(room))
        b.ret(POINTER(None))

    def _await(self, own, seen):
        """Until there is a job not seen, or one thread too many: awake at first, then asleep."""
        b = self.b

        def news():
            return b.icmp_unsigned("!=", self.get("number"), b.load(seen))

        def ready():
            return b.or_(news(), self._extra(own))

        self.spin(news)
        with self.unless(news()):
            self.sleep("mutex", "bell", "sleeping", ready)

    def _extra(self, own):
        """Whether there are too many threads with this one."""
        return self.b.icmp_unsigned(">=", own, self.get("limit"))

    def _end(self, own, after):
        """Stop, if there are too many still."""
        b = self.b
        self.pthread("mutex_lock", "mutex")
        extra = self._extra(own)
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
