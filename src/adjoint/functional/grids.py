"""Grids, matrices turned, and what is asked of a tensor."""

from __future__ import annotations

import math

from ..autodiff.modes import recording
from ..autodiff.node import Leaf
from ..autodiff.views import adopt
from ..core.bind import dtype_of
from ..core.primitive import conjugate, op
from ..errors import (
    ArgumentError,
    DtypeError,
    GradError,
    ShapeError,
)
from .face import (
    METHODS,
    function,
    method,
    need_tensor,
    only_method,
)
from .shapes import listed_tensors, squeeze, swapaxes, t, transpose, unsqueeze
from .strides import as_strided


@function
def meshgrid(*tensors, indexing=None):
    """Of n vectors n grids: number i holds the coordinate i of each point; "xy" swaps two.

    >>> meshgrid(tensor([1, 2]), tensor([3, 4]), indexing="ij")
    (tensor([[1, 1],
            [2, 2]]), tensor([[3, 4],
            [3, 4]]))
    """
    xs = listed_tensors(tensors)
    indexing = "ij" if indexing is None else indexing
    if indexing not in ("ij", "xy"):
        raise ArgumentError(
            f'meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}'
        )
    if not xs:
        raise ArgumentError("meshgrid: expects a non-empty list of Tensors")
    for x in xs:
        if need_tensor(x, "meshgrid").ndim > 1:
            raise ShapeError(
                f"meshgrid: expected 0-D or 1-D tensors, got one of shape {tuple(x.shape)}"
            )
        if dtype_of(x) != dtype_of(xs[0]):
            raise DtypeError("meshgrid: expects all tensors to have the same dtype")
    swap = indexing == "xy" and len(xs) >= 2
    xs = [*xs[1::-1], *xs[2:]] if swap else xs
    shape = tuple(math.prod(x.shape) for x in xs)
    ones = [(1,) * i + (n,) + (1,) * (len(xs) - i - 1) for i, n in enumerate(shape)]
    out = [
        op.expand(op.reshape(x, shape=one), shape=shape)
        for x, one in zip(xs, ones, strict=True)
    ]
    return (*out[1::-1], *out[2:]) if swap else tuple(out)


def mT(x):
    """The last two dims swapped."""
    if x.ndim < 2:
        raise ShapeError(
            "tensor.mT is only supported on matrices or batches of matrices. "
            f"Got {x.ndim}-D tensor."
        )
    return transpose(x, -2, -1)


def mH(x):
    """The last two dims swapped and conjugated."""
    if x.ndim < 2:
        raise ShapeError(
            "tensor.mH is only supported on matrices or batches of matrices. "
            f"Got {x.ndim}-D tensor."
        )
    y = transpose(x, -2, -1)
    return conjugate(y)


def H(x):
    """A matrix transposed and conjugated; a number conjugated."""
    if x.ndim == 0:
        return conjugate(x)
    if x.ndim != 2:
        raise ShapeError(
            "tensor.H is only supported on matrices (2-D tensors). "
            f"Got {x.ndim}-D tensor.",
            hint="mH is for batches of matrices",
        )
    return mH(x)


@method
def adjoint(input):
    """Conjugate transpose of the last two dims.

    >>> adjoint(tensor([[1, 2]]))
    tensor([[1],
            [2]])
    """
    return mH(need_tensor(input, "adjoint"))


@method
def is_nonzero(input) -> bool:
    """Whether the one element of a tensor is not zero.

    >>> is_nonzero(tensor([2.]))
    True
    """
    return bool(need_tensor(input, "is_nonzero"))


def _in_place(f):
    """The form of `f`, whose results are views, that gives `self` itself the new shape."""

    def method(self, *args, **kwargs):
        if type(self.node) is Leaf and recording.get():
            raise GradError(
                f"{f.__name__}_: a leaf Variable that requires grad is being used in an "
                "in-place operation",
                hint=f"use {f.__name__}",
            )
        y = METHODS[f.__name__](self, *args, **kwargs)
        if self.__dict__.get("base") is not None:
            self.chain = y.chain
        adopt(self, y)
        return self

    method.__name__ = method.__qualname__ = f.__name__ + "_"
    method.__doc__ = f"`{f.__name__}` of this tensor itself, on the same memory."
    return only_method(method)


for _f in (t, transpose, swapaxes, squeeze, unsqueeze, as_strided):
    _in_place(_f)


METHODS["swapdims_"] = METHODS["transpose_"]
