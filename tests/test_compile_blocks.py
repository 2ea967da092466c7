"""Groups of kernels by blocks of rows: what blocks add up is the same for any number of threads."""

import itertools

import numpy as np
import pytest

import adjoint as ad

pytest.importorskip("llvmlite")
slices = pytest.importorskip("adjoint.compiler.native.slices")


@pytest.fixture(autouse=True)
def threads():
    before = ad.get_num_threads()
    yield
    ad.set_num_threads(before)


def network(sizes, seed=0):
    """Weights and biases in float64."""
    rng = np.random.default_rng(seed)
    for n, m in itertools.pairwise(sizes):
        yield ad.tensor(rng.normal(size=(m, n)) / n**0.5)
        yield ad.tensor(rng.normal(size=m) / 10)


def forward(params, x):
    """All layers' values."""
    found = []
    for w, b in zip(params[::2], params[1::2], strict=True):
        found.append(ad.tanh((found[-1] if found else x) @ w.T + b))
    return found


def residual(params, points):
    """The mean square of u_t + u u_x - u_xx / 10, by nested gradients."""

    def u(p):
        return forward(params, p)[-1][:, 0]

    def along(p):
        return ad.func.grad(lambda q: u(q).sum())(p)

    g = along(points)
    second = ad.func.grad(lambda q: along(q)[:, 0].sum())(points)[:, 0]
    return ((g[:, 1] + u(points) * g[:, 0] - 0.1 * second) ** 2).mean()


def leaves(tree):
    if isinstance(tree, ad.Tensor):
        return [tree.numpy().copy()]
    return [x for t in tree for x in leaves(t)]


def agree(f, *args, blocks=True):
    """Eager and compiled numbers, the same bits with one thread, two and four."""
    step = ad.compile(f)
    found = []
    for n in (1, 2, 4):
        ad.set_num_threads(n)
        step(*args)
        for _ in range(2):
            found.append(leaves(step(*args)))
    for x, *ys in zip(leaves(f(*args)), *found, strict=True):
        np.testing.assert_allclose(ys[0], x, rtol=1e-9, atol=1e-11 * np.abs(x).max())
        assert all(y.tobytes() == ys[0].tobytes() for y in ys)
    regions = [r for r in step.explain(*args).regions if r.kind == "together"]
    assert bool(regions) == blocks
    return regions


def points(n, d=2):
    return ad.tensor(np.random.default_rng(n).normal(size=(n, d)))


@pytest.mark.parametrize("n", [1000, 515])
def test_gradients_of_weights_add_up_block_by_block(n):
    params = [*network((2, 32, 32, 32, 1))]
    f = ad.func.grad(
        lambda *p: residual(p, points(n)), argnums=tuple(range(len(params)))
    )
    regions = agree(f, *params)
    assert all(r.chunks == -(-n // 128) for r in regions)
    work = sum(r.flop for r in regions)
    assert any("sum" in r.operations for r in regions) and work > 1e7


@pytest.mark.parametrize("room", [20_000, 10])
def test_few_places_for_sums(monkeypatch, room):
    """Several blocks add up in one place, or all of them."""
    monkeypatch.setattr(slices, "ROOM", room)
    params = [*network((2, 24, 24, 1), seed=room)]
    f = ad.func.grad(
        lambda *p: (forward(p, points(1900))[-1] ** 2).mean(), argnums=(0, 1, 2, 3)
    )
    found = {(r.chunks, r.alone) for r in agree(f, *params)}
    alone = (1, "its blocks add up in one place")
    assert (alone in found) == (room == 10)
    assert all(chunks < 15 for chunks, _ in found)


def test_what_all_rows_add_up_to_is_not_read_before():
    """A product of all rows that rows read again, and a result as well."""
    params = [*network((2, *[32] * 7))]

    def f(*params):
        h = forward(params, points(4096))[-1]
        small = h * 0.02
        g = small.T @ small
        return ad.tanh(h @ g), g

    agree(f, *params)


def test_what_else_is_reduced_over_rows():
    params = [*network((2, *[32] * 7))]

    def f(*params):
        h = forward(params, points(2048))
        return h[-1].sum(0), h[-1].amax(0), h[-2].mean(0), h[-3].amin(0), h[-3].sum(0)

    agree(f, *params)


@pytest.mark.parametrize("keepdim", [False, True])
def test_sums_of_columns_that_rows_read_again(keepdim):
    params = [*network((2, *[32] * 7))]

    def f(*params):
        h = forward(params, points(2048))
        total = h[-1].sum(0, keepdim=keepdim)
        return total, h[-1] - total / 2048, (h[-2] * 2).sum(0, keepdim=keepdim)

    agree(f, *params)


def test_copies_are_multiplied_once():
    """The gradient of a sum begins with ones: what they are multiplied by is a row."""
    step = ad.compile(ad.func.grad(lambda x, w: ad.tanh(x @ w).sum()))
    x, w = points(64, 8), points(8, 4)
    for _ in range(2):
        step(x, w)
    text = step.program(x, w, after="simplify")
    assert "ones_like" not in text and " sum(" not in text

    outer = ad.compile(ad.func.grad(lambda x, w: (x @ w).sum()))
    for _ in range(2):
        found = outer(x, w)
    np.testing.assert_allclose(found.numpy(), np.tile(w.numpy().sum(1), (64, 1)))
    assert "64, 4" not in outer.program(x, w, after="simplify")
