"""Creation: PyTorch's values, dtypes and errors; what copies and what shares memory."""

import pickle

import numpy as np
import pytest

import adjoint as ad


def same(y, want, tol=1e-6):
    assert tuple(y.shape) == tuple(want.shape)
    assert y.dtype.name == str(want.dtype).removeprefix("torch.")
    np.testing.assert_allclose(y.numpy(), want.numpy(), tol, tol)


MADE = [
    lambda m: m.tensor([1, 2.0, True]),
    lambda m: m.tensor([1, 2j]),
    lambda m: m.tensor([True, False]),
    lambda m: m.tensor([]),
    lambda m: m.tensor([[], []]),
    lambda m: m.tensor(2**40),
    lambda m: m.tensor([1.5], dtype=m.int64),
    lambda m: m.tensor(np.float64(2)),
    lambda m: m.tensor([np.float64(2), 1]),
    lambda m: m.tensor([m.tensor(1.0, dtype=m.float64), 2]),
    lambda m: m.tensor(np.arange(3, dtype="int16")),
    lambda m: m.tensor([m.tensor(1.0), 2]),
    lambda m: m.tensor(range(3)),
    lambda m: m.tensor(1, dtype=m.bool),
    lambda m: m.tensor([1.5], dtype=m.float16),
    lambda m: m.scalar_tensor(3),
    lambda m: m.scalar_tensor(3, dtype=m.int64),
    lambda m: m.zeros(2, 3, dtype=m.int64),
    lambda m: m.zeros(()),
    lambda m: m.ones(size=(2,)),
    lambda m: m.full((2,), True),
    lambda m: m.full((2,), 1j),
    lambda m: m.full((2,), 1, dtype=m.bool),
    lambda m: m.full((2,), 2**40),
    lambda m: m.full((2,), 1.5, dtype=m.int64),
    lambda m: m.full((), m.tensor(3)),
    lambda m: m.zeros_like(m.arange(2), dtype=m.float32),
    lambda m: m.full_like(m.arange(2), 2.5),
    lambda m: m.ones_like(m.ones(2, 2, dtype=m.complex64)),
    lambda m: m.ones(2).new_tensor([1, 2]),
    lambda m: m.ones(2).new_zeros((2, 3), dtype=m.int64),
    lambda m: m.ones(2, dtype=m.int64).new_ones(2),
    lambda m: m.ones(2).new_full((2,), 3),
    lambda m: m.arange(5.0),
    lambda m: m.arange(1, 2.5, 0.5),
    lambda m: m.arange(5, 0, -2),
    lambda m: m.arange(0, 1, 0.1),
    lambda m: m.arange(end=3),
    lambda m: m.arange(3, dtype=m.float16),
    lambda m: m.arange(1.5, 4, dtype=m.int32),
    lambda m: m.arange(m.tensor(3.0)),
    lambda m: m.arange(3, 3),
    lambda m: m.linspace(0, 1, 1),
    lambda m: m.linspace(0, 1, 0),
    lambda m: m.linspace(0, 10, 4, dtype=m.int64),
    lambda m: m.linspace(-3, 7, 6, dtype=m.int32),
    lambda m: m.linspace(0, 1j, 3),
    lambda m: m.linspace(m.tensor(0.0), m.tensor(1.0), 7),
    lambda m: m.logspace(0, 2, 3, base=2),
    lambda m: m.logspace(0, 2, 3, dtype=m.int64),
    lambda m: m.eye(2, 3, dtype=m.bool),
    lambda m: m.eye(0),
    lambda m: m.asarray([1.0, 2]),
    lambda m: m.asarray(np.ones(2), dtype=m.float32),
    lambda m: m.frombuffer(bytearray(b"abcd"), dtype=m.uint8, count=2, offset=1),
    *(
        lambda m, w=w, n=n, p=p, d=d: getattr(m, w + "_window")(
            n, periodic=p, dtype=getattr(m, d)
        )
        for w in ("hann", "hamming", "blackman", "bartlett", "kaiser")
        for n in (0, 1, 2, 5, 8)
        for p in (True, False)
        for d in ("float32", "float64")
    ),
    lambda m: m.hamming_window(4, True, 0.5, 0.5),
    lambda m: m.kaiser_window(4, True, 5.0),
]


