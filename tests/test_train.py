"""Training: the same numbers however it is interrupted, and nothing silent when it goes wrong."""

import csv
import io
import math
import os
import signal
import sys
import threading
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

import adjoint as ad
from adjoint import data, metrics, nn, optim, train
from adjoint.compiler.binding import MISS
from adjoint.errors import ArgumentError, ArgumentTypeError, DimError
from adjoint.train import saving
from adjoint.train.amp import precision_of
from adjoint.train.progress import display_for, in_notebook


def problem(n=24, seed=0):
    """Two classes that a line almost tells apart."""
    g = ad.Generator().manual_seed(seed)
    x = ad.rand(n, 3, generator=g)
    return x, (x.sum(1) > 1.5).long()


def network(seed=0):
    """A network with buffers and random numbers of its own."""
    ad.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(3, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Dropout(0.3), nn.Linear(5, 2)
    )


def fit(model=None, batches=None, **options):
    """A run of a few epochs in silence."""
    options = {"lr": 0.05, "epochs": 3, "progress": None, **options}
    model = network() if model is None else model
    batches = problem() if batches is None else batches
    optimizer = options.pop("optimizer", optim.Adam)
    loss = options.pop("loss", nn.CrossEntropyLoss())
    return train.fit(model, batches, loss, optimizer, **options)


def weights(model):
    return {k: v.numpy().copy() for k, v in model.state_dict().items()}


def same(a, b):
    assert a.keys() == b.keys()
    for k in a:
        np.testing.assert_array_equal(a[k], b[k], err_msg=k)


def without_times(history):
    return [{k: v for k, v in r.items() if k != "seconds"} for r in history.rows]


# ---------------------------------------------------------------- what it computes


def test_it_trains_as_a_loop_written_by_hand():
    x, t = problem()
    batches = [(x[i : i + 8], t[i : i + 8]) for i in (0, 8, 16)]
    a, b = network(), network()
    fit(a, batches)
    ad.manual_seed(0)
    network()
    opt = optim.Adam(b.parameters(), lr=0.05)
    for _ in range(3):
        for x, t in batches:
            opt.zero_grad()
            nn.functional.cross_entropy(b(x), t).backward()
            opt.step()
    same(weights(a), weights(b))


def test_the_row_has_means_metrics_validation_and_rate():
    x, t = problem(20)
    model = network()
    history = fit(
        model, (x, t), metrics=["accuracy", "f1"], validation=(x, t), batch_size=8
    )
    assert history.columns == [
        "epoch", "loss", "accuracy", "f1", "val_loss", "val_accuracy", "val_f1", "lr",
        "seconds",
    ]  # fmt: skip
    found = train.evaluate(model, (x, t), nn.CrossEntropyLoss(), ["accuracy", "f1"])
    assert history.last["val_loss"] == pytest.approx(found["loss"])
    assert history.last["val_accuracy"] == found["accuracy"]
    model.eval()
    y = model(x)
    want = nn.functional.cross_entropy(y, t).item()
    assert found["loss"] == pytest.approx(want, rel=1e-6)
    assert found["accuracy"] == (y.argmax(1) == t).double().mean().item()
    assert len(history.steps) == 9
    first = np.array(history.steps[:3])
    assert history["loss"][0] == pytest.approx((first * [8, 8, 4]).sum() / 20)


def test_metrics_that_are_tables_stay_out_of_the_table():
    x, t = problem()
    measured = {"which": metrics.ConfusionMatrix(2), "half": metrics.Accuracy(0.5)}
    history = fit(network(), (x, t), metrics=measured, validation=(x, t))
    assert history.columns[1:5] == ["loss", "half", "val_loss", "val_half"]
    found = train.evaluate(network(), (x, t), metrics=measured)
    assert found["which"].sum() == len(t)
    with pytest.raises(ValueError, match="two columns would be named 'accuracy'"):
        fit(metrics=["accuracy", metrics.Accuracy(0.2)])


def test_models_may_return_their_loss_and_batches_be_single_tensors():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(ad.zeros(1))

        def forward(self, x, t):
            return ((x * self.w - t) ** 2).mean()

    model = Own()
    x = ad.ones(4)
    history = train.fit(model, [(x, 2 * x)], None, optim.SGD, 50, lr=0.2, progress=None)
    assert model.w.item() == pytest.approx(2, abs=1e-3)
    assert history["loss"][-1] < 1e-6
    mirror = nn.Linear(2, 2)
    fit(mirror, [ad.eye(2)], loss=nn.MSELoss(), epochs=300)
    np.testing.assert_allclose(mirror(ad.eye(2)).detach().numpy(), np.eye(2), atol=1e-3)


def test_any_step_function():
    w = ad.zeros(1, requires_grad=True)
    opt = optim.SGD([w], lr=0.1)

    def step(x, t):
        opt.zero_grad()
        loss = ((w * x - t) ** 2).mean()
        loss.backward()
        opt.step()
        return {"loss": loss, "w": w.item()}

    history = train.fit(
        step=step, data=[(ad.ones(2), 3 * ad.ones(2))] * 4, epochs=5, progress=None,
        validation=[(ad.ones(1), 3 * ad.ones(1))],
        validation_step=lambda x, t: ((w * x - t) ** 2).mean(),
    )  # fmt: skip
    assert history.columns[:4] == ["epoch", "loss", "w", "val_loss"]
    assert history["val_loss"][-1] < history["val_loss"][0] < 9
    assert len(history.steps) == 20
    kinds = [ad.ones(2), {"x": ad.ones(2)}]
    seen = []
    train.fit(step=lambda x: seen.append(x.shape), data=kinds, progress=None)
    assert seen == [(2,), (2,)]


def test_accumulated_gradients_are_those_of_the_whole():
    x, t = problem(12)
    ends = []
    for size, accumulate in ((12, 1), (4, 3), (2, 6), (4, 100)):
        model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
        ad.manual_seed(3)
        with ad.no_grad():
            for p in model.parameters():
                p.copy_(ad.rand(*p.shape))
        batches = [
            (x[i : i + size].double(), t[i : i + size]) for i in range(0, 12, size)
        ]
        fit(model, batches, accumulate=accumulate, optimizer=optim.SGD)
        ends.append(weights(model))
    for other in ends[1:]:
        for k in other:
            np.testing.assert_allclose(other[k], ends[0][k], rtol=1e-12)


