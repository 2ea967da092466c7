"""Linear algebra: against PyTorch, NumPy and closed forms; derivatives, batches, errors."""

import math

import numpy as np
import pytest

import adjoint as ad
from adjoint import linalg
from adjoint.errors import (
    ArgumentError,
    DtypeError,
    GradError,
    LinAlgError,
    ShapeError,
)

KINDS = ["float64", "complex128"]


def numbers(*shape, kind="float64", seed=0):
    rng = np.random.default_rng([seed, *shape])
    x = rng.normal(size=shape)
    if kind.startswith("complex"):
        x = x + 1j * rng.normal(size=shape)
    return x.astype(kind)


def adjoint_of(x):
    return np.swapaxes(x, -1, -2).conj()


def positive(*shape, kind="float64", seed=0):
    x = numbers(*shape, kind=kind, seed=seed)
    return x @ adjoint_of(x) + np.eye(shape[-1])


def leaf(x):
    return ad.tensor(x, requires_grad=True)


def listed(y):
    return list(y) if isinstance(y, (tuple, list)) else [y]


def close(got, want, tol=1e-8):
    got = got.detach().resolve_conj() if hasattr(got, "resolve_conj") else got
    a, b = (np.asarray(x.detach().numpy()) for x in (got, want.detach().resolve_conj()))
    assert a.shape == b.shape
    np.testing.assert_allclose(a, b, rtol=tol, atol=tol)


def agree(ours, theirs, arrays, tol=1e-8, gradient=True):
    """Values, dtypes and gradients of two functions at the same arrays."""
    torch = pytest.importorskip("torch")
    xs = [leaf(a) for a in arrays]
    ts = [torch.tensor(a, requires_grad=True) for a in arrays]
    ys, us = listed(ours(*xs)), listed(theirs(*ts))
    assert len(ys) == len(us)
    loss, want = 0, 0
    for i, (y, u) in enumerate(zip(ys, us, strict=True)):
        close(y, u, tol)
        assert str(y.dtype).split(".")[1] == str(u.dtype).split(".")[1]
        if u.requires_grad:
            w = numbers(*u.shape, kind=str(u.dtype).split(".")[1], seed=7 + i)
            assert y.requires_grad or not gradient
            loss = loss + _real((y * ad.tensor(w)).sum())
            want = want + _real((u * torch.tensor(w)).sum())
    if gradient:
        loss.backward()
        want.backward()
        for x, t in zip(xs, ts, strict=True):
            close(x.grad, t.grad, tol)


def _real(x):
    return x.real if x.is_complex() else x


def both(name, *arrays, pick=None, tol=1e-8, gradient=True, **options):
    """linalg.<name> here and there; `pick` takes what is determined of the result."""
    torch = pytest.importorskip("torch")
    pick = pick or (lambda y: y)
    agree(
        lambda *x: pick(getattr(linalg, name)(*x, **options)),
        lambda *x: pick(getattr(torch.linalg, name)(*x, **options)),
        arrays,
        tol,
        gradient,
    )


# ---------------------------------------------------------------- against PyTorch

SQUARES = [(3, 3), (2, 4, 4), (2, 2, 1, 1), (0, 0), (2, 0, 0), (0, 3, 3)]
SHAPES = [*SQUARES, (5, 3), (3, 5), (2, 4, 2), (2, 2, 4)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SQUARES)
@pytest.mark.parametrize("name", ["det", "slogdet", "inv", "matrix_exp", "inv_ex"])
def test_functions_of_square_matrices_are_torchs(name, shape, kind):
    both(name, numbers(*shape, kind=kind))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SQUARES)
@pytest.mark.parametrize("upper", [False, True])
def test_cholesky_is_torchs(shape, kind, upper):
    torch = pytest.importorskip("torch")
    for name in ("cholesky", "cholesky_ex"):
        ours, theirs = getattr(linalg, name), getattr(torch.linalg, name)
        agree(
            lambda x, f=ours: f(hermitian(x), upper=upper),
            lambda x, f=theirs: f(hermitian(x), upper=upper),
            [positive(*shape, kind=kind)],
        )


@pytest.mark.parametrize("upper", [False, True])
def test_cholesky_reads_one_triangle(upper):
    x = np.triu(positive(3, 3)) if upper else np.tril(positive(3, 3))
    both("cholesky", x, upper=upper)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [-2, -1, 0, 1, 2, 5])
