"""`adjoint.utils.checkpoint`: recomputation, where PyTorch has it."""

from ..autodiff.checkpoint import checkpoint, checkpoint_sequential

__all__ = ["checkpoint", "checkpoint_sequential"]
