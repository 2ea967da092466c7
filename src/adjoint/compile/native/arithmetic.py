"""Arithmetic on lanes: vectors of one width, written into an LLVM block.

Python numbers stand for vectors of that number. Products and sums may be contracted to
fused ones, except in what computes a rounding error; nothing else is reassociated.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar, NamedTuple

from llvmlite import ir


class _Marked(ir.IntType):
    """An integer to LLVM; here more is known of it."""

    def __eq__(self, other):
        return type(self) is type(other) and self.width == other.width

    def __hash__(self):
        return hash((type(self), self.width))


class _Unsigned(_Marked):
    """An integer without sign."""

    _instance_cache: ClassVar[dict] = {}


class _Brain(_Marked):
    """The upper half of a float, as memory holds it."""

    _instance_cache: ClassVar[dict] = {}


BIT, UINT8, BFLOAT = ir.IntType(1), _Unsigned(8), _Brain(16)
HALF, FLOAT, DOUBLE = ir.HalfType(), ir.FloatType(), ir.DoubleType()
INT32, INT64 = ir.IntType(32), ir.IntType(64)
_CONTRACT = ("contract",)


class Format(NamedTuple):
    """A floating point format as its arithmetic needs it."""

    type: ir.Type
    int: ir.IntType
    mantissa: int
    bias: int

    bits = property(lambda self: self.int.width)
    # 1.5 2^mantissa: added to a small number it rounds that to a whole one in the low bits.
    magic = property(lambda self: 1.5 * 2.0**self.mantissa)
    magic_bits = property(
        lambda self: (2 * (self.bias + self.mantissa) + 1) << (self.mantissa - 1)
    )


FORMATS = {
    "float": Format(FLOAT, INT32, 23, 127),
    "double": Format(DOUBLE, INT64, 52, 1023),
}


class Arithmetic:
    """Operations on vectors of `width` at the builder's place; the operands say of what."""

    def __init__(self, builder: ir.IRBuilder, width: int):
        self.b, self.width = builder, width
        self._before: dict = {}  # block -> one through which every way to it leads
        self._written: dict = {}

    def vector(self, scalar):
        """The vector type of this element type."""
        return ir.VectorType(scalar, self.width) if self.width > 1 else scalar

    def format(self, x) -> Format:
        """The floating format of x."""
        return FORMATS[str(element_of(x.type))]

    def element(self, x):
        """The type of a lane of x."""
        return element_of(x.type)

    def splat(self, x):
        """One number in all lanes."""
        if self.width == 1:
            return x
        empty = ir.Constant(self.vector(x.type), ir.Undefined)
        places = ir.Constant(self.vector(INT32), None)
        return self.b.shuffle_vector(
            self.b.insert_element(empty, x, INT32(0)), empty, places
        )

    def counting(self, first):
        """first, first + 1, ..."""
        if self.width == 1:
            return first
        steps = ir.Constant(self.vector(first.type), list(range(self.width)))
        return self.b.add(self.splat(first), steps)

    def number(self, x, like):
        """`x` as it is, or a vector of the Python number `x` in the type of `like`."""
        if isinstance(x, ir.Value):
            return x
        kind = like.type if isinstance(like, ir.Value) else like
        value = int(x) if is_int_type(kind) else float(x)
        return ir.Constant(kind, [value] * self.width if self.width > 1 else value)

    def both(self, x, y):
        like = x if isinstance(x, ir.Value) else y
        return self.number(x, like), self.number(y, like)

    def call(self, name: str, *xs):
        """An LLVM intrinsic on vectors of one kind."""
        like = next(x for x in xs if isinstance(x, ir.Value))
        xs = [self.number(x, like) for x in xs]
        kind, text = like.type, f"llvm.{name}.{_mangled(like.type)}"
        return self.b.call(self._function(text, kind, [kind] * len(xs)), xs)

    def _function(self, name, result, kinds):
        found = self.b.module.globals.get(name)
        if found is None:
            signature = ir.FunctionType(result, kinds)
            found = ir.Function(self.b.module, signature, name)
        return found

    # ------------------------------------------------------------ arithmetic

    def _two(self, name, x, y):
        x, y = self.both(x, y)
        if is_int(x):
            return getattr(self.b, name)(x, y)
        return getattr(self.b, f"f{name}")(x, y, flags=_CONTRACT)

    def add(self, x, y):
        """x + y; of truth values, whether one holds."""
        return self.b.or_(x, y) if _is_mask(x) else self._two("add", x, y)

    def sub(self, x, y):
        """x - y."""
        return self._two("sub", x, y)

    def mul(self, x, y):
        """x y; of truth values, whether both hold."""
        return self.b.and_(x, y) if _is_mask(x) else self._two("mul", x, y)

    def div(self, x, y):
        """x / y of floats."""
        x, y = self.both(x, y)
        return self.b.fdiv(x, y)

    def neg(self, x):
        """-x."""
        return self.b.neg(x) if is_int(x) else self.b.fneg(x)

    def fma(self, x, y, z):
        """x y + z, rounded once."""
        return self.call("fma", x, y, z)

    def sqrt(self, x):
        """Square root."""
        return self.call("sqrt", x)

    def abs(self, x):
        """Without its sign."""
        if not is_int(x):
            return self.call("fabs", x)
        return (
            x
            if is_unsigned(x)
            else self.select(self.compare("<", x, 0), self.neg(x), x)
        )

    def sign(self, x):
        """-1, 0 or 1; 0 for NaN."""
        above, below = self.compare(">", x, 0), self.compare("<", x, 0)
        return self.choose((above, self.number(1, x)), (below, -1), self.number(0, x))

    def copysign(self, x, y):
        """The size of x with the sign of y."""
        return self.call("copysign", *self.both(x, y))

    def _whole(self, name, x):
        return x if is_int(x) else self.call(name, x)

    def round(self, x):
        """The nearest integer, halves to even."""
        return self._whole("roundeven", x)

    def round_to(self, x, decimals: int):
        """The nearest decimal number of so many places."""
        scale = 10.0 ** abs(decimals)
        if decimals < 0:
            return self.mul(self.round(self.div(x, scale)), scale)
        return (
            self.div(self.round(self.mul(x, scale)), scale)
            if decimals
            else self.round(x)
        )

    def floor(self, x):
        """The next integer below."""
        return self._whole("floor", x)

    def ceil(self, x):
        """The next integer above."""
        return self._whole("ceil", x)

    def trunc(self, x):
        """Without its fraction."""
        return self._whole("trunc", x)

    def _extreme(self, sign, x, y):
        x, y = self.both(x, y)
        chosen = self.select(self.compare(sign, x, y), x, y)
        return chosen if is_int(x) else self.select(self.isnan(x), x, chosen)

    def maximum(self, x, y):
        """The larger; NaN if either is."""
        return self._extreme(">", x, y)

    def minimum(self, x, y):
        """The smaller; NaN if either is."""
        return self._extreme("<", x, y)

    def clamp(self, x, low, high):
        """x within two numbers; a NaN becomes one of them."""
        x = self.select(self.compare(">", x, low), x, low)
        return self.select(self.compare("<", x, high), x, high)

    def horner(self, x, coefficients):
        """c0 + x (c1 + x (c2 + ...)), fused."""
        *rest, y = coefficients
        y = self.number(y, x)
        for c in reversed(rest):
            y = self.fma(y, x, c)
        return y

    # ------------------------------------------------------------ numbers in two parts

    def two_sum(self, x, y):
        """(x + y rounded, what that lost), for |x| ≥ |y| or x = 0."""
        x, y = self.both(x, y)
        s = self.b.fadd(x, y)
        return s, self.b.fsub(y, self.b.fsub(s, x))

    def two_product(self, x, y):
        """(x y rounded, what that lost)."""
        x, y = self.both(x, y)
        p = self.b.fmul(x, y)
        return p, self.fma(x, y, self.neg(p))

    # ------------------------------------------------------------ truth

    def compare(self, sign: str, x, y):
        """A mask; false where an operand is NaN, except for `!=`."""
        x, y = self.both(x, y)
        if is_int(x):
            signed = not is_unsigned(x)
            return (self.b.icmp_signed if signed else self.b.icmp_unsigned)(sign, x, y)
        emit = self.b.fcmp_unordered if sign == "!=" else self.b.fcmp_ordered
        return emit(sign, x, y)

    def nowhere(self):
        """A mask of no lane."""
        return self.number(0, self.vector(BIT))

    def isnan(self, x):
        """A mask of what is not a number."""
        return self.nowhere() if is_int(x) else self.b.fcmp_unordered("uno", x, x)

    def isfinite(self, x):
        """A mask of what is neither infinite nor NaN."""
        if is_int(x):
            return self.logical_not(self.nowhere())
        return self.compare("<", self.abs(x), math.inf)

    def isinf(self, x):
        """A mask of what is infinite."""
        return (
            self.nowhere() if is_int(x) else self.compare("==", self.abs(x), math.inf)
        )

    def signbit(self, x):
        """A mask of set signs, that of -0 and of NaN too."""
        return self.compare("<", x if is_int(x) else self.as_int(x), 0)

    def truth(self, x):
        """A mask of what is not zero."""
        return x if _is_mask(x) else self.compare("!=", x, 0)

    def logical_and(self, x, y):
        """Both are not zero."""
        return self.b.and_(self.truth(x), self.truth(y))

    def logical_or(self, x, y):
        """One at least is not zero."""
        return self.b.or_(self.truth(x), self.truth(y))

    def logical_xor(self, x, y):
        """Just one is not zero."""
        return self.b.xor(self.truth(x), self.truth(y))

    def logical_not(self, x):
        """Is zero."""
        return self.b.not_(self.truth(x))

    def select(self, mask, x, y):
        """x where the mask holds, else y."""
        x, y = self.both(x, y)
        return self.b.select(mask, x, y)

    def choose(self, *cases):
        """The value of the first (mask, value) that holds; the last is for the rest."""
        *cases, y = cases
        for mask, x in reversed(cases):
            y = self.select(mask, x, y)
        return y

    def any(self, mask):
        """Whether the mask holds in a lane."""
        if self.width == 1:
            return mask
        bits = ir.IntType(self.width)
        return self.b.icmp_unsigned("!=", self.b.bitcast(mask, bits), bits(0))

    # ------------------------------------------------------------ whole numbers

    def bit_and(self, x, y):
        """Bits that both have."""
        return self.b.and_(*self.both(x, y))

    def bit_or(self, x, y):
        """Bits that one at least has."""
        return self.b.or_(*self.both(x, y))

    def bit_xor(self, x, y):
        """Bits that just one has."""
        return self.b.xor(*self.both(x, y))

    def bit_not(self, x):
        """All bits turned."""
        return self.b.not_(x)

    def _too_far(self, x, n):
        """Where a shift would move all bits out."""
        bits = self.number(element_of(x.type).width, n)
        return self.b.icmp_unsigned(">=", n, bits)

    def shift_left(self, x, n):
        """x 2ⁿ in its bits; 0 when all are shifted out."""
        far = self._too_far(x, n)
        return self.select(far, 0, self.b.shl(x, self.select(far, 0, n)))

    def shift_right(self, x, n):
        """⌊x / 2ⁿ⌋; the sign alone when all bits are shifted out."""
        most = element_of(x.type).width - 1
        n = self.select(self._too_far(x, n), most, n)
        return (self.b.lshr if is_unsigned(x) else self.b.ashr)(x, n)

    def whole_power(self, x, n: int):
        """xⁿ by squares, for n ≥ 0."""
        y = None
        while n:
            if n & 1:
                y = x if y is None else self.mul(y, x)
            n >>= 1
            x = self.mul(x, x) if n else x
        return self.number(1, x) if y is None else y

    # ------------------------------------------------------------ bits

    def as_int(self, x):
        """The bits of x."""
        return self.b.bitcast(x, self.vector(self.format(x).int))

    def as_float(self, n, f: Format):
        """The float of these bits."""
        return self.b.bitcast(n, self.vector(f.type))

    def to_int(self, x):
        """x, which is whole and small, as an integer of its size."""
        return self.b.fptosi(x, self.vector(self.format(x).int))

    def near_whole(self, x, scale=1.0):
        """(n, n as an integer) with n = x scale rounded, where that is small."""
        f = self.format(x)
        lifted = self.fma(x, scale, f.magic)
        n = self.b.fsub(lifted, self.number(f.magic, x))
        return n, self.sub(self.as_int(lifted), f.magic_bits)

    def power_of_two(self, n, f: Format):
        """2ⁿ for integers n whose result is a normal number."""
        return self.as_float(
            self.b.shl(self.add(n, f.bias), self.number(f.mantissa, n)), f
        )

    def scaled(self, x, n):
        """x 2ⁿ, also where 2ⁿ alone would overflow or be denormal."""
        f = self.format(x)
        half = self.b.ashr(n, self.number(1, n))
        x = self.mul(x, self.power_of_two(half, f))
        return self.mul(x, self.power_of_two(self.sub(n, half), f))

    # ------------------------------------------------------------ conversion

    def cast(self, x, kind):
        """x as another element type, as C converts."""
        was = element_of(x.type)
        if was is kind:
            return x
        if isinstance(was, _Brain) or was == HALF:
            return self.cast(self._widened(x), kind)
        if isinstance(kind, _Brain) or kind == HALF:
            return self._narrowed(self._to_single(x), kind)
        if kind == BIT:
            return self.truth(x)
        to_int = is_int_type(kind)
        if is_int(x):
            return self._resized(x, kind) if to_int else self._floated(x, kind)
        if to_int:
            return self._to_whole(x, kind)
        if was == kind:
            return x
        to = self.vector(kind)
        return self.b.fpext(x, to) if kind == DOUBLE else self.b.fptrunc(x, to)

    def _resized(self, x, kind):
        was, to = element_of(x.type), self.vector(kind)
        if was.width == kind.width:
            return self.b.bitcast(x, to)
        if was.width > kind.width:
            return self.b.trunc(x, to)
        return (self.b.zext if is_unsigned(x) else self.b.sext)(x, to)

    def _floated(self, x, kind):
        emit = self.b.uitofp if is_unsigned(x) else self.b.sitofp
        return emit(x, self.vector(kind))

    def _to_whole(self, x, kind):
        """Small integers by way of larger ones, whose lower bits they are."""
        wide = self.b.fptosi(x, self.vector(kind if kind.width > 32 else INT32))
        return wide if kind.width >= 32 else self._resized(wide, kind)

    def _widened(self, x):
        """A float of two bytes as one of four."""
        if element_of(x.type) == HALF:
            return self.b.fpext(x, self.vector(FLOAT))
        bits = self.b.zext(x, self.vector(INT32))
        return self.b.bitcast(
            self.b.shl(bits, self.number(16, bits)), self.vector(FLOAT)
        )

    def _to_single(self, x):
        """As a float; a double is rounded to odd, so that it can be rounded once more."""
        if element_of(x.type) != DOUBLE:
            return self.cast(x, FLOAT)
        y = self.b.fptrunc(x, self.vector(FLOAT))
        back = self.b.fpext(y, x.type)
        bits = self.as_int(y)
        above = self.compare(">", self.abs(back), self.abs(x))
        odd = self.bit_or(self.select(above, self.sub(bits, 1), bits), 1)
        inexact = self.b.fcmp_ordered("!=", back, x)
        return self.as_float(self.select(inexact, odd, bits), FORMATS["float"])

    def _narrowed(self, x, kind):
        """A float as one of two bytes, to the nearest, halves to even."""
        if kind == HALF:
            return self.b.fptrunc(x, self.vector(kind))
        bits = self.as_int(x)
        sixteen = self.number(16, bits)
        top = self.b.lshr(bits, sixteen)
        carry = self.add(self.bit_and(top, 1), 0x7FFF)
        rounded = self.b.lshr(self.add(bits, carry), sixteen)
        rounded = self.select(self.isnan(x), self.bit_or(top, 0x40), rounded)
        return self.b.trunc(rounded, self.vector(kind))

    # ------------------------------------------------------------ ways

    def rarely(self, mask, slow: Callable, *fast):
        """The values `fast`; if the mask holds in any lane, those that slow() writes."""
        b, head = self.b, self.b.block
        cold, done = b.append_basic_block("rare"), b.append_basic_block("done")
        b.cbranch(self.any(mask), cold, done).set_weights([1, 1000])
        b.position_at_end(cold)
        found = slow()
        end = b.block
        b.branch(done)
        self._before[done] = head
        b.position_at_end(done)
        return tuple(
            self._either(x, head, y, end) for x, y in zip(fast, found, strict=True)
        )

    def once(self, write: Callable, x):
        """write(x), or what it gave before if that was on the way to this place."""
        key = write, x
        block, y = self._written.get(key, (None, None))
        here = self.b.block
        while here is not None and here is not block:
            here = self._before.get(here)
        if y is None or here is None:
            y = write(x)
            self._written[key] = self.b.block, y
        return y

    def _either(self, x, head, y, end):
        phi = self.b.phi(x.type)
        phi.add_incoming(x, head)
        phi.add_incoming(y, end)
        return phi

    def shared(self, name: str, write: Callable, *xs, result=None, cold=False):
        """write(lanes, *xs) as a function that a module contains once.

        Its result is of the type of the first operand, unless `result` is a list of types.
        """
        kinds = [x.type for x in xs]
        text = f"adjoint.{name}.{'.'.join(map(_mangled, kinds))}"
        f = self.b.module.globals.get(text)
        if f is None:
            to = ir.LiteralStructType(result) if result else kinds[0]
            f = ir.Function(self.b.module, ir.FunctionType(to, kinds), text)
            f.linkage = "internal"
            for attribute in ("nounwind", "cold", "noinline")[: 3 if cold else 1]:
                f.attributes.add(attribute)
            self._write(f, write)
        y = self.b.call(f, xs)
        if result is None:
            return y
        return tuple(self.b.extract_value(y, i) for i in range(len(result)))

    def _write(self, f, write):
        builder = ir.IRBuilder(f.append_basic_block())
        y = write(type(self)(builder, self.width), *f.args)
        if isinstance(y, tuple):
            parts, y = y, ir.Constant(f.return_value.type, ir.Undefined)
            for i, v in enumerate(parts):
                y = builder.insert_value(y, v, i)
        builder.ret(y)


def element_of(kind):
    return kind.element if isinstance(kind, ir.VectorType) else kind


def is_int_type(kind) -> bool:
    return isinstance(element_of(kind), ir.IntType)


def is_int(x) -> bool:
    return is_int_type(x.type)


def _is_mask(x) -> bool:
    return isinstance(x, ir.Value) and element_of(x.type) == BIT


def is_unsigned(x) -> bool:
    kind = element_of(x.type)
    return isinstance(kind, _Unsigned) or kind == BIT


def _mangled(kind) -> str:
    if isinstance(kind, ir.VectorType):
        return f"v{kind.count}{_mangled(kind.element)}"
    return {"float": "f32", "double": "f64", "half": "f16"}.get(str(kind), str(kind))
