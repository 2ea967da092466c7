"""compile(batch=...): one program for every number of examples."""

import copy
import logging

import numpy as np
import pytest

import adjoint as ad
from adjoint import nn, optim
from adjoint.errors import ArgumentError, ArgumentTypeError
from adjoint.nn import functional as F

SIZES = (6, 6, 4, 7, 3, 9, 2, 6, 1, 20, 13)


class Net(nn.Module):
    """A body, and what makes a loss of what comes out."""

    def __init__(self, body, classes=3):
        super().__init__()
        self.body, self.classes = body, classes

    def forward(self, x):
        y = self.body(x)
        y = y[0] if isinstance(y, tuple) else y
        return y.reshape(y.shape[0], -1)[:, : self.classes]


class Heads(nn.Module):
    """Attention written by hand, causal."""

    def __init__(self, d=8, heads=2):
        super().__init__()
        self.qkv, self.heads = nn.Linear(d, 3 * d), heads
        self.register_buffer("mask", ad.ones(5, 5).tril())

    def forward(self, x):
        b, t, d = x.shape
        q, k, v = self.qkv(x).split(d, dim=2)
        q, k, v = (y.view(b, t, self.heads, -1).transpose(1, 2) for y in (q, k, v))
        a = (q @ k.transpose(-2, -1)) * k.shape[-1] ** -0.5
        a = a.masked_fill(self.mask == 0, float("-inf")).softmax(-1)
        return (a @ v).transpose(1, 2).reshape(b, t, d)


BODIES = {
    "linear": (
        lambda: nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 3)),
        (5,),
    ),
    "norm": (
        lambda: nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Tanh()),
        (5,),
    ),
    "layer norm": (lambda: nn.Sequential(nn.LayerNorm(5), nn.GELU()), (5,)),
    "conv": (
        lambda: nn.Sequential(
            nn.Conv2d(2, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2)
        ),
        (2, 6, 6),
    ),
    "transposed": (lambda: nn.ConvTranspose1d(2, 3, 3, stride=2), (2, 5)),
    "average": (lambda: nn.Sequential(nn.Conv1d(2, 3, 2), nn.AvgPool1d(2)), (2, 7)),
    "lstm": (lambda: nn.LSTM(4, 3, batch_first=True), (5, 4)),
    "gru": (lambda: nn.GRU(4, 3, num_layers=2, batch_first=True), (5, 4)),
    "attention": (Heads, (5, 8)),
    "encoder": (
        lambda: nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True),
        (5, 8),
    ),
    "dropout": (
        lambda: nn.Sequential(nn.Linear(5, 8), nn.Dropout(0.4), nn.ELU()),
        (5,),
    ),
    "softmax": (lambda: nn.Sequential(nn.Linear(5, 4), nn.Softmax(0)), (5,)),
}


def data(n, shape, rng):
    return (
        ad.tensor(rng.normal(size=(n, *shape)), dtype=ad.float64),
        ad.tensor(rng.integers(0, 3, n)),
    )


def trained(net, optimizer=optim.Adam):
    opt = optimizer(net.parameters(), lr=1e-2)

    def step(x, y):
        opt.zero_grad()
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        opt.step()
        return loss

    return step


def pair(make):
    """Two nets with the same parameters."""
    ad.manual_seed(3)
    net = Net(make()).double()
    return net, copy.deepcopy(net)


def near(x, y, tol=1e-9):
    np.testing.assert_allclose(
        ad.asarray(x).detach().numpy(), y.detach().numpy(), tol, tol
    )


@pytest.mark.parametrize("name", BODIES)
def test_training_on_batches_of_all_sizes(name, caplog):
    make, shape = BODIES[name]
    one, two = pair(make)
    eager, compiled = trained(one), ad.compile(trained(two), batch=True)
    rng = np.random.default_rng(1)
    caplog.set_level(logging.INFO, "adjoint.compiler")
    for n in SIZES:
        if n == 1 and "norm" in name:
            continue
        x, y = data(n, shape, rng)
        ad.manual_seed(n)
        want = eager(x, y)
        ad.manual_seed(n)
        near(compiled(x, y), want)
    for p, q in zip(one.state_dict().values(), two.state_dict().values(), strict=True):
        near(p, q, 1e-7)
    shared = {
        id(s.run.family) for s in compiled.programs.values() if hasattr(s.run, "family")
    }
    assert shared, caplog.text


def test_one_program_up_to_the_number_given():
    one, two = pair(BODIES["linear"][0])
    eager, compiled = trained(one), ad.compile(trained(two), batch=16)
    rng = np.random.default_rng(0)
    for n in (5, 5, 16, 3, 11, 2, 7):
        x, y = data(n, (5,), rng)
        near(compiled(x, y), eager(x, y))
    pytest.importorskip("llvmlite")
    assert len({id(s.native) for s in compiled.programs.values()}) == 1
    x, y = data(20, (5,), rng)
    near(compiled(x, y), eager(x, y))  # more than was thought: another program
    assert len({id(s.native) for s in compiled.programs.values()}) == 2


