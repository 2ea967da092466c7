"""Taylor mode: closed forms, nested derivatives for every record, trees, nesting, cost."""

import math
import time

import numpy as np
import pytest

import adjoint as ad
import adjoint.autodiff.jet as taylor
from adjoint.autodiff.tape import BASE
from adjoint.core.dtype import is_inexact
from adjoint.core.primitive import op
from adjoint.func import grad, jacfwd, jet, jvp, vmap

PRIMS = {p.name: p for p in op}
CASES = [
    pytest.param(prim, i, id=f"{name}-{i}")
    for name, prim in sorted(PRIMS.items())
    if prim.samples and prim.differentiable
    for i in range(len(prim.samples(np.random.default_rng(0))))
]
F64 = ad.float64


def number(x):
    return ad.tensor(float(x), dtype=F64)


def line(order):
    """The derivatives of x(t) = x + t."""
    return [number(1)] + [number(0)] * (order - 1)


def derivatives(f, x, order):
    """f(x), f'(x) ... by one jet, as numbers."""
    y, ys = jet(f, (number(x),), (line(order),))
    return [v.item() for v in (y, *ys)]


def close(got, want, tol=1e-9):
    np.testing.assert_allclose(np.asarray(got), np.asarray(want), rtol=tol, atol=tol)


def value(x):
    return x.detach().numpy()


# ---------------------------------------------------------------- closed forms

FACT = [math.factorial(k) for k in range(9)]


@pytest.mark.parametrize(
    "f, x, want",
    [
        (ad.exp, 0.7, [math.exp(0.7)] * 9),
        (ad.sin, 0.7, [math.sin(0.7 + k * math.pi / 2) for k in range(9)]),
        (ad.cos, 0.7, [math.cos(0.7 + k * math.pi / 2) for k in range(9)]),
        (ad.log1p, 0, [0, *[(-1) ** k * FACT[k] for k in range(8)]]),
        (ad.tanh, 0, [0, 1, 0, -2, 0, 16, 0, -272, 0]),
        (ad.atan, 0, [0, 1, 0, -2, 0, 24, 0, -720, 0]),
        (ad.tan, 0, [0, 1, 0, 2, 0, 16, 0, 272, 0]),
        (ad.asin, 0, [0, 1, 0, 1, 0, 9, 0, 225, 0]),
        (lambda x: 1 / (1 - x), 0, FACT),
        (lambda x: ad.exp(ad.sin(x)), 0, [1, 1, 1, 0, -3, -8, -3, 56, 217]),
        (lambda x: ad.exp(ad.exp(x) - 1), 0, [1, 1, 2, 5, 15, 52, 203, 877, 4140]),
        (lambda x: x / (ad.exp(x) - 1), 1e-300, None),
        (lambda x: x**3, 2, [8, 12, 12, 6, 0, 0, 0, 0, 0]),
        (lambda x: x**-1, 1, [(-1) ** k * FACT[k] for k in range(9)]),
        (lambda x: 2**x, 1, [2 * math.log(2) ** k for k in range(9)]),
        (lambda x: ad.where(x > 0, x * x, -x), -1, [1, -1, 0, 0, 0, 0, 0, 0, 0]),
        (ad.relu, 2, [2, 1, 0, 0, 0, 0, 0, 0, 0]),
        (ad.abs, -2, [2, -1, 0, 0, 0, 0, 0, 0, 0]),
        (ad.floor, 2.5, [2, 0, 0, 0, 0, 0, 0, 0, 0]),
        (lambda x: x.detach() * x, 3, [9, 3, 0, 0, 0, 0, 0, 0, 0]),
        (lambda x: number(5), 3, [5, 0, 0, 0, 0, 0, 0, 0, 0]),
    ],
)
def test_closed_form(f, x, want):
    got = derivatives(f, x, 8)
    if want is not None:
        close(got, want)


def test_sqrt_and_log_by_their_formulas():
    got = derivatives(ad.log, 2, 6)
    close(got[1:], [(-1) ** (k + 1) * FACT[k - 1] / 2**k for k in range(1, 7)])
    half = np.cumprod([0.5 - k for k in range(6)])
    close(derivatives(ad.sqrt, 4, 6)[1:], half * 4.0 ** (0.5 - np.arange(1, 7)))


