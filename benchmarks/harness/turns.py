"""Two functions in turns, in one process: for small comparisons beside the large table."""

from __future__ import annotations

import statistics
import time


def in_turns(ours, theirs, seconds: float = 1.5, least: int = 5):
    """(our median, their median, the median ratio of a round) of some rounds, in seconds."""
    for f in (ours, ours, ours, theirs, theirs):
        f()
    rounds, end = [], time.perf_counter() + seconds
    while len(rounds) < least or time.perf_counter() < end:
        order = (ours, theirs) if len(rounds) % 2 else (theirs, ours)
        took = {f: _lap(f) for f in order}
        rounds.append((took[ours], took[theirs]))
    a, b = (statistics.median(t) for t in zip(*rounds, strict=True))
    return a, b, statistics.median(y / x for x, y in rounds)


def _lap(f) -> float:
    """The better of two calls: the first one finds its data gone from the caches."""
    times = []
    for _ in range(2):
        start = time.perf_counter()
        f()
        times.append(time.perf_counter() - start)
    return min(times)


def line(name: str, ours: float, theirs: float, ratio: float, more: str = "") -> str:
    """A line of a table, in milliseconds."""
    return (
        f"{name:28}{ours * 1e3:10.2f}{theirs * 1e3:10.2f}{ratio:8.2f}  {more}".rstrip()
    )
