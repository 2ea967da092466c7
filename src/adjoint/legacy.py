"""PyTorch's older names of tensor types: `FloatTensor`, `LongTensor` and their like."""

from __future__ import annotations

from .core.bind import dtype_of
from .core.dtype import BY_NAME
from .tensor import Tensor


class _Typed(type):
    """A class whose instances are the tensors of one dtype."""

    dtype = None  # NumPy's, which it finds here: x.to(FloatTensor)

    def __call__(cls, *data, device=None):
        return Tensor(*data, dtype=cls.dtype, device=device)

    def __instancecheck__(cls, x) -> bool:
        return isinstance(x, Tensor) and dtype_of(x) == cls.dtype


_NAMES = {
    "FloatTensor": "float32",
    "DoubleTensor": "float64",
    "HalfTensor": "float16",
    "BFloat16Tensor": "bfloat16",
    "ByteTensor": "uint8",
    "CharTensor": "int8",
    "ShortTensor": "int16",
    "IntTensor": "int32",
    "LongTensor": "int64",
    "BoolTensor": "bool",
}
TYPES = {
    name: _Typed(
        name,
        (),
        {
            "dtype": BY_NAME[dtype].np,
            "__module__": "adjoint",
            "__doc__": f"Tensors of dtype {dtype}.",
        },
    )
    for name, dtype in _NAMES.items()
    if dtype in BY_NAME  # bfloat16 where ml_dtypes is installed
}
