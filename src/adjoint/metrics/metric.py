"""What all metrics share: a name, which way is better, and a state that adds up."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.bind import Box
from ..errors import ArgumentError, ArgumentTypeError, ShapeError


class Metric:
    """Base of all metrics: write `reset`, `update(y, t)` and `compute`.

    `mode` says which way is better ("max" or "min"), so that early stopping and
    checkpoints need not be told. The state is what `reset` sets: numbers and arrays.
    An `__init__` with settings ends by calling the one of this class.

    >>> class Total(metrics.Metric):
    ...     name, mode = "total", "max"
    ...     def reset(self):
    ...         self.value = 0.0
    ...     def update(self, y, t=None):
    ...         self.value += y.sum().item()
    ...     def compute(self):
    ...         return self.value
    >>> Total()(tensor([1., 3., 2.]))
    6.0
    """

    name = "metric"
    mode: str | None = None

    def __init__(self, name: str | None = None):
        if name is not None:
            self.name = name
        settings = set(vars(self))
        self.reset()
        self._state = tuple(k for k in vars(self) if k not in settings)

    def reset(self) -> None:
        """Forget what was seen."""
        raise NotImplementedError(f"{type(self).__name__} has no reset")

    def update(self, y, t) -> None:
        """See the outputs `y` and targets `t` of one batch."""
        raise NotImplementedError(f"{type(self).__name__} has no update")

    def compute(self) -> Any:
        """The value over all that was seen."""
        raise NotImplementedError(f"{type(self).__name__} has no compute")

    def __call__(self, y, t=None):
        """The value of this batch alone; what was seen before is forgotten."""
        self.reset()
        self.update(y, t)
        return self.compute()

    def state_dict(self) -> dict:
        """What was seen, to be saved."""
        held = {k: getattr(self, k) for k in self._state}
        return {
            k: v.copy() if isinstance(v, np.ndarray) else v for k, v in held.items()
        }

    def load_state_dict(self, state: dict) -> None:
        """Continue from what `state_dict` gave."""
        for k in self._state:
            v = state[k]
            setattr(self, k, array(v).copy() if isinstance(v, (Box, np.ndarray)) else v)

    def __repr__(self):
        return f"{type(self).__name__}()"


class Mean(Metric):
    """The mean of numbers, each with a weight.

    >>> m = metrics.Mean()
    >>> m.update(2., 1)
    >>> m.update(5., 3)
    >>> m.compute()
    4.25
    """

    name, mode = "mean", "min"

    def reset(self):
        """No numbers."""
        self.total, self.weight = 0.0, 0.0

    def update(self, y, t=1):
        """See the number y with the weight t."""
        self.total += float(y) * t
        self.weight += t

    def compute(self):
        """Their mean, NaN of none."""
        return self.total / self.weight if self.weight else float("nan")


def array(x) -> np.ndarray:
    """The numbers of a tensor, a list or an array."""
    if isinstance(x, Box):
        return x.detach().numpy_of()
    return np.asarray(x)


def finite(y: np.ndarray, who: str) -> np.ndarray:
    """`y`, unless it has NaN, which no class and no order can be read from."""
    if y.dtype.kind not in "biu" and np.isnan(y).any():
        raise ArgumentError(
            f"{who}: the outputs have NaN in {int(np.isnan(y).sum())} of {y.size} places"
        )
    return y


def same_shape(y: np.ndarray, t: np.ndarray, who: str):
    """Both, (N, 1) beside (N,) made alike; or the error that says how they differ."""
    if y.shape != t.shape and y.size == t.size and _flat(y) and _flat(t):
        y, t = y.reshape(-1), t.reshape(-1)
    if y.shape != t.shape:
        raise ShapeError(
            f"{who}: outputs have shape {y.shape}, targets {t.shape}",
            hint="targets of one value a sample have the shape of the outputs",
        )
    return y, t


def count(n, who: str) -> int:
    """`n` as a number of classes or places."""
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1:
        raise ArgumentTypeError(f"{who} must be a positive integer, got {n!r}")
    return int(n)


def _flat(x) -> bool:
    return x.ndim == 1 or (x.ndim == 2 and x.shape[1] == 1)
