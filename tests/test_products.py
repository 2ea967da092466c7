"""Products: against PyTorch with gradients, einsum in all its forms, distances, errors."""

import itertools

import numpy as np
import pytest

import adjoint as ad
from adjoint.core.primitive import op
from peers import agree_in_both, numbers, pairs


def several(*shapes):
    return [numbers(*s, seed=i) for i, s in enumerate(shapes)]


EINSUMS = [
    ("ij->ji", (2, 3)),
    ("ba", (2, 3)),
    ("Aa", (2, 3)),
    ("ij->", (2, 3)),
    ("ii", (3, 3)),
    ("ii->i", (3, 3)),
    ("iij->ji", (3, 3, 2)),
    ("iii->i", (3, 3, 3)),
    ("...->", (2, 3)),
    ("...i->i", (2, 3)),
    ("i...->...", (2, 3, 4)),
    ("ij,jk->ik", (2, 3), (3, 4)),
    ("ij,jk", (2, 3), (3, 4)),
    ("i j, jk -> ki", (2, 3), (3, 4)),
    ("ij,ij", (1, 3), (2, 3)),
    ("ij,ij->ij", (2, 3), (2, 1)),
    ("i,j->ij", (2,), (3,)),
    ("i,i", (3,), (3,)),
    ("ij,k->k", (2, 3), (4,)),
    ("...j,jk", (2, 5, 3), (3, 4)),
    ("...ij,...jk->...ik", (2, 1, 2, 3), (4, 3, 2)),
    ("b...,b...->...", (2, 3, 4), (2, 4)),
    ("bij,bjk->ik", (2, 2, 2), (1, 2, 2)),
    ("bn,anm,bm->ba", (2, 5), (3, 5, 4), (2, 4)),
    ("ij,jk,kl,lm->im", (2, 3), (3, 4), (4, 5), (5, 2)),
    ("i,i,i->i", (3,), (3,), (3,)),
    ("ii,ij,jj->j", (3, 3), (3, 2), (2, 2)),
    ("abcd,cdef->abef", (2, 3, 2, 2), (2, 2, 3, 2)),
    ("ij,kl->ijkl", (2, 3), (2, 2)),
    (",ij->ji", (), (2, 3)),
    (",", (), ()),
    ("", ()),
    ("ij,jk->ik", (2, 0), (0, 3)),
]


@pytest.mark.parametrize("equation, shapes", [(e, s) for e, *s in EINSUMS])
def test_einsum(equation, shapes):
    agree_in_both(lambda m, *xs: m.einsum(equation, *xs), *several(*shapes))


def test_einsum_by_lists_and_complex():
    agree_in_both(
        lambda m, a, b: m.einsum(a, [0, 1], b, [1, 2]), *several((2, 3), (3, 4))
    )
    agree_in_both(
        lambda m, a, b: m.einsum(a, [0, 1], b, [1, 2], [2, 0]), *several((2, 3), (3, 4))
    )
    agree_in_both(lambda m, a: m.einsum(a, [..., 1], [...]), numbers(2, 3))
    agree_in_both(
        lambda m, a, b: m.einsum("ij,jk->ik", [a, b]), *several((2, 3), (3, 4))
    )
    agree_in_both(
        lambda m, a, b: m.einsum("ij,kj->ik", a, b), pairs(2, 3), pairs(4, 3, seed=2)
    )


def test_einsum_of_random_terms_is_numpys():
    rng = np.random.default_rng(3)
    sizes = dict(zip("abcd", (2, 3, 2, 4), strict=True))
    for _ in range(60):
        terms = [
            "".join(rng.permutation(list("abcd"))[: rng.integers(1, 4)]) for _ in "xyz"
        ]
        letters = sorted(set("".join(terms)))
        out = "".join(rng.permutation(letters)[: rng.integers(0, len(letters) + 1)])
        xs = [rng.normal(size=[sizes[c] for c in t]) for t in terms]
        equation = f"{','.join(terms)}->{out}"
        got = ad.einsum(equation, *map(ad.tensor, xs)).numpy()
        np.testing.assert_allclose(got, np.einsum(equation, *xs), atol=1e-12)


