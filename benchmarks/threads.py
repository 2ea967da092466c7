"""What threads bring: each workload in one process, with 1, 2 ... threads in turns.

    python benchmarks/threads.py [workload ...] [--threads 1,2,4] [--rounds 30]

Shown are the shortest times, which other work on the machine disturbs least, and how much work
of all cores together a step takes, compared with one thread: 1 would be no loss at all.
"""

from __future__ import annotations

import argparse
import os
import time

from harness.report import seconds
from harness.workload import load

import adjoint as ad

WARM = 4
CHOSEN = """gelu_chain softmax layer_norm mnist mnist_wide lenet residual_block lstm pinn
gpt_mini gpt_char neural_ode_128"""


def turns(step, finish, counts, rounds):
    """(seconds, seconds of all cores) of the shortest call for each count."""
    best = {n: (float("inf"), float("inf")) for n in counts}
    for _ in range(rounds):
        for n in counts:
            ad.set_num_threads(n)
            step()
            start, work = time.perf_counter(), time.process_time()
            step()
            finish()
            took = time.perf_counter() - start
            best[n] = min(best[n], (took, time.process_time() - work))
    return best


def line(name, counts, rounds):
    """Its times and ratios."""
    workload = load()[name]
    run = workload.forms["adjoint"](ad, workload.data())
    for _ in range(WARM):
        run.step()
    found = turns(run.step, run.finish, counts, rounds)
    first, spent = found[counts[0]]
    cells = [f"{name:<18}{seconds(first / run.steps):>10}"]
    for n in counts[1:]:
        took, work = found[n]
        cells.append(f"{n} threads: {first / took:5.2f} (work {work / spent:4.2f})")
    return "  ".join(cells)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=CHOSEN.split(), metavar="workload")
    cores = len(os.sched_getaffinity(0))
    parser.add_argument("--threads", default=f"1,2,{cores}")
    parser.add_argument("--rounds", type=int, default=30)
    asked = parser.parse_args()
    counts = sorted({int(n) for n in asked.threads.split(",")})
    for name in asked.names:
        print(line(name, counts, asked.rounds), flush=True)


if __name__ == "__main__":
    main()