def test_matrix_power_is_torchs(n, kind):
    torch = pytest.importorskip("torch")
    x = numbers(2, 3, 3, kind=kind)
    agree(
        lambda x: linalg.matrix_power(x, n) + 0 * x,
        lambda x: torch.linalg.matrix_power(x, n) + 0 * x,
        [x],
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("left", [True, False])
@pytest.mark.parametrize(
    "a,b",
    [
        ((3, 3), (3, 2)),
        ((3, 3), (3, 3)),
        ((2, 3, 3), (2, 3, 3)),
        ((3, 3), (2, 3, 3)),
        ((2, 1, 3, 3), (4, 3, 3)),
        ((0, 0), (0, 0)),
        ((3, 3), (3, 0)),
    ],
)
def test_solves_are_torchs(a, b, left, kind):
    if not left:
        b = (*b[:-2], b[-1], b[-2])
    x, y = numbers(*a, kind=kind), numbers(*b, kind=kind)
    both("solve", x, y, left=left)
    both("solve_ex", x, y, left=left)
    for upper in (False, True):
        for unit in (False, True):
            more = {"upper": upper, "unitriangular": unit, "left": left}
            both("solve_triangular", x + 2 * np.eye(a[-1]), y, **more)


@pytest.mark.parametrize(
    "a,b", [((3, 3), (3,)), ((2, 3, 3), (2, 3)), ((2, 3, 3), (3,))]
)
def test_solve_takes_vectors(a, b):
    both("solve", numbers(*a), numbers(*b))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_factors_are_torchs(shape, kind):
    x = numbers(*shape, kind=kind)
    both("qr", x)
    both("lu_factor", x)
    both("lu_factor_ex", x)
    both("lu", x)
    both("svdvals", x)
    both("pinv", x)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(5, 3), (2, 3, 3)])
def test_qr_modes_are_torchs(shape, kind):
    x = numbers(*shape, kind=kind)
    both("qr", x, mode="complete", gradient=shape[-1] == shape[-2])
    both("qr", x, mode="r", gradient=False)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("left", [True, False])
@pytest.mark.parametrize("adjoint", [True, False])
def test_lu_solve_is_torchs(left, adjoint, kind):
    torch = pytest.importorskip("torch")
    arrays = [numbers(2, 3, 3, kind=kind), numbers(2, 3, 3, kind=kind, seed=1)]
    more = {"left": left, "adjoint": adjoint}
    agree(
        lambda a, b: linalg.lu_solve(*linalg.lu_factor(a), b, **more),
        lambda a, b: torch.linalg.lu_solve(*torch.linalg.lu_factor(a), b, **more),
        arrays,
    )


def spectrum(y):
    """What phases and signs do not change: values, and moduli of the vectors."""
    return [y[0], abs(y[1])]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SQUARES)
def test_spectra_are_torchs(shape, kind):
    if not math.prod(shape):
        pick = None
    else:
        pick = spectrum
    for uplo in "LU":
        x = positive(*shape, kind=kind)
        both("eigh", x, UPLO=uplo, pick=pick)
        both("eigvalsh", x, UPLO=uplo)
    x = numbers(*shape, kind=kind)
    both("eig", x, pick=pick, tol=1e-7)
    both("eigvals", x, tol=1e-7)


@pytest.mark.parametrize("uplo", ["L", "U"])
def test_eigh_reads_one_triangle(uplo):
    both("eigvalsh", numbers(3, 3), UPLO=uplo)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_svd_is_torchs(shape, full, kind):
    k = min(shape[-2:])

    def pick(y):
        u, s, vh = y
        u, vh = u[..., :k], vh[..., :k, :]
        return [s, abs(u), abs(vh), u @ vh]

    both("svd", numbers(*shape, kind=kind), full_matrices=full, pick=pick, tol=1e-7)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("driver", [None, "gels", "gelsd", "gelss"])
@pytest.mark.parametrize(
    "a,b",
    [((5, 3), (5, 2)), ((2, 5, 3), (2, 5)), ((3, 5), (3, 2))],
)
def test_lstsq_is_torchs(a, b, driver, kind):
    x, y = numbers(*a, kind=kind), numbers(*b, kind=kind)
    both("lstsq", x, y, driver=driver, gradient=False)
    both("lstsq", x, y, driver=driver, pick=lambda y: y.solution)