def test_clipping_bounds_the_step():
    def moved(**options):
        model = nn.Linear(3, 2)
        before = weights(model)
        fit(model, optimizer=optim.SGD, lr=1.0, epochs=1, batch_size=100, **options)
        after = weights(model)
        return np.concatenate([(after[k] - before[k]).ravel() for k in after])

    assert np.linalg.norm(moved(clip_norm=1e-3)) == pytest.approx(1e-3, rel=1e-2)
    assert np.abs(moved(clip_value=1e-4)).max() == pytest.approx(1e-4, rel=1e-2)
    assert np.linalg.norm(moved(clip_norm=1e6)) > 1e-2


def test_schedulers_are_stepped_by_epoch_by_update_and_by_value():
    class Halving:
        """As a scheduler: step, state_dict, load_state_dict."""

        def __init__(self, opt):
            self.opt = opt

        def step(self):
            self.opt.param_groups[0]["lr"] /= 2

    class Plateau(Halving):
        seen = ()

        def step(self, metrics):
            self.seen = (*self.seen, metrics)

    for every, rates in (("epoch", [1, 0.5, 0.25]), ("step", [1 / 8, 1 / 64, 1 / 512])):
        model = network()
        opt = optim.SGD(model.parameters(), lr=1.0)
        schedule = train.Schedule(Halving(opt), every=every)
        history = fit(model, optimizer=opt, lr=None, scheduler=schedule, batch_size=8)
        assert history["lr"] == rates
    plateau = Plateau(opt)
    history = fit(
        model, optimizer=opt, lr=None, scheduler=plateau, validation=problem()
    )
    assert list(plateau.seen) == history["val_loss"]
    plateau = Plateau(opt)
    history = fit(model, optimizer=opt, lr=None, scheduler=plateau)
    assert list(plateau.seen) == history["loss"]


def test_a_compiled_step_is_the_same_step_and_its_compiling_is_told_apart(tmp_path):
    batches = [tuple(v[i : i + 8] for v in problem()) for i in (0, 8, 16)]
    options = {"metrics": ["accuracy"], "validation": problem(), "clip_norm": 0.5}
    options["optimizer"] = (
        optim.SGD
    )  # Adam makes steps of what rounding leaves of zeros
    plain, model = fit(network(), batches, **options), network()
    history = fit(model, batches, compile=True, checkpoint=tmp_path, **options)
    np.testing.assert_allclose(history.steps, plain.steps, rtol=1e-5)
    for name in ("val_loss", "val_accuracy", "accuracy"):
        assert history[name] == pytest.approx(plain[name], rel=1e-5)
    assert history.build_seconds > 0
    assert "compiled in" in str(history)
    longer = {"compile": True, "epochs": 4}
    whole = fit(network(), batches, **longer, **options)
    rest = fit(
        network(3), batches, checkpoint=tmp_path, resume=True, **longer, **options
    )
    assert rest.steps == whole.steps


COMPILED = {
    "accumulated": {"accumulate": 2},
    "a shorter rest": {"accumulate": 2, "batch_size": 5, "clip_norm": 0.1},
    "float16": {"precision": "float16"},
    "float16 accumulated": {"precision": "float16", "accumulate": 2, "clip_value": 0.1},
    "bfloat16": {"precision": "bfloat16"},
    "unchecked": {"check_finite": False, "precision": "float16"},
}


@pytest.mark.parametrize("name", COMPILED)
def test_all_of_a_step_compiles_and_goes_on(name, tmp_path):
    options = {"optimizer": optim.SGD, "batch_size": 8, **COMPILED[name]}
    plain = fit(network(), **options)
    options |= {"compile": True, "checkpoint": tmp_path}
    history = fit(network(), **options)
    np.testing.assert_allclose(history.steps, plain.steps, rtol=1e-3)
    assert history.build_seconds > 0
    options["epochs"] = 5
    rest = fit(network(3), resume=True, **options)
    whole = fit(network(), **{**options, "checkpoint": None})
    assert rest.steps == whole.steps


def test_a_compiled_scale_shrinks_where_gradients_overflow():
    outcomes = []
    for compile in (False, True):
        scaler = train.GradScaler(init_scale=2.0**40, growth_interval=3)
        model = network()
        options = {"scaler": scaler, "precision": "float16", "batch_size": 8}
        history = fit(model, compile=compile, epochs=9, optimizer=optim.SGD, **options)
        outcomes.append((history.steps, scaler.state_dict()))
    (steps, state), (compiled, compiled_state) = outcomes
    assert state == compiled_state
    assert state["scale"] < 2.0**30
    np.testing.assert_allclose(steps, compiled, rtol=1e-3)


@pytest.mark.parametrize("compile", [False, True])
@pytest.mark.parametrize("cause", ["data", "gradient"])
def test_what_is_not_finite_leaves_everything_as_it_was(compile, cause):
    x, t = problem()
    model = network()
    opt = optim.Adam(model.parameters(), lr=0.01)

    def loss(y, t):  # a label 9 makes an infinite slope
        steep = ((y - y.detach()).pow(2).sum() + (t < 9).all()).sqrt()
        return nn.functional.cross_entropy(y, t % 2) + steep

    kind = train.CompiledStep if compile else train.TrainStep
    step = kind(model, loss, opt, clip_norm=1.0)
    for _ in range(3):
        step((x, t))
    bad = x.clone(), t.clone()
    if cause == "data":
        bad[0][2, 1] = math.nan
    else:
        bad[1][0] = 9
    before, state = weights(model), train.saving.copied(opt.state_dict())
    words = {
        "data": "the loss is NaN: the data: tensor 0 of the batch has NaN in 1 of 72",
        "gradient": "the loss is finite, but the gradient of 0.weight has NaN in 15 of",
    }
    with pytest.raises(train.NotFiniteError, match=words[cause]):
        step(bad)
    after = weights(model)
    for name in before if cause == "data" else dict(model.named_parameters()):
        np.testing.assert_array_equal(before[name], after[name])
    assert str(state) == str(opt.state_dict())
    assert step((x, t)).values["loss"] < 2.5


def test_a_search_compiles_its_loss():
    x, t = problem(32)
    runs = []
    for compile in (False, True):
        ad.manual_seed(0)
        model = nn.Linear(3, 2).double()
        opt = optim.LBFGS(model.parameters(), line_search_fn="strong_wolfe")
        batches = [(x.double(), t)]
        runs.append(fit(model, batches, optimizer=opt, lr=None, compile=compile))
    assert runs[1].build_seconds > 0
    np.testing.assert_allclose(runs[0].steps[:2], runs[1].steps[:2], rtol=1e-9)
    assert runs[1].steps[2] < 0.3


