"""Functions that make tensors of numbers, shapes and other arrays."""

from __future__ import annotations

import math

import numpy as np

from ..autodiff.node import Leaf
from ..core import dtype as dt
from ..core import tree
from ..core.bind import Box, dtype_of, quiet
from ..core.device import need_cpu
from ..errors import ArgumentError, ArgumentTypeError, DtypeError, ShapeError, sound
from .face import (
    SCALARS,
    cast,
    function,
    give,
    np_dtype,
    wrap,
)
from .shapes import sizes


def finish(value, requires_grad=False):
    """A tensor around a fresh array, a leaf if asked."""
    out = wrap(value)
    if requires_grad:
        demand_grad(out)
    return out


def demand_grad(x) -> None:
    """Make `x` a leaf that gradients arrive at."""
    if x.value.dtype.kind not in "fVc":
        raise DtypeError(
            "only Tensors of floating point and complex dtype can require gradients, "
            f"not {dt.dtype(x.value.dtype)}"
        )
    x.node = Leaf(x)


def array_of(data, dtype=None) -> np.ndarray:
    """A new array of nested lists, numbers, arrays or tensors, in PyTorch's dtype for them."""
    if type(data) is float:
        d = dt.get_default_dtype().np if dtype is None else dtype
        return np.array(data, d) if -1e4 < data < 1e4 else quiet.run(_array, data, d)
    if isinstance(data, Box):
        data = data.numpy_of()
    given = isinstance(data, (np.ndarray, np.generic))
    if not given and isinstance(data, (list, tuple)):
        leaf = _first(data)
        given = isinstance(leaf, (np.generic, np.ndarray))
        if dtype is None and isinstance(leaf, Box) and dt.is_inexact(dtype_of(leaf)):
            dtype = dtype_of(leaf)
        data = _unboxed(data)
    value = quiet.run(_array, data, dtype)
    if dtype is None and not given:
        value = quiet.run(value.astype, _inferred(value), copy=False)
    if value.dtype == object and all(isinstance(v, int) for v in value.flat):
        raise _too_large(None, f"{max(value.flat, key=abs)} needs more than 64 bits")
    if not value.dtype.isnative:
        value = value.astype(value.dtype.newbyteorder("="))
    if value.dtype not in dt.BY_NUMPY:
        raise ArgumentTypeError(
            f"tensor(): cannot hold {value.dtype} values",
            hint=f"given was a {type(data).__name__}",
        )
    return value


def _array(data, dtype) -> np.ndarray:
    try:
        return np.array(data, dtype=dtype)
    except OverflowError as error:
        raise _too_large(dtype, error) from None
    except (ValueError, TypeError) as error:
        uneven = "sequence" in str(error)
        hint = "rows must have equal lengths and hold numbers" if uneven else ""
        raise ArgumentError(f"tensor(): {error}", hint=hint) from None


def _too_large(dtype, why) -> ArgumentError:
    held = "int64" if dtype is None else dtype.name
    return ArgumentError(
        f"tensor(): value cannot be converted to type {held} without overflow: {why}"
    )


def _inferred(value) -> np.dtype:
    """The dtype of Python numbers: the default one of floats, int64."""
    kind = value.dtype.kind
    if kind == "f":
        return dt.get_default_dtype().np
    if kind == "c":
        return dt.to_complex(dt.get_default_dtype().np)
    return np.dtype("int64") if kind in "iu" else value.dtype


def _first(data):
    """What nested lists hold first; NumPy's numbers and tensors keep their dtype."""
    for _ in range(MOST_DIMS):
        if not isinstance(data, (list, tuple)) or not data:
            break
        data = data[0]
    return data


MOST_DIMS = 64  # of an array of NumPy


def _unboxed(data):
    """Nested lists, the tensors in them as arrays."""
    try:
        return _opened(data)
    except RecursionError:
        tree.need_end(data)
        raise


def _opened(data):
    if isinstance(data, (list, tuple)):
        return [_opened(x) for x in data]
    return data.numpy_of() if isinstance(data, Box) else data


def _shape(size, name, named=None) -> tuple[int, ...]:
    """Sizes, none of them negative."""
    shape = sizes(size, named)
    if any(n < 0 for n in shape):
        raise ShapeError(f"{name}: a size must be non-negative, got {shape}")
    return shape


def _room(shape, d, name, value) -> np.ndarray:
    """A new array, all `value`, or the error that no memory is that large."""
    try:
        return quiet.run(np.full, shape, value, d)
    except (ValueError, MemoryError):
        raise ShapeError(
            f"{name}: no room for shape {shape}: {math.prod(shape) * d.itemsize} bytes"
        ) from None


def whole_count(n, name, what) -> int:
    """A number of things: an integer that is not negative."""
    if isinstance(n, float) or not hasattr(n, "__index__"):
        raise ArgumentTypeError(f"{name}: {what} must be an integer, got {n!r}")
    if n.__index__() < 0:
        raise ArgumentError(f"{name}: {what} must be non-negative, got {n}")
    return n.__index__()


