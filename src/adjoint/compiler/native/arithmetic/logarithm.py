"""Logarithms, the inverses of hyperbolic functions, and powers, in lanes."""

from __future__ import annotations

import math

from ....errors import ArgumentError
from . import coefficients as table
from .exponential import Exponential
from .kinds import DOUBLE, FLOAT, is_int


class Logarithm(Exponential):
    """n times ln 2 plus a polynomial, and what follows from it."""

    def _mantissa(self, x):
        """(m, n) with x = m 2ⁿ and √½ ≤ m < √2, for positive x, denormal ones too."""
        f = self.format(x)
        tiny = self.compare("<", x, math.ldexp(1.0, 1 - f.bias))
        x = self.select(tiny, self.mul(x, math.ldexp(1.0, f.mantissa + 1)), x)
        bits = self.as_int(x)
        shift = self.number(f.mantissa, bits)
        k = self.b.ashr(self.sub(bits, table.SQRT_HALF[f.bits]), shift)
        m = self.as_float(self.sub(bits, self.b.shl(k, shift)), f)
        n = self.b.sitofp(k, x.type)
        lifted = self.select(tiny, self.number(f.mantissa + 1.0, x), 0.0)
        return m, self.sub(n, lifted)

    def _log_rest(self, t):
        """What ln(1 + t) has beside t - t²/2, and t²/2."""
        s = self.div(t, self.add(t, 2.0))
        z = self.mul(s, s)
        terms = table.LOG[self.format(t).bits]
        rest = self.mul(self.add(z, z), self.horner(z, terms))
        half = self.mul(self.mul(t, t), 0.5)
        return s, self.add(half, rest), half

    def _log_of(self, t, n, more=None):
        """n ln 2 + ln(1 + t) + more: t - (t²/2 - s (t²/2 + R)), in which nothing cancels."""
        s, rest, half = self._log_rest(t)
        high, low = table.LN2[self.format(t).bits]
        low = self.mul(n, low) if more is None else self.fma(n, low, more)
        inner = self.fma(s, rest, low)
        return self.fma(n, high, self.sub(t, self.sub(half, inner)))

    def _log_ends(self, x, y):
        """The logarithm y of x, right for what has none."""
        return self.choose(
            (self.isnan(x), x),
            (self.compare("<", x, 0.0), math.nan),
            (self.compare("==", x, 0.0), -math.inf),
            (self.compare("==", x, math.inf), math.inf),
            y,
        )

    def log(self, x):
        """ln x = n ln 2 + 2 artanh s, s = (m - 1)/(m + 1), odd in s."""
        m, n = self._mantissa(x)
        return self._log_ends(x, self._log_of(self.sub(m, 1.0), n))

    def _log_in_base(self, x, unit, two):
        """ln x in another base: 1/ln(base) and log(2) in two parts each."""
        m, n = self._mantissa(x)
        t = self.sub(m, 1.0)
        s, rest, half = self._log_rest(t)
        high = self.b.fsub(t, half)
        low = self.b.fsub(self.b.fsub(t, high), half)
        low = self.fma(s, rest, low)
        p, lost = self.two_product(high, unit[0])
        tail = self.fma(low, unit[0], self.fma(high, unit[1], lost))
        tail = self.fma(n, two[1], tail)
        y, lost = self.two_sum(self.b.fmul(n, self.number(two[0], n)), p)
        return self._log_ends(x, self.add(y, self.add(lost, tail)))

    def log2(self, x):
        """Logarithm to base 2, exact at its powers."""
        return self._log_in_base(x, table.PER_LN2[self.format(x).bits], (1.0, 0.0))

    def log10(self, x):
        """Logarithm to base 10."""
        bits = self.format(x).bits
        return self._log_in_base(x, table.PER_LN10[bits], table.LOG10_2[bits])

    def log1p(self, x, tail=None):
        """ln(1 + x + tail), exact near 0: the rounding of 1 + x is put back."""
        u = self.add(x, 1.0)
        m, n = self._mantissa(u)
        # 1 + x = u + lost; ln(u + lost) = ln u + lost/u. Near 0, x itself is what u is not.
        larger = self.compare(">", self.abs(x), 1.0)
        lost = self.select(
            larger,
            self.sub(1.0, self.sub(u, x)),
            self.sub(x, self.sub(u, 1.0)),
        )
        near = self.compare("<", self.abs(x), 0.25)
        t, n, lost = (
            self.select(near, *pair)
            for pair in ((x, self.sub(m, 1.0)), (0.0, n), (0.0, lost))
        )
        lost = self.div(lost if tail is None else self.add(lost, tail), u)
        y = self._log_ends(u, self._log_of(t, n, lost))
        return self.select(self.compare("==", x, 0.0), x, y)

    def logaddexp(self, x, y):
        """ln(eˣ + eʸ), through the larger."""
        high, d = self.maximum(x, y), self.abs(self.sub(x, y))
        d = self.select(self.compare("==", x, y), 0.0, d)
        return self.add(high, self.log1p(self.exp(self.neg(d))))

    def logaddexp2(self, x, y):
        """log₂(2ˣ + 2ʸ), through the larger."""
        high, d = self.maximum(x, y), self.abs(self.sub(x, y))
        d = self.select(self.compare("==", x, y), 0.0, d)
        return self.fma(self.log1p(self.exp2(self.neg(d))), 1 / math.log(2), high)

    def logit(self, x):
        """ln(x/(1 - x)), from what it exceeds 1 by where it is near 1."""
        d, lost = self.two_sum(1.0, self.neg(x))
        over = self.fma(x, 2.0, -1.0)
        u = self.div(over, d)
        rest = self.fma(u, lost, self.fma(u, d, self.neg(over)))
        middle = self.compare("<", self.abs(self.sub(x, 0.5)), 0.25)
        inner = self.log1p(u, self.neg(self.div(rest, d)))
        return self.select(middle, inner, self.log(self.div(x, d)))

    # ------------------------------------------------------------ hyperbolic inverses

    def asinh(self, x):
        """ln(|x| + √(x² + 1)) = ln(1 + |x| + x²/(1 + √(x² + 1)))."""
        a = self.abs(x)
        large = self.compare(">", a, 2.0 ** (self.format(x).mantissa // 2 + 2))
        b = self.select(large, 1.0, a)
        z = self.mul(b, b)
        more = self.div(z, self.add(self.sqrt(self.add(z, 1.0)), 1.0))
        u, lost = self.two_sum(b, more)
        u = self.select(large, self.sub(a, 1.0), u)
        y = self.log1p(u, self.select(large, 0.0, lost))
        y = self.select(large, self.add(y, math.log(2)), y)
        return self.copysign(self.select(self.isnan(x), x, y), x)

    def acosh(self, x):
        """ln(x + √(x² - 1)) = ln(1 + t + √(2t + t²)) with t = x - 1."""
        large = self.compare(">", x, 2.0 ** (self.format(x).mantissa // 2 + 2))
        t = self.sub(self.select(large, 2.0, x), 1.0)
        z, lost = self.two_product(t, t)
        s, more = self.two_sum(self.add(t, t), z)
        flip = self.compare(">", t, 2.0)
        s, more = (
            self.select(flip, *pair)
            for pair in zip(self.two_sum(z, self.add(t, t)), (s, more), strict=True)
        )
        root = self.sqrt(s)
        rest = self.sub(self.add(more, lost), self.fma(root, root, self.neg(s)))
        tail = self.div(rest, self.add(root, root))
        tail = self.select(self.compare("==", root, 0.0), 0.0, tail)
        u, lost = self.two_sum(root, t)
        v, other = self.two_sum(t, root)
        less = self.compare("<", root, t)
        u = self.select(less, v, u)
        lost = self.add(self.select(less, other, lost), tail)
        y = self.log1p(
            self.select(large, self.sub(x, 1.0), u), self.select(large, 0.0, lost)
        )
        y = self.select(large, self.add(y, math.log(2)), y)
        return self.select(self.compare("<", x, 1.0), math.nan, y)

    def atanh(self, x):
        """½ ln((1 + x)/(1 - x)) = ½ ln(1 + 2x/(1 - x))."""
        a = self.abs(x)
        d, lost = self.two_sum(1.0, self.neg(a))
        twice = self.add(a, a)
        u = self.div(twice, d)
        rest = self.fma(u, lost, self.fma(u, d, self.neg(twice)))
        tail = self.select(self.isfinite(u), self.neg(self.div(rest, d)), 0.0)
        y = self.mul(self.log1p(u, tail), 0.5)
        return self.copysign(self.select(self.isnan(x), x, y), x)

    # ------------------------------------------------------------ powers

    def pow(self, x, y):
        """x to the power y, with the special cases of IEEE 754."""
        x, y = self.both(x, y)
        if is_int(x):
            return self.any_power(x, y)
        single = self.format(x).bits == 32
        size = self._single_power if single else self._double_power
        a = self.abs(x)
        p = size(a, y)
        p = self.select(
            self.logical_and(self.compare("==", a, 1.0), self.isinf(y)), 1.0, p
        )
        whole = self.compare("==", self.trunc(y), y)
        half = self.mul(y, 0.5)
        odd = self.logical_and(whole, self.compare("!=", self.trunc(half), half))
        negative = self.signbit(x)
        p = self.select(self.logical_and(negative, odd), self.neg(p), p)
        bad = self.logical_and(self.compare("<", x, 0.0), self.logical_not(whole))
        bad = self.logical_and(bad, self.isfinite(x))
        one = self.b.or_(self.compare("==", x, 1.0), self.compare("==", y, 0.0))
        return self.choose((one, 1.0), (bad, math.nan), p)

    def _single_power(self, x, y):
        """Through doubles, which need no second part; polynomials of 48 bits do."""
        x, y = self.cast(x, DOUBLE), self.cast(y, DOUBLE)
        m, n = self._mantissa(x)
        s = self.div(self.sub(m, 1.0), self.add(m, 1.0))
        z = self.mul(s, s)
        s = self.add(s, s)
        log = self.fma(self.mul(s, z), self.horner(z, table.LOG[48]), s)
        log = self._log_ends(x, self.fma(n, math.log(2), log))
        p = self.mul(y, log)
        bounded = self.clamp(p, -200.0, 200.0)
        n, k = self.near_whole(bounded, 1 / math.log(2))
        r = self.fma(n, -math.log(2), bounded)
        m = self.fma(self.mul(r, r), self.horner(r, table.EXP[32]), r)
        e = self.power_of_two(k, self.format(x))
        return self.cast(self.select(self.isnan(p), p, self.fma(m, e, e)), FLOAT)

    def _double_power(self, x, y):
        """By a logarithm in two parts: relative to 2⁻⁶⁵."""
        high, low = self._log_in_parts(x)
        high = self._log_ends(x, high)
        p, lost = self.two_product(high, y)
        tail = self.fma(low, y, lost)
        tail = self.select(self.compare("<", self.abs(p), 1e4), tail, 0.0)
        return self.exp(p, tail)

    def _log_in_parts(self, x):
        """(high, low) of ln x = n ln 2 + 2 (s + s³/3 + s⁵ T(s²)) for positive x."""
        m, n = self._mantissa(x)
        t = self.sub(m, 1.0)
        d, lost = self.two_sum(2.0, t)
        s = self.div(t, d)
        rest = self.fma(s, lost, self.fma(s, d, self.neg(t)))
        s_low = self.neg(self.div(rest, d))
        z, z_low = self.two_product(s, s)
        z_low = self.fma(self.add(s, s), s_low, z_low)
        third = table.THIRD
        u, u_low = self.two_product(z, third[0])
        u_low = self.fma(z_low, third[0], self.fma(z, third[1], u_low))
        v, v_low = self.two_sum(
            u, self.mul(self.mul(z, z), self.horner(z, table.LOG_TAIL))
        )
        v_low = self.add(v_low, u_low)
        w, w_low = self.two_product(s, v)
        w_low = self.fma(s_low, v, self.fma(s, v_low, w_low))
        h, h_low = self.two_sum(s, w)
        h_low = self.add(h_low, self.add(s_low, w_low))
        return self._plus_ln2(n, self.add(h, h), self.add(h_low, h_low))

    def _plus_ln2(self, n, high, low):
        """n ln 2 + high + low, in two parts."""
        big, small = table.LN2[64]
        y, lost = self.two_sum(self.b.fmul(n, self.number(big, n)), high)
        low = self.fma(n, small, self.add(lost, low))
        return self.two_sum(y, low)

    def power(self, x, n: float):
        """x to a known power, by products and roots where two roundings do."""
        if is_int(x):
            if n < 0:
                raise ArgumentError(
                    "Integers to negative integer powers are not allowed"
                )
            return self.whole_power(x, int(n))
        if n == 0.5:
            return self.sqrt(x)
        if n == -0.5:
            return self._one_over_root(x)
        if n in (-1, -2, -3, -4):
            x, n = self.div(1.0, x), -n
        few = n in (0, 1, 2, 3, 4)
        return self.whole_power(x, int(n)) if few else self.pow(x, float(n))

    def _one_over_root(self, x):
        """x^-0.5, which is inf at -0, 0 at -inf, and finite where 1 / x is not."""
        y = self.div(1.0, self.sqrt(self.b.fadd(x, self.number(0.0, x))))
        return self.select(self.compare("==", x, -math.inf), 0.0, y)
