"""Modules as functions of their parameters, under PyTorch's older name."""

from ...functional.stateless import functional_call

__all__ = ["functional_call"]
