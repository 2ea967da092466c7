"""ASGD: gradient descent with a falling rate, whose iterates are averaged."""

from __future__ import annotations

from ..functional import alike, creation
from ..functional.face import FUNCTIONS
from .optimizer import Optimizer
from .terms import counted, decayed, number, options


class ASGD(Optimizer):
    """p ← (1 − lambd · η) · p − η · g, with η = lr / (1 + lambd · lr · t)^alpha.

    The average of p from step t0 on is kept in the state as `ax`. `foreach` and
    `capturable` make no difference here; `differentiable` records the step.

    >>> from adjoint.optim import ASGD
    >>> w = tensor([1.], requires_grad=True)
    >>> opt = ASGD([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> opt.step()
    >>> w
    tensor([0.8000], requires_grad=True)
    """

    pointwise = True

    def __init__(
        self,
        params,
        lr=1e-2,
        lambd=1e-4,
        alpha=0.75,
        t0=1e6,
        weight_decay=0.0,
        foreach=None,
        maximize=False,
        differentiable=False,
        capturable=False,
    ):
        super().__init__(params, options(locals()))

    def begin(self, p, o):
        """No steps, the first rate, an average of nothing."""
        zero = creation.zeros(())
        return {
            "step": zero,
            "eta": zero + number(o["lr"], zero),
            "mu": creation.ones(()),
            "ax": alike.zeros_like(p),
        }

    def update(self, p, g, s, o):
        """One step of one parameter."""
        lr, rate, mu = o["lr"], s["eta"], s["mu"]
        t = counted(s)
        p, g = decayed(p, g, o)
        p = p * number(1 - o["lambd"] * rate.double(), p) - g * number(rate, p)
        ax = s["ax"]
        s["ax"] = FUNCTIONS["where"](mu == 1, p, ax + (p - ax) * number(mu, p))
        s["eta"] = number(lr / (1 + o["lambd"] * lr * t).pow(o["alpha"]), rate)
        s["mu"] = number(1 / (t - o["t0"]).clamp(min=1), mu)
        return p
