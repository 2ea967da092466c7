"""Elementwise functions: generated from the records, and the composites over them."""

from __future__ import annotations

import numpy as np

from ..autodiff import straight
from ..core.bind import Box, bind, dtype_of
from ..core.dtype import to_inexact, to_real
from ..core.primitive import Elementwise, number, op
from ..errors import ArgumentError, ArgumentTypeError, DtypeError, sound
from .face import (
    FUNCTIONS,
    METHODS,
    OPERANDS,
    SCALARS,
    alias,
    cast,
    function,
    give,
    lift,
    method,
    need_operands,
    need_tensor,
    only_method,
    promote,
    result_dtype,
    wrap,
)

_HIDDEN = frozenset(
    {
        "clamp",
        "gate",
        "guard",
        "logaddexp",
        "pow_scalar",
        "pow",
        "where",
        "round",
        "div",
    }
)
_KINDS = {"f": "fV"}


def _kinds(prim) -> str:
    """Kinds of dtype that go in without conversion."""
    takes = prim.takes.replace("f", "fV")
    return takes.translate({ord(c): None for c in "bui"}) if prim.inexact else takes


def checked(prim, x):
    """`x` in a dtype that the record takes, or the error that says which."""
    d = dtype_of(x)
    if prim.inexact and d.kind in "bui":
        return cast(x, to_inexact(d))
    if d.kind not in _kinds(prim):
        raise DtypeError(f"{prim.name}: not defined for {d.name}")
    return x


def unary(prim: Elementwise):
    """The user's function for a record with one input."""
    run = straight.unary(prim, _kinds(prim))

    @sound
    def f(input, *, out=None):
        y = run(input)
        if y is None:
            y = bind(prim, checked(prim, need_tensor(input, prim.name)))
        return y if out is None else give(y, out)

    return f


def binary(prim: Elementwise, refuses=None):
    """The user's function for a record with two inputs; `refuses` raises for some."""
    run = straight.binary(prim, _kinds(prim))

    @sound
    def f(input, other, *, out=None):
        y = run(input, other)
        if y is None:
            if refuses:
                refuses(input, other)
            xs = _promoted(prim, input, other)
            y = bind(prim, *(checked(prim, x) for x in xs))
            y = y if isinstance(y, Box) else wrap(np.asarray(y))
        return y if out is None else give(y, out)

    return f


def operator(prim: Elementwise, f):
    """What `+` and its like call: `f` without keyword arguments.

    For what is neither tensor nor number Python asks the other operand next.
    """
    run = straight.binary(prim, _kinds(prim))

    def operate(self, other):
        y = run(self, other)
        if y is not None:
            return y
        return f(self, other) if isinstance(other, OPERANDS) else NotImplemented

    return operate


def _promoted(prim, *xs):
    """All in the common dtype; numbers go straight to the floating one if that is next."""
    if prim.inexact and not all(isinstance(x, Box) for x in xs):
        d = result_dtype(*need_operands(prim.name, xs))
        return tuple(lift(x, to_inexact(d), prim.name) for x in xs)
    return promote(prim.name, *xs)


# Files of records that have faces of their own.
_SPECIAL = "erf", "entropies", "inverse_erf", "gamma", "incomplete_gamma", "bessel"
_ELSEWHERE = frozenset(["activation", "bits", *_SPECIAL])


def _has_own_face(prim) -> bool:
    """Whether a module here writes the user's function of this record by hand."""
    return type(prim).__module__.rsplit(".", 1)[-1] in _ELSEWHERE


def _install() -> None:
    for prim in op:
        if _has_own_face(prim):
            continue
        if isinstance(prim, Elementwise) and prim.name not in _HIDDEN and prim.nin <= 2:
            f = (unary if prim.nin == 1 else binary)(prim)
            f.__name__ = f.__qualname__ = prim.name
            f.__doc__ = type(prim).__doc__
            f.__module__ = "adjoint"
            method(f)


_install()
for _new, _name in {
    "absolute": "abs",
    "arcsin": "asin",
    "arccos": "acos",
    "arctan": "atan",
    "arctan2": "atan2",
    "arcsinh": "asinh",
    "arccosh": "acosh",
    "arctanh": "atanh",
    "fix": "trunc",
    "multiply": "mul",
    "negative": "neg",
    "greater": "gt",
    "greater_equal": "ge",
    "less": "lt",
    "less_equal": "le",
    "not_equal": "ne",
}.items():
    alias(_new, _name)


