"""Losses of three points: which two shall be near."""

from __future__ import annotations

from ..core.primitive import op
from ..errors import ArgumentError, ShapeError
from .distances import pairwise_distance
from .face import function, need_number
from .loss_modes import floats, mode_of, positive_part, reduced
from .precision import single


def _triplet(near, far, between, margin, swap, mode):
    if swap:
        far = op.minimum(far, between())
    return reduced(positive_part(margin + near - far), mode)


@function
@single
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
    mode = mode_of(name, reduction, size_average, reduce)
    margin = need_number(margin, name, "margin")
    if margin <= 0:
        raise ArgumentError(f"{name}: margin must be greater than 0, got {margin}")
    a, b, c = floats(name, anchor, positive, negative)
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
    mode = mode_of(name, reduction)
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
