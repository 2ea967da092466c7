"""Bundles: many small values that are treated alike become one array.

More random programs: `ADJOINT_FUZZ=5000 pytest tests/test_bundles.py`.
"""

import os
import re
from itertools import pairwise

import numpy as np
import pytest

import adjoint as ad
from adjoint.ir.alike import LEAST
from adjoint.ir.carries import gathered
from adjoint.ir.simplify import simplified
from adjoint.ir.text import pretty

rng = np.random.default_rng(0)


def numbers(n, seed=0, dtype=np.float64):
    """Tensors without dims, leaves each."""
    values = np.random.default_rng(seed).normal(size=n).astype(dtype)
    return [ad.tensor(x, requires_grad=True) for x in values]


def program(f, *xs):
    """The text of the program with its bundles."""
    graph = gathered(simplified(ad.trace(f)(*xs).graph))
    graph.verify()
    for part in graph.parts():
        part.verify()
    return pretty(graph)


def counted(text, name):
    """How many operations of this name are in a program."""
    return len(re.findall(rf"= {name}\(", text))


def same(f, *xs, rtol=1e-10, calls=3):
    """Eager and compiled agree, from call to call in every bit."""
    want = flat(f(*xs))
    fast = ad.compile(f)
    fast(*xs)
    made = [flat(fast(*xs)) for _ in range(calls)]
    for ys in made:
        for a, b, c in zip(ys, want, made[0], strict=True):
            np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-12)
            np.testing.assert_array_equal(a, c)
    return fast


def flat(ys):
    return [
        y.detach().numpy() for y in (ys if isinstance(ys, (tuple, list)) else (ys,))
    ]


def with_gradient(f):
    """f of numbers, and its gradient."""

    def both(*xs):
        y = f(*xs)
        return (y, *ad.autograd.grad(y, xs))

    return both


# ---------------------------------------------------------------- straight programs


def test_equal_chains_are_one():
    def f(*xs):
        return sum(ad.sin(x * 0.5) * x.exp() for x in xs)

    text = program(f, *numbers(12))
    assert counted(text, "sin") == 1 and counted(text, "exp") == 1
    assert counted(text, "stack") == 1 and counted(text, "sum") == 1
    same(with_gradient(f), *numbers(12))


def test_golden():
    def f(a, b, c, d):
        return ad.sin(b - a), ad.sin(c - b), ad.sin(d - c), ad.sin(a - d)

    assert program(f, *numbers(4)) == (
        "f(a: float64[], b: float64[], c: float64[], d: float64[]):\n"
        "  z1 = stack(b, c, d, a, dim=0)\n"
        "  z2 = stack(a, b, c, d, dim=0)\n"
        "  z3 = z1 - z2\n"
        "  z4 = sin(z3)\n"
        "  z5 = select(z4, dim=0, index=0)\n"
        "  z6 = select(z4, dim=0, index=1)\n"
        "  z7 = select(z4, dim=0, index=2)\n"
        "  z8 = select(z4, dim=0, index=3)\n"
        "  return z5, z6, z7, z8"
    )


def test_lines_of_the_user_are_kept():
    def f(*xs):
        return tuple(ad.exp(x) for x in xs)

    graph = gathered(simplified(ad.trace(f)(*numbers(8)).graph))
    (o,) = [o for o in graph.operations if o.prim.name == "exp"]
    assert "ad.exp(x)" in o.where()[2] and len(o.origin) == 8


def test_cheap_operations_stay_as_they_are():
    def f(*xs):
        return tuple(x + 1 for x in xs)

    assert "stack" not in program(f, *numbers(20))
    same(f, *numbers(20))


def test_few_stay_as_they_are():
    def f(*xs):
        return tuple(ad.exp(x) for x in xs)

    assert counted(program(f, *numbers(LEAST - 1)), "exp") == LEAST - 1


def test_elements_of_an_array_are_not_taken_apart():
    def f(x):
        parts = [x[i] for i in range(x.shape[0])]
        return ad.stack([ad.sin(b - a) for a, b in pairwise(parts)])

    x = ad.tensor(rng.normal(size=20))
    text = program(f, x)
    assert counted(text, "sin") == 1 and "select" not in text and "stack" not in text
    same(f, x)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
