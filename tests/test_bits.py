"""Bits of integers, and floating numbers by sign, exponent and neighbour: against PyTorch."""

import operator

import numpy as np
import pytest

import adjoint as ad

INTS = np.array([[0, 1, -1, 5], [-128, 127, 64, 3]])
BINARY = ["bitwise_and", "bitwise_or", "bitwise_xor"]
SHIFTS = ["bitwise_left_shift", "bitwise_right_shift"]
DTYPES = ["int8", "int16", "int32", "int64", "uint8", "bool"]


def pair(dtype):
    other = np.array([[3, 2, 0, 7]])
    return [x.astype(dtype) for x in (INTS, other)]


@pytest.mark.parametrize("name", [*BINARY, *SHIFTS, "gcd", "lcm"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_integers_are_torch(name, dtype):
    torch = pytest.importorskip("torch")
    if dtype == "bool" and name not in BINARY:
        with pytest.raises(ad.errors.DtypeError, match="bool"):
            getattr(ad, name)(*map(ad.tensor, pair(dtype)))
        return
    got = getattr(ad, name)(*map(ad.tensor, pair(dtype)))
    want = getattr(torch, name)(*map(torch.tensor, pair(dtype)))
    assert str(got.dtype).split(".")[1] == str(want.dtype).split(".")[1]
    assert got.tolist() == want.tolist()


@pytest.mark.parametrize("dtype", DTYPES)
def test_not_is_torch(dtype):
    torch = pytest.importorskip("torch")
    x = INTS.astype(dtype)
    assert (~ad.tensor(x)).tolist() == (~torch.tensor(x)).tolist()


def test_shifts_past_the_end():
    x, far = ad.tensor([1, -8, 3]), ad.tensor([2, 70, -1])
    assert (x << far).tolist() == [4, 0, 0]
    assert (x >> far).tolist() == [0, -1, 0]


@pytest.mark.parametrize(
    "f", [operator.and_, operator.or_, operator.xor, operator.lshift, operator.rshift]
)
def test_operators(f):
    x = ad.tensor([6, 3])
    assert f(x, 2).tolist() == [f(6, 2), f(3, 2)]
    assert f(2, x).tolist() == [f(2, 6), f(2, 3)]
    assert f(x, ad.tensor([1, 2])).tolist() == [f(6, 1), f(3, 2)]


def test_truth_values_and_in_place():
    a, b = ad.tensor([True, False]), ad.tensor([True, True])
    assert (a & b).tolist() == [True, False]
    assert (a & b).dtype is ad.bool
    assert (~a).tolist() == [False, True]
    assert (a ^ ad.tensor([3, 3])).tolist() == [2, 3]
    a |= b
    assert a.tolist() == [True, True]
    x = ad.tensor([5])
    assert x.bitwise_and_(4) is x
    assert x.item() == 4


@pytest.mark.parametrize("name", [*BINARY, *SHIFTS, "gcd", "lcm"])
def test_floats_are_refused(name):
    with pytest.raises(ad.errors.DtypeError, match="float32"):
        getattr(ad, name)(ad.tensor([1.0]), ad.tensor([1]))
    with pytest.raises(ad.errors.ShapeError, match="broadcast"):
        getattr(ad, name)(ad.tensor([1, 2]), ad.tensor([1, 2, 3]))


def test_vmap():
    x = ad.tensor(INTS)
    got = ad.vmap(lambda r: ~(r & 5) << 1)(x)
    assert got.tolist() == (~(x & 5) << 1).tolist()


# ---------------------------------------------------------------- floating numbers

EDGES = np.array([-np.inf, -3.0, -1e-310, -0.0, 0.0, 0.4, 1.0, 1e300, np.inf, np.nan])


@pytest.mark.parametrize("name", ["copysign", "nextafter", "heaviside"])
def test_pairs_are_torch(name):
    torch = pytest.importorskip("torch")
    other = np.array([1.0, -0.0, 0.0, 2.0, -5.0, 3.0, -1.0, 1.0, -1.0, 1.0])
    got = getattr(ad, name)(ad.tensor(EDGES), ad.tensor(other)).numpy()
    want = getattr(torch, name)(torch.tensor(EDGES), torch.tensor(other)).numpy()
    if name == "heaviside":  # theirs takes NaN for positive or not by its bits
        got, want = got[:-1], want[:-1]
    np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(np.signbit(got), np.signbit(want))


def test_frexp_and_ldexp_are_torch():
    torch = pytest.importorskip("torch")
    x = EDGES[1:-2]
    mantissa, exponent = ad.frexp(ad.tensor(x))
    want = torch.frexp(torch.tensor(x))
    np.testing.assert_array_equal(mantissa.numpy(), want.mantissa.numpy())
    assert exponent.tolist() == want.exponent.tolist()
    assert exponent.dtype is ad.int32
    assert ad.ldexp(mantissa, exponent).tolist() == x.tolist()
    assert ad.ldexp(ad.tensor([1]), ad.tensor([3])).tolist() == [8.0]
    assert ad.ldexp(ad.tensor([1.0]), 0.5).item() == pytest.approx(2**0.5)


def test_nan_to_num_is_torch():
    torch = pytest.importorskip("torch")
    for options in ({}, {"nan": 2.0, "posinf": 5.0, "neginf": -1.0}):
        got = ad.nan_to_num(ad.tensor(EDGES), **options).numpy()
        want = torch.nan_to_num(torch.tensor(EDGES), **options).numpy()
        np.testing.assert_array_equal(got, want)
    z = ad.nan_to_num(ad.tensor([complex(np.nan, 1)]))
    assert z.tolist() == [1j]
    assert ad.nan_to_num(ad.tensor([1, 2])).tolist() == [1, 2]
    assert np.isfinite(ad.nan_to_num(ad.tensor([np.inf]).half()).item())


def test_infinities_and_degrees():
    x = ad.tensor(EDGES)
    assert ad.isposinf(x).tolist() == np.isposinf(EDGES).tolist()
    assert ad.isneginf(x).tolist() == np.isneginf(EDGES).tolist()
    degrees = ad.rad2deg(ad.tensor([1.0, 2.0]))
    np.testing.assert_allclose(ad.deg2rad(degrees).numpy(), [1, 2], rtol=1e-6)
    assert ad.rad2deg(ad.tensor([1])).dtype is ad.float32


def test_gradients_are_torch():
    torch = pytest.importorskip("torch")
    x, sign = np.array([2.0, 0.0, -3.0]), np.array([-1.0, 2.0, -0.0])
    grads = []
    for lib in (ad, torch):
        a = lib.tensor(x, requires_grad=True)
        b = lib.tensor(sign, requires_grad=True)
        y = lib.copysign(a, b).sum() + lib.frexp(a)[0].sum() + lib.nan_to_num(a).sum()
        y = y + lib.ldexp(a, lib.tensor([1, 2, 3])).sum() + lib.rad2deg(b).sum()
        y.backward()
        grads.append([a.grad.numpy(), b.grad.numpy()])
    for u, v in zip(*grads, strict=True):
        np.testing.assert_allclose(u, v)
    bad = ad.tensor([np.nan, np.inf, 1.0], requires_grad=True)
    ad.nan_to_num(bad).sum().backward()
    assert bad.grad.tolist() == [0.0, 0.0, 1.0]
