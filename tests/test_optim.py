"""Optimizers: PyTorch's numbers over fifty steps, first steps by hand, what they keep."""

import copy
import inspect
import pickle
import warnings

import numpy as np
import pytest

import adjoint as ad
from adjoint import optim
from adjoint.optim import packs


@pytest.fixture
def torch():
    """PyTorch on one thread, which is quick for small arrays on a busy machine."""
    module = pytest.importorskip("torch")
    module.set_num_threads(1)
    return module


CASES = [
    ("SGD", {"lr": 0.05}),
    ("SGD", {"lr": 0.05, "momentum": 0.9}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "dampening": 0.5, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True, "maximize": True}),
    ("Adam", {"lr": 0.05}),
    ("Adam", {"lr": 0.05, "weight_decay": 0.1, "amsgrad": True, "betas": (0.8, 0.9)}),
    ("Adam", {"lr": 0.05, "maximize": True, "eps": 1e-3}),
    (
        "Adam",
        {"weight_decay": 0.1, "decoupled_weight_decay": True, "betas": (0.0, 0.9)},
    ),
    ("AdamW", {"lr": 0.05}),
    ("AdamW", {"lr": 0.05, "weight_decay": 0.3, "amsgrad": True}),
    ("NAdam", {"lr": 0.05}),
    ("NAdam", {"lr": 0.05, "weight_decay": 0.1, "momentum_decay": 0.02}),
    ("NAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True, "maximize": True}),
    ("RAdam", {"lr": 0.05}),
    ("RAdam", {"lr": 0.05, "betas": (0.8, 0.9), "weight_decay": 0.1}),
    ("RAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True, "maximize": True}),
    ("Adamax", {"lr": 0.05}),
    ("Adamax", {"lr": 0.05, "weight_decay": 0.1, "eps": 1e-3, "maximize": True}),
    ("Adagrad", {"lr": 0.05}),
    (
        "Adagrad",
        {"lr_decay": 0.1, "weight_decay": 0.1, "initial_accumulator_value": 0.3},
    ),
    ("Adagrad", {"eps": 1e-3, "maximize": True}),
    ("Adadelta", {"lr": 0.5}),
    ("Adadelta", {"rho": 0.5, "eps": 1e-3, "weight_decay": 0.1, "maximize": True}),
    ("RMSprop", {"lr": 0.01}),
    ("RMSprop", {"lr": 0.01, "alpha": 0.9, "centered": True, "momentum": 0.5}),
    ("RMSprop", {"weight_decay": 0.1, "momentum": 0.9, "maximize": True}),
    ("RMSprop", {"weight_decay": 0.1, "centered": True, "eps": 1e-4}),
    ("Rprop", {"lr": 0.01}),
    ("Rprop", {"etas": (0.3, 1.5), "step_sizes": (1e-3, 0.05), "maximize": True}),
    ("ASGD", {"lr": 0.05}),
    ("ASGD", {"lambd": 0.1, "t0": 10, "alpha": 0.5, "weight_decay": 0.1}),
    ("ASGD", {"t0": 3, "maximize": True}),
]
NAMES = sorted({name for name, _ in CASES})
ALL = [*NAMES, "LBFGS", "SparseAdam", "Muon", "Adafactor"]
OURS = [*CASES, ("Lion", {"lr": 0.01, "weight_decay": 0.1}), ("SparseAdam", {})]


def valley(lib, dtype="float64", steps=50, pause=None):
    """A run of an optimizer on a function with a curved valley: run(make) -> numbers."""
    rng = np.random.default_rng(0)

    def draw(*shape):
        x = rng.normal(size=shape)
        if dtype.startswith("c"):
            x = x + 1j * rng.normal(size=shape)
        return lib.tensor(x.astype(dtype))

    w, b = draw(4, 3).requires_grad_(), draw(3).requires_grad_()
    c = draw()[()].clone().detach().requires_grad_()
    x, t = draw(5, 4), draw(5, 3)

    def run(make):
        opt = make([{"params": [w, c]}, {"params": [b], "lr": 0.02}])
        for i in range(steps):
            if pause:
                opt = pause(i, opt, make)
            opt.zero_grad()
            y = (x @ w + b).tanh() if dtype.startswith("f") else x @ w + b
            ((y - t * c).abs() ** 2).mean().backward()
            opt.step()
        out = np.concatenate([p.detach().numpy().ravel() for p in (w, b, c)])
        return out, opt

    return run, [w, c, b]


def descend(lib, name, options, **kwargs):
    """The parameters after some steps."""
    run, _ = valley(lib, **kwargs)
    return run(lambda groups: getattr(lib.optim, name)(groups, **options))[0]


def show(x):
    """The id of a case."""
    return ",".join(f"{k}={v}" for k, v in x.items()) if isinstance(x, dict) else str(x)


@pytest.mark.parametrize(("name", "options"), CASES, ids=show)
def test_same_path_as_torch(name, options, torch):
    want = descend(torch, name, options)
    np.testing.assert_allclose(descend(ad, name, options), want, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize(("name", "options"), CASES[::2], ids=show)
def test_same_path_as_torch_complex(name, options, torch):
    want = descend(torch, name, options, dtype="complex128", steps=12)
    got = descend(ad, name, options, dtype="complex128", steps=12)
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize(("name", "options"), CASES[::3], ids=show)
def test_same_path_as_torch_float32(name, options, torch):
    want = descend(torch, name, options, dtype="float32", steps=12)
    got = descend(ad, name, options, dtype="float32", steps=12)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, want, rtol=2e-4, atol=2e-5)


def _shared(lib, name, options, wrap=lambda f: f):
    """Steps of two parameters that have one memory."""
    w = lib.nn.Parameter(lib.tensor([0.3, 0.5], dtype=lib.float64))
    v = lib.nn.Parameter(lib.tensor([0.3, 0.5], dtype=lib.float64))
    v.data = w.data
    opt, out = getattr(lib.optim, name)([w, v], **options), []

    @wrap
    def step(x):
        opt.zero_grad()
        ((w * x).sum() + (v * v * x).sum()).backward()
        opt.step()
        return x

    for i in range(4):
        step(lib.tensor([1.0, 2.0], dtype=lib.float64) * (i + 1))
        out.append([y.detach().numpy().copy() for y in (w, v)])
    return np.array(out)


@pytest.mark.parametrize(("name", "options"), CASES[::2], ids=show)
def test_parameters_of_one_memory_as_torch(name, options, torch):
    want = _shared(torch, name, options)
    np.testing.assert_allclose(_shared(ad, name, options), want, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize(("name", "options"), CASES[::2], ids=show)
def test_parameters_of_one_memory_one_after_the_other(name, options, monkeypatch):
    together = _shared(ad, name, options)
    compiled = _shared(ad, name, options, ad.compile)
    monkeypatch.setattr(packs, "run", lambda optimizer, params, o: params)
    alone = _shared(ad, name, options)
    np.testing.assert_allclose(together, alone, rtol=1e-13)
    np.testing.assert_allclose(compiled, alone, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize(("name", "options"), OURS, ids=show)
def test_packs_pieces_and_single_parameters_agree(name, options, monkeypatch):
    together = descend(ad, name, options, steps=8)
    monkeypatch.setattr(packs, "PIECE", 5)
    in_pieces = descend(ad, name, options, steps=8)
    monkeypatch.setattr(packs, "run", lambda optimizer, params, o: params)
    alone = descend(ad, name, options, steps=8)
    np.testing.assert_allclose(together, alone, rtol=1e-13)
    np.testing.assert_allclose(in_pieces, alone, rtol=1e-13)


@pytest.mark.parametrize(("name", "options"), OURS, ids=show)
def test_saved_and_resumed_is_the_same(name, options):
    def pause(i, opt, make):
        if i != 4:
            return opt
        state = pickle.loads(pickle.dumps(opt.state_dict()))
        params = [{"params": o["params"]} for o in opt.param_groups]
        new = getattr(optim, name)(params)
        new.load_state_dict(state)
        return new

    def final(**kwargs):
        return descend(ad, name, options, steps=8, **kwargs).tolist()

    # mu_product, eta and mu are kept in float32 and loaded in the parameter's dtype
    want = final()
    np.testing.assert_allclose(final(pause=pause), want, rtol=1e-6)
    if name not in ("NAdam", "ASGD"):
        assert final(pause=pause) == want


@pytest.mark.parametrize(("name", "options"), CASES, ids=show)
def test_takes_over_from_torch(name, options, torch):
    want = descend(torch, name, options, steps=8)
    run, theirs = valley(torch, steps=4)
    _, opt = run(lambda groups: getattr(torch.optim, name)(groups, **options))
    state = opt.state_dict()
    state["state"] = {
        i: {k: as_array(v) for k, v in s.items()} for i, s in state["state"].items()
    }
    run, mine = valley(ad, steps=4)
    for p, q in zip(mine, theirs, strict=True):
        p.data.copy_(ad.tensor(q.detach().numpy()))

    def make(groups):
        opt = getattr(optim, name)(groups)
        opt.load_state_dict(state)
        return opt

    got, opt = run(make)
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-12)
    again = opt.state_dict()
    assert {i: set(s) for i, s in again["state"].items()} == {
        i: set(s) for i, s in state["state"].items()
    }
    assert [set(o) for o in again["param_groups"]] == [
        set(o) for o in state["param_groups"]
    ]


def as_array(x):
    """A tensor's array; anything else as it is."""
    return x.detach().numpy() if hasattr(x, "detach") else x


@pytest.mark.parametrize("name", ALL)
def test_signature_is_torchs(name, torch):
    def parameters(lib):
        return [
            (p.name, p.kind, p.default)
            for p in inspect.signature(getattr(lib.optim, name)).parameters.values()
        ]

    assert parameters(ad) == parameters(torch)


RANGES = {
    "lr": (1e-3, 0.1),
    "momentum": (0, 0.99),
    "weight_decay": (0, 0.3),
    "eps": (1e-8, 1e-2),
    "momentum_decay": (0, 0.1),
    "lr_decay": (0, 0.3),
    "initial_accumulator_value": (0, 0.5),
    "rho": (0, 1),
    "lambd": (0, 0.1),
    "t0": (0, 20),
    "dampening": (0, 0.5),
}
SWITCHES = ("maximize", "amsgrad", "decoupled_weight_decay", "centered")


def drawn_options(optimizer, rng):
    """Some of the options, at random."""
    out = {}
    for name in inspect.signature(optimizer).parameters:
        if rng.random() < 0.5:
            continue
        if name in RANGES:
            out[name] = float(rng.uniform(*RANGES[name]))
        elif name in SWITCHES:
            out[name] = bool(rng.random() < 0.5)
        elif name == "betas":
            out[name] = tuple(map(float, rng.uniform(0, 0.99, 2)))
    return out


@pytest.mark.parametrize("seed", range(40))
def test_random_options_shapes_and_gaps_as_torch(seed, torch):
    rng = np.random.default_rng(seed)
    name = NAMES[seed % len(NAMES)]
    options = drawn_options(getattr(optim, name), rng)
    kind = rng.choice(["float64", "complex128"])

    def draw(shape):
        x = rng.normal(size=shape) + 1j * rng.normal(size=shape)
        return np.asarray(x if kind == "complex128" else x.real).astype(kind)

    dims = rng.integers(0, 4, size=rng.integers(1, 6))
    start = [draw(tuple(rng.integers(1, 5, size=n))) for n in dims]
    pairs = [(lib.tensor(x).requires_grad_(), x) for x in start for lib in (ad, torch)]
    mine, theirs = [p for p, _ in pairs[::2]], [p for p, _ in pairs[1::2]]
    steps = [
        getattr(lib.optim, name)(params, **options).step
        for lib, params in ((ad, mine), (torch, theirs))
    ]
    for _ in range(20):
        for p, q in zip(mine, theirs, strict=True):
            g, there = draw(tuple(p.shape)), rng.random() < 0.8
            p.grad = ad.tensor(g) if there else None
            q.grad = torch.tensor(g) if there else None
        for step in steps:
            step()
    for p, q in zip(mine, theirs, strict=True):
        got, want = p.detach().numpy(), q.detach().numpy()
        np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-10)


# ---------------------------------------------------------------- matrices, L-BFGS


def noisy_steps(lib, name, shape, options, steps=50):
    """The parameter after steps with gradients that do not depend on it."""
    rng = np.random.default_rng(0)
    p = lib.tensor(rng.normal(size=shape), requires_grad=True)
    opt = getattr(lib.optim, name)([p], **options)
    for _ in range(steps):
        p.grad = lib.tensor(np.asarray(rng.normal(size=shape)))
        opt.step()
    return p.detach().numpy()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"beta2_decay": -0.5, "d": 2.0, "weight_decay": 0.1, "eps": (1e-3, 1e-2)},
        {"maximize": True, "lr": 0.5},
    ],
    ids=show,
)
@pytest.mark.parametrize("shape", [(4, 3), (5,), (2, 3, 4), ()])
def test_adafactor_as_torch(options, shape, torch):
    want = noisy_steps(torch, "Adafactor", shape, options)
    np.testing.assert_allclose(noisy_steps(ad, "Adafactor", shape, options), want, 1e-6)


