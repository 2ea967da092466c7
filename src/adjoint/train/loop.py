"""The loop: epochs of steps, what is measured, and where it can stop and go on."""

from __future__ import annotations

import os
import signal
import sys
import threading
from itertools import islice
from time import perf_counter

from ..errors import ArgumentError
from ..metrics import Mean
from . import saving
from .callbacks import Callback, Checkpoint
from .faults import NotFiniteError
from .history import History
from .progress import Silent
from .step import size_of


class Loop:
    """Training under way, as callbacks see it.

    `model`, `optimizer`, `history`; `epoch` of `epochs`, `batch` of `batches` in the epoch,
    `step` in all; `values` of the last step. `stop(reason)` ends it after the step.

    >>> def stop_early(loop, row):
    ...     if row["epoch"] == 2:
    ...         loop.stop(f"{loop.step} steps are enough")
    >>> history = train.fit(nn.Linear(1, 1), [(ones(1, 1), ones(1, 1))] * 3, nn.MSELoss(),
    ...                     optim.SGD, 9, callbacks=[stop_early], progress=None)
    >>> history.stopped
    'stopped after epoch 2: 6 steps are enough'
    """

    def __init__(
        self,
        train_step,
        data,
        epochs: int,
        *,
        model=None,
        optimizer=None,
        evaluate=None,
        metrics=(),
        callbacks=(),
        display=None,
    ):
        self.train_step, self.data, self.epochs = train_step, data, epochs
        self.model, self.optimizer, self.evaluate = model, optimizer, evaluate
        self.metrics = list(metrics)
        self.callbacks = sorted(callbacks, key=lambda c: isinstance(c, Checkpoint))
        self.display = display or Silent()
        self.history = History()
        self.history.modes.update(_modes(self.metrics))
        self.epoch, self.batch, self.step = 1, 0, 0
        self.values: dict[str, float] = {}
        self.means: dict[str, Mean] = {}
        self.epoch_done = self.interrupted = self.measured = False
        self.epoch_random: dict | None = None
        self.epoch_began = self.built_in_epoch = self.built = self.seconds = 0.0
        self._from: dict | None = None  # the checkpoint to go on from
        self._on_step = [c for c in self.callbacks if _writes(c, "on_step_end")]
        self.batches = _length(data)

    # ------------------------------------------------------------ for callbacks

    def stop(self, reason: str) -> None:
        """End training after this step, or after this epoch if it is over."""
        self.history.stopped = f"{self._where('stopped')}: {reason}"

    def interrupt(self) -> None:
        """End training after this step, as Ctrl-C does."""
        self.interrupted = True

    @property
    def ending(self) -> bool:
        """Whether no further step will follow."""
        last = self.epoch_done and self.epoch >= self.epochs
        return last or self.interrupted or bool(self.history.stopped)

    def mode_of(self, name: str) -> str:
        """Which way is better: "min" or "max"."""
        mode = self.history.modes.get(name)
        if mode is None and name.endswith("loss"):
            mode = "min"
        if mode is None:
            raise ArgumentError(
                f"whether a larger or a smaller {name!r} is better is unknown",
                hint="mode='min' or mode='max'",
            )
        return mode

    def running(self) -> dict[str, float]:
        """The means of the epoch so far."""
        return {k: m.compute() for k, m in self.means.items()}

    def _where(self, word: str) -> str:
        if self.epoch_done:
            return f"{word} after epoch {self.epoch}"
        if not self.batch:
            return f"{word} before epoch {self.epoch}"
        return f"{word} in epoch {self.epoch}, after step {self.batch}"

    # ------------------------------------------------------------ running

    def run(self) -> History:
        """Train until the last epoch, or until something stops it."""
        self.display.start(self)
        interrupts = _Interrupts(self)
        try:
            with interrupts:
                for c in self.callbacks:
                    c.on_fit_start(self)
                while self.epoch <= self.epochs and not self.history.stopped:
                    self._epoch()
                    if self.ending:
                        break
                    self.epoch, self.batch, self.epoch_done = self.epoch + 1, 0, False
            self._finish()
        finally:
            self.display.end(self)
        interrupts.pass_on()
        return self.history

    def _finish(self):
        if self.interrupted:
            self.history.interrupted = True
            self.history.stopped = self._where("interrupted")
        in_epoch = self.batch and not self.epoch_done
        if self.interrupted or (self.history.stopped and in_epoch):
            self._save()
        for c in self.callbacks:
            c.on_fit_end(self)
        if self.history.stopped:
            self.display.say(self.history.stopped)

    def _save(self):
        """Training ended where no checkpoint is due: keep the place."""
        for c in self.callbacks:
            if isinstance(c, Checkpoint):
                path = c.save(self)
                self.history.stopped += f"; saved to {path}, resume=True goes on"
                return
        if self.interrupted:
            self.history.stopped += "; the model keeps what it learned"

    def _epoch(self):
        batches = self._begin()
        for batch in batches:
            self._one(batch)
            if self.ending:
                break
        else:
            self._end()
            return
        self._clock()

    def _begin(self):
        """The batches of the epoch, or those that a checkpoint left of it."""
        self.built_in_epoch, self.epoch_began = 0.0, perf_counter()
        state, self._from = self._from, None
        if state is not None and state["position"]["batch"]:
            return self._go_on(state)
        if state is not None:
            saving.set_random_state(state["random"])
        self.means, self.seconds, self.measured = {}, 0.0, False
        for m in self.metrics:
            m.reset()
        if self.model is not None:
            self.model.train()
        for c in self.callbacks:
            c.on_epoch_start(self)
        self.epoch_random = saving.random_state()
        return iter(self.data)

    def _go_on(self, state):
        """The batches that are left; of data without a state those before are passed over."""
        if self.model is not None:
            self.model.train()
        self.epoch_random = state["epoch_random"]
        if state["loader"] is None:
            saving.set_random_state(self.epoch_random)
        batches = iter(self.data)
        if state["loader"] is None:
            next(islice(batches, self.batch - 1, self.batch), None)
        saving.set_random_state(state["random"])
        return batches

    def _one(self, batch):
        self.batch += 1
        self.step += 1
        outcome = self._located(self.train_step, batch)
        self.values = outcome.values
        size = size_of(batch)
        for k, v in outcome.values.items():
            self._mean(k).update(v, size)
        if "loss" in outcome.values:
            self.history.steps.append(outcome.values["loss"])
        if outcome.y is not None and self.metrics:
            self.measured = True
            for m in self.metrics:
                m.update(outcome.y, outcome.t)
        self._built()
        for c in self._on_step:
            c.on_step_end(self)
        self.display.step(self)

    def _located(self, f, *args):
        """f(*args); what is not finite is told with the place in training."""
        try:
            return f(*args)
        except NotFiniteError as error:
            words = str(error.args[0])
            if self.train_step.keeps:
                words += "\n  the parameters are those before this step"
            error.args = (f"epoch {self.epoch}, step {self.batch}: {words}",)
            raise

    def _mean(self, name) -> Mean:
        if name not in self.means:
            self.means[name] = Mean()
        return self.means[name]

    def _built(self):
        """Time that the step spent in compiling does not count as training."""
        total = self.train_step.build_seconds
        if total > self.built:
            self.built_in_epoch += total - self.built
            self.history.build_seconds += total - self.built
            self.display.say(f"compiled in {total - self.built:.2f} s")
            self.built = total

    def _end(self):
        """An epoch is over: validation, the row, callbacks."""
        if not self.batch:
            raise ArgumentError(
                f"the data gave no batches in epoch {self.epoch}",
                hint="an iterator is used up after one epoch; a list or a DataLoader is not",
            )
        self._located(self.train_step.update)
        self.epoch_done = True
        row = {"epoch": self.epoch, **self.running()}
        if self.measured:
            row.update(scalars({m.name: m.compute() for m in self.metrics}))
        if self.evaluate is not None:
            row.update(self.evaluate())
        if self.optimizer is not None:
            row["lr"] = float(self.optimizer.param_groups[0].get("lr", float("nan")))
        self._clock()
        row["seconds"] = self.seconds
        self.history.rows.append(row)
        for c in self.callbacks:
            c.on_epoch_end(self, row)
        self.display.epoch(self, row)

    def _clock(self):
        taken = perf_counter() - self.epoch_began - self.built_in_epoch
        self.seconds += taken
        self.history.seconds += taken

    # ------------------------------------------------------------ going on

    def position(self) -> dict:
        """Which step is next."""
        epoch, batch = (
            (self.epoch + 1, 0) if self.epoch_done else (self.epoch, self.batch)
        )
        measured = self.measured and not self.epoch_done
        return {
            "epoch": epoch,
            "batch": batch,
            "step": self.step,
            "seconds": self.seconds,
            "measured": measured,
        }

    def go_to(self, state: dict) -> None:
        """Continue where a checkpoint was made."""
        at = state["position"]
        self.epoch, self.batch, self.step = at["epoch"], at["batch"], at["step"]
        self.seconds, self.measured = at["seconds"], at["measured"]
        if state["loader"] is not None:
            self.data.load_state_dict(state["loader"])
        self._from = state

    def take_means(self, states: dict) -> None:
        """Take back the means of the epoch so far."""
        self.means = {}
        for name, state in states.items():
            self._mean(name).load_state_dict(state)


