"""Joining tensors along a dim, and cutting one into parts."""

from __future__ import annotations

import itertools

from ..core.bind import Box
from ..core.primitive import op
from ..core.shape import norm_dim
from ..errors import (
    ArgumentError,
    ArgumentTypeError,
    DimError,
    ShapeError,
)
from .face import (
    alias,
    cast,
    function,
    give,
    method,
    need_tensor,
    result_dtype,
)
from .precision import widest
from .shapes import clone, listed_tensors, reshape, unsqueeze


def _joined(tensors, name):
    """The tensors of a sequence in their common dtype."""
    if not isinstance(tensors, (tuple, list)):
        raise ArgumentTypeError(
            f"{name}(): argument 'tensors' must be a tuple or list of Tensors, "
            f"not {type(tensors).__name__}"
        )
    if not tensors:
        raise ArgumentError(f"{name}(): expected a non-empty list of Tensors")
    for i, x in enumerate(tensors):
        need_tensor(x, name, f"element {i}")
    d = result_dtype(*tensors)
    return [cast(x, d) for x in tensors]


@function
@widest
def stack(tensors, dim=0, *, out=None):
    """Tensors of one shape along a new dim.

    >>> stack([tensor([1, 2]), tensor([3, 4])], dim=1)
    tensor([[1, 3],
            [2, 4]])
    """
    xs = _joined(tensors, "stack")
    for i, x in enumerate(xs):
        if tuple(x.shape) != tuple(xs[0].shape):
            raise ShapeError(
                "stack expects each tensor to be equal size, but got "
                f"{list(xs[0].shape)} at entry 0 and {list(x.shape)} at entry {i}"
            )
    y = op.stack(*xs, dim=norm_dim(dim, xs[0].ndim + 1))
    return give(y, out)


@function
@widest
def cat(tensors, dim=0, *, out=None):
    """Tensors one after the other along `dim`; empty vectors do not count.

    >>> cat([tensor([1, 2]), tensor([3])])
    tensor([1, 2, 3])
    """
    xs = _joined(tensors, "cat")
    for i, x in enumerate(xs):
        if x.ndim == 0:
            raise ShapeError(
                f"cat: zero-dimensional tensor (at position {i}) cannot be concatenated",
                hint="use stack",
            )
    xs = [x for x in xs if tuple(x.shape) != (0,)] or xs[:1]
    y = op.cat(*xs, dim=norm_dim(dim, xs[0].ndim))
    return give(y, out)


alias("concat", "cat")


alias("concatenate", "cat")


@function
def atleast_1d(*tensors):
    """With at least one dim.

    >>> atleast_1d(tensor(1.))
    tensor([1.])
    """
    return _each(tensors, "atleast_1d", lambda x: x if x.ndim else reshape(x, (1,)))


@function
def atleast_2d(*tensors):
    """With at least two dims: a vector becomes a row.

    >>> atleast_2d(tensor([1., 2.]))
    tensor([[1., 2.]])
    """

    def f(x):
        return x if x.ndim > 1 else reshape(x, (1, -1) if x.ndim else (1, 1))

    return _each(tensors, "atleast_2d", f)


@function
def atleast_3d(*tensors):
    """With at least three dims: (n) becomes (1, n, 1), (m, n) becomes (m, n, 1).

    >>> atleast_3d(tensor([1., 2.])).shape
    adjoint.Size([1, 2, 1])
    """
    shape = {0: (1, 1, 1), 1: (1, -1, 1)}

    def f(x):
        if x.ndim > 2:
            return x
        return reshape(x, shape[x.ndim]) if x.ndim < 2 else unsqueeze(x, 2)

    return _each(tensors, "atleast_3d", f)


def _each(tensors, name, f):
    """f of one tensor, or of each of several as a tuple."""
    listed = listed_tensors(tensors)
    out = tuple(f(need_tensor(x, name)) for x in listed)
    return out[0] if len(tensors) == 1 and listed is tensors else out


