"""Counts at random: Poisson and binomial numbers, each from a block of the stream of its own.

A number is found by inversion where it is small, else by Hörmann's transformed rejection
(1993): attempt k takes the pair of uniform numbers that the block has for k. So a number
depends on its law and its block alone, wherever and beside whatever it is drawn.
"""

from __future__ import annotations

import math

import numpy as np

from ..core.bind import dtype_of
from ..core.philox import pair_of
from ..core.primitive import Elementwise, Primitive, op
from ..core.shape import Spec, broadcast
from ..errors import ArgumentError
from .blockwise import blockwise, pieces_of, repeated_alone, same_in_lanes
from .gamma import lgamma_array
from .incomplete_gamma import gamma_front
from .index import LAW, LAWS, lawful, out_of_bounds
from .random import some_state, words_by_definition

_DOUBLE, _LONG = np.dtype("float64"), np.dtype("int64")
_FEW = 10  # the mean from which on numbers are proposed and rejected
_LAST = 150  # no number of a smaller mean is as large; nor is as much ever rejected


def _uniforms(block, attempt, low, high):
    if not isinstance(block, np.ndarray):
        return block.pair_of(attempt, low, high)  # of a program
    return pair_of(block, attempt, low, high)


def _accepted(propose, block, low, high, *law):
    """The first number that is accepted: propose(u, v, *law) -> (number, whether)."""

    def step(k, attempt, going, block, low, high, *law):
        k, done = propose(*_uniforms(block, attempt, low, high), *law)
        return k, attempt + 1, np.where(done, 0.0, 1.0), block, low, high, *law

    zero = 0 * block
    state = zero, zero, zero + 1, block, low, high, *law
    return repeated_alone(
        lambda k, attempt, going, *_: (going > 0) & (attempt < _LAST), step, *state
    )


def _decided(quick, never, exact, *xs):
    """Whether a number is accepted, where that is not seen at once by exact(*xs)."""
    if not isinstance(quick, np.ndarray):
        return quick | (~never & exact(*xs))
    out, rest = quick.copy(), ~(quick | never)
    out[rest] = exact(*(x[rest] for x in xs))
    return out


def _hat(u, v, a, b, most):
    """What is common to both laws: how near u is to an end, and where that says enough."""
    us = 0.5 - np.abs(u)
    return us, (2 * a / us + b) * u, (us >= 0.07) & (v <= most)


# ---------------------------------------------------------------- Poisson


def _few_events(rate, block, low, high):
    """As many probabilities as a uniform number exceeds the sum of."""
    u, _ = _uniforms(block, 0 * block, low, high)
    p = np.exp(-rate)

    def step(k, p, left, rate):
        p = p * rate / (k + 1)
        return k + 1, p, left - p, rate

    return repeated_alone(
        lambda k, p, left, rate: (left >= 0) & (k < _LAST), step, 0 * u, p, u - p, rate
    )


def _many_events(rate, block, low, high):
    """PTRS."""

    def propose(u, v, rate):
        b = 0.931 + 2.53 * np.sqrt(rate)
        a = -0.059 + 0.02483 * b
        us, shift, quick = _hat(u - 0.5, v, a, b, 0.9277 - 3.6224 / (b - 2))
        k = np.floor(shift + rate + 0.43)
        never = (k < 0) | ((us < 0.013) & (v > us))
        v = v * (1.1239 + 1.1328 / (b - 3.4)) / (a / (us * us) + b)
        return k, _decided(quick, never, _below_poisson, v, np.maximum(k, 0), rate)

    return _accepted(propose, block, low, high, rate)


def _below_poisson(v, k, rate):
    return v <= gamma_front(k, rate)


class PoissonOf(Elementwise):
    """A number of events of mean x₁, drawn from block x₂ under the key (x₃, x₄).

    >>> op.poisson_of(tensor([0., 0.]), tensor([0., 1.]), tensor(0.), tensor(0.))
    tensor([0., 0.])
    """

    takes = "f"

    def samples(rng):
        rate = np.array([[0.0, 0.5, 3.0], [9.9, 10.0, 1e6]])
        return [((rate, 7.0 + np.arange(6).reshape(2, 3), *_key(rng)), {})]

    def reference(rate, block, low, high):
        return _by_definition(_poisson_by_definition, block, low, high, rate)

    @blockwise
    def eager(x1, x2, x3, x4):
        xs = x1, x2, x3, x4
        return pieces_of(
            xs,
            (x1 == np.inf, lambda rate, *_: rate),
            (x1 < _FEW, _few_events),
            (x1 >= _FEW, _many_events),
        )

    lower = same_in_lanes(eager)


# ---------------------------------------------------------------- binomial


