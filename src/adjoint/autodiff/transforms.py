"""grad, vjp, jvp, linearize: derivatives as functions of functions, over pytrees.

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
from ..core.bind import Box, dtype_of, new_level
from ..core.dtype import is_inexact
from ..core.primitive import op
from ..errors import ArgumentError, ArgumentTypeError, GradError, need_callable
from .backward import Sweep
from .forward import Forward
from .modes import enable_grad
from .node import Leaf
from .tape import BASE, Tape


def lower(x, level):
    """The value below `level`, as a tensor."""
    if isinstance(x, Box) and x.level is level:
        x.sync()
        x = x.value
    return x if isinstance(x, Box) or not isinstance(x, np.ndarray) else BASE.wrap(x)


def _lowered(t, level):
    return tree.map_leaves(lambda x: lower(x, level), t)


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
    below = [lower(x, level) for x in leaves]
    return [
        op.zeros_like(x) if found.get(n) is None else lower(found[n], level)
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


def argnums_of(argnums, count, name):
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


def only(func, args, kwargs, nums):
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
        nums = argnums_of(argnums, len(args), "grad")
        f = only(func, args, kwargs, nums)
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
            return lower(y.tangent, level)
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