def _stacked(tensors, name, prepare, dim):
    xs = [prepare(x) for x in _joined(tensors, name)]
    return cat(xs, dim)


@function
def hstack(tensors, *, out=None):
    """Side by side: along dim 1, vectors along dim 0.

    >>> hstack([tensor([1, 2]), tensor([3])])
    tensor([1, 2, 3])
    """
    xs = [atleast_1d(x) for x in _joined(tensors, "hstack")]
    y = cat(xs, 0 if xs[0].ndim == 1 else 1)
    return give(y, out)


@function
def vstack(tensors, *, out=None):
    """One below the other: along dim 0, vectors as rows.

    >>> vstack([tensor([1, 2]), tensor([3, 4])])
    tensor([[1, 2],
            [3, 4]])
    """
    y = _stacked(tensors, "vstack", atleast_2d, 0)
    return give(y, out)


alias("row_stack", "vstack")


@function
def dstack(tensors, *, out=None):
    """One behind the other: along dim 2, of what `atleast_3d` makes.

    >>> dstack([tensor([1, 2]), tensor([3, 4])])
    tensor([[[1, 3],
             [2, 4]]])
    """
    y = _stacked(tensors, "dstack", atleast_3d, 2)
    return give(y, out)


@function
def column_stack(tensors, *, out=None):
    """Side by side, vectors and numbers as columns.

    >>> column_stack([tensor([1, 2]), tensor([3, 4])])
    tensor([[1, 3],
            [2, 4]])
    """
    y = _stacked(
        tensors, "column_stack", lambda x: x if x.ndim > 1 else reshape(x, (-1, 1)), 1
    )
    return give(y, out)


@method
def narrow(input, dim, start, length):
    """`length` elements of `dim` from `start`: a view.

    >>> narrow(tensor([1, 2, 3, 4]), 0, 1, 2)
    tensor([2, 3])
    """
    x = need_tensor(input, "narrow")
    if x.ndim == 0:
        raise ShapeError("narrow: cannot be applied to a 0-dim tensor")
    dim, start = norm_dim(dim, x.ndim), int(start)
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
def narrow_copy(input, dim, start, length, *, out=None):
    """`narrow` as a copy.

    >>> narrow_copy(tensor([1, 2, 3, 4]), 0, 1, 2)
    tensor([2, 3])
    """
    return give(clone(narrow(input, dim, start, length)), out)


def _need_dims(x, name):
    if need_tensor(x, name).ndim == 0:
        raise DimError(f"{name}: expects at least a 1-dimensional tensor")
    return x


@method
def unbind(input, dim=0):
    """The slices along `dim`, as a tuple.

    >>> unbind(tensor([[1, 2], [3, 4]]))
    (tensor([1, 2]), tensor([3, 4]))
    """
    x = _need_dims(input, "unbind")
    dim = norm_dim(dim, x.ndim)
    return tuple(op.select(x, dim=dim, index=i) for i in range(x.shape[dim]))


@method
def split(tensor, split_size_or_sections, dim=0):
    """Pieces along `dim`: of one size, or of the sizes listed.

    >>> split(tensor([1, 2, 3]), 2)
    (tensor([1, 2]), tensor([3]))
    """
    x = _need_dims(tensor, "split")
    dim = norm_dim(dim, x.ndim)
    n, parts = x.shape[dim], split_size_or_sections
    if hasattr(parts, "__index__"):
        parts = _equal_parts(n, parts.__index__())
    if sum(parts) != n or any(k < 0 for k in parts):
        raise ShapeError(
            f"split: sizes must add up to {n}, the size of dim {dim}, got {list(parts)}"
        )
    starts = itertools.accumulate(parts, initial=0)
    return tuple(narrow(x, dim, s, k) for s, k in zip(starts, parts, strict=False))


def _equal_parts(n, size):
    if size < 0:
        raise ArgumentError(f"split: split_size must not be negative, got {size}")
    if size == 0 and n:
        raise ArgumentError(
            f"split: split_size can only be 0 if the size is 0, not {n}"
        )
    return [min(size, n - i) for i in range(0, n, size)] if n else [0]