def _few_successes(n, p, block, low, high):
    u, _ = _uniforms(block, 0 * block, low, high)
    first = np.exp(n * np.log1p(-p))

    def step(k, each, left, n, odds):
        each = each * ((n - k) / (k + 1) * odds)
        return k + 1, each, left - each, n, odds

    return repeated_alone(
        lambda k, each, left, n, odds: (left >= 0) & (k < n) & (k < _LAST),
        step,
        *(0 * u, first, u - first, n, p / (1 - p)),
    )


def _many_successes(n, p, block, low, high):
    """BTRS."""

    def propose(u, v, n, p, odds, most):
        spread = np.sqrt(n * p * (1 - p))
        b = 1.15 + 2.53 * spread
        a = -0.0873 + 0.0248 * b + 0.01 * p
        us, shift, quick = _hat(u - 0.5, v, a, b, 0.92 - 4.2 / b)
        k = np.floor(shift + n * p + 0.5)
        v = v * (2.83 + 5.1 / b) * spread / (a / (us * us) + b)
        inside = np.minimum(np.maximum(k, 0), n)
        never = (k < 0) | (k > n)
        quick = quick & ~never
        return k, _decided(quick, never, _below_binomial, v, inside, n, odds, most)

    odds, m = np.log(p / (1 - p)), np.floor((n + 1) * p)
    law = n, p, odds, _log_chance(m, n, odds)
    return _accepted(propose, block, low, high, *law)


def _log_chance(k, n, odds):
    """ln of the probability of k, but for what all k share."""
    return k * odds - (lgamma_array(k + 1) + lgamma_array(n - k + 1))


def _below_binomial(v, k, n, odds, most):
    return np.log(v) <= _log_chance(k, n, odds) - most


class BinomialOf(Elementwise):
    """Successes among x₁ trials of probability x₂, from block x₃ under the key (x₄, x₅).

    >>> one = ones(2)
    >>> op.binomial_of(one * 3, tensor([0., 1.]), one, one, one)
    tensor([0., 3.])
    """

    takes = "f"

    def samples(rng):
        n = np.array([0.0, 1.0, 9.0, 30.0, 200.0, 1e6])
        p = np.array([0.3, 1.0, 0.7, 0.5, 0.06, 0.999])
        return [((n, p, 3.0 + np.arange(6), *_key(rng)), {})]

    def reference(n, p, block, low, high):
        return _by_definition(_binomial_by_definition, block, low, high, n, p)

    @blockwise
    def eager(x1, x2, x3, x4, x5):
        rare = np.minimum(x2, 1 - x2)
        mean, xs = x1 * rare, (x1, rare, x3, x4, x5)
        few = mean < _FEW
        k = pieces_of(xs, (few, _few_successes), (mean >= _FEW, _many_successes))
        return np.where(x2 > 0.5, x1 - k, k)

    lower = same_in_lanes(eager)


# ---------------------------------------------------------------- draws


def _key(rng):
    return tuple(np.array(float(rng.integers(2**32))) for _ in range(2))


def _places(state, shape):
    """The numbers of as many blocks, and both halves of the key, as doubles."""
    seed, start = int(state[0]) % 2**64, int(state[1])
    block = start + np.arange(math.prod(shape), dtype=np.float64).reshape(shape)
    return block, *(np.array(float(k)) for k in (seed & 0xFFFFFFFF, seed >> 32))


def _blocks(state, shape):
    """The same in operations."""
    seed, start = (op.select(state, dim=0, index=i) for i in (0, 1))
    half = np.array(0xFFFFFFFF)
    high = op.bitwise_right_shift(seed, np.array(32))
    block = op.add(np.arange(math.prod(shape)).reshape(shape), start)
    keys = op.bitwise_and(seed, half), op.bitwise_and(high, half)
    return [op.cast(x, dtype=_DOUBLE) for x in (block, *keys)]


class RandomPoisson(Primitive):
    """Poisson counts of the given rates, a block of the stream for each.

    >>> from adjoint.core.primitive import op
    >>> op.random_poisson(tensor([0, 0]), tensor([0., 0.]))
    tensor([0., 0.])
    """

    family = "random"
    differentiable = False

    def eager(state, rate):
        law = rate.astype(np.float64)
        if not (law >= 0).all():
            raise out_of_bounds(1, LAW, 1, "poisson")
        y = op.poisson_of.eager(law, *_places(state, rate.shape))
        return y.astype(rate.dtype)

    def expand(state, rate):
        law = op.cast(rate, dtype=_DOUBLE)
        law = lawful(law, op.ge(law, np.array(0.0)), "poisson")
        y = op.poisson_of(law, *_blocks(state, rate.shape))
        return op.cast(y, dtype=dtype_of(rate))

    def infer(self, state, rate):
        return Spec(tuple(rate.shape), rate.dtype)

    def samples(rng):
        return [((some_state(rng), rng.uniform(1, 20, (2, 3))), {})]

    def reference(state, rate):
        return _of_state(_poisson_by_definition, state, rate)

    def errors():
        return [(([0, 0], [-1.0]), {}, ArgumentError, LAWS["poisson"])]


