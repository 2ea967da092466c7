"""Short-time Fourier transforms: the spectrum of each of many overlapping pieces of a signal."""

from __future__ import annotations

import numpy as np

from ..core.bind import at_bottom, dtype_of
from ..core.dtype import to_real
from ..core.primitive import op
from ..core.shape import whole
from ..errors import ArgumentError, ShapeError
from . import fft
from .complexes import view_as_complex, view_as_real
from .convolution import fold
from .face import cast, method, need_tensor, wrap
from .padding import pad
from .precision import single
from .shapes import transpose
from .strides import unfold


def _steps(name, n_fft, hop_length, win_length):
    n = whole(n_fft, f"{name}: n_fft")
    hop = n // 4 if hop_length is None else whole(hop_length, f"{name}: hop_length")
    win = n if win_length is None else whole(win_length, f"{name}: win_length")
    if n <= 0 or hop <= 0 or not 0 < win <= n:
        raise ArgumentError(
            f"{name}: expected n_fft > 0, hop_length > 0 and 0 < win_length <= n_fft, got "
            f"{n}, {hop} and {win}"
        )
    return n, hop, win


def _window(name, window, win, n, d):
    """The window, in the middle of n numbers."""
    if window is None:
        window = wrap(np.ones(win, d))
    if tuple(need_tensor(window, name, "window").shape) != (win,):
        raise ShapeError(
            f"{name}: expected a 1D window of size win_length={win}, got "
            f"{tuple(window.shape)}"
        )
    left = (n - win) // 2
    return pad(window, (left, n - win - left)) if win < n else window


@method
@single
def stft(
    input,
    n_fft,
    hop_length=None,
    win_length=None,
    window=None,
    center=True,
    pad_mode="reflect",
    normalized=False,
    onesided=None,
    return_complex=None,
):
    """The spectra (..., frequency, time) of pieces of `n_fft` numbers, one every `hop_length`.

    >>> stft(ones(8), 4, window=hann_window(4), return_complex=True).shape
    adjoint.Size([3, 9])
    """
    x = need_tensor(input, "stft")
    if x.ndim not in (1, 2) or dtype_of(x).kind not in "fc":
        raise ShapeError(
            f"stft: expected a 1D or 2D tensor of floating or complex numbers, got "
            f"{dtype_of(x).name} {tuple(x.shape)}"
        )
    n, hop, win = _steps("stft", n_fft, hop_length, win_length)
    w = _window("stft", window, win, n, dtype_of(x))
    real = dtype_of(x).kind == dtype_of(w).kind == "f"
    if return_complex is None and real:
        raise ArgumentError(
            "stft: the return_complex parameter must be given for real inputs",
            hint="return_complex=True",
        )
    half = real if onesided is None else onesided
    if half and not real:
        raise ArgumentError("stft: cannot have onesided output of complex numbers")
    pieces = unfold(_signals(x, n, center, pad_mode), -1, n, hop) * w
    spectra = (fft.rfft if half else fft.fft)(pieces, norm=_norm(normalized))
    y = _like_signal(transpose(spectra, -1, -2), x.ndim == 1)
    return view_as_real(y) if return_complex is False else y


def _signals(x, n, center, pad_mode):
    """Signals (batch, time), with half a piece more at both ends where those are centered."""
    rows = op.reshape(x, shape=(1, *x.shape)) if x.ndim == 1 else x
    if center:
        rows = pad(rows, (n // 2, n // 2), mode=pad_mode)
    if rows.shape[-1] < n:
        raise ShapeError(f"stft: {x.shape[-1]} numbers are too few for n_fft={n}")
    return rows


def _like_signal(y, alone):
    """`y` without the dim of the batch if there was one signal `alone`."""
    return op.reshape(y, shape=tuple(y.shape[1:])) if alone else y


def _norm(normalized) -> str:
    """The name of the scale of Fourier transforms."""
    return "ortho" if normalized else "backward"


@method
def istft(
    input,
    n_fft,
    hop_length=None,
    win_length=None,
    window=None,
    center=True,
    normalized=False,
    onesided=None,
    length=None,
    return_complex=False,
):
    """The signal of which these are the spectra: `stft` undone, by least squares.

    >>> x = arange(8.)
    >>> w = hann_window(4)
    >>> istft(stft(x, 4, window=w, return_complex=True), 4, window=w).round()
    tensor([0., 1., 2., 3., 4., 5., 6., 7.])
    """
    y = need_tensor(input, "istft")
    y = y if dtype_of(y).kind == "c" else view_as_complex(y)
    if y.ndim not in (2, 3):
        raise ShapeError(
            f"istft: expected (..., frequency, time), got {tuple(y.shape)}"
        )
    n, hop, win = _steps("istft", n_fft, hop_length, win_length)
    count = y.shape[-1]
    spectra = op.reshape(y, shape=(1, *y.shape)) if y.ndim == 2 else y
    pieces = _pieces(spectra, n, normalized, onesided, return_complex)
    d = to_real(dtype_of(pieces))
    w = _window("istft", window, win, n, d)
    total = n + hop * (count - 1)
    x = _overlapped(pieces * w, total, n, hop)
    weight = op.expand(cast(w * w, d), shape=(1, count, n))
    start = n // 2 if center else 0
    end = total - start if length is None else min(start + length, total)
    weights = _weights(weight, total, n, hop, start, end)
    x = op.div(_cut(x, start, end), _cut(weights, start, end))
    if length is not None and length > end - start:
        x = pad(x, (0, length - (end - start)))
    return _like_signal(x, y.ndim == 2)


def _pieces(spectra, n, normalized, onesided, return_complex):
    """The pieces of a signal (batch, time, n) of which these are the spectra."""
    bins = spectra.shape[-2]
    half = bins != n if onesided is None else onesided
    if bins != (n // 2 + 1 if half else n) or (half and return_complex):
        raise ArgumentError(
            f"istft: {bins} frequencies are not those of n_fft={n}, onesided={half}, "
            f"return_complex={return_complex}"
        )
    norm, turned = _norm(normalized), transpose(spectra, -1, -2)
    y = fft.irfft(turned, n, norm=norm) if half else fft.ifft(turned, norm=norm)
    return op.real(y) if not return_complex and dtype_of(y).kind == "c" else y


def _overlapped(pieces, total, n, hop):
    """The sum of the pieces (batch, time, n), each in its place."""
    sums = fold(transpose(pieces, -1, -2), (1, total), (1, n), stride=(1, hop))
    return op.reshape(sums, shape=(sums.shape[0], total))


def _cut(x, start, end):
    return op.slice(x, key=((0, x.shape[0], 1), (start, end, 1)))


def _weights(weight, total, n, hop, start, end):
    """How much of the windows came together at each place, which must not be nothing."""
    sums = _overlapped(weight, total, n, hop)
    seen = at_bottom(sums)
    if isinstance(seen, np.ndarray) and (np.abs(seen[:, start:end]) < 1e-11).any():
        raise ArgumentError("istft: window overlap add min: 0; the windows leave gaps")
    return sums
