"""`adjoint train`: a network of linear layers from a table, an archive or the digits."""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .. import io, metrics, nn, optim, plot
from .. import train as training
from ..autodiff.modes import no_grad
from ..core.generator import default_generator
from ..data import from_csv, from_npz, load_digits
from ..errors import ArgumentError
from ..functional.face import FUNCTIONS
from .expression import UsageError

ACTIVATIONS = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
}
OPTIMIZERS = {
    "adam": optim.Adam,
    "adamw": optim.AdamW,
    "sgd": optim.SGD,
    "rmsprop": optim.RMSprop,
}
DONE, INTERRUPTED = 0, 130


class Problem(NamedTuple):
    """Rows to learn from and to test with, as arrays; labels name the classes, if there are."""

    x: np.ndarray
    t: np.ndarray
    x_test: np.ndarray
    t_test: np.ndarray
    labels: list | None

    @property
    def outputs(self) -> int:
        """How many numbers the network has to give."""
        if self.labels is not None:
            return len(self.labels)
        return int(self.t[0].size)


def train(given):
    """Train, then write weights, report and table."""
    default_generator.manual_seed(given.seed)
    problem = problem_of(given)
    folder = Path(given.out)
    model, scaling = network(problem, given)
    history = _fitted(model, scaling.scaled(problem), given, folder)
    if given.dry_run:
        return (
            DONE,
            {"dry_run": history.stopped},
            "" if not given.quiet else history.stopped,
        )
    scaling.fold(model)
    answer = _written(folder, model, history, problem, given)
    if history.interrupted:
        return INTERRUPTED, answer, history.stopped
    return DONE, answer, _told(answer)


def _told(answer) -> str:
    last = {
        k: v for k, v in answer["last"].items() if k not in ("epoch", "lr", "seconds")
    }
    words = "  ".join(f"{k} {v:.4f}" for k, v in last.items())
    return f"{words}\nweights {answer['weights']}\nreport  {answer['report']}"


# ---------------------------------------------------------------- data


def problem_of(given) -> Problem:
    """The data that is meant, checked, with a part of it kept for testing."""
    if given.data == "digits":
        (x, t), (x2, t2) = load_digits("train"), load_digits("test")
        names = [str(d) for d in range(10)]
        return Problem(x.numpy(), t.numpy(), x2.numpy(), t2.numpy(), names)
    x, t, labels = _read(given)
    _checked(x, "the inputs", given.data)
    if t.dtype.kind == "f":
        _checked(t, "the targets", given.data)
    as_classes = _is_classification(t, labels, given.task)
    if as_classes and labels is None:
        values, t = np.unique(t, return_inverse=True)
        labels = [str(v) for v in values.tolist()]
    t = t.astype(np.int64) if as_classes else t.reshape(len(t), -1).astype(np.float32)
    return Problem(*_split(x, t, given), labels if as_classes else None)


def _read(given):
    """(x, t, labels) of a file."""
    if given.data.endswith(".npz"):
        rows = from_npz(given.data, "x", given.target or "y")
        x, t = (v.numpy() for v in rows.tensors)
        return x.reshape(len(x), -1).astype(np.float32), t, None
    if not given.data.endswith((".csv", ".csv.gz", ".tsv")):
        raise ArgumentError(
            f"{given.data!r} is no data that can be read",
            hint="a .csv or .npz file, or the word digits",
        )
    table = from_csv(
        given.data,
        _column(given.target),
        delimiter="\t" if ".tsv" in given.data else ",",
    )
    x, t = (v.numpy() for v in table.tensors)
    return x, t, table.classes


def _column(target):
    if target is None:
        return -1
    return int(target) if target.lstrip("-").isdigit() else target


def _checked(x, what, path):
    bad = ~np.isfinite(x)
    if bad.any():
        row = np.argwhere(bad.reshape(len(x), -1))[0].tolist()
        raise ArgumentError(
            f"{path}: {what} have NaN or Inf in {int(bad.sum())} of {x.size} places, "
            f"first in row {row[0] + 1}, column {row[1] + 1}"
        )


def _is_classification(t, labels, task) -> bool:
    whole = t.dtype.kind in "iub"
    if task == "classification" and not whole:
        raise ArgumentError("classification needs classes; the targets are fractions")
    if task != "auto":
        return task == "classification"
    return labels is not None or (whole and len(np.unique(t)) <= 50)


def _split(x, t, given):
    """A random part of the rows is for testing; the seed decides which."""
    order = FUNCTIONS["randperm"](len(x)).numpy()
    held = round(len(x) * given.validation)
    if len(x) - held < 2:
        raise ArgumentError(f"{given.data}: {len(x)} rows are too few to train on")
    a, b = order[held:], order[:held]
    return x[a], t[a], x[b], t[b]


# ---------------------------------------------------------------- network