class RandomBinomial(Primitive):
    """Successes among `count` trials of probability `p`, a block of the stream for each.

    >>> from adjoint.core.primitive import op
    >>> op.random_binomial(tensor([0, 0]), tensor([3., 3.]), tensor([0., 1.]))
    tensor([0., 3.])
    """

    family = "random"
    differentiable = False

    def eager(state, count, p):
        n, chance = np.floor(count.astype(np.float64)), p.astype(np.float64)
        if not (n >= 0).all():
            raise out_of_bounds(1, LAW, 1, "count")
        if not ((chance >= 0) & (chance <= 1)).all():
            raise out_of_bounds(1, LAW, 1, "binomial")
        shape = np.broadcast_shapes(n.shape, chance.shape)
        y = op.binomial_of.eager(n, chance, *_places(state, shape))
        return y.astype(count.dtype)

    def expand(state, count, p):
        n, p = (op.cast(x, dtype=_DOUBLE) for x in (count, p))
        n = lawful(op.floor(n), op.ge(n, np.array(0.0)), "count")
        inside = op.logical_and(op.ge(p, np.array(0.0)), op.le(p, np.array(1.0)))
        shape = np.broadcast_shapes(n.shape, p.shape)
        y = op.binomial_of(n, lawful(p, inside, "binomial"), *_blocks(state, shape))
        return op.cast(y, dtype=dtype_of(count))

    def infer(self, state, count, p):
        return Spec(broadcast(count.shape, p.shape, name="binomial"), count.dtype)

    def samples(rng):
        n = rng.integers(1, 99, 4).astype(float)
        return [((some_state(rng), n, rng.uniform(0, 1, 4)), {})]

    def reference(state, count, p):
        return _of_state(_binomial_by_definition, state, count, p)

    def errors():
        return [
            (([0, 0], [1.0], [2.0]), {}, ArgumentError, LAWS["binomial"]),
            (([0, 0], [-1.0], [0.5]), {}, ArgumentError, LAWS["count"]),
        ]


# ---------------------------------------------------------------- one by one


def _by_definition(draw, block, low, high, *law):
    """draw(attempt -> (u, v), *law) of every element, in Python's numbers."""
    *law, block, low, high = np.broadcast_arrays(*law, block, low, high)
    out = np.empty(block.shape)
    for at in np.ndindex(*out.shape):
        state = int(high[at]) << 32 | int(low[at]), int(block[at])

        def pair(attempt, state=state):
            a, b, c, d = words_by_definition(state, 4, attempt)
            return [((x << 32 | y) >> 11) / 2**53 for x, y in ((a, b), (c, d))]

        out[at] = draw(pair, *(float(x[at]) for x in law))
    return out


def _of_state(draw, state, *law):
    law = np.broadcast_arrays(*law)
    seed, start = int(state[0]), int(state[1])
    block = start + np.arange(law[0].size).reshape(law[0].shape)
    half = 2**32
    return _by_definition(draw, block, seed % half, seed >> 32, *law)


def _inverted(u, probability):
    k, total = 0, probability(0)
    while u >= total:
        k += 1
        total += probability(k)
    return k


def _poisson_by_definition(pair, rate):
    def log_of(k):
        return k * math.log(rate) - rate - math.lgamma(k + 1) if rate else -1e9 * k

    if rate < _FEW:
        return _inverted(pair(0)[0], lambda k: math.exp(log_of(k)))
    b = 0.931 + 2.53 * math.sqrt(rate)
    a, size = -0.059 + 0.02483 * b, 1.1239 + 1.1328 / (b - 3.4)
    for attempt in range(_LAST):
        u, v = pair(attempt)
        us = 0.5 - abs(u - 0.5)
        k = math.floor((2 * a / us + b) * (u - 0.5) + rate + 0.43)
        if k >= 0 and v * size / (a / us**2 + b) <= math.exp(log_of(k)):
            return k
    raise AssertionError


def _binomial_by_definition(pair, n, p):
    if p > 0.5:
        return n - _binomial_by_definition(pair, n, 1 - p)

    def log_of(k):
        ways = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
        return ways + k * math.log(p) + (n - k) * math.log1p(-p) if p else -1e9 * k

    if n * p < _FEW:
        return _inverted(pair(0)[0], lambda k: math.exp(log_of(k)) if k <= n else 1)
    spread = math.sqrt(n * p * (1 - p))
    b = 1.15 + 2.53 * spread
    a, top = -0.0873 + 0.0248 * b + 0.01 * p, log_of(math.floor((n + 1) * p))
    for attempt in range(_LAST):
        u, v = pair(attempt)
        us = 0.5 - abs(u - 0.5)
        k = math.floor((2 * a / us + b) * (u - 0.5) + n * p + 0.5)
        v *= (2.83 + 5.1 / b) * spread / (a / us**2 + b)
        if 0 <= k <= n and v <= math.exp(log_of(k) - top):
            return k
    raise AssertionError
