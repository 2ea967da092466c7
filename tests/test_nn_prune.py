"""Pruning against PyTorch's, and hooks that all modules have."""

import copy

import numpy as np
import pytest

import adjoint as ad
from adjoint import nn
from adjoint.nn.modules import module as everywhere
from adjoint.nn.utils import prune
from peers import numbers


def network(lib):
    """The same numbers in both packages."""
    net = lib.nn.Sequential(
        lib.nn.Conv2d(2, 4, 3), lib.nn.Flatten(), lib.nn.Linear(4, 3)
    )
    with lib.no_grad():
        for i, p in enumerate(net.parameters()):
            p.copy_(lib.tensor(numbers(*p.shape, seed=i).astype(np.float32)))
    return net


def once(lib, p, net):
    p.l1_unstructured(net[0], "weight", 0.3)


def by_count(lib, p, net):
    p.l1_unstructured(net[2], "weight", 5)
    p.l1_unstructured(net[2], "bias", 1)


def by_importance(lib, p, net):
    scores = lib.tensor(numbers(3, 4, seed=9).astype(np.float32))
    p.l1_unstructured(net[2], "weight", 5, importance_scores=scores)
    p.ln_structured(net[2], "weight", 1, 1, 0, importance_scores=scores)


def again(lib, p, net):
    for amount in (0.5, 0.5, 3):
        p.l1_unstructured(net[0], "weight", amount)


def channels(lib, p, net):
    p.ln_structured(net[0], "weight", amount=2, n=2, dim=0)
    p.ln_structured(net[0], "weight", amount=0.5, n=1, dim=0)
    p.ln_structured(net[0], "weight", 1, float("inf"), dim=1)


def mixed(lib, p, net):
    mask = lib.tensor((np.arange(12).reshape(3, 4) % 3 > 0).astype(np.float32))
    p.custom_from_mask(net[2], "weight", mask)
    p.ln_structured(net[2], "weight", 1, 2, -1)
    p.l1_unstructured(net[2], "weight", 0.5)
    p.identity(net[2], "weight")


def together(lib, p, net):
    p.identity(net[0], "bias")
    both = [(net[0], "weight"), (net[2], "weight"), (net[0], "bias")]
    p.global_unstructured(both, p.L1Unstructured, amount=0.6)
    p.global_unstructured(both, p.L1Unstructured, amount=7)


def final(lib, p, net):
    p.l1_unstructured(net[0], "weight", 0.5)
    p.l1_unstructured(net[0], "weight", 0.5)
    p.remove(net[0], "weight")


WAYS = [once, by_count, by_importance, again, channels, mixed, together, final]


@pytest.mark.parametrize("way", WAYS, ids=lambda f: f.__name__)
def test_pruned_as_pytorch_does(way):
    torch = pytest.importorskip("torch")
    from torch.nn.utils import prune as theirs

    seen = []
    for lib, p in ((ad, prune), (torch, theirs)):
        net = network(lib)
        way(lib, p, net)
        x = lib.tensor(numbers(5, 2, 3, 3).astype(np.float32))
        y = net(x)
        y.square().sum().backward()
        seen.append(
            (
                y.detach().numpy(),
                {k: v.numpy() for k, v in net.state_dict().items()},
                {k: v.grad.numpy() for k, v in net.named_parameters()},
                p.is_pruned(net),
            )
        )
    (y, state, grads, pruned), (y2, state2, grads2, pruned2) = seen
    assert pruned == pruned2
    assert list(state) == list(state2)
    assert list(grads) == list(grads2)
    np.testing.assert_allclose(y, y2, rtol=1e-4, atol=1e-5)
    for name, x in state.items():
        np.testing.assert_array_equal(x, state2[name])
    for name, g in grads.items():
        np.testing.assert_allclose(g, grads2[name], rtol=1e-3, atol=1e-4)


def test_chance_takes_as_many_as_it_should():
    net = network(ad)
    prune.random_unstructured(net[0], "weight", 0.25)
    assert (net[0].weight_mask == 0).sum() == 18
    prune.random_unstructured(net[0], "weight", 4)
    assert (net[0].weight_mask == 0).sum() == 22
    prune.random_structured(net[2], "weight", 1, dim=1)
    prune.random_structured(net[2], "weight", 1, dim=1)
    assert sorted(net[2].weight_mask.sum(0).tolist()) == [0, 0, 3, 3]
    again = copy.deepcopy(net[2].state_dict())
    other = prune.identity(nn.Linear(4, 3), "weight")
    other.load_state_dict(again)
    assert other(ad.ones(1, 4)).tolist() == net[2](ad.ones(1, 4)).tolist()


