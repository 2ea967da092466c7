"""A tensor as text: its numbers, and of the rest what they do not say."""

from __future__ import annotations

import numpy as np

from ..core import dtype as dt
from ..core.bind import at_bottom, floor
from ..printing import OPTIONS, show_array, with_suffixes

_START = "tensor("


def shown(x) -> str:
    """The text of `x`, which may be traced or batched."""
    value = x.value
    floor.get().shown(x)
    if not hasattr(at_bottom(x), "item"):
        return f"tensor(<traced>, shape={tuple(x.shape)}, dtype={x.dtype})"
    if not isinstance(value, np.ndarray):
        return f"{type(x).__name__}({value!r}, shape={list(x.shape)})"
    text = _START + show_array(value, len(_START))
    return with_suffixes(text, _suffixes(x, value), len(_START)) + ")"


def _suffixes(x, value) -> list[str]:
    """The size where no number shows it, an unusual dtype, the place in the graph."""
    found = []
    if not OPTIONS["edgeitems"] if value.size else value.ndim != 1:
        found.append(f"size={value.shape}")
    if value.dtype not in _usual_dtypes(value.size):
        found.append(f"dtype={x.dtype}")
    if x.grad_fn is not None:
        found.append(f"grad_fn={x.grad_fn!r}")
    elif x.requires_grad:
        found.append("requires_grad=True")
    return found


def _usual_dtypes(size):
    """Those that `tensor` gives to so many numbers as they are printed."""
    default = dt.get_default_dtype().np
    if not size:
        return (default,)
    return default, dt.to_complex(default), np.dtype("int64"), np.dtype(bool)
