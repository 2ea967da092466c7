"""Forty everyday functions, forward and backward, compiled, beside PyTorch's eager ones.

Run `python benchmarks/operations.py [part of a name ...]`; the figures of docs/notes/everyday.md
are of it. One thread, on arrays of 16 MB, so that what counts is how often each is read.
"""

from __future__ import annotations

import sys

import torch
from harness.turns import in_turns, line

import adjoint as ad

N, D = 4096, 1024
ROWS, MATRIX, IMAGES = (N, D), (D, N), (32, 64, 32, 32)


def pulled(f):
    """The function with its gradients, the last argument being what comes from above."""

    def run(lib, *args):
        *xs, above = args
        xs = [x.detach().requires_grad_() for x in xs]
        y = f(lib, lib.nn.functional, *xs)
        return (y.detach(), *lib.autograd.grad(y, xs, above))

    return run


def summed(f):
    """The function with the gradients of its sum; whole numbers have none."""

    def run(lib, *args):
        xs = [x.detach() for x in args]
        free = [x.requires_grad_() for x in xs if x.is_floating_point()]
        y = f(lib, lib.nn.functional, *xs)
        return (y.detach(), *lib.autograd.grad(y.sum(), free))

    return run


def plain(f):
    """The function alone."""
    return lambda lib, *args: f(lib, lib.nn.functional, *args)


def _clipped(lib, _, x, y):
    norm = (x.square().sum() + y.square().sum()).sqrt()
    scale = (1 / norm).clamp(max=1)
    return x * scale, y * scale


def _rotary(lib, _, x, cos, sin):
    a, b = x.chunk(2, -1)
    return x * cos + lib.cat([-b, a], -1) * sin


CLASSES = "classes"  # a row's class

