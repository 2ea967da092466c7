"""Samples: the random inputs by which records are tried."""

from __future__ import annotations


def uniform(*shapes, low=-2.0, high=2.0, **params):
    """A sampler of random real inputs of these shapes."""
    return lambda rng: [(tuple(rng.uniform(low, high, s) for s in shapes), params)]


def normals(of, /, **params):
    """A sampler of one array of normal numbers."""
    return lambda rng: [((rng.normal(size=of),), params)]


def complexes(*of):
    """A sampler of one array of complex normal numbers."""
    return lambda rng: [((rng.normal(size=of) + 1j * rng.normal(size=of),), {})]


def some_dims(low=-2.0, high=2.0):
    """A sampler of arrays to reduce, over one dim, some and all."""

    def samples(rng):
        x = rng.uniform(low, high, (3, 4, 2))
        return [
            ((x,), {"dim": (1,), "keepdim": False}),
            ((x,), {"dim": (0, 2), "keepdim": True}),
            ((x,), {"dim": (0, 1, 2), "keepdim": False}),
        ]

    return samples


any1 = uniform((3, 2))
positive1 = uniform((3, 2), low=0.2, high=3.0)
unit1 = uniform((3, 2), low=-0.9, high=0.9)
any2 = uniform((3, 2), (2,))
positive2 = uniform((3, 2), (3, 1), low=0.3, high=2.5)