def test_least_norm_where_rank_lacks():
    a = numbers(4, 2) @ numbers(2, 3)
    b = numbers(4, 1)
    y = linalg.lstsq(ad.tensor(a), ad.tensor(b), rcond=1e-10)
    np.testing.assert_allclose(y.solution.numpy(), np.linalg.lstsq(a, b, 1e-10)[0])
    assert y.rank.item() == 2 and y.residuals.shape == (0,)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ord", [None, 2, -2, "fro", "nuc", 1, -1, np.inf, -np.inf])
def test_cond_is_torchs(ord, kind):
    whole = ord in (None, 2, -2, "nuc")  # PyTorch's own backward fails for the others
    both("cond", numbers(2, 3, 3, kind=kind), p=ord, gradient=whole)
    if ord in (None, 2, -2):
        both("cond", numbers(4, 3, kind=kind), p=ord)


def test_cond_of_singular_is_infinite():
    for p in (1, "fro", np.inf):
        assert linalg.cond(ad.ones(2, 2), p).item() == np.inf


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("keepdim", [False, True])
@pytest.mark.parametrize("dim", [(-2, -1), (0, 2), (2, 1)])
@pytest.mark.parametrize("ord", ["fro", "nuc", 2, -2, 1, -1, np.inf, -np.inf])
def test_matrix_norms_are_torchs(ord, dim, keepdim, kind):
    x = numbers(2, 3, 4, kind=kind)
    both("matrix_norm", x, ord=ord, dim=dim, keepdim=keepdim)
    both("norm", x, ord=ord, dim=dim, keepdim=keepdim)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dim", [None, 1, (0, 2), (-1,)])
@pytest.mark.parametrize("ord", [2, 1, 0, 3.5, 0.5, -1, np.inf, -np.inf])
def test_vector_norms_are_torchs(ord, dim, kind):
    x = numbers(2, 3, 4, kind=kind)
    for keepdim in (False, True):
        more = {"ord": ord, "dim": dim, "keepdim": keepdim, "gradient": ord != 0}
        both("vector_norm", x, **more)
    if dim == 1:
        both("norm", x, ord=ord, dim=dim, gradient=ord != 0)


def test_norm_without_dim():
    both("norm", numbers(2, 3, 4))
    both("norm", numbers(3, 4), ord=1)
    both("norm", numbers(3), ord=3)
    both("norm", numbers(3, 4), dim=(0, 1))
    both("norm", np.float64(-3.0))
    y = linalg.vector_norm(ad.ones(2, dtype=ad.float32), dtype=ad.float64)
    assert y.dtype == ad.float64


def test_norm_of_zero_has_gradient_zero():
    for ord in (2, 1, np.inf, 3):
        both("vector_norm", np.zeros(3), ord=ord)


@pytest.mark.parametrize("hermitian", [False, True])
@pytest.mark.parametrize(
    "limits", [{}, {"atol": 1.5}, {"rtol": 0.3}, {"atol": 1, "rtol": 0.1}]
)
def test_rank_and_pinv_limits_are_torchs(limits, hermitian):
    x = np.stack([positive(4, 4) * s for s in (1, 0.1)])
    x[1, :, 0] = x[1, 0, :] = 0
    both("matrix_rank", x, hermitian=hermitian, gradient=False, **limits)
    both("pinv", x, hermitian=hermitian, gradient=False, **limits)


def test_limits_may_be_tensors():
    torch = pytest.importorskip("torch")
    x = positive(2, 4, 4)
    for limit in (0.5, [0.1, 3.0]):
        for key in ("atol", "rtol"):
            for name in ("matrix_rank", "pinv"):
                ours = getattr(linalg, name)(ad.tensor(x), **{key: ad.tensor(limit)})
                theirs = getattr(torch.linalg, name)(
                    torch.tensor(x), **{key: torch.tensor(limit)}
                )
                close(ours, theirs)


def test_pinv_of_low_rank_has_torchs_gradient():
    both("pinv", numbers(5, 2) @ numbers(2, 4), rtol=1e-8)


