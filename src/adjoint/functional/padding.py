"""Padding in all modes."""

from __future__ import annotations

import math

import numpy as np

from ..autodiff.straight import viewed
from ..core.bind import Box, dtype_of, quiet
from ..core.primitive import op
from ..errors import (
    ArgumentError,
    ShapeError,
)
from .face import (
    function,
    need_tensor,
)
from .precision import single
from .shapes import clone, sizes


def pad(input, pad, mode="constant", value=None):
    """Elements added (or, where negative, cut) around the last dims, the last one first.

    `mode`: "constant" adds `value`; "reflect" mirrors without the edge, "replicate" repeats
    the edge, "circular" continues round the end, these for up to three dims.

    >>> pad(tensor([[1., 2., 3.]]), (1, 2))
    tensor([[0., 1., 2., 3., 0., 0.]])
    >>> pad(tensor([[1., 2., 3.]]), (1, 1), mode="reflect")
    tensor([[2., 1., 2., 3., 2.]])
    """
    x = need_tensor(input, "pad")
    amounts = sizes((pad,))
    if len(amounts) % 2:
        raise ShapeError(f"pad: Padding length must be divisible by 2, got {amounts}")
    if len(amounts) > 2 * x.ndim:
        raise ShapeError(
            "pad: Padding length should be less than or equal to two times the input "
            f"dimension, got {len(amounts)} for {x.ndim} dims"
        )
    if mode == "constant":
        return constant_pad_nd(x, amounts, 0 if value is None else value)
    if mode not in _PADS:
        raise ArgumentError(
            f"pad: Unrecognised padding mode {mode!r}",
            hint=f"constant, {', '.join(_PADS)}",
        )
    if value is not None:
        raise ArgumentError(
            f'pad: Padding mode "{mode}" doesn\'t take in value argument'
        )
    k = len(amounts) // 2
    if k not in (1, 2, 3) or x.ndim not in (k + 1, k + 2):
        raise ShapeError(
            f"pad: padding size {2 * k} is not supported for {x.ndim}D input in mode "
            f"{mode!r}: 2, 4 or 6 numbers pad one, two or three dims of a tensor with one or "
            "two more"
        )
    around = _padded if mode == "circular" else _padded_in_single
    return around(x, amounts, mode)


def _padded(x, amounts, mode):
    for i in range(len(amounts) // 2):
        x = _pad_dim(x, x.ndim - 1 - i, amounts[2 * i], amounts[2 * i + 1], mode)
    return x


_padded_in_single = single(_padded)


def _key(x, dim, start, stop):
    whole = [(0, n, 1) for n in x.shape]
    whole[dim] = (start, stop, 1)
    return tuple(whole)


def _pad_dim(x, dim, before, after, mode):
    """`x` padded along one dim; what is negative is cut when the rest is done."""
    n = x.shape[dim]
    most = {"reflect": n - 1, "circular": n, "replicate": math.inf}[mode]
    if max(before, after) > most or (n == 0 and max(before, after) > 0):
        raise ShapeError(
            f"pad: in mode {mode!r} a dim of size {n} takes at most "
            f"{most if n else 0} more on a side, got padding ({before}, {after}) at dimension "
            f"{dim} of input {list(x.shape)}"
        )
    if n + before + after < 0 or (n + before + after == 0 and mode != "constant"):
        raise ShapeError(
            f"pad: padding ({before}, {after}) leaves nothing of dimension {dim} of input "
            f"{list(x.shape)}"
        )
    parts = [_PADS[mode](x, dim, before, True)] if before > 0 else []
    parts.append(x)
    if after > 0:
        parts.append(_PADS[mode](x, dim, after, False))
    y = op.cat(*parts, dim=dim) if len(parts) > 1 else x
    if min(before, after) < 0:
        y = op.slice(y, key=_key(y, dim, max(-before, 0), y.shape[dim] + min(after, 0)))
    return y


def _reflected(x, dim, k, front):
    n = x.shape[dim]
    part = _key(x, dim, 1, k + 1) if front else _key(x, dim, n - 1 - k, n - 1)
    return op.flip(op.slice(x, key=part), dims=(dim,))


def _replicated(x, dim, k, front):
    n = x.shape[dim]
    edge = op.slice(x, key=_key(x, dim, 0, 1) if front else _key(x, dim, n - 1, n))
    return viewed(op.expand, edge, shape=(*x.shape[:dim], k, *x.shape[dim + 1 :]))


def _wrapped(x, dim, k, front):
    n = x.shape[dim]
    return op.slice(x, key=_key(x, dim, n - k, n) if front else _key(x, dim, 0, k))


_PADS = {"reflect": _reflected, "replicate": _replicated, "circular": _wrapped}


@function
def constant_pad_nd(input, pad, value=0):
    """One number added around the last dims, the last one first; negative amounts cut.

    >>> constant_pad_nd(tensor([1., 2.]), (1, 0), 5)
    tensor([5., 1., 2.])
    """
    x = need_tensor(input, "constant_pad_nd")
    amounts = sizes((pad,))
    pairs = [(0, 0)] * (x.ndim - len(amounts) // 2)
    pairs += reversed(list(zip(amounts[::2], amounts[1::2], strict=True)))
    shape = tuple(n + a + b for n, (a, b) in zip(x.shape, pairs, strict=True))
    if min(shape, default=0) < 0:
        raise ShapeError(
            f"pad: padding {amounts} of input {list(x.shape)} gives negative sizes "
            f"{list(shape)}"
        )
    cut = tuple(
        (min(max(-a, 0), n), max(n + min(b, 0), min(max(-a, 0), n)), 1)
        for n, (a, b) in zip(x.shape, pairs, strict=True)
    )
    if any(k != (0, n, 1) for k, n in zip(cut, x.shape, strict=True)):
        x = op.slice(x, key=cut)
    key = tuple(
        (max(a, 0), max(a, 0) + n, 1) for (a, _), n in zip(pairs, x.shape, strict=True)
    )
    y = op.unslice(x, shape=shape, key=key) if shape != tuple(x.shape) else clone(x)
    if _is_zero(value):
        return y
    inside = np.zeros(shape, bool)
    inside[tuple(slice(a, b) for a, b, _ in key)] = True
    fill = np.array(value.item() if isinstance(value, Box) else value)
    return op.where(inside, y, quiet.run(fill.astype, dtype_of(y)))


def _is_zero(value) -> bool:
    return not isinstance(value, Box) and value == 0 and math.copysign(1, value) > 0
