"""Steps: what training does with one batch, and what it reports of it."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from ..autodiff.modes import no_grad
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


class TrainStep:
    """One batch: the loss, its gradients, and every `accumulate` batches an update.

    >>> model = nn.Linear(1, 1)
    >>> step = train.TrainStep(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1))
    >>> before = step((ones(1, 1), zeros(1, 1))).values["loss"]
    >>> step((ones(1, 1), zeros(1, 1))).values["loss"] < before
    True
    """

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

    def take_gradients(self, pending: int, grads) -> None:
        """Take back what `gradients` gave."""
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


class CallStep:
    """A step function of the user: f(*batch) -> loss, or a dict of numbers with "loss"."""

    pending = 0

    def __init__(self, f, check_finite: bool = True, model=None):
        self.f, self.check_finite, self.model = f, check_finite, model

    @property
    def build_seconds(self) -> float:
        """What the step spent in compiling, if it says so."""
        return float(getattr(self.f, "build_seconds", 0.0))

    def __call__(self, batch) -> Outcome:
        if isinstance(batch, dict):
            got = self.f(**batch)
        else:
            got = self.f(*batch) if isinstance(batch, (tuple, list)) else self.f(batch)
        values = _values(got)
        loss = values.get("loss", 0.0)
        if self.check_finite and not math.isfinite(loss):
            raise faults.NotFiniteError(faults.reason(self.model, batch, (), loss))
        return Outcome(values)

    def update(self) -> None:
        """Nothing waits."""

    def gradients(self) -> None:
        """Nothing waits."""


def _values(got) -> dict[str, float]:
    if got is None:
        return {}
    if not isinstance(got, dict):
        return {"loss": number(got, "what the step returns")}
    return {k: number(v, f"the step's {k!r}") for k, v in got.items()}