@pytest.mark.parametrize("compile", [False, True])
def test_labels_out_of_range_are_named(compile):
    x, t = ad.randn(64, 4), ad.randint(0, 3, (64,))
    t[40:] = 3
    batches = [(x[i : i + 16], t[i : i + 16]) for i in range(0, 64, 16)]
    model, loss = nn.Linear(4, 3), nn.CrossEntropyLoss()
    with pytest.raises(DimError, match="target 3 is out of bounds"):
        train.fit(
            model, batches, loss, optim.SGD, progress=None, lr=0.1, compile=compile
        )


def test_options_of_compile_are_handed_to_the_programs(caplog):
    pytest.importorskip("llvmlite")
    x, t = ad.randn(72, 4), ad.randint(0, 3, (72,))
    model, loss = nn.Linear(4, 3), nn.CrossEntropyLoss()
    caplog.set_level("INFO", logger="adjoint.compiler")
    data, options = (x, t), {"progress": None, "lr": 0.1, "epochs": 2}
    for settings in (True, {"batch": True, "memory": "1MB"}):
        caplog.clear()
        train.fit(model, data, loss, optim.SGD, compile=settings, **options)
        told = " ".join(r.getMessage() for r in caplog.records)
        assert ("one program for sizes up to" in told) is (settings is not True)
    with pytest.raises(ArgumentError, match="but step takes at least"):
        train.fit(model, data, loss, optim.SGD, compile={"memory": 1000}, **options)
    with pytest.raises(
        ArgumentTypeError, match="compile must be True, False or a dict"
    ):
        train.fit(model, data, loss, optim.SGD, compile="nan", **options)
    with pytest.raises(TypeError, match="speed"):
        train.fit(model, data, loss, optim.SGD, compile={"speed": 2}, **options)
    with pytest.raises(ArgumentError, match="not for a step of your own"):
        train.fit(step=loss, data=data, compile=True, progress=None)


def test_compiled_step_functions_tell_their_time_too():
    w = ad.zeros(1, requires_grad=True)
    opt = optim.SGD([w], lr=0.1)

    @ad.compile
    def step(x):
        opt.zero_grad()
        loss = ((w - x) ** 2).sum()
        loss.backward()
        opt.step()
        return loss

    history = train.fit(step=step, data=[ad.ones(1)] * 50, progress=None)
    assert w.item() == pytest.approx(1.0, abs=1e-3)
    assert history.build_seconds > 0
    assert history.seconds < 10


def test_an_optimizer_that_searches():
    x, t = problem(32)
    model = nn.Linear(3, 2).double()
    opt = optim.LBFGS(model.parameters(), line_search_fn="strong_wolfe")
    history = fit(
        model, [(x.double(), t)], optimizer=opt, lr=None, metrics=["accuracy"]
    )
    assert len(history.steps) == 3
    assert history["loss"][-1] < 0.3 < history["loss"][0]
    assert history["accuracy"][-1] > 0.9
    with pytest.raises(ValueError, match="LBFGS takes whole batches"):
        fit(model, optimizer=optim.LBFGS, accumulate=2)


# ---------------------------------------------------------------- mixed precision


@pytest.mark.parametrize("precision", ["float16", "bfloat16", ad.float16, ad.bfloat16])
def test_half_precision_learns_with_master_weights(precision):
    x, t = problem(64)
    model = network()
    history = fit(model, (x, t), precision=precision, epochs=12, metrics=["accuracy"])
    assert history["loss"][-1] < history["loss"][0]
    assert all(p.dtype is ad.float32 for p in model.parameters())
    seen = []
    model[0].register_forward_hook(
        lambda m, args, y: seen.append((m.weight.dtype, y.dtype))
    )
    fit(model, (x, t), precision=precision, epochs=1)
    half = precision_of(precision)
    assert set(seen) == {(getattr(ad, half), getattr(ad, half))}


def test_tiny_gradients_survive_by_scaling():
    def moved(**options):
        model = nn.Linear(1, 1, bias=False)
        with ad.no_grad():
            model.weight.fill_(1.0)
        # d loss/d y is 1e-8: zero as float16, unless the loss is scaled
        fit(
            model, [(ad.ones(1, 1), ad.ones(1, 1))], loss=lambda y, t: (y * 1e-8).sum(),
            optimizer=optim.SGD, lr=1e6, epochs=1, precision="float16", **options,
        )  # fmt: skip
        return 1 - model.weight.item()

    assert moved(scaler=train.GradScaler(enabled=False)) == 0
    assert moved() == pytest.approx(0.01, rel=1e-2)


def test_overflow_leaves_the_step_out_and_shrinks_the_scale():
    scaler = train.GradScaler(init_scale=2.0**20, growth_interval=2)
    w = ad.tensor([1.0], requires_grad=True)
    opt = optim.SGD([w], lr=0.5)
    scaler.scale((w.half() * 1000).sum().float()).backward()
    scaler.step(opt)
    assert scaler.overflowed(opt)
    scaler.update()
    assert w.item() == 1.0
    assert scaler.get_scale() == 2.0**19
    for _ in range(2):
        opt.zero_grad()
        scaler.scale((w * w).sum()).backward()
        scaler.step(opt)
        scaler.update()
    assert scaler.get_scale() == 2.0**20
    assert w.item() == 0.0


def test_scaler_as_torch():
    torch = pytest.importorskip("torch")
    ours, theirs = train.GradScaler(), torch.amp.GradScaler("cpu")
    assert ours.state_dict() == theirs.state_dict()
    ours = train.GradScaler(init_scale=4.0, growth_interval=2)
    theirs = torch.amp.GradScaler("cpu", init_scale=4.0, growth_interval=2)
    for value in (1.0, 2.0, math.inf, 1.0, 1.0, math.nan, 1.0):
        scales, ends = [], []
        for lib, scaler, sgd in (
            (ad, ours, optim.SGD),
            (torch, theirs, torch.optim.SGD),
        ):
            w = lib.ones(2, requires_grad=True)
            opt = sgd([w], lr=0.1)
            scaler.scale((w * lib.tensor([1.0, value])).sum()).backward()
            scaler.unscale_(opt)
            scaler.step(opt)
            scaler.update()
            scales.append(scaler.get_scale())
            ends.append(w.detach().numpy().tolist())
        assert scales[0] == scales[1]
        assert ends[0] == ends[1]
    assert ours.state_dict() == theirs.state_dict()


