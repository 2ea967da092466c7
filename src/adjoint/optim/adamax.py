"""Adamax: Adam with the largest gradient in place of the mean square."""

from __future__ import annotations

from .optimizer import Optimizer
from .terms import begun, counted, decayed, mean, number, options, power


class Adamax(Optimizer):
    """p ← p − lr · m̂ / u, with u ← max(β₂ · u, |g| + eps), the fading infinity norm.

    `foreach` and `capturable` make no difference here; `differentiable` records the step.

    >>> from adjoint.optim import Adamax
    >>> w = tensor([1.], requires_grad=True)
    >>> opt = Adamax([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> opt.step()
    >>> w
    tensor([0.9000], requires_grad=True)
    """

    pointwise = True

    def __init__(
        self,
        params,
        lr=2e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=0.0,
        foreach=None,
        *,
        maximize=False,
        differentiable=False,
        capturable=False,
    ):
        super().__init__(params, options(locals()))

    def begin(self, p, o):
        """No steps, means of zero."""
        return begun(p, "exp_avg", "exp_inf")

    def update(self, p, g, s, o):
        """One step of one parameter."""
        b1, b2 = o["betas"]
        p, g = decayed(p, g, o)
        t = counted(s)
        m = s["exp_avg"] = mean(s["exp_avg"], g, 1 - b1)
        u = s["exp_inf"] = (s["exp_inf"] * number(b2, p)).maximum(g.abs() + o["eps"])
        return p - m / u * number(o["lr"] / (1 - power(b1, t)), p)
