"""Special functions, computed in float64 by rational, Chebyshev and asymptotic schemes.

An `eager` here sees flat float64 blocks small enough for the cache; `blockwise` feeds it,
whatever the shape and floating dtype. Derivatives are formulas over other records.
"""

from __future__ import annotations

import math
from functools import wraps

import numpy as np

from ..core.bind import dtype_of
from ..core.primitive import Elementwise, number, op
from ..errors import GradError
from . import chebyshev as table
from .chebyshev import series

_BLOCK = 1 << 13
_DOUBLE, _SINGLE = np.dtype("float64"), np.dtype("float32")


def blockwise(f, single=None):
    """`f` of flat float64 arrays as an eager rule for every shape and floating dtype.

    `single`, if there is one, computes in float32 what is not float64.
    """

    @wraps(f)
    def eager(*xs, **params):
        shape = np.broadcast_shapes(*(x.shape for x in xs))
        flat = [np.broadcast_to(x, shape).reshape(-1) for x in xs]
        d = next(x.dtype for x in xs if x.dtype.kind in "fV")
        run, work = (single, _SINGLE) if single and d != _DOUBLE else (f, _DOUBLE)
        out = np.empty(flat[0].shape, d)
        for i in range(0, out.size, _BLOCK):
            part = slice(i, i + _BLOCK)
            out[part] = run(*(x[part].astype(work) for x in flat), **params)
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
    y = np.full(x.shape, coefficients[0], x.dtype)
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


def ndtr_array(x):
    """The normal distribution function of a flat float64 array; its tail from x itself."""
    return pieces(
        x,
        (x > -1, lambda x: 0.5 * erfc_array(-_ROOT_HALF * x)),
        (x <= -1, lambda x: 0.5 * _half_gauss(x) * _erfcx_positive(-_ROOT_HALF * x)),
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


def erfc_single(x):
    """erfc of a flat float32 array."""
    z = np.minimum(np.abs(x), np.float32(10.3))
    t = 2 / (z + 2)
    y = poly(t, _ERFCX_SINGLE)
    z *= z
    y -= z
    np.exp(y, out=y)
    y *= t
    return np.where(x < 0, 2 - y, y)


def erf_single(x):
    """erf of a flat float32 array."""
    far = np.copysign(1 - erfc_single(np.abs(x)), x)
    return np.where(np.abs(x) < 1, x * poly(x * x, _ERF_SINGLE), far)


def ndtr_single(x):
    """The normal distribution function of a flat float32 array."""
    y = erfc_single(x * np.float32(-_ROOT_HALF))
    y *= np.float32(0.5)
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
        return t * (_TWO_OVER_ROOT_PI * _gaussian(x))

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
        return t * (-_TWO_OVER_ROOT_PI * _gaussian(x))

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
        return t * (2 * x * y - _TWO_OVER_ROOT_PI)

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
            (x > -1, lambda x: np.log1p(-ndtr_array(-x))),
            (
                x <= -1,
                lambda x: np.log(0.5 * _erfcx_positive(-_ROOT_HALF * x)) - 0.5 * x * x,
            ),
        )

    def dx(t, x):
        return t * (math.sqrt(2 / math.pi) / op.erfcx(-_ROOT_HALF * x))

    def lower(b, x):
        return b.log_ndtr(x)


# ---------------------------------------------------------------- x ln y


def _zero_where(condition, y):
    return op.where(condition, number(0, y), y)


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

    def lower(b, x1, x2):
        empty = b.logical_and(b.compare("==", x1, 0.0), b.logical_not(b.isnan(x2)))
        return b.select(empty, 0.0, b.mul(x1, b.log(x2)))


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

    def lower(b, x1, x2):
        empty = b.logical_and(b.compare("==", x1, 0.0), b.logical_not(b.isnan(x2)))
        return b.select(empty, 0.0, b.mul(x1, b.log1p(x2)))


class Entr(Elementwise):
    """Entropy, −x ln x; 0 at 0 and −∞ below.

    >>> special.entr(tensor([0., 0.5, -1.]))
    tensor([0.0000, 0.3466,   -inf])
    """

    inexact = singular = True
    takes = "f"
    samples = uniform((3, 2), low=0.2, high=3)
    reference = staticmethod(lambda x: -np.log(x**x))

    def eager(x):
        y = np.where(x == 0, x, -x * np.log(x))
        return np.where(x < 0, np.asarray(-np.inf, x.dtype), y)

    def dx(t, x):
        return t * (-op.log(x) - 1)

    def lower(b, x):
        y = b.neg(b.mul(x, b.log(x)))
        zero, below = b.compare("==", x, 0.0), b.compare("<", x, 0.0)
        return b.choose((zero, x), (below, -math.inf), y)


