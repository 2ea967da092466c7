"""Division with a rest, of integers and of floats, in lanes."""

from __future__ import annotations

from .basic import Arithmetic
from .kinds import DOUBLE, FLOAT, is_int, is_unsigned


class Division(Arithmetic):
    """Quotients rounded down, rests with the sign of the divisor or of the dividend."""

    # ------------------------------------------------------------ integers

    def _quotient(self, x, y):
        """(x / y towards 0, the rest, y ≠ 0), where 0 and what overflows do not trap."""
        x, y = self.both(x, y)
        safe = self.compare("!=", y, 0)
        if is_unsigned(x):
            d = self.select(safe, y, 1)
            return self.b.udiv(x, d), self.b.urem(x, d), safe
        turn = self.compare("==", y, -1)
        d = self.select(self.b.or_(self.b.not_(safe), turn), 1, y)
        q = self.select(turn, self.neg(x), self.b.sdiv(x, d))
        return q, self.b.srem(x, d), safe

    def _uneven(self, r, y):
        """Where the rest is not 0 and its sign is not that of the divisor."""
        if is_unsigned(r):
            return self.nowhere()
        turned = self.compare("<", self.bit_xor(r, y), 0)
        return self.b.and_(self.compare("!=", r, 0), turned)

    def _whole_floor_divide(self, x, y):
        """⌊x/y⌋ of integers, 0 where y is."""
        q, r, safe = self._quotient(x, y)
        q = self.select(self._uneven(r, y), self.sub(q, 1), q)
        return self.select(safe, q, 0)

    def _whole_remainder(self, x, y):
        """x - ⌊x/y⌋ y of integers, 0 where y is."""
        _, r, safe = self._quotient(x, y)
        r = self.select(self._uneven(r, y), self.add(r, y), r)
        return self.select(safe, r, 0)

    def _whole_fmod(self, x, y):
        """x - trunc(x/y) y of integers, 0 where y is."""
        _, r, safe = self._quotient(x, y)
        return self.select(safe, r, 0)

    def gcd(self, x, y):
        """The greatest common divisor, by Euclid's rests: of few bits as floats, exact there."""
        x, y = (self.abs(z) for z in self.both(x, y))
        kind, bits = x.type, self.element(x).width
        if bits > 32:
            return self.shared("gcd", _euclid, x, y)
        lanes = self.vector(FLOAT if bits <= 16 else DOUBLE)
        d = self.shared("gcd", _euclid, *(self.b.uitofp(z, lanes) for z in (x, y)))
        return self.b.fptoui(d, kind)

    def lcm(self, x, y):
        """The least common multiple; 0 if one is 0."""
        x, y = (self.abs(z) for z in self.both(x, y))
        d = self.gcd(x, y)
        none = self.compare("==", d, 0)
        return self.mul(self.b.udiv(x, self.select(none, 1, d)), y)

    # ------------------------------------------------------------ both

    def fmod(self, x, y):
        """x - trunc(x/y) y, exact; the sign is that of x."""
        x, y = self.both(x, y)
        return self._whole_fmod(x, y) if is_int(x) else self._rest(x, y)

    def _rest(self, x, y):
        """In one step where the quotient is small; the C library's way where it is not."""
        a, d = self.abs(x), self.abs(y)
        q = self.div(a, d)
        n = self.trunc(q)
        r = self.fma(self.neg(n), d, a)
        # The rounded quotient may be one too large or too small; the rest stays exact.
        r = self.choose(
            (self.compare("<", r, 0.0), self.add(r, d)),
            (self.compare(">=", r, d), self.sub(r, d)),
            r,
        )
        r = self.select(self.compare("<", a, d), a, r)
        near = self.compare("<", q, 2.0 ** (self.format(x).mantissa - 1))
        far = self.logical_not(near)
        (r,) = self.rarely(
            far,
            lambda: [
                self.shared("fmod", lambda b, x, y: b.b.frem(x, y), a, d, cold=True)
            ],
            r,
        )
        return self.copysign(r, x)

    def remainder(self, x, y):
        """x - ⌊x/y⌋ y; the sign is that of y."""
        x, y = self.both(x, y)
        if is_int(x):
            return self._whole_remainder(x, y)
        r = self._rest(x, y)
        turned = self.compare("<", self.mul(self.copysign(1.0, r), y), 0.0)
        full = self.compare("!=", r, 0.0)
        moved = self.select(self.logical_and(full, turned), self.add(r, y), r)
        return self.select(full, moved, self.copysign(0.0, y))

    def floor_divide(self, x, y):
        """⌊x/y⌋, which of floats is found from the exact rest."""
        x, y = self.both(x, y)
        if is_int(x):
            return self._whole_floor_divide(x, y)
        r = self._rest(x, y)
        q = self.div(self.sub(x, r), y)
        turned = self.compare("<", self.mul(self.copysign(1.0, r), y), 0.0)
        uneven = self.logical_and(self.compare("!=", r, 0.0), turned)
        q = self.select(uneven, self.sub(q, 1.0), q)
        n = self.floor(q)
        n = self.select(self.compare(">", self.sub(q, n), 0.5), self.add(n, 1.0), n)
        quotient = self.div(x, y)
        zero = self.copysign(0.0, quotient)
        return self.choose(
            (self.compare("==", y, 0.0), quotient),
            (self.compare("==", q, 0.0), zero),
            n,
        )


def _euclid(b, x, y):
    def step(x, y):
        d = b.select(b.compare("==", y, 0), 1, y)
        if is_int(x):
            return y, b.b.urem(x, d)
        return y, b.fma(b.neg(b.trunc(b.div(x, d))), d, x)

    return b.repeated(lambda x, y: b.compare("!=", y, 0), step, (x, y))[0]
