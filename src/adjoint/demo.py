"""The demonstration: a function taken apart, a gradient, a network that reads digits."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter

import numpy as np

from . import metrics, nn, optim, plot, train
from .core.generator import default_generator
from .data import load_digits
from .functional.face import FUNCTIONS
from .ir.trace import trace

log, tensor = FUNCTIONS["log"], FUNCTIONS["tensor"]


def f(x1, x2, a=1.0):
    """The function that the lectures take apart."""
    return x1**2 + (x1 - x2) ** a - log(x1**2 + x2**2)


def explain(say=print) -> None:
    """Say f as a straight-line program: values, local partials, the reverse program."""
    say("f(x1, x2) = x1**2 + (x1 - x2)**a - log(x1**2 + x2**2)  at (2, 1), a = 1\n")
    point = tensor(2.0, dtype="float64"), tensor(1.0, dtype="float64")
    program = trace(f)(*point)
    say(program.show(*point, values=True, partials=True, reverse=True))
    say("\n  step   value     adjoint df/d(step)\n")
    for name, (value, adjoint) in program.adjoints(*point).items():
        say(f"  {name:3} {float(value):10.6f} {float(adjoint):10.6f}")


def differentiate(say=print) -> None:
    """Say the same gradient, from the tape."""
    x1, x2 = tensor(2.0, requires_grad=True), tensor(1.0, requires_grad=True)
    y = f(x1, x2)
    y.backward()
    say(f"\n  y = f(x1, x2)  {y.item():.4f}")
    say(f"  y.backward()   x1.grad = {x1.grad:.4f}, x2.grad = {x2.grad:.4f}\n")


def network(hidden: int = 128) -> nn.Sequential:
    """64 pixels, one hidden layer, ten digits."""
    return nn.Sequential(
        nn.Linear(64, hidden), nn.ReLU(), nn.Dropout(0.2), nn.Linear(hidden, 10)
    )


def digits(epochs: int = 30, seed: int = 0, progress="auto"):
    """(model, history): a network trained on handwritten digits, measured on others."""
    default_generator.manual_seed(seed)
    model = network()
    optimizer = optim.Adam(model.parameters(), lr=4e-3)
    history = train.fit(
        model,
        load_digits("train"),
        nn.CrossEntropyLoss(),
        optimizer,
        epochs,
        batch_size=64,
        metrics=["accuracy"],
        validation=load_digits("test"),
        scheduler=optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs),
        progress=progress,
    )
    return model, history


def page(model, history) -> plot.Page:
    """The report: curves, confusion matrix, mistakes, the network and its program."""
    x, t = load_digits("test")
    scores = train.predict(model, x)
    confusion = metrics.ConfusionMatrix(10)(scores, t)
    accuracy = history.last["val_accuracy"]
    return train.report(
        history,
        title="Handwritten digits",
        notes={
            "test accuracy": f"{accuracy:.2%}",
            "training images": len(load_digits("train")[1]),
            "test images": len(t),
            "parameters": sum(p.numel() for p in model.parameters()),
            "seconds of training": history.seconds,
        },
        confusion=confusion,
        figures={"Mistakes": mistakes(x, t, scores)},
        model=model,
        sample=x[:1],
    )


def mistakes(x, t, scores, most: int = 16) -> plot.Figure:
    """The images that were taken for another digit, with both."""
    y = scores.argmax(1).numpy()
    wrong = np.flatnonzero(y != t.numpy())[:most]
    pictures = [1 - x[int(i)].numpy().reshape(8, 8) for i in wrong]
    words = [f"{int(t[int(i)])} taken for {y[i]}" for i in wrong]
    return plot.images(pictures, words, size=72)


def main(folder=".", epochs: int = 30, progress="auto", say=print) -> dict:
    """Everything, with a report in `folder`; returns what was reached."""
    explain(say)
    differentiate(say)
    say(
        "a network learns to read digits: 1,442 images to learn from, 355 others to test\n"
    )
    began = perf_counter()
    model, history = digits(epochs, progress=progress)
    taken = perf_counter() - began
    accuracy = history.last.get("val_accuracy", 0.0)
    path = page(model, history).save(Path(folder) / "digits.html")
    say(f"\ntest accuracy {accuracy:.2%} after {taken:.1f} s; the report is {path}")
    return {
        "test_accuracy": accuracy,
        "seconds": taken,
        "report": str(path),
        "interrupted": history.interrupted,
    }