@pytest.mark.parametrize("make", MADE)
def test_as_pytorch(make):
    torch = pytest.importorskip("torch")
    same(make(ad), make(torch))


def test_against_numpy():
    np.testing.assert_allclose(
        ad.hann_window(7, False).numpy(), np.hanning(7), atol=1e-6
    )
    np.testing.assert_allclose(
        ad.kaiser_window(7, False, 3.0, dtype=ad.float64).numpy(), np.kaiser(7, 3.0)
    )
    got = ad.linspace(-1, 2, 11, dtype=ad.float64).numpy()
    np.testing.assert_allclose(got, np.linspace(-1, 2, 11))


def test_what_copies_and_what_shares():
    a = np.ones(2)
    for share in (ad.from_numpy, ad.as_tensor, ad.asarray, ad.from_dlpack):
        assert share(a).data_ptr() == a.ctypes.data
    for copy in (ad.tensor, lambda x: ad.asarray(x, copy=True)):
        assert copy(a).data_ptr() != a.ctypes.data
    x = ad.ones(2)
    assert ad.as_tensor(x) is x
    assert ad.asarray(x).data_ptr() == x.data_ptr()
    assert ad.tensor(x).data_ptr() != x.data_ptr()
    ad.frombuffer(a, dtype=ad.float64)[0] = 5
    assert a.tolist() == [5, 1]
    torch = pytest.importorskip("torch")
    t = torch.ones(3)
    ad.from_dlpack(t)[1] = 7
    assert t.tolist() == [1, 7, 1]


SWAPPED = np.array([1.0, 2.0]).astype(np.dtype("f8").newbyteorder("S"))


def test_numbers_of_another_byte_order_are_copied():
    for make in (ad.tensor, ad.as_tensor, ad.asarray, lambda x: ad.tensor([x, x])[0]):
        x = make(SWAPPED)
        assert x.dtype is ad.float64
        assert (x * 2).tolist() == [2.0, 4.0]


def test_gradients_asked_for():
    assert ad.ones(2, requires_grad=True).requires_grad
    assert ad.asarray([1.0], requires_grad=True).requires_grad
    assert ad.linspace(0, 1, 3, requires_grad=True).is_leaf
    assert not ad.zeros_like(ad.ones(2, requires_grad=True)).requires_grad
    assert ad.hann_window(3, requires_grad=True).requires_grad


def test_results_given():
    out = ad.empty(3)
    assert ad.ones(3, out=out) is out and out.tolist() == [1, 1, 1]
    assert ad.arange(3, out=out) is out and out.tolist() == [0, 1, 2]
    assert ad.full((3,), 4.0, out=out) is out and out.tolist() == [4, 4, 4]


def test_layouts():
    assert ad.empty_strided((2, 3), (1, 2)).stride() == (1, 2)
    assert ad.empty_permuted((2, 3), (1, 0)).stride() == (1, 2)
    assert ad.empty_strided((2, 0), (1, 2)).shape == (2, 0)


def test_what_dtypes_say():
    assert repr(ad.iinfo(ad.int8)) == "iinfo(min=-128, max=127, dtype=int8)"
    assert ad.finfo(ad.float64).eps == np.finfo(float).eps
    assert ad.finfo().bits == 32 and ad.finfo(ad.complex128).bits == 64
    if ad.bfloat16 is not None:
        assert ad.finfo(ad.bfloat16).eps == 0.0078125
    assert ad.result_type(ad.tensor([1, 2], dtype=ad.int8), 1.0) == ad.float32
    assert (
        ad.result_type(ad.tensor([1.0]), ad.tensor(1.0, dtype=ad.float64)) == ad.float32
    )
    assert ad.promote_types(ad.int32, ad.float16) == ad.float16
    assert ad.can_cast(ad.float64, ad.float32) and ad.can_cast(ad.int32, ad.uint8)
    assert not ad.can_cast(ad.float64, ad.int32) and not ad.can_cast(ad.uint8, ad.bool)
    assert ad.is_tensor(ad.ones(1)) and not ad.is_tensor(1)
    assert ad.numel(ad.ones(2, 3)) == 6
    assert ad.is_signed(ad.ones(1)) and not ad.is_signed(ad.ones(1, dtype=ad.uint8))
    assert ad.ones(2).is_same_size(ad.zeros(2))


