"""nn.utils against PyTorch's: clipping, vectors, fusion, parametrizations old and new."""

import copy
import math
import pickle
import warnings

import numpy as np
import pytest

import adjoint as ad
from adjoint import nn
from adjoint.nn.utils import parametrizations, parametrize
from peers import numbers


def leaves(lib, scale=1.0):
    """Parameters with gradients, one without."""
    out = [lib.tensor(numbers(*s, seed=i)) for i, s in enumerate([(2, 3), (4,), ()])]
    for i, p in enumerate(out):
        p.requires_grad_()
        if i != 1:
            p.grad = lib.tensor(scale * numbers(*p.shape, seed=i + 9))
    return out


def show(x):
    """Numbers of tensors anywhere in lists, rounded."""
    if isinstance(x, (list, tuple)):
        return [show(v) for v in x]
    if hasattr(x, "detach"):
        return np.round(np.asarray(x.detach().numpy()), 6).tolist()
    return x


# ---------------------------------------------------------------- clipping, vectors


def clipped(norm_type, limit):
    def f(lib):
        ps = leaves(lib)
        total = lib.nn.utils.clip_grad_norm_(ps, limit, norm_type)
        return total, [p.grad for p in ps if p.grad is not None]

    f.__name__ = f"clipped_{norm_type}_{limit}"
    return f


def clipped_one(lib):
    p = leaves(lib)[0]
    return lib.nn.utils.clip_grad_norm_(p, 0.5), p.grad


def clipped_none(lib):
    return lib.nn.utils.clip_grad_norm_([leaves(lib)[1]], 0.5)


def limited(lib):
    ps = leaves(lib)
    lib.nn.utils.clip_grad_value_(iter(ps), 0.3)
    return [p.grad for p in ps if p.grad is not None]


def total_norms(lib):
    xs = [p.detach() for p in leaves(lib)]
    f = lib.nn.utils.get_total_norm
    return [f(xs, p) for p in (1, 2.0, 3, math.inf)] + [f(xs[0]), f([])]


def scaled(lib):
    ps = leaves(lib)
    lib.nn.utils.clip_grads_with_norm_(ps, 1.0, lib.tensor(4.0))
    return [p.grad for p in ps if p.grad is not None]


def to_vector_and_back(lib):
    ps = leaves(lib)
    v = lib.nn.utils.parameters_to_vector(ps)
    v.sum().backward()
    lib.nn.utils.vector_to_parameters(2 * v.detach(), ps)
    return v, ps, ps[1].grad


CALLS = [
    *(clipped(p, m) for p in (1, 2.0, 3, math.inf) for m in (0.5, 100.0)),
    clipped_one,
    clipped_none,
    limited,
    total_norms,
    scaled,
    to_vector_and_back,
]


@pytest.mark.parametrize("f", CALLS, ids=lambda f: f.__name__)
def test_as_torch_does(f):
    torch = pytest.importorskip("torch")
    assert show(f(ad)) == show(f(torch))


def test_gradients_are_clipped_in_place():
    p = ad.ones(2, requires_grad=True)
    p.grad = g = ad.tensor([3.0, 4.0])
    total = nn.utils.clip_grad_norm_([p], 1.0)
    assert total.item() == 5
    assert p.grad is g
    np.testing.assert_allclose(g.numpy(), [0.6, 0.8], rtol=1e-5)


def test_norms_that_are_not_finite():
    p = ad.ones(2, requires_grad=True)
    p.grad = ad.tensor([math.inf, 1.0])
    with pytest.raises(RuntimeError, match="non-finite"):
        nn.utils.clip_grad_norm_([p], 1.0, error_if_nonfinite=True)
    nn.utils.clip_grad_norm_([p], 1.0)
    assert p.grad.isnan()[0]
    with pytest.warns(UserWarning, match="empty generator"):
        nn.utils.clip_grad_norm_((q for q in []), 1.0)


