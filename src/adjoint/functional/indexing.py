"""x[key] and x[key] = value in all NumPy's forms, as PyTorch places their results.

Integers, slices, None and Ellipsis make a view; then arrays pick positions of the dims
they stand at. Keys are checked in full before anything is read or written.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..autodiff.inplace import assign, store
from ..autodiff.masked import Masked
from ..autodiff.straight import picked, seen, shown
from ..autodiff.tape import BASE
from ..autodiff.versions import versioned
from ..autodiff.views import Chosen, mark_chosen
from ..core.bind import NUMPY, Box, dtype_of, floor, quiet
from ..core.primitive import op
from ..core.shape import broadcast, undoing
from ..errors import (
    ArgumentError,
    ArgumentTypeError,
    DimError,
    DtypeError,
    TraceError,
    user_site,
)
from .creation import array_of
from .face import (
    SCALARS,
    cast,
    concrete,
    has_numbers,
    lift,
    method,
    need_tensor,
    only_method,
)

_WHOLE = slice(None)


@only_method
def __getitem__(self, key):
    if seen(self):
        value = self.value
        kind = type(key)
        if kind is int and value.ndim and -value.shape[0] <= key < value.shape[0]:
            params = {"dim": 0, "index": key % value.shape[0]}
            return shown(op.select, params, self, value[key, ...])
        if kind in _BASIC:
            key = key if kind is tuple else (key,)
            basic = _triples(key, value.shape)
            if basic is not None:
                at = key if Ellipsis in key else (*key, ...)
                return shown(op.slice, {"key": basic}, self, value[at])
            if key and _is_positions(key[-1]) and _are_whole(key[:-1], value.ndim):
                return _picked(self, key[-1], len(key) - 1)
        elif _is_positions(key) and value.ndim:
            return _picked(self, key, 0)
    return _read(self, key)


def _picked(x, index, dim):
    if seen(index):
        return picked(op.index, x, index, dim)
    return op.index(x, index, dim=dim)


_BASIC = frozenset([slice, tuple, type(None), type(Ellipsis)])


def _triples(key, shape):
    """A key of integers, slices and None as `slice` takes it; None: something else or wrong."""
    out, dim, rank, dots = [], 0, len(shape), False
    for at, k in enumerate(key):
        kind = type(k)
        if k is None:
            out.append(None)
            continue
        if k is Ellipsis:
            stop = rank - sum(later is not None for later in key[at + 1 :])
            if dots or stop < dim:
                return None
            for n in shape[dim:stop]:
                out.append((0, n, 1))
            dim, dots = stop, True
            continue
        if dim == rank:
            return None
        n = shape[dim]
        dim += 1
        if kind is int:
            if not -n <= k < n:
                return None
            out.append(k % n)
        elif kind is slice and (k.step is None or (type(k.step) is int and k.step > 0)):
            out.append(_triple(k, n))
        else:
            return None
    for n in shape[dim:]:
        out.append((0, n, 1))
    return tuple(out)


def _are_whole(key, rank) -> bool:
    return len(key) < rank and all(type(k) is slice and k == _WHOLE for k in key)


def _is_positions(key) -> bool:
    """A concrete tensor of integers with dims, the plainest advanced key."""
    if not isinstance(key, Box):
        return False
    value = key.__dict__.get("value")
    return type(value) is np.ndarray and value.dtype.kind == "i" and value.ndim > 0


def _read(self, key):
    shape = tuple(self.shape)
    mask = _sole_mask(self, key)
    if mask is not None:  # one flat position instead of one a dim
        if len(mask.shape) and not has_numbers(mask):
            return Masked(mask).taken(self)
        mask = concrete(mask, "a mask")
        x = op.reshape(self, shape=(mask.size, *shape[mask.ndim :]))
        return op.index(x, np.flatnonzero(mask), dim=0)
    view, picks = _split(shape, key)
    x = self if view is None else op.slice(self, key=view)
    if not picks:
        return x
    order, dim, indices = _placed(x.ndim, picks)
    if order is not None:
        x = op.permute(x, dims=order)
    y = op.index(x, *indices, dim=dim)
    if all(map(_is_single, indices)):
        mark_chosen(y, x, dim, indices)
    return y


def _is_single(index) -> bool:
    """Whether it is a number when a program runs, so that x[index] shows x's memory."""
    written_down = isinstance(index, Box) and floor.get() is not NUMPY
    return written_down and index.level is BASE and not index.ndim


def set_item(x, key, new):
    """x[key] = new, in x's memory."""
    if not _written_straight(x, key, new):
        _write(x, key, new)