def test_scaler_refuses_a_wrong_order():
    scaler, w = train.GradScaler(), ad.ones(1, requires_grad=True)
    opt = optim.SGD([w], lr=0.1)
    with pytest.raises(RuntimeError, match="No inf checks were recorded"):
        scaler.update()
    scaler.unscale_(opt)
    with pytest.raises(RuntimeError, match=r"unscale_\(\) has already been called"):
        scaler.unscale_(opt)
    scaler.step(opt)
    with pytest.raises(RuntimeError, match="being called after step"):
        scaler.unscale_(opt)
    with pytest.raises(RuntimeError, match="has already been called since"):
        scaler.step(opt)
    with pytest.raises(TypeError, match="must be a Tensor"):
        scaler.scale(3.0)
    with pytest.raises(ValueError, match="growth factor"):
        train.GradScaler(growth_factor=1.0)
    with pytest.raises(ValueError, match="backoff factor"):
        train.GradScaler(backoff_factor=1.0)
    with pytest.raises(ValueError, match="source state dict is empty"):
        scaler.load_state_dict({})
    with pytest.raises(ValueError, match="precision must be"):
        fit(precision="float8")


# ---------------------------------------------------------------- interruption


class Interrupt(train.Callback):
    """Ends training after a number of steps, as Ctrl-C does."""

    def __init__(self, step):
        self.at = step

    def on_step_end(self, loop):
        if loop.step == self.at:
            loop.interrupt()


class Batches:
    """Data without a state, in an order that the generator decides."""

    def __init__(self, x, t, size=4):
        self.x, self.t, self.size = x, t, size

    def __iter__(self):
        order = ad.randperm(len(self.x))
        for i in range(0, len(self.x), self.size):
            part = order[i : i + self.size]
            yield self.x[part], self.t[part]


def run(folder, source, stop_at=None, resume=False, seed=1, precision=None):
    """A training that depends on everything that can be forgotten."""
    x, t = problem(16)
    model = network(seed)
    ad.manual_seed(seed + 10)
    opt = optim.Adam(model.parameters(), lr=0.05)
    loader = {
        "loader": lambda: data.DataLoader(data.TensorDataset(x, t), 4, shuffle=True),
        "own": lambda: Batches(x, t),
        "list": lambda: [(x[i : i + 4], t[i : i + 4]) for i in range(0, 16, 4)],
    }[source]()
    stopping = train.EarlyStopping("val_loss", patience=2)
    history = train.fit(
        model, loader, nn.CrossEntropyLoss(), opt, 3, progress=None,
        metrics=["accuracy", metrics.F1(2), lambda y, t: y.amax()],
        validation=(x, t), accumulate=3, clip_norm=1.0, precision=precision,
        callbacks=[stopping, *([Interrupt(stop_at)] if stop_at else [])],
        checkpoint=train.Checkpoint(folder, monitor="val_loss"), resume=resume,
    )  # fmt: skip
    return model, opt, history


def test_schedulers_and_workers_go_on_too(tmp_path):
    x, t = problem(16)

    def start(folder, seed=0, stop_at=None, resume=False, every="epoch", plateau=False):
        model = network(seed)
        ad.manual_seed(seed + 1)
        opt = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        rate = optim.lr_scheduler.OneCycleLR(opt, 0.2, total_steps=12)
        if plateau:
            rate = optim.lr_scheduler.ReduceLROnPlateau(opt, patience=0, threshold=0.5)
        rows = data.TensorDataset(x, t)
        loader = data.DataLoader(rows, 4, shuffle=True, num_workers=2 if seed else 0)
        history = fit(
            model, loader, optimizer=opt, lr=None, resume=resume, checkpoint=folder,
            scheduler=train.Schedule(rate, every=every),
            callbacks=[Interrupt(stop_at)] if stop_at else [],
        )  # fmt: skip
        return weights(model), without_times(history)

    for i, options in enumerate(({"every": "step"}, {"plateau": True})):
        whole = start(tmp_path / f"whole{i}", **options)
        for k in (1, 4, 6):
            folder = tmp_path / f"{i}-{k}"
            start(folder, stop_at=k, **options)
            rest = start(folder, seed=5 if k == 6 else 0, resume=True, **options)
            same(rest[0], whole[0])
            assert rest[1] == whole[1]


@pytest.mark.parametrize("source", ["loader", "own", "list"])
@pytest.mark.parametrize("precision", [None, "float16"])
def test_interrupted_after_any_step_it_goes_on_bit_for_bit(tmp_path, source, precision):
    model, opt, history = run(tmp_path / "whole", source, precision=precision)
    steps = len(history.steps)
    assert steps == 12
    after = ad.rand(3).tolist()
    for k in range(1, steps):
        folder = tmp_path / str(k)
        _, _, part = run(folder, source, stop_at=k, precision=precision)
        assert part.interrupted
        assert part.steps == history.steps[:k]
        again, opt2, rest = run(
            folder, source, resume=True, seed=7, precision=precision
        )
        same(weights(again), weights(model))
        assert rest.steps == history.steps
        assert without_times(rest) == without_times(history)
        assert ad.rand(3).tolist() == after, "random numbers go on where they were"
        for a, b in zip(opt.state.values(), opt2.state.values(), strict=True):
            same(
                {n: np.asarray(v) for n, v in a.items()},
                {n: np.asarray(v) for n, v in b.items()},
            )


def test_interrupted_twice_and_in_every_step(tmp_path):
    model, _, history = run(tmp_path / "whole", "loader")
    for k in range(1, 12):
        again, _, rest = run(
            tmp_path / "parts", "loader", stop_at=k, resume=k > 1, seed=k
        )
    again, _, rest = run(tmp_path / "parts", "loader", resume=True, seed=99)
    same(weights(again), weights(model))
    assert rest.steps == history.steps


def test_python_and_numpy_random_numbers_go_on_too():
    import random

    state = saving.random_state()
    first = random.random(), np.random.rand(), np.random.randn(), ad.rand(1).item()
    saving.set_random_state(state)
    assert first == (
        random.random(),
        np.random.rand(),
        np.random.randn(),
        ad.rand(1).item(),
    )


def test_resume_starts_fresh_where_nothing_is_and_says_what_is_missing(tmp_path):
    _, _, history = run(tmp_path / "new", "list", resume=True)
    assert len(history) == 3
    with pytest.raises(ValueError, match="there is no checkpoint"):
        fit(resume=tmp_path / "nothing.ckpt")
    with pytest.raises(ValueError, match="needs checkpoint=folder"):
        fit(resume=True)
    saving.write({"a": ad.ones(1)}, tmp_path / "other.ckpt")
    with pytest.raises(ValueError, match="is no checkpoint of a training"):
        fit(resume=tmp_path / "other.ckpt")