def test_norms_that_are_not_finite_in_a_compiled_step():
    m = nn.Linear(2, 1)
    opt = ad.optim.SGD(m.parameters(), lr=0.1, momentum=0.9)

    @ad.compile
    def step(x):
        opt.zero_grad()
        m(x).sum().backward()
        norm = nn.utils.clip_grad_norm_(m.parameters(), 1.0, error_if_nonfinite=True)
        opt.step()
        return norm

    for _ in range(3):
        assert step(ad.ones(3, 2)).isfinite()
    before = m.weight.tolist()
    with pytest.raises(
        RuntimeError, match=r"norm of order 2.0 .* is non-finite \(nan\)"
    ):
        step(ad.ones(3, 2) * math.nan)
    assert m.weight.tolist() == before
    assert step(ad.ones(3, 2)).isfinite() and len(step.programs) == 1


def test_made_without_first_numbers():
    layer = nn.utils.skip_init(nn.Linear, 2, 3, bias=False)
    assert repr(layer) == repr(nn.Linear(2, 3, bias=False))
    with pytest.raises(TypeError, match="Module class"):
        nn.utils.skip_init(3)


def test_every_function_of_torch_is_there():
    theirs = pytest.importorskip("torch.nn.utils")
    old = {"clip_grad_norm"}
    names = [n for n, f in vars(theirs).items() if callable(f) and n not in old]
    missing = [n for n in names if not hasattr(nn.utils, n)]
    assert all("memory_format" in n for n in missing)


def test_vectors_that_do_not_fit():
    with pytest.raises(TypeError, match="Tensor"):
        nn.utils.vector_to_parameters([1.0], [])
    with pytest.raises(ValueError, match="3 elements"):
        nn.utils.vector_to_parameters(ad.ones(2), [ad.ones(3)])


# ---------------------------------------------------------------- fusion


FUSED = [
    ("Conv1d", (3, 4, 2), {}, (2, 3, 5)),
    ("Conv2d", (4, 4, 2), {"bias": False, "groups": 2}, (2, 4, 5, 5)),
    ("Conv3d", (2, 4, 2), {}, (2, 2, 4, 4, 4)),
    ("ConvTranspose2d", (3, 4, 2), {}, (2, 3, 4, 4)),
    ("Linear", (3, 4), {}, (5, 3)),
]


@pytest.mark.parametrize(("name", "args", "options", "shape"), FUSED)
@pytest.mark.parametrize("affine", [True, False])
def test_fused_layers_do_the_same(name, args, options, shape, affine):
    layer = getattr(nn, name)(*args, **options).double()
    n = max(1, len(shape) - 2)
    norm = getattr(nn, f"BatchNorm{n}d")(4, affine=affine).double()
    x = ad.tensor(numbers(*shape))
    norm(layer(x) * 3 + 1)  # statistics
    layer.eval(), norm.eval()
    if name == "Linear":
        fused = nn.utils.fuse_linear_bn_eval(layer, norm)
    else:
        fused = nn.utils.fuse_conv_bn_eval(layer, norm, "Transpose" in name)
    assert type(fused) is type(layer)
    assert all(isinstance(p, nn.Parameter) for p in (fused.weight, fused.bias))
    np.testing.assert_allclose(
        fused(x).detach().numpy(), norm(layer(x)).detach().numpy(), 1e-9, 1e-9
    )


def test_only_for_evaluation():
    with pytest.raises(RuntimeError, match="only for eval"):
        nn.utils.fuse_conv_bn_eval(nn.Conv1d(1, 1, 1), nn.BatchNorm1d(1).eval())
    with pytest.raises(ValueError, match="num_features"):
        nn.utils.fuse_linear_bn_eval(nn.Linear(2, 3).eval(), nn.BatchNorm1d(2).eval())


# ---------------------------------------------------------------- parametrizations


def same_numbers(ours, theirs, torch):
    """Ours with the state of theirs."""
    state = {k: ad.tensor(v.numpy()) for k, v in theirs.state_dict().items()}
    assert list(ours.state_dict()) == list(state)
    ours.load_state_dict(state)


