"""The loss of a sequence whose alignment nobody knows."""

from __future__ import annotations

import numpy as np

from ..core.bind import dtype_of
from ..core.primitive import number, op
from ..errors import ArgumentError, DimError, DtypeError, ShapeError
from .face import need_tensor
from .loss_modes import mode_of, reduced


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
    mode = mode_of(name, reduction)
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
    loss = reduced(loss, mode)
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
