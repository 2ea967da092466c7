"""Losses of many classes."""

from __future__ import annotations

import math

import numpy as np

from ..autodiff.straight import viewed
from ..core.bind import NUMPY, at_bottom, dtype_of, floor
from ..core.primitive import number, op
from ..errors import ArgumentError, DtypeError, ShapeError
from .distances import linear
from .face import cast, need_number, need_tensor
from .loss_modes import as_probabilities, class_indices, floats, mode_of, reduced, total
from .precision import single
from .reductions import mean_of


def _rows(x):
    """(N, C, ...) or (C,) as one row of C an example and place: (N·..., C)."""
    if x.ndim > 2:
        x = op.permute(x, dims=(0, *range(2, x.ndim), 1))
    count = math.prod(x.shape[:-1])
    return x if x.ndim == 2 else op.reshape(x, shape=(count, x.shape[-1]))


def _taken(x, index):
    """x[i, index[i]] of a matrix."""
    n, c = x.shape
    x, index = viewed(op.reshape, x, shape=(n, 1, c)), _column(index)
    return viewed(op.reshape, op.pick(x, index), shape=(n,))


def _column(index):
    return viewed(op.reshape, index, shape=(*index.shape, 1, 1))


def _looked_up(weight, index):
    """weight[index] of vectors."""
    w = op.reshape(weight, shape=(1, 1, weight.shape[0]))
    index = op.reshape(index, shape=(1, 1, index.shape[0]))
    return op.reshape(op.pick(w, index), shape=(index.shape[2],))


def _class_weight(weight, x, classes, name):
    if weight is None:
        return None
    need_tensor(weight, name, "weight")
    if tuple(weight.shape) != (classes,):
        raise ShapeError(
            f"{name}: weight must have one element a class ({classes}), got shape "
            f"{tuple(weight.shape)}"
        )
    if dtype_of(weight) != dtype_of(x):
        raise DtypeError(
            f"{name}: expected weight of dtype {dtype_of(x).name}, got "
            f"{dtype_of(weight).name}"
        )
    return weight


def _check_classes(x, t, name):
    """The number of classes of an input (N, C, ...) whose target has its other dims."""
    need_tensor(x, name)
    need_tensor(t, name, "target")
    if dtype_of(x).kind not in "fV":
        raise DtypeError(f"{name}: expects floating input, got {dtype_of(x).name}")
    if x.ndim == 0:
        raise ShapeError(f"{name}: expected 1 or more dims, got a 0-D input")
    want = tuple(x.shape[:1] + x.shape[2:]) if x.ndim > 1 else ()
    if tuple(t.shape) != want and not (x.ndim == 1 and tuple(t.shape) == (1,)):
        raise ShapeError(
            f"{name}: expected target of shape {want} for input {tuple(x.shape)}, "
            f"got {tuple(t.shape)}"
        )
    return x.shape[1] if x.ndim > 1 else x.shape[0]


def _kept(index, ignore):
    """Which targets count, and all of them made valid."""
    kept = index != np.array(ignore, np.int64)
    return kept, op.where(kept, index, np.array(0, np.int64))


def _shares(kept, index, weight, d):
    """The weight of each target: its class's, and 0 if it is ignored."""
    if weight is None:
        return op.cast(kept, dtype=d)
    return op.where(kept, _looked_up(weight, index), np.zeros((), d))


def _all_count(index, ignore) -> bool:
    """Whether it can be seen that no target is ignored; not of a program being written."""
    values = at_bottom(index)
    here = isinstance(values, np.ndarray) and floor.get() is NUMPY
    return here and not (values == ignore).any()


def _nll(logs, index, weight, ignore, mode):
    """Of rows of log-probabilities and a class a row, each weighted; flat."""
    if weight is None and _all_count(index, ignore):
        return reduced(-_taken(logs, index), mode)
    kept, index = _kept(index, ignore)
    share = _shares(kept, index, weight, dtype_of(logs))
    picked = op.where(kept, _taken(logs, index), number(0, logs))
    loss = -(share * picked)
    if mode == "none":
        return loss
    return total(loss) if mode == "sum" else total(loss) / total(share)


