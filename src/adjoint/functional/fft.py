"""Discrete Fourier transforms: `adjoint.fft`, with the names of `torch.fft`.

`norm` says where the factor 1/n goes: "backward" (to the inverse, the default), "forward",
or "ortho", 1/√n to both.
"""

from __future__ import annotations

import numpy as np

from ..core import dtype as dt
from ..core.bind import Box, dtype_of
from ..core.device import need_cpu
from ..core.primitive import op
from ..core.shape import norm_dim
from ..errors import (
    ArgumentError,
    ArgumentTypeError,
    DimError,
    DtypeError,
    ShapeError,
)
from .arranging import roll
from .creation import finish
from .face import cast, give, need_tensor, np_dtype
from .precision import single

__all__ = [
    "fft",
    "fft2",
    "fftfreq",
    "fftn",
    "fftshift",
    "hfft",
    "hfft2",
    "hfftn",
    "ifft",
    "ifft2",
    "ifftn",
    "ifftshift",
    "ihfft",
    "ihfft2",
    "ihfftn",
    "irfft",
    "irfft2",
    "irfftn",
    "rfft",
    "rfft2",
    "rfftfreq",
    "rfftn",
]

_OPPOSITE = {"backward": "forward", "ortho": "ortho", "forward": "backward"}


def _norm(norm) -> str:
    norm = "backward" if norm is None else norm
    if norm not in _OPPOSITE:
        raise ArgumentError(
            f'Invalid normalization mode: "{norm}"',
            hint='"forward", "backward" and "ortho" there are',
        )
    return norm


def _points(n, name) -> int:
    """A count of points, which must be positive."""
    if isinstance(n, bool) or not hasattr(n, "__index__"):
        raise ArgumentTypeError(f"{name}: a size must be an integer, got {n!r}")
    if n.__index__() < 1:
        raise ShapeError(f"{name}: Invalid number of data points ({n}) specified")
    return n.__index__()


def _inexact(x, name):
    """`x` in a dtype that has a transform: integers become the default dtype."""
    need_tensor(x, name)
    d = dt.to_inexact(dtype_of(x))
    if d.itemsize < 4:
        raise DtypeError(f"{name}: Unsupported dtype {d.name}", hint="x.float()")
    return cast(x, d)


def _as_complex(x, name):
    x = _inexact(x, name)
    return cast(x, dt.to_complex(dtype_of(x)))


def _as_real(x, name):
    x = _inexact(x, name)
    if dtype_of(x).kind == "c":
        raise DtypeError(
            f"{name} expects a real input tensor, but got {dtype_of(x).name}"
        )
    return x


def _fit(x, sizes: dict):
    """`x` cut or padded with zeros at the end to the sizes of some dims."""
    shape = tuple(x.shape)
    target = tuple(sizes.get(i, n) for i, n in enumerate(shape))
    if target == shape:
        return x
    key = tuple((0, min(n, m), 1) for n, m in zip(shape, target, strict=True))
    if any(m < n for n, m in zip(shape, target, strict=True)):
        x = op.slice(x, key=key)
    if any(m > n for n, m in zip(shape, target, strict=True)):
        x = op.unslice(x, shape=target, key=key)
    return x


def _one(x, n, dim, name):
    """The dim of a transform along one dim, and its size."""
    if x.ndim == 0:
        raise DimError(f"{name}: dimension {dim} of a tensor without dims")
    dim = norm_dim(dim, x.ndim)
    return dim, _points(x.shape[dim] if n is None else n, name)


