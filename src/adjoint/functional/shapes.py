"""Functions that move elements: reshape, transpose, join, split, flip, repeat."""

from __future__ import annotations

import itertools
import math

import numpy as np

from ..autodiff.modes import recording
from ..autodiff.straight import reshaped, viewed
from ..autodiff.tape import BASE, Leaf, adopt
from ..core.bind import Box, bind, dtype_of
from ..core.dtype import DType
from ..core.primitive import op, sum_to
from ..core.shape import broadcast, norm_dim, norm_dims, whole
from ..errors import (
    ArgumentError,
    ArgumentTypeError,
    DimError,
    DtypeError,
    GradError,
    ShapeError,
    sound,
)
from .face import (
    METHODS,
    alias,
    cast,
    function,
    give,
    method,
    need_tensor,
    np_dtype,
    only_method,
    result_dtype,
)


def sizes(shape) -> tuple[int, ...]:
    """A shape given as numbers or as one sequence."""
    if len(shape) == 1 and isinstance(shape[0], (tuple, list)):
        shape = shape[0]
    return tuple(n if type(n) is int else whole(n, "a size") for n in shape)


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
@sound
def reshape(input, shape):
    """The same elements in another shape; one size may be -1.

    >>> reshape(tensor([[1, 2], [3, 4]]), (-1,))
    tensor([1, 2, 3, 4])
    """
    y = reshaped(op.reshape, input, shape)
    if y is not None:
        return y
    x = need_tensor(input, "reshape")
    shape = _infer_size(sizes((shape,)), math.prod(x.shape), "reshape")
    return viewed(op.reshape, x, shape=shape)


@only_method
@sound
def view(self, *shape):
    """The same memory in another shape, or, for a dtype, the same bits read in that dtype.

    >>> tensor([1., 2.]).view(2, 1).shape
    adjoint.Size([2, 1])
    """
    y = reshaped(op.reshape, self, shape)
    if y is not None:
        return y
    if len(shape) == 1 and isinstance(shape[0], (DType, np.dtype, type)):
        return _view_dtype(self, np_dtype(shape[0]))
    out = reshape(self, sizes(shape))
    if out.base is None and isinstance(self.value, np.ndarray) and out.numel():
        raise ShapeError(
            f"view: shape {tuple(out.shape)} is not a view of a tensor of shape "
            f"{tuple(self.shape)} and stride {self.stride()}",
            hint="use reshape",
        )
    return out


def _view_dtype(x, d):
    own = dtype_of(x)
    if own == d:
        return x
    if d.itemsize != own.itemsize and x.ndim == 0:
        raise ShapeError(
            f"view: a 0-dim tensor of {own.name} cannot be viewed as {d.name}: "
            "the element sizes differ"
        )
    if d.itemsize > own.itemsize and x.shape[-1] * own.itemsize % d.itemsize:
        raise ShapeError(
            f"view: self.size(-1) must be divisible by {d.itemsize // own.itemsize} to view "
            f"{own.name} as {d.name}, but got {x.shape[-1]}"
        )
    return op.bits(x, dtype=d)


def _reshape_method(self, *shape):
    y = reshaped(op.reshape, self, shape)
    return reshape(self, sizes(shape)) if y is None else y


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
@sound
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
    return viewed(op.permute, x, dims=order)


@method
@sound
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
    return viewed(op.permute, x, dims=tuple(order))


alias("swapaxes", "transpose")
alias("swapdims", "transpose")


@method
@sound
def t(input):
    """A matrix transposed; vectors and numbers as they are.

    >>> t(tensor([[1, 2]]))
    tensor([[1],
            [2]])
    """
    x = need_tensor(input, "t")
    if x.ndim > 2:
        raise ShapeError(f"t: expects a tensor with at most 2 dims, got {x.ndim}")
    return viewed(op.permute, x, dims=tuple(reversed(range(x.ndim))))


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
    return viewed(op.permute, x, dims=tuple(order))


alias("moveaxis", "movedim")


