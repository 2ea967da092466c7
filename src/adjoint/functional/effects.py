"""Effects: what happens beside the computation, in programs and in parts of them.

In a compiled function they are operations like others, each of which takes the number of the
one before and gives the next. That number is state, so they happen, and in their order. In a part
that may change no state, such as a branch, it is a value that goes in and comes out.

Under vmap, where a branch or step is computed for examples that do not take it, the order of these
is negative: for them nothing happens.
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
    """The order itself, without what transforms have made of it: one for each example, say."""
    while isinstance(order, Box) and order.level is not BASE:
        d = order.__dict__.get("batch_dim")
        order = order.value
        if d is not None:
            order = op.amax(order, dim=(d,), keepdim=False)
    return order


# ---------------------------------------------------------------- examples that are there

# Eagerly: the order where only some examples are, None elsewhere.
_here: ContextVar[Box | None] = ContextVar("here", default=None)


@contextmanager
def among(chosen):
    """Inside, all that happens does so for those examples alone for which `chosen` holds."""
    order = _here.get()
    token = _here.set(left_out(shown(0) if order is None else order, chosen))
    try:
        yield
    finally:
        _here.reset(token)


def left_out(order, chosen):
    """The order, negative where `chosen` does not hold."""
    return op.where(chosen, order, op.minimum(order, op.bitwise_not(order)))


def is_ordered(*graphs) -> bool:
    """Whether the first input of these programs is an order, for what happens in one of them."""
    return any(g.inputs and _orders(g, {g.inputs[0]}) for g in graphs)


def _orders(graph, orders) -> bool:
    """Whether something happens in the order that these inputs are, or are made to."""
    for o in graph.operations:
        if not any(v in orders for v in o.inputs):
            continue
        if o.prim.happens:
            return o.inputs[0] in orders
        if any(_orders(p, _inside(p, o, orders)) for p in o.bodies()):
            return True
        orders |= {v for v in o.outputs if v.spec.dtype == np.int64}
    return False


def _inside(part, operation, orders) -> set:
    """The first input of a part, if its operation is given an order there."""
    first = operation.inputs[operation.prim.name == "branch"]
    return set(part.inputs[:1]) if first in orders else set()


class Effect(Primitive, abstract=True):
    """What happens beside the computation: order, values -> the order of the next.

    An order with dims is that of examples, for each of its own; `leads` says of each value which
    of these dims it has, as its first.
    """

    differentiable = False
    calls_back = happens = True

    def infer(self, order, *values, **params):
        return order

    def batch(self, size, xs, dims, params):
        if dims[0] is None:
            return self(*xs, **params), None
        pairs = list(zip(xs, dims, strict=True))
        xs = [x if d is None else _first_dim(x, d) for x, d in pairs]
        before = params.get("leads") or ((),) * len(xs[1:])
        leads = tuple(
            [(d is not None, *b) for d, b in zip(dims[1:], before, strict=True)]
        )
        return self(*xs, **{**params, "leads": leads}), 0


def _first_dim(x, d):
    return op.permute(x, dims=(d, *(i for i in range(x.ndim) if i != d))) if d else x


def _of_those_here(order, xs, leads):
    """What the values are for the examples that are there; None if there are none."""
    here = np.asarray(order) >= 0
    if here.all():
        return xs
    return (
        [_rows(x, here, b) for x, b in zip(xs, leads, strict=True)]
        if here.any()
        else None
    )


def _rows(x, here, lead):
    """The rows of x of the examples that are there, whichever of their dims it has."""
    return np.asarray(x)[here.any(axis=tuple(i for i, b in enumerate(lead) if not b))]


def _next(order):
    """The order after this: still that of none where it is."""
    order = np.asarray(order)
    return order + (order >= 0)


class Printed(Effect):
    """order + 1, when the values were printed in `text`; None in `others` stands for one.

    >>> op.printed(tensor(0), tensor([1., 2.]), text="{} is {}", others=("x", None))
    x is tensor([1., 2.])
    tensor(1)
    """

    def eager(order, *xs, text, others, leads=()):
        xs = _of_those_here(order, xs, leads)
        if xs is not None:
            say(text.format(*_filled(others, xs)))
        return _next(order)

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

    def eager(order, *values, text, where, others, leads=()):
        found = _of_those_here(order, values, leads)
        if found is not None and not np.all(found[0]):
            said = text.format(*_filled(others, found[1:]))
            raise told(CheckError, f"{said}\n  in {where}")
        return _next(order)

    def samples(rng):
        params = {"text": "", "where": "", "others": ()}
        return [((np.array(0), np.array([True, True])), params)]

    def reference(order, held, text, where, others):
        return order + 1

    def errors():
        params = {"text": "x is {}", "where": "", "others": (3,)}
        return [((np.array(0), np.array(False)), params, CheckError, "x is 3")]


def _filled(others, xs) -> list:
    """The values of a text: those that are no tensors, and the others for None."""
    xs = map(shown, xs)
    return [next(xs) if x is None else x for x in others]


class Tried(Effect):
    """order + 1, when an operation has had its say: its errors, for its result is not needed.

    >>> op.tried(tensor(0), tensor([1., 2.]), tensor([1]), name="index", about=(("dim", 0),))
    tensor(1)
    """

    def eager(order, *xs, name, about, leads=()):
        getattr(op, name).eager(*xs, **dict(about))
        return _next(order)

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
        here = _here.get()
        prim(np.zeros((), np.int64) if here is None else here, *first, *xs, **params)
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
