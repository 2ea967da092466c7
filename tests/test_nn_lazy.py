"""Lazy layers: shapeless, then at the first call the ordinary layer, as in PyTorch."""

import copy
import pickle

import numpy as np
import pytest

import adjoint as ad
from adjoint import nn

# name, arguments, the shape of an input, the ordinary layer's arguments
CASES = [
    ("Linear", (4,), (5, 3), (3, 4)),
    ("Linear", (4, False), (3,), (3, 4, False)),
    ("Conv1d", (4, 2), (2, 3, 5), (3, 4, 2)),
    ("Conv1d", (4, 2), (3, 5), (3, 4, 2)),
    ("Conv2d", (4, 2, 2, 1), (2, 3, 5, 5), (3, 4, 2, 2, 1)),
    ("Conv3d", (4, 2), (2, 3, 4, 4, 4), (3, 4, 2)),
    ("ConvTranspose1d", (4, 2), (2, 3, 5), (3, 4, 2)),
    ("ConvTranspose2d", (4, 2), (3, 5, 5), (3, 4, 2)),
    ("ConvTranspose3d", (4, 2), (2, 3, 4, 4, 4), (3, 4, 2)),
    ("BatchNorm1d", (), (5, 3), (3,)),
    ("BatchNorm1d", (1e-3, 0.2, False), (5, 3, 2), (3, 1e-3, 0.2, False)),
    ("BatchNorm2d", (), (5, 3, 2, 2), (3,)),
    ("BatchNorm3d", (), (2, 3, 2, 2, 2), (3,)),
    ("InstanceNorm1d", (), (2, 3, 4), (3, 1e-5, 0.1, True, True)),
    ("InstanceNorm2d", (), (2, 3, 4, 4), (3, 1e-5, 0.1, True, True)),
    ("InstanceNorm3d", (), (2, 3, 2, 2, 2), (3, 1e-5, 0.1, True, True)),
]
IDS = [f"{c[0]}{c[1]}" for c in CASES]


def build(lib, name, args, shape, dtype=None):
    layer = getattr(lib.nn, f"Lazy{name}")(*args)
    rng = np.random.default_rng(0)
    return layer, lib.tensor(rng.normal(size=shape).astype("float32"))


@pytest.mark.parametrize(("name", "args", "shape", "whole"), CASES, ids=IDS)
def test_becomes_the_ordinary_layer(name, args, shape, whole):
    layer, x = build(ad, name, args, shape)
    ordinary = getattr(nn, name)(*whole)
    assert isinstance(layer, type(ordinary))
    assert list(layer.state_dict()) == list(ordinary.state_dict())
    ad.manual_seed(1)
    y = layer(x)
    assert type(layer) is type(ordinary)
    assert repr(layer) == repr(ordinary)
    shapes = [tuple(v.shape) for v in layer.state_dict().values()]
    assert shapes == [tuple(v.shape) for v in ordinary.state_dict().values()]
    assert y.shape == ordinary(x).shape
    if layer.weight is not None:
        y.sum().backward()
    assert all(p.grad is not None for p in layer.parameters())
    names = [n for n, _ in layer.named_parameters()]
    assert names == [n for n, _ in ordinary.named_parameters()]
    assert layer._hooks is None


@pytest.mark.parametrize(("name", "args", "shape", "whole"), CASES, ids=IDS)
def test_first_numbers_are_those_of_the_ordinary_layer(name, args, shape, whole):
    layer, x = build(ad, name, args, shape)
    ad.manual_seed(7)
    ordinary = getattr(nn, name)(*whole)
    ad.manual_seed(7)
    layer(x)
    for key, value in ordinary.state_dict().items():
        if "running" not in key and "tracked" not in key:
            assert layer.state_dict()[key].tolist() == value.tolist()


@pytest.mark.parametrize(("name", "args", "shape", "whole"), CASES, ids=IDS)
def test_says_what_torch_says(name, args, shape, whole):
    torch = pytest.importorskip("torch")
    (ours, x), (theirs, u) = (build(lib, name, args, shape) for lib in (ad, torch))
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert ours.has_uninitialized_params() == theirs.has_uninitialized_params()
    theirs(u)
    state = {k: ad.tensor(v.numpy()) for k, v in theirs.state_dict().items()}
    ours.load_state_dict(state)  # loading gives shapes too
    assert not ours.has_uninitialized_params()
    ours.eval(), theirs.eval()
    np.testing.assert_allclose(
        ours(x).detach().numpy(), theirs(u).detach().numpy(), 1e-4, 1e-5
    )
    assert repr(ours) == repr(theirs)


def test_before_the_first_call():
    layer = nn.LazyLinear(4)
    assert layer.has_uninitialized_params()
    assert isinstance(layer.weight, nn.UninitializedParameter)
    assert isinstance(layer.weight, nn.Parameter)
    with pytest.raises(RuntimeError, match="no shape yet"):
        layer.weight.shape  # noqa: B018
    norm = nn.LazyBatchNorm1d()
    assert isinstance(norm.running_mean, nn.UninitializedBuffer)
    assert norm.num_batches_tracked.item() == 0
    assert [n for n, _ in layer.named_parameters()] == ["weight", "bias"]


def test_instance_norm_of_one_example():
    layer = nn.LazyInstanceNorm2d()
    assert layer(ad.ones(3, 4, 4)).shape == (3, 4, 4)
    assert layer.num_features == 3


def test_in_a_network():
    net = nn.Sequential(
        nn.LazyConv1d(4, 2), nn.LazyBatchNorm1d(), nn.Flatten(), nn.LazyLinear(2)
    )
    net.double()
    y = net(ad.ones(3, 2, 6, dtype=ad.float64))
    assert y.shape == (3, 2)
    assert y.dtype == ad.float64
    assert net[-1].in_features == 20
    assert not any("Lazy" in type(m).__name__ for m in net.modules())


def test_copied_and_pickled_before_the_first_call():
    layer = nn.LazyLinear(4)
    for again in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert again.has_uninitialized_params()
        assert again(ad.ones(2, 3)).shape == (2, 4)
    assert layer.has_uninitialized_params()


def test_hooks_of_others_stay():
    layer, seen = nn.LazyLinear(4), []
    layer.register_forward_hook(lambda *_: seen.append(1))
    layer(ad.ones(2, 3))
    layer(ad.ones(2, 3))
    assert len(seen) == 2


def test_materialized_by_hand():
    w = nn.UninitializedParameter(dtype=ad.float64)
    w.materialize((2, 3))
    assert type(w) is nn.Parameter
    assert (tuple(w.shape), w.dtype, w.requires_grad) == ((2, 3), ad.float64, True)
    b = nn.UninitializedBuffer()
    b.materialize((2,))
    assert type(b) is nn.Buffer


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="3-D"):
        nn.LazyConv1d(4, 2)(ad.ones(5))
    with pytest.raises(TypeError, match="missing"):
        nn.LazyConv1d(4)
    layer = nn.LazyLinear(4)
    with pytest.raises(ValueError, match="no numbers"):
        nn.LazyLinear(4).load_state_dict(layer.state_dict())
    with pytest.raises(RuntimeError):
        nn.Linear(3, 4).load_state_dict(layer.state_dict())
