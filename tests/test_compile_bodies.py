"""Bodies of branches and loops in compiled functions pass derivatives as the eager tape does."""

from unittest import mock

import numpy as np
import pytest

import adjoint as ad
from adjoint.core import tree
from adjoint.errors import TraceError


def start():
    return ad.tensor([0.5, 1.5], dtype=ad.float64)


def flat(x):
    leaves = tree.flatten(x)[0]
    return [None if v is None else np.asarray(v.detach()) for v in leaves]


def same(got, want):
    got, want = flat(got), flat(want)
    assert [g is None for g in got] == [w is None for w in want]
    for a, b in zip(got, want, strict=True):
        if a is not None:
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


# ---------------------------------------------------------------- what a body does with x


def detached(x):
    return x.detach() * x


def unrecorded(x):
    with ad.no_grad():
        k = x * 2
    return k * x


def recorded_again(x):
    with ad.no_grad():
        k = x * 2
        with ad.enable_grad():
            z = x * 3
    return k * x + z


def written_unseen(x):
    z = x * 1
    with ad.no_grad():
        z.mul_(2)
    return z * x


def written_through_detach(x):
    z = x * 1
    z.detach().mul_(2)
    return z * x


def data_set(x):
    z = x * 1
    z.data = x * 3
    return z * x


def written(x):
    z = x * 1
    z[0] = (x[1] * x[0]).sin()
    z.add_(x.detach())
    return z


def new_leaf(x):
    return x.detach().requires_grad_() * x


def inner_gradient(x):
    z = x.detach().requires_grad_()
    (g,) = ad.autograd.grad((z**3).sum(), z)
    return g * x


def inner_transform(x):
    return ad.grad(lambda z: (z.detach() * z * x).sum())(x) * x


def checkpointed(x):
    return ad.checkpoint(lambda x: unrecorded(x).sin(), x)


def nested(x):
    y = ad.cond(x.sum() > 1, detached, lambda x: x, x)
    return ad.scan(lambda c, r: (unrecorded(c) * r, None), y, x)[0]


WAYS = [
    detached,
    unrecorded,
    recorded_again,
    written_unseen,
    written_through_detach,
    data_set,
    written,
    new_leaf,
    inner_gradient,
    inner_transform,
    checkpointed,
    nested,
]

BODIES = {
    "cond": lambda f, x: ad.cond(x.sum() > 0, f, lambda x: x, x),
    "closure": lambda f, x: ad.cond(x.sum() > 0, lambda: f(x), lambda: x + 0),
    "while": lambda f, x: ad.while_loop(
        lambda s: s[0] < x.sum(), lambda s: (s[0] + 1, f(s[1])), (ad.zeros(()), x)
    )[1],
    "scan": lambda f, x: ad.scan(lambda c, r: (f(c) * r, f(r * c)), x, x)[0],
    "rows": lambda f, x: ad.scan(lambda c, r: (f(c), (f(r * c) * c).sum()), x, x)[1],
    "map": lambda f, x: ad.map(lambda r: f(r), ad.stack([x, x * 2])),
    "fori": lambda f, x: ad.fori_loop(0, 2, lambda i, c: f(c), x),
}


def backward(f):
    def h(x):
        x = x.detach().requires_grad_()
        y = f(x)
        if not y.requires_grad:
            return y, None
        return y, ad.autograd.grad((y * y).sum(), x, allow_unused=True)[0]

    return h


def twice(f):
    """Second derivatives by two sweeps."""

    def h(x):
        x = x.detach().requires_grad_()
        (g,) = ad.autograd.grad((f(x) ** 2).sum(), x, create_graph=True)
        if not g.requires_grad:
            return g, None
        return g, ad.autograd.grad(g.sum(), x, allow_unused=True)[0]

    return h


def total(f):
    return lambda x: (f(x) ** 2).sum()


SEEN_BY = {
    "value": lambda f: f,
    "backward": backward,
    "twice": twice,
    "grad": lambda f: ad.grad(total(f)),
    "jvp": lambda f: lambda x: ad.jvp(f, (x,), (x + 1,)),
    "hessian": lambda f: ad.hessian(total(f)),
    "vmap": lambda f: lambda x: ad.vmap(ad.grad(total(f)))(ad.stack([x, x * 1.1])),
}


