"""Clocked: how long each kernel of a program takes."""

from __future__ import annotations

import time

import numpy as np

from ..binding import is_of, number
from .bound import Bound
from .pool import Pool
from .program import Native


class Clocked(Bound):
    """A program that says how long each of its kernels takes; it works on copies."""

    def __init__(self, captured):
        super().__init__(Native(captured, timed=True), None)
        self.clock = np.zeros(len(self.native.part.schedule.kernels) + 1, np.int64)
        self.table.array("clock", self.clock)
        self.first: tuple[float, int] | None = None
        # What results and states are written to is met once before: new memory takes long.
        self.makers = [Pool(spec) for spec in self.surface.specs]
        self.copies = [np.zeros(*s.var.spec) for s in captured.states]

    def memory(self):
        c = self.captured
        for s, x, copy in zip(c.states, c.sources(), self.copies, strict=True):
            # It may be another by now, such as a .grad that is None.
            if is_of(x, s.var.spec):
                np.copyto(copy, x.value)
        return self.copies

    def __call__(self, arrays, extras=()):
        """Seconds of each kernel; the first call only sets the clock."""
        draws = [np.zeros(2, np.int64) for _ in self.captured.draws]
        numbers = [np.array(number(*n)) for n in self.captured.numbers]
        now = time.perf_counter()
        super().__call__(arrays, [*draws, *numbers, *extras])
        if self.first is None:
            self.first = now, int(self.clock[0])
            time.sleep(0.02)
            return []
        ticks = (self.clock[0] - self.first[1]) / (now - self.first[0])
        return list(np.diff(self.clock) / ticks)
