"""Transformers: stacks of attention and feed-forward layers that encode and decode."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

from ..errors import ArgumentError, ShapeError
from ..functional import creation
from ..functional.diagonals import triu
from . import functional as F
from . import init
from .attention import MultiheadAttention
from .containers import ModuleList
from .dropout import Dropout
from .linear import Linear
from .module import Module
from .normalization import LayerNorm


def _activation(f):
    if not isinstance(f, str):
        return f
    if f not in ("relu", "gelu"):
        raise ArgumentError(f"activation should be relu/gelu, not {f}")
    return getattr(F, f)


def _copies(layer, count) -> ModuleList:
    return ModuleList([copy.deepcopy(layer) for _ in range(count)])


class _Layer(Module):
    """What both kinds of layer share: attention to itself, and a feed-forward part."""

    attentions: tuple = ()

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Callable = F.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device=None,
        dtype=None,
    ):
        super().__init__()
        kind = {"device": device, "dtype": dtype}
        options = {"dropout": dropout, "bias": bias, "batch_first": batch_first, **kind}
        for name in self.attentions:
            setattr(self, name, MultiheadAttention(d_model, nhead, **options))
        self.linear1 = Linear(d_model, dim_feedforward, bias, **kind)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias, **kind)
        self.norm_first = norm_first
        count = len(self.attentions) + 1
        for i in range(1, count + 1):
            norm = LayerNorm(d_model, eps=layer_norm_eps, bias=bias, **kind)
            setattr(self, f"norm{i}", norm)
        for i in range(1, count + 1):
            setattr(self, f"dropout{i}", Dropout(dropout))
        self.activation = _activation(activation)

    def _run(self, x, blocks):
        """x plus each block's result, normalized before the block or after the sum."""
        for i, block in enumerate(blocks, 1):
            norm, dropout = getattr(self, f"norm{i}"), getattr(self, f"dropout{i}")
            if self.norm_first:
                x = x + dropout(block(norm(x)))
            else:
                x = norm(x + dropout(block(x)))
        return x

    def _feed(self, x):
        return self.linear2(self.dropout(self.activation(self.linear1(x))))


def _attended(layer, x, memory, attn_mask, key_padding_mask, is_causal):
    return layer(
        x,
        memory,
        memory,
        attn_mask=attn_mask,
        key_padding_mask=key_padding_mask,
        need_weights=False,
        is_causal=is_causal,
    )[0]


class TransformerEncoderLayer(_Layer):
    """Attention of a sequence to itself, then two linear layers, each added to its input.

    Sequences are (S, N, E), (N, S, E) with `batch_first`, or (S, E). `norm_first`
    normalizes what goes into a part instead of the sum.

    >>> layer = nn.TransformerEncoderLayer(8, nhead=2, dim_feedforward=16)
    >>> layer(ones(5, 3, 8)).shape
    adjoint.Size([5, 3, 8])
    """

    attentions = ("self_attn",)

    def forward(
        self, src, src_mask=None, src_key_padding_mask=None, is_causal: bool = False
    ):
        """The sequence after both parts."""

        def attention(x):
            masks = src_mask, src_key_padding_mask, is_causal
            return _attended(self.self_attn, x, x, *masks)

        return self._run(src, (attention, self._feed))


class TransformerDecoderLayer(_Layer):
    """Attention to itself, then to a memory, then two linear layers, each added to its input.

    >>> layer = nn.TransformerDecoderLayer(8, nhead=2, dim_feedforward=16)
    >>> layer(ones(4, 3, 8), memory=ones(5, 3, 8)).shape
    adjoint.Size([4, 3, 8])
    """

    attentions = ("self_attn", "multihead_attn")

    def forward(
        self,
        tgt,
        memory,
        tgt_mask=None,
        memory_mask=None,
        tgt_key_padding_mask=None,
        memory_key_padding_mask=None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ):
        """The sequence after the three parts."""

        def attention(x):
            masks = tgt_mask, tgt_key_padding_mask, tgt_is_causal
            return _attended(self.self_attn, x, x, *masks)

        def remembering(x):
            masks = memory_mask, memory_key_padding_mask, memory_is_causal
            return _attended(self.multihead_attn, x, memory, *masks)

        return self._run(tgt, (attention, remembering, self._feed))


class TransformerEncoder(Module):
    """`num_layers` copies of a layer one after the other, and a norm if given.

    >>> layer = nn.TransformerEncoderLayer(8, nhead=2, dim_feedforward=16)
    >>> nn.TransformerEncoder(layer, num_layers=2)(ones(5, 3, 8)).shape
    adjoint.Size([5, 3, 8])
    """

    def __init__(
        self,
        encoder_layer,
        num_layers: int,
        norm=None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ):
        super().__init__()
        self.layers = _copies(encoder_layer, num_layers)
        self.num_layers, self.norm = num_layers, norm
        self.enable_nested_tensor, self.mask_check = enable_nested_tensor, mask_check

    def forward(
        self, src, mask=None, src_key_padding_mask=None, is_causal: bool | None = None
    ):
        """The sequence after all layers."""
        x = src
        for layer in self.layers:
            x = layer(
                x,
                src_mask=mask,
                src_key_padding_mask=src_key_padding_mask,
                is_causal=bool(is_causal),
            )
        return x if self.norm is None else self.norm(x)


