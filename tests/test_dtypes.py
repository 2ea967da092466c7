"""Dtypes and memory across the border: NumPy, DLPack, PyTorch, half precision."""

import copy
import itertools
import pickle
import subprocess
import sys

import numpy as np
import pytest

import adjoint as ad
from adjoint.errors import AdjointError, ArgumentTypeError, DtypeError, GradError

NAMES = [
    *("bool", "int8", "int16", "int32", "int64"),
    *("uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64", "complex64", "complex128"),
]
HALF = [
    pytest.param("float16", id="float16"),
    pytest.param(
        "bfloat16",
        marks=pytest.mark.skipif(ad.bfloat16 is None, reason="needs ml_dtypes"),
        id="bfloat16",
    ),
]


def same_memory(a, b) -> bool:
    """Whether a write to one shows in the other."""
    return np.shares_memory(np.asarray(a), np.asarray(b))


# ---------------------------------------------------------------- what a dtype is


@pytest.mark.parametrize("name", NAMES)
def test_a_dtype_has_one_object_and_many_names(name):
    d = ad.dtype(name)
    assert ad.dtype(np.dtype(name)) is d is ad.dtype(d) is ad.tensor(0, dtype=d).dtype
    assert repr(d) == f"adjoint.{name}"
    assert d.itemsize == np.dtype(name).itemsize
    assert pickle.loads(pickle.dumps(d)) is d and copy.deepcopy(d) is d
    assert d.is_complex == name.startswith("complex")
    assert d.is_floating_point == name.startswith("float")
    assert d.is_signed == (name != "bool" and not name.startswith("uint"))


def test_numbers_without_a_sign():
    most = ad.tensor([2**64 - 1], dtype=ad.uint64)
    assert most.tolist() == [2**64 - 1] and (most + 1).tolist() == [0]
    assert ad.promote_types(ad.uint16, ad.int32) is ad.int32
    assert ad.promote_types(ad.uint32, ad.int8) is ad.int64
    assert ad.promote_types(ad.uint64, ad.float16) is ad.float16
    with pytest.raises(DtypeError, match="holds the numbers of both uint64 and int64"):
        most + ad.tensor([1])


@pytest.mark.parametrize("name", ["uint16", "uint32", "uint64"])
def test_sums_without_a_sign_are_pytorchs(name):
    torch = pytest.importorskip("torch")
    for f in (
        lambda x: x.sum(),
        lambda x: x.prod(),
        lambda x: x.cumsum(0),
        lambda x: x / 2,
        lambda x: x + 1.5,
        lambda x: x.sort()[0],
        lambda x: x.unique(),
    ):
        got, want = (
            f(T.tensor([3, 1, 2], dtype=getattr(T, name))) for T in (ad, torch)
        )
        assert got.dtype.name == str(want.dtype)[6:] and got.tolist() == want.tolist()


WHOLE = [f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)]


