"""All workloads against their peers, in turns: python benchmarks/run.py --help

python benchmarks/run.py                      # everything; writes nothing
python benchmarks/run.py digits lstm --threads 1 --quick
python benchmarks/run.py --peers jax,torch --json times.json --write RESULTS.md
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from harness import machine, report, scaling
from harness.competitors import COMPETITORS, LIMIT, OURS, bytecode
from harness.session import Plan, measure
from harness.workload import Workload, load

QUICK = Plan(block=0.04, warm=0.03, rounds=7, budget=10.0)


def entrants(workload: Workload, peers, threads: int, missing) -> list:
    """Who takes part: ours and the machine always, others where asked for and present."""
    names = [n for n in COMPETITORS if n in workload.forms and n not in missing]
    chosen = [
        n for n in names if not peers or n in peers or COMPETITORS[n].kind == OURS
    ]
    limit = ["machine"] if workload.flop or workload.bytes else []
    return [(n, threads) for n in chosen + limit]


def absentees() -> dict[str, str]:
    """Competitors that cannot be imported here, and why; each is asked in a process."""
    missing = {}
    for name, who in COMPETITORS.items():
        if who.kind in (OURS, LIMIT):
            continue
        code = f"from harness.competitors import absent; print(absent({name!r}) or '')"
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
        )
        if why := done.stdout.strip() or (done.returncode and "the process died"):
            missing[name] = str(why)
    return missing


def progress(text: str) -> None:
    """One line that is written over, on a terminal."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def thread_counts(asked: str) -> list[int]:
    cores = len(os.sched_getaffinity(0))
    return [cores if x == "all" else int(x) for x in asked.split(",")]


def about() -> dict:
    """Where and when."""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
    )
    return {
        "date": datetime.date.today().isoformat(),
        "machine": machine.describe(),
        "adjoint": done.stdout.strip(),
    }


def options(workloads) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], epilog="workloads: " + ", ".join(workloads)
    )
    parser.add_argument("names", nargs="*", metavar="workload")
    parser.add_argument("--threads", default="1,all", help="such as 1,all")
    parser.add_argument("--peers", default="", help="only these, such as jax,torch")
    parser.add_argument("--quick", action="store_true", help="few and short rounds")
    parser.add_argument(
        "--work",
        action="store_true",
        help="time of the processor instead of the clock; for one thread, where others "
        "use the machine too",
    )
    parser.add_argument("--json", metavar="FILE", help="all times")
    parser.add_argument("--write", metavar="FILE", help="the report in Markdown")
    parser.add_argument(
        "--scaling",
        action="store_true",
        help="also one thread against all, on a quiet and on a busy machine",
    )
    parser.add_argument("--trace", action="store_true", help="tracebacks of failures")
    chosen = parser.parse_args()
    if unknown := [n for n in chosen.names if n not in workloads]:
        parser.error(f"no workload {unknown[0]!r}; there are {', '.join(workloads)}")
    return chosen


def main() -> None:
    workloads = load()
    asked = options(workloads)
    peers = [p.strip() for p in asked.peers.split(",") if p]
    plan = replace(QUICK if asked.quick else Plan(), work=asked.work)
    bytecode()
    missing, results, records, scaled = absentees(), [], [], []

    def write():
        if asked.json:
            Path(asked.json).write_text(json.dumps(records, indent=1))
        if asked.write:
            where = {**about(), "work": asked.work}
            more = scaling.section(scaled, thread_counts("all")[0]) if scaled else []
            Path(asked.write).write_text(report.document(results, where, missing, more))

    for threads in thread_counts(asked.threads):
        for name in asked.names or workloads:
            workload = workloads[name]
            who = entrants(workload, peers, threads, missing)
            here = plan if threads == 1 else plan.for_many()
            found = measure(name, workload, who, here, progress)
            progress("")
            print(report.text(found, workload, threads), flush=True)
            results.append({"found": found, "workload": workload, "threads": threads})
            records.append(report.record(found, name, threads))
            if asked.trace:
                print(*(m.trace for m in found if m.trace), sep="\n")
            write()
    for line in scalings(asked, workloads, scaled) if asked.scaling else ():
        print(line, flush=True)
        write()
    for name, why in missing.items():
        print(f"absent: {name} ({why})")


def scalings(asked, workloads, scaled: list):
    """A line for each workload that takes long enough; its figures go to `scaled`."""
    (cores,) = thread_counts("all")
    for name in asked.names or workloads:
        workload = workloads[name]
        if scaling.OURS not in workload.forms or workload.eager:
            continue
        found = scaling.scaling(name, workload, cores, progress)
        progress("")
        if found is not None:
            scaled.append(found)
            yield "  ".join([*scaling.rows(scaled, cores)][-1])


if __name__ == "__main__":
    main()