@method
@sound
def add(input, other, *, alpha=1, out=None):
    """input + alpha · other.

    >>> add(tensor([1.]), tensor([2.]), alpha=10)
    tensor([21.])
    """
    y = _add(
        input,
        other
        if type(alpha) is int and alpha == 1
        else _scaled("add", input, other, alpha),
    )
    return give(y, out)


@method
@sound
def sub(input, other, *, alpha=1, out=None):
    """input − alpha · other.

    >>> sub(tensor([1.]), tensor([2.]), alpha=10)
    tensor([-19.])
    """
    y = _sub(
        input,
        other
        if type(alpha) is int and alpha == 1
        else _scaled("sub", input, other, alpha),
    )
    return give(y, out)


def _scaled(name, input, other, alpha):
    """alpha · other in the dtype of the result, which alpha has to fit."""
    alpha, kind = _constant(alpha)
    if kind is None:
        raise ArgumentTypeError(
            f"{name}(): argument 'alpha' must be Number, not {type(alpha).__name__}"
        )
    d = result_dtype(*need_operands(name, (input, other)))
    if d.kind in "biu" and kind in "fc":
        raise DtypeError(
            f"{name}: For integral input tensors, argument alpha must not be a floating point "
            f"number, got {alpha}"
        )
    if d.kind != "c" and kind == "c":
        raise DtypeError(
            f"{name}: For non-complex input tensors, argument alpha must not be a complex "
            f"number, got {alpha}"
        )
    return op.mul(lift(other, d, name), lift(alpha, d, name))


def _constant(x):
    """(x, its kind): a number, or a tensor of one, which may be without its value yet.

    None is the kind of all else.
    """
    if isinstance(x, Box) and x.numel() == 1:
        return x.detach().reshape(()), dtype_of(x).kind
    if isinstance(x, SCALARS):
        return x, np.asarray(x).dtype.kind
    return x, None


def _no_bool(*xs):
    """PyTorch subtracts nothing from, and no, truth value."""
    if any(
        isinstance(x, bool) or (isinstance(x, Box) and dtype_of(x).kind == "b")
        for x in xs
    ):
        raise DtypeError(
            "Subtraction, the `-` operator, with a bool tensor is not supported",
            hint="`^` or logical_xor tells where they differ, ~ or logical_not inverts",
        )


_add, _mul, _div = binary(op.add), binary(op.mul), binary(op.div)
_sub = binary(op.sub, _no_bool)
STRAIGHT = {  # what operators call, a frame less than the functions have
    "add": operator(op.add, _add),
    "sub": operator(op.sub, _sub),
    "mul": operator(op.mul, _mul),
    "div": operator(op.div, _div),
}
alias("subtract", "sub")


_logaddexp = binary(op.logaddexp)


@method
@sound
def logaddexp(input, other, *, out=None):
    """ln(e^input + e^other).

    >>> logaddexp(tensor([0.]), tensor([0.]))
    tensor([0.6931])
    """
    if any(isinstance(x, Box) and dtype_of(x).kind == "c" for x in (input, other)):
        a, b = promote("logaddexp", input, other)
        first = op.ge(op.real(a), op.real(b))
        high, low = op.where(first, a, b), op.where(first, b, a)
        return give(high + op.log(op.exp(low - high) + number(1, high)), out)
    return _logaddexp(input, other, out=out)


@method
@sound
def div(input, other, *, rounding_mode=None, out=None):
    """input / other; `rounding_mode` "trunc" or "floor" rounds the quotient.

    >>> div(tensor([7.]), 2, rounding_mode="floor")
    tensor([3.])
    """
    if rounding_mode is None:
        y = _div(input, other)
    elif not isinstance(rounding_mode, str):
        raise ArgumentTypeError(
            "div(): argument 'rounding_mode' must be str, not "
            f"{type(rounding_mode).__name__}"
        )
    elif rounding_mode == "floor":
        y = FUNCTIONS["floor_divide"](input, other)
    elif rounding_mode == "trunc":
        a, b = promote("div", input, other)
        y = op.trunc(op.div(a, b)) if dtype_of(a).kind in "fV" else _trunc_ints(a, b)
    else:
        raise ArgumentError(
            f"div: rounding_mode must be None, 'trunc' or 'floor', got {rounding_mode!r}"
        )
    return give(y, out)