def plain_number(x):
    """A Python number of a number or a tensor with one element."""
    return x.item() if isinstance(x, (Box, np.generic)) else x


@function
@sound
def tensor(data, *, dtype=None, device=None, requires_grad=False, pin_memory=False):
    """A new tensor that copies numbers, nested lists, arrays or tensors.

    >>> tensor([[1., 2.], [3., 4.]])
    tensor([[1., 2.],
            [3., 4.]])
    """
    if device is not None:
        need_cpu(device)
    return finish(array_of(data, np_dtype(dtype)), requires_grad)


@function
def scalar_tensor(s, *, dtype=None, device=None, requires_grad=False):
    """A number as a tensor, in the default dtype if none is given.

    >>> scalar_tensor(3)
    tensor(3.)
    """
    need_cpu(device)
    d = np_dtype(dtype) or dt.get_default_dtype().np
    return full((), s, dtype=d, requires_grad=requires_grad)


@function
def as_tensor(data, dtype=None, device=None):
    """`data` as a tensor, sharing memory where it can.

    >>> as_tensor([1, 2])
    tensor([1, 2])
    """
    need_cpu(device)
    if isinstance(data, Box):
        return data if dtype is None else cast(data, np_dtype(dtype))
    if shareable(data) and (dtype is None or data.dtype == np_dtype(dtype)):
        return from_numpy(data)
    return tensor(data, dtype=dtype)


def shareable(x) -> bool:
    """Whether x is an array on whose memory a tensor can be."""
    return isinstance(x, np.ndarray) and x.dtype in dt.BY_NUMPY


@function
def asarray(obj, *, dtype=None, device=None, copy=None, requires_grad=None):
    """`obj` (a tensor, an array, a buffer, what speaks DLPack, a list) as a tensor.

    `copy` True always copies, False never does, None does where it must. A tensor keeps its
    place in the graph unless `requires_grad` is False.

    >>> asarray([1, 2])
    tensor([1, 2])
    """
    need_cpu(device)
    shared = isinstance(obj, Box) or shareable(obj)
    if not isinstance(obj, (Box, np.ndarray)) and hasattr(obj, "__dlpack__"):
        obj, shared = from_dlpack(obj), True
    same = shared and (dtype is None or np_dtype(dtype) == dtype_of(obj))
    if copy is False and not same:
        raise ArgumentError(
            f"asarray: can't alias {type(obj).__name__} into a tensor"
            + (f" of dtype {dt.dtype(dtype).name}" if dtype else "")
        )
    if isinstance(obj, Box):
        x = obj if requires_grad is not False else obj.detach()
        x = x if same else cast(x, np_dtype(dtype))
        x = x.clone() if copy and same else x
    else:
        x = as_tensor(obj) if same and not copy else tensor(obj, dtype=dtype)
    return x.requires_grad_() if requires_grad else x


@function
def from_numpy(ndarray):
    """A tensor on the memory of an array.

    >>> import numpy as np
    >>> from_numpy(np.array([1., 2.]))
    tensor([1., 2.], dtype=adjoint.float64)
    """
    if not isinstance(ndarray, np.ndarray):
        raise ArgumentTypeError(
            f"from_numpy: expected np.ndarray, got {type(ndarray).__name__}"
        )
    if ndarray.dtype not in dt.BY_NUMPY:
        d = ndarray.dtype
        raise DtypeError(f"from_numpy: no tensor dtype for {d}{dt.other_order(d)}")
    return wrap(ndarray.view(np.ndarray))


@function
def from_dlpack(ext_tensor):
    """A tensor on the memory of what speaks DLPack, such as tensors of other libraries.

    >>> import numpy as np
    >>> from_dlpack(np.array([1, 2]))
    tensor([1, 2])
    """
    if not hasattr(ext_tensor, "__dlpack__"):
        raise ArgumentTypeError(
            f"from_dlpack: {type(ext_tensor).__name__} has no __dlpack__"
        )
    try:
        return from_numpy(np.from_dlpack(ext_tensor))
    except (BufferError, RuntimeError) as error:
        raise ArgumentError(f"from_dlpack: {error}") from None


@function
def frombuffer(buffer, *, dtype, count=-1, offset=0, requires_grad=False):
    """A vector on the memory of a buffer, from byte `offset` on.

    >>> frombuffer(bytearray([1, 2, 3]), dtype=uint8, offset=1)
    tensor([2, 3], dtype=adjoint.uint8)
    """
    d = np_dtype(dtype)
    length = memoryview(buffer).nbytes
    if length == 0 or count == 0:
        raise ArgumentError(
            f"frombuffer: both buffer length ({length}) and count ({count}) must not be 0"
        )
    if not 0 <= offset < length:
        raise ArgumentError(
            f"frombuffer: offset ({offset} bytes) must be non-negative and no greater than "
            f"buffer length ({length} bytes) minus 1"
        )
    if count < 0 and (length - offset) % d.itemsize:
        raise ArgumentError(
            f"frombuffer: buffer length ({length} bytes) after offset ({offset} bytes) must be "
            f"a multiple of element size ({d.itemsize})"
        )
    if count * d.itemsize > length - offset:
        raise ArgumentError(
            f"frombuffer: requested buffer length ({count} * {d.itemsize} bytes) after offset "
            f"({offset} bytes) must not be greater than actual buffer length ({length} bytes)"
        )
    return finish(np.frombuffer(buffer, d, count, offset), requires_grad)


