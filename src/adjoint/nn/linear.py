"""Layers that are one matrix product."""

from __future__ import annotations

import math

from ..functional import creation
from . import functional as F
from . import init
from .module import Module
from .parameter import Parameter


class Linear(Module):
    """y = x Wᵀ + b, with W of shape (out_features, in_features).

    >>> from adjoint import nn
    >>> nn.Linear(3, 2)(zeros(5, 3)).shape
    adjoint.Size([5, 2])
    """

    def __init__(self, in_features, out_features, bias=True, device=None, dtype=None):
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        shape = (out_features, in_features)
        self.weight = Parameter(creation.empty(shape, device=device, dtype=dtype))
        self.register_parameter("bias", None)
        if bias:
            self.bias = Parameter(creation.empty(shape[:1], device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw W and b uniformly from ±1/√in_features."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            init.uniform_(self.bias, *within(self.in_features))

    def forward(self, input):
        """input Wᵀ + b."""
        return F.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        """The sizes."""
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )


class Bilinear(Module):
    """y = x1ᵀ A x2 + b for each output feature.

    >>> from adjoint import nn
    >>> nn.Bilinear(2, 3, 4)(zeros(5, 2), zeros(5, 3)).shape
    adjoint.Size([5, 4])
    """

    def __init__(
        self,
        in1_features,
        in2_features,
        out_features,
        bias=True,
        device=None,
        dtype=None,
    ):
        super().__init__()
        self.in1_features, self.in2_features = in1_features, in2_features
        self.out_features = out_features
        shape = (out_features, in1_features, in2_features)
        self.weight = Parameter(creation.empty(shape, device=device, dtype=dtype))
        self.register_parameter("bias", None)
        if bias:
            self.bias = Parameter(creation.empty(shape[:1], device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw A and b uniformly from ±1/√in1_features."""
        for p in self.parameters():
            init.uniform_(p, *within(self.in1_features))

    def forward(self, input1, input2):
        """x1ᵀ A x2 + b."""
        return F.bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        """The sizes."""
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, "
            f"out_features={self.out_features}, bias={self.bias is not None}"
        )


def within(fan_in: int) -> tuple[float, float]:
    """The bounds ±1/√fan_in of PyTorch's default initialisation."""
    bound = 1 / math.sqrt(fan_in) if fan_in > 0 else 0.0
    return -bound, bound
