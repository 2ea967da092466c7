"""gradcheck and its kin: the derivatives of a function against central differences.

The message names which derivative of which output and input is wrong, its entry, both
numbers, and the recorded operations that lie between them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from ..core.bind import Box, dtype_of
from ..errors import ArgumentError, GradError, need_callable, show_site
from .backward import grad as autograd_grad
from .backward import reachable
from .node import Leaf
from .tape import BASE
from .transforms import jvp, vjp, vmap


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
        check = _Check(func, inputs, eps, atol, rtol)
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
    ys = _outputs(func(*inputs))
    given = map(_random_like, ys) if grad_outputs is None else _outputs(grad_outputs)
    seeds = [s.detach().requires_grad_() for s in given]
    options["check_forward_ad"] = check_fwd_over_rev
    options["check_backward_ad"] = check_rev_over_rev
    return gradcheck(_gradient(func, inputs, ys), (*inputs, *seeds), **options)


def _gradient(func, inputs, ys):
    """(*inputs, *seeds) -> the gradients of those outputs and inputs that have one."""
    count, moving, kept = len(inputs), _that_move(inputs), _that_move(ys)

    def gradient(*args):
        def chosen(*new):
            xs = list(args[:count])
            for i, x in zip(moving, new, strict=True):
                xs[i] = x
            ys = _outputs(func(*xs))
            return tuple(ys[k] for k in kept)

        xs = [args[i] for i in moving]
        seeds = tuple(args[count + k] for k in kept)
        if all(x.requires_grad for x in xs):
            options = {"create_graph": True, "materialize_grads": True}
            return autograd_grad(chosen(*xs), xs, seeds, **options)
        return vjp(chosen, *xs)[1](seeds)  # inside forward mode

    return gradient


def _that_move(xs) -> list[int]:
    return [i for i, x in enumerate(xs) if isinstance(x, Box) and x.requires_grad]


class _Check:
    """One function at one point, its numerical Jacobian computed once."""

    def __init__(self, func, inputs, eps, atol, rtol):
        self.func, self.inputs = func, inputs
        self.eps, self.atol, self.rtol = eps, atol, rtol
        self.moving = _that_move(inputs)
        if not self.moving:
            raise ArgumentError("gradcheck: at least one input must require grad")
        for i in self.moving:
            if dtype_of(inputs[i]) not in (np.float64, np.complex128):
                raise ArgumentError(
                    f"gradcheck: input {i} is {dtype_of(inputs[i]).name}: central differences "
                    "need double precision",
                    hint="dtype=float64",
                )
        ys = _outputs(func(*inputs))
        self.kept = _that_move(ys)
        self.outputs = [ys[k] for k in self.kept]
        if not self.outputs:
            raise ArgumentError("gradcheck: no output requires grad")
        self._tables: dict = {}

    def numeric(self, i):
        """The numerical Jacobian in input `i`, computed when first asked for."""
        if i not in self._tables:
            self._tables[i] = self._numeric(i)
        return self._tables[i]

    def _with(self, i, new):
        """The inputs with another one in all places of input `i`."""
        x = self.inputs[i]
        return [new if a is x else a for a in self.inputs]

    def _at(self, i, value):
        args = self._with(i, BASE.wrap(value).requires_grad_())
        return [y.detach().numpy().ravel() for y in self._kept_of(self.func(*args))]

    def _kept_of(self, result):
        ys = _outputs(result)
        return [ys[k] for k in self.kept]

    def _numeric(self, i):
        """Per output: d(output)/d(real part) and d(output)/d(imaginary part), by columns."""
        x = self.inputs[i].detach().numpy()
        units = (1.0, 1j) if x.dtype.kind == "c" else (1.0,)
        tables = [[] for _ in range(len(self.outputs) * len(units))]
        for k, unit in enumerate(units):
            for j in range(x.size):
                step = np.zeros(x.size, x.dtype)
                step[j] = self.eps * unit
                step = step.reshape(x.shape)
                up, down = self._at(i, x + step), self._at(i, x - step)
                for o, (a, b) in enumerate(zip(up, down, strict=True)):
                    tables[o * len(units) + k].append((a - b) / (2 * self.eps))
        shaped = []
        for o, y in enumerate(self.outputs):
            columns = [
                np.array(tables[o * len(units) + k]).reshape(x.size, y.numel()).T
                for k in range(len(units))
            ]
            shaped.append((y.numel(), columns))
        return [columns for _, columns in shaped]

    def _compare(self, what, o, i, got, want):
        if got.shape != want.shape:
            got = got.reshape(want.shape)
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
        nodes = [n for n in reachable([self.outputs[o].node]) if type(n) is not Leaf]
        lines = ((n.prim.name, n.site and f" ({show_site(n.site)})") for n in nodes)
        shown = dict.fromkeys(name + (line or "") for name, line in lines)
        return "; ".join(list(shown)[:6])

    def _wanted(self, i, o, g, unit):
        """The gradient of Re⟨g, y⟩ that the numerical table gives for a cotangent."""
        columns = self.numeric(i)[o]
        real = [np.real(np.conj(g) @ c) for c in columns]
        return real[0] if len(real) == 1 else real[0] + 1j * real[1]

    def _seeds(self, o):
        y = self.outputs[o]
        units = (1.0, 1j) if dtype_of(y).kind == "c" else (1.0,)
        for unit in units:
            for j in range(y.numel()):
                g = np.zeros(y.numel(), dtype_of(y))
                g[j] = unit
                yield g

    def _pull(self, o, g):
        xs = [self.inputs[i] for i in self.moving]
        y = self.outputs[o]
        seed = BASE.wrap(g.reshape(tuple(y.shape)))
        return autograd_grad(y, xs, seed, retain_graph=True, allow_unused=True)

    def reverse(self, nondet_tol, check_dtypes):
        for o in range(len(self.outputs)):
            got = {i: [] for i in self.moving}
            want = {i: [] for i in self.moving}
            for g in self._seeds(o):
                grads = self._pull(o, g)
                again = self._pull(o, g) if not got[self.moving[0]] else grads
                for i, gx, same in zip(self.moving, grads, again, strict=True):
                    self._same(gx, same, nondet_tol, i)
                    x = self.inputs[i]
                    if check_dtypes and gx is not None and gx.dtype is not x.dtype:
                        raise GradcheckError(
                            f"gradcheck: gradient {i} is {gx.dtype}, not {x.dtype}"
                        )
                    zero = np.zeros(x.numel(), dtype_of(x))
                    got[i].append(zero if gx is None else gx.detach().numpy().ravel())
                    want[i].append(self._wanted(i, o, g, 1.0))
            for i in self.moving:
                rows = len(got[i])
                size = self.inputs[i].numel()
                self._compare(
                    "reverse",
                    o,
                    i,
                    np.array(got[i]).reshape(rows, size),
                    np.array(want[i]).reshape(rows, size),
                )

    def _same(self, a, b, tol, i):
        if a is None or b is None or a is b:
            return
        if np.abs(a.detach().numpy() - b.detach().numpy()).max(initial=0) > tol:
            raise GradcheckError(
                f"gradcheck: the gradient of input {i} changes from run to run"
            )

    def along_one_direction(self, reverse: bool, forward: bool):
        """Both modes along one random direction of each input."""
        try:
            for i in self.moving:
                self._along(i, _unit_like(self.inputs[i]), reverse, forward)
        except GradcheckError:
            if reverse:
                self.reverse(math.inf, False)
            if forward:
                self.forward()
            raise

    def _along(self, i, u, reverse, forward):
        x = self.inputs[i].detach()
        step = self.eps * u.numpy()
        up, down = self._at(i, x.numpy() + step), self._at(i, x.numpy() - step)
        moved = [(a - b) / (2 * self.eps) for a, b in zip(up, down, strict=True)]
        pushed = self._push(i, x, u) if forward else ()
        for o, dy in enumerate(pushed):
            got = dy.detach().numpy()
            self._compare("forward", o, i, _row(got), _row(moved[o]))
        for o, y in enumerate(self.outputs if reverse else ()):
            g = _unit_like(y, 1).numpy().ravel()
            gx = self._pull(o, g)[self.moving.index(i)]
            gx = np.zeros_like(step) if gx is None else gx.detach().numpy()
            got, want = np.vdot(gx, u.numpy()).real, np.vdot(g, moved[o]).real
            self._compare("reverse", o, i, _row(got), _row(want))

    def undefined(self):
        """A None among several cotangents must act as zeros."""
        if len(self.outputs) < 2:
            return
        xs = [self.inputs[i] for i in self.moving]
        for o, y in enumerate(self.outputs):
            seed = _random_like(y)
            zeros = [
                _zeros_like(z) if k != o else seed for k, z in enumerate(self.outputs)
            ]
            alone = autograd_grad(y, xs, seed, retain_graph=True, allow_unused=True)
            full = autograd_grad(
                self.outputs, xs, zeros, retain_graph=True, allow_unused=True
            )
            for i, a, b in zip(self.moving, alone, full, strict=True):
                a, b = (
                    np.zeros(1) if g is None else g.detach().numpy() for g in (a, b)
                )
                if not np.allclose(a, b, rtol=self.rtol, atol=self.atol):
                    raise GradcheckError(
                        f"gradcheck: the gradient of input {i} changes when the other outputs "
                        "have no cotangent instead of zeros"
                    )

    def batched_reverse(self):
        for o, y in enumerate(self.outputs):
            rows = np.stack([_random_like(y).numpy() for _ in range(2)])
            xs = [self.inputs[i] for i in self.moving]

            def pull(g, y=y, xs=xs):
                found = autograd_grad(y, xs, g, retain_graph=True, allow_unused=True)
                return tuple(
                    _zeros_like(x) if gx is None else gx
                    for x, gx in zip(xs, found, strict=True)
                )

            together = vmap(pull)(BASE.wrap(rows))
            for k in range(2):
                alone = pull(BASE.wrap(rows[k]))
                for i, a, b in zip(self.moving, together, alone, strict=True):
                    self._compare(
                        "batched reverse",
                        o,
                        i,
                        _row(a.numpy()[k]),
                        _row(b.detach().numpy()),
                    )

    def forward(self):
        for i in self.moving:
            x = self.inputs[i].detach()
            units = (1.0, 1j) if dtype_of(x).kind == "c" else (1.0,)
            for k, unit in enumerate(units):
                columns = [[] for _ in self.outputs]
                for j in range(x.numel()):
                    t = np.zeros(x.numel(), dtype_of(x))
                    t[j] = unit
                    dys = self._push(i, x, BASE.wrap(t.reshape(tuple(x.shape))))
                    for column, dy in zip(columns, dys, strict=True):
                        column.append(dy.detach().numpy().ravel())
                for o, column in enumerate(columns):
                    want = self.numeric(i)[o][k]
                    got = np.array(column).reshape(x.numel(), -1).T
                    self._compare("forward", o, i, got, want)

    def _push(self, i, x, t):
        def f(value):
            args = [_constant(a, but=value) for a in self._with(i, value)]
            return tuple(self._kept_of(self.func(*args)))

        return jvp(f, (x,), (t,))[1]

    def batched_forward(self):
        for i in self.moving:
            x = self.inputs[i].detach()
            rows = np.stack([_random_like(x).numpy() for _ in range(2)])
            together = vmap(lambda t, i=i, x=x: self._push(i, x, t))(BASE.wrap(rows))
            for k in range(2):
                alone = self._push(i, x, BASE.wrap(rows[k]))
                for o, (a, b) in enumerate(zip(together, alone, strict=True)):
                    self._compare(
                        "batched forward",
                        o,
                        i,
                        _row(a.numpy()[k]),
                        _row(b.detach().numpy()),
                    )


def _constant(x, but):
    return x.detach() if isinstance(x, Box) and x is not but else x


def _row(a):
    return np.asarray(a).reshape(1, -1)


def _outputs(ys) -> list:
    ys = ys if isinstance(ys, Sequence) and not isinstance(ys, Box) else [ys]
    return [y for y in ys if isinstance(y, Box)]


def _unit_like(x, seed=0):
    """A random direction of length 1."""
    u = _random_like(x, seed).numpy()
    return BASE.wrap(u / (np.linalg.norm(u.ravel()) or 1.0))


def _random_like(x, seed=0):
    rng = np.random.default_rng(seed)
    value = rng.normal(size=tuple(x.shape))
    if dtype_of(x).kind == "c":
        value = value + 1j * rng.normal(size=tuple(x.shape))
    return BASE.wrap(value.astype(dtype_of(x)))


def _zeros_like(x):
    return BASE.wrap(np.zeros(tuple(x.shape), dtype_of(x)))
