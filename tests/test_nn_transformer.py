"""Transformers: against PyTorch over their options, and by properties of attention."""

import itertools
import warnings

import numpy as np
import pytest

import adjoint as ad
from adjoint import nn
from adjoint.nn import functional as F
from peers import numbers

E, HEADS, HIDDEN, N, S, T = 4, 2, 6, 2, 5, 3


def twins(make):
    """make(nn) of ours and of PyTorch, with the same parameters, in float64."""
    torch = pytest.importorskip("torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours, theirs = make(nn).double(), make(torch.nn).double()
    state = ours.state_dict()
    for i, x in enumerate(state.values()):
        x.copy_(ad.tensor(numbers(*x.shape, seed=i)))
    theirs.load_state_dict({k: torch.tensor(v.numpy()) for k, v in state.items()})
    back = {k: ad.tensor(v.numpy()) for k, v in theirs.state_dict().items()}
    assert str(ours.load_state_dict(back)) == "<All keys matched successfully>"
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert repr(ours) == repr(theirs)
    return ours, theirs


def compare(nets, xs, **masks):
    torch = pytest.importorskip("torch")
    found = []
    for lib, net in zip((ad, torch), nets, strict=True):
        leaves = [lib.tensor(x, requires_grad=True) for x in xs]
        given = {
            k: lib.tensor(m) if isinstance(m, np.ndarray) else m
            for k, m in masks.items()
        }
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            y = net(*leaves, **given)
        (y * lib.tensor(numbers(*y.shape, seed=7))).sum().backward()
        grads = [x.grad for x in (*leaves, *net.parameters())]
        found.append([y.detach(), *grads])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), 1e-8, 1e-10)


def source(first=False):
    x = numbers(S, N, E)
    return x.swapaxes(0, 1) if first else x


def target(first=False):
    x = numbers(T, N, E, seed=1)
    return x.swapaxes(0, 1) if first else x


CAUSAL = np.triu(np.full((S, S), -np.inf), 1)
PADDING = np.array([[False] * S, [False] * 3 + [True] * 2])
OPTIONS = [*itertools.product(*[(False, True)] * 3)]


@pytest.mark.parametrize("first,before,bias", OPTIONS)
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_encoder_layer_is_torchs(first, before, bias, activation):
    def make(nn):
        return nn.TransformerEncoderLayer(
            E, HEADS, HIDDEN, 0.0, activation, 1e-4, first, before, bias
        )

    nets, x = twins(make), source(first)
    compare(nets, [x])
    compare(nets, [x], src_mask=CAUSAL, is_causal=True)
    compare(nets, [x], src_key_padding_mask=PADDING)
    compare(nets, [x], src_mask=CAUSAL, src_key_padding_mask=PADDING)
    compare(nets, [x[0]])


@pytest.mark.parametrize("first,before,bias", OPTIONS)
def test_decoder_layer_is_torchs(first, before, bias):
    def make(nn):
        return nn.TransformerDecoderLayer(
            E,
            HEADS,
            HIDDEN,
            0.0,
            batch_first=first,
            norm_first=before,
            bias=bias,
        )

    nets, xs = twins(make), [target(first), source(first)]
    compare(nets, xs)
    masks = {
        "tgt_mask": CAUSAL[:T, :T] == -np.inf,
        "memory_mask": numbers(T, S) > 1,
        "tgt_key_padding_mask": PADDING[:, S - T :] & (np.arange(T) > 1),
        "memory_key_padding_mask": PADDING,
    }
    compare(nets, xs, **masks)
    compare(nets, xs, tgt_mask=CAUSAL[:T, :T], tgt_is_causal=True)


@pytest.mark.parametrize("name", ["GELU", "SiLU"])
def test_activation_that_is_a_module(name):
    def make(nn):
        layer = nn.TransformerEncoderLayer(
            E, HEADS, HIDDEN, 0.0, activation=getattr(nn, name)()
        )
        return nn.TransformerEncoder(layer, 2, nn.LayerNorm(E))

    compare(twins(make), [source()], mask=CAUSAL)


@pytest.mark.parametrize("first,before,bias", OPTIONS)
def test_transformer_is_torchs(first, before, bias):
    def make(nn):
        return nn.Transformer(
            E,
            HEADS,
            2,
            2,
            HIDDEN,
            0.0,
            batch_first=first,
            norm_first=before,
            bias=bias,
        )

    nets, xs = twins(make), [source(first), target(first)]
    compare(nets, xs)
    compare(
        nets,
        xs,
        src_mask=CAUSAL,
        tgt_mask=CAUSAL[:T, :T],
        src_key_padding_mask=PADDING,
        memory_key_padding_mask=PADDING,
    )