def test_results_and_their_gradients_have_the_size():
    w = ad.tensor([[1.0, 2.0], [3.0, 4.0], [-1.0, 0.5]], requires_grad=True)

    def f(x):
        y = x @ w
        return {"rows": y, "total": y.sum(), "turned": y.T, "count": len(x)}

    g = ad.compile(f, batch=8)
    for n in (4, 4, 6, 3, 8):
        x = ad.arange(3.0 * n).reshape(n, 3)
        w.grad = None
        out, want = g(x), f(x)
        assert out["count"] == n
        for k in ("rows", "total", "turned"):
            near(out[k], want[k])
        (out["rows"] ** 2).sum().backward()
        got, w.grad = w.grad, None
        (want["rows"] ** 2).sum().backward()
        near(got, w.grad)


ALIKE = [
    lambda x: (x - x.mean(0)) / x.std(0),
    lambda x: x.amax(0) - x.amin(0) + x.prod(0),
    lambda x: ad.softmax(x.sum(1), 0),
    lambda x: x.reshape(-1, 2).transpose(0, 1).reshape(-1).sum(),
    lambda x: ad.einsum("bi,bj->ij", x, x),
    lambda x: x / len(x) + ad.arange(len(x))[:, None],
    lambda x: ad.logsumexp(x, (0, 1)),
    lambda x: x[0] * x.numel() + x[1] + x[:2].sum(),
    lambda x: ad.where(x > 0, x, 0).norm(),
    lambda x: ad.grad(lambda v: (v.sin() ** 2).mean())(x),
    lambda x: ad.vmap(lambda row: row @ row)(x),
    lambda x: ad.hessian(lambda w: ((x @ w) ** 2).mean())(ad.ones(4).double()),
    lambda x: ad.scan(lambda c, t: (c + t.mean(), c * t), ad.zeros(()).double(), x.T)[
        1
    ],
    lambda x: ad.cond(x.sum() > 0, lambda v: v.mean(0), lambda v: v.sum(0), x),
    lambda x: ad.while_loop(lambda v: v.mean() < 10, lambda v: v * 2 + 1, x),
    lambda x: x.argmax(1).double() @ x,
    lambda x: ad.linalg.inv(x[:, :, None] * ad.ones(4) + 9 * ad.eye(4)).sum(),
    lambda x: ad.fft.fft(x).abs().mean(),
    lambda x: ad.cumsum(x, 1).mean(0),
    lambda x: ad.sort(x, 1)[0][:, -1].sum(),
    lambda x: ad.nn.functional.one_hot(x.argmin(1), 4).sum(0),
    lambda x: x.to(ad.bfloat16).mean(),
    lambda x: (x + 1j).prod(1).sum(),
    lambda x: (x > 0).all(0) | (x > 1).any(0),
]


@pytest.mark.parametrize("f", ALIKE)
def test_places_without_examples_change_nothing(f):
    g, rng = ad.compile(f, batch=11), np.random.default_rng(5)
    for n in (7, 7, 5, 11, 2, 10):
        x = ad.tensor(rng.normal(size=(n, 4)))
        got, want = g(x), f(x)
        tol = 1e-2 if want.dtype == ad.bfloat16 else 1e-9
        near(got.to(ad.complex128), want.to(ad.complex128), tol)
    natives = {id(s.native) for s in g.programs.values()}
    assert len(natives) == 1 and hasattr(next(iter(g.programs.values())).run, "family")


def reverses(g):
    """The programs of the reverse, of all sizes."""
    steps = [s.run.family.reverse for s in g.programs.values()]
    found = {id(c): c for reverse in steps for c in reverse.values()}
    return {id(s.native) for c in found.values() for s in c.programs.values()}


@pytest.mark.parametrize("f", ALIKE)
def test_gradients_of_results_that_are_walked_back_later(f):
    """The reverse of a result is a program for all sizes too."""
    g, rng, found = ad.compile(f, batch=11), np.random.default_rng(5), []
    g(ad.tensor(rng.normal(size=(7, 4))))
    for n in (7, 5, 11, 2, 10):
        x, found = ad.tensor(rng.normal(size=(n, 4))), []
        for run in (g, f):
            v = x.detach().requires_grad_()
            y = run(v)
            if y.requires_grad:
                (y.to(ad.complex128).abs() ** 2).sum().backward()
                found.append(v.grad)
        if found:
            near(*found, 5e-2 if y.dtype == ad.bfloat16 else 1e-9)
    pytest.importorskip("llvmlite")
    alone = ALIKE.index(f) in (1, 12)  # products of all but one; examples come second
    assert not found or (len(reverses(g)) == 1) != alone


