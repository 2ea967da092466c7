"""Dtypes with PyTorch's names, and PyTorch's promotion: tensor, 0-d tensor, Python scalar.

Inside, a dtype is NumPy's own object; `DType` is what the user sees.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from ..errors import ArgumentTypeError, DtypeError
from .bind import note_change

try:
    import ml_dtypes

    _bfloat16 = np.dtype(ml_dtypes.bfloat16)
except ImportError:
    _bfloat16 = None


class DType:
    """One element type, such as `adjoint.float32`; DType(d) is that of a NumPy dtype, a name
    or a Python type.

    >>> from adjoint.core.dtype import dtype, float32
    >>> float32, float32.itemsize, float32.is_floating_point
    (adjoint.float32, 4, True)
    >>> dtype("float32") is dtype(float) is float32, isinstance(float32, dtype)
    (True, True)
    """

    __slots__ = ("name", "np", "rank")

    def __new__(cls, d) -> DType:
        if isinstance(d, DType):
            return d
        found = _PYTHON.get(d) if isinstance(d, type) else None
        if found is not None:
            return get_default_dtype() if found is float32 else found
        try:
            found = BY_NUMPY.get(np.dtype(d))
        except (TypeError, ValueError):
            found = None
        if found is None:
            raise ArgumentTypeError(
                f"no tensor dtype for {d!r}; there are: {', '.join(BY_NAME)}"
                + other_order(d)
            )
        return found

    is_floating_point = property(lambda self: self.rank == 2)
    is_complex = property(lambda self: self.rank == 3)
    is_signed = property(lambda self: self.np.kind not in "bu")
    itemsize = property(lambda self: self.np.itemsize)

    def __repr__(self):
        return f"adjoint.{self.name}"

    def __reduce__(self):
        return (DType, (self.name,))

    def __eq__(self, other):
        return self is other or (isinstance(other, np.dtype) and self.np == other)

    def __hash__(self):
        return hash(self.np)


dtype = DType  # as PyTorch calls it


def other_order(d) -> str:
    """What to do about a dtype of another byte order than this machine's, for people."""
    swapped = isinstance(d, np.dtype) and d.newbyteorder("=") in BY_NUMPY
    advice = "; x.astype(x.dtype.newbyteorder('=')) has this machine's byte order"
    return advice if swapped and not d.isnative else ""


# Rank is the category of PyTorch's promotion: bool < integer < floating < complex.
_RANKS = {"b": 0, "u": 1, "i": 1, "f": 2, "V": 2, "c": 3}


def _made(d: np.dtype) -> DType:
    """The one DType of a NumPy dtype."""
    out = object.__new__(DType)
    out.np, out.name, out.rank = d, d.name, _RANKS[d.kind]
    return out


_NAMES = (
    "bool uint8 uint16 uint32 uint64 int8 int16 int32 int64 float16 float32 float64 "
    "complex64 complex128"
)
BY_NUMPY = {d: _made(d) for d in map(np.dtype, _NAMES.split())}
if _bfloat16 is not None:
    BY_NUMPY[_bfloat16] = _made(_bfloat16)

(
    bool_,
    uint8,
    uint16,
    uint32,
    uint64,
    int8,
    int16,
    int32,
    int64,
    float16,
    float32,
    float64,
    complex64,
    complex128,
) = (BY_NUMPY[np.dtype(n)] for n in _NAMES.split())
bfloat16 = BY_NUMPY.get(_bfloat16)
half, float_, double, short, int_, long = float16, float32, float64, int16, int32, int64
cfloat, cdouble = complex64, complex128
BY_NAME = {d.name: d for d in BY_NUMPY.values()}

_default = [float32]


def get_default_dtype() -> DType:
    """The dtype of new floating tensors.

    >>> import adjoint as ad
    >>> ad.get_default_dtype()
    adjoint.float32
    """
    return _default[0]


def set_default_dtype(d: DType) -> None:
    """Set the dtype of new floating tensors (a floating dtype)."""
    if not dtype(d).is_floating_point:
        raise DtypeError(f"only floating dtypes can be the default, got {d}")
    _default[0] = dtype(d)
    note_change()


_PYTHON = {bool: bool_, int: int64, float: float32, complex: complex64}


def rank(d: np.dtype) -> int:
    """0 bool, 1 integer, 2 floating, 3 complex."""
    return BY_NUMPY[d].rank


def is_short(dtype: np.dtype) -> bool:
    """Whether it is a float of two bytes, whose arithmetic is done in float32."""
    return dtype.itemsize == 2 and dtype.kind in "fV"


def widened(x: np.ndarray) -> np.ndarray:
    """Floats of two bytes in single precision, in which sums and exponentials are made."""
    return x.astype(np.float32) if is_short(x.dtype) else x


def is_inexact(d: np.dtype) -> bool:
    """Floating or complex: the dtypes that have derivatives.

    >>> import numpy as np
    >>> is_inexact(np.dtype('float32')), is_inexact(np.dtype('int32'))
    (True, False)
    """
    return BY_NUMPY[d].rank >= 2


@cache
def promote(a: np.dtype, b: np.dtype) -> np.dtype:
    """PyTorch's table for two dtypes of the same priority.

    >>> import numpy as np
    >>> promote(np.dtype('int64'), np.dtype('float16'))
    dtype('float16')
    """
    if a == b:
        return a
    ra, rb = rank(a), rank(b)
    if ra != rb and max(ra, rb) <= 2:
        return a if ra > rb else b
    if ra == rb == 2 and _bfloat16 is not None and _bfloat16 in (a, b):
        other = b if a == _bfloat16 else a
        return np.dtype("float32") if other.itemsize == 2 else other
    if ra == 3 and rb < 2:
        return a
    if rb == 3 and ra < 2:
        return b
    if ra == 3 and rb == 3:
        return a if a.itemsize >= b.itemsize else b
    if max(ra, rb) == 3:
        wide = np.dtype("float64") in (a, b) or np.dtype("complex128") in (a, b)
        return np.dtype("complex128" if wide else "complex64")
    d = np.promote_types(a, b)
    if d.kind == "f" and ra == 1:  # uint64 and a signed one
        raise DtypeError(
            f"no integer dtype holds the numbers of both {a.name} and {b.name}",
            hint=f"x.to({b.name}) chooses one",
        )
    return d


def weak(kind: type, other: np.dtype | None) -> np.dtype:
    """The dtype a Python scalar of type `kind`, such as an IntEnum, takes beside `other`."""
    scalar = next(d for of, d in _PYTHON.items() if issubclass(kind, of))
    if other is not None and BY_NUMPY[other].rank >= scalar.rank:
        return other
    if scalar.rank == 3:
        wide = other is not None and other == np.dtype("float64")
        return np.dtype("complex128" if wide else to_complex(get_default_dtype().np))
    return get_default_dtype().np if scalar.rank == 2 else scalar.np


def to_real(d: np.dtype) -> np.dtype:
    """The dtype of the parts of a complex number; others unchanged."""
    return np.dtype(f"float{d.itemsize * 4}") if d.kind == "c" else d


def to_complex(d: np.dtype) -> np.dtype:
    """The complex dtype whose parts have this dtype."""
    if d.kind == "c":
        return d
    return np.dtype("complex128" if d.itemsize == 8 else "complex64")


def to_inexact(d: np.dtype) -> np.dtype:
    """Integers and bool become the default floating dtype."""
    return d if is_inexact(d) else get_default_dtype().np
