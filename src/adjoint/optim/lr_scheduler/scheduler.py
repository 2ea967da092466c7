"""What all schedulers share: epochs, writing the rates into the groups, saving."""

from __future__ import annotations

import functools
import types
import warnings
from contextlib import contextmanager

from ...core.bind import Box, floor
from ...errors import ArgumentError, ArgumentTypeError
from ..optimizer import Optimizer


class ResumeError(ArgumentError, KeyError):
    """A scheduler that goes on from an epoch of which the optimizer does not know."""

    __str__ = Exception.__str__


def at_each_call(step):
    """A step that a compiled function makes, in Python, whenever its program has run."""

    @functools.wraps(step)
    def wrapped(self, *args, **kwargs):
        f, groups = functools.partial(step, self, **kwargs), self.optimizer.param_groups
        if self._is_initial or not floor.get().later(f, args, groups):
            return f(*args)
        return None

    return wrapped


class LRScheduler:
    """Base of the schedulers; a subclass writes `get_lr`: the rates of `last_epoch`.

    Call `step` after each epoch (or batch), when the optimizer has made its step. A rate
    that is a tensor stays that tensor and is written in place. `last_epoch` is where to go
    on from: the optimizer must then know its "initial_lr", as a loaded one does.

    >>> from adjoint import optim
    >>> class Harmonic(optim.lr_scheduler.LRScheduler):
    ...     def get_lr(self):
    ...         return [lr / (1 + self.last_epoch) for lr in self.base_lrs]
    >>> opt = optim.SGD([ones(1, requires_grad=True)], lr=1.)
    >>> scheduler = Harmonic(opt)
    >>> for _ in range(3):
    ...     opt.step()
    ...     scheduler.step()
    ...     print(scheduler.get_last_lr())
    [0.5]
    [0.333]
    [0.25]
    """

    _get_lr_called_within_step = False
    _is_initial = False

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if "step" in vars(cls):
            cls.step = at_each_call(cls.step)

    def __init__(self, optimizer, last_epoch: int = -1):
        self.optimizer = need_optimizer(optimizer)
        _know_initial(optimizer, last_epoch)
        self.base_lrs = rates(optimizer, "initial_lr")
        self.last_epoch = last_epoch
        optimizer.watch_steps()
        self._initial_step()

    def _initial_step(self):
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            self._is_initial = False

    def get_lr(self) -> list:
        """The rate of each group in `last_epoch`."""
        raise NotImplementedError(f"{type(self).__name__} has no get_lr")

    def get_last_lr(self) -> list:
        """The rates that were set last."""
        floor.get().needs_python("it asks a scheduler for its rates; do that outside")
        return self._last_lr

    @at_each_call
    def step(self, epoch: int | None = None) -> None:
        """Go to the next epoch, or (not recommended) to a given one."""
        if self._step_count == 1:
            self._warn_of_order()
        self._step_count += 1
        if epoch is not None:
            warn_of_epoch()
        self._update_lr(epoch)

    def _warn_of_order(self):
        if self.optimizer.step_was_replaced():
            warnings.warn(
                "Seems like `optimizer.step()` has been overridden after learning rate "
                "scheduler initialization: whether it comes before `lr_scheduler.step()` "
                "cannot be told any more",
                UserWarning,
                stacklevel=3,
            )
        elif not self.optimizer._opt_called:
            warnings.warn(
                "Detected call of `lr_scheduler.step()` before `optimizer.step()`: the "
                "first rate of the schedule is skipped; call them in the opposite order",
                UserWarning,
                stacklevel=3,
            )

    def _update_lr(self, epoch=None):
        with self._within_step():
            if epoch is None:
                self.last_epoch += 1
                values = self.get_lr()
            else:
                self.last_epoch = epoch
                values = getattr(self, "_get_closed_form_lr", self.get_lr)()
        self._set(values)

    def _set(self, values):
        for o, lr in zip(self.optimizer.param_groups, values, strict=True):
            set_rate(o, lr)
        self._last_lr = rates(self.optimizer)

    @contextmanager
    def _within_step(self):
        self._get_lr_called_within_step = True
        try:
            yield
        finally:
            self._get_lr_called_within_step = False

    def _warn_outside_step(self):
        if not self._get_lr_called_within_step:
            warnings.warn(
                "To get the last learning rate computed by the scheduler, please use "
                "`get_last_lr()`.",
                UserWarning,
                stacklevel=3,
            )

    def state_dict(self) -> dict:
        """Everything but the optimizer."""
        return {k: v for k, v in vars(self).items() if k != "optimizer"}

    def load_state_dict(self, state_dict: dict) -> None:
        """Take back what `state_dict` gave."""
        self.__dict__.update(state_dict)


def need_optimizer(optimizer):
    """`optimizer`, which must be one."""
    if not isinstance(optimizer, Optimizer):
        raise ArgumentTypeError(f"{type(optimizer).__name__} is not an Optimizer")
    return optimizer


def _know_initial(optimizer, last_epoch):
    """Note the rates as they are first; when going on they must be there already."""
    for i, o in enumerate(optimizer.param_groups):
        if last_epoch == -1:
            o.setdefault("initial_lr", copied(o["lr"]))
        elif "initial_lr" not in o:
            raise ResumeError(
                f"param 'initial_lr' is not specified in param_groups[{i}] when resuming "
                f"a scheduler with last_epoch={last_epoch}",
                hint="load the optimizer's state_dict first; for new training leave "
                "last_epoch at -1",
            )


def copied(x):
    """A copy of a tensor; a number is itself."""
    return x.detach().clone() if isinstance(x, Box) else x


def rates(optimizer, name: str = "lr") -> list:
    """The rates of all groups."""
    return [copied(o[name]) for o in optimizer.param_groups]


def set_rate(o, lr) -> None:
    """Set the rate of a group, in place where it is a tensor."""
    if isinstance(o["lr"], Box):
        o["lr"].detach().fill_(float(lr))
    else:
        o["lr"] = lr


def per_group(name: str, optimizer, value) -> list:
    """One value a group, of a list or of a single value."""
    groups = optimizer.param_groups
    if not isinstance(value, (list, tuple)):
        return [copied(value) for _ in groups]
    if len(value) != len(groups):
        raise ArgumentError(
            f"{name} must have the same length as optimizer.param_groups: it has "
            f"{len(value)} values, param_groups has {len(groups)}"
        )
    return [copied(v) for v in value]


def warn_of_epoch() -> None:
    """The warning for step(epoch)."""
    warnings.warn(
        "The epoch parameter in `scheduler.step()` was not necessary and is being "
        "deprecated where possible: please call `scheduler.step()` once an epoch",
        UserWarning,
        stacklevel=3,
    )


def function_state(f):
    """What to save of a user's function: the attributes of an object, None of a function."""
    if f is None or isinstance(f, types.FunctionType):
        return None
    return dict(vars(f))


def load_function(f, state) -> None:
    """Give back to an object what `function_state` saved of it."""
    if state is not None:
        vars(f).update(state)
