"""Toy problems: points in the plane with classes, and curves with noise.

Point i belongs to class i mod k, so that any beginning of the set is balanced. `noise` is the
standard deviation of Gaussian noise ε. Random numbers come from `generator`, from the stream of
`seed`, or else from the default generator.
"""

from __future__ import annotations

import math

import numpy as np

from ..core.dtype import get_default_dtype
from ..core.generator import Generator
from ..errors import ArgumentError, ShapeError
from ..functional.face import FUNCTIONS


def xor(n: int = 200, noise: float = 0.2, *, generator=None, seed=None):
    """(x, y): the corners (±1, ±1) in turn; y = 1 where the signs differ. x = corner + ε.

    >>> x, y = xor(4, noise=0.)
    >>> x.tolist(), y.tolist()
    ([[-1.0, -1.0], [-1.0, 1.0], [1.0, 1.0], [1.0, -1.0]], [0, 1, 0, 1])
    """
    g, i = _start("xor", n, noise, generator, seed)
    corners = np.array([[-1, -1], [-1, 1], [1, 1], [1, -1]], np.float64)
    return _classified(corners[i % 4], noise, g, 2)


def circles(
    n: int = 200,
    noise: float = 0.05,
    *,
    factor: float = 0.5,
    generator=None,
    seed=None,
):
    """(x, y): class 0 on a circle of radius 1, class 1 on one of radius `factor`.

    x = r (cos t, sin t) + ε, t = 2π j / m for the j-th of the m points of a class.

    >>> x, y = circles(100, noise=0.)
    >>> x[y == 1].norm(dim=1).round(decimals=4).unique().tolist()
    [0.5]
    """
    g, i = _start("circles", n, noise, generator, seed)
    t = 2 * math.pi * (i // 2) / _size_of_class(n, i, 2)
    r = np.where(i % 2, factor, 1.0)
    return _classified(_polar(r, t), noise, g, 2)


def moons(n: int = 200, noise: float = 0.1, *, generator=None, seed=None):
    """(x, y): two half circles that reach into each other.

    Class 0: (cos t, sin t) + ε; class 1: (1 - cos t, 1/2 - sin t) + ε; t even in [0, π].

    >>> x, y = moons(5, noise=0.)
    >>> x[y == 1].round(decimals=4).tolist(), y.tolist()
    ([[0.0, 0.5], [2.0, 0.5]], [0, 1, 0, 1, 0])
    """
    g, i = _start("moons", n, noise, generator, seed)
    t = math.pi * (i // 2) / np.maximum(_size_of_class(n, i, 2) - 1, 1)
    upper, lower = _polar(1.0, t), [1, 0.5] - _polar(1.0, t)
    return _classified(np.where(i[:, None] % 2, lower, upper), noise, g, 2)


def spirals(
    n: int = 300,
    noise: float = 0.02,
    *,
    classes: int = 2,
    turns: float = 1.0,
    generator=None,
    seed=None,
):
    """(x, y): arms that wind `turns` times around the origin, one a class.

    x = r (cos a, sin a) + ε with a = 2π (turns r + class / classes), r even in (0, 1].

    >>> x, y = spirals(6, noise=0., classes=3, turns=0.)
    >>> x[y == 0].tolist()
    [[0.5, 0.0], [1.0, 0.0]]
    """
    g, i = _start("spirals", n, noise, generator, seed)
    _whole("spirals: classes", classes)
    r = (i // classes + 1) / _size_of_class(n, i, classes)
    a = 2 * math.pi * (turns * r + i % classes / classes)
    return _classified(_polar(r, a), noise, g, classes)


def blobs(
    n: int = 300,
    noise: float = 1.0,
    *,
    centers=3,
    dim: int = 2,
    box: tuple[float, float] = (-10.0, 10.0),
    generator=None,
    seed=None,
):
    """(x, y): x = center of the class + ε.

    `centers` is an array [classes, dim], or how many to draw evenly from the box.

    >>> x, y = blobs(4, noise=0., centers=[[0., 1.], [5., 5.]])
    >>> x.tolist(), y.tolist()
    ([[0.0, 1.0], [5.0, 5.0], [0.0, 1.0], [5.0, 5.0]], [0, 1, 0, 1])
    """
    g, i = _start("blobs", n, noise, generator, seed)
    if isinstance(centers, int):
        _whole("blobs: centers", centers)
        u = FUNCTIONS["rand"](centers, dim, generator=g, dtype="float64").numpy()
        centers = box[0] + (box[1] - box[0]) * u
    centers = np.asarray(centers, np.float64)
    if centers.ndim != 2:
        raise ShapeError(
            f"blobs: centers must have shape [classes, dim], got {list(centers.shape)}"
        )
    return _classified(centers[i % len(centers)], noise, g, len(centers))


def line(
    n: int = 100,
    noise: float = 0.1,
    *,
    slope: float = 2.0,
    intercept: float = 1.0,
    generator=None,
    seed=None,
):
    """(x, y) of shape [n, 1]: y = slope x + intercept + ε, x even in [-1, 1].

    >>> x, y = line(3, noise=0.)
    >>> y.tolist()
    [[-1.0], [1.0], [3.0]]
    """
    g, _ = _start("line", n, noise, generator, seed)
    x = np.linspace(-1, 1, n)[:, None]
    return _tensors(x, slope * x + intercept + _noise(x.shape, noise, g))


def sine(
    n: int = 100,
    noise: float = 0.1,
    *,
    amplitude: float = 1.0,
    frequency: float = 1.0,
    generator=None,
    seed=None,
):
    """(x, y) of shape [n, 1]: y = amplitude sin(frequency x) + ε, x even in [-π, π].

    >>> x, y = sine(5, noise=0., amplitude=2.)
    >>> y.round(decimals=4).abs().flatten().tolist()
    [0.0, 2.0, 0.0, 2.0, 0.0]
    """
    g, _ = _start("sine", n, noise, generator, seed)
    x = np.linspace(-math.pi, math.pi, n)[:, None]
    y = amplitude * np.sin(frequency * x) + _noise(x.shape, noise, g)
    return _tensors(x, y)


# ---------------------------------------------------------------- what they share


def _start(name: str, n, noise, generator, seed):
    """(generator or None for the default one, 0 .. n-1), the arguments checked."""
    _whole(f"{name}: n", n)
    if not noise >= 0:
        raise ArgumentError(f"{name}: noise must not be negative, got {noise}")
    if seed is not None and generator is not None:
        raise ArgumentError(f"{name}: give a generator or a seed, not both")
    g = Generator().manual_seed(seed) if seed is not None else generator
    return g, np.arange(n)


def _whole(what: str, n) -> None:
    if not isinstance(n, (int, np.integer)) or n < 1:
        raise ArgumentError(f"{what} must be a positive whole number, got {n!r}")


def _size_of_class(n: int, i: np.ndarray, classes: int) -> np.ndarray:
    """How many of n points are in the class of each point."""
    return n // classes + (i % classes < n % classes)


def _polar(r, t) -> np.ndarray:
    return np.stack([r * np.cos(t), r * np.sin(t)], -1)


def _noise(shape, noise: float, g):
    if noise == 0:
        return 0.0
    return noise * FUNCTIONS["randn"](*shape, generator=g, dtype="float64").numpy()


def _classified(points: np.ndarray, noise: float, g, classes: int):
    x = points + _noise(points.shape, noise, g)
    return _tensors(x, np.arange(len(points)) % classes)


def _tensors(x: np.ndarray, y: np.ndarray):
    d = get_default_dtype().np
    y = y.astype(d if y.dtype.kind == "f" else np.int64)
    return FUNCTIONS["from_numpy"](x.astype(d)), FUNCTIONS["from_numpy"](y)
