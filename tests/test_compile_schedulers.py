"""Schedulers, averages of models and counters of Python inside a compiled step."""

import logging
import math

import numpy as np
import pytest

import adjoint as ad
from adjoint import nn, optim, train
from adjoint.optim import lr_scheduler as rates
from adjoint.optim import swa_utils


class Harmonic(rates.LRScheduler):
    def get_lr(self):
        return [lr / (1 + self.last_epoch) for lr in self.base_lrs]


SCHEDULERS = {
    "step": lambda o: rates.StepLR(o, 2, 0.5),
    "lambda": lambda o: rates.LambdaLR(o, lambda e: 0.9**e),
    "milestones": lambda o: rates.MultiStepLR(o, [2, 4]),
    "cosine": lambda o: rates.CosineAnnealingLR(o, 5),
    "restarts": lambda o: rates.CosineAnnealingWarmRestarts(o, 3),
    "one cycle": lambda o: rates.OneCycleLR(o, 0.1, total_steps=20),
    "cyclic": lambda o: rates.CyclicLR(o, 0.01, 0.1, 3, cycle_momentum=False),
    "sequence": lambda o: rates.SequentialLR(
        o, [rates.LinearLR(o, 0.1, total_iters=3), rates.ExponentialLR(o, 0.9)], [3]
    ),
    "chain": lambda o: rates.ChainedScheduler(
        [rates.ConstantLR(o, 0.5, 3), rates.PolynomialLR(o, 8)]
    ),
    "plateau": lambda o: rates.ReduceLROnPlateau(o, factor=0.5, patience=1),
    "a user's": Harmonic,
}
OPTIMIZERS = {
    "sgd": lambda p: optim.SGD(p, lr=0.1, momentum=0.9),
    "adam": lambda p: optim.AdamW(p, lr=0.1),
    "tensor": lambda p: optim.Adam(p, lr=ad.tensor(0.1)),
}


def trained(scheduler, optimizer):
    ad.manual_seed(0)
    net = nn.Linear(4, 2).double()
    opt = optimizer(net.parameters())
    schedule, x = scheduler(opt), ad.ones(3, 4, dtype=ad.float64)

    def step(y):
        opt.zero_grad()
        loss = ((net(x) - y) ** 2).mean()
        loss.backward()
        opt.step()
        if isinstance(schedule, rates.ReduceLROnPlateau):
            schedule.step(loss)
        else:
            schedule.step()
        return loss

    return step, schedule


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_scheduler_inside_goes_on_with_every_call(scheduler, optimizer):
    eager, first = trained(SCHEDULERS[scheduler], OPTIMIZERS[optimizer])
    step, second = trained(SCHEDULERS[scheduler], OPTIMIZERS[optimizer])
    compiled = ad.compile(step)
    for i in range(9):
        y = ad.tensor(float(i))
        assert compiled(y).item() == pytest.approx(eager(y).item(), rel=1e-9)
        assert compiled.written is step
        assert list(map(float, second.get_last_lr())) == pytest.approx(
            list(map(float, first.get_last_lr()))
        )
    assert len(compiled.programs) == 1


def counted(change):
    """What a function gives that makes a step of a scheduler somewhere else."""
    p = ad.ones(2, requires_grad=True)
    opt = optim.SGD([p], lr=1.0)
    schedule = rates.ExponentialLR(opt, 0.5)

    def step():
        p.grad = ad.ones(2)
        return change(opt, schedule)

    return step, p


def before(opt, schedule):
    schedule.step()
    opt.step()


def told(opt, schedule):
    opt.step()
    schedule.step()
    return schedule.get_last_lr()[0]


def looped(opt, schedule):
    def body(c, _):
        opt.step()
        schedule.step()
        return c, None

    ad.scan(body, ad.zeros(()), None, length=3)


