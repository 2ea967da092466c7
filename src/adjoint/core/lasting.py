"""Lasting: what an import makes stays, so that the search for garbage need not look at it.

Python looks at what is new, and the more is new the sooner at everything: after the import of
a hundred modules that takes 10 ms in the middle of somebody's first call.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


def lasting() -> None:
    """All that is there now counts as old; unless somebody has frozen what was there."""
    if hasattr(gc, "freeze") and not gc.get_freeze_count():
        gc.freeze()
        gc.unfreeze()


SELDOM = 50_000  # new objects after which garbage is looked for, instead of 700 or 2000


@contextmanager
def seldom_swept() -> Iterator[None]:
    """Look for garbage less often, while a loop makes nodes that its way back needs.

    Python would look at all of them time and again: for half of the time of a long loop.
    """
    before = gc.get_threshold()
    if not 0 < before[0] < SELDOM:  # somebody has one of their own, or wants none
        yield
        return
    gc.set_threshold(SELDOM, *before[1:])
    try:
        yield
    finally:
        if gc.get_threshold()[0] == SELDOM:
            gc.set_threshold(*before)
