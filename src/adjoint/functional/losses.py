"""Losses of `nn.functional`: PyTorch's names, reductions and conventions, exact far out."""

from __future__ import annotations

import math
import warnings

import numpy as np

from ..autodiff.straight import viewed
from ..core.bind import NUMPY, at_bottom, dtype_of, floor
from ..core.primitive import number, op
from ..core.shape import broadcast
from ..errors import ArgumentError, DimError, DtypeError, ShapeError
from .distances import cosine_similarity, linear, pairwise_distance
from .face import cast, function, need_number, need_tensor, promote
from .reductions import mean_of

# ---------------------------------------------------------------- what all share


def _mode(name, reduction, size_average=None, reduce=None):
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


def _is(reduction, name):
    return isinstance(reduction, str) and reduction == name


def _total(x):
    return op.sum(x, dim=tuple(range(x.ndim)), keepdim=False)


def _average(x):
    return mean_of(x, tuple(range(x.ndim)))


def _reduced(loss, mode):
    if mode == "none":
        return loss
    return _total(loss) if mode == "sum" else _average(loss)


def _floats(name, *xs, kinds="fV"):
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
    x, t = _floats(name, input, target, kinds=kinds)
    if tuple(x.shape) != tuple(t.shape):
        warnings.warn(
            f"{name}: Using a target size ({tuple(t.shape)}) that is different to the input "
            f"size ({tuple(x.shape)}): every target is compared with several predictions. "
            "Is a dim of size 1 missing? target.unsqueeze(1), or prediction.squeeze(1)",
            stacklevel=3,
        )
    return x, t


def _positive_part(x):
    """max(x, 0), whose derivative at 0 is 1 as that of PyTorch's clamp_min."""
    zero = number(0, x)
    return op.where(x < zero, zero, x)


def _weighted(loss, weight, mode, name):
    """Reduced with a weight an element; the mean is over the sum of the weights."""
    if weight is None:
        return _reduced(loss, mode)
    if tuple(need_tensor(weight, name, "weight").shape) != tuple(loss.shape):
        raise ShapeError(
            f"{name}: weight must have the shape {tuple(loss.shape)}, "
            f"got {tuple(weight.shape)}"
        )
    loss = loss * cast(weight, dtype_of(loss))
    if mode == "mean":
        return _total(loss) / cast(_total(weight), dtype_of(loss))
    return _reduced(loss, mode)


# ---------------------------------------------------------------- regression


def mse_loss(
    input, target, size_average=None, reduce=None, reduction="mean", weight=None
):
    """(x − t)².

    >>> mse_loss(tensor([1., 3.]), tensor([0., 0.]))
    tensor(5.)
    """
    mode = _mode("mse_loss", reduction, size_average, reduce)
    x, t = _differences("mse_loss", input, target)
    d = x - t
    return _weighted(d * d, weight, mode, "mse_loss")


def l1_loss(
    input, target, size_average=None, reduce=None, reduction="mean", weight=None
):
    """|x − t|.

    >>> l1_loss(tensor([1., 3.]), tensor([0., 0.]))
    tensor(2.)
    """
    mode = _mode("l1_loss", reduction, size_average, reduce)
    x, t = _differences("l1_loss", input, target, kinds="fVc")
    return _weighted(op.abs(x - t), weight, mode, "l1_loss")


def smooth_l1_loss(
    input, target, size_average=None, reduce=None, reduction="mean", beta=1.0
):
    """d²/2β where |d| < β, |d| − β/2 beyond, with d = x − t.

    >>> smooth_l1_loss(tensor([0.5, 3.]), tensor([0., 0.]), reduction="none")
    tensor([0.1250, 2.5000])
    """
    mode = _mode("smooth_l1_loss", reduction, size_average, reduce)
    beta = need_number(beta, "smooth_l1_loss", "beta")
    if beta < 0:
        raise ArgumentError(f"smooth_l1_loss: beta must not be negative, got {beta}")
    x, t = _differences("smooth_l1_loss", input, target)
    loss = op.abs(x - t) if beta == 0 else op.huber(x - t, delta=beta) / beta
    return _reduced(loss, mode)


