"""A trained model on data: its loss and metrics, its outputs; what is measured while it trains."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from contextlib import contextmanager

import numpy as np

from ..autodiff.modes import no_grad
from ..core.bind import Box
from ..data import Dataset
from ..errors import ArgumentError
from ..functional.face import FUNCTIONS
from ..metrics import Mean
from .batches import batches_of
from .loop import scalars
from .measures import measures_of
from .programs import CallStep
from .step import Criterion, as_tensors, number, size_of, tensor_of


def evaluate(
    model, data, loss: Callable | None = None, metrics=(), *, batch_size: int = 256
) -> dict:
    """The mean loss and the metrics of a model on data, in evaluation mode.

    >>> found = train.evaluate(nn.Identity(), (ones(4), zeros(4)), nn.MSELoss(), ["mae"])
    >>> found
    {'loss': 1.0, 'mae': 1.0}
    """
    measured = measures_of(metrics)
    if loss is None and not measured:
        raise ArgumentError(
            "evaluate: there is nothing to measure", hint="a loss, metrics"
        )
    return _measure(
        Criterion(model, loss) if loss else _Outputs(model),
        batches_of(data, batch_size),
        measured,
    )


def predict(model, data, *, batch_size: int = 256):
    """The outputs of a model for all of `data`, in evaluation mode, without a graph.

    `data` is a tensor, an array, a Dataset, or an iterable of batches; the last part of a
    batch is left out if the model has no argument for it, as a target is.

    >>> train.predict(nn.Identity(), arange(5.)).tolist()
    [0.0, 1.0, 2.0, 3.0, 4.0]
    """
    if isinstance(data, (Box, np.ndarray)):
        x = tensor_of(data)
        data = (x[i : i + batch_size] for i in range(0, max(1, len(x)), batch_size))
    elif isinstance(data, Dataset):
        data = batches_of(data, batch_size)
    with _evaluating(model):
        parts = [model(*_taken(model, as_tensors(b))) for b in data]
    if not parts:
        raise ArgumentError("predict: the data gave no batches")
    return FUNCTIONS["cat"](parts)


def _taken(model, batch) -> tuple:
    """The parts of a batch that a model takes."""
    if not isinstance(batch, (tuple, list)):
        return (batch,)
    takes = inspect.signature(getattr(model, "forward", model))
    try:
        takes.bind(*batch)
    except TypeError:
        return tuple(batch[:-1])
    return tuple(batch)


class _Outputs:
    """A criterion without a loss: the outputs are for metrics alone."""

    def __init__(self, model):
        self.model = model

    def __call__(self, batch):
        inputs, target = tuple(batch[:-1]), batch[-1]
        return None, self.model(*inputs), target


@contextmanager
def _evaluating(model):
    """Evaluation mode without a graph, and back."""
    modes = [(m, m.training) for m in getattr(model, "modules", tuple)()]
    for m, _ in modes:
        m.training = False
    try:
        with no_grad():
            yield
    finally:
        for m, mode in modes:
            m.training = mode


def evaluation_of(train_step, validation, validation_step, batch_size, metrics):
    """() -> the val_ columns of a row; None where there is no validation."""
    if validation is None:
        return None
    data = batches_of(validation, batch_size)
    own = [copy.deepcopy(m) for m in metrics]
    if validation_step is not None:
        run = CallStep(validation_step, check_finite=False)
        return lambda: _prefixed(_averaged(run, data))
    criterion = getattr(train_step, "criterion", None)
    if criterion is None:
        raise ArgumentError(
            "fit: validation of a step function needs validation_step",
            hint="validation_step(*batch) returns a loss or a dict of numbers",
        )
    return lambda: _prefixed(scalars(_measure(criterion, data, own)))


def _prefixed(values):
    return {f"val_{k}": v for k, v in values.items()}


def _measure(criterion, data, metrics) -> dict:
    mean = Mean()
    for m in metrics:
        m.reset()
    with _evaluating(criterion.model):
        for batch in map(as_tensors, data):
            value, y, t = criterion(batch)
            if value is not None:
                mean.update(number(value, "the loss"), size_of(batch))
            for m in metrics if y is not None else ():
                m.update(y, t)
    found = {"loss": mean.compute()} if mean.weight else {}
    return {**found, **{m.name: m.compute() for m in metrics}}


def _averaged(run, data) -> dict:
    means: dict[str, Mean] = {}
    with no_grad():
        for batch in data:
            for k, v in run(batch).values.items():
                means.setdefault(k, Mean()).update(v, size_of(batch))
    return {k: m.compute() for k, m in means.items()}
