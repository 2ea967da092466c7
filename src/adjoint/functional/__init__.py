"""The functions users call: arguments checked and promoted, then a primitive or a few.

Importing the package fills the two tables of `face`: functions, and Tensor methods.
"""

from .. import ops as ops  # the records come before the functions made of them
from . import (
    activation,
    complexes,
    convolution,
    creation,
    distances,
    fft,
    indexing,
    losses,
    normalization,
    pointwise,
    pooling,
    products,
    reductions,
    resampling,
    shapes,
    special,
)
from .face import FUNCTIONS, METHODS

__all__ = [
    "FUNCTIONS",
    "METHODS",
    "activation",
    "complexes",
    "convolution",
    "creation",
    "distances",
    "embeddings",
    "gathering",
    "fft",
    "indexing",
    "losses",
    "normalization",
    "pointwise",
    "pooling",
    "products",
    "reductions",
    "resampling",
    "shapes",
    "special",
]