# Memory written past forward mode, and leaves made inside of it.
UNCLEAR = {
    (written_through_detach, "hessian"),
    (data_set, "hessian"),
    (inner_gradient, "jvp"),
}


def both(f, *args):
    """The results of f as written, and compiled."""
    fast = ad.compile(f, backend="numpy")
    fast(*args)
    return f(*args), fast(*args)


@pytest.mark.parametrize("seen", SEEN_BY)
@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("way", WAYS, ids=lambda f: f.__name__)
def test_a_body_passes_derivatives_as_written(way, body, seen):
    if (way, seen) in UNCLEAR:
        pytest.skip("eager levels say different things of it")
    f = SEEN_BY[seen](lambda x: BODIES[body](way, x))
    want, got = both(f, start())
    same(got, want)


# ---------------------------------------------------------------- results with their graph


def arrived(f, x, times=2):
    for _ in range(times):
        x.grad = None
        f(x).sum().backward()
    return x.grad


@pytest.mark.parametrize("way", WAYS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("body", ["none", *BODIES])
def test_a_result_is_walked_back_as_written(way, body):
    f = way if body == "none" else (lambda x: BODIES[body](way, x))
    a, b = start().requires_grad_(), start().requires_grad_()
    same(arrived(ad.compile(f, backend="numpy"), a), arrived(f, b))


def test_a_leaf_written_under_no_grad_is_the_leaf():
    def f(x):
        with ad.no_grad():
            x.mul_(2)
        return x * 3

    a, b = start().requires_grad_(), start().requires_grad_()
    same(arrived(ad.compile(f), a), arrived(f, b))
    same(a, b)


def test_what_requires_grad_after_a_body():
    def f(x):
        x = x.detach().requires_grad_()
        yes, no = ad.cond(
            x.sum() > 0, lambda x: (x * 2, x.detach()), lambda x: (x, x + 1), x
        )
        c, rows = ad.scan(
            lambda c, r: ((c[0] * r, c[1].detach()), r.detach()), (x, x), x
        )
        return [y.requires_grad for y in (yes, no, *c, rows)]

    fast = ad.compile(f)
    fast(start())
    assert fast(start()) == [True, True, True, False, False]


# ---------------------------------------------------------------- what a body writes


def refused(f, *args):
    fast = ad.compile(f)
    fast(*args)
    with pytest.raises(TraceError) as caught:
        fast(*args)
    return str(caught.value)


def increased(x):
    return x.add_(1) * 1


@pytest.mark.parametrize(
    "f",
    [
        lambda x, z: ad.cond(x.sum() > 0, lambda: increased(z), lambda: z * 1),
        lambda x, z: ad.cond(x.sum() > 0, increased, lambda z: z * 1, z),
        lambda x, z: ad.cond(
            x.sum() > 0, lambda z: increased(z[0]), lambda z: z[0] * 1, z
        ),
        lambda x, z: ad.cond(
            x.sum() > 0, lambda z: increased(z.detach()), lambda z: z * 1, z
        ),
        lambda x, z: ad.while_loop(lambda z: z.sum() < 9, increased, z),
        lambda x, z: ad.scan(lambda c, r: (increased(c), r), z, x),
        lambda x, z: ad.scan(lambda c, r: (c, increased(r)), z, x),
        lambda x, z: ad.grad(
            lambda x: ad.cond(
                x.sum() > 0, lambda: increased(z) * x, lambda: z * x
            ).sum()
        )(x),
    ],
)
def test_a_write_to_what_is_outside_is_refused(f):
    text = refused(lambda x: f(x, x * 2), start())
    assert "is written in place" in text and "clone()" in text


def test_a_write_to_a_value_of_the_body_is_not():
    def own(x):
        z = ad.zeros(2, dtype=ad.float64)
        z += x
        z[0] = x[1]
        return z.mul_(2)

    want, got = both(lambda x: ad.cond(x.sum() > 0, own, lambda x: x, x), start())
    same(got, want)


def test_a_scan_writes_a_value_of_the_function_around():
    def f(x):
        total, seen = x * 0, x * 1
        look = seen[1:]
        rows = ad.scan(lambda c, r: (c, (total.add_(r) * look.mul_(2)).sum()), x, x)[1]
        return total * x, seen * 1, rows

    want, got = both(f, start())
    same(got, want)


def test_a_gradient_that_a_branch_would_set_is_refused():
    w = start().requires_grad_()

    def f(x):
        def train(x):
            (w * x).sum().backward()
            return x * 1

        return ad.cond(x.sum() > 0, train, lambda x: x, x)

    assert "whose gradient it would set" in refused(f, start())


def slope_by_a_leaf(make):
    """c times the derivative of make(c, z), where z is a leaf made of a value from outside."""

    def of(x):
        def body(c):
            z = x.detach().requires_grad_()
            (g,) = ad.autograd.grad(make(c, z).sum(), z, create_graph=True)
            return c * g

        return body

    return of


LOOKS = {
    "cond": lambda f, x: ad.cond(x.sum() > 0, f, lambda c: c, x * 1),
    "while": lambda f, x: ad.while_loop(lambda c: c.sum() < 100, f, x * 1),
    "scan": lambda f, x: ad.scan(lambda c, r: (f(c), r), x * 1, x)[0],
    "map": lambda f, x: ad.map(f, ad.stack([x, x + 1])),
}


@pytest.mark.parametrize("look", LOOKS)
def test_a_gradient_with_respect_to_what_is_outside(look):
    of = slope_by_a_leaf(lambda c, z: c * z * z)
    want, got = both(lambda x: LOOKS[look](of(x), x), start())
    same(got, want)


@pytest.mark.parametrize("look", LOOKS)
def test_a_constant_that_overwrites_is_in_the_place_of_what_was_there(look):
    """The gradient with respect to z is zero, not None: its sine was in the place of y."""

    def body(c):
        z = c.detach().requires_grad_()
        y = z.sin()
        y.copy_(c.detach().cos())
        (g,) = ad.autograd.grad((y * 2).sum(), z, allow_unused=True)
        return c.detach() * 3 + (7 if g is None else g)

    want, got = both(lambda x: LOOKS[look](body, x), start())
    same(got, want)


def test_a_gradient_by_way_of_what_is_made_outside_is_refused():
    """Part of the way is not on the tape of the body, so its part would be missing."""
    of = slope_by_a_leaf(lambda c, z: c * z + c * (z * 1.0))
    assert "others there are made" in refused(
        lambda x: LOOKS["while"](of(x), x), start()
    )


@pytest.mark.parametrize("look", ["cond", "scan", "map"])
def test_what_sees_all_that_it_does_with_what_is_around_it(look):
    of = slope_by_a_leaf(lambda c, z: c * z + c * (z * 1.0))
    want, got = both(lambda x: LOOKS[look](of(x), x), start())
    same(got, want)


# ---------------------------------------------------------------- once, and what no program has


@pytest.mark.parametrize("moving", [False, True])
def test_a_body_is_captured_once(moving):
    s = ad.zeros(2, dtype=ad.float64)

    def multiplied(c, r):
        s.add_(c.detach())
        return c * r, None

    step = mock.Mock(wraps=multiplied)

    def f(x):
        if moving:
            x = x.detach().requires_grad_()
        y = ad.scan(step, x, x)[0]
        return ad.autograd.grad(y.sum(), x) if moving else y

    fast = ad.compile(f)
    fast(start())
    before = step.call_count
    fast(start())
    assert step.call_count == before + 1 and len(fast.programs) == 1


class Tenfold(ad.autograd.Function):
    """A wrong derivative, to be told from the right one."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, g):
        return g * ctx.saved_tensors[0] * 20


def hooked(x):
    y = x * 2
    if y.requires_grad:
        y.register_hook(lambda g: g * 10)
    return y * x


@pytest.mark.parametrize("way", [Tenfold.apply, hooked])
@pytest.mark.parametrize("body", BODIES)
def test_functions_and_hooks_in_a_body_do_what_they_do(way, body):
    want, got = both(backward(lambda x: BODIES[body](way, x)), start())
    same(got, want)


def test_a_parameter_of_a_value():
    def f(x):
        z = x * 1
        p = ad.nn.Parameter(z)
        z.add_(1)
        (g,) = ad.autograd.grad((p * p * x).sum(), p)
        return p * x, g, p.requires_grad

    a, b = start().requires_grad_(), start().requires_grad_()
    fast = ad.compile(f)
    fast(a)
    got, want = fast(a), f(b)
    same(got[:2], want[:2])
    assert got[2] is True
    got[0].sum().backward()
    want[0].sum().backward()
    same(a.grad, b.grad)


# ---------------------------------------------------------------- detach in transforms


def test_detach_cuts_on_every_level_and_keeps_the_batch():
    x = ad.tensor(2.0)
    inner = lambda y: ad.grad(detached)(y)  # noqa: E731
    assert ad.grad(inner)(x).item() == 0
    assert ad.jvp(inner, (x,), (x,))[1].item() == 0
    w = ad.ones(2, 3, requires_grad=True)
    y = ad.vmap(lambda r: r.detach() * r * 2)(w)
    assert y.shape == (2, 3)
    y.sum().backward()
    assert w.grad.tolist() == [[2.0] * 3] * 2


def test_memory_is_shared_through_detach_in_transforms():
    def f(x):
        z = x * 1
        z.detach().mul_(3)
        return z

    x = start()
    same(ad.vmap(f)(x), x * 3)
    same(ad.grad(lambda x: (f(x) * f(x).detach()).sum())(x), x * 3)
    same(ad.jvp(f, (x,), (x,)), (x * 3, x))


def test_detach_cuts_what_was_written_unseen_in_a_loop_of_a_loop():
    def step(around):
        z = around.sin()
        with ad.no_grad():
            z.copy_(around.cos())
        return z.detach() + 2 * z

    def f(x):
        inner = lambda c: ad.fori_loop(0, 1, lambda i, k: step(c), c)  # noqa: E731
        return ad.fori_loop(0, 1, lambda i, c: inner(c), x)

    def tangent(x):
        return ad.jvp(f, (x,), (ad.ones_like(x),))[1]

    x = start()
    compiled = ad.compile(tangent, backend="numpy")
    for _ in range(2):
        same(compiled(x), -2 * x.sin())


def test_a_view_that_a_body_makes_of_what_is_around_is_written_in_it():
    """A view is looked at first after its base was given numbers of the body."""

    def body(x, y):
        z = (y * 1).reshape(9)
        z[1:2].copy_(x[0, :1])
        z[0] += z[8] * x[1, 1]
        return z.view(3, 3) * 0.5 + z[:3]

    def f(x, y):
        test = lambda s: s[0] < 3  # noqa: E731
        step = lambda s: (s[0] + 1, body(s[1], y))  # noqa: E731
        z = ad.while_loop(test, step, (ad.tensor(0), x))[1]
        z = ad.cond(x.sum() > 0, lambda: body(z, x), lambda: z)
        return ad.scan(lambda c, r: (body(c, y + r), c[0]), z, x)

    x = ad.arange(9.0, dtype=ad.float64).reshape(3, 3)
    g = ad.compile(f)
    for k in range(3):
        for a, b in zip(g(x + k, x.sin()), f(x + k, x.sin()), strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-12)


def test_a_checkpoint_in_a_body_computes_with_what_is_around():
    """What the levels around the body save is kept: the body is finished when they read it."""

    def f(x):
        a = x.detach().requires_grad_()
        part = lambda z: ad.where(z > a, z * a.exp(), a.sin())  # noqa: E731
        body = lambda s: (s[0] + 1, ad.checkpoint(part, s[1]))  # noqa: E731
        y = ad.while_loop(lambda s: s[0] < 2, body, (ad.tensor(0), a * 1.1))[1]
        z = ad.checkpoint(
            lambda y: ad.fori_loop(0, 2, lambda i, z: body((i, z))[1], y), y
        )
        return z, ad.autograd.grad(z.sum(), [a])

    x = start()
    for options in ({}, {"backend": "numpy"}):
        g = ad.compile(f, **options)
        for k in range(3):
            same(g(x + k), f(x + k))
