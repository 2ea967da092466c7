"""nn.init: exact laws where there are any, distributions else, against PyTorch's formulas."""

import math

import numpy as np
import pytest

import adjoint as ad
from adjoint import nn
from adjoint.nn import init

WEIGHT = (60, 50, 3)  # fan in 150, fan out 180
N = math.prod(WEIGHT)


def drawn(f, *args, shape=WEIGHT, **options):
    """The numbers of a law, which must come in place, again for the same seed."""
    ad.manual_seed(3)
    w = ad.empty(shape)
    before = w.data_ptr()
    assert f(w, *args, **options) is w
    assert w.data_ptr() == before
    first = w.numpy().copy()
    ad.manual_seed(3)
    f(w, *args, **options)
    np.testing.assert_array_equal(w.numpy(), first)
    own = ad.Generator().manual_seed(5)
    f(w, *args, generator=own, **options)
    second = w.numpy().copy()
    f(w, *args, generator=ad.Generator().manual_seed(5), **options)
    np.testing.assert_array_equal(w.numpy(), second)
    assert (first != second).any()
    return first.astype("float64").ravel()


def even(x, low, high):
    """Whether numbers are even in [low, high): Kolmogorov's distance."""
    assert low <= x.min()
    assert x.max() <= high
    u = np.sort((x - low) / (high - low))
    return abs(u - np.arange(len(u)) / len(u)).max() < 2 / math.sqrt(len(u))


def bell(x, mean, std):
    """Whether numbers are normal: their distribution function is that of the normal law."""
    u = np.sort([0.5 * (1 + math.erf(v / math.sqrt(2))) for v in (x - mean) / std])
    return abs(u - np.arange(len(u)) / len(u)).max() < 2 / math.sqrt(len(u))


def test_uniform_and_normal():
    assert even(drawn(init.uniform_), 0, 1)
    assert even(drawn(init.uniform_, -2.0, 5.0), -2, 5)
    assert bell(drawn(init.normal_), 0, 1)
    assert bell(drawn(init.normal_, 3.0, 0.5), 3, 0.5)


def test_truncated_normal():
    x = drawn(init.trunc_normal_, 0.5, 2.0, a=-1.0, b=3.0)
    assert x.min() >= -1
    assert x.max() <= 3

    def cdf(v):
        return 0.5 * (1 + math.erf((v - 0.5) / 2 / math.sqrt(2)))

    u = np.sort([(cdf(v) - cdf(-1)) / (cdf(3) - cdf(-1)) for v in x])
    assert even(u, 0, 1)
    assert (init.trunc_normal_(ad.empty(3), 5.0, 0.0) == 2.0).all()
    with pytest.warns(UserWarning, match="more than 2 std"):
        init.trunc_normal_(ad.empty(3), 9.0, 1.0)


@pytest.mark.parametrize("gain", [1.0, 2.5])
def test_xavier(gain):
    bound = gain * math.sqrt(6 / 330)
    assert even(drawn(init.xavier_uniform_, gain), -bound, bound)
    assert bell(drawn(init.xavier_normal_, gain), 0, gain * math.sqrt(2 / 330))


@pytest.mark.parametrize(("mode", "fan"), [("fan_in", 150), ("fan_out", 180)])
@pytest.mark.parametrize(
    ("a", "kind", "gain"),
    [
        (0, "relu", math.sqrt(2)),
        (0, "leaky_relu", math.sqrt(2)),
        (math.sqrt(5), "leaky_relu", math.sqrt(1 / 3)),
        (0, "tanh", 5 / 3),
        (0, "linear", 1),
    ],
)
def test_kaiming(mode, fan, a, kind, gain):
    bound = gain * math.sqrt(3 / fan)
    given = {"a": a, "mode": mode, "nonlinearity": kind}
    assert even(drawn(init.kaiming_uniform_, **given), -bound, bound)
    assert bell(drawn(init.kaiming_normal_, **given), 0, gain / math.sqrt(fan))


@pytest.mark.parametrize("shape", [(4, 4), (5, 3), (3, 5), (4, 2, 3)])
def test_orthogonal(shape):
    w = drawn(init.orthogonal_, 2.0, shape=shape).reshape(shape[0], -1)
    w = w if w.shape[0] <= w.shape[1] else w.T
    np.testing.assert_allclose(w @ w.T, 4 * np.eye(len(w)), atol=1e-5)


def test_sparse():
    w = drawn(init.sparse_, 0.3, shape=(50, 40)).reshape(50, 40)
    assert ((w == 0).sum(0) == 15).all()
    assert bell(w[w != 0], 0, 0.01)


def test_constants():
    assert (init.ones_(ad.empty(2, 3)) == 1).all()
    assert (init.zeros_(ad.empty(2, 3)) == 0).all()
    assert (init.constant_(ad.empty(2, 3), 0.3) == ad.tensor(0.3)).all()
    assert init.eye_(ad.empty(2, 3)).tolist() == [[1, 0, 0], [0, 1, 0]]


