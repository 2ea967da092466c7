"""Loops and branches on values: eager, compiled, and under every transform."""

import numpy as np
import pytest

import adjoint as ad
from adjoint.core import tree

W = np.random.default_rng(0).normal(size=(3, 3)) * 0.5


def rnn(h, xs, w):
    def step(h, x):
        h = (h @ w + x).tanh()
        return h, (h * 2).sum()

    return ad.scan(step, h, xs)


def newton(x, a):
    """√a, in as many steps as it takes."""
    return ad.while_loop(
        lambda x: (x * x - a).abs() > 1e-12, lambda x: 0.5 * (x + a / x), x
    )


def halved(x):
    return ad.cond(x.sum() > 0, lambda x: x * x, lambda x: x.sin(), x)


def powers(x, n):
    return ad.fori_loop(0, n, lambda i, y: y * x + i, ad.ones_like(x))


RNN = (np.zeros(3), np.random.default_rng(1).normal(size=(5, 3)), W)


def backwards(h, xs, w):
    return ad.scan(lambda h, x: ((h @ w + x).tanh(), h), h, xs, reverse=True)


def sines(x):
    return ad.scan(lambda x, _: (x.sin(), None), x, length=4)[0]


CASES = {
    "scan": (rnn, RNN),
    "scan back": (backwards, RNN),
    "scan without xs": (sines, (np.ones(2),)),
    "while": (newton, (np.array(1.0), np.array(2.0))),
    "cond yes": (halved, (np.array([1.0, 2.0]),)),
    "cond no": (halved, (np.array([-1.0, -2.0]),)),
    "fori": (lambda x: powers(x, 3), (np.array([0.5, 2.0]),)),
    "map": (lambda x: ad.map(lambda r: (r * r).sum(), x), (W,)),
}


def flat(x):
    return [np.asarray(v.detach()) for v in tree.flatten(x)[0]]


def same(got, want, tolerance=1e-9):
    got, want = flat(got), flat(want)
    assert len(got) == len(want)
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def total(f):
    return lambda *xs: sum((y * y).sum() for y in tree.flatten(f(*xs))[0])


@pytest.mark.parametrize("backend", ["native", "numpy"])
@pytest.mark.parametrize("name", CASES)
def test_compiled_as_eager(name, backend):
    f, args = CASES[name]
    xs = [ad.tensor(x) for x in args]
    every = tuple(range(len(xs)))
    along = tuple(ad.ones_like(x) for x in xs)
    h = total(f)

    def forward(*xs):
        return ad.jvp(f, xs, along)[1]

    stacked = [ad.stack([x, x * 0.9, x * 1.1]) for x in xs]
    for g, values in [
        (f, xs),
        (ad.grad(h, every), xs),
        (forward, xs),
        (ad.grad(total(ad.grad(h, every)), every), xs),
        (ad.vmap(f), stacked),
        (ad.vmap(ad.grad(h, every)), stacked),
    ]:
        step = ad.compile(g, backend=backend)
        want = g(*values)
        step(*values)
        same(step(*values), want)


def test_gradients_are_right():
    assert ad.gradcheck(
        lambda *xs: rnn(*xs), [ad.tensor(x, requires_grad=True) for x in RNN]
    )
    a = ad.tensor(2.0, dtype=ad.float64, requires_grad=True)
    y = newton(ad.tensor(1.0, dtype=ad.float64), a)
    y.backward()
    assert a.grad.item() == pytest.approx(0.5 / 2**0.5)


def test_backward_inside_a_program_and_loops_in_loops():
    w = ad.tensor(W, requires_grad=True)
    xs = ad.tensor(RNN[1])

    def step():
        w.grad = None

        def outer(c, x):
            inner = ad.scan(lambda h, y: ((h @ w + y).tanh(), None), c + x, xs)[0]
            return inner, inner.sum()

        loss = ad.scan(outer, xs[0] * 0, xs)[1].sum()
        loss.backward()
        return loss

    want = step().item(), w.grad.clone()
    g = ad.compile(step)
    g()
    for _ in range(2):
        assert g().item() == pytest.approx(want[0])
        same(w.grad, want[1])


