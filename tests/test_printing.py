"""How tensors print, beside PyTorch: to the letter, but for the longer name of the package."""

import itertools

import numpy as np
import pytest

import adjoint as ad

torch = pytest.importorskip("torch")

SHAPES = [(), (0,), (1,), (5,), (2, 0), (2, 3), (2, 3, 4), (1, 2, 2, 2), (7, 9)]
SHAPES += [(1000,), (1001,), (30, 40), (3, 400), (2, 30, 40), (10, 10, 11)]


@pytest.fixture(autouse=True)
def default_options():
    yield
    ad.set_printoptions(profile="default")
    torch.set_printoptions(profile="default")


def same(make, *args):
    ours, theirs = (repr(make(T, *args)) for T in (ad, torch))
    if "torch." in theirs:  # a longer name may go to a line of its own
        ours = " ".join(ours.replace("adjoint.", "torch.").split())
        theirs = " ".join(theirs.split())
    assert ours == theirs


def numbers(shape, kind):
    rng = np.random.default_rng(7)
    x = np.array(rng.standard_normal(shape))
    whole = np.array(rng.integers(-50, 50, shape), float)
    spread = np.array(rng.integers(-8, 8, shape))
    holes = np.array(rng.random(shape)) < 0.3
    return {
        "one": x,
        "small": x * 1e-6,
        "large": x * 1e6,
        "huge": x * 1e9,
        "spread": x * 10.0**spread,
        "whole": whole,
        "large whole": whole * 1e7,
        "nan": np.where(holes, np.nan, x),
        "inf": np.where(holes, -np.inf, x),
        "whole nan": np.where(holes, np.nan, whole),
        "whole inf": np.where(holes, -np.inf, whole),
        "zero": np.zeros(shape),
        "minus zero": -np.zeros(shape),
        "all nan": np.full(shape, np.nan),
    }[kind]


KINDS = "one", "small", "large", "huge", "spread", "whole", "large whole", "nan", "inf"
KINDS += "whole nan", "whole inf", "zero", "minus zero", "all nan"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_floats(kind, dtype):
    for shape in SHAPES:
        with np.errstate(all="ignore"):
            value = numbers(shape, kind).astype(np.float32)
            same(lambda T, v: T.tensor(v).to(getattr(T, dtype)), value)


@pytest.mark.parametrize("shape", SHAPES)
def test_other_dtypes(shape):
    rng = np.random.default_rng(3)
    whole = np.array(rng.integers(-100, 100, shape))
    same(lambda T: T.tensor(whole))
    for dtype in "int32", "int16", "int8":
        same(lambda T, d: T.tensor(whole).to(getattr(T, d)), dtype)
    same(lambda T: T.tensor(whole > 0))
    same(lambda T: T.ones(shape, dtype=T.bool))
    for scale, kind in itertools.product((1, 1e6, 1e-6), ("one", "whole", "nan")):
        z = numbers(shape, kind) * scale + 1j * whole
        same(lambda T, z: T.tensor(z.astype(np.complex64)), z)
        same(lambda T, z: T.tensor(z.conj()), z)


@pytest.mark.parametrize("shape", SHAPES)
def test_what_follows_the_numbers(shape):
    x = numbers(shape, "one").astype(np.float32)
    same(lambda T: T.tensor(x, requires_grad=True))
    same(lambda T: T.tensor(x, requires_grad=True) * 2)
    same(lambda T: T.tensor(x, requires_grad=True).double().exp())


@pytest.mark.parametrize(
    "options",
    [
        {"precision": 2},
        {"sci_mode": True},
        {"sci_mode": False},
        {"profile": "full"},
        {"profile": "short"},
        {"linewidth": 40},
        {"threshold": 5, "edgeitems": 1},
        {"threshold": 5, "edgeitems": 0},
        {"precision": 10, "linewidth": 200},
    ],
    ids=str,
)
def test_options(options):
    ad.set_printoptions(**options)
    torch.set_printoptions(**options)
    for shape, kind in itertools.product(SHAPES[:-4], KINDS[:7]):
        same(lambda T, v: T.tensor(v), numbers(shape, kind).astype(np.float32))


@pytest.mark.parametrize(
    "text",
    [
        lambda T: f"{T.tensor(1.23456):.2f}",
        lambda T: f"{T.tensor(2.5)} {T.tensor(3)} {T.tensor(True)}",
        lambda T: f"{T.tensor([1.5])}",
        lambda T: f"{T.tensor(2.5)!r}",
        lambda T: str(T.tensor(2.5)),
        lambda T: f"{T.tensor(3):5d}|{T.tensor(12345.678):.3e}",
    ],
)
def test_in_text(text):
    assert text(ad) == text(torch)


def test_a_format_is_for_single_numbers():
    for T in (ad, torch):
        with pytest.raises(TypeError, match="unsupported format string"):
            f"{T.ones(2):.2f}"
