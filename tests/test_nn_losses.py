"""Losses as modules against PyTorch's: values, gradients, state, printing, over their options."""

import math

import numpy as np
import pytest

import adjoint as ad
from adjoint import nn
from peers import numbers
from test_nn_layers import agree, of, one_thread  # noqa: F401

MODES = ("none", "mean", "sum")


def unit(*shape, seed=0):
    return np.random.default_rng(seed).uniform(0.05, 0.95, shape)


def signs(*shape, seed=5):
    return np.where(numbers(*shape, seed=seed) > 0, 1.0, -1.0)


def classes(c, *shape, seed=7):
    return np.random.default_rng(seed).integers(0, c, shape)


def logs(*shape, seed=0):
    x = np.exp(numbers(*shape, seed=seed))
    return np.log(x / x.sum(1 if len(shape) > 1 else 0, keepdims=True))


def shares(*shape, seed=4):
    return np.exp(logs(*shape, seed=seed))


class Loss:
    """A loss, its options, and what it is called on; `fixed` inputs have no gradient."""

    def __init__(self, name, *inputs, modes=MODES, fixed=(), **options):
        self.name, self.inputs, self.options = name, inputs, options
        self.modes, self.fixed = modes, fixed

    def __repr__(self):
        sizes = " ".join(str(np.shape(x)) for x in self.inputs)
        return f"{self.name}({', '.join(self.options)}) of {sizes}"

    def build(self, lib, mode):
        options = {k: of(lib, v) for k, v in self.options.items()}
        if mode is not None:
            options["reduction"] = mode
        return getattr(lib.nn, self.name)(**options)


X, T, N3 = numbers(4, 3), numbers(4, 3, seed=1), numbers(4, 3, seed=2)
W3 = np.array([0.5, 2.0, 1.5])
IMAGE, PIXELS = numbers(2, 3, 4, 2), classes(3, 2, 4, 2)