@single
def nll_loss(
    input,
    target,
    weight=None,
    size_average=None,
    ignore_index=-100,
    reduce=None,
    reduction="mean",
):
    """−w(t) x(t) of log-probabilities x; the mean is over the sum of the weights.

    >>> nll_loss(tensor([[-1., -2.]]), tensor([1]))
    tensor(2.)
    """
    name = "nll_loss"
    mode = mode_of(name, reduction, size_average, reduce)
    classes = _check_classes(input, target, name)
    weight = _class_weight(weight, input, classes, name)
    index = class_indices(target, classes, name, ignore_index)
    flat = op.reshape(index, shape=(math.prod(index.shape),))
    loss = _nll(_rows(input), flat, weight, ignore_index, mode)
    return op.reshape(loss, shape=tuple(index.shape)) if mode == "none" else loss


@single
def cross_entropy(
    input,
    target,
    weight=None,
    size_average=None,
    ignore_index=-100,
    reduce=None,
    reduction="mean",
    label_smoothing=0.0,
):
    """−w(t) ln softmax(x)(t) of logits x, the target class numbers or probabilities.

    >>> cross_entropy(tensor([[1e4, 0.], [0., 0.]]), tensor([0, 1]), reduction="none")
    tensor([-0.0000,  0.6931])
    """
    name = "cross_entropy"
    mode = mode_of(name, reduction, size_average, reduce)
    label_smoothing = need_number(label_smoothing, name, "label_smoothing")
    if not 0.0 <= label_smoothing <= 1.0:
        raise ArgumentError(
            f"{name}: label_smoothing must be between 0.0 and 1.0, got {label_smoothing}"
        )
    need_tensor(input, name)
    need_tensor(target, name, "target")
    options = (weight, mode, label_smoothing)
    if tuple(input.shape) == tuple(target.shape):
        return _cross_entropy_soft(input, target, *options)
    return _cross_entropy_hard(input, target, *options, ignore_index)


def linear_cross_entropy(
    input,
    linear_weight,
    target,
    *,
    linear_bias=None,
    weight=None,
    reduction="mean",
    ignore_index=None,
    label_smoothing=0.0,
    options=None,
):
    """`cross_entropy` of the logits x Wᵀ + b, W of shape (classes, ..., features).

    What is between classes and features are several losses an example. `options` chooses
    how PyTorch cuts the work; here it makes no difference.

    >>> linear_cross_entropy(zeros(2, 5), ones(10, 5), tensor([1, 2]))
    tensor(2.3026)
    """
    name = "linear_cross_entropy"
    logits = _linear_logits(name, input, linear_weight, linear_bias)
    t = need_tensor(target, name, "target")
    if ignore_index is not None and tuple(t.shape) == tuple(logits.shape):
        raise ArgumentError(
            f"{name}: ignore_index cannot be specified when target contains probabilities"
        )
    return cross_entropy(
        logits,
        target,
        weight,
        reduction=reduction,
        ignore_index=-100 if ignore_index is None else ignore_index,
        label_smoothing=label_smoothing,
    )


def _linear_logits(name, x, w, bias):
    """x Wᵀ + b of shape (N, classes, ...), of a W (classes, ..., features)."""
    x, w = need_tensor(x, name), need_tensor(w, name, "linear_weight")
    if x.ndim not in (1, 2) or w.ndim < 2 or x.shape[-1] != w.shape[-1]:
        raise ShapeError(
            f"{name}: expects input (N, features) or (features) and linear_weight "
            f"(classes, ..., features), got {tuple(x.shape)} and {tuple(w.shape)}"
        )
    if w.ndim > 2 and x.ndim == 1:
        raise ShapeError(
            f"{name}: several losses an example, linear_weight {tuple(w.shape)}, need "
            f"input (N, features), got {tuple(x.shape)}"
        )
    size = tuple(w.shape[:-1])
    logits = linear(x, op.reshape(w, shape=(math.prod(size), w.shape[-1])))
    logits = op.reshape(logits, shape=(*x.shape[:-1], *size))
    if bias is None:
        return logits
    if tuple(need_tensor(bias, name, "linear_bias").shape) != size:
        raise ShapeError(
            f"{name}: linear_bias must have shape {size}, got {tuple(bias.shape)}"
        )
    return logits + bias


def _cross_entropy_soft(x, t, weight, mode, smoothing):
    """Against probabilities: −Σ w t ln softmax(x); the mean is over examples and places."""
    name = "cross_entropy"
    if dtype_of(t).kind not in "fV":
        raise DtypeError(
            f"{name}: expected floating point type for target with class probabilities, "
            f"got {dtype_of(t).name}"
        )
    if x.ndim == 0 or dtype_of(x).kind not in "fV":
        raise ShapeError(
            f"{name}: expects floating logits of 1 dim or more, got {dtype_of(x).name} "
            f"{tuple(x.shape)}"
        )
    dim = 1 if x.ndim > 1 else 0
    classes = x.shape[dim]
    weight = _class_weight(weight, x, classes, name)
    t = cast(t, dtype_of(x))
    if smoothing:
        t = t * (1 - smoothing) + smoothing / classes
    logs = op.log_softmax(x, dim=dim)
    if weight is not None:
        logs = logs * op.reshape(weight, shape=(classes, *(1,) * max(0, x.ndim - 2)))
    return reduced(-op.sum(logs * t, dim=(dim,), keepdim=False), mode)


