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
ONE, ZERO, MINUS = (np.array(n, np.float32) for n in (1, 0, -0.0))

# A rule's name -> functions of arrays that it simplifies, with the arrays.
CASES = {
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
    "sum: of 2ⁿ equal ones": [
        (lambda v: op.sum(op.expand(v, shape=(4, 8)), dim=(0,), keepdim=False), V),
        (lambda v: op.sum(op.expand(v, shape=(4, 8)), dim=(0,), keepdim=True), V),
    ],
    "contract: a matrix times a vector is a sum": [
        (lambda m, v: op.contract(m, v, spec="ij,j->i"), M, M[0]),
        (lambda v, m: op.contract(v, m, spec="i,ij->j"), M[:, 0], M),
        (lambda v, w: op.contract(v, w, spec="i,j->ji"), M[0], M[1]),
        (lambda v, w: op.contract(v, w, spec="i,i->"), M[0], M[1]),
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
