"""Special functions: against mpmath and SciPy over ranges, PyTorch's gradients and edges."""

import numpy as np
import pytest

import adjoint as ad
from adjoint import special

rng = np.random.default_rng(0)


def spread(*spans, n=40):
    """Random numbers of each (low, high), and of each ("log", low, high) by decades."""
    parts = []
    for span in spans:
        *kind, low, high = span
        x = rng.uniform(low, high, n)
        parts.append(10**x if kind else x)
    return np.concatenate(parts)


RELATIVE = {
    "erf": ("erf", spread((-6, 6), ("log", -10, 0))),
    "erfc": ("erfc", spread((-6, 26))),
    "erfcx": (lambda m, x: m.exp(x * x) * m.erfc(x), spread((-26, 20), ("log", 1, 3))),
    "erfinv": ("erfinv", spread((-1, 1), ("log", -10, 0))),
    "ndtr": (lambda m, x: m.erfc(-x / m.sqrt(2)) / 2, spread((-37, 8))),
    "log_ndtr": (
        lambda m, x: m.log(m.erfc(-x / m.sqrt(2)) / 2),
        spread((-37, 9)),
    ),
    "lgamma": (lambda m, x: m.loggamma(x), spread((0, 4), (0, 40), ("log", -200, 6))),
    "digamma": ("digamma", spread((0, 4), (0, 40), (-20, 0), ("log", -9, 6))),
    "logit": (lambda m, x: m.log(x / (1 - x)), spread((0, 1), ("log", -20, 0))),
    "entr": (lambda m, x: -x * m.log(x), spread((0, 4))),
    "i0": (lambda m, x: m.besseli(0, x), spread((-20, 20), (0, 700))),
    "i1": (lambda m, x: m.besseli(1, x), spread((-20, 20), ("log", -9, 2.8))),
    "i0e": (lambda m, x: m.besseli(0, x) * m.exp(-abs(x)), spread((-20, 20))),
    "i1e": (lambda m, x: m.besseli(1, x) * m.exp(-abs(x)), spread((-20, 20))),
    "modified_bessel_k0": (lambda m, x: m.besselk(0, x), spread((0, 3), (3, 600))),
    "modified_bessel_k1": (lambda m, x: m.besselk(1, x), spread((0, 3), (3, 600))),
    "scaled_modified_bessel_k0": (
        lambda m, x: m.besselk(0, x) * m.exp(x),
        spread((0, 3), ("log", -8, 5)),
    ),
    "scaled_modified_bessel_k1": (
        lambda m, x: m.besselk(1, x) * m.exp(x),
        spread((0, 3), ("log", -8, 5)),
    ),
}
ABSOLUTE = {
    "bessel_j0": (lambda m, x: m.besselj(0, x), spread((-40, 40), ("log", 1, 9))),
    "bessel_j1": (lambda m, x: m.besselj(1, x), spread((-40, 40), ("log", 1, 9))),
    "bessel_y0": (lambda m, x: m.bessely(0, x), spread((0.5, 40))),
    "bessel_y1": (lambda m, x: m.bessely(1, x), spread((1, 40))),
    "spherical_bessel_j0": (lambda m, x: m.sin(x) / x, spread((-30, 30))),
    "airy_ai": ("airyai", spread((-12, 2), (2, 20))),
}


def exactly(reference, x):
    """The reference in 40 digits, rounded once."""
    mpmath = pytest.importorskip("mpmath")
    with mpmath.workdps(40):
        f = getattr(mpmath, reference) if isinstance(reference, str) else None
        call = f or (lambda v: reference(mpmath, v))
        return np.array([float(call(mpmath.mpf(v))) for v in x.tolist()])


@pytest.mark.parametrize("name", RELATIVE)
def test_relative_error_is_a_few_roundings(name):
    reference, x = RELATIVE[name]
    got = getattr(special, name)(ad.tensor(x)).numpy()
    np.testing.assert_allclose(got, exactly(reference, x), rtol=2e-14)


@pytest.mark.parametrize("name", ABSOLUTE)
def test_waves_are_right_to_the_last_digits(name):
    reference, x = ABSOLUTE[name]
    got = getattr(special, name)(ad.tensor(x)).numpy()
    np.testing.assert_allclose(got, exactly(reference, x), rtol=1e-14, atol=3e-15)


@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_polygamma(n):
    x = spread((0, 30), ("log", -3, 4))
    want = exactly(lambda m, v: m.polygamma(n, v), x)
    np.testing.assert_allclose(ad.polygamma(n, ad.tensor(x)), want, rtol=1e-14)


@pytest.mark.parametrize("s", [1.1, 2.5, 7.0, 40.0])
def test_zeta(s):
    q = spread((0.01, 8), (8, 30))
    want = exactly(lambda m, v: m.zeta(s, v), q)
    got = special.zeta(ad.tensor(s, dtype=ad.float64), ad.tensor(q))
    np.testing.assert_allclose(got, want, rtol=1e-14)


