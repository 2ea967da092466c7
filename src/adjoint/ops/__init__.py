"""Every primitive, one record each; importing this package registers them."""

from . import (
    activation,
    contract,
    conv,
    elementwise,
    fft,
    index,
    linalg,
    order,
    pool,
    random,
    reduce,
    scan,
    shape,
    special,
)

__all__ = [
    "activation",
    "contract",
    "conv",
    "elementwise",
    "fft",
    "index",
    "linalg",
    "order",
    "pool",
    "random",
    "reduce",
    "scan",
    "shape",
    "special",
]