PAIRS = [
    Loss("L1Loss", X, T),
    Loss("L1Loss", X[0], T[0]),
    Loss("MSELoss", X, T),
    Loss("MSELoss", np.array(0.3), np.array(-1.0)),
    Loss("SmoothL1Loss", X, T),
    Loss("SmoothL1Loss", X, T, beta=0.3),
    Loss("SmoothL1Loss", X, T, beta=0.0),
    Loss("HuberLoss", X, T),
    Loss("HuberLoss", X, T, delta=0.4),
    Loss("PoissonNLLLoss", X, np.exp(T)),
    Loss("PoissonNLLLoss", X, np.exp(2 * T), full=True, fixed=(1,)),
    Loss("PoissonNLLLoss", np.exp(X), np.exp(T), log_input=False, eps=1e-4),
    Loss("GaussianNLLLoss", X, T, unit(4, 3)),
    Loss("GaussianNLLLoss", X, T, unit(4, 1), full=True),
    Loss("GaussianNLLLoss", X, T, unit(4), eps=0.3),
    Loss("KLDivLoss", logs(4, 3), shares(4, 3), modes=(*MODES, "batchmean")),
    Loss("KLDivLoss", logs(4, 3), logs(4, 3, seed=3), log_target=True),
    Loss("BCELoss", unit(4, 3), unit(4, 3, seed=1)),
    Loss("BCELoss", unit(4, 3), unit(4, 3, seed=1), weight=W3),
    Loss("BCEWithLogitsLoss", X, unit(4, 3)),
    Loss("BCEWithLogitsLoss", X, unit(4, 3), weight=W3),
    Loss("BCEWithLogitsLoss", X, unit(4, 3), pos_weight=W3),
    Loss("BCEWithLogitsLoss", X, unit(4, 3), weight=unit(4, 1, seed=2), pos_weight=W3),
    Loss("SoftMarginLoss", X, signs(4, 3), fixed=(1,)),
    Loss("HingeEmbeddingLoss", X, signs(4, 3), fixed=(1,)),
    Loss("HingeEmbeddingLoss", X, signs(4, 3), margin=0.4, fixed=(1,)),
    Loss("CosineEmbeddingLoss", X, T, signs(4), fixed=(2,)),
    Loss("CosineEmbeddingLoss", X, T, signs(4), margin=0.2, fixed=(2,)),
    Loss("CosineEmbeddingLoss", X[0], T[0], np.array(-1.0), fixed=(2,)),
    Loss("MarginRankingLoss", X, T, signs(4, 3), fixed=(2,)),
    Loss("MarginRankingLoss", X[0], T[0], signs(3), margin=0.5, fixed=(2,)),
    Loss("NLLLoss", logs(4, 3), classes(3, 4)),
    Loss("NLLLoss", logs(3), np.array(2)),
    Loss("NLLLoss", logs(2, 3, 4, 2), PIXELS, weight=W3, ignore_index=1),
    Loss("CrossEntropyLoss", X, classes(3, 4)),
    Loss("CrossEntropyLoss", X[0], np.array(1)),
    Loss("CrossEntropyLoss", IMAGE, PIXELS),
    Loss("CrossEntropyLoss", X, classes(3, 4), weight=W3),
    Loss("CrossEntropyLoss", X, classes(3, 4), ignore_index=2),
    Loss("CrossEntropyLoss", X, classes(3, 4), label_smoothing=0.2, weight=W3),
    Loss("CrossEntropyLoss", IMAGE, PIXELS, label_smoothing=0.1, ignore_index=0),
    Loss("CrossEntropyLoss", X, shares(4, 3)),
    Loss("CrossEntropyLoss", X, shares(4, 3), weight=W3, label_smoothing=0.2),
    Loss("CrossEntropyLoss", IMAGE, shares(2, 3, 4, 2)),
    Loss("MultiMarginLoss", X, classes(3, 4)),
    Loss("MultiMarginLoss", X[0], np.array(1), p=2),
    Loss("MultiMarginLoss", X, classes(3, 4), p=2, margin=0.5, weight=W3),
    Loss(
        "MultiLabelMarginLoss",
        X,
        np.array([[0, 2, -1], [1, -1, 0], [-1] * 3, [0, 1, 2]]),
    ),
    Loss("MultiLabelMarginLoss", X[0], np.array([1, -1, 0])),
    Loss("MultiLabelSoftMarginLoss", X, unit(4, 3).round(), fixed=(1,)),
    Loss("MultiLabelSoftMarginLoss", X, unit(4, 3), weight=W3, fixed=(1,)),
    Loss("TripletMarginLoss", X, T, N3),
    Loss("TripletMarginLoss", X[0], T[0], N3[0], margin=0.3, p=1),
    Loss("TripletMarginLoss", X, T, N3, swap=True, eps=1e-3, p=3.0),
    Loss("TripletMarginWithDistanceLoss", X, T, N3),
    Loss("TripletMarginWithDistanceLoss", X, T, N3, margin=2.0, swap=True),
    Loss("CTCLoss", numbers(7, 2, 5), classes(4, 2, 3) + 1, [7, 5], [3, 2]),
    Loss(
        "CTCLoss",
        numbers(7, 2, 5),
        classes(4, 5),
        [7, 7],
        [3, 2],
        blank=4,
        zero_infinity=True,
    ),
    Loss("CTCLoss", numbers(6, 4), np.array([1, 2]), np.array(6), np.array(2)),
    Loss(
        "CTCLoss",
        numbers(3, 4),
        np.array([1, 1, 1]),
        np.array(3),
        np.array(3),
        zero_infinity=True,
    ),
    Loss("LinearCrossEntropyLoss", X, classes(5, 4), in_features=3, num_classes=5),
    Loss(
        "LinearCrossEntropyLoss",
        X,
        classes(5, 4, 2),
        in_features=3,
        num_classes=5,
        out_features=(2,),
        bias=True,
        label_smoothing=0.1,
        ignore_index=1,
    ),
    Loss(
        "AdaptiveLogSoftmaxWithLoss",
        numbers(4, 8),
        np.array([0, 3, 9, 6]),
        modes=(None,),
        in_features=8,
        n_classes=10,
        cutoffs=[2, 5],
        div_value=2.0,
        head_bias=True,
    ),
    Loss(
        "AdaptiveLogSoftmaxWithLoss",
        numbers(8),
        np.array(7),
        modes=(None,),
        in_features=8,
        n_classes=10,
        cutoffs=[2, 5],
        div_value=1.5,
    ),
]

