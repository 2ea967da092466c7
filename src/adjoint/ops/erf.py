"""The error function and its kin, computed by rational and Chebyshev schemes."""

from __future__ import annotations

import math

import numpy as np

from ..core.primitive import Elementwise, op
from .blockwise import blockwise, numeric, pieces, poly
from .samples import uniform

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


TWO_OVER_ROOT_PI = 2 / math.sqrt(math.pi)


PER_ROOT_2_PI = 1 / math.sqrt(2 * math.pi)
ROOT_HALF = math.sqrt(0.5)


def _ratio(x, pair):
    return poly(x, pair[0]) / poly(x, pair[1])


def _erf_near(x):
    return x * _ratio(x * x, _ERF_NEAR)


def _erfcx_far(x):
    z = 1 / (x * x)
    return (0.5 * TWO_OVER_ROOT_PI - z * _ratio(z, _ERFCX_FAR)) / x


def erfcx_positive(x):
    if not isinstance(x, np.ndarray):
        return x.native("erfcx")
    return pieces(
        x,
        (x <= 0.46875, lambda x: np.exp(x * x) * (1 - _erf_near(x))),
        (x <= 4, lambda x: _ratio(x, _ERFCX_MIDDLE)),
        (x < 1e8, _erfcx_far),
        (x >= 1e8, lambda x: 0.5 * TWO_OVER_ROOT_PI / x),
    )


def _gauss(x):
    """exp(−x²) with the square split in two, so that its rounding is not magnified."""
    x = np.minimum(np.abs(x), 1e3)
    head = np.trunc(x * 16) / 16
    return np.exp(-head * head) * np.exp(-(x - head) * (x + head))


def erf_array(x):
    """erf of a flat float64 array."""
    if not isinstance(x, np.ndarray):
        return x.native("erf")
    a = np.abs(x)
    far = a > 0.46875
    if not far.any():
        return _erf_near(x)
    y = _erf_near(np.where(far, 0.0, x))
    z = np.clip(x[far], -6, 6)
    y[far] = np.sign(z) * (1 - _gauss(z) * erfcx_positive(np.abs(z)))
    y[np.isnan(x)] = np.nan
    return y


def erfc_array(x):
    """erfc of a flat float64 array, to full relative precision in the tail."""
    if not isinstance(x, np.ndarray):
        return x.native("erfc")
    return pieces(
        x,
        (np.abs(x) <= 0.46875, lambda x: 1 - _erf_near(x)),
        (x > 0, lambda x: _gauss(x) * erfcx_positive(x)),
        (x < 0, lambda x: 2 - _gauss(x) * erfcx_positive(-x)),
    )


def erfcx_array(x):
    """erfcx of a flat float64 array."""
    return pieces(
        x,
        (x >= 0, erfcx_positive),
        (x > -26.7, lambda x: 2 / _gauss(x) - erfcx_positive(-x)),
        (x <= -26.7, lambda x: np.full(x.shape, np.inf)),
    )


def ndtr_array(x):
    """The normal distribution function of a flat float64 array; its tail from x itself."""
    return pieces(
        x,
        (x > -1, lambda x: 0.5 * erfc_array(-ROOT_HALF * x)),
        (x <= -1, lambda x: 0.5 * _half_gauss(x) * erfcx_positive(-ROOT_HALF * x)),
    )


def _half_gauss(x):
    """exp(−x²/2), as `_gauss` splits it."""
    x = np.minimum(np.abs(x), 1e3)
    head = np.trunc(x * 16) / 16
    return np.exp(-0.5 * head * head) * np.exp(-0.5 * (x - head) * (x + head))


# In single precision without branches: ln(erfcx(z)/t) of t = 2/(2 + z), and erf(x)/x of
# x² up to 1; Chebyshev fits, good to 5e-8.
_ERFCX_SINGLE = (
    0.151551217,
    -0.716805279,
    1.241164207,
    -0.808233798,
    0.0119332373,
    -0.0474550799,
    0.0510604046,
    0.3832260966,
    0.9990261793,
    -1.2654671669,
)


_ERF_SINGLE = (
    7.882497e-05,
    -0.00080188555,
    0.0051893123,
    -0.0268543283,
    0.1128359735,
    -0.3761262596,
    1.1283791065,
)


def _over_gauss_single(z):
    """t and ln(erfc(z)/t) + z², of a flat float32 array from 0 on, which is written over."""
    np.minimum(z, np.float32(10.3), out=z)
    t = z + 2
    np.divide(2, t, out=t)
    return t, poly(t, _ERFCX_SINGLE)


def _tail_single(z):
    """erfc of a flat float32 array from 0 on, which is written over; good to 1e-7 of 1."""
    t, y = _over_gauss_single(z)
    z *= z
    y -= z
    np.exp(y, out=y)
    y *= t
    return y


