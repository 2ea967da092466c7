"""Steps: what training does with one batch, and what it reports of it."""

from __future__ import annotations

import math
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from ..autodiff.modes import no_grad
from ..compiler.step import compile
from ..core import tree
from ..core.bind import Box
from ..errors import ArgumentError, ArgumentTypeError, ShapeError
from ..nn import utils
from ..optim import LBFGS
from ..tensor import Tensor
from . import faults
from .amp import GradScaler, in_half, precision_of, trained


class Outcome(NamedTuple):
    """What a step measured; the outputs and targets are there for metrics."""

    values: dict[str, float]
    y: Any = None
    t: Any = None


def split(batch) -> tuple[tuple, Any]:
    """(inputs, target) of a batch: the last of several is the target, one is both."""
    if not isinstance(batch, (tuple, list)):
        return (batch,), batch
    parts = list(batch)
    return tuple(parts[:-1] or parts), parts[-1]


def size_of(batch) -> int:
    """How many samples a batch has: the length of its first tensor."""
    if type(batch) in (tuple, list) and batch and type(batch[0]) is Tensor:
        return len(batch[0]) if batch[0].ndim else 1
    for x in tree.flatten(batch)[0]:
        shape: Any = x.shape if isinstance(x, (Box, np.ndarray)) else ()
        if len(shape):
            return int(shape[0])
    return 1


def number(x, what: str) -> float:
    """The number of a tensor of one element, or a number."""
    if isinstance(x, Box) and x.numel() != 1:
        raise ShapeError(
            f"{what} must be one number, got shape {tuple(x.shape)}",
            hint="reduction='mean', or .mean()",
        )
    if not isinstance(x, (Box, int, float, np.generic)):
        raise ArgumentTypeError(
            f"{what} must be a Tensor or a number, got {type(x).__name__}"
        )
    return float(x)


class Criterion:
    """The loss of a model on a batch: loss(model(*inputs), target), or model(*batch).

    Without a loss function the model itself returns the loss.
    """

    def __init__(self, model, loss=None, precision=None):
        self.model, self.loss = model, loss
        self.precision = precision_of(precision)

    def __call__(self, batch):
        """(loss, output, target); the output is None where the model gives the loss."""
        if self.loss is None:
            whole = tuple(batch) if isinstance(batch, (tuple, list)) else (batch,)
            return self._output(whole), None, None
        inputs, target = split(batch)
        y = self._output(inputs)
        return self.loss(y, target), y, target

    def _output(self, inputs):
        if self.precision is None:
            return self.model(*inputs)
        return in_half(self.model, inputs, self.precision)


def warmed(program, steps: int) -> None:
    """Have a compiled function run as a program at once, where its state was made before.

    Its first call is otherwise made without one, and rounds differently.
    """
    if steps and hasattr(program, "warm"):
        program.warm = True


class Builds:
    """Mixed in where a step may be a compiled function: the time it takes to compile.

    A call in which a program was made is one of compiling; running it takes the rest of it,
    microseconds.
    """

    build_seconds = 0.0

    def timed(self, f, *args, **kwargs):
        """f(*args, **kwargs); `f` holds its programs if it is compiled, or says its time."""
        programs = getattr(f, "programs", ())
        before, began = len(programs), perf_counter()
        y = f(*args, **kwargs)
        if len(programs) != before:
            self.build_seconds += perf_counter() - began
        self.build_seconds = getattr(f, "build_seconds", self.build_seconds)
        return y


