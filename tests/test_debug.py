"""debug.print and debug.check: what happens when a function runs, eagerly and compiled."""

import numpy as np
import pytest

import adjoint as ad
from adjoint import compile, debug, optim
from adjoint.errors import ArgumentError, ArgumentTypeError, CheckError


def both(f):
    return pytest.mark.parametrize("wrap", [compile, lambda f: f], ids=["c", "e"])(f)


@both
def test_values_are_printed_in_order_with_every_call(wrap, capsys):
    w = ad.ones(2, requires_grad=True)

    @wrap
    def f(x):
        debug.print("x = {}, {:.2f} {}", x, x.sum(), "first")
        w.grad = None
        y = (w * x).sum()
        debug.print(y)
        y.backward()
        debug.print("at the end, {}", w.grad)

    for k in range(4):
        f(ad.tensor([1.0, k]))
        lines = [
            f"x = tensor([1., {k}.]), {1 + k:.2f} first",
            f"{1.0 + k}",
            f"at the end, tensor([1., {k}.])",
        ]
        got = capsys.readouterr().out.splitlines()
        assert [line.replace(", grad_fn", "") for line in got] == lines


@both
def test_in_loops_and_transforms(wrap, capsys):
    def body(c, x):
        debug.print("c = {}", c)
        return c + x, c

    f = wrap(lambda xs: ad.scan(body, ad.tensor(0.0), xs)[0])
    for _ in range(3):
        assert f(ad.ones(3)).item() == 3
        assert capsys.readouterr().out == "c = 0.0\nc = 1.0\nc = 2.0\n"
    g = wrap(ad.vmap(lambda x: (debug.print("{}", x), x * 2)[1]))
    h = wrap(ad.grad(lambda x: (debug.print("{}", x), x * 2)[1]))
    for _ in range(3):
        assert g(ad.ones(2)).tolist() == [2.0, 2.0]
        assert h(ad.tensor(3.0)).item() == 2
        assert capsys.readouterr().out == "tensor([1., 1.])\n3.0\n"


@both
def test_conditions_are_checked(wrap):
    @wrap
    def f(x):
        debug.check(x > 0, "{} is not positive in {}", x, "f")
        return x.log()

    for _ in range(3):
        assert f(ad.ones(2)).tolist() == [0.0, 0.0]
    for _ in range(2):
        with pytest.raises(
            CheckError, match=r"tensor.*-1.* is not positive in f\n.*x > 0"
        ):
            f(ad.tensor([1.0, -1.0]))
        f(ad.ones(2))


