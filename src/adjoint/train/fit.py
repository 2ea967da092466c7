"""fit and evaluate: what a user calls; here arguments become the parts of a loop."""

from __future__ import annotations

import copy
import difflib
import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from .. import metrics as known_metrics
from ..autodiff.modes import no_grad
from ..core.bind import Box
from ..data import DataLoader, Dataset, TensorDataset
from ..errors import ArgumentError, ArgumentTypeError, ShapeError
from ..functional.face import FUNCTIONS
from ..metrics import Mean, Metric
from . import saving, trial
from .callbacks import Callback, Checkpoint, Schedule, callback_of
from .history import History
from .loop import Loop, scalars
from .programs import CallStep, CompiledStep
from .progress import display_for
from .step import Criterion, TrainStep, as_tensors, number, size_of, tensor_of


def fit(
    model=None,
    data=None,
    loss: Callable | None = None,
    optimizer=None,
    epochs: int = 1,
    *,
    metrics=(),
    validation=None,
    callbacks: Iterable = (),
    lr: float | None = None,
    scheduler=None,
    batch_size: int = 32,
    accumulate: int = 1,
    clip_norm: float | None = None,
    clip_value: float | None = None,
    precision=None,
    scaler=None,
    checkpoint=None,
    resume=False,
    progress="auto",
    check_finite: bool = True,
    compile: bool | dict = False,
    step: Callable | None = None,
    validation_step: Callable | None = None,
    dry_run: bool = False,
    overfit_one_batch: bool = False,
) -> History:
    """Train a model, or run any step function, with progress; returns the `History`.

    - `data`, `validation`: a DataLoader, any iterable of batches, a Dataset, or a tuple of
      arrays (x, t), which is shuffled and cut into batches of `batch_size`. The last part of
      a batch is the target.
    - `loss(y, t)`; without it the model returns the loss of a batch itself.
    - `optimizer`: an optimizer, or a class such as `optim.Adam`, made with `lr`.
    - `metrics`: of `ad.metrics`, or their names, or functions f(y, t).
    - `scheduler`: stepped every epoch; `Schedule(scheduler, every="step")` every update.
    - `accumulate`: batches an update; `clip_norm`, `clip_value`: of their gradients.
    - `precision`: "float16" (with loss scaling, `scaler`) or "bfloat16"; the parameters stay
      in single precision.
    - `checkpoint`: a folder, or a `Checkpoint`. `resume=True` goes on from there if there is
      something, bit for bit as if never interrupted; or the path of a checkpoint.
    - `compile`: the whole step, checks and loss scaling too, becomes one native program (with
      `accumulate` one more, for the batches in between; of LBFGS the loss and its gradients);
      the time that takes is told apart. A dict has options of `ad.compile`:
      `compile={"memory": "2GB"}`, or `{"batch": True}` where the last batch is smaller.
    - `step(*batch)` in the place of model, loss and optimizer: does all of a step and returns
      the loss or a dict of numbers; `validation_step(*batch)` likewise. Give `model` and
      `optimizer` too to have them saved.
    - `dry_run`: one batch of each kind, then everything is put back. `overfit_one_batch`:
      train on the first batch only, which a sound model learns by heart.
    - `progress`: "auto", "terminal", "log", "notebook", None, or a display of your own.

    Ctrl-C ends training after the step under way (a second one at once): the model keeps what
    it learned, and `history.stopped` says where. NaN or Inf in loss or gradients ends it with
    `NotFiniteError`, which names the cause, before a parameter is touched.

    >>> _ = manual_seed(0)
    >>> x = rand(64, 1)
    >>> history = train.fit(nn.Linear(1, 1), (x, 2 * x), nn.MSELoss(), optim.SGD, 5, lr=0.5,
    ...                     progress=None)
    >>> history["loss"][-1] < history["loss"][0]
    True
    """
    if data is None:
        raise ArgumentError(
            "fit: data is missing", hint="fit(model, data, loss, optimizer)"
        )
    measured = _apart([metric_of(m) for m in _listed(metrics)])
    train_step, optimizer = _step(
        step, model, loss, optimizer, lr,
        {"accumulate": accumulate, "clip_norm": clip_norm, "clip_value": clip_value,
         "precision": precision, "scaler": scaler, "check_finite": check_finite},
        _kind_of(compile, step),
    )  # fmt: skip
    watchers = _watchers(callbacks, scheduler, checkpoint, optimizer)
    loop = Loop(
        train_step,
        batches_of(data, batch_size, shuffle=True),
        _positive(epochs),
        model=model,
        optimizer=optimizer,
        evaluate=_evaluation(
            train_step, validation, validation_step, batch_size, measured
        ),
        metrics=measured,
        callbacks=watchers,
        display=display_for(progress),
    )
    if dry_run:
        return trial.dry_run(loop, validation and batches_of(validation, batch_size))
    if overfit_one_batch:
        return trial.overfit(loop)
    _resume(loop, resume)
    return loop.run()


