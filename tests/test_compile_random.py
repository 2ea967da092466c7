"""Compiled functions draw the random numbers that they draw eagerly."""

import pytest

import adjoint as ad
from adjoint import compile
from adjoint.errors import TraceError
from adjoint.nn import functional as F
from adjoint.utils.checkpoint import checkpoint
from agreement import agreeing

CASES, agrees = agreeing()


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_it_is_as_without_compile(case):
    case()


@agrees
def permutations(wrap):
    f = wrap(lambda x: x[ad.randperm(3)])
    ad.manual_seed(0)
    return [f(ad.arange(3.0)) for _ in range(4)]


@agrees
def categories(wrap):
    f = wrap(lambda x: ad.multinomial(x, 2))
    ad.manual_seed(0)
    return [f(ad.tensor([0.1, 0.2, 0.7])) for _ in range(4)]


@agrees
def a_checkpoint(wrap):
    w = ad.ones(8, requires_grad=True)

    def part(x):
        return F.dropout(x * w, 0.5, True)

    def f(x):
        w.grad = None
        y = checkpoint(part, x, use_reentrant=False)
        (y * y).sum().backward()
        return y.detach(), w.grad * 1

    f = wrap(f)
    ad.manual_seed(0)
    return [f(ad.ones(8)) for _ in range(4)]


@agrees
def a_loop(wrap):
    def body(c, x):
        r = ad.rand(2)
        return c + r, r * x

    f = wrap(lambda xs: (ad.rand(1), ad.scan(body, ad.zeros(2), xs), ad.rand(1)))
    ad.manual_seed(0)
    return [f(ad.ones(3, 2)) for _ in range(4)] + [ad.rand(1)]


@agrees
def a_loop_in_a_loop(wrap):
    def inner(c, x):
        return c + ad.rand(()), c

    def body(c, x):
        c2, _ = ad.scan(inner, c, ad.ones(2))
        return c2 * ad.rand(()), c2

    f = wrap(lambda x: ad.scan(body, ad.zeros(()), x))
    ad.manual_seed(0)
    return [f(ad.ones(3)) for _ in range(4)] + [ad.rand(1)]


@agrees
def masks_of_a_loop(wrap):
    w = ad.ones(2, requires_grad=True)

    def body(c, x):
        r = F.dropout(w * x, 0.5, True)
        return c + r * c + r, r

    def f(xs):
        w.grad = None
        c, ys = ad.scan(body, ad.zeros(2), xs)
        (c.sum() + ys.square().sum()).backward()
        return c.detach(), w.grad * 1

    f = wrap(f)
    ad.manual_seed(0)
    return [f(ad.ones(4, 2)) for _ in range(4)] + [ad.rand(1)]


@agrees
def a_seed(wrap):
    def f():
        ad.manual_seed(3)
        return ad.rand(2)

    f = wrap(f)
    return [f() for _ in range(4)]


@agrees
def a_fork(wrap):
    def f():
        with ad.random.fork_rng():
            a = ad.rand(2)
        return a, ad.rand(2)

    f = wrap(f)
    ad.manual_seed(0)
    return [f() for _ in range(4)]


@pytest.mark.parametrize("draws", [True, False])
def test_branches_change_nothing(draws):
    w = ad.zeros(2)

    def yes(x):
        return x + ad.rand(2) if draws else w.add_(x)

    f = compile(lambda p, x: ad.cond(p, yes, lambda x: x, x))
    f(ad.tensor(True), ad.ones(2))
    with pytest.raises(TraceError, match="return what is new"):
        f(ad.tensor(True), ad.ones(2))
