"""What losses share: reductions, weights, and the check of their arguments."""

from __future__ import annotations

import warnings

import numpy as np

from ..core.bind import dtype_of
from ..core.primitive import number, op
from ..core.shape import broadcast
from ..errors import ArgumentError, DtypeError, ShapeError
from ..ops.index import TARGET
from .bounds import within
from .face import cast, need_tensor, promote
from .reductions import mean_of


def mode_of(name, reduction, size_average=None, reduce=None):
    """The reduction by name; PyTorch's two older flags still choose it if given."""
    if size_average is not None or reduce is not None:
        if reduce is False:
            return "none"
        return "sum" if size_average is False else "mean"
    if not isinstance(reduction, str) or reduction not in ("none", "mean", "sum"):
        raise ArgumentError(
            f"{name}: reduction must be 'none', 'mean' or 'sum', got {reduction!r}"
        )
    return reduction


def same(reduction, name):
    return isinstance(reduction, str) and reduction == name


def total(x):
    return op.sum(x, dim=tuple(range(x.ndim)), keepdim=False)


def average(x):
    return mean_of(x, tuple(range(x.ndim)))


def reduced(loss, mode):
    if mode == "none":
        return loss
    return total(loss) if mode == "sum" else average(loss)


def floats(name, *xs, kinds="fV"):
    """Tensors in their common dtype, which must be floating, and of shapes that broadcast."""
    for x in xs:
        need_tensor(x, name)
    if len({dtype_of(x) for x in xs}) > 1:
        xs = promote(name, *xs)
    if dtype_of(xs[0]).kind not in kinds:
        raise DtypeError(
            f"{name}: expects floating numbers, got {dtype_of(xs[0]).name}",
            hint="x.float() makes floats",
        )
    broadcast(*(tuple(x.shape) for x in xs), name=name)
    return xs


def _differences(name, input, target, kinds="fV"):
    """Predictions and targets, whose shapes should be the same."""
    x, t = floats(name, input, target, kinds=kinds)
    if tuple(x.shape) != tuple(t.shape):
        warnings.warn(
            f"{name}: Using a target size ({tuple(t.shape)}) that is different to the input "
            f"size ({tuple(x.shape)}): every target is compared with several predictions. "
            "Is a dim of size 1 missing? target.unsqueeze(1), or prediction.squeeze(1)",
            stacklevel=3,
        )
    return x, t


def positive_part(x):
    """max(x, 0), whose derivative at 0 is 1 as that of PyTorch's clamp_min."""
    zero = number(0, x)
    return op.where(x < zero, zero, x)


def weighted(loss, weight, mode, name):
    """Reduced with a weight an element; the mean is over the sum of the weights."""
    if weight is None:
        return reduced(loss, mode)
    if tuple(need_tensor(weight, name, "weight").shape) != tuple(loss.shape):
        raise ShapeError(
            f"{name}: weight must have the shape {tuple(loss.shape)}, "
            f"got {tuple(weight.shape)}"
        )
    loss = loss * cast(weight, dtype_of(loss))
    if mode == "mean":
        return total(loss) / cast(total(weight), dtype_of(loss))
    return reduced(loss, mode)


def class_indices(target, classes, name, ignore=None):
    """The class numbers, each below `classes`, or `ignore`."""
    if dtype_of(target).kind not in "iu":
        raise DtypeError(
            f"{name}: expected class indices of an integer dtype, got "
            f"{dtype_of(target).name}"
        )
    target = within(target, classes, TARGET, name, ignore)
    return cast(target, np.dtype("int64"))


def as_probabilities(t, p, name):
    """Class numbers as one-hot rows; probabilities as they are."""
    if tuple(t.shape) == tuple(p.shape) and dtype_of(t).kind in "fV":
        return cast(t, dtype_of(p))
    if tuple(t.shape) != tuple(p.shape[:-1]):
        raise ShapeError(
            f"{name}: target {tuple(t.shape)} must have the shape {tuple(p.shape)} or "
            f"{tuple(p.shape[:-1])}"
        )
    classes = p.shape[-1]
    index = op.reshape(class_indices(t, classes, name), shape=(*t.shape, 1))
    return op.cast(index == np.arange(classes), dtype=dtype_of(p))