@pytest.mark.parametrize(
    "options",
    [
        {"lr": 0.02},
        {"lr": 0.02, "nesterov": False, "momentum": 0.8},
        {"lr": 0.01, "adjust_lr_fn": "match_rms_adamw", "weight_decay": 0.3},
        {"lr": 0.01, "adjust_lr_fn": "original", "ns_steps": 3, "eps": 1e-3},
    ],
    ids=show,
)
def test_muon_as_torch(options, torch):
    pytest.importorskip("ml_dtypes")
    for shape in ((2, 3), (3, 2)):
        want = noisy_steps(torch, "Muon", shape, options)
        got = noisy_steps(ad, "Muon", shape, options)
        np.testing.assert_allclose(got, want, rtol=1e-6)
    # the order of longer sums may change the last of bfloat16's eight binary digits
    want = noisy_steps(torch, "Muon", (30, 20), options, 1)
    got = noisy_steps(ad, "Muon", (30, 20), options, 1)
    np.testing.assert_allclose(got, want, atol=0.02 * 2**-8 * 4)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", [n for n in ALL if n not in ("LBFGS", "SparseAdam")])
def test_half_precision_as_torch(name, dtype, torch):
    pytest.importorskip("ml_dtypes")

    def steps(lib):
        p = lib.tensor([[1.0, -2.0], [3.0, 0.5]], dtype=getattr(lib, dtype))
        opt = getattr(lib.optim, name)([p.requires_grad_()])
        for _ in range(5):
            opt.zero_grad()
            (p * p).sum().backward()
            opt.step()
        return p.detach().float().numpy()

    np.testing.assert_allclose(steps(ad), steps(torch), rtol=0.02, atol=0.01)


