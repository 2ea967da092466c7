"""Random numbers as operations: a function of `state`, int64 [seed, first block], and no more.

Whoever draws advances the state; so a program can hold it like any other value, and vmap
gives each example its own. Results are constants to differentiation.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar

import numpy as np

from ..core import philox
from ..core.bind import dtype_of
from ..core.primitive import Primitive, op, with_batch
from ..core.shape import Spec
from ..errors import ArgumentError

_FLOAT, _INT = np.dtype("float64"), np.dtype("int64")


def _place(state):
    """(seed, block) of a state as Python integers."""
    return int(state[0]) % 2**64, int(state[1])


def some_state(rng):
    """A state to try a record by."""
    return np.array([rng.integers(1 << 40), rng.integers(1 << 20)])


class Draw(Primitive, abstract=True):
    """Numbers of a shape out of a stream: no input but the state.

    `draw(stream, index, **params)` writes the native code of the elements of an index, which
    counts through the shape.
    """

    family = "random"
    differentiable = False
    _static = Primitive._static | {"draw"}
    draw: ClassVar[Callable]

    def infer(self, state, *, shape, dtype=_INT, **params):
        return Spec(tuple(shape), dtype)


def words_by_definition(state, count, third=0):
    """Philox4x32-10 as the paper writes it, in Python's integers."""
    seed, start = _place(state)
    out = []
    for i in range(-(-count // 4)):
        n = start + i
        a, b, c, d = n & 0xFFFFFFFF, n >> 32, third, 0
        k, m = seed & 0xFFFFFFFF, seed >> 32
        for _ in range(10):
            p, q = 0xD2511F53 * a, 0xCD9E8D57 * c
            a, b, c, d = (
                (q >> 32) ^ b ^ k,
                q & 0xFFFFFFFF,
                (p >> 32) ^ d ^ m,
                p & 0xFFFFFFFF,
            )
            k, m = (k + 0x9E3779B9) & 0xFFFFFFFF, (m + 0xBB67AE85) & 0xFFFFFFFF
        out += [a, b, c, d]
    return out[:count]


def _long_words_by_definition(state, count):
    w = words_by_definition(state, 2 * count)
    return [(w[2 * i] << 32) | w[2 * i + 1] for i in range(count)]


class RandomBits(Draw):
    """Words of 32 random bits, as int64: Philox4x32-10 with the seed as key.

    >>> from adjoint.core.primitive import op
    >>> op.random_bits(tensor([0, 0]), shape=(2,))
    tensor([1713891541, 3781805453])
    """

    def eager(state, *, shape):
        out = philox.words(*_place(state), math.prod(shape))
        return out.astype(np.int64).reshape(shape)

    def samples(rng):
        return [
            ((some_state(rng),), {"shape": (3, 3)}),
            ((some_state(rng),), {"shape": ()}),
        ]

    def reference(state, shape):
        words = words_by_definition(state, math.prod(shape))
        return np.array(words, np.int64).reshape(shape)

    def draw(stream, index, *, shape):
        return stream.words(index)


class RandomUniform(Draw):
    """Numbers in [0, 1): the top bits of a word, times 2^-precision.

    >>> from adjoint.core.primitive import op
    >>> import numpy as np
    >>> op.random_uniform(tensor([0, 0]), shape=(2,), dtype=np.dtype("float32"))
    tensor([0.3990, 0.8805])
    """

    def eager(state, *, shape, dtype):
        return philox.uniform(*_place(state), math.prod(shape), dtype).reshape(shape)

    def samples(rng):
        params = {"shape": (2, 3), "dtype": _FLOAT}
        return [
            ((some_state(rng),), params),
            ((some_state(rng),), {**params, "shape": (0,)}),
        ]

    def reference(state, shape, dtype):
        words = _long_words_by_definition(state, math.prod(shape))
        return np.array([(w >> 11) / 2**53 for w in words], dtype).reshape(shape)

    def draw(stream, index, *, shape, dtype):
        return stream.uniform(index, dtype)


class RandomNormal(Draw):
    """Standard normal numbers: r cos a, r sin a with r = sqrt(-2 log u), a = 2 pi v.

    >>> from adjoint.core.primitive import op
    >>> import numpy as np
    >>> op.random_normal(tensor([0, 0]), shape=(2,), dtype=np.dtype("float32"))
    tensor([ 0.9911, -0.9247])
    """

    def eager(state, *, shape, dtype):
        return philox.normal(*_place(state), math.prod(shape), dtype).reshape(shape)

    def samples(rng):
        return [((some_state(rng),), {"shape": (5,), "dtype": _FLOAT})]

    def reference(state, shape, dtype):
        count = math.prod(shape)
        words = _long_words_by_definition(state, count + count % 2)
        out = []
        for u, v in zip(words[::2], words[1::2], strict=True):
            r = math.sqrt(-2 * math.log((u + 0.5) / 2**64))
            a = 2 * math.pi * v / 2**64
            out += [r * math.cos(a), r * math.sin(a)]
        return np.array(out[:count], dtype).reshape(shape)

    def draw(stream, index, *, shape, dtype):
        return stream.normal(index, dtype)


class RandomIntegers(Draw):
    """Integers low <= n < low + count, all equally likely: a 64-bit word modulo `count`.

    >>> from adjoint.core.primitive import op
    >>> op.random_integers(tensor([0, 0]), shape=(5,), low=0, count=10)
    tensor([9, 8, 3, 1, 4])
    """

    def eager(state, *, shape, low, count):
        words = philox.words_64(*_place(state), math.prod(shape))
        out = (words % np.uint64(count)).astype(np.int64) + np.int64(low)
        return out.reshape(shape)

    def samples(rng):
        params = {"shape": (2, 3), "low": -5, "count": 11}
        return [((some_state(rng),), params)]

    def reference(state, shape, low, count):
        words = _long_words_by_definition(state, math.prod(shape))
        return np.array([w % count + low for w in words]).reshape(shape)

    def draw(stream, index, *, shape, low, count):
        return stream.integers(index, low, count)


class RandomPermutation(Primitive):
    """The numbers 0 .. n-1 in random order: the order of as many random words.

    >>> from adjoint.core.primitive import op
    >>> op.random_permutation(tensor([0, 0]), n=4)
    tensor([0, 3, 1, 2])
    """

    family = "random"
    differentiable = False

    def eager(state, *, n):
        return np.argsort(philox.words_64(*_place(state), n), kind="stable")

    def expand(state, *, n):
        if n == 0:
            return op.random_permutation(state, n=n)
        words = op.random_bits(state, shape=(n, 2))
        high, low = (op.select(words, dim=1, index=i) for i in (0, 1))
        high = op.bitwise_left_shift(high - np.array(2**31), np.array(32))
        key = op.bitwise_or(high, low)  # ordered as the long words, which have no sign
        return op.argsort.expand(key, dim=0, descending=False)

    def infer(self, state, *, n):
        return Spec((n,), _INT)

    def samples(rng):
        return [((some_state(rng),), {"n": 7})]

    def reference(state, n):
        words = _long_words_by_definition(state, n)
        return np.array(sorted(range(n), key=words.__getitem__))


class RandomCategories(Primitive):
    """Indices drawn by the weights in the rows of `p`, with or without replacement.

    With: where a uniform number falls among the cumulated weights. Without: the order in
    which clocks of rates p ring first (exponential times).

    >>> from adjoint.core.primitive import op
    >>> op.random_categories(tensor([0, 0]), tensor([0., 1.]), count=2, replace=True)
    tensor([1, 1])
    """

    family = "random"
    differentiable = False

    def eager(state, p, *, count, replace):
        p = np.asarray(p, np.float64)
        rows = p.reshape(-1, p.shape[-1])
        draw = (len(rows), count) if replace else rows.shape
        u = philox.uniform(*_place(state), math.prod(draw), _FLOAT).reshape(draw)
        choose = _by_sums if replace else _by_races
        return choose(rows, u, count).reshape(*p.shape[:-1], count)

    def expand(state, p, *, count, replace):
        n, rows = p.shape[-1], math.prod(p.shape[:-1])
        if not rows * n * count:
            return op.random_categories(state, p, count=count, replace=replace)
        x = op.reshape(op.cast(p, dtype=_FLOAT), shape=(rows, n))
        shape = (rows, count if replace else n)
        u = op.random_uniform(state, shape=shape, dtype=_FLOAT)
        y = _in_sums(x, u) if replace else _in_races(x, u, count)
        return op.reshape(y, shape=(*p.shape[:-1], count))

    def infer(self, state, p, *, count, replace):
        if not replace and count > p.shape[-1]:
            raise ArgumentError(
                f"cannot draw {count} of {p.shape[-1]} categories without replacement"
            )
        return Spec((*p.shape[:-1], count), _INT)

    def samples(rng):
        p = rng.uniform(0.5, 1, (2, 4))
        return [
            ((some_state(rng), p), {"count": 5, "replace": True}),
            ((some_state(rng), p), {"count": 3, "replace": False}),
        ]

    def reference(state, p, count, replace):
        n = count if replace else p.shape[-1]
        words = iter(_long_words_by_definition(state, len(p) * n))
        out = []
        for row in p:
            us = [(next(words) >> 11) / 2**53 for _ in range(n)]
            if replace:
                marks = np.cumsum(row) / row.sum()
                out.append([int(sum(u >= m for m in marks)) for u in us])
            else:
                times = [-math.log1p(-u) / w for u, w in zip(us, row, strict=True)]
                out.append(sorted(range(n), key=times.__getitem__)[:count])
        return np.array(out)


def _by_sums(rows, u, count):
    marks = np.cumsum(rows, axis=1)
    u = u * marks[:, -1:]
    found = [np.searchsorted(m, v, side="right") for m, v in zip(marks, u, strict=True)]
    out = np.array(found, np.int64).reshape(u.shape)
    # Rounding may carry u to the sum itself: then the last weight that is not zero.
    last = rows.shape[1] - 1 - np.argmax(rows[:, ::-1] > 0, axis=1)
    return np.minimum(out, last[:, None])


def _in_sums(x, u):
    """`_by_sums` in operations."""
    n, zero = x.shape[1], np.array(0.0)
    marks = op.cumsum(x, dim=1)
    top = op.slice(marks, key=((0, x.shape[0], 1), (n - 1, n, 1)))
    found = op.searchsorted(marks, u * top, right=True)
    places = op.where(op.gt(x, zero), np.arange(n), np.array(-1))
    last = op.amax(places, dim=(1,), keepdim=True)
    last = op.where(op.lt(last, np.array(0)), np.array(n - 1), last)
    return op.minimum(found, last)


def _in_races(x, u, count):
    """`_by_races` in operations."""
    zero = np.array(0.0)
    runs = op.gt(x, zero)
    times = -op.log1p(-u) / op.where(runs, x, np.array(1.0))
    times = op.where(runs, times, np.array(np.inf))
    return op.topk_index.expand(times, k=count, dim=1, largest=False)


def _by_races(rows, u, count):
    times = np.full(rows.shape, np.inf)
    np.divide(-np.log1p(-u), rows, out=times, where=rows > 0)
    return np.argsort(times, axis=1, kind="stable")[:, :count]


class Held(Primitive):
    """y, with a place in the graph of x, where its derivative is zero: samples, overwriting.

    >>> p = tensor([1.], requires_grad=True)
    >>> bernoulli(p).backward()
    >>> p.grad
    tensor([0.])
    """

    saves_y = False

    def eager(y, x):
        return y

    def expand(y, x):
        return y

    def infer(self, y, x):
        return Spec(tuple(y.shape), y.dtype)

    def keeps(self, need, count):
        return (False, False)

    def vjp(self, g, y, xs, params, need):
        return g, _zeros(g, xs[1]) if need[1] else None

    def jvp(self, ts, y, xs, params):
        return op.zeros_like(y) if ts[0] is None else ts[0]

    def batch(self, size, xs, dims, params):
        y, x = xs
        return op.held(with_batch(y, dims[0], size), x), 0

    def samples(rng):
        return [((rng.normal(size=(2, 3)), rng.normal(size=3)), {})]

    def reference(y, x):
        return y


def _zeros(g, x):
    """Zeros like `x`, of which only the Spec is here, at the level of `g`."""
    zero = op.zeros_like(op.sum(g, dim=tuple(range(g.ndim)), keepdim=False))
    return op.expand(op.cast(zero, dtype=dtype_of(x)), shape=tuple(x.shape))
