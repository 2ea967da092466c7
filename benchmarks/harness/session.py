"""The parent: starts the competitors, compares their results, lets them run in turns."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Pipe

import numpy as np

from .competitors import COMPETITORS, LIMIT, OURS, PEER, environment
from .workload import HERE, Workload

ORACLE = "adjoint eager"
FEWEST = 3  # rounds for everyone; those that are ten times slower get no more


@dataclass(frozen=True)
class Plan:
    """How long to measure."""

    block: float = 0.05  # seconds of calls in a row
    warm: float = 0.05  # seconds of calls before them in each round, not counted
    rounds: int = 15
    budget: float = 60.0  # seconds for all rounds together, but at least three rounds
    patience: float = 300.0  # seconds until a competitor is given up
    pause: float = 0.03  # seconds for threads that spin to fall asleep
    pinned: bool = True
    work: bool = (
        False  # time the process's work instead of the clock, on a busy machine
    )

    def for_many(self) -> Plan:
        """The same with many threads: long rounds, begun when all cores are awake.

        A virtual core that was idle is slow for some twenty milliseconds, and threads of
        OpenMP look for work for up to 0.3 s before they leave the cores to the next one.
        """
        long = replace(self, block=max(self.block, 0.25), warm=0.15, pause=0.3)
        return replace(long, budget=max(self.budget, 30.0))


@dataclass
class Measured:
    """A competitor's figures on one workload."""

    name: str
    threads: int
    times: list[float] = field(default_factory=list)  # seconds a step
    cold: float = 0.0  # seconds beyond steady ones that the first calls took
    memory: int = 0  # bytes held at the most while stepping, beyond library and data
    first: int = 0  # and in the first calls, compiling among them
    error: float = 0.0  # distance from the oracle's result
    failure: str = ""
    trace: str = ""
    version: str = ""
    rate: float = 0.0  # of the machine: FLOP/s or bytes/s

    @property
    def kind(self) -> str:
        return COMPETITORS[self.name].kind

    @property
    def median(self) -> float:
        return statistics.median(self.times)

    @property
    def spread(self) -> float:
        """The distance of the quartiles, as a part of the median."""
        low, _, high = statistics.quantiles(self.times, n=4)
        return (high - low) / self.median


class Worker:
    """One competitor in its own process."""

    def __init__(self, name: str, competitor: str, threads: int, plan: Plan, caches):
        self.measured = Measured(competitor, threads)
        self.patience = plan.patience
        self.line, other = Pipe()
        arguments = [str(other.fileno()), name, competitor, str(threads)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "harness.worker", *arguments, f"{plan.pinned:d}"],
            cwd=HERE,
            env=os.environ | environment(threads) | paths(caches),
            pass_fds=[other.fileno()],
            stderr=subprocess.DEVNULL,
        )
        other.close()
        self.start = self.answer()

    def answer(self):
        """What the process says next; None, and a failure noted, where it says nothing."""
        try:
            if not self.line.poll(self.patience):
                return self.fail(f"no answer in {self.patience:.0f} s")
            said = self.line.recv()
        except (EOFError, OSError):
            return self.fail(f"the process ended with {self.process.wait()}")
        if isinstance(said, dict) and "failure" in said:
            self.measured.trace = said["trace"]
            return self.fail(said["failure"])
        return said

    def fail(self, why: str) -> None:
        self.measured.failure = why
        self.measured.times.clear()
        self.process.kill()
        self.process.wait()

    def ask(self, what):
        self.line.send(what)
        return self.answer()

    def stop(self) -> None:
        if self.process.poll() is None:
            self.measured.memory = self.ask(None) or 0
            self.process.wait()
        self.line.close()


def paths(caches: str) -> dict[str, str]:
    """Where the process finds us, and an empty place for what compilers keep."""
    ours = os.pathsep.join(
        filter(None, [os.environ.get("PYTHONPATH"), str(HERE.parent / "src")])
    )
    return {
        "PYTHONPATH": ours,
        "XDG_CACHE_HOME": caches,
        "TORCHINDUCTOR_CACHE_DIR": os.path.join(caches, "inductor"),
    }


