"""Products that read parts of arrays where they lie, and write side by side."""

import numpy as np
import pytest

import adjoint as ad

pytest.importorskip("llvmlite")

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((6, 20, 48)), RNG.standard_normal((6, 16, 32))
FORMS = {
    "slice": (lambda x, y: x[:, :, 8:24] @ y, lambda x, y: x[:, :, 8:24] @ y),
    "rows": (lambda x, y: x[1:3, 2:18:3, :16] @ y[:2], None),
    "of a slice": (lambda x, y: x[:, 4:][:, 1:, 3:19] @ y, None),
    "select": (lambda x, y: x[2][:, 16:32] @ y[3], None),
    "turned": (lambda x, y: y.swapaxes(1, 2) @ x[:, 2:18], None),
    "split": (
        lambda x, y: x[..., 16:].reshape(6, 20, 2, 16).swapaxes(1, 2) @ y[:, None],
        None,
    ),
    "of columns": (lambda x, y: x[:, :, ::3] @ y, None),
    "of what is read by others": (lambda x, y: x[:, :, :16] @ y + x[:, :, :1], None),
    "whole and in part": (
        lambda x, y: (x[:, :, :16] @ y).sum() + (x[:, :, :16] ** 2).sum(),
        None,
    ),
    "of a result": (lambda x, y: (x * 2 + 1)[:, :, 5:21] @ y, None),
}


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_products_of_parts(name, dtype):
    f, g = FORMS[name]
    x, y = ((10 * a).astype(dtype) for a in (X, Y))
    step = ad.compile(f)
    a, b = ad.tensor(x), ad.tensor(y)
    for _ in range(2):
        found = step(a, b)
    step._native()
    found = step(a, b).numpy()
    expected = (g or f)(x, y)
    tolerance = {"float32": 1e-5, "float64": 1e-13, "int64": 0}[dtype]
    assert np.abs(found - expected).max() <= tolerance * np.abs(expected).max()


def test_parts_are_not_copied():
    step = ad.compile(lambda x, y: x[:, :, 8:24] @ y)
    a, b = ad.tensor(X), ad.tensor(Y)
    for _ in range(2):
        step(a, b)
    kinds = [k.kind for k in step._native().part.schedule.kernels]
    assert kinds == ["contract"]


def test_gradients_of_heads_are_written_side_by_side():
    rng = np.random.default_rng(1)
    x = ad.tensor(rng.standard_normal((4, 128, 96)), requires_grad=True)
    g = ad.tensor(rng.standard_normal((4, 128, 32)))

    def step():
        x.grad = None
        q, k, v = (y.reshape(4, 128, 4, 8).transpose(1, 2) for y in x.split(32, dim=2))
        y = ad.softmax(q @ k.transpose(-2, -1), dim=-1) @ v
        y = (y.transpose(1, 2).reshape(4, 128, 32) * g).tanh()
        y.sum().backward()
        return x.grad

    expected = step().numpy().copy()
    step = ad.compile(step)
    for _ in range(2):
        step()
    kernels = step._native().part.schedule.kernels
    assert np.allclose(step().numpy(), expected, rtol=1e-12, atol=1e-12)
    assert [k.kind for k in kernels if k.kind == "place"] == []


def test_views_of_nothing():
    f = ad.compile(lambda x: x[:, 1:].reshape(2, 0, 3).sum(2) @ ad.ones(0, 4))
    for _ in range(2):
        assert f(ad.ones(6, 1)).tolist() == [[0.0] * 4] * 2
