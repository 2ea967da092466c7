"""MultiheadAttention: against PyTorch over its options, and against one head by hand."""

import itertools
import warnings

import numpy as np
import pytest

import adjoint as ad
from adjoint import nn
from peers import numbers

N, HEADS, E, T, S = 2, 2, 4, 3, 5


def twin(**options):
    """Our layer and PyTorch's with the same parameters, in float64."""
    torch = pytest.importorskip("torch")
    ours = nn.MultiheadAttention(E, HEADS, **options).double()
    for i, p in enumerate(ours.parameters()):
        p.data = ad.tensor(numbers(*p.shape, seed=i))
    theirs = torch.nn.MultiheadAttention(E, HEADS, **options).double()
    state = {k: torch.tensor(v.numpy()) for k, v in ours.state_dict().items()}
    theirs.load_state_dict(state)
    back = {k: ad.tensor(v.numpy()) for k, v in theirs.state_dict().items()}
    assert str(ours.load_state_dict(back)) == "<All keys matched successfully>"
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert repr(ours) == repr(theirs)
    return ours, theirs


def compare(nets, xs, masks=None, same=False, **options):
    """Results, weights and all gradients."""
    torch = pytest.importorskip("torch")
    found = []
    for lib, net in zip((ad, torch), nets, strict=True):
        leaves = [lib.tensor(x, requires_grad=True) for x in xs]
        given = {k: lib.tensor(m) for k, m in (masks or {}).items()}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            qkv = leaves * 3 if same else leaves
            ys = [y for y in net(*qkv, **given, **options) if y is not None]
        sum((y * lib.tensor(numbers(*y.shape, seed=7))).sum() for y in ys).backward()
        grads = [x.grad for x in (*leaves, *net.parameters()) if x.grad is not None]
        found.append([*(y.detach() for y in ys), *grads])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), 1e-9, 1e-11)


def inputs(first=False, kdim=E, vdim=E):
    xs = numbers(T, N, E), numbers(S, N, kdim, seed=1), numbers(S, N, vdim, seed=2)
    return [x.swapaxes(0, 1) for x in xs] if first else list(xs)


@pytest.mark.parametrize(
    "bias,bias_kv,zero,first", [*itertools.product(*[(False, True)] * 4)]
)
def test_options_are_torchs(bias, bias_kv, zero, first):
    nets = twin(bias=bias, add_bias_kv=bias_kv, add_zero_attn=zero, batch_first=first)
    compare(nets, inputs(first))
    compare(nets, inputs(first), need_weights=False)
    compare(nets, inputs(first)[:1], same=True, average_attn_weights=False)


@pytest.mark.parametrize("dims", [(3, 5), (E, 3), (3, E)])
def test_other_sizes_of_keys_and_values(dims):
    nets = twin(kdim=dims[0], vdim=dims[1])
    compare(nets, inputs(False, *dims))
    compare(nets, [x[:, 0] for x in inputs(False, *dims)])


ATTENTION = {
    "bool": numbers(T, S, seed=3) > 0.5,
    "added": numbers(T, S, seed=3),
    "each head": numbers(N * HEADS, T, S, seed=4) > 1,
    "each head, added": numbers(N * HEADS, T, S, seed=4),
}
PADDING = {
    "bool": np.array([[False] * 5, [False] * 3 + [True] * 2]),
    "added": numbers(N, S, seed=5),
}


@pytest.mark.parametrize("attention", [None, *ATTENTION])
@pytest.mark.parametrize("padding", [None, *PADDING])
@pytest.mark.parametrize("extra", [False, True])
def test_masks_are_torchs(attention, padding, extra):
    nets = twin(add_bias_kv=extra, add_zero_attn=extra)
    masks = {}
    if attention:
        masks["attn_mask"] = ATTENTION[attention]
    if padding:
        masks["key_padding_mask"] = PADDING[padding]
    compare(nets, inputs(), masks)
    compare(nets, inputs(), masks, need_weights=False)


