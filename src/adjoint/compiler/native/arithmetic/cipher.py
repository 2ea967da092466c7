"""Philox4x32-10 in lanes of 64 bits: the words of blocks, and pairs of numbers of them."""

from __future__ import annotations

from ....core.philox import MULTIPLIERS, ROUNDS, WEYL
from ..llvm import text as ir
from .kinds import DOUBLE, INT64

_LOW = 0xFFFFFFFF


def philox(b, seed, block):
    """The four words of each block, in lanes of 64 bits; `seed` is one number of 64."""
    key = [b.b.and_(seed, INT64(_LOW)), b.b.lshr(seed, INT64(32))]
    zero = b.number(0, block)
    return cipher(b, [b.bit_and(block, _LOW), _high(b, block), zero, zero], key)


def cipher(b, counter, key):
    """The words of counters of four words, under a key of two: one for all, or in lanes."""
    even, odd = counter[0::2], counter[1::2]
    for _ in range(ROUNDS):
        # (L0, R0, L1, R1) -> (hi1 ^ R0 ^ k0, lo1, hi0 ^ R1 ^ k1, lo0)
        products = [b.mul(x, m) for x, m in zip(even, MULTIPLIERS, strict=True)][::-1]
        mixed = zip(products, odd, key, strict=True)
        even = [
            b.bit_xor(b.bit_xor(_high(b, x), y), _in_lanes(b, k)) for x, y, k in mixed
        ]
        odd = [b.bit_and(x, _LOW) for x in products]
        steps = zip(key, WEYL, strict=True)
        key = [b.bit_and(b.add(k, w), _LOW) for k, w in steps]
    return [even[0], odd[0], even[1], odd[1]]


def _in_lanes(b, k):
    return k if isinstance(k.type, ir.VectorType) else b.splat(k)


def pair_of(b, block, attempt, low, high):
    """Two numbers in [0, 1) of each block, bit for bit those of `core.philox.pair_of`."""
    block, attempt, *key = (
        b.b.fptosi(x, b.vector(INT64)) for x in (block, attempt, low, high)
    )
    zero = b.number(0, block)
    words = cipher(b, [b.bit_and(block, _LOW), _high(b, block), attempt, zero], key)
    tops = (b.b.lshr(w, b.number(11, w)) for w in long_words(b, words))
    return [b.mul(b.b.sitofp(t, b.vector(DOUBLE)), 2.0**-53) for t in tops]


def _high(b, x):
    return b.b.lshr(x, b.number(32, x))


def long_words(b, words):
    """Pairs of words as long words, the first above."""
    thirty_two = b.number(32, words[0])
    return [
        b.b.or_(b.b.shl(high, thirty_two), low)
        for high, low in zip(words[::2], words[1::2], strict=True)
    ]
