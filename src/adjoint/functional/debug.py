"""Looking into functions as they run: printed values and checked conditions.

In a compiled function they are operations like others, each of which takes the number of the
one before and gives the next. That number is state, so they happen, and in their order.
"""

from __future__ import annotations

import builtins
import functools

import numpy as np

from ..autodiff.modes import no_grad
from ..autodiff.tape import BASE
from ..core.bind import NUMPY, Box, floor
from ..core.primitive import Primitive, op
from ..errors import (
    ArgumentError,
    ArgumentTypeError,
    CheckError,
    show_site,
    told,
    user_site,
)

__all__ = ["check", "print"]


@functools.cache
def _order():
    """The number of the next effect in a program."""
    return BASE.wrap(np.zeros((), np.int64))


class Effect(Primitive, abstract=True):
    """What happens beside the computation: order, values -> the order of the next."""

    differentiable = False
    calls_back = True

    def infer(self, order, *values, **params):
        return order

    def batch(self, size, xs, dims, params):
        return self(*xs, **params), dims[0]


class Printed(Effect):
    """order + 1, when the values were printed in `text`; None in `others` stands for one.

    >>> op.printed(tensor(0), tensor([1., 2.]), text="{} is {}", others=("x", None))
    x is tensor([1., 2.])
    tensor(1)
    """

    def eager(order, *xs, text, others):
        xs = map(_shown, xs)
        values = [next(xs) if x is None else x for x in others]
        builtins.print(text.format(*values), flush=True)
        return np.asarray(order) + 1

    def samples(rng):
        params = {"text": "{}", "others": (None,)}
        return [((np.array(0), np.asarray(rng.normal())), params)]

    def reference(order, x, text, others):
        return order + 1


class Checked(Effect):
    """order + 1 if all of the first value are true; else the error of `text`, at `where`.

    >>> op.checked(tensor(0), tensor([True]), text="", where="", others=())
    tensor(1)
    """

    def eager(order, held, *xs, text, where, others):
        if not np.all(held):
            xs = map(_shown, xs)
            values = [next(xs) if x is None else x for x in others]
            raise told(CheckError, f"{text.format(*values)}\n  in {where}")
        return np.asarray(order) + 1

    def samples(rng):
        params = {"text": "", "where": "", "others": ()}
        return [((np.array(0), np.array([True, True])), params)]

    def reference(order, held, text, where, others):
        return order + 1

    def errors():
        params = {"text": "x is {}", "where": "", "others": (3,)}
        return [((np.array(0), np.array(False)), params, CheckError, "x is 3")]


class Tried(Effect):
    """order + 1, when an operation has had its say: its errors, for its result is not needed.

    >>> op.tried(tensor(0), tensor([1., 2.]), tensor([1]), name="index", about=(("dim", 0),))
    tensor(1)
    """

    def eager(order, *xs, name, about):
        getattr(op, name).eager(*xs, **dict(about))
        return np.asarray(order) + 1

    def samples(rng):
        params = {"name": "index", "about": (("dim", 0),)}
        return [((np.array(0), rng.normal(size=3), np.array([1])), params)]

    def reference(order, x, i, name, about):
        return order + 1


def attempt(prim, xs, params) -> None:
    """Have a program carry out an operation for its errors alone."""
    _happens(op.tried, xs, {"name": prim.name, "about": tuple(params.items())}, ())


def _shown(x):
    return BASE.wrap(np.array(x))


def print(fmt, *values):
    """Print `fmt.format(*values)` each time it is reached, in compiled functions too.

    >>> f = compile(lambda x: (debug.print("x = {}, twice {:.1f}", x, x * 2), x + 1)[1])
    >>> f(tensor(1.)), f(tensor(2.))
    x = 1.0, twice 2.0
    x = 2.0, twice 4.0
    (tensor(2.), tensor(3.))
    """
    if not isinstance(fmt, str):
        fmt, values = "{}", (fmt, *values)
    _happens(op.printed, (), _filled(fmt, values), values)


def check(condition, message, *values):
    """Raise a CheckError that says `message.format(*values)` unless `condition` holds.

    A condition of several elements must hold for all. Where it fails in a compiled function,
    the call has changed nothing, not even what is written before the check.

    >>> debug.check(tensor(2.) > 1, "too small")
    >>> try:
    ...     debug.check(tensor(0.) > 1, "{} is too small", tensor(0.))
    ... except RuntimeError as error:
    ...     print(str(error).splitlines()[0])
    0.0 is too small
    """
    if not isinstance(message, str):
        raise ArgumentTypeError(f"check: message must be a string, got {message!r}")
    held = condition if isinstance(condition, Box) else _shown(bool(condition))
    where = show_site(user_site())
    _happens(
        op.checked,
        (held.detach(),),
        {**_filled(message, values), "where": where},
        values,
    )


def _filled(text, values) -> dict:
    """The parameters of an effect: the text, and those values that are no tensors."""
    others = tuple([None if isinstance(x, Box) else _plain(x) for x in values])
    try:
        text.format(*(_shown(0) if x is None else x for x in others))
    except (IndexError, KeyError) as error:
        raise ArgumentError(
            f"debug: {text!r} does not fit {len(others)} values: {error}"
        ) from None
    except (TypeError, ValueError):
        pass  # a format of the value itself
    return {"text": text, "others": others}


def _plain(x):
    return x if type(x) in (int, float, bool, str) else str(x)


def _happens(prim, first, params, values) -> None:
    """Carry it out; in a program that is written down, after all others so far."""
    xs = [x.detach() for x in values if isinstance(x, Box)]
    below = floor.get()
    if below is NUMPY or not below.holds(_order()):
        prim(np.zeros((), np.int64), *first, *xs, **params)
        return
    with no_grad():
        _order().copy_(prim(_order(), *first, *xs, **params))
