"""Multilayer perceptrons that classify: digits, MNIST, and MNIST with wide layers."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from harness import training
from harness.workload import Run, Workload, normal, rng


def data(sizes, batch):
    """He-scaled parameters, normal inputs, random classes."""
    stream, params = rng(), {}
    for i, (n, m) in enumerate(pairwise(sizes)):
        params[f"{2 * i}.weight"] = normal(stream, m, n, scale=(2 / n) ** 0.5)
        params[f"{2 * i}.bias"] = normal(stream, m, scale=0.01)
    x = normal(stream, batch, sizes[0])
    return {"params": params, "batch": [x, stream.integers(0, sizes[-1], batch)]}


def model(sizes):
    """Linear layers with relu between them, for a library with PyTorch's face."""

    def build(lib):
        layers = []
        for n, m in pairwise(sizes):
            layers += [lib.nn.Linear(n, m), lib.nn.ReLU()]
        return lib.nn.Sequential(*layers[:-1])

    return build


def face_loss(lib, net, x, t):
    return lib.nn.functional.cross_entropy(net(x), t)


def scores(relu, params, x):
    """The network as a function of its parameters."""
    last = len(params) - 2
    for i in range(0, last, 2):
        x = relu(x @ params[f"{i}.weight"].T + params[f"{i}.bias"])
    return x @ params[f"{last}.weight"].T + params[f"{last}.bias"]


def jax_loss(jax, params, x, t):
    y = jax.nn.log_softmax(scores(jax.nn.relu, params, x))
    return -jax.numpy.take_along_axis(y, t[:, None], 1).mean()


def mlx_loss(mlx, params, x, t):
    y = scores(mlx.nn.relu, params, x)
    return mlx.nn.losses.cross_entropy(y, t, reduction="mean")


def autograd_loss(autograd, params, x, t):
    anp = autograd.numpy
    y = scores(lambda x: anp.maximum(x, 0), params, x)
    y = y - anp.max(y, axis=1, keepdims=True)
    y = y - anp.log(anp.sum(anp.exp(y), axis=1, keepdims=True))
    return -anp.mean(y[anp.arange(len(t)), t])


def tinygrad_loss(tg, params, x, t):
    y = scores(tg.Tensor.relu, params, x)
    return y.sparse_categorical_crossentropy(t)


def products(numpy, d) -> Run:
    """The step's matrix products alone, by NumPy."""
    ws = [p for p in d["params"].values() if p.ndim == 2]
    hs = [np.ones((len(d["batch"][0]), w.shape[1]), np.float32) for w in ws]
    gs = [np.ones((len(d["batch"][0]), w.shape[0]), np.float32) for w in ws]

    def step():
        for i, (w, h, g) in enumerate(zip(ws, hs, gs, strict=True)):
            numpy.matmul(h, w.T)
            numpy.matmul(g.T, h)
            if i:
                numpy.matmul(g, w)

    return Run(step, lambda: None)


def flop(sizes, batch) -> float:
    """Of the matrix products: forward, for weights, for inputs but the first."""
    pairs = [n * m for n, m in pairwise(sizes)]
    return 2.0 * batch * (3 * sum(pairs) - pairs[0])


FORMS = {
    "jax": training.jax(jax_loss),
    "autograd": training.autograd(autograd_loss),
    "NumPy": products,
}
SLOWER = {
    "tinygrad": training.tinygrad(tinygrad_loss),
    "mlx": training.mlx(mlx_loss),
}


def workload(title, sizes, batch, goal, wide=False) -> Workload:
    """A classifier trained with Adam in every library that has fast products."""
    notes = {"NumPy": "the matrix products alone"}
    if wide:
        notes["tinygrad, mlx"] = "left out: seconds a step"
    return Workload(
        title=title,
        data=lambda: data(sizes, batch),
        forms={
            **training.trainer(model(sizes), face_loss),
            **FORMS,
            **({} if wide else SLOWER),
        },
        goal=goal,
        flop=flop(sizes, batch),
        notes=notes,
    )


DIGITS, MNIST, WIDE = (64, 128, 10), (784, 512, 512, 10), (784, 2048, 2048, 10)
WORKLOADS = {
    "digits": workload("digits 64-128-10 relu, batch 64, Adam", DIGITS, 64, 2.4),
    "mnist": workload("MNIST 784-512-512-10, batch 128, Adam", MNIST, 128, 1.4),
    "mnist_wide": workload("784-2048-2048-10, batch 1024, Adam", WIDE, 1024, 1.1, True),
}
