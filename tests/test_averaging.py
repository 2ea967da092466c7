"""Averages of models: PyTorch's numbers, by hand, batch norms, the schedule to them."""

import copy
import itertools

import numpy as np
import pytest

import adjoint as ad
from adjoint import nn, optim
from adjoint.optim import swa_utils


@pytest.fixture
def torch():
    module = pytest.importorskip("torch")

    return module


def network(lib, dtype=np.float64):
    """A small model with parameters and buffers, the same in both libraries."""
    model = lib.nn.Sequential(
        lib.nn.Linear(3, 4), lib.nn.BatchNorm1d(4), lib.nn.ReLU(), lib.nn.Linear(4, 2)
    ).double()
    rng = np.random.default_rng(0)
    with lib.no_grad():
        for p in model.parameters():
            p.copy_(lib.tensor(rng.normal(size=tuple(p.shape))))
    return model


def averages(lib, utils, kind, use_buffers, states=5):
    """The numbers of an averaged model after some states of the model."""
    options = {
        "plain": {},
        "ema": {"avg_fn": utils.get_ema_avg_fn(0.8)},
        "swa": {"avg_fn": utils.get_swa_avg_fn()},
        "multi ema": {"multi_avg_fn": utils.get_ema_multi_avg_fn(0.8)},
        "multi swa": {"multi_avg_fn": utils.get_swa_multi_avg_fn()},
        "own": {"avg_fn": lambda mean, now, n: (mean + now) / 2},
    }[kind]
    model, rng = network(lib), np.random.default_rng(1)
    average = utils.AveragedModel(model, use_buffers=use_buffers, **options)
    for _ in range(states):
        with lib.no_grad():
            for p in itertools.chain(model.parameters(), model.buffers()):
                if p.is_floating_point():
                    p.copy_(lib.tensor(rng.random(size=tuple(p.shape))))
        average.update_parameters(model)
    average.eval()
    x = lib.tensor(np.random.default_rng(2).normal(size=(5, 3)))
    state = {k: v.numpy() for k, v in average.state_dict().items()}
    return average(x).detach().numpy(), state


@pytest.mark.parametrize(
    "kind", ["plain", "ema", "swa", "multi ema", "multi swa", "own"]
)
@pytest.mark.parametrize("use_buffers", [False, True])
def test_averages_as_torch(kind, use_buffers, torch):
    if use_buffers and kind in ("plain", "multi swa"):
        # PyTorch refuses to average the integer counts of batch norms with its own fn
        kind = "swa"
    want, their_state = averages(torch, torch.optim.swa_utils, kind, use_buffers)
    got, state = averages(ad, swa_utils, kind, use_buffers)
    # PyTorch's multi_swa has 1 / (n + 1) in float32
    np.testing.assert_allclose(got, want, rtol=1e-7)
    assert list(state) == list(their_state)
    for k, x in their_state.items():
        np.testing.assert_allclose(state[k], x, rtol=1e-7)


def test_average_by_hand():
    model = nn.Linear(1, 1, bias=False)
    mean = swa_utils.AveragedModel(model)
    fading = swa_utils.AveragedModel(model, avg_fn=swa_utils.get_ema_avg_fn(0.5))
    for value in (1.0, 3.0, 8.0):
        nn.init.constant_(model.weight, value)
        mean.update_parameters(model)
        fading.update_parameters(model)
    assert mean.module.weight.item() == 4.0
    assert fading.module.weight.item() == 0.5 * (0.5 * 1 + 0.5 * 3) + 0.5 * 8
    assert model.weight.item() == 8.0 and mean.n_averaged.item() == 3
    assert mean.module.weight.requires_grad
    again = copy.deepcopy(mean)
    again.update_parameters(model)
    assert again.module.weight.item() == 5.0 and mean.module.weight.item() == 4.0


