"""Jacobians and Hessians: vmap of a derivative over the unit vectors."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np

from ..core import tree
from ..core.bind import dtype_of, floor
from ..core.primitive import op
from ..errors import ArgumentError, need_callable
from .tape import BASE
from .transforms import argnums_of, grad, jvp, only, vjp
from .vmap import vmap


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


def _assembled(rows, in_shape, out_shape, argnums):
    """The Jacobian as a tree of outputs, each a tree of inputs, of its blocks row by row."""
    rows = [tree.unflatten(in_shape, blocks) for blocks in rows]
    rows = [row if isinstance(argnums, tuple) else row[0] for row in rows]
    return tree.unflatten(out_shape, rows)


def _chosen(argnums, args):
    nums = argnums_of(argnums, len(args), "jacobian")
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
        y, pull, *aux = vjp(only(func, args, kwargs, nums), *chosen, has_aux=has_aux)
        outputs, out_shape = tree.flatten(y)
        basis = tree.unflatten(out_shape, _basis(outputs))
        rows = vmap(pull, chunk_size=chunk_size)(basis)
        flat, in_shape = tree.flatten(rows)
        split = [_split_rows(x, outputs, first=True) for x in flat]
        rows = [[column[i] for column in split] for i in range(len(outputs))]
        jacobian = _assembled(rows, in_shape, out_shape, argnums)
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
        f = only(func, args, kwargs, nums)
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
        rows = [_split_rows(x, leaves, first=False) for x in flat]
        jacobian = _assembled(rows, in_shape, out_shape, argnums)
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