OWN = [  # that PyTorch does not have
    Loss("MAPELoss", X, T),
    Loss("LogCoshLoss", 3 * X, T),
    Loss("CauchyLoss", X, T, c=0.7),
    Loss("TukeyLoss", X, T),
    Loss("MulticlassHingeLoss", X, classes(3, 4)),
    Loss("SquaredExpectationLoss", X, classes(3, 4)),
    Loss("SquaredExpectationLoss", X, shares(4, 3)),
]


def run(lib, loss, module, dtype):
    """Outputs and gradients, by name."""
    xs = []
    for i, a in enumerate(loss.inputs):
        x = lib.tensor(a) if isinstance(a, np.ndarray) else a
        if isinstance(a, np.ndarray) and a.dtype.kind == "f":
            x = x.to(dtype)
            x = x if i in loss.fixed else x.requires_grad_()
        xs.append(x)
    given = [x if isinstance(x, list) else x * 1 for x in xs]
    if loss.name == "CTCLoss":  # PyTorch's gradient takes its input for normalized
        given[0] = given[0].log_softmax(-1)
    y = module(*given)
    parts = y if isinstance(y, tuple) else (y,)
    weights = [
        np.random.default_rng(2).uniform(0.5, 1.5, tuple(p.shape)) for p in parts
    ]
    total = sum(
        (p * lib.tensor(w).to(p.dtype)).sum()
        for p, w in zip(parts, weights, strict=True)
    )
    total.backward()
    out = {f"output {i}": p for i, p in enumerate(parts)}
    for i, x in enumerate(xs):
        if hasattr(x, "requires_grad") and x.requires_grad:
            out[f"gradient {i}"] = x.grad
    return out | {f"gradient {n}": p.grad for n, p in module.named_parameters()}


def both(loss, mode, torch, dtype):
    """The same loss in both, with the same numbers."""
    ours = loss.build(ad, mode).to(getattr(ad, dtype))
    theirs = loss.build(torch, mode).to(getattr(torch, dtype))
    state = {k: v.detach().double().numpy() for k, v in theirs.state_dict().items()}
    assert list(ours.state_dict()) == list(state)
    ours.load_state_dict({k: ad.tensor(v) for k, v in state.items()})
    return ours, theirs


@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides")
@pytest.mark.parametrize("loss", PAIRS, ids=repr)
def test_loss_is_torchs(loss):
    torch = pytest.importorskip("torch")
    for mode in loss.modes:
        ours, theirs = both(loss, mode, torch, "float64")
        want = repr(theirs).replace(", options=None", "")
        assert repr(ours) == want
        agree(
            run(ad, loss, ours, ad.float64),
            run(torch, loss, theirs, torch.float64),
            1e-9,
        )


@pytest.mark.parametrize(
    ("dtype", "tol"), [("float32", 2e-5), ("bfloat16", 0.05), ("float16", 0.01)]
)
@pytest.mark.parametrize("loss", PAIRS, ids=repr)
def test_loss_is_torchs_in_other_dtypes(loss, dtype, tol):
    torch = pytest.importorskip("torch")
    ours, theirs = both(loss, loss.modes[0], torch, dtype)
    try:
        want = run(torch, loss, theirs, getattr(torch, dtype))
    except (RuntimeError, NotImplementedError) as error:
        pytest.skip(f"not in PyTorch: {error}")
    agree(run(ad, loss, ours, getattr(ad, dtype)), want, tol)


@pytest.mark.parametrize("more", [(), (2,), (2, 3)])
@pytest.mark.parametrize("soft", [False, True])
def test_linear_cross_entropy_is_torchs(more, soft):
    torch = pytest.importorskip("torch")
    x, w, b = numbers(4, 3), numbers(5, *more, 3, seed=1), numbers(5, *more, seed=2)
    t = shares(4, 5, *more) if soft else classes(5, 4, *more)
    for given in ({}, {"reduction": "none"}, {"label_smoothing": 0.2, "bias": True}):
        options, out = dict(given), []
        for lib in (ad, torch):
            named = dict(options)
            if named.pop("bias", False):
                named["linear_bias"] = lib.tensor(b)
            f = lib.nn.functional.linear_cross_entropy
            u = lib.tensor(x, requires_grad=True)
            y = f(u, lib.tensor(w), lib.tensor(t), **named)
            y.sum().backward()
            out.append((y.detach().numpy(), u.grad.numpy()))
        for got, want in zip(*out, strict=True):
            np.testing.assert_allclose(got, want, 1e-9, 1e-9)