@pytest.mark.filterwarnings("ignore:Detected call of")
@pytest.mark.parametrize("change", [before, told, looped])
def test_what_a_program_cannot_leave_to_its_end_runs_as_it_is_written(change, caplog):
    (eager, p), (step, q) = counted(change), counted(change)
    compiled = ad.compile(step)
    for _ in range(4):
        assert compiled() == eager()
        assert q.tolist() == pytest.approx(p.tolist())
    assert "runs as it is written" in caplog.text


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"use_buffers": True},
        {"avg_fn": swa_utils.get_ema_avg_fn(0.9)},
        {"multi_avg_fn": swa_utils.get_ema_multi_avg_fn(0.9)},
        {"multi_avg_fn": swa_utils.get_swa_multi_avg_fn(), "use_buffers": True},
    ],
)
def test_averages_of_a_model(options):
    found = []
    for way in (lambda f: f, ad.compile):
        ad.manual_seed(0)
        net = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)).double()
        opt = optim.SGD(net.parameters(), lr=0.1)
        average = swa_utils.AveragedModel(net, **options)

        def step(x, net=net, opt=opt, average=average):
            loss = (net(x) ** 2).mean()
            opt.zero_grad()
            loss.backward()
            opt.step()
            average.update_parameters(net)

        f = way(step)
        for i in range(5):
            f(ad.arange(12.0).double().reshape(3, 4).sin() * (i + 1))
        found.append(average.state_dict())
    for k, x in found[0].items():
        assert ad.allclose(x, found[1][k], 1e-9, 1e-9), k


class Counter:
    n = 0
    seen: list = []

    def __call__(self, x):
        self.n += 1
        return x * self.n

    def kept(self, x):
        self.seen.append(1)
        return x + len(self.seen)


def of_class(x):
    Counter.n += 1
    return x * Counter.n


def test_numbers_of_python_that_a_function_changes(caplog):
    """Attributes of classes, of objects that have none yet, of what is called itself."""
    Counter.n, Counter.seen = 0, []
    f = ad.compile(of_class)
    assert [f(ad.ones(())).item() for _ in range(4)] == [1, 2, 3, 4]
    Counter.n = 0
    f = ad.compile(Counter())
    assert [f(ad.ones(())).item() for _ in range(4)] == [1, 2, 3, 4]
    f = ad.compile(Counter().kept)
    assert [f(ad.zeros(())).item() for _ in range(4)] == [1, 2, 3, 4]
    assert caplog.text.count("runs as it is written") == 3


class Options:
    scale = 1.0


def test_numbers_of_a_class_that_others_change(caplog):
    caplog.set_level(logging.INFO, "adjoint.compiler")
    f = ad.compile(lambda x: x * Options.scale)
    for scale in (1.0, 2.0, 2.0, 3.0):
        Options.scale = scale
        assert f(ad.ones(())).item() == scale
    Options.scale = 1.0


# ---------------------------------------------------------------- a scale of the loss

SCALED = {
    "sgd": lambda params: optim.SGD(params, lr=0.1),
    "momentum": lambda params: optim.SGD(params, lr=0.1, momentum=0.9),
    "adam": lambda params: optim.Adam(params, lr=0.01),
    "rmsprop": lambda params: optim.RMSprop(params, centered=True, momentum=0.5),
    "two groups": lambda params: optim.AdamW(
        [{"params": p, "lr": 0.01 * i} for i, p in enumerate(params)]
    ),
}


class Scaled:
    """Training with a scaler, its step in the parts that `way` makes of it."""

    def __init__(self, way, make=SCALED["sgd"], clip=False):
        ad.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))
        self.opt, self.clip = make(list(self.net.parameters())), clip
        self.scaler = train.GradScaler(init_scale=8.0, growth_interval=2)
        self.step = way(self)

    def forward(self, x):
        loss = (self.net(x) ** 2).mean()
        self.opt.zero_grad()
        self.scaler.scale(loss).backward()
        return loss

    def unscale(self):
        self.scaler.unscale_(self.opt)
        nn.utils.clip_grad_norm_(self.net.parameters(), 0.1)

    def end(self):
        if self.clip:
            self.unscale()
        self.scaler.step(self.opt)
        self.scaler.update()

    def whole(self, x):
        loss = self.forward(x)
        self.end()
        return loss

    def state(self):
        numbers = [p.detach().numpy().copy() for p in self.net.parameters()]
        states = [dict(s) for s in self.opt.state.values()]
        found = [x for s in states for x in s.values() if isinstance(x, ad.Tensor)]
        return numbers + [np.array(x) for x in found]


