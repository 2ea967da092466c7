"""Choices between two values, or between a value and nothing."""

from __future__ import annotations

import numpy as np

from ..core.primitive import Elementwise, number, op
from .complex_parts import is_nonzero
from .samples import any2, uniform


class Maximum(Elementwise):
    """The larger of two; NaN wins, and at a tie each side takes half of the gradient.

    >>> maximum(tensor([1., 5.]), tensor([3., 2.]))
    tensor([3., 5.])
    """

    lowers = "buif"
    eager = np.maximum
    samples = any2
    takes = "buif"

    def dx1(t, x1, x2):
        return op.where(x1 == x2, t * 0.5, op.where(x1 < x2, number(0, t), t))

    def dx2(t, x1, x2):
        return op.where(x1 == x2, t * 0.5, op.where(x2 < x1, number(0, t), t))

    def lower(b, x1, x2):
        return b.maximum(x1, x2)


class Minimum(Elementwise):
    """The smaller of two; NaN wins, and at a tie each side takes half of the gradient.

    >>> minimum(tensor([1., 5.]), tensor([3., 2.]))
    tensor([1., 2.])
    """

    lowers = "buif"
    eager = np.minimum
    samples = any2
    takes = "buif"

    def dx1(t, x1, x2):
        return op.where(x1 == x2, t * 0.5, op.where(x1 > x2, number(0, t), t))

    def dx2(t, x1, x2):
        return op.where(x1 == x2, t * 0.5, op.where(x2 > x1, number(0, t), t))

    def lower(b, x1, x2):
        return b.minimum(x1, x2)


class Relu(Elementwise):
    """max(x, 0); the derivative at 0 is 0.

    >>> relu(tensor([-1., 2.]))
    tensor([0., 2.])
    """

    lowers = "uif"
    takes = "uif"
    samples = uniform((3, 2), low=0.1, high=2.0)
    reference = staticmethod(lambda x: np.where(x > 0, x, 0))

    def eager(x):
        return np.maximum(x, 0)

    def dx(t, y):
        return op.gate(t, y)

    def lower(b, x):
        return b.select(b.compare("<=", x, 0), 0, x)


class Gate(Elementwise):
    """What `relu` lets through of the tangent x₁: 0 where x₂ ≤ 0. It is flat in x₂.

    >>> op.gate(tensor([3., 4.]), tensor([-1., 2.]))
    tensor([0., 4.])
    """

    samples = any2
    takes = "f"
    reference = staticmethod(lambda x1, x2: x1 * (x2 > 0))

    def eager(x1, x2):
        return np.where(x2 <= 0, np.zeros((), x1.dtype), x1)

    def dx1(t, x2):
        return op.gate(t, x2)

    def dx2(t):
        return op.zeros_like(t)

    def lower(b, x1, x2):
        return b.select(b.compare("<=", x2, 0), 0, x1)


class Clamp(Elementwise):
    """x limited to [low, high], numbers or None; the derivative is 1 at the limits too.

    >>> clamp(tensor([-2., 0.5, 2.]), -1, 1)
    tensor([-1.0000,  0.5000,  1.0000])
    """

    lowers = "uif"
    takes = "uif"
    reference = staticmethod(
        lambda x, low, high: np.where(x < low, low, np.where(x > high, high, x))
    )

    def samples(rng):
        x = rng.uniform(-0.9, 0.9, (3, 2)) + np.array([0.0, 2.0])
        return [((x,), {"low": -1.0, "high": 1.0})]

    def eager(x, *, low, high):
        y = x if low is None else np.maximum(x, np.asarray(low, x.dtype))
        return y if high is None else np.minimum(y, np.asarray(high, x.dtype))

    def dx(t, x, low, high):
        sides = []
        if low is not None:
            sides.append(x >= number(low, x))
        if high is not None:
            sides.append(x <= number(high, x))
        inside = sides[0] if len(sides) == 1 else op.logical_and(*sides)
        return op.where(inside, t, number(0, t))

    def lower(b, x, low, high):
        y = x if low is None else b.maximum(x, low)
        return y if high is None else b.minimum(y, high)


class Where(Elementwise):
    """x₂ where x₁ holds, x₃ elsewhere; a zero cotangent stays zero on the side not taken.

    >>> where(tensor([True, False]), tensor([1., 2.]), tensor([3., 4.]))
    tensor([1., 4.])
    """

    lowers = "buif"
    decides = 1

    def samples(rng):
        return [
            (
                (
                    rng.random((3, 2)) > 0.5,
                    rng.normal(size=(3, 2)),
                    rng.normal(size=(2,)),
                ),
                {},
            )
        ]

    reference = staticmethod(lambda c, a, b: np.choose(c, np.broadcast_arrays(b, a)))

    def eager(x1, x2, x3):
        return np.where(x1, x2, x3)

    def dx2(t, x1):
        return op.where(x1, t, number(0, t))

    def dx3(t, x1):
        return op.where(x1, number(0, t), t)

    def lower(b, x1, x2, x3):
        return b.select(b.truth(x1), x2, x3)

    def parts(x1, x2, x3):
        return tuple(op.where(x1, a, b) for a, b in zip(x2, x3, strict=True))


class Guard(Elementwise):
    """The derivative x₂ of something along the tangent x₁: 0, not NaN or ∞, where x₁ is 0.

    Holds `grad(where(x > 0, sqrt(x), 0))` at 0 to 0, where 0 · ∞ would be NaN. What is finite
    passes: the derivative of x₂ itself need not vanish with x₁.

    >>> op.guard(tensor([0., 1.]), tensor([inf, 2.]))
    tensor([0., 2.])
    """

    lowers = "uif"
    reference = staticmethod(lambda t, x: x + 0 * t)

    def samples(rng):
        t = rng.normal(size=(3, 2))
        return [((a, rng.normal(size=s)), {}) for a in (t, 0 * t) for s in ((3, 2), 2)]

    def eager(x1, x2):
        finite = np.isfinite(x2)
        if x1.shape == x2.shape and finite.all():
            return x2
        return np.where((x1 == 0) & ~finite, np.zeros((), x2.dtype), x2)

    def dx2(t, x1):
        return op.guard(x1, t)

    def lower(b, x1, x2):
        still = b.logical_and(b.compare("==", x1, 0), b.logical_not(b.isfinite(x2)))
        return b.select(still, 0, x2)

    def parts(x1, x2):
        still = op.logical_not(is_nonzero(x1))
        finite = op.logical_and(op.isfinite(x2[0]), op.isfinite(x2[1]))
        none = op.logical_and(still, op.logical_not(finite))
        return tuple(op.where(none, op.zeros_like(a), a) for a in x2)
