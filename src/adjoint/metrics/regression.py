"""Metrics of numbers: mean absolute and squared error, R²."""

from __future__ import annotations

import numpy as np

from .metric import Metric, array, finite, same_shape


def pair(y, t, who):
    """Outputs and targets as float64, one row a sample."""
    y, t = same_shape(finite(array(y), who), finite(array(t), who), who)
    rows = len(y) if y.ndim else 1
    return y.reshape(rows, -1).astype(np.float64), t.reshape(rows, -1).astype(
        np.float64
    )


class _MeanError(Metric):
    """Base of the means over all numbers."""

    mode = "min"

    def reset(self):
        """Nothing seen."""
        self.total, self.seen = 0.0, 0

    def update(self, y, t):
        """See outputs and targets of one shape."""
        y, t = pair(y, t, self.name)
        self.total += float(self._size(y - t).sum())
        self.seen += t.size

    def compute(self):
        """The mean, NaN of nothing."""
        mean = self.total / self.seen if self.seen else float("nan")
        return mean**self.power

    power = 1.0

    @staticmethod
    def _size(error):
        raise NotImplementedError


class MAE(_MeanError):
    """Mean of |y − t|.

    >>> metrics.MAE()(tensor([1., 2.]), tensor([2., 4.]))
    1.5
    """

    name = "mae"

    @staticmethod
    def _size(error):
        return np.abs(error)


class MSE(_MeanError):
    """Mean of (y − t)².

    >>> metrics.MSE()(tensor([1., 2.]), tensor([2., 4.]))
    2.5
    """

    name = "mse"

    @staticmethod
    def _size(error):
        return error * error


class RMSE(_MeanError):
    """Root of the mean of (y − t)².

    >>> metrics.RMSE()(tensor([1., 2.]), tensor([1., 6.]))
    2.8284271247461903
    """

    name, power = "rmse", 0.5

    @staticmethod
    def _size(error):
        return error * error


class R2(Metric):
    """1 − Σ(y − t)² / Σ(t − mean t)²: the part of the variance explained.

    Several outputs a sample are averaged. The variance is merged batch by batch (Chan,
    Golub and LeVeque, 1979), so that large means lose no digits.

    >>> metrics.R2()(tensor([1., 2., 4.]), tensor([1., 2., 3.]))
    0.5
    """

    name, mode = "r2", "max"

    def reset(self):
        """Nothing seen."""
        self.seen = 0
        self.mean = self.spread = self.error = np.zeros(1)

    def update(self, y, t):
        """See outputs and targets of one shape."""
        y, t = pair(y, t, self.name)
        if not len(t):
            return
        mean, n = t.mean(0), self.seen + len(t)
        shift = mean - self.mean
        self.spread = (
            self.spread + ((t - mean) ** 2).sum(0) + shift**2 * (self.seen * len(t) / n)
        )
        self.mean = self.mean + shift * (len(t) / n)
        self.error = self.error + ((y - t) ** 2).sum(0)
        self.seen = n

    def compute(self):
        """The value; of constant targets 1 where there is no error, else 0."""
        if self.seen < 2:
            return float("nan")
        flat = self.spread == 0
        ratio = np.divide(self.error, np.where(flat, 1, self.spread))
        return float(np.where(flat, self.error == 0, 1 - ratio).mean())
