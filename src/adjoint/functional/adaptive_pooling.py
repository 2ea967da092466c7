"""Pooling to an output of a given size: windows evenly spread, or at random places."""

from __future__ import annotations

import math

import numpy as np

from ..core.bind import dtype_of
from ..core.primitive import op
from ..errors import ArgumentError, DtypeError, ShapeError, in_our_words
from .convolution import batched, per_dim, unbatched
from .face import FUNCTIONS, function, need_tensor
from .pooling import elements_at, flat, with_indices
from .precision import single

# ---------------------------------------------------------------- evenly spread windows


def _even_out(n, x, output_size, name):
    """Windows a dim; None keeps the input's size."""
    if 0 in x.shape[2:]:
        raise ShapeError(
            f"{name}: expected an input whose dims other than the batch are not empty, got "
            f"shape {tuple(x.shape)}"
        )
    given = (
        output_size if isinstance(output_size, (tuple, list)) else (output_size,) * n
    )
    if len(given) != n:
        raise ArgumentError(
            f"{name}: output_size must be one integer or {n}, got {output_size}"
        )
    out = tuple(m if o is None else o for o, m in zip(given, x.shape[2:], strict=True))
    return per_dim(out, n, f"{name}: output_size")


def adaptive_mean(x, out):
    """Means of even windows of (N,C,·), a dim at a time."""
    if dtype_of(x).kind in "bui":
        raise DtypeError(f"adaptive_avg_pool: not implemented for {dtype_of(x).name}")
    for dim, size in enumerate(out, 2):
        if x.shape[dim] != size:
            x = op.resize(x, dim=dim, size=size, rule=("adaptive", False, None))
    return x


def _adaptive_avg(n, x, output_size):
    name = f"adaptive_avg_pool{n}d"
    x, alone = batched(x, n, name)
    return unbatched(adaptive_mean(x, _even_out(n, x, output_size, name)), alone)


@function
def adaptive_avg_pool1d(input, output_size):
    """The means of `output_size` even windows of (N,C,L).

    >>> adaptive_avg_pool1d(tensor([[[1., 3., 2., 4.]]]), 2)
    tensor([[[2., 3.]]])
    """
    return _adaptive_avg(1, input, output_size)


def adaptive_avg_pool2d(input, output_size):
    """The means of even windows of (N,C,H,W).

    >>> adaptive_avg_pool2d(tensor([[[1., 3.], [2., 4.]]]), 1)
    tensor([[[2.5000]]])
    """
    return _adaptive_avg(2, input, output_size)


@single
def adaptive_avg_pool3d(input, output_size):
    """The means of even windows of (N,C,D,H,W).

    >>> adaptive_avg_pool3d(ones(1, 1, 4, 4, 4), (2, None, 1)).shape
    adjoint.Size([1, 1, 2, 4, 1])
    """
    return _adaptive_avg(3, input, output_size)


def _adaptive_max(n, x, output_size, return_indices):
    name = f"adaptive_max_pool{n}d"
    x, alone = batched(x, n, name)
    index = op.adaptive_argmax(x, out=_even_out(n, x, output_size, name))
    y = unbatched(elements_at(x, index), alone)
    return (y, unbatched(index, alone)) if return_indices else y


def adaptive_max_pool1d(input, output_size, return_indices=False):
    """The maxima of `output_size` even windows of (N,C,L).

    >>> adaptive_max_pool1d(tensor([[[1., 3., 2., 4.]]]), 2)
    tensor([[[3., 4.]]])
    """
    return _adaptive_max(1, input, output_size, return_indices)


def adaptive_max_pool2d(input, output_size, return_indices=False):
    """The maxima of even windows of (N,C,H,W).

    >>> adaptive_max_pool2d(tensor([[[1., 3.], [2., 4.]]]), 1)
    tensor([[[4.]]])
    """
    return _adaptive_max(2, input, output_size, return_indices)


@single
def adaptive_max_pool3d(input, output_size, return_indices=False):
    """The maxima of even windows of (N,C,D,H,W).

    >>> adaptive_max_pool3d(ones(1, 1, 4, 4, 4), 2).shape
    adjoint.Size([1, 1, 2, 2, 2])
    """
    return _adaptive_max(3, input, output_size, return_indices)


# ---------------------------------------------------------------- windows at random places


@single
def fractional_max_pool2d(
    input,
    kernel_size,
    output_size=None,
    output_ratio=None,
    return_indices=False,
    _random_samples=None,
):
    """Maxima of windows at random places of (N,C,H,W), `output_size` of them (Graham, 2014).

    >>> fractional_max_pool2d(ones(1, 1, 8, 8), 2, output_ratio=0.5).shape
    adjoint.Size([1, 1, 4, 4])
    """
    options = (kernel_size, output_size, output_ratio, return_indices, _random_samples)
    return _fractional(2, input, *options)