def _many(x, s, dim, name, last=None):
    """{dim: size} of a transform over several; `last` gives the default of the last size."""
    s = (s,) if hasattr(s, "__index__") else s
    dim = (dim,) if hasattr(dim, "__index__") else dim
    if s is not None and dim is not None and len(s) != len(dim):
        raise ShapeError(
            f"{name}: When given, dim and shape arguments must have the same length, "
            f"got {tuple(dim)} and {tuple(s)}"
        )
    if dim is None:
        count = x.ndim if s is None else len(s)
        if count > x.ndim:
            raise ShapeError(
                f"{name}: Got shape with {count} values but input tensor only has "
                f"{x.ndim} dimensions."
            )
        dim = range(x.ndim - count, x.ndim)
    dims = [norm_dim(d, x.ndim) for d in dim] if x.ndim or len(dim) else []
    if len(set(dims)) < len(dims):
        raise ShapeError(f"{name}: FFT dims must be unique, got {tuple(dim)}")
    s = [-1] * len(dims) if s is None else list(s)
    if last is not None:
        if not dims:
            raise ShapeError(f"{name} must transform at least one axis")
        s[-1] = last(x.shape[dims[-1]]) if s[-1] == -1 else s[-1]
    return {
        d: _points(x.shape[d] if n == -1 else n, name)
        for d, n in zip(dims, s, strict=True)
    }


def _whole(n: int) -> int:
    """How many points a half spectrum of n stands for, if nothing else is said."""
    return 2 * (n - 1)


# ---------------------------------------------------------------- along one dim


@single
def fft(input, n=None, dim=-1, norm=None, *, out=None):
    """The transform y_k = Σ_j x_j exp(−2πi jk/n) along `dim`.

    >>> fft(tensor([1., 2., 3., 4.]))
    tensor([10.+0.j, -2.+2.j, -2.+0.j, -2.-2.j])
    """
    x = _as_complex(input, "fft")
    dim, n = _one(x, n, dim, "fft")
    return give(_fft(x, {dim: n}, False, _norm(norm)), out)


@single
def ifft(input, n=None, dim=-1, norm=None, *, out=None):
    """The inverse of `fft` along `dim`.

    >>> ifft(tensor([10.+0.j, -2.+2.j, -2.+0.j, -2.-2.j]))
    tensor([1.+0.j, 2.+0.j, 3.+0.j, 4.+0.j])
    """
    x = _as_complex(input, "ifft")
    dim, n = _one(x, n, dim, "ifft")
    return give(_fft(x, {dim: n}, True, _norm(norm)), out)


def _fft(x, sizes, inverse, norm):
    x = _fit(x, sizes)
    return op.fft(x, dims=tuple(sizes), inverse=inverse, norm=norm) if sizes else x


@single
def rfft(input, n=None, dim=-1, norm=None, *, out=None):
    """The first n//2 + 1 points of the `fft` of a real tensor; the others mirror them.

    >>> rfft(tensor([1., 2., 3., 4.]))
    tensor([10.+0.j, -2.+2.j, -2.+0.j])
    """
    x = _as_real(input, "rfft")
    dim, n = _one(x, n, dim, "rfft")
    return give(_rfft(x, {dim: n}, _norm(norm)), out)


def _rfft(x, sizes, norm):
    *others, last = sizes
    y = op.rfft(_fit(x, sizes), dim=last, norm=norm)
    return op.fft(y, dims=(*others,), inverse=False, norm=norm) if others else y


@single
def irfft(input, n=None, dim=-1, norm=None, *, out=None):
    """The real tensor of n points (2 (m − 1) for m given) of which `input` is the `rfft`.

    >>> irfft(tensor([10.+0.j, -2.+2.j, -2.+0.j]))
    tensor([1., 2., 3., 4.])
    """
    x = _as_complex(input, "irfft")
    dim, n = _one_half(x, n, dim, "irfft")
    return give(_irfft(x, {dim: n}, _norm(norm)), out)


def _one_half(x, n, dim, name):
    if n is None and x.ndim:
        n = _whole(x.shape[norm_dim(dim, x.ndim)])
    return _one(x, n, dim, name)


