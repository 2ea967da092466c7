"""Layers against PyTorch's: output, gradients, state, printing, over their options."""

import inspect
import sys

import numpy as np
import pytest

import adjoint as ad
from adjoint import nn

RANDOM = ("RReLU", "Dropout", "FractionalMaxPool")


@pytest.fixture(autouse=True)
def one_thread():
    """Small layers wait for PyTorch's threads more than they compute."""
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Case:
    """A layer, its options, and inputs: each a tuple of shapes or arrays."""

    def __init__(self, name, *args, inputs, call=None, **options):
        self.name, self.args, self.options = name, args, options
        several = (tuple, np.ndarray)
        self.inputs = [x if x and isinstance(x[0], several) else (x,) for x in inputs]
        self.call = call or {}

    def __repr__(self):
        given = [repr(a) for a in self.args]
        given += [f"{k}={v!r}" for k, v in (self.options | self.call).items()]
        return f"{self.name}({', '.join(given)})"

    def build(self, lib):
        """The layer of one library."""
        options = {k: of(lib, v) for k, v in self.options.items()}
        return getattr(lib.nn, self.name)(*(of(lib, v) for v in self.args), **options)

    def random(self):
        """Whether training draws random numbers."""
        return any(part in self.name for part in RANDOM)


def of(lib, x):
    """An array as a tensor of this library; a name after a dot as what it has there."""
    if isinstance(x, np.ndarray):
        return lib.tensor(x)
    return getattr(lib, x[1:]) if isinstance(x, str) and x.startswith(".") else x


def pointwise(name, *args, **options):
    return Case(name, *args, inputs=[(2, 3), (4,), (), (2, 0)], **options)


INTS = np.array([[1, 2, 4, 5], [4, 3, 2, 9]])

ACTIVATIONS = [
    *[
        pointwise(name)
        for name in [
            "CELU",
            "ELU",
            "GELU",
            "Hardshrink",
            "Hardsigmoid",
            "Hardswish",
            "Hardtanh",
            "Identity",
            "LeakyReLU",
            "LogSigmoid",
            "Mish",
            "PReLU",
            "RReLU",
            "ReLU",
            "ReLU6",
            "SELU",
            "SiLU",
            "Sigmoid",
            "Softplus",
            "Softshrink",
            "Softsign",
            "Tanh",
            "Tanhshrink",
        ]
    ],
    pointwise("CELU", 0.5),
    pointwise("CELU", alpha=2, inplace=True),
    pointwise("ELU", 0.5, inplace=True),
    pointwise("GELU", "tanh"),
    pointwise("GELU", approximate="none"),
    pointwise("Hardshrink", 0.2),
    pointwise("Hardsigmoid", inplace=True),
    pointwise("Hardswish", inplace=True),
    pointwise("Hardtanh", -2, 3),
    pointwise("Hardtanh", -0.1, 0.2, True),
    pointwise("LeakyReLU", 0.2),
    pointwise("LeakyReLU", 0.2, inplace=True),
    pointwise("Mish", inplace=True),
    pointwise("RReLU", 0.2, 0.2),
    pointwise("RReLU", 0.1, 0.3, inplace=True),
    pointwise("ReLU", inplace=True),
    pointwise("ReLU6", inplace=True),
    pointwise("SELU", inplace=True),
    pointwise("SiLU", inplace=True),
    pointwise("Softplus", 2, 0.5),
    pointwise("Softplus", beta=0.5, threshold=10),
    pointwise("Softshrink", 0.1),
    pointwise("Threshold", 0.1, 20),
    pointwise("Threshold", 0.1, 20.0, inplace=True),
    Case("PReLU", 3, inputs=[(2, 3), (2, 3, 4), (1, 3, 2, 2)]),
    Case("PReLU", num_parameters=1, init=0.4, inputs=[(2, 3, 4)]),
    Case("PReLU", 3, 0.1, dtype=".float64", inputs=[(2, 3)]),
    Case("GLU", inputs=[(4, 6), (2,)]),
    Case("GLU", 0, inputs=[(4, 6)]),
    Case("Softmax", inputs=[(5,), (2, 3)], dim=0),
    Case("Softmax", -1, inputs=[(5,), (2, 3, 4)]),
    Case("Softmin", 1, inputs=[(2, 3)]),
    Case("LogSoftmax", -1, inputs=[(2, 3), (4,)]),
    Case("Softmax2d", inputs=[(3, 2, 2), (2, 3, 2, 2)]),
]

