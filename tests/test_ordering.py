"""Order, scans, statistics: against PyTorch over options and edges, and NumPy or by hand."""

import numpy as np
import pytest

import adjoint as ad
from peers import agree_in_both
from test_reductions import NAN, TIES, X, both

rng = np.random.default_rng(0)
ROWS = [{}, {"dim": 0}, {"dim": 1}, {"dim": -1}]
KEPT = [{"dim": 1}, {"dim": 0, "keepdim": True}, {"dim": -1}]
INTS = rng.integers(0, 4, (4, 6))


@pytest.mark.parametrize("name", ["max", "min", "median", "nanmedian"])
@pytest.mark.parametrize("options", KEPT)
def test_one_along_a_dim(name, options):
    both(name, X, **options)


@pytest.mark.parametrize("name", ["max", "min", "maximum", "minimum", "fmax", "fmin"])
def test_of_two(name):
    both(name, X, rng.normal(size=(4, 2)))
    both(name, TIES, TIES[:1])
    both(name, INTS, INTS[::-1].copy())
    both(name, INTS, rng.normal(size=6).astype(np.float32))
    if name[0] == "f":
        both(name, NAN, np.array([1.0, 2.0, np.nan]))


@pytest.mark.parametrize("name", ["median", "nanmedian"])
def test_median_of_all(name):
    for x in (X, X[0], TIES, INTS):
        both(name, x)
    for x in (NAN, NAN[:2]):
        agree_in_both(
            lambda m, x: getattr(m, name)(x).detach(),
            x,
        )
    assert np.isnan(getattr(ad, name)(ad.zeros(0)).item())


@pytest.mark.parametrize("name", ["median", "nanmedian"])
def test_median_and_nan(name):
    agree_in_both(
        lambda m, x: getattr(m, name)(x, 1).values,
        NAN,
    )


@pytest.mark.parametrize("options", [{}, {"dim": 0}, {"dim": 1, "keepdim": True}])
def test_mode(options):
    both("mode", INTS, **options)
    both("mode", INTS.astype(float), **options)


@pytest.mark.parametrize("options", ROWS)
@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("x", [X[..., 0], TIES, NAN, INTS, INTS > 1])
def test_sort(options, descending, x):
    agree_in_both(
        lambda m, x: m.sort(x, stable=True, descending=descending, **options),
        x,
    )
    want = ad.sort(ad.tensor(x), descending=descending, **options).indices
    got = ad.argsort(ad.tensor(x), descending=descending, **options)
    assert ad.equal(got, want)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("descending", [False, True])
def test_sort_of_many_is_stable(ties, descending):
    x = rng.normal(size=(2, 3000))
    if ties:
        x = np.round(x, 2)
        x[1, ::100] = np.nan
    y = ad.sort(ad.tensor(x), descending=descending)
    want = np.argsort(-x if descending else x, 1, kind="stable")
    if descending:  # NaN is largest
        nan = np.isnan(np.take_along_axis(x, want, 1))
        want = np.stack(
            [np.append(w[m], w[~m]) for w, m in zip(want, nan, strict=True)]
        )
    np.testing.assert_array_equal(y.indices.numpy(), want)


def test_msort():
    both("msort", X)


@pytest.mark.parametrize("k", [0, 1, 2, 4])
@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize("dim", [1, -2])
def test_topk(k, largest, dim):
    both("topk", X, k=k, largest=largest, dim=dim)
    both("topk", rng.normal(size=(3, 20, 2)), k=k, largest=largest, dim=dim)


def test_topk_and_nan():
    y = ad.topk(ad.tensor([1.0, np.nan, 3.0, 2.0, 0.0]), 2)
    assert np.isnan(y.values[0].item()) and y.values[1].item() == 3
    assert y.indices.tolist() == [1, 2]


@pytest.mark.parametrize("k", [1, 2, 4])
@pytest.mark.parametrize("options", [{"dim": 1}, {"dim": 1, "keepdim": True}])
def test_kthvalue(k, options):
    both("kthvalue", X, k=k, **options)


ALONG = ["sort", "mode", "cummax", "cummin", "max", "min", "median", "topk", "kthvalue"]