def test_muon_is_nearly_orthogonal():
    w = ad.zeros(5, 3, dtype=ad.float64, requires_grad=True)
    w.grad = ad.tensor(np.random.default_rng(0).normal(size=(5, 3)))
    optim.Muon([w], lr=1.0).step()
    u, _, v = np.linalg.svd(w.grad.numpy(), full_matrices=False)
    step = -w.detach().numpy() / (5 / 3) ** 0.5
    near = u.T @ step @ v.T  # diagonal, near 1, in the bases of the gradient
    assert np.all(np.abs(np.diag(near) - 1) < 0.5)
    np.testing.assert_allclose(near, np.diag(np.diag(near)), atol=0.05)


def valley_floor(lib, options, steps, dtype="float64"):
    """L-BFGS on Rosenbrock's function in six variables and a quartic in two."""
    rng = np.random.default_rng(1)
    x = lib.tensor(rng.normal(size=6).astype(dtype), requires_grad=True)
    y = lib.tensor(rng.normal(size=2).astype(dtype), requires_grad=True)
    rest = lib.tensor(np.ones(2, dtype), requires_grad=True)
    opt, calls = lib.optim.LBFGS([x, rest, y], **options), []

    def closure():
        opt.zero_grad()
        curved = 100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2
        loss = curved.sum() + ((y - 1) ** 4).sum() * (1 + x[0] ** 2)
        loss.backward()
        calls.append(float(loss.detach()))
        return loss

    for _ in range(steps):
        opt.step(closure)
    return np.concatenate([x.detach().numpy(), y.detach().numpy()]), calls