LINEAR = [
    Case("Linear", 3, 4, inputs=[(3,), (2, 3), (2, 5, 3), (0, 3)]),
    Case("Linear", 3, 4, False, inputs=[(3,), (2, 3)]),
    Case("Linear", 3, 4, dtype=".float64", inputs=[(2, 3)]),
    Case("Linear", 3, 1, bias=True, inputs=[(2, 3)]),
    Case("Bilinear", 3, 4, 5, inputs=[((2, 3), (2, 4)), ((3,), (4,))]),
    Case("Bilinear", 3, 4, 5, bias=False, inputs=[((2, 6, 3), (2, 6, 4))]),
    Case("Embedding", 10, 3, inputs=[(INTS,), (INTS[0],), (np.array(2),)]),
    Case("Embedding", 10, 3, padding_idx=4, inputs=[(INTS,)]),
    Case("Embedding", 10, 3, padding_idx=-1, inputs=[(INTS,)]),
    Case("Embedding", 10, 3, scale_grad_by_freq=True, inputs=[(INTS,)]),
    Case("EmbeddingBag", 10, 3, inputs=[(INTS,), (INTS[0], np.array([0, 2]))]),
    Case("EmbeddingBag", 10, 3, mode="sum", inputs=[(INTS,)]),
    Case("EmbeddingBag", 10, 3, mode="max", inputs=[(INTS,)]),
    Case("EmbeddingBag", 10, 3, padding_idx=4, inputs=[(INTS,)]),
    Case(
        "EmbeddingBag",
        10,
        3,
        mode="sum",
        include_last_offset=True,
        inputs=[(INTS[0], np.array([0, 2, 4]))],
    ),
]


def spatial(n, lead=(2, 4), least=5):
    """A batch and a single example with n spatial dims."""
    sizes = tuple(range(least, least + n))
    return [(*lead, *sizes), (*lead[1:], *sizes)]


def convolutions(n):
    name, up, x = f"Conv{n}d", f"ConvTranspose{n}d", spatial(n)
    each = tuple(range(1, n + 1))
    options = [
        {},
        {"bias": False},
        {"stride": 2, "padding": 1},
        {"stride": each, "padding": each[::-1], "dilation": 2},
        {"groups": 2},
        {"groups": 4, "bias": False},
        {"dtype": ".float64"},
    ]
    yield from (Case(name, 4, 8, 3, inputs=x, **o) for o in options)
    yield Case(name, 4, 4, each, inputs=x)
    for padding in ("same", "valid"):
        yield Case(name, 4, 2, 3, padding=padding, inputs=x)
        yield Case(name, 4, 2, 2, padding=padding, dilation=2, inputs=x)
    for mode in ("reflect", "replicate", "circular"):
        yield Case(name, 4, 2, 3, padding=1, padding_mode=mode, inputs=x)
        yield Case(name, 4, 2, 2, padding="same", padding_mode=mode, inputs=x)
    yield from (Case(up, 4, 8, 3, inputs=x, **o) for o in options)
    yield Case(up, 4, 2, 3, 2, 1, 1, inputs=x)
    yield Case(up, 4, 2, 3, 3, 1, (2, 1, 0)[:n], 2, False, 2, inputs=x)
    size = tuple(2 * k for k in x[0][2:])
    yield Case(up, 4, 2, 3, 2, 1, inputs=x, call={"output_size": size})


def paddings(n):
    x = [(*s, *range(4, 4 + n)) for s in ((2, 3), (3,))]
    uneven = tuple(k % 3 for k in range(2 * n))
    for kind in ("Reflection", "Replication", "Zero", "Circular"):
        yield from (Case(f"{kind}Pad{n}d", p, inputs=x) for p in (2, uneven))
    cut = tuple((-1) ** k for k in range(2 * n))
    for p in (2, uneven, cut):
        yield Case(f"ConstantPad{n}d", p, 3.5, inputs=x)
    yield Case(f"ZeroPad{n}d", cut, inputs=x)


def poolings(n):
    x = spatial(n, (2, 3), 7)
    each = (2, 3, 2)[:n]
    windows = [
        {},
        {"stride": 1},
        {"stride": 2, "padding": 1},
        {"stride": each, "ceil_mode": True},
    ]
    for o in windows:
        yield Case(f"MaxPool{n}d", 3, inputs=x, **o)
        yield Case(f"AvgPool{n}d", 3, inputs=x, **o)
    yield Case(f"MaxPool{n}d", each, 2, 0, 2, inputs=x)
    yield Case(f"MaxPool{n}d", 3, 2, 1, return_indices=True, inputs=x)
    yield Case(f"AvgPool{n}d", 3, 2, 1, count_include_pad=False, inputs=x)
    if n > 1:
        yield Case(f"AvgPool{n}d", each, divisor_override=5, inputs=x)
    positive = [(np.random.default_rng(0).uniform(0.5, 2.0, s),) for s in x]
    for p, o in ((1, {}), (2, {"stride": 2}), (3.0, {"ceil_mode": True})):
        yield Case(f"LPPool{n}d", p, 2, inputs=positive if p == 3 else x, **o)
    for size in (1, 5, (3, 2, 4)[:n]) if n > 1 else (1, 5):
        yield Case(f"AdaptiveAvgPool{n}d", size, inputs=x)
        yield Case(f"AdaptiveMaxPool{n}d", size, inputs=x)
    yield Case(f"AdaptiveMaxPool{n}d", 3, return_indices=True, inputs=x)
    if n > 1:
        yield Case(f"AdaptiveAvgPool{n}d", (None, 2, 3)[:n], inputs=x)
        samples = np.random.default_rng(0).random((2, 3, n))
        made = {"_random_samples": samples, "inputs": x[:1]}
        name = f"FractionalMaxPool{n}d"
        yield Case(name, 2, output_size=3, **made)
        yield Case(name, each, output_ratio=(0.5, 0.6, 0.7)[:n], **made)
        yield Case(name, 2, output_size=each, return_indices=True, **made)


