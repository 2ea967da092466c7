"""Every primitive, one record each; importing this package registers them."""

from . import contract, elementwise, reduce, shape

__all__ = ["contract", "elementwise", "reduce", "shape"]
