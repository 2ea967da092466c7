"""The array API namespace against NumPy's, which follows the same version of the standard."""

import inspect

import numpy as np
import pytest

import adjoint as ad
from adjoint import array_api as xp
from adjoint.errors import AdjointError

RNG = np.random.default_rng(0)
A = RNG.normal(size=(3, 4))
B = RNG.uniform(0.2, 0.8, (3, 4))
C = RNG.normal(size=(3, 4)) + 1j * B
S = B[:, :3] @ B[:, :3].T + np.eye(3)
I, J = np.array([[3, 1, 1, 2], [0, 5, 3, 7]]), np.array([[1, 2, 3, 1], [2, 2, 5, 1]])
P, Q = np.array([True, False, True]), np.array([True, True, False])


def ours(x):
    """The same with tensors for arrays."""
    if isinstance(x, np.ndarray):
        return ad.from_numpy(x.copy())
    if isinstance(x, (list, tuple)) and any(isinstance(a, np.ndarray) for a in x):
        return type(x)(map(ours, x))
    if isinstance(x, np.dtype):
        return ad.dtype(x)
    return x


def same(got, want):
    if isinstance(want, (tuple, list)):
        assert len(got) == len(want)
        for a, b in zip(got, want, strict=True):
            same(a, b)
        return
    want = np.asarray(want)
    assert isinstance(got, ad.Tensor)
    assert (tuple(got.shape), got.numpy().dtype) == (want.shape, want.dtype)
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-9, atol=1e-12)