@pytest.mark.parametrize(
    "f",
    [
        lambda x: ad.tanh(ad.sin(x) * 2 + ad.exp(-x * x)) / (1 + x * x),
        lambda x: ad.logaddexp(x, 2 * x) * ad.sigmoid(x) ** x,
        lambda x: ad.atan2(x, 1 + x) + ad.hypot(x, x * x) - x.pow(2.5),
        lambda x: ad.stack([x, x * x, ad.sqrt(x)]).prod() + ad.rsqrt(x),
        lambda x: ad.logsumexp(ad.stack([x, x * x, ad.log(x)]), 0),
    ],
)
def test_order_five_is_five_times_grad(f):
    want, g = [], f
    for _ in range(6):
        want.append(g(number(0.6)).item())
        g = grad(g)
    close(derivatives(f, 0.6, 5), want)


# ---------------------------------------------------------------- every record


def along(prim, args, params, where, curves):
    """s -> the inexact outputs of the op where its inputs have run along their curves."""

    def f(s):
        full = [BASE.wrap(np.array(a)) for a in args]
        for i, terms in zip(where, curves, strict=True):
            for k, t in enumerate(terms, 1):
                full[i] = full[i] + s**k * t / math.factorial(k)
        return inexact(prim(*full, **params))

    return f


def inexact(y):
    ys = y if isinstance(y, tuple) else (y,)
    return tuple(y for y in ys if y.is_floating_point() or y.is_complex())


def curves_of(args, where, order, seed):
    rng = np.random.default_rng(seed)
    out = []
    for i in where:
        shape, d = args[i].shape, args[i].dtype
        terms = [rng.normal(size=shape) for _ in range(order)]
        if d.kind == "c":
            terms = [t + 1j * rng.normal(size=shape) for t in terms]
        out.append([BASE.wrap(np.asarray(t, d)) for t in terms])
    return out


def of_record(prim, i):
    """(f of the inexact inputs of a sample, these inputs, all inputs, params, where)."""
    args, params = prim.samples(np.random.default_rng(1))[i]
    args = [np.asarray(a) for a in args]
    where = [i for i, a in enumerate(args) if is_inexact(a.dtype)]

    def f(*xs):
        full = [BASE.wrap(a) for a in args]
        for i, x in zip(where, xs, strict=True):
            full[i] = x
        return inexact(prim(*full, **params))

    return f, tuple(BASE.wrap(args[i]) for i in where), args, params, where


@pytest.mark.parametrize("prim,i", CASES)
def test_order_three_is_nested_forward_mode(prim, i):
    f, primals, args, params, where = of_record(prim, i)
    curves = curves_of(args, where, 3, 2)
    ys, terms = jet(f, primals, tuple(curves))
    g = along(prim, args, params, where, curves)
    for order in range(4):
        got = ys if order == 0 else [t[order - 1] for t in terms]
        for a, b in zip(got, g(number(0)), strict=True):
            assert a.shape == b.shape
            np.testing.assert_allclose(value(a), value(b), rtol=1e-7, atol=1e-7)
        g = slope(g)


@pytest.mark.parametrize("prim,i", [c for c in CASES if c.values[1] == 0])
def test_no_rule_is_a_tower_that_branches(prim, i, monkeypatch):
    """From order 4 to 8 the work grows by 4 to 6, not by the 16 of a rule run twice each."""
    f, primals, args, _, where = of_record(prim, i)
    made, bind = [], taylor.bind
    monkeypatch.setattr(taylor, "bind", lambda *a, **k: made.append(1) or bind(*a, **k))
    counts = []
    for order in (4, 8):
        made.clear()
        jet(f, primals, tuple(curves_of(args, where, order, 2)))
        counts.append(len(made))
    assert counts[1] <= 7 * counts[0]


def slope(f):
    return lambda s: jvp(f, (s,), (number(1),))[1]


# ---------------------------------------------------------------- linear and bilinear


def test_matmul_is_a_cauchy_product():
    rng = np.random.default_rng(0)
    a, b = [rng.normal(size=(3, 2, 3)) for _ in range(2)]
    t = ad.tensor
    y, ys = jet(lambda a, b: a @ b.T, (t(a[0]), t(b[0])), (
        [t(a[1]), t(a[2])], [t(b[1]), t(b[2])],
    ))  # fmt: skip
    close(value(y), a[0] @ b[0].T)
    close(value(ys[0]), a[1] @ b[0].T + a[0] @ b[1].T)
    close(value(ys[1]), a[2] @ b[0].T + 2 * a[1] @ b[1].T + a[0] @ b[2].T)


def test_matrix_exponential_of_a_line():
    """exp(tA) has the derivatives Aᵏ at 0, and the cost of order 8 is not 2⁸ blocks."""
    a = np.array([[0.0, 1.0], [-2.0, 0.5]])
    t, zero = ad.tensor(a), ad.zeros(2, 2, dtype=F64)
    _, ys = jet(lambda x: op.matrix_exp(x), (zero,), ([t] + [zero] * 7,))
    for k, y in enumerate(ys, 1):
        close(value(y), np.linalg.matrix_power(a, k))


