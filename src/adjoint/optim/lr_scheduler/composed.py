"""Schedulers made of others: all at once, or one after the other."""

from __future__ import annotations

from bisect import bisect_right

from ...errors import ArgumentError, ArgumentTypeError
from .factors import LinearLR
from .plateau import ReduceLROnPlateau
from .scheduler import LRScheduler, rates, set_rate


class Composed(LRScheduler):
    """Base: schedulers of one optimizer, saved together."""

    def _take(self, schedulers, optimizer):
        name = type(self).__name__
        if not schedulers:
            raise ArgumentError(
                f"{name} expects at least one scheduler, but got no scheduler"
            )
        for i, scheduler in enumerate(schedulers):
            if not hasattr(scheduler, "optimizer"):
                raise ArgumentTypeError(
                    f"{name}: the scheduler at index {i} should have `optimizer` as its "
                    f"attribute, but is of type {type(scheduler).__name__}"
                )
            if isinstance(scheduler, ReduceLROnPlateau):
                raise ArgumentError(
                    f"{name} does not support `ReduceLROnPlateau`, whose `step` needs a "
                    f"metric, but got one at index {i}"
                )
            optimizer = optimizer or scheduler.optimizer
            if scheduler.optimizer is not optimizer:
                raise ArgumentError(
                    f"{name} expects all schedulers to belong to the same optimizer, but "
                    f"{type(scheduler).__name__} at index {i} has another"
                )
        self._schedulers, self.optimizer = schedulers, optimizer

    def state_dict(self):
        """The states of all, and the rest but the optimizer."""
        out = super().state_dict()
        return {**out, "_schedulers": [s.state_dict() for s in self._schedulers]}

    def load_state_dict(self, state_dict):
        """Take back what `state_dict` gave."""
        rest = {k: v for k, v in state_dict.items() if k != "_schedulers"}
        super().load_state_dict(rest)
        pairs = zip(self._schedulers, state_dict["_schedulers"], strict=True)
        for scheduler, state in pairs:
            scheduler.load_state_dict(state)


class ChainedScheduler(Composed):
    """All of the schedulers at each step, one upon the other's rate.

    >>> from adjoint import optim
    >>> from adjoint.optim import lr_scheduler
    >>> opt = optim.SGD([ones(1, requires_grad=True)], lr=1.)
    >>> half = lr_scheduler.ConstantLR(opt, factor=0.5, total_iters=2)
    >>> falling = lr_scheduler.ExponentialLR(opt, gamma=0.9)
    >>> scheduler = lr_scheduler.ChainedScheduler([half, falling])
    >>> for _ in range(3):
    ...     print(scheduler.get_last_lr())
    ...     opt.step()
    ...     scheduler.step()
    [0.5]
    [0.45]
    [0.81]
    """

    def __init__(self, schedulers, optimizer=None):
        self._take(schedulers, optimizer)
        self._last_lr = rates(self.optimizer)

    def _initial_step(self):
        for scheduler in self._schedulers:
            scheduler._initial_step()
        self._last_lr = rates(self.optimizer)

    def step(self, epoch=None):
        """A step of each."""
        for scheduler in self._schedulers:
            scheduler.step(epoch)
        self._last_lr = rates(self.optimizer)

    def _update_lr(self, epoch=None):
        for scheduler in self._schedulers:
            scheduler._update_lr(epoch)
        self._last_lr = rates(self.optimizer)


class SequentialLR(Composed):
    """One scheduler until the first milestone, then the next, from its beginning.

    >>> from adjoint import optim
    >>> from adjoint.optim import lr_scheduler
    >>> opt = optim.SGD([ones(1, requires_grad=True)], lr=1.)
    >>> half = lr_scheduler.ConstantLR(opt, factor=0.5, total_iters=9)
    >>> falling = lr_scheduler.ExponentialLR(opt, gamma=0.9)
    >>> scheduler = lr_scheduler.SequentialLR(opt, [half, falling], milestones=[2])
    >>> for _ in range(4):
    ...     print(scheduler.get_last_lr())
    ...     opt.step()
    ...     scheduler.step()
    [0.5]
    [0.5]
    [1.0]
    [0.9]
    """

    def __init__(self, optimizer, schedulers, milestones, last_epoch: int = -1):
        self._take(schedulers, optimizer)
        if len(milestones) != len(schedulers) - 1:
            raise ArgumentError(
                "SequentialLR expects one scheduler more than milestones, but got "
                f"{len(schedulers)} schedulers and {len(milestones)} milestones"
            )
        self._milestones, self.last_epoch = milestones, last_epoch + 1
        for o in self.optimizer.param_groups:
            set_rate(o, o["initial_lr"])
        _undo(self)
        self._initial_step()

    def _initial_step(self):
        first = self._schedulers[bisect_right(self._milestones, 0)]
        first._initial_step()
        self._last_lr = first.get_last_lr()

    def step(self, epoch=None):
        """A step of the scheduler whose turn it is."""
        if epoch is not None:
            raise ArgumentError("SequentialLR.step takes no epoch")
        self.last_epoch += 1
        i = bisect_right(self._milestones, self.last_epoch)
        scheduler = self._schedulers[i]
        if i > 0 and self._milestones[i - 1] == self.last_epoch:
            scheduler._update_lr(0)
        else:
            scheduler.step()
        self._last_lr = scheduler.get_last_lr()

    def _update_lr(self, epoch=None):
        if epoch is None:
            return self.step()
        self.last_epoch = epoch
        first = self._schedulers[bisect_right(self._milestones, epoch)]
        first._update_lr(epoch)
        self._last_lr = first.get_last_lr()


def _undo(scheduler):
    """Take back the first step, which each scheduler made when it was created."""
    if isinstance(scheduler, Composed):
        for part in scheduler._schedulers:
            _undo(part)
    elif hasattr(scheduler, "last_epoch"):
        scheduler.last_epoch -= 1


def warm_up(scheduler, steps: int, start_factor=0.01) -> SequentialLR:
    """`scheduler`, after a linear rise from start_factor of the rate in so many steps.

    >>> from adjoint import optim
    >>> from adjoint.optim import lr_scheduler
    >>> opt = optim.SGD([ones(1, requires_grad=True)], lr=1.)
    >>> falling = lr_scheduler.ExponentialLR(opt, gamma=0.9)
    >>> scheduler = lr_scheduler.warm_up(falling, steps=2, start_factor=0.5)
    >>> for _ in range(4):
    ...     print(scheduler.get_last_lr())
    ...     opt.step()
    ...     scheduler.step()
    [0.5]
    [0.75]
    [1.0]
    [0.9]
    """
    optimizer = scheduler.optimizer
    rise = LinearLR(optimizer, start_factor=start_factor, total_iters=steps)
    return SequentialLR(optimizer, [rise, scheduler], [steps])
