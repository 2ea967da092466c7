"""Steps that may be native programs: the whole of training with a batch, or a user's function."""

from __future__ import annotations

import functools
import math
from time import perf_counter
from typing import Any

from ..autodiff.modes import no_grad
from ..compiler import compile
from ..core import tree
from ..functional.face import FUNCTIONS
from ..optim import LBFGS
from . import faults
from .amp import copies, keep_unless, step_where
from .step import Outcome, TrainStep, as_tensors, number, with_gradient


def warmed(program, steps) -> None:
    """Have a compiled function run as a program at once, where its state was made before.

    Its first call is otherwise made without one, and rounds differently.
    """
    if steps and hasattr(program, "warm"):
        program.warm = True


def _nothing():
    """What settings are tried with."""


class Builds:
    """Mixed in where a step may be a compiled function: the time it takes to compile.

    A call in which a program was made is one of compiling; running it takes the rest of it,
    microseconds.
    """

    build_seconds = 0.0

    def timed(self, f, *args, **kwargs) -> Any:
        """f(*args, **kwargs); `f` holds its programs if it is compiled, or says its time."""
        programs = getattr(f, "programs", ())
        before, began = len(programs), perf_counter()
        y = f(*args, **kwargs)
        if len(programs) != before:
            self.build_seconds += perf_counter() - began
        self.build_seconds = getattr(f, "build_seconds", self.build_seconds)
        return y


class CompiledStep(Builds):
    """A `TrainStep` as native programs: forward, backward, clipping and the optimizer in one.

    The program itself looks whether loss and gradients are finite, and leaves everything as
    it was where they are not. Of several batches an update, those before the last have a
    program that adds up their gradients; of an optimizer that searches, the loss and its
    gradients are the program. The first update is made eagerly, so that state exists.
    `settings` are options of `ad.compile`, such as {"memory": "2GB", "batch": True}.

    >>> model = nn.Linear(1, 1)
    >>> opt = optim.SGD(model.parameters(), lr=0.1)
    >>> step = train.CompiledStep(model, nn.MSELoss(), opt)
    >>> batch = ones(1, 1), zeros(1, 1)
    >>> losses = [step(batch).values["loss"] for _ in range(4)]
    >>> losses == sorted(losses, reverse=True)
    True
    """

    keeps = True

    def __init__(self, model, loss, optimizer, settings=None, **options):
        self.compile = functools.partial(compile, **(settings or {}))
        self.compile(_nothing)  # wrong settings are told at once
        self.plain = plain = TrainStep(model, loss, optimizer, **options)
        self.model, self.criterion, self.scaler = model, plain.criterion, plain.scaler
        self.guarded = plain.check_finite or plain.scaler is not None
        self.searching = isinstance(optimizer, LBFGS)
        self.eager_add = plain.add
        self.programs: dict = {}  # (what, form of the batch, first) -> compiled function
        self.steps = 0
        if self.searching:
            plain.add = self._search

    @property
    def pending(self) -> int:
        """Batches whose gradients wait for an update."""
        return self.plain.pending

    def __call__(self, batch) -> Outcome:
        plain, batch = self.plain, as_tensors(batch)
        self.steps += 1
        if self.searching or self.steps - 1 == plain.pending:  # no update so far
            return plain(batch)
        last = plain.pending + 1 == plain.accumulate
        return self._last(batch) if last else self._one_more(batch)

    def _search(self, batch, first, scale=None):
        """What the closure of an optimizer that searches does."""
        loss, y = self._run(self._add, batch)
        return loss, y

    def _one_more(self, batch):
        """A batch that is not the last of its update."""
        plain = self.plain
        loss, y = self._run(self._add, batch)
        outcome = plain.outcome(batch, loss, y)
        plain.pending += 1
        return outcome

    def _last(self, batch):
        """The last batch of an update, and the update."""
        plain = self.plain
        loss, y, fine = self._run(self._whole, batch)
        outcome = plain.outcome(batch, loss, y)
        plain.pending = 0
        if self.guarded and not fine:
            self._left_out()
        elif self.scaler is not None:
            self.scaler.stepped(plain.optimizer, overflow=False)
            plain.rescale()
        return outcome

    def _left_out(self):
        """The program found gradients that are not finite, and made no update."""
        plain = self.plain
        if self.scaler is None or not self.scaler.is_enabled():
            plain.check(with_gradient(plain.optimizer))
            return
        self.scaler.stepped(plain.optimizer, overflow=True)
        plain.rescale()

    def _run(self, what, batch):
        """`_add` or `_whole` of a batch, as a program of its tensors alone: the quick way."""
        leaves, form = tree.flatten(batch)
        key = what, form, not self.plain.pending
        if key not in self.programs:
            self.programs[key] = self._compiled(*key)
        scale = self.plain.scale()
        given = () if scale is None else (FUNCTIONS["tensor"](scale),)
        return self.timed(self.programs[key], *given, *leaves)

    def _compiled(self, what, form, first):
        scaled = self.plain.scaler is not None

        def step(*given):
            scale, leaves = (given[0], given[1:]) if scaled else (None, given)
            return what(tree.unflatten(form, leaves), first, scale)

        program = self.compile(step)
        warmed(program, not self.searching or self.steps > 1)
        return program

    # ------------------------------------------------------------ what is compiled

    def _add(self, batch, first, scale=None):
        """Forward and backward; buffers stay as they are if the loss is not finite."""
        buffers = self.plain.kept.buffers() if self.plain.check_finite else []
        before = copies(buffers)
        loss, y = self.eager_add(batch, first, scale)
        keep_unless(loss * 0 == 0, buffers, before)
        return loss, y

    def _whole(self, batch, first, scale):
        """All of it; parameters and state stay as they are if a gradient is not finite."""
        plain = self.plain
        loss, y = self._add(batch, first, scale)
        params = with_gradient(plain.optimizer)
        fine = _all_finite(loss, params) if self.guarded else None
        with no_grad():
            for p in params if scale is not None else ():
                p.grad.mul_(1 / scale)
        plain.clip(params)
        if self.guarded:
            step_where(fine, plain.optimizer)
        else:
            plain.optimizer.step()
        return loss, y, fine

    # ------------------------------------------------------------ going on

    def update(self) -> None:
        """An update with the gradients that wait."""
        self.plain.update()

    def gradients(self) -> list | None:
        """The gradients that wait for an update, to be saved."""
        return self.plain.gradients()

    def take_up(self, steps: int, pending: int, grads) -> None:
        """Go on after so many steps, with what `gradients` gave."""
        self.steps = steps
        self.plain.take_up(steps, pending, grads)


