"""`special`: functions of mathematical physics and statistics, by PyTorch's names."""

from __future__ import annotations

import math

import numpy as np

from ..core.bind import Box, dtype_of
from ..core.primitive import number, op
from ..errors import ArgumentError, DtypeError
from .activation import log_softmax as _log_softmax
from .activation import softmax as _softmax
from .face import (
    FUNCTIONS,
    function,
    give,
    inexact,
    method,
    need_number,
    need_tensor,
    only_method,
    promote,
)
from .pointwise import binary, unary
from .polynomials import (
    chebyshev_polynomial_t,
    chebyshev_polynomial_u,
    chebyshev_polynomial_v,
    chebyshev_polynomial_w,
    hermite_polynomial_h,
    hermite_polynomial_he,
    laguerre_polynomial_l,
    legendre_polynomial_p,
    shifted_chebyshev_polynomial_t,
    shifted_chebyshev_polynomial_u,
    shifted_chebyshev_polynomial_v,
    shifted_chebyshev_polynomial_w,
)


def _face(name: str):
    """The user's function for a record with one input or two."""
    prim = getattr(op, name)
    f = (unary if prim.nin == 1 else binary)(prim)
    f.__name__ = f.__qualname__ = name
    f.__doc__ = type(prim).__doc__
    f.__module__ = __name__
    return f


erf, erfc, erfinv = (method(_face(n)) for n in ("erf", "erfc", "erfinv"))
lgamma, digamma = method(_face("lgamma")), method(_face("digamma"))
i0, xlogy = method(_face("i0")), method(_face("xlogy"))
erfcx, ndtr, ndtri, log_ndtr = map(_face, ("erfcx", "ndtr", "ndtri", "log_ndtr"))
xlog1py, entr, i0e, i1, i1e = map(_face, ("xlog1py", "entr", "i0e", "i1", "i1e"))
bessel_j0, bessel_j1 = _face("bessel_j0"), _face("bessel_j1")
bessel_y0, bessel_y1 = _face("bessel_y0"), _face("bessel_y1")
modified_bessel_k0 = _face("modified_bessel_k0")
modified_bessel_k1 = _face("modified_bessel_k1")
scaled_modified_bessel_k0 = _face("scaled_modified_bessel_k0")
scaled_modified_bessel_k1 = _face("scaled_modified_bessel_k1")
gammaln, psi, modified_bessel_i0, modified_bessel_i1 = lgamma, digamma, i0, i1

expit, expm1, exp2, log1p, round = (
    FUNCTIONS[n] for n in ("sigmoid", "expm1", "exp2", "log1p", "round")
)
logsumexp = FUNCTIONS["logsumexp"]


def _real(x, name):
    """A tensor with a floating dtype: integers become the default one."""
    x = inexact(need_tensor(x, name))
    if dtype_of(x).kind == "c":
        raise DtypeError(f"{name}: not defined for {dtype_of(x).name}")
    return x


@method
def softmax(input, dim, dtype=None, *, out=None):
    """eˣ / Σ eˣ along `dim`.

    >>> softmax(tensor([0., 0.]), 0)
    tensor([0.5000, 0.5000])
    """
    return give(_softmax(input, dim, dtype=dtype), out)


@method
def log_softmax(input, dim, dtype=None, *, out=None):
    """x − ln Σ eˣ along `dim`.

    >>> log_softmax(tensor([0., 0.]), 0)
    tensor([-0.6931, -0.6931])
    """
    return give(_log_softmax(input, dim, dtype=dtype), out)


@method
def logit(input, eps=None, *, out=None):
    """ln(x / (1 − x)), of x limited to [eps, 1 − eps] if that is given.

    >>> logit(tensor([0.5, 1.]), eps=0.01)
    tensor([0.0000, 4.5951])
    """
    x = _real(input, "logit")
    if eps is not None:
        eps = need_number(eps, "logit", "eps")
        low, high = (number(v, x) for v in (eps, 1 - eps))
        x = op.where(x < low, low, op.where(x > high, high, x))
    return give(op.logit(x), out)


@method
def sinc(input, *, out=None):
    """sin(πx) / (πx), 1 at 0.

    >>> sinc(tensor([0., 0.5]))
    tensor([1.0000, 0.6366])
    """
    if isinstance(input, Box) and dtype_of(input).kind == "c":
        return give(_complex_sinc(input * math.pi), out)
    return give(spherical_bessel_j0(_real(input, "sinc") * math.pi), out)


def _complex_sinc(x):
    zero = x == 0
    x = op.where(zero, number(1, x), x)
    return op.where(zero, number(1, x), op.sin(x) / x)


def spherical_bessel_j0(input, *, out=None):
    """sin(x) / x, 1 at 0.

    >>> spherical_bessel_j0(tensor([0., 1.]))
    tensor([1.0000, 0.8415])
    """
    x = _real(input, "spherical_bessel_j0")
    return give(op.spherical_bessel_j0(x, order=0), out)


