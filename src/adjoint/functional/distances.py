"""Linear and bilinear maps with a bias; lengths, distances and angles of rows."""

from __future__ import annotations

import math

import numpy as np

from ..autodiff import straight
from ..core.bind import dtype_of
from ..core.primitive import number, op
from ..core.shape import broadcast, norm_dim, norm_dims
from ..errors import ArgumentError, DtypeError, ShapeError, sound
from .face import cast, function, give, inexact, need_number, need_tensor, promote
from .precision import lower, single

_LEAD = "abcdefghABCDEFGHIJKLMNOPQRSTUVWXYZ"


def _same_dtype(name, **xs):
    for what, x in xs.items():
        need_tensor(x, name, what)
    dtypes = {dtype_of(x) for x in xs.values()}
    if len(dtypes) > 1:
        found = ", ".join(f"{k} {dtype_of(x).name}" for k, x in xs.items())
        raise DtypeError(
            f"{name}: all must have one dtype, got {found}",
            hint="x.float(), or x.to(layer.weight.dtype)",
        )


def _given(**xs):
    return {k: x for k, x in xs.items() if x is not None}


@sound
def linear(input, weight, bias=None):
    """x Wᵀ + b over the last dim, W of shape (out, in) or (in,).

    >>> linear(tensor([[1., 2.]]), tensor([[3., 4.], [5., 6.]]), tensor([1., 0.]))
    tensor([[12., 17.]])
    """
    y = _times_transposed(input, weight)
    if y is not None:
        return y if bias is None else _plus_bias(y, bias, "linear")
    return _linear(input, weight, bias)


@lower
def _linear(input, weight, bias):
    """`linear` of any tensors."""
    _same_dtype("linear", input=input, weight=weight, **_given(bias=bias))
    x, w = input, weight
    if w.ndim not in (1, 2) or x.ndim == 0 or x.shape[-1] != w.shape[-1]:
        raise ShapeError(
            "linear(x, W): x.shape[-1] must equal W.shape[-1], W of 1 or 2 dims, got "
            f"x {tuple(x.shape)} and W {tuple(w.shape)}"
        )
    lead = _LEAD[: x.ndim - 1]
    out = "o" if w.ndim == 2 else ""
    y = op.contract(x, w, spec=f"{lead}k,{out}k->{lead}{out}")
    return y if bias is None else _plus_bias(y, bias, "linear")


_times_transposed = straight.product(
    op.contract,
    {(2, 2): {"spec": "ak,ok->ao"}, (1, 2): {"spec": "k,ok->o"}},
    turned=True,
)


def _plus_bias(y, bias, name):
    if need_tensor(bias, name, "bias").shape == y.shape[-1:] and dtype_of(
        bias
    ) == dtype_of(y):
        return y + bias
    _same_dtype(name, result=y, bias=bias)
    if broadcast(tuple(y.shape), tuple(bias.shape), name=name) != tuple(y.shape):
        raise ShapeError(
            f"{name}: a bias of shape {tuple(bias.shape)} does not fit {tuple(y.shape)}"
        )
    return y + bias


@function
def bilinear(input1, input2, weight, bias=None):
    """y(o) = Σ x₁(i) W(o,i,j) x₂(j) + b(o) over the last dims.

    >>> bilinear(ones(1, 2), ones(1, 3), ones(4, 2, 3)).shape
    adjoint.Size([1, 4])
    """
    given = {"input1": input1, "input2": input2, "weight": weight}
    _same_dtype("bilinear", **given, **_given(bias=bias))
    a, b, w = input1, input2, weight
    lead = _LEAD[: max(0, a.ndim - 1)]
    fits = w.ndim == 3 and a.ndim == b.ndim > 0 and a.shape[:-1] == b.shape[:-1]
    if not fits or w.shape[1:] != (a.shape[-1], b.shape[-1]):
        raise ShapeError(
            "bilinear: expects (*, i), (*, j) and a weight (o, i, j), got "
            f"{tuple(a.shape)}, {tuple(b.shape)} and {tuple(w.shape)}"
        )
    half = op.contract(a, w, spec=f"{lead}x,oxy->{lead}oy")
    y = op.contract(half, b, spec=f"{lead}oy,{lead}y->{lead}o")
    return y if bias is None else _plus_bias(y, bias, "bilinear")


