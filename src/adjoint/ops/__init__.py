"""Every primitive, one record each; importing this package registers them."""

from . import contract, conv, elementwise, pool, reduce, shape

__all__ = ["contract", "conv", "elementwise", "pool", "reduce", "shape"]
