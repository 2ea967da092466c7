"""Fourier transforms: against PyTorch and NumPy over their options, with gradients."""

import numpy as np
import pytest

import adjoint as ad
from peers import agree_in_both, numbers, pairs

ONE = ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"]
REAL_ONLY = {"rfft", "ihfft", "rfft2", "ihfft2", "rfftn", "ihfftn"}


def agree(name, x, *args, tol=1e-10, **options):
    """Value and gradient of one transform, here and in PyTorch."""
    agree_in_both(lambda m, x: getattr(m.fft, name)(x, *args, **options), x, tol=tol)


def inputs(name, *shape):
    return [numbers(*shape)] if name in REAL_ONLY else [numbers(*shape), pairs(*shape)]


@pytest.mark.parametrize("norm", [None, "forward", "backward", "ortho"])
@pytest.mark.parametrize("n", [None, 1, 2, 4, 5, 7, 8])
@pytest.mark.parametrize("name", ONE)
def test_one_dim(name, n, norm):
    for x in inputs(name, 2, 5):
        agree(name, x, n, -1, norm)
        agree(name, x.T.copy(), n=n, dim=0, norm=norm)


@pytest.mark.parametrize("s", [None, (3, 4), (2, 2), (5, 7), (-1, 6)])
@pytest.mark.parametrize("norm", [None, "ortho", "forward"])
@pytest.mark.parametrize("name", ONE)
def test_two_and_more_dims(name, s, norm):
    for x in inputs(name, 2, 3, 4):
        agree(name + "2", x, s, norm=norm)
        agree(name + "2", x, s, (0, 1), norm)
        agree(name + "n", x, s, (2, 0), norm)
        agree(name + "n", x, s, norm=norm)


@pytest.mark.parametrize("name", ONE)
def test_single_precision_stays(name):
    for x in inputs(name, 6):
        small = x.astype("complex64" if x.dtype.kind == "c" else "float32")
        agree(name, small, tol=1e-4)


@pytest.mark.parametrize("name", ONE)
def test_every_order_and_batch(name):
    for x in inputs(name, 4):
        leaf = ad.tensor(x, requires_grad=True)
        f = getattr(ad.fft, name)
        assert ad.gradcheck(f, (leaf,), check_forward_ad=True)
        assert ad.gradgradcheck(f, (leaf,))
        many = np.stack([x, 2 * x + 1, x**2])
        got = ad.vmap(f)(ad.tensor(many))
        want = np.stack([f(ad.tensor(row)).numpy() for row in many])
        np.testing.assert_allclose(got.numpy(), want)


def test_against_numpy():
    x = numbers(3, 4, 5)
    for name in ("fftn", "rfftn", "ifftn"):
        got = getattr(ad.fft, name)(ad.tensor(x)).numpy()
        np.testing.assert_allclose(got, getattr(np.fft, name)(x), atol=1e-12)
    back = ad.fft.irfftn(ad.fft.rfftn(ad.tensor(x)), s=x.shape)
    np.testing.assert_allclose(back.numpy(), x, atol=1e-12)


def test_integers_and_results_given():
    y = ad.fft.fft(ad.arange(4))
    assert y.dtype == ad.complex64
    out = ad.empty(4, dtype=ad.complex64)
    assert ad.fft.fft(ad.arange(4), out=out) is out
    assert out.tolist() == y.tolist()
    assert ad.fft.fftn(ad.tensor(1.0)).item() == 1


@pytest.mark.parametrize("n", [0, 1, 4, 5])
def test_frequencies(n):
    for d in (1.0, 0.5):
        if n:
            np.testing.assert_allclose(
                ad.fft.fftfreq(n, d).numpy(), np.fft.fftfreq(n, d)
            )
            want = np.fft.rfftfreq(n, d)
            np.testing.assert_allclose(ad.fft.rfftfreq(n, d).numpy(), want)
    x = numbers(n, 3)
    for dim in (None, 0, (0, 1)):
        for name in ("fftshift", "ifftshift"):
            got = getattr(ad.fft, name)(ad.tensor(x), dim).numpy()
            np.testing.assert_array_equal(got, getattr(np.fft, name)(x, dim))