def parts(scaled, compiled, end):
    """Its loss and gradients as a program, and what follows."""
    forward = ad.compile(scaled.forward) if "f" in compiled else scaled.forward
    end = ad.compile(end) if "e" in compiled else end
    return lambda x: (forward(x), end())[0]


WAYS = {
    "whole": lambda s: ad.compile(s.whole),
    "gradients": lambda s: parts(s, "f", s.end),
    "the end": lambda s: parts(s, "e", s.end),
    "one after the other": lambda s: parts(s, "fe", s.end),
}
STEPS = [1.0, 2.0, np.inf, 0.5, 1.0, np.nan, np.inf, 1.0, 0.1, 0.2, 0.3, np.inf]


def same_training(way, make, clip, first=1.0):
    eager, compiled = Scaled(lambda s: s.whole, make, clip), Scaled(way, make, clip)
    for x in (first, *STEPS):
        x = ad.full((3, 4), x)
        np.testing.assert_allclose(
            compiled.step(x).item(), eager.step(x).item(), rtol=1e-4
        )
        assert compiled.scaler.state_dict() == eager.scaler.state_dict()
        for a, b in zip(compiled.state(), eager.state(), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    return compiled


@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("make", SCALED)
@pytest.mark.parametrize("way", WAYS)
def test_a_scaler_is_part_of_the_program(way, make, clip, caplog):
    caplog.set_level(logging.INFO, "adjoint.compiler")
    same_training(WAYS[way], SCALED[make], clip)
    programs = 2 if way == "one after the other" else 1
    told = [r.message for r in caplog.records]
    assert len(told) == programs and not any("as it is written" in m for m in told)


def test_a_scaler_whose_first_step_overflows(caplog):
    """Then there is no state of the optimizer that the program could work on."""
    f = same_training(WAYS["whole"], SCALED["adam"], False, first=np.inf)
    assert len(f.step.programs) == 1 and not caplog.records


def test_two_optimizers_with_one_scaler():
    """Either's step is left out by itself; the scale shrinks if one overflows."""
    found = []
    for wrap in (lambda f: f, ad.compile):
        scaler = train.GradScaler(init_scale=4.0, growth_interval=2)
        v, w = ad.ones(2, requires_grad=True), ad.ones(2, requires_grad=True)
        opts = [optim.Adam([v], lr=0.1), optim.SGD([w], lr=0.1, momentum=0.9)]

        @wrap
        def step(x, y, v=v, w=w, opts=opts, scaler=scaler):
            for opt in opts:
                opt.zero_grad()
            one, two = scaler.scale([(v * x).sum(), (w * y).sum()])
            (one + two).backward()
            for opt in opts:
                scaler.step(opt)
            scaler.update()

        numbers = []
        for x, y in ((1, 1), (1, 2), (np.inf, 1), (1, np.inf), (2, 3), (3, 1)):
            step(ad.full((2,), float(x)), ad.full((2,), float(y)))
            numbers += [*v.tolist(), *w.tolist(), scaler.get_scale()]
        found.append(numbers)
    assert found[1] == pytest.approx(found[0], rel=1e-5)
    assert len(step.programs) == 1


def test_what_is_changed_of_a_scaler_between_calls(caplog):
    """A scale that is set or loaded is the program's; other factors make another program."""
    caplog.set_level(logging.INFO, "adjoint.compiler")
    s = Scaled(WAYS["whole"])
    x = ad.ones(3, 4)
    for _ in range(3):
        s.step(x)
    s.scaler.update(3.0)
    s.step(x)
    assert s.scaler.get_scale() == 6.0  # the second good step since it last grew
    s.scaler.load_state_dict({**s.scaler.state_dict(), "scale": 5.0})
    s.step(x * np.inf)
    assert s.scaler.get_scale() == 2.5 and len(caplog.records) == 1
    factors = {"growth_factor": 3.0, "growth_interval": 1}
    s.scaler.load_state_dict({**s.scaler.state_dict(), **factors})
    s.step(x)
    assert s.scaler.get_scale() == 7.5 and len(caplog.records) == 2
    s.scaler.load_state_dict({**s.scaler.state_dict(), "scale": 2.0**127})
    s.step(x * 0)
    assert s.scaler.get_scale() == 2.0**127  # larger ones are Inf in single precision


def by_overflow(s):
    def step(x):
        loss = s.forward(x)
        s.unscale()
        s.scaler.step(s.opt)
        if s.scaler.overflowed(s.opt):
            loss = loss * 0 - 1
        s.scaler.update()
        return loss

    return step


def by_scale(s):
    def step(x):
        before = s.scaler.get_scale()
        loss = s.whole(x)
        return loss * 0 - 1 if s.scaler.get_scale() < before else loss

    return step


def without_update(s):
    def step(x):
        loss = s.forward(x)
        s.scaler.step(s.opt)
        return loss

    f = ad.compile(step)
    return lambda x: (f(x), s.scaler.update())[0]


def with_closure(s):
    def step(x):
        loss = s.forward(x)
        s.scaler.step(s.opt, lambda: loss)
        s.scaler.update()
        return loss

    return ad.compile(step)


@pytest.mark.parametrize("make", [by_overflow, by_scale])
def test_what_asks_a_scaler_for_numbers_runs_as_written(make, caplog):
    eager, compiled = Scaled(make), Scaled(lambda s: ad.compile(make(s)))
    for x in STEPS:
        x = ad.full((3, 4), x)
        assert compiled.step(x).item() == pytest.approx(
            eager.step(x).item(), nan_ok=True
        )
        assert compiled.scaler.state_dict() == eager.scaler.state_dict()
    assert caplog.text.count("asks for a number") == 1


@pytest.mark.parametrize("way", [without_update, with_closure])
def test_parts_of_a_scalers_work_that_are_no_program(way, caplog):
    same_training(way, SCALED["momentum"], False)
    assert caplog.text.count("runs as it is written") == 1


def test_lbfgs_runs_as_it_is_written_and_its_closure_compiled(caplog):
    found = []
    for outer, inner in ((False, False), (True, False), (False, True)):
        ad.manual_seed(0)
        net = nn.Linear(4, 2).double()
        opt = optim.LBFGS(net.parameters(), max_iter=3)

        def closure(net=net, opt=opt):
            opt.zero_grad()
            loss = ((net(ad.ones(3, 4).double()) - 1) ** 4).mean()
            loss.backward()
            return loss

        closure = ad.compile(closure) if inner else closure

        def step(opt=opt, closure=closure):
            return opt.step(closure)

        f = ad.compile(step) if outer else step
        found.append([f().item() for _ in range(4)])
    assert found[1] == pytest.approx(found[0])
    assert found[2] == pytest.approx(found[0])
    assert "compile the closure instead" in caplog.text


class Own(optim.Optimizer):
    """One that makes its step itself, of rates as they are."""

    def __init__(self, params, of=None):
        super().__init__(params, {"lr": 0.5, "betas": (0.9, 0.99)})
        self.of = of or (lambda lr, p: p.sub_(lr * p.grad))

    def step(self, closure=None):
        with ad.no_grad():
            for group in self.param_groups:
                for p in group["params"]:
                    p.mul_(group["betas"][0])
                    self.of(group["lr"], p)


def test_a_scheduler_before_the_step_of_an_own_optimizer(caplog):
    """That step takes the rate as the scheduler leaves it."""
    found = []
    for wrap in (lambda f: f, ad.compile):
        p = ad.ones(2, requires_grad=True)
        opt = Own([p])
        rate = rates.LambdaLR(opt, lambda e: 0.5**e)
        p.sum().backward()
        opt.step()

        @wrap
        def f(p=p, opt=opt, rate=rate):
            opt.zero_grad()
            p.sum().backward()
            rate.step()
            opt.step()

        found.append([(f(), p.tolist())[1] for _ in range(4)])
    assert found[1] == found[0]
    assert "a scheduler makes its step before the optimizer" in caplog.text


def own_step(wrap, of):
    """(what training with an optimizer of one's own gives, the function, the optimizer)."""
    p = ad.ones(3, requires_grad=True)
    opt = Own([p], of)
    rate = rates.ExponentialLR(opt, 0.7)

    @wrap
    def f(x):
        opt.zero_grad()
        loss = (p * x).square().sum()
        loss.backward()
        opt.step()
        rate.step()
        return loss

    found = [f(ad.full((3,), 0.1 * i)).item() for i in range(7)]
    return [*found, *p.tolist()], f, opt


@pytest.mark.parametrize("of", [
    lambda lr, p: p.sub_(lr * p.grad),
    lambda lr, p: p.add_(p.grad, alpha=-lr),
    lambda lr, p: p.addcmul_(p.grad, p.grad.sign(), value=-lr),
    lambda lr, p: p.addcdiv_(p.grad, p.abs() + 1, value=-lr / (1 + lr)),
    lambda lr, p: p.mul_(1 - lr * 0.1).sub_(p.grad.sign().mul_(lr)),
], ids=["times", "alpha", "addcmul", "addcdiv", "decay"])  # fmt: skip
def test_rates_that_an_own_optimizer_reads_are_inputs(of, caplog):
    want = own_step(lambda f: f, of)[0]
    got, f, opt = own_step(ad.compile, of)
    assert got == pytest.approx(want, rel=1e-5)
    assert type(opt.param_groups[0]["lr"]) is float
    (program,) = f.programs.values()
    assert program.run.calls.value >= 4
    assert "as it is written" not in caplog.text


@pytest.mark.parametrize("of", [
    lambda lr, p: p.sub_(float(lr) * p.grad),
    lambda lr, p: p.sub_(p.grad * (lr if lr > 0.2 else 0.1)),
    lambda lr, p: p.sub_(p.grad * float(f"{lr:.3f}")),
    lambda lr, p: p.sub_(p.grad * math.sqrt(lr)),
    lambda lr, p: p.sub_(p.grad * (lr if isinstance(lr, float) else 7.0)),
    lambda lr, p: p.sub_(p.grad * (7.0 if hasattr(lr, "shape") else lr)),
], ids=["float", "branch", "text", "math", "class", "shape"])  # fmt: skip
def test_rates_that_are_needed_as_numbers(of):
    """A program for each: right, if not fast."""
    want = own_step(lambda f: f, of)[0]
    got, _, opt = own_step(ad.compile, of)
    assert got == pytest.approx(want, rel=1e-5)
    assert type(opt.param_groups[0]["lr"]) is float


@pytest.mark.parametrize(
    "told", [abs, lambda lr: lr * 2, str], ids=["itself", "twice", "text"]
)
def test_rates_that_are_results(told):
    """They are numbers of Python."""
    p = ad.ones(2, requires_grad=True)
    opt = Own([p])

    @ad.compile
    def f():
        p.grad = ad.ones(2)
        opt.step()
        return told(opt.param_groups[0]["lr"])

    for k in range(6):
        opt.param_groups[0]["lr"] = 0.1 * k
        y = f()
        assert type(y) is type(told(0.1)) and y == told(0.1 * k)


def test_rates_among_tensors_of_float64():
    """What is computed of both is a tensor of float64 in eager, too."""

    def trained(wrap):
        ad.manual_seed(0)
        p = ad.ones(3, dtype=ad.float64, requires_grad=True)
        opt = Own([p])

        def f(x):
            opt.zero_grad()
            (p * x).square().sum().backward()
            p.grad += opt.param_groups[0]["lr"] * 0.1 * p.detach()
            opt.step()
            return p.sum() * opt.param_groups[0]["lr"]

        g, found = wrap(f), []
        for k in range(8):
            opt.param_groups[0]["lr"] = 0.1 * k
            found.append(g(ad.full((3,), 0.1 * k, dtype=ad.float64)))
        return found, p, g

    want, p, _ = trained(lambda f: f)
    got, q, f = trained(ad.compile)
    assert [y.item() for y in got] == pytest.approx([y.item() for y in want], rel=1e-12)
    assert {y.dtype for y in got} == {ad.float64} and ad.allclose(p, q, rtol=1e-12)
    (program,) = f.programs.values()
    assert program.run.calls.value == 6
