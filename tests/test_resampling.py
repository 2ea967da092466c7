"""interpolate, grid_sample, affine_grid and the shuffles: against PyTorch, and by hand."""

import numpy as np
import pytest

import adjoint as ad
from adjoint.functional import resampling as F
from peers import agree_by_name, leaf, numbers

SHAPES = {1: (2, 3, 5), 2: (2, 3, 5, 4), 3: (2, 2, 3, 4, 5)}


MODES = [
    (1, "nearest"),
    (2, "nearest"),
    (3, "nearest"),
    (1, "nearest-exact"),
    (2, "nearest-exact"),
    (3, "nearest-exact"),
    (1, "area"),
    (2, "area"),
    (3, "area"),
    (1, "linear"),
    (2, "bilinear"),
    (2, "bicubic"),
    (3, "trilinear"),
]


SMOOTH = ("linear", "bilinear", "bicubic", "trilinear")
ALIGNED = [
    (*m, a) for m in MODES for a in (None, False, True) if a is None or m[1] in SMOOTH
]


@pytest.mark.parametrize("n,mode,align", ALIGNED)
@pytest.mark.parametrize(
    "target",
    [
        {"size": 7},
        {"size": 3},
        {"size": 1},
        {"scale_factor": 2},
        {"scale_factor": 1.7},
        {"scale_factor": 0.6},
        {"scale_factor": 1.7, "recompute_scale_factor": True},
    ],
)
def test_interpolate_is_torch(n, mode, target, align):
    agree_by_name(
        "interpolate", [numbers(*SHAPES[n])], mode=mode, align_corners=align, **target
    )


def test_interpolate_to_sizes_a_dim():
    agree_by_name("interpolate", [numbers(2, 3, 5, 4)], size=(9, 4), mode="bilinear")
    agree_by_name("interpolate", [numbers(2, 3, 5, 4)], scale_factor=(2.0, 0.5))


def test_interpolate_by_hand():
    x = ad.tensor([[[1.0, 3.0]]])
    assert F.interpolate(x, size=3, mode="linear", align_corners=True).tolist() == [
        [[1, 2, 3]]
    ]
    assert F.upsample(x, scale_factor=2).tolist() == [[[1.0, 1.0, 3.0, 3.0]]]


def test_an_infinity_stays_where_it_is():
    x = ad.tensor([[[float("inf"), 1.0, 2.0, 3.0, 4.0]]])
    y = F.interpolate(x, size=3, mode="area")
    assert y.tolist()[0][0][1:] == [2.0, 3.5]


def inside_and_outside(n, points):
    return np.random.default_rng(3).uniform(-1.6, 1.6, (2, *points, n))


@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("align", [False, True])
@pytest.mark.parametrize("n", [2, 3])
def test_grid_sample_is_torch(n, mode, padding, align):
    if n == 3 and mode == "bicubic":
        pytest.skip("bicubic is for images")
    grid = inside_and_outside(n, (3, 4, 5)[:n])
    agree_by_name("grid_sample", [numbers(*SHAPES[n]), grid], mode, padding, align)


@pytest.mark.parametrize("n", [2, 3])
@pytest.mark.parametrize("align", [False, True])
def test_affine_grid_is_torch(n, align):
    size = (2, 3, 4, 5, 6)[: n + 2]
    agree_by_name("affine_grid", [numbers(2, n, n + 1)], size, align_corners=align)


def test_affine_grid_and_sampling_are_the_identity():
    x = ad.tensor(numbers(1, 2, 4, 5))
    theta = ad.tensor(np.eye(2, 3)[None])
    for align in (False, True):
        y = F.grid_sample(x, F.affine_grid(theta, x.shape, align), align_corners=align)
        np.testing.assert_allclose(y.numpy(), x.numpy(), atol=1e-12)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_second_order(mode):
    x, grid = leaf(numbers(1, 2, 4, 5)), leaf(numbers(1, 2, 2, 2) * 0.4)
    assert ad.gradgradcheck(lambda x, g: F.grid_sample(x, g, mode), (x, grid))
    assert ad.gradgradcheck(
        lambda x: F.interpolate(x * x, size=(3, 7), mode=mode), (x,)
    )


def test_shuffles_are_torch():
    agree_by_name("pixel_shuffle", [numbers(2, 8, 3, 4)], 2)
    agree_by_name("pixel_unshuffle", [numbers(8, 6, 4)], 2)
    agree_by_name("channel_shuffle", [numbers(2, 6, 3, 4)], 3)


def test_shuffles_undo_each_other():
    x = ad.tensor(numbers(2, 9, 3, 4))
    assert ad.equal(ad.pixel_unshuffle(ad.pixel_shuffle(x, 3), 3), x)


@pytest.mark.parametrize(
    "call,text",
    [
        (lambda: F.interpolate(ad.ones(1, 1, 4), size=2, mode="bilinear"), "4-D"),
        (lambda: F.interpolate(ad.ones(1, 1, 4), size=2, mode="sharp"), "one of"),
        (lambda: F.interpolate(ad.ones(1, 1, 4)), "one of size"),
        (
            lambda: F.interpolate(ad.ones(1, 1, 4), size=2, align_corners=True),
            "align_corners",
        ),
        (lambda: F.grid_sample(ad.ones(1, 1, 4, 4), ad.ones(1, 2, 2, 3)), "grid"),
        (lambda: F.grid_sample(ad.ones(1, 1, 4, 4), ad.ones(1, 2, 2, 2), "x"), "mode"),
        (lambda: ad.pixel_shuffle(ad.ones(1, 3, 4, 4), 2), "pixel_shuffle"),
        (lambda: ad.channel_shuffle(ad.ones(1, 3, 4), 2), "multiple"),
    ],
)
def test_errors(call, text):
    with pytest.raises(RuntimeError, match=text):
        call()