class Scaling:
    """Inputs (and targets that are numbers) to mean 0 and spread 1; afterwards undone.

    The network is trained on scaled numbers; `fold` then moves the scaling into its first
    and last layer, so that the saved network takes and gives the file's own numbers.
    """

    def __init__(self, problem: Problem):
        self.mean, self.spread = _moments(problem.x)
        self.regression = problem.labels is None
        self.t_mean, self.t_spread = (
            _moments(problem.t) if self.regression else (np.zeros(1), np.ones(1))
        )

    def scaled(self, problem: Problem) -> Problem:
        """The problem that is trained on."""
        xs = [((x - self.mean) / self.spread) for x in (problem.x, problem.x_test)]
        ts = [problem.t, problem.t_test]
        if self.regression:
            ts = [((t - self.t_mean) / self.t_spread).astype(np.float32) for t in ts]
        x, x_test = (v.astype(np.float32) for v in xs)
        return Problem(x, ts[0], x_test, ts[1], problem.labels)

    def fold(self, model) -> None:
        """W(x − m)/s + b = (W/s)x + (b − Wm/s), and likewise behind the last layer."""
        linear = [m for m in model if isinstance(m, nn.Linear)]
        first, last = linear[0], linear[-1]
        with no_grad():
            w = first.weight.double() / FUNCTIONS["tensor"](self.spread)
            first.bias.sub_((w @ FUNCTIONS["tensor"](self.mean)).float())
            first.weight.copy_(w)
            if self.regression:
                spread = FUNCTIONS["tensor"](self.t_spread)
                last.weight.copy_(last.weight * spread[:, None])
                last.bias.copy_(last.bias * spread + FUNCTIONS["tensor"](self.t_mean))


def _moments(x):
    x = x.astype(np.float64)
    spread = x.std(0)
    return x.mean(0), np.where(spread > 0, spread, 1.0)


def network(problem: Problem, given):
    """(network, scaling) for a problem."""
    try:
        hidden = [int(n) for n in given.hidden.split(",") if n.strip()]
    except ValueError:
        hidden = [0]
    if any(n < 1 for n in hidden):
        raise UsageError(
            f"--hidden {given.hidden}: sizes are whole numbers, as in 128,64"
        )
    sizes = [problem.x.shape[1], *hidden]
    layers: list[nn.Module] = []
    for a, b in pairwise(sizes):
        layers += [nn.Linear(a, b), ACTIVATIONS[given.activation]()]
        layers += [nn.Dropout(given.dropout)] if given.dropout else []
    layers.append(nn.Linear(sizes[-1], problem.outputs))
    return nn.Sequential(*layers), Scaling(problem)


def _fitted(model, problem: Problem, given, folder):
    classes = problem.labels is not None
    callbacks: list[training.Callback] = []
    held = (problem.x_test, problem.t_test) if len(problem.x_test) else None
    if given.early_stopping:
        name = "loss" if held is None else "val_loss"
        callbacks.append(training.EarlyStopping(name, given.early_stopping))
    return training.fit(
        model,
        (problem.x, problem.t),
        nn.CrossEntropyLoss() if classes else nn.MSELoss(),
        OPTIMIZERS[given.optimizer],
        given.epochs,
        lr=given.lr,
        batch_size=given.batch_size,
        metrics=["accuracy"] if classes else ["r2"],
        validation=held,
        callbacks=callbacks,
        precision=None if given.precision == "float32" else given.precision,
        checkpoint=None if given.dry_run else folder,
        resume=given.resume and not given.dry_run,
        dry_run=given.dry_run,
        progress=_display(given),
    )


def _display(given):
    if given.quiet:
        return None
    return training.Lines(sys.stderr) if given.json else "auto"


# ---------------------------------------------------------------- what is written


def _written(folder: Path, model, history, problem: Problem, given) -> dict:
    weights, report = folder / "model.safetensors", folder / "report.html"
    notes = {"network": repr(model), "data": given.data, "framework": "adjoint"}
    if problem.labels is not None:
        notes["classes"] = "\n".join(problem.labels)
    io.save_file(model.state_dict(), weights, notes)
    history.to_csv(folder / "history.csv")
    confusion, figures = _tested(model, problem)
    training.report(
        history,
        title=f"Training on {given.data}",
        notes={k: v for k, v in history.last.items() if k != "epoch"},
        confusion=confusion,
        labels=problem.labels,
        figures=figures,
        model=model,
        sample=FUNCTIONS["tensor"](problem.x[:1]),
    ).save(report)
    return {
        "last": history.last,
        "epochs": len(history),
        "stopped": history.stopped,
        "seconds": history.seconds,
        "weights": str(weights),
        "report": str(report),
        "history": str(folder / "history.csv"),
        "parameters": sum(p.numel() for p in model.parameters()),
    }


def _tested(model, problem: Problem):
    """(confusion matrix, other figures) of the rows kept for testing."""
    if not len(problem.x_test):
        return None, {}
    y = training.predict(model, problem.x_test)
    if problem.labels is not None:
        return metrics.ConfusionMatrix(len(problem.labels))(y, problem.t_test), {}
    if problem.outputs > 1:
        return None, {}
    points = {"test rows": (problem.t_test[:500, 0], y.numpy()[:500, 0])}
    figure = plot.scatter(points, x_label="target", y_label="prediction")
    return None, {"Predictions": figure}