@pytest.mark.parametrize("kind", KINDS)
def test_products_are_torchs(kind):
    torch = pytest.importorskip("torch")
    x, y = numbers(2, 4, 3, kind=kind), numbers(1, 4, 3, kind=kind)
    both("vecdot", x, x[0])
    both("vecdot", x, x, dim=1)
    both("cross", x, y)
    both("cross", x[:, :3], y[:, :3], dim=1)
    both("matmul", x, y[0].T)
    both("diagonal", x, offset=1)
    both("vander", x[0, 0])
    both("vander", x, N=4)
    both("householder_product", x, x[:, 0])
    both("householder_product", x, x[:, 0, :2])
    mats = [numbers(*s, kind=kind) for s in ((2, 5), (5, 3), (3, 6), (6, 2))]
    for cut in (slice(0, 4), slice(0, 2), slice(0, 3)):
        agree(
            lambda *m: linalg.multi_dot(m),
            lambda *m: torch.linalg.multi_dot(m),
            mats[cut],
        )
    ends = [mats[0][0], mats[1], mats[2][:, 0]]
    agree(lambda *m: linalg.multi_dot(m), lambda *m: torch.linalg.multi_dot(m), ends)


def test_tensor_equations_are_torchs():
    x, y = numbers(2, 3, 6), numbers(2, 3)
    both("tensorsolve", x, y)
    both("tensorsolve", numbers(6, 2, 3), y, dims=(0,))
    both("tensorinv", numbers(6, 2, 3), ind=1)
    both("tensorinv", numbers(2, 3, 6), ind=2)


@pytest.mark.filterwarnings("ignore::UserWarning")  # PyTorch deprecates some
@pytest.mark.parametrize("upper", [False, True])
def test_older_names_are_torchs(upper):
    torch = pytest.importorskip("torch")
    x, p, b = numbers(2, 3, 3), positive(2, 3, 3), numbers(2, 3, 2)
    low, cut = np.linalg.cholesky(p), "triu" if upper else "tril"
    factor = adjoint_of(low) if upper else low
    cases = [
        ("cholesky", [p], (upper,)),
        ("triangular_solve", [b, x], (upper, not upper, False)),
        ("triangular_solve", [b, x], (upper, upper, True)),
        ("det", [x], ()),
        ("logdet", [p], ()),
        ("slogdet", [x], ()),
        ("inverse", [x], ()),
        ("pinverse", [x], ()),
        ("matrix_power", [x], (3,)),
        ("matrix_exp", [x], ()),
        ("qr", [b], ()),
        ("svd", [b], ()),
        ("lu", [x], ()),
        ("orgqr", [b, b[:, 0]], ()),
        ("chain_matmul", [x[0], x[1], b[0]], ()),
        ("cross", [x, x + 1], ()),
    ]
    for name, arrays, args in cases:
        ours, theirs = getattr(ad, name), getattr(torch, name)
        agree(
            lambda *t, f=ours, a=args: f(*t, *a),
            lambda *t, f=theirs, a=args: f(*t, *a),
            arrays,
        )
        if name != "chain_matmul":
            assert hasattr(ad.Tensor, name)
    for name, arrays in (
        ("cholesky_solve", [factor, b]),
        ("cholesky_inverse", [factor]),
    ):
        # PyTorch's gradient is that of the whole factor, ours of what is read of it
        ours, theirs = getattr(ad, name), getattr(torch, name)
        agree(
            lambda f, *b, g=ours: g(*b, getattr(ad, cut)(f), upper),
            lambda f, *b, g=theirs: g(*b, getattr(torch, cut)(f), upper),
            arrays,
        )
    agree(
        lambda a: list(ad.lu_unpack(*ad.lu(a)))[1:],
        lambda a: list(torch.lu_unpack(*torch.linalg.lu_factor(a)))[1:],
        [x],
    )
    for increasing in (False, True):
        agree(
            lambda t, up=increasing: ad.vander(t, 4, up),
            lambda t, up=increasing: torch.vander(t, 4, up),
            [x[0, 0]],
            gradient=False,  # PyTorch's own backward fails
        )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("left", [True, False])
