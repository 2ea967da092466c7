"""What draws have in common: states taken from a generator, numbers of the usual laws, results."""

from __future__ import annotations

import math

import numpy as np

from ..autodiff.batch import mapping
from ..autodiff.tape import BASE
from ..core import dtype as dt
from ..core.bind import Box, dtype_of, floor
from ..core.generator import Generator, default_generator
from ..core.philox import blocks_for
from ..core.primitive import op
from ..errors import ArgumentError, ArgumentTypeError, DtypeError
from .complexes import complex
from .face import give


def _take(generator, blocks):
    g = default_generator if generator is None else generator
    if not isinstance(g, Generator):
        raise ArgumentTypeError(
            f"generator must be a Generator, got {type(g).__name__}"
        )
    return floor.get().take(g, blocks)


def _maps():
    """The vmaps around this draw, none of which forbids it."""
    levels = mapping.get()
    if any(level.randomness == "error" for level in levels):
        raise ArgumentError(
            "vmap: called random operation while in randomness error mode",
            hint='vmap(..., randomness="different") draws for each example anew, '
            '"same" once for all',
        )
    return [level for level in levels if level.randomness == "different"]


def draw(prim, shape, generator, bits, **params):
    """Numbers of a shape; inside `vmap(randomness="different")`, of each example."""
    levels = _maps()
    full = (*(level.size for level in levels), *shape)
    count = math.prod(full)
    count += count % 2  # normals come in twos
    state = _take(generator, blocks_for(count, bits))
    out = BASE.wrap(prim(state, shape=full, **params))
    for level in levels:
        out = level.batched(out, 0)
    return out


def sample(prim, *xs, generator, blocks=1, **params):
    """A draw whose law depends on tensors; each example of a vmap has its own state."""
    levels = _maps()
    many = [level.size for level in levels]
    start = _take(generator, blocks * math.prod(many))
    steps = np.zeros((*many, 2), np.int64)
    steps[..., 1] = blocks * np.arange(math.prod(many)).reshape(many)
    state = BASE.wrap(op.add(start, steps) if many else start)
    for level in levels:
        state = level.batched(state, 0)
    held = [x.detach() if isinstance(x, Box) else x for x in xs]
    out = prim(state, *held, **params)
    for x in xs:
        if isinstance(x, Box) and x.requires_grad and dtype_of(out).kind in "fV":
            out = op.held(out, x)
    return out


def need_floating(name, d):
    """The dtype, which must be one of floats."""
    if d.kind not in "fV":
        raise DtypeError(f"{name}: not implemented for {dt.dtype(d)}")
    return d


def draw_uniform(shape, d, generator):
    """Numbers evenly from [0, 1)."""
    d = need_floating("uniform", d)
    bits = 64 if d == np.float64 else 32
    return draw(op.random_uniform, shape, generator, bits, dtype=d)


def draw_normal(shape, d, generator):
    """Numbers of the normal law of mean 0 and deviation 1."""
    d = need_floating("normal", d)
    bits = 64 if d == np.float64 else 32
    return draw(op.random_normal, shape, generator, bits, dtype=d)


def _parts(make, shape, d, generator, scale):
    """Complex numbers of two real draws."""
    real = dt.to_real(d)
    x, y = (make(shape, real, generator) for _ in range(2))
    return complex(x * scale, y * scale) if scale != 1 else complex(x, y)


def draw_rand(shape, d, generator):
    """Even numbers, or complex ones with such parts."""
    if d.kind == "c":
        return _parts(draw_uniform, shape, d, generator, 1)
    return draw_uniform(shape, d, generator)


def draw_randn(shape, d, generator):
    """Normal numbers, or complex ones of variance 1."""
    if d.kind == "c":  # variance one in all
        return _parts(draw_normal, shape, d, generator, math.sqrt(0.5))
    return draw_normal(shape, d, generator)


def delivered(x, out, requires_grad):
    """A result to where it is wanted, or with a gradient to come."""
    if out is not None:
        return give(x, out)
    return x.requires_grad_() if requires_grad else x


def draw_integers(shape, low, high, generator):
    """Whole numbers low <= n < high."""
    low, high = (v.item() if isinstance(v, Box) else v for v in (low, high))
    if low >= high:
        raise ArgumentError(
            f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}"
        )
    return draw(
        op.random_integers, shape, generator, 64, low=int(low), count=int(high - low)
    )