def _written_straight(x, key, new) -> bool:
    """Whether NumPy could carry it out at once: nothing recorded, one dtype, a plain key."""
    if not seen(x) or x.node is not None or x.inference:
        return False
    value, v = x.value, new
    if (x.base is not None and x.base.node is not None) or not value.flags.writeable:
        return False
    if isinstance(new, Box):
        if not seen(new) or new.node is not None or new.value.dtype != value.dtype:
            return False
        v = new.value
    elif value.dtype.kind != "f" or type(new) not in (float, int):
        return False
    if _is_positions(key) and key.level is BASE:
        key = key.value
    elif type(key) is not int:
        parts = key if type(key) is tuple else (key,)
        if _triples(parts, value.shape) is None:
            return False
    try:
        quiet.run(value.__setitem__, key, v)
    except (IndexError, ValueError, OverflowError):
        return False
    version = x.version or versioned(x)
    version.n += 1
    version.site = user_site()
    return True


def _write(x, key, new):
    if x.dtype.is_complex is False and _is_complex(new):
        raise DtypeError(
            f"x[key] = value: a complex value does not fit a tensor of {x.dtype.name}",
            hint="take value.real or value.imag",
        )
    mask = _sole_mask(x, key)
    if isinstance(new, Box) and isinstance(new.level, Masked):
        if mask is None or new.ndim != x.ndim - len(mask.shape) + 1:
            raise new.level.error
        return _fill(x, mask, new.level.written(new, mask))
    if mask is not None and _fills(x, mask, new):
        return _fill(x, mask, new)
    view, picks = _split(x.shape, key)
    if _is_part(x, view, picks, new):
        return
    part = x if view is None else op.slice(x, key=view)
    new = _fitting(new, x)
    if not picks:
        return assign(part, _shrunk(new, part.ndim), "x[key] = value")
    order, dim, indices = _placed(part.ndim, picks)
    if order is not None:
        part = op.permute(part, dims=order)
    _put(part, new, indices, dim, "x[key] = value")


def _is_part(x, view, picks, new) -> bool:
    """Whether `new` is x[view] itself, as `x[key] += value` ends: it is there already."""
    if not isinstance(new, Box) or new.base is None:
        return False
    base = x if x.base is None else x.base
    if new.base is not base or new.seen != base.writes or new.chain[:-1] != x.chain:
        return False
    prim, params, _ = new.chain[-1]
    if picks:
        _, dim, indices = _placed(x.ndim, picks)
        return view is None and type(prim) is Chosen and prim.is_at(dim, indices)
    if prim is op.select and params["dim"] == 0:
        return (params["index"], *((0, n, 1) for n in x.shape[1:])) == view
    return prim is op.slice and params["key"] == view


def _put(x, new, indices, dim, name):
    written = broadcast(*(tuple(i.shape) for i in indices))
    shape = (*x.shape[:dim], *written, *x.shape[dim + len(indices) :])
    new = _shrunk(new, len(shape))
    if tuple(new.shape) != shape:
        if broadcast(shape, tuple(new.shape), name=name) != shape:
            raise ArgumentError(
                f"{name}: a value of shape {tuple(new.shape)} does not fit {shape}"
            )
        new = op.expand(new, shape=shape)
    return store(x, new, indices, dim, name)


def _is_complex(new) -> bool:
    return isinstance(new, complex) or (
        isinstance(new, (Box, np.ndarray)) and dtype_of(new).kind == "c"
    )


def _fitting(new, x):
    """A value to write, in the dtype of x."""
    d = dtype_of(x)
    if isinstance(new, Box):
        return cast(new, d)
    new = array_of(new) if not isinstance(new, np.ndarray) else new
    return new.astype(d, copy=False)


def _shrunk(new, rank):
    """Without the leading dims of size 1 that are more than `rank`."""
    extra = len(new.shape) - rank
    if extra > 0 and all(n == 1 for n in new.shape[:extra]):
        return op.reshape(new, shape=tuple(new.shape[extra:]))
    return new


def _sole_mask(x, key):
    """The mask, if the key is one; what it fills may then be decided without its values."""
    if isinstance(key, tuple) and len(key) == 1:
        key = key[0]
    if isinstance(key, (Box, np.ndarray)) and dtype_of(key).kind == "b":
        _check_mask(key.shape, x.shape, 0)
        return key.copy() if isinstance(key, np.ndarray) else key
    return None


def _fills(x, mask, new) -> bool:
    """The value has no dim along the masked ones: each place gets the same."""
    rank = (
        len(new.shape) if isinstance(new, (Box, np.ndarray)) else np.ndim(_numbers(new))
    )
    return rank <= x.ndim - len(mask.shape)


def _numbers(new):
    return new if isinstance(new, SCALARS) else array_of(new)