def _trunc_ints(a, b):
    quotient = op.floor_divide(a, b)
    inexact_down = op.logical_and(
        op.ne(op.remainder(a, b), number(0, a)), op.lt(quotient, number(0, a))
    )
    return op.add(quotient, op.cast(inexact_down, dtype=dtype_of(quotient)))


alias("divide", "div")
alias("true_divide", "div")


@method
@sound
def pow(input, exponent, *, out=None):
    """input to the power `exponent`, either of them a number or a tensor.

    >>> pow(tensor([1., 2., 3.]), 2)
    tensor([1., 4., 9.])
    >>> pow(2, tensor([1., 2.]))
    tensor([2., 4.])
    """
    y = None
    if type(exponent) is int or type(exponent) is float:
        y = _pow_scalar(input, {"exponent": exponent})
        if y is None and isinstance(input, Box) and _keeps_dtype(input, exponent):
            y = op.pow_scalar(input, exponent=exponent)
    if y is None:
        y = _pow(*promote("pow", input, exponent), exponent)
    return give(y, out)


def _pow(a, b, given):
    kind = dtype_of(a).kind
    if kind == "b" and isinstance(given, bool):
        return op.logical_or(a, op.logical_not(b))
    if kind in "iu" and isinstance(given, int) and given < 0:
        raise ArgumentError("Integers to negative integer powers are not allowed")
    return op.pow(checked(op.pow, a), checked(op.pow, b))


_pow_scalar = straight.unary(op.pow_scalar, "f")
_POWERS = {
    1: straight.unary(op.pow_scalar, "f", np.positive),
    2: straight.unary(op.pow_scalar, "f", np.square),
}


def _power(self, exponent):
    """`x ** exponent`."""
    if type(exponent) is int or type(exponent) is float:
        run = _POWERS.get(exponent, _pow_scalar)
        y = run(self, {"exponent": exponent})
        if y is not None:
            return y
    return pow(self, exponent) if isinstance(exponent, OPERANDS) else NotImplemented


STRAIGHT["pow"] = _power


def _keeps_dtype(x, exponent) -> bool:
    """Whether x to a power of this Python type has x's dtype."""
    d = dtype_of(x)
    if d.kind not in "iu":
        return d.kind in "fVc"
    if isinstance(exponent, int) and exponent < 0:
        raise ArgumentError("Integers to negative integer powers are not allowed")
    return isinstance(exponent, int)


@method
def float_power(input, exponent, *, out=None):
    """`pow` in double precision.

    >>> float_power(tensor([2]), 2)
    tensor([4.], dtype=adjoint.float64)
    """
    wide = (_widened(x) if isinstance(x, Box) else x for x in (input, exponent))
    return give(pow(*wide), out)


def _widened(x):
    return cast(x, np.dtype("complex128" if dtype_of(x).kind == "c" else "float64"))


@method
def round(input, *, decimals=0, out=None):
    """The nearest integer, halves to even; `decimals` places.

    >>> round(tensor([0.5, 1.5, -2.5]))
    tensor([ 0.,  2., -2.])
    """
    x = checked(op.round, need_tensor(input, "round"))
    if decimals and dtype_of(x).kind not in "fV":
        raise DtypeError(f"round: decimals are of no use for {dtype_of(x).name}")
    y = op.round(x, decimals=decimals)
    return give(y, out)


@function
def where(condition, input=None, other=None, *, out=None):
    """`input` where `condition` holds, `other` elsewhere; alone: the indices where it holds.

    >>> where(tensor([True, False]), 1., 0.)
    tensor([1., 0.])
    """
    need_tensor(condition, "where", "condition")
    if input is None and other is None:
        return FUNCTIONS["nonzero"](condition, as_tuple=True)
    if dtype_of(condition).name not in ("bool", "uint8"):
        raise DtypeError(
            f"where: the condition must be bool, got {dtype_of(condition).name}"
        )
    condition = cast(condition, np.dtype(bool))
    a, b = promote("where", input, other)
    return give(op.where(condition, a, b), out)