@pytest.mark.parametrize("name", ALONG)
def test_along_of_0d(name):
    options = {"k": 1} if name in ("topk", "kthvalue") else {}
    both(name, np.array(2.5), dim=0, **options)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_order_of_half(dtype):
    if getattr(ad, dtype) is None:
        pytest.skip("ml_dtypes is not installed")
    x = ad.tensor([3.0, float("nan"), 1.0, 2.0], dtype=getattr(ad, dtype))
    y = ad.sort(x)
    assert y.values.dtype == x.dtype and y.indices.tolist() == [2, 3, 0, 1]
    assert ad.topk(x, 2, largest=False).indices.tolist() == [2, 3]
    assert ad.nanmedian(x).item() == 2 and ad.nanmedian(x, 0).values.item() == 2
    assert (
        np.isnan(ad.median(x).float().item()) and ad.kthvalue(x, 2).values.item() == 2
    )
    assert ad.cumprod(x, 0)[0].item() == 3 and ad.cumsum(x[2:], 0).tolist() == [1, 3]
    assert ad.cummax(x[2:], 0).values.tolist() == [1, 2]
    assert ad.logcumsumexp(x[2:], 0).dtype == x.dtype
    assert ad.unique(x[2:]).tolist() == [1, 2]
    assert ad.argmax(x).item() == 1 and np.isnan(ad.amax(x).float().item())


# ---------------------------------------------------------------- unique


@pytest.mark.parametrize("name", ["unique", "unique_consecutive"])
@pytest.mark.parametrize("dim", [None, 0, 1])
@pytest.mark.parametrize("x", [INTS, INTS[:, :2] % 2, INTS > 1, INTS / 2.0, INTS[0]])
def test_unique(name, dim, x):
    if dim == 1 and x.ndim == 1:
        pytest.skip("no such dim")
    call = lambda m, x: getattr(m, name)(  # noqa: E731
        x.detach(), return_inverse=True, return_counts=True, dim=dim
    )
    agree_in_both(call, x)
    one = lambda m, x: getattr(m, name)(x.detach(), dim=dim)  # noqa: E731
    agree_in_both(one, x)


@pytest.mark.parametrize("name", ["unique", "unique_consecutive"])
def test_unique_of_none_and_of_one(name):
    call = lambda m, x: getattr(m, name)(x.detach(), dim=0)  # noqa: E731
    agree_in_both(call, np.zeros(0))
    assert getattr(ad, name)(ad.tensor(3.0), dim=0).tolist() == [3]


def test_unique_keeps_each_nan_and_takes_gradients_to_the_first():
    assert ad.unique(ad.tensor([np.nan, 1.0, np.nan])).shape == (3,)
    x = ad.tensor([2.0, 1.0, 2.0], requires_grad=True)
    (ad.unique(x) * ad.tensor([10.0, 20.0])).sum().backward()
    assert x.grad.tolist() == [20, 10, 0]


# ---------------------------------------------------------------- scans


@pytest.mark.parametrize(
    "name", ["cumsum", "cumprod", "logcumsumexp", "cummax", "cummin"]
)
@pytest.mark.parametrize("dim", [0, 1, -1])
def test_scans(name, dim):
    both(name, X, dim=dim)
    both(name, rng.normal(size=(30, 20, 2)) * 0.5, dim=dim)
    both(name, np.zeros((0, 3)), dim=dim)
    if name != "cumprod":
        both(name, TIES, dim=dim)


@pytest.mark.parametrize("name", ["cumsum", "cumprod"])
@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "float32", "complex128"])
def test_scan_dtypes(name, dtype):
    both(name, rng.integers(0, 3, (3, 4)).astype(dtype), dim=1)
    agree_in_both(
        lambda m, x: getattr(m, name)(x, 0, dtype=m.float64),
        rng.integers(0, 3, (3, 4)),
    )


@pytest.mark.parametrize("zeros", [[0], [2], [1, 3], [0, 1, 4]])
def test_cumprod_with_zeros(zeros):
    x = rng.normal(size=(5, 2))
    x[zeros] = 0
    both("cumprod", x, dim=0)
    torch = pytest.importorskip("torch")
    h = ad.hessian(lambda x: (ad.cumprod(x, 0) ** 2 + ad.cumprod(x, 0)).sum())
    want = torch.autograd.functional.hessian(
        lambda x: (torch.cumprod(x, 0) ** 2 + torch.cumprod(x, 0)).sum(),
        torch.tensor(x),
    )
    np.testing.assert_allclose(h(ad.tensor(x)).numpy(), want.numpy(), atol=1e-12)


def test_cumulative_extremes_and_nan():
    for name in ("cummax", "cummin"):
        both(name, NAN[:2], dim=1)