def _irfft(x, sizes, norm):
    *others, last = sizes
    n = sizes[last]
    x = _fit(x, {**sizes, last: n // 2 + 1})
    if others:
        x = op.fft(x, dims=(*others,), inverse=True, norm=norm)
    return op.irfft(x, dim=last, n=n, norm=norm)


@single
def hfft(input, n=None, dim=-1, norm=None, *, out=None):
    """The real `fft` of a signal that mirrors its conjugate, of which `input` is the half.

    >>> hfft(tensor([1., 2., 3.]), n=4)
    tensor([ 8., -2.,  0., -2.])
    """
    x = _as_complex(input, "hfft")
    dim, n = _one_half(x, n, dim, "hfft")
    return give(_irfft(op.conj(x), {dim: n}, _OPPOSITE[_norm(norm)]), out)


@single
def ihfft(input, n=None, dim=-1, norm=None, *, out=None):
    """The inverse of `hfft`: half of the `ifft` of a real tensor.

    >>> ihfft(tensor([8., -2., 0., -2.]))
    tensor([1.-0.j, 2.-0.j, 3.-0.j])
    """
    x = _as_real(input, "ihfft")
    dim, n = _one(x, n, dim, "ihfft")
    return give(op.conj(_rfft(x, {dim: n}, _OPPOSITE[_norm(norm)])), out)


# ---------------------------------------------------------------- over several dims


@single
def fftn(input, s=None, dim=None, norm=None, *, out=None):
    """`fft` along each of `dim`: all of them, or the last ones that `s` gives sizes of.

    >>> fftn(tensor([[1., 2.], [3., 4.]]))
    tensor([[10.+0.j, -2.+0.j],
            [-4.+0.j,  0.+0.j]])
    """
    x = _as_complex(input, "fftn")
    return give(_fft(x, _many(x, s, dim, "fftn"), False, _norm(norm)), out)


@single
def ifftn(input, s=None, dim=None, norm=None, *, out=None):
    """The inverse of `fftn`.

    >>> ifftn(tensor([[10., -2.], [-4., 0.]]))
    tensor([[1.+0.j, 2.+0.j],
            [3.+0.j, 4.+0.j]])
    """
    x = _as_complex(input, "ifftn")
    return give(_fft(x, _many(x, s, dim, "ifftn"), True, _norm(norm)), out)


@single
def rfftn(input, s=None, dim=None, norm=None, *, out=None):
    """`fftn` of a real tensor, of which half the last transformed dim says all.

    >>> rfftn(ones(2, 4)).shape
    adjoint.Size([2, 3])
    """
    x = _as_real(input, "rfftn")
    sizes = _many(x, s, dim, "rfftn", last=lambda n: n)
    return give(_rfft(x, sizes, _norm(norm)), out)


@single
def irfftn(input, s=None, dim=None, norm=None, *, out=None):
    """The inverse of `rfftn`.

    >>> irfftn(rfftn(tensor([[1., 2.], [3., 4.]])))
    tensor([[1., 2.],
            [3., 4.]])
    """
    x = _as_complex(input, "irfftn")
    sizes = _many(x, s, dim, "irfftn", last=_whole)
    return give(_irfft(x, sizes, _norm(norm)), out)


def hfftn(input, s=None, dim=None, norm=None, *, out=None):
    """`hfft` along the last of `dim`, `fft` along the others.

    >>> hfftn(ones(2, 3)).shape
    adjoint.Size([2, 4])
    """
    x = _as_complex(input, "hfftn")
    sizes = _many(x, s, dim, "hfftn", last=_whole)
    return give(_irfft(op.conj(x), sizes, _OPPOSITE[_norm(norm)]), out)


def ihfftn(input, s=None, dim=None, norm=None, *, out=None):
    """The inverse of `hfftn`, of a real tensor.

    >>> ihfftn(ones(2, 4)).shape
    adjoint.Size([2, 3])
    """
    x = _as_real(input, "ihfftn")
    sizes = _many(x, s, dim, "ihfftn", last=lambda n: n)
    return give(op.conj(_rfft(x, sizes, _OPPOSITE[_norm(norm)])), out)


# ---------------------------------------------------------------- over two dims

_TWO = {
    "fft2": (fftn, "ones(2, 4)", "2, 4"),
    "ifft2": (ifftn, "ones(2, 4)", "2, 4"),
    "rfft2": (rfftn, "ones(2, 4)", "2, 3"),
    "irfft2": (irfftn, "ones(2, 3)", "2, 4"),
    "hfft2": (hfftn, "ones(2, 3)", "2, 4"),
    "ihfft2": (ihfftn, "ones(2, 4)", "2, 3"),
}


def _over_two(name):
    whole, example, shape = _TWO[name]

    def f(input, s=None, dim=(-2, -1), norm=None, *, out=None):
        return whole(input, s, dim, norm, out=out)

    f.__name__ = f.__qualname__ = name
    f.__doc__ = (
        f"`{whole.__name__}` over the last two dims, or two others.\n\n"
        f"    >>> {name}({example}).shape\n    adjoint.Size([{shape}])\n    "
    )
    return f


fft2, ifft2, rfft2, irfft2, hfft2, ihfft2 = (_over_two(name) for name in _TWO)


# ---------------------------------------------------------------- frequencies


def _frequencies(name, n, d, dtype, device, requires_grad, make):
    need_cpu(device)
    if isinstance(n, (bool, float)) or not hasattr(n, "__index__"):
        raise ArgumentTypeError(f"{name}: n must be an integer, got {n!r}")
    kind = np_dtype(dtype) or dt.get_default_dtype().np
    if not dt.is_inexact(kind):
        raise DtypeError(f"{name} requires a floating point or complex dtype")
    step = d.item() if isinstance(d, Box) else d
    count = n.__index__()
    whole = make(count)
    return finish((whole / (count * step or 1)).astype(kind), requires_grad)


def fftfreq(
    n, d=1.0, *, out=None, dtype=None, layout=None, device=None, requires_grad=False
):
    """The frequencies of the points of an `fft` of n samples at distance d.

    >>> fftfreq(5, 0.5)
    tensor([ 0.0000,  0.4000,  0.8000, -0.8000, -0.4000])
    """

    def make(n):
        k = np.arange(n)
        return np.where(k < (n + 1) // 2, k, k - n)

    y = _frequencies("fftfreq", n, d, dtype, device, requires_grad, make)
    return give(y, out)


def rfftfreq(
    n, d=1.0, *, out=None, dtype=None, layout=None, device=None, requires_grad=False
):
    """The frequencies of the points of an `rfft` of n samples at distance d.

    >>> rfftfreq(4)
    tensor([0.0000, 0.2500, 0.5000])
    """

    def make(n):
        return np.arange(n // 2 + 1)

    y = _frequencies("rfftfreq", n, d, dtype, device, requires_grad, make)
    return give(y, out)


def _rolled(x, dim, by):
    dims = (
        range(x.ndim) if dim is None else (dim,) if hasattr(dim, "__index__") else dim
    )
    dims = [norm_dim(d, x.ndim) for d in dims]
    return roll(x, [by(x.shape[d]) for d in dims], dims) if dims else x


def fftshift(input, dim=None):
    """Frequency zero moved to the middle of each dim.

    >>> fftshift(tensor([0, 1, 2, -2, -1]))
    tensor([-2, -1,  0,  1,  2])
    """
    return _rolled(need_tensor(input, "fftshift"), dim, lambda n: n // 2)


def ifftshift(input, dim=None):
    """The inverse of `fftshift`.

    >>> ifftshift(tensor([-2, -1, 0, 1, 2]))
    tensor([ 0,  1,  2, -2, -1])
    """
    return _rolled(need_tensor(input, "ifftshift"), dim, lambda n: (n + 1) // 2)
