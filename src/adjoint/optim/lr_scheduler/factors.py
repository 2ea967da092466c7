"""Schedulers that multiply the rate by a factor now and then."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter

from ...errors import ArgumentError, ArgumentTypeError
from .scheduler import LRScheduler, copied, function_state, load_function, rates


class Factors(LRScheduler):
    """Base: the rate changes by the factor `change(t)` at epoch t, None for not at all.

    `portion(t)` is the product of all changes up to t. Only the change is used from step to
    step, so that several schedulers can act on one rate.
    """

    def change(self, t: int) -> float | None:
        """What the rate is multiplied by at epoch t."""
        raise NotImplementedError

    def portion(self, t: int) -> float:
        """The rate of epoch t in relation to the base rate."""
        raise NotImplementedError

    def get_lr(self):
        """The rates of the last epoch, changed."""
        self._warn_outside_step()
        c, groups = self.change(self.last_epoch), self.optimizer.param_groups
        return [copied(o["lr"]) if c is None else o["lr"] * c for o in groups]

    def _get_closed_form_lr(self):
        c = self.portion(self.last_epoch)
        return [lr * c for lr in self.base_lrs]


class StepLR(Factors):
    """Times gamma every `step_size` epochs.

    >>> from adjoint import optim
    >>> opt = optim.SGD([ones(1, requires_grad=True)], lr=1.)
    >>> scheduler = optim.lr_scheduler.StepLR(opt, step_size=2, gamma=0.1)
    >>> for _ in range(3):
    ...     opt.step()
    ...     scheduler.step()
    ...     print(scheduler.get_last_lr())
    [1.0]
    [0.1]
    [0.1]
    """

    def __init__(self, optimizer, step_size: int, gamma=0.1, last_epoch: int = -1):
        if step_size < 1:
            raise ArgumentError(
                f"StepLR: step_size must be at least 1, got {step_size}"
            )
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def change(self, t):
        """gamma at the multiples of step_size."""
        return None if t == 0 or t % self.step_size else self.gamma

    def portion(self, t):
        """gamma to the number of whole steps."""
        return self.gamma ** (t // self.step_size)


class MultiStepLR(Factors):
    """Times gamma at each of the milestones.

    >>> from adjoint import optim
    >>> opt = optim.SGD([ones(1, requires_grad=True)], lr=1.)
    >>> scheduler = optim.lr_scheduler.MultiStepLR(opt, milestones=[1, 3], gamma=0.5)
    >>> for _ in range(3):
    ...     opt.step()
    ...     scheduler.step()
    ...     print(scheduler.get_last_lr())
    [0.5]
    [0.5]
    [0.25]
    """

    def __init__(self, optimizer, milestones, gamma=0.1, last_epoch: int = -1):
        self.milestones, self.gamma = Counter(milestones), gamma
        super().__init__(optimizer, last_epoch)

    def change(self, t):
        """gamma as often as t is a milestone."""
        count = self.milestones.get(t)
        return None if count is None else self.gamma**count

    def portion(self, t):
        """gamma to the number of milestones that have passed."""
        return self.gamma ** bisect_right(sorted(self.milestones.elements()), t)


class ConstantLR(Factors):
    """A part `factor` of the rate until epoch total_iters, then all of it.

    >>> from adjoint import optim
    >>> opt = optim.SGD([ones(1, requires_grad=True)], lr=1.)
    >>> scheduler = optim.lr_scheduler.ConstantLR(opt, factor=0.5, total_iters=2)
    >>> for _ in range(2):
    ...     print(scheduler.get_last_lr())
    ...     opt.step()
    ...     scheduler.step()
    [0.5]
    [0.5]
    >>> scheduler.get_last_lr()
    [1.0]
    """

    def __init__(
        self, optimizer, factor=1.0 / 3, total_iters: int = 5, last_epoch: int = -1
    ):
        if not 0 <= factor <= 1:
            raise ArgumentError(
                "Constant multiplicative factor expected to be between 0 and 1, "
                f"got {factor}"
            )
        self.factor, self.total_iters = factor, total_iters
        super().__init__(optimizer, last_epoch)

    def change(self, t):
        """Down at the start, up at the end."""
        if t == 0:
            return self.factor
        return 1.0 / self.factor if t == self.total_iters else None

    def _get_closed_form_lr(self):
        done = self.last_epoch >= self.total_iters
        return [lr * (1 if done else self.factor) for lr in self.base_lrs]


class LinearLR(Factors):
    """From start_factor to end_factor of the rate in total_iters equal steps: a warm-up.

    >>> from adjoint import optim
    >>> opt = optim.SGD([ones(1, requires_grad=True)], lr=1.)
    >>> scheduler = optim.lr_scheduler.LinearLR(opt, start_factor=0.5, total_iters=2)
    >>> for _ in range(3):
    ...     print(scheduler.get_last_lr())
    ...     opt.step()
    ...     scheduler.step()
    [0.5]
    [0.75]
    [1.0]
    """

    def __init__(
        self,
        optimizer,
        start_factor=1.0 / 3,
        end_factor=1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ):
        if not 0 < start_factor <= 1:
            raise ArgumentError(
                "Starting multiplicative factor expected to be greater than 0 and less "
                f"or equal to 1, got {start_factor}"
            )
        if not 0 <= end_factor <= 1:
            raise ArgumentError(
                "Ending multiplicative factor expected to be between 0 and 1, got "
                f"{end_factor}"
            )
        self.start_factor, self.end_factor = start_factor, end_factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def change(self, t):
        """From one point of the line to the next."""
        if t == 0:
            return self.start_factor
        if self._is_initial or t > self.total_iters:
            return None
        return self.portion(t) / self.portion(t - 1)

    def portion(self, t):
        """The line, then its end."""
        part = min(self.total_iters, t) / self.total_iters
        return self.start_factor + (self.end_factor - self.start_factor) * part


class ExponentialLR(Factors):
    """Times gamma every epoch.

    >>> from adjoint import optim
    >>> opt = optim.SGD([ones(1, requires_grad=True)], lr=1.)
    >>> scheduler = optim.lr_scheduler.ExponentialLR(opt, gamma=0.5)
    >>> for _ in range(2):
    ...     opt.step()
    ...     scheduler.step()
    ...     print(scheduler.get_last_lr())
    [0.5]
    [0.25]
    """

    def __init__(self, optimizer, gamma, last_epoch: int = -1):
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def change(self, t):
        """gamma."""
        return None if self._is_initial else self.gamma

    def portion(self, t):
        """gamma to the t."""
        return self.gamma**t


class PolynomialLR(Factors):
    """(1 − t / total_iters)^power of the rate: down to zero.

    >>> from adjoint import optim
    >>> opt = optim.SGD([ones(1, requires_grad=True)], lr=1.)
    >>> scheduler = optim.lr_scheduler.PolynomialLR(opt, total_iters=2, power=2)
    >>> for _ in range(2):
    ...     opt.step()
    ...     scheduler.step()
    ...     print(scheduler.get_last_lr())
    [0.25]
    [0.0]
    """

    def __init__(
        self, optimizer, total_iters: int = 5, power=1.0, last_epoch: int = -1
    ):
        self.total_iters, self.power = total_iters, power
        super().__init__(optimizer, last_epoch)

    def change(self, t):
        """From one point of the curve to the next."""
        if self._is_initial or t > self.total_iters:
            return None
        return self.portion(t) / self.portion(t - 1)

    def portion(self, t):
        """The curve, then zero."""
        return (1 - min(self.total_iters, t) / self.total_iters) ** self.power


class Lambdas(LRScheduler):
    """Base of those with a user's function for each group."""

    def __init__(self, optimizer, lr_lambda, last_epoch: int = -1):
        groups = optimizer.param_groups
        if not isinstance(lr_lambda, (list, tuple)):
            lr_lambda = [lr_lambda] * len(groups)
        if len(lr_lambda) != len(groups):
            raise ArgumentError(
                f"Expected {len(groups)} lr_lambdas, but got {len(lr_lambda)}"
            )
        for f in lr_lambda:
            if not callable(f):
                raise ArgumentTypeError(
                    f"lr_lambda should be a function, but got {type(f).__name__}"
                )
        self.lr_lambdas = list(lr_lambda)
        super().__init__(optimizer, last_epoch)

    def state_dict(self):
        """Everything but the optimizer; of functions nothing, of callable objects theirs."""
        out = super().state_dict()
        return {**out, "lr_lambdas": [function_state(f) for f in self.lr_lambdas]}

    def load_state_dict(self, state_dict):
        """Take back what `state_dict` gave; the functions stay."""
        rest = {k: v for k, v in state_dict.items() if k != "lr_lambdas"}
        super().load_state_dict(rest)
        for f, state in zip(self.lr_lambdas, state_dict["lr_lambdas"], strict=True):
            load_function(f, state)


