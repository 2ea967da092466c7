"""Edge cases of every function of one or two tensors, beside PyTorch: value, dtype, gradient.

Empty and 0-d tensors, broadcasting, strides that are not those of fresh memory, NaN, Inf,
denormals, every dtype; and PyTorch's table of promotion. What differs on purpose is listed.
"""

import inspect
import itertools
import operator

import numpy as np
import pytest

import adjoint as ad
from adjoint.errors import AdjointError

torch = pytest.importorskip("torch")
bf16 = pytest.importorskip("ml_dtypes").bfloat16
pytestmark = pytest.mark.filterwarnings("ignore")

# Random numbers, other signatures, vectors up to a sign, and what crashes PyTorch itself.
NOT_HERE = frozenset(
    [
        *("bernoulli", "binomial", "multinomial", "normal", "poisson", "rand_like"),
        *(
            "randn_like",
            "rrelu",
            "seed",
            "initial_seed",
            "manual_seed",
            "set_rng_state",
        ),
        *(
            "get_rng_state",
            "empty_like",
            "from_numpy",
            "tensor",
            "as_tensor",
            "asarray",
        ),
        *("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout"),
        *("feature_alpha_dropout", "feature_dropout", "eig", "svd", "qr", "pdist"),
        *("cholesky", "cholesky_inverse", "nextafter"),
    ]
)
# function: {case: why it is not as in PyTorch}
_OTHERS = "the product of the others is NaN where one of them is, or they overflow"
_REAL = dict.fromkeys(("complex64", "complex128", "axes"), "real numbers only")
_OUTSIDE = dict.fromkeys(
    ("mixed", "special", "denormal"), "the slope outside the domain"
)
_NAN = {"special": "the gradient goes to the NaN that is the result, not everywhere"}
DIFFERENT = {
    "acosh": _OUTSIDE,
    "adjoint": {"0-d": "the error that .mH has"},
    "amax": _NAN,
    "amin": _NAN,
    "aminmax": _NAN,
    "arccosh": _OUTSIDE,
    "copysign": dict.fromkeys(
        ("special", "all special"), "the slope of ±x is ±1, or 0"
    ),
    "cumprod": {"special": _OTHERS, "denormal": _OTHERS},
    "digamma": {"special": "the slope at poles", "denormal": "the slope at poles"},
    "gradient": {"int8": "differences of integers do not wrap around"},
    "histc": dict.fromkeys(("denormal", "float16"), "bins as double numbers tell them"),
    "i0": {"special": "infinite at infinity"},
    "igamma": dict.fromkeys(("denormal", "all special"), "limits"),
    "igammac": dict.fromkeys(("denormal", "all special"), "limits"),
    "logaddexp": _REAL,
    "logcumsumexp": _REAL | {"denormal": "the largest element has the gradient"},
    "logit": _OUTSIDE,
    "prod": {"special": _OTHERS, "denormal": _OTHERS},
    "sinc": _REAL | dict.fromkeys(("special", "denormal"), "0 at infinity"),
    "std": {"denormal": "squares in float32 overflow where PyTorch's sums are double"},
    "std_mean": {"denormal": "as std"},
}

# ---------------------------------------------------------------- cases


def _numbers():
    rng = np.random.default_rng(0)
    f = np.float32
    mixed = rng.uniform(-2, 2, (3, 4)).astype(f)
    unit = rng.uniform(0.1, 0.9, (3, 4)).astype(f)
    big = rng.uniform(0.1, 0.9, (6, 8)).astype(f)
    return {
        "empty": np.zeros(0, f),
        "no rows": np.zeros((0, 3), f),
        "no columns": np.zeros((2, 0), f),
        "0-d": np.array(0.5, f),
        "mixed": mixed,
        "unit": unit,
        "transposed": unit.T,
        "strided": big[::2, 1::3],
        "negative strides": unit[::-1, ::-1],
        "special": np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0], f),
        "denormal": np.array([1e-40, -1e-40, 1e-45, 3e38, -3e38, 1e-30], f),
        "square": rng.uniform(0.1, 0.9, (3, 3)),
        "float16": unit.astype(np.float16),
        "bfloat16": unit.astype(bf16),
        "complex64": (mixed + 1j * unit).astype(np.complex64),
        "complex128": (mixed + 1j * unit).astype(np.complex128),
        "axes": np.array([0, 1, -1, 1j, -1j, complex(-1, -0.0)]),
        "int64": np.array([[-2, 0, 3], [1, 1, 7]]),
        "uint8": np.array([0, 1, 200], np.uint8),
        "int8": np.array([-128, 127, 0], np.int8),
        "int32": np.array([1, 2, 3], np.int32),
        "bool": np.array([[True, False], [True, True]]),
    }


