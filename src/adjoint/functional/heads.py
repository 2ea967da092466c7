"""Attention in several heads: parts of the features, with their projections and masks."""

from __future__ import annotations

import warnings
from functools import reduce

import numpy as np

from ..core.bind import dtype_of
from ..core.primitive import op
from ..errors import ArgumentError, DtypeError, ShapeError
from .attention import attend, causal
from .distances import linear
from .face import need_tensor
from .joining import split
from .precision import lower


@lower
def multi_head_attention_forward(
    query,
    key,
    value,
    embed_dim_to_check,
    num_heads,
    in_proj_weight,
    in_proj_bias,
    bias_k,
    bias_v,
    add_zero_attn,
    dropout_p,
    out_proj_weight,
    out_proj_bias,
    training=True,
    key_padding_mask=None,
    need_weights=True,
    attn_mask=None,
    use_separate_proj_weight=False,
    q_proj_weight=None,
    k_proj_weight=None,
    v_proj_weight=None,
    static_k=None,
    static_v=None,
    average_attn_weights=True,
    is_causal=False,
):
    """(result, weights) of attention in `num_heads` parts of the features; see
    nn.MultiheadAttention. A bool mask is true where a query may not attend.

    >>> x, w = ones(3, 1, 2), eye(2)
    >>> proj = None, None, None, None, False, 0., w, None
    >>> y, weights = nn.functional.multi_head_attention_forward(
    ...     x, x, x, 2, 1, *proj, use_separate_proj_weight=True, q_proj_weight=w,
    ...     k_proj_weight=w, v_proj_weight=w)
    >>> y.shape, weights.shape
    (adjoint.Size([3, 1, 2]), adjoint.Size([1, 3, 3]))
    """
    single = _check_heads(query, key, value, embed_dim_to_check, num_heads)
    if single:
        query, key, value = _batched(query, key, value)
        key_padding_mask = _with_dim(key_padding_mask, 0)
    separate = use_separate_proj_weight
    weights = (q_proj_weight, k_proj_weight, v_proj_weight) if separate else None
    q, k, v = _projected(query, key, value, weights or in_proj_weight, in_proj_bias)
    _check_masks(q, k, num_heads, attn_mask, key_padding_mask, is_causal)
    k, v = _longer(k, bias_k), _longer(v, bias_v)
    q, k, v = (_heads(x, num_heads) for x in (q, k, v))
    k, v = _static(k, static_k, "static_k", q), _static(v, static_v, "static_v", q)
    if add_zero_attn:
        k, v = (_one_more(x, 2) for x in (k, v))
    if is_causal and key_padding_mask is None and not need_weights:
        mask = causal(q.shape[2], k.shape[2], dtype_of(q))
    else:
        mask = _merged(attn_mask, key_padding_mask, q, k.shape[2])
    y, weights = attend(q, k, v, mask, dropout_p if training else 0.0)
    y = linear(_joined(y), out_proj_weight, out_proj_bias)
    if need_weights and average_attn_weights:
        weights = op.mean(weights, dim=(1,), keepdim=False)
    if single:
        y, weights = (op.select(x, dim=d, index=0) for x, d in ((y, 1), (weights, 0)))
    return y, weights if need_weights else None


_MHA = "multi_head_attention_forward"


def _check_heads(q, k, v, embed_dim, num_heads) -> bool:
    """Whether the input is one sequence without a batch."""
    for what, x in (("query", q), ("key", k), ("value", v)):
        need_tensor(x, _MHA, what)
    if q.ndim not in (2, 3) or not q.ndim == k.ndim == v.ndim:
        raise ShapeError(
            "query, key and value should be unbatched 2-D or batched 3-D tensors, but "
            f"received {q.ndim}-D, {k.ndim}-D and {v.ndim}-D"
        )
    if q.shape[-1] != embed_dim:
        raise ShapeError(
            f"was expecting embedding dimension of {embed_dim}, but got {q.shape[-1]}"
        )
    if embed_dim % num_heads:
        raise ArgumentError(
            f"embed_dim {embed_dim} not divisible by num_heads {num_heads}"
        )
    if k.shape[:-1] != v.shape[:-1]:
        raise ShapeError(
            f"key's sequence and batch dims {tuple(k.shape[:-1])} do not match value's "
            f"{tuple(v.shape[:-1])}"
        )
    if q.ndim == 3 and q.shape[1] != k.shape[1]:
        raise ShapeError(
            f"query and key must have one batch size, got {q.shape[1]} and {k.shape[1]}"
        )
    return q.ndim == 2


