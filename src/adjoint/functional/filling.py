"""Random numbers in place of what a tensor holds."""

from __future__ import annotations

import math

import numpy as np

from ..autodiff.inplace import assign
from ..core import dtype as dt
from ..core.bind import Box, dtype_of
from ..core.primitive import op
from ..errors import ArgumentError, DtypeError
from ..ops.index import LAWS, lawful
from .drawing import draw_integers, draw_normal, draw_rand, draw_randn, draw_uniform
from .face import only_method


def _filler(f):
    """A method that writes f(self, ..) into self, whatever was there."""

    def method(self, *args, **kwargs):
        if "from" in kwargs:
            kwargs["low"] = kwargs.pop("from")
        if "to" in kwargs:
            kwargs["high"] = kwargs.pop("to")
        return assign(self, f(self, *args, **kwargs), f.__name__)

    method.__name__ = method.__qualname__ = f.__name__
    method.__doc__ = f.__doc__
    return only_method(method)


def _cells(x, name):
    """The shape to draw and the dtype to draw in."""
    d = dtype_of(x)
    if d.kind not in "fVc":
        raise DtypeError(f"{name}: not implemented for {dt.dtype(d)}")
    return tuple(x.shape), d


@_filler
def uniform_(self, low=0, high=1, *, generator=None):
    """Fill with numbers evenly from [from, to).

    >>> x = zeros(100).uniform_(2, 3)
    >>> (x >= 2).all().item()
    True
    """
    if low > high:
        raise ArgumentError(
            "uniform_ expects to return a [from, to) range, but found "
            f"from={low} > to={high}"
        )
    return draw_rand(*_cells(self, "uniform_"), generator) * (high - low) + low


@_filler
def normal_(self, mean=0, std=1, *, generator=None):
    """Fill with numbers of a normal law.

    >>> zeros(2).normal_(5., 0.)
    tensor([5., 5.])
    """
    check_std(std, "normal_")
    return draw_randn(*_cells(self, "normal_"), generator) * std + mean


def check_std(std, name):
    if not std >= 0:
        raise ArgumentError(f"{name} expects std >= 0.0, but found std {std}")


@_filler
def log_normal_(self, mean=1, std=2, *, generator=None):
    """Fill with exp of numbers of a normal law.

    >>> (zeros(9).log_normal_() > 0).all().item()
    True
    """
    check_std(std, "log_normal_")
    return op.exp(draw_normal(*_cells(self, "log_normal_"), generator) * std + mean)


@_filler
def exponential_(self, lambd=1, *, generator=None):
    """Fill with waiting times at rate `lambd`: -log(1 - u) / lambd.

    >>> (zeros(9).exponential_() >= 0).all().item()
    True
    """
    if not lambd > 0:
        raise ArgumentError(
            f"exponential_ expects lambda > 0.0, but found lambda={lambd}"
        )
    u = draw_uniform(*_cells(self, "exponential_"), generator)
    return op.log1p(-u) * (-1 / lambd)


@_filler
def cauchy_(self, median=0, sigma=1, *, generator=None):
    """Fill with numbers of a Cauchy law: median + sigma tan(pi (u - 1/2)).

    >>> zeros(3).cauchy_().shape
    adjoint.Size([3])
    """
    if not sigma > 0:
        raise ArgumentError(f"cauchy_ expects sigma > 0.0, but found sigma={sigma}")
    u = draw_uniform(*_cells(self, "cauchy_"), generator)
    return op.tan((u - 0.5) * math.pi) * sigma + median


@_filler
def geometric_(self, p, *, generator=None):
    """Fill with how many trials of probability p it takes: ceil(log(1 - u) / log(1 - p)).

    >>> (zeros(9).geometric_(0.5) >= 1).all().item()
    True
    """
    if not 0 < p < 1:
        raise ArgumentError(f"geometric_ expects p to be in (0, 1), but got p={p}")
    u = draw_uniform(tuple(self.shape), np.dtype("float64"), generator)
    tries = op.ceil(op.log1p(-u) * (1 / math.log1p(-p)))
    return op.cast(op.maximum(tries, np.float64(1)), dtype=dtype_of(self))


@_filler
def random_(self, low=0, high=None, *, generator=None):
    """Fill with integers low <= n < high; by default, up to what the dtype holds exactly.

    >>> (zeros(9).random_(5) < 5).all().item()
    True
    """
    d = dtype_of(self)
    if high is None:
        low, high = (0, low) if low else (0, _above(d))
    return op.cast(draw_integers(tuple(self.shape), low, high, generator), dtype=d)


def _above(d) -> int:
    """One more than the last of the integers that dtype `d` holds without gaps."""
    if d.kind in "iu":
        return int(np.iinfo(d).max) + (d.itemsize < 8)
    bits = {"float64": 53, "float16": 11, "bfloat16": 8, "bool": 1}
    return 2 ** bits.get(d.name, 24) + (d.kind != "b")


@_filler
def bernoulli_(self, p=0.5, *, generator=None):
    """Fill with 1, of probability p (a number or a tensor), and 0.

    >>> zeros(2).bernoulli_(1.)
    tensor([1., 1.])
    """
    hits = trials(p, tuple(self.shape), generator)
    return op.cast(hits, dtype=dtype_of(self))


def trials(p, shape, generator):
    """Booleans that are true with probability p."""
    if not isinstance(p, Box):
        _check_chances(p, p)
        p = np.array(p, dt.get_default_dtype().np)
    elif isinstance(p.value, np.ndarray) and p.value.size:  # there are numbers to check
        _check_chances(p.value.min(), p.value.max())
    d = dtype_of(p) if dtype_of(p) == np.float64 else np.dtype("float32")
    known = not isinstance(p, Box) or isinstance(p.value, np.ndarray)
    p = op.cast(p.detach() if isinstance(p, Box) else p, dtype=d)
    if not known:
        inside = op.logical_and(op.ge(p, np.zeros((), d)), op.le(p, np.ones((), d)))
        p = lawful(p, inside, "bernoulli")
    return op.lt(draw_uniform(shape, d, generator), p)


def _check_chances(low, high):
    if not 0 <= low <= high <= 1:
        raise ArgumentError(LAWS["bernoulli"], hint=f"they go from {low} to {high}")
