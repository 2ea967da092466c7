"""Convolutions: against PyTorch over the options, against sums by hand, to second order."""

import numpy as np
import pytest

import adjoint as ad
from adjoint.functional import convolution as F
from peers import agree, leaf, numbers

CASES = [
    (1, (2, 4, 9), (6, 4, 3), {}),
    (1, (4, 9), (6, 4, 3), {"stride": 2}),
    (1, (2, 4, 9), (6, 2, 3), {"stride": 2, "padding": 1, "dilation": 2, "groups": 2}),
    (1, (2, 4, 9), (6, 4, 4), {"padding": "same", "dilation": 3}),
    (2, (2, 3, 7, 8), (4, 3, 3, 2), {"stride": (2, 1), "padding": (1, 2)}),
    (2, (3, 7, 8), (4, 3, 3, 2), {"padding": "valid", "dilation": (1, 3)}),
    (2, (2, 3, 7, 8), (4, 3, 2, 3), {"padding": "same"}),
    (2, (2, 4, 7, 8), (8, 1, 3, 3), {"groups": 4, "stride": 3, "padding": 2}),
    (2, (2, 4, 7, 8), (8, 4, 1, 1), {}),
    (2, (2, 4, 7, 8), (8, 4, 7, 8), {}),
    (
        3,
        (2, 4, 4, 5, 6),
        (2, 2, 3, 2, 1),
        {"stride": (1, 2, 3), "groups": 2, "padding": 1},
    ),
    (3, (4, 4, 5, 6), (2, 4, 1, 2, 3), {"padding": "same"}),
]


@pytest.mark.parametrize("n,x,w,options", CASES)
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.filterwarnings("ignore:Using padding='same'")  # PyTorch's, of its speed
def test_conv_is_torch(n, x, w, options, bias):
    torch = pytest.importorskip("torch")
    ours, theirs = getattr(ad, f"conv{n}d"), getattr(torch, f"conv{n}d")
    arrays = [numbers(*x), numbers(*w, seed=1)]
    if bias:
        arrays.append(numbers(w[0], seed=2))
    agree(lambda *a: ours(*a, **options), lambda *a: theirs(*a, **options), arrays)


TRANSPOSED = [
    (1, (2, 4, 5), (4, 3, 3), {}),
    (1, (4, 5), (4, 3, 3), {"stride": 3, "padding": 1, "output_padding": 2}),
    (1, (2, 4, 5), (4, 3, 2), {"dilation": 4, "padding": 2, "output_padding": 3}),
    (1, (2, 4, 5), (4, 3, 2), {"stride": 3, "output_padding": 1}),
    (2, (2, 4, 3, 4), (4, 3, 3, 2), {"stride": (2, 1), "padding": (1, 0), "groups": 2}),
    (2, (4, 3, 4), (4, 1, 3, 2), {"stride": 2, "output_padding": (1, 0), "groups": 4}),
    (
        3,
        (2, 4, 2, 3, 2),
        (4, 2, 2, 1, 3),
        {"stride": 2, "padding": (0, 0, 1), "dilation": 2},
    ),
]


@pytest.mark.parametrize("n,x,w,options", TRANSPOSED)
def test_conv_transpose_is_torch(n, x, w, options):
    torch = pytest.importorskip("torch")
    ours, theirs = (getattr(m, f"conv_transpose{n}d") for m in (ad, torch))
    arrays = [
        numbers(*x),
        numbers(*w, seed=1),
        numbers(w[1] * options.get("groups", 1)),
    ]
    agree(lambda *a: ours(*a, **options), lambda *a: theirs(*a, **options), arrays)


def test_complex_conv_is_torch():
    torch = pytest.importorskip("torch")
    arrays = [
        numbers(2, 3, 6) + 1j * numbers(2, 3, 6, seed=5),
        numbers(4, 3, 2) * (1 - 2j),
    ]
    mine = [leaf(a) for a in arrays]
    his = [torch.tensor(a, requires_grad=True) for a in arrays]
    y, want = ad.conv1d(*mine), torch.conv1d(*his)
    np.testing.assert_allclose(y.detach().numpy(), want.detach().numpy())
    ad.real(y * ad.conj(y)).sum().backward()
    torch.real(want * want.conj()).sum().backward()
    for a, b in zip(mine, his, strict=True):
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy())


def test_conv_by_hand():
    x, w = ad.tensor([[[1.0, 2.0, 4.0, 8.0]]]), ad.tensor([[[1.0, -1.0]]])
    assert ad.conv1d(x, w).tolist() == [[[-1.0, -2.0, -4.0]]]
    assert ad.conv1d(x, w, stride=2).tolist() == [[[-1.0, -4.0]]]
    assert ad.conv1d(x, w, padding="same").tolist() == [[[-1.0, -2.0, -4.0, 8.0]]]


def test_conv_keeps_float32_and_many_chunks_agree(monkeypatch):
    from adjoint.ops import windows

    x, w = numbers(5, 3, 9, 9).astype("float32"), numbers(4, 3, 3, 3).astype("float32")
    a, b = leaf(x), leaf(w)
    y = ad.conv2d(a, b)
    y.sum().backward()
    assert y.dtype == a.grad.dtype == ad.float32
    monkeypatch.setattr(windows, "CHUNK", 1)
    a1, b1 = leaf(x), leaf(w)
    y1 = ad.conv2d(a1, b1)
    y1.sum().backward()
    for one, many in ((y, y1), (a.grad, a1.grad), (b.grad, b1.grad)):
        np.testing.assert_allclose(
            one.detach().numpy(), many.detach().numpy(), 1e-4, 1e-4
        )


