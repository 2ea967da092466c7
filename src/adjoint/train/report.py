"""The report of a training: what was measured, the network, its program, in one HTML file."""

from __future__ import annotations

from ..autodiff.modes import no_grad
from ..errors import AdjointError
from ..ir.trace import trace
from ..plot import Page, lines, matrix
from .history import History, cell


def report(
    history: History,
    *,
    title: str = "Training",
    notes: dict | None = None,
    model=None,
    sample=None,
    confusion=None,
    labels=None,
    figures: dict | None = None,
) -> Page:
    """A page with the curves and the table of a training.

    `notes`: names and values, above all else. `confusion`: a matrix, with `labels`.
    `model`: printed; with a `sample` input the program that it computes. `figures`: more
    figures by caption.

    >>> history = train.fit(nn.Linear(1, 1), (ones(4, 1), ones(4, 1)), nn.MSELoss(), optim.SGD,
    ...                     progress=None)
    >>> page = train.report(history, title="A line", notes={"seed": 0})
    >>> "<h1>A line</h1>" in str(page) and "<svg" in str(page)
    True
    """
    page = Page(title)
    if notes:
        page.table([[k, _shown(v)] for k, v in notes.items()])
    _curves(page, history)
    if confusion is not None:
        page.heading("Confusion matrix").figure(matrix(confusion, labels))
    for caption, figure in (figures or {}).items():
        page.heading(caption).figure(figure)
    page.heading("Epochs").table(
        [[cell(row.get(k), k) for k in history.columns] for row in history.rows],
        history.columns,
    )
    if history.stopped:
        page.text(history.stopped)
    if model is not None:
        page.heading("Network").code(repr(model))
    if model is not None and sample is not None:
        page.heading("Its program").code(program_text(model, sample))
    return page


def _shown(v) -> str:
    return cell(v) if isinstance(v, float) else str(v)


def _curves(page, history):
    page.heading("Loss").figure(history.plot())
    if history.steps:
        steps = {"loss of each step": history.steps}
        page.figure(lines(steps, x_label="step", log=min(history.steps) > 0))
    other = [k for k in history.columns if k not in ("epoch", "lr", "seconds")]
    for name in other:
        if name.endswith("loss") or name.startswith("val_"):
            continue
        both = {
            k: (history["epoch"], history[k])
            for k in (name, f"val_{name}")
            if k in other
        }
        page.heading(name.capitalize()).figure(lines(both, x_label="epoch"))


def program_text(model, sample) -> str:
    """The straight-line program of model(sample), in evaluation mode.

    >>> from adjoint.train.report import program_text
    >>> print(program_text(nn.ReLU(), ones(2)))
    forward(x: float32[2]):
      z1 = relu(x)
      return z1
    """
    modes = [(m, m.training) for m in model.modules()]
    model.eval()

    def forward(x):
        return model(x)

    try:
        with no_grad():
            return str(trace(forward)(sample))
    except AdjointError as error:  # a network may decide on values, or take no tensor
        return f"not a straight-line program: {error}"
    finally:
        for m, mode in modes:
            m.training = mode
