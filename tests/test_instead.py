"""What is said where Python decides by a number that is not there yet: code that works."""

import pytest

import adjoint as ad
from adjoint.errors import TraceError


def returns(x):
    if x.sum() > 0:
        return x * 2
    return -x


def assigns(x):
    y = x
    if float(x.sum()) > 0 and not x.mean() > 9:
        y = x * 2
    else:
        y = x - 1
    return y


def adds(x):
    if x.sum() > 3:
        x += 2
    return x


def several(x):
    if (  # of several lines
        x.sum() > 0
    ):
        y = x * 2
        x = y + 1
    return x


def chooses(x):
    return x * 2 if x.sum().item() > 0 else -x


def repeats(x):
    while x.sum() < 10:
        x = x * 2
    return x


def repeats_two(x):
    y = x
    while x.sum() < 10:
        y = x + 1
        x = x + y
    return x


def counts(x):
    for i in range(int(x.sum())):
        x = x + i
    return x


def asserts(x):
    assert (x > -9).all(), "too small"
    return x


def both(x):
    return x.sum() > 0 and x.mean() < 1


def between(x):
    return 0 < x.sum() < 1


def inverts(x):
    return not x.sum()


def larger(x):
    return max(x.sum(), x.mean())


def prints(x):
    print(x.sum().item())


def a_number(x):
    return float(x.sum())


def keeps(x):
    return [v for v in x if v > 0]


def slices(x):
    i = x.sum().long()
    return x[None, i : i + 2]


def slices_up_to(x):
    return x[: x.sum().long()]


SAID = {
    returns: "return ad.cond(x.sum() > 0, lambda: x * 2, lambda: -x)",
    assigns: "y = ad.cond((x.sum() > 0) & ~(x.mean() > 9), lambda: x * 2, lambda: x - 1)",
    adds: "x = ad.cond(x.sum() > 3, lambda: x + 2, lambda: x)",
    several: "y = ad.cond(x.sum() > 0, f, g), which calls f() or g()",
    chooses: "ad.cond(x.sum() > 0, lambda: x * 2, lambda: -x)",
    repeats: "x = ad.while_loop(lambda x: x.sum() < 10, lambda x: x * 2, x)",
    repeats_two: "y, x = ad.while_loop(test, body, (y, x)), where test(state) gives",
    counts: "x = ad.fori_loop(0, x.sum().long(), lambda i, x: x + i, x)",
    asserts: "ad.debug.check((x > -9).all(), 'too small')",
    both: "(x.sum() > 0) & (x.mean() < 1)",
    between: "(0 < x.sum()) & (x.sum() < 1)",
    inverts: "x.sum() == 0",
    larger: "ad.maximum(x.sum(), x.mean())",
    prints: "ad.debug.print",
    a_number: "use the tensor itself, or return it",
    keeps: "where(mask, a, b) keeps the shape",
    slices: "write i + ad.arange(2) for i:i + 2",
    slices_up_to: "how long a slice is has to be known: take i + ad.arange(n)",
}
WORKING = (returns, assigns, adds, chooses, repeats, counts, both, between, inverts)


def said_of(f):
    with pytest.raises(TraceError) as error:
        ad.trace(f)(ad.ones(2))
    first, hint = str(error.value).split("\n  hint: ")
    return first, hint


@pytest.mark.parametrize("f", SAID, ids=lambda f: f.__name__)
def test_it_says_what_to_write(f):
    assert SAID[f] in said_of(f)[1]


def given(x, code):
    scope = {"ad": ad, "x": x, "y": x}
    code = code.removeprefix("return ")
    return eval(code.partition(" = ")[2] or code, scope)


@pytest.mark.parametrize("f", WORKING, ids=lambda f: f.__name__)
def test_what_it_says_is_the_same_and_compiles(f):
    code = SAID[f]
    compiled = ad.compile(lambda x: given(x, code))
    for x in (ad.ones(2), -ad.ones(2), ad.tensor([3.0, 2.0]), ad.zeros(2)):
        if f is repeats and x.sum() <= 0:
            continue
        for _ in range(2):
            assert compiled(x.clone()).tolist() == ad.tensor(f(x.clone())).tolist()


def test_the_line_is_the_users():
    assert "test_instead.py" in said_of(several)[0]
    assert "x.sum()" in said_of(several)[0]


def test_numbers_that_the_function_has_written():
    w = ad.ones(2)

    @ad.compile
    def f(x):
        w.add_(x)
        return x if w.sum() > 3 else -x

    f(ad.ones(2))
    with pytest.raises(TraceError, match=r"ad.cond\(w.sum\(\) > 3"):
        f(ad.ones(2))


def test_under_vmap():
    with pytest.raises(TraceError, match=r"ad.where\(v > 0, v, -v\)"):
        ad.vmap(lambda v: v if v > 0 else -v)(ad.ones(2))


def test_without_the_source_it_is_said_in_general():
    scope = {}
    exec("def f(x):\n    return x if x.sum() > 0 else -x", scope)
    assert said_of(scope["f"])[1].startswith("where, cond, scan and while_loop")


def test_a_slice_from_a_number_of_the_program_on():
    """What the hint of `slices` says, as a cache of keys and values is written."""

    @ad.compile
    def f(cache, i, x):
        cache[:, i + ad.arange(2)] = x
        return cache

    for i in range(3):
        cache = f(ad.zeros(2, 4), ad.tensor(i), ad.ones(2, 2))
        assert cache[0].tolist() == [float(i <= k < i + 2) for k in range(4)]
