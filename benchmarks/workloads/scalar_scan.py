"""A scan of 1000 steps over 60 numbers, each a leaf of its own, and its gradient."""

from __future__ import annotations

import numpy as np
from harness import functions, native
from harness.workload import Run, Workload, rng

COUNT, STEPS, STEP = 60, 1000, 0.01


def data():
    return {"inputs": list(rng().normal(size=COUNT).astype(np.float32))}


def couple(sin, xs):
    """Each number is drawn by its neighbour."""
    return tuple(
        x + STEP * sin(y - x) for x, y in zip(xs, (*xs[1:], xs[0]), strict=True)
    )


def face(lib, *xs):
    def body(xs, _):
        return couple(lib.sin, xs), None

    ys = functions.scan(lib)(body, xs, None, length=STEPS)[0]
    value = sum(y * y * y for y in ys)
    return value, *lib.autograd.grad(value, xs)


def jax(jax, *xs):
    def value(xs):
        ys = jax.lax.scan(
            lambda xs, _: (couple(jax.numpy.sin, xs), None), xs, length=STEPS
        )[0]
        return sum(y * y * y for y in ys)

    return jax.value_and_grad(value)(xs)


def c(numpy, d) -> Run:
    xs = native.aligned(d["inputs"])
    path = np.empty((STEPS + 1, COUNT), np.float32)
    value, gx = native.aligned(0.0), np.empty_like(xs)
    arguments = [xs, path, value, gx, COUNT, STEPS, STEP]
    run = native.run("scalar_scan", "gradient", arguments, [])
    run.result = lambda: [np.array(value), *(np.array(g) for g in gx)]
    return run


FACE = functions.native_scan(functions.face(face, range(COUNT)))
WORKLOADS = {
    "scalar_scan": Workload(
        title="scan of 1000 steps with 60 scalar leaves, gradient",
        data=data,
        forms={
            **{k: v for k, v in FACE.items() if k != "torch.compile"},
            "jax": functions.jax(jax),
            "C": c,
        },
        goal=10,
        check=1,
        notes={"autograd": "left out: some 30 s a call"},
    )
}
