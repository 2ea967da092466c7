"""Narrow: products read floats of two bytes where they lie, and widen them on their way."""

from __future__ import annotations

import numpy as np

from ..core.dtype import is_short
from .graph import Const, Graph

_FLOAT32 = np.dtype("float32")


def narrowed(graph: Graph) -> Graph:
    """The program whose contractions read what was cast to float32 as it was before.

    einsum("ij,jk->ik", cast(x, float32), y) -> einsum("ij,jk->ik", x, y, dtype=float32)
    """
    maker = {v: o for o in graph.operations for v in o.outputs}
    graph.operations = [
        _of_sources(o, maker) if o.prim.name == "contract" else o
        for o in graph.operations
    ]
    return graph.without_dead()


def _of_sources(o, maker):
    """The contraction of what its operands were widened from."""
    if o.outputs[0].spec.dtype != _FLOAT32:
        return o
    inputs = tuple(_source(v, maker) for v in o.inputs)
    if inputs == o.inputs:
        return o
    return o.changed(inputs=inputs, params={**o.params, "dtype": _FLOAT32})


def _source(v, maker):
    o = maker.get(v)
    widens = (
        o is not None and o.prim.name == "cast" and is_short(o.inputs[0].spec.dtype)
    )
    return o.inputs[0] if widens and not isinstance(o.inputs[0], Const) else v


__all__ = ["narrowed"]
