"""Fused: x y + z rounded once, in lanes, on processors that have no instruction for it.

A function of the C library does it number by number, a hundred times slower. It is needed where
what a rounding lost is computed; other sums of products are rounded twice (`mul_add`).
"""

from __future__ import annotations

from .kinds import DOUBLE, alike

SPLIT = 2.0**27 + 1  # cuts 53 bits into two halves (G. Veltkamp)
LARGE, SMALL = 2.0**990, 2.0**-900  # between them no half overflows, or is denormal


def fused(b, x, y, z):
    """x y + z of floats, by doubles, which hold the product; or of doubles, by parts."""
    like = next(v for v in (x, y, z) if hasattr(v, "text"))
    x, y, z = (b.number(v, like) for v in (x, y, z))
    if b.format(x).bits == 64:
        return b.shared("fma", _by_parts, x, y, z)
    e, kind = b.b, alike(x.type, DOUBLE)
    x, y, z = (e.fpext(v, kind) for v in (x, y, z))
    return e.fptrunc(e.fadd(e.fmul(x, y), z), like.type)


def _by_parts(b, x, y, z):
    """The product and the sum in two parts each (T. Dekker, 1971; D. Knuth)."""
    e = b.b
    p, lost = _product(b, x, y)
    s, rest = _sum(e, p, z)
    near = e.fadd(s, e.fadd(rest, lost))
    nothing = e.or_(b.compare("==", x, 0.0), b.compare("==", y, 0.0))
    near = b.select(nothing, s, near)
    usual = e.or_(nothing, b.compare(">", b.abs(p), SMALL))
    for v in (x, y, z, p):
        usual = e.and_(usual, b.compare("<", b.abs(v), LARGE))
    return b.rarely(e.not_(usual), lambda: [b.call("fma", x, y, z)], near)[0]


def _product(b, x, y):
    """x y rounded, and what that lost."""
    e = b.b
    (a, c), (d, f) = (_halves(b, v) for v in (x, y))
    p = e.fmul(x, y)
    lost = e.fsub(e.fmul(a, d), p)
    for v, w in ((a, f), (c, d), (c, f)):
        lost = e.fadd(lost, e.fmul(v, w))
    return p, lost


def _halves(b, x):
    e = b.b
    far = e.fmul(x, b.number(SPLIT, x))
    high = e.fsub(far, e.fsub(far, x))
    return high, e.fsub(x, high)


def _sum(e, x, y):
    """x + y rounded, and what that lost, whichever is larger."""
    s = e.fadd(x, y)
    of_y = e.fsub(s, x)
    return s, e.fadd(e.fsub(x, e.fsub(s, of_y)), e.fsub(y, of_y))
