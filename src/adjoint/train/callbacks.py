"""Callbacks: what watches training and may stop it. Each keeps a state that is saved with it."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import ArgumentError, ArgumentTypeError
from . import saving
from .tensorboard import SummaryWriter


class Callback:
    """Base of all callbacks: write those methods that it needs.

    >>> class Count(train.Callback):
    ...     steps = 0
    ...     def on_step_end(self, loop):
    ...         self.steps += 1
    ...         if self.steps == 3:
    ...             loop.stop("three steps are enough")
    >>> batches = [(ones(1, 1), ones(1, 1))] * 5
    >>> history = train.fit(nn.Linear(1, 1), batches, nn.MSELoss(), optim.SGD,
    ...                     callbacks=[Count()], progress=None)
    >>> history.stopped
    'stopped in epoch 1, after step 3: three steps are enough'
    """

    def on_fit_start(self, loop) -> None:
        """Before the first step; a resumed run is already where it goes on."""

    def on_epoch_start(self, loop) -> None:
        """Before the first step of an epoch."""

    def on_step_end(self, loop) -> None:
        """After each step: `loop.step`, `loop.values`."""

    def on_epoch_end(self, loop, row: dict) -> None:
        """After the validation of an epoch; `row` may be added to."""

    def on_fit_end(self, loop) -> None:
        """After the last step, however it came to be the last."""

    def state_dict(self) -> dict:
        """What a checkpoint keeps of it."""
        return {}

    def load_state_dict(self, state: dict) -> None:
        """Take back what `state_dict` gave."""


class Monitor:
    """A column of the table, which way is better, and the best value so far."""

    def __init__(self, name: str, mode: str | None, min_delta: float = 0.0):
        if mode not in (None, "min", "max"):
            raise ArgumentError(f"mode must be 'min' or 'max', got {mode!r}")
        self.name, self.mode, self.min_delta = name, mode, min_delta
        self.best = math.nan

    def improved(self, loop, row: dict) -> bool:
        """Whether this row is the best so far, which is then kept."""
        value = self.value(row)
        mode = self.mode or loop.mode_of(self.name)
        sign = 1.0 if mode == "max" else -1.0
        new = not math.isnan(value) and (
            math.isnan(self.best) or sign * (value - self.best) > self.min_delta
        )
        self.best = value if new else self.best
        return new

    def check(self, loop) -> None:
        """The error, before any work is done, for a value that there will not be."""
        if self.name.startswith("val_") and loop.evaluate is None:
            raise ArgumentError(
                f"there is no {self.name!r} to monitor without validation",
                hint=f"fit(..., validation=(x, t)), or {self.name[4:]!r}",
            )

    def value(self, row: dict) -> float:
        """The value in a row."""
        if self.name not in row:
            known = ", ".join(k for k in row if k != "epoch")
            raise ArgumentError(
                f"there is no {self.name!r} to monitor; there are {known}",
                hint="names of validation begin with val_",
            )
        return float(row[self.name])


class EarlyStopping(Callback):
    """Stop when a value has not improved for `patience` epochs; the best weights return.

    Which way is better is known of losses and metrics; `mode` says it of anything else.

    >>> stopping = train.EarlyStopping("loss", patience=1)
    >>> batches = [(ones(1, 1), ones(1, 1))]
    >>> history = train.fit(nn.Linear(1, 1), batches, nn.MSELoss(),
    ...                     optim.SGD, lr=0., epochs=9, callbacks=[stopping], progress=None)
    >>> history.stopped
    "stopped after epoch 2: 'loss' has not improved for 1 epoch; restored epoch 1"
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        patience: int = 5,
        *,
        min_delta: float = 0.0,
        mode: str | None = None,
        restore_best: bool = True,
    ):
        if isinstance(patience, bool) or not isinstance(patience, int) or patience < 1:
            raise ArgumentError(
                f"patience must be a positive integer, got {patience!r}"
            )
        self.monitor = Monitor(monitor, mode, abs(min_delta))
        self.patience, self.restore_best = patience, restore_best
        self.waited, self.best_epoch = 0, 0
        self.weights: dict | None = None

    def on_epoch_end(self, loop, row):
        """Keep the best weights; stop when patience is over."""
        if self.monitor.improved(loop, row):
            self.waited, self.best_epoch = 0, row["epoch"]
            if self.restore_best and loop.model is not None:
                self.weights = saving.copied(loop.model.state_dict())
            return
        self.waited += 1
        self._end(loop)

    def on_fit_start(self, loop):
        """A resumed run whose patience was over has ended already."""
        self.monitor.check(loop)
        self._end(loop)

    def _end(self, loop):
        if self.waited < self.patience:
            return
        unit = "epoch" if self.patience == 1 else "epochs"
        back = f"; restored epoch {self.best_epoch}" if self.weights else ""
        loop.stop(
            f"{self.monitor.name!r} has not improved for {self.patience} {unit}{back}"
        )

    def on_fit_end(self, loop):
        """The best weights return, unless training was interrupted."""
        if self.weights is not None and not loop.history.interrupted:
            loop.model.load_state_dict(self.weights)

    def state_dict(self):
        """The best value, its epoch and weights, how long it waited."""
        names = ("waited", "best_epoch", "weights")
        return {"best": self.monitor.best, **{k: getattr(self, k) for k in names}}

    def load_state_dict(self, state):
        """Take back what `state_dict` gave."""
        self.monitor.best = state["best"]
        self.waited, self.best_epoch = state["waited"], state["best_epoch"]
        self.weights = state["weights"] and saving.copied(state["weights"])


