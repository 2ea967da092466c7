"""Reductions: against PyTorch over options and edges, and by hand where it is not installed."""

import itertools

import numpy as np
import pytest

import adjoint as ad
from peers import agree_in_both

rng = np.random.default_rng(0)
X = rng.normal(size=(3, 4, 2))
TIES = np.array([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0], [5.0, -1.0, -1.0]])
NAN = np.array([[1.0, np.nan, 3.0], [2.0, 0.0, 2.0], [np.nan, np.nan, np.nan]])


def both(name, *arrays, **options):
    """The function of this name, here and in PyTorch."""
    agree_in_both(lambda m, *xs: getattr(m, name)(*xs, **options), *arrays)


DIMS = [{}, {"dim": 1}, {"dim": -1, "keepdim": True}, {"dim": (0, 2)}]
DIMS += [{"dim": (0, 1, 2), "keepdim": True}]
SUMS = ["sum", "nansum", "mean", "nanmean", "var", "std", "amax", "amin"]


@pytest.mark.filterwarnings("ignore:.*degrees of freedom")
@pytest.mark.parametrize("name", [*SUMS, "var_mean", "std_mean"])
@pytest.mark.parametrize("options", DIMS)
@pytest.mark.parametrize("x", [X, X[:1, :1, :1]], ids=["many", "one"])
def test_over_dims(name, options, x):
    both(name, x, **options)


@pytest.mark.parametrize("name", ["any", "all", "count_nonzero"])
@pytest.mark.parametrize("options", [{}, {"dim": 1}, {"dim": (0, 2)}])
@pytest.mark.parametrize("dtype", ["float32", "int64", "uint8", "bool"])
def test_counts_and_logic(name, options, dtype):
    both(name, (rng.random((3, 4, 2)) > 0.6).astype(dtype), **options)


@pytest.mark.parametrize(
    "name", ["sum", "prod", "nansum", "amax", "amin", "max", "min"]
)
@pytest.mark.parametrize(
    "dtype", ["bool", "uint8", "int32", "int64", "float16", "float32"]
)
def test_dtypes(name, dtype):
    x = rng.integers(0, 3, (3, 4)).astype(dtype)
    both(name, x)
    both(name, x, dim=1)


@pytest.mark.parametrize("name", ["sum", "mean", "prod"])
@pytest.mark.parametrize("wanted", ["float64", "float32", "complex64"])
def test_dtype_asked_for(name, wanted):
    x = rng.integers(1, 3, (3, 4))
    agree_in_both(
        lambda m, x: getattr(m, name)(x, 1, dtype=getattr(m, wanted)),
        x,
        tol=1e-6,
    )


@pytest.mark.parametrize("options", [{}, {"dim": 0}, {"dim": 1, "keepdim": True}])
@pytest.mark.parametrize("zeros", [0, 1, 2])
def test_prod_with_zeros(options, zeros):
    x = X[..., 0].copy()
    x[0, :zeros] = 0
    both("prod", x, **options)


def test_prod_with_zeros_to_second_order():
    x = ad.tensor([2.0, 0.0, 3.0, 0.0], dtype=ad.float64)
    h = ad.hessian(ad.prod)(x)
    want = np.zeros((4, 4))
    want[1, 3] = want[3, 1] = 6
    np.testing.assert_allclose(h.numpy(), want)


@pytest.mark.parametrize("name", ["var", "std"])
@pytest.mark.parametrize("correction", [0, 1, 2, 0.5])
def test_corrections(name, correction):
    both(name, X, dim=1, correction=correction)
    both(name, X + 1j * X**2, dim=(0, 1), correction=correction)


@pytest.mark.parametrize("name", ["var", "std", "var_mean", "std_mean"])
def test_unbiased(name):
    agree_in_both(
        lambda m, x: getattr(m, name)(x, False),
        X,
    )
    agree_in_both(
        lambda m, x: getattr(m, name)(x, 1, False, True),
        X,
    )


def test_std_of_equal_elements_has_gradient_zero():
    both("std", np.ones((2, 3)), dim=1)


@pytest.mark.parametrize("p", [2, 1, 3, 1.5, 0.5, 0, -1, np.inf, -np.inf, "fro"])
@pytest.mark.parametrize("options", [{}, {"dim": 1}, {"dim": (0, 2), "keepdim": True}])
def test_norms(p, options):
    agree_in_both(lambda m, x: m.norm(x, p, **options), X)
    if p != "fro":
        agree_in_both(
            lambda m, x: m.norm(x, p, **options),
            X + 0.5j * X**2,
        )