@only_method
def expand(self, *shape):
    """Broadcast without copying; -1 keeps a size.

    >>> tensor([[1], [2]]).expand(-1, 2)
    tensor([[1, 1],
            [2, 2]])
    """
    return _expand(self, sizes(shape), "expand")


def _expand(x, shape, name):
    lead = len(shape) - x.ndim
    if lead < 0:
        raise ShapeError(
            f"{name}: the number of sizes ({len(shape)}) must not be smaller than the number "
            f"of dims of the tensor ({x.ndim})"
        )
    full = []
    for i, n in enumerate(shape):
        have = x.shape[i - lead] if i >= lead else None
        if n == -1 and have is None:
            raise ShapeError(
                f"{name}: the size -1 isn't allowed in the leading, non-existing dim {i}"
            )
        if n < -1 or (n != -1 and have not in (None, 1, n)):
            raise ShapeError(
                f"{name}: the size {n} of dim {i} must match the existing size {have}; "
                f"target {tuple(shape)}, tensor {tuple(x.shape)}"
            )
        full.append(have if n == -1 else n)
    return viewed(op.expand, x, shape=tuple(full))


@method
def broadcast_to(input, size):
    """Broadcast without copying.

    >>> broadcast_to(tensor([1, 2]), (2, 2))
    tensor([[1, 2],
            [1, 2]])
    """
    x = need_tensor(input, "broadcast_to")
    return _expand(x, sizes((size,)), "broadcast_to")


@only_method
def expand_as(self, other):
    """Broadcast to the shape of `other`."""
    return _expand(self, tuple(other.shape), "expand_as")


@function
def broadcast_shapes(*shapes):
    """The common shape of shapes that broadcast together.

    >>> broadcast_shapes((2,), (3, 1), 2)
    adjoint.Size([3, 2])
    """
    shapes = [(s,) if hasattr(s, "__index__") else tuple(s) for s in shapes]
    if any(n < 0 for s in shapes for n in s):
        raise ShapeError(f"broadcast_shapes: sizes must not be negative, got {shapes}")
    shape = broadcast(*shapes, name="broadcast_shapes")
    return BASE.wrap(np.broadcast_to(np.zeros(()), shape)).shape


@function
def broadcast_tensors(*tensors):
    """All tensors expanded to their common shape.

    >>> broadcast_tensors(tensor([1, 2]), tensor([[3]]))
    (tensor([[1, 2]]), tensor([[3, 3]]))
    """
    tensors = _listed(tensors)
    for x in tensors:
        need_tensor(x, "broadcast_tensors")
    shape = broadcast(*(tuple(x.shape) for x in tensors), name="broadcast_tensors")
    return tuple(op.expand(x, shape=shape) for x in tensors)


def _listed(tensors):
    """Tensors given one by one or as one sequence."""
    if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)):
        return tuple(tensors[0])
    return tensors


@only_method
def sum_to_size(self, *size):
    """Summed over the dims that broadcasting would have stretched from `size`.

    >>> ones(2, 3).sum_to_size(1, 3)
    tensor([[2., 2., 2.]])
    """
    shape = sizes(size)
    if broadcast(shape, tuple(self.shape), name="sum_to_size") != tuple(self.shape):
        raise ShapeError(
            f"sum_to_size: size {list(shape)} is not expandable to size {list(self.shape)}"
        )
    return sum_to(self, shape)


@method
def squeeze(input, dim=None):
    """Without the dims of size 1: all of them, or those named.

    >>> squeeze(zeros(1, 2, 1)).shape
    adjoint.Size([2])
    """
    x = need_tensor(input, "squeeze")
    dims = range(x.ndim) if dim is None else norm_dims(dim, x.ndim) if dim != () else ()
    kept = tuple(n for i, n in enumerate(x.shape) if not (n == 1 and i in dims))
    return viewed(op.reshape, x, shape=kept)


