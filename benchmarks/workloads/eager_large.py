"""What eager operations on large arrays cost, beside NumPy's own cost of the arithmetic."""

from __future__ import annotations

import operator

import numpy as np
from harness import functions, training
from harness.workload import Workload, rng

MILLION, TEN = ((1_000_000,),) * 3, ((10_000_000,),) * 3


def multiply_add(lib, a, b, c):
    return a * b + c


def softmax(lib, x):
    e = lib.exp(x - lib.amax(x, 1, True))
    return e / e.sum(1, keepdim=True)


def softmax_numpy(np, x):
    e = np.exp(x - x.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def by_name(name):
    """The function of that name, which both libraries have."""
    return lambda lib, *xs: getattr(lib, name)(*xs)


def rows(lib, x):
    return x.sum(1)


def square(lib, x):
    return x**2


def plus(lib, x, y):
    return operator.add(x, y)


# name: title, shapes, ours, NumPy's where it is not the same text
OPERATIONS = {
    "multiply_add": ("a * b + c, 1e6", MILLION, multiply_add),
    "multiply_add_10": ("a * b + c, 1e7", TEN, multiply_add),
    "exp": ("exp, 1e6", MILLION[:1], by_name("exp")),
    "exp_10": ("exp, 1e7", TEN[:1], by_name("exp")),
    "sum": ("sum, 1e6", MILLION[:1], by_name("sum")),
    "sum_10": ("sum, 1e7", TEN[:1], by_name("sum")),
    "rows": ("sum of rows, 1000 x 1000", ((1000, 1000),), rows),
    "softmax": ("softmax, 1000 x 1000", ((1000, 1000),), softmax, softmax_numpy),
    "matmul": ("matmul, 1024", ((1024, 1024),) * 2, by_name("matmul")),
    "row": ("matrix + row, 3000 x 1000", ((3000, 1000), (1000,)), plus),
    "square": ("x ** 2, 1e6", MILLION[:1], square),
    "maximum": ("maximum, 1e6", MILLION[:2], by_name("maximum")),
}


def ours(f):
    """With a graph being recorded."""

    def build(lib, d):
        xs = [x.requires_grad_() for x in training.tensors(lib, d["inputs"])]
        return functions.kept(lambda *xs: f(lib, *xs), xs, training.arrays)

    return build


def workload(title, shapes, f, in_numpy=None) -> Workload:
    def data():
        stream = rng()
        return {"inputs": [stream.random(s, dtype=np.float32) for s in shapes]}

    forms = {"adjoint eager": ours(f), "NumPy": functions.eager(in_numpy or f)}
    return Workload(
        title=f"eager, recorded: {title}",
        data=data,
        forms=forms,
        goal=0.67,
        against=("NumPy",),
        eager=True,
    )


WORKLOADS = {f"eager_{k}": workload(*row) for k, row in OPERATIONS.items()}
