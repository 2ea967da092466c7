"""Sine, cosine, tangent and their inverses, in lanes."""

from __future__ import annotations

import math
from functools import cache
from itertools import pairwise

from ..llvm import text as ir
from . import coefficients as table
from .estimate import Estimate
from .kinds import BIT, DOUBLE, FLOAT, INT32, INT64

_INT128 = ir.IntType(128)


class Circular(Estimate):
    """An angle is brought into [-π/4, π/4] first, however large it is."""

    # ------------------------------------------------------------ reduction

    def _quarters(self, x):
        """(r, its rounding error, n) with x = n π/2 + r and |r| ≤ π/4."""
        f = self.format(x)
        high, middle, low = table.HALF_PI[f.bits]
        n, k = self.near_whole(x, 2 / math.pi)
        rest = self.fma(n, -high, x)  # exact
        part, lost = self.two_product(n, middle)
        r = self.b.fsub(rest, part)
        lost = self.b.fsub(self.b.fsub(self.b.fsub(rest, r), part), lost)
        lost = self.fma(n, -low, lost)
        far = self.compare(">", self.abs(x), table.FAR[f.bits])
        kinds = [x.type, x.type, k.type]

        def slow():
            found = self.shared("far", _far_quarters, x, result=kinds, cold=True)
            near = r, lost, k
            return [self.select(far, *pair) for pair in zip(found, near, strict=True)]

        return self.rarely(far, slow, r, lost, k)

    def _sine_near(self, r, lost):
        """sin(r + lost) for |r| ≤ π/4, in two parts."""
        z = self.mul(r, r)
        terms = table.SIN[self.format(r).bits]
        tail = self.fma(self.mul(r, z), self.horner(z, terms), lost)
        return self.two_sum(r, tail)

    def _cosine_near(self, r, lost):
        """cos(r + lost) for |r| ≤ π/4, in two parts."""
        z = self.mul(r, r)
        half = self.mul(z, 0.5)
        y, left = self.two_sum(1.0, self.neg(half))
        terms = table.COS[self.format(r).bits]
        tail = self.fma(self.mul(z, z), self.horner(z, terms), left)
        return self.two_sum(y, self.fma(self.neg(r), lost, tail))

    def _turned(self, n, odd, even):
        """`odd` in the odd quarters n, else `even`; negative from 2 on."""
        f = self.format(odd)
        y = self.select(self.truth(self.bit_and(n, 1)), odd, even)
        flip = self.b.shl(self.bit_and(n, 2), self.number(f.bits - 2, n))
        return self.as_float(self.bit_xor(self.as_int(y), flip), f)

    def sine_and_cosine(self, x):
        """Both, from one reduction."""
        r, lost, n = self.once(self._quarters, x)
        (s, _), (c, _) = self._sine_near(r, lost), self._cosine_near(r, lost)
        sine, cosine = self._turned(n, c, s), self._turned(self.add(n, 1), c, s)
        sine = self.select(self.compare("==", x, 0.0), x, sine)
        known = self.isfinite(x)
        return self.select(known, sine, math.nan), self.select(known, cosine, math.nan)

    def sin(self, x):
        """Sine."""
        return self.sine_and_cosine(x)[0]

    def cos(self, x):
        """Cosine."""
        return self.sine_and_cosine(x)[1]

    def tan(self, x):
        """sin/cos, or -cos/sin in the odd quarters, both in two parts."""
        r, lost, n = self.once(self._quarters, x)
        (s, s_low), (c, c_low) = self._sine_near(r, lost), self._cosine_near(r, lost)
        odd = self.truth(self.bit_and(n, 1))
        over, under = self.select(odd, self.neg(c), s), self.select(odd, s, c)
        inverse = self.div(1.0, under)
        low = self.select(odd, self.neg(c_low), s_low)
        y = self.b.fmul(over, inverse)
        rest = self.fma(self.neg(y), self.select(odd, s_low, c_low), low)
        rest = self.add(self.fma(self.neg(y), under, over), rest)
        y = self.select(self.isfinite(x), self.fma(rest, inverse, y), math.nan)
        return self.select(self.compare("==", x, 0.0), x, y)

    # ------------------------------------------------------------ inverses

    def _angle(self, y, x):
        """atan(y/x) for y, x ≥ 0, through the smaller of y/x and x/y."""
        steep = self.compare(">", y, x)
        low, high = self.select(steep, x, y), self.select(steep, y, x)
        q = self.div(low, high)
        q = self.select(self.compare("==", low, high), 1.0, q)
        q = self.select(self.compare("==", high, 0.0), 0.0, q)
        a = self._atan_near(q)
        return self.select(steep, self.sub(math.pi / 2, a), a)

    def _atan_near(self, q):
        z = self.mul(q, q)
        return self.fma(
            self.mul(q, z), self.horner(z, table.ATAN[self.format(q).bits]), q
        )

    def atan(self, x):
        """Inverse tangent."""
        a = self.abs(x)
        steep = self.compare(">", a, 1.0)
        y = self._atan_near(self.select(steep, self.div(1.0, a), a))
        y = self.select(steep, self.sub(math.pi / 2, y), y)
        return self.copysign(y, x)

    def atan2(self, y, x):
        """Angle of the point (x, y)."""
        y, x = self.both(y, x)
        a = self._angle(self.abs(y), self.abs(x))
        a = self.select(self.signbit(x), self.sub(math.pi, a), a)
        bad = self.b.fcmp_unordered("uno", x, y)
        return self.select(bad, self.add(x, y), self.copysign(a, y))

    def _asin_parts(self, x, correction=None):
        """(a > ½, asin of a or of √((1 - a)/2), of which π/2 - twice that is asin a).

        The correction is added to the second.
        """
        a = self.abs(x)
        steep = self.compare(">", a, 0.5)
        z = self.mul(self.sub(1.0, a), 0.5)
        z = self.select(steep, z, self.mul(a, a))
        s = self.select(steep, self.sqrt(z), a)
        tail = self.horner(z, table.ASIN[self.format(x).bits])
        if correction is None:
            return steep, self.fma(self.mul(s, z), tail, s)
        more = self.select(steep, self.number(correction, x), 0.0)
        return steep, self.add(s, self.fma(self.mul(s, z), tail, more))

    def asin(self, x):
        """Inverse sine."""
        steep, y = self._asin_parts(x, -0.5 * table.HALF_PI[self.format(x).bits][1])
        far = self.fma(y, -2.0, math.pi / 2)
        return self.copysign(self.select(steep, far, y), x)

    def acos(self, x):
        """Inverse cosine."""
        steep, y = self._asin_parts(x)
        twice = self.add(y, y)
        low = self.compare("<", x, 0.0)
        far = self.select(low, self.sub(math.pi, twice), twice)
        near = self.sub(math.pi / 2, self.copysign(y, x))
        return self.select(steep, far, near)


