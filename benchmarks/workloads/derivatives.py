"""A Hessian, a Hessian times a vector, a Jacobian."""

from __future__ import annotations

from harness import functions
from harness.workload import Workload, normal, rng


def rosenbrock(x):
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def hessian_face(lib, x):
    return lib.func.hessian(rosenbrock)(x)


def hessian_jax(jax, x):
    return jax.hessian(rosenbrock)(x)


def hessian_autograd(autograd, x):
    return autograd.hessian(lambda x: autograd.numpy.sum(_terms(x)))(x)


def _terms(x):
    return 100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2


def hessian_mlx(mlx, x):
    mx = mlx.core
    slope = mx.grad(rosenbrock)
    return mx.vmap(lambda v: mx.jvp(slope, [x], [v])[1][0])(mx.eye(len(x)))


def digits():
    """Parameters of 64-128-10, a direction, a batch of 64."""
    stream = rng()
    shapes = [(64, 128), (128,), (128, 10), (10,)]
    params = [normal(stream, *s, scale=0.1) for s in shapes]
    direction = [normal(stream, *s) for s in shapes]
    x, t = normal(stream, 64, 64), stream.integers(0, 10, 64)
    return {"inputs": [*params, *direction, x, t]}


def network(relu, x, w1, b1, w2, b2):
    return relu(x @ w1 + b1) @ w2 + b2


def hvp_face(lib, *arrays):
    params, direction, (x, t) = arrays[:4], arrays[4:8], arrays[8:]

    def loss(*params):
        return lib.nn.functional.cross_entropy(network(lib.relu, x, *params), t)

    slope = lib.func.grad(loss, argnums=(0, 1, 2, 3))
    return lib.func.jvp(slope, params, direction)[1]


def hvp_jax(jax, *arrays):
    params, direction, (x, t) = arrays[:4], arrays[4:8], arrays[8:]

    def loss(*params):
        y = jax.nn.log_softmax(network(jax.nn.relu, x, *params))
        return -jax.numpy.take_along_axis(y, t[:, None], 1).mean()

    return jax.jvp(jax.grad(loss, argnums=(0, 1, 2, 3)), params, direction)[1]


def hvp_mlx(mlx, *arrays):
    params, direction, (x, t) = arrays[:4], arrays[4:8], arrays[8:]

    def loss(*params):
        y = network(mlx.nn.relu, x, *params)
        return mlx.nn.losses.cross_entropy(y, t, reduction="mean")

    slope = mlx.core.grad(loss, argnums=(0, 1, 2, 3))
    return mlx.core.jvp(slope, list(params), list(direction))[1]


def layers():
    """A point and two matrices of 100."""
    stream = rng()
    ws = [normal(stream, 100, 100, scale=0.1) for _ in range(2)]
    return {"inputs": [normal(stream, 100), *ws]}


def jacobian_face(lib, x, a, b):
    return lib.func.jacrev(lambda x: lib.tanh(b @ lib.tanh(a @ x)))(x)


def jacobian_jax(jax, x, a, b):
    tanh = jax.numpy.tanh
    return jax.jacrev(lambda x: tanh(b @ tanh(a @ x)))(x)


def jacobian_autograd(autograd, x, a, b):
    np = autograd.numpy
    f = lambda x: np.tanh(np.dot(b, np.tanh(np.dot(a, x))))  # noqa: E731
    return autograd.jacobian(f)(x)


def jacobian_mlx(mlx, x, a, b):
    mx = mlx.core

    def f(x):
        return mx.tanh(b @ mx.tanh(a @ x))

    return mx.vmap(lambda v: mx.vjp(f, [x], [v])[1][0])(mx.eye(100))


WORKLOADS = {
    "hessian": Workload(
        title="Hessian of the 50-dimensional Rosenbrock function",
        data=lambda: {"inputs": [normal(rng(), 50)]},
        forms={
            **functions.face(hessian_face),
            "jax": functions.jax(hessian_jax),
            "mlx": functions.mlx(hessian_mlx),
            "autograd": functions.eager(hessian_autograd),
        },
        goal=3,
    ),
    "hvp": Workload(
        title="Hessian times a vector, digits MLP",
        data=digits,
        forms={
            **functions.face(hvp_face),
            "jax": functions.jax(hvp_jax),
            "mlx": functions.mlx(hvp_mlx),
        },
        goal=1.2,
        flop=2.0 * 64 * (64 * 128 * 4 + 128 * 10 * 9),
    ),
    "jacobian": Workload(
        title="Jacobian 100 -> 100 of tanh(B tanh(A x))",
        data=layers,
        forms={
            **functions.face(jacobian_face),
            "jax": functions.jax(jacobian_jax),
            "mlx": functions.mlx(jacobian_mlx),
            "autograd": functions.eager(jacobian_autograd),
        },
        goal=2,
    ),
}
