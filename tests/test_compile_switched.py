"""What a compiled function switches, and does not switch back, is as eager leaves it."""

import numpy as np
import pytest

import adjoint as ad
from adjoint import nn, optim
from adjoint.compiler.settings import CHECKS

pytest.importorskip("llvmlite")
X = ad.ones(3, 2)


@pytest.fixture(autouse=True)
def as_they_were():
    yield
    ad.set_grad_enabled(True)
    ad.set_default_dtype(ad.float32)
    ad.autograd.set_detect_anomaly(False)


def net():
    return nn.Sequential(nn.Dropout(0.5), nn.BatchNorm1d(2))


def evaluated():
    m = net()

    def f(x):
        m.eval()
        return m(x)

    return f, lambda: [p.training for p in m.modules()], lambda i: m.train(i != 2)


def part_of_it():
    m = net()

    def f(x):
        y = m(x)
        m[0].eval()
        return y

    return f, lambda: [p.training for p in m.modules()], lambda i: m.train(i % 2 == 0)


def the_other_way_each_time():
    m = net()

    def f(x):
        m.train(not m.training)
        return m(x)

    return f, lambda: [p.training for p in m.modules()], lambda i: None


def beside_what_no_program_does():
    m, calls = net(), []

    def f(x):
        m.train(not m.training)
        calls.append(1)
        return m(x)

    return f, lambda: [m.training, len(calls)], lambda i: None


def of_its_own():
    def f(x):
        m = net()
        m.eval()
        return m(x).detach()

    return f, lambda: None, lambda i: None


def recording():
    w = ad.ones(2, requires_grad=True)

    def f(x):
        ad.set_grad_enabled(False)
        return x * w

    return f, ad.is_grad_enabled, lambda i: ad.set_grad_enabled(True)


def anomalies():
    def f(x):
        ad.autograd.set_detect_anomaly(True)
        return x * 2

    return f, ad.is_anomaly_enabled, lambda i: ad.autograd.set_detect_anomaly(False)


def default_dtype():
    def f(x):
        ad.set_default_dtype(ad.float64)
        return x * ad.ones(2).sum()

    return f, ad.get_default_dtype, lambda i: ad.set_default_dtype(ad.float32)


def what_requires_grad():
    m, beside = nn.Linear(2, 2), ad.ones(2, requires_grad=True)

    def f(x):
        beside.requires_grad_(False)
        return m.requires_grad_(False)(x)

    def between(i):
        m.requires_grad_(True)
        beside.requires_grad_(i % 2 == 0)

    return f, lambda: (m.weight.requires_grad, beside.requires_grad), between


SWITCHES = [
    evaluated,
    part_of_it,
    the_other_way_each_time,
    beside_what_no_program_does,
    of_its_own,
    recording,
    anomalies,
    default_dtype,
    what_requires_grad,
]


def done(make, wrap):
    """What five calls give and leave, with what somebody does between them."""
    ad.manual_seed(0)
    f, look, between = make()
    f, told = wrap(f), []
    for i in range(5):
        y = f(X)
        told.append((y.tolist(), y.requires_grad, look()))
        between(i)
    return told


@pytest.mark.parametrize("make", SWITCHES)
def test_it_stays_as_eager_leaves_it(make):
    for (a, *more), (b, *others) in zip(
        done(make, lambda f: f), done(make, ad.compile), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
        assert more == others


@pytest.mark.parametrize("when", [1, 3])
def test_a_call_that_fails_has_switched_nothing(when):
    m, wrong = net(), []
    w = ad.ones(2, requires_grad=True)

    @ad.compile
    def f(x):
        ad.set_grad_enabled(False)
        ad.set_default_dtype(ad.float64)
        w.requires_grad_(False)
        m.eval()
        if wrong:
            raise RuntimeError("of the user")
        w.requires_grad_(True)
        ad.set_grad_enabled(True)
        ad.set_default_dtype(ad.float32)
        return m.train()(x)

    for _ in range(when):
        f(X)
    wrong.append(1)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="of the user"):
            f(X)
        assert [p.training for p in m.modules()] == [True] * 3
        assert ad.is_grad_enabled() and w.requires_grad
        assert ad.get_default_dtype() is ad.float32
    wrong.clear()
    f(X)
    assert len(f.programs) == 1


