"""A training step in each library's fastest documented form, from a model and a loss.

Parameters and batches come as NumPy arrays, the parameters by the names of PyTorch's modules.
"""

from __future__ import annotations

import importlib
import importlib.util
from functools import partial

import numpy as np

from .workload import Run

ADAM = {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8}


def compiled(lib, step):
    """`step` under adjoint's compiler."""
    found = getattr(lib, "compile", None)
    if not callable(found):
        if importlib.util.find_spec("adjoint.compile") is None:
            raise NotImplementedError("this adjoint has no compiler yet")
        found = importlib.import_module("adjoint.compile").compile
    return found(step)


def face(build) -> dict:
    """Forms of the libraries with PyTorch's face: build(lib, data, wrap) makes the run."""
    return {
        "adjoint": lambda lib, d: build(lib, d, partial(compiled, lib)),
        "adjoint eager": lambda lib, d: build(lib, d, lambda step: step),
        "torch": lambda lib, d: build(lib, d, lambda step: step),
    }


def tensors(lib, arrays: list) -> list:
    """Tensors of a library with PyTorch's face, in memory of their own."""
    return [lib.from_numpy(np.array(a)) for a in arrays]


def network(lib, model, d):
    """The model of a library with PyTorch's face, with the parameters of the data."""
    net = model(lib)
    names = d["params"].keys()
    values = tensors(lib, d["params"].values())
    net.load_state_dict(dict(zip(names, values, strict=True)))
    return net


def arrays(values) -> list:
    """NumPy copies of tensors: parameters go on changing."""
    return [np.array(v.detach().numpy()) for v in values]


def trainer(model, loss) -> dict:
    """Forms of the libraries with PyTorch's face: model(lib), loss(lib, net, *batch)."""

    def build(lib, d, wrap):
        net = network(lib, model, d)
        batch = tensors(lib, d["batch"])
        fused = {"fused": True} if lib.__name__ == "torch" else {}
        opt = lib.optim.Adam(net.parameters(), **ADAM, **fused)

        def train(*batch):
            opt.zero_grad()
            value = loss(lib, net, *batch)
            value.backward()
            opt.step()
            return value

        return kept(wrap(train), batch, lambda: net.parameters())

    forms = face(build)
    return {**forms, "torch.compile": partial(inductor, model=model, loss=loss)}


def kept(step, batch, params) -> Run:
    """The run of a step that works in place; its last loss is kept."""
    last = []

    def again():
        last[:] = [step(*batch)]

    return Run(again, lambda: arrays([*last, *params()]))


def inductor(torch, d, model, loss) -> Run:
    """Gradient and Adam as one functional program under torch.compile, state in place."""
    net = network(torch, model, d)
    batch = tensors(torch, d["batch"])
    params = {k: p.detach() for k, p in net.named_parameters()}
    m, v = ({k: torch.zeros_like(p) for k, p in params.items()} for _ in range(2))
    count = torch.zeros(())
    (b1, b2), lr, eps = ADAM["betas"], ADAM["lr"], ADAM["eps"]

    def whole(params, m, v, count, *batch):
        def value(p):
            return loss(torch, partial(torch.func.functional_call, net, p), *batch)

        grads, y = torch.func.grad_and_value(value)(params)
        count.add_(1)
        rate, root = lr / (1 - b1**count), (1 - b2**count).sqrt()
        for k, g in grads.items():
            m[k].lerp_(g, 1 - b1)
            v[k].mul_(b2).addcmul_(g, g, value=1 - b2)
            params[k].sub_(rate * m[k] / (v[k].sqrt() / root + eps))
        return y

    step = torch.compile(torch.no_grad()(whole), fullgraph=True)
    return kept(partial(step, params, m, v, count), batch, params.values)


def adam(np, p, g, m, v, count):
    """One array's step of Adam in a library with NumPy's face: the new p, m, v."""
    (b1, b2), lr, eps = ADAM["betas"], ADAM["lr"], ADAM["eps"]
    m = m + (1 - b1) * (g - m)
    v = v + (1 - b2) * (g * g - v)
    rate, root = lr / (1 - b1**count), np.sqrt(1 - b2**count)
    return p - rate * m / (np.sqrt(v) / root + eps), m, v


