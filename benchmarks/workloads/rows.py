"""Operations along rows: softmax, and layer norm with its gradients."""

from __future__ import annotations

import numpy as np
from harness import functions, native
from harness.workload import Run, Workload, normal, rng

SOFTMAX, NORM = (8192, 1024), (4096, 1024)


def softmax_face(lib, x):
    return lib.softmax(x, -1)


def softmax_jax(jax, x):
    return jax.nn.softmax(x)


def softmax_mlx(mlx, x):
    return mlx.core.softmax(x, axis=-1)


def softmax_tinygrad(tg, x):
    return x.softmax().realize()


def softmax_numpy(numpy, x):
    e = numpy.exp(x - x.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def softmax_c(numpy, d) -> Run:
    x = native.aligned(d["inputs"][0])
    y = np.empty_like(x)
    return native.run("rows", "softmax", [x, y, *SOFTMAX], [y])


def norm_data():
    """Rows, scale and shift, and the gradient that arrives."""
    stream = rng()
    x, g = (normal(stream, *NORM) for _ in range(2))
    return {"inputs": [x, normal(stream, NORM[1]), normal(stream, NORM[1]), g]}


def norm_face(lib, x, w, b, g):
    y = lib.nn.functional.layer_norm(x, (NORM[1],), w, b)
    return y, *lib.autograd.grad(y, (x, w, b), g)


def norm_inductor(torch, x, w, b, g):
    """torch.compile takes no gradient inside but torch.func's."""

    def norm(x, w, b):
        return torch.nn.functional.layer_norm(x, (NORM[1],), w, b)

    y, pull = torch.func.vjp(norm, x, w, b)
    return y, *pull(g)


def norm_jax(jax, x, w, b, g):
    np = jax.numpy

    def norm(x, w, b):
        x = x - x.mean(-1, keepdims=True)
        return x * jax.lax.rsqrt(np.mean(x * x, -1, keepdims=True) + 1e-5) * w + b

    y, pull = jax.vjp(norm, x, w, b)
    return y, *pull(g)


def norm_mlx(mlx, x, w, b, g):
    def norm(x, w, b):
        return mlx.core.fast.layer_norm(x, w, b, 1e-5)

    ys, gs = mlx.core.vjp(norm, [x, w, b], [g])
    return *ys, *gs


def norm_tinygrad(tg, x, w, b, g):
    y = x.layernorm(eps=1e-5) * w + b
    gs = y.gradient(x, w, b, gradient=g)
    return y.realize(*gs), *gs


def norm_c(numpy, d) -> Run:
    x, w, b, g = map(native.aligned, d["inputs"])
    y, gx, gw, gb = (np.empty_like(a) for a in (x, x, w, b))
    arrays = [x, w, b, g, y, gx, gw, gb]
    return native.run("rows", "layer_norm", [*arrays, *NORM], [y, gx, gw, gb])


WORKLOADS = {
    "softmax": Workload(
        title="softmax 8192x1024",
        data=lambda: {"inputs": [normal(rng(), *SOFTMAX)]},
        forms={
            **functions.face(softmax_face),
            "jax": functions.jax(softmax_jax),
            "tinygrad": functions.tinygrad(softmax_tinygrad),
            "mlx": functions.mlx(softmax_mlx),
            "NumPy": functions.eager(softmax_numpy),
            "C": softmax_c,
        },
        goal=3,
        bytes=8.0 * SOFTMAX[0] * SOFTMAX[1],
    ),
    "layer_norm": Workload(
        title="layer norm 4096x1024, forward and backward",
        data=norm_data,
        forms={
            **functions.face(norm_face, (0, 1, 2), norm_inductor),
            "jax": functions.jax(norm_jax),
            "tinygrad": functions.tinygrad(norm_tinygrad),
            "mlx": functions.mlx(norm_mlx),
            "C": norm_c,
        },
        goal=1.5,
        bytes=16.0 * NORM[0] * NORM[1],
    ),
}