@pytest.mark.parametrize("first", ["critic", "maker"])
def test_two_networks_in_turn_are_one_program(first):
    """One is frozen while the other learns from it, and learns itself in the same step."""

    def trained(wrap):
        ad.manual_seed(0)
        maker, critic = nn.Linear(2, 2), nn.Linear(2, 1)
        opts = optim.SGD(maker.parameters(), 0.1), optim.SGD(critic.parameters(), 0.1)

        def of_maker(z):
            critic.requires_grad_(False)
            opts[0].zero_grad()
            loss = critic(maker(z)).square().mean()
            loss.backward()
            opts[0].step()
            critic.requires_grad_(True)
            return loss

        def of_critic(z):
            opts[1].zero_grad()
            loss = (critic(z) - critic(maker(z).detach())).square().mean()
            loss.backward()
            opts[1].step()
            return loss

        parts = (of_critic, of_maker) if first == "critic" else (of_maker, of_critic)
        step = wrap(lambda z: [part(z) for part in parts])
        told = [[loss.item() for loss in step(X * (i + 1))] for i in range(5)]
        return step, [*told, critic.weight.tolist()[0], critic.weight.grad.tolist()[0]]

    step, got = trained(ad.compile)
    _, want = trained(lambda f: f)
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-6)
    (program,) = step.programs.values()
    assert not program.captured.bespoke and program.run.calls.value == 4


@pytest.mark.parametrize("check", CHECKS)
def test_it_is_switched_where_results_are_looked_at(check):
    m = net()

    @ad.compile(check=check)
    def f(x):
        m.eval()
        return m(x)

    for _ in range(3):
        m.train()
        f(X)
        assert not m.training and not m[0].training


def test_two_networks_in_turn_are_two_programs(caplog):
    """Each step has the critic require grad or not, and leaves it so."""
    caplog.set_level("INFO", logger="adjoint.compiler")

    def trained(wrap):
        ad.manual_seed(0)
        maker, critic = nn.Linear(2, 2), nn.Linear(2, 1)
        opts = optim.SGD(maker.parameters(), 0.1), optim.SGD(critic.parameters(), 0.1)

        def of_maker(z):
            critic.requires_grad_(False)
            opts[0].zero_grad()
            loss = critic(maker(z)).square().mean()
            loss.backward()
            opts[0].step()
            return loss

        def of_critic(z):
            critic.requires_grad_(True)
            opts[1].zero_grad()
            loss = (critic(z) - critic(maker(z).detach())).square().mean()
            loss.backward()
            opts[1].step()
            return loss

        told = []
        steps = wrap(of_critic), wrap(of_maker)
        for i in range(6):
            for step in steps:
                told.append((step(X * (i + 1)).item(), critic.weight.requires_grad))
        told.append((critic.weight.tolist(), critic.weight.grad.tolist()))
        return told

    for (a, more), (b, other) in zip(
        trained(ad.compile), trained(lambda f: f), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(more, other, rtol=1e-4, atol=1e-6)
    said = [r.getMessage().split(" ", 1)[1] for r in caplog.records]
    assert said == ["of_critic: first", "of_maker: first"]


def test_an_argument_that_is_made_to_require_grad():
    @ad.compile
    def f(x):
        x.requires_grad_()
        (x**3).sum().backward()
        return x.detach() * 2

    for k in range(5):
        x = ad.ones(2) * k
        y = f(x)
        assert x.requires_grad and x.grad.tolist() == [3.0 * k * k] * 2
        assert y.tolist() == [2.0 * k] * 2


def test_what_is_still_to_be_walked_back_keeps_what_required_grad(caplog):
    def told(wrap):
        w, v, out = ad.ones(2, requires_grad=True), ad.ones(2), []

        def f(x):
            w.requires_grad_(False)
            v.requires_grad_(True)
            return (w * x).sum() + (v * x).sum()

        g = wrap(f)
        for k in range(5):
            g(ad.ones(2) * k).backward()
            out.append((w.grad, w.requires_grad, v.requires_grad, v.grad.tolist()))
            w.requires_grad_(True)
            v.requires_grad_(False)
        return out

    assert told(ad.compile) == told(lambda f: f)
    assert "returns what has to be walked back" in caplog.text
