"""Lanes: arithmetic on vectors of one width, written into an LLVM block.

What a record's `lower(b, x, ...)` speaks. Python numbers stand for vectors of that number.
Products and sums may be contracted to fused ones; nothing else is reassociated.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from llvmlite import ir

_CONTRACT = ("contract",)


class Format(NamedTuple):
    """A floating point format as its arithmetic needs it."""

    type: ir.Type
    int: ir.IntType
    mantissa: int
    bias: int

    bits = property(lambda self: self.int.width)


FORMATS = {
    32: Format(ir.FloatType(), ir.IntType(32), 23, 127),
    64: Format(ir.DoubleType(), ir.IntType(64), 52, 1023),
}


class Lanes:
    """The operations of one format and width at the builder's place."""

    def __init__(self, builder: ir.IRBuilder, bits: int, width: int):
        self.b, self.format, self.width = builder, FORMATS[bits], width
        self.float = self._vector(self.format.type)
        self.int = self._vector(self.format.int)
        self.mask = self._vector(ir.IntType(1))

    def _vector(self, scalar):
        return ir.VectorType(scalar, self.width) if self.width > 1 else scalar

    def number(self, x, kind=None):
        """`x` as it is, or a vector of the Python number `x`."""
        if not isinstance(x, (int, float)):
            return x
        kind = kind or self.float
        return ir.Constant(kind, [x] * self.width if self.width > 1 else x)

    def call(self, name: str, kind, *xs):
        """An LLVM intrinsic on vectors of one kind."""
        xs = [self.number(x, kind) for x in xs]
        text = f"llvm.{name}.{_mangled(kind)}"
        f = self.b.module.globals.get(text)
        if f is None:
            f = ir.Function(
                self.b.module, ir.FunctionType(kind, [kind] * len(xs)), text
            )
        return self.b.call(f, xs)

    # ------------------------------------------------------------ arithmetic

    def _two(self, emit, x, y):
        return emit(self.number(x), self.number(y), flags=_CONTRACT)

    def add(self, x, y):
        """x + y."""
        return self._two(self.b.fadd, x, y)

    def sub(self, x, y):
        """x - y."""
        return self._two(self.b.fsub, x, y)

    def mul(self, x, y):
        """x y."""
        return self._two(self.b.fmul, x, y)

    def div(self, x, y):
        """x / y."""
        return self._two(self.b.fdiv, x, y)

    def neg(self, x):
        """-x."""
        return self.b.fneg(self.number(x))

    def fma(self, x, y, z):
        """x y + z, rounded once."""
        return self.call("fma", self.float, x, y, z)

    def sqrt(self, x):
        """Square root."""
        return self.call("sqrt", self.float, x)

    def abs(self, x):
        """Without its sign."""
        return self.call("fabs", self.float, x)

    def copysign(self, x, y):
        """The size of x with the sign of y."""
        return self.call("copysign", self.float, x, y)

    def round(self, x):
        """The nearest integer, halves to even."""
        return self.call("roundeven", self.float, x)

    def floor(self, x):
        """The next integer below."""
        return self.call("floor", self.float, x)

    def ceil(self, x):
        """The next integer above."""
        return self.call("ceil", self.float, x)

    def trunc(self, x):
        """Without its fraction."""
        return self.call("trunc", self.float, x)

    def maximum(self, x, y):
        """The larger; NaN if either is."""
        return self.call("maximum", self.float, x, y)

    def minimum(self, x, y):
        """The smaller; NaN if either is."""
        return self.call("minimum", self.float, x, y)

    def compare(self, sign: str, x, y):
        """A mask; false where an operand is NaN, except for `!=`."""
        emit = self.b.fcmp_unordered if sign == "!=" else self.b.fcmp_ordered
        return emit(sign, self.number(x), self.number(y))

    def isnan(self, x):
        """A mask of what is not a number."""
        return self.b.fcmp_unordered("uno", x, x)

    def select(self, mask, x, y):
        """x where the mask holds, else y."""
        return self.b.select(mask, self.number(x), self.number(y))

    def horner(self, x, coefficients):
        """c0 + x (c1 + x (c2 + ...)), fused."""
        *rest, y = coefficients
        y = self.number(y)
        for c in reversed(rest):
            y = self.fma(y, x, c)
        return y

    # ------------------------------------------------------------ bits

    def as_int(self, x):
        """The bits of x."""
        return self.b.bitcast(x, self.int)

    def as_float(self, n):
        """The number with these bits."""
        return self.b.bitcast(n, self.float)

    def to_int(self, x):
        """x, which is whole and small, as an integer."""
        return self.b.fptosi(x, self.int)

    def to_float(self, n):
        """An integer as a number."""
        return self.b.sitofp(n, self.float)

    def whole(self, x: int):
        """A vector of the integer `x`."""
        return self.number(x, self.int)

    def power_of_two(self, n):
        """2ⁿ for integers n whose result is a normal number."""
        shifted = self.b.add(n, self.whole(self.format.bias))
        return self.as_float(self.b.shl(shifted, self.whole(self.format.mantissa)))

    def scaled(self, x, n):
        """x 2ⁿ, also where 2ⁿ alone would overflow or be denormal."""
        half = self.b.ashr(n, self.whole(1))
        x = self.mul(x, self.power_of_two(half))
        return self.mul(x, self.power_of_two(self.b.sub(n, half)))

    # ------------------------------------------------------------ functions

    def exp(self, x):
        """eˣ = 2ⁿ eʳ with |r| ≤ ½ ln 2 and a polynomial for eʳ."""
        f = self.format
        low, high = _EXP_RANGE[f.bits]
        bounded = self.call("minnum", self.float, x, high + 1)
        bounded = self.call("maxnum", self.float, bounded, low - 1)
        n = self.round(self.mul(bounded, 1 / math.log(2)))
        r = self.fma(n, -_LN2[f.bits][0], bounded)
        r = self.fma(n, -_LN2[f.bits][1], r)
        tail = self.horner(r, _EXP[f.bits])
        y = self.add(self.fma(self.mul(r, r), tail, r), 1.0)
        y = self.scaled(y, self.to_int(n))
        return self.select(self.isnan(x), x, y)

    def expm1(self, x):
        """eˣ - 1, exact near 0: 2ⁿ (eʳ - 1) + (2ⁿ - 1)."""
        f = self.format
        low, high = _EXP_RANGE[f.bits]
        bounded = self.call("minnum", self.float, x, high + 1)
        bounded = self.call("maxnum", self.float, bounded, -float(f.mantissa))
        n = self.round(self.mul(bounded, 1 / math.log(2)))
        r = self.fma(n, -_LN2[f.bits][0], bounded)
        r = self.fma(n, -_LN2[f.bits][1], r)
        m = self.fma(self.mul(r, r), self.horner(r, _EXP[f.bits]), r)
        # At the top 2ⁿ alone would overflow: half of it twice.
        k = self.to_int(n)
        big = self.compare(">", n, f.bias - 1.0)
        k = self.b.select(big, self.b.sub(k, self.whole(1)), k)
        scale = self.power_of_two(k)
        y = self.fma(m, scale, self.sub(scale, self.select(big, 0.5, 1.0)))
        y = self.select(big, self.add(y, y), y)
        y = self.select(self.compare("==", n, 0.0), m, y)
        y = self.select(self.compare("==", x, 0.0), x, y)
        y = self.select(self.compare(">", x, high), math.inf, y)
        return self.select(self.isnan(x), x, y)

    def _mantissa(self, x):
        """(m, n) with x = m 2ⁿ and √½ ≤ m < √2, for positive x, denormal ones too."""
        f = self.format
        tiny = self.compare("<", x, math.ldexp(1.0, 1 - f.bias))
        x = self.select(tiny, self.mul(x, math.ldexp(1.0, f.mantissa + 1)), x)
        bits = self.as_int(x)
        start = self.whole(_SQRT_HALF[f.bits])
        k = self.b.ashr(self.b.sub(bits, start), self.whole(f.mantissa))
        m = self.as_float(self.b.sub(bits, self.b.shl(k, self.whole(f.mantissa))))
        n = self.to_float(k)
        return m, self.sub(n, self.select(tiny, f.mantissa + 1.0, 0.0))

    def log(self, x):
        """ln x = n ln 2 + 2 artanh s, s = (m - 1)/(m + 1), odd in s."""
        f = self.format
        m, n = self._mantissa(x)
        return self._log_ends(x, self._log_of(self.sub(m, 1.0), n, f))

    def _log_of(self, t, n, f):
        """n ln 2 + ln(1 + t): t - (t²/2 - s (t²/2 + R)), in which nothing cancels."""
        s = self.div(t, self.add(t, 2.0))
        z = self.mul(s, s)
        rest = self.mul(self.mul(z, 2.0), self.horner(z, _LOG[f.bits]))
        half = self.mul(self.mul(t, t), 0.5)
        hi, lo = _LN2[f.bits]
        inner = self.fma(s, self.add(half, rest), self.mul(n, lo))
        return self.fma(n, hi, self.sub(t, self.sub(half, inner)))

    def _log_ends(self, x, y):
        y = self.select(self.compare("==", x, math.inf), math.inf, y)
        y = self.select(self.compare("==", x, 0.0), -math.inf, y)
        bad = self.b.or_(self.compare("<", x, 0.0), self.isnan(x))
        return self.select(bad, math.nan, y)

    def log1p(self, x):
        """ln(1 + x), exact near 0: the rounding of 1 + x is put back."""
        f = self.format
        u = self.add(x, 1.0)
        m, n = self._mantissa(u)
        # 1 + x = u + lost; ln(u + lost) = ln u + lost/u.
        larger = self.compare(">", self.abs(x), 1.0)
        lost = self.select(
            larger,
            self.sub(1.0, self.sub(u, x)),
            self.sub(x, self.sub(u, 1.0)),
        )
        lost = self.div(lost, u)
        y = self.add(self._log_of(self.sub(m, 1.0), n, f), lost)
        near = self.compare("<", self.abs(x), 0.25)
        exact = self._log_of(x, self.number(0.0), f)
        y = self._log_ends(u, self.select(near, exact, y))
        return self.select(self.compare("==", x, 0.0), x, y)

    def tanh(self, x):
        """Odd polynomial near 0, else 1 - 2/(e^2|x| + 1)."""
        f = self.format
        a = self.abs(x)
        z = self.mul(a, a)
        near = self.fma(self.mul(a, z), self.horner(z, _TANH[f.bits]), a)
        e = self.exp(self.add(a, a))
        far = self.sub(1.0, self.div(2.0, self.add(e, 1.0)))
        y = self.select(self.compare("<", a, 0.625), near, far)
        y = self.select(self.isnan(x), x, y)
        return self.copysign(y, x)

    def sigmoid(self, x):
        """1/(1 + e⁻ˣ), through e^-|x|, so that it neither overflows nor cancels."""
        e = self.exp(self.neg(self.abs(x)))
        d = self.add(e, 1.0)
        return self.div(self.select(self.compare("<", x, 0.0), e, 1.0), d)


