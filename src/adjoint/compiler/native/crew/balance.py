"""Whether the help of other threads is worth its cost, kept in account as jobs are done."""

from __future__ import annotations

from ..llvm.types import BIT, I64, VOID
from .words import Words

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
# Asking how long a thread has worked takes longer than a clock: after a job of fewer nanoseconds
# so many such are passed over, by chance up to SKIPPED: their time counts, and as much work as in
# the next one judged. Longer ones are known by a bit for each job, and judged each time.
BRIEF, SKIPPED = 100_000, 15


class Balance(Words):
    """Writes what draws conclusions from jobs: `judge`, and `account` of one job."""

    def account(self, job, work, start):
        """A job of all threads that began at `start` is done: so much work, by their own time."""
        b, now = self.b, self.now()
        took = b.sub(now, start)
        whole, part = SHARED
        work = b.udiv(b.mul(work, I64(part)), I64(whole))
        none_left = b.icmp_unsigned("==", self.get("rest"), I64(0))
        counts = b.and_(self.mark(job, took), none_left)
        count = b.add(self.get("skipped"), I64(1))
        chance = b.and_(b.lshr(now, I64(4)), I64(SKIPPED))
        for name in ("rest", "skipped"):
            self.put(name, b.select(counts, chance, self.get(name)))
        work = b.mul(work, b.select(counts, count, I64(1)))
        b.call(self.judge, [work, took, now, BIT(0)])

    def account_alone(self, work, start):
        """A job that one thread has done, by its own time."""
        now = self.now()
        self.b.call(self.judge, [work, self.b.sub(now, start), now, BIT(1)])

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
