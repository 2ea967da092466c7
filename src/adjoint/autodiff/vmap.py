"""vmap: a function that sees one example, over a whole batch at once."""

from __future__ import annotations

import functools
from collections.abc import Callable

from ..core import tree
from ..core.bind import Box, new_level
from ..core.primitive import op
from ..core.shape import norm_dim
from ..errors import ArgumentError, GradError
from .batch import Batch, mapping
from .inplace import assign
from .transforms import lower


def _dims_of(dims, values, name):
    """`dims`, which may stop at a subtree, for every leaf of `values`."""
    leaves, _ = tree.flatten(values)
    if dims is None or isinstance(dims, int):
        return [dims] * len(leaves)
    if not isinstance(values, type(dims)) and not isinstance(dims, (tuple, list)):
        raise ArgumentError(
            f"vmap: {name} {dims!r} does not fit the structure of {values!r}"
        )
    parts = list(values.values()) if isinstance(values, dict) else list(values)
    given = list(dims.values()) if isinstance(dims, dict) else list(dims)
    if len(parts) != len(given):
        raise ArgumentError(
            f"vmap: {name} has {len(given)} entries for {len(parts)} values"
        )
    return [d for g, p in zip(given, parts, strict=True) for d in _dims_of(g, p, name)]


def _size(leaves, dims):
    """How many examples there are, in which all mapped dims must agree."""
    mapped = [(x, d) for x, d in zip(leaves, dims, strict=True) if d is not None]
    sizes = {_size_along(x, d) for x, d in mapped}
    if not sizes:
        raise ArgumentError(
            "vmap: at least one input must have a dim to map over (in_dims)"
        )
    if len(sizes) > 1:
        raise ArgumentError(
            f"vmap: the mapped dims must have one size, got {sorted(sizes)}"
        )
    return sizes.pop()


def _size_along(x, d):
    if not isinstance(x, Box):
        raise ArgumentError(f"vmap: in_dims is {d} for {x!r}, which is not a Tensor")
    if x.ndim == 0:
        raise ArgumentError("vmap: a 0-d Tensor has no dim to map over")
    if not -x.ndim <= d < x.ndim:
        raise ArgumentError(
            f"vmap: in_dims has {d} for a Tensor of shape {list(x.shape)}: it must "
            f"lie in [{-x.ndim}, {x.ndim - 1}]"
        )
    return x.shape[d]


def vmap(
    func: Callable,
    in_dims=0,
    out_dims=0,
    randomness: str = "error",
    *,
    chunk_size: int | None = None,
) -> Callable:
    """`func`, which sees one example, over a whole batch at once.

    >>> from adjoint.func import vmap
    >>> vmap(lambda x, w: x @ w, in_dims=(0, None))(ones(3, 2), tensor([1., 2.]))
    tensor([3., 3., 3.])
    """
    if randomness not in ("error", "different", "same"):
        raise ArgumentError(
            f"vmap: randomness must be error, different or same, got {randomness!r}"
        )

    @functools.wraps(func)
    def wrapped(*args, **kwargs):
        leaves, shape = tree.flatten(args)
        dims = _dims_of(in_dims, args, "in_dims")
        size = _size(leaves, dims)
        run = functools.partial(
            _vmapped, func, shape, dims, out_dims, randomness, kwargs
        )
        if chunk_size is None or size <= chunk_size:
            return run(size, leaves)
        chunks = [
            run(min(chunk_size, size - i), _chunk(leaves, dims, i, chunk_size))
            for i in range(0, size, chunk_size)
        ]
        return _joined(chunks, out_dims)

    return wrapped


def _joined(chunks, out_dims):
    """The results of several chunks of examples as those of the batch."""
    flat = [tree.flatten(result) for result in chunks]
    dims = _dims_of(out_dims, chunks[0], "out_dims")
    columns = zip(*(leaves for leaves, _ in flat), strict=True)
    joined = [
        op.cat(*ys, dim=d % ys[0].ndim) for ys, d in zip(columns, dims, strict=True)
    ]
    return tree.unflatten(flat[0][1], joined)


def _chunk(leaves, dims, start, size):
    """The inputs of `size` examples from `start` on."""
    out = []
    for x, d in zip(leaves, dims, strict=True):
        if d is not None:
            key = [(0, n, 1) for n in x.shape]
            d = norm_dim(d, x.ndim)
            key[d] = (start, min(start + size, x.shape[d]), 1)
            x = op.slice(x, key=tuple(key))
        out.append(x)
    return out


def _vmapped(func, shape, dims, out_dims, randomness, kwargs, size, leaves):
    with new_level(Batch(size, randomness)) as level:
        boxed = [
            x if d is None else level.batched(x, norm_dim(d, x.ndim))
            for x, d in zip(leaves, dims, strict=True)
        ]
        before = [dict(vars(x)) if isinstance(x, Box) else None for x in leaves]
        token = mapping.set((*mapping.get(), level))
        try:
            result = func(*tree.unflatten(shape, boxed), **kwargs)
        finally:
            mapping.reset(token)
        outputs, out_shape = tree.flatten(result)
        ds = _dims_of(out_dims, result, "out_dims")
        if result is None:
            raise ArgumentError("vmap: the function must return Tensors, got None")
        for y, d in zip(outputs, ds, strict=True):
            _check_mapped(y, d, level)
        done = [level.unwrap(y, d) for y, d in zip(outputs, ds, strict=True)]
        _write_back(leaves, boxed, dims, before, level)
    return tree.unflatten(out_shape, [lower(y, level) for y in done])


def _write_back(leaves, boxed, dims, before, level):
    """What the function wrote into its inputs in place, the caller sees in them."""
    for x, box, d, old in zip(leaves, boxed, dims, before, strict=True):
        if d is not None:
            box.sync()
            if box.value is not x:
                assign(x, lower(level.unwrap(box, norm_dim(d, x.ndim)), level), "vmap")
        elif isinstance(x, Box) and x.level is level:
            x.__dict__ = old
            raise GradError(
                "vmap: a value that has a batch dim cannot be written in place into an input "
                "that has none (in_dims=None)",
                hint="write a copy: input = input.clone()",
            )


def _check_mapped(y, out_dim, level):
    """An output must be a tensor, and without a batch where none is to be in the result."""
    if not isinstance(y, Box):
        raise ArgumentError(f"vmap: the function must return Tensors, got {y!r}")
    y.sync()
    if out_dim is None and y.level is level and y.batch_dim is not None:
        raise ArgumentError(
            "vmap: out_dims is None for an output that has a batch dim",
            hint="out_dims=0 puts the batch first",
        )
