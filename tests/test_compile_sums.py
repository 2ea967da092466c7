"""Products that a loop only adds up are one product after it, with the same result."""

import re

import numpy as np
import pytest

import adjoint as ad
from adjoint import nn


def numbers(*shape):
    return ad.tensor(np.random.default_rng(0).normal(size=shape) * 0.2)


def recurrent(x, w, u):
    """The last state of tanh(x w + h u), step by step."""
    h = ad.zeros(x.shape[1], w.shape[1], dtype=x.dtype)
    return ad.scan(lambda h, x: ((h @ u + x @ w).tanh(), h.sum()), h, x)


def gradients(f):
    def g(*xs):
        h, sums = f(*xs)
        return ad.autograd.grad((h**2).sum() + (sums**2).sum(), xs)

    return g


def carries(step, *args):
    """How many values the loops' steps hand on."""
    text = step.program(*args, after="all")
    return [int(n) for n in re.findall(r"carries=(\d+)", text)]


@pytest.mark.parametrize("steps", [1, 7])
def test_the_gradient_of_a_matrix_that_all_steps_use(steps):
    xs = [numbers(steps, 24, 40), numbers(40, 80), numbers(80, 80)]
    xs = [x.requires_grad_() for x in xs]
    f = gradients(recurrent)
    step = ad.compile(f)
    step(*xs)
    assert carries(step, *xs) == [1, 1]
    for y, want in zip(step(*xs), f(*xs), strict=True):
        np.testing.assert_allclose(y, want, rtol=1e-11, atol=1e-11)


def test_small_ones_stay_in_the_loop():
    xs = [numbers(5, 2, 3), numbers(3, 4), numbers(4, 4)]
    xs = [x.requires_grad_() for x in xs]
    f = gradients(recurrent)
    step = ad.compile(f)
    step(*xs)
    assert carries(step, *xs) == [1, 3]
    for y, want in zip(step(*xs), f(*xs), strict=True):
        np.testing.assert_allclose(y, want, rtol=1e-11, atol=1e-11)


def test_a_sum_that_steps_read_stays():
    a, b = numbers(6, 50, 60), numbers(6, 60, 40)

    def f(a, b):
        def one(c, ab):
            c = c + ab[0] @ ab[1]
            return c, c.sum()

        return ad.scan(one, ad.zeros(50, 40, dtype=a.dtype), (a, b))

    step = ad.compile(f)
    step(a, b)
    total, sums = step(a, b)
    want = a.numpy() @ b.numpy()
    np.testing.assert_allclose(total, want.sum(0), rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(sums, np.cumsum(want.sum((1, 2))), rtol=1e-10)


def test_what_starts_the_sum_and_factors_from_outside_count():
    a, b, c = numbers(6, 50, 60), numbers(60, 40), numbers(50, 40)

    def f(a, b, c):
        return ad.scan(lambda c, a: (c + a @ b, None), c, a)[0]

    step = ad.compile(f)
    step(a, b, c)
    want = c.numpy() + (a.numpy() @ b.numpy()).sum(0)
    np.testing.assert_allclose(step(a, b, c), want, rtol=1e-11, atol=1e-11)


def test_layers():
    ad.manual_seed(0)
    rnn = nn.LSTM(32, 48, num_layers=2).double()
    x = numbers(9, 16, 32)

    def f(x):
        y, _ = rnn(x)
        return ad.autograd.grad((y**2).mean(), list(rnn.parameters()))

    step = ad.compile(f)
    step(x)
    for y, want in zip(step(x), f(x), strict=True):
        np.testing.assert_allclose(y, want, rtol=1e-10, atol=1e-12)