def test_training_by_scan():
    """Gradients asked for inside the body, the optimizer's state carried."""
    xs = ad.tensor(np.linspace(-1, 1, 20))

    def fit(w):
        def step(w, x):
            g = ad.grad(lambda w: (w * x - 3 * x) ** 2)(w)
            return w - 0.5 * g, None

        return ad.scan(step, w, xs)[0]

    start = ad.tensor(0.0, dtype=ad.float64)
    f = ad.compile(fit)
    f(start)
    same(f(start), fit(start))


def test_backward_of_tensors_made_inside_the_body():
    def step(w, x):
        w = w.detach().requires_grad_()
        loss = ((w * x - 3 * x) ** 2).sum()
        loss.backward()
        return w.detach() - 0.1 * w.grad, loss.detach()

    f = lambda w, xs: ad.scan(step, w, xs)  # noqa: E731
    args = ad.ones(2), ad.tensor([[1.0, 2.0], [0.5, 1.0]])
    g = ad.compile(f)
    g(*args)
    same(g(*args), f(*args), 1e-6)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: ad.scan(lambda c, x: c, ad.ones(2), ad.ones(3, 2)), "pair"),
        (lambda: ad.scan(lambda c, x: (c, x), ad.ones(2)), "length"),
        (
            lambda: ad.scan(lambda c, x: (c, x), ad.ones(2), ad.ones(3), length=4),
            "one size",
        ),
        (lambda: ad.cond(ad.ones(2) > 0, abs, abs, ad.ones(2)), "no dims"),
    ],
)
def test_errors(call, text):
    with pytest.raises(RuntimeError, match=text):
        call()
    with pytest.raises(RuntimeError, match=text):
        ad.trace(lambda _: call())(ad.ones(1))


@pytest.mark.parametrize(
    ("f", "text"),
    [
        (
            lambda x: ad.scan(lambda c, x: (c.double(), x), x[0], x),
            "value 1 of the carry",
        ),
        (lambda x: ad.scan(lambda c, x: ((c, c), x), x[0], x), "other containers"),
        (lambda x: ad.cond(x.sum() > 0, lambda: x, lambda: x[0]), "both branches"),
        (lambda x: ad.while_loop(lambda x: x > 0, lambda x: x, x), "truth value"),
    ],
)
def test_errors_of_programs(f, text):
    with pytest.raises(RuntimeError, match=text):
        ad.trace(f)(ad.ones(2, 2))


def test_gradients_of_arguments():
    x, y = (ad.tensor([1.0, 2.0], requires_grad=True) for _ in range(2))

    def f(x):
        (x**3).sum().backward()

    g = ad.compile(f)
    for _ in range(3):
        g(x)
        f(y)
        assert x.grad.tolist() == y.grad.tolist()


def test_state_that_a_body_reads_is_not_frozen():
    w = ad.tensor([2.0], requires_grad=True)
    k = ad.tensor([3.0])

    def f(x):
        def step(c, _):
            return c + ad.grad(lambda c: (c * w * k).sum())(c), None

        y = ad.scan(step, x, length=2)[0]
        w.grad = None
        y.sum().backward()
        return y.detach()

    g = ad.compile(f)
    g(ad.ones(1))
    assert g(ad.ones(1)).item() == 13
    assert w.grad.item() == 6
    k.fill_(1.0)
    assert g(ad.ones(1)).item() == 5
    assert w.grad.item() == 2


def test_the_reverse_does_not_compute_again_what_the_loop_kept():
    pytest.importorskip("llvmlite")
    xs = [ad.tensor(x) for x in RNN]
    f = ad.compile(ad.grad(total(rnn), (0, 1, 2)))
    f(*xs)
    f(*xs)
    (step,) = f.programs.values()
    part = step.native.part
    bodies = [p for parts in part.inner.values() for p in parts.values()]
    names = [o.prim.name for p in (part, *bodies) for o in p.graph.operations]
    assert names.count("tanh") == 1


