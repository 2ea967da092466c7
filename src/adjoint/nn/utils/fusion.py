"""Batch normalization folded into the layer before it, for evaluation."""

from __future__ import annotations

import copy

from ...errors import ArgumentError
from ..parameter import Parameter


def fuse_conv_bn_eval(conv, bn, transpose: bool = False):
    """One convolution that does what `conv` and then `bn` do in evaluation.

    >>> conv, bn = nn.Conv1d(1, 1, 1).eval(), nn.BatchNorm1d(1, eps=0.).eval()
    >>> x = ones(1, 1, 3)
    >>> nn.utils.fuse_conv_bn_eval(conv, bn)(x).allclose(bn(conv(x)))
    True
    """
    return _fused(conv, bn, fuse_conv_bn_weights, transpose)


def fuse_conv_bn_weights(
    conv_w, conv_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, transpose: bool = False
):
    """Weight and bias of `fuse_conv_bn_eval`.

    >>> w, b = ones(1, 1, 1), zeros(1)
    >>> w, b = nn.utils.fuse_conv_bn_weights(w, b, ones(1), ones(1), 0., None, None)
    >>> w.item(), b.item()
    (1.0, -1.0)
    """
    along = (1, -1) if transpose else (-1, 1)
    return _folded(conv_w, conv_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, along)


def fuse_linear_bn_eval(linear, bn):
    """One linear layer that does what `linear` and then `bn` do in evaluation.

    >>> linear, bn = nn.Linear(2, 3).eval(), nn.BatchNorm1d(3).eval()
    >>> x = ones(4, 2)
    >>> nn.utils.fuse_linear_bn_eval(linear, bn)(x).allclose(bn(linear(x)))
    True
    """
    if linear.out_features != bn.num_features and bn.num_features != 1:
        raise ArgumentError(
            "To fuse, linear.out_features == bn.num_features or bn.num_features == 1, got "
            f"{linear.out_features} and {bn.num_features}"
        )
    return _fused(linear, bn, fuse_linear_bn_weights)


def fuse_linear_bn_weights(linear_w, linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b):
    """Weight and bias of `fuse_linear_bn_eval`.

    >>> w, b = ones(1, 1), zeros(1)
    >>> w, b = nn.utils.fuse_linear_bn_weights(w, b, ones(1), ones(1), 0., None, None)
    >>> w.item(), b.item()
    (1.0, -1.0)
    """
    return _folded(linear_w, linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, (-1, 1))


def _fused(layer, bn, fold, *more):
    if layer.training or bn.training:
        raise ArgumentError("Fusion only for eval!", hint="call .eval() on both first")
    if bn.running_mean is None or bn.running_var is None:
        raise ArgumentError("Fusion needs running statistics of the batch norm")
    out = copy.deepcopy(layer)
    statistics = (bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias)
    out.weight, out.bias = fold(out.weight, out.bias, *statistics, *more)
    return out


def _folded(w, b, mean, var, eps, gain, shift, along):
    """γ (w x + b − mean) / √(var + eps) + β as one weight and bias."""
    scale = (var + eps).rsqrt()
    scale = scale if gain is None else gain * scale
    b = -mean if b is None else b - mean
    b = b * scale if shift is None else b * scale + shift
    new = w * scale.reshape(*along, *[1] * (w.ndim - 2)).to(w.dtype)
    bias = Parameter(b.detach().to(w.dtype), w.requires_grad)
    return Parameter(new.detach(), w.requires_grad), bias