@pytest.mark.parametrize(
    "options",
    [
        {"line_search_fn": "strong_wolfe"},
        {"line_search_fn": "strong_wolfe", "max_iter": 4, "history_size": 3},
        {"line_search_fn": "strong_wolfe", "lr": 0.1, "max_iter": 3, "max_eval": 5},
        {"lr": 0.001},
        {"lr": 0.002, "max_iter": 7, "history_size": 2},
        {"lr": 0.001, "tolerance_change": 1.0},
        {"line_search_fn": "strong_wolfe", "tolerance_grad": 0.1},
    ],
    ids=show,
)
def test_lbfgs_as_torch(options, torch):
    want, their_losses = valley_floor(torch, options, 12)
    got, losses = valley_floor(ad, options, 12)
    np.testing.assert_allclose(got, want, rtol=1e-6)
    assert len(losses) == len(their_losses)
    np.testing.assert_allclose(losses, their_losses, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("search", ["strong_wolfe", None])
def test_lbfgs_resumes_and_takes_over_from_torch(search, torch):

    def run(lib, opt, x, steps):
        def closure():
            opt.zero_grad()
            loss = ((x - 1) ** 4).sum() + (x[1:] - x[:-1] ** 2).pow(2).sum()
            loss.backward()
            return loss

        for _ in range(steps):
            opt.step(closure)
        return x.detach().numpy().copy()

    options = {"lr": 0.1, "max_iter": 3, "line_search_fn": search}
    q = torch.tensor([-1.0, 2.0, 0.5], dtype=torch.float64, requires_grad=True)
    theirs = torch.optim.LBFGS([q], **options)
    half = run(torch, theirs, q, 2)
    state = copy.deepcopy(theirs.state_dict())
    state["state"] = {
        i: {
            k: [as_array(x) for x in v] if isinstance(v, list) else as_array(v)
            for k, v in s.items()
        }
        for i, s in state["state"].items()
    }
    want = run(torch, theirs, q, 3)
    p = ad.tensor(half, requires_grad=True)
    mine = optim.LBFGS([p])
    mine.load_state_dict(state)
    run(ad, mine, p, 1)
    again = optim.LBFGS([p])
    again.load_state_dict(mine.state_dict())
    np.testing.assert_allclose(run(ad, again, p, 2), want, rtol=1e-6)
    assert again.state[p]["n_iter"] == theirs.state[q]["n_iter"]


def test_lbfgs_solves_a_quadratic_and_complex_problems():
    a = np.diag([1.0, 10.0, 100.0]) + 0.5
    b = np.array([1.0, -2.0, 3.0])
    x = ad.zeros(3, dtype=ad.float64, requires_grad=True)
    opt = optim.LBFGS([x], max_iter=50, line_search_fn="strong_wolfe")

    def closure():
        opt.zero_grad()
        loss = 0.5 * (x @ ad.tensor(a) @ x) - (x * ad.tensor(b)).sum()
        loss.backward()
        return loss

    opt.step(closure)
    np.testing.assert_allclose(x.detach().numpy(), np.linalg.solve(a, b), atol=1e-4)

    z = ad.tensor([0j, 0j], requires_grad=True)
    opt = optim.LBFGS([z], line_search_fn="strong_wolfe")

    def distance():
        opt.zero_grad()
        loss = ((z - ad.tensor([1 + 2j, 3 - 1j])).abs() ** 2).sum()
        loss.backward()
        return loss

    opt.step(distance)
    np.testing.assert_allclose(z.detach().numpy(), [1 + 2j, 3 - 1j], atol=1e-4)


def test_lbfgs_errors():
    w = ad.ones(2, requires_grad=True)
    with pytest.raises(TypeError, match="needs a closure"):
        optim.LBFGS([w]).step()
    with pytest.raises(ValueError, match="parameter groups"):
        optim.LBFGS([{"params": [w]}, {"params": [ad.ones(1)]}])
    with pytest.raises(ValueError, match="'strong_wolfe' or None, not 'armijo'"):
        optim.LBFGS([w], line_search_fn="armijo")


# ---------------------------------------------------------------- compiled


MORE = [
    ("Muon", {"lr": 0.02}),
    ("Muon", {"weight_decay": 0.1, "nesterov": False, "ns_steps": 3}),
    ("Adafactor", {"lr": 0.5, "weight_decay": 0.1}),
    ("Adafactor", {"d": 2.0, "beta2_decay": -0.5, "maximize": True}),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", [*NAMES, "Lion", "SparseAdam", "Muon", "Adafactor"])
def test_a_compiled_step_is_the_eager_one(name, dtype):
    """One step of a network with each of the options, the parameters and all state."""

    def run(prepare):
        rng = np.random.default_rng(0)
        shapes = (4, 3), (3, 2), (5, 4)
        w, v, x = (ad.tensor(rng.normal(size=n).astype(dtype)) for n in shapes)
        opts = [
            getattr(optim, name)(
                [w.clone().requires_grad_(), v.clone().requires_grad_()], **o
            )
            for n, o in [*OURS, *MORE]
            if n == name
        ]
        falling = [optim.lr_scheduler.ExponentialLR(opt, 0.9) for opt in opts]

        def step(x):
            losses = []
            for opt in opts:
                opt.zero_grad()
                w, v = opt.param_groups[0]["params"]
                losses.append((((x @ w).tanh() @ v - 1) ** 2).mean())
                losses[-1].backward()
                opt.step()
            return losses

        step, seen = prepare(step), []
        for _ in range(4):
            seen += step(x)
            for scheduler in falling:
                scheduler.step()
        assert prepare is not ad.compile or len(step.programs) == 1
        for opt in opts:
            seen += opt.param_groups[0]["params"]
            seen += [s for kept in opt.state.values() for s in kept.values()]
        return [np.asarray(y.detach() if hasattr(y, "detach") else y) for y in seen]

    # Muon iterates in few digits, of which the last depend on the order of sums
    near = 1e-2 if name == "Muon" else 1e-9 if dtype == "float64" else 2e-5
    for got, want in zip(run(ad.compile), run(lambda f: f), strict=True):
        far = abs(want).max(initial=0)
        np.testing.assert_allclose(got, want, rtol=near, atol=near / 10 * max(far, 1))


def test_every_optimizer_is_compiled():
    kinds = {n for n, c in vars(optim).items() if isinstance(c, type)}
    by_hand = {"Optimizer", "LBFGS"}  # what LBFGS does depends on the numbers
    assert kinds - by_hand == {n for n, _ in [*OURS, *MORE]}


def test_a_step_alone_may_be_compiled():
    def run(prepare):
        w = ad.tensor([1.0, -2.0], dtype=ad.float64, requires_grad=True)
        b = ad.tensor([0.5], dtype=ad.float64, requires_grad=True)
        opt = optim.Adam([w, b], lr=0.1)
        falling = optim.lr_scheduler.ExponentialLR(opt, 0.9)
        step = prepare(opt.step)
        for i in range(8):
            opt.zero_grad()
            ((w**4).sum() + (w.sum() - b**2).sum() ** 2).backward()
            if i == 5:
                b.grad = None
            step()
            falling.step()
        return [*w.tolist(), *b.tolist()]

    np.testing.assert_allclose(run(ad.compile), run(lambda f: f), rtol=1e-9)


# ---------------------------------------------------------------- by hand


@pytest.mark.parametrize(
    ("name", "options", "want"),
    [
        ("SGD", {}, [1 - 0.1 * 2, -2 + 0.1 * 4]),
        ("SGD", {"momentum": 0.9, "nesterov": True}, [1 - 0.1 * 3.8, -2 + 0.1 * 7.6]),
        ("Adam", {}, [0.9, -1.9]),
        ("AdamW", {"weight_decay": 0.5}, [0.85, -1.8]),
        ("Adamax", {}, [0.9, -1.9]),
        ("Adagrad", {}, [0.9, -1.9]),
        ("RMSprop", {"alpha": 0.75}, [1 - 0.2, -2 + 0.2]),
        ("Rprop", {}, [0.9, -1.9]),
        ("ASGD", {"lambd": 0.0}, [0.8, -1.6]),
        ("RAdam", {}, [0.8, -1.6]),
        ("Lion", {"weight_decay": 0.5}, [0.85, -1.8]),
        ("Adadelta", {"eps": 3.0, "rho": 0.75}, [1 - 0.1, -2 + 0.4 * (3 / 7) ** 0.5]),
    ],
    ids=show,
)
def test_first_step(name, options, want):
    w = ad.tensor([1.0, -2.0], dtype=ad.float64, requires_grad=True)
    opt = getattr(optim, name)([w], lr=0.1, **options)
    (w * w).sum().backward()
    opt.step()
    if name == "Adadelta":  # d = g √3 / √(g²/4 + 3)
        want = [1 - 0.1 * 2 * (3 / 4) ** 0.5, -2 + 0.1 * 4 * (3 / 7) ** 0.5]
    np.testing.assert_allclose(w.detach().numpy(), want, rtol=1e-6)


@pytest.mark.parametrize("name", [*NAMES, "Lion", "SparseAdam"])
def test_finds_the_minimum_of_a_quadratic(name):
    lr = {"Adadelta": 50.0, "Adagrad": 0.5, "Lion": 0.003}.get(name, 0.02)
    w = ad.tensor([1.0, -0.5], requires_grad=True)
    opt = getattr(optim, name)([w], lr=lr)
    for _ in range(500):
        opt.zero_grad()
        (
            0.5 * (w - ad.tensor([0.3, 0.2])) ** 2 * ad.tensor([1.0, 4.0])
        ).sum().backward()
        opt.step()
    np.testing.assert_allclose(w.detach().numpy(), [0.3, 0.2], atol=0.02)


def test_sparse_adam_leaves_rows_alone(torch):
    rng = np.random.default_rng(0)
    start = rng.normal(size=(6, 3))
    p = ad.tensor(start, requires_grad=True)
    q = torch.tensor(start, requires_grad=True)
    mine = optim.SparseAdam([p], lr=0.1, betas=(0.8, 0.9), maximize=True)
    theirs = torch.optim.SparseAdam([q], lr=0.1, betas=(0.8, 0.9), maximize=True)
    for _ in range(50):
        g = rng.normal(size=(6, 3)) * (rng.random((6, 1)) < 0.4)
        p.grad = ad.tensor(g)
        q.grad = torch.tensor(g).to_sparse(1)
        mine.step()
        theirs.step()
    np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), rtol=1e-6)


