"""Exponentials and hyperbolic functions, as polynomials in lanes."""

from __future__ import annotations

import math

from . import coefficients as table
from .pieces import Pieces


class Exponential(Pieces):
    """2ⁿ times a polynomial, and what follows from it."""

    def _reduced(self, x):
        """(n, n as an integer, r, c) with x = n ln 2 + r - c, r exact, |r - c| ≤ ½ ln 2."""
        high, low = table.LN2[self.format(x).bits]
        n, k = self.near_whole(x, 1 / math.log(2))
        return n, k, self.fma(n, -high, x), self.mul(n, low)

    def _expm1_near(self, r, c=None):
        """e^(r - c) - 1 for |r - c| ≤ ½ ln 2 and a small c."""
        s = r if c is None else self.sub(r, c)
        tail = self.horner(s, table.EXP[self.format(r).bits])
        if c is None:
            return self.fma(self.mul(s, s), tail, r)
        return self.add(r, self.fma(self.mul(s, s), tail, self.neg(c)))

    def _exp_parts(self, x, tail=None):
        """(m, n) with e^(x + tail) = (1 + m) 2ⁿ, n within what `scaled` takes."""
        low, high = table.EXP_RANGE[self.format(x).bits]
        _, n, r, c = self._reduced(self.clamp(x, low - table.LEAST, high + 1))
        return self._expm1_near(r, c if tail is None else self.sub(c, tail)), n

    def exp(self, x, tail=None):
        """eˣ, or e^(x + tail) for a small tail.

        Where that is 0 it is not computed: processors are slow at what is below the smallest
        number, and masked scores are -inf.
        """
        if self.in_pieces(x):
            return self.exp_in_pieces(x, tail)
        some = self.compare(">=", x, table.EXP_RANGE[self.format(x).bits][0])
        m, n = self._exp_parts(self.select(some, x, 0.0), tail)
        y = self.scaled(self.add(m, 1.0), n)
        return self.select(some, y, self.select(self.isnan(x), x, 0.0))

    def exp2(self, x):
        """2ˣ = 2ⁿ e^(r ln 2) with |r| ≤ ½."""
        f = self.format(x)
        bounded = self.clamp(x, -f.bias - f.mantissa - 2.0, f.bias + 2.0)
        n, k = self.near_whole(bounded)
        m = self._expm1_near(self.mul(self.sub(bounded, n), math.log(2)))
        y = self.scaled(self.add(m, 1.0), k)
        return self.select(self.isnan(x), x, y)

    def expm1(self, x):
        """eˣ - 1, exact near 0: 2ⁿ (eʳ - 1) + (2ⁿ - 1)."""
        f = self.format(x)
        high = table.EXP_RANGE[f.bits][1]
        n, k, r, c = self._reduced(self.clamp(x, -float(f.mantissa), high + 1))
        m = self._expm1_near(r, c)
        # At the top 2ⁿ alone would overflow: half of it twice.
        big = self.compare(">", n, f.bias - 1.0)
        scale = self.power_of_two(self.select(big, self.sub(k, 1), k), f)
        one = self.select(big, self.number(0.5, x), 1.0)
        y = self.fma(m, scale, self.sub(scale, one))
        y = self.select(big, self.add(y, y), y)
        return self.choose(
            (self.isnan(x), x),
            (self.compare(">", x, high), math.inf),
            (self.compare("==", x, 0.0), x),
            (self.compare("==", n, 0.0), m),
            y,
        )

    def sinh(self, x):
        """Odd series below 1, else e^|x|/2 - 1/(2 e^|x|)."""
        a = self.abs(x)
        z = self.mul(a, a)
        count = 5 if self.format(x).bits == 32 else 9
        series = [1 / math.factorial(2 * k + 3) for k in range(count)]
        near = self.fma(self.mul(a, z), self.horner(z, series), a)
        e, inverse = self._half_exp(a)
        y = self.select(self.compare("<", a, 1.0), near, self.sub(e, inverse))
        return self.copysign(y, x)

    def cosh(self, x):
        """e^|x|/2 + 1/(2 e^|x|)."""
        e, inverse = self._half_exp(self.abs(x))
        return self.add(e, inverse)

    def _half_exp(self, x):
        """(eˣ/2, e⁻ˣ/2); NaN stays NaN."""
        m, n = self._exp_parts(x)
        e = self.scaled(self.add(m, 1.0), self.sub(n, 1))
        e = self.select(self.isnan(x), x, e)
        return e, self.div(0.25, e)

    def tanh(self, x):
        """E/(E + 2) with E = e^2|x| - 1, exact near 0; or by pieces."""
        if self.in_pieces(x):
            return self.odd_in_pieces("tanh", x, 10.0)
        f = self.format(x)
        a = self.abs(x)
        low = self.select(self.compare("<", a, f.mantissa * 0.5), a, f.mantissa * 0.5)
        _, n, r, c = self._reduced(self.add(low, low))
        s = self.sub(r, c)
        tail = self.horner(s, table.EXP[f.bits])
        more = self.fma(self.mul(s, s), tail, self.neg(c))
        scale = self.power_of_two(n, f)
        e = self.fma(scale, more, self.fma(scale, r, self.sub(scale, 1.0)))
        d, lost = self.two_sum(2.0, e)
        inverse = self.rough_inverse(d)
        y = self.b.fmul(e, inverse)
        rest = self.fma(self.neg(y), lost, self.fma(self.neg(y), d, e))
        y = self.copysign(self.fma(rest, inverse, y), x)
        return self.select(self.isnan(x), x, y)

    def sigmoid(self, x):
        """1/d for x ≥ 0 and e/d below, with e = e^-|x| = 2ⁿ (1 + m) and d = 1 + e."""
        y, _, n = self._sigmoid_parts(x)
        y = self.scaled(y, n)
        return y if self.in_pieces(x) else self.select(self.isnan(x), x, y)

    def silu(self, x):
        """x times the sigmoid with what its rounding lost; far out x or 0."""
        y, lost, n = self._sigmoid_parts(x)
        y = self.scaled(self.fma(x, y, self.mul(x, lost)), n)
        far = self.mul(
            x, self.select(self.compare(">", x, 0.0), self.number(1.0, x), 0.0)
        )
        end = table.LEAST - table.EXP_RANGE[self.format(x).bits][0]
        return self.select(self.compare("<", self.abs(x), end), y, far)

    def _sigmoid_parts(self, x):
        """(y, what it lost, n): the sigmoid is (y + lost) 2ⁿ, for 2ⁿ comes last, where it may
        be denormal.

        What the sum d lost is made good.
        """
        if self.in_pieces(x):
            return self.sigmoid_in_pieces(x)
        m, n = self._exp_parts(self.neg(self.abs(x)))
        scale = self.power_of_two(
            self.select(self.compare(">", n, -100), n, -100), self.format(x)
        )
        d, lost = self.two_sum(1.0, self.fma(scale, m, scale))
        inverse = self.inverse(d)
        below = self.compare("<", x, 0.0)
        more = self.fma(self.neg(lost), inverse, self.select(below, m, 0.0))
        y = self.fma(inverse, more, inverse)
        lost = self.fma(inverse, more, self.b.fsub(inverse, y))
        return y, lost, self.select(below, n, 0)