class Logit(Elementwise):
    """ln(x / (1 − x)), the inverse of the logistic function.

    >>> logit(tensor([0.5, 0.8808]))
    tensor([0.0000, 2.0000])
    """

    inexact = singular = True
    takes = "f"
    samples = uniform((3, 2), low=0.1, high=0.9)
    reference = staticmethod(lambda x: np.log(x / (1 - x)))

    @blockwise
    def eager(x):
        middle = np.abs(x - 0.5) < 0.25
        return np.where(middle, 2 * np.arctanh(2 * x - 1), np.log(x) - np.log1p(-x))

    def dx(t, x):
        return t / (x * (1 - x))

    def lower(b, x):
        return b.logit(x)


# ---------------------------------------------------------------- inverses of erf and ndtr

# M. Giles, Approximating the erfinv function, 2010: seven digits, which two steps of
# Halley's iteration double and double again.
_GILES_NEAR = (
    2.81022636e-08,
    3.43273939e-07,
    -3.5233877e-06,
    -4.39150654e-06,
    0.00021858087,
    -0.00125372503,
    -0.00417768164,
    0.246640727,
    1.50140941,
)
_GILES_FAR = (
    -0.000200214257,
    0.000100950558,
    0.00134934322,
    -0.00367342844,
    0.00573950773,
    -0.0076224613,
    0.00943887047,
    1.00167406,
    2.83297682,
)


def _giles(w):
    """erfinv(x)/x of w = −ln(1 − x²)."""
    return np.where(
        w < 5,
        poly(w - 2.5, _GILES_NEAR),
        poly(np.sqrt(np.maximum(w, 5)) - 3, _GILES_FAR),
    )


def _erfinv_middle(x):
    y = _giles(-np.log1p(-x * x)) * x
    for _ in range(2):
        error = (erf_array(y) - x) / (_TWO_OVER_ROOT_PI * np.exp(-y * y))
        y = y - error / (1 + y * error)
    return y


def _erfcinv_tail(q):
    """y > 0 with erfc(y) = q < 1/2, by Newton's iteration on the logarithm."""
    log_q = np.log(q)
    start = _giles(np.minimum(-np.log(q * (2 - q)), 15)) * (1 - q)
    far = np.maximum(-log_q - 0.5 * np.log(np.maximum(-log_q, 1) * np.pi), 1)
    y = np.where(log_q < -15, np.sqrt(far), start)
    for _ in range(4):
        scaled = _erfcx_positive(y)
        y = y + (np.log(scaled) - y * y - log_q) * scaled / _TWO_OVER_ROOT_PI
    return y


def _erfcinv(q):
    return pieces(
        q,
        (q == 0, lambda q: np.full(q.shape, np.inf)),
        (q == 2, lambda q: np.full(q.shape, -np.inf)),
        ((q > 0) & (q < 0.5), _erfcinv_tail),
        ((q >= 0.5) & (q <= 1.5), lambda q: _erfinv_middle(1 - q)),
        ((q > 1.5) & (q < 2), lambda q: -_erfcinv_tail(2 - q)),
    )


class Erfinv(Elementwise):
    """The inverse of the error function.

    >>> erfinv(tensor([0., 0.8427, 1.]))
    tensor([0.0000, 1.0000,    inf])
    """

    inexact = singular = True
    takes = "f"
    samples = uniform((3, 2), low=-0.95, high=0.95)
    reference = numeric(lambda x: _bisected(math.erf, x))

    @blockwise
    def eager(x):
        return pieces(
            x,
            (np.abs(x) <= 0.5, _erfinv_middle),
            (x > 0, lambda x: _erfcinv(1 - x)),
            (x < 0, lambda x: -_erfcinv(1 + x)),
        )

    def dx(t, y):
        return t * (1 / _TWO_OVER_ROOT_PI * op.exp(y * y))


class Ndtri(Elementwise):
    """The inverse of the normal distribution function.

    >>> special.ndtri(tensor([0.5, 0.9772]))
    tensor([0.0000, 1.9991])
    """

    inexact = singular = True
    takes = "f"
    samples = uniform((3, 2), low=0.05, high=0.95)
    reference = numeric(lambda x: math.sqrt(2) * _bisected(math.erf, 2 * x - 1))

    @blockwise
    def eager(x):
        return 0.0 - math.sqrt(2) * _erfcinv(2 * x)

    def dx(t, y):
        return t * (math.sqrt(2 * math.pi) * op.exp(0.5 * y * y))


def _bisected(f, value, low=-9.0, high=9.0):
    """Where an increasing function takes a value."""
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if f(middle) < value else (low, middle)
    return middle


# ---------------------------------------------------------------- gamma

_BERNOULLI = (
    1 / 6,
    -1 / 30,
    1 / 42,
    -1 / 30,
    5 / 66,
    -691 / 2730,
    7 / 6,
    -3617 / 510,
    43867 / 798,
    -174611 / 330,
    854513 / 138,
    -236364091 / 2730,
)
_STIRLING = tuple(b / (2 * k * (2 * k - 1)) for k, b in enumerate(_BERNOULLI[:9], 1))
_DIGAMMA_TAIL = tuple(b / (2 * k) for k, b in enumerate(_BERNOULLI[:9], 1))
_DIGAMMA_ROOT = (1.4616321449683622, 9.549995429965697e-17)