# ---------------------------------------------------------------- options


def test_learning_rate_may_be_a_tensor():
    for name in [*NAMES, "Lion", "SparseAdam"]:
        for dtype in (ad.float32, ad.float64):
            for lr in (0.01, ad.tensor(0.01), ad.tensor([0.01])):
                w = ad.tensor([1.0, -2.0], dtype=dtype, requires_grad=True)
                opt = getattr(optim, name)([w], lr=lr)
                (w**4).sum().backward()
                opt.step()
                assert w.dtype == dtype
                if lr == 0.01 and not isinstance(lr, ad.Tensor):
                    want = w.detach().numpy()
                np.testing.assert_allclose(w.detach().numpy(), want, rtol=1e-6)
    lr = ad.tensor(0.5)
    w = ad.tensor([1.0], requires_grad=True)
    opt = optim.SGD([w], lr=lr)
    w.sum().backward()
    lr.fill_(0.25)
    opt.step()
    assert w.item() == 0.75


def test_momentum_and_betas_may_be_tensors():
    for name, key, value in (
        ("SGD", "momentum", 0.9),
        ("RMSprop", "momentum", 0.9),
        ("Muon", "momentum", 0.9),
        ("Adam", "betas", (0.9, 0.99)),
        ("NAdam", "betas", (0.9, 0.99)),
        ("RAdam", "betas", (0.9, 0.99)),
        ("Adamax", "betas", (0.9, 0.99)),
        ("Lion", "betas", (0.9, 0.99)),
    ):
        got = []
        for wrapped in (lambda x: x, lambda x: ad.tensor(x, dtype=ad.float64)):
            parts = tuple(map(wrapped, value)) if key == "betas" else wrapped(value)
            w = ad.tensor([[1.0, -2.0]], requires_grad=True)
            opt = getattr(optim, name)([w], lr=0.01, **{key: parts})
            for _ in range(3):
                opt.zero_grad()
                (w**4).sum().backward()
                opt.step()
            got.append(w.detach().numpy())
        np.testing.assert_allclose(got[1], got[0], rtol=1e-6)
    momentum = ad.tensor(0.9)
    opt = optim.SGD([ad.ones(1, requires_grad=True)], lr=0.1, momentum=momentum)
    cycle = optim.lr_scheduler.CyclicLR(opt, 0.1, 1.0, 2, max_momentum=0.8)
    opt.step()
    cycle.step()
    assert opt.param_groups[0]["momentum"] is momentum
    assert abs(momentum.item() - 0.8) < 1e-6


def test_differentiable_step_has_a_derivative():
    rate = ad.tensor(0.1, dtype=ad.float64, requires_grad=True)

    def after(rate, name):
        w = ad.tensor([1.0, -2.0], dtype=ad.float64, requires_grad=True)
        x = w.clone()
        opt = getattr(optim, name)([x], lr=rate, differentiable=True)
        for _ in range(2):
            x.grad = ad.tensor([0.5, 0.25], dtype=ad.float64)
            opt.step()
        return (x**2).sum()

    for name in ("SGD", "Adam", "NAdam", "RMSprop"):
        assert ad.gradcheck(lambda r, name=name: after(r, name), (rate,))


def test_parameters_of_every_kind():
    params = [
        ad.tensor([1.0, 2.0], requires_grad=True),
        ad.tensor(3.0, requires_grad=True),
        ad.zeros(0, 2, requires_grad=True),
        ad.tensor([1.0, 2.0], dtype=ad.float16, requires_grad=True),
        ad.tensor([[1.0, 2.0], [3.0, 4.0]]).T.requires_grad_(),
        ad.tensor([1.0, 2.0, 3.0])[1:].requires_grad_(),
        ad.tensor([1 + 1j], requires_grad=True),
    ]
    opt = optim.SGD(params, lr=0.5)
    for p in params:
        p.grad = ad.ones_like(p)
    opt.step()
    assert params[0].tolist() == [0.5, 1.5] and params[1].item() == 2.5
    assert params[3].tolist() == [0.5, 1.5] and params[3].dtype == ad.float16
    assert params[4].tolist() == [[0.5, 2.5], [1.5, 3.5]]
    assert params[5].tolist() == [1.5, 2.5]
    assert params[6].tolist() == [0.5 + 1j]