def huber_loss(input, target, reduction="mean", delta=1.0, weight=None):
    """d²/2 where |d| < δ, δ (|d| − δ/2) beyond, with d = x − t.

    >>> huber_loss(tensor([1., 5.]), tensor([0., 0.]), "none", delta=2.)
    tensor([0.5000, 8.0000])
    """
    mode = _mode("huber_loss", reduction)
    delta = need_number(delta, "huber_loss", "delta")
    if delta <= 0:
        raise ArgumentError(f"huber_loss: delta must be positive, got {delta}")
    x, t = _differences("huber_loss", input, target)
    loss = op.huber(x - t, delta=delta)
    return _weighted(loss, weight, mode, "huber_loss")


def poisson_nll_loss(
    input,
    target,
    log_input=True,
    full=False,
    size_average=None,
    eps=1e-8,
    reduce=None,
    reduction="mean",
):
    """eˣ − t x, or x − t ln(x + eps) if not `log_input`; `full` adds Stirling's ln t!.

    >>> poisson_nll_loss(tensor([0.]), tensor([2.]))
    tensor(1.)
    """
    mode = _mode("poisson_nll_loss", reduction, size_average, reduce)
    x, t = _floats("poisson_nll_loss", input, target)
    loss = op.exp(x) - t * x if log_input else x - t * op.log(x + eps)
    if full:
        many = t > number(1, t)
        safe = op.where(many, t, number(1, t))
        stirling = t * op.log(safe) - t + 0.5 * op.log(2 * math.pi * safe)
        loss = loss + op.where(many, stirling, number(0, t))
    return _reduced(loss, mode)


def gaussian_nll_loss(input, target, var, full=False, eps=1e-6, reduction="mean"):
    """½ (ln v + (x − t)²/v) of a variance v, at least eps; `full` adds ½ ln 2π.

    >>> gaussian_nll_loss(tensor([1.]), tensor([3.]), tensor([1.]))
    tensor(2.)
    """
    mode = _mode("gaussian_nll_loss", reduction)
    name = "gaussian_nll_loss"
    x, t = _floats(name, input, target)
    v = _variance(var, x, name)
    low = number(eps, v)
    v = v + op.stop_gradient(op.where(v < low, low - v, number(0, v)))
    loss = 0.5 * (op.log(v) + (x - t) * (x - t) / v)
    return _reduced(loss + 0.5 * math.log(2 * math.pi) if full else loss, mode)


def _variance(var, x, name):
    """A variance of the input's shape, or of one number an example."""
    if isinstance(var, (int, float)):
        if var < 0:
            raise ArgumentError(f"{name}: var has negative entry/entries")
        return op.expand(number(var, x), shape=tuple(x.shape))
    need_tensor(var, name, "var")
    values = at_bottom(var)
    if isinstance(values, np.ndarray) and (values < 0).any():
        raise ArgumentError(f"{name}: var has negative entry/entries")
    v = cast(var, dtype_of(x))
    if tuple(v.shape) == tuple(x.shape[:-1]):
        return op.reshape(v, shape=(*v.shape, 1))
    same = v.ndim == x.ndim and all(
        a in (1, b) for a, b in zip(v.shape, x.shape, strict=True)
    )
    if not same:
        raise ShapeError(
            f"{name}: var is of incorrect size: {tuple(v.shape)} for {tuple(x.shape)}"
        )
    return v


def kl_div(
    input, target, size_average=None, reduce=None, reduction="mean", log_target=False
):
    """t (ln t − x) of a log-probability x; with `log_target` of ln t. "batchmean" too.

    >>> kl_div(tensor([[-1., -1.]]), tensor([[0.5, 0.5]]), reduction="batchmean")
    tensor(0.3069)
    """
    name = "kl_div"
    mode = "batchmean"
    if not _is(reduction, mode) or size_average is not None or reduce is not None:
        mode = _mode(name, reduction, size_average, reduce)
    x, t = _floats(name, input, target)
    loss = op.exp(t) * (t - x) if log_target else op.xlogy(t, t) - t * x
    if mode == "batchmean":
        return _total(loss) / max(1, x.shape[0] if x.ndim else 1)
    return _reduced(loss, mode)