@pytest.mark.parametrize("transpose", [True, False])
def test_reflections_are_torchs(transpose, left, kind):
    torch = pytest.importorskip("torch")
    a, b = numbers(4, 3, kind=kind), numbers(4, 4, kind=kind)
    for y, u in zip(ad.geqrf(ad.tensor(a)), torch.geqrf(torch.tensor(a)), strict=True):
        close(y, u)
    packed, tau = (t.numpy() for t in ad.geqrf(ad.tensor(a)))
    agree(
        lambda a, t, b: ad.ormqr(a, t, b, left, transpose),
        lambda a, t, b: torch.ormqr(a, t, b, left, transpose),
        [packed, tau, b],
    )


def test_logdet_of_negative_is_nan():
    assert np.isnan(ad.logdet(ad.tensor([[-1.0]])).item())
    assert ad.logdet(ad.zeros(1, 1)).item() == -np.inf


# ---------------------------------------------------------------- against NumPy, identities


@pytest.mark.parametrize("kind", ["float32", "float64", "complex64", "complex128"])
def test_factors_give_the_matrix_back(kind):
    tol = 1e-4 if kind in ("float32", "complex64") else 1e-10
    for shape in [(6, 6), (3, 7, 4), (4, 7), (70, 70), (90, 40), (40, 90)]:
        x = numbers(*shape, kind=kind)
        t = ad.tensor(x)
        q, r = linalg.qr(t)
        p, low, up = linalg.lu(t)
        u, s, vh = linalg.svd(t, full_matrices=False)
        for y in (q @ r, p @ low @ up, (u * s.unsqueeze(-2).to(u.dtype)) @ vh):
            np.testing.assert_allclose(y.numpy(), x, rtol=tol, atol=tol * 10)
            assert y.numpy().dtype == x.dtype


def test_triangular_solve_of_many_sizes():
    for n in (1, 31, 32, 33, 100):
        a = np.tril(numbers(n, n)) / n + np.eye(n)
        b = numbers(n, 3)
        y = linalg.solve_triangular(ad.tensor(a), ad.tensor(b), upper=False)
        np.testing.assert_allclose(a @ y.numpy(), b, atol=1e-10)


def test_matrix_exp_of_what_is_known():
    t = 0.7
    spin = np.array([[0, -t], [t, 0]])
    turn = [[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]]
    np.testing.assert_allclose(linalg.matrix_exp(ad.tensor(spin)).numpy(), turn, 1e-14)
    big = np.diag([-300.0, 1e-9, 20.0])
    np.testing.assert_allclose(
        np.diag(linalg.matrix_exp(ad.tensor(big)).numpy()), np.exp(np.diag(big)), 1e-10
    )
    many = ad.tensor(np.stack([spin * k for k in (0, 1e-3, 1, 1e3)]))
    y = linalg.matrix_exp(many).numpy()
    np.testing.assert_allclose(y @ np.swapaxes(y, -1, -2), np.eye(2) + 0 * y, atol=1e-9)


def test_matrix_exp_against_scipy():
    scipy = pytest.importorskip("scipy.linalg")
    x = numbers(3, 5, 5, kind="complex128") * 3
    want = np.stack([scipy.expm(m) for m in x])
    got = linalg.matrix_exp(ad.tensor(x)).numpy()
    np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-8)


def test_lu_against_scipy():
    scipy = pytest.importorskip("scipy.linalg")
    for n in (5, 64, 100):
        x = numbers(n, n)
        want, pivots = scipy.lu_factor(x)
        got = linalg.lu_factor(ad.tensor(x))
        np.testing.assert_allclose(got.LU.numpy(), want, rtol=1e-8, atol=1e-10)
        assert (got.pivots.numpy() == pivots + 1).all()


def test_det_of_singular_matrix_has_its_true_gradient():
    x = leaf(np.array([[1.0, 2.0], [2.0, 4.0]]))
    linalg.det(x).backward()
    np.testing.assert_allclose(x.grad.numpy(), [[4, -2], [-2, 1]], atol=1e-12)
    zero = leaf(np.zeros((3, 3)))
    linalg.det(zero).backward()
    assert (zero.grad.numpy() == 0).all()


def test_singular_values_may_repeat_or_vanish():
    for x in (np.eye(3), np.zeros((3, 3)), np.diag([1.0, 1.0, 0.0])):
        both("svdvals", x)
        both("eigvalsh", x)
    x = leaf(np.eye(3))
    linalg.eigh(x).eigenvectors.sum().backward()  # the vectors are not determined
    assert not np.isfinite(x.grad.numpy()).all()


# ---------------------------------------------------------------- derivatives