def compare(ours, theirs, shape, torch):
    """Two steps: outputs, gradients, states and printing."""
    same_numbers(ours, theirs, torch)
    assert repr(ours) == repr(theirs)
    for training in (True, False, True):
        ours.train(training), theirs.train(training)
        x = numbers(*shape)
        y, want = ours(ad.tensor(x)), theirs(torch.tensor(x))
        np.testing.assert_allclose(
            y.detach().numpy(), want.detach().numpy(), 1e-9, 1e-9
        )
        ours.zero_grad(), theirs.zero_grad()
        (y**2).sum().backward()
        (want**2).sum().backward()
        mine = dict(ours.named_parameters())
        for name, p in theirs.named_parameters():
            got = mine[name].grad.numpy()
            np.testing.assert_allclose(got, p.grad.numpy(), 1e-7, 1e-7, err_msg=name)
        for name, v in theirs.state_dict().items():
            got = ours.state_dict()[name].numpy()
            np.testing.assert_allclose(got, v.numpy(), 1e-9, 1e-9, err_msg=name)


LAYERS = {
    "Linear": ((3, 4), (5, 3)),
    "Conv2d": ((3, 4, 2), (2, 3, 4, 4)),
    "ConvTranspose1d": ((3, 4, 2), (2, 3, 4)),
}
KINDS = [
    ("weight_norm", {}),
    ("weight_norm", {"dim": None}),
    ("weight_norm", {"dim": 1}),
    ("spectral_norm", {}),
    ("spectral_norm", {"n_power_iterations": 3, "dim": 1}),
    ("orthogonal", {}),
    ("orthogonal", {"orthogonal_map": "cayley"}),
    ("orthogonal", {"orthogonal_map": "matrix_exp"}),
    ("orthogonal", {"orthogonal_map": "householder", "use_trivialization": False}),
]


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_parametrizations_are_torchs(layer, kind, options):
    torch = pytest.importorskip("torch")
    if kind == "orthogonal" and layer != "Linear":
        pytest.skip("kernels are not matrices")
    args, shape = LAYERS[layer]
    made = []
    for lib in (ad, torch):
        lib.manual_seed(0)
        m = getattr(lib.nn, layer)(*args).double()
        made.append(getattr(lib.nn.utils.parametrizations, kind)(m, **options))
    compare(*made, shape, torch)
    ours, theirs = (
        lib.nn.utils.parametrize.remove_parametrizations(m.eval(), "weight")
        for lib, m in zip((ad, torch), made, strict=True)
    )
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert type(ours).__name__ == layer
    np.testing.assert_allclose(
        ours.weight.detach().numpy(), theirs.weight.detach().numpy(), 1e-9, 1e-9
    )


@pytest.mark.filterwarnings("ignore:`torch.nn.utils")
@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize(("kind", "options"), KINDS[:5])
def test_older_norms_are_torchs(layer, kind, options):
    torch = pytest.importorskip("torch")
    args, shape = LAYERS[layer]
    made = []
    for lib in (ad, torch):
        m = getattr(lib.nn, layer)(*args).double()
        made.append(getattr(lib.nn.utils, kind)(m, **options))
    compare(*made, shape, torch)
    ours, theirs = (
        getattr(lib.nn.utils, f"remove_{kind}")(m)
        for lib, m in zip((ad, torch), made, strict=True)
    )
    assert list(ours.state_dict()) == list(theirs.state_dict())
    np.testing.assert_allclose(
        ours.weight.detach().numpy(), theirs.weight.detach().numpy(), 1e-9, 1e-9
    )


