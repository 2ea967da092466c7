"""Simplification: each rule gives what was there before, for all numbers, in fewer operations."""

from collections import Counter

import numpy as np
import pytest

import adjoint as ad
from adjoint.core.primitive import op
from adjoint.ir.simplify import RULES, simplified
from adjoint.ir.text import pretty

ODD = [0.0, -0.0, 1.0, -2.5, np.inf, -np.inf, np.nan, 1e-40]
A = np.array(ODD * 2, np.float32).reshape(2, 8)
B = np.array(ODD[::-1] * 2, np.float32).reshape(2, 8)
V = np.array(ODD, np.float32)
M = np.arange(6, dtype=np.float32).reshape(2, 3) - 2
R = np.array(ODD[::-1] * 2, np.float32).reshape(4, 4)
PLACES = np.array([2, 0, 3, 1]).reshape(4, 1, 1)
EYE = np.eye(16, dtype=np.float32)
D = np.array([*ODD[1:5], *range(1, 13)], np.float32)  # one infinity
TAME = np.linspace(-2, 2, 16, dtype=np.float32)
W = np.outer(
    TAME, np.arange(1, 9, dtype=np.float32)
)  # columns with none, with one, with two
W[3, 2], W[5, 3], W[4, 4], W[9, 4], W[7, 5] = np.inf, -np.nan, np.inf, -np.inf, -0.0
BOTH, WHOLE = np.stack([W, W[::-1]]), np.arange(48).reshape(16, 3)
ONE, ZERO, MINUS = (np.array(n, np.float32) for n in (1, 0, -0.0))


def _slope(g, x):
    """What derivatives make of a diagonal."""
    y = op.where(op.gt(x, ONE), op.neg(op.guard(g, op.add(g, g))), op.zeros_like(g))
    return op.sub(op.gate(y, x), g)


def _batch(d):
    """Two diagonal matrices."""
    return op.mul(
        op.stack(op.reshape(d, shape=(1, 16)), MINUS * TAME[None], dim=0), EYE
    )


def _copies(v, m, spec, swap=False):
    """Four equal rows, multiplied by a matrix."""
    rows = op.expand(v, shape=(4, 3))
    if swap:
        return op.contract(m, rows, spec="cb,ab->ac")
    return op.contract(rows, m, spec=spec)


def _put(v, shape, around, key, m):
    """Copies among zeros, multiplied by a matrix."""
    x = op.unslice(op.expand(v, shape=shape), shape=around, key=key)
    return op.contract(x, m, spec="ab,cb->ac")


def _picked(y, places):
    """One element of each of four rows."""
    return op.pick(op.reshape(y, shape=(4, 1, y.shape[-1])), places)


def _sum_of_put(y, places, keepdim):
    rows = op.reshape(op.put(y, places, size=5), shape=(4, 5))
    return op.sum(rows, dim=(1,), keepdim=keepdim)


