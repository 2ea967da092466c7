"""Alone: a function is captured, and run for the first time, by one thread at a time.

While it is captured, tensors from outside have values of the program, which no other thread may
see; and its first call makes state that a second one would make again.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress

from ..core.forks import at_fork

PATIENCE = 10.0  # seconds that a thread waits, lest one waits that is waited for


class Alone:
    """The right to do so; a thread that has it may ask again."""

    def __init__(self):
        self._renew()
        at_fork(
            before=self._wait,
            after_in_parent=self._go_on,
            after_in_child=self._renew,
        )

    def _renew(self):
        self.lock = threading.RLock()
        self.turn, self.waited = 0, -1  # of how many; during which one waited in vain

    def _wait(self):
        """Before a fork: the child would inherit what is half done, and no thread to end it."""
        self.lock.acquire(timeout=PATIENCE)

    def _go_on(self):
        with suppress(RuntimeError):  # it waited in vain
            self.lock.release()

    @contextmanager
    def __call__(self):
        """True inside if this thread has it, False if it waited in vain."""
        lock = self.lock
        mine = lock.acquire(timeout=0 if self.waited == self.turn else PATIENCE)
        if not mine:
            self.waited = self.turn
            yield False
            return
        self.turn += 1
        try:
            yield True
        finally:
            lock.release()


alone = Alone()