@pytest.mark.parametrize("dtype", WHOLE)
def test_whole_numbers_are_numpys(dtype):
    """Wraparound, signs, shifts and casts at both ends of the range, eager and compiled."""
    ends = np.iinfo(dtype)
    some = [ends.min, ends.min + 1, 1, 2, 3, 77, ends.max - 1, ends.max]
    x, y = (
        np.array(v, dtype) for v in zip(*itertools.product(some, some), strict=True)
    )
    one = np.array(1, dtype)

    def by_numpy():
        yield from (x + y, x - y, x * y, x & y, x | y, x ^ y, ~x, x << one, x >> one)
        yield from (
            x < y,
            x >= y,
            x == y,
            np.maximum(x, y),
            np.minimum(x, y),
            np.abs(x),
        )
        yield from (x.astype("float64"), x.astype("float32"), x.astype("int32"))
        yield from (np.sort(x), x.argmax(), x[y > x[3]], np.concatenate([x, y]))
        positive = np.where(y > 0, y, one)
        yield from (x // positive, x % positive)

    def f(x, y, places):
        positive = ad.where(y > 0, y, 1)
        return [
            *(x + y, x - y, x * y, x & y, x | y, x ^ y, ~x, x << 1, x >> 1),
            *(x < y, x >= y, x == y, ad.maximum(x, y), ad.minimum(x, y), x.abs()),
            *(x.double(), x.float(), x.to(ad.int32)),
            *(x.sort().values, x.argmax(), x[places], ad.cat([x, y])),
            *(x // positive, x % positive),
        ]

    args = ad.tensor(x), ad.tensor(y), ad.tensor(np.flatnonzero(y > x[3]))
    with np.errstate(over="ignore"):
        wanted = list(by_numpy())
    for found in (f(*args), ad.compile(f)(*args)):
        for got, want in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(got.numpy(), want)
            assert got.dtype.np == want.dtype


def test_other_names():
    assert ad.half is ad.float16 and ad.double is ad.float64 and ad.float is ad.float32
    assert ad.long is ad.int64 and ad.int is ad.int32 and ad.short is ad.int16
    assert ad.cfloat is ad.complex64 and ad.cdouble is ad.complex128
    with pytest.raises((AdjointError, TypeError)):
        ad.dtype("float7")


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        (True, "bool"),
        (1, "int64"),
        (1.0, "float32"),
        (1j, "complex64"),
        ([1, 2.5], "float32"),
        ([True, 2], "int64"),
        ([], "float32"),
        ([1, 1j], "complex64"),
        (np.float64(1), "float64"),
        (np.int8(1), "int8"),
        (np.ones(2), "float64"),
        (np.ones(2, np.float16), "float16"),
        (range(3), "int64"),
        ([np.float64(1), np.float64(2)], "float32"),
    ],
)
def test_dtype_of_data(data, dtype):
    torch = pytest.importorskip("torch")
    if not (isinstance(data, list) and data and isinstance(data[0], np.generic)):
        assert str(torch.tensor(data).dtype) == f"torch.{dtype}"
        assert ad.tensor(data).dtype is ad.dtype(dtype)


def test_default_dtype_moves_what_depends_on_it():
    before = ad.get_default_dtype()
    ad.set_default_dtype(ad.float64)
    try:
        assert ad.tensor(1.0).dtype is ad.float64
        assert ad.zeros(2).dtype is ad.float64
        assert (ad.tensor([1]) / 2).dtype is ad.float64
        assert ad.tensor(1j).dtype is ad.complex128
        assert ad.tensor([1], dtype=ad.float32).sin().dtype is ad.float32
    finally:
        ad.set_default_dtype(before)
    with pytest.raises((AdjointError, TypeError)):
        ad.set_default_dtype(ad.int64)


@pytest.mark.filterwarnings("ignore:Casting complex values")
@pytest.mark.parametrize("source", NAMES)
@pytest.mark.parametrize("target", NAMES)
def test_casts_are_pytorchs(source, target):
    torch = pytest.importorskip("torch")
    data = np.array([0, 1, 3, 100]).astype(source)
    ours = ad.from_numpy(data).to(ad.dtype(target))
    theirs = torch.from_numpy(data).to(getattr(torch, target))
    assert ours.dtype.name == str(theirs.dtype).removeprefix("torch.")
    np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


def test_short_casts():
    x = ad.tensor([1.5, -2.5])
    for name, dtype in {
        "bool": "bool",
        "short": "int16",
        "int": "int32",
        "long": "int64",
        "half": "float16",
        "float": "float32",
        "double": "float64",
        "cfloat": "complex64",
        "cdouble": "complex128",
    }.items():
        assert getattr(x, name)().dtype is ad.dtype(dtype)
    assert x.float() is x and x.to(ad.float32) is x
    assert x.to(ad.float32, copy=True) is not x
    assert x.type_as(ad.tensor(1)).tolist() == [1, -2]


def test_only_inexact_tensors_have_derivatives():
    for name in NAMES:
        x = ad.zeros(2, dtype=ad.dtype(name))
        if name.startswith(("float", "complex")):
            assert x.requires_grad_().requires_grad
        else:
            with pytest.raises(DtypeError):
                x.requires_grad_()


# ---------------------------------------------------------------- half precision


@pytest.mark.parametrize("name", HALF)
def test_half_precision_stays_half(name):
    d = ad.dtype(name)
    x = ad.tensor([0.5, 1.0, 2.0], dtype=d, requires_grad=True)
    y = ad.log(x * 2 + 0.5).tanh() @ x
    y = y + ad.maximum(x, x.flip(0)).mean() + ad.softmax(x, 0).max()
    assert y.dtype is d
    y.backward()
    assert x.grad.dtype is d
    (g,) = ad.autograd.grad((x * 0.3).sum(), x)
    assert g.dtype is d
    assert (x + 1).dtype is d and (x * 2.5).dtype is d and (1 / x).dtype is d
    assert (x + ad.tensor(1.0, dtype=ad.float64)).dtype is d
    assert (x + ad.tensor([1.0])).dtype is ad.float32