def measure(
    name: str,
    workload: Workload,
    entrants: list[tuple[str, int]],
    plan: Plan,
    say: Callable[[str], None] = lambda text: None,
    around: AbstractContextManager | None = None,
) -> list[Measured]:
    """All entrants (competitor, threads) on one workload, in turns, `around` the rounds."""
    with tempfile.TemporaryDirectory() as caches:
        workers = []
        for competitor, threads in entrants:
            say(f"{competitor}: building")
            workers.append(Worker(name, competitor, threads, plan, caches))
        compare(workers, workload)
        running = [w for w in workers if not w.measured.failure]
        try:
            with around or nullcontext():
                rounds(running, plan, say)
        finally:
            for w in workers:
                w.stop()
    return [w.measured for w in workers]


def compare(workers: list[Worker], workload: Workload) -> None:
    """Whoever comes to another result than the oracle is out."""
    able = [w for w in workers if w.start]
    for w in able:
        w.measured.cold, w.measured.version = w.start["cold"], w.start["version"]
        w.measured.first = w.start["first"]
    having = [w for w in able if w.start["result"]]
    oracle = min(having, key=lambda w: w.measured.name != ORACLE, default=None)
    for w in having:
        w.measured.error = distance(w.start["result"], oracle.start["result"])
        if not w.measured.error <= workload.tolerance:
            w.fail(f"differs from {oracle.measured.name} by {w.measured.error:.1e}")


def distance(xs: list, ys: list) -> float:
    """The largest relative distance, in the norm, of two lists of arrays."""
    if [np.shape(x) for x in xs] != [np.shape(y) for y in ys]:
        return float("inf")
    pairs = [
        (np.asarray(x, "d"), np.asarray(y, "d")) for x, y in zip(xs, ys, strict=True)
    ]
    gaps = [np.linalg.norm(x - y) / (np.linalg.norm(y) + 1e-30) for x, y in pairs]
    return float(max(gaps, default=0.0))


def rounds(workers: list[Worker], plan: Plan, say) -> None:
    """Let each run a block of calls in every round; the order turns with the rounds.

    One round of the quick ones before is not counted: what libraries began in the background
    while they compiled may last until then.
    """
    quick = min((w.start["call"] for w in workers), default=0.0)
    slow = {w for w in workers if w.start["call"] > max(0.2, 10 * quick)}
    long = plan.warm + plan.block + plan.pause
    once = sum(max(long, w.start["call"]) for w in set(workers) - slow)
    count = min(plan.rounds, max(FEWEST, int(plan.budget / max(once, 1e-3))))
    for w in workers:
        if not w.measured.failure and w not in slow:
            turn(w, plan)
            w.measured.times.clear()
    for i in range(count):
        say(f"round {i + 1} of {count}")
        shift = i % max(1, len(workers))
        for w in workers[shift:] + workers[:shift]:
            if not w.measured.failure and (i < FEWEST or w not in slow):
                turn(w, plan)
    for w in workers:
        if w.measured.kind == LIMIT and w.measured.times:
            work = w.start["flop"] or w.start["bytes"]
            w.measured.rate = work / w.measured.median


def turn(worker: Worker, plan: Plan) -> None:
    """One block of calls, by the clock that the plan goes by."""
    time.sleep(plan.pause)
    answer = worker.ask((plan.warm, plan.block))
    if answer is not None:
        seconds = answer[plan.work]
        worker.measured.times.append(seconds / worker.start["steps"])


def ours(found: list[Measured]) -> Measured | None:
    """Our fastest way that works: compiled, else eager."""
    able = [m for m in found if m.kind == OURS and m.times]
    return min(able, key=lambda m: m.name != "adjoint", default=None)


def fastest(found: list[Measured], workload: Workload) -> Measured | None:
    """The fastest peer, or of those that the workload is to be compared with."""
    names = workload.against or [m.name for m in found if m.kind == PEER]
    able = [m for m in found if m.name in names and m.times]
    return min(able, key=lambda m: m.median, default=None)


def ratio(a: Measured, b: Measured) -> float:
    """How many times as long a takes as b: the median over rounds."""
    return statistics.median(x / y for x, y in zip(a.times, b.times, strict=False))
