"""The operators of tensors, made of methods: `x + y`, `y + x`, `x += y`, comparisons, signs.

What is no tensor, array or number, Python asks next, as its protocol says. Comes after the
modules that define the methods.
"""

from __future__ import annotations

import numpy as np

from ..autodiff.tape import BASE
from ..core.bind import Box
from .face import METHODS, OPERANDS
from .in_place import in_place
from .pointwise import STRAIGHT

_ARITHMETIC = {
    "add": "add",
    "sub": "sub",
    "mul": "mul",
    "truediv": "div",
    "floordiv": "floor_divide",
    "mod": "remainder",
    "pow": "pow",
    "matmul": "matmul",
    "and": "bitwise_and",
    "or": "bitwise_or",
    "xor": "bitwise_xor",
    "lshift": "bitwise_left_shift",
    "rshift": "bitwise_right_shift",
}
_COMPARISONS = ("eq", "ne", "lt", "le", "gt", "ge")
_SIGNS = {"neg": "neg", "pos": "positive", "abs": "abs", "invert": "bitwise_not"}


def _operator(f):
    """x ∘ other."""

    def operate(self, other):
        return f(self, other) if isinstance(other, OPERANDS) else NotImplemented

    return operate


def _swapped(f):
    """other ∘ x."""

    def operate(self, other):
        return f(other, self) if isinstance(other, OPERANDS) else NotImplemented

    return operate


_product = METHODS["matmul"]


def _product_of_arrays(a, b):
    """Beside a tensor, `@` takes NumPy's arrays too."""
    return _product(*(BASE.wrap(x) if isinstance(x, np.ndarray) else x for x in (a, b)))


def _matmul(self, other):
    if isinstance(other, Box):
        return _product(self, other)
    if isinstance(other, OPERANDS):
        return _product_of_arrays(self, other)
    return NotImplemented


def _all_operators() -> dict:
    """The special methods of a tensor by name."""
    found = {}
    for name, method in _ARITHMETIC.items():
        f = METHODS[method]
        found[f"__{name}__"] = STRAIGHT.get(method) or _operator(f)
        found[f"__r{name}__"] = _swapped(f)
        found[f"__i{name}__"] = _operator(in_place(f"{method}_", f))
    found["__matmul__"], found["__rmatmul__"] = _matmul, _swapped(_product_of_arrays)
    for name in _COMPARISONS:
        found[f"__{name}__"] = _operator(METHODS[name])
    for name, method in _SIGNS.items():
        found[f"__{name}__"] = METHODS[method]
    return found


OPERATORS = _all_operators()
