"""Price: about how many vector instructions a program of small values takes.

A value of a few numbers takes a register, however many of its lanes are used, and what changes
places costs more than arithmetic. `compiler.cost` counts by elements, which is right for loops.
"""

from __future__ import annotations

import math

from ..core.primitive import Elementwise
from .graph import LOOPS, Const, Graph

_ONE = """add sub mul neg abs sign maximum minimum relu where guard eq ne lt le gt ge gate
logical_and logical_or logical_not cast"""
_SOME = "div sqrt reciprocal rsqrt"
_FREE = frozenset(
    ["reshape", "expand", "ones_like", "zeros_like", "stop_gradient", "contiguous"]
)
_WEIGHT = {**dict.fromkeys(_ONE.split(), 1), **dict.fromkeys(_SOME.split(), 6)}
SERIES = 40  # of other functions of numbers, in the time of an addition
VECTOR = 64  # bytes
FEW = 128  # elements that change places in registers
SHUFFLE = 25  # what that costs
WAIT = 60  # and reading back what was just written apart


def price(graph: Graph) -> float:
    """About how many vector instructions a program takes."""
    around = [v for v in (*graph.inputs, *graph.outputs) if not isinstance(v, Const)]
    return sum(map(vectors, around)) + sum(map(price_of, graph.operations))


def vectors(v) -> int:
    """Registers that a value takes."""
    return max(1, math.ceil(v.spec.bytes / VECTOR))


def price_of(o) -> float:
    """Of one operation; what is a loop or costs nothing here is the same in any writing."""
    name, made = o.prim.name, sum(map(vectors, o.outputs))
    if name in LOOPS or name in _FREE:
        return 0.0
    if name in ("select", "slice"):
        return 0.5 * made
    if name == "stack":
        return 10 + 2 * len(o.inputs)
    if name in ("cat", "roll"):
        return WAIT + 2 * max(len(o.inputs), made)
    if name == "index":
        few = o.inputs[0].spec.size <= FEW
        return SHUFFLE + 2 * made if few else WAIT + o.outputs[0].spec.size
    if isinstance(o.prim, Elementwise):
        return _WEIGHT.get(name, SERIES) * made
    return max(v.spec.size for v in (*o.inputs, *o.outputs))


__all__ = ["FEW", "VECTOR", "price", "price_of", "vectors"]
