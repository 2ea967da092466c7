"""Movement: the same numbers in another shape. Linear maps, most of them views."""

from __future__ import annotations

import math

import numpy as np

from ..core.bind import Box, Level, bind
from ..core.dtype import to_real
from ..core.primitive import (
    Linear,
    Primitive,
    batch_to_front,
    op,
    spec_of,
    sum_to,
    with_batch,
)
from ..core.shape import Spec, broadcast
from ..errors import ShapeError


def _sample(of, /, **params):
    return lambda rng: [((rng.normal(size=of),), params)]


class Reshape(Linear):
    """The same elements in row-major order in another shape; a view where strides allow.

    >>> tensor([[1, 2], [3, 4]]).reshape(4)
    tensor([1, 2, 3, 4])
    """

    view = True
    samples = _sample((2, 6), shape=(3, 4))
    reference = staticmethod(
        lambda x, shape: np.array(x.ravel().tolist()).reshape(shape)
    )

    def eager(x, *, shape):
        return x.reshape(shape)

    def shape(x, *, shape):
        if math.prod(x.shape) != math.prod(shape):
            raise ShapeError(
                f"reshape: shape {shape} does not hold the elements of {x.shape}"
            )
        return Spec(tuple(shape), x.dtype)

    def transpose(g, x, *, shape):
        return op.reshape(g, shape=tuple(x.shape))

    def batched(x, *, shape):
        return op.reshape(x, shape=(x.shape[0], *shape))


class Permute(Linear):
    """Dims in another order.

    >>> permute(tensor([[1, 2], [3, 4]]), (1, 0))
    tensor([[1, 3],
            [2, 4]])
    """

    view = True
    samples = _sample((2, 3, 4), dims=(2, 0, 1))
    reference = staticmethod(lambda x, dims: np.moveaxis(x, dims, range(x.ndim)))

    def eager(x, *, dims):
        return x.transpose(dims)

    def shape(x, *, dims):
        return Spec(tuple(x.shape[d] for d in dims), x.dtype)

    def transpose(g, x, *, dims):
        return op.permute(g, dims=tuple(sorted(range(len(dims)), key=dims.__getitem__)))

    def batched(x, *, dims):
        return op.permute(x, dims=(0, *(d + 1 for d in dims)))


class Expand(Linear):
    """Broadcast to a shape without copying.

    >>> tensor([[1], [2]]).expand(2, 2)
    tensor([[1, 1],
            [2, 2]])
    """

    view = True
    samples = _sample((3, 1), shape=(2, 3, 4))
    reference = staticmethod(lambda x, shape: x + np.zeros(shape))

    def eager(x, *, shape):
        return _stretched(x, shape)

    def shape(x, *, shape):
        if broadcast(x.shape, shape, name="expand") != tuple(shape):
            raise ShapeError(f"expand: {x.shape} does not expand to {tuple(shape)}")
        return Spec(tuple(shape), x.dtype)

    def transpose(g, x, *, shape):
        return sum_to(g, x.shape)

    def batched(x, *, shape):
        lead = len(shape) - (x.ndim - 1)
        x = op.reshape(x, shape=(x.shape[0], *(1,) * lead, *x.shape[1:]))
        return op.expand(x, shape=(x.shape[0], *shape))


def _stretched(x, shape):
    """`np.broadcast_to`, which costs four times as much where new dims are all it adds."""
    lead = len(shape) - x.ndim
    if x.ndim and (x.shape != tuple(shape[lead:]) or not x.flags.c_contiguous):
        return np.broadcast_to(x, shape)
    if type(x) is not np.ndarray or lead < 0 or not x.size or min(shape, default=1) < 0:
        return np.broadcast_to(x, shape)
    y = np.ndarray(shape, x.dtype, x, 0, (0,) * lead + x.strides)
    y.flags.writeable = False
    return y


