"""A physics-informed network: Burgers' equation's residual u_t + u u_x - nu u_xx, Adam."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import numpy as np
from harness import training
from harness.workload import Workload, normal, rng

SIZES, BATCH, NU = (2, 32, 32, 32, 1), 1024, 0.01


def data():
    stream, params = rng(), {}
    for i, (n, m) in enumerate(pairwise(SIZES)):
        params[f"{2 * i}.weight"] = normal(stream, m, n, scale=n**-0.5)
        params[f"{2 * i}.bias"] = normal(stream, m, scale=0.1)
    points = stream.uniform(-1, 1, (BATCH, 2)).astype(np.float32)
    return {"params": params, "batch": [points]}


def model(lib):
    nn, layers = lib.nn, []
    for n, m in pairwise(SIZES):
        layers += [nn.Linear(n, m), nn.Tanh()]
    return nn.Sequential(*layers[:-1])


def face_loss(lib, net, points):
    """Nested gradients, then .backward() through them."""
    points = points.detach().requires_grad_()
    u = net(points)[:, 0]
    grad = partial(lib.autograd.grad, create_graph=True)
    u_x, u_t = grad(u.sum(), points)[0].unbind(1)
    u_xx = grad(u_x.sum(), points)[0][:, 0]
    return ((u_t + u * u_x - NU * u_xx) ** 2).mean()


def residual(u, u_x, u_t, u_xx):
    return ((u_t + u * u_x - NU * u_xx) ** 2).mean()


def forward(jvp, net, points, x, t):
    """Forward mode over forward mode, which costs less where inputs are two."""

    def along(points):
        return jvp(net, (points,), (x,))

    (u, u_x), (_, u_xx) = jvp(along, (points,), (x,))
    return residual(u, u_x, jvp(net, (points,), (t,))[1], u_xx)


def inductor_loss(torch, net, points):
    """torch.compile takes torch.func's gradients in one another; not jvp in grad."""
    return reverse(torch.func.grad, torch, lambda y: net(y)[:, 0], points)


def network(tanh, p, y):
    for i in (0, 2, 4):
        y = tanh(y @ p[f"{i}.weight"].T + p[f"{i}.bias"])
    return (y @ p["6.weight"].T + p["6.bias"])[:, 0]


def jax_loss(jax, p, points):
    np = jax.numpy
    x, t = (np.broadcast_to(np.eye(2)[i], points.shape) for i in range(2))
    return forward(jax.jvp, partial(network, np.tanh, p), points, x, t)


def reverse(grad, np, net, points):
    """Gradients of sums, nested."""

    def first(points):
        return grad(lambda y: np.sum(net(y)))(points)

    d = first(points)
    u_xx = grad(lambda y: np.sum(first(y)[:, 0]))(points)[:, 0]
    return residual(net(points), d[:, 0], d[:, 1], u_xx)


def mlx_loss(mlx, p, points):
    mx = mlx.core
    return reverse(mx.grad, mx, partial(network, mx.tanh, p), points)


def autograd_loss(autograd, p, points):
    np = autograd.numpy
    return reverse(autograd.grad, np, partial(network, np.tanh, p), points)


def tinygrad_loss(tg, p, points):
    points = points.clone().is_param_()
    u = network(tg.Tensor.tanh, p, points)
    (d,) = u.sum().gradient(points)
    (dd,) = d[:, 0].sum().gradient(points)
    return residual(u, d[:, 0], d[:, 1], dd[:, 0])


WORKLOADS = {
    "pinn": Workload(
        title="PINN with u_t, u_xx, MLP 2-32-32-32-1 tanh, batch 1024, Adam",
        data=data,
        forms={
            **training.trainer(model, face_loss),
            "torch.compile": partial(
                training.inductor, model=model, loss=inductor_loss
            ),
            "jax": training.jax(jax_loss),
            "tinygrad": training.tinygrad(tinygrad_loss),
            "mlx": training.mlx(mlx_loss),
            "autograd": training.autograd(autograd_loss),
        },
        goal=1.8,
        notes={
            "jax": "forward over forward mode inside",
            "torch.compile": "torch.func.grad nested; jvp inside grad fails",
        },
    )
}
