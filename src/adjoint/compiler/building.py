"""Building: a program that a thread makes while its calls are interpreted."""

from __future__ import annotations

import contextvars
import threading
import weakref
from collections.abc import Callable
from typing import Any

from ..core.forks import at_fork

PATIENCE = 0.3  # seconds that a call waits before it is interpreted

_building: weakref.WeakSet = weakref.WeakSet()


class Building:
    """What `make` gives, made in a thread of its own."""

    def __init__(self, make: Callable):
        self.made: Any = None
        self.error: BaseException | None = None
        run = contextvars.copy_context().run
        # Not a daemon: the process does not end within LLVM.
        self.thread = threading.Thread(target=run, args=(self._run, make))
        _building.add(self)
        self.thread.start()

    def _run(self, make):
        try:
            self.made = make()
        except BaseException as error:  # raised again where it is asked for
            self.error = error

    def done(self, seconds: float | None = None) -> bool:
        """Whether it is there, after at most these seconds; None: as long as it takes."""
        self.thread.join(seconds)
        return not self.thread.is_alive()

    def result(self):
        """What was made, when it is there."""
        self.thread.join()
        if self.error is not None:
            raise self.error
        return self.made


def _settle() -> None:
    """Before a fork: the child would inherit LLVM's locks, and no thread to open them."""
    for building in list(_building):
        building.thread.join()


at_fork(before=_settle)
