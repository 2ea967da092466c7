"""Schedulers, averages of models and counters of Python inside a compiled step."""

import logging

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


def scaled(way):
    ad.manual_seed(0)
    net = nn.Linear(4, 2)
    opt = optim.SGD(net.parameters(), lr=0.1)
    scaler = train.GradScaler(init_scale=8.0, growth_interval=2)

    def forward(x):
        loss = (net(x) ** 2).mean()
        opt.zero_grad()
        scaler.scale(loss).backward()
        return loss

    def end():
        scaler.unscale_(opt)
        scaler.step(opt)
        scaler.update()

    return way(forward, end), scaler


def apart(forward, end):
    compiled = ad.compile(forward)
    return lambda x: (compiled(x), end())[0]


def whole(forward, end):
    return ad.compile(lambda x: (forward(x), end())[0])


@pytest.mark.parametrize("way", [apart, whole])
def test_a_scale_of_the_loss_that_grows(way):
    eager, first = scaled(lambda forward, end: lambda x: (forward(x), end())[0])
    compiled, second = scaled(way)
    for i in range(7):
        x = ad.ones(3, 4) * i
        assert compiled(x).item() == pytest.approx(eager(x).item(), rel=1e-5)
        assert first.get_scale() == second.get_scale()


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
