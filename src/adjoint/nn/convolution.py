"""Convolutions and their transposes in one, two and three dims, as layers."""

from __future__ import annotations

import math

from ..errors import ArgumentError, ShapeError
from ..functional import creation
from ..functional.convolution import per_dim
from ..functional.face import need_tensor
from . import functional as F
from . import init
from .linear import within
from .module import Module
from .parameter import Parameter

_MODES = ("zeros", "reflect", "replicate", "circular")


class _ConvNd(Module):
    """What convolutions and transposed ones share: sizes, weight and bias, printing."""

    n = 0  # spatial dims
    transposed = False

    def _build(
        self, channels, kernel_size, stride, padding, dilation, output_padding, **more
    ):
        n, name = self.n, type(self).__name__
        self.in_channels, self.out_channels = channels
        self.groups, self.padding_mode = more["groups"], more["padding_mode"]
        self.kernel_size = per_dim(kernel_size, n, f"{name}: kernel_size", 1)
        self.stride = per_dim(stride, n, f"{name}: stride", 1)
        self.dilation = per_dim(dilation, n, f"{name}: dilation", 1)
        self.padding = padding
        if not isinstance(padding, str):
            self.padding = per_dim(padding, n, f"{name}: padding")
        self.output_padding = per_dim(output_padding, n, f"{name}: output_padding")
        _check(self, name)
        self._make(more["bias"], {k: more[k] for k in ("device", "dtype")})

    def _make(self, bias, kind):
        a, b = self.in_channels, self.out_channels
        a, b = (a, b) if self.transposed else (b, a)
        shape = (a, b // self.groups, *self.kernel_size)
        self.weight = Parameter(creation.empty(shape, **kind))
        self.register_parameter("bias", None)
        if bias:
            self.bias = Parameter(creation.empty((self.out_channels,), **kind))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias uniformly from ±1/√(inputs of an output)."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            fan_in = math.prod(self.weight.shape[1:])
            init.uniform_(self.bias, *within(fan_in))

    def extra_repr(self) -> str:
        """The sizes, and what differs from the defaults."""
        zeros, ones = (0,) * self.n, (1,) * self.n
        parts = [
            f"{self.in_channels}, {self.out_channels}, "
            f"kernel_size={self.kernel_size}, stride={self.stride}"
        ]
        for name, default in (
            ("padding", zeros),
            ("dilation", ones),
            ("output_padding", zeros),
            ("groups", 1),
        ):
            value = getattr(self, name)
            if value != default:
                parts.append(f"{name}={value}")
        if self.bias is None:
            parts.append("bias=False")
        if self.padding_mode != "zeros":
            parts.append(f"padding_mode={self.padding_mode}")
        return ", ".join(parts)


def _check(m, name):
    if m.groups < 1:
        raise ArgumentError(f"{name}: groups must be positive, got {m.groups}")
    for what in ("in_channels", "out_channels"):
        if getattr(m, what) % m.groups:
            raise ArgumentError(
                f"{name}: {what} ({getattr(m, what)}) must be divisible by groups "
                f"({m.groups})"
            )
    if isinstance(m.padding, str):
        if m.padding not in ("same", "valid"):
            raise ArgumentError(
                f"{name}: padding must be 'same', 'valid' or integers, got {m.padding!r}"
            )
        if m.padding == "same" and any(s != 1 for s in m.stride):
            raise ArgumentError(
                f"{name}: padding='same' is not supported for strided convolutions, got "
                f"stride {m.stride}"
            )
    modes = _MODES[:1] if m.transposed else _MODES
    if m.padding_mode not in modes:
        raise ArgumentError(
            f"{name}: padding_mode must be one of {modes}, got {m.padding_mode!r}"
        )


class _Conv(_ConvNd):
    """Cross-correlation with a weight (out, in/groups, *kernel)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size,
        stride=1,
        padding=0,
        dilation=1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device=None,
        dtype=None,
    ):
        super().__init__()
        self._build(
            (in_channels, out_channels),
            kernel_size,
            stride,
            padding,
            dilation,
            0,
            groups=groups,
            bias=bias,
            padding_mode=padding_mode,
            device=device,
            dtype=dtype,
        )

    def forward(self, input):
        """The convolution, of the input padded as `padding_mode` says."""
        return self._conv(input, self.weight, self.bias)

    def _conv(self, x, weight, bias):
        conv, padding = getattr(F, f"conv{self.n}d"), self.padding
        if self.padding_mode != "zeros":
            x, padding = F.pad(x, self._amounts(), mode=self.padding_mode), 0
        return conv(x, weight, bias, self.stride, padding, self.dilation, self.groups)

    def _amounts(self) -> tuple[int, ...]:
        """What to add before and after, the last dim first."""
        if self.padding == "valid":
            return (0, 0) * self.n
        if self.padding != "same":
            return tuple(p for p in reversed(self.padding) for _ in range(2))
        sizes = zip(self.dilation, self.kernel_size, strict=True)
        totals = reversed([d * (k - 1) for d, k in sizes])
        return tuple(p for t in totals for p in (t // 2, t - t // 2))


class Conv1d(_Conv):
    """y(o) = b(o) + Σ w(o,i) ⋆ x(i) over the channels i of (N,C,L), ⋆ cross-correlation.

    >>> nn.Conv1d(2, 4, 3, padding="same")(zeros(1, 2, 5)).shape
    adjoint.Size([1, 4, 5])
    """

    n = 1


class Conv2d(_Conv):
    """y(o) = b(o) + Σ w(o,i) ⋆ x(i) over the channels i of (N,C,H,W), ⋆ cross-correlation.

    >>> nn.Conv2d(3, 8, 3, stride=2, padding=1)
    Conv2d(3, 8, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1))
    """

    n = 2


class Conv3d(_Conv):
    """y(o) = b(o) + Σ w(o,i) ⋆ x(i) over the channels i of (N,C,D,H,W).

    >>> nn.Conv3d(1, 2, 2)(zeros(1, 1, 3, 3, 3)).shape
    adjoint.Size([1, 2, 2, 2, 2])
    """

    n = 3


class _ConvTranspose(_ConvNd):
    """The adjoint of a convolution, with a weight (in, out/groups, *kernel)."""

    transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size,
        stride=1,
        padding=0,
        output_padding=0,
        groups: int = 1,
        bias: bool = True,
        dilation=1,
        padding_mode: str = "zeros",
        device=None,
        dtype=None,
    ):
        super().__init__()
        if isinstance(padding, str):
            padding = per_dim(padding, self.n, f"{type(self).__name__}: padding")
        self._build(
            (in_channels, out_channels),
            kernel_size,
            stride,
            padding,
            dilation,
            output_padding,
            groups=groups,
            bias=bias,
            padding_mode=padding_mode,
            device=device,
            dtype=dtype,
        )

    def forward(self, input, output_size=None):
        """The transposed convolution, of size `output_size` where several are possible."""
        extra = self.output_padding
        if output_size is not None:
            x = need_tensor(input, type(self).__name__)
            extra = self._extra(x, tuple(output_size))
        return getattr(F, f"conv_transpose{self.n}d")(
            input,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            extra,
            self.groups,
            self.dilation,
        )

    def _extra(self, x, size) -> tuple[int, ...]:
        """The output padding that gives this size."""
        n, name = self.n, type(self).__name__
        if x.ndim not in (n + 1, n + 2):
            raise ShapeError(
                f"{name}: expected {n + 1}-D (unbatched) or {n + 2}-D (batched) input, got "
                f"shape {tuple(x.shape)}"
            )
        if len(size) == x.ndim:
            size = size[-n:]
        if len(size) != n:
            raise ShapeError(
                f"{name}: output_size must have {n} or {x.ndim} numbers, got {size}"
            )
        dims = zip(
            x.shape[-n:],
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            strict=True,
        )
        least = [(m - 1) * s - 2 * p + d * (k - 1) + 1 for m, k, s, p, d in dims]
        most = [m + s - 1 for m, s in zip(least, self.stride, strict=True)]
        if not all(a <= m <= b for a, m, b in zip(least, size, most, strict=True)):
            raise ShapeError(
                f"{name}: output_size {size} must lie between {tuple(least)} and "
                f"{tuple(most)} for input {tuple(x.shape)}"
            )
        return tuple(m - a for m, a in zip(size, least, strict=True))


class ConvTranspose1d(_ConvTranspose):
    """Each element of (N,C,L) adds the kernel, times itself, to the output.

    >>> nn.ConvTranspose1d(2, 4, 3, stride=2)(zeros(1, 2, 5)).shape
    adjoint.Size([1, 4, 11])
    """

    n = 1


class ConvTranspose2d(_ConvTranspose):
    """Each element of (N,C,H,W) adds the kernel, times itself, to the output.

    >>> up = nn.ConvTranspose2d(1, 1, 3, stride=2, padding=1)
    >>> up(zeros(1, 1, 4, 4), output_size=(8, 8)).shape
    adjoint.Size([1, 1, 8, 8])
    """

    n = 2


class ConvTranspose3d(_ConvTranspose):
    """Each element of (N,C,D,H,W) adds the kernel, times itself, to the output.

    >>> nn.ConvTranspose3d(1, 2, 2)(zeros(1, 1, 2, 2, 2)).shape
    adjoint.Size([1, 2, 3, 3, 3])
    """

    n = 3
