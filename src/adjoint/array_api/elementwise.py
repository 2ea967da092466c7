"""Elementwise functions by the standard's names, with its promotion."""

from __future__ import annotations

from ..core.bind import Box, dtype_of
from ..core.primitive import conjugate, op
from ..errors import ArgumentTypeError
from ..functional.face import FUNCTIONS, cast, lift
from .information import promoted

_SAME1 = [
    *("abs", "acos", "acosh", "asin", "asinh", "atan", "atanh", "ceil", "cos", "cosh"),
    *("exp", "expm1", "floor", "isfinite", "isinf", "isnan", "log", "log1p", "log2"),
    *("log10", "logical_not", "negative", "positive", "reciprocal", "round", "signbit"),
    *("sin", "sinh", "sqrt", "square", "tan", "tanh", "trunc"),
]
_SAME2 = [
    *("add", "atan2", "bitwise_and", "bitwise_or", "bitwise_xor", "copysign"),
    *(
        "bitwise_left_shift",
        "bitwise_right_shift",
        "floor_divide",
        "hypot",
        "logaddexp",
    ),
    *("logical_and", "logical_or", "logical_xor", "maximum", "minimum", "multiply"),
    *("nextafter", "pow", "remainder", "subtract"),
]
_UNARY = {name: name for name in _SAME1} | {"bitwise_invert": "bitwise_not"}
_BINARY = {name: name for name in _SAME2} | {
    "divide": "div",
    "equal": "eq",
    "greater": "gt",
    "greater_equal": "ge",
    "less": "lt",
    "less_equal": "le",
    "not_equal": "ne",
}


def unified(*xs):
    """Arrays and numbers in the standard's common dtype."""
    d = promoted(*xs)
    return tuple(cast(x, d) if isinstance(x, Box) else _array(x, d) for x in xs)


def _array(x, d):
    return FUNCTIONS["tensor"](lift(x, d, "array"))


def need_array(x, name: str):
    """`x`, which must be an array."""
    if isinstance(x, Box):
        return x
    raise ArgumentTypeError(f"{name}(): expected an array, not {type(x).__name__}")


def _unary(name: str, torch_name: str):
    inner = FUNCTIONS[torch_name]

    def f(x, /):
        return inner(need_array(x, name))

    return _named(f, name, inner)


def _binary(name: str, torch_name: str):
    inner = FUNCTIONS[torch_name]

    def f(x1, x2, /):
        return inner(*unified(x1, x2))

    return _named(f, name, inner)


def _named(f, name, inner):
    f.__name__ = f.__qualname__ = name
    f.__doc__ = (inner.__doc__ or "").split("\n")[0]
    return f


globals().update({k: _unary(k, v) for k, v in _UNARY.items()})
globals().update({k: _binary(k, v) for k, v in _BINARY.items()})


def conj(x, /):
    """The complex conjugate; a real array itself."""
    return conjugate(need_array(x, "conj"))


def real(x, /):
    """The real part; a real array itself."""
    return op.real(x) if dtype_of(need_array(x, "real")).kind == "c" else x


def imag(x, /):
    """The imaginary part; zeros for a real array."""
    return (
        op.imag(x) if dtype_of(need_array(x, "imag")).kind == "c" else op.zeros_like(x)
    )


def sign(x, /):
    """−1, 0 or 1; x/|x| for complex numbers; NaN stays."""
    y = op.sgn(need_array(x, "sign"))
    return y if dtype_of(x).kind in "bui" else op.where(op.isnan(x), x, y)


def clip(x, /, min=None, max=None):
    """Limited to [min, max], in the dtype of x."""
    d = dtype_of(need_array(x, "clip"))
    bounds = [
        b if b is None or isinstance(b, Box) else _array(b, d) for b in (min, max)
    ]
    low, high = (b if b is None else cast(b, d) for b in bounds)
    return x if low is high is None else cast(FUNCTIONS["clamp"](x, low, high), d)


__all__ = [*_UNARY, *_BINARY, "clip", "conj", "imag", "real", "sign"]
