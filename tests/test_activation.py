"""Activations, softmax, linear maps and distances: against PyTorch, kinks and edges too."""

import numpy as np
import pytest

import adjoint as ad
from adjoint.nn import functional as F
from peers import agree_by_name, leaf, numbers

EDGES = [-1e4, -100.0, -30.0, -6.0, -3.0, -2.0, -1.0, -0.5, -1e-3, -0.0, 0.0, 1e-3, 0.5]
EDGES = np.array([*EDGES, 1.0, 2.0, 3.0, 6.0, 19.9, 20.1, 30.0, 100.0, 1e4])


CASES = [
    ("relu", {}),
    ("relu6", {}),
    ("hardtanh", {}),
    ("hardtanh", {"min_val": -2.0, "max_val": 3.0}),
    ("leaky_relu", {}),
    ("leaky_relu", {"negative_slope": -0.5}),
    ("elu", {}),
    ("elu", {"alpha": 0.7}),
    ("celu", {"alpha": 2.0}),
    ("selu", {}),
    ("gelu", {}),
    ("gelu", {"approximate": "tanh"}),
    ("silu", {}),
    ("mish", {}),
    ("hardsigmoid", {}),
    ("hardswish", {}),
    ("hardshrink", {}),
    ("hardshrink", {"lambd": 1.0}),
    ("softshrink", {}),
    ("softshrink", {"lambd": 2.0}),
    ("tanhshrink", {}),
    ("threshold", {"threshold": 0.5, "value": -3.0}),
    ("softplus", {}),
    ("softplus", {"beta": 2.0, "threshold": 5.0}),
    ("softsign", {}),
    ("logsigmoid", {}),
    ("sigmoid", {}),
    ("tanh", {}),
]


@pytest.mark.parametrize("name,options", CASES)
def test_activation_is_torch_at_kinks_and_far_out(name, options):
    tol = 1e-7 if name == "hardsigmoid" else 1e-10  # theirs has a float32 1/6
    agree_by_name(name, [EDGES], tol=tol, **options)
    agree_by_name(name, [numbers(2, 3, 4)], tol=tol, **options)
    agree_by_name(name, [np.zeros((0, 3))], **options)


@pytest.mark.parametrize("name,options", CASES)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_activation_keeps_the_dtype(name, options, dtype):
    torch = pytest.importorskip("torch")
    if dtype == "bfloat16":
        pytest.importorskip("ml_dtypes")
    x = np.array([-3.5, -1.0, -0.25, 0.0, 0.5, 2.0])
    y = getattr(F, name)(ad.tensor(x).to(getattr(ad, dtype)), **options)
    want = getattr(pytest.importorskip("torch.nn.functional"), name)(
        torch.tensor(x).to(getattr(torch, dtype)), **options
    )
    assert str(y.dtype).split(".")[1] == dtype
    tol = {"float16": 3e-3, "bfloat16": 2e-2, "float32": 1e-6}[dtype]
    np.testing.assert_allclose(
        y.to(ad.float64).numpy(), want.to(torch.float64).numpy(), tol, tol
    )


@pytest.mark.parametrize("name,options", CASES)
def test_activation_at_nan_is_nan(name, options):
    y = getattr(F, name)(ad.tensor([np.nan]), **options)
    assert np.isnan(y.item())


@pytest.mark.parametrize("name,options", CASES)
def test_second_derivatives(name, options):
    x = leaf(np.array([-4.3, -1.7, -0.3, 0.2, 0.8, 1.9, 7.0]))
    assert ad.gradcheck(lambda x: getattr(F, name)(x, **options), (x,))
    assert ad.gradgradcheck(lambda x: getattr(F, name)(x, **options), (x,))


IN_PLACE = ["relu", "relu6", "hardtanh", "leaky_relu", "elu", "celu", "selu", "silu"]


@pytest.mark.parametrize("name", [*IN_PLACE, "mish", "hardsigmoid", "hardswish"])
def test_in_place(name):
    f = getattr(F, name)
    x = leaf(numbers(5))
    y = x * 1
    z = f(y, inplace=True)
    assert z is y
    np.testing.assert_array_equal(y.detach().numpy(), f(x).detach().numpy())
    z.sum().backward()
    got, x.grad = x.grad, None
    f(x).sum().backward()
    np.testing.assert_allclose(got.numpy(), x.grad.numpy())


def test_in_place_names():
    x = ad.tensor([-1.0, 2.0])
    assert ad.relu_(x) is x
    assert x.tolist() == [0.0, 2.0]
    assert F.leaky_relu_(ad.tensor([-1.0]), 0.5).tolist() == [-0.5]


