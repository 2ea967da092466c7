"""Tables for the terminal and for RESULTS.md."""

from __future__ import annotations

from dataclasses import asdict

from .competitors import LIMIT, MEANS, OURS
from .session import Measured, fastest, ours, ratio
from .workload import Workload

UNITS = [(1.0, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns")]


def seconds(t: float) -> str:
    """A time with three figures and its unit."""
    scale, unit = next((u for u in UNITS if t >= u[0]), UNITS[-1])
    return f"{t / scale:.3g} {unit}" if t < 999.5 * scale else f"{t / scale:.0f} {unit}"


def rate(m: Measured, workload: Workload) -> str:
    """GFLOP/s or GB/s of a step, where the workload has a count."""
    work, unit = _work(workload)
    speed = m.rate if m.kind == LIMIT else work / m.median
    return f"{speed / 1e9:.3g} {unit}" if speed else ""


def _work(workload: Workload) -> tuple[float, str]:
    return (workload.flop, "GF/s") if workload.flop else (workload.bytes, "GB/s")


COLUMNS = (
    "competitor",
    "time",
    "spread",
    "/ ours",
    "rate",
    "cold",
    "first MiB",
    "peak MiB",
)


def row(m: Measured, us: Measured | None, workload: Workload) -> list[str]:
    """One competitor's line."""
    if not m.times:
        return [m.name, "-", "", "", "", "", "", m.failure]
    limit = m.kind == LIMIT
    return [
        m.name,
        "" if limit else seconds(m.median),
        f"{m.spread:.0%}",
        "" if limit or us is None else f"{ratio(m, us):.2f}",
        rate(m, workload),
        "" if limit else seconds(max(m.cold, 0.0)),
        "" if limit else f"{m.first / 2**20:.1f}",
        "" if limit else f"{m.memory / 2**20:.1f}",
    ]


def table(found: list[Measured], workload: Workload) -> list[list[str]]:
    """All lines: ours, the peers from the fastest on, references, what failed."""
    us = ours(found)
    order = sorted(
        found, key=lambda m: (not m.times, m.kind == LIMIT, m.times and m.median)
    )
    return [row(m, us, workload) for m in order]


def verdict(found: list[Measured], workload: Workload) -> str:
    """How we stand against the fastest peer, the goal, and the machine."""
    us, them = ours(found), fastest(found, workload)
    if us is None:
        return "ours does not run"
    said = ["not compiled (eager)"] if _uncompiled(us, workload) else []
    if them is not None:
        said.append(f"fastest ({them.name}) / ours = {ratio(them, us):.2f}")
    said += goals(workload)
    limit = next((m for m in found if m.kind == LIMIT and m.rate), None)
    if limit is not None:
        share = _work(workload)[0] / us.median / limit.rate
        said.append(f"{share:.0%} of the machine's {rate(limit, workload)}")
    return "; ".join(said)


def _uncompiled(us: Measured, workload: Workload) -> bool:
    return us.name != "adjoint" and not workload.eager


def goals(workload: Workload) -> list[str]:
    """What the workload is to reach."""
    aims = []
    if workload.goal:
        aims.append(f"goal {workload.goal:g}")
    if workload.most:
        aims.append(f"goal at most {seconds(workload.most)}")
    return aims


def heading(workload: Workload, threads: int) -> str:
    return f"{workload.title}, {threads} thread{'s' * (threads > 1)}"


def text(found, workload: Workload, threads: int) -> str:
    """For the terminal."""
    lines = [list(COLUMNS), *table(found, workload)]
    widths = [max(len(x[i]) for x in lines if x[1] != "-") for i in range(len(COLUMNS))]
    widths[0] = max(len(x[0]) for x in lines)
    shown = [heading(workload, threads)]
    for x in lines:
        cells = [f"{c:>{w}}" for c, w in zip(x[1:], widths[1:], strict=True)]
        shown.append("  " + "  ".join([f"{x[0]:<{widths[0]}}", *cells]).rstrip())
    return "\n".join([*shown, "  " + verdict(found, workload), ""])


def summary(results: list[dict], threads: int) -> list[str]:
    """One line a workload, in Markdown."""
    lines = [
        "| workload | ours | fastest peer | ratio | goal | of the machine |",
        "|---|---|---|---|---|---|",
    ]
    for r in results:
        if r["threads"] == threads:
            lines.append("| " + " | ".join(_summary(r["found"], r["workload"])) + " |")
    return lines


def _summary(found, workload) -> list[str]:
    us, them = ours(found), fastest(found, workload)
    limit = next((m for m in found if m.kind == LIMIT and m.rate), None)
    share = limit and us and _work(workload)[0] / us.median / limit.rate
    eager = " (eager)" if us and _uncompiled(us, workload) else ""
    return [
        workload.title,
        f"{seconds(us.median)}{eager}" if us else _why(found),
        f"{seconds(them.median)} {them.name}" if them else "",
        f"{ratio(them, us):.2f}" if us and them else "",
        "; ".join(g.removeprefix("goal ") for g in goals(workload)),
        f"{share:.0%}" if share else "",
    ]


def _why(found) -> str:
    return next((m.failure for m in found if m.kind == OURS), "")


def markdown(found, workload: Workload, threads: int) -> str:
    """A workload's section of RESULTS.md."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|---" * len(COLUMNS) + "|"]
    lines += ["| " + " | ".join(_escaped(x)) + " |" for x in table(found, workload)]
    said = [verdict(found, workload), *(f"{k}: {v}" for k, v in workload.notes.items())]
    return "\n".join(
        [f"### {heading(workload, threads)}", "", *lines, "", ". ".join(said) + ".", ""]
    )


def _escaped(cells: list[str]) -> list[str]:
    return [c.replace("|", "\\|") for c in cells]


def document(
    results: list[dict], about: dict, missing: dict[str, str], more: list[str] = ()
) -> str:
    """The whole of RESULTS.md; `more` are lines after the summaries."""
    counts = sorted({r["threads"] for r in results})
    parts = ["# Results", "", *_preamble(about)]
    for n in counts:
        parts += [f"## {n} thread{'s' * (n > 1)}", "", *summary(results, n), ""]
    parts += [*more, ""] if more else []
    parts += ["## Who took part", "", *_parts(results, missing), ""]
    parts += ["## Each workload", ""]
    parts += [markdown(r["found"], r["workload"], r["threads"]) for r in results]
    return "\n".join(parts).rstrip() + "\n"


def _preamble(about: dict) -> list[str]:
    return [
        f"Written by `make bench` on {about['date']}.",
        f"Machine: {about['machine']}. adjoint {about['adjoint']}.",
        "",
        "Times are of the processor's work, not of the clock: others used the machine."
        if about.get("work")
        else "Times are of the clock.",
        "",
        "Every library runs in a process of its own, on as many cores as it has threads, "
        "in turns within one run. Figures are medians of one step; the spread is the "
        "distance of the quartiles; ratios are medians over the rounds. Before anything "
        "is timed the results of all must agree with adjoint's eager ones. Cold is what "
        "the first three calls took beyond three steady ones. The peak is what a process "
        "held at the most while stepping, beyond libraries and data, compilers' remains "
        "included; first is the same of the calls before, compiling among them. A "
        "ratio below its goal is a goal not reached.",
        "",
    ]


def _parts(results: list[dict], missing: dict[str, str]) -> list[str]:
    seen = {m.name: m.version for r in results for m in r["found"] if m.version}
    lines = ["| name | version | form |", "|---|---|---|"]
    lines += [
        f"| {k} | {seen.get(k, '')} | {v} |" for k, v in MEANS.items() if k in seen
    ]
    lines += [f"| {k} | absent | {v} |" for k, v in missing.items()]
    return lines


def record(found: list[Measured], name: str, threads: int) -> dict:
    """For --json."""
    kept = [{k: v for k, v in asdict(m).items() if k != "trace"} for m in found]
    return {"workload": name, "threads": threads, "found": kept}