class Slice(Linear):
    """Basic indexing by integers, slices and None: a view.

    `key` holds (start, stop, step) triples, integers and None, one a dim of x but None.

    >>> tensor([1, 2, 3, 4])[1:3]
    tensor([2, 3])
    """

    view = True
    reference = staticmethod(lambda x, key: np.array(x.tolist())[_keys(key)])

    def samples(rng):
        x = rng.normal(size=(4, 3, 5))
        return [
            ((x,), {"key": ((1, 3, 1), 0, None, (0, 5, 2))}),
            ((x,), {"key": ((0, 4, 1), (0, 3, 1), 4)}),
        ]

    def eager(x, *, key):
        return x[_keys(key)]

    def shape(x, *, key):
        out, i = [], 0
        for k in key:
            if k is None:
                out.append(1)
                continue
            if isinstance(k, tuple):
                out.append(len(range(*k)))
            i += 1
        return Spec(tuple(out), x.dtype)

    def transpose(g, x, *, key):
        return op.unslice(g, shape=tuple(x.shape), key=key)

    def batched(x, *, key):
        return op.slice(x, key=((0, x.shape[0], 1), *key))


def _keys(key):
    return (*(slice(*k) if isinstance(k, tuple) else k for k in key), ...)


class Unslice(Linear):
    """Zeros of `shape` with x where `slice` by `key` would read; the adjoint of slice.

    >>> op.unslice(tensor([5.]), shape=(3,), key=((1, 2, 1),))
    tensor([0., 5., 0.])
    """

    samples = _sample((2, 3), shape=(4, 3), key=((0, 4, 2), (0, 3, 1)))

    def reference(x, shape, key):
        out = np.zeros(shape)
        out[_keys(key)] = x
        return out

    def eager(x, *, shape, key):
        out = np.zeros(shape, x.dtype)
        out[_keys(key)] = x
        return out

    def shape(x, *, shape, key):
        return Spec(tuple(shape), x.dtype)

    def transpose(g, x, *, shape, key):
        return op.slice(g, key=key)

    def batched(x, *, shape, key):
        n = x.shape[0]
        return op.unslice(x, shape=(n, *shape), key=((0, n, 1), *key))


class Select(Linear):
    """The slice at `index` along `dim`, without that dim.

    >>> select(tensor([[1, 2], [3, 4]]), 0, 1)
    tensor([3, 4])
    """

    view = True
    samples = _sample((3, 4), dim=1, index=2)
    reference = staticmethod(lambda x, dim, index: np.take(x, index, dim))

    def eager(x, *, dim, index):
        return x[(slice(None),) * dim + (index, ...)]

    def shape(x, *, dim, index):
        return Spec((*x.shape[:dim], *x.shape[dim + 1 :]), x.dtype)

    def transpose(g, x, *, dim, index):
        whole = tuple((0, n, 1) for n in x.shape)
        return op.unslice(
            g, shape=tuple(x.shape), key=(*whole[:dim], index, *whole[dim + 1 :])
        )

    def batched(x, *, dim, index):
        return op.select(x, dim=dim + 1, index=index)


class Flip(Linear):
    """Reversed along `dims`.

    >>> flip(tensor([1, 2, 3]), [0])
    tensor([3, 2, 1])
    """

    samples = _sample((2, 3), dims=(1,))
    reference = staticmethod(lambda x, dims: np.array(np.flip(x, dims)))

    def eager(x, *, dims):
        return np.flip(x, dims).copy()

    def shape(x, *, dims):
        return x

    def transpose(g, x, *, dims):
        return op.flip(g, dims=dims)

    def batched(x, *, dims):
        return op.flip(x, dims=tuple(d + 1 for d in dims))


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
        out = np.array(
            x1, order="C"
        )  # also of NumPy's numbers, which cannot be written
        shown = _replay(chain, out)
        if np.may_share_memory(shown, out):
            shown[...] = x2
        else:  # what was a view of x₁'s memory need not be one of its copy's
            places = _replay(chain, np.arange(out.size).reshape(out.shape))
            out.reshape(-1)[places] = x2
        return out

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


class _Filled(Primitive, abstract=True):
    """A constant of the shape and dtype of x."""

    differentiable = False
    samples = _sample((2, 3))

    def infer(self, x):
        return x

    def batch(self, size, xs, dims, params):
        return bind(self, xs[0]), dims[0]


