"""What calling a compiled function of one number costs."""

from __future__ import annotations

import numpy as np
from harness import functions
from harness.workload import Workload


def face(lib, x):
    return lib.sin(x) * lib.exp(-x)


def jax(jax, x):
    return jax.numpy.sin(x) * jax.numpy.exp(-x)


def mlx(mlx, x):
    return mlx.core.sin(x) * mlx.core.exp(-x)


def tinygrad(tg, x):
    return (x.sin() * (-x).exp()).realize()


WORKLOADS = {
    "scalar_call": Workload(
        title="call of a compiled scalar function",
        data=lambda: {"inputs": [np.array(0.7, np.float32)]},
        forms={
            **functions.face(face),
            "jax": functions.jax(jax),
            "tinygrad": functions.tinygrad(tinygrad),
            "mlx": functions.mlx(mlx),
        },
        most=2e-6,
    )
}
