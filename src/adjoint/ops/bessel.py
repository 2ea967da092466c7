"""Bessel functions, plain and scaled."""

from __future__ import annotations

import math

import numpy as np

from ..core.primitive import Elementwise, number, op
from . import chebyshev as table
from .blockwise import blockwise, numeric, pieces, same_in_lanes
from .chebyshev import series
from .erf import ROOT_HALF
from .samples import uniform


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
    c, s = (cosine + sine) * ROOT_HALF, (sine - cosine) * ROOT_HALF
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

    lower = same_in_lanes(eager)

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

    lower = same_in_lanes(eager)

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

    lower = same_in_lanes(eager)

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

    lower = same_in_lanes(eager)

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

    lower = same_in_lanes(eager)

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

    lower = same_in_lanes(eager)

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

    lower = same_in_lanes(eager)

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

    lower = same_in_lanes(eager)

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
        return pieces(
            x,
            (np.abs(x) > order + 1, lambda x: _sine_ratio_recurrence(x, order)),
            (np.abs(x) <= order + 1, lambda x: _sine_ratio_series(x, order)),
        )

    lower = same_in_lanes(eager)

    def dx(t, x, order):
        return t * op.spherical_bessel_j0(x, order=order + 1)


def _sine_ratio_series(x, n):
    """Taylor's series at 0: the term of power 2k − n is (−1)^k / ((2k + 1) (2k − n)!)."""
    y = np.zeros(x.shape)
    for k in range(-(-n // 2), n + 14):
        c = (-1) ** k / ((2 * k + 1) * math.factorial(2 * k - n))
        y = y + c * x ** (2 * k - n)
    return y


def _sine_ratio_recurrence(x, n):
    """x f⁽ᵏ⁾ + k f⁽ᵏ⁻¹⁾ = sin⁽ᵏ⁾(x)."""
    turns = (np.sin(x), np.cos(x), -np.sin(x), -np.cos(x))
    y = np.where(np.isinf(x), 0.0, turns[0] / x)
    for k in range(1, n + 1):
        y = np.where(np.isinf(x), 0.0, (turns[k % 4] - k * y) / x)
    return y


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
    c, s = (cosine + sine) * ROOT_HALF, (sine - cosine) * ROOT_HALF
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

    lower = same_in_lanes(eager)

    def dx(t, x, order):
        if order:
            return t * (x * op.airy_ai(x, order=0))
        return t * op.airy_ai(x, order=1)