def test_integers():
    x = ad.tensor([-3, 0, 9])
    assert F.relu(x).tolist() == [0, 0, 9]
    assert F.relu6(x).tolist() == [0, 0, 6]
    for f in (F.elu, F.gelu, F.silu, F.softplus, F.leaky_relu, F.hardshrink):
        with pytest.raises(ad.errors.DtypeError, match="int64"):
            f(x)


@pytest.mark.parametrize("shape", [(5,), (4, 3), (2, 3, 4), (2, 3, 2, 2)])
def test_prelu_is_torch(shape):
    agree_by_name("prelu", [numbers(*shape), np.array([0.3])])
    if len(shape) > 1:
        agree_by_name("prelu", [numbers(*shape), numbers(3)])
    agree_by_name("prelu", [np.array([0.0, -1.0]), np.array([0.25])])


def test_prelu_refuses_other_counts():
    with pytest.raises(ad.errors.ShapeError, match="channel"):
        F.prelu(ad.ones(2, 3), ad.ones(2))


@pytest.mark.parametrize("dim", [0, 1, -1])
@pytest.mark.parametrize("name", ["softmax", "log_softmax", "softmin"])
def test_softmax_is_torch(name, dim):
    agree_by_name(name, [numbers(3, 4, 5)], dim)
    agree_by_name(name, [1e4 * numbers(3, 4)], dim % 2)
    agree_by_name(name, [np.zeros((0, 3))], dim % 2)
    agree_by_name(name, [np.array(2.0)], 0)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_at_infinities(name):
    torch = pytest.importorskip("torch")
    x = np.array([[0.0, -np.inf], [-np.inf, -np.inf], [np.inf, 0.0], [np.nan, 1.0]])
    want = getattr(torch, name)(torch.tensor(x), 1)
    np.testing.assert_array_equal(getattr(ad, name)(ad.tensor(x), 1), want)


def test_softmax_dtype_and_method():
    x = ad.tensor([1, 2])
    assert x.softmax(0).dtype is ad.float32
    assert ad.softmax(x, 0, dtype=ad.float64).dtype is ad.float64
    assert ad.log_softmax(x, dim=-1, dtype=ad.float64).dtype is ad.float64
    assert ad.tensor([1.0, 2.0]).half().softmax(0).dtype is ad.float16
    with pytest.warns(UserWarning, match="Implicit dimension"):
        assert F.softmax(ad.zeros(2, 3)).sum(1).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("f", [ad.softmax, ad.log_softmax])
def test_softmax_transforms(f):
    x = ad.tensor(numbers(3, 4))
    assert ad.gradgradcheck(lambda x: f(x, 1), (leaf(numbers(2, 3)),))
    got = ad.vmap(lambda r: f(r, 0))(x)
    np.testing.assert_allclose(got.numpy(), f(x, 1).numpy())
    forward = ad.jacfwd(lambda r: f(r, 0))(x[0])
    np.testing.assert_allclose(forward, ad.jacrev(lambda r: f(r, 0))(x[0]))


def test_glu_is_torch():
    agree_by_name("glu", [numbers(4, 6)])
    agree_by_name("glu", [numbers(4, 6)], 0)
    with pytest.raises(ad.errors.ShapeError, match="even"):
        F.glu(ad.ones(3))


def test_linear_is_torch():
    agree_by_name("linear", [numbers(4, 3), numbers(5, 3), numbers(5)])
    agree_by_name("linear", [numbers(2, 4, 3), numbers(5, 3)])
    agree_by_name("linear", [numbers(3), numbers(5, 3), numbers(5)])
    agree_by_name("linear", [numbers(4, 3), numbers(3)])
    agree_by_name("linear", [numbers(0, 3), numbers(5, 3), numbers(5)])
    with pytest.raises(ad.errors.ShapeError, match=r"x.shape\[-1\]"):
        F.linear(ad.ones(2, 3), ad.ones(4, 2))
    with pytest.raises(ad.errors.DtypeError, match="float64"):
        F.linear(ad.ones(2, 3), ad.ones(4, 3).double())


def test_bilinear_is_torch():
    agree_by_name(
        "bilinear", [numbers(4, 3), numbers(4, 2), numbers(5, 3, 2), numbers(5)]
    )
    agree_by_name("bilinear", [numbers(2, 4, 3), numbers(2, 4, 2), numbers(5, 3, 2)])
    with pytest.raises(ad.errors.ShapeError, match="weight"):
        F.bilinear(ad.ones(2, 3), ad.ones(2, 3), ad.ones(4, 2, 3))


