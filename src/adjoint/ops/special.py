"""Special functions, computed in float64 by rational, Chebyshev and asymptotic schemes.

An `eager` here sees flat float64 blocks small enough for the cache; `blockwise` feeds it,
whatever the shape and floating dtype. Derivatives are formulas over other records.
"""

from __future__ import annotations

import math
from functools import wraps

import numpy as np

from ..core.bind import dtype_of
from ..core.primitive import Elementwise, op

_BLOCK = 1 << 13
_DOUBLE = np.dtype("float64")


def blockwise(f):
    """`f` of flat float64 arrays as an eager rule for every shape and floating dtype."""

    @wraps(f)
    def eager(*xs, **params):
        shape = np.broadcast_shapes(*(x.shape for x in xs))
        flat = [np.broadcast_to(x, shape).reshape(-1) for x in xs]
        out = np.empty(flat[0].shape, xs[0].dtype)
        for i in range(0, out.size, _BLOCK):
            part = slice(i, i + _BLOCK)
            out[part] = f(*(x[part].astype(_DOUBLE) for x in flat), **params)
        return out.reshape(shape)

    return eager


def pieces(x, *cases):
    """The function given by (condition, formula) pairs, first match; NaN elsewhere."""
    out = np.full(x.shape, np.nan)
    free = np.full(x.shape, True)
    for condition, formula in cases:
        here = free & condition
        if here.any():
            out[here] = formula(x[here])
            free &= ~here
    return out


def poly(x, coefficients):
    """Horner's rule, highest power first."""
    y = np.full(x.shape, coefficients[0])
    for c in coefficients[1:]:
        y *= x
        y += c
    return y


def uniform(*shapes, low=-2.0, high=2.0, **params):
    """A sampler of random real inputs of these shapes."""
    return lambda rng: [(tuple(rng.uniform(low, high, s) for s in shapes), params)]


def numeric(f, **options):
    """A reference by adaptive quadrature or series in plain Python, element by element."""
    return staticmethod(np.vectorize(f, otypes=[float], **options))


# ---------------------------------------------------------------- the error function

# W. J. Cody, Rational Chebyshev approximations for the error function, 1969: erf near 0,
# then erfcx on [15/32, 4] and, in 1/x², beyond.
_ERF_NEAR = (
    (
        1.85777706184603153e-1,
        3.16112374387056560e0,
        1.13864154151050156e2,
        3.77485237685302021e2,
        3.20937758913846947e3,
    ),
    (
        1.0,
        2.36012909523441209e1,
        2.44024637934444173e2,
        1.28261652607737228e3,
        2.84423683343917062e3,
    ),
)
_ERFCX_MIDDLE = (
    (
        2.15311535474403846e-8,
        5.64188496988670089e-1,
        8.88314979438837594e0,
        6.61191906371416295e1,
        2.98635138197400131e2,
        8.81952221241769090e2,
        1.71204761263407058e3,
        2.05107837782607147e3,
        1.23033935479799725e3,
    ),
    (
        1.0,
        1.57449261107098347e1,
        1.17693950891312499e2,
        5.37181101862009858e2,
        1.62138957456669019e3,
        3.29079923573345963e3,
        4.36261909014324716e3,
        3.43936767414372164e3,
        1.23033935480374942e3,
    ),
)
_ERFCX_FAR = (
    (
        1.63153871373020978e-2,
        3.05326634961232344e-1,
        3.60344899949804439e-1,
        1.25781726111229246e-1,
        1.60837851487422766e-2,
        6.58749161529837803e-4,
    ),
    (
        1.0,
        2.56852019228982242e0,
        1.87295284992346047e0,
        5.27905102951428412e-1,
        6.05183413124413191e-2,
        2.33520497626869185e-3,
    ),
)
_TWO_OVER_ROOT_PI = 2 / math.sqrt(math.pi)
_ROOT_HALF = math.sqrt(0.5)


def _ratio(x, pair):
    return poly(x, pair[0]) / poly(x, pair[1])


def _erf_near(x):
    return x * _ratio(x * x, _ERF_NEAR)


def _erfcx_far(x):
    z = 1 / (x * x)
    return (0.5 * _TWO_OVER_ROOT_PI - z * _ratio(z, _ERFCX_FAR)) / x


def _erfcx_positive(x):
    return pieces(
        x,
        (x <= 0.46875, lambda x: np.exp(x * x) * (1 - _erf_near(x))),
        (x <= 4, lambda x: _ratio(x, _ERFCX_MIDDLE)),
        (x < 1e8, _erfcx_far),
        (x >= 1e8, lambda x: 0.5 * _TWO_OVER_ROOT_PI / x),
    )


def _gauss(x):
    """exp(−x²) with the square split in two, so that its rounding is not magnified."""
    x = np.minimum(np.abs(x), 1e3)
    head = np.trunc(x * 16) / 16
    return np.exp(-head * head) * np.exp(-(x - head) * (x + head))


def erf_array(x):
    """erf of a flat float64 array."""
    a = np.abs(x)
    far = a > 0.46875
    if not far.any():
        return _erf_near(x)
    y = _erf_near(np.where(far, 0.0, x))
    z = np.clip(x[far], -6, 6)
    y[far] = np.sign(z) * (1 - _gauss(z) * _erfcx_positive(np.abs(z)))
    y[np.isnan(x)] = np.nan
    return y