def test_parameters_without_gradient_rest():
    w, b = (ad.ones(2, requires_grad=True) for _ in range(2))
    opt = optim.Adam([w, b], lr=0.1)
    w.sum().backward()
    opt.step()
    assert b.tolist() == [1, 1] and len(opt.state) == 1
    b.sum().backward()
    opt.step()
    assert opt.state[w]["step"].item() == 2 and opt.state[b]["step"].item() == 1


def test_state_is_written_in_place():
    w = ad.ones(2, requires_grad=True)
    opt = optim.Adam([w])
    w.grad = ad.ones(2)
    opt.step()
    before = {k: (x, x.data_ptr()) for k, x in opt.state[w].items()}
    place = w.data_ptr()
    opt.step()
    assert all(opt.state[w][k] is x for k, (x, _) in before.items())
    assert all(x.data_ptr() == p for x, p in before.values())
    assert w.data_ptr() == place and opt.state[w]["step"].item() == 2


def test_a_step_counts_as_a_write_in_place():
    for size in (2, 2 * packs.PIECE):
        w = ad.ones(size, requires_grad=True)
        y = (w * w).sum()
        w.grad = ad.ones(size)
        optim.SGD([w]).step()
        with pytest.raises(RuntimeError, match="modified by an inplace"):
            y.backward()


