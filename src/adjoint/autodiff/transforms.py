"""grad, vjp, jvp, vmap, jacrev, jacfwd, hessian ...: functions of functions, over pytrees.

Each opens a level, runs the function on values of that level, and takes the wrapping off
again; that is why they nest in any order and to any depth.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..core import tree
from ..core.bind import Box, dtype_of, floor, new_level
from ..core.dtype import is_inexact
from ..core.primitive import op
from ..core.shape import norm_dim
from ..errors import ArgumentError, ArgumentTypeError, GradError, need_callable
from .backward import Sweep
from .batch import Batch, mapping
from .forward import Forward
from .inplace import assign
from .modes import enable_grad
from .node import Leaf
from .tape import BASE, Tape


def _lower(x, level):
    """The value below `level`, as a tensor."""
    if isinstance(x, Box) and x.level is level:
        x.sync()
        x = x.value
    return x if isinstance(x, Box) or not isinstance(x, np.ndarray) else BASE.wrap(x)


def _lowered(t, level):
    return tree.map_leaves(lambda x: _lower(x, level), t)


def _leaf(x, level, name):
    if not isinstance(x, Box):
        raise ArgumentTypeError(
            f"{name}: differentiated arguments must be Tensors, got {x!r}"
        )
    if not is_inexact(dtype_of(x)):
        raise GradError(
            f"{name}: only floating and complex Tensors have derivatives, got {dtype_of(x).name}"
        )
    out = level.wrap(x)
    out.node = Leaf(out)
    return out


def _sweep(outputs, seeds, leaves, level, retain=True):
    """Cotangents of the leaves; zeros where nothing leads to them."""
    pairs = [
        (y.node, seed)
        for y, seed in zip(outputs, seeds, strict=True)
        if isinstance(y, Box) and y.level is level and y.node is not None
    ]
    nodes = [x.node for x in leaves]
    found = {}
    if pairs:
        roots, seeds = zip(*pairs, strict=True)
        sweep = Sweep(roots, seeds, targets=dict.fromkeys(nodes), retain=retain)
        found = sweep.run()
    below = [_lower(x, level) for x in leaves]
    return [
        op.zeros_like(x) if found.get(n) is None else _lower(found[n], level)
        for x, n in zip(below, nodes, strict=True)
    ]


def _take_aux(result, has_aux, name):
    if not has_aux:
        return result, None
    if not (isinstance(result, tuple) and len(result) == 2):
        raise ArgumentTypeError(
            f"{name}: with has_aux=True the function returns (output, aux)"
        )
    return result


def vjp(func: Callable, *primals, has_aux: bool = False) -> tuple[Any, ...]:
    """func(*primals), and the function that pulls cotangents back to the primals.

    >>> from adjoint.func import vjp
    >>> y, pull = vjp(lambda x: x ** 2, tensor([1., 2.]))
    >>> pull(tensor([1., 1.]))
    (tensor([2., 4.]),)
    """
    need_callable(func, "vjp")
    flat, shape = tree.flatten(primals)
    with new_level(Tape()) as level, enable_grad():
        leaves = [_leaf(x, level, "vjp") for x in flat]
        result, aux = _take_aux(func(*tree.unflatten(shape, leaves)), has_aux, "vjp")
        outputs, out_shape = tree.flatten(result)
        for y in outputs:
            if isinstance(y, Box):
                y.sync()
    y = _lowered(result, level)

    def pull(*cotangents, retain_graph=None, create_graph=None):
        given = cotangents[0] if len(cotangents) == 1 else cotangents
        seeds, same = tree.flatten(given)
        if same != out_shape and not (same.children == out_shape.children):
            raise ArgumentError(
                "vjp: the cotangents differ in structure from the output"
            )
        for seed, out in zip(seeds, outputs, strict=True):
            if tuple(seed.shape) != tuple(out.shape):
                raise GradError(
                    f"vjp: a cotangent has shape {tuple(seed.shape)}, its output {tuple(out.shape)}"
                )
        return tree.unflatten(shape, _sweep(outputs, seeds, leaves, level))

    return (y, pull, _lowered(aux, level)) if has_aux else (y, pull)


def _argnums(argnums, count, name):
    nums = argnums if isinstance(argnums, tuple) else (argnums,)
    for n in nums:
        if not isinstance(n, int) or not -count <= n < count:
            raise ArgumentError(
                f"{name}: argnum {n} but the function was given {count} arguments"
            )
    nums = tuple(n % count for n in nums)
    if len(set(nums)) < len(nums):
        raise ArgumentError(f"{name}: argnums must be unique, got {argnums}")
    return nums


def _only(func, args, kwargs, nums):
    """`func` of just the arguments `nums`, the others held."""

    def f(*chosen):
        full = list(args)
        for n, x in zip(nums, chosen, strict=True):
            full[n] = x
        return func(*full, **kwargs)

    return f


def value_and_grad(func: Callable, argnums=0, has_aux: bool = False) -> Callable:
    """x -> (value, gradient) of a function with a scalar result.

    >>> from adjoint.func import value_and_grad
    >>> value_and_grad(lambda x: (x ** 2).sum())(tensor([1., 2.]))
    (tensor(5.), tensor([2., 4.]))
    """

    @functools.wraps(func)
    def wrapped(*args, **kwargs):
        nums = _argnums(argnums, len(args), "grad")
        f = _only(func, args, kwargs, nums)
        y, pull, *aux = vjp(f, *(args[n] for n in nums), has_aux=has_aux)
        if not isinstance(y, Box) or math.prod(y.shape) != 1:
            raise GradError(
                "grad: the function must return a scalar tensor, got "
                + (
                    f"shape {tuple(y.shape)}"
                    if isinstance(y, Box)
                    else repr(type(y).__name__)
                ),
                hint="reduce it, as with .sum(), or use jacrev, jacfwd or vjp",
            )
        grads = pull(op.ones_like(y))
        grads = grads if isinstance(argnums, tuple) else grads[0]
        return ((y, aux[0]) if has_aux else y), grads

    return wrapped


def grad_and_value(func: Callable, argnums=0, has_aux: bool = False) -> Callable:
    """`value_and_grad`, the gradient first.

    >>> from adjoint.func import grad_and_value
    >>> grad_and_value(lambda x: (x ** 2).sum())(tensor([1., 2.]))
    (tensor([2., 4.]), tensor(5.))
    """
    both = value_and_grad(func, argnums, has_aux)

    @functools.wraps(func)
    def wrapped(*args, **kwargs):
        value, grads = both(*args, **kwargs)
        return grads, value

    return wrapped


def grad(func: Callable, argnums=0, has_aux: bool = False) -> Callable:
    """x -> gradient of a function with a scalar result.

    >>> from adjoint.func import grad
    >>> grad(lambda x: x ** 3)(tensor(2.))
    tensor(12.)
    >>> grad(grad(lambda x: x ** 3))(tensor(2.))
    tensor(12.)
    """
    both = value_and_grad(func, argnums, has_aux)

    @functools.wraps(func)
    def wrapped(*args, **kwargs):
        value, grads = both(*args, **kwargs)
        return (grads, value[1]) if has_aux else grads

    return wrapped


def jvp(
    func: Callable, primals, tangents, *, strict: bool = False, has_aux: bool = False
) -> tuple[Any, ...]:
    """func(*primals) and its derivative along the tangents.

    >>> from adjoint.func import jvp
    >>> jvp(lambda x: x ** 2, (tensor(3.),), (tensor(1.),))
    (tensor(9.), tensor(6.))
    """
    need_callable(func, "jvp")
    if not isinstance(primals, tuple) or not isinstance(tangents, tuple):
        raise ArgumentError("jvp: primals and tangents must be tuples of arguments")
    with new_level(Forward()) as level:
        duals = tree.map_leaves(lambda x, t: _dual(x, t, level), primals, tangents)
        result, aux = _take_aux(func(*duals), has_aux, "jvp")
        if strict:
            _need_tangents(result, level)
        tangent = tree.map_leaves(lambda y: _tangent(y, level), result)
        y = _lowered(result, level)
    return (y, tangent, _lowered(aux, level)) if has_aux else (y, tangent)


def _dual(x, t, level):
    for v in (x, t):
        if not isinstance(v, Box):
            raise ArgumentTypeError(
                f"jvp: primals and tangents must be Tensors, got {v!r}"
            )
    if tuple(x.shape) != tuple(t.shape):
        raise GradError(
            f"jvp: a primal has shape {tuple(x.shape)}, its tangent {tuple(t.shape)}"
        )
    return level.dual(
        x, t if dtype_of(t) == dtype_of(x) else op.cast(t, dtype=dtype_of(x))
    )


def _need_tangents(result, level):
    for i, y in enumerate(tree.flatten(result)[0]):
        if not _depends(y, level):
            raise GradError(
                f"jvp: output {i} is independent of the inputs, which strict=True forbids"
            )


def _depends(y, level) -> bool:
    if not isinstance(y, Box) or y.level is not level:
        return False
    y.sync()
    return y.tangent is not None


def _tangent(y, level):
    if isinstance(y, Box) and y.level is level:
        y.sync()
        if y.tangent is not None:
            return _lower(y.tangent, level)
        y = y.value
    return op.zeros_like(y if isinstance(y, Box) else BASE.wrap(np.asarray(y)))


def linearize(func: Callable, *primals):
    """func(*primals), and its derivative there as a function of the tangents.

    >>> from adjoint.func import linearize
    >>> y, push = linearize(lambda x: x ** 2, tensor(3.))
    >>> push(tensor(1.))
    tensor(6.)
    """
    need_callable(func, "linearize")
    y, pull = vjp(func, *primals)
    zeros = tree.map_leaves(op.zeros_like, y)
    # The pullback is linear in the cotangent, so its own pullback is the derivative.
    _, push = vjp(pull, zeros)

    def derivative(*tangents):
        return push(tangents)[0]

    return y, derivative


# ---------------------------------------------------------------- vmap


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
    sizes = set()
    for x, d in zip(leaves, dims, strict=True):
        if d is not None:
            if not isinstance(x, Box):
                raise ArgumentError(
                    f"vmap: in_dims is {d} for {x!r}, which is not a Tensor"
                )
            if x.ndim == 0:
                raise ArgumentError("vmap: a 0-d Tensor has no dim to map over")
            if not -x.ndim <= d < x.ndim:
                raise ArgumentError(
                    f"vmap: in_dims has {d} for a Tensor of shape {list(x.shape)}: it must "
                    f"lie in [{-x.ndim}, {x.ndim - 1}]"
                )
            sizes.add(x.shape[d])
    if not sizes:
        raise ArgumentError(
            "vmap: at least one input must have a dim to map over (in_dims)"
        )
    if len(sizes) > 1:
        raise ArgumentError(
            f"vmap: the mapped dims must have one size, got {sorted(sizes)}"
        )
    return sizes.pop()


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
        pieces = [
            run(min(chunk_size, size - i), _pieces(leaves, dims, i, chunk_size))
            for i in range(0, size, chunk_size)
        ]
        flat = [tree.flatten(p) for p in pieces]
        ds = _dims_of(out_dims, pieces[0], "out_dims")
        columns = zip(*(f[0] for f in flat), strict=True)
        joined = [
            op.cat(*c, dim=d % c[0].ndim) for c, d in zip(columns, ds, strict=True)
        ]
        return tree.unflatten(flat[0][1], joined)

    return wrapped


def _pieces(leaves, dims, start, size):
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
    return tree.unflatten(out_shape, [_lower(y, level) for y in done])


def _write_back(leaves, boxed, dims, before, level):
    """What the function wrote into its inputs in place, the caller sees in them."""
    for x, box, d, old in zip(leaves, boxed, dims, before, strict=True):
        if d is not None:
            box.sync()
            if box.value is not x:
                assign(x, _lower(level.unwrap(box, norm_dim(d, x.ndim)), level), "vmap")
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


# ---------------------------------------------------------------- Jacobians


def _basis(leaves):
    """For each leaf the unit tangents of the whole tree, stacked along a first dim."""
    total = sum(math.prod(x.shape) for x in leaves)
    out, start = [], 0
    for x in leaves:
        n = math.prod(x.shape)
        rows = np.zeros((total, n), dtype_of(x))
        rows[start : start + n] = np.eye(n, dtype=dtype_of(x))
        rows = rows.reshape(total, *x.shape)
        out.append(BASE.wrap(floor.get().constant(rows)))
        start += n
    return out


def _split_rows(x, leaves, first):
    """Rows of a stacked Jacobian, one block a leaf: (leaf dims, rest) or (rest, leaf dims)."""
    out, start = [], 0
    for leaf in leaves:
        n = math.prod(leaf.shape)
        key = ((start, start + n, 1), *((0, m, 1) for m in x.shape[1:]))
        block = op.slice(x, key=key)
        rest = tuple(x.shape[1:])
        if not first:
            block = op.permute(block, dims=(*range(1, block.ndim), 0))
        shape = (*leaf.shape, *rest) if first else (*rest, *leaf.shape)
        out.append(op.reshape(block, shape=shape))
        start += n
    return out


def _chosen(argnums, args):
    nums = _argnums(argnums, len(args), "jacobian")
    return nums, tuple(args[n] for n in nums)


def jacrev(
    func: Callable, argnums=0, *, has_aux: bool = False, chunk_size=None
) -> Callable:
    """x -> Jacobian by reverse mode: a row of outputs at a time, all rows at once.

    >>> from adjoint.func import jacrev
    >>> jacrev(lambda x: x ** 2)(tensor([1., 2.]))
    tensor([[2., 0.],
            [0., 4.]])
    """

    @functools.wraps(func)
    def wrapped(*args, **kwargs):
        nums, chosen = _chosen(argnums, args)
        y, pull, *aux = vjp(_only(func, args, kwargs, nums), *chosen, has_aux=has_aux)
        outputs, out_shape = tree.flatten(y)
        basis = tree.unflatten(out_shape, _basis(outputs))
        rows = vmap(pull, chunk_size=chunk_size)(basis)
        flat, in_shape = tree.flatten(rows)
        split = [_split_rows(x, outputs, first=True) for x in flat]
        blocks = [
            tree.unflatten(in_shape, [column[i] for column in split])
            for i in range(len(outputs))
        ]
        blocks = [b if isinstance(argnums, tuple) else b[0] for b in blocks]
        jacobian = tree.unflatten(out_shape, blocks)
        return (jacobian, aux[0]) if has_aux else jacobian

    return wrapped


def jacfwd(
    func: Callable,
    argnums=0,
    has_aux: bool = False,
    *,
    randomness: str = "error",
    chunk_size=None,
) -> Callable:
    """x -> Jacobian by forward mode: a column of inputs at a time, all columns at once.

    >>> from adjoint.func import jacfwd
    >>> jacfwd(lambda x: x ** 2)(tensor([1., 2.]))
    tensor([[2., 0.],
            [0., 4.]])
    """

    @functools.wraps(func)
    def wrapped(*args, **kwargs):
        nums, chosen = _chosen(argnums, args)
        f = _only(func, args, kwargs, nums)
        leaves, in_shape = tree.flatten(chosen)
        kept = []

        def push(*basis):
            done = jvp(f, chosen, tree.unflatten(in_shape, basis), has_aux=has_aux)
            kept.append(done[2] if has_aux else None)
            return done[1]

        columns = vmap(push, randomness=randomness, chunk_size=chunk_size)(
            *_basis(leaves)
        )
        flat, out_shape = tree.flatten(columns)
        blocks = [
            tree.unflatten(in_shape, _split_rows(x, leaves, first=False)) for x in flat
        ]
        blocks = [b if isinstance(argnums, tuple) else b[0] for b in blocks]
        jacobian = tree.unflatten(out_shape, blocks)
        return (jacobian, kept[0]) if has_aux else jacobian

    return wrapped


def hessian(func: Callable, argnums=0) -> Callable:
    """x -> second derivatives, forward over reverse.

    >>> from adjoint.func import hessian
    >>> hessian(lambda x: (x ** 3).sum())(tensor([1., 2.]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    return jacfwd(jacrev(func, argnums), argnums)


def hvp(func: Callable, primals, tangents):
    """Hessian of a scalar function times a vector, without the Hessian.

    >>> from adjoint.func import hvp
    >>> hvp(lambda x: (x ** 3).sum(), (tensor([1., 2.]),), (tensor([1., 0.]),))
    tensor([6., 0.])
    """
    need_callable(func, "hvp")
    if not isinstance(primals, (tuple, list)) or not isinstance(
        tangents, (tuple, list)
    ):
        raise ArgumentError("hvp: primals and tangents must be tuples of arguments")
    nums = tuple(range(len(primals)))
    gradient = grad(func, nums if len(nums) > 1 else 0)
    return jvp(gradient, tuple(primals), tuple(tangents))[1]
