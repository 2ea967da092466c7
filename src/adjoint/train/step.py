"""Steps: what training does with one batch, and what it reports of it."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from ..autodiff.casting import autocast
from ..autodiff.modes import no_grad
from ..core import dtype as dtypes
from ..core import tree
from ..core.bind import Box
from ..core.dtype import get_default_dtype
from ..errors import ArgumentError, ArgumentTypeError, ShapeError
from ..functional.face import FUNCTIONS
from ..nn import utils
from ..optim import LBFGS
from ..tensor import Tensor
from . import faults
from .amp import MIXED, GradScaler, in_half, in_single, precision_of, trained


class Outcome(NamedTuple):
    """What a step measured; the outputs and targets are there for metrics."""

    values: dict[str, float]
    y: Any = None
    t: Any = None


def tensor_of(x):
    """A tensor as it is; an array's floats in the default dtype, as layers have them."""
    if isinstance(x, Box):
        return x
    x = np.asarray(x)
    x = x.astype(get_default_dtype().np) if x.dtype.kind == "f" else x
    return FUNCTIONS["as_tensor"](x)


def as_tensors(batch):
    """A batch whose arrays are tensors."""
    if type(batch) in (tuple, list) and all(type(x) is Tensor for x in batch):
        return batch
    return tree.map_leaves(
        lambda x: tensor_of(x) if isinstance(x, np.ndarray) else x, batch
    )


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
    need_number(x, what)
    return float(x)


def need_number(x, what: str) -> None:
    """The error for what is neither a number nor a tensor of one."""
    if isinstance(x, Box) and x.numel() != 1:
        raise ShapeError(
            f"{what} must be one number, got shape {tuple(x.shape)}",
            hint="reduction='mean', or .mean()",
        )
    if not isinstance(x, (Box, int, float, np.generic)):
        raise ArgumentTypeError(
            f"{what} must be a Tensor or a number, got {type(x).__name__}"
        )


def _apart(y):
    """The outputs of a model without their graph."""
    if isinstance(y, Box):
        return y.detach()
    return tree.map_leaves(lambda x: x.detach() if isinstance(x, Box) else x, y)


class Criterion:
    """The loss of a model on a batch: loss(model(*inputs), target), or model(*batch).

    Without a loss function the model itself returns the loss.
    """

    def __init__(self, model, loss=None, precision=None):
        self.model, self.loss = model, loss
        self.precision = precision_of(precision)
        self.mixed = isinstance(precision, str) and precision in MIXED

    def __call__(self, batch):
        """(loss, output, target); the output is None where the model gives the loss."""
        if not self.mixed:
            return self._evaluated(batch)
        with autocast("cpu", getattr(dtypes, self.precision)):
            loss, y, target = self._evaluated(batch)
        return loss, in_single(y), target

    def _evaluated(self, batch):
        if self.loss is None:
            whole = tuple(batch) if isinstance(batch, (tuple, list)) else (batch,)
            return self._output(whole), None, None
        inputs, target = split(batch)
        y = self._output(inputs)
        return self.loss(y, target), y, target

    def _output(self, inputs):
        if self.precision is None or self.mixed:
            return self.model(*inputs)
        return in_half(self.model, inputs, self.precision)


