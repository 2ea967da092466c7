"""Scaled dot product attention: against PyTorch, masks and dead rows too."""

import numpy as np
import pytest

import adjoint as ad
from adjoint.nn import functional as F
from peers import numbers


def arrays(heads=2, keys=2):
    return [
        numbers(3, heads, 4, 5),
        numbers(3, keys, 6, 5, seed=1),
        numbers(3, keys, 6, 2, seed=2),
    ]


def both(xs, mask=None, **options):
    torch = pytest.importorskip("torch")
    results = []
    for lib, f in ((ad, F), (torch, torch.nn.functional)):
        leaves = [lib.tensor(x, requires_grad=True) for x in xs]
        m = None if mask is None else lib.tensor(mask)
        y = f.scaled_dot_product_attention(*leaves, attn_mask=m, **options)
        y.backward(lib.tensor(numbers(*y.shape, seed=9)))
        results.append([y.detach(), *(x.grad for x in leaves)])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), 1e-9, 1e-12)


@pytest.mark.parametrize("options", [{}, {"scale": 0.3}, {"is_causal": True}])
def test_attention_is_torch(options):
    both(arrays(), **options)
    both([x[0, 0] for x in arrays()], **options)


def test_masks():
    allowed = numbers(4, 6) > 0
    both(arrays(), allowed)
    both(arrays(), numbers(3, 1, 4, 6))
    both(arrays(heads=4), enable_gqa=True)


def test_a_query_without_keys_gets_0():
    q, k, v = (ad.tensor(x, requires_grad=True) for x in arrays())
    mask = np.ones((4, 6), bool)
    mask[1] = False
    y = F.scaled_dot_product_attention(q, k, v, ad.tensor(mask))
    assert not y[:, :, 1].detach().numpy().any()
    y.sum().backward()
    assert np.isfinite(q.grad.numpy()).all()


def test_two_derivatives():
    xs = [ad.tensor(x[0, 0], requires_grad=True) for x in arrays()]
    assert ad.gradcheck(F.scaled_dot_product_attention, tuple(xs))
    assert ad.gradgradcheck(F.scaled_dot_product_attention, tuple(xs))


def test_dropout():
    ad.manual_seed(0)
    q, k, v = ad.zeros(1, 4), ad.zeros(100, 4), ad.ones(100, 1)
    y = F.scaled_dot_product_attention(q, k, v, dropout_p=0.5).item()
    assert y != 1
    assert abs(y - 1) < 0.5


@pytest.mark.parametrize(
    "call,text",
    [
        (lambda q: F.scaled_dot_product_attention(q[0], q, q), "2-D"),
        (lambda q: F.scaled_dot_product_attention(q, ad.ones(3, 2), q), "expects"),
        (lambda q: F.scaled_dot_product_attention(q, q.double(), q), "dtype"),
        (lambda q: F.scaled_dot_product_attention(q, q, q, [1]), "must be Tensor"),
        (
            lambda q: F.scaled_dot_product_attention(
                q, q, q, ad.ones(3, 3).bool(), is_causal=True
            ),
            "exclude",
        ),
    ],
)
def test_bad_input_gives_our_error(call, text):
    with pytest.raises(ad.errors.AdjointError, match=text):
        call(ad.ones(3, 4))