@method
def split_with_sizes(input, split_sizes, dim=0):
    """Pieces of the listed sizes along `dim`.

    >>> split_with_sizes(tensor([1, 2, 3]), [1, 2])
    (tensor([1]), tensor([2, 3]))
    """
    if not isinstance(split_sizes, (tuple, list)):
        raise ArgumentTypeError(
            "split_with_sizes: argument 'split_sizes' must be a tuple of ints, not "
            + type(split_sizes).__name__
        )
    return split(input, list(split_sizes), dim)


@method
def chunk(input, chunks, dim=0):
    """At most `chunks` pieces of equal size along `dim`.

    >>> chunk(tensor([1, 2, 3]), 2)
    (tensor([1, 2]), tensor([3]))
    """
    x = _need_dims(input, "chunk")
    if chunks <= 0:
        raise ArgumentError(f"chunk: chunks must be positive, got {chunks}")
    n = x.shape[norm_dim(dim, x.ndim)]
    return split(x, -(-n // chunks), dim) if n else split(x, [0] * chunks, dim)


@method
def tensor_split(input, indices_or_sections, dim=0):
    """Pieces along `dim`: so many, of nearly equal size, or cut at the indices listed.

    >>> tensor_split(tensor([1, 2, 3]), 2)
    (tensor([1, 2]), tensor([3]))
    >>> tensor_split(tensor([1, 2, 3]), (1,))
    (tensor([1]), tensor([2, 3]))
    """
    x = _need_dims(input, "tensor_split")
    dim, cuts = norm_dim(dim, x.ndim), indices_or_sections
    if isinstance(cuts, Box):
        cuts = cuts.tolist()
    n = x.shape[dim]
    if hasattr(cuts, "__index__"):
        if cuts <= 0:
            raise ArgumentError(
                f"tensor_split: number of sections must be larger than 0, got {cuts}"
            )
        small, more = divmod(n, cuts)
        if cuts > 2**20:
            raise ArgumentError(f"tensor_split: {cuts} sections are too many")
        return split(x, [small + (i < more) for i in range(cuts)], dim)
    stops = [slice(0, c).indices(n)[1] for c in cuts]
    pairs = zip([0, *stops], [*stops, n], strict=True)
    return tuple(narrow(x, dim, a, max(b - a, 0)) for a, b in pairs)


def _even_split(name, x, least, dim, parts):
    need_tensor(x, name)
    if x.ndim < least:
        raise ShapeError(
            f"{name} requires a tensor with at least {least} dimension, but got a tensor "
            f"with {x.ndim} dimensions!"
        )
    dim = 0 if x.ndim == 1 else dim
    if hasattr(parts, "__index__") and (parts <= 0 or x.shape[dim] % parts):
        raise ShapeError(
            f"{name} attempted to split along dimension {dim}, but the size of the dimension "
            f"{x.shape[dim]} is not divisible by the split_size {parts}!"
        )
    return tensor_split(x, parts, dim)


@method
def hsplit(input, indices_or_sections):
    """Pieces side by side: along dim 1, of a vector along dim 0.

    >>> hsplit(tensor([1, 2, 3, 4]), 2)
    (tensor([1, 2]), tensor([3, 4]))
    """
    return _even_split("hsplit", input, 1, 1, indices_or_sections)


@method
def vsplit(input, indices_or_sections):
    """Pieces one below the other: along dim 0.

    >>> vsplit(tensor([[1, 2], [3, 4]]), 2)
    (tensor([[1, 2]]), tensor([[3, 4]]))
    """
    return _even_split("vsplit", input, 2, 0, indices_or_sections)


@method
def dsplit(input, indices_or_sections):
    """Pieces one behind the other: along dim 2.

    >>> [y.shape for y in dsplit(ones(1, 2, 4), 2)]
    [adjoint.Size([1, 2, 2]), adjoint.Size([1, 2, 2])]
    """
    return _even_split("dsplit", input, 3, 2, indices_or_sections)
