"""Metrics of classes: accuracy, confusion, precision, recall, F1, top-k, area under ROC."""

from __future__ import annotations

import numpy as np

from ..errors import ArgumentError, ArgumentTypeError, DimError, ShapeError
from .metric import Metric, array, count, finite, same_shape

AVERAGES = ("binary", "micro", "macro", "weighted", None)


def labels(y, t, threshold: float, who: str) -> tuple[np.ndarray, np.ndarray]:
    """Predicted and true classes as flat integers.

    Outputs with one dim more than the targets are scores of the classes along dim 1, the
    largest wins; floating outputs in the targets' shape are scores of class 1, which wins
    above the threshold; integers are classes.
    """
    y, t = finite(array(y), who), finite(array(t), who)
    if y.ndim == t.ndim + 1 and y.ndim > 1 and y.shape[1] > 1:
        _fits(y, t, who)
        y = y.argmax(1)
    y, t = same_shape(y, t, who)
    if y.dtype.kind not in "biu":
        y = y > threshold
    if t.dtype.kind not in "biu" and not (t == np.floor(t)).all():
        raise ArgumentTypeError(f"{who}: targets must be classes, got {t.dtype.name}")
    return y.reshape(-1).astype(np.int64), t.reshape(-1).astype(np.int64)


def _fits(y, t, who):
    if y.shape[:1] + y.shape[2:] != t.shape:
        raise ShapeError(
            f"{who}: outputs have shape {y.shape}, targets {t.shape}",
            hint="(N, classes, ...) scores go with (N, ...) classes",
        )


class Accuracy(Metric):
    """The fraction of samples whose predicted class is the true one.

    >>> metrics.Accuracy()(tensor([[2., 1.], [0., 3.], [1., 0.]]), tensor([0, 1, 1]))
    0.6666666666666666
    """

    name, mode = "accuracy", "max"

    def __init__(self, threshold: float = 0.5, name: str | None = None):
        self.threshold = threshold
        super().__init__(name)

    def reset(self):
        """No samples."""
        self.right = self.seen = 0

    def update(self, y, t):
        """See scores or classes `y` and classes `t`."""
        y, t = labels(y, t, self.threshold, self.name)
        self.right += int((y == t).sum())
        self.seen += t.size

    def compute(self):
        """Right of all."""
        return self.right / self.seen if self.seen else float("nan")


class TopK(Metric):
    """The fraction of samples whose true class is among the k with the largest scores.

    Of equal scores the later class counts as the larger, as in scikit-learn.

    >>> metrics.TopK(2)(tensor([[3., 2., 1.], [3., 2., 1.]]), tensor([1, 2]))
    0.5
    """

    mode = "max"

    def __init__(self, k: int = 5, name: str | None = None):
        self.k = count(k, "TopK: k")
        super().__init__(name or f"top{k}")

    def reset(self):
        """No samples."""
        self.right = self.seen = 0

    def update(self, y, t):
        """See scores (N, classes) and classes (N)."""
        y, t = finite(array(y), self.name), array(t)
        if y.ndim != 2 or t.shape != y.shape[:1]:
            raise ShapeError(
                f"{self.name}: expected scores (N, classes) and classes (N), "
                f"got {y.shape} and {t.shape}"
            )
        _in_range(t, y.shape[1], self.name)
        own = np.take_along_axis(y, t[:, None], 1)
        later = np.arange(y.shape[1]) > t[:, None]
        before = ((y > own) | ((y == own) & later)).sum(1)
        self.right += int((before < self.k).sum())
        self.seen += t.size

    def compute(self):
        """Right of all."""
        return self.right / self.seen if self.seen else float("nan")


def _in_range(t, classes, who):
    if t.size and (t.min() < 0 or t.max() >= classes):
        bad = t[(t < 0) | (t >= classes)][0]
        raise DimError(f"{who}: class {bad} is out of range for {classes} classes")