def _pairs():
    mixed, unit, special = (ONE[k] for k in ("mixed", "unit", "special"))
    mirrored = {
        k: (x, (x[..., ::-1] if x.ndim else x).copy())
        for k, x in ONE.items()
        if k not in ("square", "axes")
    }
    return mirrored | {
        "broadcast": (mixed, unit[0]),
        "broadcast both": (mixed[:, :1], unit[:1]),
        "0-d and more": (np.array(0.5, np.float32), unit),
        "empty by one": (np.zeros((0, 3), np.float32), np.zeros((1, 3), np.float32)),
        "by zero": tuple(np.array([[1, -1, 0, 0], [0, 0, 0, -0.0]], np.float32)),
        "all special": (np.repeat(special, 7), np.tile(special, 7)),
        "signs": (np.array([5, -5, 7, -7]), np.array([2, 2, -2, -2])),
        "transposed and not": (mixed.T, np.ascontiguousarray(unit.T)),
        "strided and not": (ONE["strided"], ONE["strided"].copy()),
    }


ONE = _numbers()
TWO = _pairs()


def _required(name) -> list[str]:
    ps = inspect.signature(ad.FUNCTIONS[name]).parameters.values()
    stars = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [p.name for p in ps if p.default is p.empty and p.kind not in stars]


def _functions(*signatures) -> list[str]:
    return sorted(
        name
        for name in ad.FUNCTIONS
        if hasattr(torch, name)
        and name not in NOT_HERE
        and not name.endswith("_")
        and _required(name) in signatures
    )


UNARY = _functions(["input"])
ALONG = _functions(["input", "dim"])
BINARY = _functions(["input", "other"], ["input", "exponent"])


# ---------------------------------------------------------------- comparison


def theirs_of(x):
    """PyTorch's tensor with the layout of the array, which cannot have negative strides."""
    if x.dtype == bf16:
        return torch.from_numpy(x.astype(np.float32)).bfloat16()
    negative = any(s < 0 for s in x.strides)
    return torch.from_numpy(np.ascontiguousarray(x) if negative else x).clone()


def plain(y):
    """(numbers, name of the dtype) of a tensor of either library."""
    if isinstance(y, torch.Tensor):
        y = y.detach().resolve_conj().resolve_neg()
        name = str(y.dtype).removeprefix("torch.")
        return (y.float() if name == "bfloat16" else y).numpy(force=True), name
    y = y.detach().numpy()
    return (y.astype(np.float32), "bfloat16") if y.dtype == bf16 else (y, y.dtype.name)


TOLERANCE = {"bfloat16": 2e-2, "float16": 5e-3, "float64": 1e-9, "complex128": 1e-9}


def check(got, want, tolerance):
    if not isinstance(want, torch.Tensor):
        assert got == want
        return
    (a, da), (b, db) = plain(got), plain(want)
    assert (a.shape, da) == (b.shape, db)
    small = tolerance * 1e-3 if tolerance < 1e-3 else tolerance
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=small)


def outputs(y) -> list:
    return list(y) if isinstance(y, (tuple, list)) else [y]


def weighed(ys, lib):
    """A number that depends on every element of the outputs that have a derivative."""
    total = None
    for y in ys:
        if not getattr(y, "requires_grad", False):
            continue
        w = np.cos(np.arange(y.numel()) + 1).reshape(tuple(y.shape))
        y = y * lib.from_numpy(w).to(y.dtype)
        y = (lib.real(y) if y.is_complex() else y).sum().double()
        total = y if total is None else total + y
    return total


def attempt(f, *args):
    """(result, None) or (None, error)."""
    try:
        return f(*args), None
    except Exception as error:
        return None, error