# ---------------------------------------------------------------- large angles


def _far_quarters(b: Circular, x):
    """`_quarters` of any angle, lane by lane."""
    f = b.format(x)
    kinds = [x.type, x.type, b.vector(f.int)]
    start = [ir.Constant(k, ir.Undefined) for k in kinds]
    if b.width == 1:
        return _converted(b, f, _far_one(b, x))
    e, head = b.b, b.b.block
    loop, done = e.append_basic_block("lane"), e.append_basic_block("done")
    e.branch(loop)
    e.position_at_end(loop)
    i, *parts = (e.phi(kind) for kind in (INT32, *kinds))
    one = _converted(b, f, _far_one(b, e.extract_element(x, i)))
    after = [e.insert_element(p, v, i) for p, v in zip(parts, one, strict=True)]
    following = e.add(i, INT32(1))
    for phi, first, then in zip(
        (i, *parts), (INT32(0), *start), (following, *after), strict=True
    ):
        phi.add_incoming(first, head)
        phi.add_incoming(then, loop)
    e.cbranch(e.icmp_signed("<", following, INT32(b.width)), loop, done)
    e.position_at_end(done)
    return tuple(after)


def _converted(b, f, parts):
    """Doubles high + low and a whole number in another format."""
    high, low, n = parts
    if f.bits == 64:
        return parts
    e = b.b
    top = e.fptrunc(high, FLOAT)
    rest = e.fadd(e.fsub(high, e.fpext(top, DOUBLE)), low)
    return top, e.fptrunc(rest, FLOAT), e.trunc(n, INT32)


