"""Failures: the words in which code tells what failed, and the errors that they stand for."""

from __future__ import annotations

import ctypes

from ....errors import BACKWARD, show_site
from ....ir.positions import LETTERS, every, tells
from ....ops.arithmetic import by_zero
from ....ops.index import out_of_bounds

# The module's words: what failed, a number, two more about it, by whom in four; in three what
# a handler of a signal raised; and the thread that is in Python meanwhile, for the program.
FAILED, TOLD, RAISED, INSIDE, WORDS = "failed", 8, 8, 11, 12
CALLBACK, OUTSIDE, BY_ZERO, INTERRUPTED = 1, 2, 3, 4


def raise_failure(words, errors: list, graph) -> None:
    """Raise what a program's words tell, if anything; `errors` are those that NumPy raised."""
    if not words[0]:
        return
    what, words[0] = words[0], 0
    if what == OUTSIDE:
        i, d, n = words[1:4]
        by = read_name(words[4:TOLD])
        raise out_of_bounds(i, d, n, by, _line(graph, (d, n, by)))
    if what == BY_ZERO:
        by = read_name(words[4:TOLD])
        raise by_zero(by, _line(graph, (by,)))
    if what == INTERRUPTED:
        _raise_again(words[RAISED : RAISED + 3])
    # Python has told of an interrupt in a callback, which is then not among the errors.
    error = errors.pop() if errors else KeyboardInterrupt()
    errors.clear()
    raise error


def _line(graph, told):
    """The site of the operation that this is told of; None if several lines have one."""
    found = [o.site for o in every(graph) if told in tells(o) and o.site is not None]
    ahead = [s for s in found if not s[2].endswith(BACKWARD)] or found
    return ahead[0] if len({show_site(s) for s in ahead}) == 1 else None


def _raise_again(words):
    """Raise what a signal's handler raised: its type, value and trace, which we own."""
    again = ctypes.pythonapi.PyErr_Restore
    again.restype, again.argtypes = None, [ctypes.c_void_p] * 3
    again(*words)


def spelled(name: str) -> list[int]:
    """A name in four words of eight bytes."""
    raw = name.encode()[:LETTERS].ljust(LETTERS, b"\0")
    return [int.from_bytes(raw[i : i + 8], "little") for i in range(0, LETTERS, 8)]


def read_name(words) -> str:
    """What `spelled` wrote."""
    raw = b"".join((w % 2**64).to_bytes(8, "little") for w in words)
    return raw.rstrip(b"\0").decode()
