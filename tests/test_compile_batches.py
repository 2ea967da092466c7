"""compile(batch=...): one program for every number of examples."""

import copy
import logging

import numpy as np
import pytest

import adjoint as ad
from adjoint import nn, optim
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
