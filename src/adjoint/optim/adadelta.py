"""Adadelta: steps in the units of the parameter itself."""

from __future__ import annotations

from ..errors import ArgumentError
from .optimizer import Optimizer
from .terms import begun, decayed, mean, number, options


class Adadelta(Optimizer):
    """p ← p − lr · d, with d = g · √(mean of d² + eps) / √(mean of g² + eps).

    Both means fade by rho. `foreach` and `capturable` make no difference here;
    `differentiable` records the step.

    >>> from adjoint.optim import Adadelta
    >>> w = tensor([1.], requires_grad=True)
    >>> opt = Adadelta([w], lr=100.)
    >>> (w * w).sum().backward()
    >>> opt.step()
    >>> w
    tensor([0.6838], requires_grad=True)
    """

    pointwise = True

    def __init__(
        self,
        params,
        lr=1.0,
        rho=0.9,
        eps=1e-6,
        weight_decay=0.0,
        foreach=None,
        *,
        capturable=False,
        maximize=False,
        differentiable=False,
    ):
        super().__init__(params, options(locals()))

    def check(self, o):
        """The mean fades by a part."""
        super().check(o)
        if not 0 <= o["rho"] <= 1:
            raise ArgumentError(f"Invalid rho value: {o['rho']} (must be in [0, 1])")

    def begin(self, p, o):
        """No steps, means of zero."""
        return begun(p, "square_avg", "acc_delta")

    def update(self, p, g, s, o):
        """One step of one parameter."""
        rho, eps = o["rho"], o["eps"]
        p, g = decayed(p, g, o)
        s["step"] = s["step"] + 1
        v = s["square_avg"] = mean(s["square_avg"], g * g, 1 - rho)
        d = (s["acc_delta"] + eps).sqrt() / (v + eps).sqrt() * g
        s["acc_delta"] = mean(s["acc_delta"], d * d, 1 - rho)
        return p - d * number(o["lr"], p)
