"""Complex numbers and their parts."""

from __future__ import annotations

from ..core.bind import dtype_of
from ..core.primitive import op
from ..errors import DtypeError
from .face import function, need_tensor


@function
def real(input):
    """The real part, a view; a real tensor itself.

    >>> real(tensor([1+2j, 3-1j]))
    tensor([1., 3.])
    """
    x = need_tensor(input, "real")
    return op.real(x) if dtype_of(x).kind == "c" else x


@function
def imag(input):
    """The imaginary part, a view.

    >>> imag(tensor([1+2j, 3-1j]))
    tensor([ 2., -1.])
    """
    x = need_tensor(input, "imag")
    if dtype_of(x).kind != "c":
        raise DtypeError(f"imag: needs a complex tensor, not {dtype_of(x).name}")
    return op.imag(x)
