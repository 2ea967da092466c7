"""Errors that speak to the user: the rule, the values, the line, a hint.

Each class is also the built-in or PyTorch-like class that a caller would catch.
"""

from __future__ import annotations

import linecache
import os
import sys
from contextvars import ContextVar
from functools import cache, wraps
from itertools import chain

# Where in a network the program is, such as "Sequential.2 (Linear)".
scope: ContextVar[str] = ContextVar("scope", default="")
# The site that operations have just now, if not that of the user's call: where a program that
# is run again was written, or what is differentiated was.
written: ContextVar[tuple | None] = ContextVar("written", default=None)
PACKAGE = os.path.dirname(os.path.abspath(__file__))
OURS = PACKAGE + os.sep, f"{PACKAGE}_cli{os.sep}"


def user_site(skip: int = 1):
    """(code, instruction, module path) of the operation that is about to be done."""
    return written.get() or calling_site(skip + 1)


def calling_site(skip: int = 1):
    """The same of the innermost frame outside this package.

    The first `skip` frames are known to be ours.
    """
    frame = sys._getframe(skip)
    while frame is not None and ours[frame.f_code.co_filename]:
        frame = frame.f_back
    return None if frame is None else (frame.f_code, frame.f_lasti, scope.get())


def in_backward(site):
    """The site of an operation as that of its derivative; None for none."""
    if site is None or _is_derivative(site):
        return site
    return (*site[:2], f"{site[2]}, {BACKWARD}" if site[2] else BACKWARD)


def again(site, around):
    """The site of an operation that is run once more, for a derivative if `around` is one."""
    return in_backward(site) if _is_derivative(around) else site or around


def differentiating() -> bool:
    """Whether what is done just now is the derivative of something, in a program."""
    return _is_derivative(written.get())


def _is_derivative(site) -> bool:
    return site is not None and site[2].endswith(BACKWARD)


BACKWARD = "backward"


class _Ours(dict):
    """file name -> whether it is part of this package, found once a file."""

    def __missing__(self, file):
        self[file] = ours = file.startswith(OURS)
        return ours


ours = _Ours()


def site_line(site) -> tuple[str, int, str]:
    """(file, line, source text) of what `user_site` kept."""
    if site is None:
        return "<unknown>", 0, ""
    code, instruction, _ = site
    line = code.co_firstlineno
    for start, end, number in code.co_lines():
        if number is not None and start <= instruction < end:
            line = number
            break
    return code.co_filename, line, linecache.getline(code.co_filename, line).strip()


def show_site(site) -> str:
    """`train.py:14: y = f(x)`, as error messages and listings print it."""
    file, line, text = site_line(site)
    path = f"{site[2]}, " if site and site[2] else ""
    return f"{path}{os.path.basename(file)}:{line}: {text}".rstrip(": ")


class AdjointError(Exception):
    """Base of all our errors; appends the user's line and a hint to the rule."""

    def __init__(self, rule: str, *, hint: str = "", site=None):
        where = site or calling_site()
        text = f"{rule}\n  in {show_site(where)}" if where else rule
        super().__init__(text + (f"\n  hint: {hint}" if hint else ""))

    def __reduce__(self):
        return (told, (type(self), *self.args))


def told(kind, text):
    """An error with its text as it was, when it comes out of another process."""
    error = kind.__new__(kind, text)
    error.args = (text,)
    return error


class ShapeError(AdjointError, RuntimeError, ValueError):
    """Shapes that do not fit the operation."""


class DtypeError(AdjointError, RuntimeError, TypeError):
    """A dtype that the operation or a derivative does not take."""


class DimError(AdjointError, IndexError):
    """A dimension or an index out of range."""


class ArgumentError(AdjointError, RuntimeError, ValueError):
    """An argument whose value makes no sense here."""


class ArgumentTypeError(AdjointError, TypeError):
    """An argument of the wrong Python type."""


class FileError(AdjointError, ValueError):
    """A file whose content is not what it should be."""


class GradError(AdjointError, RuntimeError):
    """A derivative that was asked for in a way that has no answer."""


class TraceError(AdjointError, RuntimeError, TypeError):
    """A traced value used where only a concrete one has an answer."""


