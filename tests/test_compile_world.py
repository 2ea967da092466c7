"""Compiled functions notice what they read: numbers, variables, hooks, modes; and what they are."""

import collections
import contextlib
import copy
import functools
import gc
import pickle
import random
import types
import weakref

import numpy as np
import pytest

import adjoint as ad
from adjoint import compile, nn, optim
from adjoint.compiler.capture import surroundings
from adjoint.core import tree
from adjoint.errors import ArgumentError, ArgumentTypeError, GradError, TraceError
from agreement import agreeing

CASES, agrees = agreeing()
SCALE = 2.0


class Thing:
    """Anything that has attributes."""


def after(values, change, f, x=None):
    """What `f` says after each change of what it reads."""
    out = []
    for value in values:
        change(value)
        out.append(f(ad.ones(2) if x is None else x))
    return out


def helper(x):
    return x * SCALE


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_it_is_as_without_compile(case):
    case()


@agrees
def item(wrap):
    s = ad.tensor(2.0)
    f = wrap(lambda x: x * s.item())
    return after((2.0, 2.0, 2.0, 3.0, 3.0, 4.0), s.fill_, f)


@agrees
def truth(wrap):
    s = ad.tensor(True)
    f = wrap(lambda x: x * 2 if s else x)
    return after((True, True, True, False, False, True), s.fill_, f)


@agrees
def an_array(wrap):
    s = ad.tensor([1.0, 2.0])
    f = wrap(lambda x: x * ad.tensor(s.numpy() * 2))
    out = after((1.0, 1.0, 1.0, 3.0), s.fill_, f)
    s.numpy()[0] = 9
    return [*out, f(ad.ones(2))]


@agrees
def a_tensor_of_a_tensor(wrap):
    s = ad.tensor([1.0, 2.0])
    f = wrap(lambda x: x * ad.tensor(s))
    return after((1.0, 1.0, 1.0, 3.0), s.fill_, f)


@agrees
def a_deep_copy(wrap):
    s = ad.tensor([1.0, 2.0])
    f = wrap(lambda x: x * copy.deepcopy(s))
    return after((1.0, 1.0, 1.0, 3.0), s.fill_, f)


@agrees
def the_end_of_a_slice(wrap):
    i = ad.tensor(1)
    f = wrap(lambda x: x[:i] * 2)
    return after((1, 1, 1, 0, 2), i.fill_, f, x=ad.arange(3.0))


@agrees
def a_list(wrap):
    s = ad.tensor([1.0, 2.0])
    f = wrap(lambda x: x * sum(s.tolist()))
    return after((1.0, 1.0, 1.0, 3.0), s.fill_, f)


@agrees
def the_choice_of_cond(wrap):
    s = ad.tensor(True)
    f = wrap(lambda x: ad.cond(s, lambda x: x * 2, lambda x: x, x))
    return after((True, True, True, False, False, True), s.fill_, f)


@agrees
def a_global_of_a_helper(wrap):
    def change(k):
        global SCALE
        SCALE = k

    return after((2.0, 2.0, 2.0, 3.0, 3.0, 2.0), change, wrap(lambda x: helper(x)))


class Shifted(nn.Module):
    """A module whose forward reads a global, and an item of a dict of its own."""

    def __init__(self):
        super().__init__()
        self.config = {"shift": 0.0}

    def forward(self, x):
        return x * SCALE + self.config["shift"]


