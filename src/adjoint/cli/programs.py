"""`adjoint cache`: the compiled programs on this disk."""

from __future__ import annotations

import time

from ..compiler import cache as programs

OFF = "the cache is off"
UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def cache(given):
    """List them, remove them, or tell where they are."""
    return {"list": _list, "clear": _clear, "path": _path}[given.action]()


def _path():
    place = programs.path()
    answer = {"path": None if place is None else str(place)}
    return 0, answer, OFF if place is None else str(place)


def _clear():
    count, size = programs.clear()
    answer = {"removed": count, "bytes": size}
    if programs.path() is None:
        return 0, answer, OFF
    return 0, answer, f"removed {_counted(count)}, {size / 1e6:.1f} MB"


def _list():
    found, now = programs.entries(), time.time()
    answer = {
        **_path()[1],
        "limit": programs.limit(),
        "bytes": sum(e.bytes for e in found),
        "programs": [e._asdict() for e in found],
    }
    if programs.path() is None:
        return 0, answer, OFF
    lines = [
        f"{e.name:<24} {e.bytes / 1e3:>9.1f} kB {_age(now - e.used):>8}  {e.key[:12]}"
        for e in found
    ]
    total, most = answer["bytes"] / 1e6, answer["limit"] / 1e6
    head = f"{_counted(len(found))}, {total:.1f} of {most:.0f} MB, in {_path()[2]}"
    return 0, answer, "\n".join([head, *lines])


def _counted(n: int) -> str:
    return f"{n} program{'s' * (n != 1)}"


def _age(seconds: float) -> str:
    """About how long, in one unit."""
    for size, unit in UNITS:
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return "now"