def hermitian(x):
    return (x + x.mH) / 2


def safe(x):
    """A matrix far from singular."""
    return x @ x.mH + ad.eye(x.shape[-1], dtype=x.dtype)


CHECKED = {
    "det": linalg.det,
    "slogdet": lambda x: linalg.slogdet(x)[1],
    "logdet": lambda x: ad.logdet(safe(x)),
    "inv": linalg.inv,
    "solve": lambda x: linalg.solve(x, x[:, :2] + 1),
    "lu": lambda x: linalg.lu(x)[1:],
    "cholesky": lambda x: linalg.cholesky(safe(x)),
    "qr": lambda x: linalg.qr(x[:, :2])[1].abs(),
    "matrix_exp": linalg.matrix_exp,
    "matrix_power": lambda x: linalg.matrix_power(x, -2),
    "pinv": lambda x: linalg.pinv(x[:, :2]),
    "lstsq": lambda x: linalg.lstsq(x[:, :2], x[:, 1:]).solution,
    "svdvals": linalg.svdvals,
    "svd": lambda x: [abs(v) for v in linalg.svd(x[:, :2], full_matrices=False)],
    "svd_full": lambda x: abs(linalg.svd(x[:, :2])[2]),
    "eigvalsh": lambda x: linalg.eigvalsh(hermitian(x)),
    "eigh": lambda x: [abs(v) for v in linalg.eigh(hermitian(x))],
    "eig": lambda x: [abs(v) for v in linalg.eig(x)],
    "nuclear": lambda x: linalg.norm(x, "nuc"),
    "norm": lambda x: linalg.vector_norm(x, 3),
    "cond": lambda x: linalg.cond(x, 1),
    "multi_dot": lambda x: linalg.multi_dot([x, x, x[0]]),
    "householder": lambda x: linalg.householder_product(x, x[0]),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CHECKED)
def test_derivatives(name, kind):
    x = leaf(numbers(3, 3, kind=kind, seed=5) + 1.5 * np.diag([1, -1, 2]))
    f = CHECKED[name]
    assert ad.gradcheck(f, (x,), check_forward_ad=True, check_batched_grad=True)
    if name != "cond":
        assert ad.gradgradcheck(f, (x,))


@pytest.mark.parametrize(
    "name", ["inv", "solve", "cholesky", "svdvals", "eigh", "matrix_exp"]
)
def test_vmap_is_a_batch(name):
    x = ad.tensor(numbers(4, 3, 3, seed=5) + 1.5 * np.diag([1.0, -1, 2]))
    got = ad.vmap(CHECKED[name])(x)
    rows = [CHECKED[name](row) for row in x]
    for i, y in enumerate(listed(got)):
        want = np.stack([listed(r)[i].numpy() for r in rows])
        np.testing.assert_allclose(y.numpy(), want, atol=1e-10)


def test_vmap_over_right_sides_factors_once():
    a, b = ad.tensor(numbers(3, 3)), ad.tensor(numbers(5, 3, 2))
    want = np.linalg.solve(a.numpy(), b.numpy())
    got = ad.vmap(linalg.solve, in_dims=(None, 0))(a, b)
    np.testing.assert_allclose(got.numpy(), want, atol=1e-10)


# ---------------------------------------------------------------- errors

BAD = np.stack([np.eye(2), np.ones((2, 2))])


