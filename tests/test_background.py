"""Programs built in the background: calls meanwhile, and how the program takes over."""

import copy
import logging
import os
import threading

import numpy as np
import pytest

import adjoint as ad
from adjoint import compile, nn, optim
from adjoint.compiler import building as building_module
from adjoint.compiler import compiled
from adjoint.compiler.native import program


@pytest.fixture
def gate(monkeypatch):
    """Opens the way for builds, which wait for it."""
    opened = threading.Event()
    known = program.Native.__init__

    def waiting(self, captured, timed=False):
        opened.wait(20)
        known(self, captured, timed)

    monkeypatch.setattr(program.Native, "__init__", waiting)
    monkeypatch.setattr(compiled, "PATIENCE", 0)
    yield opened
    opened.set()


def only(f):
    """The one program of a compiled function, or what stands in for it."""
    (step,) = f.programs.values()
    return step


def training(**options):
    ad.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Dropout(0.2), nn.Linear(8, 1))
    opt = optim.Adam(net.parameters(), lr=0.01)

    def step(x):
        opt.zero_grad()
        loss = (net(x) ** 2).mean()
        loss.backward()
        opt.step()
        return loss

    return net, opt, compile(step, **options) if options else step


def test_a_step_trains_before_and_after_its_program_is_there(gate, caplog):
    x = ad.tensor(np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32))
    net, _, eager = training()
    want = [eager(x).item() for _ in range(6)]
    want_weight = net[0].weight.detach().numpy().copy()
    net, _, step = training(background=True)
    got = [step(x).item() for _ in range(3)]
    assert only(step).native is None
    before = net[0].weight._version
    gate.set()
    step.wait()
    with caplog.at_level(logging.INFO, "adjoint.compiler"):
        got += [step(x).item() for _ in range(3)]
    assert only(step).native is not None
    assert caplog.messages == ["compiled step in the background"]
    np.testing.assert_allclose(got, want, rtol=1e-5)
    np.testing.assert_allclose(net[0].weight.detach().numpy(), want_weight, rtol=1e-4)
    assert net[0].weight._version == before + 3


def test_calls_meanwhile_have_gradients(gate):
    f = compile(lambda x: (x**3).sum(), background=True)
    x = ad.tensor([1.0, 2.0], requires_grad=True)
    for _ in range(3):
        y = f(x)
    assert only(f).native is None
    y.backward()
    assert x.grad.tolist() == [3, 12]
    gate.set()
    f.wait()
    x.grad = None
    y = f(x)
    assert only(f).native is not None
    y.backward()
    assert x.grad.tolist() == [3, 12]


def test_a_changed_world_is_captured_again(gate):
    net, _, step = training(background=True)
    x = ad.ones(5, 3)
    step(x), step(x)
    first = only(step)
    net[3] = nn.Linear(8, 1)
    gate.set()
    step.wait()
    step(x), step(x)
    assert only(step).captured is not first.captured
    step.wait()
    step(x)
    assert only(step).native is not None


def test_a_module_is_built_in_the_background(gate):
    net = compile(nn.Linear(2, 2), background=True)
    net(ad.ones(1, 2)), net(ad.ones(1, 2))
    assert only(net).native is None
    gate.set()
    net.wait()
    net(ad.ones(1, 2))
    assert only(net).native is not None


def test_a_quick_build_is_waited_for(monkeypatch):
    monkeypatch.setattr(compiled, "PATIENCE", 60)
    f = compile(lambda x: x + 1, background=True)
    f(ad.ones(2)), f(ad.ones(2))
    assert only(f).native is not None


def test_an_error_of_the_build_is_raised(gate, monkeypatch):
    def failing(self, captured, timed=False):
        raise RuntimeError("no code for this")

    monkeypatch.setattr(program.Native, "__init__", failing)
    f = compile(lambda x: x + 1, background=True)
    f(ad.ones(2))
    with pytest.raises(RuntimeError, match="no code"):
        for _ in range(3):
            f(ad.ones(2))
            f.wait()


def test_what_tells_of_the_program_waits_for_it(gate):
    f = compile(lambda x: (x * 2).sum(), background=True)
    f(ad.ones(4)), f(ad.ones(4))
    threading.Timer(0.1, gate.set).start()
    assert "define" in f.llvm(ad.ones(4))
    assert f.memory(ad.ones(4)).arguments == 16


def test_the_option_is_kept(gate):
    gate.set()
    f = compile(np.add, background=True)
    assert copy.copy(f).settings.background
    assert compile(background=True)(np.add).settings.background
    assert not compile(np.add).settings.background

    class Twice:
        @compile(background=True)
        def f(self, x):
            return 2 * x

    twice = Twice()
    for _ in range(3):
        assert twice.f(ad.ones(2)).tolist() == [2, 2]


def test_without_native_code_nothing_is_built(monkeypatch):
    f = compile(lambda x: x + 1, backend="numpy", background=True)
    f(ad.ones(2)), f(ad.ones(2))
    assert only(f).building is None
    f.wait()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_waits_for_what_is_being_built(gate):
    f = compile(lambda x: (x * 3).sum(), background=True)
    f(ad.ones(2)), f(ad.ones(2))
    threading.Timer(0.1, gate.set).start()
    child = os.fork()
    if child == 0:
        g = compile(lambda x: x * 5)
        g(ad.ones(1))
        right = f(ad.ones(2)).item() == 6 and g(ad.ones(1)).item() == 5
        os._exit(0 if right and only(f).native is not None else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_thread_makes_it():
    seen = []
    made = building_module.Building(
        lambda: seen.append(threading.current_thread()) or 5
    )
    assert made.result() == 5
    assert made.done()
    assert seen != [threading.current_thread()]