def test_weights_that_are_as_many_as_the_examples():
    w = ad.tensor(np.random.default_rng(0).normal(size=(4, 3)), requires_grad=True)
    g = ad.compile(lambda x: (x @ w).tanh().mean(1), batch=9)
    for n in (4, 4, 6, 4, 9, 2):
        x = ad.tensor(np.random.default_rng(n).normal(size=(n, 4)))
        grads = []
        for f in (g, g.func):
            w.grad = None
            (f(x) ** 2).sum().backward()
            grads.append(w.grad.clone())
        near(*grads)


def test_a_reverse_with_random_numbers():
    w = ad.ones(4, 3).double().requires_grad_()
    net = nn.Dropout(0.5)
    g = ad.compile(lambda x: net(x @ w) + ad.poisson(ad.ones(len(x), 3)), batch=9)
    g(ad.ones(5, 4).double())
    for n in (5, 6, 9, 3):
        x, grads = ad.tensor(np.random.default_rng(n).normal(size=(n, 4))), []
        for f in (g, g.func):
            ad.manual_seed(n)
            w.grad = None
            (f(x) ** 2).sum().backward()
            grads.append(w.grad.clone())
        near(*grads)
    assert len(reverses(g)) == 1


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x[1:] - x[:-1],
        lambda x: x.flip(0),
        lambda x: x.cumsum(0),
        lambda x: x.sort(0)[0],
        lambda x: x[-1] * 2,
        lambda x: ad.cat([x, x]),
        lambda x: x.T.reshape(-1),
        lambda x: x @ x.T,
        lambda x: ad.scan(lambda c, row: (c + row, c), ad.zeros(4).double(), x)[0],
        lambda x: x[ad.randperm(len(x))],
    ],
)
def test_what_does_not_treat_examples_alike_has_programs_of_its_own(f, caplog):
    caplog.set_level(logging.INFO, "adjoint.compiler")
    g, rng = ad.compile(f, batch=11), np.random.default_rng(5)
    for n in (7, 7, 5, 11, 2):
        x = ad.tensor(rng.normal(size=(n, 4)))
        ad.manual_seed(n)
        got = g(x)
        ad.manual_seed(n)
        near(got, f(x))
    assert "own program" in caplog.text


def test_random_numbers_are_those_of_the_size():
    def f(x):
        return x + ad.rand(x.shape), ad.randn(3)

    g = ad.compile(f, batch=9)
    for n in (4, 4, 9, 5, 3):
        ad.manual_seed(n)
        got = [*g(ad.zeros(n, 3)), ad.rand(2)]
        ad.manual_seed(n)
        for a, b in zip(got, [*f(ad.zeros(n, 3)), ad.rand(2)], strict=True):
            near(a, b, 1e-6)


def test_state_that_moves_is_found_again():
    ad.manual_seed(0)
    net = nn.Linear(3, 2)
    f = ad.compile(lambda x: net(x).mean(), batch=8)
    for n in (4, 4, 6):
        near(f(ad.ones(n, 3)), net(ad.ones(n, 3)).mean(), 1e-6)
    net.load_state_dict({k: v + 1 for k, v in net.state_dict().items()})
    net.weight.data = net.weight.data * 2
    for n in (4, 6, 5):
        near(f(ad.ones(n, 3)), net(ad.ones(n, 3)).mean(), 1e-6)


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_both_ways_of_running(backend):
    f = ad.compile(lambda x, y: ((x - y) ** 2).mean(), backend=backend, batch=6)
    for n in (3, 3, 5, 6, 2):
        x = ad.arange(2.0 * n).reshape(n, 2)
        near(f(x, x * 3), ((2 * x) ** 2).mean(), 1e-6)


def test_sizes_that_the_function_refuses(caplog):
    """Nothing is traced that the user sees fail; what fails is the call that is wrong."""
    caplog.set_level(logging.INFO, "adjoint.compiler")

    def f(x, w):
        assert x.shape[0] % 2 == 0, "an even number of examples"
        return (x * w[:, None]).sum()

    g = ad.compile(f, batch=8)
    for n in (4, 4, 6):
        near(g(ad.ones(n, 2), ad.ones(n)), f(ad.ones(n, 2), ad.ones(n)))
    with pytest.raises(AssertionError, match="an even number"):
        g(ad.ones(3, 2), ad.ones(3))
    assert "an even number" in caplog.text


def test_a_dim_that_is_as_long_by_chance():
    def f(x, w):
        return (x * w).sum(0)

    g, rng = ad.compile(f, batch=9), np.random.default_rng(0)
    for n in (4, 4, 6, 4, 9):
        x, w = ad.tensor(rng.normal(size=(n, 4))), ad.tensor(rng.normal(size=4))
        near(g(x, w), f(x, w))


def test_wrong_values():
    with pytest.raises(ArgumentTypeError, match="batch must be"):
        ad.compile(len, batch="all")
    with pytest.raises(ArgumentError, match="2 or more"):
        ad.compile(len, batch=1)