@pytest.mark.parametrize(
    "f,kind,text",
    [
        (lambda: linalg.inv(ad.ones(2, 3)), ShapeError, "must be square"),
        (lambda: linalg.inv(ad.ones(2)), ShapeError, "at least 2 dims"),
        (lambda: linalg.inv(ad.ones(2, 2).half()), DtypeError, "float16"),
        (lambda: linalg.det(ad.ones(2, 2).long()), DtypeError, "int64"),
        (lambda: linalg.inv(ad.tensor(BAD)), LinAlgError, "batch element 1"),
        (lambda: linalg.inv(ad.ones(2, 2)), LinAlgError, "diagonal element 2 of U"),
        (lambda: linalg.solve(ad.ones(2, 2), ad.ones(2)), LinAlgError, "is singular"),
        (lambda: linalg.solve(ad.eye(2), ad.ones(3, 1)), ShapeError, "rows of B"),
        (lambda: linalg.solve(ad.eye(2), ad.eye(2).double()), DtypeError, "same dtype"),
        (lambda: linalg.cholesky(ad.tensor(-BAD)), LinAlgError, "minor of order"),
        (lambda: linalg.svd(ad.full((2, 2), np.nan)), LinAlgError, "non-finite"),
        (lambda: linalg.eigh(ad.full((2, 2), np.nan)), LinAlgError, "non-finite"),
        (lambda: linalg.eig(ad.full((2, 2), np.inf)), LinAlgError, "non-finite"),
        (lambda: linalg.eigh(ad.eye(2), "X"), ArgumentError, "UPLO"),
        (lambda: linalg.qr(ad.eye(2), "x"), ArgumentError, "mode"),
        (lambda: linalg.norm(ad.eye(2), "x"), ArgumentError, "ord"),
        (lambda: linalg.vector_norm(ad.eye(2), "x"), ArgumentError, "ord"),
        (lambda: linalg.vector_norm(ad.ones(2).long()), DtypeError, "int64"),
        (lambda: linalg.vector_norm(ad.ones(0), np.inf), ShapeError, "no value"),
        (lambda: linalg.multi_dot([ad.eye(2)]), ArgumentError, "at least 2"),
        (lambda: linalg.multi_dot([ad.eye(2), ad.eye(3)]), ShapeError, "0 and 1"),
        (lambda: linalg.cross(ad.ones(2), ad.ones(2)), ShapeError, "size 3"),
        (lambda: linalg.lu(ad.eye(2), pivot=False), ArgumentError, "pivoting"),
        (lambda: linalg.matrix_power(ad.eye(2), 0.5), TypeError, "integer"),
        (lambda: linalg.tensorinv(ad.ones(2, 3), 1), ShapeError, "equal products"),
        (lambda: linalg.lstsq(ad.eye(2), ad.eye(3)), ShapeError, "equally many rows"),
        (lambda: linalg.cholesky(ad.full((2, 2), np.nan)), LinAlgError, "order 1"),
        (lambda: linalg.multi_dot(5), TypeError, "tuple or list"),
        (lambda: linalg.pinv(ad.eye(2), rtol="x"), TypeError, "a number or Tensor"),
        (lambda: linalg.vander(ad.ones(2), 2.5), TypeError, "integer"),
        (lambda: ad.cholesky_inverse(ad.ones(2, 3)), ShapeError, "must be square"),
        (lambda: linalg.inv([[1.0]]), TypeError, "must be Tensor"),
    ],
)
def test_errors(f, kind, text):
    with pytest.raises(kind) as caught:
        f()
    assert text in str(caught.value)


@pytest.mark.parametrize("f", [linalg.eigh, linalg.eig, linalg.svd])
def test_phase_of_complex_vectors_is_refused(f):
    x = leaf(
        positive(3, 3, kind="complex128") + numbers(3, 3, kind="complex128") * 0.01
    )
    y = f(x)
    vectors = y[0] if len(y) == 3 else y[1]
    with pytest.raises(GradError, match="phase"):
        vectors.imag.sum().backward()


def test_complete_qr_of_tall_has_no_derivative():
    with pytest.raises(GradError, match="reduced"):
        linalg.qr(leaf(numbers(4, 2)), "complete").R.sum().backward()


def test_unchecked_variants_report():
    bad = ad.tensor(BAD)
    assert linalg.inv_ex(bad).info.tolist() == [0, 2]
    assert linalg.solve_ex(bad, ad.ones(2, 2, 1).double()).info.tolist() == [0, 2]
    assert linalg.cholesky_ex(bad).info.tolist() == [0, 2]
    assert linalg.lu_factor_ex(bad).info.tolist() == [0, 2]
    np.testing.assert_allclose(linalg.inv_ex(bad).inverse[0].numpy(), np.eye(2))
    with pytest.raises(LinAlgError):
        linalg.inv_ex(bad, check_errors=True)


def test_out_is_written():
    out = ad.zeros(2, 2)
    assert linalg.inv(ad.eye(2) * 2, out=out) is out
    assert out.tolist() == [[0.5, 0.0], [0.0, 0.5]]
    q, r = ad.zeros(2, 2), ad.zeros(2, 2)
    linalg.qr(ad.eye(2), out=(q, r))
    np.testing.assert_allclose((q @ r).numpy(), np.eye(2))