class Scaling(ad.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * SCALE

    @staticmethod
    def backward(ctx, g):
        return g * SCALE


class Scale:
    """All the ways in which Python comes to a method that reads a global."""

    def __call__(self, x):
        return x * SCALE

    @staticmethod
    def of_class(x):
        return x * SCALE

    def _scale(self, *args):
        return SCALE

    __getitem__ = __float__ = __enter__ = _scale

    @compile
    def compiled(self, x):
        return x * SCALE

    def __len__(self):
        return int(SCALE)

    def __iter__(self):
        yield SCALE

    def __contains__(self, x):
        return x < SCALE

    def __rmul__(self, x):
        return x * SCALE

    def __exit__(self, *args):
        pass


def wrapped(f):
    """A decorator as people write it, which reads something as well."""

    @functools.wraps(f)
    def run(*args):
        return f(*args) * SCALE

    return run


def entered(x):
    with scale as s:
        return x * s


@contextlib.contextmanager
def context():
    yield SCALE


def in_context(x):
    with context() as s:
        return x * s


def plus_one(f):
    return lambda x: f(x) + 1


scale, compiled, partial = Scale(), compile(helper), functools.partial(helper)
# How a function that is compiled comes to what reads the global.
READERS = {
    "a module": lambda wrap: wrap(Shifted()),
    "parts of a module": lambda wrap: wrap(nn.Sequential(nn.Tanh(), Shifted())),
    "a module in a partial": lambda wrap: wrap(functools.partial(Shifted())),
    "a compiled module": lambda wrap: wrap(plus_one(wrap(Shifted()))),
    "a compiled function": lambda wrap: wrap(lambda x: compiled(x)),
    "one around it": lambda wrap: wrap(plus_one(wrap(helper))),
    "compiled twice": lambda wrap: wrap(wrap(helper)),
    "a compiled method": lambda wrap: wrap(lambda x: scale.compiled(x)),
    "that method": lambda wrap: wrap(scale.compiled),
    "what maps a partial": lambda wrap: wrap(lambda x: ad.vmap(partial)(x)),
    "what maps an object": lambda wrap: wrap(lambda x: ad.vmap(scale)(x)),
    "a static method": lambda wrap: wrap(lambda x: Scale.of_class(x)),
    "rules of a Function": lambda wrap: wrap(lambda x: Scaling.apply(x)),
    "a decorator": lambda wrap: wrap(wrapped(lambda x: x)),
    "a decorated function": lambda wrap: wrap(plus_one(wrapped(lambda x: x))),
    "an item": lambda wrap: wrap(lambda x: x * scale[0]),
    "a length": lambda wrap: wrap(lambda x: x * len(scale)),
    "a number": lambda wrap: wrap(lambda x: x * float(scale)),
    "a loop": lambda wrap: wrap(lambda x: sum(x * s for s in scale)),
    "in": lambda wrap: wrap(lambda x: x * (3 in scale)),
    "an operator": lambda wrap: wrap(lambda x: 2 * scale * x),
    "with": lambda wrap: wrap(entered),
    "a context": lambda wrap: wrap(in_context),
}


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_a_global_is_read_wherever_code_reads_it(reader, monkeypatch):
    want, got = [], []
    for out, wrap in (want, lambda f: f), (got, compile):
        f = reader(wrap)
        for value in (2.0, 2.0, 2.0, 7.0, 7.0):
            monkeypatch.setitem(globals(), "SCALE", value)
            out.append(f(ad.ones(2)).tolist())
    assert got == want


@agrees
def an_item_that_a_module_keeps(wrap):
    net = Shifted()
    return after((0.0, 0.0, 0.0, 2.0), lambda v: net.config.update(shift=v), wrap(net))


@agrees
def attributes_given_to_a_parameter(wrap):
    """Read by name, and of all that a loop goes through."""
    net = nn.Linear(2, 1).double()
    nn.init.ones_(net.weight)
    nn.init.zeros_(net.bias)
    net.weight.rate, net.weight.average = 0.1, ad.zeros(2)

    @wrap
    def f(x):
        net.zero_grad()
        y = net(x) * net.weight.rate
        y.sum().backward()
        with ad.no_grad():
            for p in net.parameters():
                p.sub_(p.grad * getattr(p, "rate", 0.5))
            net.weight.average = net.weight.average * 0.5 + x
        return y, net.weight.average

    def change(value):
        net.weight.rate = value

    return after((0.1, 0.1, 0.1, 0.7, 0.7), change, f, ad.ones(2).double()), net.weight


@agrees
def a_number_that_a_parameter_counts(wrap):
    p = nn.Parameter(ad.ones(2))
    p.count = 0

    @wrap
    def f(x):
        with ad.no_grad():
            p.add_(x)
        p.count += 1
        return p * p.count

    return [f(ad.ones(2)) for _ in range(4)], p.count


@agrees
def an_attribute_with_the_name_of_a_method(wrap):
    p = nn.Parameter(ad.ones(2))
    p.mean = 0

    @wrap
    def f(x):
        p.mean = x.sum() + p.mean
        return p * x

    return [f(ad.ones(2)) for _ in range(4)], p.mean


@agrees
def attributes_of_arguments(wrap):
    """Read, asked for, and set."""

    @wrap
    def read(x):
        return x * getattr(x, "scale", 1)

    @wrap
    def asked(x):
        return x * 2 if hasattr(x, "scale") else x

    @wrap
    def put(x):
        x.total = x.sum()
        return x * 2

    out = []
    for scale in (3, 3, 3, 5, 5, 5):
        x = ad.ones(2) * scale
        x.scale = scale
        out += [read(x), asked(x), put(x), x.total]
    return out


@agrees
def the_class_of_an_argument_with_attributes(wrap):
    @wrap
    def f(x):
        return type(x) == ad.Tensor, isinstance(x, ad.Tensor), x * 2  # noqa: E721

    x = ad.ones(2)
    x.scale = 3
    return [f(x) for _ in range(3)]


@agrees
def the_class_of_a_parameter_that_is_written(wrap):
    p = nn.Parameter(ad.ones(2))

    @wrap
    def f(x):
        with ad.no_grad():
            p.add_(x)
        same = type(p) == nn.Parameter and nn.Parameter == type(p)  # noqa: E721
        other = type(p) == ad.Tensor  # noqa: E721
        return same, other, type(p) in {nn.Parameter}, isinstance(p, nn.Parameter)

    return [f(ad.ones(2)) for _ in range(4)]


@agrees
def a_variable_around_it(wrap):
    k = 2.0

    def change(value):
        nonlocal k
        k = value

    return after((2.0, 2.0, 2.0, 3.0, 3.0, 2.0), change, wrap(lambda x: x * k))


@agrees
def an_item(wrap):
    cfg = {"k": 2.0}
    f = wrap(lambda x: x * cfg["k"])
    return after(
        (2.0, 2.0, 2.0, 3.0, 3.0, 2.0), functools.partial(cfg.__setitem__, "k"), f
    )


@agrees
def an_attribute_of_an_attribute(wrap):
    o = Thing()
    o.p = Thing()
    o.p.k = 1.0
    f = wrap(lambda x: x * o.p.k)
    return after(
        (2.0, 2.0, 2.0, 3.0, 3.0, 2.0), functools.partial(setattr, o.p, "k"), f
    )


@agrees
def an_item_of_a_list(wrap):
    l = [2.0, 1.0]
    f = wrap(lambda x: x * l[0] * len(l))
    change = functools.partial(l.__setitem__, 0)
    out = after((2.0, 2.0, 2.0, 3.0, 3.0, 2.0), change, f)
    l.append(1)
    return [*out, f(ad.ones(2))]


@agrees
def requires_grad_(wrap):
    w = ad.ones(2, requires_grad=True)
    v = ad.ones(2, requires_grad=True)

    def f(x):
        w.grad = None
        v.grad = None
        (w * v * x).sum().backward()

    f = wrap(f)
    out = []
    for k in range(7):
        if k == 3:
            v.requires_grad_(False)
        if k == 5:
            v.requires_grad_(True)
        f(ad.ones(2))
        out.append([w.grad is None, v.grad is None])
    return out


@agrees
def hooks_of_a_tensor(wrap):
    w = ad.ones(2, requires_grad=True)

    def f(x):
        w.grad = None
        (w * x).sum().backward()

    f = wrap(f)
    out = []
    for k in range(8):
        if k == 3:
            h = w.register_hook(lambda g: g * 10)
        if k == 6:
            h.remove()
        f(ad.ones(2))
        out.append(w.grad.clone())
    return out


@agrees
def hooks_of_a_module(wrap):
    m = nn.Linear(2, 2)
    with ad.no_grad():
        m.weight.fill_(1.0)
        m.bias.fill_(0.0)
    f = wrap(lambda x: m(x))
    out = []
    for k in range(8):
        if k == 3:
            h = m.register_forward_hook(lambda m, a, y: y * 10)
        if k == 6:
            h.remove()
        out.append(f(ad.ones(2)))
    return out


@agrees
def the_default_dtype(wrap):
    f = wrap(lambda x: ad.ones(2) * x.sum())
    out = []
    for k in range(6):
        if k == 3:
            ad.set_default_dtype(ad.float64)
        out.append(str(f(ad.ones(2, dtype=ad.float32)).dtype))
    ad.set_default_dtype(ad.float32)
    out.append(str(f(ad.ones(2, dtype=ad.float32)).dtype))
    return out


@agrees
def training_mode(wrap):
    m = nn.Dropout(0.5)
    f = wrap(lambda x: x * 2 if m.training else x)
    out = []
    for k in range(8):
        m.train(k % 4 < 2)
        out.append(f(ad.ones(2)))
    return out


@agrees
def modules_in_a_list(wrap):
    ms = [nn.Linear(2, 2) for _ in range(2)]
    for m in ms:
        with ad.no_grad():
            m.weight.fill_(1.0)
            m.bias.fill_(0.0)
    f = wrap(lambda x: [x := m(x) for m in ms][-1])
    out = []
    for k in range(5):
        if k == 3:
            ms[0] = ms[0].__class__(2, 2)
            ms[0].weight.data.fill_(3.0)
            ms[0].bias.data.fill_(0.0)
        out.append(f(ad.ones(2)))
    return out


@agrees
def methods(wrap):
    class T:
        def __init__(self, k):
            self.k = k
            self.w = ad.full((2,), k)

        def step(self, x):
            self.w.add_(1)
            return x * self.w * self.k

    T.step = wrap(T.step)
    a, b = T(1.0), T(2.0)
    out = []
    for _ in range(4):
        out += [a.step(ad.ones(2)), b.step(ad.ones(2))]
    a.k = 7.0
    out += [a.step(ad.ones(2)), b.step(ad.ones(2))]
    return out


@agrees
def forward(wrap):
    class M(nn.Module):
        def __init__(self):
            super().__init__()
            self.l = nn.Linear(2, 2)
            self.l.weight.data.fill_(1.0)
            self.l.bias.data.fill_(0.0)

        def forward(self, x):
            return self.l(x)

    M.forward = wrap(M.forward)
    m = M()
    out = []
    for _ in range(4):
        out.append(m(ad.ones(2)))
    return out


@agrees
def arguments_that_have_no_hash(wrap):
    f = wrap(lambda x, s: x * sum(s))
    out = []
    for s in ({1, 2}, {1, 2}, {1, 2}, {1, 5}):
        out.append(f(ad.ones(2), s))
    f = wrap(lambda x, o: x * o[0])
    for s in (bytearray(b"a"),) * 3 + (bytearray(b"b"),):
        out.append(f(ad.ones(2), s))
    return out


@agrees
def numbers_that_are_equal(wrap):
    f = wrap(lambda x, k: x / ad.full((2,), k))
    out = []
    for k in (0.0, 0.0, 0.0, -0.0, -0.0):
        out.append(f(ad.ones(2), k))
    g = wrap(lambda x, k: x * k)
    for k in (1, 1, 1, True, 1.0, True, 1.0):
        out.append(g(ad.tensor([1, 2]), k))
        out.append(str(out[-1].dtype))
    h = wrap(lambda x, k: ad.full((2,), k[0]) * x)
    for k in (1, 1, 1, True, 1.0):
        out.append(str(h(ad.tensor([1, 2]), (k,)).dtype))
    return out


@agrees
def no_room_for_programs(wrap):
    f = compile(lambda x: x * 2, cache_size=0) if wrap is compile else (lambda x: x * 2)
    return [f(ad.ones(n)) for n in (1, 2, 1, 1, 2)]


@agrees
def copies(wrap):
    f = wrap(helper)
    f(ad.ones(2))
    f(ad.ones(2))
    g = copy.deepcopy(f)

    h = pickle.loads(pickle.dumps(f))
    return [g(ad.ones(2)), g(ad.ones(2)), h(ad.ones(2))]


class Scaler:
    def __init__(self, k):
        self.k = k

    @compile
    def scaled(self, x):
        return x * self.k


class Narrow:
    __slots__ = ("k",)
    __init__ = Scaler.__init__
    scaled = compile(lambda self, x: x * self.k)


def test_methods_are_copied_with_their_object():
    method, x = Scaler(3.0).scaled, ad.ones(2)
    for _ in range(2):
        assert method(x).tolist() == [3.0, 3.0]
    for again in (copy.deepcopy(method), pickle.loads(pickle.dumps(method))):
        assert type(again.__self__) is Scaler and again.__self__ is not method.__self__
        again.__self__.k = 5.0
        for _ in range(3):
            assert again(x).tolist() == [5.0, 5.0]
        assert method(x).tolist() == [3.0, 3.0]
    assert pickle.loads(pickle.dumps(Scaler.scaled)) is Scaler.scaled


def test_methods_of_objects_that_nobody_refers_to_weakly():
    a, b = Narrow(2.0), Narrow(3.0)
    for _ in range(3):
        assert a.scaled(ad.ones(1)).item() == 2
        assert b.scaled(ad.ones(1)).item() == 3
    a.k = 4.0
    for _ in range(3):
        assert a.scaled(ad.ones(1)).item() == 4
    assert a.scaled.__self__ is a and "mul" in str(a.scaled.explain())


@agrees
def a_module(wrap):
    m = nn.Linear(2, 2)
    m.weight.data.fill_(1.0)
    m.bias.data.fill_(0.0)
    f = wrap(m)
    out = [len(list(f.parameters())), sorted(f.state_dict()), f.training, f.in_features]
    f.eval()
    out.append(m.training)
    f.train()
    out.append(m.training)
    for _ in range(3):
        out.append(f(ad.ones(2)))
    opt = optim.SGD(f.parameters(), lr=0.1)
    for _ in range(3):
        loss = f(ad.ones(2)).sum()
        opt.zero_grad()
        loss.backward()
        opt.step()
        out.append(f(ad.ones(2)))
    f.bias.data.fill_(1.0)
    out.append(f(ad.ones(2)))
    out.append(isinstance(f, nn.Module))
    out.append(len(list(nn.Sequential(f, nn.ReLU()).parameters())))
    return out


@agrees
def a_long_chain(wrap):
    def f(x):
        for _ in range(400):
            x = (x * 0.99 + 0.01).relu()
        return x

    f = wrap(f)
    return [f(ad.ones(3)) for _ in range(3)]


@agrees
def a_sum_of_many(wrap):
    ws = [ad.full((3,), float(i), requires_grad=True) for i in range(600)]

    def f():
        for w in ws:
            w.grad = None
        s = sum((w * w).sum() for w in ws)
        s.backward()
        return s

    f = wrap(f)
    return [f() for _ in range(3)] + [ws[5].grad]


NOTHING = (
    ((2, 0), (0, 3)),
    ((0, 2), (2, 3)),
    ((2, 3), (3, 0)),
    ((0, 0), (0, 0)),
    ((2, 2, 0), (2, 0, 2)),
)


@agrees
def products_of_nothing(wrap):
    out = []

    def step(x, w):
        w.grad = None
        y = x @ w
        y.sum().backward()
        return y.detach()

    f = wrap(step)
    for a, b in NOTHING:
        w = ad.ones(b, requires_grad=True)
        for _ in range(3):
            out.append((f(ad.ones(a), w), w.grad.clone()))
    return out


@pytest.mark.parametrize("before", [True, False])
def test_numbers_that_the_program_changes_cannot_be_read(before):
    s = ad.tensor(0.0)

    @compile
    def f(x):
        y = x * s.item() if before else x
        s.add_(1)
        return y if before else y * s.item()

    f(ad.ones(2))
    with pytest.raises(TraceError, match="use the tensor itself"):
        f(ad.ones(2))
    assert s.item() == 1


def test_a_value_that_is_kept_elsewhere_is_told():
    class Keeper:
        def add(self, x):
            vars(self).setdefault("all", []).append(x)

    keeper = Keeper()
    of_nobody = weakref.ref(keeper)

    @compile
    def f(x):
        of_nobody().add(x * 2)
        return x

    f(ad.ones(2))
    with pytest.raises(TraceError, match="in a list"):
        f(ad.ones(2))


def items_are_set(h, x):
    h[0] = h[0] * 0.5 + x
    h[-1] = h[0] - h[1]


def in_layers(layers, x):
    for row in layers[1]:
        row[0] = row[0] + x
        x = row[0] * row[1]


def a_loop_with_grad(h, x):
    y = h[0].detach().requires_grad_()
    (y * x).sin().sum().backward()
    h[0] = h[0] - y.grad


def pushed_out(q, x):
    q.append(q[0] + x)
    q[0] = q[0] * 1
    q[1] = q[1] * 1


@pytest.mark.parametrize(
    "start", [list, lambda x: collections.deque(x, maxlen=3)], ids=["list", "deque"]
)
@pytest.mark.parametrize("f", [items_are_set, in_layers, a_loop_with_grad, pushed_out])
def test_items_of_lists_are_set(f, start, caplog):
    """Lists that keep their length are state like dicts, items in lists of lists too."""

    def found(wrap):
        h = start(ad.full((2,), float(i)) for i in range(3))
        if f is in_layers:
            h[1] = [[ad.ones(2), ad.zeros(2)], [ad.ones(2), ad.ones(2)]]
        if f is pushed_out and isinstance(h, list):
            h = collections.deque(h, maxlen=3)
        g = wrap(lambda x: f(h, x))
        told = []
        for i in range(6):
            g(ad.full((2,), 0.1 * i))
            told += [y.tolist() for y in tree.flatten(list(h))[0]]
        return told, g

    got, g = found(ad.compile)
    np.testing.assert_allclose(got, found(lambda f: f)[0], rtol=1e-5)
    (program,) = g.programs.values()
    assert program.run.calls.value == 5 and not caplog.records


def test_what_runs_as_it_is_written_says_so(caplog):
    kept = []

    @compile
    def f(x):
        kept.append(x * 2)
        return x

    for _ in range(4):
        f(ad.ones(2))
    assert [y.tolist() for y in kept] == [[2.0, 2.0]] * 4
    assert ["changes a list" in r.message for r in caplog.records] == [True]


def test_what_numpy_counts_runs_as_it_is_written(caplog):
    x = ad.tensor([1.0, 2.0, 1.0])
    for count in (
        lambda x: (x * 2).histc(3),
        lambda x: (x * 2).histogram(3).hist,
        lambda x: ad.histogramdd((x * 2).reshape(3, 1), [3]).hist,
    ):
        f = compile(count)
        assert [f(x).tolist() for _ in range(3)] == [[2.0, 0.0, 1.0]] * 3
    assert all("counts with NumPy" in r.message for r in caplog.records)


def test_only_functions_that_are_called_once_can_be_compiled():
    def steps(x):
        yield x

    async def later(x):
        return x

    for f in (steps, later, 3, ad.nn.Linear):
        with pytest.raises(ArgumentTypeError, match="compile"):
            compile(f)
    for backend in ("gcc", None):
        with pytest.raises(
            ArgumentError, match="backend must be one of 'native', 'numpy'"
        ):
            compile(lambda x: x, backend=backend)


def test_programs_of_methods_go_with_their_object():
    class Scale:
        def __init__(self):
            self.w = ad.ones(2)

        @compile
        def __call__(self, x):
            return x * self.w

        @compile
        def twice(self, x):
            return self(self(x))

    scale = Scale()
    for _ in range(3):
        assert scale.twice(ad.ones(2)).tolist() == [1.0, 1.0]
    assert len(Scale.twice.methods) == 1
    assert len(scale.twice.programs) == 1
    del scale
    gc.collect()
    assert not Scale.twice.methods


def test_the_quick_way_looks_at_what_was_read():
    cfg, parts, s = {"k": 2.0}, [ad.ones(2)], ad.tensor(3.0)

    @compile
    def f(x):
        return x * cfg["k"] + sum(parts) * s.item()

    for _ in range(3):
        assert f(ad.ones(2)).tolist() == [5.0, 5.0]
    (program,) = f.programs.values()
    assert f.last is program.quick
    s.fill_(4.0)
    assert f(ad.ones(2)).tolist() == [6.0, 6.0]
    f(ad.ones(2))
    parts.append(ad.ones(2))
    assert f(ad.ones(2)).tolist() == [10.0, 10.0]


@agrees
def an_index(wrap):
    i = ad.tensor(1)
    f = wrap(lambda x: x[i] * 2)
    return after((1, 1, 1, 0, 2), i.fill_, f, x=ad.arange(3.0))


@agrees
def division_by_zero(wrap):
    out = []
    for op in (lambda a, b: a // b, lambda a, b: a % b, lambda a, b: ad.fmod(a, b)):
        f = wrap(op)
        for k in (2, 2, 2, 0, 2):
            try:
                out.append(f(ad.tensor([5, 6]), ad.tensor([k, 1])))
            except Exception as e:
                out.append(type(e).__name__)
    return out


@agrees
def inputs_that_are_not_used(wrap):
    w = ad.ones(2, requires_grad=True)
    v = ad.ones(2, requires_grad=True)

    def f(a, b):
        v * 1
        return (w * a).sum()

    f = wrap(f)
    out = []
    b = ad.ones(2, requires_grad=True)
    for _ in range(4):
        g = ad.autograd.grad(f(ad.ones(2), b), (w, v, b), allow_unused=True)
        out.append([x if x is None else x.clone() for x in g])
    return out


@agrees
def an_argument_that_is_outside_too(wrap):
    w, x = (ad.tensor([k, 2.0 * k], requires_grad=True) for k in (1.0, 3.0))

    def f(x):
        y = (w * x.square()).sum()
        return y, *ad.autograd.grad(y, [x])

    f = wrap(f)
    return [f(z) for z in (x, x, x, w, w, x, w)]


def test_classes_out_of_range_are_errors():
    f = compile(lambda i: nn.functional.one_hot(i, 3))
    for _ in range(3):
        assert f(ad.tensor([2])).tolist() == [[0, 0, 1]]
    with pytest.raises(ArgumentError, match=r"classes must lie in \[0, 3\), got 3"):
        f(ad.tensor([3]))


def test_what_changes_with_every_call_is_not_compiled_for_ever(caplog):
    f = compile(lambda x: x * k)
    for k in range(14):
        assert f(ad.ones(2)).tolist() == [float(k)] * 2
    (said,) = [r.message for r in caplog.records]
    assert "now a variable around it is 9, was 8; hold it in a tensor" in said


@pytest.mark.parametrize("own", [None, np.random.default_rng(3), random.Random(3)])
def test_random_numbers_of_others_are_drawn_with_every_call(own, caplog):
    """By a function that then runs as it is written, with the numbers that it would have."""
    draw = own.random if own is not None else random.random

    def f(x):
        return x * draw() + np.random.rand()

    def drawn(g):
        random.seed(0), np.random.seed(0)
        if isinstance(own, np.random.Generator):
            own.bit_generator.state = np.random.default_rng(3).bit_generator.state
        elif own is not None:
            own.seed(3)
        return [g(ad.ones(())).item() for _ in range(4)]

    assert drawn(ad.compile(f)) == drawn(f)
    assert "random numbers of NumPy or Python" in caplog.text


def test_options_that_a_function_changes(caplog):
    found = []
    for way in (lambda f: f, ad.compile):
        p = ad.ones(2, requires_grad=True)
        opt = ad.optim.SGD([p], lr=1.0)

        def f(p=p, opt=opt):
            p.grad = ad.ones(2)
            opt.step()
            for group in opt.param_groups:
                group["lr"] *= 0.5

        g = way(f)
        for _ in range(4):
            g()
        found.append((p.tolist(), opt.param_groups[0]["lr"]))
    assert found[0] == found[1]
    assert "changes 'lr'" in caplog.text


def test_anomaly_mode_inside_looks_at_every_call():
    w = ad.tensor([0.0], requires_grad=True)

    @ad.compile
    def f(x):
        with ad.autograd.detect_anomaly():
            return ad.autograd.grad((w * x).sqrt().sum(), w)[0]

    for _ in range(2):
        assert f(ad.ones(1) / 4).isinf().all()
        with pytest.raises(GradError, match="gave NaN"):
            f(ad.zeros(1))


def test_a_default_that_a_function_changes(caplog):
    @ad.compile
    def f(x, seen=[], *, known={}):  # noqa: B006
        seen.append(1)
        known["n"] = known.get("n", 0) + 1
        return x * len(seen) * known["n"]

    assert [f(ad.ones(())).item() for _ in range(4)] == [1, 4, 9, 16]
    assert "runs as it is written" in caplog.text


def test_arrays_of_numpy_that_change_are_no_constants():
    table, scale = np.zeros(2, np.float32), np.float32(2)
    keeper = {"more": np.ones(3, np.float32)}
    f = compile(
        lambda x: (x + ad.tensor(table) * scale, x[0] * ad.tensor(keeper["more"]))
    )
    for k in range(12):
        if k % 4 == 3:
            table[:] = k
        if k == 5:
            keeper["more"][1] = 7.0
        y, z = f(ad.ones(2))
        assert y.tolist() == (1 + 2 * table).tolist()
        assert z.tolist() == keeper["more"].tolist()


def test_a_function_that_writes_an_array_of_numpy_runs_as_written(caplog):
    seen = np.zeros(3, np.int64)

    def step(x):
        seen[x.ndim] += 1
        return x * 2

    f = compile(step)
    for _ in range(4):
        f(ad.ones(2))
    assert seen.tolist() == [0, 4, 0]
    assert "writes into an array of NumPy" in caplog.text


@pytest.mark.parametrize("count", [3, 10**5])
@pytest.mark.parametrize("kind", ["array", "view", "file", "turned"])
def test_arrays_of_numpy_of_any_size_may_change(count, kind, tmp_path):
    a = np.ones((count, 2))
    if kind == "file":
        a = np.memmap(tmp_path / "a", "float64", "w+", shape=(count, 2))
        a[:] = 1
    keep, a = a, {"view": a[1:], "turned": a.T}.get(kind, a)
    f = compile(lambda x: x * ad.tensor(a).sum() + float(a[-1, -1]))
    for n in (1.0, 1.0, 1.0, 5.0, 5.0, 5.0, 2.0):
        keep[-1, -1] = n
        want = np.ones(2) * a.sum() + n
        assert f(ad.ones(2, dtype=ad.float64)).tolist() == want.tolist()


def test_long_comparisons_are_told_and_read_only_arrays_need_none(caplog, monkeypatch):
    monkeypatch.setattr(surroundings, "LARGE", 100)
    a = np.ones(100)

    def run():
        f = compile(lambda x: x * ad.tensor(a).sum())
        for _ in range(2):
            assert f(ad.ones(2)).tolist() == [100.0, 100.0]

    run()
    assert "compared before each call" in caplog.text
    caplog.clear()
    a.flags.writeable = False
    run()
    assert "compared" not in caplog.text


def counted(wrap, make, calls=4):
    """What calls give, and what is counted beside them, of a function that `make` gives."""
    f, told = make()
    g, x = wrap(f), ad.arange(3.0)
    return [g(x * (k + 1)).tolist() for k in range(calls)], told()


def _module_hook():
    net, seen = nn.Linear(3, 2), {}
    for p in net.parameters():
        p.data.fill_(1.0)
    net.register_forward_hook(lambda m, x, y: seen.update(y=y.detach()))
    return lambda x: net(x), lambda: seen["y"].tolist()


def _counting_hook():
    net, n = nn.Linear(3, 2), []
    for p in net.parameters():
        p.data.fill_(1.0)
    net.register_forward_hook(lambda m, x, y: n.append(1))
    return lambda x: net(x), lambda: n


def _gradient_hook():
    w, n = ad.ones(3, requires_grad=True), []
    w.register_hook(lambda g: n.append(1))

    def f(x):
        w.grad = None
        (w * x).sum().backward()
        return w.grad * 1

    return f, lambda: n


def _function_by_name():
    n, name = [], "a"
    table = {"a": lambda x: (n.append(1), x * 2)[1]}
    return lambda x: table[name](x), lambda: n


def _set():
    s = set()
    return lambda x: (s.add(len(s)), x * len(s))[1], lambda: s


def _deque():
    q = collections.deque(maxlen=3)
    return lambda x: (q.append(1), x * len(q))[1], lambda: list(q)


def _counter():
    n = collections.Counter()
    return lambda x: (n.update(a=1), x * n["a"])[1], lambda: dict(n)


def _iterator():
    numbers = iter([1.0, 2.0, 3.0, 4.0, 5.0])
    return lambda x: x * next(numbers), lambda: next(numbers)


MAKES = [
    *(_module_hook, _counting_hook, _gradient_hook, _function_by_name),
    *(_set, _deque, _counter, _iterator),
]


@pytest.mark.parametrize("make", MAKES)
def test_what_is_counted_beside_tensors_is_counted_with_each_call(make):
    assert counted(compile, make) == counted(lambda f: f, make)


class Scaled:
    scale = 2

    @property
    def twice(self):
        return self.scale * 2


@pytest.mark.parametrize(
    "make",
    [
        lambda o: lambda x: x * o.scale,
        lambda o: lambda x: x * o.twice,
        lambda o: lambda x: x * getattr(o, "scale"),  # noqa: B009
    ],
)
def test_attributes_that_come_to_an_object(make):
    o = Scaled()
    f = compile(make(o))
    for scale in (None, None, None, 5, 5, 5):
        if scale is not None:
            o.scale = scale
        assert f(ad.ones(2)).tolist() == make(o)(ad.ones(2)).tolist()


def test_sets_that_are_read_are_read_anew():
    s = {1, 2}
    f = compile(lambda x: x * len(s))
    for k in range(6):
        if k == 3:
            s.add(7)
        assert f(ad.ones(2)).tolist() == [float(len(s))] * 2


def read_by(masks):
    """Ways in which functions read items of a dict that may not be there yet."""

    def caught(x):
        try:
            return x * masks["a"]
        except KeyError:
            return x

    def looped(x):
        for _, v in masks.items():
            x = x * v
        return x

    def product(x):
        for key in ("a", "b"):
            if key in masks:
                x = x * masks[key]
        return x

    return [
        caught,
        looped,
        product,
        lambda x: x * masks.get("a", 2),
        lambda x: x * len(masks),
        lambda x: x * (3 if "a" in masks else 2),
        lambda x: x * sum(masks.values(), 1),
        lambda x: x * 2 if masks else x,
    ]


@pytest.mark.parametrize("n", range(len(read_by({}))))
def test_items_that_come_to_a_dict_and_go_again(n):
    masks = {}
    f = read_by(masks)[n]
    g = compile(f)
    for k in range(12):
        if k == 4:
            masks["a"] = 5
        if k == 8:
            masks.pop("a")
            masks["c"] = 7
        assert g(ad.ones(2)).tolist() == f(ad.ones(2)).tolist(), k


def test_masks_that_come_between_the_steps():
    def trained(wrap):
        ad.manual_seed(0)
        m, masks = nn.Linear(3, 2), {}
        opt = optim.SGD(m.parameters(), lr=0.1, momentum=0.9)

        def step(x):
            opt.zero_grad()
            (m(x) ** 2).sum().backward()
            opt.step()
            with ad.no_grad():
                for name, p in m.named_parameters():
                    if name in masks:
                        p.mul_(masks[name])

        f = wrap(step)
        for k in range(8):
            if k == 4:
                masks["weight"] = (m.weight.abs() > 0.2).float()
            f(ad.randn(4, 3))
        return m.weight

    assert ad.allclose(trained(compile), trained(lambda f: f))
    assert (trained(compile) == 0).any()


def test_a_dict_that_each_call_adds_to():
    for wrap in (lambda f: f, compile):
        seen = {}

        def f(x, seen=seen):
            seen[len(seen)] = x * 2
            return x * len(seen)

        g = wrap(f)
        assert [g(ad.ones(1)).item() for _ in range(14)] == list(range(1, 15))
        assert len(seen) == 14


class Described:
    """A descriptor that looks into the object."""

    def __get__(self, owner, kind):
        return owner.table["scale"]


def answering(n):
    """Objects that answer for attributes and items by code of their own, and what changes that."""
    table = {"scale": 2.0}

    class Plain(dict):
        __getattr__ = dict.__getitem__
        __setattr__ = dict.__setitem__

    class Looking:
        def __init__(self, table):
            self.__dict__["_table"] = table

        def __getattr__(self, name):
            value = self.__dict__["_table"][name]
            return Looking(value) if isinstance(value, dict) else value

    class Nested(Looking):
        pass

    class Owner:
        scale = Described()

        def __init__(self):
            self.table = table

    class Module(nn.Module):
        def forward(self, x):
            return x * self.scale

        def __getattr__(self, name):
            if name == "scale":
                return table["scale"]
            raise AttributeError(name)

    plain, looking, owner, module = Plain(scale=2.0), Looking(table), Owner(), Module()
    nested, deep = Nested({"model": table}), {"scale": 2.0}
    user, chain = collections.UserDict(scale=2.0), collections.ChainMap({}, table)
    shown, several = types.MappingProxyType(table), collections.UserList([2.0])
    set_table = functools.partial(table.__setitem__, "scale")
    return [
        (lambda x: x * plain.scale, lambda v: setattr(plain, "scale", v)),
        (lambda x: x * looking.scale, set_table),
        (lambda x: x * nested.model.scale, set_table),
        (lambda x: x * owner.scale, set_table),
        (lambda x: module(x), set_table),
        (lambda x: x * user["scale"], lambda v: user.update(scale=v)),
        (lambda x: x * user.get("other", 1), lambda v: user.update(other=v)),
        (lambda x: x * chain["scale"], lambda v: chain.update(scale=v)),
        (lambda x: x * shown["scale"], set_table),
        (lambda x: x * several[-1], several.append),
        (lambda x: x * vars(owner)["table"]["scale"], set_table),
        (lambda x: x * deep["scale"], lambda v: deep.update(scale=v)),
    ][n]


@pytest.mark.parametrize("n", range(12))
def test_objects_that_answer_by_code_of_their_own(n):
    f, change = answering(n)
    g = compile(f)
    for value in (None, None, None, 3.0, 3.0, 5.0):
        if value is not None:
            change(value)
        assert g(ad.ones(2)).tolist() == f(ad.ones(2)).tolist()


@pytest.mark.parametrize("change", [
    lambda items: items.reverse(),
    lambda items: items.append(ad.zeros(2)),
    lambda items: items.__setitem__(0, ad.full((2,), 9.0)),
], ids=["reversed", "longer", "replaced"])  # fmt: skip
def test_what_is_beside_an_item_that_is_set(change):
    """A list is set as a whole; what somebody put beside that item between calls stays."""

    def told(wrap):
        items, rows = [ad.zeros(2), ad.zeros(2)], []

        @wrap
        def f(x):
            items[1] = x * 0.5
            return x * 3

        for i in range(7):
            f(ad.full((2,), float(i)))
            rows.append([y.tolist() for y in items])
            if i in (2, 4):
                change(items)
        return rows

    assert told(ad.compile) == told(lambda f: f)


@pytest.mark.parametrize("kept", [
    lambda w, x: x,
    lambda w, x: x.detach(),
    lambda w, x: x[:],
    lambda w, x: w[:].detach(),
    lambda w, x: w.view(2),
], ids=["argument", "detached", "part", "of state", "view"])  # fmt: skip
def test_what_is_kept_shares_memory_as_in_eager(kept):
    """Written later, it is written where it lies."""

    def told(wrap):
        w, table, rows = ad.ones(2), {"k": ad.zeros(2)}, []

        @wrap
        def f(x):
            table["k"] = kept(w, x)
            return x * w

        for i in range(5):
            x = ad.full((2,), float(i))
            f(x)
            table["k"].add_(1)
            rows.append([x.tolist(), w.tolist(), table["k"].tolist()])
        return rows

    assert told(ad.compile) == told(lambda f: f)


def test_what_is_kept_with_a_gradient_has_it():
    class Keeper:
        last = None

    def kept(wrap):
        keeper, out = Keeper(), []
        keeper.last = ad.zeros(2)

        @wrap
        def f(x):
            keeper.last = x.sum() * x
            keeper.last.grad = x.detach() * 0.5

        for k in range(4):
            f(ad.ones(2) * k)
            out.append((keeper.last.tolist(), keeper.last.grad.tolist()))
        return out

    assert kept(compile) == kept(lambda f: f)


def test_a_capture_that_ends_in_vain_leaves_the_graph_outside_whole():
    def told(wrap):
        w, kept, out = ad.ones(2, requires_grad=True), [ad.zeros(2)], []

        @wrap
        def f(x):
            loss = (kept[0] * x).sin().sum()
            if loss.requires_grad:
                loss.backward()
            kept[0] = w * 0.5

        for k in range(4):
            f(ad.ones(2) * k)
            out.append((kept[0].tolist(), w.grad is not None and w.grad.tolist()))
        return out

    assert told(compile) == told(lambda f: f)


def same(got, want):
    (got, shape), (want, other) = tree.flatten(got), tree.flatten(want)
    assert shape == other and [x is None for x in got] == [x is None for x in want]
    pairs = ((x, y) for x, y in zip(got, want, strict=True) if x is not None)
    assert all(np.isclose(x, y, 1e-5, 1e-6) for x, y in pairs)


def need_program(told):
    """What is told with a program is told without, but for rounding; there is a program."""
    (got, f), (want, _) = told(compile), told(lambda f: f)
    same(got, want)
    assert f.programs and not f.unfit


LOOKS = {
    "cond": lambda x, v: ad.cond(x.sum() > 0, lambda: v * x[:2], lambda: v + 1),
    "fori_loop": lambda x, v: ad.fori_loop(0, 2, lambda i, c: c.sin() + v, x[:2]),
    "scan": lambda x, v: ad.scan(lambda c, r: (c + r * v, c), x[:2], x)[0],
}


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("look", LOOKS)
def test_parts_of_a_program_see_views_of_what_was_written(look, early):
    def told(wrap):
        a = ad.tensor([-0.89, -0.51, 0.34, -0.57], requires_grad=True)
        beside, view, out = a.detach()[:], a[1:3], []

        @wrap
        def f(x):
            y = view.sum() if early else 0
            with ad.no_grad():
                beside[1:3].add_(x[:2])
            z = LOOKS[look](x, view)
            return z, view * 1 + y

        for i in range(4):
            out.append([y.tolist() for y in f(ad.arange(4.0) * i - 2)])
            out.append(a.tolist())
        return out

    same(told(compile), told(lambda f: f))


@pytest.mark.parametrize("how", [lambda w: w * 2, lambda w: w[:], lambda w: w])
def test_derivatives_through_the_graph_of_an_argument(how):
    def told(wrap):
        w, out = ad.full((4,), 0.3).requires_grad_(), []

        @wrap
        def f(x):
            return ad.autograd.grad((x * w).sin().sum(), w)[0]

        @wrap
        def g(x):
            (x * x).sum().backward(inputs=[w])

        for _ in range(3):
            out.append(f(how(w)).tolist())
            g(how(w))
            out.append(w.grad.tolist())
        return out

    same(told(compile), told(lambda f: f))


@pytest.mark.parametrize("where", ["alone", "beside", "view"])
def test_what_begins_to_require_grad_between_calls(where):
    """Also if the function has only asked whether it does."""

    def told(wrap):
        w, out = nn.Parameter(ad.full((4,), 0.3)), []
        p = {"alone": ad.ones(4), "beside": w.detach(), "view": w.detach()[:]}[where]

        @wrap
        def f(x):
            loss = (w * x).sum()
            if p.requires_grad and p.is_leaf:
                loss = loss + (p * x * x).sum()
            loss.backward()
            return loss

        for i in range(5):
            if i == 3:
                p.requires_grad_()
            out.append(f(ad.arange(4.0) + i).tolist())
            out += [None if y.grad is None else y.grad.tolist() for y in (w, p)]
        return out

    same(told(compile), told(lambda f: f))


def test_memory_of_a_view_that_another_tensor_has():
    def told(wrap):
        h, out = ad.full((4,), 0.2), []
        view = h.view(4)
        other = view.data.view(2, 2).t()

        @wrap
        def f(x):
            view.data.mul_(x)
            return other.reshape(4) * x

        for i in range(4):
            out.append((f(ad.arange(4.0) + i).tolist(), h.tolist(), other.tolist()))
        return out

    same(told(compile), told(lambda f: f))


def test_a_loop_reads_what_was_detached_of_a_view():
    def told(wrap):
        w, items, out = nn.Parameter(ad.full((4,), 0.3)), [None], []
        m = w.detach().view(2, 2)

        @wrap
        def f(x):
            items[0] = m.reshape(4).detach()
            y = ad.fori_loop(0, 2, lambda i, c: c.sin() + items[0], x * w)
            return m.reshape(4), y

        for i in range(3):
            out.append([y.tolist() for y in f(ad.arange(4.0) + i)])
        return out

    same(told(compile), told(lambda f: f))


class _Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(ad.ones(2))
        self.register_buffer("h", ad.zeros(2))


def test_a_parameter_put_where_a_buffer_was():
    def told(wrap):
        net, out = _Two(), []

        @wrap
        def f(x):
            y = net.h * 2
            net.h = x
            return y

        for x in (ad.ones(2), net.w, net.w, net.w):
            out.append((f(x).tolist(), list(net.state_dict())))
        return out

    assert told(compile) == told(lambda f: f)


def _moved_by_data(other):
    """(the function, what is there after each call, what is done between the calls)."""
    w, v = ad.arange(4.0), ad.ones(4)
    view = w.view(2, 2).t()

    def f(x):
        if other == "its own":
            v.data = v.data * 0.5 + x
            with ad.no_grad():
                v.add_(1)
        elif other == "what is written then":
            y = x * 2
            v.data = y
            y.add_(1)
        elif other == "a part":
            y = ad.stack([x, x])
            v.data = y[0]
            y.mul_(2)
        elif other == "what has it already":
            v.data = w
        else:
            w.data = x * 0.5
        return v * x, view.reshape(4) + x, view

    def between(i):
        if i == 2:
            w.data = ad.full((4,), 5.0)

    return f, lambda: [w.tolist(), v.tolist(), view.tolist()], between


@pytest.mark.parametrize(
    "other",
    ["its own", "what is written then", "a part", "what has it already", "view"],
)
def test_memory_that_is_given_inside(other):
    def told(wrap):
        f, seen, between = _moved_by_data(other)
        f, out = wrap(f), []
        for i in range(5):
            between(i)
            out += [y.tolist() for y in f(ad.arange(4.0) + i)]
            out.append(seen())
        return out

    same(told(compile), told(lambda f: f))


def test_a_view_of_a_result_that_was_given_other_memory():
    def told(wrap):
        kept, out = [ad.zeros(4)], []

        @wrap
        def f(x):
            y = x * 2
            part = y.view(4)
            kept[0] = y
            y.data = x + 10
            return part, y

        for i in range(4):
            out.append([y.tolist() for y in f(ad.arange(4.0) + i)])
        return out

    assert told(compile) == told(lambda f: f)


def test_what_is_put_into_a_slot_may_have_the_memory_of_another():
    def told(wrap):
        a, out = ad.tensor([0.6, -0.23]), []
        items = [a, ad.zeros(2)]

        @wrap
        def f(x):
            items[1] = x.detach() * 2
            return x + items[0]

        for i in range(6):
            if i == 3:
                items[1] = a.detach()
            out.append((f(ad.ones(2) * i).tolist(), a.tolist(), items[1].tolist()))
        return out

    assert told(compile) == told(lambda f: f)


def test_an_own_step_that_sets_data():
    """As many write it: `p.data = p.data - lr * p.grad`. It is one program."""

    def told(wrap):
        ad.manual_seed(0)
        net, out = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)), []

        @wrap
        def f(x):
            loss = (net(x) ** 2).mean()
            net.zero_grad()
            loss.backward()
            for p in net.parameters():
                p.data = p.data - 0.1 * p.grad
            return loss

        for i in range(4):
            out.append(f(ad.ones(2, 3) * i).tolist())
            out.append([(p.tolist(), p.grad.tolist()) for p in net.parameters()])
        return out, f

    (want, _), (got, f) = told(lambda f: f), told(compile)
    same(got, want)
    (step,) = f.programs.values()
    assert not f.unfit and step.suits([ad.ones(2, 3)])


