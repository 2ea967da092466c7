"""Indexing: x[key], x[key] = value and the functions that read and write at positions."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import adjoint as ad
from adjoint import nn
from adjoint.errors import (
    ArgumentError,
    ArgumentTypeError,
    DimError,
    DtypeError,
    ShapeError,
    TraceError,
)
from adjoint.func import grad, hessian, jacfwd, jacrev, jvp, vmap
from adjoint.ir.trace import trace

I2, J2 = np.array([[0, -1]]), np.array([[1], [0]])
MASK = np.arange(24).reshape(2, 3, 4) % 3 == 1

# Keys for a (2, 3, 4) array, on which NumPy and PyTorch agree.
KEYS = {
    "int": 1,
    "negative": -1,
    "slice": slice(0, 1),
    "step": (slice(None), slice(None, None, 2)),
    "empty slice": (slice(2, 1),),
    "none": None,
    "ellipsis": (..., 1),
    "ints": (1, -1, 0),
    "mixed basic": (None, 1, ..., None, slice(1, 9)),
    "nothing": (),
    "all": ...,
    "list": [1, 0, 1],
    "empty list": [],
    "range": range(2),
    "array": np.array([[0, 1], [1, 1]]),
    "negative array": np.array([-1, -2, 0]),
    "second": (slice(None), np.array([2, 0, 2])),
    "last": (..., np.array([2, 0, 3])),
    "two": (np.array([0, 1]), np.array([2, -1])),
    "two late": (slice(None), np.array([0, 1]), np.array([2, -1])),
    "apart": (np.array([0, 1]), slice(None), np.array([2, -1])),
    "broadcast": (slice(None), I2, J2),
    "broadcast apart": (I2, slice(1, 3), J2),
    "three": (np.array([0, 1]), np.array([2, 1]), np.array([0, 0])),
    "with none": (np.array([0, 1]), None, np.array([2, 1])),
    "none between": (None, np.array([0, 1]), np.array([2, 1]), None),
    "mask": MASK,
    "mask of rows": np.array([True, False]),
    "mask of columns": (slice(None), np.array([True, False, True])),
    "mask of two": MASK[:, :, 0],
    "mask late": (slice(None), MASK[0]),
    "mask and array": (MASK[:, :, 0], np.array([3])),
    "mask and int list": (np.array([True, True]), [2, 0]),
    "no match": np.zeros((2, 3), bool),
    "true": True,
    "false": False,
    "true inside": (slice(None), True),
    "bool list": [True, False],
    "small ints": (np.array([0, 1], np.int8), ..., np.array([1, 2], np.int32)),
    "zero d": np.array(1),
    "slice then array": (slice(0, 2), slice(1, None), np.array([0, 3])),
}
KEY = pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)


def base():
    return np.arange(24.0).reshape(2, 3, 4)


def boxed(key):
    """The same key made of tensors."""
    if isinstance(key, tuple):
        return tuple(map(boxed, key))
    return ad.tensor(key) if isinstance(key, np.ndarray) else key


@KEY
@pytest.mark.parametrize("form", [lambda k: k, boxed], ids=["arrays", "tensors"])
def test_reading_is_numpys(key, form):
    got = ad.tensor(base())[form(key)].numpy()
    want = base()[list(key) if isinstance(key, range) else key]
    assert got.shape == want.shape
    assert (got == want).all()


@KEY
@pytest.mark.parametrize("form", [lambda k: k, boxed], ids=["arrays", "tensors"])
def test_writing_is_numpys(key, form):
    plain = list(key) if isinstance(key, range) else key
    shape = base()[plain].shape
    values = [5, -np.arange(float(np.prod(shape))).reshape(shape)]
    if shape:
        values += [np.arange(float(shape[-1]))]
        values += [] if key is MASK else [np.full((1, *shape), 2.5)]
    for value in values:
        want, x = base(), ad.tensor(base())
        want[plain] = value
        x[form(key)] = boxed(value) if form is boxed else value
        assert (x.numpy() == want).all()
    want, x = base(), ad.tensor(base())
    want[plain] += 3
    x[form(key)] += 3
    assert (x.numpy() == want).all()


@KEY
def test_reading_and_writing_differentiate(key):
    key = boxed(key)
    x = ad.tensor(base(), requires_grad=True)
    v = ad.tensor(np.ones(x[key].shape) * 2.0, requires_grad=True)

    def read(x):
        return x[key] * x[key]

    def write(x, v):
        y = x * 3.0
        y[key] = v * v
        return y * y

    def write_in_view(x, v):
        y = x * 3.0
        y.permute(1, 0, 2).permute(1, 0, 2)[key] = v * v
        y[key] *= 2.0
        return y * y

    assert ad.gradcheck(read, (x,))
    for f in (write, write_in_view):
        assert ad.gradcheck(f, (x, v))
    t = ad.tensor(np.cos(base()))
    _, dy = jvp(write, (x.detach(), v.detach()), (t, ad.ones_like(v)))
    h = 1e-6
    up, down = (write(x.detach() + s * t, v.detach() + s).numpy() for s in (h, -h))
    np.testing.assert_allclose(dy.numpy(), (up - down) / (2 * h), rtol=1e-6, atol=1e-6)


@KEY
def test_under_vmap_it_is_a_loop(key):
    key = boxed(key)
    xs = ad.tensor(np.stack([base(), base() * 2, base() - 5]))

    def write(x):
        y = x * 1.0
        y[key] = x[key] * 2.0 + 1.0
        y[key] += 1.0
        return y

    for f in (lambda x: x[key], write):
        want = np.stack([f(x).numpy() for x in xs])
        assert (vmap(f)(xs).numpy() == want).all()


def test_mapped_indices_and_values():
    rng = np.random.default_rng(0)
    xs = ad.tensor(rng.normal(size=(5, 3, 4)))
    i = ad.tensor(rng.integers(-3, 3, (5, 2)))
    v = ad.tensor(rng.normal(size=(5, 2, 4)))

    def f(x, i, v):
        y = x * 1.0
        y[i] = v
        y[:, i] += 1.0
        return y[i] * x[..., i[0]].sum()

    for dims in [(0, 0, 0), (None, 0, None), (0, None, None), (None, 0, 0)]:
        args = [a if d == 0 else a[0] for a, d in zip((xs, i, v), dims, strict=True)]
        rows = [
            f(*(a[k] if d == 0 else a for a, d in zip(args, dims, strict=True)))
            for k in range(5)
        ]
        want = np.stack([r.numpy() for r in rows])
        np.testing.assert_allclose(vmap(f, in_dims=dims)(*args).numpy(), want)


def test_a_program_reads_and_writes():
    def f(x, i):
        y = x * 2.0
        y[i] = x[i] + 1.0
        y[x > 2.0] = 0.0
        y[1:, i] += 1.0
        return y

    x, i = ad.tensor(base()[0]), ad.tensor([0, 2])
    program = trace(f)(x, i)
    assert (program(x, i).numpy() == f(x, i).numpy()).all()
    with pytest.raises(TraceError, match="where"):
        trace(lambda x: x[x > 1.0])(x)
    with pytest.raises(TraceError, match="where"):
        vmap(lambda x: x[x > 1.0])(x)


def test_writes_inside_transforms():
    i = ad.tensor([2, 0, 2])

    def f(x):
        y = x * 2.0
        y[i] = x[[0, 1, 1]] ** 2
        y[y > 3.0] = x.sum()
        y[1] += x[2]
        y[..., 0] = y[2] * 3.0 + x[1]
        m = ad.zeros(3, 3, dtype=ad.float64)
        m[i, ad.tensor([0, 1, 2])] = y
        m[1] = x
        return (m**2).sum() + (y**3).sum()

    x = ad.tensor([1.0, 2.0, 0.5], dtype=ad.float64)
    steps = np.eye(3) * 1e-5

    def slope(f):
        pairs = [
            (f(ad.tensor(x.numpy() + s)), f(ad.tensor(x.numpy() - s))) for s in steps
        ]
        return np.array([(a.numpy() - b.numpy()) / 2e-5 for a, b in pairs])

    np.testing.assert_allclose(grad(f)(x).numpy(), slope(f), rtol=1e-6)
    want = slope(grad(f))
    for second in (hessian(f), jacrev(grad(f)), jacrev(jacfwd(f))):
        np.testing.assert_allclose(second(x).numpy(), want, rtol=1e-5)
    xs = ad.stack([x, x * 2.0, x + 1.0])
    want = np.stack([grad(f)(a).numpy() for a in xs])
    np.testing.assert_allclose(vmap(grad(f))(xs).numpy(), want)
    mapped = grad(lambda xs: vmap(f)(xs).sum())
    np.testing.assert_allclose(mapped(xs).numpy(), want)
    program = trace(grad(f))(x)
    np.testing.assert_allclose(program(x * 2.0).numpy(), grad(f)(x * 2.0).numpy())


def test_adding_to_a_part_writes_once():
    def f(x):
        y = x * 1.0
        y[1] += x[0]
        y[0:1] *= 2.0
        return y

    assert str(trace(f)(ad.ones(3))).count("overwrite") == 2


def test_basic_keys_are_views_and_others_copies():
    x = ad.zeros(3, 4)
    x[1][2:] = 1.0
    x[ad.tensor(0)].fill_(3.0)
    x[:, None, ::2][2] += 5.0
    x[[0]].fill_(9.0)
    assert x.tolist() == [[3, 3, 3, 3], [0, 0, 1, 1], [5, 0, 5, 0]]


def test_a_write_through_a_view_reaches_the_base():
    x = ad.arange(6.0).requires_grad_()
    y = x * 1.0
    rows = y.reshape(2, 3)
    rows[ad.tensor([1, 0]), [0, 0]] = x[:2] * 10.0
    assert y.tolist() == [10, 1, 2, 0, 4, 5]
    y.sum().backward()
    assert x.grad.tolist() == [10, 11, 1, 0, 1, 1]


def test_writes_through_views_of_all_kinds():
    def f(x):
        y = x * 1.0
        y[0] = 5.0
        y[1:, ::2] *= x[:1, ::2]
        y.T[1].fill_(2.0)
        y.reshape(-1)[3:5] = x[0, 0]
        y.diagonal().mul_(3.0)
        y[None][:, 2, 3] = 7.0
        return y * y

    xs = ad.tensor(np.cos(np.arange(60.0)).reshape(5, 3, 4))
    want = np.stack([f(x).numpy() for x in xs])
    assert (vmap(f)(xs).numpy() == want).all()
    assert (vmap(f, in_dims=2)(xs.permute(1, 2, 0)).numpy() == want).all()
    assert ad.gradcheck(f, (xs[0].clone().requires_grad_(),))


def test_a_write_to_memory_that_lies_by_columns():
    def f(x):
        y = x.T * 2.0
        y.T.reshape(-1)[2:5] = x[0, :3]
        return y * y

    x = ad.tensor(base()[0], requires_grad=True)
    assert ad.gradcheck(f, (x,))


def test_last_value_wins_and_only_it_has_a_gradient():
    v = ad.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = ad.zeros(2)
    y[[1, 0, 1]] = v
    assert y.tolist() == [2, 3]
    y.sum().backward()
    assert v.grad.tolist() == [0, 1, 1]
    z = ad.zeros(2)
    z[[0, 0, 1]] += 1.0
    assert z.tolist() == [1, 1]


def test_values_are_cast():
    x = ad.zeros(3, dtype=ad.int64)
    x[0], x[[1, 2]], x[x == 0] = 1.7, ad.tensor([2.9, 0.0]), True
    assert x.tolist() == [1, 2, 1]
    with pytest.raises(DtypeError):
        x[0] = 1j


@pytest.mark.parametrize(
    "key, error, text",
    [
        (2, DimError, "index 2 is out of bounds for dimension 0 with size 2"),
        ((0, -4), DimError, "index -4 is out of bounds for dimension 1 with size 3"),
        ([0, 5], DimError, "index 5 is out of bounds for dimension 0 with size 2"),
        (([0], [-9]), DimError, "index -9 is out of bounds for dimension 1"),
        ((0, 0, 0, 0), DimError, "too many indices for tensor of dimension 3: 4"),
        (np.zeros((3,), bool), DimError, "shape of the mask [3] at index 0"),
        (np.zeros((2, 3, 4, 1), bool), DimError, "too many indices"),
        (([0, 1], [0, 1, 2]), DimError, "could not be broadcast"),
        (slice(None, None, -1), ArgumentError, "step must be positive"),
        (slice(1.5), ArgumentTypeError, "slice indices must be integers"),
        (1.5, DimError, "only integers"),
        ("a", DimError, "only integers"),
        (np.array([0.5]), DimError, "must be integer or bool"),
        (["a"], DimError, "must hold integers"),
    ],
    ids=range(14),
)
def test_wrong_keys_change_nothing(key, error, text):
    x = ad.tensor(base())
    with pytest.raises(error) as caught:
        x[key]
    assert text in str(caught.value)
    assert "test_indexing.py" in str(caught.value)
    with pytest.raises(error):
        x[key] = 7.0
    with pytest.raises(error):
        x[key] += 7.0
    assert (x.numpy() == base()).all()


def test_wrong_values_change_nothing():
    x = ad.tensor(base())
    for key in (0, [0, 1], x > 3.0, x > 100.0, slice(0, 1)):
        with pytest.raises((ShapeError, ArgumentError)):
            x[key] = np.ones((5, 7))
    leaf = ad.zeros(3, requires_grad=True)
    for key in (0, [0], ad.tensor([True, False, True])):
        with pytest.raises(
            ad.errors.GradError if hasattr(ad, "errors") else RuntimeError
        ):
            leaf[key] = 1.0
    with ad.no_grad():
        leaf[[0]] = 1.0
    assert leaf.tolist() == [1, 0, 0]
    assert (x.numpy() == base()).all()


def test_an_overwritten_saved_value_is_noticed():
    x = ad.ones(3, requires_grad=True)
    y = x * 2.0
    z = y * y
    y[[0]] = 5.0
    with pytest.raises(RuntimeError, match="inplace"):
        z.sum().backward()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int8", "bool", "complex64"])
def test_other_dtypes(dtype):
    if getattr(ad, dtype) is None:
        pytest.skip("ml_dtypes is not installed")
    x = ad.tensor([0, 1, 0, 1]).to(getattr(ad, dtype))
    assert x[[1, 2]].to(ad.int64).tolist() == [1, 0]
    x[[2, 0]] = x[1]
    assert x.to(ad.int64).tolist() == [1, 1, 1, 1]
    if dtype != "bool":
        y = x.index_add(0, ad.tensor([0, 0]), x[:2])
        assert y.to(ad.int64).tolist() == [3, 1, 1, 1]


@st.composite
def keys(draw):
    """(shape, key): any mixture of basic entries, masks and index arrays, all in bounds."""
    shape = draw(st.lists(st.integers(0, 3), max_size=4))
    entries, dim, drawn = [], 0, draw(st.sampled_from([(), (2,), (3, 1)]))
    masks = 0
    while dim < len(shape) and draw(st.integers(0, 5)):
        n = shape[dim]
        kind = draw(
            st.sampled_from(["slice", "none", "whole", "array", "mask", "dots"])
        )
        if kind == "slice":
            bound = st.none() | st.integers(-4, 4)
            step = draw(st.none() | st.integers(1, 3))
            entries.append(slice(draw(bound), draw(bound), step))
        elif kind == "none":
            entries.append(None)
            continue
        elif kind == "dots" and not any(e is ... for e in entries):
            entries.append(...)
            dim += draw(st.integers(0, len(shape) - dim))
            # what follows the dots must fill the dims that are left
            entries += [slice(None)] * (len(shape) - dim)
            break
        elif kind == "array" and n:
            place = st.integers(-n, n - 1)
            count = int(np.prod(drawn))
            flat = draw(st.lists(place, min_size=count, max_size=count))
            entries.append(np.array(flat, np.int64).reshape(drawn))
        elif kind == "mask" and not masks and not drawn:
            masks = 1
            entries.append(
                np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n)), bool)
            )
        else:
            entries.append(slice(None))
        dim += 1
    return tuple(shape), tuple(entries)


@given(keys())
@settings(max_examples=300, deadline=None)
def test_any_key_reads_and_writes_as_numpy(drawn):
    shape, key = drawn
    x = np.arange(float(np.prod(shape))).reshape(shape)
    # NumPy counts single numbers among the arrays that are placed together; PyTorch does
    # not: such keys are left to the comparison with PyTorch.
    arrays = [k for k in key if isinstance(k, np.ndarray)]
    assume(all(k.ndim for k in arrays) or len(arrays) < 2)
    for form in (lambda k: k, boxed):
        got = ad.tensor(x)[form(key)]
        want = x[key]
        assert tuple(got.shape) == want.shape
        assert (got.numpy() == want).all()
        y, ours = x.copy(), ad.tensor(x)
        value = -np.arange(float(want.size)).reshape(want.shape) - 1
        y[key] = value
        ours[form(key)] = ad.tensor(value)
        assert (ours.numpy() == y).all()


# ---------------------------------------------------------------- beside PyTorch


def both(f, *arrays, leaves=(0,)):
    """f(package, *tensors) in both packages: value and gradients of the leaves."""
    torch = pytest.importorskip("torch")
    g, results = None, []
    for m in (torch, ad):
        xs = [m.tensor(a) if isinstance(a, np.ndarray) else a for a in arrays]
        for i in leaves:
            xs[i].requires_grad_()
        y = f(m, *xs)
        ys = y if isinstance(y, tuple) else (y,)
        got = [a.detach().numpy() for a in ys]
        if leaves and ys[0].requires_grad:
            if g is None:
                g = np.random.default_rng(3).normal(size=got[0].shape)
            ys[0].backward(m.tensor(g.astype(got[0].dtype)))
            got += [
                np.zeros(xs[i].shape) if xs[i].grad is None else xs[i].grad.numpy()
                for i in leaves
            ]
        results.append(got)
    theirs, ours = results
    assert len(theirs) == len(ours)
    for a, b in zip(theirs, ours, strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype or (a.dtype.kind == b.dtype.kind == "f")
        np.testing.assert_allclose(b, a, rtol=1e-6, atol=1e-6)


X = np.random.default_rng(0).normal(size=(3, 4, 5))
ROW = np.array([2, 0])
DIMS = pytest.mark.parametrize("dim", [0, 1, -1])


def positions(dim, n=2, seed=1, size=None):
    """An index for gather along `dim` of X, shorter in the other dims."""
    shape = [2, 3, 4]
    shape[dim] = n
    return np.random.default_rng(seed).integers(0, size or X.shape[dim], shape)


@DIMS
@pytest.mark.parametrize("n", [1, 2, 7])
def test_gather(dim, n):
    both(lambda m, x, i: m.gather(x, dim, i), X, positions(dim, n))
    whole = np.argsort(X, dim)
    both(lambda m, x, i: m.take_along_dim(x, i, dim), X, whole)
    both(lambda m, x, i: m.take_along_dim(x, i, dim), X, whole[:1, :, :1] % 3)
    both(lambda m, x, i: x.take_along_dim(i), X, np.array([[3, 1], [0, 3]]))


@DIMS
@pytest.mark.filterwarnings("ignore:The reduce argument")
def test_scatter(dim):
    i, big = positions(dim, 2), X[::-1] * 2.0
    v = np.cos(np.arange(i.size).reshape(i.shape))
    unique = np.argsort(X, dim)
    both(lambda m, x, i, v: m.scatter_add(x, dim, i, v), X, i, big, leaves=())
    both(lambda m, x, i, v: m.scatter(x, dim, i, v), X, unique, big, leaves=(0, 2))
    both(lambda m, x, i: m.scatter(x, dim, i, 1.5), X, i)
    both(lambda m, x, i: (x * 2).scatter_(dim, i, value=1.5), X, i)
    both(lambda m, x, i, v: m.scatter_add(x, dim, i, v), X, i, v, leaves=(0, 2))
    both(lambda m, x, i, v: (x * 1).scatter_add_(dim, i, v), X, i, v, leaves=(0, 2))
    both(lambda m, x, i, v: m.scatter(x, dim, i, v, reduce="add"), X, i, v, leaves=())
    both(lambda m, x, i: m.scatter(x, dim, i, 2.0, reduce="multiply"), X, i, leaves=())


@DIMS
@pytest.mark.parametrize("how", ["sum", "prod", "mean", "amax", "amin"])
@pytest.mark.parametrize("include", [True, False])
def test_scatter_reduce(dim, how, include):
    def f(m, x, i, v):
        return m.scatter_reduce(x, dim, i, v, how, include_self=include)

    i, big = positions(dim, 3), X[::-1] * 2.0
    v = big[tuple(map(slice, i.shape))].copy()
    both(f, X, i, big, leaves=())
    both(f, X, i, v, leaves=(0, 2))
    ties = np.round(X)
    if include:  # else PyTorch counts an excluded element among the ties
        both(f, ties, i, np.round(v / 2), leaves=(0, 2))
    whole = np.round(X * 3).astype(np.int64)
    both(f, whole, i, whole[::-1].copy(), leaves=())


@DIMS
@pytest.mark.filterwarnings("ignore:index_reduce")
def test_along_one_dim(dim):
    i = np.array([1, 0, 1])
    v = np.take(X[::-1], i, dim) * 2.0
    both(lambda m, x, i: m.index_select(x, dim, i), X, i)
    both(lambda m, x, i, v: m.index_add(x, dim, i, v, alpha=3), X, i, v, leaves=(0, 2))
    both(lambda m, x, i, v: (x * 1).index_add_(dim, i, v), X, i, v, leaves=(0, 2))
    both(lambda m, x, i: m.index_fill(x, dim, i, 2.5), X, i)
    both(lambda m, x, i: (x * 1).index_fill_(dim, i, 2.5), X, i)
    u = np.take(v, [0, 1], dim)
    both(lambda m, x, i, v: m.index_copy(x, dim, i, v), X, ROW, u, leaves=(0, 2))
    both(lambda m, x, i, v: (x * 1).index_copy_(dim, i, v), X, ROW, u, leaves=(0, 2))
    for how in ("prod", "mean", "amax", "amin"):
        for include in (True, False):
            both(
                lambda m, x, i, v, how=how, include=include: m.index_reduce(
                    x, dim, i, v, how, include_self=include
                ),
                X,
                i,
                v,
                leaves=(0, 2),
            )


@pytest.mark.parametrize(
    "name", ["scatter_", "scatter_add_", "index_add_", "index_copy_"]
)
def test_in_place_forms_write_the_same_memory(name):
    i = ad.tensor([2, 0])
    for x in (ad.arange(12.0).reshape(3, 4), ad.arange(12.0).reshape(4, 3).T):
        memory, before = x.numpy(), x.clone()
        v, at = ad.full((2, 4), 0.5), i
        if name.startswith("scatter"):
            at = ad.tensor([[2, 1, 0, 0], [0, 0, 2, 1]])
        assert getattr(x, name)(0, at, v) is x
        assert (memory == getattr(before, name[:-1])(0, at, v).numpy()).all()
        assert x._version == 1
    number = ad.tensor(3.0)
    getattr(number, name)(0, ad.tensor(0), ad.tensor(2.0))
    assert number.item() == (5.0 if "add" in name else 2.0)
    leaf = ad.zeros(3, requires_grad=True)
    with pytest.raises(RuntimeError, match="leaf"):
        getattr(leaf, name)(0, i, ad.ones(2))


def test_single_numbers():
    x, i = np.array(3.0), np.array(0)
    both(lambda m, x, i: m.gather(x, 0, i), x, i)
    both(lambda m, x, i: m.scatter(x, 0, i, 2.0), x, i)
    both(lambda m, x, i: m.index_select(x, 0, i), x, i)
    both(lambda m, x, i: m.index_add(x, 0, i, x), x, i)
    both(lambda m, x, i: m.index_fill(x, 0, i, 2.0), x, i)
    both(lambda m, x, i: m.take(x, i), x, i)
    both(lambda m, x: m.nonzero(x), x, leaves=())
    both(lambda m, x: m.argwhere(x), x, leaves=())
    both(lambda m, x: m.nonzero(x, as_tuple=True), x, leaves=())


def test_nothing_to_read_or_write():
    none = np.zeros((0,), np.int64)
    both(lambda m, x, i: m.gather(x, 0, i), X, np.zeros((0, 4, 5), np.int64))
    both(lambda m, x, i: m.index_select(x, 1, i), X, none)
    both(lambda m, x, i: m.scatter(x, 0, i, 1.0), X, np.zeros((0, 4, 5), np.int64))
    both(lambda m, x, i: m.index_fill(x, 1, i, 1.0), X, none)
    both(lambda m, x, i: m.take(x, i), X, none)
    both(lambda m, x, i: x[i], X, none)
    both(lambda m, x: m.masked_select(x, x > 100), X)
    both(lambda m, x: m.nonzero(x > 100), X, leaves=())
    both(lambda m, x: m.nonzero(x), np.zeros((0, 2)), leaves=())


def test_flat_positions():
    i = np.array([[3, -1], [0, 7]])
    v = np.arange(4.0).reshape(2, 2)
    both(lambda m, x, i: m.take(x, i), X, i)
    for add in (True, False):
        both(
            lambda m, x, i, v, add=add: (x * 1).put_(i, v, accumulate=add),
            X,
            i,
            v,
            leaves=(0, 2),
        )


def test_index_put():
    i, v = np.array([0, 2]), np.arange(5.0)
    for add in (True, False):

        def put(m, x, i, v, add=add):
            return m.index_put(x, (i, i), v, accumulate=add)

        def put_in(m, x, i, v, add=add):
            return (x * 1).index_put_((i, i), v, accumulate=add)

        both(put, X, i, v, leaves=(0, 2))
        both(put_in, X, i, v, leaves=(0, 2))


def test_masks():
    mask = X > 0.3
    rows = mask[:, :1]
    both(lambda m, x, k: m.masked_fill(x, k, 2), X, mask)
    both(lambda m, x, k: x.masked_fill(k, m.tensor(2.0)), X, rows)
    both(lambda m, x, k: (x * 1).masked_fill_(k, -np.inf), X, rows)
    both(lambda m, x, k: m.masked_select(x, k), X, mask)
    both(lambda m, x, k: m.masked_select(x, k), X, rows)
    both(lambda m, x, k, v: m.masked_scatter(x, k, v), X, mask, X * 2, leaves=(0, 2))
    both(lambda m, x, k, v: m.masked_scatter(x, k, v), X, rows, X * 2, leaves=(0, 2))
    both(lambda m, x: m.where(x > 0), X, leaves=())
    whole = np.arange(4)
    both(lambda m, x: x.masked_fill(x > 1, 2.7), whole, leaves=())
    both(lambda m, x: x.index_fill(0, m.tensor([-1, 0]), 2.7), whole, leaves=())
    both(lambda m, x: m.searchsorted(x, 2.5), whole, leaves=())
    both(lambda m, x: m.nonzero(x > 0), X, leaves=())
    both(lambda m, x: m.argwhere(x > 0), X, leaves=())
    both(lambda m, x: m.nonzero(x > 0, as_tuple=True), X, leaves=())


def test_writing_views():
    both(lambda m, x, v: m.select_scatter(x, v, 1, -1), X, X[:, 0] * 2, leaves=(0, 1))
    both(
        lambda m, x, v: m.slice_scatter(x, v, 1, start=-3, end=9, step=2),
        X,
        X[:, :2] * 2,
        leaves=(0, 1),
    )
    for offset in (-1, 0, 2):
        v = np.diagonal(X, offset, 0, 2) * 2
        both(
            lambda m, x, v, k=offset: m.diagonal_scatter(x, v, k, 0, 2),
            X,
            v,
            leaves=(0, 1),
        )


@pytest.mark.parametrize("right", [True, False])
def test_search(right):
    rows = np.sort(np.round(X * 2), -1)
    x = np.round(X[..., :3] * 2)
    x[0, 0, 0] = np.nan
    both(lambda m, r, x: m.searchsorted(r, x, right=right), rows, x, leaves=())
    both(lambda m, r, x: m.searchsorted(r, x, right=right), rows[0, 0], x, leaves=())
    both(
        lambda m, r, x: m.searchsorted(r, x, out_int32=True, side="right"),
        rows,
        x,
        leaves=(),
    )
    both(lambda m, r: m.searchsorted(r, 0.5), rows[0, 0], leaves=())
    both(lambda m, r, x: m.bucketize(x, r, right=right), rows[0, 0], x, leaves=())
    order = np.argsort(X, -1)
    both(lambda m, r, s: m.searchsorted(r, r, sorter=s), X, order, leaves=())


def test_positions():
    for args in [(3, 4, 0), (4, 3, 1), (3, 3, -1), (0, 2, 0), (3, 0, 0)]:
        both(lambda m, a=args: m.tril_indices(*a), leaves=())
        both(lambda m, a=args: m.triu_indices(*a, dtype=m.int32), leaves=())
    i = np.array([[0, 5], [11, 23]])
    both(lambda m, i: m.unravel_index(i, (2, 3, 4)), i, leaves=())
    for inv in (True, False):
        both(lambda m, a, inv=inv: m.isin(a, a[:1] + 5, invert=inv), i, leaves=())
    both(lambda m, a: m.isin(a, 5), i, leaves=())

    def one_hot(m, i, n):
        return (m.nn.functional if m is not ad else m).one_hot(i, n)

    both(lambda m, i: one_hot(m, i, -1), i, leaves=())
    both(lambda m, i: one_hot(m, i, 30), i, leaves=())
    both(lambda m, i: one_hot(m, i, 30), np.zeros((0, 2), np.int64), leaves=())


def test_embedding():
    w, i = (
        np.random.default_rng(5).normal(size=(6, 3)),
        np.array([[1, 5, 1], [0, 2, 2]]),
    )
    for options in (
        {},
        {"padding_idx": 2},
        {"padding_idx": -1},
        {"scale_grad_by_freq": True},
        {"max_norm": 1.0},
        {"max_norm": 1.0, "norm_type": 1.0},
    ):
        both(lambda m, w, i, o=options: m.nn.functional.embedding(i, w * 1, **o), w, i)
    table = ad.tensor(w)
    ad.nn.functional.embedding(ad.tensor(i), table, max_norm=1.0)
    norms = np.linalg.norm(table.numpy(), axis=1)
    assert (norms[[0, 1, 2, 5]] <= 1 + 1e-6).all()
    assert (table.numpy()[3:5] == w[3:5]).all()


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_embedding_bag(mode):
    rng = np.random.default_rng(5)
    w, i = rng.normal(size=(6, 3)), np.array([1, 5, 1, 0, 2, 2, 4])
    offsets = np.array([0, 2, 2, 5])

    def bag(m, w, i, o=None, s=None, **options):
        f = m.nn.functional.embedding_bag
        return f(i, w, o, mode=mode, per_sample_weights=s, **options)

    both(bag, w, i, offsets)
    both(bag, w, i[:6].reshape(2, 3))
    both(lambda *a: bag(*a, padding_idx=2), w, i, offsets)
    both(lambda *a: bag(*a, include_last_offset=True), w, i, np.array([0, 2, 2, 7]))
    if mode == "sum":
        s = rng.normal(size=7)
        both(bag, w, i, offsets, s, leaves=(0, 3))
        both(lambda *a: bag(*a, padding_idx=2), w, i, offsets, s, leaves=(0, 3))


def test_bags_divide_gradients_by_frequency():
    i, grads = ad.tensor([1, 5, 1, 0]), []
    for f in (
        lambda w: ad.nn.functional.embedding(i, w, scale_grad_by_freq=True).sum(0),
        lambda w: ad.nn.functional.embedding_bag(
            i, w, ad.tensor([0]), mode="sum", scale_grad_by_freq=True
        ),
    ):
        w = ad.ones(6, 1, requires_grad=True)
        f(w).sum().backward()
        grads.append(w.grad.ravel().tolist())
    assert grads == [[1, 1, 0, 0, 0, 1]] * 2


@KEY
def test_keys_after_a_number_are_placed_as_pytorch_does(key):
    """Where NumPy counts the number among the arrays, PyTorch selects first."""
    torch = pytest.importorskip("torch")
    key = (0, *key) if isinstance(key, tuple) else (0, key)

    def of(m, k):
        if isinstance(k, tuple):
            return tuple(of(m, part) for part in k)
        if isinstance(k, (list, range)):
            k = np.array(k, bool if k and isinstance(k[0], bool) else np.int64)
        k = (
            k.astype(np.int64)
            if isinstance(k, np.ndarray) and k.dtype.kind == "i"
            else k
        )
        return m.tensor(k) if isinstance(k, np.ndarray) else k

    x = np.arange(120.0).reshape(5, 2, 3, 4)
    want = torch.tensor(x)[of(torch, key)]
    got = ad.tensor(x)[of(ad, key)]
    assert tuple(got.shape) == tuple(want.shape)
    assert (got.numpy() == want.numpy()).all()


# ---------------------------------------------------------------- second order, vmap, errors

i23 = np.array([[1, 0, 1], [2, 2, 0]])
SMALL = np.random.default_rng(8).normal(size=(3, 3))
FUNCTIONS = {
    "gather": lambda x, v, i: x.gather(0, i),
    "scatter": lambda x, v, i: x.scatter(0, i, v),
    "scatter_add": lambda x, v, i: x.scatter_add(1, i, v),
    "prod": lambda x, v, i: x.scatter_reduce(0, i, v, "prod"),
    "amax": lambda x, v, i: x.scatter_reduce(0, i, v, "amax", include_self=False),
    "mean": lambda x, v, i: x.scatter_reduce(0, i, v, "mean"),
    "index_select": lambda x, v, i: x.index_select(1, i[0]),
    "index_add": lambda x, v, i: x.index_add(0, i[0][:2], v),
    "index_copy": lambda x, v, i: x.index_copy(0, i[0][:2], v),
    "index_fill": lambda x, v, i: x.index_fill(0, i[1], 2.0),
    "take": lambda x, v, i: x.take(i),
    "put": lambda x, v, i: x.put(i, v),
    "take_along_dim": lambda x, v, i: x.take_along_dim(i, 0),
    "masked_fill": lambda x, v, i: x.masked_fill(x > 0, 1.0),
    "masked_scatter": lambda x, v, i: x.masked_scatter(x > 0.5, v),
    "select_scatter": lambda x, v, i: x.select_scatter(v[0], 0, 1),
    "slice_scatter": lambda x, v, i: x.slice_scatter(v, 0, 1),
    "diagonal_scatter": lambda x, v, i: x.diagonal_scatter(v[0]),
    "index_put": lambda x, v, i: x.index_put((i[0],), v[0], accumulate=True),
    "embedding": lambda x, v, i: ad.nn.functional.embedding(i, x),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_second_order_and_vmap(name):
    f, i = FUNCTIONS[name], ad.tensor(i23)
    x = ad.tensor(SMALL, requires_grad=True)
    v = ad.tensor(np.cos(np.arange(6.0)).reshape(2, 3), requires_grad=True)

    def smooth(x, v):
        return f(x * x * 0.5 + x, v * v, i) ** 2 + 0.0 * v.sum()

    assert ad.gradcheck(smooth, (x, v))
    assert ad.gradgradcheck(smooth, (x, v))
    xs = ad.tensor(np.stack([SMALL, SMALL * 2 + 1]))
    vs = ad.stack([v.detach(), v.detach() * 2])
    indices = ad.tensor(np.stack([i23, (i23 + 1) % 3]))
    for dims in [(0, 0, 0), (0, None, None), (None, 0, None), (None, None, 0)]:
        args = [
            a if d == 0 else a[0] for a, d in zip((xs, vs, indices), dims, strict=True)
        ]
        rows = [
            f(*(a[k] if d == 0 else a for a, d in zip(args, dims, strict=True)))
            for k in range(2)
        ]
        want = np.stack([r.numpy() for r in rows])
        np.testing.assert_allclose(vmap(f, in_dims=dims)(*args).numpy(), want)


def test_products_with_zeros():
    x = ad.tensor([0.0, 2.0, 0.0], dtype=ad.float64, requires_grad=True)
    v = ad.tensor([0.0, 3.0, 4.0, 5.0], dtype=ad.float64, requires_grad=True)
    i = ad.tensor([1, 1, 0, 2])
    for include in (True, False):

        def f(x, v, include=include):
            return x.scatter_reduce(0, i, v, "prod", include_self=include)

        assert ad.gradcheck(f, (x, v))
        assert ad.gradgradcheck(f, (x, v))


@pytest.mark.parametrize(
    "call, error, text",
    [
        (lambda x, i: x.gather(0, i + 9), DimError, "index 9 is out of bounds"),
        (lambda x, i: x.gather(0, i - 1), DimError, "index -1 is out of bounds"),
        (lambda x, i: x.gather(5, i), DimError, "dim 5 is out of range"),
        (lambda x, i: x.gather(0, i * 1.0), DtypeError, "must be integers"),
        (lambda x, i: x.gather(0, i[0]), ShapeError, "same number of dimensions"),
        (lambda x, i: x.scatter(0, i, x.long()), DtypeError, "one dtype"),
        (lambda x, i: x.scatter(0, i), ArgumentTypeError, "src or value"),
        (lambda x, i: x.scatter_add(0, i, x[:1]), ShapeError, "exceeds"),
        (
            lambda x, i: x.scatter_reduce(0, i, x, "max"),
            ArgumentError,
            "reduce must be",
        ),
        (lambda x, i: x.index_select(0, i), DimError, "must be a vector"),
        (lambda x, i: x.index_add(0, i[0], x[:1]), ShapeError, "does not fit"),
        (lambda x, i: x.index_copy_(0, i[0] + 7, x[:2]), DimError, "out of bounds"),
        (lambda x, i: x.take(i + 100), DimError, "index 10"),
        (lambda x, i: x.masked_fill(i, 0), DtypeError, "mask must be bool"),
        (
            lambda x, i: x.long().masked_fill(x > 0, np.inf),
            DtypeError,
            "cannot be converted",
        ),
        (lambda x, i: x.masked_scatter(x > -9, x[0]), ShapeError, "the mask holds"),
        (lambda x, i: x.index_put((i,), x.long()), DtypeError, "one dtype"),
        (lambda x, i: x.select_scatter(x, 0, 0), ShapeError, "shape of the part"),
        (lambda x, i: ad.one_hot(i, 1), ArgumentError, "classes must lie"),
        (lambda x, i: ad.searchsorted(x, x.long()), DtypeError, "one dtype"),
        (lambda x, i: ad.nn.functional.embedding(x, x), DtypeError, "integers"),
        (lambda x, i: ad.nn.functional.embedding(i + 9, x), DimError, "out of bounds"),
    ],
    ids=range(22),
)
def test_wrong_calls(call, error, text):
    x, i = ad.tensor(np.arange(12.0).reshape(3, 4)), ad.tensor([[0, 1], [1, 0]])
    before = x.numpy().copy()
    with pytest.raises(error) as caught:
        call(x, i)
    assert text in str(caught.value)
    assert (x.numpy() == before).all()


BAGS = [
    {"mode": "sum"},
    {"mode": "mean"},
    {"mode": "max"},
    {"mode": "sum", "padding_idx": 2},
    {"mode": "mean", "padding_idx": 2},
    {"mode": "max", "padding_idx": 2},
    {"mode": "sum", "include_last_offset": True},
    {"mode": "mean", "include_last_offset": True, "padding_idx": -1},
    {"mode": "sum", "scale_grad_by_freq": True},
    {"mode": "sum", "max_norm": 1.0},
    {"mode": "sum", "weighted": True, "padding_idx": 1},
]


@pytest.mark.parametrize("options", BAGS, ids=str)
def test_bags_compile(options):
    options = dict(options)
    weighted = options.pop("weighted", False)
    last = options.get("include_last_offset", False)
    rng = np.random.default_rng(5)
    table = rng.normal(size=(6, 3))
    scale = ad.tensor(rng.normal(size=7)) if weighted else None

    def runner(w):
        def run(i, offsets):
            bag = nn.functional.embedding_bag
            w.grad = None
            y = bag(i, w, offsets, per_sample_weights=scale, **options)
            (y * y).sum().backward()
            return y.detach()

        return w, run

    w, run = runner(ad.tensor(table, requires_grad=True))
    v, same = runner(ad.tensor(table, requires_grad=True))
    same = ad.compile(same)
    for starts in ([0, 2, 2, 5], [0, 0, 3, 7], [0, 1, 4, 6], [0, 0, 0, 0]):
        args = ad.tensor(rng.integers(0, 6, 7)), ad.tensor(starts)
        y, z = run(*args), same(*args)
        for a, b in ((y, z), (w.grad, v.grad), (w.detach(), v.detach())):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-12, atol=1e-14)
        assert y.shape[0] == 4 - last


def test_what_lies_past_the_last_offset_is_in_no_bag():
    w = ad.arange(10.0).reshape(5, 2)
    bag = nn.functional.embedding_bag
    for mode, rows in (("sum", [[2, 4], [4, 5]]), ("max", [[2, 3], [4, 5]])):
        y = bag(ad.tensor([0, 1, 2, 3]), w, ad.tensor([0, 2, 3]), mode=mode,
                include_last_offset=True)  # fmt: skip
        assert y.tolist() == rows
    y = bag(ad.tensor([0, 1]), w, ad.tensor([0]), include_last_offset=True)
    assert y.shape == (0, 2)


def test_padding_that_is_not_a_number_stays_out():
    w = ad.ones(3, 2)
    w[1] = ad.nan
    for mode in ("sum", "mean", "max"):
        y = nn.functional.embedding_bag(
            ad.tensor([0, 1, 1]), w, ad.tensor([0, 2]), mode=mode, padding_idx=1
        )
        assert y.tolist() == [[1, 1], [0, 0]]


@pytest.mark.parametrize(
    ("offsets", "words"),
    [
        ([1, 2], "begin with 0, got 1"),
        ([0, 3, 2], "rise and not pass the 4"),
        ([0, 5], "rise and not pass the 4"),
        ([[0, 2]], "a vector of integers"),
        ([0.0, 2.0], "a vector of integers"),
    ],
)
def test_offsets_that_make_no_bags(offsets, words):
    with pytest.raises(ValueError, match=words):
        nn.functional.embedding_bag(
            ad.tensor([0, 1, 2, 3]), ad.ones(4, 2), ad.tensor(offsets)
        )


@pytest.mark.parametrize(
    "f",
    [
        lambda c, r: ad.isin(c, r),
        lambda c, r: ad.isin(r, 1j),
        lambda c, r: ad.searchsorted(c, c),
        lambda c, r: ad.searchsorted(r, 1j),
        lambda c, r: ad.bucketize(r, c),
        lambda c, r: c.index_reduce(0, ad.tensor([0, 1]), c, "prod"),
        lambda c, r: c.scatter_reduce(0, ad.tensor([0, 1]), c, "amax"),
    ],
)
def test_complex_numbers_have_no_order(f):
    c = ad.tensor([1 + 2j, 3.0])
    with pytest.raises(ad.errors.DtypeError, match="not implemented for complex"):
        f(c, c.real)
