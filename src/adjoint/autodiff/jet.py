"""Taylor mode: every value is a truncated power series in one variable t.

y' = jvp(x') holds for series as it does for numbers, so all coefficients of an operation
follow, one after the other, from the derivative rule it already has. Series are lazy: a
rule runs once and its coefficients are asked for in turn, which lets it read y itself.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np

from ..core import tree
from ..core.bind import Box, bind, dtype_of, new_level
from ..core.dtype import is_inexact
from ..core.level import Level
from ..core.primitive import guarded, op
from ..errors import ArgumentError, ArgumentTypeError, GradError
from .tape import BASE, enclosed
from .views import mark_views


class Series:
    """x₀, x₁ ... of Σ xₖtᵏ, each computed when first asked for; None stands for zero."""

    __slots__ = ("_slope", "following", "known")

    def __init__(self, first, following=None):
        self.known, self.following = [first], following
        self._slope = None

    def __getitem__(self, k):
        known = self.known
        while len(known) <= k:
            known.append(self.following(len(known)) if self.following else None)
        return known[k]

    @property
    def moves(self) -> bool:
        """Not known to be constant."""
        return self.following is not None or any(x is not None for x in self.known[1:])

    def settle(self, order: int) -> None:
        """Compute up to t^order and forget how."""
        self[order]
        self.forget()

    def forget(self) -> None:
        """Let go of the rule, which refers back here."""
        self.following = self._slope = None

    def slope(self) -> Series:
        """The series of the derivative: (k+1)xₖ₊₁."""
        if self._slope is None:
            first = op.zeros_like(self[0]) if self[1] is None else self[1]
            self._slope = Series(first, lambda k: _times(self[k + 1], k + 1))
        return self._slope


def _times(x, n):
    return None if x is None or n == 1 else x * n


def _plus(x, y):
    return y if x is None else x if y is None else x + y


class Taylor(Level):
    """Arithmetic of power series up to t^order.

    A box's `tangent` is its Series, whose zeroth coefficient is the box's value.
    """

    def __init__(self, order: int):
        self.order = order
        self.made: dict | None = None  # while a rule runs: what it has computed so far
        self.all: list[Series] = []  # and all series that it needed

    def process(self, prim, args, params):
        for x in args:
            if isinstance(x, Box) and x.level is self:
                x.sync()
        xs = [self.series(x) for x in args]
        if self.made is not None:
            return self.boxed(prim, self.lazily(prim, xs, params))
        self.made, self.all = {}, list(xs)
        try:
            ys = self.lazily(prim, xs, params)
            for y in ys:
                y.settle(self.order)
        finally:
            for x in self.all:
                x.forget()
            self.made, self.all = None, []
        return self.boxed(prim, ys, args, params)

    def lazily(self, prim, xs, params):
        """The series of the results; an elementwise one that is there already is taken.

        So sin, whose rule asks for cos, whose rule asks for sin, is two series, not a tower.
        """
        if prim.family != "elementwise":
            return self.fresh(prim, xs, params)
        key = (prim, *map(id, xs), *params.items())
        found = self.made.get(key)
        if found is None:
            found = xs, self.fresh(prim, xs, params, key)
            self.made[key] = found
        return found[1]

    def fresh(self, prim, xs, params, key=None):
        """The series of the results, none of them computed beyond its value."""
        y = bind(prim, *(x[0] for x in xs), **params)
        ys = [Series(v) for v in (y if prim.outputs != 1 else (y,))]
        self.all += ys
        if key is not None:
            self.made[key] = xs, ys
        moving = _moving(prim, xs)
        if moving:
            step = _rule(prim, xs, moving)(self, prim, xs, ys, moving, params)
            _follow(prim, ys, step)
        return ys

    def series(self, x) -> Series:
        """The series of a value of this level or one below."""
        if not (isinstance(x, Box) and x.level is self):
            return Series(x)
        return Series(x.value) if x.tangent is None else x.tangent

    def boxed(self, prim, ys, args=None, params=None):
        """The results as values of this level, marked as views of what they show."""
        outs = tuple(map(self.box, ys))
        outs = outs if prim.outputs != 1 else outs[0]
        if prim.view and args is not None:
            mark_views(outs, args[0], prim, params)
        return outs

    def box(self, y: Series):
        """A value of this level with its series."""
        out = self.wrap(y[0])
        out.tangent = y if y.moves else None
        return out

    def wrap(self, value):
        """A constant of this level."""
        return enclosed(self, value)


def _moving(prim, xs) -> list[int]:
    """The inputs through which the result changes with t."""
    if not prim.differentiable:
        return []
    moving = [i for i, x in enumerate(xs) if x.moves]
    if prim.family == "elementwise":
        return [i for i in moving if prim.pushes[i]]
    only_first = prim.family == "linear" and not prim.joint
    return [i for i in moving if i == 0] if only_first else moving


def _follow(prim, ys, step):
    if prim.outputs == 1:
        ys[0].following = step
        return
    step = functools.cache(step)
    for i, y in enumerate(ys):
        if is_inexact(dtype_of(y[0])):
            y.following = functools.partial(_component, step, i)


def _component(step, i, k):
    column = step(k)
    return None if column is None else column[i]


# ---------------------------------------------------------------- coefficient rules

# Each is (level, prim, xs, ys, moving, params) -> (k -> the coefficient of tᵏ, k > 0).


def _rule(prim, xs, moving) -> Callable:
    if prim.name == "guard":  # reads the tangent, though nothing is derived of it
        return _guard
    if _is_affine(prim, moving, len(xs)):
        return _affine
    if prim.name in _BY_NAME:
        return _BY_NAME[prim.name]
    bilinear = prim.name == "mul" or prim.family in ("contraction", "convolution")
    return _product if bilinear else _integral


def _is_affine(prim, moving, count) -> bool:
    """Whether the derivative in the moving inputs reads none of them, nor the result."""
    if prim.family == "elementwise":
        reads = set().union(*(prim._partials[i].reads for i in moving))
        return "y" not in reads and reads.isdisjoint(moving)
    if prim.saves_y:
        return False
    keeps = prim.keeps([i in moving for i in range(count)], count)
    return not any(keeps[i] for i in moving)


def _affine(level, prim, xs, ys, moving, params):
    """yₖ = jvp(xₖ), the derivative being the same everywhere."""
    values = [x[0] for x in xs]
    y = _result(prim, [y[0] for y in ys])

    def step(k):
        ts = [x[k] if i in moving else None for i, x in enumerate(xs)]
        still = all(t is None for t in ts)
        return None if still else prim.jvp(ts, y, values, params)

    return step


def _product(level, prim, xs, ys, moving, params):
    """yₖ = Σ aᵢbₖ₋ᵢ (Cauchy)."""
    a, b = xs

    def step(k):
        total = None
        for i in range(k + 1):
            if a[i] is not None and b[k - i] is not None:
                total = _plus(total, bind(prim, a[i], b[k - i], **params))
        return total

    return step


def _quotient(level, prim, xs, ys, moving, params):
    """y = a/b: a = yb solved for yₖ = (aₖ − Σ bᵢyₖ₋ᵢ)/b₀, i > 0."""
    (a, b), (y,) = xs, ys

    def step(k):
        total = a[k]
        for i in range(1, k + 1):
            if b[i] is not None and y[k - i] is not None:
                total = _plus(total, guarded(b[i], -b[i] * y[k - i]))
        return None if total is None else guarded(total, total / b[0])

    return step


def _guard(level, prim, xs, ys, moving, params):
    """Zero as long as all coefficients of the tangent have been zero."""
    t, x = xs
    seen = [t[0]]

    def step(k):
        if t[k] is not None:
            seen.append(op.where(seen[-1] == 0, t[k], seen[-1]))
        return None if x[k] is None else op.guard(seen[-1], x[k])

    return step


def _integral(level, prim, xs, ys, moving, params):
    """y' = jvp(x'), read as series: yₖ = y'ₖ₋₁/k. The rule runs once, when y₁ is wanted."""
    slopes = []

    def step(k):
        if not slopes:
            slopes.extend(_slopes(level, prim, xs, ys, moving, params))
        column = tuple(_over(dy[k - 1], k) if dy else None for dy in slopes)
        return column if prim.outputs != 1 else column[0]

    return step