# ---------------------------------------------------------------- lengths


def length(x, p, dim, keepdim=False):
    """The p-norm of |x| over the dims `dim`; its derivative at 0 is 0."""
    p = need_number(p, "norm", "p")
    return op.vector_norm(x, dim=dim, keepdim=keepdim, p=p)


def _at_least(x, low):
    low = number(need_number(low, "normalize", "eps"), x)
    return op.where(x < low, low, x)


def normalize(input, p=2.0, dim=1, eps=1e-12, out=None):
    """x / max(‖x‖ₚ, eps) along `dim`.

    >>> normalize(tensor([[3., 4.]]))
    tensor([[0.6000, 0.8000]])
    """
    x = need_tensor(input, "normalize")
    if dtype_of(x).kind not in "fVc":
        raise DtypeError(
            f"normalize: needs a floating or complex dtype, got {dtype_of(x).name}"
        )
    size = length(x, p, norm_dims(dim, x.ndim), keepdim=True)
    y = x / cast(_at_least(size, eps), dtype_of(x))
    return give(y, out)


@function
def cosine_similarity(x1, x2, dim=1, eps=1e-8):
    """x₁·x₂ / (max(‖x₁‖, eps) max(‖x₂‖, eps)) along `dim`.

    >>> cosine_similarity(tensor([[3., 4.]]), tensor([[4., 3.]]))
    tensor([0.9600])
    """
    a, b = promote("cosine_similarity", need_tensor(x1, "cosine_similarity"), x2)
    if dtype_of(a).kind not in "fV":
        raise DtypeError(
            f"cosine_similarity: expects floating dtypes, got {dtype_of(a).name}"
        )
    shape = broadcast(tuple(a.shape), tuple(b.shape), name="cosine_similarity")
    a, b = (_expanded(x, shape) for x in (a, b))
    d = (norm_dim(dim, len(shape)),)
    a, b = (x / _at_least(length(x, 2, d, keepdim=True), eps) for x in (a, b))
    return op.sum(a * b, dim=d, keepdim=False)


def _expanded(x, shape):
    return x if tuple(x.shape) == shape else op.expand(x, shape=shape)


@function
def pairwise_distance(x1, x2, p=2.0, eps=1e-6, keepdim=False):
    """‖x₁ − x₂ + eps‖ₚ over the last dim.

    >>> pairwise_distance(tensor([[0., 0.]]), tensor([[3., 4.]]))
    tensor([5.0000])
    """
    a, b = promote("pairwise_distance", need_tensor(x1, "pairwise_distance"), x2)
    broadcast(tuple(a.shape), tuple(b.shape), name="pairwise_distance")
    d = inexact(a - b + need_number(eps, "pairwise_distance", "eps"))
    return length(d, p, (d.ndim - 1,) if d.ndim else (), keepdim)


@function
def pdist(input, p=2.0):
    """Distances ‖x(i) − x(j)‖ₚ of all pairs of rows i < j.

    >>> pdist(tensor([[0., 0.], [3., 4.], [0., 1.]]))
    tensor([5.0000, 1.0000, 4.2426])
    """
    x = need_tensor(input, "pdist")
    if x.ndim != 2 or dtype_of(x).kind not in "fV":
        raise ShapeError(
            f"pdist: expects a floating matrix, got {dtype_of(x).name} {tuple(x.shape)}"
        )
    i, j = np.triu_indices(x.shape[0], 1)
    columns = op.reshape(op.permute(x, dims=(1, 0)), shape=(1, *x.shape[::-1]))
    a, b = (op.pick(columns, k.reshape(1, 1, -1)) for k in (i, j))
    return op.reshape(length(a - b, p, (1,)), shape=(len(i),))


