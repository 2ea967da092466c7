"""Losses of regression, plain and robust."""

from __future__ import annotations

import math

import numpy as np

from ..core.bind import at_bottom, dtype_of
from ..core.primitive import number, op
from ..errors import ArgumentError, ShapeError
from .face import cast, need_number, need_tensor
from .loss_modes import _differences, floats, mode_of, reduced, same, total, weighted
from .precision import single


@single
def mse_loss(
    input, target, size_average=None, reduce=None, reduction="mean", weight=None
):
    """(x − t)².

    >>> mse_loss(tensor([1., 3.]), tensor([0., 0.]))
    tensor(5.)
    """
    mode = mode_of("mse_loss", reduction, size_average, reduce)
    x, t = _differences("mse_loss", input, target)
    d = x - t
    return weighted(d * d, weight, mode, "mse_loss")


@single
def l1_loss(
    input, target, size_average=None, reduce=None, reduction="mean", weight=None
):
    """|x − t|.

    >>> l1_loss(tensor([1., 3.]), tensor([0., 0.]))
    tensor(2.)
    """
    mode = mode_of("l1_loss", reduction, size_average, reduce)
    x, t = _differences("l1_loss", input, target, kinds="fVc")
    return weighted(op.abs(x - t), weight, mode, "l1_loss")


@single
def smooth_l1_loss(
    input, target, size_average=None, reduce=None, reduction="mean", beta=1.0
):
    """d²/2β where |d| < β, |d| − β/2 beyond, with d = x − t.

    >>> smooth_l1_loss(tensor([0.5, 3.]), tensor([0., 0.]), reduction="none")
    tensor([0.1250, 2.5000])
    """
    mode = mode_of("smooth_l1_loss", reduction, size_average, reduce)
    beta = need_number(beta, "smooth_l1_loss", "beta")
    if beta < 0:
        raise ArgumentError(f"smooth_l1_loss: beta must not be negative, got {beta}")
    x, t = _differences("smooth_l1_loss", input, target)
    loss = op.abs(x - t) if beta == 0 else op.huber(x - t, delta=beta) / beta
    return reduced(loss, mode)


@single
def huber_loss(input, target, reduction="mean", delta=1.0, weight=None):
    """d²/2 where |d| < δ, δ (|d| − δ/2) beyond, with d = x − t.

    >>> huber_loss(tensor([1., 5.]), tensor([0., 0.]), "none", delta=2.)
    tensor([0.5000, 8.0000])
    """
    mode = mode_of("huber_loss", reduction)
    delta = need_number(delta, "huber_loss", "delta")
    if delta <= 0:
        raise ArgumentError(f"huber_loss: delta must be positive, got {delta}")
    x, t = _differences("huber_loss", input, target)
    loss = op.huber(x - t, delta=delta)
    return weighted(loss, weight, mode, "huber_loss")


@single
def poisson_nll_loss(
    input,
    target,
    log_input=True,
    full=False,
    size_average=None,
    eps=1e-8,
    reduce=None,
    reduction="mean",
):
    """eˣ − t x, or x − t ln(x + eps) if not `log_input`; `full` adds Stirling's ln t!.

    >>> poisson_nll_loss(tensor([0.]), tensor([2.]))
    tensor(1.)
    """
    mode = mode_of("poisson_nll_loss", reduction, size_average, reduce)
    x, t = floats("poisson_nll_loss", input, target)
    loss = op.exp(x) - t * x if log_input else x - t * op.log(x + eps)
    if full:
        many = t > number(1, t)
        safe = op.where(many, t, number(1, t))
        stirling = t * op.log(safe) - t + 0.5 * op.log(2 * math.pi * safe)
        loss = loss + op.where(many, stirling, number(0, t))
    return reduced(loss, mode)


def gaussian_nll_loss(input, target, var, full=False, eps=1e-6, reduction="mean"):
    """½ (ln v + (x − t)²/v) of a variance v, at least eps; `full` adds ½ ln 2π.

    >>> gaussian_nll_loss(tensor([1.]), tensor([3.]), tensor([1.]))
    tensor(2.)
    """
    mode = mode_of("gaussian_nll_loss", reduction)
    name = "gaussian_nll_loss"
    x, t = floats(name, input, target)
    v = _variance(var, x, name)
    low = number(eps, v)
    v = v + op.stop_gradient(op.where(v < low, low - v, number(0, v)))
    loss = 0.5 * (op.log(v) + (x - t) * (x - t) / v)
    return reduced(loss + 0.5 * math.log(2 * math.pi) if full else loss, mode)


