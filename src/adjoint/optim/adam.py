"""Adam and AdamW: steps scaled by running means of the gradient and of its square."""

from __future__ import annotations

from ..functional import creation
from ..functional.face import FUNCTIONS
from .optimizer import Optimizer


class Adam(Optimizer):
    """p ← p − lr · m̂ / (√v̂ + eps), m and v the running means of g and g² without bias.

    >>> from adjoint.optim import Adam
    >>> w = tensor([1.], requires_grad=True)
    >>> opt = Adam([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> opt.step()
    >>> w
    tensor([0.9000], requires_grad=True)
    """

    decoupled = (
        False  # weight decay shrinks the parameter instead of joining its gradient
    )

    def __init__(
        self,
        params,
        lr=1e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=0.0,
        amsgrad=False,
        *,
        maximize=False,
        decoupled_weight_decay=False,
    ):
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "amsgrad": amsgrad,
                "maximize": maximize,
                "decoupled_weight_decay": decoupled_weight_decay or self.decoupled,
            },
        )

    def begin(self, p, o):
        """No steps, means of zero."""
        s = {"step": creation.zeros(())}
        s["exp_avg"] = creation.zeros_like(p.detach())
        s["exp_avg_sq"] = creation.zeros_like(p.detach())
        if o["amsgrad"]:
            s["max_exp_avg_sq"] = creation.zeros_like(p.detach())
        return s

    def update(self, p, g, s, o):
        """One step of one parameter."""
        (b1, b2), m, v, step = o["betas"], s["exp_avg"], s["exp_avg_sq"], s["step"]
        step.add_(1)
        if o["decoupled_weight_decay"]:
            p.mul_(1 - o["lr"] * o["weight_decay"])
        elif o["weight_decay"]:
            g = g.add(p, alpha=o["weight_decay"])
        m.lerp_(g, 1 - b1)
        v.mul_(b2).addcmul_(g, g, value=1 - b2)
        if o["amsgrad"]:
            v = s["max_exp_avg_sq"].copy_(FUNCTIONS["maximum"](s["max_exp_avg_sq"], v))
        t = step.double()
        scale = o["lr"] / (1 - b1**t)
        root = (v / (1 - b2**t).to(v.dtype)).sqrt().add_(o["eps"])
        p.sub_(m / root * scale.to(p.dtype))


class AdamW(Adam):
    """Adam whose weight decay shrinks the parameter itself.

    >>> from adjoint.optim import AdamW
    >>> w = tensor([1.], requires_grad=True)
    >>> opt = AdamW([w], lr=0.1, weight_decay=0.5)
    >>> (w * w).sum().backward()
    >>> opt.step()
    >>> w
    tensor([0.8500], requires_grad=True)
    """

    decoupled = True

    def __init__(
        self,
        params,
        lr=1e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=1e-2,
        amsgrad=False,
        *,
        maximize=False,
    ):
        super().__init__(
            params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize
        )