# ---------------------------------------------------------------- two classes


def binary_cross_entropy(
    input, target, weight=None, size_average=None, reduce=None, reduction="mean"
):
    """−t ln x − (1 − t) ln(1 − x) of a probability x, its logarithms at least −100.

    >>> binary_cross_entropy(tensor([0.8, 0.]), tensor([1., 1.]), reduction="none")
    tensor([  0.2231, 100.0000])
    """
    name = "binary_cross_entropy"
    mode = _mode(name, reduction, size_average, reduce)
    x, t = _same_shape(name, input, target)
    values = at_bottom(x)
    if isinstance(values, np.ndarray) and ((values < 0) | (values > 1)).any():
        raise ArgumentError(
            f"{name}: all elements of input should be between 0 and 1",
            hint="binary_cross_entropy_with_logits takes any number",
        )
    loss = op.binary_cross_entropy(x, t)
    return _reduced(loss if weight is None else loss * weight, mode)


def _same_shape(name, x, t):
    need_tensor(x, name)
    need_tensor(t, name, "target")
    if tuple(x.shape) != tuple(t.shape):
        raise ShapeError(
            f"{name}: target size {tuple(t.shape)} must be the same as input size "
            f"{tuple(x.shape)}"
        )
    if dtype_of(x).kind not in "fV":
        raise DtypeError(
            f"{name}: expects floating numbers, got {dtype_of(x).name}",
            hint="x.float() makes floats",
        )
    return x, cast(t, dtype_of(x))


@function
def binary_cross_entropy_with_logits(
    input,
    target,
    weight=None,
    size_average=None,
    reduce=None,
    reduction="mean",
    pos_weight=None,
):
    """Binary cross entropy of σ(x), exact for any logit x; `pos_weight` multiplies t's part.

    >>> x = tensor([1e4, -1e4])
    >>> binary_cross_entropy_with_logits(x, tensor([1., 1.]), reduction="none")
    tensor([    0., 10000.])
    """
    name = "binary_cross_entropy_with_logits"
    mode = _mode(name, reduction, size_average, reduce)
    x, t = _same_shape(name, input, target)
    if pos_weight is None:
        loss = op.logistic_loss(x, t)
    else:
        hit = -op.log_sigmoid(x) * t
        loss = hit * pos_weight - op.log_sigmoid(-x) * (1 - t)
    return _reduced(loss if weight is None else loss * weight, mode)


def soft_margin_loss(input, target, size_average=None, reduce=None, reduction="mean"):
    """ln(1 + e^(−t x)) for t of ±1.

    >>> soft_margin_loss(tensor([0.]), tensor([1.]))
    tensor(0.6931)
    """
    name = "soft_margin_loss"
    mode = _mode(name, reduction, size_average, reduce)
    x, t = _floats(name, input, target)
    return _reduced(-op.log_sigmoid(t * x), mode)


@function
def hinge_embedding_loss(
    input, target, margin=1.0, size_average=None, reduce=None, reduction="mean"
):
    """x where t = 1, max(0, margin − x) where t = −1.

    >>> hinge_embedding_loss(tensor([0.3, 0.3]), tensor([1., -1.]), reduction="none")
    tensor([0.3000, 0.7000])
    """
    name = "hinge_embedding_loss"
    mode = _mode(name, reduction, size_average, reduce)
    margin = need_number(margin, name, "margin")
    x, t = _floats(name, input, target)
    zero = number(0, x)
    far = op.where(t == number(1, t), zero, _positive_part(margin - x))
    near = op.where(t == number(-1, t), zero, x)
    return _reduced(far + near, mode)


