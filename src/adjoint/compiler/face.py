"""compile: the face; what can be compiled, and modules whose call is."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable

from ..errors import ArgumentTypeError
from .compiled import Compiled
from .insight import Insight
from .settings import settings_of

# What else than `Insight` a compiled module shows of its compiled call.
_SHOWN = ("programs", "warm", "met", "last", "settings", "backend", "wait")


def compile(
    func: Callable | None = None,
    *,
    backend: str = "native",
    cache_size: int = 32,
    background: bool = False,
    check: str | None = None,
    batch: bool | int = False,
    memory: int | str | None = None,
    mode: str | None = None,
    fullgraph: bool = True,
    dynamic: bool | None = None,
    options: dict | None = None,
    disable: bool = False,
):
    """Make one native program of a function of tensors, its state found by itself.

    The first call runs as it is written, so that state which is made on the way exists; the
    next one is captured. Another program is made for other shapes, dtypes and static values.
    What was there before, such as an argument, state, its `.grad` or a view, is returned itself,
    as the function does.

    With `background`, calls are interpreted while a program that takes long is built: they do
    not wait, but two runs may differ in the last bits.

    With `batch`, one program works for every number of examples, which are the first dim of
    the first tensor and of all that are as long: up to the number given, or, with True, up to
    the next power of two. Without, each number of examples has a program of its own.

    With `memory`, bytes such as "512MB", a program takes no more than that together with its
    state, arguments and results: values of the way forward are computed a second time on the
    way back instead of being kept, those first that cost the least time for what they free.
    `memory()` tells which. If that is not enough, the error tells how little can be. Where
    operations run one by one, with `check` or by NumPy, it has no effect, and a warning says so.

    With `check="nan"` it runs slowly, operation by operation, and the first that makes NaN
    raises a NotFiniteError with its line and what it was given, in gradients too; with
    `check="inf"` the first that makes Inf does so as well.

    PyTorch's other options are taken: with `disable` the function stays what it is; a program
    is always whole, as with `fullgraph`, and `mode`, `dynamic` and `options` change nothing.

    >>> @compile
    ... def f(x):
    ...     return (x * x).sum()
    >>> f(tensor([1., 2.])), f(tensor([3., 4.]))
    (tensor(5.), tensor(25.))
    """
    settings = settings_of(backend, cache_size, background, check, batch, memory, mode)
    made = _as_written if disable else functools.partial(_compiled, settings=settings)
    return made if func is None else made(func)


def _compiled(func, settings):
    """The function, compiled so; of a module, one on the same parts."""
    _need_function(func)
    made = Compiled(func, settings)
    return as_module(func, made) if hasattr(func, "named_parameters") else made


def _as_written(func):
    """The function itself: nothing is to be compiled."""
    _need_function(func)
    return func


def _need_function(func):
    """What is compiled must be called once for a result."""
    if isinstance(func, type):
        raise ArgumentTypeError(
            f"compile: expected a function or a module, got the class {func.__name__}",
            hint="compile what it makes, or one of its methods",
        )
    if not callable(func):
        raise ArgumentTypeError(
            f"compile: expected a function or a module, got {type(func).__name__}"
        )
    for kind in ("generator", "coroutine", "asyncgen"):
        if getattr(inspect, f"is{kind}function")(func):
            raise ArgumentTypeError(
                f"compile: {func.__name__} is a generator or async function, which stops "
                "and goes on between its values",
                hint="compile the function that it calls for each of them",
            )


def as_module(module, compiled):
    """A module on the same parts whose call is compiled."""

    def call(self, *args, **kwargs):
        return compiled(*args, **kwargs)

    def again(self):
        return _compiled_again, (module, compiled.settings)

    shown = {k: getattr(compiled, k) for k in dir(Insight) if not k.startswith("_")}
    programs = {k: property(lambda _, k=k: getattr(compiled, k)) for k in _SHOWN}
    kind = type(module)
    names = {**shown, **programs, "__call__": call, "__reduce__": again}
    out = object.__new__(type(kind.__name__, (kind,), names))
    object.__setattr__(out, "__dict__", module.__dict__)
    return out


def _compiled_again(module, settings):
    return as_module(module, Compiled(module, settings))
