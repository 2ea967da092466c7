"""A step length along a line: less loss, and less slope (the strong Wolfe conditions).

First steps grow until they bracket an acceptable one, then the bracket shrinks by cubic
interpolation (Nocedal and Wright, Numerical Optimization, algorithms 3.5 and 3.6).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

LESS_LOSS, LESS_SLOPE = 1e-4, 0.9  # the constants c1 and c2 of the conditions


class Point(NamedTuple):
    """A step length t with the loss, its gradient, and its slope along the line."""

    t: float
    f: float
    g: Any
    slope: float


def strong_wolfe(at, start, t, largest, tolerance, most) -> Point:
    """The point to go to: at(t) is the point of step length t, start that of 0.

    `largest` is the largest element of the direction: a bracket that moves nothing by more
    than `tolerance` is small enough. At most `most` trials follow the first.
    """
    bracket, trials = _bracket(at, start, t, most)
    if len(bracket) == 1:
        return bracket[0]
    return _zoom(at, start, bracket, largest, tolerance, most - trials)


def _too_high(point, start) -> bool:
    return point.f > start.f + LESS_LOSS * point.t * start.slope


def _flat_enough(point, start) -> bool:
    return abs(point.slope) <= -LESS_SLOPE * start.slope


def _bracket(at, start, t, most):
    """Two points around an acceptable one, or one that is acceptable; and the trials."""
    before, point = start, at(t)
    for trials in range(most):
        if _too_high(point, start) or (trials > 1 and point.f >= before.f):
            return [before, point], trials
        if _flat_enough(point, start):
            return [point], trials
        if point.slope >= 0:
            return [before, point], trials
        t = point.t
        t = _cubic(before, point, t + 0.01 * (t - before.t), t * 10)
        before, point = point, at(t)
    return [start, point], most


def _zoom(at, start, bracket, largest, tolerance, most):
    """Shrink the bracket around the lowest point until one is acceptable."""
    low = _lower(bracket)
    slow = False
    for _ in range(most):
        a, b = bracket
        if abs(b.t - a.t) * largest < tolerance:
            break
        t, slow = _inside(_cubic(a, b, *sorted((a.t, b.t))), a.t, b.t, slow)
        point = at(t)
        if _too_high(point, start) or point.f >= bracket[low].f:
            bracket[1 - low] = point
            low = _lower(bracket)
            continue
        if _flat_enough(point, start):
            return point
        if point.slope * (bracket[1 - low].t - bracket[low].t) >= 0:
            bracket[1 - low] = bracket[low]
        bracket[low] = point
    return bracket[low]


def _lower(bracket) -> int:
    return 0 if bracket[0].f <= bracket[1].f else 1


def _inside(t, a, b, slow):
    """t, moved off an end of the bracket where it is close the second time in a row."""
    low, high = min(a, b), max(a, b)
    margin = 0.1 * (high - low)
    if min(high - t, t - low) >= margin:
        return t, False
    if not slow and low < t < high:
        return t, True
    return (high - margin if abs(t - high) < abs(t - low) else low + margin), False


def _cubic(a, b, low, high):
    """Where the cubic through two points with their slopes is least, within bounds."""
    if a.t > b.t:
        a, b = b, a
    if a.t == b.t:
        return (low + high) / 2
    d1 = a.slope + b.slope - 3 * (a.f - b.f) / (a.t - b.t)
    square = d1 * d1 - a.slope * b.slope
    if not square >= 0:
        return (low + high) / 2
    d2 = math.sqrt(square)
    width = b.slope - a.slope + 2 * d2
    if not width:
        return (low + high) / 2
    t = b.t - (b.t - a.t) * ((b.slope + d2 - d1) / width)
    return min(max(t, low), high)
