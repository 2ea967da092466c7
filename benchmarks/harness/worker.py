"""A competitor's process: builds one step, then runs it when told to.

    python -m harness.worker PIPE WORKLOAD COMPETITOR THREADS PINNED

Answers over the pipe: how the build went, times of blocks of calls, the peak of memory.
"""

from __future__ import annotations

import gc
import os
import sys
import time
import traceback
from multiprocessing.connection import Connection

from . import competitors, machine
from .workload import Run, load

FIRST = 3  # calls until every library has compiled: ours and TinyJit begin eagerly
SLOW = 0.5  # seconds a call from which on no call is wasted


def main(pipe: str, name: str, competitor: str, threads: str, pinned: str) -> None:
    sys.stdout = sys.stderr  # libraries may print
    line = Connection(int(pipe))
    try:
        serve(line, name, competitor, int(threads), pinned == "1")
    except Exception as error:
        line.send({"failure": describe(error), "trace": traceback.format_exc()})


def describe(error: Exception) -> str:
    """The error in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:300]


def serve(line, name, competitor, threads, pinned) -> None:
    """Build, report, and answer until told to stop."""
    if pinned:
        competitors.pin(threads)
    workload = load()[name]
    clock = [time.perf_counter()]
    lib = competitors.library(competitor, threads)
    clock.append(time.perf_counter())
    data = workload.data()
    before = machine.resident(forget=True)
    clock.append(time.perf_counter())
    run = builder(workload, competitor)(lib, data)
    clock.append(time.perf_counter())
    began = begin(run, workload)
    line.send(
        {
            "version": getattr(lib, "__version__", ""),
            "import": clock[1] - clock[0],
            "build": clock[3] - clock[2],
            **began,
            "first": machine.peak() - before,
        }
    )
    gc.collect()
    call, began = began["call"], None  # its result would count as what stepping holds
    gc.freeze()
    machine.trim()
    machine.resident(forget=True)
    while (asked := line.recv()) is not None:
        line.send(lap(run, call, *asked))
    line.send(machine.peak() - before)


def builder(workload, competitor):
    """The workload's builder for a competitor; the machine's own is always the same."""
    if competitor == "machine":
        return lambda lib, data: machine.limit(lib, workload)
    return workload.forms[competitor]


def begin(run: Run, workload) -> dict:
    """The first calls: what they cost, and what they lead to."""
    calls = max(FIRST, -(-workload.check // run.steps))
    times, result = [], None
    for i in range(calls):
        times.append(block(run, 1)[0])
        if (i + 1) * run.steps == workload.check:
            result = run.result()
    if times[-1] < SLOW:
        times += [block(run, 1)[0] for _ in range(3)]
    warm = min(times[FIRST - 1 :])
    return {
        "cold": sum(times[:FIRST]) - FIRST * warm,
        "call": warm,
        "steps": run.steps,
        "result": result,
        "flop": run.flop,
        "bytes": run.bytes,
    }


def lap(run: Run, call: float, warm: float, seconds: float) -> tuple[float, float]:
    """A block of about so many seconds, at once after others that only wake the machine."""
    for _ in range(2 if warm else 0):
        call = block(run, max(1, int(warm / 2 / call)))[0]
    return block(run, max(1, int(seconds / call)))


def block(run: Run, calls: int) -> tuple[float, float]:
    """Seconds a call over some calls in a row: of the clock, and of this process's work."""
    step = run.step
    start, work = time.perf_counter(), time.process_time()
    for _ in range(calls):
        step()
    run.finish()
    elapsed = time.perf_counter() - start
    return elapsed / calls, (time.process_time() - work) / calls


if __name__ == "__main__":
    main(*sys.argv[1:])
    sys.stderr.flush()
    os._exit(0)  # no waiting for the threads of libraries