def test_l1_of_complex_numbers_is_torchs():
    torch = pytest.importorskip("torch")
    found = []
    for lib in (ad, torch):
        x = lib.tensor(X + 1j * T, requires_grad=True)
        y = lib.nn.L1Loss()(x, lib.tensor(T + 2j))
        y.backward()
        found.append((y.item(), x.grad.numpy()))
    assert found[0][0] == pytest.approx(found[1][0])
    np.testing.assert_allclose(found[0][1], found[1][1])


def test_every_loss_is_in_the_table():
    own = {case.name for case in OWN}
    have = {n for n in nn.__all__ if n.endswith("Loss")} - {"AdaptiveLoss"}
    assert have - own == {case.name for case in PAIRS}
    assert own <= have


# ---------------------------------------------------------------- twice


SMOOTH = [
    case
    for case in PAIRS
    if case.name
    in [
        "MSELoss",
        "PoissonNLLLoss",
        "GaussianNLLLoss",
        "KLDivLoss",
        "BCELoss",
        "BCEWithLogitsLoss",
        "SoftMarginLoss",
        "CosineEmbeddingLoss",
        "NLLLoss",
        "CrossEntropyLoss",
        "MultiLabelSoftMarginLoss",
        "TripletMarginLoss",
        "CTCLoss",
        "LinearCrossEntropyLoss",
    ]
    and not (case.name == "GaussianNLLLoss" and case.options.get("eps"))  # has no slope
]
SMOOTH += [c for c in OWN if c.name not in ("MAPELoss", "MulticlassHingeLoss")]


@pytest.mark.parametrize("loss", SMOOTH, ids=repr)
def test_two_derivatives(loss):
    module = loss.build(ad, "sum").double()
    leaves = [ad.tensor(a) if isinstance(a, np.ndarray) else a for a in loss.inputs]
    at = [
        i
        for i, x in enumerate(leaves)
        if hasattr(x, "is_floating_point")
        and x.is_floating_point()
        and i not in loss.fixed
    ]
    if loss.name in ("BCELoss", "KLDivLoss"):
        at = at[:1]  # PyTorch has no second derivative by the target

    def f(*xs):
        given = list(leaves)
        for i, x in zip(at, xs, strict=True):
            given[i] = x
        return module(*given)

    xs = tuple(leaves[i].clone().requires_grad_() for i in at)
    assert ad.gradcheck(f, xs)
    assert ad.gradgradcheck(f, xs)


# ---------------------------------------------------------------- far out


@pytest.mark.parametrize("size", [1e4, -1e4])
def test_losses_of_logits_are_exact_far_out(size):
    x = ad.tensor([size, -size, size, -size], dtype=ad.float32, requires_grad=True)
    t = ad.tensor([1.0, 1.0, 0.0, 0.0])
    exact = np.array([max(0, -size), max(0, size), max(0, size), max(0, -size)])
    y = nn.BCEWithLogitsLoss(reduction="none")(x, t)
    np.testing.assert_array_equal(y.detach().numpy(), exact)
    y.sum().backward()
    s = float(size > 0)
    np.testing.assert_array_equal(x.grad.numpy(), [s - 1, -s, s, 1 - s])
    y = nn.functional.binary_crossentropy(t[None], x.detach()[None], from_logits=True)
    assert y.item() == exact.mean()
    sign = ad.tensor([1.0, 1.0, -1.0, -1.0])
    y = nn.SoftMarginLoss(reduction="none")(x.detach(), sign)
    np.testing.assert_array_equal(y.numpy(), exact)
    y = nn.MultiLabelSoftMarginLoss()(x.detach()[None], t[None])
    assert y.item() == exact.mean()


@pytest.mark.parametrize("size", [1e4, -1e4])
def test_cross_entropy_is_exact_far_out(size):
    x = ad.tensor([[size, 0.0, -size]], requires_grad=True)
    for target in range(3):
        y = nn.CrossEntropyLoss()(x, ad.tensor([target]))
        assert y.item() == abs(size) - [size, 0.0, -size][target]
        x.grad = None
        y.backward()
        want = np.array([[float(size > 0), 0.0, float(size < 0)]])
        want[0, target] -= 1
        np.testing.assert_array_equal(x.grad.numpy(), want)
    share = ad.tensor([[0.25, 0.5, 0.25]])
    assert nn.CrossEntropyLoss()(x, share).item() == abs(size)
    smooth = nn.CrossEntropyLoss(label_smoothing=0.3)(x, ad.tensor([1])).item()
    assert smooth == pytest.approx(abs(size), rel=1e-6)