def test_parts_of_ones_own():
    def make(nn):
        return nn.Transformer(E, HEADS, 1, 1, HIDDEN, custom_encoder=nn.Identity())

    net = make(nn)
    assert isinstance(net.encoder, nn.Identity)
    assert net.decoder.num_layers == 1


# ---------------------------------------------------------------- without PyTorch


def test_causal_mask_hides_the_future():
    mask = nn.Transformer.generate_square_subsequent_mask(S, dtype=ad.float64)
    np.testing.assert_array_equal(mask.numpy(), CAUSAL)
    layer = nn.TransformerEncoderLayer(E, HEADS, HIDDEN, dropout=0.0).double()
    x = ad.tensor(source(), requires_grad=True)
    (layer(x, src_mask=mask)[2] ** 3).sum().backward()  # a norm's own sum is constant
    assert x.grad[:3].abs().sum() > 0
    assert x.grad[3:].abs().sum() == 0


def test_a_layer_is_its_parts():
    layer = nn.TransformerEncoderLayer(E, HEADS, HIDDEN, dropout=0.0, norm_first=True)
    x = ad.randn(S, N, E)
    h = x + layer.self_attn(*[layer.norm1(x)] * 3)[0]
    y = h + layer.linear2(F.relu(layer.linear1(layer.norm2(h))))
    assert ad.allclose(layer(x), y, atol=1e-6)


def test_attention_does_not_see_order():
    net = nn.TransformerEncoder(
        nn.TransformerEncoderLayer(E, HEADS, HIDDEN, dropout=0.0), 2, nn.LayerNorm(E)
    )
    x = ad.randn(S, N, E)
    assert ad.allclose(net(x.flip(0)), net(x).flip(0), atol=1e-5)


def test_layers_are_copies():
    layer = nn.TransformerDecoderLayer(E, HEADS, HIDDEN)
    net = nn.TransformerDecoder(layer, 3)
    assert len({id(p) for p in net.parameters()}) == 3 * len(list(layer.parameters()))
    state = net.layers[2].state_dict()
    assert all(ad.equal(x, state[k]) for k, x in layer.state_dict().items())


def test_dropout_in_training_only():
    ad.manual_seed(0)
    layer, x = nn.TransformerEncoderLayer(E, HEADS, HIDDEN, 0.5), ad.randn(S, N, E)
    assert not ad.equal(layer(x), layer(x))
    layer.eval()
    assert ad.equal(layer(x), layer(x))
    assert [m.p for m in layer.modules() if isinstance(m, nn.Dropout)] == [0.5] * 3
    assert layer.self_attn.dropout == 0.5


def test_two_derivatives():
    ad.manual_seed(0)
    options = {"dropout": 0.0, "activation": "gelu"}
    layer = nn.TransformerDecoderLayer(2, 1, 3, **options).double()
    xs = [ad.tensor(x[:2, :1, :2], requires_grad=True) for x in (target(), source())]
    assert ad.gradcheck(layer, tuple(xs))
    assert ad.gradgradcheck(layer, tuple(xs))


def test_it_learns_to_copy():
    """Three symbols reversed: a decoder with memory gets there in few steps."""
    ad.manual_seed(0)
    net = nn.Transformer(16, 2, 1, 1, 32, 0.0, batch_first=True)
    table, out = nn.Embedding(5, 16), nn.Linear(16, 5)
    place = ad.randn(4, 16)
    params = [p for m in (net, table, out) for p in m.parameters()]
    opt = ad.optim.Adam(params, lr=3e-3)
    x = ad.randint(1, 5, (32, 4))
    given = ad.cat([ad.zeros(32, 1).long(), x.flip(1)[:, :-1]], 1)
    mask = nn.Transformer.generate_square_subsequent_mask(4)
    losses = []
    for _ in range(60):
        opt.zero_grad()
        y = out(net(table(x) + place, table(given) + place, tgt_mask=mask))
        loss = F.cross_entropy(y.reshape(-1, 5), x.flip(1).reshape(-1))
        loss.backward()
        opt.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]


NET = nn.Transformer(E, HEADS, 1, 1, HIDDEN)


@pytest.mark.parametrize(
    "call,text",
    [
        (lambda: NET(ad.ones(3, 2, E), ad.ones(3, 1, E)), "batch number .* 2 and 1"),
        (lambda: NET(ad.ones(3, 2, 3), ad.ones(3, 2, 3)), r"d_model \(4\), got 3"),
        (lambda: nn.TransformerEncoderLayer(4, 2, activation="tan"), "not tan"),
        (lambda: nn.TransformerEncoderLayer(4, 3), "divisible"),
    ],
)
def test_bad_input_gives_our_error(call, text):
    with pytest.raises(ad.errors.AdjointError, match=text):
        call()