def test_a_checkpoint_of_something_else_is_refused(tmp_path):
    fit(checkpoint=tmp_path)
    more = {"checkpoint": tmp_path, "resume": True, "epochs": 4}
    with pytest.raises(ValueError, match="training with Adam, not with SGD"):
        fit(optimizer=optim.SGD, **more)
    with pytest.raises(ValueError, match="Missing key"):
        fit(nn.Linear(3, 2), **more)
    with pytest.raises(ValueError, match="batch_size 32 there and 5 here"):
        fit(batch_size=5, **more)
    (tmp_path / "last.ckpt").write_bytes(b"garbage")
    with pytest.raises(ValueError, match="not a safetensors file"):
        fit(**more)


def test_a_finished_run_has_nothing_to_do_and_more_epochs_go_on(tmp_path):
    x = problem(16)
    whole = fit(network(), x, epochs=4)
    fit(network(), x, epochs=2, checkpoint=tmp_path)
    again = fit(network(5), x, epochs=2, checkpoint=tmp_path, resume=True)
    assert len(again) == 2
    rest = fit(network(5), x, epochs=4, checkpoint=tmp_path, resume=True)
    assert rest.steps == whole.steps


def test_ctrl_c_finishes_the_step_and_says_where(tmp_path):
    class Press(train.Callback):
        def on_step_end(self, loop):
            if loop.step == 4:
                os.kill(os.getpid(), signal.SIGINT)
                for _ in range(1000):
                    if loop.interrupted:
                        break

    before = signal.getsignal(signal.SIGINT)
    history = fit(batch_size=8, callbacks=[Press()])
    assert history.stopped == (
        "interrupted in epoch 2, after step 1; the model keeps what it learned"
    )
    assert len(history.steps) == 4
    assert signal.getsignal(signal.SIGINT) is before
    history = fit(batch_size=8, callbacks=[Press()], checkpoint=tmp_path)
    assert "saved to" in history.stopped
    assert history.checkpoint == tmp_path / "last.ckpt"
    rest = fit(batch_size=8, checkpoint=tmp_path, resume=True)
    assert len(rest.steps) == 9
    assert not rest.interrupted


def test_a_second_ctrl_c_ends_at_once():
    class Press(train.Callback):
        def on_step_end(self, loop):
            for _ in range(2):
                os.kill(os.getpid(), signal.SIGINT)
                for _ in range(1000):
                    pass

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        fit(callbacks=[Press()])
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("raises", [True, False])
def test_who_listens_for_ctrl_c_is_told_after_fit(raises, tmp_path):
    """By a handler of his own: training has ended and is saved by then."""
    saved = []

    def told(number, frame):
        saved.append((number, (tmp_path / "last.ckpt").exists()))
        if raises:
            raise KeyboardInterrupt

    class Press(train.Callback):
        def on_step_end(self, loop):
            if loop.step == 4:
                os.kill(os.getpid(), signal.SIGINT)

    def run():
        return fit(batch_size=8, callbacks=[Press()], checkpoint=tmp_path)

    before = signal.signal(signal.SIGINT, told)
    try:
        if raises:
            with pytest.raises(KeyboardInterrupt):
                run()
        else:
            assert run().interrupted
        assert signal.getsignal(signal.SIGINT) is told
    finally:
        signal.signal(signal.SIGINT, before)
    assert saved == [(signal.SIGINT, True)]


def test_other_threads_train_without_signals():
    found = []
    thread = threading.Thread(target=lambda: found.append(fit(epochs=1)))
    thread.start()
    thread.join()
    assert len(found[0]) == 1


# ---------------------------------------------------------------- callbacks


def test_early_stopping_restores_the_best_weights():
    values = iter([3.0, 1.0, 2.0, 2.5, 0.0])
    seen = []

    def measure(loop, row):
        row["score"] = next(values)
        seen.append(weights(loop.model))

    model = network()
    stopping = train.EarlyStopping("score", patience=2, mode="min")
    history = fit(model, epochs=9, callbacks=[measure, stopping])
    assert len(history) == 4
    assert "restored epoch 2" in history.stopped
    same(weights(model), seen[1])
    values = iter([1.0, 1.0, 1.5, 1.2, 1.1])
    stopping = train.EarlyStopping("score", patience=2, mode="max", restore_best=False)
    history = fit(model, epochs=9, callbacks=[measure, stopping])
    assert len(history) == 5
    same(weights(model), seen[-1])


def test_a_metric_says_its_direction(tmp_path):
    keep = train.Checkpoint(tmp_path, monitor="val_accuracy")
    model = network()
    history = fit(
        model, epochs=6, metrics=["accuracy"], validation=problem(), callbacks=[keep]
    )
    best = history.best("val_accuracy")
    assert best["val_accuracy"] == max(history["val_accuracy"])
    state = saving.read(tmp_path / "best.ckpt")
    assert state["history"]["rows"][-1]["epoch"] == best["epoch"]
    other = network(9)
    other.load_state_dict(state["model"])
    found = train.evaluate(other, problem(), metrics=["accuracy"])
    assert found["accuracy"] == best["val_accuracy"]
    with pytest.raises(ValueError, match="larger or a smaller 'odd' is better"):
        fit(
            callbacks=[
                lambda loop, row: row.update(odd=1.0),
                train.EarlyStopping("odd"),
            ]
        )
    with pytest.raises(ValueError, match="no 'val_loss' to monitor without"):
        fit(callbacks=[train.EarlyStopping()])


def test_early_stopping_goes_on_from_a_checkpoint(tmp_path):
    def stopping():
        return train.EarlyStopping("loss", patience=2)

    options = {"lr": 0.0, "epochs": 9, "checkpoint": tmp_path, "optimizer": optim.SGD}
    options["loss"] = lambda y, t: (y * 0).sum()
    history = fit(callbacks=[stopping()], **options)
    assert len(history) == 3
    again = fit(callbacks=[stopping()], resume=True, **options)
    assert len(again) == 3
    assert again.stopped.startswith("stopped before epoch 4")


def test_checkpoints_every_so_many_steps(tmp_path):
    keep = train.Checkpoint(tmp_path, every_steps=2, every_epochs=100)
    places = []
    write = keep.save
    keep.save = lambda loop, path=None: (places.append(loop.step), write(loop, path))[1]
    fit(batch_size=8, callbacks=[keep])
    assert places == [2, 4, 6, 8, 9]