RANKS = [(3,), (2, 3), (4, 2, 3), (5, 1, 2, 3)]


@pytest.mark.parametrize(
    "a, b", [*itertools.product(RANKS, [(3,), (3, 2), (4, 3, 2), (1, 4, 3, 2)])]
)
def test_matmul_of_all_ranks(a, b):
    agree_in_both(lambda m, x, y: m.matmul(x, y), *several(a, b))
    agree_in_both(lambda m, x, y: x @ y, pairs(*a), pairs(*b, seed=4))


PRODUCTS = [
    (lambda m, a, b: m.mm(a, b), (2, 3), (3, 4)),
    (lambda m, a, b: m.bmm(a, b), (2, 2, 3), (2, 3, 1)),
    (lambda m, a, b: m.mv(a, b), (2, 3), (3,)),
    (lambda m, a, b: m.dot(a, b), (3,), (3,)),
    (lambda m, a, b: m.vdot(a, b), (3,), (3,)),
    (lambda m, a, b: m.inner(a, b), (2, 3), (4, 3)),
    (lambda m, a, b: m.inner(a, b), (), (4, 3)),
    (lambda m, a, b: m.outer(a, b), (2,), (3,)),
    (lambda m, a, b: m.ger(a, b), (2,), (3,)),
    (lambda m, a, b: m.kron(a, b), (2, 3), (4,)),
    (lambda m, a, b: m.kron(a, b), (), (2, 3)),
    (lambda m, a, b: a.kron(b), (2, 3), (4,)),
    (lambda m, a, b: m.kron(a, b), (2, 1, 3), (2, 2)),
    (lambda m, a, b: m.tensordot(a, b, 1), (2, 3), (3, 4)),
    (lambda m, a, b: m.tensordot(a, b, 0), (2, 3), (2,)),
    (lambda m, a, b: m.tensordot(a, b, ([0, 1], [1, 0])), (2, 3, 4), (3, 2)),
    (lambda m, a, b: m.tensordot(a, b, ([-1], [0])), (2, 3), (3, 2)),
    (lambda m, x, a, b: m.addmm(x, a, b, beta=2, alpha=0.5), (4,), (2, 3), (3, 4)),
    (lambda m, x, a, b: m.addmm(x, a, b, beta=0), (2, 4), (2, 3), (3, 4)),
    (lambda m, x, a, b: m.addmv(x, a, b, alpha=3), (2,), (2, 3), (3,)),
    (lambda m, x, a, b: m.addr(x, a, b, beta=2, alpha=3), (2, 3), (2,), (3,)),
    (lambda m, x, a, b: x.baddbmm(a, b, beta=0.5), (2, 1), (3, 2, 4), (3, 4, 2)),
    (lambda m, x, a, b: x.addbmm(a, b, alpha=2), (2, 2), (3, 2, 4), (3, 4, 2)),
]


@pytest.mark.parametrize("f, shapes", [(f, s) for f, *s in PRODUCTS])
def test_products(f, shapes):
    agree_in_both(f, *several(*shapes))
    agree_in_both(f, *(pairs(*s, seed=i) for i, s in enumerate(shapes)))


@pytest.mark.parametrize("p", [0, 0.5, 1, 1.5, 2, 3, float("inf")])
def test_distances(p):
    a, b = several((4, 3), (5, 3))
    b[2] = a[1]
    b[3, 0] = a[2, 0]
    agree_in_both(lambda m, x, y: m.cdist(x, y, p), a, b)
    agree_in_both(lambda m, x, y: m.cdist(x, y, p), *several((2, 1, 2, 3), (4, 5, 3)))
    assert ad.cdist(ad.ones(0, 2), ad.ones(3, 2), p).shape == (0, 3)
    assert ad.cdist(ad.ones(2, 0), ad.ones(3, 0), p).tolist() == [[0.0] * 3] * 2