def _slopes(level, prim, xs, ys, moving, params):
    ts = [level.box(x.slope()) if i in moving else None for i, x in enumerate(xs)]
    y = _result(prim, [level.box(y) for y in ys])
    dy = prim.jvp(ts, y, [level.box(x) for x in xs], params)
    if prim.outputs == 1 or dy is None:
        dy = (dy,) * len(ys)
    return [None if d is None else level.series(d) for d in dy]


def _over(x, n):
    return x if x is None or n == 1 else x / n


def _result(prim, ys):
    return tuple(ys) if prim.outputs != 1 else ys[0]


def _matrix_function(level, prim, xs, ys, moving, params):
    """f(Σ xₖNᵏ) for a nilpotent N, the shift: yₖ stands in the first row of blocks.

    The rule of `matrix_exp` doubles the matrix, k times for yₖ; this one is k + 1 blocks.
    """
    (x,) = xs
    n = x[0].shape[-1]

    def step(k):
        zero = op.zeros_like(x[0])
        blocks = [zero if x[i] is None else x[i] for i in range(k + 1)]
        last = zero.ndim - 1
        rows = [
            op.cat(*[zero] * i, *blocks[: k + 1 - i], dim=last) for i in range(k + 1)
        ]
        y = bind(prim, op.cat(*rows, dim=last - 1), **params)
        whole = tuple((0, m, 1) for m in zero.shape[:-2])
        return op.slice(y, key=(*whole, (0, n, 1), (k * n, (k + 1) * n, 1)))

    return step


