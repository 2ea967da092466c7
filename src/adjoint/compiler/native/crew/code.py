"""The machine code of a crew: how a job is published, done, and waited for."""

from __future__ import annotations

from ..llvm.types import I64, VOID
from ..sharing import PARALLEL
from .balance import KEPT, TRIED, Balance
from .threads import Threads
from .words import HALF, JOB, LINE, NUMBER, TICKETS


class Code(Balance, Threads):
    """Writes the module: `parallel`, `resize`, and what the threads do."""

    def __init__(self):
        super().__init__()
        self._judge()
        self._compare()
        self._work()
        self._worker()
        self._start()
        self._parallel()
        self._resize()

    def _parallel(self):
        """Do all chunks of a job, in threads if they are there; `room` is the caller's."""
        f = self.function("parallel", VOID, *PARALLEL.args, linkage="external")
        job, context, chunks, room, _ = f.args
        b, whole = self.b, [context, I64(0), chunks, room, I64(0)]
        limit = self.get("limit")
        few = b.icmp_unsigned("<", chunks, limit)
        count = b.select(few, chunks, limit)
        names = "alone", "judged", "taken", "together", "go"
        alone, judged, taken, together, go = map(b.append_basic_block, names)
        b.cbranch(b.icmp_unsigned("<=", count, I64(1)), alone, go)
        b.position_at_end(go)
        start, state = self.now(), self.get("alone")
        kept = b.icmp_unsigned("==", state, I64(KEPT))
        early = b.icmp_signed("<", start, self.get("held"))
        self.leave(b.and_(kept, early), alone)
        b.cbranch(self.swap(self.place("lock"), I64(0), I64(1)), taken, alone)
        with b.goto_block(alone):
            b.call(job, whole)
            b.ret_void()
        b.position_at_end(taken)
        with b.if_then(kept):  # for long enough
            self.put("alone", 0)
            self.put("last", start)
        b.cbranch(b.icmp_unsigned("==", state, I64(TRIED)), judged, together)
        with b.goto_block(judged):
            b.call(job, whole)
            self.account_alone(f.args[:2], start)
            self._leave_job()
        b.position_at_end(together)
        self._by_all(f.args, (limit, count), start)

    def _by_all(self, args, counts, start):
        """A job by threads, which are started if they are not there."""
        b, (limit, count) = self.b, counts
        with b.if_then(b.icmp_unsigned("<", self.get("started"), b.sub(limit, I64(1)))):
            b.call(self.start, [])
        rest = self.get("rest")
        some_left = b.icmp_unsigned("!=", rest, I64(0))
        passes = b.and_(some_left, self.was_brief(args[0]))
        with b.if_else(passes) as (passed, looked_at):
            with passed:
                self._passed_over(args, count, start, rest)
            with looked_at:
                self._looked_at(args, count, start)
        self._leave_job()

    def _passed_over(self, args, count, start, rest):
        """Do a job whose time alone counts, if it is brief: its work is that of another.

        Of one that was long, perhaps as a thread lost its core, the caller's part by the clock.
        """
        b = self.b
        made, own = self._done(args, count, self.now)
        now = self.now()
        took = b.sub(now, start)
        with b.if_else(self.mark(args[0], took)) as (brief, long):
            with brief:
                self.lap(self.known(args[:2]), start, now)
                self.put("time", b.add(self.get("time"), took), "monotonic")
                self.put("rest", b.sub(rest, I64(1)), "monotonic")
            with long:
                self.account(args[:2], self._all(own, made, args[2]), start)

    def _looked_at(self, args, count, start):
        """Do a job, and account for the work of all threads by what the caller's part took."""
        made, spent = self._done(args, count, self.spent)
        self.account(args[:2], self._all(spent, made, args[2]), start)

    def _all(self, took, made, chunks):
        """What all chunks take if the caller's part, which is `made` of them, took so long."""
        b = self.b
        own = b.select(b.icmp_unsigned("==", made, I64(0)), I64(1), made)
        return b.udiv(b.mul(took, chunks), own)

    def _done(self, args, count, clock):
        """A job done by all; how many chunks the caller did, and how long it took for them.

        To wake others is none of its work: on a busy machine that takes longer than brief jobs.
        """
        job, context, chunks, room, need = args
        number = self._publish(job, context, chunks, count, need)
        before = clock()
        own = [I64(0), number, job, context, chunks, count, room]
        made = self.b.call(self.work, own)
        took = self.b.sub(clock(), before)
        self._wait(chunks)
        return made, took

    def _leave_job(self):
        self.put("lock", 0, "release")
        self.b.ret_void()

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