@only_method
def _where(self, condition, other):
    return where(condition, self, other)


METHODS["where"] = METHODS.pop("_where")


_clamp = straight.unary(op.clamp, "f")


@method
@sound
def clamp(input, min=None, max=None, *, out=None):
    """Limited to [min, max], either a number, a tensor or None; gradient passes inside.

    >>> clamp(tensor([-2., 0.5, 2.]), -1, 1)
    tensor([-1.0000,  0.5000,  1.0000])
    """
    if _is_bound(min) and _is_bound(max) and (min is not None or max is not None):
        y = _clamp(input, {"low": min, "high": max})
        if y is not None:
            return y if out is None else give(y, out)
    x = need_tensor(input, "clamp")
    if min is None and max is None:
        raise ArgumentError("clamp: at least one of 'min' or 'max' must not be None")
    given = [v for v in (min, max) if v is not None]
    x, *bounds = promote("clamp", x, *given)
    if dtype_of(x).kind not in "buifV":
        raise DtypeError("clamp is not supported for complex types")
    if all(
        isinstance(b, np.ndarray) and not b.ndim and _is_bound(b.item()) for b in bounds
    ):
        low, high = ((None, *bounds) if min is None else (*bounds, None))[:2]
        y = op.clamp(x, low=_item(low), high=_item(high))
    else:
        y = x if min is None else _limited(op.ge, x, bounds[0])
        y = y if max is None else _limited(op.le, y, bounds[-1])
    return give(y, out)


def _item(bound):
    return None if bound is None else bound.item()


def _is_bound(x) -> bool:
    """None or a number, which is not NaN."""
    return x is None or ((type(x) is float or type(x) is int) and x == x)


def _limited(compare, x, bound):
    """x where it compares, else the bound; a NaN of either stays, with no gradient to x."""
    if dtype_of(x).kind not in "biu":
        bound = op.where(op.isnan(x), number(np.nan, x), bound)
    return op.where(compare(x, bound), x, bound)


alias("clip", "clamp")


@method
def clamp_min(input, min, *, out=None):
    """Not below `min`.

    >>> clamp_min(tensor([-1., 2.]), 0)
    tensor([0., 2.])
    """
    return clamp(input, min=min, out=out)


@method
def clamp_max(input, max, *, out=None):
    """Not above `max`.

    >>> clamp_max(tensor([-1., 2.]), 0)
    tensor([-1.,  0.])
    """
    return clamp(input, max=max, out=out)


@method
def lerp(input, end, weight, *, out=None):
    """input + weight · (end − input), and just `end` for weight 1.

    >>> lerp(tensor([0., 10.]), tensor([10., 20.]), 0.5)
    tensor([ 5., 15.])
    """
    x, end = need_tensor(input, "lerp"), need_tensor(end, "lerp", "end")
    d = dtype_of(x)
    for what, other in (("end", end), ("weight", weight)):
        if isinstance(other, Box) and dtype_of(other) != d:
            raise DtypeError(
                f"lerp: expected dtype {d.name} for `{what}` but got dtype "
                f"{dtype_of(other).name}"
            )
    if d.kind in "biu":
        raise DtypeError(f"lerp: not defined for {d.name}")
    way = _sub(end, x)
    if isinstance(weight, Box):
        near = op.lt(op.abs(weight), np.array(0.5, to_real(d)))
        from_end = _sub(end, _mul(way, _sub(1, weight)))
        y = where(near, _add(x, _mul(way, weight)), from_end)
    elif abs(weight) < 0.5:
        y = _add(x, _mul(way, weight))
    else:
        y = _sub(end, _mul(way, 1 - weight))
    return give(y, out)


def _one_dtype(name, *xs):
    """All in the common dtype; bool has none of it."""
    for x in xs:
        need_tensor(x, name)
    d = result_dtype(*xs)
    if d.kind == "b":
        raise DtypeError(f"{name}: not defined for bool")
    return [lift(x, d, name) for x in xs], d


def _times(x, value, d, name):
    """x times the factor `value`, in dtype `d`: whole for integers."""
    value, kind = _constant(value)
    if kind == "c" and d.kind != "c":
        raise DtypeError(f"{name}: the value {value} does not fit {d.name}")
    if isinstance(value, Box):
        return _mul(x, lift(value, d, name))
    value = int(value) if d.kind in "iu" else value
    return x if value == 1 else _mul(x, lift(value, d, name))


