"""Philox4x32-10: random words as a function of a seed and a counter, nothing else.

Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC11. The seed is
the key; block i of a stream is the cipher of the number i, four words of 32 bits. Any part
of a stream can be computed alone, by any thread, device or compiled program, with equal bits.
"""

from __future__ import annotations

import numpy as np

ROUNDS = 10
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)  # golden ratio, sqrt(3) - 1
_COLUMN = np.array([MULTIPLIERS], np.uint64).T
_LOW, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)
_CHUNK = 16384  # blocks whose working set stays in the cache of a core
_SMALL = 512  # blocks computed at once, and kept, where a draw wants fewer


def _round_keys(key):
    """The key of each round: both halves step by a Weyl sequence; a key, or one a counter."""
    pairs = [
        [(k + r * w) & 0xFFFFFFFF for k, w in zip(key, WEYL, strict=True)]
        for r in range(ROUNDS)
    ]
    return np.array(pairs, np.uint64).reshape(ROUNDS, 2, -1)


def cipher(counter, key, out=None) -> np.ndarray:
    """Words (4, n) for counters (4, n) under a key of two words.

    >>> [f"{w:08x}" for w in cipher(np.zeros((4, 1)), (0, 0))[:, 0]]
    ['6627e8d5', 'e169c58d', 'bc57ac4c', '9b00dbd8']
    """
    counter = np.asarray(counter, np.uint64)
    even, odd = counter[0::2].copy(), counter[1::2].copy()
    product, high = np.empty_like(even), np.empty_like(even)
    for k in _round_keys(key):
        # (L0, R0, L1, R1) -> (hi1 ^ R0 ^ k0, lo1, hi0 ^ R1 ^ k1, lo0)
        np.multiply(even, _COLUMN, out=product)
        np.right_shift(product, _HALF, out=high)
        np.bitwise_xor(high[::-1], odd, out=even)
        np.bitwise_xor(even, k, out=even)
        np.bitwise_and(product[::-1], _LOW, out=odd)
    if out is None:
        out = np.empty(counter.shape, np.uint32)
    out[0::2], out[1::2] = even, odd
    return out


def _fresh(seed: int, start: int, count: int) -> np.ndarray:
    key = (seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF)
    out = np.empty((count, 4), np.uint32)
    for i in range(0, count, _CHUNK):
        n = min(_CHUNK, count - i)
        index = np.arange(start + i, start + i + n, dtype=np.uint64)
        counter = np.zeros((4, n), np.uint64)
        counter[0], counter[1] = index & _LOW, index >> _HALF
        cipher(counter, key, out[i : i + n].T)
    return out.reshape(-1)


class _Kept:
    """The last small piece of a stream: what small draws cut their words from."""

    piece = (None, None, None)  # replaced as a whole, so threads need no lock

    def words(self, seed, start, count):
        number, inside = divmod(start, _SMALL)
        of, which, words = self.piece
        if of != seed or which != number:
            words = _fresh(seed, number * _SMALL, _SMALL)
            self.piece = seed, number, words
        return words[4 * inside : 4 * (inside + count)]


_kept = _Kept()


def words(seed: int, start: int, count: int) -> np.ndarray:
    """`count` words of 32 bits from block `start` of the stream of `seed`; read only."""
    blocks = -(-count // 4)
    if blocks > _SMALL // 8:
        return _fresh(seed, start, blocks)[:count]
    first = min(blocks, _SMALL - start % _SMALL)
    out = _kept.words(seed, start, first)
    if first < blocks:
        out = np.concatenate([out, _kept.words(seed, start + first, blocks - first)])
    return out[:count]


def words_64(seed: int, start: int, count: int) -> np.ndarray:
    """`count` words of 64 bits."""
    pairs = words(seed, start, 2 * count).astype(np.uint64)
    return (pairs[0::2] << _HALF) | pairs[1::2]


def blocks_for(count: int, bits: int) -> int:
    """How many blocks `count` words of so many bits use up."""
    return -(-count * bits // 128)


def pair_of(block, attempt, low, high):
    """Two numbers in [0, 1) of each block, for each attempt others: arrays of whole doubles.

    The key is in two halves. Attempts are the third word of the counter, which streams leave 0.
    """
    counter = np.zeros((4, len(block)), np.uint64)
    block = block.astype(np.uint64)
    counter[0], counter[1] = block & _LOW, block >> _HALF
    counter[2] = attempt.astype(np.uint64)
    key = tuple(_one(x.astype(np.uint64)) for x in (low, high))
    a, b, c, d = cipher(counter, key).astype(np.uint64)
    words = (a << _HALF) | b, (c << _HALF) | d
    return tuple((w >> np.uint64(11)) * 2.0**-53 for w in words)


def _one(x):
    """The number that all are, if they are one: its rounds cost nothing."""
    return int(x[0]) if len(x) and (x == x[0]).all() else x


def kept_bits(dtype) -> int:
    """How many bits a uniform number of a floating dtype has."""
    return {"float64": 53, "float32": 24, "float16": 11}.get(dtype.name, 8)


def uniform(seed: int, start: int, count: int, dtype) -> np.ndarray:
    """Numbers in [0, 1), multiples of the dtype's 2^-precision."""
    kept = kept_bits(dtype)
    if dtype == np.float64:
        return (words_64(seed, start, count) >> np.uint64(64 - kept)) * 2.0**-kept
    top = words(seed, start, count) >> np.uint32(32 - kept)
    x = top.astype(np.float32)
    x *= np.float32(2.0**-kept)
    return x.astype(dtype, copy=False)


def normal(seed: int, start: int, count: int, dtype) -> np.ndarray:
    """Standard normal numbers, two of two uniform ones (Box and Muller)."""
    pairs = -(-count // 2)
    wide = dtype == np.float64
    draw, d, bits = (words_64, np.float64, 64) if wide else (words, np.float32, 32)
    u = draw(seed, start, 2 * pairs)
    radius = u[0::2].astype(d)
    radius += d(0.5)  # never zero, so the logarithm is finite
    radius *= d(2.0**-bits)
    radius = np.sqrt(-2 * np.log(radius))
    angle = u[1::2].astype(d)
    angle *= d(2 * np.pi * 2.0**-bits)
    out = np.empty((pairs, 2), d)
    np.multiply(radius, np.cos(angle), out=out[:, 0])
    np.multiply(radius, np.sin(angle), out=out[:, 1])
    return out.reshape(-1)[:count].astype(dtype, copy=False)