def unpoolings(n):
    count = 2 * 3**n
    values = np.random.default_rng(0).normal(size=(1, 2, *(3,) * n))
    places = np.arange(count).reshape(1, 2, *(3,) * n) % 3**n * 2
    yield Case(f"MaxUnpool{n}d", 2, inputs=[(values, places), (values[0], places[0])])
    yield Case(f"MaxUnpool{n}d", 3, stride=2, padding=1, inputs=[(values, places)])
    size = {"output_size": (7,) * n}
    yield Case(f"MaxUnpool{n}d", 2, 2, inputs=[(values, places)], call=size)


def normalizations():
    for n, tail in ((1, (3,)), (2, (3, 2)), (3, (2, 3, 2))):
        x = [(4, 5, *tail)] + ([(4, 5)] if n == 1 else [])
        for options in (
            {},
            {"eps": 1e-3, "momentum": 0.3},
            {"momentum": None},
            {"affine": False},
            {"bias": False},
            {"track_running_stats": False},
            {"affine": False, "track_running_stats": False},
        ):
            yield Case(f"BatchNorm{n}d", 5, inputs=x, **options)
        x = [(4, 5, *tail), (5, *tail)]
        for options in (
            {},
            {"affine": True},
            {"affine": True, "bias": False},
            {"track_running_stats": True, "momentum": 0.4, "eps": 1e-3},
            {"affine": True, "track_running_stats": True},
        ):
            yield Case(f"InstanceNorm{n}d", 5, inputs=x, **options)
    for options in (
        {},
        {"eps": 1e-2},
        {"elementwise_affine": False},
        {"bias": False},
    ):
        yield Case("LayerNorm", 4, inputs=[(2, 3, 4), (4,)], **options)
        yield Case("LayerNorm", (3, 4), inputs=[(2, 3, 4), (3, 4)], **options)
        options.pop("bias", None)
        yield Case("RMSNorm", 4, inputs=[(2, 3, 4), (4,)], **options)
        yield Case("RMSNorm", [3, 4], inputs=[(2, 3, 4)], **options)
    for options in ({}, {"affine": False}, {"bias": False}, {"eps": 1e-2}):
        yield Case(
            "GroupNorm", 2, 6, inputs=[(2, 6), (2, 6, 3), (2, 6, 3, 2)], **options
        )
    yield Case("GroupNorm", 6, 6, inputs=[(2, 6, 3)])
    yield Case("GroupNorm", 1, 6, inputs=[(2, 6, 3)])
    x = [(2, 5, 3), (2, 5, 3, 4), (2, 5, 2, 3, 4)]
    yield Case("LocalResponseNorm", 2, inputs=x)
    yield Case("LocalResponseNorm", 3, 0.5, 0.3, 2, inputs=x)


def dropouts():
    shapes = {"1d": [(2, 3, 4), (3, 4)], "2d": [(2, 3, 4, 4)], "3d": [(2, 3, 4, 4, 4)]}
    for kind in ("", "1d", "2d", "3d"):
        x = shapes.get(kind, [(2, 3)])
        for p in (0.5, 0.0, 1.0):
            yield Case(f"Dropout{kind}", p, inputs=x)
        yield Case(f"Dropout{kind}", p=0.3, inplace=True, inputs=x)
    for name in ("AlphaDropout", "FeatureAlphaDropout"):
        yield Case(name, inputs=[(2, 3, 4)])
        yield Case(name, 0.2, True, inputs=[(2, 3, 4)])


