"""Shape functions: against PyTorch (values, gradients, dtypes), views, writes, errors."""

import numpy as np
import pytest

import adjoint as ad
from adjoint.functional.padding import pad
from peers import agree_in_both, numbers

CASES = [
    ((2, 3), lambda m, x: m.reshape(x, (3, -1))),
    ((2, 3), lambda m, x: x.reshape(-1)),
    ((2, 3), lambda m, x: x.view(3, 2)),
    ((2, 3), lambda m, x: x.view_as(m.ones(6))),
    ((2, 3), lambda m, x: x.T.reshape_as(m.ones(6))),
    ((2, 3), lambda m, x: x.expand(4, -1, 3)),
    ((2, 1), lambda m, x: x.expand_as(m.ones(2, 3))),
    ((1, 3), lambda m, x: m.broadcast_to(x, (2, 2, 3))),
    ((1, 3), lambda m, x: m.broadcast_tensors(x, m.ones(2, 1))[0]),
    ((2, 3, 4), lambda m, x: m.permute(x, (2, 0, -2))),
    ((2, 3, 4), lambda m, x: m.swapaxes(x, 0, -1)),
    ((2, 3, 4), lambda m, x: m.swapdims(x, 0, 1)),
    ((2, 3, 4), lambda m, x: m.movedim(x, (0, 1), (-1, 0))),
    ((2, 3, 4), lambda m, x: m.moveaxis(x, 1, -1)),
    ((2, 3), lambda m, x: m.t(x)),
    # arguments by name, NumPy's among them
    ((2, 3), lambda m, x: x.view(size=(3, 2))),
    ((2, 3), lambda m, x: x.view(dtype=x.dtype)),
    ((2, 3), lambda m, x: x.reshape(shape=(3, 2))),
    ((2, 1), lambda m, x: x.expand(size=(-1, 3))),
    ((2, 3), lambda m, x: m.permute(x, dims=(1, 0))),
    ((2, 3), lambda m, x: x.permute(dims=(1, 0))),
    ((2, 3), lambda m, x: m.flip(x, dims=(0, 1))),
    ((2, 3), lambda m, x: x.flip(dims=[1])),
    ((2, 3), lambda m, x: m.tile(x, dims=(2,))),
    ((2, 3), lambda m, x: x.sum_to_size(size=(1, 3))),
    ((2, 3), lambda m, x: m.swapaxes(x, axis0=0, axis1=1)),
    ((2, 3), lambda m, x: m.split(tensor=x, split_size_or_sections=2, dim=1)[0]),
    ((2, 3), lambda m, x: m.cat([x, x], axis=1)),
    ((2, 3), lambda m, x: m.stack([x, x], axis=1)),
    ((2, 3), lambda m, x: x.unsqueeze(axis=1)),
    ((2, 3), lambda m, x: m.unsqueeze(x=x, axis=1)),
    ((2, 1), lambda m, x: x.clone().squeeze_(axis=1)),
    ((2, 3), lambda m, x: m.softmax(x, axis=1)),
    ((2, 3), lambda m, x: x.new_ones(size=(2,)) * x[0, 0]),
    ((2, 3, 4), lambda m, x: m.adjoint(x)),
    ((2, 3, 4), lambda m, x: x.mT),
    ((1, 2, 1), lambda m, x: m.squeeze(x)),
    ((1, 2, 1), lambda m, x: m.squeeze(x, (0, 1))),
    ((1, 2, 1), lambda m, x: m.squeeze(x, -1)),
    ((2, 3), lambda m, x: m.unsqueeze(x, -1)),
    ((2, 3, 4), lambda m, x: m.flatten(x, 1)),
    ((), lambda m, x: m.flatten(x)),
    ((2, 6), lambda m, x: m.unflatten(x, 1, (2, -1))),
    ((2, 3), lambda m, x: m.ravel(x.T)),
    ((2, 3, 4), lambda m, x: m.flip(x, (0, -1))),
    ((2, 3), lambda m, x: m.fliplr(x)),
    ((2, 3), lambda m, x: m.flipud(x)),
    ((2, 3), lambda m, x: m.roll(x, 2)),
    ((2, 3), lambda m, x: m.roll(x, (1, -2), (0, 1))),
    ((2, 3), lambda m, x: m.roll(x, (1, 2), (1, 1))),
    ((2, 0), lambda m, x: m.roll(x, 1, 0)),
    *(((2, 3, 4), lambda m, x, k=k: m.rot90(x, k, (0, 2))) for k in range(-1, 4)),
    ((2, 3), lambda m, x: x.repeat(2, 1, 3)),
    ((2, 3), lambda m, x: x.repeat(0, 2)),
    ((), lambda m, x: x.repeat(3)),
    ((2, 3), lambda m, x: m.tile(x, (2,))),
    ((2, 3), lambda m, x: m.tile(x, (2, 1, 2))),
    ((2, 3), lambda m, x: m.repeat_interleave(x, 2)),
    ((2, 3), lambda m, x: m.repeat_interleave(x, 3, dim=1)),
    ((2, 3), lambda m, x: m.repeat_interleave(x, m.tensor([2, 0, 1]), dim=1)),
    ((2, 3), lambda m, x: x.repeat_interleave(m.tensor([2, 1]), 0, output_size=3)),
    ((7, 2), lambda m, x: x.unfold(0, 3, 2)),
    ((2, 7), lambda m, x: x.unfold(-1, 5, 1)),
    ((2, 7), lambda m, x: x.T.unfold(0, 2, 3)),
    ((), lambda m, x: x.unfold(0, 1, 1)),
    ((3, 4), lambda m, x: m.as_strided(x, (2, 3), (3, 2), 1)),
    ((3, 4), lambda m, x: m.as_strided(x, (5, 4), (1, 2))),
    ((3, 4), lambda m, x: (x * 2).t().as_strided((2, 2), (1, 1), 2)),
    ((2, 3), lambda m, x: m.stack([x, 2 * x], 1)),
    ((2, 3), lambda m, x: m.cat([x, m.ones(0), x[:1]])),
    ((2, 3), lambda m, x: m.concat([x, x], -1)),
    ((2, 3), lambda m, x: m.concatenate([x, x])),
    ((3,), lambda m, x: m.hstack([x, x])),
    ((2, 3), lambda m, x: m.hstack((x, x))),
    ((), lambda m, x: m.hstack((x, x))),
    ((3,), lambda m, x: m.vstack([x, x])),
    ((3,), lambda m, x: m.row_stack([x, x])),
    ((3,), lambda m, x: m.dstack([x, x])),
    ((2,), lambda m, x: m.column_stack([x, m.ones(2, 3), x])),
    ((5, 2), lambda m, x: m.split(x, 2)),
    ((5, 2), lambda m, x: m.split(x, [1, 4])),
    ((2, 5), lambda m, x: x.split_with_sizes([1, 4], 1)),
    ((5, 2), lambda m, x: m.chunk(x, 3)),
    ((5, 2), lambda m, x: m.chunk(x, 4)),
    ((7, 2), lambda m, x: m.tensor_split(x, 3)),
    ((7, 2), lambda m, x: m.tensor_split(x, (1, -2, 9))),
    ((2, 7), lambda m, x: m.tensor_split(x, m.tensor([4, 2]), 1)),
    ((2, 4), lambda m, x: m.hsplit(x, 2)),
    ((4,), lambda m, x: m.hsplit(x, [1])),
    ((4, 2), lambda m, x: m.vsplit(x, 2)),
    ((1, 2, 4), lambda m, x: m.dsplit(x, [1, 3])),
    ((3, 2), lambda m, x: m.unbind(x, 1)),
    ((5, 2), lambda m, x: m.narrow(x, 0, -3, 2)),
    ((5, 2), lambda m, x: x.narrow_copy(0, 1, 2)),
    ((5, 2), lambda m, x: m.select(x, 0, -1)),
    ((3, 4), lambda m, x: m.diagonal(x, -1)),
    ((3, 4, 2), lambda m, x: m.diagonal(x, 1, 2, 0)),
    ((3, 4), lambda m, x: m.diagonal(x, 9)),
    ((3, 4), lambda m, x: m.diag(x, 1)),
    ((3,), lambda m, x: m.diag(x, -1)),
    ((2, 3), lambda m, x: m.diag_embed(x, 1, 0, 2)),
    ((2, 3), lambda m, x: m.diag_embed(x, -1, 2, 0)),
    ((2, 3), lambda m, x: m.diagflat(x, 1)),
    ((2, 3, 4), lambda m, x: m.tril(x, -1)),
    ((2, 3, 4), lambda m, x: m.triu(x, 1)),
    ((3, 4), lambda m, x: m.trace(x)),
    ((3,), lambda m, x: m.meshgrid(x, x[:2], indexing="ij")),
    ((3,), lambda m, x: m.meshgrid(x, x[:2], x[0], indexing="xy")),
    ((3,), lambda m, x: m.meshgrid(x, x[:2], indexing="xy")),
    ((), lambda m, x: m.atleast_1d(x)),
    ((3,), lambda m, x: m.atleast_2d(x, x[0])),
    ((3,), lambda m, x: m.atleast_3d([x, x[0], x.expand(2, 3)])),
    ((2, 3), lambda m, x: m.constant_pad_nd(x, (1, -1, 2, 0), 2.5)),
]


