"""Hands: work on several things at once by threads, where Python waits for C.

Threads last as long as the work: nothing is left for a fork, or for the end of the process.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextlib import suppress

from ....core.threads import threads

STACK = 2**21  # bytes that LLVM may need


def at_once(work: Callable, things: Iterable) -> list:
    """work(x) of each, in their order, by as many threads as programs may use.

    This thread is one of them. The first error is raised, once nobody works any more.
    """
    shared = _Shared(work, list(things))
    others = []
    try:
        with suppress(RuntimeError):  # no more threads are to be had: then with fewer
            for _ in range(_helpers(len(shared.things))):
                one = threading.Thread(target=shared.some)
                one.start()
                others.append(one)
        shared.some()
    finally:  # an interrupt may have come
        shared.ended = True
        for one in others:
            one.join()
    return shared.found()


def _helpers(count: int) -> int:
    """How many threads help with so many things."""
    few = count < 2 or 0 < threading.stack_size() < STACK
    return 0 if few else min(threads.count, count) - 1


class _Shared:
    """Things that threads take one after the other, and what they came to."""

    def __init__(self, work, things):
        self.work, self.things = work, things
        self.next = iter(range(len(things)))
        self.ended = False  # nobody takes another
        self.results: dict = {}
        self.errors: dict = {}

    def some(self) -> None:
        """Things that nobody else has taken, until there are none or one has failed."""
        for i in self.next:
            if self.ended:
                return
            try:
                self.results[i] = self.work(self.things[i])
            except BaseException as error:
                self.errors[i], self.ended = error, True

    def found(self) -> list:
        """What was found, or the first error."""
        for _, error in sorted(self.errors.items()):
            raise error
        return [self.results[i] for i in range(len(self.things))]
