"""Small functions that show what the passes do; tests/golden/ has what became of them."""

import numpy as np

import adjoint as ad
from adjoint import nn, optim


def tensor(*shape, dtype="float32"):
    numbers = np.linspace(-1, 1, int(np.prod(shape))).reshape(shape)
    return ad.tensor(numbers.astype(dtype))


def chain():
    def f(x):
        return (x * 1 + 0).neg().neg().exp().sum() / x.numel()

    return f, (tensor(4, 3),)


def training():
    ad.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    sgd = optim.SGD(model.parameters(), lr=0.1)

    def f(x, t):
        sgd.zero_grad()
        loss = nn.functional.cross_entropy(model(x), t)
        loss.backward()
        sgd.step()
        return loss

    return f, (tensor(5, 3), ad.tensor([0, 1, 0, 1, 1]))


def loop():
    def f(w, x):
        def step(h, row):
            h = (h @ w + row).tanh()
            return h, h

        return ad.scan(step, x[0], x)[1].sum()

    return lambda w, x: ad.grad(f)(w, x), (tensor(3, 3), tensor(4, 3))


def branch():
    def f(x):
        return ad.cond(x.sum() > 0, lambda: x.exp() * 1, lambda: x.cos())

    return lambda x: ad.grad(lambda x: f(x).sum())(x), (tensor(3),)


def waves():
    return lambda z: (z * z.conj()).abs().sum(), (tensor(4, dtype="complex64"),)


def halves():
    def f(x):
        return nn.functional.softmax(x, 1).log()

    return f, (tensor(2, 4, dtype="float16"),)


PROGRAMS = (chain, training, loop, branch, waves, halves)