@pytest.mark.parametrize(
    "call, text",
    [
        (lambda x: ad.fft.fft(x, 0), "Invalid number of data points (0)"),
        (lambda x: ad.fft.fft(x, -2), "Invalid number of data points (-2)"),
        (lambda x: ad.fft.irfft(x[:1]), "Invalid number of data points (0)"),
        (lambda x: ad.fft.fft(x, norm="x"), 'Invalid normalization mode: "x"'),
        (lambda x: ad.fft.fft(x, dim=3), "dim 3 is out of range"),
        (lambda x: ad.fft.fft2(x), "out of range"),
        (lambda x: ad.fft.fft(x.half()), "Unsupported dtype float16"),
        (lambda x: ad.fft.rfft(x + 0j), "rfft expects a real input"),
        (lambda x: ad.fft.ihfft2(x + 0j), "expects a real input"),
        (lambda x: ad.fft.fftn(x, (2,), (0, 0)), "same length"),
        (lambda x: ad.fft.fftn(x, dim=(0, 0)), "dims must be unique"),
        (lambda x: ad.fft.fftn(x, (2, 2)), "only has 1 dimensions"),
        (lambda x: ad.fft.rfftn(x, dim=()), "at least one axis"),
        (lambda x: ad.fft.fft([1, 2]), "must be Tensor, not list"),
        (lambda x: ad.fft.fft(x, 2.5), "must be an integer"),
        (lambda x: ad.fft.fft(ad.tensor(1.0)), "without dims"),
        (lambda x: ad.fft.fftfreq(5.5), "n must be an integer"),
        (lambda x: ad.fft.fftfreq(5, dtype=ad.int64), "floating point or complex"),
    ],
)
def test_errors(call, text):
    with pytest.raises(Exception) as caught:
        call(ad.ones(3))
    assert type(caught.value).__module__ == "adjoint.errors"
    assert text in str(caught.value)


# ---------------------------------------------------------------- spectrograms

SIGNAL = np.random.default_rng(0).normal(size=(2, 40))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"hop_length": 3, "win_length": 6},
        {"center": False},
        {"normalized": True, "pad_mode": "constant"},
        {"onesided": False},
    ],
)
@pytest.mark.parametrize("shape", [(40,), (2, 40)])
def test_stft_and_back(options, shape):
    torch = pytest.importorskip("torch")
    found = {}
    for T in (ad, torch):
        window = T.hann_window(options.get("win_length", 8), dtype=T.float64) + 0.1
        data = SIGNAL.reshape(-1)[: int(np.prod(shape))].reshape(shape)
        x = T.tensor(data.tolist(), dtype=T.float64, requires_grad=True)
        y = T.stft(x, 8, window=window, return_complex=True, **options)
        back = {k: v for k, v in options.items() if k != "pad_mode"}
        z = T.istft(y * 2, 8, window=window, length=30, **back)
        (y.abs().sum() + (z**2).sum()).backward()
        found[T] = [v.detach().numpy() for v in (y, z, x.grad)]
    for got, want in zip(found[ad], found[torch], strict=True):
        assert got.shape == want.shape
        np.testing.assert_allclose(got, want, atol=1e-10)


def test_spectrograms_refuse():
    with pytest.raises(RuntimeError, match="return_complex parameter must be given"):
        ad.stft(ad.ones(8), 4)
    with pytest.raises(RuntimeError, match="window overlap add min"):
        ad.istft(ad.ones(3, 2, dtype=ad.complex64), 4, window=ad.zeros(4))
    with pytest.raises(RuntimeError, match="too few"):
        ad.stft(ad.ones(2), 8, center=False, return_complex=True)
