"""Loops over independent rows: threads take some rows each, through all steps."""

import numpy as np
import pytest

import adjoint as ad
from adjoint import nn

pytest.importorskip("llvmlite")
from adjoint.compiler.native import sharing
from adjoint.compiler.schedule import apart


@pytest.fixture(autouse=True)
def cut(monkeypatch):
    """However short a loop is, it is cut, into lots of eight rows."""
    monkeypatch.setattr(sharing, "WORTH", -1.0)
    monkeypatch.setattr(apart, "SHORTEST", 0)
    before = ad.get_num_threads()
    yield
    ad.set_num_threads(before)


def rand(*shape):
    numbers = np.random.default_rng(sum(shape)).normal(size=shape)
    return ad.tensor(numbers.astype(np.float32))


def recurrent(layer):
    """A layer over a sequence, and the gradients of its weights."""

    def make():
        ad.manual_seed(0)
        model = layer(5, 12)

        def f(x):
            y = model(x)[0].square().sum()
            return y, *ad.autograd.grad(y, tuple(model.parameters()))

        return f, (rand(7, 32, 5),)

    return make


def differential():
    """Two numbers that move; the gradients of weights are summed up on the way."""
    w, b, v = (rand(*s).requires_grad_() for s in ((2, 16), (16,), (16, 2)))

    def f(y):
        def body(y, _):
            return y + 0.1 * ((y @ w + b).tanh() @ v), None

        end = ad.scan(body, y, None, length=9)[0]
        value = (end * end).sum()
        return value, end, *ad.autograd.grad(value, (w, b, v))

    return f, (rand(32, 2),)


def shaped():
    """Rows behind a dim of one, results of every step, views of all kinds."""
    w = rand(6, 6)

    def f(y, xs):
        def body(y, x):
            z = ad.cat([y[..., :3] * 2, (y + x)[..., 3:]], -1)
            z = ad.stack([z, z.exp()], -1).mean(-1).reshape(24, 2, 3).reshape(1, 24, 6)
            return (z @ w).softmax(-1), z.permute(1, 0, 2)[:, 0].amax(-1, keepdim=True)

        return ad.scan(body, y, xs)

    return f, (rand(1, 24, 6), rand(5, 1, 24, 6))


WORK = [recurrent(nn.LSTM), recurrent(nn.GRU), recurrent(nn.RNN), differential, shaped]
NAMES = ["lstm", "gru", "rnn", "differential", "shaped"]


def loops(f):
    """(all loops of the last program, those that are cut by rows)."""
    part = f.programs[next(reversed(f.programs))].native.part
    return list(part.inner), part.lots


def flat(y):
    return [x.detach().numpy().copy() for x in ad.core.tree.flatten(y)[0]]


@pytest.mark.parametrize("make", WORK, ids=NAMES)
def test_rows_go_their_own_way(make):
    """Every loop is cut; the numbers are those of eager, the same for any number of threads."""
    f, args = make()
    want = flat(f(*args))
    g, found = ad.compile(f), []
    for count in (1, 2, 4):
        ad.set_num_threads(count)
        for _ in range(3):
            y = flat(g(*args))
        found.append([x.tobytes() for x in y])
    every, lots = loops(g)
    assert every and set(every) == set(lots)
    assert found[0] == found[1] == found[2]
    for x, t in zip(y, want, strict=True):
        assert np.allclose(x, t, rtol=2e-4, atol=2e-5)


def steps(body, *shape, length=5):
    """A loop of this body, compiled, against eager."""
    f = ad.compile(lambda y: ad.scan(body, y, None, length=length))
    y = rand(*shape)
    for _ in range(3):
        found = f(y)
    for x, t in zip(
        flat(found), flat(ad.scan(body, y, None, length=length)), strict=True
    ):
        assert np.allclose(x, t, rtol=1e-4, atol=1e-5)
    return loops(f)[1]


@pytest.mark.parametrize(
    "body",
    [
        lambda y, _: ((y - y.mean(0)).tanh(), None),
        lambda y, _: ((y @ y).tanh(), None),
        lambda y, _: (y.flip(0) * 0.5, None),
        lambda y, _: (ad.cat([y[1:], y[:1]]) * 0.5, None),
        lambda y, _: (y.softmax(0), None),
        lambda y, _: (y * 0.5, y.sum(0)),
        lambda y, _: (y.cumsum(0) * 0.1, None),
    ],
    ids=["mean", "product", "flip", "shift", "softmax", "sums", "running"],
)
def test_rows_that_need_each_other_stay_together(body):
    """A loop is only cut where no row reads another."""
    assert not steps(body, 16, 16)


def test_what_all_rows_share_is_not_carried_twice():
    """A number that every step changes has one place; such a loop is not cut."""

    def body(carry, _):
        y, t = carry
        return ((y * t).sin(), t + 1), None

    f = ad.compile(lambda y: ad.scan(body, (y, ad.tensor(1.0)), None, length=4))
    y = rand(16, 4)
    for _ in range(3):
        found = flat(f(y))
    want = flat(ad.scan(body, (y, ad.tensor(1.0)), None, length=4))
    for x, t in zip(found, want, strict=True):
        assert np.allclose(x, t, rtol=1e-5)
    assert not loops(f)[1]


def test_rows_are_told_from_columns_of_the_same_number():
    """Weights of 16 by 16 beside 16 rows; and their gradient, which is summed up."""
    w = rand(16, 16).requires_grad_()

    def f(y):
        def body(y, _):
            return (y @ w * 0.2).tanh(), None

        value = ad.scan(body, y, None, length=6)[0].square().sum()
        return value, *ad.autograd.grad(value, (w,))

    y = rand(16, 16)
    g = ad.compile(f)
    for _ in range(3):
        found = flat(g(y))
    for x, t in zip(found, flat(f(y)), strict=True):
        assert np.allclose(x, t, rtol=1e-4, atol=1e-5)
    every, lots = loops(g)
    assert set(every) == set(lots)


def test_steps_that_only_the_reverse_reads_lie_lot_by_lot():
    """The same numbers; what somebody else sees lies step by step."""
    f, args = differential()
    f = ad.compile(f)
    for _ in range(2):
        f(*args)
    found = f._native(*args).part.by_lots
    assert found and {v.spec.shape[:2] for v in found} == {(9, 32)}
    w = rand(2, 2)

    def g(y):
        def body(y, _):
            z = (y @ w).tanh()
            return y + z, z

        return ad.scan(body, y, None, length=9)

    x = rand(32, 2)
    fast = ad.compile(g)
    for _ in range(2):
        got = fast(x)
    assert fast._native(x).part.lots and not fast._native(x).part.by_lots
    for a, b in zip(got, g(x), strict=True):
        assert np.allclose(a.numpy(), b.numpy(), rtol=1e-5, atol=1e-5)


def test_explain_says_how_a_loop_is_shared(monkeypatch):
    """In lots of rows, or not at all, and why."""
    f, args = differential()
    g = ad.compile(f)
    for _ in range(2):
        g(*args)
    cut = [r for r in g.explain().regions if r.kind == "loop"]
    assert [(r.chunks, r.alone) for r in cut] == [(4, ""), (4, "")]
    monkeypatch.setattr(apart, "SHORTEST", 1e9)
    h = ad.compile(f)
    for _ in range(2):
        h(*args)
    left = [r for r in h.explain().regions if r.kind == "loop"]
    assert {r.alone for r in left} == {
        "a loop of short steps, each of which needs the one before"
    }
