"""300 updates of y = w x by stochastic gradient descent: as one scan, and call by call."""

from __future__ import annotations

from functools import partial

import numpy as np
from harness import functions, native, training
from harness.workload import Run, Workload, normal, rng

COUNT, RATE = 300, np.float32(0.01)


def data():
    stream = rng()
    xs = normal(stream, COUNT)
    ys = 3 * xs + normal(stream, COUNT, scale=0.1)
    return {"inputs": [np.array(0.5, np.float32), xs, ys]}


def loss(w, x, y):
    return (w * x - y) ** 2


def face(lib, w, xs, ys):
    """The updates as one scan."""
    slope = lib.func.grad(loss)

    def body(w, pair):
        x, y = pair
        return w - RATE.item() * slope(w, x, y), w

    return functions.scan(lib)(body, w, (xs, ys))[0]


def jax_scan(jax, w, xs, ys):
    def body(w, pair):
        return w - RATE * jax.grad(loss)(w, *pair), None

    return jax.lax.scan(body, w, (xs, ys))[0]


def c(numpy, d) -> Run:
    w, xs, ys = map(native.aligned, d["inputs"])
    out = native.aligned(0.0)
    return native.run(
        "sgd_line", "sgd_line", [w, xs, ys, COUNT, float(RATE), out], [out]
    )


def pairs(d, asarray) -> list:
    """The samples as pairs of numbers of a library."""
    _, xs, ys = d["inputs"]
    return [(asarray(x), asarray(y)) for x, y in zip(xs, ys, strict=True)]


def through(samples, update, result) -> Run:
    """One update a call, through the samples again and again."""
    place = [0]

    def step():
        update(*samples[place[0]])
        place[0] = (place[0] + 1) % COUNT

    return Run(step, result)


def calls(lib, d, wrap) -> Run:
    """A training step in PyTorch's style, called for each sample."""
    w = lib.nn.Parameter(lib.tensor(d["inputs"][0]))
    opt = lib.optim.SGD([w], lr=RATE.item())

    def update(x, y):
        opt.zero_grad()
        loss(w, x, y).backward()
        opt.step()

    return through(pairs(d, lib.tensor), wrap(update), lambda: training.arrays([w]))


def inductor_calls(torch, d) -> Run:
    w = torch.tensor(d["inputs"][0])

    def update(w, x, y):
        w.sub_(RATE.item() * torch.func.grad(loss)(w, x, y))

    fast = partial(torch.compile(torch.no_grad()(update), fullgraph=True), w)
    return through(pairs(d, torch.tensor), fast, lambda: training.arrays([w]))


def jax_calls(jax, d) -> Run:
    now = [jax.numpy.asarray(d["inputs"][0])]

    @partial(jax.jit, donate_argnums=0)
    def fast(w, x, y):
        return w - RATE * jax.grad(loss)(w, x, y)

    def update(x, y):
        now[0] = fast(now[0], x, y)

    run = through(pairs(d, jax.numpy.asarray), update, lambda: functions.copies(now))
    run.finish = lambda: jax.block_until_ready(now)
    return run


def mlx_calls(mx, d) -> Run:
    now = [mx.array(d["inputs"][0])]
    slope = mx.grad(loss)
    fast = mx.compile(lambda w, x, y: w - RATE.item() * slope(w, x, y))

    def update(x, y):
        now[0] = fast(now[0], x, y)
        mx.eval(now)

    return through(pairs(d, mx.array), update, lambda: functions.copies(now))


def tinygrad_calls(tg, d) -> Run:
    w = functions.buffer(tg, d["inputs"][0])

    @tg.TinyJit
    def fast(x, y):
        (g,) = loss(w, x, y).gradient(w)
        w.assign(w - RATE.item() * g).realize()

    samples = pairs(d, partial(functions.buffer, tg))
    return through(samples, fast, lambda: [w.numpy()])


WORKLOADS = {
    "sgd_line_scan": Workload(
        title="300 SGD updates of y = w x as one scan",
        data=data,
        forms=functions.native_scan(
            {
                **functions.face(face),
                "jax": functions.jax(jax_scan),
                "C": c,
            }
        ),
        goal=3,
        notes={"torch.compile": "a loop that the compiler unrolls"},
    ),
    "sgd_line_calls": Workload(
        title="an SGD update of y = w x, 300 calls",
        data=data,
        forms={
            **training.face(calls),
            "torch.compile": inductor_calls,
            "jax": jax_calls,
            "tinygrad": tinygrad_calls,
            "mlx": mlx_calls,
        },
        goal=3,
        check=COUNT,
    ),
}
