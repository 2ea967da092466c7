"""LeNet on 28x28 images, batch 64, Adam."""

from __future__ import annotations

from harness import training
from harness.workload import Workload, normal, rng

BATCH = 64
SHAPES = {
    "0": (6, 1, 5, 5),
    "3": (16, 6, 5, 5),
    "7": (120, 400),
    "9": (84, 120),
    "11": (10, 84),
}


def data():
    stream, params = rng(), {}
    for name, shape in SHAPES.items():
        reads = shape[1] * (25 if len(shape) == 4 else 1)
        params[f"{name}.weight"] = normal(stream, *shape, scale=(2 / reads) ** 0.5)
        params[f"{name}.bias"] = normal(stream, shape[0], scale=0.01)
    x = normal(stream, BATCH, 1, 28, 28)
    return {"params": params, "batch": [x, stream.integers(0, 10, BATCH)]}


def model(lib):
    nn = lib.nn
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        *(nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU()),
        nn.Linear(84, 10),
    )


def face_loss(lib, net, x, t):
    return lib.nn.functional.cross_entropy(net(x), t)


def dense(relu, p, x):
    """The three linear layers."""
    x = relu(x @ p["7.weight"].T + p["7.bias"])
    x = relu(x @ p["9.weight"].T + p["9.bias"])
    return x @ p["11.weight"].T + p["11.bias"]


def jax_loss(jax, p, x, t):
    """Channels last, which XLA's CPU convolution wants."""

    def layer(x, name, padding):
        w = p[f"{name}.weight"].transpose(2, 3, 1, 0)
        names = ("NHWC", "HWIO", "NHWC")
        y = jax.lax.conv_general_dilated(x, w, (1, 1), padding, dimension_numbers=names)
        y = jax.nn.relu(y + p[f"{name}.bias"])
        window, least = (1, 2, 2, 1), -jax.numpy.inf
        return jax.lax.reduce_window(y, least, jax.lax.max, window, window, "VALID")

    x = layer(layer(x.transpose(0, 2, 3, 1), "0", "SAME"), "3", "VALID")
    x = x.transpose(0, 3, 1, 2).reshape(len(x), -1)
    y = jax.nn.log_softmax(dense(jax.nn.relu, p, x))
    return -jax.numpy.take_along_axis(y, t[:, None], 1).mean()


def mlx_loss(mlx, p, x, t):
    """MLX keeps channels last."""

    def layer(x, name, padding):
        w = p[f"{name}.weight"].transpose(0, 2, 3, 1)
        y = mlx.core.conv2d(x, w, padding=padding) + p[f"{name}.bias"]
        return mlx.nn.MaxPool2d(2)(mlx.nn.relu(y))

    x = layer(layer(x.transpose(0, 2, 3, 1), "0", 2), "3", 0)
    x = x.transpose(0, 3, 1, 2).reshape(len(x), -1)
    y = dense(mlx.nn.relu, p, x)
    return mlx.nn.losses.cross_entropy(y, t, reduction="mean")


def tinygrad_loss(tg, p, x, t):
    x = x.conv2d(p["0.weight"], p["0.bias"], padding=2).relu().max_pool2d((2, 2))
    x = x.conv2d(p["3.weight"], p["3.bias"]).relu().max_pool2d((2, 2)).flatten(1)
    return dense(tg.Tensor.relu, p, x).sparse_categorical_crossentropy(t)


def flop() -> float:
    """Of convolutions and products: forward, weights, inputs but those of the first."""
    first, second = 784 * 6 * 25, 100 * 16 * 150
    rest = 400 * 120 + 120 * 84 + 84 * 10
    return 2.0 * BATCH * (2 * first + 3 * (second + rest))


WORKLOADS = {
    "lenet": Workload(
        title="LeNet 28x28, batch 64, Adam",
        data=data,
        forms={
            **training.trainer(model, face_loss),
            "jax": training.jax(jax_loss),
            "tinygrad": training.tinygrad(tinygrad_loss),
            "mlx": training.mlx(mlx_loss),
        },
        goal=2.5,
        flop=flop(),
    )
}
