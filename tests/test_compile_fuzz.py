"""Random programs, eager against compiled: operations, views, writes in place, training steps.

Each seed makes a program, which is run on the same numbers both ways, several times. More of
them: `ADJOINT_FUZZ=5000 pytest tests/test_compile_fuzz.py`, or `make fuzz`.
"""

import itertools
import os

import numpy as np
import pytest

import adjoint as ad
from adjoint import compile, optim
from adjoint.errors import AdjointError

COUNT = int(os.environ.get("ADJOINT_FUZZ", "60"))  # of each kind
CHUNK = 20
UNARY = [
    "sin",
    "tanh",
    "exp",
    "abs",
    "neg",
    "square",
    "sigmoid",
    "relu",
    "floor",
    "sign",
    "cos",
]
BINARY = ["add", "sub", "mul", "maximum", "minimum"]
REDUCTIONS = ["sum", "mean", "amax", "amin", "logsumexp"]
FLOATS = ad.float32, ad.float64
RECORDS = [
    prim
    for prim in ad.op
    if prim.samples is not None and not prim.calls_back and "random" not in prim.name
]


class Program:
    """Steps drawn from a seed, each a function of the values so far, replayed on any values."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.steps: list = []
        self.float = FLOATS[self.rng.integers(2)]

    def pick(self, *choices):
        """One of them."""
        return choices[self.rng.integers(len(choices))]

    def shape(self):
        """A small shape, sometimes empty."""
        sizes = 1, 1, 2, 3, 3, 4, 5, 8, *([0] if self.rng.random() < 0.1 else [])
        rank = self.rng.integers(0, 4)
        return tuple(int(self.pick(*sizes)) for _ in range(rank))

    def tensor(self, shape=None, requires_grad=False):
        """Numbers of the program's dtype."""
        x = self.rng.normal(size=self.shape() if shape is None else shape)
        return ad.tensor(x, dtype=self.float, requires_grad=requires_grad)

    def value(self, values):
        """The number of one of the values: late ones more often."""
        n = len(values)
        return int(max(self.rng.integers(n), self.rng.integers(n)))

    # ------------------------------------------------------------ steps

    def step(self, values):
        """A function of the list of values that adds to it or changes one."""
        kinds = (
            [self.unary] * 4
            + [self.binary] * 4
            + [self.view] * 4
            + [self.write] * 4
            + [self.reduction, self.product, self.choice, self.scaled, self.detached]
        )
        return self.pick(*kinds)(values)

    def unary(self, values):
        i, name = self.value(values), self.pick(*UNARY)
        return lambda v: v.append(getattr(v[i], name)())

    def scaled(self, values):
        i, k = self.value(values), round(float(self.rng.normal()), 2)
        f = self.pick(
            lambda x: x * k, lambda x: k - x, lambda x: x / (k + 5), lambda x: x + 1
        )
        return lambda v: v.append(f(v[i]))

    def detached(self, values):
        i, name = self.value(values), self.pick("detach", "clone", "contiguous")
        return lambda v: v.append(getattr(v[i], name)())

    def binary(self, values):
        i, name = self.value(values), self.pick(*BINARY)
        fits = [j for j, y in enumerate(values) if _broadcasts(values[i], y)]
        j = self.pick(*fits)
        return lambda v: v.append(getattr(ad, name)(v[i], v[j]))

    def reduction(self, values):
        i, name = self.value(values), self.pick(*REDUCTIONS)
        x = values[i]
        if not x.ndim or 0 in x.shape:
            return lambda v: v.append(v[i].sum())
        d, keep = int(self.rng.integers(x.ndim)), bool(self.rng.integers(2))
        return lambda v: v.append(getattr(v[i], name)(d, keepdim=keep))

    def product(self, values):
        i = self.value(values)
        if not values[i].ndim:
            return lambda v: v.append(v[i] * v[i])
        w = self.tensor((values[i].shape[-1], int(self.pick(1, 3, 8))))
        return lambda v: v.append(v[i] @ w)

    def choice(self, values):
        i = self.value(values)
        fits = [j for j, y in enumerate(values) if y.shape == values[i].shape]
        j = self.pick(*fits)
        return lambda v: v.append(ad.where(v[i] > 0, v[i], v[j]))

    def view(self, values):
        i = self.value(values)
        f = self.seen(values[i])
        return lambda v: v.append(f(v[i]))

    def seen(self, x):
        """A way to look at x, as a view where that can be."""
        ways = [lambda x: x.reshape(-1), lambda x: x.unsqueeze(0), lambda x: x[...]]
        if x.ndim:
            d = int(self.rng.integers(x.ndim))
            n = x.shape[d]
            a, b = sorted(int(k) for k in self.rng.integers(0, n + 1, 2))
            ways += [lambda x: x.transpose(0, d), lambda x: x.flip(d)]
            ways += [lambda x: x.narrow(d, a, b - a)] * 3
            if n:
                k = int(self.rng.integers(-n, n))
                ways += [lambda x: x.select(d, k), lambda x: x.roll(k, d)] * 2
        return self.pick(*ways)

    def write(self, values):
        """In place: to a value, or through a view of it."""
        i = self.value(values)
        look = self.pick(lambda x: x, self.seen(values[i]), self.seen(values[i]))
        k = round(float(self.rng.normal()), 2)
        how = self.pick("add_", "mul_", "fill_", "copy_", "tanh_", "data")
        source = self.value(values)

        def write(v):
            to = look(v[i])
            if how == "copy_":
                if _broadcasts(to, v[source]) and ad.broadcast_shapes(
                    to.shape, v[source].shape
                ) == tuple(to.shape):
                    to.copy_(v[source])
            elif how == "data":
                to.data.add_(k)
            elif how == "tanh_":
                to.tanh_()
            else:
                getattr(to, how)(k)

        return write

    # ------------------------------------------------------------ whole programs

    def drawn(self, inputs, count):
        """Steps that run without an error on copies of these inputs."""
        values = [x.clone() for x in inputs]
        while len(self.steps) < count:
            step = self.step(values)
            try:
                step(values)
            except AdjointError:
                values = [x.clone() for x in inputs]  # a write may have gone half way
                for kept in self.steps:
                    kept(values)
                continue
            self.steps.append(step)
        return self

    def __call__(self, *inputs):
        values = list(inputs)
        for step in self.steps:
            step(values)
        return values[len(inputs) :]


