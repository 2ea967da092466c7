"""Products: matmul and its kin, tensordot, sums with products: all of one contraction."""

from __future__ import annotations

import numpy as np

from ..autodiff import straight
from ..core.bind import Box, dtype_of
from ..core.primitive import op
from ..core.shape import broadcast, norm_dims
from ..errors import ArgumentError, DtypeError, ShapeError, sound
from .face import alias, function, give, method, need_tensor, promote
from .precision import lower


def pair(a, b, name):
    """`a` and `b`, which must be tensors of one dtype, not truth values."""
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
@sound
def matmul(input, other, *, out=None):
    """Matrix product, over vectors, matrices and batches of them.

    >>> matmul(tensor([[1., 2.]]), tensor([[3.], [4.]]))
    tensor([[11.]])
    """
    y = _of_matrices(input, other)
    if y is not None:
        return y if out is None else give(y, out)
    return _product(input, other, out=out)


@lower
def _product(input, other, *, out=None):
    """`matmul` of any two tensors."""
    a, b = pair(input, other, "matmul")
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


def _as_given(a, b, out=None):
    """The product in the precision of `a` and `b`, whether `autocast` holds or not."""
    y = _of_matrices(a, b)
    return _product.as_given(a, b, out=out) if y is None else give(y, out)


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
@sound
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
    return _as_given(input, vec, out)


@method
def dot(input, tensor, *, out=None):
    """Inner product of two vectors, not conjugated.

    >>> dot(tensor([1., 2.]), tensor([3., 4.]))
    tensor(11.)
    """
    _need_ranks("dot", input=(input, 1), tensor=(tensor, 1))
    return _as_given(input, tensor, out)


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
    a, b = pair(input, other, "inner")
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
@lower
def tensordot(a, b, dims=2, *, out=None):
    """Products summed over pairs of dims: the last of a with the first of b, or those listed.

    >>> tensordot(ones(2, 3), ones(3, 4), 1).shape
    adjoint.Size([2, 4])
    """
    a, b = pair(a, b, "tensordot")
    left, right = _summed_dims(a, b, dims.tolist() if isinstance(dims, Box) else dims)
    for i, j in zip(left, right, strict=True):
        if a.shape[i] != b.shape[j]:
            raise ShapeError(
                "tensordot: contracted dimensions need to match, but first has size "
                f"{a.shape[i]} in dim {i} and second has size {b.shape[j]} in dim {j}"
            )
    la = list(LETTERS[: a.ndim])
    lb = list(LETTERS[a.ndim : a.ndim + b.ndim])
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


LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


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
@lower
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
    return _plus("addmv", input, _as_given(mat, vec), beta, alpha, out)


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
@lower
def baddbmm(input, batch1, batch2, *, beta=1, alpha=1, out=None):
    """β · input + α · batch1 @ batch2.

    >>> baddbmm(ones(1, 1, 1), ones(1, 1, 2), ones(1, 2, 1))
    tensor([[[3.]]])
    """
    return _plus("baddbmm", input, bmm(batch1, batch2), beta, alpha, out)


@method
@lower
def addbmm(input, batch1, batch2, *, beta=1, alpha=1, out=None):
    """β · input + α · Σ_b batch1[b] @ batch2[b].

    >>> addbmm(ones(1, 1), ones(2, 1, 3), ones(2, 3, 1))
    tensor([[7.]])
    """
    _need_ranks("addbmm", batch1=(batch1, 3), batch2=(batch2, 3))
    a, b = pair(batch1, batch2, "addbmm")
    y = op.contract(a, b, spec="bij,bjk->ik")
    return _plus("addbmm", input, y, beta, alpha, out)


@method
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
