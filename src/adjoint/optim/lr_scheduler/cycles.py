"""Schedulers that go up and down, and move the momentum the other way."""

from __future__ import annotations

import math

from ...core.bind import Box
from ...errors import ArgumentError
from .scheduler import (
    LRScheduler,
    function_state,
    load_function,
    need_optimizer,
    per_group,
    set_rate,
)


class Cycling(LRScheduler):
    """Base of those that change the momentum (SGD) or the first beta (Adam) too."""

    optimizer: object

    def _cycle_momentum(self, optimizer, given: bool, base, high, start: bool):
        """Note the bounds of the momentum of each group, and start at the upper one."""
        self.cycle_momentum = given
        if not given:
            return [], []
        if "momentum" not in optimizer.defaults and "betas" not in optimizer.defaults:
            raise ArgumentError(
                "optimizer must support momentum or beta1 with `cycle_momentum` option "
                "enabled"
            )
        self.use_beta1 = "betas" in optimizer.defaults
        low = per_group("base_momentum", optimizer, base)
        high = per_group("max_momentum", optimizer, high)
        if start:
            for o, a, b in zip(optimizer.param_groups, low, high, strict=True):
                o["base_momentum"], o["max_momentum"] = a, b
                self._set_momentum(o, b)
        return low, high

    def _set_momentum(self, o, value):
        old = o["betas"][0] if self.use_beta1 else o["momentum"]
        if isinstance(old, Box):
            old.detach().fill_(float(value))
        elif self.use_beta1:
            o["betas"] = (value, *o["betas"][1:])
        else:
            o["momentum"] = value


class CyclicLR(Cycling):
    """Between base_lr and max_lr: up in step_size_up steps, down in step_size_down.

    mode "triangular" keeps the height, "triangular2" halves it each cycle, "exp_range"
    scales it by gamma^step; or `scale_fn` does, of the cycle or of the step, as
    `scale_mode` ("cycle" or "iterations") says. The momentum goes the other way: in a
    compiled step give it (or the first beta) to the optimizer as a tensor, which is written
    in place; a number that changes makes it compile again.

    >>> from adjoint import optim
    >>> opt = optim.SGD([ones(1, requires_grad=True)], lr=1., momentum=0.9)
    >>> scheduler = optim.lr_scheduler.CyclicLR(opt, 0.1, 0.5, step_size_up=2)
    >>> for _ in range(3):
    ...     opt.step()
    ...     scheduler.step()
    ...     print(scheduler.get_last_lr())
    [0.3]
    [0.5]
    [0.3]
    """

    def __init__(
        self,
        optimizer,
        base_lr,
        max_lr,
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma=1.0,
        scale_fn=None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum=0.8,
        max_momentum=0.9,
        last_epoch: int = -1,
    ):
        need_optimizer(optimizer)
        if mode not in _SCALES and scale_fn is None:
            raise ArgumentError(f"mode is invalid and scale_fn is None: mode={mode!r}")
        base_lrs = per_group("base_lr", optimizer, base_lr)
        self.max_lrs = per_group("max_lr", optimizer, max_lr)
        first = last_epoch == -1
        if first:
            for o, lr in zip(optimizer.param_groups, base_lrs, strict=True):
                set_rate(o, lr)
        self._measure(step_size_up, step_size_down)
        self.mode, self.gamma, self._scale_fn_custom = mode, gamma, scale_fn
        self.scale_mode = scale_mode
        if scale_fn is None:
            self.scale_mode = "iterations" if mode == "exp_range" else "cycle"
        low, high = self._cycle_momentum(
            optimizer, cycle_momentum, base_momentum, max_momentum, first
        )
        if cycle_momentum:
            self.base_momentums, self.max_momentums = low, high
        super().__init__(optimizer, last_epoch)
        self.base_lrs = base_lrs

    def _measure(self, up, down) -> None:
        """How many steps a cycle has, and which part of them goes up."""
        down = up if down is None else down
        self.total_size = float(up) + float(down)
        if not self.total_size > 0:
            raise ArgumentError(
                f"CyclicLR: a cycle must have steps, got {up} up, {down} down"
            )
        self.step_ratio = float(up) / self.total_size

    def scale_fn(self, x) -> float:
        """The height of the cycle, or at the step, x."""
        if self._scale_fn_custom is not None:
            return self._scale_fn_custom(x)
        return _SCALES[self.mode](x, self.gamma)

    def get_lr(self):
        """The rates at this step; sets the momentum on the way."""
        self._warn_outside_step()
        cycles = self.last_epoch / self.total_size
        cycle = math.floor(1 + cycles)
        x = 1 + cycles - cycle
        up = x <= self.step_ratio
        height = x / self.step_ratio if up else (x - 1) / (self.step_ratio - 1)
        height *= self.scale_fn(
            cycle if self.scale_mode == "cycle" else self.last_epoch
        )
        if self.cycle_momentum:
            bounds = zip(self.base_momentums, self.max_momentums, strict=True)
            for o, (low, high) in zip(self.optimizer.param_groups, bounds, strict=True):
                self._set_momentum(o, high - (high - low) * height)
        bounds = zip(self.base_lrs, self.max_lrs, strict=True)
        return [low + (high - low) * height for low, high in bounds]

    def state_dict(self):
        """Everything but the optimizer; of a scale function nothing, of an object its own."""
        out = super().state_dict()
        return {**out, "_scale_fn_custom": function_state(self._scale_fn_custom)}

    def load_state_dict(self, state_dict):
        """Take back what `state_dict` gave; the scale function stays."""
        rest = {k: v for k, v in state_dict.items() if k != "_scale_fn_custom"}
        super().load_state_dict(rest)
        load_function(self._scale_fn_custom, state_dict["_scale_fn_custom"])


