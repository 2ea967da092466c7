"""`backward` and `grad`, as users call them: arguments become a sweep, what it found tensors."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from ..core.bind import Box, dtype_of, new_level
from ..core.primitive import op
from ..errors import ArgumentError, ArgumentTypeError, GradError
from .accumulation import accumulate, in_dtype_of
from .backward import Sweep, at_least, cotangent
from .batch import Batch
from .node import GradientEdge, Leaf
from .tape import BASE, Tape


def backward(
    tensors, grad_tensors=None, retain_graph=None, create_graph=False, inputs=None
):
    """Accumulate the gradients of `tensors` into the `.grad` of the leaves.

    >>> import adjoint as ad
    >>> x = ad.tensor([1., 2.], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    tensor([2., 4.])
    """
    roots, seeds = _start(tensors, grad_tensors, create_graph)
    retain = create_graph if retain_graph is None else retain_graph
    options = {"retain": retain, "create": create_graph}
    into = None if inputs is None else _arriving(inputs, roots[0].level)
    if into is None or all(type(node) is Leaf for node in into):
        Sweep(roots, seeds, into=into, **options).run()
        return
    for node, g in Sweep(roots, seeds, targets=into, **options).run().items():
        if into[node].retainer is None:  # else it has done so
            accumulate(into[node], g, create_graph, False)


def _arriving(inputs, level) -> dict:
    """node -> tensor of the `inputs` of backward, in whose `.grad` gradients arrive."""
    inputs = _tuple(inputs)
    if not inputs:
        raise GradError("backward: inputs must not be empty")
    inputs = [_tensor_at(x) for x in inputs]
    for x in inputs:
        level.arrives(x)
    return {_node_of(x, i): x for i, x in enumerate(inputs)}


def grad(
    outputs,
    inputs,
    grad_outputs=None,
    retain_graph=None,
    create_graph=False,
    only_inputs=True,
    allow_unused=None,
    is_grads_batched=False,
    materialize_grads=False,
):
    """The gradients of `outputs` with respect to `inputs`, as a tuple.

    >>> import adjoint as ad
    >>> x = ad.tensor(3., requires_grad=True)
    >>> ad.autograd.grad(x ** 2, x)
    (tensor(6.),)
    """
    if is_grads_batched:
        options = retain_graph, create_graph, True, allow_unused, False
        return _grad_of_batch(
            outputs, inputs, grad_outputs, *options, materialize_grads
        )
    inputs = _tuple(inputs)
    if not inputs:
        raise GradError("grad: inputs must not be empty")
    if materialize_grads and allow_unused is False:
        raise ArgumentError(
            "materialize_grads=True needs allow_unused to be True or unset"
        )
    allow_unused = materialize_grads if allow_unused is None else allow_unused
    roots, seeds = _start(outputs, grad_outputs, create_graph)
    stand_in = roots[0].level.stand_in
    nodes = [_node_of(stand_in(x, roots), i) for i, x in enumerate(inputs)]
    retain = create_graph if retain_graph is None else retain_graph
    targets = dict.fromkeys(nodes)
    found = Sweep(
        roots, seeds, targets=targets, retain=retain, create=create_graph
    ).run()
    if not allow_unused:
        _need_all(found, inputs, nodes)
    pairs = zip(inputs, nodes, strict=True)
    gs = [_as_gradient(found.get(n), x, n, materialize_grads) for x, n in pairs]
    return tuple(gs)


def _as_gradient(g, x, node, materialize):
    """What arrived at the node of `x`, as a tensor in the dtype of `x`; nothing: or zeros."""
    if g is None:
        return op.zeros_like(x) if materialize else None
    if at_least(g, node.level):
        return g
    return node.level.wrap(in_dtype_of(x, g) if isinstance(x, Box) else g)


def _need_all(found, inputs, nodes) -> None:
    """The error for an input at whose node nothing arrived."""
    for i, (x, node) in enumerate(zip(inputs, nodes, strict=True)):
        if found.get(node) is None:
            raise GradError(
                f"grad: input {i} {_shape_of(x)} was not used in computing the outputs",
                hint="allow_unused=True gives None for it, materialize_grads=True zeros",
            )


def _shape_of(x) -> str:
    return f"({list(x.shape)})" if isinstance(x, Box) else f"({x.node!r})"


def _grad_of_batch(outputs, inputs, seeds, *options):
    """`grad` for seeds with a first dim more, all rows in one sweep."""
    seeds = _tuple(seeds)
    size = next(s.shape[0] for s in seeds if s is not None)
    with new_level(Batch(size, "error")) as level:
        seeds = tuple(None if s is None else level.batched(s, 0) for s in seeds)
        gs = grad(outputs, inputs, seeds, *options)
        gs = [None if g is None else level.unwrap(g, 0) for g in gs]
    return tuple(g if g is None or isinstance(g, Box) else BASE.wrap(g) for g in gs)


def _tuple(x):
    """One, or all that there are in anything to go through, such as the values of a dict."""
    one = isinstance(x, (Box, GradientEdge, np.ndarray)) or not isinstance(x, Iterable)
    return (x,) if one else tuple(x)


def _tensor_at(x):
    """The tensor whose `.grad` is meant by `x`, a tensor or the edge of a leaf."""
    if not isinstance(x, GradientEdge):
        return x
    if type(x.node) is not Leaf or x.node.variable is None:
        raise GradError("backward: only the edges of leaves have a .grad to add to")
    return x.node.variable


def _node_of(x, i):
    if not isinstance(x, Box):
        if isinstance(x, GradientEdge):
            return x.node
        raise ArgumentTypeError(
            f"grad: input {i} must be a Tensor, got {type(x).__name__}"
        )
    if x.base is not None:
        x.sync()
    if x.node is None:
        raise GradError(
            f"grad: input {i} ({list(x.shape)}) does not require grad",
            hint="requires_grad_() before it is used",
        )
    return x.node


def _start(outputs, seeds, create):
    """(nodes, cotangents) with which a sweep starts, checked."""
    outputs = _tuple(outputs)
    seeds = (None,) * len(outputs) if seeds is None else _tuple(seeds)
    if len(seeds) != len(outputs):
        raise GradError(
            f"got {len(outputs)} outputs and {len(seeds)} gradients for them"
        )
    nodes, values = [], []
    for i, y in enumerate(outputs):
        if y.base is not None:
            y.sync()
        if y.node is None:
            raise _without_graph(y)
        nodes.append(y.node)
        values.append(_seed(y, seeds[i], create))
    return nodes, values


def _without_graph(y) -> GradError:
    """The error for an output that leads to no leaf."""
    says = "element 0 of tensors does not require grad and does not have a grad_fn: "
    if isinstance(y.level, Tape):
        return GradError(says + "nothing with requires_grad=True went into it")
    return GradError(
        says + "it is a value inside vmap, jvp or jet, which record nothing",
        hint="func.grad(f)(x) is the gradient of f there, or call requires_grad_() and "
        "backward() around the transform",
    )


def _seed(y, seed, create):
    """The cotangent of an output: the user's, checked and cast, or the one of a number."""
    d = dtype_of(y)
    if seed is None and y.plain and y.value.size == 1 and d.kind != "c" and not create:
        return np.ones(y.value.shape, d) if y.value.ndim else np.array(1, d)[()]
    if seed is None:
        _need_number(y, d)
        seed = op.ones_like(y)
    elif tuple(seed.shape) != tuple(y.shape):
        raise GradError(
            f"the gradient has shape {tuple(seed.shape)}, its output {tuple(y.shape)}: "
            "they must be the same"
        )
    elif dtype_of(seed) != d:
        seed = op.cast(seed, dtype=d)
    return cotangent(seed, y.level, create)


def _need_number(y, d) -> None:
    """The error for an output that needs a cotangent from the user: no real number."""
    if math.prod(y.shape) != 1:
        raise GradError(
            "grad can be implicitly created only for scalar outputs, got shape "
            f"{tuple(y.shape)}",
            hint="backward(gradient=...), or reduce the output, as with .sum()",
        )
    if d.kind == "c":
        raise GradError("grad can be implicitly created only for real scalar outputs")
