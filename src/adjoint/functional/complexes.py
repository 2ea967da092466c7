"""Complex numbers: made, taken apart, conjugated. Gradients are conjugate derivatives."""

from __future__ import annotations

import math

import numpy as np

from ..core import dtype as dt
from ..core.bind import dtype_of
from ..core.primitive import conjugate, number, op
from ..errors import DtypeError, ShapeError
from . import pointwise as pointwise  # its generated `conj` gives way to the one here
from .face import FUNCTIONS, alias, function, give, inexact, method, need_tensor
from .precision import single


def is_complex_value(x) -> bool:
    """Whether the dtype is complex."""
    return dtype_of(x).kind == "c"


@function
def real(input):
    """The real part, a view; a real tensor itself.

    >>> real(tensor([1+2j, 3-1j]))
    tensor([1., 3.])
    """
    x = need_tensor(input, "real")
    return op.real(x) if is_complex_value(x) else x


@function
def imag(input):
    """The imaginary part, a view.

    >>> imag(tensor([1+2j, 3-1j]))
    tensor([ 2., -1.])
    """
    x = need_tensor(input, "imag")
    if not is_complex_value(x):
        raise DtypeError(
            f"imag is not implemented for tensors with non-complex dtypes: {dtype_of(x).name}"
        )
    return op.imag(x)


@function
def view_as_real(input):
    """Complex numbers as pairs (real, imaginary) in a new last dim: a view.

    >>> view_as_real(tensor([1+2j, 3-1j]))
    tensor([[ 1.,  2.],
            [ 3., -1.]])
    """
    x = need_tensor(input, "view_as_real")
    if not is_complex_value(x):
        raise DtypeError(
            f"view_as_real is only supported for complex tensors, not {dtype_of(x).name}"
        )
    return op.view_as_real(x)


@function
@single
def view_as_complex(input):
    """Pairs (real, imaginary) in the last dim as complex numbers: a view.

    >>> view_as_complex(tensor([[1., 2.], [3., -1.]]))
    tensor([1.+2.j, 3.-1.j])
    """
    x = need_tensor(input, "view_as_complex")
    _need_parts("view_as_complex", x)
    if x.ndim == 0:
        raise ShapeError(
            "view_as_complex: Input tensor must have one or more dimensions"
        )
    if x.shape[-1] != 2:
        raise ShapeError(
            f"view_as_complex: Tensor must have a last dimension of size 2, got {x.shape[-1]}"
        )
    value = x.value
    if isinstance(value, np.ndarray) and value.strides[-1] != value.itemsize:
        raise ShapeError(
            "view_as_complex: Tensor must have a last dimension with stride 1",
            hint="x.contiguous()",
        )
    return op.view_as_complex(x)


def _need_parts(name, *xs):
    """Real dtypes of which there are complex numbers."""
    for x in xs:
        d = dtype_of(need_tensor(x, name))
        if d.name not in ("float32", "float64"):
            raise DtypeError(
                f"{name}: expected float32 or float64 tensors but got {d.name}",
                hint="there is no complex dtype of halves" if d.itemsize == 2 else "",
            )
    names = [dtype_of(x).name for x in xs]
    if len(set(names)) > 1:
        raise DtypeError(
            f"{name}: expected object of scalar type {names[0]} but got {names[1]} for the "
            "second argument"
        )


@function
def complex(real, imag, *, out=None):
    """Complex numbers of two real tensors.

    >>> complex(tensor([1.]), tensor([2.]))
    tensor([1.+2.j])
    """
    _need_parts("complex", real, imag)
    parts = FUNCTIONS["broadcast_tensors"](real, imag)
    y = op.view_as_complex(op.stack(*parts, dim=parts[0].ndim))
    return give(y, out)


@function
@single
def polar(abs, angle, *, out=None):
    """Complex numbers of magnitude and angle.

    >>> polar(tensor([2.]), tensor([0.]))
    tensor([2.+0.j])
    """
    _need_parts("polar", abs, angle)
    return complex(abs * op.cos(angle), abs * op.sin(angle), out=out)


@method
def conj(input):
    """Complex conjugate; a real tensor itself.

    >>> conj(tensor([1+2j]))
    tensor([1.-2.j])
    """
    return conjugate(need_tensor(input, "conj"))


@method
def conj_physical(input, *, out=None):
    """Complex conjugate; a real tensor itself.

    >>> conj_physical(tensor([1+2j]))
    tensor([1.-2.j])
    """
    y = conj(input)
    return give(y, out)


@method
def resolve_conj(input):
    """The tensor itself: conjugates are computed at once, never marked.

    >>> resolve_conj(tensor([1+2j]).conj())
    tensor([1.-2.j])
    """
    return need_tensor(input, "resolve_conj")


alias("resolve_neg", "resolve_conj")


@method
def is_conj(input) -> bool:
    """Whether a conjugation is only marked: never, it is computed at once.

    >>> is_conj(tensor([1+2j]).conj())
    False
    """
    need_tensor(input, "is_conj")
    return False


alias("is_neg", "is_conj")


@method
def angle(input, *, out=None):
    """The angle of a complex number in (−π, π]; of a real one 0 or π.

    >>> angle(tensor([1j, -1+0j]))
    tensor([1.5708, 3.1416])
    """
    x = inexact(need_tensor(input, "angle"))
    y = _angle(x) if is_complex_value(x) else _angle_of_real(x)
    return give(y, out)


def _angle(x):
    """At 0 the derivative is 0, as PyTorch has it."""
    re, im = op.real(x), op.imag(x)
    zero = op.logical_and(op.eq(re, number(0, re)), op.eq(im, number(0, im)))
    y = op.atan2(im, op.where(zero, op.ones_like(re), re))
    return op.where(zero, op.stop_gradient(op.atan2(im, re)), y)


def _angle_of_real(x):
    """Flat everywhere; `where` keeps it a function of x, with derivative 0."""
    flat = op.where(op.lt(x, number(0, x)), number(math.pi, x), number(0, x))
    flat = op.where(op.isnan(x), op.stop_gradient(x), flat)
    return op.where(np.zeros((), bool), x, flat)


@method
def isreal(input):
    """Whether the imaginary part is 0.

    >>> isreal(tensor([1+0j, 1j]))
    tensor([ True, False])
    """
    x = need_tensor(input, "isreal")
    if not is_complex_value(x):
        return op.eq(op.zeros_like(x), op.zeros_like(x))
    im = op.imag(x)
    return op.eq(im, number(0, im))


@function
def is_complex(input) -> bool:
    """Whether the dtype is complex.

    >>> is_complex(tensor([1j]))
    True
    """
    return is_complex_value(need_tensor(input, "is_complex"))


@function
def is_floating_point(input) -> bool:
    """Whether the dtype is floating.

    >>> is_floating_point(tensor([1.]))
    True
    """
    return dt.dtype(dtype_of(need_tensor(input, "is_floating_point"))).is_floating_point
