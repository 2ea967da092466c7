"""Scaling: ours with one thread and with all, alone on the machine and beside busy cores."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NamedTuple

from .report import seconds
from .session import Measured, Plan, Worker, compare, ratio, rounds
from .workload import Workload

OURS = "adjoint"
QUIET = Plan(rounds=11, pinned=False).for_many()
BUSY = Plan(block=0.5, warm=0.1, rounds=9, pinned=False)
SHORT = 1e-3  # seconds of a step, below which threads are not expected to help
COLUMNS = "workload|1 thread|{} threads|times as fast|copies|busy: 1|{}|times"


class Copies:
    """Workers of one thread each that work at the same time, as if they were one worker."""

    def __init__(self, name: str, count: int, plan: Plan, caches: str):
        self.workers = [Worker(name, OURS, 1, plan, caches) for _ in range(count)]
        self.measured, self.start = self.workers[0].measured, self.workers[0].start

    def ask(self, what):
        """The time for a step if all steps of all were done one after the other."""
        for w in self.workers:
            w.line.send(what)
        answers = [w.answer() for w in self.workers]
        if None in answers:
            return self.fail("one of the copies has ended")
        return tuple(
            1 / sum(1 / x for x in kind) for kind in zip(*answers, strict=True)
        )

    def fail(self, why: str) -> None:
        for w in self.workers:
            w.fail(why)

    def stop(self) -> None:
        for w in self.workers:
            w.stop()


class Scaling(NamedTuple):
    """A workload's figures with one thread and with all, on a quiet and on a busy machine.

    On the quiet one also those of as many copies with a thread each.
    """

    workload: Workload
    quiet: list[Measured]
    busy: list[Measured]


# Never rests, and ends with who started it.
RESTLESS = """
import os, sys
while os.getppid() == int(sys.argv[1]):
    for _ in range(10**6):
        pass
"""


@contextlib.contextmanager
def noise(cores: int) -> Iterator[None]:
    """Processes that keep every core busy."""
    command = [sys.executable, "-c", RESTLESS, str(os.getpid())]
    working = [subprocess.Popen(command) for _ in range(cores)]
    try:
        yield
    finally:
        for process in working:
            process.kill()
            process.wait()


def scaling(
    name: str, workload: Workload, cores: int, say: Callable[[str], None]
) -> Scaling | None:
    """Both ways in turns; None where it does not run, or takes no time."""
    with tempfile.TemporaryDirectory() as caches:
        pair = [Worker(name, OURS, n, QUIET, caches) for n in (1, cores)]
        workers: list = list(pair)
        try:
            compare(pair, workload)
            if pair[0].measured.failure or brief(pair[0]):
                return None
            workers.append(Copies(name, cores, QUIET, caches))
            quiet = timed(workers, QUIET, say)
            with noise(cores):
                return Scaling(workload, quiet, timed(pair, BUSY, say))
        finally:
            for w in workers:
                w.stop()


def brief(worker: Worker) -> bool:
    """Whether a step is over before others could help."""
    return worker.start["call"] / worker.start["steps"] < SHORT


def timed(workers: list[Worker], plan: Plan, say) -> list[Measured]:
    """What they measure under this plan."""
    for w in workers:
        w.measured.times.clear()
    rounds(workers, plan, say)
    return [replace(w.measured, times=[*w.measured.times]) for w in workers]


def rows(found: list[Scaling], cores: int) -> Iterator[list[str]]:
    """The head of the table, then a line for each workload."""
    yield COLUMNS.format(cores, cores).split("|")
    for one in found:
        one_thread, all_threads, copies = one.quiet
        together = (
            f"{ratio(one_thread, copies):.2f}" if copies.times else copies.failure
        )
        quiet = _cells(one_thread, all_threads)
        yield [one.workload.title, *quiet, together, *_cells(*one.busy)]


def _cells(one: Measured, many: Measured) -> list[str]:
    if not (one.times and many.times):
        return [one.failure or many.failure, "", ""]
    return [seconds(one.median), seconds(many.median), f"{ratio(one, many):.2f}"]


def section(found: list[Scaling], cores: int) -> list[str]:
    """The part of RESULTS.md."""
    head, *lines = rows(found, cores)
    return [
        f"## One thread and {cores}",
        "",
        "Ours, compiled, in turns, nothing pinned; workloads of more than a millisecond. Goal: "
        f"{0.8 * cores:.1f} times as fast, or at the memory's limit. Copies: how much more "
        f"{cores} processes with a thread each do at the same time than one alone, which is what "
        "clock, caches and memory grant. Busy: beside a process that never rests on each core; "
        "goal: at least 0.9.",
        "",
        f"| {' | '.join(head)} |",
        "|---" * len(head) + "|",
        *(f"| {' | '.join(line)} |" for line in lines),
    ]
