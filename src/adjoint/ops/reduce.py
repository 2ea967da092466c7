"""Reductions over `dim` (a tuple of dims counted from the front) with `keepdim`."""

from __future__ import annotations

import math
from functools import cache

import numpy as np

from ..core.bind import bind, dtype_of
from ..core.dtype import to_real
from ..core.primitive import (
    Linear,
    Primitive,
    Reduction,
    batch_to_front,
    number,
    op,
    spec_of,
)
from ..core.shape import Spec, reduced

_FLOAT32 = np.dtype("float32")


def _reduce(low=-2.0, high=2.0):
    def samples(rng):
        x = rng.uniform(low, high, (3, 4, 2))
        return [
            ((x,), {"dim": (1,), "keepdim": False}),
            ((x,), {"dim": (0, 2), "keepdim": True}),
            ((x,), {"dim": (0, 1, 2), "keepdim": False}),
        ]

    return samples


@cache
def accumulator(d: np.dtype) -> np.dtype | None:
    """The dtype in which sums and products are taken; None where it is the array's own.

    Two-byte floats add up in float32, integers and bool in int64.
    """
    if d.kind in "bui":
        return np.dtype("int64")
    return np.dtype("float32") if d.itemsize == 2 else None


def accumulate(ufunc, x, dim, keepdim):
    """`ufunc.reduce` in a dtype wide enough, the result in PyTorch's dtype for it."""
    wide = accumulator(x.dtype)
    y = ufunc.reduce(x, axis=dim, keepdims=keepdim, dtype=wide)
    return y if wide is None or wide.kind == "i" else y.astype(x.dtype)


def _itself(name):
    """An `expand` by which a reduction over no dims is x itself."""

    def expand(x, *, dim, keepdim):
        prim = getattr(op, name)
        if dim:
            return prim(x, dim=dim, keepdim=keepdim)
        return op.cast(x, dtype=prim.infer(spec_of(x), dim=(), keepdim=keepdim).dtype)

    return staticmethod(expand)


def _is_not_zero(x):
    return x if dtype_of(x).kind == "b" else op.ne(x, op.zeros_like(x))


class Sum(Reduction):
    """Sum over dims.

    >>> tensor([[1., 2.], [3., 4.]]).sum(0)
    tensor([4., 6.])
    """

    out = "sum"
    samples = _reduce()
    expand = _itself("sum")
    reference = staticmethod(
        lambda x, dim, keepdim: np.einsum(
            x, range(x.ndim), [i for i in range(x.ndim) if i not in dim]
        ).reshape(reduced(x.shape, dim, keepdim))
    )

    def eager(x, *, dim, keepdim):
        return accumulate(np.add, x, dim, keepdim)

    def weights():
        return None


class Mean(Linear):
    """Mean over dims, 1/n Σ x.

    >>> tensor([1., 2., 6.]).mean()
    tensor(3.)
    """

    samples = _reduce()
    expand = _itself("mean")
    reference = staticmethod(
        lambda x, dim, keepdim: np.average(x, axis=dim, keepdims=keepdim)
    )

    def eager(x, *, dim, keepdim):
        wide = accumulator(x.dtype)
        y = np.add.reduce(x, axis=dim, keepdims=keepdim, dtype=wide) / _count(x, dim)
        return y.astype(x.dtype, copy=False)

    def shape(x, *, dim, keepdim):
        return Spec(reduced(x.shape, dim, keepdim), x.dtype)

    def transpose(g, x, *, dim, keepdim):
        g = op.reshape(g, shape=reduced(x.shape, dim, True))
        return op.expand(g / np.array(_count(x, dim), x.dtype), shape=tuple(x.shape))

    def batched(x, *, dim, keepdim):
        return op.mean(x, dim=tuple(d + 1 for d in dim), keepdim=keepdim)


def _count(x, dim) -> int:
    """How many elements each result sees."""
    return math.prod(x.shape[d] for d in dim)


