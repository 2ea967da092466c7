"""Programs as people write them when nobody looks: compiled they do what they do eagerly."""

import contextlib
import copy
import dataclasses

import numpy as np
import pytest

import adjoint as ad
from adjoint import nn, optim
from agreement import agreeing

F = nn.functional
CASES, agrees = agreeing()


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_it_is_as_without_compile(case):
    case()


def seeded(*shape, dtype=ad.float64):
    rng = np.random.default_rng(sum(shape) + 7)
    return ad.tensor(rng.normal(size=shape)).to(dtype)


def trained(wrap, step_of, calls=5, lr=0.1, opt=optim.SGD):
    """A small network after steps of step_of(net, opt), compiled or not."""
    ad.manual_seed(1)
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    made = opt(net.parameters(), lr=lr)
    step = wrap(step_of(net, made))
    seen = [step(seeded(5, 3) * (k + 1)) for k in range(calls)]
    return seen, list(net.parameters()), [p.grad for p in net.parameters()]


# ------------------------------------------------------------ training steps


@agrees
def early_return(wrap):
    """A step that returns before it has done anything, as an argument says."""

    def of(net, opt):
        def step(x, skip=False):
            if skip:
                return None
            loss = net(x).square().mean()
            if x.shape[0] > 100:
                return loss
            opt.zero_grad()
            loss.backward()
            opt.step()
            return loss

        return step

    ad.manual_seed(1)
    net = nn.Linear(3, 2).double()
    step = wrap(of(net, optim.SGD(net.parameters(), lr=0.1)))
    out = []
    for skip in (False, True, False, True, False):
        out.append(step(seeded(4, 3), skip))
        out.append(step(seeded(101, 3)))
    return out, list(net.parameters())


@agrees
def exception_in_the_middle(wrap):
    """An exception between backward and the optimizer: gradients stay, parameters too."""
    trouble = [False]

    def of(net, opt):
        def step(x):
            opt.zero_grad()
            loss = net(x).square().mean()
            loss.backward()
            if trouble[0]:
                raise ValueError("trouble")
            opt.step()
            return loss

        return step

    ad.manual_seed(1)
    net = nn.Linear(3, 2).double()
    step = wrap(of(net, optim.Adam(net.parameters(), lr=0.1)))
    out = []
    for k in range(8):
        trouble[0] = k in (3, 6)
        try:
            out.append(step(seeded(4, 3)))
        except ValueError as error:
            out.append(str(error))
        out.append([p.detach().clone() for p in net.parameters()])
    return out


@agrees
def exception_that_is_caught_inside(wrap):
    def f(x):
        try:
            y = x.reshape(7, 7)
        except Exception:
            y = x * 2
        with contextlib.suppress(RuntimeError):
            y = y @ ad.ones(5, 5, dtype=x.dtype)
        return y.sum() if y.ndim else y

    f = wrap(f)
    return [f(seeded(2, 3)) for _ in range(3)] + [f(seeded(7, 7)) for _ in range(3)]


@agrees
def accumulation_over_calls(wrap):
    """The optimizer steps in every third call, as a Python number of the outside says."""

    def of(net, opt):
        def step(x, last):
            loss = net(x).square().mean() / 3
            loss.backward()
            if last:
                opt.step()
                opt.zero_grad()
            return loss

        return step

    ad.manual_seed(1)
    net = nn.Linear(3, 2).double()
    step = wrap(of(net, optim.Adam(net.parameters(), lr=0.1)))
    out = [step(seeded(4, 3), k % 3 == 2) for k in range(12)]
    return out, list(net.parameters())


@agrees
def clipping_and_two_optimizers(wrap):
    ad.manual_seed(1)
    a, b = nn.Linear(3, 4).double(), nn.Linear(4, 2).double()
    one, two = optim.Adam(a.parameters(), lr=0.1), optim.SGD(b.parameters(), lr=0.1)

    @wrap
    def step(x):
        for o in (one, two):
            o.zero_grad(set_to_none=False)
        loss = b(a(x).relu()).square().sum()
        loss.backward()
        norm = nn.utils.clip_grad_norm_([*a.parameters(), *b.parameters()], 0.5)
        two.step()
        one.step()
        return loss, norm

    return [step(seeded(4, 3)) for _ in range(6)], [*a.parameters(), *b.parameters()]