SHAPES = [
    Case("Flatten", inputs=[(2, 3, 4), (2, 3)]),
    Case("Flatten", 0, 1, inputs=[(2, 3, 4)]),
    Case("Unflatten", 1, (2, 3), inputs=[(2, 6)]),
    Case("Unflatten", -1, [-1, 2], inputs=[(2, 6)]),
    Case("Unfold", 2, inputs=[(2, 3, 4, 5), (3, 4, 5)]),
    Case("Unfold", (2, 3), 1, 1, (2, 1), inputs=[(2, 3, 4, 5)]),
    Case("Fold", (4, 5), (2, 3), inputs=[(2, 12, 9), (12, 9)]),
    Case("Fold", 4, 2, 1, 1, 2, inputs=[(2, 12, 9)]),
    Case("PixelShuffle", 2, inputs=[(2, 8, 3, 2), (4, 3, 2)]),
    Case("PixelUnshuffle", 2, inputs=[(2, 2, 4, 6), (1, 4, 6)]),
    Case("ChannelShuffle", 2, inputs=[(2, 4, 3), (2, 6, 2, 2)]),
    Case("Upsample", scale_factor=2, inputs=[(2, 3, 4), (2, 3, 4, 5), (1, 2, 2, 3, 2)]),
    Case("Upsample", (5, 7), mode="bilinear", inputs=[(2, 3, 4, 5)]),
    Case("Upsample", 7, mode="linear", align_corners=True, inputs=[(2, 3, 4)]),
    Case("Upsample", scale_factor=(1.5, 2.5), mode="bicubic", inputs=[(2, 3, 4, 5)]),
    Case("Upsample", scale_factor=2, mode="trilinear", inputs=[(1, 2, 2, 3, 2)]),
    Case(
        "Upsample",
        scale_factor=1.7,
        mode="bilinear",
        recompute_scale_factor=True,
        inputs=[(2, 3, 4, 5)],
    ),
    Case("UpsamplingNearest2d", 6, inputs=[(1, 2, 3, 3)]),
    Case("UpsamplingNearest2d", scale_factor=3, inputs=[(1, 2, 3, 3)]),
    Case("UpsamplingBilinear2d", (4, 5), inputs=[(1, 2, 3, 3)]),
    Case("UpsamplingBilinear2d", scale_factor=2, inputs=[(1, 2, 3, 3)]),
    Case("CosineSimilarity", inputs=[((2, 3), (2, 3)), ((2, 3, 4), (2, 3, 4))]),
    Case("CosineSimilarity", 0, 1e-3, inputs=[((2, 3), (2, 3)), ((3,), (3,))]),
    Case("CosineSimilarity", dim=-1, inputs=[((4, 1, 3), (1, 5, 3))]),
    Case("PairwiseDistance", inputs=[((2, 3), (2, 3)), ((3,), (3,))]),
    Case("PairwiseDistance", 1, 1e-3, True, inputs=[((2, 3), (2, 3))]),
    Case("PairwiseDistance", p=float("inf"), inputs=[((2, 3), (2, 3))]),
]

CASES = [
    *ACTIVATIONS,
    *LINEAR,
    *(c for n in (1, 2, 3) for c in convolutions(n)),
    *(c for n in (1, 2, 3) for c in paddings(n)),
    *(c for n in (1, 2, 3) for c in poolings(n)),
    *(c for n in (1, 2, 3) for c in unpoolings(n)),
    *normalizations(),
    *dropouts(),
    *SHAPES,
]


def numbers(x, seed):
    """An array of this shape without ties and kinks; an array as it is."""
    if isinstance(x, np.ndarray):
        return x
    rng = np.random.default_rng(seed)
    n = int(np.prod(x, dtype=int))
    return (rng.permutation(n).reshape(x) - n / 2 + 0.3) * (4 / max(n, 1)) + 0.011


def fill(ours, theirs):
    """The same parameters and buffers in both."""
    rng = np.random.default_rng(1)
    state = {}
    for name, x in theirs.state_dict().items():
        state[name] = rng.integers(20, 64, tuple(x.shape)) / 64  # exact in any dtype
        if not x.is_floating_point():
            state[name] = x.numpy()
    torch = pytest.importorskip("torch")
    theirs.load_state_dict({k: torch.tensor(v) for k, v in state.items()})
    found = ours.load_state_dict({k: ad.tensor(v) for k, v in state.items()})
    assert not found.missing_keys
    assert not found.unexpected_keys


def run(lib, layer, arrays, dtype, call):
    """Outputs, gradients of inputs and parameters, buffers afterwards, by name."""
    layer.zero_grad()
    xs = [lib.tensor(a) for a in arrays]
    xs = [x.to(dtype).requires_grad_() if x.is_floating_point() else x for x in xs]
    given = [
        x * 1 if x.is_floating_point() else x for x in xs
    ]  # for what writes in place
    y = layer(*given, **call)
    out, total = {}, 0
    for i, part in enumerate(y if isinstance(y, tuple) else (y,)):
        out[f"output {i}"] = part
        if part.is_floating_point():
            weight = np.random.default_rng(2).uniform(0.5, 1.5, tuple(part.shape))
            total = total + (part * lib.tensor(weight).to(part.dtype)).sum()
    if total.requires_grad:
        total.backward()
    for i, x in enumerate(xs):
        out[f"gradient {i}"] = x.grad
    out |= {f"gradient {n}": p.grad for n, p in layer.named_parameters()}
    out |= {f"buffer {n}": b for n, b in layer.named_buffers()}
    return out


