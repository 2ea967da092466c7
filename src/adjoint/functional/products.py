"""Products: matmul and its kin, einsum, tensordot, all of one contraction; distances."""

from __future__ import annotations

import itertools
import math

import numpy as np

from ..autodiff import straight
from ..core.bind import Box, dtype_of
from ..core.primitive import number, op
from ..core.shape import broadcast, norm_dims
from ..errors import ArgumentError, DtypeError, ShapeError
from .face import alias, function, give, method, need_tensor, promote


def _pair(a, b, name):
    need_tensor(a, name)
    need_tensor(b, name, "other")
    if dtype_of(a) != dtype_of(b):
        raise DtypeError(
            f"{name}: expected both operands to have the same dtype, got "
            f"{dtype_of(a).name} and {dtype_of(b).name}"
        )
    if dtype_of(a).kind == "b":
        raise DtypeError(
            f"{name}: not implemented for bool", hint="cast to an integer dtype"
        )
    return a, b


@method
def matmul(input, other, *, out=None):
    """Matrix product, over vectors, matrices and batches of them.

    >>> matmul(tensor([[1., 2.]]), tensor([[3.], [4.]]))
    tensor([[11.]])
    """
    y = _of_matrices(input, other)
    if y is not None:
        return y if out is None else give(y, out)
    a, b = _pair(input, other, "matmul")
    if a.ndim == 0 or b.ndim == 0:
        raise ShapeError(
            "matmul: both arguments must be at least 1-D", hint="use * for numbers"
        )
    inner = (a.shape[-1], b.shape[-2 if b.ndim > 1 else -1])
    if inner[0] != inner[1]:
        raise ShapeError(
            f"matmul(a, b): a.shape[-1] must equal b.shape[{-2 if b.ndim > 1 else -1}], "
            f"got {inner[0]} and {inner[1]}\n  a: {_show(a)}   b: {_show(b)}",
            hint="did you mean a @ b.T ?"
            if b.ndim == 2 and b.shape[-1] == inner[0]
            else "",
        )
    return give(_matmul(a, b), out)


_of_matrices = straight.product(
    op.contract,
    {
        (2, 2): {"spec": "ij,jk->ik"},
        (2, 1): {"spec": "Aj,j->A"},
        (1, 2): {"spec": "j,jk->k"},
        (1, 1): {"spec": "j,j->"},
    },
)


def _show(x) -> str:
    return f"{dtype_of(x).name}[{', '.join(map(str, x.shape))}]"


def _matmul(a, b):
    if a.ndim == b.ndim == 2:
        return op.contract(a, b, spec="ij,jk->ik")
    if b.ndim == 1:
        letters = _BATCH[: a.ndim - 1]
        return op.contract(a, b, spec=f"{letters}j,j->{letters}")
    if a.ndim == 1:
        letters = _BATCH[: b.ndim - 2]
        return op.contract(a, b, spec=f"j,{letters}jk->{letters}k")
    if b.ndim == 2:
        letters = _BATCH[: a.ndim - 1]
        return op.contract(a, b, spec=f"{letters}j,jk->{letters}k")
    lead = broadcast(a.shape[:-2], b.shape[:-2], name="matmul")
    letters = _BATCH[: len(lead)]
    a, la = _aligned(a, lead, letters)
    b, lb = _aligned(b, lead, letters)
    return op.contract(a, b, spec=f"{la}ij,{lb}jk->{letters}ik")


_BATCH = "ABCDEFGHKLMNOPQRSTUVWXYZ"


def _aligned(x, lead, letters):
    """`x` with its batch dims of size 1 dropped where the result's is larger, and letters."""
    have = x.shape[:-2]
    offset = len(lead) - len(have)
    drop = [i for i, n in enumerate(have) if n == 1 and lead[i + offset] != 1]
    if drop:
        x = op.reshape(
            x, shape=tuple(n for i, n in enumerate(x.shape) if i not in drop)
        )
    return x, "".join(letters[i + offset] for i in range(len(have)) if i not in drop)