def erfc_single(x):
    """erfc of a flat float32 array: 2 - tail below 0, without choosing, which is slow.

    What rounding took from z² and from the exponent, half an ulp of 80, is 4e-6 of the tail:
    it is found, by splitting z into a head whose square is exact and a rest, and put back.
    """
    z = np.abs(x)
    t, y = _over_gauss_single(z)
    head = (z.view(np.int32) & -4096).view(np.float32)
    square = z * z
    exponent = y - square
    lost = y - (exponent + square)
    lost -= (head * head - square) + (z - head) * (z + head)
    tail = np.exp(exponent, out=exponent)
    tail *= t
    tail += tail * lost
    np.copysign(tail, x, out=tail)
    tail += 1 - np.copysign(np.float32(1), x)
    return tail


def erf_single(x):
    """erf of a flat float32 array."""
    far = np.copysign(1 - _tail_single(np.abs(x)), x)
    return np.where(np.abs(x) < 1, x * poly(x * x, _ERF_SINGLE), far)


# Φ(−x) exp(x²/2) for x from 0 to 14.6, beyond which Φ(−x) is 0: a quotient, good to 6e-9.
_FAR = np.float32(14.6)
_TAIL_OVER = (0.39894676, 3.93355777, 17.7233013, 42.3637204, 48.2835814)
_TAIL_UNDER = (1.0, 9.86057644, 45.4114972, 116.241864, 161.77693, 96.5671623)


def _normal_single(x):
    """(Φ(x), exp(−x²/2)) of a flat float32 array."""
    a = np.minimum(np.abs(x), _FAR)
    bell = a * a
    bell *= np.float32(-0.5)
    np.exp(bell, out=bell)
    tail = poly(a, _TAIL_OVER)
    tail /= poly(a, _TAIL_UNDER)
    tail *= bell
    y = (x >= 0).astype(x.dtype)  # |1 − tail| or |0 − tail|: choosing is slow
    y -= tail
    return np.abs(y, out=y), bell


def ndtr_single(x):
    """The normal distribution function of a flat float32 array."""
    return _normal_single(x)[0]


def gelu_slope_single(x):
    """Φ(x) + x φ(x) of a flat float32 array."""
    y, bell = _normal_single(x)
    bell *= np.float32(PER_ROOT_2_PI)
    bell *= np.clip(x, -_FAR, _FAR)
    y += bell
    return y


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
    eager = blockwise(erf_array, erf_single)

    def dx(t, x):
        return t * (TWO_OVER_ROOT_PI * _gaussian(x))

    def lower(b, x):
        return b.erf(x)


class Erfc(Elementwise):
    """1 − erf(x), accurate where it is small.

    >>> erfc(tensor([0., 5.]))
    tensor([1.0000e+00, 1.5375e-12])
    """

    inexact = True
    takes = "f"
    samples = uniform((3, 2))
    reference = numeric(math.erfc)
    eager = blockwise(erfc_array, erfc_single)

    def dx(t, x):
        return t * (-TWO_OVER_ROOT_PI * _gaussian(x))

    def lower(b, x):
        return b.erfc(x)


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
        return t * (2 * x * y - TWO_OVER_ROOT_PI)

    def lower(b, x):
        return b.erfcx(x)


class Ndtr(Elementwise):
    """The standard normal distribution function, ½ erfc(−x/√2).

    >>> special.ndtr(tensor([0., 2.]))
    tensor([0.5000, 0.9772])
    """

    inexact = True
    takes = "f"
    samples = uniform((3, 2))
    reference = numeric(lambda x: math.erfc(-x / math.sqrt(2)) / 2)

    eager = blockwise(ndtr_array, ndtr_single)

    def dx(t, x):
        return t * normal_density(x)

    def lower(b, x):
        return b.ndtr(x)


def normal_density(x):
    """exp(−x²/2)/√(2π) as a composite of records."""
    return op.exp(-0.5 * x * x) * PER_ROOT_2_PI


def density_array(x):
    """The same of a flat array."""
    y = x * x
    y *= y.dtype.type(-0.5)
    np.exp(y, out=y)
    y *= y.dtype.type(PER_ROOT_2_PI)
    return y


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
            (x > -1, lambda x: np.log1p(-ndtr_array(-x))),
            (
                x <= -1,
                lambda x: np.log(0.5 * erfcx_positive(-ROOT_HALF * x)) - 0.5 * x * x,
            ),
        )

    def dx(t, x):
        return t * (math.sqrt(2 / math.pi) / op.erfcx(-ROOT_HALF * x))

    def lower(b, x):
        return b.log_ndtr(x)