def _stirling(x):
    """lgamma(x) − (x − ½) ln x + x − ½ ln 2π, for x ≥ 10."""
    z = 1 / x
    return z * poly(z * z, _STIRLING[::-1])


def _lgamma_large(x):
    y = (x - 0.5) * np.log(x) - x + 0.5 * math.log(2 * math.pi) + _stirling(x)
    return np.where(x == np.inf, x, y)


def _lgamma_middle(x):
    """For 3 ≤ x < 10: down to [2, 3) by Γ(x) = (x − 1) Γ(x − 1)."""
    product = np.ones(x.shape)
    for _ in range(7):
        down = x >= 3
        x = np.where(down, x - 1, x)
        product = np.where(down, product * x, product)
    return _lgamma_near(x) + np.log(product)


def _lgamma_near(x):
    return (x - 1) * (x - 2) * series(table.LGAMMA, x, 1, 3) + 0.0  # 0, not -0, at 1


def _sine_pi(x):
    """sin(πx), exact at integers."""
    n = np.round(x)
    return np.where(n % 2 == 0, 1, -1) * np.sin(np.pi * (x - n))


def _lgamma_negative(x):
    return np.log(np.pi / np.abs(_sine_pi(x))) - lgamma_array(1 - x)


def lgamma_array(x):
    """lgamma of a flat float64 array."""
    return pieces(
        x,
        (x >= 10, _lgamma_large),
        (x >= 3, _lgamma_middle),
        (x >= 1, _lgamma_near),
        (x > 0, lambda x: _lgamma_near(x + 1) - np.log(x)),
        (x == np.floor(x), lambda x: np.full(x.shape, np.inf)),
        (x < 0, _lgamma_negative),
    )


def _digamma_large(x):
    z = 1 / (x * x)
    return np.log(x) - 0.5 / x - z * poly(z, _DIGAMMA_TAIL[::-1])


def _digamma_middle(x):
    shift = np.zeros(x.shape)
    for _ in range(7):
        up = x < 10
        shift = np.where(up, shift + 1 / x, shift)
        x = np.where(up, x + 1, x)
    return _digamma_large(x) - shift


def _digamma_near(x):
    high, low = _DIGAMMA_ROOT
    return ((x - high) - low) * series(table.DIGAMMA, x, 1, 3)


def _digamma_negative(x):
    r = x - np.round(x)
    return digamma_array(1 - x) - np.pi / np.tan(np.pi * r)


def digamma_array(x):
    """digamma of a flat float64 array; −∞ at 0, NaN at the other poles."""
    return pieces(
        x,
        (x == np.inf, lambda x: x),
        (x >= 10, _digamma_large),
        (x >= 3, _digamma_middle),
        (x >= 1, _digamma_near),
        (x > 0, lambda x: _digamma_near(x + 1) - 1 / x),
        (x == 0, lambda x: np.copysign(np.inf, -x)),
        ((x < 0) & (x != np.floor(x)), _digamma_negative),
    )


class Lgamma(Elementwise):
    """ln |Γ(x)|.

    >>> lgamma(tensor([1., 5., 0.5]))
    tensor([0.0000, 3.1781, 0.5724])
    """

    inexact = True
    takes = "f"
    samples = uniform((3, 2), low=0.3, high=6)
    reference = numeric(math.lgamma)
    eager = blockwise(lgamma_array)

    def dx(t, x):
        return t * op.digamma(x)

    def lower(b, x):
        return b.lgamma(x)


class Digamma(Elementwise):
    """The derivative of ln Γ.

    >>> digamma(tensor([1., 0.5]))
    tensor([-0.5772, -1.9635])
    """

    inexact = True
    takes = "f"
    samples = uniform((3, 2), low=0.4, high=6)
    reference = numeric(
        lambda x: (math.lgamma(x + 1e-5) - math.lgamma(x - 1e-5)) / 2e-5
    )
    eager = blockwise(digamma_array)

    def dx(t, x):
        return t * op.polygamma(x, n=1)

    def lower(b, x):
        return b.digamma(x)


class Polygamma(Elementwise):
    """The derivative of order n of digamma, (−1)^(n+1) n! ζ(n + 1, x).

    >>> polygamma(1, tensor([1., 0.5]))
    tensor([1.6449, 4.9348])
    """

    inexact = True
    takes = "f"
    reference = staticmethod(
        lambda x, n: (
            (-1) ** (n + 1)
            * math.factorial(n)
            * _zeta_by_sum(float(n + 1), np.asarray(x))
        )
    )

    def samples(rng):
        return [((rng.uniform(0.6, 5, (3, 2)),), {"n": n}) for n in (1, 2, 3)]

    @blockwise
    def eager(x, *, n):
        if n == 0:
            return digamma_array(x)
        if n == 1:
            return np.where(x < 0.5, _trigamma_reflected(x), _zeta(2.0, x))
        sign = (-1.0) ** (n + 1)
        return sign * math.exp(math.lgamma(n + 1)) * _zeta(n + 1.0, x)

    def dx(t, x, n):
        return t * op.polygamma(x, n=n + 1)


