"""Toy problems against their formulas, and the digits that come with the package."""

import hashlib
import math

import numpy as np
import pytest

import adjoint as ad
from adjoint import data

POINTS = {
    "xor": 2,
    "circles": 2,
    "moons": 2,
    "spirals": 2,
    "blobs": 3,
}
CURVES = ("line", "sine")


@pytest.mark.parametrize("name", [*POINTS, *CURVES])
def test_shapes_dtypes_and_seeds(name):
    make = getattr(data, name)
    for n in (1, 2, 7, 50):
        x, y = make(n, seed=1)
        assert x.dtype is ad.float32 and len(x) == len(y) == n
        assert y.dtype is (ad.int64 if name in POINTS else ad.float32)
        assert x.shape[1] == (2 if name in POINTS else 1) and x.isfinite().all()
    g = ad.Generator().manual_seed(4)
    (a, b), (c, d), (e, _) = make(generator=g), make(seed=4), make(generator=g)
    assert a.equal(c) and b.equal(d)
    ad.manual_seed(4)
    assert make()[0].equal(a) and make()[1].equal(make(seed=9)[1]) == (name in POINTS)
    if name in POINTS:
        assert not e.equal(a)
        counts = np.bincount(y.numpy())
        assert len(counts) == POINTS[name] and np.ptp(counts) <= 1


@pytest.mark.parametrize("name", [*POINTS, *CURVES])
def test_noise_is_the_standard_deviation(name):
    make = getattr(data, name)
    kw = {"centers": [[0.0, 0.0], [3.0, 3.0]]} if name == "blobs" else {}
    clean, noisy = (make(20_000, noise, seed=0, **kw) for noise in (0.0, 0.3))
    which = 0 if name in POINTS else 1
    rest = (noisy[which] - clean[which]).numpy()
    assert abs(rest.std() - 0.3) < 0.01 and abs(rest.mean()) < 0.01
    assert noisy[1 - which].equal(clean[1 - which])


def test_formulas():
    x, y = (t.numpy() for t in data.xor(100, 0.0))
    assert ((x[:, 0] * x[:, 1] < 0) == y).all() and (abs(x) == 1).all()

    x, y = (t.numpy() for t in data.circles(101, 0.0, factor=0.25))
    assert np.allclose(np.hypot(*x.T), np.where(y, 0.25, 1), atol=1e-6)
    inner = np.sort(np.arctan2(*x[y == 1].T))
    assert np.allclose(np.diff(inner), 2 * math.pi / 50, atol=1e-5)

    x, y = (t.numpy() for t in data.moons(40, 0.0))
    upper, lower = x[y == 0], x[y == 1]
    assert np.allclose(np.hypot(*upper.T), 1, atol=1e-6) and (upper[:, 1] > -1e-6).all()
    assert np.allclose(np.hypot(*(lower - [1, 0.5]).T), 1, atol=1e-6)
    assert np.allclose(lower, [1, 0.5] - upper, atol=1e-6)

    x, y = (t.numpy() for t in data.spirals(300, 0.0, classes=3, turns=1.5))
    r = np.hypot(*x.T)
    turned = np.arctan2(x[:, 1], x[:, 0]) - 2 * math.pi * (1.5 * r + y / 3)
    assert np.allclose(np.cos(turned), 1, atol=1e-5)
    assert r.min() > 0 and np.isclose(r.max(), 1)

    x, y = (t.numpy() for t in data.blobs(9, 0.0, centers=3, dim=4, seed=0))
    assert x.shape == (9, 4) and len(np.unique(x, axis=0)) == 3
    assert (x[:3] == x[3:6]).all() and abs(x).max() <= 10

    x, y = (t.numpy() for t in data.sine(50, 0.0, amplitude=2.0, frequency=3.0))
    assert np.allclose(y, 2 * np.sin(3 * x), atol=1e-5)
    x, y = (t.numpy() for t in data.line(50, 0.0, slope=-1.0, intercept=4.0))
    assert np.allclose(y, 4 - x) and (x[0], x[-1]) == (-1, 1)


def test_they_follow_the_default_dtype():
    ad.set_default_dtype(ad.float64)
    try:
        assert data.sine(5)[1].dtype is data.moons(5)[0].dtype is ad.float64
        assert data.load_digits("test")[0].dtype is ad.float64
    finally:
        ad.set_default_dtype(ad.float32)


def test_wrong_arguments():
    for call, text in (
        (lambda: data.xor(0), "xor: n must be a positive whole number, got 0"),
        (lambda: data.moons(2.5), "got 2.5"),
        (lambda: data.line(noise=-1), "line: noise must not be negative, got -1"),
        (lambda: data.sine(noise=math.nan), "got nan"),
        (lambda: data.sine(seed=1, generator=ad.Generator()), "not both"),
        (lambda: data.spirals(classes=0), "spirals: classes"),
        (lambda: data.blobs(centers=[1.0, 2.0]), r"\[classes, dim\], got \[2\]"),
        (lambda: data.load_digits("valid"), 'split must be "train".*got .valid.'),
    ):
        with pytest.raises(ValueError, match=text):
            call()


def test_digits_are_those_of_scikit_learn():
    x, y = data.load_digits()
    pixels = (x * 16).to(ad.uint8).numpy()
    assert x.shape == (1797, 64) and (pixels / 16 == x.numpy()).all()
    assert y.bincount().tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    digest = hashlib.sha256(pixels.tobytes() + y.numpy().astype("u1").tobytes())
    assert digest.hexdigest() == DIGEST
    sklearn = pytest.importorskip("sklearn.datasets")
    theirs = sklearn.load_digits()
    assert (theirs.data == pixels).all() and (theirs.target == y.numpy()).all()


DIGEST = "87ff0c9e40dc7e2c0e34e7257799c2e3f3aec1a016363bb11cad869ec428a826"


def test_digits_are_split_by_class_and_the_parts_make_the_whole():
    x, y = data.load_digits("train", flat=False)
    u, v = data.load_digits("test", flat=False)
    assert x.shape == (1442, 1, 8, 8) and u.shape == (355, 1, 8, 8)
    share = v.bincount().numpy() / (y.bincount() + v.bincount()).numpy()
    assert (abs(share - 0.2) < 0.005).all()
    whole = data.load_digits()[0].sum(0)
    assert (x.sum(0) + u.sum(0)).flatten().allclose(whole)


def test_the_licence_comes_with_the_digits():
    text = data.digits.FILE.with_suffix(".md").read_text()
    assert "CC BY 4.0" in text and "Alpaydin" in text and "Changes:" in text
