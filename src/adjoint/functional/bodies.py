"""Bodies of loops and branches: programs of functions, and the values that go in and out."""

from __future__ import annotations

import numpy as np

from ..autodiff.tape import BASE, Tape
from ..core import tree
from ..core.bind import Box, dtype_of
from ..core.dtype import is_inexact
from ..core.primitive import op
from ..core.shape import Spec
from ..errors import ArgumentError, ShapeError
from ..ir.section import section
from .face import FUNCTIONS


def leaves_of(x):
    leaves, shape = tree.flatten(x)
    return [tensor_of(v) for v in leaves], shape


def tensor_of(x):
    """A tensor of a value that a rule or a user hands in."""
    if isinstance(x, Box.face):
        return x
    if isinstance(x, (Box, np.ndarray)):
        return BASE.wrap(x)
    return FUNCTIONS["as_tensor"](x)


def tensors_of(xs) -> list:
    return [None if x is None else tensor_of(x) for x in xs]


def row_of(spec) -> Spec:
    return Spec(tuple(spec.shape[1:]), spec.dtype)


def need_pair(shape, name):
    if shape.kind is not tuple or len(shape.children) != 2:
        raise ArgumentError(f"{name}: the function must return a pair (carry, y)")


def same_carry(outputs, specs, shape, before, name):
    """What goes round a loop keeps its containers, shapes and dtypes."""
    if shape != before:
        raise ArgumentError(
            f"{name}: the carry comes back in other containers than it went in"
        )
    for i, (v, spec) in enumerate(zip(outputs, specs, strict=True)):
        if v.spec != spec:
            raise ShapeError(
                f"{name}: value {i + 1} of the carry is {spec} at first and {v.spec} after a step",
                hint="give the first value the shape and dtype that the steps have",
            )


def program_of(f, count: int):
    """The program of f(*xs) of numbers in double precision: a body for the records here."""
    shape = tree.TreeDef(tuple, None, (tree.LEAF,) * count)
    return section(f, [Spec((), np.dtype(np.float64))] * count, shape, Tape, "body")[0]


def split_inputs(xs, params):
    k, m = params["carries"], params["mapped"]
    return list(xs[:k]), list(xs[k : k + m]), list(xs[k + m :])


def smooth_inputs(xs) -> list[int]:
    return [i for i, x in enumerate(xs) if is_inexact(dtype_of(x))]


def filled(values, numbers, others) -> list:
    """`others` with `values` at these numbers."""
    out = list(others)
    for i, v in zip(numbers, values, strict=True):
        out[i] = v
    return out


def cut(parts, *sizes):
    out, i = [], 0
    for n in sizes:
        out.append(list(parts[i : i + n]))
        i += n
    return *out, list(parts[i:])


def batch_at(x, d, place, size):
    """x with its batch dim at `place`, broadcast in if it has none."""
    if d is None:
        x, d = op.expand(x, shape=(size, *x.shape)), 0
    return op.permute(x, dims=moved_to(x.ndim, d, place)) if d != place else x


def moved_to(n, d, place):
    order = [i for i in range(n) if i != d]
    order.insert(place, d)
    return tuple(order)


def is_known(x) -> bool:
    """Whether a value has one number now."""
    while isinstance(x, Box):
        if x.__dict__.get("batch_dim") is not None or not hasattr(x, "value"):
            return False
        x = x.value
    return True


def selected(pred, a, b):
    xs, shape = tree.flatten(a)
    ys, other = tree.flatten(b)
    if shape != other:
        raise ArgumentError("cond: both branches must return the same containers")
    where = FUNCTIONS["where"]
    return tree.unflatten(
        shape, [where(pred, x, y) for x, y in zip(xs, ys, strict=True)]
    )
