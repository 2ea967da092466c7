"""Switches that hold for a block of code in one thread or task: recording, inference, anomaly."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, NamedTuple

recording: ContextVar[bool] = ContextVar("recording", default=True)
inferring: ContextVar[bool] = ContextVar("inferring", default=False)
anomalies: ContextVar[tuple[bool, bool]] = ContextVar(
    "anomalies", default=(False, True)
)


class Hooks(NamedTuple):
    """What packs and unpacks what nodes save on levels from depth `least` to `depth`."""

    pack: Callable
    unpack: Callable
    depth: float = math.inf
    least: float = -math.inf


packing: ContextVar[Hooks | None] = ContextVar("packing", default=None)  # the innermost


def packing_of(level) -> Hooks | None:
    """The hooks for what nodes of this level save."""
    hooks = packing.get()
    return hooks if hooks and hooks.least <= level.depth <= hooks.depth else None


class Switch:
    """Base of the mode classes: a context manager, a decorator, reusable and nestable."""

    var: ContextVar
    value: object

    def __enter__(self):
        self.__dict__.setdefault("_tokens", []).append(self.var.get())
        self.var.set(self.value)
        return self

    def __exit__(self, *_):
        self.var.set(self._tokens.pop())

    def __call__(self, f):
        if inspect.isgeneratorfunction(f):
            return _around_steps(self, f)

        @functools.wraps(f)
        def wrapped(*args, **kwargs):
            with self.again():
                return f(*args, **kwargs)

        return wrapped

    def again(self):
        """The same switch for another block: calls in several threads share no state."""
        out = object.__new__(type(self))
        out.value = self.value
        return out


def _around_steps(switch, f):
    """Generator function `f`, switched while it runs and not while it waits."""

    @functools.wraps(f)
    def wrapped(*args, **kwargs):
        steps = f(*args, **kwargs)
        advance, sent = steps.send, None
        while True:
            try:
                with switch.again():
                    y = advance(sent)
            except StopIteration as stop:
                return stop.value
            try:
                advance, sent = steps.send, (yield y)
            except GeneratorExit:
                with switch.again():
                    steps.close()
                raise
            except BaseException as error:
                advance, sent = steps.throw, error

    return wrapped


class _Decorable(Switch):
    """A switch whose class decorates without being called: `@no_grad`."""

    def __new__(cls, f=None) -> Any:  # the switch, or f with it around
        self = super().__new__(cls)
        if f is None:
            return self
        return self(f)


class _Recording(_Decorable):
    """Where inference holds, nothing is recorded whatever the switch says."""

    def __enter__(self):
        super().__enter__()
        recording.set(self.value and not inferring.get())
        return self


class no_grad(_Recording):
    """Nothing is recorded in this block.

    >>> import adjoint as ad
    >>> x = ad.tensor(2., requires_grad=True)
    >>> with ad.no_grad():
    ...     (x * x).requires_grad
    False
    """

    var, value = recording, False


class enable_grad(_Recording):
    """Record again inside `no_grad`."""

    var, value = recording, True


class set_grad_enabled(Switch):
    """Recording on or off, at once and, as a context manager, for a block."""

    var = recording

    def __init__(self, mode: bool):
        self.value = bool(mode)
        self._tokens = [recording.get()]
        recording.set(self.value and not inferring.get())

    def __enter__(self):
        return self

    def __call__(self, f):
        recording.set(self._tokens.pop())
        return super().__call__(f)

    def again(self):
        """The block alone: making one does not switch yet."""
        return enable_grad() if self.value else no_grad()


class inference_mode(Switch):
    """`no_grad` whose results may never be used in recorded work."""

    var, value = inferring, True

    def __new__(cls, mode=True) -> Any:  # the switch, or the function with it around
        self = super().__new__(cls)
        if callable(mode):
            self.value = True
            return self(mode)
        self.value = bool(mode)
        return self

    def __enter__(self):
        super().__enter__()
        self.__dict__.setdefault("_modes", []).append(recording.get())
        recording.set(recording.get() and not self.value)
        return self

    def __exit__(self, *error):
        recording.set(self._modes.pop())
        super().__exit__(*error)


class detect_anomaly(Switch):
    """Backward stops at the first NaN and names the operation and its line."""

    var = anomalies

    def __init__(self, check_nan: bool = True):
        self.value = (True, check_nan)


class set_detect_anomaly(detect_anomaly):
    """Anomaly mode on or off, at once and for a block."""

    def __init__(self, mode: bool, check_nan: bool = True):
        self.value = (bool(mode), check_nan)
        self._tokens = [anomalies.get()]
        anomalies.set(self.value)

    def __enter__(self):
        return self

    def __call__(self, f):
        anomalies.set(self._tokens.pop())
        return super().__call__(f)

    def again(self):
        """The block alone: making one does not switch yet."""
        out = object.__new__(detect_anomaly)
        out.value = self.value
        return out


def is_grad_enabled() -> bool:
    """Whether operations are recorded here."""
    return recording.get()


def is_inference_mode_enabled() -> bool:
    """Whether `inference_mode` holds here."""
    return inferring.get()


def is_anomaly_enabled() -> bool:
    """Whether anomaly mode holds here."""
    return anomalies.get()[0]


def is_anomaly_check_nan_enabled() -> bool:
    """Whether anomaly mode, where it holds, looks for NaN."""
    return anomalies.get()[1]
