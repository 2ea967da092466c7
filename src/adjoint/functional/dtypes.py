"""What dtypes can hold and what they become together; questions about tensors."""

from __future__ import annotations

import math

import numpy as np

from ..core import dtype as dt
from ..core.bind import Box, dtype_of
from ..errors import ArgumentTypeError
from .face import function, method, need_tensor, np_dtype, result_dtype


@function
class finfo:
    """Limits of a floating dtype (the default one): bits, eps, max, min, tiny, resolution.

    >>> finfo(float32).eps
    1.1920928955078125e-07
    """

    def __init__(self, type=None):
        d = np_dtype(type) or dt.get_default_dtype().np
        if dt.rank(d) < 2:
            raise ArgumentTypeError(
                f"finfo() requires a floating point input type, not {d.name}",
                hint="iinfo is for integers",
            )
        d = dt.to_real(d)
        info = dt.ml_dtypes.finfo(d) if d.kind == "V" else np.finfo(d)
        self.bits, self.dtype = d.itemsize * 8, d.name
        for name in ("eps", "max", "min", "tiny", "smallest_normal", "resolution"):
            setattr(self, name, float(getattr(info, name)))

    def __repr__(self):
        names = ("resolution", "min", "max", "eps", "smallest_normal", "tiny")
        shown = ", ".join(f"{n}={getattr(self, n):g}" for n in names)
        return f"finfo({shown}, dtype={self.dtype})"


@function
class iinfo:
    """Limits of an integer dtype: bits, max, min.

    >>> iinfo(int8)
    iinfo(min=-128, max=127, dtype=int8)
    """

    def __init__(self, type):
        d = np_dtype(type)
        if d.kind not in "iu":
            raise ArgumentTypeError(
                f"iinfo() requires an integer input type, not {d.name}",
                hint="finfo is for floating dtypes" if dt.rank(d) > 1 else "",
            )
        self.bits, self.dtype = d.itemsize * 8, d.name
        self.min, self.max = int(np.iinfo(d).min), int(np.iinfo(d).max)

    def __repr__(self):
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype})"


@function
def result_type(tensor1, tensor2):
    """The dtype in which two tensors or numbers are computed with.

    >>> result_type(tensor([1, 2], dtype=int8), 1.0)
    adjoint.float32
    """
    return dt.dtype(result_dtype(tensor1, tensor2))


@function
def promote_types(type1, type2):
    """The smallest dtype that both dtypes promote to.

    >>> promote_types(int32, float16)
    adjoint.float16
    """
    return dt.dtype(dt.promote(np_dtype(type1), np_dtype(type2)))


@function
def can_cast(from_, to) -> bool:
    """Whether writing one dtype into another keeps its category.

    >>> can_cast(float64, float32), can_cast(float32, int64)
    (True, False)
    """
    return dt.rank(np_dtype(from_)) <= dt.rank(np_dtype(to))


@function
def is_storage(obj) -> bool:
    """False: the memory of a tensor is no object of its own.

    >>> is_storage(tensor(1.))
    False
    """
    return False


@function
def is_tensor(obj) -> bool:
    """Whether `obj` is a tensor.

    >>> is_tensor(tensor(1.)), is_tensor(1.)
    (True, False)
    """
    return isinstance(obj, Box)


@function
def numel(input) -> int:
    """How many elements.

    >>> numel(zeros(2, 3))
    6
    """
    return math.prod(need_tensor(input, "numel").shape)


@function
def is_signed(input) -> bool:
    """Whether the dtype has negative numbers.

    >>> is_signed(tensor([1]))
    True
    """
    return dtype_of(need_tensor(input, "is_signed")).kind not in "bu"


@method
def is_same_size(input, other) -> bool:
    """Whether both have the same shape.

    >>> is_same_size(zeros(2, 3), ones(2, 3))
    True
    """
    return tuple(input.shape) == tuple(need_tensor(other, "is_same_size").shape)


def _converter(name, target):
    def convert(self):
        return self.to(dt.BY_NAME[target])

    convert.__name__ = convert.__qualname__ = name
    convert.__doc__ = f"This tensor in dtype {target}."
    return convert


# The methods that convert a tensor, by name.
CONVERSIONS = {
    name: _converter(name, target)
    for name, target in {
        "bool": "bool",
        "byte": "uint8",
        "char": "int8",
        "short": "int16",
        "int": "int32",
        "long": "int64",
        "half": "float16",
        "bfloat16": "bfloat16",
        "float": "float32",
        "double": "float64",
        "cfloat": "complex64",
        "cdouble": "complex128",
    }.items()
}