def _check_masks(q, k, num_heads, attn_mask, key_padding_mask, is_causal) -> None:
    n, queries, keys = q.shape[1], q.shape[0], k.shape[0]
    if is_causal and attn_mask is None:
        raise ArgumentError(
            "Need attn_mask if specifying the is_causal hint",
            hint="nn.Transformer.generate_square_subsequent_mask(length) makes it",
        )
    attention = (queries, keys), (n * num_heads, queries, keys)
    for what, mask, shapes in (
        ("attn_mask", attn_mask, attention),
        ("key_padding_mask", key_padding_mask, ((n, keys),)),
    ):
        if mask is None:
            continue
        if dtype_of(need_tensor(mask, _MHA, what)).kind not in "bfV":
            raise DtypeError(
                f"only bool and floating types of {what} are supported, got {mask.dtype}"
            )
        if tuple(mask.shape) not in shapes:
            raise ShapeError(
                f"the shape of {what} is {tuple(mask.shape)}, but should be "
                f"{' or '.join(map(str, shapes))}"
            )


def _with_dim(x, dim):
    """`x` with a new dim of size 1; None stays None."""
    if x is None:
        return None
    return op.reshape(x, shape=(*x.shape[:dim], 1, *x.shape[dim:]))


def _batched(q, k, v):
    """Sequences as batches of one; what was one tensor stays one."""
    made = {id(x): _with_dim(x, 1) for x in (q, k, v)}
    return made[id(q)], made[id(k)], made[id(v)]


def _projected(q, k, v, weight, bias):
    """The projections of query, key and value, in one product where they are one tensor."""
    if not isinstance(weight, tuple) and q is k is v:
        y = linear(q, weight, bias)
        return _thirds(y, y.ndim - 1)
    weights = weight if isinstance(weight, tuple) else _thirds(weight, 0)
    biases = (None,) * 3 if bias is None else _thirds(bias, 0)
    rows = zip((q, k, v), weights, biases, strict=True)
    return [linear(x, w, b) for x, w, b in rows]


def _thirds(x, dim):
    return split(x, x.shape[dim] // 3, dim)


def _heads(x, count):
    """(L, N, E) as (N, count, L, E / count)."""
    length, n, size = x.shape
    x = op.reshape(x, shape=(length, n, count, size // count))
    return op.permute(x, dims=(1, 2, 0, 3))


def _joined(y):
    """(N, heads, L, E / heads) as (L, N, E): the inverse of `_heads`."""
    n, heads, length, size = y.shape
    return op.reshape(op.permute(y, dims=(2, 0, 1, 3)), shape=(length, n, heads * size))


def _static(made, x, what, q):
    """Keys or values that were given as they are, (N · heads, S, E / heads); else `made`."""
    if x is None:
        return made
    n, heads, _, size = q.shape
    if x.ndim != 3 or x.shape[0] != n * heads or x.shape[2] != size:
        raise ShapeError(
            f"{what} must have shape ({n * heads}, S, {size}), got {tuple(x.shape)}"
        )
    return op.reshape(x, shape=(n, heads, x.shape[1], size))


def _longer(x, bias):
    """A step more, of the trained `bias` (1, 1, E), at the end of (L, N, E)."""
    if bias is None:
        return x
    return op.cat(x, op.expand(bias, shape=(1, *x.shape[1:])), dim=0)


def _one_more(x, dim):
    """Zeros, or false, at the end along `dim`."""
    shape = (*x.shape[:dim], 1, *x.shape[dim + 1 :])
    return op.cat(x, np.zeros(shape, dtype_of(x)), dim=dim)


def _merged(attn_mask, key_padding_mask, q, keys):
    """One mask for scores (N, heads, L, S): true where allowed, or to be added."""
    n, heads, queries, _ = q.shape
    masks = []
    if attn_mask is not None:
        lead = (n, heads) if attn_mask.ndim == 3 else ()
        masks.append(op.reshape(attn_mask, shape=(*lead, queries, attn_mask.shape[-1])))
    if key_padding_mask is not None:
        shape = (n, 1, 1, key_padding_mask.shape[1])
        masks.append(op.reshape(key_padding_mask, shape=shape))
    while masks and masks[0].shape[-1] < keys:
        masks = [_one_more(m, m.ndim - 1) for m in masks]
    kinds = {dtype_of(m).kind == "b" for m in masks}
    if kinds == {True}:
        return op.logical_not(reduce(op.logical_or, masks))
    if len(kinds) == 2:
        warnings.warn(
            "Support for mismatched key_padding_mask and attn_mask is deprecated. Use same "
            "type for both instead.",
            stacklevel=5,
        )
    return reduce(op.add, [_added(m, dtype_of(q)) for m in masks]) if masks else None


def _added(mask, d):
    """A mask to be added: −∞ where it is true."""
    if dtype_of(mask).kind != "b":
        return mask
    return op.where(mask, np.array(-np.inf, d), np.array(0, d))
