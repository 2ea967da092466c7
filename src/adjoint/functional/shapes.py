"""Shapes: views of the same elements in another form. Other orders are in arranging.py."""

from __future__ import annotations

import math

import numpy as np

from ..autodiff.straight import reshaped, viewed
from ..autodiff.tape import BASE
from ..core.bind import bind, dtype_of
from ..core.dtype import DType
from ..core.primitive import op, sum_to
from ..core.shape import broadcast, norm_dim, norm_dims, whole
from ..errors import (
    ArgumentTypeError,
    ShapeError,
    sound,
)
from .face import (
    alias,
    function,
    method,
    need_tensor,
    np_dtype,
    only_method,
)


def sizes(shape, named=None) -> tuple[int, ...]:
    """A shape given as numbers or as one sequence, which may come by a name instead."""
    if named is not None:
        if shape:
            raise ArgumentTypeError(
                f"the same was given by position, {shape}, and by name, {named}"
            )
        shape = (named,)
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
def view(self, *shape, size=None, dtype=None):
    """The same memory in another shape, or, for a dtype, the same bits read in that dtype.

    >>> tensor([1., 2.]).view(2, 1).shape
    adjoint.Size([2, 1])
    """
    if dtype is not None:
        return _view_dtype(self, np_dtype(dtype))
    shape = shape if size is None else sizes(shape, size)
    y = reshaped(op.reshape, self, shape)
    if y is not None:
        return y
    if len(shape) == 1 and isinstance(shape[0], (DType, np.dtype, type)):
        return _view_dtype(self, np_dtype(shape[0]))
    out = reshape(self, sizes(shape))
    known = isinstance(self.value, np.ndarray) or "laid" in self.__dict__
    if out.base is None and (known or self.base is not None) and out.numel():
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


def _reshape_method(self, *sequence, shape=None):
    shape = sequence if shape is None else sizes(sequence, shape)
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
def permute(input, *order, dims=None):
    """Dims in another order.

    >>> permute(tensor([[1, 2], [3, 4]]), 1, 0)
    tensor([[1, 3],
            [2, 4]])
    """
    x = need_tensor(input, "permute")
    dims = sizes(order, dims)
    order = tuple(norm_dim(d, x.ndim) for d in dims)
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


alias("swapdims", "transpose")


@method
def swapaxes(input, axis0, axis1):
    """`transpose`, by NumPy's name.

    >>> swapaxes(tensor([[1, 2]]), 0, 1)
    tensor([[1],
            [2]])
    """
    return transpose(input, axis0, axis1)


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
def expand(self, *shape, size=None):
    """Broadcast without copying; -1 keeps a size.

    >>> tensor([[1], [2]]).expand(-1, 2)
    tensor([[1, 1],
            [2, 2]])
    """
    return _expand(self, sizes(shape, size), "expand")


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
    tensors = listed_tensors(tensors)
    for x in tensors:
        need_tensor(x, "broadcast_tensors")
    shape = broadcast(*(tuple(x.shape) for x in tensors), name="broadcast_tensors")
    return tuple(op.expand(x, shape=shape) for x in tensors)


def listed_tensors(tensors):
    """Tensors given one by one or as one sequence."""
    if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)):
        return tuple(tensors[0])
    return tensors


@only_method
def sum_to_size(self, *shape, size=None):
    """Summed over the dims that broadcasting would have stretched from `size`.

    >>> ones(2, 3).sum_to_size(1, 3)
    tensor([[2., 2., 2.]])
    """
    shape = sizes(shape, size)
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
@sound
def clone(input, *, memory_format=None):
    """A copy that differentiates as the identity.

    >>> clone(tensor([1.]))
    tensor([1.])
    """
    return bind(op.contiguous, need_tensor(input, "clone"))
