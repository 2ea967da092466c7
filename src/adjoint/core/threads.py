"""Threads: how many a compiled program may use; who keeps them is told of a change."""

from __future__ import annotations

import math
import os
from collections.abc import Callable

VARIABLES = "ADJOINT_NUM_THREADS", "OMP_NUM_THREADS"
MOST = 256
_GROUPS = "/sys/fs/cgroup"


class Threads:
    """The number in use: what the machine grants until a program asks for another."""

    def __init__(self):
        self._count = 0
        self.told: list[Callable[[int], object]] = []

    @property
    def count(self) -> int:
        """At least 1."""
        self._count = self._count or granted()
        return self._count

    @count.setter
    def count(self, n: int) -> None:
        self._count = n
        for tell in self.told:
            tell(min(n, MOST))


def granted() -> int:
    """What the environment names, else the cores that this process may keep busy."""
    for name in VARIABLES:
        first = os.environ.get(name, "").split(",")[0].strip()
        if first.isdecimal() and int(first) > 0:
            return int(first)
    return max(1, math.ceil(min(cores(), quota())))


def cores() -> int:
    """Those that this process may run on, as far as the system tells."""
    try:
        return len(os.sched_getaffinity(0))
    except (AttributeError, OSError):  # there is none on macOS; a sandbox may refuse it
        return os.cpu_count() or 1


def quota(groups=_GROUPS, own="/proc/self/cgroup") -> float:
    """How many cores' time the control groups around this process may use."""
    limits = [math.inf]
    groups_of = (line.split(":", 2) for line in _text(own).splitlines())
    for _, names, path in (words for words in groups_of if len(words) == 3):
        for folder in _around(groups, names, path):
            limits += _second(folder) if not names else _first(folder)
    return min(limits)


def _around(groups, names: str, path: str):
    """The folders of a group and of those it is in; inside a container its own is the root."""
    if names and "cpu" not in names.split(","):
        return
    root = os.path.join(groups, names)
    yield root
    for part in path.split("/"):
        root = os.path.join(root, part)
        yield root


def _second(folder: str) -> list[float]:
    """Of version 2: `cpu.max` holds time and period."""
    return _share(_words(folder, "cpu.max"))


def _first(folder: str) -> list[float]:
    """Of version 1: time and period have a file each."""
    files = "cpu.cfs_quota_us", "cpu.cfs_period_us"
    return _share([word for name in files for word in _words(folder, name)])


def _words(folder: str, name: str) -> list[str]:
    return _text(os.path.join(folder, name)).split()


def _text(file) -> str:
    """What a file of the system says; nothing if it is not there.

    Without pathlib, whose import takes longer than that of any module here.
    """
    try:
        with open(file, errors="surrogateescape") as f:  # names may be of any bytes
            return f.read()
    except OSError:
        return ""


def _share(words: list[str]) -> list[float]:
    try:
        time, period = map(int, words)
    except ValueError:  # "max", or no such file
        return []
    return [time / period] if time > 0 and period > 0 else []


threads = Threads()
