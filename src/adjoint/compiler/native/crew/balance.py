"""Whether the help of other threads is worth its cost, kept in account as jobs are done."""

from __future__ import annotations

from ..llvm.flow import least, most
from ..llvm.types import I64, VOID
from .words import Words

# Whether help seems worth its cost is seen from how much work is done in how much time. An
# undisturbed caller alone does 1; on a busy machine threads that lost their cores, or took the
# caller's, can make it slower than it is alone. But what counts as work is reckoned. So it only
# says when to see how one thread does: laps, from a job until it comes again, are timed both
# ways, and the better is kept. A job is known by its function and its context, of which there
# is one for each place where a kernel stands.
WINDOW = 20_000_000  # nanoseconds of jobs that are judged together, or
PAUSE = 10_000_000  # nanoseconds between two jobs that count at the most
PREFER = 6  # by this part one thread may be slower: it never is slower than one thread
PART = 16  # this part of the time for which the last verdict held
SHORTEST, LONGEST = 50_000_000, 2_000_000_000  # nanoseconds until both are tried again
TRIED, KEPT = 1, 2  # working alone
STARTS = {"period": SHORTEST, "patience": WINDOW}  # words that do not begin at 0
ONE, ENOUGH = 1024, 1100  # the rate 1, and one that is good enough
# Threads that share work take longer for it than one: what they read lies in caches of other
# cores. LeNet, MNIST and a neural ODE take 1.2 times as much of all cores' time.
SHARED = 5, 4  # time that counts as work of four fifths of it
# Asking how long a thread has worked takes longer than a clock: after a job of fewer nanoseconds
# so many such are passed over, by chance up to SKIPPED: their time counts, and as much work as in
# the next one judged. Longer ones are known by a bit for each job, and judged each time.
BRIEF, SKIPPED = 100_000, 15


class Balance(Words):
    """Writes what draws conclusions from jobs: `account` of one job, `judge` and `compare`."""

    def account(self, job, work, start):
        """A job of all threads that began at `start` is done: so much work, by their own time."""
        b, now = self.b, self.now()
        took = b.sub(now, start)
        whole, part = SHARED
        work = b.udiv(b.mul(work, I64(part)), I64(whole))
        none_left = b.icmp_unsigned("==", self.get("rest"), I64(0))
        counts = b.and_(self.mark(job[0], took), none_left)
        count = b.add(self.get("skipped"), I64(1))
        chance = b.and_(b.lshr(now, I64(4)), I64(SKIPPED))
        for name in ("rest", "skipped"):
            self.put(name, b.select(counts, chance, self.get(name)))
        work = b.mul(work, b.select(counts, count, I64(1)))
        b.call(self.judge, [self.known(job), work, start, now])

    def account_alone(self, job, start):
        """A job that one thread has done, which began at `start`."""
        now = self.now()
        self.b.call(self.compare, [self.known(job), start, now])

    def known(self, job):
        """A number for a job at its place."""
        return self.b.xor(*(self.b.ptrtoint(p, I64) for p in job))

    def lap(self, known, start, now):
        """Add a job to a window; (how long that is, its laps, whether one ends with this job).

        What is between jobs counts, for on a busy machine that is longer with help: its caller
        has lost its core to others when it is done waiting. But pauses do not.
        """
        b = self.b
        between = least(b, b.sub(start, self.get("last")), I64(PAUSE))
        span = b.add(b.add(self.get("span"), between), b.sub(now, start))
        ends = b.icmp_unsigned("==", known, self.get("lap"))
        laps = b.add(self.get("laps"), b.zext(ends, I64))
        for name, x in (("last", now), ("span", span), ("laps", laps)):
            self.put(name, x, "monotonic")
        return span, laps, ends

    def begin(self, known):
        """A window of laps that end with this job."""
        self.put("lap", known)
        for name in ("work", "time", "span", "laps"):
            self.put(name, 0)

    def bit(self, job):
        """The bit of a job among the long ones; a few jobs may share it."""
        b = self.b
        number = b.lshr(b.ptrtoint(job, I64), I64(4))
        number = b.xor(number, b.lshr(number, I64(6)))
        return b.shl(I64(1), b.and_(number, I64(63)))

    def was_brief(self, job):
        """Whether a job did not take long when it was last looked at."""
        found = self.b.and_(self.get("long"), self.bit(job))
        return self.b.icmp_unsigned("==", found, I64(0))

    def mark(self, job, took):
        """Note whether a job took long; whether it was brief."""
        b, bit = self.b, self.bit(job)
        brief, marked = b.icmp_signed("<", took, I64(BRIEF)), self.get("long")
        without = b.and_(marked, b.xor(bit, I64(-1)))
        self.put("long", b.select(brief, without, b.or_(marked, bit)), "monotonic")
        return brief

    def _judge(self):
        """A job of all threads is done: now and then draw conclusions."""
        f = self.function("judge", VOID, I64, I64, I64, I64, linkage="external")
        self.judge, b = f, self.b
        known, work, start, now = f.args
        span, laps, ends = self.lap(known, start, now)
        work = b.add(self.get("work"), work)
        time_ = b.add(self.get("time"), b.sub(now, start))
        self.put("work", work, "monotonic")
        self.put("time", time_, "monotonic")
        part = b.udiv(self.get("period"), I64(PART))
        window = most(b, part, I64(WINDOW))
        over = b.and_(ends, b.icmp_unsigned(">", time_, window))
        first = b.icmp_unsigned("==", self.get("lap"), I64(0))
        patience = self.get("patience")
        lost = b.icmp_unsigned(">", time_, b.add(window, patience))
        lost = b.or_(lost, first)
        with b.if_then(b.or_(over, lost), likely=False):
            late = b.icmp_signed(">=", now, self.get("held"))
            with b.if_then(b.and_(over, late)):
                rate = b.udiv(b.mul(work, I64(ONE)), time_)
                self._conclude(rate, span, laps)
            with b.if_then(lost):
                self.put("patience", least(b, b.mul(patience, I64(2)), I64(LONGEST)))
            self.begin(known)
        b.ret_void()

    def _conclude(self, rate, span, laps):
        """If help brought little, see how many laps one thread does in that time."""
        b = self.b
        good = b.icmp_unsigned(">", rate, I64(ENOUGH))
        with b.if_else(good) as (yes, no):
            with yes:
                self.put("period", SHORTEST)
            with no:
                self.put("bound", b.add(span, b.udiv(span, I64(PREFER))))
                self.put("goal", laps)
                self.put("alone", TRIED)

    def _compare(self):
        """A job of one thread is done, on trial: once it is seen which is better, go on so.

        Longer each time; then with help again.
        """
        f = self.function("compare", VOID, I64, I64, I64, linkage="external")
        self.compare, b = f, self.b
        known, start, now = f.args
        span, laps, _ = self.lap(known, start, now)
        slower = b.icmp_unsigned(">=", span, self.get("bound"))
        done = b.icmp_unsigned(">=", laps, self.get("goal"))
        with b.if_then(b.or_(slower, done), likely=False):
            self.put("alone", b.select(slower, I64(0), I64(KEPT)))
            period = self.get("period")
            self.put("held", b.add(now, period))
            self.put("period", least(b, b.mul(period, I64(2)), I64(LONGEST)))
            self.begin(self.get("lap"))
        b.ret_void()