@method
def unsqueeze(input, dim):
    """With a new dim of size 1 at `dim`.

    >>> unsqueeze(tensor([1, 2]), 0)
    tensor([[1, 2]])
    """
    x = need_tensor(input, "unsqueeze")
    dim = norm_dim(dim, x.ndim + 1)
    return viewed(op.reshape, x, shape=(*x.shape[:dim], 1, *x.shape[dim:]))


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
        return viewed(op.reshape, x, shape=(1,))
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
    if x.ndim == 0:
        raise ShapeError("unflatten: a 0-d tensor has no dim to split")
    dim = norm_dim(dim, x.ndim)
    inner = _infer_size(tuple(sizes), x.shape[dim], "unflatten")
    return viewed(op.reshape, x, shape=(*x.shape[:dim], *inner, *x.shape[dim + 1 :]))


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
    return op.flip(x, dims=norm_dims(dims, x.ndim) if dims and x.ndim else ())


@method
def fliplr(input):
    """Columns reversed.

    >>> fliplr(tensor([[1, 2]]))
    tensor([[2, 1]])
    """
    if need_tensor(input, "fliplr").ndim < 2:
        raise ShapeError(f"fliplr: input must be >= 2-d, got {input.ndim}-d")
    return flip(input, 1)


@method
def flipud(input):
    """Rows reversed.

    >>> flipud(tensor([1, 2]))
    tensor([2, 1])
    """
    if need_tensor(input, "flipud").ndim < 1:
        raise ShapeError("flipud: input must be >= 1-d, got 0-d")
    return flip(input, 0)


@method
def roll(input, shifts, dims=None):
    """Elements moved by `shifts` along `dims`, round the end; no dims: of all in a row.

    >>> roll(tensor([1, 2, 3]), 1)
    tensor([3, 1, 2])
    """
    x = need_tensor(input, "roll")
    shifts = sizes((shifts,)) if not hasattr(shifts, "__index__") else (int(shifts),)
    if dims is None or dims == ():
        if len(shifts) != 1:
            raise ShapeError(
                f"roll: shifts and dims must align, got {len(shifts)} shifts and no dims"
            )
        y = op.roll(reshape(x, -1), shifts=shifts, dims=(0,))
        return viewed(op.reshape, y, shape=tuple(x.shape))
    dims = (dims,) if hasattr(dims, "__index__") else tuple(dims)
    if len(dims) != len(shifts):
        raise ShapeError(
            f"roll: shifts and dims must align, got {len(shifts)} shifts and "
            f"{len(dims)} dims"
        )
    return op.roll(x, shifts=shifts, dims=tuple(norm_dim(d, x.ndim) for d in dims))


@method
def rot90(input, k=1, dims=(0, 1)):
    """Turned by k quarters, from the first of `dims` towards the second.

    >>> rot90(tensor([[1, 2], [3, 4]]))
    tensor([[2, 4],
            [1, 3]])
    """
    x = need_tensor(input, "rot90")
    if len(dims) != 2:
        raise ShapeError(f"rot90: expects two dims, got {tuple(dims)}")
    a, b = (norm_dim(d, x.ndim) for d in dims)
    if a == b:
        raise ShapeError(f"rot90: the two dims must be different, got {tuple(dims)}")
    k = k % 4
    if k == 0:
        return clone(x)
    if k == 2:
        return op.flip(x, dims=(a, b))
    return transpose(op.flip(x, dims=(b if k == 1 else a,)), a, b)


@only_method
def repeat(self, *repeats):
    """Copies of the tensor side by side, `repeats` times along each dim.

    >>> tensor([1, 2]).repeat(2, 2)
    tensor([[1, 2, 1, 2],
            [1, 2, 1, 2]])
    """
    return _repeat(self, sizes(repeats), "repeat")


def _repeat(x, times, name):
    lead = len(times) - x.ndim
    if lead < 0:
        raise ShapeError(
            f"{name}: the number of repeats ({len(times)}) must not be smaller than the "
            f"number of dims of the tensor ({x.ndim})"
        )
    if any(n < 0 for n in times):
        raise ShapeError(f"{name}: repeats must not be negative, got {times}")
    old = (*(1,) * lead, *x.shape)
    apart = tuple(n for size in old for n in (1, size))
    wide = tuple(n for pair in zip(times, old, strict=True) for n in pair)
    y = op.expand(op.reshape(x, shape=apart), shape=wide)
    y = op.reshape(y, shape=tuple(t * n for t, n in zip(times, old, strict=True)))
    return y if y.__dict__.get("base") is None else clone(y)


