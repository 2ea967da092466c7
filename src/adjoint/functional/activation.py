"""Activations as `nn.functional` names them, with PyTorch's derivative at every kink."""

from __future__ import annotations

import math
import warnings

import numpy as np

from ..autodiff.inplace import updated
from ..core.bind import dtype_of
from ..core.primitive import number, op
from ..core.shape import norm_dim
from ..errors import ArgumentError, DtypeError, ShapeError
from .face import cast, function, inexact, method, need_number, need_tensor, np_dtype
from .filling import exponential_
from .precision import lower
from .random import rand_like
from .reductions import argmax

_FLOATS, _REALS, _INEXACT = "fV", "fViu", "fVc"


def _apply(x, f, name, inplace=False, kinds=_FLOATS):
    """f(x) for a tensor of a dtype that `name` takes; written into it if asked."""
    need_tensor(x, name)
    if dtype_of(x).kind not in kinds:
        raise DtypeError(
            f"{name}: not defined for {dtype_of(x).name}", hint="x.float() makes floats"
        )
    return updated(x, f, name + "_") if inplace else f(x)


# ---------------------------------------------------------------- bent lines


def relu(input, inplace=False):
    """max(x, 0); the derivative at 0 is 0.

    >>> relu(tensor([-1., 0., 2.]))
    tensor([0., 0., 2.])
    """
    return _apply(input, op.relu, "relu", inplace, _REALS)


def hardtanh(input, min_val=-1.0, max_val=1.0, inplace=False):
    """x limited to [min_val, max_val]; the derivative is 0 from the limits on.

    >>> hardtanh(tensor([-3., 0.5, 3.]))
    tensor([-1.0000,  0.5000,  1.0000])
    """
    min_val = need_number(min_val, "hardtanh", "min_val")
    max_val = need_number(max_val, "hardtanh", "max_val")
    if min_val > max_val:
        raise ArgumentError(
            f"hardtanh: min_val must not exceed max_val, got {min_val} and {max_val}"
        )
    limits = {"low": min_val, "high": max_val}
    return _apply(
        input, lambda x: op.hardtanh(x, **limits), "hardtanh", inplace, _REALS
    )


def relu6(input, inplace=False):
    """min(max(x, 0), 6).

    >>> relu6(tensor([-1., 3., 8.]))
    tensor([0., 3., 6.])
    """
    return hardtanh(input, 0.0, 6.0, inplace)


def leaky_relu(input, negative_slope=0.01, inplace=False):
    """x where x > 0, negative_slope · x elsewhere.

    >>> leaky_relu(tensor([-1., 2.]), 0.5)
    tensor([-0.5000,  2.0000])
    """
    slope = need_number(negative_slope, "leaky_relu", "negative_slope")
    return _apply(input, lambda x: op.leaky_relu(x, slope=slope), "leaky_relu", inplace)


@method
@lower
def prelu(input, weight):
    """x where x > 0, weight · x elsewhere, with one weight or one a channel (dim 1).

    >>> prelu(tensor([[-1., -1.]]), tensor([0.5, 0.1]))
    tensor([[-0.5000, -0.1000]])
    """
    need_tensor(weight, "prelu", "weight")
    if dtype_of(weight) != dtype_of(need_tensor(input, "prelu")):
        raise DtypeError(
            f"prelu: input and weight must have the same dtype, got "
            f"{dtype_of(input).name} and {dtype_of(weight).name}"
        )
    w = _per_channel(weight, input)
    return _apply(input, lambda x: op.prelu(x, w), "prelu")


def _per_channel(w, x):
    if w.ndim > 1:
        raise ShapeError(f"prelu: weight must be 0-D or 1-D, got {tuple(w.shape)}")
    count = math.prod(w.shape)
    channels = x.shape[1] if x.ndim > 1 else 1
    if count == 1:
        return op.reshape(w, shape=(1,) * x.ndim)
    if count != channels:
        raise ShapeError(
            f"prelu: weight must have 1 element or one a channel ({channels}), got {count}"
        )
    return op.reshape(w, shape=(count, *(1,) * (x.ndim - 2)))