@method
def mm(input, mat2, *, out=None):
    """Product of two matrices.

    >>> mm(tensor([[1., 2.]]), tensor([[3.], [4.]]))
    tensor([[11.]])
    """
    _need_ranks("mm", input=(input, 2), mat2=(mat2, 2))
    return matmul(input, mat2, out=out)


def _need_ranks(name, **arguments):
    """Each argument a tensor with its number of dims."""
    for what, (x, rank) in arguments.items():
        if need_tensor(x, name, what).ndim != rank:
            kind = {1: "a vector", 2: "a matrix", 3: "a 3D tensor"}[rank]
            raise ShapeError(f"{name}: {what} must be {kind}, got {_show(x)}")


@method
def bmm(input, mat2, *, out=None):
    """Products of two batches of matrices.

    >>> bmm(ones(2, 1, 3), ones(2, 3, 1)).shape
    adjoint.Size([2, 1, 1])
    """
    _need_ranks("bmm", input=(input, 3), mat2=(mat2, 3))
    if input.shape[0] != mat2.shape[0]:
        raise ShapeError(
            f"bmm: both must have the same batch size, got {_show(input)} and {_show(mat2)}"
        )
    return matmul(input, mat2, out=out)


@method
def mv(input, vec, *, out=None):
    """Matrix times vector.

    >>> mv(tensor([[1., 2.]]), tensor([3., 4.]))
    tensor([11.])
    """
    _need_ranks("mv", input=(input, 2), vec=(vec, 1))
    return matmul(input, vec, out=out)


@method
def dot(input, tensor, *, out=None):
    """Inner product of two vectors, not conjugated.

    >>> dot(tensor([1., 2.]), tensor([3., 4.]))
    tensor(11.)
    """
    _need_ranks("dot", input=(input, 1), tensor=(tensor, 1))
    return matmul(input, tensor, out=out)


@method
def vdot(input, other, *, out=None):
    """Inner product of two vectors, the first conjugated.

    >>> vdot(tensor([1., 2.]), tensor([3., 4.]))
    tensor(11.)
    """
    need_tensor(input, "vdot")
    if dtype_of(input).kind == "c":
        input = op.conj(input)
    return dot(input, other, out=out)


@method
def inner(input, other, *, out=None):
    """Products summed over the last dims.

    >>> inner(tensor([1., 2.]), tensor([3., 4.]))
    tensor(11.)
    """
    a, b = _pair(input, other, "inner")
    if a.ndim == 0 or b.ndim == 0:
        return give(a * b, out)
    if a.shape[-1] != b.shape[-1]:
        raise ShapeError(
            "inner: the last dimension must match on both input tensors but got shapes "
            f"{list(a.shape)} and {list(b.shape)}"
        )
    return give(tensordot(a, b, ([-1], [-1])), out)


@method
def outer(input, vec2, *, out=None):
    """All products of the elements of two vectors.

    >>> outer(tensor([1., 2.]), tensor([3., 4.]))
    tensor([[3., 4.],
            [6., 8.]])
    """
    _need_ranks("outer", input=(input, 1), vec2=(vec2, 1))
    return give(op.reshape(input, shape=(input.shape[0], 1)) * vec2, out)


alias("ger", "outer")


@function
def tensordot(a, b, dims=2, *, out=None):
    """Products summed over pairs of dims: the last of a with the first of b, or those listed.

    >>> tensordot(ones(2, 3), ones(3, 4), 1).shape
    adjoint.Size([2, 4])
    """
    a, b = _pair(a, b, "tensordot")
    left, right = _summed_dims(a, b, dims.tolist() if isinstance(dims, Box) else dims)
    for i, j in zip(left, right, strict=True):
        if a.shape[i] != b.shape[j]:
            raise ShapeError(
                "tensordot: contracted dimensions need to match, but first has size "
                f"{a.shape[i]} in dim {i} and second has size {b.shape[j]} in dim {j}"
            )
    la = list(_EINSUM[: a.ndim])
    lb = list(_EINSUM[a.ndim : a.ndim + b.ndim])
    for i, j in zip(left, right, strict=True):
        lb[j] = la[i]
    gone = {la[i] for i in left}
    result = [c for c in la + lb if c not in gone]
    spec = f"{''.join(la)},{''.join(lb)}->{''.join(result)}"
    return give(op.contract(a, b, spec=spec), out)


