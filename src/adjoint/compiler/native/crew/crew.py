"""Crew: threads that help a program, as machine code that knows no Python.

`parallel` publishes a job, a function and how many chunks it has, takes chunks itself, and
returns when all are done. Each thread begins with its own range of chunks and goes on with
those of others, so a thread that has no core costs nothing; one that lost its core within a
chunk makes the caller work alone for a time. Whoever waits spins shortly, then sleeps.
"""

from __future__ import annotations

import ctypes
import threading

from ....core.forks import at_fork
from ....core.threads import MOST, threads
from ... import cache
from ..digest import surroundings
from ..late import crew_code
from ..llvm.machine import Library, machine_code
from .balance import STARTS
from .words import PLACES, WORDS


class Crew:
    """The threads of this process, which are started when the first job wants them."""

    def __init__(self):
        self.library = Library(_code())
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self))  # the threads never end
        self.words = (ctypes.c_int64 * WORDS).from_address(self.library.data("crew"))
        self.parallel = self.library.address("parallel")
        self._resize = ctypes.CFUNCTYPE(None, ctypes.c_int64)(
            self.library.address("resize")
        )
        self._begin()
        at_fork(after_in_child=self._begin)
        threads.told.append(self._resize)

    def _begin(self):
        """No thread is there: at first, and in the child of a fork."""
        number = self.words[PLACES["number"]]
        ctypes.memset(self.words, 0, ctypes.sizeof(self.words))
        self.words[PLACES["number"]] = number
        for name, value in STARTS.items():
            self.words[PLACES[name]] = value
        libc = ctypes.CDLL(None)
        for kind, names in (
            ("mutex", ("mutex", "answered")),
            ("cond", ("bell", "finished")),
        ):
            for name in names:
                place = ctypes.addressof(self.words) + 8 * PLACES[name]
                getattr(libc, f"pthread_{kind}_init")(ctypes.c_void_p(place), None)
        self._resize(min(threads.count, MOST))


def _code() -> bytes:
    """The machine code, from disk if it was compiled before."""
    key = cache.hashed(b"crew" + surroundings().encode()).hexdigest()
    found = cache.load(key)
    if found is not None:
        return found[1]
    code = machine_code(str(crew_code.Code().module), effort=0)
    cache.save(key, {"name": "crew"}, code)
    return code


_lock = threading.Lock()
_crews: list = []
at_fork(
    before=_lock.acquire,
    after_in_parent=_lock.release,
    after_in_child=_lock.release,
)


def crew() -> Crew:
    """The crew of this process."""
    with _lock:
        if not _crews:
            _crews.append(Crew())
        return _crews[0]
