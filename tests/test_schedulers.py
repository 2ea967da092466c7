"""Schedulers: PyTorch's rates over 200 steps, resumed in the middle, with its warnings."""

import copy
import inspect
import math
import pickle
import warnings

import numpy as np
import pytest

import adjoint as ad
from adjoint.optim import SGD, Adam, lr_scheduler

S = lr_scheduler
CASES = {
    "LambdaLR": lambda s, o: s.LambdaLR(o, [lambda t: 0.95**t, lambda t: 1 / (1 + t)]),
    "LambdaLR one": lambda s, o: s.LambdaLR(o, lambda t: math.cos(t / 50) + 1),
    "MultiplicativeLR": lambda s, o: s.MultiplicativeLR(o, lambda t: 1 - 1 / (t + 9)),
    "StepLR": lambda s, o: s.StepLR(o, 30, 0.5),
    "MultiStepLR": lambda s, o: s.MultiStepLR(o, [20, 90, 90, 150], 0.3),
    "ConstantLR": lambda s, o: s.ConstantLR(o, 0.25, 50),
    "LinearLR": lambda s, o: s.LinearLR(o, 0.2, 0.9, 70),
    "LinearLR default": lambda s, o: s.LinearLR(o),
    "ExponentialLR": lambda s, o: s.ExponentialLR(o, 0.97),
    "PolynomialLR": lambda s, o: s.PolynomialLR(o, 120, 2.5),
    "CosineAnnealingLR": lambda s, o: s.CosineAnnealingLR(o, 60, 0.01),
    "CosineAnnealingLR once": lambda s, o: s.CosineAnnealingLR(o, 200),
    "Restarts": lambda s, o: s.CosineAnnealingWarmRestarts(o, 30),
    "Restarts longer": lambda s, o: s.CosineAnnealingWarmRestarts(o, 10, 2, 1e-3),
    "CyclicLR": lambda s, o: s.CyclicLR(o, 0.01, 0.2, 20, 30),
    "CyclicLR halving": lambda s, o: s.CyclicLR(
        o, [0.01, 0.02], [0.2, 0.3], 15, mode="triangular2", cycle_momentum=False
    ),
    "CyclicLR exp": lambda s, o: s.CyclicLR(
        o, 0.01, 0.2, 20, mode="exp_range", gamma=0.99, base_momentum=0.5
    ),
    "CyclicLR own": lambda s, o: s.CyclicLR(
        o, 0.01, 0.2, 20, scale_fn=lambda x: 1 / (1 + x), scale_mode="iterations"
    ),
    "OneCycleLR": lambda s, o: s.OneCycleLR(o, 0.5, total_steps=210),
    "OneCycleLR linear": lambda s, o: s.OneCycleLR(
        o, [0.5, 0.2], epochs=21, steps_per_epoch=10, anneal_strategy="linear"
    ),
    "OneCycleLR three": lambda s, o: s.OneCycleLR(
        o, 0.5, 205, three_phase=True, pct_start=0.4, div_factor=5.0, max_momentum=0.9
    ),
    "OneCycleLR no momentum": lambda s, o: s.OneCycleLR(
        o, 0.5, 201, cycle_momentum=False, final_div_factor=10.0
    ),
    "ChainedScheduler": lambda s, o: s.ChainedScheduler(
        [s.ConstantLR(o, 0.1, 20), s.ExponentialLR(o, 0.99), s.StepLR(o, 50, 0.9)]
    ),
    "ChainedScheduler cosine": lambda s, o: s.ChainedScheduler(
        [s.LinearLR(o, 0.1, total_iters=10), s.CosineAnnealingLR(o, 50, 1e-3)]
    ),
    "SequentialLR": lambda s, o: s.SequentialLR(
        o, [s.ConstantLR(o, 0.1, 20), s.ExponentialLR(o, 0.99)], [20]
    ),
    "SequentialLR three": lambda s, o: s.SequentialLR(
        o,
        [
            s.LinearLR(o, 0.1, total_iters=15),
            s.CosineAnnealingLR(o, 60, 0.01),
            s.StepLR(o, 10),
        ],
        [15, 100],
    ),
    "SequentialLR restarts": lambda s, o: s.SequentialLR(
        o,
        [s.PolynomialLR(o, 20), s.CosineAnnealingWarmRestarts(o, 40)],
        milestones=[30],
    ),
}
CLOSED = [
    name
    for name in CASES
    if name.startswith(("Step", "Multi", "Const", "Lin", "Exp", "Pol", "Cos", "Res"))
    and name != "MultiplicativeLR"
]


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


