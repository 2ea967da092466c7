"""Adafactor: second moments of a matrix kept as one row and one column."""

from __future__ import annotations

from ..errors import ArgumentError
from ..functional import alike, creation
from ..functional.dtypes import finfo
from ..functional.face import FUNCTIONS
from .optimizer import Optimizer
from .terms import counted, given, mean, number, options


class Adafactor(Optimizer):
    """p ← p − α · u / max(1, rms(u) / d), with u = g / √v and α relative to p's own size.

    For matrices v is estimated from the means of g² over rows and over columns, so that the
    state is a row and a column; vectors keep it whole. α = max(eps₂, rms(p)) ·
    min(lr, 1/√t), and the means fade by 1 − t^beta2_decay. (Shazeer and Stern, 2018.)
    `foreach` makes no difference here.

    >>> from adjoint.optim import Adafactor
    >>> w = tensor([1., 1.], requires_grad=True)
    >>> opt = Adafactor([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> opt.step()
    >>> w
    tensor([0.9000, 0.9000], requires_grad=True)
    """

    def __init__(
        self,
        params,
        lr=1e-2,
        beta2_decay=-0.8,
        eps=(None, 1e-3),
        d=1.0,
        weight_decay=0.0,
        *,
        foreach=None,
        maximize=False,
    ):
        super().__init__(params, options(locals()))

    def check(self, o):
        """A fading that slows down, thresholds that are positive, real parameters."""
        super().check(o)
        eps1, eps2 = o["eps"]
        for bad, text in (
            (
                not o["beta2_decay"] <= 0,
                f"beta2_decay should be <= 0 but is: {o['beta2_decay']}",
            ),
            (
                not (eps1 is None or eps1 >= 0),
                f"epsilon1 should be >= 0 but is: {eps1}",
            ),
            (not eps2 >= 0, f"epsilon2 should be >= 0 but is: {eps2}"),
            (not o["d"] >= 1, f"Clipping threshold d should be >= 1 but is: {o['d']}"),
        ):
            if bad:
                raise ArgumentError(text)
        if any(p.is_complex() for p in o["params"]):
            raise ArgumentError("Adafactor does not support complex parameters")

    def begin(self, p, o):
        """No steps, means of zero."""
        s = {"step": creation.zeros(())}
        if p.ndim > 1:
            s["row_var"] = creation.zeros((*p.shape[:-1], 1), dtype=p.dtype)
            shape = (*p.shape[:-2], 1, p.shape[-1])
            s["col_var"] = creation.zeros(shape, dtype=p.dtype)
        else:
            s["variance"] = alike.zeros_like(p)
        return s

    def update(self, p, g, s, o):
        """One step of one parameter."""
        eps1, eps2 = o["eps"]
        eps1 = finfo(p.dtype).eps if eps1 is None else eps1
        t = counted(s)
        lr = t * 0 + number(o["lr"], t)
        size = _rms(p).double().clamp(min=eps2) * FUNCTIONS["minimum"](lr, t.rsqrt())
        if given(o["weight_decay"]):
            p = p * number(1 - o["lr"] * o["weight_decay"], p)
        v = _variance(g, s, number(t.pow(o["beta2_decay"]), p), eps1)
        u = v.clamp(min=eps1 * eps1).rsqrt() * g
        clip = (_rms(u).double() / o["d"]).clamp(min=1)
        return p - u * number(size / clip, p)


def _rms(x):
    return (x * x).mean().sqrt()


def _variance(g, s, rate, eps):
    """The mean of g² that the state remembers, moved by `rate` towards this g²."""
    square = g * g
    if "variance" in s:
        v = s["variance"] = mean(s["variance"], square, rate)
        return v
    row = s["row_var"] = mean(s["row_var"], square.mean(-1, keepdim=True), rate)
    col = s["col_var"] = mean(s["col_var"], square.mean(-2, keepdim=True), rate)
    return row @ col / row.mean(-2, keepdim=True).clamp(min=eps)
