"""Names that PyTorch has more than once, and modules for machines that are not there."""

import numpy as np
import pytest

import adjoint as ad
from adjoint import nn
from adjoint.nn import attention
from peers import agree_in_both, numbers


def test_every_module_and_function_of_pytorch_is_there():
    torch = pytest.importorskip("torch")
    undocumented = {"Container", "CrossMapLRN2d", "factory_kwargs"}
    for name in dir(torch.nn):
        if name[0] != "_" and name not in undocumented:
            assert (
                hasattr(nn, name)
                or name in {"grad", "common_types"}
                or not callable(getattr(torch.nn, name))
            ), name
    for path in ("optim", "optim.lr_scheduler", "optim.swa_utils", "nn.init"):
        ours, theirs = ad, torch
        for part in path.split("."):
            ours, theirs = getattr(ours, part), getattr(theirs, part)
        new = {"swap_in_optimizer_params_and_state"}  # of PyTorch 2.13, undocumented
        missing = {n for n in theirs.__all__ if not hasattr(ours, n)} - new
        assert not missing


@pytest.mark.parametrize("kind", ["max", "adaptive_max", "fractional_max"])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_pooling_with_indices(kind, n):
    torch = pytest.importorskip("torch")
    name = f"{kind}_pool{n}d_with_indices"
    if not hasattr(torch.nn.functional, name):
        return
    x = numbers(2, 3, *[6] * n)
    args = {"max": (2, 2), "adaptive_max": (3,), "fractional_max": (2, 3)}[kind]
    more = {}
    if kind == "fractional_max":
        more = {"_random_samples": np.full((2, 3, n), 0.4)}

    def pool(m, x):
        samples = {k: m.tensor(v) for k, v in more.items()}
        return getattr(m.nn.functional, name)(x, *args, **samples)

    agree_in_both(pool, x)


def test_convolution_of_time_batch_channels():
    arrays = numbers(5, 2, 3), numbers(3, 3, 4, seed=1), numbers(4, seed=2)
    for pad in (0, 2):
        agree_in_both(lambda m, *xs: m.nn.functional.conv_tbc(*xs, pad), *arrays)  # noqa: B023


@pytest.mark.parametrize("name", ["uniform", "xavier_normal", "constant", "orthogonal"])
def test_older_names_warn(name):
    args = (3.0,) if name == "constant" else ()
    with pytest.warns(FutureWarning, match=f"deprecated in favor of `nn.init.{name}_`"):
        getattr(nn.init, name)(ad.zeros(2, 2), *args)
    with pytest.warns(FutureWarning, match="deprecated"):
        nn.utils.clip_grad_norm([], 1.0)


def test_batch_norm_of_all_processes():
    torch = pytest.importorskip("torch")
    x = numbers(4, 3, 5).astype(np.float32)
    nets = []
    for lib in (ad, torch):
        net = lib.nn.Sequential(lib.nn.BatchNorm1d(3), lib.nn.BatchNorm1d(3))
        net = lib.nn.SyncBatchNorm.convert_sync_batchnorm(net)
        nets.append((net, net.eval()(lib.tensor(x)).detach().numpy()))
    (ours, y), (theirs, want) = nets
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    np.testing.assert_allclose(y, want, rtol=1e-6)
    plain = nn.BatchNorm1d(3)
    ours.train()
    z = nn.SyncBatchNorm(3)(ad.tensor(x))
    np.testing.assert_allclose(z.detach(), plain(ad.tensor(x)).detach(), rtol=1e-6)


def test_data_parallel_runs_the_module():
    layer = nn.Linear(2, 2)
    both = nn.DataParallel(layer)
    assert both(ad.ones(1, 2)).tolist() == layer(ad.ones(1, 2)).tolist()
    assert list(both.state_dict()) == ["module.weight", "module.bias"]


def test_kernels_of_attention_are_chosen_without_effect():
    q = ad.randn(1, 2, 3)
    plain = nn.functional.scaled_dot_product_attention(q, q, q)
    with attention.sdpa_kernel([attention.SDPBackend.FLASH_ATTENTION]):
        y = nn.functional.scaled_dot_product_attention(q, q, q)
    assert y.tolist() == plain.tolist()
    with pytest.raises(TypeError, match="SDPBackend"), attention.sdpa_kernel([1]):
        pass


def test_cross_entropy_of_a_layer_takes_pytorchs_options():
    options = nn.LinearCrossEntropyOptions(chunking_method=None)
    loss = nn.LinearCrossEntropyLoss(3, 4, options=options)
    assert loss(ad.ones(2, 3), ad.tensor([0, 1])).ndim == 0


@pytest.mark.parametrize("drop", [False, True])
@pytest.mark.parametrize("n", [7, 8, 1])
def test_parts_of_processes_as_in_pytorch(drop, n):
    torch = pytest.importorskip("torch")
    for replicas in (1, 2, 3):
        for rank in range(replicas):
            options = {"num_replicas": replicas, "rank": rank, "drop_last": drop}
            theirs = torch.utils.data.DistributedSampler(
                range(n), shuffle=False, **options
            )
            ours = ad.utils.data.DistributedSampler(range(n), shuffle=False, **options)
            assert list(ours) == list(theirs)
            assert len(ours) == len(theirs)
    parts = [ad.data.DistributedSampler(range(8), 2, r, seed=3) for r in (0, 1)]
    seen = []
    for epoch in (0, 1):
        for part in parts:
            part.set_epoch(epoch)
        both = [i for part in parts for i in part]
        assert sorted(both) == list(range(8))
        seen.append(both)
    assert seen[0] != seen[1]
    with pytest.raises(ValueError, match="Invalid rank 2"):
        ad.data.DistributedSampler(range(3), 2, 2)