def compare(name, arrays, *args):
    """What PyTorch refuses we may do, or refuse in our words; what it does we do alike."""
    moving = [a.dtype.kind in "fc" or a.dtype == bf16 for a in arrays]
    xs = [
        ad.from_numpy(a).requires_grad_(m) for a, m in zip(arrays, moving, strict=True)
    ]
    ts = [theirs_of(a).requires_grad_(m) for a, m in zip(arrays, moving, strict=True)]
    want, refusal = attempt(getattr(torch, name), *ts, *args)
    if refusal is not None:
        _, error = attempt(ad.FUNCTIONS[name], *xs, *args)
        assert error is None or isinstance(error, AdjointError), repr(error)
        return
    got, want = outputs(ad.FUNCTIONS[name](*xs, *args)), outputs(want)
    assert len(got) == len(want)
    tolerance = max(TOLERANCE.get(a.dtype.name, 3e-5) for a in arrays)
    for a, b in zip(got, want, strict=True):
        check(a, b, tolerance)
    ours, theirs = weighed(got, ad), weighed(want, torch)
    if theirs is not None and attempt(theirs.backward)[1] is not None:
        return
    assert (ours is None) == (theirs is None), "only one of them has a derivative"
    if ours is None:
        return
    ours.backward()
    for x, t in zip(xs, ts, strict=True):
        assert (x.grad is None) == (t.grad is None)
        if t.grad is not None:
            check(x.grad, t.grad, 10 * tolerance)


def compare_all(name, cases, *args):
    """All cases but those that are known to differ; what went wrong, by case."""
    wrong = {}
    for case in cases.keys() - DIFFERENT.get(name, {}):
        arrays = cases[case]
        arrays = list(arrays) if isinstance(arrays, tuple) else [arrays]
        _, error = attempt(compare, name, arrays, *args)
        if error is not None:
            wrong[case] = error
    told = "".join(f"\n\n{case}: {type(e).__name__}: {e}" for case, e in wrong.items())
    assert not wrong, f"{name}: not as in PyTorch for {sorted(wrong)}{told}"


@pytest.mark.parametrize("name", UNARY)
def test_functions_of_one_tensor(name):
    compare_all(name, ONE)


@pytest.mark.parametrize("name", ALONG)
def test_functions_along_a_dim(name):
    compare_all(name, ONE, 0)
    compare_all(name, ONE, -1)


@pytest.mark.parametrize("name", BINARY)
def test_functions_of_two_tensors(name):
    compare_all(name, TWO)


def test_all_kinds_of_functions_are_reached():
    assert {"sin", "sum", "sqrt", "flip", "sort", "max"} <= {*UNARY, "flip"}
    assert {"add", "pow", "matmul", "atan2", "where"} <= {*BINARY, "where"}
    assert {"cumsum", "softmax"} <= {*ALONG, *UNARY}


def test_listed_differences_are_of_functions_and_cases_that_are_here():
    for name, cases in DIFFERENT.items():
        assert name in ad.FUNCTIONS and cases.keys() <= {*ONE, *TWO}


# ---------------------------------------------------------------- promotion

INTEGERS = ["uint8", "int8", "int16", "int32", "int64"]
FLOATS = ["float16", "bfloat16", "float32", "float64"]
DTYPES = ["bool", *INTEGERS, *FLOATS, "complex64", "complex128"]
OPERATORS = {
    f.__name__: f
    for f in (
        operator.add,
        operator.sub,
        operator.mul,
        operator.truediv,
        operator.floordiv,
        operator.mod,
        operator.pow,
        operator.eq,
        operator.lt,
    )
}
RANKS = [((2,), (2,)), ((2,), ()), ((), (2,)), ((), ())]


def ones(lib, dtype, shape):
    return lib.ones(shape, dtype=getattr(lib, dtype))


def result_name(f, a, b):
    """The name of the result's dtype, or None where it is refused."""
    y, error = attempt(f, a, b)
    if error is None:
        return str(y.dtype).split(".")[-1]
    if isinstance(a, ad.Tensor) or isinstance(b, ad.Tensor):
        assert isinstance(error, AdjointError), repr(error)
    return None


def has_complex32(ours, theirs, *names) -> bool:
    """PyTorch's complex numbers of two halves, which are complex64 here."""
    return "float16" in names and ours == "complex64" and theirs in ("complex32", None)


@pytest.mark.parametrize("name", OPERATORS)
def test_promotion_of_tensors(name):
    f = OPERATORS[name]
    for (sa, sb), a, b in itertools.product(RANKS, DTYPES, DTYPES):
        theirs = result_name(f, ones(torch, a, sa), ones(torch, b, sb))
        ours = result_name(f, ones(ad, a, sa), ones(ad, b, sb))
        if not has_complex32(ours, theirs, a, b):
            assert ours == theirs, f"{a}{list(sa)} and {b}{list(sb)}"


