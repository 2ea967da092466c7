"""Rare kinds in programs: whole and complex numbers, nothing at all, writes through views.

Each is native code, and what eager gives; gradients too.
"""

import numpy as np
import pytest

import adjoint as ad
from adjoint import compile

F = ad.nn.functional
WHOLE = ["uint8", "int8", "int16", "int32", "int64"]
NEAR = {"float32": 1e-5, "complex64": 1e-5, "float64": 1e-12, "complex128": 1e-12}


def numbers(dtype, *shape, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape) * 3
    if dtype.startswith("complex"):
        x = x + 1j * rng.normal(size=shape)
    x = np.abs(x) if dtype == "uint8" else x
    return ad.tensor((x > 0) if dtype == "bool" else x.astype(dtype))


def same(f, *xs):
    """What a program gives, which is what eager gives, all of it by native code."""
    with np.errstate(all="ignore"):
        want, g = f(*xs), compile(f)
        g(*xs)
        got = g(*xs)
        assert "NumPy does it" not in str(g.explain(*xs))
    pairs = zip(got, want, strict=True) if isinstance(want, tuple) else [(got, want)]
    for a, b in pairs:
        a, b = a.detach().numpy(), b.detach().numpy()
        near = NEAR.get(a.dtype.name, 0)
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, near, near)
    return got


# ---------------------------------------------------------------- whole numbers


