"""Contractions: products summed over shared letters, as in einsum; matmul and its kin."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from ..core.bind import dtype_of
from ..core.dtype import widened
from ..core.primitive import (
    Primitive,
    batch_to_front,
    conjugate,
    op,
    product_of_parts,
    total,
    with_batch,
)
from ..core.shape import Spec
from ..errors import ShapeError


class Contract(Primitive):
    """Sum of products over the letters of `spec` that the result lacks: "ij,jk->ik".

    Every letter stands once in an operand. d(ab) = da b + a db, each again a contraction.
    Of floats of two bytes sums are kept in float32, and given so where `dtype` asks for it.

    >>> op.contract(tensor([[1., 2.]]), tensor([[3.], [4.]]), spec="ij,jk->ik")
    tensor([[11.]])
    """

    family = "contraction"
    saves_y = False
    symbol = "einsum({spec!r}, {}, {})"

    def samples(rng):
        n = rng.normal
        return [
            ((n(size=(2, 3)), n(size=(3, 4))), {"spec": "ij,jk->ik"}),
            ((n(size=(5, 2, 3)), n(size=(5, 3, 4))), {"spec": "bij,bjk->bik"}),
            ((n(size=(3,)), n(size=(3,))), {"spec": "i,i->"}),
            ((n(size=(3,)), n(size=(2,))), {"spec": "i,j->ij"}),
            ((n(size=(2, 3, 4)), n(size=(4, 3))), {"spec": "ijk,kj->i"}),
            ((n(size=(2, 3)), n(size=(3, 4))), {"spec": "ij,jk->k"}),
        ]

    reference = staticmethod(lambda a, b, spec: np.einsum(spec, a, b))

    def eager(a, b, *, spec, dtype=None):
        to = a.dtype if dtype is None else dtype
        a, b = map(widened, (a, b))
        return _plan(spec)(a, b).astype(to, copy=False)

    def expand(x1, x2, *, spec, dtype=None):
        if dtype_of(x1).kind not in "bui":
            params = {"spec": spec} if dtype is None else {"spec": spec, "dtype": dtype}
            return op.contract(x1, x2, **params)
        return _of_whole(x1, x2, spec)

    def infer(self, a, b, *, spec, dtype=None):
        left, right, out = letters_of(spec)
        sizes: dict = {}
        for letters, x in ((left, a), (right, b)):
            if len(letters) != x.ndim:
                raise ShapeError(
                    f"einsum {spec!r}: {letters!r} names {len(letters)} dims of {x}"
                )
            for c, n in zip(letters, x.shape, strict=True):
                if sizes.setdefault(c, n) != n:
                    raise ShapeError(
                        f"einsum {spec!r}: {c!r} is {sizes[c]} and {n}, in {a}, {b}"
                    )
        return Spec(tuple(sizes[c] for c in out), dtype or a.dtype)

    def keeps(self, need, count):
        return (need[1], need[0])

    def vjp(self, g, y, xs, params, need):
        left, right, out = letters_of(params["spec"])
        a, b = xs
        ga = _towards(g, out, b, right, left, a.shape) if need[0] else None
        gb = _towards(g, out, a, left, right, b.shape) if need[1] else None
        if "dtype" in params:
            pairs = zip((ga, gb), xs, strict=True)
            return tuple(
                t if t is None else op.cast(t, dtype=dtype_of(x)) for t, x in pairs
            )
        return ga, gb

    def jvp(self, ts, y, xs, params):
        (ta, tb), (a, b) = ts, xs
        first = None if ta is None else op.contract(ta, b, **params)
        second = None if tb is None else op.contract(a, tb, **params)
        return total(first, second)

    def batch(self, size, xs, dims, params):
        left, right, out = letters_of(params["spec"])
        free = free_letter(left + right)
        a, b = (
            x if d is None else batch_to_front(x, d)
            for x, d in zip(xs, dims, strict=True)
        )
        left, right = (
            s if d is None else free + s
            for s, d in zip((left, right), dims, strict=True)
        )
        params = {**params, "spec": f"{left},{right}->{free}{out}"}
        return op.contract(a, b, **params), 0

    def parts(x1, x2, spec):
        return product_of_parts(op.contract, x1, x2, spec=spec)


def _of_whole(a, b, spec):
    """Products of whole numbers, summed as they wrap around; of truth values, any of all."""
    left, right, out = letters_of(spec)
    every = [*out, *(c for c in dict.fromkeys(left + right) if c not in out)]
    y = op.mul(among(a, left, every), among(b, right, every))
    dim = tuple(range(len(out), len(every)))
    if not dim:
        return y
    join = op.amax if dtype_of(a).kind == "b" else op.sum
    return op.cast(join(y, dim=dim, keepdim=False), dtype=dtype_of(a))


def among(x, letters, every):
    """x with its dims in the places of their letters."""
    order = sorted(range(len(letters)), key=lambda d: every.index(letters[d]))
    sizes = dict(zip(letters, x.shape, strict=True))
    x = op.permute(x, dims=tuple(order))
    return op.reshape(x, shape=tuple(sizes.get(c, 1) for c in every))


ALPHABET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


@lru_cache(4096)
def free_letter(letters) -> str:
    """A letter that is not among these."""
    return next(c for c in ALPHABET if c not in letters)


def sides(spec, shape) -> dict[str, int]:
    """How large the letters of a result are that one operand alone has, those larger than one.

    >>> sides("aij,ajk->aik", (9, 2, 3))
    {'i': 2, 'k': 3}
    """
    left, right, out = letters_of(spec)
    sizes = zip(out, shape, strict=True)
    return {c: n for c, n in sizes if n > 1 and (c in left) != (c in right)}


def multiplications(spec: str, shapes) -> int:
    """How many a contraction of these two shapes takes."""
    return math.prod(sizes_of(spec, shapes).values())


def sizes_of(spec: str, shapes) -> dict[str, int]:
    """What each letter counts to, in a contraction of these two shapes."""
    left, right, _ = letters_of(spec)
    sizes = (n for shape in shapes for n in shape)
    return dict(zip(left + right, sizes, strict=True))


@lru_cache(4096)
def letters_of(spec: str) -> tuple[str, str, str]:
    inputs, out = spec.split("->")
    left, right = inputs.split(",")
    return left, right, out


def _towards(g, out, other, other_letters, mine, shape):
    """Cotangent of one operand: contract g with the other; letters that were only ours to
    be summed away are broadcast back."""
    lost = [c for c in mine if c not in out and c not in other_letters]
    kept = "".join(c for c in mine if c not in lost)
    gx = op.contract(g, conjugate(other), spec=f"{out},{other_letters}->{kept}")
    if lost:
        gx = op.reshape(
            gx,
            shape=tuple(
                1 if c in lost else n for c, n in zip(mine, shape, strict=True)
            ),
        )
        gx = op.expand(gx, shape=tuple(shape))
    return gx


@lru_cache(4096)
def _plan(spec: str):
    """How NumPy computes it: matmul over batch letters where the form allows, else einsum."""
    left, right, out = letters_of(spec)
    shared = [c for c in left if c in right]
    batch = [c for c in shared if c in out]
    inner = [c for c in shared if c not in out]
    rows = [c for c in left if c not in right]
    cols = [c for c in right if c not in left]
    if any(c not in out for c in rows + cols) or not inner:
        return lambda a, b: np.einsum(spec, a, b)
    if spec == "i,i->":
        return np.matmul
    if spec == "ij,jk->ik":
        return _product
    first = _matrices(left, batch, rows, inner)
    second = _matrices(right, batch, inner, cols)
    single = len(rows) == len(cols) == len(inner) == 1
    finish = _finish(left, right, out, batch + rows, cols, single)
    return lambda a, b: finish(_product(first(a), second(b)), a, b)


def _finish(left, right, out, lead, cols, single):
    """(y, a, b) -> y, the product of their matrices, with the dims of the result in order."""
    order = [[*lead, *cols].index(c) for c in out]
    of_left = [left.index(c) for c in lead]
    of_right = [right.index(c) for c in cols]
    ordered = order == sorted(order)

    def finish(y, a, b):
        if not single:
            sizes = [a.shape[i] for i in of_left] + [b.shape[i] for i in of_right]
            y = y.reshape(sizes)
        return y if ordered else y.transpose(order)

    return finish


def _matrices(letters, batch, first, second):
    """x -> its matrices (batch, first, second): views, or copies in the order x lies in."""
    single = len(first) == len(second) == 1
    turned = not single and letters[-1] in first
    groups = [second, first] if turned else [first, second]
    places = [letters.index(c) for group in (batch, *groups) for c in group]
    nb, cut = len(batch), len(batch) + len(groups[0])

    def view(x):
        x = x.transpose(places)
        if single:
            return x
        s = x.shape
        x = x.reshape((*s[:nb], math.prod(s[nb:cut]), math.prod(s[cut:])))
        return x.swapaxes(-1, -2) if turned else x

    return view


def _product(a, b):
    """a @ b, of arrays that BLAS can read: elsewise NumPy's loop is fifty times slower."""
    return np.matmul(_readable(a), _readable(b))


