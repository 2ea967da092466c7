"""Calls that machine code answers: in every mode, of containers, and with a graph to walk back."""

import contextlib

import numpy as np
import pytest

import adjoint as ad
from adjoint import compile, nn, optim
from adjoint.compiler.compiled import Compiled
from adjoint.core import tree
from adjoint.errors import GradError

pytest.importorskip("llvmlite")


def close(got, want):
    np.testing.assert_allclose(got.detach(), want.detach(), rtol=1e-5, atol=1e-6)


@pytest.fixture
def looked(monkeypatch):
    """The names of functions whose program Python had to find."""
    found, names = Compiled._found, []

    def noted(self, leaves, shape):
        names.append(self.__name__)
        return found(self, leaves, shape)

    monkeypatch.setattr(Compiled, "_found", noted)
    return names


def settled(f, looked, count=3):
    """What the last of some calls gives, of which the last needs no look from Python."""
    for _ in range(count):
        f()
    looked.clear()
    y = f()
    assert looked == []
    return y


MODES = [contextlib.nullcontext, ad.no_grad, ad.inference_mode]


@pytest.mark.parametrize("mode", MODES)
def test_each_mode_has_its_quick_way(looked, mode):
    net = nn.Linear(3, 2)
    f, x = compile(net), ad.rand(4, 3)

    def call():
        with mode():
            return f(x)

    y = settled(call, looked)
    assert y.requires_grad is (mode is MODES[0])
    assert y.is_inference() is (mode is ad.inference_mode)
    close(y.detach(), net(x).detach())


def test_modes_in_turn(looked):
    net = nn.Linear(3, 2)
    f, x, kinds = compile(net), ad.rand(4, 3), []

    def calls():
        kinds.clear()
        for mode in MODES:
            with mode():
                y = f(x)
            kinds.append((y.requires_grad, y.is_inference()))

    settled(calls, looked)
    assert kinds == [(True, False), (False, False), (False, True)]


CALLS = {
    "a dict": lambda f, x, y: f({"x": x, "y": y}),
    "lists": lambda f, x, y: f([x], [y, (y,)]),
    "a number": lambda f, x, y: f(x, 2),
    "by name": lambda f, x, y: f(y, k=2),
    "a float": lambda f, x, y: f(x, 2.5),
    "a text": lambda f, x, y: f(x, "two"),
    "two": lambda f, x, y: f(x, y),
    "one": lambda f, x, y: f(x),
}


def summed(*args, **kwargs):
    leaves = tree.flatten((args, kwargs))[0]
    tensors = [x for x in leaves if isinstance(x, ad.Tensor)]
    others = [x for x in leaves if not isinstance(x, ad.Tensor)]
    return sum(tensors) * 3 + len(others) + sum(x for x in others if x != "two")


def test_arguments_of_all_kinds_in_turn(looked):
    f, x, y = (
        compile(lambda *args, **kwargs: summed(*args, **kwargs)),
        ad.rand(3),
        ad.rand(3),
    )

    def calls():
        return [call(f, x, y) for call in CALLS.values()]

    for got, call in zip(settled(calls, looked), CALLS.values(), strict=True):
        close(got, call(summed, x, y))


def test_statics_are_told_apart_to_the_bit():
    f = compile(lambda x, k: x * k)
    for _ in range(3):
        for k in (0.0, -0.0, 1, True, 1.0, float("nan")):
            got, want = f(ad.ones(1), k), ad.ones(1) * k
            assert str(got) == str(want)
            assert got.dtype == want.dtype


def test_shapes_in_turn(looked):
    f = compile(lambda x: x.sum() * 2)
    xs = [ad.rand(n) for n in (2, 3, 5)]
    ys = settled(lambda: list(map(f, xs)), looked)
    for y, x in zip(ys, xs, strict=True):
        close(y, x.sum() * 2)


def test_what_is_used_stays_among_the_programs_that_are_kept():
    f = compile(lambda x: x * 2, cache_size=2)
    for n in (1, 2, 2):
        f(ad.rand(n))
    f(ad.rand(1))
    f(ad.rand(3))  # which takes the place of that for two
    assert [key[1][0][0] for key in f.programs] == [(1,), (3,)]


# ---------------------------------------------------------------- results in a graph


class Norm(nn.Module):
    """A layer whose buffers each call writes, which the way back has no need of."""

    def __init__(self):
        super().__init__()
        self.lin, self.norm = nn.Linear(3, 3), nn.BatchNorm1d(3)

    def forward(self, x):
        return self.norm(self.lin(x)).tanh()


MODELS = {
    "layers": lambda: nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)),
    "buffers": Norm,
    "one number": lambda: nn.Bilinear(3, 3, 1),
}


def losses(model, wrap, steps=5):
    """The losses of some steps outside, and the gradients after the last."""
    f, opt = wrap(model), optim.SGD(model.parameters(), lr=0.1)
    out = []
    for i in range(steps):
        x = ad.arange(12.0).reshape(4, 3).sin() + i
        opt.zero_grad()
        y = f(x, x.cos()) if isinstance(model, nn.Bilinear) else f(x)
        loss = (y * y).mean()
        loss.backward()
        opt.step()
        out.append(loss.detach())
    return [*out, *(p.grad for p in model.parameters())]


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_a_model_alone_is_compiled(model):
    ad.manual_seed(0)
    want = losses(model(), lambda f: f)
    ad.manual_seed(0)
    got = losses(model(), compile)
    for a, b in zip(want, got, strict=True):
        close(a, b)


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_forward_and_backward_of_a_model_alone_are_quick(looked, model):
    net = model()
    f, x = compile(net), ad.rand(4, 3)

    def step():
        y = f(x, x) if isinstance(net, nn.Bilinear) else f(x)
        (y * y).mean().backward()

    settled(step, looked)


