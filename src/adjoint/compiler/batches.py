"""Batches: one program for any number of examples, the first dim of what a function is given.

The program is made for up to so many examples and does for every size that fits: each size is
traced once, to see that it is the same program and which numbers in it are others, and nothing
is built. Where no limit is given, the first size has a program of its own, and a size is put
into one that is for no more than twice as many, for places without an example take time too.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..core.bind import Box
from ..core.shape import Spec
from ..ir.graph import Graph
from ..ir.padded import padded
from ..ir.rewrite import expanded
from ..ir.sizes import Sizes, Unlike
from . import log
from .binding import Binding
from .capture.captured import Captured

TRIES = 3  # capacities


def _examples(leaves) -> int | None:
    """How many examples are given: the first dim of the first tensor that has dims."""
    found = (x.shape[0] for x in leaves if isinstance(x, Box) and len(x.shape))
    return next(found, None)


def _of_size(x, before, n):
    """What has as many examples as were given, with `n` and without numbers."""
    if not (isinstance(x, Box) and len(x.shape) and x.shape[0] == before):
        return x
    out = object.__new__(type(x))
    out.__dict__.update(vars(x))
    out.__dict__["sample"] = True  # it lies in no memory
    out.value = np.broadcast_to(np.zeros((), x.value.dtype), (n, *x.shape[1:]))
    if x._grad is not None:
        out.__dict__["_grad"] = _of_size(x._grad, before, n)
    return out


def _any_size(key, n):
    """What the arguments are but for the number of examples."""
    shape, kinds, *rest = key
    return shape, tuple(_kind_of_any_size(k, n) for k in kinds), *rest


def _kind_of_any_size(kind, n):
    if not (isinstance(kind[0], tuple) and kind[0][:1] == (n,)):
        return kind
    *rest, g = kind[1:]
    return (None, *kind[0][1:]), *rest, g and (None, *g.shape[1:], g.dtype)


class Batches:
    """The families of a function's programs, by what its arguments are but for their size."""

    def __init__(self, most: bool | int):
        self.most = 0 if most is True else most
        self.families: dict = {}  # what is known, the smallest first; None if there are none

    def member(self, captured, leaves, key, again, run):
        """What runs `captured`; None if it is to have a program of its own.

        `again` traces the function for other leaves, `run` makes what runs such a program.
        """
        n, name = _examples(leaves), captured.graph
        if n is None:
            return None

        def make(most):
            return Family(
                lambda m: again([_of_size(x, n, m) for x in leaves]), run, most
            )

        try:
            family = self._family(_any_size(key, n), name, n, make)
            member = family and Member(family, captured, n)
        except Unlike as error:
            log.info("%s: size %d has its own program: %s", name, n, error)
            return None
        if member is not None:
            log.info("%s: size %d in the program for up to %d", name, n, family.most)
        return member

    def _family(self, home, name, n, make):
        """Which program it may be in: none is made for the first size, if there is no limit, nor
        once it is known that other sizes are other programs.
        """
        first = home not in self.families
        known = self.families.setdefault(home, [])
        if known is None or (first and not self.most):
            return None
        try:
            return self._fitting(known, n) or self._made(known, n, make)
        except Unlike as error:
            self.families[home] = None
            log.info("%s: each size has its own program: %s", name, error)
            return None

    def _fitting(self, known, n):
        """A family that is large enough, but not too large."""
        known[:] = [f for f in known if f.run.fits()]
        fitting = (f for f in known if n <= f.most and (self.most or f.most <= 2 * n))
        return next(fitting, None)

    def _made(self, known, n, make):
        """A new one, of the next power of two; of the limit, or twice it if more come."""
        most = self.most or 2
        while most < n:
            most *= 2
        found = make(most)
        log.info("%s: one program for sizes up to %d", found.graph, found.most)
        known.append(found)
        known.sort(key=lambda f: f.most)
        return found


