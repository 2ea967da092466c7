"""Arguments of the wrong type or value, to every public function: the error is always ours."""

import contextlib
import inspect
import math
import operator
import signal
from types import FunctionType

import numpy as np
import pytest

import adjoint as ad
from adjoint.errors import AdjointError
from adjoint.functional.face import METHODS

SPACES = {
    "ad": ad,
    "nn.functional": ad.nn.functional,
    "linalg": ad.linalg,
    "fft": ad.fft,
    "special": ad.special,
}
# They change what other tests rely on, or call the functions that they are given.
LEFT_OUT = {
    *("manual_seed", "seed", "set_default_dtype", "set_printoptions", "set_rng_state"),
    *("set_grad_enabled", "set_num_threads", "set_float32_matmul_precision"),
    "set_flush_denormal",
    *("set_autocast_enabled", "set_autocast_dtype", "set_autocast_cache_enabled"),
    *("compile", "load", "save", "checkpoint", "checkpoint_sequential", "gradcheck"),
    *("gradgradcheck", "hvp", "jvp", "vjp", "linearize", "trace"),
}


def public():
    """(name, function) of all."""
    for space, module in SPACES.items():
        for name in getattr(module, "__all__", dir(module)):
            f = getattr(module, name)
            ours = isinstance(f, FunctionType) and f.__module__.startswith("adjoint")
            if ours and not name.startswith("_") and name not in LEFT_OUT:
                yield f"{space}.{name}", f
    for name in sorted({*METHODS, *vars(ad.Tensor)} - LEFT_OUT):
        f = getattr(ad.Tensor, name)
        if isinstance(f, FunctionType) and not name.startswith("_"):
            yield f"Tensor.{name}", f


def matrix():
    return ad.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.5]])


def tensors():
    """Fresh ones: functions may write them."""
    return [
        matrix(),
        matrix(),
        matrix().requires_grad_(),
        ad.tensor([1.0, 2.0, 3.0]),
        ad.tensor([0, 1, 2]),
        ad.tensor([[0, 1, 2]] * 3),
        ad.tensor(2.0),
        ad.tensor([True, False, True]),
        ad.ones(3, 3, dtype=ad.complex64),
        ad.ones(2, 3, 4, 4),
        ad.ones(0, 3),
    ]


class Odd:
    """An object that is nothing of what functions take."""


USUAL = [0, 1, 2, 0.5, True, (0, 1), [1, 2], (3, 3), "mean", ad.float32]
WRONG = [
    *(None, "abc", b"x", Odd(), {}, {"a": 1}, ("a",), (1, "a"), (None,), [None, 1]),
    *(
        math.inf,
        math.nan,
        1e300,
        -1,
        -5,
        2**70,
        (2**70,),
        1j,
        (-1, -1),
        (1, 1),
        (1.5, 2),
    ),
    *((), [], [[]], slice(None), ..., int, Exception, Odd, range(3), lambda: 0),
    *(np.ones((2, 2)), np.float32(2), np.array("a")),
]


class Draw:
    """Arguments for a function, drawn by the seed that is its name."""

    def __init__(self, name):
        self.r = np.random.default_rng(sum(ord(c) * 31**i for i, c in enumerate(name)))

    def one(self, values):
        return values[self.r.integers(len(values))]

    def value(self, name):
        chance = self.r.random()
        if name in ("input", "self", "x", "tensor", "A") and chance < 0.75:
            return self.one(tensors())
        if name in ("dim", "dims", "axis") and chance < 0.6:
            return self.one([0, 1, (0, 1)])
        if chance < 0.5:
            return self.one(WRONG)
        return self.one([*USUAL, *tensors(), [matrix(), matrix()]])

    def arguments(self, f):
        args, kwargs = [], {}
        for p in inspect.signature(f).parameters.values():
            optional = p.default is not p.empty
            if p.kind is p.VAR_POSITIONAL:
                args += [self.value(p.name) for _ in range(self.r.integers(3))]
            elif p.kind is p.KEYWORD_ONLY:
                if not optional or self.r.random() < 0.2:
                    kwargs[p.name] = self.value(p.name)
            elif p.kind is not p.VAR_KEYWORD:
                if optional and self.r.random() < 0.5:
                    break
                args.append(self.value(p.name))
        return args, kwargs


def of_the_call(error) -> bool:
    """Whether Python itself refused the call: the arguments do not fit the signature."""
    trace = error.__traceback__.tb_next
    return isinstance(error, TypeError) and (trace is None or trace.tb_next is None)