@method
def addcmul(input, tensor1, tensor2, *, value=1, out=None):
    """input + value · tensor1 · tensor2.

    >>> addcmul(tensor([1.]), tensor([2.]), tensor([3.]), value=2)
    tensor([13.])
    """
    (x, a, b), d = _one_dtype("addcmul", input, tensor1, tensor2)
    y = _add(x, _times(_mul(a, b), value, d, "addcmul"))
    return give(y, out)


@method
def addcdiv(input, tensor1, tensor2, *, value=1, out=None):
    """input + value · tensor1 / tensor2.

    >>> addcdiv(tensor([1.]), tensor([6.]), tensor([3.]), value=2)
    tensor([5.])
    """
    for x in (tensor1, tensor2):
        need_tensor(x, "addcdiv")
    if result_dtype(tensor1, tensor2).kind in "biu":
        raise DtypeError(
            "addcdiv: integer division is not supported", hint="div has a rounding_mode"
        )
    (x, a, b), d = _one_dtype("addcdiv", input, tensor1, tensor2)
    y = _add(x, _times(_div(a, b), value, d, "addcdiv"))
    return give(y, out)


@method
def square(input):
    """x².

    >>> square(tensor([3.]))
    tensor([9.])
    """
    return pow(input, 2)


@method
def positive(input):
    """x itself.

    >>> +tensor([1.])
    tensor([1.])
    """
    x = need_tensor(input, "positive")
    if dtype_of(x).kind == "b":
        raise DtypeError("positive: the + operator of a bool tensor is not defined")
    return x


@method
def frac(input, *, out=None):
    """x − trunc(x).

    >>> frac(tensor([1.5, -1.5]))
    tensor([ 0.5000, -0.5000])
    """
    x = need_tensor(input, "frac")
    if dtype_of(x).kind not in "fV":
        raise DtypeError(f"frac: not defined for {dtype_of(x).name}")
    return give(_sub(x, op.trunc(x)), out)


@method
def rsub(input, other, *, alpha=1):
    """other − alpha · input.

    >>> rsub(tensor([1.]), 3)
    tensor([2.])
    """
    need_tensor(input, "rsub")
    return _sub(other, input if alpha == 1 else _scaled("rsub", other, input, alpha))


@method
def isclose(input, other, rtol=1e-05, atol=1e-08, equal_nan=False):
    """|input − other| ≤ atol + rtol |other|.

    >>> isclose(tensor([1., 2.]), tensor([1., 2.1]))
    tensor([ True, False])
    """
    a, b = need_tensor(input, "isclose"), need_tensor(other, "isclose", "other")
    if dtype_of(a) != dtype_of(b):
        raise DtypeError(
            f"isclose: {dtype_of(a).name} did not match {dtype_of(b).name}"
        )
    if dtype_of(a).kind in "bui":  # whose differences wrap around
        a, b = _widened(a), _widened(b)
    close = FUNCTIONS["le"](
        FUNCTIONS["abs"](_sub(a, b)), add(_mul(FUNCTIONS["abs"](b), rtol), atol)
    )
    close = FUNCTIONS["logical_or"](
        FUNCTIONS["eq"](a, b), FUNCTIONS["logical_and"](close, op.isfinite(b))
    )
    if equal_nan:
        close = FUNCTIONS["logical_or"](close, op.logical_and(op.isnan(a), op.isnan(b)))
    return close


@method
def allclose(input, other, rtol=1e-05, atol=1e-08, equal_nan=False) -> bool:
    """Whether all elements are close.

    >>> allclose(tensor([1.]), tensor([1.]))
    True
    """
    return bool(isclose(input, other, rtol, atol, equal_nan).all())


@method
def equal(input, other) -> bool:
    """Same shape and the same elements.

    >>> equal(tensor([1, 2]), tensor([1, 2]))
    True
    """
    input, other = need_tensor(input, "equal"), need_tensor(other, "equal", "other")
    same = tuple(input.shape) == tuple(other.shape)
    return same and bool(FUNCTIONS["eq"](input, other).all())


alias("logsigmoid", "log_sigmoid")