@pytest.mark.parametrize("shape, f", CASES)
def test_as_pytorch(shape, f):
    agree_in_both(f, numbers(*shape))


@pytest.mark.parametrize(
    "shape, amounts, options",
    [
        ((2, 3), (1, 2), {}),
        ((2, 3), (1, 2, -1, 3), {"value": 2.0}),
        ((2, 3), (-1, 2), {"value": -0.0}),
        ((2, 3), (0, 0), {"value": 5.0}),
        ((2, 3), (-2, -1), {}),
        ((1, 2, 3, 4), (1, 0, 0, 1, 2, 2, 1, 1), {"value": float("nan")}),
        ((2, 3), (2, 1), {"mode": "reflect"}),
        ((2, 3), (5, 1), {"mode": "replicate"}),
        ((2, 3), (3, 1), {"mode": "circular"}),
        ((2, 3), (1, -1), {"mode": "reflect"}),
        ((2, 3), (1, -1), {"mode": "replicate"}),
        ((2, 3, 4, 5), (1, 2, 3, 1), {"mode": "circular"}),
        ((2, 4, 5), (1, 2, 3, 1), {"mode": "reflect"}),
        ((2, 3, 4, 5), (1, 2, 0, 6), {"mode": "replicate"}),
        ((1, 2, 3, 4, 5), (1, 2, 3, 1, 2, 1), {"mode": "reflect"}),
        ((2, 3, 4, 5), (1, 2, 3, 1, 3, 1), {"mode": "replicate"}),
    ],
)
def test_padding(shape, amounts, options):
    torch = pytest.importorskip("torch")
    there = torch.nn.functional.pad
    agree_in_both(
        lambda m, x: (pad if m is ad else there)(x, amounts, **options), numbers(*shape)
    )