@pytest.mark.parametrize("name", HALF)
def test_half_precision_products_are_summed_in_single(name):
    d = ad.dtype(name)
    x = ad.full((1, 4096), 1.0, dtype=d)
    assert (x @ x.T).item() == 4096
    assert x.sum().item() == 4096
    assert x.mean().item() == 1


@pytest.mark.parametrize("name", HALF)
def test_half_precision_reads_and_prints(name):
    d = ad.dtype(name)
    x = ad.tensor([1.0, 2.5], dtype=d)
    assert x.tolist() == [1.0, 2.5] and x[1].item() == 2.5
    assert repr(x) == f"tensor([1.0000, 2.5000], dtype=adjoint.{name})"
    assert x.float().numpy().dtype == np.float32
    assert not x.isnan().any() and bool((x > 1).any())
    assert ad.zeros(2, dtype=d).add_(x).dtype is d


def test_two_halves_make_a_single():
    if ad.bfloat16 is None:
        pytest.skip("needs ml_dtypes")
    a, b = ad.ones(2, dtype=ad.float16), ad.ones(2, dtype=ad.bfloat16)
    assert (a + b).dtype is ad.float32


# ---------------------------------------------------------------- NumPy


def test_numpy_shares_memory_both_ways():
    a = np.arange(6.0).reshape(2, 3)
    x = ad.from_numpy(a)
    assert same_memory(a, x.numpy()) and same_memory(a, np.asarray(x))
    x[0, 0] = 7
    assert a[0, 0] == 7
    a[1] = 0
    assert x[1].tolist() == [0, 0, 0]
    assert same_memory(a, ad.as_tensor(a).numpy())
    assert not same_memory(a, ad.tensor(a).numpy())


def test_numpy_of_any_strides():
    a = np.arange(12.0).reshape(3, 4)
    for b in (a.T, a[::2], a[:, ::-1], a[::-1, ::-2], a[:0], a[1, 1:2]):
        x = ad.from_numpy(b)
        assert same_memory(b, x.numpy()) or b.size == 0
        np.testing.assert_array_equal((x * 2).numpy(), b * 2)
        np.testing.assert_array_equal(x.contiguous().numpy(), b)
        y = x.clone().requires_grad_()
        (y * y).sum().backward()
        np.testing.assert_array_equal(y.grad.numpy(), 2 * b)


def test_array_protocol():
    x = ad.tensor([1.0, 2.0])
    assert np.asarray(x).dtype == np.float32
    assert np.array(x, dtype=np.float64).dtype == np.float64
    assert not same_memory(np.array(x), x.numpy())
    assert same_memory(np.array(x, copy=False), x.numpy())
    with pytest.raises(ValueError):
        np.array(x, dtype=np.int64, copy=False)
    assert np.sin(np.asarray(x)).shape == (2,)
    assert float(np.sum(np.asarray(x))) == 3
    assert np.asarray([x, x]).shape == (2, 2)


def test_arithmetic_with_arrays_gives_tensors():
    x, a = ad.tensor([1.0, 2.0]), np.array([3.0, 4.0], np.float32)
    for y in (x + a, a + x, a * x, x - a, a / x):
        assert isinstance(y, ad.Tensor)
    assert (a - x).tolist() == [2, 2]
    assert (np.float32(2) * x).tolist() == [2, 4]
    assert (x * np.int64(2)).dtype is ad.float32


def test_what_requires_grad_does_not_leave_silently():
    x = ad.tensor([1.0], requires_grad=True)
    for leave in (lambda: x.numpy(), lambda: np.asarray(x), lambda: np.from_dlpack(x)):
        with pytest.raises((GradError, BufferError)):
            leave()
    assert same_memory(x.numpy(force=True), x.detach().numpy())
    assert x.tolist() == [1.0] and x.item() == 1.0 and float(x) == 1.0