def test_many_distances():
    pdist = pytest.importorskip("scipy.spatial.distance").cdist
    a, b = several((40, 6), (30, 6))
    for mode in ("use_mm_for_euclid_dist", "donot_use_mm_for_euclid_dist"):
        got = ad.cdist(ad.tensor(a), ad.tensor(b), compute_mode=mode).numpy()
        np.testing.assert_allclose(got, pdist(a, b), rtol=1e-8)
    agree_in_both(lambda m, x, y: m.cdist(x, y), a, b, tol=1e-6)


@pytest.mark.parametrize(
    "f, shapes",
    [
        (lambda a, b: ad.einsum("bij,kj->bk", a, b), ((2, 3, 2), (4, 2))),
        (lambda a, b: ad.einsum("iij,kj->ki", a, b), ((2, 2, 3), (1, 3))),
        (ad.kron, ((2, 1), (2, 3))),
        (ad.cdist, ((2, 3), (4, 3))),
        (lambda a, b: ad.cdist(a, b, 3.0), ((2, 3), (4, 3))),
        (lambda a, b: ad.addbmm(a[0, 0], a, b), ((2, 3, 3), (2, 3, 3))),
    ],
)
def test_every_order_and_batch(f, shapes):
    xs = several(*shapes)
    leaves = tuple(ad.tensor(x, requires_grad=True) for x in xs)
    assert ad.gradcheck(f, leaves, check_forward_ad=True)
    assert ad.gradgradcheck(f, leaves)
    many = [np.stack([x, 2 * x, x + 1]) for x in xs]
    want = np.stack(
        [f(*map(ad.tensor, row)).numpy() for row in zip(*many, strict=True)]
    )
    np.testing.assert_allclose(ad.vmap(f)(*map(ad.tensor, many)).numpy(), want, 1e-9)
    got = ad.vmap(f, in_dims=(0, None))(ad.tensor(many[0]), ad.tensor(xs[1])).numpy()
    want = np.stack([f(ad.tensor(row), ad.tensor(xs[1])).numpy() for row in many[0]])
    np.testing.assert_allclose(got, want, 1e-9)


def test_dtypes():
    a = ad.arange(6).reshape(2, 3)
    assert (a @ a.T).dtype == ad.int64 and (a @ a.T).tolist() == [[5, 14], [14, 50]]
    assert ad.einsum("ij,kj->ik", a, a).tolist() == [[5, 14], [14, 50]]
    assert ad.kron(ad.ones(2), a).dtype == ad.float32
    assert ad.outer(ad.ones(2), ad.arange(2)).dtype == ad.float32
    long = ad.full((1, 5000), 0.01).half()
    got = (long @ long.T).item()  # halves summed as halves would stall
    assert abs(got - 0.5) < 1e-3
    assert ad.addmm(ad.ones(2, 2).long(), a, a.T, beta=0.5).tolist() == [
        [5, 14],
        [14, 50],
    ]
    nan = ad.full((2, 2), float("nan"))
    assert ad.addmm(nan, a.float(), a.T.float(), beta=0).tolist() == [[5, 14], [14, 50]]
    if ad.bfloat16 is not None:
        half = ad.ones(2, 2, dtype=ad.bfloat16)
        assert (half @ half).dtype == ad.bfloat16
        assert ad.einsum("ij,ij->ij", half, half).dtype == ad.bfloat16


M, V = ad.ones(2, 3), ad.ones(3)


