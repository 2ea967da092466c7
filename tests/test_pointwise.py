"""Composites of elementwise functions: against PyTorch, values, dtypes, gradients; errors."""

import numpy as np
import pytest

import adjoint as ad

VALUES = [-3, -2.5, -1, -0.5, 0, 0.5, 1, 2, 2.5, 7]
REAL = ["uint8", "int8", "int64", "float16", "float32", "float64"]


def made(m, dtype, shift=0):
    v = np.roll(np.array(VALUES), shift)
    v = np.abs(v) if dtype == "uint8" else v
    return m.tensor(v.tolist(), dtype=getattr(m, dtype))


def same(f, *args, tol=1e-5):
    torch = pytest.importorskip("torch")
    y, want = f(ad, *args), f(torch, *args)
    assert y.dtype.name == str(want.dtype).removeprefix("torch.")
    np.testing.assert_allclose(y.numpy(), want.numpy(), tol, tol)


ANY = [
    lambda m, d: m.add(made(m, d), made(m, d, 1), alpha=2),
    lambda m, d: m.sub(made(m, d), made(m, d, 1), alpha=3),
    lambda m, d: m.rsub(made(m, d), 3),
    lambda m, d: m.rsub(made(m, d), made(m, d, 1), alpha=2),
    lambda m, d: made(m, d) + -2,
    lambda m, d: made(m, d) / -2,
    lambda m, d: -2 * made(m, d),
    lambda m, d: m.clamp(made(m, d), -1, 2),
    lambda m, d: m.clamp(made(m, d), 2, -1),
    lambda m, d: m.clamp(made(m, d), -1.5, float("nan")),
    lambda m, d: m.clamp(made(m, d), made(m, "float32", 2), made(m, "float32", 5)),
    lambda m, d: m.clamp(made(m, d), max=made(m, "int64", 2)),
    lambda m, d: made(m, d).clip(min=1),
    lambda m, d: m.addcmul(made(m, d), made(m, d, 1), made(m, "float32", 2), value=2),
    lambda m, d: m.addcmul(made(m, d), made(m, d, 1), made(m, d, 2), value=0.5),
    lambda m, d: m.addcdiv(made(m, d), made(m, d, 1), made(m, "float32") ** 2 + 1),
    lambda m, d: m.where(made(m, d) > 1, made(m, d), 2.5),
    lambda m, d: made(m, d).where(made(m, d) > 1, 0),
    lambda m, d: m.where(made(m, "uint8").bool(), 1, 2.5),
    lambda m, d: m.float_power(made(m, d), 2),
    lambda m, d: made(m, d).float_power(3),
    lambda m, d: m.div(made(m, d), 2, rounding_mode="trunc"),
    lambda m, d: m.div(made(m, d), 2, rounding_mode="floor"),
]


@pytest.mark.parametrize("f", ANY)
@pytest.mark.parametrize("d", REAL)
def test_of_every_dtype(f, d):
    same(f, d, tol=1e-2 if d == "float16" else 1e-5)


@pytest.mark.parametrize("d", ["float16", "float32", "float64"])
def test_of_floats(d):
    tol = 1e-2 if d == "float16" else 1e-5
    for w in (0.3, 0.5, 1.0, 2):
        same(lambda m, d, w=w: m.lerp(made(m, d), made(m, d, 1), w), d, tol=tol)
    same(lambda m, d: m.lerp(made(m, d), made(m, d, 1), made(m, d, 2)), d, tol=tol)
    same(lambda m, d: m.frac(made(m, d)), d, tol=tol)
    same(lambda m, d: m.round(made(m, d) * 1.23, decimals=1), d, tol=tol)


@pytest.mark.parametrize(
    "f",
    [
        lambda m, x, y: m.lerp(x, y, 0.3),
        lambda m, x, y: m.lerp(x, y, 0.7),
        lambda m, x, y: m.lerp(x, y, x),
        lambda m, x, y: m.addcmul(x, y, x, value=-2),
        lambda m, x, y: m.addcdiv(x, y, x, value=3),
        lambda m, x, y: m.clamp(x, y, 2 * y),
        lambda m, x, y: m.clamp(x, -0.5, 0.5) * y,
        lambda m, x, y: m.add(x, y, alpha=2.5),
        lambda m, x, y: m.rsub(x, y, alpha=2.5),
        lambda m, x, y: m.where(x > y, x * x, y),
        lambda m, x, y: m.div(x, y, rounding_mode="floor") + m.frac(x) * y,
    ],
)
def test_gradients(f):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(4)
    arrays = rng.normal(size=(5,)), rng.normal(size=(3, 1))
    mine = [ad.tensor(a, requires_grad=True) for a in arrays]
    his = [torch.tensor(a, requires_grad=True) for a in arrays]
    g = rng.normal(size=(3, 5))
    f(ad, *mine).backward(ad.tensor(g))
    f(torch, *his).backward(torch.tensor(g))
    for a, b in zip(mine, his, strict=True):
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), 1e-9, 1e-12)


X = ad.tensor([1.0, 2.0])


@pytest.mark.parametrize(
    "call, text",
    [
        (lambda: ad.add(X.long(), X.long(), alpha=0.5), "must not be a floating"),
        (lambda: ad.add(X, X, alpha=1j), "must not be a complex"),
        (lambda: ad.lerp(X, X.double(), 0.5), "expected dtype float32 for `end`"),
        (lambda: ad.lerp(X, X, X.double()), "for `weight` but got dtype float64"),
        (lambda: ad.lerp(X.long(), X.long(), 0.5), "not defined for int64"),
        (lambda: ad.lerp(X, 2.0, 0.5), "must be Tensor"),
        (lambda: ad.addcmul(X.bool(), X.bool(), X.bool()), "not defined for bool"),
        (lambda: ad.addcmul(X, X, X, value=1j), "does not fit float32"),
        (lambda: ad.addcdiv(X, X.long(), X.long()), "integer division"),
        (lambda: ad.clamp(X), "at least one of"),
        (lambda: ad.clamp(X + 0j, 1, 2), "not supported for complex"),
        (lambda: ad.frac(X.long()), "not defined for int64"),
        (lambda: ad.round(X.long(), decimals=1), "decimals are of no use"),
        (lambda: ad.where(X, 1, 2), "condition must be bool"),
        (lambda: ad.div(X, 2, rounding_mode="x"), "rounding_mode must be"),
        (lambda: X.bool() ** -2, "negative integer powers"),
        (lambda: ad.positive(X.bool()), "not defined"),
        (lambda: X.long() + 2**70, "does not fit int64"),
    ],
)
def test_errors(call, text):
    with pytest.raises(Exception) as caught:
        call()
    assert type(caught.value).__module__ == "adjoint.errors", repr(caught.value)
    assert text in str(caught.value)