@pytest.mark.parametrize("name", OPERATORS)
def test_promotion_with_numbers(name):
    f = OPERATORS[name]
    for number, dtype, shape in itertools.product(
        (True, 2, 1.5, 1j), DTYPES, ((2,), ())
    ):
        if name == "pow" and number is True and dtype == "bool":
            continue  # a truth value to a power: refused here
        x, t = ones(ad, dtype, shape), ones(torch, dtype, shape)
        for ours, theirs in (
            (result_name(f, x, number), result_name(f, t, number)),
            (result_name(f, number, x), result_name(f, number, t)),
        ):
            if not has_complex32(ours, theirs, dtype):
                assert ours == theirs, f"{dtype}{list(shape)} and {number!r}"


# ---------------------------------------------------------------- in place


def test_in_place_forms_are_those_of_pytorch():
    ours = {n for n in dir(ad.Tensor) if n.endswith("_") and not n.startswith("_")}
    theirs = set(dir(torch.Tensor))
    assert ours <= theirs
    missing = {n for n in theirs - ours if n.endswith("_") and not n.startswith("_")}
    assert missing == {
        *("resize_as_sparse_", "sparse_resize_", "sparse_resize_and_clear_"),
    }


@pytest.mark.parametrize("shape", [(3, 3), (2, 5), (7, 3), (3, 3, 3), (0, 3)])
@pytest.mark.parametrize("wrap", [False, True])
def test_fill_diagonal(shape, wrap):
    def filled(T):
        x = T.full(shape, 2.0, requires_grad=True)
        y = x * x
        assert y.fill_diagonal_(7, wrap) is y
        y.sum().backward()
        return y.tolist(), x.grad.tolist()

    assert filled(ad) == filled(torch)


def test_fill_diagonal_of_a_box_is_refused():
    with pytest.raises(AdjointError, match="dims of one length"):
        ad.zeros(2, 3, 4).fill_diagonal_(1)


def test_as_strided_in_place():
    x = ad.arange(6.0, requires_grad=True)
    y = x * 1
    assert y.as_strided_((2, 2), (2, 1), 1) is y
    y.sum().backward()
    assert x.grad.tolist() == [0, 1, 1, 1, 1, 0]


@pytest.mark.parametrize(
    "f",
    [
        lambda T: T.ones(3).apply_(lambda v: v + 1),
        lambda T: T.ones(3).map_(T.arange(3.0), lambda a, b: a + 2 * b),
        lambda T: T.ones(2, 3).sum_to_size(1, 3),
        lambda T: T.ones(2, 3).sum_to_size(3),
        lambda T: T.stack(list(reversed(T.arange(3)))),
        lambda T: reversed(T.arange(4).reshape(2, 2)),
        lambda T: T.fill(T.ones(2), 3),
        lambda T: T.tensor([1.5, 2.5]).byte(),
        lambda T: T.tensor([1.5, -2.5]).char(),
        lambda T: T.tensor(T.ones(2, 3)[1:, 1:].storage_offset()),
        lambda T: T.tensor(T.ones(2).get_device()),
        lambda T: T.tensor(T.is_same_size(T.ones(2), T.ones(2))),
        lambda T: T.tensor(len(str(T.get_default_device()))),
    ],
)
def test_small_things(f):
    ours, theirs = f(ad), f(torch)
    assert ours.tolist() == theirs.tolist()
    assert str(ours.dtype).split(".")[-1] == str(theirs.dtype).split(".")[-1]


def test_small_errors():
    for T in ad, torch:
        with pytest.raises(RuntimeError, match="requires grad"):
            T.ones(2, requires_grad=True).apply_(lambda v: v)
        with pytest.raises(RuntimeError):
            T.ones(2, 3).sum_to_size(2, 2)
    with pytest.raises(RuntimeError, match="not available"):
        ad.set_default_device("cuda")
    assert not ad.cuda.is_available()
    assert ad.cuda.device_count() == 0


class Meters:
    """An object that knows what to do with a tensor."""

    def __radd__(self, other):
        return "radd"

    def __rmatmul__(self, other):
        return "rmatmul"

    def __rpow__(self, other):
        return "rpow"

    def __gt__(self, other):
        return "gt"