def test_callbacks_that_are_none_are_refused():
    for wrong in ([train.EarlyStopping], [3], 3, None):
        with pytest.raises(ad.errors.AdjointError, match="of Callback or a function"):
            fit(callbacks=wrong)
    for wrong in ([3], 3, None):
        with pytest.raises(
            ad.errors.AdjointError, match="a metric is a Metric, its na"
        ):
            fit(metrics=wrong)
    for wrong in (3, optim.lr_scheduler.StepLR):
        with pytest.raises(TypeError, match="is no scheduler"):
            train.Schedule(wrong)
    with pytest.raises(ValueError, match="every must be"):
        train.Schedule(SimpleNamespace(step=lambda: None), every="week")
    with pytest.raises(ValueError, match="patience must be"):
        train.EarlyStopping(patience=0)
    with pytest.raises(ValueError, match="mode must be"):
        train.EarlyStopping(mode="down")


# ---------------------------------------------------------------- what goes wrong


def test_nan_in_the_data_is_named_before_a_parameter_moves():
    x, t = problem(8)
    x[5, 1] = math.nan
    model = network()
    before = weights(model)
    with pytest.raises(ArithmeticError) as found:
        fit(model, [(x[:4], t[:4]), (x[4:], t[4:])])
    words = str(found.value)
    assert words.startswith(
        "epoch 1, step 2: the loss is NaN: the data: tensor 0 of the batch has NaN in 1 of 12 "
        "places, first at [1, 1]"
    )
    assert "the parameters are those before this step" in words
    assert not any(
        np.isnan(v).any() for k, v in weights(model).items() if "run" not in k
    )
    assert any((before[k] != v).any() for k, v in weights(model).items())


def test_the_layer_that_makes_infinity_is_named():
    class Explode(nn.Module):
        def forward(self, x):
            return (x + 1e38) * 10

    model = nn.Sequential(nn.Linear(3, 3), Explode(), nn.Linear(3, 2))
    with pytest.raises(
        train.NotFiniteError, match=r"the output of 1 \(Explode\) has Inf"
    ):
        fit(model)
    assert model[0]._hooks is None or not any(model[0]._hooks.values())


def test_a_bad_parameter_and_a_bad_loss_function_are_named():
    model = network()
    with ad.no_grad():
        model[4].bias[1] = math.inf
    with pytest.raises(
        train.NotFiniteError, match=r"the parameter 4\.bias has Inf in 1 of 2"
    ):
        fit(model)
    with pytest.raises(train.NotFiniteError, match="the loss function itself made it"):
        fit(loss=lambda y, t: (y * 0).sum().log())


def test_a_gradient_that_is_not_finite_is_named():
    def loss(y, t):  # 0 at 0 with an infinite slope
        return (y * 0).abs().sqrt().sum()

    model = nn.Linear(3, 2)
    before = weights(model)
    with pytest.raises(
        train.NotFiniteError, match="the loss is finite, but the gradient of"
    ):
        fit(model, loss=loss)
    same(weights(model), before)
    with pytest.raises(
        train.NotFiniteError, match=r"^epoch 1, step 3: the loss is finite"
    ):
        fit(model, loss=loss, accumulate=5, batch_size=8)
    fit(model, loss=loss, check_finite=False, epochs=1)
    assert np.isnan(weights(model)["weight"]).any()


def test_labels_out_of_range():
    x, t = problem()
    with pytest.raises(IndexError, match=r"(?i)target 7 is out of bounds"):
        fit(network(), (x, t + 7 - t))


def test_data_that_is_not_there():
    with pytest.raises(ValueError, match="the data gave no batches in epoch 1"):
        fit(network(), [])
    x, t = problem(4)
    with pytest.raises(ValueError, match=r"no batches in epoch 2.*\n.*\n.*used up"):
        fit(network(), iter([(x, t)]))
    with pytest.raises(ValueError, match="data is missing"):
        train.fit(network())
    with pytest.raises(TypeError, match="a single array is given as"):
        fit(network(), x)
    with pytest.raises(ValueError, match=r"different lengths: \[4, 3\]"):
        fit(network(), (x, t[:3]))


def test_arguments_that_make_no_sense():
    with pytest.raises(ValueError, match="epochs must be a positive integer"):
        fit(epochs=0)
    with pytest.raises(ValueError, match="accumulate must be a positive integer"):
        fit(accumulate=0)
    with pytest.raises(TypeError, match="model must be a Module, got function"):
        fit(lambda x: x)
    with pytest.raises(ValueError, match="optimizer is missing"):
        fit(optimizer=None)
    with pytest.raises(TypeError, match="'adam' is no optimizer"):
        fit(optimizer="adam")
    with pytest.raises(ValueError, match="clip_norm must be a positive number, got -1"):
        fit(clip_norm=-1.0)
    with pytest.raises(ValueError, match="nothing to measure"):
        train.evaluate(network(), problem())
    with pytest.raises(ValueError, match="lr goes with an optimizer's class"):
        model = network()
        fit(model, optimizer=optim.SGD(model.parameters()), lr=1.0)
    with pytest.raises(ValueError, match="give step or loss"):
        train.fit(step=print, loss=print, data=[1])
    with pytest.raises(ValueError, match="needs validation_step"):
        train.fit(step=lambda x: 1.0, data=[1], validation=[1], progress=None)
    with pytest.raises(ValueError, match="did you mean 'accuracy'"):
        fit(metrics=["acuracy"])
    with pytest.raises(ValueError, match="one number, got shape"):
        fit(loss=nn.CrossEntropyLoss(reduction="none"))
    with pytest.raises(ValueError, match="depends on no parameter"):
        fit(loss=lambda y, t: y.detach().sum())
    with pytest.raises(TypeError, match="what the step returns must be a Tensor"):
        train.fit(step=lambda x: "x", data=[1], progress=None)
    with pytest.raises(ValueError, match="progress must be"):
        fit(progress="loud")


# ---------------------------------------------------------------- trials


def test_a_dry_run_changes_nothing():
    model = network()
    opt = optim.Adam(model.parameters(), lr=0.1)
    fit(model, optimizer=opt, lr=None, epochs=1)
    before, state = weights(model), saving.copied(opt.state_dict())
    grads = [p.grad for p in model.parameters()]
    place = ad.default_generator.position()
    loader = data.DataLoader(data.TensorDataset(*problem()), 4, shuffle=True)
    history = fit(
        model, loader, optimizer=opt, lr=None, validation=problem(), dry_run=True
    )
    assert "a batch of 4; loss " in history.stopped
    assert "all got a gradient; val_loss " in history.stopped
    assert history.rows == history.steps == []
    same(weights(model), before)
    for i, s in opt.state_dict()["state"].items():
        same(
            {k: np.asarray(v) for k, v in s.items()},
            {k: np.asarray(v) for k, v in state["state"][i].items()},
        )
    assert [p.grad for p in model.parameters()] == grads
    assert ad.default_generator.position() == place
    assert model.training