_SCALES = {
    "triangular": lambda cycle, gamma: 1.0,
    "triangular2": lambda cycle, gamma: 1 / 2.0 ** (cycle - 1),
    "exp_range": lambda step, gamma: gamma**step,
}


def _check_course(pct_start, anneal_strategy) -> None:
    if not isinstance(pct_start, float) or not 0 <= pct_start <= 1:
        raise ArgumentError(
            f"Expected float between 0 and 1 pct_start, but got {pct_start}"
        )
    if anneal_strategy not in ("cos", "linear"):
        raise ArgumentError(
            "anneal_strategy must be one of 'cos' or 'linear', instead got "
            f"{anneal_strategy}"
        )


class OneCycleLR(Cycling):
    """Up to max_lr and down to nearly nothing, once; the momentum goes the other way.

    From max_lr / div_factor up in the first part `pct_start` of the steps, then down to
    1 / final_div_factor of where it began; or with `three_phase` down as it came, and then
    to the end. Along a cosine ("cos") or a line ("linear"). Step after each batch. In a
    compiled step give the momentum (or the first beta) to the optimizer as a tensor, which
    is written in place; a number that changes makes it compile again.

    >>> from adjoint import optim
    >>> opt = optim.Adam([ones(1, requires_grad=True)])
    >>> scheduler = optim.lr_scheduler.OneCycleLR(opt, max_lr=1., total_steps=5)
    >>> for _ in range(4):
    ...     opt.step()
    ...     scheduler.step()
    ...     print(scheduler.get_last_lr())
    [0.9505]
    [0.6113]
    [0.1883]
    [4e-06]
    """

    def __init__(
        self,
        optimizer,
        max_lr,
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start=0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum=0.85,
        max_momentum=0.95,
        div_factor=25.0,
        final_div_factor=1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ):
        need_optimizer(optimizer)
        self.total_steps = _count(total_steps, epochs, steps_per_epoch)
        _check_course(pct_start, anneal_strategy)
        self._anneal_func_type = anneal_strategy
        self._schedule_phases = _phases(self.total_steps, pct_start, three_phase)
        first = last_epoch == -1
        if first:
            highest = per_group("max_lr", optimizer, max_lr)
            for o, lr in zip(optimizer.param_groups, highest, strict=True):
                o["max_lr"], o["initial_lr"] = lr, lr / div_factor
                o["min_lr"] = o["initial_lr"] / final_div_factor
        self._cycle_momentum(
            optimizer, cycle_momentum, base_momentum, max_momentum, first
        )
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        """The rates at this step; sets the momentum on the way."""
        self._warn_outside_step()
        if self.last_epoch > self.total_steps:
            raise ArgumentError(
                f"Tried to step {self.last_epoch} times. The specified number of total "
                f"steps is {self.total_steps}"
            )
        phase, part = self._where()
        out = []
        for o in self.optimizer.param_groups:
            out.append(self._between(o[phase["start_lr"]], o[phase["end_lr"]], part))
            if self.cycle_momentum:
                ends = o[phase["start_momentum"]], o[phase["end_momentum"]]
                self._set_momentum(o, self._between(*ends, part))
        return out

    def _where(self):
        """The phase of this step, and how much of it has passed."""
        start = 0.0
        for phase in self._schedule_phases:
            end = phase["end_step"]
            if self.last_epoch <= end or phase is self._schedule_phases[-1]:
                break
            start = end
        return phase, (self.last_epoch - start) / (end - start)

    def _between(self, start, end, part):
        if self._anneal_func_type == "linear":
            return (end - start) * part + start
        return end + (start - end) / 2 * (1 + math.cos(math.pi * part))


def _count(total_steps, epochs, steps_per_epoch) -> int:
    given = {"total_steps": total_steps}
    if total_steps is None:
        given = {"epochs": epochs, "steps_per_epoch": steps_per_epoch}
    if None in given.values():
        raise ArgumentError(
            "You must define either total_steps OR (epochs AND steps_per_epoch)"
        )
    for name, n in given.items():
        if not isinstance(n, int) or n <= 0:
            raise ArgumentError(f"Expected positive integer {name}, but got {n}")
    return math.prod(given.values())


def _phases(total: int, part: float, three: bool) -> list[dict]:
    """Where each phase ends, and the names in a group of its rates and momentums."""
    up = float(part * total) - 1
    lr = ["initial_lr", "max_lr", "min_lr"]
    momentum = ["max_momentum", "base_momentum", "max_momentum"]
    ends = [up, total - 1]
    if three:
        lr.insert(2, "initial_lr")
        momentum.append("max_momentum")
        ends.insert(1, float(2 * part * total) - 2)
    return [
        {
            "end_step": end,
            "start_lr": lr[i],
            "end_lr": lr[i + 1],
            "start_momentum": momentum[i],
            "end_momentum": momentum[i + 1],
        }
        for i, end in enumerate(ends)
    ]
