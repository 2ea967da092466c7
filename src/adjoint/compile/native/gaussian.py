"""The error function and what is made of it, in lanes."""

from __future__ import annotations

import math

from . import coefficients as table
from .exponential import Exponential

_ROOT_2 = math.sqrt(2)


class Gaussian(Exponential):
    """e^(-x²) times a smooth function, the square in two parts."""

    def _erfcx_near(self, x, unit=1.0):
        """erfcx(x/unit) for 0 ≤ x/unit ≤ ERFC_END, in two parts.

        Of erfcx x = (1 + w v)/(1 + 2x) with w = x/(x + k), v a polynomial of it, both
        terms are held in two parts.
        """
        bits = self.format(x).bits
        w = self.div(x, self.add(x, table.ERFCX_MIDDLE[bits] * unit))
        v = self.horner(self.fma(w, 2.0, -1.0), table.ERFCX[bits])
        over, over_lost = self._one_plus(w, v, 0.0)
        twice = (2.0, 0.0) if unit == 1.0 else table.ROOT_2[bits]
        under, under_lost = self._one_plus(x, *twice)
        inverse = self.div(1.0, under)
        y = self.b.fmul(over, inverse)
        rest = self.fma(self.neg(y), under_lost, over_lost)
        rest = self.add(self.fma(self.neg(y), under, over), rest)
        return y, self.mul(rest, inverse)

    def _one_plus(self, x, c, c_low):
        """1 + x (c + c_low) in two parts."""
        p, lost = self.two_product(x, c)
        y = self.b.fadd(p, self.number(1.0, x))
        back = self.b.fsub(y, p)  # what of 1 arrived
        error = self.b.fadd(
            self.b.fsub(self.number(1.0, x), back), self.b.fsub(p, self.b.fsub(y, back))
        )
        lost = self.fma(x, c_low, lost) if c_low else lost
        return y, self.add(error, lost)

    def _tail(self, x, unit, halvings):
        """e^-(x/unit)² erfcx(x/unit)/2^halvings for x ≥ 0, unit² = 1 or 2."""
        end = table.ERFC_END[self.format(x).bits] * unit
        x = self.select(self.compare("<", x, end), x, end)
        square, lost = self.two_product(x, x)
        part = -1.0 / round(unit * unit)
        _, n, r = self._reduced(self.mul(square, part))
        r, more = self.two_sum(r, self.mul(lost, part))
        terms = table.EXP[self.format(x).bits]
        m, lost = self.two_sum(r, self.fma(self.mul(r, r), self.horner(r, terms), more))
        y, rest = self._erfcx_near(x, unit)
        y = self.add(y, self.fma(y, m, self.fma(y, lost, rest)))
        return self.scaled(y, self.sub(n, halvings))

    def _erf_near(self, x):
        """erf x for |x| ≤ 1."""
        terms = table.ERF[self.format(x).bits]
        return self.fma(x, self.horner(self.mul(x, x), terms), x)

    def erf(self, x):
        """Odd polynomial below 1, else 1 - erfc."""
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

    def _erfcx_positive(self, x):
        """erfcx for x ≥ 0: by its asymptotic series far out."""
        bits = self.format(x).bits
        far = self.compare(">", x, table.ERFC_END[bits])
        near = self.add(*self._erfcx_near(self.select(far, table.ERFC_END[bits], x)))
        z = self.div(1.0, self.mul(x, x))
        first, low = table.PER_ROOT_PI[bits]
        terms = [first * math.prod(-i - 0.5 for i in range(k)) for k in range(1, 8)]
        beyond = self.add(self.fma(z, self.horner(z, terms), low), first)
        return self.select(far, self.div(beyond, x), near)

    def erfcx(self, x):
        """e^(x²) erfc x; below 0 it is 2 e^(x²) - erfcx(-x)."""
        y = self._erfcx_positive(self.abs(x))
        square, lost = self.two_product(x, x)
        lost = self.select(self.isfinite(lost), lost, 0.0)
        m, n = self._exp_parts(square, lost)
        e = self.scaled(self.add(m, 1.0), self.add(n, 1))
        y = self.select(self.compare("<", x, 0.0), self.sub(e, y), y)
        return self.select(self.isnan(x), x, y)

    def log_ndtr(self, x):
        """ln of the normal distribution function: in the tail from erfcx, not from it."""
        a = self.abs(x)
        r = self.mul(self._erfcx_positive(self.mul(a, 1 / _ROOT_2)), 0.5)
        square = self.mul(self.mul(a, a), -0.5)
        above = self.log1p(self.neg(self.mul(r, self.exp(square))))
        below = self.add(self.log(r), square)
        y = self.select(self.compare(">", x, 0.0), above, below)
        return self.select(self.isnan(x), x, y)
