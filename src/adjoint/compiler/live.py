"""Live: a compiled program as one operation of the tape, its derivative a program again."""

from __future__ import annotations

import numpy as np

from ..autodiff import transforms
from ..autodiff.backward import cotangent
from ..autodiff.keeping import alias, save
from ..autodiff.modes import no_grad
from ..autodiff.node import Node, Record
from ..autodiff.tape import BASE, belongs, place
from ..core.bind import Box
from ..core.dtype import is_inexact
from ..errors import user_site


class Live(Record):
    """The record of that operation: its rule runs a program made of the program's reverse."""

    name = "compiled"

    def __init__(self, captured, compiled, assemble):
        self.captured, self.compiled, self.assemble = captured, compiled, assemble
        self.outputs = captured.count
        self.smooth = _smooth(captured)
        self.needed = captured.needed
        self.copied = captured.needed & (captured.overwritten | captured.displaced)
        self.ways: dict = {}  # numbers of results -> which inputs they depend on
        self.reverse: dict = {}  # which inputs want a gradient of which results -> program

    def kept(self, inputs) -> list:
        """The inputs as the way back needs them, before the program runs, which writes some."""
        return [self._kept(i, x) for i, x in enumerate(inputs)]

    def _kept(self, i, x):
        if i in self.copied:
            return alias(x.detach().clone(), x.node)
        # What is not needed may be written meanwhile: nobody looks at its version.
        return x if i in self.needed else BASE.wrap(x.value)

    def answer(self, *results):
        """The results of a call that machine code has done, and its arguments, in the graph."""
        made, given = results[: self.outputs], results[self.outputs :]
        inputs = [*given, *self.captured.sources()]
        self.record(made, inputs, self.kept(inputs), ())
        return self.assemble(*made, *(given if self.captured.hands_on else ()))

    def record(self, made, inputs, kept, extras, family=None) -> None:
        """Put the results into the graph of the inputs, which were `kept`.

        Where none of them requires grad, the graph leads to leaves that the call makes, which
        nobody outside has: one stands for these.
        """
        for x in inputs:
            x.sync()
        parents, prim = tuple([x.node for x in inputs]), self
        if not any(parents):
            kept = [BASE.wrap(np.zeros(())).requires_grad_()]
            parents, prim = (kept[0].node,), Ended(self.outputs)
        need = tuple([p is not None for p in parents])
        params = {"extras": extras, "family": family}
        node = Node(prim, params, parents, need, site=user_site(2))
        node.saved = [save(node, i, x) for i, x in enumerate(kept)]
        if self.outputs == 1:
            made[0].node = node
            return
        node.width = self.outputs
        for i in self.smooth:
            place(made[i], node, i)

    def vjp(self, g, y, xs, params, need):
        """The gradients of the inputs, computed anew from them; None where there are none."""
        gs = g if isinstance(g, list) else [g]
        given = tuple([i for i, g in enumerate(gs) if g is not None])
        wanted = tuple(
            [n and r for n, r in zip(need, self.reached(given), strict=True)]
        )
        if True not in wanted:
            return (None,) * len(need)
        pull = self._pullback(wanted, given, params["family"])
        boxed = belongs(gs[given[0]], BASE)
        args = [*xs, *(gs[i] for i in given), *params["extras"]]
        args = [x if isinstance(x, Box) else _in_rows(x) for x in args]
        grads = iter(pull(*args) if boxed else _unrecorded(pull, args))
        return [cotangent(next(grads), BASE, boxed) if w else None for w in wanted]

    def reached(self, given) -> list[bool]:
        """Which inputs the results of these numbers depend on."""
        if given not in self.ways:
            self.ways[given] = reached(self.captured, given)
        return self.ways[given]

    def _pullback(self, wanted, given, family):
        """The compiled function of the reverse, of these inputs from the results of the numbers
        `given`: one for all sizes of a batch."""
        known = (self if family is None else family).reverse
        key = wanted, given
        if key not in known:
            c = self.captured
            found = (lambda _: c) if family is None else family.captured_for
            f = pullback(found, c.arguments + len(c.states), *key)
            known[key] = self.compiled(f, c.memory, family is not None and family.most)
        return known[key]


class Ended(Record):
    """The record of one whose graph leads nowhere that anybody has."""

    name = "compiled"

    def __init__(self, outputs):
        self.outputs = outputs

    def vjp(self, g, y, xs, params, need):
        """Nobody waits for a gradient."""
        return (None,)


def _in_rows(x):
    """A tensor of an array, row by row as programs read it: a cotangent may be one number."""
    x = BASE.wrap(x)
    if not x.value.flags.c_contiguous:
        x.value = np.array(x.value, order="C")
    return x


def _unrecorded(f, args):
    with no_grad():
        return f(*args)


def _smooth(captured) -> list:
    """Numbers of the results that have a derivative: their graph was there at the end."""
    outputs = captured.graph.outputs
    return [i for i in sorted(captured.live) if is_inexact(outputs[i].spec.dtype)]


def reached(captured, given) -> list[bool]:
    """Which inputs results of these numbers depend on: the others get no gradient of them."""
    graph = captured.graph
    alive = {graph.outputs[i] for i in given}
    for o in reversed(graph.operations):
        if alive.intersection(o.outputs):
            alive.update(v for v in o.passing() if is_inexact(v.spec.dtype))
    count = captured.arguments + len(captured.states)
    return [v in alive for v in graph.inputs[:count]]


def pullback(captured_for, count, wanted, given):
    """(`count` inputs, cotangents, other inputs) -> gradients of the wanted inputs.

    `captured_for(inputs)` is the program that gave the results, for as many examples; the
    cotangents are of the results of the numbers `given`.
    """

    def pull(*args):
        inputs, gs = args[:count], args[count : count + len(given)]
        captured, extras = captured_for(inputs), args[count + len(given) :]

        def f(*moving):
            moving = iter(moving)
            xs = [next(moving) if w else x for x, w in zip(inputs, wanted, strict=True)]
            ys = captured.graph.run([*xs, *extras])
            return tuple(ys[i] for i in given)

        moving = [x for x, w in zip(inputs, wanted, strict=True) if w]
        _, back = transforms.vjp(f, *moving)
        return back(gs)

    return pull
