"""Names at the places where PyTorch has them: `adjoint.utils.data`, `adjoint.utils.checkpoint`."""

from . import checkpoint, data

__all__ = ["checkpoint", "data"]