class TrainStep:
    """One batch: the loss, its gradients, and every `accumulate` batches an update.

    >>> model = nn.Linear(1, 1)
    >>> step = train.TrainStep(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1))
    >>> before = step((ones(1, 1), zeros(1, 1))).values["loss"]
    >>> step((ones(1, 1), zeros(1, 1))).values["loss"] < before
    True
    """

    keeps = True  # a step that fails leaves the parameters as they were
    build_seconds = 0.0

    def __init__(
        self,
        model,
        loss,
        optimizer,
        *,
        accumulate: int = 1,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        precision=None,
        scaler: GradScaler | None = None,
        check_finite: bool = True,
    ):
        if (
            isinstance(accumulate, bool)
            or not isinstance(accumulate, int)
            or accumulate < 1
        ):
            raise ArgumentError(
                f"accumulate must be a positive integer, got {accumulate!r}"
            )
        for name, bound in (("clip_norm", clip_norm), ("clip_value", clip_value)):
            if bound is not None and not bound > 0:
                raise ArgumentError(f"{name} must be positive, got {bound!r}")
        self.criterion = Criterion(model, loss, precision)
        self.model, self.optimizer = model, optimizer
        self.accumulate, self.check_finite = accumulate, check_finite
        self.clip_norm, self.clip_value = clip_norm, clip_value
        if scaler is None and self.criterion.precision == "float16":
            scaler = GradScaler()
        if isinstance(optimizer, LBFGS) and (accumulate > 1 or scaler is not None):
            raise ArgumentError("LBFGS takes whole batches in one precision, unscaled")
        self.scaler = scaler
        self.pending = 0  # batches whose gradients wait for an update

    def __call__(self, batch) -> Outcome:
        if isinstance(self.optimizer, LBFGS):
            return self._searched(batch)
        if not self.pending:
            self.optimizer.zero_grad()
        outcome, loss = self._measured(batch)
        self._backward(loss)
        self.pending += 1
        if self.pending == self.accumulate:
            self.update()
        return outcome

    def _measured(self, batch):
        """(outcome, loss), the loss checked."""
        loss, y, t = self.criterion(batch)
        value = number(loss, "the loss")
        if self.check_finite and not math.isfinite(value):
            raise faults.NotFiniteError(
                faults.reason(self.model, batch, _inputs(batch, self.criterion), value)
            )
        return Outcome({"loss": value}, y, t), loss

    def _searched(self, batch):
        """A step of an optimizer that asks for the loss several times; the first counts."""
        first: list[Outcome] = []

        def closure():
            self.optimizer.zero_grad()
            if (
                first
            ):  # trial points may be beyond what is finite: the search turns back
                loss = self.criterion(batch)[0]
            else:
                outcome, loss = self._measured(batch)
                first.append(outcome)
            self._backward(loss)
            return loss

        self.optimizer.step(closure)
        return first[0]

    def _backward(self, loss):
        if not isinstance(loss, Box) or not loss.requires_grad:
            raise ArgumentError(
                "the loss depends on no parameter that requires a gradient",
                hint="is everything frozen, detached, or computed under no_grad()?",
            )
        loss = loss if self.accumulate == 1 else loss / self.accumulate
        (loss if self.scaler is None else self.scaler.scale(loss)).backward()

    def update(self) -> None:
        """Clip the gradients and step the optimizer; of a shorter rest the mean counts."""
        if not self.pending:
            return
        if self.scaler is not None:
            self.scaler.unscale_(self.optimizer)
        params = [p for p in trained(self.optimizer) if p.grad is not None]
        if self.pending < self.accumulate:
            _times(params, self.accumulate / self.pending)
        self.pending = 0
        if self.scaler is None or not self.scaler.overflowed(self.optimizer):
            self._checked(params)
            self._clip(params)
        self._step()

    def _step(self):
        if self.scaler is None:
            self.optimizer.step()
            return
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.scaler.get_scale() < 2.0**-40:
            raise faults.NotFiniteError(
                "the gradients overflow at every scale of the loss: "
                + (faults.in_gradients(self.model) or "their reason is unknown")
            )

    def _checked(self, params):
        if self.check_finite and not all(faults.finite(p.grad) for p in params):
            found = faults.in_gradients(self.model) or "a gradient is not finite"
            raise faults.NotFiniteError(f"the loss is finite, but {found}")

    def _clip(self, params):
        if self.clip_value is not None:
            utils.clip_grad_value_(params, self.clip_value)
        if self.clip_norm is not None:
            utils.clip_grad_norm_(params, self.clip_norm)

    def gradients(self) -> list | None:
        """The gradients that wait for an update, to be saved."""
        return [p.grad for p in trained(self.optimizer)] if self.pending else None

    def take_up(self, steps: int, pending: int, grads) -> None:
        """Go on after so many steps, with what `gradients` gave."""
        self.pending = pending
        for p, g in zip(trained(self.optimizer), grads or [], strict=bool(grads)):
            p.grad = None if g is None else g.detach().clone()


def _inputs(batch, criterion):
    if criterion.loss is None:
        return tuple(batch) if isinstance(batch, (tuple, list)) else (batch,)
    return split(batch)[0]


def _times(params, factor):
    with no_grad():
        for p in params:
            p.grad.mul_(factor)


class CompiledStep(Builds):
    """Forward, backward, clipping and the optimizer as one native program.

    The loss is looked at after the step: what is not finite has then reached the parameters.

    >>> model = nn.Linear(1, 1)
    >>> opt = optim.SGD(model.parameters(), lr=0.1)
    >>> step = train.CompiledStep(model, nn.MSELoss(), opt)
    >>> batch = ones(1, 1), zeros(1, 1)
    >>> losses = [step(batch).values["loss"] for _ in range(4)]
    >>> losses == sorted(losses, reverse=True)
    True
    """

    keeps, pending = False, 0

    def __init__(self, model, loss, optimizer, *, check_finite: bool = True, **options):
        plain = TrainStep(model, loss, optimizer, **options)
        if plain.accumulate > 1 or plain.scaler or isinstance(optimizer, LBFGS):
            raise ArgumentError(
                "compile=True takes one batch an update: no accumulation, loss scaling, LBFGS"
            )
        self.plain, self.criterion, self.model = plain, plain.criterion, model
        self.check_finite = check_finite
        self.program = compile(self._whole)

    def _whole(self, batch):
        optimizer = self.plain.optimizer
        optimizer.zero_grad()
        loss, y, _ = self.criterion(batch)
        loss.backward()
        self.plain._clip([p for p in trained(optimizer) if p.grad is not None])
        optimizer.step()
        return loss.detach(), (None if y is None else y.detach())

    def __call__(self, batch) -> Outcome:
        loss, y = tuple(self.timed(self.program, batch))
        value = number(loss, "the loss")
        if self.check_finite and not math.isfinite(value):
            found = faults.in_batch(batch) or "compile=False tells where it came from"
            with no_grad():  # a label out of range is refused here, by name
                self.criterion(batch)
            raise faults.NotFiniteError(f"the loss is {value}: {found}")
        target = None if self.criterion.loss is None else split(batch)[1]
        return Outcome({"loss": value}, y, target)

    def update(self) -> None:
        """Nothing waits."""

    def gradients(self) -> None:
        """Nothing waits."""

    def take_up(self, steps: int, pending: int, grads) -> None:
        """Go on after so many steps."""
        warmed(self.program, steps)


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
