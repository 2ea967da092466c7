"""Why another program is made: one line of the log says it in words; what may be asked for."""

import copy
import logging
from decimal import Decimal

import numpy as np
import pytest

import adjoint as ad
from adjoint import nn
from adjoint.core import bind
from adjoint.errors import ArgumentError, ArgumentTypeError

LINES = "captured f: ", "compiled f: ", "loaded f: "


@pytest.fixture
def whys(caplog):
    """What the log has said since it was asked last."""
    caplog.set_level(logging.INFO, logger="adjoint.compiler")

    def since():
        texts = [r.getMessage() for r in caplog.records]
        caplog.clear()
        return [t.split(": ", 1)[1] for t in texts if t.startswith(LINES)]

    return since


def test_arguments(whys):
    @ad.compile
    def f(x, k=2, c=None):
        return x * k

    x = ad.ones(2, 3)
    f(x), f(x)
    assert whys() == ["first"]
    for args, kwargs, why in (
        ((ad.ones(4),), {}, "argument 1 is float32[4], was float32[2, 3]"),
        ((ad.ones(4).double(),), {}, "argument 1 is float64[4], was float32[4]"),
        ((x, 3), {}, "it was given (float32[2, 3], 3), before (float64[4])"),
        ((x, 0.5), {}, "argument 2 is 0.5, was 3"),
        ((ad.ones(3, 2), 0.5), {}, "argument 1 is float32[3, 2], was float32[2, 3]"),
        ((x.T, 0.5), {}, "argument 1 is float32[3, 2], not row by row, was float32"
            "[3, 2], row by row"),
        ((x,), {"c": "a"}, "it was given (float32[2, 3], c='a'), before (float32[3, 2], 0.5)"),
        ((x,), {"c": [x]}, "it was given (float32[2, 3], c=[float32[2, 3]]), before "
            "(float32[2, 3], c='a')"),
        ((x,), {"c": [x + 1]}, "other arguments are the same tensor"),
    ):  # fmt: skip
        f(*args, **kwargs)
        assert whys() == [why]
    f(ad.ones(4, requires_grad=True)), whys()
    with ad.no_grad():
        f(ad.ones(4, requires_grad=True))
    assert whys() == ["recording is False, was True"]


def test_programs_that_run_but_once_are_told(caplog):
    """A number that is another in each call is better a tensor."""
    f = ad.compile(lambda x, t: x * t, cache_size=4)
    for k in range(20):
        assert f(ad.ones(1), 0.5 * k).item() == 0.5 * k
    (said,) = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert "(cache_size=4), and most ran but once: now argument 2 is" in said
    caplog.clear()
    g = ad.compile(lambda x, t: x * t, cache_size=4)
    for k in range(40):
        for _ in range(3):
            g(ad.ones(1), k)
        g(ad.ones(1), ad.tensor(0.5 * k))
    assert not [r for r in caplog.records if r.levelname == "WARNING"]


NUMBERS = [0.0, -0.0, np.float64(0.0), np.float64(-0.0), np.float32(-0.0), 0, False]
KINDS = [*NUMBERS, {1}, {1.0}, {True}, frozenset({1}), frozenset({1.0}), float("nan")]
KINDS += [np.float64("nan"), Decimal("nan"), frozenset({float("nan")}), (0.0,), (-0.0,)]


def test_static_values_that_are_equal_but_not_the_same(whys):
    """Each has a program of its own, which is found again."""
    f = ad.compile(lambda x, k: (x * 2, repr(k)))
    for _ in range(3):
        for k in KINDS:
            assert f(ad.ones(1), k)[1] == repr(k)
    assert len(f.programs) == len(KINDS)


def test_frozen_sets_in_words(whys):
    @ad.compile
    def f(x, k):
        return x * sum(k)

    f(ad.ones(1), frozenset({1}))
    for k in (frozenset({1}), frozenset({1.5}), {2}):
        f(ad.ones(1), k)
    assert whys() == [
        "first",
        "argument 2 is frozenset({1.5}), was frozenset({1})",
        "argument 2 is {2}, was frozenset({1.5})",
    ]


def test_gradients_of_arguments(whys):
    @ad.compile
    def f(x):
        return x * 2 if x.grad is None else x * x.grad

    for _ in range(2):
        f(ad.ones(2))
    whys()
    x = ad.ones(2, requires_grad=True)
    f(x)
    assert whys() == [
        "argument 1 is float32[2] that requires grad, was float32[2] without requires grad"
    ]
    x.grad = ad.ones(2)
    f(x)
    assert whys() == [
        "argument 1 is float32[2] with .grad float32[2], was float32[2] without .grad"
    ]