class _Counting(Metric):
    """Base of the metrics that a confusion matrix tells: counts[true, predicted]."""

    def __init__(self, classes, threshold, name):
        self.classes = None if classes is None else count(classes, "classes")
        self.threshold = threshold
        super().__init__(name)

    def reset(self):
        """No samples."""
        size = self.classes or 0
        self.counts = np.zeros((size, size), np.int64)

    def update(self, y, t):
        """See scores or classes `y` and classes `t`."""
        y, t = labels(y, t, self.threshold, self.name)
        largest = int(max(y.max(initial=-1), t.max(initial=-1))) + 1
        size = self.classes or max(largest, len(self.counts))
        _in_range(t, size, self.name)
        _in_range(y, size, self.name)
        self._grow(size)
        cells = np.bincount(t * size + y, minlength=size * size)
        self.counts += cells.reshape(size, size)

    def _grow(self, size):
        if size > len(self.counts):
            more = size - len(self.counts)
            self.counts = np.pad(self.counts, ((0, more), (0, more)))


class ConfusionMatrix(_Counting):
    """How many samples of each true class (row) were given each class (column).

    Without `classes` the matrix grows with the largest class seen. `normalize` is "true",
    "pred" or "all": fractions of the row, the column, everything.

    >>> metrics.ConfusionMatrix(2)(tensor([0, 1, 1, 1]), tensor([0, 0, 1, 1])).tolist()
    [[1, 1], [0, 2]]
    """

    name = "confusion"

    def __init__(
        self,
        classes: int | None = None,
        *,
        normalize: str | None = None,
        threshold: float = 0.5,
        name: str | None = None,
    ):
        if normalize not in (None, "true", "pred", "all"):
            raise ArgumentError(
                f"normalize must be None, 'true', 'pred' or 'all', got {normalize!r}"
            )
        self.normalize = normalize
        super().__init__(classes, threshold, name)

    def compute(self):
        """The matrix."""
        return _normalized(self.counts.copy(), self.normalize)


def _normalized(counts, how):
    if how is None:
        return counts
    over = {"true": (1,), "pred": (0,), "all": (0, 1)}[how]
    return ratio(counts, counts.sum(over, keepdims=True), 0.0)


def ratio(a, b, empty: float):
    """a / b, and `empty` where b is 0."""
    a, b = np.broadcast_arrays(np.asarray(a, float), np.asarray(b, float))
    return np.divide(a, b, out=np.full(a.shape, float(empty)), where=b != 0)


class _Averaged(_Counting):
    """Base of the metrics with one value a class, and averages of these."""

    mode = "max"

    def __init__(
        self,
        classes: int | None = None,
        *,
        average: str | None = "macro",
        positive: int = 1,
        zero_division: float = 0.0,
        threshold: float = 0.5,
        name: str | None = None,
    ):
        if average not in AVERAGES:
            raise ArgumentError(f"average must be one of {AVERAGES}, got {average!r}")
        self.average, self.positive = average, positive
        self.zero_division = zero_division
        super().__init__(classes, threshold, name)

    def compute(self):
        """The value of the average asked for, or of each class."""
        hit = np.diag(self.counts)
        true, given = self.counts.sum(1), self.counts.sum(0)
        if self.average == "micro":
            return self._one(hit.sum(), true.sum(), given.sum())
        if self.average == "binary":
            return self._positive(hit, true, given)
        each = self._each(hit, true, given, self.zero_division)
        if self.average is None:
            return each
        return self._mean(each, true, given)

    def _one(self, hit, true, given):
        return float(self._each(hit, true, given, self.zero_division))

    def _positive(self, hit, true, given):
        if len(hit) > 2:
            raise ArgumentError(
                f"{self.name}: average='binary' with {len(hit)} classes",
                hint="average='macro', 'micro' or 'weighted'",
            )
        k = self.positive
        if k >= len(hit):
            return float(self.zero_division)
        return self._one(hit[k], true[k], given[k])

    def _mean(self, each, true, given):
        if self.average == "weighted":
            if not true.sum():
                return float(self.zero_division)
            return float((each * true).sum() / true.sum())
        seen = (true + given) > 0 if self.classes is None else np.ones(len(each), bool)
        return float(each[seen].mean()) if seen.any() else float("nan")

    @staticmethod
    def _each(hit, true, given, empty):
        raise NotImplementedError