@pytest.mark.parametrize("shape", [(4, 4), (5, 3), (3, 5)])
@pytest.mark.parametrize("map_name", ["matrix_exp", "cayley", "householder"])
def test_orthogonal_is_orthogonal_and_takes_values(shape, map_name):
    ad.manual_seed(0)
    layer = nn.Linear(*shape[::-1]).double()
    parametrizations.orthogonal(layer, orthogonal_map=map_name)

    def far(w):
        w = w if shape[0] <= shape[1] else w.T
        return abs((w @ w.T).detach().numpy() - np.eye(min(shape))).max()

    assert far(layer.weight) < 1e-12
    opt_step = layer(ad.ones(1, shape[1], dtype=ad.float64)).sum()
    opt_step.backward()
    with ad.no_grad():
        p = layer.parametrizations.weight.original
        p -= 0.1 * p.grad
    assert far(layer.weight) < 1e-12
    q = np.linalg.qr(numbers(*(shape if shape[0] >= shape[1] else shape[::-1])))[0]
    q = ad.tensor(q if shape[0] >= shape[1] else q.T.copy())
    layer.weight = q
    np.testing.assert_allclose(layer.weight.detach().numpy(), q.numpy(), atol=1e-12)


def test_weight_norm_loads_older_states():
    old = nn.utils.weight_norm(nn.Linear(3, 2))
    new = parametrizations.weight_norm(nn.Linear(3, 2))
    new.load_state_dict(old.state_dict())
    x = ad.randn(4, 3)
    np.testing.assert_allclose(new(x).detach().numpy(), old(x).detach().numpy(), 1e-6)


class Symmetric(nn.Module):
    def forward(self, x):
        return x.triu() + x.triu(1).mT

    def right_inverse(self, x):
        return x.triu()


class Sum(nn.Module):
    """Of two tensors."""

    def forward(self, a, b):
        return a + b

    def right_inverse(self, x):
        return x / 2, x / 2


class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.factor = nn.Parameter(ad.tensor(2.0))

    def forward(self, x):
        return self.factor * x


def test_parametrizations_of_ones_own():
    layer = nn.Linear(3, 3)
    parametrize.register_parametrization(layer, "weight", Symmetric())
    w = layer.weight
    assert (w == w.mT).all()
    assert parametrize.is_parametrized(layer, "weight")
    assert not parametrize.is_parametrized(layer, "bias")
    assert list(layer.state_dict()) == ["bias", "parametrizations.weight.original"]
    layer.weight = ad.ones(3, 3)
    assert layer.parametrizations.weight.original.tolist()[2] == [0.0, 0.0, 1.0]
    parametrize.register_parametrization(layer, "weight", Scaled())
    assert layer.weight.tolist() == [[2.0] * 3] * 3
    layer(ad.ones(1, 3)).sum().backward()
    assert layer.parametrizations.weight[1].factor.grad.item() == 9
    parametrize.register_parametrization(layer, "bias", Sum())
    assert layer.parametrizations.bias.ntensors == 2
    assert isinstance(layer, nn.Linear)
    assert type(layer).__name__ == "ParametrizedLinear"
    parametrize.remove_parametrizations(layer, "weight")
    assert type(layer).__name__ == "ParametrizedLinear"
    parametrize.remove_parametrizations(layer, "bias")
    assert type(layer) is nn.Linear
    assert repr(layer) == repr(nn.Linear(3, 3))
    assert list(layer.state_dict()) == ["weight", "bias"]
    assert layer.weight.tolist() == [[2.0] * 3] * 3


def test_buffers_and_originals():
    norm = nn.BatchNorm1d(2)
    parametrize.register_parametrization(norm, "running_var", Scaled())
    assert "parametrizations.running_var.original" in dict(norm.named_buffers())
    parametrize.remove_parametrizations(norm, "running_var", leave_parametrized=False)
    assert norm.running_var.tolist() == [1.0, 1.0]
    assert "running_var" in norm._buffers
    layer = nn.Linear(2, 2)
    parametrize.register_parametrization(layer, "weight", Sum())
    with pytest.raises(ValueError, match="sequence of tensors"):
        parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)


def test_copies_are_parametrized_too():
    layer = parametrizations.weight_norm(nn.Linear(2, 2))
    for again in (copy.deepcopy(layer), pickle_state(layer)):
        with ad.no_grad():
            again.parametrizations.weight.original0.mul_(2)
        np.testing.assert_allclose(
            again.weight.detach().numpy(), 2 * layer.weight.detach().numpy(), 1e-6
        )
        parametrize.remove_parametrizations(again, "weight")
        assert parametrize.is_parametrized(layer)