def _variance(var, x, name):
    """A variance of the input's shape, or of one number an example."""
    if isinstance(var, (int, float)):
        if var < 0:
            raise ArgumentError(f"{name}: var has negative entry/entries")
        return op.expand(number(var, x), shape=tuple(x.shape))
    need_tensor(var, name, "var")
    values = at_bottom(var)
    if isinstance(values, np.ndarray) and (values < 0).any():
        raise ArgumentError(f"{name}: var has negative entry/entries")
    v = cast(var, dtype_of(x))
    if tuple(v.shape) == tuple(x.shape[:-1]):
        return op.reshape(v, shape=(*v.shape, 1))
    same = v.ndim == x.ndim and all(
        a in (1, b) for a, b in zip(v.shape, x.shape, strict=True)
    )
    if not same:
        raise ShapeError(
            f"{name}: var is of incorrect size: {tuple(v.shape)} for {tuple(x.shape)}"
        )
    return v


@single
def kl_div(
    input, target, size_average=None, reduce=None, reduction="mean", log_target=False
):
    """t (ln t − x) of a log-probability x; with `log_target` of ln t. "batchmean" too.

    >>> kl_div(tensor([[-1., -1.]]), tensor([[0.5, 0.5]]), reduction="batchmean")
    tensor(0.3069)
    """
    name = "kl_div"
    mode = "batchmean"
    if not same(reduction, mode) or size_average is not None or reduce is not None:
        mode = mode_of(name, reduction, size_average, reduce)
    x, t = floats(name, input, target)
    loss = op.exp(t) * (t - x) if log_target else op.xlogy(t, t) - t * x
    if mode == "batchmean":
        return total(loss) / (x.shape[0] if x.ndim else 1)
    return reduced(loss, mode)


def mape_loss(input, target, eps=1e-8, reduction="mean"):
    """Absolute error in percent of the target, 100 |x − t| / max(|t|, eps).

    >>> mape_loss(tensor([9., 22.]), tensor([10., 20.]))
    tensor(10.)
    """
    mode = mode_of("mape_loss", reduction)
    x, t = _differences("mape_loss", input, target)
    size = op.maximum(op.abs(t), number(eps, t))
    return reduced(100 * op.abs(x - t) / size, mode)


def log_cosh_loss(input, target, reduction="mean"):
    """ln cosh(x − t): d²/2 near 0, |d| − ln 2 far out.

    >>> log_cosh_loss(tensor([1000., 0.]), tensor([0., 1.]), reduction="none")
    tensor([9.9931e+02, 4.3378e-01])
    """
    mode = mode_of("log_cosh_loss", reduction)
    x, t = _differences("log_cosh_loss", input, target)
    d = x - t
    near = op.abs(d) < number(1, d)
    s = op.sinh(0.5 * op.where(near, d, number(0, d)))
    far = op.abs(d) + op.log1p(op.exp(-2 * op.abs(d))) - math.log(2)
    return reduced(op.where(near, op.log1p(2 * s * s), far), mode)


def cauchy_loss(input, target, c=1.0, reduction="mean"):
    """c²/2 · ln(1 + (d/c)²), d = x − t: large errors count by their logarithm.

    >>> cauchy_loss(tensor([1.]), tensor([0.]))
    tensor(0.3466)
    """
    mode = mode_of("cauchy_loss", reduction)
    u = _scaled("cauchy_loss", input, target, c)
    return reduced(0.5 * c * c * op.log1p(u * u), mode)


def tukey_loss(input, target, c=4.685, reduction="mean"):
    """Tukey's biweight, c²/6 · (1 − (1 − (d/c)²)³) for |d| ≤ c, c²/6 beyond.

    >>> tukey_loss(tensor([100., 0.]), tensor([0., 0.]), c=6., reduction="none")
    tensor([6., 0.])
    """
    mode = mode_of("tukey_loss", reduction)
    u = _scaled("tukey_loss", input, target, c)
    rest = op.relu(1 - u * u)
    return reduced((c * c / 6) * (1 - rest * rest * rest), mode)


def _scaled(name, input, target, c):
    if need_number(c, name, "c") <= 0:
        raise ArgumentError(f"{name}: c must be positive, got {c}")
    x, t = _differences(name, input, target)
    return (x - t) / c
