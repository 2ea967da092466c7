"""Products in loops: what does not come from the step before is multiplied first."""

import numpy as np
import pytest

import adjoint as ad
from adjoint.ir.latency import shortened
from adjoint.ir.simplify import simplified
from adjoint.ir.text import pretty

rng = np.random.default_rng(0)


def program(f, *xs):
    graph = shortened(simplified(ad.trace(f)(*xs).graph))
    graph.verify()
    for part in graph.parts():
        part.verify()
    return pretty(graph)


def same(f, *xs, rtol=1e-12):
    want, fast = f(*xs), ad.compile(f)
    fast(*xs)
    np.testing.assert_allclose(fast(*xs).numpy(), want.numpy(), rtol=rtol)


def descent(w, xs, ys):
    def body(w, pair):
        x, y = pair
        return w - 0.01 * (2 * (w * x - y) * x), w

    return ad.scan(body, w, (xs, ys))[0]


def arrays(n, dtype=np.float64):
    return [ad.tensor(rng.normal(size=s).astype(dtype)) for s in ((), n, n)]


def test_golden():
    assert program(descent, *arrays(5)).split("where ")[1] == (
        "body(x1: float64[], x2: float64[], x3: float64[]):\n"
        "    z1 = x1 * x2\n"
        "    z2 = z1 - x3\n"
        "    z3 = 0.02 * x2\n"
        "    z4 = z2 * z3\n"
        "    z5 = x1 - z4\n"
        "    return z5, x1, x1"
    )
    same(descent, *arrays(50))


@pytest.mark.parametrize("factor", [1e-30, 0.0, float("inf"), float("nan"), 1e30])
def test_numbers_that_are_not_usual_stay_where_they_are(factor):
    def f(w, xs, ys):
        return ad.scan(lambda w, p: (w * 1e8 * p[0] * factor, None), w, (xs, ys))[0]

    assert program(f, *arrays(3)).count(" * ") == 3
    same(f, *arrays(1))


def test_large_and_small_together():
    """Nothing overflows that did not."""

    def f(w, xs, ys):
        def body(w, pair):
            x, y = pair
            return (w * x) * y, None

        return ad.scan(body, w, (xs, ys))[0]

    big, small = (ad.tensor([v, v]) for v in (1e30, 1e-30))
    same(f, ad.tensor(1e-20), big, big, rtol=1e-5)
    same(f, ad.tensor(1e20), small, small, rtol=1e-5)


def test_gradient():
    def f(w, xs, ys):
        w = w.detach().requires_grad_()
        loss = descent(w, xs, ys) ** 2
        return ad.autograd.grad(loss, w)[0]

    same(f, *arrays(30))
