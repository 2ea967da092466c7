"""What every user-facing function needs: the tables of names, lifting and promoting arguments."""

from __future__ import annotations

import inspect
from functools import reduce
from types import FunctionType

import numpy as np

from ..autodiff.modes import recording
from ..autodiff.tape import BASE
from ..core import dtype as dt
from ..core.bind import Box, dtype_of, floor, quiet
from ..core.primitive import op
from ..errors import (
    ArgumentTypeError,
    DtypeError,
    GradError,
    TraceError,
    in_our_words,
)

FUNCTIONS: dict = {}
METHODS: dict = {}
SCALARS = (bool, int, float, complex, np.generic)
OPERANDS = (Box, np.ndarray, *SCALARS)


def function(f):
    """Make `f` a function of the package: `ad.f(x)`."""
    FUNCTIONS[f.__name__] = in_our_words(f)
    return f


def method(f):
    """Make `f` a function and a Tensor method: `ad.f(x)` and `x.f()`."""
    FUNCTIONS[f.__name__] = METHODS[f.__name__] = in_our_words(f)
    return f


def only_method(f):
    """Make `f` a Tensor method alone."""
    METHODS[f.__name__] = in_our_words(f)
    return f


def namespace(module, functions: dict) -> None:
    """Put `functions` by their names into a module that users call them in, such as `fft`."""
    for name, f in functions.items():
        if isinstance(f, FunctionType):
            known = FUNCTIONS.get(f.__name__)
            same = f in (known, inspect.unwrap(known)) if known else False
            setattr(module, name, known if same else in_our_words(f, module.__name__))


def alias(new: str, name: str) -> None:
    """A second name for a function and, where it is one, the method."""
    FUNCTIONS[new] = FUNCTIONS[name]
    if name in METHODS:
        METHODS[new] = METHODS[name]


def need_tensor(x, name: str, position: str = "input"):
    """`x`, which must be a tensor, as PyTorch demands."""
    if isinstance(x, Box):
        return x
    raise ArgumentTypeError(
        f"{name}(): argument '{position}' must be Tensor, not {type(x).__name__}",
        hint="tensor(...) makes one of numbers, lists and arrays",
    )


def has_numbers(x) -> bool:
    """Whether Python can read the numbers of x, which it does not do here."""
    while isinstance(x, Box):
        if x.__dict__.get("batch_dim") is not None or not hasattr(x, "value"):
            return False
        x = x.value
    return True


def concrete(
    x,
    what: str,
    hint: str = "where(mask, a, b) keeps the shape; x[mask] = number works too",
) -> np.ndarray:
    """The numbers of x, on which the shape of a result depends."""
    if not isinstance(x, Box):
        return x
    try:
        return x.numpy_of()
    except (TraceError, AttributeError):
        raise TraceError(
            f"the shape of this result depends on the values of {what}, which are not there "
            "inside a trace or vmap",
            hint=hint,
        ) from None


def need_number(x, name: str, position: str) -> float:
    """`x`, which must be a real number, or a tensor of one, as a float."""
    if isinstance(x, Box) and x.ndim == 0:
        x = x.item()
    if isinstance(x, (int, float, np.integer, np.floating)):
        return float(x)
    raise ArgumentTypeError(
        f"{name}(): argument '{position}' must be Number, not {type(x).__name__}"
    )


def need_bool(flag, name: str, position: str) -> bool:
    """`flag`, which must be True or False."""
    if isinstance(flag, (bool, np.bool_)):
        return bool(flag)
    raise ArgumentTypeError(
        f"{name}(): argument '{position}' must be bool, not {type(flag).__name__}"
    )


def give(y, out):
    """`y`, one tensor or a named tuple of them, written into `out` if one is given."""
    if out is None:
        return y
    if not isinstance(y, tuple):
        return _given(y, need_tensor(out, "operation", "out"))
    if not isinstance(out, (tuple, list)) or len(out) != len(y):
        raise ArgumentTypeError(f"argument 'out' must be a tuple of {len(y)} Tensors")
    return type(y)(*map(give, y, out))