class Config:
    rate = 1.0


def test_what_is_around_it(whys):
    scale, config, t = 1.0, Config(), ad.tensor(3.0)

    @ad.compile
    def f(x):
        return x * scale * config.rate * t.item()

    x = ad.ones(2)
    f(x), f(x)
    assert whys() == ["first"]
    scale = 2.0
    f(x)
    assert whys() == ["a variable around it is 2.0, was 1.0"]
    config.rate = 3.0
    f(x)
    assert whys() == ["rate is 3.0, was not there"]
    t.fill_(4.0)
    assert f(x).tolist() == [24.0, 24.0]
    (why,) = whys()
    assert why.startswith("numbers that Python reads are others, test_recompiling.py:")


def test_modules(whys):
    net = nn.Linear(2, 2)

    @ad.compile
    def f(x):
        return net(x)

    f(ad.ones(2)), f(ad.ones(2)), whys()
    net.weight = nn.Parameter(ad.ones(2, 2))
    f(ad.ones(2))
    assert whys() == ["the parameters or hooks of a module are others"]


def test_the_cache_is_bounded():
    f = ad.compile(lambda x: x * 2, cache_size=3)
    for n in range(1, 7):
        for _ in range(2):
            assert f(ad.ones(n)).sum().item() == 2 * n
    assert len(f.programs) == 3


@pytest.mark.parametrize(
    "given, kind, text",
    [
        ({"backend": "cuda"}, ArgumentError, "backend must be one of 'native', 'numpy'"),
        ({"backend": 3}, ArgumentTypeError, "backend must be a string, got int"),
        ({"mode": "fast"}, ArgumentError, "mode must be one of 'default'"),
        ({"cache_size": -1}, ArgumentError, "cache_size must be 0 or more, got -1"),
        ({"cache_size": 2.0}, ArgumentTypeError, "cache_size must be an int, got float"),
        ({"background": 1}, ArgumentTypeError, "background must be True or False, got 1"),
    ],
)  # fmt: skip
def test_what_makes_no_sense(given, kind, text):
    with pytest.raises(kind, match=text):
        ad.compile(lambda x: x, **given)


def test_options_of_pytorch():
    def f(x):
        return x * 2

    assert ad.compile(f, disable=True) is f
    for backend in ("inductor", "eager"):
        g = ad.compile(f, backend=backend, mode="max-autotune", fullgraph=True)
        for _ in range(3):
            assert g(ad.ones(2)).tolist() == [2.0, 2.0]
    assert g.backend == "numpy"


class Session:
    def __repr__(self):
        return "Session()"


def test_what_looks_the_same_is_another(whys):
    session = Session()

    @ad.compile
    def f(x):
        return x * (2 if session else 3)

    f(ad.ones(2)), f(ad.ones(2)), whys()
    session = Session()
    f(ad.ones(2))
    assert whys() == ["a variable around it is another Session"]


def test_modules_that_are_switched(whys):
    net = nn.Linear(2, 2)

    @ad.compile
    def f(x):
        return net(x)

    f(ad.ones(2)), f(ad.ones(2)), whys()
    net.eval()
    f(ad.ones(2))
    assert whys() == ["modules were switched between train() and eval()"]


@pytest.mark.parametrize("snapshot", [
    copy.deepcopy,
    lambda net: Dropping().eval(),
], ids=["copied", "made"])  # fmt: skip
def test_modules_that_no_program_has_seen(whys, snapshot):
    """A snapshot of the model, made and switched between calls, is none of theirs."""
    net = Dropping()

    @ad.compile
    def f(x):
        return net(x)

    x = ad.ones(4)
    f(x), f(x)
    assert whys() == ["first"]
    for _ in range(3):
        other = snapshot(net).eval()
        other(x), f(x)
        del other
    assert whys() == []


def test_a_young_module_is_seen_with_the_next_program(whys):
    net = Dropping()

    @ad.compile
    def f(x):
        return net(x)

    x = ad.ones(64)
    f(x), f(x), whys()
    net = Dropping().eval()
    assert f(x).tolist() == x.tolist()
    assert whys() == ["a variable around it is another Dropping"]
    net.train()
    assert f(x).tolist() != x.tolist()
    assert whys() == ["modules were switched between train() and eval()"]


def test_young_modules_are_not_remembered_without_end(monkeypatch):
    """Forgotten, they count as seen; what they do stays right."""
    monkeypatch.setattr(bind, "_MANY_YOUNG", 10)
    nets = [Dropping() for _ in range(50)]
    assert len(bind.young) <= 10
    f, x = ad.compile(lambda x: nets[0](x)), ad.ones(64)
    for train in (True, False) * 3:
        nets[0].train(train), nets[-1].train(not train)
        assert (f(x).tolist() == x.tolist()) is not train


