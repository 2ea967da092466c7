"""Schedulers that follow a cosine, once or again and again."""

from __future__ import annotations

import math

from ...errors import ArgumentError
from .scheduler import LRScheduler, rates


class CosineAnnealingLR(LRScheduler):
    """From the base rate down to eta_min in T_max epochs along half a cosine, and up again.

    >>> from adjoint import optim
    >>> opt = optim.SGD([ones(1, requires_grad=True)], lr=1.)
    >>> scheduler = optim.lr_scheduler.CosineAnnealingLR(opt, T_max=2)
    >>> for _ in range(2):
    ...     opt.step()
    ...     scheduler.step()
    ...     print(scheduler.get_last_lr())
    [0.5]
    [0.0]
    """

    def __init__(self, optimizer, T_max: int, eta_min=0.0, last_epoch: int = -1):
        if not T_max > 0:
            raise ArgumentError(
                f"CosineAnnealingLR: T_max must be positive, got {T_max}"
            )
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        """The last rates, moved on along the cosine, so that other schedulers may act too."""
        self._warn_outside_step()
        t, last = self.last_epoch, rates(self.optimizer)
        if self._is_initial:
            return last
        if self._step_count == 1 and t > 0:
            return self._get_closed_form_lr()
        if (t - 1 - self.T_max) % (2 * self.T_max) == 0:  # just left the bottom
            up = 1 - self._height(1)
            pairs = zip(last, self.base_lrs, strict=True)
            return [lr + (base - self.eta_min) * up for lr, base in pairs]
        change = self._height(t) / self._height(t - 1)
        return [self.eta_min + (lr - self.eta_min) * change for lr in last]

    def _height(self, t):
        return (1 + math.cos(math.pi * t / self.T_max)) / 2

    def _get_closed_form_lr(self):
        c, low = self._height(self.last_epoch), self.eta_min
        return [low + (lr - low) * c for lr in self.base_lrs]


class CosineAnnealingWarmRestarts(LRScheduler):
    """From the base rate down to eta_min along half a cosine, and back at once.

    The first time takes T_0 epochs, each next T_mult times as long. `step` takes parts of
    epochs too, such as epoch + i / batches.

    >>> from adjoint import optim
    >>> opt = optim.SGD([ones(1, requires_grad=True)], lr=1.)
    >>> scheduler = optim.lr_scheduler.CosineAnnealingWarmRestarts(opt, T_0=2)
    >>> for _ in range(3):
    ...     opt.step()
    ...     scheduler.step()
    ...     print(scheduler.get_last_lr())
    [0.5]
    [1.0]
    [0.5]
    """

    def __init__(
        self, optimizer, T_0: int, T_mult: int = 1, eta_min=0.0, last_epoch: int = -1
    ):
        if not isinstance(T_0, int) or T_0 <= 0:
            raise ArgumentError(f"Expected positive integer T_0, but got {T_0}")
        if not isinstance(T_mult, int) or T_mult < 1:
            raise ArgumentError(f"Expected integer T_mult >= 1, but got {T_mult}")
        if not isinstance(eta_min, (float, int)):
            raise ArgumentError(
                f"Expected float or int eta_min, but got {eta_min} of type "
                f"{type(eta_min).__name__}"
            )
        self.T_0, self.T_i, self.T_mult = T_0, T_0, T_mult
        self.eta_min, self.T_cur = eta_min, last_epoch
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        """The rates at T_cur epochs of a fall that takes T_i."""
        self._warn_outside_step()
        c = (1 + math.cos(math.pi * self.T_cur / self.T_i)) / 2
        return [self.eta_min + (lr - self.eta_min) * c for lr in self.base_lrs]

    def step(self, epoch=None):
        """Go to the next epoch, or to a given one, which need not be whole."""
        if epoch is None and self.last_epoch >= 0:
            epoch = self.last_epoch + 1
            self.T_cur += 1
            if self.T_cur >= self.T_i:
                self.T_cur, self.T_i = self.T_cur % self.T_i, self.T_i * self.T_mult
        else:
            epoch = 0 if epoch is None else epoch
            self._go_to(epoch)
        self.last_epoch = math.floor(epoch)
        with self._within_step():
            values = self.get_lr()
        self._set(values)

    def _go_to(self, epoch):
        """Find the fall in which `epoch` lies: n have ended, after a geometric sum."""
        if epoch < 0:
            raise ArgumentError(f"Expected non-negative epoch, but got {epoch}")
        if epoch < self.T_0:
            self.T_i, self.T_cur = self.T_0, epoch
        elif self.T_mult == 1:
            self.T_cur = epoch % self.T_0
        else:
            more = self.T_mult - 1
            n = int(math.log(epoch / self.T_0 * more + 1, self.T_mult))
            self.T_i = self.T_0 * self.T_mult**n
            self.T_cur = epoch - (self.T_i - self.T_0) / more