@pytest.mark.parametrize("read", [False, True])
@pytest.mark.parametrize("recording", [False, True])
def test_data_and_grad_are_set(recording, read):
    def told(wrap):
        p, out = ad.tensor([2.0, 3.0], requires_grad=True), []

        @wrap
        def f(x):
            y = (p * x).sum() if read else 0
            p.data = p.data * 0.5 + x if read else x * 2
            p.grad = p.detach() * x
            return (p * p * x).sum() + y

        for i in range(4):
            with ad.set_grad_enabled(recording):
                loss = f(ad.ones(2) * (i + 1))
            out.append((loss.tolist(), p.tolist(), p.grad.tolist()))
            if recording:
                loss.backward()
                out.append(p.grad.tolist())
        return out

    same(told(compile), told(lambda f: f))


def test_an_argument_in_a_graph_is_no_leaf():
    @compile
    def f(x):
        return x * 2 if x.is_leaf else x * 3

    x = ad.ones(2, requires_grad=True)
    for _ in range(2):
        assert (f(x).tolist(), f(x * 1).tolist()) == ([2, 2], [3, 3])
        with ad.no_grad():
            assert f(x[:]).tolist() == f(x.view(2)).tolist()


@pytest.mark.parametrize("event", ["leaves", "enters", "hook"])
def test_graphs_that_state_enters_and_leaves_between_quick_calls(event):
    def told(wrap):
        w, v = (ad.ones(2, requires_grad=True) for _ in range(2))
        u, q, out = ad.ones(2), ad.ones(2, requires_grad=True), []

        @wrap
        def f(x):
            loss = (w * x * u * v).sum()
            loss.backward()
            return loss

        for i in range(6):
            if i == 4 and event == "leaves":
                w.detach_()
            elif i == 4 and event == "enters":
                u.mul_(q)
            elif i == 4:
                w.register_hook(lambda g: g * 100)
            if i < 5:
                out.append(f(ad.ones(2) * i).tolist())
            out += [None if y.grad is None else y.grad.tolist() for y in (w, v, q)]
        return out

    assert told(compile) == told(lambda f: f)


