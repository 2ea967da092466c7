"""Every primitive, one record each; importing this package registers them."""

from . import (
    activation,
    bits,
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
    spectra,
)

__all__ = [
    "activation",
    "bits",
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
    "spectra",
]
