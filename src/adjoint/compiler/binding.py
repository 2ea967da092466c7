"""Binding: a captured program and the memory of its states, however it is run."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from ..autodiff.modes import no_grad, recording
from ..autodiff.views import lies_in_base
from ..core.bind import Box, changed, flags, moved, remade
from ..errors import show_site
from .capture.ending import apart, traits
from .capture.surroundings import ABSENT, equal, look, named, same_bits

MISS = object()  # the answer of a quick call that has to be looked at


class Binding:
    """What a program works on, and whether that is still what was captured."""

    native: Any = None  # the machine code, if there is any
    call: Any = None  # its way in from Python, if it has one

    def __init__(self, captured):
        self.captured = captured
        self.calls, self.moved, self.changed = (ctypes.c_int64(0) for _ in range(3))
        self.changed.value, self.remade = changed.value, remade.value
        self.flags = flags.value
        self.stirred: set = set()  # options that were found changed
        self.why = ""  # of the world, what was found changed
        for x, _ in captured.traits:
            x.watched = True
        self.point_to_states()

    def point_to_states(self) -> None:
        """Find the memory that the states have now."""
        states = self.captured.states
        self.arrays = [s.tensor.value if s.place is None else None for s in states]
        self.moved.value = moved.value

    def fits(self) -> bool:
        """Whether the world is as it was captured; states may have moved."""
        self.why = next(self._changed(), "")
        return not self.why

    def may_fit_again(self) -> bool:
        """Whether the world may come to be as it was captured; what is made anew stays so."""
        return remade.value == self.remade

    def _changed(self):
        """What is not as it was captured, in words."""
        c = self.captured
        if not self.may_fit_again():
            yield "the parameters or hooks of a module are others"
        if flags.value != self.flags:
            yield "an attribute of a module is another"
        self.changed.value = changed.value  # modes alone: this is the program for them
        if any(x._grad is not None for x in c.absent):
            yield "a tensor without .grad has one"
        others = [
            (kept, k, x) for kept, items in c.seen for k, x in _changes(kept, items)
        ]
        self.stirred = {(id(kept), k) for kept, k, _ in others}
        yield from (_why(k, look(kept, k), x) for kept, k, x in others)
        if not all(s.stays() for s in c.slots):
            yield "a container that the function sets tensors in has others beside them"
        if any(traits(x) != t for x, t in c.traits):
            yield "a tensor from outside passes gradients in another way"
        for r in c.read:
            if not same_bits(r.tensor.value, r.numbers):
                yield f"numbers that Python reads are others, {show_site(r.site)}"
        yield from self._others(moved.value != self.moved.value)

    def _others(self, anew):
        """What states are others; `anew` if some tensors were given other memory."""
        c, found = self.captured, self.captured.sources()
        pairs = zip(c.states, found, strict=True)
        looked = [(s, x) for s, x in pairs if anew or s.place is not None]
        yield from (_other(s, x) for s, x in looked if not _suits(x, s))
        part = any(x.value.base is not None for _, x in looked)
        part = part or (looked and len({id(x.value) for x in found}) < len(found))
        if (anew or part) and not apart(zip(self.memory(), c.states, strict=True)):
            yield "memory that it writes is part of another tensor by now"
        if anew:
            shown = all(_shows(*pair) for pair in c.besides)
            if not (shown and all(map(_together, c.states))):
                yield "tensors that were one memory are so no more"
            if not all(y is None or lies_in_base(y) for y in (r() for r in c.views)):
                yield "a view has other memory than its base by now"
            self.point_to_states()

    def apart(self, given) -> bool:
        """Whether the program may write what it writes: no argument has a part of it."""
        c, args = self.captured, {id(x): x for x in given}
        if not args.keys().isdisjoint(map(id, c.touched())):
            return False
        if not all(_writable(given[i]) for i in c.rewritten):
            return False
        memory = self.memory()
        written = [
            y for s, y in zip(c.states, memory, strict=True) if s.written is not None
        ]
        pairs = [(x.value, y) for x in args.values() for y in written]
        for i in c.rewritten:
            others = [x.value for x in args.values() if x is not given[i]]
            pairs += [(given[i].value, y) for y in (*others, *memory)]
        return not any(np.may_share_memory(x, y) for x, y in pairs)

    def memory(self) -> list:
        """The arrays of all states, gradients that owners have among them."""
        return [x.value for x in self.captured.sources()]

    def extras(self) -> list:
        """The arrays of the other inputs: states of generators, and numbers."""
        c = self.captured
        draws = [generator.take(n) for generator, n in c.draws]
        return [*draws, *(np.array(number(*n)) for n in c.numbers)]

    def undraw(self, extras) -> None:
        """The call failed: generators go on from where they were before `extras`."""
        taken = list(zip(self.captured.draws, extras, strict=False))
        for (generator, blocks), numbers in reversed(taken):
            generator.give_back(numbers, blocks)

    def give(self, gradients) -> None:
        """These tensors were made the gradients."""

    def settle(self) -> None:
        """It has run for the first time: what was there before it may be let go."""


def number(group, name, place) -> float:
    """An option, or one of a tuple of them."""
    x = group[name]
    return float(x if place is None else x[place])


def _changes(keeper, items) -> list:
    """The keys under which something else is kept now, with what was there."""
    return [(k, x) for k, x in items.items() if not equal(look(keeper, k), x)]


def _together(s) -> bool:
    """Whether the tensors that had the memory of a state still have it."""
    found = (r() for r in s.beside)
    return all(y is None or y.value is s.tensor.value for y in found)


def _shows(x, view) -> bool:
    """Whether a tensor that had the memory of a view still has it."""
    y, v = x(), view()
    return y is None or (v is not None and y.value is v.value)


def _other(s, x) -> str:
    """What is in the place of a state."""
    now = f"{x.dtype}{list(x.shape)}" if isinstance(x, Box) else _short(x)
    if is_of(x, s.var.spec):
        return f"the state {s.var.name} passes gradients in another way"
    return f"the state {s.var.name} is {now}, was {s.var.spec}"


def _why(key, now, before) -> str:
    """What is kept under a key, and was before; what both look like is not said twice."""
    if isinstance(key, str) and key == "_remade":
        return "the groups or the state of an optimizer are others"
    shown, earlier = _short(now), _short(before)
    if shown == earlier:
        return f"{_name(key)} is another {type(now).__name__}"
    return f"{_name(key)} is {shown}, was {earlier}"


def _name(key) -> str:
    if key is None:
        return "a list that it reads"
    if isinstance(key, str):
        return "a variable around it" if key == "cell_contents" else key
    return named(key)


def _short(x) -> str:
    """A value in a line of the log."""
    text = "not there" if x is ABSENT else repr(x).split("\n")[0]
    return text if len(text) <= 40 else f"{text[:37]}..."


def _writable(x) -> bool:
    """Whether a program may write an argument: no graph has to know of it."""
    base = x if x.base is None else x.base
    recorded = recording.get() and (x.node is not None or base.node is not None)
    return x.value.flags.writeable and not recorded


def _suits(x, s) -> bool:
    """Whether a tensor is what a state is, and passes gradients as that does."""
    return is_of(x, s.var.spec) and s.traits in (None, traits(x))


def is_of(x, spec) -> bool:
    """Whether a tensor is an array of this shape and dtype."""
    y = x.value if isinstance(x, Box) else None
    return isinstance(y, np.ndarray) and y.shape == spec.shape and y.dtype == spec.dtype


class Interpreted(Binding):
    """The program run by NumPy, operation by operation: the oracle, and the way without LLVM."""

    def __init__(self, captured, run=None):
        super().__init__(captured)
        self.run = run or captured.graph.run

    def __call__(self, arrays, extras):
        """The arrays of all outputs that are new memory, by number; the others are written."""
        c, states = self.captured, self.memory()
        with no_grad():
            ys = [np.array(y) for y in self.run([*arrays, *states, *extras])]
        for s, x in zip(c.states, states, strict=True):
            if s.written is not None:
                np.copyto(x, ys[s.written])
        for i, n in c.rewritten.items():
            np.copyto(arrays[i], ys[n])
        return {i: ys[i] for i in c.fresh()}