def test_padding_of_integers_and_its_second_order():
    x = ad.tensor([[1, 2]])
    assert pad(x, (1, 1), value=7).tolist() == [[7, 1, 2, 7]]
    assert pad(x.bool(), (1, 0), value=1).tolist() == [[True, True, True]]
    leaf = ad.tensor(numbers(2, 3), requires_grad=True)
    for mode in ("constant", "reflect", "replicate", "circular"):
        assert ad.gradgradcheck(lambda x, m=mode: pad(x, (1, 2), mode=m) ** 2, (leaf,))


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x.diagonal(),
        lambda x: x.unfold(0, 2, 2),
        lambda x: x.as_strided((2, 2), (4, 1), 1),
        lambda x: x.t(),
        lambda x: x.narrow(0, 1, 2),
        lambda x: x.select(1, 2),
        lambda x: x.movedim(0, 1)[1],
        lambda x: x.unflatten(1, (2, 2)).select(1, 0),
        lambda x: x.flatten().view(2, 8)[1],
    ],
)
def test_views_share_memory_and_writes_differentiate(view):
    x = ad.zeros(4, 4)
    view(x).fill_(3.0)
    assert float(x.sum()) == 3.0 * view(x).numel()
    agree_in_both(lambda m, x: _written(x, view), numbers(4, 4))


def _written(x, view):
    y = x * 1
    part = view(y)
    part.mul_(2.0)
    return y * y


def test_pieces_are_views():
    x = ad.zeros(4, 4)
    x.split(2)[1].fill_(1.0)
    x.tensor_split(2, 1)[0].mul_(2.0)
    x.hsplit(2)[1].t().add_(5.0)
    x.unbind(1)[3].zero_()
    assert x.tolist() == [[0, 0, 5, 0], [0, 0, 5, 0], [2, 2, 6, 0], [2, 2, 6, 0]]


