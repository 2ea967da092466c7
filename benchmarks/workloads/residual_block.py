"""A residual block relu(x + conv(relu(conv(x)))) of 3x3 convolutions: loss and gradients."""

from __future__ import annotations

from harness import functions, training
from harness.workload import Run, Workload, normal, rng

BATCH, CHANNELS, SIDE = 32, 64, 32


def data():
    stream, c = rng(), CHANNELS
    scale = (2 / (9 * c)) ** 0.5
    inputs = [normal(stream, BATCH, c, SIDE, SIDE)]
    for _ in range(2):
        inputs += [normal(stream, c, c, 3, 3, scale=scale), normal(stream, c)]
    return {"inputs": inputs}


def loss(lib, x, w1, b1, w2, b2):
    conv, relu = lib.nn.functional.conv2d, lib.nn.functional.relu
    y = relu(conv(x, w1, b1, padding=1))
    return (relu(x + conv(y, w2, b2, padding=1)) ** 2).mean()


def face(lib, *xs):
    value = loss(lib, *xs)
    return value, *lib.autograd.grad(value, xs)


def channels_last(torch, d, compiled) -> Run:
    """PyTorch's way for convolutions on a CPU; torch.compile takes the forward pass."""
    xs = training.tensors(torch, d["inputs"])
    for i in (0, 1, 3):
        xs[i] = xs[i].to(memory_format=torch.channels_last)
    xs = [x.requires_grad_() for x in xs]
    value = torch.compile(loss, fullgraph=True) if compiled else loss

    def step(*xs):
        y = value(torch, *xs)
        return y, *torch.autograd.grad(y, xs)

    return functions.kept(step, xs, training.arrays)


def jax_loss(jax, x, w1, b1, w2, b2):
    """Channels last inside, which XLA's CPU convolution wants."""
    np, relu = jax.numpy, jax.nn.relu

    def conv(x, w, b):
        w = w.transpose(2, 3, 1, 0)
        names = ("NHWC", "HWIO", "NHWC")
        y = jax.lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=names)
        return y + b

    x = x.transpose(0, 2, 3, 1)
    return np.mean(relu(x + conv(relu(conv(x, w1, b1)), w2, b2)) ** 2)


def jax(jax, *xs):
    def value(*xs):
        return jax_loss(jax, *xs)

    return jax.value_and_grad(value, argnums=(0, 1, 2, 3, 4))(*xs)


def mlx(mlx, *xs):
    mx, relu = mlx.core, mlx.nn.relu

    def value(x, w1, b1, w2, b2):
        def conv(x, w, b):
            return mx.conv2d(x, w.transpose(0, 2, 3, 1), padding=1) + b

        x = x.transpose(0, 2, 3, 1)
        return mx.mean(relu(x + conv(relu(conv(x, w1, b1)), w2, b2)) ** 2)

    return mx.value_and_grad(value, argnums=(0, 1, 2, 3, 4))(*xs)


def tinygrad(tg, *xs):
    x, w1, b1, w2, b2 = xs
    y = x.conv2d(w1, b1, padding=1).relu()
    value = ((x + y.conv2d(w2, b2, padding=1)).relu() ** 2).mean()
    return value.realize(*(gs := value.gradient(*xs))), *gs


FACE = functions.face(face, leaves=range(5))
WORKLOADS = {
    "residual_block": Workload(
        title="residual block 32x32x64, batch 32, forward and backward",
        data=data,
        forms={
            "adjoint": FACE["adjoint"],
            "adjoint eager": FACE["adjoint eager"],
            "torch": lambda torch, d: channels_last(torch, d, False),
            "torch.compile": lambda torch, d: channels_last(torch, d, True),
            "jax": functions.jax(jax),
            "tinygrad": functions.tinygrad(tinygrad),
            "mlx": functions.mlx(mlx),
        },
        goal=1.1,
        flop=2.0 * BATCH * SIDE**2 * CHANNELS**2 * 9 * 2 * 3,
        check=1,
        notes={"torch": "channels last"},
    )
}
