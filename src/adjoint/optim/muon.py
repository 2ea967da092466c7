"""Muon: the momentum of a matrix, made orthogonal."""

from __future__ import annotations

import math

from ..core import dtype as dt
from ..errors import ArgumentError
from ..functional import alike
from .optimizer import Optimizer
from .terms import mean, number, options

_ADJUST = (None, "original", "match_rms_adamw")


class Muon(Optimizer):
    """p ← (1 − lr · weight_decay) · p − lr' · orthogonal(momentum), for matrices.

    The factor of the polar decomposition with all singular values near 1 comes from
    `ns_steps` Newton-Schulz iterations X ← a X + (b XXᵀ + c (XXᵀ)²) X, with results rounded
    to bfloat16 (not so where ml_dtypes is not installed). `adjust_lr_fn` gives
    lr' = lr · √max(1, rows / columns), or, "match_rms_adamw",
    lr · 0.2 · √max(rows, columns). Biases, embeddings and the last layer are better left
    to AdamW. (Jordan et al., 2024.)

    >>> from adjoint.optim import Muon
    >>> w = ones(2, 2, requires_grad=True)
    >>> opt = Muon([w], lr=0.1)
    >>> (w * tensor([[3., 0.], [0., 5.]])).sum().backward()
    >>> opt.step()
    >>> ((w < 0.95) == eye(2).bool()).all()
    tensor(True)
    """

    def __init__(
        self,
        params,
        lr=1e-3,
        weight_decay=0.1,
        momentum=0.95,
        nesterov=True,
        ns_coefficients=(3.4445, -4.775, 2.0315),
        eps=1e-7,
        ns_steps=5,
        adjust_lr_fn=None,
    ):
        super().__init__(params, options(locals()))

    def check(self, o):
        """Real matrices, three coefficients, few steps, a known rule for the rate."""
        super().check(o)
        for p in o["params"]:
            if p.ndim != 2:
                raise ArgumentError(
                    f"Muon only supports 2D parameters, not one of size {tuple(p.shape)}",
                    hint="train biases and embeddings with AdamW",
                )
            if p.is_complex():
                raise ArgumentError("Muon does not support complex parameters")
        if o["adjust_lr_fn"] not in _ADJUST:
            raise ArgumentError(
                f"Adjust learning rate function {o['adjust_lr_fn']} is not supported"
            )
        if len(o["ns_coefficients"]) != 3 or not o["ns_steps"] < 100:
            raise ArgumentError(
                "Muon takes exactly 3 ns_coefficients and less than 100 ns_steps, got "
                f"{o['ns_coefficients']} and {o['ns_steps']}"
            )

    def begin(self, p, o):
        """A momentum of zero."""
        return {"momentum_buffer": alike.zeros_like(p)}

    def update(self, p, g, s, o):
        """One step of one parameter."""
        v = s["momentum_buffer"] = mean(s["momentum_buffer"], g, 1 - o["momentum"])
        x = mean(g, v, o["momentum"]) if o["nesterov"] else v
        x = orthogonal(x, o["ns_coefficients"], o["ns_steps"], o["eps"])
        rate = o["lr"] * _ratio(p, o["adjust_lr_fn"])
        p = p * number(1 - o["lr"] * o["weight_decay"], p)
        return p - x.to(p.dtype) * number(rate, p)


def _ratio(p, rule) -> float:
    rows, columns = p.shape
    if rule == "match_rms_adamw":
        return 0.2 * math.sqrt(max(rows, columns))
    return math.sqrt(max(1, rows / columns))


def orthogonal(x, coefficients, steps: int, eps: float):
    """About the orthogonal matrix next to `x`: its singular values become nearly 1."""
    a, b, c = coefficients
    x = _rounded(x)
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    x = _rounded(x / _rounded(x.norm()).clamp(min=eps))
    for _ in range(steps):
        gram = _rounded(x @ x.T)
        factor = _rounded(gram * b + gram @ gram * c)
        x = _rounded(x * a + factor @ x)
    return x.T if tall else x


def _rounded(x):
    """`x` in float32, with the digits of bfloat16: PyTorch rounds once a product."""
    x = x if dt.bfloat16 is None else x.to(dt.bfloat16)
    return x.to(dt.float32)