def optimizer(lib, kind="SGD", lr=0.1):
    """An optimizer with two groups, which makes steps without gradients."""
    groups = [{"params": [lib.ones(1, requires_grad=True)]} for _ in range(2)]
    groups[1]["lr"] = lr * 0.3
    options = {"momentum": 0.7} if kind == "SGD" else {}
    return getattr(lib.optim, kind)(groups, lr=lr, **options)


def seen(opt):
    """Rates and momentums now."""
    return [
        float(x)
        for o in opt.param_groups
        for x in (o["lr"], o.get("momentum", 0), o.get("betas", [0])[0])
    ]


def follow(opt, scheduler, steps):
    """Rates and momentums over some steps."""
    out = [seen(opt)]
    for _ in range(steps):
        opt.step()
        scheduler.step()
        out.append(seen(opt))
        assert list(map(float, scheduler.get_last_lr())) == out[-1][::3]
    return np.array(out)


@pytest.mark.parametrize("kind", ["SGD", "Adam"])
@pytest.mark.parametrize("name", CASES)
def test_same_rates_as_torch(name, kind, torch):
    theirs, mine = optimizer(torch, kind), optimizer(ad, kind)
    want = follow(theirs, CASES[name](torch.optim.lr_scheduler, theirs), 200)
    got = follow(mine, CASES[name](S, mine), 200)
    np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("cut", [1, 37, 120])
def test_resumed_in_the_middle(name, cut):
    opt = optimizer(ad)
    scheduler = CASES[name](S, opt)
    want = follow(opt, scheduler, 200)
    opt = optimizer(ad)
    scheduler = CASES[name](S, opt)
    follow(opt, scheduler, cut)
    saved = pickle.dumps((opt.state_dict(), scheduler.state_dict()))
    opt = optimizer(ad)
    scheduler = CASES[name](S, opt)
    of_opt, of_scheduler = pickle.loads(saved)
    opt.load_state_dict(of_opt)
    scheduler.load_state_dict(of_scheduler)
    np.testing.assert_array_equal(follow(opt, scheduler, 200 - cut), want[cut:])


@pytest.mark.parametrize("name", CASES)
def test_takes_over_from_torch_and_back(name, torch):
    theirs = optimizer(torch)
    scheduler = CASES[name](torch.optim.lr_scheduler, theirs)
    follow(theirs, scheduler, 33)
    mine = optimizer(ad)
    own = CASES[name](S, mine)
    assert set(own.state_dict()) == set(CASES[name](S, mine).state_dict())
    mine.load_state_dict(theirs.state_dict())
    own.load_state_dict(copy.deepcopy(scheduler.state_dict()))
    back = optimizer(torch)
    again = CASES[name](torch.optim.lr_scheduler, back)
    back.load_state_dict(mine.state_dict())
    again.load_state_dict(copy.deepcopy(own.state_dict()))
    want = follow(theirs, scheduler, 100)
    np.testing.assert_allclose(follow(mine, own, 100), want, rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(follow(back, again, 100), want, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("name", CASES)
def test_state_dict_has_torchs_keys(name, torch):
    theirs, mine = optimizer(torch), optimizer(ad)
    want = CASES[name](torch.optim.lr_scheduler, theirs)
    got = CASES[name](S, mine)
    for opt, scheduler in ((theirs, want), (mine, got)):
        follow(opt, scheduler, 2)
    assert set(got.state_dict()) == set(want.state_dict())
    assert [set(o) for o in mine.param_groups] == [set(o) for o in theirs.param_groups]


@pytest.mark.parametrize(
    "name",
    [n for n in CASES if not n.startswith(("Chained", "Sequential", "OneCycle"))],
)
def test_constructed_in_the_middle(name, torch):
    want, got = [], []
    for lib, s, out in ((torch, torch.optim.lr_scheduler, want), (ad, S, got)):
        opt = optimizer(lib)
        for o in opt.param_groups:
            o["initial_lr"] = o["lr"]
        make = CASES[name]

        class Late:
            """The schedulers, all of which begin after epoch 9."""

            def __getattr__(self, name, s=s):
                return lambda *a, **kw: getattr(s, name)(*a, **kw, last_epoch=9)

        if name.startswith("CyclicLR"):
            for o in opt.param_groups:
                o["base_momentum"], o["max_momentum"] = 0.8, 0.9
        out += follow(opt, make(Late(), opt), 20).tolist()
    np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("name", CLOSED)
def test_closed_form_agrees(name):
    opt, direct = optimizer(ad), optimizer(ad)
    steps = follow(opt, CASES[name](S, opt), 100)
    scheduler = CASES[name](S, direct)
    direct.step()
    for t in (1, 5, 20, 21, 60, 90, 99):
        with pytest.warns(UserWarning, match="epoch parameter"):
            if name.startswith("Res"):
                warnings.warn("epoch parameter", UserWarning, stacklevel=1)
            scheduler.step(t)
        np.testing.assert_allclose(seen(direct), steps[t], rtol=1e-9, atol=1e-15)


def test_parts_of_epochs(torch):
    want, got = [], []
    for lib, s, out in ((torch, torch.optim.lr_scheduler, want), (ad, S, got)):
        for mult in (1, 2):
            opt = optimizer(lib)
            scheduler = s.CosineAnnealingWarmRestarts(opt, 3, mult)
            opt.step()
            for t in np.arange(0, 20, 0.25):
                scheduler.step(t)
                out.append(seen(opt))
    np.testing.assert_allclose(got, want, rtol=1e-9)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"patience": 3, "factor": 0.5, "cooldown": 4},
        {"mode": "max", "patience": 2, "threshold": 0.05},
        {"mode": "max", "patience": 2, "threshold_mode": "abs", "threshold": 0.2},
        {"patience": 1, "threshold_mode": "abs", "min_lr": [0.01, 0.001]},
        {"patience": 0, "min_lr": 0.02, "eps": 1e-3},
    ],
    ids=str,
)
def test_plateau_as_torch(options, torch):
    rng = np.random.default_rng(0)
    losses = np.exp(-np.arange(200) / 60) + 0.1 * rng.normal(size=200)
    losses[50] = np.nan
    rows = []
    for lib, s in ((torch, torch.optim.lr_scheduler), (ad, S)):
        opt = optimizer(lib)
        scheduler = s.ReduceLROnPlateau(opt, **options)
        out = []
        for i, loss in enumerate(losses):
            if i == 77:
                state = copy.deepcopy(scheduler.state_dict())
                scheduler = s.ReduceLROnPlateau(opt, patience=99)
                scheduler.load_state_dict(state)
            scheduler.step(lib.tensor(loss))
            out.append([*seen(opt), scheduler.num_bad_epochs, scheduler.best])
        rows.append(out)
    np.testing.assert_allclose(rows[1], rows[0], rtol=1e-12)


