"""Convolutions and their transposes in one, two and three dims; fold and unfold."""

from __future__ import annotations

import numpy as np

from ..core.bind import dtype_of
from ..core.primitive import op
from ..core.shape import whole
from ..errors import ArgumentError, DtypeError, ShapeError
from .face import function, need_tensor
from .precision import lower


def per_dim(value, n: int, name: str, low: int = 0) -> tuple[int, ...]:
    """A number for each of n spatial dims, from one number or a sequence of one or n."""
    given = value if isinstance(value, (tuple, list)) else (value,)
    out = tuple(whole(v, name) for v in given)
    if len(out) not in (1, n):
        raise ArgumentError(f"{name} must be one integer or {n}, got {value!r}")
    if min(out) < low:
        raise ArgumentError(f"{name} must be at least {low}, got {value!r}")
    return out * n if len(out) == 1 else out


def batched(x, n: int, name: str):
    """`x` with an example dim, and whether it lacked one."""
    need_tensor(x, name)
    if x.ndim == n + 2:
        return x, False
    if x.ndim == n + 1:
        return op.reshape(x, shape=(1, *x.shape)), True
    raise ShapeError(
        f"{name}: expected {n + 1}-D (unbatched) or {n + 2}-D (batched) input, "
        f"got shape {tuple(x.shape)}"
    )


def unbatched(y, alone: bool):
    """`y` without the example dim that `batched` added."""
    return op.reshape(y, shape=tuple(y.shape[1:])) if alone else y


def _checked(x, weight, bias, n, name):
    x, alone = batched(x, n, name)
    need_tensor(weight, name, "weight")
    if weight.ndim != n + 2:
        raise ShapeError(
            f"{name}: weight must have {n + 2} dims, got shape {tuple(weight.shape)}"
        )
    if min(weight.shape[2:]) < 1:
        raise ShapeError(
            f"{name}: a kernel has at least one place in each dim, got a weight of shape "
            f"{tuple(weight.shape)}"
        )
    for what, other in (("weight", weight), ("bias", bias)):
        if other is not None and dtype_of(other) != dtype_of(x):
            raise DtypeError(
                f"{name}: input and {what} must have the same dtype, got "
                f"{dtype_of(x).name} and {dtype_of(other).name}"
            )
    return x, alone


def _need_channels(weight, groups, name) -> None:
    if weight.shape[0] < groups:
        raise ShapeError(
            f"{name}: Given groups={groups}, expected weight to be at least {groups} at "
            f"dimension 0, but got weight of size {list(weight.shape)} instead"
        )


def _some_channels(x, weight, groups):
    """Both with a channel of zeros for each group, if there are none to read."""
    if x.shape[1] or weight.shape[1]:
        return x, weight
    pairs = zip((x, weight), (groups, 1), strict=True)
    shapes = [(y, (y.shape[0], n, *y.shape[2:])) for y, n in pairs]
    return [op.cat(y, np.zeros(s, dtype_of(y)), dim=1) for y, s in shapes]


def _add_bias(y, bias, channels, n, name):
    if bias is None:
        return y
    if tuple(bias.shape) != (channels,):
        raise ShapeError(
            f"{name}: bias must have shape ({channels},), one number an output channel, "
            f"got {tuple(bias.shape)}"
        )
    return y + op.reshape(bias, shape=(channels, *(1,) * n))


