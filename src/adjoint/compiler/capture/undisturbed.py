"""Undisturbed: Ctrl-C waits for the end of a part, lest what is half undone stays so."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from threading import current_thread, main_thread


@contextmanager
def undisturbed():
    """Inside, an interrupt is kept until the end; other threads get none anyway."""
    before, late = signal.getsignal(signal.SIGINT), []
    if current_thread() is not main_thread() or not callable(before):
        yield
        return
    signal.signal(signal.SIGINT, lambda *told: late.append(told))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if late:
            before(*late[-1])
