"""An LSTM over 64 steps of 128 numbers, hidden 128, batch 32, that classifies; Adam."""

from __future__ import annotations

from harness import training
from harness.workload import Workload, normal, rng

LENGTH, BATCH, INPUT, HIDDEN, CLASSES = 64, 32, 128, 128, 10


def data():
    stream, h = rng(), HIDDEN
    params = {
        "rnn.weight_ih_l0": normal(stream, 4 * h, INPUT, scale=INPUT**-0.5),
        "rnn.weight_hh_l0": normal(stream, 4 * h, h, scale=h**-0.5),
        "rnn.bias_ih_l0": normal(stream, 4 * h, scale=0.1),
        "rnn.bias_hh_l0": normal(stream, 4 * h, scale=0.1),
        "head.weight": normal(stream, CLASSES, h, scale=h**-0.5),
        "head.bias": normal(stream, CLASSES, scale=0.1),
    }
    x = normal(stream, LENGTH, BATCH, INPUT)
    return {"params": params, "batch": [x, stream.integers(0, CLASSES, BATCH)]}


def cell(sigmoid, tanh, split, gates, c):
    """The new hidden and cell state from the sums of the four gates."""
    i, f, g, o = split(gates)
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    return sigmoid(o) * tanh(c), c


def model(lib, written_out):
    """An LSTM and a linear layer; the LSTM as the library's layer, or written out."""
    nn = lib.nn

    class Classifier(nn.Module):
        def __init__(self):
            super().__init__()
            made = recurrent(lib) if written_out else nn.LSTM
            self.rnn = made(INPUT, HIDDEN)
            self.head = nn.Linear(HIDDEN, CLASSES)

        def forward(self, x):
            return self.head(self.rnn(x)[0][-1])

    return Classifier()


def recurrent(lib):
    """nn.LSTM of one layer as a loop over its steps."""
    nn = lib.nn

    class Recurrent(nn.Module):
        def __init__(self, n, h):
            super().__init__()
            self.weight_ih_l0 = nn.Parameter(lib.zeros(4 * h, n))
            self.weight_hh_l0 = nn.Parameter(lib.zeros(4 * h, h))
            self.bias_ih_l0 = nn.Parameter(lib.zeros(4 * h))
            self.bias_hh_l0 = nn.Parameter(lib.zeros(4 * h))

        def forward(self, x):
            bias = self.bias_ih_l0 + self.bias_hh_l0
            sums = nn.functional.linear(x, self.weight_ih_l0, bias)
            h = c = lib.zeros(x.shape[1], HIDDEN)
            for s in sums:
                gates = s + h @ self.weight_hh_l0.T
                h, c = cell(lib.sigmoid, lib.tanh, lambda y: y.chunk(4, 1), gates, c)
            return [h], (h, c)

    return Recurrent


def layer(lib):
    return model(lib, written_out=not hasattr(lib.nn, "LSTM"))


def face_loss(lib, net, x, t):
    return lib.nn.functional.cross_entropy(net(x), t)


def jax_loss(jax, p, x, t):
    sums = x @ p["rnn.weight_ih_l0"].T + (p["rnn.bias_ih_l0"] + p["rnn.bias_hh_l0"])
    w = p["rnn.weight_hh_l0"].T

    def split(y):
        return jax.numpy.split(y, 4, axis=1)

    def body(state, s):
        h, c = state
        return cell(jax.nn.sigmoid, jax.numpy.tanh, split, s + h @ w, c), None

    zero = jax.numpy.zeros((BATCH, HIDDEN))
    (h, _), _ = jax.lax.scan(body, (zero, zero), sums)
    y = jax.nn.log_softmax(h @ p["head.weight"].T + p["head.bias"])
    return -jax.numpy.take_along_axis(y, t[:, None], 1).mean()


def mlx_loss(mlx, p, x, t):
    mx = mlx.core
    sums = x @ p["rnn.weight_ih_l0"].T + (p["rnn.bias_ih_l0"] + p["rnn.bias_hh_l0"])
    w = p["rnn.weight_hh_l0"].T
    h = c = mx.zeros((BATCH, HIDDEN))
    for k in range(LENGTH):
        gates = sums[k] + h @ w
        h, c = cell(mx.sigmoid, mx.tanh, lambda y: mx.split(y, 4, 1), gates, c)
    y = h @ p["head.weight"].T + p["head.bias"]
    return mlx.nn.losses.cross_entropy(y, t, reduction="mean")


def flop() -> float:
    """Of the products of gates: forward, weights, inputs (but x needs none)."""
    steps = LENGTH * BATCH * 4 * HIDDEN
    return 2.0 * steps * (2 * INPUT + 3 * HIDDEN)


LAYER = training.trainer(layer, face_loss)
LOOP = training.trainer(lambda lib: model(lib, written_out=True), face_loss)
WORKLOADS = {
    "lstm": Workload(
        title="LSTM, 64 steps, hidden 128, batch 32, Adam",
        data=data,
        forms={
            **LAYER,
            "torch.compile": LOOP["torch.compile"],
            "jax": training.jax(jax_loss),
            "mlx": training.mlx(mlx_loss),
        },
        goal=1.3,
        flop=flop(),
        notes={
            "torch": "nn.LSTM",
            "torch.compile": "the cell written out, which inductor fuses",
            "jax": "lax.scan over the steps",
        },
    )
}
