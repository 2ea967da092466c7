"""Random programs: steps drawn from a seed, each a function of the values so far.

They are replayed on any values: operations of all kinds, views and writes through them, other
dtypes, random numbers, loops and branches, derivatives inside. What eager refuses is left out.
"""

import numpy as np

import adjoint as ad
from adjoint.errors import AdjointError
from adjoint.nn import functional as F

UNARY = [
    *("sin", "tanh", "exp", "abs", "neg", "square", "sigmoid", "relu", "floor", "sign"),
    *("cos", "sqrt", "log1p", "expm1", "erf", "atan", "reciprocal", "trunc", "angle"),
    *("logical_not", "isnan", "isfinite"),
]
BINARY = [
    *("add", "sub", "mul", "maximum", "minimum", "div", "atan2", "hypot", "remainder"),
    *("eq", "lt", "ge", "logical_and"),
]
REDUCTIONS = [
    *("sum", "mean", "amax", "amin", "logsumexp", "prod", "argmax", "argmin", "std"),
    *("any", "cumsum"),
]
FLOATS = ad.float32, ad.float64
OTHERS = "float16 bfloat16 float32 float64 int64 int32 uint8 bool complex64 complex128"
INPLACE = ["tanh_", "neg_", "relu_", "sin_", "zero_", "abs_"]
# Of a value and a number that says which.
MORE = [
    lambda x, k: x.softmax(-1),
    lambda x, k: x.log_softmax(0),
    lambda x, k: x.sort(-1, descending=k % 2 == 0).values,
    lambda x, k: x.argsort(0),
    lambda x, k: x.topk(1, -1).values,
    lambda x, k: x.cumprod(-1),
    lambda x, k: ad.cummax(x, 0).values,
    lambda x, k: x.clamp(-0.5, 0.1 * k),
    lambda x, k: x**2,
    lambda x, k: x**3,
    lambda x, k: x.abs() ** 0.5,
    lambda x, k: (x.abs() + 0.1).log(),
    lambda x, k: x.masked_fill(x > 0, k),
    lambda x, k: ad.where(x > 0, x, k),
    lambda x, k: x.var(),
    lambda x, k: x.norm(),
    lambda x, k: x.median(),
    lambda x, k: x.tril(k - 1),
    lambda x, k: ad.stack([x, x * k], -1),
    lambda x, k: ad.cat([x, x.flip(0)], 0),
    lambda x, k: x.index_select(0, ad.tensor([0, -1])),
    lambda x, k: x.gather(-1, x.argsort(-1)),
    lambda x, k: x[x.argmax(0)],
    lambda x, k: x.T @ x,
    lambda x, k: ad.einsum("...i,...i->...", x, x),
    lambda x, k: ad.outer(x.reshape(-1), x.reshape(-1)[:3]),
    lambda x, k: F.layer_norm(x, x.shape[-1:]),
    lambda x, k: F.pad(x, (1, k)),
    lambda x, k: F.conv1d(x.reshape(1, 1, -1), ad.ones(1, 1, 2, dtype=x.dtype)),
    lambda x, k: F.avg_pool1d(x.reshape(1, -1), 2),
    lambda x, k: F.max_pool1d(x.reshape(1, -1), 2, return_indices=True)[k % 2],
    lambda x, k: F.gelu(x),
    lambda x, k: F.softplus(x),
    lambda x, k: x.real,
    lambda x, k: F.one_hot((x > 0).long(), 2),
    lambda x, k: x // (k + 1),
    lambda x, k: x % (k + 2),
    lambda x, k: x.long() & 3,
    lambda x, k: ~(x > k),
    lambda x, k: x.new_zeros(4).scatter_add(0, x.reshape(-1).long() % 4, x.reshape(-1)),
    lambda x, k: ad.complex(x, x * k),
    lambda x, k: ad.view_as_real(x),
    lambda x, k: x * (k + 1j),
    lambda x, k: x.conj() * x,
]
# What draws.
DRAWS = [
    lambda x: x + ad.rand_like(x),
    lambda x: x * ad.randn(x.shape, dtype=x.dtype),
    lambda x: F.dropout(x, 0.3),
    lambda x: ad.bernoulli(x.sigmoid()),
    lambda x: ad.randint(0, 5, x.shape),
    lambda x: x.clone().uniform_(-1, 1),
    lambda x: x[ad.randperm(len(x.reshape(-1)[:2]))],
]
# Smooth and small, to be differentiated.
TAME = [
    lambda x: (x.tanh() * x.sin()).sum(),
    lambda x: (x.sigmoid() - 0.3).square().mean(),
    lambda x: x.reshape(-1).softmax(0).square().sum(),
    lambda x: (x.reshape(-1).cumsum(0) / 9).tanh().sum(),
    lambda x: ad.logsumexp(x.reshape(-1), 0),
]
TRANSFORMS = [
    lambda f, x: ad.grad(f)(x),
    lambda f, x: ad.grad(lambda x: (ad.grad(f)(x) * x).sum())(x),
    lambda f, x: ad.jvp(f, (x,), (x * 0.5,))[1],
    lambda f, x: ad.vmap(f)(x),
    lambda f, x: ad.vmap(ad.grad(f))(x),
    lambda f, x: ad.jvp(ad.grad(f), (x,), (x.tanh(),))[1],
    lambda f, x: ad.grad(lambda x: ad.vmap(f)(x).sum())(x),
]
LOOPS = [
    lambda x, k: ad.scan(lambda c, r: (c / 2 + r.sin(), c - r), x[0] * 0.0, x)[k % 2],
    lambda x, k: ad.scan(
        lambda c, r: (ad.maximum(c, r), c.sum()), x[0], x, reverse=True
    )[k % 2],
    lambda x, k: ad.cond(x.sum() > 0, lambda a: a - 1, lambda a: a.tanh(), x * 1.0),
    lambda x, k: ad.fori_loop(0, k + 1, lambda i, c: c * 0.5 + i, x * 1.0),
    lambda x, k: ad.map(lambda r: r.sin() * k, x),
    lambda x, k: ad.while_loop(
        lambda c: c.abs().sum() > 1, lambda c: c * 0.25, x.detach().tanh() * 9
    ),
]