def agree(ours, theirs, rtol):
    assert list(ours) == list(theirs)
    for name, want in theirs.items():
        got = ours[name]
        assert (got is None) == (want is None), name
        if want is None:
            continue
        assert str(got.dtype).split(".")[-1] == str(want.dtype).split(".")[-1], name
        assert tuple(got.shape) == tuple(want.shape), name
        got = got.detach().to(ad.float64).numpy()
        want = want.detach().double().numpy()
        atol = rtol * max(1.0, np.abs(want).max(initial=0.0))
        np.testing.assert_allclose(got, want, rtol, atol, err_msg=name)


def both(case, torch, dtype):
    with np.errstate(all="ignore"):
        theirs, ours = case.build(torch), case.build(ad)
    theirs = theirs.to(getattr(torch, dtype))
    return ours.to(getattr(ad, dtype)), theirs


@pytest.mark.parametrize("case", CASES, ids=repr)
def test_layer_is_torchs(case):
    torch = pytest.importorskip("torch")
    ours, theirs = both(case, torch, "float64")
    assert repr(ours) == repr(theirs)
    for mine, other in (
        (ours.state_dict(), theirs.state_dict()),
        (dict(ours.named_parameters()), dict(theirs.named_parameters())),
        (dict(ours.named_buffers()), dict(theirs.named_buffers())),
    ):
        assert {k: tuple(x.shape) for k, x in mine.items()} == {
            k: tuple(x.shape) for k, x in other.items()
        }
    fill(ours, theirs)
    for mode in (True, False):
        if mode and case.random() and case.options.get("_random_samples") is None:
            continue
        ours.train(mode), theirs.train(mode)
        for inputs in case.inputs:
            arrays = [numbers(x, i) for i, x in enumerate(inputs)]
            agree(
                run(ad, ours, arrays, ad.float64, case.call),
                run(torch, theirs, arrays, torch.float64, case.call),
                # PyTorch's sixth is a float32 there
                1e-7 if case.name == "Hardsigmoid" else 1e-9,
            )


# PyTorch computes these at low precision step by step, or not at all on the CPU.
ROUGH = {"float32": 2e-5, "bfloat16": 0.06, "float16": 8e-3}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("case", CASES, ids=repr)
def test_layer_is_torchs_in_other_dtypes(case, dtype):
    torch = pytest.importorskip("torch")
    if case.random() and case.options.get("_random_samples") is None:
        pytest.skip("random")
    ours, theirs = both(case, torch, dtype)
    fill(ours, theirs)
    arrays = [numbers(x, i) for i, x in enumerate(case.inputs[0])]
    try:
        want = run(torch, theirs, arrays, getattr(torch, dtype), case.call)
    except (RuntimeError, NotImplementedError) as error:
        pytest.skip(f"not in PyTorch: {error}")
    got = run(ad, ours, arrays, getattr(ad, dtype), case.call)
    agree(got, want, ROUGH[dtype])


BATCHED = [
    c
    for c in CASES
    if c.name[:-2] not in ("FractionalMaxPool", "InstanceNorm", "ReflectionPad")
    and c.name not in ("PixelUnshuffle", "Unfold", "Fold")
    and np.ndim(c.inputs[0][0]) != 0
]


@pytest.mark.parametrize("case", BATCHED, ids=repr)
def test_an_empty_batch_has_the_shape_it_has_in_torch(case):
    torch = pytest.importorskip("torch")
    ours, theirs = both(case, torch, "float64")
    ours.eval(), theirs.eval()
    arrays = [numbers(x, i)[:0] for i, x in enumerate(case.inputs[0])]
    try:
        want = theirs(*map(torch.tensor, arrays), **case.call)
    except (RuntimeError, ValueError) as error:
        pytest.skip(f"not in PyTorch: {error}")
    got = ours(*map(ad.tensor, arrays), **case.call)
    for y, w in zip(
        *(v if isinstance(v, tuple) else (v,) for v in (got, want)), strict=True
    ):
        assert tuple(y.shape) == tuple(w.shape)


# ---------------------------------------------------------------- without PyTorch


def directional(layer, arrays, call):
    """The derivative along a random direction: by our gradients, and by differences."""
    rng = np.random.default_rng(3)
    xs = [ad.tensor(a) for a in arrays] + [p.detach() for p in layer.parameters()]
    names = [n for n, _ in layer.named_parameters()]
    ways = [ad.tensor(rng.uniform(0.5, 1.0, tuple(x.shape))) for x in xs]
    move = [x.is_floating_point() for x in xs]

    def f(*values):
        given = dict(zip(names, values[len(arrays) :], strict=True))
        inputs = tuple(x * 1 for x in values[: len(arrays)])
        y = ad.func.functional_call(layer, given, inputs, call)
        y = y[0] if isinstance(y, tuple) else y
        return (
            y * ad.arange(1.0, 1.0 + y.numel(), dtype=ad.float64).reshape(y.shape)
        ).sum()

    def at(h):
        values = [x + h * d if m else x for x, d, m in zip(xs, ways, move, strict=True)]
        return f(*values).item()

    leaves = [
        x.clone().requires_grad_() if m else x for x, m in zip(xs, move, strict=True)
    ]
    wrt = [x for x, m in zip(leaves, move, strict=True) if m]
    gs = ad.autograd.grad(f(*leaves), wrt)
    along = [d for d, m in zip(ways, move, strict=True) if m]
    got = sum((g * d).sum().item() for g, d in zip(gs, along, strict=True))
    return got, (at(1e-6) - at(-1e-6)) / 2e-6