def _fill(x, mask, new):
    """x[mask] = new as a choice between the two, which needs no value of the mask."""
    new = _fitting(new, x)
    tail = (1,) * (x.ndim - len(mask.shape))
    mask = op.reshape(mask, shape=(*mask.shape, *tail)) if tail else mask
    if broadcast(tuple(x.shape), tuple(new.shape), name="x[key] = value") != tuple(
        x.shape
    ):
        raise ArgumentError(
            f"x[key] = value: a value of shape {tuple(new.shape)} does not fit "
            f"{tuple(x.shape)}"
        )
    assign(x, op.where(mask, new, x), "x[key] = value")


# ---------------------------------------------------------------- the key


class Pick(NamedTuple):
    """Positions for dim `dim` of the view."""

    dim: int
    index: object


def _split(shape, key):
    """A key as the key of `slice` (None: the whole tensor) and the picks after it."""
    parts = [_part(k) for k in (key if isinstance(key, tuple) else (key,))]
    used = sum(map(_uses, parts))
    if used > len(shape):
        raise _too_many(used, len(shape))
    view, picks, dim, whole = [], [], 0, True
    ellipsis_left = True
    for k in parts:
        if k is Ellipsis:
            rest = len(shape) - used if ellipsis_left else 0
            view += [(0, n, 1) for n in shape[dim : dim + rest]]
            dim, ellipsis_left = dim + rest, False
        elif isinstance(k, (Box, np.ndarray)):
            place = len(view) - sum(type(v) is int for v in view)
            uses, indices = _positions(k, shape, dim)
            picks += [Pick(place + i, index) for i, index in enumerate(indices)]
            view += [(0, n, 1) for n in shape[dim : dim + uses]] if uses else [None]
            whole, dim = whole and uses > 0, dim + uses
        else:
            view.append(_basic(k, shape, dim))
            whole = whole and k == _WHOLE if isinstance(k, slice) else False
            dim += k is not None
    view += [(0, n, 1) for n in shape[dim:]]
    return (None if whole and picks else tuple(view)), picks


def _part(k):
    """One entry of a key: None, Ellipsis, a slice, an int, or an array of positions."""
    kind = type(k)
    if k is None or k is Ellipsis or kind is slice or kind is int:
        return k
    if isinstance(k, (bool, np.bool_)):
        return np.asarray(k)
    if isinstance(k, (list, tuple, range)):
        k = _listed(k)
    if isinstance(k, Box):
        value = k.__dict__.get("value")
        single = type(value) is np.ndarray and k.ndim == 0 and seen(k)
        return _array(value if single else k)
    if isinstance(k, (np.ndarray, np.generic)):
        return _array(k.copy())  # the user may change it before the backward pass
    if hasattr(k, "__index__"):
        return k.__index__()
    raise DimError(
        "only integers, slices (:), ellipsis (...), None, and integer or bool tensors, arrays "
        f"and lists are indices, got {kind.__name__}"
    )


def _listed(k):
    try:
        index = array_of(list(k))
    except (ArgumentError, ArgumentTypeError):
        raise DimError(
            f"a list as index must hold integers or bools, got {k!r}"
        ) from None
    return index.astype(np.int64) if index.size == 0 else index


def _array(k):
    """An index array; concrete single integers are integers."""
    kind = k.dtype.kind if isinstance(k, (np.ndarray, np.generic)) else dtype_of(k).kind
    if kind not in "iub":
        raise DimError(
            f"tensors used as indices must be integer or bool, got {dtype_of(k).name}"
        )
    if isinstance(k, (np.ndarray, np.generic)) and k.ndim == 0 and kind != "b":
        return int(k)
    return k


def _is_mask(k) -> bool:
    return dtype_of(k).kind == "b" or dtype_of(k) == np.uint8


def _uses(k) -> int:
    """How many dims of the tensor a part of the key stands for."""
    if k is None or k is Ellipsis:
        return 0
    return k.ndim if isinstance(k, (Box, np.ndarray)) and _is_mask(k) else 1


def _basic(k, shape, dim):
    if k is None:
        return None
    n = shape[dim]
    if isinstance(k, slice):
        return _triple(k, n)
    if not -n <= k < n:
        raise _outside(k, dim, n)
    return k % n


def _outside(i, dim, n):
    return DimError(f"index {i} is out of bounds for dimension {dim} with size {n}")


def _triple(k: slice, n: int):
    if k.start is None and k.stop is None and k.step is None:
        return (0, n, 1)
    try:
        start, stop, step = k.indices(n)
    except TraceError:  # a bound without numbers; to Python it is a TypeError
        raise
    except TypeError:
        raise ArgumentTypeError(
            f"slice indices must be integers or None or have an __index__ method, got {k}"
        ) from None
    except ValueError:
        step = 0
    if step <= 0:
        raise ArgumentError("slice step must be positive", hint="flip reverses a dim")
    return (start, max(start, stop), step)