class Checkpoint(Callback):
    """Save all of training in a folder: `last`, and `best` where a value is monitored.

    Saved after every `every_epochs` epochs, every `every_steps` steps if given, and when
    training is interrupted. `fit(..., checkpoint=folder, resume=True)` goes on from `last`.

    >>> import tempfile
    >>> keep = train.Checkpoint(tempfile.mkdtemp(), monitor="loss")
    >>> batches = [(ones(1, 1), ones(1, 1))]
    >>> history = train.fit(nn.Linear(1, 1), batches, nn.MSELoss(), optim.SGD,
    ...                     callbacks=[keep], progress=None)
    >>> sorted(path.name for path in keep.folder.iterdir())
    ['best.ckpt', 'last.ckpt']
    """

    def __init__(
        self,
        folder,
        *,
        monitor: str | None = None,
        mode: str | None = None,
        every_epochs: int = 1,
        every_steps: int | None = None,
    ):
        self.folder = Path(folder)
        self.monitor = None if monitor is None else Monitor(monitor, mode)
        self.every_epochs, self.every_steps = every_epochs, every_steps

    @property
    def last(self) -> Path:
        """Where training is."""
        return self.folder / saving.LAST

    @property
    def best(self) -> Path:
        """Where it was best."""
        return self.folder / saving.BEST

    def on_fit_start(self, loop):
        """The folder is made before work is done that could not be saved."""
        if self.monitor is not None:
            self.monitor.check(loop)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise ArgumentError(
                f"checkpoints go into a folder, and {self.folder} cannot be one",
                hint="a file has that name",
            ) from None

    def on_step_end(self, loop):
        """Save in mid-epoch."""
        if self.every_steps and loop.step % self.every_steps == 0:
            self.save(loop)

    def on_epoch_end(self, loop, row):
        """Save between two epochs; the loop calls this callback last."""
        if self.monitor is not None and self.monitor.improved(loop, row):
            self.save(loop, self.best)
        if row["epoch"] % self.every_epochs == 0 or loop.ending:
            self.save(loop)

    def save(self, loop, path: Path | None = None) -> Path:
        """Write a checkpoint, whole or not at all."""
        to = self.last if path is None else path
        saving.write(saving.capture(loop), to)
        loop.history.checkpoint = to
        return to

    def state_dict(self):
        """The best value."""
        return {} if self.monitor is None else {"best": self.monitor.best}

    def load_state_dict(self, state):
        """Take back what `state_dict` gave."""
        if self.monitor is not None:
            self.monitor.best = state["best"]


