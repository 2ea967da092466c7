"""Creation, conversion and moving of elements by the standard's names."""

from __future__ import annotations

import numpy as np

from ..core import dtype as dt
from ..core.bind import dtype_of
from ..core.device import need_cpu
from ..core.primitive import conjugate, op
from ..core.shape import norm_dim
from ..errors import ArgumentError
from ..functional.face import FUNCTIONS, cast, np_dtype
from ..functional.shapes import sizes
from .elementwise import need_array
from .information import promoted

_f = FUNCTIONS


# ---------------------------------------------------------------- creation


def asarray(obj, /, *, dtype=None, device=None, copy=None):
    """An array of numbers, nested lists or arrays; `copy=False` shares memory or fails."""
    return _f["asarray"](obj, dtype=dtype, device=device, copy=copy)


def astype(x, dtype, /, *, copy=True, device=None):
    """x in another dtype, in new memory unless `copy=False` and nothing changes."""
    need_cpu(device)
    d = np_dtype(dtype)
    if dtype_of(need_array(x, "astype")) == d:
        return _f["clone"](x) if copy else x
    return cast(x, d)


def arange(start, /, stop=None, step=1, *, dtype=None, device=None):
    """Numbers from start to stop (not included) by step; none where step leads away."""
    start, stop = (0, start) if stop is None else (start, stop)
    if (stop - start) * step < 0:
        stop = start
    return _f["arange"](start, stop, step, dtype=dtype, device=device)


def linspace(start, stop, /, num, *, dtype=None, device=None, endpoint=True):
    """`num` numbers evenly from start to stop, the last included with `endpoint`."""
    if isinstance(start, complex) or isinstance(stop, complex):
        dtype = dtype or dt.dtype(dt.to_complex(dt.get_default_dtype().np))
    need_cpu(device)
    d = np_dtype(dtype) or dt.get_default_dtype().np
    return _f["from_numpy"](np.linspace(start, stop, num, endpoint).astype(d))


def _filled(name: str):
    inner = _f[name]

    def f(shape, *, dtype=None, device=None):
        return inner(_shape(shape), dtype=dtype, device=device)

    f.__name__ = f.__qualname__ = name
    f.__doc__ = (inner.__doc__ or "").split("\n")[0]
    return f


def _like(name: str):
    inner = _f[name]

    def f(x, /, *, dtype=None, device=None):
        return inner(x, dtype=dtype, device=device)

    f.__name__ = f.__qualname__ = name
    f.__doc__ = (inner.__doc__ or "").split("\n")[0]
    return f


def _shape(shape) -> tuple[int, ...]:
    return sizes((shape,))


empty, ones, zeros = _filled("empty"), _filled("ones"), _filled("zeros")
empty_like, ones_like, zeros_like = map(
    _like, ("empty_like", "ones_like", "zeros_like")
)


def full(shape, fill_value, *, dtype=None, device=None):
    """One number in every place of a shape."""
    return _f["full"](_shape(shape), fill_value, dtype=dtype, device=device)


def full_like(x, /, fill_value, *, dtype=None, device=None):
    """One number in every place of the shape of x."""
    return _f["full_like"](x, fill_value, dtype=dtype, device=device)


def eye(n_rows, n_cols=None, /, *, k=0, dtype=None, device=None):
    """Ones on the k-th diagonal."""
    need_cpu(device)
    d = np_dtype(dtype) or dt.get_default_dtype().np
    return _f["from_numpy"](np.eye(n_rows, n_cols, k, dtype=d))


def meshgrid(*arrays, indexing="xy"):
    """The coordinates of a grid, an array for each axis."""
    return list(_f["meshgrid"](*arrays, indexing=indexing))


def tril(x, /, *, k=0):
    """The lower triangle, up to the k-th diagonal."""
    return _f["tril"](x, k)


def triu(x, /, *, k=0):
    """The upper triangle, from the k-th diagonal."""
    return _f["triu"](x, k)


# ---------------------------------------------------------------- movement


def broadcast_arrays(*arrays):
    """All in their common shape."""
    return list(_f["broadcast_tensors"](*arrays))


def broadcast_to(x, /, shape):
    """x stretched to a shape."""
    return _f["broadcast_to"](x, _shape(shape))


def concat(arrays, /, *, axis=0):
    """Arrays one after the other along an axis; flattened ones where axis is None."""
    d = promoted(*arrays)
    parts = [cast(x, d) for x in arrays]
    if axis is None:
        return _f["concat"]([reshape(x, (-1,)) for x in parts], 0)
    return _f["concat"](parts, axis)


