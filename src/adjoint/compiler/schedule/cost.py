"""Cost: about how long the kernels of a program take on one thread.

Rough on purpose: it decides whether a kernel is worth the hand-over to other threads, which
costs microseconds, so an error of a half is none. What a handful of numbers costs, where nothing
is counted by the element, is asked of `ir.price`.
"""

from __future__ import annotations

import math

from ...core.primitive import Elementwise
from ...ir.graph import LOOPS, Operation
from ...ops.contract import multiplications

CONVOLUTIONS = frozenset({"conv", "conv_data", "conv_weight"})
ORDERED = frozenset({"argsort", "topk_index", "kth_index", "median_index"})
# Nanoseconds for an element of four bytes, by what an operation needs.
BYTE, STEP, SERIES, LOOKUP, SORT, PRODUCT = 0.04, 0.05, 0.6, 1.5, 8.0, 0.01
_ONE = """add sub mul div neg abs sign maximum minimum relu where guard sqrt reciprocal floor
ceil trunc round sum mean amax amin heaviside threshold leaky_relu hardtanh"""
_NONE = "reshape expand slice select contiguous stop_gradient real permute"
_STEPS, _FREE = (frozenset(names.split()) for names in (_ONE, _NONE))
ROUNDS = 100  # of a loop whose length is not known
LASTING = 50e6  # nanoseconds of a loop from which on nobody wants to wait for its end


def nanoseconds(k, schedule) -> float:
    """Of one kernel."""
    stored = [v for v in (*k.reads, *k.made) if v not in schedule.local]
    moved = sum(v.spec.bytes for v in stored) * BYTE
    return max(moved, sum(map(nanoseconds_of, schedule.operations(k))))


def nanoseconds_of(o: Operation) -> float:
    """Of one operation whose operands are near."""
    name = o.prim.name
    if name in LOOPS:
        return o.params.get("length", ROUNDS) * sum(map(nanoseconds_of, _inside(o)))
    if name == "contract" or name in CONVOLUTIONS:
        return flop(o) * PRODUCT * _size(o)
    count = max(math.prod(v.spec.shape) for v in (*o.inputs, *o.outputs))
    return count * weight(o) * _size(o)


def round_of(o: Operation) -> float:
    """Of one round of a loop; what is so small that it is free here takes its time as well."""
    return 1 + sum(1 + nanoseconds_of(p) for p in _inside(o))


def _inside(o) -> list[Operation]:
    """The operations of the bodies of a loop or branch."""
    return [p for body in o.bodies() for p in body.operations]


def lasting(o: Operation) -> bool:
    """Whether an operation is a loop that may take long, of unknown length or of very many
    rounds, or has one inside.
    """
    if o.prim.name not in LOOPS:
        return False
    if o.prim.name != "branch" and _rounds(o) * round_of(o) > LASTING:
        return True
    return any(map(lasting, _inside(o)))


def _rounds(o) -> float:
    return o.params.get("length", math.inf)


def _size(o) -> float:
    """How many times as wide as four bytes."""
    return max(1.0, o.outputs[0].spec.dtype.itemsize / 4)


def weight(o) -> float:
    """Nanoseconds for an element of four bytes in the cache."""
    if o.prim.name in _FREE:
        return 0.0
    if o.prim.name in _STEPS:
        return STEP
    if o.prim.name in ORDERED:
        return SORT
    return SERIES if isinstance(o.prim, Elementwise) else LOOKUP


def flop(o: Operation) -> int:
    """Operations on numbers."""
    if o.prim.name in LOOPS:
        each = [sum(map(flop, body.operations)) for body in o.bodies()]
        if o.prim.name == "branch":
            return max(each)
        return o.params.get("length", ROUNDS) * sum(each)
    if o.prim.name == "contract":
        shapes = [v.spec.shape for v in o.inputs]
        return 2 * multiplications(o.params["spec"], shapes)
    if o.prim.name in CONVOLUTIONS:
        return _products(o)
    if o.prim.name in _FREE:
        return 0
    return max(math.prod(v.spec.shape) for v in (*o.inputs, *o.outputs))


def _products(o) -> int:
    """Of a convolution: each element of a result's plane takes a kernel for each channel."""
    first, second, third = (v.spec.shape for v in (*o.inputs, *o.outputs))
    w, y = {
        "conv": (second, third),
        "conv_data": (second, first),
        "conv_weight": (third, second),
    }[o.prim.name]
    return 2 * math.prod(y) * math.prod(w[1:])
