"""Movement: the same numbers in another shape. Linear maps, most of them views."""

from __future__ import annotations

import math

import numpy as np

from ..core.bind import bind
from ..core.primitive import Linear, Primitive, op, sum_to
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
        return np.broadcast_to(x, shape)

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


def _normal_key(key, ndim):
    return (*key, *(slice(None),) * (ndim - sum(k is not None for k in key)))


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
        chain = ((op.slice, {"key": ((1, 3, 1),)}, None),)
        return [((rng.normal(size=(4, 2)), rng.normal(size=(2, 2))), {"chain": chain})]

    reference = staticmethod(lambda x, y, chain: np.concatenate([x[:1], y, x[3:]]))

    def eager(x1, x2, *, chain):
        out = x1.copy()
        _replay(chain, out)[...] = x2
        return out

    def shape(x1, x2, *, chain):
        return x1

    def transpose(g, x1, x2, *, chain):
        shown = _replay(chain, g)
        return op.overwrite(g, op.zeros_like(shown), chain=chain), shown


def _replay(chain, x):
    for prim, params, pick in chain:
        x = (
            prim.eager(x, **params)
            if isinstance(x, np.ndarray)
            else bind(prim, x, **params)
        )
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