@function
def margin_ranking_loss(
    input1, input2, target, margin=0, size_average=None, reduce=None, reduction="mean"
):
    """max(0, −t (x₁ − x₂) + margin).

    >>> margin_ranking_loss(tensor([1.]), tensor([3.]), tensor([1.]))
    tensor(2.)
    """
    name = "margin_ranking_loss"
    mode = _mode(name, reduction, size_average, reduce)
    margin = need_number(margin, name, "margin")
    for what, x in (("input1", input1), ("input2", input2), ("target", target)):
        need_tensor(x, name, what)
    if not input1.ndim == input2.ndim == target.ndim:
        raise ShapeError(
            f"{name}: all inputs should have the same dimension, got sizes "
            f"{tuple(input1.shape)}, {tuple(input2.shape)} and {tuple(target.shape)}"
        )
    a, b, t = _floats(name, input1, input2, target)
    return _reduced(_positive_part(-t * (a - b) + margin), mode)


@function
def cosine_embedding_loss(
    input1, input2, target, margin=0, size_average=None, reduce=None, reduction="mean"
):
    """1 − cos(x₁, x₂) where t = 1, max(0, cos(x₁, x₂) − margin) where t = −1.

    >>> a, b = tensor([[3., 4.]]), tensor([[4., 3.]])
    >>> cosine_embedding_loss(a, b, tensor([-1]), margin=0.5)
    tensor(0.4600)
    """
    name = "cosine_embedding_loss"
    mode = _mode(name, reduction, size_average, reduce)
    margin = need_number(margin, name, "margin")
    for what, x in (("input1", input1), ("input2", input2)):
        need_tensor(x, name, what)
    t = need_tensor(target, name, "target")
    if t.ndim + 1 != input1.ndim or t.ndim + 1 != input2.ndim or t.ndim > 1:
        raise ShapeError(
            f"{name}: expects (N, D), (N, D), (N) or (D), (D), (), got "
            f"{tuple(input1.shape)}, {tuple(input2.shape)} and {tuple(t.shape)}"
        )
    cos = cosine_similarity(input1, input2, dim=t.ndim)
    zero = number(0, cos)
    near = op.where(t == number(1, t), 1 - cos, zero)
    far = op.where(t == number(-1, t), _positive_part(cos - margin), zero)
    return _reduced(near + far, mode)


# ---------------------------------------------------------------- many classes


def _indices(target, low, high, name, ignore=None):
    """The class numbers, checked where they are known."""
    if dtype_of(target).kind not in "iu":
        raise DtypeError(
            f"{name}: expected class indices of an integer dtype, got "
            f"{dtype_of(target).name}"
        )
    values = at_bottom(target)
    if isinstance(values, np.ndarray):
        bad = (values < low) | (values >= high)
        if ignore is not None:
            bad &= values != ignore
        if bad.any():
            raise DimError(f"{name}: target {values[bad][0]} is out of bounds")
    return cast(target, np.dtype("int64"))


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
        return _reduced(-_taken(logs, index), mode)
    kept, index = _kept(index, ignore)
    share = _shares(kept, index, weight, dtype_of(logs))
    picked = op.where(kept, _taken(logs, index), number(0, logs))
    loss = -(share * picked)
    if mode == "none":
        return loss
    return _total(loss) if mode == "sum" else _total(loss) / _total(share)


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
    mode = _mode(name, reduction, size_average, reduce)
    classes = _check_classes(input, target, name)
    weight = _class_weight(weight, input, classes, name)
    index = _indices(target, 0, classes, name, ignore_index)
    flat = op.reshape(index, shape=(math.prod(index.shape),))
    loss = _nll(_rows(input), flat, weight, ignore_index, mode)
    return op.reshape(loss, shape=tuple(index.shape)) if mode == "none" else loss


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
    mode = _mode(name, reduction, size_average, reduce)
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
    x, w = need_tensor(input, name), need_tensor(linear_weight, name, "linear_weight")
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
    if linear_bias is not None:
        if tuple(need_tensor(linear_bias, name, "linear_bias").shape) != size:
            raise ShapeError(
                f"{name}: linear_bias must have shape {size}, got "
                f"{tuple(linear_bias.shape)}"
            )
        logits = logits + linear_bias
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
    loss = -op.sum(logs * t, dim=(dim,), keepdim=False)
    if mode == "mean":
        return _total(loss) / max(1, math.prod(loss.shape))
    return _reduced(loss, mode)