def test_in_place_shapes():
    x = ad.arange(6).reshape(2, 3).clone()
    first = x.data_ptr()
    assert x.t_() is x and tuple(x.shape) == (3, 2) and x.data_ptr() == first
    assert tuple(x.unsqueeze_(0).shape) == (1, 3, 2)
    assert tuple(x.transpose_(0, 2).shape) == (2, 3, 1)
    assert tuple(x.squeeze_().shape) == (2, 3)
    assert tuple(x.swapdims_(0, 1).shape) == (3, 2)
    agree_in_both(lambda m, x: (x * 2).t_() * m.arange(6).reshape(3, 2), numbers(2, 3))

    def through_a_view(m, x):
        y = x * 2
        v = y[0].unsqueeze_(1)
        v.mul_(3)
        return y * y

    agree_in_both(through_a_view, numbers(2, 3))
    with pytest.raises(RuntimeError, match="leaf Variable"):
        ad.ones(2, 2, requires_grad=True).t_()


def test_view_in_another_dtype():
    x = ad.tensor([[1.0, 2.0]])
    assert x.view(ad.int32).tolist() == x.numpy().view(np.int32).tolist()
    assert tuple(x.view(ad.int16).shape) == (1, 4)
    assert tuple(x.view(ad.float64).shape) == (1, 1)
    x.view(ad.int32).zero_()
    assert x.tolist() == [[0.0, 0.0]]
    with pytest.raises(RuntimeError, match="must be divisible by 2"):
        ad.ones(3).view(ad.float64)
    with pytest.raises(RuntimeError, match="0-dim"):
        ad.tensor(1.0).view(ad.float64)
    with pytest.raises(RuntimeError, match="not a view"):
        ad.ones(2, 3).t().view(6)


def test_dtypes():
    assert ad.cat([ad.ones(2), ad.arange(2)]).dtype == ad.float32
    assert ad.stack([ad.tensor(True), ad.tensor(2)]).dtype == ad.int64
    assert ad.trace(ad.ones(2, 2, dtype=ad.int32)).dtype == ad.int64
    half = ad.ones(3, 3, dtype=ad.float16)
    assert ad.tril(half).dtype == ad.diag_embed(half).dtype == ad.float16
    assert ad.tril(ad.ones(2, 2, dtype=ad.bool)).tolist() == [[True, False], [True] * 2]
    assert ad.repeat_interleave(ad.tensor([2, 0, 1])).tolist() == [0, 0, 2]
    assert ad.broadcast_shapes((2, 1), 3) == (2, 3)
    assert ad.is_nonzero(ad.tensor(2.0)) and not ad.is_nonzero(ad.tensor(0))


@pytest.mark.parametrize(
    "shape, f",
    [
        ((3, 4), lambda x: x.diagonal(1)),
        ((3, 4), lambda x: ad.diag_embed(x, 1)),
        ((3, 4), lambda x: x.unfold(1, 3, 1)),
        ((3, 4), lambda x: x.as_strided((2, 3), (2, 1), 1)),
        ((3, 4), lambda x: x.roll((1, 2), (0, 1))),
        ((3, 4), lambda x: ad.tril(x, 1)),
        ((3, 4), lambda x: x.repeat(2, 1)),
        ((3, 4), lambda x: x.repeat_interleave(ad.tensor([2, 0, 1]), 0)),
        ((3, 4), lambda x: x.rot90()),
        ((3, 4), lambda x: pad(x, (1, 1), value=3.0)),
        ((3, 4), lambda x: pad(x, (1, 1), mode="reflect")),
        ((3, 4), lambda x: x.trace()),
        ((3, 4), lambda x: ad.hstack([x, x])),
        ((3, 4), lambda x: x.squeeze(0).flatten()),
    ],
)
def test_batched(shape, f):
    x = numbers(5, *shape)
    got = ad.vmap(f)(ad.tensor(x)).numpy()
    want = np.stack([f(ad.tensor(row)).numpy() for row in x])
    np.testing.assert_allclose(got, want)


