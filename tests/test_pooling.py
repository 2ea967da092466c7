"""Pooling: against PyTorch over the options, and by hand."""

import numpy as np
import pytest

import adjoint as ad
from adjoint.nn import functional as F
from peers import agree, agree_by_name, leaf, numbers

SHAPES = {1: (2, 3, 11), 2: (2, 3, 7, 9), 3: (2, 2, 5, 6, 7)}


WINDOWS = [
    {},
    {"stride": 1},
    {"stride": 2, "padding": 1},
    {"stride": 2, "ceil_mode": True},
    {"stride": 3, "padding": 1, "ceil_mode": True},
    {"stride": 4, "padding": 1, "ceil_mode": True},
]


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize(
    "options", [*WINDOWS, {"stride": 2, "dilation": 2, "padding": 1}]
)
def test_max_pool_is_torch(n, options):
    functional = pytest.importorskip("torch.nn.functional")
    torch = pytest.importorskip("torch")
    x = numbers(*SHAPES[n])
    agree_by_name(f"max_pool{n}d", [x], 3, **options)
    agree_by_name(f"max_pool{n}d", [x[0]], 3, **options)
    _, index = getattr(F, f"max_pool{n}d")(
        ad.tensor(x), 3, return_indices=True, **options
    )
    theirs = getattr(functional, f"max_pool{n}d")
    _, want = theirs(torch.tensor(x), 3, return_indices=True, **options)
    assert index.tolist() == want.tolist()


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("options", WINDOWS)
@pytest.mark.parametrize(
    "more", [{}, {"count_include_pad": False}, {"divisor_override": 5}]
)
def test_avg_pool_is_torch(n, options, more):
    if n == 1 and "divisor_override" in more:
        pytest.skip("avg_pool1d has no divisor_override")
    agree_by_name(f"avg_pool{n}d", [numbers(*SHAPES[n])], 3, **options, **more)
    agree_by_name(f"avg_pool{n}d", [numbers(*SHAPES[n])[0]], 3, **options, **more)


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("out", [1, 3, 5, 8])
@pytest.mark.parametrize("kind", ["avg", "max"])
def test_adaptive_pools_are_torch(n, out, kind):
    agree_by_name(f"adaptive_{kind}_pool{n}d", [numbers(*SHAPES[n])], out)
    agree_by_name(f"adaptive_{kind}_pool{n}d", [numbers(*SHAPES[n])[0]], out)


def test_adaptive_pools_keep_a_size_for_none():
    agree_by_name("adaptive_avg_pool2d", [numbers(*SHAPES[2])], (None, 2))
    agree_by_name("adaptive_max_pool2d", [numbers(*SHAPES[2])], (3, None))


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("p", [1, 2, 3.0])
@pytest.mark.parametrize(
    "options", [{}, {"stride": 2}, {"stride": 2, "ceil_mode": True}]
)
def test_lp_pool_is_torch(n, p, options):
    agree_by_name(f"lp_pool{n}d", [np.abs(numbers(*SHAPES[n])) + 0.1], p, 3, **options)


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("options", [{}, {"stride": 3}, {"padding": 1}])
def test_max_unpool_is_torch(n, options):
    functional = pytest.importorskip("torch.nn.functional")
    torch = pytest.importorskip("torch")
    x = numbers(*SHAPES[n])
    y, index = getattr(F, f"max_pool{n}d")(
        ad.tensor(x), 2, return_indices=True, **options
    )
    size = SHAPES[n][2:]
    theirs = getattr(functional, f"max_unpool{n}d")
    agree(
        lambda y: getattr(F, f"max_unpool{n}d")(
            y, index, 2, output_size=size, **options
        ),
        lambda y: theirs(
            y, torch.tensor(index.numpy()), 2, output_size=size, **options
        ),
        [y.numpy()],
    )


def test_unpool_where_maxima_meet_keeps_the_last():
    x = ad.tensor([[[1.0, 2.0]]], requires_grad=True)
    y = F.max_unpool1d(x, ad.tensor([[[1, 1]]]), 2)
    assert y.tolist() == [[[0.0, 2.0, 0.0, 0.0]]]
    y.sum().backward()
    assert x.grad.tolist() == [[[0.0, 1.0]]]


def test_max_of_nan_and_of_infinity():
    x = ad.tensor(
        [[[1.0, float("nan"), 2.0, -float("inf"), -float("inf"), -float("inf")]]]
    )
    y, index = F.max_pool1d(x, 3, return_indices=True)
    assert np.isnan(y[0, 0, 0].item()) and y[0, 0, 1].item() == -float("inf")
    assert index.tolist() == [[[1, 3]]]


def test_max_pool_of_integers():
    assert F.max_pool1d(ad.tensor([[[1, 4, 2, 3]]]), 2).tolist() == [[[4, 3]]]


def test_second_order():
    x = leaf(numbers(2, 2, 5, 6))
    assert ad.gradgradcheck(lambda x: F.max_pool2d(x * x, 2, 1), (x,))
    assert ad.gradgradcheck(lambda x: F.avg_pool2d(x * x, 3, 2, 1, True, False), (x,))
    assert ad.gradgradcheck(lambda x: F.adaptive_avg_pool2d(x * x, 2), (x,))


def test_vmap():
    x = ad.tensor(numbers(4, 2, 3, 6))
    for f in (F.max_pool1d, F.avg_pool1d, F.adaptive_max_pool1d, F.adaptive_avg_pool1d):
        got = ad.vmap(lambda x, f=f: f(x, 2))(x)
        want = ad.stack([f(x[i], 2) for i in range(4)])
        np.testing.assert_allclose(got.numpy(), want.numpy())


@pytest.mark.parametrize(
    "call,text",
    [
        (lambda: F.max_pool1d(ad.ones(1, 1, 4), 2, padding=2), "half"),
        (lambda: F.max_pool1d(ad.ones(1, 1, 2), 3), "too small"),
        (lambda: F.max_pool2d(ad.ones(4, 4), 2), "3-D"),
        (lambda: F.avg_pool2d(ad.ones(1, 1, 4, 4), 2, divisor_override=0), "zero"),
        (lambda: F.adaptive_avg_pool2d(ad.ones(1, 1, 4, 4), (2,)), "output_size"),
        (
            lambda: F.max_unpool1d(ad.ones(1, 1, 2), ad.tensor([[[0, 9]]]), 2),
            "index: 9",
        ),
    ],
)
def test_errors(call, text):
    with pytest.raises(RuntimeError, match=text):
        call()
