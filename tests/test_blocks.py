"""Arrays that are larger than a block: what goes by rows, and by pieces, against float64."""

import math

import numpy as np
import pytest

import adjoint as ad

SHAPE = 7, 90, 130  # more than two blocks of rows, the last not whole


def softmax(x, dim):
    y = np.exp(x - x.max(dim, keepdims=True))
    return y / y.sum(dim, keepdims=True)


def softmax_reverse(x, g, dim):
    y = softmax(x, dim)
    return y * (g - (g * y).sum(dim, keepdims=True))


def norm_reverse(x, g, eps):
    y = x - x.mean(-1, keepdims=True)
    scale = 1 / np.sqrt((y * y).mean(-1, keepdims=True) + eps)
    y = y * scale
    means = g.mean(-1, keepdims=True), (g * y).mean(-1, keepdims=True)
    return (g - means[0] - y * means[1]) * scale


@pytest.fixture(params=["float32", "float64"])
def arrays(request):
    rng = np.random.default_rng(3)
    return [rng.normal(size=SHAPE).astype(request.param) for _ in range(2)]


@pytest.fixture(params=["C", "F"])
def pair(request, arrays):
    """Numbers and cotangents; the numbers in this order of memory."""
    x, g = arrays
    return np.asarray(x, order=request.param), g


def close(y, expected):
    tolerance = 1e-5 if y.numpy().dtype == np.float32 else 1e-12
    np.testing.assert_allclose(y.numpy(), expected, tolerance, tolerance)


@pytest.mark.parametrize("dim", [0, 1, 2])
def test_softmax_and_its_reverse(pair, dim):
    x, g = pair
    y, pull = ad.vjp(lambda x: ad.softmax(x, dim), ad.tensor(x))
    close(y, softmax(x.astype(float), dim))
    (gx,) = pull(ad.tensor(g))
    close(gx, softmax_reverse(x.astype(float), g.astype(float), dim))


@pytest.mark.parametrize("dim", [0, 2])
def test_log_softmax(pair, dim):
    close(
        ad.log_softmax(ad.tensor(pair[0]), dim),
        np.log(softmax(pair[0].astype(float), dim)),
    )


def test_reverse_of_a_norm(pair):
    x, g = pair
    norm = ad.nn.functional.layer_norm
    _, pull = ad.vjp(lambda x: norm(x, SHAPE[2:], eps=0.1), ad.tensor(x))
    (gx,) = pull(ad.tensor(g))
    close(gx, norm_reverse(x.astype(float), g.astype(float), 0.1))


def test_a_norm_over_several_dims(arrays):
    x, g = arrays
    norm = ad.nn.functional.layer_norm
    _, pull = ad.vjp(lambda x: norm(x, SHAPE[1:], eps=0.1), ad.tensor(x))
    (gx,) = pull(ad.tensor(g))
    flat = (z.astype(float).reshape(SHAPE[0], -1) for z in (x, g))
    close(gx, norm_reverse(*flat, 0.1).reshape(SHAPE))


def test_softmax_twice_derived(arrays):
    """The reverse, itself reversed, is that of a formula."""
    x, g = (ad.tensor(z) for z in arrays)

    def slope(f):
        _, pull = ad.vjp(lambda x: ad.vjp(f, x)[1](g)[0], x)
        return pull(g)[0].numpy()

    def formula(x):
        y = (x - x.amax(2, keepdim=True)).exp()
        return y / y.sum(2, keepdim=True)

    close(ad.tensor(slope(lambda x: ad.softmax(x, 2))), slope(formula))


POINTS = np.concatenate([np.linspace(-12.5, 12.5, 2001), [-1e-30, 0.0, 1e-40]])


def below(x):
    return math.erfc(-x / math.sqrt(2)) / 2


def density(x):
    return math.exp(-x * x / 2) / math.sqrt(2 * math.pi)


def test_the_normal_distribution_in_single_precision():
    x = POINTS.astype(np.float32)
    expected = np.array([below(float(z)) for z in x])
    y = ad.special.ndtr(ad.tensor(x)).numpy()
    near = np.abs(x) < 4
    np.testing.assert_allclose(y[near], expected[near], 1e-6)
    np.testing.assert_allclose(y, expected, 1e-5)


def test_the_slope_of_gelu_in_single_precision():
    x = POINTS.astype(np.float32)
    expected = np.array([below(float(z)) + float(z) * density(float(z)) for z in x])
    y = ad.grad(lambda x: ad.nn.functional.gelu(x).sum())(ad.tensor(x)).numpy()
    np.testing.assert_allclose(y, expected, 1e-5, 3e-7)


def test_gelu_at_the_ends():
    x = ad.tensor(np.array([-np.inf, np.inf, np.nan, 3e38, -3e38], np.float32))
    y = ad.nn.functional.gelu(x).numpy()
    np.testing.assert_array_equal(y[1:], np.float32([np.inf, np.nan, 3e38, 0]))
    gx = ad.grad(lambda x: ad.nn.functional.gelu(x).sum())(x).numpy()
    np.testing.assert_array_equal(gx, [0, 1, np.nan, 1, 0])
