"""Normalization over batches, layers, groups and instances; by root mean square, locally."""

from __future__ import annotations

import math

import numpy as np

from ..autodiff.inplace import assign
from ..core.bind import Box, dtype_of
from ..core.primitive import op
from ..errors import ArgumentError, DtypeError, ShapeError
from .face import cast, function, need_number, need_tensor

_SINGLE = np.dtype("float32")


def _checked(x, name, least=1):
    need_tensor(x, name)
    if dtype_of(x).kind not in "fV":
        raise DtypeError(f"{name}: expects floating input, got {dtype_of(x).name}")
    if x.ndim < least:
        raise ShapeError(
            f"{name}: expected at least {least} dims, got shape {tuple(x.shape)}"
        )
    return x


def _wide(x):
    """Two-byte floats in single precision, in which their means are taken."""
    return cast(x, _SINGLE) if dtype_of(x).itemsize == 2 else x


def _affine(y, weight, bias, shape, d, name):
    """y · weight + bias, both of them shaped to broadcast, in dtype d."""
    for what, v in (("weight", weight), ("bias", bias)):
        if v is not None and math.prod(v.shape) != math.prod(shape):
            raise ShapeError(
                f"{name}: {what} must have {math.prod(shape)} elements, got shape "
                f"{tuple(v.shape)}"
            )
    if weight is not None:
        y = op.mul(y, _shaped(cast(weight, dtype_of(y)), shape))
    if bias is not None:
        y = op.add(y, _shaped(cast(bias, dtype_of(y)), shape))
    return cast(y, d)


def _shaped(x, shape):
    return x if x.shape == shape else op.reshape(x, shape=shape)


def _over_channels(x):
    """The shape in which a number a channel broadcasts, and the other dims."""
    shape = (x.shape[1], *(1,) * (x.ndim - 2))
    return shape, (0, *range(2, x.ndim))


def _need_many(x, dims, name):
    count = math.prod(x.shape[d] for d in dims)
    if count == 1:
        raise ArgumentError(
            f"{name}: expected more than 1 value per channel when training, "
            f"got input size {tuple(x.shape)}"
        )
    return count


def _follow(running, new, momentum):
    """running ← (1 − momentum) running + momentum new, in its memory."""
    if running is None:
        return
    d = dtype_of(running)
    new = _shaped(cast(op.stop_gradient(new), d), tuple(running.shape))
    old = op.mul(op.stop_gradient(running), _weight(1 - momentum, d))
    assign(running, op.add(old, op.mul(new, _weight(momentum, d))), "batch_norm")


def _weight(x, d):
    """A momentum, which may be a tensor, in dtype d."""
    return cast(x, d) if isinstance(x, Box) else np.asarray(x, d)


def _unbiased(var, count):
    factor = np.asarray(count / max(1, count - 1), dtype_of(var))
    return op.mul(op.stop_gradient(var), factor)


def _need_channels(x, channels, name, **given):
    for what, v in given.items():
        if v is not None and tuple(need_tensor(v, name, what).shape) != (channels,):
            raise ShapeError(
                f"{name}: {what} should contain {channels} elements, got shape "
                f"{tuple(v.shape)} for input {tuple(x.shape)}"
            )


def batch_norm(
    input,
    running_mean,
    running_var,
    weight=None,
    bias=None,
    training=False,
    momentum=0.1,
    eps=1e-5,
):
    """Each channel (dim 1) to mean 0 and variance 1 over the rest, by its own statistics in
    training, which the running ones then follow, and by the running ones else.

    >>> x = tensor([[1., 5.], [3., 5.]])
    >>> batch_norm(x, None, None, training=True)
    tensor([[-1.0000,  0.0000],
            [ 1.0000,  0.0000]])
    """
    name = "batch_norm"
    x = _checked(input, name, 2)
    shape, dims = _over_channels(x)
    running = {"running_mean": running_mean, "running_var": running_var}
    _need_channels(x, x.shape[1], name, **running, weight=weight, bias=bias)
    if not training:
        if running_mean is None or running_var is None:
            raise ArgumentError(
                f"{name}: needs running_mean and running_var when not training"
            )
        return _by_running(x, *running.values(), weight, bias, eps, shape)
    count = _need_many(x, dims, name)
    if count == 0:  # of an empty batch there are no statistics
        return _affine(x, weight, bias, shape, dtype_of(x), name)
    y, mean, var = op.standardize(_wide(x), dim=dims, eps=eps)
    _follow(running_mean, mean, momentum)
    _follow(running_var, _unbiased(var, count), momentum)
    return _affine(y, weight, bias, shape, dtype_of(x), name)


def _by_running(x, mean, var, weight, bias, eps, shape):
    """x · scale + shift: the statistics folded into one multiplication."""
    d = dtype_of(_wide(x))
    scale = op.rsqrt(op.add(cast(var, d), np.asarray(eps, d)))
    scale = scale if weight is None else op.mul(scale, cast(weight, d))
    shift = op.mul(op.neg(cast(mean, d)), scale)
    shift = shift if bias is None else op.add(shift, cast(bias, d))
    y = op.mul(_wide(x), _shaped(scale, shape))
    return cast(op.add(y, _shaped(shift, shape)), dtype_of(x))