def test_log_cosh_is_exact_far_out_and_near():
    x = np.array([1e4, -1e4, 1e-6, 0.0])
    y = nn.LogCoshLoss("none")(ad.tensor(x), ad.zeros(4, dtype=ad.float64)).numpy()
    ln2 = math.log(2)
    np.testing.assert_allclose(y, [1e4 - ln2, 1e4 - ln2, 5e-13, 0.0], rtol=1e-12)


# ---------------------------------------------------------------- closed forms


def reductions(module, *inputs, **options):
    """The three reductions of a loss, the mean and sum checked against the elements."""
    none = module(reduction="none", **options)(*inputs).numpy()
    assert module(**options)(*inputs).item() == pytest.approx(none.mean())
    assert module(reduction="sum", **options)(*inputs).item() == pytest.approx(
        none.sum()
    )
    return none


def test_robust_and_percentage_losses_by_their_formulas():
    x, t = ad.tensor(X), ad.tensor(T)
    d = X - T
    for name, want, options in [
        ("MAPELoss", 100 * abs(d) / abs(T), {}),
        ("MAPELoss", 100 * abs(d) / np.maximum(abs(T), 0.7), {"eps": 0.7}),
        ("LogCoshLoss", np.log(np.cosh(d)), {}),
        ("CauchyLoss", 0.5 * np.log(1 + d**2), {}),
        ("CauchyLoss", 2 * np.log(1 + (d / 2) ** 2), {"c": 2.0}),
        ("TukeyLoss", 4.685**2 / 6 * (1 - (1 - (d / 4.685) ** 2) ** 3), {}),
        (
            "TukeyLoss",
            np.where(abs(d) <= 1, (1 - (1 - d**2) ** 3) / 6, 1 / 6),
            {"c": 1.0},
        ),
    ]:
        got = reductions(getattr(nn, name), x, t, **options)
        np.testing.assert_allclose(got, want, rtol=1e-10, err_msg=name)


def test_outliers_have_no_pull_beyond_tukeys_c():
    x = ad.tensor([100.0, 0.5], requires_grad=True)
    nn.TukeyLoss(c=2.0, reduction="sum")(x, ad.zeros(2)).backward()
    assert x.grad[0].item() == 0
    assert x.grad[1].item() == pytest.approx(0.5 * (1 - 1 / 16) ** 2)


def test_multiclass_hinge_is_that_of_the_worst_rival():
    t = classes(3, 4)
    got = reductions(nn.MulticlassHingeLoss, ad.tensor(X), ad.tensor(t), margin=0.7)
    rows = np.arange(4)
    others = X.copy()
    others[rows, t] = -np.inf
    np.testing.assert_allclose(got, np.maximum(0, 0.7 + others.max(1) - X[rows, t]))


def test_squared_expectation_is_brier_of_the_softmax():
    p = np.exp(X) / np.exp(X).sum(1, keepdims=True)
    t = classes(3, 4)
    got = reductions(nn.SquaredExpectationLoss, ad.tensor(X), ad.tensor(t))
    np.testing.assert_allclose(got, ((np.eye(3)[t] - p) ** 2).sum(1))
    got = reductions(nn.SquaredExpectationLoss, ad.tensor(X), ad.tensor(shares(4, 3)))
    np.testing.assert_allclose(got, ((shares(4, 3) - p) ** 2).sum(1))


def test_binary_crossentropy_is_keras():
    t, p = np.array([[0.0, 1.0, 1.0]]), np.array([[0.2, 0.7, 0.4]])

    def want(t):
        return -(t * np.log(p) + (1 - t) * np.log(1 - p)).mean(-1)

    f = nn.functional.binary_crossentropy
    logits = np.log(p / (1 - p))
    for smoothing in (0.0, 0.2):
        soft = t * (1 - smoothing) + smoothing / 2
        args = ad.tensor(t), ad.tensor(p)
        got = f(*args, label_smoothing=smoothing).numpy()
        np.testing.assert_allclose(got, want(soft))
        args = ad.tensor(t), ad.tensor(logits)
        got = f(*args, from_logits=True, label_smoothing=smoothing).numpy()
        np.testing.assert_allclose(got, want(soft))