@pytest.mark.parametrize("a", [0.1, 0.5, 1.0, 3.3, 12.0, 77.0, 800.0, 2e4])
def test_incomplete_gamma(a):
    scipy = pytest.importorskip("scipy.special")
    x = a * spread((0.1, 2)) if a < 100 else a + np.sqrt(a) * spread((-5, 5))
    lower = special.gammainc(ad.tensor(a, dtype=ad.float64), ad.tensor(x)).numpy()
    upper = special.gammaincc(ad.tensor(a, dtype=ad.float64), ad.tensor(x)).numpy()
    np.testing.assert_allclose(lower, scipy.gammainc(a, x), rtol=1e-11)
    np.testing.assert_allclose(upper, scipy.gammaincc(a, x), rtol=1e-11)
    np.testing.assert_allclose(lower + upper, 1, rtol=1e-14)


@pytest.mark.parametrize("name", ["erf", "erfc", "ndtr"])
def test_single_precision_is_a_few_roundings(name):
    x = spread((-9, 9), ("log", -6, 0)).astype(np.float32)
    got = getattr(special, name)(ad.tensor(x)).numpy()
    want = getattr(special, name)(ad.tensor(x.astype(float))).numpy()
    rtol = {"erf": 3e-7, "erfc": 7e-7, "ndtr": 6e-6}[name]
    np.testing.assert_allclose(got, want, rtol=rtol, atol=1e-37)


def test_ndtri_inverts_ndtr():
    p = spread((0, 1), ("log", -300, 0))
    x = special.ndtri(ad.tensor(p))
    np.testing.assert_allclose(special.ndtr(x).numpy(), p, rtol=1e-12)


EDGES = np.array([-np.inf, -2.0, -1.5, -1.0, -0.0, 0.0, 0.5, 1.0, 2.0, np.inf, np.nan])
UNARY = [
    "erf erfc erfcx erfinv ndtr ndtri log_ndtr entr logit sinc gammaln i0 i0e i1 i1e",
    "expit expm1 exp2 log1p bessel_j0 bessel_j1 bessel_y0 bessel_y1 modified_bessel_i0",
    "modified_bessel_i1 modified_bessel_k0 modified_bessel_k1 scaled_modified_bessel_k0",
    "scaled_modified_bessel_k1 spherical_bessel_j0 digamma psi airy_ai",
]
UNARY = " ".join(UNARY).split()


# Theirs are NaN at ±∞, ours the limits, as SciPy's are.
LIMIT_0 = ("bessel", "spherical", "sinc", "airy")
WITH_LIMITS = {n: 0.0 for n in UNARY if n.startswith(LIMIT_0)}
WITH_LIMITS |= {"i0": np.inf, "modified_bessel_i0": np.inf}
WITH_LIMITS |= {"i1": np.inf, "modified_bessel_i1": np.inf}


@pytest.mark.parametrize("name", WITH_LIMITS)
def test_limits_at_infinity(name):
    got = getattr(special, name)(ad.tensor([np.inf])).item()
    assert got == WITH_LIMITS[name]


@pytest.mark.parametrize("name", UNARY)
def test_edges_are_torch(name):
    torch = pytest.importorskip("torch")
    x = np.delete(EDGES, [0, 9]) if name in WITH_LIMITS else EDGES
    got = getattr(special, name)(ad.tensor(x)).numpy()
    want = getattr(torch.special, name)(torch.tensor(x)).numpy()
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-15)


@pytest.mark.parametrize("name", UNARY)
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_dtype_is_kept(name, dtype):
    if dtype == "bfloat16":
        pytest.importorskip("ml_dtypes")
    x = ad.tensor([0.25, 0.5, 0.75])
    y = getattr(special, name)(x.to(getattr(ad, dtype)))
    assert y.dtype is getattr(ad, dtype)
    tol = {"float32": 2e-6, "float16": 3e-3, "bfloat16": 3e-2}[dtype]
    want = getattr(special, name)(x.double()).numpy()
    np.testing.assert_allclose(y.double().numpy(), want, tol)
    assert getattr(special, name)(ad.tensor([1])).dtype is ad.float32


SMOOTH = (
    "erf erfc erfcx erfinv ndtr ndtri log_ndtr entr logit sinc gammaln i0 i0e i1 i1e"
)


@pytest.mark.parametrize("name", SMOOTH.split())
def test_gradients_are_torch(name):
    torch = pytest.importorskip("torch")
    x = np.array([0.05, 0.2, 0.5, 0.8, 0.97])
    if name not in ("erfinv", "ndtri", "logit", "entr", "gammaln"):
        x = np.concatenate([x, -4 * x, 7 * x, [0.0]])
    a = ad.tensor(x, requires_grad=True)
    b = torch.tensor(x, requires_grad=True)
    getattr(special, name)(a).sum().backward()
    getattr(torch.special, name)(b).sum().backward()
    np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), 1e-9, 1e-12)