def test_modules_that_classes_keep():
    class Kept:
        net = nn.Dropout(0.5).eval()

    f, x = ad.compile(lambda x: Kept.net(x)), ad.ones(64)
    assert f(x).tolist() == f(x).tolist() == x.tolist()
    Kept.net = copy.deepcopy(Kept.net).train()
    assert f(x).tolist() != x.tolist()


class Dropping(nn.Module):
    """A model with both modes."""

    def __init__(self):
        super().__init__()
        self.drop = nn.Dropout(0.5)

    def forward(self, x):
        return self.drop(x)


def test_groups_of_an_optimizer(whys, caplog):
    """Also: that new state is found, by a parameter, is no text of that parameter."""
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    opt = ad.optim.Adam(net[0].parameters())

    @ad.compile
    def f(x):
        opt.zero_grad()
        net(x).sum().backward()
        opt.step()

    for _ in range(3):
        f(ad.ones(2))
    whys()
    opt.add_param_group({"params": net[1].parameters()})
    for _ in range(3):
        f(ad.ones(2))
    assert not [r for r in caplog.records if r.levelname == "WARNING"]
    assert whys() == ["the groups or the state of an optimizer are others"]
    opt.load_state_dict(opt.state_dict())
    f(ad.ones(2))
    assert whys() == ["the groups or the state of an optimizer are others"]


def test_gradients_that_are_summed_up_over_some_steps(whys):
    """The first step of each cycle finds no gradients, the others do."""

    def trained(wrap):
        ad.manual_seed(0)
        m = nn.Linear(3, 2)
        opt = ad.optim.SGD(m.parameters(), lr=0.1, momentum=0.9)

        def f(x):
            loss = (m(x) ** 2).mean() / 4
            loss.backward()
            return loss

        g = wrap(f)
        losses = []
        for k in range(24):
            losses.append(g(ad.randn(5, 3)).item())
            if k % 4 == 3:
                opt.step()
                opt.zero_grad()
        return losses, m.state_dict()

    losses, state = trained(ad.compile)
    assert len(whys()) == 2
    wanted, as_eager = trained(lambda f: f)
    assert np.allclose(losses, wanted)
    assert all(ad.allclose(state[k], as_eager[k]) for k in state)


class Adapted(nn.Module):
    """A layer with an adapter, which is merged into it for evaluation."""

    merged = False

    def __init__(self):
        super().__init__()
        self.layer, self.merged, self.scale = nn.Linear(3, 3), False, 2
        self.a = nn.Parameter(ad.randn(3, 3))

    def train(self, mode=True):
        if mode is self.merged:
            with ad.no_grad():
                self.layer.weight += (-1 if mode else 1) * self.scale * self.a
            self.merged = not mode
        return super().train(mode)

    def forward(self, x):
        y = self.layer(x)
        return y if self.merged else y + self.scale * (x @ self.a.T)


def test_attributes_of_modules_that_are_as_they_were(whys):
    m = Adapted()

    @ad.compile
    def f(x):
        return m(x).sum()

    x = ad.randn(2, 3)
    for k in range(6):
        for _ in range(2):
            m.train(k % 2 == 0)
            assert ad.allclose(f(x), m(x).sum())
    assert len(whys()) == 2
    m.scale = 3
    assert ad.allclose(f(x), m(x).sum())
    assert whys() == ["an attribute of a module is another"]
    m.scale = 3.0
    m.extra = 2
    assert ad.allclose(f(x), m(x).sum())
    assert whys() == ["the parameters or hooks of a module are others"]


def test_few_earlier_programs_are_kept(whys):
    """Numbers that are never again what they were have no programs that wait for them."""

    class Config:
        k = 0.0

    c = Config()

    @ad.compile(cache_size=2)
    def f(x):
        return x * c.k

    for k in (1, 2, 1, 2, 1, 2):
        c.k = k
        assert f(ad.ones(1)).item() == k
    assert len(whys()) == 2
    assert len(f.programs) + sum(map(len, f.earlier.values())) == 2
    for k in (3, 3, 4, 4, 5, 5, 6, 6):
        c.k = k
        assert f(ad.ones(1)).item() == k
    assert len(whys()) == 4
    assert len(f.programs) + sum(map(len, f.earlier.values())) == 2
    only = ad.compile(lambda x: x * c.k, cache_size=1)
    for k in (1, 2, 1, 2, 1, 2):
        c.k = k
        assert only(ad.ones(1)).item() == k
    assert len(only.programs) == 1 and not only.earlier
