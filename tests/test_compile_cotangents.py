"""What a user gives for a gradient on the way back, in compiled functions, loops and branches."""

import numpy as np
import pytest

import adjoint as ad

S = ad.tensor([3.0, 4.0, 5.0])
T = ad.tensor([3.0, 4.0, 5.0], requires_grad=True)

SOURCES = {
    "state": lambda: S,
    "leaf": lambda: T,
    "detached": lambda: T.detach(),
    "view": lambda: S[:],
    "made": lambda: S * 2,
    "made of a leaf": lambda: T * 2,
    "new": lambda: ad.ones(3),
    "constant": lambda: ad.tensor([1.0, 2.0, 3.0]),
}


class Given(ad.autograd.Function):
    """Twice x, with the gradient that a source gives."""

    @staticmethod
    def forward(ctx, x, source):
        ctx.source = source
        return x * 2

    @staticmethod
    def backward(ctx, g):
        return ctx.source(), None


def _leaf(x):
    return x.clone().detach().requires_grad_()


def _seeded(x, source):
    y = _leaf(x)
    (y * 1).backward(source())
    return y.grad


def _seeded_leaf(x, source):
    y = _leaf(x)
    y.backward(source())
    return y.grad


def _seed_alone(x, source):
    y = _leaf(x)
    return ad.autograd.grad(y, y, grad_outputs=source())[0]


def _seed_recorded(x, source):
    y = _leaf(x)
    return ad.autograd.grad(y * y, y, grad_outputs=source(), create_graph=True)[0]


def _hooked(x, source):
    y = _leaf(x)
    z = y * 1
    z.register_hook(lambda g: source())
    z.retain_grad()
    z.sum().backward()
    return z.grad + y.grad


def _hooked_leaf(x, source):
    y = _leaf(x)
    y.register_hook(lambda g: source())
    (y * 1).sum().backward()
    return y.grad


def _node_prehook(x, source):
    y = _leaf(x)
    z = y * 1
    z.grad_fn.register_prehook(lambda gs: (source(),))
    z.sum().backward()
    return y.grad


def _node_hook(x, source):
    y = _leaf(x)
    z = y * 1
    z.grad_fn.register_hook(lambda gs, gy: (source(), None)[: len(gs)])
    z.sum().backward()
    return y.grad


def _function(x, source):
    y = _leaf(x)
    return ad.autograd.grad(Given.apply(y, source).sum(), y)[0]


def _function_backward(x, source):
    y = _leaf(x)
    Given.apply(y, source).sum().backward()
    return y.grad


WAYS = [
    _seeded,
    _seeded_leaf,
    _seed_alone,
    _seed_recorded,
    _hooked,
    _hooked_leaf,
    _node_prehook,
    _node_hook,
    _function,
    _function_backward,
]

PLACES = {
    "function": lambda f: f,
    "cond": lambda f: lambda x: ad.cond(x.sum() > 0, f, lambda x: f(x) * 2, x),
    "scan": lambda f: (
        lambda x: ad.scan(lambda c, row: (c * 1, f(row)), x, ad.stack([x, x]))[1]
    ),
    "while": lambda f: (
        lambda x: ad.while_loop(lambda c: c.sum() < 9, lambda c: f(c) + c, x)
    ),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("way", WAYS)
def test_what_is_given_for_a_gradient_is_read_in_each_call(way, source, place):
    f = PLACES[place](lambda x: way(x, SOURCES[source]))
    g, x = ad.compile(f), ad.tensor([0.5, -1.0, 2.0])
    for _ in range(4):
        want, got = f(x), g(x)
        np.testing.assert_allclose(got.detach(), want.detach(), rtol=1e-6)
        if place == "function":
            assert got.requires_grad is want.requires_grad
        with ad.no_grad():
            S.add_(1)
            T.add_(1)