def test_plateau_with_more_groups():
    opt = optimizer(ad)
    one, many = (S.ReduceLROnPlateau(opt, patience=0, min_lr=m) for m in (0, [0, 0]))
    opt.add_param_group({"params": [ad.ones(1)], "lr": 1.0})
    for scheduler in (one, many):
        scheduler.step(1.0)
    one.step(1.0)
    assert opt.param_groups[2]["lr"] == 0.1 and not one.in_cooldown
    with pytest.raises(RuntimeError, match="has 3 param groups now"):
        many.step(1.0)


@pytest.mark.parametrize("name", CASES)
def test_tensor_rates_are_written_in_place(name):
    opt, plain = optimizer(ad), optimizer(ad)
    tensors = [ad.tensor(o["lr"], dtype=ad.float64) for o in opt.param_groups]
    for o, lr in zip(opt.param_groups, tensors, strict=True):
        o["lr"] = lr
    got = follow(opt, CASES[name](S, opt), 60)
    want = follow(plain, CASES[name](S, plain), 60)
    np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-17)
    for o, lr in zip(opt.param_groups, tensors, strict=True):
        assert o["lr"] is lr


def test_sequences_nest():
    """A sequence in a sequence is the flat one (PyTorch's switches a step early)."""
    flat, first, second, chain = (optimizer(ad) for _ in range(4))

    def parts(o):
        return S.LinearLR(o), S.ExponentialLR(o, 0.9), S.MultiStepLR(o, [20], 0.3)

    want = follow(flat, S.SequentialLR(flat, parts(flat), [5, 40]), 80)
    a, b, c = parts(first)
    nested = S.SequentialLR(first, [S.SequentialLR(first, [a, b], [5]), c], [40])
    np.testing.assert_array_equal(follow(first, nested, 80), want)
    a, b, c = parts(second)
    nested = S.SequentialLR(second, [a, S.SequentialLR(second, [b, c], [35])], [5])
    np.testing.assert_array_equal(follow(second, nested, 80), want)
    a, b, c = (S.ChainedScheduler([part]) for part in parts(chain))
    nested = S.SequentialLR(chain, [a, b, c], [5, 40])
    np.testing.assert_array_equal(follow(chain, nested, 80), want)