def _cross_entropy_hard(x, t, weight, mode, smoothing, ignore):
    """Against class numbers, smoothed: (1 − ε) nll + ε/C Σ over the classes."""
    name = "cross_entropy"
    classes = _check_classes(x, t, name)
    weight = _class_weight(weight, x, classes, name)
    index = _indices(t, 0, classes, name, ignore)
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
        return _total(loss) / _total(_shares(kept, index, weight, dtype_of(loss)))
    return _reduced(loss, mode)


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
    loss = _reduced(loss, mode)
    return op.reshape(loss, shape=()) if alone and mode == "none" else loss


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
    mode = _mode(name, reduction, size_average, reduce)
    margin = need_number(margin, name, "margin")
    if need_number(p, name, "p") not in (1, 2):
        raise ArgumentError(f"{name}: only p == 1 and p == 2 supported, got {p}")
    x, t, alone = _one_row(input, target, name)
    n, c = x.shape
    t = op.reshape(t, shape=(math.prod(t.shape),))
    if tuple(t.shape) != (n,):
        raise ShapeError(f"{name}: expected {n} targets, got {tuple(target.shape)}")
    index = _indices(t, 0, c, name)
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
    mode = _mode(name, reduction, size_average, reduce)
    x, t, alone = _one_row(input, target, name)
    if tuple(x.shape) != tuple(t.shape):
        raise ShapeError(
            f"{name}: target {tuple(target.shape)} must have the input's shape "
            f"{tuple(input.shape)}"
        )
    n, c = x.shape
    index = _indices(t, -1, c, name)
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
    mode = _mode(name, reduction, size_average, reduce)
    x, t = _floats(name, input, target)
    if x.ndim == 0 or tuple(x.shape) != tuple(t.shape):
        raise ShapeError(
            f"{name}: expects input and target of one shape (*, C), got "
            f"{tuple(x.shape)} and {tuple(t.shape)}"
        )
    loss = op.logistic_loss(x, t)
    loss = loss if weight is None else loss * weight
    dim = (loss.ndim - 1,)
    rows = op.sum(loss, dim=dim, keepdim=False) / max(1, x.shape[-1])
    return _reduced(rows, mode)


# ---------------------------------------------------------------- distances


def _triplet(near, far, between, margin, swap, mode):
    if swap:
        far = op.minimum(far, between())
    return _reduced(_positive_part(margin + near - far), mode)


@function
def triplet_margin_loss(
    anchor,
    positive,
    negative,
    margin=1.0,
    p=2,
    eps=1e-6,
    swap=False,
    size_average=None,
    reduce=None,
    reduction="mean",
):
    """max(0, margin + ‖a − p‖ − ‖a − n‖); `swap` takes ‖p − n‖ if that is less.

    >>> a, b, c = tensor([[0., 0.]]), tensor([[3., 4.]]), tensor([[0., 1.]])
    >>> triplet_margin_loss(a, b, c)
    tensor(5.0000)
    """
    name = "triplet_margin_loss"
    mode = _mode(name, reduction, size_average, reduce)
    margin = need_number(margin, name, "margin")
    if margin <= 0:
        raise ArgumentError(f"{name}: margin must be greater than 0, got {margin}")
    a, b, c = _floats(name, anchor, positive, negative)
    if not a.ndim == b.ndim == c.ndim:
        raise ShapeError(
            f"{name}: anchor, positive and negative must have the same number of dims, "
            f"got {a.ndim}, {b.ndim} and {c.ndim}"
        )
    return _triplet(
        pairwise_distance(a, b, p, eps),
        pairwise_distance(a, c, p, eps),
        lambda: pairwise_distance(b, c, p, eps),
        margin,
        swap,
        mode,
    )