def _trigamma_reflected(x):
    """For x < ½ from 1 − x."""
    return (np.pi / _sine_pi(np.minimum(x, 0.5))) ** 2 - _zeta(
        2.0, np.maximum(1 - x, 0.5)
    )


def _zeta_by_sum(s, q, terms=4000):
    """Hurwitz's zeta by plain summation and the integral of what is left."""
    k = np.arange(terms).reshape(-1, *(1,) * np.ndim(q))
    n = q + terms
    return (
        ((k + q) ** -s).sum(0)
        + n ** (1 - s) / (s - 1)
        + 0.5 * n**-s
        + s / 12 * n ** (-s - 1)
    )


_LARGE_S = 200  # beyond, what follows the first terms is nothing
_FARTHEST = -1e4  # how far below 0 the terms of ζ(s, q) are summed one by one


def _zeta(s, q):
    """Hurwitz's zeta by Euler and Maclaurin's formula, started far enough up for s."""
    s, q = np.broadcast_to(s, q.shape).astype(float), q.copy()
    q[q < _FARTHEST] = np.nan
    start = 10 + 0.75 * np.minimum(s, _LARGE_S)
    total = np.zeros(q.shape)
    while (low := q < start).any():
        total[low] += q[low] ** -s[low]
        q[low] += 1
    return total + np.where(s > _LARGE_S, 0, _zeta_tail(s, q))


def _zeta_tail(s, q):
    power = q**-s
    total = power * q / (s - 1) + 0.5 * power
    factor, fall = s, power / q
    for k, b in enumerate(_BERNOULLI, 1):
        total = total + b / math.factorial(2 * k) * factor * fall
        factor = factor * (s + 2 * k - 1) * (s + 2 * k)
        fall = fall / (q * q)
    return total


class Zeta(Elementwise):
    """Hurwitz's zeta function, Σ over k ≥ 0 of (k + x₂)^(−x₁).

    >>> special.zeta(tensor([2.]), tensor([1.]))
    tensor([1.6449])
    """

    inexact = True
    takes = "f"
    decides = 1
    reference = staticmethod(_zeta_by_sum)

    def samples(rng):
        return [((rng.integers(2, 5, (3, 2)), rng.uniform(0.5, 4, (3, 2))), {})]

    @blockwise
    def eager(x1, x2):
        pole, whole = x2 == np.floor(x2), x1 == np.floor(x1)
        return pieces2(
            x1,
            x2,
            ((x1 == 1) | ((x1 > 1) & (x2 <= 0) & pole), _infinite),
            ((x1 > 1) & ((x2 > 0) | whole), _zeta),
        )

    def dx1(t):
        raise GradError("zeta: the derivative in the first argument is not implemented")

    def dx2(t, x1, x2):
        return t * (-x1 * op.zeta(x1 + 1, x2))


def _infinite(x1, x2):
    return np.full(x1.shape, np.inf)


def pieces2(x1, x2, *cases):
    """`pieces` of two arguments."""
    out = np.full(x1.shape, np.nan)
    free = np.full(x1.shape, True)
    for condition, formula in cases:
        here = free & condition
        if here.any():
            out[here] = formula(x1[here], x2[here])
            free &= ~here
    return out


# ---------------------------------------------------------------- incomplete gamma

_EPS = 2.0**-53


def _mu_minus_log1p(m):
    """m − ln(1 + m), by a series where they nearly cancel."""
    r = m / (2 + m)
    z = r * r
    tail = poly(z, tuple(1 / (2 * k + 3) for k in range(14, -1, -1)))
    return np.where(np.abs(m) < 0.5, m * r - 2 * r * z * tail, m - np.log1p(m))


def _gamma_front(a, x):
    """x^a e^(−x) / Γ(a + 1)."""
    small = np.exp(a * np.log(x) - x - lgamma_array(a + 1))
    big = np.maximum(a, 10)
    fall = np.exp(-big * _mu_minus_log1p((x - big) / big) - _stirling(big))
    return np.where(a < 10, small, fall / np.sqrt(2 * np.pi * big))


def _lower_series(a, x):
    """P(a, x) by its power series, for x < a + 1."""
    term, total, k = np.ones(a.shape), np.ones(a.shape), a.copy()
    for _ in range(_MOST_TERMS):
        k += 1
        term = term * (x / k)
        total += term
        if (term <= _EPS * total).all():
            break
    return total * _gamma_front(a, x)