HONEST = [
    c
    for c in CASES
    if not {"padding_idx", "scale_grad_by_freq"} & set(c.options)
    and (not c.random() or "_random_samples" in c.options)
]


@pytest.mark.parametrize("case", HONEST, ids=repr)
def test_gradient_is_that_of_differences(case):
    ad.manual_seed(0)
    layer = case.build(ad).double().eval()
    arrays = [numbers(x, i) for i, x in enumerate(case.inputs[0])]
    got, want = directional(layer, arrays, case.call)
    assert got == pytest.approx(want, rel=1e-5, abs=1e-5)
    assert case.name in repr(layer)


LEFT_OUT = {
    "Container": "deprecated, a Module by another name",
    "NLLLoss2d": "deprecated, NLLLoss by another name",
    "CrossMapLRN2d": "undocumented: LocalResponseNorm is documented, and without its bounds",
    "DataParallel": "one process, one device",
    "SyncBatchNorm": "one process, one device",
    "LinearCrossEntropyOptions": "how a batch is cut to save memory",
}


def test_every_class_of_torch_nn_is_there():
    theirs = pytest.importorskip("torch.nn")
    classes = [n for n, c in vars(theirs).items() if isinstance(c, type)]
    missing = [n for n in classes if not hasattr(nn, n) and n not in LEFT_OUT]
    assert not missing
    assert not [n for n in nn.__all__ if not hasattr(nn, n)]
    assert sorted(nn.__all__) == sorted(set(nn.__all__))


def arguments(kind):
    """Names, kinds and defaults; a class that takes none may say so or take all."""
    found = inspect.signature(kind).parameters.values()
    return [
        (p.name, p.kind, getattr(p.default, "__name__", repr(p.default)))
        for p in found
        if p.kind.name[:4] != "VAR_"
    ]


# Options that PyTorch does not have, or that are about its devices.
OWN = {"slope"}


def test_every_class_has_torchs_arguments():
    theirs = pytest.importorskip("torch.nn")
    for name, kind in vars(theirs).items():
        there = isinstance(kind, type) and hasattr(nn, name)
        if name == "NLLLoss2d":  # which there takes anything
            continue
        if not there or kind.__module__.split(".")[-1] in ("rnn", "module"):
            continue
        ours, want = arguments(getattr(nn, name)), arguments(kind)
        assert [a for a in ours if a[0] not in OWN] == [
            a for a in want if a[0] not in OWN
        ], name


# ---------------------------------------------------------------- state and chance


@pytest.mark.parametrize("name", ["BatchNorm2d", "InstanceNorm2d"])
def test_running_statistics_are_written_in_place(name):
    layer = getattr(nn, name)(3, track_running_stats=True)
    held = dict(layer.named_buffers())
    views = {k: b.detach().numpy() for k, b in held.items()}
    before = {k: v.copy() for k, v in views.items()}
    layer(ad.randn(4, 3, 2, 2))
    for key, b in layer.named_buffers():
        assert b is held[key]
        assert np.shares_memory(b.numpy(), views[key])
        counted = name == "BatchNorm2d" or key != "num_batches_tracked"
        assert (views[key] != before[key]).all() == counted
    layer.eval()
    after = {k: v.copy() for k, v in views.items()}
    layer(ad.randn(4, 3, 2, 2))
    assert all((views[k] == after[k]).all() for k in views)


def test_running_mean_of_all_batches():
    layer = nn.BatchNorm1d(1, momentum=None)
    for value in (1.0, 2.0, 6.0):
        layer(ad.tensor([[value], [value]]))
    assert layer.running_mean.item() == pytest.approx(3.0)
    assert layer.num_batches_tracked.item() == 3
    layer.reset_running_stats()
    assert layer.running_mean.item() == layer.num_batches_tracked.item() == 0


def test_running_statistics_outlast_transforms():
    x = ad.randn(5, 3, dtype=ad.float64)
    plain = nn.BatchNorm1d(3).double()
    for _ in range(3):
        plain(x)
    layer = nn.BatchNorm1d(3).double()
    ad.func.jacrev(layer)(x)
    ad.func.jvp(layer, (x,), (x,))
    ad.func.grad(lambda x: ad.func.grad(lambda x: layer(x).sum())(x).sum())(x)
    assert type(layer.running_mean.value) is np.ndarray
    np.testing.assert_allclose(layer.running_mean.numpy(), plain.running_mean.numpy())
    np.testing.assert_allclose(layer.running_var.numpy(), plain.running_var.numpy())
    before = layer.running_mean.tolist()
    with pytest.raises(RuntimeError, match="parameter or buffer from outside"):
        ad.func.vmap(layer)(ad.randn(2, 5, 3, dtype=ad.float64))
    assert layer.running_mean.tolist() == before
    layer.eval()
    assert ad.func.vmap(layer)(ad.randn(2, 5, 3, dtype=ad.float64)).shape == (2, 5, 3)


