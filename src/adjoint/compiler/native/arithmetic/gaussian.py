"""The error function and what is made of it, in lanes."""

from __future__ import annotations

import math

from . import coefficients as table
from .logarithm import Logarithm
from .pieces import EVEN_END

_ROOT_2, _PEAK = math.sqrt(2), math.sqrt(2 / math.pi)


class Gaussian(Logarithm):
    """e^(-x²) times a smooth function, the square in two parts."""

    def _erfcx_near(self, x, unit=1.0):
        """erfcx(x/unit) for 0 ≤ x/unit ≤ ERFC_END, in two parts.

        Of erfcx x = (1 + w v)/(1 + 2x) with w = x/(x + k), v a polynomial of it, both
        terms are held in two parts. One division gives both quotients.
        """
        bits = self.format(x).bits
        if self.in_pieces(x):
            c, d, q, lost = self.piece("erfcx" if unit == 1.0 else "erfcx/√2", x)
            return c, self.fma(d, q, lost)
        c, c_low = (2.0, 0.0) if unit == 1.0 else table.ROOT_2[bits]
        under, under_lost = self._one_plus(x, c, c_low)
        shifted = self.add(x, table.ERFCX_MIDDLE[bits] * unit)
        inverse = self.inverse(self.mul(under, shifted))
        w = self.mul(self.mul(x, under), inverse)
        v = self.horner(self.fma(w, 2.0, -1.0), table.ERFCX[bits])
        over, over_lost = self._one_plus(w, v)
        inverse = self.mul(shifted, inverse)
        y = self.b.fmul(over, inverse)
        rest = self.fma(self.neg(y), under_lost, over_lost)
        rest = self.add(self.fma(self.neg(y), under, over), rest)
        return y, self.mul(rest, inverse)

    def _one_plus(self, x, c, c_low=0.0):
        """1 + x (c + c_low) > 1 in two parts: what the sum lacks is exact."""
        y = self.fma(x, c, 1.0)
        lost = self.fma(x, c, self.b.fsub(self.number(1.0, x), y))
        return y, self.fma(x, c_low, lost) if c_low else lost

    def _tail(self, x, unit, halvings):
        """e^-(x/unit)² erfcx(x/unit)/2^halvings for x ≥ 0, unit² = 1 or 2.

        Where that is 0 it is not computed: processors are slow at what is denormal.
        """
        some, x = self._before_end(x, unit)
        y, more, n = self._tail_parts(x, unit, self._erfcx_near(x, unit))
        y = self.scaled(self.add(y, more), self.sub(n, halvings))
        return self.select(some, y, 0.0)

    def _before_end(self, x, unit):
        """(whether e^-(x/unit)² is not 0, the smaller of x and where it is)."""
        end = table.ERFC_END[self.format(x).bits] * unit
        some = self.compare("<", x, end)
        return some, self.select(some, x, end)

    def _tail_parts(self, x, unit, erfcx):
        """(y, rest, n): that tail is (y + rest) 2ⁿ, of erfcx in two parts, which y is of."""
        square, lost = self.two_product(x, x)
        part = -1.0 / round(unit * unit)
        if self.in_pieces(x):
            square, lost = self.mul(square, part), self.mul(lost, part)
            return self._times(erfcx, self.power_in_pieces(square, lost))
        _, n, r, c = self._reduced(self.mul(square, part))
        c = self.sub(c, self.mul(lost, part))
        s = self.sub(r, c)
        tail = self.horner(s, table.EXP[self.format(x).bits])
        m, lost = self.two_sum(r, self.fma(self.mul(s, s), tail, self.neg(c)))
        y, rest = erfcx
        more = self.fma(y, lost, self.fma(rest, m, rest))
        return y, self.fma(y, m, more), n

    def _times(self, erfcx, power):
        """The parts of a tail, of erfcx in two and a power in pieces."""
        (c, rest), (p, t, n) = erfcx, power
        y, lost = self.two_product(c, p)
        return y, self.fma(c, t, self.fma(rest, self.add(p, t), lost)), n

    def _erf_near(self, x):
        """erf x for |x| ≤ 1."""
        terms = table.ERF[self.format(x).bits]
        return self.fma(x, self.horner(self.mul(x, x), terms), x)

    def erf(self, x):
        """Odd polynomial below 1, else 1 - erfc; or by pieces."""
        if self.in_pieces(x):
            return self.odd_in_pieces("erf", x, 4.5)
        a = self.abs(x)
        far = self.sub(1.0, self._tail(a, 1.0, 0))
        y = self.select(self.compare("<", a, 1.0), self._erf_near(a), far)
        return self.copysign(self.select(self.isnan(x), x, y), x)

    def erfc(self, x):
        """1 - erf x, to full relative precision where it is small."""
        tail = self._tail(self.abs(x), 1.0, 0)
        y = self.select(self.compare("<", x, 0.0), self.sub(2.0, tail), tail)
        return self.select(self.isnan(x), x, y)

    def ndtr(self, x):
        """The normal distribution function, erfc(-x/√2)/2."""
        tail = self._tail(self.abs(x), _ROOT_2, 1)
        y = self.select(self.compare(">", x, 0.0), self.sub(1.0, tail), tail)
        return self.select(self.isnan(x), x, y)

    def gelu(self, x):
        """x times `ndtr`: max(x, 0) - |x| times the tail."""
        if not self.in_pieces(x):
            return self._gelu(x)
        a = self.abs(x)
        above = self.select(self.compare(">", 0.0, x), 0.0, x)
        y = self.fma(a, self.neg(self.tail_in_pieces("tail", a)), above)
        return self._where_near(x, y, "gelu", Gaussian._gelu)

    def _where_near(self, x, y, name, f):
        """y, which is f(x) where pieces of tails are; a function gives it for the others."""
        far = self.b.fcmp_unordered(">=", *self.both(self.abs(x), EVEN_END))

        def slow():
            return (self.select(far, self.shared(name, f, x), y),)

        return self.rarely(far, slow, y)[0]

    def _gelu(self, x):
        """The same for all x, which is denormal last of all."""
        some, a = self._before_end(self.abs(x), _ROOT_2)
        y, more, n = self._tail_parts(a, _ROOT_2, self._erfcx_near(a, _ROOT_2))
        a = self.select(some, self.scaled(a, self.sub(n, 1)), 0.0)
        # x 0 is a zero with the sign of x, and NaN for NaN and -∞.
        above = self.select(self.compare(">", x, 0.0), x, self.mul(x, 0.0))
        return self.fma(a, self.neg(self.add(y, more)), above)

    def gelu_slope(self, x):
        """With g(a) = `tail` less a e^(-a²/2)/√(2π) of a = |x|: g below 0, else 1 - g."""
        if not self.in_pieces(x):
            return self._gelu_slope(x)
        y = self.tail_in_pieces("slope", self.abs(x))
        y = self.select(self.compare("<", x, 0.0), y, self.sub(1.0, y))
        return self._where_near(x, y, "gelu slope", Gaussian._gelu_slope)

    def _gelu_slope(self, x):
        """The same for all x: g(a) = e^(-a²/2) (erfcx(a/√2)/2 - a/√(2π))."""
        some, a = self._before_end(self.abs(x), _ROOT_2)
        y, rest = self._erfcx_near(a, _ROOT_2)
        y, rest, n = self._tail_parts(a, _ROOT_2, (self.fma(a, -_PEAK, y), rest))
        y = self.scaled(self.add(y, rest), self.sub(n, 1))
        y = self.select(some, y, 0.0)
        y = self.select(self.compare("<", x, 0.0), y, self.sub(1.0, y))
        return self.select(self.isnan(x), x, y)

    def _erfcx_far(self, x):
        """erfcx beyond ERFC_END, by its asymptotic series."""
        z = self.div(1.0, self.mul(x, x))
        first, low = table.PER_ROOT_PI[self.format(x).bits]
        terms = [first * math.prod(-i - 0.5 for i in range(k)) for k in range(1, 8)]
        y = self.add(self.fma(z, self.horner(z, terms), low), first)
        return self.div(y, x)

    def erfcx(self, x):
        """e^(x²) erfc x; below 0 it is 2 e^(x²) - erfcx(-x)."""
        a, end = self.abs(x), table.ERFC_END[self.format(x).bits]
        near = self.minimum(a, end)
        r, rest = self._erfcx_near(near)
        y = self.select(
            self.compare(">", a, end), self._erfcx_far(a), self.add(r, rest)
        )
        m, n = self._exp_parts(*self.two_product(near, near))
        e = (self.scaled(v, self.add(n, 1)) for v in self.two_sum(1.0, m))
        high, low = (self.sub(v, w) for v, w in zip(e, (r, rest), strict=True))
        y = self.select(self.compare("<", x, 0.0), self.add(high, low), y)
        return self.select(self.isnan(x), x, y)

    def log_ndtr(self, x):
        """ln of the normal distribution function; below 0 that of erfcx, less x²/2."""
        a, end = self.abs(x), table.ERFC_END[self.format(x).bits] * _ROOT_2
        near = self.minimum(a, end)
        r = self._erfcx_near(near, _ROOT_2)
        y, more, n = self._tail_parts(near, _ROOT_2, r)
        tail = self.two_sum(self.neg(y), self.neg(more))
        above = self.log1p(*(self.scaled(v, self.sub(n, 1)) for v in tail))
        far = self._erfcx_far(self.mul(a, 1 / _ROOT_2))
        y = self.select(self.compare(">", a, end), far, self.add(*r))
        below = self.fma(self.mul(a, 0.5), self.neg(a), self.log(self.mul(y, 0.5)))
        y = self.select(self.compare(">", x, 0.0), above, below)
        return self.select(self.isnan(x), x, y)
