"""gradcheck and its kin: the derivatives of a function against central differences.

The message names which derivative of which output and input is wrong, its entry, both
numbers, and the recorded operations that lie between them.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np

from ..errors import GradError, need_callable, show_site
from .backward import reachable
from .differences import (
    Point,
    basis,
    outputs_of,
    random_like,
    that_move,
    unit_like,
    units,
    zeros_like,
)
from .gradients import grad as autograd_grad
from .node import Leaf
from .tape import BASE
from .transforms import vjp
from .vmap import vmap


class GradcheckError(GradError):
    """A derivative differs from the numerical one."""


def gradcheck(
    func: Callable,
    inputs,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
    masked: bool | None = None,
) -> bool:
    """Compare the derivatives of `func` at `inputs` with central differences.

    `fast_mode` compares along one random direction, which costs no more for a large input;
    where they differ there, the entry is looked for.

    >>> x = tensor([1., 2.], dtype=float64, requires_grad=True)
    >>> gradcheck(lambda x: (x ** 3).sum(), (x,))
    True
    """
    need_callable(func, "gradcheck")
    inputs = tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)
    try:
        check = _Check(Point(func, inputs, eps), atol, rtol)
        if fast_mode:
            check.along_one_direction(check_backward_ad, check_forward_ad)
        elif check_backward_ad:
            check.reverse(nondet_tol, check_grad_dtypes)
        if check_undefined_grad and check_backward_ad:
            check.undefined()
        if check_batched_grad:
            check.batched_reverse()
        if check_forward_ad and not fast_mode:
            check.forward()
        if check_batched_forward_grad:
            check.batched_forward()
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def gradgradcheck(
    func: Callable,
    inputs,
    grad_outputs=None,
    *,
    gen_non_contig_grad_outputs=False,
    check_fwd_over_rev: bool = False,
    check_rev_over_rev: bool = True,
    **options,
) -> bool:
    """`gradcheck` of the gradient of `func`: its second derivatives.

    >>> x = tensor([1., 2.], dtype=float64, requires_grad=True)
    >>> gradgradcheck(lambda x: (x ** 3).sum(), (x,))
    True
    """
    need_callable(func, "gradgradcheck")
    inputs = tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)
    ys = outputs_of(func(*inputs))
    given = map(_random, ys) if grad_outputs is None else outputs_of(grad_outputs)
    seeds = [s.detach().requires_grad_() for s in given]
    options["check_forward_ad"] = check_fwd_over_rev
    options["check_backward_ad"] = check_rev_over_rev
    return gradcheck(_gradient(func, inputs, ys), (*inputs, *seeds), **options)


def _gradient(func, inputs, ys):
    """(*inputs, *seeds) -> the gradients of those outputs and inputs that have one."""
    count, moving, kept = len(inputs), that_move(inputs), that_move(ys)

    def gradient(*args):
        def chosen(*new):
            xs = list(args[:count])
            for i, x in zip(moving, new, strict=True):
                xs[i] = x
            ys = outputs_of(func(*xs))
            return tuple(ys[k] for k in kept)

        xs = [args[i] for i in moving]
        seeds = tuple(args[count + k] for k in kept)
        if all(x.requires_grad for x in xs):
            options = {"create_graph": True, "materialize_grads": True}
            return autograd_grad(chosen(*xs), xs, seeds, **options)
        return vjp(chosen, *xs)[1](seeds)  # inside forward mode

    return gradient


class _Check:
    """The derivatives of a function at a point, each kind against central differences."""

    def __init__(self, point: Point, atol, rtol):
        self.point, self.atol, self.rtol = point, atol, rtol

    def reverse(self, nondet_tol, check_dtypes):
        """Each Jacobian row by row: a pull for every number of every output."""
        point = self.point
        for o, y in enumerate(point.outputs):
            seeds = [g for unit in units(y) for g in basis(y, unit)]
            if not seeds:
                continue
            pulled = [point.pull(o, BASE.wrap(g)) for g in seeds]
            again = point.pull(o, BASE.wrap(seeds[0]))
            self._need_same(pulled[0], again, nondet_tol)
            by_input = list(zip(point.moving, zip(*pulled, strict=True), strict=True))
            if check_dtypes:
                self._need_dtypes(by_input)
            for i, grads in by_input:
                got = np.array([_flat(gx, point.inputs[i]) for gx in grads])
                want = np.array([self._gradient(i, o, g.ravel()) for g in seeds])
                self._compare("reverse", o, i, got, want)

    def _gradient(self, i, o, g):
        """The gradient of Re⟨g, y⟩ that the numerical Jacobian gives."""
        real = [np.real(np.conj(g) @ c) for c in self.point.jacobian(i, o)]
        return real[0] if len(real) == 1 else real[0] + 1j * real[1]

    def forward(self):
        """Each Jacobian column by column: a push for every number of every input."""
        point = self.point
        for i, x in zip(point.moving, point.xs, strict=True):
            for k, unit in enumerate(units(x)):
                pushed = [point.push(i, BASE.wrap(t)) for t in basis(x, unit)]
                for o, y in enumerate(point.outputs):
                    rows = [_flat(dys[o], y) for dys in pushed]
                    got = np.array(rows).reshape(x.numel(), y.numel()).T
                    self._compare("forward", o, i, got, point.jacobian(i, o)[k])

    def along_one_direction(self, reverse: bool, forward: bool):
        """Both modes along one random direction of each input."""
        try:
            for i in self.point.moving:
                self._along(i, unit_like(self.point.inputs[i]), reverse, forward)
        except GradcheckError:  # now which entry is it?
            if reverse:
                self.reverse(math.inf, False)
            if forward:
                self.forward()
            raise

    def _along(self, i, u, reverse, forward):
        point = self.point
        moved = point.moved(i, u)
        for o, dy in enumerate(point.push(i, BASE.wrap(u)) if forward else ()):
            self._compare("forward", o, i, _row(dy.detach().numpy()), _row(moved[o]))
        for o, y in enumerate(point.outputs if reverse else ()):
            g = unit_like(y, 1)
            gx = point.pull(o, BASE.wrap(g))[point.moving.index(i)]
            got = np.vdot(_flat(gx, point.inputs[i]), u.ravel()).real
            want = np.vdot(g.ravel(), moved[o]).real
            self._compare("reverse", o, i, _row(got), _row(want))

    def undefined(self):
        """A None among several cotangents must act as zeros."""
        point = self.point
        if len(point.outputs) < 2:
            return
        for o, y in enumerate(point.outputs):
            seed = BASE.wrap(random_like(y))
            seeds = [zeros_like(z) for z in point.outputs]
            seeds[o] = seed
            full = autograd_grad(
                point.outputs, point.xs, seeds, retain_graph=True, allow_unused=True
            )
            gradients = zip(point.moving, point.pull(o, seed), full, strict=True)
            for i, *found in gradients:
                a, b = (_flat(g, point.inputs[i]) for g in found)
                if not np.allclose(a, b, rtol=self.rtol, atol=self.atol):
                    raise GradcheckError(
                        f"gradcheck: the gradient of input {i} changes when the other outputs "
                        "have no cotangent instead of zeros"
                    )

    def batched_reverse(self):
        """Reverse mode under vmap against itself."""
        point = self.point
        for o, y in enumerate(point.outputs):

            def pull(g, o=o):
                found = zip(point.xs, point.pull(o, g), strict=True)
                return tuple(zeros_like(x) if gx is None else gx for x, gx in found)

            places = [(o, i) for i in point.moving]
            self._compare_rows("batched reverse", pull, y, places)

    def batched_forward(self):
        """Forward mode under vmap against itself."""
        point = self.point
        for i, x in zip(point.moving, point.xs, strict=True):
            places = [(o, i) for o in range(len(point.outputs))]
            push = functools.partial(point.push, i)
            self._compare_rows("batched forward", push, x, places)

    def _compare_rows(self, what, f, x, places):
        """f of two random rows like `x` together and alone; its results belong to `places`."""
        rows = [random_like(x, seed) for seed in range(2)]
        together = vmap(f)(BASE.wrap(np.stack(rows)))
        for k, row in enumerate(rows):
            alone = f(BASE.wrap(row))
            for (o, i), a, b in zip(places, together, alone, strict=True):
                a, b = a.detach().numpy()[k], b.detach().numpy()
                self._compare(what, o, i, _row(a), _row(b))

    # ------------------------------------------------------------ what must hold

    def _compare(self, what, o, i, got, want):
        """The error that names the first entry in which a derivative is wrong."""
        wrong = ~np.isclose(got, want, rtol=self.rtol, atol=self.atol, equal_nan=True)
        if not wrong.any():
            return
        row, column = np.argwhere(wrong)[0]
        raise GradcheckError(
            f"gradcheck: {what} derivative of output {o} with respect to input {i} differs at "
            f"entry ({row}, {column}): the rule gives {got[row, column]:.6g}, central "
            f"differences {want[row, column]:.6g} ({int(wrong.sum())} of {wrong.size} entries "
            f"differ)\n  operations on the way: {self._suspects(o)}"
        )

    def _suspects(self, o):
        """The operations that lead to an output, the last ones first."""
        found = reachable([self.point.outputs[o].node])
        nodes = [n for n in found if type(n) is not Leaf]
        lines = ((n.prim.name, n.site and f" ({show_site(n.site)})") for n in nodes)
        shown = dict.fromkeys(name + (line or "") for name, line in lines)
        return "; ".join(list(shown)[:6])

    def _need_same(self, gradients, again, tol):
        """The same gradients, asked for twice, differ by `tol` at the most."""
        for i, a, b in zip(self.point.moving, gradients, again, strict=True):
            if a is None or b is None:
                continue
            if np.abs(a.detach().numpy() - b.detach().numpy()).max(initial=0) > tol:
                raise GradcheckError(
                    f"gradcheck: the gradient of input {i} changes from run to run"
                )

    def _need_dtypes(self, by_input):
        """Gradients have the dtypes of their inputs."""
        for i, grads in by_input:
            d = self.point.inputs[i].dtype
            for gx in grads:
                if gx is not None and gx.dtype is not d:
                    raise GradcheckError(
                        f"gradcheck: gradient {i} is {gx.dtype}, not {d}"
                    )


def _flat(gx, x) -> np.ndarray:
    """The numbers of a derivative like `x`; None is zero."""
    return np.zeros(x.numel()) if gx is None else gx.detach().numpy().ravel()


def _row(a):
    return np.asarray(a).reshape(1, -1)


def _random(y):
    return BASE.wrap(random_like(y))