def _summed_dims(a, b, dims):
    """The dims of a and of b that tensordot sums over, in pairs."""
    if hasattr(dims, "__index__"):
        if not 0 <= dims <= min(a.ndim, b.ndim):
            raise ArgumentError(
                f"tensordot: expects 0 <= dims <= {min(a.ndim, b.ndim)}, got {dims}"
            )
        return range(a.ndim - dims, a.ndim), range(dims)
    left, right = ([d] if hasattr(d, "__index__") else d for d in dims)
    if len(left) != len(right):
        raise ShapeError(
            f"tensordot: both dimension lists should have same length, got {left}, {right}"
        )
    pairs = ((left, a), (right, b))
    return tuple(norm_dims(d, x.ndim) if len(d) else () for d, x in pairs)


_EINSUM = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


# ---------------------------------------------------------------- products added


def _plus(name, input, y, beta, alpha, out=None):
    """β · input + α · y; of β = 0 the input is not read, NaN or not."""
    need_tensor(input, name)
    d = dtype_of(y)
    if dtype_of(input) != d:
        raise DtypeError(
            f"{name}: self and the product must have the same dtype, but got "
            f"{dtype_of(input).name} and {d.name}"
        )
    shape = tuple(y.shape)
    if broadcast(tuple(input.shape), shape, name=name) != shape:
        raise ShapeError(f"{name}: {_show(input)} does not expand to {list(shape)}")
    if d.kind in "iu":
        alpha, beta = int(alpha), int(beta)
    y = y if alpha == 1 else y * alpha
    if beta == 0:
        part = op.expand(input, shape=shape)
        return give(op.where(np.zeros((), bool), part, y), out)
    return give(y + (input if beta == 1 else input * beta), out)


@method
def addmm(input, mat1, mat2, *, beta=1, alpha=1, out=None):
    """β · input + α · mat1 @ mat2.

    >>> addmm(ones(1, 1), ones(1, 2), ones(2, 1))
    tensor([[3.]])
    """
    _need_ranks("addmm", mat1=(mat1, 2), mat2=(mat2, 2))
    return _plus("addmm", input, matmul(mat1, mat2), beta, alpha, out)


@method
def addmv(input, mat, vec, *, beta=1, alpha=1, out=None):
    """β · input + α · mat @ vec.

    >>> addmv(ones(1), ones(1, 2), ones(2))
    tensor([3.])
    """
    _need_ranks("addmv", mat=(mat, 2), vec=(vec, 1))
    return _plus("addmv", input, matmul(mat, vec), beta, alpha, out)


@method
def addr(input, vec1, vec2, *, beta=1, alpha=1, out=None):
    """β · input + α · outer(vec1, vec2).

    >>> addr(ones(1, 2), ones(1), tensor([1., 2.]))
    tensor([[2., 3.]])
    """
    _need_ranks("addr", vec1=(vec1, 1), vec2=(vec2, 1))
    input, vec1, vec2 = promote("addr", need_tensor(input, "addr"), vec1, vec2)
    return _plus("addr", input, outer(vec1, vec2), beta, alpha, out)


@method
def baddbmm(input, batch1, batch2, *, beta=1, alpha=1, out=None):
    """β · input + α · batch1 @ batch2.

    >>> baddbmm(ones(1, 1, 1), ones(1, 1, 2), ones(1, 2, 1))
    tensor([[[3.]]])
    """
    return _plus("baddbmm", input, bmm(batch1, batch2), beta, alpha, out)


@method
def addbmm(input, batch1, batch2, *, beta=1, alpha=1, out=None):
    """β · input + α · Σ_b batch1[b] @ batch2[b].

    >>> addbmm(ones(1, 1), ones(2, 1, 3), ones(2, 3, 1))
    tensor([[7.]])
    """
    _need_ranks("addbmm", batch1=(batch1, 3), batch2=(batch2, 3))
    a, b = _pair(batch1, batch2, "addbmm")
    y = op.contract(a, b, spec="bij,bjk->ik")
    return _plus("addbmm", input, y, beta, alpha, out)