class _Interrupts:
    """The first Ctrl-C ends training after the step, the second at once.

    Whoever else listens for it, with a handler of his own, is told at the end.
    """

    words = b"\nending after this step; Ctrl-C once more ends at once\n"

    def __init__(self, loop):
        self.loop, self.told = loop, None

    def __enter__(self):
        main = threading.current_thread() is threading.main_thread()
        ignored = signal.getsignal(signal.SIGINT) in (signal.SIG_IGN, None)
        self.ours = main and not ignored
        if self.ours:
            self.before = signal.signal(signal.SIGINT, self._handle)

    def __exit__(self, *_):
        if self.ours:
            signal.signal(signal.SIGINT, self.before)

    def _handle(self, number, frame):
        if self.loop.interrupted:
            raise KeyboardInterrupt
        self.loop.interrupt()
        self.told = number, frame
        if sys.stderr is not None and sys.stderr.isatty():
            os.write(2, self.words)  # a stream may be in the middle of its own write

    def pass_on(self) -> None:
        """Tell the handler that was there before of a Ctrl-C, unless it is Python's own."""
        if self.told is None or self.before is signal.default_int_handler:
            return
        if callable(self.before):
            self.before(*self.told)


def scalars(values: dict) -> dict:
    """Those values that fit into a cell of the table."""
    return {k: v for k, v in values.items() if isinstance(v, (int, float))}


def _modes(metrics) -> dict[str, str]:
    out = {"loss": "min", "val_loss": "min"}
    for m in metrics:
        if m.mode is not None:
            out[m.name] = out[f"val_{m.name}"] = m.mode
    return out


def _writes(callback: Callback, name: str) -> bool:
    return getattr(type(callback), name) is not getattr(Callback, name)


def _length(data) -> int:
    try:
        return len(data)
    except TypeError:
        return 0