def pickle_state(layer):
    again = parametrizations.weight_norm(nn.Linear(2, 2))
    again.load_state_dict(pickle.loads(pickle.dumps(layer.state_dict())))
    return again


def test_cached_values_are_computed_once():
    calls = []

    class Counted(nn.Module):
        def forward(self, x):
            calls.append(1)
            return x * 1

    layer = nn.Linear(2, 2)
    parametrize.register_parametrization(layer, "weight", Counted())
    calls.clear()
    with parametrize.cached():
        layer(ad.ones(2))
        with parametrize.cached():
            layer(ad.ones(2))
        assert layer.weight is layer.weight
    assert len(calls) == 1
    assert layer.weight is not layer.weight


def test_transferred():
    a = parametrizations.weight_norm(nn.Linear(2, 2))
    b = parametrize.transfer_parametrizations_and_params(a, nn.Linear(2, 2), "weight")
    assert (a.weight == b.weight).all()
    assert parametrize.type_before_parametrizations(b) is nn.Linear
    assert parametrize.type_before_parametrizations(nn.Linear(1, 1)) is nn.Linear


class Longer(nn.Module):
    def forward(self, x):
        return ad.cat([x, x])


class NoTensor(nn.Module):
    def forward(self, x):
        return 3


def register(kind, name="weight", **options):
    return parametrize.register_parametrization(
        nn.Linear(2, 2), name, kind(), **options
    )


WRONG = [
    (lambda: register(Longer), "shape or dtype"),
    (lambda: register(NoTensor), "return a tensor"),
    (lambda: register(Symmetric, "nothing"), "does not have a parameter"),
    (
        lambda: parametrize.remove_parametrizations(nn.Linear(1, 1), "weight"),
        "does not have",
    ),
    (lambda: setattr(register(Scaled), "weight", ad.ones(2, 2)), "right_inverse"),
    (lambda: parametrizations.orthogonal(nn.Linear(2, 2), "bias"), "matrix"),
    (
        lambda: parametrizations.orthogonal(nn.Linear(2, 2), orthogonal_map="qr"),
        "one of",
    ),
    (lambda: parametrizations.weight_norm(nn.Linear(2, 2), "w"), "'w'"),
    (
        lambda: parametrizations.spectral_norm(nn.Linear(2, 2), n_power_iterations=0),
        "positive",
    ),
    (
        lambda: nn.utils.weight_norm(nn.utils.weight_norm(nn.Linear(2, 2))),
        "two weight_norm",
    ),
    (lambda: nn.utils.remove_weight_norm(nn.Linear(2, 2)), "not found"),
    (lambda: nn.utils.remove_spectral_norm(nn.Linear(2, 2)), "not found"),
]


@pytest.mark.parametrize(("call", "text"), WRONG)
def test_bad_input_is_refused(call, text):
    with pytest.raises(ValueError, match=text) as caught:
        call()
    assert isinstance(caught.value, ad.errors.AdjointError)


def test_unsafe_lets_shapes_change():
    layer = nn.Linear(2, 2, bias=False)
    parametrize.register_parametrization(layer, "weight", Longer(), unsafe=True)
    assert layer(ad.ones(2)).shape == (4,)
    assert register(Longer, unsafe=True).parametrizations.weight.unsafe


def test_functional_call_under_both_names():
    layer = nn.Linear(1, 1, bias=False)
    given = {"weight": ad.tensor([[5.0]])}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        y = nn.utils.stateless.functional_call(layer, given, ad.ones(1))
    assert y.item() == ad.func.functional_call(layer, given, ad.ones(1)).item() == 5
    layer = parametrizations.weight_norm(nn.Linear(2, 2))
    g = {"parametrizations.weight.original0": 3 * ad.ones(2, 1)}
    y = ad.func.functional_call(layer, g, ad.ones(1, 2))
    assert y.shape == (1, 2)
