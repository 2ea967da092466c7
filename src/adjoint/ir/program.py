"""Program: a traced function that can be run, read, differentiated on paper, and checked."""

from __future__ import annotations

import numpy as np

from ..core import tree
from ..core.bind import NUMPY, Box, floor
from ..core.dtype import is_inexact
from ..errors import ArgumentError, show_site
from . import text
from .graph import Const, Graph


class Program:
    """A function as a straight-line program over primitives."""

    def __init__(self, graph: Graph, in_tree=None, out_tree=None):
        self.graph, self.in_tree, self.out_tree = graph, in_tree, out_tree

    def __call__(self, *args):
        """Run it; differentiable and batchable like the function it was traced from."""
        leaves = tree.flatten(args)[0]
        ys = [
            y if isinstance(y, Box) else Box.level.wrap(y)
            for y in self.graph.run(leaves)
        ]
        return tree.unflatten(self.out_tree, ys) if self.out_tree else tuple(ys)

    def __repr__(self):
        return text.pretty(self.graph)

    __str__ = __repr__

    def text(self) -> str:
        """The form that `parse` reads back: a Python function of primitives, with types."""
        return text.exact(self.graph)

    def verify(self) -> None:
        """Raise if a name is read before it is assigned or a type is not what its rule says."""
        self.graph.verify()

    def sites(self) -> list[str]:
        """For each operation the user's line."""
        return [show_site(o.site) for o in self.graph.operations]

    def show(
        self, *args, values=False, partials=False, reverse=False, lines=False
    ) -> str:
        """The program with, as asked, its values, local partials and reverse program.

        >>> f = trace(lambda x: x ** 2 * 3)(tensor(2.))
        >>> print(f.show(tensor(2.), values=True, partials=True, reverse=True))
        f(x: float32[]):
          x = 2                               # given
          z1 = x**2                           # = 4    ∂z1/∂x = 4
          z2 = z1 * 3                         # = 12    ∂z2/∂z1 = 3
          return z2
        reverse:
          ðz2 = 1
          ðz1 += ðz2 * 3                      # = 3
          ðx += ðz1 * (x + x)                 # = 12
        """
        if (values or partials or reverse) and not args:
            raise ArgumentError("show: values, partials and reverse need the arguments")
        run = (
            Run(self.graph, [_array(x) for x in tree.flatten(args)[0]])
            if args
            else None
        )
        return text.annotated(self.graph, run, values, partials, reverse, lines)

    def adjoints(self, *args, seed=None) -> dict:
        """Each variable's name with its value and its adjoint ∂y/∂variable.

        >>> f = trace(lambda x: x ** 2 * 3)(tensor(2.))
        >>> for name, (value, adjoint) in f.adjoints(tensor(2.)).items():
        ...     print(name, value, adjoint)
        x 2.0 12.0
        z1 4.0 3.0
        z2 12.0 1.0
        """
        run = Run(self.graph, [_array(x) for x in tree.flatten(args)[0]])
        run.backward(seed)
        return {
            v.name: (run.env[v], run.adjoint.get(v))
            for v in run.env
            if not isinstance(v, Const)
        }


def _array(x) -> np.ndarray:
    return x.detach().numpy() if isinstance(x, Box) else np.asarray(x)


class Run:
    """The program on arrays, forwards and then backwards, every step kept for display."""

    def __init__(self, graph: Graph, args):
        self.graph = graph
        token = floor.set(NUMPY)
        try:
            self.env = graph.evaluate(args)
        finally:
            floor.reset(token)
        self.adjoint: dict = {}
        self.steps: list = []

    def backward(self, seed=None) -> None:
        """Accumulate adjoints in the order in which the reverse program runs."""
        (y, *rest) = self.graph.outputs
        if rest or isinstance(y, Const):
            raise ArgumentError(
                "the reverse program needs one output that depends on an input"
            )
        value = np.asarray(self.env[y])
        self.adjoint = {y: np.ones_like(value) if seed is None else np.asarray(seed)}
        self.steps = []
        for o in reversed(self.graph.operations):
            given = [self.adjoint.get(v) for v in o.outputs]
            if not o.prim.differentiable or all(g is None for g in given):
                continue
            self._through(o, given)

    def _through(self, o, given):
        need = [_moves(v) for v in o.inputs]
        one = o.prim.outputs == 1
        ys = tuple(self.env[v] for v in o.outputs)
        xs = [self.env[v] for v in o.inputs]
        with np.errstate(all="ignore"):
            gs = o.prim.vjp(
                given[0] if one else given, ys[0] if one else ys, xs, o.params, need
            )
        for i, (v, g) in enumerate(zip(o.inputs, gs, strict=True)):
            if g is None or not need[i]:
                continue
            first = v not in self.adjoint
            self.adjoint[v] = g if first else self.adjoint[v] + g
            self.steps.append((o, i, v, g))

    def partial(self, o, i):
        """The local partial derivative of a scalar-to-scalar step, or None."""
        ys = [self.env[v] for v in o.outputs]
        xs = [self.env[v] for v in o.inputs]
        if o.prim.outputs != 1 or not o.prim.differentiable or not _moves(o.inputs[i]):
            return None
        need = [k == i for k in range(len(xs))]
        with np.errstate(all="ignore"):
            return o.prim.vjp(np.ones_like(ys[0]), ys[0], xs, o.params, need)[i]


def _moves(v) -> bool:
    return not isinstance(v, Const) and is_inexact(v.spec.dtype)