class Prod(Reduction):
    """Product over dims; its gradient is right where elements are zero too.

    >>> tensor([2., 3., 4.]).prod()
    tensor(24.)
    """

    out = "sum"
    samples = _reduce()
    expand = _itself("prod")
    reference = staticmethod(
        lambda x, dim, keepdim: (
            np.exp(np.log(x.astype(complex)).sum(dim, keepdims=keepdim)).real
        )
    )

    def eager(x, *, dim, keepdim):
        return accumulate(np.multiply, x, dim, keepdim)

    def weights(x, dim):
        return op.others_product(x, dim=dim)


class OthersProduct(Primitive):
    """For each element the product of all others over `dim`: the derivative of `prod`.

    Its own is Σⱼ tⱼ Π xₖ over k ≠ i, j, the same forward and back by symmetry: what comes
    before an element times what comes after it, with nothing divided.

    >>> op.others_product(tensor([2., 0., 4.]), dim=(0,))
    tensor([0., 8., 0.])
    """

    family = "reduction"
    saves_y = False

    def samples(rng):
        x = rng.normal(size=(3, 4, 2))
        zeros = x * (rng.random((3, 4, 2)) > 0.3)
        return [
            ((x,), {"dim": (1,)}),
            ((zeros,), {"dim": (0, 2)}),
            ((zeros + 1j * x**2,), {"dim": (0,)}),
        ]

    def reference(x, dim):
        y = np.empty_like(x)
        for at in np.ndindex(*x.shape):
            rest = x.copy()
            rest[at] = 1
            row = tuple(slice(None) if d in dim else i for d, i in enumerate(at))
            y[at] = rest[row].prod()
        return y

    def eager(x, *, dim):
        wide = x.astype(np.float32) if x.dtype.itemsize == 2 else x
        y = np.multiply.reduce(wide, axis=dim, keepdims=True)
        size = np.abs(y)
        if ((size > np.finfo(y.dtype).tiny) & (size < np.inf)).all():
            return (y / wide).astype(x.dtype, copy=False)
        flat = flat_last(wide, dim)
        y = _exclusive(flat) * _exclusive(flat[..., ::-1])[..., ::-1]
        return _unflat(y, x.shape, dim).astype(x.dtype, copy=False)

    def expand(x, *, dim):
        order, row, sizes = _flat_order(x, dim)
        flat = op.reshape(op.permute(x, dims=order), shape=row)
        last = len(row) - 1
        back = op.flip(flat, dims=(last,))
        y = _running_before(flat, last) * op.flip(
            _running_before(back, last), dims=(last,)
        )
        y = op.reshape(y, shape=sizes)
        places = sorted(range(len(order)), key=order.__getitem__)
        return op.permute(y, dims=tuple(places))

    def infer(self, x, *, dim):
        return x

    def vjp(self, g, y, xs, params, need):
        (x,) = xs
        x = op.conj(x) if dtype_of(x).kind == "c" else x
        return (_others_changed(x, g, params["dim"]),)

    def jvp(self, ts, y, xs, params):
        return _others_changed(xs[0], ts[0], params["dim"])

    def batch(self, size, xs, dims, params):
        x = batch_to_front(xs[0], dims[0])
        return op.others_product(x, dim=tuple(d + 1 for d in params["dim"])), 0


def _exclusive(x):
    """Running products of what comes before each element of a row."""
    y = np.ones(x.shape, x.dtype)
    np.multiply.accumulate(x[..., :-1], axis=-1, out=y[..., 1:])
    return y


def _unflat(y, shape, dim):
    """`flat_last` undone."""
    order = (*(i for i in range(len(shape)) if i not in dim), *dim)
    y = y.reshape(tuple(shape[i] for i in order))
    return y.transpose(np.argsort(order))


def _others_changed(x, t, dim):
    """The tangent of `others_product` along t."""
    order, row, sizes = _flat_order(x, dim)
    last = len(row) - 1
    x, t = (op.reshape(op.permute(z, dims=order), shape=row) for z in (x, t))
    before, tb = _before(x, t, last)
    after, ta = (
        op.flip(z, dims=(last,))
        for z in _before(*(op.flip(z, dims=(last,)) for z in (x, t)), last)
    )
    out = op.reshape(tb * after + before * ta, shape=sizes)
    return op.permute(out, dims=tuple(sorted(range(len(order)), key=order.__getitem__)))


