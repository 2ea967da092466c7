"""Tensors that belong to a module: what is trained, and what is only kept."""

from __future__ import annotations

import numpy as np

from ..autodiff.inplace import share
from ..core.bind import Box, at_bottom, dtype_of, floor
from ..core.device import need_cpu
from ..errors import ArgumentTypeError, ShapeError
from ..functional.face import np_dtype
from ..tensor import Tensor


class Parameter(Tensor):
    """A tensor that a module trains.

    >>> from adjoint import nn, tensor
    >>> nn.Parameter(tensor([1., 2.]))
    Parameter containing:
    tensor([1., 2.], requires_grad=True)
    """

    lasting = True

    def __init__(self, data=None, requires_grad: bool = True):
        take_memory(self, data, "Parameter")
        self.requires_grad_(requires_grad)

    def __repr__(self, *, tensor_contents=None):
        return f"Parameter containing:\n{super().__repr__()}"


class Buffer(Tensor):
    """A tensor that a module keeps without training it, such as a running mean.

    `persistent=False` leaves it out of the state_dict.

    >>> from adjoint import nn, zeros
    >>> nn.Buffer(zeros(2))
    tensor([0., 0.])
    """

    lasting = True

    def __init__(self, data=None, *, persistent: bool = True):
        take_memory(self, data, "Buffer")
        self.persistent = persistent


def as_buffer(x, persistent: bool):
    """A tensor as a buffer, itself and with its place in the graph where that can be."""
    if type(x) is Tensor:
        x.__class__ = Buffer
    elif not isinstance(x, Buffer) or x.persistent != persistent:
        x = Buffer(x)
    x.persistent = persistent
    return x


def take_memory(x, data, name) -> None:
    """Make `x` a tensor on the memory of `data`; None is empty."""
    if data is None:
        Tensor.__init__(x)
        return
    if not isinstance(data, Box):
        raise ArgumentTypeError(
            f"{name}: data must be a Tensor, not {type(data).__name__}",
            hint="tensor(...) makes one of numbers, lists and arrays",
        )
    if isinstance(at_bottom(data), Box):
        share(x, data)  # a traced value has no memory yet
    else:
        x.value, x.plain = data.numpy_of(), True


# ---------------------------------------------------------------- without a shape


class _Uninitialized:
    """A tensor of a module without a shape, until it is materialized."""

    becomes: type

    def __init__(self, requires_grad=False, device=None, dtype=None):
        need_cpu(device)
        d = np_dtype(dtype)
        super().__init__()
        if d is not None:
            self.value = self.value.astype(d)
        if requires_grad:
            self.requires_grad_()

    @property
    def shape(self):
        """There is none yet: an error."""
        raise ShapeError(
            "an uninitialized parameter or buffer has no shape yet",
            hint="call the lazy module once, on an input of the right size, before this",
        )

    def detach(self):
        """This: there are no numbers to share."""
        return self

    def materialize(self, shape, device=None, dtype=None) -> None:
        """Become an ordinary parameter or buffer of this shape; its numbers are not set."""
        need_cpu(device)
        floor.get().shapes(self)
        d = dtype_of(self) if dtype is None else np_dtype(dtype)
        self.value = np.zeros(tuple(shape), d)
        self.__class__ = self.becomes

    def __repr__(self, *, tensor_contents=None):
        return f"<{type(self).__name__}>"


class UninitializedParameter(_Uninitialized, Parameter):
    """A parameter whose shape is found at the first call of its module.

    >>> w = nn.UninitializedParameter()
    >>> w.materialize((2, 3))
    >>> type(w).__name__, w.shape
    ('Parameter', adjoint.Size([2, 3]))
    """

    becomes = Parameter

    def __init__(self, requires_grad: bool = True, device=None, dtype=None):
        super().__init__(requires_grad, device, dtype)


class UninitializedBuffer(_Uninitialized, Buffer):
    """A buffer whose shape is found at the first call of its module.

    >>> nn.UninitializedBuffer()
    <UninitializedBuffer>
    """

    becomes = Buffer

    def __init__(
        self, requires_grad: bool = False, device=None, dtype=None, persistent=True
    ):
        super().__init__(requires_grad, device, dtype)
        self.persistent = persistent


def is_lazy(param) -> bool:
    """Whether a parameter or buffer has no shape yet.

    >>> from adjoint.nn.parameter import is_lazy
    >>> is_lazy(nn.LazyLinear(2).weight), is_lazy(nn.Linear(2, 2).weight)
    (True, False)
    """
    return isinstance(param, _Uninitialized)