_BY_NAME = {"div": _quotient, "matrix_exp": _matrix_function}


# ---------------------------------------------------------------- what users call


def jet(func: Callable, primals, series):
    """func(*primals) and its derivatives along a curve: the Taylor mode.

    Let xᵢ(t) be curves with xᵢ(0) = primals[i] and dᵏxᵢ/dtᵏ(0) = series[i][k−1]. The result
    is y = func(x₁(t), ...) and its derivatives dᵏy/dtᵏ at t = 0, as many as were given. They
    are derivatives, not Taylor coefficients, which are these over k!. All orders together
    cost a number of operations quadratic in the order, where nested `jvp`s double each time.

    With x(t) = t, the derivatives of a function of one number:

    >>> one, zero = tensor(1.), tensor(0.)
    >>> jet(lambda x: 1 / (1 - x), (zero,), ([one, zero, zero],))
    (tensor(1.), [tensor(1.), tensor(2.), tensor(6.)])

    Arguments and result may be pytrees; at each leaf `series` has a list of derivatives.
    """
    primals, series = _sequence(primals, "primals"), _sequence(series, "series")
    flat, shape = tree.flatten(primals)
    order, terms = _terms(shape, len(flat), series)
    with new_level(Taylor(order)) as level:
        inputs = [_input(x, ts, level) for x, ts in zip(flat, terms, strict=True)]
        outputs, out_shape = tree.flatten(func(*tree.unflatten(shape, inputs)))
        ys = [_output(y, level) for y in outputs]
    values = tree.unflatten(out_shape, [y[0] for y in ys])
    return values, tree.unflatten(out_shape, [_derivatives(y, order) for y in ys])


def _sequence(x, name):
    if not isinstance(x, (tuple, list)):
        raise ArgumentTypeError(
            f"jet: {name} must be a tuple with an entry for each argument, got {x!r}"
        )
    return tuple(x)


def _terms(shape, count, series):
    """(order, the list of derivatives of each leaf)."""
    flat, given = tree.flatten(series)
    order, left = divmod(len(flat), max(count, 1))
    for kind in (list, tuple):
        like = tree.unflatten(shape, [kind(range(order))] * count)
        if not left and tree.flatten(like)[1] == given:
            return order, [flat[i * order : (i + 1) * order] for i in range(count)]
    raise ArgumentError(
        "jet: series must have the structure of primals with a list of derivatives in place "
        f"of each Tensor, all lists of one length; got {len(flat)} for {count} Tensors",
        hint="jet(f, (x,), ([dx, ddx],))",
    )


def _input(x, ts, level):
    if not isinstance(x, Box):
        raise ArgumentTypeError(f"jet: primals must be Tensors, got {x!r}")
    d = dtype_of(x)
    if not is_inexact(d):
        raise GradError(
            f"jet: only floating and complex Tensors have derivatives, got {d.name}"
        )
    x.sync()
    out = Series(x)
    for k, t in enumerate(ts, 1):
        out.known.append(_over(_term(t, x, d), float(math.factorial(k))))
    return level.box(out)


def _term(t, x, d):
    if not isinstance(t, (Box, int, float, complex)):
        raise ArgumentTypeError(f"jet: a derivative must be a Tensor, got {t!r}")
    t = t if isinstance(t, Box) else BASE.wrap(np.asarray(t, d))
    if tuple(t.shape) != tuple(x.shape):
        raise GradError(
            f"jet: a primal has shape {tuple(x.shape)}, its derivative {tuple(t.shape)}"
        )
    return t if dtype_of(t) == d else op.cast(t, dtype=d)


def _output(y, level) -> Series:
    """The series of what the function returned, as tensors."""
    if isinstance(y, Box) and y.level is level:
        y.sync()
    y = level.series(y)
    y.known = [x if x is None or isinstance(x, Box) else BASE.wrap(x) for x in y.known]
    return y


def _derivatives(y: Series, order: int) -> list:
    return [
        op.zeros_like(y[0]) if y[k] is None else y[k] * float(math.factorial(k))
        for k in range(1, order + 1)
    ]