class Kept:
    """The buffers that forward passes write: put back when the loss is not finite.

    Those are the buffers that the first step wrote; until it is known, all.
    """

    def __init__(self, model):
        self.model, self.written = model, None
        self.before: list = []

    def buffers(self) -> list:
        """Those that are kept."""
        if self.written is not None:
            return self.written
        return list(getattr(self.model, "buffers", tuple)())

    def keep(self) -> None:
        """Copy them before a step."""
        self.before = [(b, b._version, b.detach().clone()) for b in self.buffers()]

    def let_go(self) -> None:
        """Forget the copies after a step that went well."""
        if self.written is None:
            self.written = [b for b, n, _ in self.before if b._version != n]
        self.before = []

    def put_back(self) -> None:
        """Undo what the step wrote."""
        with no_grad():
            for b, _, before in self.before:
                b.copy_(before)


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
            if bound is None:
                continue
            if not isinstance(bound, (int, float, np.number)) or not bound > 0:
                raise ArgumentError(f"{name} must be a positive number, got {bound!r}")
        self.criterion = Criterion(model, loss, precision)
        self.model, self.optimizer = model, optimizer
        self.accumulate, self.check_finite = accumulate, check_finite
        self.clip_norm, self.clip_value = clip_norm, clip_value
        if scaler is None and self.criterion.precision == "float16":
            scaler = GradScaler()
        if isinstance(optimizer, LBFGS) and (accumulate > 1 or scaler is not None):
            raise ArgumentError("LBFGS takes whole batches in one precision, unscaled")
        self.scaler = scaler
        self.kept = Kept(model)
        self.pending = 0  # batches whose gradients wait for an update

    def __call__(self, batch) -> Outcome:
        if isinstance(self.optimizer, LBFGS):
            return self._searched(as_tensors(batch))
        batch = as_tensors(batch)
        self.kept.keep()
        loss, y = self.add(batch, not self.pending, self.scale())
        outcome = self.outcome(batch, loss, y)
        self.kept.let_go()
        self.pending += 1
        if self.pending == self.accumulate:
            self.update()
        return outcome

    def add(self, batch, first: bool, scale=None):
        """Forward and backward: (loss, outputs), without their graph.

        The gradients are added to those that are there, but for the first of an update.
        """
        if first:
            self.optimizer.zero_grad()
        loss, y, _ = self.criterion(batch)
        need_number(loss, "the loss")
        if not isinstance(loss, Box) or not loss.requires_grad:
            raise ArgumentError(
                "the loss depends on no parameter that requires a gradient",
                hint="is everything frozen, detached, or computed under no_grad()?",
            )
        scaled = loss if self.accumulate == 1 else loss / self.accumulate
        (scaled if scale is None else scaled * scale).backward()
        return loss.detach(), _apart(y)

    def outcome(self, batch, loss, y) -> Outcome:
        """What `add` measured, if it is finite."""
        value = number(loss, "the loss")
        if self.check_finite and not math.isfinite(value):
            self._refuse(batch, value)
        return Outcome({"loss": value}, y, None if y is None else split(batch)[1])

    def _refuse(self, batch, value):
        """Raise for a loss that is not finite; the model is as before."""
        self.kept.put_back()
        inputs = _inputs(batch, self.criterion)
        raise faults.NotFiniteError(faults.reason(self.model, batch, inputs, value))

    def _searched(self, batch):
        """A step of an optimizer that asks for the loss several times; the first counts.

        Trial points may be beyond what is finite: the search turns back.
        """
        first: list[Outcome] = []

        def closure():
            loss, y = self.add(batch, True)
            if not first:
                first.append(self.outcome(batch, loss, y))
            return loss

        self.kept.keep()
        self.optimizer.step(closure)
        self.kept.let_go()
        return first[0]

    def scale(self):
        """What the loss is multiplied by, if by anything."""
        return None if self.scaler is None else self.scaler.get_scale()

    def update(self) -> None:
        """Clip the gradients and step the optimizer; of a shorter rest the mean counts."""
        if not self.pending:
            return
        if self.scaler is not None:
            self.scaler.unscale_(self.optimizer)
        params = with_gradient(self.optimizer)
        if self.pending < self.accumulate:
            _times(params, self.accumulate / self.pending)
        self.pending = 0
        if self.scaler is None or not self.scaler.overflowed(self.optimizer):
            self.check(params)
            self.clip(params)
        self._step()

    def _step(self):
        if self.scaler is None:
            self.optimizer.step()
            return
        self.scaler.step(self.optimizer)
        self.rescale()

    def rescale(self) -> None:
        """Adjust the scale of the loss after a step."""
        self.scaler.update()
        if self.scaler.is_enabled() and self.scaler.get_scale() < 2.0**-40:
            raise faults.NotFiniteError(
                "the gradients overflow at every scale of the loss: "
                + (faults.in_gradients(self.model) or "their reason is unknown")
            )

    def check(self, params) -> None:
        """Raise for gradients that are not finite."""
        if self.check_finite and not faults.finite(*[p.grad for p in params]):
            found = faults.in_gradients(self.model) or "a gradient is not finite"
            raise faults.NotFiniteError(f"the loss is finite, but {found}")

    def clip(self, params) -> None:
        """Bound the gradients as was asked."""
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


def with_gradient(optimizer) -> list:
    """The parameters of an optimizer that got a gradient, which some must have."""
    found = [p for p in trained(optimizer) if p.grad is not None]
    if not found:
        raise ArgumentError(
            "no parameter of the optimizer got a gradient",
            hint="is it the optimizer of another model, or of one before a copy was made?",
        )
    return found


def _inputs(batch, criterion):
    if criterion.loss is None:
        return tuple(batch) if isinstance(batch, (tuple, list)) else (batch,)
    return split(batch)[0]


def _times(params, factor):
    with no_grad():
        for p in params:
            p.grad.mul_(factor)