# name -> (function, shapes of arguments)
CASES = {
    "layer_norm": (pulled(lambda _, F, x, w, b: F.layer_norm(x, (D,), w, b)), ROWS, D, D, ROWS),
    "rms_norm": (pulled(lambda _, F, x, w: F.rms_norm(x, (D,), w)), ROWS, D, ROWS),
    "batch_norm of rows": (
        pulled(lambda _, F, x, w, b: F.batch_norm(x, None, None, w, b, True)),
        ROWS, D, D, ROWS,
    ),
    "batch_norm of images": (
        pulled(lambda _, F, x, w, b: F.batch_norm(x, None, None, w, b, True)),
        IMAGES, 64, 64, IMAGES,
    ),
    "group_norm": (pulled(lambda _, F, x, w, b: F.group_norm(x, 8, w, b)), IMAGES, 64, 64, IMAGES),
    "instance_norm": (
        pulled(lambda _, F, x, w, b: F.instance_norm(x, weight=w, bias=b)),
        IMAGES, 64, 64, IMAGES,
    ),
    "softmax": (pulled(lambda _, F, x: F.softmax(x, -1)), ROWS, ROWS),
    "softmax of columns": (pulled(lambda _, F, x: F.softmax(x, 0)), ROWS, ROWS),
    "log_softmax": (pulled(lambda _, F, x: F.log_softmax(x, -1)), ROWS, ROWS),
    "cross_entropy": (summed(lambda _, F, x, t: F.cross_entropy(x, t)), ROWS, CLASSES),
    "cross_entropy, smoothed": (
        summed(lambda _, F, x, t: F.cross_entropy(x, t, label_smoothing=0.1)), ROWS, CLASSES,
    ),
    "mse_loss": (summed(lambda _, F, x, y: F.mse_loss(x, y)), ROWS, ROWS),
    "huber_loss": (summed(lambda _, F, x, y: F.huber_loss(x, y)), ROWS, ROWS),
    "binary cross entropy": (
        summed(lambda _, F, x, y: F.binary_cross_entropy_with_logits(x, y)), ROWS, ROWS,
    ),
    "kl_div of log_softmax": (
        summed(lambda _, F, x, y: F.kl_div(F.log_softmax(x, -1), y.sigmoid(), reduction="sum")),
        ROWS, ROWS,
    ),
    "gelu": (pulled(lambda _, F, x: F.gelu(x)), ROWS, ROWS),
    "silu": (pulled(lambda _, F, x: F.silu(x)), ROWS, ROWS),
    "glu": (pulled(lambda _, F, x: F.glu(x, -1)), (N, 2 * D), ROWS),
    "gelu of x + bias": (pulled(lambda _, F, x, b: F.gelu(x + b)), ROWS, D, ROWS),
    "prelu": (pulled(lambda _, F, x, w: F.prelu(x, w)), IMAGES, 64, IMAGES),
    "dropout": (pulled(lambda _, F, x: F.dropout(x, 0.1)), ROWS, ROWS),
    "normalize": (pulled(lambda _, F, x: F.normalize(x, dim=-1)), ROWS, ROWS),
    "cosine_similarity": (summed(lambda _, F, x, y: F.cosine_similarity(x, y, -1)), ROWS, ROWS),
    "logsumexp": (summed(lambda lib, _, x: lib.logsumexp(x, -1)), ROWS),
    "std of rows": (summed(lambda lib, _, x: x.std(-1)), ROWS),
    "variance of columns": (summed(lambda lib, _, x: x.var(0)), ROWS),
    "three sums": (plain(lambda lib, _, x: (x.sum(0), x.sum(1), x.sum())), ROWS),
    "clip by norm": (plain(_clipped), ROWS, ROWS),
    "cumsum": (pulled(lambda lib, _, x: x.cumsum(-1)), ROWS, ROWS),
    "max of rows": (summed(lambda lib, _, x: x.max(-1).values), ROWS),
    "embedding": (summed(lambda _, F, w, t: F.embedding(t, w)), (D, D), CLASSES),
    "cat": (pulled(lambda lib, _, x, y: lib.cat([x, y], 1)), (N, D // 2), (N, D // 2), ROWS),
    "x.t() + y": (pulled(lambda lib, _, x, y: x.t() + y), MATRIX, ROWS, ROWS),
    "channels last": (plain(lambda lib, _, x: x.permute(0, 2, 3, 1).contiguous()), IMAGES),
    "max_pool2d": (summed(lambda _, F, x: F.max_pool2d(x, 2)), IMAGES),
    "avg_pool2d": (summed(lambda _, F, x: F.avg_pool2d(x, 2)), IMAGES),
    "max_pool2d of relu": (summed(lambda _, F, x: F.max_pool2d(F.relu(x), 2)), IMAGES),
    "interpolate": (summed(lambda _, F, x: F.interpolate(x, scale_factor=2)), IMAGES),
    "pad": (summed(lambda _, F, x: F.pad(x, (1, 1, 1, 1))), IMAGES),
    "mean of planes": (summed(lambda lib, _, x: x.mean((2, 3))), IMAGES),
    "rotary embedding": (pulled(_rotary), ROWS, D, D, ROWS),
    "accuracy": (plain(lambda lib, _, x, t: (x.argmax(-1) == t).float().mean()), ROWS, CLASSES),
}  # fmt: skip


def given(lib, shape):
    """An argument."""
    if shape is CLASSES:
        return lib.randint(0, D, (N,))
    return lib.randn(*((shape,) if isinstance(shape, int) else shape))


def main():
    """Print the table."""
    ad.set_num_threads(1)
    torch.set_num_threads(1)
    print(f"{'ms, 1 thread':28}{'adjoint':>10}{'torch':>10}{'ratio':>8}  regions")
    for name, (f, *shapes) in CASES.items():
        if sys.argv[1:] and not any(part in name for part in sys.argv[1:]):
            continue
        step = ad.compile(lambda *xs, f=f: f(ad, *xs))
        xs, ys = ([given(lib, s) for s in shapes] for lib in (ad, torch))
        found = in_turns(lambda: step(*xs), lambda: f(torch, *ys))  # noqa: B023
        print(line(name, *found, str(len(step.explain().regions))), flush=True)


if __name__ == "__main__":
    main()
