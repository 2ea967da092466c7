"""Functions as polynomials on pieces, whose coefficients are picked out of registers.

A register of AVX-512 holds 16 floats, and `vpermi2ps` picks from two of them by index, as fast
as a multiplication. On 32 pieces a polynomial of the fifth degree does for what otherwise takes
an exponential and a quotient. A piece is an eighth of an octave of 1 + x: the leading bits of
that number are its index.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from ..llvm import text as ir
from ..llvm.machine import vector_bits
from . import coefficients as table
from .conversion import Conversion
from .kinds import FLOAT, INT32, is_int

COUNT, PER_OCTAVE, DEGREE = 32, 8, 5
EVEN, EVEN_DEGREE, EVEN_END = 5 / 32, 6, 4.875  # pieces about multiples of a number
WIDTHS = np.repeat(2.0 ** np.arange(COUNT // PER_OCTAVE), PER_OCTAVE) / PER_OCTAVE
STARTS = np.cumsum(WIDTHS) - WIDTHS  # from 0 to 15
_BEHIND = 20  # bits of a float behind those that say which piece
_FIRST = 127 * PER_OCTAVE % COUNT  # where in the registers the first piece stands
LANES = 16
_INDEX = ir.VectorType(INT32, LANES)

# name: (function, whether it is odd, and exact near 0)
FUNCTIONS = {
    "tanh": (math.tanh, True),
    "erf": (math.erf, True),
    "erfcx": (lambda x: math.exp(x * x) * math.erfc(x), False),
    "erfcx/√2": (lambda x: math.exp(x * x / 2) * math.erfc(x / math.sqrt(2)), False),
}
# Of the normal distribution: what lies beyond x, and that less x times its density.
TAILS = {
    "tail": lambda x: math.erfc(x / math.sqrt(2)) / 2,
    "slope": lambda x: (
        TAILS["tail"](x) - x * math.exp(-x * x / 2) / math.sqrt(math.tau)
    ),
}


@functools.cache
def coefficients(name: str) -> list[list[float]]:
    """Of each degree those of all pieces, and in the end what float32 lacks of the first.

    Through the points of Chebyshev. Of odd functions f the first piece is x + x (f(x)/x - 1).
    """
    f, odd = FUNCTIONS[name]
    rows = _through(f, DEGREE + 1, STARTS, WIDTHS)
    if odd:
        rows[0] = [0, *_through(lambda x: f(x) / x, DEGREE, STARTS[:1], WIDTHS[:1])[0]]
        rows[0, 1] -= 1
    lost = rows[:, :1] - rows[:, :1].astype(np.float32)
    columns = np.concatenate([rows, lost], 1).T
    return np.roll(columns, _FIRST, 1).astype(np.float32).tolist()


@functools.cache
def about_middles(name: str) -> list[list[float]]:
    """The middles of pieces of a tail, then its coefficients of each degree."""
    f, at = TAILS[name], np.arange(COUNT, dtype=np.float32) * np.float32(EVEN)
    middles = _exact(f, at)
    rows = _through(f, EVEN_DEGREE + 1, middles, np.full(COUNT, EVEN), -0.5)
    return np.column_stack([middles, rows]).T.astype(np.float32).tolist()


def _exact(f, xs):
    """Of some floats beside each those where f is nearest to a float: it is a first term."""
    steps = np.where(xs, np.spacing(xs), 0).astype(np.float64)
    some = xs[:, None] + steps[:, None] * np.arange(-8, 9)
    values = np.array([f(x) for x in some.flat]).reshape(some.shape)
    nearest = np.abs(values / values.astype(np.float32) - 1).argmin(1)
    return some[np.arange(len(some)), nearest]


def _through(f, terms, starts, widths, first=0.0):
    """Coefficients of polynomials of what lies behind each start, from so many widths on."""
    angles = (2 * np.arange(terms) + 1) * np.pi / (2 * terms)
    nodes = first + (1 + np.cos(angles)) / 2
    values = [
        [f(a + w * x) for x in nodes] for a, w in zip(starts, widths, strict=True)
    ]
    rows = np.linalg.solve(np.vander(nodes, increasing=True), np.array(values).T).T
    return rows / widths[:, None] ** np.arange(terms)


@functools.cache
def _roots():
    """The sixteenth roots of 2, and what float32 lacks of them."""
    exact = 2.0 ** (np.arange(LANES) / LANES)
    return [
        x.astype(np.float32).tolist() for x in (exact, exact - exact.astype(np.float32))
    ]


class Pieces(Conversion):
    """Smooth functions on [0, 15)."""

    def in_pieces(self, x) -> bool:
        """Whether they are computed so."""
        return self.format(x).bits == 32 and vector_bits() == 512

    def piece(self, name, x):
        """(c, d, q, lost): the function is c + d q + lost at x, from 0 to below 15.

        d is how far x lies behind the start of its piece, and c what the function is there;
        on an odd function's first piece c = d, for its slope has more digits than a float.
        """
        bits = self.as_int(self.rounded("add", x, 1.0))
        index = self.b.lshr(bits, self.number(_BEHIND, bits))
        c, *terms, lost = (self._picked(row, index) for row in coefficients(name))
        start = self.as_float(self.bit_and(bits, -1 << _BEHIND), self.format(x))
        d = self.rounded("sub", x, self.rounded("sub", start, 1.0))
        if FUNCTIONS[name][1]:
            c = self.select(self.compare("==", start, 1.0), d, c)
        return c, d, self.horner(d, terms), lost

    def tail_in_pieces(self, name, x):
        """A tail at x, from 0 to EVEN_END."""
        index = self.as_int(self.fma(x, 1 / EVEN, 1.5 * 2.0**23))
        middle, *terms = (self._picked(row, index) for row in about_middles(name))
        return self.horner(self.rounded("sub", x, middle), terms)

    def odd_in_pieces(self, name, x, end):
        """An odd function that stays as it is beyond `end`."""
        a = self.abs(x)
        a = self.select(self.compare(">", a, end), end, a)
        c, d, q, _ = self.piece(name, a)
        return self.copysign(self.fma(d, q, c), x)

    def _picked(self, numbers, index):
        """Of 32 numbers those that the low bits of the lanes name."""
        low, high = (self._register(numbers[i : i + LANES]) for i in (0, LANES))
        kind, name = low.type, "llvm.x86.avx512.vpermi2var.ps.512"
        f = self.function(name, kind, [kind, _INDEX, kind])
        return self._by_sixteen(lambda i: self.b.call(f, [low, i, high]), index)

    def _register(self, numbers):
        return ir.Constant(ir.VectorType(FLOAT, LANES), list(numbers))

    def _by_sixteen(self, f, *xs):
        return self.by_registers(f, LANES, LANES, *xs)

    # ------------------------------------------------------------ powers of two

    def power_in_pieces(self, x, tail=None):
        """(p, t, n): e^(x + tail) is (p + t) 2 to the whole number below n, |t| < 0.022 p.

        n is in sixteenths; p is the power of 2 by what n has beside whole ones.
        """
        per, magic = 1 / math.log(2), 1.5 * 2.0 ** (23 - 4)
        lifted = self.fma(x, per, magic)
        n = self.rounded("sub", lifted, magic)
        high, low = table.LN2[32]
        r = self.fma(n, -high, x)
        r = self.fma(n, -low, r if tail is None else self.add(r, tail))
        m = self.fma(self.mul(r, r), self.horner(r, table.EXP_NEAR), r)
        p, lost = (self._root_of_two(row, self.as_int(lifted)) for row in _roots())
        return p, self.fma(p, m, lost), n

    def _root_of_two(self, numbers, index):
        register = self._register(numbers)
        kind, name = register.type, "llvm.x86.avx512.permvar.sf.512"
        f = self.function(name, kind, [kind, _INDEX])
        return self._by_sixteen(lambda i: self.b.call(f, [register, i]), index)

    def scaled(self, x, n):
        """x 2ⁿ; of a float n, as pieces have it, with the whole number below, or NaN."""
        if is_int(n):
            return self.times_power(x, n)
        return self._by_sixteen(self._scaled_register, x, n)

    def _scaled_register(self, x, n):
        kind, mask = x.type, ir.IntType(LANES)
        name = "llvm.x86.avx512.mask.scalef.ps.512"
        f = self.function(name, kind, [kind, kind, kind, mask, INT32])
        zero = ir.Constant(kind, None)
        return self.b.call(f, [x, n, zero, mask(-1), INT32(4)])

    def exp_in_pieces(self, x, tail=None):
        """eˣ; 0 is not computed, for processors are slow below the smallest number."""
        low, high = table.EXP_RANGE[32]
        some = self.b.fcmp_unordered(">=", x, self.number(low, x))
        p, t, n = self.power_in_pieces(self.passing_clamp(x, low, high), tail)
        return self.select(some, self.scaled(self.add(p, t), n), 0.0)

    def sigmoid_in_pieces(self, x):
        """(y, what it lost, n): 1/d for x ≥ 0 and e/d below is (y + lost) 2ⁿ.

        Of e = e^-|x| and d = 1 + e nothing is lost.
        """
        low = table.EXP_RANGE[32][0] - table.LEAST
        a = self.passing_clamp(self.neg(self.abs(x)), low, 0.0)
        p, t, n = self.power_in_pieces(a)
        e, rest = self.two_sum(p, t)
        few = self.select(self.compare("<", n, -100.0), -100.0, n)  # 1 + e is 1 beyond
        d, lost = self.two_sum(1.0, self.scaled(e, few))
        below = self.compare("<", x, 0.0)
        over = self.select(below, e, 1.0)
        inverse = self.rough_inverse(d)
        near = self.b.fmul(over, inverse)
        rest = self.add(
            self.fma(self.neg(near), lost, self.fma(self.neg(near), d, over)),
            self.select(below, rest, 0.0),
        )
        y = self.fma(rest, inverse, near)
        lost = self.fma(rest, inverse, self.b.fsub(near, y))
        return y, lost, self.select(below, n, 0.0)

    def passing_clamp(self, x, low, high):
        """x within two numbers; NaN is passed on."""
        x = self.select(self.compare("<", x, low), low, x)
        return self.select(self.compare(">", x, high), high, x)