def test_large_parameters_go_in_pieces():
    rng = np.random.default_rng(0)
    start = rng.normal(size=(3 * packs.PIECE // 2, 2)).astype("f")
    w = ad.tensor(start, requires_grad=True)
    opt = optim.Adam([w], lr=0.1)
    for _ in range(2):
        w.grad = ad.tensor(start)
        opt.step()
    want = start - 0.2 * start / (np.abs(start) + 1e-8)  # as m = g and v = g²
    np.testing.assert_allclose(w.detach().numpy(), want, atol=1e-5)
    assert opt.state[w]["step"].item() == 2


@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_many_parameters_go_in_several_parts(name, monkeypatch):
    def run():
        rng = np.random.default_rng(0)
        params = [ad.tensor(rng.normal(size=n)) for n in (2, 3, 4, 1, 9, 2, 2)]
        options = {"momentum": 0.9} if name == "SGD" else {}
        opt = getattr(optim, name)(params, lr=0.1, **options)
        for _ in range(3):
            for p in params:
                p.grad = ad.tensor(rng.normal(size=p.shape))
            opt.step()
        return np.concatenate([p.numpy() for p in params]), opt.state[params[3]]

    want, kept = run()
    monkeypatch.setattr(packs, "PIECE", 5)
    got, state = run()
    np.testing.assert_allclose(got, want, rtol=1e-13)
    for k, x in kept.items():
        assert x.shape == state[k].shape
        np.testing.assert_allclose(state[k].numpy(), x.numpy(), rtol=1e-6)


def test_named_parameters_and_groups():
    w, b, c = (ad.ones(1, requires_grad=True) for _ in range(3))
    opt = optim.SGD([("w", w), ("b", b)], lr=0.5)
    assert opt.param_groups[0]["param_names"] == ["w", "b"]
    opt.add_param_group({"params": [("c", c)], "lr": 0.25})
    for p in (w, b, c):
        p.grad = ad.ones(1)
    opt.step()
    assert (w.item(), b.item(), c.item()) == (0.5, 0.5, 0.75)
    state = opt.state_dict()
    assert [o["params"] for o in state["param_groups"]] == [[0, 1], [2]]
    assert state["param_groups"][1]["param_names"] == ["c"]
    with pytest.raises(ValueError, match="with or without names"):
        opt.add_param_group({"params": [ad.ones(1, requires_grad=True)]})
    with pytest.raises(ValueError, match="1 of 2 have one"):
        optim.SGD([("w", w), b])


def test_zero_grad():
    w = ad.ones(2, requires_grad=True)
    opt = optim.SGD([w])
    (w * w).sum().backward()
    opt.zero_grad(set_to_none=False)
    assert w.grad.tolist() == [0, 0]
    opt.zero_grad()
    assert w.grad is None


# ---------------------------------------------------------------- closures, hooks, copies


def test_closure_and_hooks():
    w = ad.tensor([3.0], requires_grad=True)
    opt = optim.SGD([w], lr=0.1)
    seen = []
    opt.register_step_pre_hook(lambda *a: seen.append("pre"))
    opt.register_step_post_hook(lambda *a: seen.append("post"))
    everywhere = [
        optim.register_optimizer_step_pre_hook(lambda *a: seen.append("PRE")),
        optim.register_optimizer_step_post_hook(lambda *a: seen.append("POST")),
    ]

    def closure():
        opt.zero_grad()
        loss = (w * w).sum()
        loss.backward()
        return loss

    with ad.no_grad():
        assert opt.step(closure).item() == 9.0
    assert seen == ["PRE", "pre", "post", "POST"]
    for handle in everywhere:
        handle.remove()
    opt.step()
    assert seen[4:] == ["pre", "post"]
    np.testing.assert_allclose(w.detach().numpy(), [1.8], rtol=1e-6)


def test_a_step_hook_may_change_the_arguments():
    w = ad.tensor([3.0], requires_grad=True)
    opt = optim.SGD([w], lr=0.1)
    handle = opt.register_step_pre_hook(lambda o, args, kw: ((o, lambda: 7), kw))
    assert opt.step() == 7
    handle.remove()
    opt.register_step_pre_hook(lambda *a: 3)
    with pytest.raises(ValueError, match="must return None or a tuple"):
        opt.step()


def test_state_dict_hooks():
    w = ad.tensor([3.0], requires_grad=True)
    opt, seen = optim.SGD([w], lr=0.1), []
    opt.register_state_dict_pre_hook(lambda o: seen.append("b"))
    opt.register_state_dict_pre_hook(lambda o: seen.append("a"), prepend=True)
    opt.register_state_dict_post_hook(lambda o, d: {**d, "more": 1})
    state = opt.state_dict()
    assert seen == ["a", "b"] and state["more"] == 1

    def changed(o, d):
        seen.append("load")
        return {**d, "param_groups": [{**d["param_groups"][0], "lr": 0.7}]}

    opt.register_load_state_dict_pre_hook(changed)
    opt.register_load_state_dict_post_hook(lambda o: seen.append("loaded"))
    opt.load_state_dict(state)
    assert opt.param_groups[0]["lr"] == 0.7 and seen[2:] == ["load", "loaded"]


def test_own_optimizers():
    class Halving(optim.Optimizer):
        """Changes the parameters by itself, as PyTorch's own optimizers are written."""

        def __init__(self, params):
            super().__init__(params, {"lr": 1.0})

        def step(self, closure=None):
            for o in self.param_groups:
                for p in o["params"]:
                    with ad.no_grad():
                        p.mul_(0.5)
                    self.state[p]["seen"] = self.state[p].get("seen", 0) + 1

    class Quartering(Halving):
        def step(self, closure=None):
            super().step()
            super().step()

    w, seen = ad.ones(2, requires_grad=True), []
    opt = Quartering([w])
    opt.register_step_post_hook(lambda *a: seen.append(1))
    opt.step()
    assert w.tolist() == [0.25, 0.25] and seen == [1]
    assert opt.state_dict()["state"] == {0: {"seen": 2}}

    class Forgetful(optim.Optimizer):
        pointwise = True

        def update(self, p, g, s, o):
            p.mul_(0.5)

    w.grad = ad.ones(2)
    with pytest.raises(TypeError, match=r"update must return .* not NoneType"):
        Forgetful([w], {}).step()
    Forgetful.update = lambda self, p, g, s, o: p.sum()
    with pytest.raises(ValueError, match=r"new value, of shape \(2,\), not \(\)"):
        Forgetful([w], {}).step()
    with pytest.raises(NotImplementedError, match="has no update"):
        optim.Optimizer([w], {}).step()


def test_state_may_hold_other_things_than_tensors():
    class Counting(optim.Optimizer):
        pointwise = True

        def update(self, p, g, s, o):
            s["seen"] = s.get("seen", 0) + 1
            return p - g / s["seen"]

    w, b = ad.ones(2, requires_grad=True), ad.ones(3, requires_grad=True)
    opt = Counting([w, b], {})
    for _ in range(2):
        w.grad, b.grad = ad.ones(2), ad.ones(3)
        opt.step()
    assert opt.state[b] == {"seen": 2}
    assert w.tolist() == [-0.5, -0.5] and b.tolist() == [-0.5] * 3


def test_wrappers_that_share_groups_with_another_optimizer():
    class Lookahead(optim.Optimizer):
        """Slow weights follow fast ones; as usual it does not call __init__."""

        def __init__(self, fast):
            self.fast, self.count = fast, 0
            self.param_groups, self.state = fast.param_groups, fast.state
            self.slow = [p.detach().clone() for p in fast.param_groups[0]["params"]]

        def step(self, closure=None):
            loss, self.count = self.fast.step(closure), self.count + 1
            if self.count % 2 == 0:
                for p, q in zip(self.param_groups[0]["params"], self.slow, strict=True):
                    q.data.add_(p.data - q.data, alpha=0.5)
                    p.data.copy_(q)
            return loss

    w, seen = ad.ones(1, requires_grad=True), []
    opt = Lookahead(optim.SGD([w], lr=0.25))
    opt.register_step_post_hook(lambda *a: seen.append(1))
    optim.lr_scheduler.StepLR(opt, 1)
    for _ in range(2):
        opt.zero_grad()
        w.sum().backward()
        opt.step()
    assert w.item() == 0.75 and seen == [1, 1]


def test_state_that_moves_between_names():
    class Echo(optim.Optimizer):
        """Gives back what the parameter was two steps before."""

        def begin(self, p, o):
            return {"a": p * 0 + 1, "b": p * 0 + 2}

        def update(self, p, g, s, o):
            y = s["a"]
            s["a"], s["b"] = s["b"], p
            return y

    for pointwise in (True, False):
        w = ad.tensor([5.0, 6.0], requires_grad=True)
        opt = type("Echo2", (Echo,), {"pointwise": pointwise})([w], {})
        got = []
        for _ in range(5):
            w.grad = ad.ones(2)
            opt.step()
            got.append(w.tolist()[0])
        assert got == [1, 2, 5, 1, 2]


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]
)
def test_copies_go_on_alike(copied):
    w = ad.tensor([1.0, -2.0], requires_grad=True)
    opt = optim.Adam([w], lr=0.1)
    w.grad = ad.ones(2)
    opt.step()
    v, new = copied((w, opt))
    assert new.param_groups[0]["params"][0] is v and v is not w
    w.grad, v.grad = ad.ones(2), ad.ones(2)
    opt.step()
    new.step()
    assert v.tolist() == w.tolist() and new.state[v]["step"].item() == 2