ERRORS = [
    (lambda x: x.expand(-1, 2, 3), "leading, non-existing"),
    (lambda x: x.expand(3), "must not be smaller"),
    (lambda x: x.expand(4, 3), "must match the existing size"),
    (lambda x: x.reshape(4), "invalid for input of size 6"),
    (lambda x: x.reshape(-1, -1), "only one dimension"),
    (lambda x: x.permute(0, 0), "not an order"),
    (lambda x: x.transpose(0, 2), "out of range"),
    (lambda x: x.movedim((0, 1), (0, 0)), "twice"),
    (lambda x: ad.t(ad.ones(1, 1, 1)), "at most 2"),
    (lambda x: x.flip(0, 0), "twice"),
    (lambda x: ad.fliplr(x[0]), ">= 2-d"),
    (lambda x: x.roll((1, 2), 0), "must align"),
    (lambda x: x.roll((1, 2)), "must align"),
    (lambda x: x.rot90(1, (0, 0)), "must be different"),
    (lambda x: x.repeat(2), "must not be smaller"),
    (lambda x: x.repeat(2, -1), "must not be negative"),
    (lambda x: x.repeat_interleave(-1), "can not be negative"),
    (lambda x: x.repeat_interleave(ad.tensor([1, 2, 3]), 0), "same size as input"),
    (lambda x: x.repeat_interleave(ad.tensor([1.0, 2]), 0), "must be integers"),
    (lambda x: x.repeat_interleave(2, 0, output_size=5), "not the sum"),
    (lambda x: x.unflatten(1, (2, 2)), "invalid for input of size 3"),
    (lambda x: x.flatten(1, 0), "must not come after"),
    (lambda x: x.unfold(1, 4, 1), "maximum size for tensor at dimension 1 is 3"),
    (lambda x: x.unfold(1, 2, 0), "step > 0"),
    (lambda x: x.as_strided((7,), (1,)), "out of bounds"),
    (lambda x: x.as_strided((7,), (1, 1)), "mismatch in length"),
    (lambda x: x.diagonal(0, 1, 1), "cannot be identical"),
    (lambda x: ad.diag(ad.ones(1, 1, 1)), "1-D or 2-D"),
    (lambda x: ad.trace(x[0]), "expected a matrix"),
    (lambda x: ad.tril(x[0]), "at least 2 dimensions"),
    (lambda x: ad.meshgrid(x), "0-D or 1-D"),
    (lambda x: ad.meshgrid(x[0], indexing="a"), 'must be one of "xy" or "ij"'),
    (lambda x: ad.tensor_split(x, 0), "larger than 0"),
    (lambda x: ad.hsplit(x, 2), "not divisible by the split_size 2"),
    (lambda x: ad.vsplit(x[0], 1), "at least 2 dimension"),
    (lambda x: ad.split(x, 0), "can only be 0"),
    (lambda x: ad.split(x, [1, 2]), "must add up to 2"),
    (lambda x: ad.chunk(ad.tensor(1.0), 1), "at least a 1-dimensional"),
    (lambda x: ad.stack([x, x[0]]), "equal size"),
    (lambda x: ad.cat([x[0], x[0, 0]]), "(at position 1)"),
    (lambda x: ad.cat([x, x[:, :2]]), "must agree in all dims but 0"),
    (lambda x: ad.cat([]), "non-empty"),
    (lambda x: ad.cat(x), "tuple or list"),
    (lambda x: ad.select(x, 0, 2), "out of range"),
    (lambda x: ad.narrow(x, 0, 1, 2), "exceed the size"),
    (lambda x: ad.broadcast_tensors(x, ad.ones(2)), "do not broadcast"),
    (lambda x: ad.adjoint(x[0]), "only supported on matrices"),
    (lambda x: x.is_nonzero(), "ambiguous"),
    (lambda x: pad(x, (1,)), "divisible by 2"),
    (lambda x: pad(x, (1,) * 6), "two times the input dimension"),
    (lambda x: pad(x, (1, 1), mode="z"), "Unrecognised padding mode"),
    (lambda x: pad(x, (1, 1), "reflect", 2), "doesn't take in value"),
    (lambda x: pad(x, (3, 1), "reflect"), "at most 2"),
    (lambda x: pad(x, (4, 1), "circular"), "at most 3"),
    (lambda x: pad(x[0], (1, 1), "replicate"), "not supported for 1D"),
    (lambda x: pad(x, (-2, -2)), "negative sizes"),
    (
        lambda x: x.permute(1, 0, dims=(0, 1)),
        "by position, (1, 0), and by name, (0, 1)",
    ),
    (lambda x: ad.zeros(2, size=(2,)), "by position, (2,), and by name, (2,)"),
]


@pytest.mark.parametrize("call, text", ERRORS)
def test_errors(call, text):
    with pytest.raises(Exception) as caught:
        call(ad.arange(6).float().reshape(2, 3))
    assert type(caught.value).__module__ == "adjoint.errors", caught.value
    assert text in str(caught.value)


def test_strided_reads_of_an_expanded_cotangent_stay_inside_its_memory():
    x = ad.ones(2, 3, dtype=ad.float64, requires_grad=True)
    places = {"size": (2, 3), "stride": (1, 2), "offset": 1}
    y = ad.op.strided_add(x, shape=(3, 4), **places)
    (gx,) = ad.autograd.grad(y.sum(), x)
    assert gx.tolist() == [[1.0] * 3] * 2
