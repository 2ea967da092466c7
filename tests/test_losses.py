"""Losses: against PyTorch over options and edges; closed forms; second derivatives."""

import itertools

import numpy as np
import pytest

import adjoint as ad
from adjoint.errors import DimError
from adjoint.nn import functional as F
from peers import leaf, numbers

MODES = ["none", "mean", "sum"]


def unit(*shape, seed=0):
    return np.random.default_rng(seed).uniform(0.05, 0.95, shape)


def signs(*shape, seed=5):
    return np.where(numbers(*shape, seed=seed) > 0, 1.0, -1.0)


def classes(c, *shape, seed=7):
    return np.random.default_rng(seed).integers(0, c, shape)


def both(name, arrays, tol=1e-9, **options):
    """Values and gradients of ours and PyTorch's loss, with tensors among the options too."""
    torch = pytest.importorskip("torch")
    theirs = getattr(pytest.importorskip("torch.nn.functional"), name)
    mine = [leaf(a) for a in arrays]
    his = [torch.tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
    arrays_in = {k: v for k, v in options.items() if isinstance(v, np.ndarray)}
    y = getattr(F, name)(
        *mine, **{**options, **{k: ad.tensor(v) for k, v in arrays_in.items()}}
    )
    want = theirs(
        *his, **{**options, **{k: torch.tensor(v) for k, v in arrays_in.items()}}
    )
    assert tuple(y.shape) == tuple(want.shape)
    np.testing.assert_allclose(y.detach().numpy(), want.detach().numpy(), tol, tol)
    g = numbers(*y.shape, seed=9)
    y.backward(ad.tensor(g))
    want.backward(torch.tensor(g))
    for a, b in zip(mine, his, strict=True):
        if b.grad is not None:
            np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), tol, tol)


X, T = numbers(4, 3), numbers(4, 3, seed=1)
PAIRS = [
    ("mse_loss", [X, T], {}),
    ("mse_loss", [X, T], {"weight": unit(4, 3)}),
    ("l1_loss", [X, T], {}),
    ("l1_loss", [X, X], {}),
    ("smooth_l1_loss", [X, T], {}),
    ("smooth_l1_loss", [X, T], {"beta": 0.3}),
    ("smooth_l1_loss", [X, T], {"beta": 0.0}),
    ("smooth_l1_loss", [X, X + 1], {}),
    ("huber_loss", [X, T], {}),
    ("huber_loss", [X, T], {"delta": 0.4}),
    ("poisson_nll_loss", [X, unit(4, 3) * 5], {}),
    ("poisson_nll_loss", [X, unit(4, 3) * 5], {"full": True}),
    ("poisson_nll_loss", [unit(4, 3), unit(4, 3)], {"log_input": False}),
    ("gaussian_nll_loss", [X, T, unit(4, 3)], {}),
    ("gaussian_nll_loss", [X, T, unit(4, 1)], {"full": True}),
    ("gaussian_nll_loss", [X, T, unit(4)], {"full": True}),
    ("gaussian_nll_loss", [X, T], {"var": 0.5}),
    ("gaussian_nll_loss", [X, T, np.full((4, 3), 1e-9)], {}),
    ("kl_div", [X, unit(4, 3)], {}),
    ("kl_div", [X, T], {"log_target": True}),
    ("binary_cross_entropy", [unit(4, 3), unit(4, 3, seed=3)], {}),
    ("binary_cross_entropy", [unit(4, 3), unit(4, 3)], {"weight": unit(4, 3, seed=2)}),
    ("binary_cross_entropy_with_logits", [X, unit(4, 3)], {}),
    ("binary_cross_entropy_with_logits", [X, unit(4, 3)], {"pos_weight": unit(3)}),
    ("binary_cross_entropy_with_logits", [X, unit(4, 3)], {"weight": unit(4, 3)}),
    ("soft_margin_loss", [X, signs(4, 3).astype(int)], {}),
    ("hinge_embedding_loss", [X, signs(4, 3)], {}),
    ("hinge_embedding_loss", [X, signs(4, 3)], {"margin": 0.3}),
    ("multilabel_soft_margin_loss", [X, unit(4, 3)], {}),
    ("multilabel_soft_margin_loss", [X, unit(4, 3)], {"weight": unit(3)}),
    ("margin_ranking_loss", [X, T, signs(4, 3)], {}),
    ("margin_ranking_loss", [X, T, signs(4, 3)], {"margin": 0.7}),
    ("cosine_embedding_loss", [X, T, signs(4).astype(int)], {}),
    ("cosine_embedding_loss", [X, T, signs(4).astype(int)], {"margin": -0.5}),
    ("cosine_embedding_loss", [X[0], T[0], signs().astype(int)], {}),
    ("triplet_margin_loss", [X, T, numbers(4, 3, seed=2)], {}),
    ("triplet_margin_loss", [X, T, numbers(4, 3, seed=2)], {"swap": True, "p": 1}),
    ("triplet_margin_with_distance_loss", [X, T, numbers(4, 3, seed=2)], {}),
    ("multi_margin_loss", [X, classes(3, 4)], {}),
    ("multi_margin_loss", [X, classes(3, 4)], {"p": 2, "margin": 0.4}),
    ("multi_margin_loss", [X, classes(3, 4)], {"weight": unit(3)}),
    ("multi_margin_loss", [X[0], np.array(1)], {}),
]


