"""Stochastic gradient descent."""

from __future__ import annotations

from ..errors import ArgumentError
from .optimizer import Optimizer


class SGD(Optimizer):
    """p ← p − lr · v, with v ← momentum · v + (1 − dampening) · g.

    >>> from adjoint.optim import SGD
    >>> w = tensor([1.], requires_grad=True)
    >>> opt = SGD([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> opt.step()
    >>> w
    tensor([0.8000], requires_grad=True)
    """

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
    ):
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "dampening": dampening,
                "weight_decay": weight_decay,
                "nesterov": nesterov,
                "maximize": maximize,
            },
        )

    def check(self, o):
        """Nesterov's form needs momentum and no dampening."""
        super().check(o)
        if o["nesterov"] and (o["momentum"] <= 0 or o["dampening"] != 0):
            raise ArgumentError(
                "Nesterov momentum requires a momentum and zero dampening"
            )

    def update(self, p, g, s, o):
        """One step of one parameter."""
        if o["weight_decay"]:
            g = g.add(p, alpha=o["weight_decay"])
        if o["momentum"]:
            v = s.get("momentum_buffer")
            if v is None:
                v = s["momentum_buffer"] = g.clone()
            else:
                v.mul_(o["momentum"]).add_(g, alpha=1 - o["dampening"])
            g = g.add(v, alpha=o["momentum"]) if o["nesterov"] else v
        p.sub_(g * o["lr"])
