"""RMSprop: steps scaled by the root of the mean square of the gradient."""

from __future__ import annotations

from .optimizer import Optimizer
from .terms import begun, decayed, given, mean, number, options


class RMSprop(Optimizer):
    """p ← p − lr · g / (√v + eps), v the mean of g² that fades by alpha.

    `centered` takes the variance for v; `momentum` adds up the scaled gradients. `foreach`
    and `capturable` make no difference here; `differentiable` records the step.

    >>> from adjoint.optim import RMSprop
    >>> w = tensor([1.], requires_grad=True)
    >>> opt = RMSprop([w], lr=0.01)
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
        alpha=0.99,
        eps=1e-8,
        weight_decay=0.0,
        momentum=0.0,
        centered=False,
        capturable=False,
        foreach=None,
        maximize=False,
        differentiable=False,
    ):
        super().__init__(params, options(locals()))

    def begin(self, p, o):
        """No steps, means and momentum of zero."""
        momentum = ("momentum_buffer",) if given(o["momentum"]) else ()
        center = ("grad_avg",) if o["centered"] else ()
        return begun(p, "square_avg", *momentum, *center)

    def update(self, p, g, s, o):
        """One step of one parameter."""
        alpha = o["alpha"]
        p, g = decayed(p, g, o)
        s["step"] = s["step"] + 1
        v = s["square_avg"] = mean(s["square_avg"], g * g, 1 - alpha)
        if o["centered"]:
            m = s["grad_avg"] = mean(s["grad_avg"], g, 1 - alpha)
            v = v - m * m
        g = g / (v.sqrt() + o["eps"])
        if given(o["momentum"]):
            g = s["momentum_buffer"] = (
                s["momentum_buffer"] * number(o["momentum"], p) + g
            )
        return p - g * number(o["lr"], p)