class ZerosLike(_Filled):
    """Zeros of the shape and dtype of x.

    >>> zeros_like(tensor([1., 2.]))
    tensor([0., 0.])
    """

    reference = staticmethod(lambda x: x - x)

    def eager(x):
        return np.zeros(x.shape, x.dtype)


class OnesLike(_Filled):
    """Ones of the shape and dtype of x.

    >>> ones_like(tensor([1., 2.]))
    tensor([1., 1.])
    """

    reference = staticmethod(lambda x: x - x + 1)

    def eager(x):
        return np.ones(x.shape, x.dtype)

    def parts(x):
        return op.ones_like(x[0]), op.zeros_like(x[1])


class Cast(Linear):
    """The same numbers in another dtype; of complex numbers the real parts.

    >>> tensor([1.7]).to(int64)
    tensor([1])
    """

    reference = staticmethod(lambda x, dtype: np.array(x.tolist(), dtype))

    def samples(rng):
        return [((rng.normal(size=(3, 2)),), {"dtype": np.dtype("complex128")})]

    def eager(x, *, dtype):
        if x.dtype.kind == "c" and dtype.kind not in "cb":
            x = x.real
        return x.astype(dtype)

    def shape(x, *, dtype):
        return x._replace(dtype=np.dtype(dtype))

    def transpose(g, x, *, dtype):
        return op.cast(g, dtype=x.dtype)

    def batched(x, *, dtype):
        return op.cast(x, dtype=dtype)

    def lower(b, x, dtype):
        return b.cast(x, dtype)

    def parts(x, dtype):
        if not isinstance(x, tuple):
            x = op.cast(x, dtype=to_real(dtype))
            return x, op.zeros_like(x)
        if dtype.kind == "c":
            return tuple(op.cast(a, dtype=to_real(dtype)) for a in x)
        if dtype.kind == "b":
            return op.logical_or(*(op.ne(a, op.zeros_like(a)) for a in x))
        return op.cast(x[0], dtype=dtype)


class Contiguous(Linear):
    """A copy in row-major order.

    >>> tensor([1., 2.]).clone()
    tensor([1., 2.])
    """

    samples = _sample((2, 3))
    reference = staticmethod(lambda x: x)

    def eager(x):
        return np.array(x, order="C")

    def shape(x):
        return x

    def transpose(g, x):
        return g

    def batched(x):
        return op.contiguous(x)


class Real(Linear):
    """Real part.

    >>> real(tensor([1+2j]))
    tensor([1.])
    """

    view = True
    samples = _sample((2, 3))
    reference = staticmethod(lambda x: x)

    def eager(x):
        return x.real

    def shape(x):
        return Spec(x.shape, np.zeros((), x.dtype).real.dtype)

    def transpose(g, x):
        return g if x.dtype.kind != "c" else op.cast(g, dtype=x.dtype)

    def batched(x):
        return op.real(x)

    def parts(x):
        return x[0]


class Imag(Linear):
    """Imaginary part.

    >>> imag(tensor([1+2j]))
    tensor([2.])
    """

    view = True

    def samples(rng):
        return [((rng.normal(size=(2, 3)) + 1j * rng.normal(size=(2, 3)),), {})]

    reference = staticmethod(lambda x: (x - x.conj()) / 2j)

    def eager(x):
        return x.imag

    def shape(x):
        return Spec(x.shape, np.zeros((), x.dtype).real.dtype)

    def transpose(g, x):
        return op.cast(g, dtype=x.dtype) * 1j

    def batched(x):
        return op.imag(x)

    def parts(x):
        return x[1]


