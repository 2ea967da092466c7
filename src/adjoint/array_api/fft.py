"""The standard's extension for Fourier transforms."""

from __future__ import annotations

from ..functional import fft as inner


def _along_one(name: str):
    transform = getattr(inner, name)

    def f(x, /, *, n=None, axis=-1, norm="backward"):
        return transform(x, n, axis, norm)

    f.__name__ = f.__qualname__ = name
    f.__doc__ = (transform.__doc__ or "").split("\n")[0]
    return f


def _along_many(name: str):
    transform = getattr(inner, name)

    def f(x, /, *, s=None, axes=None, norm="backward"):
        return transform(x, s, axes, norm)

    f.__name__ = f.__qualname__ = name
    f.__doc__ = (transform.__doc__ or "").split("\n")[0]
    return f


_ONE = ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")
_MANY = ("fftn", "ifftn", "rfftn", "irfftn")
globals().update({name: _along_one(name) for name in _ONE})
globals().update({name: _along_many(name) for name in _MANY})


def fftfreq(n, /, *, d=1.0, dtype=None, device=None):
    """The frequencies of the bins of `fft`."""
    return inner.fftfreq(n, d, dtype=dtype, device=device)


def rfftfreq(n, /, *, d=1.0, dtype=None, device=None):
    """The frequencies of the bins of `rfft`."""
    return inner.rfftfreq(n, d, dtype=dtype, device=device)


def fftshift(x, /, *, axes=None):
    """Frequency 0 in the middle."""
    return inner.fftshift(x, axes)


def ifftshift(x, /, *, axes=None):
    """The inverse of `fftshift`."""
    return inner.ifftshift(x, axes)


__all__ = [*_ONE, *_MANY, "fftfreq", "fftshift", "ifftshift", "rfftfreq"]
