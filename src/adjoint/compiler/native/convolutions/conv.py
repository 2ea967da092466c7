"""Convolutions and their adjoints: what computes one, and how its images are shared by threads."""

from __future__ import annotations

from ....ir.graph import frozen
from .. import sharing
from ..sharing import few
from . import winograd
from .slide import Slide
from .weights import Weights

MOST = 16  # chunks of images that have sums of weights of their own


def kernel(o):
    """What computes a convolution or one of its gradients."""
    plain = (Weights if o.prim.name == "conv_weight" else Slide)(o)
    return winograd.kernel(o, plain) if winograd.fits(o) else plain


def identity(o) -> tuple:
    """What convolutions have in common whose code is the same."""
    specs = [v.spec for v in (*o.inputs, *o.outputs)]
    return o.prim.name, frozen(o.params), *specs


def piecewise(o, pieces) -> bool:
    """Whether plain sums do it as well in so many pieces of as many images each."""
    if winograd.fits(o):
        return False
    made = kernel(o)
    some = 2 * made.shape.n >= pieces * made.many
    sums = o.outputs[0].spec.bytes if o.prim.name == "conv_weight" else 0
    return some and few(pieces, sums) == pieces


def images(o, made, chunks) -> int:
    """Images of a chunk; of a weight's gradient chunks are few, for each has its own sums."""
    if o.prim.name == "conv_weight":
        chunks = few(min(chunks, MOST), o.outputs[0].spec.bytes)
    return sharing.images(made.shape.n, made.many, chunks)


def own_sums(k, chunks):
    """(operation, places) of what chunks sum up on their own."""
    (o,) = k.roots
    if o.prim.name != "conv_weight":
        return []
    if k.pieces:
        return [(o, k.pieces)]
    made = kernel(o)
    return [(o, -(-made.shape.n // images(o, made, chunks)))]