def threshold(input, threshold, value, inplace=False):
    """x where x > threshold, `value` elsewhere.

    >>> nn.functional.threshold(tensor([-1., 2.]), 0.5, 9.)
    tensor([9., 2.])
    """
    params = {
        "threshold": need_number(threshold, "threshold", "threshold"),
        "value": need_number(value, "threshold", "value"),
    }
    return _apply(
        input, lambda x: op.threshold(x, **params), "threshold", inplace, _REALS
    )


def elu(input, alpha=1.0, inplace=False):
    """x where x > 0, α (eˣ − 1) elsewhere.

    >>> elu(tensor([-1., 2.]))
    tensor([-0.6321,  2.0000])
    """
    alpha = need_number(alpha, "elu", "alpha")
    return _bent(input, "elu", inplace, alpha=alpha, scale=1.0, rate=1.0)


def _bent(x, name, inplace, **params):
    return _apply(x, lambda x: op.elu(x, **params), name, inplace)


@function
def celu(input, alpha=1.0, inplace=False):
    """x where x > 0, α (e^(x/α) − 1) elsewhere.

    >>> celu(tensor([-1., 2.]), 2.)
    tensor([-0.7869,  2.0000])
    """
    alpha = need_number(alpha, "celu", "alpha")
    if alpha == 0:
        raise ArgumentError("celu: alpha cannot be 0")
    return _bent(input, "celu", inplace, alpha=alpha, scale=1.0, rate=1 / alpha)


# Klambauer and others, Self-normalizing neural networks, 2017.
_SELU = {
    "alpha": 1.6732632423543772848170429916717,
    "scale": 1.0507009873554804934193349852946,
    "rate": 1.0,
}


@function
def selu(input, inplace=False):
    """Self-normalizing elu: scale · (x, or α (eˣ − 1) where x ≤ 0).

    >>> selu(tensor([-1., 2.]))
    tensor([-1.1113,  2.1014])
    """
    return _bent(input, "selu", inplace, **_SELU)


@method
def hardshrink(input, lambd=0.5):
    """x outside [−λ, λ], 0 inside.

    >>> hardshrink(tensor([-1., 0.3, 2.]))
    tensor([-1.,  0.,  2.])
    """

    lambd = need_number(lambd, "hardshrink", "lambd")
    return _apply(input, lambda x: op.hardshrink(x, lambd=lambd), "hardshrink")


def softshrink(input, lambd=0.5):
    """x moved towards 0 by λ, 0 inside [−λ, λ].

    >>> softshrink(tensor([-1., 0.3, 2.]))
    tensor([-0.5000,  0.0000,  1.5000])
    """
    lambd = need_number(lambd, "softshrink", "lambd")
    if not lambd >= 0:
        raise ArgumentError(f"softshrink: lambd must not be negative, got {lambd}")
    return _apply(input, lambda x: op.softshrink(x, lambd=lambd), "softshrink")


def hardsigmoid(input, inplace=False):
    """(x + 3)/6 limited to [0, 1].

    >>> hardsigmoid(tensor([-4., 0., 4.]))
    tensor([0.0000, 0.5000, 1.0000])
    """
    return _apply(input, _hardsigmoid, "hardsigmoid", inplace)


def _hardsigmoid(x):
    return op.hardtanh(x + 3.0, low=0.0, high=6.0) / 6.0


def hardswish(input, inplace=False):
    """x times `hardsigmoid(x)`.

    >>> hardswish(tensor([-4., 1., 4.]))
    tensor([-0.0000,  0.6667,  4.0000])
    """
    return _apply(input, lambda x: x * _hardsigmoid(x), "hardswish", inplace)


# ---------------------------------------------------------------- smooth


def softplus(input, beta=1.0, threshold=20.0):
    """ln(1 + e^(βx)) / β, linear where βx exceeds `threshold`.

    >>> softplus(tensor([0., 1000.]))
    tensor([6.9315e-01, 1.0000e+03])
    """
    params = {
        "beta": need_number(beta, "softplus", "beta"),
        "threshold": need_number(threshold, "softplus", "threshold"),
    }
    return _apply(input, lambda x: op.softplus(x, **params), "softplus")


