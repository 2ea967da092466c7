"""Lion: the sign of an interpolated momentum."""

from __future__ import annotations

from ..functional import alike
from .optimizer import Optimizer
from .terms import given, mean, number, options


class Lion(Optimizer):
    """p ← p − lr · (sign(β₁ · m + (1 − β₁) · g) + weight_decay · p), m ← β₂ m + (1 − β₂) g.

    All elements move by lr, so it wants a rate three to ten times smaller than Adam's.
    (Chen et al., Symbolic discovery of optimization algorithms, 2023.) `foreach` and
    `capturable` make no difference; `differentiable` records the step.

    >>> from adjoint.optim import Lion
    >>> w = tensor([1.], requires_grad=True)
    >>> opt = Lion([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> opt.step()
    >>> w
    tensor([0.9000], requires_grad=True)
    """

    pointwise = True

    def __init__(
        self,
        params,
        lr=1e-4,
        betas=(0.9, 0.99),
        weight_decay=0.0,
        *,
        foreach=None,
        maximize=False,
        capturable=False,
        differentiable=False,
    ):
        super().__init__(params, options(locals()))

    def begin(self, p, o):
        """A momentum of zero."""
        return {"exp_avg": alike.zeros_like(p)}

    def update(self, p, g, s, o):
        """One step of one parameter."""
        (b1, b2), lr, m = o["betas"], o["lr"], s["exp_avg"]
        if given(o["weight_decay"]):
            p = p * number(1 - lr * o["weight_decay"], p)
        s["exp_avg"] = mean(m, g, 1 - b2)
        return p - mean(m, g, 1 - b1).sign() * number(lr, p)
