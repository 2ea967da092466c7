"""Functions that move elements: reshape, transpose, join, split, flip, repeat."""

from __future__ import annotations

import math

import numpy as np

from ..core.bind import bind, dtype_of
from ..core.primitive import op
from ..core.shape import norm_dim, norm_dims
from ..errors import ArgumentError, ArgumentTypeError, DimError, ShapeError
from .face import alias, cast, function, method, need_tensor, only_method, result_dtype


def sizes(shape) -> tuple[int, ...]:
    """A shape given as numbers or as one sequence."""
    if len(shape) == 1 and isinstance(shape[0], (tuple, list)):
        shape = shape[0]
    try:
        return tuple(n.__index__() for n in shape)
    except AttributeError:
        raise ArgumentTypeError(f"a shape must be integers, got {shape}") from None


def _infer_size(shape, count, name):
    """`shape` with its -1 worked out."""
    if shape.count(-1) > 1:
        raise ShapeError(f"{name}: only one dimension can be inferred, got {shape}")
    if any(n < -1 for n in shape):
        raise ShapeError(f"{name}: invalid shape dimension in {shape}")
    if -1 in shape:
        rest = math.prod(n for n in shape if n != -1)
        if rest == 0 or count % rest:
            raise ShapeError(
                f"{name}: shape '{list(shape)}' is invalid for input of size {count}"
            )
        shape = tuple(count // rest if n == -1 else n for n in shape)
    if math.prod(shape) != count:
        raise ShapeError(
            f"{name}: shape '{list(shape)}' is invalid for input of size {count}"
        )
    return shape


@function
def reshape(input, shape):
    """The same elements in another shape; one size may be -1.

    >>> reshape(tensor([[1, 2], [3, 4]]), (-1,))
    tensor([1, 2, 3, 4])
    """
    x = need_tensor(input, "reshape")
    shape = _infer_size(
        sizes((shape,)),
        math.prod(x.shape),
        "reshape",
    )
    return op.reshape(x, shape=shape)


@only_method
def view(self, *shape):
    """The same memory in another shape (or, for a dtype, the same numbers' bits)."""
    out = reshape(self, sizes(shape))
    if out.base is None and isinstance(self.value, np.ndarray):
        raise ShapeError(
            f"view: shape {tuple(out.shape)} is not a view of these strides",
            hint="use reshape",
        )
    return out


def _reshape_method(self, *shape):
    return reshape(self, sizes(shape))


_reshape_method.__name__ = "reshape"
only_method(_reshape_method)


@method
def view_as(input, other):
    """`input` in the shape of `other`.

    >>> view_as(tensor([1, 2]), tensor([[0], [0]]))
    tensor([[1],
            [2]])
    """
    return reshape(input, tuple(other.shape))


alias("reshape_as", "view_as")


@method
def permute(input, *dims):
    """Dims in another order.

    >>> permute(tensor([[1, 2], [3, 4]]), 1, 0)
    tensor([[1, 3],
            [2, 4]])
    """
    x = need_tensor(input, "permute")
    order = tuple(norm_dim(d, x.ndim) for d in sizes(dims))
    if sorted(order) != list(range(x.ndim)):
        raise ShapeError(f"permute: dims {dims} are not an order of {x.ndim} dims")
    return op.permute(x, dims=order)


@method
def transpose(input, dim0, dim1):
    """Two dims swapped.

    >>> transpose(tensor([[1, 2], [3, 4]]), 0, 1)
    tensor([[1, 3],
            [2, 4]])
    """
    x = need_tensor(input, "transpose")
    a, b = norm_dim(dim0, x.ndim), norm_dim(dim1, x.ndim)
    order = list(range(x.ndim))
    if order:
        order[a], order[b] = order[b], order[a]
    return op.permute(x, dims=tuple(order))


alias("swapaxes", "transpose")
alias("swapdims", "transpose")


@method
def t(input):
    """A matrix transposed; vectors and numbers as they are.

    >>> t(tensor([[1, 2]]))
    tensor([[1],
            [2]])
    """
    x = need_tensor(input, "t")
    if x.ndim > 2:
        raise ShapeError(f"t: expects a tensor with at most 2 dims, got {x.ndim}")
    return op.permute(x, dims=tuple(reversed(range(x.ndim))))


@method
def movedim(input, source, destination):
    """Dims moved to other places, the rest in order.

    >>> movedim(zeros(2, 3, 4), 0, -1).shape
    adjoint.Size([3, 4, 2])
    """
    x = need_tensor(input, "movedim")
    source, destination = norm_dims(source, x.ndim), norm_dims(destination, x.ndim)
    if len(source) != len(destination):
        raise ShapeError(
            "movedim: source and destination must have the same number of dims"
        )
    order = [d for d in range(x.ndim) if d not in source]
    for d, s in sorted(zip(destination, source, strict=True)):
        order.insert(d, s)
    return op.permute(x, dims=tuple(order))


alias("moveaxis", "movedim")


@only_method
def expand(self, *shape):
    """Broadcast without copying; -1 keeps a size."""
    shape = sizes(shape)
    lead = len(shape) - self.ndim
    if lead < 0:
        raise ShapeError(f"expand: {tuple(self.shape)} has more dims than {shape}")
    full = tuple(
        self.shape[i - lead] if n == -1 and i >= lead else n
        for i, n in enumerate(shape)
    )
    return op.expand(self, shape=full)


@function
def broadcast_to(input, shape):
    """Broadcast without copying.

    >>> broadcast_to(tensor([1, 2]), (2, 2))
    tensor([[1, 2],
            [1, 2]])
    """
    return expand(need_tensor(input, "broadcast_to"), *shape)


@only_method
def expand_as(self, other):
    """Broadcast to the shape of `other`."""
    return expand(self, *other.shape)


@method
def squeeze(input, dim=None):
    """Without the dims of size 1: all of them, or those named.

    >>> squeeze(zeros(1, 2, 1)).shape
    adjoint.Size([2])
    """
    x = need_tensor(input, "squeeze")
    dims = range(x.ndim) if dim is None else norm_dims(dim, x.ndim) if dim != () else ()
    kept = tuple(n for i, n in enumerate(x.shape) if not (n == 1 and i in dims))
    return op.reshape(x, shape=kept)


@method
def unsqueeze(input, dim):
    """With a new dim of size 1 at `dim`.

    >>> unsqueeze(tensor([1, 2]), 0)
    tensor([[1, 2]])
    """
    x = need_tensor(input, "unsqueeze")
    dim = norm_dim(dim, x.ndim + 1)
    return op.reshape(x, shape=(*x.shape[:dim], 1, *x.shape[dim:]))


@method
def flatten(input, start_dim=0, end_dim=-1):
    """Dims start_dim to end_dim as one.

    >>> flatten(zeros(2, 3, 4), 1).shape
    adjoint.Size([2, 12])
    """
    x = need_tensor(input, "flatten")
    a, b = norm_dim(start_dim, x.ndim), norm_dim(end_dim, x.ndim)
    if a > b:
        raise ShapeError("flatten: start_dim must not come after end_dim")
    if x.ndim == 0:
        return op.reshape(x, shape=(1,))
    shape = tuple(x.shape)
    return op.reshape(
        x, shape=(*shape[:a], math.prod(shape[a : b + 1]), *shape[b + 1 :])
    )


@method
def unflatten(input, dim, sizes):
    """Dim `dim` split into `sizes`, one of which may be -1.

    >>> unflatten(zeros(6), 0, (2, -1)).shape
    adjoint.Size([2, 3])
    """
    x = need_tensor(input, "unflatten")
    dim = norm_dim(dim, x.ndim)
    inner = _infer_size(tuple(sizes), x.shape[dim], "unflatten")
    return op.reshape(x, shape=(*x.shape[:dim], *inner, *x.shape[dim + 1 :]))


@method
def ravel(input):
    """One dim, row by row.

    >>> ravel(tensor([[1, 2], [3, 4]]))
    tensor([1, 2, 3, 4])
    """
    return reshape(input, -1)


@method
def flip(input, *dims):
    """Reversed along dims.

    >>> flip(tensor([1, 2, 3]), 0)
    tensor([3, 2, 1])
    """
    x = need_tensor(input, "flip")
    dims = sizes(dims)
    return op.flip(x, dims=norm_dims(dims, x.ndim) if dims else ())


@method
def fliplr(input):
    """Columns reversed.

    >>> fliplr(tensor([[1, 2]]))
    tensor([[2, 1]])
    """
    if input.ndim < 2:
        raise ShapeError("fliplr: expects at least 2 dims")
    return flip(input, 1)


@method
def flipud(input):
    """Rows reversed.

    >>> flipud(tensor([1, 2]))
    tensor([2, 1])
    """
    if input.ndim < 1:
        raise ShapeError("flipud: expects at least 1 dim")
    return flip(input, 0)


def _joined(tensors, name):
    """The tensors of a sequence in their common dtype."""
    if not isinstance(tensors, (tuple, list)):
        raise ArgumentTypeError(
            f"{name}(): argument 'tensors' must be a tuple or list of Tensors, "
            f"not {type(tensors).__name__}"
        )
    if not tensors:
        raise ArgumentError(f"{name}: expects a non-empty list of Tensors")
    for i, x in enumerate(tensors):
        need_tensor(x, name, f"element {i}")
    d = result_dtype(*tensors)
    return [cast(x, d) for x in tensors]


@function
def stack(tensors, dim=0, *, out=None):
    """Tensors of one shape along a new dim.

    >>> stack([tensor([1, 2]), tensor([3, 4])], dim=1)
    tensor([[1, 3],
            [2, 4]])
    """
    xs = _joined(tensors, "stack")
    y = op.stack(*xs, dim=norm_dim(dim, xs[0].ndim + 1))
    return y if out is None else out.copy_(y)


@function
def cat(tensors, dim=0, *, out=None):
    """Tensors one after the other along `dim`.

    >>> cat([tensor([1, 2]), tensor([3])])
    tensor([1, 2, 3])
    """
    xs = _joined(tensors, "cat")
    xs = [x for x in xs if tuple(x.shape) != (0,)] or xs[:1]
    if xs[0].ndim == 0:
        raise ShapeError(
            "cat: zero-dimensional tensors cannot be concatenated", hint="use stack"
        )
    y = op.cat(*xs, dim=norm_dim(dim, xs[0].ndim))
    return y if out is None else out.copy_(y)


alias("concat", "cat")
alias("concatenate", "cat")


@method
def narrow(input, dim, start, length):
    """`length` elements of `dim` from `start`: a view.

    >>> narrow(tensor([1, 2, 3, 4]), 0, 1, 2)
    tensor([2, 3])
    """
    x = need_tensor(input, "narrow")
    dim = norm_dim(dim, x.ndim)
    n = x.shape[dim]
    start = start + n if start < 0 else start
    if not (0 <= start <= n and 0 <= length <= n - start):
        raise DimError(
            f"narrow: start {start} and length {length} exceed the size {n} of dim {dim}"
        )
    key = [(0, m, 1) for m in x.shape]
    key[dim] = (start, start + length, 1)
    return op.slice(x, key=tuple(key))


@method
def select(input, dim, index):
    """The slice at `index` along `dim`: a view.

    >>> select(tensor([[1, 2], [3, 4]]), 1, 0)
    tensor([1, 3])
    """
    x = need_tensor(input, "select")
    if x.ndim == 0:
        raise DimError("select: cannot be applied to a 0-dim tensor")
    dim = norm_dim(dim, x.ndim)
    n = x.shape[dim]
    if not -n <= index < n:
        raise DimError(
            f"select: index {index} is out of range for dim {dim} with size {n}"
        )
    return op.select(x, dim=dim, index=int(index) % n)


@method
def unbind(input, dim=0):
    """The slices along `dim`, as a tuple.

    >>> unbind(tensor([[1, 2], [3, 4]]))
    (tensor([1, 2]), tensor([3, 4]))
    """
    dim = norm_dim(dim, input.ndim)
    return tuple(op.select(input, dim=dim, index=i) for i in range(input.shape[dim]))


@method
def split(input, split_size_or_sections, dim=0):
    """Pieces along `dim`: of one size, or of the sizes listed.

    >>> split(tensor([1, 2, 3]), 2)
    (tensor([1, 2]), tensor([3]))
    """
    x = need_tensor(input, "split")
    dim = norm_dim(dim, x.ndim)
    n = x.shape[dim]
    parts = split_size_or_sections
    if isinstance(parts, int):
        if parts <= 0 and n:
            raise ArgumentError(f"split: split_size must be positive, got {parts}")
        parts = [min(parts, n - i) for i in range(0, n, parts)] if n else [0]
    if sum(parts) != n:
        raise ShapeError(
            f"split: sizes {list(parts)} must add up to {n}, the size of dim {dim}"
        )
    starts = np.cumsum([0, *parts[:-1]]).tolist()
    return tuple(narrow(x, dim, s, k) for s, k in zip(starts, parts, strict=True))


@method
def chunk(input, chunks, dim=0):
    """At most `chunks` pieces of equal size along `dim`.

    >>> chunk(tensor([1, 2, 3]), 2)
    (tensor([1, 2]), tensor([3]))
    """
    if chunks <= 0:
        raise ArgumentError(f"chunk: chunks must be positive, got {chunks}")
    n = input.shape[norm_dim(dim, input.ndim)]
    return split(input, max(1, -(-n // chunks)), dim)


def mH(x):
    """The last two dims swapped and conjugated."""
    y = transpose(x, -2, -1)
    return op.conj(y) if dtype_of(y).kind == "c" else y


@method
def adjoint(input):
    """Conjugate transpose of the last two dims.

    >>> adjoint(tensor([[1, 2]]))
    tensor([[1],
            [2]])
    """
    return mH(input)


@method
def clone(input, *, memory_format=None):
    """A copy that differentiates as the identity.

    >>> clone(tensor([1.]))
    tensor([1.])
    """
    return bind(op.contiguous, need_tensor(input, "clone"))
