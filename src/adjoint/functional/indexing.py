"""x[key] in all NumPy's forms."""

from __future__ import annotations

from ..core.bind import Box
from ..core.primitive import op
from ..errors import DimError
from .face import only_method


def basic_key(x, key):
    """`key` as the (start, stop, step) triples of `slice`, or None if it is not basic."""
    key = key if isinstance(key, tuple) else (key,)
    if any(
        not (k is None or k is Ellipsis or isinstance(k, slice) or _is_int(k))
        for k in key
    ):
        return None
    used = sum(k is not None and k is not Ellipsis for k in key)
    if used > x.ndim:
        raise DimError(f"too many indices for tensor of dimension {x.ndim}: {used}")
    out, dim, seen = [], 0, False
    for k in key:
        if k is Ellipsis:
            if seen:
                raise DimError("an index can have only one '...'")
            seen = True
            for _ in range(x.ndim - used):
                out.append((0, x.shape[dim], 1))
                dim += 1
            continue
        if k is None:
            out.append(None)
            continue
        n = x.shape[dim]
        if isinstance(k, slice):
            out.append(_triple(k, n))
        else:
            i = k.__index__()
            if not -n <= i < n:
                raise DimError(
                    f"index {i} is out of bounds for dimension {dim} with size {n}"
                )
            out.append(i % n)
        dim += 1
    out.extend((0, n, 1) for n in x.shape[dim:])
    return tuple(out)


def _is_int(k) -> bool:
    if isinstance(k, (bool, Box)):
        return False
    return (hasattr(k, "__index__") and not hasattr(k, "ndim")) or (
        type(k).__module__ == "numpy"
        and getattr(k, "ndim", 1) == 0
        and k.dtype.kind in "iu"
    )


def _triple(k: slice, n: int):
    if k.step is not None and k.step <= 0:
        raise DimError(
            f"slice step must be positive, got {k.step}", hint="flip reverses a dim"
        )
    k = slice(
        *(v.item() if isinstance(v, Box) else v for v in (k.start, k.stop, k.step))
    )
    start, stop, step = k.indices(n)
    return (start, max(start, stop), step)


@only_method
def __getitem__(self, key):
    basic = basic_key(self, key)
    if basic is not None:
        return op.slice(self, key=basic)
    raise DimError(f"indexing by {key!r} is not supported")