@function
def kron(input, other, *, out=None):
    """Kronecker product: each element of `input` times all of `other`, as blocks.

    >>> kron(tensor([1., 2.]), tensor([1., 10.]))
    tensor([ 1., 10.,  2., 20.])
    """
    a, b = need_tensor(input, "kron"), need_tensor(other, "kron", "other")
    n = max(a.ndim, b.ndim)
    sa, sb = ((1,) * (n - x.ndim) + tuple(x.shape) for x in (a, b))
    a = op.reshape(a, shape=tuple(k for m in sa for k in (m, 1)))
    b = op.reshape(b, shape=tuple(k for m in sb for k in (1, m)))
    shape = tuple(i * j for i, j in zip(sa, sb, strict=True))
    return give(op.reshape(a * b, shape=shape), out)


# ---------------------------------------------------------------- einsum


@function
def einsum(equation, *operands):
    """Einstein's sum: products over shared letters, summed over those not after the arrow.

    Without an arrow the result has the letters that occur once, in alphabetical order;
    `...` stands for leading dims that broadcast. Operands and lists of dims in turn say
    the same: einsum(a, [0, 1], b, [1, 2], [0, 2]).

    >>> einsum("ij,jk->ik", ones(2, 3), ones(3, 4)).shape
    adjoint.Size([2, 4])
    >>> einsum("ii", tensor([[1., 2.], [3., 4.]]))
    tensor(5.)
    """
    inputs, result, xs = _einsum_terms(equation, operands)
    for x in xs:
        _pair(xs[0], x, "einsum") if len(xs) > 1 else need_tensor(x, "einsum")
    inputs, result = _einsum_ellipses(inputs, result, xs)
    terms = _einsum_terms_apart(inputs, result, xs)
    while len(terms) > 1:
        i, j = _cheapest_pair(terms, result)
        (la, a), (lb, b) = terms[i], terms[j]
        terms = [term for k, term in enumerate(terms) if k not in (i, j)]
        kept = _needed(terms, result)
        letters = [c for c in dict.fromkeys(la + lb) if c in kept]
        letters = result if not terms else letters
        terms.append((letters, _contracted(la, a, lb, b, letters)))
    ((letters, y),) = terms
    order = tuple(letters.index(c) for c in result)
    return y if order == tuple(range(len(order))) else op.permute(y, dims=order)


def _bad_einsum(text):
    raise ArgumentError(f"einsum(): {text}")


def _einsum_terms(equation, operands):
    """(labels of each operand, labels of the result or None, operands)."""
    if not isinstance(equation, str):
        given = (equation, *operands)
        count = len(given) // 2
        inputs = [list(labels) for labels in given[1 : 2 * count : 2]]
        result = list(given[-1]) if len(given) % 2 else None
        return inputs, result, given[: 2 * count : 2]
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = tuple(operands[0])
    left, arrow, right = equation.replace(" ", "").partition("->")
    inputs = [_labels(part) for part in left.split(",")]
    if len(inputs) != len(operands):
        few = "fewer" if len(operands) < len(inputs) else "more"
        _bad_einsum(
            f"{few} operands were provided than specified in the equation {equation!r}: "
            f"{len(operands)} for {len(inputs)}"
        )
    return inputs, _labels(right) if arrow else None, operands


def _labels(text):
    """The letters of one operand, its dots as one Ellipsis."""
    head, dots, tail = text.partition("...")
    out = [*head, *([...] if dots else []), *tail]
    for c in out:
        if c is not ... and not (c.isalpha() and c.isascii()):
            _bad_einsum(
                f"invalid subscript {c!r} in {text!r}: letters and one '...' only"
            )
    return out