def _flat_order(x, dim):
    """The dims with `dim` last, and the sizes then, with `dim` as one and apart."""
    order = (*(i for i in range(x.ndim) if i not in dim), *dim)
    sizes = tuple(x.shape[i] for i in order)
    return order, (*sizes[: x.ndim - len(dim)], _count(x, dim)), sizes


def _running_before(x, dim):
    """The products of what comes before each element."""
    return shifted(op.cumprod(x, dim=dim), dim, 1, op.ones_like)


def _before(x, t, dim):
    """The same, and their tangents."""
    y = _running_before(x, dim)
    ty = op.recurrence(x, y * t, dim=dim, reverse=False)
    return y, shifted(ty, dim, 1, op.zeros_like)


def shifted(x, dim, by, fill):
    """x one place later (`by` 1) or earlier (−1) along `dim`, with `fill` let in."""
    n = x.shape[dim]
    if n == 0:
        return x
    keep = (0, n - 1, 1) if by == 1 else (1, n, 1)
    lead, rest = ([(0, n, 1) for n in s] for s in (x.shape[:dim], x.shape[dim + 1 :]))
    kept = op.slice(x, key=(*lead, keep, *rest))
    edge = fill(op.slice(x, key=(*lead, (0, 1, 1), *rest)))
    return op.cat(*((edge, kept) if by == 1 else (kept, edge)), dim=dim)


class Amax(Reduction):
    """Largest element over dims; ties share the gradient evenly.

    >>> tensor([1., 3., 3.]).amax()
    tensor(3.)
    """

    samples = _reduce()
    expand = _itself("amax")
    reference = staticmethod(
        lambda x, dim, keepdim: -np.min(-x, axis=dim, keepdims=keepdim)
    )

    def eager(x, *, dim, keepdim):
        return np.maximum.reduce(x, axis=dim, keepdims=keepdim)

    def weights(y, x, dim):
        return _share_ties(y, x, dim)


class Amin(Reduction):
    """Smallest element over dims; ties share the gradient evenly.

    >>> tensor([1., 1., 3.]).amin()
    tensor(1.)
    """

    samples = _reduce()
    expand = _itself("amin")
    reference = staticmethod(
        lambda x, dim, keepdim: -np.max(-x, axis=dim, keepdims=keepdim)
    )

    def eager(x, *, dim, keepdim):
        return np.minimum.reduce(x, axis=dim, keepdims=keepdim)

    def weights(y, x, dim):
        return _share_ties(y, x, dim)


def _share_ties(y, x, dim):
    """Evenly over the elements equal to the result; a NaN result is that of the NaNs."""
    hit = op.logical_or(op.eq(x, y), op.logical_and(op.isnan(x), op.isnan(y)))
    hit = op.cast(hit, dtype=dtype_of(x))
    return hit / op.sum(hit, dim=dim, keepdim=True)


class Logsumexp(Reduction):
    """ln Σ eˣ over dims, without overflow.

    >>> tensor([1000., 1000.]).logsumexp(0)
    tensor(1000.6932)
    """

    samples = _reduce()
    reference = staticmethod(
        lambda x, dim, keepdim: np.log(np.exp(x).sum(axis=dim, keepdims=keepdim))
    )

    def eager(x, *, dim, keepdim):
        real = x.real
        top = np.maximum.reduce(real, axis=dim, keepdims=True, initial=-np.inf)
        top = np.where(np.isfinite(top), top, np.zeros((), real.dtype))
        total = np.exp(x - top.astype(real.dtype))
        total = np.log(accumulate(np.add, total, dim, True)) + top.astype(x.dtype)
        return total if keepdim else total.reshape(reduced(x.shape, dim, False))

    def expand(x, *, dim, keepdim):
        if not dim or dtype_of(x).kind == "c":
            return op.logsumexp(x, dim=dim, keepdim=keepdim)
        top = op.amax(x, dim=dim, keepdim=True)
        top = op.where(op.isfinite(top), top, op.zeros_like(top))
        y = op.sum(op.exp(x - top), dim=dim, keepdim=True)
        return op.reshape(op.log(y) + top, shape=reduced(x.shape, dim, keepdim))

    def weights(y, x):
        return exp_below(x, y)