DROPOUTS = {
    "Dropout": ((40, 50), ()),
    "Dropout1d": ((40, 50, 3), (2,)),
    "Dropout2d": ((40, 50, 2, 2), (2, 3)),
    "Dropout3d": ((40, 50, 2, 2, 2), (2, 3, 4)),
}


@pytest.mark.parametrize("name", DROPOUTS)
def test_dropout_draws_from_the_generator(name):
    shape, within = DROPOUTS[name]
    layer, x = getattr(nn, name)(0.3), ad.ones(shape)

    def draw(seed):
        ad.manual_seed(seed)
        return layer(x).numpy()

    y = draw(1)
    assert (y == draw(1)).all()
    assert (y != draw(2)).any()
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.7)}
    assert abs((y == 0).mean() - 0.3) < 0.05
    if within:  # a channel as a whole
        assert (y.min(within) == y.max(within)).all()
    assert layer.eval()(x) is x or (layer(x).numpy() == 1).all()


@pytest.mark.parametrize("name", ["AlphaDropout", "FeatureAlphaDropout"])
def test_alpha_dropout_keeps_mean_and_variance(name):
    ad.manual_seed(0)
    y = getattr(nn, name)(0.2)(ad.randn(300, 200, 2)).numpy()
    assert abs(y.mean()) < 0.02
    assert abs(y.var() - 1) < 0.03
    assert len(np.unique(y.round(4))) < y.size * 0.9  # what was dropped is one number


def test_rrelu_in_training():
    ad.manual_seed(0)
    x = ad.linspace(-2.0, -1.0, 500).requires_grad_()
    y = nn.RReLU(0.1, 0.3)(x)
    y.sum().backward()
    slopes = (y / x).detach().numpy()
    assert slopes.min() >= 0.1
    assert slopes.max() <= 0.3
    assert slopes.std() > 0.03
    np.testing.assert_allclose(x.grad.numpy(), slopes, rtol=1e-5)


# ---------------------------------------------------------------- by hand


def test_sigmoid_and_tanh_with_slope():
    x = np.linspace(-3, 3, 7)
    t = ad.tensor(x, requires_grad=True)
    y = nn.Sigmoid(slope=2.5)(t)
    s = 1 / (1 + np.exp(-2.5 * x))
    np.testing.assert_allclose(y.detach().numpy(), s)
    y.sum().backward()
    np.testing.assert_allclose(t.grad.numpy(), 2.5 * s * (1 - s))
    t.grad = None
    y = nn.Tanh(slope=0.5)(t)
    np.testing.assert_allclose(y.detach().numpy(), np.tanh(0.5 * x))
    y.sum().backward()
    np.testing.assert_allclose(t.grad.numpy(), 0.5 / np.cosh(0.5 * x) ** 2)
    assert repr(nn.Sigmoid(slope=2.0)) == "Sigmoid(slope=2.0)"
    assert repr(nn.Tanh()) == "Tanh()"


@pytest.mark.parametrize("kind", ["Embedding", "EmbeddingBag"])
def test_gradient_divided_by_frequency(kind):
    plain = getattr(nn, kind)(10, 3).double()
    scaled = getattr(nn, kind)(10, 3, scale_grad_by_freq=True).double()
    for layer in (plain, scaled):
        layer(ad.tensor(INTS)).sum().backward()
    counts = np.maximum(np.bincount(INTS.ravel(), minlength=10), 1)[:, None]
    np.testing.assert_allclose(scaled.weight.grad.numpy(), plain.weight.grad / counts)


def test_rows_longer_than_max_norm_are_shortened_in_place():
    table = ad.tensor([[3.0, 4.0], [0.3, 0.4], [6.0, 8.0]])
    layer = nn.Embedding.from_pretrained(table, max_norm=1.0)
    y = layer(ad.tensor([0, 1])).numpy()
    np.testing.assert_allclose(y, [[0.6, 0.8], [0.3, 0.4]], rtol=1e-5)
    np.testing.assert_allclose(layer.weight[2].numpy(), [6.0, 8.0])
    np.testing.assert_allclose(layer.weight[0].numpy(), [0.6, 0.8], rtol=1e-5)


def test_pretrained_tables_are_frozen():
    table = ad.randn(4, 2)
    layer = nn.Embedding.from_pretrained(table, padding_idx=1)
    assert not layer.weight.requires_grad
    assert (layer.weight == table).all()
    assert nn.EmbeddingBag.from_pretrained(table, freeze=False).weight.requires_grad
    assert (nn.Embedding(4, 2, padding_idx=-1).weight[3] == 0).all()


