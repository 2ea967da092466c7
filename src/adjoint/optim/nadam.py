"""NAdam: Adam that looks ahead as Nesterov's momentum does."""

from __future__ import annotations

from ..functional import alike, creation
from .optimizer import Optimizer
from .terms import counted, decayed, moments, number, options, power


class NAdam(Optimizer):
    """Adam with Nesterov momentum, whose μ grows: μ = β₁ · (1 − ½ · 0.96^(t · decay)).

    p ← p − lr · ((1 − μ) · g / (1 − ∏μ) + μ' · m / (1 − μ' ∏μ)) / (√v̂ + eps), with μ' of
    the next step. `foreach` and `capturable` make no difference here; `differentiable`
    records the step.

    >>> from adjoint.optim import NAdam
    >>> w = tensor([1.], requires_grad=True)
    >>> opt = NAdam([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> opt.step()
    >>> w
    tensor([0.8944], requires_grad=True)
    """

    pointwise = True

    def __init__(
        self,
        params,
        lr=2e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=0.0,
        momentum_decay=4e-3,
        decoupled_weight_decay=False,
        *,
        foreach=None,
        maximize=False,
        capturable=False,
        differentiable=False,
    ):
        super().__init__(params, options(locals()))

    def begin(self, p, o):
        """No steps, means of zero, a product of no factors."""
        return {
            "step": creation.zeros(()),
            "mu_product": creation.ones(()),
            "exp_avg": alike.zeros_like(p),
            "exp_avg_sq": alike.zeros_like(p),
        }

    def update(self, p, g, s, o):
        """One step of one parameter."""
        (b1, b2), lr = o["betas"], o["lr"]
        p, g = decayed(p, g, o)
        t = counted(s)
        m, v = moments(s, g, o)
        mu, ahead = _momentum(t, b1, o), _momentum(t + 1, b1, o)
        product = s["mu_product"]
        s["mu_product"] = (product.double() * mu).to(product.dtype)
        product = s["mu_product"].double()
        root = (v * number(1 / (1 - power(b2, t)), p)).sqrt() + o["eps"]
        near = number(lr * (1 - mu) / (1 - product), p)
        far = number(lr * ahead / (1 - product * ahead), p)
        return p - (g * near + m * far) / root


def _momentum(t, beta, o):
    return beta * (1 - 0.5 * power(0.96, t * o["momentum_decay"]))
