"""Early: what needs none of the large values comes before all that does.

A loop over large rows can then read it, where it would have to end for it: how many classes
count is known before there are any scores, so that a loss and its gradient are one loop.
"""

from __future__ import annotations

from .graph import LOOPS, Graph

SMALL = 16  # values are this many times smaller than the largest one


def first(graph: Graph) -> Graph:
    """The program with operations on small values first, if they need no large ones."""
    made = [v for o in graph.operations for v in o.outputs]
    values = [*graph.inputs, *graph.consts, *made]
    limit = max((v.spec.size for v in values), default=0) // SMALL
    late = {v for v in values if v.spec.size > limit}
    head, tail = [], []
    for o in graph.operations:
        moves = o.prim.name not in LOOPS and not (o.prim.happens or o.prim.calls_back)
        if moves and late.isdisjoint((*o.inputs, *o.outputs)):
            head.append(o)
        else:
            late.update(o.outputs)
            tail.append(o)
    graph.operations = head + tail
    return graph


__all__ = ["first"]