@pytest.fixture(autouse=True)
def patience():
    """Nothing takes long: a number too large is refused, not counted up to."""
    if not hasattr(signal, "setitimer"):
        yield
        return

    def over(*_):
        raise TimeoutError("a call takes too long")

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, 10)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "f"), [pytest.param(*p, id=p[0]) for p in public()])
def test_only_our_errors_come_out(name, f):
    draw = Draw(name)
    for _ in range(25):
        args, kwargs = draw.arguments(f)
        if name.startswith("Tensor."):
            args[:1] = [draw.one(tensors())]
        try:
            f(*args, **kwargs)
        except (AdjointError, MemoryError):
            pass
        except TypeError as error:
            if not of_the_call(error):
                raise


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "key",
    [*USUAL, *WRONG, (0, "a"), (..., None, 1.5)],
    ids=lambda key: type(key).__name__,
)
def test_keys(key):
    for x in tensors():
        with contextlib.suppress(AdjointError):
            x[key]
        with contextlib.suppress(AdjointError):
            x[key] = 1
        with contextlib.suppress(AdjointError):
            x[0] = key


IN_PLACE = [operator.iadd, operator.imul, operator.ipow, operator.iand]
OPERATORS = [
    *(operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv),
    *(operator.mod, operator.pow, operator.matmul, operator.and_, operator.or_),
    *(operator.xor, operator.lshift, operator.rshift, operator.lt, operator.eq),
    *IN_PLACE,
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("f", OPERATORS)
def test_operators(f):
    for x in tensors():
        for other in [*USUAL, *WRONG, *tensors()]:
            for pair in ((x, other), (other, x)):
                if isinstance(pair[0], np.ndarray) and f in IN_PLACE:
                    continue  # NumPy writes its array, and speaks for itself
                try:
                    f(*pair)
                except AdjointError:
                    pass
                except TypeError as error:
                    assert error.__traceback__.tb_next is None, error  # Python's own


@pytest.mark.parametrize("name", ["data", "grad", "requires_grad", "real"])
def test_attributes(name):
    for value in WRONG:
        x = matrix()
        with contextlib.suppress(AdjointError):
            setattr(x, name, value)


def test_the_error_names_the_call_and_keeps_its_cause():
    with pytest.raises(TypeError, match=r"chunk\(float32\[3\], \(0, 1\)\)") as caught:
        ad.ones(3).chunk((0, 1))
    assert isinstance(caught.value, AdjointError)
    assert isinstance(caught.value.__cause__, TypeError)
    assert "test_wrong_arguments.py" in str(caught.value)


def test_what_a_users_function_raises_stays_what_it_is():
    def f(x):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        ad.ones(3).apply_(f)
    with pytest.raises(KeyError, match="mine"):
        ad.map(f, ad.ones(3))
    with pytest.raises(TypeError, match="unexpected keyword argument"):
        ad.cat([ad.ones(3)], wrong=1)


NO_TENSOR = [[None, "abc", 1][i % 3] for i in range(12)]


@pytest.mark.parametrize(
    "call",
    [
        lambda x: ad.rnn_tanh_cell(x, x[0], *NO_TENSOR[:2]),
        lambda x: ad.gru_cell(x, x[0], *NO_TENSOR[:2]),
        lambda x: ad.lstm_cell(x, (x[0], x[0]), *NO_TENSOR[:2]),
        lambda x: ad.histogramdd(x, 3, range=1),
        lambda x: ad.empty_permuted((2, 3), (0, 5)),
        lambda x: ad.unflatten(x, 1, 0),
        lambda x: ad.rot90(x, dims=1),
        lambda x: ad.diff(x, (1, 2)),
        lambda x: ad.slice_scatter(x, x, step=(0,)),
        lambda x: ad.triu(x, diagonal=()),
        lambda x: ad.renorm(x, 1j, 0, 1.0),
        lambda x: ad.cdist(x, x, p=1j),
        lambda x: ad.mvlgamma(x, math.inf),
        lambda x: ad.constant_pad_nd(x, 3),
        lambda x: ad.triangular_solve(x, 1),
        lambda x: ad.frombuffer(x, dtype=ad.float32),
        lambda x: ad.nn.functional.adaptive_avg_pool1d(x, 2**70),
        lambda x: ad.exp(x, out=3),
    ],
)
def test_once_foreign(call):
    with pytest.raises(AdjointError):
        call(matrix())