def _cross_entropy_hard(x, t, weight, mode, smoothing, ignore):
    """Against class numbers, smoothed: (1 − ε) nll + ε/C Σ over the classes."""
    name = "cross_entropy"
    classes = _check_classes(x, t, name)
    weight = _class_weight(weight, x, classes, name)
    index = class_indices(t, classes, name, ignore)
    flat = viewed(op.reshape, index, shape=(math.prod(index.shape),))
    logs = op.log_softmax(_rows(x), dim=1)
    loss = _nll(logs, flat, weight, ignore, mode)
    if smoothing:
        even = _even(logs, flat, weight, ignore, mode)
        loss = (1 - smoothing) * loss + (smoothing / classes) * even
    return op.reshape(loss, shape=tuple(index.shape)) if mode == "none" else loss


def _even(logs, index, weight, ignore, mode):
    """−Σ w ln p over all classes, of the rows that count."""
    kept, index = _kept(index, ignore)
    all_classes = logs if weight is None else logs * weight
    loss = -op.sum(all_classes, dim=(1,), keepdim=False)
    loss = op.where(kept, loss, number(0, loss))
    if mode == "mean":
        return total(loss) / total(_shares(kept, index, weight, dtype_of(loss)))
    return reduced(loss, mode)


def _one_row(x, t, name):
    """Input (N, C) and target as rows, and whether they were one example alone."""
    need_tensor(x, name)
    need_tensor(t, name, "target")
    if dtype_of(x).kind not in "fV":
        raise DtypeError(f"{name}: expects floating input, got {dtype_of(x).name}")
    if x.ndim not in (1, 2):
        raise ShapeError(
            f"{name}: expected (C) or (N, C) input, got shape {tuple(x.shape)}"
        )
    if x.ndim == 2:
        return x, t, False
    x = op.reshape(x, shape=(1, *x.shape))
    return x, op.reshape(t, shape=(1, *(t.shape if t.ndim else ()))), True


def _alone(loss, alone, mode):
    loss = reduced(loss, mode)
    return op.reshape(loss, shape=()) if alone and mode == "none" else loss


@single
def multi_margin_loss(
    input,
    target,
    p=1,
    margin=1.0,
    weight=None,
    size_average=None,
    reduce=None,
    reduction="mean",
):
    """Σ over other classes of max(0, margin − x(t) + x(i))ᵖ / C, times w(t).

    >>> multi_margin_loss(tensor([[0.1, 0.2, 0.4, 0.8]]), tensor([3]))
    tensor(0.3250)
    """
    name = "multi_margin_loss"
    mode = mode_of(name, reduction, size_average, reduce)
    margin = need_number(margin, name, "margin")
    if need_number(p, name, "p") not in (1, 2):
        raise ArgumentError(f"{name}: only p == 1 and p == 2 supported, got {p}")
    x, t, alone = _one_row(input, target, name)
    n, c = x.shape
    t = op.reshape(t, shape=(math.prod(t.shape),))
    if tuple(t.shape) != (n,):
        raise ShapeError(f"{name}: expected {n} targets, got {tuple(target.shape)}")
    index = class_indices(t, c, name)
    gap = _margin_gaps(x, index, margin)
    gap = gap if p == 1 else gap * gap
    if weight is not None:
        w = _looked_up(_class_weight(weight, x, c, name), index)
        gap = gap * op.reshape(w, shape=(n, 1))
    loss = op.sum(gap, dim=(1,), keepdim=False) / number(max(c, 1), x)
    return _alone(loss, alone, mode)


def _margin_gaps(x, index, margin):
    """max(0, margin − x(t) + x(i)), and 0 at the target itself; 0 has derivative 0."""
    n, c = x.shape
    right = op.reshape(_taken(x, index), shape=(n, 1))
    own = np.arange(c) == op.reshape(index, shape=(n, 1))
    return op.where(own, number(0, x), op.relu(margin - right + x))


