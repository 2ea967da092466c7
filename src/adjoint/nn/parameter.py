"""Tensors that belong to a module: what is trained, and what is only kept."""

from __future__ import annotations

from ..core.bind import Box
from ..errors import ArgumentTypeError
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
    x.value, x.plain = data.numpy_of(), True