def test_operators_ask_objects_that_they_do_not_know():
    x, m = ad.ones(2), Meters()
    assert (x + m, x @ m, x**m, x < m) == ("radd", "rmatmul", "rpow", "gt")
    with pytest.raises(TypeError, match="unsupported operand"):
        x + "abc"
    x += m
    assert x == "radd"


def gradient(T, f, values):
    x = T.tensor(values, dtype=T.float64, requires_grad=True)
    f(T, x).sum().backward()
    return x.grad


NAN = float("nan")


@pytest.mark.parametrize(
    "f",
    [
        lambda T, x: x.clamp_min(0.0),
        lambda T, x: x.clamp_max(0.0),
        lambda T, x: x.clamp(0.0, 1.0),
        lambda T, x: x.clamp(NAN, 1.0),
        lambda T, x: x.clamp(min=T.tensor([0.0, NAN, NAN, 0.0])),
    ],
)
def test_clamp_at_nan(f):
    values = [NAN, 1.0, -1.0, 0.0]
    for of in (lambda T: f(T, T.tensor(values)), lambda T: gradient(T, f, values)):
        np.testing.assert_array_equal(of(ad).numpy(), of(torch).numpy())


@pytest.mark.parametrize(
    "f",
    [
        lambda T: T.zeros(3).index_put((T.tensor(1),), T.tensor(5.0)),
        lambda T: T.zeros(3, 3).index_put(
            (T.tensor(1), T.tensor([0, 2])), T.tensor(5.0)
        ),
        lambda T: T.zeros(3, 2).index_put_((T.tensor(1),), T.ones(2), accumulate=True),
        lambda T: T.cov(T.tensor([[1.0, 2.0, 4.0]])),
        lambda T: T.corrcoef(T.tensor([[1.0, 2.0, 4.0]])),
        lambda T: T.all(T.tensor([[2, 0]]), dim=()),
        lambda T: T.any(T.tensor([[True, False]]), dim=(), keepdim=True),
        lambda T: T.adaptive_max_pool1d(T.arange(6.0).reshape(1, 1, 6), 2)[1],
        lambda T: T.arange(3.0, out=T.zeros(3, dtype=T.int64)),
        lambda T: T.exp(T.ones(2), out=T.zeros(2, dtype=T.float16)),
        lambda T: T.exp(T.ones(2), out=T.empty(0)),
        lambda T: T.sinc(T.tensor([1 + 2j, 0.0, -0.5j])),
        lambda T: T.logaddexp(T.tensor([1 + 2j, 0.3]), T.tensor([2 - 1j, 0.7])),
        lambda T: T.ones(2, 3).resize_(2).resize_(1, 3)[:, :2],
        lambda T: T.ones(2).set_(T.zeros(3)),
    ],
)
def test_like_pytorch(f):
    got, want = f(ad), f(torch)
    assert got.shape == want.shape and got.dtype.name == str(want.dtype)[6:]
    np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=1e-3)


@pytest.mark.parametrize("name", ["sinc", "exp"])
def test_complex_gradients(name):
    def f(T, x):
        return getattr(T, name)(T.complex(x, x.flip(0))).abs()

    for T in (ad, torch):
        assert T.isfinite(gradient(T, f, [1.0, 0.3])).all()
    got, want = (gradient(T, f, [1.0, 0.3]).numpy() for T in (ad, torch))
    np.testing.assert_allclose(got, want)


SOME, CROSS = [[1.0, 2.0], [3.0, 4.0]], [[0, 1], [1, 0]]