@pytest.mark.parametrize("name", [n for n in UNARY if n not in ("expm1", "exp2")])
def test_two_derivatives(name):
    x = ad.tensor(np.array([0.2, 0.45, 0.83]), requires_grad=True)
    f = getattr(special, name)
    assert ad.gradcheck(f, (x,))
    assert ad.gradgradcheck(f, (x,))


def test_sinc_has_all_derivatives_at_0():
    f = special.sinc
    x = ad.tensor(0.0, dtype=ad.float64)
    for want in (0.0, -(np.pi**2) / 3, 0.0, np.pi**4 / 5):
        f = ad.grad(f)
        assert f(x).item() == pytest.approx(want, abs=1e-12)


PAIRS = [
    ("xlogy", [0.0, 0.0, 2.0, 1.5], [0.0, 3.0, 2.0, 0.5]),
    ("xlog1py", [0.0, 0.0, 2.0, 1.5], [-1.0, 3.0, 2.0, -0.5]),
]


@pytest.mark.parametrize("name,x,y", PAIRS)
def test_products_with_logarithms_are_torch(name, x, y):
    torch = pytest.importorskip("torch")
    mine = [ad.tensor(np.array(v), requires_grad=True) for v in (x, y)]
    his = [torch.tensor(np.array(v), requires_grad=True) for v in (x, y)]
    a = getattr(special, name)(*mine)
    b = getattr(torch.special, name)(*his)
    np.testing.assert_allclose(a.detach(), b.detach())
    a[2:].sum().backward()
    b[2:].sum().backward()
    for u, v in zip(mine, his, strict=True):
        np.testing.assert_allclose(u.grad.numpy()[1:], v.grad.numpy()[1:])
    assert np.isnan(special.xlogy(0.0, ad.tensor([np.nan])).item())


def test_gamma_gradients():
    x = ad.tensor(np.array([0.5, 2.0, 9.0]), requires_grad=True)
    a = ad.tensor(np.array([1.5, 2.0, 4.0]))
    for f in (special.gammainc, special.gammaincc):
        assert ad.gradgradcheck(lambda x, f=f: f(a, x), (x,))
        with pytest.raises(ad.errors.GradError, match="first argument"):
            f(a.clone().requires_grad_(), x).sum().backward()
    assert ad.gradgradcheck(lambda x: ad.mvlgamma(x + 2, 3), (x,))
    assert ad.gradgradcheck(lambda x: special.zeta(a + 1, x), (x,))


def test_logit_with_eps_is_torch():
    torch = pytest.importorskip("torch")
    x = np.array([-1.0, 0.0, 0.1, 0.3, 0.9, 1.0])
    a, b = ad.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y, want = ad.logit(a, 0.1), torch.logit(b, 0.1)
    np.testing.assert_allclose(y.detach(), want.detach())
    y.sum().backward()
    want.sum().backward()
    np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy())


def test_names_at_the_top_and_on_tensors():
    x = ad.tensor([0.5, 2.5])
    for name in ["erf", "erfc", "lgamma", "digamma", "i0", "sinc"]:
        want = getattr(special, name, getattr(ad, name))(x).tolist()
        assert getattr(x, name)().tolist() == want
        assert getattr(ad, name)(x).tolist() == want
    assert x.polygamma(1).tolist() == ad.polygamma(1, x).tolist()
    assert x.mvlgamma(2).tolist() == special.multigammaln(x, 2).tolist()
    assert ad.igamma(x, x).tolist() == special.gammainc(x, x).tolist()
    assert ad.xlogy(x, 2).tolist() == x.xlogy(2).tolist()


def test_shapes():
    x = ad.tensor(np.linspace(0.1, 3, 30000)).reshape(2, 3, 5000)
    flat = special.gammaln(x.reshape(-1))
    assert special.gammaln(x).reshape(-1).tolist() == flat.tolist()
    turned = special.gammaln(x.permute(2, 0, 1))
    assert turned.permute(1, 2, 0).reshape(-1).tolist() == flat.tolist()
    assert special.gammaln(ad.ones(0, 3)).shape == (0, 3)
    assert special.gammaln(ad.tensor(3.0)).shape == ()


@pytest.mark.parametrize(
    "call",
    [
        lambda: ad.erf(ad.tensor([1j])),
        lambda: ad.polygamma(-1, ad.ones(1)),
        lambda: ad.mvlgamma(ad.ones(1), 0),
        lambda: special.sinc([1.0]),
        lambda: special.gammainc(ad.ones(2), ad.ones(3)),
    ],
)
def test_bad_input_gives_our_error(call):
    with pytest.raises(ad.errors.AdjointError):
        call()
