"""The functions users call: arguments checked and promoted, then a primitive or a few.

Importing the package fills the two tables of `face`: functions, and Tensor methods.
"""

from .. import ops as ops  # the records come before the functions made of them
from . import (
    activation,
    combining,
    complexes,
    convolution,
    creation,
    cumulative,
    distances,
    embeddings,
    fft,
    gathering,
    indexing,
    linalg,
    losses,
    matrices,
    normalization,
    ordering,
    pointwise,
    pooling,
    products,
    random,
    reductions,
    resampling,
    shapes,
    special,
    statistics,
)
from .face import FUNCTIONS, METHODS

__all__ = [
    "FUNCTIONS",
    "METHODS",
    "activation",
    "combining",
    "complexes",
    "convolution",
    "creation",
    "cumulative",
    "distances",
    "embeddings",
    "fft",
    "gathering",
    "indexing",
    "linalg",
    "losses",
    "matrices",
    "normalization",
    "ordering",
    "pointwise",
    "pooling",
    "products",
    "random",
    "reductions",
    "resampling",
    "shapes",
    "special",
    "statistics",
]