def test_logcumsumexp_far_out():
    both("logcumsumexp", np.array([3.0, -np.inf, 1000.0, -1000.0, np.inf]), dim=0)
    both("logcumsumexp", np.array([1000.0, 1001.0, -3000.0, 1.0]), dim=0)
    x = ad.tensor([-np.inf, -np.inf, 0.0], requires_grad=True)
    ad.logcumsumexp(x, 0).sum().backward()
    assert x.grad.tolist() == [0, 0, 1]


def test_logcumsumexp_of_complex():
    both("logcumsumexp", X + 1j * X**2, dim=1)


def test_long_scans():
    x = np.cos(np.arange(20000.0))
    both("cumprod", x, dim=0)
    both("logcumsumexp", x, dim=0)


# ---------------------------------------------------------------- differences, integrals


@pytest.mark.parametrize("n", [0, 1, 2, 7])
@pytest.mark.parametrize("dim", [0, 1, -1])
def test_diff(n, dim):
    for x in (X, INTS, INTS > 1):
        both("diff", x, n=n, dim=dim)


def test_diff_joined():
    agree_in_both(
        lambda m, x, a, b: m.diff(x, 2, 1, a, b),
        X,
        X[:, :1] * 2,
        X[:, :2] * 3,
    )


@pytest.mark.parametrize("name", ["trapezoid", "trapz", "cumulative_trapezoid"])
@pytest.mark.parametrize("dim", [0, 1, -1])
def test_integrals(name, dim):
    n = X.shape[dim]
    f = lambda m, *xs, **k: getattr(m, name)(*xs, dim=dim, **k)  # noqa: E731
    agree_in_both(f, X)
    agree_in_both(lambda m, y: f(m, y, dx=0.3), X)
    agree_in_both(f, X, np.sort(rng.normal(size=n)))
    agree_in_both(f, X, np.sort(rng.normal(size=X.shape), dim))


GRADIENTS = [{}, {"dim": 1}, {"dim": (0, 1)}, {"spacing": 0.5}, {"edge_order": 2}]
GRADIENTS += [{"spacing": [0.5, 2.0], "dim": (0, 1)}, {"dim": -1, "spacing": 3}]


@pytest.mark.parametrize("options", GRADIENTS)
def test_gradient(options):
    both("gradient", rng.normal(size=(4, 5)), **options)


@pytest.mark.parametrize("edge_order", [1, 2])
def test_gradient_between_coordinates(edge_order):
    a, b = np.sort(rng.normal(size=4)), np.sort(rng.normal(size=5))
    x = rng.normal(size=(4, 5))
    agree_in_both(
        lambda m, x: m.gradient(
            x, spacing=(m.tensor(a), m.tensor(b)), edge_order=edge_order
        ),
        x,
    )
    got = ad.gradient(
        ad.tensor(x), spacing=(ad.tensor(a), ad.tensor(b)), edge_order=edge_order
    )
    want = np.gradient(x, a, b, edge_order=edge_order)
    for y, w in zip(got, want, strict=True):
        np.testing.assert_allclose(y.numpy(), w)


# ---------------------------------------------------------------- statistics

MODES = ["linear", "lower", "higher", "midpoint", "nearest"]


@pytest.mark.parametrize("name", ["quantile", "nanquantile"])
@pytest.mark.parametrize("interpolation", MODES)
@pytest.mark.parametrize("options", [{}, {"dim": 1}, {"dim": 0, "keepdim": True}])
@pytest.mark.parametrize("q", [0.3, 1, np.array([0.0, 0.25, 0.5, 0.9])])
def test_quantiles(name, interpolation, options, q):
    f = lambda m, x: getattr(m, name)(  # noqa: E731
        x,
        m.tensor(q) if isinstance(q, np.ndarray) else q,
        interpolation=interpolation,
        **options,
    )
    agree_in_both(f, X)
    agree_in_both(lambda m, x: f(m, x.detach()), NAN)


@pytest.mark.parametrize("name", ["quantile", "nanquantile"])
def test_quantile_of_0d_and_of_all_kept(name):
    both(name, np.array(2.0), q=0.3, dim=0)
    both(name, X, q=0.3, keepdim=True)


@pytest.mark.parametrize("q", [0.0, 0.25, 0.5, 0.9, 1.0])
def test_quantile_beside_infinity(q):
    for x in ([1, np.inf, np.inf], [-np.inf, 1, 2], [-np.inf, 1, np.inf]):
        call = lambda m, x: m.quantile(x.detach(), q)  # noqa: E731
        agree_in_both(call, np.array(x))


