"""Captured: a program with the state it works on, as plain data."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from ...core import tree
from ...core.bind import Box
from ...core.noting import Noting
from ...ir.graph import Graph, Var
from .surroundings import SEQUENCES, equal, look

MANY = 64  # tensors that a call from Python compares its arguments with, at most


class Place(NamedTuple):
    """Leaf number `i` of the container that a dict has under a key."""

    mapping: dict
    key: Any
    i: int = 0

    def get(self):
        """What is there now; None if there is nothing."""
        return self.among(self.leaves())

    def leaves(self) -> list:
        """The leaves of the container, which may be a tensor alone."""
        x = look(self.mapping, self.key)
        return [x] if isinstance(x, Box) else tree.flatten(x)[0]

    def among(self, leaves):
        """Its own of these."""
        return leaves[self.i] if self.i < len(leaves) else None


class Passed(NamedTuple):
    """A result that is found elsewhere: an argument, by number, a tensor, or what a place has.

    `views` make what is returned of it, one after the other, in the same memory.
    """

    source: Box | int | Place
    views: tuple = ()

    def get(self, given):
        """The tensor, of these arguments, after the program has run."""
        x = self.source
        if isinstance(x, Place):
            x = x.get()
        elif isinstance(x, int):
            x = given[x]
        for view in self.views:
            x = view(x)
        return x


@dataclass(eq=False, repr=False)
class State:
    """Memory from outside that the program reads: a tensor's, or of whatever is in a place.

    Gradients are in a place: that of their owner, `vars(owner)["_grad"]`.
    """

    var: Var
    tensor: Box | None
    place: Place | None
    written: int | None = None  # the number of the output that is its new value
    traits: tuple | None = None  # of what is in a place, which gradients may come to
    beside: list = field(default_factory=list)  # others on the same memory, weakly


@dataclass(eq=False, repr=False)
class Gradient:
    """A tensor, or the argument of a number, whose `.grad` is set: to an output, or to None."""

    tensor: Box | int
    output: int | None


class Made(NamedTuple):
    """A tensor that the program makes anew: an output, and its class and what it keeps."""

    output: int
    kind: type
    own: dict


class Had(NamedTuple):
    """What a place had before the call, given on to another: the tensor of a state."""

    state: int


class Dressed(NamedTuple):
    """What a result has besides its numbers: its class, what it keeps, and if it is a leaf."""

    kind: type
    own: dict
    leaf: bool

    def put_on(self, x):
        """The tensor x, with all that."""
        x.__class__ = self.kind
        x.__dict__.update(self.own)
        return x.requires_grad_() if self.leaf else x


class Slot(NamedTuple):
    """A place that the program sets, to a container of `Made`, `Had` or (what was there,)."""

    mapping: dict
    key: Any
    shape: tree.TreeDef
    leaves: list

    def stays(self) -> bool:
        """Whether what is there beside those is as it was: it is put there again."""
        if not isinstance(self.mapping, SEQUENCES) and len(self.leaves) == 1:
            return True
        now, shape = tree.flatten(look(self.mapping, self.key))
        pairs = zip(now, self.leaves, strict=False)
        return shape == self.shape and all(
            isinstance(m, (Made, Had)) or equal(x, m[0]) for x, m in pairs
        )


class Moved(NamedTuple):
    """A tensor, or the argument of a number, that is given other memory: an output."""

    tensor: Box | int
    output: int


class Seen(NamedTuple):
    """What a dict had under some keys when the function read them."""

    mapping: dict
    items: dict


class Read(NamedTuple):
    """Numbers of a tensor from outside that the function read, and where it did."""

    tensor: Box
    numbers: np.ndarray
    site: Any


class Mark(NamedTuple):
    """A leaf, or the number of an argument, and whether it requires grad after the call."""

    tensor: Box | int
    required: bool


class Traits(NamedTuple):
    """What makes a tensor from outside pass gradients as it did."""

    tensor: Box
    traits: tuple


class Later(NamedTuple):
    """What Python does when the program has run, with `Made` and (what was there,)."""

    function: Callable
    args: list


@dataclass(eq=False, repr=False)
class Captured:
    """A program with what it reads and writes besides its arguments."""

    graph: Graph
    arguments: int  # how many of the inputs are arguments, or their gradients
    results: tree.TreeDef
    fixed: dict[int, Any] = field(default_factory=dict)  # leaves that are no tensors
    passed: dict[int, Passed] = field(default_factory=dict)  # that are no new ones
    twice: dict[int, int] = field(default_factory=dict)  # that are an earlier leaf
    count: int = 0  # how many outputs are results
    dressed: dict[int, Dressed] = field(default_factory=dict)  # outputs that are more
    states: list[State] = field(default_factory=list)
    views: list = field(default_factory=list)  # of states, from outside, weakly
    besides: list = field(default_factory=list)  # weakly (a tensor, the view it shows)
    draws: list = field(default_factory=list)  # (generator, blocks used up)
    numbers: list = field(default_factory=list)  # (group, name, place in a tuple)
    seen: list[Seen] = field(default_factory=list)
    read: list[Read] = field(default_factory=list)
    traits: list[Traits] = field(default_factory=list)
    gradients: list[Gradient] = field(default_factory=list)
    rewritten: dict[int, int] = field(default_factory=dict)  # argument -> output
    laid: dict[int, tuple] = field(default_factory=dict)  # argument -> its strides
    moved: list[Moved] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    slots: list[Slot] = field(default_factory=list)
    after: list[Later] = field(default_factory=list)
    absent: list[Box] = field(default_factory=list)  # whose .grad was read and was None
    live: frozenset = frozenset()  # results in a graph that was not walked back
    alike: list[Box] = field(default_factory=list)  # that an argument may be one of
    owners: list[Box] = field(default_factory=list)  # whose .grad was read
    asks: bool = False  # whether it reads the .grad of arguments
    firsts: tuple = ()  # for each argument the first that is the same tensor
    leaves: frozenset = frozenset()  # arguments at which gradients arrive
    inner: frozenset = frozenset()  # arguments that are results in a graph
    sized: int = 0  # inputs, the last, that tell how many examples there are
    bespoke: bool = False  # no program shows all that happens on the way back
    memory: int | None = None  # bytes that the program may take
    recording: bool = True  # the modes that it was captured in, and runs in
    inferring: bool = False
    is_cast: bool = False  # captured where autocast chose precisions

    def sources(self) -> list:
        """The tensors that have the memory of the states now; each container is opened once."""
        places = [s.place for s in self.states]
        opened: dict = {}
        for p in places:
            if p is not None and (id(p.mapping), p.key) not in opened:
                opened[id(p.mapping), p.key] = p.leaves()
        return [
            s.tensor if p is None else p.among(opened[id(p.mapping), p.key])
            for s, p in zip(self.states, places, strict=True)
        ]

    @cached_property
    def rotates(self) -> bool:
        """Whether what a place had goes to another."""
        return any(isinstance(m, Had) for s in self.slots for m in s.leaves)

    def fresh(self) -> list[int]:
        """Numbers of the outputs that are new memory: results, gradients and all that is set."""
        set_to = [g.output for g in self.gradients if g.output is not None]
        leaves = [m for s in self.slots for m in s.leaves]
        leaves += [m for later in self.after for m in later.args]
        made = [m.output for m in leaves if isinstance(m, Made)]
        return [*range(self.count), *set_to, *(m.output for m in self.moved), *made]

    @property
    def compared(self) -> list[Seen]:
        """What every call compares of `seen`; the rest says itself when it changes."""
        return [s for s in self.seen if not isinstance(s.mapping, Noting)]

    @property
    def rare(self) -> bool:
        """Whether a call does more than a program that Python calls can."""
        grads = {id(g.tensor) for g in self.gradients}
        return bool(
            (self.live and self.looks_back)
            or self.laid
            or self.absent
            or len(self.alike) > MANY
            or self.rewritten
            or self.moved
            or self.marks
            or self.slots
            or self.after
            or any(
                g.output is None or isinstance(g.tensor, int) for g in self.gradients
            )
            or any(s.place is not None and s.place.key != "_grad" for s in self.states)
            or any(id(x) in grads for x in self.owners)
            or any(not r.tensor.value.flags.c_contiguous for r in self.read)
            or any(isinstance(s.mapping, (set, deque)) for s in self.seen)
            or self.asks
            or self.sized
            or self.is_cast
        )

    @property
    def is_walked(self) -> bool:
        """Whether it must run as it is written, as its own graph is the one to walk back."""
        return self.bespoke and bool(self.recording or self.live)

    @cached_property
    def needed(self) -> set[int]:
        """Numbers of the inputs that results which can be walked back are made of."""
        alive = {self.graph.outputs[i] for i in self.live}
        for o in reversed(self.graph.operations):
            if alive.intersection(o.outputs):
                alive.update(o.inputs)
        return {i for i, v in enumerate(self.graph.inputs) if v in alive}

    @property
    def looks_back(self) -> bool:
        """Whether the way back needs what was there before the program ran."""
        return bool(self.draws or self.numbers or self.needed & self.overwritten)

    @property
    def overwritten(self) -> set[int]:
        """Numbers of the inputs whose memory the program writes."""
        states = enumerate(self.states, self.arguments)
        return {*self.rewritten, *(i for i, s in states if s.written is not None)}

    @property
    def displaced(self) -> set[int]:
        """Numbers of the inputs that tensors have no more when the program has run."""
        given = {m.tensor for m in self.moved if isinstance(m.tensor, int)}
        moved = {id(m.tensor) for m in self.moved}
        states = enumerate(self.states, self.arguments)
        return given | {i for i, s in states if id(s.tensor) in moved}

    @property
    def hands_on(self) -> bool:
        """Whether arguments are among the results, or what these are views of."""
        return any(type(p.source) is int for p in self.passed.values())

    @property
    def writes(self) -> bool:
        """Whether arguments may be, or be part of, what the program sets."""
        written = any(s.written is not None for s in self.states)
        return bool(written or self.rewritten or self.touched())

    def touched(self) -> list[Box]:
        """Tensors from outside whose gradient, or whose very memory, the program sets."""
        owners = [g.tensor for g in self.gradients] + [m.tensor for m in self.moved]
        return [x for x in (*owners, *self.absent) if isinstance(x, Box)]


def inputs_of(leaves) -> list:
    """The tensors that a program takes: arguments, then what gradients they have."""
    given = [x for x in leaves if isinstance(x, Box)]
    return given + [x._grad for x in given if x._grad is not None]