@single
def multilabel_margin_loss(
    input, target, size_average=None, reduce=None, reduction="mean"
):
    """Σ over classes j of the target and i not of it of max(0, 1 − x(j) + x(i)) / C.

    The classes of a row of the target end at the first −1.

    >>> t = tensor([[3, 0, -1, 1]])
    >>> multilabel_margin_loss(tensor([[0.1, 0.2, 0.4, 0.8]]), t)
    tensor(0.8500)
    """
    name = "multilabel_margin_loss"
    mode = mode_of(name, reduction, size_average, reduce)
    x, t, alone = _one_row(input, target, name)
    if tuple(x.shape) != tuple(t.shape):
        raise ShapeError(
            f"{name}: target {tuple(target.shape)} must have the input's shape "
            f"{tuple(input.shape)}"
        )
    n, c = x.shape
    index = class_indices(t, c, name, -1)
    ended = op.cumsum(op.cast(index < 0, dtype=np.dtype("int64")), dim=1) > 0
    index = op.where(ended, np.array(0, np.int64), index)
    hits = op.reshape(index, shape=(n, c, 1)) == np.arange(c)
    hits = op.logical_and(hits, op.reshape(op.logical_not(ended), shape=(n, c, 1)))
    inside = op.any(hits, dim=(1,), keepdim=True)
    right = op.reshape(
        op.pick(op.reshape(x, shape=(n, 1, c)), _one(index)), shape=(n, c, 1)
    )
    gap = op.relu(1 - right + op.reshape(x, shape=(n, 1, c)))
    counts = op.logical_and(
        op.reshape(op.logical_not(ended), shape=(n, c, 1)), op.logical_not(inside)
    )
    gap = op.where(counts, gap, number(0, gap))
    loss = op.sum(gap, dim=(1, 2), keepdim=False) / number(max(c, 1), x)
    return _alone(loss, alone, mode)


def _one(index):
    return op.reshape(index, shape=(index.shape[0], 1, index.shape[1]))


def multilabel_soft_margin_loss(
    input, target, weight=None, size_average=None, reduce=None, reduction="mean"
):
    """Binary cross entropy with logits, averaged over the last dim.

    >>> multilabel_soft_margin_loss(tensor([[0., 0.]]), tensor([[1., 0.]]))
    tensor(0.6931)
    """
    name = "multilabel_soft_margin_loss"
    mode = mode_of(name, reduction, size_average, reduce)
    x, t = floats(name, input, target)
    if x.ndim == 0 or tuple(x.shape) != tuple(t.shape):
        raise ShapeError(
            f"{name}: expects input and target of one shape (*, C), got "
            f"{tuple(x.shape)} and {tuple(t.shape)}"
        )
    loss = op.logistic_loss(x, t)
    loss = loss if weight is None else loss * weight
    return reduced(mean_of(loss, (loss.ndim - 1,)), mode)


def multiclass_hinge_loss(input, target, margin=1.0, reduction="mean"):
    """max(0, margin + max over other classes of x(i) − x(t)), after Crammer and Singer.

    >>> multiclass_hinge_loss(tensor([[0.1, 0.2, 0.4, 0.8]]), tensor([3]))
    tensor(0.6000)
    """
    name = "multiclass_hinge_loss"
    mode = mode_of(name, reduction)
    x, t, alone = _one_row(input, target, name)
    n, c = x.shape
    if c < 2:
        raise ShapeError(f"{name}: needs two classes at least, got {tuple(x.shape)}")
    index = class_indices(op.reshape(t, shape=(n,)), c, name)
    own = np.arange(c) == op.reshape(index, shape=(n, 1))
    rival = op.amax(op.where(own, number(-np.inf, x), x), dim=(1,), keepdim=False)
    return _alone(op.relu(margin + rival - _taken(x, index)), alone, mode)


def squared_expectation_loss(input, target, reduction="mean"):
    """‖t − softmax(x)‖² over the last dim; t class numbers or probabilities.

    >>> squared_expectation_loss(tensor([[0., 0.]]), tensor([1]))
    tensor(0.5000)
    """
    name = "squared_expectation_loss"
    mode = mode_of(name, reduction)
    x = need_tensor(input, name)
    if dtype_of(x).kind not in "fV" or x.ndim == 0:
        raise ShapeError(
            f"{name}: expects floating scores (*, C), got {dtype_of(x).name} "
            f"{tuple(x.shape)}"
        )
    p = op.softmax(x, dim=x.ndim - 1)
    d = as_probabilities(need_tensor(target, name, "target"), p, name) - p
    return reduced(op.sum(d * d, dim=(x.ndim - 1,), keepdim=False), mode)