# A rule's name -> functions of arrays that it simplifies, with the arrays.
CONV = {"stride": (1,), "padding": ((1, 1),), "dilation": (1,), "groups": 1}
NO = np.ones((0, 2, 4), np.float32)
CASES = {
    "contract: of nothing = 0": [
        (lambda a, b: op.contract(a, b, spec="ij,jk->ik"), A[:, :0], B[:0]),
    ],
    "conv: of nothing = 0": [
        (lambda x, w: op.conv(x, w, **CONV), NO, np.ones((3, 2, 3), np.float32)),
    ],
    "conv_data: of nothing = 0": [
        (lambda y, w: op.conv_data(y, w, size=(5,), **CONV), NO[:, :, :3], NO.T[:2]),
    ],
    "conv_weight: of nothing = 0": [
        (lambda x: op.conv_weight(x, x, size=(3,), **CONV), NO),
    ],
    "pow_scalar: x¹ = x": [(lambda a: op.pow_scalar(a, exponent=1), A)],
    "pow_scalar: x⁰ = 1": [(lambda a: op.pow_scalar(a, exponent=0), A)],
    "mul: x 1 = x": [
        (lambda a: op.mul(a, ONE), A),
        (lambda a: op.mul(a, op.ones_like(a)), A),
        (lambda v, a: op.mul(v, op.expand(op.ones_like(v), shape=(2, 8))), V, A),
    ],
    "mul: 1 x = x": [(lambda a: op.mul(ONE, a), A)],
    "mul: (-a)(-b) = a b": [(lambda a, b: op.mul(op.neg(a), op.neg(b)), A, B)],
    "div: x / 1 = x": [(lambda a: op.div(a, ONE), A)],
    "add: x + (-0) = x": [(lambda a: op.add(a, MINUS), A)],
    "add: (-0) + x = x": [(lambda a: op.add(MINUS, a), A)],
    "add: a + (-b) = a - b": [(lambda a, b: op.add(a, op.neg(b)), A, B)],
    "add: (-a) + b = b - a": [(lambda a, b: op.add(op.neg(a), b), A, B)],
    "sub: x - 0 = x": [(lambda a: op.sub(a, ZERO), A)],
    "sub: a - (-b) = a + b": [(lambda a, b: op.sub(a, op.neg(b)), A, B)],
    "neg: -(-x) = x": [(lambda a: op.neg(op.neg(a)), A)],
    "guard: x where x is 0 = x": [(lambda a: op.guard(a, a), A)],
    "where: a choice that is known": [
        (lambda a, b: op.where(np.array(True), a, b), A, B),
        (lambda a, b: op.where(op.gt(a, b), a, a), A, B),
    ],
    "stop_gradient: x": [(op.stop_gradient, A)],
    "contiguous: x": [(op.contiguous, A)],
    "cast: to its own dtype": [(lambda a: op.cast(a, dtype=np.dtype("float32")), A)],
    "expand: to its own shape": [(lambda a: op.expand(a, shape=(2, 8)), A)],
    "expand: twice": [
        (lambda v: op.expand(op.expand(v, shape=(2, 8)), shape=(3, 2, 8)), V)
    ],
    "reshape: to its own shape": [(lambda a: op.reshape(a, shape=(2, 8)), A)],
    "reshape: twice": [
        (lambda a: op.reshape(op.reshape(a, shape=(16,)), shape=(4, 4)), A)
    ],
    "permute: no dim": [(lambda a: op.permute(a, dims=(0, 1)), A)],
    "permute: twice": [
        (lambda a: op.permute(op.permute(a, dims=(1, 0)), dims=(1, 0)), A)
    ],
    "slice: all of it": [(lambda a: op.slice(a, key=((0, 2, 1), (0, 8, 1))), A)],
    "slice: what was put there": [
        (
            lambda a: op.slice(
                op.unslice(a, shape=(4, 8), key=((1, 3, 1), (0, 8, 1))),
                key=((1, 3, 1), (0, 8, 1)),
            ),
            A,
        )
    ],
    "contract: of copies of a row, copies": [
        (lambda v, m: _copies(v, m, "ab,cb->ac"), TAME[:3], M),
        (lambda m, v: _copies(v, m, "ab,cb->ac", swap=True), M, TAME[:3]),
        (lambda v, m: _copies(v, m, "ab,cb->ca"), TAME[:1], M),
        (lambda v, m: _put(v, (4,), (4, 3), ((0, 4, 1), 1), m), ONE, M),
        (lambda v, m: _put(v, (4, 2), (4, 3), ((0, 4, 1), (0, 3, 2)), m), TAME[:2], M),
    ],
    "expand: of a number": [
        (lambda a: op.add(a, op.expand(np.ones((1, 1), np.float32), shape=(2, 8))), A),
    ],
    "reshape: of a number": [
        (lambda a: op.add(a, op.reshape(ONE, shape=(1, 1))), A),
        (
            lambda a: op.reshape(
                op.ones_like(op.sum(a, dim=(0, 1), keepdim=False)), shape=(1,)
            ),
            A,
        ),
    ],
    "ones_like: a number": [
        (lambda a: op.ones_like(a), A),
        (lambda a: op.ones_like(op.sum(a, dim=(0, 1), keepdim=False)), A),
    ],
    "zeros_like: a number": [(lambda a: op.zeros_like(a), A)],
    "sum: of 2ⁿ equal ones": [
        (lambda v: op.sum(op.expand(v, shape=(4, 8)), dim=(0,), keepdim=False), V),
        (lambda v: op.sum(op.expand(v, shape=(4, 8)), dim=(0,), keepdim=True), V),
    ],
    "sum: of rows with one number": [
        (lambda y, i: _sum_of_put(y, i, keepdim=False), V[:4, None, None], PLACES),
        (lambda y, i: _sum_of_put(y, i, keepdim=True), -V[4:, None, None], PLACES),
    ],
    "pick: f(a, b) at i = f(a at i, b at i)": [
        (lambda a, b, i: _picked(op.mul(a, b), i), R, R[::-1].copy(), PLACES),
        (lambda a, b, i: _picked(op.sub(a, b), i), R, R[:, :1], PLACES),
        (lambda a, b, i: _picked(op.sub(a, b), i), R, R[1], PLACES),
        (lambda a, b, i: _picked(op.sub(b, op.exp(a)), i), R, R[:1], PLACES),
        (lambda a, i: _picked(op.mul(a, MINUS), i), R, PLACES),
        (lambda a, b, i: _picked(op.add(a, b), i), R[0], R[:, :1], PLACES),
        (
            lambda a, b, i: op.pick(op.reshape(op.div(a, b), shape=(4, 1, 4)), i),
            R.reshape(2, 2, 4),
            R[2],
            PLACES,
        ),
    ],
    "contract: a matrix times a vector is a sum": [
        (lambda m, v: op.contract(m, v, spec="ij,j->i"), M, M[0]),
        (lambda v, m: op.contract(v, m, spec="i,ij->j"), M[:, 0], M),
        (lambda v, w: op.contract(v, w, spec="i,j->ji"), M[0], M[1]),
        (lambda v, w: op.contract(v, w, spec="i,i->"), M[0], M[1]),
    ],
    "contract: diag(d) M = d M, row by row": [
        (lambda w: op.contract(EYE, w, spec="ij,jk->ik"), W),
        (lambda w: op.contract(w, EYE, spec="ij,ki->kj"), W),
        (lambda d, w: op.contract(op.mul(EYE, d), w, spec="ij,jk->ik"), TAME, W),
        (lambda d, w: op.contract(op.mul(EYE, d), w, spec="ij,jk->ik"), D, W),
        (lambda d, w: op.contract(op.div(EYE, d), w, spec="ij,jk->ki"), D, W),
        (
            lambda d, w: op.contract(_slope(op.mul(EYE, d), d), w, spec="ij,jk->ik"),
            TAME,
            W,
        ),
        (lambda d, w: op.contract(_batch(d), w, spec="bij,jk->bik"), TAME, W),
        (lambda d, w: op.contract(_batch(d), w, spec="bij,bjk->kib"), TAME, BOTH),
        (lambda w: op.contract(EYE.astype(int), w, spec="ij,jk->ik"), WHOLE),
    ],
}


