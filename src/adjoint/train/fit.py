"""fit: what a user calls; here arguments become the parts of a loop."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from ..errors import ArgumentError, ArgumentTypeError
from . import saving, trial
from .batches import batches_of
from .callbacks import Callback, Checkpoint, Schedule, callback_of
from .evaluation import evaluation_of
from .history import History
from .loop import Loop
from .measures import measures_of
from .programs import CallStep, CompiledStep
from .progress import display_for
from .step import TrainStep


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
    - `precision`: "float16" (with loss scaling, `scaler`) or "bfloat16": the whole model in
      half precision; "16-mixed" or "bf16-mixed": model and loss inside `autocast`. The
      parameters stay in single precision.
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
    measured = measures_of(metrics)
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
        evaluate=evaluation_of(
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
