"""Stochastic gradient descent."""

from __future__ import annotations

from ..errors import ArgumentError
from .optimizer import Optimizer
from .terms import decayed, given, number, options


class SGD(Optimizer):
    """p ← p − lr · v, with v ← momentum · v + (1 − dampening) · g.

    Nesterov's form looks ahead: p ← p − lr · (g + momentum · v). weight_decay · p joins
    the gradient. `foreach` and `fused` choose kernels in PyTorch and make no difference
    here; `differentiable` records the step.

    >>> from adjoint.optim import SGD
    >>> w = tensor([1.], requires_grad=True)
    >>> opt = SGD([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> opt.step()
    >>> w
    tensor([0.8000], requires_grad=True)
    """

    pointwise = True

    def __init__(
        self,
        params,
        lr=1e-3,
        momentum=0.0,
        dampening=0.0,
        weight_decay=0.0,
        nesterov=False,
        *,
        maximize=False,
        foreach=None,
        differentiable=False,
        fused=None,
    ):
        super().__init__(params, options(locals()))

    def check(self, o):
        """Nesterov's form needs momentum and no dampening."""
        super().check(o)
        if o["nesterov"] and (o["momentum"] <= 0 or o["dampening"] != 0):
            raise ArgumentError(
                "Nesterov momentum requires a momentum and zero dampening, got momentum "
                f"{o['momentum']} and dampening {o['dampening']}"
            )

    def update(self, p, g, s, o):
        """One step of one parameter."""
        p, g = decayed(p, g, o)
        if given(o["momentum"]):
            momentum = number(o["momentum"], p)
            v = s.get("momentum_buffer")
            v = g if v is None else v * momentum + g * (1 - o["dampening"])
            s["momentum_buffer"] = v
            g = g + v * momentum if o["nesterov"] else v
        return p - g * number(o["lr"], p)