def test_quantile_moves_with_q():
    agree_in_both(lambda m, x, q: m.quantile(x, q, 1),
         X, np.array([0.2, 0.7]))  # fmt: skip


@pytest.mark.parametrize("correction", [0, 1])
def test_cov(correction):
    x = rng.normal(size=(3, 5))
    f, a = np.array([1, 2, 0, 3, 1]), rng.random(5)
    for y in (x, x[0], x + 1j * x**2, INTS):
        both("cov", y, correction=correction)
    g = lambda m, x: m.cov(  # noqa: E731
        x, correction=correction, fweights=m.tensor(f), aweights=m.tensor(a)
    )
    agree_in_both(g, x)
    want = np.cov(x, ddof=correction, fweights=f, aweights=a)
    np.testing.assert_allclose(g(ad, ad.tensor(x)).numpy(), want)


def test_corrcoef():
    x = rng.normal(size=(3, 5))
    for y in (x, x[0], x + 1j * x**2):
        both("corrcoef", y)


@pytest.mark.parametrize("minlength", [0, 3, 9])
def test_bincount(minlength):
    x = np.array([1, 5, 1, 0])
    both("bincount", x, minlength=minlength)
    both("bincount", np.zeros(0, np.int64), minlength=minlength)
    w = np.array([0.5, 1.0, 2.0, 4.0])
    for d in ("float32", "float64", "int64"):
        agree_in_both(
            lambda m, w: m.bincount(m.tensor(x), w.detach(), minlength),
            w.astype(d),
        )
    w = ad.tensor(w, requires_grad=True)
    y = ad.bincount(ad.tensor(x), w)
    y.backward(ad.arange(6, dtype=ad.float64))
    assert w.grad.tolist() == [1, 5, 1, 0]


@pytest.mark.parametrize("options", [{}, {"bins": 7}, {"bins": 5, "min": -1, "max": 1}])
def test_histc(options):
    call = lambda m, x: m.histc(x.detach(), **options)  # noqa: E731
    for x in (X, np.ones(3), X.astype(np.float32)):
        agree_in_both(call, x)


@pytest.mark.parametrize("options", [{}, {"range": (-1.0, 1.0)}, {"density": True}])
def test_histogram(options):
    x, w = rng.normal(size=30), rng.random(30)
    call = lambda m, x, w: m.histogram(  # noqa: E731
        x.detach(), 5, weight=w.detach(), **options
    )
    agree_in_both(call, x, w)


def test_histogram_between_edges_and_in_a_grid():
    x = rng.normal(size=30)
    call = lambda m, x: m.histogram(  # noqa: E731
        x.detach(), m.tensor([-1.0, 0.0, 0.5, 2.0], dtype=m.float64)
    )
    agree_in_both(call, x)
    call = lambda m, x: m.histogram(x.detach(), 3)  # noqa: E731
    agree_in_both(call, np.ones(4))
    call = lambda m, x: m.histogramdd(x.detach(), [3, 4])[0]  # noqa: E731
    agree_in_both(call, x.reshape(15, 2))


def test_products_and_blocks():
    f = lambda m, a, b: m.cartesian_prod(a, b, a)  # noqa: E731
    agree_in_both(f, X[0, :, 0], X[:, 0, 0])
    for r in (0, 1, 2, 3):
        for again in (False, True):
            both("combinations", X[0, :, 0], r=r, with_replacement=again)
    f = lambda m, a, b, c: m.block_diag(a, b, c)  # noqa: E731
    agree_in_both(f, X[0], X[0, 0], np.array(2.0))


@pytest.mark.parametrize("equal_nan", [False, True])
def test_closeness(equal_nan):
    a = np.array([1.0, np.nan, np.inf, -np.inf, 1.0, 0.0])
    b = np.array([1.0 + 1e-6, np.nan, np.inf, np.inf, 1.1, 1e-9])
    f = lambda m, a, b: m.isclose(a, b, equal_nan=equal_nan)  # noqa: E731
    agree_in_both(f, a, b)
    agree_in_both(f, INTS, INTS + 1)
    assert ad.allclose(ad.tensor(a[:1]), ad.tensor(b[:1]))
    assert not ad.equal(ad.tensor(a[:1]), ad.tensor(b[:1]))