def _upper_fraction(a, x):
    """Q(a, x) by Legendre's continued fraction after Lentz, for x ≥ a + 1."""
    b = x + 1 - a
    c, d = np.full(a.shape, 1e300), 1 / b
    h = d.copy()
    for i in range(1, _MOST_TERMS):
        b = b + 2
        step = -i * (i - a)
        d = step * d + b
        c = b + step / c
        d = 1 / np.where(d == 0, 1e-300, d)
        c = np.where(c == 0, 1e-300, c)
        change = c * d
        h = h * change
        if (np.abs(change - 1) <= 2 * _EPS).all():
            break
    return h * a * _gamma_front(a, x)


_MOST_TERMS = 4000
_LARGE_A = 1e4  # from here on Temme's expansion takes over
# N. M. Temme, The asymptotic expansion of the incomplete gamma functions, 1979.
_TEMME = (
    (
        -1 / 3,
        1 / 12,
        -2 / 135,
        1 / 864,
        0.00035273368606701940,
        -0.00017875514403292181,
        3.9192631785224378e-5,
        -2.1854485106799922e-6,
        -1.8540622107151600e-6,
    ),
    (
        -1 / 540,
        -1 / 288,
        0.0026455026455026455,
        -0.00099022633744855967,
        0.00020576131687242798,
        -4.0187757201646091e-7,
        -1.8098550334489978e-5,
    ),
    (0.0041335978835978836, -0.0026813271604938272, 0.00077160493827160494),
)


def _temme(a, x, upper):
    """P or Q for large a, uniformly in x/a."""
    m = (x - a) / a
    half_square = _mu_minus_log1p(m)
    eta = np.sign(m) * np.sqrt(2 * half_square)
    near = np.clip(eta, -0.5, 0.5)
    rest = sum(poly(near, c[::-1]) / a**k for k, c in enumerate(_TEMME))
    rest = rest * np.exp(-a * half_square) / np.sqrt(2 * np.pi * a)
    side = eta * np.sqrt(a / 2)
    return 0.5 * erfc_array(side) + rest if upper else 0.5 * erfc_array(-side) - rest


def _incomplete(a, x, upper):
    one = float(upper)

    def constant(value):
        return lambda a, x: np.full(a.shape, value)

    def lower_series(a, x):
        y = _lower_series(a, x)
        return 1 - y if upper else y

    def upper_fraction(a, x):
        y = _upper_fraction(a, x)
        return y if upper else 1 - y

    return pieces2(
        a,
        x,
        ((a < 0) | (x < 0) | ((a == 0) & (x == 0)), constant(np.nan)),
        ((a == np.inf) & (x == np.inf), constant(np.nan)),
        ((a == 0) | (x == np.inf), constant(1 - one)),
        ((x == 0) | (a == np.inf), constant(one)),
        (a > _LARGE_A, lambda a, x: _temme(a, x, upper)),
        (x < a + 1, lower_series),
        (x >= a + 1, upper_fraction),
    )


class _IncompleteGamma(Elementwise, abstract=True):
    inexact = True
    takes = "f"
    decides = 1

    def samples(rng):
        return [((rng.integers(1, 6, (3, 2)), rng.uniform(0.5, 8, (3, 2))), {})]


class Gammainc(_IncompleteGamma):
    """Regularized lower incomplete gamma function, ∫₀^x₂ s^(x₁−1) e^(−s) ds / Γ(x₁).

    >>> special.gammainc(tensor([2.]), tensor([1.]))
    tensor([0.2642])
    """

    reference = numeric(
        lambda a, x: 1 - math.exp(-x) * sum(x**k / math.factorial(k) for k in range(a))
    )

    @blockwise
    def eager(x1, x2):
        return _incomplete(x1, x2, False)

    def dx1(t):
        raise GradError("gammainc: the derivative in the first argument is unknown")

    def dx2(t, x1, x2):
        return t * _gamma_density(x1, x2)


class Gammaincc(_IncompleteGamma):
    """Regularized upper incomplete gamma function, 1 − gammainc.

    >>> special.gammaincc(tensor([2.]), tensor([1.]))
    tensor([0.7358])
    """

    reference = numeric(
        lambda a, x: math.exp(-x) * sum(x**k / math.factorial(k) for k in range(a))
    )

    @blockwise
    def eager(x1, x2):
        return _incomplete(x1, x2, True)

    def dx1(t):
        raise GradError("gammaincc: the derivative in the first argument is unknown")

    def dx2(t, x1, x2):
        return -t * _gamma_density(x1, x2)


def _gamma_density(a, x):
    """x^(a−1) e^(−x) / Γ(a)."""
    a = op.cast(a, dtype=dtype_of(x))
    return op.exp(op.xlogy(a - 1, x) - x - op.lgamma(a))


# ---------------------------------------------------------------- Bessel functions


def _i_scaled(n, x):
    """e^(−|x|) I_n(x); I_1 is odd."""
    a = np.abs(x)
    near, far = getattr(table, f"I{n}_NEAR"), getattr(table, f"I{n}_FAR")
    factor = x if n else 1.0
    sign = np.sign(x) if n else 1.0
    y = pieces(
        a,
        (a <= 8, lambda a: series(near, a, 0, 8)),
        (a > 8, lambda a: series(far, 8 / a, 0, 1) / np.sqrt(a)),
    )
    return y * np.where(a <= 8, factor, sign)