@pytest.mark.parametrize(
    "call, text",
    [
        (lambda: ad.tensor([[1, 2], [3]]), "inhomogeneous"),
        (lambda: ad.tensor(["a"]), "cannot hold"),
        (lambda: ad.tensor(None), "cannot hold object values"),
        (lambda: ad.tensor({1: 2}), "given was a dict"),
        (lambda: ad.tensor(2**70), "needs more than 64 bits"),
        (lambda: ad.tensor(300, dtype=ad.uint8), "out of bounds"),
        (lambda: ad.tensor([1j], dtype=ad.float32), "tensor():"),
        (lambda: ad.tensor(1, requires_grad=True), "only Tensors of floating point"),
        (lambda: ad.ones(2, device="cuda"), "device 'cuda' is not available"),
        (lambda: ad.ones(2, device="meta"), "device 'meta' is not available"),
        (lambda: ad.zeros(-1), "must be non-negative"),
        (lambda: ad.zeros(2.5), "must be an integer, got 2.5"),
        (lambda: ad.zeros(), "missing argument 'size'"),
        (lambda: ad.full(2, 1), "must be tuple of ints, not int"),
        (lambda: ad.full((2,), "a"), "must be a number"),
        (lambda: ad.full((2,), 300, dtype=ad.uint8), "without overflow"),
        (lambda: ad.full((2,), float("nan"), dtype=ad.int64), "without overflow"),
        (lambda: ad.full((2,), 1 + 1j, dtype=ad.float32), "without overflow"),
        (lambda: ad.arange(5, 0), "inconsistent with step sign"),
        (lambda: ad.arange(0, 5, 0), "step must be nonzero"),
        (lambda: ad.arange(0, 3, 0.5, dtype=ad.int64), "step must be nonzero"),
        (lambda: ad.arange(float("nan")), "unsupported range"),
        (lambda: ad.arange(float("inf")), "unsupported range"),
        (lambda: ad.arange(0, 2j), "expects real numbers"),
        (lambda: ad.arange(3, dtype=ad.bool), "not defined for bool"),
        (lambda: ad.linspace(0, 1, -1), "number of steps must be non-negative"),
        (lambda: ad.linspace(0, 1, 2.5), "number of steps must be an integer"),
        (lambda: ad.linspace(0, 1j, 3, dtype=ad.float32), "do not fit float32"),
        (lambda: ad.logspace(0, 2, -3), "must be non-negative"),
        (lambda: ad.eye(-1), "n must be non-negative"),
        (lambda: ad.from_numpy([1]), "expected np.ndarray"),
        (lambda: ad.from_numpy(np.array(["a"])), "no tensor dtype"),
        (lambda: ad.from_numpy(SWAPPED), "newbyteorder('=')) has this machine's"),
        (lambda: ad.ones(2) + SWAPPED, "newbyteorder('=')) has this machine's"),
        (lambda: ad.asarray(SWAPPED, copy=False), "can't alias ndarray"),
        (lambda: ad.from_dlpack([1]), "has no __dlpack__"),
        (lambda: ad.asarray([1.0], copy=False), "can't alias list"),
        (lambda: ad.asarray(np.ones(2), dtype=ad.float32, copy=False), "float32"),
        (lambda: ad.frombuffer(bytearray(3), dtype=ad.int16), "a multiple of"),
        (lambda: ad.frombuffer(bytearray(0), dtype=ad.int16), "must not be 0"),
        (lambda: ad.frombuffer(bytearray(4), dtype=ad.int16, count=9), "9 * 2 bytes"),
        (lambda: ad.frombuffer(bytearray(4), dtype=ad.int16, offset=9), "offset (9"),
        (lambda: ad.hann_window(-1), "window_length must be non-negative"),
        (lambda: ad.hann_window(3, dtype=ad.int64), "expects floating point dtypes"),
        (lambda: ad.hann_window(3, foo=1), "no argument 'foo'"),
        (lambda: ad.finfo(ad.int8), "iinfo is for integers"),
        (lambda: ad.iinfo(ad.float32), "finfo is for floating"),
        (lambda: ad.zeros_like([1]), "must be Tensor, not list"),
        (lambda: ad.empty_strided((2,), (1, 1)), "equal lengths"),
        (lambda: ad.empty_permuted((2, 3), (1, 1)), "not an order"),
    ],
)
def test_errors(call, text):
    with pytest.raises(Exception) as caught:
        call()
    assert type(caught.value).__module__ == "adjoint.errors", repr(caught.value)
    assert text in str(caught.value)


