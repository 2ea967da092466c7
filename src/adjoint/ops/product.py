"""Products over dims, and of all elements but one."""

from __future__ import annotations

import numpy as np

from ..core.dtype import widened
from ..core.primitive import Primitive, Reduction, batch_to_front, conjugate, op
from ..core.shape import reduced, undoing
from .complex_parts import product
from .reduce import accumulate, flat_last, flat_order, itself
from .samples import some_dims


class Prod(Reduction):
    """Product over dims; its gradient is right where elements are zero too.

    >>> tensor([2., 3., 4.]).prod()
    tensor(24.)
    """

    out = "sum"
    samples = some_dims()
    expand = itself("prod")
    reference = staticmethod(
        lambda x, dim, keepdim: (
            np.exp(np.log(x.astype(complex)).sum(dim, keepdims=keepdim)).real
        )
    )

    def eager(x, *, dim, keepdim):
        return accumulate(np.multiply, x, dim, keepdim)

    def weights(x, dim):
        return op.others_product(x, dim=dim)

    def parts(x, *, dim, keepdim):
        """A half times the other, and so on; what is left over, in the end."""
        order, row, _ = flat_order(x[0], dim)
        shape, n, left = reduced(x[0].shape, dim, keepdim), row[-1], []
        if n == 0:
            one = op.prod(x[0], dim=dim, keepdim=keepdim)
            return one, op.zeros_like(one)
        x = tuple(op.reshape(op.permute(z, dims=order), shape=row) for z in x)
        while n > 1:
            left += [_between(x, n - 1, n)] * (n % 2)
            n //= 2
            x = product(_between(x, 0, n), _between(x, n, 2 * n))
        for y in left:
            x = product(x, y)
        return tuple(op.reshape(z, shape=shape) for z in x)


def _between(parts, start, stop):
    """Of the last dim these elements, of both parts."""
    lead = [(0, n, 1) for n in parts[0].shape[:-1]]
    return tuple(op.slice(z, key=(*lead, (start, stop, 1))) for z in parts)


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
        wide = widened(x)
        y = np.multiply.reduce(wide, axis=dim, keepdims=True)
        size = np.abs(y)
        if ((size > np.finfo(y.dtype).tiny) & (size < np.inf)).all():
            return (y / wide).astype(x.dtype, copy=False)
        flat = flat_last(wide, dim)
        y = _exclusive(flat) * _exclusive(flat[..., ::-1])[..., ::-1]
        return _unflat(y, x.shape, dim).astype(x.dtype, copy=False)

    def expand(x, *, dim):
        order, row, sizes = flat_order(x, dim)
        flat = op.reshape(op.permute(x, dims=order), shape=row)
        last = len(row) - 1
        back = op.flip(flat, dims=(last,))
        y = _running_before(flat, last) * op.flip(
            _running_before(back, last), dims=(last,)
        )
        y = op.reshape(y, shape=sizes)
        return op.permute(y, dims=undoing(order))

    def infer(self, x, *, dim):
        return x

    def vjp(self, g, y, xs, params, need):
        return (_others_changed(conjugate(xs[0]), g, params["dim"]),)

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
    order, row, sizes = flat_order(x, dim)
    last = len(row) - 1
    x, t = (op.reshape(op.permute(z, dims=order), shape=row) for z in (x, t))
    before, tb = _before(x, t, last)
    after, ta = (
        op.flip(z, dims=(last,))
        for z in _before(*(op.flip(z, dims=(last,)) for z in (x, t)), last)
    )
    out = op.reshape(tb * after + before * ta, shape=sizes)
    return op.permute(out, dims=undoing(order))


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