@method
def tile(input, *dims):
    """Copies of the tensor side by side; missing counts on either side are 1.

    >>> tile(tensor([1, 2]), (2,))
    tensor([1, 2, 1, 2])
    """
    x = need_tensor(input, "tile")
    dims = sizes(dims)
    return _repeat(x, (1,) * (x.ndim - len(dims)) + dims, "tile")


@method
def repeat_interleave(input, repeats=None, dim=None, *, output_size=None):
    """Each slice along `dim` `repeats` times; no dim: each element.

    >>> repeat_interleave(tensor([1, 2]), 2)
    tensor([1, 1, 2, 2])
    >>> repeat_interleave(tensor([1, 2]), tensor([1, 2]))
    tensor([1, 2, 2])
    """
    x = need_tensor(input, "repeat_interleave")
    if repeats is None:
        if x.ndim != 1:
            raise ShapeError(
                f"repeat_interleave: repeats must be 1-D, got shape {tuple(x.shape)}"
            )
        counts = x.numpy_of()
        x = BASE.wrap(np.arange(len(counts), dtype=counts.dtype))
    else:
        counts = repeats.numpy_of() if isinstance(repeats, Box) else repeats
    x = reshape(x, -1) if dim is None else x
    if not x.ndim:
        raise DimError("repeat_interleave: a 0-d tensor has no dim, leave out 'dim'")
    dim = norm_dim(dim or 0, x.ndim)
    n = x.shape[dim]
    counts = _counts(counts, n)
    if output_size is not None and output_size != int(counts.sum()):
        raise ShapeError(
            f"repeat_interleave: output_size {output_size} is not the sum of the repeats, "
            f"{int(counts.sum())}"
        )
    if n and (counts == counts[0]).all():
        return _stretch(x, dim, int(counts[0]))
    return _taken(x, dim, np.repeat(np.arange(n), counts))


def _taken(x, dim, index):
    """The slices along `dim` that `index` lists."""
    x = movedim(x, dim, -1)
    head = tuple(x.shape[:-1])
    rows = op.reshape(x, shape=(1, math.prod(head), x.shape[-1]))
    y = op.reshape(op.pick(rows, index[None, None]), shape=(*head, len(index)))
    return movedim(y, -1, dim)


def _counts(counts, n):
    """How often each of n slices is repeated."""
    counts = np.asarray(counts)
    if counts.dtype.kind not in "iu":
        raise DtypeError(
            f"repeat_interleave: repeats must be integers, got {counts.dtype.name}"
        )
    if counts.ndim > 1 or (counts.ndim == 1 and len(counts) not in (1, n)):
        raise ShapeError(
            "repeat_interleave: repeats must have the same size as input along dim, got "
            f"{counts.shape} and {n}"
        )
    if (counts < 0).any():
        raise ArgumentError(f"repeat_interleave: repeats can not be negative: {counts}")
    return np.broadcast_to(counts, (n,))


def _stretch(x, dim, k):
    """Each slice along `dim` k times."""
    head, n, tail = x.shape[:dim], x.shape[dim], x.shape[dim + 1 :]
    y = op.reshape(x, shape=(*head, n, 1, *tail))
    y = op.expand(y, shape=(*head, n, k, *tail))
    y = op.reshape(y, shape=(*head, n * k, *tail))
    return y if y.__dict__.get("base") is None else clone(y)


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
    listed = _listed(tensors)
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
def narrow_copy(input, dim, start, length):
    """`narrow` as a copy.

    >>> narrow_copy(tensor([1, 2, 3, 4]), 0, 1, 2)
    tensor([2, 3])
    """
    return clone(narrow(input, dim, start, length))


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
def split(input, split_size_or_sections, dim=0):
    """Pieces along `dim`: of one size, or of the sizes listed.

    >>> split(tensor([1, 2, 3]), 2)
    (tensor([1, 2]), tensor([3]))
    """
    x = _need_dims(input, "split")
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


