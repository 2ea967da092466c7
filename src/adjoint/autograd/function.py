"""`adjoint.autograd.function`: operations with derivatives of your own."""

from ..autodiff.function import Context as FunctionCtx
from ..autodiff.function import Function, VmapInfo, once_differentiable

__all__ = ["Function", "FunctionCtx", "VmapInfo", "once_differentiable"]