@pytest.mark.parametrize(
    ("shape", "groups"),
    [
        ((4, 4, 3), 1),
        ((4, 2, 3, 3), 2),
        ((5, 3, 2, 2, 2), 1),
        ((6, 2, 5), 3),
        ((2, 4, 3), 1),
    ],
)
def test_dirac_is_torchs_and_passes_channels_on(shape, groups):
    w = init.dirac_(ad.empty(shape), groups)
    if shape[0] == shape[1] * groups and len(shape) == 3:
        x = ad.randn(2, shape[0], 7)
        y = nn.functional.conv1d(x, w, padding="same", groups=groups)
        np.testing.assert_allclose(y.numpy(), x.numpy())
    torch = pytest.importorskip("torch")
    want = torch.nn.init.dirac_(torch.empty(shape), groups)
    assert w.tolist() == want.tolist()


def test_gains_are_torchs():
    theirs = pytest.importorskip("torch.nn.init")
    for kind in [
        "linear",
        "conv1d",
        "conv2d",
        "conv3d",
        "conv_transpose1d",
        "conv_transpose2d",
        "conv_transpose3d",
        "sigmoid",
        "tanh",
        "relu",
        "leaky_relu",
        "selu",
    ]:
        assert init.calculate_gain(kind) == pytest.approx(theirs.calculate_gain(kind))
    assert init.calculate_gain("leaky_relu", 0.3) == theirs.calculate_gain(
        "leaky_relu", 0.3
    )


def test_every_function_of_torch_is_there():
    theirs = pytest.importorskip("torch.nn.init")
    names = [n for n in dir(theirs) if n.endswith("_") and n[0] != "_"]
    assert names
    assert [n for n in [*names, "calculate_gain"] if not hasattr(init, n)] == []


def test_parameters_are_filled_outside_the_graph():
    w = nn.Parameter(ad.zeros(3, 3))
    for f in (init.uniform_, init.normal_, init.eye_, init.orthogonal_, init.ones_):
        f(w)
        assert w.is_leaf
        assert w.requires_grad


LAYERS = [
    (lambda: nn.Linear(50, 40), "weight", 1 / math.sqrt(50)),
    (lambda: nn.Linear(50, 400), "bias", 1 / math.sqrt(50)),
    (lambda: nn.Conv2d(8, 40, 3), "weight", 1 / math.sqrt(72)),
    (lambda: nn.Conv2d(8, 400, 3, groups=2), "bias", 1 / math.sqrt(36)),
    (lambda: nn.ConvTranspose1d(40, 8, 5), "weight", 1 / math.sqrt(40)),
    (lambda: nn.Bilinear(9, 8, 7), "weight", 1 / 3),
]


@pytest.mark.parametrize(("make", "name", "bound"), LAYERS)
def test_layers_start_as_torchs(make, name, bound):
    ad.manual_seed(0)
    x = getattr(make(), name).detach().numpy().astype("float64").ravel()
    assert even(x, -bound, bound)


def test_other_layers_start_as_torchs():
    ad.manual_seed(0)
    assert bell(nn.Embedding(100, 30).weight.detach().numpy().ravel(), 0, 1)
    norm = nn.BatchNorm1d(3)
    assert norm.weight.tolist() == norm.running_var.tolist() == [1.0] * 3
    assert norm.bias.tolist() == norm.running_mean.tolist() == [0.0] * 3
    assert nn.PReLU(2).weight.tolist() == [0.25, 0.25]


WRONG = [
    (lambda: init.xavier_uniform_(ad.empty(3)), "2 dims"),
    (lambda: init.kaiming_normal_(ad.empty(())), "2 dims"),
    (lambda: init.kaiming_uniform_(ad.empty(3, 3), mode="fan"), "mode"),
    (lambda: init.calculate_gain("swish"), "unsupported"),
    (lambda: init.calculate_gain("leaky_relu", "x"), "not a valid number"),
    (lambda: init.eye_(ad.empty(3)), "dimensions"),
    (lambda: init.dirac_(ad.empty(3, 3)), "dimensions"),
    (lambda: init.dirac_(ad.empty(3, 3, 3), 2), "divisible"),
    (lambda: init.sparse_(ad.empty(3, 3, 3), 0.1), "dimensions"),
    (lambda: init.sparse_(ad.empty(3, 3), 1.5), "sparsity"),
    (lambda: init.orthogonal_(ad.empty(3)), "2 dims"),
    (lambda: init.trunc_normal_(ad.empty(3), a=2.0, b=1.0), "a <= b"),
]


@pytest.mark.parametrize(("call", "text"), WRONG)
def test_bad_input_is_refused(call, text):
    with pytest.raises(ValueError, match=text) as caught:
        call()
    assert isinstance(caught.value, ad.errors.AdjointError)


def test_empty_weights_warn():
    with pytest.warns(UserWarning, match="zero-element"):
        init.kaiming_uniform_(ad.empty(0, 3))