class Roll(Linear):
    """Elements moved by `shifts` along `dims`; what falls off one end comes in at the other.

    >>> roll(tensor([1, 2, 3]), 1)
    tensor([3, 1, 2])
    """

    samples = _sample((3, 4), shifts=(1, -2), dims=(0, 1))

    def reference(x, shifts, dims):
        for s, d in zip(shifts, dims, strict=True):
            x = np.take(x, (np.arange(x.shape[d]) - s) % x.shape[d], d)
        return x

    def eager(x, *, shifts, dims):
        return np.roll(x, shifts, dims)

    def shape(x, *, shifts, dims):
        return x

    def transpose(g, x, *, shifts, dims):
        return op.roll(g, shifts=tuple(-s for s in shifts), dims=dims)

    def batched(x, *, shifts, dims):
        return op.roll(x, shifts=shifts, dims=tuple(d + 1 for d in dims))


class _Triangle(Linear, abstract=True):
    """A part of each matrix in the last two dims, zeros elsewhere: its own adjoint."""

    samples = _sample((2, 3, 4), diagonal=1)

    def infer(self, x, *, diagonal):
        if x.ndim < 2:
            raise ShapeError(
                f"{self.name}: input tensor must have at least 2 dimensions, got {x}"
            )
        return x

    def vjp(self, g, y, xs, params, need):
        return (bind(self, g, **params),)

    def batch(self, size, xs, dims, params):
        return bind(self, batch_to_front(xs[0], dims[0]), **params), 0

    def errors():
        return [((np.ones(3),), {"diagonal": 0}, ShapeError, "at least 2 dimensions")]


class Tril(_Triangle):
    """The lower triangle of each matrix, up to diagonal number `diagonal`; zeros above.

    >>> tril(tensor([[1, 2], [3, 4]]))
    tensor([[1, 0],
            [3, 4]])
    """

    reference = staticmethod(lambda x, diagonal: x * np.tri(*x.shape[-2:], k=diagonal))

    def eager(x, *, diagonal):
        if x.ndim < 2:
            raise ValueError("a vector has no triangle")
        return np.tril(x, diagonal)


class Triu(_Triangle):
    """The upper triangle of each matrix, from diagonal number `diagonal` on; zeros below.

    >>> triu(tensor([[1, 2], [3, 4]]))
    tensor([[1, 2],
            [0, 4]])
    """

    reference = staticmethod(
        lambda x, diagonal: x * (1 - np.tri(*x.shape[-2:], k=diagonal - 1))
    )

    def eager(x, *, diagonal):
        if x.ndim < 2:
            raise ValueError("a vector has no triangle")
        return np.triu(x, diagonal)


def _diagonal_size(rows, cols, offset):
    """How many elements diagonal number `offset` has."""
    return max(0, min(rows + min(offset, 0), cols - max(offset, 0)))


def _without(shape, *dims):
    return tuple(n for i, n in enumerate(shape) if i not in dims)


class Diagonal(Linear):
    """Diagonal number `offset` of the matrices in two dims, as the last dim: a view.

    >>> diagonal(tensor([[1, 2], [3, 4]]))
    tensor([1, 4])
    """

    view = True

    def samples(rng):
        x = rng.normal(size=(3, 2, 4))
        return [
            ((x,), {"offset": 1, "dim1": 0, "dim2": 2}),
            ((x,), {"offset": -1, "dim1": 1, "dim2": 0}),
        ]

    def reference(x, offset, dim1, dim2):
        x = np.moveaxis(x, (dim1, dim2), (-2, -1))
        n = _diagonal_size(*x.shape[-2:], offset)
        pairs = [(i - min(offset, 0), i + max(offset, 0)) for i in range(n)]
        return np.stack([x[..., i, j] for i, j in pairs], -1)

    def eager(x, *, offset, dim1, dim2):
        y = np.diagonal(x, offset, dim1, dim2)
        y.flags.writeable = x.flags.writeable
        return y

    def shape(x, *, offset, dim1, dim2):
        n = _diagonal_size(x.shape[dim1], x.shape[dim2], offset)
        return Spec((*_without(x.shape, dim1, dim2), n), x.dtype)

    def transpose(g, x, **params):
        return op.undiagonal(g, shape=tuple(x.shape), **params)

    def batched(x, *, offset, dim1, dim2):
        return op.diagonal(x, offset=offset, dim1=dim1 + 1, dim2=dim2 + 1)