@function
def layer_norm(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Mean 0 and variance 1 over the last dims, those of `normalized_shape`.

    >>> layer_norm(tensor([[1., 3.], [5., 5.]]), (2,))
    tensor([[-1.0000,  1.0000],
            [ 0.0000,  0.0000]])
    """
    x, shape, dims = _last(input, normalized_shape, "layer_norm", weight, bias)
    y = op.standardize(_wide(x), dim=dims, eps=eps)[0]
    return _affine(y, weight, bias, shape, dtype_of(x), "layer_norm")


def _last(input, normalized_shape, name, *parameters):
    """The input, the shape it is normalized over, and those dims."""
    given = normalized_shape
    shape = tuple(given) if isinstance(given, (tuple, list)) else (given,)
    for n in shape:
        need_number(n, name, "normalized_shape")
    x = _checked(input, name, max(1, len(shape)))
    if not shape or tuple(x.shape[-len(shape) :]) != shape:
        raise ShapeError(
            f"{name}: given normalized_shape={list(shape)}, expected input with shape "
            f"[*, {', '.join(map(str, shape))}], got {tuple(x.shape)}"
        )
    for v in parameters:
        if v is not None and tuple(need_tensor(v, name, "weight").shape) != shape:
            raise ShapeError(
                f"{name}: weight and bias must have shape {shape}, got {tuple(v.shape)}"
            )
    return x, shape, tuple(range(x.ndim - len(shape), x.ndim))


@function
def group_norm(input, num_groups, weight=None, bias=None, eps=1e-5):
    """Mean 0 and variance 1 over each of `num_groups` groups of channels of an example.

    >>> group_norm(tensor([[1., 3., 5., 9.]]), 2)
    tensor([[-1.0000,  1.0000, -1.0000,  1.0000]])
    """
    x = _checked(input, "group_norm", 2)
    n, c = x.shape[:2]
    num_groups = int(need_number(num_groups, "group_norm", "num_groups"))
    if num_groups <= 0 or c % num_groups:
        raise ShapeError(
            f"group_norm: the number of channels ({c}) must be divisible by "
            f"num_groups ({num_groups})"
        )
    _need_channels(x, c, "group_norm", weight=weight, bias=bias)
    one = (num_groups, c // num_groups, 1)
    groups = op.reshape(_wide(x), shape=(n, *one[:2], math.prod(x.shape[2:])))
    y = op.standardize(groups, dim=(2, 3), eps=eps)[0]
    y = _affine(y, weight, bias, one, dtype_of(x), "group_norm")
    return op.reshape(y, shape=tuple(x.shape))


def instance_norm(
    input,
    running_mean=None,
    running_var=None,
    weight=None,
    bias=None,
    use_input_stats=True,
    momentum=0.1,
    eps=1e-5,
):
    """Mean 0 and variance 1 over each channel of an example; or by the running statistics.

    >>> instance_norm(tensor([[[1., 3.], [5., 9.]]]))
    tensor([[[-1.0000,  1.0000],
             [-1.0000,  1.0000]]])
    """
    name = "instance_norm"
    x = _checked(input, name, 2)
    if not use_input_stats:
        return batch_norm(
            x, running_mean, running_var, weight, bias, False, momentum, eps
        )
    running = {"running_mean": running_mean, "running_var": running_var}
    _need_channels(x, x.shape[1], name, **running, weight=weight, bias=bias)
    dims = tuple(range(2, x.ndim))
    count = math.prod(x.shape[2:])
    if count == 1:
        raise ArgumentError(
            f"{name}: expected more than 1 spatial element when training, got input "
            f"size {tuple(x.shape)}"
        )
    y, mean, var = op.standardize(_wide(x), dim=dims, eps=eps)
    _follow(running_mean, _over_examples(mean), momentum)
    _follow(running_var, _over_examples(_unbiased(var, count)), momentum)
    return _affine(y, weight, bias, _over_channels(x)[0], dtype_of(x), name)


def _over_examples(v):
    return op.sum(v, dim=(0,), keepdim=False) * (1 / max(1, v.shape[0]))


@function
def rms_norm(input, normalized_shape, weight=None, eps=None):
    """x / √(mean x² + eps) over the last dims; eps None is the dtype's machine epsilon.

    >>> rms_norm(tensor([3., 4.]), (2,))
    tensor([0.8485, 1.1314])
    """
    x, shape, dims = _last(input, normalized_shape, "rms_norm", weight)
    w = _wide(x)
    eps = float(np.finfo(dtype_of(w)).eps) if eps is None else eps
    mean = op.sum(w * w, dim=dims, keepdim=True) * (1 / max(1, math.prod(shape)))
    y = w * op.rsqrt(mean + eps)
    return _affine(y, weight, None, shape, dtype_of(x), "rms_norm")


def local_response_norm(input, size, alpha=1e-4, beta=0.75, k=1.0):
    """x / (k + α · mean of the squares of `size` channels around)^β.

    >>> local_response_norm(tensor([[[1.], [2.]]]), 2, alpha=1., beta=1.)
    tensor([[[0.6667],
             [0.5714]]])
    """
    name = "local_response_norm"
    x = _checked(input, name, 3)
    size = int(need_number(size, name, "size"))
    alpha, beta, k = (
        need_number(v, name, what)
        for what, v in (("alpha", alpha), ("beta", beta), ("k", k))
    )
    if size < 1:
        raise ArgumentError(f"{name}: size must be at least 1, got {size}")
    total = _neighbours(_wide(x * x), size)
    scale = op.pow_scalar(k + (alpha / size) * total, exponent=beta)
    return x / cast(scale, dtype_of(x))


def _neighbours(x, size):
    """Sums over `size` channels: size // 2 before, the channel itself, the rest after."""
    c, before = x.shape[1], size // 2
    whole = tuple((0, n, 1) for n in x.shape)
    wide = (x.shape[0], c + size - 1, *x.shape[2:])
    inside = (whole[0], (before, before + c, 1), *whole[2:])
    padded = op.unslice(x, shape=wide, key=inside)
    total = None
    for i in range(size):
        part = op.slice(padded, key=(whole[0], (i, i + c, 1), *whole[2:]))
        total = part if total is None else total + part
    return total