@pytest.mark.parametrize("groups", [1, 2])
def test_gradgradcheck(groups):
    x, w = leaf(numbers(2, 4, 5)), leaf(numbers(4, 4 // groups, 3, seed=1))
    assert ad.gradgradcheck(
        lambda x, w: ad.conv1d(x, w, stride=2, padding=1, groups=groups), (x, w)
    )
    assert ad.gradgradcheck(
        lambda x, w: ad.conv_transpose1d(x, w, stride=2, groups=groups), (x, w)
    )


def test_per_example_gradients():
    x, w = ad.tensor(numbers(3, 2, 6)), ad.tensor(numbers(4, 2, 3, seed=1))

    def loss(w, x):
        return ad.conv1d(x, w).pow(2).sum()

    got = ad.vmap(ad.grad(loss), in_dims=(None, 0))(w, x)
    for i in range(3):
        want = ad.grad(loss)(w, x[i])
        np.testing.assert_allclose(got[i].numpy(), want.numpy())


def test_empty_batch():
    assert ad.conv2d(ad.zeros(0, 3, 5, 5), ad.ones(2, 3, 3, 3)).shape == (0, 2, 3, 3)


@pytest.mark.parametrize(
    "call,text",
    [
        (lambda: ad.conv1d(ad.ones(1, 2, 5), ad.ones(3, 3, 2)), "3 channels"),
        (lambda: ad.conv1d(ad.ones(2, 2), ad.ones(3, 2, 5)), "does not fit"),
        (lambda: ad.conv1d(ad.ones(2), ad.ones(3, 2, 5)), "unbatched"),
        (lambda: ad.conv1d(ad.ones(1, 2, 5), ad.ones(3, 2, 2), ad.ones(4)), "bias"),
        (lambda: ad.conv1d(ad.ones(1, 2, 5), ad.ones(3, 2, 2), stride=0), "stride"),
        (
            lambda: ad.conv1d(ad.ones(1, 2, 5), ad.ones(3, 2, 2), padding="full"),
            "'same'",
        ),
        (
            lambda: ad.conv1d(
                ad.ones(1, 2, 5), ad.ones(3, 2, 2), stride=2, padding="same"
            ),
            "same",
        ),
        (
            lambda: ad.conv1d(ad.ones(1, 2, 5), ad.ones(3, 2, 2, dtype=ad.float64)),
            "dtype",
        ),
        (
            lambda: ad.conv_transpose1d(
                ad.ones(1, 2, 5), ad.ones(2, 2, 2), output_padding=1
            ),
            "output",
        ),
    ],
)
def test_errors(call, text):
    with pytest.raises(RuntimeError, match=text):
        call()


@pytest.mark.parametrize(
    "options", [{}, {"padding": 1, "stride": 2}, {"dilation": 2, "padding": (1, 2)}]
)
def test_fold_and_unfold_are_torch(options):
    functional = pytest.importorskip("torch.nn.functional")
    x = numbers(2, 3, 6, 7)
    agree(
        lambda x: F.unfold(x, (2, 3), **options),
        lambda x: functional.unfold(x, (2, 3), **options),
        [x],
    )
    columns = numbers(*F.unfold(ad.tensor(x), (2, 3), **options).shape)
    agree(
        lambda y: F.fold(y, (6, 7), (2, 3), **options),
        lambda y: functional.fold(y, (6, 7), (2, 3), **options),
        [columns],
    )


class TestNoChannels:
    """What has no channels, or no places, is told before anything is computed."""

    @pytest.mark.parametrize("n", [1, 2, 3])
    @pytest.mark.parametrize("groups", [1, 2])
    def test_none_of_the_output(self, n, groups):
        x = ad.ones(2, 4, *(5,) * n)
        w = ad.ones(0, 4 // groups, *(2,) * n)
        conv = getattr(F, f"conv{n}d")
        with pytest.raises(
            ad.errors.ShapeError, match=f"weight to be at least {groups}"
        ):
            conv(x, w, groups=groups)
        with pytest.raises(ad.errors.ShapeError, match="at least one place"):
            conv(x, ad.ones(4, 4, *(0,) * n))
        with pytest.raises(ad.errors.ShapeError, match="weight to be at least 1"):
            transposed = getattr(F, f"conv_transpose{n}d")
            transposed(ad.ones(2, 0, *(5,) * n), ad.ones(0, 4, *(2,) * n))

    @pytest.mark.parametrize("groups", [1, 2])
    @pytest.mark.parametrize("wrap", [lambda f: f, ad.compile])
    def test_none_of_the_input_leaves_the_bias(self, groups, wrap):
        def f(x, w, b):
            y = F.conv2d(x, w, b, groups=groups)
            y.sum().backward()
            return y.detach()

        g = wrap(f)
        for _ in range(3):
            x = ad.ones(2, 0, 5, 5, requires_grad=True)
            w = ad.ones(4, 0, 2, 2, requires_grad=True)
            b = ad.arange(4.0).requires_grad_()
            y = g(x, w, b)
            assert y.shape == (2, 4, 4, 4)
            assert (y == ad.arange(4.0).reshape(4, 1, 1)).all()
            assert b.grad.tolist() == [32.0] * 4
            assert x.grad.shape == x.shape
            assert w.grad.shape == w.shape