def _far_one(b, x):
    """(r, its rounding error, n) of one number, by M. Payne and R. Hanek, 1983.

    |x| = m 2ᵉ. Of m 2ᵉ⁻² 2/π only the fraction counts: the upper two bits of it are n
    modulo 4, the others r/(π/2). So the bits of 2/π that follow place e - 2 are enough.
    """
    e = b.b
    x = e.fpext(x, DOUBLE) if x.type == FLOAT else x
    bits = e.bitcast(x, INT64)
    m = e.or_(e.and_(bits, INT64(2**52 - 1)), INT64(2**52))
    exponent = e.and_(e.lshr(bits, INT64(52)), INT64(2047))
    place = e.add(exponent, INT64(_BEFORE - 1075 - 2))
    place = e.select(e.icmp_signed("<", place, INT64(0)), INT64(0), place)
    high, low = _fraction(e, m, _bits_from(b, place))
    part = b.call("fshl", high, low, INT64(2))
    # All ones where the part is above a half or x negative, else zeros.
    above, negative = (e.ashr(v, INT64(63)) for v in (part, bits))
    n = e.sub(e.lshr(high, INT64(62)), above)
    size, rest = e.xor(part, above), e.xor(e.shl(low, INT64(2)), above)
    r, lost = _in_radians(b, size, rest)
    turned = e.icmp_signed("<", e.xor(above, negative), INT64(0))
    r, lost = (e.select(turned, e.fneg(v), v) for v in (r, lost))
    return r, lost, e.sub(e.xor(n, negative), negative)


def _bits_from(b, place):
    """The 192 bits of 2/π that follow a place, in three words."""
    e = b.b
    first, shift = e.lshr(place, INT64(6)), e.and_(place, INT64(63))
    words, zero = _two_over_pi(e.module), INT64(0)
    numbers = [e.add(first, INT64(i)) for i in range(4)]
    w = [e.load(e.gep(words, [zero, i], inbounds=True)) for i in numbers]
    return [b.call("fshl", u, v, shift) for u, v in pairwise(w)]


def _fraction(e, m, bits):
    """The upper 128 bits of the fraction of m times these bits, in two words."""
    a, b, c = bits
    middle, last = (e.mul(e.zext(m, _INT128), e.zext(v, _INT128)) for v in (b, c))
    sum = e.add(middle, e.lshr(last, _INT128(64)))
    above = e.trunc(e.lshr(sum, _INT128(64)), INT64)
    return e.add(e.mul(m, a), above), e.trunc(sum, INT64)


def _in_radians(b, size, rest):
    """(size 2⁻⁶⁴ + rest 2⁻¹²⁸) π/2 in two parts; size is not 0."""
    e = b.b
    count = e.call(b.function("llvm.ctlz.i64", INT64, [INT64, BIT]), [size, BIT(1)])
    top = b.call("fshl", size, rest, count)
    scale = e.sub(INT64(1023 - 64), count)
    scale = e.bitcast(e.shl(scale, INT64(52)), DOUBLE)
    high = e.fmul(e.uitofp(e.and_(top, INT64(-2048)), DOUBLE), scale)
    low = e.fmul(e.uitofp(e.and_(top, INT64(2047)), DOUBLE), scale)
    big, small, _ = (DOUBLE(c) for c in table.HALF_PI[64])
    y = e.fmul(high, big)
    lost = b.fma(high, big, e.fneg(y))
    return y, b.fma(low, big, b.fma(high, small, lost))


_BEFORE = 64  # zero bits put before those of 2/π
_WORDS = (_BEFORE + 972 + 256) // 64


def _two_over_pi(module):
    """The bits of 2/π as words in the module."""
    name = "adjoint.two_over_pi"
    return module.globals.get(name) or module.table(name, _words())


@cache
def _words():
    """2/π, after _BEFORE zero bits, in words of 64; π by J. Machin's formula."""
    bits = 64 * _WORDS - _BEFORE
    one = 1 << (bits + 64)
    pi = 4 * (4 * _arctan_of_inverse(5, one) - _arctan_of_inverse(239, one))
    value = ((one << bits + 1) // pi) & ((1 << bits) - 1)
    return tuple((value >> 64 * (_WORDS - 1 - i)) & (2**64 - 1) for i in range(_WORDS))


def _arctan_of_inverse(n, one):
    """one · atan(1/n), rounded down term by term."""
    total, power, k = 0, one // n, 1
    while power:
        total += power // k if k % 4 == 1 else -(power // k)
        power, k = power // (n * n), k + 2
    return total
