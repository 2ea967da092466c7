"""Every registered operation, by its own record: value, derivatives to order two, vmap, shape."""

import doctest
from pathlib import Path

import numpy as np
import pytest

import adjoint as ad
from adjoint.autodiff.tape import BASE
from adjoint.core.dtype import is_inexact
from adjoint.core.primitive import op, spec_of
from adjoint.func import jvp, vjp, vmap

PRIMS = {p.name: p for p in op}
CASES = [
    pytest.param(prim, i, id=f"{name}-{i}")
    for name, prim in sorted(PRIMS.items())
    for i in range(len(prim.samples(np.random.default_rng(0))) if prim.samples else 0)
]
SMOOTH = [c for c in CASES if c.values[0].differentiable]


def sample(prim, i, seed=1):
    args, params = prim.samples(np.random.default_rng(seed))[i]
    return [np.asarray(a) for a in args], params


def tensors(args):
    return [BASE.wrap(np.array(a)) for a in args]


def outputs(y):
    return y if isinstance(y, tuple) else (y,)


def close(got, want, tol=1e-6):
    for a, b in zip(outputs(got), outputs(want), strict=True):
        a = a.detach().numpy() if isinstance(a, ad.Tensor) else np.asarray(a)
        b = b.detach().numpy() if isinstance(b, ad.Tensor) else np.asarray(b)
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=tol, atol=tol)


def moving(args):
    """Which inputs have derivatives."""
    return [i for i, a in enumerate(args) if is_inexact(a.dtype)]


def of_moving(prim, args, params):
    """The op as a function of its differentiable inputs, giving its inexact outputs."""
    where = moving(args)
    fixed = tensors(args)

    def f(*xs):
        full = list(fixed)
        for i, x in zip(where, xs, strict=True):
            full[i] = x
        ys = outputs(prim(*full, **params))
        return tuple(y for y in ys if y.is_floating_point() or y.is_complex())

    return f, [args[i] for i in where]


def directions(xs, seed):
    rng = np.random.default_rng(seed)
    out = []
    for x in xs:
        t = rng.normal(size=x.shape)
        if x.dtype.kind == "c":
            t = t + 1j * rng.normal(size=x.shape)
        out.append(t.astype(x.dtype))
    return out


def slope(f, xs, ts, h=1e-5):
    """Central difference of f along ts."""
    up = f(*tensors([x + h * t for x, t in zip(xs, ts, strict=True)]))
    down = f(*tensors([x - h * t for x, t in zip(xs, ts, strict=True)]))
    pairs = zip(up, down, strict=True)
    return tuple((a.detach().numpy() - b.detach().numpy()) / (2 * h) for a, b in pairs)


def inner(us, vs):
    """Real inner product of two lists of arrays."""
    pairs = zip(us, vs, strict=True)
    return sum(np.vdot(np.asarray(u), np.asarray(v)).real for u, v in pairs)


@pytest.mark.parametrize("name", sorted(PRIMS))
def test_record_is_complete(name):
    prim = PRIMS[name]
    assert prim.__doc__ and ">>>" in prim.__doc__, (
        "a record has a docstring with an example"
    )
    assert prim.samples is not None, "a record has sample inputs"
    assert prim.reference is not None or isinstance(prim.eager, np.ufunc), "an oracle"


@pytest.mark.parametrize("prim,i", CASES)
def test_value_is_the_reference(prim, i):
    args, params = sample(prim, i)
    if prim.reference is None:
        assert isinstance(prim.eager, np.ufunc)
        want = prim.eager(*args, **params)
    else:
        want = prim.reference(*args, **params)
    close(prim(*tensors(args), **params), want)


@pytest.mark.parametrize("prim,i", CASES)
def test_shape_rule(prim, i):
    args, params = sample(prim, i)
    specs = [spec_of(x) for x in args]
    got = prim.infer(*specs, **params)
    got = got if isinstance(got, tuple) and not hasattr(got, "dtype") else (got,)
    for spec, y in zip(got, outputs(prim(*tensors(args), **params)), strict=True):
        assert tuple(spec.shape) == tuple(y.shape)
        assert spec.dtype == y.numpy().dtype


