"""Other numbers in the same places: of another dtype, real or imaginary parts, bits, constants."""

from __future__ import annotations

import numpy as np

from ..core.bind import bind, dtype_of
from ..core.dtype import to_real
from ..core.primitive import Linear, Primitive, batch_to_front, op
from ..core.shape import Spec
from .samples import complexes, normals


class _Filled(Primitive, abstract=True):
    """A constant of the shape and dtype of x."""

    differentiable = False
    samples = normals((2, 3))

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

    samples = normals((2, 3))
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
    samples = normals((2, 3))
    reference = staticmethod(lambda x: x)

    def eager(x):
        return x.real

    def shape(x):
        return Spec(x.shape, to_real(x.dtype))

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

    samples = complexes(2, 3)
    reference = staticmethod(lambda x: (x - x.conj()) / 2j)

    def eager(x):
        return x.imag

    def shape(x):
        return Spec(x.shape, to_real(x.dtype))

    def transpose(g, x):
        return op.cast(g, dtype=x.dtype) * 1j

    def batched(x):
        return op.imag(x)

    def parts(x):
        return x[1]


class ViewAsReal(Linear):
    """Complex numbers as pairs (real, imaginary) in a new last dim: a view.

    >>> view_as_real(tensor([1+2j]))
    tensor([[1., 2.]])
    """

    view = True
    reference = staticmethod(lambda x: np.stack([x.real, x.imag], -1))

    samples = complexes(2, 3)

    def eager(x):
        return x[..., None].view(x.real.dtype)

    def shape(x):
        return Spec((*x.shape, 2), to_real(x.dtype))

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
    samples = normals((3, 2))
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

    def expand(x, *, dtype):
        d = dtype_of(x)
        if d == dtype:
            return x
        if x.ndim == 0:
            one = op.bits.expand(op.reshape(x, shape=(1,)), dtype=dtype)
            return op.reshape(one, shape=())
        if d.kind in "bc":
            return op.bits.expand(_unpacked(x), dtype=dtype)
        if dtype.kind in "bc":
            return _packed(op.bits.expand(x, dtype=_plain(dtype)), dtype)
        if d.itemsize != dtype.itemsize:
            x = op.bits(x, dtype=np.dtype(f"i{d.itemsize}"))
            cut = _in_pieces if dtype.itemsize < d.itemsize else _of_pieces
            x = cut(x, d.itemsize, dtype.itemsize)
        return op.bits(x, dtype=dtype)

    def infer(self, x, *, dtype):
        if x.dtype.itemsize == dtype.itemsize:
            return Spec(x.shape, dtype)
        last = x.shape[-1] * x.dtype.itemsize // dtype.itemsize
        return Spec((*x.shape[:-1], last), dtype)

    def batch(self, size, xs, dims, params):
        return op.bits(batch_to_front(xs[0], dims[0]), **params), 0


def _plain(d):
    """The numbers that truth values and complex numbers are made of."""
    return np.dtype("int8") if d.kind == "b" else to_real(d)


def _unpacked(x):
    if dtype_of(x).kind == "b":
        return op.cast(x, dtype=np.dtype("int8"))
    shape = (*x.shape[:-1], 2 * x.shape[-1])
    return op.reshape(op.view_as_real(x), shape=shape)


def _packed(x, dtype):
    if dtype.kind == "b":
        return op.cast(x, dtype=dtype)
    shape = (*x.shape[:-1], x.shape[-1] // 2, 2)
    return op.view_as_complex(op.reshape(x, shape=shape))


def _in_pieces(x, size, wanted):
    """Whole numbers of `size` bytes as more of `wanted`, the lowest first."""
    count = size // wanted
    y = op.reshape(x, shape=(*x.shape, 1))
    steps = (8 * wanted * np.arange(count)).astype(dtype_of(x))
    y = op.cast(op.bitwise_right_shift(y, steps), dtype=np.dtype(f"i{wanted}"))
    return op.reshape(y, shape=(*x.shape[:-1], x.shape[-1] * count))


def _of_pieces(x, size, wanted):
    """The reverse: each without its sign is put in its place."""
    kind, count = np.dtype(f"i{wanted}"), wanted // size
    shape = (*x.shape[:-1], x.shape[-1] // count, count)
    y = op.cast(op.reshape(x, shape=shape), dtype=kind)
    y = op.bitwise_and(y, np.array(2 ** (8 * size) - 1, kind))
    steps = (8 * size * np.arange(count)).astype(kind)
    y = op.sum(op.bitwise_left_shift(y, steps), dim=(y.ndim - 1,), keepdim=False)
    return op.cast(y, dtype=kind)


class StopGradient(Primitive):
    """x itself, of which nothing depends on x as far as derivatives go.

    >>> op.stop_gradient(tensor([1., 2.]))
    tensor([1., 2.])
    """

    differentiable = False
    samples = normals((2, 3))
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
