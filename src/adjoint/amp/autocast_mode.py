"""`adjoint.amp.autocast_mode`: `autocast` around the rules of a `Function`."""

from __future__ import annotations

import functools

from ..autodiff.casting import (
    autocast,
    get_autocast_dtype,
    is_autocast_available,
    is_autocast_enabled,
)
from ..core import tree
from ..core.bind import Box
from ..functional.face import np_dtype

__all__ = ["autocast", "custom_bwd", "custom_fwd", "is_autocast_available"]


def custom_fwd(fwd=None, *, device_type: str = "cpu", cast_inputs=None):
    """Around `forward(ctx, ...)` of a Function: the precision it runs in.

    With `cast_inputs`, a dtype, and inside `autocast`, floating arguments are cast to it and
    autocast is off; else it holds as around the call. `custom_bwd` has `backward` do the same.

    >>> class Product(autograd.Function):
    ...     @staticmethod
    ...     @amp.custom_fwd(device_type="cpu", cast_inputs=float32)
    ...     def forward(ctx, a, b):
    ...         ctx.save_for_backward(a, b)
    ...         return a @ b
    ...     @staticmethod
    ...     @amp.custom_bwd(device_type="cpu")
    ...     def backward(ctx, gy):
    ...         a, b = ctx.saved_tensors
    ...         return gy @ b.T, a.T @ gy
    >>> with autocast("cpu"):
    ...     Product.apply(ones(2, 2), ones(2, 2)).dtype
    adjoint.float32
    """
    if fwd is None:
        return functools.partial(
            custom_fwd, device_type=device_type, cast_inputs=cast_inputs
        )

    @functools.wraps(fwd)
    def forward(ctx, *args, **kwargs):
        on = is_autocast_enabled(device_type)
        ctx._autocast = on and cast_inputs is None, get_autocast_dtype(device_type)
        if not on or cast_inputs is None:
            return fwd(ctx, *args, **kwargs)
        args, kwargs = tree.map_leaves(_caster(np_dtype(cast_inputs)), (args, kwargs))
        with autocast(device_type, enabled=False):
            return fwd(ctx, *args, **kwargs)

    return forward


def _caster(dtype):
    def cast(x):
        real = isinstance(x, Box) and x.is_floating_point()
        return x.to(dtype) if real and x.dtype.itemsize < 8 else x

    return cast


def custom_bwd(bwd=None, *, device_type: str = "cpu"):
    """Around `backward(ctx, ...)` of a Function: in the precision that its forward ran in."""
    if bwd is None:
        return functools.partial(custom_bwd, device_type=device_type)

    @functools.wraps(bwd)
    def backward(ctx, *args):
        on, dtype = ctx._autocast
        with autocast(device_type, enabled=on, dtype=dtype):
            return bwd(ctx, *args)

    return backward
