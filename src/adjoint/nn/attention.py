"""Attention in several heads, with the projections of queries, keys and values."""

from __future__ import annotations

from contextlib import contextmanager
from enum import IntEnum

from ..errors import ArgumentError, ArgumentTypeError
from ..functional import creation
from ..functional.face import need_tensor
from ..functional.shapes import transpose
from . import functional as F
from . import init
from .linear import Linear
from .module import Module
from .parameter import Parameter


class SDPBackend(IntEnum):
    """The kernels of attention that PyTorch chooses among."""

    ERROR = -1
    MATH = 0
    FLASH_ATTENTION = 1
    EFFICIENT_ATTENTION = 2
    CUDNN_ATTENTION = 3
    OVERRIDEABLE = 4


@contextmanager
def sdpa_kernel(backends, set_priority: bool = False):
    """Choose among kernels, of which there is one.

    >>> from adjoint.nn.attention import SDPBackend, sdpa_kernel
    >>> with sdpa_kernel(SDPBackend.MATH):
    ...     y = nn.functional.scaled_dot_product_attention(*[ones(1, 2, 3)] * 3)
    """
    given = [backends] if isinstance(backends, SDPBackend) else list(backends)
    if not all(isinstance(b, SDPBackend) for b in given):
        raise ArgumentTypeError(
            f"sdpa_kernel: backends are SDPBackend, got {backends!r}"
        )
    yield


class NonDynamicallyQuantizableLinear(Linear):
    """Linear, by the name that PyTorch prints for the last layer of attention."""


class MultiheadAttention(Module):
    """softmax(q kᵀ / √d) v in `num_heads` parts of the features, each projected.

    Input is (T, N, E), or (N, T, E) with `batch_first`, or one sequence (T, E). In a bool
    mask, true is where a query may not attend, a floating one is added; `key_padding_mask`
    (N, S) is for keys. A query that may attend to nothing gets weights 0.

    >>> layer = nn.MultiheadAttention(4, 2)
    >>> x = ones(3, 1, 4)
    >>> y, weights = layer(x, x, x)
    >>> y.shape, weights.shape
    (adjoint.Size([3, 1, 4]), adjoint.Size([1, 3, 3]))
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device=None,
        dtype=None,
    ):
        _check_sizes(embed_dim, num_heads)
        super().__init__()
        self.embed_dim, self.num_heads = embed_dim, num_heads
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self._qkv_same_embed_dim = self.kdim == self.vdim == embed_dim
        self.dropout, self.batch_first = dropout, batch_first
        self.head_dim = embed_dim // num_heads
        self.add_zero_attn = add_zero_attn
        kind = {"device": device, "dtype": dtype}
        for name, shape in self._shapes(bias, add_bias_kv).items():
            empty = None if shape is None else creation.empty(shape, **kind)
            setattr(self, name, None if empty is None else Parameter(empty))
        self.out_proj = NonDynamicallyQuantizableLinear(
            embed_dim, embed_dim, bias, device, dtype
        )
        self._reset_parameters()

    def _shapes(self, bias, add_bias_kv) -> dict:
        """name -> shape of the parameters; None where there is none."""
        size, one = self.embed_dim, self._qkv_same_embed_dim
        return {
            "q_proj_weight": None if one else (size, size),
            "k_proj_weight": None if one else (size, self.kdim),
            "v_proj_weight": None if one else (size, self.vdim),
            "in_proj_weight": (3 * size, size) if one else None,
            "in_proj_bias": (3 * size,) if bias else None,
            "bias_k": (1, 1, size) if add_bias_kv else None,
            "bias_v": (1, 1, size) if add_bias_kv else None,
        }

    def _reset_parameters(self) -> None:
        for name in (
            "in_proj_weight",
            "q_proj_weight",
            "k_proj_weight",
            "v_proj_weight",
        ):
            if getattr(self, name) is not None:
                init.xavier_uniform_(getattr(self, name))
        if self.in_proj_bias is not None:
            init.zeros_(self.in_proj_bias)
            init.zeros_(self.out_proj.bias)
        for p in (self.bias_k, self.bias_v):
            if p is not None:
                init.xavier_normal_(p)

    def forward(
        self,
        query,
        key,
        value,
        key_padding_mask=None,
        need_weights: bool = True,
        attn_mask=None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ):
        """(result, weights): those of all heads, or their mean; None if not needed."""
        turned = self.batch_first and need_tensor(query, "MultiheadAttention").ndim == 3
        if turned:
            query, key, value = _turned(query, key, value)
        y, weights = F.multi_head_attention_forward(
            query,
            key,
            value,
            self.embed_dim,
            self.num_heads,
            self.in_proj_weight,
            self.in_proj_bias,
            self.bias_k,
            self.bias_v,
            self.add_zero_attn,
            self.dropout,
            self.out_proj.weight,
            self.out_proj.bias,
            training=self.training,
            key_padding_mask=key_padding_mask,
            need_weights=need_weights,
            attn_mask=attn_mask,
            use_separate_proj_weight=not self._qkv_same_embed_dim,
            q_proj_weight=self.q_proj_weight,
            k_proj_weight=self.k_proj_weight,
            v_proj_weight=self.v_proj_weight,
            average_attn_weights=average_attn_weights,
            is_causal=is_causal,
        )
        return transpose(y, 0, 1) if turned else y, weights


def _turned(q, k, v):
    """Batch and steps exchanged; what was one tensor stays one."""
    made = {id(x): transpose(x, 0, 1) for x in (q, k, v)}
    return made[id(q)], made[id(k)], made[id(v)]


def _check_sizes(embed_dim, num_heads) -> None:
    if embed_dim <= 0 or num_heads <= 0:
        raise ArgumentError(
            "MultiheadAttention: embed_dim and num_heads must be greater than 0, got "
            f"embed_dim={embed_dim} and num_heads={num_heads} instead"
        )
    if embed_dim % num_heads:
        raise ArgumentError(
            "MultiheadAttention: embed_dim must be divisible by num_heads, got "
            f"{embed_dim} and {num_heads}"
        )
