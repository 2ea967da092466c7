"""Arrays beside each other, and one written over a part of another."""

from __future__ import annotations

import math

import numpy as np

from ..core.bind import Box, bind, dtype_of
from ..core.level import Level
from ..core.primitive import Linear, Primitive, op, spec_of, with_batch
from ..core.shape import Spec, undoing
from ..errors import ShapeError


class Stack(Linear):
    """Arrays of one shape along a new dim.

    >>> stack([tensor([1, 2]), tensor([3, 4])])
    tensor([[1, 2],
            [3, 4]])
    """

    joint = True

    def samples(rng):
        return [((rng.normal(size=(2, 3)), rng.normal(size=(2, 3))), {"dim": 1})]

    reference = staticmethod(
        lambda *xs, dim: np.concatenate([np.expand_dims(x, dim) for x in xs], dim)
    )

    def eager(*xs, dim):
        return np.stack(xs, dim)

    def shape(*xs, dim):
        if any(x.shape != xs[0].shape for x in xs):
            raise ShapeError(
                f"stack: shapes must be equal, got {[x.shape for x in xs]}"
            )
        shape = xs[0].shape
        return Spec((*shape[:dim], len(xs), *shape[dim:]), xs[0].dtype)

    def transpose(g, *xs, dim):
        return [op.select(g, dim=dim, index=i) for i in range(len(xs))]

    def batched(*xs, dim):
        return op.stack(*xs, dim=dim + 1)


class Cat(Linear):
    """Arrays one after the other along `dim`.

    >>> cat([tensor([1, 2]), tensor([3])])
    tensor([1, 2, 3])
    """

    joint = True

    def samples(rng):
        return [((rng.normal(size=(2, 3)), rng.normal(size=(2, 1))), {"dim": 1})]

    reference = staticmethod(lambda *xs, dim: np.append(*xs, axis=dim))

    def eager(*xs, dim):
        return np.concatenate(xs, dim)

    def shape(*xs, dim):
        first = xs[0].shape
        for i, x in enumerate(xs):
            if x.ndim != len(first) or any(
                a != b
                for d, (a, b) in enumerate(zip(x.shape, first, strict=True))
                if d != dim
            ):
                raise ShapeError(
                    f"cat: tensors must agree in all dims but {dim}, "
                    f"got {first} at 0 and {x.shape} at {i}"
                )
        size = sum(x.shape[dim] for x in xs)
        return Spec((*first[:dim], size, *first[dim + 1 :]), xs[0].dtype)

    def transpose(g, *xs, dim):
        whole = [(0, n, 1) for n in g.shape]
        out, start = [], 0
        for x in xs:
            stop = start + x.shape[dim]
            out.append(
                op.slice(g, key=(*whole[:dim], (start, stop, 1), *whole[dim + 1 :]))
            )
            start = stop
        return out

    def batched(*xs, dim):
        return op.cat(*xs, dim=dim + 1)