def test_second_order():
    x = ad.tensor(X, requires_grad=True)
    for f in (
        lambda x: ad.sort(x, 1).values ** 2,
        lambda x: ad.topk(x, 2, 1).values ** 3,
        lambda x: ad.median(x) ** 2,
        lambda x: ad.quantile(x, 0.3, 1) ** 2,
        lambda x: ad.cumprod(x, 1),
        lambda x: ad.logcumsumexp(x, 1),
        lambda x: ad.cummax(x, 1).values ** 2,
        lambda x: ad.cov(x[0]),
        lambda x: ad.gradient(x**2)[0],
        lambda x: ad.cumulative_trapezoid(x**2, dim=1),
    ):
        assert ad.gradcheck(f, (x,)) and ad.gradgradcheck(f, (x,))


def test_vmap():
    x = ad.tensor(X)
    for f in (
        lambda x: ad.sort(x, 0).values,
        lambda x: ad.topk(x, 2, 0).indices,
        lambda x: ad.median(x, 0).values,
        lambda x: ad.median(x),
        lambda x: ad.quantile(x, 0.3, 0),
        lambda x: ad.cumprod(x, 0),
        lambda x: ad.cummin(x, 0).indices,
        lambda x: ad.kthvalue(x, 2, 0).values,
        lambda x: ad.cov(x),
        lambda x: ad.diff(x, dim=0),
    ):
        want = ad.stack([f(row) for row in x])
        np.testing.assert_allclose(ad.vmap(f)(x).numpy(), want.numpy())


@pytest.mark.parametrize(
    "call,error,text",
    [
        (lambda: ad.sort(ad.tensor([1j])), TypeError, "no order"),
        (lambda: ad.sort(ad.ones(2), 1), IndexError, "out of range"),
        (lambda: ad.topk(ad.ones(2), 3), RuntimeError, r"\[0, 2\]"),
        (lambda: ad.kthvalue(ad.ones(2), 0), RuntimeError, r"\[1, 2\]"),
        (lambda: ad.kthvalue(ad.ones(2), 1.5), TypeError, "integer"),
        (lambda: ad.median(ad.ones(2, 0), 1), IndexError, "empty"),
        (lambda: ad.mode(ad.ones(2, 0)), IndexError, "empty"),
        (lambda: ad.quantile(ad.ones(2), 2.0), RuntimeError, r"\[0, 1\]"),
        (lambda: ad.quantile(ad.tensor([1, 2]), 0.5), TypeError, "float32"),
        (lambda: ad.quantile(ad.ones(2), 0.5, interpolation="x"), ValueError, "one of"),
        (lambda: ad.quantile(ad.ones(0), 0.5), RuntimeError, "non-zero size"),
        (lambda: ad.diff(ad.tensor(1.0)), RuntimeError, "dimension"),
        (lambda: ad.diff(ad.ones(2), -1), RuntimeError, "negative"),
        (lambda: ad.trapezoid(ad.ones(2), ad.ones(3)), RuntimeError, "sample point"),
        (lambda: ad.trapezoid(ad.ones(2), ad.ones(2), dx=1), ValueError, "exclude"),
        (lambda: ad.gradient(ad.ones(1)), RuntimeError, "edge_order"),
        (lambda: ad.gradient(ad.ones(3), spacing=[1, 2]), ValueError, "spacing"),
        (lambda: ad.bincount(ad.tensor([-1])), ValueError, "negative"),
        (lambda: ad.bincount(ad.ones(2)), ValueError, "integers"),
        (lambda: ad.histc(ad.ones(2), 0), ValueError, "positive"),
        (lambda: ad.histc(ad.ones(2), 2, 3, 1), ValueError, "below"),
        (lambda: ad.cov(ad.ones(1, 1, 1)), RuntimeError, "2 dims"),
        (lambda: ad.cartesian_prod(ad.ones(1, 1)), RuntimeError, "one dim"),
        (lambda: ad.combinations(ad.ones(1, 1)), RuntimeError, "one dim"),
        (lambda: ad.block_diag(ad.ones(1, 1, 1)), RuntimeError, "2 dims"),
        (lambda: ad.gradient(ad.tensor(1.0), dim=0), RuntimeError, "dimension"),
        (lambda: ad.histogram(ad.ones(2), 2.5), TypeError, "integer or edges"),
    ],
)
def test_errors(call, error, text):
    with pytest.raises(error, match=text):
        call()
