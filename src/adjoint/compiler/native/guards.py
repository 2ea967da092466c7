"""Guards: what a call from Python makes sure of before its program runs.

Each is told twice, side by side: `write` puts it into the `Entry` that Python calls, when the
program is built; `bind` points the table to what that code compares, when it is bound to its
state, be the code of this process or from disk. A key means the same in both.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod

import numpy as np

from ...autodiff.casting import casting
from ...autodiff.modes import inferring, recording
from ...autodiff.node import Leaf
from ...core.bind import NUMPY, Box, changed, floor, moved
from ..capture.captured import Gradient, Read, Seen, State
from ..capture.surroundings import ABSENT, COUNT
from .room import LEAST
from .surface import Surface
from .table import Table

APART, LEAF, INNER = "in no graph", "a leaf", "in a graph"  # where arguments are


def guards(surface: Surface) -> list[Guard]:
    """All that a call of this program looks at, in order: from `Alone` on it is in the program."""
    c, arguments = surface.captured, surface.arguments
    options = zip(c.numbers, surface.numbers, strict=True)
    states = enumerate(zip(c.states, surface.states, strict=True))
    placed = [(i, s, v) for i, (s, v) in states if s.place is not None]
    where = homes(c)
    ours = [g for g in c.gradients if g.output is not None]
    return [
        Modes(c.recording, c.inferring),
        Alone(surface.inside >= LEAST),
        Arguments(arguments, c.firsts, where, len(surface.written())),
        Strangers(where, c.alike),
        *(Owned(*one, arguments) for one in placed),
        *(Reused(i, g) for i, g in enumerate(ours)),
        *(Kept(i, seen) for i, seen in enumerate(c.compared)),
        *(Unchanged(i, read) for i, read in enumerate(c.read)),
        *(Option(i, *option, v) for i, (option, v) in enumerate(options)),
        *streams(surface),
    ]


def streams(surface: Surface) -> list[Stream]:
    """The streams of random numbers that the program takes from."""
    drawn = enumerate(zip(surface.captured.draws, surface.drawn, strict=True))
    return [Stream(i, *draw, v) for i, (draw, v) in drawn]


class Guard(ABC):
    """One of them."""

    @abstractmethod
    def write(self, e) -> None:
        """The code that looks, and goes on if all is as expected."""

    @abstractmethod
    def bind(self, table: Table) -> None:
        """What the code reads and compares."""


class Modes(Guard):
    """The engine is in the modes it was in, and no state has moved or changed."""

    def __init__(self, is_recording: bool, is_inferring: bool):
        modes = (recording, is_recording), (inferring, is_inferring)
        self.wanted = (floor, NUMPY), *modes, (casting, None)

    def write(self, e):
        for i in range(len(self.wanted)):
            e.context(("context", i), ("mode", i))
        e.number("moved", "moved before")
        e.number("changed", "changed before")

    def bind(self, table):
        for i, (var, value) in enumerate(self.wanted):
            table.object(("context", i), var)
            table.object(("mode", i), value)
        table.counter("moved", moved)
        table.counter("changed", changed)


class Alone(Guard):
    """Nobody is in the program, nor in the room that it has in common with others."""

    def __init__(self, common: bool):
        self.counters = ["busy", "room"] if common else ["busy"]

    def write(self, e):
        for key in self.counters:
            e.number(key, "zero")
        e.claim(self.counters)

    def bind(self, table):
        """A program and its room point to their counters themselves: rooms change."""


class Arguments(Guard):
    """The arguments are what they were by shape and dtype, and no part of what is written.

    Those that were one tensor are one, and no others are.
    """

    def __init__(self, inputs, firsts, homes, written: int):
        self.inputs, self.firsts = inputs, firsts
        self.homes, self.written = homes, written

    def write(self, e):
        places = e.arguments(len(self.inputs))
        for i, (x, v) in enumerate(zip(places, self.inputs, strict=True)):
            e.memory_of(x, v, self.homes[i])
            if v.spec.bytes and self.written:
                e.apart(v, "spans", self.written)
        for j, first in enumerate(self.firsts):
            if first < j:
                e.need(e.same(places[first], places[j]))
                continue
            for i in range(j):
                if self.firsts[i] == i and self.inputs[i].spec == self.inputs[j].spec:
                    e.need(e.other(places[i], places[j]))

    def bind(self, table):
        _bind_tensors(table, self.inputs)
        table.object(("type", Leaf), Leaf)


class Strangers(Guard):
    """No argument in a graph is one of these tensors: in the program they are two."""

    def __init__(self, homes, tensors):
        self.homes, self.tensors = homes, tensors

    def write(self, e):
        given = zip(e.given, self.homes, strict=True)
        inside = [x for x, home in given if home != APART]
        for x, i in itertools.product(inside, range(len(self.tensors))):
            e.need(e.other(x, e.slot(("stranger", i))))

    def bind(self, table):
        for i, x in enumerate(self.tensors):
            table.object(("stranger", i), x)


class Owned(Guard):
    """An owner has the gradient that the program reads; no argument is a part of it."""

    def __init__(self, i: int, state: State, v, arguments):
        self.i, self.place, self.v = i, state.place, v
        self.others = arguments if state.written is not None else ()

    def write(self, e):
        e.memory_of(e.item(("place", self.i), "_grad"), self.v)
        for x in self.others:
            e.need(e.apart_of(x, self.v))

    def bind(self, table):
        table.object(("place", self.i), self.place.mapping)
        _bind_tensors(table, [self.v])


class Reused(Guard):
    """The gradient that was set is there still, and nobody else has it or its memory."""

    def __init__(self, i: int, gradient: Gradient):
        self.i, self.tensor = i, gradient.tensor

    def write(self, e):
        g = e.own(e.slot(("leaf", self.i)), "_grad")
        e.need(e.same(g, e.slot(("gradient", self.i))))
        e.unshared(g, 2)
        e.unshared(e.slot(("memory", self.i)), 1)

    def bind(self, table):
        """Which gradient it is the program says when it has made one."""
        table.object(("leaf", self.i), self.tensor)
        table.name("_grad")


class Kept(Guard):
    """What the function read of a list, a dict or a cell is what is there."""

    def __init__(self, i: int, seen: Seen):
        self.i, (self.keeper, self.items) = i, seen

    def write(self, e):
        for name, x in self.items.items():
            if isinstance(self.keeper, list):
                e.items(("keeper", self.i), ("items", self.i), len(x))
            elif name is COUNT:
                e.holds(("keeper", self.i), x)
            elif x is ABSENT:
                e.missing(("keeper", self.i), name)
            else:
                found = e.kept(("keeper", self.i), name, isinstance(self.keeper, dict))
                e.need(e.same(found, e.slot(("item", self.i, name))))

    def bind(self, table):
        table.object(("keeper", self.i), self.keeper)
        for name, x in self.items.items():
            if isinstance(self.keeper, list):
                table.kept.append(x)
                table.array(("items", self.i), np.array([id(y) for y in x], np.int64))
            elif name is not COUNT:
                if x is not ABSENT:
                    table.object(("item", self.i, name), x)
                table.name(name)


class Unchanged(Guard):
    """A tensor whose numbers the function read has the same."""

    def __init__(self, i: int, read: Read):
        self.i, self.numbers = i, read.numbers

    def write(self, e):
        e.bits(("read", self.i), ("numbers", self.i), self.numbers.nbytes)

    def bind(self, table):
        """Where the tensor's numbers are is found with the states: they move as these do."""
        table.array(("numbers", self.i), self.numbers)