def gelu(input, approximate="none"):
    """x Φ(x), Φ the normal distribution function; "tanh" is the usual approximation.

    >>> gelu(tensor([0., 2.]))
    tensor([0.0000, 1.9545])
    """
    if not isinstance(approximate, str) or approximate not in ("none", "tanh"):
        raise ArgumentError(
            f"gelu: approximate must be 'none' or 'tanh', got {approximate!r}"
        )
    return _apply(input, op.gelu if approximate == "none" else _gelu_tanh, "gelu")


def _gelu_tanh(x):
    inner = math.sqrt(2 / math.pi) * (x + 0.044715 * (x * x * x))
    return (0.5 * x) * (1.0 + op.tanh(inner))


def silu(input, inplace=False):
    """x σ(x), "swish".

    >>> silu(tensor([0., 2.]))
    tensor([0.0000, 1.7616])
    """
    return _apply(input, _silu, "silu", inplace, _INEXACT)


def _silu(x):
    return op.silu(x) if dtype_of(x).kind != "c" else x * op.sigmoid(x)


def mish(input, inplace=False):
    """x tanh(softplus(x)).

    >>> mish(tensor([0., 2.]))
    tensor([0.0000, 1.9440])
    """
    return _apply(input, _mish, "mish", inplace)


def _mish(x):
    return x * op.tanh(op.softplus(x, beta=1.0, threshold=20.0))


def tanhshrink(input):
    """x − tanh x.

    >>> tanhshrink(tensor([0., 2.]))
    tensor([0.0000, 1.0360])
    """
    x = inexact(need_tensor(input, "tanhshrink"))
    return x - op.tanh(x)


def softsign(input):
    """x / (1 + |x|).

    >>> softsign(tensor([-1., 3.]))
    tensor([-0.5000,  0.7500])
    """
    x = need_tensor(input, "softsign")
    return x / (op.abs(x) + 1)


def logsigmoid(input):
    """ln σ(x), exact for large |x|.

    >>> logsigmoid(tensor([0., -1e4]))
    tensor([-6.9315e-01, -1.0000e+04])
    """
    return _apply(input, op.log_sigmoid, "logsigmoid")


def sigmoid(input):
    """1/(1 + e⁻ˣ).

    >>> sigmoid(tensor([0., 2.]))
    tensor([0.5000, 0.8808])
    """
    return op.sigmoid(inexact(need_tensor(input, "sigmoid")))


def tanh(input):
    """Hyperbolic tangent.

    >>> tanh(tensor([0., 1.]))
    tensor([0.0000, 0.7616])
    """
    return op.tanh(inexact(need_tensor(input, "tanh")))


