"""Programs: traced, printed, parsed back, verified, run, and differentiated on paper."""

import numpy as np
import pytest

import adjoint as ad
from adjoint.core.primitive import op
from adjoint.errors import TraceError
from adjoint.ir.graph import Operation, Var


def f(x1, x2, a=1):
    z1 = x1**2
    z2 = x2**2
    z3 = x1 - x2
    z4 = z3**a
    z5 = z1 + z2
    z6 = ad.log(z5)
    return z1 + z4 - z6


AT = (ad.tensor(2.0, dtype=ad.float64), ad.tensor(1.0, dtype=ad.float64))


def test_the_lecture_function():
    program = ad.trace(f)(*AT)
    program.verify()
    assert float(program(*AT)) == pytest.approx(3.390562, abs=1e-6)
    adjoints = {k: float(a) for k, (_, a) in program.adjoints(*AT).items()}
    assert adjoints["x1"] == pytest.approx(4.2)
    assert adjoints["x2"] == pytest.approx(-1.4)
    assert adjoints["z1"] == pytest.approx(0.8)
    assert adjoints["z6"] == pytest.approx(-1)


def test_reverse_program_accumulates_in_order():
    shown = ad.trace(f)(*AT).show(*AT, values=True, reverse=True)
    reverse = shown.split("reverse:")[1]
    names = [line.split()[0] for line in reverse.strip().splitlines()]
    assert names[:3] == ["ðz8", "ðz7", "ðz6"]
    assert names.count("ðz1") == 2 and names.count("ðx1") == 2
    assert "ðx1 += ðz1 * (x1 + x1)" in reverse


def test_operations_know_their_line():
    program = ad.trace(f)(*AT)
    file, line, source = program.graph.operations[5].where()
    assert file == __file__ and source == "z6 = ad.log(z5)"
    assert line == f.__code__.co_firstlineno + 6


def mlp(x, w, b):
    h = (x @ w + b).tanh()
    return h.logsumexp(1).mean()


def writes(x):
    y = ad.zeros(3, dtype=ad.float64)
    y[1:] = x[:2] * x[1:3]
    y *= 2
    return y.sum()


rng = np.random.default_rng(0)
PROGRAMS = [
    (f, AT),
    (mlp, tuple(ad.tensor(rng.normal(size=s)) for s in ((4, 3), (3, 5), (5,)))),
    (writes, (ad.tensor(rng.normal(size=3)),)),
    (ad.grad(writes), (ad.tensor(rng.normal(size=3)),)),
    (ad.hessian(lambda x: (x**3).prod()), (ad.tensor(rng.normal(size=3)),)),
    (ad.vmap(lambda x: x.cumsum(0) / x.sum()), (ad.tensor(rng.uniform(1, 2, (2, 3))),)),
]


@pytest.mark.parametrize("func,args", PROGRAMS)
def test_traced_is_the_same_as_eager_and_parses_back(func, args):
    program = ad.trace(func)(*args)
    program.verify()
    want = func(*args).detach().numpy()
    np.testing.assert_allclose(program(*args).detach().numpy(), want, rtol=1e-12)
    again = ad.parse(program.text())
    again.verify()
    assert ad.Program(again).text() == program.text()
    np.testing.assert_allclose(again.run(args)[0].detach().numpy(), want, rtol=1e-12)


def test_a_program_is_differentiable():
    x = ad.tensor(rng.normal(size=3))
    program = ad.trace(writes)(x)
    np.testing.assert_allclose(ad.grad(program)(x).numpy(), ad.grad(writes)(x).numpy())


def test_equal_operations_are_one_and_dead_ones_go():
    def twice(x):
        x.exp()
        return x.sin() * x.sin()

    program = ad.trace(twice)(AT[0])
    assert [o.prim.name for o in program.graph.operations] == ["sin", "mul"]


def test_verify_finds_a_wrong_type_and_a_late_assignment():
    program = ad.trace(f)(*AT)
    first = program.graph.operations[0]
    wrong = Var("w", first.outputs[0].spec._replace(shape=(7,)))
    bad = Operation(first.prim, first.inputs, first.params, (wrong,))
    program.graph.operations.append(bad)
    with pytest.raises(ValueError, match="declared"):
        program.verify()
    program.graph.operations.pop()
    program.graph.operations.reverse()
    with pytest.raises(ValueError, match="before it is assigned"):
        program.verify()


def test_branching_on_a_traced_value_says_what_to_write():
    def branchy(x):
        return x if x.sum() > 0 else -x

    with pytest.raises(TraceError, match="where"):
        ad.trace(branchy)(AT[0])


def registered():
    for prim in op:
        for k, (args, params) in enumerate(prim.samples(np.random.default_rng(0))):
            yield pytest.param(prim, args, params, id=f"{prim.name}-{k}")


@pytest.mark.parametrize("prim,args,params", list(registered()))
@pytest.mark.filterwarnings("ignore")
def test_every_operation_is_traced_printed_and_read_back(prim, args, params):
    args = [ad.tensor(np.asarray(x)) for x in args]
    program = ad.trace(lambda *xs: prim(*xs, **params))(*args)
    program.verify()
    again = ad.Program(ad.parse(program.text()))
    again.verify()
    assert again.text() == program.text()
    want = prim(*args, **params)
    for made in program(*args), again(*args):
        same(made, want)


def same(made, want):
    made, want = (x if isinstance(x, tuple) else (x,) for x in (made, want))
    for a, b in zip(made, want, strict=True):
        assert a.dtype is b.dtype
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_bodies_of_loops_print_below_and_parse_back():
    prim = op.branch
    args, params = prim.samples(np.random.default_rng(0))[0]
    program = ad.trace(lambda *xs: prim(*xs, **params))(*map(ad.tensor, args))
    assert "yes=yes, no=no" in str(program)
    assert "\n  where yes(" in str(program)
    assert "\n  where no(" in str(program)
    again = ad.parse(program.text())
    assert list(again.parts().values()) == ["yes", "no"]


def test_parse_refuses_nonsense():
    for text in ("", "x = 1", "def f(x: float32[()]):\n    return (y,)", "import os"):
        with pytest.raises(ValueError, match="not the text of a program"):
            ad.parse(text)


def test_shapes_are_checked_when_run():
    with pytest.raises(ValueError, match="was traced as"):
        ad.trace(op.exp)(ad.ones(2))(ad.ones(3))


def _unused(x, i):
    x[i]
    return x * 2


def _unused_in_a_branch(x, i):
    def picked():
        x[i]
        return x * 2

    return ad.cond(i.sum() >= 0, picked, lambda: x)


def _unused_in_a_loop(x, i):
    def body(c, j):
        x[j]
        return c + 1, None

    return ad.scan(body, x.sum(), i)[0]


@pytest.mark.parametrize("f", (_unused, _unused_in_a_branch, _unused_in_a_loop))
def test_a_traced_program_refuses_positions_that_nothing_needs(f):
    x, good, bad = ad.ones(3), ad.tensor([0, 1]), ad.tensor([0, 9])
    program = ad.trace(f)(x, good)
    np.testing.assert_array_equal(program(x, good).numpy(), f(x, good).numpy())
    for run in (f, program):
        with pytest.raises(ad.errors.DimError, match="index 9 is out of bounds"):
            run(x, bad)
