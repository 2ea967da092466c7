"""Dropout: of elements, of channels, and of what selu takes."""

from __future__ import annotations

import math

import numpy as np

from ..autodiff.inplace import assign
from ..core import dtype as dt
from ..core.bind import dtype_of
from ..core.primitive import op
from ..errors import ArgumentError, DtypeError, ShapeError
from .drawing import draw_uniform
from .face import function, need_tensor


def _check_p(p):
    if not 0 <= p <= 1:
        raise ArgumentError(
            f"dropout probability has to be between 0 and 1, but got {p}"
        )


def _mask(x, p, shape):
    """1 with probability 1 - p, else 0, in the dtype of `x`."""
    d = np.dtype("float64") if dtype_of(x) == np.float64 else np.dtype("float32")
    kept = op.lt(draw_uniform(shape, d, None), np.array(1 - p, d))
    return op.cast(kept, dtype=dtype_of(x))


def _deliver(x, y, inplace, name):
    return assign(x, y, name) if inplace else y


def _dropped(x, p, shape):
    if p == 1:
        return x * op.zeros_like(x)
    return x * (_mask(x, p, shape) * (1 / (1 - p)))


def _checked(input, name, p, drawing):
    x = need_tensor(input, name)
    _check_p(p)
    if drawing and dtype_of(x).kind not in "fVc":
        raise DtypeError(f"{name}: not implemented for {dt.dtype(dtype_of(x))}")
    return x


@function
def dropout(input, p=0.5, training=True, inplace=False):
    """Zeros for a random part p of the elements; the others grow by 1 / (1 - p).

    >>> dropout(ones(3), 0.5, training=False)
    tensor([1., 1., 1.])
    >>> dropout(ones(3), 1.)
    tensor([0., 0., 0.])
    """
    x = _checked(input, "dropout", p, training and p)
    if not training or p == 0:
        return x
    return _deliver(x, _dropped(x, p, tuple(x.shape)), inplace, "dropout_")


def _by_channel(name, unbatched):
    def f(input, p=0.5, training=True, inplace=False):
        x = _checked(input, name, p, training and p)
        if unbatched is not None and x.ndim not in (unbatched, unbatched + 1):
            raise ShapeError(
                f"{name}: expected a {unbatched}-D or {unbatched + 1}-D input, got {x.ndim}-D"
            )
        if not training or p == 0:
            return x
        lead = 1 if x.ndim == unbatched else 2
        shape = (*x.shape[:lead], *(1,) * (x.ndim - lead))
        return _deliver(x, _dropped(x, p, shape), inplace, name + "_")

    f.__name__ = f.__qualname__ = name
    f.__doc__ = (
        f"Dropout of whole channels.\n\n>>> {name}(ones({', '.join('1' * (unbatched or 3))}), "
        "training=False).sum()\ntensor(1.)"
    )
    return function(f)


feature_dropout = _by_channel("feature_dropout", None)

dropout1d = _by_channel("dropout1d", 2)

dropout2d = _by_channel("dropout2d", 3)

dropout3d = _by_channel("dropout3d", 4)


_SATURATED = -1.7580993408473766  # what selu tends to: -scale * alpha


def _alpha(x, p, shape):
    """Dropped elements take selu's saturation; mean and variance stay 0 and 1."""
    if p == 1:
        return x * op.zeros_like(x)
    mask = _mask(x, p, shape)
    a = 1 / math.sqrt((1 - p) * (1 + p * _SATURATED**2))
    b = -a * _SATURATED * p
    return x * (mask * a) + ((1 - mask) * (a * _SATURATED) + b)


@function
def alpha_dropout(input, p=0.5, training=False, inplace=False):
    """Dropout that keeps the mean and variance of selu's outputs.

    >>> alpha_dropout(ones(2), training=False)
    tensor([1., 1.])
    """
    x = _checked(input, "alpha_dropout", p, training and p)
    if not training or p == 0:
        return x
    return _deliver(x, _alpha(x, p, tuple(x.shape)), inplace, "alpha_dropout_")


@function
def feature_alpha_dropout(input, p=0.5, training=False, inplace=False):
    """`alpha_dropout` of whole channels.

    >>> feature_alpha_dropout(ones(1, 2, 3), training=False).sum()
    tensor(6.)
    """
    x = _checked(input, "feature_alpha_dropout", p, training and p)
    if not training or p == 0:
        return x
    shape = (*x.shape[:2], *(1,) * (x.ndim - 2))
    return _deliver(x, _alpha(x, p, shape), inplace, "feature_alpha_dropout_")
