"""Why a number is not finite: the step, and the first of data, layer, loss, gradient."""

from __future__ import annotations

import math
from contextlib import contextmanager

import numpy as np

from ..autodiff.modes import no_grad
from ..core import tree
from ..core.bind import Box
from ..core.generator import default_generator
from ..errors import NotFiniteError as NotFiniteError
from .amp import finite


def bad_places(x) -> str:
    """`NaN in 2 of 6 places, first at [0, 3]`, or empty for a finite tensor."""
    x = x.detach().numpy_of() if isinstance(x, Box) else np.asarray(x)
    if x.dtype.kind in "biuSUO" or np.isfinite(x).all():
        return ""
    bad = ~np.isfinite(x)
    kinds = [
        k
        for k, f in (("NaN", np.isnan), ("Inf", np.isinf))
        if f(x.astype(complex)).any()
    ]
    first = [int(i) for i in np.argwhere(bad)[0]]
    where = f", first at {first}" if first else ""
    return f"{' and '.join(kinds)} in {int(bad.sum())} of {x.size} places{where}"


def in_batch(batch) -> str:
    """What is not finite in a batch."""
    for i, x in enumerate(tree.flatten(batch)[0]):
        if isinstance(x, (Box, np.ndarray)) and bad_places(x):
            return f"the data: tensor {i} of the batch has {bad_places(x)}"
    return ""


def in_parameters(model) -> str:
    """Which parameter is not finite."""
    for name, p in model.named_parameters():
        if bad_places(p):
            return f"the parameter {name} has {bad_places(p)}"
    return ""


def in_gradients(model) -> str:
    """Which gradients are not finite, and how large the others are."""
    bad = [
        (name, bad_places(p.grad))
        for name, p in model.named_parameters()
        if p.grad is not None and not finite(p.grad)
    ]
    if not bad:
        return ""
    name, how = bad[0]
    more = f" ({len(bad)} parameters in all)" if len(bad) > 1 else ""
    return f"the gradient of {name} has {how}{more}"


def in_layers(model, inputs) -> str:
    """The first module that makes something not finite of finite inputs."""
    found: list[str] = []

    def watch(path):
        def hook(module, args, y):
            made = [bad_places(v) for v in tree.flatten(y)[0] if isinstance(v, Box)]
            if not found and any(made):
                how = next(m for m in made if m)
                found.append(f"the output of {path or 'the model'} "
                             f"({type(module).__name__}) has {how}")  # fmt: skip

        return hook

    handles = [m.register_forward_hook(watch(p)) for p, m in model.named_modules()]
    try:
        with untouched(model), no_grad():
            model(*inputs)
    finally:
        for handle in handles:
            handle.remove()
    return found[0] if found else ""


@contextmanager
def untouched(model):
    """Buffers and random numbers as before, whatever a second look does to them."""
    kept = [(b, b.detach().clone()) for b in model.buffers()]
    position = default_generator.position()
    try:
        yield
    finally:
        default_generator.go_to(position)
        with no_grad():
            for b, before in kept:
                b.copy_(before)


def reason(model, batch, inputs, loss: float) -> str:
    """Why the loss is not finite: the first cause that can be found."""
    found = in_batch(batch)
    if not found and model is not None:
        found = in_parameters(model) or in_layers(model, inputs)
    how = "NaN" if math.isnan(loss) else "infinite"
    found = found or "the outputs are finite: the loss function itself made it"
    return f"the loss is {how}: {found}"