@pytest.mark.parametrize("many", [3, 12])
def test_a_list_of_tensors_that_a_step_fills(many):
    def told(wrap):
        ad.manual_seed(0)
        ps = [ad.rand(2, 2, requires_grad=True) for _ in range(many)]
        vel, out = [ad.zeros(2, 2) for _ in ps], []

        @wrap
        def f(x):
            y = x
            for p in ps:
                y = (y @ p).tanh()
            gs = ad.autograd.grad((y * y).sum(), ps)
            with ad.no_grad():
                for i, (p, g) in enumerate(zip(ps, gs, strict=True)):
                    vel[i] = 0.9 * vel[i] + g
                    p -= 0.1 * vel[i]
            return y

        for i in range(4):
            out.append(f(ad.ones(3, 2) * i).tolist())
            out.append([y.tolist() for y in (*ps, *vel)])
        return out, f

    need_program(told)


def test_sam_as_it_is_written():
    def told(wrap):
        ad.manual_seed(0)
        net, out = nn.Linear(3, 2), []
        state = {p: {} for p in net.parameters()}

        @wrap
        def f(x):
            (net(x) ** 2).sum().backward()
            for p in net.parameters():
                state[p]["old_p"] = p.data.clone()
                p.data = p.data + 0.05 * p.grad
            net.zero_grad()
            loss = (net(x) ** 2).sum()
            loss.backward()
            for p in net.parameters():
                p.data = state[p]["old_p"]
            with ad.no_grad():
                for p in net.parameters():
                    p -= 0.01 * p.grad
            net.zero_grad()
            return loss.detach()

        for i in range(5):
            out.append(f(ad.ones(2, 3) * i).tolist())
            out.append([p.tolist() for p in net.parameters()])
            out.append([s["old_p"].tolist() for s in state.values()])
        return out, f

    need_program(told)


def test_what_is_detached_of_a_tensor_given_other_memory():
    """How it lies is asked of what it was."""

    def told(wrap):
        w, out = ad.arange(6.0).reshape(2, 3).t().contiguous(), []

        @wrap
        def f(x):
            w.data = w.data * 0.9 + x
            y = (x @ w.t()).detach()
            return y.clone().detach(), w.t().reshape(6)

        for i in range(4):
            out.append([y.tolist() for y in f(ad.ones(3, 2) * i)])
            out.append(w.tolist())
        return out

    same(told(compile), told(lambda f: f))