class Undiagonal(Linear):
    """Zeros of `shape` with x on a diagonal: the adjoint of `diagonal`.

    >>> op.undiagonal(tensor([5., 6.]), shape=(2, 2), offset=0, dim1=0, dim2=1)
    tensor([[5., 0.],
            [0., 6.]])
    """

    samples = _sample((2, 3), shape=(3, 2, 4), offset=1, dim1=0, dim2=2)

    def reference(x, shape, offset, dim1, dim2):
        out = np.zeros(shape)
        wide = np.moveaxis(out, (dim1, dim2), (-2, -1))
        for i in range(x.shape[-1]):
            wide[..., i - min(offset, 0), i + max(offset, 0)] = x[..., i]
        return out

    def eager(x, *, shape, offset, dim1, dim2):
        out = np.zeros(shape, x.dtype)
        Diagonal.eager(out, offset=offset, dim1=dim1, dim2=dim2)[...] = x
        return out

    def shape(x, *, shape, offset, dim1, dim2):
        return Spec(tuple(shape), x.dtype)

    def transpose(g, x, *, shape, offset, dim1, dim2):
        return op.diagonal(g, offset=offset, dim1=dim1, dim2=dim2)

    def batched(x, *, shape, offset, dim1, dim2):
        shape = (x.shape[0], *shape)
        return op.undiagonal(
            x, shape=shape, offset=offset, dim1=dim1 + 1, dim2=dim2 + 1
        )


class Frames(Linear):
    """Slices of `size` elements of dim `dim`, one every `step`, as a new last dim: a view.

    >>> tensor([1, 2, 3, 4]).unfold(0, 2, 1)
    tensor([[1, 2],
            [2, 3],
            [3, 4]])
    """

    view = True

    def samples(rng):
        x = rng.normal(size=(2, 7, 3))
        return [
            ((x,), {"dim": 1, "size": 3, "step": 2}),
            ((x,), {"dim": 1, "size": 5, "step": 1}),
        ]

    def reference(x, dim, size, step):
        starts = range(0, x.shape[dim] - size + 1, step)
        slices = [np.take(x, range(i, i + size), dim) for i in starts]
        return np.stack([np.moveaxis(s, dim, -1) for s in slices], dim)

    def eager(x, *, dim, size, step):
        shape = _frames(x.shape, dim, size, step)
        strides = list(x.strides)
        strides[dim] *= step
        strides.append(x.strides[dim])
        return np.lib.stride_tricks.as_strided(x, shape, strides)

    def shape(x, *, dim, size, step):
        return Spec(_frames(x.shape, dim, size, step), x.dtype)

    def transpose(g, x, **params):
        return op.overlap_add(g, n=x.shape[params["dim"]], **params)

    def batched(x, *, dim, size, step):
        return op.frames(x, dim=dim + 1, size=size, step=step)


def _frames(shape, dim, size, step):
    count = (shape[dim] - size) // step + 1
    return (*shape[:dim], count, *shape[dim + 1 :], size)


class OverlapAdd(Linear):
    """The frames of `frames` added up where they lie, in a dim of n: its adjoint.

    >>> op.overlap_add(ones(3, 2), n=4, dim=0, size=2, step=1)
    tensor([1., 2., 2., 1.])
    """

    def samples(rng):
        return [
            (
                (rng.normal(size=(2, 3, 4, 3)),),
                {"n": 8, "dim": 1, "size": 3, "step": 2},
            ),
            ((rng.normal(size=(2, 5)),), {"n": 6, "dim": 0, "size": 5, "step": 1}),
        ]

    def reference(x, n, dim, size, step):
        x = np.moveaxis(x, dim, 0)
        out = np.zeros((n, *x.shape[1:-1]))
        for i in range(x.shape[0]):
            for k in range(size):
                out[i * step + k] += x[i, ..., k]
        return np.moveaxis(out, 0, dim)

    def eager(x, *, n, dim, size, step):
        out = np.zeros((*x.shape[:dim], n, *x.shape[dim + 1 : -1]), x.dtype)
        into, count = np.moveaxis(out, dim, -1), x.shape[dim]
        x = np.moveaxis(x, dim, -2)
        if size <= count:
            for k in range(size):
                into[..., k : k + step * count : step] += x[..., k]
        else:
            for i in range(count):
                into[..., i * step : i * step + size] += x[..., i, :]
        return out

    def shape(x, *, n, dim, size, step):
        return Spec((*x.shape[:dim], n, *x.shape[dim + 1 : -1]), x.dtype)

    def transpose(g, x, *, n, **params):
        return op.frames(g, **params)

    def batched(x, *, n, dim, size, step):
        return op.overlap_add(x, n=n, dim=dim + 1, size=size, step=step)