def exp_below(x, y):
    """e^(x−y), and 0 where both are −∞."""
    if dtype_of(y).kind == "c":
        return op.exp(x - y)
    lowest = number(-np.inf, y)
    return op.exp(x - op.where(op.eq(y, lowest), op.zeros_like(y), y))


class All(Reduction):
    """Every element is non-zero.

    >>> tensor([True, False]).all()
    tensor(False)
    """

    out = "bool"
    samples = _reduce()
    reference = staticmethod(
        lambda x, dim, keepdim: ~(x == 0).any(axis=dim, keepdims=keepdim)
    )

    def eager(x, *, dim, keepdim):
        return np.logical_and.reduce(x, axis=dim, keepdims=keepdim)

    def expand(x, *, dim, keepdim):
        x = _is_not_zero(x)
        return op.amin(x, dim=dim, keepdim=keepdim) if dim else x


class Any(Reduction):
    """Some element is non-zero.

    >>> tensor([True, False]).any()
    tensor(True)
    """

    out = "bool"
    samples = _reduce()
    reference = staticmethod(
        lambda x, dim, keepdim: ~(x == 0).all(axis=dim, keepdims=keepdim)
    )

    def eager(x, *, dim, keepdim):
        return np.logical_or.reduce(x, axis=dim, keepdims=keepdim)

    def expand(x, *, dim, keepdim):
        x = _is_not_zero(x)
        return op.amax(x, dim=dim, keepdim=keepdim) if dim else x


# ---------------------------------------------------------------- counting, places


class CountNonzero(Reduction):
    """How many elements are not zero.

    >>> count_nonzero(tensor([0, 3, 4]))
    tensor(2)
    """

    out = "index"
    samples = _reduce()
    reference = staticmethod(
        lambda x, dim, keepdim: np.where(x == 0, 0, 1).sum(dim, keepdims=keepdim)
    )

    def eager(x, *, dim, keepdim):
        return np.add.reduce(x != 0, axis=dim, keepdims=keepdim, dtype=np.int64)

    def expand(x, *, dim, keepdim):
        x = _is_not_zero(x)
        if not dim:
            return op.cast(x, dtype=np.dtype("int64"))
        return op.sum(x, dim=dim, keepdim=keepdim)


def flat_last(x, dim):
    """`x` with the dims `dim` laid out as one, the last."""
    rest = tuple(i for i in range(x.ndim) if i not in dim)
    moved = x.transpose((*rest, *dim))
    return moved.reshape((*(x.shape[i] for i in rest), _count(x, dim)))


def _first_place(x, dim, keepdim):
    shape = reduced(x.shape, dim, keepdim)
    return np.argmax(flat_last(x, dim), -1).reshape(shape)


def _place_of(extreme):
    """An `expand`: the first place whose element is the extreme one, or the first NaN's."""

    def expand(x, *, dim, keepdim):
        name = {"amax": "argmax", "amin": "argmin"}[extreme]
        if not dim or 0 in x.shape or dtype_of(x).kind == "c":
            return getattr(op, name)(x, dim=dim, keepdim=keepdim)
        top = getattr(op, extreme)(x, dim=dim, keepdim=True)
        hit = op.eq(x, top)
        if dtype_of(x).kind not in "bui":
            hit = op.logical_or(hit, op.ne(x, x))
        short = np.dtype("int32" if _count(x, dim) < 2**31 else "int64")
        count = np.array(_count(x, dim), short)
        places = op.where(hit, _numbered(x.shape, dim).astype(short), count)
        y = op.amin(places, dim=dim, keepdim=keepdim)
        return op.cast(y, dtype=np.dtype("int64"))

    return staticmethod(expand)


def _numbered(shape, dim):
    """The elements over `dim` counted in its order."""
    sizes = [shape[d] for d in dim]
    numbers = np.arange(math.prod(sizes)).reshape(sizes)
    numbers = numbers.transpose(np.argsort(dim))
    return numbers.reshape([n if d in dim else 1 for d, n in enumerate(shape)])


def comparable(x):
    """`x` in a dtype that NumPy sorts, NaN last: bfloat16 goes through float32."""
    return x.astype(np.float32) if x.dtype.kind == "V" else x


