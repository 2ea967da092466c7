"""A scheduler that looks at how training goes."""

from __future__ import annotations

import math

from ...errors import ArgumentError
from .scheduler import (
    LRScheduler,
    need_optimizer,
    per_group,
    rates,
    set_rate,
    warn_of_epoch,
)


class ReduceLROnPlateau(LRScheduler):
    """Times `factor` when a metric has not become better for more than `patience` epochs.

    Better is less ("min") or more ("max"), by at least the part ("rel") or amount ("abs")
    `threshold` of the best so far. After a change, `cooldown` epochs do not count. No rate
    falls below `min_lr`, and a change of less than `eps` is left out.

    >>> from adjoint import optim
    >>> opt = optim.SGD([ones(1, requires_grad=True)], lr=1.)
    >>> scheduler = optim.lr_scheduler.ReduceLROnPlateau(opt, patience=1)
    >>> for loss in (3., 2., 2., 2.):
    ...     scheduler.step(loss)
    ...     print(scheduler.get_last_lr())
    [1.0]
    [1.0]
    [1.0]
    [0.1]
    """

    def __init__(
        self,
        optimizer,
        mode: str = "min",
        factor=0.1,
        patience: int = 10,
        threshold=1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr=0,
        eps=1e-8,
    ):
        self.optimizer = need_optimizer(optimizer)
        if not factor < 1:
            raise ArgumentError(f"Factor should be < 1.0, got {factor}")
        _need_one_of(("min", "max"), "mode", mode)
        _need_one_of(("rel", "abs"), "threshold mode", threshold_mode)
        several = isinstance(min_lr, (list, tuple))
        self.default_min_lr = None if several else min_lr
        self.min_lrs = per_group("min_lr", optimizer, min_lr)
        self.factor, self.patience, self.cooldown = factor, patience, cooldown
        self.mode, self.eps = mode, eps
        self.threshold, self.threshold_mode = threshold, threshold_mode
        self.mode_worse = math.inf if mode == "min" else -math.inf
        self.last_epoch = 0
        self._last_lr = rates(optimizer)
        self._reset()

    def _reset(self):
        """Forget what was seen."""
        self.best = self.mode_worse
        self.cooldown_counter = self.num_bad_epochs = 0

    @property
    def in_cooldown(self) -> bool:
        """Whether epochs do not count yet."""
        return self.cooldown_counter > 0

    def step(self, metrics, epoch=None):
        """See the metric of another epoch."""
        current = float(metrics)
        if epoch is not None:
            warn_of_epoch()
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        if self._is_better(current, self.best):
            self.best, self.num_bad_epochs = current, 0
        else:
            self.num_bad_epochs += 1
        if self.in_cooldown:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._reduce()
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
        self._last_lr = rates(self.optimizer)

    def _reduce(self):
        groups = self.optimizer.param_groups
        if len(groups) != len(self.min_lrs):
            if self.default_min_lr is None:
                raise ArgumentError(
                    f"the optimizer has {len(groups)} param groups now, but "
                    f"ReduceLROnPlateau has {len(self.min_lrs)} min_lrs",
                    hint="set `min_lrs` to a list of one value a group",
                )
            self.min_lrs = [self.default_min_lr] * len(groups)
        for o, least in zip(groups, self.min_lrs, strict=True):
            old = float(o["lr"])
            new = max(old * self.factor, least)
            if old - new > self.eps:
                set_rate(o, new)

    def _is_better(self, a, best) -> bool:
        sign = 1 if self.mode == "min" else -1
        relative = self.threshold_mode == "rel"
        bound = (
            best * (1 - sign * self.threshold)
            if relative
            else best - sign * self.threshold
        )
        return a * sign < bound * sign


def _need_one_of(known, name, value) -> None:
    if value not in known:
        hint = " or ".join(map(repr, known))
        raise ArgumentError(f"{name} {value} is unknown!", hint=hint)