def _watchers(callbacks, scheduler, checkpoint, optimizer) -> list[Callback]:
    """All callbacks: the schedule comes first, the checkpoint last."""
    found = [callback_of(c) for c in _several(callbacks)]
    if scheduler is not None:
        given = isinstance(scheduler, Schedule)
        found.insert(0, scheduler if given else Schedule(scheduler))
    _check_schedules(found, optimizer)
    if checkpoint is not None:
        given = isinstance(checkpoint, Checkpoint)
        found.append(checkpoint if given else Checkpoint(checkpoint))
    return found


def evaluate(
    model, data, loss: Callable | None = None, metrics=(), *, batch_size: int = 256
) -> dict:
    """The mean loss and the metrics of a model on data, in evaluation mode.

    >>> found = train.evaluate(nn.Identity(), (ones(4), zeros(4)), nn.MSELoss(), ["mae"])
    >>> found
    {'loss': 1.0, 'mae': 1.0}
    """
    measured = _apart([metric_of(m) for m in _listed(metrics)])
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


# ---------------------------------------------------------------- arguments


def _kind_of(compile, step):
    """What makes the steps: `compile` is a truth value, or options of `ad.compile`."""
    if not isinstance(compile, (bool, dict)):
        raise ArgumentTypeError(
            f"fit: compile must be True, False or a dict of options, got {compile!r}"
        )
    if step is not None and compile is not False:
        raise ArgumentError(
            "fit: compile is for a model and its loss, not for a step of your own",
            hint="@ad.compile above the step makes it a program",
        )
    if isinstance(compile, dict):
        return functools.partial(CompiledStep, settings=compile)
    return CompiledStep if compile else TrainStep


def _check_parts(model, loss, optimizer) -> None:
    """Each has to be what it is called, and an object."""
    if isinstance(model, type) or isinstance(loss, type):
        what, kind = ("model", model) if isinstance(model, type) else ("loss", loss)
        raise ArgumentTypeError(
            f"fit: {what} is the class {kind.__name__}, not an object of it",
            hint=f"{kind.__name__}(...)",
        )
    if loss is not None and not callable(loss):
        raise ArgumentTypeError(
            f"fit: loss must be a function, got {loss!r}",
            hint="nn.CrossEntropyLoss(), or any f(y, t)",
        )
    if not callable(getattr(model, "parameters", None)):
        raise ArgumentTypeError(
            f"fit: model must be a Module, got {type(model).__name__}",
            hint="fit(step=f, data=...) runs any function",
        )
    if optimizer is None:
        raise ArgumentError("fit: optimizer is missing", hint="optim.Adam, for example")


def _step(step, model, loss, optimizer, lr, options, kind):
    """(step, optimizer) of what was given."""
    if step is not None:
        if loss is not None:
            raise ArgumentError(
                "fit: a step computes its loss itself; give step or loss"
            )
        return CallStep(step, options["check_finite"], model), optimizer
    _check_parts(model, loss, optimizer)
    if not hasattr(optimizer, "param_groups"):
        if not callable(optimizer):
            raise ArgumentTypeError(
                f"fit: {optimizer!r} is no optimizer", hint="optim.Adam, for example"
            )
        rate = {} if lr is None else {"lr": lr}
        optimizer = optimizer(model.parameters(), **rate)
    elif lr is not None:
        raise ArgumentError(
            "fit: lr goes with an optimizer's class; this one has its own"
        )
    return kind(model, loss, optimizer, **options), optimizer


def _positive(epochs) -> int:
    whole = isinstance(epochs, (int, np.integer)) and not isinstance(epochs, bool)
    if not whole or epochs < 1:
        raise ArgumentError(f"fit: epochs must be a positive integer, got {epochs!r}")
    return int(epochs)