CASES = [
    *[(n, (A,), {}) for n in ("abs", "atan", "asinh", "ceil", "cos", "cosh", "exp")],
    *[
        (n, (A,), {})
        for n in ("expm1", "floor", "isfinite", "isinf", "isnan", "negative")
    ],
    *[(n, (A,), {}) for n in ("positive", "round", "sign", "signbit", "sin", "sinh")],
    *[
        (n, (A,), {})
        for n in ("square", "tan", "tanh", "trunc", "real", "imag", "conj")
    ],
    *[
        (n, (B,), {})
        for n in ("acos", "asin", "atanh", "log", "log1p", "log2", "log10")
    ],
    *[
        (n, (C,), {})
        for n in ("real", "imag", "conj", "sign", "abs", "exp", "log", "sqrt")
    ],
    *[(n, (C,), {}) for n in ("sin", "cosh", "tanh", "isnan", "square", "negative")],
    *[
        (n, (I,), {})
        for n in ("abs", "ceil", "floor", "trunc", "sign", "square", "negative")
    ],
    *[(n, (B,), {}) for n in ("sqrt", "reciprocal")],
    ("acosh", (B + 1,), {}),
    ("bitwise_invert", (I,), {}),
    ("logical_not", (P,), {}),
    ("round", (np.array([0.5, 1.5, -2.5]),), {}),
    ("sign", (np.array([np.nan, 0.0, -3.0]),), {}),
    *[(n, (A, B), {}) for n in ("add", "subtract", "multiply", "divide", "atan2")],
    *[
        (n, (A, B), {})
        for n in ("copysign", "hypot", "logaddexp", "maximum", "minimum")
    ],
    *[(n, (A, B), {}) for n in ("remainder", "floor_divide", "nextafter")],
    *[(n, (A, A), {}) for n in ("equal", "not_equal", "less", "less_equal", "greater")],
    *[(n, (I, J), {}) for n in ("add", "multiply", "floor_divide", "remainder", "pow")],
    *[
        (n, (I, J), {})
        for n in ("bitwise_and", "bitwise_or", "bitwise_xor", "subtract")
    ],
    *[
        (n, (I, J), {})
        for n in ("bitwise_left_shift", "bitwise_right_shift", "maximum")
    ],
    *[(n, (P, Q), {}) for n in ("logical_and", "logical_or", "logical_xor", "equal")],
    ("greater_equal", (A, 0.5), {}),
    ("add", (A, 2), {}),
    ("subtract", (2.5, A), {}),
    ("multiply", (A.astype(np.float32), 1j), {}),
    ("pow", (B, A), {}),
    ("add", (np.ones(2, np.int8), np.asarray(1, np.int64)), {}),
    ("multiply", (np.ones(2, np.float32), np.asarray(1.0)), {}),
    ("clip", (A, -0.5, 0.5), {}),
    ("clip", (I, 1, 3), {}),
    ("clip", (A,), {"max": 0.1}),
    ("sum", (A,), {}),
    ("sum", (A,), {"axis": 0, "keepdims": True}),
    ("sum", (I.astype(np.int32),), {"axis": (0, 1)}),
    ("sum", (P,), {}),
    ("prod", (B,), {"axis": 1}),
    ("prod", (I,), {"axis": (0, 1)}),
    ("mean", (A,), {"axis": (0, 1), "keepdims": True}),
    ("std", (A,), {}),
    ("std", (A,), {"axis": 1, "correction": 1.0}),
    ("var", (A,), {"axis": 0}),
    ("max", (A,), {}),
    ("max", (I,), {"axis": (0, 1)}),
    ("min", (A,), {"axis": 1, "keepdims": True}),
    ("all", (A,), {"axis": 0}),
    ("any", (P,), {}),
    ("any", (A,), {"axis": (0, 1), "keepdims": True}),
    ("count_nonzero", (I,), {"axis": 1}),
    ("argmax", (A,), {}),
    ("argmax", (A,), {"axis": 1, "keepdims": True}),
    ("argmin", (A,), {"keepdims": True}),
    ("argsort", (A,), {}),
    ("argsort", (I,), {"axis": 0}),
    ("sort", (A,), {"axis": 0}),
    ("nonzero", (I,), {}),
    ("searchsorted", (np.sort(A[0]), B), {}),
    ("searchsorted", (np.array([1, 2, 2, 3]), np.array([2, 0])), {"side": "right"}),
    ("where", (A > 0, A, B), {}),
    ("cumulative_sum", (A,), {"axis": 1}),
    ("cumulative_sum", (A,), {"axis": 0, "include_initial": True}),
    ("cumulative_prod", (A[0],), {"include_initial": True}),
    ("diff", (A,), {}),
    ("diff", (A,), {"axis": 0, "n": 2}),
    ("unique_all", (I,), {}),
    ("unique_counts", (I,), {}),
    ("unique_inverse", (I,), {}),
    ("arange", (5,), {}),
    ("arange", (2, 0), {}),
    ("arange", (0, 4, 2), {"dtype": np.dtype("int8")}),
    ("linspace", (0, 1, 5), {"dtype": np.dtype("float64")}),
    ("linspace", (0, 1, 5), {"dtype": np.dtype("float64"), "endpoint": False}),
    ("eye", (3, 4), {"k": 1, "dtype": np.dtype("float64")}),
    ("full", ((2, 3), 7), {}),
    ("full", (3, True), {}),
    ("full_like", (I, 2), {}),
    ("zeros", ((2, 3),), {"dtype": np.dtype("int8")}),
    ("ones", (3,), {"dtype": np.dtype("bool")}),
    ("zeros_like", (I,), {}),
    ("ones_like", (A,), {"dtype": np.dtype("float32")}),
    ("meshgrid", (A[0], B[0]), {}),
    ("meshgrid", (A[0], B[0]), {"indexing": "ij"}),
    ("tril", (A,), {"k": 1}),
    ("triu", (A,), {"k": -1}),
    ("astype", (A, np.dtype("int64")), {}),
    ("broadcast_to", (A[0], (2, 4)), {}),
    ("concat", ([A, B],), {"axis": 1}),
    ("concat", ([A, B],), {"axis": None}),
    ("concat", ([I, A],), {}),
    ("stack", ([A, B],), {"axis": -1}),
    ("unstack", (A,), {"axis": 1}),
    ("expand_dims", (A,), {"axis": 1}),
    ("squeeze", (A[:, :1],), {"axis": 1}),
    ("reshape", (A, (2, -1)), {}),
    ("permute_dims", (A, (1, 0)), {}),
    ("moveaxis", (A, 0, -1), {}),
    ("matrix_transpose", (A,), {}),
    ("flip", (A,), {}),
    ("flip", (A,), {"axis": 1}),
    ("roll", (A, 2), {}),
    ("roll", (A, (1, 2)), {"axis": (0, 1)}),
    ("repeat", (A, 2), {}),
    ("repeat", (A, np.array([1, 0, 2])), {"axis": 0}),
    ("tile", (A, (2, 1)), {}),
    ("take", (A, np.array([2, 0])), {"axis": 1}),
    ("take_along_axis", (A, np.argsort(A, 1)), {"axis": 1}),
    ("take_along_axis", (A, np.array([[0]])), {"axis": 0}),
    ("matmul", (A, B.T), {}),
    ("tensordot", (A, B), {}),
    ("tensordot", (A, B), {"axes": ((0,), (0,))}),
    ("vecdot", (C, A), {}),
    ("vecdot", (A, B), {"axis": 0}),
    ("broadcast_arrays", (A, B[0]), {}),
]
LINALG = [
    ("cholesky", (S,), {}),
    ("cholesky", (S,), {"upper": True}),
    ("cross", (A[:, :3], B[:, :3]), {}),
    ("det", (S,), {}),
    ("diagonal", (A,), {"offset": 1}),
    ("eigvalsh", (S,), {}),
    ("inv", (S,), {}),
    ("matrix_norm", (A,), {}),
    ("matrix_norm", (A,), {"ord": "nuc", "keepdims": True}),
    ("matrix_power", (S, 3), {}),
    ("matrix_rank", (S,), {}),
    ("outer", (A[0], B[0]), {}),
    ("pinv", (A,), {}),
    ("slogdet", (S,), {}),
    ("solve", (S, A[:, 0]), {}),
    ("solve", (S, A), {}),
    ("svdvals", (A,), {}),
    ("trace", (A,), {}),
    ("vector_norm", (A,), {}),
    ("vector_norm", (A,), {"axis": 1, "ord": 1, "keepdims": True}),
]
FFT = [
    *[(n, (A,), {}) for n in ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")],
    *[
        (n, (A,), {})
        for n in ("fftn", "ifftn", "rfftn", "irfftn", "fftshift", "ifftshift")
    ],
    ("fft", (A,), {"n": 6, "axis": 0, "norm": "ortho"}),
    ("fftn", (A,), {"axes": (0,)}),
    ("fftshift", (A,), {"axes": 1}),
]


def check(ours_in, theirs_in, case):
    name, args, kwargs = case
    want = getattr(theirs_in, name)(*args, **kwargs)
    got = getattr(ours_in, name)(
        *map(ours, args), **{k: ours(v) for k, v in kwargs.items()}
    )
    same(got, want)


@pytest.mark.parametrize("case", CASES, ids=lambda c: c[0])
def test_function(case):
    check(xp, np, case)


@pytest.mark.parametrize("case", LINALG, ids=lambda c: c[0])
def test_linear_algebra(case):
    check(xp.linalg, np.linalg, case)


@pytest.mark.parametrize("case", FFT, ids=lambda c: c[0])
def test_fourier_transforms(case):
    check(xp.fft, np.fft, case)


def test_factorizations_give_back_the_matrix():
    q, r = xp.linalg.qr(ours(A))
    same(q @ r, A)
    u, s, vh = xp.linalg.svd(ours(A), full_matrices=False)
    same((u * s) @ vh, A)
    w, v = xp.linalg.eigh(ours(S))
    same((v * w) @ v.T, S)


def test_different_values_in_some_order():
    same(xp.sort(xp.unique_values(ours(I))), np.unique(I))
    assert xp.unique_values(xp.asarray([xp.nan, xp.nan, 1.0])).shape == (3,)


def test_frequencies():
    np.testing.assert_allclose(
        xp.fft.fftfreq(5, d=0.5).numpy(), np.fft.fftfreq(5, 0.5), 1e-6
    )
    np.testing.assert_allclose(xp.fft.rfftfreq(5).numpy(), np.fft.rfftfreq(5), 1e-6)


# ---------------------------------------------------------------- the namespace itself


def test_a_tensor_knows_its_namespace():
    x = ad.tensor([1.0])
    assert x.__array_namespace__() is xp
    assert x.__array_namespace__(api_version="2024.12") is xp
    with pytest.raises(AdjointError):
        x.__array_namespace__(api_version="1999.01")
    assert x.to_device("cpu").tolist() == [1.0]


def test_every_case_function_takes_what_the_standard_says():
    """Parameter names and kinds are NumPy's, as far as the standard goes."""
    for name, keyword in [
        ("sum", "axis keepdims dtype"),
        ("std", "axis correction keepdims"),
        ("argsort", "axis descending stable"),
        ("concat", "axis"),
        ("roll", "axis"),
        ("linspace", "dtype device endpoint"),
        ("cumulative_sum", "axis dtype include_initial"),
        ("searchsorted", "side sorter"),
    ]:
        ps = inspect.signature(getattr(xp, name)).parameters
        for word in keyword.split():
            assert ps[word].kind is inspect.Parameter.KEYWORD_ONLY


def test_names_of_the_standard_are_there():
    standard = [n for n, *_ in CASES] + [
        "asarray",
        "empty",
        "empty_like",
        "from_dlpack",
    ]
    standard += ["can_cast", "finfo", "iinfo", "isdtype", "result_type", "newaxis"]
    assert not [n for n in standard if not hasattr(xp, n)]
    assert xp.e == np.e and xp.pi == np.pi and xp.inf == np.inf and xp.newaxis is None
    assert xp.bool is ad.bool and xp.float32 is ad.float32
    assert not [n for n in xp.linalg.__all__ if not hasattr(xp.linalg, n)]
    assert not [n for n in xp.fft.__all__ if not hasattr(xp.fft, n)]


def test_kinds_of_dtypes():
    assert xp.isdtype(xp.int8, "signed integer") and xp.isdtype(xp.uint8, "integral")
    assert xp.isdtype(xp.float64, "real floating") and xp.isdtype(xp.float64, "numeric")
    assert xp.isdtype(xp.complex64, ("bool", "complex floating"))
    assert xp.isdtype(xp.bool, "bool") and not xp.isdtype(xp.bool, "numeric")
    assert xp.isdtype(xp.int8, (xp.int8, xp.int16)) and not xp.isdtype(
        xp.int8, xp.int16
    )
    with pytest.raises(AdjointError):
        xp.isdtype(xp.int8, "whole")


@pytest.mark.parametrize(
    "b", ["bool", "int8", "uint8", "uint16", "int64", "float32", "complex64"]
)
@pytest.mark.parametrize(
    "a", ["bool", "int8", "uint8", "uint32", "int64", "float64", "complex128"]
)
def test_promotion_is_numpys_within_a_kind(a, b):
    kinds = {np.dtype(a).kind.replace("u", "i"), np.dtype(b).kind.replace("u", "i")}
    if len(kinds) > 1 and kinds != {"f", "c"}:
        pytest.skip("the standard leaves this open")
    want = np.result_type(np.dtype(a), np.dtype(b)).name
    assert xp.result_type(ad.dtype(a), ad.dtype(b)).name == want
    assert xp.result_type(xp.ones((), dtype=ad.dtype(a)), ad.dtype(b)).name == want


@pytest.mark.parametrize("name", ["uint8", "uint16", "uint32", "uint64"])
def test_sums_without_a_sign_have_none(name):
    x = xp.asarray([1, 2, 3], dtype=getattr(xp, name))
    assert xp.isdtype(x.dtype, "unsigned integer")
    for f in (xp.sum, xp.prod, xp.cumulative_sum, xp.cumulative_prod):
        assert f(x).dtype is xp.uint64 and f(x, dtype=xp.int32).dtype is xp.int32
    assert xp.cumulative_sum(x, include_initial=True).tolist() == [0, 1, 3, 6]


def test_limits():
    assert xp.finfo(xp.float32).eps == np.finfo(np.float32).eps
    assert xp.finfo(xp.complex128).bits == 64
    assert xp.iinfo(xp.asarray([1], dtype=xp.uint8)).max == 255
    assert xp.can_cast(xp.int8, xp.int64) and not xp.can_cast(xp.int64, xp.int8)


def test_inspection():
    info = xp.__array_namespace_info__()
    assert info.default_device() == "cpu" and info.devices() == ["cpu"]
    assert info.default_dtypes()["real floating"] is ad.float32
    assert {*info.dtypes(kind="complex floating")} == {"complex64", "complex128"}
    assert "bfloat16" not in info.dtypes() and info.dtypes()["int8"] is ad.int8
    assert info.capabilities()["boolean indexing"]


def test_copies():
    x = xp.asarray([1.0, 2.0])
    assert xp.astype(x, xp.float32, copy=False) is x
    assert xp.astype(x, xp.float32) is not x
    assert xp.reshape(x, (2, 1), copy=False).data_ptr() == x.data_ptr()
    assert xp.reshape(x, (2, 1), copy=True).data_ptr() != x.data_ptr()
    with pytest.raises(AdjointError):
        xp.reshape(xp.asarray([[1, 2], [3, 4]]).T, (4,), copy=False)


def test_errors_of_the_standard():
    x = xp.ones((2, 3))
    for wrong in (
        lambda: xp.squeeze(x, 0),
        lambda: xp.take(x, xp.asarray([0])),
        lambda: xp.cumulative_sum(x),
        lambda: xp.nonzero(xp.asarray(1)),
        lambda: xp.max(xp.ones((0,))),
        lambda: xp.abs(1.0),
    ):
        with pytest.raises(AdjointError):
            wrong()


def test_derivatives_go_through():
    x = ad.tensor([0.3, 0.7], requires_grad=True)
    xp.sum(xp.where(x > 0.5, xp.sin(x), xp.multiply(x, x))).backward()
    np.testing.assert_allclose(x.grad.numpy(), [0.6, np.cos(0.7)], rtol=1e-6)


def test_code_written_for_the_standard_runs():
    def standardized(x):
        np_ = x.__array_namespace__()
        return (x - np_.mean(x, axis=0)) / np_.std(x, axis=0, correction=1)

    same(standardized(ours(A)), standardized(A))
