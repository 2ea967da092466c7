"""Every primitive, one record each; importing this package registers them."""

from . import activation, contract, conv, elementwise, pool, reduce, shape, special

__all__ = [
    "activation",
    "contract",
    "conv",
    "elementwise",
    "pool",
    "reduce",
    "shape",
    "special",
]
