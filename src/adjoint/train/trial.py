"""Trials before training: a dry run that changes nothing, and one batch learned by heart."""

from __future__ import annotations

from ..autodiff.modes import no_grad
from ..errors import ArgumentError
from . import saving
from .history import History, cell
from .step import size_of


def dry_run(loop, validation=None) -> History:
    """One batch of each kind through everything, which is then put back."""
    loop.display.start(loop)
    before = saving.copied(saving.capture(loop))
    grads = _gradients(loop.model)
    try:
        words = [*_trained(loop), *_validated(loop, validation)]
    finally:
        _put_back(loop, before, grads)
    loop.history.stopped = "dry run: " + "; ".join([*words, "nothing was changed"])
    loop.display.say(loop.history.stopped)
    loop.display.end(loop)
    return loop.history


def _trained(loop):
    batch = first(loop.data)
    if loop.model is not None:
        loop.model.train()
    outcome = loop.train_step(batch)
    loop.train_step.update()
    yield f"a batch of {size_of(batch)}"
    for name, value in outcome.values.items():
        yield f"{name} {cell(value)}"
    if loop.model is None:
        return
    params = [(n, p) for n, p in loop.model.named_parameters() if p.requires_grad]
    yield f"{sum(p.numel() for _, p in params):,} parameters"
    bare = [n for n, p in params if p.grad is None]
    yield f"no gradient reached {', '.join(bare)}" if bare else "all got a gradient"


def _validated(loop, validation):
    if validation is None:
        return
    batch, criterion = first(validation), getattr(loop.train_step, "criterion", None)
    if criterion is None:
        return
    loop.model.eval()
    with no_grad():
        value, _, _ = criterion(batch)
    yield f"val_loss {cell(float(value))}"


def _gradients(model):
    return [] if model is None else [(p, p.grad) for p in model.parameters()]


def _put_back(loop, before, grads):
    saving.restore(loop, before)
    loop.train_step.pending = before["pending"]
    saving.set_random_state(before["random"])
    if loop.model is not None:
        loop.model.train()
    for p, g in grads:
        p.grad = g


def first(data):
    """The first batch."""
    for batch in data:
        return batch
    raise ArgumentError("the data gave no batches")


def overfit(loop) -> History:
    """Train on the first batch only, as many steps as the data has."""
    loop.data = [first(loop.data)] * (loop.batches or 100)
    loop.batches, loop.evaluate = len(loop.data), None
    history = loop.run()
    start, end = history.steps[0], history.steps[-1]
    learned = end < 0.5 * start if start > 0 else end < start
    verdict = (
        "the model can learn"
        if learned
        else "the model did not learn one batch by heart: look at the learning rate, "
        "the loss function and the targets"
    )
    words = f"one batch, {len(history.steps)} steps: loss {cell(start)} to {cell(end)}"
    history.stopped = history.stopped or f"{words}; {verdict}"
    loop.display.say(history.stopped)
    return history