# ---------------------------------------------------------------- diagonals, triangles


@method
def diagonal(input, offset=0, dim1=0, dim2=1):
    """Diagonal number `offset` of the matrices in two dims, as the last dim: a view.

    >>> diagonal(tensor([[1, 2], [3, 4]]), 1)
    tensor([2])
    """
    x = need_tensor(input, "diagonal")
    return op.diagonal(x, **_planes("diagonal", offset, dim1, dim2, x.ndim))


def _planes(name, offset, dim1, dim2, ndim):
    a, b = norm_dim(dim1, ndim), norm_dim(dim2, ndim)
    if a == b:
        raise ShapeError(f"{name}: the dims cannot be identical, got {dim1} and {dim2}")
    return {"offset": int(offset), "dim1": a, "dim2": b}


@method
def diag_embed(input, offset=0, dim1=-2, dim2=-1):
    """Matrices in two dims, zero but for the diagonal, which holds the last dim of `input`.

    >>> diag_embed(tensor([1., 2.]))
    tensor([[1., 0.],
            [0., 2.]])
    """
    x = need_tensor(input, "diag_embed")
    if x.ndim == 0:
        raise DimError("diag_embed: expects at least a 1-dimensional tensor")
    places = _planes("diag_embed", offset, dim1, dim2, x.ndim + 1)
    n = x.shape[-1] + abs(int(offset))
    shape = list(x.shape[:-1])
    for d in sorted((places["dim1"], places["dim2"])):
        shape.insert(d, n)
    return op.undiagonal(x, shape=tuple(shape), **places)


@method
def diag(input, diagonal=0, *, out=None):
    """The matrix with a vector on its diagonal; of a matrix, the diagonal (a copy).

    >>> diag(tensor([1., 2.]))
    tensor([[1., 0.],
            [0., 2.]])
    """
    x = need_tensor(input, "diag")
    if x.ndim not in (1, 2):
        raise ShapeError(f"diag: supports 1-D or 2-D tensors, got {x.ndim}-D")
    if x.ndim == 1:
        y = diag_embed(x, diagonal)
    else:
        y = clone(op.diagonal(x, offset=int(diagonal), dim1=0, dim2=1))
    return give(y, out)


@method
def diagflat(input, offset=0):
    """The matrix with all elements of `input` on its diagonal.

    >>> diagflat(tensor([[1., 2.]]))
    tensor([[1., 0.],
            [0., 2.]])
    """
    return diag_embed(reshape(input, -1), offset)


def _triangle(name, record, words):
    def f(input, diagonal=0, *, out=None):
        y = record(need_tensor(input, name), diagonal=int(diagonal))
        return give(y, out)

    f.__name__ = f.__qualname__ = name
    f.__doc__ = type(record).__doc__
    return method(f)


tril, triu = _triangle("tril", op.tril, "lower"), _triangle("triu", op.triu, "upper")


@method
def trace(input):
    """Sum of the diagonal of a matrix.

    >>> trace(tensor([[1., 2.], [3., 4.]]))
    tensor(5.)
    """
    x = need_tensor(input, "trace")
    if x.ndim != 2:
        raise ShapeError(f"trace: expected a matrix, but got tensor with dim {x.ndim}")
    d = op.diagonal(x, offset=0, dim1=0, dim2=1)
    d = cast(d, np.dtype("int64")) if dtype_of(d).kind in "bui" else d
    return op.sum(d, dim=(0,), keepdim=False)


# ---------------------------------------------------------------- windows, memory