def test_a_dry_run_tells_which_parameter_is_left_out():
    model = network()
    model.spare = nn.Parameter(ad.zeros(1))
    history = fit(model, dry_run=True, optimizer=optim.SGD)
    assert "no gradient reached spare" in history.stopped
    history = train.fit(step=lambda x: 1.0, data=[1], dry_run=True, progress=None)
    assert history.stopped == "dry run: a batch of 1; loss 1.0000; nothing was changed"


def test_one_batch_is_learned_by_heart_or_not():
    model = nn.Sequential(nn.Linear(3, 32), nn.Tanh(), nn.Linear(32, 2))
    history = fit(model, overfit_one_batch=True, epochs=30, batch_size=8)
    assert "the model can learn" in history.stopped
    history = fit(network(), overfit_one_batch=True, lr=0.0, optimizer=optim.SGD)
    assert "did not learn one batch by heart" in history.stopped


# ---------------------------------------------------------------- history


def a_history():
    return fit(metrics=["accuracy"], validation=problem())


def test_history_as_table_dict_csv_and_svg(tmp_path):
    history = a_history()
    rows = list(csv.DictReader(io.StringIO(history.to_csv(tmp_path / "h.csv"))))
    assert [float(r["loss"]) for r in rows] == history["loss"]
    assert (tmp_path / "h.csv").read_text() == history.to_csv()
    assert history.to_dict()["val_loss"] == history["val_loss"]
    assert str(history).count("\n") == 3
    assert "val_accuracy" in history
    assert history.best("val_loss")["val_loss"] == min(history["val_loss"])
    assert "polyline" in str(history.plot())
    assert "accuracy" in str(history.plot("accuracy", "val_accuracy", log=True))
    assert "<svg" in history._repr_html_() and "<table" in history._repr_html_()
    assert repr(history) == "<History of 3 epochs, 3 steps>"
    with pytest.raises(KeyError, match="there are epoch, loss"):
        history["speed"]
    with pytest.raises(ValueError, match="backend must be"):
        history.plot(backend="ascii")


def test_history_with_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ValueError, match="matplotlib is not installed"):
        a_history().plot(backend="matplotlib")
    drawn = []
    axes = SimpleNamespace(
        plot=lambda x, y, label: drawn.append((label, list(y))),
        set_xlabel=lambda x: None,
        set_yscale=lambda x: None,
        legend=lambda: None,
    )
    pyplot = ModuleType("matplotlib.pyplot")
    pyplot.subplots = lambda: ("figure", axes)
    monkeypatch.setitem(sys.modules, "matplotlib", ModuleType("matplotlib"))
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", pyplot)
    history = a_history()
    assert history.plot(backend="matplotlib") == "figure"
    assert drawn == [("loss", history["loss"]), ("val_loss", history["val_loss"])]


def test_predict_is_quiet_and_whole():
    model = network()
    y = train.predict(model, problem(10)[0], batch_size=3)
    assert y.shape == (10, 2)
    assert not y.requires_grad
    assert model.training
    model.eval()
    np.testing.assert_allclose(
        y.numpy(), model(problem(10)[0]).detach().numpy(), atol=1e-6
    )
    with pytest.raises(ValueError, match="no batches"):
        train.predict(model, [])


# ---------------------------------------------------------------- progress


