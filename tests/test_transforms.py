"""Transforms nest in any order; values against closed forms and finite differences."""

import numpy as np
import pytest

import adjoint as ad
from adjoint.func import (
    grad,
    hessian,
    hvp,
    jacfwd,
    jacrev,
    jvp,
    linearize,
    value_and_grad,
    vjp,
    vmap,
)

X = ad.tensor([0.5, -1.5, 2.0], dtype=ad.float64)
ONE = ad.tensor(1.0, dtype=ad.float64)


def close(a, b, tol=1e-9):
    np.testing.assert_allclose(a.detach().numpy(), np.asarray(b), rtol=tol, atol=tol)


def cube(x):
    return (x**3).sum()


def test_first_and_second_derivatives():
    x = X.numpy()
    close(grad(cube)(X), 3 * x**2)
    close(jacrev(lambda x: x**3)(X), np.diag(3 * x**2))
    close(jacfwd(lambda x: x**3)(X), np.diag(3 * x**2))
    close(hessian(cube)(X), np.diag(6 * x))
    close(hvp(cube, (X,), (X,)), 6 * x * x)


@pytest.mark.parametrize("outer", [jacrev, jacfwd])
@pytest.mark.parametrize("middle", [jacrev, jacfwd])
@pytest.mark.parametrize("inner", [jacrev, jacfwd])
def test_third_derivative_in_every_order(outer, middle, inner):
    want = np.zeros((3, 3, 3))
    want[range(3), range(3), range(3)] = 6
    close(outer(middle(inner(cube)))(X), want)


def test_no_perturbation_confusion():
    close(grad(lambda x: x * grad(lambda y: x + y)(ONE))(ONE), 1)
    close(grad(lambda x: x * grad(lambda y: x * y)(x))(ONE * 3), 6)

    def inner(x):
        return jvp(lambda y: x * y * y, (x,), (ONE,))[1]

    close(jvp(inner, (ONE * 3,), (ONE,))[1], 12)
    close(grad(inner)(ONE * 3), 12)


def test_vmap_and_grad_both_ways():
    close(vmap(grad(lambda x: x**3))(X), 3 * X.numpy() ** 2)
    close(grad(lambda w: vmap(lambda x: w * x)(X).sum())(ONE), X.numpy().sum())
    close(vmap(lambda a: grad(lambda w: w * a)(ONE))(X), X.numpy())
    w = X.clone().requires_grad_()
    vmap(lambda x: x * w)(ad.ones(4, 3, dtype=ad.float64)).sum().backward()
    close(w.grad, [4, 4, 4])


def test_vmap_dims_and_containers():
    a, b = ad.ones(2, 3, dtype=ad.float64), ad.ones(3, 2, dtype=ad.float64)
    assert tuple(vmap(lambda x, y: x + y, in_dims=(1, 0))(a, b).shape) == (3, 2)
    assert tuple(vmap(lambda x: x, out_dims=1)(ad.ones(2, 3, 4)).shape) == (3, 2, 4)
    out = vmap(lambda d: {"s": d["x"].sum() + d["y"]}, in_dims=({"x": 0, "y": None},))(
        {"x": a, "y": ONE}
    )
    close(out["s"], [4, 4])
    nested = vmap(vmap(lambda x, y: x * y, in_dims=(None, 0)), in_dims=(0, None))
    close(nested(X, X), np.outer(X.numpy(), X.numpy()))
    close(vmap(lambda x: x.sin(), chunk_size=2)(X), np.sin(X.numpy()))


def test_vmap_refuses_what_makes_no_sense():
    with pytest.raises(ValueError, match="one size"):
        vmap(lambda x, y: x + y)(ad.ones(2), ad.ones(3))
    with pytest.raises(ValueError, match="in_dims"):
        vmap(lambda x: x, in_dims=None)(ad.ones(2))
    with pytest.raises(RuntimeError, match="batched"):
        vmap(lambda x: x if x.item() > 0 else -x)(ad.ones(2))
    with pytest.raises(TypeError, match="must return Tensors"):
        vmap(lambda x: 1)(ad.ones(2))


def test_grad_refuses_what_makes_no_sense():
    with pytest.raises(RuntimeError, match="scalar"):
        grad(lambda x: x)(X)
    with pytest.raises(RuntimeError, match="floating"):
        grad(lambda x: x.sum())(ad.tensor([1, 2]))
    with pytest.raises(ValueError, match="argnum"):
        grad(cube, argnums=3)(X)
    with pytest.raises(RuntimeError, match="tangent"):
        jvp(cube, (X,), (ONE,))


def test_argnums_aux_and_trees():
    def f(p, x):
        return (p["w"] * x + p["b"]).sum(), x

    p = {"w": X, "b": ONE}
    g, aux = grad(f, has_aux=True)(p, X)
    close(g["w"], X.numpy())
    close(g["b"], 3)
    close(aux, X.numpy())
    value, (gx, gy) = value_and_grad(lambda x, y: (x * y).sum(), argnums=(0, 1))(
        X, X * 2
    )
    close(value, (2 * X.numpy() ** 2).sum())
    close(gx, 2 * X.numpy())
    close(gy, X.numpy())
    j = jacrev(lambda p: {"y": p["w"] * p["b"]})(p)
    close(j["y"]["w"], np.eye(3))
    close(j["y"]["b"], X.numpy())


def test_vjp_pulls_often_and_linearize_is_linear():
    y, pull = vjp(lambda x: x**2, X)
    close(pull(ad.ones_like(X))[0], 2 * X.numpy())
    close(pull(ad.ones_like(X) * 2)[0], 4 * X.numpy())
    y, push = linearize(lambda x: x.sin(), X)
    close(y, np.sin(X.numpy()))
    close(push(X), np.cos(X.numpy()) * X.numpy())
    close(push(X * 2), 2 * np.cos(X.numpy()) * X.numpy())


def test_zero_for_what_does_not_matter():
    close(grad(lambda x: ONE * 2)(X), [0, 0, 0])
    close(jvp(lambda x: ONE * 2, (X,), (X,))[1], 0)


def test_writes_inside_transforms():
    def f(x):
        y = ad.zeros(4, dtype=ad.float64)
        y[0] = x[1]
        y[1:] = x * x
        y[1:3] *= 3
        return y

    want = np.zeros((4, 3))
    want[0, 1] = 1
    want[1, 0], want[2, 1], want[3, 2] = 6 * 0.5, 6 * -1.5, 2 * 2.0
    close(jacrev(f)(X), want)
    close(jacfwd(f)(X), want)
    close(vmap(f)(ad.stack([X, X])), np.stack([f(X).numpy()] * 2))


def test_zero_stays_zero_through_a_select():
    x = ad.tensor([0.0, 4.0], dtype=ad.float64)

    def safe(x):
        return ad.where(x > 0, x.sqrt(), 0.0).sum()

    close(grad(safe)(x), [0, 0.25])
    close(
        jvp(lambda x: ad.where(x > 0, x.log(), 0.0), (x,), (ad.zeros_like(x),))[1],
        [0, 0],
    )


def test_no_grad_inside_and_outside():
    with ad.no_grad():
        close(grad(cube)(X), 3 * X.numpy() ** 2)

    def half(x):
        with ad.no_grad():
            c = x**2
        return (c * x).sum()

    close(grad(half)(X), X.numpy() ** 2)