@pytest.mark.parametrize("p", [2, 1, 3, 1.5, np.inf])
def test_norm_of_zero_has_gradient_zero(p):
    x = np.array([[0.0, 0.0], [0.0, 2.0]])
    agree_in_both(lambda m, x: m.norm(x, p, dim=1), x)


def test_nuclear_norm():
    both("norm", X[0], p="nuc")
    both("norm", X, p="nuc", dim=(0, 2), keepdim=True)


@pytest.mark.parametrize("p", [1, 2, 3, np.inf])
def test_dist_and_renorm(p):
    agree_in_both(lambda m, a, b: m.dist(a, b, p), X, 2 * X)
    agree_in_both(lambda m, x: m.renorm(x, p, 1, 1.5), X)


@pytest.mark.parametrize("options", DIMS[1:])
def test_logsumexp(options):
    both("logsumexp", X, **options)
    both("logsumexp", X * 500, **options)
    both("logsumexp", np.array([[[1.0, 2.0]] * 4, [[np.inf, 3.0]] * 4]), **options)


def test_logsumexp_of_nothing_but_minus_infinity():
    x = ad.tensor([-np.inf, -np.inf], requires_grad=True)
    y = ad.logsumexp(x, 0)
    y.backward()
    assert y.item() == -np.inf and x.grad.tolist() == [0, 0]


def test_logsumexp_of_complex_and_of_integers():
    both("logsumexp", X + 1j * X**2, dim=1)
    both("logsumexp", np.arange(6).reshape(2, 3), dim=1)


@pytest.mark.parametrize("name", ["amax", "amin", "max", "min", "aminmax"])
def test_ties_share_the_gradient(name):
    both(name, TIES)
    if name.startswith("am"):
        both(name, TIES, dim=1)


@pytest.mark.parametrize("name", ["amax", "amin", "max", "min"])
def test_nan_wins(name):
    assert np.isnan(getattr(ad, name)(ad.tensor(NAN)).item())
    y = getattr(ad, name)(ad.tensor(NAN), 1)
    y = y if isinstance(y, ad.Tensor) else y.values
    assert np.isnan(y.numpy()).tolist() == [True, False, True]


@pytest.mark.parametrize("name", ["argmax", "argmin"])
@pytest.mark.parametrize("options", [{}, {"dim": 1}, {"dim": -1, "keepdim": True}])
def test_places(name, options):
    both(name, X, **options)
    both(name, TIES, **options)
    both(name, NAN, **options)


@pytest.mark.parametrize("name", ["nansum", "nanmean"])
@pytest.mark.parametrize("options", [{}, {"dim": 1}, {"dim": 0, "keepdim": True}])
def test_nan_left_out(name, options):
    both(name, NAN[:2], **options)


EMPTY = ["sum", "nansum", "mean", "prod", "any", "all", "logsumexp", "norm"]


@pytest.mark.filterwarnings("ignore:.*degrees of freedom")
@pytest.mark.parametrize("name", [*EMPTY, "var", "std", "count_nonzero"])
@pytest.mark.parametrize("dim", [0, 1])
def test_empty(name, dim):
    both(name, np.zeros((0, 3)), dim=dim)


@pytest.mark.parametrize("name", ["amax", "amin", "max", "min", "argmax", "argmin"])
def test_nothing_has_no_extreme(name):
    for options in ({}, {"dim": 0}):
        with pytest.raises(RuntimeError, match="non-zero size"):
            getattr(ad, name)(ad.zeros(0, 3), **options)
    assert getattr(ad, name)(ad.ones(0, 3), dim=1) is not None


@pytest.mark.filterwarnings("ignore:.*degrees of freedom")
@pytest.mark.parametrize("name", [*SUMS, "prod", "logsumexp", "norm", "argmax", "any"])
@pytest.mark.parametrize("dim", [0, -1])
def test_of_0d(name, dim):
    both(name, np.array(1.5), dim=dim)


