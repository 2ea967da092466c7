"""Networks: for now the functions that layers are made of."""

from . import functional

__all__ = ["functional"]