def test_only_terms_that_are_there_are_computed():
    """A linear map of a straight line has one derivative."""
    counted = []

    def f(x):
        y = ad.cumsum(x, 0)
        counted.append(y)
        return y

    x = ad.tensor([1.0, 2.0, 3.0])
    _, ys = jet(f, (x,), ([x, ad.zeros(3), ad.zeros(3)],))
    assert [y.tolist() for y in ys] == [[1, 3, 6], [0, 0, 0], [0, 0, 0]]


# ---------------------------------------------------------------- trees, errors


def test_trees_go_in_and_come_out():
    p = {"w": number(2), "b": (number(1),)}
    s = {"w": [number(1), number(0)], "b": ([number(0), number(2)],)}

    def f(p, x):
        return {"y": p["w"] * x, "z": [p["b"][0] * x]}

    y, ys = jet(f, (p, number(3)), (s, [number(1), number(0)]))
    assert y["y"].item() == 6 and y["z"][0].item() == 3
    assert [t.item() for t in ys["y"]] == [5, 2]
    assert [t.item() for t in ys["z"][0]] == [1, 6]


def test_the_result_is_a_curve_again():
    """Faà di Bruno: the jet of g after f is the jet of their composite."""
    xs = [number(v) for v in (0.5, -1.5, 0.2, 3.0)]
    once = jet(lambda x: ad.sin(x).exp(), (number(0.3),), (xs,))
    y, ys = jet(ad.sin, (number(0.3),), (xs,))
    twice = jet(ad.exp, (y,), (ys,))
    close(once[0].item(), twice[0].item())
    close([t.item() for t in once[1]], [t.item() for t in twice[1]])


def test_order_zero_and_numbers_and_dtypes():
    assert jet(ad.exp, (number(0),), ([],)) == (number(1), [])
    y, ys = jet(lambda x: x * x, (ad.tensor(3.0),), ([1, 0.0],))
    assert (y.item(), [t.item() for t in ys]) == (9, [6, 2])
    assert ys[0].dtype == ad.float32
    x = ad.tensor([1 + 2j])
    y, (d, dd) = jet(lambda x: x * x, (x,), ([ad.tensor([1j]), ad.tensor([0j])],))
    close(value(d), 2 * value(x) * 1j, 1e-6)
    close(value(dd), [-2], 1e-6)


def test_what_makes_no_sense():
    x, n = number(1), ad.tensor([1, 2])
    with pytest.raises(TypeError, match="primals must be a tuple"):
        jet(ad.exp, x, ([x],))
    with pytest.raises(ValueError, match="list of derivatives"):
        jet(ad.add, (x, x), ([x], [x, x]))
    with pytest.raises(ValueError, match="list of derivatives"):
        jet(ad.exp, (x,), (x,))
    with pytest.raises(RuntimeError, match="only floating"):
        jet(ad.exp, (n,), ([n],))
    with pytest.raises(RuntimeError, match="its derivative"):
        jet(ad.exp, (x,), ([ad.ones(2)],))
    with pytest.raises(TypeError, match="must be Tensors"):
        jet(ad.exp, (1.0,), ([x],))
    with pytest.raises(TypeError, match="must be a Tensor"):
        jet(ad.exp, (x,), (["a"],))


# ---------------------------------------------------------------- nesting


def third(f):
    return lambda x: jet(f, (x,), (line(3),))[1][2]


def test_with_grad_both_ways():
    def f(x):
        return ad.sin(x) * x**2

    want = derivatives(f, 0.4, 4)[4]
    close(grad(third(f))(number(0.4)).item(), want)
    close(third(grad(f))(number(0.4)).item(), want)
    x = number(0.4).requires_grad_()
    third(f)(x).backward()
    close(x.grad.item(), want)


def test_with_jvp_and_jet():
    want = derivatives(lambda x: ad.exp(x * x), 0.4, 6)
    f = third(lambda x: ad.exp(x * x))
    close(third(f)(number(0.4)).item(), want[6])
    close(jvp(f, (number(0.4),), (number(1),))[1].item(), want[4])
    close(third(slope(lambda x: ad.exp(x * x)))(number(0.4)).item(), want[4])


def test_with_vmap_both_ways():
    x = ad.tensor([0.1, 0.4, 0.9], dtype=F64)
    want = [derivatives(ad.tanh, v, 3)[3] for v in (0.1, 0.4, 0.9)]
    close(value(vmap(third(ad.tanh))(x)), want)
    one, zero = ad.ones_like(x), ad.zeros_like(x)
    _, ys = jet(vmap(ad.tanh), (x,), ([one, zero, zero],))
    close(value(ys[2]), want)
    _, batched = vmap(lambda t: jet(ad.tanh, (number(0.1),), ([t, t],)))(one)
    assert batched[1].shape == (3,)