def test_arrays_that_no_tensor_can_hold():
    for bad in (np.array(["a"]), np.array([None]), np.array(["2020"], "M8[D]")):
        with pytest.raises((ArgumentTypeError, DtypeError)):
            ad.tensor(bad)
        with pytest.raises((ArgumentTypeError, DtypeError)):
            ad.from_numpy(bad)
    with pytest.raises(ArgumentTypeError):
        ad.from_numpy([1, 2])


# ---------------------------------------------------------------- DLPack


@pytest.mark.parametrize("name", NAMES)
def test_dlpack_with_numpy_shares_memory(name):
    a = np.zeros((2, 3), name)
    x = ad.from_dlpack(a)
    assert x.dtype is ad.dtype(name) and same_memory(a, x.numpy())
    b = np.from_dlpack(x)
    assert b.dtype == a.dtype and same_memory(a, b)
    assert x.__dlpack_device__() == a.__dlpack_device__()


@pytest.mark.parametrize("name", NAMES)
def test_dlpack_with_pytorch_shares_memory(name):
    torch = pytest.importorskip("torch")
    t = torch.zeros(2, 3, dtype=getattr(torch, name))
    x = ad.from_dlpack(t)
    assert x.dtype is ad.dtype(name) and x.data_ptr() == t.data_ptr()
    x.fill_(1)
    assert t.all()
    back = torch.from_dlpack(ad.ones(4, dtype=ad.dtype(name)))
    assert back.dtype == t.dtype and back.shape == (4,)
    y = ad.arange(4).to(ad.dtype(name))
    assert torch.from_dlpack(y).data_ptr() == y.data_ptr()


def test_dlpack_keeps_strides_and_ranks():
    torch = pytest.importorskip("torch")
    t = torch.arange(12.0).reshape(3, 4)
    for part in (t.T, t[::2], t[1, 2], t[:0]):
        np.testing.assert_array_equal(ad.from_dlpack(part).numpy(), part.numpy())
    x = ad.arange(12).reshape(3, 4)
    for part in (x.T, x[::2], x[1, 2], x[:0]):
        np.testing.assert_array_equal(torch.from_dlpack(part).numpy(), part.numpy())


def test_dlpack_through_pytorch_and_back_in_a_computation():
    torch = pytest.importorskip("torch")
    t = torch.from_dlpack(ad.tensor([1.0, 2.0])).requires_grad_()
    (t * t).sum().backward()
    assert ad.from_dlpack(t.grad).tolist() == [2.0, 4.0]


def test_dlpack_refuses_in_our_words():
    with pytest.raises(AdjointError):
        ad.from_dlpack([1, 2])


# ---------------------------------------------------------------- copies


def test_copies_and_pickles():
    x = ad.tensor([[1.0, 2.0]], dtype=ad.float64, requires_grad=True)
    for y in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert y.requires_grad and y.dtype is x.dtype and y.tolist() == x.tolist()
        assert not same_memory(y.detach(), x.detach())


@pytest.mark.parametrize("name", HALF)
def test_half_precision_survives_pickling(name):
    x = ad.tensor([1.0, 2.0], dtype=ad.dtype(name))
    y = pickle.loads(pickle.dumps(x))
    assert y.dtype is x.dtype and y.tolist() == [1.0, 2.0]


NUMPY_ALONE = """
import sys
for name in ["ml_dtypes", "scipy", *sys.argv[1:]]:
    sys.modules[name] = None
import adjoint as ad
from adjoint import nn, optim, io, train, data, metrics, plot, func, linalg, fft, special
model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Dropout(0.1), nn.Linear(4, 1))
opt = optim.Adam(model.parameters())
@ad.compile
def step(x):
    opt.zero_grad()
    loss = (model(x) ** 2).mean()
    loss.backward()
    opt.step()
    return loss
assert [step(ad.ones(5, 3)).item() for _ in range(3)][-1] > 0
"""


@pytest.mark.parametrize("absent", [[], ["llvmlite"]])
def test_numpy_alone_is_enough(absent):
    command = [sys.executable, "-c", NUMPY_ALONE, *absent]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_the_type_of_dtypes():
    assert isinstance(ad.float32, ad.dtype) and not isinstance("float32", ad.dtype)
    assert ad.dtype("int8") is ad.dtype(np.int8) is ad.dtype(ad.int8) is ad.int8
    for copy_of in (pickle.loads(pickle.dumps(ad.float64)), copy.deepcopy(ad.float64)):
        assert copy_of is ad.float64
