"""Compiled functions draw the random numbers that they draw eagerly."""

import importlib
import re
import sys

import numpy as np
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
    hint = "draw them before it" if draws else "return what is new"
    with pytest.raises(TraceError, match=hint):
        f(ad.tensor(True), ad.ones(2))


def test_what_to_do_about_draws_in_a_loop_under_grad():
    """backward() goes through them; grad takes them as rows."""

    def total(x):
        return ad.scan(lambda x, _: (x * ad.rand(2), None), x, length=3)[0].sum()

    def rows(x):
        noise = ad.rand(3, 2)
        return ad.scan(lambda x, u: (x * u, None), x, noise)[0].sum()

    def back(x):
        x = x.detach().requires_grad_()
        total(x).backward()
        return x.grad

    f = compile(ad.grad(total))
    f(ad.ones(2))
    with pytest.raises(TraceError, match=r"rows of xs; .* or call backward\(\)"):
        f(ad.ones(2))
    for f in (ad.grad(rows), back):
        drawn = []
        for g in (f, compile(f)):
            ad.manual_seed(1)
            drawn.append([g(ad.ones(2)).tolist() for _ in range(3)])
        np.testing.assert_allclose(drawn[0], drawn[1], rtol=1e-5)


# ---------------------------------------------------------------- counts

MEANS = [0.0, 1e-3, 0.5, 3.0, 9.99, 10.0, 55.0, 1e5]


def counts(dtype):
    """Poisson numbers of all sorts of means, and binomial ones; a mean that has an error not."""
    rates = ad.tensor(MEANS, dtype=dtype).repeat(40)
    trials = ad.tensor([0.0, 1.0, 7.0, 200.0], dtype=dtype)[:, None]
    chances = ad.linspace(0, 1, 41, dtype=dtype)

    def f():
        return ad.poisson(rates), ad.binomial(trials.expand(4, 41), chances), ad.rand(2)

    return f


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_counts_are_those_of_eager(dtype):
    f = counts(getattr(ad, dtype))
    g = compile(f)
    for seed in range(5):
        ad.manual_seed(seed)
        want = f()
        ad.manual_seed(seed)
        assert all(ad.equal(a, b) for a, b in zip(g(), want, strict=True))
    assert "NumPy does it" not in str(g.explain())


@pytest.mark.parametrize("shape", [(), (1,), (0,), (3, 0, 2), (2, 1, 5)])
def test_counts_of_any_shape(shape):
    x = ad.full(shape, 4.0)
    g = compile(lambda x: (ad.poisson(x), ad.binomial(x, x / 8)))
    for _ in range(3):
        ad.manual_seed(7)
        want = ad.poisson(x), ad.binomial(x, x / 8)
        ad.manual_seed(7)
        assert all(ad.equal(a, b) for a, b in zip(g(x), want, strict=True))


def test_a_count_depends_on_its_block_alone():
    """The same for any number of threads, and beside whatever it is drawn."""
    x, before, found = ad.full((70_000,), 12.0), ad.get_num_threads(), []
    for threads in (1, 2, 4):
        ad.set_num_threads(threads)
        g = compile(lambda x: ad.poisson(x))
        for _ in range(2):
            ad.manual_seed(3)
            y = g(x)
        found.append(y)
    ad.set_num_threads(before)
    assert ad.equal(found[0], found[1]) and ad.equal(found[0], found[2])
    ad.manual_seed(3)
    assert ad.equal(ad.poisson(x[:100]), found[0][:100])


def test_counts_are_constants_to_derivatives():
    def f(x):
        x = x.detach().requires_grad_()
        (ad.poisson(x * 2) * x).sum().backward()
        return x.grad

    g, x = compile(f), ad.tensor([1.0, 30.0])
    for _ in range(3):
        ad.manual_seed(5)
        want = f(x)
        ad.manual_seed(5)
        assert ad.equal(g(x), want)


# law -> (a draw from it, with something wrong where x is 1, and x where nothing is)
WRONG = {
    "invalid Poisson rate": (lambda x: ad.poisson(x * -1), -1.0),
    "binomial: a count is negative": (lambda x: ad.binomial(x - 2, x / 2), 2.0),
    "binomial: p is not in [0, 1]": (lambda x: ad.binomial(x, x + 1), 0.0),
    "bernoulli: probabilities must be in [0, 1]": (lambda x: ad.bernoulli(x * 2), 0.5),
    "bernoulli: probabilities": (lambda x: ad.zeros(3).bernoulli_(x - 1.5), 2.0),
    "normal expects all elements of std >= 0.0": (lambda x: ad.normal(x, -x), -1.0),
    "multinomial: probability tensor contains": (
        lambda x: ad.multinomial(x.log() - 1, 2) * 1.0,
        9.0,
    ),
    "invalid multinomial distribution": (
        lambda x: ad.multinomial(x - 1, 2, True) * 1.0,
        2.0,
    ),
}


@pytest.mark.parametrize("loop", [False, True])
@pytest.mark.parametrize("text", WRONG)
def test_laws_that_are_none(text, loop):
    """A program that has run fails as eager does, and goes on from where it was."""
    law, good = WRONG[text]

    def f(x, bad):
        x = ad.where(bad, x, x * 0 + good)
        if not loop:
            return law(x)
        return ad.scan(lambda c, _: (c, law(c)), x, length=2)[1]

    g = compile(f)
    fine, bad = ad.tensor(False), ad.tensor(True)
    for _ in range(3):
        ad.manual_seed(3)
        y = g(ad.ones(3), fine)
        ad.manual_seed(3)
        assert y.equal(f(ad.ones(3), fine))
    with pytest.raises(ad.errors.ArgumentError, match=re.escape(text)) as eager:
        f(ad.ones(3), bad)
    before = ad.get_rng_state()
    with pytest.raises(ad.errors.ArgumentError) as error:
        g(ad.ones(3), bad)
    first = str(error.value).splitlines()[0]
    assert first == str(eager.value).splitlines()[0]
    assert ad.get_rng_state().equal(before)
    assert g(ad.ones(3), fine).isfinite().all()


def test_a_generator_that_is_imported_meanwhile(monkeypatch):
    monkeypatch.delitem(sys.modules, "random")

    @compile
    def f(x, far):
        return x * importlib.import_module("random").random() if far else x

    f(ad.ones(1), False)
    assert len({f(ad.ones(1), True).item() for _ in range(4)}) == 4
