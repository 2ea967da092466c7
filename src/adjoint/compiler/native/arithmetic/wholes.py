"""Wholes: floats rounded to whole numbers, on processors that have no instruction for it.

To add 2^23 to a float below that, or 2^52 to a double, rounds it to the nearest whole number.
"""

from __future__ import annotations


def roundeven(b, x):
    """The nearest, halves to even."""
    a, end = b.abs(x), 2.0 ** b.format(x).mantissa
    near = b.rounded("sub", b.rounded("add", a, end), end)
    return b.copysign(b.select(b.compare("<", a, end), near, a), x)


def floor(b, x):
    """The next one below."""
    y = roundeven(b, x)
    return b.select(b.compare(">", y, x), b.sub(y, 1.0), y)


def ceil(b, x):
    """The next one above; of what is above -1 it is -0."""
    y = roundeven(b, x)
    return b.copysign(b.select(b.compare("<", y, x), b.add(y, 1.0), y), x)


def trunc(b, x):
    """Without its fraction."""
    return b.copysign(floor(b, b.abs(x)), x)


WAYS = {f.__name__: f for f in (roundeven, floor, ceil, trunc)}
