"""`adjoint.autograd.functional`: derivatives of functions, in the form before `func`."""

from __future__ import annotations

from ..autodiff import jacobians, transforms
from ..autodiff.gradients import grad
from ..autodiff.modes import enable_grad
from ..core import tree
from ..core.bind import Box
from ..core.primitive import op
from ..errors import ArgumentError, ArgumentTypeError, GradError


def _tensors(inputs, name):
    xs = inputs if isinstance(inputs, tuple) else (inputs,)
    for i, x in enumerate(xs):
        if not isinstance(x, Box):
            raise ArgumentTypeError(
                f"{name}: the inputs must be Tensors, got {type(x).__name__} at {i}"
            )
    return xs


def _start(inputs, name, create_graph, func=None):
    """The inputs as the transforms take them; with `func` each output must depend on each."""
    xs = _tensors(inputs, name)
    if func is not None:
        _need_dependence(func, xs, name)
    return xs if create_graph else tuple(x.detach() for x in xs)


def _need_dependence(func, xs, name):
    leaves = [x.detach().requires_grad_() for x in xs]
    with enable_grad():
        ys = func(*leaves)
    for i, y in enumerate(ys if isinstance(ys, tuple) else (ys,)):
        if not y.requires_grad:
            raise GradError(
                f"{name}: output {i} does not require gradients, which strict=True forbids"
            )
        gs = grad(y, leaves, op.ones_like(y), retain_graph=True, allow_unused=True)
        for j, g in enumerate(gs):
            if g is None:
                raise GradError(
                    f"{name}: output {i} is independent of input {j}, which strict=True "
                    "forbids"
                )


def _done(result, create_graph):
    return result if create_graph else tree.map_leaves(lambda x: x.detach(), result)


def _nums(inputs, xs):
    return tuple(range(len(xs))) if isinstance(inputs, tuple) else 0


def _of(inputs, xs):
    """The tuple, or the one tensor that was given as such."""
    return tuple(xs) if isinstance(inputs, tuple) else xs[0]


def _weights(v, like, name):
    """`v` in the form of a tuple, checked; of a scalar it may be left out."""
    ys = like if isinstance(like, tuple) else (like,)
    if v is None:
        if len(ys) != 1 or ys[0].numel() != 1:
            raise GradError(
                f"{name}: v can be left out only for a single output of one element"
            )
        return (op.ones_like(ys[0]),)
    vs = _tensors(v, name)
    if [tuple(a.shape) for a in vs] != [tuple(y.shape) for y in ys]:
        raise GradError(f"{name}: v must have the sizes of what it multiplies")
    return vs


def jacobian(
    func,
    inputs,
    create_graph=False,
    strict=False,
    vectorize=False,
    strategy="reverse-mode",
):
    """The Jacobian of func at inputs: for each output and input a block.

    >>> autograd.functional.jacobian(lambda x: x ** 2, tensor([1., 2.]))
    tensor([[2., 0.],
            [0., 4.]])
    """
    modes = {"reverse-mode": jacobians.jacrev, "forward-mode": jacobians.jacfwd}
    if strategy not in modes:
        raise ArgumentError(
            f"jacobian: strategy must be reverse-mode or forward-mode, got {strategy!r}"
        )
    xs = _start(inputs, "jacobian", create_graph, func if strict else None)
    made = modes[strategy](func, _nums(inputs, xs))(*xs)
    return _done(made, create_graph)


def hessian(
    func,
    inputs,
    create_graph=False,
    strict=False,
    vectorize=False,
    outer_jacobian_strategy="reverse-mode",
):
    """The second derivatives of a scalar function.

    >>> autograd.functional.hessian(lambda x: (x ** 3).sum(), tensor([1., 2.]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    xs = _start(inputs, "hessian", create_graph, func if strict else None)

    def scalar(*args):
        y = func(*args)
        if not isinstance(y, Box) or y.numel() != 1:
            raise GradError(
                "hessian: the function must return one tensor of one element"
            )
        return y.reshape(())

    return _done(jacobians.hessian(scalar, _nums(inputs, xs))(*xs), create_graph)


def vjp(func, inputs, v=None, create_graph=False, strict=False):
    """(func(inputs), v times its Jacobian).

    >>> autograd.functional.vjp(lambda x: x ** 2, tensor([1., 2.]), ones(2))
    (tensor([1., 4.]), tensor([2., 4.]))
    """
    xs = _start(inputs, "vjp", create_graph, func if strict else None)
    y, pull = transforms.vjp(func, *xs)
    gs = _of(inputs, pull(_of(y, _weights(v, y, "vjp"))))
    return _done((y, gs), create_graph)


def jvp(func, inputs, v=None, create_graph=False, strict=False):
    """(func(inputs), its Jacobian times v).

    >>> autograd.functional.jvp(lambda x: x ** 2, tensor([1., 2.]), ones(2))
    (tensor([1., 4.]), tensor([2., 4.]))
    """
    xs = _start(inputs, "jvp", create_graph, func if strict else None)
    vs = _weights(v, xs, "jvp")
    return _done(transforms.jvp(func, xs, tuple(vs)), create_graph)


def hvp(func, inputs, v=None, create_graph=False, strict=False):
    """(func(inputs), its Hessian times v).

    >>> autograd.functional.hvp(lambda x: (x ** 3).sum(), tensor([1., 2.]), ones(2))
    (tensor(9.), tensor([ 6., 12.]))
    """
    xs = _start(inputs, "hvp", create_graph, func if strict else None)
    vs = _weights(v, xs, "hvp")
    both = transforms.value_and_grad(func, tuple(range(len(xs))))
    (y, _), (_, moved) = transforms.jvp(both, xs, tuple(vs))
    return _done((y, _of(inputs, moved)), create_graph)


def vhp(func, inputs, v=None, create_graph=False, strict=False):
    """(func(inputs), v times its Hessian), by reverse mode twice.

    >>> autograd.functional.vhp(lambda x: (x ** 3).sum(), tensor([1., 2.]), ones(2))
    (tensor(9.), tensor([ 6., 12.]))
    """
    xs = _start(inputs, "vhp", create_graph, func if strict else None)
    vs = tuple(_weights(v, xs, "vhp"))
    both = transforms.value_and_grad(func, tuple(range(len(xs))))
    _, pull, y = transforms.vjp(lambda *a: both(*a)[::-1], *xs, has_aux=True)
    return _done((y, _of(inputs, pull(vs))), create_graph)


__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]