@single
def fractional_max_pool3d(
    input,
    kernel_size,
    output_size=None,
    output_ratio=None,
    return_indices=False,
    _random_samples=None,
):
    """Maxima of windows at random places of (N,C,D,H,W), `output_size` of them.

    >>> fractional_max_pool3d(ones(1, 1, 6, 6, 6), 2, output_size=3).shape
    adjoint.Size([1, 1, 3, 3, 3])
    """
    options = (kernel_size, output_size, output_ratio, return_indices, _random_samples)
    return _fractional(3, input, *options)


def _fractional(n, x, kernel_size, output_size, output_ratio, return_indices, samples):
    name = f"fractional_max_pool{n}d"
    x, alone = batched(x, n, name)
    kernel = per_dim(kernel_size, n, f"{name}: kernel_size", 1)
    out = _fraction(x.shape[2:], output_size, output_ratio, name)
    for m, o, k in zip(x.shape[2:], out, kernel, strict=True):
        if not 1 <= o <= m - k + 1:
            raise ShapeError(
                f"{name}: an output of size {out} does not fit input {tuple(x.shape)} "
                f"with kernel {kernel}"
            )
    at = _random_windows(x.shape, kernel, out, _sampled(samples, x.shape[:2], n, name))
    taps = at.reshape(*at.shape[:2], -1)
    values = op.reshape(op.pick(flat(x), taps), shape=at.shape)
    best = op.argmax(values, dim=(at.ndim - 1,), keepdim=False)
    count = math.prod(out)
    places = at.reshape(*at.shape[:2], count * at.shape[-1])
    nth = op.reshape(best, shape=(*at.shape[:2], count))
    index = op.pick(places, nth + np.arange(count) * at.shape[-1])
    index = op.reshape(index, shape=(*at.shape[:2], *out))
    y = unbatched(elements_at(x, index), alone)
    return (y, unbatched(index, alone)) if return_indices else y


def _fraction(sizes, output_size, output_ratio, name):
    """Windows a dim, from their number or their ratio to the input."""
    n = len(sizes)
    if output_size is not None:
        return per_dim(output_size, n, f"{name}: output_size", 1)
    if output_ratio is None:
        raise ArgumentError(f"{name}: give an output_size or an output_ratio")
    many = isinstance(output_ratio, (tuple, list))
    ratio = tuple(output_ratio) if many else (output_ratio,) * n
    if len(ratio) != n:
        raise ArgumentError(
            f"{name}: output_ratio must be one number or {n}, got {output_ratio}"
        )
    return tuple(int(m * r) for m, r in zip(sizes, ratio, strict=True))


def _sampled(samples, planes, n, name):
    """One number in [0, 1) for each plane and dim, drawn if not given."""
    if samples is None:
        return FUNCTIONS["rand"](*planes, n, dtype="float64").numpy_of()
    samples = need_tensor(samples, name, "_random_samples").numpy_of()
    if samples.shape != (*planes, n):
        raise ShapeError(
            f"{name}: _random_samples must have shape {(*planes, n)}, got {samples.shape}"
        )
    return samples


def _random_windows(shape, kernel, out, samples):
    """Numbers of the places of each window: (N,C,*out,elements of the kernel)."""
    planes, sizes, n = tuple(shape[:2]), shape[2:], len(kernel)
    places = np.zeros((*planes, *(1,) * (2 * n)), np.int64)
    for d, (m, k, o) in enumerate(zip(sizes, kernel, out, strict=True)):
        # PyTorch's planes take their numbers from the last dim to the first.
        sample = samples[..., n - 1 - d if n == 2 else d, None]
        starts = np.full((*planes, o), m - k)
        if o > 1:
            step = np.asarray((m - k) / (o - 1), samples.dtype)
            i = np.arange(o - 1)
            starts[..., :-1] = np.trunc((i + sample) * step)
            starts[..., :-1] -= np.trunc(sample * step).astype(np.int64)
        span = [1] * (2 * n)
        span[d] = o
        place = starts.reshape(*planes, *span)
        span = [1] * (2 * n)
        span[n + d] = k
        places = places * m + place + np.arange(k).reshape(span)
    return places.reshape(*planes, *out, math.prod(kernel))


adaptive_max_pool1d_with_indices = with_indices(adaptive_max_pool1d)
FUNCTIONS["adaptive_max_pool1d"] = in_our_words(adaptive_max_pool1d_with_indices)
adaptive_max_pool2d_with_indices = with_indices(adaptive_max_pool2d)
adaptive_max_pool3d_with_indices = with_indices(adaptive_max_pool3d)
fractional_max_pool2d_with_indices = with_indices(fractional_max_pool2d)
fractional_max_pool3d_with_indices = with_indices(fractional_max_pool3d)