class NotFiniteError(AdjointError, ArithmeticError):
    """NaN or Inf, where a run stops at them; in training, before they reach the parameters.

    >>> batch = tensor([[1., nan]]), ones(1, 1)
    >>> try:
    ...     train.fit(nn.Linear(2, 1), [batch], nn.MSELoss(), optim.SGD, progress=None)
    ... except train.NotFiniteError as error:
    ...     print(str(error)[:42])
    epoch 1, step 1: the loss is NaN: the data
    """


class CheckError(AdjointError, RuntimeError, AssertionError):
    """A condition that a function checks, and that does not hold."""


class LinAlgError(AdjointError, RuntimeError, ValueError):
    """A matrix for which the decomposition or solve does not exist."""


# ---------------------------------------------------------------- what others raise

_WORDS = {
    IndexError: DimError,
    TypeError: ArgumentTypeError,
    AttributeError: ArgumentTypeError,
    ValueError: ArgumentError,
    KeyError: ArgumentError,
    ArithmeticError: ArgumentError,
    AssertionError: ArgumentError,
    RecursionError: ArgumentError,
}
_LIBRARIES = sys.stdlib_module_names | {"adjoint", "ml_dtypes", "numpy", "scipy"}


def need_callable(f, name: str) -> None:
    """The error for what cannot be called where a function is wanted."""
    if not callable(f):
        raise ArgumentTypeError(f"{name}: expected a function, got {_shown(f)}")


def sound(f):
    """Mark `f`, of which every wrong argument has our error: no frame is put around it.

    It takes arguments by our names alone.
    """
    f.sound = True
    return f


@cache
def in_our_words(f, home: str = "adjoint"):
    """The function `f` of the module `home`, as users call it.

    An argument that its checks have missed makes Python or NumPy raise somewhere below: that
    comes out as our error, which names the call. What a user's own code raises, called from
    `f`, and a call that does not fit the signature stay what they are; but arguments by
    NumPy's names (`axis`) are taken.
    """
    if getattr(f, "sound", False):
        return f
    names = _names(f)

    @wraps(f)
    def call(*args, **kwargs):
        if kwargs and not kwargs.keys() <= names:
            kwargs = _by_our_names(kwargs, names)
        try:
            return f(*args, **kwargs)
        except AdjointError:
            raise
        except tuple(_WORDS) as error:
            if not _from_below(error.__traceback__.tb_next):
                raise
            raise _reworded(error, f, args, kwargs) from error

    call.__module__ = home
    return call


_NUMPYS = {
    "axis": "dim",
    "keepdims": "keepdim",
    **dict.fromkeys(("x", "a", "x1"), "input"),
    "x2": "other",
}


def _by_our_names(kwargs, names) -> dict:
    """The named arguments, those by NumPy's names by those of `names` that stand for them."""

    def named(k):
        ours = _NUMPYS.get(k)
        return ours if ours in names and k not in names and ours not in kwargs else k

    return {named(k): x for k, x in kwargs.items()}


def _names(f) -> frozenset[str]:
    """The names of the arguments of a function, perhaps one in a frame of others."""
    while hasattr(f, "__wrapped__"):
        f = f.__wrapped__
    code = getattr(f, "__code__", None)
    if code is None:
        return frozenset()
    return frozenset(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount])


def _from_below(trace) -> bool:
    """Whether only this package and the libraries it stands on ran in `trace`."""
    inside = trace is not None
    while trace is not None:
        module = trace.tb_frame.f_globals.get("__name__") or "adjoint"
        inside = inside and module.partition(".")[0] in _LIBRARIES
        trace = trace.tb_next
    return inside


def _reworded(error, f, args, kwargs) -> AdjointError:
    kind = next(ours for theirs, ours in _WORDS.items() if isinstance(error, theirs))
    if type(error).__name__ == "LinAlgError":
        kind = LinAlgError
    named = (f"{name}={_shown(x)}" for name, x in kwargs.items())
    shown = ", ".join(chain(map(_shown, args), named))
    return kind(f"{f.__name__}({shown}): {error}")


def _shown(x) -> str:
    """A tensor's dtype and shape; of all else how it prints, if that is short."""
    if hasattr(x, "shape") and hasattr(x, "dtype"):
        dtype = getattr(x.dtype, "name", x.dtype)
        return f"{dtype}[{', '.join(map(str, x.shape))}]"
    text = repr(x)
    return text if len(text) <= 40 else f"{text[:37]}..."
