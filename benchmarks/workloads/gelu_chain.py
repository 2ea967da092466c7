"""y = gelu(x a + b) c + d on 16 million floats: exact, and by tanh."""

from __future__ import annotations

from functools import partial

import numpy as np
from harness import functions, native
from harness.workload import Run, Workload, normal, rng

COUNT = 1 << 24
A, B, C, D = 0.9, 0.1, 1.1, -0.2


def data():
    return {"inputs": [normal(rng(), COUNT)]}


def face(lib, x, approximate):
    return lib.nn.functional.gelu(x * A + B, approximate=approximate) * C + D


def jax(jax, d, approximate) -> Run:
    """Donated: every call takes the place of its input."""

    @partial(jax.jit, donate_argnums=0)
    def fast(x):
        return jax.nn.gelu(x * A + B, approximate=approximate == "tanh") * C + D

    now = [jax.numpy.asarray(d["inputs"][0])]

    def again():
        now[0] = fast(now[0])

    return Run(again, lambda: functions.copies(now), lambda: now[0].block_until_ready())


def mlx(mlx, x, approximate):
    gelu = mlx.nn.gelu if approximate == "none" else mlx.nn.gelu_approx
    return gelu(x * A + B) * C + D


def tinygrad(tg, x, approximate):
    y = x * A + B
    exact = y * 0.5 * (1 + (y * 0.5**0.5).erf())
    return ((y.gelu() if approximate == "tanh" else exact) * C + D).realize()


def c(numpy, d, approximate) -> Run:
    x = native.aligned(d["inputs"][0])
    y = np.empty_like(x)
    function = "gelu_tanh" if approximate == "tanh" else "gelu"
    return native.run("gelu_chain", function, [x, y, COUNT, A, B, C, D], [y])


def workload(approximate) -> Workload:
    how = {"none": "", "tanh": " by tanh"}[approximate]
    options = {"approximate": approximate}
    return Workload(
        title=f"gelu chain on 16M floats{how}",
        data=data,
        forms={
            **functions.face(partial(face, **options)),
            "jax": partial(jax, **options),
            "tinygrad": functions.tinygrad(partial(tinygrad, **options)),
            "mlx": functions.mlx(partial(mlx, **options)),
            "C": partial(c, **options),
        },
        goal=1.2,
        bytes=8.0 * COUNT,
        check=1,
        notes={"C": "into the same result again and again"},
    )


WORKLOADS = {"gelu_chain": workload("none"), "gelu_tanh_chain": workload("tanh")}
