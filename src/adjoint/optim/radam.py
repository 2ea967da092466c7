"""RAdam: Adam that waits with scaling until the variance of the scale is known."""

from __future__ import annotations

from ..functional.face import FUNCTIONS
from .optimizer import Optimizer
from .terms import begun, counted, decayed, moments, number, options, power


class RAdam(Optimizer):
    """Adam whose scale is rectified, and left out while its variance has no bound.

    With ρ∞ = 2 / (1 − β₂) − 1 and ρ = ρ∞ − 2 t β₂ᵗ / (1 − β₂ᵗ), the step is lr · m̂ while
    ρ ≤ 5, then lr · m̂ · r / (√v̂ + eps) with r² = (ρ−4)(ρ−2)ρ∞ / ((ρ∞−4)(ρ∞−2)ρ). `foreach`
    and `capturable` make no difference here; `differentiable` records the step.

    >>> from adjoint.optim import RAdam
    >>> w = tensor([1.], requires_grad=True)
    >>> opt = RAdam([w], lr=0.1)
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
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=0.0,
        decoupled_weight_decay=False,
        *,
        foreach=None,
        maximize=False,
        capturable=False,
        differentiable=False,
    ):
        super().__init__(params, options(locals()))

    def begin(self, p, o):
        """No steps, means of zero."""
        return begun(p, "exp_avg", "exp_avg_sq")

    def update(self, p, g, s, o):
        """One step of one parameter."""
        (b1, b2), lr = o["betas"], o["lr"]
        p, g = decayed(p, g, o)
        t = counted(s)
        m, v = moments(s, g, o)
        rho, unbias = _length(t, b2)
        scale = number(_rectified(rho, b2) * unbias.sqrt(), p) / (v.sqrt() + o["eps"])
        size = number(lr / (1 - power(b1, t)), p)
        return p - m * size * FUNCTIONS["where"](rho > 5, scale, 1)


def _length(t, b2):
    """How many gradients the mean of squares is worth, and its bias correction."""
    left = power(b2, t)
    unbias = 1 - left
    return 2 / (1 - b2) - 1 - 2 * t * left / unbias, unbias


def _rectified(rho, b2):
    """The factor r; anything finite where it is not used."""
    far = 2 / (1 - b2) - 1
    rho = rho.clamp(min=5.0)
    return ((rho - 4) * (rho - 2) * far / ((far - 4) * (far - 2) * rho)).sqrt()