def test_update_bn_as_torch(torch):
    rng = np.random.default_rng(0)
    batches = [rng.normal(size=(4, 3)) for _ in range(5)]
    out = []
    for lib, utils in ((torch, torch.optim.swa_utils), (ad, swa_utils)):
        model = network(lib).eval()
        utils.update_bn([(lib.tensor(x), None) for x in batches], model)
        assert not model.training and model[1].momentum == 0.1
        out.append(model[1])
    np.testing.assert_allclose(out[1].running_mean.numpy(), out[0].running_mean.numpy())
    np.testing.assert_allclose(out[1].running_var.numpy(), out[0].running_var.numpy())
    assert out[1].num_batches_tracked.item() == 5


def test_update_bn_leaves_others_alone_and_survives_errors():
    plain = nn.Linear(2, 2)
    swa_utils.update_bn(iter([]), plain)
    model = nn.Sequential(nn.BatchNorm1d(2)).eval()
    with pytest.raises(ValueError, match="BatchNorm1d"):
        swa_utils.update_bn([ad.ones(1, 2, 3, 4)], model)
    assert model[0].momentum == 0.1 and not model.training


@pytest.mark.parametrize("strategy", ["cos", "linear"])
@pytest.mark.parametrize("epochs", [0, 1, 7])
def test_swalr_as_torch(strategy, epochs, torch):
    rows = []
    for lib, utils, s in (
        (torch, torch.optim.swa_utils, torch.optim.lr_scheduler),
        (ad, swa_utils, optim.lr_scheduler),
    ):
        groups = [{"params": [lib.ones(1)]}, {"params": [lib.ones(1)], "lr": 0.3}]
        opt = lib.optim.SGD(groups, lr=1.0)
        before = s.ExponentialLR(opt, 0.9)
        scheduler = utils.SWALR(opt, [0.05, 0.5], epochs, strategy)
        out = []
        for i in range(200):
            opt.step()
            (before if i < 5 else scheduler).step()
            if i == 8:
                state = copy.deepcopy(scheduler.state_dict())
                scheduler = utils.SWALR(opt, [0.05, 0.5], 99)
                scheduler.load_state_dict(state)
            out.append([o["lr"] for o in opt.param_groups])
        rows.append((out, set(scheduler.state_dict())))
    np.testing.assert_allclose(rows[1][0], rows[0][0], rtol=1e-9)
    assert rows[1][1] == rows[0][1]


def test_an_average_is_better_than_the_last_state():
    """Noisy descent dances around the minimum, its average is close to it."""
    rng = np.random.default_rng(0)
    model = nn.Linear(4, 1, bias=False)
    goal = ad.tensor([[1.0, -2.0, 3.0, 0.5]])
    average = swa_utils.AveragedModel(model)
    opt = optim.SGD(model.parameters(), lr=0.2)
    last = []
    for i in range(600):
        noise = ad.tensor(rng.normal(size=(1, 4)).astype("f"))
        opt.zero_grad()
        (0.5 * (model.weight - goal - noise) ** 2).sum().backward()
        opt.step()
        if i >= 100:
            average.update_parameters(model)
            last.append((model.weight - goal).abs().mean().item())
    distance = (average.module.weight - goal).abs().mean().item()
    assert distance < 0.25 * np.mean(last)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: swa_utils.get_ema_avg_fn(1.5), "Invalid decay value 1.5"),
        (lambda: swa_utils.get_ema_multi_avg_fn(-1), "Invalid decay value -1"),
        (
            lambda: swa_utils.AveragedModel(nn.ReLU(), avg_fn=max, multi_avg_fn=max),
            "Only one of avg_fn",
        ),
        (
            lambda: swa_utils.SWALR(optim.SGD([ad.ones(1)]), 0.1, anneal_strategy="x"),
            "instead got x",
        ),
        (lambda: swa_utils.SWALR(optim.SGD([ad.ones(1)]), 0.1, -1), "got -1"),
        (lambda: swa_utils.SWALR(optim.SGD([ad.ones(1)]), [1, 2]), "same length"),
    ],
)
def test_bad_arguments_are_refused(make, text):
    with pytest.raises(ValueError, match=text):
        make()