@only_method
def unfold(self, dimension, size, step):
    """Slices of `size` elements of a dim, one every `step`, as a new last dim: a view.

    >>> tensor([1, 2, 3, 4]).unfold(0, 2, 1)
    tensor([[1, 2],
            [2, 3],
            [3, 4]])
    """
    x = reshape(self, (1,)) if self.ndim == 0 else self
    dim = norm_dim(dimension, self.ndim)
    if size < 0 or step <= 0:
        raise ArgumentError(
            f"unfold: size must be >= 0 and step > 0, got size {size} and step {step}"
        )
    if size > x.shape[dim]:
        raise ShapeError(
            f"unfold: maximum size for tensor at dimension {dim} is {x.shape[dim]} but size "
            f"is {size}"
        )
    y = op.frames(x, dim=dim, size=int(size), step=int(step))
    return viewed(op.reshape, y, shape=(int(size),)) if self.ndim == 0 else y


@method
def as_strided(input, size, stride, storage_offset=None):
    """The memory of `input` read with another shape and other steps: a view.

    >>> as_strided(tensor([1, 2, 3]), (2, 2), (1, 1))
    tensor([[1, 2],
            [2, 3]])
    """
    x = need_tensor(input, "as_strided")
    size, stride = sizes((size,)), sizes((stride,))
    if len(size) != len(stride):
        raise ShapeError(
            f"as_strided: mismatch in length of strides {stride} and shape {size}"
        )
    if any(n < 0 for n in (*size, *stride)):
        raise ShapeError(
            f"as_strided: sizes and strides must not be negative, got {size} and {stride}"
        )
    x, own = _storage(x)
    offset = own if storage_offset is None else int(storage_offset)
    last = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
    if offset < 0 or (math.prod(size) and last >= math.prod(x.shape)):
        raise ShapeError(
            f"as_strided: sizes {list(size)}, strides {list(stride)}, storage offset "
            f"{offset} are out of bounds for storage of {math.prod(x.shape)} elements"
        )
    return op.as_strided(x, size=size, stride=stride, offset=offset)


def _storage(x):
    """The tensor that holds all of x's memory, and where in it x begins."""
    base, value = x.__dict__.get("base"), x.value
    if base is None or not isinstance(value, np.ndarray):
        return x, 0
    if base.value.dtype != value.dtype:
        return x, 0
    start = value.__array_interface__["data"][0] - base.value.ctypes.data
    return base, start // value.itemsize


# ---------------------------------------------------------------- padding


def pad(input, pad, mode="constant", value=None):
    """Elements added (or, where negative, cut) around the last dims, the last one first.

    `mode`: "constant" adds `value`; "reflect" mirrors without the edge, "replicate" repeats
    the edge, "circular" continues round the end, these for up to three dims.

    >>> pad(tensor([[1., 2., 3.]]), (1, 2))
    tensor([[0., 1., 2., 3., 0., 0.]])
    >>> pad(tensor([[1., 2., 3.]]), (1, 1), mode="reflect")
    tensor([[2., 1., 2., 3., 2.]])
    """
    x = need_tensor(input, "pad")
    amounts = sizes((pad,))
    if len(amounts) % 2:
        raise ShapeError(f"pad: Padding length must be divisible by 2, got {amounts}")
    if len(amounts) > 2 * x.ndim:
        raise ShapeError(
            "pad: Padding length should be less than or equal to two times the input "
            f"dimension, got {len(amounts)} for {x.ndim} dims"
        )
    if mode == "constant":
        return constant_pad_nd(x, amounts, 0 if value is None else value)
    if mode not in _PADS:
        raise ArgumentError(
            f"pad: Unrecognised padding mode {mode!r}",
            hint=f"constant, {', '.join(_PADS)}",
        )
    if value is not None:
        raise ArgumentError(
            f'pad: Padding mode "{mode}" doesn\'t take in value argument'
        )
    k = len(amounts) // 2
    if k not in (1, 2, 3) or x.ndim not in (k + 1, k + 2):
        raise ShapeError(
            f"pad: padding size {2 * k} is not supported for {x.ndim}D input in mode "
            f"{mode!r}: 2, 4 or 6 numbers pad one, two or three dims of a tensor with one or "
            "two more"
        )
    for i in range(k):
        x = _pad_dim(x, x.ndim - 1 - i, amounts[2 * i], amounts[2 * i + 1], mode)
    return x


def _key(x, dim, start, stop):
    whole = [(0, n, 1) for n in x.shape]
    whole[dim] = (start, stop, 1)
    return tuple(whole)


