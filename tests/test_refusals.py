"""What eager refuses a compiled call refuses, and the call has changed nothing."""

import numpy as np
import pytest

import adjoint as ad
from adjoint.errors import AdjointError

X = ad.arange(3.0)


def _loops():
    def scan(i):
        def step(c, t):
            _ = X[i + c.long() * 0]
            return c + t, None

        return ad.scan(step, ad.zeros(()), ad.ones(4))[0]

    def stateful(i):
        w = ad.zeros(3)

        def step(c, t):
            w.add_(1)
            _ = X[i + c.long() * 0]
            return c, t

        return ad.scan(step, ad.zeros(()), ad.ones(4))[0] + w.sum()

    def complex_carry(i):
        def step(c, t):
            _ = X.to(ad.complex64)[i + c.real.long() * 0]
            return c * 2, None

        return ad.scan(step, ad.ones((), dtype=ad.complex64), ad.ones(4))[0]

    def quotient(i):
        def step(c, t):
            _ = 7 // (i + c.long() * 0 - 5)
            return c + t, None

        return ad.scan(step, ad.zeros(()), ad.ones(4))[0]

    def body(i):
        def step(c):
            _ = X[i + c.long() * 0]
            return c + 1

        return ad.while_loop(lambda c: c < 3, step, ad.zeros(()))

    def test(i):
        def more(c):
            _ = X[i + c.long() * 0]
            return c < 3

        return ad.while_loop(more, lambda c: c + 1, ad.zeros(()))

    def branch(i):
        def yes(c):
            _ = X[i + c.long() * 0]
            return c + 1

        return ad.cond(i.sum() > -100, yes, lambda c: c, ad.zeros(()))

    def nested(i):
        def step(c, t):
            return ad.cond(i > -9, lambda c: branch(i) + c, lambda c: c, c), None

        return ad.scan(step, ad.zeros(()), ad.ones(4))[0]

    def derivative(i):
        def f(y):
            def step(c, t):
                _ = X[i + c.long() * 0]
                return c * t, None

            return ad.scan(step, y, ad.ones(4) * 2)[0]

        return ad.grad(f)(ad.ones(()))

    return (
        scan,
        stateful,
        complex_carry,
        quotient,
        body,
        test,
        branch,
        nested,
        derivative,
    )


@pytest.mark.parametrize("backend", ["native", "numpy"])
@pytest.mark.parametrize("f", _loops(), ids=lambda f: f.__name__)
def test_positions_of_what_a_loop_does_not_need(f, backend):
    g = ad.compile(f, backend=backend)
    for _ in range(3):
        assert g(ad.tensor(1)).equal(f(ad.tensor(1)))
    for bad in (5, -4):
        try:
            expected = f(ad.tensor(bad))
        except (AdjointError, ZeroDivisionError) as error:
            with pytest.raises(type(error)) as found:
                g(ad.tensor(bad))
            assert str(found.value).splitlines()[0] == str(error).splitlines()[0]
        else:
            assert g(ad.tensor(bad)).equal(expected)


def test_what_is_looked_at_anyway_is_not_carried_out_again():
    def f(i, ys):
        def step(c, y):
            return c - ad.grad(lambda c: (c * X[i] + X[i]).sum())(c) * y, None

        return ad.scan(step, ad.ones(()), ys)[0]

    g = ad.compile(f)
    for _ in range(2):
        g(ad.tensor(1), ad.ones(3))
    assert "amax" not in str(g.program())


class TestGenerators:
    def made(self, backend, more):
        w = ad.ones(3)

        def f(x, i):
            r = ad.rand(3)
            w.add_(r)
            y = X[i] + ad.randn(()) + r.sum()
            ad.debug.check(x.sum() < 9, "large")
            return (w * x).sum() + y + more()

        return w, ad.compile(f, backend=backend), f

    @pytest.mark.parametrize("backend", ["native", "numpy"])
    @pytest.mark.parametrize("grad", [False, True])
    def test_a_call_that_fails_draws_nothing(self, backend, grad):
        w, g, _ = self.made(backend, lambda: 0)
        x = ad.ones(3, requires_grad=grad)
        for _ in range(4):
            g(x, ad.tensor(1))
        state, before = ad.get_rng_state(), w.clone()
        for bad in ((x, ad.tensor(3)), (x.detach() * 9, ad.tensor(1))):
            with pytest.raises((AdjointError, RuntimeError)):
                g(*bad)
            assert ad.get_rng_state().equal(state)
            assert w.equal(before)
        expected = g(x, ad.tensor(1)).detach()
        ad.set_rng_state(state)
        w.copy_(before)
        assert g(x, ad.tensor(1)).equal(expected)

    def test_with_a_generator_of_ones_own(self):
        own = ad.Generator().manual_seed(3)
        f = ad.compile(lambda i: X[i] + ad.rand((), generator=own))
        for _ in range(3):
            f(ad.tensor(0))
        before = own.get_state()
        with pytest.raises(AdjointError):
            f(ad.tensor(7))
        assert own.get_state().equal(before)

    def test_what_another_has_drawn_since_stays_drawn(self):
        own = ad.Generator().manual_seed(3)
        taken = own.take(2)
        own.take(1)
        after = own.position()
        own.give_back(taken, 2)
        assert own.position() == after

    def test_seeds_above_what_is_signed(self):
        own = ad.Generator().manual_seed(2**64 - 5)
        before = own.position()
        own.give_back(own.take(2), 2)
        assert own.position() == before


def test_a_call_that_fails_leaves_versions_as_they_were():
    w = ad.ones(3, requires_grad=True)
    s = ad.ones(3)

    def f(i):
        s.mul_(2)
        return X[i] + s.sum()

    g = ad.compile(f)
    for _ in range(3):
        g(ad.tensor(1))
    y = (w * s).sum()  # keeps s for its gradient
    with pytest.raises(AdjointError):
        g(ad.tensor(3))
    y.backward()
    np.testing.assert_array_equal(w.grad.numpy(), s.numpy())