@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name,arrays,options", PAIRS)
def test_loss_is_torch(name, arrays, options, mode):
    both(name, arrays, reduction=mode, **options)


@pytest.mark.parametrize("mode", MODES)
def test_multilabel_margin_is_torch(mode):
    t = np.array([[2, 0, -1, 1], [-1, 0, 1, 2], [3, 2, 1, 0]])
    both("multilabel_margin_loss", [numbers(3, 4), t], reduction=mode)
    both("multilabel_margin_loss", [numbers(4), t[0]], reduction=mode)


def test_batchmean():
    both("kl_div", [X, unit(4, 3)], reduction="batchmean")


@pytest.mark.parametrize(
    "name,arrays,options",
    [
        ("cross_entropy", [X[:0], unit(0, 3)], {}),
        ("cross_entropy", [X[:0], unit(0, 3)], {"label_smoothing": 0.1}),
        ("kl_div", [X[:0], unit(0, 3)], {"reduction": "batchmean"}),
        ("multilabel_soft_margin_loss", [X[:0], unit(0, 3)], {}),
        ("multilabel_soft_margin_loss", [X[:, :0], unit(4, 0)], {}),
    ],
)
def test_means_of_nothing_are_torchs(name, arrays, options):
    """A mean of no examples is no number, whichever way the loss takes it."""
    both(name, arrays, **options)
    assert np.isnan(getattr(F, name)(*map(ad.tensor, arrays), **options).item())


SHAPES = [((4, 3), (4,)), ((3,), ()), ((2, 3, 4), (2, 4)), ((2, 3, 2, 2), (2, 2, 2))]


@pytest.mark.parametrize("shapes", SHAPES)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("ignore", [-100, 1])
def test_nll_and_cross_entropy_are_torch(shapes, mode, weighted, ignore):
    x, t = numbers(*shapes[0]), classes(3, *shapes[1])
    if not t.ndim:
        t = np.array(2)
    options = {"reduction": mode, "ignore_index": ignore}
    if weighted:
        options["weight"] = unit(3)
    both("nll_loss", [x, t], **options)
    for smoothing in (0.0, 0.2):
        both("cross_entropy", [x, t], label_smoothing=smoothing, **options)


@pytest.mark.parametrize("shape", [(4, 3), (3,), (2, 3, 4)])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_cross_entropy_with_probabilities_is_torch(shape, mode, smoothing):
    options = {"reduction": mode, "label_smoothing": smoothing}
    both("cross_entropy", [numbers(*shape), unit(*shape)], **options)
    both("cross_entropy", [numbers(*shape), unit(*shape)], weight=unit(3), **options)


def test_all_ignored_and_empty():
    x, t = ad.ones(2, 3), ad.tensor([-100, -100])
    assert np.isnan(F.cross_entropy(x, t).item())
    assert F.cross_entropy(x, t, reduction="sum").item() == 0
    assert np.isnan(F.mse_loss(ad.ones(0), ad.ones(0)).item())
    assert F.cross_entropy(
        ad.ones(0, 3), ad.ones(0).long(), reduction="none"
    ).shape == (0,)


