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
    "float": Format(ir.FloatType(), ir.IntType(32), 23, 127),
    "double": Format(ir.DoubleType(), ir.IntType(64), 52, 1023),
}
BIT = ir.IntType(1)


class Lanes:
    """Operations on vectors of `width` at the builder's place; the operands say of what."""

    def __init__(self, builder: ir.IRBuilder, width: int):
        self.b, self.width = builder, width

    def vector(self, scalar):
        """The vector type of this element type."""
        return ir.VectorType(scalar, self.width) if self.width > 1 else scalar

    def format(self, x) -> Format:
        """The floating format of x."""
        return FORMATS[str(_element(x.type))]

    def number(self, x, like):
        """`x` as it is, or a vector of the Python number `x` in the type of `like`."""
        if not isinstance(x, (int, float)):
            return x
        kind = like.type if isinstance(like, ir.Value) else like
        value = float(x) if not isinstance(_element(kind), ir.IntType) else int(x)
        return ir.Constant(kind, [value] * self.width if self.width > 1 else value)

    def _both(self, x, y):
        like = x if isinstance(x, ir.Value) else y
        return self.number(x, like), self.number(y, like)

    def call(self, name: str, *xs):
        """An LLVM intrinsic on vectors of one kind."""
        like = next(x for x in xs if isinstance(x, ir.Value))
        xs = [self.number(x, like) for x in xs]
        kind, text = like.type, f"llvm.{name}.{_mangled(like.type)}"
        f = self.b.module.globals.get(text)
        if f is None:
            f = ir.Function(
                self.b.module, ir.FunctionType(kind, [kind] * len(xs)), text
            )
        return self.b.call(f, xs)

    # ------------------------------------------------------------ arithmetic

    def _two(self, name, x, y):
        x, y = self._both(x, y)
        if _is_int(x):
            return getattr(self.b, name)(x, y)
        return getattr(self.b, f"f{name}")(x, y, flags=_CONTRACT)

    def add(self, x, y):
        """x + y."""
        return self._two("add", x, y)

    def sub(self, x, y):
        """x - y."""
        return self._two("sub", x, y)

    def mul(self, x, y):
        """x y."""
        return self._two("mul", x, y)

    def div(self, x, y):
        """x / y."""
        x, y = self._both(x, y)
        return self.b.fdiv(x, y)

    def neg(self, x):
        """-x."""
        return self.b.neg(x) if _is_int(x) else self.b.fneg(x)

    def fma(self, x, y, z):
        """x y + z, rounded once."""
        return self.call("fma", x, y, z)

    def sqrt(self, x):
        """Square root."""
        return self.call("sqrt", x)

    def abs(self, x):
        """Without its sign."""
        return self.call("fabs", x)

    def copysign(self, x, y):
        """The size of x with the sign of y."""
        return self.call("copysign", x, y)

    def round(self, x):
        """The nearest integer, halves to even."""
        return self.call("roundeven", x)

    def floor(self, x):
        """The next integer below."""
        return self.call("floor", x)

    def ceil(self, x):
        """The next integer above."""
        return self.call("ceil", x)

    def trunc(self, x):
        """Without its fraction."""
        return self.call("trunc", x)

    def maximum(self, x, y):
        """The larger; NaN if either is."""
        return self.call("maximum", x, y)

    def minimum(self, x, y):
        """The smaller; NaN if either is."""
        return self.call("minimum", x, y)

    def pow(self, x, y):
        """x to the power y, by the C library."""
        return self.call("pow", x, y)

    def sin(self, x):
        """Sine, by the C library."""
        return self.call("sin", x)

    def cos(self, x):
        """Cosine, by the C library."""
        return self.call("cos", x)

    def compare(self, sign: str, x, y):
        """A mask; false where an operand is NaN, except for `!=`."""
        x, y = self._both(x, y)
        if _is_int(x):
            return self.b.icmp_signed(sign, x, y)
        emit = self.b.fcmp_unordered if sign == "!=" else self.b.fcmp_ordered
        return emit(sign, x, y)

    def isnan(self, x):
        """A mask of what is not a number."""
        return self.b.fcmp_unordered("uno", x, x)

    def isfinite(self, x):
        """A mask of what is neither infinite nor NaN."""
        return self.compare("<", self.abs(x), math.inf)

    def logical_and(self, x, y):
        """Both masks."""
        return self.b.and_(x, y)

    def logical_or(self, x, y):
        """Either mask."""
        return self.b.or_(x, y)

    def logical_not(self, x):
        """The other lanes."""
        return self.b.not_(x)

    def select(self, mask, x, y):
        """x where the mask holds, else y."""
        x, y = self._both(x, y)
        return self.b.select(mask, x, y)

    def horner(self, x, coefficients):
        """c0 + x (c1 + x (c2 + ...)), fused."""
        *rest, y = coefficients
        y = self.number(y, x)
        for c in reversed(rest):
            y = self.fma(y, x, c)
        return y

    # ------------------------------------------------------------ bits

    def as_int(self, x):
        """The bits of x."""
        return self.b.bitcast(x, self.vector(self.format(x).int))

    def to_int(self, x):
        """x, which is whole and small, as an integer of its size."""
        return self.b.fptosi(x, self.vector(self.format(x).int))

    def power_of_two(self, n, f):
        """2ⁿ for integers n whose result is a normal number."""
        shifted = self.b.add(n, self.number(f.bias, n))
        bits = self.b.shl(shifted, self.number(f.mantissa, n))
        return self.b.bitcast(bits, self.vector(f.type))

    def scaled(self, x, n):
        """x 2ⁿ, also where 2ⁿ alone would overflow or be denormal."""
        f = self.format(x)
        half = self.b.ashr(n, self.number(1, n))
        x = self.mul(x, self.power_of_two(half, f))
        return self.mul(x, self.power_of_two(self.b.sub(n, half), f))

    def cast(self, x, kind):
        """x as another element type, as C converts."""
        to, was = self.vector(kind), _element(x.type)
        if was == kind:
            return x
        if was == BIT:
            return self.b.zext(x, to) if _is_int_type(kind) else self.b.uitofp(x, to)
        if kind == BIT:
            return self.compare("!=", x, 0)
        if _is_int_type(was) and _is_int_type(kind):
            wider = kind.width > was.width
            return self.b.sext(x, to) if wider else self.b.trunc(x, to)
        if _is_int_type(was):
            return self.b.sitofp(x, to)
        if _is_int_type(kind):
            return self.b.fptosi(x, to)
        wider = kind == ir.DoubleType()
        return self.b.fpext(x, to) if wider else self.b.fptrunc(x, to)

    # ------------------------------------------------------------ functions

    def exp(self, x):
        """eˣ = 2ⁿ eʳ with |r| ≤ ½ ln 2 and a polynomial for eʳ."""
        f = self.format(x)
        low, high = _EXP_RANGE[f.bits]
        bounded = self.call("minnum", x, high + 1)
        bounded = self.call("maxnum", bounded, low - 1)
        n = self.round(self.mul(bounded, 1 / math.log(2)))
        r = self.fma(n, -_LN2[f.bits][0], bounded)
        r = self.fma(n, -_LN2[f.bits][1], r)
        tail = self.horner(r, _EXP[f.bits])
        y = self.add(self.fma(self.mul(r, r), tail, r), 1.0)
        y = self.scaled(y, self.to_int(n))
        return self.select(self.isnan(x), x, y)

    def expm1(self, x):
        """eˣ - 1, exact near 0: 2ⁿ (eʳ - 1) + (2ⁿ - 1)."""
        f = self.format(x)
        high = _EXP_RANGE[f.bits][1]
        bounded = self.call("minnum", x, high + 1)
        bounded = self.call("maxnum", bounded, -float(f.mantissa))
        n = self.round(self.mul(bounded, 1 / math.log(2)))
        r = self.fma(n, -_LN2[f.bits][0], bounded)
        r = self.fma(n, -_LN2[f.bits][1], r)
        m = self.fma(self.mul(r, r), self.horner(r, _EXP[f.bits]), r)
        # At the top 2ⁿ alone would overflow: half of it twice.
        k = self.to_int(n)
        big = self.compare(">", n, f.bias - 1.0)
        k = self.b.select(big, self.b.sub(k, self.number(1, k)), k)
        scale = self.power_of_two(k, f)
        one = self.b.select(big, self.number(0.5, x), self.number(1.0, x))
        y = self.fma(m, scale, self.sub(scale, one))
        y = self.select(big, self.add(y, y), y)
        y = self.select(self.compare("==", n, 0.0), m, y)
        y = self.select(self.compare("==", x, 0.0), x, y)
        y = self.select(self.compare(">", x, high), math.inf, y)
        return self.select(self.isnan(x), x, y)

    def _mantissa(self, x):
        """(m, n) with x = m 2ⁿ and √½ ≤ m < √2, for positive x, denormal ones too."""
        f = self.format(x)
        tiny = self.compare("<", x, math.ldexp(1.0, 1 - f.bias))
        x = self.select(tiny, self.mul(x, math.ldexp(1.0, f.mantissa + 1)), x)
        bits = self.as_int(x)
        start = self.number(_SQRT_HALF[f.bits], bits)
        k = self.b.ashr(self.b.sub(bits, start), self.number(f.mantissa, bits))
        m = self.b.sub(bits, self.b.shl(k, self.number(f.mantissa, k)))
        m = self.b.bitcast(m, x.type)
        n = self.b.sitofp(k, x.type)
        lifted = self.b.select(
            tiny, self.number(f.mantissa + 1.0, x), self.number(0.0, x)
        )
        return m, self.sub(n, lifted)

    def log(self, x):
        """ln x = n ln 2 + 2 artanh s, s = (m - 1)/(m + 1), odd in s."""
        f = self.format(x)
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
        f = self.format(x)
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
        exact = self._log_of(x, self.number(0.0, x), f)
        y = self._log_ends(u, self.select(near, exact, y))
        return self.select(self.compare("==", x, 0.0), x, y)

    def tanh(self, x):
        """Odd polynomial near 0, else 1 - 2/(e^2|x| + 1)."""
        f = self.format(x)
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


def _element(kind):
    return kind.element if isinstance(kind, ir.VectorType) else kind


def _is_int_type(kind) -> bool:
    return isinstance(_element(kind), ir.IntType)


def _is_int(x) -> bool:
    return _is_int_type(x.type)


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
