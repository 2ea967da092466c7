"""Rare functions in programs: of complex numbers, and of whole ones."""

import numpy as np
import pytest

import adjoint as ad

pytest.importorskip("llvmlite")

INVERSE = ["asin", "acos", "atan", "asinh", "acosh", "atanh"]
CUTS = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 2.0, -0.5, 1e300, -1e-300]


def compiled(f, *xs):
    """What f gives as a program, in which NumPy does nothing."""
    g = ad.compile(f)
    g(*xs)
    y = g(*xs)
    assert "call: " not in str(g.explain())
    return y


def plane():
    """Complex numbers of all sizes, many of them near the singular points."""
    rng = np.random.default_rng(0)
    size, angle = 10.0 ** rng.uniform(-12, 12, 60), rng.uniform(-np.pi, np.pi, 60)
    near = 10.0 ** rng.uniform(-15, -1, (2, 60)) * rng.normal(size=(2, 60))
    one = rng.choice([-1, 1], 60) + near[0] + 1j * near[1]
    far = 10.0 ** rng.uniform(-20, 20, 60) + 1j * 10.0 ** rng.uniform(-20, 20, 60)
    return np.concatenate([size * np.exp(1j * angle), one, 1j * one, far])


@pytest.mark.parametrize("name", INVERSE)
def test_inverse_functions_are_within_three_units_in_each_part(name):
    mp = pytest.importorskip("mpmath")
    z = plane()
    y = compiled(getattr(ad, name), ad.tensor(z)).numpy()
    with mp.workdps(120):
        exact = [getattr(mp, name)(mp.mpc(x)) for x in z]
    for part in ("real", "imag"):
        wanted = np.array([float(getattr(w, part)) for w in exact])
        error = np.abs(getattr(y, part) - wanted) / np.spacing(np.abs(wanted))
        assert error.max() <= 3


@pytest.mark.parametrize("name", [*INVERSE, "expm1", "log1p"])
def test_cuts_infinities_and_nan_are_those_of_numpy(name):
    z = np.empty((len(CUTS), len(CUTS)), complex)
    z.real, z.imag = np.meshgrid(CUTS, CUTS)
    z = z[(z.real != -1e-300) | (name != "log1p")]  # which NumPy rounds to 1 at first
    with np.errstate(all="ignore"):
        wanted = getattr(ad, name)(ad.tensor(z)).numpy()
    y = compiled(getattr(ad, name), ad.tensor(z)).numpy()
    for a, b in ((y.real, wanted.real), (y.imag, wanted.imag)):
        np.testing.assert_allclose(a, b, rtol=1e-15)
        known = ~np.isnan(b)
        np.testing.assert_array_equal(np.signbit(a[known]), np.signbit(b[known]))


@pytest.mark.parametrize("name", [*INVERSE, "expm1", "log1p"])
def test_gradients_and_single_precision(name):
    a, b = np.random.default_rng(1).normal(size=(2, 9))
    z = ad.tensor(a + 1j * b)
    f = getattr(ad, name)
    y = compiled(lambda z: ad.grad(lambda z: f(z).abs().sum())(z), z)
    np.testing.assert_allclose(
        y.numpy(), ad.grad(lambda z: f(z).abs().sum())(z).numpy(), rtol=1e-12
    )
    short = z.to(ad.complex64)
    assert compiled(f, short).dtype == ad.complex64
    np.testing.assert_allclose(
        compiled(f, short).numpy(), f(short).numpy(), rtol=1e-6, atol=1e-7
    )


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64", "uint8"])
def test_divisors_multiples_and_powers_have_the_bits_of_eager(dtype):
    rng, ends = np.random.default_rng(0), np.iinfo(dtype)
    x, y = rng.integers(ends.min, ends.max, (2, 500), dtype=dtype, endpoint=True)
    low = 0 if dtype == "uint8" else -3
    x[:90], y[:60] = rng.integers(low, 4, 90), rng.integers(low, 9, 60)
    x[90:120], y[100:140], y[200:240] = ends.min, ends.min, 0
    x, y = ad.tensor(x), ad.tensor(y)

    def f(x, y):
        return [ad.gcd(x, y), ad.lcm(x, y), x**y, 3**y, x**7, ad.gcd(x[0], y[:3])]

    for found, wanted in zip(compiled(f, x, y), f(x, y), strict=True):
        assert found.dtype == wanted.dtype
        np.testing.assert_array_equal(found.numpy(), wanted.numpy())


@pytest.mark.parametrize("dtype", [ad.float32, ad.float64])
@pytest.mark.parametrize("n", [0.5, -0.5, -1, -2, -1.5, 0, 3, 2.5, 1 / 3])
def test_powers_at_the_edges_of_numbers(n, dtype):
    """As eager: signs of zeros too, and denormal numbers, of which 1 / x is infinite."""
    tiny, inf = 1e-40 if dtype is ad.float32 else 1e-310, np.inf
    x = ad.tensor([-inf, inf, np.nan, -0.0, 0.0, -1.0, 4.0, tiny] * 3, dtype=dtype)
    found, wanted = compiled(lambda x: x**n, x).numpy(), (x**n).numpy()
    np.testing.assert_allclose(found, wanted, rtol=3e-7)
    numbers = ~np.isnan(wanted)
    np.testing.assert_array_equal(
        np.signbit(found[numbers]), np.signbit(wanted[numbers])
    )


@pytest.mark.parametrize("shape", [(), (1,), (5,), (2, 1)])
def test_a_power_of_a_half_in_a_tensor_is_no_root(shape):
    """As in PyTorch: inf at -inf, and no sign of 0; however often the exponent is repeated."""
    x, half = ad.tensor([-np.inf, -0.0, 4.0, np.inf, -2.0]), ad.full(shape, 0.5)
    f = ad.compile(lambda x, half: x**half)
    want = np.broadcast_to([np.inf, 0.0, 2.0, np.inf, np.nan], f(x, half).shape)
    for y in (f(x, half), x**half):
        assert np.array_equal(y.numpy(), want, equal_nan=True)
        assert not np.signbit(y.numpy()[..., :4]).any()


def test_the_root_written_as_a_power_is_pytorchs_root():
    x = ad.tensor([-np.inf, -0.0, 4.0])
    for y in (x**0.5, compiled(lambda x: x**0.5, x)):
        np.testing.assert_array_equal(y.numpy(), [np.nan, -0.0, 2.0])
        assert np.signbit(y.numpy()[1])
