"""Normalization: against PyTorch over options, running statistics too; second derivatives."""

import numpy as np
import pytest

import adjoint as ad
from adjoint.nn import functional as F


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape) * 2 + 1


def unit(*shape, seed=0):
    return np.random.default_rng(seed).uniform(0.5, 1.5, shape)


def leaf(x):
    return ad.tensor(x, requires_grad=True)


def both(name, x, weight=None, bias=None, running=(), tol=1e-9, **options):
    """Values, gradients and running statistics of ours and PyTorch's function."""
    torch = pytest.importorskip("torch")
    theirs = getattr(pytest.importorskip("torch.nn.functional"), name)
    results = []
    for make, f in ((ad.tensor, getattr(F, name)), (torch.tensor, theirs)):
        given = {"weight": weight, "bias": bias}
        given = {
            k: make(v, requires_grad=True) for k, v in given.items() if v is not None
        }
        stats = [make(v) for v in running]
        a = make(x, requires_grad=True)
        if running:
            y = f(a, *stats, **given, **options)
        else:
            y = f(a, **given, **options)
        y.backward(make(numbers(*y.shape, seed=9)))
        leaves = [a, *given.values()]
        results.append([y.detach(), *(v.grad for v in leaves), *stats])
    for a, b in zip(*results, strict=True):
        assert tuple(a.shape) == tuple(b.shape)
        np.testing.assert_allclose(a.numpy(), b.numpy(), tol, tol)


@pytest.mark.parametrize("shape", [(5, 3), (4, 3, 6), (2, 3, 4, 5), (2, 3, 2, 3, 2)])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("affine", [True, False])
def test_batch_norm_is_torch(shape, training, affine):
    w = {"weight": unit(3), "bias": unit(3, seed=1)} if affine else {}
    stats = (numbers(3, seed=3), unit(3, seed=4))
    options = {"training": training, "momentum": 0.3, "eps": 1e-3}
    both("batch_norm", numbers(*shape), running=stats, **w, **options)


def test_batch_norm_without_running_statistics():
    x = leaf(numbers(4, 3))
    y = F.batch_norm(x, None, None, training=True)
    np.testing.assert_allclose(y.detach().numpy().mean(0), 0, atol=1e-12)
    with pytest.raises(ad.errors.ArgumentError, match="running_mean"):
        F.batch_norm(x, None, None)


def test_running_statistics_are_written_in_place():
    mean, var = ad.zeros(3), ad.ones(3)
    memory = mean.data_ptr()
    x = ad.tensor(numbers(8, 3), dtype=ad.float32, requires_grad=True)
    F.batch_norm(x, mean, var, training=True, momentum=1.0)
    assert mean.data_ptr() == memory
    assert not mean.requires_grad
    np.testing.assert_allclose(mean.numpy(), x.detach().numpy().mean(0), rtol=1e-5)
    np.testing.assert_allclose(
        var.numpy(), x.detach().numpy().var(0, ddof=1), rtol=1e-5
    )


@pytest.mark.parametrize("over", [(5,), (4, 5)])
@pytest.mark.parametrize("affine", [True, False])
def test_layer_and_rms_norm_are_torch(over, affine):
    w = {"weight": unit(*over)} if affine else {}
    x = numbers(3, 4, 5)
    both("rms_norm", x, normalized_shape=over, **w)
    both("rms_norm", x, normalized_shape=over, eps=0.1, **w)
    if affine:
        w["bias"] = unit(*over, seed=1)
    both("layer_norm", x, normalized_shape=over, **w)
    both("layer_norm", np.zeros((0, 4, 5)), normalized_shape=over, **w)


@pytest.mark.parametrize("groups", [1, 2, 6])
@pytest.mark.parametrize("shape", [(3, 6, 2), (2, 6, 3, 4)])
def test_group_norm_is_torch(groups, shape):
    both("group_norm", numbers(*shape), num_groups=groups)
    w = {"weight": unit(6), "bias": unit(6, seed=1)}
    both("group_norm", numbers(*shape), num_groups=groups, eps=0.01, **w)