@pytest.mark.parametrize("kind", ["SGD", "Adam"])
def test_compiled_steps_see_rates_and_momentums(kind, caplog):
    def run(prepare):
        w = ad.tensor([1.0, -2.0], dtype=ad.float64, requires_grad=True)
        m = ad.tensor(0.9, dtype=ad.float64)
        options = {"momentum": m} if kind == "SGD" else {"betas": (m, 0.99)}
        opt = getattr(ad.optim, kind)([w], lr=0.1, **options)
        cycle = S.OneCycleLR(opt, 0.1, total_steps=20)

        def step():
            opt.zero_grad()
            (w**4).sum().backward()
            opt.step()

        step = prepare(step)
        for _ in range(10):
            step()
            cycle.step()
        return w.tolist()

    with caplog.at_level("INFO", logger="adjoint.compiler"):
        np.testing.assert_allclose(run(ad.compile), run(lambda f: f), rtol=1e-9)
    assert len(caplog.records) == 1  # compiled once


def test_warm_up():
    opt = SGD([ad.ones(1)], lr=1.0)
    scheduler = S.warm_up(S.ExponentialLR(opt, 0.5), steps=4, start_factor=0.2)
    rates = follow(opt, scheduler, 6)[:, 0]
    np.testing.assert_allclose(rates, [0.2, 0.4, 0.6, 0.8, 1.0, 0.5, 0.25])
    S.warm_up(S.ChainedScheduler([S.ExponentialLR(opt, 0.5)]), steps=4)


def test_functions_and_objects_of_the_user():
    class Decay:
        def __init__(self, rate):
            self.rate = rate

        def __call__(self, t):
            return self.rate**t

    opt = SGD([ad.ones(1)], lr=1.0)
    scheduler = S.LambdaLR(opt, Decay(0.5))
    assert scheduler.state_dict()["lr_lambdas"] == [{"rate": 0.5}]
    new = S.LambdaLR(opt, Decay(0.9))
    new.load_state_dict(scheduler.state_dict())
    assert new.lr_lambdas[0].rate == 0.5
    cyclic = S.CyclicLR(opt, 0.1, 1.0, scale_fn=Decay(0.5), cycle_momentum=False)
    new = S.CyclicLR(opt, 0.1, 1.0, scale_fn=Decay(0.1), cycle_momentum=False)
    new.load_state_dict(cyclic.state_dict())
    assert new.scale_fn(2) == 0.25


def test_copies_go_on_alike():
    opt = optimizer(ad)
    scheduler = S.CyclicLR(opt, 0.01, 0.2, 20)
    follow(opt, scheduler, 5)
    new_opt, new = pickle.loads(pickle.dumps(copy.deepcopy((opt, scheduler))))
    assert new.optimizer is new_opt
    want = follow(opt, scheduler, 5)
    np.testing.assert_array_equal(follow(new_opt, new, 5), want)


@pytest.mark.parametrize("name", [n for n in S.__all__ if n != "warm_up"])
def test_signature_is_torchs(name, torch):
    def parameters(f):
        found = inspect.signature(f).parameters.values()
        return [(p.name, p.kind, p.default) for p in found]

    theirs = getattr(torch.optim.lr_scheduler, name)
    assert parameters(getattr(S, name)) == parameters(theirs)


# ---------------------------------------------------------------- warnings and errors


def test_warns_of_the_wrong_order():
    opt = optimizer(ad)
    opt.step()
    scheduler = S.ExponentialLR(opt, 0.9)
    with pytest.warns(
        UserWarning, match=r"lr_scheduler.step\(\)` before `optimizer.step"
    ):
        scheduler.step()
    scheduler.step()
    opt = optimizer(ad)
    scheduler = S.ExponentialLR(opt, 0.9)
    opt.step = lambda: None
    with pytest.warns(UserWarning, match="has been overridden"):
        scheduler.step()


