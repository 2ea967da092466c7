"""Updates of states as soon as they can be: where they go, and that nothing reads too late."""

import numpy as np
import pytest

import adjoint as ad
from adjoint import nn, optim

pytest.importorskip("llvmlite")


def network(make):
    """A step of three layers, and what it must come to."""
    ad.manual_seed(0)
    sizes = nn.Linear(160, 192), nn.Tanh(), nn.Linear(192, 176), nn.Tanh()
    model = nn.Sequential(*sizes, nn.Linear(176, 128))
    opt = make(model.parameters())
    rng = np.random.default_rng(0)
    x, t = (ad.tensor(rng.normal(size=(48, n)).astype("f4")) for n in (160, 128))

    def step():
        opt.zero_grad()
        loss = nn.functional.mse_loss(model(x), t)
        loss.backward()
        opt.step()
        return loss

    return step, model


OPTIMIZERS = [
    lambda p: optim.Adam(p, lr=1e-2),
    lambda p: optim.SGD(p, lr=1e-2, momentum=0.9, nesterov=True),
    lambda p: optim.AdamW(p, lr=1e-2, amsgrad=True),
]


@pytest.mark.parametrize("make", OPTIMIZERS)
def test_the_same_numbers_as_eager(make):
    step, model = network(make)
    for _ in range(5):
        step()
    want = [p.detach().numpy().copy() for p in model.parameters()]
    step, model = network(make)
    fast = ad.compile(step)
    for _ in range(5):
        fast()
    for p, y in zip(model.parameters(), want, strict=True):
        assert np.allclose(p.detach().numpy(), y, rtol=2e-4, atol=2e-5)


def test_a_layer_is_updated_before_the_next_gradient_is_made():
    """Each large update comes after its gradient and before that of the layer below."""
    step, _ = network(OPTIMIZERS[0])
    fast = ad.compile(step)
    fast(), fast()
    part = fast._native().part
    assert not part.copies
    shapes = {(192, 160), (176, 192), (128, 176)}
    order = [
        (k.kind, tuple(k.made[0].spec.shape))
        for k in part.schedule.kernels
        if tuple(k.made[0].spec.shape) in shapes
    ]
    gradients = [i for i, (kind, _) in enumerate(order) if kind == "contract"]
    assert [order[i][1] for i in gradients] == [(128, 176), (176, 192), (192, 160)]
    for i in gradients:
        assert order[i + 1] == ("map", order[i][1])


def test_an_old_value_that_is_read_later_is_there():
    """The update waits for whoever reads what it replaces."""
    w = ad.tensor(np.full((160, 160), 2.0, np.float32))
    x = ad.tensor(np.ones((160, 160), np.float32) / 160)

    def step():
        old = w * 1
        w.sub_(x * 3)
        y = (x @ old).sum()
        return y, (x @ w).sum()

    fast = ad.compile(step)
    fast()
    before = w.numpy().copy()
    y, z = fast()
    assert np.isclose(y.item(), before.sum(), rtol=1e-4)
    assert np.isclose(z.item(), (before - 3 / 160).sum(), rtol=1e-4)


def test_nothing_is_updated_when_a_check_fails():
    """A position outside stops the program before any state is written."""
    w = ad.tensor(np.zeros((200, 200), np.float32))
    table = ad.tensor(np.ones((5, 3), np.float32))

    def step(x, i):
        w.add_(x)
        return table[i].sum()

    fast = ad.compile(step)
    x = ad.tensor(np.ones((200, 200), np.float32))
    for _ in range(3):
        fast(x, ad.tensor(np.array([0, 4])))
    with pytest.raises(IndexError):
        fast(x, ad.tensor(np.array([0, 5])))
    assert (w.numpy() == 3).all()