def _readable(x):
    (rows, columns), (m, n), size = x.strides[-2:], x.shape[-2:], x.itemsize
    if (columns == size and rows >= n * size) or (rows == size and columns >= m * size):
        return x
    return np.ascontiguousarray(x)


class Distances(Primitive):
    """y(b,i,j) = |x₁(b,i) − x₂(b,j)|, Euclidean, of all rows of two batches of matrices.

    With w = g/y (0 where y is 0): g₁ = x₁ Σ_j w − w x₂, g₂ = x₂ Σ_i w − wᵀ x₁: products
    only, no array of all differences. `products` computes y² as |x₁|² + |x₂|² − 2 x₁·x₂.

    >>> op.distances(tensor([[[0., 0.]]]), tensor([[[3., 4.]]]), products=False)
    tensor([[[5.]]])
    """

    def samples(rng):
        xs = rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 5, 4))
        return [(xs, {"products": False}), (xs, {"products": True})]

    def reference(a, b, products):
        return np.linalg.norm(a[:, :, None] - b[:, None], axis=-1)

    def eager(a, b, *, products):
        if products:
            squares = (a * a).sum(-1)[:, :, None] + (b * b).sum(-1)[:, None, :]
            y = squares - 2 * (a @ b.swapaxes(1, 2))
            return np.sqrt(np.maximum(y, 0, out=y), out=y)
        y = np.empty((a.shape[0], a.shape[1], b.shape[1]), a.dtype)
        for k in np.ndindex(*a.shape[:2]):
            d = b[k[0]] - a[k]
            y[k] = np.sqrt((d * d).sum(-1))
        return y

    def expand(a, b, *, products):
        if products:
            rows, cols = (op.sum(x * x, dim=(2,), keepdim=True) for x in (a, b))
            cross = op.contract(a, b, spec="bik,bjk->bij")
            y = rows + op.permute(cols, dims=(0, 2, 1)) - (cross + cross)
            return op.sqrt(op.maximum(y, op.zeros_like(y)))
        (n, i, k), j = a.shape, b.shape[1]
        y = op.reshape(a, shape=(n, i, 1, k)) - op.reshape(b, shape=(n, 1, j, k))
        return op.sqrt(op.sum(y * y, dim=(3,), keepdim=False))

    def infer(self, a, b, *, products):
        return Spec((a.shape[0], a.shape[1], b.shape[1]), a.dtype)

    def vjp(self, g, y, xs, params, need):
        a, b = xs
        w = _over(g, y)
        ga = gb = None
        if need[0]:
            rows = op.sum(w, dim=(2,), keepdim=True)
            ga = a * rows - op.contract(w, b, spec="bij,bjk->bik")
        if need[1]:
            cols = op.sum(w, dim=(1,), keepdim=False)
            cols = op.reshape(cols, shape=(*cols.shape, 1))
            gb = b * cols - op.contract(w, a, spec="bij,bik->bjk")
        return ga, gb

    def jvp(self, ts, y, xs, params):
        (ta, tb), (a, b) = ts, xs
        total = None
        for t, x, other, spec, dim in (
            (ta, a, b, "bik,bjk->bij", 2),
            (tb, b, a, "bjk,bik->bij", 1),
        ):
            if t is None:
                continue
            own = op.sum(t * x, dim=(2,), keepdim=False)
            shape = list(own.shape)
            shape.insert(dim, 1)
            part = op.reshape(own, shape=tuple(shape)) - op.contract(
                t, other, spec=spec
            )
            total = part if total is None else total + part
        return _over(total, y)

    def batch(self, size, xs, dims, params):
        a, b = (with_batch(x, d, size) for x, d in zip(xs, dims, strict=True))
        n = a.shape[1]
        a, b = (op.reshape(x, shape=(size * n, *x.shape[2:])) for x in (a, b))
        y = op.distances(a, b, **params)
        return op.reshape(y, shape=(size, n, *y.shape[1:])), 0


def _over(g, y):
    """g/y, and 0 where y is 0."""
    zero = op.eq(y, op.zeros_like(y))
    w = g / op.where(zero, op.ones_like(y), y)
    return op.where(zero, op.zeros_like(w), w)
