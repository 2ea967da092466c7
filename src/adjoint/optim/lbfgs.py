"""L-BFGS: quasi-Newton steps from the last gradients, with a line search or without."""

from __future__ import annotations

from ..autodiff.modes import enable_grad, no_grad
from ..core.bind import floor
from ..errors import ArgumentError, ArgumentTypeError
from ..functional import complexes
from ..functional.face import FUNCTIONS
from .groups import check_options
from .optimizer import Optimizer
from .terms import options
from .wolfe import Point, strong_wolfe


class LBFGS(Optimizer):
    """x ← x − t · H · g, with H made of the last `history_size` changes of x and g.

    One `step` makes up to `max_iter` iterations and calls the closure for each new loss, at
    most `max_eval` times or so. `line_search_fn` is "strong_wolfe", which chooses t, or
    None: t = lr. It stops when no gradient exceeds `tolerance_grad`, or when the loss or x
    change by less than `tolerance_change`. All parameters are one vector: one group.

    >>> from adjoint.optim import LBFGS
    >>> x = tensor([-1.2, 1.], dtype=ad.float64, requires_grad=True)
    >>> opt = LBFGS([x], max_iter=100, line_search_fn="strong_wolfe")
    >>> def closure():
    ...     opt.zero_grad()
    ...     loss = (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2
    ...     loss.backward()
    ...     return loss
    >>> opt.step(closure).item()
    24.2
    >>> x
    tensor([1.0000, 1.0000], dtype=adjoint.float64, requires_grad=True)
    """

    def __init__(
        self,
        params,
        lr=1,
        max_iter=20,
        max_eval=None,
        tolerance_grad=1e-7,
        tolerance_change=1e-9,
        history_size=100,
        line_search_fn=None,
    ):
        max_eval = max_iter * 5 // 4 if max_eval is None else max_eval
        super().__init__(params, options(locals()))

    def check(self, o):
        """One group, a known line search."""
        check_options(o)
        if self.param_groups:
            raise ArgumentError(
                "LBFGS doesn't support per-parameter options (parameter groups)"
            )
        if o["line_search_fn"] not in (None, "strong_wolfe"):
            raise ArgumentError(
                "LBFGS: line_search_fn must be 'strong_wolfe' or None, "
                f"not {o['line_search_fn']!r}"
            )

    def step(self, closure=None):
        """Iterate; `closure` computes the loss and its gradients, and returns the loss."""
        if closure is None:
            raise ArgumentTypeError(
                "LBFGS.step needs a closure that computes the loss again",
                hint="def closure(): opt.zero_grad(); loss = ...; loss.backward(); "
                "return loss",
            )
        floor.get().needs_python(
            "LBFGS decides by numbers how often it evaluates; compile the closure instead"
        )
        o = self.param_groups[0]
        s = self.state[o["params"][0]]
        s.setdefault("func_evals", 0)
        s.setdefault("n_iter", 0)
        with no_grad():
            objective = Objective(o["params"], closure, s)
            f, g = objective.here()
            first = objective.loss
            if _largest(g) > o["tolerance_grad"]:
                self._iterate(objective, f, g, s, o)
        return first

    def _iterate(self, objective, f, g, s, o):
        """Up to max_iter steps from where the loss is f and its gradient g."""
        d = t = None
        for i in range(o["max_iter"]):
            s["n_iter"] += 1
            d = _direction(g, s, o["history_size"])
            t = float(o["lr"])
            if s["n_iter"] == 1:
                t *= min(1.0, 1.0 / float(g.abs().sum()))
            s["prev_flat_grad"], s["prev_loss"] = g, f
            s["d"], s["t"] = d, t
            slope = float(g.dot(d))
            if slope > -o["tolerance_change"]:
                break
            before, here = f, Point(0.0, f, g, slope)
            last = i + 1 == o["max_iter"]
            f, g, t = self._move(objective, here, d, t, o, last)
            s["t"] = t
            if (
                last
                or objective.calls >= o["max_eval"]
                or _done(f - before, g, d, t, o)
            ):
                break

    def _move(self, objective, here, d, t, o, last):
        """Go along d, as far as the line search says; the loss and gradient there."""
        if o["line_search_fn"] is None:
            objective.move(t, d)
            f, g = (here.f, here.g) if last else objective.here()
            return f, g, t
        most, tolerance = o["max_eval"] - objective.calls, o["tolerance_change"]
        line = objective.along(d)
        point = strong_wolfe(line, here, t, _largest(d), tolerance, most)
        objective.move(point.t, d)
        return point.f, point.g, point.t


class Objective:
    """The loss as a function of all parameters in one vector."""

    def __init__(self, params, closure, counts):
        self.params, self.closure, self.counts = params, closure, counts
        self.calls, self.loss = 0, None

    def here(self):
        """The loss, as a float, and its gradient where the parameters are."""
        with enable_grad():
            self.loss = self.closure()
        self.calls += 1
        self.counts["func_evals"] += 1
        parts = [
            FUNCTIONS["zeros_like"](p) if p.grad is None else p.grad
            for p in self.params
        ]
        g = FUNCTIONS["cat"]([_real(x.detach()).reshape(-1) for x in parts])
        return float(self.loss), g

    def move(self, t, d):
        """Move all parameters by t · d."""
        start = 0
        for p in self.params:
            x = _real(p)
            n = x.numel()
            x.copy_(x + d[start : start + n].reshape(x.shape) * t)
            start += n

    def along(self, d):
        """t -> the point at t · d from here; the parameters stay where they are."""
        start = [p.detach().clone() for p in self.params]

        def at(t):
            self.move(t, d)
            f, g = self.here()
            for p, x in zip(self.params, start, strict=True):
                p.copy_(x)
            return Point(t, f, g, float(g.dot(d)))

        return at


def _real(x):
    return complexes.view_as_real(x) if x.is_complex() else x


def _largest(x) -> float:
    return float(x.abs().max())


def _done(change, g, d, t, o) -> bool:
    """Whether there is nothing to gain any more."""
    least = o["tolerance_change"]
    return (
        _largest(g) <= o["tolerance_grad"]
        or _largest(d * t) <= least
        or abs(change) < least
    )


def _direction(g, s, size):
    """−H · g, after the last step's changes have joined the memory in s."""
    if s["n_iter"] == 1:
        s.update(old_dirs=[], old_stps=[], ro=[], H_diag=1)
        return -g
    _remember(g - s["prev_flat_grad"], s["d"] * float(s["t"]), s, size)
    changes = list(zip(s["old_dirs"], s["old_stps"], map(float, s["ro"]), strict=True))
    weights, d = [], -g
    for y, dx, ro in reversed(changes):
        weights.append(float(dx.dot(d)) * ro)
        d = d - y * weights[-1]
    d = d * float(s["H_diag"])
    for (y, dx, ro), a in zip(changes, reversed(weights), strict=True):
        d = d + dx * (a - float(y.dot(d)) * ro)
    return d


def _remember(y, dx, s, size):
    """Keep the change y of the gradient over dx, where the curvature is positive."""
    curvature = float(y.dot(dx))
    if curvature <= 1e-10:
        return
    for name, new in (("old_dirs", y), ("old_stps", dx), ("ro", 1 / curvature)):
        s[name] = [*s[name], new][-size:]
    s["H_diag"] = curvature / float(y.dot(y))