class Schedule(Callback):
    """Step a scheduler every epoch or every update; one of a plateau sees a value.

    >>> model = nn.Linear(1, 1)
    >>> opt = optim.SGD(model.parameters(), lr=1.)
    >>> halving = optim.lr_scheduler.ExponentialLR(opt, 0.5)
    >>> history = train.fit(model, [(ones(1, 1), ones(1, 1))], nn.MSELoss(), opt, 3,
    ...                     scheduler=train.Schedule(halving), progress=None)
    >>> history["lr"]
    [1.0, 0.5, 0.25]
    """

    def __init__(self, scheduler, every: str = "epoch", monitor: str | None = None):
        if every not in ("epoch", "step"):
            raise ArgumentError(f"every must be 'epoch' or 'step', got {every!r}")
        if isinstance(scheduler, type) or not callable(
            getattr(scheduler, "step", None)
        ):
            raise ArgumentTypeError(
                f"{scheduler!r} is no scheduler: an object with step() is"
            )
        self.scheduler, self.every = scheduler, every
        self.wants_value = "metrics" in inspect.signature(scheduler.step).parameters
        self.monitor = monitor

    def on_step_end(self, loop):
        """One step of the scheduler an update of the parameters."""
        if self.every == "step" and not loop.train_step.pending:
            self.scheduler.step()

    def on_epoch_end(self, loop, row):
        """One step of the scheduler an epoch."""
        if self.every != "epoch":
            return
        if not self.wants_value:
            self.scheduler.step()
            return
        name = self.monitor or ("val_loss" if "val_loss" in row else "loss")
        self.scheduler.step(Monitor(name, None).value(row))

    def state_dict(self):
        """The scheduler's."""
        return self.scheduler.state_dict()

    def load_state_dict(self, state):
        """Take back what `state_dict` gave."""
        self.scheduler.load_state_dict(state)


class TensorBoard(Callback):
    """Write the table of epochs, the loss of steps and, if asked, histograms of parameters.

    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> history = train.fit(nn.Linear(1, 1), [(ones(1, 1), ones(1, 1))], nn.MSELoss(),
    ...                     optim.SGD, callbacks=[train.TensorBoard(folder)], progress=None)
    >>> [event.tag for event in train.read_events(folder)]
    ['loss', 'lr', 'seconds']
    """

    def __init__(self, log_dir, *, every_steps: int = 10, histograms: bool = False):
        self.log_dir, self.every_steps = Path(log_dir), every_steps
        self.histograms = histograms
        self.writer: SummaryWriter | None = None

    def on_fit_start(self, loop):
        """A new event file."""
        self.writer = SummaryWriter(self.log_dir)

    def on_step_end(self, loop):
        """The values of a step."""
        if loop.step % self.every_steps == 0:
            self.writer.add_scalars("step", loop.values, loop.step)

    def on_epoch_end(self, loop, row):
        """The values of an epoch."""
        for name, value in row.items():
            if name != "epoch" and isinstance(value, (int, float)):
                self.writer.add_scalar(name, value, row["epoch"])
        if self.histograms and loop.model is not None:
            for name, p in loop.model.named_parameters():
                self.writer.add_histogram(name, p, row["epoch"])
        self.writer.flush()

    def on_fit_end(self, loop):
        """The file is complete."""
        self.writer.close()


class OnEpoch(Callback):
    """A plain function as a callback: f(loop, row) after each epoch."""

    def __init__(self, f: Callable[[Any, dict], Any]):
        self.f = f

    def on_epoch_end(self, loop, row):
        """Call it."""
        self.f(loop, row)


def callback_of(x) -> Callback:
    """A callback as it is; a function as one that is called after each epoch."""
    if isinstance(x, Callback):
        return x
    if callable(x) and not isinstance(x, type):
        return OnEpoch(x)
    raise ArgumentTypeError(
        f"a callback is an instance of Callback or a function, got {x!r}"
    )
