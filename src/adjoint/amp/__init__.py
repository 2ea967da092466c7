"""`adjoint.amp`: mixed precision, where PyTorch has it."""

from ..autodiff.casting import autocast, is_autocast_available
from ..train.amp import GradScaler
from . import autocast_mode, grad_scaler
from .autocast_mode import custom_bwd, custom_fwd

__all__ = [
    "GradScaler",
    "autocast",
    "autocast_mode",
    "custom_bwd",
    "custom_fwd",
    "grad_scaler",
    "is_autocast_available",
]