@pytest.mark.parametrize("p", [2.0, 1, 3, 0.5, float("inf")])
def test_normalize_and_distances_are_torch(p):
    agree_by_name("normalize", [numbers(3, 4)], p)
    agree_by_name("normalize", [numbers(3, 4)], p, dim=0)
    agree_by_name("pairwise_distance", [numbers(3, 4), numbers(3, 4, seed=1)], p)
    agree_by_name(
        "pairwise_distance", [numbers(3, 4), numbers(4, seed=1)], p, keepdim=True
    )
    agree_by_name("pdist", [numbers(5, 3)], p)


def test_distances_at_zero_have_a_derivative():
    x = leaf(np.zeros((3, 2)))
    F.pdist(x).sum().backward()
    assert x.grad.tolist() == [[0.0, 0.0]] * 3
    agree_by_name("normalize", [np.zeros((2, 3))])
    agree_by_name("cosine_similarity", [np.zeros((2, 3)), numbers(2, 3)])


def test_cosine_similarity_is_torch():
    agree_by_name("cosine_similarity", [numbers(3, 4), numbers(3, 4, seed=1)])
    agree_by_name("cosine_similarity", [numbers(3, 4), numbers(4, seed=1)], dim=-1)
    x = leaf(numbers(2, 3))
    assert ad.gradgradcheck(F.cosine_similarity, (x, leaf(numbers(2, 3, seed=1))))


def test_rrelu():
    agree_by_name("rrelu", [EDGES])
    ad.manual_seed(0)
    x = leaf(-np.ones(2000))
    y = F.rrelu(x, 0.2, 0.6, training=True)
    slopes = -y.detach().numpy()
    assert ((slopes >= 0.2) & (slopes <= 0.6)).all()
    assert abs(slopes.mean() - 0.4) < 0.02
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), slopes)
    with pytest.raises(ad.errors.ArgumentError, match="lower"):
        F.rrelu(x, 0.5, 0.2)


def test_gumbel_softmax():
    ad.manual_seed(0)
    logits = leaf(np.log(np.tile([0.1, 0.3, 0.6], (4000, 1))))
    y = F.gumbel_softmax(logits, tau=0.5)
    np.testing.assert_allclose(y.detach().numpy().sum(1), 1)
    hard = F.gumbel_softmax(logits, hard=True)
    assert set(np.unique(hard.detach().numpy().round(12))) == {0.0, 1.0}
    np.testing.assert_allclose(
        hard.detach().numpy().mean(0), [0.1, 0.3, 0.6], atol=0.03
    )
    hard[:, 0].sum().backward()
    assert np.isfinite(logits.grad.numpy()).all()
    assert logits.grad.numpy().any()


BAD = [
    (lambda x: F.elu(x, alpha="1"), "must be Number"),
    (lambda x: F.softmax(x, 0, dtype="x"), "dtype"),
    (lambda x: F.softmax(x, dim=2), "out of range"),
    (lambda x: F.gelu(x, approximate="sigmoid"), "approximate"),
    (lambda x: F.hardtanh(x, 2.0, 1.0), "min_val"),
    (lambda x: F.linear(None, x), "must be Tensor"),
    (lambda x: F.normalize(x, p="2"), "must be Number"),
    (lambda x: F.relu([1.0]), "must be Tensor"),
]


@pytest.mark.parametrize("call,text", BAD)
def test_bad_input_gives_our_error(call, text):
    with pytest.raises(ad.errors.AdjointError, match=text):
        call(ad.ones(2, 3))


BENT = {
    "relu": F.relu,
    "leaky_relu": F.leaky_relu,
    "prelu": lambda x: F.prelu(x, ad.tensor([0.2])),
    "rrelu": lambda x: F.rrelu(x, training=True),
    "relu6": F.relu6,
    "hardtanh": F.hardtanh,
    "hardsigmoid": F.hardsigmoid,
    "threshold": lambda x: F.threshold(x, 0.1, 7.0),
    "softshrink": F.softshrink,
    "hardshrink": F.hardshrink,
}


@pytest.mark.parametrize("name", BENT)
def test_second_derivatives_of_bent_lines_are_zeros_with_a_graph(name):
    x = ad.tensor([-2.0, -0.3, 0.3, 7.0], requires_grad=True)
    (g,) = ad.autograd.grad(BENT[name](x).sum(), x, create_graph=True)
    (h,) = ad.autograd.grad(g.sum(), x)
    assert g.requires_grad and h.tolist() == [0.0] * 4
    assert ad.vmap(ad.grad(ad.grad(BENT["leaky_relu"])))(x).tolist() == [0.0] * 4