def _mangled(kind) -> str:
    if isinstance(kind, ir.VectorType):
        return f"v{kind.count}{_mangled(kind.element)}"
    return {"float": "f32", "double": "f64"}.get(str(kind), str(kind))


# ln 2 in two parts, the first with zeros at its end so that n times it is exact.
_LN2 = {
    32: (0.693145751953125, 1.42860682030941723e-06),
    64: (6.93147180369123816490e-01, 1.90821492927058770002e-10),
}
# Below the first eˣ rounds to 0, above the second to infinity.
_EXP_RANGE = {32: (-104.0, 89.0), 64: (-746.0, 710.0)}
# (eʳ - 1 - r)/r²: minimax for 32 bits, Taylor for 64, whose next term is below rounding.
_EXP = {
    32: (
        0.50000001009942178672,
        0.16666512890888430056,
        0.041666187236909828099,
        0.0083695981895371032475,
        0.0013951720281282309156,
    ),
    64: tuple(1 / math.factorial(k) for k in range(2, 14)),
}
# The bits of √½, to which the exponent of x is counted.
_SQRT_HALF = {32: 0x3F3504F3, 64: 0x3FE6A09E667F3BCD}
# (artanh s - s)/s³ in s²: minimax up to s = (√2 - 1)/(√2 + 1).
_LOG = {
    32: (
        0.33333332881410094,
        0.2000016031734359,
        0.1426887761947722,
        0.11790063032060547,
    ),
    64: (
        0.3333333333333333,
        0.1999999999999998,
        0.1428571428572566,
        0.11111111108198427,
        0.09090909494290514,
        0.07692274825682913,
        0.06668287015395591,
        0.05834955143992028,
        0.06014014494828889,
    ),
}
# (tanh x - x)/x³ in x²: minimax up to 0.625.
_TANH = {
    32: (
        -0.3333328507677988,
        0.13331515209618902,
        -0.05374514732988186,
        0.02065522651484638,
        -0.005721638221990702,
    ),
    64: (
        -0.33333333333333315,
        0.133333333333302,
        -0.053968253966268406,
        0.021869488473683363,
        -0.008863234382442754,
        0.0035921146260524373,
        -0.0014557296593201696,
        0.000589466526459149,
        -0.00023705044732034148,
        9.162311500756518e-05,
        -3.0249460262772195e-05,
        6.068704595612554e-06,
    ),
}