WRONG = [
    (lambda: nn.Linear(3, 4)(ad.ones(2, 5)), ValueError, "3.*5|5.*3"),
    (lambda: nn.Conv2d(3, 4, 3)(ad.ones(2, 5, 8, 8)), RuntimeError, "channels|3"),
    (lambda: nn.Conv2d(3, 4, 3)(ad.ones(3, 2, 2)), RuntimeError, "kernel|size"),
    (lambda: nn.Conv2d(3, 4, 3)(ad.ones(5)), RuntimeError, "D"),
    (lambda: nn.Conv2d(3, 4, 3, groups=2), ValueError, "divisible by groups"),
    (lambda: nn.Conv2d(4, 3, 3, groups=2), ValueError, "divisible by groups"),
    (lambda: nn.Conv1d(4, 2, 3, stride=2, padding="same"), ValueError, "strided"),
    (lambda: nn.Conv1d(4, 2, 3, padding="full"), ValueError, "'same'"),
    (lambda: nn.Conv1d(4, 2, 3, padding_mode="edge"), ValueError, "padding_mode"),
    (
        lambda: nn.ConvTranspose1d(4, 2, 3, padding_mode="reflect"),
        ValueError,
        "padding_mode",
    ),
    (
        lambda: nn.ConvTranspose1d(1, 1, 3)(ad.ones(1, 1, 4), output_size=(9,)),
        ValueError,
        "between",
    ),
    (lambda: nn.BatchNorm1d(3)(ad.ones(2, 4)), RuntimeError, "3|4"),
    (lambda: nn.BatchNorm2d(3)(ad.ones(2, 3, 4)), ValueError, "expected 4-D"),
    (lambda: nn.BatchNorm1d(3)(ad.ones(1, 3)), ValueError, "more than 1 value"),
    (lambda: nn.InstanceNorm1d(3)(ad.ones(1, 3, 1)), ValueError, "more than 1 spatial"),
    (
        lambda: nn.InstanceNorm2d(3, affine=True)(ad.ones(1, 2, 3, 3)),
        ValueError,
        "channels",
    ),
    (lambda: nn.LayerNorm(3)(ad.ones(2, 4)), RuntimeError, "3|4"),
    (lambda: nn.GroupNorm(2, 5), ValueError, "divisible"),
    (lambda: nn.Dropout(1.5), ValueError, "between 0 and 1"),
    (lambda: nn.Hardtanh(2, 1), ValueError, "larger"),
    (lambda: nn.GELU("erf"), ValueError, "'none' or 'tanh'"),
    (lambda: nn.Unflatten(1, 3.5), TypeError, "tuple of integers"),
    (lambda: nn.Embedding(3, 2)(ad.tensor([3])), IndexError, "3"),
    (lambda: nn.Embedding(3, 2)(ad.ones(2)), TypeError, "float"),
    (lambda: nn.Embedding(3, 2, padding_idx=3), ValueError, "padding_idx"),
    (lambda: nn.EmbeddingBag(3, 2, mode="min"), ValueError, "'sum', 'mean'"),
    (lambda: nn.MaxPool2d(2)(ad.ones(3)), RuntimeError, "D"),
    (lambda: nn.MaxPool2d(2, padding=2)(ad.ones(1, 4, 4)), RuntimeError, "padding"),
    (lambda: nn.PixelShuffle(2)(ad.ones(3, 2, 2)), RuntimeError, "divisible|3"),
    (lambda: nn.PixelShuffle(0), ValueError, "positive"),
    (lambda: nn.ReLU()("text"), TypeError, "Tensor"),
    (lambda: nn.LPPool1d(2, 2)([1.0]), TypeError, "Tensor"),
    (lambda: nn.ConvTranspose1d(1, 1, 2)([1.0], (3,)), TypeError, "Tensor"),
    (lambda: nn.ConvTranspose1d(1, 1, 2)(ad.ones(3), (3,)), ValueError, "2-D"),
    (lambda: nn.Unflatten(0, (1, 1))(ad.tensor(1.0)), ValueError, "0-d"),
    (lambda: nn.ReLU(1, 2, 3), TypeError, "too many"),
    (lambda: nn.ReLU(slope=1), TypeError, "slope"),
    (lambda: nn.Threshold(1.0), TypeError, "missing"),
    (lambda: nn.FractionalMaxPool2d(2), ValueError, "one of output_size"),
    (lambda: nn.PReLU(3)(ad.ones(2, 4)), RuntimeError, "3|4"),
    (lambda: nn.Bilinear(2, 3, 4)(ad.ones(5, 2), ad.ones(5, 4)), RuntimeError, "3|4"),
]


@pytest.mark.parametrize(("call", "error", "text"), WRONG)
def test_bad_input_is_refused(call, error, text):
    with pytest.raises(error, match=text) as caught:
        call()
    assert isinstance(caught.value, ad.errors.AdjointError)
