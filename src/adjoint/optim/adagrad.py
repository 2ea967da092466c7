"""Adagrad: steps scaled by all gradients so far."""

from __future__ import annotations

from ..functional import alike, creation
from .optimizer import Optimizer
from .terms import counted, decayed, number, options


class Adagrad(Optimizer):
    """p ← p − lr / (1 + (t − 1) · lr_decay) · g / (√sum + eps), sum ← sum + g².

    `foreach` and `fused` make no difference here; `differentiable` records the step.

    >>> from adjoint.optim import Adagrad
    >>> w = tensor([1.], requires_grad=True)
    >>> opt = Adagrad([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> opt.step()
    >>> w
    tensor([0.9000], requires_grad=True)
    """

    pointwise = state_at_once = True

    def __init__(
        self,
        params,
        lr=1e-2,
        lr_decay=0.0,
        weight_decay=0.0,
        initial_accumulator_value=0.0,
        eps=1e-10,
        foreach=None,
        *,
        maximize=False,
        differentiable=False,
        fused=None,
    ):
        super().__init__(params, options(locals()))

    def begin(self, p, o):
        """No steps, the sum where the user wants it to start."""
        start = o["initial_accumulator_value"]
        start = complex(start, start) if p.is_complex() else start
        return {"step": creation.zeros(()), "sum": alike.full_like(p, start)}

    def update(self, p, g, s, o):
        """One step of one parameter."""
        p, g = decayed(p, g, o)
        t = counted(s)
        lr = o["lr"] / (1 + (t - 1) * o["lr_decay"])
        total = s["sum"] = s["sum"] + g * g
        return p - g / (total.sqrt() + o["eps"]) * number(lr, p)
