"""The loss of a sequence whose alignment nobody knows."""

from __future__ import annotations

import math

import numpy as np

from ..core.bind import Box, dtype_of
from ..core.primitive import number, op
from ..errors import ArgumentError, DtypeError, ShapeError, TraceError
from ..ops.index import LENGTH, TARGET
from .bounds import within
from .face import need_tensor
from .loss_modes import mode_of, reduced
from .precision import single


@single
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

    `log_probs` is (T, N, C) or (T, C); `targets` (N, S), one of them, or all in one row,
    if their lengths are known when a program is made. The mean divides each by its target length.

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
        loss = loss / op.cast(op.maximum(counts, np.array(1)), dtype=dtype_of(x))
    loss = reduced(loss, mode)
    return op.reshape(loss, shape=()) if alone and mode == "none" else loss


def _integers(values, name, what):
    """Whole numbers, as an array where they are known."""
    try:
        x = np.asarray(values.numpy_of() if hasattr(values, "numpy_of") else values)
    except TraceError:
        x = values
    kind = dtype_of(x)
    if kind.kind not in "iu" and 0 not in x.shape:
        raise DtypeError(f"{name}: {what} must be integers, got {kind.name}")
    whole = np.dtype(np.int64)
    return op.cast(x, dtype=whole) if isinstance(x, Box) else x.astype(whole)


def _lengths(values, n, most, name, what):
    """One length an example."""
    lengths = _integers(values, name, what)
    if (size := math.prod(lengths.shape)) != n:
        raise ShapeError(f"{name}: {what} must be of size {n}, got {size}")
    if isinstance(lengths, Box):
        lengths = op.reshape(lengths, shape=(n,))
        if most is None:
            return lengths
        return within(lengths, most + 1, LENGTH, f"{name}: {what}")
    n = np.iinfo(np.int64).max if most is None else most + 1
    by = f"{name}: {what}"
    return op.bounded.eager(lengths.reshape(-1), n=n, dim=LENGTH, by=by, but=None)


def _labels(targets, counts, classes, blank, name):
    """Targets between blanks, one row an example, blanks where it has ended."""
    if not 0 <= blank < classes:
        raise ArgumentError(f"{name}: blank must be in label range, got {blank}")
    values = _integers(targets, name, "targets")
    if isinstance(values, Box) or isinstance(counts, Box):
        return _labels_to_come(values, counts, classes, blank, name)
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
    return op.bounded.eager(labels, n=classes, dim=TARGET, by=name, but=None)


def _labels_to_come(values, counts, classes, blank, name):
    """The same of numbers that a program will have: each row has as many as there is room."""
    n = counts.shape[0]
    if len(values.shape) == 1 and not isinstance(counts, Box):
        values = _rows(values, counts)
    size = math.prod(values.shape) // max(n, 1)
    if tuple(values.shape) not in ((n, size), (size,) if n == 1 else ()):
        raise ShapeError(
            f"{name}: targets must be ({n}, S) where their numbers or lengths are not known "
            f"yet, got {tuple(values.shape)}",
            hint="give each example a row of its own, filled up with anything",
        )
    counts = within(counts, size + 1, LENGTH, f"{name}: target_lengths")
    inside = op.reshape(counts, shape=(n, 1)) > np.arange(size)
    values = op.reshape(values, shape=(n, size))
    values = op.where(inside, values, np.array(blank))
    values = within(values, classes, TARGET, name)
    gaps = np.full((n, size), blank)
    both = op.reshape(op.stack(gaps, values, dim=2), shape=(n, 2 * size))
    return op.cat(both, np.full((n, 1), blank), dim=1)


def _rows(values, counts):
    """Labels that follow each other in one row, as one row an example."""
    if values.shape[0] != counts.sum() or not counts.sum():
        return values
    place = (np.cumsum(counts) - counts)[:, None] + np.arange(counts.max())
    place = np.minimum(place, values.shape[0] - 1).reshape(1, 1, -1)
    row = op.reshape(values, shape=(1, 1, values.shape[0]))
    return op.reshape(op.pick(row, place), shape=(len(counts), int(counts.max())))


def _alignments(x, labels, frames, counts):
    """Graves' forward recursion over the frames, in logarithms."""
    d = dtype_of(x)
    t, n, _ = x.shape
    size = labels.shape[1]
    low, zero = (np.array(v, d) for v in (-np.inf, 0))
    place = np.arange(size)
    each = op.reshape(labels, shape=(1, n, size))
    emitted = op.pick(x, op.expand(each, shape=(t, n, size)))
    skips = _skips(labels, place) if size > 1 else None
    a = np.where(np.broadcast_to(place == 0, (n, size)), zero, low)
    ends, frames = (op.reshape(c, shape=(n, 1)) for c in (2 * counts, frames))
    walls = [np.full((n, k), low) for k in (1, 2)]
    for i in range(t):
        moves = [a]
        if size > 1:
            moves.append(op.cat(walls[0], _but_last(a, 1), dim=1))
            two = op.cat(walls[1], _but_last(a, 2), dim=1)
            moves.append(op.where(skips, two, low))
        total = op.logsumexp(op.stack(*moves, dim=0), dim=(0,), keepdim=False)
        here = op.select(emitted, dim=0, index=i)
        a = op.where(frames > i, total + here, a)
    last = op.logical_or(ends == place, ends == place + 1)
    return -op.logsumexp(op.where(last, a, low), dim=(1,), keepdim=False)


def _skips(labels, place):
    """Where a path may go on from the label before the last: past a blank, to another."""
    n, size = labels.shape
    later = op.slice(labels, key=((0, n, 1), (2, size, 1)))
    other = op.logical_and(later != _but_last(labels, 2), place[2:] % 2 == 1)
    return op.cat(np.zeros((n, 2), bool), other, dim=1)


def _but_last(a, k):
    n, size = a.shape
    return op.slice(a, key=((0, n, 1), (0, size - k, 1)))
