"""Losses of two classes, or of pairs."""

from __future__ import annotations

import numpy as np

from ..core.bind import at_bottom, dtype_of
from ..core.primitive import number, op
from ..errors import ArgumentError, DtypeError, ShapeError
from .distances import cosine_similarity
from .face import cast, function, need_number, need_tensor
from .loss_modes import floats, mode_of, positive_part, reduced
from .precision import single


@single
def binary_cross_entropy(
    input, target, weight=None, size_average=None, reduce=None, reduction="mean"
):
    """−t ln x − (1 − t) ln(1 − x) of a probability x, its logarithms at least −100.

    >>> binary_cross_entropy(tensor([0.8, 0.]), tensor([1., 1.]), reduction="none")
    tensor([  0.2231, 100.0000])
    """
    name = "binary_cross_entropy"
    mode = mode_of(name, reduction, size_average, reduce)
    x, t = _same_shape(name, input, target)
    values = at_bottom(x)
    if isinstance(values, np.ndarray) and ((values < 0) | (values > 1)).any():
        raise ArgumentError(
            f"{name}: all elements of input should be between 0 and 1",
            hint="binary_cross_entropy_with_logits takes any number",
        )
    loss = op.binary_cross_entropy(x, t)
    return reduced(loss if weight is None else loss * weight, mode)


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
@single
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
    mode = mode_of(name, reduction, size_average, reduce)
    x, t = _same_shape(name, input, target)
    if pos_weight is None:
        loss = op.logistic_loss(x, t)
    else:
        hit = -op.log_sigmoid(x) * t
        loss = hit * pos_weight - op.log_sigmoid(-x) * (1 - t)
    return reduced(loss if weight is None else loss * weight, mode)


@single
def soft_margin_loss(input, target, size_average=None, reduce=None, reduction="mean"):
    """ln(1 + e^(−t x)) for t of ±1.

    >>> soft_margin_loss(tensor([0.]), tensor([1.]))
    tensor(0.6931)
    """
    name = "soft_margin_loss"
    mode = mode_of(name, reduction, size_average, reduce)
    x, t = floats(name, input, target)
    return reduced(-op.log_sigmoid(t * x), mode)


@function
@single
def hinge_embedding_loss(
    input, target, margin=1.0, size_average=None, reduce=None, reduction="mean"
):
    """x where t = 1, max(0, margin − x) where t = −1.

    >>> hinge_embedding_loss(tensor([0.3, 0.3]), tensor([1., -1.]), reduction="none")
    tensor([0.3000, 0.7000])
    """
    name = "hinge_embedding_loss"
    mode = mode_of(name, reduction, size_average, reduce)
    margin = need_number(margin, name, "margin")
    x, t = floats(name, input, target)
    zero = number(0, x)
    far = op.where(t == number(1, t), zero, positive_part(margin - x))
    near = op.where(t == number(-1, t), zero, x)
    return reduced(far + near, mode)


@function
@single
def margin_ranking_loss(
    input1, input2, target, margin=0, size_average=None, reduce=None, reduction="mean"
):
    """max(0, −t (x₁ − x₂) + margin).

    >>> margin_ranking_loss(tensor([1.]), tensor([3.]), tensor([1.]))
    tensor(2.)
    """
    name = "margin_ranking_loss"
    mode = mode_of(name, reduction, size_average, reduce)
    margin = need_number(margin, name, "margin")
    for what, x in (("input1", input1), ("input2", input2), ("target", target)):
        need_tensor(x, name, what)
    if not input1.ndim == input2.ndim == target.ndim:
        raise ShapeError(
            f"{name}: all inputs should have the same dimension, got sizes "
            f"{tuple(input1.shape)}, {tuple(input2.shape)} and {tuple(target.shape)}"
        )
    a, b, t = floats(name, input1, input2, target)
    return reduced(positive_part(-t * (a - b) + margin), mode)


@function
@single
def cosine_embedding_loss(
    input1, input2, target, margin=0, size_average=None, reduce=None, reduction="mean"
):
    """1 − cos(x₁, x₂) where t = 1, max(0, cos(x₁, x₂) − margin) where t = −1.

    >>> a, b = tensor([[3., 4.]]), tensor([[4., 3.]])
    >>> cosine_embedding_loss(a, b, tensor([-1]), margin=0.5)
    tensor(0.4600)
    """
    name = "cosine_embedding_loss"
    mode = mode_of(name, reduction, size_average, reduce)
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
    far = op.where(t == number(-1, t), positive_part(cos - margin), zero)
    return reduced(near + far, mode)


def binary_crossentropy(y_true, y_pred, from_logits=False, label_smoothing=0.0):
    """Keras's binary cross entropy, averaged over the last dim; probabilities or logits.

    Probabilities are limited to [1e-7, 1 − 1e-7], and labels t smoothed by ε become
    (1 − ε) t + ε/2.

    >>> binary_crossentropy(tensor([[0., 1.]]), tensor([[0.4, 0.6]]))
    tensor([0.5108])
    """
    name = "binary_crossentropy"
    t, x = floats(name, y_true, y_pred)
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