def _positions(k, shape, dim):
    """(dims used, an array of positions for each): a mask's are those where it holds."""
    if not _is_mask(k):
        return 1, [k]
    if k.ndim == 0:
        return 0, [np.arange(int(bool(concrete(k, "a mask"))))]
    _check_mask(k.shape, shape, dim)
    return k.ndim, list(np.nonzero(concrete(k, "a mask")))


def _check_mask(mask, shape, dim):
    if len(mask) > len(shape) - dim:
        raise _too_many(len(mask) + dim, len(shape))
    for i, n in enumerate(mask):
        if shape[dim + i] != n:
            raise DimError(
                f"the shape of the mask {list(mask)} at index {i} does not match the shape "
                f"of the indexed tensor {list(shape)} at index {dim + i}"
            )


def _too_many(used, rank):
    return DimError(f"too many indices for tensor of dimension {rank}: {used}")


def _placed(ndim, picks):
    """(order of dims that brings the picked ones together, where they then start, indices).

    The result's dims stand where the picked ones were if those are neighbours, first if
    not. Single positions take no place, so they do not separate.
    """
    try:
        broadcast(*(tuple(p.index.shape) for p in picks), name="x[key]")
    except ValueError:
        shapes = ", ".join(str(list(p.index.shape)) for p in picks)
        raise DimError(
            "shape mismatch: indexing tensors could not be broadcast together with "
            f"shapes {shapes}"
        ) from None
    if len(picks) == 1:
        return None, picks[0].dim, [picks[0].index]
    arrays = [p for p in picks if len(p.index.shape)]
    single = [p for p in picks if not len(p.index.shape)]
    gone = {p.dim for p in single}
    dims = [p.dim for p in arrays]
    kept = [d for d in range(ndim) if d not in gone]
    rest = [d for d in kept if d not in dims]
    at = [kept.index(d) for d in dims]
    together = not at or at[-1] - at[0] == len(at) - 1
    start = sum(d < dims[0] for d in rest) if together and at else 0
    order = (*rest[:start], *(p.dim for p in single), *dims, *rest[start:])
    indices = [p.index for p in (*single, *arrays)]
    return (None if order == tuple(range(ndim)) else order), start, indices


# ---------------------------------------------------------------- with the key as a tuple


def _put_view(name, input, indices):
    x = need_tensor(input, name)
    if not isinstance(indices, (tuple, list)):
        raise ArgumentTypeError(f"{name}: indices must be a tuple of tensors")
    key = tuple(_WHOLE if k is None else _at_least_1d(k) for k in indices)
    _, picks = _split(tuple(x.shape), key)
    if not picks:
        raise ArgumentError(f"{name}: at least one index is needed")
    return x, _placed(x.ndim, picks)


def _at_least_1d(index):
    """A 0-d index as a list of one position, which values of the rest's shape fit as well."""
    alone = isinstance(index, Box) and not index.ndim and dtype_of(index).kind in "iu"
    return op.reshape(index, shape=(1,)) if alone else index


def _values(name, values, x):
    values = values if isinstance(values, Box) else lift(values, dtype_of(x), name)
    if dtype_of(values) != dtype_of(x):
        raise DtypeError(
            f"{name}: source and destination must have one dtype, got "
            f"{dtype_of(x).name} and {dtype_of(values).name}"
        )
    return values


@only_method
def index_put_(self, indices, values, accumulate=False):
    """`values` written, or added, at the positions `indices` of this tensor."""
    if accumulate:
        return assign(self, index_put(self, indices, values, True), "index_put_")
    x, (order, dim, indices) = _put_view("index_put_", self, indices)
    values = _values("index_put_", values, x)
    part = x if order is None else op.permute(x, dims=order)
    _put(part, values, indices, dim, "index_put_")
    return self


@method
def index_put(input, indices, values, accumulate=False):
    """A copy with `values` written, or added, at the positions `indices`.

    >>> index_put(zeros(3), (tensor([0, 0]),), tensor([1., 2.]), accumulate=True)
    tensor([3., 0., 0.])
    """
    x, (order, dim, indices) = _put_view("index_put", input, indices)
    values = _values("index_put", values, x)
    x = x if order is None else op.permute(x, dims=order)
    written = broadcast(*(tuple(i.shape) for i in indices))
    shape = (*x.shape[:dim], *written, *x.shape[dim + len(indices) :])
    if broadcast(shape, tuple(values.shape), name="index_put") != shape:
        raise ArgumentError(
            f"index_put: values of shape {tuple(values.shape)} do not fit {shape}"
        )
    values = op.expand(values, shape=shape)
    if accumulate:
        y = x + op.unindex(values, *indices, dim=dim, shape=tuple(x.shape))
    else:
        y = op.index_put(x, values, *indices, dim=dim)
    return y if order is None else op.permute(y, dims=undoing(order))