def _pad_dim(x, dim, before, after, mode):
    """`x` padded along one dim; what is negative is cut when the rest is done."""
    n = x.shape[dim]
    most = {"reflect": n - 1, "circular": n, "replicate": math.inf}[mode]
    if max(before, after) > most or (n == 0 and max(before, after) > 0):
        raise ShapeError(
            f"pad: in mode {mode!r} a dim of size {n} takes at most "
            f"{most if n else 0} more on a side, got padding ({before}, {after}) at dimension "
            f"{dim} of input {list(x.shape)}"
        )
    if n + before + after < 0 or (n + before + after == 0 and mode != "constant"):
        raise ShapeError(
            f"pad: padding ({before}, {after}) leaves nothing of dimension {dim} of input "
            f"{list(x.shape)}"
        )
    parts = [_PADS[mode](x, dim, before, True)] if before > 0 else []
    parts.append(x)
    if after > 0:
        parts.append(_PADS[mode](x, dim, after, False))
    y = op.cat(*parts, dim=dim) if len(parts) > 1 else x
    if min(before, after) < 0:
        y = op.slice(y, key=_key(y, dim, max(-before, 0), y.shape[dim] + min(after, 0)))
    return y


def _reflected(x, dim, k, front):
    n = x.shape[dim]
    part = _key(x, dim, 1, k + 1) if front else _key(x, dim, n - 1 - k, n - 1)
    return op.flip(op.slice(x, key=part), dims=(dim,))


def _replicated(x, dim, k, front):
    n = x.shape[dim]
    edge = op.slice(x, key=_key(x, dim, 0, 1) if front else _key(x, dim, n - 1, n))
    return viewed(op.expand, edge, shape=(*x.shape[:dim], k, *x.shape[dim + 1 :]))


def _wrapped(x, dim, k, front):
    n = x.shape[dim]
    return op.slice(x, key=_key(x, dim, n - k, n) if front else _key(x, dim, 0, k))


_PADS = {"reflect": _reflected, "replicate": _replicated, "circular": _wrapped}