class Family:
    """A program for up to `most` examples."""

    def __init__(self, capture, run, most: int):
        n, first, second, self.sizes = _compared(capture, most)
        _need_plain(first, self.sizes)
        graph = padded(self.sizes)
        extra = len(graph.inputs) - len(first.graph.inputs)
        self.most, self.graph = n, graph
        self.captured = replace(first, graph=graph, sized=extra)
        self.run = run(self.captured)
        self.traced = {n: first, n + 1: second}  # a size -> what was captured of it
        self.reverse: dict = {}  # as that of `Live`, of all sizes

    def captured_for(self, inputs):
        """What was captured of as many examples as these are."""
        return self.traced[_examples(inputs)]


def _compared(capture, most: int):
    """(n, what was captured of n examples, of n + 1, what the size decides), n as `most` or
    little more: a size may by chance be that of something else.
    """
    errors = []
    for n in range(most, most + TRIES):
        try:
            first, second = _traced(capture, n), _traced(capture, n + 1)
            return n, first, second, Sizes(simple(first.graph), n, simple(second.graph))
        except Unlike as error:
            errors.append(error)
    raise errors[0] from None


def _traced(capture, n):
    """What the function does with n examples; it may not be made for as many."""
    try:
        return capture(n)
    except Exception as error:
        raise Unlike(f"of {n} examples: {type(error).__name__}: {error}") from error


def simple(graph):
    """The program, and those in it, in simple operations."""
    graph = expanded(graph)
    for o in graph.operations:
        parts = {k: simple(v) for k, v in o.params.items() if isinstance(v, Graph)}
        o.params = {**o.params, **parts}
    return graph


def _need_plain(captured, sizes) -> None:
    """State that lasts must not have the size."""
    c, graph = captured, sizes.graph
    states = graph.inputs[c.arguments : c.arguments + len(c.states)]
    if any(sizes.tag(v) for v in states):
        raise Unlike("it keeps state for each example")
    if c.rewritten or c.moved:
        raise Unlike("it writes into its arguments")


class Member(Binding):
    """The program of a family as it runs on a number of examples."""

    def __init__(self, whole: Family, captured: Captured, n: int):
        self.family, self.n = whole, n
        values = whole.sizes.values(simple(captured.graph), n)
        _need_world(captured, whole.captured)
        super().__init__(captured)
        self.native = whole.run.native
        given = zip(values, whole.sizes.given, strict=True)
        self.given = [self._to_most(c.value, d.spec) for c, (d, _) in given]
        whole.traced[n] = captured

    def fits(self) -> bool:
        if super().fits() and not self.family.run.fits():
            self.why = self.family.run.why
        return not self.why

    def may_fit_again(self) -> bool:
        return super().may_fit_again() and self.family.run.may_fit_again()

    def __call__(self, arrays, extras):
        """The arrays of all outputs that are new memory, as many examples as there are."""
        arrays, given = self.for_all(arrays)
        made = self.family.run(arrays, [*extras, *given])
        outputs = self.captured.graph.outputs
        return {i: _part(y, outputs[i].spec) for i, y in made.items()}

    def for_all(self, arrays):
        """The arguments of the program for all sizes, and its last inputs."""
        pairs = zip(arrays, self.family.graph.inputs, strict=False)
        arrays = [self._to_most(x, v.spec) for x, v in pairs]
        return arrays, [np.array(self.n), *self.given]

    def _to_most(self, x, spec: Spec):
        """An array with as many examples as the program takes; those beyond are the first."""
        if x.shape == spec.shape:
            return x
        out = np.empty(spec.shape, spec.dtype)
        inside = tuple(slice(n) for n in x.shape)
        pairs = zip(spec.shape, x.shape, strict=True)
        d = next(d for d, (most, n) in enumerate(pairs) if most != n)
        before = (slice(None),) * d
        out[inside] = x
        beyond = (*before, slice(x.shape[d], None))
        out[beyond] = x[(*before, slice(1))] if x.shape[d] else 0
        return out


def _need_world(captured, first) -> None:
    """Both work on the same state."""
    mine, other = ([_of_state(s) for s in c.states] for c in (captured, first))
    if mine != other:
        raise Unlike("they work on other state")


def _of_state(s):
    place = s.place and (id(s.place.mapping), s.place.key, s.place.i)
    return id(s.tensor), place, s.written


def _part(y, spec: Spec):
    """The examples that are there."""
    if y.shape == spec.shape:
        return y
    return np.ascontiguousarray(y[tuple(slice(n) for n in spec.shape)])