class TransformerDecoder(Module):
    """`num_layers` copies of a layer one after the other, and a norm if given.

    >>> layer = nn.TransformerDecoderLayer(8, nhead=2, dim_feedforward=16)
    >>> nn.TransformerDecoder(layer, num_layers=2)(ones(4, 3, 8), ones(5, 3, 8)).shape
    adjoint.Size([4, 3, 8])
    """

    def __init__(self, decoder_layer, num_layers: int, norm=None):
        super().__init__()
        self.layers = _copies(decoder_layer, num_layers)
        self.num_layers, self.norm = num_layers, norm

    def forward(
        self,
        tgt,
        memory,
        tgt_mask=None,
        memory_mask=None,
        tgt_key_padding_mask=None,
        memory_key_padding_mask=None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ):
        """The sequence after all layers, each of which reads the memory."""
        x = tgt
        for layer in self.layers:
            x = layer(
                x,
                memory,
                tgt_mask=tgt_mask,
                memory_mask=memory_mask,
                tgt_key_padding_mask=tgt_key_padding_mask,
                memory_key_padding_mask=memory_key_padding_mask,
                tgt_is_causal=bool(tgt_is_causal),
                memory_is_causal=memory_is_causal,
            )
        return x if self.norm is None else self.norm(x)


class Transformer(Module):
    """An encoder of a source, and a decoder of a target that attends to what it gives.

    >>> net = nn.Transformer(8, 2, 1, 1, dim_feedforward=16)
    >>> net(ones(5, 3, 8), ones(4, 3, 8)).shape
    adjoint.Size([4, 3, 8])
    """

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Callable = F.relu,
        custom_encoder=None,
        custom_decoder=None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device=None,
        dtype=None,
    ):
        super().__init__()
        kind = {"device": device, "dtype": dtype}
        options = (d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps)
        options = (*options, batch_first, norm_first, bias)

        def norm():
            return LayerNorm(d_model, eps=layer_norm_eps, bias=bias, **kind)

        if custom_encoder is None:
            layer = TransformerEncoderLayer(*options, **kind)
            custom_encoder = TransformerEncoder(layer, num_encoder_layers, norm())
        if custom_decoder is None:
            layer = TransformerDecoderLayer(*options, **kind)
            custom_decoder = TransformerDecoder(layer, num_decoder_layers, norm())
        self.encoder, self.decoder = custom_encoder, custom_decoder
        self._reset_parameters()
        self.d_model, self.nhead, self.batch_first = d_model, nhead, batch_first

    def _reset_parameters(self) -> None:
        for p in self.parameters():
            if p.ndim > 1:
                init.xavier_uniform_(p)

    def forward(
        self,
        src,
        tgt,
        src_mask=None,
        tgt_mask=None,
        memory_mask=None,
        src_key_padding_mask=None,
        tgt_key_padding_mask=None,
        memory_key_padding_mask=None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ):
        """The target after the decoder, whose memory is the source after the encoder."""
        _check_pair(self, src, tgt)
        memory = self.encoder(
            src,
            mask=src_mask,
            src_key_padding_mask=src_key_padding_mask,
            is_causal=src_is_causal,
        )
        return self.decoder(
            tgt,
            memory,
            tgt_mask=tgt_mask,
            memory_mask=memory_mask,
            tgt_key_padding_mask=tgt_key_padding_mask,
            memory_key_padding_mask=memory_key_padding_mask,
            tgt_is_causal=tgt_is_causal,
            memory_is_causal=memory_is_causal,
        )

    @staticmethod
    def generate_square_subsequent_mask(sz: int, device=None, dtype=None):
        """The mask, to be added, under which a step attends to those up to itself.

        >>> nn.Transformer.generate_square_subsequent_mask(2)
        tensor([[0., -inf],
                [0., 0.]])
        """
        full = creation.full((sz, sz), -math.inf, device=device, dtype=dtype)
        return triu(full, diagonal=1)


def _check_pair(net, src, tgt) -> None:
    dim = 0 if net.batch_first else 1
    if src.ndim == 3 and src.shape[dim] != tgt.shape[dim]:
        raise ShapeError(
            "the batch number of src and tgt must be equal, got "
            f"{src.shape[dim]} and {tgt.shape[dim]}"
        )
    if src.shape[-1] != net.d_model or tgt.shape[-1] != net.d_model:
        raise ShapeError(
            "the feature number of src and tgt must be equal to d_model "
            f"({net.d_model}), got {src.shape[-1]} and {tgt.shape[-1]}"
        )