@pytest.mark.parametrize("size", [3, 2**17])
@pytest.mark.parametrize("where", ["early", "late"])
def test_a_check_that_fails_leaves_all_state_as_it_was(where, size):
    s, w = ad.zeros(size), ad.ones(size, requires_grad=True)
    opt = optim.Adam([w], lr=0.1)

    def step(x):
        opt.zero_grad()
        (w * x).sum().backward()
        s.add_(x)
        opt.step()
        found = x if where == "early" else (ad.sort(x)[0].cumsum(0) + s + w * 0)
        debug.check(found.sum() > 0, "negative")
        s.mul_(2)

    def state():
        kept = [v for d in opt.state.values() for v in d.values()]
        return [np.array(v) for v in (s, w.detach(), w.grad, *kept)]

    fast = compile(step)
    for _ in range(3):
        fast(ad.ones(size))
    before = state()
    with pytest.raises(CheckError, match="negative"):
        fast(ad.full((size,), -100.0))
    for a, b in zip(before, state(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_what_does_not_fit_is_an_error():
    with pytest.raises(ArgumentError, match="does not fit 1 values"):
        debug.print("{} {}", ad.ones(2))
    with pytest.raises(ArgumentTypeError, match="message must be a string"):
        debug.check(True, 3)
    with pytest.raises(CheckError, match="never"):
        debug.check(False, "never")


def test_named_values_and_what_is_said_by_itself(capsys):
    x = ad.tensor([1.0, 2.0])
    debug.print("{{}} {} {y:.1f} {z!r} {}", x, 3, y=x.sum(), z="s")
    assert capsys.readouterr().out == "{} tensor([1., 2.]) 3.0 's' 3\n"
    with pytest.raises(CheckError, match="this does not hold"):
        debug.check(x < 2)
    with pytest.raises(CheckError, match=r"3\.0 is large"):
        debug.check(x < 2, "{sum} is large", sum=x.sum())
    with pytest.raises(ArgumentError, match="does not fit"):
        debug.print("{a}", b=3)


def looked_at(x):
    debug.print("{:.0f}", x.sum())
    debug.check(x.sum() < 50, "large")
    return x


def looked_at_twice(x):
    return looked_at(looked_at(x) * 2)


def asked(x):
    """A condition in which something happens."""
    debug.print("is {:.0f} small?", x.sum())
    debug.check(x.sum() < 50, "large")
    return x.abs().sum() < 9


PARTS = {
    "cond": lambda x: ad.cond(x.sum() > 0, lambda: looked_at(x) * 2, lambda: x),
    "cond of arguments": lambda x: ad.cond(x.sum() > 0, looked_at, lambda x: -x, x),
    "while": lambda x: ad.while_loop(
        lambda x: x.abs().sum() < 9, lambda x: looked_at(x) * 2, x
    ),
    "fori": lambda x: ad.fori_loop(
        0, (x * 0).sum().long() + 2, lambda i, x: looked_at(x) * x, x
    ),
    "scan": lambda x: ad.scan(lambda c, v: (looked_at(c) * v, v), x, x)[0],
    "cond in scan": lambda x: ad.scan(
        lambda c, v: (ad.cond(v > 0, looked_at, lambda c: c * 2, c), v), x, x
    )[0],
    "scan in cond": lambda x: ad.cond(
        x.sum() > 0,
        lambda x: ad.scan(lambda c, v: (looked_at(c) + v, None), x, x)[0],
        looked_at,
        x,
    ),
    "cond in cond": lambda x: ad.cond(
        x.sum() > 0,
        lambda x: looked_at(ad.cond(x.sum() > 3, looked_at, lambda x: x * 2, x)),
        lambda x: x,
        x,
    ),
}
CONDITIONS = {
    "while": lambda x: ad.while_loop(asked, lambda x: x * 2, x),
    "while and body": lambda x: ad.while_loop(asked, lambda x: looked_at(x) * 2, x),
    "while in scan": lambda x: ad.scan(
        lambda c, v: (ad.while_loop(asked, lambda c: c * 2, c + v), v), x * 0, x
    )[0],
    "while in cond": lambda x: ad.cond(
        x.sum() > 0, lambda x: ad.while_loop(asked, looked_at_twice, x), lambda x: x, x
    ),
    "while in while": lambda x: ad.while_loop(
        asked, lambda x: ad.while_loop(asked, looked_at_twice, x) * 3, x
    ),
    "never": lambda x: ad.while_loop(lambda x: asked(x) & (x[0] > 9), looked_at, x),
}
PARTS |= {f"condition: {name}": f for name, f in CONDITIONS.items()}
WAYS = {
    "value": lambda f: f,
    "grad": lambda f: ad.grad(lambda x: f(x).sum()),
    "jvp": lambda f: lambda x: ad.jvp(f, (x,), (ad.ones(2),))[1],
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("part", PARTS)
def test_in_every_part_of_a_program_and_its_derivatives(part, way, capsys):
    f = WAYS[way](PARTS[part])
    compiled = ad.compile(f)
    for x in (ad.tensor([1.0, 2.0]), ad.tensor([-1.0, -2.0])):
        y = f(x)
        said = capsys.readouterr().out
        compiled(x)
        capsys.readouterr()
        z = compiled(x)
        assert capsys.readouterr().out == said
        np.testing.assert_allclose(z.numpy(), y.numpy(), rtol=1e-6)
    assert compiled.programs
    if part != "while":  # which makes no step then
        with pytest.raises(CheckError, match="large"):
            compiled(ad.tensor([30.0, 40.0]))


def test_measuring_prints_nothing(capsys):
    f = ad.compile(lambda x: looked_at(x) * 2)
    x = ad.ones(2)
    f(x), f(x)
    capsys.readouterr()
    f.explain(x)
    assert capsys.readouterr().out == ""


def printed(x):
    debug.print("{}", x)
    return x


def need_positive(x):
    debug.check(x.sum() > 0, "{} is not positive", x)
    return x


OUTSIDE = ad.tensor(2.0)


def positive(x):
    return x.sum() > 0


# What is done with rows, and what is printed of the rows [1, 2], [-2, -3] and [4, 5].
EXAMPLES = {
    "value": (lambda x: printed(x) * 2, ["[[1,2],[-2,-3],[4,5]]"]),
    "cond": (
        lambda x: ad.cond(
            positive(x), lambda x: need_positive(printed(x)), lambda x: printed(-x), x
        ),
        ["[[1,2],[4,5]]", "[[2,3]]"],
    ),
    "cond, of what is around it": (
        lambda x: ad.cond(positive(x), lambda: printed(x), lambda: need_positive(-x)),
        ["[[1,2],[4,5]]"],
    ),
    "cond that none takes": (
        lambda x: ad.cond(
            x[0] > 9, lambda x: (debug.check(False), printed(x))[1], lambda x: x, x
        ),
        [],
    ),
    "cond in cond": (
        lambda x: ad.cond(
            positive(x),
            lambda x: ad.cond(
                x[0] > 3, lambda x: need_positive(printed(x)), lambda x: printed(-x), x
            ),
            lambda x: x,
            x,
        ),
        ["[[4,5]]", "[[-1,-2]]"],
    ),
    "in cond, cond for all examples": (
        lambda x: ad.cond(
            positive(x),
            lambda x: ad.cond(OUTSIDE > 1, need_positive, lambda x: x, printed(x)),
            lambda x: x,
            x,
        ),
        ["[[1,2],[4,5]]"],
    ),
    "scan": (
        lambda x: ad.scan(lambda c, v: (printed(c * v), c), x[0], x)[1],
        ["[1,4,16]", "[2,-12,80]"],
    ),
    "scan in cond": (
        lambda x: ad.cond(
            positive(x),
            lambda x: ad.scan(lambda c, v: (printed(c) + v, c), x[0], x)[1],
            lambda x: x,
            x,
        ),
        ["[1,4]", "[2,8]"],
    ),
    "while": (
        lambda x: ad.while_loop(
            lambda x: printed(x).sum() < 9,
            lambda x: need_positive(printed(x * 10) / 10 * 2),
            x.abs(),
        ),
        [
            "[[1,2],[2,3],[4,5]]",
            *("[[10,20],[20,30]]", "[[2,4],[4,6]]"),
            *("[[20,40]]", "[[4,8]]"),
        ],
    ),
    "cond in while": (
        lambda x: ad.while_loop(
            lambda x: x.sum() < 9,
            lambda x: ad.cond(x[0] > 1, printed, lambda x: printed(x * 3), x) * 4,
            x.abs(),
        ),
        ["[[2,3]]", "[[3,6]]"],
    ),
    "while in cond": (
        lambda x: ad.cond(
            positive(x),
            lambda x: ad.while_loop(
                lambda x: x.abs().sum() < 9, lambda x: need_positive(printed(x)) * 3, x
            ),
            lambda x: x,
            x,
        ),
        ["[[1,2]]"],
    ),
    "of what is outside": (lambda x: x * printed(OUTSIDE), ["2"]),
    "in cond, of what is outside": (
        lambda x: ad.cond(positive(x), lambda x: x * printed(OUTSIDE), lambda x: x, x),
        ["[2]"],
    ),
}
MAPS = {
    "vmap": lambda f: ad.vmap(f),
    "vmap of grad": lambda f: ad.vmap(ad.grad(lambda x: f(x).sum())),
    "grad of vmap": lambda f: ad.grad(lambda x: ad.vmap(f)(x).sum()),
    "vmap of jvp": lambda f: ad.vmap(lambda x: ad.jvp(f, (x,), (x,))[1]),
}


def lines(said):
    """What was printed, a tensor a line, without spaces and points."""
    plain = said.replace("tensor(", "").replace(")", "").replace(" ", "")
    plain = plain.replace(".0\n", "\n").replace(".", "").replace("],\n", "],")
    return plain.splitlines()


@pytest.mark.parametrize("way", MAPS)
@pytest.mark.parametrize("name", EXAMPLES)
def test_under_vmap_those_are_shown_and_checked_that_are_there(name, way, capsys):
    """All examples together, but in a branch or a loop those alone that take it."""
    f, want = EXAMPLES[name]
    f = MAPS[way](f)
    x = ad.tensor([[1.0, 2.0], [-2.0, -3.0], [4.0, 5.0]])
    compiled, y = ad.compile(f), f(x)
    assert lines(capsys.readouterr().out) == want
    for _ in range(3):
        np.testing.assert_allclose(compiled(x).numpy(), y.numpy(), rtol=1e-6)
        assert lines(capsys.readouterr().out) == want
    assert len(compiled.programs) == 1


@pytest.mark.parametrize("name", EXAMPLES)
def test_under_two_vmaps_as_under_one(name, capsys):
    """Examples in a row or in rows: the same are there, and whatever each of the vmaps maps."""
    f, _ = EXAMPLES[name]
    x = ad.tensor([[1.0, 2.0], [-2.0, -3.0], [4.0, 5.0], [-1.0, -1.0]])
    ad.vmap(f)(x)
    want = lines(capsys.readouterr().out)
    for dims in (0, 1):
        twice = ad.vmap(ad.vmap(f), in_dims=dims)
        grid = x.reshape(2, 2, 2).movedim(0, dims)
        compiled = ad.compile(twice)
        compiled(grid)
        for g in (twice, compiled):
            capsys.readouterr()
            g(grid)
            got = lines(capsys.readouterr().out)
            if name not in ("value", "scan", "while"):  # in a grid where all are there
                assert got == want
    assert len(compiled.programs) == 1


@both
def test_a_check_in_a_branch_fails_for_those_that_take_it(wrap):
    def branch(x, top):
        debug.check(x < top, "{} is not below {}", x, top)
        return x

    @wrap
    def f(xs, tops):
        return ad.vmap(
            lambda x, top: ad.cond(x > 0, branch, lambda x, top: -x, x, top)
        )(xs, tops)

    xs = ad.tensor([1.0, -9.0, 3.0])
    for _ in range(3):
        assert f(xs, ad.tensor([2.0, -10.0, 4.0])).tolist() == [1.0, 9.0, 3.0]
    with pytest.raises(CheckError, match=r"\[1\., 3\.\].* not below .*\[0\., 4\.\]"):
        f(xs, ad.tensor([0.0, -10.0, 4.0]))
    assert f(xs, ad.tensor([2.0, -10.0, 4.0])).tolist() == [1.0, 9.0, 3.0]