def test_training_leaves_pruned_weights_at_zero():
    net = prune.l1_unstructured(nn.Linear(4, 3), "weight", 0.5)
    opt = ad.optim.Adam(net.parameters(), lr=0.1)
    zeros = (net.weight == 0).tolist()
    for _ in range(5):
        opt.zero_grad()
        net(ad.randn(8, 4)).square().mean().backward()
        opt.step()
    assert (net.weight == 0).tolist() == zeros
    weight = net.weight_orig
    prune.remove(net, "weight")
    assert net.weight is weight
    assert (net.weight == 0).tolist() == zeros


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda m: prune.l1_unstructured(m, "weight", -1), ValueError, "non-negative"),
        (lambda m: prune.l1_unstructured(m, "weight", 1.5), ValueError, "in the range"),
        (lambda m: prune.l1_unstructured(m, "weight", "a"), TypeError, "int or float"),
        (lambda m: prune.l1_unstructured(m, "weight", 99), ValueError, "prune=6"),
        (lambda m: prune.l1_unstructured(m, "w", 1), ValueError, "no parameter 'w'"),
        (lambda m: prune.ln_structured(m, "bias", 1, 2, 0), ValueError, "1 dims"),
        (lambda m: prune.ln_structured(m, "weight", 1, 2, 5), IndexError, "index 5"),
        (lambda m: prune.remove(m, "weight"), ValueError, "has to be pruned before"),
        (
            lambda m: prune.custom_from_mask(m, "weight", ad.ones(2)),
            ValueError,
            "mask must have the shape",
        ),
        (
            lambda m: prune.global_unstructured(
                [(m, "weight")], prune.RandomStructured, amount=1
            ),
            TypeError,
            "'structured'",
        ),
        (
            lambda m: prune.l1_unstructured(m, "weight", 1, ad.ones(1)),
            ValueError,
            "importance_scores must have the shape",
        ),
    ],
)
def test_what_cannot_be_pruned_stays_as_it_was(call, error, words):
    layer = nn.Linear(3, 2)
    with pytest.raises(error, match=words):
        call(layer)
    assert list(layer.state_dict()) == ["weight", "bias"]
    assert not prune.is_pruned(layer)


# ---------------------------------------------------------------- hooks of all modules


def log_of(lib, register, said):
    """What hooks see of a forward and a backward, with hooks of one module among them."""
    net = lib.nn.Sequential(lib.nn.Linear(2, 2), lib.nn.Tanh())
    names = {m: n for n, m in net.named_modules()}
    net[1].register_forward_hook(lambda m, x, y: said.append(("own", names[m])))
    net[1].register_full_backward_hook(lambda m, x, y: said.append(("own", names[m])))

    def note(kind):
        return lambda m, *rest: said.append((kind, names[m]))

    handles = [
        register.register_module_forward_pre_hook(note("pre")),
        register.register_module_forward_hook(note("forward")),
        register.register_module_full_backward_pre_hook(note("back pre")),
        register.register_module_full_backward_hook(note("back")),
    ]
    x = lib.ones(1, 2, requires_grad=True)
    net(x).sum().backward()
    for handle in handles:
        handle.remove()
    net(x).sum().backward()
    return said


def test_hooks_of_all_modules_are_called_as_in_pytorch():
    torch = pytest.importorskip("torch")
    theirs = log_of(torch, torch.nn.modules.module, [])
    assert log_of(ad, everywhere, []) == theirs


def test_hooks_of_all_modules_may_change_what_passes():
    x = ad.ones(1, requires_grad=True)
    with (
        everywhere.register_module_forward_pre_hook(lambda m, args: (args[0] + 1,)),
        everywhere.register_module_forward_hook(lambda m, args, y: 2 * y),
        everywhere.register_module_full_backward_hook(lambda m, gx, gy: (5 * gx[0],)),
    ):
        y = nn.Identity()(x)
    y.backward()
    assert (y.item(), x.grad.item()) == (4, 10)


def registrations(lib, register):
    said = []

    def note(kind):
        return lambda m, name, x: said.append((kind, type(m).__name__, name))

    handles = [
        register.register_module_parameter_registration_hook(note("parameter")),
        register.register_module_buffer_registration_hook(note("buffer")),
        register.register_module_module_registration_hook(note("module")),
    ]
    net = lib.nn.Sequential(lib.nn.Linear(1, 1), lib.nn.BatchNorm1d(1))
    net.extra = lib.nn.Parameter(lib.ones(1))
    net.register_buffer("kept", lib.ones(1))
    net.last = lib.nn.Tanh()
    for handle in handles:
        handle.remove()
    net.more = lib.nn.Tanh()
    return said


def test_hooks_see_what_is_put_into_modules():
    torch = pytest.importorskip("torch")
    ours = registrations(ad, everywhere)
    assert ours == registrations(torch, torch.nn.modules.module)


def test_a_registration_may_be_replaced():
    mine = nn.Parameter(ad.zeros(1, 1))
    with everywhere.register_module_parameter_registration_hook(
        lambda m, name, p: mine if name == "weight" else None
    ):
        layer = nn.Linear(1, 1, bias=False)
    assert layer.weight is mine


def test_modules_have_the_names_of_their_files():
    for path in (
        *("conv.Conv2d", "conv._ConvNd", "batchnorm._BatchNorm", "rnn.LSTM", "Linear"),
        *("instancenorm.InstanceNorm2d", "loss._Loss", "container.Sequential"),
        *("pixelshuffle.PixelShuffle", "upsampling.Upsample", "fold.Fold"),
        *("flatten.Flatten", "dropout._DropoutNd", "batchnorm.BatchNorm1d"),
    ):
        found = nn.modules
        for name in path.split("."):
            found = getattr(found, name)
        assert isinstance(found, type), path
    with pytest.raises(AttributeError):
        nn.modules.NoSuchLayer  # noqa: B018


# ---------------------------------------------------------------- compiled modules


def test_a_module_that_compiles_itself_can_be_copied():
    net = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5))
    plain = copy.deepcopy(net).eval()
    net.compile()
    net.eval()
    x = ad.ones(1, 2)
    for _ in range(3):
        np.testing.assert_allclose(net(x).detach(), plain(x).detach(), 1e-6)
    other = copy.deepcopy(net)
    with ad.no_grad():
        other[0].weight.zero_()
        other[0].bias.fill_(7)
    for _ in range(3):
        assert other(x).tolist() == [[7, 7]]
    np.testing.assert_allclose(net(x).detach(), plain(x).detach(), 1e-6)
    assert list(net.state_dict()) == ["0.weight", "0.bias"]