@agrees
def frozen_and_thawed(wrap):
    """`requires_grad` of parameters changes between calls."""
    ad.manual_seed(1)
    net = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)).double()

    @wrap
    def step(x):
        for p in net.parameters():
            p.grad = None
        loss = net(x).square().sum()
        loss.backward()
        return loss

    out = []
    for k in range(8):
        net[0].requires_grad_(k % 4 < 2)
        out += [step(seeded(5, 3)), [p.grad for p in net.parameters()]]
    return out


@agrees
def argument_that_begins_to_require_grad(wrap):
    f = wrap(lambda x: (x * x).sum())
    out = []
    for k in range(6):
        x = seeded(3).requires_grad_(k % 2 == 1)
        y = f(x)
        if k % 2:
            y.backward()
        out += [y, x.grad, y.requires_grad]
    return out


@agrees
def state_that_is_freed_and_made_anew(wrap):
    class Box:
        pass

    box = Box()
    box.w = seeded(3)

    @wrap
    def f(x):
        return x * box.w

    out = []
    for k in range(8):
        if k == 4:
            del box.w
            box.w = seeded(3) * 5
        if k == 6:
            box.w = seeded(1)
        out.append(f(seeded(2, 3)))
    return out


@agrees
def missing_state(wrap):
    class Box:
        w = None

    box = Box()
    box.w = seeded(3)
    f = wrap(lambda x: x * box.w if box.w is not None else -x)
    out = [f(seeded(3)) for _ in range(3)]
    box.w = None
    out += [f(seeded(3)) for _ in range(3)]
    box.w = seeded(3) + 1
    return out + [f(seeded(3)) for _ in range(3)]


@agrees
def dataclass_state(wrap):
    @dataclasses.dataclass
    class State:
        m: ad.Tensor
        count: ad.Tensor
        decay: float = 0.9

    s = State(ad.zeros(3, dtype=ad.float64), ad.zeros((), dtype=ad.int64))

    @wrap
    def f(x):
        s.m = s.decay * s.m + (1 - s.decay) * x
        s.count += 1
        return s.m / (1 - s.decay ** s.count.double())

    out = [f(seeded(3)) for _ in range(4)]
    s.decay = 0.5
    return [*out, *[f(seeded(3)) for _ in range(3)], s.m, s.count]


@agrees
def model_that_is_copied_and_loaded(wrap):
    ad.manual_seed(1)
    net = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)).double()
    step = wrap(lambda x: net(x).square().mean())
    out = [step(seeded(4, 3)) for _ in range(3)]
    saved = copy.deepcopy(net.state_dict())
    for p in net.parameters():
        p.data.mul_(2)
    out += [step(seeded(4, 3)) for _ in range(2)]
    net.load_state_dict(saved)
    return [*out, *[step(seeded(4, 3)) for _ in range(2)], *net.buffers()]


@agrees
def eval_and_train_by_turns(wrap):
    ad.manual_seed(1)
    net = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Dropout(0.5)).double()
    f = wrap(lambda x: net(x))
    out = []
    for k in range(8):
        net.train(k % 2 == 0)
        ad.manual_seed(k)
        out.append(f(seeded(6, 3)))
    return out, list(net.buffers())


# ------------------------------------------------------------ memory


@agrees
def in_place_on_a_view_of_an_argument(wrap):
    @wrap
    def f(x):
        x[1:, ::2].mul_(3)
        x.t()[0].add_(1)
        row = x[0]
        row += row.clone() * 2
        return x.sum(0)

    out = []
    for _ in range(4):
        x = seeded(3, 4)
        out += [f(x), x]
    return out


@agrees
def arguments_that_are_one(wrap):
    @wrap
    def f(x, y):
        x.add_(1)
        y.mul_(2)
        return x + y

    out = []
    for k in range(6):
        x, y = seeded(3), seeded(3) + 1
        y = (y, x, x[:])[k % 3]
        out += [f(x, y), x, y]
    return out