def _i_plain(n, x):
    """I_n(x), whose eᵃ is split in two: it overflows before their product does."""
    half = np.exp(0.5 * np.abs(x))
    y = half * _i_scaled(n, x) * half
    return np.where(np.isinf(x), np.sign(x) ** n * np.inf, y)


def _k_scaled(n, x):
    """eˣ K_n(x) for x > 0."""
    near, far = getattr(table, f"K{n}_NEAR"), getattr(table, f"K{n}_FAR")
    sign = (-1) ** (n + 1)

    def small(x):
        rest = series(near, x * x, 0, 4)
        rest = rest * x + 1 / x if n else rest
        return (rest + sign * np.log(0.5 * x) * _i_plain(n, x)) * np.exp(x)

    return pieces(
        x,
        (x == 0, lambda x: np.full(x.shape, np.inf)),
        ((x > 0) & (x <= 2), small),
        (x > 2, lambda x: series(far, 2 / x, 0, 1) / np.sqrt(x)),
    )


def _wave(n, x, second):
    """J_n or Y_n for x > 8 by modulus and phase; the shift of (2n + 1) π/4 is exact."""
    u = 8 / x
    p = series(getattr(table, f"P{n}"), u * u, 0, 1)
    q = series(getattr(table, f"Q{n}"), u * u, 0, 1) * u
    sine, cosine = np.sin(x), np.cos(x)
    # cos(x − π/4) and sin(x − π/4); for n = 1 they are turned by another quarter
    c, s = (cosine + sine) * _ROOT_HALF, (sine - cosine) * _ROOT_HALF
    c, s = (s, -c) if n else (c, s)
    y = p * s + q * c if second else p * c - q * s
    y = y * np.sqrt(2 / np.pi / x)
    return np.where(np.isinf(x), 0.0, y)


def _j(n, x):
    near = getattr(table, f"J{n}_NEAR")
    a = np.abs(x)
    y = pieces(
        a,
        (a <= 8, lambda a: series(near, a * a, 0, 64) * (a if n else 1)),
        (a > 8, lambda a: _wave(n, a, False)),
    )
    return np.where(x < 0, -y, y) if n else y


def _y(n, x):
    near = getattr(table, f"Y{n}_NEAR")

    def small(x):
        rest = series(near, x * x, 0, 64)
        rest = rest * x - 2 / np.pi / x if n else rest
        return rest + 2 / np.pi * np.log(0.5 * x) * _j(n, x)

    return pieces(
        x,
        (x == 0, lambda x: np.full(x.shape, -np.inf)),
        ((x > 0) & (x <= 8), small),
        (x > 8, lambda x: _wave(n, x, True)),
    )


def _over_x(y, x):
    """y/x for a y that is x/2 near 0."""
    zero = x == 0
    one, half = (number(v, x) for v in (1, 0.5))
    return op.where(zero, half, y / op.where(zero, one, x))


def _by_integral(kernel, low, high):
    """A reference: the mean of kernel(x, s) over s in a period, by the midpoint rule."""

    def f(x):
        n = 4000
        step = (high - low) / n
        return math.fsum(kernel(x, low + (k + 0.5) * step) for k in range(n)) * step

    return numeric(f)


class _Bessel(Elementwise, abstract=True):
    inexact = True
    takes = "f"
    samples = uniform((3, 2), low=0.3, high=12)


class I0(_Bessel):
    """Modified Bessel function of the first kind of order 0.

    >>> i0(tensor([0., 1.]))
    tensor([1.0000, 1.2661])
    """

    samples = uniform((3, 2))
    reference = _by_integral(
        lambda x, s: math.exp(x * math.cos(s)) / math.pi, 0, math.pi
    )

    @blockwise
    def eager(x):
        return _i_plain(0, x)

    def dx(t, x):
        return t * op.i1(x)

    def lower(b, x):
        return b.i0(x)


class I1(_Bessel):
    """Modified Bessel function of the first kind of order 1.

    >>> special.i1(tensor([0., 1.]))
    tensor([0.0000, 0.5652])
    """

    samples = uniform((3, 2))
    reference = _by_integral(
        lambda x, s: math.cos(s) * math.exp(x * math.cos(s)) / math.pi, 0, math.pi
    )

    @blockwise
    def eager(x):
        return _i_plain(1, x)

    def dx(t, y, x):
        return t * (op.i0(x) - _over_x(y, x))

    def lower(b, x):
        return b.i1(x)


class I0e(_Bessel):
    """exp(−|x|) i0(x).

    >>> special.i0e(tensor([0., 1000.]))
    tensor([1.0000, 0.0126])
    """

    reference = _by_integral(
        lambda x, s: math.exp(x * math.cos(s) - abs(x)) / math.pi, 0, math.pi
    )

    @blockwise
    def eager(x):
        return _i_scaled(0, x)

    def dx(t, y, x):
        return t * (op.i1e(x) - op.sgn(x) * y)

    def lower(b, x):
        return b.i0e(x)


