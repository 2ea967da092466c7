"""`special`: functions of mathematical physics and statistics, by PyTorch's names."""

from __future__ import annotations

from ..core.primitive import op
from .face import method
from .pointwise import unary


def _face(name: str):
    """The user's function for a record with one input."""
    f = unary(getattr(op, name))
    f.__name__ = f.__qualname__ = name
    f.__doc__ = type(getattr(op, name)).__doc__
    f.__module__ = __name__
    return f


erf, erfc = method(_face("erf")), method(_face("erfc"))
erfcx, ndtr, log_ndtr = map(_face, ("erfcx", "ndtr", "log_ndtr"))