def triplet_margin_with_distance_loss(
    anchor,
    positive,
    negative,
    *,
    distance_function=None,
    margin=1.0,
    swap=False,
    reduction="mean",
):
    """`triplet_margin_loss` of any distance of two tensors.

    >>> a, b, c = tensor([[0., 0.]]), tensor([[3., 4.]]), tensor([[0., 1.]])
    >>> distance = lambda x, y: (x - y).abs().sum(-1)
    >>> triplet_margin_with_distance_loss(a, b, c, distance_function=distance)
    tensor(7.)
    """
    name = "triplet_margin_with_distance_loss"
    mode = _mode(name, reduction)
    margin = need_number(margin, name, "margin")
    if margin <= 0:
        raise ArgumentError(f"{name}: margin must be greater than 0, got {margin}")
    distance = distance_function or pairwise_distance
    return _triplet(
        distance(anchor, positive),
        distance(anchor, negative),
        lambda: distance(positive, negative),
        margin,
        swap,
        mode,
    )


# ---------------------------------------------------------------- sequences


def ctc_loss(
    log_probs,
    targets,
    input_lengths,
    target_lengths,
    blank=0,
    reduction="mean",
    zero_infinity=False,
):
    """−ln of the probability of a label sequence under all its alignments, by class frames.

    `log_probs` is (T, N, C) or (T, C); `targets` (N, S), one of them, or all in one row.
    The mean divides each by its target length.

    >>> x = log_softmax(zeros(3, 1, 2), 2)
    >>> ctc_loss(x, tensor([[1]]), [3], [1])
    tensor(0.2877)
    """
    name = "ctc_loss"
    mode = _mode(name, reduction)
    x = need_tensor(log_probs, name, "log_probs")
    if dtype_of(x).kind not in "fV" or x.ndim not in (2, 3):
        raise ShapeError(
            f"{name}: log_probs must be floating and (T, N, C) or (T, C), got "
            f"{dtype_of(x).name} {tuple(x.shape)}"
        )
    alone = x.ndim == 2
    x = op.reshape(x, shape=(x.shape[0], 1, x.shape[1])) if alone else x
    n = x.shape[1]
    frames = _lengths(input_lengths, n, x.shape[0], name, "input_lengths")
    counts = _lengths(target_lengths, n, None, name, "target_lengths")
    labels = _labels(targets, counts, x.shape[2], blank, name)
    loss = _alignments(x, labels, frames, counts)
    if zero_infinity:
        loss = op.where(op.isinf(loss), number(0, loss), loss)
    if mode == "mean":
        loss = loss / np.maximum(counts, 1).astype(dtype_of(x))
    loss = _reduced(loss, mode)
    return op.reshape(loss, shape=()) if alone and mode == "none" else loss


def _integers(values, name, what):
    array = np.asarray(values.numpy_of() if hasattr(values, "numpy_of") else values)
    if array.dtype.kind not in "iu" and array.size:
        raise DtypeError(f"{name}: {what} must be integers, got {array.dtype.name}")
    return array.astype(np.int64)


def _lengths(values, n, most, name, what):
    """One length an example, as an array."""
    lengths = _integers(values, name, what).reshape(-1)
    if lengths.shape != (n,):
        raise ShapeError(f"{name}: {what} must be of size {n}, got {lengths.size}")
    if (lengths < 0).any() or (most is not None and (lengths > most).any()):
        raise ArgumentError(
            f"{name}: {what} must lie between 0 and {most}, got {lengths.tolist()}"
        )
    return lengths


def _labels(targets, counts, classes, blank, name):
    """Targets between blanks, one row an example, blanks where it has ended."""
    if not 0 <= blank < classes:
        raise ArgumentError(f"{name}: blank must be in label range, got {blank}")
    values = _integers(targets, name, "targets")
    longest = int(counts.max(initial=0))
    inside = np.arange(longest) < counts[:, None]
    labels = np.full((len(counts), 2 * longest + 1), blank)
    if values.ndim == 1 and values.size == counts.sum():
        labels[:, 1::2][inside] = values
    elif values.ndim == 2 and len(values) == len(counts) and values.shape[1] >= longest:
        labels[:, 1::2] = np.where(inside, values[:, :longest], blank)
    else:
        raise ShapeError(
            f"{name}: targets must be (N, S) with S at least {longest}, or all "
            f"{counts.sum()} in one row, got {values.shape}"
        )
    if (labels < 0).any() or (labels >= classes).any():
        raise DimError(f"{name}: targets must be class numbers below {classes}")
    return labels