def test_what_every_step_would_compute_alike_is_computed_once():
    pytest.importorskip("llvmlite")
    w, x = ad.tensor(W), ad.tensor(RNN[1])

    def f(w, x):
        return ad.scan(lambda h, r: ((r + h @ (w * 2).exp().T).sin(), None), x[0], x)[0]

    g = ad.compile(f)
    g(w, x)
    same(g(w, x), f(w, x))
    (step,) = g.programs.values()
    part = step.native.part
    ((body,),) = [parts.values() for parts in part.inner.values()]
    assert "exp" not in [o.prim.name for o in body.graph.operations]
    assert "exp" in [o.prim.name for o in part.graph.operations]


def test_loops_over_nothing_have_results_of_the_right_shape():
    def f(c, x):
        return c + x.sum(), {"twice": x * 2, "sign": x > 0}

    carry, ys = ad.scan(f, ad.tensor(1.0), ad.zeros(0, 3))
    assert carry.item() == 1.0
    assert ys["twice"].shape == ys["sign"].shape == (0, 3)
    assert ys["sign"].dtype == ad.bool
    assert ad.map(lambda x: x[0], ad.zeros(0, 3)).shape == (0,)


def test_what_a_branch_does_with_variables_around_it_is_its_own():
    """It is not done where the other one is chosen: a matrix it refuses is no error then."""
    x, i = -ad.eye(3), ad.tensor(5)

    @ad.compile
    def f(x, i):
        a = ad.cond(i < 3, lambda: ad.linalg.cholesky(x), lambda: x)
        return a, ad.cond(i < 3, lambda: x[i], lambda: x[0])

    for _ in range(3):
        a, b = f(x, i)
        assert a.equal(x) and b.equal(x[0])
    with pytest.raises(ad.errors.LinAlgError, match="positive"):
        f(x, ad.tensor(1))
    assert f(ad.eye(3), ad.tensor(1))[1].tolist() == [0.0, 1.0, 0.0]


def test_the_probe_looks_at_the_branch_that_is_taken():
    f = ad.compile(
        lambda x: ad.cond(x > 0, lambda: x.log(), lambda: x * 2), check="nan"
    )
    for x in (2.0, -1.0, -1.0):
        f(ad.tensor(x))


def test_a_branch_does_not_write_what_is_around_it():
    @ad.compile
    def f(x):
        y = x * 2
        return ad.cond(x.sum() > 0, lambda: y.add_(1), lambda: y)

    f(ad.ones(2))
    with pytest.raises(ad.errors.TraceError, match="written in place in the body"):
        f(ad.ones(2))


def test_variables_around_branches_have_gradients():
    def f(x, w):
        y = x * w
        return ad.cond(y.sum() > 0, lambda: (y * x).sin(), lambda: y.exp()).sum()

    for v in (1.0, -1.0):
        x, w = ad.tensor([v, 2 * v]), ad.tensor([1.0, 3.0])
        g = ad.grad(f, (0, 1))
        fast = ad.compile(g)
        fast(x, w)
        for a, b in zip(fast(x, w), g(x, w), strict=True):
            assert ad.allclose(a, b)


# ---------------------------------------------------------------- what goes round

ROUNDS = {
    "scan, dtype": lambda x: ad.scan(lambda c, v: (c + v, c), ad.tensor(0), x),
    "scan, shape": lambda x: ad.scan(lambda c, v: (ad.stack([c, c]), v), x[0], x),
    "scan, containers": lambda x: ad.scan(lambda c, v: ((c, c), v), x[0], x),
    "scan, a number": lambda x: ad.scan(lambda c, v: (c / 2, v), 1, x),
    "fori_loop": lambda x: ad.fori_loop(0, 3, lambda i, c: c.double(), x),
    "while_loop, dtype": lambda x: ad.while_loop(
        lambda c: c.sum() < 9, lambda c: c.double() * 2, x
    ),
    "while_loop, shape": lambda x: ad.while_loop(
        lambda c: c.sum() < 9, lambda c: ad.cat([c, c]), x
    ),
    "while_loop, containers": lambda x: ad.while_loop(
        lambda c: c[0].sum() < 9, lambda c: [c[0] * 2], (x,)
    ),
}


