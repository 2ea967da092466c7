"""Gradients limited in length or in each element, in place."""

from __future__ import annotations

import warnings
from types import GeneratorType

from ...autodiff.modes import no_grad
from ...core.bind import Box
from ...functional import debug, linalg
from ...functional.face import FUNCTIONS

_NOT_FINITE = (
    "The total norm of order {} for gradients from `parameters` is non-finite ({}), so it "
    "cannot be clipped; error_if_nonfinite=False scales by it anyway"
)


def get_total_norm(
    tensors, norm_type: float = 2.0, error_if_nonfinite: bool = False, foreach=None
):
    """The norm of several tensors as if they were one vector.

    >>> nn.utils.get_total_norm([tensor([3., 0.]), tensor([[4.]])])
    tensor(5.)
    """
    tensors = [tensors] if isinstance(tensors, Box) else list(tensors)
    if not tensors:
        return FUNCTIONS["tensor"](0.0)
    norms = [linalg.vector_norm(x, float(norm_type)) for x in tensors]
    total = linalg.vector_norm(FUNCTIONS["stack"](norms), float(norm_type))
    if error_if_nonfinite:
        debug.check(total.isfinite(), _NOT_FINITE, norm_type, total)
    return total


@no_grad()
def clip_grads_with_norm_(
    parameters, max_norm: float, total_norm, foreach=None
) -> None:
    """Scale gradients of this total norm down to `max_norm`, if they are longer.

    >>> w = tensor([0.], requires_grad=True)
    >>> w.grad = tensor([8.])
    >>> nn.utils.clip_grads_with_norm_(w, 2., tensor(8.))
    >>> w.grad
    tensor([2.0000])
    """
    scale = (float(max_norm) / (total_norm + 1e-6)).clamp(max=1.0)
    for g in gradients(parameters):
        g.mul_(scale)


@no_grad()
def clip_grad_norm_(
    parameters,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach=None,
):
    """Scale all gradients so that together they are no longer than `max_norm`.

    Returns the norm they had.

    >>> w = tensor([3., 4.], requires_grad=True)
    >>> (w * w).sum().backward()
    >>> nn.utils.clip_grad_norm_(w, 1.), w.grad
    (tensor(10.), tensor([0.6000, 0.8000]))
    """
    from_generator = isinstance(parameters, GeneratorType)
    parameters = [parameters] if isinstance(parameters, Box) else list(parameters)
    if from_generator and not parameters:
        warnings.warn(
            "`parameters` is an empty generator, no gradient clipping will occur.",
            stacklevel=3,
        )
    total = get_total_norm(gradients(parameters), norm_type, error_if_nonfinite)
    clip_grads_with_norm_(parameters, max_norm, total)
    return total


def clip_grad_norm(parameters, *args, **kwargs):
    """`clip_grad_norm_`, as it was called."""
    warnings.warn(
        "clip_grad_norm is now deprecated in favor of clip_grad_norm_",
        FutureWarning,
        stacklevel=2,
    )
    return clip_grad_norm_(parameters, *args, **kwargs)


@no_grad()
def clip_grad_value_(parameters, clip_value: float, foreach=None) -> None:
    """Limit each element of all gradients to [−clip_value, clip_value].

    >>> w = tensor([3., -4.], requires_grad=True)
    >>> (w * w).sum().backward()
    >>> nn.utils.clip_grad_value_(w, 7.)
    >>> w.grad
    tensor([ 6., -7.])
    """
    limit = float(clip_value)
    for g in gradients(parameters):
        g.clamp_(-limit, limit)


def gradients(parameters) -> list:
    """The gradients there are."""
    parameters = [parameters] if isinstance(parameters, Box) else parameters
    return [p.grad for p in parameters if p.grad is not None]
