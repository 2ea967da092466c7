"""Metrics by themselves, their names or functions, as objects that measure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

from .. import metrics as known_metrics
from ..errors import ArgumentError, ArgumentTypeError
from ..metrics import Metric
from .step import number, size_of


def measures_of(metrics) -> list[Metric]:
    """The metrics, whatever a user gives them as; no two have the same column."""
    return _apart([metric_of(m) for m in _listed(metrics)])


def _listed(metrics) -> list:
    if isinstance(metrics, Mapping):
        return [_renamed(metric_of(m), name) for name, m in metrics.items()]
    several = isinstance(metrics, Iterable) and not isinstance(metrics, (str, Metric))
    return list(metrics) if several else [metrics]


def _apart(metrics: list[Metric]) -> list[Metric]:
    """The metrics, unless two would have the same column."""
    names = ["loss", *(m.name for m in metrics)]
    twice = [n for n in names if names.count(n) > 1]
    if twice:
        raise ArgumentError(
            f"two columns would be named {twice[0]!r}",
            hint="metrics={'name': metric, ...}",
        )
    return metrics


def _renamed(metric, name):
    metric.name = name
    return metric


class _Averaged(Metric):
    """The mean of f(y, t) over batches, weighted by their sizes."""

    def __init__(self, f):
        self.f = f
        super().__init__(getattr(f, "__name__", "metric"))

    def reset(self):
        self.total, self.seen = 0.0, 0

    def update(self, y, t):
        n = size_of(t)
        self.total += number(self.f(y, t), self.name) * n
        self.seen += n

    def compute(self):
        return self.total / self.seen if self.seen else float("nan")


def metric_of(m) -> Metric:
    """A metric, by itself, its name, its class, or a function.

    >>> train.metric_of("accuracy").mode
    'max'
    """
    if isinstance(m, Metric):
        return m
    if isinstance(m, str):
        names = {
            n.lower(): n for n in known_metrics.__all__ if n not in ("Metric", "Mean")
        }
        if m.lower() not in names:
            near = [n for n in names if n.startswith(m.lower())]
            near = near or difflib.get_close_matches(m.lower(), names, 1)
            raise ArgumentError(
                f"there is no metric {m!r}; there are {', '.join(names)}",
                hint=f"did you mean {near[0]!r}?" if near else "",
            )
        return getattr(known_metrics, names[m.lower()])()
    if isinstance(m, type) and issubclass(m, Metric):
        return m()
    if callable(m):
        return _Averaged(m)
    raise ArgumentTypeError(f"a metric is a Metric, its name or a function, got {m!r}")