class LambdaLR(Lambdas):
    """The base rate times lr_lambda(epoch).

    >>> from adjoint import optim
    >>> opt = optim.SGD([ones(1, requires_grad=True)], lr=1.)
    >>> scheduler = optim.lr_scheduler.LambdaLR(opt, lambda t: 1 / (1 + t))
    >>> for _ in range(2):
    ...     opt.step()
    ...     scheduler.step()
    ...     print(scheduler.get_last_lr())
    [0.5]
    [0.333]
    """

    def get_lr(self):
        """Base rates times the functions."""
        self._warn_outside_step()
        pairs = zip(self.base_lrs, self.lr_lambdas, strict=True)
        return [lr * f(self.last_epoch) for lr, f in pairs]


class MultiplicativeLR(Lambdas):
    """The last rate times lr_lambda(epoch).

    >>> from adjoint import optim
    >>> opt = optim.SGD([ones(1, requires_grad=True)], lr=1.)
    >>> scheduler = optim.lr_scheduler.MultiplicativeLR(opt, lambda t: 0.5)
    >>> for _ in range(2):
    ...     opt.step()
    ...     scheduler.step()
    ...     print(scheduler.get_last_lr())
    [0.5]
    [0.25]
    """

    def get_lr(self):
        """The last rates times the functions."""
        self._warn_outside_step()
        last = rates(self.optimizer)
        if self._is_initial:
            return last
        pairs = zip(last, self.lr_lambdas, strict=True)
        return [lr * f(self.last_epoch) for lr, f in pairs]
