"""Loops whose steps change state: compiled they do what Python's loop does."""

import numpy as np
import pytest

import adjoint as ad
from adjoint import nn, optim
from adjoint.errors import TraceError

X = np.linspace(-1, 1, 12).reshape(4, 3)


def network():
    ad.manual_seed(3)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))


def trained(make):
    """Steps of an optimizer inside a scan."""
    net = network()
    opt = make(net.parameters())

    def step(carry, x):
        opt.zero_grad()
        loss = (net(x) ** 2).mean()
        loss.backward()
        opt.step()
        return carry + 1, loss

    def many(xs):
        return ad.scan(step, ad.tensor(0.0), xs)

    return many, lambda: [*net.parameters(), *(p.grad for p in net.parameters())]


def late_zero():
    """The gradient is cleared at the end of a step."""
    w = ad.tensor([1.0, 2.0, 3.0], requires_grad=True)

    def step(carry, x):
        ((w * x) ** 2).sum().backward()
        with ad.no_grad():
            w.sub_(0.1 * w.grad)
        w.grad = None
        return carry, w.detach().sum()

    return lambda xs: ad.scan(step, (), xs)[1], lambda: [w]


def summed():
    """Gradients are added up over the steps."""
    w = ad.tensor([1.0, 2.0, 3.0], requires_grad=True)
    w.grad = ad.ones(3)

    def step(carry, x):
        loss = ((w * x) ** 2).sum()
        loss.backward()
        return carry, loss

    return lambda xs: ad.scan(step, (), xs)[1], lambda: [w, w.grad]


def noisy():
    """Each step draws its own random numbers."""
    drop = nn.Dropout(0.5)

    def step(carry, x):
        return carry + drop(x), ad.rand(2)

    return lambda xs: ad.scan(step, ad.zeros(4, 3), xs), lambda: [ad.rand(1)]


def normalized():
    """A buffer changes at every step, and the loss is differentiated after the loop."""
    net, w = nn.BatchNorm1d(3), ad.ones(3, requires_grad=True)

    def many(xs):
        w.grad = None
        y = ad.scan(lambda c, x: (c + net(x * w).cos(), None), ad.zeros(4, 3), xs)[0]
        (y * xs[0]).sum().backward()
        return y.detach()

    return many, lambda: [w.grad, *net.buffers()]


def through_views():
    """A part of a tensor is written, and read as a whole."""
    total = ad.zeros(3, 3)

    def step(carry, x):
        total[1] += x.sum(0)
        return carry, total.sum()

    return lambda xs: ad.scan(step, (), xs)[1], lambda: [total]


def nested():
    """A loop in a loop, both of which count."""
    count, inner = ad.zeros(()), ad.zeros(3)

    def step(carry, x):
        count.add_(1)

        def row(c, r):
            inner.add_(r * count)
            return c + r, inner.sum()

        return ad.scan(row, carry, x)

    return lambda xs: ad.scan(step, ad.zeros(3), xs), lambda: [count, inner]


def captured_before():
    """State that the function has written before, and writes after."""
    s = ad.ones(3)

    def many(xs):
        s.mul_(2)
        rows = ad.scan(lambda c, x: (c, s.add_(x.sum(0)).sum()), (), xs)[1]
        s.sub_(1)
        return rows

    return many, lambda: [s]


CASES = {
    "sgd": lambda: trained(lambda ps: optim.SGD(ps, lr=0.1, momentum=0.9)),
    "adam": lambda: trained(lambda ps: optim.Adam(ps, lr=0.01)),
    "late zero": late_zero,
    "summed": summed,
    "noisy": noisy,
    "normalized": normalized,
    "views": through_views,
    "nested": nested,
    "captured before": captured_before,
}


def results(make, wrap):
    many, state = make()
    ad.manual_seed(7)
    f, out = wrap(many), []
    xs = ad.tensor(np.stack([X, X * 2, X - 1]), dtype=ad.float32)
    for _ in range(3):
        out += [np.array(y.detach()) for y in flat(f(xs))]
    return [*out, *(np.array(x.detach()) for x in state())]


def flat(y):
    return [y] if isinstance(y, ad.Tensor) else [x for part in y for x in flat(part)]


@pytest.mark.parametrize("name", CASES)
def test_steps_that_change_state(name):
    eager = results(CASES[name], lambda f: f)
    compiled = results(CASES[name], ad.compile)
    for a, b in zip(eager, compiled, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-5, atol=1e-6)


def test_two_steps_of_an_optimizer_in_one_program():
    def make():
        w = ad.tensor([1.0, 2.0], requires_grad=True)
        opt = optim.SGD([w], lr=0.1, momentum=0.9)

        def twice(xs):
            for x in xs:
                opt.zero_grad()
                ((w - x[0, :2]) ** 2).sum().backward()
                opt.step()
            return w.detach().clone()

        return twice, lambda: [w]

    for a, b in zip(results(make, lambda f: f), results(make, ad.compile), strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-6)


def refused(f):
    fast = ad.compile(f)
    fast(ad.ones(2))
    with pytest.raises(TraceError) as caught:
        fast(ad.ones(2))
    return str(caught.value)


def test_a_gradient_that_only_the_first_step_lacks():
    w = ad.ones(2, requires_grad=True)

    def f(x):
        w.grad = None

        def step(c, _):
            (w * c).sum().backward()
            return c, None

        return ad.scan(step, x, None, length=2)[0]

    assert "zero_grad()" in refused(f)


def test_state_under_a_condition_is_refused():
    s = ad.zeros(2)
    add = lambda x: s.add_(x) + 0  # noqa: E731
    text = refused(lambda x: ad.cond(x.sum() > 0, add, lambda x: x, x))
    assert "written in place" in text
    text = refused(lambda x: ad.while_loop(lambda x: x.sum() < 9, add, x))
    assert "written in place" in text


def cut(c, w):
    with ad.no_grad():
        k = c * 2
    return c * k + w * c.detach()


@pytest.mark.parametrize("moving", [(0,), (1,), (0, 1)])
def test_what_a_step_cuts_off_passes_no_derivative(moving):
    xs = [ad.tensor([0.5, 0.25]), ad.tensor([1.0, -2.0])]
    for i in moving:
        xs[i].requires_grad_()

    def slopes(x, w):
        y = ad.scan(lambda c, _: (cut(c, w), None), x, None, length=3)[0]
        return ad.autograd.grad(y.sum(), [(x, w)[i] for i in moving])

    fast = ad.compile(slopes)
    fast(*xs)
    for a, b in zip(slopes(*xs), fast(*xs), strict=True):
        np.testing.assert_allclose(np.asarray(b), np.asarray(a), rtol=1e-6)
