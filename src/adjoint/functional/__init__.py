"""The functions users call: arguments checked and promoted, then a primitive or a few.

Importing the package fills the two tables of `face`: functions, and Tensor methods.
"""

from .. import ops as ops  # the records come before the functions made of them
from . import (
    activation,
    attention,
    bits,
    combining,
    complexes,
    control,
    convolution,
    creation,
    cumulative,
    debug,
    distances,
    einsum,
    embeddings,
    fft,
    gathering,
    indexing,
    linalg,
    losses,
    machine,
    matrices,
    normalization,
    numbers,
    ordering,
    pointwise,
    polynomials,
    pooling,
    products,
    random,
    recurrent,
    reductions,
    resampling,
    shapes,
    special,
    statistics,
)

from . import in_place  # isort: skip  (of the methods that the others define)
from .face import FUNCTIONS, METHODS, namespace

__all__ = [
    "FUNCTIONS",
    "METHODS",
    "activation",
    "attention",
    "bits",
    "combining",
    "complexes",
    "control",
    "convolution",
    "creation",
    "cumulative",
    "debug",
    "distances",
    "einsum",
    "embeddings",
    "fft",
    "gathering",
    "in_place",
    "indexing",
    "linalg",
    "losses",
    "machine",
    "matrices",
    "normalization",
    "numbers",
    "ordering",
    "pointwise",
    "polynomials",
    "pooling",
    "products",
    "random",
    "recurrent",
    "reductions",
    "resampling",
    "shapes",
    "special",
    "statistics",
]

for _module in (fft, linalg, special):
    namespace(_module, {name: getattr(_module, name) for name in _module.__all__})