@pytest.mark.parametrize("size", [1e4, -1e4])
def test_logits_far_out(size):
    x, one = ad.tensor([size], dtype=ad.float32), ad.ones(1)
    right = abs(size) if size < 0 else 0.0
    assert F.binary_cross_entropy_with_logits(x, one).item() == right
    assert F.binary_cross_entropy_with_logits(x, 1 - one).item() == right + size
    assert F.soft_margin_loss(x, one).item() == right
    rows = ad.tensor([[size, 0.0]])
    assert F.cross_entropy(rows, ad.tensor([0])).item() == right
    assert F.binary_crossentropy(one, x, from_logits=True).item() == right
    weighted = F.binary_cross_entropy_with_logits(x, one, pos_weight=2 * one)
    assert weighted.item() == 2 * right


def test_logits_keep_precision_where_a_sigmoid_does_not():
    x = ad.tensor([-30.0], dtype=ad.float64)
    loss = F.binary_cross_entropy_with_logits(x, ad.zeros(1, dtype=ad.float64))
    assert loss.item() == pytest.approx(np.log1p(np.exp(-30.0)), rel=1e-12)


def test_binary_cross_entropy_at_its_ends():
    x = leaf(np.array([0.0, 1.0, 0.0, 1.0]))
    loss = F.binary_cross_entropy(x, ad.tensor([1, 0, 0, 1]), reduction="none")
    assert loss.tolist() == [100.0, 100.0, 0.0, 0.0]
    loss.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), [-1e12, 1e12, 0, 0])
    with pytest.raises(ad.errors.ArgumentError, match="between 0 and 1"):
        F.binary_cross_entropy(ad.tensor([1.5]), ad.tensor([1.0]))


CTC = [
    {},
    {"reduction": "sum"},
    {"reduction": "none"},
    {"blank": 4},
    {"zero_infinity": True},
]


@pytest.mark.parametrize("options", CTC)
def test_ctc_is_torch(options):
    torch = pytest.importorskip("torch")
    x = numbers(9, 3, 5)
    low = 0 if options.get("blank") == 4 else 1
    targets = np.array([[1, 1, 2, 3], [2, 3, 1, 1], [3, 0, 0, 0]]).clip(low)
    frames, counts = [9, 7, 3], [4, 2, 1]
    a = leaf(x)
    b = torch.tensor(x, requires_grad=True)
    y = F.ctc_loss(a.log_softmax(2), ad.tensor(targets), frames, counts, **options)
    want = torch.nn.functional.ctc_loss(
        b.log_softmax(2), torch.tensor(targets), frames, counts, **options
    )
    np.testing.assert_allclose(y.detach().numpy(), want.detach().numpy(), 1e-10)
    y.sum().backward()
    want.sum().backward()
    np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), 1e-8, 1e-10)


def test_ctc_is_a_sum_over_paths():
    x = ad.log_softmax(ad.tensor(numbers(4, 3)), 1)
    p = np.exp(x.numpy())
    total = 0.0
    for path in itertools.product(range(3), repeat=4):
        merged = [c for c, _ in itertools.groupby(path)]
        if [c for c in merged if c] == [1, 2]:
            total += np.prod([p[i, c] for i, c in enumerate(path)])
    loss = F.ctc_loss(x, ad.tensor([1, 2]), [4], [2], reduction="sum")
    assert loss.item() == pytest.approx(-np.log(total), rel=1e-12)


@pytest.mark.parametrize("rows", [True, False])
def test_ctc_of_numbers_that_a_program_gets(rows):
    """Labels and lengths are arguments, and others with every call."""
    rng = np.random.default_rng(0)

    def f(x, labels, frames, counts):
        given = counts if rows else [2, 1]
        return F.ctc_loss(x.log_softmax(2), labels, frames, given)

    g = ad.compile(f)
    shape = (2, 3) if rows else (3,)
    for k in (1, 2, 3):
        x = ad.tensor(rng.normal(size=(6, 2, 4)), requires_grad=True)
        labels = ad.tensor(rng.integers(1, 4, shape))
        sizes = ad.tensor([5, 4 + k % 2]), ad.tensor([k, 3 - k])
        seen = [h(x, labels, *sizes) for h in (f, g)]
        slopes = [ad.autograd.grad(y, x)[0].numpy() for y in seen]
        assert seen[0].item() == pytest.approx(seen[1].item(), rel=1e-12)
        np.testing.assert_allclose(*slopes, 1e-9, 1e-12)
    if rows:
        with pytest.raises(ad.errors.ArgumentError, match="between 0 and 3, got 4"):
            g(x, labels, sizes[0], ad.tensor([4, 1]))
        for h in (f, g):
            with pytest.raises(DimError, match=r"target \d is out of bounds"):
                h(x, labels + 4, *sizes)
    each = ad.vmap(lambda t: F.ctc_loss(x[:, 0].log_softmax(1), t, [5], [2]))
    pairs = ad.tensor([[1, 1], [2, 3]])
    want = [F.ctc_loss(x[:, 0].log_softmax(1), t, [5], [2]).item() for t in pairs]
    np.testing.assert_allclose(each(pairs).detach().numpy(), want, 1e-12)