def _all_finite(loss, params):
    """Whether a loss and the gradients of parameters have neither Inf nor NaN."""
    zero = loss * 0  # NaN of what is not finite
    for p in params:
        zero = zero + (p.grad.detach() * 0).sum()
    return zero == 0


class CallStep(Builds):
    """A step function of the user: f(*batch) -> loss, or a dict of numbers with "loss"."""

    keeps, pending = False, 0

    def __init__(self, f, check_finite: bool = True, model=None):
        self.f, self.check_finite, self.model = f, check_finite, model

    def __call__(self, batch) -> Outcome:
        if isinstance(batch, dict):
            got = self.timed(self.f, **batch)
        elif isinstance(batch, (tuple, list)):
            got = self.timed(self.f, *batch)
        else:
            got = self.timed(self.f, batch)
        values = _values(got)
        loss = values.get("loss", 0.0)
        if self.check_finite and not math.isfinite(loss):
            raise faults.NotFiniteError(faults.reason(self.model, batch, (), loss))
        return Outcome(values)

    def update(self) -> None:
        """Nothing waits."""

    def gradients(self) -> None:
        """Nothing waits."""

    def take_up(self, steps: int, pending: int, grads) -> None:
        """Go on after so many steps."""
        warmed(self.f, steps)


def _values(got) -> dict[str, float]:
    if got is None:
        return {}
    if not isinstance(got, dict):
        return {"loss": number(got, "what the step returns")}
    return {k: number(v, f"the step's {k!r}") for k, v in got.items()}
