"""Random numbers in lanes: Philox4x32-10, bit for bit that of `core.philox`."""

from __future__ import annotations

import math

import numpy as np
from llvmlite import ir

from ...core.philox import MULTIPLIERS, ROUNDS, WEYL, kept_bits
from .kinds import DOUBLE, FLOAT, INT32, INT64
from .lanes import Lanes

_LOW = 0xFFFFFFFF


def philox(b: Lanes, seed, block):
    """The four words of each block, in lanes of 64 bits; `seed` is one number of 64."""
    key = [b.b.and_(seed, INT64(_LOW)), b.b.lshr(seed, INT64(32))]
    even = [b.bit_and(block, _LOW), b.number(0, block)]
    odd = [_high(b, block), b.number(0, block)]
    for _ in range(ROUNDS):
        # (L0, R0, L1, R1) -> (hi1 ^ R0 ^ k0, lo1, hi0 ^ R1 ^ k1, lo0)
        products = [b.mul(x, m) for x, m in zip(even, MULTIPLIERS, strict=True)][::-1]
        mixed = zip(products, odd, key, strict=True)
        even = [b.bit_xor(b.bit_xor(_high(b, x), y), b.splat(k)) for x, y, k in mixed]
        odd = [b.bit_and(x, _LOW) for x in products]
        steps = zip(key, WEYL, strict=True)
        key = [b.b.and_(b.b.add(k, INT64(w)), INT64(_LOW)) for k, w in steps]
    return [even[0], odd[0], even[1], odd[1]]


def _high(b, x):
    return b.b.lshr(x, b.number(32, x))


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
        words = _long(b, words)
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
            u, v = _long(b, words)
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


def _long(b, words):
    """Pairs of words as long words, the first above."""
    thirty_two = b.number(32, words[0])
    return [
        b.b.or_(b.b.shl(high, thirty_two), low)
        for high, low in zip(words[::2], words[1::2], strict=True)
    ]


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