CONVOLUTIONS = {
    "plain": ((2, 3, 7), (4, 3, 3), {}),
    "groups": ((2, 4, 5, 6), (4, 2, 2, 3), {"groups": 2, "padding": 1}),
    "strides": ((1, 2, 9), (2, 1, 2), {"groups": 2, "stride": 2, "dilation": 3}),
    "no examples": ((0, 3, 7), (4, 3, 3), {}),
    "one": ((1, 1, 1), (1, 1, 1), {}),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
@pytest.mark.parametrize("dtype", WHOLE)
def test_convolutions_of_whole_numbers(name, dtype):
    x, w, options = CONVOLUTIONS[name]
    f = {3: F.conv1d, 4: F.conv2d}[len(x)]
    x, w = numbers(dtype, *x), numbers(dtype, *w, seed=1)
    same(lambda x, w: f(x, w, **options), x, w)


@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_transposed_convolutions_of_whole_numbers(dtype):
    x, w = numbers(dtype, 2, 4, 5), numbers(dtype, 4, 3, 2, seed=1)
    same(lambda x, w: F.conv_transpose1d(x, w, stride=2, groups=2), x, w)


@pytest.mark.parametrize("dtype", WHOLE)
def test_what_rounds_or_bends_whole_numbers(dtype):
    x = numbers(dtype, 3, 5)
    same(lambda x: (ad.round(x), F.threshold(x, 1.5, 2), F.avg_pool1d(x, 2)), x)


def test_thresholds_of_large_numbers_are_eager_ones():
    x = ad.tensor([2**53, 2**53 + 1, -(2**62)])
    for at in (float(2**53), float("inf"), -float("inf"), float("nan")):
        same(lambda x, at=at: F.threshold(x, at, -3.7), x)


@pytest.mark.parametrize("dtype", [*WHOLE, "bool", "float16", "float32", "complex64"])
@pytest.mark.parametrize("other", ["uint8", "int16", "int32", "float64", "complex64"])
def test_memory_read_in_another_dtype(dtype, other):
    x = numbers(dtype, 2, 8)
    y = same(lambda x: x.view(getattr(ad, other)), x)
    same(lambda y: y.view(getattr(ad, dtype)), y)
    one = numbers(dtype)
    if one.element_size() == y.element_size():
        same(lambda x: x.view(y.dtype), one)


def test_images_of_bytes_are_resized_as_numbers_and_rounded():
    x = numbers("uint8", 1, 2, 5, 4) * 20
    for mode in ("bilinear", "bicubic"):
        y = same(lambda x, m=mode: F.interpolate(x, size=(7, 9), mode=m), x)
        want = F.interpolate(x.float(), size=(7, 9), mode=mode).clamp(0, 255)
        assert (y.float() - want).abs().max() <= 0.5


def test_whole_numbers_have_no_means_of_windows():
    x = ad.ones(1, 2, 5, 4, dtype=ad.int64)
    with pytest.raises(ad.errors.DtypeError, match="'bilinear' is not implemented"):
        F.interpolate(x, size=(7, 9), mode="bilinear")
    with pytest.raises(ad.errors.DtypeError, match="not implemented for int64"):
        F.adaptive_avg_pool2d(x, 3)


# ---------------------------------------------------------------- complex numbers


def grads(f):
    """f and what comes back from it to x."""

    def run(x):
        x = x.detach().requires_grad_()
        y = f(x)
        y.abs().sum().backward()
        return y, x.grad

    return run


RUNS = {
    "prod": lambda x: x.prod(),
    "prod of rows": lambda x: x.prod(1, keepdim=True),
    "cumprod": lambda x: x.cumprod(0),
    "cumprod of rows": lambda x: x.cumprod(1),
    "cumsum": lambda x: x.cumsum(1),
    "logsumexp": lambda x: x.logsumexp(1),
    "logcumsumexp": lambda x: x.logcumsumexp(1),
}


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
@pytest.mark.parametrize("shape", [(3, 4), (1, 1), (5, 17), (2, 1), (1, 6)])
def test_sums_and_products_of_complex_numbers(name, dtype, shape):
    x = numbers(dtype, *shape) * 0.4
    same(grads(RUNS[name]), x)


@pytest.mark.parametrize("name", ["prod", "prod of rows", "cumprod", "cumsum"])
def test_complex_numbers_that_are_none_or_not_finite(name):
    x, f = numbers("complex128", 3, 4), RUNS[name]
    x[0, 1], x[1, 2], x[2, 0] = 0, complex("inf"), complex("nan")
    # A product meets them in its own order: which part is NaN is not said.
    same((lambda x: ad.isfinite(f(x))) if "prod" in name[:4] else f, x)
    same(RUNS[name], x[:, :0])
    same(RUNS[name], x[:0])


def test_a_running_sum_of_exponentials_does_not_overflow():
    x = ad.tensor([[-1000, 1000 + 1j, 0, 1000], [-1e300, -1e300, 2j, -5]])
    same(lambda x: (x.logcumsumexp(1), x.logsumexp(1)), x.to(ad.complex128))
    for row in ([-1000.0, -999.0], [float("-inf"), 0.0], [float("-inf")] * 2):
        t = ad.tensor(row)
        _, dy = ad.func.jvp(lambda t: t.logcumsumexp(0), (t,), (ad.ones(2),))
        assert ad.isfinite(dy).all()


# ---------------------------------------------------------------- nothing at all


NOTHING = {
    "no rows": lambda x: x[:0] @ x.T,
    "nothing to sum": lambda x: x[:0].T @ x[:0],
    "no products": lambda x: ad.bmm(x[None][:0], x.T[None][:0]),
    "order": lambda x: ad.sort(x[:, :0])[0],
    "factors": lambda x: ad.linalg.cholesky(x[:0, :0]),
    "inverses": lambda x: ad.linalg.inv(x[None, :2, :2][:0]),
    "windows": lambda x: F.conv1d(x[None][:0], x[:2, None].repeat(1, 4, 1)[..., :2]),
    "spectra": lambda x: ad.fft.fft(x[:0]),
    "transforms": lambda x: (x[:, :0].exp() @ x[:0]).cumsum(0),
}


@pytest.mark.parametrize("name", NOTHING)
def test_nothing_takes_no_time(name):
    x = numbers("float64", 4, 6)
    same(NOTHING[name], x)

    def loss(x):
        x = x.detach().requires_grad_()
        (NOTHING[name](x).abs().sum() + (x * x).sum()).backward()
        return x.grad

    if name != "spectra":
        same(loss, x)


def test_an_effect_on_nothing_still_takes_place(capsys):
    def f(x):
        ad.debug.print("{}", x[:0])
        return x + 1

    g = compile(f)
    for _ in range(2):
        g(ad.ones(2))
    assert capsys.readouterr().out.count("tensor([])") == 2


# ---------------------------------------------------------------- writes through views


def write(view, value):
    """x + 1 with a part of it written over, and the gradients of both."""

    def f(x, v):
        x, v = x.detach().requires_grad_(), v.detach().requires_grad_()
        y = x + 1
        view(y)[...] = value(v)
        (y * y).real.sum().backward()
        return y, x.grad, v.grad

    return f


VIEWS = {
    "all, flat": (lambda y: y.view(-1), lambda v: v[0, 0]),
    "some, flat": (lambda y: y.view(-1)[3:9:2], lambda v: v[0, :3]),
    "a row, turned": (lambda y: y.T[1], lambda v: v[0, :4]),
    "rows of rows": (lambda y: y[1:][::2][:, 2:], lambda v: v[:2, 2:]),
    "in another shape": (lambda y: y.view(2, 2, 6)[1, :, 1:3], lambda v: v[:2, :2]),
    "a diagonal": (lambda y: y.diagonal(1), lambda v: v[0, :4]),
    "one number": (lambda y: y[1, 2:3].view(()), lambda v: v[1, 1]),
}


@pytest.mark.parametrize("name", VIEWS)
@pytest.mark.parametrize("dtype", ["float16", "float32", "complex64"])
def test_writes_through_views(name, dtype):
    x, v = numbers(dtype, 4, 6), numbers(dtype, 4, 6, seed=1)
    same(write(*VIEWS[name]), x, v)


PARTS = {
    "real": lambda y: y.real,
    "imag": lambda y: y.imag[1:],
    "pairs": lambda y: ad.view_as_real(y)[..., 1, 0],
}


@pytest.mark.parametrize("name", PARTS)
def test_writes_to_parts_of_complex_numbers(name):
    x, v = numbers("complex128", 4, 6), numbers("float64", 4, 6)
    shape = PARTS[name](x).shape
    same(write(PARTS[name], lambda v: v.reshape(-1)[: shape.numel()].view(shape)), x, v)


def test_numbers_in_place_of_each_other():
    def f(x):
        flat = x.view(-1)
        flat[:3] = flat[3:6] * 2
        flat[::5] += 1
        return x

    x = numbers("float64", 3, 4)
    g = compile(f)
    for _ in range(3):
        a, b = x.clone(), x.clone()
        assert ad.equal(f(a), g(b)) and ad.equal(a, b)


def test_a_complex_number_that_is_always_the_same():
    for make in (lambda: ad.zeros((), dtype=ad.complex64), lambda: ad.full((), 1j) + 2):
        same(lambda x, make=make: (x * 1, make()), numbers("float64", 3))
