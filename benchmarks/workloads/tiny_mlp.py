"""A training step of 2-8-8-1 with tanh, batch 32, Adam: called step by step, and as a scan."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from harness import functions, native, training
from harness.workload import Run, Workload, normal, rng

SIZES, BATCH, STEPS = (2, 8, 8, 1), 32, 100
INSIDE = 20  # steps that C makes in one call


def data():
    stream, params = rng(), {}
    for i, (n, m) in enumerate(pairwise(SIZES)):
        params[f"{2 * i}.weight"] = normal(stream, m, n, scale=n**-0.5)
        params[f"{2 * i}.bias"] = normal(stream, m, scale=0.1)
    x = normal(stream, BATCH, 2)
    return {"params": params, "batch": [x, np.sin(x[:, :1]) * x[:, 1:]]}


def model(lib):
    nn = lib.nn
    return nn.Sequential(
        nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 1)
    )


def face_loss(lib, net, x, t):
    return ((net(x) - t) ** 2).mean()


def loss(tanh, p, x, t):
    """The same as a function of its parameters."""
    h = tanh(x @ p["0.weight"].T + p["0.bias"])
    h = tanh(h @ p["2.weight"].T + p["2.bias"])
    return ((h @ p["4.weight"].T + p["4.bias"] - t) ** 2).mean()


def jax_loss(jax, p, x, t):
    return loss(jax.numpy.tanh, p, x, t)


def mlx_loss(mlx, p, x, t):
    return loss(mlx.core.tanh, p, x, t)


def autograd_loss(autograd, p, x, t):
    anp = autograd.numpy
    h = anp.tanh(anp.dot(x, p["0.weight"].T) + p["0.bias"])
    h = anp.tanh(anp.dot(h, p["2.weight"].T) + p["2.bias"])
    return anp.mean((anp.dot(h, p["4.weight"].T) + p["4.bias"] - t) ** 2)


def tinygrad_loss(tg, p, x, t):
    return loss(tg.Tensor.tanh, p, x, t)


def scanned(lib, d, wrap) -> Run:
    """The step inside a scan, its state changed in place."""
    net = training.network(lib, model, d)
    opt = lib.optim.Adam(net.parameters(), **training.ADAM)
    batch = training.tensors(lib, d["batch"])

    def body(carry, _):
        opt.zero_grad()
        value = face_loss(lib, net, *batch)
        value.backward()
        opt.step()
        return carry, value

    def many(x, t):
        return functions.scan(lib)(body, (), None, length=STEPS)[1][-1]

    run = training.kept(wrap(many), batch, net.parameters)
    run.steps = STEPS
    return run


def c(numpy, d) -> Run:
    """All parameters in one array, weights transposed; 20 steps a call."""
    values = [p.T.ravel() for p in d["params"].values()]
    p = native.aligned(np.concatenate(values))
    m, v = native.aligned(np.zeros_like(p)), native.aligned(np.zeros_like(p))
    value, count = native.aligned(0.0), native.aligned(0.0)
    batch = [native.aligned(a) for a in d["batch"]]
    run = native.run(
        "tiny_mlp", "steps", [*batch, value, count, p, m, v, INSIDE], [], INSIDE
    )
    run.result = lambda: [np.array(value), *apart(p, d["params"].values())]
    return run


def apart(p, like) -> list:
    """The arrays that lie in one, in the shapes of the parameters."""
    places = np.cumsum([a.size for a in like])[:-1]
    parts = np.split(p, places)
    return [np.array(q.reshape(a.T.shape).T) for q, a in zip(parts, like, strict=True)]


FACE = training.trainer(model, face_loss)
CALLS = {
    **FACE,
    "jax": training.jax(jax_loss),
    "tinygrad": training.tinygrad(tinygrad_loss),
    "mlx": training.mlx(mlx_loss),
    "autograd": training.autograd(autograd_loss),
    "C": c,
}
SCANS = {
    **training.face(scanned),
    "torch.compile": FACE["torch.compile"],
    "jax scan": training.jax_scan(jax_loss, STEPS),
    "C": c,
}
WORKLOADS = {
    "tiny_mlp_calls": Workload(
        title="training step 2-8-8-1 tanh, batch 32, Adam, called step by step",
        data=data,
        forms=CALLS,
        most=4e-6,
        check=20,
    ),
    "tiny_mlp_scan": Workload(
        title="the same inside a scan of 100 steps, a step",
        data=data,
        forms=functions.native_scan(SCANS),
        most=1.5e-6,
        check=3 * STEPS,  # the first call is not compiled
        notes={"torch.compile": "has no scan that trains: called step by step"},
    ),
}