@pytest.mark.parametrize("prim,i", SMOOTH)
def test_jvp_is_the_slope(prim, i):
    f, xs = of_moving(prim, *sample(prim, i))
    ts = directions(xs, 2)
    _, dy = jvp(f, tuple(tensors(xs)), tuple(tensors(ts)))
    close(dy, slope(f, xs, ts), tol=2e-4)


@pytest.mark.parametrize("prim,i", SMOOTH)
def test_vjp_is_the_adjoint_of_the_slope(prim, i):
    f, xs = of_moving(prim, *sample(prim, i))
    ts = directions(xs, 3)
    y, pull = vjp(f, *tensors(xs))
    gs = directions([a.numpy() for a in y], 4)
    back = pull(tuple(tensors(gs)))
    want = inner(gs, slope(f, xs, ts))
    assert inner([g.numpy() for g in back], ts) == pytest.approx(
        want, rel=2e-4, abs=2e-4
    )


@pytest.mark.parametrize("prim,i", SMOOTH)
def test_second_order(prim, i):
    """The slope of the pullback, against its jvp and against its own pullback."""
    f, xs = of_moving(prim, *sample(prim, i))
    ys = f(*tensors(xs))
    gs = tensors(directions([y.numpy() for y in ys], 5))

    def pulled(*args):
        return vjp(f, *args)[1](tuple(gs))

    ts = directions(xs, 6)
    want = slope(pulled, xs, ts)
    _, got = jvp(pulled, tuple(tensors(xs)), tuple(tensors(ts)))
    close(got, want, tol=1e-3)
    us = directions(xs, 7)
    _, pull = vjp(pulled, *tensors(xs))
    twice = inner([g.numpy() for g in pull(tuple(tensors(us)))], ts)
    assert twice == pytest.approx(inner(us, want), rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("prim,i", CASES)
def test_vmap_is_a_loop(prim, i):
    many = [sample(prim, i, seed)[0] for seed in (1, 2, 3)]
    params = sample(prim, i)[1]
    columns = [np.stack(c) for c in zip(*many, strict=True)]
    loop = [outputs(prim(*tensors(args), **params)) for args in many]
    if len({tuple(y.shape for y in ys) for ys in loop}) > 1:
        pytest.skip("the shape of the result depends on the values")
    want = tuple(np.stack([y.numpy() for y in c]) for c in zip(*loop, strict=True))
    close(vmap(lambda *xs: prim(*xs, **params))(*tensors(columns)), want)
    if len(columns) > 1:
        only = [0, *[None] * (len(columns) - 1)]
        fixed = [columns[0], *many[0][1:]]
        one = [prim(*tensors([x, *many[0][1:]]), **params) for x in columns[0]]
        want = tuple(
            np.stack([y.numpy() for y in c])
            for c in zip(*map(outputs, one), strict=True)
        )
        close(
            vmap(lambda *xs: prim(*xs, **params), in_dims=tuple(only))(*tensors(fixed)),
            want,
        )


@pytest.mark.parametrize("name", sorted(n for n, p in PRIMS.items() if p.errors))
def test_errors_say_what_is_wrong(name):
    prim = PRIMS[name]
    for args, params, kind, text in prim.errors():
        with pytest.raises(kind) as caught:
            prim(*tensors([np.asarray(a) for a in args]), **params)
        assert text in str(caught.value)


@pytest.mark.parametrize("name", sorted(PRIMS))
def test_example_in_docs(name):
    names = {k: getattr(ad, k) for k in dir(ad) if not k.startswith("__")}
    parser = doctest.DocTestParser()
    test = parser.get_doctest(
        type(PRIMS[name]).__doc__, {**names, "np": np}, name, None, 0
    )
    runner = doctest.DocTestRunner(verbose=False)
    out = []
    runner.run(test, out=out.append)
    assert runner.failures == 0, "".join(out)


def test_the_compatibility_page_has_every_record():
    page = Path(__file__).parents[1] / "docs" / "compatibility.md"
    lines = page.read_text(encoding="utf-8").splitlines()
    listed = {line.split("`")[1] for line in lines if line.startswith("| `")}
    own = [p for p in PRIMS.values() if type(p).__module__.startswith("adjoint.")]
    assert listed == {p.name for p in own if p.samples}, "run `make docs`"