def _given(y, out):
    """`y` in the memory of `out`, which takes its shape, and its numbers if they fit."""
    if recording.get() and (y.requires_grad or out.requires_grad):
        raise GradError(
            "functions with out=... arguments don't support automatic differentiation, but "
            "one of the arguments requires grad",
            hint="no_grad(), or x.copy_(y)",
        )
    if dt.rank(dtype_of(y)) > dt.rank(dtype_of(out)):
        raise DtypeError(
            f"result type {dtype_of(y).name} can't be cast to the desired output type "
            f"{dtype_of(out).name}"
        )
    if tuple(out.shape) != tuple(y.shape):
        out.resize_(y.shape)
    return out.copy_(y)


def wrap(value):
    """A base tensor around a new array."""
    return BASE.wrap(floor.get().constant(value))


def np_dtype(d) -> np.dtype | None:
    """NumPy's dtype for what a user passes as `dtype=`; None stays None."""
    try:
        return None if d is None else dt.dtype(d).np
    except (TypeError, ValueError):
        raise ArgumentTypeError(
            f"dtype must be a dtype such as float32, not {type(d).__name__}"
        ) from None


def cast(x, d: np.dtype):
    """`x` in dtype `d`; itself if it has it."""
    return x if dtype_of(x) == d else op.cast(x, dtype=d)


def inexact(x):
    """`x` with a floating or complex dtype: integers become the default dtype."""
    return cast(x, dt.to_inexact(dtype_of(x)))


def result_dtype(*xs):
    """The dtype in which PyTorch computes with these tensors and numbers.

    Tensors with dims come first, then 0-d tensors, then Python numbers; a later group
    matters only where it has the higher rank.
    """
    d = _one_dtype(xs)
    if d is not None:
        return d
    arrays = [x for x in xs if isinstance(x, (Box, np.ndarray))]
    best = _common([dtype_of(x) for x in arrays if x.ndim])
    best = _outrank(best, _common([dtype_of(x) for x in arrays if not x.ndim]))
    numbers = _common([dt.weak(_kind(x), best) for x in xs if isinstance(x, SCALARS)])
    return _outrank(best, numbers)


def _one_dtype(xs) -> np.dtype | None:
    """The floating dtype of all tensors among `xs`, which Python numbers do not change."""
    d = None
    for x in xs:
        if isinstance(x, Box):
            own = dtype_of(x)
            if d is None and own.kind == "f":
                d = own
            elif own is not d:
                return None
        elif type(x) is not float and type(x) is not int:
            return None
    return d


def _common(dtypes):
    return reduce(dt.promote, dtypes) if dtypes else None


def _outrank(best, other):
    if best is None or other is None:
        return best or other
    if dt.rank(other) <= dt.rank(best):
        return best
    floating = dt.rank(best) == 2  # a complex number keeps the precision of the others
    return dt.to_complex(best) if floating else dt.promote(best, other)


def _kind(x) -> type:
    if isinstance(x, np.generic):
        return type(x.item())
    return type(x)


def lift(x, d: np.dtype, name: str):
    """A tensor in dtype `d`; of an array or a number the constant array of that dtype."""
    if isinstance(x, Box):
        return cast(x, d)
    if isinstance(x, np.ndarray):
        return x.astype(d, copy=False)
    if isinstance(x, SCALARS):
        try:
            return quiet.run(np.array, x, d)
        except OverflowError:
            if d.kind in "iu" and -(2**63) <= x < 2**63:
                return np.array(x, np.int64).astype(d)  # wraps, as PyTorch's numbers do
            raise DtypeError(f"{name}: the number {x} does not fit {d.name}") from None
    (x,) = need_operands(name, (x,))
    return x


def need_operands(name: str, xs):
    """`xs`, which must be tensors, arrays or numbers."""
    for x in xs:
        if isinstance(x, (np.ndarray, np.generic)):
            dt.dtype(x.dtype)
        elif not isinstance(x, OPERANDS):
            raise ArgumentTypeError(
                f"{name}(): arguments must be Tensors or numbers, not {type(x).__name__}",
                hint="tensor(...) makes a tensor of lists and arrays",
            )
    return xs


def promote(name: str, *xs):
    """All arguments in the common dtype."""
    d = result_dtype(*need_operands(name, xs))
    return tuple(lift(x, d, name) for x in xs)
