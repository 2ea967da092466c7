"""Attention: the values whose keys are like the query, by scaled dot products."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from ..core.bind import dtype_of
from ..core.primitive import op
from ..core.shape import broadcast
from ..errors import ArgumentError, DtypeError, ShapeError
from .dropout import dropout
from .dtypes import finfo
from .face import cast, need_tensor
from .precision import lower
from .products import matmul
from .shapes import transpose


@lower
def scaled_dot_product_attention(
    query,
    key,
    value,
    attn_mask=None,
    dropout_p=0.0,
    is_causal=False,
    scale=None,
    enable_gqa=False,
):
    """softmax(scale · q kᵀ + mask) v over the last two dims; scale is 1/√E if not given.

    A bool mask is true where a query may attend, a floating one is added. A query that may
    attend to nothing gets 0.

    >>> q = k = v = tensor([[1., 0.], [0., 1.]])
    >>> scaled_dot_product_attention(q, k, v, is_causal=True)
    tensor([[1.0000, 0.0000],
            [0.3302, 0.6698]])
    """
    q, k, v = _checked(query, key, value)
    if attn_mask is not None:
        need_tensor(attn_mask, _NAME, "attn_mask")
    if enable_gqa:
        k, v = (_shared(x, q) for x in (k, v))
    if is_causal:
        if attn_mask is not None:
            raise ArgumentError(f"{_NAME}: is_causal and attn_mask exclude each other")
        attn_mask = causal(q.shape[-2], k.shape[-2], dtype_of(q))
    return attend(q, k, v, attn_mask, dropout_p, scale)[0]


def attend(q, k, v, mask, dropout_p, scale=None):
    """(result, weights) of attention under a mask that is true or added."""
    scale = 1 / math.sqrt(max(1, q.shape[-1])) if scale is None else scale
    weights = _weights(matmul(q, transpose(k, -2, -1)) * scale, mask)
    if dropout_p:
        weights = dropout(weights, dropout_p)
    return matmul(weights, v), weights


@lru_cache(4)
def causal(queries, keys, d):
    """What is added to the scores where a query may attend to keys up to its own place."""
    return np.where(np.tri(queries, keys, dtype=bool), np.array(0, d), _low(d))


def _low(d):
    """Half the lowest number: finite with any score added, and its exponential is 0."""
    return np.array(finfo(d).min / 2, d)


_NAME = "scaled_dot_product_attention"


def _checked(q, k, v):
    for what, x in (("query", q), ("key", k), ("value", v)):
        need_tensor(x, _NAME, what)
        if x.ndim < 2:
            raise ShapeError(f"{_NAME}: {what} must be at least 2-D, got {x.ndim}-D")
    if not dtype_of(q) == dtype_of(k) == dtype_of(v) or dtype_of(q).kind not in "fV":
        raise DtypeError(
            f"{_NAME}: query, key and value must have one floating dtype, got "
            f"{dtype_of(q).name}, {dtype_of(k).name} and {dtype_of(v).name}"
        )
    if q.shape[-1] != k.shape[-1] or k.shape[-2] != v.shape[-2]:
        raise ShapeError(
            f"{_NAME}: expects (*, L, E), (*, S, E) and (*, S, Ev), got "
            f"{tuple(q.shape)}, {tuple(k.shape)} and {tuple(v.shape)}"
        )
    return q, k, v


def _shared(x, q):
    """Each head of keys or values for the group of queries that share it."""
    *lead, heads, s, e = x.shape
    if q.ndim < 3 or heads == 0 or q.shape[-3] % heads:
        raise ShapeError(
            f"{_NAME}: the query's heads must be a multiple of the key's, got shapes "
            f"{tuple(q.shape)} and {tuple(x.shape)}"
        )
    group = q.shape[-3] // heads
    x = op.reshape(x, shape=(*lead, heads, 1, s, e))
    x = op.expand(x, shape=(*lead, heads, group, s, e))
    return op.reshape(x, shape=(*lead, heads * group, s, e))


def _weights(scores, mask):
    last = scores.ndim - 1
    if mask is None:
        return op.softmax(scores, dim=last)
    if isinstance(mask, np.ndarray):  # causal: every row allows something
        return op.softmax(scores + mask, dim=last)
    shape = tuple(scores.shape)
    if broadcast(shape, tuple(mask.shape), name=_NAME) != shape:
        raise ShapeError(
            f"{_NAME}: attn_mask {tuple(mask.shape)} must broadcast to {shape}"
        )
    added, alive = _bias(mask, dtype_of(scores))
    weights = op.softmax(scores + added, dim=last)
    return weights * alive


def _bias(mask, d):
    """What a mask adds to the scores, and a factor that is 0 for rows that allow nothing.

    Adding costs a fifth of selecting, and its derivative nothing: where the weight is 0,
    softmax stops the cotangent.
    """
    zero, last = np.array(0, d), (mask.ndim - 1,) if mask.ndim else ()
    if dtype_of(mask).kind == "b":
        added = op.where(mask, zero, _low(d))
        return added, op.cast(op.any(mask, dim=last, keepdim=True), dtype=d)
    if dtype_of(mask) not in (d, np.float32):
        raise DtypeError(
            f"{_NAME}: attn_mask must be bool, float32 or {d.name}, got "
            f"{dtype_of(mask).name}"
        )
    mask = cast(mask, d)
    alive = op.any(mask != np.array(-np.inf, d), dim=last, keepdim=True)
    return op.where(alive, mask, zero), op.cast(alive, dtype=d)
