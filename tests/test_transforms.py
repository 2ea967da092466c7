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
    for nothing in 1, None:
        with pytest.raises(ValueError, match="must return Tensors"):
            vmap(lambda x, y=nothing: y)(ad.ones(2))
    with pytest.raises(ValueError, match="has a batch dim"):
        vmap(lambda x: x, out_dims=None)(ad.ones(2))
    with pytest.raises(ValueError, match="in_dims has 5"):
        vmap(lambda x: x, in_dims=5)(ad.ones(2, 3))


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


# ---------------------------------------------------------------- what surrounds a transform


W = [2.0, 3.0]


@pytest.mark.parametrize("name", ["grad", "jacrev", "jacfwd", "hessian", "vjp", "jvp"])
def test_what_a_function_closes_over_is_differentiated(name):
    """d/dw of a derivative in y of w y³, at y = 1: its y-derivatives are 3w and 6w."""
    w = ad.tensor(W, dtype=ad.float64, requires_grad=True)
    y = ad.ones(2, dtype=ad.float64)
    makes = {
        "grad": lambda f: grad(lambda y: f(y).sum())(y),
        "jacrev": lambda f: jacrev(f)(y),
        "jacfwd": lambda f: jacfwd(f)(y),
        "hessian": lambda f: hessian(lambda y: f(y).sum())(y),
        "vjp": lambda f: vjp(f, y)[1](y)[0],
        "jvp": lambda f: jvp(f, (y,), (y,))[1],
    }
    made = makes[name](lambda y: w * y**3)
    made.sum().backward()
    factor = 6 if name == "hessian" else 3
    close(made.sum(), factor * 5)
    close(w.grad, [factor, factor])


def test_learning_through_steps_of_descent():
    x = ad.tensor(3.0, requires_grad=True)
    w = ad.tensor(0.0)
    for _ in range(3):
        w = w - 0.1 * grad(lambda w: (w - x) ** 2)(w)
    w.backward()
    close(x.grad, 1 - 0.8**3, 1e-6)


def test_views_around_a_transform_are_differentiated():
    x = ad.tensor([1.0, 2.0], dtype=ad.float64, requires_grad=True)
    v = (x * 2)[1:]
    g = grad(lambda w: (w * v.exp()).sum())(ad.ones(1, dtype=ad.float64))
    (gx,) = ad.autograd.grad(g.sum(), x)
    close(gx, [0, 2 * np.exp(4)])


def test_gradient_before_value():
    g, y = ad.func.grad_and_value(lambda x: (x**2).sum())(X)
    close(g, 2 * X.numpy())
    close(y, (X.numpy() ** 2).sum())
    g, (y, aux) = ad.func.grad_and_value(lambda x: (x.sum(), x), has_aux=True)(X)
    close(aux, X.numpy())


def test_strict_forbids_independence():
    with pytest.raises(RuntimeError, match="independent"):
        jvp(lambda x: ad.ones(2), (X,), (X,), strict=True)
    functional = ad.autograd.functional
    with pytest.raises(RuntimeError, match="does not require gradients"):
        functional.jacobian(lambda x: ad.ones(2), X, strict=True)
    with pytest.raises(RuntimeError, match="output 0 is independent of input 1"):
        functional.jacobian(lambda x, y: x * 2, (X, X), strict=True)
    close(functional.jacobian(lambda x: x * 2, X, strict=True), np.eye(3) * 2)


def test_argnums_are_unique():
    with pytest.raises(ValueError, match="unique"):
        grad(lambda x, y: (x * y).sum(), argnums=(0, 0))(X, X)


def test_memory_order_as_an_example_sees_it():
    seen = []
    x = ad.ones(2, 3, 4)

    def look(x):
        seen.append((x.stride(), x.is_contiguous()))
        return x.sum()

    vmap(look)(x)
    vmap(look, in_dims=2)(x)
    grad(look)(x)
    assert seen == [((4, 1), True), ((12, 4), False), ((12, 4, 1), True)]


def test_batch_normalization_without_running_statistics():
    net = ad.nn.Sequential(ad.nn.BatchNorm1d(2), ad.nn.InstanceNorm1d(2))
    assert ad.func.replace_all_batch_norm_modules_(net) is net
    x = ad.tensor(np.random.default_rng(0).normal(size=(5, 4, 2)))
    y = vmap(lambda x: net[0](x.float()))(x)
    want = (x - x.mean(1, keepdim=True)) / (x.var(1, keepdim=True, correction=0)).sqrt()
    close(y, want.numpy(), 1e-3)


def test_a_level_of_forward_mode_entered_by_hand():
    fw = ad.autograd.forward_ad
    fw.enter_dual_level()
    try:
        y = fw.make_dual(X, X) * 3
        close(fw.unpack_dual(y).tangent, 3 * X.numpy())
    finally:
        fw.exit_dual_level()
    with pytest.raises(RuntimeError, match="no level"):
        fw.exit_dual_level()


@pytest.mark.parametrize("name", ["adjoint", "torch"])
def test_vmap_shows_what_was_written_into_its_inputs(name):
    T = pytest.importorskip(name)

    def add(a, b):
        b.copy_(a + 1)
        a[0] = 5.0
        return a * 2

    x, w = T.zeros(3, 2), T.zeros(2, 3)
    y = T.func.vmap(add, in_dims=(1, 0))(x, w)
    assert x.tolist() == [[5, 5], [0, 0], [0, 0]] and y.tolist() == [[10, 0, 0]] * 2
    assert w.tolist() == [[1, 1, 1]] * 2
    one = T.zeros(3)
    with pytest.raises(RuntimeError):
        T.func.vmap(lambda a, b: b.add_(a), in_dims=(0, None))(T.ones(2, 3), one)
    assert one.tolist() == [0, 0, 0]


@pytest.mark.parametrize("outer", ["vmap", "jvp", "jet", "jacfwd"])
def test_no_gradient_is_asked_for_where_nothing_is_recorded(outer):
    run = {
        "vmap": lambda f: vmap(f)(X),
        "jvp": lambda f: jvp(f, (X,), (X,)),
        "jet": lambda f: ad.jet(f, (X,), ([X],)),
        "jacfwd": lambda f: jacfwd(f)(X),
    }[outer]

    def leaf(x):
        y = x.detach().requires_grad_()
        return ad.autograd.grad((y * y).sum(), y)[0]

    for wrap in (lambda f: f, ad.compile):
        with pytest.raises(
            ad.errors.GradError, match=r"inside vmap, jvp or jet"
        ) as error:
            wrap(lambda: run(leaf))()
        assert "func.grad" in str(error.value)

    run(lambda x: grad(lambda y: (y * y).sum())(x) + ad.nn.Parameter(ad.ones(1)))