def functional(np, grad, p, m, v, count, batch):
    """A step from `grad`(params, *batch) -> (loss, gradients): loss and the new state."""
    value, g = grad(p, *batch)
    count = count + 1
    new = {k: adam(np, p[k], g[k], m[k], v[k], count) for k in p}
    p, m, v = ({k: n[i] for k, n in new.items()} for i in range(3))
    return value, (p, m, v, count)


def start(np, d, asarray=None):
    """Parameters, means of zero and the count of steps, in a library with NumPy's face."""
    asarray = asarray or np.array
    p = {k: asarray(a) for k, a in d["params"].items()}
    m, v = ({k: np.zeros_like(a) for k, a in p.items()} for _ in range(2))
    return p, m, v, asarray(np.zeros((), np.float32))


def named(value, params, d) -> list:
    """The loss and the parameters in the order of the data."""
    return [np.array(value), *(np.array(params[k]) for k in d["params"])]


def jax(loss):
    """loss(jax, params, *batch); jitted with its state donated."""

    def build(jax, d):
        np, grad = jax.numpy, jax.value_and_grad(partial(loss, jax))

        def step(state, batch):
            value, state = functional(np, grad, *state, batch)
            return state, value

        fast = jax.jit(step, donate_argnums=0)
        return _carried(jax, fast, start(np, d), d)

    return build


def jax_scan(loss, steps: int):
    """The same, `steps` of them inside one lax.scan."""

    def build(jax, d):
        np, grad = jax.numpy, jax.value_and_grad(partial(loss, jax))

        def many(state, batch):
            def step(state, _):
                value, state = functional(np, grad, *state, batch)
                return state, value

            state, values = jax.lax.scan(step, state, length=steps)
            return state, values[-1]

        fast = jax.jit(many, donate_argnums=0)
        return _carried(jax, fast, start(np, d), d, steps)

    return build


def _carried(jax, fast, state, d, steps=1) -> Run:
    batch = [jax.numpy.asarray(a) for a in d["batch"]]
    now = [state, None]

    def again():
        now[:] = fast(now[0], batch)

    def result():
        return named(now[1], now[0][0], d)

    return Run(again, result, lambda: jax.block_until_ready(now), steps)


def mlx(loss):
    """loss(mlx, params, *batch) under mx.compile; the state is evaluated at each step."""

    def build(mx, d):
        root = importlib.import_module("mlx")
        grad = mx.value_and_grad(partial(loss, root))

        @mx.compile
        def fast(state, batch):
            return functional(mx, grad, *state, batch)

        batch = [mx.array(a) for a in d["batch"]]
        now = [None, start(mx, d)]

        def again():
            now[:] = fast(now[1], batch)
            mx.eval(now)

        return Run(again, lambda: named(now[0], now[1][0], d))

    return build


def autograd(loss):
    """loss(autograd, params, *batch), gradients by HIPS autograd, Adam by NumPy."""

    def build(autograd, d):
        grad = autograd.value_and_grad(partial(loss, autograd))
        now = [None, start(np, d)]

        def again():
            now[:] = functional(np, grad, *now[1], d["batch"])

        return Run(again, lambda: named(now[0], now[1][0], d))

    return build


def tinygrad(loss):
    """loss(tinygrad, params, *batch), its own Adam, the step under TinyJit."""

    def build(tg, d):
        params = {k: tg.Tensor(a).is_param_() for k, a in d["params"].items()}
        batch = [tg.Tensor(a).realize() for a in d["batch"]]
        (b1, b2), lr, eps = ADAM["betas"], ADAM["lr"], ADAM["eps"]
        opt = tg.nn.optim.Adam([*params.values()], lr=lr, b1=b1, b2=b2, eps=eps)

        @tg.TinyJit
        def fast(*batch):
            opt.zero_grad()
            value = loss(tg, params, *batch).backward()
            return value.realize(*opt.schedule_step())

        last = []

        def again():
            last[:] = [fast(*batch)]

        def result():
            return [t.numpy() for t in (*last, *params.values())]

        return Run(again, result, lambda: tg.Device[tg.Device.DEFAULT].synchronize())

    return build