class I1e(_Bessel):
    """exp(−|x|) i1(x).

    >>> special.i1e(tensor([0., 1.]))
    tensor([0.0000, 0.2079])
    """

    reference = _by_integral(
        lambda x, s: math.cos(s) * math.exp(x * math.cos(s) - abs(x)) / math.pi,
        0,
        math.pi,
    )

    @blockwise
    def eager(x):
        return _i_scaled(1, x)

    def dx(t, y, x):
        return t * (op.i0e(x) - op.sgn(x) * y - _over_x(y, x))

    def lower(b, x):
        return b.i1e(x)


class BesselJ0(_Bessel):
    """Bessel function of the first kind of order 0.

    >>> special.bessel_j0(tensor([0., 2.4048]))
    tensor([1.0000e+00, 1.3300e-05])
    """

    reference = _by_integral(
        lambda x, s: math.cos(x * math.sin(s)) / math.pi, 0, math.pi
    )

    @blockwise
    def eager(x):
        return _j(0, x)

    def dx(t, x):
        return -t * op.bessel_j1(x)


class BesselJ1(_Bessel):
    """Bessel function of the first kind of order 1.

    >>> special.bessel_j1(tensor([0., 1.]))
    tensor([0.0000, 0.4401])
    """

    reference = _by_integral(
        lambda x, s: math.cos(s - x * math.sin(s)) / math.pi, 0, math.pi
    )

    @blockwise
    def eager(x):
        return _j(1, x)

    def dx(t, y, x):
        return t * (op.bessel_j0(x) - _over_x(y, x))


def _y_kernel(n):
    """Y_n as one integral over [0, 1]: an oscillating part and a falling one."""

    def f(x, s):
        wave = math.sin(x * math.sin(math.pi * s) - n * math.pi * s)
        v = s / (1 - s)
        if v > 20:
            return wave
        grown = math.exp(n * v) + (-1) ** n * math.exp(-n * v)
        fall = grown * math.exp(-min(x * math.sinh(v), 700))
        return wave - fall / math.pi / (1 - s) ** 2

    return f


class BesselY0(_Bessel):
    """Bessel function of the second kind of order 0.

    >>> special.bessel_y0(tensor([0., 1.]))
    tensor([  -inf, 0.0883])
    """

    reference = _by_integral(_y_kernel(0), 0, 1)

    @blockwise
    def eager(x):
        return _y(0, x)

    def dx(t, x):
        return -t * op.bessel_y1(x)


class BesselY1(_Bessel):
    """Bessel function of the second kind of order 1.

    >>> special.bessel_y1(tensor([0., 1.]))
    tensor([   -inf, -0.7812])
    """

    reference = _by_integral(_y_kernel(1), 0, 1)

    @blockwise
    def eager(x):
        return _y(1, x)

    def dx(t, y, x):
        return t * (op.bessel_y0(x) - y / x)


def _k_kernel(n, scaled):
    """K_n as an integral over [0, 1) of s/(1 − s)."""

    def f(x, s):
        v = s / (1 - s)
        if v > 20:
            return 0.0
        return math.exp(-x * (math.cosh(v) - scaled)) * math.cosh(n * v) / (1 - s) ** 2

    return f


class ModifiedBesselK0(_Bessel):
    """Modified Bessel function of the second kind of order 0.

    >>> special.modified_bessel_k0(tensor([1.]))
    tensor([0.4210])
    """

    reference = _by_integral(_k_kernel(0, 0), 0, 1)

    @blockwise
    def eager(x):
        return _k_scaled(0, x) * np.exp(-x)

    def dx(t, x):
        return -t * op.modified_bessel_k1(x)


class ModifiedBesselK1(_Bessel):
    """Modified Bessel function of the second kind of order 1.

    >>> special.modified_bessel_k1(tensor([1.]))
    tensor([0.6019])
    """

    reference = _by_integral(_k_kernel(1, 0), 0, 1)

    @blockwise
    def eager(x):
        return _k_scaled(1, x) * np.exp(-x)

    def dx(t, y, x):
        return -t * (op.modified_bessel_k0(x) + y / x)


class ScaledModifiedBesselK0(_Bessel):
    """eˣ times modified_bessel_k0(x).

    >>> special.scaled_modified_bessel_k0(tensor([1.]))
    tensor([1.1445])
    """

    reference = _by_integral(_k_kernel(0, 1), 0, 1)

    @blockwise
    def eager(x):
        return _k_scaled(0, x)

    def dx(t, y, x):
        return t * (y - op.scaled_modified_bessel_k1(x))