def _broadcasts(x, y) -> bool:
    pairs = zip(reversed(x.shape), reversed(y.shape), strict=False)
    return all(a == b or 1 in (a, b) for a, b in pairs)


def agree(got, want, seed):
    """The same but for rounding."""
    assert len(got) == len(want)
    for n, (a, b) in enumerate(zip(got, want, strict=True)):
        a, b = a.detach().numpy(), b.detach().numpy()
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        tolerance = 1e-9 if a.dtype == np.float64 else 2e-4
        np.testing.assert_allclose(
            a, b, rtol=tolerance, atol=tolerance, err_msg=f"seed {seed}, value {n}"
        )


def in_place(seed):
    """Values, views of them and writes: results and what became of the arguments."""
    made = Program(seed)
    inputs = [made.tensor() for _ in range(int(made.pick(1, 2, 3)))]
    outside = [made.tensor()]
    with ad.no_grad():
        made.drawn([*inputs, *outside], int(made.pick(2, 5, 9, 14)))
    seen = []
    for wrap in (lambda f: f, compile):
        state = [x.clone() for x in outside]
        f = wrap(lambda *xs, state=state: made(*xs, *state))
        rows = []
        with ad.no_grad():
            for k in range(3):
                xs = [x * (1 + k / 4) for x in inputs]
                ys = f(*xs)
                rows += [x.clone() for x in (*ys, *xs, *state)]
        seen.append(rows)
    agree(seen[1], seen[0], seed)


