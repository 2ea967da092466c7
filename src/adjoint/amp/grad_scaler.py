"""`adjoint.amp.grad_scaler`: scaled losses, where PyTorch has them."""

from ..train.amp import GradScaler

__all__ = ["GradScaler"]
