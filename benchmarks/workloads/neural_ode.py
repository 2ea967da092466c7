"""A neural ODE: 200 steps of Runge-Kutta 4 through 2-16-2, gradient of the end's square."""

from __future__ import annotations

from functools import partial

import numpy as np
from harness import functions, native, training
from harness.workload import Run, Workload, normal, rng

STEPS, STEP = 200, 0.05


def data(batch):
    stream = rng()
    shapes = [(2, 16), (16,), (16, 2), (2,)]
    params = [normal(stream, *s, scale=0.3) for s in shapes]
    return {"inputs": [normal(stream, batch, 2), *params]}


def slope(tanh, params, y):
    w1, b1, w2, b2 = params
    return tanh(y @ w1 + b1) @ w2 + b2


def advance(f, y):
    """One step of Runge-Kutta 4."""
    a = f(y)
    b = f(y + STEP / 2 * a)
    c = f(y + STEP / 2 * b)
    d = f(y + STEP * c)
    return y + STEP / 6 * (a + 2 * b + 2 * c + d)


def face(lib, y, *params):
    """The steps as one scan."""

    def body(y, _):
        return advance(partial(slope, lib.tanh, params), y), None

    y = functions.scan(lib)(body, y, None, length=STEPS)[0]
    value = (y * y).sum()
    return value, *lib.autograd.grad(value, params)


def inductor(torch, d) -> Run:
    """One step compiled, called 200 times under autograd."""
    y, *params = leaves(torch, d)
    fast = torch.compile(_torch_step, fullgraph=True)

    def whole(y, *params):
        for _ in range(STEPS):
            y = fast(torch, y, *params)
        value = (y * y).sum()
        return value, *torch.autograd.grad(value, params)

    return functions.kept(whole, [y, *params], training.arrays)


def _torch_step(torch, y, *params):
    return advance(partial(slope, torch.tanh, params), y)


def leaves(torch, d):
    y, *params = (torch.from_numpy(a) for a in d["inputs"])
    return y, *(p.requires_grad_() for p in params)


def jax(jax, y, *params):
    def value(params):
        def body(y, _):
            return advance(partial(slope, jax.numpy.tanh, params), y), None

        end = jax.lax.scan(body, y, length=STEPS)[0]
        return (end * end).sum()

    return jax.value_and_grad(value)(params)


def mlx(mlx, y, *params):
    def value(*params):
        end = y
        for _ in range(STEPS):
            end = advance(partial(slope, mlx.core.tanh, params), end)
        return (end * end).sum()

    return mlx.core.value_and_grad(value, argnums=(0, 1, 2, 3))(*params)


def autograd(autograd, y, *params):
    np = autograd.numpy

    def value(params):
        end = y
        for _ in range(STEPS):
            end = advance(partial(slope, np.tanh, params), end)
        return np.sum(end * end)

    return autograd.value_and_grad(value)(params)


def c(numpy, d) -> Run:
    y, *params = map(native.aligned, d["inputs"])
    out = [native.aligned(0.0), *(np.zeros_like(p) for p in params)]
    start = native.aligned(y.T)
    batch = y.shape[0]
    path = np.empty((STEPS + 1, 2, batch), np.float32)
    arguments = [start, *params, *out, path, batch, STEPS, STEP]
    return native.run("neural_ode", "gradient", arguments, out)


def workload(batch, goal) -> Workload:
    return Workload(
        title=f"neural ODE, 200 RK4 steps of 2-16-2, gradient, batch {batch}",
        data=partial(data, batch),
        forms={
            **functions.native_scan(functions.face(face, (1, 2, 3, 4))),
            "torch.compile": inductor,
            "jax": functions.jax(jax),
            "mlx": functions.mlx(mlx, compiled=False),
            "autograd": functions.eager(autograd),
            "C": c,
        },
        goal=goal,
        check=1,
        notes={"torch.compile": "one step compiled, called 200 times"},
    )


WORKLOADS = {"neural_ode_1": workload(1, 2.5), "neural_ode_128": workload(128, 3)}