def gradients(seed):
    """Derivatives of values made by views and writes to them."""
    made = Program(seed)
    w = made.tensor(requires_grad=True)
    inputs = [made.tensor() for _ in range(2)]

    def loss(made, *xs):
        return sum(y.square().mean() for y in made(w * 1, *xs) if y.numel())

    made.drawn([w * 1, *inputs], int(made.pick(2, 5, 9)))
    seen = []
    for wrap in (lambda f: f, compile):

        def f(*xs):
            w.grad = None
            y = loss(made, *(x.clone() for x in xs))
            if isinstance(y, ad.Tensor) and y.requires_grad:
                y.backward()
            return y if w.grad is None else (y, w.grad * 1)

        f, rows = wrap(f), []
        for k in range(3):
            try:
                out = f(*(x * (1 + k / 4) for x in inputs))
            except AdjointError:
                return  # eagerly: something that is needed was written to
            rows += [
                y if isinstance(y, ad.Tensor) else ad.tensor(float(y))
                for y in (out if isinstance(out, (tuple, list)) else [out])
            ]
        seen.append(rows)
    agree(seen[1], seen[0], seed)


def training(seed):
    """Steps of an optimizer on a random model, with state of its own."""
    made = Program(seed)
    rng = made.rng
    kind = made.pick(optim.SGD, optim.Adam, optim.RMSprop, optim.AdamW, optim.Adagrad)
    sizes = [int(n) for n in rng.integers(1, 9, int(made.pick(2, 3, 4)))]
    start = [made.tensor(s) for s in itertools.pairwise(sizes)]
    start += [made.tensor((n,)) for n in sizes[1:]]
    acts = [made.pick("tanh", "relu", "sigmoid", "sin") for _ in sizes[1:]]
    data = [made.tensor((n, sizes[0])) for n in (4, 4, 2, 4, 2)]
    clears, averages = made.pick(True, False), made.pick(True, False)
    seen = []
    for wrap in (lambda f: f, compile):
        ws = [x.clone().requires_grad_() for x in start]
        mean = ad.zeros(sizes[-1], dtype=made.float)
        opt = kind(ws, lr=0.01)

        @wrap
        def step(x, ws=ws, mean=mean, opt=opt):
            opt.zero_grad(set_to_none=clears)
            n = len(sizes) - 1
            for w, b, act in zip(ws[:n], ws[n:], acts, strict=True):
                x = getattr(x @ w + b, act)()
            if averages:
                mean.mul_(0.9).add_(x.detach().mean(0), alpha=0.1)
            loss = (x - mean).square().mean()
            loss.backward()
            opt.step()
            return loss

        losses = [step(x) for x in data]
        seen.append([*losses, *ws, mean, *(w.grad for w in ws)])
    agree(seen[1], seen[0], seed)


def records(seed):
    """An operation of the registry between others."""
    made = Program(seed)
    prim = RECORDS[seed % len(RECORDS)]
    cases = prim.samples(made.rng)
    args, params = cases[made.rng.integers(len(cases))]
    xs = [ad.tensor(a) for a in args]

    def f(*xs):
        y = prim(*xs, **params)
        ys = y if isinstance(y, tuple) else (y,)
        return [z * 2 + 1 if z.is_floating_point() else z for z in ys]

    g = compile(f)
    with ad.no_grad():
        for _ in range(3):
            agree(g(*xs), f(*xs), seed)


@pytest.mark.parametrize("chunk", range(-(-COUNT // CHUNK)))
@pytest.mark.parametrize("kind", [in_place, gradients, training, records])
def test_random_programs(kind, chunk):
    each = {training: CHUNK // 10}.get(kind, CHUNK)
    for seed in range(chunk * each, (chunk + 1) * each):
        kind(seed)
