"""Training steps of everyday models, compiled, beside PyTorch's eager ones.

Run `python benchmarks/models.py [name ...]`; the figures of docs/notes/everyday.md are of it.
Both libraries run the same text with AdamW. The workloads of `run.py` have goals and more
peers; these are here so that no usual layer is slow.
"""

from __future__ import annotations

import sys
import time

import numpy as np
import torch
from harness.turns import in_turns, line

import adjoint as ad


def sequence(lib, *layers):
    """Layers given as (name, arguments), or modules."""
    made = [
        x if isinstance(x, lib.nn.Module) else getattr(lib.nn, x[0])(*x[1:])
        for x in layers
    ]
    return lib.nn.Sequential(*made)


def module(lib, forward, **parts):
    """A module of these parts, whose forward pass is forward(lib, itself, ...)."""

    class Net(lib.nn.Module):
        def forward(self, *xs):
            return forward(lib, self, *xs)

    net = Net()
    for name, part in parts.items():
        if isinstance(part, lib.Tensor):
            net.register_buffer(name, part)
        else:
            setattr(net, name, part)
    return net


# ---------------------------------------------------------------- models


def _residual(lib, c):
    def conv():
        return lib.nn.Conv2d(c, c, 3, padding=1, bias=False)

    def forward(lib, m, x):
        y = m.norm1(m.conv1(x)).relu()
        return (x + m.norm2(m.conv2(y))).relu()

    norms = {f"norm{i}": lib.nn.BatchNorm2d(c) for i in (1, 2)}
    return module(lib, forward, conv1=conv(), conv2=conv(), **norms)


def resnet(lib):
    return sequence(
        lib,
        ("Conv2d", 3, 16, 3, 1, 1),
        ("BatchNorm2d", 16),
        ("ReLU",),
        _residual(lib, 16),
        ("Conv2d", 16, 32, 3, 2, 1),
        _residual(lib, 32),
        ("Conv2d", 32, 64, 3, 2, 1),
        _residual(lib, 64),
        ("AdaptiveAvgPool2d", 1),
        ("Flatten",),
        ("Linear", 64, 10),
    )


def _convnext_block(lib, c):
    def forward(lib, m, x):
        y = m.norm(m.deep(x).permute(0, 2, 3, 1))
        return x + m.down(lib.nn.functional.gelu(m.up(y))).permute(0, 3, 1, 2)

    nn = lib.nn
    deep = nn.Conv2d(c, c, 7, padding=3, groups=c)
    ways = {"up": nn.Linear(c, 4 * c), "down": nn.Linear(4 * c, c)}
    return module(lib, forward, deep=deep, norm=nn.LayerNorm(c), **ways)


def convnext(lib):
    blocks = [_convnext_block(lib, 48) for _ in range(2)]
    end = [("AdaptiveAvgPool2d", 1), ("Flatten",), ("Linear", 48, 10)]
    return sequence(lib, ("Conv2d", 3, 48, 4, 4), *blocks, *end)


def unet(lib):
    def block(i, o):
        return sequence(lib, ("Conv2d", i, o, 3, 1, 1), ("GroupNorm", 4, o), ("SiLU",))

    def forward(lib, m, x):
        F = lib.nn.functional
        high = m.high(x)
        low = F.interpolate(m.low(F.avg_pool2d(high, 2)), scale_factor=2)
        return m.end(m.both(lib.cat([high, low], 1)))

    parts = {"high": block(3, 16), "low": block(16, 32), "both": block(48, 16)}
    return module(lib, forward, **parts, end=lib.nn.Conv2d(16, 3, 1))


def _turned(lib, x, cos, sin):
    a, b = x.chunk(2, -1)
    return x * cos + lib.cat([-b, a], -1) * sin