def written(f, *arrays):
    """The program of f."""
    return ad.trace(lambda *xs: f(*xs))(*(ad.tensor(a) for a in arrays)).graph


def same(a, b):
    np.testing.assert_array_equal(a, b)
    number = ~np.isnan(a)  # the sign of NaN means nothing
    np.testing.assert_array_equal(np.signbit(a)[number], np.signbit(b)[number])


def test_every_rule_has_a_case():
    assert {r.name for r in RULES} == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_rules_change_nothing(name):
    for f, *arrays in CASES[name]:
        graph, used = written(f, *arrays), Counter()
        simple = simplified(graph, used)
        simple.verify()
        assert used[name]
        with np.errstate(all="ignore"):
            for x, y in zip(graph.run(arrays), simple.run(arrays), strict=True):
                same(x, np.asarray(y))


def test_what_is_not_the_same_stays():
    for f in (
        lambda a: op.add(a, ZERO),  # -0 + 0 is 0
        lambda a: op.mul(a, ZERO),  # ∞ 0 is NaN
        lambda a: op.sub(ZERO, a),
        lambda a: op.sub(a, a),
        lambda a: op.div(a, a),
    ):
        graph = written(f, A)
        assert len(simplified(graph).operations) == len(graph.operations) == 1


def test_numbers_are_computed_and_not_stretched():
    f = lambda a: op.mul(op.mul(op.exp(op.ones_like(a)), np.float32(2)), a)  # noqa: E731
    simple = simplified(written(f, A))
    assert [o.prim.name for o in simple.operations] == ["mul"]
    assert simple.consts[0].value == np.float32(2) * np.exp(np.float32(1))


