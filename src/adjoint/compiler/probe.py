"""Probe: a captured program run operation by operation, each result looked at.

So the first operation that makes NaN, or Inf, is named with its line, its place in the network
and what it was given; in the gradients it is the operation whose derivative it belongs to.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..core.bind import NUMPY, at_bottom, bind, floor
from ..core.level import Floor
from ..errors import (
    NotFiniteError,
    differentiating,
    show_site,
    user_site,
)
from ..ir.graph import Const, Graph

WRONG = {"nan": np.isnan, "inf": lambda x: ~np.isfinite(x)}


class Probe:
    """Looks at what operations make, and remembers where Inf came from first."""

    def __init__(self, check: str):
        self.wrong, self.infinite = WRONG[check], ""

    def look(self, prim, names, xs, y, site) -> None:
        """Raise if something wrong was made of what was right."""
        found = self.found(prim, names, xs, y, site)
        if found is not None:
            raise found

    def has(self, y) -> bool:
        """Whether something is wrong with a result, or one of several."""
        return _any(self.wrong, y if isinstance(y, (tuple, list)) else (y,))

    def found(self, prim, names, xs, y, site) -> NotFiniteError | None:
        """The error for something wrong that was made of what was right."""
        ys = y if prim.outputs != 1 else (y,)
        if _any(self.wrong, ys) and not _any(self.wrong, xs):
            return _error(prim, names, xs, ys, self.wrong, self.infinite, site)
        if not self.infinite and _any(np.isinf, ys) and not _any(np.isinf, xs):
            self.infinite = f"{prim.name}, {show_site(site)}"
        return None


def _guarded(graph: Graph) -> set:
    """The operations whose results come to guards alone, which make zeros of NaN and Inf."""
    read, veiled, found = set(graph.outputs), set(), set()
    for o in reversed(graph.operations):
        if read.isdisjoint(o.outputs) and not veiled.isdisjoint(o.outputs):
            found.add(o)
            veiled.update(o.inputs)
        elif o.prim.name == "guard":
            read.add(o.inputs[0])
            veiled.add(o.inputs[1])
        else:
            read.update(o.inputs)
    return found


def probed(graph: Graph, check: str) -> Callable:
    """`graph.run` that raises where `check` finds something in a result."""
    guarded = _guarded(graph)

    def run(args) -> list:
        probe = Probe(check)
        held: dict = {}  # results that only guards read -> what is wrong with them
        env: dict = dict(zip(graph.inputs, args, strict=True))
        env.update((c, c.value) for c in graph.consts)
        for o in graph.operations:
            xs = [env[v] for v in o.inputs]
            y = bind(o.prim, *xs, **_with_bodies(o, check))
            wrong = probe.found(o.prim, [v.name for v in o.inputs], xs, y, o.site)
            before = (held[v] for v in o.inputs if v in held)
            wrong = wrong or next(before, None)
            if wrong is not None and o in guarded:
                held.update(dict.fromkeys(o.outputs, wrong))
            elif wrong is not None and probe.has(y):
                raise wrong
            env.update(zip(o.outputs, y if o.prim.outputs != 1 else (y,), strict=True))
        return [v.value if isinstance(v, Const) else env[v] for v in graph.outputs]

    return run


class Several(NamedTuple):
    """The derivative of an operation, as one with several results."""

    name: str
    outputs: int = 0


class Looking(Floor):
    """NumPy's floor where each result is looked at: for what runs as it is written."""

    depth = -1

    def __init__(self, check: str):
        self.probe = Probe(check)

    def process(self, prim, args, params):
        y = NUMPY.process(prim, args, params)
        if differentiating():
            return y  # part of a rule, whose results may be guarded
        names = [f"x{i + 1}" for i in range(len(args))]
        self.probe.look(prim, names, args, y, user_site())
        return y

    def walked(self, node, g, gs) -> None:
        one = [x for x in gs if x is not None]
        self.probe.look(Several(node.prim.name), ["gradient"], [g], one, user_site())


def looked_at(check: str, func, args, kwargs):
    """func(*args, **kwargs), as it is written, with each result looked at."""
    token = floor.set(Looking(check))
    try:
        with np.errstate(all="ignore"):
            return func(*args, **kwargs)
    finally:
        floor.reset(token)


def _with_bodies(o, check) -> dict:
    """The parameters of an operation, programs among them looked into as well."""
    params = dict(o.params)
    for name, x in params.items():
        if isinstance(x, Graph):
            params[name] = copy.copy(x)
            params[name].run = probed(x, check)
    return params


def _has(wrong, x) -> bool:
    x = np.asarray(at_bottom(x))
    return x.dtype.kind in "fcV" and bool(wrong(x).any())


def _any(wrong, xs) -> bool:
    return any(_has(wrong, x) for x in xs)


def _error(prim, names, xs, ys, wrong, infinite, site) -> NotFiniteError:
    y = next(np.asarray(at_bottom(y)) for y in ys if _has(wrong, y))
    bad = wrong(y)
    kind = "NaN" if np.isnan(y).any() else "Inf"
    first = [int(i) for i in np.argwhere(bad)[0]]
    where = f", first at {first}" if first else ""
    lines = [f"{prim.name} made {kind} in {int(bad.sum())} of {y.size} places{where}"]
    for name, x in zip(names, xs, strict=True):
        lines.append(f"  {name}: {_statistics(np.asarray(at_bottom(x)))}")
    if infinite:
        lines.append(f"  Inf came first from {infinite}")
    return NotFiniteError("\n".join(lines), site=site)


def _statistics(x) -> str:
    """The dtype and shape of an array, and the range and mean of its numbers.

    Of complex ones it is that of their sizes.
    """
    text = f"{x.dtype}{list(x.shape)}"
    if x.dtype.kind == "b" or not x.size:
        return text
    if x.dtype.kind == "c":
        text, x = f"{text}, absolute values", np.abs(x)
    known = x[np.isfinite(x)].astype(np.float64)
    spread = (
        f" from {known.min():.4g} to {known.max():.4g}, mean {known.mean():.4g}"
        if known.size
        else ""
    )
    rest = x.size - known.size
    return f"{text}{spread}" + (f", {rest} not finite" if rest else "")