@pytest.mark.parametrize("way", ["as it is", "vmap", "grad"])
@pytest.mark.parametrize("name", ROUNDS)
def test_a_carry_that_comes_back_another_is_refused(name, way):
    """Eagerly too: a program has one memory for it, so it would be refused there alone."""
    f = ROUNDS[name]
    x = ad.ones(2)
    if way == "vmap":
        f, x = ad.vmap(f), ad.ones(3, 2)
    elif way == "grad":
        f = ad.grad(lambda x, f=ROUNDS[name]: ad.core.tree.flatten(f(x))[0][0].sum())
    compiled = ad.compile(f)
    rule = "other containers" if "containers" in name else "at first and"
    texts = []
    for g in (f, compiled, compiled):
        with pytest.raises(ValueError, match=rule) as found:
            g(x)
        texts.append(str(found.value).split("\n")[0])
    assert len(set(texts)) == 1


def test_a_condition_of_several_elements_decides_nothing():
    f = lambda x: ad.while_loop(lambda x: x < 9, lambda x: x * 2, x)  # noqa: E731
    for g in (f, ad.compile(f)):
        for _ in range(2):
            with pytest.raises((RuntimeError, ValueError)):
                g(ad.ones(2))


# ---------------------------------------------------------------- what is around a part

AROUND: dict = {}


READERS = {
    "cond": lambda x: ad.cond(
        x.sum() > 0, lambda: x * AROUND["w"], lambda: x - AROUND["w"]
    ),
    "cond, cast inside": lambda x: ad.cond(
        x.sum() > 0, lambda x: x * AROUND["w"].double(), lambda x: x.double(), x
    ),
    "scan": lambda x: ad.scan(
        lambda c, v: (c + (v * AROUND["w"]).sum().float(), v * AROUND["w"]), x[0], x
    ),
    "scan, of what was made before it": lambda x: (
        lambda u: ad.scan(lambda c, v: (c + (v * u).sum(), u * c), x[0], x)
    )((AROUND["w"] * x).float()),
    "while_loop": lambda x: ad.while_loop(
        lambda c: c.sum() < 50, lambda c: c + AROUND["w"].float().abs() + 0.5, x
    ),
    "while_loop, of what was made before it": lambda x: (
        lambda u: ad.while_loop(lambda c: c.sum() < u.sum(), lambda c: c + u.abs(), x)
    )((AROUND["w"] * 9 + x).float()),
    "cond in scan": lambda x: ad.scan(
        lambda c, v: (
            ad.cond(v > 0, lambda c: c + AROUND["w"].float().sum(), lambda c: -c, c),
            v,
        ),
        x[0],
        x,
    ),
}
CHANGES = [
    lambda w: w,
    lambda w: w * 2,
    lambda w: w.double(),
    lambda w: w.mul_(3),
    lambda w: w.to(ad.float16),
    lambda w: w.float()[:1],
    lambda w: w.expand(2),
]
MODES = {
    "value": lambda f: f,
    "vmap": lambda f: lambda x: ad.vmap(f)(ad.stack([x, -x, x * 2])),
    "grad": lambda f: ad.grad(
        lambda x: sum(y.float().sum() for y in ad.core.tree.flatten(f(x))[0])
    ),
    "jvp": lambda f: lambda x: ad.jvp(f, (x,), (x,)),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", READERS)
def test_parts_read_what_is_around_them_as_it_is_now(name, mode):
    """Replaced, of another dtype or shape, or written in place, between the calls."""
    eager = MODES[mode](READERS[name])
    compiled = ad.compile(eager)
    for x in (ad.tensor([1.0, 2.0]), ad.tensor([-3.0, 1.0])):
        AROUND["w"] = ad.tensor([1.0, 2.0])
        for change in CHANGES:
            AROUND["w"] = change(AROUND["w"])
            want = tree.flatten(eager(x))[0]
            for _ in range(2):
                got = tree.flatten(compiled(x))[0]
                assert [y.dtype for y in got] == [y.dtype for y in want]
                for a, b in zip(got, want, strict=True):
                    np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-3)
    assert compiled.programs and not compiled.unfit