def glu(input, dim=-1):
    """a σ(b), for the halves a and b of `dim`.

    >>> glu(tensor([3., 0.]))
    tensor([1.5000])
    """
    x = need_tensor(input, "glu")
    if x.ndim == 0:
        raise ShapeError("glu: does not support 0-dimensional tensors")
    d = norm_dim(dim, x.ndim)
    n = x.shape[d]
    if n % 2:
        raise ShapeError(f"glu: dim {dim} must have an even size to halve, got {n}")
    whole = [(0, m, 1) for m in x.shape]
    a, b = (
        op.slice(x, key=(*whole[:d], span, *whole[d + 1 :]))
        for span in ((0, n // 2, 1), (n // 2, n, 1))
    )
    return a * op.sigmoid(b)


# ---------------------------------------------------------------- softmax


def _over(input, dim, dtype, name):
    """The input cast to a floating dtype, and the dim counted from the front."""
    x = need_tensor(input, name)
    x = inexact(x if dtype is None else cast(x, np_dtype(dtype)))
    if dtype_of(x).kind == "c":
        raise DtypeError(f"{name}: not defined for {dtype_of(x).name}")
    return x, norm_dim(_implicit(dim, x.ndim, name), x.ndim)


def _implicit(dim, ndim, name):
    if dim is not None:
        return dim
    warnings.warn(
        f"Implicit dimension choice for {name} has been deprecated. "
        "Change the call to include dim=X as an argument.",
        stacklevel=4,
    )
    return 0 if ndim in (0, 1, 3) else 1


def _rows(prim, x, dim):
    if x.ndim:
        return prim(x, dim=dim)
    return op.reshape(prim(op.reshape(x, shape=(1,)), dim=0), shape=())


def softmax(input, dim=None, _stacklevel=3, dtype=None):
    """eˣ / Σ eˣ along `dim`, without overflow.

    >>> softmax(tensor([1000., 1000.]), 0)
    tensor([0.5000, 0.5000])
    """
    x, dim = _over(input, dim, dtype, "softmax")
    return _rows(op.softmax, x, dim)


def log_softmax(input, dim=None, _stacklevel=3, dtype=None):
    """x − ln Σ eˣ along `dim`, without overflow.

    >>> log_softmax(tensor([0., 0.]), 0)
    tensor([-0.6931, -0.6931])
    """
    x, dim = _over(input, dim, dtype, "log_softmax")
    return _rows(op.log_softmax, x, dim)


def softmin(input, dim=None, _stacklevel=3, dtype=None):
    """`softmax` of −x.

    >>> softmin(tensor([0., 0.]), 0)
    tensor([0.5000, 0.5000])
    """
    x, dim = _over(input, dim, dtype, "softmin")
    return _rows(op.softmax, -x, dim)


# ---------------------------------------------------------------- random


@function
def rrelu(input, lower=1.0 / 8, upper=1.0 / 3, training=False, inplace=False):
    """x where x > 0, a x elsewhere: a random in [lower, upper], or their mean if not training.

    >>> rrelu(tensor([-1., 2.]), 0.2, 0.4)
    tensor([-0.3000,  2.0000])
    """
    lower = need_number(lower, "rrelu", "lower")
    upper = need_number(upper, "rrelu", "upper")
    if lower > upper:
        raise ArgumentError(
            f"rrelu: lower must not exceed upper, got {lower} and {upper}"
        )
    if not training:
        return leaky_relu(input, (lower + upper) / 2, inplace)

    def f(x):
        return op.prelu(x, rand_like(x) * (upper - lower) + lower)

    return _apply(input, f, "rrelu", inplace)


def gumbel_softmax(logits, tau=1, hard=False, eps=1e-10, dim=-1):
    """A random one-hot row by the softmax of `logits`, softened by the temperature `tau`.

    `hard` rounds it, with the derivative of the soft one.

    >>> gumbel_softmax(tensor([[0., 1000.]]), hard=True)
    tensor([[0., 1.]])
    """
    x, dim = _over(logits, dim, None, "gumbel_softmax")
    tau = need_number(tau, "gumbel_softmax", "tau")
    if not tau > 0:
        raise ArgumentError(f"gumbel_softmax: tau must be positive, got {tau}")
    waits = exponential_(op.zeros_like(x))
    least = number(np.finfo(np.float32).tiny, x)
    soft = _rows(op.softmax, (x - op.log(op.maximum(waits, least))) / tau, dim)
    return _straight_through(soft, dim) if hard else soft


def _straight_through(soft, dim):
    """One-hot at the largest element, differentiated as `soft` itself."""
    best = argmax(op.stop_gradient(soft), dim, True)
    places = np.arange(soft.shape[dim] if soft.ndim else 1)
    places = places.reshape(-1, *(1,) * (soft.ndim - dim - 1))
    hard = op.cast(best == (places if soft.ndim else places[0]), dtype=dtype_of(soft))
    return hard + (soft - op.stop_gradient(soft))


def _written(f):
    """The form of an activation that writes into its input: `relu_`."""

    def written(input, *args, **kwargs):
        return f(input, *args, **kwargs, inplace=True)

    written.__name__ = written.__qualname__ = f.__name__ + "_"
    written.__doc__ = f"`{f.__name__}` written into its input."
    return written


relu_, hardtanh_, leaky_relu_, threshold_, elu_, celu_, selu_, rrelu_ = map(
    _written, (relu, hardtanh, leaky_relu, threshold, elu, celu, selu, rrelu)
)
for _f in (threshold, relu_, threshold_, celu_, selu_, rrelu_):
    function(_f)