@pytest.mark.parametrize("shape", [(3, 2, 5), (2, 2, 3, 4)])
@pytest.mark.parametrize("own", [True, False])
def test_instance_norm_is_torch(shape, own):
    w = {"weight": unit(2), "bias": unit(2, seed=1)}
    stats = (numbers(2, seed=3), unit(2, seed=4))
    both("instance_norm", numbers(*shape), running=stats, use_input_stats=own, **w)
    both("instance_norm", numbers(*shape))


@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("shape", [(2, 4, 3), (2, 4, 3, 2)])
def test_local_response_norm_is_torch(size, shape):
    both("local_response_norm", numbers(*shape), size=size, alpha=0.3, k=2.0)


def test_a_large_mean_does_not_spoil_the_variance():
    x = numbers(64, 3) + 1e6
    y = F.batch_norm(ad.tensor(x), None, None, training=True).numpy()
    want = (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5)
    np.testing.assert_allclose(y, want, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_dtype_is_kept(dtype):
    if dtype == "bfloat16":
        pytest.importorskip("ml_dtypes")
    x = ad.tensor(numbers(4, 6)).to(getattr(ad, dtype))
    for y in (F.layer_norm(x, 6), F.rms_norm(x, 6), F.group_norm(x, 2)):
        assert y.dtype is getattr(ad, dtype)
    y = F.batch_norm(x, ad.zeros(6), ad.ones(6), ad.ones(6), training=True)
    assert y.dtype is getattr(ad, dtype)


SECOND = [
    lambda x: F.batch_norm(x, None, None, training=True),
    lambda x: F.batch_norm(x, ad.zeros(2).double(), ad.ones(2).double()),
    lambda x: F.layer_norm(x, 3),
    lambda x: F.group_norm(x, 2),
    lambda x: F.instance_norm(x),
    lambda x: F.rms_norm(x, (2, 3)),
    lambda x: F.local_response_norm(x, 2, alpha=0.5),
]


@pytest.mark.parametrize("f", SECOND)
def test_two_derivatives(f):
    x = leaf(numbers(3, 2, 3))
    assert ad.gradcheck(f, (x,))
    assert ad.gradgradcheck(f, (x,))


def test_vmap_and_forward_mode():
    x = ad.tensor(numbers(4, 3, 5))
    got = ad.vmap(lambda x: F.layer_norm(x, 5))(x)
    np.testing.assert_allclose(got.numpy(), F.layer_norm(x, 5).numpy())
    row = x[0, 0]
    forward = ad.jacfwd(lambda x: F.layer_norm(x, 5))(row)
    backward = ad.jacrev(lambda x: F.layer_norm(x, 5))(row)
    np.testing.assert_allclose(forward, backward, atol=1e-12)


BAD = [
    (lambda: F.batch_norm(ad.ones(3), None, None, training=True), "at least 2"),
    (lambda: F.batch_norm(ad.ones(1, 3), None, None, training=True), "more than 1"),
    (lambda: F.batch_norm(ad.ones(4, 3), ad.ones(2), ad.ones(3)), "running_mean"),
    (lambda: F.batch_norm(ad.ones(4, 3).long(), None, None, training=True), "int64"),
    (lambda: F.layer_norm(ad.ones(4, 3), (4,)), "normalized_shape"),
    (lambda: F.layer_norm(ad.ones(4, 3), (3,), ad.ones(4)), "must have shape"),
    (lambda: F.group_norm(ad.ones(4, 3), 2), "divisible"),
    (lambda: F.instance_norm(ad.ones(4, 3, 1)), "spatial"),
    (lambda: F.local_response_norm(ad.ones(4, 3), 2), "at least 3"),
    (lambda: F.layer_norm(ad.ones(4, 3), "3"), "must be Number"),
    (lambda: F.group_norm(ad.ones(4, 3), 3, weight=1.0), "must be Tensor"),
]


@pytest.mark.parametrize("call,text", BAD)
def test_bad_input_gives_our_error(call, text):
    with pytest.raises(ad.errors.AdjointError, match=text):
        call()