def test_warns_of_get_lr_and_of_epochs():
    opt = optimizer(ad)
    for name in CASES:
        if not name.startswith(("Chained", "Sequential")):
            with pytest.warns(UserWarning, match=r"please use `get_last_lr\(\)`"):
                CASES[name](S, optimizer(ad)).get_lr()
    scheduler = S.ReduceLROnPlateau(opt)
    with pytest.warns(UserWarning, match="epoch parameter"):
        scheduler.step(1.0, epoch=3)


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda o: S.StepLR(3, 1), TypeError, "int is not an Optimizer"),
        (
            lambda o: S.StepLR(o, 1, last_epoch=3),
            KeyError,
            "'initial_lr' is not specified",
        ),
        (
            lambda o: S.LambdaLR(o, [abs]),
            ValueError,
            "Expected 2 lr_lambdas, but got 1",
        ),
        (lambda o: S.MultiplicativeLR(o, 0.5), TypeError, "a function, but got float"),
        (lambda o: S.ConstantLR(o, 1.5), ValueError, "between 0 and 1, got 1.5"),
        (lambda o: S.LinearLR(o, 0), ValueError, "greater than 0 .* got 0"),
        (lambda o: S.LinearLR(o, 0.5, 2), ValueError, "between 0 and 1, got 2"),
        (lambda o: S.CosineAnnealingWarmRestarts(o, 0), ValueError, "T_0, but got 0"),
        (lambda o: S.CosineAnnealingWarmRestarts(o, 1, 0.5), ValueError, "got 0.5"),
        (lambda o: S.CosineAnnealingWarmRestarts(o, 1, 1, "a"), ValueError, "type str"),
        (lambda o: S.CyclicLR(o, 0.1, [1.0]), ValueError, "max_lr must have the same"),
        (lambda o: S.CyclicLR(o, 0.1, 1, mode="x"), ValueError, "mode is invalid"),
        (lambda o: S.OneCycleLR(o, 1.0), ValueError, "either total_steps OR"),
        (lambda o: S.OneCycleLR(o, 1.0, 0), ValueError, "total_steps, but got 0"),
        (
            lambda o: S.OneCycleLR(o, 1.0, epochs=-1, steps_per_epoch=2),
            ValueError,
            "epochs",
        ),
        (lambda o: S.OneCycleLR(o, 1.0, 5, pct_start=2.0), ValueError, "but got 2.0"),
        (lambda o: S.OneCycleLR(o, 1.0, 5, anneal_strategy="x"), ValueError, "got x"),
        (lambda o: S.ChainedScheduler([]), ValueError, "at least one scheduler"),
        (
            lambda o: S.ChainedScheduler([3]),
            TypeError,
            "index 0 should have `optimizer`",
        ),
        (
            lambda o: S.ChainedScheduler([S.ReduceLROnPlateau(o)]),
            ValueError,
            "does not support `ReduceLROnPlateau`",
        ),
        (
            lambda o: S.SequentialLR(o, [S.StepLR(optimizer(ad), 1)], []),
            ValueError,
            "StepLR at index 0 has another",
        ),
        (
            lambda o: S.SequentialLR(o, [S.StepLR(o, 1)], [3]),
            ValueError,
            "1 schedulers and 1 milestones",
        ),
        (lambda o: S.ReduceLROnPlateau(o, factor=1.0), ValueError, "< 1.0, got 1.0"),
        (lambda o: S.ReduceLROnPlateau(o, mode="up"), ValueError, "mode up is unknown"),
        (lambda o: S.ReduceLROnPlateau(o, threshold_mode="x"), ValueError, "mode x is"),
        (
            lambda o: S.ReduceLROnPlateau(o, min_lr=[0]),
            ValueError,
            "1 values, param_groups has 2",
        ),
        (lambda o: S.LRScheduler(o), NotImplementedError, "has no get_lr"),
    ],
)
def test_bad_arguments_are_refused(make, error, text):
    with pytest.raises(error, match=text):
        make(optimizer(ad))


def test_momentum_needs_an_optimizer_with_momentum():
    opt = ad.optim.Adagrad([ad.ones(1)])
    for make in (
        lambda: S.CyclicLR(opt, 0.1, 1.0),
        lambda: S.OneCycleLR(opt, 1.0, 5),
    ):
        with pytest.raises(ValueError, match="must support momentum or beta1"):
            make()


def test_steps_beyond_the_end():
    opt = Adam([ad.ones(1)])
    scheduler = S.OneCycleLR(opt, 1.0, total_steps=2)
    with pytest.raises(ValueError, match=r"step 3 times.*is 2"):
        follow(opt, scheduler, 3)
    restarts = S.CosineAnnealingWarmRestarts(opt, 3)
    with pytest.raises(ValueError, match="non-negative epoch, but got -1"):
        restarts.step(-1)
    with pytest.raises(ValueError, match="takes no epoch"):
        S.SequentialLR(opt, [restarts], []).step(3)


@pytest.mark.parametrize(
    "make",
    [
        lambda s, o: s.StepLR(o, 0),
        lambda s, o: s.CosineAnnealingLR(o, 0),
        lambda s, o: s.CyclicLR(o, 0.1, 0.2, 0),
    ],
)
def test_no_steps_are_too_few(make):
    opt = ad.optim.SGD([ad.ones(1, requires_grad=True)], lr=0.1)
    with pytest.raises(ValueError, match="must"):
        make(ad.optim.lr_scheduler, opt)