@pytest.mark.parametrize(
    "call, text",
    [
        (lambda: ad.einsum("ii->i", M), "sizes don't match, 3 != 2"),
        (lambda: ad.einsum("ij,jk", M, M), "does not broadcast with previously seen"),
        (lambda: ad.einsum("ij->ik", M), "output subscript k does not appear"),
        (lambda: ad.einsum("ij", M, M), "more operands"),
        (lambda: ad.einsum("ij,jk->ik", M), "fewer operands"),
        (lambda: ad.einsum("ijk", M), "does not match the number of dimensions (2)"),
        (lambda: ad.einsum("i1", M), "invalid subscript '1'"),
        (lambda: ad.einsum("i.j", M), "invalid subscript '.'"),
        (lambda: ad.einsum("ij->i->j", M), "invalid subscript"),
        (lambda: ad.einsum("ij->ii", M), "more than once in the output"),
        (lambda: ad.einsum("ij,jk", M, M.T.double()), "same dtype"),
        (lambda: ad.einsum("ij,jk", M.bool(), M.T.bool()), "not implemented for bool"),
        (lambda: M.mm(M), "a.shape[-1] must equal b.shape[-2], got 3 and 2"),
        (lambda: ad.mm(V, V), "input must be a matrix"),
        (lambda: ad.bmm(M, M), "must be a 3D tensor"),
        (lambda: ad.bmm(ad.ones(2, 3, 4), ad.ones(3, 4, 2)), "same batch size"),
        (lambda: ad.mv(M, V[:2]), "got 3 and 2"),
        (lambda: ad.dot(V, V[:2]), "got 3 and 2"),
        (lambda: ad.dot(V, V.double()), "same dtype"),
        (lambda: M @ ad.tensor(1.0), "at least 1-D"),
        (lambda: M.bool() @ M.T.bool(), "not implemented for bool"),
        (lambda: ad.ones(2, 3, 4) @ ad.ones(3, 4, 2), "do not broadcast"),
        (lambda: ad.outer(M, V), "must be a vector"),
        (lambda: ad.inner(M, M.T), "last dimension must match"),
        (lambda: ad.tensordot(M, M, ([1], [0])), "need to match"),
        (lambda: ad.tensordot(M, M, 3), "expects 0 <= dims <= 2"),
        (lambda: ad.tensordot(M, M, ([0, 1], [0])), "same length"),
        (lambda: ad.addmm(ad.ones(5), M, M.T), "do not broadcast"),
        (lambda: ad.addmm(ad.ones(2, 2).double(), M, M.T), "same dtype"),
        (lambda: ad.addbmm(M, M, M), "3D tensor"),
        (lambda: ad.kron(M, 2.0), "must be Tensor"),
        (lambda: ad.cdist(M, M.T), "X1: 3 X2: 2"),
        (lambda: ad.cdist(V, V), "at least 2D"),
        (lambda: ad.cdist(M, M, -1), "non-negative p"),
        (lambda: ad.cdist(M.long(), M.long()), "only supports floating-point"),
        (lambda: ad.cdist(M, M.double()), "expected float32 but found float64"),
        (lambda: ad.cdist(M, M, compute_mode="x"), "not a valid value"),
    ],
)
def test_errors(call, text):
    with pytest.raises(Exception) as caught:
        call()
    assert type(caught.value).__module__ == "adjoint.errors", repr(caught.value)
    assert text in str(caught.value)


def test_operands_however_they_lie_in_memory():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(4, 6, 5)), rng.normal(size=(4, 6, 3))
    of_a = [a, a[::-1], a[:, ::-2], a.swapaxes(0, 1), np.broadcast_to(a[:1], a.shape)]
    of_a += [
        np.broadcast_to(1.0, a.shape),
        np.lib.stride_tricks.sliding_window_view(a, 2, 2),
    ]
    for x in of_a:
        letters = "abcd"[: x.ndim]
        y = b[: x.shape[0], : x.shape[1]].copy()
        if y.shape[:2] != x.shape[:2]:
            y = np.resize(b, (*x.shape[:2], 3))
        for spec in (
            f"{letters},abk->{letters[2:]}k",
            f"abk,{letters}->k{letters[2:]}",
        ):
            pair = (x, y) if spec.startswith(letters + ",") else (y, x)
            got = op.contract(*map(ad.tensor, pair), spec=spec)
            direct = op.contract.eager(*pair, spec=spec)
            np.testing.assert_allclose(direct, np.einsum(spec, *pair))
            np.testing.assert_allclose(got.numpy(), direct)
