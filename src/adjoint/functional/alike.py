"""Functions that make tensors like another: of its shape, or of its dtype."""

from __future__ import annotations

import numpy as np

from ..core.bind import Box, dtype_of
from ..core.device import need_cpu
from ..core.primitive import op
from .creation import empty, full, ones, tensor, zeros
from .face import (
    function,
    need_tensor,
    np_dtype,
    only_method,
)


def _like(name, value, docs):
    def f(
        input,
        *,
        dtype=None,
        layout=None,
        device=None,
        requires_grad=False,
        memory_format=None,
    ):
        if device is not None:
            need_cpu(device)
        x = need_tensor(input, name)
        d = np_dtype(dtype) or dtype_of(x)
        out = op.zeros_like(x) if value == 0 else op.ones_like(x)
        out = out if dtype_of(out) == d else op.cast(out, dtype=d)
        return out.requires_grad_() if requires_grad else out

    f.__name__ = f.__qualname__ = name
    f.__doc__ = docs
    return function(f)


zeros_like = _like(
    "zeros_like",
    0,
    "Zeros like `input`.\n\n>>> zeros_like(tensor([1, 2]))\ntensor([0, 0])",
)

ones_like = _like(
    "ones_like",
    1,
    "Ones like `input`.\n\n>>> ones_like(tensor([1, 2]))\ntensor([1, 1])",
)

empty_like = _like(
    "empty_like",
    0,
    "Room like `input`.\n\n>>> empty_like(tensor([1, 2])).shape\nadjoint.Size([2])",
)


@function
def full_like(
    input,
    fill_value,
    *,
    dtype=None,
    layout=None,
    device=None,
    requires_grad=False,
    memory_format=None,
):
    """One number in every place of the shape of `input`.

    >>> full_like(tensor([1., 2.]), 7)
    tensor([7., 7.])
    """
    x = need_tensor(input, "full_like")
    return full(
        tuple(x.shape),
        fill_value,
        dtype=dtype or dtype_of(x),
        device=device,
        requires_grad=requires_grad,
    )


def _new(name, make):
    def f(self, *shape, size=None, dtype=None, device=None, requires_grad=False):
        return make(
            *shape,
            size=size,
            dtype=dtype or dtype_of(self),
            device=device,
            requires_grad=requires_grad,
        )

    f.__name__ = f.__qualname__ = name
    f.__doc__ = f"`{name[4:]}` with this tensor's dtype."
    return only_method(f)


_new("new_zeros", zeros)

_new("new_ones", ones)

_new("new_empty", empty)


@only_method
def new(self, *data, device=None):
    """A tensor with this one's dtype: of these numbers, or of this shape.

    >>> tensor([1, 2]).new([3])
    tensor([3])
    """
    need_cpu(device)
    if len(data) == 1 and isinstance(data[0], (list, np.ndarray, Box)):
        return tensor(data[0], dtype=dtype_of(self))
    return zeros(*(data or (0,)), dtype=dtype_of(self))


@only_method
def new_full(self, size, fill_value, *, dtype=None, device=None, requires_grad=False):
    """`full` with this tensor's dtype."""
    return full(
        size,
        fill_value,
        dtype=dtype or dtype_of(self),
        device=device,
        requires_grad=requires_grad,
    )


@only_method
def new_tensor(self, data, *, dtype=None, device=None, requires_grad=False):
    """`tensor` with this tensor's dtype."""
    need_cpu(device)
    return tensor(data, dtype=dtype or dtype_of(self), requires_grad=requires_grad)