def test_ctc_edges_and_second_derivative():
    x = leaf(numbers(4, 2, 3))

    def f(x):
        targets = ad.tensor([1, 2, 2])
        return F.ctc_loss(x.log_softmax(2), targets, [4, 3], [2, 1])

    assert ad.gradcheck(f, (x,))
    assert ad.gradgradcheck(f, (x,))
    short = ad.log_softmax(x, 2)
    too_long = F.ctc_loss(short, ad.tensor([[1, 1, 1]] * 2), [4, 4], [3, 3])
    assert too_long.item() == np.inf
    zero = F.ctc_loss(
        short, ad.tensor([[1, 1, 1]] * 2), [4, 4], [3, 3], zero_infinity=True
    )
    (g,) = ad.autograd.grad(zero, x)
    assert zero.item() == 0
    assert not g.numpy().any()
    empty = F.ctc_loss(short, ad.zeros(2, 0).long(), [4, 4], [0, 0], reduction="sum")
    assert empty.item() == pytest.approx(-short[:, :, 0].sum().item())


SMOOTH = [
    ("mse_loss", [X, T], {}),
    ("smooth_l1_loss", [X, T], {}),
    ("huber_loss", [X, T], {"delta": 0.7}),
    ("poisson_nll_loss", [X, unit(4, 3) * 3 + 2], {"full": True}),
    ("gaussian_nll_loss", [X, T, unit(4, 3)], {}),
    ("kl_div", [X, unit(4, 3)], {}),
    ("binary_cross_entropy", [unit(4, 3), unit(4, 3)], {}),
    ("binary_cross_entropy_with_logits", [X, unit(4, 3)], {}),
    ("soft_margin_loss", [X, signs(4, 3).astype(int)], {}),
    ("cosine_embedding_loss", [X, T, signs(4).astype(int)], {"margin": -1.0}),
    ("triplet_margin_loss", [X, T, numbers(4, 3, seed=2)], {"margin": 9.0}),
    ("multi_margin_loss", [X, classes(3, 4)], {"p": 2}),
    ("nll_loss", [X, classes(3, 4)], {}),
    ("cross_entropy", [X, classes(3, 4)], {"label_smoothing": 0.1}),
    ("cross_entropy", [X, unit(4, 3)], {}),
    ("mape_loss", [X, T], {}),
    ("log_cosh_loss", [X * 2, T], {}),
    ("cauchy_loss", [X, T], {"c": 1.5}),
    ("tukey_loss", [X, T], {"c": 1.5}),
    ("multiclass_hinge_loss", [X, classes(3, 4)], {}),
    ("squared_expectation_loss", [X, classes(3, 4)], {}),
    ("binary_crossentropy", [unit(4, 3), unit(4, 3)], {"label_smoothing": 0.1}),
    ("binary_crossentropy", [unit(4, 3), X], {"from_logits": True}),
]


@pytest.mark.parametrize("name,arrays,options", SMOOTH)
def test_two_derivatives(name, arrays, options):
    fixed = [ad.tensor(a) for a in arrays if a.dtype.kind != "f"]
    moving = [leaf(a) for a in arrays if a.dtype.kind == "f"]

    def f(*xs):
        return getattr(F, name)(*xs, *fixed, **options)

    assert ad.gradcheck(f, tuple(moving))
    assert ad.gradgradcheck(f, tuple(moving))


def test_vmap_and_forward_mode():
    x, t = ad.tensor(numbers(5, 3)), ad.tensor(classes(3, 5))
    rows = ad.vmap(lambda x, t: F.cross_entropy(x, t))(x, t)
    want = F.cross_entropy(x, t, reduction="none")
    np.testing.assert_allclose(rows.numpy(), want.numpy())
    forward = ad.jacfwd(lambda x: F.cross_entropy(x, t))(x)
    np.testing.assert_allclose(forward, ad.grad(lambda x: F.cross_entropy(x, t))(x))


