"""Transformers that predict the next character: mini and char, Adam, no dropout."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from harness import training
from harness.workload import Workload, normal, rng

VOCABULARY = 65


@dataclass(frozen=True)
class Size:
    layers: int
    heads: int
    width: int
    block: int
    batch: int

    @property
    def flop(self) -> float:
        """Of all products, three times the forward ones; causal scores count half."""
        tokens, d = self.batch * self.block, self.width
        layer = 12 * d * d + self.block * d
        return 6.0 * tokens * (self.layers * layer + VOCABULARY * d)


def data(size: Size):
    stream, d = rng(), size.width
    params = {
        "token.weight": normal(stream, VOCABULARY, d, scale=0.5),
        "place.weight": normal(stream, size.block, d, scale=0.5),
    }
    for i in range(size.layers):
        params |= layer(stream, f"blocks.{i}.", d)
    params |= norm("norm.", d)
    params["head.weight"] = normal(stream, VOCABULARY, d, scale=d**-0.5)
    shape = (size.batch, size.block)
    batch = [stream.integers(0, VOCABULARY, shape) for _ in range(2)]
    return {"params": params, "batch": batch}


def layer(stream, at, d) -> dict:
    shapes = {"qkv": (3 * d, d), "out": (d, d), "up": (4 * d, d), "down": (d, 4 * d)}
    weights = {
        f"{at}{k}.weight": normal(stream, *s, scale=s[1] ** -0.5)
        for k, s in shapes.items()
    }
    return {**norm(f"{at}norm1.", d), **norm(f"{at}norm2.", d), **weights}


def norm(at, d) -> dict:
    stream = rng(1)
    return {f"{at}weight": normal(stream, d), f"{at}bias": normal(stream, d, scale=0.1)}


def model(lib, size: Size):
    """For a library with PyTorch's face."""
    nn, d = lib.nn, size.width

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(d), nn.LayerNorm(d)
            self.qkv = nn.Linear(d, 3 * d, bias=False)
            self.out = nn.Linear(d, d, bias=False)
            self.up = nn.Linear(d, 4 * d, bias=False)
            self.down = nn.Linear(4 * d, d, bias=False)

        def attend(self, x):
            b, t, _ = x.shape
            parts = self.qkv(x).split(d, dim=2)
            q, k, v = (y.view(b, t, size.heads, -1).transpose(1, 2) for y in parts)
            attention = nn.functional.scaled_dot_product_attention
            y = attention(q, k, v, is_causal=True)
            return self.out(y.transpose(1, 2).reshape(b, t, d))

        def forward(self, x):
            x = x + self.attend(self.norm1(x))
            return x + self.down(nn.functional.gelu(self.up(self.norm2(x))))

    class Transformer(nn.Module):
        def __init__(self):
            super().__init__()
            self.token = nn.Embedding(VOCABULARY, d)
            self.place = nn.Embedding(size.block, d)
            self.blocks = nn.Sequential(*(Block() for _ in range(size.layers)))
            self.norm = nn.LayerNorm(d)
            self.head = nn.Linear(d, VOCABULARY, bias=False)

        def forward(self, x):
            y = self.token(x) + self.place.weight
            return self.head(self.norm(self.blocks(y)))

    return Transformer()


def face_loss(lib, net, x, t):
    y = net(x)
    return lib.nn.functional.cross_entropy(y.view(-1, VOCABULARY), t.view(-1))


def scores(normed, attend, gelu, size, p, x):
    """The network as a function of its parameters."""
    y = p["token.weight"][x] + p["place.weight"]
    b, t, d = y.shape
    for i in range(size.layers):
        at = f"blocks.{i}."
        h = normed(y, p[f"{at}norm1.weight"], p[f"{at}norm1.bias"])
        h = (h @ p[f"{at}qkv.weight"].T).reshape(b, t, 3, size.heads, d // size.heads)
        h = attend(h[:, :, 0], h[:, :, 1], h[:, :, 2]).reshape(b, t, d)
        y = y + h @ p[f"{at}out.weight"].T
        h = normed(y, p[f"{at}norm2.weight"], p[f"{at}norm2.bias"])
        y = y + gelu(h @ p[f"{at}up.weight"].T) @ p[f"{at}down.weight"].T
    return normed(y, p["norm.weight"], p["norm.bias"]) @ p["head.weight"].T


def jax_loss(jax, p, x, t, size):
    np = jax.numpy

    def normed(x, w, b):
        x = x - x.mean(-1, keepdims=True)
        return x * jax.lax.rsqrt(np.mean(x * x, -1, keepdims=True) + 1e-5) * w + b

    attend = partial(jax.nn.dot_product_attention, is_causal=True)
    gelu = partial(jax.nn.gelu, approximate=False)
    y = jax.nn.log_softmax(scores(normed, attend, gelu, size, p, x))
    return -np.take_along_axis(y, t[..., None], -1).mean()


def mlx_loss(mlx, p, x, t, size):
    mx = mlx.core

    def normed(x, w, b):
        return mx.fast.layer_norm(x, w, b, 1e-5)

    def attend(*qkv):
        q, k, v = (y.transpose(0, 2, 1, 3) for y in qkv)
        attention = mx.fast.scaled_dot_product_attention
        y = attention(q, k, v, scale=q.shape[-1] ** -0.5, mask="causal")
        return y.transpose(0, 2, 1, 3)

    y = scores(normed, attend, mlx.nn.gelu, size, p, x)
    return mlx.nn.losses.cross_entropy(y, t, reduction="mean")


def tinygrad_loss(tg, p, x, t, size):
    def normed(x, w, b):
        return x.layernorm(eps=1e-5) * w + b

    def attend(*qkv):
        q, k, v = (y.transpose(1, 2) for y in qkv)
        return q.scaled_dot_product_attention(k, v, is_causal=True).transpose(1, 2)

    def gelu(x):
        return x * 0.5 * (1 + (x * 0.5**0.5).erf())

    y = scores(normed, attend, gelu, size, p, x).reshape(-1, VOCABULARY)
    return y.sparse_categorical_crossentropy(t.reshape(-1))


def workload(title, size: Size, goal, large=False) -> Workload:
    """A transformer in every library that has fast products."""
    forms = training.trainer(partial(model, size=size), face_loss)
    forms["jax"] = training.jax(partial(jax_loss, size=size))
    if not large:
        forms["mlx"] = training.mlx(partial(mlx_loss, size=size))
        forms["tinygrad"] = training.tinygrad(partial(tinygrad_loss, size=size))
    return Workload(
        title=title,
        data=partial(data, size),
        forms=forms,
        goal=goal,
        flop=size.flop,
        tolerance=3e-3,
        notes={"tinygrad, mlx": "left out: a minute a step"} if large else {},
    )


MINI, CHAR = Size(4, 4, 128, 64, 16), Size(6, 6, 384, 256, 12)
WORKLOADS = {
    "gpt_mini": workload("GPT mini: 4 layers, d 128, block 64, batch 16", MINI, 1.4),
    "gpt_char": workload(
        "GPT char: 6 layers, d 384, block 256, batch 12", CHAR, 1.1, large=True
    ),
}