def erfc_array(x):
    """erfc of a flat float64 array, to full relative precision in the tail."""
    return pieces(
        x,
        (np.abs(x) <= 0.46875, lambda x: 1 - _erf_near(x)),
        (x > 0, lambda x: _gauss(x) * _erfcx_positive(x)),
        (x < 0, lambda x: 2 - _gauss(x) * _erfcx_positive(-x)),
    )


def erfcx_array(x):
    """erfcx of a flat float64 array."""
    return pieces(
        x,
        (x >= 0, _erfcx_positive),
        (x > -26.7, lambda x: 2 / _gauss(x) - _erfcx_positive(-x)),
        (x <= -26.7, lambda x: np.full(x.shape, np.inf)),
    )


def _gaussian(x):
    return op.exp(-x * x)


class Erf(Elementwise):
    """Error function, 2/√π ∫₀ˣ exp(−s²) ds.

    >>> erf(tensor([0., 1.]))
    tensor([0.0000, 0.8427])
    """

    inexact = True
    takes = "f"
    samples = uniform((3, 2))
    reference = numeric(math.erf)
    eager = blockwise(erf_array)

    def dx(t, x):
        return t * (_TWO_OVER_ROOT_PI * _gaussian(x))


class Erfc(Elementwise):
    """1 − erf(x), accurate where it is small.

    >>> erfc(tensor([0., 5.]))
    tensor([1.0000e+00, 1.5375e-12])
    """

    inexact = True
    takes = "f"
    samples = uniform((3, 2))
    reference = numeric(math.erfc)
    eager = blockwise(erfc_array)

    def dx(t, x):
        return t * (-_TWO_OVER_ROOT_PI * _gaussian(x))


class Erfcx(Elementwise):
    """Scaled complement, exp(x²) erfc(x).

    >>> special.erfcx(tensor([0., 100.]))
    tensor([1.0000, 0.0056])
    """

    inexact = True
    takes = "f"
    samples = uniform((3, 2))
    reference = numeric(lambda x: math.exp(x * x) * math.erfc(x))
    eager = blockwise(erfcx_array)

    def dx(t, y, x):
        return t * (2 * x * y - _TWO_OVER_ROOT_PI)


class Ndtr(Elementwise):
    """The standard normal distribution function, ½ erfc(−x/√2).

    >>> special.ndtr(tensor([0., 2.]))
    tensor([0.5000, 0.9772])
    """

    inexact = True
    takes = "f"
    samples = uniform((3, 2))
    reference = numeric(lambda x: math.erfc(-x / math.sqrt(2)) / 2)

    @blockwise
    def eager(x):
        return 0.5 * erfc_array(-_ROOT_HALF * x)

    def dx(t, x):
        return t * normal_density(x)


def normal_density(x):
    """exp(−x²/2)/√(2π) as a composite of records."""
    return op.exp(-0.5 * x * x) * (1 / math.sqrt(2 * math.pi))


class LogNdtr(Elementwise):
    """ln of the normal distribution function, accurate far in the tail.

    >>> special.log_ndtr(tensor([0., -40.]))
    tensor([-6.9315e-01, -8.0461e+02])
    """

    inexact = True
    takes = "f"
    samples = uniform((3, 2))
    reference = numeric(lambda x: math.log(math.erfc(-x / math.sqrt(2)) / 2))

    @blockwise
    def eager(x):
        return pieces(
            x,
            (x > -1, lambda x: np.log1p(-0.5 * erfc_array(_ROOT_HALF * x))),
            (
                x <= -1,
                lambda x: np.log(0.5 * _erfcx_positive(-_ROOT_HALF * x)) - 0.5 * x * x,
            ),
        )

    def dx(t, x):
        return t * (math.sqrt(2 / math.pi) / op.erfcx(-_ROOT_HALF * x))


# ---------------------------------------------------------------- x ln y


def _zero_where(condition, y):
    return op.where(condition, np.zeros((), dtype_of(y)), y)


class Xlogy(Elementwise):
    """x₁ ln x₂, and 0 where x₁ is 0.

    >>> xlogy(tensor([0., 2.]), tensor([0., 2.]))
    tensor([0.0000, 1.3863])
    """

    inexact = singular = True
    takes = "f"
    samples = uniform((3, 2), (2,), low=0.2, high=3)
    reference = staticmethod(lambda x, y: np.log(y**x))

    def eager(x1, x2):
        y = x1 * np.log(x2)
        return np.where((x1 == 0) & ~np.isnan(x2), np.zeros((), y.dtype), y)

    def dx1(t, x1, x2):
        empty = op.logical_and(x1 == 0, x2 <= 0)
        return t * _zero_where(empty, op.log(x2))

    def dx2(t, x1, x2):
        return t * x1 / x2


class Xlog1py(Elementwise):
    """x₁ ln(1 + x₂), and 0 where x₁ is 0.

    >>> special.xlog1py(tensor([0., 2.]), tensor([-1., 1.]))
    tensor([0.0000, 1.3863])
    """

    inexact = singular = True
    takes = "f"
    samples = uniform((3, 2), (2,), low=0.2, high=3)
    reference = staticmethod(lambda x, y: np.log((1 + y) ** x))

    def eager(x1, x2):
        y = x1 * np.log1p(x2)
        return np.where((x1 == 0) & ~np.isnan(x2), np.zeros((), y.dtype), y)

    def dx1(t, x1, x2):
        empty = op.logical_and(x1 == 0, x2 <= -1)
        return t * _zero_where(empty, op.log1p(x2))

    def dx2(t, x1, x2):
        return t * x1 / (x2 + 1)