def test_loops_are_simplified_inside():
    def f(x):
        return ad.scan(lambda c, _: (-(-(c**1) * 1), None), x, length=3)[0]

    simple = simplified(written(f, A[0, 2:4]))
    (loop,) = simple.operations
    assert loop.params["body"].operations == []


def test_a_simplified_program():
    def f(x):
        return ad.func.grad(lambda x: (x**2 * 1 + -x).sum())(x)

    simple = simplified(written(f, A))
    assert str(pretty(simple)) == GOLDEN


def test_a_program_after_a_pass():
    fast = ad.compile(lambda x: x.neg().neg() * 1)
    x = ad.tensor(A)
    fast(x), fast(x)
    assert "z2 = -z1" in fast.program(x)
    assert "-" not in fast.program(x, after="simplify").split("\n", 1)[1]
    assert "contiguous" in fast.program(x, after="all")
    with pytest.raises(ad.errors.ArgumentError, match="simplify"):
        fast.program(x, after="nothing")


GOLDEN = """f(xs: float32[2, 8]):
  z1 = 2 * xs
  z2 = -1 + z1
  return z2"""


def close(a, b, dtype):
    rtol = {ad.bfloat16: 2e-2, ad.float64: 1e-12}.get(dtype, 2e-5)
    a, b = (np.asarray(x.to(ad.complex128).numpy()) for x in (a, b))
    np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol)


@pytest.mark.parametrize("dtype", [ad.float32, ad.float64, ad.bfloat16, ad.complex64])
@pytest.mark.parametrize("of", [ad.func.jacrev, ad.func.jacfwd])
def test_compiled_derivatives_along_unit_vectors(of, dtype):
    """Of a layer whose matrix has an infinity, too."""
    x = ad.tensor(TAME, dtype=dtype)
    w = ad.tensor(np.outer(TAME, TAME[:9]).T / 4, dtype=dtype)

    def derivative(x, w):
        return of(lambda x: ad.tanh(w @ ad.sin(x)))(x)

    step = ad.compile(derivative)
    for _ in range(2):
        close(step(x, w), derivative(x, w), dtype)
    w[3, 2] = float("inf")
    close(step(x, w), derivative(x, w), dtype)


def test_a_compiled_hessian_has_no_diagonal_products():
    x, w = ad.tensor(TAME), ad.tensor(np.outer(TAME, TAME[:9]).T)

    def second(x, w):
        return ad.func.hessian(lambda x: ad.exp(w @ ad.sin(x)).sum())(x)

    step = ad.compile(second)
    for _ in range(2):
        close(step(x, w), second(x, w), ad.float32)
    used = Counter()
    simple = simplified(written(second, TAME, w.numpy()), used)
    assert used["contract: diag(d) M = d M, row by row"] >= 1
    assert sum(o.prim.name == "contract" for o in simple.operations) <= 2