def _alignments(x, labels, frames, counts):
    """Graves' forward recursion over the frames, in logarithms."""
    d = dtype_of(x)
    t, n, _ = x.shape
    size = labels.shape[1]
    low, zero = (np.array(v, d) for v in (-np.inf, 0))
    place = np.arange(size)
    emitted = op.pick(x, np.broadcast_to(labels, (t, *labels.shape)))
    skips = np.zeros(labels.shape, bool)
    skips[:, 2:] = (labels[:, 2:] != labels[:, :-2]) & (place[2:] % 2 == 1)
    a = np.where(np.broadcast_to(place == 0, labels.shape), zero, low)
    walls = [np.full((n, k), low) for k in (1, 2)]
    for i in range(t):
        moves = [a]
        if size > 1:
            moves.append(op.cat(walls[0], _but_last(a, 1), dim=1))
            two = op.cat(walls[1], _but_last(a, 2), dim=1)
            moves.append(op.where(skips, two, low))
        total = op.logsumexp(op.stack(*moves, dim=0), dim=(0,), keepdim=False)
        here = op.select(emitted, dim=0, index=i)
        a = op.where((i < frames)[:, None], total + here, a)
    last = (place == 2 * counts[:, None]) | (place == 2 * counts[:, None] - 1)
    return -op.logsumexp(op.where(last, a, low), dim=(1,), keepdim=False)


def _but_last(a, k):
    n, size = a.shape
    return op.slice(a, key=((0, n, 1), (0, size - k, 1)))


# ---------------------------------------------------------------- robust, percent, Keras's


def mape_loss(input, target, eps=1e-8, reduction="mean"):
    """Absolute error in percent of the target, 100 |x − t| / max(|t|, eps).

    >>> mape_loss(tensor([9., 22.]), tensor([10., 20.]))
    tensor(10.)
    """
    mode = _mode("mape_loss", reduction)
    x, t = _differences("mape_loss", input, target)
    size = op.maximum(op.abs(t), number(eps, t))
    return _reduced(100 * op.abs(x - t) / size, mode)


def log_cosh_loss(input, target, reduction="mean"):
    """ln cosh(x − t): d²/2 near 0, |d| − ln 2 far out.

    >>> log_cosh_loss(tensor([1000., 0.]), tensor([0., 1.]), reduction="none")
    tensor([9.9931e+02, 4.3378e-01])
    """
    mode = _mode("log_cosh_loss", reduction)
    x, t = _differences("log_cosh_loss", input, target)
    d = x - t
    near = op.abs(d) < number(1, d)
    s = op.sinh(0.5 * op.where(near, d, number(0, d)))
    far = op.abs(d) + op.log1p(op.exp(-2 * op.abs(d))) - math.log(2)
    return _reduced(op.where(near, op.log1p(2 * s * s), far), mode)


def cauchy_loss(input, target, c=1.0, reduction="mean"):
    """c²/2 · ln(1 + (d/c)²), d = x − t: large errors count by their logarithm.

    >>> cauchy_loss(tensor([1.]), tensor([0.]))
    tensor(0.3466)
    """
    mode = _mode("cauchy_loss", reduction)
    u = _scaled("cauchy_loss", input, target, c)
    return _reduced(0.5 * c * c * op.log1p(u * u), mode)


def tukey_loss(input, target, c=4.685, reduction="mean"):
    """Tukey's biweight, c²/6 · (1 − (1 − (d/c)²)³) for |d| ≤ c, c²/6 beyond.

    >>> tukey_loss(tensor([100., 0.]), tensor([0., 0.]), c=6., reduction="none")
    tensor([6., 0.])
    """
    mode = _mode("tukey_loss", reduction)
    u = _scaled("tukey_loss", input, target, c)
    rest = op.relu(1 - u * u)
    return _reduced((c * c / 6) * (1 - rest * rest * rest), mode)


