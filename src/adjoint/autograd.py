"""`adjoint.autograd`: reverse mode by hand, as PyTorch names it."""

from .autodiff.backward import backward, grad
from .autodiff.check import gradcheck, gradgradcheck
from .autodiff.modes import (
    detect_anomaly,
    enable_grad,
    inference_mode,
    no_grad,
    set_detect_anomaly,
    set_grad_enabled,
)

__all__ = [
    "backward",
    "detect_anomaly",
    "enable_grad",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "inference_mode",
    "no_grad",
    "set_detect_anomaly",
    "set_grad_enabled",
]