def _padding(padding, n, kernel, stride, dilation, name):
    """Padding as (before, after) a dim."""
    if not isinstance(padding, str):
        return tuple((p, p) for p in per_dim(padding, n, f"{name}: padding"))
    if padding == "valid":
        return ((0, 0),) * n
    if padding != "same":
        raise ArgumentError(
            f"{name}: padding must be 'valid', 'same' or integers, got {padding!r}"
        )
    if any(s != 1 for s in stride):
        raise ArgumentError(
            f"{name}: padding='same' is not supported for strided convolutions"
        )
    total = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    return tuple((t // 2, t - t // 2) for t in total)


def _conv(n, x, weight, bias, stride, padding, dilation, groups):
    name = f"conv{n}d"
    x, alone = _checked(x, weight, bias, n, name)
    stride = per_dim(stride, n, f"{name}: stride", 1)
    dilation = per_dim(dilation, n, f"{name}: dilation", 1)
    if groups < 1:
        raise ArgumentError(f"{name}: groups must be at least 1, got {groups}")
    _need_channels(weight, groups, name)
    x, weight = _some_channels(x, weight, groups)
    padding = _padding(padding, n, weight.shape[2:], stride, dilation, name)
    y = op.conv(
        x, weight, stride=stride, padding=padding, dilation=dilation, groups=groups
    )
    return unbatched(_add_bias(y, bias, weight.shape[0], n, name), alone)


@function
@lower
def conv1d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Cross-correlation of (N,C,L) with a weight (O,C/groups,K).

    >>> conv1d(tensor([[[1., 2., 3.]]]), tensor([[[1., 1.]]]))
    tensor([[[3., 5.]]])
    """
    return _conv(1, input, weight, bias, stride, padding, dilation, groups)


@function
@lower
def conv2d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Cross-correlation of (N,C,H,W) with a weight (O,C/groups,KH,KW).

    >>> conv2d(ones(1, 1, 3, 3), ones(1, 1, 2, 2), stride=2, padding=1).shape
    adjoint.Size([1, 1, 2, 2])
    """
    return _conv(2, input, weight, bias, stride, padding, dilation, groups)


@function
@lower
def conv3d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Cross-correlation of (N,C,D,H,W) with a weight (O,C/groups,KD,KH,KW).

    >>> conv3d(ones(1, 1, 3, 3, 3), ones(2, 1, 2, 2, 2)).shape
    adjoint.Size([1, 2, 2, 2, 2])
    """
    return _conv(3, input, weight, bias, stride, padding, dilation, groups)


def _conv_transpose(
    n, x, weight, bias, stride, padding, output_padding, groups, dilation
):
    name = f"conv_transpose{n}d"
    x, alone = _checked(x, weight, bias, n, name)
    stride = per_dim(stride, n, f"{name}: stride", 1)
    dilation = per_dim(dilation, n, f"{name}: dilation", 1)
    padding = per_dim(padding, n, f"{name}: padding")
    extra = per_dim(output_padding, n, f"{name}: output_padding")
    _need_channels(weight, 1, name)
    if x.shape[1] != weight.shape[0] or x.shape[1] % groups:
        raise ShapeError(
            f"{name}: a weight of shape {tuple(weight.shape)} reads {weight.shape[0]} channels "
            f"in {groups} groups, the input of shape {tuple(x.shape)} has {x.shape[1]}"
        )
    for e, s, d in zip(extra, stride, dilation, strict=True):
        if e >= max(s, d):
            raise ArgumentError(
                f"{name}: output padding must be smaller than either stride or dilation, got "
                f"output_padding {extra}, stride {stride}, dilation {dilation}"
            )
    y = _scattered(x, weight, stride, padding, extra, dilation, groups, name)
    return unbatched(_add_bias(y, bias, weight.shape[1] * groups, n, name), alone)


def _scattered(x, weight, stride, padding, extra, dilation, groups, name):
    """The adjoint of conv; `extra` places at the end show what padding hid there, or zeros."""
    sizes, pads, tails = [], [], []
    dims = zip(
        x.shape[2:], weight.shape[2:], stride, padding, extra, dilation, strict=True
    )
    for m, k, s, p, e, d in dims:
        shown = min(p, e)
        sizes.append((m - 1) * s + d * (k - 1) + 1 - 2 * p + shown)
        pads.append((p, p - shown))
        tails.append(e - shown)
    if min(sizes) < 1:
        raise ShapeError(
            f"{name}: padding {padding} leaves an output of size {tuple(sizes)}"
        )
    params = {
        "stride": stride,
        "padding": tuple(pads),
        "dilation": dilation,
        "groups": groups,
    }
    y = op.conv_data(x, weight, size=tuple(sizes), **params)
    if not any(tails):
        return y
    shape = (*y.shape[:2], *(a + t for a, t in zip(sizes, tails, strict=True)))
    return op.unslice(y, shape=shape, key=tuple((0, m, 1) for m in y.shape))


@function
@lower
def conv_transpose1d(
    input,
    weight,
    bias=None,
    stride=1,
    padding=0,
    output_padding=0,
    groups=1,
    dilation=1,
):
    """The adjoint of conv1d as a layer; weight (C,O/groups,K).

    >>> conv_transpose1d(tensor([[[1., 2.]]]), tensor([[[1., 1.]]]))
    tensor([[[1., 3., 2.]]])
    """
    return _conv_transpose(
        1, input, weight, bias, stride, padding, output_padding, groups, dilation
    )


@function
@lower
def conv_transpose2d(
    input,
    weight,
    bias=None,
    stride=1,
    padding=0,
    output_padding=0,
    groups=1,
    dilation=1,
):
    """The adjoint of conv2d as a layer; weight (C,O/groups,KH,KW).

    >>> conv_transpose2d(ones(1, 1, 2, 2), ones(1, 3, 2, 2), stride=2).shape
    adjoint.Size([1, 3, 4, 4])
    """
    return _conv_transpose(
        2, input, weight, bias, stride, padding, output_padding, groups, dilation
    )


@function
@lower
def conv_transpose3d(
    input,
    weight,
    bias=None,
    stride=1,
    padding=0,
    output_padding=0,
    groups=1,
    dilation=1,
):
    """The adjoint of conv3d as a layer; weight (C,O/groups,KD,KH,KW).

    >>> conv_transpose3d(ones(1, 1, 2, 2, 2), ones(1, 1, 2, 2, 2)).shape
    adjoint.Size([1, 1, 3, 3, 3])
    """
    return _conv_transpose(
        3, input, weight, bias, stride, padding, output_padding, groups, dilation
    )


# ---------------------------------------------------------------- fold, unfold


def _window_params(kernel_size, dilation, padding, stride, name):
    return {
        "kernel": per_dim(kernel_size, 2, f"{name}: kernel_size", 1),
        "stride": per_dim(stride, 2, f"{name}: stride", 1),
        "padding": tuple((p, p) for p in per_dim(padding, 2, f"{name}: padding")),
        "dilation": per_dim(dilation, 2, f"{name}: dilation", 1),
    }


def unfold(input, kernel_size, dilation=1, padding=0, stride=1):
    """The blocks under a sliding kernel as columns (im2col): (N,C,H,W) to (N,C·K,L).

    >>> unfold(ones(1, 2, 3, 3), 2).shape
    adjoint.Size([1, 8, 4])
    """
    x, alone = batched(input, 2, "unfold")
    y = op.windows(
        x, **_window_params(kernel_size, dilation, padding, stride, "unfold")
    )
    n, c, k, h, w = y.shape
    return unbatched(op.reshape(y, shape=(n, c * k, h * w)), alone)


def fold(input, output_size, kernel_size, dilation=1, padding=0, stride=1):
    """Columns added where `unfold` took them from (col2im): (N,C·K,L) to (N,C,H,W).

    >>> fold(ones(1, 4, 4), 3, 2)[0, 0]
    tensor([[1., 2., 1.],
            [2., 4., 2.],
            [1., 2., 1.]])
    """
    need_tensor(input, "fold")
    alone = input.ndim == 2
    y = op.reshape(input, shape=(1, *input.shape)) if alone else input
    if y.ndim != 3:
        raise ShapeError(
            f"fold: expected 2-D or 3-D input, got shape {tuple(input.shape)}"
        )
    size = per_dim(output_size, 2, "fold: output_size", 1)
    params = _window_params(kernel_size, dilation, padding, stride, "fold")
    out = _places(size, params)
    k = params["kernel"][0] * params["kernel"][1]
    if y.shape[1] % k or y.shape[2] != out[0] * out[1]:
        raise ShapeError(
            f"fold: output_size {size} with kernel {params['kernel']} takes columns of "
            f"shape (C·{k}, {out[0]}·{out[1]}), got {tuple(input.shape)}"
        )
    y = op.reshape(y, shape=(y.shape[0], y.shape[1] // k, k, *out))
    return unbatched(op.unwindows(y, size=size, **params), alone)


def _places(size, p):
    dims = zip(size, p["kernel"], p["stride"], p["padding"], p["dilation"], strict=True)
    return tuple((n + 2 * q[0] - d * (k - 1) - 1) // s + 1 for n, k, s, q, d in dims)


@lower
def conv_tbc(input, weight, bias, pad=0):
    """`conv1d` of (time, batch, channels) with a weight (width, in, out).

    >>> from adjoint.nn.functional import conv_tbc
    >>> conv_tbc(ones(3, 1, 2), ones(2, 2, 1), zeros(1)).flatten()
    tensor([4., 4.])
    """
    x = op.permute(need_tensor(input, "conv_tbc"), dims=(1, 2, 0))
    w = op.permute(need_tensor(weight, "conv_tbc", "weight"), dims=(2, 1, 0))
    return op.permute(conv1d(x, w, bias, padding=pad), dims=(2, 0, 1))
