"""What the namespace is and has: its dtypes, their limits, kinds and promotion."""

from __future__ import annotations

from functools import reduce

from ..core import dtype as dt
from ..core.bind import Box, dtype_of
from ..errors import ArgumentError, ArgumentTypeError
from ..functional.face import FUNCTIONS, SCALARS, np_dtype

_KINDS = {
    "bool": ("bool",),
    "signed integer": ("int8", "int16", "int32", "int64"),
    "unsigned integer": ("uint8", "uint16", "uint32", "uint64"),
    "real floating": ("float32", "float64"),
    "complex floating": ("complex64", "complex128"),
}
_KINDS["integral"] = _KINDS["signed integer"] + _KINDS["unsigned integer"]
_KINDS["numeric"] = (
    _KINDS["integral"] + _KINDS["real floating"] + _KINDS["complex floating"]
)


def isdtype(dtype, kind) -> bool:
    """Whether a dtype is a kind: its name, a dtype, or a tuple of such.

    >>> isdtype(float32, "real floating"), isdtype(float32, ("integral", float64))
    (True, False)
    """
    if isinstance(kind, tuple):
        return any(isdtype(dtype, k) for k in kind)
    if not isinstance(kind, str):
        return dt.dtype(dtype) == dt.dtype(kind)
    if kind not in _KINDS:
        raise ArgumentError(
            f"isdtype: kind must be one of {list(_KINDS)}, got {kind!r}"
        )
    return dt.dtype(dtype).name in _KINDS[kind]


def promoted(*xs):
    """The NumPy dtype of the standard's promotion: 0-d arrays count as all others do."""
    arrays = [np_dtype(x) if isinstance(x, dt.DType) else _of(x) for x in xs]
    known = [d for d in arrays if d is not None]
    if not known:
        raise ArgumentError(
            "result_type: at least one argument must be an array or dtype"
        )
    d = reduce(dt.promote, known)
    numbers = [dt.weak(type(x), d) for x in xs if isinstance(x, SCALARS)]
    return reduce(dt.promote, numbers, d)


def _of(x):
    if isinstance(x, Box):
        return dtype_of(x)
    if isinstance(x, SCALARS):
        return None
    raise ArgumentTypeError(f"expected an array, a dtype or a number, got {x!r}")


def result_type(*arrays_and_dtypes):
    """The dtype in which these arrays, dtypes and numbers compute.

    >>> from adjoint import array_api as xp
    >>> xp.result_type(xp.int8, xp.asarray(1, dtype=xp.int64))
    adjoint.int64
    """
    return dt.dtype(promoted(*arrays_and_dtypes))


def can_cast(from_, to) -> bool:
    """Whether promotion leads from one dtype to the other.

    >>> from adjoint import array_api as xp
    >>> xp.can_cast(xp.int8, xp.int16), xp.can_cast(xp.float64, xp.float32)
    (True, False)
    """
    return promoted(dt.dtype(_dtype(from_)), dt.dtype(to)) == np_dtype(to)


def _dtype(x):
    return dtype_of(x) if isinstance(x, Box) else x


def finfo(type):
    """The limits of a floating dtype, or of an array's.

    >>> finfo(float32).bits
    32
    """
    return FUNCTIONS["finfo"](dt.dtype(dt.to_real(np_dtype(dt.dtype(_dtype(type))))))


def iinfo(type):
    """The limits of an integer dtype, or of an array's.

    >>> iinfo(int8).max
    127
    """
    return FUNCTIONS["iinfo"](dt.dtype(_dtype(type)))


class __array_namespace_info__:
    """What the standard's inspection asks for.

    >>> from adjoint import array_api as xp
    >>> xp.__array_namespace_info__().default_device()
    'cpu'
    """

    def capabilities(self) -> dict:
        """Boolean indexing and shapes that depend on values are there; ranks have no limit."""
        return {
            "boolean indexing": True,
            "data-dependent shapes": True,
            "max dimensions": 64,
        }

    def default_device(self) -> str:
        """Where new arrays are."""
        return "cpu"

    def devices(self) -> list[str]:
        """All devices."""
        return ["cpu"]

    def default_dtypes(self, *, device=None) -> dict:
        """The dtypes of new arrays, by kind."""
        real = dt.get_default_dtype()
        return {
            "real floating": real,
            "complex floating": dt.dtype(dt.to_complex(real.np)),
            "integral": dt.int64,
            "indexing": dt.int64,
        }

    def dtypes(self, *, device=None, kind=None) -> dict:
        """The dtypes of a kind, or of several, by name."""
        kinds = tuple(_KINDS) if kind is None else kind
        return {
            name: d
            for name, d in dt.BY_NAME.items()
            if isdtype(d, kinds) and _standard(name)
        }


def _standard(name: str) -> bool:
    return any(name in names for names in _KINDS.values())