def _llama_block(lib, d, heads, cos, sin):
    def forward(lib, m, x):
        F = lib.nn.functional
        n, t, _ = x.shape
        qkv = m.qkv(m.norm1(x)).split(d, -1)
        q, k, v = (y.view(n, t, heads, d // heads).transpose(1, 2) for y in qkv)
        q, k = (_turned(lib, y, m.cos, m.sin) for y in (q, k))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + m.out(y.transpose(1, 2).reshape(n, t, d))
        y = m.norm2(x)
        return x + m.down(F.silu(m.gate(y)) * m.up(y))

    def linear(i, o):
        return lib.nn.Linear(i, o, bias=False)

    parts = {"qkv": linear(d, 3 * d), "out": linear(d, d), "down": linear(3 * d, d)}
    parts |= {name: linear(d, 3 * d) for name in ("gate", "up")}
    parts |= {name: lib.nn.RMSNorm(d) for name in ("norm1", "norm2")}
    return module(lib, forward, **parts, cos=cos, sin=sin)


def llama(lib, d=128, heads=4, steps=64, words=256):
    size = d // heads
    angles = np.outer(np.arange(steps), 1e4 ** (-np.arange(0, size, 2) / size))
    angles = np.concatenate([angles, angles], 1).astype("f4")
    cos, sin = (lib.tensor(f(angles)) for f in (np.cos, np.sin))
    blocks = [_llama_block(lib, d, heads, cos, sin) for _ in range(2)]
    return sequence(lib, ("Embedding", words, d), *blocks, ("Linear", d, words))


def encoder(lib):
    layer = lib.nn.TransformerEncoderLayer(64, 4, 128, dropout=0.1, batch_first=True)
    parts = {"body": lib.nn.TransformerEncoder(layer, 2), "end": lib.nn.Linear(64, 10)}
    return module(lib, lambda _, m, x: m.end(m.body(x).mean(1)), **parts)


def gru(lib):
    parts = {"body": lib.nn.GRU(32, 64, batch_first=True), "end": lib.nn.Linear(64, 10)}
    return module(lib, lambda _, m, x: m.end(m.body(x)[0][:, -1]), **parts)


def vae(lib):
    def forward(lib, m, x):
        mean, log = m.code(x).chunk(2, 1)
        z = mean + lib.randn_like(mean) * (log / 2).exp()
        return m.image(m.plane(z).view(-1, 32, 7, 7)), mean, log

    down = [
        ("Conv2d", 1, 16, 4, 2, 1),
        ("ReLU",),
        ("Conv2d", 16, 32, 4, 2, 1),
        ("ReLU",),
    ]
    up = [
        ("ConvTranspose2d", 32, 16, 4, 2, 1),
        ("ReLU",),
        ("ConvTranspose2d", 16, 1, 4, 2, 1),
    ]
    code = sequence(lib, *down, ("Flatten",), ("Linear", 32 * 49, 32))
    plane = lib.nn.Linear(16, 32 * 49)
    return module(lib, forward, code=code, plane=plane, image=sequence(lib, *up))


def graph_network(lib):
    def passed(x, edges):
        return lib.zeros_like(x).index_add(0, edges[1], x[edges[0]])

    def forward(lib, m, x, edges):
        return m.two(passed(passed(m.one(x), edges).relu(), edges))

    return module(lib, forward, one=lib.nn.Linear(64, 64), two=lib.nn.Linear(64, 7))


def signals(lib):
    def block(i, o):
        return [("Conv1d", i, o, 5, 1, 2), ("BatchNorm1d", o), ("ReLU",)]

    end = [("AdaptiveAvgPool1d", 1), ("Flatten",), ("Dropout", 0.2), ("Linear", 64, 5)]
    return sequence(lib, *block(8, 32), ("MaxPool1d", 2), *block(32, 64), *end)


def normed_mlp(lib):
    def block(i, o):
        return [("Linear", i, o), ("BatchNorm1d", o), ("ReLU",), ("Dropout", 0.1)]

    return sequence(lib, *block(256, 512), *block(512, 512), ("Linear", 512, 10))


def bag(lib):
    return sequence(lib, ("EmbeddingBag", 20000, 64), ("Linear", 64, 4))


# ---------------------------------------------------------------- losses


def classes(lib, y, t):
    return lib.nn.functional.cross_entropy(y.reshape(-1, y.shape[-1]), t.reshape(-1))


def squares(lib, y, t):
    return lib.nn.functional.mse_loss(y, t)


def evidence(lib, found, x):
    y, mean, log = found
    near = lib.nn.functional.binary_cross_entropy_with_logits(y, x)
    return near - 0.5 * (1 + log - mean * mean - log.exp()).mean()


# name -> (model, loss, arguments of the model, what the loss compares with). A pair is
# (so many, shape): whole numbers; the evidence compares with the argument.
CASES = {
    "resnet, 6 residual convs": (resnet, classes, [(32, 3, 32, 32)], (10, (32,))),
    "convnext, 2 blocks": (convnext, classes, [(32, 3, 64, 64)], (10, (32,))),
    "u-net with group norm": (unet, squares, [(8, 3, 64, 64)], (8, 3, 64, 64)),
    "llama, 2 blocks": (llama, classes, [(256, (16, 64))], (256, (16, 64))),
    "transformer encoder": (encoder, classes, [(32, 50, 64)], (10, (32,))),
    "gru": (gru, classes, [(32, 50, 32)], (10, (32,))),
    "vae of convolutions": (vae, evidence, [(64, 1, 28, 28)], None),
    "graph network": (
        graph_network,
        classes,
        [(3000, 64), (3000, (2, 20000))],
        (7, (3000,)),
    ),
    "1d convolutions": (signals, classes, [(64, 8, 256)], (5, (64,))),
    "mlp with batch norm": (normed_mlp, classes, [(256, 256)], (10, (256,))),
    "bag of embeddings": (bag, classes, [(20000, (256, 40))], (4, (256,))),
}


def given(lib, what):
    """Numbers of a shape: whole ones below n for (n, shape)."""
    if isinstance(what[1], tuple):
        return lib.randint(0, what[0], what[1])
    return lib.rand(*what)


def training(lib, make, loss, inputs, target):
    """A step of training without arguments."""
    lib.manual_seed(0)
    net, xs = make(lib), [given(lib, x) for x in inputs]
    t = xs[0] if target is None else given(lib, target)
    opt = lib.optim.AdamW(net.parameters(), lr=1e-3)

    def step(*xs):
        opt.zero_grad()
        value = loss(lib, net(*xs[:-1]), xs[-1])
        value.backward()
        opt.step()
        return value.detach()

    step = ad.compile(step) if lib is ad else step
    return lambda: step(*xs, t)


def main():
    """Print the table."""
    ad.set_num_threads(1)
    torch.set_num_threads(1)
    print(f"{'ms, 1 thread':28}{'adjoint':>10}{'torch':>10}{'ratio':>8}  first calls")
    for name, case in CASES.items():
        if sys.argv[1:] and not any(part in name for part in sys.argv[1:]):
            continue
        ours, theirs = (training(lib, *case) for lib in (ad, torch))
        start = time.perf_counter()
        for _ in range(3):
            ours()
        first = time.perf_counter() - start
        print(line(name, *in_turns(ours, theirs), f"{first:.2f} s"), flush=True)


if __name__ == "__main__":
    main()
