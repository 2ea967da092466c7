"""Places: loops over rows put results where a value lay that they read for the last time."""

import numpy as np
import pytest

import adjoint as ad

pytest.importorskip("llvmlite")


def rand(*shape):
    rng = np.random.default_rng(sum(shape))
    return ad.tensor(rng.normal(size=shape), dtype=ad.float32)


def normed(x):
    x = x - x.mean(1, keepdim=True)
    return x * (x.square().mean(1, keepdim=True) + 1e-5).rsqrt()


def sum_and_norm(y, r):
    s = y + r
    return s, normed(s)


def norm_and_itself(y, r):
    s = y + r
    return s, normed(s) * y


def sums_of_both(y, r):
    s = y + r
    return s, normed(s) + y.square().sum(1, keepdim=True)


def sums_first(y, r):
    norm = y.square().sum(1, keepdim=True)
    s = y + r
    return s, normed(s) + norm


def largest_of_both(y, r):
    s = y * r
    return s, (s - s.amax(1, keepdim=True)).exp() + (y - y.amax(1, keepdim=True)).exp()


def turned(y, r):
    s = y + r
    return s, normed(s) + y.T


def with_columns(y, r):
    s = y + r
    return s, normed(s) + y.sum(0)


WAYS = [
    *(sum_and_norm, norm_and_itself, sums_of_both, sums_first),
    *(largest_of_both, turned, with_columns),
]


@pytest.mark.parametrize("n", [3, 16, 37, 64, 130])
@pytest.mark.parametrize("way", WAYS)
def test_rows_read_what_they_write_over(way, n):
    """As eager does, with rows that are gone through together and alone."""

    def f(x, w, r):
        s, y = way(x @ w, r)  # nobody reads the product later
        return y @ w.T, (s @ w.T).tanh()

    args = rand(n, n + 1), rand(n + 1, n) / n, rand(n, n)  # where tanh is not steep
    step, want = ad.compile(f), f(*args)
    for _ in range(3):
        for x, y in zip(step(*args), (y.numpy() for y in want), strict=True):
            assert np.allclose(x.numpy(), y, rtol=2e-4, atol=2e-5 * np.abs(y).max())


def test_sums_of_columns_that_are_one_begin_before_what_they_read_is_read():
    x = ad.tensor(np.random.default_rng(0).integers(-2, 3, (1, 19, 2)).astype("int8"))

    def f(x):
        ends = [*x.max(0), *x.min(0), x.amax(0), x.amin(0)]
        return *ends, x.argmax(0), x.argmin(0, keepdim=True)

    step, want = ad.compile(f), f(x)
    for _ in range(3):
        for y, z in zip(step(x), want, strict=True):
            assert np.array_equal(y.numpy(), z.numpy())


def places_of(f, *args):
    """(place of the product, of the sum with it) in the memory of a program."""
    part = f._native(*args).part
    (rows,) = (k for k in part.schedule.kernels if k.kind == "rows")
    product = part.schedule.kernels[0].made[0]
    total = next(v for v in rows.made if v.spec.shape == rows.space)
    return part.place(product), part.place(total)


def test_a_sum_lies_where_the_product_was():
    x, w, r = rand(64, 96), rand(96, 128), rand(64, 128)

    def f(x, w, r, way):
        s, n = way(x @ w, r)
        return n @ w.T, s @ w.T

    one = ad.compile(lambda x, w, r: f(x, w, r, sum_and_norm))
    again = ad.compile(lambda x, w, r: f(x, w, r, norm_and_itself))
    for step in (one, again):
        step(x, w, r)
        step(x, w, r)
    product, total = places_of(one, x, w, r)
    assert product == total
    product, total = places_of(again, x, w, r)  # the last pass reads the product
    assert product != total
