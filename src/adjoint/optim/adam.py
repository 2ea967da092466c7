"""Adam and AdamW: steps scaled by running means of the gradient and of its square."""

from __future__ import annotations

from .optimizer import Optimizer
from .terms import begun, counted, decayed, moments, number, options, power


class Adam(Optimizer):
    """p ← p − lr · m̂ / (√v̂ + eps), m and v the running means of g and g² without bias.

    `amsgrad` takes the largest v so far. `foreach`, `fused` and `capturable` choose kernels
    in PyTorch and make no difference here; `differentiable` records the step.

    >>> from adjoint.optim import Adam
    >>> w = tensor([1.], requires_grad=True)
    >>> opt = Adam([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> opt.step()
    >>> w
    tensor([0.9000], requires_grad=True)
    """

    pointwise = True

    def __init__(
        self,
        params,
        lr=1e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=0.0,
        amsgrad=False,
        *,
        foreach=None,
        maximize=False,
        capturable=False,
        differentiable=False,
        fused=None,
        decoupled_weight_decay=False,
    ):
        super().__init__(params, options(locals()))

    def begin(self, p, o):
        """No steps, means of zero."""
        largest = ("max_exp_avg_sq",) if o["amsgrad"] else ()
        return begun(p, "exp_avg", "exp_avg_sq", *largest)

    def update(self, p, g, s, o):
        """One step of one parameter."""
        (b1, b2), lr = o["betas"], o["lr"]
        p, g = decayed(p, g, o)
        t = counted(s)
        m, v = moments(s, g, o)
        if o["amsgrad"]:
            v = s["max_exp_avg_sq"] = s["max_exp_avg_sq"].maximum(v)
        unbias = (1 - power(b2, t)).sqrt()  # √v̂ = √v / unbias
        size = number(lr * unbias / (1 - power(b1, t)), p)
        return p - m / (v.sqrt() + number(o["eps"] * unbias, p)) * size


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
        foreach=None,
        capturable=False,
        differentiable=False,
        fused=None,
    ):
        super().__init__(params, **options(locals()), decoupled_weight_decay=True)