@pytest.mark.parametrize("weights", [False, True])
def test_added_masks_have_gradients(weights):
    torch, nets = pytest.importorskip("torch"), twin()
    found = []
    for lib, net in zip((ad, torch), nets, strict=True):
        x = lib.tensor(inputs()[0])
        masks = [numbers(T, T, seed=5), numbers(N, T, seed=6)]
        masks = [lib.tensor(m, requires_grad=True) for m in masks]
        net(x, x, x, masks[1], weights, masks[0])[0].square().sum().backward()
        found.append([m.grad for m in masks])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), 1e-9, 1e-11)


def test_single_precision_masks_serve_all():
    mask = nn.Transformer.generate_square_subsequent_mask(T)
    for d in (ad.float64, ad.bfloat16):
        layer, x = nn.MultiheadAttention(E, HEADS).to(d), ad.ones(T, N, E, dtype=d)
        assert layer(x, x, x, attn_mask=mask)[0].dtype == d
    with pytest.raises(RuntimeError, match="bool, float32 or bfloat16, got float64"):
        layer(x, x, x, attn_mask=mask.double())


def test_one_sequence():
    nets = twin(batch_first=True)
    xs = [x[:, 0] for x in inputs()]
    compare(nets, xs)
    compare(nets, xs[:1], same=True)
    masks = {"key_padding_mask": PADDING["bool"][1], "attn_mask": ATTENTION["bool"]}
    compare(nets, xs, masks, average_attn_weights=False)
    compare(nets, xs, {"attn_mask": ATTENTION["each head"][:HEADS]}, need_weights=False)


def test_causal_hint():
    nets = twin()
    mask = {"attn_mask": np.triu(np.full((T, T), -np.inf), 1)}
    x = inputs()[:1]
    for weights in (False, True):
        compare(nets, x, mask, same=True, is_causal=True, need_weights=weights)
    y = nets[0](*[ad.tensor(x[0])] * 3, attn_mask=ad.tensor(mask["attn_mask"]))[1]
    assert not np.triu(y.detach().numpy(), 1).any()


def test_function():
    torch = pytest.importorskip("torch")
    q, k, v = inputs()
    w, b, out = numbers(3 * E, E), numbers(3 * E), numbers(E, E, seed=5)
    static = [numbers(N * HEADS, S, E // HEADS, seed=i) for i in (6, 7)]
    found = []
    for lib in (ad, torch):
        f, t = lib.nn.functional.multi_head_attention_forward, lib.tensor
        proj = t(w), t(b), None, None, False, 0.0, t(out), None
        for kind in ({}, {"static_k": t(static[0]), "static_v": t(static[1])}):
            found.append(f(t(q), t(k), t(v), E, HEADS, *proj, **kind))
    for ours, theirs in zip(found[:2], found[2:], strict=True):
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), 1e-9)


# ---------------------------------------------------------------- without PyTorch


def test_one_head_by_hand():
    layer = nn.MultiheadAttention(E, 1, bias=False).double()
    q, k, v = inputs()
    y, weights = layer(*map(ad.tensor, (q, k, v)))
    wq, wk, wv = np.split(layer.in_proj_weight.detach().numpy(), 3)
    for i in range(N):
        scores = (q[:, i] @ wq.T) @ (k[:, i] @ wk.T).T / E**0.5
        w = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
        want = w @ (v[:, i] @ wv.T) @ layer.out_proj.weight.detach().numpy().T
        np.testing.assert_allclose(y[:, i].detach().numpy(), want, 1e-10)
        np.testing.assert_allclose(weights[i].detach().numpy(), w, 1e-10)


def test_two_derivatives():
    ad.manual_seed(0)
    layer = nn.MultiheadAttention(2, 2, add_bias_kv=True).double()
    names, params = zip(*layer.named_parameters(), strict=True)
    mask = ad.tensor([[False, True], [False, False]])

    def f(x, *params):
        given = dict(zip(names, params, strict=True))
        return ad.func.functional_call(layer, given, (x, x, x), {"attn_mask": mask})

    x = ad.tensor(numbers(2, 1, 2), requires_grad=True)
    leaves = [p.detach().requires_grad_() for p in params]
    assert ad.gradcheck(f, (x, *leaves))
    assert ad.gradgradcheck(f, (x, *leaves))


