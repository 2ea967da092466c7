"""`special`: functions of mathematical physics and statistics, by PyTorch's names."""

from __future__ import annotations

from ..core.primitive import op
from .face import method
from .pointwise import binary, unary


def _face(name: str):
    """The user's function for a record with one input or two."""
    prim = getattr(op, name)
    f = (unary if prim.nin == 1 else binary)(prim)
    f.__name__ = f.__qualname__ = name
    f.__doc__ = type(prim).__doc__
    f.__module__ = __name__
    return f


erf, erfc = method(_face("erf")), method(_face("erfc"))
erfcx, ndtr, log_ndtr = map(_face, ("erfcx", "ndtr", "log_ndtr"))
xlogy, xlog1py = method(_face("xlogy")), _face("xlog1py")