def test_repr():
    w = ad.tensor([1.0], requires_grad=True)
    assert repr(optim.Lion([w], lr=0.1)) == (
        "Lion (\nParameter Group 0\n    betas: (0.9, 0.99)\n    capturable: False\n"
        "    differentiable: False\n    foreach: None\n    lr: 0.1\n    maximize: False\n"
        "    weight_decay: 0.0\n)"
    )


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("name", "options", "text"),
    [
        ("Adam", {"lr": -1}, "Invalid learning rate: -1"),
        ("Adam", {"lr": float("nan")}, "Invalid learning rate: nan"),
        ("Adam", {"lr": ad.tensor(-1.0)}, "Invalid learning rate: -1"),
        ("Adam", {"lr": ad.ones(2)}, "Tensor lr must be 1-element"),
        ("Adam", {"eps": -1}, "Invalid epsilon value: -1"),
        ("Adam", {"weight_decay": -1}, "Invalid weight_decay value: -1"),
        ("Adam", {"betas": (1.0, 0.9)}, "beta parameter at index 0: 1.0"),
        ("Adam", {"betas": (0.9, -0.1)}, "beta parameter at index 1: -0.1"),
        ("Adam", {"fused": True, "foreach": True}, "cannot be `True` together"),
        ("SGD", {"fused": True, "differentiable": True}, "does not support"),
        ("SGD", {"momentum": -1}, "Invalid momentum value: -1"),
        ("SGD", {"nesterov": True}, "requires a momentum and zero dampening, got"),
        ("NAdam", {"momentum_decay": -1}, "Invalid momentum_decay value: -1"),
        ("Adagrad", {"lr_decay": -1}, "Invalid lr_decay value: -1"),
        ("Adagrad", {"initial_accumulator_value": -1}, "initial_accumulator_value"),
        ("Adadelta", {"rho": 1.5}, "Invalid rho value: 1.5"),
        ("RMSprop", {"alpha": -1}, "Invalid alpha value: -1"),
        ("Rprop", {"etas": (0.5, 0.9)}, "Invalid eta values: 0.5, 0.9"),
        ("SparseAdam", {"lr": 0}, "Invalid lr: 0"),
        ("Lion", {"betas": (0.9, 2)}, "beta parameter at index 1: 2"),
        ("Muon", {}, r"only supports 2D parameters, not one of size \(1,\)"),
        ("Adafactor", {"beta2_decay": 0.5}, "beta2_decay should be <= 0 but is: 0.5"),
        ("Adafactor", {"eps": (-1, 0)}, "epsilon1 should be >= 0 but is: -1"),
        ("Adafactor", {"eps": (None, -1)}, "epsilon2 should be >= 0 but is: -1"),
        ("Adafactor", {"d": 0.5}, "threshold d should be >= 1 but is: 0.5"),
    ],
    ids=show,
)
def test_bad_options_are_refused(name, options, text):
    w = ad.tensor([1.0], requires_grad=True)
    with pytest.raises(ValueError, match=text):
        getattr(optim, name)([w], **options)


def test_bad_parameters_are_refused():
    square, z = ad.ones(2, 2), ad.ones(2, 2, dtype=ad.complex64)
    for name, params, options, text in [
        ("Muon", [square], {"adjust_lr_fn": "best"}, "function best is not supported"),
        ("Muon", [square], {"ns_steps": 100}, "less than 100 ns_steps"),
        ("Muon", [square], {"ns_coefficients": (1, 2)}, "exactly 3 ns_coefficients"),
        ("Muon", [z], {}, "complex"),
        ("Adafactor", [z], {}, "complex"),
        ("SparseAdam", [z], {}, "complex"),
    ]:
        with pytest.raises(ValueError, match=text):
            getattr(optim, name)(params, **options)
    w = ad.tensor([1.0], requires_grad=True)
    for params, error, text in [
        ([], ValueError, "empty parameter list"),
        (w, TypeError, "iterable"),
        (3, TypeError, "iterable"),
        ([3], TypeError, "can only optimize Tensors, got int"),
        ([w, w], ValueError, "more than one place"),
        ([{"params": [w]}, {"params": w}], ValueError, "more than one place"),
        ([w * 2], ValueError, "non-leaf"),
        ([{"params": {w}}], TypeError, "ordered collection"),
        ([{"params": [w]}, w], TypeError, "param_group must be a dict"),
    ]:
        with pytest.raises(error, match=text):
            optim.SGD(params)
    with pytest.raises(TypeError, match="lr must be a number"):
        optim.SGD([w], lr="fast")
    with pytest.raises(ValueError, match="needs a value for 'lr'"):
        optim.Optimizer([w], {"lr": optim.optimizer.required})


def test_a_state_dict_that_does_not_fit_changes_nothing():
    w, b = (ad.ones(2, requires_grad=True) for _ in range(2))
    opt = optim.SGD([w, b], lr=0.5)
    one = optim.SGD([ad.ones(2, requires_grad=True)], lr=0.1).state_dict()
    with pytest.raises(
        ValueError, match=r"groups of \[1\] parameters, the optimizer of \[2"
    ):
        opt.load_state_dict(one)
    two = optim.SGD([{"params": [ad.ones(1)]}, {"params": [ad.ones(1)]}]).state_dict()
    with pytest.raises(ValueError, match="number of parameter groups: 2"):
        opt.load_state_dict(two)
    assert opt.param_groups[0]["lr"] == 0.5


def test_loaded_tensors_are_copies():
    w = ad.ones(2, requires_grad=True)
    opt = optim.Adam([w], lr=ad.tensor(0.5))
    w.grad = ad.ones(2)
    opt.step()
    state = opt.state_dict()
    new = optim.Adam([w])
    new.load_state_dict(state)
    new.step()
    new.param_groups[0]["lr"].fill_(3.0)
    assert state["state"][0]["step"].item() == 1
    assert opt.param_groups[0]["lr"].item() == 0.5


def test_no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        descend(ad, "Adam", {}, steps=2)


def test_options_of_a_step_of_ones_own_are_its_own():
    """A rate of None that the step finds itself, as many optimizers out there have it."""

    class Relative(optim.Optimizer):
        def __init__(self, params, lr=None, betas=(None, 0.9), eps=(1e-30, 1e-3)):
            super().__init__(params, {"lr": lr, "betas": betas, "eps": eps})

        @ad.no_grad()
        def step(self):
            for group in self.param_groups:
                for p in group["params"]:
                    rate = group["lr"] or 0.5 * p.norm()
                    p.sub_(rate * p.grad)

    for wrap in (lambda f: f, ad.compile):
        w = ad.tensor([3.0, 4.0], requires_grad=True)
        opt = Relative([w])

        def step(opt=opt, w=w):
            opt.zero_grad()
            w.sum().backward()
            opt.step()

        f = wrap(step)
        for _ in range(3):
            f()
        assert w.tolist() == pytest.approx([-0.6738846, 0.3261154], rel=1e-5)
    with pytest.raises(ad.errors.ArgumentError, match="Invalid learning rate"):
        optim.LBFGS([w], lr=-1.0)
    with pytest.raises(TypeError, match="lr must be a number"):
        optim.SGD([w], lr=None)