class Clock:
    """A clock that tests wind."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class Written(io.StringIO):
    encoding = "utf-8"

    def __init__(self, terminal=False):
        super().__init__()
        self.terminal, self.writes = terminal, 0

    def isatty(self):
        return self.terminal

    def write(self, text):
        self.writes += 1
        return super().write(text)


def timed(display, clock, monkeypatch, step=0.001, epochs=1, steps=1000):
    """Train with steps that take a known time."""
    monkeypatch.setattr("adjoint.train.loop.perf_counter", clock)
    display.clock = clock

    def one(x):
        clock.now += step
        return 0.5

    return train.fit(
        step=one, data=[ad.ones(2)] * steps, epochs=epochs, progress=display
    )


def test_a_terminal_is_drawn_ten_times_a_second(monkeypatch):
    out, clock = Written(terminal=True), Clock()
    timed(train.Terminal(out), clock, monkeypatch)
    assert clock.now == pytest.approx(1.0)
    assert out.writes <= 11
    text = out.getvalue()
    assert "epoch 1/1  500/1000  loss 0.5000  1,000 steps/s" in text
    assert text.count("\r") == out.writes - 1
    assert (
        text.endswith("\r\x1b[K    1    0.5000    1.00 s\n")
        or "    1    0.5000" in text
    )


def test_many_short_epochs_are_all_in_the_table_and_drawn_together(monkeypatch):
    out, clock = Written(terminal=True), Clock()
    timed(train.Terminal(out), clock, monkeypatch, epochs=300, steps=1)
    assert out.writes <= 5
    lines = out.getvalue().replace("\r\x1b[K", "\n").splitlines()
    rows = [r for r in lines if r[:5].strip().isdigit() and "0.00 s" in r]
    assert len(rows) == 300


def test_a_file_gets_whole_lines(monkeypatch):
    out, clock = Written(), Clock()
    timed(train.Lines(out), clock, monkeypatch, step=0.1, epochs=2)
    text = out.getvalue()
    assert "\r" not in text and "\x1b" not in text
    lines = text.splitlines()
    assert lines[0] == "epoch 1/2  300/1000  loss 0.5000  10 steps/s  2:50 left"
    assert lines[3].split() == ["epoch", "loss", "seconds"]
    assert [r.split()[0] for r in lines if r[:5].strip().isdigit()] == ["1", "2"]


def test_a_step_that_is_not_due_writes_and_formats_nothing(monkeypatch):
    out, clock = Written(terminal=True), Clock()
    display = train.Terminal(out)
    display.clock = clock
    display.start(None)
    for _ in range(1000):
        display.step(None)  # would fail if it looked at the loop
    assert out.writes == 0


def test_compiling_counts_apart(monkeypatch):
    out, clock = Written(), Clock()
    monkeypatch.setattr("adjoint.train.loop.perf_counter", clock)

    class Step:
        build_seconds = 0.0

        def __call__(self, x):
            if not self.build_seconds:
                clock.now += 5.0
                self.build_seconds = 5.0
            clock.now += 1.0
            return 0.5

    display = train.Lines(out)
    display.clock = clock
    history = train.fit(step=Step(), data=[1] * 3, epochs=2, progress=display)
    assert history.build_seconds == 5.0
    assert history.seconds == pytest.approx(6.0)
    assert history["seconds"] == [3.0, 3.0]
    assert "compiled in 5.00 s" in out.getvalue()
    assert "compiled in 5.00 s, trained in 6.00 s" in str(history)


def test_a_narrow_terminal_and_one_without_unicode(monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    out, clock = Written(terminal=True), Clock()
    timed(train.Terminal(out), clock, monkeypatch)
    for line in out.getvalue().split("\r\x1b[K"):
        assert all(len(part) < 30 for part in line.split("\n"))
    out = Written(terminal=True)
    out.encoding = "ascii"
    timed(train.Terminal(out), Clock(), monkeypatch)
    out.getvalue().encode("ascii")


class Handle:
    def __init__(self):
        self.seen = []

    def __call__(self, shown, display_id):
        assert display_id
        self.seen.append(shown._repr_html_())
        return self

    def update(self, shown):
        self.seen.append(shown._repr_html_())


def test_a_notebook_shows_table_and_curve_and_keeps_them():
    handle = Handle()
    history = fit(validation=problem(), progress=train.Notebook(handle), epochs=4)
    last = handle.seen[-1]
    assert "<svg" in last
    assert last.count("<tr>") == 5
    assert f"{history['val_loss'][-1]:.4f}" in last
    assert "left" not in last
    assert len(handle.seen) <= 3


def test_which_display_is_chosen(monkeypatch):
    assert not in_notebook()
    monkeypatch.setattr(sys, "stdout", Written(terminal=False))
    assert type(display_for("auto")) is train.Lines
    monkeypatch.setattr(sys, "stdout", Written(terminal=True))
    monkeypatch.setenv("TERM", "xterm")
    assert type(display_for("auto")) is train.Terminal
    monkeypatch.setenv("TERM", "dumb")
    assert type(display_for(True)) is train.Lines
    assert type(display_for(None)) is train.Silent
    ipython = ModuleType("IPython")
    ipython.get_ipython = lambda: SimpleNamespace(kernel=1)
    ipython.display = SimpleNamespace(display=Handle())
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    assert type(display_for("auto")) is train.Notebook


def test_errors_leave_the_terminal_in_order(monkeypatch):
    out = Written(terminal=True)
    display = train.Terminal(out)
    display.every = 0.0

    def one(x):
        if len(out.getvalue()) > 100:
            raise OSError("disk")
        return 1.0

    with pytest.raises(OSError, match="disk"):
        train.fit(step=one, data=[1] * 1000, progress=display)
    assert out.getvalue().endswith("\r\x1b[K")


def test_where_checkpoints_go_and_come_from(tmp_path):
    whole = fit(network(), epochs=3)
    fit(network(), epochs=2, checkpoint=tmp_path / "run")
    rest = fit(network(3), epochs=3, resume=tmp_path / "run")
    assert rest.steps == whole.steps
    (tmp_path / "file").write_text("")
    for place in ("file", "file/run"):
        with pytest.raises(ValueError, match="checkpoints go into a folder"):
            fit(network(), checkpoint=tmp_path / place)


WRONG = {
    "a class for a model": (
        lambda: train.fit(nn.Linear, problem(), nn.MSELoss(), optim.SGD),
        "model is the class Linear",
    ),
    "a class for a loss": (
        lambda: fit(network(), loss=nn.CrossEntropyLoss),
        "loss is the class CrossEntropyLoss",
    ),
    "a name for a loss": (lambda: fit(loss="mse"), "loss must be a function, got"),
    "another's optimizer": (
        lambda: fit(lr=None, optimizer=optim.SGD(network().parameters())),
        "no parameter of the optimizer got a gradient",
    ),
    "another's scheduler": (
        lambda: fit(
            scheduler=optim.lr_scheduler.StepLR(optim.SGD(network().parameters()), 1)
        ),
        "the scheduler is that of another optimizer",
    ),
    "nothing to monitor": (
        lambda: fit(callbacks=train.EarlyStopping()),
        "no 'val_loss' to monitor without validation",
    ),
    "no rows": (lambda: fit(batches=problem(0)), "the data set is empty"),
    "a text for a bound": (lambda: fit(clip_norm="1"), "clip_norm must be a positive"),
    "a short name": (lambda: fit(metrics=["acc"]), "did you mean 'accuracy'"),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.filterwarnings("ignore:Detected call of")
def test_what_people_get_wrong_is_named(name):
    call, words = WRONG[name]
    with pytest.raises((TypeError, ValueError), match=words):
        call()


@pytest.mark.parametrize("compile", [False, True])
def test_batches_of_arrays_are_taken(compile):
    x, t = problem()
    batches = [(x.numpy().astype(np.float64), t.numpy())]
    history = fit(network(), batches, validation=batches, compile=compile)
    plain = fit(network(), [(x, t)])
    np.testing.assert_allclose(history.steps, plain.steps, rtol=1e-5)
    assert len(history["val_loss"]) == 3


def test_predictions_leave_targets_out():
    x, t = problem()
    model = network().eval()
    want = model(x).detach().numpy()
    pairs, Loader = data.TensorDataset(x, t), data.DataLoader
    inputs = data.TensorDataset(x)
    for given in (x.numpy(), pairs, Loader(pairs, 7), Loader(inputs)):
        np.testing.assert_allclose(train.predict(model, given), want, rtol=1e-5)


def test_targets_of_another_shape_are_warned_of():
    for name in ("mse", "l1", "smooth_l1", "huber", "log_cosh", "cauchy"):
        loss = getattr(nn.functional, f"{name}_loss")
        with pytest.warns(UserWarning, match=r"target size \(\(3,\)\).*\(\(3, 1\)\)"):
            loss(ad.zeros(3, 1), ad.ones(3))


def test_compiled_steps_take_the_quick_way():
    """Programs are called with tensors alone, whatever a batch is made of."""
    pytest.importorskip("llvmlite")
    x, t = problem()
    model = nn.Linear(3, 2)
    opt = optim.SGD(model.parameters(), lr=0.1)
    step = train.CompiledStep(model, nn.CrossEntropyLoss(), opt, accumulate=2)
    for _ in range(6):
        step([x, t])
    assert len(step.programs) == 2
    for program in step.programs.values():
        assert len(program.programs) == 1
        assert program.last(x, t) is not MISS