def test_half_sums_in_float32():
    x = ad.full((4096,), 1.0, dtype=ad.float16).reshape(2048, 2)
    assert x.sum().item() == 4096 and x.sum(0).tolist() == [2048, 2048]
    big = ad.full((100, 2), 6e4, dtype=ad.float16)
    assert big.mean(0).tolist() == [6e4, 6e4] or big.mean(0)[0].item() == np.float16(
        6e4
    )
    assert ad.full((300,), 300.0, dtype=ad.float16).norm().item() == pytest.approx(
        5196, rel=1e-3
    )
    if ad.bfloat16 is not None:
        y = ad.ones(1000, dtype=ad.bfloat16)
        assert y.sum().item() == 1000 and y.var().item() == 0 and y.mean().item() == 1
        assert y.sum().dtype == ad.bfloat16


@pytest.mark.parametrize("dtype", ["int8", "int32", "uint8", "int64", "float16"])
@pytest.mark.parametrize("name", ["sum", "nansum", "prod", "cumsum", "cumprod"])
def test_the_dtype_asked_for_is_the_results(name, dtype):
    torch = pytest.importorskip("torch")
    got, want = (
        getattr(T, name)(T.tensor([1, 2, 200]), 0, dtype=getattr(T, dtype))
        for T in (ad, torch)
    )
    assert got.dtype.name == dtype and got.tolist() == want.tolist()


def test_numpy_names_and_out():
    x = ad.tensor(X)
    assert ad.sum(x, axis=1, keepdims=True).shape == (3, 1, 2)
    assert ad.amax(x=x, axis=1).shape == (3, 2)
    assert ad.cat([x, x], axis=2).shape == (*X.shape[:2], 4)
    assert ad.stack([x, x], axis=1).shape == (3, 2, *X.shape[1:])
    with pytest.raises(TypeError, match="unexpected keyword argument 'axis'"):
        ad.sum(x, dim=1, axis=1)
    with pytest.raises(TypeError, match="unexpected keyword argument 'axes'"):
        x.sum(axes=1)
    out = ad.empty(3, 2, dtype=ad.float64)
    assert ad.amax(x, 1, out=out) is out
    np.testing.assert_array_equal(out.numpy(), X.max(1))


def test_second_order():
    x = ad.tensor(X, requires_grad=True)
    for f in (
        lambda x: ad.var(x, 1),
        lambda x: ad.std(x, (0, 2), correction=0),
        lambda x: ad.norm(x, 3, 1),
        lambda x: ad.norm(x, 2, (0, 1)),
        lambda x: ad.prod(x, 1),
        lambda x: ad.logsumexp(x, 1),
        lambda x: ad.renorm(x, 2, 0, 1.0),
    ):
        assert ad.gradcheck(f, (x,)) and ad.gradgradcheck(f, (x,))


def test_vmap():
    x = ad.tensor(X)
    for name, options in itertools.product(["var", "norm", "mean", "argmax"], [0, 1]):
        got = ad.vmap(lambda x: getattr(ad, name)(x, dim=options))(x)  # noqa: B023
        want = ad.stack([getattr(ad, name)(row, dim=options) for row in x])
        np.testing.assert_allclose(got.numpy(), want.numpy())


@pytest.mark.parametrize(
    "call,error,text",
    [
        (lambda: ad.mean(ad.tensor([1, 2])), TypeError, "floating or complex"),
        (lambda: ad.var(ad.tensor([1, 2])), TypeError, "floating or complex"),
        (lambda: ad.norm(ad.tensor([1, 2])), TypeError, "floating or complex"),
        (lambda: ad.sum(ad.ones(2), 1), IndexError, "out of range"),
        (lambda: ad.sum(ad.ones(2, 2), (0, 0)), RuntimeError, "twice"),
        (lambda: ad.amax(ad.tensor([1j])), TypeError, "no order"),
        (lambda: ad.norm(ad.ones(2), "nope"), ValueError, "p must be"),
        (lambda: ad.norm(ad.ones(3), "nuc"), RuntimeError, "dim"),
        (lambda: ad.norm(ad.ones(0), -1), RuntimeError, "non-zero size"),
        (lambda: ad.argmax(ad.ones(2, 2), (0, 1)), TypeError, "integer"),
        (lambda: ad.max(ad.ones(2, 2), (0, 1)), TypeError, "amax"),
        (lambda: ad.renorm(ad.ones(2), 2, 0, 1), RuntimeError, "2 dims"),
        (lambda: ad.renorm(ad.ones(2, 2), -1, 0, 1), ValueError, "p > 0"),
        (lambda: ad.sum([1.0]), TypeError, "must be Tensor"),
    ],
)
def test_errors(call, error, text):
    with pytest.raises(error, match=text):
        call()