@pytest.mark.parametrize("n", [1, 2, 15, 16, 17, 40, 64, 128, 129, 200])
def test_elements_in_another_order(n, dtype):
    order = np.random.default_rng(n).integers(0, n, size=n + n // 3).tolist()

    def f(x):
        x = x + 1
        return ad.stack([x[i] for i in order]), ad.stack(
            [x[i] for i in range(1, n)] or [x[0]]
        )

    x = ad.tensor((rng.normal(size=n) * 100).astype(dtype))
    assert counted(program(f, x), "index") == int(n > 1)
    same(f, x)


def test_constants_of_their_own():
    def f(*xs):
        return sum(ad.exp(x * (0.1 * i)) * i for i, x in enumerate(xs))

    assert counted(program(f, *numbers(9)), "exp") == 1
    same(with_gradient(f), *numbers(9))


def test_an_ensemble_in_a_list():
    def f(x, *ws):
        return sum(ad.tanh(x * w).sum() for w in ws)

    ws = [ad.tensor(rng.normal(size=3), requires_grad=True) for _ in range(8)]
    x = ad.tensor(rng.normal(size=3), requires_grad=True)
    assert counted(program(f, x, *ws), "tanh") == 1
    same(with_gradient(f), x, *ws)


def test_values_of_different_kinds_stay_apart():
    def f(*xs):
        half = len(xs) // 2
        a = [ad.exp(x) for x in xs[:half]]
        b = [ad.log(x * x + 1) for x in xs[half:]]
        return sum(p * q for p, q in zip(a, b, strict=True))

    same(with_gradient(f), *numbers(20))


def test_branches():
    def f(go, *xs):
        return ad.cond(
            go > 0,
            lambda *xs: tuple(ad.exp(x) for x in xs),
            lambda *xs: tuple(ad.sin(x) for x in xs),
            *xs,
        )

    assert counted(program(f, ad.tensor(1.0), *numbers(8)), "exp") == 1
    for go in (1.0, -1.0):
        same(f, ad.tensor(go), *numbers(8))


def test_what_is_chained_is_not_alike():
    def f(x):
        for _ in range(12):
            x = ad.sin(x)
        return x

    assert counted(program(f, numbers(1)[0]), "sin") == 12
    same(f, numbers(1)[0])


@pytest.mark.parametrize("dtype", [ad.float32, ad.float16, ad.bfloat16, ad.int64])
def test_dtypes(dtype):
    def f(*xs):
        return tuple(
            (x * x - x) // 3 if dtype == ad.int64 else ad.exp(x - y)
            for x, y in pairwise(xs)
        )

    xs = [ad.tensor(float(i % 5)).to(dtype) for i in range(12)]
    want = f(*xs)
    fast = ad.compile(f)
    fast(*xs)
    for a, b in zip(fast(*xs), want, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(float(a), float(b), rtol=1e-2)


def test_complex_numbers():
    def f(*xs):
        return sum((x * 1j).exp() for x in xs)

    xs = [ad.tensor(complex(*rng.normal(size=2))) for _ in range(8)]
    same(f, *xs, rtol=1e-5)


def test_what_is_printed_keeps_its_order(capfd):
    def f(*xs):
        out = []
        for i, x in enumerate(xs):
            y = ad.exp(x)
            ad.debug.print(f"{i}: {{}}", y)
            out.append(ad.sin(y))
        return tuple(out)

    fast, xs = ad.compile(f), numbers(9)
    for _ in range(3):
        fast(*xs)
        lines = capfd.readouterr().out.splitlines()
        assert [line[0] for line in lines] == list("012345678")


# ---------------------------------------------------------------- loops


def ring(steps):
    def f(*xs):
        def body(xs, _):
            pairs = zip(xs, (*xs[1:], xs[0]), strict=True)
            return tuple(x + 0.1 * ad.sin(y - x) for x, y in pairs), None

        ys = ad.scan(body, xs, None, length=steps)[0]
        return sum(y * y * y for y in ys)

    return f


def test_carries_are_one_array():
    text = program(with_gradient(ring(5)), *numbers(16))
    assert counted(text, "sin") == 1 and counted(text, "cos") == 1
    assert "carries=1, mapped=0" in text and "carries=1, mapped=1" in text
    same(with_gradient(ring(5)), *numbers(16))


def test_a_chain_with_ends():
    def f(*xs):
        def body(xs, _):
            inner = [
                b + 0.1 * ad.tanh(a - 2 * b + c)
                for a, b, c in zip(xs[:-2], xs[1:-1], xs[2:], strict=True)
            ]
            return (xs[0], *inner, xs[-1] * 0.9), inner[0]

        ys, rows = ad.scan(body, xs, None, length=7)
        return sum(y * y for y in ys) + rows.sum()

    assert counted(program(f, *numbers(14)), "tanh") == 1
    same(with_gradient(f), *numbers(14))


def test_places_and_speeds():
    def f(*xs):
        def body(state, _):
            x, v = state
            v = [b - 0.1 * ad.sin(a) for a, b in zip(x, v, strict=True)]
            x = [a + 0.1 * b for a, b in zip(x, v, strict=True)]
            return (x, v), x[0]

        half = len(xs) // 2
        (x, v), rows = ad.scan(body, (list(xs[:half]), list(xs[half:])), None, length=6)
        return sum(a * b for a, b in zip(x, v, strict=True)) + rows.sum()

    text = program(f, *numbers(20))
    assert "carries=2" in text and counted(text, "cat") == 0
    same(with_gradient(f), *numbers(20))


def test_rows_and_values_from_outside():
    rows = [ad.tensor(r) for r in rng.normal(size=(8, 5))]

    def f(*ws):
        def body(state, xs):
            new = [
                s * 0.5 + ad.sigmoid(w * x)
                for s, w, x in zip(state, ws, xs, strict=True)
            ]
            return new, [n * 2 for n in new]

        state, ys = ad.scan(body, [ad.zeros((), dtype=ad.float64)] * 8, rows)
        return sum(state) + sum((y * y).sum() for y in ys)

    assert counted(program(f, *numbers(8)), "sigmoid") == 1
    same(with_gradient(f), *numbers(8))


def test_reverse_and_while():
    def back(*xs):
        def body(xs, t):
            return tuple(ad.sin(x + t) for x in xs), xs[0] * t

        ys, rows = ad.scan(body, xs, ad.arange(4.0, dtype=ad.float64), reverse=True)
        return sum(ys) + rows.sum()

    same(with_gradient(back), *numbers(8))

    def until(*xs):
        def body(s):
            return (s[0] + 1, *(ad.sin(x) + s[1] * 0.1 for x in s[1:]))

        return ad.while_loop(lambda s: s[0] < 5, body, (ad.tensor(0), *xs))[1:]

    same(until, *numbers(9))


def test_a_loop_in_a_loop():
    def f(*xs):
        def outer(xs, _):
            inner = ad.scan(
                lambda ys, _: (tuple(ad.sin(y) * 1.1 for y in ys), None),
                xs,
                None,
                length=3,
            )[0]
            return tuple(y * 0.9 for y in inner), None

        return sum(ad.scan(outer, xs, None, length=3)[0])

    assert counted(program(f, *numbers(10)), "sin") == 1
    same(with_gradient(f), *numbers(10))


def test_no_steps():
    same(with_gradient(ring(0)), *numbers(6))


def test_an_optimizer_of_numbers():
    ws = numbers(10)
    opt = ad.optim.Adam(ws, lr=0.1)

    @ad.compile
    def step(x):
        opt.zero_grad()
        loss = sum(ad.sin(w * x) for w in ws)
        loss.backward()
        opt.step()
        return loss

    twins = [w.detach().clone().requires_grad_() for w in ws]
    other = ad.optim.Adam(twins, lr=0.1)
    for i in range(4):
        x = ad.tensor(0.5 + i)
        loss = step(x)
        other.zero_grad()
        want = sum(ad.sin(w * x) for w in twins)
        want.backward()
        other.step()
        assert float(loss) == pytest.approx(float(want), rel=1e-9)
    for w, twin in zip(ws, twins, strict=True):
        assert float(w) == pytest.approx(float(twin), rel=1e-9)


# ---------------------------------------------------------------- random programs


def drawn(seed):
    """A function of lists of values, in which much is alike and some is not."""
    draw = np.random.default_rng(seed)
    n, depth = int(draw.integers(4, 14)), int(draw.integers(1, 4))
    unary = [ad.sin, ad.tanh, ad.cos, lambda x: x * 0.5, lambda x: -x, ad.sigmoid]
    binary = [
        lambda a, b: a - b,
        lambda a, b: a * b,
        lambda a, b: b + a * 0.3,
        lambda a, b: ad.where(a > b, a, b),
    ]
    plan = []
    for _ in range(depth):
        shift = int(draw.integers(n))
        odd = {int(i) for i in draw.integers(0, n, int(draw.integers(3)))}
        order = [int(i) for i in draw.permutation(n)] if draw.random() < 0.3 else None
        f, g, h = (
            int(i) for i in draw.integers(0, [len(unary), len(binary), len(unary)])
        )
        plan.append((shift, odd, order, f, g, h))

    def step(xs):
        for shift, odd, order, f, g, h in plan:
            ys = [xs[i] for i in order] if order else xs
            ys = [
                binary[g](unary[h if i in odd else f](x), ys[(i + shift) % n])
                for i, x in enumerate(xs)
            ]
            xs = [
                a + 0.1 * b if i % 2 else 0.1 * b + a
                for i, (a, b) in enumerate(zip(ys, xs, strict=True))
            ]
        return xs

    loop = draw.random() < 0.6
    length = int(draw.integers(1, 6))
    shape = () if draw.random() < 0.7 else (int(draw.integers(1, 4)),)

    def f(*xs):
        xs = list(xs)
        if loop:
            xs, rows = ad.scan(lambda c, _: (step(c), c[0]), xs, None, length=length)
            return sum(x.sum() * (i + 1) for i, x in enumerate(xs)) + rows.sum()
        return sum(x.sum() * (i + 1) for i, x in enumerate(step(xs)))

    xs = [ad.tensor(x, requires_grad=True) for x in draw.normal(size=(n, *shape))]
    return f, xs


@pytest.mark.parametrize("seed", range(int(os.environ.get("ADJOINT_FUZZ", "25"))))
def test_random_programs(seed):
    f, xs = drawn(seed)
    program(f, *xs)
    same(with_gradient(f), *xs, rtol=1e-8, calls=2)
