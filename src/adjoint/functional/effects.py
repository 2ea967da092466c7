"""Effects: what happens beside the computation, in programs and in parts of them.

In a compiled function they are operations like others, each of which takes the number of the
one before and gives the next. That number is state, so they happen, and in their order. In a part
that may change no state, such as a branch, it is a value that goes in and comes out.
"""

from __future__ import annotations

import functools
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np

from ..autodiff.modes import no_grad
from ..autodiff.tape import BASE
from ..core.bind import NUMPY, Box, floor
from ..core.primitive import Primitive, op
from ..errors import CheckError, told
from ..ir.tracer import Stateful
from ..printing import say


@functools.cache
def _order():
    """The number of the next effect in a program."""
    return BASE.wrap(np.zeros((), np.int64))


class Effectful(Stateful):
    """Something happens in a part of a program that was not given the order."""


# In a part that was given it: a list with the order of the next.
_given: ContextVar[list | None] = ContextVar("given", default=None)


@contextmanager
def no_order():
    """Inside, a part is traced that has not been given the order of what is around it."""
    token = _given.set(None)
    try:
        yield
    finally:
        _given.reset(token)


def in_order(f):
    """order, arguments -> (f of the arguments, the order after it)."""

    def run(order, *args):
        given = [order]
        token = _given.set(given)
        try:
            return f(*args), given[0]
        finally:
            _given.reset(token)

    run.__wrapped__ = f  # whose variables around it are those that count
    return run


def threaded(plain, with_order):
    """plain(), the results of a loop or branch; if anything happens in it, with_order(order),
    which gives them and the order after it."""
    given = _given.get()
    if given is None or floor.get() is NUMPY:
        try:
            return plain()
        except Effectful:
            if getattr(floor.get(), "sections", 0):
                raise  # what is around it has to be given the order
    # A copy: the state is written while the way back still has what it was.
    y, after = with_order(op.contiguous(_order()) if given is None else given[0])
    if given is None:
        with no_grad():
            _order().copy_(_single(after))
    else:
        given[0] = after
    return y


def _single(order):
    """The order itself, where vmap has made one for each example of it."""
    while isinstance(order, Box) and order.__dict__.get("batch_dim") is not None:
        d = order.__dict__["batch_dim"]
        order = op.amax(order.value, dim=(d,), keepdim=False)
    return order


class Effect(Primitive, abstract=True):
    """What happens beside the computation: order, values -> the order of the next."""

    differentiable = False
    calls_back = happens = True

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
        xs = map(shown, xs)
        values = [next(xs) if x is None else x for x in others]
        say(text.format(*values))
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
            xs = map(shown, xs)
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
    happen(op.tried, xs, {"name": prim.name, "about": tuple(params.items())}, ())


def shown(x):
    return BASE.wrap(np.array(x))


def happen(prim, first, params, values) -> None:
    """Carry it out; in a program that is written down, after all others so far."""
    xs = [x.detach() for x in values if isinstance(x, Box)]
    below = floor.get()
    if below is NUMPY or not below.holds(_order()):
        prim(np.zeros((), np.int64), *first, *xs, **params)
        return
    given = _given.get()
    if given is None and getattr(below, "sections", 0):
        raise Effectful(
            f"{prim.name}: this part of a program has no order of what happens"
        )
    with no_grad():
        if given is None:
            _order().copy_(prim(_order(), *first, *xs, **params))
        else:
            given[0] = prim(given[0], *first, *xs, **params)
