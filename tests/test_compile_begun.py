"""Modules and optimizers that a compiled function makes in each call are part of its program."""

import copy

import numpy as np
import pytest

import adjoint as ad
from adjoint import compile, nn, optim

X = ad.tensor([[1.0, -2.0, 3.0], [0.5, 1.0, -1.0]])


def trained(optimizer, **options):
    """A function that trains a layer of its own."""

    def fit(x):
        layer = nn.Linear(3, 2)
        opt = optimizer(layer.parameters(), lr=0.1, **options)
        for _ in range(3):
            loss = (layer(x) ** 2).sum()
            opt.zero_grad()
            loss.backward()
            opt.step()
        return loss.detach(), layer.weight.detach()

    return fit


def scheduled(x):
    layer = nn.Linear(3, 2)
    opt = optim.SGD(layer.parameters(), lr=0.1)
    (layer(x) ** 2).sum().backward()
    opt.step()
    return layer.bias.detach()


def parts(x):
    net = nn.Module()
    net.w = nn.Parameter(x * 2)
    net.register_buffer("b", x + 1)
    net.b = net.b * 2
    del net.w
    net.w = None
    return net.b


def copied(x):
    layer = copy.deepcopy(KEPT)
    layer.load_state_dict(KEPT.state_dict())
    return layer(x)


KEPT = nn.Linear(3, 2)
CASES = {
    "a loss": lambda x: nn.MSELoss()(x, x * 2),
    "a layer": lambda x: nn.Linear(3, 2)(x),
    "layers": lambda x: nn.Sequential(nn.BatchNorm1d(3), nn.Dropout(), nn.ReLU())(x),
    "in a loop": lambda x: ad.map(lambda row: nn.Softmax(0)(row), x),
    "in a gradient": lambda x: ad.grad(lambda x: nn.Tanh()(x).sum())(x),
    "sgd": trained(optim.SGD),
    "momentum": trained(optim.SGD, momentum=0.9),
    "adam": trained(optim.Adam),
    "adagrad": trained(optim.Adagrad),
    "a step": scheduled,
    "parts": parts,
    "copied": copied,
}


def runs(f):
    ad.manual_seed(0)
    return [[y.detach().numpy() for y in ad.core.tree.flatten(f(X))[0]] for _ in "1234"]


@pytest.mark.parametrize("name", CASES)
def test_what_a_call_makes_is_part_of_the_program(name):
    f = compile(CASES[name])
    for got, want in zip(runs(f), runs(CASES[name]), strict=True):
        for x, y in zip(got, want, strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6)
    assert len(f.programs) == 1, "it ran as it is written"


@pytest.mark.parametrize("optimizer", [optim.SGD, optim.Adam])
def test_a_new_optimizer_in_each_call_for_parameters_from_outside(optimizer):
    def losses(wrap):
        w = ad.tensor([3.0, -2.0], requires_grad=True)

        def step(x):
            opt = optimizer([w], lr=0.1)
            loss = (w * w * x).sum()
            opt.zero_grad()
            loss.backward()
            opt.step()
            return loss.detach()

        f = wrap(step)
        return [f(ad.ones(2)).item() for _ in range(4)], f

    want, _ = losses(lambda f: f)
    got, f = losses(compile)
    np.testing.assert_allclose(got, want, rtol=1e-5)
    assert len(f.programs) == 1


def test_a_new_module_that_is_kept_is_another_each_time(caplog):
    class Net(nn.Module):
        def forward(self, x):
            self.last = nn.ReLU()
            return self.last(x)

    net = Net()
    f = compile(net)
    kept = []
    for _ in range(3):
        f(X)
        kept.append(net.last)
    assert len(set(map(id, kept))) == 3
    assert "it changes 'last'" in caplog.text


def test_state_that_grows_with_every_call_is_captured_in_vain_a_few_times(caplog):
    class Net(nn.Module):
        def __init__(self):
            self.seen = ad.zeros(0)

        def forward(self, x):
            self.seen = ad.cat([self.seen, x])
            return self.seen.sum()

    f = compile(Net())
    assert [f(ad.ones(2)).item() for _ in range(12)] == [2.0 * i for i in range(1, 13)]
    assert [r.message for r in caplog.records] == [
        "Net runs as it is written: each of the last calls has made 'seen' anew; make it "
        "once, before the calls"
    ]
