"""Products: matmul and its kin, einsum, tensordot, outer, all of one contraction."""

from __future__ import annotations

from ..core.bind import dtype_of
from ..core.primitive import op
from ..core.shape import broadcast
from ..errors import DtypeError, ShapeError
from .face import alias, function, method, need_tensor


def _pair(a, b, name):
    need_tensor(a, name)
    need_tensor(b, name, "other")
    if dtype_of(a) != dtype_of(b):
        raise DtypeError(
            f"{name}: expected both operands to have the same dtype, got "
            f"{dtype_of(a).name} and {dtype_of(b).name}"
        )
    return a, b


@method
def matmul(input, other, *, out=None):
    """Matrix product, over vectors, matrices and batches of them.

    >>> matmul(tensor([[1., 2.]]), tensor([[3.], [4.]]))
    tensor([[11.]])
    """
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
    y = _matmul(a, b)
    return y if out is None else out.copy_(y)


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
def mm(input, mat2):
    """Product of two matrices.

    >>> mm(tensor([[1., 2.]]), tensor([[3.], [4.]]))
    tensor([[11.]])
    """
    if input.ndim != 2 or mat2.ndim != 2:
        raise ShapeError(
            f"mm: both arguments must be matrices, got {input.ndim}-D and {mat2.ndim}-D"
        )
    return matmul(input, mat2)


@method
def bmm(input, mat2):
    """Products of two batches of matrices.

    >>> bmm(ones(2, 1, 3), ones(2, 3, 1)).shape
    adjoint.Size([2, 1, 1])
    """
    if input.ndim != 3 or mat2.ndim != 3 or input.shape[0] != mat2.shape[0]:
        raise ShapeError(
            "bmm: expects two 3-D tensors of one batch size, got "
            f"{tuple(input.shape)} and {tuple(mat2.shape)}"
        )
    return matmul(input, mat2)


@method
def mv(input, vec):
    """Matrix times vector.

    >>> mv(tensor([[1., 2.]]), tensor([3., 4.]))
    tensor([11.])
    """
    if input.ndim != 2 or vec.ndim != 1:
        raise ShapeError(
            f"mv: expects a matrix and a vector, got {input.ndim}-D and {vec.ndim}-D"
        )
    return matmul(input, vec)


@method
def dot(input, tensor):
    """Inner product of two vectors, not conjugated.

    >>> dot(tensor([1., 2.]), tensor([3., 4.]))
    tensor(11.)
    """
    if input.ndim != 1 or tensor.ndim != 1:
        raise ShapeError(
            f"dot: 1D tensors expected, got {input.ndim}D and {tensor.ndim}D"
        )
    return matmul(input, tensor)


@method
def vdot(input, other):
    """Inner product of two vectors, the first conjugated.

    >>> vdot(tensor([1., 2.]), tensor([3., 4.]))
    tensor(11.)
    """
    return dot(op.conj(input), other)


@method
def inner(input, other):
    """Products summed over the last dims.

    >>> inner(tensor([1., 2.]), tensor([3., 4.]))
    tensor(11.)
    """
    if input.ndim == 0 or other.ndim == 0:
        return input * other
    return tensordot(input, other, ([-1], [-1]))


@method
def outer(input, vec2):
    """All products of the elements of two vectors.

    >>> outer(tensor([1., 2.]), tensor([3., 4.]))
    tensor([[3., 4.],
            [6., 8.]])
    """
    if input.ndim != 1 or vec2.ndim != 1:
        raise ShapeError(
            f"outer: expects two vectors, got {input.ndim}-D and {vec2.ndim}-D"
        )
    return op.reshape(input, shape=(input.shape[0], 1)) * vec2


alias("ger", "outer")


@function
def tensordot(a, b, dims=2):
    """Products summed over pairs of dims.

    >>> tensordot(ones(2, 3), ones(3, 4), 1).shape
    adjoint.Size([2, 4])
    """
    a, b = _pair(a, b, "tensordot")
    if isinstance(dims, int):
        dims = (list(range(a.ndim - dims, a.ndim)), list(range(dims)))
    left, right = ([d % x.ndim for d in ds] for ds, x in zip(dims, (a, b), strict=True))
    for i, j in zip(left, right, strict=True):
        if a.shape[i] != b.shape[j]:
            raise ShapeError(
                f"tensordot: dim {i} of a is {a.shape[i]}, dim {j} of b {b.shape[j]}"
            )
    la = list(_EINSUM[: a.ndim])
    lb = list(_EINSUM[a.ndim : a.ndim + b.ndim])
    for i, j in zip(left, right, strict=True):
        lb[j] = la[i]
    gone = {la[i] for i in left}
    result = [c for c in la + lb if c not in gone]
    return op.contract(a, b, spec=f"{''.join(la)},{''.join(lb)}->{''.join(result)}")


_EINSUM = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


@method
def addmm(input, mat1, mat2, *, beta=1, alpha=1):
    """β · input + α · mat1 @ mat2.

    >>> addmm(ones(1, 1), ones(1, 2), ones(2, 1))
    tensor([[3.]])
    """
    y = mm(mat1, mat2)
    y = y if alpha == 1 else y * alpha
    return y if beta == 0 else y + (input if beta == 1 else input * beta)


@method
def addmv(input, mat, vec, *, beta=1, alpha=1):
    """β · input + α · mat @ vec.

    >>> addmv(ones(1), ones(1, 2), ones(2))
    tensor([3.])
    """
    y = mv(mat, vec)
    y = y if alpha == 1 else y * alpha
    return y if beta == 0 else y + (input if beta == 1 else input * beta)


@method
def baddbmm(input, batch1, batch2, *, beta=1, alpha=1):
    """β · input + α · batch1 @ batch2.

    >>> baddbmm(ones(1, 1, 1), ones(1, 1, 2), ones(1, 2, 1))
    tensor([[[3.]]])
    """
    y = bmm(batch1, batch2)
    y = y if alpha == 1 else y * alpha
    return y if beta == 0 else y + (input if beta == 1 else input * beta)
