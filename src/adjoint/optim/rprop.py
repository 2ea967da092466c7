"""Rprop: only the sign of the gradient counts, and each element has its own step."""

from __future__ import annotations

from ..errors import ArgumentError
from ..functional import alike, creation
from ..functional.face import FUNCTIONS
from .optimizer import Optimizer
from .terms import number, options


class Rprop(Optimizer):
    """p ← p − step · sign(g), the step growing while g keeps its sign.

    etas = (shrink, grow): where the sign changes, the step shrinks and the element rests.
    Steps stay between the two `step_sizes`. For gradients of all data, not of batches.
    `foreach` and `capturable` make no difference here; `differentiable` records the step.

    >>> from adjoint.optim import Rprop
    >>> w = tensor([1.], requires_grad=True)
    >>> opt = Rprop([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> opt.step()
    >>> w
    tensor([0.9000], requires_grad=True)
    """

    pointwise = True

    def __init__(
        self,
        params,
        lr=1e-2,
        etas=(0.5, 1.2),
        step_sizes=(1e-6, 50),
        *,
        capturable=False,
        foreach=None,
        maximize=False,
        differentiable=False,
    ):
        super().__init__(params, options(locals()))

    def check(self, o):
        """One eta shrinks, the other grows."""
        super().check(o)
        shrink, grow = o["etas"]
        if not 0 < shrink < 1 < grow:
            raise ArgumentError(
                f"Invalid eta values: {shrink}, {grow} (must be 0 < first < 1 < second)"
            )

    def begin(self, p, o):
        """No steps, no gradient before, steps of size lr."""
        lr = number(o["lr"], p)
        size = alike.zeros_like(p) + (lr * (1 + 1j) if p.is_complex() else lr)
        return {
            "step": creation.zeros(()),
            "prev": alike.zeros_like(p),
            "step_size": size,
        }

    def update(self, p, g, s, o):
        """One step of one parameter."""
        where, (shrink, grow) = FUNCTIONS["where"], o["etas"]
        s["step"] = s["step"] + 1
        same = g * s["prev"]
        size = s["step_size"]
        size = where(same > 0, size * grow, where(same < 0, size * shrink, size))
        size = s["step_size"] = size.clamp(*o["step_sizes"])
        g = s["prev"] = where(same < 0, 0, g)
        return p - g.sign() * size