def _einsum_ellipses(inputs, result, xs):
    """The same with (..., k) for the dims under the dots, and the result written out."""
    most, full = 0, []
    for i, (labels, x) in enumerate(zip(inputs, xs, strict=True)):
        spare = x.ndim - len([c for c in labels if c is not ...])
        if spare < 0 or (spare and ... not in labels):
            _bad_einsum(
                f"the number of subscripts ({len(labels)}) does not match the number of "
                f"dimensions ({x.ndim}) for operand {i}"
            )
        most = max(most, spare)
        full.append((labels, spare))
    inputs = [_spread(labels, spare) for labels, spare in full]
    if result is None:
        once = [c for labels in inputs for c in labels if not isinstance(c, tuple)]
        letters = sorted(c for c in set(once) if once.count(c) == 1)
        return inputs, _spread([...], most) + letters
    _check_result(result, inputs)
    return inputs, _spread(result, most)


def _spread(labels, count):
    """Labels with the dots as `count` labels, counted from the last."""
    dots = [(..., k) for k in range(-count, 0)]
    return [d for c in labels for d in (dots if c is ... else [c])]


def _check_result(result, inputs):
    known = {c for labels in inputs for c in labels}
    for c in result:
        if c is not ... and result.count(c) > 1:
            _bad_einsum(f"output subscript {c} appears more than once in the output")
        if c is not ... and c not in known:
            _bad_einsum(
                f"output subscript {c} does not appear in the equation for any input operand"
            )


def _einsum_terms_apart(inputs, result, xs):
    """Each operand with every letter once, of its full size, and needed elsewhere."""
    terms = [
        _diagonals(i, la, x) for i, (la, x) in enumerate(zip(inputs, xs, strict=True))
    ]
    sizes = {}
    for i, (labels, x) in enumerate(terms):
        for c, n in zip(labels, x.shape, strict=True):
            if sizes.setdefault(c, n) != n:
                if 1 not in (n, sizes[c]):
                    _bad_einsum(
                        f"subscript {c} has size {n} for operand {i} which does not broadcast "
                        f"with previously seen size {sizes[c]}"
                    )
                sizes[c] = max(n, sizes[c]) if 0 not in (n, sizes[c]) else 0
    terms = [_without_ones(labels, x, sizes) for labels, x in terms]
    for i, (labels, x) in enumerate(terms):
        kept = _needed(terms[:i] + terms[i + 1 :], result)
        lost = tuple(k for k, c in enumerate(labels) if c not in kept)
        if lost:
            y = op.sum(x, dim=lost, keepdim=False)
            terms[i] = ([c for c in labels if c in kept], y)
    return terms


def _diagonals(i, labels, x):
    """An operand in which a letter stands twice: the diagonal of the two dims."""
    labels = list(labels)
    while len(set(labels)) < len(labels):
        c = next(c for c in labels if labels.count(c) > 1)
        a = labels.index(c)
        b = labels.index(c, a + 1)
        if x.shape[a] != x.shape[b]:
            _bad_einsum(
                f"subscript {c} is repeated for operand {i} but the sizes don't match, "
                f"{x.shape[b]} != {x.shape[a]}"
            )
        x = op.diagonal(x, offset=0, dim1=a, dim2=b)
        labels = [d for k, d in enumerate(labels) if k not in (a, b)] + [c]
    return labels, x


def _without_ones(labels, x, sizes):
    """An operand without the dims of size 1 that broadcast."""
    lost = [k for k, c in enumerate(labels) if x.shape[k] != sizes[c]]
    if not lost:
        return labels, x
    shape = tuple(n for k, n in enumerate(x.shape) if k not in lost)
    return [c for k, c in enumerate(labels) if k not in lost], op.reshape(
        x, shape=shape
    )


def _needed(terms, result):
    return {c for labels, _ in terms for c in labels}.union(result)


def _cheapest_pair(terms, result):
    """The two operands whose product grows least beyond their own sizes: greedy, as usual."""
    if len(terms) == 2:
        return 0, 1

    def growth(pair):
        i, j = pair
        (la, a), (lb, b) = terms[i], terms[j]
        kept = _needed([t for k, t in enumerate(terms) if k not in pair], result)
        sizes = dict(zip(la + lb, (*a.shape, *b.shape), strict=True))
        size = math.prod(n for c, n in sizes.items() if c in kept)
        return size - math.prod(a.shape) - math.prod(b.shape), size

    return min(itertools.combinations(range(len(terms)), 2), key=growth)


