"""Layouts and joins: products read permuted arrays as they lie, sums of slices are one array."""

import numpy as np
import pytest

import adjoint as ad
from adjoint.core.primitive import op


def compiled(f, *xs):
    """What the compiled function answers, and the operations that are left."""
    native = ad.compile(f)
    native(*xs)
    y = native(*xs)
    return y, native.program(after="all")


@pytest.mark.parametrize("dims", [(1, 0, 2), (0, 2, 1), (2, 0, 1), (2, 1, 0)])
def test_products_take_permuted_operands_and_give_permuted_results(dims):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 4, 4, 4)).astype(np.float32)

    def f(x, y):
        z = op.permute(x, dims=dims) @ op.permute(y, dims=dims)
        return op.permute(z, dims=dims) * 2

    got, _ = compiled(f, ad.tensor(x), ad.tensor(y))
    want = (x.transpose(dims) @ y.transpose(dims)).transpose(dims) * 2
    assert np.allclose(got.numpy(), want, atol=1e-5)


def test_heads_of_attention_are_not_copied():
    def f(x, y):
        q, k = (z.reshape(2, 5, 3, 4).transpose(1, 2) for z in (x, y))
        return ((q @ k.transpose(-1, -2)) @ k).transpose(1, 2).reshape(2, 5, 12)

    x, y = ad.randn(2, 5, 12), ad.randn(2, 5, 12)
    got, text = compiled(f, x, y)
    assert "permute" not in text
    assert np.allclose(got.numpy(), f(x, y).numpy(), atol=1e-4)


def test_a_permuted_array_that_is_read_elsewhere_too_stays():
    def f(x, y):
        z = x.T
        return z @ y, z + 1

    x, y = ad.randn(4, 3), ad.randn(4, 5)
    (a, b), _ = compiled(f, x, y)
    assert np.allclose(a.numpy(), x.numpy().T @ y.numpy(), atol=1e-5)
    assert np.array_equal(b.numpy(), x.numpy().T + 1)


def test_gradients_of_all_parts_are_put_side_by_side():
    def f(x):
        a, b, c = x.split([2, 3, 4], 1)
        (a.sum() * b.sin().sum() + (c * c).sum()).backward()
        g, x.grad = x.grad, None
        return g

    x = ad.randn(3, 9, requires_grad=True)
    want = f(x).numpy()
    got, text = compiled(f, x)
    assert "cat(" in text
    assert "unslice" not in text
    assert np.allclose(got.numpy(), want, atol=1e-5)


@pytest.mark.parametrize(
    "parts", [[(0, 2), (1, 5)], [(0, 2), (3, 5)], [(0, 5), (0, 5)]]
)
def test_slices_that_overlap_or_leave_gaps_are_added(parts):
    def f(x):
        return sum((x[a:b] ** 2).sum() for a, b in parts)

    g = ad.grad(f)
    x = ad.randn(5)
    got, text = compiled(g, x)
    assert "cat(" not in text
    assert np.allclose(got.numpy(), g(x).numpy(), atol=1e-5)


def test_a_result_that_is_written_permuted_is_read_as_it_was_written():
    """What it was permuted from is not there any more."""
    rng = np.random.default_rng(0)
    x, w, v = (rng.normal(size=s) for s in ((9, 3), (2, 3), (4, 2)))
    xs = [ad.tensor(a) for a in (x, w, v)]
    got, text = compiled(lambda x, w, v: (w @ x.T).T @ v.T, *xs)
    np.testing.assert_allclose(got.numpy(), x @ w.T @ v.T, rtol=1e-12)
    assert "permute" not in text
