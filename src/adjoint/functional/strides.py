"""Windows that overlap, and memory seen with other strides."""

from __future__ import annotations

import math

import numpy as np

from ..autodiff.straight import viewed
from ..core.memory import address
from ..core.primitive import op
from ..core.shape import norm_dim
from ..errors import (
    ArgumentError,
    ShapeError,
)
from .face import (
    method,
    need_tensor,
    only_method,
)
from .shapes import reshape, sizes


@only_method
def unfold(self, dimension, size, step):
    """Slices of `size` elements of a dim, one every `step`, as a new last dim: a view.

    >>> tensor([1, 2, 3, 4]).unfold(0, 2, 1)
    tensor([[1, 2],
            [2, 3],
            [3, 4]])
    """
    x = reshape(self, (1,)) if self.ndim == 0 else self
    dim = norm_dim(dimension, self.ndim)
    if size < 0 or step <= 0:
        raise ArgumentError(
            f"unfold: size must be >= 0 and step > 0, got size {size} and step {step}"
        )
    if size > x.shape[dim]:
        raise ShapeError(
            f"unfold: maximum size for tensor at dimension {dim} is {x.shape[dim]} but size "
            f"is {size}"
        )
    y = op.frames(x, dim=dim, size=int(size), step=int(step))
    return viewed(op.reshape, y, shape=(int(size),)) if self.ndim == 0 else y


@method
def as_strided(input, size, stride, storage_offset=None):
    """The memory of `input` read with another shape and other steps: a view.

    >>> as_strided(tensor([1, 2, 3]), (2, 2), (1, 1))
    tensor([[1, 2],
            [2, 3]])
    """
    x = need_tensor(input, "as_strided")
    size, stride = sizes((size,)), sizes((stride,))
    if len(size) != len(stride):
        raise ShapeError(
            f"as_strided: mismatch in length of strides {stride} and shape {size}"
        )
    if any(n < 0 for n in (*size, *stride)):
        raise ShapeError(
            f"as_strided: sizes and strides must not be negative, got {size} and {stride}"
        )
    x, own = _storage(x)
    offset = own if storage_offset is None else int(storage_offset)
    last = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
    if offset < 0 or (math.prod(size) and last >= math.prod(x.shape)):
        raise ShapeError(
            f"as_strided: sizes {list(size)}, strides {list(stride)}, storage offset "
            f"{offset} are out of bounds for storage of {math.prod(x.shape)} elements"
        )
    return op.as_strided(x, size=size, stride=stride, offset=offset)


def _storage(x):
    """The tensor that holds all of x's memory, and where in it x begins."""
    base, value = x.__dict__.get("base"), x.value
    if base is None or not isinstance(value, np.ndarray):
        return x, 0
    if base.value.dtype != value.dtype:
        return x, 0
    start = address(value) - address(base.value)
    return base, start // value.itemsize
