"""SparseAdam: Adam for tables of which each batch uses a few rows."""

from __future__ import annotations

from ..errors import ArgumentError
from ..functional.face import FUNCTIONS
from .optimizer import Optimizer
from .terms import begun, counted, mean, number, options, power


class SparseAdam(Optimizer):
    """Adam that leaves alone the rows whose gradient is zero, with their means.

    A row is what one index of the first dim selects, such as an embedding. Gradients here
    are dense, so a row counts as used where any of its elements is not zero.

    >>> from adjoint.optim import SparseAdam
    >>> table = ones(3, 2, requires_grad=True)
    >>> opt = SparseAdam([table], lr=0.1)
    >>> table[1].sum().backward()
    >>> opt.step()
    >>> table
    tensor([[1.0000, 1.0000],
            [0.9000, 0.9000],
            [1.0000, 1.0000]], requires_grad=True)
    """

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, maximize=False):
        super().__init__(params, options(locals()))

    def check(self, o):
        """Real parameters, and a rate and eps above zero."""
        super().check(o)
        for name in ("lr", "eps"):
            if not o[name] > 0:
                raise ArgumentError(f"Invalid {name}: {o[name]} (must be > 0)")
        if any(p.is_complex() for p in o["params"]):
            raise ArgumentError("SparseAdam does not support complex parameters")

    def begin(self, p, o):
        """No steps, means of zero."""
        return begun(p, "exp_avg", "exp_avg_sq")

    def update(self, p, g, s, o):
        """One step of one parameter."""
        b1, b2 = o["betas"]
        t = counted(s)
        used = (g != 0).flatten(1).any(1) if p.ndim > 1 else g != 0
        used = used.reshape((-1,) + (1,) * (p.ndim - 1)) if p.ndim > 1 else used
        m = mean(s["exp_avg"], g, 1 - b1)
        v = mean(s["exp_avg_sq"], g * g, 1 - b2)
        size = o["lr"] * (1 - power(b2, t)).sqrt() / (1 - power(b1, t))
        where = FUNCTIONS["where"]
        s["exp_avg"] = where(used, m, s["exp_avg"])
        s["exp_avg_sq"] = where(used, v, s["exp_avg_sq"])
        return where(used, p - m / (v.sqrt() + o["eps"]) * number(size, p), p)