def _scaled(name, input, target, c):
    if need_number(c, name, "c") <= 0:
        raise ArgumentError(f"{name}: c must be positive, got {c}")
    x, t = _differences(name, input, target)
    return (x - t) / c


def multiclass_hinge_loss(input, target, margin=1.0, reduction="mean"):
    """max(0, margin + max over other classes of x(i) − x(t)), after Crammer and Singer.

    >>> multiclass_hinge_loss(tensor([[0.1, 0.2, 0.4, 0.8]]), tensor([3]))
    tensor(0.6000)
    """
    name = "multiclass_hinge_loss"
    mode = _mode(name, reduction)
    x, t, alone = _one_row(input, target, name)
    n, c = x.shape
    if c < 2:
        raise ShapeError(f"{name}: needs two classes at least, got {tuple(x.shape)}")
    index = _indices(op.reshape(t, shape=(n,)), 0, c, name)
    own = np.arange(c) == op.reshape(index, shape=(n, 1))
    rival = op.amax(op.where(own, number(-np.inf, x), x), dim=(1,), keepdim=False)
    return _alone(op.relu(margin + rival - _taken(x, index)), alone, mode)


def squared_expectation_loss(input, target, reduction="mean"):
    """‖t − softmax(x)‖² over the last dim; t class numbers or probabilities.

    >>> squared_expectation_loss(tensor([[0., 0.]]), tensor([1]))
    tensor(0.5000)
    """
    name = "squared_expectation_loss"
    mode = _mode(name, reduction)
    x = need_tensor(input, name)
    if dtype_of(x).kind not in "fV" or x.ndim == 0:
        raise ShapeError(
            f"{name}: expects floating scores (*, C), got {dtype_of(x).name} "
            f"{tuple(x.shape)}"
        )
    p = op.softmax(x, dim=x.ndim - 1)
    d = _as_probabilities(need_tensor(target, name, "target"), p, name) - p
    return _reduced(op.sum(d * d, dim=(x.ndim - 1,), keepdim=False), mode)


def _as_probabilities(t, p, name):
    """Class numbers as one-hot rows; probabilities as they are."""
    if tuple(t.shape) == tuple(p.shape) and dtype_of(t).kind in "fV":
        return cast(t, dtype_of(p))
    if tuple(t.shape) != tuple(p.shape[:-1]):
        raise ShapeError(
            f"{name}: target {tuple(t.shape)} must have the shape {tuple(p.shape)} or "
            f"{tuple(p.shape[:-1])}"
        )
    classes = p.shape[-1]
    index = op.reshape(_indices(t, 0, classes, name), shape=(*t.shape, 1))
    return op.cast(index == np.arange(classes), dtype=dtype_of(p))


def binary_crossentropy(y_true, y_pred, from_logits=False, label_smoothing=0.0):
    """Keras's binary cross entropy, averaged over the last dim; probabilities or logits.

    Probabilities are limited to [1e-7, 1 − 1e-7], and labels t smoothed by ε become
    (1 − ε) t + ε/2.

    >>> binary_crossentropy(tensor([[0., 1.]]), tensor([[0.4, 0.6]]))
    tensor([0.5108])
    """
    name = "binary_crossentropy"
    t, x = _floats(name, y_true, y_pred)
    label_smoothing = need_number(label_smoothing, name, "label_smoothing")
    if label_smoothing:
        t = t * (1 - label_smoothing) + 0.5 * label_smoothing
    if from_logits:
        loss = op.logistic_loss(x, t)
    else:
        tiny = 1e-7 if dtype_of(x).itemsize > 2 else 1e-3
        p = op.hardtanh(x, low=tiny, high=1 - tiny)
        loss = -t * op.log(p) - (1 - t) * op.log1p(-p)
    if not loss.ndim:
        return loss
    dim = (loss.ndim - 1,)
    return op.sum(loss, dim=dim, keepdim=False) / max(1, loss.shape[-1])
