"""A function of arrays, compiled, in each library's fastest documented form.

Inputs come as NumPy arrays in d["inputs"]; all outputs are compared.
"""

from __future__ import annotations

import importlib
from functools import partial

import numpy as np

from . import training
from .workload import Run


def face(f, leaves=(), inductor=None) -> dict:
    """Forms of the libraries with PyTorch's face, of f(lib, *tensors).

    `leaves` are the inputs that need gradients; `inductor` is the function that torch.compile
    is given where it refuses f (gradients inside).
    """

    def build(lib, d, wrap, f=f, leaves=leaves):
        xs = training.tensors(lib, d["inputs"])
        for i in leaves:
            xs[i].requires_grad_()
        return kept(wrap(partial(f, lib)), xs, training.arrays)

    def compiled(torch, d):
        wrap = partial(torch.compile, fullgraph=True)
        if inductor is None:
            return build(torch, d, wrap)
        return build(torch, d, wrap, inductor, ())

    return {**training.face(build), "torch.compile": compiled}


def kept(fast, xs, arrays, finish=lambda ys: None) -> Run:
    """The run of a function whose last outputs are kept."""
    last = []

    def again():
        last[:] = [fast(*xs)]

    return Run(again, lambda: arrays(flat(last)), lambda: finish(last))


def flat(tree) -> list:
    """The leaves of tuples, lists and dicts."""
    if isinstance(tree, dict):
        tree = [*tree.values()]
    if isinstance(tree, (tuple, list)):
        return [x for part in tree for x in flat(part)]
    return [tree]


def jax(f):
    """f(jax, *arrays) under jax.jit."""

    def build(jax, d):
        xs = [jax.numpy.asarray(a) for a in d["inputs"]]
        fast = jax.jit(partial(f, jax))
        return kept(fast, xs, copies, jax.block_until_ready)

    return build


def mlx(f, compiled=True):
    """f(mlx, *arrays) under mx.compile, evaluated at each call."""

    def build(mx, d):
        xs = [mx.array(a) for a in d["inputs"]]
        whole = partial(f, importlib.import_module("mlx"))
        fast = mx.compile(whole) if compiled else whole

        def now(*xs):
            ys = fast(*xs)
            mx.eval(ys)
            return ys

        return kept(now, xs, copies)

    return build


def tinygrad(f):
    """f(tinygrad, *tensors) under TinyJit; f realizes what it returns."""

    def build(tg, d):
        xs = [buffer(tg, a) for a in d["inputs"]]
        fast = tg.TinyJit(partial(f, tg))
        device = tg.Device[tg.Device.DEFAULT]

        def arrays(ys):
            return [y.numpy() for y in ys]

        return kept(fast, xs, arrays, lambda ys: device.synchronize())

    return build


def buffer(tg, array):
    """A tinygrad tensor with memory of its own, a number too."""
    return tg.Tensor(np.asarray(array)).clone().realize()


def eager(f):
    """f(lib, *arrays) as it is: HIPS autograd, NumPy."""
    return lambda lib, d: kept(partial(f, lib), d["inputs"], copies)


def copies(ys) -> list:
    return [np.array(y) for y in ys]


def scan(lib):
    """adjoint's scan where it has one; else a loop in Python, which is not for a compiler."""
    return getattr(lib, "scan", None) or loop


def loop(body, carry, xs=None, length=None):
    """What scan means; `xs` may be a tuple of tensors."""
    ys, steps = [], [None] * (length or 0)
    if xs is not None:
        steps = zip(*xs, strict=True) if isinstance(xs, tuple) else xs
    for x in steps:
        carry, y = body(carry, x)
        ys.append(y)
    return carry, ys


def native_scan(forms: dict) -> dict:
    """Forms whose compiled one needs adjoint's scan."""

    def compiled(lib, d):
        if not hasattr(lib, "scan"):
            raise NotImplementedError("this adjoint has no scan yet")
        return forms["adjoint"](lib, d)

    return {**forms, "adjoint": compiled}