def _several(callbacks) -> list:
    """The callbacks in a list, one alone too."""
    several = isinstance(callbacks, Iterable) and not callable(callbacks)
    return list(callbacks) if several else [callbacks]


def _check_schedules(callbacks, optimizer) -> None:
    """The error for a scheduler that moves the rate of another optimizer."""
    for c in callbacks:
        mine = getattr(getattr(c, "scheduler", None), "optimizer", optimizer)
        if isinstance(c, Schedule) and optimizer is not None and mine is not optimizer:
            raise ArgumentError(
                "fit: the scheduler is that of another optimizer",
                hint="make one optimizer, and give it to the scheduler and to fit",
            )


def _listed(metrics) -> list:
    if isinstance(metrics, Mapping):
        return [_renamed(metric_of(m), name) for name, m in metrics.items()]
    several = isinstance(metrics, Iterable) and not isinstance(metrics, (str, Metric))
    return list(metrics) if several else [metrics]


def _apart(metrics: list[Metric]) -> list[Metric]:
    """The metrics, unless two would have the same column."""
    names = ["loss", *(m.name for m in metrics)]
    twice = [n for n in names if names.count(n) > 1]
    if twice:
        raise ArgumentError(
            f"two columns would be named {twice[0]!r}",
            hint="metrics={'name': metric, ...}",
        )
    return metrics


def _renamed(metric, name):
    metric.name = name
    return metric


class _Averaged(Metric):
    """The mean of f(y, t) over batches, weighted by their sizes."""

    def __init__(self, f):
        self.f = f
        super().__init__(getattr(f, "__name__", "metric"))

    def reset(self):
        self.total, self.seen = 0.0, 0

    def update(self, y, t):
        n = size_of(t)
        self.total += number(self.f(y, t), self.name) * n
        self.seen += n

    def compute(self):
        return self.total / self.seen if self.seen else float("nan")


def metric_of(m) -> Metric:
    """A metric, by itself, its name, its class, or a function.

    >>> train.metric_of("accuracy").mode
    'max'
    """
    if isinstance(m, Metric):
        return m
    if isinstance(m, str):
        names = {
            n.lower(): n for n in known_metrics.__all__ if n not in ("Metric", "Mean")
        }
        if m.lower() not in names:
            near = [n for n in names if n.startswith(m.lower())]
            near = near or difflib.get_close_matches(m.lower(), names, 1)
            raise ArgumentError(
                f"there is no metric {m!r}; there are {', '.join(names)}",
                hint=f"did you mean {near[0]!r}?" if near else "",
            )
        return getattr(known_metrics, names[m.lower()])()
    if isinstance(m, type) and issubclass(m, Metric):
        return m()
    if callable(m):
        return _Averaged(m)
    raise ArgumentTypeError(f"a metric is a Metric, its name or a function, got {m!r}")


def batches_of(data, batch_size: int, shuffle: bool = False) -> Any:
    """An iterable of batches, made of whatever holds data."""
    if isinstance(data, tuple):
        data = TensorDataset(*[tensor_of(x) for x in _alike(data)])
    if isinstance(data, Dataset):
        stream = not hasattr(data, "__len__")
        if not stream and not len(data):
            raise ArgumentError("the data set is empty")
        return DataLoader(data, batch_size, shuffle=None if stream else shuffle)
    if not isinstance(data, Iterable) or isinstance(data, (Box, np.ndarray, str)):
        raise ArgumentTypeError(
            f"data must be a loader, a dataset or a tuple of arrays, got {type(data).__name__}",
            hint="a single array is given as (x,)",
        )
    return data


def _alike(arrays):
    sizes = [len(x) if hasattr(x, "__len__") else -1 for x in arrays]
    if len(set(sizes)) > 1:
        raise ShapeError(f"the arrays of a data set have different lengths: {sizes}")
    return arrays


# ---------------------------------------------------------------- evaluation


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


def _evaluation(train_step, validation, validation_step, batch_size, metrics):
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


def _resume(loop, resume) -> None:
    if resume is False or resume is None:
        return
    if resume is not True:
        saving.restore(loop, saving.read(Path(resume)))
        return
    keeper = next((c for c in loop.callbacks if isinstance(c, Checkpoint)), None)
    if keeper is None:
        raise ArgumentError("fit: resume=True needs checkpoint=folder to look into")
    if keeper.last.exists():
        saving.restore(loop, saving.read(keeper.last))