def test_adaptive_softmax_is_a_distribution():
    loss = nn.AdaptiveLogSoftmaxWithLoss(8, 10, [2, 5], div_value=2.0).double()
    x = ad.tensor(numbers(6, 8))
    logp = loss.log_prob(x)
    np.testing.assert_allclose(logp.exp().sum(1).detach().numpy(), 1.0)
    assert loss.predict(x).tolist() == logp.argmax(1).tolist()
    t = ad.tensor(classes(10, 6))
    out = loss(x, t)
    np.testing.assert_allclose(
        out.output.detach().numpy(), logp.gather(1, t[:, None])[:, 0].detach().numpy()
    )
    assert out.loss.item() == pytest.approx(-out.output.mean().item())


WRONG = [
    (lambda: nn.MSELoss(reduction="median"), ValueError, "reduction"),
    (lambda: nn.MSELoss(reduction="batchmean"), ValueError, "reduction"),
    (lambda: nn.HuberLoss(delta=0.0), ValueError, "delta"),
    (lambda: nn.SmoothL1Loss(beta=-1.0), ValueError, "beta"),
    (lambda: nn.MultiMarginLoss(p=3), ValueError, "p must be 1 or 2"),
    (lambda: nn.CrossEntropyLoss(label_smoothing=2), ValueError, "label_smoothing"),
    (lambda: nn.TripletMarginLoss(margin=0.0), ValueError, "margin"),
    (lambda: nn.CauchyLoss(c=0.0), ValueError, "c must be positive"),
    (lambda: nn.TukeyLoss(c=-1.0), ValueError, "c must be positive"),
    (lambda: nn.CrossEntropyLoss()(ad.ones(2, 3), ad.tensor([0, 3])), IndexError, "3"),
    (lambda: nn.CrossEntropyLoss()(ad.ones(2, 3), ad.tensor([0])), ValueError, "2"),
    (lambda: nn.NLLLoss()(ad.ones(2, 3), ad.tensor([-1, 0])), IndexError, "-1"),
    (
        lambda: nn.CrossEntropyLoss(weight=ad.ones(2))(
            ad.ones(2, 3), ad.tensor([0, 1])
        ),
        RuntimeError,
        "weight",
    ),
    (
        lambda: nn.BCELoss()(ad.tensor([1.5]), ad.tensor([1.0])),
        RuntimeError,
        "0 and 1|1.5",
    ),
    (lambda: nn.BCELoss()(ad.ones(2), ad.ones(3)), ValueError, "2|3"),
    (lambda: nn.LinearCrossEntropyLoss(2, 3)(ad.ones(1, 2), [1]), TypeError, "Tensor"),
    (
        lambda: nn.GaussianNLLLoss()(ad.ones(2), ad.ones(2), -ad.ones(2)),
        ValueError,
        "neg",
    ),
    (
        lambda: nn.CTCLoss()(ad.zeros(3, 1, 2), ad.tensor([[1]]), [4], [1]),
        RuntimeError,
        "3",
    ),
    (
        lambda: nn.AdaptiveLogSoftmaxWithLoss(8, 10, [5, 2]),
        ValueError,
        "cutoffs",
    ),
    (
        lambda: nn.AdaptiveLogSoftmaxWithLoss(8, 10, [2])(
            ad.ones(1, 8), ad.tensor([10])
        ),
        IndexError,
        "10",
    ),
]


@pytest.mark.parametrize(("call", "error", "text"), WRONG)
def test_bad_input_is_refused(call, error, text):
    with pytest.raises(error, match=text) as caught:
        call()
    assert isinstance(caught.value, ad.errors.AdjointError)


@pytest.mark.filterwarnings("ignore")
def test_older_flags_choose_the_reduction():
    x, t = ad.tensor(X), ad.tensor(T)
    assert nn.MSELoss(size_average=False).reduction == "sum"
    assert nn.MSELoss(reduce=False).reduction == "none"
    assert nn.L1Loss(False)(x, t).item() == pytest.approx(abs(X - T).sum())
