"""Levels: the interpreters that operations are handed to, and what the lowest is told.

Levels nest: tape, dual, batch, section. Under them all is the floor, NumPy itself or what
writes a program down. A floor of the second kind must know of more than operations.
"""

from __future__ import annotations

from contextlib import nullcontext


class Level:
    """An interpreter at one depth of nesting."""

    depth = 0
    ground = False  # whether what a user's `Function` does is carried out here as it is

    def process(self, prim, args, params):
        """Carry out `prim` on `args`, of which at least one box is ours."""
        raise NotImplementedError

    def own(self, x):
        """`x`, of a level further down, as a value of this one."""
        return self.wrap(x)

    def stand_in(self, x, roots):
        """What operations of this level read for `x`, on the way back from `roots` to it."""
        return x

    def arrives(self, x) -> None:
        """A gradient of this level is about to be that of `x`."""

    def wrap(self, value):
        """A value of this level around one of the level below."""
        raise NotImplementedError

    def stopped(self, value):
        """`value` cut off from all derivatives; asked of levels of sections alone."""
        return value

    def lies(self, value):
        """The steps in memory that a value will have, in elements; None: row by row."""


class Floor(Level):
    """The interpreter under all others. These answers are NumPy's, to which nothing is new.

    A floor that writes a program down answers for the values of its program, and notes what
    is read and written of that which lies outside.
    """

    within = 0  # the depth of the level on which the innermost part is written down

    # Memory from outside: tensors with their numbers.

    def holds(self, x) -> bool:
        """Whether `x` is from outside, so that it must not change before the program runs."""
        return False

    def see(self, args) -> None:
        """These are about to be read by an operation."""

    def keep(self, args) -> None:
        """These have a value in the program from now on."""

    def known(self, x):
        """An array of a tensor from outside as its value in the program."""
        return x

    def constant(self, value):
        """A new array, as this floor's programs have it."""
        return value

    def changes(self, x) -> None:
        """`x` is about to be written in place."""

    def moves(self, x, new) -> None:
        """`x` is about to be given other memory, that of `new`."""

    def parts(self, x) -> None:
        """The base of the view `x` was written, or given other memory, since `x` looked."""

    def shapes(self, x) -> None:
        """`x`, which has no shape yet, is about to get one."""

    def shares(self, y) -> None:
        """The new tensor `y` was made on memory that was there before."""

    def perhaps(self, y, x) -> None:
        """`y` shows the memory of `x` or is new, as numbers decide when a program runs."""

    # Graphs and gradients.

    def begins(self, x) -> None:
        """`x` was made a leaf: a graph begins there."""

    def leaves(self, x, whole: bool) -> None:
        """`x` is about to be given a value that has not its place in the graph, and not its
        tangent if `whole`."""

    def places(self, x) -> None:
        """Python is about to look at the place of `x` in the graph."""

    def read_grad(self, x) -> None:
        """The gradient of `x` is about to be read."""

    def rebind(self, x) -> None:
        """The gradient of `x` is about to be set."""

    def walks(self, nodes, goals) -> None:
        """Derivatives are about to go through `nodes`, to `goals` or (None) all leaves."""

    def walked(self, node, g, gs) -> None:
        """The derivative of a node made `gs` of `g`."""

    # What Python does besides operations.

    def numbers(self, x) -> None:
        """Python is about to read the numbers of `x`, an array of the base tape."""

    def shown(self, x) -> None:
        """Python is about to make a text of `x`."""

    def needs_python(self, why: str) -> None:
        """What follows is done with numbers of Python, for which no program can stand."""

    def reads(self, mapping: dict, key) -> None:
        """mapping[key] decides what is done next, unseen in the function's own code."""

    def makes(self, mapping: dict) -> None:
        """An object that is only being made now keeps its things in `mapping`."""

    def replaces(self, mapping: dict, key) -> None:
        """mapping[key], in which something from outside is kept, is about to be set."""

    def switches(self, module) -> None:
        """`module` is about to be switched between training and evaluation."""

    def marks(self, x) -> None:
        """It is about to be said whether gradients arrive at `x`."""

    def options(self, group: dict) -> dict:
        """The options of a group of parameters, about to be read."""
        return group

    def steps(self, groups: list) -> None:
        """An optimizer is about to read the options of its groups."""

    def later(self, f, args, groups) -> bool:
        """Whether f(*args), Python's own work on options of these groups, is done at the end
        of every call instead of now."""
        return False

    def trims(self, graph) -> None:
        """A part of a program, written down, is about to lose what no output of it needs."""

    def apart(self):
        """A context in which a part of a program is written down."""
        return nullcontext()

    # Streams of random numbers.

    def take(self, generator, blocks: int):
        """The state of a stream of random numbers, of which `blocks` blocks are used up."""
        return generator.take(blocks)

    def position(self, generator):
        """How far a stream is used up: what `go_to` goes back to."""
        return generator.position()

    def go_to(self, generator, position) -> None:
        """Have a stream continue from a position."""
        generator.go_to(position)

    def seeds(self, generator) -> None:
        """A stream is about to be another."""