# ---------------------------------------------------------------- rows of two matrices


_MODES = (
    "use_mm_for_euclid_dist_if_necessary",
    "use_mm_for_euclid_dist",
    "donot_use_mm_for_euclid_dist",
)


@function
@single
def cdist(x1, x2, p=2.0, compute_mode="use_mm_for_euclid_dist_if_necessary"):
    """Distances (Σ |a − b|^p)^(1/p) of each row of x1 from each of x2; at 0 the slope is 0.

    >>> cdist(tensor([[0., 0.]]), tensor([[3., 4.], [0., 1.]]))
    tensor([[5., 1.]])
    """
    a, b = need_tensor(x1, "cdist", "x1"), need_tensor(x2, "cdist", "x2")
    _check_cdist(a, b, p, compute_mode)
    lead = broadcast(a.shape[:-2], b.shape[:-2], name="cdist")
    a, b = (op.expand(x, shape=(*lead, *x.shape[-2:])) for x in (a, b))
    if p == 2:
        flat = [op.reshape(x, shape=(math.prod(lead), *x.shape[-2:])) for x in (a, b)]
        y = op.distances(*flat, products=_by_products(a, b, compute_mode))
        return op.reshape(y, shape=(*lead, a.shape[-2], b.shape[-2]))
    a = op.reshape(a, shape=(*a.shape[:-1], 1, a.shape[-1]))
    b = op.reshape(b, shape=(*b.shape[:-2], 1, *b.shape[-2:]))
    return _length(a - b, float(p))


def _check_cdist(a, b, p, mode):
    for what, x in (("X1", a), ("X2", b)):
        if dtype_of(x).kind not in "fV":
            raise DtypeError(
                f"cdist only supports floating-point dtypes, {what} got: {dtype_of(x).name}"
            )
        if x.ndim < 2:
            raise ShapeError(
                f"cdist only supports at least 2D tensors, {what} got: {x.ndim}D"
            )
    if dtype_of(a) != dtype_of(b):
        raise DtypeError(
            f"cdist: expected {dtype_of(a).name} but found {dtype_of(b).name} for X2"
        )
    if a.shape[-1] != b.shape[-1]:
        raise ShapeError(
            "X1 and X2 must have the same number of columns. "
            f"X1: {a.shape[-1]} X2: {b.shape[-1]}"
        )
    if not p >= 0:
        raise ArgumentError(f"cdist only supports non-negative p values, got {p}")
    if mode not in _MODES:
        raise ArgumentError(f"cdist: {mode} is not a valid value for compute_mode")


def _by_products(a, b, mode) -> bool:
    """Whether squared distances come from |a|² + |b|² − 2ab: fast for many, less exact."""
    if mode == _MODES[0]:
        return a.shape[-2] > 25 or b.shape[-2] > 25
    return mode == _MODES[1]


def _length(d, p):
    """The p-norm over the last dim, with derivative 0 where an element or it is 0."""
    last = {"dim": (d.ndim - 1,), "keepdim": False}
    if p == 0:
        moved = op.cast(op.ne(d, number(0, d)), dtype=dtype_of(d))
        return op.sum(op.where(np.zeros((), bool), d, moved), **last)
    size = op.abs(d)
    if p == 1:
        return op.sum(size, **last)
    if p == math.inf:
        return op.amax(size, **last) if d.shape[-1] else op.sum(size, **last)
    return _root(op.sum(_power(size, p), **last), p)


def _power(x, p):
    """x^p for x ≥ 0, flat at 0."""
    zero = op.eq(x, number(0, x))
    safe = op.where(zero, op.ones_like(x), x)
    return op.where(zero, op.zeros_like(x), op.pow_scalar(safe, exponent=p))


def _root(x, p):
    return _power(x, 1 / p)