def airy_ai(input, *, out=None):
    """The Airy function Ai.

    >>> airy_ai(tensor([0., 1.]))
    tensor([0.3550, 0.1353])
    """
    return give(op.airy_ai(_real(input, "airy_ai"), order=0), out)


@function
def polygamma(n, input, *, out=None):
    """The derivative of order n of `digamma`.

    >>> polygamma(1, tensor([1., 0.5]))
    tensor([1.6449, 4.9348])
    """
    x = _real(input, "polygamma")
    if not isinstance(n, int) or n < 0:
        raise ArgumentError(
            f"polygamma(n, x): n must be a non-negative integer, got {n!r}"
        )
    return give(op.digamma(x) if n == 0 else op.polygamma(x, n=n), out)


def _polygamma(self, n):
    """The derivative of order n of `digamma`, at this tensor."""
    return polygamma(n, self)


_polygamma.__name__ = _polygamma.__qualname__ = "polygamma"
only_method(_polygamma)


@method
def mvlgamma(input, p, *, out=None):
    """ln of the multivariate gamma function of dimension p.

    >>> mvlgamma(tensor([3.]), 2)
    tensor([1.5501])
    """
    x = _real(input, "mvlgamma")
    p = int(need_number(p, "mvlgamma", "p"))
    if p < 1:
        raise ArgumentError(
            f"mvlgamma: p has to be greater than or equal to 1, got {p}"
        )
    halves = np.arange(p) * -0.5
    shifted = op.reshape(x, shape=(*x.shape, 1)) + halves.astype(dtype_of(x))
    total = op.sum(op.lgamma(shifted), dim=(x.ndim,), keepdim=False)
    return give(total + 0.25 * p * (p - 1) * math.log(math.pi), out)


multigammaln = mvlgamma


def _reals(name, *xs):
    xs = promote(name, *xs)
    if dtype_of(xs[0]).kind == "c":
        raise DtypeError(f"{name}: not defined for {dtype_of(xs[0]).name}")
    return tuple(inexact(x) for x in xs)


def gammainc(input, other, *, out=None):
    """Regularized lower incomplete gamma function; differentiable in x, not in a.

    >>> gammainc(tensor([2.]), tensor([1.]))
    tensor([0.2642])
    """
    return give(op.gammainc(*_reals("gammainc", input, other)), out)


def gammaincc(input, other, *, out=None):
    """Regularized upper incomplete gamma function; differentiable in x, not in a.

    >>> gammaincc(tensor([2.]), tensor([1.]))
    tensor([0.7358])
    """
    return give(op.gammaincc(*_reals("gammaincc", input, other)), out)


@method
def igamma(input, other, *, out=None):
    """`special.gammainc`.

    >>> igamma(tensor([2.]), tensor([1.]))
    tensor([0.2642])
    """
    return gammainc(input, other, out=out)


@method
def igammac(input, other, *, out=None):
    """`special.gammaincc`.

    >>> igammac(tensor([2.]), tensor([1.]))
    tensor([0.7358])
    """
    return gammaincc(input, other, out=out)


def zeta(input, other, *, out=None):
    """Hurwitz's zeta function, Σ (k + other)^(−input); differentiable in `other`.

    >>> zeta(tensor([2.]), 1.)
    tensor([1.6449])
    """
    return give(op.zeta(*_reals("zeta", input, other)), out)


__all__ = [
    "airy_ai",
    "bessel_j0",
    "bessel_j1",
    "bessel_y0",
    "bessel_y1",
    "chebyshev_polynomial_t",
    "chebyshev_polynomial_u",
    "chebyshev_polynomial_v",
    "chebyshev_polynomial_w",
    "digamma",
    "entr",
    "erf",
    "erfc",
    "erfcx",
    "erfinv",
    "exp2",
    "expit",
    "expm1",
    "gammainc",
    "gammaincc",
    "gammaln",
    "hermite_polynomial_h",
    "hermite_polynomial_he",
    "i0",
    "i0e",
    "i1",
    "i1e",
    "laguerre_polynomial_l",
    "legendre_polynomial_p",
    "log1p",
    "log_ndtr",
    "log_softmax",
    "logit",
    "logsumexp",
    "modified_bessel_i0",
    "modified_bessel_i1",
    "modified_bessel_k0",
    "modified_bessel_k1",
    "multigammaln",
    "ndtr",
    "ndtri",
    "polygamma",
    "psi",
    "round",
    "scaled_modified_bessel_k0",
    "scaled_modified_bessel_k1",
    "shifted_chebyshev_polynomial_t",
    "shifted_chebyshev_polynomial_u",
    "shifted_chebyshev_polynomial_v",
    "shifted_chebyshev_polynomial_w",
    "sinc",
    "softmax",
    "spherical_bessel_j0",
    "xlog1py",
    "xlogy",
    "zeta",
]