class Precision(_Averaged):
    """Of those given a class, the fraction that is of it.

    `average` is "macro" (mean over classes), "micro" (over all samples), "weighted" (by how
    often a class occurs), "binary" (of the class `positive`) or None (each class).

    >>> metrics.Precision(average="binary")(tensor([1, 1, 1, 0]), tensor([1, 1, 0, 1]))
    0.6666666666666666
    """

    name = "precision"

    @staticmethod
    def _each(hit, true, given, empty):
        return ratio(hit, given, empty)


class Recall(_Averaged):
    """Of those that are of a class, the fraction given it; averages as in `Precision`.

    >>> metrics.Recall(average="binary")(tensor([1, 0, 1, 0]), tensor([1, 1, 0, 1]))
    0.3333333333333333
    """

    name = "recall"

    @staticmethod
    def _each(hit, true, given, empty):
        return ratio(hit, true, empty)


class F1(_Averaged):
    """2 · precision · recall / (precision + recall); averages as in `Precision`.

    >>> metrics.F1(average="binary")(tensor([1, 1, 0, 0]), tensor([1, 0, 1, 0]))
    0.5
    """

    name = "f1"

    @staticmethod
    def _each(hit, true, given, empty):
        return ratio(2 * hit, true + given, empty)


class AUC(Metric):
    """Area under the ROC curve: the chance that a positive sample scores above a negative.

    Scores (N) with classes 0 and 1; or scores (N, classes) with classes (N), each class
    against the rest, averaged "macro" or "weighted". All scores are kept until `compute`.

    >>> metrics.AUC()(tensor([0.1, 0.4, 0.35, 0.8]), tensor([0, 0, 1, 1]))
    0.75
    """

    name, mode = "auc", "max"

    def __init__(self, average: str = "macro", name: str | None = None):
        if average not in ("macro", "weighted"):
            raise ArgumentError(
                f"AUC: average must be 'macro' or 'weighted', got {average!r}"
            )
        self.average = average
        super().__init__(name)

    def reset(self):
        """No samples."""
        self.scores, self.true = np.zeros((0, 0)), np.zeros(0, np.int64)

    def update(self, y, t):
        """See the scores and classes of a batch."""
        y, t = finite(array(y), self.name), array(t)
        y = y.reshape(len(y), -1).astype(np.float64)
        t = t.reshape(-1).astype(np.int64)
        if len(y) != len(t):
            raise ShapeError(f"{self.name}: {len(y)} outputs and {len(t)} targets")
        _in_range(t, max(2, y.shape[1]), self.name)
        self.scores = np.concatenate([self.scores, y]) if len(self.true) else y
        self.true = np.concatenate([self.true, t])

    def compute(self):
        """The area, NaN where only one class was seen."""
        if not len(self.true):
            return float("nan")
        if self.scores.shape[1] == 1:
            return area(self.scores[:, 0], self.true == 1)
        classes = range(self.scores.shape[1])
        each = np.array([area(self.scores[:, k], self.true == k) for k in classes])
        weights = np.bincount(self.true, minlength=len(each))
        if self.average == "macro":
            return float(each.mean())
        return float((each * weights)[weights > 0].sum() / weights.sum())


def area(scores: np.ndarray, positive: np.ndarray) -> float:
    """From the sum of ranks (Mann and Whitney, 1947); equal scores share their mean rank."""
    n, m = int(positive.sum()), int((~positive).sum())
    if not n or not m:
        return float("nan")
    _, place, sizes = np.unique(scores, return_inverse=True, return_counts=True)
    rank = np.cumsum(sizes) - (sizes - 1) / 2
    return float((rank[place][positive].sum() - n * (n + 1) / 2) / (n * m))
