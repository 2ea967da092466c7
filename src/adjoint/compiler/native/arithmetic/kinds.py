"""Types of lanes: LLVM's, and those that say more of an integer than LLVM keeps."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..llvm import text as ir
from ..llvm.types import BIT, BYTE


class Unsigned(ir.IntType):
    """An integer without sign, which is the same to LLVM."""

    __slots__ = ()


class Brain(ir.IntType):
    """The upper half of a float, as memory holds it: an integer to LLVM."""

    __slots__ = ()


UINT8, BFLOAT = Unsigned(8), Brain(16)
HALF, FLOAT, DOUBLE = ir.HalfType(), ir.FloatType(), ir.DoubleType()
INT32, INT64 = ir.IntType(32), ir.IntType(64)


_SCALARS = {"f4": FLOAT, "f8": DOUBLE, "b1": BIT, "u1": UINT8, "f2": HALF, "V2": BFLOAT}


def element(dtype: np.dtype):
    """The type of an element in a register."""
    found = _SCALARS.get(dtype.str[1:])
    return found or ir.IntType(8 * dtype.itemsize)


def stored_element(dtype: np.dtype):
    """And in memory, where a bool takes a byte, and a complex number lies in two parts."""
    if dtype.kind == "c":
        return FLOAT if dtype.itemsize == 8 else DOUBLE
    return BYTE if dtype.kind == "b" else element(dtype)


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


def element_of(kind):
    """The type of a lane."""
    return kind.element if isinstance(kind, ir.VectorType) else kind


def alike(kind, scalar):
    """The type of as many lanes of another scalar."""
    return (
        ir.VectorType(scalar, kind.count) if isinstance(kind, ir.VectorType) else scalar
    )


def is_int_type(kind) -> bool:
    """Whether lanes of this type are whole numbers or truth values."""
    return isinstance(element_of(kind), ir.IntType)


def is_int(x) -> bool:
    """Whether x is of such a type."""
    return is_int_type(x.type)


def is_mask(x) -> bool:
    """Whether x holds truth values."""
    return isinstance(x, ir.Value) and element_of(x.type) == BIT


def is_unsigned(x) -> bool:
    """Whether x has no negative numbers."""
    kind = element_of(x.type)
    return isinstance(kind, Unsigned) or kind == BIT