def _filled(name, value, docs):
    def f(
        *shape,
        size=None,
        out=None,
        dtype=None,
        layout=None,
        device=None,
        requires_grad=False,
        pin_memory=False,
        memory_format=None,
    ):
        if device is not None:
            need_cpu(device)
        if not shape and size is None:
            raise ArgumentTypeError(f"{name}() missing argument 'size'")
        shape = _shape(shape, name, size)
        d = np_dtype(dtype) or dt.get_default_dtype().np
        return give(finish(_room(shape, d, name, value), requires_grad), out)

    f.__name__ = f.__qualname__ = name
    f.__doc__ = docs
    return function(f)


zeros = _filled("zeros", 0, "Zeros of a shape.\n\n>>> zeros(2)\ntensor([0., 0.])")

ones = _filled("ones", 1, "Ones of a shape.\n\n>>> ones(2)\ntensor([1., 1.])")

empty = _filled(
    "empty",
    0,
    "Room of a shape; its content is not to be relied on.\n\n>>> empty(2).shape\nadjoint.Size([2])",
)


@function
def full(
    size,
    fill_value,
    *,
    out=None,
    dtype=None,
    layout=None,
    device=None,
    requires_grad=False,
):
    """One number in every place of a shape.

    >>> full((2,), 7)
    tensor([7, 7])
    """
    if device is not None:
        need_cpu(device)
    if not isinstance(size, (tuple, list)):
        raise ArgumentTypeError(
            f"full(): argument 'size' must be tuple of ints, not {type(size).__name__}"
        )
    fill = plain_number(fill_value)
    if not isinstance(fill, SCALARS):
        raise ArgumentTypeError(
            f"full(): argument 'fill_value' must be a number, not {type(fill).__name__}"
        )
    d = np_dtype(dtype) or dt.weak(type(fill), None)
    fill = _fitting(fill, d, "full")
    value = _room(_shape((size,), "full"), d, "full", fill)
    return give(finish(value, requires_grad), out)


def _fitting(number, d, name):
    """A number in dtype `d`, or the error that it has no such value."""
    lost = isinstance(number, complex) and number.imag and d.kind != "c"
    try:
        if lost:
            raise OverflowError
        if d.kind in "bfVc":
            value = np.array(number if d.kind != "b" else bool(number))
            return quiet.run(value.astype, d)[()]
        return np.array(int(getattr(number, "real", number)), d)[()]
    except (OverflowError, ValueError):
        raise DtypeError(
            f"{name}: value {number} cannot be converted to type {d.name} without overflow"
        ) from None


@function
def empty_strided(
    size, stride, *, dtype=None, layout=None, device=None, requires_grad=False
):
    """Room of a shape with given steps in memory, in elements.

    >>> empty_strided((2, 2), (1, 2)).stride()
    (1, 2)
    """
    need_cpu(device)
    size, stride = _shape((size,), "empty_strided"), _shape((stride,), "empty_strided")
    if len(size) != len(stride):
        raise ShapeError(
            f"empty_strided: size {size} and stride {stride} must have equal lengths"
        )
    d = np_dtype(dtype) or dt.get_default_dtype().np
    last = sum((n - 1) * s for n, s in zip(size, stride, strict=True))
    room = np.zeros(last + 1 if math.prod(size) else 0, d)
    steps = [s * d.itemsize for s in stride]
    value = np.ndarray(size, d, room, strides=steps) if room.size else np.zeros(size, d)
    return finish(value, requires_grad)


@function
def empty_permuted(
    size, physical_layout, *, dtype=None, layout=None, device=None, requires_grad=False
):
    """Room of a shape whose dims lie in memory in the order `physical_layout`.

    >>> empty_permuted((2, 3), (1, 0)).stride()
    (1, 2)
    """
    need_cpu(device)
    size, order = _shape((size,), "empty_permuted"), tuple(physical_layout)
    if sorted(order) != list(range(len(size))):
        raise ShapeError(f"empty_permuted: {order} is not an order of {len(size)} dims")
    d = np_dtype(dtype) or dt.get_default_dtype().np
    room = np.zeros([size[i] for i in order], d)
    return finish(room.transpose(np.argsort(order)), requires_grad)


@function
def eye(
    n,
    m=None,
    *,
    out=None,
    dtype=None,
    layout=None,
    device=None,
    requires_grad=False,
):
    """The identity matrix, n × m.

    >>> eye(2)
    tensor([[1., 0.],
            [0., 1.]])
    """
    need_cpu(device)
    n = whole_count(n, "eye", "n")
    m = n if m is None else whole_count(m, "eye", "m")
    d = np_dtype(dtype) or dt.get_default_dtype().np
    return give(finish(np.eye(n, m, dtype=d), requires_grad), out)