def _contracted(la, a, lb, b, letters):
    names = dict(zip(dict.fromkeys([*la, *lb]), _EINSUM, strict=False))
    la, lb, lc = ("".join(names[c] for c in s) for s in (la, lb, letters))
    return op.contract(a, b, spec=f"{la},{lb}->{lc}")


# ---------------------------------------------------------------- distances


_MODES = (
    "use_mm_for_euclid_dist_if_necessary",
    "use_mm_for_euclid_dist",
    "donot_use_mm_for_euclid_dist",
)


@function
def cdist(x1, x2, p=2.0, compute_mode="use_mm_for_euclid_dist_if_necessary"):
    """Distances (Σ |a − b|^p)^(1/p) of each row of x1 from each of x2; at 0 the slope is 0.

    >>> cdist(tensor([[0., 0.]]), tensor([[3., 4.], [0., 1.]]))
    tensor([[5., 1.]])
    """
    a, b = need_tensor(x1, "cdist", "x1"), need_tensor(x2, "cdist", "x2")
    _check_cdist(a, b, p, compute_mode)
    lead = broadcast(a.shape[:-2], b.shape[:-2], name="cdist")
    a, b = (op.expand(x, shape=(*lead, *x.shape[-2:])) for x in (a, b))
    if p == 2:
        flat = [op.reshape(x, shape=(math.prod(lead), *x.shape[-2:])) for x in (a, b)]
        y = op.distances(*flat, products=_by_products(a, b, compute_mode))
        return op.reshape(y, shape=(*lead, a.shape[-2], b.shape[-2]))
    a = op.reshape(a, shape=(*a.shape[:-1], 1, a.shape[-1]))
    b = op.reshape(b, shape=(*b.shape[:-2], 1, *b.shape[-2:]))
    return _length(a - b, float(p))


def _check_cdist(a, b, p, mode):
    for what, x in (("X1", a), ("X2", b)):
        if dtype_of(x).kind not in "fV":
            raise DtypeError(
                f"cdist only supports floating-point dtypes, {what} got: {dtype_of(x).name}"
            )
        if x.ndim < 2:
            raise ShapeError(
                f"cdist only supports at least 2D tensors, {what} got: {x.ndim}D"
            )
    if dtype_of(a) != dtype_of(b):
        raise DtypeError(
            f"cdist: expected {dtype_of(a).name} but found {dtype_of(b).name} for X2"
        )
    if a.shape[-1] != b.shape[-1]:
        raise ShapeError(
            "X1 and X2 must have the same number of columns. "
            f"X1: {a.shape[-1]} X2: {b.shape[-1]}"
        )
    if not p >= 0:
        raise ArgumentError(f"cdist only supports non-negative p values, got {p}")
    if mode not in _MODES:
        raise ArgumentError(f"cdist: {mode} is not a valid value for compute_mode")


def _by_products(a, b, mode) -> bool:
    """Whether squared distances come from |a|² + |b|² − 2ab: fast for many, less exact."""
    if mode == _MODES[0]:
        return a.shape[-2] > 25 or b.shape[-2] > 25
    return mode == _MODES[1]


def _length(d, p):
    """The p-norm over the last dim, with derivative 0 where an element or it is 0."""
    last = {"dim": (d.ndim - 1,), "keepdim": False}
    if p == 0:
        moved = op.cast(op.ne(d, number(0, d)), dtype=dtype_of(d))
        return op.sum(op.where(np.zeros((), bool), d, moved), **last)
    size = op.abs(d)
    if p == 1:
        return op.sum(size, **last)
    if p == math.inf:
        return op.amax(size, **last) if d.shape[-1] else op.sum(size, **last)
    return _root(op.sum(_power(size, p), **last), p)


def _power(x, p):
    """x^p for x ≥ 0, flat at 0."""
    zero = op.eq(x, number(0, x))
    safe = op.where(zero, op.ones_like(x), x)
    return op.where(zero, op.zeros_like(x), op.pow_scalar(safe, exponent=p))


def _root(x, p):
    return _power(x, 1 / p)