class Overwrite(Linear):
    """x₁ with the part that the views in `chain` show replaced by x₂: a write, functionally.

    >>> x = zeros(3); x[1] = 5; x
    tensor([0., 5., 0.])
    """

    joint = True

    def samples(rng):
        chain = ((op.slice, {"key": ((1, 3, 1), (0, 2, 1))}, None),)
        return [((rng.normal(size=(4, 2)), rng.normal(size=(2, 2))), {"chain": chain})]

    reference = staticmethod(lambda x, y, chain: np.concatenate([x[:1], y, x[3:]]))

    def eager(x1, x2, *, chain):
        out = np.array(x1, order="C")  # also of NumPy's numbers: they cannot be written
        shown = _replay(chain, out)
        if np.may_share_memory(shown, out):
            shown[...] = x2
        else:  # what was a view of x₁'s memory need not be one of its copy's
            places = _replay(chain, np.arange(out.size).reshape(out.shape))
            out.reshape(-1)[places] = x2
        return out

    def expand(x1, x2, *, chain):
        known = all(p.name in _BACK and pick is None for p, _, pick in chain)
        plain = len(chain) == 1 and chain[0][0].name in _PLACES
        if plain or not known:
            return op.overwrite(x1, x2, chain=chain)
        shown = [x1]
        for prim, params, _ in chain:
            shown.append(prim(shown[-1], **params))
        y, last = x2, shown.pop()
        y = y if y.shape == last.shape else op.expand(y, shape=tuple(last.shape))
        for (prim, params, _), x in zip(reversed(chain), reversed(shown), strict=True):
            y = _BACK[prim.name](y, x, prim, params)
        return y

    def shape(x1, x2, *, chain):
        return x1

    def transpose(g, x1, x2, *, chain):
        shown = _replay(chain, g)
        return op.overwrite(g, op.zeros_like(shown), chain=chain), shown

    def batch(self, size, xs, dims, params):
        chain = params["chain"]
        if any(pick is not None or p.family != "linear" for p, _, pick in chain):
            return Primitive.batch(self, size, xs, dims, params)
        x1, x2 = (with_batch(x, d, size) for x, d in zip(xs, dims, strict=True))
        return op.overwrite(x1, x2, chain=_of_batch(chain, spec_of(x1))), 0


# What is x where a view of it is written over with y.
_PLACES = dict.fromkeys(
    ["slice", "select"],
    lambda y, x, prim, params: op.overwrite(x, y, chain=((prim, params, None),)),
)
_BACK = {
    **_PLACES,
    **dict.fromkeys(
        ["reshape", "permute", "flip"],
        lambda y, x, prim, params: prim.transpose(y, spec_of(x), **params),
    ),
    "diagonal": lambda y, x, prim, params: _onto_diagonal(y, x, params),
    "view_as_real": lambda y, x, prim, params: op.view_as_complex(y),
    "view_as_complex": lambda y, x, prim, params: op.view_as_real(y),
    "real": lambda y, x, prim, params: (
        _of_parts(y, op.imag(x)) if dtype_of(x).kind == "c" else y
    ),
    "imag": lambda y, x, prim, params: _of_parts(op.real(x), y),
}


def _onto_diagonal(y, x, params):
    """Of a matrix whose elements are counted on, each step of a row and one more."""
    d, e, offset = params["dim1"], params["dim2"], params["offset"]
    order = (*(i for i in range(x.ndim) if i not in (d, e)), d, e)
    x = op.permute(x, dims=order)
    *lead, rows, columns = shape = tuple(x.shape)
    start, n = max(offset, 0) + max(-offset, 0) * columns, y.shape[-1]
    stop = start + (n - 1) * (columns + 1) + 1 if n else start
    flat = op.reshape(x, shape=(*lead, rows * columns))
    key = (*((0, m, 1) for m in lead), (start, stop, columns + 1))
    flat = op.overwrite(flat, y, chain=((op.slice, {"key": key}, None),))
    return op.permute(op.reshape(flat, shape=shape), dims=undoing(order))


def _of_parts(a, b):
    return op.view_as_complex(op.stack(a, b, dim=a.ndim))


def _of_batch(chain, spec):
    """The views that `chain` takes of each example, taken of the whole batch at once."""
    walk = _Walk()
    probe = walk.at(spec)
    for prim, params, _ in chain:
        probe = prim.batched(probe, **params)
    return tuple(walk.steps)


class _Walk(Level):
    """Notes which views are taken, of which there are only shapes."""

    depth = math.inf

    def __init__(self):
        self.steps = []

    def at(self, spec):
        probe = _Probe()
        probe.level, probe.spec = self, spec
        return probe

    def process(self, prim, args, params):
        self.steps.append((prim, params, None))
        return self.at(prim.infer(args[0].spec, **params))


class _Probe(Box):
    shape = property(lambda self: self.spec.shape)
    dtype = property(lambda self: self.spec.dtype)
    ndim = property(lambda self: self.spec.ndim)


def _replay(chain, x):
    for prim, params, pick in chain:
        x = bind(prim, x, **params) if isinstance(x, Box) else prim.eager(x, **params)
        x = x if pick is None else x[pick]
    return x
