"""The functions users call: arguments checked and promoted, then a primitive or a few.

Importing the package fills the two tables of `face`: functions, and Tensor methods.
"""

from . import (
    complexes,
    convolution,
    creation,
    indexing,
    pointwise,
    pooling,
    products,
    reductions,
    resampling,
    shapes,
)
from .face import FUNCTIONS, METHODS

__all__ = [
    "FUNCTIONS",
    "METHODS",
    "complexes",
    "convolution",
    "creation",
    "indexing",
    "pointwise",
    "pooling",
    "products",
    "reductions",
    "resampling",
    "shapes",
]