@pytest.mark.parametrize(
    "f, shape",
    [
        (lambda T, x, i, o: T.aminmax(x, dim=0, out=(o(), o())), (2,)),
        (lambda T, x, i, o: T.argmax(x, 0, out=o().long()), (2,)),
        (lambda T, x, i, o: T.argmin(x, 0, out=o().long()), (2,)),
        (lambda T, x, i, o: T.bucketize(x, x[0], out=o().long()), (2, 2)),
        (lambda T, x, i, o: T.clamp_min(x, 2.0, out=o()), (2, 2)),
        (lambda T, x, i, o: T.clamp_max(x, 2.0, out=o()), (2, 2)),
        (lambda T, x, i, o: T.float_power(x, 2, out=o().double()), (2, 2)),
        (lambda T, x, i, o: T.frac(x / 3, out=o()), (2, 2)),
        (lambda T, x, i, o: T.gather(x, 0, i, out=o()), (2, 2)),
        (lambda T, x, i, o: T.index_add(x, 0, i[0], x, out=o()), (2, 2)),
        (lambda T, x, i, o: T.index_copy(x, 0, i[1], x, out=o()), (2, 2)),
        (lambda T, x, i, o: T.index_reduce(x, 0, i[0], x, "prod", out=o()), (2, 2)),
        (lambda T, x, i, o: T.index_select(x, 0, i[1], out=o()), (2, 2)),
        (lambda T, x, i, o: T.isin(x, x[0], out=o().bool()), (2, 2)),
        (lambda T, x, i, o: T.log_softmax(x, 0, out=o()), (2, 2)),
        (lambda T, x, i, o: T.masked_select(x, x > 1, out=o()), (3,)),
        (lambda T, x, i, o: T.mvlgamma(x + 3, 2, out=o()), (2, 2)),
        (lambda T, x, i, o: T.narrow_copy(x, 0, 0, 1, out=o()), (1, 2)),
        (lambda T, x, i, o: T.nonzero(x, out=o().long()), (4, 2)),
        (lambda T, x, i, o: T.renorm(x, 2, 0, 1.0, out=o()), (2, 2)),
        (lambda T, x, i, o: T.scatter(x, 0, i, x, out=o()), (2, 2)),
        (lambda T, x, i, o: T.scatter_add(x, 0, i, x, out=o()), (2, 2)),
        (lambda T, x, i, o: T.scatter_reduce(x, 0, i, x, "sum", out=o()), (2, 2)),
        (lambda T, x, i, o: T.searchsorted(x[0], x, out=o().long()), (2, 2)),
        (lambda T, x, i, o: T.softmax(x, 0, out=o()), (2, 2)),
        (lambda T, x, i, o: T.take(x, i[0], out=o()), (2,)),
        (lambda T, x, i, o: T.take_along_dim(x, i, 0, out=o()), (2, 2)),
        (lambda T, x, i, o: T.where(x > 1, x, -x, out=o()), (2, 2)),
        # sums and products are taken in the dtype of out
        (lambda T, x, i, o: T.sum(x * 0.7, 0, out=o().long()), (2,)),
        (lambda T, x, i, o: T.sum(x, 0, out=o().bool()), (2,)),
        (lambda T, x, i, o: T.sum(x * 1e38, 0, out=o().double()), (2,)),
        (lambda T, x, i, o: T.nansum(x / 3, 0, out=o().double()), (2,)),
        (lambda T, x, i, o: T.prod(x * 0.7, 0, out=o().long()), (2,)),
        (lambda T, x, i, o: T.cumsum(x * 0.7, 0, out=o().long()), (2, 2)),
        (lambda T, x, i, o: T.cumprod(x * 0.7, 0, out=o().long()), (2, 2)),
    ],
)
def test_out_is_pytorchs(f, shape):
    results = []
    for T in (ad, torch):
        made = f(T, T.tensor(SOME), T.tensor(CROSS), lambda T=T: T.full(shape, 9.0))
        results.append(made)
    pairs = zip(*(r if isinstance(r, tuple) else (r,) for r in results), strict=True)
    for got, want in pairs:
        assert got.shape == want.shape and got.dtype.name == str(want.dtype)[6:]
        np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=1e-6)


def test_out_is_what_comes_back():
    x, i = ad.tensor(SOME), ad.tensor(CROSS)
    out, least, most = ad.empty(2, 2), ad.empty(2), ad.empty(2)
    assert ad.gather(x, 0, i, out=out) is out and out[0, 1].item() == 4.0
    found = ad.aminmax(x, dim=0, out=(least, most))
    assert found.min is least and most.tolist() == [3.0, 4.0]


@pytest.mark.parametrize("T", [ad, torch], ids=["adjoint", "torch"])
def test_what_out_refuses(T):
    x = T.ones(2)
    with pytest.raises(RuntimeError, match="can't be cast to the desired output type"):
        T.exp(x, out=T.zeros(2, dtype=T.int64))
    for leaf, out in ((True, False), (False, True)):
        with pytest.raises(
            RuntimeError, match="don't support automatic differentiation"
        ):
            T.exp(x.clone().requires_grad_(leaf), out=T.zeros(2, requires_grad=out))


def test_an_expanded_gradient_is_added_to():
    p = ad.ones(3, requires_grad=True)
    p.grad = ad.tensor(2.0).expand(3)
    (p * 2).sum().backward()
    assert p.grad.tolist() == [4.0, 4.0, 4.0]