@agrees
def arguments_that_overlap(wrap):
    @wrap
    def f(x, y):
        x.copy_(y * 2)
        return x.sum() + y.sum()

    out = []
    for _ in range(4):
        z = seeded(6)
        out += [f(z[:4], z[2:]), z]
    return out


@agrees
def argument_that_is_state(wrap):
    w = seeded(3)

    @wrap
    def f(x):
        w.add_(x)
        return x * w

    out = []
    for k in range(6):
        x = (seeded(3), w, w[:1])[k % 3]
        out += [f(x), w.clone()]
    return out


@agrees
def results_that_are_views(wrap):
    w = seeded(4, 4)
    f = wrap(lambda x: (x[1], x.t(), w[0], w.diagonal(), x, {"again": [x, w]}))
    out = []
    for _ in range(4):
        x = seeded(2, 3)
        a, b, c, d, *_ = f(x)
        a.add_(1)
        b[0].mul_(2)
        c.add_(1)
        out += [a, b, c, d, x, w.clone()]
    return out


@agrees
def strides_of_every_kind(wrap):
    @wrap
    def f(x):
        y = x.flatten() * 2
        return y.sum(), x.contiguous().view(-1)[:2], x + x.transpose(0, 1)

    big = seeded(8, 8)
    kinds = [
        big[:4, :4],
        big.t()[2:6, 1:5],
        big[::2, ::2],
        big[:1].expand(4, 8)[:, :4],
        big.flip(0)[:4, 4:],
    ]
    return [f(x) for _ in range(3) for x in kinds]


@agrees
def sizes_of_zero_and_none(wrap):
    @wrap
    def f(x):
        y = F.softmax(x, -1)
        return y.sum(), (x @ x.transpose(-1, -2)).shape, F.relu(x).sum(-1)

    shapes = [(0, 3), (3, 0), (0, 0), (2, 0, 3), (1, 1)]
    return [f(ad.zeros(s)) for _ in range(3) for s in shapes]


@agrees
def empty_batch_in_training(wrap):
    ad.manual_seed(1)
    net = nn.Linear(3, 2).double()
    opt = optim.SGD(net.parameters(), lr=0.1)

    @wrap
    def step(x):
        opt.zero_grad()
        loss = net(x).square().sum()
        loss.backward()
        opt.step()
        return loss

    out = [
        step(seeded(n, 3) if n else ad.zeros(0, 3).double()) for n in (4, 0, 4, 0, 4)
    ]
    return out, list(net.parameters())


@agrees
def numbers_without_dims(wrap):
    @wrap
    def f(x):
        y = x.clone()
        y += 1
        y.mul_(y)
        return y, y.sum(), y.reshape(1), y.expand(3), y.max(), y.argmax(), y[None, ...]

    return [f(ad.tensor(k + 0.5)) for k in range(4)]


# ------------------------------------------------------------ dtypes


@agrees
def halves(wrap):
    def f(x):
        y = (x * 3 + 1).relu()
        return y, y.sum(), (y / 2).to(ad.float32), y > 1, -x

    f = wrap(f)
    kinds = ad.float16, ad.bfloat16
    return [[z.float() for z in f(seeded(5).to(d))] for _ in range(3) for d in kinds]


@agrees
def mixed_halves_in_training(wrap):
    ad.manual_seed(1)
    net = nn.Linear(4, 2)
    opt = optim.SGD(net.parameters(), lr=0.01)

    @wrap
    def step(x):
        opt.zero_grad()
        w = net.weight.to(ad.bfloat16)
        y = (x.to(ad.bfloat16).unsqueeze(1) * w).sum(-1).float()
        loss = y.square().mean()
        loss.backward()
        opt.step()
        return net.weight.dtype == ad.float32, net.weight.grad.dtype == ad.float32

    return [step(seeded(3, 4).float()) for _ in range(4)]


@agrees
def complex_numbers(wrap):
    @wrap
    def f(z):
        y = (z * z.conj()).real.sum() + (z * (2 + 1j)).imag.sum()
        y.backward()
        g, z.grad = z.grad, None
        return ad.view_as_real(g), y, z.abs(), ad.view_as_real(z.exp())

    z = ad.complex(seeded(3), seeded(3) + 1).requires_grad_()
    return [f(z) for _ in range(4)]