class AsStrided(Linear):
    """Elements offset + Σ i_k · stride_k of the elements of x in row-major order.

    >>> as_strided(tensor([1, 2, 3]), (2, 2), (1, 1))
    tensor([[1, 2],
            [2, 3]])
    """

    view = True

    def samples(rng):
        x = rng.normal(size=(3, 4))
        return [
            ((x,), {"size": (2, 3), "stride": (3, 2), "offset": 1}),
            ((x,), {"size": (4, 3), "stride": (2, 0), "offset": 0}),
        ]

    def reference(x, size, stride, offset):
        return np.take(x, _strided_places(size, stride, offset))

    def eager(x, *, size, stride, offset):
        if math.prod(size) == 0:
            return np.zeros(size, x.dtype)
        # An expanded x has no steps of its own.
        flat = np.ascontiguousarray(x).reshape(-1)[offset:]
        steps = [s * x.itemsize for s in stride]
        return np.lib.stride_tricks.as_strided(flat, size, steps)

    def shape(x, *, size, stride, offset):
        return Spec(tuple(size), x.dtype)

    def transpose(g, x, **params):
        return op.strided_add(g, shape=tuple(x.shape), **params)

    def batched(x, *, size, stride, offset):
        n, rest = x.shape[0], math.prod(x.shape[1:])
        return op.as_strided(x, size=(n, *size), stride=(rest, *stride), offset=offset)


def _strided_places(size, stride, offset):
    """The place in memory of each element of a strided view."""
    places = np.array(offset)
    for n, s in zip(size, stride, strict=True):
        places = places[..., None] + s * np.arange(n)
    return places


class StridedAdd(Linear):
    """Zeros of `shape`, to whose elements x is added at the places of `as_strided`.

    >>> op.strided_add(ones(2, 2), shape=(3,), size=(2, 2), stride=(1, 1), offset=0)
    tensor([1., 2., 1.])
    """

    samples = _sample((2, 3), shape=(3, 4), size=(2, 3), stride=(1, 2), offset=1)

    def reference(x, shape, size, stride, offset):
        out = np.zeros(math.prod(shape))
        for i in np.ndindex(*size):
            out[offset + np.dot(i, stride)] += x[i]
        return out.reshape(shape)

    def eager(x, *, shape, size, stride, offset):
        out = np.zeros(math.prod(shape), x.dtype)
        np.add.at(out, _strided_places(size, stride, offset), x)
        return out.reshape(shape)

    def shape(x, *, shape, size, stride, offset):
        return Spec(tuple(shape), x.dtype)

    def transpose(g, x, *, shape, **params):
        return op.as_strided(g, **params)

    def batched(x, *, shape, size, stride, offset):
        n, rest = x.shape[0], math.prod(shape)
        size, stride = (n, *size), (rest, *stride)
        return op.strided_add(
            x, shape=(n, *shape), size=size, stride=stride, offset=offset
        )


class ViewAsReal(Linear):
    """Complex numbers as pairs (real, imaginary) in a new last dim: a view.

    >>> view_as_real(tensor([1+2j]))
    tensor([[1., 2.]])
    """

    view = True
    reference = staticmethod(lambda x: np.stack([x.real, x.imag], -1))

    def samples(rng):
        return [((rng.normal(size=(2, 3)) + 1j * rng.normal(size=(2, 3)),), {})]

    def eager(x):
        return x[..., None].view(x.real.dtype)

    def shape(x):
        return Spec((*x.shape, 2), np.zeros((), x.dtype).real.dtype)

    def transpose(g, x):
        return op.view_as_complex(g)

    def batched(x):
        return op.view_as_real(x)

    def parts(x):
        return op.stack(*x, dim=x[0].ndim)


