"""Comparisons, logic, and what kind of number something is."""

from __future__ import annotations

import numpy as np

from ..core.primitive import Elementwise, op
from .complex_parts import is_nonzero
from .samples import any1, any2


class _Comparison(Elementwise, abstract=True):
    lowers = "buif"
    out = "bool"
    samples = any2


class _Order(_Comparison, abstract=True):
    """Of real numbers alone."""

    takes = "buif"


class _Test(_Comparison, abstract=True):
    """Of one number."""

    samples = any1


class Eq(_Comparison):
    """x₁ = x₂.

    >>> tensor([1, 2]) == 1
    tensor([ True, False])
    """

    eager = np.equal
    symbol = "{} == {}"

    def lower(b, x1, x2):
        return b.compare("==", x1, x2)

    def parts(x1, x2):
        return op.logical_and(op.eq(x1[0], x2[0]), op.eq(x1[1], x2[1]))


class Ne(_Comparison):
    """x₁ ≠ x₂.

    >>> tensor([1, 2]) != 1
    tensor([False,  True])
    """

    eager = np.not_equal
    symbol = "{} != {}"

    def lower(b, x1, x2):
        return b.compare("!=", x1, x2)

    def parts(x1, x2):
        return op.logical_or(op.ne(x1[0], x2[0]), op.ne(x1[1], x2[1]))


class Lt(_Order):
    """x₁ < x₂.

    >>> tensor([1, 2]) < 2
    tensor([ True, False])
    """

    eager = np.less
    symbol = "{} < {}"

    def lower(b, x1, x2):
        return b.compare("<", x1, x2)


class Le(_Order):
    """x₁ ≤ x₂.

    >>> tensor([1, 2]) <= 1
    tensor([ True, False])
    """

    eager = np.less_equal
    symbol = "{} <= {}"

    def lower(b, x1, x2):
        return b.compare("<=", x1, x2)


class Gt(_Order):
    """x₁ > x₂.

    >>> tensor([1, 2]) > 1
    tensor([False,  True])
    """

    eager = np.greater
    symbol = "{} > {}"

    def lower(b, x1, x2):
        return b.compare(">", x1, x2)


class Ge(_Order):
    """x₁ ≥ x₂.

    >>> tensor([1, 2]) >= 2
    tensor([False,  True])
    """

    eager = np.greater_equal
    symbol = "{} >= {}"

    def lower(b, x1, x2):
        return b.compare(">=", x1, x2)


class LogicalAnd(_Comparison):
    """Both are non-zero.

    >>> logical_and(tensor([1, 0]), tensor([1, 1]))
    tensor([ True, False])
    """

    eager = np.logical_and

    def lower(b, x1, x2):
        return b.logical_and(x1, x2)

    def parts(x1, x2):
        return op.logical_and(is_nonzero(x1), is_nonzero(x2))


class LogicalOr(_Comparison):
    """One at least is non-zero.

    >>> logical_or(tensor([1, 0]), tensor([0, 0]))
    tensor([ True, False])
    """

    eager = np.logical_or

    def lower(b, x1, x2):
        return b.logical_or(x1, x2)

    def parts(x1, x2):
        return op.logical_or(is_nonzero(x1), is_nonzero(x2))


class LogicalXor(_Comparison):
    """Just one is non-zero.

    >>> logical_xor(tensor([1, 0]), tensor([1, 1]))
    tensor([False,  True])
    """

    eager = np.logical_xor

    def lower(b, x1, x2):
        return b.logical_xor(x1, x2)

    def parts(x1, x2):
        return op.logical_xor(is_nonzero(x1), is_nonzero(x2))


class LogicalNot(_Test):
    """Is zero.

    >>> logical_not(tensor([1, 0]))
    tensor([False,  True])
    """

    eager = np.logical_not

    def lower(b, x):
        return b.logical_not(x)

    def parts(x):
        return op.logical_not(is_nonzero(x))


class Isnan(_Test):
    """Is not a number.

    >>> isnan(tensor([1., nan]))
    tensor([False,  True])
    """

    eager = np.isnan

    def lower(b, x):
        return b.isnan(x)

    def parts(x):
        return op.logical_or(op.isnan(x[0]), op.isnan(x[1]))


class Isinf(_Test):
    """Is infinite.

    >>> isinf(tensor([1., inf]))
    tensor([False,  True])
    """

    eager = np.isinf

    def lower(b, x):
        return b.isinf(x)

    def parts(x):
        return op.logical_or(op.isinf(x[0]), op.isinf(x[1]))


class Isfinite(_Test):
    """Is neither infinite nor NaN.

    >>> isfinite(tensor([1., inf]))
    tensor([ True, False])
    """

    eager = np.isfinite

    def lower(b, x):
        return b.isfinite(x)

    def parts(x):
        return op.logical_and(op.isfinite(x[0]), op.isfinite(x[1]))


class Signbit(_Test):
    """Has its sign bit set.

    >>> signbit(tensor([-0., 1.]))
    tensor([ True, False])
    """

    takes = "buif"
    eager = np.signbit

    def lower(b, x):
        return b.signbit(x)
