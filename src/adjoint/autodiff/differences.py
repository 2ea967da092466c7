"""A function at a point: how its outputs move by central differences, and by its own rules."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ..core.bind import Box, dtype_of
from ..errors import ArgumentError
from .gradients import grad as autograd_grad
from .tape import BASE
from .transforms import jvp


class Point:
    """`func` at `inputs`: those that move, the outputs that have a gradient."""

    def __init__(self, func, inputs, eps):
        self.func, self.inputs, self.eps = func, inputs, eps
        self.moving = that_move(inputs)
        if not self.moving:
            raise ArgumentError("gradcheck: at least one input must require grad")
        for i in self.moving:
            if dtype_of(inputs[i]) not in (np.float64, np.complex128):
                raise ArgumentError(
                    f"gradcheck: input {i} is {dtype_of(inputs[i]).name}: central differences "
                    "need double precision",
                    hint="dtype=float64",
                )
        ys = outputs_of(func(*inputs))
        self.kept = that_move(ys)
        self.outputs = [ys[k] for k in self.kept]
        if not self.outputs:
            raise ArgumentError("gradcheck: no output requires grad")
        self._jacobians: dict = {}

    @property
    def xs(self) -> list:
        """The inputs that move."""
        return [self.inputs[i] for i in self.moving]

    def jacobian(self, i, o):
        """The numerical Jacobian of output `o` in input `i`: along its real parts, and its
        imaginary ones if it has them, a column for each element."""
        if i not in self._jacobians:
            self._jacobians[i] = self._jacobians_in(i)
        return self._jacobians[i][o]

    def _jacobians_in(self, i):
        x = self.inputs[i]
        moved = [[self.moved(i, u) for u in basis(x, unit)] for unit in units(x)]
        return [
            [
                np.array([ys[o] for ys in columns]).reshape(x.numel(), y.numel()).T
                for columns in moved
            ]
            for o, y in enumerate(self.outputs)
        ]

    def moved(self, i, u) -> list[np.ndarray]:
        """The derivatives of the outputs along `u` in input `i`, by a step to each side."""
        x, step = self.inputs[i].detach().numpy(), self.eps * u
        up, down = self._at(i, x + step), self._at(i, x - step)
        return [(a - b) / (2 * self.eps) for a, b in zip(up, down, strict=True)]

    def _at(self, i, value):
        args = self._with(i, BASE.wrap(value).requires_grad_())
        return [y.detach().numpy().ravel() for y in self._kept_of(self.func(*args))]

    def _with(self, i, new):
        """The inputs with another one in all places of input `i`."""
        x = self.inputs[i]
        return [new if a is x else a for a in self.inputs]

    def _kept_of(self, result):
        ys = outputs_of(result)
        return [ys[k] for k in self.kept]

    def pull(self, o, g):
        """The gradients of ⟨g, output o⟩, by reverse mode; None where there is none."""
        return autograd_grad(
            self.outputs[o], self.xs, g, retain_graph=True, allow_unused=True
        )

    def push(self, i, t):
        """The tangents of the outputs for that of input `i`, by forward mode."""

        def f(value):
            args = [_constant(a, but=value) for a in self._with(i, value)]
            return tuple(self._kept_of(self.func(*args)))

        return jvp(f, (self.inputs[i].detach(),), (t,))[1]


def _constant(x, but):
    return x.detach() if isinstance(x, Box) and x is not but else x


def outputs_of(ys) -> list:
    """The tensors among the results of a function."""
    ys = ys if isinstance(ys, Sequence) and not isinstance(ys, Box) else [ys]
    return [y for y in ys if isinstance(y, Box)]


def that_move(xs) -> list[int]:
    """The places of those that require grad."""
    return [i for i, x in enumerate(xs) if isinstance(x, Box) and x.requires_grad]


def units(x) -> tuple:
    """The directions in which a number of `x` can move."""
    return (1.0, 1j) if dtype_of(x).kind == "c" else (1.0,)


def basis(x, unit) -> Iterator[np.ndarray]:
    """Arrays like `x` that are `unit` at one place and zero elsewhere."""
    for j in range(x.numel()):
        e = np.zeros(x.numel(), dtype_of(x))
        e[j] = unit
        yield e.reshape(tuple(x.shape))


def random_like(x, seed=0) -> np.ndarray:
    """Random numbers in the shape and dtype of `x`."""
    rng = np.random.default_rng(seed)
    value = rng.normal(size=tuple(x.shape))
    if dtype_of(x).kind == "c":
        value = value + 1j * rng.normal(size=tuple(x.shape))
    return value.astype(dtype_of(x))


def unit_like(x, seed=0) -> np.ndarray:
    """A random direction of length 1."""
    u = random_like(x, seed)
    return u / (np.linalg.norm(u.ravel()) or 1.0)


def zeros_like(x):
    """A tensor of zeros like `x`."""
    return BASE.wrap(np.zeros(tuple(x.shape), dtype_of(x)))
