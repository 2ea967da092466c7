"""Orthogonal polynomials by their three-term recurrences, differentiable to any order."""

from __future__ import annotations

import numpy as np

from ..core.bind import Box, dtype_of
from ..core.primitive import op
from ..core.shape import broadcast
from ..errors import ArgumentError, ArgumentTypeError, DtypeError
from .face import give, inexact, need_number, wrap

# kind -> (P₁ of x, P of degree k + 1 from x, k, P of degree k and k − 1); P₀ = 1
_TABLE = {
    "chebyshev_polynomial_t": (lambda x: x, lambda x, k, p, q: 2 * x * p - q),
    "chebyshev_polynomial_u": (lambda x: 2 * x, lambda x, k, p, q: 2 * x * p - q),
    "chebyshev_polynomial_v": (lambda x: 2 * x - 1, lambda x, k, p, q: 2 * x * p - q),
    "chebyshev_polynomial_w": (lambda x: 2 * x + 1, lambda x, k, p, q: 2 * x * p - q),
    "hermite_polynomial_h": (
        lambda x: 2 * x,
        lambda x, k, p, q: 2 * x * p - 2 * k * q,
    ),
    "hermite_polynomial_he": (lambda x: x, lambda x, k, p, q: x * p - k * q),
    "laguerre_polynomial_l": (
        lambda x: 1 - x,
        lambda x, k, p, q: ((2 * k + 1 - x) * p - k * q) / (k + 1),
    ),
    "legendre_polynomial_p": (
        lambda x: x,
        lambda x, k, p, q: ((2 * k + 1) * x * p - k * q) / (k + 1),
    ),
}
_MOST = 10_000


def _degrees(n, name):
    """The degree, a number or an array of them."""
    if isinstance(n, Box):
        n = n.numpy_of()
    if not isinstance(n, (int, float, np.ndarray, np.generic)):
        raise ArgumentTypeError(f"{name}: n must be a number or a tensor of numbers")
    n = np.asarray(n)
    if n.dtype.kind not in "uifb":
        raise DtypeError(f"{name}: n must be real, got {n.dtype.name}")
    if n.max(initial=0) > _MOST:
        raise ArgumentError(
            f"{name}: degrees up to {_MOST} are computed, got {n.max()}"
        )
    return np.trunc(n)


def _polynomial(name, doc, shifted=False):
    first, following = _TABLE[name.removeprefix("shifted_")]

    def f(input, n, *, out=None):
        if not isinstance(input, Box):
            input = wrap(np.float32(need_number(input, name, "input")))
        x = inexact(input)
        if dtype_of(x).kind == "c":
            raise DtypeError(f"{name}: not defined for {dtype_of(x).name}")
        x = 2 * x - 1 if shifted else x
        degree = _degrees(n, name)
        shape = broadcast(tuple(x.shape), degree.shape, name=name)
        y = op.expand(op.zeros_like(x), shape=shape) + 0
        before, now = None, op.ones_like(x)
        for k in range(int(degree.max(initial=-1)) + 1):
            y = op.where(degree == k, now, y)
            after = following(x, k, now, before) if k else first(x)
            before, now = now, after
        return give(y, out)

    f.__name__ = f.__qualname__ = name
    f.__doc__ = doc
    return f


def _doc(text, name, values):
    return f"{text}\n\n    >>> {name}(tensor([0.5, 2.]), 3)\n    {values}\n    "


chebyshev_polynomial_t = _polynomial(
    "chebyshev_polynomial_t",
    _doc(
        "Chebyshev polynomial of the first kind: cos(n θ) of cos θ.",
        "chebyshev_polynomial_t",
        "tensor([-1., 26.])",
    ),
)
chebyshev_polynomial_u = _polynomial(
    "chebyshev_polynomial_u",
    _doc(
        "Chebyshev polynomial of the second kind: sin((n + 1) θ) / sin θ of cos θ.",
        "chebyshev_polynomial_u",
        "tensor([-1., 56.])",
    ),
)
chebyshev_polynomial_v = _polynomial(
    "chebyshev_polynomial_v",
    _doc(
        "Chebyshev polynomial of the third kind.",
        "chebyshev_polynomial_v",
        "tensor([-1., 41.])",
    ),
)
chebyshev_polynomial_w = _polynomial(
    "chebyshev_polynomial_w",
    _doc(
        "Chebyshev polynomial of the fourth kind.",
        "chebyshev_polynomial_w",
        "tensor([-1., 71.])",
    ),
)
hermite_polynomial_h = _polynomial(
    "hermite_polynomial_h",
    _doc(
        "Hermite polynomial of the physicists, orthogonal by exp(−x²).",
        "hermite_polynomial_h",
        "tensor([-5., 40.])",
    ),
)
hermite_polynomial_he = _polynomial(
    "hermite_polynomial_he",
    _doc(
        "Hermite polynomial of the statisticians, orthogonal by exp(−x²/2).",
        "hermite_polynomial_he",
        "tensor([-1.3750,  2.0000])",
    ),
)
laguerre_polynomial_l = _polynomial(
    "laguerre_polynomial_l",
    _doc(
        "Laguerre polynomial, orthogonal by exp(−x) for x > 0.",
        "laguerre_polynomial_l",
        "tensor([-0.1458, -0.3333])",
    ),
)
legendre_polynomial_p = _polynomial(
    "legendre_polynomial_p",
    _doc(
        "Legendre polynomial, orthogonal on [−1, 1].",
        "legendre_polynomial_p",
        "tensor([-0.4375, 17.0000])",
    ),
)


def _shift(kind, values):
    name = f"shifted_chebyshev_polynomial_{kind}"
    text = f"`chebyshev_polynomial_{kind}` of 2x − 1, for x in [0, 1]."
    return _polynomial(name, _doc(text, name, values), shifted=True)


shifted_chebyshev_polynomial_t = _shift("t", "tensor([-0., 99.])")
shifted_chebyshev_polynomial_u = _shift("u", "tensor([ -0., 204.])")
shifted_chebyshev_polynomial_v = _shift("v", "tensor([  1., 169.])")
shifted_chebyshev_polynomial_w = _shift("w", "tensor([ -1., 239.])")

__all__ = [*_TABLE, *(f"shifted_chebyshev_polynomial_{k}" for k in "tuvw")]