def test_robust_losses_by_their_formulas():
    x = np.array([-50.0, -1.0, 0.0, 1e-6, 0.7, 3.0])
    zero = ad.zeros(6, dtype=ad.float64)

    def loss(name, **options):
        y = getattr(F, name)(ad.tensor(x), zero, reduction="none", **options)
        return y.numpy()

    cosh = np.log(np.cosh(x.astype(np.longdouble))).astype(float)
    cosh[3] = 0.5e-12
    np.testing.assert_allclose(loss("log_cosh_loss"), cosh, rtol=1e-11)
    np.testing.assert_allclose(loss("cauchy_loss", c=2), 2 * np.log1p(x * x / 4))
    u = np.minimum((x / 2) ** 2, 1)
    np.testing.assert_allclose(loss("tukey_loss", c=2), 4 / 6 * (1 - (1 - u) ** 3))


def test_binary_crossentropy_is_keras():
    t, p = np.array([[0.0, 1.0, 1.0]]), np.array([[0.1, 0.6, 1.0]])
    got = F.binary_crossentropy(ad.tensor(t), ad.tensor(p), label_smoothing=0.2)
    t, p = t * 0.8 + 0.1, p.clip(1e-7, 1 - 1e-7)
    want = -(t * np.log(p) + (1 - t) * np.log(1 - p)).mean(-1)
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-8)


def test_squared_expectation_takes_classes_and_probabilities():
    x = ad.tensor(numbers(2, 3))
    a = F.squared_expectation_loss(x, ad.tensor([0, 2]))
    b = F.squared_expectation_loss(x, ad.tensor([[1.0, 0, 0], [0, 0, 1.0]]).double())
    assert a.item() == b.item()


BAD = [
    (lambda: F.mse_loss(ad.ones(3), ad.ones(4)), "broadcast"),
    (lambda: F.mse_loss(ad.ones(3), ad.ones(3), reduction="avg"), "reduction"),
    (lambda: F.mse_loss(ad.tensor([1]), ad.tensor([1])), "int64"),
    (lambda: F.cross_entropy(ad.ones(2, 3), ad.tensor([0, 3])), "out of bounds"),
    (lambda: F.cross_entropy(ad.ones(2, 3), ad.tensor([0])), "target of shape"),
    (lambda: F.cross_entropy(ad.ones(2, 3), ad.ones(2)), "integer"),
    (lambda: F.nll_loss(ad.ones(2, 3), ad.tensor([0, -1])), "out of bounds"),
    (
        lambda: F.nll_loss(ad.ones(2, 3), ad.tensor([0, 1]), weight=ad.ones(2)),
        "one element a class",
    ),
    (lambda: F.binary_cross_entropy(ad.ones(2), ad.ones(3)), "same as input size"),
    (lambda: F.huber_loss(ad.ones(2), ad.ones(2), delta=0), "delta"),
    (lambda: F.triplet_margin_loss(*[ad.ones(2, 2)] * 3, margin=0), "margin"),
    (lambda: F.multi_margin_loss(ad.ones(2, 2), ad.tensor([0, 1]), p=3), "p == 1"),
    (lambda: F.gaussian_nll_loss(ad.ones(2), ad.ones(2), -ad.ones(2)), "negative"),
    (lambda: F.ctc_loss(ad.ones(4, 1, 3), ad.tensor([[5]]), [4], [1]), "in \\[0, 2\\]"),
    (lambda: F.ctc_loss(ad.ones(4, 1, 3), ad.tensor([[1]]), [5], [1]), "between 0"),
    (lambda: F.mse_loss([1.0], ad.ones(1)), "must be Tensor"),
    (lambda: F.huber_loss(ad.ones(1), ad.ones(1), delta="1"), "must be Number"),
    (lambda: F.margin_ranking_loss(ad.ones(1), 1.0, ad.ones(1)), "must be Tensor"),
    (lambda: F.cross_entropy(ad.tensor(1.0), ad.tensor(1.0)), "1 dim or more"),
]


@pytest.mark.parametrize("call,text", BAD)
def test_bad_input_gives_our_error(call, text):
    with pytest.raises(ad.errors.AdjointError, match=text):
        call()


def test_older_flags_choose_the_reduction():
    x, t = ad.ones(2), ad.zeros(2)
    assert F.mse_loss(x, t, False).item() == 2
    assert F.mse_loss(x, t, reduce=False).shape == (2,)
