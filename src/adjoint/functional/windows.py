"""Windows for spectra."""

from __future__ import annotations

import numpy as np

from ..core import dtype as dt
from ..core.device import need_cpu
from ..errors import ArgumentTypeError, DtypeError
from .creation import finish, whole_count
from .face import function, np_dtype


def _window(name, length, periodic, options, make):
    """The values of `make` for a window that is symmetric, or one that repeats."""
    need_cpu(options.pop("device", None))
    dtype, grad = options.pop("dtype", None), options.pop("requires_grad", False)
    options.pop("layout", None)
    if options:
        raise ArgumentTypeError(f"{name}() has no argument {next(iter(options))!r}")
    length = whole_count(length, name, "window_length")
    d = np_dtype(dtype) or dt.get_default_dtype().np
    if dt.rank(d) != 2:
        raise DtypeError(f"{name} expects floating point dtypes, got: {d.name}")
    if length < 2:
        return finish(np.ones(length, d), grad)
    n = length + bool(periodic)
    return finish(make(n)[:length].astype(d), grad)


def _cosines(*weights):
    """Σ_k (−1)^k w_k cos(2πkj / (n − 1))."""

    def make(n):
        t = 2 * np.pi * np.arange(n) / (n - 1)
        return sum((-1) ** k * w * np.cos(k * t) for k, w in enumerate(weights))

    return make


@function
def hann_window(window_length, periodic=True, **options):
    """½ − ½ cos(2πj / (n − 1)); n is one more if the window is to repeat.

    >>> hann_window(4)
    tensor([0.0000, 0.5000, 1.0000, 0.5000])
    """
    return _window("hann_window", window_length, periodic, options, _cosines(0.5, 0.5))


@function
def hamming_window(window_length, periodic=True, alpha=0.54, beta=0.46, **options):
    """α − β cos(2πj / (n − 1)); n is one more if the window is to repeat.

    >>> hamming_window(4)
    tensor([0.0800, 0.5400, 1.0000, 0.5400])
    """
    make = _cosines(alpha, beta)
    return _window("hamming_window", window_length, periodic, options, make)


@function
def blackman_window(window_length, periodic=True, **options):
    """0.42 − 0.5 cos(2πj / (n − 1)) + 0.08 cos(4πj / (n − 1)).

    >>> blackman_window(4).round(decimals=4).abs()
    tensor([0.0000, 0.3400, 1.0000, 0.3400])
    """
    make = _cosines(0.42, 0.5, 0.08)
    return _window("blackman_window", window_length, periodic, options, make)


@function
def bartlett_window(window_length, periodic=True, **options):
    """The triangle 1 − |2j / (n − 1) − 1|.

    >>> bartlett_window(4)
    tensor([0.0000, 0.5000, 1.0000, 0.5000])
    """
    return _window("bartlett_window", window_length, periodic, options, np.bartlett)


@function
def kaiser_window(window_length, periodic=True, beta=12.0, **options):
    """I₀(β √(1 − (2j / (n − 1) − 1)²)) / I₀(β).

    >>> kaiser_window(4, beta=5.)
    tensor([0.0367, 0.5529, 1.0000, 0.5529])
    """

    def make(n):
        return np.kaiser(n, beta)

    return _window("kaiser_window", window_length, periodic, options, make)