class Option(Guard):
    """An optimizer's number is a float still, of whatever value: it is handed to the program."""

    def __init__(self, i: int, group, name, place, v):
        self.i, self.group, self.name, self.place, self.v = i, group, name, place, v

    def write(self, e):
        x = e.item(("numbered", self.i), self.name)
        x = x if self.place is None else e.member(x, self.place)
        e.real(x, ("number", self.i), self.v)

    def bind(self, table):
        table.object(("numbered", self.i), self.group)
        table.name(self.name)
        table.array(("number", self.i), np.zeros(1))
        table.object(("type", float), float)
        table.object(("type", tuple), tuple)


class Stream(Guard):
    """Nobody takes from a stream of random numbers; the program does when all looks are done."""

    def __init__(self, i: int, generator, blocks: int, v):
        self.i, self.generator, self.blocks, self.v = i, generator, blocks, v

    def write(self, e):
        e.idle(self.i)

    def draw(self, e) -> None:
        e.draw(self.i, self.blocks, self.v)

    def bind(self, table):
        table.counter(("stream", self.i), self.generator.place)
        table.array(("drawn", self.i), np.zeros(2, np.int64))


def homes(c) -> list[str]:
    """Where each argument is in the graph of its results, as it was when it was captured."""
    kinds = dict.fromkeys(c.leaves, LEAF) | dict.fromkeys(c.inner, INNER)
    return [kinds.get(i, APART) for i in range(c.arguments)]


def _bind_tensors(table: Table, values) -> None:
    """What is looked at to find the memory of tensors like these."""
    for kind in (Box.face, np.ndarray):
        table.object(("type", kind), kind)
    for x in (True, None):
        table.object(("constant", x), x)
    for name in ("plain", "node", "value", "_grad"):
        table.name(name)
    for v in values:
        table.object(("dtype", v.spec.dtype), v.spec.dtype)


__all__ = ["Guard", "guards", "streams"]