class ViewAsComplex(Linear):
    """Pairs (real, imaginary) in the last dim as complex numbers: a view where they adjoin.

    >>> view_as_complex(tensor([[1., 2.]]))
    tensor([1.+2.j])
    """

    view = True
    samples = _sample((3, 2))
    reference = staticmethod(lambda x: x[..., 0] + 1j * x[..., 1])

    def eager(x):
        if x.strides[-1] != x.itemsize:
            x = np.array(x, order="C")
        return x.view(np.result_type(x.dtype, np.complex64))[..., 0]

    def shape(x):
        return Spec(tuple(x.shape[:-1]), np.result_type(x.dtype, np.complex64))

    def transpose(g, x):
        return op.view_as_real(g)

    def batched(x):
        return op.view_as_complex(x)

    def parts(x):
        d = x.ndim - 1
        return op.select(x, dim=d, index=0), op.select(x, dim=d, index=1)


class Bits(Primitive):
    """The memory of x read in another dtype; the last dim grows or shrinks with its size.

    >>> tensor([1.]).view(int32)
    tensor([1065353216], dtype=adjoint.int32)
    """

    view = True
    differentiable = False

    def samples(rng):
        return [((rng.normal(size=(2, 4)),), {"dtype": np.dtype("int16")})]

    reference = staticmethod(
        lambda x, dtype: np.frombuffer(x.tobytes(), dtype).reshape(len(x), -1)
    )

    def eager(x, *, dtype):
        if dtype.itemsize != x.itemsize and x.strides[-1] != x.itemsize:
            raise ValueError("the last dim must be contiguous")
        return x.view(dtype)

    def infer(self, x, *, dtype):
        if x.dtype.itemsize == dtype.itemsize:
            return Spec(x.shape, dtype)
        last = x.shape[-1] * x.dtype.itemsize // dtype.itemsize
        return Spec((*x.shape[:-1], last), dtype)

    def batch(self, size, xs, dims, params):
        return op.bits(batch_to_front(xs[0], dims[0]), **params), 0


class StopGradient(Primitive):
    """x itself, of which nothing depends on x as far as derivatives go.

    >>> op.stop_gradient(tensor([1., 2.]))
    tensor([1., 2.])
    """

    differentiable = False
    samples = _sample((2, 3))
    reference = staticmethod(lambda x: x)

    def eager(x):
        return x

    def infer(self, x):
        return x

    def batch(self, size, xs, dims, params):
        return op.stop_gradient(xs[0]), dims[0]


class Unrecorded(Primitive):
    """x itself; the reverse stops here, or goes on at the second input, while tangents pass.

    What `no_grad` makes of values, as a program shows it: a value that was written in place
    keeps the place in the graph that it had. `whole`: it keeps the tangent too.

    >>> op.unrecorded(tensor([1., 2.]), whole=False)
    tensor([1., 2.])
    """

    reference = staticmethod(lambda x, *at, whole: x)

    def samples(rng):
        x = rng.integers(9, size=3)
        return [((x,), {"whole": False}), ((x, x), {"whole": True})]

    def eager(x, *at, whole):
        return x

    def expand(x, *at, whole):
        return x

    def infer(self, x, *at, whole):
        return x

    def keeps(self, need, count):
        return (False,) * count

    def vjp(self, g, y, xs, params, need):
        return (None, g)[: len(need)]

    def jvp(self, ts, y, xs, params):
        t = ts[params["whole"]]
        if t is None:
            return op.zeros_like(y)
        return t if params["whole"] else op.unrecorded(t, whole=False)

    def batch(self, size, xs, dims, params):
        ready = [
            op.expand(x, shape=(size, *x.shape)) if d is None else batch_to_front(x, d)
            for x, d in zip(xs, dims, strict=True)
        ]
        return op.unrecorded(*ready, **params), 0