def stack(arrays, /, *, axis=0):
    """Arrays side by side along a new axis."""
    d = promoted(*arrays)
    return _f["stack"]([cast(x, d) for x in arrays], axis)


def unstack(x, /, *, axis=0):
    """The slices along an axis."""
    return _f["unbind"](x, axis)


def expand_dims(x, /, *, axis=0):
    """x with a new axis of size 1."""
    return _f["unsqueeze"](x, axis)


def squeeze(x, /, axis):
    """x without these axes, which must have size 1."""
    axes = (axis,) if isinstance(axis, int) else tuple(axis)
    for a in axes:
        n = x.shape[norm_dim(a, x.ndim)]
        if n != 1:
            raise ArgumentError(f"squeeze: axis {a} has size {n}, not 1")
    return _f["squeeze"](x, axes)


def reshape(x, /, shape, *, copy=None):
    """x in another shape; `copy` True for new memory, False for the same or an error."""
    y = _f["reshape"](need_array(x, "reshape"), tuple(shape))
    if copy:
        return _f["clone"](y)
    if copy is False and y.base is None and y is not x:
        raise ArgumentError("reshape: copy=False, but these strides need a copy")
    return y


def permute_dims(x, /, axes):
    """Axes in another order."""
    return _f["permute"](x, *axes)


def moveaxis(x, source, destination, /):
    """Axes moved to other places."""
    return _f["moveaxis"](x, source, destination)


def matrix_transpose(x, /):
    """The last two axes swapped."""
    return _f["transpose"](x, -2, -1)


def flip(x, /, *, axis=None):
    """The elements in reverse order along axes."""
    every = tuple(range(need_array(x, "flip").ndim))
    axes = every if axis is None else (axis,) if isinstance(axis, int) else axis
    return _f["flip"](x, tuple(axes))


def roll(x, /, shift, *, axis=None):
    """Elements shifted along axes, the last ones coming first."""
    return _f["roll"](x, shift, axis)


def repeat(x, repeats, /, *, axis=None):
    """Each element several times."""
    return _f["repeat_interleave"](x, repeats, axis)


def tile(x, repetitions, /):
    """The whole array several times along each axis."""
    return _f["tile"](x, tuple(repetitions))


def take(x, indices, /, *, axis=None):
    """The slices at `indices` along an axis."""
    if axis is None and need_array(x, "take").ndim != 1:
        raise ArgumentError(f"take: axis is needed for an array of {x.ndim} dims")
    axis = 0 if axis is None else norm_dim(axis, x.ndim)
    return x[(*(slice(None),) * axis, indices)]


def take_along_axis(x, indices, /, *, axis=-1):
    """Along an axis, the elements at `indices`."""
    shape = list(indices.shape)
    axis = norm_dim(axis, x.ndim)
    rest = [n if i != axis else 1 for i, n in enumerate(x.shape)]
    shape = [
        1 if i == axis else max(n, m)
        for i, (n, m) in enumerate(zip(shape, rest, strict=True))
    ]
    wide = tuple(indices.shape[axis] if i == axis else n for i, n in enumerate(shape))
    return _f["take_along_dim"](x, op.expand(indices, shape=wide), axis)


# ---------------------------------------------------------------- products


def pair(x1, x2):
    """Two arrays in their common dtype."""
    d = promoted(need_array(x1, "product"), need_array(x2, "product"))
    return cast(x1, d), cast(x2, d)


def matmul(x1, x2, /):
    """Matrix product."""
    return _f["matmul"](*pair(x1, x2))


def tensordot(x1, x2, /, *, axes=2):
    """Products summed over pairs of axes."""
    return _f["tensordot"](*pair(x1, x2), axes)


def vecdot(x1, x2, /, *, axis=-1):
    """Products of the conjugate of x1 with x2, summed over an axis."""
    x1, x2 = pair(x1, x2)
    return cast((conjugate(x1) * x2).sum(axis), dtype_of(x1))


__all__ = [
    *("arange", "asarray", "astype", "broadcast_arrays", "broadcast_to", "concat"),
    *("empty", "empty_like", "expand_dims", "eye", "flip", "full", "full_like"),
    *("linspace", "matmul", "matrix_transpose", "meshgrid", "moveaxis", "ones"),
    *(
        "ones_like",
        "permute_dims",
        "repeat",
        "reshape",
        "roll",
        "squeeze",
        "stack",
        "take",
    ),
    *(
        "take_along_axis",
        "tensordot",
        "tile",
        "tril",
        "triu",
        "unstack",
        "vecdot",
        "zeros",
    ),
    "zeros_like",
]