@pytest.mark.parametrize("kind", ["plain", "a leaf", "in a graph"])
def test_where_an_argument_is_in_its_graph(looked, kind):
    w = ad.tensor([1.0, 2.0, 3.0], requires_grad=True)
    f = compile(lambda x: (x * w).sin())
    first = ad.tensor([0.5, 1.5, 2.5], requires_grad=kind != "plain")

    def call():
        w.grad = first.grad = None
        x = first * 2 if kind == "in a graph" else first
        f(x).sum().backward()
        return w.grad, first.grad

    gw, gx = settled(call, looked)
    x = first.detach() * (2 if kind == "in a graph" else 1)
    close(gw, (x * w).cos().detach() * x)
    if kind == "plain":
        assert gx is None
    else:
        wanted = (x * w).cos().detach() * w.detach()
        close(gx, wanted * (2 if kind == "in a graph" else 1))


def test_arguments_that_enter_and_leave_a_graph():
    w = ad.ones(2, requires_grad=True)
    f, v = compile(lambda x: x * w), ad.ones(2, requires_grad=True)
    for i in range(9):
        x = [ad.ones(2), v, v * 2][i % 3]
        w.grad = v.grad = None
        f(x).sum().backward()
        assert w.grad.tolist() == [2.0, 2.0] if i % 3 == 2 else [1.0, 1.0]
        assert (v.grad is None) is (i % 3 == 0)


def test_walked_back_twice_or_with_derivatives_of_derivatives():
    w = ad.tensor([1.0, 2.0], requires_grad=True)
    f = compile(lambda x: (x * w**3).sum())
    for _ in range(4):
        y = f(ad.ones(2))
        (g,) = ad.autograd.grad(y, w, create_graph=True)
        (h,) = ad.autograd.grad(g.sum(), w)
        assert (g.tolist(), h.tolist()) == ([3.0, 12.0], [6.0, 12.0])
        y = f(ad.ones(2))
        y.backward(retain_graph=True)
        y.backward()
        with pytest.raises(GradError, match="second time"):
            y.backward()
        assert w.grad.tolist() == [6.0, 24.0]
        w.grad = None


def test_a_write_between_the_call_and_the_way_back():
    w = ad.tensor([1.0, 2.0], requires_grad=True)
    f = compile(lambda x: (x * w * w).sum())
    for _ in range(4):
        y = f(ad.ones(2))
        with ad.no_grad():
            w.mul_(1.5)
        with pytest.raises(GradError, match="modified by an inplace"):
            y.backward()


def test_buffers_that_later_calls_write_do_not_stand_in_the_way():
    net = Norm()
    f, x = compile(net), ad.rand(4, 3)
    for _ in range(4):
        first, second = f(x), f(x + 1)
        (first.sum() + second.sum()).backward()
    want = Norm()
    want.load_state_dict(
        {k: v for k, v in net.state_dict().items() if "running" not in k}, False
    )
    a, b = (ad.autograd.grad(n(x).square().sum(), n.lin.weight)[0] for n in (f, want))
    close(a, b)


def test_several_results_some_without_a_derivative(looked):
    w = ad.tensor([3.0, 1.0], requires_grad=True)
    f = compile(lambda x: (x * w, (x * w).argmax(), {"s": (w * w).sum(), "n": x + 1}))

    def call():
        w.grad = None
        y, i, d = f(ad.ones(2))
        assert [t.requires_grad for t in (y, i, d["s"], d["n"])] == [
            True,
            False,
            True,
            False,
        ]
        (y.sum() + d["s"]).backward()
        return w.grad.tolist()

    assert settled(call, looked) == [7.0, 3.0]
    f(ad.ones(2))[2]["s"].backward()
    assert w.grad.tolist() == [13.0, 5.0]


def test_hooks_on_what_is_in_the_graph():
    w, seen = ad.ones(2, requires_grad=True), []
    f = compile(lambda x: (x * w).sum())
    for _ in range(4):
        y = f(ad.ones(2))
        y.register_hook(lambda g: seen.append(g.item()) or g * 2)
        y.backward()
    assert seen == [1.0] * 4
    assert w.grad.tolist() == [8.0, 8.0]


def test_what_is_saved_is_packed():
    w, packed = ad.ones(2, requires_grad=True), []
    f = compile(lambda x: (x * w).sum())
    f(ad.ones(2)), f(ad.ones(2))
    with ad.autograd.graph.saved_tensors_hooks(
        lambda x: packed.append(x) or x, lambda x: x
    ):
        y = f(ad.ones(2))
    y.backward()
    assert len(packed) >= 1
    assert w.grad.tolist() == [1.0, 1.0]


def test_dropout_is_the_same_on_the_way_back():
    w = ad.ones(1000, requires_grad=True)
    drop = nn.Dropout(0.5)
    f = compile(lambda x: drop(x * w))
    for _ in range(4):
        w.grad = None
        y = f(ad.ones(1000))
        y.sum().backward()
        close(w.grad, y.detach())


def test_the_node_tells_what_it_is():
    w = ad.ones(2, requires_grad=True)
    f = compile(lambda x: (x * w).sum())
    for _ in range(3):
        y = f(ad.ones(2))
    assert y.grad_fn.name() == "CompiledBackward0"
    assert y.grad_fn.next_functions[-1][0].variable is w


def test_an_argument_that_is_the_state_itself():
    w, v = ad.ones(2, requires_grad=True), ad.ones(2, requires_grad=True)
    f = compile(lambda x: (x * w).sum())
    for i in range(9):
        w.grad = v.grad = None
        f([v, v * 1, w][i % 3]).backward()
        assert w.grad.tolist() == ([2.0, 2.0] if i % 3 == 2 else [1.0, 1.0])
