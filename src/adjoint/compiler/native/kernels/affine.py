"""Indices: sums of loop variables, and the ways an operation moves them."""

from __future__ import annotations


class Affine:
    """A sum of loop variables with whole coefficients, and a constant."""

    __slots__ = ("const", "terms")

    def __init__(self, terms=None, const=0):
        self.terms, self.const = terms or {}, const

    def __add__(self, other):
        terms = dict(self.terms)
        for loop, c in other.terms.items():
            terms[loop] = terms.get(loop, 0) + c
        return Affine({k: c for k, c in terms.items() if c}, self.const + other.const)

    def times(self, n: int):
        """n of it."""
        return Affine(
            {k: c * n for k, c in self.terms.items() if c * n}, self.const * n
        )

    def key(self):
        """What makes two the same."""
        return tuple(sorted((id(k), c) for k, c in self.terms.items())), self.const


ZERO = Affine()


def every(index):
    """The index as it is."""
    return index


def then(f, g):
    """f, then g."""
    return lambda index: g(f(index))


def shifted(d, start):
    """An index with `start` added in dim d."""
    return lambda index: (*index[:d], index[d] + Affine(const=start), *index[d + 1 :])


def summed(pairs, start=ZERO):
    """The sum of indices, so many of each: pairs of both."""
    for i, n in pairs:
        start = start + i.times(n)
    return start


def in_order(index, shape):
    """Which of all elements, in order, the one with this index is."""
    flat, step = ZERO, 1
    for i, n in zip(reversed(index), reversed(shape), strict=True):
        flat, step = flat + i.times(step), step * n
    return flat


def strided(params, index):
    """Which of the elements of x, in order, as_strided has at this index."""
    pairs = zip(index, params["stride"], strict=True)
    return summed(pairs, Affine(const=params["offset"]))


def framed(params, index):
    """Where in x the element of its frames with this index lies."""
    (*at, k), d = index, params["dim"]
    at[d] = at[d].times(params["step"]) + k
    return tuple(at)


def on_diagonal(params, count, index):
    """Where in x, of `count` dims, the element of its diagonal with this index lies."""
    *rest, i = index
    below, above = max(-params["offset"], 0), max(params["offset"], 0)
    ends = {
        params["dim1"]: i + Affine(const=below),
        params["dim2"]: i + Affine(const=above),
    }
    rest = iter(rest)
    return tuple(ends[d] if d in ends else next(rest) for d in range(count))


def keyed(key, index):
    """Where in x the element of x[key] with this index lies."""
    index, out = iter(index), []
    for k in key:
        if k is None:
            next(index)
        elif isinstance(k, tuple):
            out.append(next(index).times(k[2]) + Affine(const=k[0]))
        else:
            out.append(Affine(const=k))
    return (*out, *index)


def padded(index, rank):
    """The index of so many dims, of which the ones at the end were not counted."""
    return (*index, *(ZERO,) * (rank - len(index)))


def broadcast(v, index):
    """The index of a value that was broadcast to the index's dims."""
    shape = v.spec.shape
    tail = index[len(index) - len(shape) :] if shape else ()
    return tuple(ZERO if n == 1 else i for n, i in zip(shape, tail, strict=True))
