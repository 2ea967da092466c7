"""Random numbers in lanes, bit for bit those of `core.philox`."""

from __future__ import annotations

import math

import numpy as np

from ....core.philox import kept_bits
from ..llvm import text as ir
from .cipher import long_words, philox
from .kinds import DOUBLE, FLOAT, INT32, INT64
from .lanes import Lanes


class Stream:
    """What the elements of a tensor draw from a stream, as `core.philox` deals it out.

    An index says which elements are wanted: their numbers in lanes; or one number, a
    multiple of 4, where the lanes are it and those that follow.
    """

    def __init__(self, b: Lanes, seed, start):
        self.b, self.seed, self.start = b, seed, start

    def words(self, index):
        """A word of 32 bits for each element, in lanes of 64."""
        b, words, place = self._drawn(index, 4)
        return _interleaved(b, words) if place is None else _chosen(b, place, words)

    def long_words(self, index):
        """A word of 64 bits for each element."""
        b, words, place = self._drawn(index, 2)
        words = long_words(b, words)
        return _interleaved(b, words) if place is None else _chosen(b, place, words)

    def uniform(self, index, dtype: np.dtype):
        """In [0, 1), multiples of 2^-precision; of two-byte floats as floats."""
        b, kept = self.b, kept_bits(dtype)
        if dtype == np.float64:
            top = self.long_words(index)
            top = b.b.lshr(top, b.number(64 - kept, top))
        else:
            top = self.words(index)
            top = _small(b, b.b.lshr(top, b.number(32 - kept, top)))
        kind = DOUBLE if dtype == np.float64 else FLOAT
        return b.mul(b.b.sitofp(top, b.vector(kind)), 2.0**-kept)

    def integers(self, index, low: int, count: int):
        """low ≤ n < low + count, by a long word modulo `count`."""
        word = self.long_words(index)
        return self.b.add(self.b.b.urem(word, self.b.number(count, word)), low)

    def normal(self, index, dtype: np.dtype):
        """Standard normal numbers, two of two uniform ones (Box and Muller)."""
        if dtype == np.float64:
            b, words, place = self._drawn(index, 2)
            u, v = long_words(b, words)
        else:
            b, words, place = self._drawn(index, 4)
            b, u, v = _pairs(b, place, [_small(b, w) for w in words])
        both = _polar(b, u, v)
        if place is None:
            return _interleaved(b, both)
        return _chosen(b, b.bit_and(place, 1), both)

    def _drawn(self, index, parts):
        """(lanes, words, place): of blocks that give `parts` elements, the words.

        Of whole blocks, in fewer lanes; or of the block of each element, with its place.
        """
        b, shift = self.b, INT64(parts.bit_length() - 1)
        if not isinstance(index.type, ir.VectorType):
            if b.width % parts == 0:
                few = Lanes(b.b, b.width // parts)
                first = b.b.add(b.b.lshr(index, shift), self.start)
                return few, philox(few, self.seed, few.counting(first)), None
            index = b.counting(index)
        block = b.add(b.b.lshr(index, b.splat(shift)), b.splat(self.start))
        return b, philox(b, self.seed, block), b.bit_and(index, parts - 1)


def _chosen(b, place, parts):
    """The part of that number."""
    *cases, last = ((b.compare("==", place, i), x) for i, x in enumerate(parts))
    return b.choose(*cases, last[1])


def _pairs(b, place, words):
    """(lanes, u, v): the pairs of words of each block, or the one that holds the place."""
    if place is None:
        u, v = (_alternating(b, *words[k::2]) for k in (0, 1))
        return Lanes(b.b, 2 * b.width), u, v
    second = b.compare(">", place, 1)
    return b, *(b.select(second, words[k + 2], words[k]) for k in (0, 1))


def _small(b, words):
    """The lower halves of lanes of 64 bits."""
    return b.b.trunc(words, b.vector(INT32))


def _polar(b, u, v):
    """r cos a, r sin a with r = √(-2 ln u) and a = 2π v, for words as fractions."""
    kind, bits = (DOUBLE, 64) if b.element(u) == INT64 else (FLOAT, 32)
    u, v = (b.b.uitofp(x, b.vector(kind)) for x in (u, v))
    u = b.mul(b.b.fadd(u, b.number(0.5, u)), 2.0**-bits)  # never zero
    radius = b.sqrt(b.mul(b.log(u), -2.0))
    sine, cosine = b.sine_and_cosine(b.mul(v, 2 * math.pi * 2.0**-bits))
    return [b.mul(radius, cosine), b.mul(radius, sine)]


def _interleaved(b, parts):
    """The first lanes of all parts, then the second ones, and so on."""
    if len(parts) == 1:
        return parts[0]
    half = len(parts) // 2
    many = Lanes(b.b, 2 * b.width)
    pairs = zip(parts[:half], parts[half:], strict=True)
    return _interleaved(many, [_alternating(b, x, y) for x, y in pairs])


def _alternating(b, x, y):
    """x₀ y₀ x₁ y₁ ..."""
    n = b.width
    if n == 1:
        both = ir.Constant(ir.VectorType(x.type, 2), ir.Undefined)
        return b.b.insert_element(b.b.insert_element(both, x, INT32(0)), y, INT32(1))
    places = [i // 2 + n * (i % 2) for i in range(2 * n)]
    return b.b.shuffle_vector(x, y, ir.Constant(ir.VectorType(INT32, 2 * n), places))