class Argmax(Reduction):
    """Place of the largest element in the reduced dims, numbered row by row; NaN is largest.

    >>> tensor([1., 5., 5.]).argmax()
    tensor(1)
    """

    out = "index"
    samples = _reduce()
    expand = _place_of("amax")
    reference = _first_place

    def eager(x, *, dim, keepdim):
        if len(dim) == 1:
            return np.argmax(x, dim[0], keepdims=keepdim)
        flat = flat_last(x, dim)
        return np.argmax(flat, -1).reshape(reduced(x.shape, dim, keepdim))


class Argmin(Reduction):
    """Place of the smallest element in the reduced dims, numbered row by row; NaN is smallest.

    >>> tensor([2., 1., 1.]).argmin()
    tensor(1)
    """

    out = "index"
    samples = _reduce()
    expand = _place_of("amin")
    reference = staticmethod(lambda x, dim, keepdim: _first_place(-x, dim, keepdim))

    def eager(x, *, dim, keepdim):
        if len(dim) == 1:
            return np.argmin(x, dim[0], keepdims=keepdim)
        flat = flat_last(x, dim)
        return np.argmin(flat, -1).reshape(reduced(x.shape, dim, keepdim))


class Median(Reduction):
    """The lower middle element over dims; ties share the gradient evenly.

    >>> tensor([4., 1., 3., 2.]).median()
    tensor(2.)
    """

    samples = _reduce()
    reference = staticmethod(
        lambda x, dim, keepdim: np.quantile(
            x, 0.5, axis=dim, method="lower", keepdims=keepdim
        )
    )

    def eager(x, *, dim, keepdim):
        flat = comparable(flat_last(x, dim))
        last = flat.shape[-1] - 1
        y = np.partition(flat, (last // 2, last), -1)
        middle, top = y[..., last // 2], y[..., last]
        y = np.where(top != top, top, middle)
        return y.reshape(reduced(x.shape, dim, keepdim)).astype(x.dtype, copy=False)

    def expand(x, *, dim, keepdim):
        return _middle(x, dim, keepdim, skip=False)

    def weights(y, x, dim):
        return _share_ties(y, x, dim)


def _middle(x, dim, keepdim, skip):
    """The middle element by its place."""
    order, row, _ = _flat_order(x, dim)
    n, rows = row[-1], math.prod(row[:-1])
    if not dim or not rows * n or dtype_of(x).kind == "c":
        prim = op.nanmedian if skip else op.median
        return prim(x, dim=dim, keepdim=keepdim)
    flat = op.reshape(op.permute(x, dims=order), shape=(rows, n))
    place = op.median_index.expand(flat, dim=1, skip=skip)
    y = op.index(flat, np.arange(rows).reshape(rows, 1), place, dim=0)
    return op.reshape(y, shape=reduced(x.shape, dim, keepdim))


class Nanmedian(Reduction):
    """The lower middle of the elements that are not NaN.

    >>> tensor([4., nan, 3., 2.]).nanmedian()
    tensor(3.)
    """

    samples = _reduce()
    reference = Median.reference

    def eager(x, *, dim, keepdim):
        ranked = np.sort(comparable(flat_last(x, dim)), -1)
        count = np.add.reduce(ranked == ranked, axis=-1, keepdims=True, dtype=np.int64)
        y = np.take_along_axis(ranked, np.maximum(count - 1, 0) // 2, -1)
        return y.reshape(reduced(x.shape, dim, keepdim)).astype(x.dtype, copy=False)

    def expand(x, *, dim, keepdim):
        return _middle(x, dim, keepdim, skip=True)

    def weights(y, x, dim):
        return _share_ties(y, x, dim)


# ---------------------------------------------------------------- lengths, spread


class _Weighted(Primitive, abstract=True):
    """dy = Re Σ conj(w) dx, where w = rule(y, x, dim=..., ...), y's reduced dims kept."""

    family = "reduction"

    def infer(self, x, *, dim, keepdim, **params):
        return Spec(reduced(x.shape, dim, keepdim), to_real(x.dtype))

    def _weights(self, y, x, params):
        if self.saves_y:
            y = op.reshape(y, shape=reduced(x.shape, params["dim"], True))
        return self.rule(y, x, **{k: v for k, v in params.items() if k != "keepdim"})

    def vjp(self, g, y, xs, params, need):
        (x,) = xs
        g = op.reshape(g, shape=reduced(x.shape, params["dim"], True))
        return (as_kind(g, dtype_of(x)) * self._weights(y, x, params),)

    def jvp(self, ts, y, xs, params):
        w = self._weights(y, xs[0], params)
        if dtype_of(w).kind == "c":
            w = op.conj(w)
        t = ts[0] * w
        t = op.real(t) if dtype_of(t).kind == "c" else t
        return op.sum(t, dim=params["dim"], keepdim=params["keepdim"])

    def batch(self, size, xs, dims, params):
        x = batch_to_front(xs[0], dims[0])
        dim = tuple(d + 1 for d in params["dim"])
        return bind(self, x, **{**params, "dim": dim}), 0


def as_kind(x, d):
    """Real `x` as complex where `d` is."""
    return op.cast(x, dtype=d) if d.kind == "c" else x


class _Spread(_Weighted, abstract=True):
    """Over what is left of the degrees of freedom, n − correction."""

    _static = Primitive._static | {"rule"}

    def samples(rng):
        x = rng.normal(size=(3, 4, 2))
        return [
            ((x,), {"dim": (1,), "keepdim": False, "correction": 1}),
            ((x,), {"dim": (0, 2), "keepdim": True, "correction": 0}),
            ((x + 1j * x**2,), {"dim": (0, 1, 2), "keepdim": False, "correction": 1}),
        ]


def _centred(x, dim):
    return x - op.mean(x, dim=dim, keepdim=True)


def _freedom(x, dim, correction):
    return max(0, _count(x, dim) - correction)


def _variance(x, dim, keepdim, correction):
    """Two passes: the mean, then the squares of what differs from it."""
    wide = np.float32 if x.dtype.itemsize == 2 else x.dtype
    mean = np.add.reduce(x, axis=dim, keepdims=True, dtype=wide)
    c = x - mean / _count_array(x, dim, wide)
    c = (
        c.real**2 + c.imag**2
        if c.dtype.kind == "c"
        else np.square(c, out=c if c.ndim else None)
    )
    y = np.add.reduce(c, axis=dim, keepdims=keepdim)
    return y / np.array(_freedom(x, dim, correction), y.dtype)


def _count_array(x, dim, d):
    return np.array(_count(x, dim), d)


def _spread(x, dim, keepdim, correction):
    """The same in simpler operations."""
    y = op.sum(_square(_centred(x, dim)), dim=dim, keepdim=keepdim)
    return y / number(_freedom(x, dim, correction), y)


class Var(_Spread):
    """Σ |x − mean|² / (n − correction), in two passes.

    >>> tensor([1., 2., 3.]).var()
    tensor(1.)
    """

    saves_y = False
    reference = staticmethod(
        lambda x, dim, keepdim, correction: np.var(
            x, axis=dim, keepdims=keepdim, ddof=correction
        )
    )

    def eager(x, *, dim, keepdim, correction):
        return _variance(x, dim, keepdim, correction).astype(to_real(x.dtype))

    def expand(x, *, dim, keepdim, correction):
        if not dim:
            return op.var(x, dim=dim, keepdim=keepdim, correction=correction)
        return _spread(x, dim, keepdim, correction)

    def rule(y, x, dim, correction):
        free = number(_freedom(x, dim, correction) / 2, x)
        return op.div(_centred(x, dim), free)


class Std(_Spread):
    """√var; the derivative where nothing varies is 0.

    >>> tensor([1., 2., 3.]).std()
    tensor(1.)
    """

    reference = staticmethod(
        lambda x, dim, keepdim, correction: np.std(
            x, axis=dim, keepdims=keepdim, ddof=correction
        )
    )

    def eager(x, *, dim, keepdim, correction):
        y = np.sqrt(_variance(x, dim, keepdim, correction))
        return y.astype(to_real(x.dtype))

    def expand(x, *, dim, keepdim, correction):
        if not dim:
            return op.std(x, dim=dim, keepdim=keepdim, correction=correction)
        return op.sqrt(_spread(x, dim, keepdim, correction))

    def rule(y, x, dim, correction):
        free = number(_freedom(x, dim, correction), y)
        y = op.where(op.eq(y, number(0, y)), op.ones_like(y), y) * free
        return op.div(_centred(x, dim), as_kind(y, dtype_of(x)))


class VectorNorm(_Weighted):
    """(Σ |x|^p)^(1/p) over dims; p = ±∞ the extreme, 0 the count. The derivative at 0 is 0.

    >>> norm(tensor([3., -4.]))
    tensor(5.)
    """

    _static = Primitive._static | {"rule"}
    reference = staticmethod(
        lambda x, dim, keepdim, p: np.linalg.vector_norm(
            x, axis=dim, keepdims=keepdim, ord=p
        )
    )

    def samples(rng):
        x = rng.uniform(0.3, 2, (3, 4, 2)) * rng.choice([-1, 1], (3, 4, 2))
        some, most = {"dim": (1,), "keepdim": False}, {"dim": (0, 2), "keepdim": True}
        return [
            *(((x,), {**some, "p": p}) for p in (2, 1, 3, 1.5, np.inf, 0)),
            *(((x,), {**most, "p": p}) for p in (2, 0.5, -1, -np.inf)),
            *(((x + 0.5j * x**2,), {**some, "p": p}) for p in (2, 1, 3, np.inf)),
        ]

    def eager(x, *, dim, keepdim, p):
        a = x if x.dtype.itemsize > 2 else x.astype(np.float32)
        if p == 2 and a.dtype.kind != "c":
            y = np.sqrt(_squares(a, dim, keepdim))
        else:
            y = _norm(np.abs(a), dim, keepdim, p)
        return y.astype(to_real(x.dtype), copy=False)

    def expand(x, *, dim, keepdim, p):
        if not dim or 0 in x.shape:
            return op.vector_norm(x, dim=dim, keepdim=keepdim, p=p)
        return _length(x, p, dim=dim, keepdim=keepdim)

    def rule(y, x, dim, p):
        none = op.eq(y, number(0, y))
        unit = op.where(none, op.ones_like(y), y)
        if p == 0:
            return op.zeros_like(x)
        if p == 2:
            return x / as_kind(unit, dtype_of(x))
        if p == 1:
            return op.sgn(x)
        a = op.abs(x)
        if math.isinf(p):
            w = _share_ties(y, a, dim)
        else:
            flat = op.logical_or(none, op.eq(a, number(0, a)))
            a = op.pow_scalar(op.where(flat, op.ones_like(a), a / unit), exponent=p - 1)
            w = op.where(flat, op.zeros_like(a), a)
        return op.sgn(x) * as_kind(w, dtype_of(x))


def _length(x, p, **over):
    """`_norm` in simpler operations."""
    if p == 2:
        return op.sqrt(op.sum(_square(x), **over))
    a = op.abs(x)
    if math.isinf(p):
        return (op.amax if p > 0 else op.amin)(a, **over)
    if p == 0:
        return op.sum(op.cast(op.ne(a, number(0, a)), dtype=dtype_of(a)), **over)
    if p == 1:
        return op.sum(a, **over)
    return op.pow(op.sum(op.pow(a, number(p, a)), **over), number(1 / p, a))


def _square(x):
    """|x|², real."""
    if dtype_of(x).kind != "c":
        return x * x
    a, b = op.real(x), op.imag(x)
    return a * a + b * b


def _squares(a, dim, keepdim):
    """Σ a²; over all elements without a temporary."""
    if len(dim) < a.ndim:
        return np.add.reduce(np.square(a), axis=dim, keepdims=keepdim)
    a = a.ravel("K")
    return a.dot(a).reshape((1,) * len(dim) if keepdim else ())


def _norm(a, dim, keepdim, p):
    over = {"axis": dim, "keepdims": keepdim}
    if p == np.inf:
        return np.maximum.reduce(a, **over, initial=0)
    if p == -np.inf:
        return np.minimum.reduce(a, **over)
    if p == 0:
        return np.add.reduce(a != 0, **over, dtype=a.dtype)
    if p == 1:
        return np.add.reduce(a, **over)
    if p == 2:
        return np.sqrt(np.add.reduce(np.square(a), **over))
    p = np.array(p, a.dtype)
    return np.power(np.add.reduce(np.power(a, p), **over), 1 / p)