class Program:
    """Steps drawn from a seed, replayed on any values; `wild` ones are of all kinds."""

    def __init__(self, seed, wild=False, data=True):
        self.rng = np.random.default_rng(seed)
        self.steps: list = []
        self.float = FLOATS[self.rng.integers(2)]
        self.dtypes = {self.float}  # that values have on the way
        self.data = data  # whether memory is written behind the back of derivatives
        self.wild = wild and bool(self.rng.integers(4))

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
        if self.wild:
            kinds += [self.more] * 4 + [self.cast, self.drawn_one, self.item] * 2
            kinds += [self.transformed, self.loop]
        return self.pick(*kinds)(values)

    def unary(self, values):
        i, name = self.value(values), self.pick(*UNARY)
        return lambda v: v.append(getattr(v[i], name)())

    def more(self, values):
        i, f, k = self.value(values), self.pick(*MORE), int(self.rng.integers(3))
        return lambda v: v.append(f(v[i], k))

    def drawn_one(self, values):
        i, f = self.value(values), self.pick(*DRAWS)
        return lambda v: v.append(f(v[i]))

    def transformed(self, values):
        i, f, way = self.value(values), self.pick(*TAME), self.pick(*TRANSFORMS)
        return lambda v: v.append(way(f, v[i]))

    def loop(self, values):
        i, f, k = self.value(values), self.pick(*LOOPS), int(self.rng.integers(3))
        return lambda v: v.append(f(v[i], k))

    def cast(self, values):
        """To another dtype, of numbers that all dtypes have."""
        i, to = self.value(values), getattr(ad, self.pick(*OTHERS.split()))

        def cast(v):
            x = v[i]
            if to in (ad.int64, ad.int32, ad.uint8) and x.is_floating_point():
                x = x.nan_to_num().clamp(0, 99).round()
            self.dtypes.add(to)
            v.append(x.to(to))

        return cast

    def item(self, values):
        """Elements read or written by index."""
        i, k = self.value(values), float(self.rng.integers(-2, 3))
        rows = ad.tensor(self.rng.integers(-1, 2, 3))
        ways = [lambda x: x[rows], lambda x: x[..., None], lambda x: x[:, rows]]
        if self.rng.integers(2):
            return self._appended(i, self.pick(*ways))
        index = self.pick(rows, Ellipsis, 0, slice(0, 1), (Ellipsis, 0), None)

        def write(v):
            v[i][v[i] > 0 if index is None else index] = k

        return write

    def _appended(self, i, f):
        return lambda v: v.append(f(v[i]))

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
        fits = [j for j, y in enumerate(values) if broadcasts(values[i], y)]
        j = self.pick(*fits)
        return lambda v: v.append(getattr(ad, name)(v[i], v[j]))

    def reduction(self, values):
        i, name = self.value(values), self.pick(*REDUCTIONS)
        x = values[i]
        if not x.ndim or 0 in x.shape:
            return lambda v: v.append(v[i].sum())
        d, keep = int(self.rng.integers(x.ndim)), bool(self.rng.integers(2))
        if name == "cumsum":
            return lambda v: v.append(v[i].cumsum(d))
        return lambda v: v.append(getattr(v[i], name)(d, keepdim=keep))

    def product(self, values):
        i = self.value(values)
        if not values[i].ndim:
            return lambda v: v.append(v[i] * v[i])
        w = self.tensor((values[i].shape[-1], int(self.pick(1, 3, 8))))
        return lambda v: v.append(v[i] @ w.to(v[i].dtype))

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
            if self.wild:
                ways += [lambda x: x.diagonal(), lambda x: x.expand(2, *x.shape)]
                ways += [lambda x: x[::2], lambda x: x.unfold(d, 1, 1)]
        return self.pick(*ways)

    def write(self, values):
        """In place: to a value, or through a view of it."""
        i = self.value(values)
        look = self.pick(lambda x: x, self.seen(values[i]), self.seen(values[i]))
        k = round(float(self.rng.normal()), 2)
        names = ["add_", "mul_", "fill_", "copy_", "tanh_", *(["data"] * self.data)]
        how = self.pick(*names, *(INPLACE if self.wild else []))
        source = self.value(values)

        def write(v):
            to = look(v[i])
            if how == "copy_":
                if broadcasts(to, v[source]) and ad.broadcast_shapes(
                    to.shape, v[source].shape
                ) == tuple(to.shape):
                    to.copy_(v[source])
            elif how == "data":
                to.data.add_(k)
            elif how in INPLACE:
                getattr(to, how)()
            else:
                getattr(to, how)(k)

        return write

    # ------------------------------------------------------------ whole programs

    def drawn(self, inputs, count):
        """Steps that run without an error on copies of these inputs."""
        values = [x.clone() for x in inputs]
        while len(self.steps) < count:
            step, many = self.step(values), len(values)
            try:
                step(values)
                refused = len(values) > many and not self.small(values[-1])
            except AdjointError:
                refused = True
            if refused:
                values = [x.clone() for x in inputs]  # a write may have gone half way
                for kept in self.steps:
                    kept(values)
                continue
            self.steps.append(step)
        return self

    def small(self, x) -> bool:
        """Whether the program may go on with a value."""
        return x.numel() <= 4096

    def __call__(self, *inputs):
        values = list(inputs)
        for step in self.steps:
            step(values)
        return values[len(inputs) :]


def broadcasts(x, y) -> bool:
    """Whether two tensors have a common shape."""
    pairs = zip(reversed(x.shape), reversed(y.shape), strict=False)
    return all(a == b or 1 in (a, b) for a, b in pairs)