def test_a_query_without_keys_gets_0():
    layer = nn.MultiheadAttention(E, HEADS, bias=False).double()
    x = ad.tensor(inputs()[0], requires_grad=True)
    padding = ad.tensor([[False] * T, [True] * T])
    for mask in (padding, ad.where(padding, -np.inf, 0.0).double()):
        for weights in (False, True):
            options = {"key_padding_mask": mask, "need_weights": weights}
            y = layer(x, x, x, **options)[0]
            assert not y[:, 1].detach().numpy().any()
            y.sum().backward()
            assert np.isfinite(x.grad.numpy()).all()


def test_dropout_in_training_only():
    ad.manual_seed(0)
    layer = nn.MultiheadAttention(E, HEADS, dropout=0.5).double()
    x = ad.tensor(inputs()[0])
    assert not ad.equal(layer(x, x, x)[0], layer(x, x, x)[0])
    layer.eval()
    assert ad.equal(layer(x, x, x)[0], layer(x, x, x)[0])


def test_initial_values():
    layer = nn.MultiheadAttention(64, 4, add_bias_kv=True)
    bound = (6 / (64 + 3 * 64)) ** 0.5
    assert 0.9 * bound < layer.in_proj_weight.abs().max() <= bound
    assert not layer.in_proj_bias.any()
    assert not layer.out_proj.bias.any()
    assert layer.bias_k.std() > 0


@pytest.mark.parametrize("d", ["float16", "bfloat16"])
def test_halves(d):
    layer = nn.MultiheadAttention(E, HEADS).to(getattr(ad, d))
    x = ad.tensor(inputs()[0]).to(getattr(ad, d))
    y = layer(x, x, x, attn_mask=ad.ones(T, T).triu(1).bool())[0]
    assert y.dtype == getattr(ad, d)
    y.sum().backward()
    layer, x = layer.double(), x.double()
    want = layer(x, x, x, attn_mask=ad.ones(T, T).triu(1).bool())[0]
    assert ad.allclose(y.double(), want, atol=0.03)


def test_transforms():
    layer = nn.MultiheadAttention(E, HEADS).double()
    xs = ad.tensor(numbers(4, T, E))
    many = ad.vmap(lambda x: layer(x, x, x)[0])(xs)
    for x, y in zip(xs, many, strict=True):
        assert ad.allclose(layer(x, x, x)[0], y)


LAYER, X = nn.MultiheadAttention(E, HEADS), ad.ones(T, N, E)


@pytest.mark.parametrize(
    "call,kind,text",
    [
        (lambda: nn.MultiheadAttention(0, 1), ValueError, "greater than 0"),
        (lambda: nn.MultiheadAttention(5, 2), ValueError, "divisible"),
        (lambda: LAYER(X[0, 0], X, X), RuntimeError, "received 1-D, 3-D and 3-D"),
        (lambda: LAYER(X[0], X, X), RuntimeError, "received 2-D, 3-D and 3-D"),
        (lambda: LAYER(X[..., :2], X, X), RuntimeError, "dimension of 4, but got 2"),
        (lambda: LAYER(X, X, X[:2]), RuntimeError, "do not match"),
        (lambda: LAYER(X, X[:, :1], X[:, :1]), RuntimeError, "one batch size"),
        (lambda: LAYER(X, X, X, is_causal=True), RuntimeError, "Need attn_mask"),
        (lambda: LAYER(X, X, X, attn_mask=X[0]), RuntimeError, r"\(3, 3\) or \(4, 3"),
        (lambda: LAYER(X, X, X, X[0]), RuntimeError, r"\(2, 4\), but should be \(2, 3"),
        (
            lambda: LAYER(X, X, X, attn_mask=ad.ones(T, T).long()),
            RuntimeError,
            "only bool and floating types",
        ),
        (lambda: LAYER(X, [1], X), TypeError, "'key' must be Tensor, not list"),
    ],
)
def test_bad_input_gives_our_error(call, kind, text):
    with pytest.raises(kind, match=text) as caught:
        call()
    assert isinstance(caught.value, ad.errors.AdjointError)


def test_masks_of_two_types_warn():
    masks = {"attn_mask": ad.zeros(T, T), "key_padding_mask": ad.zeros(N, T).bool()}
    with pytest.warns(UserWarning, match="mismatched"):
        LAYER(X, X, X, **masks)