@function
def constant_pad_nd(input, pad, value=0):
    """One number added around the last dims, the last one first; negative amounts cut.

    >>> constant_pad_nd(tensor([1., 2.]), (1, 0), 5)
    tensor([5., 1., 2.])
    """
    x = need_tensor(input, "constant_pad_nd")
    amounts = sizes((pad,))
    pairs = [(0, 0)] * (x.ndim - len(amounts) // 2)
    pairs += reversed(list(zip(amounts[::2], amounts[1::2], strict=True)))
    shape = tuple(n + a + b for n, (a, b) in zip(x.shape, pairs, strict=True))
    if min(shape, default=0) < 0:
        raise ShapeError(
            f"pad: padding {amounts} of input {list(x.shape)} gives negative sizes "
            f"{list(shape)}"
        )
    cut = tuple(
        (min(max(-a, 0), n), max(n + min(b, 0), min(max(-a, 0), n)), 1)
        for n, (a, b) in zip(x.shape, pairs, strict=True)
    )
    if any(k != (0, n, 1) for k, n in zip(cut, x.shape, strict=True)):
        x = op.slice(x, key=cut)
    key = tuple(
        (max(a, 0), max(a, 0) + n, 1) for (a, _), n in zip(pairs, x.shape, strict=True)
    )
    y = op.unslice(x, shape=shape, key=key) if shape != tuple(x.shape) else clone(x)
    if _is_zero(value):
        return y
    inside = np.zeros(shape, bool)
    inside[tuple(slice(a, b) for a, b, _ in key)] = True
    fill = np.array(value.item() if isinstance(value, Box) else value)
    return op.where(inside, y, fill.astype(dtype_of(y)))


def _is_zero(value) -> bool:
    return not isinstance(value, Box) and value == 0 and math.copysign(1, value) > 0


# ---------------------------------------------------------------- grids, copies


@function
def meshgrid(*tensors, indexing=None):
    """Of n vectors n grids: number i holds the coordinate i of each point; "xy" swaps two.

    >>> meshgrid(tensor([1, 2]), tensor([3, 4]), indexing="ij")
    (tensor([[1, 1],
            [2, 2]]), tensor([[3, 4],
            [3, 4]]))
    """
    xs = _listed(tensors)
    indexing = "ij" if indexing is None else indexing
    if indexing not in ("ij", "xy"):
        raise ArgumentError(
            f'meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}'
        )
    if not xs:
        raise ArgumentError("meshgrid: expects a non-empty list of Tensors")
    for x in xs:
        if need_tensor(x, "meshgrid").ndim > 1:
            raise ShapeError(
                f"meshgrid: expected 0-D or 1-D tensors, got one of shape {tuple(x.shape)}"
            )
        if dtype_of(x) != dtype_of(xs[0]):
            raise DtypeError("meshgrid: expects all tensors to have the same dtype")
    swap = indexing == "xy" and len(xs) >= 2
    xs = [*xs[1::-1], *xs[2:]] if swap else xs
    shape = tuple(math.prod(x.shape) for x in xs)
    ones = [(1,) * i + (n,) + (1,) * (len(xs) - i - 1) for i, n in enumerate(shape)]
    out = [
        op.expand(op.reshape(x, shape=one), shape=shape)
        for x, one in zip(xs, ones, strict=True)
    ]
    return (*out[1::-1], *out[2:]) if swap else tuple(out)


def mT(x):
    """The last two dims swapped."""
    if x.ndim < 2:
        raise ShapeError(
            "tensor.mT is only supported on matrices or batches of matrices. "
            f"Got {x.ndim}-D tensor."
        )
    return transpose(x, -2, -1)


def mH(x):
    """The last two dims swapped and conjugated."""
    if x.ndim < 2:
        raise ShapeError(
            "tensor.mH is only supported on matrices or batches of matrices. "
            f"Got {x.ndim}-D tensor."
        )
    y = transpose(x, -2, -1)
    return op.conj(y) if dtype_of(y).kind == "c" else y


def H(x):
    """A matrix transposed and conjugated; a number conjugated."""
    if x.ndim == 0:
        return op.conj(x) if dtype_of(x).kind == "c" else x
    if x.ndim != 2:
        raise ShapeError(
            "tensor.H is only supported on matrices (2-D tensors). "
            f"Got {x.ndim}-D tensor.",
            hint="mH is for batches of matrices",
        )
    return mH(x)


@method
def adjoint(input):
    """Conjugate transpose of the last two dims.

    >>> adjoint(tensor([[1, 2]]))
    tensor([[1],
            [2]])
    """
    return mH(need_tensor(input, "adjoint"))


@method
def is_nonzero(input) -> bool:
    """Whether the one element of a tensor is not zero.

    >>> is_nonzero(tensor([2.]))
    True
    """
    return bool(need_tensor(input, "is_nonzero"))


@method
@sound
def clone(input, *, memory_format=None):
    """A copy that differentiates as the identity.

    >>> clone(tensor([1.]))
    tensor([1.])
    """
    return bind(op.contiguous, need_tensor(input, "clone"))


# ---------------------------------------------------------------- in place


def _in_place(f):
    """The form of `f`, whose results are views, that gives `self` itself the new shape."""

    def method(self, *args, **kwargs):
        if type(self.node) is Leaf and recording.get():
            raise GradError(
                f"{f.__name__}_: a leaf Variable that requires grad is being used in an "
                "in-place operation",
                hint=f"use {f.__name__}",
            )
        y = f(self, *args, **kwargs)
        if self.__dict__.get("base") is not None:
            self.chain = y.chain
        adopt(self, y)
        return self

    method.__name__ = method.__qualname__ = f.__name__ + "_"
    method.__doc__ = f"`{f.__name__}` of this tensor itself, on the same memory."
    return only_method(method)


for _f in (t, transpose, squeeze, unsqueeze, as_strided):
    _in_place(_f)
METHODS["swapaxes_"] = METHODS["swapdims_"] = METHODS["transpose_"]