# ---------------------------------------------------------------- older names


def test_older_names_of_types():
    x = ad.FloatTensor([1, 2])
    assert isinstance(x, ad.FloatTensor) and not isinstance(x, ad.LongTensor)
    assert x.dtype == ad.float32 and ad.LongTensor(2, 3).shape == (2, 3)
    assert x.to(ad.DoubleTensor).dtype == x.type(ad.DoubleTensor).dtype == ad.float64
    assert ad.BoolTensor([1, 0]).tolist() == [True, False]
    assert x.new([3, 4]).tolist() == [3.0, 4.0] and x.new(2, 3).shape == (2, 3)


def test_range_includes_its_end():
    torch = pytest.importorskip("torch")
    for args in ((1, 4), (0, 1, 0.5), (3, 1, -1), (2,)):
        with pytest.warns(UserWarning, match="deprecated"):
            want = torch.range(*args) if len(args) > 1 else torch.range(0, *args)
        assert ad.range(*args).tolist() == want.tolist()


def test_what_to_takes_by_place():
    x = ad.ones(2)
    for same in (x.to("cpu"), x.to("cpu", ad.float32, True), x.to(None), x.to(x, True)):
        assert same is x
    for copy in (x.to("cpu", ad.float32, False, True), x.to(x, False, True)):
        assert copy is not x and copy.equal(x)
    assert x.to("cpu", ad.float64).dtype is ad.float64
    with pytest.raises(TypeError, match=r"to: expected a dtype, a device .* got list"):
        x.to([1])


def test_devices_have_numbers():
    assert repr(ad.device("cpu")) == "device(type='cpu')"
    first = ad.device("cpu", 0)
    assert repr(first) == "device(type='cpu', index=0)" and first.index == 0
    assert first == ad.device("cpu:0") and ad.device("cpu").index is None
    assert isinstance(ad.ones(1).device, ad.device) and isinstance(first, ad.device)
    with ad.device("cpu") as here:
        assert ad.ones(1).device == here
    assert pickle.loads(pickle.dumps(first)) == first
    for call in (lambda: ad.device("cuda", 1), lambda: ad.device(1)):
        with pytest.raises(RuntimeError, match="device 'cuda:1' is not available"):
            call()
    with pytest.raises(ValueError, match="a number must follow 'cpu', got 'cpu:x'"):
        ad.device("cpu:x")


NEEDS_CPU = [
    lambda: ad.Tensor([1.0], device="cuda"),
    lambda: ad.BoolTensor(2, device="cuda"),
    lambda: ad.tril_indices(2, 2, device="cuda"),
    lambda: ad.triu_indices(2, 2, device="cuda"),
    lambda: ad.nn.LazyLinear(2, device="cuda"),
    lambda: ad.nn.UninitializedBuffer(device="cuda"),
    lambda: ad.nn.UninitializedParameter().materialize((2,), device="cuda"),
    lambda: ad.Generator("cuda"),
]


@pytest.mark.parametrize("call", NEEDS_CPU)
def test_no_other_device_is_passed_over(call):
    with pytest.raises(RuntimeError, match="device 'cuda' is not available"):
        call()


def test_what_there_is_no_device_for():
    for act in (
        ad.ones(2).cuda,
        lambda: ad.ones(2).to("cuda:0"),
        lambda: ad.ones(2).to(0),
    ):
        with pytest.raises(RuntimeError, match="this build computes on 'cpu'"):
            act()
    assert not ad.backends.cuda.is_available() and not ad.backends.mkl.is_available()
    ad.backends.cudnn.benchmark = True