@agrees
def promotions(wrap):
    @wrap
    def f(i, x, b):
        return i + x, i / 2, b + b, i * 2.5, b & (i > 1), x**2, i // 2, 2 - b.int()

    i, b = ad.arange(3), ad.tensor([True, False, True])
    out = [f(i, ad.ones(3).to(d), b) for d in (ad.float32, ad.float64, ad.float16) * 3]
    return [[(str(y.dtype), y.double()) for y in ys] for ys in out]


# ------------------------------------------------------------ functions


@agrees
def nested(wrap):
    inner = wrap(lambda x: x.sin() * 2)

    @wrap
    def outer(x):
        return inner(x).sum() + inner(inner(x)).sum()

    x = seeded(3).requires_grad_()
    out = []
    for _ in range(4):
        x.grad = None
        y = outer(x)
        y.backward()
        out += [y, x.grad, inner(seeded(3))]
    return out


@agrees
def recursion(wrap):
    def power(x, n):
        return ad.ones_like(x) if n == 0 else x * power_(x, n - 1)

    power_ = wrap(power)
    return [power_(seeded(3), k % 4) for k in range(8)]


@agrees
def generators_inside(wrap):
    def halves_of(x):
        while x.shape[0] > 1:
            x = x[: x.shape[0] // 2]
            yield x.sum()

    @wrap
    def f(x):
        total = sum(halves_of(x))
        first, *rest = (y * 2 for y in halves_of(x))
        return total, first, rest, dict(enumerate(halves_of(x)))

    return [f(seeded(n)) for n in (8, 8, 8, 5, 8)]


@agrees
def closures_and_defaults(wrap):
    made, made_before = [], seeded(3)
    for k in range(3):
        made.append(wrap(lambda x, k=k, w=made_before: x * w + k))
    counter = ad.zeros((), dtype=ad.int64)

    def maker(scale):
        def f(x):
            counter.add_(1)
            return x * scale + counter

        return wrap(f)

    made += [maker(s) for s in (1, 2.0, True)]
    return [f(seeded(3)) for _ in range(4) for f in made]


@agrees
def containers_in_and_out(wrap):
    @wrap
    def f(batch, *rest, **options):
        x, (y, z) = batch["x"], batch["pair"]
        out = {"sum": x + y * len(rest), "z": [z, None, 3, "text"]}
        if options.get("more"):
            out["rest"] = rest
        return out

    batch = {"x": seeded(3), "pair": (seeded(3) + 1, seeded(2))}
    out = []
    for k in range(8):
        rest = [seeded(1)] * (k % 3)
        out.append(f(batch, *rest, more=k % 2 == 0))
    return out


@agrees
def transforms_of_what_has_state(wrap):
    w = seeded(3)

    @wrap
    def f(x):
        g = ad.func.grad(lambda v: (v * w).sin().sum())(x)
        h = ad.func.hessian(lambda v: (v**3 * w).sum())(x)
        j = ad.func.vmap(lambda a: ad.func.jvp(ad.cos, (a,), (a,))[1])(x)
        w.add_(g * 0.1)
        return g, h, j

    return [f(seeded(3)) for _ in range(4)], w


@agrees
def backward_twice_and_through_grad(wrap):
    @wrap
    def f(x):
        y = (x**3).sum()
        (g,) = ad.autograd.grad(y, x, create_graph=True)
        z = (g * g).sum()
        z.backward(retain_graph=True)
        first = x.grad.clone()
        z.backward()
        out = first, x.grad.clone(), g.detach()
        x.grad = None
        return out

    x = seeded(3).requires_grad_()
    return [f(x) for _ in range(4)]


@agrees
def no_grad_inside_and_outside(wrap):
    @wrap
    def f(x, w):
        with ad.no_grad():
            y = x * w
        z = x * w + y
        with ad.enable_grad():
            u = (x * w).sum()
        return z, u, z.requires_grad, u.requires_grad

    out = []
    for k in range(6):
        with ad.set_grad_enabled(k % 2 == 0):
            w = seeded(3).requires_grad_()
            out.append(f(seeded(3), w))
    return out


@agrees
def loops_over_state(wrap):
    w, log = seeded(3), ad.zeros(4, dtype=ad.float64)

    @wrap
    def f(x, n):
        def step(c, t):
            w.add_(0.1)
            log[t.long()] = c.sum()
            return c * 0.5 + w, (c * w).sum()

        c, rows = ad.scan(step, x, ad.arange(4.0))
        y = ad.while_loop(lambda c: c.sum() < n, lambda c: c * 1.5 + 1, c.abs())
        return c, rows, y, ad.cond(y.sum() > 5, lambda v: v * 2, lambda v: -v, y)

    return [f(seeded(3), ad.tensor(4.0 * k)) for k in range(5)], w, log


@agrees
def methods_properties_and_classes(wrap):
    class Layer:
        scale = 2.0

        def __init__(self):
            self.w, self._gain = seeded(3), 1.5

        @property
        def gain(self):
            return self._gain * self.scale

        @staticmethod
        def shift(x):
            return x + 1

        @classmethod
        def twice(cls, x):
            return x * cls.scale

        def __call__(self, x):
            return self.twice(self.shift(x) * self.w) * self.gain

    layer = Layer()
    f = wrap(lambda x: layer(x))
    out = [f(seeded(3)) for _ in range(3)]
    layer._gain = 3.0
    out += [f(seeded(3)) for _ in range(3)]
    Layer.scale = 0.5
    return out + [f(seeded(3)) for _ in range(3)]


@agrees
def hooks_and_retained_gradients(wrap):
    w = seeded(3).requires_grad_()
    w.register_hook(lambda g: g * 2)

    @wrap
    def f(x):
        y = x * w
        y.retain_grad()
        y.register_hook(lambda g: g + 1)
        (y * y).sum().backward()
        out = w.grad.clone(), y.grad
        w.grad = None
        return out

    return [f(seeded(3)) for _ in range(4)]


@agrees
def random_numbers_by_turns(wrap):
    own = ad.Generator().manual_seed(4)

    @wrap
    def f(x, p):
        y = F.dropout(x, p) + ad.randn(3) + ad.rand(3, generator=own)
        return y, ad.randint(0, 9, (2,)), ad.bernoulli(x.abs() / 9), ad.randperm(4)

    ad.manual_seed(3)
    out = []
    for k in range(6):
        out.append(f(seeded(3).float(), 0.5 if k % 2 else 0.25))
        out.append(ad.rand(2))
    return out


@agrees
def indices_of_every_kind(wrap):
    @wrap
    def f(x, i, m):
        y = x.clone()
        y[i] = -1.0
        y[m] = 7.0
        y[..., -1] += 1
        y[i, i.flip(0)] *= 2
        y.index_add_(0, i, x[i])
        return y, x[i][:, None], x[:, i], x[-1, ::2], x[m.long()], y.gather(1, i[None])

    i, m = ad.tensor([2, 0, -1]), ad.tensor([True, False, True])
    out = []
    for _ in range(3):
        out.append(f(seeded(3, 3), ad.tensor([2, 0, 1]), m))
        with contextlib.suppress(IndexError, RuntimeError):
            out.append(f(seeded(3, 3), i, m))
    return out


@agrees
def errors_of_every_call(wrap):
    w = ad.zeros(3)

    @wrap
    def f(x, i):
        w.add_(1)
        y = x @ ad.ones(3, 2)
        return y[i] / w[:2]

    out = []
    for x, i in [
        (ad.ones(3, 3), 0),
        (ad.ones(3, 3), 1),
        (ad.ones(2, 4), 0),
        (ad.ones(3, 3), 5),
        (ad.ones(3, 3), 2),
    ] * 2:
        before = w.clone()
        try:
            out.append(f(x, ad.tensor(i)))
        except Exception as error:
            out.append((type(error).__name__, str(error).splitlines()[0]))
            w.copy_(before)  # an eager function stops half way
    return out, w


@agrees
def writes_to_what_is_expanded(wrap):
    @wrap
    def f(x):
        try:
            x.expand(3, 3).add_(1)
        except RuntimeError as error:
            return type(error).__name__, x * 2
        return x

    return [f(seeded(3)) for _ in range(3)]
