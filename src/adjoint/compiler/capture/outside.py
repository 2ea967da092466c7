"""Outside: memory that was there before a function was captured, as the program has it."""

from __future__ import annotations

import weakref

import numpy as np


class Outside:
    """Arrays of tensors from outside: the input that each is, and what it holds so far.

    All are kept by the id of the array. Of the tensors that share one, the first that was met
    stands for it, or one with a gradient.
    """

    def __init__(self):
        self.held: dict[int, tuple] = {}  # (its tensor, the input)
        self.now: dict[int, object] = {}  # its value so far, if a view or written
        self.shown: dict[int, object] = {}  # what views show at first
        self.views: list = []  # those that were shown, weakly
        self.known: set = set()  # ids of their arrays
        self.other: list = []  # tensors that show what a view does, weakly, each with the view
        # Ids of several tensors -> the tensors, weakly.
        self.sharing: dict[int, dict] = {}

    def has(self, array) -> bool:
        return id(array) in self.held or id(array) in self.now

    def var(self, array):
        """The variable that it is now."""
        key = id(array)
        return self.now[key] if key in self.now else self.held[key][1]

    def before(self, array):
        """The input that it is; None if it is a part of one, or none."""
        return self.held.get(id(array), (None, None))[1]

    def add(self, x, var) -> None:
        """The memory of `x` is an input."""
        self.held[id(x.value)] = x, var

    def show(self, x, var) -> None:
        """`x` is a view, and `var` the part that it shows."""
        self.views.append(weakref.ref(x))
        self.known.add(id(x.value))
        self.now[id(x.value)] = self.shown[id(x.value)] = var

    def is_shown(self, x) -> bool:
        """Whether it has the memory of a view that was met, be it in a loop inside."""
        return id(x.value) in self.known

    def viewed(self):
        """The views that were shown, and are still there."""
        yield from (y for r in self.views if (y := r()) is not None)

    def besides(self):
        """The tensors that show the same as one of these, and are no views."""
        yield from (y for r, _ in self.other if (y := r()) is not None)

    def is_viewed(self, x) -> bool:
        """Whether a view from outside was met, the base of which has the memory of `x`."""
        return any(y.base.value is x.value for y in self.viewed())

    def is_missed(self) -> bool:
        """Whether a tensor has memory of a view, but would not see what was written there."""
        besides = {id(y.value) for y in self.besides()}
        met = (y for y in self.viewed() if id(y.value) in besides)
        return any(self.is_written(y.base.value) for y in met)

    def meet(self, x, lasting) -> None:
        """`x` has memory that is known; if it has a gradient it stands for it from now on.

        One that does not last longer than the call stands for nothing.
        """
        key = id(x.value)
        if lasting and x.base is None and self.is_shown(x):
            view = next((y for y in self.viewed() if y.value is x.value), x)
            self.other.append((weakref.ref(x), weakref.ref(view)))
        first, var = self.held.get(key, (x, None))
        if first is not x:
            for y in (first, x):
                self.sharing.setdefault(key, {}).setdefault(id(y), weakref.ref(y))
        if lasting and first.node is None and x.node is not None:
            self.held[key] = x, var

    def stand(self, x) -> None:
        """`x` stands for its memory, if that is an input."""
        key = id(x.value)
        if key in self.held:
            self.held[key] = x, self.held[key][1]

    def beside(self, x, key=None):
        """The other tensors of its memory, or of what it had: the array of the id `key`."""
        for other in self.sharing.get(key or id(x.value), {}).values():
            if (y := other()) is not None and y is not x:
                yield y

    def met(self):
        """The tensors that were read or written: those that stand for memory, and others."""
        for key, (x, _) in self.held.items():
            yield from (x, *self.beside(x, key))
        yield from (y for y in self.viewed() if isinstance(y.value, np.ndarray))

    def write(self, x, var) -> None:
        self.now[id(x.value)] = var

    def is_written(self, array) -> bool:
        """Whether it holds something else than before the call."""
        key = id(array)
        first = self.shown.get(key) or self.held.get(key, (None, None))[1]
        return self.now.get(key, first) is not first
