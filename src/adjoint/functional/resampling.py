"""Images in other sizes and shapes: interpolate, grid_sample, affine_grid, pixel shuffles.

Resizing is separable, one sparse table a dim; sampling at a grid picks the neighbours of
each point and weighs them by its coordinates, so it is differentiable in both.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

from ..core.bind import dtype_of
from ..core.primitive import number, op
from ..errors import ArgumentError, DtypeError, ShapeError
from ..ops.resize import cubic
from .adaptive_pooling import adaptive_mean
from .convolution import per_dim
from .face import function, need_tensor
from .precision import lower, single

# ---------------------------------------------------------------- interpolate

_RULES = {  # mode: (rule of each dim, spatial dims it is for)
    "nearest": ("nearest", (1, 2, 3)),
    "nearest-exact": ("nearest-exact", (1, 2, 3)),
    "linear": ("linear", (1,)),
    "bilinear": ("linear", (2,)),
    "trilinear": ("linear", (3,)),
    "bicubic": ("cubic", (2,)),
    "area": ("adaptive", (1, 2, 3)),
}


def interpolate(
    input,
    size=None,
    scale_factor=None,
    mode="nearest",
    align_corners=None,
    recompute_scale_factor=None,
    antialias=False,
):
    """(N,C,·) with its spatial dims resized to `size` or by `scale_factor`.

    >>> interpolate(tensor([[[1., 3.]]]), scale_factor=2, mode="linear")
    tensor([[[1.0000, 1.5000, 2.5000, 3.0000]]])
    """
    x = need_tensor(input, "interpolate")
    rule = _resize_rule(x, mode, align_corners)
    if antialias:
        raise ArgumentError("interpolate: antialias=True is not supported")
    size, ratios = _target(x, size, scale_factor, recompute_scale_factor)
    if min(size, default=1) < 1:
        raise ShapeError(
            f"interpolate: input and output sizes must be positive, got {size}"
        )
    if rule == "adaptive":
        return adaptive_mean(x, size)
    if not rule.startswith("nearest") and dtype_of(x).kind in "bui":
        return _of_bytes(x, mode, size, (rule, bool(align_corners)), ratios)
    return _resized(x, size, (rule, bool(align_corners)), ratios)


def _resized(x, size, rule, ratios):
    """Dim by dim."""
    for dim, (m, ratio) in enumerate(zip(size, ratios, strict=True), 2):
        if x.shape[dim] != m or ratio not in (None, 1.0):
            x = op.resize(x, dim=dim, size=m, rule=(*rule, ratio))
    return x


def _of_bytes(x, mode, size, rule, ratios):
    """Images of uint8 in two dims, in float32 and rounded; other whole numbers have no rule."""
    if dtype_of(x) != np.uint8 or mode not in ("bilinear", "bicubic"):
        kind = dtype_of(x).name
        raise DtypeError(f"interpolate: mode {mode!r} is not implemented for {kind}")
    y = _resized(op.cast(x, dtype=np.dtype("float32")), size, rule, ratios)
    y = op.clamp(op.floor(y + number(0.5, y)), low=0.0, high=255.0)
    return op.cast(y, dtype=dtype_of(x))


def _resize_rule(x, mode, align_corners):
    if mode not in _RULES:
        raise ArgumentError(
            f"interpolate: mode must be one of {list(_RULES)}, got {mode!r}"
        )
    rule, spatial = _RULES[mode]
    if x.ndim - 2 not in spatial:
        dims = " or ".join(f"{n + 2}-D" for n in spatial)
        raise ShapeError(
            f"interpolate: mode {mode!r} takes {dims} input, got {x.ndim}-D"
        )
    if align_corners is not None and rule not in ("linear", "cubic"):
        raise ArgumentError(
            "interpolate: align_corners can only be set with the modes linear, bilinear, "
            f"bicubic and trilinear, not with {mode!r}"
        )
    return rule


def _target(x, size, scale_factor, recompute):
    """Sizes, and where the scale itself places the points, input steps an output step."""
    n = x.ndim - 2
    if (size is None) == (scale_factor is None):
        raise ArgumentError("interpolate: give one of size and scale_factor")
    if size is not None:
        if recompute:
            raise ArgumentError(
                "interpolate: recompute_scale_factor is not meaningful with an explicit size"
            )
        return per_dim(size, n, "interpolate: size"), (None,) * n
    many = isinstance(scale_factor, (tuple, list))
    scales = tuple(map(float, scale_factor if many else (scale_factor,) * n))
    if len(scales) != n:
        raise ArgumentError(
            f"interpolate: scale_factor must have {n} numbers, got {scale_factor}"
        )
    size = tuple(math.floor(m * s) for m, s in zip(x.shape[2:], scales, strict=True))
    return size, (None,) * n if recompute else tuple(1.0 / s for s in scales)


def upsample(input, size=None, scale_factor=None, mode="nearest", align_corners=None):
    """`interpolate` under its old name.

    >>> upsample(tensor([[[1., 3.]]]), scale_factor=2)
    tensor([[[1., 1., 3., 3.]]])
    """
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input, size=None, scale_factor=None):
    """`interpolate` to the nearest element.

    >>> upsample_nearest(tensor([[[1., 3.]]]), scale_factor=2)
    tensor([[[1., 1., 3., 3.]]])
    """
    return interpolate(input, size, scale_factor)


def upsample_bilinear(input, size=None, scale_factor=None):
    """`interpolate` linearly in both dims with aligned corners.

    >>> upsample_bilinear(tensor([[[[1., 3.]]]]), size=(1, 3))
    tensor([[[[1., 2., 3.]]]])
    """
    return interpolate(input, size, scale_factor, "bilinear", align_corners=True)


# ---------------------------------------------------------------- grid_sample


@single
def grid_sample(input, grid, mode="bilinear", padding_mode="zeros", align_corners=None):
    """`input` (N,C,·) at the points of `grid` (N,·,2 or 3), coordinates x, y, z in [-1, 1].

    >>> x = tensor([[[[1., 2.], [3., 4.]]]])
    >>> grid_sample(x, zeros(1, 1, 1, 2), align_corners=True)
    tensor([[[[2.5000]]]])
    """
    x, grid = (
        need_tensor(input, "grid_sample"),
        need_tensor(grid, "grid_sample", "grid"),
    )
    _check_grid(x, grid, mode, padding_mode)
    n, points = x.ndim - 2, tuple(grid.shape[1:-1])
    flat = op.reshape(grid, shape=(grid.shape[0], math.prod(points), n))
    at = [op.select(flat, dim=2, index=n - 1 - d) for d in range(n)]
    sizes = tuple(x.shape[2:])
    at = [_to_pixels(c, m, align_corners) for c, m in zip(at, sizes, strict=True)]
    if mode != "bicubic":
        pairs = zip(at, sizes, strict=True)
        at = [_into_range(c, m, padding_mode, align_corners) for c, m in pairs]
    plane = op.reshape(x, shape=(*x.shape[:2], math.prod(sizes)))
    total = None
    for taps in itertools.product(*(_NEIGHBOURS[mode](c) for c in at)):
        part = _tap(plane, taps, sizes, padding_mode, align_corners)
        total = part if total is None else total + part
    return op.reshape(total, shape=(*x.shape[:2], *points))


def _check_grid(x, grid, mode, padding_mode):
    n = x.ndim - 2
    if n not in (2, 3) or grid.ndim != x.ndim or grid.shape[-1] != n:
        raise ShapeError(
            "grid_sample: expects input (N,C,H,W) and grid (N,h,w,2), or 5-D with 3 "
            f"coordinates, got {tuple(x.shape)} and {tuple(grid.shape)}"
        )
    if grid.shape[0] != x.shape[0] or 0 in x.shape[2:]:
        raise ShapeError(
            "grid_sample: input and grid must have one batch size and no empty image, got "
            f"{tuple(x.shape)} and {tuple(grid.shape)}"
        )
    if dtype_of(x) != dtype_of(grid):
        raise DtypeError(
            "grid_sample: input and grid must have the same dtype, got "
            f"{dtype_of(x).name} and {dtype_of(grid).name}"
        )
    if mode not in _NEIGHBOURS or (mode == "bicubic" and n != 2):
        raise ArgumentError(
            f"grid_sample: mode must be bilinear, nearest or (4-D) bicubic, got {mode!r}"
        )
    if padding_mode not in ("zeros", "border", "reflection"):
        raise ArgumentError(
            f"grid_sample: padding_mode must be zeros, border or reflection, got {padding_mode!r}"
        )


def _to_pixels(c, size, align):
    """From [-1, 1] to the numbering of elements."""
    return (c + 1) * ((size - 1) / 2) if align else ((c + 1) * size - 1) / 2


def _into_range(c, size, padding_mode, align):
    """Coordinates that the padding moves inside; the rest are left as they are."""
    if padding_mode == "zeros":
        return c
    if padding_mode == "reflection":
        c = _reflect(c, *((0, size - 1) if align else (-0.5, size - 0.5)))
    d = dtype_of(c)
    inside = op.minimum(op.maximum(c, np.zeros((), d)), np.array(size - 1, d))
    outside = (c < 0) + (c > size - 1)  # at the edge itself the slope is that of inside
    return op.where(outside, op.stop_gradient(inside), c)


def _reflect(c, low, high):
    """c folded back and forth between low and high."""
    span = high - low
    if span == 0:
        return c * 0
    c = op.abs(c - low)
    turns = op.stop_gradient(op.floor(c / span))
    rest = c - turns * span
    odd = turns - 2 * op.floor(turns / 2)
    return op.where(odd == 0, rest, span - rest) + low


def _linear_neighbours(c):
    low = op.stop_gradient(op.floor(c))
    part = c - low
    return [(low, 1 - part), (low + 1, part)]


def _nearest_neighbour(c):
    one = op.where(np.ones((), bool), np.ones((), dtype_of(c)), c)  # of slope zero in c
    return [(op.stop_gradient(op.round(c, decimals=0)), one)]


def _cubic_neighbours(c):
    low = op.stop_gradient(op.floor(c))
    weights = cubic(c - low)
    return [(low + (k - 1), w) for k, w in enumerate(weights)]


_NEIGHBOURS = {
    "bilinear": _linear_neighbours,
    "nearest": _nearest_neighbour,
    "bicubic": _cubic_neighbours,
}


def _tap(plane, taps, sizes, padding_mode, align):
    """What one neighbour in each dim adds: its value times its weights."""
    where, inside, weight = 0, None, 1
    for (place, w), size in zip(taps, sizes, strict=True):
        place = _into_range(place, size, padding_mode, align)
        ok = op.mul(place >= 0, place <= size - 1)
        place = op.cast(op.where(ok, place, place * 0), dtype=np.dtype("int64"))
        where = where * size + place
        inside = ok if inside is None else op.mul(inside, ok)
        weight = weight * w
    shape = (where.shape[0], 1, where.shape[1])
    value = op.pick(plane, op.reshape(where, shape=shape))
    value = op.where(op.reshape(inside, shape=shape), value, number(0, plane))
    return value * op.reshape(weight, shape=shape)


@lower
def affine_grid(theta, size, align_corners=None):
    """The grid for grid_sample of a batch of affine maps (N,2,3) or (N,3,4).

    >>> affine_grid(tensor([[[1., 0., 0.], [0., 1., 0.]]]), (1, 1, 1, 2))
    tensor([[[[-0.5000,  0.0000],
              [ 0.5000,  0.0000]]]])
    """
    need_tensor(theta, "affine_grid", "theta")
    n = len(size) - 2
    if n not in (2, 3) or tuple(theta.shape) != (size[0], n, n + 1):
        raise ShapeError(
            "affine_grid: theta must be (N,2,3) for a size of 4 numbers or (N,3,4) for 5, "
            f"got {tuple(theta.shape)} and {tuple(size)}"
        )
    points = _base_points(tuple(size[2:]), align_corners, dtype_of(theta))
    flat = points.reshape(-1, n + 1)
    grid = op.contract(flat, theta, spec="pk,nik->npi")
    return op.reshape(grid, shape=(size[0], *size[2:], n))


def _base_points(sizes, align, d):
    """Homogeneous coordinates (x, y, z, 1) of every element of an image."""
    lines = []
    for m in sizes:
        line = np.linspace(-1, 1, m) if m > 1 else np.zeros(m)
        lines.append(line if align else line * ((m - 1) / m))
    grid = np.meshgrid(*lines, indexing="ij")
    return np.stack([*reversed(grid), np.ones(sizes)], -1).astype(d)


# ---------------------------------------------------------------- shuffles


@function
def pixel_shuffle(input, upscale_factor):
    """(·,C r²,H,W) to (·,C,H r,W r): channels become pixels.

    >>> pixel_shuffle(tensor([[[1.]], [[2.]], [[3.]], [[4.]]]), 2)
    tensor([[[1., 2.],
             [3., 4.]]])
    """
    x, r = need_tensor(input, "pixel_shuffle"), upscale_factor
    if x.ndim < 3 or r < 1 or x.shape[-3] % (r * r):
        raise ShapeError(
            f"pixel_shuffle: expects (..., C·{r}², H, W), got shape {tuple(x.shape)}"
        )
    *lead, c, h, w = x.shape
    n = len(lead)
    y = op.reshape(x, shape=(*lead, c // r**2, r, r, h, w))
    y = op.permute(y, dims=(*range(n), n, n + 3, n + 1, n + 4, n + 2))
    return op.reshape(y, shape=(*lead, c // r**2, h * r, w * r))


@function
def pixel_unshuffle(input, downscale_factor):
    """(·,C,H r,W r) to (·,C r²,H,W): pixels become channels.

    >>> pixel_unshuffle(ones(1, 4, 4), 2).shape
    adjoint.Size([4, 2, 2])
    """
    x, r = need_tensor(input, "pixel_unshuffle"), downscale_factor
    if x.ndim < 3 or r < 1 or x.shape[-1] % r or x.shape[-2] % r:
        raise ShapeError(
            f"pixel_unshuffle: height and width must be multiples of {r}, "
            f"got shape {tuple(x.shape)}"
        )
    *lead, c, h, w = x.shape
    n = len(lead)
    y = op.reshape(x, shape=(*lead, c, h // r, r, w // r, r))
    y = op.permute(y, dims=(*range(n), n, n + 2, n + 4, n + 1, n + 3))
    return op.reshape(y, shape=(*lead, c * r**2, h // r, w // r))


@function
def channel_shuffle(input, groups):
    """Channels of (N,C,·) dealt out one group after the other.

    >>> channel_shuffle(tensor([[[1.], [2.], [3.], [4.]]]), 2)[0, :, 0]
    tensor([1., 3., 2., 4.])
    """
    x = need_tensor(input, "channel_shuffle")
    if x.ndim < 3 or groups < 1 or x.shape[1] % groups:
        raise ShapeError(
            f"channel_shuffle: expects (N, C, ...) with C a multiple of {groups}, "
            f"got shape {tuple(x.shape)}"
        )
    n, c, *rest = x.shape
    y = op.reshape(x, shape=(n, groups, c // groups, *rest))
    y = op.permute(y, dims=(0, 2, 1, *range(3, y.ndim)))
    return op.reshape(y, shape=tuple(x.shape))