class ScaledModifiedBesselK1(_Bessel):
    """eˣ times modified_bessel_k1(x).

    >>> special.scaled_modified_bessel_k1(tensor([1.]))
    tensor([1.6362])
    """

    reference = _by_integral(_k_kernel(1, 1), 0, 1)

    @blockwise
    def eager(x):
        return _k_scaled(1, x)

    def dx(t, y, x):
        return t * (y - y / x - op.scaled_modified_bessel_k0(x))


class SphericalBesselJ0(Elementwise):
    """sin(x)/x, or its derivative of some `order`.

    >>> special.spherical_bessel_j0(tensor([0., 1.]))
    tensor([1.0000, 0.8415])
    """

    inexact = True
    takes = "f"
    reference = staticmethod(
        lambda x, order: np.real(
            np.mean(
                [
                    (1j * s) ** order * np.exp(1j * s * x)
                    for s in (np.arange(40000) + 0.5) / 20000 - 1
                ],
                axis=0,
            )
        )
    )

    def samples(rng):
        return [((rng.uniform(-8, 8, (3, 2)),), {"order": n}) for n in (0, 1, 2)]

    @blockwise
    def eager(x, *, order):
        far = np.abs(x) > order + 1
        y = _sine_ratio_series(np.where(far, 0, x), order)
        y[far] = _sine_ratio_recurrence(x[far], order)
        return y

    def dx(t, x, order):
        return t * op.spherical_bessel_j0(x, order=order + 1)


def _sine_ratio_series(x, n):
    """Taylor's series at 0: the term of power 2k − n is (−1)^k / ((2k + 1) (2k − n)!)."""
    y = np.zeros(x.shape)
    for k in range(-(-n // 2), n + 14):
        y += (-1) ** k / ((2 * k + 1) * math.factorial(2 * k - n)) * x ** (2 * k - n)
    return y


def _sine_ratio_recurrence(x, n):
    """x f⁽ᵏ⁾ + k f⁽ᵏ⁻¹⁾ = sin⁽ᵏ⁾(x)."""
    turns = (np.sin(x), np.cos(x), -np.sin(x), -np.cos(x))
    y = np.where(np.isinf(x), 0.0, turns[0] / x)
    for k in range(1, n + 1):
        y = np.where(np.isinf(x), 0.0, (turns[k % 4] - k * y) / x)
    return y


# ---------------------------------------------------------------- Airy


def _airy_falling(x, order):
    zeta = 2 / 3 * x * np.sqrt(x)
    far = getattr(table, f"AIRY{order}_FAR")
    y = series(far, _ZETA_2 / zeta, 0, 1) * np.exp(-zeta) / (2 * math.sqrt(math.pi))
    return -y * np.sqrt(np.sqrt(x)) if order else y / np.sqrt(np.sqrt(x))


_ZETA_2, _ZETA_4 = 2 / 3 * 2**1.5, 2 / 3 * 4**1.5


def _airy_swinging(x, order):
    z = -x
    zeta = 2 / 3 * z * np.sqrt(z)
    u = _ZETA_4 / zeta
    p = series(getattr(table, f"AIRY{order}_WAVE"), u * u, 0, 1)
    q = series(getattr(table, f"AIRY{order}_TURNED"), u * u, 0, 1) * u
    sine, cosine = np.sin(zeta), np.cos(zeta)
    c, s = (cosine + sine) * _ROOT_HALF, (sine - cosine) * _ROOT_HALF
    root = np.sqrt(np.sqrt(z))
    y = (s * p - c * q) * root if order else (c * p + s * q) / root
    return y / math.sqrt(math.pi)


def _airy_integral(order):
    """∫ cos(s³/3 + xs) ds / π along the ray on which s³ turns imaginary."""

    def kernel(x, s):
        angle = math.sqrt(3) / 2 * x * s
        wave = (
            -s * math.sin(angle + math.pi / 3)
            if order
            else math.cos(angle + math.pi / 6)
        )
        return math.exp(-(s**3) / 3 - x * s / 2) * wave / math.pi

    return _by_integral(kernel, 0, 7).__func__


class AiryAi(Elementwise):
    """The Airy function Ai, or its derivative if `order` is 1.

    >>> special.airy_ai(tensor([0., 1.]))
    tensor([0.3550, 0.1353])
    """

    inexact = True
    takes = "f"
    reference = staticmethod(lambda x, order: _airy_integral(order)(x))

    def samples(rng):
        x = rng.uniform(-6, 4, (3, 2))
        return [((x,), {"order": 0}), ((x,), {"order": 1})]

    @blockwise
    def eager(x, *, order):
        near = getattr(table, f"AIRY{order}_NEAR")
        return pieces(
            x,
            (np.isinf(x), lambda x: np.where(x > 0, 0.0, np.nan if order else 0.0)),
            (x > 2, lambda x: _airy_falling(x, order)),
            (x >= -4, lambda x: series(near, x, -4, 2)),
            (x < -4, lambda x: _airy_swinging(x, order)),
        )

    def dx(t, x, order):
        if order:
            return t * (x * op.airy_ai(x, order=0))
        return t * op.airy_ai(x, order=1)