def test_along_directions_of_a_hessian():
    x = ad.tensor([0.5, -1.0, 2.0], dtype=F64)
    t = ad.tensor([1.0, 2.0, -1.0], dtype=F64)

    def f(x):
        return (x.exp() * x.flip(0)).sum() / (1 + (x * x).sum())

    _, (d, dd) = jet(f, (x,), ([t, ad.zeros_like(t)],))
    h = jacfwd(jacfwd(f))(x)
    close(d.item(), (grad(f)(x) @ t).item())
    close(dd.item(), (t @ h @ t).item())


def test_writes_and_views_inside():
    def f(x):
        y = ad.zeros(3, dtype=F64)
        y[0] = x
        y[1:] = x * x
        y[1:2] *= x
        y.mul_(2)
        return y

    y, ys = jet(f, (number(2),), (line(3),))
    assert y.tolist() == [4, 16, 8]
    assert [t.tolist() for t in ys] == [[2, 24, 8], [0, 24, 4], [0, 12, 0]]


# ---------------------------------------------------------------- at the edges


def test_zero_stays_zero_through_a_select():
    def safe(x):
        return ad.where(x > 0, x.log(), 0.0) + ad.where(x > 0, 1 / x, x)

    got = derivatives(safe, 0, 3)
    assert got == [0, 1, 0, 0]


def test_a_curve_that_starts_at_rest():
    """x = 1 + t²: the guard of log's rule must not take a zero x' for no motion."""
    _, ys = jet(ad.log, (number(1),), ([number(0), number(2), number(0), number(0)],))
    close([t.item() for t in ys], [0, 2, 0, -12])
    _, ys = jet(ad.sqrt, (number(1),), ([number(0), number(2), number(0), number(0)],))
    close([t.item() for t in ys], [0, 1, 0, -3])


def test_where_there_is_no_derivative_the_result_is_not_finite():
    """ln t² at 0: only as long as nothing moves is zero times infinity zero."""
    y, ys = jet(ad.log, (number(0),), ([number(0), number(2)],))
    assert y.item() == -math.inf and ys[0].item() == 0
    assert not math.isfinite(ys[1].item())


def test_powers_at_zero():
    assert derivatives(lambda x: x**4, 0, 5) == [0, 0, 0, 0, 24, 0]
    assert derivatives(lambda x: x * x * x, 0, 4) == [0, 0, 0, 6, 0]


# ---------------------------------------------------------------- what it is good for


def test_solving_an_equation_by_its_series():
    """x' = x(1 − x) term by term: each jet of the right-hand side gives one more term."""
    x = [number(0.5)]
    for _ in range(9):
        dx = jet(lambda x: x * (1 - x), (x[0],), (x[1:],))
        x.append((dx[1] or [dx[0]])[-1])
    want = [0.5, 0.25, 0, -1 / 8, 0, 1 / 4, 0, -17 / 16, 0, 31 / 4]
    close([v.item() for v in x], want)


def test_a_pendulum_keeps_its_energy():
    """A Taylor method of order 12 for x'' = −sin x over a step of 0.5, 20 steps."""

    def field(state):
        return {"x": state["v"], "v": -ad.sin(state["x"])}

    def step(state, h):
        series = {k: [] for k in state}
        for _ in range(12):
            y, ys = jet(field, (state,), (series,))
            for k in state:
                series[k] = [y[k], *ys[k]]
        return {
            k: sum(
                (t * (h**n / math.factorial(n)) for n, t in enumerate(series[k], 1)),
                state[k],
            )
            for k in state
        }

    def energy(s):
        return (s["v"] ** 2 / 2 - ad.cos(s["x"])).item()

    state = {"x": number(1.0), "v": number(0.3)}
    before = energy(state)
    for _ in range(20):
        state = step(state, 0.5)
    assert energy(state) == pytest.approx(before, abs=1e-8)


def test_cost_is_polynomial():
    """Order 10 of 60 operations: nested jvps would run each a thousand times."""

    def deep(x):
        for _ in range(10):
            x = ad.tanh(ad.sin(x) * 1.5 + ad.exp(-x * x))
        return x

    start = time.perf_counter()
    got = derivatives(deep, 0.3, 10)
    assert time.perf_counter() - start < 5
    assert all(map(math.isfinite, got))
    assert len(derivatives(lambda x: x**0.5 + ad.sin(x), 0.3, 40)) == 41
