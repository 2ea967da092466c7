"""Angles and distances of pairs of tensors, as layers."""

from __future__ import annotations

from . import functional as F
from .applied import Applied


class CosineSimilarity(Applied):
    """x₁·x₂ / (‖x₁‖ ‖x₂‖) along `dim`, each length at least eps.

    >>> nn.CosineSimilarity()(tensor([[3., 4.]]), tensor([[4., 3.]]))
    tensor([0.9600])
    """

    call = staticmethod(F.cosine_similarity)
    options = {"dim": 1, "eps": 1e-8}
    shows = ""


class PairwiseDistance(Applied):
    """‖x₁ − x₂ + eps‖ₚ over the last dim.

    >>> nn.PairwiseDistance()(tensor([[0., 0.]]), tensor([[3., 4.]]))
    tensor([5.0000])
    """

    call = staticmethod(F.pairwise_distance)
    options = {"p": 2.0, "eps": 1e-6, "keepdim": False}
    shows = ""
