"""Sorting in programs: the order of eager, in every dtype, of NaN, zeros, ties and any length."""

import numpy as np
import pytest

import adjoint as ad

pytest.importorskip("llvmlite")

FLOATS = ["float16", "bfloat16", "float32", "float64"]
WHOLE = ["bool", "uint8", "int8", "int16", "int32", "int64"]
ROWS = [((3, 200), 1), ((2, 90, 3), 1), ((1000,), 0), ((5, 25), 1)]


def numbers(dtype, shape):
    """Some of each dtype, many of them alike, with all that is not ordered as its bits are."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=shape) * 3
    if dtype in WHOLE:
        x = x > 0 if dtype == "bool" else np.round(np.abs(x) if dtype == "uint8" else x)
        return ad.tensor(x).to(getattr(ad, dtype))
    for special in (np.nan, np.inf, -np.inf, 0.0, -0.0):
        x[rng.random(shape) < 0.1] = special
    return ad.tensor(x).to(getattr(ad, dtype))


def compiled(f, *xs):
    """What f gives as a program, in which NumPy does nothing."""
    g = ad.compile(f)
    g(*xs)
    y = g(*xs)
    assert "call: " not in str(g.explain())
    return y


def assert_same(found, wanted):
    for y, z in zip(found, wanted, strict=True):
        assert y.dtype == z.dtype
        y, z = (
            x.float().numpy() if x.dtype == ad.bfloat16 else x.numpy() for x in (y, z)
        )
        np.testing.assert_array_equal(y, z)


@pytest.mark.parametrize("dtype", FLOATS + WHOLE)
def test_orders_are_those_of_eager(dtype):
    for shape, dim in ROWS:
        x, n = numbers(dtype, shape), shape[dim]

        def f(x, n=n, dim=dim):
            found = [
                *x.sort(dim),
                *x.sort(dim, descending=True),
                *x.topk(3, dim),
                *x.topk(min(n, 40), dim, largest=False),
                *x.topk(n - 1, dim),
                *x.mode(dim),
            ]
            found += [*x.kthvalue(n // 3 + 1, dim), *x.median(dim)]
            return [*found, *x.nanmedian(dim)]

        assert_same(compiled(f, x), f(x))


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8"])
def test_whole_numbers_as_far_apart_as_they_can_be(dtype):
    ends = np.iinfo(dtype)
    x = np.resize(np.array([ends.max, ends.min, 0, 1, ends.max - 1], dtype), (2, 100))

    def f(x):
        return [*x.sort(1), *x.sort(1, descending=True), *x.kthvalue(41, 1)]

    x = ad.tensor(x)
    assert_same(compiled(f, x), f(x))


def test_rows_that_are_all_alike_and_rows_of_one():
    def f(x, y):
        return [*x.sort(1), *x.topk(5, 1), *x.median(1), *y.sort(1), *y.kthvalue(1, 1)]

    xs = ad.full((2, 300), -0.0), ad.randn(80, 1)
    assert_same(compiled(f, *xs), f(*xs))
    nans = ad.full((2, 300), float("nan")), ad.randn(80, 1)
    assert_same(compiled(f, *nans), f(*nans))


def test_rows_without_elements():
    f = ad.compile(lambda x: x.sort(1))
    for _ in range(2):
        y, i = f(ad.ones(0, 200))
        assert y.shape == i.shape == (0, 200)
    f = ad.compile(lambda x: x.sort(1))
    for _ in range(2):
        assert f(ad.ones(3, 0)).values.shape == (3, 0)


def test_gradients_go_back_to_where_elements_came_from():
    def f(x):
        def loss(x):
            y = (
                x.sort(1).values.cumsum(1).tanh().sum()
                + x.quantile(0.3, 1).square().sum()
            )
            return (
                y
                + x.topk(4, 1).values.exp().sum()
                + x.median() * x.nanmedian(0)[0].sum()
            )

        return [ad.grad(loss)(x)]

    x = ad.randn(5, 150, dtype=ad.float64)
    for y, z in zip(compiled(f, x), f(x), strict=True):
        np.testing.assert_allclose(y.numpy(), z.numpy(), rtol=1e-9, atol=1e-12)


def test_draws_without_replacement():
    ad.manual_seed(3)
    p = ad.rand(4, 300)

    def f(p):
        return ad.randperm(1000), p.multinomial(20), ad.multinomial(p[0], 299)

    g = ad.compile(f)
    ad.manual_seed(5)
    eager = [f(p) for _ in range(3)]
    ad.manual_seed(5)
    for z in eager:
        assert_same(g(p), z)
    assert "call: " not in str(g.explain())


def test_membership_among_many():
    x = ad.tensor([[1.0, np.nan, -0.0], [7.0, 2.5, np.inf]])
    among = ad.cat([ad.arange(100.0), ad.tensor([np.nan, np.inf])])

    def f(x, among):
        return [
            ad.isin(x, among),
            ad.isin(x, among, invert=True),
            ad.isin(x[0, 0], among),
        ]

    assert_same(compiled(f, x, among), f(x, among))


def test_pooling_is_undone_where_windows_overlap():
    F, x = ad.nn.functional, ad.randn(2, 1, 40, 40)

    def f(x):
        y, i = F.max_pool2d(x, 3, 1, return_indices=True)
        back = ad.grad(lambda y: F.max_unpool2d(y, i, 3, 1).square().sum())
        return [F.max_unpool2d(y, i, 3, 1), back(y)]

    assert_same(compiled(f, x), f(x))


def test_in_loops_and_batches():
    xs = ad.randn(6, 4, 100)

    def f(xs):
        def step(c, x):
            y, i = x.sort(1)
            return c + y, i

        total, places = ad.scan(step, ad.zeros(4, 100), xs)
        return [total, places, ad.vmap(lambda x: x.topk(7, 1).indices)(xs)]

    assert_same(compiled(f, xs), f(xs))


def test_any_number_of_threads_gives_the_same():
    x = ad.randn(200, 700)
    g = ad.compile(lambda x: [*x.sort(1), *x.topk(9, 1), *x.median(1)])
    before, found = ad.get_num_threads(), []
    try:
        for n in (1, 4):
            ad.set_num_threads(n)
            g(x)
            found.append(g(x))
    finally:
        ad.set_num_threads(before)
    assert_same(*found)
    assert_same(found[0], [*x.sort(1), *x.topk(9, 1), *x.median(1)])
